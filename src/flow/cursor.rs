//! Cursor: what moves with a lane's offset, kept beside it in the same commit.
//!
//! **Invariant:** memory and offset move in one transaction. The cursor's sequence number is counted
//! up by every transaction that touches the partition, so that state restored from elsewhere can be
//! compared with the offset; its place says how much of the frame at the offset is done.

use std::fmt::Write as _;

use crate::event::Timestamp;

/// Where an item of a frame lies: the offset of the frame, and its place in it.
pub type At = (i64, u32);

/// The place inside the record at the offset, and the heads of what the lane writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Transactions so far.
    pub sequence: u64,
    /// Items of the frame at the offset that are done.
    pub place: u32,
    /// The number of audit records this lane and partition has written.
    pub audit: u64,
    /// The digest of the last of them.
    pub audit_hash: u128,
    /// The transaction that wrote to the lane's state topic last: what was read back must reach it.
    pub state: u64,
    /// The newest rules anything was decided by: whoever goes on needs those, or newer ones.
    pub generation: u64,
    /// The latest time anything was decided at: for whoever goes on it is not earlier, whatever their clock
    /// says.
    pub now: Timestamp,
    /// Batches done beyond the offset, as places of whole or part frames. Delivery lane only.
    pub done: Vec<At>,
    /// Batches before this place, and not done, may have been sent. Delivery lane only.
    pub begun: At,
}

/// A note that no version of Bugle wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the committed offset carries a note this version cannot read: `{0}`")]
pub struct UnreadableCursor(pub String);

/// Kafka keeps at most 4 096 bytes beside an offset; this many batches fit with room to spare.
pub const MOST_DONE: usize = 250;

// === impl Cursor ===

impl Cursor {
    /// The note to commit with `offset`.
    #[must_use]
    pub fn note(&self, offset: i64) -> String {
        let mut note = format!(
            "1 seq={} place={} audit={}:{:032x}",
            self.sequence, self.place, self.audit, self.audit_hash
        );
        for (index, (at, place)) in self.done.iter().enumerate() {
            note.push_str(if index == 0 { " done=" } else { "," });
            let _ = write!(note, "{}.{place}", at - offset);
        }
        if self.state > 0 {
            let _ = write!(note, " state={}", self.state);
        }
        if self.generation > 0 {
            let _ = write!(note, " rules={}", self.generation);
        }
        if self.now > Timestamp::default() {
            let _ = write!(note, " now={}", self.now.millis());
        }
        if self.begun != (0, 0) {
            let _ = write!(note, " begun={}.{}", self.begun.0 - offset, self.begun.1);
        }
        note
    }

    /// Reads a note back; an empty one is the beginning.
    ///
    /// # Errors
    /// [`UnreadableCursor`] for a note of another version: going on without it could tell people twice.
    pub fn parse(note: &str, offset: i64) -> Result<Self, UnreadableCursor> {
        if note.is_empty() {
            return Ok(Self::default());
        }
        Self::read(note, offset).ok_or_else(|| UnreadableCursor(note.to_owned()))
    }

    fn read(note: &str, offset: i64) -> Option<Self> {
        let mut words = note.split(' ');
        if words.next()? != "1" {
            return None;
        }
        let mut cursor = Self::default();
        for word in words {
            let (name, value) = word.split_once('=')?;
            match name {
                "seq" => cursor.sequence = value.parse().ok()?,
                "state" => cursor.state = value.parse().ok()?,
                "rules" => cursor.generation = value.parse().ok()?,
                "now" => cursor.now = Timestamp::from_millis(value.parse().ok()?),
                "place" => cursor.place = value.parse().ok()?,
                "audit" => {
                    let (number, hash) = value.split_once(':')?;
                    cursor.audit = number.parse().ok()?;
                    cursor.audit_hash = u128::from_str_radix(hash, 16).ok()?;
                }
                "done" => {
                    cursor.done = value.split(',').map(|pair| at(pair, offset)).collect::<Option<_>>()?;
                }
                "begun" => cursor.begun = at(value, offset)?,
                _ => return None,
            }
        }
        Some(cursor)
    }
}

/// `3.1`: three behind the offset, place 1.
fn at(pair: &str, offset: i64) -> Option<(i64, u32)> {
    let (ahead, place) = pair.split_once('.')?;
    Some((offset.checked_add(ahead.parse().ok()?)?, place.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = Cursor {
            sequence: 7,
            place: 3,
            audit: 12,
            audit_hash: 0xfeed,
            state: 6,
            generation: 4,
            now: Timestamp::from_millis(1_700_000_000_000),
            done: vec![(100, 2), (105, 0)],
            begun: (106, 1),
        };
        assert_eq!(Cursor::parse(&cursor.note(99), 99), Ok(cursor));
        assert_eq!(Cursor::parse("", 5), Ok(Cursor::default()));
    }

    #[test]
    fn a_note_of_another_version_is_refused() {
        for note in ["2 seq=1", "1 seq=x", "1 colour=red", "hello"] {
            assert!(Cursor::parse(note, 0).is_err(), "{note}");
        }
    }

    #[test]
    fn the_longest_note_fits_beside_an_offset() {
        let done = (0..250).map(|index| (1_000_000 + index * 31, 999)).collect::<Vec<_>>();
        assert_eq!(done.len(), MOST_DONE);
        let cursor = Cursor {
            sequence: u64::MAX,
            place: u32::MAX,
            audit: u64::MAX,
            audit_hash: u128::MAX,
            state: u64::MAX,
            generation: u64::MAX,
            now: Timestamp::from_millis(i64::MAX),
            done,
            begun: (i64::MAX, u32::MAX),
        };
        assert!(cursor.note(0).len() < 4_096);
    }
}
