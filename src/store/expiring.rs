//! Expiring: a map whose entries end by themselves, and whose open transaction can be undone.
//!
//! It does not know what time it is; entries end when its owner says how far time has come.
//!
//! Millions of ids are remembered at once, so an entry costs little beyond itself: entries lie in queues, in
//! the order they were noted, and tables of four-byte places find them by key. Entries that live about as
//! long share a queue, so that what has ended lies in front. There are many tables, and each grows by itself:
//! one that held all would stand there twice whenever it grew, and everybody would wait for it.
//!
//! A deadline is kept as a whole second, rounded up.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, Hash};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use crate::event::Timestamp;

/// From which lifetime on entries lie in which queue, in milliseconds: 10 minutes, 1 hour, 6 hours, 1, 3, 10
/// and 40 days. What has ended may wait behind what lives a few times as long, not longer.
const LIFETIMES: [i64; QUEUES - 1] =
    [600_000, 3_600_000, 21_600_000, 86_400_000, 259_200_000, 864_000_000, 3_456_000_000];
const QUEUES: usize = 8;

/// A place: the queue in the upper bits, the entry's number in it in the lower ones, which begin anew.
type Place = u32;
const QUEUE_SHIFT: u32 = 29;
const NUMBERS: u32 = (1 << QUEUE_SHIFT) - 1;

/// Entries of a queue are kept in blocks, so that a queue grows without being copied and shrinks in front. So many
/// ids, at 26 bytes each, nearly fill 28 KiB, which is a size that allocators have: 1 024 would waste a tenth.
const BLOCK: u32 = 1_100;

/// How many tables of places there are: as many of each of four sizes. A table doubles when it is full, and is half
/// empty then, so they are not to do so all at the same time.
const TABLES: usize = 64;
const SIZES: usize = 4;
/// Of 256 hashes, where those end that go to the tables of each size but the largest: a size has a fifth more of them
/// than the one before.
const SHARES: [u64; SIZES - 1] = [48, 106, 174];
/// The bits of a hash that choose a size, and those that choose a table: a table itself looks at the lowest and at
/// the seven highest.
const SIZE_SHIFT: u32 = 40;
const TABLE_SHIFT: u32 = 48;

/// Seconds since 1970; what ends after 2106 ends then.
type Second = u32;

/// A map with a deadline per entry and an undo log since the last [`Expiring::settle`].
///
/// **Invariant:** entries end only in [`Expiring::expire`], which is called right after a commit, so
/// that undoing never has to bring an expired entry back.
pub struct Expiring<K, V> {
    places: [HashTable<Place>; TABLES],
    queues: [Queue<K, V>; QUEUES],
    hasher: foldhash::fast::RandomState,
    /// What was noted, and what it replaced.
    undo: Vec<(Place, Option<Place>)>,
    now: Timestamp,
}

/// One entry. Packed, for a key of 16 bytes would else ask for a multiple of 16.
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Entry<K, V> {
    key: K,
    value: V,
    ends: Second,
}

/// Entries in the order they were noted.
struct Queue<K, V> {
    blocks: VecDeque<Vec<Entry<K, V>>>,
    /// The number of the first entry of the first block, and how many of that block are gone.
    first: u32,
    gone: u32,
}

// === impl Entry ===

impl<K, V> Entry<K, V> {
    fn new(key: K, value: V, deadline: Timestamp) -> Self {
        let seconds = deadline.millis().max(0).saturating_add(999) / 1_000;
        Self { key, value, ends: Second::try_from(seconds).unwrap_or(Second::MAX) }
    }

    fn deadline(&self) -> Timestamp {
        Timestamp::from_millis(i64::from(self.ends) * 1_000)
    }
}

// === impl Queue ===

impl<K, V> Default for Queue<K, V> {
    fn default() -> Self {
        Self { blocks: VecDeque::new(), first: 0, gone: 0 }
    }
}

