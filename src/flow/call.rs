//! Call: one question to a source system, what it said, and how long to wait before it is asked again.

use std::sync::Arc;

use crate::event::write_back::{Ask, Came, WriteBack};
use crate::event::{Span, hash128};

/// The first wait before a source system is called again; doubled with each call, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Span = Span::from_secs(1);
const LONGEST_WAIT: Span = Span::from_secs(60);

/// A call of a source system.
#[derive(Debug, Clone)]
pub struct Call {
    /// The thing it is about, and which of its calls.
    pub id: CallId,
    /// What is asked.
    pub ask: Ask,
    /// The answer to carry out.
    pub answer: Arc<WriteBack>,
}

/// Which call of which thing. Another one never has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId {
    /// The thing.
    pub(super) key: u128,
    /// Where the answer's record lies.
    pub(super) offset: i64,
    /// How often it was called before.
    pub(super) number: u32,
}

/// What a source system said to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Which call.
    pub id: CallId,
    /// What was asked.
    pub ask: Ask,
    /// What came of it.
    pub came: Came,
}

// === impl CallId ===

impl CallId {
    /// Exponential with full jitter above a quarter. The random number comes from the call, since a lane has no
    /// other source of chance.
    pub(super) fn wait(self) -> Span {
        let doubled = FIRST_WAIT.millis().saturating_mul(1 << self.number.min(10));
        let most = doubled.min(LONGEST_WAIT.millis());
        let chance = hash128([&self.key.to_le_bytes(), &self.number.to_le_bytes()]);
        let jittered = i64::try_from(chance % u128::from(most.unsigned_abs().max(1))).unwrap_or(0);
        Span::from_millis(jittered.max(most / 4))
    }
}
