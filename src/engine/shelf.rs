//! Shelf: what a process keeps of memory beside the lanes that run.
//!
//! Snapshots lie in a folder; warm copies of what others run lie in memory. Both say what the memory topics
//! said, so that any of them may be missing, and one that does not fit is put away with a warning.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::recall::Restoring;
use super::waiting::Waiting;
use crate::broker::{Broker, BrokerError, Input};
use crate::event::{Span, Timestamp};
use crate::store::folder::Folder;
use crate::store::snapshot_file::{Reader, Unusable};

/// What was deleted in a compacted topic is forgotten by it after a day (`delete.retention.ms`): an older
/// copy would bring it back.
pub(super) const MOST_AGE: Span = Span::from_secs(12 * 3_600);

/// The snapshots and warm copies of one process.
#[derive(Default)]
pub struct Shelf {
    folder: Option<Folder>,
    /// The partitions with memory that lanes of this process hold, and those they have let go of since they
    /// were last asked for.
    held: Mutex<BTreeMap<Input, Held>>,
    /// What is read of partitions that others run.
    warm: Mutex<Vec<Restoring>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Now,
    Before,
}

// === impl Shelf ===

impl Shelf {
    /// A shelf with snapshots in this folder, or without any.
    #[must_use]
    pub fn new(folder: Option<Folder>) -> Self {
        Self { folder, ..Self::default() }
    }

    /// Where the snapshots lie.
    pub(super) fn folder(&self) -> Option<&Folder> {
        self.folder.as_ref()
    }

    /// A partition was assigned to a lane of this process.
    pub(super) fn hold(&self, input: Input) {
        self.held().insert(input, Held::Now);
    }

    /// It does not any more.
    pub(super) fn let_go(&self, input: Input) {
        if let Some(held) = self.held().get_mut(&input) {
            *held = Held::Before;
        }
    }

    /// Whether a lane of this process has it.
    pub(super) fn holds(&self, input: Input) -> bool {
        self.held().get(&input) == Some(&Held::Now)
    }

    /// The warm copies.
    pub(super) fn warm(&self) -> MutexGuard<'_, Vec<Restoring>> {
        self.warm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the warm copy of a partition, if there is one. Waits for who reads on in it.
    pub(super) fn take_warm(&self, input: Input) -> Option<Waiting> {
        let mut warm = self.warm();
        let mut all = warm.iter_mut().flat_map(|restoring| &mut restoring.waiting);
        all.find(|(other, copy)| *other == input && copy.is_some())?.1.take()
    }

    /// The partitions whose memory has changed here since this was last asked.
    pub(super) fn changed(&self) -> Vec<Input> {
        let mut held = self.held();
        let all = held.keys().copied().collect();
        held.retain(|_, held| *held == Held::Now);
        all
    }

    /// The snapshot of a partition, if there is one, and it is of the topics called so.
    ///
    /// # Errors
    /// [`Unusable`].
    pub(super) fn open(
        &self,
        input: Input,
        topics: &[String],
        now: Timestamp,
    ) -> Result<Option<Reader>, Unusable> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let Some(reader) = Reader::open(&folder.file_of(input))? else { return Ok(None) };
        let foot = reader.foot();
        let of = |partition: i32, topics: &[&str]| format!("partition {partition} of {}", topics.join(", "));
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let found: Vec<&str> = foot.logs.iter().map(|reached| reached.topic.as_str()).collect();
        if (foot.partition, &found) != (input.partition, &topics) {
            let (found, wanted) = (of(foot.partition, &found), of(input.partition, &topics));
            return Err(Unusable::Foreign { found, wanted });
        }
        let age = now.since(foot.read_at);
        if age > MOST_AGE && input.topic.memories().iter().any(|topic| topic.is_state()) {
            return Err(Unusable::Old(age));
        }
        Ok(Some(reader))
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Input, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What tells the memory topics of a partition from all others.
pub(super) fn identities(broker: &dyn Broker, input: Input) -> Result<Vec<String>, BrokerError> {
    input.topic.memories().iter().map(|topic| broker.identity(*topic)).collect()
}
