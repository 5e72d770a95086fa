//! Gathered: what a window has of a conversation until it is told as one.

use serde::{Deserialize, Serialize};

use crate::event::Timestamp;

use super::stretch::Stretch;

/// Changes that become one telling.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gathered {
    /// How many.
    pub count: u32,
    /// Since when.
    pub since: Timestamp,
    /// The state before the first of them.
    pub was: Option<String>,
    /// The state told last.
    pub said: Option<String>,
    /// Of a threshold when each of them happened, of another window its [`Stretch`].
    pub times: Vec<Timestamp>,
}

// === impl Gathered ===

impl Gathered {
    /// What a window other than a threshold has open, or had.
    #[must_use]
    pub fn stretch(&self) -> Option<Stretch> {
        let [first, newest, rest @ ..] = self.times.as_slice() else { return None };
        Some(Stretch { first: *first, newest: *newest, told: rest.first().copied() })
    }

    /// It has this open.
    pub fn set_stretch(&mut self, Stretch { first, newest, told }: Stretch) {
        self.times.clear();
        self.times.extend([first, newest].into_iter().chain(told));
    }
}
