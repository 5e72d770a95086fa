//! Rates: how fast things go, from totals looked at once a second.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::event::Timestamp;
use crate::store::view::{Hops, Snapshot};

/// How often totals are looked at.
pub(super) const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Over how many samples a rate is taken: long enough to read, short enough to see a change.
const WINDOW: usize = 6;

/// The totals of the last seconds.
#[derive(Debug, Default)]
pub struct Rates {
    samples: Mutex<VecDeque<Sample>>,
}

#[derive(Debug, Clone)]
struct Sample {
    at: Timestamp,
    sources: Vec<u64>,
    hops: Hops,
}

/// How much per second, over the last few seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PerSecond {
    /// Changes read, one per source system in the order of the snapshot.
    pub sources: Vec<f64>,
    /// Changes read.
    pub read: f64,
    /// Hearings handed to subjects.
    pub hearings: f64,
    /// Notices.
    pub notices: f64,
    /// Tellings owed.
    pub tellings: f64,
    /// Batches cut.
    pub batches: f64,
    /// Requests sent.
    pub requests: f64,
    /// Tellings accepted.
    pub told: f64,
}

// === impl Rates ===

impl Rates {
    /// Remembers the totals of a snapshot.
    pub fn sample(&self, snapshot: &Snapshot) {
        let sources = snapshot.sources.iter().map(|source| source.read).collect();
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.truncate(WINDOW - 1);
        samples.push_front(Sample { at: snapshot.at, sources, hops: snapshot.hops });
    }

    /// The rates up to `snapshot`; 0 before the first sample.
    #[must_use]
    pub fn until(&self, snapshot: &Snapshot) -> PerSecond {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = samples.back().cloned() else { return PerSecond::default() };
        drop(samples);
        let millis = snapshot.at.since(first.at).millis();
        if millis < 200 {
            return PerSecond::default();
        }
        let rate = |now: u64, then: u64| per_second(now.saturating_sub(then), millis);
        let (now, then) = (&snapshot.hops, &first.hops);
        let sources = snapshot.sources.iter().zip(&first.sources);
        PerSecond {
            sources: sources.map(|(source, then)| rate(source.read, *then)).collect(),
            read: rate(now.read, then.read),
            hearings: rate(now.hearings, then.hearings),
            notices: rate(now.notices, then.notices),
            tellings: rate(now.tellings, then.tellings),
            batches: rate(now.batches, then.batches),
            requests: rate(now.requests, then.requests),
            told: rate(now.told, then.told),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts of a few seconds, for people to read")]
fn per_second(count: u64, millis: i64) -> f64 {
    let rate = count as f64 * 1_000.0 / millis as f64;
    (rate * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Fact, Source, Span};
    use crate::store::view::Board;

    #[test]
    fn a_rate_is_taken_over_the_last_seconds_alone() {
        let start = Timestamp::from_millis(0);
        let board = Board::new(start);
        let rates = Rates::default();
        for second in 0..60 {
            let snapshot = board.snapshot(start + Span::from_secs(second));
            rates.sample(&snapshot);
            let count = if second < 30 { 1_000 } else { 50 };
            board.note(&Fact::Read { source: Source::Bws, count });
        }
        let per_second = rates.until(&board.snapshot(start + Span::from_secs(60)));
        assert!((per_second.read - 50.0).abs() < 0.1, "{per_second:?}");
        assert_eq!(per_second.sources.len(), 4);
    }

    #[test]
    fn nothing_is_said_before_the_first_second() {
        let board = Board::new(Timestamp::from_millis(0));
        assert_eq!(Rates::default().until(&board.snapshot(Timestamp::from_millis(0))), PerSecond::default());
    }
}
