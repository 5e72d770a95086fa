//! Expiring: a map whose entries end by themselves, and whose open transaction can be undone.
//!
//! It does not know what time it is; entries end when its owner says how far time has come.

use std::collections::BTreeMap;
use std::hash::Hash;

use hashbrown::HashMap;

use crate::event::Timestamp;

/// Entries whose deadlines fall into the same second leave together.
const BUCKET_MS: i64 = 1_000;

/// A map with a deadline per entry and an undo log since the last [`Expiring::settle`].
///
/// **Invariant:** entries end only in [`Expiring::expire`], which is called right after a commit, so
/// that undoing never has to bring an expired entry back.
#[derive(Debug)]
pub struct Expiring<K, V> {
    entries: HashMap<K, (V, Timestamp), foldhash::fast::RandomState>,
    due: BTreeMap<i64, Vec<K>>,
    undo: Vec<(K, Option<(V, Timestamp)>)>,
}

// === impl Expiring ===

impl<K, V> Default for Expiring<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::default(), due: BTreeMap::new(), undo: Vec::new() }
    }
}

impl<K: Copy + Eq + Hash, V: Copy> Expiring<K, V> {
    /// The entry's value, whether or not it was noted in the open transaction.
    pub fn get(&self, key: &K) -> Option<V> {
        self.entries.get(key).map(|(value, _)| *value)
    }

    /// Notes an entry until `deadline`; an older one under the same key is replaced.
    pub fn insert(&mut self, key: K, value: V, deadline: Timestamp) {
        let before = self.entries.insert(key, (value, deadline));
        self.undo.push((key, before));
        self.due.entry(deadline.millis().div_euclid(BUCKET_MS)).or_default().push(key);
    }

    /// What the open transaction noted, as it is now.
    pub fn noted(&self) -> impl Iterator<Item = (K, V, Timestamp)> {
        self.undo.iter().filter_map(|(key, _)| {
            let (value, deadline) = self.entries.get(key)?;
            Some((*key, *value, *deadline))
        })
    }

    /// The transaction was committed: what was noted stays.
    pub fn settle(&mut self) {
        self.undo.clear();
    }

    /// The transaction was aborted: everything is as it was at the last [`Expiring::settle`].
    pub fn undo(&mut self) {
        while let Some((key, before)) = self.undo.pop() {
            match before {
                Some(entry) => {
                    self.entries.insert(key, entry);
                }
                None => {
                    self.entries.remove(&key);
                }
            }
        }
    }

    /// Ends every entry whose deadline lies before `now`. Costs by what is due, not by what is kept.
    pub fn expire(&mut self, now: Timestamp) {
        let before = now.millis().div_euclid(BUCKET_MS);
        while let Some(bucket) = self.due.first_entry() {
            if *bucket.key() >= before {
                return;
            }
            for key in bucket.remove() {
                // A replaced entry stands in two buckets; only its own deadline ends it.
                if self.entries.get(&key).is_some_and(|(_, deadline)| *deadline < now) {
                    self.entries.remove(&key);
                }
            }
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
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
