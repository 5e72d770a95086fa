//! Follow: a topic, or some of its partitions, read from some offset on and then as it grows, outside any group.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::super::{BrokerError, Follow, Incoming, Topic};
use super::bell::Bell;
use super::bounds;
use super::faults::{is_passing, unavailable};
use super::settings::{ANSWER_WITHIN, KafkaSettings};
use super::wire::incoming;
use crate::clock::Tick;
use crate::event::Timestamp;

/// The most records one poll hands out, and about the most bytes: pages of memory are large.
const MOST_AT_ONCE: usize = 10_000;
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// One reader.
pub(super) struct Follower {
    consumer: BaseConsumer<Quiet>,
    bell: Arc<Bell>,
    settings: KafkaSettings,
    topic: Topic,
    partitions: Vec<i32>,
    /// Where reading began in each partition: that is its position until something was read.
    starts: Vec<i64>,
}

/// Says what happens to connections, and nothing else.
struct Quiet;

// === impl Quiet ===

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "Kafka follower");
    }
}

impl ConsumerContext for Quiet {}

// === impl Follower ===

impl Follower {
    pub(super) fn open(
        settings: &KafkaSettings,
        topic: Topic,
        from: &[(i32, Option<i64>)],
    ) -> Result<Self, BrokerError> {
        let unavailable = |error: KafkaError| unavailable(&settings.brokers, &error);
        let mut consumer = settings.follower().create_with_context(Quiet).map_err(unavailable)?;
        let bell = Bell::on(&mut consumer);
        let partitions = from.iter().map(|(partition, _)| *partition).collect();
        let mut follower =
            Self { consumer, bell, settings: settings.clone(), topic, partitions, starts: Vec::new() };
        let (mut list, name) = (TopicPartitionList::new(), settings.names.of(topic));
        for ((partition, from), (first, end)) in from.iter().zip(follower.bounds()?) {
            let from = from.filter(|from| (first..=end).contains(from));
            follower.starts.push(from.unwrap_or(first));
            let offset = from.map_or(Offset::Beginning, Offset::Offset);
            list.add_partition_offset(name, *partition, offset).map_err(unavailable)?;
        }
        follower.consumer.assign(&list).map_err(unavailable)?;
        Ok(follower)
    }

    /// Goes on with the first record of each partition that was appended at this time or later.
    pub(super) fn skip_to(&mut self, since: Timestamp) -> Result<(), BrokerError> {
        let unavailable = |error: KafkaError| unavailable(&self.settings.brokers, &error);
        let found = self.consumer.offsets_for_timestamp(since.millis().max(0), ANSWER_WITHIN);
        let found = found.map_err(unavailable)?;
        let name = self.settings.names.of(self.topic);
        let mut list = TopicPartitionList::new();
        let ends: Vec<i64> = self.bounds()?.into_iter().map(|(_, end)| end).collect();
        for ((partition, start), end) in self.partitions.iter().zip(&mut self.starts).zip(ends) {
            // Nothing is that young: there is nothing to be read.
            *start = match found.find_partition(name, *partition).map(|one| one.offset()) {
                Some(Offset::Offset(offset)) => offset,
                _ => end,
            };
            list.add_partition_offset(name, *partition, Offset::Offset(*start)).map_err(unavailable)?;
        }
        self.consumer.assign(&list).map_err(unavailable)
    }

    fn bounds(&self) -> Result<Vec<(i64, i64)>, BrokerError> {
        let name = self.settings.names.of(self.topic);
        self.partitions
            .iter()
            .map(|partition| {
                let asked = bounds::of(&self.consumer, name, *partition);
                asked.map_err(|error| unavailable(&self.settings.brokers, &error))
            })
            .collect()
    }
}

impl Follow for Follower {
    fn poll(&mut self, wait: Duration, into: &mut Vec<Incoming>) -> Result<(), BrokerError> {
        let (begun, before, mut bytes) = (Tick::now(), into.len(), 0);
        loop {
            let some = into.len() - before;
            let left = if some > 0 { Duration::ZERO } else { wait.saturating_sub(begun.elapsed()) };
            match self.consumer.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    bytes += message.payload_len();
                    into.push(incoming(&message, self.topic));
                }
                Some(Err(KafkaError::MessageConsumption(code))) if is_passing(code) => {}
                Some(Err(error)) => return Err(unavailable(&self.settings.brokers, &error)),
                None if left.is_zero() => return Ok(()),
                None => self.bell.wait(left),
            }
            if some >= MOST_AT_ONCE || bytes >= MOST_BYTES {
                return Ok(());
            }
        }
    }

    fn positions(&self) -> Vec<i64> {
        let read = self.consumer.position().unwrap_or_default();
        let name = self.settings.names.of(self.topic);
        self.partitions
            .iter()
            .zip(&self.starts)
            .map(|(partition, start)| match read.find_partition(name, *partition).map(|one| one.offset()) {
                Some(Offset::Offset(next)) => next,
                _ => *start,
            })
            .collect()
    }

    fn ends(&mut self) -> Result<Vec<i64>, BrokerError> {
        Ok(self.bounds()?.into_iter().map(|(_, end)| end).collect())
    }

    fn is_settled(&mut self) -> Result<bool, BrokerError> {
        let unavailable = |error: KafkaError| unavailable(&self.settings.brokers, &error);
        // Asked by a reader that sees what is not committed, too: its ends are the ends of the logs.
        let mut config = self.settings.follower();
        config.set("isolation.level", "read_uncommitted");
        let all: BaseConsumer<Quiet> = config.create_with_context(Quiet).map_err(unavailable)?;
        let name = self.settings.names.of(self.topic);
        for (partition, (_, end)) in self.partitions.iter().zip(self.bounds()?) {
            if bounds::of(&all, name, *partition).map_err(unavailable)?.1 > end {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
