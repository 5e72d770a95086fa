//! Receipt: what became of one batch. The exceptions are listed, the rest was told.

use serde::{Deserialize, Serialize};

use super::{NoticeId, Reason, Timestamp};

/// One record of `bugle.receipts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The batch.
    pub message_id: String,
    /// Whose data.
    pub tenant: String,
    /// The account it was sent with.
    pub account: String,
    /// The rule that spoke.
    pub rule: String,
    /// When the outcome was known.
    pub at: Timestamp,
    /// The push service's job id, when it was accepted.
    pub job_id: Option<String>,
    /// How many pushes the push service accepted.
    pub told: u32,
    /// The pushes it did not.
    pub exceptions: Vec<Exception>,
}

/// One push of a batch that was not told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    /// The person.
    pub user_id: String,
    /// The notice.
    pub notice: NoticeId,
    /// Why.
    pub reason: Reason,
}
