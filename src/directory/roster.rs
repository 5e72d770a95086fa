//! Roster: the people of one tenant, laid out so that a set of them is a bitmap.
//!
//! A tenant's roster knows no other tenant: its bitmaps, complements included, cannot name a stranger.
//! Somebody inactive holds no role, location, unit or party and no place in `staff` or `externals`;
//! only their id, their manager and their deputies are still known, so that an escalation for a person
//! who left still finds whom to tell.

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashTable};
use jiff::tz::TimeZone;
use roaring::RoaringBitmap;

use super::absence::Absence;
use super::identity::{hash, other_names};
use super::table::{NameId, Names, Place, Table, Tree, point};
use super::wishes::Wishes;
use super::zones::{self, text};
use crate::event::{Members, Person, Timestamp};

/// The people of one tenant.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// Of who names none that is known.
    zone: Option<TimeZone>,
    seats: Vec<Seat>,
    free: Vec<Place>,
    pub(super) by_id: HashTable<Place>,
    /// Whom other names than their id call, by what all spellings of one have in common.
    pub(super) by_other_names: HashMap<u64, Vec<(Box<str>, Place)>>,
    texts: Names,
    pub(super) roles: Table,
    pub(super) parties: Table,
    pub(super) locations: Tree,
    pub(super) units: Tree,
    /// Everybody with an entry, active or not.
    pub(super) known: RoaringBitmap,
    /// Active, without a party.
    pub(super) staff: RoaringBitmap,
    /// Active, with a party.
    pub(super) externals: RoaringBitmap,
    /// Active and away now.
    pub(super) absent: RoaringBitmap,
    /// Whose entry names a zone that nobody knows.
    pub(super) zoneless: RoaringBitmap,
    /// How late it is, for those who are away by dates.
    now: Timestamp,
    /// Who leaves or comes back, and when, of what lies ahead.
    turns: BTreeSet<(Timestamp, Place)>,
    reports: HashMap<Place, RoaringBitmap>,
    stands_for: HashMap<Place, RoaringBitmap>,
    pub(super) members: HashMap<String, HashMap<String, Vec<Group>>>,
}

/// One user id: an entry, or only a name somebody's entry or membership refers to.
#[derive(Debug, Default)]
struct Seat {
    user_id: Box<str>,
    /// How many entries and memberships refer to it; an empty seat goes when nobody does.
    mentions: u32,
    facts: Facts,
}

/// What an entry says, in numbers.
#[derive(Debug, Default, Clone)]
pub(super) struct Facts {
    pub(super) state: State,
    absent: bool,
    absence: Option<Absence>,
    pub(super) party: Option<NameId>,
    location: Option<NameId>,
    unit: Option<NameId>,
    pub(super) locale: Option<NameId>,
    pub(super) zone: Option<NameId>,
    is_zoneless: bool,
    channels: Option<NameId>,
    pub(super) manager: Option<Place>,
    roles: Box<[NameId]>,
    pub(super) deputies: Box<[Place]>,
    pub(super) wishes: Option<Box<Wishes>>,
    other_names: Box<[Box<str>]>,
}

/// Whether somebody may be told at all.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Only mentioned.
    #[default]
    Unknown,
    /// Has an entry, may not be told.
    Inactive,
    /// May be told.
    Active,
}

/// The members of one scope in one role.
#[derive(Debug)]
pub(super) struct Group {
    role: Box<str>,
    places: Box<[Place]>,
}

const BETWEEN_CHANNELS: char = '\u{1f}';

// === impl Roster ===

impl Roster {
    /// Nobody yet; who names no zone that is known is in this one.
    pub(super) fn new(zone: TimeZone) -> Self {
        Self { zone: Some(zone), ..Self::default() }
    }

    pub(super) fn find(&self, user_id: &str) -> Option<Place> {
        self.by_id.find(hash(user_id), |place| &*self.seats[place.index()].user_id == user_id).copied()
    }

    pub(super) fn facts(&self, place: Place) -> &Facts {
        &self.seats[place.index()].facts
    }

    pub(super) fn user_id(&self, place: Place) -> &str {
        &self.seats[place.index()].user_id
    }

    pub(super) fn text(&self, id: NameId) -> &str {
        self.texts.text(id)
    }

    pub(super) fn channels(&self, place: Place) -> impl Iterator<Item = &str> {
        let channels = self.facts(place).channels.map(|id| self.texts.text(id));
        channels.into_iter().flat_map(|channels| channels.split(BETWEEN_CHANNELS))
    }

    pub(super) fn role_names(&self, place: Place) -> impl Iterator<Item = &str> {
        self.facts(place).roles.iter().map(|role| self.roles.text(*role))
    }

    /// Those whose manager stands at `place`.
    pub(super) fn reports(&self, place: Place) -> impl Iterator<Item = Place> {
        self.reports.get(&place).into_iter().flatten().filter_map(Place::of)
    }

