//! Keyed: a map of packed entries, each with the second it must be looked at again, whose open transaction
//! can be undone.
//!
//! What is due is found by an index ordered by time: a million entries that wait cost nothing until the first
//! of them is due. An entry is bytes to this map; who keeps it knows what they mean. Where memory has an end,
//! entries that were not used for long lie on disk, and come back when somebody asks for them.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use super::spill::{Away, BESIDE, DiskFault, Spill};
use crate::event::fact::Size;

/// The second an entry is due: seconds since 1970, rounded up. [`NEVER`] for one that waits for no time.
pub type Second = u32;

/// Not due at any time.
pub const NEVER: Second = Second::MAX;

/// A map with a due second per entry and an undo log since the last [`Keyed::settle`].
///
/// **Invariant:** the index holds exactly the entries that are due at some time, each once, except while
/// entries are restored: then it is made at the end, for sorting a million is cheaper than placing each.
///
/// **Invariant:** what the open transaction changed, and what it was before, is in memory. So a disk holds what
/// was committed, and undoing asks no disk.
#[derive(Debug)]
pub struct Keyed {
    entries: HashMap<u128, Entry, foldhash::fast::RandomState>,
    /// Of the entries in memory.
    bytes: usize,
    away: Away,
    /// As bytes, for a key of 16 bytes would else take 32 here.
    due: BTreeSet<(Second, [u8; 16])>,
    /// Entries were restored since the index was made.
    unsorted: bool,
    /// What changed entries were before the open transaction; in order, so that a transaction done again
    /// writes the same.
    undo: BTreeMap<u128, Option<Entry>>,
}

/// The due second, then the bytes: one allocation for both.
type Entry = Box<[u8]>;

const HEAD: usize = size_of::<Second>();

impl Default for Keyed {
    fn default() -> Self {
        Self::within(&Spill::default())
    }
}

// === impl Keyed ===

impl Keyed {
    /// A map in this room.
    #[must_use]
    pub fn within(spill: &Spill) -> Self {
        Self {
            entries: HashMap::default(),
            bytes: 0,
            away: Away::new(spill),
            due: BTreeSet::new(),
            unsorted: false,
            undo: BTreeMap::new(),
        }
    }

    /// The entry under a key.
    #[must_use]
    pub fn get(&mut self, key: u128) -> Option<&[u8]> {
        self.fetch(key);
        self.entries.get(&key).and_then(|entry| entry.get(HEAD..))
    }

    /// Whether there is an entry under a key.
    #[must_use]
    pub fn contains(&self, key: u128) -> bool {
        self.entries.contains_key(&key) || self.away.place(key).is_some()
    }

    /// Sets the entry under a key.
    pub fn put(&mut self, key: u128, due: Second, bytes: &[u8]) {
        self.change(key, Some(packed(due, bytes)));
    }

    /// Removes the entry under a key.
    pub fn remove(&mut self, key: u128) {
        self.change(key, None);
    }

    /// The entry that is due first, if it is due by `now`.
    #[must_use]
    pub fn due_by(&self, now: Second) -> Option<u128> {
        let (due, key) = self.first()?;
        (due <= now).then_some(u128::from_be_bytes(key))
    }

