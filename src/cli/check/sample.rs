//! Sample: one payload of somebody else's system, and the change that a mapping makes of it.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::{FAULTY, Output};
use crate::cli::Failure;
use crate::codec::{Code, Codec, Fault, Schemas, Unreadable, json as text};
use crate::event::Source;
use crate::event::frame::Format;
use crate::topology::{Arrival, Topology};

/// What became of the sample in one topic.
enum Became {
    /// A change; the mapping's name and place, where one made it.
    Change(Option<(String, String)>, Json),
    /// No news.
    Skipped(String, String),
    /// A dead letter.
    Refused(Fault),
}

/// What is printed of a sample, and the exit code.
pub(super) fn report(
    (file, topic): (&Path, Option<Source>),
    topology: &Topology,
    schemas: Schemas,
    output: Output,
) -> Result<(String, u8), Failure> {
    let payload = std::fs::read(file).map_err(|error| {
        Failure::failed(format!("`{}` cannot be read: {error}", file.display())).hint("check the path")
    })?;
    let codec = Codec::new(schemas.into(), None);
    let topics = topic.map_or(Source::ALL.to_vec(), |topic| vec![topic]);
    let mut became: Vec<(Source, Became)> =
        topics.into_iter().map(|source| (source, ask(topology, &codec, (source, &payload)))).collect();
    // A payload that says of one topic only that it is not its own is looked for in the others.
    if became.iter().any(|(_, became)| !is_elsewhere(became)) {
        became.retain(|(_, became)| !is_elsewhere(became));
    }
    let is_unmapped = |became: &Became| matches!(became, Became::Refused(Fault { code: Code::Unmapped, .. }));
    match became.iter().any(|(_, became)| is_unmapped(became)) {
        true => became.retain(|(_, became)| is_unmapped(became)),
        false if became.iter().all(|(_, became)| is_elsewhere(became)) => became.truncate(1),
        false => {}
    }
    let is_good = became.iter().all(|(_, became)| !matches!(became, Became::Refused(_)));
    let code = if is_good { 0 } else { FAULTY };
    let shown = match output {
        Output::Text => became.iter().map(|(source, became)| told(file, *source, became)).collect(),
        Output::Github => became.iter().map(|(_, became)| annotation(file, became)).collect(),
        Output::Json => {
            let samples: Vec<Json> = became.iter().map(|(source, became)| as_json(*source, became)).collect();
            format!(
                "{:#}\n",
                json!({ "ok": is_good, "sample": file.display().to_string(), "became": samples })
            )
        }
    };
    Ok((shown, code))
}

fn ask(topology: &Topology, codec: &Codec, (source, payload): (Source, &[u8])) -> Became {
    match topology.take(codec, source, (Format::Avro, &[]), payload) {
        Ok(Arrival::Mapped(change, mapping)) => {
            let by = (mapping.id.clone(), mapping.place.clone());
            Became::Change(Some(by), text::of_change(codec.schemas(), &change))
        }
        Ok(Arrival::Native(change)) => Became::Change(None, text::of_change(codec.schemas(), &change)),
        Ok(Arrival::Skipped(mapping)) => Became::Skipped(mapping.id.clone(), mapping.place.clone()),
        Err(Unreadable::Refused(fault)) => Became::Refused(fault),
        Err(Unreadable::WantsSchema(id)) => {
            Became::Refused(Fault::new(Code::UnknownSchema, format!("schema id {id} is not known here")))
        }
    }
}

fn is_elsewhere(became: &Became) -> bool {
    matches!(became, Became::Refused(Fault { code: Code::Unmapped | Code::BadMagic, .. }))
}

fn told(file: &Path, source: Source, became: &Became) -> String {
    let file = file.display();
    match became {
        Became::Change(by, change) => {
            let by = by.as_ref().map_or_else(
                || "it is a change of ours".to_owned(),
                |(id, place)| format!("mapping `{id}` ({place}) makes of it"),
            );
            format!("{file} in the topic of {source}: {by}\n{change:#}\n")
        }
        Became::Skipped(id, place) => {
            format!("{file} in the topic of {source}: mapping `{id}` ({place}) skips it\n")
        }
        Became::Refused(fault) => {
            format!("{file} in the topic of {source}: a dead letter, {fault}\n{}\n", hint(fault))
        }
    }
}

fn hint(fault: &Fault) -> &'static str {
    match fault.code {
        Code::Unmapped => "hint: add a mapping whose `when` it meets to a file of topology/mappings",
        Code::BadMagic => {
            "hint: add a file of mappings for its source to topology/mappings, or name it with --topic"
        }
        _ => "hint: correct the mapping, or give the field a `default`",
    }
}

fn annotation(file: &Path, became: &Became) -> String {
    match became {
        Became::Refused(fault) => format!("::error file={},title={}::{fault}\n", file.display(), fault.code),
        _ => String::new(),
    }
}

fn as_json(source: Source, became: &Became) -> Json {
    match became {
        Became::Change(by, change) => {
            json!({ "source": source.as_str(), "mapping": by.as_ref().map(|(id, _)| id), "change": change })
        }
        Became::Skipped(id, _) => json!({ "source": source.as_str(), "mapping": id, "skipped": true }),
        Became::Refused(fault) => json!({
            "source": source.as_str(),
            "fault": { "code": fault.code.as_str(), "field": fault.path, "message": fault.to_string() },
        }),
    }
}
