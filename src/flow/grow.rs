//! Grow: what one partition remembers, shared out among the partitions that it becomes.
//!
//! A partition is a remainder of a hash, so that with a multiple of the partitions what lay in `p` belongs to
//! `p`, `p + n`, `p + 2n` and so on, and to no other. An entry of state says what it is about and goes where that
//! belongs now. An id that was heard or told says no more than that it was: it is copied to all of them, where
//! nothing else is ever taken for it.
//!
//! **Invariant:** everything lies where it belongs before anything is forgotten where it was. Done again after
//! an end at any point, it comes to the same.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use bytes::Bytes;

use crate::event::ids::{partition_of, person_partition};
use crate::event::{Incoming, Outgoing, Topic};

use super::conversation::Matter;
use super::memory::{self, BrokenMemory, PLACE_KEY, Page, Remembered};
use super::queue::Queue;
use super::{Cursor, Outbox, person};

/// How many partitions a topic has, and how many it is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Now.
    pub from: u32,
    /// Then: a multiple.
    pub into: u32,
}

/// What one partition remembers, and where it is to be.
#[derive(Debug)]
pub struct Shares {
    /// What the lane reads.
    topic: Topic,
    partition: i32,
    step: Step,
    /// The same of `bugle.people`: who is open at a subject knows which of its partitions were told.
    people: Step,
    /// The newest rules anything was decided by.
    generation: u64,
    ids: u64,
    entries: BTreeMap<Bytes, Bytes>,
}

/// An entry of state, and where it belongs.
struct Entry {
    key: Bytes,
    value: Bytes,
    homes: BTreeSet<i32>,
}

// === impl Step ===

impl Step {
    /// Whether anything changes.
    #[must_use]
    pub const fn grows(self) -> bool {
        self.into > self.from
    }

    /// The partitions that one becomes, itself first.
    fn of(self, partition: i32) -> impl Iterator<Item = i32> {
        let count = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        (partition..count(self.into)).step_by(self.from.max(1) as usize)
    }
}

// === impl Shares ===

impl Shares {
    /// Nothing read yet, of a partition of `topic`.
    #[must_use]
    pub fn new((topic, partition): (Topic, i32), step: Step, people: Step) -> Self {
        Self { topic, partition, step, people, generation: 0, ids: 0, entries: BTreeMap::new() }
    }

    /// The topic and the partition.
    #[must_use]
    pub fn of(&self) -> (Topic, i32) {
        (self.topic, self.partition)
    }

    /// How many ids and how many entries were read.
    #[must_use]
    pub fn read_so_far(&self) -> (u64, usize) {
        (self.ids, self.entries.len())
    }

    /// A record of one of the partition's memory topics; what can be copied at once.
    ///
    /// # Errors
    /// [`BrokenMemory`].
    pub fn read(&mut self, record: &Incoming) -> Result<Vec<Outgoing>, BrokenMemory> {
        let (topic, key) = (record.input.topic, record.key.clone().unwrap_or_default());
        if topic.is_state() && key.as_ref() != PLACE_KEY {
            match &record.value {
                Some(value) => drop(self.entries.insert(key, value.clone())),
                None => drop(self.entries.remove(&key)),
            }
            return Ok(Vec::new());
        }
        let page = Page::read(record.value.as_deref().unwrap_or_default())?;
        self.generation = self.generation.max(page.cursor.generation);
        let ids = page.entries().collect::<Result<Vec<Remembered>, _>>()?;
        self.ids += ids.len() as u64;
        let (mut out, first) = (Outbox::default(), self.first());
        for child in self.children().filter(|_| !ids.is_empty()) {
            memory::write(topic, child, (0, &first), ids.iter().copied(), &mut out);
        }
        Ok(out.records)
    }

