//! Weight: how many bytes crossed Kafka for each person told.
//!
//! Reads Bugle's own topics back and compresses each record by itself with LZ4, as the producers do with
//! whole batches: an upper bound, and the same on every cluster.

use std::time::Duration;

use crate::broker::{Broker, BrokerError};
use crate::event::Topic;

/// The topics a telling crosses after its change was routed.
const CROSSED: [Topic; 9] = [
    Topic::Seen,
    Topic::State,
    Topic::People,
    Topic::Told,
    Topic::Waiting,
    Topic::Pushes,
    Topic::Parked,
    Topic::Receipts,
    Topic::Audit,
];

/// Keys and values of what the lanes remember and keep open, of people, pushes, receipts and audit, compressed.
///
/// # Errors
/// What the broker said.
pub fn of_topics(broker: &dyn Broker) -> Result<u64, BrokerError> {
    let mut bytes = 0;
    for topic in CROSSED {
        let mut follow = broker.follow(topic)?;
        let ends = follow.ends()?;
        let mut records = Vec::new();
        while follow.positions().iter().zip(&ends).any(|(position, end)| position < end) {
            follow.poll(Duration::from_millis(100), &mut records)?;
            for record in records.drain(..) {
                let key = record.key.as_ref().map_or(0, bytes::Bytes::len);
                let value = record.value.as_deref().unwrap_or_default();
                // Kafka leaves what does not shrink as it is.
                bytes += (key + lz4_flex::block::compress(value).len().min(value.len())) as u64;
            }
        }
    }
    Ok(bytes)
}
