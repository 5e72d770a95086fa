//! Sample: one payload of somebody else's system, and the change that a mapping makes of it.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::{Args, FAULTY, Output};
use crate::cli::Failure;
use crate::cli::broker_args::BrokerArgs;
use crate::cli::payload::{Became, InTopic, Sight, UNMAPPED, bytes_of, values};
use crate::cli::registry_args::UNKNOWN_SCHEMA;
use crate::codec::{Code, Codec, Fault, Schemas, json as text};
use crate::event::Source;
use crate::topology::Topology;

/// What a value begins with whose schema a registry knows.
const FRAMED: u8 = 0;

/// What is printed of a sample, and the exit code.
pub(super) fn report(
    (file, args): (&Path, &Args),
    topology: &Topology,
    schemas: Schemas,
) -> Result<(String, u8), Failure> {
    let output = args.output;
    let bytes = bytes_of(file)?;
    // Settings are read only where they are asked for: any fault in them is none of a JSON file's.
    let registry = match bytes.first() {
        Some(&FRAMED) => args.registry.open(|| BrokerArgs::of_environment().load())?,
        _ => None,
    };
    let codec = Codec::new(schemas.into(), registry);
    let sight = Sight { codec: &codec, topology, topic: args.topic };
    let shown = |value| sight.look(value, |change| text::of_change(codec.schemas(), change));
    let became: Vec<InTopic<Json>> = values(&bytes).into_iter().flat_map(|(_, value)| shown(value)).collect();
    let is_good = became.iter().all(|(.., became)| fault_of(became).is_none());
    let code = if is_good { 0 } else { FAULTY };
    let shown = match output {
        Output::Text => became.iter().map(|(topics, _, became)| told(file, topics, became)).collect(),
        Output::Github => became.iter().map(|(.., became)| annotation(file, became)).collect(),
        Output::Json => {
            let samples: Vec<Json> =
                became.iter().map(|(topics, _, became)| as_json(topics, became)).collect();
            format!(
                "{:#}\n",
                json!({ "ok": is_good, "sample": file.display().to_string(), "became": samples })
            )
        }
    };
    Ok((shown, code))
}

fn fault_of(became: &Became<Json>) -> Option<&Fault> {
    match became {
        Became::Refused(fault, _) | Became::Unwritten(fault, _) => Some(fault),
        Became::Change(..) | Became::Skipped(_) => None,
    }
}

fn told(file: &Path, topics: &[Source], became: &Became<Json>) -> String {
    let file = file.display();
    let topic = match topics {
        [one] => format!("in the topic of {one}"),
        all if all.len() == Source::ALL.len() => "in any topic".to_owned(),
        some => format!(
            "in the topics of {}",
            some.iter().map(|topic| topic.as_str()).collect::<Vec<_>>().join(", ")
        ),
    };
    match became {
        Became::Change(by, change) => {
            let by = by.as_ref().map_or_else(
                || "it is a change of ours".to_owned(),
                |by| format!("mapping `{}` ({}) makes of it", by.id, by.place),
            );
            format!("{file} {topic}: {by}\n{change:#}\n")
        }
        Became::Skipped(by) => {
            format!("{file} {topic}: mapping `{}` ({}) skips it\n", by.id, by.place)
        }
        Became::Refused(fault, known) => {
            let hint = known.as_deref().unwrap_or_else(|| hint(fault));
            format!("{file} {topic}: a dead letter, {fault}\nhint: {hint}\n")
        }
        Became::Unwritten(fault, hint) => {
            format!("{file} is no event that could be published {topic}: {fault}\nhint: {hint}\n")
        }
    }
}

/// What to do about a payload that becomes no change: most often to its mapping.
fn hint(fault: &Fault) -> &'static str {
    use Code::{
        BadEnum, BadExpression, BadJson, BadMagic, BadTime, BadUtf8, DuplicateKey, EmptyValue,
        SourceMismatch, TooDeep, TooLarge, UnknownKind, UnknownSchema, Unmapped, WrongType,
    };
    match fault.code {
        Unmapped => UNMAPPED,
        BadMagic => {
            "check what sends it: Avro as a registry's serializer writes it, or JSON, in UTF-8 and without a mark \
             before it, that a mapping of topology/mappings takes"
        }
        UnknownKind | SourceMismatch => "add a mapping for its `type`, or name the topic with --topic",
        UnknownSchema => UNKNOWN_SCHEMA,
        EmptyValue | BadUtf8 | BadJson | DuplicateKey | TooDeep | TooLarge => {
            "no mapping can mend this: correct what sends it"
        }
        // One id for all payloads that lack theirs would make all but the first of them copies.
        _ if fault.path == "event_id" => {
            "make the id of fields that every such payload has; it can have no `default`"
        }
        BadTime => "name the `unit` in which the payload counts, correct the path, or leave the field out",
        BadEnum => "add a line for this value to the field's `table`, or give it a `default`",
        WrongType => "correct the path in the mapping, or make of its value what the field holds",
        BadExpression => "ask for what may not be there: `has(payload.x) ? payload.x : null`",
        _ => "correct the path in the mapping, or give the field a `default`",
    }
}

fn annotation(file: &Path, became: &Became<Json>) -> String {
    let place = format!("file={},", super::property(&file.display().to_string()));
    let error =
        |fault: &Fault| super::command(&place, fault.code.as_str(), (&fault.to_string(), hint(fault)));
    fault_of(became).map(error).unwrap_or_default()
}

fn as_json(topics: &[Source], became: &Became<Json>) -> Json {
    let sources: Vec<&str> = topics.iter().map(|topic| topic.as_str()).collect();
    match became {
        Became::Change(by, change) => {
            json!({ "sources": sources, "mapping": by.as_ref().map(|by| &by.id), "change": change })
        }
        Became::Skipped(by) => json!({ "sources": sources, "mapping": by.id, "skipped": true }),
        Became::Refused(fault, _) | Became::Unwritten(fault, _) => json!({
            "sources": sources,
            "fault": { "code": fault.code.as_str(), "field": fault.path, "message": fault.to_string() },
        }),
    }
}
