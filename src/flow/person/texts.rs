//! Texts: the notices that wait for somebody, each once in a partition, however many it waits for.
//!
//! **Invariant:** a text is here exactly as long as something points to it. How many do is counted from what
//! people have waiting, also after a restore, and never stored: a stored count would be written with every
//! release, and could disagree with what it counts.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::event::notice::{Over, Whom};
use crate::event::{Notice, Occasion, hash128};
use crate::store::keyed::NEVER;
use crate::store::{Keyed, Spill};

use super::super::memory::BrokenMemory;
use super::waiting::{pack, read, unpack};

/// The texts of one partition.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) kept: Keyed,
    holders: HashMap<u128, u32, foldhash::fast::RandomState>,
    /// How many held a text before the open transaction.
    before: BTreeMap<u128, u32>,
    /// The texts of each conversation.
    by_talk: HashMap<u128, Vec<u128>, foldhash::fast::RandomState>,
    /// Conversation and text of what the open transaction brought, and of what it let go.
    brought: Vec<(u128, u128)>,
    gone: Vec<(u128, u128)>,
}

/// A text that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Text<'a> {
    /// Its matter is over: it is told to nobody any more.
    pub(super) is_over: bool,
    /// The partition of `bugle.subjects` that spoke.
    pub(super) from: i32,
    /// The rules it was decided by.
    pub(super) generation: u64,
    #[serde(borrow)]
    pub(super) notice: Notice<'a>,
}

/// A conversation, as texts are found by it.
fn talk(tenant: &str, rule: &str, conversation: u128) -> u128 {
    hash128([tenant.as_bytes(), rule.as_bytes(), &conversation.to_le_bytes()])
}

// === impl Text ===

impl<'a> Text<'a> {
    /// # Errors
    /// [`BrokenMemory`].
    pub(super) fn read(entry: &'a [u8]) -> Result<Self, BrokenMemory> {
        read(entry)
    }

    fn talk(&self) -> u128 {
        talk(self.notice.tenant, self.notice.rule, self.notice.conversation)
    }
}

// === impl Texts ===

impl Texts {
    /// No texts yet.
    pub(super) fn within(spill: &Spill) -> Self {
        Self { kept: Keyed::within(spill), ..Self::default() }
    }

    /// The text with a notice's id.
    pub(super) fn get(&mut self, notice: u128) -> Option<&[u8]> {
        self.kept.get(notice)
    }

    /// One more holds this notice, which partition `from` decided by the rules of a generation.
    pub(super) fn hold(&mut self, notice: &Notice<'_>, (from, generation): (i32, u64)) {
        let id = notice.id.0;
        if self.count(id, 1) == 1 {
            let text = Text { is_over: false, from, generation, notice: notice.clone() };
            self.index(text.talk(), id);
            self.kept.put(id, NEVER, &pack(NEVER, &text));
        }
    }

    /// One less holds it; with the last one it goes.
    pub(super) fn let_go(&mut self, notice: u128) {
        if self.count(notice, -1) == 0 {
            let talk = self.kept.get(notice).and_then(|entry| Text::read(entry).ok()).map(|text| text.talk());
            self.gone.extend(talk.map(|talk| (talk, notice)));
            self.kept.remove(notice);
        }
    }

    /// A conversation is over, or as far as its steps go.
    pub(super) fn end(&mut self, over: &Over<'_>) {
        let talk = talk(over.tenant, over.rule, over.conversation);
        for notice in self.by_talk.get(&talk).cloned().unwrap_or_default() {
            let Some(entry) = self.kept.get(notice).map(<[u8]>::to_vec) else { continue };
            let Ok(text) = Text::read(&entry) else { continue };
            let ends = match over.whom {
                Whom::Everybody => text.notice.occasion != Occasion::Closed,
                Whom::Steps => matches!(text.notice.occasion, Occasion::Step(_)),
                Whom::Person(_) => false,
            };
            if ends && !text.is_over {
                self.kept.put(notice, NEVER, &pack(NEVER, &Text { is_over: true, ..text }));
            }
        }
    }

    /// Whether anything waits of a conversation.
    pub(super) fn has(&self, over: &Over<'_>) -> bool {
        self.by_talk.contains_key(&talk(over.tenant, over.rule, over.conversation))
    }

    /// A text as an owner before left it.
    ///
    /// # Errors
    /// [`BrokenMemory`].
    pub(super) fn restore(&mut self, notice: u128, entry: Option<&[u8]>) -> Result<(), BrokenMemory> {
        let entry = entry.map(|entry| unpack(entry).map(|(due, _)| (due, entry))).transpose()?;
        self.kept.restore(notice, entry);
        Ok(())
    }

    /// All texts and all that points to them are here.
    pub(super) fn restored(&mut self, claims: impl Iterator<Item = u128>) {
        self.kept.restored();
        self.holders.clear();
        claims.for_each(|notice| *self.holders.entry(notice).or_default() += 1);
        self.by_talk.clear();
        // Each was checked to be whole when it was read back.
        self.kept.each(|notice, entry| {
            if let Ok(text) = Text::read(entry) {
                self.by_talk.entry(text.talk()).or_default().push(notice);
            }
        });
        self.by_talk.values_mut().for_each(|texts| texts.sort_unstable());
    }

