//! Stretch: what a window has open, by the times at which things happened.
//!
//! Event time decides which changes belong together, wall clock when they are told: the last ones of a topic that
//! has gone quiet are told too. A change that happened when the window of those before it was over begins the next
//! one, and what that gathered is told first. One that comes late, and happened before, is told with what is open;
//! where nothing is, it begins a window like any other. So it is in the windows of a subject and in a person's own.

use serde::{Deserialize, Serialize};

use crate::event::{Span, Timestamp};
use crate::topology::plan::WindowKind;

/// When what a window gathered happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// When the first of its changes happened.
    pub first: Timestamp,
    /// When the newest did.
    pub newest: Timestamp,
    /// When the window was told last, where it was.
    pub told: Option<Timestamp>,
}

// === impl Stretch ===

impl Stretch {
    /// A window begins with what happened then.
    #[must_use]
    pub const fn begun(at: Timestamp) -> Self {
        Self { first: at, newest: at, told: None }
    }

    /// What happened then joins.
    #[must_use]
    pub fn joined(self, at: Timestamp) -> Self {
        Self { newest: self.newest.max(at), ..self }
    }

    /// Whether a change happened only after the window had ended: what it gathered is told without it. A window is
    /// as long in the time of events as it is by the clock.
    #[must_use]
    pub fn is_over(&self, at: Timestamp, window: &WindowKind, long: Span) -> bool {
        match window {
            WindowKind::Session { gap, longest } => {
                at > self.newest + *gap || longest.is_some_and(|longest| at >= self.first + longest)
            }
            WindowKind::LatestState(_) | WindowKind::Digest { .. } => at >= self.first + long,
            WindowKind::Threshold { .. } | WindowKind::Level { .. } => false,
        }
    }
}
