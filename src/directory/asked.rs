//! Asked: by which term each of an audience's people came in, and by which others were kept out.
//!
//! It decides nothing: whom an audience names is `resolve`'s word, and everything here is laid out around
//! that answer. Whoever misses more than one term was never near and is not spoken of.

use std::borrow::Cow;

use roaring::RoaringBitmap;

use super::People;
use super::people::Resolved;
use super::resolve::{Doubt, Stages};
use super::roster::Roster;
use super::table::Place;
use crate::event::Asked;
use crate::event::asked::{How, Standing};
use crate::event::audience::{Bound, BoundAudience, Table};

/// The most names of one term that are told apart.
const MOST_APART: usize = 8;
/// The most bytes of an expression that are kept.
const MOST_TEXT: usize = 1_000;

// === impl People ===

impl People {
    /// Whom an audience means now, by which terms, and whom it nearly meant. Groups of at most `most` people
    /// are named.
    #[must_use]
    pub fn asked(&self, tenant: &str, audience: &BoundAudience, most: usize) -> Asked {
        self.resolve_asked((tenant, audience), &[], most).1
    }

    /// [`Self::resolve`] and [`Self::asked`] in one.
    #[must_use]
    pub fn resolve_asked(
        &self,
        (tenant, audience): (&str, &BoundAudience),
        channels: &[String],
        most: usize,
    ) -> (Resolved<'_>, Asked) {
        let Some(roster) = self.roster_of(tenant) else {
            return (Resolved::of(None, audience, channels), Asked::of(audience, Vec::new()));
        };
        let stages = roster.stages(audience);
        let mut asked = Asked::of(audience, roster.apart((audience, &stages), None, most));
        let strangers = self.strangers(tenant, audience);
        if !strangers.is_empty() {
            asked.audience = short(format!("{} (nobody is called {})", asked.audience, strangers.join(", ")));
        }
        let mut found = Resolved::of(Some((roster, &stages.told)), audience, channels);
        found.by_fallback = is_fallback(audience, &stages);
        (found, asked)
    }

    /// The same, of these people alone: for the few that are no longer among many.
    #[must_use]
    pub fn asked_of(&self, tenant: &str, audience: &BoundAudience, user_ids: &[&str], most: usize) -> Asked {
        let groups = self.roster_of(tenant).map(|roster| {
            let wanted = user_ids.iter().filter_map(|id| roster.find(id.trim())).map(Place::bit).collect();
            roster.apart((audience, &roster.stages(audience)), Some(&wanted), most)
        });
        let mut asked = Asked::of(audience, groups.unwrap_or_default());
        let placed: u32 = asked.groups.iter().map(|group| group.count).sum();
        let rest = u32::try_from(user_ids.len()).unwrap_or(u32::MAX).saturating_sub(placed);
        if rest > 0 {
            let is_new = |id: &&&str| asked.standing_of(id).is_none();
            let people = user_ids.iter().filter(is_new).take(most).map(|id| (*id).to_owned()).collect();
            let term = match asked.audience.contains(' ') {
                true => format!("({})", asked.audience),
                false => asked.audience.clone(),
            };
            asked.groups.push(Standing { how: How::Lacks, term, count: rest, people });
        }
        asked
    }
}

/// Whether it was the fallback that was asked.
fn is_fallback(audience: &BoundAudience, stages: &Stages<'_>) -> bool {
    !std::ptr::eq(stages.bound, &raw const audience.tell)
}

// === impl Asked ===

impl Asked {
    fn of(audience: &BoundAudience, groups: Vec<Standing>) -> Self {
        Self { audience: short(audience.to_string()), directory: Vec::new(), groups }
    }
}

// === impl Roster ===

