//! Terms: what every commit must meet before anything is written, on both brokers alike.
//!
//! A commit that fails here has left no trace: no transaction was begun for it.

use super::{BrokerError, Effect, Input, Outgoing, Position};

/// The most bytes of one record: key, value and headers together. Below Kafka's default for a topic.
pub const MOST_RECORD_BYTES: usize = 1_000_000;

/// The most bytes of a position's note; Kafka's own limit for an offset's metadata.
pub const MOST_NOTE_BYTES: usize = 4096;

/// The bytes of a record as it counts against [`MOST_RECORD_BYTES`].
#[must_use]
pub fn size_of(record: &Outgoing) -> usize {
    let headers: usize = record
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.as_ref().map_or(0, bytes::Bytes::len))
        .sum();
    record.key.as_ref().map_or(0, bytes::Bytes::len)
        + record.value.as_ref().map_or(0, bytes::Bytes::len)
        + headers
}

/// Refuses a record no broker would take.
pub(super) fn check_record(record: &Outgoing) -> Result<(), BrokerError> {
    match size_of(record) {
        size if size > MOST_RECORD_BYTES => Err(BrokerError::TooLarge { topic: record.topic, size }),
        _ => Ok(()),
    }
}

/// Refuses a commit whose effects have no position, whose positions are not the link's to move, or
/// which carries more than a broker takes.
///
/// **Invariant:** Kafka fences a stalled process by its offsets alone, and not by partition: a member that
/// gave a partition back is still a member. Only this check keeps it from moving what is another's now.
pub(super) fn check_commit(
    effects: &[Effect],
    positions: &[(Input, Position)],
    holds: impl Fn(Input) -> bool,
) -> Result<(), BrokerError> {
    for (input, position) in positions {
        if !holds(*input) {
            return Err(BrokerError::NotHeld { input: *input });
        }
        if position.note.len() > MOST_NOTE_BYTES {
            return Err(BrokerError::NoteTooLarge { input: *input, size: position.note.len() });
        }
    }
    for effect in effects {
        if !positions.iter().any(|(input, _)| *input == effect.cause) {
            return Err(BrokerError::NoPosition { topic: effect.record.topic, cause: effect.cause });
        }
        check_record(&effect.record)?;
    }
    Ok(())
}
