//! Step: one step of a scenario: when, what happens, and what is expected of it.

use crate::event::mute::{Matcher, Silence};
use crate::event::write_back::REFUSALS;
use crate::event::{Span, Timestamp};
use crate::topology::reading::{Fields, Reading};
use crate::topology::tree::{Branch, Node};

use super::expect::{self, expected};
use super::happening::Happening;
use super::moment::{Clock, WANTED};
use super::payload;
use super::proof;
use super::read::{Cast, members};
use super::reload;
use super::script::{Act, Office, Reply, Service, Step, Who};

/// How far the steps before have come.
pub(super) struct Course<'c> {
    /// The end of the step before.
    pub(super) now: Timestamp,
    /// How many events there were.
    pub(super) events: u32,
    pub(super) clock: &'c Clock,
    /// Whether anything happened that people can hear of.
    pub(super) has_news: bool,
    /// Whether anything is expected.
    pub(super) is_expecting: bool,
}

/// The most often that something happens in one step: seconds of playing.
const MOST_TIMES: u32 = 100_000;

/// Reads a step.
pub(super) fn step(
    cx: &mut Reading<'_>,
    node: &Node,
    cast: &mut Cast<'_>,
    course: &mut Course<'_>,
) -> Option<Step> {
    let mut fields = cx.fields(node, "a step")?;
    proof::step(cx, node, course);
    let at = time(cx, &mut fields, course);
    let times = fields.get("times").and_then(|node| times(cx, node)).unwrap_or(1);
    let every = fields.get("every").and_then(|node| cx.span(node)).unwrap_or_default();
    let last = at + Span::from_millis(every.millis().saturating_mul(i64::from(times) - 1));
    let until = fields.get("until").and_then(|node| until(cx, node, (course.clock, last)));
    let end = until.unwrap_or(last).max(last);
    let mut acts = Vec::new();
    let (kind, with) = (fields.get("event"), fields.get("with"));
    if let (Some(with), None) = (with, kind) {
        cx.fault(with.at, "missing-field", ("no event is named for this", "add `event:` and a kind"));
    }
    if let Some(node) = fields.get("topology") {
        acts.extend(reload::read(cx, node, cast).map(|rules| (at, Act::Rules(rules))));
    }
    if let Some(kind) = kind
        && let Some(happening) = Happening::read(cx, kind, with, cast.ground)
    {
        for round in 0..i64::from(times) {
            let now = at + Span::from_millis(every.millis().saturating_mul(round));
            course.events += 1;
            let record = happening.record(cx, (now, course.events), course.clock, cast);
            acts.extend(record.map(|(source, value)| (now, Act::Event(source, value.into()))));
            if !acts.iter().any(|(_, act)| matches!(act, Act::Event(..))) {
                break;
            }
        }
    }
    if let Some(sent) = payload::read(cx, &mut fields, cast) {
        for round in 0..i64::from(times) {
            let now = at + Span::from_millis(every.millis().saturating_mul(round));
            acts.push((now, Act::Event(sent.0, sent.1.clone())));
        }
    }
    if let Some(node) = fields.get("source_system") {
        acts.extend(office(cx, node).map(|office| (at, Act::Office(office))));
    }
    acts.extend(answer(cx, &mut fields, cast).map(|reply| (at, Act::Answer(reply))));
    if let Some(node) = fields.get("directory") {
        proof::filled(cx, node, ("nobody is named here", "write who is otherwise in the directory, and how"));
        let people = cx.list(node, |cx, node| cast.learn(cx, node));
        acts.extend(people.into_iter().map(|person| (at, Act::Person(Box::new(person)))));
    }
    if let Some(node) = fields.get("members") {
        proof::filled(cx, node, ("no members are named here", "write whose members are others now"));
        let members = cx.list(node, |cx, node| members(cx, node, cast));
        acts.extend(members.into_iter().map(|members| (at, Act::Members(members))));
    }
    if let Some(node) = fields.get("silence") {
        acts.extend(silence(cx, node, at).map(|act| (at, act)));
    }
    if let Some(node) = fields.get("push_service") {
        acts.extend(service(cx, node, cast).map(|service| (at, Act::Service(service))));
    }
    let expected = expected(cx, &mut fields, cast);
    fields.done(cx);
    course.now = end;
    Some(Step { line: expect::line(cx, node), at, end, acts, expected })
}

/// How often something happens. Each time is played.
fn times(cx: &mut Reading<'_>, node: &Node) -> Option<u32> {
    let times = cx.count(node)?;
    if times > MOST_TIMES {
        let fact = format!("{times} times are more than a scenario plays");
        cx.fault(node.at, "bad-value", (fact, format!("write {MOST_TIMES} at most")));
        return None;
    }
    Some(times)
}

/// When the step is: at a time, or so long after the step before.
fn time(cx: &mut Reading<'_>, fields: &mut Fields<'_>, course: &Course<'_>) -> Timestamp {
    let at = fields.get("at").map(|node| (node, moment(cx, node, (course.clock, course.now))));
    let after = fields.get("after").and_then(|node| cx.span(node));
    match (at, after) {
        (Some((node, at)), None) => {
            let at = at.unwrap_or(course.now);
            if at < course.now {
                let fact =
                    format!("this is before {}, where the step before ended", course.clock.show(course.now));
                cx.fault(node.at, "bad-time", (fact, "write the steps in the order of time"));
            }
            at.max(course.now)
        }
        (Some((node, _)), Some(_)) => {
            cx.fault(node.at, "bad-time", ("a step has one of `at` and `after`", "remove one of the two"));
            course.now
        }
        (None, after) => course.now + after.unwrap_or_default(),
    }
}

