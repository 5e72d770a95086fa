//! Outbox: what a lane wants done. The engine carries it out with the lane's next commit.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::event::receipt::Mark;
use crate::event::{Outgoing, Parcel, Source, Topic, Verdict};

/// A batch to send now; what became of it comes back through [`super::Rooms::answered`].
#[derive(Debug, Clone)]
pub struct Send {
    /// Where the batch lies: offset of its frame, place in it.
    pub at: super::cursor::At,
    /// The batch, shared with the lane that may have to send it again.
    pub batch: std::sync::Arc<Parcel>,
    /// How often it was tried before.
    pub attempt: u32,
    /// What is asked about it.
    pub ask: Ask,
}

/// What the push service is asked about a batch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// To take it.
    #[default]
    Take,
    /// Whether it took it before.
    WasTaken,
}

/// What the transaction did, in numbers; counted into the metrics when it is committed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Records of the input taken in.
    pub records: u64,
    /// Changes read, in the source lane.
    pub changes: u64,
    /// Items sent on to a subject.
    pub routed: u64,
    /// Changes heard by their subjects for the first time, by source.
    pub heard: BTreeMap<Source, u64>,
    /// By how many milliseconds what was due was late.
    pub rung_late_ms: Vec<i64>,
    /// Answers that count, and answers that do not.
    pub answers: (u64, u64),
    /// Sizes of the audiences found.
    pub fan_outs: Vec<u32>,
    /// Sizes of the batches cut.
    pub batches: Vec<u32>,
    /// Pushes the push service accepted.
    pub told: u64,
    /// Pushes that ended untold at the push service, by reason.
    pub not_told: Vec<(crate::event::Reason, u64)>,
    /// Dead letters, by code.
    pub dead_letters: Vec<&'static str>,
    /// Pushes whose delivery became known, by what became of them; `None` where a device has them.
    pub marks: Vec<(Option<Mark>, u64)>,
    /// Pushes of dead letters that are on their way again.
    pub again: u64,
    /// Answers that are to be carried into a source system.
    pub write_backs: u64,
    /// Milliseconds from the source record's append to the push service's acceptance, by batch.
    pub accepted_after_ms: Vec<i64>,
}

/// Everything a lane wants done since its last commit.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Records to write in the transaction.
    pub records: Vec<Outgoing>,
    /// Verdicts; they become one audit record at the cut.
    pub verdicts: Vec<Verdict>,
    /// Digests of the receipts among the records: the audit record names them.
    pub receipts: Vec<[u8; 16]>,
    /// Requests to send. They do not wait for the commit: what may be sent was committed before.
    pub sends: Vec<Send>,
    /// Jobs to ask after.
    pub questions: Vec<super::delivery::Question>,
    /// Calls of source systems. They do not wait for the commit either: that a call is made was committed.
    pub calls: Vec<super::write_back::Call>,
    /// The numbers.
    pub tally: Tally,
    bytes: usize,
}

// === impl Outbox ===

impl Outbox {
    /// Adds a record for one partition of one of our own topics.
    pub fn write(&mut self, topic: Topic, partition: i32, key: Option<Bytes>, value: Vec<u8>) {
        self.put(Outgoing {
            topic,
            partition: Some(partition),
            key,
            value: Some(value.into()),
            headers: Vec::new(),
        });
    }

    /// Adds a record.
    pub fn put(&mut self, record: Outgoing) {
        self.bytes += record.value.as_ref().map_or(0, Bytes::len);
        self.records.push(record);
    }

    /// Bytes of record values gathered so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.verdicts.is_empty()
    }
}
