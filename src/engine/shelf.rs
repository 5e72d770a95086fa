//! Shelf: what a process keeps of memory beside the lanes that run.
//!
//! Snapshots lie in a folder. They are copies of what the memory topics said, so that any of them may be
//! missing, and one that does not fit is put away with a warning.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::broker::{Broker, BrokerError, Input};
use crate::event::{Span, Timestamp};
use crate::store::folder::Folder;
use crate::store::snapshot_file::{Reader, Unusable};

/// What was deleted in a compacted topic is forgotten by it after a day (`delete.retention.ms`): an older
/// snapshot would bring it back.
const MOST_AGE: Span = Span::from_secs(12 * 3_600);

/// The snapshots of one process.
#[derive(Debug, Default)]
pub struct Shelf {
    folder: Option<Folder>,
    /// The partitions with memory that lanes of this process hold, and those they have let go of since they
    /// were last asked for.
    held: Mutex<BTreeMap<Input, Held>>,
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
        Self { folder, held: Mutex::default() }
    }

    /// Where the snapshots lie.
    pub(super) fn folder(&self) -> Option<&Folder> {
        self.folder.as_ref()
    }

    /// A lane of this process runs on a partition.
    pub(super) fn hold(&self, input: Input) {
        self.held().insert(input, Held::Now);
    }

    /// It does not any more.
    pub(super) fn let_go(&self, input: Input) {
        if let Some(held) = self.held().get_mut(&input) {
            *held = Held::Before;
        }
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
