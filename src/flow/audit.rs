//! Audit: verdicts become records, each naming the hash of the one before it.
//!
//! One chain per writer, that is per lane and input partition: nobody else can write into it, and its
//! head moves with the cursor, so that an aborted transaction takes its link back.

use crate::codec::outputs;
use crate::event::{Topic, Verdict};

use super::{Cursor, Outbox};

/// The chain of one lane and partition.
#[derive(Debug)]
pub struct Chain {
    name: String,
    partition: i32,
    number: u64,
    hash: u128,
    settled: (u64, u128),
}

/// The most verdicts of one audit record; keeps it well below the broker's limit.
const MOST_VERDICTS: usize = 1_000;

// === impl Chain ===

impl Chain {
    /// The chain of `lane` over input partition `partition`, going on where `cursor` says.
    #[must_use]
    pub fn new(lane: &str, partition: i32, cursor: &Cursor) -> Self {
        let head = (cursor.audit, cursor.audit_hash);
        Self { name: format!("{lane}-{partition}"), partition, number: head.0, hash: head.1, settled: head }
    }

    /// Writes the outbox's verdicts into it as audit records.
    pub fn close(&mut self, audit_partitions: u32, out: &mut Outbox) {
        let verdicts = std::mem::take(&mut out.verdicts);
        let partitions = i32::try_from(audit_partitions.max(1)).unwrap_or(1);
        for part in verdicts.chunks(MOST_VERDICTS) {
            self.number += 1;
            let record = outputs::encode_verdicts(&self.name, self.number, self.hash, part);
            self.hash = outputs::chain_hash(&record);
            let key = self.name.clone().into_bytes().into();
            out.write(Topic::Audit, self.partition.rem_euclid(partitions), Some(key), record);
        }
        out.verdicts = verdicts;
    }

    /// Notes its head in the cursor.
    pub fn note(&self, cursor: &mut Cursor) {
        (cursor.audit, cursor.audit_hash) = (self.number, self.hash);
    }

    /// The transaction was committed.
    pub fn settle(&mut self) {
        self.settled = (self.number, self.hash);
    }

    /// The transaction was aborted.
    pub fn undo(&mut self) {
        (self.number, self.hash) = self.settled;
    }
}
