//! Versions: the rules as they were published, read from their topic, and the thread that switches to the
//! newest.
//!
//! **Invariant:** a version is in force here as a whole or not at all: what cannot be used leaves the rules
//! before it in force, and the partitions that need it wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::count;
use crate::broker::{Broker, BrokerError, Follow};
use crate::clock::Tick;
use crate::event::{Fact, Incoming, Outgoing, Timestamp, Topic};
use crate::store::view::Board;
use crate::topology::{BrokenFiles, Files, InForce, Topology};

/// How files become rules here; what is wrong with them, a line for each fault, otherwise.
pub type Compile = Arc<dyn Fn(&Files) -> Result<Topology, Vec<String>> + Send + Sync>;

/// One version of the rules, as it lies in its topic.
#[derive(Debug, Clone)]
pub struct Version {
    /// The offset it was published at, lifted.
    pub generation: u64,
    /// By how much: for those whose topic was made anew, and who remember the generations of the one before.
    pub lifted: u64,
    /// Of its files.
    pub hash: u128,
    /// When it was published.
    pub at: Timestamp,
    /// Who published it.
    pub by: String,
    packed: Bytes,
}

/// All versions there are.
pub struct Versions {
    follow: Box<dyn Follow>,
    read: Vec<Version>,
}

/// Who published a version, as a header, and by how much its generation is lifted.
const BY: &str = "bugle.by";
const LIFTED: &str = "bugle.lifted";
/// How long the topic may stand still before its end is reached.
const MOST_SILENCE: Duration = Duration::from_secs(30);
/// Of so many versions the newest ones are compiled at the start: what was decided by one of them is told in
/// its own words.
const MOST_COMPILED: usize = 9;

/// Files as a record of the topic: under their hash, so that every version stays and none lies there twice.
#[must_use]
pub fn record(files: &Files, by: &str, lifted: u64) -> Outgoing {
    let mut headers = vec![(BY.to_owned(), Some(Bytes::copy_from_slice(by.as_bytes())))];
    if lifted > 0 {
        headers.push((LIFTED.to_owned(), Some(lifted.to_string().into())));
    }
    Outgoing {
        topic: Topic::Topology,
        partition: Some(0),
        key: Some(format!("{:032x}", files.hash()).into()),
        value: Some(files.pack().into()),
        headers,
    }
}

// === impl Version ===

impl Version {
    /// A record of the topic; by how much the one before it is lifted.
    fn of(record: &Incoming, least: u64) -> Option<Self> {
        let packed = record.value.clone()?;
        let hash = std::str::from_utf8(record.key.as_deref()?).ok()?;
        let header = |wanted: &str| {
            let found = record.headers.iter().find(|(name, _)| name == wanted);
            found.and_then(|(_, value)| value.as_deref())
        };
        let by = header(BY);
        let said = header(LIFTED).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        let lifted = said.unwrap_or(0).max(least);
        Some(Self {
            generation: u64::try_from(record.offset).ok()?.checked_add(lifted)?,
            lifted,
            hash: u128::from_str_radix(hash, 16).ok()?,
            at: record.timestamp,
            by: String::from_utf8_lossy(by.unwrap_or_default()).into_owned(),
            packed,
        })
    }

    /// Its files.
    ///
    /// # Errors
    /// [`BrokenFiles`].
    pub fn files(&self) -> Result<Files, BrokenFiles> {
        Files::unpack(&self.packed)
    }

    /// Its rules, by what this version of Bugle and these settings make of them.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn compile(&self, compile: &Compile) -> Result<Topology, Vec<String>> {
        let files = self.files().map_err(|broken| vec![broken.to_string()])?;
        let mut topology = compile(&files)?;
        (topology.generation, topology.lifted) = (self.generation, self.lifted);
        Ok(topology)
    }
}

// === impl Versions ===

