//! Reach: rules that a given directory leaves without anybody to tell.
//!
//! Only what is written in the rule can be looked up here; names that come with an event are known when it
//! comes. So a name nobody stands under is a fault, and so is an audience that nobody could be in whatever the
//! event says.

use crate::directory::{People, parse};
use crate::event::Audience;
use crate::event::audience::{Bound, Piece, Table, Term};

use super::Topology;
use super::fault::{Fault, Faults, Sheet, Spot};
use super::plan::RulePlan;

// === impl Topology ===

impl Topology {
    /// The faults of these rules with `people` as the directory, in reading order; `given` is how a verb is told
    /// to look at the same people.
    #[must_use]
    pub fn reach(&self, people: &People, given: &str) -> Vec<Fault> {
        let mut faults = Faults::default();
        for rule in &self.rules {
            let Some(sheet) = &rule.plan.sheet else { continue };
            let own = rule.plan.tenants.iter().map(String::as_str);
            let tenants = if rule.plan.tenants.is_empty() { people.tenants() } else { own.collect() };
            let look = Look { sheet, people, tenants, given };
            for text in audiences(&rule.plan) {
                if let Ok(audience) = parse(&text.value) {
                    look.at((text, &audience), &mut faults);
                }
            }
        }
        faults.sorted()
    }
}

/// Every text of a rule that names people to tell. `never` may well name nobody.
fn audiences(plan: &RulePlan) -> impl Iterator<Item = &Spot<String>> {
    let steps = plan.escalate.iter().filter_map(|step| step.to.as_ref());
    let ladders = plan.remind.iter().filter_map(|ladder| ladder.to.as_ref());
    let repeat = plan.repeat.iter().filter_map(|repeat| repeat.to.as_ref());
    let closed = plan.closed.iter().filter_map(|closed| closed.to.as_ref());
    let later = steps.chain(ladders).chain(repeat).chain(closed);
    let later = later.filter(|text| !["told", "unanswered"].contains(&text.value.as_str()));
    plan.audience.iter().chain(&plan.fallback).chain(later)
}

/// The people that a rule is held against.
struct Look<'l> {
    sheet: &'l std::sync::Arc<Sheet>,
    people: &'l People,
    /// Rules are shared: what is known to one tenant is known.
    tenants: Vec<&'l str>,
    /// What `bugle directory show` and `bugle audience` are told, to look at them.
    given: &'l str,
}

// === impl Look ===

impl Look<'_> {
    fn at(&self, (text, audience): (&Spot<String>, &Audience), faults: &mut Faults) {
        let mut terms = Vec::new();
        terms_of(audience, &mut terms);
        let strange: Vec<(String, String, String)> =
            terms.iter().filter_map(|(table, term)| self.stranger(*table, term)).collect();
        for (name, fact, hint) in &strange {
            let at = match text.value.find(name) {
                Some(offset) => self.sheet.inside(text, offset, name.len()),
                None => text.at,
            };
            faults.add(self.sheet, at, "nobody-known", (fact.clone(), hint.clone()));
        }
        let nobody =
            |bound: &Bound| self.tenants.iter().all(|tenant| self.people.listed(tenant, bound).is_empty());
        if strange.is_empty() && at_most(audience).is_some_and(|bound| nobody(&bound)) {
            let hint = format!("try it with `bugle audience EXPR {}`, and widen it", self.given);
            let told = ("nobody in the directory is meant by this".to_owned(), hint);
            faults.add(self.sheet, text.at, "nobody", told);
        }
    }

    /// A name that nobody stands under: as it is written, what is wrong with it, and what was meant.
    fn stranger(&self, table: Table, term: &Term) -> Option<(String, String, String)> {
        let advice = || format!("see `bugle directory show {}` for the names there are", self.given);
        if let Some(name) = literal(term) {
            let bound = Bound::In(table, vec![name]);
            let mut unheard = self.tenants.iter().map(|tenant| self.people.unheard(tenant, &bound));
            let stranger = unheard.next()?.into_iter().next()?;
            if unheard.any(|other| other.is_empty()) {
                return None;
            }
            let hint = stranger.hint().unwrap_or_else(advice);
            return Some((stranger.name.clone(), stranger.to_string(), hint));
        }
        let is_written = term.0.iter().any(|piece| matches!(piece, Piece::Literal(_)));
        if !is_written || table == Table::Person || self.tenants.is_empty() {
            return None;
        }
        let known =
            |tenant: &&str| self.people.names(tenant, table).into_iter().any(|(name, _)| fits(&term.0, name));
        if self.tenants.iter().any(known) {
            return None;
        }
        let name: String = term.0.iter().map(written).collect();
        let fact = match table {
            Table::Role => format!("nobody holds a role like `{name}`, whatever the event says"),
            Table::Location => format!("nobody works in a location like `{name}`, whatever the event says"),
            Table::Unit => format!("nobody belongs to a unit like `{name}`, whatever the event says"),
            Table::Party | Table::Person => {
                format!("nobody belongs to a party like `{name}`, whatever the event says")
            }
        };
        Some((name, fact, advice()))
    }
}

