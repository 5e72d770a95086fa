//! Unfinished: which batches of which frames are done, and how far the offset may therefore go.
//!
//! **Invariant:** the offset stays at the oldest frame that is still owed something. What is finished
//! beyond it moves with the cursor, so that a restart sends only what was not finished.

use std::collections::{BTreeMap, BTreeSet};

use super::Cursor;
use super::cursor::At;

/// The frames read and not finished, and what is finished of each.
#[derive(Debug)]
pub struct Unfinished {
    frames: BTreeMap<i64, Frame>,
    /// Everything before it was taken in.
    next: At,
}

#[derive(Debug, Default)]
struct Frame {
    /// Known once the frame was read (again).
    total: Option<u32>,
    done: BTreeSet<u32>,
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
            frames.entry(*at).or_default().done.insert(*place);
        }
        if cursor.place > 0 {
            frames.entry(offset).or_default().done.extend(0..cursor.place);
        }
        Self { frames, next: (offset, 0) }
    }

    /// Whether all of the frame at this offset was taken in already.
    #[must_use]
    pub fn was_read(&self, offset: i64) -> bool {
        offset < self.next.0
    }

    /// Takes up a frame, or goes on with it; the places that are still to be taken in.
    pub fn read(&mut self, offset: i64, total: u32) -> Vec<u32> {
        let frame = self.frames.entry(offset).or_default();
        frame.total = Some(total);
        if frame.done.contains(&WHOLE) {
            frame.done = (0..total).collect();
        }
        self.next = self.next.max((offset, 0));
        (self.next.1..total).filter(|place| !frame.done.contains(place)).collect()
    }

    /// Everything before `next` was taken in.
    pub fn reach(&mut self, next: At) {
        self.next = next;
    }

    /// What is taken in next.
    #[must_use]
    pub fn next(&self) -> At {
        self.next
    }

    /// A batch is done.
    pub fn finish(&mut self, at: At) {
        if let Some(frame) = self.frames.get_mut(&at.0) {
            frame.done.insert(at.1);
        }
    }

    /// The offset to commit: the oldest frame still owed something, or the next unread one; and how
    /// many of that frame's batches are done without a gap.
    pub fn low_water(&mut self) -> At {
        while let Some(first) = self.frames.first_entry() {
            if *first.key() >= self.next.0 || !first.get().is_whole() {
                break;
            }
            first.remove();
        }
        let offset = self.frames.keys().next().map_or(self.next.0, |first| self.next.0.min(*first));
        (offset, self.frames.get(&offset).map_or(0, Frame::gapless))
    }

    /// Notes in the cursor what is done beyond the offset and its gapless beginning.
    pub fn note(&self, offset: i64, cursor: &mut Cursor) {
        for (at, frame) in &self.frames {
            if frame.is_whole() {
                cursor.done.push((*at, WHOLE));
            } else {
                let from = if *at == offset { cursor.place } else { 0 };
                cursor.done.extend(frame.done.range(from..).map(|place| (*at, *place)));
            }
        }
    }

    /// How many entries the cursor may need now.
    #[must_use]
    pub fn entries(&self) -> usize {
        let noted = |(index, frame): (usize, &Frame)| match (frame.is_whole(), index) {
            (true, _) => 1,
            (false, 0) => frame.done.len() - frame.gapless() as usize,
            (false, _) => frame.done.len(),
        };
        self.frames.values().enumerate().map(noted).sum()
    }
}

// === impl Frame ===

impl Frame {
    fn is_whole(&self) -> bool {
        self.total.is_some_and(|total| self.done.len() >= total as usize)
    }

    /// How many batches are done from the first one on.
    fn gapless(&self) -> u32 {
        (0..).zip(&self.done).take_while(|(number, place)| number == *place).count().try_into().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(unfinished: &mut Unfinished) -> (i64, Cursor) {
        let (offset, place) = unfinished.low_water();
        let mut cursor = Cursor { place, ..Cursor::default() };
        unfinished.note(offset, &mut cursor);
        (offset, cursor)
    }

    fn read(unfinished: &mut Unfinished, offset: i64, total: u32) -> Vec<u32> {
        let left = unfinished.read(offset, total);
        unfinished.reach((offset + 1, 0));
        left
    }

    #[test]
    fn the_offset_waits_for_the_oldest_frame_and_a_restart_does_the_rest() {
        let mut before = Unfinished::new(5, &Cursor::default());
        let left = [(5, 2), (6, 1), (7, 2)].map(|(offset, total)| read(&mut before, offset, total));
        assert_eq!(left, [vec![0, 1], vec![0], vec![0, 1]]);
        for at in [(5, 1), (6, 0), (7, 0)] {
            before.finish(at);
        }
        let (offset, cursor) = noted(&mut before);
        assert_eq!((offset, cursor.done.len()), (5, 3));
        let mut after = Unfinished::new(offset, &cursor);
        let left = [(5, 2), (6, 1), (7, 2)].map(|(offset, total)| read(&mut after, offset, total));
        assert_eq!(left, [vec![0], vec![], vec![1]]);
        after.finish((5, 0));
        assert_eq!(after.low_water(), (7, 1));
        after.finish((7, 1));
        assert_eq!(noted(&mut after), (8, Cursor::default()));
    }

    #[test]
    fn the_gapless_beginning_of_a_long_frame_takes_one_number() {
        let mut before = Unfinished::new(5, &Cursor::default());
        assert_eq!(before.read(5, 1_000).len(), 1_000);
        before.reach((5, 600));
        (0..500).for_each(|place| before.finish((5, place)));
        before.finish((5, 550));
        assert_eq!(before.entries(), 1);
        let (offset, cursor) = noted(&mut before);
        assert_eq!((offset, cursor.place, cursor.done.as_slice()), (5, 500, &[(5, 550)][..]));
        let mut after = Unfinished::new(offset, &cursor);
        assert_eq!(after.read(5, 1_000).len(), 499);
    }
}
