//! Wire: a record of ours as the client library takes it.

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use rdkafka::util::IntoOpaque;

use super::super::Outgoing;

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
