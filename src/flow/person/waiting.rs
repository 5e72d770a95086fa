//! Waiting: what one person is to be told later, as one entry of `bugle.people.state`.
//!
//! An item is a piece of news on one occasion; its claims are the notices that want to tell it, by their
//! ids: texts are kept elsewhere, once. What is gathered or counted has a tally beside the items.
//!
//! Layout of an entry: version byte, four bytes of the second it is due, four of a checksum (both little
//! endian), then what it says in the form that frames carry.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::event::frame::{append, take};
use crate::event::{Timestamp, hash128};
use crate::store::keyed::{NEVER, Second};
use crate::topology::plan::WindowKind;

use super::super::conversation::{second, sum};
use super::super::memory::BrokenMemory;
use super::super::stretch::Stretch;

/// The format this version writes; of another one it reads nothing.
const VERSION: u8 = 2;
/// The bytes of a due second, and of a checksum.
const FOUR: usize = size_of::<u32>();

/// What waits for one person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Waiting<'a> {
    #[serde(borrow)]
    pub(super) tenant: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) user_id: Cow<'a, str>,
    /// In the order they came.
    pub(super) items: Vec<Item>,
    /// Windows that are open and caps that count.
    pub(super) tallies: Vec<Tally>,
}

/// A piece of news on one occasion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    /// What it is known by: person, news and occasion.
    pub(super) key: u128,
    pub(super) stage: Stage,
    /// What it is told together with; 0: alone.
    pub(super) group: u128,
    pub(super) due: Timestamp,
    /// The notices that want to tell it.
    pub(super) claims: Vec<u128>,
    /// How many more it stands for.
    pub(super) more: u32,
}

/// What an item waits for. A later stage follows an earlier one, and never the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Stage {
    /// Another telling of the same news, or the end of its window.
    Gathered,
    /// That the person may hear more of its kind.
    Capped,
    /// The end of quiet hours.
    Quiet,
}

/// A window that is open, or a cap that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) group: u128,
    pub(super) stage: Stage,
    pub(super) since: Timestamp,
    /// When it ends.
    pub(super) due: Timestamp,
    /// How many were told in it.
    pub(super) told: u32,
    /// How many more came than are listed.
    pub(super) more: u32,
    /// The state before the first of them.
    pub(super) was: Option<String>,
    /// When what a window gathers happened, where it says so.
    pub(super) stretch: Option<Stretch>,
}

/// What is due together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// What it waited for; `None`: nothing yet.
    pub(super) after: Option<Stage>,
    pub(super) group: u128,
    pub(super) items: Vec<Item>,
    /// The state before, where its window says so.
    pub(super) was: Option<String>,
}

/// The key of a person's entry.
pub(super) fn person_key(tenant: &str, user_id: &str) -> u128 {
    hash128([tenant.as_bytes(), b"waiting", user_id.as_bytes()])
}

/// Packs an entry.
pub(super) fn pack(due: Second, what: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&due.to_le_bytes());
    bytes.extend_from_slice(&[0; FOUR]);
    let mut bytes = append(what, bytes);
    let (head, rest) = bytes[1..].split_at(2 * FOUR);
    let sum = sum(&head[..FOUR], rest).to_le_bytes();
    bytes[1 + FOUR..1 + 2 * FOUR].copy_from_slice(&sum);
    bytes
}

/// When an entry is due, and what it says. That it is whole is checked, and nothing unpacked.
///
/// # Errors
/// [`BrokenMemory`].
pub(super) fn unpack(entry: &[u8]) -> Result<(Second, &[u8]), BrokenMemory> {
    let (version, rest) = entry.split_first().ok_or(BrokenMemory::Damaged)?;
    if *version != VERSION {
        return Err(BrokenMemory::Version(*version));
    }
    let (due, rest) = rest.split_first_chunk::<FOUR>().ok_or(BrokenMemory::Damaged)?;
    let (said, rest) = rest.split_first_chunk::<FOUR>().ok_or(BrokenMemory::Damaged)?;
    match u32::from_le_bytes(*said) == sum(due, rest) {
        true => Ok((Second::from_le_bytes(*due), rest)),
        false => Err(BrokenMemory::Damaged),
    }
}

