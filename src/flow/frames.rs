//! Frames: how many items become one record, and are read again in place.
//!
//! Layout: version byte, four bytes of how many items (all numbers little endian), head, then each item
//! as four bytes of length and its bytes.
//! The length stands before the item so that a reader can go to a place without reading what lies
//! before it. The number of items stands in front so that a frame cut short is never taken for a
//! shorter one: what it lost would be lost in silence.

use crate::event::Topic;
use crate::event::frame::{FRAME_VERSION, FrameHead};

use super::Outbox;

/// Why a frame of ours cannot be read. Never happens to what this version wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenFrame {
    /// Written by another version.
    #[error("frame version {0} is not known to this version of Bugle")]
    Version(u8),
    /// Cut short or damaged.
    #[error("the frame is damaged")]
    Damaged,
}

/// The open frames of one topic, one per partition.
#[derive(Debug)]
pub struct FrameSet {
    topic: Topic,
    head: FrameHead,
    most: usize,
    open: Vec<Vec<u8>>,
    /// How long frames were of late: growing one step by step copies it several times.
    usual: usize,
}

/// The number of items takes this many bytes.
const COUNT_BYTES: usize = 4;

/// A frame, read in place.
#[derive(Debug, Clone)]
pub struct FrameItems<'a> {
    rest: &'a [u8],
}

/// A frame of one item, for who writes outside of a lane.
#[must_use]
pub fn single(head: &FrameHead, item: &[u8]) -> Vec<u8> {
    let mut frame = vec![FRAME_VERSION, 1, 0, 0, 0];
    frame = postcard::to_extend(head, frame).expect("a head has nothing postcard refuses");
    frame.extend_from_slice(&u32::try_from(item.len()).unwrap_or(u32::MAX).to_le_bytes());
    frame.extend_from_slice(item);
    frame
}

// === impl FrameSet ===

impl FrameSet {
    /// No frames yet, for a topic with this many partitions; a frame has at most `most` bytes.
    #[must_use]
    pub fn new(topic: Topic, partitions: u32, most: usize) -> Self {
        Self {
            topic,
            head: FrameHead::default(),
            most,
            open: vec![Vec::new(); partitions as usize],
            usual: 0,
        }
    }

    /// How many partitions there are.
    #[must_use]
    pub fn partitions(&self) -> u32 {
        u32::try_from(self.open.len()).unwrap_or(u32::MAX)
    }

    /// What frames opened from now on say first. Frames open under another head leave at once.
    pub fn set_head(&mut self, head: &FrameHead, out: &mut Outbox) {
        if self.head != *head {
            self.cut(out);
            self.head = head.clone();
        }
    }

    /// Adds an item, written by `write` into the partition's frame; a frame that would grow too large
    /// leaves first. The item itself must fit a frame: [`FrameSet::fits`].
    pub fn push(&mut self, partition: i32, out: &mut Outbox, parts: &[&[u8]]) {
        let Some(frame) = usize::try_from(partition).ok().and_then(|at| self.open.get_mut(at)) else {
            debug_assert!(false, "partition {partition} of {} does not exist", self.topic);
            return;
        };
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if !frame.is_empty() && frame.len() + length + 4 > self.most {
            self.usual = frame.len();
            out.write(self.topic, partition, None, std::mem::take(frame));
        }
        if frame.is_empty() {
            frame.reserve(self.usual);
            frame.push(FRAME_VERSION);
            frame.extend_from_slice(&[0; COUNT_BYTES]);
            *frame = postcard::to_extend(&self.head, std::mem::take(frame))
                .expect("a head has nothing postcard refuses");
        }
        if let Some(count) = frame.get_mut(1..).and_then(<[u8]>::first_chunk_mut::<COUNT_BYTES>) {
            *count = (u32::from_le_bytes(*count) + 1).to_le_bytes();
        }
        frame.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        for part in parts {
            frame.extend_from_slice(part);
        }
    }

    /// Whether an item of this length fits a frame of its own.
    #[must_use]
    pub fn fits(&self, length: usize) -> bool {
        length + 4 + COUNT_BYTES + 64 + self.head.directory.len() * 10 <= self.most
    }

    /// Every open frame leaves.
    pub fn cut(&mut self, out: &mut Outbox) {
        for (frame, partition) in self.open.iter_mut().zip(0..) {
            if !frame.is_empty() {
                self.usual = frame.len();
                out.write(self.topic, partition, None, std::mem::take(frame));
            }
        }
    }

    /// The transaction was aborted: open frames are forgotten.
    pub fn clear(&mut self) {
        self.open.iter_mut().for_each(Vec::clear);
    }
}

