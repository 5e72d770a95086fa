//! Push: what people are sent, cut into batches whose members never change.
//!
//! A batch holds its text once (the template and one letter per notice) and its people by name; the
//! transport multiplies them out, the same bytes every time.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::audience::Sealed;
use super::frame::{Unread, append, take};
use super::notice::Verb;
use super::{NoticeId, Occasion, Timestamp};

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
pub struct Letter<'a> {
    /// The notice.
    pub notice: NoticeId,
    /// Its subject's key.
    pub subject: &'a str,
    /// The partition of `bugle.subjects` an answer goes to.
    pub subject_partition: i32,
    /// The round of the conversation.
    pub conversation: u128,
    /// Which telling.
    pub occasion: Occasion,
    /// After this it is noise.
    pub expires_at: Option<Timestamp>,
    /// Who it is for, asked once more before the first attempt when the directory has moved.
    #[serde(borrow)]
    pub audience: Sealed<'a>,
    /// The values of `{{1}}`, `{{2}}` …, in order.
    #[serde(borrow)]
    pub inserts: Vec<&'a str>,
}

/// One person in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member<'a> {
    /// The person's user id, `jdoe@Content Server Members`.
    pub user_id: &'a str,
    /// Which of the batch's letters is theirs.
    pub letter: u32,
}

/// What is said of a batch as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchHead {
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
}

/// One request to the push service: an opened [`Parcel`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Batch<'a> {
    /// What is said of all of it.
    #[serde(flatten)]
    pub head: &'a BatchHead,
    /// The notices.
    pub letters: Vec<Letter<'a>>,
    /// The people, in the order they were named; never changed after the cut.
    pub members: Vec<Member<'a>>,
}

/// A batch as it lies in its record. Its letters are read when they are needed and never copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// What is said of all of it.
    pub head: BatchHead,
    /// How many people it is for.
    pub count: u32,
    /// When the first of its letters is noise.
    pub first_end: Option<Timestamp>,
    /// All of it.
    bytes: Bytes,
    /// Where the letters begin.
    body: usize,
}

/// The most destinations of one batch.
pub const MOST_MEMBERS: usize = 500;
/// The most bytes of one batch as it crosses Kafka: a record with one batch stays below a broker's
/// usual limit of 1 MiB.
pub const MOST_BATCH_BYTES: usize = 768 * 1024;

