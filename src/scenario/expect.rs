//! Expect: what a step of a scenario says is to come of it, read with the places of its faults.

use crate::event::notice::Verb;
use crate::event::{Priority, Reason};
use crate::topology::fault::{nearest, suggest};
use crate::topology::reading::{Fields, Reading};
use crate::topology::tree::{Branch, Node};

use super::proof;
use super::read::Cast;
use super::script::{Ended, Expected, Telling, Who};

pub(super) const PRIORITIES: [(&str, Priority); 4] = [
    ("low", Priority::Low),
    ("normal", Priority::Normal),
    ("high", Priority::High),
    ("critical", Priority::Critical),
];

/// Reads the expectations among a step's fields.
pub(super) fn expected(cx: &mut Reading<'_>, fields: &mut Fields<'_>, cast: &Cast<'_>) -> Expected {
    let told = fields.get("told").map(|node| {
        proof::stated(cx, node, "write who is told, or `[]` where nobody is");
        cx.list(node, |cx, node| telling(cx, node, cast))
    });
    let not_told = fields.get("not_told").map(|node| {
        proof::filled(cx, node, ("nobody is named here", "write who is not told"));
        cx.list(node, |cx, node| silent(cx, node, cast))
    });
    let verdicts = fields.get("verdicts").map(|node| {
        proof::filled(
            cx,
            node,
            ("no verdict is named here", "write one, such as `{ rule: …, reason: nobody }`"),
        );
        cx.list(node, |cx, node| ended(cx, node, cast))
    });
    let write_back = fields.get("write_back").map(|node| {
        proof::stated(cx, node, "write what is written back, or `[]` where nothing is");
        cx.list(node, |cx, node| match &node.value {
            Branch::Map(entries) if entries.is_empty() => {
                let hint = "write what it holds, such as `{ decision: approve }`";
                cx.fault(node.at, "proves-nothing", ("every write-back holds nothing", hint));
                None
            }
            Branch::Map(_) => Some((line(cx, node), node.plain())),
            _ => {
                cx.wrong(node, "a map of what the write-back holds");
                None
            }
        })
    });
    let dead_letters = fields.get("dead_letters").map(|node| {
        proof::stated(cx, node, "write the codes of the dead letters, or `[]` where there are none");
        cx.texts(node)
    });
    let dead_letters = dead_letters.unwrap_or_default();
    Expected {
        told: told.unwrap_or_default(),
        not_told: not_told.unwrap_or_default().into_iter().flatten().collect(),
        verdicts: verdicts.unwrap_or_default(),
        write_back,
        dead_letters: dead_letters.into_iter().map(|code| code.value).collect(),
    }
}

/// `{ rule: ec-3-sla, to: [jonas.klein], text: "Fällig" }`
fn telling(cx: &mut Reading<'_>, node: &Node, cast: &Cast<'_>) -> Option<Telling> {
    let mut fields = cx.fields(node, "a telling")?;
    let rule = fields.need("rule", cx).and_then(|node| rule(cx, node, cast));
    let to = fields.need("to", cx).map(|node| named(cx, node, cast)).unwrap_or_default();
    let one = |cx: &mut Reading<'_>, node: Option<&Node>| {
        node.and_then(|node| cx.text(node)).map(|text| text.value)
    };
    let text = fields.get("text").map(|node| {
        proof::filled(cx, node, ("no text is named here", "write some of its words, or leave it out"));
        cx.texts(node)
    });
    let text = text.unwrap_or_default();
    let link = fields.get("link").and_then(|node| cx.text(node));
    let telling = Telling {
        line: line(cx, node),
        rule: String::new(),
        to,
        text: text.into_iter().map(|text| text.value).collect(),
        locale: one(cx, fields.get("locale")),
        answers: fields.get("answers").map(|node| cx.list(node, verb)),
        priority: fields.get("priority").and_then(|node| cx.word(node, &PRIORITIES)),
        occasion: fields.get("occasion").and_then(|node| occasion(cx, node)),
        link: link.map(|link| link.value),
        app: one(cx, fields.get("app")),
    };
    fields.done(cx);
    Some(Telling { rule: rule?, ..telling })
}

