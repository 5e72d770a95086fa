//! Broker arguments: which cluster a verb speaks to, and what it needs to read people from it.
//!
//! It opens nothing: how a broker is made of these options is the wiring's business.

use std::path::PathBuf;

use super::Failure;
use crate::broker::Broker;
use crate::codec::Codec;

/// Which cluster.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct BrokerArgs {
    /// Bootstrap servers, such as `kafka-1:9092,kafka-2:9092`; wins over the configuration.
    #[arg(long, value_name = "HOST:PORT,…", env = "BUGLE_BROKERS", global = true)]
    pub brokers: Option<String>,
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "BUGLE_CONFIG", default_value = "bugle.yaml", global = true)]
    pub config: PathBuf,
}

/// Opens the cluster of these options.
pub type Open<'r> = &'r dyn Fn(&BrokerArgs) -> Result<Box<dyn Broker>, Failure>;

/// What the verbs about people are given by the wiring.
pub struct Reach<'r> {
    /// Opens a cluster.
    pub open: Open<'r>,
    /// Reads and writes people, and reads events.
    pub codec: &'r Codec,
}
