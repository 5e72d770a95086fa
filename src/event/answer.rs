//! Answer: what a person replied to a push, on its way to the subject that asked.

use serde::{Deserialize, Serialize};

use super::frame::{Format, SubjectItem, Unread, append, take};
use super::notice::Verb;
use super::{Coordinates, Occasion, Source, Timestamp};

/// The most bytes of a comment.
pub const MOST_COMMENT_BYTES: usize = 4_096;

/// An answer, as its reply token and the person say it. The item of the frame that carries it names the
/// subject and the rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer<'a> {
    /// Made by the device; the same answer sent twice has the same id.
    pub response_id: &'a str,
    /// Whose data.
    pub tenant: &'a str,
    /// The round of the conversation that asked.
    pub conversation: u128,
    /// Which telling was answered.
    pub occasion: Occasion,
    /// Who was asked, from the signed token.
    pub person: &'a str,
    /// What they answered.
    pub verb: Verb,
    /// What they wrote.
    pub comment: Option<&'a str>,
    /// When it came in.
    pub received_at: Timestamp,
}

// === impl Answer ===

impl<'a> Answer<'a> {
    /// As an item of a frame carries it.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        append(self, Vec::with_capacity(128))
    }

    /// The item of `bugle.subjects` that carries it to the subject and the rule that asked.
    #[must_use]
    pub fn item(&self, source: Source, (subject, rule): (&str, &str)) -> Vec<u8> {
        let payload = self.write();
        let at = Coordinates { source, partition: -1, offset: 0 };
        let (appended_at, format) = (self.received_at, Format::Answer);
        let (rules, headers) = (vec![rule], Vec::new());
        let item = SubjectItem { at, appended_at, subject, rules, format, headers, payload: &payload };
        let mut bytes = item.beginning(Vec::with_capacity(256 + payload.len()));
        bytes.extend_from_slice(&payload);
        bytes
    }

    /// Reads what [`Answer::write`] wrote.
    ///
    /// # Errors
    /// It is none.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Unread> {
        take(bytes).map(|(answer, _)| answer)
    }
}
