//! Recall: the memory topics of partitions that wait, read to where they may run.
//!
//! It knows no lane but by what all of them do: take records back, and say how far they have come.

use std::time::Duration;

use super::Parts;
use super::waiting::Waiting;
use crate::broker::{BrokerError, Follow, Input};
use crate::clock::Tick;
use crate::event::{ReadBack, Topic};

/// How long one look at the memory topics waits for records.
const LOOK: Duration = Duration::from_millis(2);
/// Between two questions whether transactions are still open: each costs a connection.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Between two lines about how far memory is.
const SAY_EVERY: Duration = Duration::from_secs(3);

/// What memory is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The partitions were assigned to this process, and run when all is read.
    Run,
    /// Others run them: it is read for the case that they end, and read on.
    Standby,
}

/// Partitions whose memory is read together: snapshots first, then the topics.
pub(super) struct Restoring {
    purpose: Purpose,
    topic: Topic,
    /// None before the snapshots are read.
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

// === impl Restoring ===

impl Restoring {
    /// Begins with these partitions of `topic`.
    pub(super) fn new(purpose: Purpose, topic: Topic, waiting: Vec<(Input, Option<Waiting>)>) -> Self {
        let now = Tick::now();
        Self { purpose, topic, logs: Vec::new(), waiting, began: now, said: now }
    }

    /// Reads on; says how far each partition is.
    pub(super) fn look(&mut self, parts: &Parts) -> Result<Vec<Looked>, BrokerError> {
        let mut ready = vec![false; self.waiting.len()];
        let mut progress = vec![(0, 0); self.waiting.len()];
        if self.logs.is_empty() && !self.read_snapshots(parts)? {
            self.open_logs(parts)?;
        }
        if !self.logs.is_empty() {
            ready.fill(true);
            for number in 0..self.logs.len() {
                self.read(number, &mut ready, &mut progress)?;
            }
            self.check(parts, &mut ready)?;
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

    /// Reads on in the snapshots; whether there is more of them.
    fn read_snapshots(&mut self, parts: &Parts) -> Result<bool, BrokerError> {
        let mut more = false;
        for (_, waiting) in &mut self.waiting {
            if let Some(waiting) = waiting {
                more |= waiting.read_snapshot(parts)?;
            }
        }
        Ok(more)
    }

    /// Opens the memory topics where the snapshots end, and of the other partitions at their beginnings.
    fn open_logs(&mut self, parts: &Parts) -> Result<(), BrokerError> {
        loop {
            let mut logs = Vec::new();
            for (number, topic) in self.topic.memories().iter().enumerate() {
                let next =
                    |waiting: &Option<Waiting>| waiting.as_ref().and_then(|it| it.logs.get(number)?.next);
                let from: Vec<_> =
                    self.waiting.iter().map(|(input, waiting)| (input.partition, next(waiting))).collect();
                let follow = parts.broker.recall(*topic, &from)?;
                let starts = follow.positions();
                for (at, (_, waiting)) in self.waiting.iter_mut().enumerate() {
                    let (from, start) = (from.get(at).and_then(|(_, from)| *from), starts.get(at).copied());
                    if let Some(waiting) = waiting.as_mut().filter(|_| from.is_some() && from != start) {
                        waiting.doubt(*topic);
                    }
                }
                logs.push(Log {
                    follow,
                    topic: *topic,
                    starts,
                    ends: Vec::new(),
                    ends_asked: None,
                    asked: None,
                });
            }
            if !self.start_over(parts)? {
                self.logs = logs;
                return Ok(());
            }
        }
    }

    /// Whether some partition had to forget what it knew.
    fn start_over(&mut self, parts: &Parts) -> Result<bool, BrokerError> {
        let mut some = false;
        for (_, waiting) in &mut self.waiting {
            if let Some(waiting) = waiting {
                some |= waiting.start_over(parts)?;
            }
        }
        Ok(some)
    }

    /// Where a topic turned out to be another one than before, its partition is read from the beginning, and
    /// the others go on where they are.
    fn check(&mut self, parts: &Parts, ready: &mut [bool]) -> Result<(), BrokerError> {
        for ((_, waiting), ready) in self.waiting.iter_mut().zip(ready.iter()) {
            let Some(waiting) = waiting.as_mut().filter(|_| *ready) else { continue };
            for (number, log) in self.logs.iter().enumerate() {
                if !waiting.has_met(number, log.topic) {
                    waiting.doubt(log.topic);
                }
            }
        }
        for (number, log) in self.logs.iter().enumerate() {
            for ((_, waiting), position) in self.waiting.iter_mut().zip(log.follow.positions()) {
                if let Some(waiting) = waiting {
                    waiting.reach((number, log.topic), position);
                }
            }
        }
        if self.start_over(parts)? {
            self.logs.clear();
            ready.fill(false);
        }
        Ok(())
    }

    /// Reads on in one log; says which partitions still wait for it, and how far they are.
    fn read(
        &mut self,
        number: usize,
        ready: &mut [bool],
        progress: &mut [(u64, u64)],
    ) -> Result<(), BrokerError> {
        let (Self { purpose, logs, waiting, .. }, mut records) = (self, Vec::new());
        let Some(log) = logs.get_mut(number) else { return Ok(()) };
        log.follow.poll(LOOK, &mut records)?;
        for record in &records {
            let owner = waiting.iter_mut().find(|(input, _)| input.partition == record.input.partition);
            if let Some((_, Some(waiting))) = owner {
                waiting.read(number, record);
            }
        }
        // A log without any page, whose transactions have all ended, was made anew, or all of it was dropped.
        // Asked before the ends are: an end of a transaction that arrives between moves them.
        let topic = log.topic;
        let lacking = |waiting: &Waiting| waiting.lacks(number, topic) && waiting.logs[number].reached == 0;
        let mut settled = waiting.iter().filter_map(|(_, waiting)| waiting.as_ref()).any(lacking)
            && log.asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY);
        if settled {
            log.asked = Some(Tick::now());
            settled = log.follow.is_settled()?;
        }
        let positions = log.follow.positions();
        log.ask_for_ends(*purpose, &positions, settled)?;
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
        if self.purpose == Purpose::Standby || self.said.elapsed() < SAY_EVERY {
            return;
        }
        self.said = Tick::now();
        for ((input, waiting), looked) in self.waiting.iter().zip(looked) {
            let Some(waiting) = waiting else { continue };
            let ReadBack { origin, read, of, entries, entries_per_second, eta_seconds } = looked.read_back;
            let from = origin.as_str();
            tracing::info!(%input, from, read, of, entries, entries_per_second, eta_seconds, "memory is being read");
            for (log, known) in self.logs.iter().zip(&waiting.logs) {
                let (memory, wanted, reached) = (log.topic, waiting.wanted_of(log.topic), known.reached);
                if read >= of && reached < wanted {
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
    /// The ends are asked for where somebody who is to run seems to have come to one, and now and then: each
    /// costs a question per partition.
    fn ask_for_ends(&mut self, purpose: Purpose, positions: &[i64], anew: bool) -> Result<(), BrokerError> {
        let there =
            purpose == Purpose::Run && positions.iter().zip(&self.ends).any(|(read, end)| read >= end);
        let old = self.ends_asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY);
        if anew || there || old {
            self.ends = self.follow.ends()?;
            self.ends_asked = Some(Tick::now());
        }
        Ok(())
    }
}
