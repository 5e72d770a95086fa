//! Decision: which rules let people decide about the same thing, so that one decision ends it in all of them.

use std::ops::Range;

use crate::event::notice::Verb;
use crate::event::{Audience, Occasion, Relation, Span};

use super::fault::Spot;
use super::plan::{RulePlan, Stop, Tell};
use super::schedule::To;
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

// === impl RulePlan ===

impl RulePlan {
    /// Whether it says what it says, and remembers nothing.
    pub(super) fn opens_nothing(&self) -> bool {
        let speaks_once = self.tell.value == Tell::Now && self.window.is_none() && self.order.is_none();
        let says_more = self.repeat.is_some() || !self.remind.is_empty() || !self.escalate.is_empty();
        let answers = self.words.answers.as_ref().is_some_and(|answers| !answers.value.is_empty());
        speaks_once && self.until.is_none() && !says_more && !answers
    }

    /// What an answer ends: as the rule says, else by the verb's own habit.
    #[must_use]
    pub fn stop(&self, verb: Verb) -> Stop {
        let said = self.stop.iter().find(|(other, _)| other.value == verb).map(|(_, stop)| *stop);
        said.unwrap_or(match verb {
            Verb::Approve | Verb::Reject => Stop::All,
            Verb::Acknowledge => Stop::Each,
            Verb::RequestInfo => Stop::Pause(Span::from_secs(86_400)),
            Verb::FollowUp => Stop::None,
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

    /// What those are told whom only the fallback names, by its number; `None`: what the audience is told.
    #[must_use]
    pub fn instead(&self) -> Option<u16> {
        let at = u16::try_from(self.steps().end).ok()?;
        self.plan.instead.is_some().then_some(at)
    }

    /// What somebody may answer who was told on this occasion, before a change's own options narrow it: of a step its
    /// own answers, for it may be for people who can only look on; else those of everything that is no step.
    #[must_use]
    pub fn offered_on(&self, occasion: Occasion) -> Vec<Verb> {
        let (before, steps) = self.sayings.split_at(self.steps().start);
        let said = match occasion {
            Occasion::Step(number) => {
                let at = usize::from(number).saturating_sub(1);
                steps.get(at..=at).unwrap_or_default()
            }
            _ => before,
        };
        let offers = |verb: &Verb| said.iter().any(|saying| saying.answers.contains(verb));
        Verb::ALL.into_iter().filter(offers).collect()
    }

    /// Whether who is told on this occasion only looks on: it is assigned to others.
    #[must_use]
    pub fn looks_on(&self, occasion: Occasion) -> bool {
        let Occasion::Step(number) = occasion else { return false };
        let at = self.steps().start + usize::from(number).saturating_sub(1);
        let to = self.sayings.get(at).map(|saying| &saying.to);
        matches!(to, Some(To::Other(to)) if !are_assignees(to))
    }

    /// Where its steps stand among what it says.
    fn steps(&self) -> Range<usize> {
        let plan = &self.plan;
        let behind = [plan.instead.is_some(), plan.refused.is_some(), plan.closed.is_some()];
        let behind: usize = behind.map(usize::from).iter().sum();
        let end = self.sayings.len().saturating_sub(behind);
        end.saturating_sub(self.plan.escalate.len())..end
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

/// Whether certainly nobody but those it is assigned to is in it.
pub(super) fn are_assignees(audience: &Audience) -> bool {
    match audience {
        Audience::Related(relation) => *relation == Relation::Assignees,
        Audience::All(parts) => parts.iter().any(are_assignees),
        Audience::Any(parts) => !parts.is_empty() && parts.iter().all(are_assignees),
        _ => false,
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
