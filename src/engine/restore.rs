//! Restore: a partition runs when it knows again what its owner before knew.
//!
//! Memory is read from the partition's memory topic, beside the lanes that run already. The offset and
//! its note were committed in one transaction with the last page, but the two topics show the end of a
//! transaction each in its own time: a partition runs only when the last page read has the sequence of
//! the committed note.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::broker::{BrokerError, Follow, Input, Link, Position};
use crate::clock::Tick;
use crate::event::{Fact, Incoming, Topic};
use crate::flow::Cursor;
use crate::flow::memory::{BrokenMemory, Page};

use super::count;
use super::lane_thread::LaneThread;
use super::station::Station;

/// How long one look at the memory topics waits for records.
const LOOK: Duration = Duration::from_millis(2);
/// Between two questions whether transactions are still open: each costs a connection.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Between two lines about memory that does not come.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Partitions that were assigned together, and whose memory is being read.
pub(super) struct Restoring {
    follow: Box<dyn Follow>,
    topic: Topic,
    /// As the follower counts them; `None` once one runs, or is gone.
    waiting: Vec<(Input, Option<Waiting>)>,
    began: Tick,
    asked: Option<Tick>,
    said: Tick,
}

/// A partition that does not run yet.
struct Waiting {
    station: Station,
    from: Option<Position>,
    /// The sequence of the committed note, and of the last page read.
    sequence: (u64, u64),
    /// Why it must not run.
    broken: Option<BrokenMemory>,
    entries: usize,
}

// === impl LaneThread ===

impl LaneThread {
    /// Begins to read back the memory of what was just assigned, and lets those run that know it all.
    pub(super) fn restore(&mut self, link: &mut dyn Link) -> Result<(), BrokerError> {
        let mut assigned: BTreeMap<Topic, Vec<(Input, Option<Position>)>> = BTreeMap::new();
        for (input, position) in self.assigned.drain(..) {
            match input.topic.memory() {
                Some(memory) => assigned.entry(memory).or_default().push((input, position)),
                None => continue,
            }
        }
        for (memory, partitions) in assigned {
            let numbers: Vec<i32> = partitions.iter().map(|(input, _)| input.partition).collect();
            let follow = self.parts.broker.recall(memory, &numbers)?;
            let waiting = partitions.into_iter().map(|(input, from)| {
                let station = self.station(input, from.as_ref())?;
                count::tell(&self.parts.board, &Fact::Restoring { lane: self.lane, input, read: 0, of: 0 });
                let wanted = note_of(from.as_ref())?.sequence;
                Ok((input, Some(Waiting { station, from, sequence: (wanted, 0), broken: None, entries: 0 })))
            });
            let waiting = waiting.collect::<Result<_, BrokerError>>()?;
            let now = Tick::now();
            self.restoring.push(Restoring {
                follow,
                topic: memory,
                waiting,
                began: now,
                asked: None,
                said: now,
            });
        }
        for mut restoring in std::mem::take(&mut self.restoring) {
            self.read_back(link, &mut restoring)?;
            if restoring.waiting.iter().any(|(_, waiting)| waiting.is_some()) {
                self.restoring.push(restoring);
            }
        }
        Ok(())
    }

