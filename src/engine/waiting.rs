//! Waiting: a partition that does not run yet, and what it knows so far.

use super::shelf::{MOST_AGE, identities};
use super::station::Station;
use super::{Parts, count};
use crate::broker::{BrokerError, Input, Position};
use crate::clock::{self, Tick};
use crate::event::fact::SnapshotResult;
use crate::event::{Fact, Incoming, Lane, Origin, Topic};
use crate::flow::Cursor;
use crate::flow::memory::BrokenMemory;
use crate::store::snapshot_file::{Mark, Reached, Reader, Unusable};

/// A partition that does not run yet.
pub(super) struct Waiting {
    input: Input,
    pub(super) station: Station,
    pub(super) from: Option<Position>,
    /// The sequence of the committed note.
    pub(super) wanted: u64,
    /// How far each of its memory topics is known.
    pub(super) logs: Vec<Known>,
    /// Why it must not run.
    pub(super) broken: Option<BrokenMemory>,
    pub(super) entries: usize,
    pub(super) origin: Origin,
    /// The snapshot that is read before the topics are.
    file: Option<Reader>,
    /// Why what it began with is of no use.
    doubt: Option<Unusable>,
    /// When it was last known to know everything; of a copy.
    pub(super) fresh: Tick,
}

/// How far a memory topic is known.
#[derive(Debug, Default, Clone)]
pub(super) struct Known {
    /// The last sequence read.
    pub(super) reached: u64,
    /// Where it is read on; from its beginning without.
    pub(super) next: Option<i64>,
    /// What lies there.
    mark: Option<Mark>,
}

// === impl Waiting ===

impl Waiting {
    /// A partition that was assigned: with what a warm copy of it knows, or anew.
    pub(super) fn assigned(parts: &Parts, input: Input, from: Option<Position>) -> Result<Self, BrokerError> {
        if let Some(copy) = parts.shelf.take_warm(input) {
            count::tell(&parts.board, &Fact::Cold { lane: Lane::of(input.topic), input });
            if let Some(copy) = copy.promoted(from.clone())? {
                return Ok(copy);
            }
        }
        Self::new(parts, input, from)
    }

    /// A copy goes on where the group says; `None` where it is of no use for that.
    fn promoted(mut self, from: Option<Position>) -> Result<Option<Self>, BrokerError> {
        let cursor = note_of(from.as_ref())?;
        let known = self.logs.iter().map(|log| log.reached).max().unwrap_or_default();
        // What a transaction that was never committed did is nothing that happened.
        let is_ahead = from.is_some() && known > cursor.sequence;
        if is_ahead || self.broken.is_some() || self.fresh.elapsed() > MOST_AGE.to_duration() {
            let (input, committed) = (self.input, cursor.sequence);
            tracing::warn!(%input, known, committed, "a warm copy is of no use: memory is read anew");
            return Ok(None);
        }
        if let Some(from) = &from {
            self.station.lane.place((from.offset, &cursor));
        }
        if self.file.is_none() && self.entries > 0 {
            self.origin = Origin::Standby;
        }
        (self.wanted, self.from) = (cursor.sequence, from);
        Ok(Some(self))
    }

    /// A partition before anything of its memory was read; of a copy nobody says where it goes on.
    pub(super) fn new(parts: &Parts, input: Input, from: Option<Position>) -> Result<Self, BrokerError> {
        let mut waiting = Self {
            input,
            station: Station::begin(input, from.as_ref(), parts)?,
            wanted: note_of(from.as_ref())?.sequence,
            from,
            logs: vec![Known::default(); input.topic.memories().len()],
            broken: None,
            entries: 0,
            origin: Origin::Log,
            file: None,
            doubt: None,
            fresh: Tick::now(),
        };
        waiting.find_snapshot(parts)?;
        Ok(waiting)
    }

    fn find_snapshot(&mut self, parts: &Parts) -> Result<(), BrokerError> {
        if parts.shelf.folder().is_none() {
            return Ok(());
        }
        let topics = identities(parts.broker.as_ref(), self.input)?;
        let found = parts.shelf.open(self.input, &topics, clock::now()).and_then(|found| self.fitting(found));
        match found {
            Ok(None) => {}
            Ok(Some(reader)) => {
                self.origin = Origin::Snapshot;
                self.logs = reader.foot().logs.iter().map(Known::of).collect();
                self.file = Some(reader);
            }
            Err(unusable) => self.say(parts, &unusable),
        }
        Ok(())
    }

