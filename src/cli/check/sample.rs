//! Sample: one payload of somebody else's system, and the change that a mapping makes of it.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::{Args, FAULTY, Output};
use crate::cli::Failure;
use crate::cli::broker_args::BrokerArgs;
use crate::cli::payload::{Became, InTopic, Sight, bytes_of, values};
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
        Output::Text => became.iter().map(|(source, _, became)| told(file, *source, became)).collect(),
        Output::Github => became.iter().map(|(.., became)| annotation(file, became)).collect(),
        Output::Json => {
            let samples: Vec<Json> =
                became.iter().map(|(source, _, became)| as_json(*source, became)).collect();
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
        Became::Refused(fault) | Became::Unwritten(fault) => Some(fault),
        Became::Change(..) | Became::Skipped(_) => None,
    }
}

fn told(file: &Path, source: Source, became: &Became<Json>) -> String {
    let file = file.display();
    match became {
        Became::Change(by, change) => {
            let by = by.as_ref().map_or_else(
                || "it is a change of ours".to_owned(),
                |by| format!("mapping `{}` ({}) makes of it", by.id, by.place),
            );
            format!("{file} in the topic of {source}: {by}\n{change:#}\n")
        }
        Became::Skipped(by) => {
            format!("{file} in the topic of {source}: mapping `{}` ({}) skips it\n", by.id, by.place)
        }
        Became::Refused(fault) => {
            format!("{file} in the topic of {source}: a dead letter, {fault}\nhint: {}\n", hint(fault))
        }
        Became::Unwritten(fault) => {
            let hint = "compare it with `bugle schemas example KIND`";
            format!("{file} is no event of {source} that could be published: {fault}\nhint: {hint}\n")
        }
    }
}

fn hint(fault: &Fault) -> &'static str {
    use Code::{
        BadJson, BadMagic, BadUtf8, DuplicateKey, EmptyValue, SourceMismatch, TooDeep, TooLarge, UnknownKind,
        UnknownSchema, Unmapped,
    };
    match fault.code {
        Unmapped => "add a mapping whose `when` it meets to a file of topology/mappings",
        BadMagic => "add a file of mappings for its source to topology/mappings, or name it with --topic",
        UnknownKind | SourceMismatch => "add a mapping for its `type`, or name the topic with --topic",
        UnknownSchema => UNKNOWN_SCHEMA,
        EmptyValue | BadUtf8 | BadJson | DuplicateKey | TooDeep | TooLarge => {
            "no mapping can mend this: correct what sends it"
        }
        _ => "correct the mapping, or give the field a `default`",
    }
}

fn annotation(file: &Path, became: &Became<Json>) -> String {
    let place = format!("file={},", super::property(&file.display().to_string()));
    let error =
        |fault: &Fault| super::command(&place, fault.code.as_str(), (&fault.to_string(), hint(fault)));
    fault_of(became).map(error).unwrap_or_default()
}

fn as_json(source: Source, became: &Became<Json>) -> Json {
    match became {
        Became::Change(by, change) => {
            json!({ "source": source.as_str(), "mapping": by.as_ref().map(|by| &by.id), "change": change })
        }
        Became::Skipped(by) => json!({ "source": source.as_str(), "mapping": by.id, "skipped": true }),
        Became::Refused(fault) | Became::Unwritten(fault) => json!({
            "source": source.as_str(),
            "fault": { "code": fault.code.as_str(), "field": fault.path, "message": fault.to_string() },
        }),
    }
}
