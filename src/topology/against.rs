//! Against: what a new version of the rules would do to what the old one has open.
//!
//! A rule's state is kept under its id and its subject. A rule that counts by something else under the same
//! id finds nothing of it again: reminders would go on that nothing ends. So such a change is a fault, and
//! the changed rule wants an id of its own.

use std::mem::discriminant;

use super::fault::{Fault, Faults, Spot};
use super::plan::{MatchPlan, RulePlan};
use super::{Rule, Topology};

// === impl Topology ===

impl Topology {
    /// The faults of these rules where they take the place of `old`, in reading order.
    #[must_use]
    pub fn against(&self, old: &Self) -> Vec<Fault> {
        let mut faults = Faults::default();
        for before in old.rules.iter().filter(|rule| rule.converses()) {
            match self.rule(&before.id) {
                Some(now) => changed(before, now, &mut faults),
                None => self.renamed(before, old, &mut faults),
            }
        }
        faults.sorted()
    }

    /// A rule that is gone while one that looks the same is new.
    fn renamed(&self, before: &Rule, old: &Self, faults: &mut Faults) {
        let text = |plan: &RulePlan| plan.audience.as_ref().map(|audience| audience.value.clone());
        let looks_alike = |now: &Rule| {
            now.source == before.source
                && now.kinds == before.kinds
                && now.plan.use_case == before.plan.use_case
                && text(&now.plan) == text(&before.plan)
        };
        let fresh = self.rules.iter().filter(|now| old.rule(&now.id).is_none());
        if let Some(now) = fresh.into_iter().find(|now| looks_alike(now)) {
            let fact = format!(
                "`{}` looks like `{}` under another id: what that one has open would end as `rule_removed`",
                now.id, before.id
            );
            note(now, ("renamed", fact, format!("keep the id `{}`", before.id)), faults);
        }
    }
}

fn changed(before: &Rule, now: &Rule, faults: &mut Faults) {
    let by = |plan: &RulePlan| plan.counts_by().map(names);
    let each =
        |plan: &RulePlan| plan.subject.as_ref().map(|subject| names(&subject.each)).unwrap_or_default();
    let window = |plan: &RulePlan| plan.window.as_ref().map(|window| discriminant(&window.kind));
    let (old, new) = (&before.plan, &now.plan);
    let what = if before.source != now.source {
        Some("listens to another source")
    } else if by(old) != by(new) || each(old) != each(new) {
        Some("counts by other fields")
    } else if window(old) != window(new) {
        Some("gathers in another kind of window")
    } else {
        None
    };
    let hint = "give the changed rule a new id, and keep the old one until nothing of it is open";
    if let Some(what) = what {
        let fact = format!("`{}` {what} than before: what it has open would never be closed", now.id);
        return note(now, ("orphans-state", fact, hint.to_owned()), faults);
    }
    for kind in before.kinds.iter().filter(|kind| !now.kinds.contains(kind)) {
        let fact = format!(
            "`{}` no longer hears `{kind}`: what it has open of it would end as `rule_removed`",
            now.id
        );
        note(now, ("orphans-state", fact, hint.to_owned()), faults);
    }
    let speaks_for = |tenant: &String| new.tenants.is_empty() || new.tenants.contains(tenant);
    if !(new.tenants.is_empty() || (!old.tenants.is_empty() && old.tenants.iter().all(speaks_for))) {
        let fact = format!(
            "`{}` is for fewer tenants than before: what those have open would never be closed",
            now.id
        );
        note(now, ("orphans-state", fact, hint.to_owned()), faults);
    }
    if let Some(lost) = old.until.as_ref().and_then(|old| closes_no_more(old, new.until.as_ref())) {
        let fact = format!("{lost} no longer closes `{}`: what waits for it would never be closed", now.id);
        note(now, ("orphans-state", fact, hint.to_owned()), faults);
    }
}

/// What closed a rule before and would not now.
fn closes_no_more(old: &MatchPlan, new: Option<&MatchPlan>) -> Option<String> {
    let covers = |pattern: &str, kind: &str| {
        pattern == kind || pattern.strip_suffix('*').is_some_and(|start| kind.starts_with(start))
    };
    let closes =
        |kind: &str| new.is_some_and(|new| new.kinds.iter().any(|pattern| covers(&pattern.value, kind)));
    if let Some(lost) = old.kinds.iter().find(|kind| !closes(&kind.value)) {
        return Some(format!("`{}`", lost.value));
    }
    let allowed = |plan: &MatchPlan, name: &str| -> Option<Vec<String>> {
        plan.fields.iter().find(|(field, _)| field.value == name).map(|(_, values)| names(values))
    };
    let narrower = |(field, values): &&(Spot<String>, Vec<Spot<String>>)| {
        allowed(old, &field.value)
            .is_none_or(|before| before.iter().any(|value| !names(values).contains(value)))
    };
    let field = new?.fields.iter().find(narrower)?;
    Some(format!("a change with another `{}`", field.0.value))
}

fn names(spots: &[Spot<String>]) -> Vec<String> {
    spots.iter().map(|spot| spot.value.clone()).collect()
}

fn note(rule: &Rule, (code, fact, hint): (&'static str, String, String), faults: &mut Faults) {
    if let Some(sheet) = &rule.plan.sheet {
        faults.add(sheet, rule.plan.id.at, code, (fact, hint));
    }
}
