//! Unfinished: which batches of which frames are done, and how far the offset may therefore go.
//!
//! **Invariant:** the offset stays at the oldest frame that is still owed something. What is finished
//! beyond it moves with the cursor, so that a restart sends only what was not finished.

use std::collections::BTreeMap;

use super::Cursor;
use super::cursor::At;

/// The frames read and not finished, and what is finished of each.
#[derive(Debug)]
pub struct Unfinished {
    frames: BTreeMap<i64, Frame>,
    read_to: i64,
}

#[derive(Debug, Default)]
struct Frame {
    /// Known once the frame was read (again).
    total: u32,
    done: Vec<u32>,
}

/// Stands in a cursor for every place of a frame.
const WHOLE: u32 = u32::MAX;

// === impl Unfinished ===

impl Unfinished {
    /// Where a committed cursor says that a lane goes on.
    #[must_use]
    pub fn new(offset: i64, cursor: &Cursor) -> Self {
        let mut frames: BTreeMap<i64, Frame> = BTreeMap::new();
        for (at, place) in &cursor.done {
            frames.entry(*at).or_default().done.push(*place);
        }
        Self { frames, read_to: offset }
    }

    /// Whether the frame at this offset was taken in already.
    #[must_use]
    pub fn was_read(&self, offset: i64) -> bool {
        offset < self.read_to
    }

    /// Takes a frame in; the places that are still to be done.
    pub fn read(&mut self, offset: i64, total: u32) -> Vec<u32> {
        let frame = self.frames.entry(offset).or_default();
        frame.total = total;
        if frame.done.contains(&WHOLE) {
            frame.done = (0..total).collect();
        }
        self.read_to = offset + 1;
        (0..total).filter(|place| !frame.done.contains(place)).collect()
    }

    /// A batch is done.
    pub fn finish(&mut self, at: At) {
        if let Some(frame) = self.frames.get_mut(&at.0) {
            frame.done.push(at.1);
        }
    }

    /// The offset to commit: the oldest frame still owed something, or the next unread one.
    pub fn low_water(&mut self) -> i64 {
        while let Some(first) = self.frames.first_entry() {
            if *first.key() >= self.read_to || !first.get().is_whole() {
                break;
            }
            first.remove();
        }
        self.frames.keys().next().copied().filter(|at| *at < self.read_to).unwrap_or(self.read_to)
    }

    /// Notes in the cursor what is done beyond the offset.
    pub fn note(&self, cursor: &mut Cursor) {
        for (at, frame) in &self.frames {
            if frame.total > 0 && frame.is_whole() {
                cursor.done.push((*at, WHOLE));
            } else {
                cursor.done.extend(frame.done.iter().map(|place| (*at, *place)));
            }
        }
    }

    /// How many entries the cursor may need.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.frames.values().map(|frame| frame.done.len()).sum()
    }
}

// === impl Frame ===

impl Frame {
    fn is_whole(&self) -> bool {
        self.done.len() >= self.total as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(unfinished: &Unfinished) -> Cursor {
        let mut cursor = Cursor::default();
        unfinished.note(&mut cursor);
        cursor
    }

    #[test]
    fn the_offset_waits_for_the_oldest_frame_and_a_restart_does_the_rest() {
        let mut before = Unfinished::new(5, &Cursor::default());
        assert_eq!(
            (before.read(5, 2), before.read(6, 1), before.read(7, 2)),
            (vec![0, 1], vec![0], vec![0, 1])
        );
        for at in [(5, 1), (6, 0), (7, 0)] {
            before.finish(at);
        }
        assert_eq!(before.low_water(), 5);
        let mut after = Unfinished::new(5, &noted(&before));
        assert_eq!((after.read(5, 2), after.read(6, 1), after.read(7, 2)), (vec![0], vec![], vec![1]));
        after.finish((5, 0));
        assert_eq!(after.low_water(), 7);
        after.finish((7, 1));
        assert_eq!((after.low_water(), noted(&after)), (8, Cursor::default()));
    }
}
