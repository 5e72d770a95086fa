//! Mutes: what is muted, as this process has read it, shared by all its lanes.
//!
//! Fed by whoever follows the topic; it reads no topic itself and decides nothing. It knows how far it has
//! come and when the end was last confirmed: a lane holds its tellings while it is not [`Muted::is_fresh`].
//!
//! **Invariant:** what is muted and the position change under one lock, as in the directory's copy.

use std::collections::BTreeMap;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use hashbrown::HashMap;

use crate::event::mute::{Block, Mute, Silence, UnreadableMute};
use crate::event::{Incoming, Outgoing, Span, Timestamp, hash128};

/// The shared copy.
#[derive(Debug, Default)]
pub struct Mutes {
    held: RwLock<Held>,
}

/// The copy at one moment.
pub struct Muted<'m>(RwLockReadGuard<'m, Held>);

#[derive(Debug, Default)]
struct Held {
    silences: BTreeMap<Bytes, Silence>,
    blocks: HashMap<Bytes, u128>,
    /// How many entries mute what has this in common.
    by_values: HashMap<u128, u32>,
    next: i64,
    confirmed: Option<Timestamp>,
}

/// What a rule that mutes and the rules it mutes have in common, as one number.
#[must_use]
pub fn in_common(tenant: &str, rule: &str, equal: &str) -> u128 {
    hash128([tenant.as_bytes(), rule.as_bytes(), equal.as_bytes()])
}

// === impl Mutes ===

impl Mutes {
    /// Nothing is muted, and nothing was read.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at it. Not for long: the follower waits meanwhile.
    #[must_use]
    pub fn view(&self) -> Muted<'_> {
        Muted(self.held.read().expect("nothing panics while mutes are changed"))
    }

    /// Takes a record in. One that cannot be read changes nothing.
    ///
    /// # Errors
    /// [`UnreadableMute`].
    pub fn apply(&self, record: &Incoming) -> Result<(), UnreadableMute> {
        let mut held = self.write();
        held.next = held.next.max(record.offset + 1);
        // What cannot be read leaves what stood there before.
        let mute = record.value.as_deref().map(Mute::read).transpose()?;
        held.put(record.key.clone().unwrap_or_default(), mute);
        Ok(())
    }

    /// Where there is no topic: an operator wants this silence.
    pub fn silence(&self, silence: Silence) {
        self.write().put(silence.id.clone().into(), Some(Mute::Silence(silence)));
    }

    /// Where there is no topic: a lane wrote this record to it.
    pub fn wrote(&self, record: &Outgoing) {
        let mute = record.value.as_deref().and_then(|value| Mute::read(value).ok());
        self.write().put(record.key.clone().unwrap_or_default(), mute);
    }

    /// Moves the position to where the follower stands.
    pub fn advance(&self, next: i64) {
        let mut held = self.write();
        held.next = held.next.max(next);
    }

    /// Notes that at `now` the topic ended at `end`, and returns whether all of it was read.
    pub fn confirm(&self, end: i64, now: Timestamp) -> bool {
        let mut held = self.write();
        let at_end = held.next >= end;
        if at_end {
            held.confirmed = held.confirmed.max(Some(now));
        }
        at_end
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().expect("nothing panics while mutes are changed")
    }
}

// === impl Muted ===

impl Muted<'_> {
    /// The topic was known to be read to its end at most `span` before `now`.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp, span: Span) -> bool {
        self.0.confirmed.is_some_and(|confirmed| now.since(confirmed) <= span)
    }

    /// The offset behind all that was read.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.0.next
    }

    /// Whether a rule has something open that mutes what has this in common with it.
    #[must_use]
    pub fn is_blocked(&self, in_common: u128) -> bool {
        self.0.by_values.contains_key(&in_common)
    }

    /// Whether there is an entry under this key.
    #[must_use]
    pub fn has_block(&self, key: &[u8]) -> bool {
        self.0.blocks.contains_key(key)
    }

    /// Whether nothing at all is open that mutes.
    #[must_use]
    pub fn has_no_blocks(&self) -> bool {
        self.0.blocks.is_empty()
    }

    /// The silences that count at `now`.
    pub fn active(&self, now: Timestamp) -> impl Iterator<Item = &Silence> {
        self.0.silences.values().filter(move |silence| silence.is_active(now))
    }

    /// The silences that count at `now`, and how much is open that mutes.
    #[must_use]
    pub fn now(&self, now: Timestamp) -> (Vec<Silence>, u64) {
        (self.active(now).cloned().collect(), self.0.blocks.len() as u64)
    }
}