impl Versions {
    /// Opens the topic.
    ///
    /// # Errors
    /// What the broker said.
    pub fn open(broker: &dyn Broker) -> Result<Self, BrokerError> {
        Ok(Self { follow: broker.follow(Topic::Topology)?, read: Vec::new() })
    }

    /// All that were read, oldest first.
    #[must_use]
    pub fn read(&self) -> &[Version] {
        &self.read
    }

    /// Reads on to the end the topic has now.
    ///
    /// # Errors
    /// What the broker said; or the topic stands still before its end.
    pub fn catch_up(&mut self) -> Result<(), BrokerError> {
        let ends = self.follow.ends()?;
        let mut last = Tick::now();
        while self.follow.positions().iter().zip(&ends).any(|(next, end)| next < end) {
            if self.poll(Duration::from_millis(100))? > 0 {
                last = Tick::now();
            } else if last.elapsed() > MOST_SILENCE {
                let fault = "stands still before its end is read".to_owned();
                return Err(BrokerError::Topic { name: Topic::Topology.to_string(), fault });
            }
        }
        Ok(())
    }

    /// How many versions came.
    fn poll(&mut self, wait: Duration) -> Result<usize, BrokerError> {
        let (mut records, before) = (Vec::new(), self.read.len());
        self.follow.poll(wait, &mut records)?;
        for record in &records {
            // A generation never falls: whoever publishes without knowing of a lift is lifted all the same.
            let lifted = self.read.last().map_or(0, |last| last.lifted);
            self.read.extend(Version::of(record, lifted));
        }
        Ok(self.read.len() - before)
    }

    /// The newest version that can be used here, after those before it; what is wrong with the newest, where
    /// it is another.
    ///
    /// # Errors
    /// What is wrong with the newest, where none can be used.
    pub fn compile(&self, compile: &Compile) -> Result<(Topology, Vec<String>), Vec<String>> {
        let (mut newest, mut faults) = (None::<Topology>, Vec::new());
        for version in &self.read[self.read.len().saturating_sub(MOST_COMPILED)..] {
            faults = match version.compile(compile) {
                Ok(topology) => {
                    newest = Some(match &newest {
                        Some(before) => topology.after(before),
                        None => topology,
                    });
                    Vec::new()
                }
                Err(faults) => faults,
            };
        }
        newest.map(|topology| (topology, faults.clone())).ok_or(faults)
    }

    /// Switches to what is published, until it is told to stop.
    pub(super) fn follow(mut self, compile: &Compile, to: (&InForce, &Board), stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            match self.poll(Duration::from_millis(100)) {
                Ok(came) => {
                    for version in &self.read[self.read.len() - came..] {
                        switch(version, compile, to);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the rules cannot be followed; those before stay in force");
                }
            }
        }
    }
}

fn switch(version: &Version, compile: &Compile, (in_force, board): (&InForce, &Board)) {
    let Version { generation, hash, by, .. } = version;
    in_force.note_published(*generation);
    let hash = format!("{hash:032x}");
    match version.compile(compile) {
        Ok(topology) => {
            tracing::info!(generation, hash, by, rules = topology.rules.len(), "these rules are in force");
            let before = in_force.newest().hash;
            in_force.switch(topology);
            tell(&in_force.newest(), Some(before), board);
        }
        Err(faults) => {
            refuse(&faults, board);
            tracing::error!(
                generation,
                hash,
                by,
                "published rules cannot be used here: those before stay in force, and what needs the new ones waits"
            );
        }
    }
}

/// Says which rules are in force.
pub fn tell(newest: &Topology, before: Option<u128>, board: &Board) {
    let (generation, hash, rules) = (newest.generation, newest.hash, newest.rules.len() as u64);
    count::tell(board, &Fact::RulesInForce { generation, hash, rules, before });
}

/// Says what is wrong with rules that are refused.
pub fn refuse(faults: &[String], board: &Board) {
    for fault in faults {
        tracing::error!(fault, "rules are refused");
    }
    count::tell(board, &Fact::RulesRefused);
}
