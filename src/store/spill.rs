//! Spill: how much of what the lanes keep may lie in memory, and the disk that takes the rest.
//!
//! All maps of a process share one room. What lies on disk is what was committed, never what an open transaction
//! did, and it is a copy: the topics say the same, so that it is thrown away with the map it belongs to.
//!
//! **Invariant:** an entry is in memory or on disk. What a disk does not take stays in memory; where a disk does
//! not give something back, the map says so ([`super::Keyed::fault`]) and nothing it has to do with may be
//! committed.

use std::cell::OnceCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::{HashMap, HashSet};

use super::keyed::Second;
use crate::event::fact::{Size, StateUsed};

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
        StateUsed { here: here.size(), away: away.size(), written, read, faults }
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

/// What one map has on disk, and what it is to put there next.
pub(super) struct Away {
    spill: Spill,
    part: Option<Box<dyn Part>>,
    /// As bytes, for a key of 16 bytes would else take 32 here.
    places: HashMap<[u8; 16], Place, Hasher>,
    bytes: usize,
    /// What lies on disk and does not count any more.
    stale: HashSet<u128, Hasher>,
    /// What was in memory when it was last looked at; of it goes first what was not used since.
    oldest: Vec<u128>,
    used: HashSet<u128, Hasher>,
    /// What was said to the others of this map's size.
    said: (Size, Size),
    rest: u32,
    fault: OnceCell<DiskFault>,
}

/// What is known of an entry on disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) due: Second,
    bytes: u32,
}

// === impl Away ===

impl Away {
    pub(super) fn new(spill: &Spill) -> Self {
        Self {
            spill: spill.clone(),
            part: None,
            places: HashMap::default(),
            bytes: 0,
            stale: HashSet::default(),
            oldest: Vec::new(),
            used: HashSet::default(),
            said: (Size::default(), Size::default()),
            rest: 0,
            fault: OnceCell::new(),
        }
    }

    /// Why nothing of this map may be committed: the disk did not give back what it had taken.
    pub(super) fn fault(&self) -> Option<&DiskFault> {
        self.fault.get()
    }

    /// Whether there is an end to memory.
    pub(super) fn is_bounded(&self) -> bool {
        self.spill.0.beyond.is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn place(&self, key: u128) -> Option<Place> {
        self.places.get(&key.to_be_bytes()).copied()
    }

    pub(super) fn places(&self) -> impl Iterator<Item = (Second, [u8; 16])> {
        self.places.iter().map(|(key, place)| (place.due, *key))
    }

    /// Something in memory is used; it stays there for a while.
    pub(super) fn note_used(&mut self, key: u128) {
        if !self.oldest.is_empty() {
            self.used.insert(key);
        }
    }

    /// It is not in memory any more.
    pub(super) fn note_gone(&mut self, key: u128) {
        self.used.remove(&key);
    }

    /// Takes an entry back. It is not on disk any more.
    pub(super) fn fetch(&mut self, key: u128) -> Option<Vec<u8>> {
        self.place(key)?;
        let read = self.part.as_ref().map_or(Ok(None), |part| part.get(key));
        match read.and_then(|entry| entry.ok_or_else(|| lost(key))) {
            Ok(entry) => {
                self.forget(key);
                self.spill.0.moved.read.fetch_add(1, Ordering::Relaxed);
                Some(entry)
            }
            Err(fault) => {
                self.fail(fault);
                None
            }
        }
    }

    /// What lies on disk under a key does not count any more.
    pub(super) fn forget(&mut self, key: u128) {
        if let Some(place) = self.places.remove(&key.to_be_bytes()) {
            self.bytes -= place.bytes as usize;
            self.stale.insert(key);
        }
    }

    /// Shows every entry on disk.
    pub(super) fn each(&self, look: &mut dyn FnMut(u128, &[u8])) {
        let Some(part) = self.part.as_ref().filter(|_| !self.places.is_empty()) else { return };
        let mut left = self.places.len();
        let shown = part.each(&mut |key, entry| {
            if self.places.contains_key(&key.to_be_bytes()) {
                left -= 1;
                look(key, entry);
            }
        });
        if let Err(fault) = shown.and_then(|()| if left == 0 { Ok(()) } else { Err(lost(0)) }) {
            self.fail(fault);
        }
    }

    /// Says how much lies where. How many bytes are to be left in memory, where there are too many.
    pub(super) fn goal(&mut self, here: Size) -> Option<usize> {
        self.say(here);
        let room = &self.spill.0;
        let most = room.beyond.as_ref()?.0;
        let all = room.here.size().bytes + room.away.size().bytes;
        // Each map has as much of the room as it has of what there is.
        let own = (here.bytes + self.bytes) as u128;
        let share = usize::try_from(most as u128 * own / (all as u128).max(1)).unwrap_or(usize::MAX);
        if all <= most || here.bytes <= share || room.is_lost.load(Ordering::Relaxed) {
            return None;
        }
        if self.rest > 0 {
            self.rest -= 1;
            return None;
        }
        (!self.is_behind()).then(|| share - (share / 8).min(AT_A_TIME))
    }

    /// Whether the disk has enough to do with what it took: whoever gave it more would wait for it.
    pub(super) fn is_behind(&self) -> bool {
        self.part.as_ref().is_some_and(|part| part.is_behind())
    }

    /// What is to leave memory next: what was not used for longest. In the order of keys, for so a disk takes it
    /// best.
    pub(super) fn choose<'e>(
        &mut self,
        bytes: usize,
        entries: &'e HashMap<u128, Box<[u8]>, Hasher>,
    ) -> Vec<(u128, &'e [u8])> {
        let (mut chosen, mut size) = (Vec::new(), 0);
        while size < bytes.min(AT_A_TIME) {
            let Some(key) = self.oldest.pop() else {
                if entries.len() == chosen.len() {
                    break;
                }
                // Everybody's turn again, but of those that were chosen.
                let taken: HashSet<u128, Hasher> = chosen.iter().map(|(key, _)| *key).collect();
                self.used.clear();
                self.oldest.extend(entries.keys().filter(|key| !taken.contains(*key)));
                self.oldest.sort_unstable_by(|one, other| other.cmp(one));
                continue;
            };
            if let Some(entry) = entries.get(&key).filter(|_| !self.used.contains(&key)) {
                size += entry.len() + BESIDE;
                chosen.push((key, entry.as_ref()));
            }
        }
        chosen
    }

