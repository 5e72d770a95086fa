//! Editor: JSON Schema of the files of `topology/`, so that an editor completes and explains them.
//!
//! Made from the kinds of the schemas in use, so that it knows a house's own kinds, too. It is more lenient than
//! [`Topology::load`](super::Topology::load), which alone decides.

use serde_json::{Map, Value as Json, json};

use crate::event::Source;
use crate::event::notice::Verb;

use super::kinds::Kinds;
use super::mapping::Unit;

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Of a file of rules.
#[must_use]
pub fn rules(kinds: &Kinds) -> Json {
    json!({
        "$schema": DRAFT,
        "title": "Bugle rules",
        "description": "One file of rules for one source system: topology/<source>.yaml",
        "type": "object",
        "required": ["source", "rules"],
        "additionalProperties": false,
        "properties": {
            "source": { "enum": Source::ALL.map(Source::as_str), "description": "Whose changes the rules hear" },
            "defaults": {
                "type": "object",
                "additionalProperties": false,
                "description": "What the rules of this file say unless they say it themselves",
                "properties": defaults(),
            },
            "calendars": { "type": "array", "items": { "$ref": "#/$defs/calendar" }, "description": "When people work, for business time" },
            "mandatory": { "$ref": "#/$defs/texts", "description": "Categories that nobody can mute" },
            "rules": { "type": "array", "items": rule(kinds) },
        },
        "$defs": shared(),
    })
}

/// Of a file of messages.
#[must_use]
pub fn messages() -> Json {
    let text = |what: &str| json!({ "type": "string", "description": what });
    json!({
        "$schema": DRAFT,
        "title": "Bugle messages",
        "description": "Texts by name and locale: topology/messages/*.yaml",
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "description": "One message, by locale such as `en` or `de-CH`",
            "propertyNames": { "pattern": "^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$" },
            "additionalProperties": {
                "type": "object",
                "required": ["title", "body"],
                "additionalProperties": false,
                "properties": {
                    "title": text("The title, with values such as {{ event.node.name }}"),
                    "body": text("The text below it"),
                    "link": text("Where a tap leads, such as {{ event.entity.url }}"),
                    "several": {
                        "type": "object",
                        "description": "What is said of several changes",
                        "required": ["title"],
                        "additionalProperties": false,
                        "properties": {
                            "title": text("The title, such as {{ count | plural(one=\"# task\", other=\"# tasks\") }}"),
                            "body": text("The text below it; without one, that of a single change"),
                        },
                    },
                },
            },
        },
    })
}

/// Of a file of mappings.
#[must_use]
pub fn mappings(kinds: &Kinds) -> Json {
    let known: Vec<&str> = kinds.names().collect();
    let expression = "CEL over `payload`, such as `payload.order.id`";
    let constant = json!({ "type": ["string", "number", "boolean", "array"] });
    let made = json!({ "type": "object", "additionalProperties": false, "properties": {
        "value": { "description": "The value itself" },
        "from": { "type": "string", "description": expression },
        "table": { "type": "object", "additionalProperties": constant, "description": "Ours by theirs" },
        "unit": { "enum": Unit::WORDS.map(|(word, _)| word), "description": "What `from` counts times in, since 1970" },
        "default": { "description": "Where the payload says nothing, or the table has no line" },
    } });
    let given = json!({ "anyOf": [
        { "type": "string", "description": expression },
        { "type": ["number", "boolean"] },
        { "type": "array", "items": { "anyOf": [{ "type": "string", "description": expression }, made] } },
        made,
    ] });
    let mut paths: Vec<&str> = kinds
        .names()
        .filter_map(|kind| kinds.shape(kind))
        .flat_map(|shape| shape.fields.iter().map(|field| field.path.as_str()))
        .filter(|path| !matches!(*path, "source" | "kind" | "schema" | "extra"))
        .collect();
    paths.sort_unstable();
    paths.dedup();
    let fields: Map<String, Json> = paths.into_iter().map(|path| (path.to_owned(), given.clone())).collect();
    json!({
        "$schema": DRAFT,
        "title": "Bugle mappings",
        "description": "Payloads that others shaped, and the changes they are: topology/mappings/*.yaml",
        "type": "object",
        "required": ["source", "mappings"],
        "additionalProperties": false,
        "properties": {
            "source": { "enum": Source::ALL.map(Source::as_str), "description": "In whose topic the payloads lie" },
            "root": { "type": "string", "description": "Where paths begin, in payloads that have such a member: `payload` for Kafka Connect" },
            "mappings": { "type": "array", "items": {
                "type": "object",
                "required": ["id"],
                "additionalProperties": false,
                "properties": {
                    "id": { "type": "string", "pattern": "^[a-z0-9._-]{1,64}$" },
                    "when": { "type": "string", "description": "A condition in CEL over `payload`; the first mapping whose condition holds takes it" },
                    "skip": { "const": true, "description": "What it takes is no news for anybody" },
                    "kind": { "anyOf": [{ "enum": known }, made] },
                    "fields": { "type": "object", "additionalProperties": false, "properties": fields,
                        "patternProperties": { "^extra\\.": given } },
                },
            } },
        },
    })
}