/// Whether a name may be what a term becomes.
fn fits(pieces: &[Piece], name: &str) -> bool {
    match pieces {
        [] => name.is_empty(),
        [Piece::Literal(text), rest @ ..] => {
            name.strip_prefix(text.as_str()).is_some_and(|name| fits(rest, name))
        }
        [Piece::Field(_), rest @ ..] => {
            let mut ends = name.char_indices().map(|(at, _)| at).skip(1).chain([name.len()]);
            !name.is_empty() && ends.any(|at| fits(rest, &name[at..]))
        }
    }
}

fn written(piece: &Piece) -> String {
    match piece {
        Piece::Literal(text) => text.clone(),
        Piece::Field(path) => format!("{{{path}}}"),
    }
}

/// The names in an audience, each by itself.
fn terms_of<'a>(audience: &'a Audience, into: &mut Vec<(Table, &'a Term)>) {
    match audience {
        Audience::In(table, term) => into.push((*table, term)),
        Audience::Member(..) | Audience::Addressed | Audience::Related(_) => {}
        Audience::SupervisorOf(of) | Audience::BackupOf(of) | Audience::Not(of) => terms_of(of, into),
        Audience::All(parts) | Audience::Any(parts) => parts.iter().for_each(|part| terms_of(part, into)),
    }
}

/// An audience that everybody is in whom this one could ever mean; `None`: that could be anybody.
fn at_most(audience: &Audience) -> Option<Bound> {
    let boxed = |of: &Audience| at_most(of).map(Box::new);
    Some(match audience {
        Audience::In(table, term) => Bound::In(*table, vec![literal(term)?]),
        Audience::SupervisorOf(of) => Bound::SupervisorOf(boxed(of)?),
        Audience::BackupOf(of) => Bound::BackupOf(boxed(of)?),
        // Of those who are not somebody, only who that is for certain is known not to be in it.
        Audience::Not(of) => Bound::Not(Box::new(exactly(of)?)),
        Audience::All(parts) => {
            let bounds: Vec<Bound> = parts.iter().filter_map(at_most).collect();
            (!bounds.is_empty()).then_some(Bound::All(bounds))?
        }
        Audience::Any(parts) => Bound::Any(parts.iter().map(at_most).collect::<Option<_>>()?),
        // Members come and go with their workspaces.
        Audience::Member(..) | Audience::Addressed | Audience::Related(_) => return None,
    })
}

/// The audience, where nothing in it comes with an event.
fn exactly(audience: &Audience) -> Option<Bound> {
    let each = |parts: &[Audience]| parts.iter().map(exactly).collect::<Option<Vec<_>>>();
    Some(match audience {
        Audience::SupervisorOf(of) => Bound::SupervisorOf(Box::new(exactly(of)?)),
        Audience::BackupOf(of) => Bound::BackupOf(Box::new(exactly(of)?)),
        Audience::Not(of) => Bound::Not(Box::new(exactly(of)?)),
        Audience::All(parts) => Bound::All(each(parts)?),
        Audience::Any(parts) => Bound::Any(each(parts)?),
        other => at_most(other)?,
    })
}

fn literal(term: &Term) -> Option<String> {
    match term.0.as_slice() {
        [Piece::Literal(name)] => Some(name.clone()),
        _ => None,
    }
}
