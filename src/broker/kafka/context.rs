//! Context: what the client library tells us from the inside, kept until a lane's thread asks.
//!
//! **Invariant:** inside the callback nothing that a lane works on is unassigned. librdkafka goes on with a
//! rebalance when it is told that the partitions were given up, and not before; heartbeats go on meanwhile.
//! A lane can so commit what it has in hand between [`Turn::Revoked`] and the unassigning that ends it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

/// A partition by its topic's name.
pub(super) type Named = (String, i32);

/// One step of a rebalance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// These are ours now; none of them is being read yet.
    Assigned(Vec<Named>),
    /// These shall go; the rebalance waits until they are unassigned.
    Revoked(Vec<Named>),
    /// These are gone and unassigned.
    Lost(Vec<Named>),
}

/// Collects what happens to partitions.
#[derive(Debug, Default)]
pub(super) struct Turns {
    turns: Mutex<VecDeque<Turn>>,
    closing: AtomicBool,
}

// === impl Turns ===

impl Turns {
    /// The oldest step nobody has taken yet.
    pub(super) fn next(&self) -> Option<Turn> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Whether there is one.
    pub(super) fn has_next(&self) -> bool {
        !self.turns.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// From now on nobody asks for steps: partitions are given up at once.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    fn keep(&self, turn: Turn) {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).push_back(turn);
    }
}

impl ClientContext for Turns {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "Kafka consumer");
    }
}

impl ConsumerContext for Turns {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let named = names_in(list);
        let told = if err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            // Nothing is read yet: each partition is added when its lane is ready for it.
            let joined = consumer.incremental_assign(&TopicPartitionList::new());
            if !named.is_empty() {
                self.keep(Turn::Assigned(named));
            }
            joined
        } else if named.is_empty() {
            consumer.incremental_unassign(&TopicPartitionList::new())
        } else if self.closing.load(Ordering::SeqCst) {
            unassign(consumer, &named)
        } else if consumer.assignment_lost() {
            let gone = unassign(consumer, &named);
            self.keep(Turn::Lost(named));
            gone
        } else {
            self.keep(Turn::Revoked(named));
            Ok(())
        };
        if let Err(error) = told {
            tracing::warn!(%error, "Kafka did not take the answer to a rebalance");
        }
    }
}

/// Gives partitions up: of those named, the ones that are being read.
pub(super) fn unassign(consumer: &BaseConsumer<Turns>, named: &[Named]) -> Result<(), KafkaError> {
    let read = names_in(&consumer.assignment()?);
    let mut list = TopicPartitionList::new();
    for (topic, partition) in named.iter().filter(|one| read.contains(one)) {
        list.add_partition(topic, *partition);
    }
    consumer.incremental_unassign(&list)
}

fn names_in(list: &TopicPartitionList) -> Vec<Named> {
    list.elements().iter().map(|element| (element.topic().to_owned(), element.partition())).collect()
}
