//! Commit: what the stations gathered leaves in one transaction, or is taken back as a whole.

use std::collections::BTreeMap;

use super::count;
use super::lane_thread::{BUSY_WAIT, LaneThread};
use super::station::world;
use crate::broker::{BrokerError, Effect, Input, Link, Position};
use crate::clock::Tick;
use crate::event::fact::CommitResult;
use crate::event::{Lane, Topic};
use crate::flow::Outbox;

/// How many records go to each topic.
fn written(effects: &[Effect]) -> BTreeMap<Topic, u64> {
    effects.iter().fold(BTreeMap::new(), |mut counts, effect| {
        *counts.entry(effect.record.topic).or_default() += 1;
        counts
    })
}

// === impl LaneThread ===

impl LaneThread {
    /// Everything gathered leaves, in one transaction.
    pub(super) fn commit(&mut self, link: &mut dyn Link) -> Result<(), BrokerError> {
        // Seen to be busy before what it took in counts as taken in: what the commit sets free, such as a batch to
        // be sent, is looked at in the next round.
        self.beat();
        self.gathering = None;
        let began = Tick::now();
        let (mut effects, mut positions, mut outs) = (Vec::new(), Vec::new(), Vec::new());
        {
            let people = self.parts.directory.view();
            let position = people.position();
            let muted = self.parts.mutes.view();
            let world = world(&self.parts, &self.rules, &muted, (&people, &position));
            for station in self.stations.values_mut().filter(|station| station.touched) {
                let mut out = std::mem::take(&mut station.out);
                station.lane.cut(self.now, &world, &mut out);
                let cause = station.input;
                effects.extend(
                    std::mem::take(&mut out.records).into_iter().map(|record| Effect { cause, record }),
                );
                let (offset, cursor) = station.lane.position();
                positions.push((cause, Position { offset, note: cursor.note(offset) }));
                outs.push((cause, out));
            }
        }
        if positions.is_empty() {
            return Ok(());
        }
        self.doubt_nothing(&positions)?;
        let records = outs.iter().map(|(_, out)| out.tally.records).sum();
        let written = written(&effects);
        match link.commit(effects, &positions) {
            Ok(()) => {
                self.committed = true;
                // What was written is counted before what it came of: at no moment all seems to be done.
                written.iter().for_each(|(topic, count)| self.parts.board.traffic.written(*topic, *count));
                for (input, position) in &positions {
                    if let Some(station) = self.stations.get_mut(input) {
                        station.committed = position.offset;
                    }
                }
                self.settle(&outs);
                count::commit(
                    &self.parts.board,
                    self.lane,
                    CommitResult::Committed,
                    (records, began.elapsed()),
                );
                count::progress(&self.parts.board, self.lane, self.now);
                Ok(())
            }
            Err(error @ BrokerError::Aborted(_)) => {
                tracing::warn!(lane = self.lane.as_str(), %error, "a transaction was taken back");
                count::commit(&self.parts.board, self.lane, CommitResult::Aborted, (0, began.elapsed()));
                self.take_back(link)
            }
            Err(error) => Err(error),
        }
    }

    /// Nothing is committed of a lane that took something on its disk for something that is not there. It is built
    /// anew, from its topics.
    fn doubt_nothing(&self, positions: &[(Input, Position)]) -> Result<(), BrokerError> {
        let mut touched = positions.iter().filter_map(|(input, _)| Some((*input, self.stations.get(input)?)));
        let doubtful = touched.find_map(|(input, station)| Some((input, station.lane.fault()?)));
        doubtful.map_or(Ok(()), |(input, fault)| {
            tracing::error!(%input, %fault, "what this partition keeps on disk cannot be read: nothing is committed, and its memory is read back from its topics");
            Err(BrokerError::Fatal(fault.to_string()))
        })
    }

    fn settle(&mut self, outs: &[(Input, Outbox)]) {
        for (input, out) in outs {
            if let Some(station) = self.stations.get_mut(input) {
                station.lane.settle(self.now);
                station.touched = false;
            }
            count::settled(&self.parts.board, self.lane, *input, out);
            self.parts.board.traffic.taken(input.topic, out.tally.records);
        }
    }

    /// Memory and input go back to the last commit.
    pub(super) fn take_back(&mut self, link: &mut dyn Link) -> Result<(), BrokerError> {
        for station in self.stations.values_mut() {
            station.lane.undo();
            station.forget_read();
            station.out = Outbox::default();
            // A delivery lane still has outcomes to write down.
            station.touched = self.lane == Lane::Delivery;
        }
        if self.lane == Lane::Delivery {
            self.gathering = Some(Tick::now());
        }
        link.rewind()?;
        self.rewound = true;
        self.pause(BUSY_WAIT);
        Ok(())
    }
}
