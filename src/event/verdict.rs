//! Verdict: how something ended, with a reason from a closed list.
//!
//! The books must close (`README.md`, "The books"): every change read, every telling owed, every answer
//! received and every answer owed to a source system ends in exactly one verdict.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Asked, Carried, Coordinates, Occasion, Timestamp};

/// Why something was not told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The same change was heard before.
    Duplicate,
    /// No rule wants it.
    Unmatched,
    /// Another rule told the person the same news: its id, where it is known.
    Merged(String),
    /// It became part of a digest.
    Grouped,
    /// A blocked parent mutes it.
    Inhibited,
    /// A silence mutes it.
    Silenced,
    /// Quiet hours.
    QuietHours,
    /// The person does not want it.
    Preference,
    /// The person heard enough.
    Capped,
    /// Its time passed before it could be told.
    Expired,
    /// The matter was closed meanwhile.
    Overtaken,
    /// The person no longer belongs to the audience.
    LeftAudience,
    /// It was closed before it was opened.
    AlreadyClosed,
    /// The rule is gone.
    RuleRemoved,
    /// A placeholder of the audience had no value.
    PlaceholderEmpty,
    /// The audience is empty.
    Nobody,
    /// None of the person's channels is approved.
    NoChannel,
    /// The person has no device.
    NoDevice,
    /// The push account is blocked.
    AccountBlocked,
    /// Refused, with a stable code.
    Refused(String),
    /// Too large to be sent.
    TooLarge,
    /// Nobody can say whether it arrived.
    Unknown,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// A change reached a rule that named this many people: that many tellings are owed.
    Routed,
    /// The push service accepted it.
    Told,
    /// It was not told.
    Not(Reason),
    /// A person's answer counts: the verb.
    Answered(String),
    /// A person's answer does not count: a stable word why.
    AnswerRefused(String),
    /// A person's answer was carried into the source system, or why not.
    Carried(Carried),
}

/// One verdict. A record of `bugle.audit` holds many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// When it was decided.
    pub at: Timestamp,
    /// Whose data; empty when the change could not be read.
    pub tenant: String,
    /// The change's id; empty when it could not be read.
    pub event_id: String,
    /// Where the change lies.
    pub change: Coordinates,
    /// The subject's key, where one was chosen.
    pub subject: Option<String>,
    /// The rule, where one decided.
    pub rule: Option<String>,
    /// Which telling, where one was owed.
    pub occasion: Option<Occasion>,
    /// How it ended.
    pub ending: Ending,
    /// For how many people.
    pub count: u32,
    /// Which people, where they differ from the rest of the notice.
    pub people: Vec<String>,
    /// Whom the rule meant, and the terms that decided it, where the directory was asked.
    pub asked: Option<Arc<Asked>>,
}

// === impl Reason ===

impl Reason {
    /// All of them; the refusal without a code.
    pub const ALL: [Self; 22] = [
        Self::Duplicate,
        Self::Unmatched,
        Self::Merged(String::new()),
        Self::Grouped,
        Self::Inhibited,
        Self::Silenced,
        Self::QuietHours,
        Self::Preference,
        Self::Capped,
        Self::Expired,
        Self::Overtaken,
        Self::LeftAudience,
        Self::AlreadyClosed,
        Self::RuleRemoved,
        Self::PlaceholderEmpty,
        Self::Nobody,
        Self::NoChannel,
        Self::NoDevice,
        Self::AccountBlocked,
        Self::Refused(String::new()),
        Self::TooLarge,
        Self::Unknown,
    ];

    /// The stable word: `left_audience`; a refusal's code stands apart in [`Reason::code`].
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Unmatched => "unmatched",
            Self::Merged(_) => "merged",
            Self::Grouped => "grouped",
            Self::Inhibited => "inhibited",
            Self::Silenced => "silenced",
            Self::QuietHours => "quiet_hours",
            Self::Preference => "preference",
            Self::Capped => "capped",
            Self::Expired => "expired",
            Self::Overtaken => "overtaken",
            Self::LeftAudience => "left_audience",
            Self::AlreadyClosed => "already_closed",
            Self::RuleRemoved => "rule_removed",
            Self::PlaceholderEmpty => "placeholder_empty",
            Self::Nobody => "nobody",
            Self::NoChannel => "no_channel",
            Self::NoDevice => "no_device",
            Self::AccountBlocked => "account_blocked",
            Self::Refused(_) => "refused",
            Self::TooLarge => "too_large",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it was meant: a rule, a person's wish or the audience decided so. The others are faults
    /// that somebody should look at.
    #[must_use]
    pub const fn intentional(&self) -> bool {
        match self {
            Self::Duplicate
            | Self::Unmatched
            | Self::Merged(_)
            | Self::Grouped
            | Self::Inhibited
            | Self::Silenced
            | Self::QuietHours
            | Self::Preference
            | Self::Capped
            | Self::Overtaken
            | Self::LeftAudience
            | Self::AlreadyClosed
            | Self::RuleRemoved
            | Self::NoChannel => true,
            Self::Expired
            | Self::PlaceholderEmpty
            | Self::Nobody
            | Self::NoDevice
            | Self::AccountBlocked
            | Self::Refused(_)
            | Self::TooLarge
            | Self::Unknown => false,
        }
    }

    /// The code of a refusal; of what was merged, the rule that won.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(code) => Some(code),
            Self::Merged(winner) if !winner.is_empty() => Some(winner),
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(code) => write!(f, "refused({code})"),
            Self::Merged(winner) if !winner.is_empty() => write!(f, "merged({winner})"),
            other => f.write_str(other.as_str()),
        }
    }
}
