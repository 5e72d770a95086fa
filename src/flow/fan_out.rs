//! Fan out: one notice and its people become one item per partition of people, the text once in each.
//!
//! It does not choose the people; it only puts their names where their partitions are.

use crate::event::frame::{MOST_FRAME_BYTES, append};
use crate::event::{Notice, Topic};

use super::Outbox;
use super::frames::FrameSet;
use super::named::{MOST_NAMES_BYTES, Named};

/// The open frames of `bugle.people`, and room to work in.
#[derive(Debug)]
pub struct FanOut {
    pub(super) frames: FrameSet,
    notice: Vec<u8>,
}

// === impl FanOut ===

impl FanOut {
    /// For a `bugle.people` with this many partitions.
    #[must_use]
    pub fn new(partitions: u32) -> Self {
        let frames = FrameSet::new(Topic::People, partitions, MOST_FRAME_BYTES);
        Self { frames, notice: Vec::new() }
    }

    /// Sends the notice to these people. `false` when the notice alone is too large for a frame: then
    /// nothing was sent.
    pub fn send(&mut self, notice: &Notice<'_>, named: &Named, out: &mut Outbox) -> bool {
        self.notice.clear();
        self.notice = append(notice, std::mem::take(&mut self.notice));
        if !self.frames.fits(self.notice.len() + MOST_NAMES_BYTES) {
            return false;
        }
        for part in &named.parts {
            self.frames.push(part.partition, out, &[&self.notice, &part.count.to_le_bytes(), &part.names]);
        }
        true
    }
}

/// The notice and the names of an item.
///
/// # Errors
/// The item is not what [`FanOut::send`] writes.
pub fn read(item: &[u8]) -> Result<(Notice<'_>, Vec<&str>), postcard::Error> {
    let (notice, rest) = postcard::take_from_bytes::<Notice<'_>>(item)?;
    let (count, mut rest) = rest.split_first_chunk::<4>().ok_or(postcard::Error::DeserializeUnexpectedEnd)?;
    let count = u32::from_le_bytes(*count) as usize;
    let mut names = Vec::with_capacity(count.min(rest.len()));
    for _ in 0..count {
        let (name, after) = postcard::take_from_bytes::<&str>(rest)?;
        names.push(name);
        rest = after;
    }
    Ok((notice, names))
}
