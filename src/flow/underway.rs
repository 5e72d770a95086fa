//! Under way: one batch that is not finished, and what it waits for.

use std::sync::Arc;

use crate::event::{Parcel, Span, Timestamp, hash128};

use super::outbox::Ask;
use super::parked::Stored;
use super::turns::Turn;

/// A batch that is not finished.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) batch: Arc<Parcel>,
    /// How far the directory had been read when it was cut.
    pub(super) directory: Arc<[i64]>,
    pub(super) attempts: u32,
    /// Whether some attempt may have been accepted without our knowing.
    pub(super) perhaps_accepted: bool,
    /// Whether that attempt is an owner's before: who stands still with the request in its hands sends it hours
    /// later.
    pub(super) is_inherited: bool,
    pub(super) stand: Stand,
    /// What is asked about it next.
    pub(super) ask: Ask,
    /// When it was sent last, as far as is known.
    pub(super) sent: Timestamp,
    /// When it was taken in.
    pub(super) since: Timestamp,
    pub(super) turn: Turn,
    /// How it is written down, where it was set aside.
    pub(super) stored: Option<Stored>,
}

/// What a batch waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    /// Its time.
    Due(Timestamp),
    /// Its account; at the latest until then.
    Held(Timestamp),
    /// A place among those of its account that are under way.
    Queued,
    /// Another batch that has to be finished first.
    Behind,
    /// The commit that says that it may be sent.
    Clearing,
    /// An answer.
    UnderWay,
}

/// The first wait of a batch that was put off; doubled with each attempt, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Span = Span::from_millis(500);
const LONGEST_WAIT: Span = Span::from_secs(60);

// === impl Open ===

impl Open {
    /// A batch taken in now.
    pub(super) fn new(batch: Arc<Parcel>, directory: Arc<[i64]>, now: Timestamp) -> Self {
        Self {
            batch,
            directory,
            attempts: 0,
            perhaps_accepted: false,
            is_inherited: false,
            stand: Stand::Due(now),
            ask: Ask::default(),
            sent: now,
            since: now,
            turn: Turn::default(),
            stored: None,
        }
    }

    /// Before this it need not be looked at again.
    pub(super) fn not_before(&self) -> Timestamp {
        match self.stand {
            Stand::Due(due) | Stand::Held(due) => due,
            Stand::Queued | Stand::Behind | Stand::Clearing | Stand::UnderWay => self.since,
        }
    }

    /// When it is due by itself.
    pub(super) fn due(&self) -> Option<Timestamp> {
        match self.stand {
            Stand::Due(due) | Stand::Held(due) => Some(due),
            Stand::Queued | Stand::Behind | Stand::Clearing | Stand::UnderWay => None,
        }
    }

    /// Whether it waits for more than its first attempt.
    pub(super) fn is_stuck(&self) -> bool {
        match self.stand {
            Stand::Due(_) => self.attempts > 0,
            Stand::Held(_) | Stand::Behind => true,
            Stand::Queued | Stand::Clearing | Stand::UnderWay => false,
        }
    }

    /// Whether some of it is noise by now.
    pub(super) fn ends_by(&self, now: Timestamp) -> bool {
        self.batch.first_end.is_some_and(|end| end <= now)
    }

    /// Exponential with full jitter. The random number comes from the batch's id and the attempt, since a
    /// lane has no other source of chance; different batches spread all the same.
    pub(super) fn wait(&self, at_least: Option<Span>) -> Span {
        let doubled = FIRST_WAIT.millis().saturating_mul(1 << self.attempts.saturating_sub(1).min(10));
        let most = doubled.min(LONGEST_WAIT.millis());
        let chance = hash128([self.batch.head.message_id.as_bytes(), &self.attempts.to_le_bytes()]);
        let jittered = i64::try_from(chance % u128::from(most.unsigned_abs().max(1))).unwrap_or(0);
        Span::from_millis(jittered.max(1)).max(at_least.unwrap_or(Span::ZERO))
    }
}
