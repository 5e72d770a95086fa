//! People: everybody's entries, and who an audience names now.
//!
//! Tenant by tenant: each has its own roster and an audience is evaluated inside one of them, so a
//! user id that two tenants share is two people. Nothing here knows where the entries came from.

use std::borrow::Cow;

use hashbrown::HashMap;
use roaring::RoaringBitmap;

use super::resolve::first_empty;
use super::roster::{Roster, State};
use super::table::Place;
use super::wishes::Wishes;
use super::zones::Zones;
use crate::event::audience::{Bound, BoundAudience, Table};
use crate::event::{Members, Person, Reason, Timestamp};

/// The kind of scope that says of whoever it is named for, by its one member, that they have no device.
pub const NO_DEVICE: &str = "no_device";

/// The people of all tenants.
#[derive(Debug, Default)]
pub struct People {
    tenants: HashMap<String, Roster>,
    zones: Zones,
    /// How late it is.
    now: Timestamp,
    /// How often it became otherwise who is away, without anybody's entry changing.
    turns: u64,
}

/// What the tables say about one person.
#[derive(Clone, Copy)]
pub struct Entry<'p> {
    roster: &'p Roster,
    place: Place,
}

/// Who an audience names now.
pub struct Resolved<'p> {
    told: Vec<Entry<'p>>,
    no_channel: Vec<Entry<'p>>,
    no_device: Vec<Entry<'p>>,
    nobody: Option<Nobody>,
    /// Whether the fallback names them: known of what [`People::resolve_asked`] found.
    pub by_fallback: bool,
}

/// Why an audience names nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nobody {
    /// The placeholder or relation named here had no value.
    PlaceholderEmpty(String),
    /// Nobody fits.
    Nobody,
}

/// Everybody an audience names person by person.
fn persons<'b>(bound: &'b Bound, ids: &mut Vec<&'b String>) {
    match bound {
        Bound::In(Table::Person, named) => ids.extend(named),
        Bound::All(parts) | Bound::Any(parts) => parts.iter().for_each(|part| persons(part, ids)),
        Bound::SupervisorOf(of) | Bound::BackupOf(of) | Bound::Not(of) => persons(of, ids),
        Bound::Empty(_) | Bound::In(..) | Bound::Member(..) => {}
    }
}

// === impl People ===

impl People {
    /// Nobody yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Nobody yet; who names no zone that is known is where their tenant is.
    #[must_use]
    pub fn in_zones(zones: Zones) -> Self {
        Self { zones, ..Self::default() }
    }

    /// Sets what is known of a person.
    pub fn apply(&mut self, person: &Person) {
        self.roster(&person.tenant).apply(person);
    }

    /// It is so late: whose absence begins or ends by then is away, or back. Time does not go back.
    pub fn pass(&mut self, now: Timestamp) {
        if now > self.now {
            self.now = now;
            let moved = self.tenants.values_mut().filter_map(|roster| roster.pass(now).then_some(())).count();
            self.turns += u64::from(moved > 0);
        }
    }

    /// How often time alone has changed who is away: what was found out before the last of them is old.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// Forgets a person.
    pub fn remove(&mut self, tenant: &str, user_id: &str) {
        if let Some(roster) = self.tenants.get_mut(tenant.trim()) {
            roster.remove(user_id);
        }
    }

    /// Sets who belongs to a scope in a role.
    pub fn apply_members(&mut self, members: &Members) {
        self.roster(&members.tenant).apply_members(members);
    }

    /// Forgets who belongs to a scope in a role; `members.user_ids` does not matter.
    pub fn remove_members(&mut self, members: &Members) {
        if let Some(roster) = self.tenants.get_mut(members.tenant.trim()) {
            roster.apply_members(&Members { user_ids: Vec::new(), ..members.clone() });
        }
    }

    /// Those whom `never` names person by person and whom nobody with an entry is called: whether they are among
    /// those who are told nobody can say.
    #[must_use]
    pub fn strangers(&self, tenant: &str, audience: &BoundAudience) -> Vec<String> {
        let (roster, mut ids) = (self.roster_of(tenant), Vec::new());
        audience.never.iter().for_each(|never| persons(never, &mut ids));
        let is_stranger =
            |id: &&String| roster.is_none_or(|roster| roster.called(id.trim()).next().is_none());
        ids.into_iter().filter(is_stranger).cloned().collect()
    }

