//! Progress: how far a lane has come, and how far it had come at its last commit.

use super::audit::Chain;
use super::{Cursor, Outbox, World};

/// A lane's place in its input.
///
/// **Invariant:** the offset to commit never passes a record that is still owed something. Inside a
/// frame it stays the frame's own, and the place counts the items done.
#[derive(Debug)]
pub struct Progress {
    next: i64,
    place: u32,
    sequence: u64,
    settled: (i64, u32),
    chain: Chain,
}

// === impl Progress ===

impl Progress {
    /// Where `lane` goes on in partition `partition`: at `offset`, as `cursor` says.
    #[must_use]
    pub fn new(lane: &str, partition: i32, offset: i64, cursor: &Cursor) -> Self {
        Self {
            next: offset,
            place: cursor.place,
            sequence: cursor.sequence,
            settled: (offset, cursor.place),
            chain: Chain::new(lane, partition, cursor),
        }
    }

    /// A page of an owner before says how far it had come. The group's word goes first, and only the count
    /// of transactions goes on from the page: an operator may have moved the group back.
    pub fn restore(&mut self, (lane, partition): (&str, i32), page: &super::memory::Page<'_>, placed: bool) {
        if placed {
            self.sequence = self.sequence.max(page.cursor.sequence);
        } else {
            *self = Self::new(lane, partition, page.offset, &page.cursor);
        }
    }

    /// The items of the record at `offset` that are done already; `None` when all of it is.
    #[must_use]
    pub fn place_in(&self, offset: i64) -> Option<u32> {
        match offset.cmp(&self.next) {
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => Some(self.place),
            std::cmp::Ordering::Greater => Some(0),
        }
    }

    /// The record at `offset` is done up to `place`.
    pub fn reach(&mut self, offset: i64, place: u32) {
        (self.next, self.place) = (offset, place);
    }

    /// The record at `offset` is done.
    pub fn finish(&mut self, offset: i64) {
        (self.next, self.place) = (offset + 1, 0);
    }

    /// The outbox's verdicts become audit records.
    pub fn close(&mut self, world: &World<'_>, out: &mut Outbox) {
        self.chain.close(world, out);
    }

    /// What to commit.
    #[must_use]
    pub fn position(&self) -> (i64, Cursor) {
        let mut cursor = Cursor { sequence: self.sequence + 1, place: self.place, ..Cursor::default() };
        self.chain.note(&mut cursor);
        (self.next, cursor)
    }

    /// The transaction was committed.
    pub fn settle(&mut self) {
        self.sequence += 1;
        self.settled = (self.next, self.place);
        self.chain.settle();
    }

    /// The transaction was aborted.
    pub fn undo(&mut self) {
        (self.next, self.place) = self.settled;
        self.chain.undo();
    }
}
