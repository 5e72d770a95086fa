//! Identity: whether two ids that systems call a person by are one person's.
//!
//! A source writes who asked as it knows them: `TBerger`, `ACME\tberger` or `tberger@acme.example` for the
//! directory's `tberger`; or by another name that the directory has of them (`known_as`), such as their mail. To
//! *tell* somebody their id must be the directory's own; where somebody is to be kept out (`never`, `!`), every
//! spelling that may be theirs keeps them out.

use std::borrow::Cow;

use super::roster::Roster;
use super::table::Place;
use crate::event::Person;

// === impl Roster ===

impl Roster {
    /// Everybody with an entry whom this id may call: its own, or else every spelling of it; and who is known by it
    /// as by another name.
    pub(super) fn called(&self, id: &str) -> impl Iterator<Item = Place> {
        let known = |place: &Place| self.known.contains(place.bit());
        let own = self.find(id).filter(known);
        let alike = self.by_id.iter_hash(hash(id)).copied().filter(known);
        let alike = alike.filter(move |place| own.is_none() && may_be_one(self.user_id(*place), id));
        let named = self.by_other_names.get(&hash(id)).into_iter().flatten();
        let named = named.filter(move |(name, _)| may_be_one(name, id)).map(|(_, place)| *place);
        own.into_iter().chain(alike).chain(named)
    }

    /// Somebody is called otherwise from now on.
    pub(super) fn rename(&mut self, place: Place, (before, after): (&[Box<str>], &[Box<str>])) {
        for name in before {
            if let Some(called) = self.by_other_names.get_mut(&hash(name)) {
                called.retain(|(other, of)| *of != place || other != name);
                if called.is_empty() {
                    self.by_other_names.remove(&hash(name));
                }
            }
        }
        for name in after {
            self.by_other_names.entry(hash(name)).or_default().push((name.clone(), place));
        }
    }
}

/// The other names of an entry.
pub(super) fn other_names(person: &Person) -> Box<[Box<str>]> {
    let names = person.known_as.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
    names.map(Box::from).collect()
}

/// Equal for all spellings of an id.
pub(super) fn hash(id: &str) -> u64 {
    // Stable and unseeded: the ids come from the organisation's own directory, not from strangers.
    xxhash_rust::xxh3::xxh3_64(stem(id).as_bytes())
}

/// What all spellings of an id have in common: the name without its domain, in small letters.
fn stem(id: &str) -> Cow<'_, str> {
    let account = account(id);
    let name = account.split_once('@').map_or(account, |(name, _)| name).trim_end();
    if name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.to_lowercase())
}

/// Whether two ids may be one person's: equal but for the case, once `domain\` before them is left out, and what
/// stands behind `@` where only one of them has it.
fn may_be_one(one: &str, other: &str) -> bool {
    let behind = |id: &str| account(id).split_once('@').map(|(_, domain)| domain.trim().to_lowercase());
    let domains = behind(one).zip(behind(other));
    stem(one) == stem(other) && domains.is_none_or(|(one, other)| one == other)
}

/// An id without `domain\` before it.
fn account(id: &str) -> &str {
    id.rsplit_once('\\').map_or(id, |(_, account)| account).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_id_are_one_person_and_other_accounts_are_not() {
        for (one, other, same) in [
            ("tberger", "tberger", true),
            (" TBerger ", "tberger", true),
            ("ACME\\TBerger", "tberger", true),
            ("tberger@acme.example", "tberger", true),
            ("tberger@Content Server Members", "TBERGER@content server members", true),
            ("acme\\tberger", "tberger@members", true),
            ("ÄNNE", "änne", true),
            ("tberger@acme", "tberger@globex", false),
            ("tberger", "tom.berger", false),
            ("berger", "tberger", false),
        ] {
            assert_eq!(may_be_one(one, other), same, "{one} and {other}");
            assert_eq!(may_be_one(other, one), same, "{other} and {one}");
            assert!(!same || stem(one) == stem(other), "{one} and {other}");
        }
    }
}