    /// Those whom the person at `place` stands in for.
    pub(super) fn principals(&self, place: Place) -> impl Iterator<Item = Place> {
        self.stands_for.get(&place).into_iter().flatten().filter_map(Place::of)
    }

    /// The members of some scopes in some roles; no role named is every role.
    pub(super) fn groups<'r>(
        &'r self,
        scope: &str,
        ids: &'r [String],
        roles: &'r [String],
    ) -> impl Iterator<Item = &'r [Place]> {
        let by_id = self.members.get(scope);
        ids.iter()
            .filter_map(move |id| by_id.and_then(|by_id| by_id.get(id.trim())))
            .flatten()
            .filter(move |group| roles.is_empty() || roles.iter().any(|role| role.trim() == &*group.role))
            .map(|group| &*group.places)
    }

    /// Sets what is known of a person.
    pub(super) fn apply(&mut self, person: &Person) {
        let place = self.seat(person.user_id.trim());
        let facts = self.read(person);
        self.settle(place, facts);
    }

    /// Forgets a person. Their id stays while somebody's entry mentions it.
    pub(super) fn remove(&mut self, user_id: &str) {
        if let Some(place) = self.find(user_id.trim()) {
            self.settle(place, Facts::default());
            self.free_if_empty(place);
        }
    }

    /// Sets who belongs to a scope in a role; nobody forgets the group.
    pub(super) fn apply_members(&mut self, members: &Members) {
        let ids = members.user_ids.iter().filter(|id| !id.trim().is_empty());
        let mut places: Vec<Place> = ids.map(|id| self.mention(id)).collect();
        places.sort_unstable();
        let group = Group { role: members.role.trim().into(), places: places.into() };
        let by_id = self.members.entry_ref(members.scope_type.trim()).or_default();
        let groups = by_id.entry_ref(members.scope_id.trim()).or_default();
        let old = groups.iter().position(|old| old.role == group.role).map(|at| groups.swap_remove(at));
        if !group.places.is_empty() {
            groups.push(group);
        }
        if groups.is_empty() {
            by_id.remove(members.scope_id.trim());
        }
        for place in old.iter().flat_map(|old| old.places.iter()) {
            self.unmention(*place);
        }
    }

    /// The seat of a user id, a new one when there is none.
    fn seat(&mut self, user_id: &str) -> Place {
        if let Some(place) = self.find(user_id) {
            return place;
        }
        let seat = Seat { user_id: user_id.into(), ..Seat::default() };
        let place = match self.free.pop() {
            Some(place) => {
                self.seats[place.index()] = seat;
                place
            }
            None => {
                self.seats.push(seat);
                let bit = u32::try_from(self.seats.len()).expect("a tenant has fewer than 2^32 people");
                Place::of(bit).expect("a seat was just pushed")
            }
        };
        let seats = &self.seats;
        self.by_id.insert_unique(hash(user_id), place, |place| hash(&seats[place.index()].user_id));
        place
    }

    fn mention(&mut self, user_id: &str) -> Place {
        let place = self.seat(user_id.trim());
        self.seats[place.index()].mentions += 1;
        place
    }

    fn unmention(&mut self, place: Place) {
        self.seats[place.index()].mentions -= 1;
        self.free_if_empty(place);
    }

    fn free_if_empty(&mut self, place: Place) {
        let seat = &self.seats[place.index()];
        if seat.mentions > 0 || seat.facts.state != State::Unknown {
            return;
        }
        if let Ok(entry) = self.by_id.find_entry(hash(&seat.user_id), |other| *other == place) {
            entry.remove();
        }
        self.seats[place.index()] = Seat::default();
        self.free.push(place);
    }

    fn read(&mut self, person: &Person) -> Facts {
        // Nobody stands above or in for themselves.
        let other = |id: &&str| !id.is_empty() && *id != person.user_id.trim();
        let deputies = person.deputies.iter().map(|id| id.trim()).filter(other);
        let mut deputies: Vec<Place> = deputies.map(|id| self.mention(id)).collect();
        deputies.sort_unstable();
        let manager = person.manager.as_deref().map(str::trim).filter(other);
        let roles = person.roles.iter().map(|role| role.trim()).filter(|role| !role.is_empty());
        let mut roles: Vec<NameId> = roles.map(|role| self.roles.id(role)).collect();
        roles.sort_unstable();
        roles.dedup();
        let at = &person.location;
        let levels = [&at.country, &at.region, &at.locality, &at.site];
        let channels =
            person.channels.iter().map(|channel| channel.trim()).filter(|channel| !channel.is_empty());
        let channels: Vec<&str> = channels.collect();
        let channels = channels.join(&BETWEEN_CHANNELS.to_string());
        Facts {
            state: if person.active { State::Active } else { State::Inactive },
            absent: person.absent,
            absence: Absence::of(person, self.zone.as_ref()),
            // A party without a name is still a party: who has one is never taken for staff.
            party: person.party.as_deref().map(|party| self.parties.id(party.trim())),
            location: self.locations.leaf(levels.into_iter().filter_map(Option::as_deref)),
            unit: self.units.leaf(person.business_unit.iter().map(String::as_str)),
            locale: text(&person.locale).map(|locale| self.texts.id(locale)),
            zone: zones::known(person).map(|zone| self.texts.id(zone)),
            is_zoneless: zones::unknown(person).next().is_some(),
            channels: (!channels.is_empty()).then(|| self.texts.id(&channels)),
            manager: manager.map(|id| self.mention(id)),
            roles: roles.into(),
            deputies: deputies.into(),
            wishes: Wishes::of(person).map(Box::new),
            other_names: other_names(person),
        }
    }

    /// Puts new facts in place of the old and touches only the bitmaps that differ.
    fn settle(&mut self, place: Place, new: Facts) {
        let old = std::mem::take(&mut self.seats[place.index()].facts);
        for turn in old.absence.into_iter().flat_map(Absence::turns) {
            self.turns.remove(&(turn, place));
        }
        let ahead = new.absence.into_iter().flat_map(Absence::turns).filter(|turn| *turn > self.now);
        self.turns.extend(ahead.map(|turn| (turn, place)));
        self.mark(place, &new);
        let (was, is) = (Listed::of(&old), Listed::of(&new));
        move_in(was.location, is.location, |leaf, stays| match stays {
            true => self.locations.insert(leaf, place),
            false => self.locations.remove(leaf, place),
        });
        move_in(was.unit, is.unit, |leaf, stays| match stays {
            true => self.units.insert(leaf, place),
            false => self.units.remove(leaf, place),
        });
        move_in(was.party, is.party, |party, stays| match stays {
            true => self.parties.insert(party, place),
            false => self.parties.remove(party, place),
        });
        for role in was.roles.iter().filter(|role| is.roles.binary_search(role).is_err()) {
            self.roles.remove(*role, place);
        }
        for role in is.roles.iter().filter(|role| was.roles.binary_search(role).is_err()) {
            self.roles.insert(*role, place);
        }
        if old.manager != new.manager {
            point(&mut self.reports, old.manager.as_slice(), new.manager.as_slice(), place);
        }
        if old.deputies != new.deputies {
            point(&mut self.stands_for, &old.deputies, &new.deputies, place);
        }
        if old.other_names != new.other_names {
            self.rename(place, (&old.other_names, &new.other_names));
        }
        self.seats[place.index()].facts = new;
        for mentioned in old.manager.iter().chain(&*old.deputies) {
            self.unmention(*mentioned);
        }
    }

    /// It is so late: who leaves or comes back by then has. Says whether anybody did. Time does not go back.
    pub(super) fn pass(&mut self, now: Timestamp) -> bool {
        self.now = self.now.max(now);
        let mut moved = false;
        while let Some((_, place)) = self.turns.first().copied().filter(|(turn, _)| *turn <= self.now) {
            self.turns.pop_first();
            let is_away = self.facts(place).is_away(self.now);
            let absent = &mut self.absent;
            moved |= if is_away { absent.insert(place.bit()) } else { absent.remove(place.bit()) };
        }
        moved
    }

    fn mark(&mut self, place: Place, facts: &Facts) {
        let active = facts.state == State::Active;
        let external = facts.party.is_some();
        for (set, belongs) in [
            (&mut self.known, facts.state != State::Unknown),
            (&mut self.staff, active && !external),
            (&mut self.externals, active && external),
            (&mut self.absent, facts.is_away(self.now)),
            (&mut self.zoneless, facts.is_zoneless),
        ] {
            if belongs {
                set.insert(place.bit())
            } else {
                set.remove(place.bit())
            };
        }
    }
}

// === impl Facts ===

impl Facts {
    fn is_away(&self, now: Timestamp) -> bool {
        let by_dates = || self.absence.is_some_and(|absence| absence.holds(now));
        self.state == State::Active && (self.absent || by_dates())
    }
}

/// The part of the facts that only active people are listed under.
#[derive(Default)]
struct Listed<'f> {
    location: Option<NameId>,
    unit: Option<NameId>,
    party: Option<NameId>,
    roles: &'f [NameId],
}

// === impl Listed ===

impl<'f> Listed<'f> {
    fn of(facts: &'f Facts) -> Self {
        match facts.state {
            State::Active => {
                Self { location: facts.location, unit: facts.unit, party: facts.party, roles: &facts.roles }
            }
            State::Inactive | State::Unknown => Self::default(),
        }
    }
}

fn move_in(was: Option<NameId>, is: Option<NameId>, mut step: impl FnMut(NameId, bool)) {
    if was == is {
        return;
    }
    if let Some(was) = was {
        step(was, false);
    }
    if let Some(is) = is {
        step(is, true);
    }
}
