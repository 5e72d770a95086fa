//! Check: what no single field of a rule can know.
//!
//! Messages that exist and have the locale, answers that mean something, closes that can find their
//! subject, timers with anchors, and separation of duties.

mod answers;
mod time;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::event::notice::Verb;
use crate::event::{FieldType, Shape, Source};

use super::compile::Compiler;
use super::fault::{Place, Spot, nearest};
use super::kinds::type_name;
use super::plan::{OwnWindow, Replace, RulePlan, Stop, SubjectPlan, Tell, WindowKind, WindowPlan, Words};

/// Notes everything about a plan that is not about its first telling's slots.
pub(super) fn plan(cx: &mut Compiler<'_>, plan: &RulePlan, shapes: &[Arc<Shape>], source: Option<Source>) {
    messages(cx, plan, shapes);
    answers::answers(cx, plan, shapes);
    until(cx, plan, source);
    time::timers(cx, plan, shapes);
    for window in plan.window.iter().chain(own_windows(plan)) {
        self::window(cx, (window, plan.subject.as_ref()), shapes);
    }
    personal(cx, plan);
    tells_at_its_close(cx, plan);
    for shape in shapes {
        for field in plan.order.iter().chain(&plan.calendar) {
            cx.fields(std::slice::from_ref(field), shape);
        }
        if let Some(inhibit) = &plan.inhibit {
            cx.fields(&inhibit.equal, shape);
        }
        order(cx, plan, shape);
        calendar(cx, plan, shape);
    }
    mutes(cx, plan);
    idle(cx, plan);
    all_apart(cx, plan);
}

/// A place is known by its name.
fn calendar(cx: &mut Compiler<'_>, plan: &RulePlan, shape: &Shape) {
    let Some(calendar) = &plan.calendar else { return };
    let is_name = |ty: &FieldType| matches!(ty, FieldType::Text | FieldType::Symbol(_));
    if let Some(field) = shape.field(&calendar.value).filter(|field| !is_name(&field.ty)) {
        let fact = format!("`{}` is {}, and a place has a name", calendar.value, type_name(&field.ty));
        cx.fault(calendar.at, "wrong-type", (fact, "name the field with the location, such as `site`"));
    }
}

/// No two events have the same id: by it nothing is ever the same, and nothing comes together.
fn all_apart(cx: &mut Compiler<'_>, plan: &RulePlan) {
    let subject = plan.subject.iter().flat_map(|subject| subject.by.iter().chain(&subject.each));
    let windows = plan.window.iter().chain(own_windows(plan)).flat_map(|window| &window.by);
    let dedupe = plan.dedupe.iter().flat_map(|dedupe| &dedupe.by);
    let replace = plan.replace.iter().flat_map(|replace| match replace {
        Replace::Fields(fields) => fields.as_slice(),
        Replace::Subject => &[],
    });
    let all = subject.chain(windows).chain(dedupe).chain(replace);
    for field in all.filter(|field| field.value == "event_id") {
        let told = (
            "every event has an `event_id` of its own: by it no two of them ever belong together",
            "name what they have in common, such as `entity.id`",
        );
        cx.fault(field.at, "all-apart", told);
    }
}

/// By a field that does not grow nothing is older than anything.
fn order(cx: &mut Compiler<'_>, plan: &RulePlan, shape: &Shape) {
    let Some(order) = &plan.order else { return };
    let field = shape.slot(&order.value).and_then(|slot| shape.fields.get(usize::from(slot)));
    let grows = |ty: &FieldType| matches!(ty, FieldType::Int | FieldType::Time | FieldType::Date);
    if let Some(field) = field.filter(|field| !grows(&field.ty)) {
        let fact = format!(
            "`{}` is {}, and an order is by a whole number or a time",
            order.value,
            type_name(&field.ty)
        );
        cx.fault(order.at, "wrong-type", (fact, "name a field that grows, such as `seq`"));
    }
}

/// What a rule says of itself or says twice does nothing.
fn idle(cx: &mut Compiler<'_>, plan: &RulePlan) {
    if let Some(inhibit) = plan.inhibit.as_ref().filter(|inhibit| inhibit.rule.value == plan.id.value) {
        cx.fault(inhibit.rule.at, "bad-inhibit", ("a rule cannot inhibit itself", "name another rule"));
    }
    let same = |fallback: &&Spot<String>| {
        plan.audience.as_ref().is_some_and(|audience| audience.value.trim() == fallback.value.trim())
    };
    let offers = offered(plan).next().is_some();
    let waits = |to: &&Spot<String>| to.value == "unanswered";
    let ladders = plan.remind.iter().filter_map(|ladder| ladder.to.as_ref());
    let repeat = plan.repeat.iter().filter_map(|repeat| repeat.to.as_ref());
    let steps = plan.escalate.iter().filter_map(|step| step.to.as_ref());
    for to in ladders.chain(repeat).chain(steps).filter(waits).filter(|_| !offers) {
        let told =
            ("nobody can have answered: this rule offers no answer", "add `answers:`, or write `to: told`");
        cx.fault(to.at, "unused", told);
    }
    if let Some(to) = plan.closed.as_ref().and_then(|closed| closed.to.as_ref()).filter(waits) {
        let told = ("what is closed waits for no answer", "write `to: told`");
        cx.fault(to.at, "unused", told);
    }
    if let Some(fallback) = plan.fallback.as_ref().filter(same) {
        let told = ("where the audience is nobody, this is nobody, too", "name others, such as a role");
        cx.fault(fallback.at, "unused", told);
    }
}

