//! Words: what a rule hears, when it speaks and to whom, in a few words for each.

use std::collections::BTreeMap;

use super::ways::Way;
use crate::topology::Rule;
use crate::topology::plan::{
    Anchor, Moment, Overflow, Replace, RulePlan, Side, Stop, Tell, WindowKind, WindowPlan,
};

/// A rule as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) source: String,
    pub(super) use_case: String,
    pub(super) id: String,
    /// The kinds it hears, and the condition.
    pub(super) hears: Vec<String>,
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
    /// What is drawn of a rule.
    pub(super) fn of(rule: &Rule, ways: &[Way]) -> Self {
        let plan = &rule.plan;
        Self {
            source: rule.source.as_str().to_owned(),
            use_case: plan.use_case.clone().unwrap_or_default(),
            id: rule.id.clone(),
            hears: hears(rule),
            when: when(plan),
            whom: whom(plan),
            how: how(rule),
            ways: Way::of(ways, &plan.tenants).into_iter().cloned().collect(),
        }
    }
}

fn hears(rule: &Rule) -> Vec<String> {
    let mut lines = rule.kinds.clone();
    for (field, values) in &rule.plan.wanted.fields {
        let values: Vec<&str> = values.iter().map(|value| value.value.as_str()).collect();
        lines.push(format!("{}: {}", field.value, values.join(", ")));
    }
    lines.extend(rule.plan.condition.iter().map(|condition| {
        let words: Vec<&str> = condition.value.split_whitespace().collect();
        format!("if {}", words.join(" "))
    }));
    lines
}

fn when(plan: &RulePlan) -> Vec<String> {
    let mut lines = match plan.tell.value {
        Tell::Now if plan.window.is_none() => vec!["at once".to_owned()],
        Tell::Now | Tell::Later => Vec::new(),
        Tell::Hold(span) => vec![format!("after {}, unless it closed", span.in_days())],
    };
    lines.extend(plan.window.iter().map(window));
    for ladder in &plan.remind {
        let side = if ladder.side == Side::Before { "before" } else { "after" };
        let rungs: Vec<String> = ladder.rungs.iter().map(|rung| rung.distance.value.in_days()).collect();
        let mut line = format!("remind {} {side} {}", rungs.join(", "), moment(&ladder.anchor.value));
        if let Some(every) = ladder.every {
            line.push_str(&format!(", every {}", every.in_days()));
        }
        lines.push(line.replace("remind  ", "remind "));
    }
    if let Some(repeat) = &plan.repeat {
        lines.push(match repeat.most {
            Some(1) => format!("once more after {}", repeat.every.in_days()),
            Some(most) => format!("again every {}, {most} times at most", repeat.every.in_days()),
            None => format!("again every {}", repeat.every.in_days()),
        });
    }
    for step in &plan.escalate {
        let to = step.to.as_ref().map_or("", |to| to.value.as_str());
        lines.push(format!("{}: {to}", moment(&step.at.value)));
    }
    if let Some(until) = &plan.until {
        let kinds: Vec<&str> = until.kinds.iter().map(|kind| kind.value.as_str()).collect();
        lines.push(format!("until {}", kinds.join(", ")));
    }
    lines.extend(plan.expires.iter().map(|expires| format!("expires {}", moment(&expires.value))));
    lines.extend(plan.mutes.iter().map(|mutes| {
        let rules: Vec<&str> = mutes.rules.iter().map(|rule| rule.value.as_str()).collect();
        format!("mutes {}", rules.join(", "))
    }));
    lines.extend(plan.inhibit.iter().map(|inhibit| format!("not while {} is open", inhibit.rule.value)));
    lines
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
        WindowKind::Level { value, raise, held, .. } => {
            let held = held.map(|held| format!(" for {}", held.in_days())).unwrap_or_default();
            format!("{} {}{held}", value.value, raise.value)
        }
        WindowKind::Session { gap, .. } => format!("session, {} of silence", gap.in_days()),
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
        lines.push("says what was not carried out".to_owned());
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
    if plan.stop.iter().any(|(_, stop)| *stop == Stop::None) {
        lines.push("an answer stops nothing".to_owned());
    }
    lines
}
