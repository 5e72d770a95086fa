//! Sense: rules that can be read and cannot be meant: they never speak, or somebody always speaks first.
//!
//! What is looked at here needs the whole rule for all of its kinds, or the other rules beside it; what one
//! field can know is `check`'s.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::event::{Shape, Span};

use super::condition::possible::Known;
use super::fault::{Faults, Place, Spot};
use super::kinds::Kinds;
use super::plan::{Anchor, Moment, RulePlan, Side, Tell, WindowKind};
use super::rule::{KindRule, Rule, Wanted};
use super::schedule::Start;

/// Notes what no single rule's fields show. `rules` are those without a fault, in the order of the files.
pub(super) fn rules(
    (rules, forms): (&[Arc<Rule>], &HashMap<String, Vec<KindRule>>),
    kinds: &Kinds,
    faults: &mut Faults,
) {
    for (place, rule) in rules.iter().enumerate() {
        let own: Vec<(&KindRule, &Shape)> = rule
            .kinds
            .iter()
            .filter_map(|kind| {
                let form = forms.get(kind)?.iter().find(|form| form.rule.id == rule.id)?;
                Some((form, kinds.shape(kind)?.as_ref()))
            })
            .collect();
        let mut note = Noting { plan: &rule.plan, faults };
        note.never_true(&own);
        note.without_a_date(&own);
        note.out_of_time();
        note.too_short();
        let others = rules.iter().enumerate().filter(|(other, _)| *other != place);
        note.never_heard((place, rule), others);
    }
}

/// One rule, and where its faults go.
struct Noting<'n> {
    plan: &'n RulePlan,
    faults: &'n mut Faults,
}

/// What a rule's `match` says of a slot.
fn matched(form: &KindRule, slot: u16) -> Option<Known<'_>> {
    form.wanted.iter().find(|(other, _)| *other == slot).and_then(|(_, wanted)| match wanted {
        Wanted::Texts(texts) => Some(Known::OneOf(texts)),
        Wanted::Ints(_) | Wanted::Bool(_) => None,
    })
}

// === impl Noting ===

impl Noting<'_> {
    fn fault(&mut self, at: Place, code: &'static str, told: (impl Into<String>, impl Into<String>)) {
        if let Some(sheet) = &self.plan.sheet {
            self.faults.add(sheet, at, code, told);
        }
    }

    /// An `if` that no change of the rule's `match` can make true.
    fn never_true(&mut self, forms: &[(&KindRule, &Shape)]) {
        let Some(condition) = &self.plan.condition else { return };
        let can_hold = |(form, _): &(&KindRule, &Shape)| {
            form.condition.as_ref().is_none_or(|condition| condition.can_hold(&|slot| matched(form, slot)))
        };
        if !forms.is_empty() && !forms.iter().any(can_hold) {
            let told = (
                "no change that `match` lets through makes this true: the rule never speaks",
                "compare `if` with `match`, and correct one of the two",
            );
            self.fault(condition.at, "never-true", told);
        }
    }

    /// A rule that only reminds, from dates its changes may lack.
    fn without_a_date(&mut self, forms: &[(&KindRule, &Shape)]) {
        if self.plan.tell != Tell::Later {
            return;
        }
        for (form, shape) in forms {
            let dates: Vec<u16> = form
                .timers
                .iter()
                .map(|timer| match timer.start {
                    Start::Event(slot) => Some(slot),
                    Start::Opened | Start::Told | Start::Last => None,
                })
                .collect::<Option<_>>()
                .unwrap_or_default();
            let lacks = |slot: u16| shape.fields.get(usize::from(slot)).is_some_and(|field| field.optional);
            if dates.is_empty() || !dates.iter().all(|slot| lacks(*slot)) {
                continue;
            }
            let known = |slot: u16| match dates.contains(&slot) {
                true => Some(Known::Absent),
                false => matched(form, slot),
            };
            if form.condition.as_ref().is_none_or(|condition| condition.can_hold(&known)) {
                let path = &shape.fields[usize::from(dates[0])].path;
                let fact = format!("`event.{path}` may be absent, and then this rule never says anything");
                self.fault(self.plan.at, "no-date", (fact, format!("add `if: event.{path} != null`")));
                return;
            }
        }
    }

    /// Steps and rungs that come when the rule says no more, or not in their order.
    fn out_of_time(&mut self) {
        let plan = self.plan;
        if let Some(expires) = &plan.expires {
            if !matches!(expires.value.anchor, None | Some(Anchor::Event(_))) {
                let told = (
                    "a rule expires from the event or from one of its times",
                    "write a span such as `12h`, or a time such as `event.due_at`",
                );
                self.fault(expires.at, "bad-anchor", told);
            }
            if expires.value.business {
                let told = ("a rule does not expire in business time", "write a span such as `12h`");
                self.fault(expires.at, "bad-anchor", told);
            }
            for (what, moment) in later(plan) {
                if never_before(&moment.value, &expires.value) {
                    let fact = format!("this {what} comes when the rule has expired: nobody is ever told");
                    self.fault(moment.at, "after-expiry", (fact, "come earlier, or let `expires` be later"));
                }
            }
        }
        for pair in plan.escalate.windows(2) {
            let [before, after] = pair else { continue };
            if never_before(&before.at.value, &after.at.value) {
                let told = (
                    "this step is due no later than the one before it",
                    "put the steps in the order of their times",
                );
                self.fault(after.at.at, "step-order", told);
            }
        }
    }

    /// Windows, holds and repeats shorter than the second by which timers go.
    fn too_short(&mut self) {
        let second = Span::from_secs(1);
        if let Tell::Hold(span) = self.plan.tell
            && span < second
        {
            let told = ("a hold of less than a second holds nothing", "write `tell: now`, or a longer span");
            self.fault(self.plan.at, "short-window", told);
        }
        let repeats = self.plan.repeat.iter().map(|repeat| repeat.every);
        let reminds = self.plan.remind.iter().filter_map(|ladder| ladder.every);
        if repeats.chain(reminds).any(|every| every < second) {
            let told = ("more than once a second is no reminder", "write a longer span, such as `1d`");
            self.fault(self.plan.at, "short-window", told);
        }
        let Some(window) = &self.plan.window else { return };
        let spans = match &window.kind {
            WindowKind::LatestState(span) => [Some(*span), None],
            WindowKind::Digest { open, .. } => [*open, None],
            WindowKind::Threshold { within, .. } => [Some(*within), None],
            WindowKind::Session { gap, longest } => [Some(*gap), *longest],
            WindowKind::Level { .. } => [None, None],
        };
        if spans.into_iter().flatten().any(|span| span < second) {
            let told =
                ("a window of less than a second gathers nothing", "write a longer span, such as `30s`");
            self.fault(window.at, "short-window", told);
        }
    }

    /// A rule whose every telling is another's, which tells the same people the same news and wins.
    fn never_heard<'r>(
        &mut self,
        rule: (usize, &Arc<Rule>),
        others: impl Iterator<Item = (usize, &'r Arc<Rule>)>,
    ) {
        for other in others {
            let (at, winner) = other;
            if swallows((at, winner), (rule.0, rule.1)) {
                let line =
                    winner.plan.sheet.as_ref().map_or(0, |sheet| sheet.position(winner.plan.at.start).0);
                let path = winner.plan.sheet.as_ref().map_or("", |sheet| sheet.path.as_str());
                let fact = format!(
                    "this rule is never heard: `{}` ({path}:{line}) tells the same people the same news, and wins",
                    winner.id
                );
                let hint = "give it another audience, `news` of its own, or take it out";
                self.fault(self.plan.at, "never-heard", (fact, hint));
                return;
            }
        }
    }
}

