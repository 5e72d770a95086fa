//! Receipt: what became of one batch. The exceptions are listed, the rest was told.

use serde::{Deserialize, Serialize};

use super::{NoticeId, Reason, Timestamp};

/// One record of `bugle.receipts`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// How many pushes, ended as refused before, are on their way again: a dead letter was redriven.
    #[serde(default)]
    pub again: u32,
    /// A later mark of the job: how many of its pushes reached a device.
    #[serde(default)]
    pub delivered: u32,
    /// A later mark of the job: the pushes that reached nobody.
    #[serde(default)]
    pub undelivered: Vec<Undelivered>,
    /// Which notices the pushes that were accepted are of.
    #[serde(default)]
    pub notices: Vec<Accepted>,
}

/// How many pushes of one notice were accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The notice: [`NoticeId::short`].
    pub notice: u64,
    /// How many of its people.
    pub told: u32,
}

/// A push that was told and reached nobody, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undelivered {
    /// The person.
    pub user_id: String,
    /// The push: `d-` and 32 hex digits.
    pub reference: String,
    /// What became of it.
    pub mark: Mark,
    /// What the push service says of it; may be empty.
    pub code: String,
}

/// What became of a push that reached nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It could not be delivered.
    Failed,
    /// The person has no device any more.
    NoDevice,
    /// It became too old on its way.
    Expired,
    /// Nothing more was heard of it.
    Unknown,
}

// === impl Mark ===

impl Mark {
    /// All of them, as the schema numbers them.
    pub const ALL: [Self; 4] = [Self::Failed, Self::NoDevice, Self::Expired, Self::Unknown];

    /// `failed`, `no_device`, `expired` or `unknown`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::NoDevice => "no_device",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
        }
    }
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
