//! Audit: verdicts become records, each naming the hash of the one before it.
//!
//! One chain per writer, that is per lane and input partition: nobody else can write into it, and its
//! head moves with the cursor, so that an aborted transaction takes its link back.

use crate::codec::outputs::{self, Link};
use crate::event::Topic;

use super::{Cursor, Outbox, Plan};

/// The chain of one lane and partition.
#[derive(Debug)]
pub struct Chain {
    name: String,
    partition: i32,
    /// The number and the digest of the last record.
    head: (u64, u128),
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
        Self { name: format!("{lane}-{partition}"), partition, head, settled: head }
    }

    /// Writes the outbox's verdicts into it as audit records.
    pub fn close(&mut self, plan: &Plan, out: &mut Outbox) {
        let verdicts = std::mem::take(&mut out.verdicts);
        let partitions = i32::try_from(plan.audit.max(1)).unwrap_or(1);
        for part in verdicts.chunks(MOST_VERDICTS) {
            let (number, digest) = self.head;
            let seq = i64::try_from(number).unwrap_or(i64::MAX);
            let link = Link { chain: self.name.clone(), seq, prev: digest.to_be_bytes() };
            let record = outputs::encode_verdicts(plan.ids.verdict, &link, part);
            self.head = (number + 1, u128::from_be_bytes(outputs::digest(&record)));
            let key = self.name.clone().into_bytes().into();
            out.write(Topic::Audit, self.partition.rem_euclid(partitions), Some(key), record);
        }
        out.verdicts = verdicts;
    }

    /// Notes its head in the cursor.
    pub fn note(&self, cursor: &mut Cursor) {
        (cursor.audit, cursor.audit_hash) = self.head;
    }

    /// The transaction was committed.
    pub fn settle(&mut self) {
        self.settled = self.head;
    }

    /// The transaction was aborted.
    pub fn undo(&mut self) {
        self.head = self.settled;
    }
}
