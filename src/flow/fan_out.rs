//! Fan out: one notice and its people become one item per partition of people, the text once in each.
//!
//! It does not choose the people; it only puts their names where their partitions are.

use std::collections::BTreeMap;

use crate::event::frame::{MOST_FRAME_BYTES, append};
use crate::event::ids::person_partition;
use crate::event::notice::Whom;
use crate::event::{Notice, Over, Topic};

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
            let count = part.count.to_le_bytes();
            self.frames.push(part.partition, out, &[&[TELL], &self.notice, &count, &part.names]);
        }
        true
    }

    /// Says in these partitions, as far as it concerns them, that a conversation is over.
    pub fn end(&mut self, over: &Over<'_>, partitions: &[i32], out: &mut Outbox) {
        let only = match over.whom {
            Whom::Person(person) => Some(person_partition(over.tenant, person, self.frames.partitions())),
            Whom::Everybody | Whom::Steps => None,
        };
        let over = append(over, vec![OVER]);
        for partition in partitions.iter().filter(|partition| only.is_none_or(|only| only == **partition)) {
            self.frames.push(*partition, out, &[&over]);
        }
    }
}

/// An item of a frame of `bugle.people`.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "nearly every item is a notice, and none is kept")]
pub enum Item<'a> {
    /// A notice, and the names of those it is for.
    Tell(Notice<'a>, Vec<&'a str>),
    /// A conversation is over.
    Over(Over<'a>),
}

/// What an item begins with.
const TELL: u8 = 0;
const OVER: u8 = 1;

/// Reads an item.
///
/// # Errors
/// The item is not what [`FanOut`] writes.
pub fn read(item: &[u8]) -> Result<Item<'_>, postcard::Error> {
    let (what, item) = item.split_first().ok_or(postcard::Error::DeserializeUnexpectedEnd)?;
    match *what {
        TELL => tell(item).map(|(notice, names)| Item::Tell(notice, names)),
        OVER => match postcard::take_from_bytes(item)? {
            (over, []) => Ok(Item::Over(over)),
            _ => Err(postcard::Error::DeserializeBadEncoding),
        },
        _ => Err(postcard::Error::DeserializeBadEncoding),
    }
}

/// An item, as it goes to each of so many partitions: a notice to where its people are at home, each with its own
/// people. That a conversation is over goes to everybody's partition, for what is told in one may have been told in
/// another before there were as many.
///
/// # Errors
/// The item is not what [`FanOut`] writes.
pub fn at_home(item: &[u8], partitions: u32) -> Result<BTreeMap<i32, Vec<u8>>, postcard::Error> {
    let (notice, people) = match read(item)? {
        Item::Tell(notice, people) => (notice, people),
        Item::Over(Over { tenant, whom: Whom::Person(person), .. }) => {
            return Ok([(person_partition(tenant, person, partitions), item.to_vec())].into());
        }
        Item::Over(_) => return Ok((0..).take(partitions as usize).map(|to| (to, item.to_vec())).collect()),
    };
    let mut homes: BTreeMap<i32, (u32, Vec<u8>)> = BTreeMap::new();
    for name in people {
        let home = homes.entry(person_partition(notice.tenant, name, partitions)).or_default();
        home.0 += 1;
        home.1 = append(&name, std::mem::take(&mut home.1));
    }
    let notice = append(&notice, vec![TELL]);
    let whole = |(count, names): (u32, Vec<u8>)| [notice.as_slice(), &count.to_le_bytes(), &names].concat();
    Ok(homes.into_iter().map(|(partition, part)| (partition, whole(part))).collect())
}

fn tell(item: &[u8]) -> Result<(Notice<'_>, Vec<&str>), postcard::Error> {
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
