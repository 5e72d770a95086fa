//! Snapshots: the memory of this process's partitions, written to its disk now and then.
//!
//! A snapshot is made of the one before and of what the memory topics said since: the lanes have no part in
//! it and lose no time. So it holds what was committed, and only that, and costs the reading of what is new
//! and the writing of what still counts.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;

use super::shelf::identities;
use super::{Parts, count};
use crate::broker::{BrokerError, Follow, Input, Topic};
use crate::clock::{self, Tick};
use crate::event::fact::SnapshotResult;
use crate::event::{Fact, Incoming, Span, Timestamp};
use crate::flow::memory::{BrokenMemory, Gist};
use crate::store::snapshot_file::{Foot, Kept, Mark, Reached, Reader, Unusable, Writer};

/// How long one look at a memory topic waits for records.
const LOOK: Duration = Duration::from_millis(20);
/// Between two looks whether it is time.
const REST: Duration = Duration::from_millis(100);
/// One snapshot is written with what could be read in this time; the next one has the rest.
const PATIENCE: Duration = Duration::from_secs(120);
/// All of them together, where the process is to end.
const LAST: Duration = Duration::from_secs(10);
/// The most bytes of a compacted topic that are read at once.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// What did not change is said to be so again: an old snapshot does not count.
const SAID_AGAIN: Span = Span::from_secs(3_600);

/// Who writes snapshots.
pub struct Snapshots {
    parts: Parts,
    due: BTreeSet<Input>,
}

/// What came of writing one.
enum Wrote {
    /// There was nothing new.
    Nothing,
    /// All there is.
    All(u64),
    /// There is more.
    Some(u64),
}

