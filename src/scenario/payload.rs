//! Payload: what somebody else's system sends, as a scenario holds it: in a file beside it, or written down.

use crate::codec::Codec;
use crate::event::Source;
use crate::event::record::Sent;
use crate::topology::reading::{Fields, Reading};
use crate::topology::tree::Branch;
use crate::topology::{Arrival, Topology};

use super::read::Cast;

/// `payload:` with `topic:`, and `headers:` where the record has some.
pub(super) fn read(cx: &mut Reading<'_>, fields: &mut Fields<'_>, cast: &Cast<'_>) -> Option<(Source, Sent)> {
    let (payload, topic, headers) = (fields.get("payload"), fields.get("topic"), fields.get("headers"));
    let Some(node) = payload else {
        if let Some(node) = topic.or(headers) {
            let told = ("nothing is sent there", "add `payload:` and a file, or the payload itself");
            cx.fault(node.at, "missing-field", told);
        }
        return None;
    };
    let Some(topic) = topic else {
        let told = ("no topic is named for this payload", "add `topic:` and a source, such as `topic: bws`");
        cx.fault(node.at, "missing-field", told);
        return None;
    };
    let source = cx.word(topic, &Source::ALL.map(|source| (source.as_str(), source)))?;
    let value = match &node.value {
        Branch::Map(_) | Branch::List(_) => node.plain().to_string().into_bytes(),
        _ => {
            let name = cx.text(node)?.value;
            match std::fs::read(cast.folder.join(&name)) {
                Ok(bytes) => bytes,
                Err(error) => {
                    let fact = format!("`{name}` cannot be read: {error}");
                    cx.fault(node.at, "unreadable", (fact, "name a file beside this one"));
                    return None;
                }
            }
        }
    };
    let mut sent = Sent::from(value);
    if let Some(headers) = headers.and_then(|node| cx.fields(node, "`headers`")) {
        for (name, node) in headers.rest() {
            let text = cx.text(node)?;
            sent.headers.push((name.value.clone(), Some(text.value.into_bytes().into())));
        }
    }
    Some((source, sent))
}

/// The mapping that takes an event, if one does.
pub(super) fn taken_by(
    topology: &Topology,
    codec: &Codec,
    (source, sent): (Source, &Sent),
) -> Option<String> {
    let (format, headers) = (Codec::format_of(&sent.headers), Codec::event_headers(&sent.headers));
    match topology.take(codec, source, (format, &headers), &sent.value).ok()? {
        Arrival::Mapped(_, mapping) | Arrival::Skipped(mapping) => Some(mapping.id.clone()),
        Arrival::Native(_) => None,
    }
}
