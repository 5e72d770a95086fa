//! Proof: what in a scenario would hold whatever the rules do is a fault: it looks like a test, and is none.

use crate::topology::fault::Spot;
use crate::topology::reading::Reading;
use crate::topology::tree::{Branch, Node};

use super::step::Course;

const CODE: &str = "proves-nothing";
/// What says when a step is, and nothing else.
const TIMES: [&str; 5] = ["at", "after", "until", "times", "every"];
/// What is to come of a step.
const EXPECTED: [&str; 5] = ["told", "not_told", "verdicts", "write_back", "dead_letters"];
/// What people can hear of.
const NEWS: [&str; 2] = ["event", "payload"];

/// Notes a step in which nothing happens and of which nothing is expected, and what is expected too early.
pub(super) fn step(cx: &mut Reading<'_>, node: &Node, course: &mut Course<'_>) {
    let Branch::Map(entries) = &node.value else { return };
    let named = |names: &[&str]| {
        entries.iter().find(|(key, _)| names.contains(&key.value.as_str())).map(|(key, _)| key.at)
    };
    if entries.is_empty() {
        cx.fault(node.at, CODE, ("nothing stands in this step", "remove it, or say what happens in it"));
    } else if entries.iter().all(|(key, _)| TIMES.contains(&key.value.as_str())) {
        let hint = "say what comes of it: `told: []` means that nobody is told anything meanwhile";
        cx.fault(node.at, CODE, ("this step only lets time pass", hint));
    }
    course.has_news |= named(&NEWS).is_some();
    if let Some(at) = named(&EXPECTED).filter(|_| !course.has_news) {
        let fact = "nothing has happened so far that anybody could hear of";
        cx.fault(at, CODE, (fact, "write a step with an `event` or a `payload` before it"));
    }
    if let Some(at) = named(&["times", "every"]).filter(|_| named(&NEWS).is_none()) {
        let told = ("nothing happens here so often", "add an `event` or a `payload`, or remove it");
        cx.fault(at, CODE, told);
    } else if let Some(at) = named(&["every"]).filter(|_| named(&["times"]).is_none()) {
        cx.fault(at, CODE, ("it happens once", "add `times:` and how often it happens"));
    }
    // An answer is expected to count, or to be refused as it says.
    course.is_expecting |= named(&EXPECTED).or(named(&["answer"])).is_some();
}

/// Notes a scenario that expects nothing of any of its steps.
pub(super) fn scenario(cx: &mut Reading<'_>, name: &Spot<String>, course: &Course<'_>) {
    if !course.is_expecting {
        let hint = "add `told:` to a step; `told: []` means that nobody is told anything";
        cx.fault(name.at, CODE, ("this scenario expects nothing", hint));
    }
}

/// Notes a list without items where an empty one would say nothing.
pub(super) fn filled(cx: &mut Reading<'_>, node: &Node, told: (&str, &str)) {
    if node.value == Branch::Nothing || matches!(&node.value, Branch::List(items) if items.is_empty()) {
        cx.fault(node.at, CODE, told);
    }
}

/// Notes a name with nothing behind it, where an empty list would say that nothing comes.
pub(super) fn stated(cx: &mut Reading<'_>, node: &Node, hint: &str) {
    if node.value == Branch::Nothing {
        cx.fault(node.at, CODE, ("nothing is said here", hint));
    }
}
