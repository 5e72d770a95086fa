//! Payload: the values of a file, as they lie in a source's topic, and what becomes of them there.
//!
//! Every verb that is given one takes it by this way, and it asks what the lanes ask. A file names neither the topic
//! nor the headers of a record: these two are found out here, and nothing else is.

use std::path::Path;

use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::Failure;
use crate::codec::{Code, Codec, Fault, Name, Unreadable, json, kind_of};
use crate::event::record::Sent;
use crate::event::{Change, Source};
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
    /// A dead letter.
    Refused(Fault),
    /// An event of ours that `bugle publish` would not write.
    Unwritten(Fault),
}

/// A mapping by its name, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct By {
    pub(super) id: String,
    pub(super) place: String,
}

/// A payload in a topic.
pub(super) type InTopic<T> = (Source, Sent, Became<T>);

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
        let looked =
            topics.into_iter().map(|source| (source, sent.clone(), self.take((source, &sent), &see)));
        settled(looked.collect())
    }

    fn ours<T>(self, (source, value): (Source, &[u8]), see: impl Fn(&Change<'_>) -> T) -> InTopic<T> {
        let written = json::parse(value).and_then(|event| json::to_avro(self.codec.schemas(), &event));
        match written {
            Ok(written) => {
                let sent = Sent::from(written.framed(Name::Events(source).local_id()));
                let became = self.take((source, &sent), see);
                (source, sent, became)
            }
            Err(fault) => (source, Sent::default(), Became::Unwritten(fault)),
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
                    return Became::Refused(Fault::new(Code::UnknownSchema, detail));
                }
            },
            taken => taken,
        };
        match taken {
            Ok(Arrival::Mapped(change, mapping)) => Became::Change(Some(By::of(mapping)), see(&change)),
            Ok(Arrival::Native(change)) => Became::Change(None, see(&change)),
            Ok(Arrival::Skipped(mapping)) => Became::Skipped(By::of(mapping)),
            Err(Unreadable::Refused(fault)) => Became::Refused(fault),
            Err(Unreadable::WantsSchema(id)) => {
                Became::Refused(Fault::new(Code::UnknownSchema, format!("schema id {id} is not known")))
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
/// do not take it, else the first.
fn settled<T>(mut looked: Vec<InTopic<T>>) -> Vec<InTopic<T>> {
    let is_elsewhere = |became: &Became<T>| {
        use Code::{BadMagic, IncompatibleSchema, SourceMismatch, UnknownKind, Unmapped};
        let Became::Refused(fault) = became else { return false };
        matches!(fault.code, Unmapped | BadMagic | SourceMismatch | UnknownKind | IncompatibleSchema)
    };
    let is_unknown =
        |became: &Became<T>| matches!(became, Became::Refused(Fault { code: Code::UnknownSchema, .. }));
    let is_unmapped =
        |became: &Became<T>| matches!(became, Became::Refused(Fault { code: Code::Unmapped, .. }));
    if looked.iter().all(|(.., became)| is_unknown(became)) {
        looked.truncate(1);
    } else if looked.iter().any(|(.., became)| !is_elsewhere(became)) {
        looked.retain(|(.., became)| !is_elsewhere(became));
    } else if looked.iter().any(|(.., became)| is_unmapped(became)) {
        looked.retain(|(.., became)| is_unmapped(became));
    } else {
        looked.truncate(1);
    }
    looked
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