    /// The second at which the next entry is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Second> {
        self.first().map(|(due, _)| due)
    }

    /// Sets the entry under a key as an owner before left it: part of no transaction. When all have been set,
    /// [`Keyed::restored`] is called.
    pub fn restore(&mut self, key: u128, entry: Option<(Second, &[u8])>) {
        self.away.forget(key);
        match entry {
            Some((due, bytes)) => drop(self.insert(key, packed(due, bytes))),
            None => drop(self.take(key)),
        }
        self.unsorted = true;
        if self.away.is_bounded() {
            self.make_room();
        }
    }

    /// Everything an owner before left has been set: from now on what is due is found at once.
    pub fn restored(&mut self) {
        self.sort();
        self.make_room();
    }

    /// The second at which the entry under a key is due.
    #[must_use]
    pub fn due_of(&self, key: u128) -> Option<Second> {
        let here = self.entries.get(&key).map(|entry| due_of(entry));
        here.or_else(|| self.away.place(key).map(|place| place.due))
    }

    /// What the open transaction changed, as it is now.
    pub fn changed(&self) -> impl Iterator<Item = (u128, Option<&[u8]>)> {
        self.undo.iter().filter_map(|(key, before)| {
            let now = self.entries.get(key);
            (now != before.as_ref()).then(|| (*key, now.and_then(|entry| entry.get(HEAD..))))
        })
    }

    /// Shows all entries, in no order.
    pub fn each(&self, mut look: impl FnMut(u128, &[u8])) {
        let mut look = |key, entry: &[u8]| entry.get(HEAD..).map_or((), |bytes| look(key, bytes));
        self.entries.iter().for_each(|(key, entry)| look(*key, entry));
        self.away.each(&mut look);
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() + self.away.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries are due at some time.
    #[must_use]
    pub fn pending(&self) -> usize {
        if self.unsorted { self.due_of_all().count() } else { self.due.len() }
    }

    /// Why nothing that came of this map may be committed: a disk did not give back what it had taken.
    #[must_use]
    pub fn fault(&self) -> Option<&DiskFault> {
        self.away.fault()
    }

    /// The transaction was committed.
    pub fn settle(&mut self) {
        self.undo.clear();
        self.make_room();
    }

    /// The transaction was aborted: everything is as it was at the last [`Keyed::settle`].
    pub fn undo(&mut self) {
        for (key, before) in std::mem::take(&mut self.undo) {
            self.swap(key, before);
        }
    }

    fn sort(&mut self) {
        if self.unsorted {
            self.due = self.due_of_all().collect();
            self.unsorted = false;
        }
    }

    /// What is due first. While entries are restored it is looked for among all. Of a map that lost something nothing
    /// is due: nothing that came of it may be committed.
    fn first(&self) -> Option<(Second, [u8; 16])> {
        if self.fault().is_some() {
            return None;
        }
        if self.unsorted { self.due_of_all().min() } else { self.due.first().copied() }
    }

    fn due_of_all(&self) -> impl Iterator<Item = (Second, [u8; 16])> {
        let here = self.entries.iter().map(|(key, entry)| (due_of(entry), key.to_be_bytes()));
        here.chain(self.away.places()).filter(|(due, _)| *due != NEVER)
    }

    fn change(&mut self, key: u128, entry: Option<Entry>) {
        self.sort();
        self.fetch(key);
        let before = self.swap(key, entry);
        self.undo.entry(key).or_insert(before);
    }

    fn swap(&mut self, key: u128, entry: Option<Entry>) -> Option<Entry> {
        let due = entry.as_deref().map(due_of).filter(|due| *due != NEVER);
        let before = match entry {
            Some(entry) => self.insert(key, entry),
            None => self.take(key),
        };
        if let Some(due) = before.as_deref().map(due_of) {
            self.due.remove(&(due, key.to_be_bytes()));
        }
        if let Some(due) = due {
            self.due.insert((due, key.to_be_bytes()));
        }
        before
    }

    fn insert(&mut self, key: u128, entry: Entry) -> Option<Entry> {
        self.bytes += weight(&entry);
        let before = self.entries.insert(key, entry);
        self.bytes -= before.as_deref().map_or(0, weight);
        before
    }

    fn take(&mut self, key: u128) -> Option<Entry> {
        self.away.note_gone(key);
        let before = self.entries.remove(&key);
        self.bytes -= before.as_deref().map_or(0, weight);
        before
    }

    /// Brings an entry into memory, if it is not there.
    fn fetch(&mut self, key: u128) {
        if let Some(entry) = self.away.fetch(key) {
            self.insert(key, entry.into_boxed_slice());
        }
        if self.entries.contains_key(&key) {
            self.away.note_used(key);
        }
    }

    /// What was not used for long goes to disk, as far as there is no room for it. Not while a transaction is
    /// open.
    fn make_room(&mut self) {
        let size = |keyed: &Self| Size { entries: keyed.entries.len(), bytes: keyed.bytes };
        let Some(goal) = self.away.goal(size(self)).filter(|_| self.undo.is_empty()) else { return };
        while self.bytes > goal {
            let chosen = self.away.choose(self.bytes - goal, &self.entries);
            if chosen.is_empty() || !self.away.put(&chosen, due_of) {
                break;
            }
            let keys: Vec<u128> = chosen.iter().map(|(key, _)| *key).collect();
            keys.into_iter().for_each(|key| drop(self.take(key)));
            if self.away.is_behind() {
                // The rest goes with later commits.
                break;
            }
        }
        self.away.say(size(self));
    }
}

