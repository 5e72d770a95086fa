//! Time: tellings that come when their rule says no more, before it has said anything, or not in their order.

use super::super::fault::Spot;
use super::super::plan::{Anchor, Moment, RulePlan, Side, Tell, WindowKind};
use super::Noting;
use crate::event::Span;

// === impl Noting ===

impl Noting<'_> {
    /// Steps, rungs, holds and windows that end when the rule has expired, and steps in a wrong order.
    pub(super) fn out_of_time(&mut self) {
        self.expired();
        let plan = self.plan;
        if let Tell::Hold(hold) = plan.tell.value {
            let first = Moment { anchor: Some(Anchor::Opened), offset: hold, business: false };
            for step in plan.escalate.iter().filter(|step| step.at.value.anchor == Some(Anchor::Opened)) {
                if step.at.value.offset < hold && never_before(&first, &step.at.value) {
                    let told = (
                        "this step comes before anybody is told: `tell` holds for longer",
                        "start from `told`, or come later than the hold ends",
                    );
                    self.fault(step.at.at, "step-order", told);
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

    fn expired(&mut self) {
        let plan = self.plan;
        let Some(expires) = &plan.expires else { return };
        if !matches!(expires.value.anchor, None | Some(Anchor::Event(_))) {
            let told = (
                "a rule expires from the event or from one of its times",
                "write a span such as `12h`, or a time such as `event.due_at`",
            );
            return self.fault(expires.at, "bad-anchor", told);
        }
        if expires.value.business {
            let told = ("a rule does not expire in business time", "write a span such as `12h`");
            return self.fault(expires.at, "bad-anchor", told);
        }
        if expires.value.anchor.is_none() && expires.value.offset < Span::from_secs(1) {
            let told = (
                "this rule has expired before anybody is told",
                "write a longer span, such as `12h`, or leave `expires` out",
            );
            return self.fault(expires.at, "short-span", told);
        }
        for (what, moment) in later(plan) {
            if never_before(&moment.value, &expires.value) {
                let fact = format!("this {what} comes when the rule has expired: nobody is ever told");
                self.fault(moment.at, "after-expiry", (fact, "come earlier, or let `expires` be later"));
            }
        }
        let Some(window) = &plan.window else { return };
        let open = match &window.kind {
            WindowKind::LatestState(span) => Some(*span),
            WindowKind::Digest { open, .. } => *open,
            WindowKind::Session { gap, .. } => Some(*gap),
            WindowKind::Level { held, .. } => *held,
            WindowKind::Threshold { .. } => None,
        };
        let opened = |open: Span| Moment { anchor: Some(Anchor::Opened), offset: open, business: false };
        if open.is_some_and(|open| never_before(&opened(open), &expires.value)) {
            let told = (
                "this window is open for longer than the rule lasts: what it gathers has expired when it is told",
                "shorten the window, or let `expires` be later",
            );
            self.fault(window.at, "after-expiry", told);
        }
    }
}

/// Every telling that comes later, with the moment it is due.
fn later(plan: &RulePlan) -> Vec<(&'static str, Spot<Moment>)> {
    let hold = match plan.tell.value {
        Tell::Hold(offset) => Some((
            "telling",
            plan.tell.map(|_| Moment { anchor: Some(Anchor::Opened), offset, business: false }),
        )),
        Tell::Now | Tell::Later => None,
    };
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
    hold.into_iter().chain(steps).chain(rungs).collect()
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
