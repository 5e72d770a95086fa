//! Resolve: an audience, evaluated on one roster: as a set, and for one person.
//!
//! What a rule does not know counts for nobody: a term without a value is left out, also under `!`,
//! where it would otherwise let everybody in. So every expression is asked with a [`Doubt`]: who is
//! *surely* meant, or, under `!` and for `never:`, who is *perhaps* meant.
//!
//! **Invariant:** [`Roster::holds`] agrees with [`Roster::members`] for every person; the person lane
//! re-tests with the one what the subject lane decided with the other.

use std::borrow::Cow;

use roaring::RoaringBitmap;

use super::roster::{Roster, State};
use super::table::Place;
use crate::event::audience::{Bound, BoundAudience, Table};

/// How a term without a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// As nobody: who is surely meant.
    Out,
    /// As everybody: who is perhaps meant.
    In,
}

/// How an audience came to its people.
pub(super) struct Stages<'r> {
    /// The expression that was asked: the rule's, or its fallback.
    pub(super) bound: &'r Bound,
    /// Whom it named.
    pub(super) named: RoaringBitmap,
    /// Within which people it was asked.
    pub(super) border: Cow<'r, RoaringBitmap>,
    /// Who is left after deputies and `never`.
    pub(super) told: RoaringBitmap,
}

/// Within which people an expression is evaluated.
enum Border<'b> {
    /// Active staff, and the active externals this expression names by party or in person.
    Of(&'b Bound),
    /// Everybody: for taking away.
    None,
}

// === impl Doubt ===

impl Doubt {
    fn flip(self) -> Self {
        match self {
            Self::Out => Self::In,
            Self::In => Self::Out,
        }
    }
}

// === impl Roster ===

impl Roster {
    /// Those a bound audience names now.
    pub(super) fn members(&self, audience: &BoundAudience) -> RoaringBitmap {
        self.stages(audience).told
    }

    /// The same on the way there: the expression, the fallback when it names nobody, deputies for those
    /// away; then, from everybody of all of them, never, border and active.
    pub(super) fn stages<'r>(&'r self, audience: &'r BoundAudience) -> Stages<'r> {
        let named = self.inside(&audience.tell);
        let (bound, named) = match &audience.fallback {
            Some(fallback) if named.is_empty() => (fallback, self.inside(fallback)),
            _ => (&audience.tell, named),
        };
        let border = self.border(bound);
        let mut chosen = named.clone();
        for place in (&chosen & &self.absent).iter().filter_map(Place::of) {
            let deputies = self.standing_in(place, |deputy| border.contains(deputy.bit()));
            let mut deputies = deputies.peekable();
            if deputies.peek().is_some() {
                chosen.remove(place.bit());
                chosen.extend(deputies.map(Place::bit));
            }
        }
        if let Some(never) = &audience.never {
            chosen -= self.set(never, Doubt::In, &self.known);
        }
        chosen &= &*border;
        Stages { bound, named, border, told: chosen }
    }

    /// Whether [`Self::members`] holds the person at `place`, without making sets unless there is a
    /// fallback.
    pub(super) fn holds(&self, audience: &BoundAudience, place: Place) -> bool {
        let bound = match &audience.fallback {
            Some(fallback) if self.inside(&audience.tell).is_empty() => fallback,
            _ => &audience.tell,
        };
        let border = Border::Of(bound);
        if !self.within(&border, place) || self.is_excluded(audience, place) {
            return false;
        }
        let is_named = |place| self.within(&border, place) && self.names(bound, Doubt::Out, &border, place);
        let is_away = |place: Place| {
            let mut deputies = self.standing_in(place, |deputy| self.within(&border, deputy));
            self.absent.contains(place.bit()) && deputies.next().is_some()
        };
        (is_named(place) && !is_away(place))
            || (!self.absent.contains(place.bit())
                && self.principals(place).any(|of| is_named(of) && is_away(of)))
    }

    /// Whether somebody chosen earlier may still be told: as [`Self::holds`], but who was chosen as a
    /// fallback or a deputy does not drop out because the first choice came back meanwhile.
    pub(super) fn belongs(&self, audience: &BoundAudience, place: Place) -> bool {
        let is_part = |bound: &Bound| {
            let border = Border::Of(bound);
            let is_named =
                |place| self.within(&border, place) && self.names(bound, Doubt::Out, &border, place);
            self.within(&border, place) && (is_named(place) || self.principals(place).any(is_named))
        };
        !self.is_excluded(audience, place)
            && (is_part(&audience.tell) || audience.fallback.as_ref().is_some_and(is_part))
    }

    /// Everybody active under an expression's names, without border and deputies.
    pub(super) fn listed(&self, bound: &Bound) -> RoaringBitmap {
        let active = &self.staff | &self.externals;
        self.set(bound, Doubt::Out, &active) & active
    }

