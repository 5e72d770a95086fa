//! Dead letter: what cannot be used is kept, byte for byte, with where it lay and why.
//!
//! The key, the value and the headers stay the source's own; what Bugle adds are headers whose names
//! start with `__bugle.errors.`. The codes are a closed list: an operator may build on them. What is too
//! large for a record of ours is clipped, and says so: the whole lies where it came from.

use bytes::Bytes;

use crate::event::record::Header;
use crate::event::{Outgoing, Topic};

/// What is said about a dead letter.
#[derive(Debug, Clone)]
pub struct Cause<'a> {
    /// The lane that gave up.
    pub lane: &'static str,
    /// A stable code, such as `truncated`.
    pub code: &'a str,
    /// One sentence for a person; at most 1 KiB is kept.
    pub message: &'a str,
    /// Where the record lay: topic, partition, offset.
    pub at: (Topic, i32, i64),
    /// The rule that could not use it, when another could.
    pub rule: Option<&'a str>,
    /// The subject, when one was chosen.
    pub subject: Option<&'a str>,
}

/// The header that holds a batch as it lay in its frame: what a person reads of it is no batch any more.
pub const PARCEL: &str = "__bugle.errors.parcel";

/// The most of a source's bytes that one letter carries: with what is added, less than a record may have.
const MOST_BYTES: usize = 960 * 1024;

/// The record for `bugle.dead-letters`.
#[must_use]
pub fn record(cause: &Cause<'_>, key: Option<Bytes>, value: Option<Bytes>, headers: &[Header]) -> Outgoing {
    let (kept, clipped) = Kept::of(key, value, headers);
    let Kept { key, value, mut headers } = kept;
    let mut add = |name: &str, text: &str| {
        headers.push((format!("__bugle.errors.{name}"), Some(Bytes::copy_from_slice(text.as_bytes()))));
    };
    add("stage", cause.lane);
    add("code", cause.code);
    add("message", clip(cause.message, 1_024));
    let (topic, partition, offset) = cause.at;
    add("topic", &topic.to_string());
    add("partition", &partition.to_string());
    add("offset", &offset.to_string());
    add("version", env!("CARGO_PKG_VERSION"));
    if let Some(clipped) = clipped {
        add("clipped", &clipped);
    }
    if let Some(rule) = cause.rule {
        add("rule", rule);
    }
    if let Some(subject) = cause.subject {
        add("subject", subject);
    }
    Outgoing { topic: Topic::DeadLetters, partition: None, key, value, headers }
}

/// What of a record a letter carries.
struct Kept {
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Vec<Header>,
}

// === impl Kept ===

impl Kept {
    /// All of it, or as much as there is room for: the key first, then the value, then the headers that
    /// still fit. What was left away is said with the bytes there were.
    fn of(key: Option<Bytes>, value: Option<Bytes>, headers: &[Header]) -> (Self, Option<String>) {
        let len = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let weight = |header: &Header| header.0.len() + len(&header.1);
        let in_headers: usize = headers.iter().map(weight).sum();
        let sizes = (len(&key), len(&value), in_headers);
        if sizes.0 + sizes.1 + sizes.2 <= MOST_BYTES {
            return (Self { key, value, headers: headers.to_vec() }, None);
        }
        let mut room = MOST_BYTES;
        let mut first = |bytes: Option<Bytes>| {
            let kept = bytes.map(|bytes| bytes.slice(..bytes.len().min(room)));
            room -= len(&kept);
            kept
        };
        let (key, value) = (first(key), first(value));
        let mut kept = Vec::new();
        for header in headers {
            if weight(header) <= room {
                room -= weight(header);
                kept.push(header.clone());
            }
        }
        let clipped = format!("key {}, value {}, headers {} bytes", sizes.0, sizes.1, sizes.2);
        (Self { key, value, headers: kept }, Some(clipped))
    }
}

fn clip(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Source;

    #[test]
    fn the_bytes_and_headers_of_a_dead_letter_are_the_sources_own() {
        let cause = Cause {
            lane: "source",
            code: "truncated",
            message: &"ä".repeat(1_000),
            at: (Topic::Events(Source::Xecm), 3, 42),
            rule: None,
            subject: None,
        };
        let value = Some(Bytes::from_static(b"\x00\x00\x00\x00\x07\xff"));
        let letter = record(&cause, None, value.clone(), &[("trace".to_owned(), None)]);
        assert_eq!((letter.value, letter.key), (value, None));
        let header = |name: &str| {
            let found = letter.headers.iter().find(|(header, _)| header == name).unwrap();
            String::from_utf8(found.1.clone().unwrap_or_default().to_vec()).unwrap()
        };
        assert_eq!(header("trace"), "");
        assert_eq!(header("__bugle.errors.code"), "truncated");
        assert_eq!(header("__bugle.errors.offset"), "42");
        assert_eq!(header("__bugle.errors.message").len(), 1_024);
    }

    #[test]
    fn what_does_not_fit_is_clipped_and_says_how_much_there_was() {
        let cause = Cause {
            lane: "source",
            code: "too-large",
            message: "",
            at: (Topic::Events(Source::Xecm), 0, 1),
            rule: None,
            subject: None,
        };
        let large = Some(Bytes::from(vec![7; 3 << 20]));
        let size = |letter: &Outgoing| {
            let bytes = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
            let headers = letter.headers.iter().map(|(name, value)| name.len() + bytes(value));
            bytes(&letter.key) + bytes(&letter.value) + headers.sum::<usize>()
        };
        let clipped = |letter: &Outgoing| {
            let found = letter.headers.iter().find(|(name, _)| name == "__bugle.errors.clipped");
            found.map(|(_, text)| String::from_utf8(text.clone().unwrap_or_default().to_vec()).unwrap())
        };
        let letter = record(&cause, None, large.clone(), &[("trace".to_owned(), None)]);
        assert!(size(&letter) < 1_000_000, "{}", size(&letter));
        assert_eq!(clipped(&letter).unwrap(), "key 0, value 3145728, headers 5 bytes");
        let small = Some(Bytes::from_static(b"x"));
        let headers = [("large".to_owned(), large), ("small".to_owned(), None)];
        let letter = record(&cause, small.clone(), small.clone(), &headers);
        assert_eq!((&letter.key, &letter.value, letter.headers[0].0.as_str()), (&small, &small, "small"));
        assert_eq!(clipped(&record(&cause, small.clone(), small, &[])), None);
    }
}
