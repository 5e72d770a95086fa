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
    pub fn proven(&self, proof: &Proof, source: Source, (subject, rule): (&str, &str)) -> Vec<u8> {
        let payload = self.write();
        let at = Coordinates { source, partition: -1, offset: 0 };
        let (appended_at, format) = (self.received_at, Format::Answer);
        let (rules, headers) = (vec![rule], proof.headers());
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