fn defaults() -> Json {
    let mut properties = Map::new();
    properties
        .insert("locale".to_owned(), json!({ "type": "string", "description": "Every message has it" }));
    let own = own_fields();
    for name in [
        "category", "priority", "answers", "fallback", "never", "tenants", "channel", "app", "expires", "cap",
    ] {
        if let Some(property) = own.get(name) {
            properties.insert(name.to_owned(), property.clone());
        }
    }
    Json::Object(properties)
}

fn rule(kinds: &Kinds) -> Json {
    let mut properties = own_fields();
    for name in ["match", "until"] {
        properties.insert(name.to_owned(), wanted(kinds));
    }
    json!({
        "type": "object",
        "required": ["id", "match", "audience"],
        "additionalProperties": false,
        "properties": properties,
    })
}

fn wanted(kinds: &Kinds) -> Json {
    let known: Vec<&str> = kinds.names().collect();
    let kind = json!({ "anyOf": [{ "enum": known }, { "type": "string", "pattern": "\\*$" }] });
    json!({
        "type": "object",
        "required": ["kind"],
        "description": "Kinds of changes, and fields with the values they may have",
        "properties": { "kind": { "anyOf": [kind, { "type": "array", "items": kind }] } },
    })
}

fn own_fields() -> Map<String, Json> {
    let reference = |name: &str| json!({ "$ref": format!("#/$defs/{name}") });
    let fields = json!({
        "id": { "type": "string", "pattern": "^[a-z0-9._-]{1,64}$", "description": "Stable: what is open is kept under it" },
        "use_case": { "type": "string" },
        "if": { "type": "string", "description": "A condition in CEL over `event`" },
        "subject": { "description": "What the rule counts by", "anyOf": [reference("texts"), {
            "type": "object", "required": ["by"], "additionalProperties": false,
            "properties": { "by": reference("texts"), "each": reference("texts") },
        }] },
        "news": reference("texts"),
        "within": reference("span"),
        "tell": { "type": "string", "pattern": "^(now|later|hold [0-9]+ ?[smhdw].*)$", "description": "now, later, or hold 15m" },
        "audience": { "type": "string", "description": "role: location: unit: person: party: member: assignees owner …, with && || ! ( )" },
        "fallback": { "description": "Asked when the audience is nobody; with words of their own, what those are told", "anyOf": [
            { "type": "string" },
            { "type": "object", "required": ["to"], "additionalProperties": false, "properties": said(json!({ "to": { "type": "string" } })) },
        ] },
        "never": { "type": "string", "description": "Taken away at the very end" },
        "tenants": reference("texts"),
        "channel": reference("texts"),
        "app": { "type": "string" },
        "message": { "type": "string", "description": "A name of topology/messages" },
        "priority": reference("priority"),
        "answers": reference("answers"),
        "window": reference("window"),
        "stop": { "type": "object", "additionalProperties": false, "properties": by_verb(&json!({ "type": "string" })) },
        "write_back": { "type": "object", "additionalProperties": false, "properties": by_verb(&json!({ "type": "object" })) },
        "remind": { "anyOf": [reference("ladder"), { "type": "array", "items": reference("ladder") }] },
        "repeat": { "type": "object", "required": ["every"], "additionalProperties": false, "properties": said(json!({
            "every": reference("span"), "at": reference("hour"), "most": reference("count"), "to": { "type": "string" },
        })) },
        "escalate": { "type": "array", "items": { "type": "object", "required": ["at", "to"], "additionalProperties": false,
            "properties": said(json!({ "at": reference("moment"), "to": { "type": "string" } })) } },
        "expires": reference("moment"),
        "closed": { "type": "object", "required": ["message"], "additionalProperties": false,
            "properties": said(json!({ "to": { "type": "string" } })) },
        "refused": { "type": "object", "required": ["message"], "additionalProperties": false,
            "properties": said(json!({})) },
        "replace": { "anyOf": [{ "const": "subject" }, reference("texts")] },
        "calendar": { "type": "string", "description": "The field that says at which location business time counts" },
        "order": { "type": "string", "description": "The field that tells an older state from a newer" },
        "dedupe": { "type": "object", "required": ["by", "for"], "additionalProperties": false,
            "properties": { "by": reference("texts"), "for": reference("span") } },
        "cap": { "type": "object", "required": ["most", "in"], "additionalProperties": false,
            "properties": { "most": reference("count"), "in": reference("span"), "then": { "enum": ["digest", "drop"] } } },
        "category": { "type": "string", "description": "What a person's preferences refer to" },
        "mutes": { "type": "object", "required": ["rules", "equal"], "additionalProperties": false,
            "properties": { "rules": reference("texts"), "equal": reference("texts") } },
        "inhibit": { "type": "object", "required": ["while"], "additionalProperties": false,
            "properties": { "while": { "type": "string" }, "equal": reference("texts") } },
    });
    match fields {
        Json::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// What a rung, repeat, step or close may say of its own.
fn said(more: Json) -> Json {
    let reference = |name: &str| json!({ "$ref": format!("#/$defs/{name}") });
    let own = json!({
        "message": { "type": "string" }, "priority": reference("priority"),
        "answers": reference("answers"), "window": reference("window"),
    });
    match (own, more) {
        (Json::Object(mut own), Json::Object(more)) => {
            own.extend(more);
            Json::Object(own)
        }
        (own, _) => own,
    }
}

fn by_verb(of: &Json) -> Json {
    Json::Object(Verb::ALL.iter().map(|verb| (verb.as_str().to_owned(), of.clone())).collect())
}

fn shared() -> Json {
    let reference = |name: &str| json!({ "$ref": format!("#/$defs/{name}") });
    let strict = |properties: Json| json!({ "type": "object", "additionalProperties": false, "properties": properties });
    json!({
        "texts": { "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] },
        "span": { "type": "string", "pattern": "^[0-9]+ ?[smhdw]", "description": "30s, 15m, 4h, 2d or 1w" },
        "count": { "type": "integer", "minimum": 1 },
        "hour": { "type": "string", "pattern": "^[0-2]?[0-9]:[0-5][0-9]$", "description": "\"09:00\"" },
        "moment": { "type": "string", "description": "event.due_at + 4h, opened, told + 15m, last + 1d, told + 4bh in business time, or a span from the event" },
        "calendar": { "type": "object", "required": ["hours"], "additionalProperties": false, "properties": {
            "tenant": { "type": "string" }, "location": { "type": "string" }, "zone": { "type": "string" },
            "days": { "type": "array", "items": { "enum": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] } },
            "hours": { "type": "string", "pattern": "^[0-2]?[0-9]:[0-5][0-9]-[0-2]?[0-9]:[0-5][0-9]$" },
            "holidays": { "type": "array", "items": { "type": "string" } },
        } },
        "priority": { "enum": ["low", "normal", "high", "critical"] },
        "answers": { "type": "array", "items": { "enum": Verb::ALL.map(Verb::as_str) } },
        "rung": { "type": "object", "required": ["in"], "additionalProperties": false, "properties": said(json!({ "in": reference("span") })) },
        "ladder": strict(said(json!({
            "before": reference("moment"), "after": reference("moment"), "at": { "type": "array", "items": reference("rung") },
            "every": reference("span"), "most": reference("count"), "to": { "type": "string" },
        }))),
        "window": { "anyOf": [{ "const": "none" }, strict(json!({
            "by": reference("texts"),
            "latest-state": reference("span"),
            "digest": strict(json!({ "open": reference("span"), "every": reference("span"), "close": reference("hour"), "lead": { "type": "boolean" }, "most": reference("count") })),
            "threshold": strict(json!({ "count": reference("count"), "within": reference("span"), "value": { "type": "string" },
                "raise": { "type": "string" }, "clear": { "type": "string" }, "for": reference("span") })),
            "session": strict(json!({ "gap": reference("span"), "longest": reference("span") })),
        }))] },
    })
}