impl<K: Copy, V: Copy> Queue<K, V> {
    fn get(&self, number: u32) -> Option<Entry<K, V>> {
        let at = number.wrapping_sub(self.first) & NUMBERS;
        self.blocks.get((at / BLOCK) as usize)?.get((at % BLOCK) as usize).copied()
    }

    fn push(&mut self, entry: Entry<K, V>) -> u32 {
        if self.blocks.back().is_none_or(|block| block.len() == BLOCK as usize) {
            // The first block of a queue grows by itself: most queues stay short.
            let room = if self.blocks.is_empty() { 0 } else { BLOCK as usize };
            self.blocks.push_back(Vec::with_capacity(room));
        }
        let before = u32::try_from(self.blocks.len().saturating_sub(1)).unwrap_or(0) * BLOCK;
        let Some(block) = self.blocks.back_mut() else { return self.first };
        block.push(entry);
        let in_block = u32::try_from(block.len().saturating_sub(1)).unwrap_or(0);
        self.first.wrapping_add(before).wrapping_add(in_block) & NUMBERS
    }

    fn pop_back(&mut self) {
        if let Some(block) = self.blocks.back_mut() {
            block.pop();
            if block.is_empty() && self.blocks.len() > 1 {
                self.blocks.pop_back();
            }
        }
    }

    /// The number of the oldest entry.
    fn front(&self) -> u32 {
        self.first.wrapping_add(self.gone) & NUMBERS
    }

    fn pop_front(&mut self) {
        self.gone += 1;
        if self.gone == BLOCK {
            self.blocks.pop_front();
            (self.first, self.gone) = (self.first.wrapping_add(BLOCK) & NUMBERS, 0);
        }
    }

    /// Whether another entry would be taken for the oldest.
    fn is_full(&self) -> bool {
        self.blocks.len() >= (NUMBERS / BLOCK) as usize
    }
}

// === impl Expiring ===

impl<K, V> Default for Expiring<K, V> {
    fn default() -> Self {
        Self {
            places: std::array::from_fn(|_| HashTable::new()),
            queues: std::array::from_fn(|_| Queue::default()),
            hasher: foldhash::fast::RandomState::default(),
            undo: Vec::new(),
            now: Timestamp::default(),
        }
    }
}

impl<K, V> fmt::Debug for Expiring<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries", self.places.iter().map(HashTable::len).sum::<usize>())
    }
}

impl<K: Copy + Eq + Hash, V: Copy> Expiring<K, V> {
    /// The entry's value, whether or not it was noted in the open transaction.
    pub fn get(&self, key: &K) -> Option<V> {
        let entry = self.entry(self.place(key)?)?;
        (entry.deadline() >= self.now).then_some(entry.value)
    }

    /// Whether there is an entry that has not ended at `at`, however long ago [`Expiring::expire`] was called.
    pub fn outlives(&self, key: &K, at: Timestamp) -> bool {
        let entry = self.place(key).and_then(|place| self.entry(place));
        entry.is_some_and(|entry| entry.deadline() >= self.now.max(at))
    }

    /// Notes an entry until `deadline`; an older one under the same key is replaced.
    pub fn insert(&mut self, key: K, value: V, deadline: Timestamp) {
        let lifetime = deadline.since(self.now).millis();
        let queue = LIFETIMES.iter().take_while(|from| lifetime >= **from).count();
        if self.queues[queue].is_full() {
            self.forget_oldest(queue);
        }
        let number = self.queues[queue].push(Entry::new(key, value, deadline));
        let place = u32::try_from(queue).unwrap_or(0) << QUEUE_SHIFT | number;
        let before = self.put(&key, place);
        self.undo.push((place, before));
    }

    /// What the open transaction noted, as it is now.
    pub fn noted(&self) -> impl Iterator<Item = (K, V, Timestamp)> {
        self.undo.iter().filter_map(|(place, _)| {
            let entry = self.entry(*place)?;
            // What it replaced itself is said once.
            let stands = self.place(&{ entry.key }) == Some(*place);
            stands.then(|| (entry.key, entry.value, entry.deadline()))
        })
    }

