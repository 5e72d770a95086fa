//! Audit: verdicts become records, each naming the hash of the one before it.
//!
//! One chain per writer, that is per lane and input partition: nobody else can write into it, and its
//! head moves with the cursor, so that an aborted transaction takes its link back.

use std::sync::Arc;

use hashbrown::HashSet;

use crate::codec::outputs::{self, Link};
use crate::event::{Topic, Verdict};

use super::{Cursor, Outbox, World};

/// The chain of one lane and partition.
#[derive(Debug)]
pub struct Chain {
    name: String,
    partition: i32,
    /// The number and the digest of the last record.
    head: (u64, u128),
    settled: (u64, u128),
}

/// The most verdicts of one audit record.
const MOST_VERDICTS: usize = 1_000;
/// The most receipts that one names.
const MOST_RECEIPTS: usize = 1_000;
/// The most bytes of one, about: a record beyond the broker's limit would be refused for ever.
const MOST_BYTES: usize = 256 * 1024;

// === impl Chain ===

impl Chain {
    /// The chain of `lane` over input partition `partition`, going on where `cursor` says.
    #[must_use]
    pub fn new(lane: &str, partition: i32, cursor: &Cursor) -> Self {
        let head = (cursor.audit, cursor.audit_hash);
        Self { name: format!("{lane}-{partition}"), partition, head, settled: head }
    }

    /// Writes the outbox's verdicts into it as audit records, and which receipts it wrote.
    pub fn close(&mut self, world: &World<'_>, out: &mut Outbox) {
        let (verdicts, receipts) = (std::mem::take(&mut out.verdicts), std::mem::take(&mut out.receipts));
        let partitions = i32::try_from(world.plan.audit.max(1)).unwrap_or(1);
        let (mut rest, mut digests) = (verdicts.as_slice(), receipts.as_slice());
        while !rest.is_empty() || !digests.is_empty() {
            let (part, after) = rest.split_at(fitting(rest));
            let (named, later) = digests.split_at(digests.len().min(MOST_RECEIPTS));
            (rest, digests) = (after, later);
            let (number, digest) = self.head;
            let seq = i64::try_from(number).unwrap_or(i64::MAX);
            let link = Link {
                chain: self.name.clone(),
                seq,
                prev: digest.to_be_bytes(),
                topology: world.topology.short_hash(),
                directory: world.directory.to_vec(),
                receipts: named.to_vec(),
            };
            let record = outputs::encode_verdicts(world.plan.ids.verdict, &link, part);
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

/// How many of the verdicts one record takes; at least one.
fn fitting(verdicts: &[Verdict]) -> usize {
    let (mut bytes, mut asked) = (0, HashSet::new());
    for (index, verdict) in verdicts.iter().take(MOST_VERDICTS).enumerate() {
        let people: usize = verdict.people.iter().map(|person| person.len() + 2).sum();
        bytes += 256 + verdict.event_id.len() + verdict.subject.as_ref().map_or(0, String::len) + people;
        // What several verdicts share is written once.
        if let Some(shared) = verdict.asked.as_ref().filter(|shared| asked.insert(Arc::as_ptr(shared))) {
            bytes += shared.bytes();
        }
        if bytes > MOST_BYTES && index > 0 {
            return index;
        }
    }
    verdicts.len().min(MOST_VERDICTS)
}