/// Every telling that comes later, with the moment it is due.
fn later(plan: &RulePlan) -> Vec<(&'static str, Spot<Moment>)> {
    let steps = plan.escalate.iter().map(|step| ("step", step.at.clone()));
    let rungs = plan.remind.iter().flat_map(|ladder| {
        let from = &ladder.anchor.value;
        ladder.rungs.iter().map(move |rung| {
            let distance = rung.distance.value.millis();
            let side = if ladder.side == Side::Before { -distance } else { distance };
            let offset = Span::from_millis(from.offset.millis() + side);
            ("rung", Spot { value: Moment { offset, ..from.clone() }, at: rung.distance.at })
        })
    });
    steps.chain(rungs).collect()
}

/// Whether `moment` certainly comes no earlier than `other`. Opening and telling follow the event.
fn never_before(moment: &Moment, other: &Moment) -> bool {
    let follows = match (&moment.anchor, &other.anchor) {
        (same, other) if same == other => true,
        (Some(Anchor::Opened | Anchor::Told | Anchor::Last), None) => true,
        (Some(Anchor::Told), Some(Anchor::Opened)) => true,
        _ => false,
    };
    // Business time is never the faster one.
    follows && moment.offset >= other.offset && (moment.business || !other.business)
}

/// Whether `winner` always speaks where `rule` would, in the same transaction, to the same people, louder.
fn swallows((place, winner): (usize, &Rule), (at, rule): (usize, &Rule)) -> bool {
    let (ours, theirs) = (&rule.plan, &winner.plan);
    let value = |spot: &Option<Spot<String>>| spot.as_ref().map(|spot| spot.value.clone());
    let names = |spots: &[Spot<String>]| spots.iter().map(|spot| spot.value.clone()).collect::<Vec<_>>();
    let fields = |plan: &RulePlan| {
        let fields = plan.wanted.fields.iter();
        fields.map(|(field, values)| (field.value.clone(), names(values))).collect::<Vec<_>>()
    };
    let claim = |rule: &Rule, place: usize| {
        let first = rule.first();
        (first.answers.len(), first.priority, std::cmp::Reverse(place))
    };
    let once = |rule: &Rule| rule.tells_at_once() && rule.sayings.len() == 1;
    once(rule)
        && winner.tells_at_once()
        && winner.source == rule.source
        && rule.kinds.iter().all(|kind| winner.kinds.contains(kind))
        && (theirs.wanted.fields.is_empty() || fields(theirs) == fields(ours))
        && (theirs.condition.is_none() || value(&theirs.condition) == value(&ours.condition))
        && (theirs.tenants.is_empty() || theirs.tenants == ours.tenants)
        && (&theirs.channels, &theirs.app) == (&ours.channels, &ours.app)
        && value(&theirs.audience) == value(&ours.audience)
        && value(&theirs.fallback) == value(&ours.fallback)
        && (theirs.never.is_none() || value(&theirs.never) == value(&ours.never))
        && names(&theirs.news) == names(&ours.news)
        && ours.counts_by().map(names) == theirs.counts_by().map(names)
        && theirs.dedupe.is_none()
        && theirs.inhibit.is_none()
        && theirs.cap.is_none()
        && theirs.expires.is_none()
        && theirs.order.is_none()
        && claim(winner, place) > claim(rule, at)
}