    /// The transaction was committed: what was noted stays.
    pub fn settle(&mut self) {
        self.undo.clear();
    }

    /// The transaction was aborted: everything is as it was at the last [`Expiring::settle`].
    pub fn undo(&mut self) {
        while let Some((place, before)) = self.undo.pop() {
            let Some(Entry { key, .. }) = self.entry(place) else { continue };
            if let Some(before) = before {
                self.put(&key, before);
            } else {
                self.take(&key);
            }
            // The last that was noted is the last of its queue.
            self.queues[queue_of(place)].pop_back();
        }
    }

    /// Ends every entry whose deadline lies before `now`. Costs by what is due, not by what is kept.
    pub fn expire(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        for queue in 0..QUEUES {
            while let Some(oldest) = self.queues[queue].get(self.queues[queue].front())
                && oldest.deadline() < self.now
            {
                self.forget_oldest(queue);
            }
        }
    }

    /// The entries that end after `at`, in no order.
    pub fn beyond(&self, at: Timestamp) -> impl Iterator<Item = (K, V, Timestamp)> {
        self.places.iter().flatten().filter_map(move |place| {
            let entry = self.entry(*place)?;
            (entry.deadline() > at).then(|| (entry.key, entry.value, entry.deadline()))
        })
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.places.iter().map(HashTable::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn forget_oldest(&mut self, queue: usize) {
        let number = self.queues[queue].front();
        let Some(Entry { key, .. }) = self.queues[queue].get(number) else { return };
        let place = u32::try_from(queue).unwrap_or(0) << QUEUE_SHIFT | number;
        // One that was replaced lies elsewhere under its key.
        if self.place(&key) == Some(place) {
            self.take(&key);
        }
        self.queues[queue].pop_front();
    }

    fn entry(&self, place: Place) -> Option<Entry<K, V>> {
        self.queues[queue_of(place)].get(place & NUMBERS)
    }

    fn place(&self, key: &K) -> Option<Place> {
        let hash = self.hasher.hash_one(key);
        self.places[table_of(hash)].find(hash, |place| is(&self.queues, *place, key)).copied()
    }

    fn take(&mut self, key: &K) -> Option<Place> {
        let (queues, hash) = (&self.queues, self.hasher.hash_one(key));
        let found = self.places[table_of(hash)].find_entry(hash, |place| is(queues, *place, key)).ok()?;
        Some(found.remove().0)
    }

    /// Where a key lies from now on; where it lay before.
    fn put(&mut self, key: &K, place: Place) -> Option<Place> {
        let (queues, hasher, hash) = (&self.queues, &self.hasher, self.hasher.hash_one(key));
        let again = |place: &Place| entry_in(queues, *place).map_or(0, |entry| hasher.hash_one(entry.key));
        match self.places[table_of(hash)].entry(hash, |place| is(queues, *place, key), again) {
            Slot::Occupied(mut found) => Some(std::mem::replace(found.get_mut(), place)),
            Slot::Vacant(free) => {
                free.insert(place);
                None
            }
        }
    }
}

fn table_of(hash: u64) -> usize {
    let share = (hash >> SIZE_SHIFT) & 0xff;
    let size = SHARES.iter().take_while(|end| share >= **end).count();
    let among = usize::try_from(hash >> TABLE_SHIFT).unwrap_or(0) % (TABLES / SIZES);
    size * (TABLES / SIZES) + among
}

fn queue_of(place: Place) -> usize {
    (place >> QUEUE_SHIFT) as usize
}

fn entry_in<K: Copy, V: Copy>(queues: &[Queue<K, V>; QUEUES], place: Place) -> Option<Entry<K, V>> {
    queues[queue_of(place)].get(place & NUMBERS)
}

fn is<K: Copy + Eq, V: Copy>(queues: &[Queue<K, V>; QUEUES], place: Place, key: &K) -> bool {
    entry_in(queues, place).is_some_and(|entry| { entry.key } == *key)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap as Model;

    use proptest::prelude::*;

    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1_000)
    }

