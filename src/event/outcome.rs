//! Outcome: how calls, requests, transactions and answers ended, as far as a label tells them apart.

use super::Span;

/// How a call of a source system ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallOutcome {
    /// It stands there.
    Confirmed,
    /// It does not, and all is as the person saw it.
    Open,
    /// There is no room for it.
    Refused,
    /// It can never be carried out.
    Dead,
    /// Not now.
    TryLater,
    /// Nobody can say whether it was carried out.
    Unknown,
}

/// What was wrong with a record, coarse enough to be a label. The exact code is in the dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalClass {
    /// Its first bytes are not those of any format known here.
    Framing,
    /// Its schema is unknown or does not fit.
    Schema,
    /// Its bytes do not follow its schema.
    Undecodable,
    /// It was read, and something it must say is missing or impossible.
    Content,
    /// It is larger than may pass.
    TooLarge,
    /// The push service refused it for good.
    PushRefused,
    /// An answer that was not carried into its source system.
    WriteBack,
    /// A room failed on it; the fault is ours.
    Internal,
}

/// How a request to the push service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SendOutcome {
    /// Accepted.
    Accepted,
    /// Not now.
    TryLater,
    /// Refused for good.
    Unacceptable,
    /// Refused as too large.
    TooLarge,
    /// The account may not send.
    Forbidden,
    /// Nobody can say whether it arrived.
    Unknown,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommitResult {
    /// It was committed.
    Committed,
    /// It was rolled back and will be tried again.
    Aborted,
    /// Its producer was lost with it.
    Fatal,
}

/// What became of a snapshot of a partition's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SnapshotResult {
    /// It lies on the disk.
    Written,
    /// It could not be written; the one before is still there.
    Failed,
    /// It was found to be of no use.
    Discarded,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnswerEnding {
    /// It counts.
    Accepted,
    /// It does not.
    Refused,
}

/// How many entries, and how many bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Entries.
    pub entries: usize,
    /// Their bytes; in memory, with what they take beside.
    pub bytes: usize,
}

/// What a process keeps where of what its lanes have open, and what was moved since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateUsed {
    /// In memory.
    pub here: Size,
    /// On disk.
    pub away: Size,
    /// Entries written to disk.
    pub written: u64,
    /// Entries read from it.
    pub read: u64,
    /// How often the disk refused.
    pub faults: u64,
    /// How long the disk has taken nothing although there is something for it.
    pub waited: Span,
}

// === impl RefusalClass ===

impl RefusalClass {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Framing,
        Self::Schema,
        Self::Undecodable,
        Self::Content,
        Self::TooLarge,
        Self::PushRefused,
        Self::WriteBack,
        Self::Internal,
    ];

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Framing => "framing",
            Self::Schema => "schema",
            Self::Undecodable => "undecodable",
            Self::Content => "content",
            Self::TooLarge => "too_large",
            Self::PushRefused => "push_refused",
            Self::WriteBack => "write_back",
            Self::Internal => "internal",
        }
    }
}

// === impl CallOutcome ===

impl CallOutcome {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Confirmed, Self::Open, Self::Refused, Self::Dead, Self::TryLater, Self::Unknown];

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Open => "open",
            Self::Refused => "refused",
            Self::Dead => "dead",
            Self::TryLater => "try_later",
            Self::Unknown => "unknown",
        }
    }
}

// === impl SendOutcome ===

impl SendOutcome {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Accepted, Self::TryLater, Self::Unacceptable, Self::TooLarge, Self::Forbidden, Self::Unknown];

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::TryLater => "try_later",
            Self::Unacceptable => "unacceptable",
            Self::TooLarge => "too_large",
            Self::Forbidden => "forbidden",
            Self::Unknown => "unknown",
        }
    }
}

// === impl CommitResult ===

impl CommitResult {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Committed, Self::Aborted, Self::Fatal];

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Aborted => "aborted",
            Self::Fatal => "fatal",
        }
    }
}

// === impl SnapshotResult ===

impl SnapshotResult {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Written, Self::Failed, Self::Discarded];

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Failed => "failed",
            Self::Discarded => "discarded",
        }
    }
}

// === impl AnswerEnding ===

impl AnswerEnding {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Accepted, Self::Refused];

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
        }
    }
}

/// How a push account stands in one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountState {
    /// Which.
    pub account: String,
    /// Whether it is asked.
    pub breaker: Breaker,
    /// How many requests may be under way.
    pub limit: u32,
    /// How many are.
    pub in_flight: u32,
    /// How many batches wait for a place.
    pub queued: u32,
    /// How many retries it may still be asked.
    pub retries_left: u32,
}

/// Whether an account is asked, and why not.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Breaker {
    /// It is.
    #[default]
    Closed,
    /// One batch asks whether it works again.
    HalfOpen,
    /// It asked for a pause.
    Asked,
    /// It failed too often.
    Open,
    /// It may not send.
    Blocked,
}

// === impl Breaker ===

impl Breaker {
    /// As a number for a gauge: the larger, the worse.
    #[must_use]
    pub const fn level(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Asked => 2,
            Self::Open => 3,
            Self::Blocked => 4,
        }
    }
}
