//! Tests: conditions, checked and asked.

use std::borrow::Cow;
use std::sync::Arc;

use proptest::prelude::*;

use crate::event::change::Slot;
use crate::event::{Field, FieldType, Shape, Source};

use super::*;

fn field(path: &str, ty: FieldType, optional: bool) -> Field {
    Field { path: path.to_owned(), ty, optional, default: None, relation: None, doc: String::new() }
}

fn shape() -> Shape {
    let levels = ["info", "high", "critical"].map(str::to_owned).to_vec();
    let fields = vec![
        field("kind", FieldType::Text, false),
        field("due_at", FieldType::Time, true),
        field("severity", FieldType::Symbol(levels), false),
        field("seq", FieldType::Int, true),
        field("depth", FieldType::Int, false),
        field("load", FieldType::Double, false),
        field("audience.roles", FieldType::Texts, false),
        field("action.ref", FieldType::Text, true),
        field("extra", FieldType::Map, false),
        field("occurred_at", FieldType::Time, false),
        field("expires_on", FieldType::Date, true),
    ];
    Shape::new(Source::Xecm, "Task".to_owned(), vec!["xecm.task.assigned".to_owned()], fields)
}

fn change(shape: &Arc<Shape>, due: Option<i64>) -> Change<'static> {
    // texts: kind, role, role, ref, extra name, extra value
    let bytes = b"xecm.task.assignedapprovermanagerA-1regionEMEA".to_vec();
    let slots = vec![
        Slot::Text(0, 18),
        due.map_or(Slot::Absent, Slot::Int),
        Slot::Symbol(1),
        Slot::Absent,
        Slot::Int(80),
        Slot::Double(0.5),
        Slot::List(0, 2),
        Slot::Text(33, 3),
        Slot::List(2, 1),
        Slot::Int(1_000),
        Slot::Int(1),
    ];
    let items = vec![Slot::Text(18, 8), Slot::Text(26, 7), Slot::Text(36, 6), Slot::Text(42, 4)];
    Change::new(Arc::clone(shape), Cow::Owned(bytes), slots, items)
}

fn holds(text: &str) -> Result<bool, RuleFault> {
    let shape = Arc::new(shape());
    Condition::parse(text, &shape).unwrap().holds(&change(&shape, Some(5_000)))
}

