//! Log: the records of one topic in memory, by partition.
//!
//! It holds committed records only: what a transaction has not committed is never here.

use std::collections::VecDeque;

use hashbrown::{HashMap, HashSet};

use super::super::partitioner::partition_of;
use super::super::{Incoming, Input, Outgoing, TopicSpec};
use crate::event::Timestamp;

/// The bytes a partition keeps of what everybody has read (or nobody reads), where the topic is not
/// one of those between our lanes.
const MOST_KEPT_BYTES: usize = 16 * 1024 * 1024;

/// A compacted partition is gone over when it has grown by this many records, and doubled.
const COMPACTED_EVERY: usize = 1024;

/// What becomes of old records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cleanup {
    /// The newest of each key stays.
    Compact,
    /// Gone as soon as every group has passed it.
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
    /// From here on nothing is seen yet: the end of a transaction has not arrived.
    unstable: Option<i64>,
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
        let partitions = (0..spec.partitions).map(|_| Partition::default()).collect();
        Self { spec, partitions, cleanup, keyless: 0 }
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

    /// Appends a record to a partition [`Log::place`] has named.
    pub(super) fn append(&mut self, partition: i32, now: Timestamp, record: Outgoing) {
        let compacted = self.cleanup == Cleanup::Compact;
        let Some(at) = self.partition_mut(partition) else { return };
        at.bytes += weight(record.key.as_ref(), record.value.as_ref());
        at.records.push_back(Incoming {
            input: Input { topic: record.topic, partition },
            offset: at.next,
            timestamp: now,
            key: record.key,
            value: record.value,
            headers: record.headers,
        });
        at.next += 1;
        if compacted && at.records.len() >= COMPACTED_EVERY + 2 * at.compacted_len {
            at.compact();
        }
    }

    /// Appends to `into` at most `most` records from offset `from` on; the offset to read next.
    pub(super) fn read(&self, partition: i32, from: i64, most: usize, mut into: impl FnMut(Incoming)) -> i64 {
        let Some(at) = self.partition(partition) else { return from };
        let first = at.records.partition_point(|record| record.offset < from);
        let mut next = from;
        let seen = at.records.range(first..).take_while(|record| record.offset < at.end());
        for record in seen.take(most) {
            next = record.offset + 1;
            into(record.clone());
        }
        next
    }

    /// What comes is not seen until it lands.
    pub(super) fn hold(&mut self, partition: i32) {
        if let Some(at) = self.partition_mut(partition) {
            at.unstable.get_or_insert(at.next);
        }
    }

    /// Shows what was held in the partitions that `lands` picks; whether nothing is held any more.
    pub(super) fn land(&mut self, mut lands: impl FnMut(Input) -> bool) -> bool {
        let topic = self.spec.topic;
        for (at, partition) in self.partitions.iter_mut().zip(0..) {
            if at.unstable.is_some() && lands(Input { topic, partition }) {
                at.unstable = None;
            }
        }
        self.partitions.iter().all(|at| at.unstable.is_none())
    }

    /// The oldest offset there is, and the end as a reader of committed records sees it.
    pub(super) fn bounds(&self, partition: i32) -> (i64, i64) {
        self.partition(partition).map_or((0, 0), |at| (at.start, at.end()))
    }

    /// Whether everything in the partition can be seen.
    pub(super) fn is_settled(&self, partition: i32) -> bool {
        self.partition(partition).is_none_or(|at| at.unstable.is_none())
    }

    /// Drops what is no longer wanted before an offset that every reader has passed. What no group reads
    /// is kept for whoever looks later, up to a bound.
    pub(super) fn trim(&mut self, partition: i32, before: i64, read_by_groups: bool) {
        let keep = match self.cleanup {
            Cleanup::Compact => return,
            Cleanup::BehindReaders if read_by_groups => 0,
            Cleanup::BehindReaders | Cleanup::Delete => MOST_KEPT_BYTES,
        };
        if let Some(at) = self.partition_mut(partition) {
            at.drop_before(before, keep);
        }
    }

    /// Drops everything before `offset`.
    pub(super) fn delete_before(&mut self, partition: i32, offset: i64) {
        if let Some(at) = self.partition_mut(partition) {
            at.drop_before(offset.min(at.next), 0);
            at.start = at.start.max(offset.min(at.next));
        }
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
        self.unstable.unwrap_or(self.next)
    }

    fn drop_before(&mut self, offset: i64, keep: usize) {
        while self.bytes > keep && self.records.front().is_some_and(|record| record.offset < offset) {
            if let Some(gone) = self.records.pop_front() {
                self.bytes -= weight(gone.key.as_ref(), gone.value.as_ref());
                self.start = gone.offset + 1;
            }
        }
    }

    /// Keeps the newest record of each key. Tombstones stay: a follower may not have read them yet.
    fn compact(&mut self) {
        let mut newest: HashMap<bytes::Bytes, i64> = HashMap::new();
        for record in &self.records {
            if let Some(key) = &record.key {
                newest.insert(key.clone(), record.offset);
            }
        }
        let stays: HashSet<i64> = newest.into_values().collect();
        self.records.retain(|record| record.key.is_none() || stays.contains(&record.offset));
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
        log.append(0, Timestamp::from_millis(0), record);
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
        for n in 0..10 {
            put(&mut log, "k", &n.to_string());
        }
        log.trim(0, 10, false);
        assert_eq!(log.bounds(0), (0, 10));
        log.trim(0, 7, true);
        assert_eq!(log.bounds(0), (7, 10));
    }

    #[test]
    fn a_partition_that_is_not_there_takes_nothing() {
        let mut log = log(Topic::People, &[]);
        let record =
            Outgoing { topic: Topic::People, partition: Some(2), key: None, value: None, headers: vec![] };
        assert_eq!(log.place(&record), None);
    }
}
