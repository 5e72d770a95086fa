//! Payload: the values of a file, as they lie in a source's topic, and what becomes of them there.
//!
//! Every verb that is given one takes it by this way, and it asks what the lanes ask. A file names neither the topic
//! nor the headers of a record: these two are found out here, and nothing else is.

use std::path::Path;

use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::Failure;
use crate::codec::json::Written;
use crate::codec::{Code, Codec, Fault, Name, Schemas, Unreadable, json, kind_of};
use crate::event::record::Sent;
use crate::event::{Change, Source};
use crate::topology::fault::nearest;
use crate::topology::{Arrival, Mapping, Topology};

/// By what a payload is read.
#[derive(Clone, Copy)]
pub(super) struct Sight<'s> {
    pub(super) codec: &'s Codec,
    /// Whose mappings take what others shaped.
    pub(super) topology: &'s Topology,
    /// The topic it came from; without it, any that it could come from.
    pub(super) topic: Option<Source>,
}

/// What became of a payload in one topic.
#[derive(Debug)]
pub(super) enum Became<T> {
    /// A change, and what was asked of it; the mapping that made it, where one did.
    Change(Option<By>, T),
    /// No news, as this mapping says.
    Skipped(By),
    /// A dead letter, and what to do about it where more is known than its fault.
    Refused(Fault, Option<String>),
    /// An event of ours that `bugle publish` would not write, and what to do about it.
    Unwritten(Fault, String),
}

/// A mapping by its name, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct By {
    pub(super) id: String,
    pub(super) place: String,
}

/// A payload in a topic, or in several where the same becomes of it.
pub(super) type InTopic<T> = (Vec<Source>, Sent, Became<T>);

// === impl Sight ===