/// A person, or several and the rule they hear nothing of.
fn silent(cx: &mut Reading<'_>, node: &Node, cast: &Cast<'_>) -> Option<Vec<(Who, Option<String>)>> {
    if !matches!(node.value, Branch::Map(_)) {
        return cast.who(cx, node).map(|who| vec![(who, None)]);
    }
    let mut fields = cx.fields(node, "who is not told")?;
    let of = fields.get("rule").and_then(|node| rule(cx, node, cast));
    let to = fields.need("to", cx).map(|node| named(cx, node, cast)).unwrap_or_default();
    fields.done(cx);
    Some(to.into_iter().map(|who| (who, of.clone())).collect())
}

/// `{ rule: ec-3-sla, reason: nobody, occasion: step-3 }`
fn ended(cx: &mut Reading<'_>, node: &Node, cast: &Cast<'_>) -> Option<Ended> {
    let mut fields = cx.fields(node, "a verdict")?;
    let rule = fields.get("rule").and_then(|node| rule(cx, node, cast));
    let word = fields.need("reason", cx).and_then(|node| reason(cx, node));
    let occasion = fields.get("occasion").and_then(|node| occasion(cx, node));
    let people = fields.get("people").map(|node| named(cx, node, cast)).unwrap_or_default();
    fields.done(cx);
    let people = people.into_iter().map(|who| who.user_id).collect();
    Some(Ended { line: line(cx, node), rule, word: word?, occasion, people })
}

/// `told`, or a reason; of a refusal its code may stand in brackets.
fn reason(cx: &mut Reading<'_>, node: &Node) -> Option<String> {
    let text = cx.text(node)?;
    let word = text.value.split('(').next().unwrap_or_default();
    let words: Vec<&str> = Reason::ALL.iter().map(Reason::as_str).chain(["told", "routed"]).collect();
    if words.contains(&word) {
        return Some(text.value);
    }
    let hint = nearest(word, words.iter().copied()).map_or_else(
        || "README.md lists the reasons under \"The books\"".to_owned(),
        |near| format!("write `{near}`"),
    );
    cx.fault(text.at, "unknown-reason", (format!("`{word}` is no reason"), hint));
    None
}

pub(super) fn occasion(cx: &mut Reading<'_>, node: &Node) -> Option<String> {
    let text = cx.text(node)?;
    let numbered = |name: &str| {
        text.value
            .strip_prefix(name)
            .is_some_and(|number| number.parse::<u16>().is_ok_and(|number| number > 0))
    };
    if ["first", "closed"].contains(&text.value.as_str()) || numbered("reminder-") || numbered("step-") {
        return Some(text.value);
    }
    let told =
        (format!("`{}` is no occasion", text.value), "write `first`, `reminder-1`, `step-1` or `closed`");
    cx.fault(text.at, "unknown-word", told);
    None
}

pub(super) fn verb(cx: &mut Reading<'_>, node: &Node) -> Option<Verb> {
    cx.word(node, &Verb::ALL.map(|verb| (verb.as_str(), verb)))
}

pub(super) fn rule(cx: &mut Reading<'_>, node: &Node, cast: &Cast<'_>) -> Option<String> {
    let text = cx.text(node)?;
    let ids: Vec<&str> = cast.rules().map(|rule| rule.id.as_str()).collect();
    if ids.contains(&text.value.as_str()) {
        return Some(text.value);
    }
    let hint = nearest(&text.value, ids.iter().copied())
        .map_or_else(|| suggest(&text.value, &ids), |near| format!("write `{near}`"));
    cx.fault(text.at, "unknown-rule", (format!("no rule is called `{}`", text.value), hint));
    None
}

pub(super) fn people(cx: &mut Reading<'_>, node: &Node, cast: &Cast<'_>) -> Vec<Who> {
    cx.list(node, |cx, node| cast.who(cx, node))
}

/// People of whom there must be one.
fn named(cx: &mut Reading<'_>, node: &Node, cast: &Cast<'_>) -> Vec<Who> {
    proof::filled(cx, node, ("nobody is named here", "write who is meant"));
    people(cx, node, cast)
}

pub(super) fn line(cx: &Reading<'_>, node: &Node) -> usize {
    cx.sheet.position(node.at.start).0
}