    /// Everything was read: the entries where they belong now, and where each new partition begins.
    ///
    /// # Errors
    /// [`BrokenMemory`].
    pub fn copies(&self) -> Result<Vec<Outgoing>, BrokenMemory> {
        let mut out = Outbox::default();
        let (state, logs): (Vec<Topic>, Vec<Topic>) =
            self.topic.memories().iter().partition(|topic| topic.is_state());
        for Entry { key, value, homes } in self.homes()? {
            let changed = self.entries.get(&key) != Some(&value);
            for home in homes.into_iter().filter(|home| changed || *home != self.partition) {
                state.iter().for_each(|topic| out.write(*topic, home, Some(key.clone()), value.to_vec()));
            }
        }
        let first = self.first();
        for child in self.children() {
            logs.iter().for_each(|topic| memory::write(*topic, child, (0, &first), iter::empty(), &mut out));
            state.iter().for_each(|topic| memory::write_place(*topic, child, (0, &first), &mut out));
        }
        Ok(out.records)
    }

    /// The copies are safe: what is forgotten where it was.
    ///
    /// # Errors
    /// [`BrokenMemory`].
    pub fn forgotten(&self) -> Result<Vec<Outgoing>, BrokenMemory> {
        let Some(topic) = self.topic.memories().iter().copied().find(|topic| topic.is_state()) else {
            return Ok(Vec::new());
        };
        let partition = Some(self.partition);
        let gone = self.homes()?.into_iter().filter(|entry| !entry.homes.contains(&self.partition));
        let nothing = |Entry { key, .. }| Outgoing {
            topic,
            partition,
            key: Some(key),
            value: None,
            headers: Vec::new(),
        };
        Ok(gone.map(nothing).collect())
    }

    /// Each entry as it is to be, and the partitions it belongs to.
    fn homes(&self) -> Result<Vec<Entry>, BrokenMemory> {
        let texts = self.texts()?;
        let mut all = Vec::with_capacity(self.entries.len());
        for (key, value) in &self.entries {
            let (key, mut value) = (key.clone(), value.clone());
            let homes: BTreeSet<i32> = match self.topic {
                Topic::People => match person::whose(&key, &value)? {
                    Some((tenant, user_id, _)) => {
                        [person_partition(&tenant, &user_id, self.step.into)].into()
                    }
                    None => texts.get(&key).cloned().unwrap_or_else(|| [self.partition].into()),
                },
                Topic::Subjects => {
                    let mut matter = Matter::read(&value)?;
                    let subject = matter.subject()?;
                    if matter.reach_more(|partition| self.people.of(partition)) {
                        value = matter.write(Vec::new()).into();
                    }
                    // What nothing can be told of any more is of use wherever its subject is.
                    subject.map_or_else(
                        || self.step.of(self.partition).collect(),
                        |subject| [subject.partition(self.step.into)].into(),
                    )
                }
                _ => [partition_of(Queue::read(&value)?.about()?, self.step.into)].into(),
            };
            all.push(Entry { key, value, homes });
        }
        Ok(all)
    }

    /// Where each text is waited for.
    fn texts(&self) -> Result<BTreeMap<Bytes, BTreeSet<i32>>, BrokenMemory> {
        let mut texts: BTreeMap<Bytes, BTreeSet<i32>> = BTreeMap::new();
        for (key, value) in self.entries.iter().filter(|_| self.topic == Topic::People) {
            let Some((tenant, user_id, held)) = person::whose(key, value)? else { continue };
            let home = person_partition(&tenant, &user_id, self.step.into);
            for text in held {
                texts.entry(text.into()).or_default().insert(home);
            }
        }
        Ok(texts)
    }

    fn children(&self) -> impl Iterator<Item = i32> + use<> {
        self.step.of(self.partition).skip(1)
    }

    /// Where a new partition begins: its topic is empty, and its memory as if it had been read back.
    fn first(&self) -> Cursor {
        Cursor { sequence: 1, state: 1, generation: self.generation, ..Cursor::default() }
    }
}
