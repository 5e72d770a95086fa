//! Words: what a rule hears, when it speaks and to whom, in a few words for each.

use std::collections::BTreeMap;

use super::rates::Rate;
use super::ways::Way;
use crate::event::Span;
use crate::topology::Rule;
use crate::topology::fault::Spot;
use crate::topology::plan::{
    Anchor, Moment, Overflow, OwnWindow, RemindPlan, RepeatPlan, Replace, RulePlan, RungPlan, Side, Stop,
    Tell, WindowKind, WindowPlan, Words,
};

/// A rule as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) source: String,
    pub(super) use_case: String,
    pub(super) id: String,
    /// The kinds it hears, the condition, and what it takes for the same.
    pub(super) hears: Vec<String>,
    /// How often it spoke of late, where somebody asked.
    pub(super) rate: Option<Rate>,
    /// Windows, timers, what closes it.
    pub(super) when: Vec<String>,
    /// Whom it tells, and whom never.
    pub(super) whom: Vec<String>,
    /// How loudly, what may be answered, what is written back.
    pub(super) how: Vec<String>,
    /// The push accounts that carry it.
    pub(super) ways: Vec<Way>,
}

// === impl Row ===

impl Row {
    /// What it hears, and how often it spoke.
    pub(super) fn heard(&self) -> impl Iterator<Item = String> {
        self.hears.iter().cloned().chain(self.rate.iter().map(Rate::to_string))
    }

    /// What is drawn of a rule.
    pub(super) fn of(rule: &Rule, ways: &[Way]) -> Self {
        let plan = &rule.plan;
        Self {
            source: rule.source.as_str().to_owned(),
            use_case: plan.use_case.clone().unwrap_or_default(),
            id: rule.id.clone(),
            hears: hears(rule),
            rate: None,
            when: when(plan),
            whom: whom(plan),
            how: how(rule),
            ways: Way::of(ways, &plan.tenants).into_iter().cloned().collect(),
        }
    }
}

fn hears(rule: &Rule) -> Vec<String> {
    let plan = &rule.plan;
    let mut lines = rule.kinds.clone();
    lines.extend(plan.wanted.fields.iter().map(wanted));
    lines.extend(plan.condition.iter().map(|condition| {
        let words: Vec<&str> = condition.value.split_whitespace().collect();
        format!("if {}", words.join(" "))
    }));
    lines.extend(plan.dedupe.iter().map(|dedupe| {
        let by: Vec<&str> = dedupe.by.iter().map(|field| field.value.as_str()).collect();
        format!("once in {} by {}", dedupe.horizon.in_days(), by.join(", "))
    }));
    lines.extend(plan.order.iter().map(|order| format!("never older than before, by {}", order.value)));
    lines
}

/// A field and the values it may have.
fn wanted((field, values): &(Spot<String>, Vec<Spot<String>>)) -> String {
    let values: Vec<&str> = values.iter().map(|value| value.value.as_str()).collect();
    format!("{}: {}", field.value, values.join(", "))
}

fn when(plan: &RulePlan) -> Vec<String> {
    let mut lines = match (plan.tell.value, plan.within) {
        (Tell::Now, _) if plan.window.is_some() => Vec::new(),
        (Tell::Now, None) => vec!["at once".to_owned()],
        (Tell::Now, Some(within)) => vec![format!("after {}, once for the same news", within.in_days())],
        (Tell::Later, _) => Vec::new(),
        (Tell::Hold(span), _) => vec![format!("after {}, unless it closed", span.in_days())],
    };
    lines.extend(plan.window.iter().map(window));
    plan.remind.iter().for_each(|ladder| remind(ladder, &mut lines));
    lines.extend(plan.repeat.as_ref().map(|repeat| again(repeat, plan.repeats_every(repeat))));
    lines.extend(plan.escalate.iter().map(|step| {
        let to = step.to.as_ref().map_or("the same", |to| to.value.as_str());
        format!("{}{}: {to}", moment(&step.at.value), louder(&step.words))
    }));
    lines.extend(plan.until.as_ref().map(|until| {
        let kinds: Vec<&str> = until.kinds.iter().map(|kind| kind.value.as_str()).collect();
        let fields = until.fields.iter().map(|field| format!(", {}", wanted(field)));
        format!("until {}{}", kinds.join(", "), fields.collect::<String>())
    }));
    lines.extend(plan.expires.iter().map(|expires| format!("expires {}", moment(&expires.value))));
    lines.extend(plan.mutes.iter().map(|mutes| {
        let rules: Vec<&str> = mutes.rules.iter().map(|rule| rule.value.as_str()).collect();
        format!("mutes {}", rules.join(", "))
    }));
    lines.extend(plan.inhibit.iter().map(|inhibit| format!("not while {} is open", inhibit.rule.value)));
    lines
}

/// A ladder: its rungs in one line, and the one that stands on its very anchor in another.
fn remind(ladder: &RemindPlan, lines: &mut Vec<String>) {
    let anchor = moment(&ladder.anchor.value);
    let side = if ladder.side == Side::Before { "before" } else { "after" };
    let to = ladder.to.as_ref().map(|to| format!(", to {}", to.value)).unwrap_or_default();
    let is_there = |rung: &&RungPlan| rung.distance.value == Span::ZERO;
    let (there, away): (Vec<&RungPlan>, Vec<&RungPlan>) = ladder.rungs.iter().partition(is_there);
    let rungs: Vec<String> = away
        .into_iter()
        .map(|rung| format!("{}{}", rung.distance.value.in_days(), louder(&rung.words).replace(',', "")))
        .collect();
    if !rungs.is_empty() {
        lines.push(format!("remind {} {side} {anchor}{to}", rungs.join(", ")));
    }
    lines.extend(there.into_iter().map(|rung| format!("remind at {anchor}{}{to}", louder(&rung.words))));
    lines.extend(ladder.every.map(|every| match (every.in_days(), ladder.most) {
        (every, Some(1)) => format!("remind {every} {side} {anchor}{to}"),
        (every, most) => format!("remind every {every} {side} {anchor}{}{to}", at_most(most)),
    }));
}

