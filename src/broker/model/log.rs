//! Log: the records of one topic in memory, by partition.
//!
//! What a transaction wrote lies here from the beginning, and nobody reads beyond the first record of one
//! that has not ended. Its end takes an offset of its own; what was rolled back leaves its offsets empty.

use std::collections::{BTreeMap, VecDeque};

use hashbrown::{HashMap, HashSet};

use super::super::partitioner::partition_of;
use super::super::{Incoming, Input, Outgoing, TopicSpec};
use super::transactions::TxnId;
use crate::event::{Span, Timestamp};

/// The bytes a partition keeps of what everybody has read (or nobody reads).
const MOST_KEPT_BYTES: usize = 16 * 1024 * 1024;

/// The same for the topics between our lanes, whose readers have them trimmed.
const MOST_KEPT_BEHIND_READERS: usize = 1024 * 1024;

/// A compacted partition is gone over when it has grown by this many records, and doubled; and whenever a
/// segment of it is old enough to be closed.
const COMPACTED_EVERY: usize = 1024;

/// For how long a segment is open, and a tombstone stays after compaction met it, where the topic does not
/// say it: Kafka's own defaults.
const SEGMENT: Span = Span::from_secs(7 * 86_400);
const TOMBSTONE: Span = Span::from_secs(86_400);

/// What becomes of old records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cleanup {
    /// The newest of each key stays.
    Compact,
    /// The newest [`MOST_KEPT_BEHIND_READERS`] stay, and what a group has not passed yet.
    BehindReaders,
    /// The newest [`MOST_KEPT_BYTES`] stay, and what a group has not passed yet.
    Delete,
}

/// One topic.
#[derive(Debug)]
pub(super) struct Log {
    /// How it was made.
    pub(super) spec: TopicSpec,
    partitions: Vec<Partition>,
    cleanup: Cleanup,
    /// `segment.ms` and `delete.retention.ms`.
    segment: Span,
    tombstone: Span,
    /// Counts records without key and partition, which go round.
    keyless: u32,
}

/// One partition.
#[derive(Debug, Default)]
struct Partition {
    /// The oldest offset that can be asked for.
    start: i64,
    /// The offset of the next record.
    next: i64,
    /// In order of their offsets, which have gaps where compaction went.
    records: VecDeque<Incoming>,
    bytes: usize,
    compacted_len: usize,
    /// When its newest segment began.
    began: Option<Timestamp>,
    /// The tombstones that compaction has met, and until when they stay.
    tombstones: HashMap<i64, Timestamp>,
    /// Transactions whose end has not arrived, and where each began to write here.
    open: BTreeMap<TxnId, i64>,
}

// === impl Log ===

impl Log {
    pub(super) fn new(spec: TopicSpec) -> Self {
        let says = |name: &str, value: &str| spec.config.iter().any(|(n, v)| n == name && v == value);
        let cleanup = if says("cleanup.policy", "compact") {
            Cleanup::Compact
        } else if says("retention.ms", "-1") {
            Cleanup::BehindReaders
        } else {
            Cleanup::Delete
        };
        let span = |name: &str, default: Span| {
            let set = spec.config.iter().find(|(n, _)| n == name);
            set.and_then(|(_, value)| value.parse().ok()).map_or(default, Span::from_millis)
        };
        let (segment, tombstone) = (span("segment.ms", SEGMENT), span("delete.retention.ms", TOMBSTONE));
        let partitions = (0..spec.partitions).map(|_| Partition::default()).collect();
        Self { spec, partitions, cleanup, segment, tombstone, keyless: 0 }
    }

    /// Adds partitions, up to so many.
    pub(super) fn grow(&mut self, partitions: u32) {
        self.spec.partitions = self.spec.partitions.max(partitions);
        self.partitions.resize_with(self.spec.partitions as usize, Partition::default);
    }

    /// The partition a record goes to; `None` when it names one that is not there.
    pub(super) fn place(&mut self, record: &Outgoing) -> Option<i32> {
        match (record.partition, &record.key) {
            (Some(partition), _) => self.partition(partition).map(|_| partition),
            (None, Some(key)) => Some(partition_of(key, self.spec.partitions)),
            (None, None) => {
                self.keyless = self.keyless.wrapping_add(1);
                i32::try_from(self.keyless % self.spec.partitions.max(1)).ok()
            }
        }
    }