// === impl Held ===

impl Held {
    fn put(&mut self, key: Bytes, mute: Option<Mute>) {
        self.remove(&key);
        match mute {
            None => {}
            Some(Mute::Silence(silence)) => drop(self.silences.insert(key, silence)),
            Some(Mute::Block(block)) => self.block(key, &block),
        }
    }

    fn remove(&mut self, key: &[u8]) {
        self.silences.remove(key);
        if let Some(values) = self.blocks.remove(key)
            && let Some(count) = self.by_values.get_mut(&values)
        {
            *count -= 1;
            if *count == 0 {
                self.by_values.remove(&values);
            }
        }
    }

    fn block(&mut self, key: Bytes, block: &Block) {
        let values = in_common(&block.tenant, &block.rule, &block.equal);
        *self.by_values.entry(values).or_default() += 1;
        self.blocks.insert(key, values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Topic;
    use crate::event::record::Input;

    fn record(offset: i64, key: &'static str, mute: Option<Mute>) -> Incoming {
        Incoming {
            input: Input { topic: Topic::Mutes, partition: 0 },
            offset,
            timestamp: Timestamp::default(),
            key: Some(Bytes::from_static(key.as_bytes())),
            value: mute.map(|mute| mute.write().into()),
            headers: Vec::new(),
        }
    }

    fn block(values: &str) -> Option<Mute> {
        let (tenant, rule) = ("acme".to_owned(), "bw".to_owned());
        Some(Mute::Block(Block { tenant, rule, equal: values.to_owned(), since: Timestamp::default() }))
    }

    #[test]
    fn two_that_block_the_same_are_two_until_both_are_gone() {
        let mutes = Mutes::new();
        let blocked = |values| mutes.view().is_blocked(in_common("acme", "bw", values));
        mutes.apply(&record(0, "a", block("workspace.id=7"))).unwrap();
        mutes.apply(&record(1, "b", block("workspace.id=7"))).unwrap();
        // Written once more, it is still one.
        mutes.apply(&record(2, "a", block("workspace.id=7"))).unwrap();
        assert!(blocked("workspace.id=7") && !blocked("workspace.id=8"));
        mutes.apply(&record(3, "a", None)).unwrap();
        assert!(blocked("workspace.id=7"));
        mutes.apply(&record(4, "b", None)).unwrap();
        assert!(!blocked("workspace.id=7") && mutes.view().has_no_blocks());
        assert_eq!(mutes.view().position(), 5);
    }

    #[test]
    fn what_cannot_be_read_changes_nothing_and_is_passed() {
        let mutes = Mutes::new();
        mutes.apply(&record(0, "a", block("workspace.id=7"))).unwrap();
        let broken = Incoming { value: Some(Bytes::from_static(b"{")), ..record(1, "a", None) };
        assert!(mutes.apply(&broken).is_err());
        assert!(mutes.view().has_block(b"a"));
        assert_eq!(mutes.view().position(), 2);
    }

    #[test]
    fn it_is_fresh_only_when_its_end_was_seen_lately() {
        let (mutes, at) = (Mutes::new(), Timestamp::from_millis);
        let span = Span::from_secs(10);
        assert!(!mutes.view().is_fresh(at(0), span));
        assert!(!mutes.confirm(3, at(0)));
        mutes.advance(3);
        assert!(mutes.confirm(3, at(1_000)));
        assert!(mutes.view().is_fresh(at(11_000), span) && !mutes.view().is_fresh(at(11_001), span));
    }
}
