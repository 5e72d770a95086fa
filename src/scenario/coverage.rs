//! Coverage: which of its rules' branches the scenarios reached: everything a rule says, every answer it offers.

use std::collections::BTreeSet;

use crate::event::Span;
use crate::event::notice::Verb;
use crate::topology::plan::{Anchor, Moment, Side, Tell};
use crate::topology::{Rule, Topology};

use super::play::Played;

/// What the one branch of a mapping is called.
const MAPPING: &str = "mapping";

/// One branch of a rule, or a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The rule.
    pub rule: String,
    /// Which: `first`, `remind 7d before event.expires_on`, `answer approve`, or `mapping`.
    pub name: String,
    /// Whether a scenario reached it: somebody heard it, an answer like it counted, or it took a payload.
    pub reached: bool,
}

/// All branches of all rules, and all mappings.
#[derive(Debug)]
pub struct Coverage {
    /// In the order of the rules.
    pub branches: Vec<Branch>,
}

// === impl Coverage ===

impl Coverage {
    /// What was reached of a topology.
    #[must_use]
    pub fn of<'p>(topology: &Topology, played: impl IntoIterator<Item = &'p Played>) -> Self {
        let (mut sayings, mut answers, mut mapped) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for played in played {
            sayings.extend(played.sayings.iter().map(|(rule, saying)| (rule.as_str(), *saying)));
            mapped.extend(played.mapped.iter().map(String::as_str));
            answers.extend(played.answers.iter().map(|(rule, verb)| (rule.as_str(), verb.as_str())));
        }
        let mut branches = Vec::new();
        for rule in &topology.rules {
            let mut add =
                |name: String, reached: bool| branches.push(Branch { rule: rule.id.clone(), name, reached });
            for (saying, name) in said(rule) {
                add(name, sayings.contains(&(rule.id.as_str(), saying)));
            }
            for verb in offered(rule) {
                add(
                    format!("answer {}", verb.as_str()),
                    answers.contains(&(rule.id.as_str(), verb.as_str())),
                );
            }
        }
        for (_, mapping) in topology.mappings.iter() {
            let (rule, reached) = (mapping.id.clone(), mapped.contains(mapping.id.as_str()));
            branches.push(Branch { rule, name: MAPPING.to_owned(), reached });
        }
        Self { branches }
    }

    /// How many rules there are, and how many of them said something.
    #[must_use]
    pub fn rules(&self) -> (usize, usize) {
        let of_rules = || self.branches.iter().filter(|branch| branch.name != MAPPING);
        let all: BTreeSet<&str> = of_rules().map(|branch| branch.rule.as_str()).collect();
        let spoke = |rule: &&&str| of_rules().any(|branch| branch.rule == ***rule && branch.reached);
        (all.len(), all.iter().filter(spoke).count())
    }

    /// Which part of the branches was reached, in whole percent, rounded down.
    #[must_use]
    pub fn percent(&self) -> usize {
        let reached = self.branches.iter().filter(|branch| branch.reached).count();
        (reached * 100).checked_div(self.branches.len()).unwrap_or(100)
    }

    /// What was not reached.
    pub fn missed(&self) -> impl Iterator<Item = &Branch> {
        self.branches.iter().filter(|branch| !branch.reached)
    }
}

/// Everything a rule says, by number, in the order of its sayings.
fn said(rule: &Rule) -> Vec<(u16, String)> {
    let plan = &rule.plan;
    let mut names = vec!["first".to_owned()];
    for ladder in &plan.remind {
        let (side, anchor) = (side(ladder.side), shown(&ladder.anchor.value));
        names.extend(
            ladder
                .rungs
                .iter()
                .map(|rung| format!("remind {} {side} {anchor}", rung.distance.value.in_days())),
        );
        names.extend(ladder.every.map(|every| format!("remind every {} {side} {anchor}", every.in_days())));
    }
    names.extend(plan.repeat.as_ref().map(|repeat| format!("repeat every {}", repeat.every.in_days())));
    names.extend(plan.escalate.iter().map(|step| format!("step at {}", shown(&step.at.value))));
    names.extend(plan.instead.as_ref().map(|_| "fallback".to_owned()));
    names.extend(plan.refused.as_ref().map(|_| "refused".to_owned()));
    names.extend(plan.closed.as_ref().map(|_| "closed".to_owned()));
    let silent_first = plan.tell.value == Tell::Later;
    (0..).zip(names).filter(|(number, _)| *number > 0 || !silent_first).collect()
}

/// The saying of a rule that is the same by other rules: its number may be another, its name is not.
pub(super) fn same(id: &str, saying: u16, (by, other): (&Topology, &Topology)) -> Option<u16> {
    let (_, name) = said(by.rule(id)?).into_iter().find(|(number, _)| *number == saying)?;
    said(other.rule(id)?).into_iter().find(|(_, other)| *other == name).map(|(number, _)| number)
}

fn offered(rule: &Rule) -> Vec<Verb> {
    let offers = |verb: &Verb| rule.sayings.iter().any(|saying| saying.answers.contains(verb));
    Verb::ALL.into_iter().filter(offers).collect()
}

fn side(side: Side) -> &'static str {
    match side {
        Side::Before => "before",
        Side::After => "after",
    }
}

fn shown(moment: &Moment) -> String {
    let anchor = match &moment.anchor {
        None => "the event".to_owned(),
        Some(Anchor::Event(path)) => format!("event.{path}"),
        Some(Anchor::Opened) => "opened".to_owned(),
        Some(Anchor::Told) => "told".to_owned(),
        Some(Anchor::Last) => "last".to_owned(),
    };
    match moment.offset.millis() {
        0 => anchor,
        negative if negative < 0 => format!("{anchor} - {}", Span::from_millis(-negative).in_days()),
        _ => format!("{anchor} + {}", moment.offset.in_days()),
    }
}
