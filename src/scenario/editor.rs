//! Editor: JSON Schema of the files of scenarios, so that an editor completes and explains them.
//!
//! It is more lenient than [`load`](super::load), which alone decides.

use serde_json::{Value as Json, json};

use crate::event::notice::Verb;
use crate::event::write_back::REFUSALS;
use crate::event::{Reason, Source};
use crate::topology::Kinds;

use super::expect::PRIORITIES;

/// Of a file of scenarios.
#[must_use]
pub fn scenarios(kinds: &Kinds) -> Json {
    let known: Vec<&str> = kinds.names().collect();
    let of_file = json!({
        "use_case": text("The use case of a rule, as README.md's table has it"),
        "people": { "description": "A people.csv or people.jsonl beside this file, or the people themselves",
            "anyOf": [{ "type": "string" }, reference("people")] },
        "scenarios": { "type": "array", "items": strict(&["name", "steps"], json!({
            "name": text("A clause that is true of the rules, and is no other scenario's name"),
            "steps": { "type": "array", "items": reference("step") },
        }), &shared()) },
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Bugle scenarios",
        "description": "What the rules say over hours and days: topology/scenarios/*.yaml",
        "$defs": {
            "texts": { "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] },
            "span": { "type": "string", "pattern": "^[0-9]+ ?[smhdw]", "description": "30s, 15m, 4h, 2d or 1w" },
            "moment": text("2026-01-05 16:00, '16:00' or 2026-01-05T15:00:00Z"),
            "count": { "type": "integer", "minimum": 1 },
            "verb": { "enum": Verb::ALL.map(Verb::as_str) },
            "occasion": { "type": "string", "pattern": "^(first|closed|(reminder|step)-[1-9][0-9]*)$" },
            "who": { "description": "A user id, or tenant/user", "anyOf": [reference("texts")] },
            "person": { "type": "object", "required": ["user_id"], "description": "As a line of people.jsonl; what is not said stays as it was" },
            "people": { "anyOf": [reference("person"), { "type": "array", "items": reference("person") }] },
            "members": list(&strict(&["scope", "people"], json!({
                "scope": text("workspace/20814, process/…, app/… or record/…"),
                "role": { "type": "string" }, "people": reference("who"),
            }), &json!({}))),
            "step": step(&known),
        },
        "allOf": [strict(&["scenarios"], of_file, &shared())],
    })
}

/// What a file says for its scenarios, and each of them for itself.
fn shared() -> Json {
    json!({
        "tenant": text("Whose people are meant where none is named; `acme`"),
        "zone": text("The zone of its times, such as Europe/Berlin"),
        "start": reference("moment"),
        "tenants": { "type": "object", "description": "What a tenant's people have who say nothing themselves",
            "additionalProperties": strict(&["zone"], json!({
                "zone": { "type": "string" }, "locale": { "type": "string" },
                "places": { "type": "object", "additionalProperties": { "type": "string" } },
            }), &json!({})) },
        "directory": reference("people"),
        "members": reference("members"),
    })
}

fn step(kinds: &[&str]) -> Json {
    let happens = json!({
        "at": reference("moment"), "after": reference("span"),
        "until": { "description": "What is told up to then belongs to this step: a time, or a span", "type": "string" },
        "topology": { "description": "Rules in force from now on: a folder or file beside this one, or what is otherwise in those before",
            "anyOf": [{ "type": "string" }, strict(&[], json!({
                "rules": { "type": "object", "description": "By id: the fields that change; `null` takes a field, or the rule, away" },
                "messages": { "type": "object", "description": "By name: the locales that change" },
            }), &json!({}))] },
        "event": { "enum": kinds, "description": "The example of this kind happens" },
        "with": { "type": "object", "description": "What differs from the example, by field" },
        "times": reference("count"), "every": reference("span"),
        "payload": { "description": "What somebody else's system sends: a file beside this one, or the payload itself" },
        "topic": { "enum": Source::ALL.map(Source::as_str) },
        "headers": { "type": "object", "additionalProperties": { "type": "string" } },
        "answer": reference("verb"), "by": { "type": "string" }, "token_of": { "type": "string" },
        "comment": { "type": "string" }, "of": text("To the pushes of this rule"),
        "push": { "description": "To which of them, from 1; the last one", "anyOf": [reference("count")] },
        "refused": text("The word of the refusal, where the answer does not count"),
        "directory": reference("people"), "members": reference("members"),
        "silence": strict(&["matchers", "for"], json!({ "matchers": reference("texts"), "for": reference("span") }), &json!({})),
        "push_service": { "anyOf": [
            { "enum": ["takes", "unavailable", "blocks", "unclear"] },
            strict(&["refuses"], json!({ "refuses": { "type": "string" }, "person": { "type": "string" } }), &json!({})),
        ] },
        "source_system": { "description": "What it makes of the answers from now on", "anyOf": [
            { "enum": ["takes"] },
            strict(&["refuses"], json!({ "refuses": { "enum": REFUSALS } }), &json!({})),
        ] },
    });
    strict(&[], happens, &expected())
}

fn expected() -> Json {
    let reasons: Vec<String> = Reason::ALL.iter().map(|reason| reason.as_str().to_owned()).collect();
    let reasons = format!("^(told|routed|{})(\\(.*\\))?$", reasons.join("|"));
    let silent = strict(&["to"], json!({ "rule": { "type": "string" }, "to": reference("who") }), &json!({}));
    json!({
        "told": list(&strict(&["rule", "to"], json!({
            "rule": { "type": "string" }, "to": reference("who"), "text": reference("texts"),
            "locale": { "type": "string" }, "answers": { "type": "array", "items": reference("verb") },
            "priority": { "enum": PRIORITIES.map(|(word, _)| word) }, "occasion": reference("occasion"),
            "link": text("A text the link holds"), "app": { "type": "string" },
        }), &json!({}))),
        "not_told": { "anyOf": [{ "type": "string" }, silent,
            { "type": "array", "items": { "anyOf": [{ "type": "string" }, silent] } }] },
        "verdicts": list(&strict(&["reason"], json!({
            "rule": { "type": "string" }, "reason": { "type": "string", "pattern": reasons },
            "occasion": reference("occasion"), "people": reference("who"),
        }), &json!({}))),
        "write_back": { "description": "All of what is written back, and what each holds",
            "anyOf": [{ "type": "object" }, { "type": "array", "items": { "type": "object" } }] },
        "dead_letters": reference("texts"),
    })
}

fn text(what: &str) -> Json {
    json!({ "type": "string", "description": what })
}

fn reference(name: &str) -> Json {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// One of them, or a list.
fn list(of: &Json) -> Json {
    json!({ "anyOf": [of, { "type": "array", "items": of }] })
}

/// A map of these names and no others.
fn strict(required: &[&str], own: Json, more: &Json) -> Json {
    let mut properties = own;
    if let (Some(properties), Some(more)) = (properties.as_object_mut(), more.as_object()) {
        properties.extend(more.clone());
    }
    json!({ "type": "object", "required": required, "additionalProperties": false, "properties": properties })
}
