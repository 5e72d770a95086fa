//! CloudEvents: events of producers that do not write our Avro, brought into it.
//!
//! Attributes become the envelope, the members of `data` the fields of the same name. A producer may
//! put the envelope's other fields (`entity`, `severity`, `node` ...) into `data` as they are called in
//! the schema. Only version 1.0 and JSON data are read.

use serde_json::{Map, Value as Json};

use super::decode::EventHeaders;
use super::fault::{Code, Fault};
use super::json;
use super::schemas::{Name, Schemas};
use crate::event::Source;

/// Attributes that become fields of the envelope.
const ATTRIBUTES: [(&str, &str); 4] =
    [("id", "event_id"), ("type", "kind"), ("time", "occurred_at"), ("tenant", "tenant")];

/// What producers put before our kinds to make them unique in the world.
const PREFIX: &str = "com.opentext.";

/// Writes a CloudEvent in structured mode as our Avro.
pub(super) fn structured(schemas: &Schemas, source: Source, payload: &[u8]) -> Result<Vec<u8>, Fault> {
    match json::parse(payload)? {
        Json::Object(mut attributes) => {
            if attributes.contains_key("data_base64") {
                return Err(Fault::at(Code::BadAttribute, "data_base64").because("data must be JSON"));
            }
            let data = attributes.remove("data").unwrap_or(Json::Null);
            event(schemas, source, attributes, data)
        }
        _ => Err(Fault::new(Code::WrongType, "a CloudEvent is a JSON object")),
    }
}

/// Writes a CloudEvent in binary mode as our Avro.
pub(super) fn binary(
    schemas: &Schemas,
    source: Source,
    headers: &EventHeaders<'_>,
    payload: &[u8],
) -> Result<Vec<u8>, Fault> {
    let mut attributes = Map::new();
    for (header, value) in headers {
        let value = std::str::from_utf8(value).map_err(|_| Fault::at(Code::BadUtf8, header.as_ref()))?;
        if let Some(name) = header.strip_prefix("ce_") {
            if attributes.insert(name.to_owned(), value.into()).is_some() {
                return Err(Fault::at(Code::DuplicateKey, header.as_ref()).because("the header stands twice"));
            }
        } else if header.eq_ignore_ascii_case("content-type") && !is_json(value) {
            return Err(Fault::at(Code::BadAttribute, "content-type").because("data must be JSON"));
        }
    }
    event(schemas, source, attributes, json::parse(payload)?)
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind == "application/json" || kind.ends_with("+json")
}

fn event(
    schemas: &Schemas,
    source: Source,
    mut attributes: Map<String, Json>,
    data: Json,
) -> Result<Vec<u8>, Fault> {
    match attributes.remove("specversion") {
        Some(Json::String(version)) if version == "1.0" => {}
        Some(_) => return Err(Fault::at(Code::BadAttribute, "specversion").because("only 1.0 is read")),
        None => return Err(Fault::at(Code::MissingField, "specversion")),
    }
    // Data that has data of its own is a whole event of ours, wrapped.
    let mut event = match data {
        Json::Object(event) if event.get("data").is_some_and(Json::is_object) => event,
        Json::Object(data) => Map::from_iter([("data".to_owned(), Json::Object(data))]),
        Json::Null => Map::new(),
        _ => return Err(Fault::at(Code::WrongType, "data").because("it is an object")),
    };
    for (attribute, field) in ATTRIBUTES {
        if let Some(value) = attributes.remove(attribute) {
            event.insert(field.to_owned(), value);
        }
    }
    if let Some(Json::String(kind)) = event.get_mut("kind")
        && let Some(ours) = kind.strip_prefix(PREFIX)
    {
        *kind = ours.to_owned();
    }
    if let Some(Json::String(subject)) = attributes.remove("subject") {
        let said =
            event.contains_key("entity") || event.get("data").is_some_and(|data| !data["entity"].is_null());
        if !said {
            event.insert("entity".to_owned(), entity(&subject));
        }
    }
    event.insert("source".to_owned(), source.as_str().into());
    attributes.remove("datacontenttype");
    // What is left says something too: the producer's URI, extensions such as a trace.
    let extra = attributes.into_iter().map(|(name, value)| (format!("ce_{name}"), value));
    match event.entry("extra").or_insert_with(|| Json::Object(Map::new())) {
        Json::Object(known) => known.extend(extra),
        _ => return Err(Fault::at(Code::WrongType, "extra").because("it is an object")),
    }
    let written = json::to_avro(schemas, &Json::Object(event))?;
    if written.source != source {
        return Err(Fault::at(Code::SourceMismatch, "type").because(format!("this topic is {source}'s")));
    }
    Ok(written.framed(Name::Events(source).local_id()))
}

/// `contract/4711` names type and id; without a slash it is the id.
fn entity(subject: &str) -> Json {
    let (kind, id) = subject.split_once('/').unwrap_or(("entity", subject));
    serde_json::json!({"type": kind, "id": id})
}
