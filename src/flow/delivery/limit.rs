//! Limit: how many requests of one account may be under way, found by asking.
//!
//! It grows by one for each stretch in which it was used up and all went well, halves when the service pushes
//! back, and shrinks by a tenth when answers take much longer than they used to. A stretch is as long as an
//! answer usually takes, so that one bad moment counts once.

use crate::event::{Span, Timestamp};

/// The limit, and what it was found from.
#[derive(Debug)]
pub(super) struct Limit {
    most: f64,
    now: f64,
    /// What an answer usually takes, in milliseconds, and by how much that differs.
    usual: f64,
    spread: f64,
    stretch: Stretch,
}

/// What was seen since the limit was set last.
#[derive(Debug)]
struct Stretch {
    since: Timestamp,
    answers: u32,
    millis: f64,
    pushed_back: bool,
    used_up: bool,
}

/// Where it starts at most: whoever allows more finds out how many more.
const START: u32 = 64;
/// What is left of it when the service pushes back, and when it slows down.
const HALF: f64 = 0.5;
const TENTH_LESS: f64 = 0.9;
/// How much of the usual a new stretch makes up.
const WEIGHT: f64 = 0.4;
/// How many spreads above the usual are slow, and how many milliseconds at least: what is quick may double.
const SLOW_SPREADS: f64 = 2.5;
const SLOW_AT_LEAST: f64 = 50.0;
/// The shortest stretch.
const SHORTEST: f64 = 20.0;

// === impl Limit ===

impl Limit {
    pub(super) fn new(most: u32, now: Timestamp) -> Self {
        Self {
            most: f64::from(most.max(1)),
            now: f64::from(most.clamp(1, START)),
            usual: 0.0,
            spread: 0.0,
            stretch: Stretch::new(now),
        }
    }

    /// How many may be under way.
    pub(super) fn now(&self) -> usize {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it lies between 1 and a u32"
        )]
        let now = self.now as usize;
        now
    }

    /// So many are under way.
    pub(super) fn used(&mut self, in_flight: usize) {
        self.stretch.used_up |= in_flight >= self.now();
    }

    /// One was answered after so long.
    pub(super) fn answered(&mut self, now: Timestamp, lasted: Span, well: bool) {
        let stretch = &mut self.stretch;
        stretch.answers += 1;
        let millis = lasted.millis() as f64;
        stretch.millis += millis;
        stretch.pushed_back |= !well;
        let passed = now.since(stretch.since).millis() as f64;
        if passed >= self.usual.max(SHORTEST) {
            self.set();
            self.stretch = Stretch::new(now);
        }
    }

    fn set(&mut self) {
        let stretch = &self.stretch;
        let took = stretch.millis / f64::from(stretch.answers.max(1));
        let slow = (self.spread * SLOW_SPREADS).max(SLOW_AT_LEAST);
        let is_slow = self.usual > 0.0 && took > self.usual + slow;
        if stretch.pushed_back {
            self.now *= HALF;
        } else if is_slow {
            self.now *= TENTH_LESS;
        } else if stretch.used_up {
            self.now += 1.0;
        }
        self.now = self.now.clamp(1.0, self.most);
        // A refusal says nothing about how long work takes.
        if !stretch.pushed_back {
            let weight = if self.usual > 0.0 { WEIGHT } else { 1.0 };
            self.spread +=
                weight * ((took - self.usual).abs() - self.spread) * f64::from(u8::from(self.usual > 0.0));
            self.usual += weight * (took - self.usual);
        }
    }
}

// === impl Stretch ===

impl Stretch {
    fn new(since: Timestamp) -> Self {
        Self { since, answers: 0, millis: 0.0, pushed_back: false, used_up: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit after so many seconds of a service that is asked as hard as it may be.
    fn after(
        limit: &mut Limit,
        seconds: std::ops::Range<i64>,
        service: impl Fn(usize) -> (i64, bool),
    ) -> usize {
        for now in (seconds.start * 1_000..seconds.end * 1_000).step_by(100) {
            let asked = limit.now();
            limit.used(asked);
            for _ in 0..asked {
                let (millis, well) = service(asked);
                limit.answered(Timestamp::from_millis(now), Span::from_millis(millis), well);
            }
        }
        limit.now()
    }

    #[test]
    fn it_grows_while_all_goes_well_and_no_further_than_it_may() {
        let mut limit = Limit::new(100, Timestamp::default());
        assert_eq!(limit.now(), 64);
        assert_eq!(after(&mut limit, 0..60, |_| (20, true)), 100);
        assert_eq!(Limit::new(3, Timestamp::default()).now(), 3);
    }

    #[test]
    fn it_stays_about_where_the_service_begins_to_push_back() {
        let mut limit = Limit::new(200, Timestamp::default());
        let least = after(&mut limit, 0..60, |asked| (20, asked <= 24));
        assert!((12..=25).contains(&least), "{least}");
    }

    #[test]
    fn one_bad_stretch_counts_once_and_it_never_falls_below_one() {
        let mut limit = Limit::new(16, Timestamp::default());
        after(&mut limit, 0..60, |_| (20, true));
        assert_eq!(limit.now(), 16);
        for _ in 0..16 {
            limit.answered(Timestamp::from_millis(60_000), Span::from_millis(1), false);
        }
        assert!(limit.now() >= 8, "{}", limit.now());
        assert_eq!(after(&mut limit, 61..70, |_| (5, false)), 1);
    }

    #[test]
    fn it_shrinks_when_answers_take_much_longer_than_usual() {
        let mut limit = Limit::new(64, Timestamp::default());
        after(&mut limit, 0..60, |_| (20, true));
        let before = limit.now();
        after(&mut limit, 60..61, |_| (900, true));
        assert!(limit.now() < before, "{} of {before}", limit.now());
    }
}
