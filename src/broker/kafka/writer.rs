//! Writer: a lane's transactional producer.
//!
//! One transaction at a time, begun and ended within one call. Between calls nothing is open, so that a
//! lane that stops holds up no reader.
//!
//! Nobody but the lane's own thread asks the producer what was delivered, and only while something is under
//! way: the crate's threaded producer would spin half a millisecond ten times a second. An abort alone needs
//! a second thread, since the client library waits in it until somebody has heard of every record.
//!
//! **Invariant:** an end of a transaction that may have been asked for twice is the last of its producer. The
//! library asks again by itself when an answer is late or a link breaks, and the protocol it speaks does not
//! say which transaction is meant: the first request, arriving late, would end the next transaction half way.
//! A new producer has a new epoch, and the cluster refuses what comes from the old one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::util::Timeout;
use rdkafka::{ClientContext, TopicPartitionList};

use super::super::terms::size_of;
use super::super::{BrokerError, LinkSpec, Outgoing};
use super::faults::{Way, unavailable, way_out, way_out_of_delivery};
use super::settings::KafkaSettings;
use super::wire;
use crate::clock::Tick;

/// How long taking the transactional id over may take: its former owner's transaction has to end.
const TAKE_OVER_WITHIN: Duration = Duration::from_secs(30);

/// How long an abort lets records in flight arrive. One that overtakes them is fatal to the producer.
const SETTLE_WITHIN: Duration = Duration::from_secs(1);

/// How far the beginnings of transactions keep from the end of the one before: the coordinator answers a commit
/// before it has told every partition, and puts off who asks for the next transaction meanwhile. For a record's
/// partition the library would ask again only after 20 ms, but for the positions after `retry.backoff.ms`: they go
/// first.
const APART: Duration = Duration::from_micros(1_500);

/// An end that takes longer may have been asked for twice, also when no link broke. It takes milliseconds.
const ASKED_ONCE_WITHIN: Duration = Duration::from_secs(2);

/// How long to wait before the same call is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The writing half of a link.
pub(super) struct Writer {
    producer: BaseProducer<Deliveries>,
    settings: KafkaSettings,
    spec: LinkSpec,
    within: Duration,
    /// When the last transaction was committed.
    committed: Option<Tick>,
    /// The last end may have been asked for twice.
    doubtful: AtomicBool,
    /// After [`BrokerError::Fatal`] nothing works any more.
    dead: bool,
}

/// What was not delivered in the transaction under way: the first of it.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    failed: Mutex<Option<(String, RDKafkaErrorCode)>>,
    /// A link broke since the last end was asked for.
    broke: AtomicBool,
}

/// Why a transaction is not committed.
enum Trouble {
    /// It is rolled back, and this is the answer.
    RollBack(BrokerError),
    /// Nobody knows, or the producer is of no use.
    GiveUp(String),
}

// === impl Deliveries ===

impl Deliveries {
    fn take(&self) -> Option<(String, RDKafkaErrorCode)> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        self.broke.store(true, Ordering::Relaxed);
        tracing::warn!(%error, reason, "Kafka producer");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert_with(|| (message.topic().to_owned(), code));
        }
    }
}

// === impl Writer ===

impl Writer {
    /// Takes the transactional id over: who used it before is fenced, and its open transaction ended.
    pub(super) fn open(settings: &KafkaSettings, spec: &LinkSpec) -> Result<Self, BrokerError> {
        Ok(Self {
            producer: take_over(settings, spec)?,
            settings: settings.clone(),
            spec: spec.clone(),
            within: settings.transaction_timeout(spec),
            committed: None,
            doubtful: AtomicBool::new(false),
            dead: false,
        })
    }

