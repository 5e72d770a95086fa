//! Conversation: what one rule knows of one subject while there is something to wait for.
//!
//! An entry of the state topic is a [`Matter`]: one rule, one subject, a conversation for each value of the
//! rule's `each`. It carries the change that its texts are written from, and its timers: what is due lives
//! with what it is about, so that closing the one ends the other.
//!
//! Layout: version byte, four bytes of the second it is due, four of a checksum of what follows and of the
//! second (both little endian), then the matter in the form that frames carry. So an entry that is read back
//! is known to be whole, and when it is due, without being unpacked.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::event::frame::{SubjectItem, append, take};
use crate::event::notice::Verb;
use crate::event::{BoundAudience, SubjectKey, Timestamp};
use crate::store::keyed::{NEVER, Second};
use crate::topology::message::ANSWER;

pub use super::gathered::Gathered;
use super::memory::BrokenMemory;

/// The format this version writes; of another one it reads nothing.
const VERSION: u8 = 4;
/// The bytes of a due second, and of a checksum.
const FOUR: usize = size_of::<u32>();

/// The most people whose own answers a conversation remembers.
const MOST_ANSWERED: usize = 256;
/// The most audiences told that a conversation remembers one by one.
const MOST_TOLD: usize = 16;

/// One rule and one subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matter<'a> {
    /// The rule.
    pub rule: Cow<'a, str>,
    /// What happened up to then is closed.
    pub closed: Option<Timestamp>,
    /// Who decided, where somebody did.
    pub decided: Option<Decided>,
    /// Forgotten then, if nothing happens.
    pub ends: Timestamp,
    /// The conversations, one for each value of the rule's `each`.
    #[serde(borrow)]
    pub talks: Vec<Conversation<'a>>,
    /// What the decision ended, as it was: the source system may have no room for it.
    #[serde(borrow)]
    pub ended: Option<Conversation<'a>>,
}

/// One conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conversation<'a> {
    /// Which of the subject's.
    #[serde(borrow)]
    pub each: Cow<'a, str>,
    /// The round: hash of the event that opened it.
    pub id: u128,
    /// When it opened.
    pub opened_at: Timestamp,
    /// When somebody was first told in this round.
    pub told_at: Option<Timestamp>,
    /// Where its newest change stands.
    pub order: Option<i64>,
    /// A hash of the dates its timers start from.
    pub dates: u64,
    /// The newest change, as it came: an item of a frame, compressed, for most of what is open is this.
    #[serde(borrow)]
    pub item: Cow<'a, [u8]>,
    /// What is due.
    pub armed: Vec<Armed>,
    /// Who was told, as audiences.
    pub told: Vec<BoundAudience>,
    /// The partitions of people that were told, in order: there something of it may still wait.
    pub reached: Vec<i32>,
    /// Who answered for themselves alone.
    pub answered: Vec<String>,
    /// How many reminders went out.
    pub reminders: u16,
    /// What waits to be told as one.
    pub gathered: Gathered,
    /// Its system wants a signature: it is decided there, and nothing about it can be answered here.
    pub needs_signature: bool,
    /// How often a decision that had ended it was taken back.
    pub reopened: u32,
}

/// The decision that ended a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// Of which round.
    pub conversation: u128,
    /// Who decided.
    pub by: String,
    /// What.
    pub verb: Verb,
    /// When.
    pub at: Timestamp,
}

/// A timer that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Armed {
    /// What is due then.
    pub what: What,
    /// When.
    pub due: Timestamp,
    /// How often it was due before.
    pub round: u32,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// What was held or gathered is told.
    Tell,
    /// Those who heard are told that it is closed.
    Close,
    /// The rule's timer with this id.
    Timer(u32),
}

/// The second by which a moment has come.
#[must_use]
pub fn second(at: Timestamp) -> Second {
    // Beyond 2106 there is no second to wait for.
    Second::try_from(at.millis().max(0).saturating_add(999) / 1_000).unwrap_or(NEVER)
}

// === impl Matter ===

impl<'a> Matter<'a> {
    /// Nothing known yet.
    #[must_use]
    pub fn new(rule: &'a str) -> Self {
        let rule = Cow::Borrowed(rule);
        let (closed, decided, ends, talks, ended) = Default::default();
        Self { rule, closed, decided, ends, talks, ended }
    }

    /// Reads an entry in place.
    ///
    /// # Errors
    /// [`BrokenMemory`].
    pub fn read(entry: &'a [u8]) -> Result<Self, BrokenMemory> {
        let (_, rest) = opened(entry)?;
        match take(rest) {
            Ok((matter, [])) => Ok(matter),
            _ => Err(BrokenMemory::Damaged),
        }
    }

    /// When an entry is due; that it is whole is checked, and nothing unpacked.
    ///
    /// # Errors
    /// [`BrokenMemory`].
    pub fn due_of(entry: &[u8]) -> Result<Second, BrokenMemory> {
        opened(entry).map(|(due, _)| due)
    }

