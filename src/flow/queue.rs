//! Queue: the answers about one thing that are not carried out yet, in the order they were given.
//!
//! An entry of `bugle.writebacks.state`. Only the first of a queue is under way; the others wait for it,
//! whatever becomes of it.
//!
//! Layout: version byte, then the queue in the form that frames carry.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::event::Timestamp;
use crate::event::frame::{append, take};

use super::carry;
use super::memory::BrokenMemory;

/// The format this version writes; of a later one it reads nothing.
const VERSION: u8 = 1;

/// The answers about one thing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue<'a> {
    /// In their order.
    #[serde(borrow)]
    pub jobs: Vec<Job<'a>>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job<'a> {
    /// Where its record lies.
    pub offset: i64,
    /// The record's value, byte for byte.
    #[serde(borrow)]
    pub record: Cow<'a, [u8]>,
    /// When it was taken up.
    pub since: Timestamp,
    /// How far it is.
    pub phase: Phase,
    /// How often the source system was called.
    pub calls: u32,
    /// When it was last begun to be carried out.
    pub begun: Timestamp,
    /// Not before this is it called again.
    pub due: Timestamp,
}

/// How far an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Nothing of it has reached the source system.
    Waiting,
    /// Some of it may have: only reading tells.
    Attempting,
}

// === impl Queue ===

impl<'a> Queue<'a> {
    /// Reads an entry in place.
    ///
    /// # Errors
    /// [`BrokenMemory`].
    pub fn read(entry: &'a [u8]) -> Result<Self, BrokenMemory> {
        let (version, rest) = entry.split_first().ok_or(BrokenMemory::Damaged)?;
        if *version != VERSION {
            return Err(BrokenMemory::Version(*version));
        }
        match take(rest) {
            Ok((queue, [])) => Ok(queue),
            _ => Err(BrokenMemory::Damaged),
        }
    }

    /// A hash of what its answers are about: partitions go by it.
    ///
    /// # Errors
    /// [`BrokenMemory`].
    pub fn about(&self) -> Result<u128, BrokenMemory> {
        let job = self.jobs.first().ok_or(BrokenMemory::Damaged)?;
        let answer = codec::write_back::read(&job.record).map_err(|_| BrokenMemory::Damaged)?;
        Ok(carry::about(&answer))
    }

    /// The entry.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        append(self, vec![VERSION])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_read_as_it_was_written_and_a_damaged_one_refused() {
        let job = |offset| Job {
            offset,
            record: Cow::Borrowed(b"record"),
            since: Timestamp::from_millis(5),
            phase: Phase::Attempting,
            calls: 3,
            begun: Timestamp::from_millis(8),
            due: Timestamp::from_millis(9),
        };
        let queue = Queue { jobs: vec![job(1), job(2)] };
        let mut bytes = queue.write();
        assert_eq!(Queue::read(&bytes), Ok(queue));
        for end in 0..bytes.len() {
            assert!(Queue::read(&bytes[..end]).is_err(), "cut at {end}");
        }
        bytes[0] = VERSION + 1;
        assert_eq!(Queue::read(&bytes), Err(BrokenMemory::Version(VERSION + 1)));
    }
}