    /// Writes records and positions in one transaction.
    pub(super) fn commit<'a>(
        &mut self,
        records: impl Iterator<Item = &'a Outgoing>,
        positions: &TopicPartitionList,
        member: &ConsumerGroupMetadata,
    ) -> Result<(), BrokerError> {
        if self.dead {
            return Err(BrokerError::Fatal(format!("`{}` has failed before", self.spec.transactional_id)));
        }
        self.leave_doubt()?;
        self.keep_apart();
        let trouble = match self.transact(records, positions, member) {
            Ok(()) => {
                self.committed = Some(Tick::now());
                return Ok(());
            }
            Err(Trouble::RollBack(answer)) => match self.roll_back() {
                Ok(()) => return Err(answer),
                Err(error) => format!("{answer}; and rolling back failed: {error}"),
            },
            Err(Trouble::GiveUp(reason)) => reason,
        };
        self.dead = true;
        Err(BrokerError::Fatal(format!("`{}`: {trouble}", self.spec.transactional_id)))
    }

    /// After an end that may have been asked for twice there comes a new producer.
    fn leave_doubt(&mut self) -> Result<(), BrokerError> {
        if !self.doubtful.load(Ordering::Relaxed) {
            return Ok(());
        }
        let transactional_id = &self.spec.transactional_id;
        tracing::info!(transactional_id, "an end of a transaction was in doubt: a new producer goes on");
        let taken = take_over(&self.settings, &self.spec);
        self.producer = taken.map_err(|error| BrokerError::Fatal(error.to_string()))?;
        self.doubtful.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Asks for the end of the transaction, and notes whether the library may have asked twice.
    fn end(&self, begun: Tick, call: impl Fn() -> Result<(), KafkaError>) -> Result<(), Trouble> {
        let asked = Tick::now();
        self.producer.context().broke.store(false, Ordering::Relaxed);
        let ended = self.until_done(begun, call);
        let took = asked.elapsed();
        // What it has to say about links by now.
        (0..8).for_each(|_| self.serve());
        let broke = self.producer.context().broke.load(Ordering::Relaxed);
        self.doubtful.store(broke || took > ASKED_ONCE_WITHIN, Ordering::Relaxed);
        ended
    }

    /// Whether somebody else has taken the transactional id over, as far as the library knows.
    pub(super) fn is_fenced(&self) -> bool {
        use RDKafkaErrorCode as Code;
        let fatal = self.producer.client().fatal_error().map(|(code, _)| code);
        matches!(fatal, Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch))
    }

    fn transact<'a>(
        &self,
        records: impl Iterator<Item = &'a Outgoing>,
        positions: &TopicPartitionList,
        member: &ConsumerGroupMetadata,
    ) -> Result<(), Trouble> {
        let begun = Tick::now();
        self.producer.context().take();
        self.producer.begin_transaction().map_err(|error| Trouble::GiveUp(error.to_string()))?;
        // The positions go first: who is killed from here on is known by them, see `estate`.
        let left = || self.within.saturating_sub(begun.elapsed());
        self.until_done(begun, || self.producer.send_offsets_to_transaction(positions, member, left()))?;
        for record in records {
            self.send(record, begun)?;
        }
        self.settle(begun, self.within);
        if let Some((topic, code)) = self.producer.context().take() {
            return Err(undelivered(&topic, code));
        }
        self.end(begun, || self.producer.commit_transaction(Timeout::Never))
    }

    fn keep_apart(&self) {
        while let Some(left) = self.committed.and_then(|last| APART.checked_sub(last.elapsed()))
            && !left.is_zero()
        {
            thread::park_timeout(left);
        }
    }

    /// Hands a record over, and waits while the queue is full.
    fn send(&self, record: &Outgoing, begun: Tick) -> Result<(), Trouble> {
        let topic = self.settings.names.of(record.topic);
        let mut out: BaseRecord<'_, [u8], [u8]> = wire::record(topic, record, ());
        while let Err((error, back)) = self.producer.send(out) {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
            if code == RDKafkaErrorCode::MessageSizeTooLarge {
                let size = size_of(record);
                return Err(Trouble::RollBack(BrokerError::TooLarge { topic: record.topic, size }));
            }
            if way_out_of_delivery(code) != Way::Again || begun.elapsed() > self.within {
                return Err(undelivered(topic, code));
            }
            self.serve();
            thread::park_timeout(Duration::from_millis(1));
            out = back;
        }
        Ok(())
    }

    /// Hears one thing the client library has to say: a delivery, or trouble with a connection.
    pub(super) fn serve(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Waits until nothing is in flight, looking several times a millisecond: the crate's own flush, which
    /// a commit begins with, looks ten times a second.
    fn settle(&self, begun: Tick, within: Duration) {
        let mut pause = Duration::from_micros(50);
        let mut before = self.producer.in_flight_count();
        while before > 0 && begun.elapsed() < within {
            self.serve();
            let left = self.producer.in_flight_count();
            if left == before {
                thread::park_timeout(pause);
                pause = (pause * 2).min(Duration::from_micros(400));
            }
            before = left;
        }
    }

    /// Repeats a call for as long as the library says that it may work in a moment.
    fn until_done(&self, begun: Tick, call: impl Fn() -> Result<(), KafkaError>) -> Result<(), Trouble> {
        loop {
            let Err(error) = call() else { return Ok(()) };
            match way_out(&error) {
                Way::Again if begun.elapsed() < self.within => thread::park_timeout(AGAIN_AFTER),
                Way::RollBack => return Err(Trouble::RollBack(BrokerError::Aborted(error.to_string()))),
                Way::Again | Way::GiveUp => return Err(Trouble::GiveUp(error.to_string())),
            }
        }
    }

    fn roll_back(&self) -> Result<(), String> {
        let begun = Tick::now();
        self.settle(begun, SETTLE_WITHIN);
        let ended = AtomicBool::new(false);
        let aborted = thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    self.serve();
                    thread::park_timeout(Duration::from_millis(1));
                }
            });
            let aborted = self.end(begun, || self.producer.abort_transaction(Timeout::Never));
            ended.store(true, Ordering::Relaxed);
            aborted
        });
        aborted.map_err(|trouble| match trouble {
            Trouble::RollBack(answer) => answer.to_string(),
            Trouble::GiveUp(reason) => reason,
        })
    }
}

/// A producer with the transactional id: who had it before is fenced, and its open transaction ended.
pub(super) fn take_over(
    settings: &KafkaSettings,
    spec: &LinkSpec,
) -> Result<BaseProducer<Deliveries>, BrokerError> {
    let producer: BaseProducer<Deliveries> = settings
        .transactional(spec)
        .create_with_context(Deliveries::default())
        .map_err(|error| unavailable(&settings.brokers, &error))?;
    let begun = Tick::now();
    loop {
        let Err(error) = producer.init_transactions(TAKE_OVER_WITHIN) else { return Ok(producer) };
        if way_out(&error) != Way::Again || begun.elapsed() > TAKE_OVER_WITHIN {
            return Err(unavailable(&settings.brokers, &error));
        }
        thread::park_timeout(AGAIN_AFTER);
    }
}

/// A record did not arrive.
fn undelivered(topic: &str, code: RDKafkaErrorCode) -> Trouble {
    use RDKafkaErrorCode as Code;
    match code {
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            let fault =
                "does not exist, or has not this many partitions; run `bugle topics check`".to_owned();
            Trouble::RollBack(BrokerError::Topic { name: topic.to_owned(), fault })
        }
        _ if way_out_of_delivery(code) == Way::GiveUp => {
            Trouble::GiveUp(format!("a record for `{topic}`: {code}"))
        }
        _ => Trouble::RollBack(BrokerError::Aborted(format!("a record for `{topic}`: {code}"))),
    }
}