fn faults(text: &str) -> String {
    let found = Condition::parse(text, &shape()).unwrap_err();
    let line = |fault: &ConditionFault| {
        let at = text.get(fault.offset..fault.offset + fault.length).unwrap_or("?");
        format!("{}: {} [{at}] {}", fault.code, fault.message, fault.hint)
    };
    found.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_condition_holds_or_does_not() {
    for (text, expected) in [
        ("event.severity == \"high\"", true),
        ("event.severity in [\"high\", \"critical\"] && event.depth > 79", true),
        ("event.due_at != null && event.due_at < timestamp(\"1970-01-01T00:00:06Z\")", true),
        ("event.due_at == null || event.due_at - event.occurred_at > duration(\"5s\")", false),
        ("\"manager\" in event.audience.roles", true),
        ("\"qa\" in event.audience.roles", false),
        ("size(event.audience.roles) == 2", true),
        ("event.action != null", true),
        ("has(event.seq)", false),
        ("event.seq == null", true),
        ("event.seq == 3", false),
        ("event.extra.region == \"EMEA\"", true),
        ("event.extra[\"region\"] == \"EMEA\"", true),
        ("event.kind.startsWith(\"xecm.\")", true),
        ("event.depth * 2 - 60 == 100", true),
        ("event.depth >= 0.8 * event.load", true),
        ("event.load < 1", true),
        ("event.expires_on != null && event.expires_on == timestamp(\"1970-01-02T00:00:00Z\")", true),
        ("event.due_at != null ? event.due_at > event.occurred_at : false", true),
        ("!(event.severity == \"info\")", true),
    ] {
        assert_eq!(holds(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_decides_wins_over_a_fault_on_the_other_side() {
    let divides = |severity: &str| {
        holds(&format!("event.depth / (event.depth - 80) == 1 && event.severity == \"{severity}\""))
    };
    assert_eq!(divides("info"), Ok(false));
    assert_eq!(divides("high"), Err(RuleFault::DivisionByZero));
}

#[test]
fn every_slip_is_named_at_its_place_with_what_to_write() {
    let texts = [
        "event.due_att != null",
        "due_at != null",
        "event.due_at < \"x\"",
        "event.seq == \"3\"",
        "event.severity = \"high\"",
        "event.severity == \"hihg\"",
        "event.due_at < event.occurred_at",
        "event.seq + 1 > 2",
        "event.kind.startWith(\"a\")",
        "event.kind.matches(\"a.*\")",
        "event.depth > 3 and event.load < 1",
        "event.depth",
        "event.severity == \"high\" &&",
        "event.audience.roles == \"manager\"",
        "event.audience.roles.exists(r, r == \"a\")",
        "event.dept > 3 && event.laod > 1",
        "event.depth / 0 == 1 || event.load % 0.0 > 1",
    ];
    let said: Vec<String> = texts.iter().map(|text| faults(text)).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    unknown-field: `xecm.task.assigned` has no field `due_att` [event.due_att] write `event.due_at`
    unknown-field: unknown name `due_at` [due_at] write `event.due_at`
    wrong-type: a time cannot be compared with a text ["x"] write `timestamp("2026-01-05T09:00:00Z")`
    wrong-type: a whole number cannot be compared with a text ["3"] write `3` without quotes
    bad-condition: `=` does not compare [=] write `==`
    never-equal: this field is never `hihg` ["hihg"] write `high`
    missing-null-check: `event.due_at` may be absent here [event.due_at] ask first: `event.due_at != null && …`
    missing-null-check: `event.seq` may be absent here [event.seq] ask first: `event.seq != null && …`
    unknown-function: unknown function `startWith` [startWith] write `startsWith`
    unknown-function: unknown function `matches` [matches] write `contains`, `startsWith` or `endsWith`
    bad-condition: `and` is no operator of CEL [and] write `&&`
    wrong-type: a whole number stands where a truth value should [event.depth] compare it with something: `== …`
    bad-condition: this is no CEL: it ends where more has to follow [&] write a condition such as `event.due_at != null && event.severity == "high"`
    wrong-type: a list of texts cannot be compared with a text ["manager"] write `"manager" in …`
    unsupported-expression: conditions know no `all`, `exists`, `map` and `filter` [exists] compare fields with `==`, `<`, `in`, `contains` and join with `&&` and `||`
    unknown-field: `xecm.task.assigned` has no field `dept` [event.dept] write `event.depth`
    unknown-field: `xecm.task.assigned` has no field `laod` [event.laod] write `event.load`
    divides-by-zero: nothing can be divided by zero [0] write another number; of a field ask first: `event.x != 0 && …`
    divides-by-zero: nothing can be divided by zero [0.0] write another number; of a field ask first: `event.x != 0 && …`
    "#);
}

#[test]
fn what_is_the_same_whatever_comes_is_worked_out_before_anything_does() {
    let texts = [
        "true",
        "size(\"x\") > 5",
        "event.depth > 3 || 'true' == 'true'",
        "!(2 > 3) && event.depth > 3",
        "1 == 1 ? event.depth > 3 : event.load > 1",
        "event.depth <= event.depth",
        "event.depth - event.depth > 1",
        "event.kind.startsWith(event.kind) || event.kind.contains('')",
        "event.depth in []",
        "event.severity in [\"high\", \"high\"]",
        "9223372036854775807 + 1 > event.depth",
        "if event.depth == 3",
        "event.depth == 99999999999999999999",
        "has(event)",
        "event.depth > 3 ? true",
    ];
    let said: Vec<String> = texts.iter().map(|text| faults(text)).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    constant: this is always true, whatever comes [true] ask something of the event, such as `event.severity == "high"`, or take it out
    constant: this is always false, whatever comes [>] ask something of the event, such as `event.severity == "high"`, or take it out
    constant: this is always true, whatever comes [==] ask something of the event, such as `event.severity == "high"`, or take it out
    constant: this is always false, whatever comes [>] ask something of the event, such as `event.severity == "high"`, or take it out
    constant: this is always true, whatever comes [==] ask something of the event, such as `event.severity == "high"`, or take it out
    constant: the same stands on both sides: this is always true [<=] compare it with something else, or take it out
    constant: the same stands on both sides: this is always zero [-] compare it with something else, or take it out
    constant: every text holds itself, and an empty one: this is always true [startsWith] write the text to be found, or take it out
    constant: every text holds itself, and an empty one: this is always true [contains] write the text to be found, or take it out
    constant: nothing is in an empty list: this is always false [[] write what it may be: `in ["a", "b"]`
    stands-twice: this stands twice in the list ["high"] keep one of the two
    never-answers: this has no answer, whatever comes: a number in the condition is too large [+] compare smaller numbers
    bad-condition: this is no CEL: `if` is a word that CEL keeps for itself [i] write a condition such as `event.due_at != null && event.severity == "high"`
    bad-condition: this is no CEL: a number is too large [9] write a condition such as `event.due_at != null && event.severity == "high"`
    bad-condition: this is no CEL: `has` asks for a field, such as `has(event.due_at)` [e] write a condition such as `event.due_at != null && event.severity == "high"`
    bad-condition: this is no CEL: it ends where more has to follow [e] write a condition such as `event.due_at != null && event.severity == "high"`
    "#);
}

#[test]
fn whether_any_change_could_meet_a_condition_is_known_before_one_comes() {
    let shape = shape();
    let can = |text: &str| Condition::parse(text, &shape).unwrap().can_hold(&shape, &|_| None);
    for (text, possible) in [
        ("event.severity == \"high\" && event.severity == \"info\"", false),
        ("event.severity == \"high\" && !(event.severity in [\"high\", \"critical\"])", false),
        ("event.kind.contains(\"a\") && !event.kind.contains(\"a\")", false),
        ("event.depth > 5 && event.depth < 3", false),
        ("event.depth > 5 && event.depth < 6", false),
        ("event.load > 5 && event.load < 6", true),
        ("event.load > 5 && event.load <= 5.0", false),
        ("event.due_at == null && event.due_at != null", false),
        (
            "event.due_at != null && event.due_at < timestamp(\"2026-01-05T09:00:00Z\") && event.due_at > timestamp(\"2026-01-06T09:00:00Z\")",
            false,
        ),
        ("event.kind < \"a\" && event.kind > \"b\"", false),
        ("event.kind > \"a\" && event.kind < \"b\"", true),
        ("size(event.audience.roles) > 1 && size(event.audience.roles) < 1", false),
        ("size(event.audience.roles) < 0", false),
        ("event.extra.region == \"EMEA\" && event.extra.region == \"APAC\"", false),
        ("has(event.seq) && event.seq == null", false),
        ("event.depth % 7 == 3 && event.depth % 7 == 4", false),
        ("event.severity == \"high\" ? false : event.severity == \"high\"", false),
        // What cannot be told is possible.
        ("event.kind.contains(\"a\") && !event.kind.contains(\"b\")", true),
        ("event.depth > event.load && event.depth < event.load", true),
        ("event.due_at == null || event.due_at < timestamp(\"2026-01-05T09:00:00Z\")", true),
        ("!(event.severity == \"high\" && event.depth > 5)", true),
    ] {
        assert_eq!(can(text), possible, "{text}");
    }
}

#[test]
fn what_every_change_makes_true_is_known_before_one_comes() {
    let shape = shape();
    let can = |text: &str| Condition::parse(text, &shape).unwrap().can_fail(&shape);
    for (text, possible) in [
        ("event.severity != null", false),
        ("has(event.depth)", false),
        ("event.depth > 3 || event.depth <= 3", false),
        ("event.due_at == null || event.due_at != null", false),
        ("size(event.audience.roles) >= 0", false),
        ("event.severity in [\"info\", \"high\", \"critical\"]", false),
        ("event.due_at != null", true),
        ("event.depth > 3 || event.depth < 3", true),
        ("event.audience.roles != null", true),
        // What cannot be told may fail.
        ("event.kind.contains(\"a\") || !event.kind.contains(\"b\")", true),
    ] {
        assert_eq!(can(text), possible, "{text}");
    }
}

/// The crate's own interpreter says the same of everything both understand.
#[test]
fn the_crate_cel_agrees() {
    let shape = Arc::new(shape());
    let change = change(&shape, Some(5_000));
    let mut seen = 0;
    let eighty = "(event.depth > 0 ? 80 : 0)";
    for left in ["event.depth", eighty, "event.load", "event.depth + 1", "event.depth % 7", "-event.depth"] {
        for how in ["==", "!=", "<", "<=", ">", ">="] {
            for right in ["80", "0.5", "81", "event.depth + 0", "-80"] {
                for join in [
                    "&& event.severity == \"high\"",
                    "|| event.kind.contains(\"task\")",
                    "&& !event.kind.endsWith(\"x\")",
                ] {
                    let text = format!("{left} {how} {right} {join}");
                    let ours = Condition::parse(&text, &shape).unwrap().holds(&change);
                    assert_eq!(ours.ok(), theirs(&text), "{text}");
                    seen += 1;
                }
            }
        }
    }
    assert_eq!(seen, 540);
}

fn theirs(text: &str) -> Option<bool> {
    use std::collections::HashMap;
    let event: HashMap<&str, cel::Value> = HashMap::from([
        ("depth", cel::Value::Int(80)),
        ("load", cel::Value::Float(0.5)),
        ("severity", "high".into()),
        ("kind", "xecm.task.assigned".into()),
    ]);
    let mut context = cel::Context::default();
    context.add_variable_from_value("event", event);
    match cel::Program::compile(text).unwrap().execute(&context) {
        Ok(cel::Value::Bool(truth)) => Some(truth),
        _ => None,
    }
}

/// Something that looks like a condition.
fn soup() -> impl Strategy<Value = String> {
    let words = [
        "event.due_at",
        "event.severity",
        "event.seq",
        "event.depth",
        "event.load",
        "event.audience.roles",
        "event.extra",
        "event.extra.region",
        "event.expires_on",
        "event.occurred_at",
        "event.nothing",
        "event",
        "null",
        "true",
        "1",
        "-7",
        "0.5",
        "9223372036854775807",
        "\"high\"",
        "'é'",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "==",
        "!=",
        "<",
        ">=",
        "&&",
        "||",
        "!",
        "in",
        "?",
        ":",
        ",",
        ".",
        "+",
        "-",
        "*",
        "/",
        "%",
        "size(",
        "has(",
        "startsWith(",
        "matches(",
        "timestamp(",
        "duration(\"1h\")",
        "int(",
        ".contains(",
        "exists(x, x == 1)",
        "ß",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..14)
        .prop_map(|words| words.join(" "))
}

#[test]
fn a_slip_behind_wide_letters_is_placed_between_two_letters() {
    for (text, offset) in [("\"……ß\"a", 10), ("'ä' 'b'", 5), ("ß", 0)] {
        let faults = Condition::parse(text, &shape()).unwrap_err();
        assert_eq!(faults[0].offset, offset, "{text}: {faults:?}");
    }
}

#[test]
fn a_chain_longer_than_a_stack_is_a_fault_and_no_end_of_the_process() {
    let chains = ["1+", "event.", "-", "!", "true && ", "true ? 1 : "];
    for link in chains {
        let text = link.repeat(20_000) + "depth";
        let faults = Condition::parse(&text, &shape()).unwrap_err();
        assert_eq!(faults[0].message, "the condition is too long", "{link}");
    }
    let indexed = format!("event.due_at{} == 1", "[0]".repeat(20_000));
    assert_eq!(Condition::parse(&indexed, &shape()).unwrap_err()[0].message, "the condition is too long");
    let long = "event.depth > 1 && ".repeat(50) + "event.depth > 2";
    assert!(Condition::parse(&long, &shape()).is_ok());
}

proptest! {
    /// Whatever is written, each fault has a place in it, and what has none can be asked.
    #[test]
    fn no_text_is_a_panic(soup in soup(), any in "[ -~äß…]{0,40}") {
        let shape = Arc::new(shape());
        for text in [soup, any] {
            match Condition::parse(&text, &shape) {
                Ok(condition) => {
                    for due in [None, Some(5_000)] {
                        let _ = condition.holds(&change(&shape, due));
                    }
                }
                Err(faults) => {
                    prop_assert!(!faults.is_empty());
                    for fault in faults {
                        // What is missing is missing at the end.
                        let end = fault.offset + fault.length;
                        let lies = end <= text.len() + 1 && text.is_char_boundary(fault.offset);
                        prop_assert!(lies, "{}: {:?}", text, fault);
                    }
                }
            }
        }
    }
}
