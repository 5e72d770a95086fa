//! Publishing: the load's events while the lanes run, at a pace.

use std::time::Duration;

use super::NoResult;
use crate::app::App;
use crate::broker::Broker;
use crate::clock::{self, Tick};
use crate::event::Outgoing;
use crate::sample::load::Load;

/// Publishes while the lanes run, at a pace.
pub(super) struct Publishing {
    pub(super) rate: Option<u64>,
    pub(super) events: u64,
    /// How long durations do not count; `None` when that is over.
    pub(super) warm_up: Option<Duration>,
    pub(super) began: Option<Tick>,
}

// === impl Publishing ===

impl Publishing {
    /// Publishes what is due; `true` when nothing is left to publish.
    pub(super) fn step(&mut self, load: &mut Load, broker: &dyn Broker, app: &App) -> Result<bool, NoResult> {
        let Some(rate) = self.rate else { return Ok(true) };
        let held = || app.board.snapshot(clock::now()).lanes.iter().all(|lane| lane.partitions > 0);
        if self.began.is_none() && !held() {
            return Ok(false);
        }
        let began = *self.began.get_or_insert_with(Tick::now);
        if self.warm_up.is_some_and(|warm_up| began.elapsed() >= warm_up) {
            self.warm_up = None;
            app.board.forget_latencies();
        }
        let due = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_mul(rate) / 1_000;
        let count = due.min(self.events).saturating_sub(load.made);
        let records: Vec<Outgoing> = (0..count).map(|_| load.next_record()).collect();
        broker.publish(records)?;
        Ok(load.made >= self.events)
    }
}
