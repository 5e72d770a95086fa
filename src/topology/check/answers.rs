//! Answers: whether what a rule offers can be answered, is carried back, and ends what the rule says it ends.

use std::sync::Arc;

use crate::event::notice::Verb;
use crate::event::{FieldType, Relation, Shape};

use super::super::compile::Compiler;
use super::super::fault::Spot;
use super::super::kinds::type_name;
use super::super::plan::RulePlan;
use super::all_words;

/// Notes answers that mean nothing, reach nobody or are not theirs to give, and what is said of them in vain.
pub(super) fn answers(cx: &mut Compiler<'_>, plan: &RulePlan, shapes: &[Arc<Shape>]) {
    let offered: Vec<&Spot<Vec<Verb>>> = all_words(plan).filter_map(|words| words.answers.as_ref()).collect();
    let offers = |verb: Verb| offered.iter().any(|answers| answers.value.contains(&verb));
    let decides = offers(Verb::Approve) || offers(Verb::Reject);
    let first = offered.first().map_or(plan.at, |answers| answers.at);
    for shape in shapes {
        let kind = shape.kinds.first().map_or("this kind", String::as_str);
        if (decides || offers(Verb::RequestInfo)) && shape.field("action.ref").is_none() {
            let fact = format!("`{kind}` has no action that could be answered");
            cx.fault(first, "no-action", (fact, "offer `acknowledge` only, or match a kind with `action`"));
        }
        if decides && plan.write_back.is_empty() {
            let fact =
                format!("a decision about `{kind}` counts here, and never reaches the system that asked");
            let hint = "add `write_back: { approve: {…}, reject: {…} }`, or offer `acknowledge` only";
            cx.fault(first, "no-write-back", (fact, hint));
        } else if decides && plan.refused.is_none() {
            let fact =
                format!("the system may refuse what is decided about `{kind}`, and nobody would hear so");
            cx.fault(first, "refused-untold", (fact, "add `refused: { message: … }`"));
        }
        if decides
            && !cx.is_guess
            && plan.never.is_none()
            && shape.related(Relation::Requester).next().is_some()
        {
            let fact = format!("who asked for `{kind}` could approve it");
            cx.fault(first, "missing-never", (fact, "add `never: requester`"));
        }
    }
    if let Some(answers) = plan.closed.as_ref().and_then(|closed| closed.words.answers.as_ref())
        && !answers.value.is_empty()
    {
        let told = ("what is closed is not answered", "leave `answers` out here");
        cx.fault(answers.at, "unused", told);
    }
    if let Some(refused) = plan.refused.as_ref().filter(|_| plan.write_back.is_empty()) {
        let at = refused.message.as_ref().map_or(plan.at, |message| message.at);
        let told = (
            "no answer is carried back, so none is ever refused",
            "add `write_back:`, or leave `refused` out",
        );
        cx.fault(at, "unused", told);
    }
    counted(cx, plan, shapes);
    let written = plan.write_back.iter().map(|(verb, _)| (*verb, "write_back"));
    for (Spot { value: verb, at }, what) in plan.stop.iter().map(|(verb, _)| (*verb, "stop")).chain(written) {
        if !offers(verb) {
            let fact = format!("`{what}` names `{}`, which is never offered", verb.as_str());
            cx.fault(at, "unoffered-answer", (fact, format!("add `{}` to `answers`", verb.as_str())));
        }
    }
}

/// `+1` is one more than a person saw: where the change holds no such number, they saw none.
fn counted(cx: &mut Compiler<'_>, plan: &RulePlan, shapes: &[Arc<Shape>]) {
    let counts = |value: &str| value.strip_prefix('+').is_some_and(|more| more.parse::<i64>().is_ok());
    let written = plan.write_back.iter().flat_map(|(_, writes)| writes);
    for (field, _) in written.filter(|(_, value)| counts(value)) {
        for shape in shapes {
            match shape.field(&field.value).map(|field| &field.ty) {
                None => cx.unknown_field(field.at, &field.value, shape),
                Some(FieldType::Int) => {}
                Some(other) => {
                    let fact = format!("`{}` is {} and cannot be counted up", field.value, type_name(other));
                    cx.fault(
                        field.at,
                        "wrong-type",
                        (fact, "name a whole number, or write the value itself"),
                    );
                }
            }
        }
    }
}