/// What an entry says.
///
/// # Errors
/// [`BrokenMemory`].
pub(super) fn read<'b, T: Deserialize<'b>>(entry: &'b [u8]) -> Result<T, BrokenMemory> {
    let (_, rest) = unpack(entry)?;
    match take(rest) {
        Ok((what, [])) => Ok(what),
        _ => Err(BrokenMemory::Damaged),
    }
}

// === impl Waiting ===

impl<'a> Waiting<'a> {
    /// Nothing waits yet.
    pub(super) fn new(tenant: &'a str, user_id: &'a str) -> Self {
        let (tenant, user_id) = (Cow::Borrowed(tenant), Cow::Borrowed(user_id));
        Self { tenant, user_id, items: Vec::new(), tallies: Vec::new() }
    }

    /// Whether nothing of it needs to be kept.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.tallies.is_empty()
    }

    /// The second at which it must be looked at.
    pub(super) fn due(&self) -> Second {
        let items = self.items.iter().map(|item| item.due);
        items.chain(self.tallies.iter().map(|tally| tally.due)).map(second).min().unwrap_or(NEVER)
    }

    /// The entry.
    pub(super) fn pack(&self) -> Vec<u8> {
        pack(self.due(), self)
    }

    /// The tally of a group that still runs.
    pub(super) fn tally(&mut self, stage: Stage, group: u128, now: Timestamp) -> Option<&mut Tally> {
        self.tallies.iter_mut().find(|tally| (tally.stage, tally.group) == (stage, group) && tally.due > now)
    }

    /// How many items of a group wait in a stage.
    pub(super) fn waiting(&self, stage: Stage, group: u128) -> usize {
        self.items.iter().filter(|item| (item.stage, item.group) == (stage, group)).count()
    }

    /// Takes out what a window gathered, where it was over before something that happened `at`.
    pub(super) fn take_over(
        &mut self,
        (group, window): (u128, &WindowKind),
        (at, now): (Timestamp, Timestamp),
    ) -> Option<Unit> {
        let stage = Stage::Gathered;
        let is_over = |tally: &Tally| {
            let stretch =
                tally.stretch.filter(|_| (tally.stage, tally.group) == (stage, group) && tally.due > now);
            stretch.is_some_and(|stretch| stretch.is_over(at, window, tally.due.since(tally.since)))
        };
        let tally = self.tallies.iter().position(is_over).map(|place| self.tallies.remove(place))?;
        let of = |item: &mut Item| (item.stage, item.group) == (stage, group);
        let items: Vec<Item> = self.items.extract_if(.., of).collect();
        (!items.is_empty()).then(|| Unit::of(items, Some(&tally)))
    }

    /// Takes out what is due, in the order of time.
    pub(super) fn take_due(&mut self, by: Second) -> Vec<Unit> {
        let is_due = |due: Timestamp| second(due) <= by;
        let ended: Vec<Tally> = self.tallies.extract_if(.., |tally| is_due(tally.due)).collect();
        let mut due: Vec<Item> = self.items.extract_if(.., |item| is_due(item.due)).collect();
        due.sort_by_key(|item| item.due);
        let mut units: Vec<Unit> = Vec::new();
        for item in due {
            let (after, group) = (Some(item.stage), item.group);
            let of = units.iter_mut().find(|unit| group != 0 && (unit.after, unit.group) == (after, group));
            if let Some(unit) = of {
                unit.items.push(item);
                continue;
            }
            let tally = ended.iter().find(|tally| (tally.stage, tally.group) == (item.stage, group));
            units.push(Unit::of(vec![item], tally));
        }
        units
    }
}

// === impl Tally ===

impl Tally {
    /// Something joins, or begins it, that happened then.
    pub(super) fn joined(&mut self, at: Option<Timestamp>) {
        let joined = |at| self.stretch.map_or(Stretch::begun(at), |stretch| stretch.joined(at));
        self.stretch = at.map(joined).or(self.stretch);
    }
}

