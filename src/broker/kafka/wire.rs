//! Wire: a record of ours as the client library takes it, and one of its as we do.
//!
//! Bytes are copied both ways and never looked at.

use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use rdkafka::util::IntoOpaque;

use super::super::{Incoming, Input, Outgoing, Topic};
use crate::clock;
use crate::event::Timestamp;

/// The record for the topic of this name; the bytes are borrowed, and copied when it is handed over.
pub(super) fn record<'a, D: IntoOpaque>(
    topic: &'a str,
    record: &'a Outgoing,
    opaque: D,
) -> BaseRecord<'a, [u8], [u8], D> {
    let mut out = BaseRecord::with_opaque_to(topic, opaque);
    out.partition = record.partition;
    out.key = record.key.as_deref();
    out.payload = record.value.as_deref();
    if !record.headers.is_empty() {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: value.as_deref() });
        }
        out.headers = Some(headers);
    }
    out
}

/// A record as it was read.
pub(super) fn incoming(message: &BorrowedMessage<'_>, topic: Topic) -> Incoming {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.map(Bytes::copy_from_slice)))
            .collect()
    });
    Incoming {
        input: Input { topic, partition: message.partition() },
        offset: message.offset(),
        timestamp: clock::shown(Timestamp::from_millis(message.timestamp().to_millis().unwrap_or_default())),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers,
    }
}
