//! Sense: rules that can be read and cannot be meant: they never speak, or somebody always speaks first.
//!
//! What is looked at here needs the whole rule for all of its kinds, or the other rules beside it; what one
//! field can know is `check`'s.

mod time;
mod whom;

use std::sync::Arc;

use hashbrown::HashMap;

use crate::event::Shape;
use crate::event::shape::slot;

use super::condition::possible::Known;
use super::decision::{counts_alike, decides_alike};
use super::fault::{Faults, Place, Spot};
use super::kinds::Kinds;
use super::plan::{Anchor, Moment, RemindPlan, RulePlan, Tell};
use super::rule::{KindRule, Rule, Wanted};
use super::schedule::{Start, Timer};

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
        note.never_matched(&own);
        note.never_true(&own);
        note.always_true(&own);
        note.same_timer(&own);
        note.without_a_date(&own);
        note.closes_itself(&own);
        note.out_of_time();
        note.nobody_left(rule);
        note.not_theirs(rule, &own);
        let others = rules.iter().enumerate().filter(|(other, _)| *other != place);
        note.never_heard((place, rule), others);
        note.decides_apart(rule, &rules[..place]);
    }
}

/// One rule, and where its faults go.
struct Noting<'n> {
    plan: &'n RulePlan,
    faults: &'n mut Faults,
}

/// What a rule's `match` says of a slot, and what it is by its kind, source and tenants.
fn matched(form: &KindRule, slot: u16) -> Option<Known<'_>> {
    let tenants = &form.rule.plan.tenants;
    match slot {
        slot::KIND => return Some(Known::OneOf(&form.rule.kinds)),
        slot::TENANT if !tenants.is_empty() => return Some(Known::OneOf(tenants)),
        _ => {}
    }
    form.wanted.iter().find(|(other, _)| *other == slot).and_then(|(_, wanted)| match wanted {
        Wanted::Texts(texts) => Some(Known::OneOf(texts)),
        Wanted::Ints(_) | Wanted::Bool(_) => None,
    })
}

/// Whether a change of which this much is known could meet the rule's condition.
fn can_hold<'k>(form: &KindRule, shape: &Shape, known: &dyn Fn(u16) -> Option<Known<'k>>) -> bool {
    form.condition.as_ref().is_none_or(|condition| condition.can_hold(shape, known))
}

// === impl Noting ===

