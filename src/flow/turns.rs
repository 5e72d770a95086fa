//! Turns: what replaces another thing on somebody's phone is sent after it.
//!
//! A batch that shares a person and a replace key with an unfinished one waits for it. What replaces
//! nothing waits for nobody. The parts of a split take the place of the whole.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Batch, Parcel, hash128, push};

use super::cursor::At;

/// The unfinished batches in the order in which they may be sent.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Whose phone and which key, the place in the order, and who stands there.
    holders: BTreeSet<(u64, At, At)>,
    /// Who waits, by whom they wait for.
    waiting: BTreeMap<At, Vec<At>>,
}

/// The place of one batch in the order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) place: At,
    keys: Box<[u64]>,
}

const FIRST: At = (i64::MIN, 0);

// === impl Turns ===

impl Turns {
    /// A batch comes in at this place of the order: its turn, behind all that share a phone and a key with it.
    pub(super) fn enter(&mut self, at: At, place: At, parcel: &Parcel) -> Turn {
        let keys = keys(parcel);
        self.holders.extend(keys.iter().map(|key| (*key, place, at)));
        Turn { place, keys }
    }

    /// Whom a batch has to wait for.
    pub(super) fn before(&self, turn: &Turn) -> Option<At> {
        let first = |key: &u64| {
            let before = (*key, turn.place, FIRST);
            self.holders.range((*key, FIRST, FIRST)..before).next().map(|(_, _, at)| *at)
        };
        turn.keys.iter().find_map(first)
    }

    /// A batch waits for another.
    pub(super) fn wait(&mut self, at: At, before: At) {
        self.waiting.entry(before).or_default().push(at);
    }

    /// A batch is finished; who may look again whether it is their turn.
    pub(super) fn leave(&mut self, at: At, turn: &Turn) -> Vec<At> {
        for key in &turn.keys {
            self.holders.remove(&(*key, turn.place, at));
        }
        self.waiting.remove(&at).unwrap_or_default()
    }

    /// A batch stands nowhere any more, whether or not it ever had its turn; who may look again.
    pub(super) fn forget(&mut self, at: At) -> Vec<At> {
        self.holders.retain(|(_, _, holder)| *holder != at);
        self.waiting.remove(&at).unwrap_or_default()
    }
}

/// One number for each person and what it replaces on their phone.
fn keys(parcel: &Parcel) -> Box<[u64]> {
    let Some(template) = &parcel.head.template.collapse_key else { return Box::default() };
    let batch = parcel.open();
    let by_letter: Vec<String> =
        batch.letters.iter().map(|letter| push::fill(template, &letter.inserts)).collect();
    let key = |batch: &Batch<'_>, member: usize| {
        let member = batch.members.get(member)?;
        let replaced = by_letter.get(member.letter as usize)?;
        let hash = hash128([batch.head.tenant.as_bytes(), member.user_id.as_bytes(), replaced.as_bytes()]);
        Some(u64::try_from(hash >> 64).unwrap_or_default())
    };
    (0..batch.members.len()).filter_map(|member| key(&batch, member)).collect()
}