    /// Puts entries on disk; `false` where it does not take them.
    pub(super) fn put(&mut self, entries: &[(u128, &[u8])], due_of: impl Fn(&[u8]) -> Second) -> bool {
        if let Err(fault) = self.write(entries) {
            self.rest = REST;
            self.spill.failed(fault);
            return false;
        }
        self.spill.0.moved.written.fetch_add(entries.len() as u64, Ordering::Relaxed);
        for (key, entry) in entries {
            let bytes = u32::try_from(entry.len()).unwrap_or(u32::MAX);
            self.bytes += bytes as usize;
            self.places.insert(key.to_be_bytes(), Place { due: due_of(entry), bytes });
        }
        true
    }

    fn write(&mut self, entries: &[(u128, &[u8])]) -> Result<(), DiskFault> {
        let part = match (&mut self.part, &self.spill.0.beyond) {
            (Some(part), _) => part,
            (part, Some((_, disk))) => part.insert(disk.part()?),
            (None, None) => return Ok(()),
        };
        for (key, _) in entries {
            self.stale.remove(key);
        }
        let gone: Vec<u128> = self.stale.iter().copied().collect();
        part.write(&gone, entries)?;
        self.stale.clear();
        Ok(())
    }

    /// Says how much lies where.
    pub(super) fn say(&mut self, here: Size) {
        let now = (here, Size { entries: self.places.len(), bytes: self.bytes });
        let before = std::mem::replace(&mut self.said, now);
        self.spill.0.here.move_by(before.0, now.0);
        self.spill.0.away.move_by(before.1, now.1);
    }

    fn fail(&self, fault: DiskFault) {
        self.spill.0.is_lost.store(true, Ordering::Relaxed);
        self.spill.failed(fault.clone());
        // The first one is what it is about.
        let _ = self.fault.set(fault);
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        let (none, room) = (Size::default(), &self.spill.0);
        room.here.move_by(self.said.0, none);
        room.away.move_by(self.said.1, none);
    }
}

impl fmt::Debug for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries on disk", self.places.len())
    }
}

fn lost(key: u128) -> DiskFault {
    DiskFault { path: "state.dir".to_owned(), fault: format!("what was put there is gone ({key:032x})") }
}