    /// Who `audience` names in `tenant` now, by user id.
    ///
    /// With `channels` (such as `mobile`) only who may be reached through one of them is told. An
    /// external is only ever told through an approved channel; the others are set apart.
    #[must_use]
    pub fn resolve(&self, tenant: &str, audience: &BoundAudience, channels: &[String]) -> Resolved<'_> {
        let members = self.roster_of(tenant).map(|roster| (roster, roster.members(audience)));
        Resolved::of(members.as_ref().map(|(roster, set)| (*roster, set)), audience, channels)
    }

    /// Whether [`Self::resolve`] names this person now, channels aside. Cheap for one person, except
    /// that an audience with a fallback is resolved to see whether the fallback is asked.
    #[must_use]
    pub fn holds(&self, tenant: &str, audience: &BoundAudience, user_id: &str) -> bool {
        self.ask(tenant, user_id, |roster, place| roster.holds(audience, place))
    }

    /// Whether somebody whom the audience named earlier may still be told. The test at release: who was
    /// named as a fallback or as a deputy does not drop out because the first choice is back, for then
    /// nobody would be told. Whoever [`Self::holds`] holds, belongs.
    #[must_use]
    pub fn belongs(&self, tenant: &str, audience: &BoundAudience, user_id: &str) -> bool {
        self.ask(tenant, user_id, |roster, place| roster.belongs(audience, place))
    }

    /// Everybody active under an expression's names, externals of all parties included and without
    /// deputies, by user id. For showing what the directory holds; never for telling anybody.
    #[must_use]
    pub fn listed(&self, tenant: &str, bound: &Bound) -> Vec<Entry<'_>> {
        let Some(roster) = self.tenants.get(tenant.trim()) else { return Vec::new() };
        let mut entries: Vec<Entry<'_>> = Entry::all(roster, &roster.listed(bound)).collect();
        entries.sort_unstable_by_key(Entry::user_id);
        entries
    }

    /// One person's entry, active or not.
    #[must_use]
    pub fn get(&self, tenant: &str, user_id: &str) -> Option<Entry<'_>> {
        let roster = self.tenants.get(tenant.trim())?;
        let place = roster.find(user_id.trim())?;
        (roster.facts(place).state != State::Unknown).then_some(Entry { roster, place })
    }

    /// The tenants somebody was ever known of, in order.
    #[must_use]
    pub fn tenants(&self) -> Vec<&str> {
        let mut tenants: Vec<&str> = self.tenants.keys().map(String::as_str).collect();
        tenants.sort_unstable();
        tenants
    }

    /// How many people have an entry.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.tenants.values().map(|roster| roster.known.len()).sum()
    }

    /// How many people's entries name a time zone that nobody knows.
    #[must_use]
    pub fn zoneless(&self) -> u64 {
        self.tenants.values().map(|roster| roster.zoneless.len()).sum()
    }

    /// The names of a table that an active person stands under, in order, and how many do. Persons
    /// have no names but their ids: none for [`Table::Person`].
    #[must_use]
    pub fn names(&self, tenant: &str, table: Table) -> Vec<(&str, u64)> {
        let Some(roster) = self.tenants.get(tenant.trim()) else { return Vec::new() };
        let mut names: Vec<(&str, u64)> = match table {
            Table::Role => roster.roles.held().collect(),
            Table::Location => roster.locations.table().held().collect(),
            Table::Unit => roster.units.table().held().collect(),
            Table::Party => roster.parties.held().collect(),
            Table::Person => Vec::new(),
        };
        names.sort_unstable();
        names
    }

    pub(super) fn roster_of(&self, tenant: &str) -> Option<&Roster> {
        self.tenants.get(tenant.trim())
    }

    fn roster(&mut self, tenant: &str) -> &mut Roster {
        let (tenant, zones) = (tenant.trim(), &self.zones);
        let roster = self.tenants.entry_ref(tenant).or_insert_with(|| Roster::new(zones.of(tenant).clone()));
        roster.pass(self.now);
        roster
    }

    fn ask(&self, tenant: &str, user_id: &str, test: impl Fn(&Roster, Place) -> bool) -> bool {
        let Some(roster) = self.tenants.get(tenant.trim()) else { return false };
        roster.find(user_id.trim()).is_some_and(|place| test(roster, place))
    }
}

// === impl Entry ===

impl<'p> Entry<'p> {
    fn all(roster: &'p Roster, set: &RoaringBitmap) -> impl Iterator<Item = Self> {
        set.iter().filter_map(Place::of).map(move |place| Self { roster, place })
    }

