//! Timing: how anchors, ladders, repeats, steps, closes and windows are written.
//!
//! Only their form is read here; whether an anchor's field exists is `check`'s.

use crate::event::Span;

use super::fault::Spot;
use super::plan::{
    Anchor, ClosedPlan, Moment, OwnWindow, RemindPlan, RepeatPlan, RungPlan, Side, StepPlan, WindowKind,
    WindowPlan, Words,
};
use super::reading::{Fields, Reading};
use super::rules_file::words;
use super::tree::{Branch, Node};

const NO_REMINDER: (&str, &str) =
    ("more than once a second is no reminder", "write a longer span, such as `1d`");
const NO_WINDOW: (&str, &str) =
    ("a window of less than a second gathers nothing", "write a longer span, such as `30s`");

/// `event.due_at + 4h`, `told + 15m`, `opened`, `told + 4bh` in business time, or a span from the event: `12h`.
pub(crate) fn moment(cx: &mut Reading<'_>, node: &Node) -> Option<Spot<Moment>> {
    let text = cx.text_as(node, "a moment such as `told + 15m`")?;
    let value = text.value.trim();
    if value.starts_with(|c: char| c.is_ascii_digit()) {
        return cx
            .span(node)
            .map(|offset| Spot { value: Moment { anchor: None, offset, business: false }, at: node.at });
    }
    let cut = value.find(['+', '-']).unwrap_or(value.len());
    let (name, rest) = value.split_at(cut);
    let anchor = match name.trim() {
        "opened" => Anchor::Opened,
        "told" => Anchor::Told,
        "last" => Anchor::Last,
        name if name.starts_with("event.") => Anchor::Event(name["event.".len()..].to_owned()),
        name => {
            let fact = format!("`{name}` is no anchor");
            let hint =
                "start from a time of the event such as `event.due_at`, or from `opened`, `told` or `last`";
            cx.fault(node.at, "bad-anchor", (fact, hint));
            return None;
        }
    };
    let (distance, business) = match rest.strip_suffix("bh") {
        Some(hours) => (format!("{hours}h"), true),
        None => (rest.to_owned(), false),
    };
    if business && rest.starts_with('-') {
        let told = ("business time is counted forward", "write it after its anchor, as `told + 4bh`");
        cx.fault(node.at, "bad-anchor", told);
    }
    let offset = match rest.is_empty() {
        true => Span::ZERO,
        false => {
            let before = text.value.find(value).unwrap_or_default() + cut + 1;
            let distance = Spot { value: text.value[..before].to_owned() + &distance[1..], at: text.at };
            let span = cx.span_in(&distance, before)?;
            if rest.starts_with('-') { Span::from_millis(-span.millis()) } else { span }
        }
    };
    Some(Spot { value: Moment { anchor: Some(anchor), offset, business }, at: node.at })
}

/// One entry of `remind:`.
pub(crate) fn remind(cx: &mut Reading<'_>, node: &Node) -> Option<RemindPlan> {
    let mut fields = cx.fields(node, "a reminder")?;
    let before = fields.get("before");
    let after = fields.get("after");
    let (side, anchor) = match (before, after) {
        (Some(node), None) => (Side::Before, moment(cx, node)),
        (None, Some(node)) => (Side::After, moment(cx, node)),
        _ => {
            let told = ("a reminder needs one of `before` and `after`", "write `before: event.due_at`");
            cx.fault(fields.at, "missing-field", told);
            (Side::Before, None)
        }
    };
    let rungs =
        fields.get("at").filter(|node| !node.is_empty()).map(|node| cx.list(node, rung)).unwrap_or_default();
    let every = fields.get("every").and_then(|node| cx.lasting(node, NO_REMINDER));
    if rungs.is_empty() && every.is_none() {
        let told = ("a reminder needs `at` or `every`", "write `at: [{in: 3d}, {in: 1d}]` or `every: 24h`");
        cx.fault(fields.at, "missing-field", told);
    }
    let plan = RemindPlan {
        anchor: anchor.unwrap_or(Spot {
            value: Moment { anchor: None, offset: Span::ZERO, business: false },
            at: node.at,
        }),
        side,
        rungs,
        every,
        most: fields.get("most").map(|node| cx.count(node).unwrap_or(u32::MAX)),
        to: fields.get("to").and_then(|node| cx.text(node)),
        words: words(cx, &mut fields),
    };
    fields.done(cx);
    Some(plan)
}

