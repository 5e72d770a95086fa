//! Away: what one map has on disk, and what it is to put there next.

use std::cell::OnceCell;
use std::fmt;
use std::sync::atomic::Ordering;

use hashbrown::{HashMap, HashSet};

use super::{AT_A_TIME, BESIDE, DiskFault, Hasher, Part, REST, Spill};
use crate::event::fact::Size;
use crate::store::keyed::Second;

/// What one map has on disk, and what it is to put there next.
pub(in crate::store) struct Away {
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
pub(in crate::store) struct Place {
    pub(in crate::store) due: Second,
    bytes: u32,
}

// === impl Away ===

impl Away {
    pub(in crate::store) fn new(spill: &Spill) -> Self {
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
    pub(in crate::store) fn fault(&self) -> Option<&DiskFault> {
        self.fault.get()
    }

    /// Whether there is an end to memory.
    pub(in crate::store) fn is_bounded(&self) -> bool {
        self.spill.0.beyond.is_some()
    }

    pub(in crate::store) fn len(&self) -> usize {
        self.places.len()
    }

    pub(in crate::store) fn place(&self, key: u128) -> Option<Place> {
        self.places.get(&key.to_be_bytes()).copied()
    }

    pub(in crate::store) fn places(&self) -> impl Iterator<Item = (Second, [u8; 16])> {
        self.places.iter().map(|(key, place)| (place.due, *key))
    }

    /// Something in memory is used; it stays there for a while.
    pub(in crate::store) fn note_used(&mut self, key: u128) {
        if !self.oldest.is_empty() {
            self.used.insert(key);
        }
    }

    /// It is not in memory any more.
    pub(in crate::store) fn note_gone(&mut self, key: u128) {
        self.used.remove(&key);
    }

    /// Takes an entry back. It is not on disk any more.
    pub(in crate::store) fn fetch(&mut self, key: u128) -> Option<Vec<u8>> {
        self.place(key)?;
        let read = self.part.as_ref().map_or(Ok(None), |part| part.get(key));
        match read.and_then(|entry| entry.ok_or_else(|| self.lost(&format!("{key:032x} is gone")))) {
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
    pub(in crate::store) fn forget(&mut self, key: u128) {
        if let Some(place) = self.places.remove(&key.to_be_bytes()) {
            self.bytes -= place.bytes as usize;
            self.stale.insert(key);
        }
    }

    /// Shows every entry on disk.
    pub(in crate::store) fn each(&self, look: &mut dyn FnMut(u128, &[u8])) {
        let Some(part) = self.part.as_ref().filter(|_| !self.places.is_empty()) else { return };
        let mut left = self.places.len();
        let shown = part.each(&mut |key, entry| {
            if self.places.contains_key(&key.to_be_bytes()) {
                left -= 1;
                look(key, entry);
            }
        });
        let lost = || self.lost(&format!("{left} of {} entries are gone", self.places.len()));
        if let Err(fault) = shown.and_then(|()| if left == 0 { Ok(()) } else { Err(lost()) }) {
            self.fail(fault);
        }
    }

    /// Says how much lies where. How many bytes are to be left in memory, where there are too many.
    pub(in crate::store) fn goal(&mut self, here: Size) -> Option<usize> {
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
        if self.is_behind() {
            room.moved.put_off.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(share - (share / 8).min(AT_A_TIME))
    }

    /// Whether the disk has enough to do with what it took: whoever gave it more would wait for it.
    pub(in crate::store) fn is_behind(&self) -> bool {
        self.part.as_ref().is_some_and(|part| part.is_behind())
    }

    /// What is to leave memory next: what was not used for longest. In the order of keys, for so a disk takes it
    /// best.
    pub(in crate::store) fn choose<'e>(
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
    pub(in crate::store) fn put(
        &mut self,
        entries: &[(u128, &[u8])],
        due_of: impl Fn(&[u8]) -> Second,
    ) -> bool {
        // Whoever writes may be held up by the disk: then others say so.
        self.spill.0.writing.fetch_add(1, Ordering::Relaxed);
        let written = self.write(entries);
        self.spill.0.writing.fetch_sub(1, Ordering::Relaxed);
        if let Err(fault) = written {
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
    pub(in crate::store) fn say(&mut self, here: Size) {
        let now = (here, Size { entries: self.places.len(), bytes: self.bytes });
        let before = std::mem::replace(&mut self.said, now);
        self.spill.0.here.move_by(before.0, now.0);
        self.spill.0.away.move_by(before.1, now.1);
    }

    fn lost(&self, what: &str) -> DiskFault {
        let path = self.part.as_ref().map(|part| part.place()).unwrap_or_default();
        DiskFault { path, fault: format!("of what was put there, {what}") }
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
