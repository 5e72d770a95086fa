//! Clock: the one place that knows what time it is.

use std::time::Duration;

use crate::event::Timestamp;

/// The wall clock.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

/// A point on the machine's steady clock, for measuring how long something took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(std::time::Instant);

// === impl Tick ===

impl Tick {
    /// This moment.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn now() -> Self {
        Self(std::time::Instant::now())
    }

    /// How long ago it was.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