impl Sight<'_> {
    /// What becomes of a value in the topic it came from, or in each that it could come from; `see` is asked of the
    /// change it becomes. An event as `bugle publish` takes it is read as it would be published.
    pub(super) fn look<T>(self, value: &[u8], see: impl Fn(&Change<'_>) -> T) -> Vec<InTopic<T>> {
        let json: Option<Json> = serde_json::from_slice(value).ok();
        let ours = json.as_ref().and_then(|json| Source::of_kind(json.get("kind")?.as_str()?));
        if let Some(source) = ours.filter(|_| self.topic.is_none()) {
            return vec![self.ours((source, value), see)];
        }
        let not_ours = json.as_ref().and_then(|json| self.why_not_ours(json));
        let mut sent = Sent::from(value.to_vec());
        let mut topic = self.topic;
        if let Some(event) = json.filter(|json| json.get("specversion").is_some()) {
            // What marks a CloudEvent is a header, and a file has none.
            let header = b"application/cloudevents+json".to_vec();
            sent.headers.push(("content-type".to_owned(), Some(header.into())));
            let of = event.get("type").and_then(Json::as_str).map(kind_of);
            topic = topic.or_else(|| of.and_then(Source::of_kind));
        }
        let topics = topic.map_or(Source::ALL.to_vec(), |topic| vec![topic]);
        let looked = topics
            .into_iter()
            .map(|source| (vec![source], sent.clone(), self.take((source, &sent), &see)))
            .map(|(source, sent, became)| match (became, &not_ours) {
                (Became::Refused(fault, None), Some(why)) if fault.code == Code::Unmapped => {
                    (source, sent, Became::Refused(fault, Some(format!("{UNMAPPED}, or {why}"))))
                }
                (became, _) => (source, sent, became),
            });
        settled(looked.collect())
    }

    /// What makes an event of ours of one that nearly is.
    fn why_not_ours(self, json: &Json) -> Option<String> {
        json.get("event_id").or_else(|| json.get("tenant"))?;
        match json.get("kind").and_then(Json::as_str) {
            None => Some("give it a `kind`, if it is to be an event of ours".to_owned()),
            Some(kind) => near(self.codec.schemas(), kind).map(|near| format!("write the kind `{near}`")),
        }
    }

    fn ours<T>(self, (source, value): (Source, &[u8]), see: impl Fn(&Change<'_>) -> T) -> InTopic<T> {
        let hint = |fault: &Fault, kind: Option<&str>| match (fault.code, kind) {
            (Code::SourceMismatch, _) => {
                format!("write `source: {source}`, or leave it out: the kind says it")
            }
            (Code::UnknownKind, _) | (_, None) => "`bugle schemas example` lists the kinds".to_owned(),
            (_, Some(kind)) => format!("compare it with `bugle schemas example {kind}`"),
        };
        match written(self.codec.schemas(), value) {
            Ok((event, written)) => {
                let sent = Sent::from(written.framed(Name::Events(source).local_id()));
                let became = match self.take((source, &sent), see) {
                    Became::Refused(fault, None) => {
                        let hint = hint(&fault, event["kind"].as_str());
                        Became::Refused(fault, Some(hint))
                    }
                    became => became,
                };
                (vec![source], sent, became)
            }
            Err(fault) => {
                let event: Option<Json> = serde_json::from_slice(value).ok();
                let hint = hint(&fault, event.as_ref().and_then(|event| event["kind"].as_str()));
                (vec![source], Sent::default(), Became::Unwritten(fault, hint))
            }
        }
    }

    fn take<T>(self, (source, sent): (Source, &Sent), see: impl Fn(&Change<'_>) -> T) -> Became<T> {
        let (format, headers) = (Codec::format_of(&sent.headers), Codec::event_headers(&sent.headers));
        let taken = || self.topology.take(self.codec, source, (format, &headers), &sent.value);
        let taken = match taken() {
            Err(Unreadable::WantsSchema(id)) => match self.codec.fetch(id) {
                Ok(_) => taken(),
                Err(error) => {
                    let detail = format!("schema id {id} cannot be asked for: {error}");
                    return Became::Refused(Fault::new(Code::UnknownSchema, detail), None);
                }
            },
            taken => taken,
        };
        match taken {
            Ok(Arrival::Mapped(change, mapping)) => Became::Change(Some(By::of(mapping)), see(&change)),
            Ok(Arrival::Native(change)) => Became::Change(None, see(&change)),
            Ok(Arrival::Skipped(mapping)) => Became::Skipped(By::of(mapping)),
            Err(Unreadable::Refused(fault)) => Became::Refused(fault, None),
            Err(Unreadable::WantsSchema(id)) => {
                let fault = Fault::new(Code::UnknownSchema, format!("schema id {id} is not known"));
                Became::Refused(fault, None)
            }
        }
    }
}

// === impl By ===

impl By {
    fn of(mapping: &Mapping) -> Self {
        Self { id: mapping.id.clone(), place: mapping.place.clone() }
    }
}

/// Without the topics of which it says only that it is not theirs. Where it is nobody's, those stay whose mappings
/// do not take it, else all of them; what becomes of it in several is said once.
fn settled<T>(mut looked: Vec<InTopic<T>>) -> Vec<InTopic<T>> {
    let code = |became: &Became<T>| match became {
        Became::Refused(fault, _) => Some(fault.code),
        _ => None,
    };
    let is_elsewhere = |became: &Became<T>| {
        use Code::{BadMagic, IncompatibleSchema, SourceMismatch, UnknownKind, Unmapped};
        let elsewhere = [Unmapped, BadMagic, SourceMismatch, UnknownKind, IncompatibleSchema];
        code(became).is_some_and(|code| elsewhere.contains(&code))
    };
    let all_are = |wanted| looked.iter().all(|(.., became)| code(became) == Some(wanted));
    if looked.iter().any(|(.., became)| !is_elsewhere(became)) && !all_are(Code::UnknownSchema) {
        looked.retain(|(.., became)| !is_elsewhere(became));
    } else if looked.iter().any(|(.., became)| code(became) == Some(Code::Unmapped)) {
        looked.retain(|(.., became)| code(became) == Some(Code::Unmapped));
    }
    let mut once: Vec<InTopic<T>> = Vec::new();
    for (topics, sent, became) in looked {
        let is_same = |other: &Became<T>| match (other, &became) {
            (Became::Refused(one, _), Became::Refused(other, _)) => {
                let says_nothing_of_it = [Code::Unmapped, Code::BadMagic, Code::UnknownSchema];
                one == other || (one.code == other.code && says_nothing_of_it.contains(&one.code))
            }
            _ => false,
        };
        let same = once.iter_mut().find(|(.., other)| is_same(other));
        match (same, became) {
            (Some((known, _, Became::Refused(fault, _))), Became::Refused(more, _)) => {
                known.extend(topics);
                if fault.code == Code::Unmapped {
                    fault.detail = format!("{}; {}", fault.detail, more.detail);
                }
            }
            (_, became) => once.push((topics, sent, became)),
        }
    }
    once
}

/// What to do about a payload that no mapping takes.
pub(super) const UNMAPPED: &str = "add a mapping whose `when` it meets to a file of topology/mappings";

/// The kind that is nearest to a word.
fn near<'s>(schemas: &'s Schemas, word: &str) -> Option<&'s str> {
    nearest(word, Source::ALL.into_iter().flat_map(|source| schemas.kinds(source)))
}

