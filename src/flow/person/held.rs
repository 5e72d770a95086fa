//! Held: everything that waits for the people of one partition, and the topic it is written to.
//!
//! A person has one entry, each text one. What is due is found in the order of time: entries that wait cost
//! nothing. Nothing is decided here.

use bytes::Bytes;

use crate::event::{Outgoing, Timestamp, Topic, hash128};
use crate::store::keyed::Second;
use crate::store::spill::DiskFault;
use crate::store::{Keyed, Spill};

use super::super::memory::{self, BrokenMemory};
use super::super::{Cursor, Outbox};
use super::texts::Texts;
use super::waiting::{Waiting, read, unpack};

/// What waits in one partition.
#[derive(Debug)]
pub(super) struct Held {
    partition: i32,
    people: Keyed,
    pub(super) texts: Texts,
    /// The transaction that wrote entries last, and what it was at the last commit.
    written: (u64, u64),
}

/// A text's key in the topic is this and its notice's id; a person's key has no such beginning.
const TEXT: u8 = b't';

// === impl Held ===

impl Held {
    pub(super) fn new(partition: i32, cursor: &Cursor, spill: &Spill) -> Self {
        let written = (cursor.state, cursor.state);
        Self { partition, people: Keyed::within(spill), texts: Texts::within(spill), written }
    }

    /// Whether nothing waits for anybody.
    pub(super) fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// For how many people something waits.
    pub(super) fn len(&self) -> usize {
        self.people.len()
    }

    /// A person's entry.
    pub(super) fn person(&mut self, key: u128) -> Option<&[u8]> {
        self.people.get(key)
    }

    /// Keeps a person's entry, or forgets it when nothing is in it.
    pub(super) fn put(&mut self, key: u128, waiting: &Waiting<'_>) {
        if waiting.is_empty() {
            self.people.remove(key);
        } else {
            self.people.put(key, waiting.due(), &waiting.pack());
        }
    }

    /// The person for whom something is due first, if it is by then.
    pub(super) fn due_by(&self, by: Second) -> Option<u128> {
        self.people.due_by(by)
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.people.next_due().map(|second| Timestamp::from_millis(i64::from(second) * 1_000))
    }

    /// The transaction that wrote entries last, this one included.
    pub(super) fn written(&self) -> u64 {
        self.written.0
    }

    /// Writes what changed, if anything did, and where the lane is.
    pub(super) fn cut(&mut self, (offset, mut cursor): (i64, Cursor), out: &mut Outbox) {
        let person = |(key, entry): (u128, Option<&[u8]>)| (key.to_be_bytes().to_vec(), owned(entry));
        let text = |(key, entry): (u128, Option<&[u8]>)| (text_key(key), owned(entry));
        let changed: Vec<(Vec<u8>, Option<Bytes>)> =
            self.people.changed().map(person).chain(self.texts.kept.changed().map(text)).collect();
        if changed.is_empty() {
            return;
        }
        let partition = Some(self.partition);
        for (key, value) in changed {
            out.put(Outgoing {
                topic: Topic::Waiting,
                partition,
                key: Some(key.into()),
                value,
                headers: Vec::new(),
            });
        }
        self.written.0 = cursor.sequence;
        cursor.state = cursor.sequence;
        memory::write_place(Topic::Waiting, self.partition, (offset, &cursor), out);
    }

    /// An entry as an owner before left it; `false` for a key that is none of an entry.
    ///
    /// # Errors
    /// [`BrokenMemory`].
    pub(super) fn restore(&mut self, key: &[u8], entry: Option<&[u8]>) -> Result<bool, BrokenMemory> {
        if let Some((&TEXT, Ok(id))) = key.split_first().map(|(first, rest)| (first, rest.try_into())) {
            return self.texts.restore(u128::from_be_bytes(id), entry).map(|()| true);
        }
        let Ok(person) = key.try_into() else { return Ok(false) };
        let entry = entry.map(|entry| unpack(entry).map(|(due, _)| (due, entry))).transpose()?;
        self.people.restore(u128::from_be_bytes(person), entry);
        Ok(true)
    }

    /// All entries of the owner before are here.
    pub(super) fn all_restored(&mut self) {
        self.people.restored();
        let mut claims: Vec<u128> = Vec::new();
        self.people.each(|_, entry| {
            let waiting = read::<Waiting<'_>>(entry).ok();
            claims.extend(waiting.into_iter().flat_map(|waiting| waiting.items).flat_map(|item| item.claims));
        });
        self.texts.restored(claims.into_iter());
    }

    /// The last transaction of an owner before, where nothing else says which wrote entries last.
    pub(super) fn restored(&mut self, cursor: &Cursor) {
        let state = cursor.state.max(self.written.0);
        self.written = (state, state);
    }

    /// A digest of all entries.
    pub(super) fn digest(&self) -> u128 {
        let mut all = 0;
        let mut one = |key: u128, entry: &[u8]| all ^= hash128([&key.to_le_bytes(), entry]);
        self.people.each(&mut one);
        self.texts.kept.each(&mut one);
        all
    }

    /// Why nothing may be committed.
    pub(super) fn fault(&self) -> Option<&DiskFault> {
        self.people.fault().or_else(|| self.texts.kept.fault())
    }

    pub(super) fn settle(&mut self) {
        self.written.1 = self.written.0;
        self.people.settle();
        self.texts.settle();
    }

    pub(super) fn undo(&mut self) {
        self.written.0 = self.written.1;
        self.people.undo();
        self.texts.undo();
    }
}

/// The key of a text in the topic.
pub(super) fn text_key(notice: u128) -> Vec<u8> {
    [&[TEXT], &notice.to_be_bytes()[..]].concat()
}

fn owned(entry: Option<&[u8]>) -> Option<Bytes> {
    entry.map(Bytes::copy_from_slice)
}
