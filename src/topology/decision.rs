//! Decision: which rules let people decide about the same thing, so that one decision ends it in all of them.

use super::fault::Spot;
use super::plan::RulePlan;
use super::{Rule, Topology};

// === impl Topology ===

impl Topology {
    /// The other rules whose buttons decide what those of `rule` decide: of one system, about the same kind of
    /// thing, counted by the same fields. A decision belongs to the thing and not to the rule that asked first.
    pub fn deciding_with<'t>(&'t self, rule: &'t Rule) -> impl Iterator<Item = &'t Rule> {
        let others = self.rules.iter().map(|other| &**other);
        others.filter(move |other| {
            other.id != rule.id && decides_alike(rule, other) && counts_alike(rule, other)
        })
    }
}

// === impl Rule ===

impl Rule {
    /// What is said of an answer that the source system did not carry out, by its number.
    #[must_use]
    pub fn refusal(&self) -> Option<u16> {
        let behind = 1 + usize::from(self.plan.closed.is_some());
        let at = u16::try_from(self.sayings.len().checked_sub(behind)?).ok()?;
        self.plan.refused.is_some().then_some(at)
    }

    /// Whether it asks for a yes or a no.
    #[must_use]
    pub fn asks_decision(&self) -> bool {
        self.sayings.iter().flat_map(|saying| &saying.answers).any(|verb| verb.decides())
    }
}

// === impl RulePlan ===

impl RulePlan {
    /// The fields it counts by: those of its subject, else what its window gathers by; `None`: the entity.
    #[must_use]
    pub fn counts_by(&self) -> Option<&[Spot<String>]> {
        let window = self.window.as_ref().filter(|window| !window.is_personal()).map(|window| &window.by);
        let by = self.subject.as_ref().map(|subject| &subject.by).or(window);
        by.map(Vec::as_slice).filter(|by| !by.is_empty())
    }
}

/// Whether both let people decide about the same kind of thing.
pub(super) fn decides_alike(rule: &Rule, other: &Rule) -> bool {
    let same_thing = |kind: &String| other.kinds.iter().any(|theirs| thing(theirs) == thing(kind));
    rule.asks_decision() && other.asks_decision() && rule.kinds.iter().any(same_thing)
}

/// Whether what one rule counts by has the same key as what the other counts by.
pub(super) fn counts_alike(rule: &Rule, other: &Rule) -> bool {
    let each = |plan: &RulePlan| {
        let each = plan.subject.iter().flat_map(|subject| &subject.each);
        each.map(|field| field.value.clone()).collect::<Vec<_>>()
    };
    let by = |plan: &RulePlan| {
        plan.counts_by().map(|by| by.iter().map(|field| field.value.clone()).collect::<Vec<_>>())
    };
    by(&rule.plan) == by(&other.plan) && each(&rule.plan) == each(&other.plan)
}

/// What a kind is about: `xecm.task` of `xecm.task.assigned`.
fn thing(kind: &str) -> &str {
    kind.rsplit_once('.').map_or(kind, |(thing, _)| thing)
}
