//! Ground: rules, a push service and names for topics, and how the push service behaves.

use std::io;
use std::path::PathBuf;

use super::super::bench::NoResult;
use super::super::outside::Service;
use super::{LOOK_EVERY, PATIENCE, SESSION, load, machine};
use crate::clock::{self, Tick};

/// Rules, a push service, and names for topics: what must be there before the settings can be read.
pub struct Ground {
    /// What the names of all topics and groups begin with.
    pub prefix: String,
    pub(super) folder: PathBuf,
    pub(super) service: Service,
}

// === impl Ground ===

impl Ground {
    /// Writes the rules and starts the push service.
    ///
    /// # Errors
    /// [`NoResult::Machine`].
    pub fn prepare() -> Result<Self, NoResult> {
        let prefix = format!("bugle-chaos-{}-{}.", clock::now().millis(), std::process::id());
        let folder = std::env::temp_dir().join(prefix.trim_end_matches('.'));
        load::write_rules(&folder.join("topology"))
            .map_err(|error| NoResult::Machine("the rules cannot be written", error))?;
        let service = Service::start(&["--keep-refs", "--answers", "none"]).map_err(machine)?;
        Ok(Self { prefix, folder, service })
    }

    /// From now on the push service misbehaves so; waits for one that is away.
    pub(super) fn behave(&self, misbehaviour: &str) -> io::Result<()> {
        let begun = Tick::now();
        loop {
            match self.service.ask("POST", "/faults", misbehaviour) {
                Err(_) if begun.elapsed() < PATIENCE => std::thread::park_timeout(LOOK_EVERY),
                answer => return answer.map(drop),
            }
        }
    }

    /// Settings that the run and its processes need, as `--set` takes them.
    #[must_use]
    pub fn settings(&self) -> Vec<String> {
        let prefix = &self.prefix;
        vec![
            format!("kafka.group={}", prefix.trim_end_matches('.')),
            format!("kafka.topics.source_prefix={prefix}opentext."),
            format!("kafka.topics.own_prefix={prefix}bugle."),
            format!("kafka.properties.consumer.session.timeout.ms={}", SESSION.as_millis()),
            "kafka.properties.consumer.heartbeat.interval.ms=1500".to_owned(),
            format!("topology.folder={}", self.folder.join("topology").display()),
            format!("push.url={}", self.service.url()),
            "registry.urls=[]".to_owned(),
            "lanes.threads=1".to_owned(),
            "admin.listen=127.0.0.1:0".to_owned(),
            "answers.listen=127.0.0.1:0".to_owned(),
        ]
    }
}