    /// The transaction was committed.
    pub(super) fn settle(&mut self) {
        self.kept.settle();
        self.before.clear();
        self.brought.clear();
        for (talk, notice) in std::mem::take(&mut self.gone) {
            self.forget(talk, notice);
        }
    }

    /// The transaction was aborted.
    pub(super) fn undo(&mut self) {
        self.kept.undo();
        for (notice, count) in std::mem::take(&mut self.before) {
            self.set(notice, count);
        }
        self.gone.clear();
        for (talk, notice) in std::mem::take(&mut self.brought) {
            self.forget(talk, notice);
        }
    }

    fn index(&mut self, talk: u128, notice: u128) {
        let texts = self.by_talk.entry(talk).or_default();
        if !texts.contains(&notice) {
            texts.push(notice);
            self.brought.push((talk, notice));
        }
    }

    /// It is found by its conversation no more, unless it is here all the same.
    fn forget(&mut self, talk: u128, notice: u128) {
        if self.kept.contains(notice) {
            return;
        }
        if let Some(texts) = self.by_talk.get_mut(&talk) {
            texts.retain(|other| *other != notice);
            if texts.is_empty() {
                self.by_talk.remove(&talk);
            }
        }
    }

    fn count(&mut self, notice: u128, by: i32) -> u32 {
        let was = self.holders.get(&notice).copied().unwrap_or_default();
        self.before.entry(notice).or_insert(was);
        let is = was.saturating_add_signed(by);
        self.set(notice, is);
        is
    }

    fn set(&mut self, notice: u128, count: u32) {
        match count {
            0 => drop(self.holders.remove(&notice)),
            count => drop(self.holders.insert(notice, count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::NoticeId;
    use crate::event::notice::example;

    fn notice(id: u128, conversation: u128, occasion: Occasion) -> Notice<'static> {
        Notice { id: NoticeId(id), conversation, occasion, ..example::notice() }
    }

    fn over(whom: Whom<'static>) -> Over<'static> {
        Over { tenant: "acme", rule: "ec-3", conversation: 9, whom }
    }

    fn is_over(texts: &mut Texts, id: u128) -> bool {
        Text::read(texts.get(id).unwrap()).unwrap().is_over
    }

    #[test]
    fn a_text_is_written_once_and_goes_with_the_last_who_holds_it() {
        let mut texts = Texts::default();
        for _ in 0..3 {
            texts.hold(&notice(1, 9, Occasion::First), (2, 0));
        }
        assert_eq!(texts.kept.changed().count(), 1);
        texts.settle();
        texts.let_go(1);
        texts.let_go(1);
        assert_eq!(texts.kept.changed().count(), 0, "a release writes no text");
        assert!(texts.get(1).is_some());
        texts.let_go(1);
        texts.settle();
        assert!(texts.get(1).is_none() && !texts.has(&over(Whom::Everybody)));
    }

    #[test]
    fn an_aborted_transaction_neither_brings_a_text_nor_takes_one() {
        let mut texts = Texts::default();
        texts.hold(&notice(1, 9, Occasion::First), (2, 0));
        texts.settle();
        texts.let_go(1);
        texts.hold(&notice(2, 9, Occasion::Reminder(1)), (2, 0));
        texts.undo();
        assert!(texts.get(1).is_some() && texts.get(2).is_none());
        // Let go and held again in one transaction, it stays and is found.
        texts.let_go(1);
        texts.hold(&notice(1, 9, Occasion::First), (2, 0));
        texts.settle();
        texts.end(&over(Whom::Everybody));
        assert!(is_over(&mut texts, 1));
    }

    #[test]
    fn what_is_over_is_marked_once_in_its_text_and_the_end_itself_is_not() {
        let mut texts = Texts::default();
        texts.hold(&notice(1, 9, Occasion::First), (2, 0));
        texts.hold(&notice(2, 9, Occasion::Step(1)), (2, 0));
        texts.hold(&notice(3, 9, Occasion::Closed), (2, 0));
        texts.hold(&notice(4, 8, Occasion::First), (2, 0));
        texts.end(&over(Whom::Steps));
        assert_eq!([1, 2, 3, 4].map(|id| is_over(&mut texts, id)), [false, true, false, false]);
        texts.end(&over(Whom::Everybody));
        assert_eq!([1, 2, 3, 4].map(|id| is_over(&mut texts, id)), [true, true, false, false]);
    }

    #[test]
    fn counts_are_derived_from_what_points_to_a_text() {
        let mut texts = Texts::default();
        texts.hold(&notice(1, 9, Occasion::First), (2, 0));
        let entry = texts.get(1).unwrap().to_vec();
        let mut next = Texts::default();
        next.restore(1, Some(&entry)).unwrap();
        next.restored([1, 1].into_iter());
        next.let_go(1);
        assert!(next.get(1).is_some());
        next.let_go(1);
        assert!(next.get(1).is_none());
    }
}
