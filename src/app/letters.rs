//! Letters: dead letters as they lie in their topic, and which of them can be sent on their way again.
//!
//! What the source lane set aside was told to nobody and is remembered by nobody: written to its topic once
//! more it is read as if for the first time. What a later lane set aside is remembered as heard, so that writing
//! it again would be taken for a copy; it stays where it is.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::broker::{Header, Incoming, Outgoing};
use crate::event::{Source, Timestamp, Topic};

/// What the names of Bugle's own headers begin with.
const OURS: &str = "__bugle.errors.";
/// Says on a record sent again which letter it was.
const REDRIVEN: &str = "bugle.redrive";

/// A dead letter.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Where it lies: partition and offset of the dead letters.
    pub at: (i32, i64),
    /// When it was written.
    pub written: Timestamp,
    /// What Bugle says about it, by name: `stage`, `code`, `message`, `topic`, …
    pub said: BTreeMap<String, String>,
    /// The source's own key.
    pub key: Option<Bytes>,
    /// The source's own bytes.
    pub value: Option<Bytes>,
    headers: Vec<Header>,
}

/// Why a letter is not sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stays {
    /// A later lane set it aside.
    #[error("a later lane set it aside: written again it would be taken for a copy")]
    Heard,
    /// One rule could not use it, and others did.
    #[error("one rule could not use it and others did: written again it would be taken for a copy")]
    OneRule,
    /// Not all of its bytes are here.
    #[error("it was too large to be kept whole: take it from where it came from")]
    Clipped,
    /// It does not say where it came from.
    #[error("it names no topic of a source system")]
    Nowhere,
}

// === impl Letter ===

impl Letter {
    /// A record of the dead letters.
    #[must_use]
    pub fn read(record: Incoming) -> Self {
        let text = |bytes: &Option<Bytes>| {
            bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
        };
        let (ours, headers): (Vec<Header>, Vec<Header>) =
            record.headers.into_iter().partition(|(name, _)| name.starts_with(OURS));
        let said =
            ours.iter().filter_map(|(name, value)| Some((name.strip_prefix(OURS)?.to_owned(), text(value))));
        Self {
            at: (record.input.partition, record.offset),
            written: record.timestamp,
            said: said.collect(),
            key: record.key,
            value: record.value,
            headers,
        }
    }

    /// What Bugle says about it under this name; empty where it says nothing.
    #[must_use]
    pub fn word(&self, name: &str) -> &str {
        self.said.get(name).map_or("", String::as_str)
    }

    /// The record to write so that it is read again.
    ///
    /// # Errors
    /// [`Stays`].
    pub fn again(&self) -> Result<Outgoing, Stays> {
        if self.said.contains_key("clipped") {
            return Err(Stays::Clipped);
        }
        if self.word("stage") != "source" {
            return Err(Stays::Heard);
        }
        if self.said.contains_key("rule") {
            return Err(Stays::OneRule);
        }
        let topics = Source::ALL.map(Topic::Events);
        let topic = topics.into_iter().find(|topic| topic.to_string() == self.word("topic"));
        let partition = self.word("partition").parse().ok();
        let mut headers = self.headers.clone();
        headers.retain(|(name, _)| name != REDRIVEN);
        let (partition_of, offset) = self.at;
        headers.push((REDRIVEN.to_owned(), Some(format!("{partition_of}-{offset}").into())));
        let (key, value) = (self.key.clone(), self.value.clone());
        Ok(Outgoing { topic: topic.ok_or(Stays::Nowhere)?, partition, key, value, headers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::record::Input;

    fn letter(said: &[(&str, &str)]) -> Letter {
        let text = |text: &str| Some(Bytes::copy_from_slice(text.as_bytes()));
        let mut headers: Vec<Header> = vec![("traceparent".to_owned(), text("00-1"))];
        headers.extend(said.iter().map(|(name, value)| (format!("{OURS}{name}"), text(value))));
        let input = Input { topic: Topic::DeadLetters, partition: 2 };
        let (timestamp, key, value) = (Timestamp::default(), text("k"), text("bytes"));
        Letter::read(Incoming { input, offset: 9, timestamp, key, value, headers })
    }

    #[test]
    fn what_the_source_lane_set_aside_goes_back_as_it_came() {
        let said = [
            ("stage", "source"),
            ("topic", "opentext.xecm.events"),
            ("partition", "3"),
            ("code", "truncated"),
        ];
        let again = letter(&said).again().unwrap();
        assert_eq!((again.topic, again.partition), (Topic::Events(Source::Xecm), Some(3)));
        assert_eq!((again.key.as_deref(), again.value.as_deref()), (Some(&b"k"[..]), Some(&b"bytes"[..])));
        let names: Vec<&str> = again.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["traceparent", "bugle.redrive"]);
    }

    #[test]
    fn what_would_be_taken_for_a_copy_or_is_not_whole_stays() {
        let source = ("stage", "source");
        let stays = |said: &[(&str, &str)]| letter(said).again().unwrap_err();
        assert_eq!(stays(&[("stage", "subject")]), Stays::Heard);
        assert_eq!(stays(&[source, ("rule", "ec-1")]), Stays::OneRule);
        assert_eq!(stays(&[source, ("clipped", "value 9")]), Stays::Clipped);
        assert_eq!(stays(&[source, ("topic", "elsewhere")]), Stays::Nowhere);
    }
}