/// Up to when a step hears what comes of it: a time, or so long after what happens.
fn until(cx: &mut Reading<'_>, node: &Node, (clock, last): (&Clock, Timestamp)) -> Option<Timestamp> {
    let span = cx.text(node)?.value.parse::<Span>().ok().filter(|span| *span >= Span::ZERO);
    let until = span.map(|span| last + span).or_else(|| moment(cx, node, (clock, last)))?;
    if until < last {
        let fact = format!("this is before {}, when the step happens", clock.show(last));
        cx.fault(node.at, "bad-time", (fact, "write a later time, or a span such as `4h`"));
    }
    Some(until)
}

/// A time that a scenario names.
pub(super) fn moment(
    cx: &mut Reading<'_>,
    node: &Node,
    (clock, after): (&Clock, Timestamp),
) -> Option<Timestamp> {
    let text = cx.text(node)?;
    let at = clock.read(&text.value, Some(after));
    if at.is_none() {
        cx.fault(node.at, "bad-time", (format!("`{}` is no time", text.value), format!("write {WANTED}")));
    }
    at
}

/// What is said of an answer beside what and who.
const ANSWERED: [&str; 5] = ["token_of", "comment", "of", "push", "refused"];

/// `answer: approve`, `by: jonas.klein`.
fn answer(cx: &mut Reading<'_>, fields: &mut Fields<'_>, cast: &Cast<'_>) -> Option<Reply> {
    let node = fields.get("answer");
    let by = fields.get("by");
    let one = |cx: &mut Reading<'_>, node: Option<&Node>| {
        node.and_then(|node| cx.text(node)).map(|text| text.value)
    };
    let token_of = fields.get("token_of").and_then(|node| cast.who(cx, node));
    let comment = one(cx, fields.get("comment"));
    let rule = fields.get("of").and_then(|node| expect::rule(cx, node, cast));
    let push = fields.get("push").and_then(|node| cx.count(node));
    let refused = one(cx, fields.get("refused"));
    let node = match (node, by) {
        (Some(node), Some(_)) => node,
        (Some(node), None) => {
            cx.fault(node.at, "missing-field", ("nobody answers", "add `by:` and a person"));
            return None;
        }
        (None, Some(by)) => {
            cx.fault(by.at, "missing-field", ("no answer is given", "add `answer:` and what they answer"));
            return None;
        }
        (None, None) => {
            if let Some(node) = ANSWERED.iter().find_map(|name| fields.get(name)) {
                cx.fault(node.at, "missing-field", ("no answer is given", "add `answer:` and `by:`"));
            }
            return None;
        }
    };
    let verb = expect::verb(cx, node)?;
    let by: Who = by.and_then(|node| cast.who(cx, node))?;
    Some(Reply { token_of: token_of.unwrap_or_else(|| by.clone()), by, verb, comment, rule, push, refused })
}

/// `{ matchers: [kind=devadmin.flow.*], for: 2h }`.
fn silence(cx: &mut Reading<'_>, node: &Node, starts_at: Timestamp) -> Option<Act> {
    let mut fields = cx.fields(node, "`silence`")?;
    let matchers = fields.need("matchers", cx).map(|node| {
        proof::filled(
            cx,
            node,
            ("this names nothing to be silenced", "write matchers such as `rule=ec-3-sla`"),
        );
        cx.list(node, matcher)
    });
    let matchers = matchers.unwrap_or_default();
    let span = fields.need("for", cx).and_then(|node| cx.span(node))?;
    fields.done(cx);
    let id = expect::line(cx, node).to_string();
    let (author, comment) = ("scenario".to_owned(), String::new());
    Some(Act::Silence(Silence { id, matchers, starts_at, ends_at: starts_at + span, author, comment }))
}

fn matcher(cx: &mut Reading<'_>, node: &Node) -> Option<Matcher> {
    let text = cx.text(node)?;
    let read = text.value.parse::<Matcher>();
    if read.is_err() {
        let fact = format!("`{}` is no matcher", text.value);
        cx.fault(
            text.at,
            "bad-matcher",
            (fact, "write `name=value` or `name!=value`, such as `rule=ec-3-sla`"),
        );
    }
    read.ok()
}

/// `takes`, `unavailable`, `blocks`, `unclear`, or `{ refuses: CODE, person: … }`.
fn service(cx: &mut Reading<'_>, node: &Node, cast: &Cast<'_>) -> Option<Service> {
    if let Branch::Map(_) = node.value {
        let mut fields = cx.fields(node, "`push_service`")?;
        let code = fields.need("refuses", cx).and_then(|node| cx.text(node));
        let person = fields.get("person").and_then(|node| cast.who(cx, node));
        fields.done(cx);
        return Some(Service::Refuses(code?.value, person.map(|who| who.user_id)));
    }
    let text = cx.text(node)?;
    let words = [
        ("takes", Service::Takes),
        ("unavailable", Service::Unavailable),
        ("blocks", Service::Blocks),
        ("unclear", Service::Unclear),
    ];
    let found = words.iter().find(|(word, _)| *word == text.value).map(|(_, service)| service.clone());
    if found.is_none() {
        let fact = format!("`{}` is nothing a push service does", text.value);
        let hint = "write `takes`, `unavailable`, `blocks`, `unclear` or `{ refuses: CODE }`";
        cx.fault(node.at, "unknown-word", (fact, hint));
    }
    found
}

/// `takes`, or `{ refuses: needs_signature }`.
fn office(cx: &mut Reading<'_>, node: &Node) -> Option<Office> {
    let Branch::Map(_) = node.value else { return cx.word(node, &[("takes", Office::Takes)]) };
    let mut fields = cx.fields(node, "`source_system`")?;
    let words = REFUSALS.map(|word| (word, Office::Refuses(word)));
    let office = fields.need("refuses", cx).and_then(|node| cx.word(node, &words));
    fields.done(cx);
    office
}
