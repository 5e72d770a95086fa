//! Unread: what a group has not read yet, asked from outside of it.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::super::{BrokerError, Input, Topic, Unread};
use super::bounds;
use super::faults::unavailable;
use super::settings::{ANSWER_WITHIN, KafkaSettings};
use crate::clock::Tick;

/// How long a record is looked for between what was committed and the end.
const LOOK: Duration = Duration::from_secs(2);

/// For each partition of a topic, what the group has not read.
pub(super) fn of(
    settings: &KafkaSettings,
    group: &str,
    (topic, partitions): (Topic, u32),
) -> Result<Vec<Unread>, BrokerError> {
    let unavailable = |error: KafkaError| unavailable(&settings.brokers, &error);
    let mut config = settings.follower();
    config.set("group.id", group);
    let consumer: BaseConsumer = config.create().map_err(unavailable)?;
    let name = settings.names.of(topic);
    let mut list = TopicPartitionList::new();
    for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
        list.add_partition(name, partition);
    }
    let committed = consumer.committed_offsets(list, ANSWER_WITHIN).map_err(unavailable)?;
    let mut all = Vec::new();
    for element in committed.elements() {
        let (first, end) = bounds::of(&consumer, name, element.partition()).map_err(unavailable)?;
        let next = match element.offset() {
            Offset::Offset(offset) if offset < end => Some(
                first_record(&consumer, (name, element.partition()), (offset, end)).map_err(unavailable)?,
            ),
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        let input = Input { topic, partition: element.partition() };
        all.push(Unread { input, next, first, end });
    }
    Ok(all)
}

/// The first record from an offset on; the end where only the ends of transactions lie between.
fn first_record(
    consumer: &BaseConsumer,
    (name, partition): (&str, i32),
    (from, end): (i64, i64),
) -> Result<i64, KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(name, partition, Offset::Offset(from))?;
    consumer.assign(&list)?;
    let begun = Tick::now();
    while begun.elapsed() < LOOK {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(20)) {
            return Ok(rdkafka::Message::offset(&message));
        }
        let read = consumer.position()?.find_partition(name, partition).map(|found| found.offset());
        if matches!(read, Some(Offset::Offset(read)) if read >= end) {
            return Ok(end);
        }
    }
    Ok(from)
}
