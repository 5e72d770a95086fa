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
use crate::flow::memory::BrokenMemory;

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
    logs: Vec<Log>,
    /// As the follower counts them; `None` once one runs, or is gone.
    waiting: Vec<(Input, Option<Waiting>)>,
    began: Tick,
    said: Tick,
}

/// One of the topics that hold what the lanes remember.
struct Log {
    follow: Box<dyn Follow>,
    topic: Topic,
    asked: Option<Tick>,
}

/// A partition that does not run yet.
struct Waiting {
    station: Station,
    from: Option<Position>,
    /// The sequence of the committed note.
    wanted: u64,
    /// By log, the last sequence read.
    reached: Vec<u64>,
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
            assigned.entry(input.topic).or_default().push((input, position));
        }
        for (topic, partitions) in assigned {
            let numbers: Vec<i32> = partitions.iter().map(|(input, _)| input.partition).collect();
            let log = |topic: &Topic| {
                let follow = self.parts.broker.recall(*topic, &numbers)?;
                Ok(Log { follow, topic: *topic, asked: None })
            };
            let logs = topic.memories().iter().map(log).collect::<Result<Vec<_>, BrokerError>>()?;
            let waiting = partitions.into_iter().map(|(input, from)| {
                let station = self.station(input, from.as_ref())?;
                count::tell(&self.parts.board, &Fact::Restoring { lane: self.lane, input, read: 0, of: 0 });
                let (wanted, reached) = (note_of(from.as_ref())?.sequence, vec![0; logs.len()]);
                Ok((input, Some(Waiting { station, from, wanted, reached, broken: None, entries: 0 })))
            });
            let waiting = waiting.collect::<Result<_, BrokerError>>()?;
            let now = Tick::now();
            self.restoring.push(Restoring { logs, waiting, began: now, said: now });
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
        let mut ready = vec![true; restoring.waiting.len()];
        let mut progress = vec![(0, 0); restoring.waiting.len()];
        for number in 0..restoring.logs.len() {
            restoring.read(number, &mut ready, &mut progress)?;
        }
        let (lane, began) = (self.lane, restoring.began);
        for ((input, slot), (ready, (read, of))) in
            restoring.waiting.iter_mut().zip(ready.into_iter().zip(progress))
        {
            let (Some(waiting), input) = (slot.as_ref(), *input) else { continue };
            if !ready {
                count::tell(&self.parts.board, &Fact::Restoring { lane, input, read, of });
                continue;
            }
            let entries = waiting.entries;
            if waiting.broken.is_none() {
                tracing::info!(lane = lane.as_str(), %input, entries, took = ?began.elapsed(), "memory is read back");
            }
            count::tell(&self.parts.board, &Fact::Restored { lane, input, entries: entries as u64 });
            if let Some(waiting) = slot.take() {
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
        let Waiting { mut station, from, reached, broken, .. } = waiting;
        if let Some(broken) = broken {
            tracing::error!(%input, %broken, "the partition stops: what it remembers cannot be read");
            station.stopped = Some(format!("its memory cannot be read: {broken}"));
        } else {
            // The group forgot its offsets after a week without members; memory has not.
            let (offset, cursor) = station.lane.position();
            let remembered =
                (reached.first() > Some(&0)).then(|| Position { offset, note: cursor.note(offset) });
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
    /// Reads on in one log; says which partitions still wait for it, and how far they are.
    fn read(
        &mut self,
        number: usize,
        ready: &mut [bool],
        progress: &mut [(u64, u64)],
    ) -> Result<(), BrokerError> {
        let (Self { logs, waiting, .. }, mut records) = (self, Vec::new());
        let Some(log) = logs.get_mut(number) else { return Ok(()) };
        log.follow.poll(LOOK, &mut records)?;
        for record in &records {
            let owner = waiting.iter_mut().find(|(input, _)| input.partition == record.input.partition);
            if let Some((_, Some(waiting))) = owner {
                waiting.take_in(number, record);
            }
        }
        // A log without any page, whose transactions have all ended, was made anew, or all of it was dropped.
        // Asked before the ends are: an end of a transaction that arrives between moves them.
        let lacking = |waiting: &Waiting| waiting.lacks(number, log.topic) && waiting.reached[number] == 0;
        let mut settled = waiting.iter().filter_map(|(_, waiting)| waiting.as_ref()).any(lacking)
            && log.asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY);
        if settled {
            log.asked = Some(Tick::now());
            settled = log.follow.is_settled()?;
        }
        let ends = log.follow.ends()?;
        let positions = log.follow.positions();
        for (at, (input, waiting)) in waiting.iter().enumerate() {
            let (read, of) = (positions.get(at).copied(), ends.get(at).copied());
            let (Some(read), Some(of), Some(waiting)) = (read, of, waiting) else { continue };
            let nothing = settled && lacking(waiting);
            progress[at].0 += read.unsigned_abs();
            progress[at].1 += of.unsigned_abs();
            if read < of || (waiting.lacks(number, log.topic) && !nothing) {
                ready[at] = false;
            } else if nothing {
                let memory = log.topic;
                tracing::warn!(%input, %memory, "nothing is remembered: the memory topic holds nothing");
            }
        }
        Ok(())
    }

    fn say(&mut self) {
        if self.said.elapsed() < SAY_EVERY {
            return;
        }
        self.said = Tick::now();
        for (input, waiting) in &self.waiting {
            let Some(waiting) = waiting else { continue };
            for (log, read) in self.logs.iter().zip(&waiting.reached) {
                let (memory, wanted) = (log.topic, waiting.wanted_of(log.topic));
                if *read < wanted {
                    tracing::warn!(
                        %input, %memory, wanted, read,
                        "the partition waits: its memory does not reach its offset yet"
                    );
                }
            }
        }
    }
}

// === impl Waiting ===

impl Waiting {
    fn take_in(&mut self, log: usize, record: &Incoming) {
        if self.broken.is_some() {
            return;
        }
        match self.station.lane.restore(record, self.from.is_some()) {
            Ok(restored) => {
                self.entries += restored.entries;
                if let (Some(sequence), Some(reached)) = (restored.sequence, self.reached.get_mut(log)) {
                    *reached = sequence;
                }
            }
            Err(broken) => self.broken = Some(broken),
        }
    }

    /// The transaction that a log must be read up to: the last one; of state, the last that changed it.
    fn wanted_of(&self, topic: Topic) -> u64 {
        if topic == Topic::State { self.station.lane.position().1.state } else { self.wanted }
    }

    /// Whether something that was committed has not been read.
    fn lacks(&self, log: usize, topic: Topic) -> bool {
        let reached = self.reached.get(log).copied().unwrap_or_default();
        self.broken.is_none() && reached < self.wanted_of(topic)
    }
}
