//! Bounds: where a partition begins and ends, asked again while its leader is being chosen.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};

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
