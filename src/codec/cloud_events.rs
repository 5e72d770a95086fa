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

/// The kind of ours that a CloudEvent's type would be.
#[must_use]
pub fn kind_of(ty: &str) -> &str {
    ty.strip_prefix(PREFIX).unwrap_or(ty)
}

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
        let value = std::str::from_utf8(value).map_err(|_| Fault::at(Code::BadUtf8, *header))?;
        if let Some(name) = header.strip_prefix("ce_") {
            if attributes.insert(name.to_owned(), value.into()).is_some() {
                return Err(Fault::at(Code::DuplicateKey, *header).because("the header stands twice"));
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
        other => return Err(json::wrong(&other, "data", "an object")),
    };
    for (attribute, field) in ATTRIBUTES {
        if let Some(value) = attributes.remove(attribute) {
            event.insert(field.to_owned(), value);
        }
    }
    if let Some(Json::String(kind)) = event.get_mut("kind") {
        *kind = kind_of(kind).to_owned();
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
        other => return Err(json::wrong(other, "extra", "an object")),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::codec::{Codec, Schemas, Unreadable};
    use crate::event::frame::Format;
    use crate::event::{Change, Source, Value};

    const EVENT: &str = r#"{
        "specversion": "1.0", "id": "evt-7", "source": "/cs/audit", "type": "com.opentext.xecm.document.published",
        "time": "2026-01-05T09:00:00+01:00", "subject": "document/4711", "tenant": "acme", "traceparent": "00-ab",
        "datacontenttype": "application/json",
        "data": {
            "severity": "high", "node": {"id": 4711, "name": "Datasheet.pdf", "owner_id": 1000},
            "external_party": "weber", "channel": "web", "pages": 12
        }
    }"#;

    fn codec() -> Codec {
        Codec::new(Arc::new(Schemas::built_in()), None)
    }

    fn read<'a>(codec: &Codec, text: &'a str) -> Result<Change<'a>, Unreadable> {
        codec.decode(Source::Xecm, Format::CloudEvent, &[], text.as_bytes())
    }

    fn field<'v>(change: &'v Change<'_>, path: &str) -> Value<'v> {
        change.value(change.shape().slot(path).unwrap())
    }

    fn text(text: &str) -> Value<'_> {
        Value::Text(text.into())
    }

    fn assert_is_the_event(change: &Change<'_>) {
        assert_eq!(
            (change.event_id(), change.tenant(), change.kind()),
            ("evt-7", "acme", "xecm.document.published")
        );
        assert_eq!(change.occurred_at().to_string(), "2026-01-05T08:00:00.000Z");
        for (path, value) in [
            ("entity.type", "document"),
            ("entity.id", "4711"),
            ("node.id", "4711"),
            ("severity", "high"),
            ("external_party", "weber"),
            ("channel", "web"),
        ] {
            assert_eq!(field(change, path), text(value), "{path}");
        }
        let extra = [
            ("ce_source", "/cs/audit"),
            ("ce_traceparent", "00-ab"),
            ("node.owner_id", "1000"),
            ("pages", "12"),
        ];
        let extra = extra.map(|(name, value)| (name.to_owned(), text(value)));
        assert_eq!(
            field(change, "extra"),
            Value::Named(extra.map(|(name, value)| (name.into(), value)).into())
        );
    }

    #[test]
    fn a_structured_event_becomes_a_change_and_what_is_unknown_is_kept() {
        assert_is_the_event(&read(&codec(), EVENT).unwrap());
    }

    #[test]
    fn a_binary_event_becomes_the_same_change() {
        let whole: serde_json::Value = serde_json::from_str(EVENT).unwrap();
        let headers: Vec<_> = whole.as_object().unwrap().iter().filter(|(name, _)| *name != "data").collect();
        let mut kafka: Vec<_> = headers
            .iter()
            .filter(|(name, _)| *name != "datacontenttype")
            .map(|(name, value)| (format!("ce_{name}"), value.as_str().map(|text| text.to_owned().into())))
            .collect();
        kafka.push(("content-type".to_owned(), Some("application/json; charset=utf-8".into())));
        kafka.push(("unrelated".to_owned(), Some("x".into())));
        assert_eq!(Codec::format_of(&kafka), Format::CloudEventBinary);
        let data = whole["data"].to_string();
        let headers = Codec::event_headers(&kafka);
        let change =
            codec().decode(Source::Xecm, Format::CloudEventBinary, &headers, data.as_bytes()).unwrap();
        assert_is_the_event(&change);
    }

    #[test]
    fn the_format_is_told_by_the_headers() {
        let content = |value: &'static str| vec![("content-type".to_owned(), Some(value.into()))];
        assert_eq!(
            Codec::format_of(&content("application/cloudevents+json; charset=utf-8")),
            Format::CloudEvent
        );
        assert_eq!(Codec::format_of(&content("avro/binary")), Format::Avro);
        assert_eq!(Codec::format_of(&[]), Format::Avro);
    }

    #[test]
    fn an_event_that_is_wrong_is_refused_with_a_code_and_its_field() {
        let table = [
            (
                r#""specversion": "1.0""#,
                r#""specversion": "0.3""#,
                "bad-attribute at `specversion`: only 1.0 is read",
            ),
            (r#""id": "evt-7","#, "", "missing-field at `event_id`: nothing stands where a text should"),
            (r#""id": "evt-7""#, r#""id": """#, "missing-field at `event_id`: it is empty"),
            (r#""tenant": "acme","#, "", "missing-field at `tenant`: nothing stands where a text should"),
            (
                r#""time": "2026-01-05T09:00:00+01:00""#,
                r#""time": "yesterday""#,
                "bad-time at `occurred_at`: it is no time: write 2026-01-05T09:00:00Z, or milliseconds since 1970",
            ),
            (
                "xecm.document.published",
                "xecm.document.shredded",
                "unknown-kind at `kind`: it is none of ours: `bugle schemas example` lists them",
            ),
            (
                "com.opentext.xecm.document.published",
                "bws.item.added",
                "missing-field at `workspace`: nothing stands where an object should",
            ),
            (
                r#""severity": "high""#,
                r#""severity": "loud""#,
                "bad-enum at `severity`: it is none of info, low, medium, high, critical",
            ),
            (
                r#""external_party": "weber""#,
                r#""external_party": ["weber"]"#,
                "wrong-type at `external_party`: a list stands where a text should",
            ),
            (
                r#""external_party": "weber","#,
                "",
                "missing-field at `external_party`: nothing stands where a text should",
            ),
            (
                r#""pages": 12"#,
                r#""pages": 1e400"#,
                "bad-number: a number is too large for any field: line 7, column 71",
            ),
            (
                r#""pages": 12"#,
                r#""pages": 12, "pages": 13"#,
                "duplicate-key: an object names a member twice: line 8, column 9",
            ),
        ];
        for (old, new, fault) in table {
            assert!(EVENT.contains(old), "{old}");
            let wrong = EVENT.replace(old, new);
            assert_eq!(read(&codec(), &wrong).unwrap_err().to_string(), fault, "{new}");
        }
        assert_eq!(read(&codec(), "").unwrap_err().to_string(), "empty-value");
        assert_eq!(
            read(&codec(), "[1]").unwrap_err().to_string(),
            "wrong-type: a CloudEvent is a JSON object"
        );
    }

    #[test]
    fn a_whole_event_of_ours_may_travel_as_the_data() {
        let schemas = Schemas::built_in();
        let inner =
            crate::codec::example::event(&schemas, "bws.action.completed", crate::codec::example::MONDAY)
                .unwrap();
        let outer = serde_json::json!({"specversion": "1.0", "id": "e1", "type": "bws.action.completed", "data": inner});
        let outer = outer.to_string();
        let codec = codec();
        let change = codec.decode(Source::Bws, Format::CloudEvent, &[], outer.as_bytes()).unwrap();
        assert_eq!((change.event_id(), field(&change, "action_name")), ("e1", text("review")));
    }

    #[test]
    fn a_header_that_is_not_text_or_stands_twice_is_refused() {
        let read = |headers: &[(&str, &[u8])]| {
            codec().decode(Source::Xecm, Format::CloudEventBinary, headers, b"{}").unwrap_err().to_string()
        };
        assert_eq!(read(&[("ce_id", b"\xff")]), "bad-utf8 at `ce_id`");
        assert_eq!(
            read(&[("ce_id", b"a"), ("ce_id", b"b")]),
            "duplicate-key at `ce_id`: the header stands twice"
        );
        assert_eq!(
            read(&[("content-type", b"text/xml")]),
            "bad-attribute at `content-type`: data must be JSON"
        );
    }
}
