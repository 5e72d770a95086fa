//! Notice: what one rule wants said about one change, once, with its people.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::audience::Sealed;
use super::{Coordinates, NoticeId, Timestamp, Value};

/// Which telling of a conversation this is. Another occasion is never swallowed by the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Occasion {
    /// The first telling.
    First,
    /// The n-th rung or repeat.
    Reminder(u16),
    /// The n-th escalation step.
    Step(u16),
    /// The matter is closed.
    Closed,
}

/// What a person may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Yes.
    Approve,
    /// No.
    Reject,
    /// Seen.
    Acknowledge,
    /// Tell me more first.
    RequestInfo,
    /// Raise it further.
    FollowUp,
}

/// One notice as it travels from the subject lane to a person's partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice<'a> {
    /// Equal for all its people, however often it is computed.
    pub id: NoticeId,
    /// Whose data it is.
    pub tenant: &'a str,
    /// The rule that speaks.
    pub rule: &'a str,
    /// The subject's key.
    pub subject: &'a str,
    /// The change that made it speak.
    pub event_id: &'a str,
    /// Where the change lies.
    pub at: Coordinates,
    /// Which telling this is.
    pub occasion: Occasion,
    /// Which of the rule's sayings.
    pub saying: u16,
    /// How many changes it stands for.
    pub count: u32,
    /// What it is about: tellings of equal news and occasion become one push per person.
    pub news: u128,
    /// The round of the conversation: hash of the event that opened it.
    pub conversation: u128,
    /// Since when it could be told: when the change was appended to its source topic, or when its time came.
    pub appended_at: Timestamp,
    /// After this it is noise.
    pub expires_at: Option<Timestamp>,
    /// The answers offered.
    pub answers: Vec<Verb>,
    /// What it is gathered by, where each person has a window of their own.
    #[serde(borrow)]
    pub gather: Option<Gather<'a>>,
    /// Replaces what stands on the phone under the same key.
    #[serde(borrow)]
    pub collapse_key: Option<&'a str>,
    /// The values its message uses, by field path; of what is gathered also [`OCCURRED_AT`].
    #[serde(borrow)]
    pub values: Vec<(&'a str, Value<'a>)>,
    /// Who it is for, to be asked again when it is released.
    #[serde(borrow)]
    pub audience: Sealed<'a>,
}

/// The field that says when a change happened.
pub const OCCURRED_AT: &str = "occurred_at";

/// What a person's own window gathers by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gather<'a> {
    /// Equal for what belongs together.
    pub key: u128,
    /// The state that was left, where the change says so.
    pub was: Option<&'a str>,
    /// The state that was come to.
    pub is: Option<&'a str>,
}

/// A conversation is over: what still waits of it for somebody is not told any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Over<'a> {
    /// Whose data it is.
    pub tenant: &'a str,
    /// The rule.
    pub rule: &'a str,
    /// The round of the conversation.
    pub conversation: u128,
    /// For whom it is over.
    #[serde(borrow)]
    pub whom: Whom<'a>,
}

/// For whom a conversation is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whom<'a> {
    /// For everybody.
    Everybody,
    /// For those whom its steps would tell: somebody has seen it.
    Steps,
    /// For this person, who answered.
    Person(&'a str),
}

// === impl Notice ===

impl Notice<'_> {
    /// When what it is about happened, where a window asks for it; `None` of what its time alone brings about.
    #[must_use]
    pub fn happened_at(&self) -> Option<Timestamp> {
        let is_gathered = self.gather.is_some() && self.occasion == Occasion::First;
        self.values.iter().filter(|_| is_gathered).find_map(|(name, value)| match value {
            Value::Time(at) if *name == OCCURRED_AT => Some(*at),
            _ => None,
        })
    }
}

// === impl Occasion ===

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("first"),
            Self::Reminder(n) => write!(f, "reminder-{n}"),
            Self::Step(n) => write!(f, "step-{n}"),
            Self::Closed => f.write_str("closed"),
        }
    }
}

// === impl Verb ===

impl Verb {
    /// All five.
    pub const ALL: [Self; 5] =
        [Self::Approve, Self::Reject, Self::Acknowledge, Self::RequestInfo, Self::FollowUp];

    /// Whether it decides the matter: it can be said once.
    #[must_use]
    pub const fn decides(self) -> bool {
        matches!(self, Self::Approve | Self::Reject)
    }

    /// `approve`, `reject`, `acknowledge`, `request_info` or `follow_up`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Acknowledge => "acknowledge",
            Self::RequestInfo => "request_info",
            Self::FollowUp => "follow_up",
        }
    }
}

#[cfg(test)]
pub(crate) mod example {
    use super::*;
    use crate::event::Source;

    /// A first telling of a task.
    pub(crate) fn notice() -> Notice<'static> {
        Notice {
            id: NoticeId(1),
            tenant: "acme",
            rule: "ec-3",
            subject: "acme|xecm|task_id=1",
            event_id: "e1",
            at: Coordinates { source: Source::Xecm, partition: 0, offset: 3 },
            occasion: Occasion::First,
            saying: 0,
            count: 1,
            news: 5,
            conversation: 9,
            appended_at: Timestamp::default(),
            expires_at: None,
            answers: Vec::new(),
            gather: None,
            collapse_key: None,
            values: Vec::new(),
            audience: Sealed::of(&[]),
        }
    }
}
