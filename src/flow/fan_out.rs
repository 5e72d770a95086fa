//! Fan out: one notice and its people become one item per partition of people, the text once in each.
//!
//! It does not choose the people; it only puts their names where their partitions are.

use crate::event::frame::MOST_FRAME_BYTES;
use crate::event::ids::person_partition;
use crate::event::{Notice, Topic};

use super::Outbox;
use super::frames::FrameSet;

/// The most names of one item; with the longest usual user ids still well below a frame.
const MOST_NAMES_BYTES: usize = 128 * 1024;

/// The open frames of `bugle.people`, and room to work in.
#[derive(Debug)]
pub struct FanOut {
    pub(super) frames: FrameSet,
    partitions: u32,
    notice: Vec<u8>,
    names: Vec<Vec<u8>>,
    counts: Vec<u32>,
}

// === impl FanOut ===

impl FanOut {
    /// For a `bugle.people` with this many partitions.
    #[must_use]
    pub fn new(partitions: u32) -> Self {
        Self {
            frames: FrameSet::new(Topic::People, partitions, MOST_FRAME_BYTES),
            partitions,
            notice: Vec::new(),
            names: vec![Vec::new(); partitions as usize],
            counts: vec![0; partitions as usize],
        }
    }

    /// Sends the notice to these people. `false` when the notice alone is too large for a frame: then
    /// nothing was sent.
    pub fn send<'p>(
        &mut self,
        notice: &Notice<'_>,
        people: impl Iterator<Item = &'p str>,
        out: &mut Outbox,
    ) -> bool {
        self.notice.clear();
        self.notice = postcard::to_extend(notice, std::mem::take(&mut self.notice))
            .expect("a notice has nothing postcard refuses");
        if !self.frames.fits(self.notice.len() + MOST_NAMES_BYTES) {
            return false;
        }
        for user_id in people {
            let partition = person_partition(notice.tenant, user_id, self.partitions);
            let at = usize::try_from(partition).unwrap_or(0);
            let names = &mut self.names[at];
            // A name too long to share an item with others is no user id of any directory we know;
            // the directory refuses ids beyond 256 bytes.
            if names.len() + user_id.len() + 10 > MOST_NAMES_BYTES {
                self.flush(partition, out);
            }
            let names = &mut self.names[at];
            *names = postcard::to_extend(user_id, std::mem::take(names))
                .expect("a text has nothing postcard refuses");
            self.counts[at] += 1;
        }
        for partition in 0..i32::try_from(self.partitions).unwrap_or(i32::MAX) {
            self.flush(partition, out);
        }
        true
    }

    fn flush(&mut self, partition: i32, out: &mut Outbox) {
        let at = usize::try_from(partition).unwrap_or(0);
        if self.counts[at] == 0 {
            return;
        }
        let count = self.counts[at].to_le_bytes();
        self.frames.push(partition, out, &[&self.notice, &count, &self.names[at]]);
        self.names[at].clear();
        self.counts[at] = 0;
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
