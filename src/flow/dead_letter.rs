//! Dead letter: what cannot be used is kept, byte for byte, with where it lay and why.
//!
//! The key, the value and the headers stay the source's own; what Bugle adds are headers whose names
//! start with `__bugle.errors.`. The codes are a closed list: an operator may build on them.

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

/// The record for `bugle.dead-letters`.
#[must_use]
pub fn record(cause: &Cause<'_>, key: Option<Bytes>, value: Option<Bytes>, headers: &[Header]) -> Outgoing {
    let mut headers = headers.to_vec();
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
    if let Some(rule) = cause.rule {
        add("rule", rule);
    }
    if let Some(subject) = cause.subject {
        add("subject", subject);
    }
    Outgoing { topic: Topic::DeadLetters, partition: None, key, value, headers }
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
}