    fn read_back(&mut self, link: &mut dyn Link, restoring: &mut Restoring) -> Result<(), BrokerError> {
        let mut records = Vec::new();
        restoring.follow.poll(LOOK, &mut records)?;
        for record in &records {
            restoring.take_in(record);
        }
        // A log without any page, whose transactions have all ended, was made anew, or all of it was dropped.
        // Asked before the ends are: an end of a transaction that arrives between moves them.
        let lacking = |waiting: &Waiting| waiting.lacks() && waiting.sequence.1 == 0;
        let mut settled = restoring.waiting.iter().filter_map(|(_, waiting)| waiting.as_ref()).any(lacking)
            && restoring.asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY);
        if settled {
            restoring.asked = Some(Tick::now());
            settled = restoring.follow.is_settled()?;
        }
        // The ends are asked for when nothing comes: a question to the cluster for each batch would cost more.
        let ends = restoring.follow.ends()?;
        let positions = restoring.follow.positions();
        let began = restoring.began;
        for (number, (input, slot)) in restoring.waiting.iter_mut().enumerate() {
            let (read, of) = (positions.get(number).copied(), ends.get(number).copied());
            let (Some(read), Some(of), Some(waiting)) = (read, of, slot.as_ref()) else { continue };
            let (lane, input) = (self.lane, *input);
            let nothing = settled && lacking(waiting);
            if read < of || (waiting.lacks() && !nothing) {
                let progress =
                    Fact::Restoring { lane, input, read: read.unsigned_abs(), of: of.unsigned_abs() };
                count::tell(&self.parts.board, &progress);
                continue;
            }
            if let Some(waiting) = slot.take() {
                let entries = waiting.entries;
                if nothing {
                    let memory = restoring.topic;
                    tracing::warn!(%input, %memory, "nothing is remembered: the memory topic holds nothing");
                }
                if waiting.broken.is_none() {
                    tracing::info!(lane = lane.as_str(), %input, entries, took = ?began.elapsed(), "memory is read back");
                }
                count::tell(&self.parts.board, &Fact::Restored { lane, input, entries: entries as u64 });
                self.run_restored(link, input, waiting)?;
            }
        }
        restoring.say();
        Ok(())
    }

    fn run_restored(
        &mut self,
        link: &mut dyn Link,
        input: Input,
        waiting: Waiting,
    ) -> Result<(), BrokerError> {
        let Waiting { mut station, from, sequence, broken, .. } = waiting;
        if let Some(broken) = broken {
            tracing::error!(%input, %broken, "the partition stops: what it remembers cannot be read");
            station.stopped = Some(format!("its memory cannot be read: {broken}"));
        } else {
            // The group forgot its offsets after a week without members; memory has not.
            let (offset, cursor) = station.lane.position();
            let remembered = (sequence.1 > 0).then(|| Position { offset, note: cursor.note(offset) });
            let position = from.or(remembered);
            link.start(input, position.as_ref())?;
            station.committed = position.map_or(0, |position| position.offset);
        }
        self.stations.insert(input, station);
        Ok(())
    }

    /// The partitions that are ours and do not run yet.
    pub(super) fn waiting_for_memory(&self) -> Vec<Input> {
        let reading = self.restoring.iter().flat_map(|restoring| &restoring.waiting).map(|(input, _)| *input);
        self.assigned.iter().map(|(input, _)| *input).chain(reading).collect()
    }

    /// What is not running yet and was given away.
    pub(super) fn forget_restoring(&mut self, inputs: &[Input]) {
        self.assigned.retain(|(input, _)| !inputs.contains(input));
        for restoring in &mut self.restoring {
            for (input, waiting) in &mut restoring.waiting {
                if inputs.contains(input) {
                    *waiting = None;
                }
            }
        }
        self.restoring.retain(|restoring| restoring.waiting.iter().any(|(_, waiting)| waiting.is_some()));
    }
}

fn note_of(from: Option<&Position>) -> Result<Cursor, BrokerError> {
    let Some(Position { offset, note }) = from else { return Ok(Cursor::default()) };
    Cursor::parse(note, *offset).map_err(|error| BrokerError::Fatal(error.to_string()))
}

// === impl Restoring ===

impl Restoring {
    fn take_in(&mut self, record: &Incoming) {
        let waiting = self.waiting.iter_mut().find(|(input, _)| input.partition == record.input.partition);
        if let Some((_, Some(waiting))) = waiting
            && waiting.broken.is_none()
            && let Err(broken) = waiting.take_in(record)
        {
            waiting.broken = Some(broken);
        }
    }

    fn say(&mut self) {
        if self.said.elapsed() < SAY_EVERY {
            return;
        }
        self.said = Tick::now();
        for (input, waiting) in &self.waiting {
            if let Some(Waiting { sequence: (wanted, read), .. }) = waiting {
                tracing::warn!(
                    %input, memory = %self.topic, wanted, read,
                    "the partition waits: its memory does not reach its offset yet"
                );
            }
        }
    }
}

// === impl Waiting ===

impl Waiting {
    fn take_in(&mut self, record: &Incoming) -> Result<(), BrokenMemory> {
        let page = Page::read(record.value.as_deref().unwrap_or_default())?;
        self.entries += self.station.lane.restore(&page, self.from.is_some())?;
        self.sequence.1 = page.cursor.sequence;
        Ok(())
    }

    /// Whether a page that was committed has not been read.
    fn lacks(&self) -> bool {
        let (wanted, read) = self.sequence;
        self.broken.is_none() && read < wanted
    }
}
