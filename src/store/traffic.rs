//! Traffic: what lanes write for one another and take in, and whether anything is under way between them.
//!
//! Who moves the clock by hand must not move it while something happens: [`Traffic::rest`] says when nothing
//! does, and until when nothing will. It knows the lanes of this process alone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::event::{Lane, Timestamp, Topic};

/// How a lane thread stands at the end of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// What time it was.
    pub at: Timestamp,
    /// When it has something to do next, if nothing comes.
    pub due: Option<Timestamp>,
    /// It has something to do now, or waits for somebody.
    pub is_busy: bool,
}

/// Nothing is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// When something is due next; `None`: nothing, ever.
    pub due: Option<Timestamp>,
}

/// What goes to and fro.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Records written to each topic that a lane reads.
    written: [AtomicU64; Topic::ALL.len()],
    /// Records of it that were taken in.
    taken: [AtomicU64; Topic::ALL.len()],
    pulses: Mutex<BTreeMap<(Lane, usize), Pulse>>,
}

/// The topics that lanes read.
fn topics() -> impl Iterator<Item = Topic> {
    Lane::ALL.into_iter().flat_map(Lane::inputs).copied()
}

fn count(of: &[AtomicU64; Topic::ALL.len()], topic: Topic, more: u64) {
    if let Some(count) = topics().position(|known| known == topic).and_then(|place| of.get(place)) {
        count.fetch_add(more, Ordering::SeqCst);
    }
}

// === impl Traffic ===

impl Traffic {
    /// Records were written, for good. Of a topic that no lane reads nothing is noted.
    pub fn written(&self, topic: Topic, records: u64) {
        count(&self.written, topic, records);
    }

    /// Records were taken in, for good: what they brought about was counted before.
    pub fn taken(&self, topic: Topic, records: u64) {
        count(&self.taken, topic, records);
    }

    /// A lane thread went round its loop.
    pub fn beat(&self, lane: Lane, thread: usize, pulse: Pulse) {
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner).insert((lane, thread), pulse);
    }

    /// A lane thread ended.
    pub fn ended(&self, lane: Lane, thread: usize) {
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner).remove(&(lane, thread));
    }

    /// When the thread of a lane that was round longest ago was round.
    pub fn oldest_beat(&self, lane: Lane) -> Option<Timestamp> {
        let pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
        pulses.iter().filter(|((of, _), _)| *of == lane).map(|(_, pulse)| pulse.at).min()
    }

    /// Whether all that was written is taken in, and every lane has looked at this time and has nothing to do.
    /// Whoever writes from outside counts that first ([`Traffic::written`]).
    #[must_use]
    pub fn rest(&self, now: Timestamp) -> Option<Rest> {
        let before = self.counts();
        let pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // What a lane wrote before it came to rest is counted by now.
        let after = self.counts();
        let is_through = before == after && before.iter().all(|(written, taken)| written == taken);
        let is_quiet =
            |pulse: &Pulse| pulse.at >= now && !pulse.is_busy && pulse.due.is_none_or(|due| due > now);
        let has_all = Lane::ALL.iter().all(|lane| pulses.keys().any(|(of, _)| of == lane));
        let is_at_rest = is_through && has_all && pulses.values().all(is_quiet);
        is_at_rest.then(|| Rest { due: pulses.values().filter_map(|pulse| pulse.due).min() })
    }

    fn counts(&self) -> [(u64, u64); Topic::ALL.len()] {
        let load = |count: &AtomicU64| count.load(Ordering::SeqCst);
        std::array::from_fn(|at| (load(&self.written[at]), load(&self.taken[at])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn quiet() -> Traffic {
        let traffic = Traffic::default();
        for lane in Lane::ALL {
            traffic.beat(lane, 0, Pulse { at: NOW, due: None, is_busy: false });
        }
        traffic
    }

    fn pulse(at: i64, due: Option<i64>, is_busy: bool) -> Pulse {
        Pulse { at: Timestamp::from_millis(at), due: due.map(Timestamp::from_millis), is_busy }
    }

    #[test]
    fn it_is_at_rest_until_the_first_that_is_due() {
        let traffic = quiet();
        assert_eq!(traffic.rest(NOW), Some(Rest { due: None }));
        traffic.beat(Lane::Person, 0, pulse(1_000, Some(9_000), false));
        traffic.beat(Lane::Subject, 0, pulse(1_000, Some(7_000), false));
        assert_eq!(traffic.rest(NOW), Some(Rest { due: Some(Timestamp::from_millis(7_000)) }));
    }

    #[test]
    fn it_is_not_at_rest_while_a_lane_works_or_has_not_looked_at_the_clock_or_has_not_begun() {
        for at_work in [pulse(1_000, None, true), pulse(999, None, false), pulse(1_000, Some(1_000), false)] {
            let traffic = quiet();
            traffic.beat(Lane::Delivery, 0, at_work);
            assert_eq!(traffic.rest(NOW), None, "{at_work:?}");
        }
        let traffic = quiet();
        traffic.ended(Lane::WriteBack, 0);
        assert_eq!(traffic.rest(NOW), None);
    }

    #[test]
    fn what_was_written_and_not_taken_in_is_under_way() {
        let traffic = quiet();
        traffic.written(Topic::Subjects, 2);
        traffic.taken(Topic::Subjects, 1);
        assert_eq!(traffic.rest(NOW), None);
        traffic.taken(Topic::Subjects, 1);
        traffic.written(Topic::Audit, 5);
        assert_eq!(traffic.rest(NOW), Some(Rest { due: None }));
    }
}