fn rung(cx: &mut Reading<'_>, node: &Node) -> Option<RungPlan> {
    let mut fields = cx.fields(node, "a rung")?;
    let distance = fields.need("in", cx).and_then(|node| Some(Spot { value: cx.span(node)?, at: node.at }));
    let words = words(cx, &mut fields);
    fields.done(cx);
    Some(RungPlan { distance: distance?, words })
}

/// `repeat:`.
pub(crate) fn repeat(cx: &mut Reading<'_>, node: &Node) -> Option<RepeatPlan> {
    let mut fields = cx.fields(node, "`repeat`")?;
    let every = fields.need("every", cx).and_then(|node| cx.lasting(node, NO_REMINDER));
    let hour = fields.get("at").and_then(|node| Some((node.at, cx.day_time(node)?)));
    // One that cannot be read is an end all the same.
    let most = fields.get("most").map(|node| cx.count(node).unwrap_or(u32::MAX));
    if let (Some((at, _)), Some(every)) = (hour, every)
        && every < Span::from_secs(86_400)
    {
        let told =
            ("an hour comes once a day, and `every` is shorter", "write `every: 1d`, or leave `at` out");
        cx.fault(at, "short-span", told);
    }
    let to = fields.get("to").and_then(|node| cx.text(node));
    let words = words(cx, &mut fields);
    fields.done(cx);
    Some(RepeatPlan { every: every?, at: hour.map(|(_, hour)| hour), most, to, words, place: node.at })
}

/// One entry of `escalate:`.
pub(crate) fn step(cx: &mut Reading<'_>, node: &Node) -> Option<StepPlan> {
    let mut fields = cx.fields(node, "a step")?;
    let at = fields.need("at", cx).and_then(|node| moment(cx, node));
    let to = fields.need("to", cx).and_then(|node| cx.text(node));
    let words = words(cx, &mut fields);
    fields.done(cx);
    Some(StepPlan { at: at?, to, words })
}

/// `closed:`.
pub(crate) fn closed(cx: &mut Reading<'_>, node: &Node) -> Option<ClosedPlan> {
    let mut fields = cx.fields(node, "`closed`")?;
    let to = fields.get("to").and_then(|node| cx.text(node));
    let words = words(cx, &mut fields);
    if words.message.is_none() {
        cx.fault(fields.at, "missing-field", ("`closed` lacks `message`", "add `message:`"));
    }
    fields.done(cx);
    Some(ClosedPlan { to, words })
}

/// `refused:`. Whom it is for is not the rule's to say.
pub(crate) fn refused(cx: &mut Reading<'_>, node: &Node) -> Option<Words> {
    let mut fields = cx.fields(node, "`refused`")?;
    let words = words(cx, &mut fields);
    if words.message.is_none() {
        cx.fault(fields.at, "missing-field", ("`refused` lacks `message`", "add `message:`"));
    }
    fields.done(cx);
    Some(words)
}

/// `window:`; `none` only where a rung has none of its rule's.
pub(crate) fn own_window(cx: &mut Reading<'_>, node: &Node) -> Option<OwnWindow> {
    match &node.value {
        Branch::Text(text) if text == "none" => Some(OwnWindow::None),
        _ => window(cx, node).map(|window| OwnWindow::Own(Box::new(window))),
    }
}