    /// The entry, appended to `bytes`.
    #[must_use]
    pub fn write(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let start = bytes.len();
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.due().to_le_bytes());
        bytes.extend_from_slice(&[0; FOUR]);
        let mut bytes = append(self, bytes);
        let (head, rest) = bytes[start + 1..].split_at(2 * FOUR);
        let sum = sum(&head[..FOUR], rest).to_le_bytes();
        bytes[start + 1 + FOUR..start + 1 + 2 * FOUR].copy_from_slice(&sum);
        bytes
    }

    /// The subject, as far as something of it can still be told.
    ///
    /// # Errors
    /// [`BrokenMemory`].
    pub fn subject(&self) -> Result<Option<SubjectKey>, BrokenMemory> {
        let mut talks = self.talks.iter().chain(&self.ended);
        let Some(talk) = talks.find(|talk| !talk.item.is_empty()) else { return Ok(None) };
        let kept = talk.kept()?;
        let item = SubjectItem::read(&kept).map_err(|_| BrokenMemory::Damaged)?;
        Ok(Some(SubjectKey(item.subject.to_owned())))
    }

    /// The partitions of people that were told have become more; whether that changes anything.
    pub fn reach_more<I: Iterator<Item = i32>>(&mut self, becomes: impl Fn(i32) -> I) -> bool {
        let mut changed = false;
        for talk in self.talks.iter_mut().chain(&mut self.ended) {
            let more: Vec<i32> = talk.reached.iter().flat_map(|partition| becomes(*partition)).collect();
            let before = talk.reached.len();
            talk.reach(&more);
            changed |= talk.reached.len() > before;
        }
        changed
    }

    /// The second at which it must be looked at again.
    #[must_use]
    pub fn due(&self) -> Second {
        let timers = self.talks.iter().flat_map(|talk| &talk.armed).map(|armed| armed.due);
        timers.chain([self.ends]).map(second).min().unwrap_or(NEVER)
    }
}

/// When an entry is due, and the matter in it.
fn opened(entry: &[u8]) -> Result<(Second, &[u8]), BrokenMemory> {
    let (version, rest) = entry.split_first().ok_or(BrokenMemory::Damaged)?;
    if *version != VERSION {
        return Err(BrokenMemory::Version(*version));
    }
    let (due, rest) = rest.split_first_chunk::<FOUR>().ok_or(BrokenMemory::Damaged)?;
    let (said, rest) = rest.split_first_chunk::<FOUR>().ok_or(BrokenMemory::Damaged)?;
    if u32::from_le_bytes(*said) != sum(due, rest) {
        return Err(BrokenMemory::Damaged);
    }
    Ok((Second::from_le_bytes(*due), rest))
}

