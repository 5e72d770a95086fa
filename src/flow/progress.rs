//! Progress: how far a lane has come, and how far it had come at its last commit.

use std::collections::BTreeSet;

use super::audit::Chain;
use super::cursor::At;
use super::{Cursor, Outbox, Want, World};
use crate::event::Timestamp;
use crate::topology::Topology;

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
    /// The newest rules anything was decided by, and those at the last commit.
    generation: (u64, u64),
    /// The latest time anything was decided at, and that of the last commit.
    now: (Timestamp, Timestamp),
    chain: Chain,
    /// The item at hand, and those on which a room panicked. An abort forgets neither.
    at_hand: At,
    poison: BTreeSet<At>,
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
            generation: (cursor.generation, cursor.generation),
            now: (cursor.now, cursor.now),
            chain: Chain::new(lane, partition, cursor),
            at_hand: (offset, cursor.place),
            poison: BTreeSet::new(),
        }
    }

    /// A page of an owner before says how far it had come. The group's word goes first, and only the count
    /// of transactions goes on from the page: an operator may have moved the group back.
    pub fn restore(&mut self, (lane, partition): (&str, i32), page: &super::memory::Page<'_>, placed: bool) {
        if placed {
            self.sequence = self.sequence.max(page.cursor.sequence);
            let generation = self.generation.1.max(page.cursor.generation);
            self.generation = (generation, generation);
            let now = self.now.1.max(page.cursor.now);
            self.now = (now, now);
        } else {
            *self = Self::new(lane, partition, page.offset, &page.cursor);
        }
    }

    /// What is decided from now on is decided by these rules. Where something here was decided by newer ones,
    /// or the record at hand was (`head`), those are what is wanted, and nothing may be decided without them:
    /// a rule they brought would be taken for one that was removed.
    ///
    /// # Errors
    /// The rules wanted.
    pub fn decide_by(&mut self, topology: &Topology, head: u64) -> Result<(), Want> {
        let wanted = self.generation.0.max(head);
        if wanted > topology.generation {
            return Err(Want::Rules(wanted));
        }
        self.generation.0 = topology.generation;
        Ok(())
    }

    /// The group's word about where it goes on goes first.
    pub fn place(&mut self, (lane, partition): (&str, i32), (offset, cursor): (i64, &Cursor)) {
        let sequence = self.sequence.max(cursor.sequence);
        let generation = self.generation.1.max(cursor.generation);
        let generation = (generation, generation);
        let now = self.now.1.max(cursor.now);
        *self = Self { sequence, generation, now: (now, now), ..Self::new(lane, partition, offset, cursor) };
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

    /// The item at this place is looked at. Whether a room panicked on it before: then it is kept, and nobody looks
    /// into it again.
    pub fn is_poison(&mut self, at: At) -> bool {
        self.at_hand = at;
        self.poison.contains(&at)
    }

    /// A room panicked on the item at hand. Whether it can be kept: not where that was tried before.
    pub fn spare(&mut self) -> bool {
        self.poison.insert(self.at_hand)
    }

    /// The record at `offset` is done up to `place`.
    pub fn reach(&mut self, offset: i64, place: u32) {
        (self.next, self.place) = (offset, place);
    }

    /// The record at `offset` is done.
    pub fn finish(&mut self, offset: i64) {
        (self.next, self.place) = (offset + 1, 0);
    }

    /// The outbox's verdicts become audit records; it is at least this late since then.
    pub fn close(&mut self, now: Timestamp, world: &World<'_>, out: &mut Outbox) {
        self.now.0 = self.now.0.max(now);
        self.chain.close(world, out);
    }

    /// What to commit.
    #[must_use]
    pub fn position(&self) -> (i64, Cursor) {
        let (sequence, generation) = (self.sequence + 1, self.generation.0);
        let (place, now) = (self.place, self.now.0);
        let mut cursor = Cursor { sequence, place, generation, now, ..Cursor::default() };
        self.chain.note(&mut cursor);
        (self.next, cursor)
    }

    /// The transaction was committed.
    pub fn settle(&mut self) {
        self.sequence += 1;
        self.settled = (self.next, self.place);
        self.poison.retain(|at| *at >= self.settled);
        self.generation.1 = self.generation.0;
        self.now.1 = self.now.0;
        self.chain.settle();
    }

    /// The transaction was aborted.
    pub fn undo(&mut self) {
        (self.next, self.place) = self.settled;
        self.generation.0 = self.generation.1;
        self.now.0 = self.now.1;
        self.chain.undo();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(generation: u64) -> Topology {
        let mut rules = Topology::default();
        rules.generation = generation;
        rules
    }

    #[test]
    fn it_is_never_earlier_than_it_was_for_whoever_decided_before() {
        let at = Timestamp::from_millis;
        let cursor = Cursor { now: at(500), ..Cursor::default() };
        let mut progress = Progress::new("subject", 0, 7, &cursor);
        assert_eq!(progress.position().1.now, at(500));
        progress.place(("subject", 0), (7, &Cursor { now: at(300), ..Cursor::default() }));
        assert_eq!(progress.position().1.now, at(500), "the group knows less than its memory");
        progress.place(("subject", 0), (7, &Cursor { now: at(800), ..Cursor::default() }));
        assert_eq!(progress.position().1.now, at(800));
    }

    #[test]
    fn what_a_room_panicked_on_is_known_until_it_is_behind() {
        let mut progress = Progress::new("subject", 0, 7, &Cursor::default());
        assert!(!progress.is_poison((7, 0)) && !progress.is_poison((7, 1)));
        assert!(progress.spare(), "it is kept when it comes again");
        progress.undo();
        assert!(!progress.is_poison((7, 0)) && progress.is_poison((7, 1)));
        assert!(!progress.spare(), "to keep it does not help");
        progress.finish(7);
        progress.settle();
        assert!(progress.poison.is_empty());
    }

    #[test]
    fn nothing_is_decided_by_older_rules_than_those_it_was_decided_by_before() {
        let cursor = Cursor { generation: 3, ..Cursor::default() };
        let mut progress = Progress::new("subject", 0, 7, &cursor);
        assert_eq!(progress.decide_by(&rules(2), 0), Err(Want::Rules(3)), "its owner before had newer ones");
        assert_eq!(progress.decide_by(&rules(4), 5), Err(Want::Rules(5)), "its writer had newer ones");
        assert_eq!(progress.decide_by(&rules(4), 1), Ok(()));
        assert_eq!(progress.position().1.generation, 4);
        progress.undo();
        assert_eq!(progress.position().1.generation, 3, "an aborted transaction decided nothing");
        assert_eq!(progress.decide_by(&rules(5), 0), Ok(()));
        progress.settle();
        progress.undo();
        assert_eq!(progress.decide_by(&rules(4), 0), Err(Want::Rules(5)));
    }
}