/// An event of ours as it is published; where its kind is none, the nearest is named.
pub(super) fn written(schemas: &Schemas, value: &[u8]) -> Result<(Json, Written), Fault> {
    let event = json::parse(value)?;
    match json::to_avro(schemas, &event) {
        Ok(written) => Ok((event, written)),
        Err(fault) if fault.code == Code::UnknownKind => {
            let kind = event["kind"].as_str().unwrap_or_default();
            Err(match near(schemas, kind) {
                Some(near) => fault.because(format!("it is none of ours: write `{near}`")),
                None => fault,
            })
        }
        Err(fault) => Err(fault),
    }
}

/// The bytes of a file, or of standard input for `-`.
pub(super) fn bytes_of(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = match file == Path::new("-") {
        true => std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes).map(|_| bytes),
        false => std::fs::read(file),
    };
    read.map_err(|error| {
        Failure::failed(format!("`{}` cannot be read: {error}", file.display())).hint("check the path")
    })
}

/// The values of a file with the lines they begin in, byte for byte: of JSON one after the other, of anything else
/// all of it.
pub(super) fn values(bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let begins = |at: usize| at + bytes[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    if !matches!(bytes.get(begins(0)), Some(b'{' | b'[')) {
        return vec![(1, bytes)];
    }
    let mut values = Vec::new();
    let mut parsed = serde_json::Deserializer::from_slice(bytes).into_iter::<&RawValue>();
    let (mut line, mut counted) = (1, 0);
    loop {
        let start = begins(parsed.byte_offset());
        line += bytes[counted..start].iter().filter(|byte| **byte == b'\n').count();
        counted = start;
        match parsed.next() {
            None => return values,
            Some(Ok(value)) => values.push((line, value.get().as_bytes())),
            // Whoever reads it says what is wrong with it.
            Some(Err(_)) => {
                values.push((line, &bytes[start..]));
                return values;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::values;

    #[test]
    fn a_file_is_cut_into_its_values_and_each_stays_as_it_is() {
        let told = |text: &'static str| -> Vec<(usize, String)> {
            let values = values(text.as_bytes()).into_iter();
            values.map(|(line, value)| (line, String::from_utf8_lossy(value).into_owned())).collect()
        };
        let pair = |line: usize, text: &str| (line, text.to_owned());
        assert_eq!(
            told("\n{\"a\": 1,\n \"a\":2}\n[ 3 ]{}\n"),
            [pair(2, "{\"a\": 1,\n \"a\":2}"), pair(4, "[ 3 ]"), pair(4, "{}")]
        );
        assert_eq!(told("{\"a\":1}\n{\"b\":\n"), [pair(1, "{\"a\":1}"), pair(2, "{\"b\":\n")]);
        assert_eq!(told("<xml/>\n{}"), [pair(1, "<xml/>\n{}")]);
        assert_eq!(told(""), [pair(1, "")]);
    }
}
