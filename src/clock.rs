//! Clock: the one place that knows what time it is.
//!
//! A simulation makes time stand still on its thread with [`Still`] and moves it by hand: then waiting
//! costs nothing and a day passes in a moment. The demo moves the wall clock of its whole process, with
//! [`hold`] and [`skip`]: days pass in a minute, and requests, commits and sessions take the time they take.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use crate::event::Timestamp;

thread_local! {
    /// The time on this thread while it stands still: what both clocks showed when it stopped, and how far
    /// it was moved since.
    static STILL: Cell<Option<(Instant, Timestamp, Duration)>> = const { Cell::new(None) };
}

/// A wall clock, and what a hand has done to it.
#[derive(Debug)]
struct Wall {
    /// So many milliseconds it shows more than the real one.
    ahead: AtomicI64,
    /// What it shows while it is held.
    held: AtomicI64,
}

/// The wall clock of this process.
static WALL: Wall = Wall { ahead: AtomicI64::new(0), held: AtomicI64::new(RUNS) };
/// Nobody holds the clock.
const RUNS: i64 = i64::MIN;
/// Where the steady clock begins.
static BEGIN: LazyLock<Tick> = LazyLock::new(Tick::now);
/// How often a lane looks at a clock that is moved by hand.
const LOOK: Duration = Duration::from_millis(4);

// === impl Wall ===

impl Wall {
    fn show(&self, real: Timestamp) -> Timestamp {
        match self.held.load(Ordering::Acquire) {
            RUNS => Timestamp::from_millis(real.millis().saturating_add(self.ahead.load(Ordering::Acquire))),
            held => Timestamp::from_millis(held),
        }
    }
}

/// The wall clock.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Timestamp {
    match STILL.get() {
        Some((_, start, moved)) => Timestamp::from_millis(start.millis() + millis(moved)),
        None => shown(Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())),
    }
}

/// What the wall clock shows at a time that a clock outside of this process showed.
#[must_use]
pub fn shown(real: Timestamp) -> Timestamp {
    if STILL.get().is_some() { real } else { WALL.show(real) }
}

/// From now on the wall clock stands still there, on every thread, until it is held elsewhere.
pub fn hold(at: Timestamp) {
    WALL.held.store(at.millis(), Ordering::Release);
}

/// The wall clock, which goes on, is put forward on every thread.
pub fn skip(span: Duration) {
    WALL.ahead.fetch_add(millis(span), Ordering::AcqRel);
}

/// A clock that nobody sets: how long something is ago that was noted by it.
#[must_use]
pub fn steady() -> Timestamp {
    match STILL.get() {
        Some(_) => now(),
        None => Timestamp::from_millis(millis(BEGIN.elapsed())),
    }
}

/// How long may be waited without a look at the wall clock.
#[must_use]
pub fn unwatched(span: Duration) -> Duration {
    let is_moved = WALL.held.load(Ordering::Relaxed) != RUNS || WALL.ahead.load(Ordering::Relaxed) != 0;
    if is_moved { span.min(LOOK) } else { span }
}

/// Sleeps; where time stands still, it moves instead.
#[allow(clippy::disallowed_methods, reason = "this is the one place")]
pub fn sleep(span: Duration) {
    if STILL.get().is_some() {
        Still::pass(span);
    } else {
        std::thread::sleep(span);
    }
}

/// How long to wait for something that another thread brings about: not at all where time stands still,
/// for there is no other thread.
#[must_use]
pub fn patience(span: Duration) -> Duration {
    if STILL.get().is_some() { Duration::ZERO } else { span }
}

/// While it lives, time stands still on this thread.
#[derive(Debug)]
pub struct Still {
    /// It belongs to the thread that made it.
    _here: PhantomData<*const ()>,
}

// === impl Still ===

impl Still {
    /// Time stops at `start`.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn at(start: Timestamp) -> Self {
        STILL.set(Some((Instant::now(), start, Duration::ZERO)));
        Self { _here: PhantomData }
    }

    /// So much time passes on this thread.
    pub fn pass(span: Duration) {
        if let Some((base, start, moved)) = STILL.get() {
            STILL.set(Some((base, start, moved + span)));
        }
    }

    /// The wall clock is set back by so much on this thread; the steady clock is not.
    pub fn set_back(span: Duration) {
        if let Some((base, start, moved)) = STILL.get() {
            STILL.set(Some((base, Timestamp::from_millis(start.millis() - millis(span)), moved)));
        }
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        STILL.set(None);
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// A point on the machine's steady clock, for measuring how long something took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(Instant);

// === impl Tick ===

impl Tick {
    /// This moment.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn now() -> Self {
        Self(STILL.get().map_or_else(Instant::now, |(base, _, moved)| base + moved))
    }

    /// How long ago it was.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Self::now().0.saturating_duration_since(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_until_it_is_moved_or_slept() {
        let start = Timestamp::from_millis(1_000);
        let still = Still::at(start);
        let tick = Tick::now();
        assert_eq!((now(), tick.elapsed()), (start, Duration::ZERO));
        Still::pass(Duration::from_secs(3_600));
        sleep(Duration::from_millis(5));
        assert_eq!(tick.elapsed(), Duration::from_millis(3_600_005));
        assert_eq!(now().since(start).millis(), 3_600_005);
        drop(still);
        assert!(now().millis() > 1_700_000_000_000);
    }

    #[test]
    fn a_wall_clock_is_put_forward_and_held() {
        let wall = Wall { ahead: AtomicI64::new(0), held: AtomicI64::new(RUNS) };
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        assert_eq!(wall.show(at(5)), at(5));
        wall.ahead.store(3_600_000, Ordering::Relaxed);
        assert_eq!(wall.show(at(5)), at(3_605));
        wall.held.store(at(9).millis(), Ordering::Relaxed);
        assert_eq!((wall.show(at(5)), wall.show(at(500))), (at(9), at(9)));
    }

    #[test]
    fn the_steady_clock_goes_on() {
        let before = steady();
        sleep(Duration::from_millis(3));
        assert!(steady().since(before).millis() >= 2);
    }
}