/// What mutes others must end, and have something in common with them.
fn mutes(cx: &mut Compiler<'_>, plan: &RulePlan) {
    let Some(mutes) = &plan.mutes else { return };
    let at = mutes.rules.first().map_or(plan.at, |rule| rule.at);
    if plan.until.is_none() {
        cx.fault(
            at,
            "never-closes",
            ("nothing ends what this rule mutes", "add `until:` with the kind that does"),
        );
    }
    if mutes.equal.is_empty() || mutes.rules.is_empty() {
        let told =
            ("a rule mutes named rules where named fields are equal", "name both in `rules` and `equal`");
        cx.fault(at, "bad-mutes", told);
    }
    for rule in mutes.rules.iter().filter(|rule| rule.value == plan.id.value) {
        cx.fault(rule.at, "bad-mutes", ("a rule cannot mute itself", "name another rule"));
    }
}

fn all_words(plan: &RulePlan) -> impl Iterator<Item = &Words> {
    let ladders = plan.remind.iter();
    let rungs = ladders
        .flat_map(|ladder| std::iter::once(&ladder.words).chain(ladder.rungs.iter().map(|rung| &rung.words)));
    std::iter::once(&plan.words)
        .chain(rungs)
        .chain(plan.repeat.iter().map(|repeat| &repeat.words))
        .chain(plan.escalate.iter().map(|step| &step.words))
        .chain(&plan.instead)
        .chain(&plan.refused)
        .chain(plan.closed.iter().map(|closed| &closed.words))
}

/// Every answer that is offered somewhere.
fn offered(plan: &RulePlan) -> impl Iterator<Item = Verb> {
    all_words(plan)
        .filter_map(|words| words.answers.as_ref())
        .flat_map(|answers| answers.value.iter().copied())
}

fn own_windows(plan: &RulePlan) -> impl Iterator<Item = &WindowPlan> {
    all_words(plan).filter_map(|words| match &words.window {
        Some(OwnWindow::Own(window)) => Some(&**window),
        _ => None,
    })
}

fn messages(cx: &mut Compiler<'_>, plan: &RulePlan, shapes: &[Arc<Shape>]) {
    if plan.words.message.is_none() {
        let silent = plan.tell.value == Tell::Later
            && plan.escalate.iter().all(|step| step.words.message.is_some())
            && plan.repeat.iter().all(|repeat| repeat.words.message.is_some())
            && plan.remind.iter().all(|ladder| {
                ladder.words.message.is_some()
                    || (ladder.every.is_none()
                        && ladder.rungs.iter().all(|rung| rung.words.message.is_some()))
            });
        if !silent {
            cx.fault(
                plan.at,
                "missing-field",
                ("a rule lacks `message`", "add `message:`, a name of topology/messages"),
            );
        }
    }
    let names = all_words(plan).filter_map(|words| words.message.as_ref());
    for name in names.filter(|name| !name.value.is_empty()) {
        let Some(message) = cx.messages.get(&name.value).cloned() else {
            // One that cannot be read says so in its own file.
            if cx.named.contains(&name.value) {
                continue;
            }
            let hint = match nearest(&name.value, cx.messages.keys().map(String::as_str)) {
                Some(near) => format!("write `{near}`"),
                None => format!("add `{}:` to a file of topology/messages", name.value),
            };
            cx.fault(name.at, "unknown-message", (format!("no message is called `{}`", name.value), hint));
            continue;
        };
        let locale = plan.locale.as_ref().map_or("en", |locale| locale.value.as_str());
        if !message.locales().any(|known| known == locale) {
            let fact = format!("message `{}` has no text in `{locale}`, the default locale", name.value);
            cx.fault(
                name.at,
                "missing-locale",
                (fact, format!("add `{locale}:` to `{}` in topology/messages", name.value)),
            );
        }
        // Also what is said at the close is written from the event that opened the matter.
        cx.uses.extend(shapes.iter().map(|shape| (name.value.clone(), Arc::clone(shape))));
    }
}