impl Roster {
    /// Everybody an audience came near, or those of them that are wanted; few of a group are named.
    fn apart(
        &self,
        (audience, stages): (&BoundAudience, &Stages<'_>),
        wanted: Option<&RoaringBitmap>,
        most: usize,
    ) -> Vec<Standing> {
        let mut groups = Vec::new();
        for (how, term, mut set) in self.standings(audience, stages) {
            if let Some(wanted) = wanted {
                set &= wanted;
            }
            let count = u32::try_from(set.len()).unwrap_or(u32::MAX);
            let mut people = Vec::new();
            if count as usize <= most {
                people.extend(set.iter().filter_map(Place::of).map(|place| self.user_id(place).to_owned()));
                people.sort_unstable();
            }
            if count > 0 {
                groups.push(Standing { how, term, count, people });
            }
        }
        groups
    }

    /// Everybody an audience came near, each in one set.
    fn standings(&self, audience: &BoundAudience, stages: &Stages<'_>) -> Vec<(How, String, RoaringBitmap)> {
        let mut sorted = Sorted::default();
        let Stages { bound, named: chosen, border, told } = stages;
        let how = if is_fallback(audience, stages) { How::Fallback } else { How::Named };
        for (term, set) in self.split(bound, border) {
            sorted.put(how, term, set.map_or_else(|| chosen & told, |set| set & chosen & told));
        }
        sorted.put(how, text(bound), chosen & told);
        self.deputies((chosen, border), told, &mut sorted);
        if let Some(never) = &audience.never {
            let parts = match never {
                Bound::Any(parts) => parts.as_slice(),
                only => std::slice::from_ref(only),
            };
            for part in parts {
                // A deputy may be taken away as well as who is meant.
                let near = chosen | self.stand_ins(chosen);
                sorted.put(How::Never, text(part), (self.set(part, Doubt::In, &self.known) & near) - told);
            }
        }
        let active = match self.externals.is_empty() {
            true => Cow::Borrowed(&self.staff),
            false => Cow::Owned(&self.staff | &self.externals),
        };
        let meant = self.set(bound, Doubt::Out, &active);
        sorted.put(How::Inactive, String::new(), &meant - &*active);
        sorted.put(How::Outside, String::new(), (&meant & &self.externals) - &**border);
        for part in alternatives(bound) {
            self.near(part, (border, told), &mut sorted);
        }
        sorted.sets
    }

    /// Who is away, and who stands in for whom.
    fn deputies(
        &self,
        (chosen, border): (&RoaringBitmap, &RoaringBitmap),
        told: &RoaringBitmap,
        sorted: &mut Sorted,
    ) {
        let away = (chosen & &self.absent) - told;
        for place in away.iter().filter_map(Place::of) {
            let deputies = self.standing_in(place, |deputy| border.contains(deputy.bit()));
            let deputies: RoaringBitmap = deputies.map(Place::bit).collect();
            if deputies.is_empty() {
                continue;
            }
            let person = Bound::In(Table::Person, vec![self.user_id(place).to_owned()]);
            let term = Bound::BackupOf(Box::new(person)).to_string();
            sorted.put(How::Deputy, term.clone(), deputies & told);
            sorted.put(How::Away, term, RoaringBitmap::from_iter([place.bit()]));
        }
    }

    fn stand_ins(&self, chosen: &RoaringBitmap) -> RoaringBitmap {
        let away = chosen & &self.absent;
        away.iter()
            .filter_map(Place::of)
            .flat_map(|place| &*self.facts(place).deputies)
            .map(|deputy| deputy.bit())
            .collect()
    }

    /// The terms of an expression that each let somebody in; no set where it is everybody that is left.
    fn split(&self, bound: &Bound, border: &RoaringBitmap) -> Vec<(String, Option<RoaringBitmap>)> {
        match bound {
            Bound::Any(parts) if !parts.is_empty() => parts
                .iter()
                .flat_map(|part| {
                    let whole = || self.set(part, Doubt::Out, border);
                    self.split(part, border)
                        .into_iter()
                        .map(move |(term, set)| (term, Some(set.unwrap_or_else(whole))))
                })
                .collect(),
            Bound::In(table, names) if *table != Table::Person && (2..=MOST_APART).contains(&names.len()) => {
                let one = |name: &String| Bound::In(*table, vec![name.clone()]);
                let one = |name: &String| (text(&one(name)), Some(self.set(&one(name), Doubt::Out, border)));
                names.iter().map(one).collect()
            }
            Bound::All(parts) => {
                let positive: Vec<&Bound> =
                    parts.iter().filter(|part| !matches!(part, Bound::Not(_))).collect();
                let apart = positive.iter().position(|part| splits(part));
                let Some(apart) = apart else { return vec![(joined(&positive), None)] };
                let rest = |term: String| {
                    let mut texts: Vec<String> = positive.iter().map(|part| enclosed(part)).collect();
                    texts[apart] = term;
                    texts.join(" && ")
                };
                let split = self.split(positive[apart], border).into_iter();
                split.map(|(term, set)| (rest(term), set)).collect()
            }
            _ => vec![(text(bound), None)],
        }
    }

    /// Who lacks one term of several, and whom a term under `!` takes away.
    fn near(&self, bound: &Bound, (border, told): (&RoaringBitmap, &RoaringBitmap), sorted: &mut Sorted) {
        let Bound::All(parts) = bound else { return };
        let (barring, positive): (Vec<&Bound>, Vec<&Bound>) =
            parts.iter().partition(|part| matches!(part, Bound::Not(_)));
        let sets: Vec<RoaringBitmap> =
            positive.iter().map(|part| self.set(part, Doubt::Out, border)).collect();
        let all = |without: Option<usize>| {
            let others = sets.iter().enumerate().filter(|(at, _)| Some(*at) != without);
            others.map(|(_, set)| set).fold(None, |all: Option<RoaringBitmap>, set| {
                Some(all.map_or_else(|| set.clone(), |all| all & set))
            })
        };
        if let Some(meant) = all(None) {
            for part in barring {
                let Bound::Not(of) = part else { continue };
                sorted.put(How::Barred, text(part), (&meant & self.set(of, Doubt::In, border)) - told);
            }
        }
        for (at, part) in positive.iter().enumerate().filter(|_| positive.len() > 1) {
            if let Some(others) = all(Some(at)) {
                sorted.put(How::Lacks, enclosed(part), ((others - &sets[at]) & border) - told);
            }
        }
    }
}

/// People already placed, so that each stands in one group.
#[derive(Default)]
struct Sorted {
    sets: Vec<(How, String, RoaringBitmap)>,
    placed: RoaringBitmap,
}

// === impl Sorted ===

impl Sorted {
    fn put(&mut self, how: How, term: String, set: RoaringBitmap) {
        let new = set - &self.placed;
        if new.is_empty() {
            return;
        }
        self.placed |= &new;
        match self.sets.iter_mut().find(|(other, text, _)| *other == how && *text == term) {
            Some((.., set)) => *set |= new,
            None => self.sets.push((how, short(term), new)),
        }
    }
}

fn alternatives(bound: &Bound) -> &[Bound] {
    match bound {
        Bound::Any(parts) => parts,
        only => std::slice::from_ref(only),
    }
}

fn splits(bound: &Bound) -> bool {
    match bound {
        Bound::Any(parts) => parts.len() > 1,
        Bound::In(table, names) => *table != Table::Person && (2..=MOST_APART).contains(&names.len()),
        _ => false,
    }
}

/// A term's text; of people named by their ids the ids are the people themselves.
fn text(bound: &Bound) -> String {
    match bound {
        Bound::In(Table::Person, _) => "person".to_owned(),
        _ => bound.to_string(),
    }
}

fn joined(parts: &[&Bound]) -> String {
    parts.iter().map(|part| enclosed(part)).collect::<Vec<_>>().join(" && ")
}

fn enclosed(bound: &Bound) -> String {
    match bound {
        Bound::Any(parts) | Bound::All(parts) if parts.len() > 1 => format!("({bound})"),
        _ => text(bound),
    }
}

fn short(mut text: String) -> String {
    if text.len() > MOST_TEXT {
        let end = (0..=MOST_TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Person;

    #[test]
    fn a_hundred_thousand_of_a_role_are_one_line_and_the_few_beside_them_have_names() {
        let mut people = People::new();
        for number in 0..100_000 {
            people.apply(&Person {
                tenant: "north".into(),
                user_id: format!("user-{number}"),
                active: true,
                roles: vec!["staff".into()],
                ..Person::default()
            });
        }
        let bound = |table, name: &str| Bound::In(table, vec![name.to_owned()]);
        let audience = BoundAudience {
            tell: bound(Table::Role, "staff"),
            fallback: None,
            never: Some(bound(Table::Person, "user-7")),
        };
        let asked = people.asked("north", &audience, 12);
        let group = |how, term: &str, count, people: &[&str]| Standing {
            how,
            term: term.to_owned(),
            count,
            people: people.iter().map(|id| (*id).to_owned()).collect(),
        };
        let never = group(How::Never, "person", 1, &["user-7"]);
        assert_eq!(asked.groups, [group(How::Named, "role:staff", 99_999, &[]), never]);
        assert!(asked.bytes() < 150, "{asked:?}");
    }
}
