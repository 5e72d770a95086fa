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

/// What proved who answered.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifiedBy {
    /// The reply token alone: whoever has the push.
    #[default]
    ReplyToken,
    /// A session of the push service's gateway, which was asked whose it is.
    OtagSession,
    /// A proxy that signs people in.
    Oidc,
    /// The link alone, and a tick.
    SignedLink,
}

/// Who proved to be who, beside the reply token.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Proof {
    /// What proved it.
    pub verified_by: VerifiedBy,
    /// The device or client, where that is known.
    pub client_id: Option<String>,
}

/// The headers of an answer's item that say how it was proven.
const VERIFIED_BY: &str = "bugle.verified_by";
const CLIENT_ID: &str = "bugle.client_id";

// === impl VerifiedBy ===

impl VerifiedBy {
    /// All of them, in the order of the schema.
    pub const ALL: [Self; 4] = [Self::ReplyToken, Self::OtagSession, Self::Oidc, Self::SignedLink];

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReplyToken => "reply_token",
            Self::OtagSession => "otag_session",
            Self::Oidc => "oidc",
            Self::SignedLink => "signed_link",
        }
    }
}

// === impl Proof ===

impl Proof {
    /// How the answer of an item was proven; one that says nothing came with its reply token.
    #[must_use]
    pub fn of(item: &SubjectItem<'_>) -> Self {
        let header = |name: &str| {
            let (_, value) = item.headers.iter().find(|(other, _)| *other == name)?;
            std::str::from_utf8(value).ok()
        };
        let by = header(VERIFIED_BY);
        let verified_by = VerifiedBy::ALL.into_iter().find(|known| Some(known.as_str()) == by);
        Self { verified_by: verified_by.unwrap_or_default(), client_id: header(CLIENT_ID).map(str::to_owned) }
    }

    fn headers(&self) -> Vec<(&str, &[u8])> {
        let by = (self.verified_by != VerifiedBy::ReplyToken).then(|| self.verified_by.as_str().as_bytes());
        let client = self.client_id.as_ref().map(String::as_bytes);
        by.map(|by| (VERIFIED_BY, by)).into_iter().chain(client.map(|client| (CLIENT_ID, client))).collect()
    }
}

/// An answer that counted and that its source system did not carry out, on its way back to the subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned<'a> {
    /// The answer's id.
    pub response_id: &'a str,
    /// Whose data.
    pub tenant: &'a str,
    /// The round of the conversation that asked.
    pub conversation: u128,
    /// Who answered.
    pub person: &'a str,
    /// What they answered.
    pub verb: Verb,
    /// Why not: one of [`super::write_back::REFUSALS`] or [`super::write_back::DEAD`].
    pub why: &'a str,
    /// When that was known.
    pub at: Timestamp,
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
    pub fn item(&self, source: Source, about: (&str, &str)) -> Vec<u8> {
        self.proven(&Proof::default(), source, about)
    }

    /// The same, and how it was proven.
    #[must_use]
    pub fn proven(&self, proof: &Proof, source: Source, about: (&str, &str)) -> Vec<u8> {
        item((Format::Answer, self.received_at), source, about, (proof.headers(), &self.write()))
    }

    /// Reads what [`Answer::write`] wrote.
    ///
    /// # Errors
    /// It is none.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Unread> {
        take(bytes).map(|(answer, _)| answer)
    }
}

// === impl Returned ===

impl<'a> Returned<'a> {
    /// The item of `bugle.subjects` that carries it to the subject and the rule that asked.
    #[must_use]
    pub fn item(&self, source: Source, about: (&str, &str)) -> Vec<u8> {
        let payload = append(self, Vec::with_capacity(128));
        item((Format::Returned, self.at), source, about, (Vec::new(), &payload))
    }

    /// Reads the payload of [`Returned::item`].
    ///
    /// # Errors
    /// It is none.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Unread> {
        take(bytes).map(|(returned, _)| returned)
    }
}

/// An item of `bugle.subjects` that carries no change.
fn item(
    (format, appended_at): (Format, Timestamp),
    source: Source,
    (subject, rule): (&str, &str),
    (headers, payload): (Vec<(&str, &[u8])>, &[u8]),
) -> Vec<u8> {
    let (at, rules) = (Coordinates { source, partition: -1, offset: 0 }, vec![rule]);
    let item = SubjectItem { at, appended_at, subject, rules, format, headers, payload };
    let mut bytes = item.beginning(Vec::with_capacity(256 + payload.len()));
    bytes.extend_from_slice(payload);
    bytes
}