fn window(cx: &mut Reading<'_>, node: &Node) -> Option<WindowPlan> {
    let mut fields = cx.fields(node, "a window")?;
    let by = fields.get("by").map(|node| cx.names(node)).unwrap_or_default();
    let kinds: [(&'static str, ReadWindow); 4] = [
        ("latest-state", |cx, node| cx.lasting(node, NO_WINDOW).map(WindowKind::LatestState)),
        ("digest", digest),
        ("threshold", threshold),
        ("session", session),
    ];
    let mut found = Vec::new();
    for (name, read) in kinds {
        if let Some(node) = fields.get(name) {
            found.push((node, read));
        }
    }
    fields.done(cx);
    match found.as_slice() {
        [(inner, read)] => read(cx, inner).map(|kind| WindowPlan { kind, by, at: inner.at }),
        _ => {
            let hint = "write one of `latest-state`, `digest`, `threshold` and `session`";
            cx.fault(fields.at, "bad-window", ("a window is of one kind", hint));
            None
        }
    }
}

type ReadWindow = fn(&mut Reading<'_>, &Node) -> Option<WindowKind>;

fn digest(cx: &mut Reading<'_>, node: &Node) -> Option<WindowKind> {
    let mut fields = cx.fields(node, "`digest`")?;
    let (is_open, is_close) = (fields.get("open"), fields.get("close"));
    let every = fields.get("every").and_then(|node| Some((node.at, cx.lasting(node, NO_WINDOW)?)));
    let open = is_open.and_then(|node| cx.lasting(node, NO_WINDOW));
    let close = is_close.and_then(|node| cx.day_time(node));
    let lead = fields.get("lead").and_then(|node| cx.flag(node)).unwrap_or(false);
    let most = fields.get("most").and_then(|node| cx.count(node));
    fields.done(cx);
    needs_one(cx, &fields, (is_open.is_some(), is_close.is_some()));
    if let Some((at, every)) = every
        && open.is_none_or(|open| every < open)
        && is_open.is_some() != is_close.is_some()
    {
        let told = match open {
            Some(_) => {
                ("`every` is shorter than `open`", "make `every` the greater of the two, or leave it out")
            }
            None => {
                ("a digest that closes at an hour comes once a day", "leave `every` out, or write `open`")
            }
        };
        cx.fault(at, "bad-window", told);
    }
    Some(WindowKind::Digest { open, every: every.map(|(_, every)| every), close, lead, most })
}

fn needs_one(cx: &mut Reading<'_>, fields: &Fields<'_>, (open, close): (bool, bool)) {
    if open == close {
        let told = ("a digest has one of `open` and `close`", "write `open: 15m` or `close: \"09:00\"`");
        cx.fault(fields.at, "bad-window", told);
    }
}

fn threshold(cx: &mut Reading<'_>, node: &Node) -> Option<WindowKind> {
    let mut fields = cx.fields(node, "`threshold`")?;
    let kind = if let Some(value) = fields.get("value") {
        let value = cx.text(value);
        let raise = fields.need("raise", cx).and_then(|node| cx.text(node));
        let clear = fields.get("clear").and_then(|node| cx.text(node));
        let held = fields.get("for").and_then(|node| cx.span(node));
        value.zip(raise).map(|(value, raise)| WindowKind::Level { value, raise, clear, held })
    } else {
        let count = fields.need("count", cx).and_then(|node| Some((node.at, cx.count(node)?)));
        if let Some((at, 1)) = count {
            let told = (
                "one change alone reaches a threshold of 1",
                "write a higher `count`, or leave `window` out",
            );
            cx.fault(at, "bad-window", told);
        }
        let within = fields.need("within", cx).and_then(|node| cx.lasting(node, NO_WINDOW));
        count.zip(within).map(|((_, count), within)| WindowKind::Threshold { count, within })
    };
    fields.done(cx);
    kind
}

fn session(cx: &mut Reading<'_>, node: &Node) -> Option<WindowKind> {
    let mut fields = cx.fields(node, "`session`")?;
    let gap = fields.need("gap", cx).and_then(|node| cx.lasting(node, NO_WINDOW));
    let longest = fields.get("longest").and_then(|node| Some((node.at, cx.span(node)?)));
    fields.done(cx);
    if let Some((gap, (at, longest))) = gap.zip(longest)
        && longest < gap
    {
        let told = ("`longest` is shorter than `gap`", "make `longest` the greater of the two");
        cx.fault(at, "bad-window", told);
    }
    Some(WindowKind::Session { gap: gap?, longest: longest.map(|(_, longest)| longest) })
}