/// A text with its inserts, each filled in once: what looks like an insert inside a value is none.
#[must_use]
pub fn fill(text: &str, inserts: &[&str]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        let inside = rest[open + 2..].split_once("}}").map(|(inside, _)| inside);
        let number = inside.and_then(|inside| inside.parse::<usize>().ok()).unwrap_or(0);
        match number.checked_sub(1).and_then(|index| inserts.get(index)) {
            Some(value) => {
                filled.push_str(&rest[..open]);
                filled.push_str(value);
                rest = &rest[open + 4 + inside.map_or(0, str::len)..];
            }
            None => {
                filled.push_str(&rest[..=open]);
                rest = &rest[open + 1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

// === impl Batch ===

impl<'a> Batch<'a> {
    /// The letter a member gets.
    #[must_use]
    pub fn letter_of(&self, member: &Member<'_>) -> Option<&Letter<'a>> {
        self.letters.get(usize::try_from(member.letter).ok()?)
    }

    /// Packs it up.
    #[must_use]
    pub fn pack(&self) -> Parcel {
        let letters = self.letters.iter().fold(Vec::new(), |bytes, letter| append(letter, bytes));
        let bytes = pack(self.head, (self.letters.len(), &letters), self.members.iter().copied());
        Parcel::read(bytes.into()).expect("what was just packed can be read")
    }
}

/// Packs a batch of letters that were written one after the other, each by [`append`].
pub(crate) fn pack<'m>(
    head: &BatchHead,
    letters: (usize, &[u8]),
    members: impl ExactSizeIterator<Item = Member<'m>>,
) -> Vec<u8> {
    let (number, written) = letters;
    let count = members.len();
    let mut bytes = append(head, Vec::with_capacity(1_024 + written.len() + count * 40));
    // A list is its length and its items: what was written before needs no second writing.
    bytes = append(&number, bytes);
    bytes.extend_from_slice(written);
    bytes = append(&count, bytes);
    members.fold(bytes, |bytes, member| append(&member, bytes))
}

// === impl Parcel ===

impl Parcel {
    /// Reads a batch, all of it, so that opening it later finds nothing wrong.
    ///
    /// # Errors
    /// It is not one that this version packed.
    pub fn read(bytes: Bytes) -> Result<Self, Unread> {
        let (head, rest) = take::<BatchHead>(&bytes)?;
        let body = bytes.len() - rest.len();
        let (letters, members) = contents(rest)?;
        let known = |member: &Member<'_>| (member.letter as usize) < letters.len();
        if !members.iter().all(known) {
            return Err(Unread::DeserializeBadEncoding);
        }
        let count = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let first_end = letters.iter().filter_map(|letter| letter.expires_at).min();
        Ok(Self { head, count, first_end, body, bytes })
    }

    /// The bytes it was packed into.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its letters and people, in place.
    #[must_use]
    pub fn open(&self) -> Batch<'_> {
        let (letters, members) = contents(&self.bytes[self.body..]).expect("it was read before");
        Batch { head: &self.head, letters, members }
    }
}

fn contents(bytes: &[u8]) -> Result<(Vec<Letter<'_>>, Vec<Member<'_>>), Unread> {
    let (letters, rest) = take(bytes)?;
    Ok((letters, take(rest)?.0))
}

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
    use crate::event::BoundAudience;

    /// The audience of nobody, sealed.
    const NOBODY: Sealed<'_> = Sealed::of(&[6, 0, 0, 0]);

    fn letter(notice: u128, inserts: &[&'static str]) -> Letter<'static> {
        Letter {
            notice: NoticeId(notice),
            expires_at: None,
            audience: NOBODY,
            subject: "acme|xecm|task_id=115295",
            subject_partition: 3,
            conversation: 77,
            occasion: Occasion::First,
            inserts: inserts.to_vec(),
        }
    }

    #[test]
    fn nobody_is_sealed_as_above() {
        let mut bytes = Vec::new();
        BoundAudience::nobody().seal(&mut bytes);
        assert_eq!(Sealed::of(&bytes), NOBODY);
    }

    #[test]
    fn inserts_are_filled_once_and_braces_without_one_stay() {
        assert_eq!(fill("a {{2}} b {{1}}{{2}}", &["{{2}}", "ä"]), "a ä b {{2}}ä");
        for text in ["{{3}}", "{{", "{{x}} }}", "{{0}}"] {
            assert_eq!(fill(text, &["x", "y"]), text);
        }
        assert_eq!(fill("{{{1}}}", &["x"]), "{x}");
    }

    #[test]
    fn a_packed_batch_opens_as_it_was() {
        let head = head();
        let batch = batch(&head);
        let parcel = batch.pack();
        assert_eq!(parcel.open(), batch);
        let read = Parcel::read(Bytes::copy_from_slice(parcel.bytes())).unwrap();
        assert_eq!((read.count, &read), (3, &parcel));
        for end in 0..parcel.bytes().len() {
            assert!(Parcel::read(parcel.bytes.slice(..end)).is_err(), "cut at {end}");
        }
    }

    /// What is said of [`batch`] as a whole.
    pub(crate) fn head() -> BatchHead {
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
        BatchHead {
            message_id: "b-5f0c".into(),
            tenant: "acme".into(),
            account: "main".into(),
            template,
            expires_at: Some(Timestamp::from_millis(1_767_632_400_000)),
            cut_at: Timestamp::from_millis(1_767_600_000_000),
            oldest: Timestamp::from_millis(1_767_600_000_000),
            signing_key: "k1".into(),
        }
    }

    /// A batch of two letters and three people.
    pub(crate) fn batch(head: &BatchHead) -> Batch<'_> {
        let member = |user_id, letter| Member { user_id, letter };
        Batch {
            head,
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
