//! Damage: which partition holds a batch that does not fit its checksum.
//!
//! The client library says that there is one, and not where. It says so after everything before the batch
//! was handed out, so the batch is the next thing to be read in its partition, and reading each of them by
//! itself finds it. Nothing of such a batch comes out of the client, so there are no bytes to bury; and it is
//! not passed over, for what lies in it would be lost in silence.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::super::Input;
use super::settings::KafkaSettings;
use crate::clock::Tick;

/// How long one partition is given to answer.
const LOOK_FOR: Duration = Duration::from_secs(5);

/// Whether an error says that there is such a batch.
pub(super) fn is_reported_by(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageConsumption(RDKafkaErrorCode::BadMessage))
}

/// The first of these partitions, each with the offset to read next, in which reading fails.
pub(super) fn find(settings: &KafkaSettings, candidates: &[(Input, i64)]) -> Option<(Input, i64)> {
    candidates.iter().copied().find(|(input, next)| is_at(settings, *input, *next))
}

fn is_at(settings: &KafkaSettings, input: Input, next: i64) -> bool {
    let Ok(consumer) = settings.follower().create::<BaseConsumer>() else { return false };
    let mut list = TopicPartitionList::with_capacity(1);
    let name = settings.names.of(input.topic);
    let assigned = list
        .add_partition_offset(name, input.partition, Offset::Offset(next))
        .and_then(|()| consumer.assign(&list));
    let begun = Tick::now();
    while assigned.is_ok() && begun.elapsed() < LOOK_FOR {
        match consumer.poll(LOOK_FOR.saturating_sub(begun.elapsed())) {
            Some(Ok(_)) => return false,
            Some(Err(error)) if is_reported_by(&error) => return true,
            _ => {}
        }
    }
    false
}
