//! Time: tellings that come when their rule says no more, before it has said anything, or not in their order.

use super::super::plan::{Anchor, Moment, Tell, WindowKind};
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
        let from_event = match &expires.value.anchor {
            Some(Anchor::Event(path)) => path == "occurred_at",
            anchor => anchor.is_none(),
        };
        if from_event && expires.value.offset < Span::from_secs(1) {
            let told = (
                "this rule has expired before anybody is told",
                "write a longer span, such as `12h`, or leave `expires` out",
            );
            return self.fault(expires.at, "short-span", told);
        }
        for (what, moment) in plan.later() {
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
