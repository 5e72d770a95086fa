//! Write-back: an answer on its way into the source system that asked, and what came of carrying it there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::answer::Proof;
use super::notice::Verb;
use super::{Occasion, Source, Span, Timestamp};

/// The thing to be acted on, as the person saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entity {
    /// What it is.
    pub kind: String,
    /// Its id in the source.
    pub id: String,
    /// Its version or revision when it was told.
    pub version: Option<String>,
    /// Its name for people.
    pub name: Option<String>,
    /// Where a browser opens it.
    pub url: Option<String>,
}

/// An accepted answer, with all that is needed to carry it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteBack {
    /// The answer's id; the source system is told it, so that carrying it twice is seen.
    pub response_id: String,
    /// The round of the conversation that asked.
    pub conversation: u128,
    /// Which telling was answered.
    pub occasion: Occasion,
    /// Whose data.
    pub tenant: String,
    /// The system that asked.
    pub source: Source,
    /// The change that was told.
    pub event_id: String,
    /// The rule that asked.
    pub rule: String,
    /// The subject's key.
    pub subject: String,
    /// The thing to be acted on.
    pub entity: Entity,
    /// The source's id of the decision.
    pub action_ref: Option<String>,
    /// What was answered.
    pub verb: Verb,
    /// What the person wrote.
    pub comment: Option<String>,
    /// Who answered: the source system sees them and nobody else as the one who acts.
    pub responder: String,
    /// How that was proven.
    pub proof: Proof,
    /// When the answer came in.
    pub responded_at: Timestamp,
    /// What the source needs to find the place, and what the person saw there, by field path.
    pub target: BTreeMap<String, String>,
    /// What is to be set there.
    pub set: BTreeMap<String, String>,
}

/// What is asked of a source system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Carry it out, and read back whether it was.
    Write,
    /// Only read whether it was carried out: an attempt before may have been.
    Look,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// It stands in the source system, by this responder and with this answer.
    Confirmed,
    /// It does not, and all is still as the person saw it. Only a [`Ask::Look`] says so.
    Open,
    /// The source system has no room for this answer, for one of [`REFUSALS`].
    Refused(&'static str),
    /// It can never be carried out as it is, and not for reasons of the source system's own; one of [`DEAD`].
    Dead(&'static str),
    /// Not now, and certainly nothing was changed; not before this.
    TryLater(Option<Span>, &'static str),
    /// Perhaps it was carried out.
    Unknown(&'static str),
}

/// Why a source system has no room for an answer. The words are stable.
pub const REFUSALS: [&str; 6] = [
    // What the person saw is not what is there now.
    "conflict",
    "already_decided",
    "not_assignee",
    "unsupported_action",
    NEEDS_SIGNATURE,
    "gone",
];

/// The refusal of what is to be signed where it is.
pub const NEEDS_SIGNATURE: &str = "needs_signature";

/// Of these refusals, nothing was decided anywhere: the thing is still open in its system.
pub const STILL_OPEN: [&str; 3] = ["not_assignee", "unsupported_action", NEEDS_SIGNATURE];

/// Those of [`REFUSALS`] that a source system may give.
#[must_use]
pub const fn refusals_of(source: Source) -> &'static [&'static str] {
    match source {
        Source::XConnector => &["already_decided", "gone"],
        Source::DevAdmin => &["conflict", "already_decided", "gone"],
        Source::Xecm | Source::Bws => &REFUSALS,
    }
}

/// Why an answer is given up. The words are stable, and codes of dead letters.
pub const DEAD: [&str; 4] =
    ["write-back-unreadable", "write-back-incomplete", "write-back-rejected", "write-back-gave-up"];

// === impl WriteBack ===

impl WriteBack {
    /// What the source is told of where to act.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&str> {
        self.target.get(path).map(String::as_str)
    }

    /// What of the thing itself distinguishes it: everything about it is carried out in order.
    #[must_use]
    pub fn key(&self) -> String {
        let Self { tenant, source, entity, .. } = self;
        format!("{tenant}|{source}|{}|{}", entity.kind, entity.id)
    }

    /// Whether the source system itself refuses to carry out the same answer twice, or one about another version
    /// than the person saw. Content Server does not.
    #[must_use]
    pub const fn is_guarded(&self) -> bool {
        matches!(self.source, Source::XConnector | Source::DevAdmin)
    }

    /// The mark that the answer leaves in the source system, to be found again.
    #[must_use]
    pub fn mark(&self) -> String {
        format!("[otnotify:{}]", self.response_id)
    }

    /// The comment with the mark behind it, at most `most` characters: of the comment, not of the mark.
    #[must_use]
    pub fn marked_comment(&self, most: usize) -> String {
        let mark = self.mark();
        let room = most.saturating_sub(mark.chars().count() + 1);
        let mut comment: String = self.comment.as_deref().unwrap_or_default().chars().take(room).collect();
        if !comment.is_empty() {
            comment.push(' ');
        }
        comment + &mark
    }
}

/// How a write-back ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Carried {
    /// The source system has it.
    Confirmed,
    /// The source system has no room for it: one of [`REFUSALS`].
    Refused(String),
    /// It lies in the dead letters: one of [`DEAD`].
    Dead(String),
}

// === impl Carried ===

impl Carried {
    /// The stable word.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Refused(_) => "refused",
            Self::Dead(_) => "dead",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An approval of a workflow task.
    pub(crate) fn approval(response_id: &str) -> WriteBack {
        let text = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        WriteBack {
            response_id: response_id.to_owned(),
            conversation: 7,
            occasion: Occasion::First,
            tenant: "acme".to_owned(),
            source: Source::Xecm,
            event_id: "e1".to_owned(),
            rule: "ec-7-decide".to_owned(),
            subject: "acme|xecm|process_id=115295|task_id=1".to_owned(),
            entity: Entity { kind: "task".to_owned(), id: "115295-1".to_owned(), ..Entity::default() },
            action_ref: Some("115295/115295/1".to_owned()),
            verb: Verb::Approve,
            comment: Some("Looks fine".to_owned()),
            responder: "jdoe@Content Server Members".to_owned(),
            proof: Proof::default(),
            responded_at: Timestamp::from_millis(1_767_603_600_000),
            target: text(&[
                ("process_id", "115295"),
                ("subprocess_id", "115295"),
                ("task_id", "1"),
                ("status_key", "s1"),
            ]),
            set: text(&[("custom_action", "approve")]),
        }
    }

    #[test]
    fn a_comment_is_cut_and_the_mark_behind_it_is_not() {
        let mut answer = approval("r-1");
        assert_eq!(answer.marked_comment(255), "Looks fine [otnotify:r-1]");
        answer.comment = Some("ä".repeat(300));
        let marked = answer.marked_comment(255);
        assert_eq!(marked.chars().count(), 255);
        assert!(marked.ends_with("ä [otnotify:r-1]"));
        answer.comment = None;
        assert_eq!(answer.marked_comment(255), "[otnotify:r-1]");
    }
}
