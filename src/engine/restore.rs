//! Restore: a partition runs when it knows again what its owner before knew.
//!
//! Memory is read from the partition's memory topics, beside the lanes that run already. The offset and
//! its note were committed in one transaction with the last page, but the two topics show the end of a
//! transaction each in its own time: a partition runs only when the last page read has the sequence of
//! the committed note.

use std::collections::BTreeMap;

use crate::broker::{BrokerError, Input, Link, Position};
use crate::clock;
use crate::event::{Fact, ReadBack, Span, Topic};

use super::count;
use super::lane_thread::LaneThread;
use super::recall::{Purpose, Restoring};
use super::station::Station;
use super::waiting::Waiting;

/// A clock that is further behind than this is wrong, or the one before was: nobody waits until it has come
/// that far.
const MOST_AHEAD: Span = Span::from_secs(600);

// === impl LaneThread ===

impl LaneThread {
    /// Begins to read back the memory of what was just assigned, and lets those run that know it all.
    pub(super) fn restore(&mut self, link: &mut dyn Link) -> Result<(), BrokerError> {
        let mut assigned: BTreeMap<Topic, Vec<(Input, Option<Position>)>> = BTreeMap::new();
        for (input, position) in self.assigned.drain(..) {
            assigned.entry(input.topic).or_default().push((input, position));
        }
        for (topic, partitions) in assigned {
            let waiting =
                partitions.into_iter().map(|(input, from)| Ok((input, Some(self.wait(input, from)?))));
            let waiting = waiting.collect::<Result<_, BrokerError>>()?;
            self.restoring.push(Restoring::new(Purpose::Run, topic, waiting));
        }
        for mut restoring in std::mem::take(&mut self.restoring) {
            self.read_back(link, &mut restoring)?;
            if restoring.waiting.iter().any(|(_, waiting)| waiting.is_some()) {
                self.restoring.push(restoring);
            }
        }
        Ok(())
    }

    fn wait(&self, input: Input, from: Option<Position>) -> Result<Waiting, BrokerError> {
        self.parts.shelf.hold(input);
        let waiting = Waiting::assigned(&self.parts, input, from)?;
        let read_back = ReadBack { origin: waiting.origin, ..ReadBack::default() };
        count::tell(&self.parts.board, &Fact::Restoring { lane: self.lane, input, read_back });
        Ok(waiting)
    }

    fn read_back(&mut self, link: &mut dyn Link, restoring: &mut Restoring) -> Result<(), BrokerError> {
        let looked = restoring.look(&self.parts)?;
        let (lane, began) = (self.lane, restoring.began);
        for ((input, slot), looked) in restoring.waiting.iter_mut().zip(looked) {
            let input = *input;
            if !looked.ready && slot.is_some() {
                let read_back = looked.read_back;
                count::tell(&self.parts.board, &Fact::Restoring { lane, input, read_back });
                continue;
            }
            let Some(mut waiting) = slot.take() else { continue };
            waiting.station.lane.restored();
            let (entries, origin, read) = (waiting.entries, waiting.origin, looked.read_back.read);
            if waiting.broken.is_none() {
                let (lane, from) = (lane.as_str(), origin.as_str());
                tracing::info!(lane, %input, entries, from, read, took = ?began.elapsed(), "memory is read back");
            }
            count::tell(&self.parts.board, &Fact::Restored { lane, input, entries: entries as u64, origin });
            self.run_restored(link, input, waiting)?;
        }
        Ok(())
    }

    fn run_restored(
        &mut self,
        link: &mut dyn Link,
        input: Input,
        waiting: Waiting,
    ) -> Result<(), BrokerError> {
        let Waiting { mut station, from, logs, broken, .. } = waiting;
        if let Some(broken) = broken {
            tracing::error!(%input, %broken, "the partition stops: what it remembers cannot be read");
            station.stopped = Some(format!("its memory cannot be read: {broken}"));
        } else {
            // The group forgot its offsets after a week without members; memory has not.
            let (offset, cursor) = station.lane.position();
            let remembered = logs.first().is_some_and(|known| known.reached > 0);
            let remembered = remembered.then(|| Position { offset, note: cursor.note(offset) });
            let position = from.or(remembered);
            link.start(input, position.as_ref())?;
            station.committed = position.map_or(0, |position| position.offset);
            if input.topic == Topic::Pushes {
                station.lane.bound(link.end(input)?);
            }
        }
        self.set_going(input, station);
        Ok(())
    }

    /// A partition runs. Time goes on from the latest moment anything was decided in it: what was over on a
    /// faster clock is not open again on a slower one.
    pub(super) fn set_going(&mut self, input: Input, station: Station) {
        let reached = station.lane.position().1.now;
        let ahead = reached.since(clock::now());
        if ahead <= MOST_AHEAD {
            self.now = self.now.max(reached);
        } else {
            tracing::error!(%input, %reached, ahead_s = ahead.millis() / 1_000, "whoever had this partition before has decided at a time that is far ahead of this clock, which is gone by; set the clocks of all instances");
        }
        self.stations.insert(input, station);
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