fn again(repeat: &RepeatPlan, every: Span) -> String {
    let to = match &repeat.to {
        Some(to) if to.value == "unanswered" => ", to who is silent".to_owned(),
        Some(to) => format!(", to {}", to.value),
        None => String::new(),
    };
    let at = repeat.at.map(|at| format!(" at {:02}:{:02}", at.hour, at.minute)).unwrap_or_default();
    match repeat.most {
        Some(1) => format!("once more after {}{at}{to}", every.in_days()),
        most => format!("again every {}{at}{}{to}", every.in_days(), at_most(most)),
    }
}

fn at_most(most: Option<u32>) -> String {
    most.map(|most| format!(", {most} times at most")).unwrap_or_default()
}

/// What a rung or a step has of its own.
fn louder(words: &Words) -> String {
    let priority = words.priority.map(|priority| format!(", {priority}"));
    let alone = matches!(words.window, Some(OwnWindow::None)).then(|| ", alone".to_owned());
    priority.into_iter().chain(alone).collect()
}

fn window(window: &WindowPlan) -> String {
    let by: Vec<&str> = window.by.iter().map(|field| field.value.as_str()).collect();
    let by = if by.is_empty() { String::new() } else { format!(" by {}", by.join(", ")) };
    let what = match &window.kind {
        WindowKind::LatestState(span) => format!("latest state after {}", span.in_days()),
        WindowKind::Digest { open: Some(open), every, lead, .. } => {
            let every = every.map(|every| format!(", then every {}", every.in_days())).unwrap_or_default();
            format!("digest of {}{every}{}", open.in_days(), if *lead { ", the first at once" } else { "" })
        }
        WindowKind::Digest { close, .. } => {
            let hour =
                close.map(|close| format!("{:02}:{:02}", close.hour, close.minute)).unwrap_or_default();
            format!("digest at {hour}")
        }
        WindowKind::Threshold { count, within } => format!("from {count} in {}", within.in_days()),
        WindowKind::Level { value, raise, clear, held } => {
            let held = held.map(|held| format!(" for {}", held.in_days())).unwrap_or_default();
            let clear = clear.as_ref().map(|clear| format!(", until {}", clear.value)).unwrap_or_default();
            format!("{} {}{held}{clear}", value.value, raise.value)
        }
        WindowKind::Session { gap, longest } => {
            let longest = longest.map(|longest| format!(", {} at most", longest.in_days()));
            format!("session, {} of silence{}", gap.in_days(), longest.unwrap_or_default())
        }
    };
    format!("{what}{by}")
}

fn moment(moment: &Moment) -> String {
    let from = match &moment.anchor {
        Some(Anchor::Event(path)) => path.clone(),
        Some(Anchor::Opened) => "opened".to_owned(),
        Some(Anchor::Told) => "told".to_owned(),
        Some(Anchor::Last) => "last change".to_owned(),
        None => return format!("after {}", moment.offset.in_days()),
    };
    let work = if moment.business { " of work" } else { "" };
    match moment.offset.millis() {
        0 => from,
        millis if millis < 0 => format!("{from} {}", moment.offset.in_days()),
        _ => format!("{from} +{}{work}", moment.offset.in_days()),
    }
}

fn whom(plan: &RulePlan) -> Vec<String> {
    let text = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = plan.audience.iter().map(|audience| text(&audience.value)).collect();
    if !plan.tenants.is_empty() {
        lines.push(format!("of {}", plan.tenants.join(", ")));
    }
    lines.extend(plan.fallback.iter().map(|fallback| format!("else {}", text(&fallback.value))));
    lines.extend(plan.never.iter().map(|never| format!("never {}", text(&never.value))));
    if !plan.channels.is_empty() {
        lines.push(format!("by {}", plan.channels.join(", ")));
    }
    lines.extend(plan.app.iter().map(|app| format!("in {app}")));
    lines
}

fn how(rule: &Rule) -> Vec<String> {
    let (plan, first) = (&rule.plan, rule.first());
    let mut lines = vec![first.priority.to_string()];
    let mut answers: BTreeMap<usize, String> = BTreeMap::new();
    for (place, verb) in rule.sayings.iter().flat_map(|saying| &saying.answers).enumerate() {
        let word = verb.as_str();
        if answers.values().all(|known| known != word) {
            answers.insert(place, word.to_owned());
        }
    }
    lines.extend(answers.into_values().map(|verb| format!("\u{2190} {verb}")));
    if !plan.write_back.is_empty() {
        lines.push("writes back".to_owned());
    }
    if plan.refused.is_some() {
        lines.push("says what was refused".to_owned());
    }
    if plan.closed.is_some() {
        lines.push("says when it is over".to_owned());
    }
    if let Some(cap) = &plan.cap {
        let then = if cap.then == Overflow::Digest { "then a digest" } else { "then nothing" };
        lines.push(format!("{} in {}, {then}", cap.most, cap.span.in_days()));
    }
    if matches!(plan.replace, Some(Replace::Subject | Replace::Fields(_))) {
        lines.push("the newest replaces".to_owned());
    }
    let idle = plan.stop.iter().filter(|(_, stop)| *stop == Stop::None);
    lines.extend(idle.map(|(verb, _)| format!("{} stops nothing", verb.value.as_str())));
    lines
}