/// The lower half of a hash that never changes.
#[allow(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
pub(super) fn sum(due: &[u8], rest: &[u8]) -> u32 {
    xxhash_rust::xxh3::xxh3_64_with_seed(rest, due.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
        as u32
}

// === impl Decided ===

impl Decided {
    /// What a text may say of it, by name.
    #[must_use]
    pub fn said(&self) -> Vec<(&'static str, String)> {
        let [by, verb, _] = ANSWER;
        vec![(by, self.by.clone()), (verb, self.verb.as_str().to_owned())]
    }
}

// === impl Conversation ===

impl<'a> Conversation<'a> {
    /// A conversation about nothing yet.
    #[must_use]
    pub fn new(each: String) -> Self {
        Self {
            each: Cow::Owned(each),
            id: 0,
            opened_at: Timestamp::default(),
            told_at: None,
            order: None,
            dates: 0,
            item: Cow::Borrowed(&[]),
            armed: Vec::new(),
            told: Vec::new(),
            reached: Vec::new(),
            answered: Vec::new(),
            reminders: 0,
            gathered: Gathered::default(),
            needs_signature: false,
            reopened: 0,
        }
    }

    /// Keeps the change its texts are written from. Which rules want it is known from elsewhere.
    pub fn keep(&mut self, item: &SubjectItem<'_>) {
        let item = SubjectItem { rules: Vec::new(), ..item.clone() };
        let mut bytes = item.beginning(Vec::with_capacity(128 + item.payload.len()));
        bytes.extend_from_slice(item.payload);
        self.item = Cow::Owned(lz4_flex::block::compress_prepend_size(&bytes));
    }

    /// The change it keeps: an item of a frame.
    ///
    /// # Errors
    /// It was never kept by [`Conversation::keep`].
    pub fn kept(&self) -> Result<Vec<u8>, BrokenMemory> {
        lz4_flex::block::decompress_size_prepended(&self.item).map_err(|_| BrokenMemory::Damaged)
    }

    /// Whether it waits only for its end to be told.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.armed.iter().any(|armed| armed.what == What::Close)
    }

    /// Whether the first telling is held or gathered.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.armed.iter().any(|armed| armed.what == What::Tell)
    }

    /// When what is held or gathered is told.
    #[must_use]
    pub fn held_until(&self) -> Option<Timestamp> {
        self.armed.iter().find(|armed| armed.what == What::Tell).map(|armed| armed.due)
    }

    /// The first telling is due then, whatever was said before.
    pub fn hold_until(&mut self, due: Timestamp) {
        self.let_go();
        self.armed.push(Armed { what: What::Tell, due, round: 0 });
    }

    /// The first telling is no longer held.
    pub fn let_go(&mut self) {
        self.armed.retain(|armed| armed.what != What::Tell);
    }

    /// Somebody answered for themselves.
    pub fn answer_of(&mut self, person: &str) {
        if self.answered.len() < MOST_ANSWERED {
            self.answered.push(person.to_owned());
        }
    }

    /// Something was said in these partitions of people.
    pub fn reach(&mut self, partitions: &[i32]) {
        for partition in partitions {
            if let Err(at) = self.reached.binary_search(partition) {
                self.reached.insert(at, *partition);
            }
        }
    }

    /// Somebody was told.
    pub fn remember(&mut self, audience: BoundAudience) {
        if !self.told.contains(&audience) && self.told.len() < MOST_TOLD {
            self.told.push(audience);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::frame::Format;
    use crate::event::{Coordinates, Source};

    fn matter() -> Vec<u8> {
        let at = Coordinates { source: Source::Xecm, partition: 1, offset: 7 };
        let mut talk = Conversation::new("|error.code=E1".to_owned());
        talk.keep(&SubjectItem {
            at,
            appended_at: Timestamp::from_millis(5),
            subject: "acme|xecm|task_id=1",
            rules: vec!["ec-3"],
            format: Format::Avro,
            headers: Vec::new(),
            payload: b"payload",
        });
        talk.hold_until(Timestamp::from_millis(61_001));
        talk.armed.push(Armed { what: What::Timer(9), due: Timestamp::from_millis(40_000), round: 2 });
        let mut matter = Matter::new("ec-3");
        matter.ends = Timestamp::from_millis(99_000);
        matter.talks.push(talk);
        matter.write(Vec::new())
    }

    #[test]
    fn an_entry_is_read_as_it_was_written_and_says_when_it_is_due() {
        let bytes = matter();
        let read = Matter::read(&bytes).unwrap();
        assert_eq!((read.due(), read.talks[0].is_held()), (40, true));
        assert_eq!(Matter::due_of(&bytes), Ok(40));
        let kept = read.talks[0].kept().unwrap();
        let item = SubjectItem::read(&kept).unwrap();
        assert_eq!(
            (item.subject, item.payload, item.rules.len()),
            ("acme|xecm|task_id=1", &b"payload"[..], 0)
        );
        assert_eq!(read.write(Vec::new()), bytes);
        assert_eq!(second(Timestamp::from_millis(61_001)), 62);
    }

    #[test]
    fn what_a_decision_ended_is_read_as_it_was() {
        let bytes = matter();
        let mut decided = Matter::read(&bytes).unwrap();
        assert_eq!((bytes[0], &decided.ended), (VERSION, &None));
        decided.ended = decided.talks.pop();
        let bytes = decided.write(Vec::new());
        assert_eq!((bytes[0], Matter::read(&bytes)), (VERSION, Ok(decided)));
        assert!((0..bytes.len()).all(|end| Matter::read(&bytes[..end]).is_err()));
    }

    #[test]
    fn the_turns_of_conversations_are_read_as_they_were_beside_what_a_decision_ended_and_without_it() {
        let bytes = matter();
        let mut signed = Matter::read(&bytes).unwrap();
        (signed.talks[0].needs_signature, signed.talks[0].reopened) = (true, 3);
        for ended in [false, true] {
            signed.ended =
                ended.then(|| Conversation { id: 9, needs_signature: false, ..signed.talks[0].clone() });
            let bytes = signed.write(Vec::new());
            assert_eq!((bytes[0], Matter::read(&bytes)), (VERSION, Ok(signed.clone())));
            assert!((0..bytes.len()).all(|end| Matter::read(&bytes[..end]).is_err()));
        }
    }

    #[test]
    fn the_partitions_that_heard_are_known_once_each() {
        let mut talk = Conversation::new(String::new());
        talk.reach(&[2, 0, 2]);
        talk.reach(&[1, 0]);
        assert_eq!(talk.reached, [0, 1, 2]);
    }

    #[test]
    fn a_later_format_and_a_damaged_entry_are_refused_and_never_a_panic() {
        let mut bytes = matter();
        for end in 0..bytes.len() {
            assert!(Matter::read(&bytes[..end]).is_err(), "cut at {end}");
            assert!(Matter::due_of(&bytes[..end]).is_err(), "cut at {end}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert!(Matter::due_of(&damaged).is_err(), "damaged at {at}");
        }
        bytes.push(0);
        assert_eq!(Matter::read(&bytes), Err(BrokenMemory::Damaged), "something behind it");
        bytes[0] = VERSION + 1;
        assert_eq!(Matter::read(&bytes), Err(BrokenMemory::Version(VERSION + 1)));
    }
}
