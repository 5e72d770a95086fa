//! Recall: the memory topics of partitions that wait, read to where they may run.
//!
//! It knows no lane but by what all of them do: take records back, and say how far they have come.

use std::time::Duration;

use crate::broker::{Broker, BrokerError, Follow, Input, Position};
use crate::clock::Tick;
use crate::event::{Incoming, Origin, ReadBack, Topic};
use crate::flow::memory::BrokenMemory;

use super::station::Station;

/// How long one look at the memory topics waits for records.
const LOOK: Duration = Duration::from_millis(2);
/// Between two questions whether transactions are still open: each costs a connection.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Between two lines about how far memory is.
const SAY_EVERY: Duration = Duration::from_secs(3);

/// Partitions that were assigned together, and whose memory is being read.
pub(super) struct Restoring {
    logs: Vec<Log>,
    /// As the follower counts them; `None` once one runs, or is gone.
    pub(super) waiting: Vec<(Input, Option<Waiting>)>,
    pub(super) began: Tick,
    said: Tick,
}

/// How far one partition is after a look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looked {
    /// It knows everything that was committed.
    pub(super) ready: bool,
    pub(super) read_back: ReadBack,
}

/// One of the topics that hold what the lanes remember.
struct Log {
    follow: Box<dyn Follow>,
    topic: Topic,
    /// Where each partition begins to be read.
    starts: Vec<i64>,
    /// Where each partition ended when that was asked last: it is no nearer since.
    ends: Vec<i64>,
    ends_asked: Option<Tick>,
    asked: Option<Tick>,
}

/// A partition that does not run yet.
pub(super) struct Waiting {
    pub(super) station: Station,
    pub(super) from: Option<Position>,
    /// The sequence of the committed note.
    pub(super) wanted: u64,
    /// By log, the last sequence read.
    pub(super) reached: Vec<u64>,
    /// Why it must not run.
    pub(super) broken: Option<BrokenMemory>,
    pub(super) entries: usize,
    pub(super) origin: Origin,
}

// === impl Restoring ===

impl Restoring {
    /// Opens the memory topics of these partitions of `topic`.
    pub(super) fn open(
        broker: &dyn Broker,
        topic: Topic,
        waiting: Vec<(Input, Option<Waiting>)>,
    ) -> Result<Self, BrokerError> {
        let numbers: Vec<i32> = waiting.iter().map(|(input, _)| input.partition).collect();
        let log = |topic: &Topic| {
            let follow = broker.recall(*topic, &numbers)?;
            let starts = follow.positions();
            Ok(Log { follow, topic: *topic, starts, ends: Vec::new(), ends_asked: None, asked: None })
        };
        let logs = topic.memories().iter().map(log).collect::<Result<Vec<_>, BrokerError>>()?;
        let now = Tick::now();
        Ok(Self { logs, waiting, began: now, said: now })
    }

    /// Reads on in all logs; says how far each partition is.
    pub(super) fn look(&mut self) -> Result<Vec<Looked>, BrokerError> {
        let mut ready = vec![true; self.waiting.len()];
        let mut progress = vec![(0, 0); self.waiting.len()];
        for number in 0..self.logs.len() {
            self.read(number, &mut ready, &mut progress)?;
        }
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut looked = Vec::with_capacity(ready.len());
        for ((ready, progress), (_, waiting)) in ready.into_iter().zip(progress).zip(&self.waiting) {
            let (origin, entries) =
                waiting.as_ref().map_or_else(Default::default, |waiting| (waiting.origin, waiting.entries));
            looked
                .push(Looked { ready, read_back: ReadBack::after(origin, progress, entries as u64, millis) });
        }
        self.say(&looked);
        Ok(looked)
    }

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
        let topic = log.topic;
        let lacking = |waiting: &Waiting| waiting.lacks(number, topic) && waiting.reached[number] == 0;
        let mut settled = waiting.iter().filter_map(|(_, waiting)| waiting.as_ref()).any(lacking)
            && log.asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY);
        if settled {
            log.asked = Some(Tick::now());
            settled = log.follow.is_settled()?;
        }
        let positions = log.follow.positions();
        log.ask_for_ends(&positions, settled)?;
        for (at, (input, waiting)) in waiting.iter().enumerate() {
            let (read, of) = (positions.get(at).copied(), log.ends.get(at).copied());
            let (Some(read), Some(of), Some(waiting)) = (read, of, waiting) else { continue };
            let nothing = settled && lacking(waiting);
            let start = log.starts.get(at).copied().unwrap_or_default();
            progress[at].0 += u64::try_from(read - start).unwrap_or_default();
            progress[at].1 += u64::try_from(of - start).unwrap_or_default();
            if read < of || (waiting.lacks(number, log.topic) && !nothing) {
                ready[at] = false;
            } else if nothing {
                let memory = log.topic;
                tracing::warn!(%input, %memory, "nothing is remembered: the memory topic holds nothing");
            }
        }
        Ok(())
    }

    fn say(&mut self, looked: &[Looked]) {
        if self.said.elapsed() < SAY_EVERY {
            return;
        }
        self.said = Tick::now();
        for ((input, waiting), looked) in self.waiting.iter().zip(looked) {
            let Some(waiting) = waiting else { continue };
            let ReadBack { origin, read, of, entries, entries_per_second, eta_seconds } = looked.read_back;
            let from = origin.as_str();
            tracing::info!(%input, from, read, of, entries, entries_per_second, eta_seconds, "memory is being read");
            for (log, reached) in self.logs.iter().zip(&waiting.reached) {
                let (memory, wanted) = (log.topic, waiting.wanted_of(log.topic));
                if read >= of && *reached < wanted {
                    tracing::warn!(
                        %input, %memory, wanted, reached,
                        "the partition waits: its memory does not reach its offset yet"
                    );
                }
            }
        }
    }
}

// === impl Log ===

impl Log {
    /// The ends are asked for where somebody seems to have come to one, and now and then: each costs a
    /// question per partition.
    fn ask_for_ends(&mut self, positions: &[i64], anew: bool) -> Result<(), BrokerError> {
        let there = positions.iter().zip(&self.ends).any(|(read, end)| read >= end);
        let old = self.ends_asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY);
        if anew || there || old {
            self.ends = self.follow.ends()?;
            self.ends_asked = Some(Tick::now());
        }
        Ok(())
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
        if topic.is_state() { self.station.lane.position().1.state } else { self.wanted }
    }

    /// Whether something that was committed has not been read.
    fn lacks(&self, log: usize, topic: Topic) -> bool {
        let reached = self.reached.get(log).copied().unwrap_or_default();
        self.broken.is_none() && reached < self.wanted_of(topic)
    }
}