    fn is_excluded(&self, audience: &BoundAudience, place: Place) -> bool {
        let never = audience.never.as_ref();
        never.is_some_and(|never| self.names(never, Doubt::In, &Border::None, place))
    }

    fn inside(&self, bound: &Bound) -> RoaringBitmap {
        let border = self.border(bound);
        let mut set = self.set(bound, Doubt::Out, &border);
        set &= &*border;
        set
    }

    /// The deputies of somebody away who may be told and are not away themselves. With none, nobody
    /// replaces the person.
    pub(super) fn standing_in(
        &self,
        place: Place,
        may: impl Fn(Place) -> bool,
    ) -> impl Iterator<Item = Place> {
        let deputies = self.facts(place).deputies.iter().copied();
        deputies.filter(move |deputy| !self.absent.contains(deputy.bit()) && may(*deputy))
    }

    // --- as a set ---

    fn border(&self, bound: &Bound) -> Cow<'_, RoaringBitmap> {
        let mut invited: Option<RoaringBitmap> = None;
        invitations(bound, true, &mut |table, names| {
            let set = match table {
                Table::Party => self.parties.union(names),
                _ => self.persons(names),
            };
            *invited.get_or_insert_default() |= set;
        });
        match invited {
            None => Cow::Borrowed(&self.staff),
            Some(invited) => Cow::Owned((invited & &self.externals) | &self.staff),
        }
    }

    /// Who an expression means, inside `border`; persons named by id also outside, so that
    /// `supervisor(person:x)` finds the manager of somebody who left.
    pub(super) fn set(&self, bound: &Bound, doubt: Doubt, border: &RoaringBitmap) -> RoaringBitmap {
        if is_blank(bound) {
            return self.doubtful(doubt);
        }
        match bound {
            Bound::Empty(_) => self.doubtful(doubt),
            Bound::In(Table::Person, ids) if doubt == Doubt::In => {
                ids.iter().flat_map(|id| self.called(id.trim())).map(Place::bit).collect()
            }
            Bound::In(Table::Person, ids) => self.persons(ids),
            Bound::In(table, names) => self.table(*table).union(names) & border,
            Bound::Member(scope, ids, roles) => {
                let places = self.groups(scope, ids, roles).flatten();
                places.map(|place| place.bit()).collect::<RoaringBitmap>() & border
            }
            Bound::SupervisorOf(of) | Bound::BackupOf(of) if doubt == Doubt::In && has_blank(of) => {
                self.doubtful(doubt)
            }
            Bound::SupervisorOf(of) => {
                let of = self.set(of, doubt, border);
                let managers = of.iter().filter_map(Place::of).filter_map(|place| self.facts(place).manager);
                managers.map(Place::bit).collect()
            }
            Bound::BackupOf(of) => {
                let of = self.set(of, doubt, border);
                let deputies = of.iter().filter_map(Place::of).flat_map(|place| &*self.facts(place).deputies);
                deputies.map(|place| place.bit()).collect()
            }
            Bound::All(parts) => self.intersection(parts, doubt, border),
            Bound::Any(parts) => {
                let sets = parts.iter().map(|part| self.set(part, doubt, border));
                sets.reduce(|all, set| all | set).unwrap_or_default()
            }
            Bound::Not(of) => border - self.set(of, doubt.flip(), border),
        }
    }

    /// `a && b && !c` without ever making the set `!c`.
    fn intersection(&self, parts: &[Bound], doubt: Doubt, border: &RoaringBitmap) -> RoaringBitmap {
        // Names of tables meet each other before they meet the border: two short lists, most times.
        let mut looked_up: Vec<&RoaringBitmap> = parts.iter().filter_map(|part| self.under(part)).collect();
        looked_up.sort_unstable_by_key(|set| set.len());
        let looked_up = match *looked_up.as_slice() {
            [] => None,
            [only] => Some(only & border),
            [first, second, ref rest @ ..] => {
                Some(rest.iter().fold(first & second, |all, set| all & *set) & border)
            }
        };
        let narrowing =
            parts.iter().filter(|part| !matches!(part, Bound::Not(_)) && self.under(part).is_none());
        let sets = narrowing.map(|part| self.set(part, doubt, border));
        let narrowed = looked_up.into_iter().chain(sets).reduce(|all, set| all & set);
        let mut result = narrowed.unwrap_or_else(|| border.clone());
        let mut has_not = false;
        for part in parts {
            if let Bound::Not(of) = part {
                result -= self.set(of, doubt.flip(), border);
                has_not = true;
            }
        }
        if has_not {
            result &= border;
        }
        result
    }

    /// Who stands under the one name a term looks up in a table, whoever they are.
    fn under(&self, bound: &Bound) -> Option<&RoaringBitmap> {
        match bound {
            Bound::In(Table::Person, _) => None,
            Bound::In(table, names) => match names.as_slice() {
                [only] => self.table(*table).get(only),
                _ => None,
            },
            _ => None,
        }
    }

    fn doubtful(&self, doubt: Doubt) -> RoaringBitmap {
        match doubt {
            Doubt::Out => RoaringBitmap::new(),
            Doubt::In => self.known.clone(),
        }
    }

    fn persons(&self, ids: &[String]) -> RoaringBitmap {
        let places = ids.iter().filter_map(|id| self.find(id.trim()));
        places.map(Place::bit).filter(|bit| self.known.contains(*bit)).collect()
    }

    fn table(&self, table: Table) -> &super::table::Table {
        match table {
            Table::Location => self.locations.table(),
            Table::Unit => self.units.table(),
            Table::Party => &self.parties,
            Table::Role | Table::Person => &self.roles,
        }
    }

    // --- for one person ---

    fn within(&self, border: &Border<'_>, place: Place) -> bool {
        let Border::Of(bound) = border else { return self.known.contains(place.bit()) };
        if self.staff.contains(place.bit()) {
            return true;
        }
        let mut invited = false;
        if self.externals.contains(place.bit()) {
            invitations(bound, true, &mut |table, names| {
                invited |= match table {
                    Table::Party => self.parties.contains(names, place),
                    _ => self.is_named(names, place),
                };
            });
        }
        invited
    }

    fn is_named(&self, ids: &[String], place: Place) -> bool {
        self.facts(place).state != State::Unknown && ids.iter().any(|id| id.trim() == self.user_id(place))
    }

    /// [`Self::set`], for one person.
    fn names(&self, bound: &Bound, doubt: Doubt, border: &Border<'_>, place: Place) -> bool {
        if is_blank(bound) {
            return doubt == Doubt::In;
        }
        match bound {
            Bound::Empty(_) => doubt == Doubt::In,
            Bound::In(Table::Person, ids) if doubt == Doubt::In => {
                ids.iter().any(|id| self.called(id.trim()).any(|called| called == place))
            }
            Bound::In(Table::Person, ids) => self.is_named(ids, place),
            Bound::In(table, names) => {
                self.table(*table).contains(names, place) && self.within(border, place)
            }
            Bound::Member(scope, ids, roles) => {
                let mut groups = self.groups(scope, ids, roles);
                groups.any(|places| places.binary_search(&place).is_ok()) && self.within(border, place)
            }
            Bound::SupervisorOf(of) | Bound::BackupOf(of) if doubt == Doubt::In && has_blank(of) => true,
            Bound::SupervisorOf(of) => {
                self.reports(place).any(|of_whom| self.names(of, doubt, border, of_whom))
            }
            Bound::BackupOf(of) => {
                self.principals(place).any(|of_whom| self.names(of, doubt, border, of_whom))
            }
            Bound::All(parts) => parts.iter().all(|part| self.names(part, doubt, border, place)),
            Bound::Any(parts) => parts.iter().any(|part| self.names(part, doubt, border, place)),
            Bound::Not(of) => self.within(border, place) && !self.names(of, doubt.flip(), border, place),
        }
    }
}