    /// Whether a record may lie here: what is compacted has a key.
    pub(super) fn takes(&self, record: &Outgoing) -> bool {
        self.cleanup != Cleanup::Compact || record.key.is_some()
    }

    /// Appends a record to a partition [`Log::place`] has named, as part of a transaction or of none; its
    /// offset.
    pub(super) fn append(
        &mut self,
        partition: i32,
        now: Timestamp,
        record: Outgoing,
        txn: Option<TxnId>,
    ) -> Option<i64> {
        let (compacted, segment, tombstone) =
            (self.cleanup == Cleanup::Compact, self.segment, self.tombstone);
        let at = self.partition_mut(partition)?;
        if compacted {
            let old = now.since(*at.began.get_or_insert(now)) >= segment;
            if old || at.records.len() >= COMPACTED_EVERY + 2 * at.compacted_len {
                at.compact(now, tombstone);
                at.began = Some(now);
            }
        }
        let offset = at.next;
        if let Some(txn) = txn {
            at.open.entry(txn).or_insert(offset);
        }
        at.bytes += weight(record.key.as_ref(), record.value.as_ref());
        at.records.push_back(Incoming {
            input: Input { topic: record.topic, partition },
            offset,
            timestamp: now,
            key: record.key,
            value: record.value,
            headers: record.headers,
        });
        at.next += 1;
        Some(offset)
    }

    /// Appends to `into` at most `most` records from offset `from` on; the offset to read next.
    pub(super) fn read(&self, partition: i32, from: i64, most: usize, mut into: impl FnMut(Incoming)) -> i64 {
        let Some(at) = self.partition(partition) else { return from };
        let first = at.records.partition_point(|record| record.offset < from);
        let (mut next, mut taken) = (from, 0);
        let seen = at.records.range(first..).take_while(|record| record.offset < at.end());
        for record in seen.take(most) {
            next = record.offset + 1;
            taken += 1;
            into(record.clone());
        }
        // What is left up to the end are no records.
        if taken < most { next.max(at.end()) } else { next }
    }

    /// The end of a transaction arrives in a partition: what it wrote there is seen, or gone.
    pub(super) fn land(&mut self, partition: i32, txn: TxnId, rolled_back: Option<&[i64]>) {
        let Some(at) = self.partition_mut(partition) else { return };
        at.open.remove(&txn);
        at.next += 1;
        for offset in rolled_back.unwrap_or_default() {
            if let Ok(place) = at.records.binary_search_by_key(offset, |record| record.offset)
                && let Some(gone) = at.records.remove(place)
            {
                at.bytes -= weight(gone.key.as_ref(), gone.value.as_ref());
            }
        }
    }

    /// The first record from an offset on that everybody sees; the end where there is none.
    pub(super) fn first_record(&self, partition: i32, from: i64) -> i64 {
        let Some(at) = self.partition(partition) else { return from };
        let first = at.records.partition_point(|record| record.offset < from);
        let next = at.records.get(first).map_or(at.next, |record| record.offset);
        next.min(at.end()).max(from)
    }

    /// The oldest offset there is, and the end as a reader of committed records sees it.
    pub(super) fn bounds(&self, partition: i32) -> (i64, i64) {
        self.partition(partition).map_or((0, 0), |at| (at.start, at.end()))
    }

    /// Whether everything in the partition can be seen.
    pub(super) fn is_settled(&self, partition: i32) -> bool {
        self.partition(partition).is_none_or(|at| at.open.is_empty())
    }

    /// Drops what is no longer wanted before an offset that every reader has passed. What no group reads
    /// is kept for whoever looks later, up to a bound.
    pub(super) fn trim(&mut self, partition: i32, before: i64, read_by_groups: bool) {
        let keep = match self.cleanup {
            Cleanup::Compact => return,
            Cleanup::BehindReaders if read_by_groups => MOST_KEPT_BEHIND_READERS,
            Cleanup::BehindReaders | Cleanup::Delete => MOST_KEPT_BYTES,
        };
        if let Some(at) = self.partition_mut(partition) {
            at.drop_before(before.min(at.end()), keep);
        }
    }

    /// Drops everything before `offset`; why not, where Kafka would not either.
    pub(super) fn delete_before(&mut self, partition: i32, offset: i64) -> Result<(), &'static str> {
        if self.cleanup == Cleanup::Compact {
            return Err("Broker: Policy violation: the topic is compacted");
        }
        let Some(at) = self.partition_mut(partition) else { return Ok(()) };
        if offset > at.next {
            return Err("Broker: Offset out of range");
        }
        at.drop_before(offset, 0);
        at.start = at.start.max(offset);
        Ok(())
    }

    fn partition(&self, partition: i32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(partition).ok()?)
    }

    fn partition_mut(&mut self, partition: i32) -> Option<&mut Partition> {
        self.partitions.get_mut(usize::try_from(partition).ok()?)
    }
}