    #[test]
    fn an_aborted_transaction_leaves_no_trace() {
        let mut seen = Expiring::default();
        seen.insert(1, 'a', at(10));
        seen.settle();
        seen.insert(1, 'b', at(20));
        seen.insert(2, 'c', at(20));
        seen.undo();
        assert_eq!((seen.get(&1), seen.get(&2)), (Some('a'), None));
    }

    #[test]
    fn many_come_and_go_and_every_one_is_found_until_its_end() {
        let mut seen = Expiring::default();
        for second in 0..20_000_i64 {
            // Two lifetimes, two queues.
            seen.insert(second, second, at(second + 5_000));
            seen.insert(-second - 1, second, at(second + 60));
            seen.settle();
            seen.expire(at(second));
        }
        assert_eq!(seen.len(), 5_001 + 61);
        assert_eq!((seen.get(&14_998), seen.get(&14_999)), (None, Some(14_999)));
        assert_eq!((seen.get(&-19_939), seen.get(&-19_940)), (None, Some(19_939)));
        let blocks: usize = seen.queues.iter().map(|queue| queue.blocks.len()).sum();
        assert!(blocks <= 8, "{blocks} blocks are kept");
        for second in 20_000..30_000_i64 {
            seen.insert(second, second, at(second + 5_000));
        }
        seen.undo();
        assert_eq!((seen.get(&20_000), seen.get(&19_999)), (None, Some(19_999)));
    }

    #[test]
    fn a_replaced_entry_lives_until_its_new_deadline() {
        let mut seen = Expiring::default();
        seen.insert(1, 'a', at(10));
        seen.insert(1, 'b', at(20));
        seen.settle();
        seen.expire(at(15));
        assert_eq!(seen.get(&1), Some('b'));
        seen.expire(at(22));
        assert!(seen.is_empty());
    }

    #[test]
    fn an_id_takes_26_bytes_and_its_place_ends_with_the_second() {
        assert_eq!(size_of::<Entry<u128, [u8; 6]>>(), 26);
        let entry = |millis| Entry::new(1, (), Timestamp::from_millis(millis)).deadline().millis();
        assert_eq!([0, 1, 999, 1_000, 1_001].map(entry), [0, 1_000, 1_000, 1_000, 2_000]);
        assert_eq!([i64::MIN, -1, i64::MAX].map(entry), [0, 0, 4_294_967_295_000]);
    }

    #[test]
    fn no_table_holds_more_than_twice_as_much_as_another_and_they_grow_at_different_times() {
        let mut seen = Expiring::default();
        (0..64_000_u128).for_each(|key| seen.insert(key, (), at(10)));
        let held: Vec<usize> = seen.places.iter().map(HashTable::len).collect();
        assert!(held.iter().all(|count| (600..1_500).contains(count)), "{held:?}");
        let rooms: std::collections::BTreeSet<usize> =
            seen.places.iter().map(HashTable::num_buckets).collect();
        assert_eq!(rooms, [1_024, 2_048].into());
        assert!((0..64_000).all(|key| seen.get(&key).is_some()));
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_plain_map_with_deadlines(steps in prop::collection::vec((0u8..4, 0u8..8, 0i64..40), 0..200)) {
            let (mut real, mut open, mut settled) = (Expiring::default(), Model::new(), Model::new());
            let mut now = 0;
            for (what, key, number) in steps {
                match what {
                    0 | 1 => {
                        real.insert(key, number, at(now + number));
                        open.insert(key, (number, now + number));
                    }
                    2 => {
                        real.undo();
                        open = settled.clone();
                    }
                    _ => {
                        real.settle();
                        now += number;
                        real.expire(at(now));
                        // An entry leaves in the second after its deadline at the latest.
                        open.retain(|_, (_, deadline)| *deadline >= now);
                        settled = open.clone();
                    }
                }
                for key in 0..8 {
                    prop_assert_eq!(real.get(&key), open.get(&key).map(|(number, _)| *number));
                }
            }
        }
    }
}