/// Calls `invite` for every `party:` and `person:` that is not negated.
fn invitations(bound: &Bound, positive: bool, invite: &mut impl FnMut(Table, &[String])) {
    match bound {
        Bound::In(table @ (Table::Party | Table::Person), names) if positive => invite(*table, names),
        Bound::In(..) | Bound::Empty(_) | Bound::Member(..) => {}
        Bound::SupervisorOf(of) | Bound::BackupOf(of) => invitations(of, positive, invite),
        Bound::All(parts) | Bound::Any(parts) => {
            parts.iter().for_each(|part| invitations(part, positive, invite));
        }
        Bound::Not(of) => invitations(of, !positive, invite),
    }
}

/// Whether a term names nothing at all: as good as a placeholder without a value.
fn is_blank(bound: &Bound) -> bool {
    match bound {
        Bound::Empty(_) => true,
        Bound::In(_, names) => names.is_empty(),
        Bound::Member(_, ids, _) => ids.is_empty(),
        Bound::All(parts) | Bound::Any(parts) => parts.is_empty(),
        Bound::SupervisorOf(_) | Bound::BackupOf(_) | Bound::Not(_) => false,
    }
}

fn has_blank(bound: &Bound) -> bool {
    is_blank(bound)
        || match bound {
            Bound::All(parts) | Bound::Any(parts) => parts.iter().any(has_blank),
            Bound::SupervisorOf(of) | Bound::BackupOf(of) | Bound::Not(of) => has_blank(of),
            Bound::Empty(_) | Bound::In(..) | Bound::Member(..) => false,
        }
}

/// The first placeholder or relation without a value.
pub(super) fn first_empty(bound: &Bound) -> Option<&str> {
    match bound {
        Bound::Empty(path) => Some(path),
        Bound::All(parts) | Bound::Any(parts) => parts.iter().find_map(first_empty),
        Bound::SupervisorOf(of) | Bound::BackupOf(of) | Bound::Not(of) => first_empty(of),
        Bound::In(..) | Bound::Member(..) => None,
    }
}
