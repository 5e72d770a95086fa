//! Spill: how much of what the lanes keep may lie in memory, and the disk that takes the rest.
//!
//! All maps of a process share one room. What lies on disk is what was committed, never what an open transaction
//! did, and it is a copy: the topics say the same, so that it is thrown away with the map it belongs to.
//!
//! **Invariant:** an entry is in memory or on disk. What a disk does not take stays in memory; where a disk does
//! not give something back, the map says so ([`super::Keyed::fault`]) and nothing it has to do with may be
//! committed.

mod away;
mod stall;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub(super) use away::Away;
use stall::Stall;

use crate::event::fact::{Size, StateUsed};
use crate::event::{Span, Timestamp};

/// What an entry in memory takes beside its own bytes: its place in the map, in the order of time, and in the
/// allocator.
pub(super) const BESIDE: usize = 64;
/// Room is made for what comes next, too: an eighth of a map's share, and at most this much at a time.
const AT_A_TIME: usize = 1024 * 1024;
/// After a disk refused, it is asked again so many commits later.
const REST: u32 = 1_000;

type Hasher = foldhash::fast::RandomState;

/// A disk that takes entries.
pub trait Disk: Send + Sync {
    /// A part of it for one map, and nothing in it. It is emptied when it is dropped.
    ///
    /// # Errors
    /// [`DiskFault`].
    fn part(&self) -> Result<Box<dyn Part>, DiskFault>;
}

/// Where the entries of one map lie.
pub trait Part: Send {
    /// Where that is, for who is to look at it.
    fn place(&self) -> String;

    /// The entry under a key.
    ///
    /// # Errors
    /// [`DiskFault`].
    fn get(&self, key: u128) -> Result<Option<Vec<u8>>, DiskFault>;

    /// Takes entries, and forgets others; both, or nothing.
    ///
    /// # Errors
    /// [`DiskFault`].
    fn write(&self, gone: &[u128], entries: &[(u128, &[u8])]) -> Result<(), DiskFault>;

    /// Shows every entry.
    ///
    /// # Errors
    /// [`DiskFault`].
    fn each(&self, look: &mut dyn FnMut(u128, &[u8])) -> Result<(), DiskFault>;

    /// Whether it has enough to do with what it took.
    fn is_behind(&self) -> bool {
        false
    }
}

/// What a disk does not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` cannot be used: {fault}")]
pub struct DiskFault {
    /// The folder.
    pub path: String,
    /// Why.
    pub fault: String,
}

/// The room of a process. Whoever asks for none has all there is.
#[derive(Clone, Default)]
pub struct Spill(Arc<Room>);

#[derive(Default)]
struct Room {
    beyond: Option<(usize, Box<dyn Disk>)>,
    here: Total,
    away: Total,
    moved: Counts,
    /// How many maps are giving something to the disk at this moment.
    writing: AtomicUsize,
    stall: Mutex<Stall>,
    /// A disk did not give back what it had taken: it gets nothing more. What is read back from the topics then stays
    /// in memory, for the same disk would lose it again.
    is_lost: AtomicBool,
    /// The newest of them.
    fault: Mutex<Option<DiskFault>>,
}

#[derive(Default)]
struct Total {
    entries: AtomicUsize,
    bytes: AtomicUsize,
}

#[derive(Default)]
struct Counts {
    written: AtomicU64,
    read: AtomicU64,
    faults: AtomicU64,
    /// How often a map kept what it has for the disk, for that had enough to do.
    put_off: AtomicU64,
}

// === impl Spill ===

impl Spill {
    /// Room for so many bytes; what is beyond goes to the disk.
    #[must_use]
    pub fn beyond(most: usize, disk: Box<dyn Disk>) -> Self {
        Self(Arc::new(Room { beyond: Some((most, disk)), ..Room::default() }))
    }

    /// How it stands.
    #[must_use]
    pub fn used(&self) -> StateUsed {
        let Room { here, away, moved, .. } = self.0.as_ref();
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (written, read, faults) = (count(&moved.written), count(&moved.read), count(&moved.faults));
        StateUsed { here: here.size(), away: away.size(), written, read, faults, ..StateUsed::default() }
    }

    /// How long the disk has taken nothing although there is something for it; it is to be looked at about every
    /// second. And whether that is to be said: when it is long, and again.
    pub fn waited(&self, now: Timestamp) -> (Span, bool) {
        let Counts { written, put_off, .. } = &self.0.moved;
        let (written, put_off) = (written.load(Ordering::Relaxed), put_off.load(Ordering::Relaxed));
        let mut stall = self.0.stall.lock().unwrap_or_else(PoisonError::into_inner);
        stall.look(now, (self.0.writing.load(Ordering::Relaxed) > 0, put_off), written)
    }

    /// What a disk refused since this was asked last: the newest of it.
    pub fn take_fault(&self) -> Option<DiskFault> {
        self.0.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn failed(&self, fault: DiskFault) {
        self.0.moved.faults.fetch_add(1, Ordering::Relaxed);
        *self.0.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }
}

impl fmt::Debug for Spill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.0.beyond.as_ref().map(|(most, _)| most);
        f.debug_struct("Spill").field("most", &most).field("used", &self.used()).finish()
    }
}

// === impl Total ===

impl Total {
    fn size(&self) -> Size {
        Size { entries: self.entries.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    /// Wraps on purpose: what is less is added as what it lacks.
    fn move_by(&self, before: Size, after: Size) {
        self.entries.fetch_add(after.entries.wrapping_sub(before.entries), Ordering::Relaxed);
        self.bytes.fetch_add(after.bytes.wrapping_sub(before.bytes), Ordering::Relaxed);
    }
}