fn packed(due: Second, bytes: &[u8]) -> Entry {
    let mut entry = Vec::with_capacity(HEAD + bytes.len());
    entry.extend_from_slice(&due.to_le_bytes());
    entry.extend_from_slice(bytes);
    entry.into_boxed_slice()
}

fn due_of(entry: &[u8]) -> Second {
    entry.first_chunk::<HEAD>().map_or(NEVER, |due| Second::from_le_bytes(*due))
}

fn weight(entry: &[u8]) -> usize {
    entry.len() + BESIDE
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_due_is_found_in_the_order_of_time() {
        let mut keyed = Keyed::default();
        for (key, due) in [(1, 30), (2, 10), (3, NEVER), (4, 20)] {
            keyed.put(key, due, b"x");
        }
        assert_eq!((keyed.len(), keyed.pending(), keyed.next_due()), (4, 3, Some(10)));
        assert_eq!(keyed.due_by(9), None);
        let mut found = Vec::new();
        while let Some(key) = keyed.due_by(25) {
            found.push(key);
            keyed.put(key, NEVER, b"told");
        }
        assert_eq!((found, keyed.next_due()), (vec![2, 4], Some(30)));
    }

    #[test]
    fn what_ends_as_it_began_is_not_written() {
        let mut keyed = Keyed::default();
        keyed.put(1, 5, b"a");
        keyed.settle();
        keyed.put(1, 6, b"b");
        keyed.put(1, 5, b"a");
        keyed.put(2, 5, b"short-lived");
        keyed.remove(2);
        assert_eq!(keyed.changed().count(), 0);
    }

    #[test]
    fn what_is_restored_is_due_as_it_was_before_and_after_all_of_it_came() {
        let mut keyed = Keyed::default();
        for (key, due) in [(1, 30), (2, 10), (3, NEVER), (2, 20)] {
            keyed.restore(key, Some((due, b"x")));
        }
        keyed.restore(4, None);
        assert_eq!((keyed.due_by(25), keyed.next_due(), keyed.pending()), (Some(2), Some(20), 2));
        keyed.restored();
        assert_eq!((keyed.due_by(25), keyed.next_due(), keyed.pending()), (Some(2), Some(20), 2));
        // A lane that nobody told so finds out by itself.
        keyed.restore(1, None);
        keyed.put(5, 15, b"x");
        assert_eq!((keyed.due_by(15), keyed.pending()), (Some(5), 2));
    }

    proptest! {
        #[test]
        fn an_undone_transaction_leaves_no_trace(
            first in prop::collection::vec((0..6_u128, prop::option::of((0..9_u32, any::<u8>()))), 0..20),
            second in prop::collection::vec((0..6_u128, prop::option::of((0..9_u32, any::<u8>()))), 0..20),
        ) {
            let mut keyed = Keyed::default();
            let mut model = BTreeMap::new();
            let apply = |keyed: &mut Keyed, ops: &[(u128, Option<(u32, u8)>)]| for (key, op) in ops {
                match op {
                    Some((due, byte)) => keyed.put(*key, *due, &[*byte]),
                    None => keyed.remove(*key),
                }
            };
            apply(&mut keyed, &first);
            for (key, op) in &first {
                match op { Some(op) => model.insert(*key, *op), None => model.remove(key) };
            }
            let written: BTreeMap<u128, u8> =
                keyed.changed().filter_map(|(key, bytes)| Some((key, bytes?[0]))).collect();
            prop_assert_eq!(written, model.iter().map(|(key, (_, byte))| (*key, *byte)).collect());
            keyed.settle();
            apply(&mut keyed, &second);
            keyed.undo();
            prop_assert_eq!(keyed.len(), model.len());
            for (key, (_, byte)) in &model {
                prop_assert_eq!(keyed.get(*key), Some(&[*byte][..]));
            }
            prop_assert_eq!(keyed.next_due(), model.values().map(|(due, _)| *due).min());
        }
    }
}
