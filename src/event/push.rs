//! Push: what people are sent, cut into batches whose members never change.
//!
//! A batch holds its text once (the template and one letter per notice) and its people by name; the
//! transport multiplies them out, the same bytes every time.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::notice::Verb;
use super::{BoundAudience, NoticeId, Occasion, Timestamp};

/// How urgently the push service should deliver.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// May wait for the device to wake by itself.
    Low,
    /// The usual.
    #[default]
    Normal,
    /// At once.
    High,
    /// At once, through quiet hours and digests.
    Critical,
}

/// What all pushes of a batch share. `{{1}}`, `{{2}}` … stand for a member's inserts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Template {
    /// The rule that speaks.
    pub rule: String,
    /// The message's locale.
    pub locale: String,
    /// At most 120 characters after inserts.
    pub title: String,
    /// At most 240 characters after inserts.
    pub summary: String,
    /// The app it is for.
    pub target: String,
    /// The newest push with an equal key replaces the older ones; at most 64 bytes after inserts.
    pub collapse_key: Option<String>,
    /// Seconds the push service may keep trying.
    pub ttl_seconds: u32,
    /// How urgent.
    pub priority: Priority,
    /// The answers offered; the transport maps them to a registered category.
    pub answers: Vec<Verb>,
    /// String data for the app; values may hold inserts.
    pub data: Vec<(String, String)>,
}

/// One notice inside a batch: what fills the template, once for all its people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The notice.
    pub notice: NoticeId,
    /// Its subject's key.
    pub subject: String,
    /// The partition of `bugle.subjects` an answer goes to.
    pub subject_partition: i32,
    /// The round of the conversation.
    pub conversation: u128,
    /// Which telling.
    pub occasion: Occasion,
    /// After this it is noise.
    pub expires_at: Option<Timestamp>,
    /// Who it is for, asked once more before the first attempt when the directory has moved.
    pub audience: BoundAudience,
    /// The values of `{{1}}`, `{{2}}` …, in order.
    pub inserts: Vec<String>,
}

/// One person in a batch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    /// The person's user id, `jdoe@Content Server Members`.
    pub user_id: String,
    /// Which of the batch's letters is theirs.
    pub letter: u32,
}

/// One request to the push service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// `b-` and 40 hex digits: a hash of tenant, template and members. Sent as `message_id`.
    pub message_id: String,
    /// Whose data it is.
    pub tenant: String,
    /// The account it is sent with.
    pub account: String,
    /// What all its pushes share.
    pub template: Template,
    /// When it was cut.
    pub cut_at: Timestamp,
    /// When the oldest change in it was appended to its source topic.
    pub oldest: Timestamp,
    /// After this nobody wants any of it: the latest end of its letters; none where one has none.
    pub expires_at: Option<Timestamp>,
    /// Which key signs the reply tokens, fixed at the cut so that every try has the same bytes.
    pub signing_key: String,
    /// The notices.
    pub letters: Vec<Letter>,
    /// The people, sorted; never changed after the cut.
    pub members: Vec<Member>,
}

/// The most destinations of one batch.
pub const MOST_MEMBERS: usize = 500;
/// The most bytes of one batch as it crosses Kafka: a record with one batch stays below a broker's
/// usual limit of 1 MiB.
pub const MOST_BATCH_BYTES: usize = 768 * 1024;

// === impl Priority ===

impl Priority {
    /// `low`, `normal`, `high` or `critical`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
pub(crate) mod example {
    use super::*;

    fn letter(notice: u128, inserts: &[&str]) -> Letter {
        Letter {
            notice: NoticeId(notice),
            expires_at: None,
            audience: BoundAudience::nobody(),
            subject: "acme|xecm|task_id=115295".into(),
            subject_partition: 3,
            conversation: 77,
            occasion: Occasion::First,
            inserts: inserts.iter().map(|&text| text.to_owned()).collect(),
        }
    }

    /// A batch of two letters and three people.
    pub(crate) fn batch() -> Batch {
        let template = Template {
            rule: "ec-1-review".into(),
            locale: "en".into(),
            title: "Approval needed: {{1}}".into(),
            summary: "{{2}} is waiting for you".into(),
            target: "otnotify".into(),
            collapse_key: Some("xecm:task:{{3}}".into()),
            ttl_seconds: 86_400,
            priority: Priority::High,
            answers: vec![Verb::Approve, Verb::Reject, Verb::RequestInfo],
            data: vec![("source".into(), "xecm".into()), ("link".into(), "https://cs.example/{{3}}".into())],
        };
        let member = |user_id: &str, letter| Member { user_id: user_id.into(), letter };
        Batch {
            message_id: "b-5f0c".into(),
            tenant: "acme".into(),
            account: "main".into(),
            template,
            expires_at: Some(Timestamp::from_millis(1_767_632_400_000)),
            cut_at: Timestamp::from_millis(1_767_600_000_000),
            oldest: Timestamp::from_millis(1_767_600_000_000),
            signing_key: "k1".into(),
            letters: vec![
                letter(1, &["Contract 4711", "Draft v3", "115295"]),
                letter(2, &["\"B\"\n", "🎺", "7"]),
            ],
            members: vec![
                member("amy@Content Server Members", 0),
                member("bob \"the\" boss", 1),
                member("çelik", 0),
            ],
        }
    }
}