/// Why one was not written.
#[derive(Debug, thiserror::Error)]
enum NotWritten {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("the file cannot be written: {0}")]
    Io(#[from] io::Error),
    #[error("a record of memory cannot be read: {0}")]
    Broken(#[from] BrokenMemory),
    #[error("the snapshot before: {0}")]
    Before(#[from] Unusable),
}

/// What a memory topic said since the snapshot before.
struct News {
    number: usize,
    topic: Topic,
    follow: Box<dyn Follow>,
    /// Where it was begun to be read, where it is read on, and up to where.
    start: i64,
    next: i64,
    end: i64,
    reached: Reached,
    /// What must be met first.
    mark: Option<Mark>,
    last: Option<Incoming>,
}

/// The newest record of each key, in the order of their offsets.
#[derive(Default)]
struct Newest {
    places: HashMap<Bytes, usize>,
    records: Vec<Option<Kept>>,
    bytes: usize,
}

// === impl Snapshots ===

impl Snapshots {
    /// Who writes them for these parts; nobody where there is no folder.
    #[must_use]
    pub fn new(parts: &Parts) -> Option<Self> {
        parts.shelf.folder()?;
        Some(Self { parts: parts.clone(), due: BTreeSet::new() })
    }

    /// Writes them until stopped, and once more then.
    pub(super) fn run(mut self, every: Duration, stop: &AtomicBool) {
        let mut began = Tick::now();
        while !stop.load(Ordering::Relaxed) {
            if began.elapsed() >= every {
                began = Tick::now();
                self.due.extend(self.parts.shelf.changed());
            }
            if !self.write_next(PATIENCE) {
                clock::sleep(REST);
            }
        }
        self.write_all(LAST);
    }

    /// Writes one of each partition that was held since the last time.
    pub fn write_all(&mut self, within: Duration) {
        let began = Tick::now();
        self.due.extend(self.parts.shelf.changed());
        while began.elapsed() < within && self.write_next(within.saturating_sub(began.elapsed())) {}
    }

    /// Writes one that is due; `false` when none is.
    fn write_next(&mut self, within: Duration) -> bool {
        let Some(input) = self.due.pop_first() else { return false };
        let began = Tick::now();
        let result = match self.write(input, within) {
            Ok(Wrote::Nothing) => return true,
            Ok(Wrote::All(bytes)) => {
                tracing::debug!(%input, bytes, took = ?began.elapsed(), "a snapshot is written");
                SnapshotResult::Written
            }
            Ok(Wrote::Some(bytes)) => {
                tracing::debug!(%input, bytes, took = ?began.elapsed(), "a part of a snapshot is written");
                self.due.insert(input);
                SnapshotResult::Written
            }
            Err(error) => {
                tracing::warn!(%input, %error, "a snapshot is not written: a restart reads what is missing from Kafka");
                SnapshotResult::Failed
            }
        };
        count::tell(&self.parts.board, &Fact::Snapshot { result });
        true
    }

    fn write(&self, input: Input, within: Duration) -> Result<Wrote, NotWritten> {
        let parts = &self.parts;
        let Some(path) = parts.shelf.folder().map(|folder| folder.file_of(input)) else {
            return Ok(Wrote::Nothing);
        };
        let topics = identities(parts.broker.as_ref(), input)?;
        let before = match parts.shelf.open(input, &topics, clock::now()) {
            Ok(before) => before,
            Err(unusable) => return self.write_anew((input, &path), &topics, &unusable, within),
        };
        match self.write_after(before, (input, &path), &topics, within) {
            Err(NotWritten::Before(unusable)) => self.write_anew((input, &path), &topics, &unusable, within),
            written => written,
        }
    }

    fn write_anew(
        &self,
        (input, path): (Input, &Path),
        topics: &[String],
        unusable: &Unusable,
        within: Duration,
    ) -> Result<Wrote, NotWritten> {
        let file = path.display();
        tracing::warn!(%input, %file, %unusable, "a snapshot is discarded: it is made anew from the topics");
        count::tell(&self.parts.board, &Fact::Snapshot { result: SnapshotResult::Discarded });
        self.write_after(None, (input, path), topics, within)
    }

    fn write_after(
        &self,
        before: Option<Reader>,
        (input, path): (Input, &Path),
        topics: &[String],
        within: Duration,
    ) -> Result<Wrote, NotWritten> {
        let (began, read_at) = (Tick::now(), clock::now());
        let mut news = self.open(input, topics, before.as_ref())?;
        let nothing_new = before.is_some() && news.iter().all(|news| news.end == news.reached.next);
        let said = before.as_ref().map(|before| before.foot().read_at);
        if nothing_new && said.is_some_and(|said| read_at.since(said) < SAID_AGAIN) {
            return Ok(Wrote::Nothing);
        }
        let in_time = || began.elapsed() < within;
        // What is compacted first: what is new of it takes the place of what is old.
        let mut newest = Newest::default();
        for news in news.iter_mut().filter(|news| news.topic.is_state()) {
            while newest.bytes < MOST_BYTES
                && in_time()
                && news.read(|kept| {
                    newest.put(kept);
                    Ok(())
                })?
            {}
        }
        let mut writer = Writer::create(path)?;
        if let Some(mut before) = before {
            while let Some(block) = before.block()? {
                let counts = |kept: &&Kept| {
                    news.get(kept.log).is_some_and(|news| news.keeps(kept)) && !newest.replaces(kept)
                };
                block.iter().filter(counts).try_for_each(|kept| writer.put(kept))?;
            }
        }
        for news in news.iter_mut().filter(|news| !news.topic.is_state()) {
            let mut held_back: Option<Kept> = None;
            // A page that says nothing but where the lane was is kept only as the last one.
            while in_time()
                && news.read(|kept| {
                    let before = held_back.replace(kept);
                    before
                        .filter(|before| before.until > Timestamp::default())
                        .map_or(Ok(()), |it| writer.put(&it))
                })?
            {}
            held_back.map_or(Ok(()), |kept| writer.put(&kept))?;
        }
        newest.records.iter().flatten().try_for_each(|kept| writer.put(kept))?;
        let all = news.iter().all(News::is_read);
        let logs = news.into_iter().map(News::end).collect();
        let bytes = writer.finish(Foot { partition: input.partition, read_at, logs, blocks: 0 })?;
        Ok(if all { Wrote::All(bytes) } else { Wrote::Some(bytes) })
    }

    fn open(
        &self,
        input: Input,
        topics: &[String],
        before: Option<&Reader>,
    ) -> Result<Vec<News>, NotWritten> {
        let mut all = Vec::new();
        for (number, (topic, name)) in input.topic.memories().iter().zip(topics).enumerate() {
            let known = before.and_then(|before| before.foot().logs.get(number));
            let from = known.map(Reached::start);
            let mut follow = self.parts.broker.recall(*topic, &[(input.partition, from)])?;
            let start = follow.positions().first().copied().unwrap_or_default();
            if from.is_some_and(|from| from != start) {
                return Err(Unusable::Gap(*topic).into());
            }
            let end = follow.ends()?.first().copied().unwrap_or_default();
            let new = || Reached { topic: name.clone(), next: start, ..Reached::default() };
            let reached = known.cloned().unwrap_or_else(new);
            let mark = reached.last;
            let (topic, next) = (*topic, start);
            all.push(News { number, topic, follow, start, next, end, reached, mark, last: None });
        }
        Ok(all)
    }
}

// === impl News ===

impl News {
    /// Reads on; `false` when all was read that there was at the beginning.
    fn read(&mut self, mut take: impl FnMut(Kept) -> io::Result<()>) -> Result<bool, NotWritten> {
        if self.is_read() {
            return Ok(false);
        }
        let mut records = Vec::new();
        self.follow.poll(LOOK, &mut records)?;
        for record in records {
            if let Some(mark) = self.mark.take() {
                let same = if record.offset == mark.offset {
                    Mark::of(&record) == mark
                } else {
                    self.topic.is_state()
                };
                if !same {
                    return Err(Unusable::Gap(self.topic).into());
                }
            }
            let gist = Gist::of(&record)?;
            self.reached.sequence = self.reached.sequence.max(gist.sequence.unwrap_or_default());
            self.reached.newest = self.reached.newest.max(gist.newest);
            self.last = Some(record.clone());
            let Incoming { offset, timestamp: at, key, value, .. } = record;
            // Of a record without a value only the key counts: what was under it is gone.
            let (until, value) = (gist.until, value.unwrap_or_default());
            let until = if gist.is_empty && gist.sequence.is_none() { Timestamp::default() } else { until };
            take(Kept { log: self.number, offset, at, until, key, value })?;
        }
        self.next = self.follow.positions().first().copied().unwrap_or(self.next);
        Ok(true)
    }

    fn is_read(&self) -> bool {
        self.next >= self.end
    }

    /// Whether a record of the snapshot before still counts, and is not read again.
    fn keeps(&self, kept: &Kept) -> bool {
        self.topic.is_state() || (kept.offset < self.start && kept.until >= self.reached.newest)
    }

    fn end(self) -> Reached {
        let last = self.last.as_ref().map(Mark::of).or(self.reached.last);
        Reached { next: self.next, last, ..self.reached }
    }
}

// === impl Newest ===

impl Newest {
    fn put(&mut self, kept: Kept) {
        let Some(key) = kept.key.clone() else { return };
        self.bytes += key.len() + kept.value.len();
        if let Some(before) = self.places.insert(key, self.records.len())
            && let Some(before) = self.records.get_mut(before).and_then(Option::take)
        {
            self.bytes -= before.value.len();
        }
        // Gone, but remembered as such: what lies in the snapshot before is gone, too.
        let gone = kept.until == Timestamp::default();
        self.records.push((!gone).then_some(kept));
    }

    /// Whether something newer is known of a key.
    fn replaces(&self, kept: &Kept) -> bool {
        kept.key.as_ref().is_some_and(|key| self.places.contains_key(key))
    }
}
