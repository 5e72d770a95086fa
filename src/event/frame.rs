//! Frame: everything one transaction has for one partition of one of our own topics, in one record.
//!
//! A record costs a Kafka client microseconds, an item of a frame nanoseconds. A frame is a header and
//! items one after the other, each readable in place; it never exceeds [`MOST_FRAME_BYTES`].

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::change::Coordinates;

/// The most bytes of one frame, before compression.
pub const MOST_FRAME_BYTES: usize = 256 * 1024;

/// The format version every frame starts with.
pub const FRAME_VERSION: u8 = 5;

/// What a reader must know before it may look at the items.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameHead {
    /// The rules the items were decided by; a reader that has older ones waits for these.
    pub generation: u64,
    /// How far the directory had been read, by partition; a reader waits until its copy is there too.
    pub directory: Vec<i64>,
    /// How far what is muted had been read; who says anything of it waits until its copy is there, too.
    pub mutes: i64,
    /// The partition of the lane that wrote it.
    pub from: i32,
}

/// How the bytes of a change are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Format {
    /// Avro in Confluent framing: magic 0, schema id, body.
    Avro,
    /// One CloudEvents JSON object.
    CloudEvent,
    /// CloudEvents in binary mode: attributes in `ce_` headers, data in the value.
    CloudEventBinary,
    /// No change but a person's [`super::answer::Answer`].
    Answer,
    /// No change but an answer that was not carried out: [`super::answer::Returned`].
    Returned,
}

/// One change on its way to a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectItem<'a> {
    /// Where the change lies.
    pub at: Coordinates,
    /// When it was appended to its source topic; the dedupe horizon is measured on it.
    pub appended_at: Timestamp,
    /// The subject's key.
    pub subject: &'a str,
    /// The ids of the rules that share this subject.
    #[serde(borrow)]
    pub rules: Vec<&'a str>,
    /// How to read the payload.
    pub format: Format,
    /// The record's `ce_` headers, for [`Format::CloudEventBinary`].
    #[serde(borrow)]
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// The record's value, untouched: what is left of the item, so that it is copied once.
    #[serde(skip)]
    pub payload: &'a [u8],
}

/// What cannot be read in the form that frames carry.
pub type Unread = postcard::Error;

/// Appends something in the form that frames carry. Nothing of ours is refused by it.
pub(crate) fn append(what: &impl Serialize, bytes: Vec<u8>) -> Vec<u8> {
    postcard::to_extend(what, bytes).expect("numbers, texts and lists of known length are never refused")
}

/// What [`append`] wrote, and the bytes behind it.
pub(crate) fn take<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Result<(T, &'b [u8]), Unread> {
    postcard::take_from_bytes(bytes)
}

// === impl SubjectItem ===

impl<'a> SubjectItem<'a> {
    /// Appends what stands before the payload.
    #[must_use]
    pub fn beginning(&self, bytes: Vec<u8>) -> Vec<u8> {
        append(self, bytes)
    }

    /// Reads an item.
    ///
    /// # Errors
    /// It is none.
    pub fn read(item: &'a [u8]) -> Result<Self, Unread> {
        let (read, payload) = take::<Self>(item)?;
        Ok(Self { payload, ..read })
    }
}
