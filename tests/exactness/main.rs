//! Exactness: every telling owed is told exactly once, whatever is aborted, done again or started anew.
//!
//! The lanes run by their contract alone, over logs that keep what Kafka would keep: records, pages of what
//! the lanes remember, committed offsets and the notes beside them. Nothing else survives a restart.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod delivery;
mod lanes;
#[path = "../town/owed.rs"]
mod owed;
#[path = "../town/mod.rs"]
mod town;

use bugle::event::Incoming;
use bugle::flow::{Cursor, Plan, Rooms};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// How a lane is built from where it goes on.
type Open = fn((i64, &Cursor), &Plan, i32) -> Box<dyn Rooms>;

/// What a partition's owner knows: its lane, and what was read and committed.
struct Seat {
    lane: Box<dyn Rooms>,
    /// The index of the next record to hand in.
    read: usize,
    /// What the broker keeps: the offset and the note beside it.
    committed: (i64, String),
    open: Open,
    partition: i32,
}

// === impl Seat ===

impl Seat {
    fn new(partition: i32, plan: &Plan, open: Open) -> Self {
        let lane = open((0, &Cursor::default()), plan, partition);
        Self { lane, read: 0, committed: (0, String::new()), open, partition }
    }

    /// The lane is ready to commit; what the broker will keep.
    fn position(&self) -> (i64, String) {
        let (offset, cursor) = self.lane.position();
        let note = cursor.note(offset);
        assert!(note.len() <= 4_096, "Kafka refuses a note of {} bytes", note.len());
        (offset, note)
    }

    /// A new owner goes on with what was committed and what was remembered.
    fn restart(&mut self, plan: &Plan, log: &[Incoming], memory: &[Incoming]) {
        let cursor = Cursor::parse(&self.committed.1, self.committed.0).unwrap();
        let opened = |position: (i64, &Cursor), placed: bool| {
            let mut lane = (self.open)(position, plan, self.partition);
            for record in memory {
                lane.restore(record, placed).unwrap();
            }
            lane.restored();
            lane
        };
        let lane = opened((self.committed.0, &cursor), true);
        if !memory.is_empty() {
            // A group that forgot its offsets: the last page says where the lane was.
            let unplaced = opened((0, &Cursor::default()), false);
            assert_eq!(unplaced.position(), lane.position());
            // A copy that was made before anybody knew where it would go on.
            let mut copy = unplaced;
            copy.place((self.committed.0, &cursor));
            assert_eq!(copy.position(), lane.position());
        }
        self.lane = lane;
        self.rewind(log);
    }

    /// Records are handed in again from the committed offset.
    fn rewind(&mut self, log: &[Incoming]) {
        self.read = log.iter().position(|record| record.offset >= self.committed.0).unwrap_or(log.len());
    }
}

/// Tries `cases` inputs, and says the smallest that fails.
fn for_all<S: Strategy>(cases: u32, inputs: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    if let Err(failure) = TestRunner::new(config).run(inputs, test) {
        panic!("{failure}");
    }
}
