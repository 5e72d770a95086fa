//! Bounds: where partitions begin and end, asked again while its leader is being chosen.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset, TopicPartitionList};

use super::super::Input;
use super::super::names::Names;
use super::faults::is_passing;
use super::settings::ANSWER_WITHIN;
use crate::clock::Tick;

/// Between two questions.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// The first offset of a partition, and the end as a reader of committed records sees it. A topic that was
/// just made has no leader for a moment, and a client that knows of another one is told so once.
pub(super) fn of<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    name: &str,
    partition: i32,
) -> KafkaResult<(i64, i64)> {
    let begun = Tick::now();
    loop {
        match consumer.fetch_watermarks(name, partition, ANSWER_WITHIN) {
            Err(KafkaError::MetadataFetch(code)) if is_passing(code) && begun.elapsed() < ANSWER_WITHIN => {
                std::thread::park_timeout(ASK_AGAIN);
            }
            answer => return answer,
        }
    }
}

/// The ends of partitions, in their order, one question for all of them; `None` where there was no answer.
pub(super) fn ends<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    names: &Names,
    inputs: &[Input],
) -> KafkaResult<Vec<Option<i64>>> {
    if inputs.is_empty() {
        return Ok(Vec::new());
    }
    let mut list = TopicPartitionList::with_capacity(inputs.len());
    for input in inputs {
        // The time of what comes next: the offset for it is the end.
        list.add_partition_offset(names.of(input.topic), input.partition, Offset::End)?;
    }
    let answers = consumer.offsets_for_times(list, ANSWER_WITHIN)?;
    let end = |input: &Input| {
        let answer = answers.find_partition(names.of(input.topic), input.partition)?;
        match (answer.error(), answer.offset()) {
            (Ok(()), Offset::Offset(end)) => Some(end),
            _ => None,
        }
    };
    Ok(inputs.iter().map(end).collect())
}
