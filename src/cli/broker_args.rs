//! Broker arguments: which cluster a verb speaks to, and what it needs to read people from it.
//!
//! It opens nothing: how a broker is made of these options is the wiring's business.

use std::path::PathBuf;

use std::io::Write;
use std::sync::Arc;

use super::{Done, Failure};
use crate::app::config::{Config, DirectorySettings};
use crate::app::wiring;
use crate::broker::Broker;
use crate::codec::Codec;
use crate::event::Topic;

/// Which cluster.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct BrokerArgs {
    /// Bootstrap servers, such as `kafka-1:9092,kafka-2:9092`; wins over the configuration.
    #[arg(long, value_name = "HOST:PORT,…", env = "BUGLE_BROKERS", global = true)]
    pub brokers: Option<String>,
    /// The configuration file; `bugle.yaml` when there is one.
    #[arg(long, value_name = "FILE", env = "BUGLE_CONFIG", global = true)]
    pub config: Option<PathBuf>,
    /// A setting, such as `push.in_flight=32`; wins over the file and the environment. May be given often.
    #[arg(long = "set", value_name = "KEY=VALUE", global = true)]
    pub set: Vec<String>,
}

// === impl BrokerArgs ===

impl BrokerArgs {
    /// What the environment says, for a verb that needs no cluster.
    #[must_use]
    pub fn of_environment() -> Self {
        Self { config: std::env::var_os("BUGLE_CONFIG").map(PathBuf::from), ..Self::default() }
    }

    /// All settings: the file's, then the environment's, then these.
    ///
    /// # Errors
    /// Every fault of every setting.
    pub fn load(&self) -> Result<Config, Failure> {
        let usual = PathBuf::from("bugle.yaml");
        let file = self.config.clone().or_else(|| usual.is_file().then_some(usual));
        // Those of clap's own arguments name no setting.
        let own = [
            "BUGLE_BROKERS",
            "BUGLE_CONFIG",
            "BUGLE_REGISTRY",
            "BUGLE_REGISTRY_PASSWORD",
            "BUGLE_REGISTRY_USER",
            "BUGLE_STAND_IN_SECRET",
        ];
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| !own.contains(&name.as_str()))
            .collect();
        let mut flags = self.set.clone();
        flags.extend(self.brokers.iter().map(|brokers| format!("kafka.brokers={brokers}")));
        Config::load(file.as_deref(), &environment, &flags).map_err(Failure::configuration)
    }
}

/// Runs a verb about people with what it needs.
///
/// # Errors
/// The verb's own, and what keeps a cluster from being opened.
pub fn with_reach(args: &BrokerArgs, verb: impl FnOnce(&Reach<'_>, &mut dyn Write) -> Done) -> Done {
    let config = args.load()?;
    let codec = wiring::codec(&config)?;
    let open = |_: &BrokerArgs| Ok(wiring::kafka(&config)?);
    let [directory, members] =
        [Topic::Directory, Topic::Members].map(|topic| config.kafka.topics.name(topic));
    let people = &config.directory;
    let reach = Reach { open: &open, codec: &codec, directory: &directory, members: &members, people };
    verb(&reach, &mut super::Paper)
}

/// Opens the cluster of these options.
pub type Open<'r> = &'r dyn Fn(&BrokerArgs) -> Result<Arc<dyn Broker>, Failure>;

/// What the verbs about people are given by the wiring.
pub struct Reach<'r> {
    /// Opens a cluster.
    pub open: Open<'r>,
    /// Reads and writes people, and reads events.
    pub codec: &'r Codec,
    /// What the topic of the directory is called; the registry knows its schema by it.
    pub directory: &'r str,
    /// What the topic of members is called.
    pub members: &'r str,
    /// Where people come from.
    pub people: &'r DirectorySettings,
}
