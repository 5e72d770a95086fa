//! Report: what a lane thread says about itself now and then, and the sweeping up behind it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::count;
use super::lane_thread::LaneThread;
use crate::broker::{BrokerError, Input, Link};
use crate::event::fact::StateUsed;
use crate::event::{Fact, Span, Topic};
use crate::store::traffic::Pulse;

/// How often finished records of our own topics are dropped, and how many are kept for a look back.
pub(super) const TRIM_EVERY: Duration = Duration::from_secs(60);
const KEPT_BEHIND: i64 = 1_000;
// === impl LaneThread ===

impl LaneThread {
    /// Says how far each partition is behind.
    pub(super) fn report(&mut self, link: &mut dyn Link) -> Result<(), BrokerError> {
        let inputs: Vec<Input> = self.stations.keys().copied().collect();
        for (station, end) in self.stations.values().zip(link.ends(&inputs)?) {
            let read = link.position(station.input)?.unwrap_or(end);
            let unread = (end - read).max(0) + i64::try_from(station.backlog.len()).unwrap_or(i64::MAX);
            let oldest =
                station.backlog.front().map_or(Span::ZERO, |record| self.now.since(record.timestamp));
            count::lag(&self.parts.board, self.lane, station.input, (unread, oldest));
            if let Some(matters) = station.lane.open() {
                count::open(&self.parts.board, station.input, matters);
            }
            for state in station.lane.accounts() {
                count::tell(&self.parts.board, &Fact::Account { input: station.input, state });
            }
        }
        self.tell_state();
        self.tell_held();
        self.tell_awaited();
        if self.gathering.is_none() && self.stations.values().all(|station| station.backlog.is_empty()) {
            count::progress(&self.parts.board, self.lane, self.now);
        }
        Ok(())
    }

    /// Says how it stands.
    pub(super) fn beat(&self) {
        self.parts.board.traffic.beat(self.lane, self.slot, self.pulse());
    }

    fn pulse(&self) -> Pulse {
        let stations = self.stations.values();
        let is_waiting = stations.clone().any(|station| station.is_ready() || station.is_waiting());
        let restores = !self.restoring.is_empty() || !self.assigned.is_empty();
        Pulse {
            at: self.now,
            due: stations.filter_map(|station| station.lane.wake_at()).min(),
            is_busy: self.gathering.is_some()
                || self.under_way > 0
                || self.holding
                || self.stations.is_empty()
                || is_waiting
                || restores,
        }
    }

    /// Drops what lies behind the committed offsets of our own topics: their retention has no end, for
    /// expiry is a verdict given by a lane and never by the broker.
    pub(super) fn trim(&self) {
        let ours = self.stations.values().filter(|station| !matches!(station.input.topic, Topic::Events(_)));
        let before: Vec<(Input, i64)> = ours
            .map(|station| (station.input, station.committed - KEPT_BEHIND))
            .filter(|(_, before)| *before > 0)
            .collect();
        if let Err(error) = self.parts.broker.trim(&before) {
            tracing::warn!(lane = self.lane.as_str(), %error, "finished records could not be dropped");
        }
    }

    /// Says how much lies in memory and how much on disk, and what the disk did not take.
    fn tell_state(&self) {
        let spill = &self.parts.plan.spill;
        let (waited, is_long) = spill.waited(self.now);
        let used = StateUsed { waited, ..spill.used() };
        count::tell(&self.parts.board, &Fact::State { used });
        if is_long {
            tracing::warn!(%waited, bytes = used.here.bytes, "the disk of `state.dir` takes nothing more: what is to lie on it stays in memory, beyond `state.memory_mib`, and lanes may stand still; give it a faster disk, or raise `state.memory_mib`");
        }
        if let Some(fault) = spill.take_fault() {
            tracing::error!(%fault, "the disk refuses entries of `state.dir`: they stay in memory, beyond `state.memory_mib`; make room or mend the disk, and start this process again");
        }
    }

    /// Says how many partitions the lane holds in this process.
    fn tell_held(&mut self) {
        self.held.fetch_add(self.stations.len(), Ordering::Relaxed);
        let held = self.held.fetch_sub(self.holds, Ordering::Relaxed) - self.holds;
        self.holds = self.stations.len();
        count::assigned(&self.parts.board, self.lane, held);
    }
}
