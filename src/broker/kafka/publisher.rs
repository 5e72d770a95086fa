//! Publisher: the front desk's writer, outside any transaction.
//!
//! It waits until every record is safe with all replicas in sync; each is written once even when the
//! client library has to send it twice. It is kept open between calls.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};

use super::super::{BrokerError, Outgoing};
use super::faults::unavailable;
use super::settings::KafkaSettings;
use super::wire;

/// The producer everybody who publishes shares.
pub(super) struct Publisher {
    producer: ThreadedProducer<Reports>,
}

/// Passes each delivery report to the call it belongs to.
struct Reports;

/// The records of one call that are not safe yet.
#[derive(Debug, Default)]
struct Outstanding {
    state: Mutex<State>,
    all: Condvar,
}

#[derive(Debug, Default)]
struct State {
    left: usize,
    failed: Option<KafkaError>,
}

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
        if state.left == 0 {
            self.all.notify_all();
        }
    }

    /// Every record ends in a report, at the latest after `message.timeout.ms`.
    fn wait(&self) -> Result<(), KafkaError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state =
            self.all.wait_while(state, |state| state.left > 0).unwrap_or_else(PoisonError::into_inner);
        state.failed.take().map_or(Ok(()), Err)
    }
}

// === impl Publisher ===

impl Publisher {
    pub(super) fn open(settings: &KafkaSettings) -> Result<Self, BrokerError> {
        let producer = settings.publisher().create_with_context(Reports);
        Ok(Self { producer: producer.map_err(|error| unavailable(&settings.brokers, &error))? })
    }

    /// Writes all, and returns when all are safe or one of them failed for good.
    pub(super) fn publish(&self, settings: &KafkaSettings, records: &[Outgoing]) -> Result<(), BrokerError> {
        let outstanding = Arc::new(Outstanding::default());
        outstanding.state.lock().unwrap_or_else(PoisonError::into_inner).left = records.len();
        for record in records {
            let topic = settings.names.of(record.topic);
            let mut out: BaseRecord<'_, [u8], [u8], Arc<Outstanding>> =
                wire::record(topic, record, Arc::clone(&outstanding));
            while let Err((error, back)) = self.producer.send(out) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    outstanding.arrived(Some(error));
                    break;
                }
                thread::park_timeout(Duration::from_millis(1));
                out = back;
            }
        }
        if records.is_empty() {
            return Ok(());
        }
        outstanding.wait().map_err(|error| match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
                let name = records.first().map_or("", |record| settings.names.of(record.topic));
                BrokerError::missing(name)
            }
            _ => unavailable(&settings.brokers, &error),
        })
    }
}