    /// Unique in the tenant.
    #[must_use]
    pub fn user_id(&self) -> &'p str {
        self.roster.user_id(self.place)
    }

    /// Whether the person may be told anything.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.roster.facts(self.place).state == State::Active
    }

    /// Whether the deputies are told instead.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.roster.absent.contains(self.place.bit())
    }

    /// BCP 47; the tenant's default when absent.
    #[must_use]
    pub fn locale(&self) -> Option<&'p str> {
        self.roster.facts(self.place).locale.map(|id| self.roster.text(id))
    }

    /// What the person does not wish, if anything.
    #[must_use]
    pub fn wishes(&self) -> Option<&'p Wishes> {
        self.roster.facts(self.place).wishes.as_deref()
    }

    /// IANA name of the device's zone, or the person's own; the tenant's default when absent.
    #[must_use]
    pub fn zone(&self) -> Option<&'p str> {
        self.roster.facts(self.place).zone.map(|id| self.roster.text(id))
    }

    /// The external party; staff have none.
    #[must_use]
    pub fn party(&self) -> Option<&'p str> {
        self.roster.facts(self.place).party.map(|id| self.roster.parties.text(id))
    }

    /// The roles held, also by somebody inactive.
    pub fn roles(&self) -> impl Iterator<Item = &'p str> + use<'p> {
        self.roster.role_names(self.place)
    }

    /// The approved channels; none: all for staff, none for externals.
    pub fn channels(&self) -> impl Iterator<Item = &'p str> + use<'p> {
        self.roster.channels(self.place)
    }

    /// Whether the push service said that their last device is gone.
    #[must_use]
    pub fn has_no_device(&self) -> bool {
        let marked = self.roster.members.get(NO_DEVICE);
        marked.is_some_and(|people| people.contains_key(self.user_id()))
    }

    fn may_use(&self, wanted: &[String]) -> bool {
        let mut approved = self.channels().peekable();
        match (approved.peek().is_some(), self.party().is_some()) {
            (false, external) => !external,
            (true, _) => {
                wanted.is_empty() || approved.any(|channel| wanted.iter().any(|name| name == channel))
            }
        }
    }
}

impl std::fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.user_id())
    }
}

// === impl Resolved ===

impl<'p> Resolved<'p> {
    /// These members of an audience, in the order of their ids, apart by whether a channel reaches them.
    pub(super) fn of(
        members: Option<(&'p Roster, &RoaringBitmap)>,
        audience: &BoundAudience,
        channels: &[String],
    ) -> Self {
        let mut told: Vec<Entry<'p>> =
            members.into_iter().flat_map(|(roster, set)| Entry::all(roster, set)).collect();
        told.sort_unstable_by_key(Entry::user_id);
        let (told, no_channel): (Vec<_>, Vec<_>) =
            told.into_iter().partition(|entry| entry.may_use(channels));
        let (no_device, told): (Vec<_>, Vec<_>) = told.into_iter().partition(Entry::has_no_device);
        let is_nobody = told.is_empty() && no_channel.is_empty() && no_device.is_empty();
        let nobody = is_nobody.then(|| Nobody::because(audience));
        Self { told, no_channel, no_device, nobody, by_fallback: false }
    }

    /// Those to tell, by user id.
    pub fn iter(&self) -> impl Iterator<Item = &Entry<'p>> {
        self.told.iter()
    }

    /// Those who belong but have no approved channel, by user id.
    pub fn no_channel(&self) -> impl Iterator<Item = &Entry<'p>> {
        self.no_channel.iter()
    }

    /// Those who belong and have no device, by user id.
    pub fn no_device(&self) -> impl Iterator<Item = &Entry<'p>> {
        self.no_device.iter()
    }

    /// Why nobody belongs; `None` when somebody does, be it without a channel.
    #[must_use]
    pub fn nobody(&self) -> Option<&Nobody> {
        self.nobody.as_ref()
    }

    /// How many to tell.
    #[must_use]
    pub fn len(&self) -> usize {
        self.told.len()
    }

    /// Whether there is nobody to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }
}

// === impl Nobody ===

impl Nobody {
    fn because(audience: &BoundAudience) -> Self {
        let parts = [Some(&audience.tell), audience.fallback.as_ref(), audience.never.as_ref()];
        match parts.into_iter().flatten().find_map(first_empty) {
            Some(path) => Self::PlaceholderEmpty(path.to_owned()),
            None => Self::Nobody,
        }
    }

    /// The verdict's reason.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::PlaceholderEmpty(_) => Reason::PlaceholderEmpty,
            Self::Nobody => Reason::Nobody,
        }
    }

    /// The fact, for a person.
    #[must_use]
    pub fn text(&self) -> Cow<'static, str> {
        match self {
            Self::PlaceholderEmpty(path) => Cow::Owned(format!("`{path}` has no value in this event")),
            Self::Nobody => Cow::Borrowed("nobody fits"),
        }
    }
}