fn until(cx: &mut Compiler<'_>, plan: &RulePlan, source: Option<Source>) {
    // A level is over when it is clear.
    let is_level = plan.window.as_ref().is_some_and(|window| matches!(window.kind, WindowKind::Level { .. }));
    let ends = offered(plan).any(|verb| plan.stop(verb) == Stop::All);
    if plan.closed.is_some() && plan.until.is_none() && !ends && !is_level {
        let told = (
            "nothing closes this rule, so `closed` is never told",
            "add `until:`, or an answer that stops `all`",
        );
        let at = plan.closed.as_ref().and_then(|closed| closed.words.message.as_ref());
        cx.fault(at.map_or(plan.at, |message| message.at), "never-closes", told);
    }
    let Some(until) = &plan.until else { return };
    let kinds = cx.kinds_of(&until.kinds, source);
    let by = plan.counts_by().unwrap_or_default();
    let anything = cx.kinds.any(source);
    let known = kinds.iter().filter_map(|kind| Some((kind.clone(), cx.kinds.shape(kind).cloned()?)));
    let guess = (anything.kinds[0].clone(), Arc::clone(&anything));
    let shapes: Vec<_> = if kinds.is_empty() { vec![guess] } else { known.collect() };
    for (kind, shape) in shapes {
        for field in by {
            if shape.field(&field.value).is_none() {
                let at = until
                    .kinds
                    .iter()
                    .find(|pattern| matches(&pattern.value, &kind))
                    .map_or(plan.at, |pattern| pattern.at);
                let fact = format!("`{kind}` cannot close this rule: it has no field `{}`", field.value);
                cx.fault(
                    at,
                    "cannot-close",
                    (fact, format!("leave `{kind}` out, or take `{}` out of `subject`", field.value)),
                );
            }
        }
        for (field, _) in &until.fields {
            cx.fields(std::slice::from_ref(field), &shape);
        }
    }
}

fn matches(pattern: &str, kind: &str) -> bool {
    pattern == kind || pattern.strip_suffix('*').is_some_and(|start| kind.starts_with(start))
}

fn window(
    cx: &mut Compiler<'_>,
    (window, subject): (&WindowPlan, Option<&SubjectPlan>),
    shapes: &[Arc<Shape>],
) {
    let by: Vec<Spot<String>> = window.by.iter().filter(|field| field.value != "person").cloned().collect();
    if let Some(subject) = subject.filter(|_| !window.is_personal()) {
        let counted = |fields: &mut dyn Iterator<Item = &Spot<String>>| -> BTreeSet<String> {
            fields.map(|field| field.value.clone()).collect()
        };
        if counted(&mut by.iter()) != counted(&mut subject.by.iter().chain(&subject.each)) {
            let told = (
                "a window gathers by other fields than its rule counts by",
                "write the same fields in `subject` and in the window's `by`, or leave `subject` out",
            );
            cx.fault(window.at, "bad-window", told);
        }
    }
    for shape in shapes {
        cx.fields(&by, shape);
        if let WindowKind::Level { value, raise, clear, .. } = &window.kind {
            for (level, at) in [(Some(raise), raise.at), (clear.as_ref(), window.at)] {
                let Some(level) = level else { continue };
                level_condition(cx, (value, level, at), shape);
            }
        }
    }
}

/// A window tells when it closes, and neither sooner nor later.
fn tells_at_its_close(cx: &mut Compiler<'_>, plan: &RulePlan) {
    let gathers = plan.window.as_ref().is_some_and(|window| !window.is_personal());
    if gathers && plan.tell.value != Tell::Now {
        let told = (
            "a window tells when it closes, whatever `tell` says",
            "leave `tell` out, or let each person have the window: `by: [person]`",
        );
        cx.fault(plan.tell.at, "unused", told);
    }
}

/// What is said later is gathered for each person, and what a person has gathered is listed or replaced.
fn personal(cx: &mut Compiler<'_>, plan: &RulePlan) {
    for window in own_windows(plan).filter(|window| !window.is_personal()) {
        let told = ("what is said later is gathered by person", "add `person` to the window's `by`");
        cx.fault(window.at, "bad-window", told);
    }
    for window in plan.window.iter().chain(own_windows(plan)).filter(|window| window.is_personal()) {
        if matches!(window.kind, WindowKind::Threshold { .. } | WindowKind::Level { .. }) {
            let told = (
                "a threshold counts the changes of a subject, not those of a person",
                "take `person` out of the window's `by`, or write a `digest`, `latest-state` or `session`",
            );
            cx.fault(window.at, "bad-window", told);
        }
        if matches!(window.kind, WindowKind::Digest { every: Some(_), .. }) {
            let told = (
                "what each person has gathered is told when it closes, and not `every` so often",
                "leave `every` out, or take `person` out of the window's `by`",
            );
            cx.fault(window.at, "bad-window", told);
        }
    }
}

/// `event.depth` and `'>= event.threshold'` make one condition; a fault is shown where its half stands.
fn level_condition(
    cx: &mut Compiler<'_>,
    (value, level, _at): (&Spot<String>, &Spot<String>, Place),
    shape: &Shape,
) {
    let text = format!("{} {}", value.value, level.value);
    let Err(found) = super::condition::Condition::parse(&text, shape) else { return };
    let border = value.value.len() + 1;
    for fault in found {
        let at = match fault.offset.checked_sub(border) {
            Some(offset) => cx.sheet.inside(level, offset, fault.length),
            None => cx.sheet.inside(value, fault.offset, fault.length),
        };
        cx.fault(at, fault.code, (fault.message, fault.hint));
    }
}
