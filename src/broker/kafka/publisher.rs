//! Publisher: a writer outside any transaction: the front desk's, and a lane's where a bench compares.
//!
//! It waits until every record is safe with all replicas in sync; each is written once even when the
//! client library has to send it twice. It is kept open between calls.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};

use super::super::{BrokerError, Outgoing};
use super::faults::unavailable;
use super::settings::KafkaSettings;
use super::wire;

/// The producer everybody who publishes shares.
pub(super) struct Publisher {
    producer: BaseProducer<Reports>,
}

/// Passes each delivery report to the call it belongs to.
struct Reports;

/// The records of one call that are not safe yet.
#[derive(Debug, Default)]
struct Outstanding {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    left: usize,
    failed: Option<KafkaError>,
}

/// How often reports are looked for.
const LOOK_EVERY: Duration = Duration::from_micros(200);

// === impl Reports ===

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "Kafka producer");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Arc<Outstanding>;

    fn delivery(&self, result: &DeliveryResult<'_>, outstanding: Arc<Outstanding>) {
        outstanding.arrived(result.as_ref().err().map(|(error, _)| error.clone()));
    }
}

// === impl Outstanding ===

impl Outstanding {
    fn arrived(&self, failed: Option<KafkaError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.left -= 1;
        state.failed = state.failed.take().or(failed);
    }

    fn left(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).left
    }

    fn failure(&self) -> Option<KafkaError> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failed.take()
    }
}

// === impl Publisher ===

impl Publisher {
    pub(super) fn open(settings: &KafkaSettings, config: &ClientConfig) -> Result<Self, BrokerError> {
        let producer = config.create_with_context(Reports);
        Ok(Self { producer: producer.map_err(|error| unavailable(&settings.brokers, &error))? })
    }

    /// Writes all, and returns when all are safe or one of them failed for good.
    pub(super) fn publish<'a>(
        &self,
        settings: &KafkaSettings,
        records: impl ExactSizeIterator<Item = &'a Outgoing>,
    ) -> Result<(), BrokerError> {
        let outstanding = Arc::new(Outstanding::default());
        let count = records.len();
        outstanding.state.lock().unwrap_or_else(PoisonError::into_inner).left = count;
        let mut first = "";
        for record in records {
            let topic = settings.names.of(record.topic);
            first = if first.is_empty() { topic } else { first };
            let mut out: BaseRecord<'_, [u8], [u8], Arc<Outstanding>> =
                wire::record(topic, record, Arc::clone(&outstanding));
            while let Err((error, back)) = self.producer.send(out) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    outstanding.arrived(Some(error));
                    break;
                }
                self.producer.poll(Duration::ZERO);
                thread::park_timeout(LOOK_EVERY);
                out = back;
            }
        }
        self.wait(&outstanding);
        let Some(error) = outstanding.failure() else { return Ok(()) };
        Err(match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
                BrokerError::missing(first)
            }
            _ => unavailable(&settings.brokers, &error),
        })
    }

    /// Every record ends in a report, at the latest after `message.timeout.ms`. Whoever waits hears reports,
    /// those of others too: a thread that does nothing else would take CPU while nobody publishes.
    fn wait(&self, outstanding: &Outstanding) {
        let mut before = outstanding.left();
        while before > 0 {
            self.producer.poll(Duration::ZERO);
            let left = outstanding.left();
            if left == before {
                thread::park_timeout(LOOK_EVERY);
            }
            before = left;
        }
    }
}
