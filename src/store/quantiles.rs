//! Quantiles: how long things take, in a fixed amount of memory.
//!
//! Good to about a tenth of the value, for the live page; Prometheus has histograms of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets grow by a tenth from 1 ms; 240 of them reach beyond a hundred days.
const BUCKETS: usize = 240;
const GROWTH: f64 = 1.1;

/// Counts of durations by size.
#[derive(Debug)]
pub(super) struct Latencies {
    buckets: [AtomicU64; BUCKETS],
}

// === impl Latencies ===

impl Default for Latencies {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS] }
    }
}

impl Latencies {
    /// Counts one duration.
    pub(super) fn record(&self, took: Duration) {
        let millis = took.as_secs_f64() * 1_000.0;
        let mut bound = 1.0;
        for bucket in &self.buckets[..BUCKETS - 1] {
            if millis <= bound {
                bucket.fetch_add(1, Ordering::Relaxed);
                return;
            }
            bound *= GROWTH;
        }
        self.buckets[BUCKETS - 1].fetch_add(1, Ordering::Relaxed);
    }

    /// Begins anew.
    pub(super) fn forget(&self) {
        self.buckets.iter().for_each(|bucket| bucket.store(0, Ordering::Relaxed));
    }

    /// Milliseconds that the share `q` (0 to 1) of all durations does not exceed; `None` before the first.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate to a tenth; the bound is between 1 and 10^10"
    )]
    pub(super) fn quantile(&self, q: f64) -> Option<u64> {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let wanted = (total as f64 * q).ceil().max(1.0);
        let mut seen = 0;
        let mut bound: f64 = 1.0;
        for count in counts {
            seen += count;
            if total > 0 && seen as f64 >= wanted {
                return Some(bound.ceil() as u64);
            }
            bound *= GROWTH;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_before_the_first_duration() {
        assert_eq!(Latencies::default().quantile(0.5), None);
    }

    #[test]
    fn a_quantile_is_right_to_a_tenth() {
        let latencies = Latencies::default();
        (1..=1_000).for_each(|millis| latencies.record(Duration::from_millis(millis)));
        for (q, exact) in [(0.5, 500), (0.99, 990)] {
            let found = latencies.quantile(q).unwrap();
            assert!((exact..=exact * 11 / 10 + 1).contains(&found), "{found} for {exact}");
        }
    }

    #[test]
    fn a_duration_beyond_all_buckets_is_still_counted() {
        let latencies = Latencies::default();
        latencies.record(Duration::MAX);
        assert!(latencies.quantile(0.5).is_some());
    }
}
