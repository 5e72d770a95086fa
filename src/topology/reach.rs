//! Reach: rules that a given directory leaves without anybody to tell.
//!
//! Only what is written in the rule can be looked up here; names that come with an event are known when it
//! comes. So a name nobody stands under is a fault, and so is an audience of fixed names that is empty.

use crate::directory::{People, parse};
use crate::event::Audience;
use crate::event::audience::{Bound, Piece, Term};

use super::fault::{Fault, Faults, Spot};
use super::plan::RulePlan;
use super::{Rule, Topology};

// === impl Topology ===

impl Topology {
    /// The faults of these rules with `people` as the directory, in reading order.
    #[must_use]
    pub fn reach(&self, people: &People) -> Vec<Fault> {
        let mut faults = Faults::default();
        for rule in &self.rules {
            for text in audiences(&rule.plan) {
                if let Ok(audience) = parse(&text.value) {
                    look(rule, (text, &audience), people, &mut faults);
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

fn look(rule: &Rule, (text, audience): (&Spot<String>, &Audience), people: &People, faults: &mut Faults) {
    let Some(sheet) = &rule.plan.sheet else { return };
    let all = people.tenants();
    let own = rule.plan.tenants.iter().map(String::as_str);
    let tenants: Vec<&str> = if rule.plan.tenants.is_empty() { all } else { own.collect() };
    let mut fixed = Vec::new();
    names(audience, &mut fixed);
    let mut unknown = false;
    for name in &fixed {
        let mut unheard = tenants.iter().map(|tenant| people.unheard(tenant, name));
        // Known to one tenant is known: rules are shared.
        let Some(first) = unheard.next().filter(|first| !first.is_empty()) else { continue };
        if unheard.any(|other| other.is_empty()) {
            continue;
        }
        for stranger in first {
            unknown = true;
            let at = match text.value.find(&stranger.name) {
                Some(offset) => sheet.inside(text, offset, stranger.name.len()),
                None => text.at,
            };
            let hint = stranger.hint().unwrap_or_else(|| "see `bugle directory show`".to_owned());
            faults.add(sheet, at, "nobody-known", (stranger.to_string(), hint));
        }
    }
    if let Some(bound) = bound(audience).filter(|_| !unknown)
        && tenants.iter().all(|tenant| people.listed(tenant, &bound).is_empty())
    {
        let told = ("nobody in the directory is meant by this", "try it with `bugle audience`, and widen it");
        faults.add(sheet, text.at, "nobody", told);
    }
}

/// The names written in an audience, each by itself.
fn names(audience: &Audience, into: &mut Vec<Bound>) {
    match audience {
        Audience::In(table, term) => into.extend(literal(term).map(|name| Bound::In(*table, vec![name]))),
        Audience::Member(..) | Audience::Addressed | Audience::Related(_) => {}
        Audience::SupervisorOf(of) | Audience::BackupOf(of) | Audience::Not(of) => names(of, into),
        Audience::All(parts) | Audience::Any(parts) => parts.iter().for_each(|part| names(part, into)),
    }
}

/// The audience, where nothing in it comes with an event.
fn bound(audience: &Audience) -> Option<Bound> {
    let boxed = |of: &Audience| bound(of).map(Box::new);
    let each = |parts: &[Audience]| parts.iter().map(bound).collect::<Option<Vec<_>>>();
    Some(match audience {
        Audience::In(table, term) => Bound::In(*table, vec![literal(term)?]),
        Audience::SupervisorOf(of) => Bound::SupervisorOf(boxed(of)?),
        Audience::BackupOf(of) => Bound::BackupOf(boxed(of)?),
        Audience::Not(of) => Bound::Not(boxed(of)?),
        Audience::All(parts) => Bound::All(each(parts)?),
        Audience::Any(parts) => Bound::Any(each(parts)?),
        // Members come and go with their workspaces.
        Audience::Member(..) | Audience::Addressed | Audience::Related(_) => return None,
    })
}

fn literal(term: &Term) -> Option<String> {
    match term.0.as_slice() {
        [Piece::Literal(name)] => Some(name.clone()),
        _ => None,
    }
}