// === impl Partition ===

impl Partition {
    fn end(&self) -> i64 {
        self.open.values().min().copied().unwrap_or(self.next)
    }

    fn drop_before(&mut self, offset: i64, keep: usize) {
        while self.bytes > keep && self.records.front().is_some_and(|record| record.offset < offset) {
            if let Some(gone) = self.records.pop_front() {
                self.bytes -= weight(gone.key.as_ref(), gone.value.as_ref());
                self.start = gone.offset + 1;
            }
        }
    }

    /// Keeps the newest record of each key, and a tombstone for a while after it was first met here.
    fn compact(&mut self, now: Timestamp, tombstone: Span) {
        let end = self.end();
        let mut newest: HashMap<bytes::Bytes, i64> = HashMap::new();
        for record in self.records.iter().take_while(|record| record.offset < end) {
            if let Some(key) = &record.key {
                newest.insert(key.clone(), record.offset);
            }
        }
        let newest: HashSet<i64> = newest.into_values().collect();
        let (mut met, before) = (HashMap::new(), std::mem::take(&mut self.tombstones));
        self.records.retain(|record| {
            if record.offset >= end || record.key.is_none() {
                return true;
            }
            if record.value.is_some() || !newest.contains(&record.offset) {
                return newest.contains(&record.offset);
            }
            let until = *before.get(&record.offset).unwrap_or(&(now + tombstone));
            if now < until {
                met.insert(record.offset, until);
            }
            now < until
        });
        self.tombstones = met;
        self.bytes = self.records.iter().map(|r| weight(r.key.as_ref(), r.value.as_ref())).sum();
        self.compacted_len = self.records.len();
    }
}

/// What a record weighs in memory, roughly.
fn weight(key: Option<&bytes::Bytes>, value: Option<&bytes::Bytes>) -> usize {
    const ENTRY: usize = size_of::<Incoming>();
    ENTRY + key.map_or(0, bytes::Bytes::len) + value.map_or(0, bytes::Bytes::len)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::event::Topic;

    fn log(topic: Topic, config: &[(&str, &str)]) -> Log {
        let config = config.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Log::new(TopicSpec { topic, name: topic.to_string(), partitions: 2, config })
    }

    fn put(log: &mut Log, key: &str, value: &str) {
        let record = Outgoing {
            topic: log.spec.topic,
            partition: Some(0),
            key: Some(Bytes::copy_from_slice(key.as_bytes())),
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
            headers: Vec::new(),
        };
        log.append(0, Timestamp::from_millis(0), record, None);
    }

    #[test]
    fn a_compacted_topic_keeps_the_newest_record_of_each_key_and_its_offset() {
        let mut log = log(Topic::Directory, &[("cleanup.policy", "compact")]);
        for round in 0..3000 {
            put(&mut log, &format!("person-{}", round % 10), &round.to_string());
        }
        let mut read = Vec::new();
        let next = log.read(0, 0, usize::MAX, |record| read.push(record));
        assert_eq!(next, 3000);
        assert!(read.len() < 1500, "{} records kept", read.len());
        assert!(read.windows(2).all(|pair| pair[0].offset < pair[1].offset));
        assert_eq!(read.last().unwrap().value.as_deref(), Some(&b"2999"[..]));
    }

    #[test]
    fn a_topic_between_lanes_keeps_what_its_group_has_not_read() {
        let mut log = log(Topic::People, &[("retention.ms", "-1")]);
        let large = "x".repeat(MOST_KEPT_BEHIND_READERS);
        for _ in 0..10 {
            put(&mut log, "k", &large);
        }
        log.trim(0, 7, true);
        assert_eq!(log.bounds(0), (7, 10));
        log.trim(0, 10, true);
        assert_eq!(log.bounds(0), (10, 10));
    }

    #[test]
    fn a_partition_that_is_not_there_takes_nothing() {
        let mut log = log(Topic::People, &[]);
        let record =
            Outgoing { topic: Topic::People, partition: Some(2), key: None, value: None, headers: vec![] };
        assert_eq!(log.place(&record), None);
    }
}
