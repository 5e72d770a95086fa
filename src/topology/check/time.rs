//! Time: timers that have nothing to start from, never come, come too early, or never end.

use std::sync::Arc;

use crate::event::{Shape, Span};

use super::super::compile::Compiler;
use super::super::fault::Spot;
use super::super::plan::{Anchor, Moment, RulePlan, Side, Stop, Tell, WindowKind};

/// Notes timers without an anchor, and moments that never come or come before what they count from.
pub(super) fn timers(cx: &mut Compiler<'_>, plan: &RulePlan, shapes: &[Arc<Shape>]) {
    for shape in shapes {
        for ladder in &plan.remind {
            cx.anchor(&ladder.anchor, shape);
        }
        for step in &plan.escalate {
            cx.anchor(&step.at, shape);
        }
    }
    let has_timer = !plan.remind.is_empty() || !plan.escalate.is_empty() || plan.repeat.is_some();
    if plan.tell.value == Tell::Later && !has_timer {
        let told =
            ("`tell: later` and nothing later: this rule never speaks", "add `remind:` or `escalate:`");
        cx.fault(plan.tell.at, "never-speaks", told);
    }
    never_told(cx, plan);
    before_its_anchor(cx, plan);
    without_end(cx, plan);
    for ladder in plan.remind.iter().filter(|ladder| ladder.anchor.value.business) {
        let told = ("a ladder does not count in business time", "write it as a step of `escalate`");
        cx.fault(ladder.anchor.at, "bad-anchor", told);
    }
    let business = plan.escalate.iter().find(|step| step.at.value.business);
    if let Some(step) = business.filter(|_| !cx.calendars.is_complete()) {
        let hint = "add `calendars: [{ hours: \"08:00-17:00\" }]` beside `rules`: an entry without `location` and `tenant`";
        cx.fault(
            step.at.at,
            "no-calendar",
            ("nobody knows when people work where no calendar names the place", hint),
        );
    }
    if let Some(field) = plan.calendar.as_ref().filter(|_| business.is_none()) {
        let told = ("nothing of this rule counts in business time", "write a step such as `at: told + 4bh`");
        cx.fault(field.at, "unused", told);
    }
    for ladder in &plan.remind {
        if let (Side::Before, Some(_)) = (ladder.side, ladder.every) {
            let told = (
                "`every` goes on after its date, and this reminder is for before it",
                "write `after:`, or rungs such as `at: [{ in: 3d }, { in: 1d }]`",
            );
            cx.fault(ladder.anchor.at, "bad-anchor", told);
        }
        if let (Some(_), None) = (ladder.most, ladder.every) {
            let told = (
                "`most` counts what comes `every` so often, and nothing does",
                "leave `most` out, or add `every:`",
            );
            cx.fault(ladder.anchor.at, "unused", told);
        }
        for (index, rung) in ladder.rungs.iter().enumerate() {
            if ladder.rungs[..index].iter().any(|earlier| earlier.distance.value == rung.distance.value) {
                let fact = format!("two rungs at {}", rung.distance.value);
                cx.fault(rung.distance.at, "duplicate-rung", (fact, "keep one of the two"));
            }
        }
    }
}

/// What counts from when somebody was told, where nobody is told before.
fn never_told(cx: &mut Compiler<'_>, plan: &RulePlan) {
    let from_told = |moment: &Moment| moment.anchor == Some(Anchor::Told);
    let reminds = plan.remind.iter().any(|ladder| !from_told(&ladder.anchor.value));
    if plan.tell.value != Tell::Later || reminds || plan.repeat.is_some() {
        return;
    }
    let ladders = plan.remind.iter().map(|ladder| (&ladder.anchor, "this reminder"));
    let steps = plan.escalate.iter().map(|step| (&step.at, "this step"));
    for (moment, what) in ladders.chain(steps).filter(|(moment, _)| from_told(&moment.value)) {
        let fact = format!("nobody is told before {what}, so `told` never comes");
        cx.fault(moment.at, "bad-anchor", (fact, "start from `opened` or a time of the event"));
    }
}

/// A span before something that is known only when it is there.
fn before_its_anchor(cx: &mut Compiler<'_>, plan: &RulePlan) {
    for (what, moment) in plan.later().into_iter().filter(|(_, moment)| moment.value.offset < Span::ZERO) {
        let (from, is) = match &moment.value.anchor {
            Some(Anchor::Told) => ("told", "somebody is told"),
            Some(Anchor::Opened) => ("opened", "it opens"),
            Some(Anchor::Last) => ("last", "it changes"),
            Some(Anchor::Event(path)) if path == "occurred_at" => ("event.occurred_at", "it happens"),
            Some(Anchor::Event(_)) | None => continue,
        };
        let fact = format!("this {what} would come before {is}, and counts from there");
        let hint = format!("write `{from} + 1h`, or count from a date of the event such as `event.due_at`");
        cx.fault(moment.at, "bad-anchor", (fact, hint));
    }
}

/// What comes again and again although nothing ends it.
fn without_end(cx: &mut Compiler<'_>, plan: &RulePlan) {
    let is_level = plan.window.as_ref().is_some_and(|window| matches!(window.kind, WindowKind::Level { .. }));
    let is_answered = super::offered(plan).any(|verb| matches!(plan.stop(verb), Stop::All | Stop::Each));
    if plan.until.is_some() || plan.expires.is_some() || is_answered || is_level {
        return;
    }
    let repeat = plan.repeat.iter().filter(|repeat| repeat.most.is_none()).map(|repeat| repeat.place);
    let ladders = plan.remind.iter().filter(|ladder| ladder.every.is_some() && ladder.most.is_none());
    for at in repeat.chain(ladders.map(|ladder| ladder.anchor.at)) {
        let told = (
            "this never ends: nothing closes it, and no answer does",
            "add `most:`, `until:`, or an answer that stops it",
        );
        cx.fault(at, "never-ends", told);
    }
}

// === impl RulePlan ===

impl RulePlan {
    /// Every telling that comes later, with the moment it is due.
    pub(in crate::topology) fn later(&self) -> Vec<(&'static str, Spot<Moment>)> {
        let hold = match self.tell.value {
            Tell::Hold(offset) => Some((
                "telling",
                self.tell.map(|_| Moment { anchor: Some(Anchor::Opened), offset, business: false }),
            )),
            Tell::Now | Tell::Later => None,
        };
        let steps = self.escalate.iter().map(|step| ("step", step.at.clone()));
        let rungs = self.remind.iter().flat_map(|ladder| {
            let from = &ladder.anchor.value;
            ladder.rungs.iter().map(move |rung| {
                let distance = rung.distance.value.millis();
                let side = if ladder.side == Side::Before { -distance } else { distance };
                let offset = Span::from_millis(from.offset.millis() + side);
                ("rung", Spot { value: Moment { offset, ..from.clone() }, at: rung.distance.at })
            })
        });
        let repeat = self.repeat.iter().map(|repeat| {
            let anchor = Some(if self.tell.value == Tell::Later { Anchor::Opened } else { Anchor::Told });
            let offset = self.repeats_every(repeat);
            ("repeat", Spot { value: Moment { anchor, offset, business: false }, at: repeat.place })
        });
        hold.into_iter().chain(steps).chain(rungs).chain(repeat).collect()
    }
}