// === impl Unit ===

impl Unit {
    /// Items of one stage and group, of which there is one at least, and how many more their tally counted.
    fn of(mut items: Vec<Item>, tally: Option<&Tally>) -> Self {
        let (after, group) = items.first().map_or((None, 0), |item| (Some(item.stage), item.group));
        items.first_mut().into_iter().for_each(|item| item.more += tally.map_or(0, |tally| tally.more));
        Self { after, group, items, was: tally.and_then(|tally| tally.was.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Span;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1_000)
    }

    fn item(key: u128, group: u128, due: i64) -> Item {
        Item { key, stage: Stage::Gathered, group, due: at(due), claims: vec![key + 100], more: 0 }
    }

    fn waiting() -> Waiting<'static> {
        let mut waiting = Waiting::new("acme", "ada");
        waiting.items = vec![item(1, 0, 30), item(2, 7, 20), item(3, 7, 20), item(4, 7, 90)];
        waiting.tallies.push(Tally {
            group: 7,
            stage: Stage::Gathered,
            since: at(5),
            due: at(20),
            told: 0,
            more: 2,
            was: Some("draft".to_owned()),
            stretch: None,
        });
        waiting
    }

    #[test]
    fn an_entry_is_read_as_it_was_written_and_says_when_it_is_due() {
        let mut waiting = waiting();
        for _ in 0..2 {
            let bytes = waiting.pack();
            assert_eq!(read::<Waiting<'_>>(&bytes), Ok(waiting.clone()));
            assert_eq!((unpack(&bytes).map(|(due, _)| due), bytes[0]), (Ok(20), VERSION));
            waiting.tallies[0].joined(Some(at(3)));
        }
    }

    #[test]
    fn what_a_window_gathered_is_taken_out_once_something_happened_after_it() {
        let mut waiting = waiting();
        let window = WindowKind::LatestState(Span::from_secs(15));
        let mut over = |happened, now| waiting.take_over((7, &window), (at(happened), at(now)));
        assert_eq!(over(90, 10), None, "nobody knows when it began");
        waiting.tallies[0].joined(Some(at(3)));
        waiting.tallies[0].joined(Some(at(2)));
        let mut over = |happened, now| waiting.take_over((7, &window), (at(happened), at(now)));
        assert_eq!((over(17, 10), over(18, 20)), (None, None), "it is not over, or over by the clock");
        let unit = over(18, 10).unwrap();
        let keys: Vec<u128> = unit.items.iter().map(|item| item.key).collect();
        assert_eq!((keys, unit.items[0].more, unit.was.as_deref()), (vec![2, 3, 4], 2, Some("draft")));
        assert_eq!((waiting.items.len(), waiting.tallies.len()), (1, 0));
    }

    #[test]
    fn what_is_gathered_is_due_together_and_the_rest_by_itself() {
        let mut waiting = waiting();
        let units = waiting.take_due(40);
        let shown: Vec<(u128, Vec<u128>)> =
            units.iter().map(|unit| (unit.group, unit.items.iter().map(|item| item.key).collect())).collect();
        assert_eq!(shown, [(7, vec![2, 3]), (0, vec![1])]);
        assert_eq!((units[0].items[0].more, units[0].was.as_deref()), (2, Some("draft")));
        assert_eq!((waiting.items.len(), waiting.tallies.len(), waiting.due()), (1, 0, 90));
        assert!(waiting.take_due(41).is_empty() && !waiting.is_empty());
    }

    #[test]
    fn a_later_format_and_a_damaged_entry_are_refused_and_never_a_panic() {
        let mut waiting = waiting();
        waiting.tallies[0].joined(Some(at(3)));
        let mut bytes = waiting.pack();
        for end in 0..bytes.len() {
            assert!(read::<Waiting<'_>>(&bytes[..end]).is_err(), "cut at {end}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert!(unpack(&damaged).is_err(), "damaged at {at}");
        }
        bytes[0] = VERSION + 1;
        assert_eq!(read::<Waiting<'_>>(&bytes), Err(BrokenMemory::Version(VERSION + 1)));
    }
}
