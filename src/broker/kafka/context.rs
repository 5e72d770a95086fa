//! Context: what the client library tells us from the inside, kept until a lane's thread asks.
//!
//! **Invariant:** inside the callback nothing that a lane works on is unassigned. librdkafka goes on with a
//! rebalance when it is told that the partitions were given up, and not before; heartbeats go on meanwhile.
//! A lane can so commit what it has in hand between [`Turn::Revoked`] and the unassigning that ends it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

use crate::clock::Tick;

/// How long leaving the group may take before it is left to itself.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

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

/// When a consumer of this process was cut off from a broker last. Links come and go, and a group's coordinator moves on
/// with no word to some of them.
static BROKE: Mutex<Option<Tick>> = Mutex::new(None);

/// Whether a connection broke lately.
pub(super) fn broke_within(span: Duration) -> bool {
    let broke = *BROKE.lock().unwrap_or_else(PoisonError::into_inner);
    broke.is_some_and(|at| at.elapsed() < span)
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
    fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    fn keep(&self, turn: Turn) {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).push_back(turn);
    }
}

impl ClientContext for Turns {
    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown) =
            error.rdkafka_error_code()
        {
            *BROKE.lock().unwrap_or_else(PoisonError::into_inner) = Some(Tick::now());
        }
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

/// Leaves the group on a thread of its own, for at most [`CLOSE_WITHIN`]: without a cluster it would take as
/// long as the session. `waited_for` is what a rebalance under way waits for.
pub(super) fn close(consumer: BaseConsumer<Turns>, mut waited_for: Vec<Named>) {
    consumer.context().close();
    let (closed, wait) = mpsc::channel();
    let closing = thread::Builder::new().name("kafka-close".to_owned()).spawn(move || {
        while let Some(turn) = consumer.context().next() {
            if let Turn::Revoked(named) = turn {
                waited_for.extend(named);
            }
        }
        if !waited_for.is_empty()
            && let Err(error) = unassign(&consumer, &waited_for)
        {
            tracing::debug!(%error, "closing a Kafka consumer");
        }
        drop(consumer);
        // Nobody listens any more when it took too long.
        closed.send(()).ok();
    });
    if closing.is_ok() && wait.recv_timeout(CLOSE_WITHIN).is_err() {
        tracing::warn!(within = ?CLOSE_WITHIN, "leaving the consumer group takes longer than it may");
    }
}

fn names_in(list: &TopicPartitionList) -> Vec<Named> {
    list.elements().iter().map(|element| (element.topic().to_owned(), element.partition())).collect()
}
