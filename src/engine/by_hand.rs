//! By hand: one lane without a thread, turned by whoever holds it, for simulations.
//!
//! Time should stand still ([`crate::clock::Still`]) on the thread that turns it: then nothing waits, and
//! what happens is decided by the order of the turns alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::fetch::Fetches;
use super::lane_thread::LaneThread;
use super::sender::Requests;
use super::{Parts, Settings, Stop};
use crate::event::record::Input;
use crate::event::{Lane, Timestamp};

/// A lane of one instance. Dropping it is a crash: nothing is committed, nothing let go in order.
pub struct ByHand(LaneThread);

// === impl ByHand ===

impl ByHand {
    /// The lane of this kind, which joins its group with the first turn.
    #[must_use]
    pub fn new(lane: Lane, parts: &Parts, settings: &Settings) -> Self {
        let (stop, held) = (Arc::<Stop>::default(), Arc::new(AtomicUsize::new(0)));
        let (requests, fetches) = (Requests::new(settings.in_flight), Fetches::default());
        Self(LaneThread::new((lane, 0), parts, settings, (&stop, &held, &requests, &fetches)))
    }

    /// Goes round once: poll, admit, cut, commit, as far as there is something to do.
    pub fn turn(&mut self) {
        self.0.turn();
    }

    /// Of each partition that runs here, a digest of what its lane remembers that counts after `at`.
    #[must_use]
    pub fn memories(&self, at: Timestamp) -> BTreeMap<Input, u128> {
        self.0.stations.iter().map(|(input, station)| (*input, station.lane.digest(at))).collect()
    }

    /// Commits what is done and lets go, as at the end of a process that is asked to stop.
    pub fn end(mut self) {
        self.0.end();
    }
}