    /// What a transaction that was never committed did is nothing that happened.
    fn fitting(&self, found: Option<Reader>) -> Result<Option<Reader>, Unusable> {
        let known = |reader: &Reader| reader.foot().logs.iter().map(|log| log.sequence).max();
        let (committed, found_at) = (self.wanted, found.as_ref().and_then(known).unwrap_or_default());
        if self.from.is_some() && found_at > committed {
            return Err(Unusable::Ahead { found: found_at, committed });
        }
        Ok(found)
    }

    fn say(&self, parts: &Parts, unusable: &Unusable) {
        let file = parts.shelf.folder().map(|folder| folder.file_of(self.input));
        let file = file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
        tracing::warn!(input = %self.input, file, %unusable, "a snapshot is discarded: memory is read from its topics");
        count::tell(&parts.board, &Fact::Snapshot { result: SnapshotResult::Discarded });
    }

    /// Reads on in the snapshot; whether there is more of it.
    pub(super) fn read_snapshot(&mut self, parts: &Parts) -> Result<bool, BrokerError> {
        let Some(file) = &mut self.file else { return Ok(false) };
        match file.block() {
            Ok(None) => self.file = None,
            Ok(Some(block)) => {
                for kept in block {
                    let (log, record) = (kept.log, kept.record(self.input));
                    self.take_in(log, &record);
                }
                if let Some(broken) = self.broken.take() {
                    self.doubt = Some(Unusable::Unread(broken.to_string()));
                }
            }
            Err(unusable) => self.doubt = Some(unusable),
        }
        self.start_over(parts)?;
        Ok(self.file.is_some())
    }

    /// Forgets what it knows where that is of no use, and begins anew with its topics. Whether it did.
    pub(super) fn start_over(&mut self, parts: &Parts) -> Result<bool, BrokerError> {
        let Some(unusable) = self.doubt.take() else { return Ok(false) };
        self.say(parts, &unusable);
        self.station = Station::begin(self.input, self.from.as_ref(), parts)?;
        (self.file, self.origin, self.entries, self.broken) = (None, Origin::Log, 0, None);
        self.logs.fill(Known::default());
        Ok(true)
    }

    /// So far one of its topics was read. Who goes back in it reads another one.
    pub(super) fn reach(&mut self, (log, topic): (usize, Topic), next: i64) {
        let Some(known) = self.logs.get_mut(log) else { return };
        if known.next.replace(next).is_some_and(|before| next < before) {
            self.doubt(topic);
        }
    }

    /// What it began with does not lead on in this topic.
    pub(super) fn doubt(&mut self, topic: Topic) {
        self.doubt = Some(Unusable::Gap(topic));
    }

    /// A record of one of its memory topics, or of the snapshot.
    pub(super) fn read(&mut self, log: usize, record: &Incoming) {
        let mark = self.logs.get_mut(log).and_then(|known| known.mark.take());
        let compacted = record.input.topic.is_state();
        let same = |mark: Mark| {
            if record.offset == mark.offset { Mark::of(record) == mark } else { compacted }
        };
        if mark.is_some_and(|mark| !same(mark)) {
            self.doubt(record.input.topic);
        }
        self.take_in(log, record);
    }

    fn take_in(&mut self, log: usize, record: &Incoming) {
        if self.broken.is_some() {
            return;
        }
        match self.station.lane.restore(record, self.from.is_some()) {
            Ok(restored) => {
                self.entries += restored.entries;
                if let (Some(sequence), Some(known)) = (restored.sequence, self.logs.get_mut(log)) {
                    known.reached = sequence;
                }
            }
            Err(broken) => self.broken = Some(broken),
        }
    }

    /// The transaction that a log must be read up to: the last one; of state, the last that changed it.
    pub(super) fn wanted_of(&self, topic: Topic) -> u64 {
        if topic.is_state() { self.station.lane.position().1.state } else { self.wanted }
    }

    /// Whether something that was committed has not been read.
    pub(super) fn lacks(&self, log: usize, topic: Topic) -> bool {
        let reached = self.logs.get(log).map_or(0, |known| known.reached);
        self.broken.is_none() && reached < self.wanted_of(topic)
    }

    /// It has read a topic to its end, and must have met there what the snapshot met last: what is never
    /// compacted does not go.
    pub(super) fn has_met(&self, log: usize, topic: Topic) -> bool {
        topic.is_state() || self.logs.get(log).is_none_or(|known| known.mark.is_none())
    }
}

// === impl Known ===

impl Known {
    fn of(reached: &Reached) -> Self {
        Self { reached: reached.sequence, next: Some(reached.start()), mark: reached.last }
    }
}

fn note_of(from: Option<&Position>) -> Result<Cursor, BrokerError> {
    let Some(Position { offset, note }) = from else { return Ok(Cursor::default()) };
    Cursor::parse(note, *offset).map_err(|error| BrokerError::Fatal(error.to_string()))
}