// === impl FrameItems ===

impl<'a> FrameItems<'a> {
    /// The head and the items of a frame. All of it is looked through first, so that nothing of a frame
    /// that is not whole is ever acted upon.
    ///
    /// # Errors
    /// [`BrokenFrame`] when it is not a whole frame of this version.
    pub fn read(frame: &'a [u8]) -> Result<(FrameHead, Self), BrokenFrame> {
        let (version, rest) = frame.split_first().ok_or(BrokenFrame::Damaged)?;
        if *version != FRAME_VERSION {
            return Err(BrokenFrame::Version(*version));
        }
        let (count, rest) = rest.split_first_chunk::<COUNT_BYTES>().ok_or(BrokenFrame::Damaged)?;
        let (head, rest) = postcard::take_from_bytes(rest).map_err(|_| BrokenFrame::Damaged)?;
        let items = Self { rest };
        let found = items.clone().try_fold(0_u32, |found, item| item.map(|_| found + 1))?;
        if found == u32::from_le_bytes(*count) { Ok((head, items)) } else { Err(BrokenFrame::Damaged) }
    }
}

impl<'a> Iterator for FrameItems<'a> {
    type Item = Result<&'a [u8], BrokenFrame>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let cut = self
            .rest
            .split_first_chunk::<4>()
            .and_then(|(length, rest)| rest.split_at_checked(u32::from_le_bytes(*length) as usize));
        let Some((item, rest)) = cut else {
            self.rest = &[];
            return Some(Err(BrokenFrame::Damaged));
        };
        self.rest = rest;
        Some(Ok(item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::frame::MOST_FRAME_BYTES;

    fn items(frame: &[u8]) -> Result<Vec<Vec<u8>>, BrokenFrame> {
        let (_, items) = FrameItems::read(frame)?;
        items.map(|item| item.map(<[u8]>::to_vec)).collect()
    }

    fn frames(out: &Outbox) -> Vec<&[u8]> {
        out.records.iter().filter_map(|record| record.value.as_deref()).collect()
    }

    #[test]
    fn items_are_read_in_the_order_they_were_written() {
        let (mut set, mut out) = (FrameSet::new(Topic::Subjects, 2, MOST_FRAME_BYTES), Outbox::default());
        set.push(1, &mut out, &[b"one"]);
        set.push(1, &mut out, &[b"t", b"wo"]);
        set.cut(&mut out);
        assert_eq!(items(frames(&out)[0]).unwrap(), [b"one".to_vec(), b"two".to_vec()]);
    }

    #[test]
    fn a_frame_never_grows_beyond_its_limit() {
        let (mut set, mut out) = (FrameSet::new(Topic::Subjects, 1, MOST_FRAME_BYTES), Outbox::default());
        let item = vec![7; 100_000];
        assert!(set.fits(item.len()) && !set.fits(MOST_FRAME_BYTES));
        for _ in 0..5 {
            set.push(0, &mut out, &[&item]);
        }
        set.cut(&mut out);
        assert_eq!(frames(&out).len(), 3);
        assert!(frames(&out).iter().all(|frame| frame.len() <= MOST_FRAME_BYTES));
    }

    #[test]
    fn a_frame_cut_anywhere_is_refused_and_never_a_panic() {
        let (mut set, mut out) = (FrameSet::new(Topic::Subjects, 1, MOST_FRAME_BYTES), Outbox::default());
        set.push(0, &mut out, &[b"one"]);
        set.push(0, &mut out, &[b"two"]);
        set.cut(&mut out);
        let whole = frames(&out)[0];
        assert_eq!(items(whole).unwrap().len(), 2);
        for end in 0..whole.len() {
            assert!(items(&whole[..end]).is_err(), "cut at {end}");
        }
        assert_eq!(items(&[9, 0]), Err(BrokenFrame::Version(9)));
    }

    #[test]
    fn a_new_head_closes_the_frames_of_the_old_one() {
        let (mut set, mut out) = (FrameSet::new(Topic::People, 1, MOST_FRAME_BYTES), Outbox::default());
        set.push(0, &mut out, &[b"one"]);
        set.set_head(&FrameHead { generation: 2, ..FrameHead::default() }, &mut out);
        set.push(0, &mut out, &[b"two"]);
        set.cut(&mut out);
        let generations: Vec<u64> =
            frames(&out).iter().map(|frame| FrameItems::read(frame).unwrap().0.generation).collect();
        assert_eq!(generations, [0, 2]);
    }
}