impl Noting<'_> {
    fn fault(&mut self, at: Place, code: &'static str, told: (impl Into<String>, impl Into<String>)) {
        if let Some(sheet) = &self.plan.sheet {
            self.faults.add(sheet, at, code, told);
        }
    }

    /// A `match` that asks for another source or tenant than the rule's own.
    fn never_matched(&mut self, forms: &[(&KindRule, &Shape)]) {
        let Some((form, shape)) = forms.first() else { return };
        let source = [shape.source.as_str().to_owned()];
        let own = [("source", source.as_slice()), ("tenant", form.rule.plan.tenants.as_slice())];
        for (name, own) in own.into_iter().filter(|(_, own)| !own.is_empty()) {
            let mut fields = self.plan.wanted.fields.iter();
            let Some((field, values)) = fields.find(|(field, _)| field.value == name) else { continue };
            if values.iter().all(|value| !own.contains(&value.value)) {
                let fact =
                    format!("`{name}` is never that here: this rule hears of {} alone", own.join(", "));
                self.fault(field.at, "never-equal", (fact, "take it out"));
            }
        }
    }

    /// An `if` that no change of the rule's `match` can make true.
    fn never_true(&mut self, forms: &[(&KindRule, &Shape)]) {
        let Some(condition) = &self.plan.condition else { return };
        if forms.is_empty()
            || forms.iter().any(|(form, shape)| can_hold(form, shape, &|slot| matched(form, slot)))
        {
            return;
        }
        let told = match forms.iter().any(|(form, shape)| can_hold(form, shape, &|_| None)) {
            true => (
                "no change that `match` lets through makes this true: the rule never speaks",
                "compare `if` with `match`, and correct one of the two",
            ),
            false => (
                "no change can make this true: the rule never speaks",
                "correct the condition: parts joined by `&&` exclude each other, or one of them is never true",
            ),
        };
        self.fault(condition.at, "never-true", told);
    }

    /// An `if` that every change makes true.
    fn always_true(&mut self, forms: &[(&KindRule, &Shape)]) {
        let Some(condition) = &self.plan.condition else { return };
        let can_fail = |(form, shape): &(&KindRule, &Shape)| {
            form.condition.as_ref().is_none_or(|condition| condition.can_fail(shape))
        };
        if !forms.is_empty() && !forms.iter().any(can_fail) {
            let told = (
                "every change makes this true: `if` keeps nothing out",
                "take it out, or ask for something that a change may lack",
            );
            self.fault(condition.at, "constant", told);
        }
    }

    /// Two timers that start alike and are as far from there: one of them would take the other's place.
    fn same_timer(&mut self, forms: &[(&KindRule, &Shape)]) {
        let Some((form, _)) = forms.first() else { return };
        let is_twice =
            |(index, timer): (usize, &Timer)| form.timers[..index].iter().any(|one| one.id == timer.id);
        if form.timers.iter().enumerate().any(is_twice) {
            let told = (
                "two reminders or two steps of this rule are equally far from where they start, and only one is told",
                "let one of them come at another time, or join the two",
            );
            self.fault(self.plan.at, "duplicate-rung", told);
        }
    }

    /// A rule that reminds from dates which its changes may lack: of those nobody is ever reminded.
    fn without_a_date(&mut self, forms: &[(&KindRule, &Shape)]) {
        for (form, shape) in forms {
            let lacks = |slot: u16| shape.fields.get(usize::from(slot)).is_some_and(|field| field.optional);
            let dates: Vec<u16> = form
                .timers
                .iter()
                .filter_map(|timer| match timer.start {
                    Start::Event(slot) => Some(slot),
                    Start::Opened | Start::Told | Start::Last => None,
                })
                .collect();
            let may_be_gone = |absent: &[u16]| {
                let known = |slot: u16| match absent.contains(&slot) {
                    true => Some(Known::Absent),
                    false => matched(form, slot),
                };
                can_hold(form, shape, &known)
            };
            let only_dates = !dates.is_empty() && dates.len() == form.timers.len();
            if self.plan.tell.value == Tell::Later && only_dates && dates.iter().all(|slot| lacks(*slot)) {
                if may_be_gone(&dates) {
                    let path = &shape.fields[usize::from(dates[0])].path;
                    let fact =
                        format!("`event.{path}` may be absent, and then this rule never says anything");
                    self.fault(
                        self.anchor_of(path),
                        "no-date",
                        (fact, format!("add `if: event.{path} != null`")),
                    );
                    return;
                }
                continue;
            }
            let told = |ladder: &&RemindPlan| !ladder.rungs.is_empty() || ladder.every.is_some();
            for ladder in self.plan.remind.iter().filter(told) {
                let Some(Anchor::Event(path)) = &ladder.anchor.value.anchor else { continue };
                let slot = shape.slot(path).filter(|slot| lacks(*slot));
                if slot.is_some_and(|slot| may_be_gone(&[slot])) {
                    let fact = format!("`event.{path}` may be absent, and then nobody is ever reminded");
                    let hint = format!(
                        "add `if: event.{path} != null`, and a rule without `remind` for changes that have no such date"
                    );
                    self.fault(ladder.anchor.at, "no-date", (fact, hint));
                    return;
                }
            }
        }
    }

    /// Where the rule names this time of the event to count from.
    fn anchor_of(&self, path: &str) -> Place {
        let ladders = self.plan.remind.iter().map(|ladder| &ladder.anchor);
        let mut anchors = ladders.chain(self.plan.escalate.iter().map(|step| &step.at));
        let names =
            |moment: &&Spot<Moment>| matches!(&moment.value.anchor, Some(Anchor::Event(own)) if own == path);
        anchors.find(names).map_or(self.plan.at, |moment| moment.at)
    }

    /// A kind that closes whatever it would open: a change that closes opens nothing.
    fn closes_itself(&mut self, forms: &[(&KindRule, &Shape)]) {
        let Some(until) = &self.plan.until else { return };
        let values = |fields: &[(Spot<String>, Vec<Spot<String>>)], name: &str| -> Option<Vec<String>> {
            let (_, values) = fields.iter().find(|(field, _)| field.value == name)?;
            Some(values.iter().map(|value| value.value.clone()).collect())
        };
        // Each field of `until` lets through whatever `match` does.
        let always = until.fields.iter().all(|(field, closing)| {
            let opening = values(&self.plan.wanted.fields, &field.value).unwrap_or_default();
            let closes = |value: &String| closing.iter().any(|closing| closing.value == *value);
            !opening.is_empty() && opening.iter().all(closes)
        });
        let opens = |kind: &str| forms.iter().any(|(_, shape)| shape.kinds.iter().any(|known| known == kind));
        let own = until.kinds.iter().filter(|kind| self.wants(&kind.value) && opens(&kind.value));
        let own: Vec<Spot<String>> = own.filter(|_| always).cloned().collect();
        for kind in own {
            let fact = format!("`{}` closes this rule, and so never opens it", kind.value);
            let hint = "take it out of `match` or of `until`, or tell the two apart by a field: `until: { kind: …, state: … }`";
            self.fault(kind.at, "closes-itself", (fact, hint));
        }
    }

    /// Whether `match` names this kind.
    fn wants(&self, kind: &str) -> bool {
        self.plan.wanted.kinds.iter().any(|pattern| {
            pattern.value == kind
                || pattern.value.strip_suffix('*').is_some_and(|start| kind.starts_with(start))
        })
    }

    /// A rule that lets people decide what another lets them decide, and counts it by other fields: each would
    /// have a decision of its own.
    fn decides_apart(&mut self, rule: &Rule, before: &[Arc<Rule>]) {
        let same_kind = |other: &Rule| rule.kinds.iter().any(|kind| other.kinds.contains(kind));
        let apart = |other: &Rule| !counts_alike(rule, other) && !never_together(&rule.plan, &other.plan);
        let decides = |other: &Rule| decides_alike(rule, other) && same_kind(other);
        if let Some(other) = before.iter().find(|other| decides(other) && apart(other)) {
            let fact = format!("`{}` decides the same thing and counts it by other fields", other.id);
            let hint = "write the same `subject` in both, so that one decision counts for both";
            self.fault(self.plan.at, "split-decision", (fact, hint));
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

/// Whether no change can be wanted by both: they ask for different values of one field, or for other tenants.
fn never_together(one: &RulePlan, other: &RulePlan) -> bool {
    let apart = |ours: &[Spot<String>], theirs: &[Spot<String>]| {
        ours.iter().all(|value| theirs.iter().all(|their| their.value != value.value))
    };
    let tenants = !one.tenants.is_empty() && !other.tenants.is_empty();
    let fields = &other.wanted.fields;
    let excludes = |(field, ours): &(Spot<String>, Vec<Spot<String>>)| {
        fields.iter().any(|(their, theirs)| their.value == field.value && apart(ours, theirs))
    };
    one.wanted.fields.iter().any(excludes)
        || (tenants && one.tenants.iter().all(|tenant| !other.tenants.contains(tenant)))
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
