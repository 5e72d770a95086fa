//! Link: a lane's reader and writer on a cluster, as one.

use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;

use super::super::terms::check_commit;
use super::super::{Arrival, BrokerError, Effect, Input, Link, LinkSpec, Position};
use super::context::broke_within;
use super::publisher::Publisher;
use super::reader::Reader;
use super::settings::KafkaSettings;
use super::writer::Writer;
use crate::clock::Tick;

/// Between two looks whether the library has heard something.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// On its way, a heartbeat's answer takes this long at most, or nearly.
const A_MOMENT: Duration = Duration::from_millis(500);

/// How long after a connection broke a name that was taken says nothing: the next coordinator of a group knows a
/// member's name by the try to join whose answer was lost, and takes the second try for somebody else.
const IN_DOUBT_FOR: Duration = Duration::from_secs(60);

/// One link. The reader is dropped first: the group goes on while the producer winds up.
pub(super) struct KafkaLink {
    reader: Reader,
    writing: Writing,
    /// The name of a static member.
    instance: Option<String>,
    /// How long after its producer was fenced a static member may take to hear that it was replaced.
    heard_within: Duration,
}

/// How a commit is written.
enum Writing {
    /// All of it or nothing.
    AtOnce(Box<Writer>),
    /// The records, and then the positions: what a bench compares with.
    InTurn(Publisher),
}

// === impl KafkaLink ===

impl KafkaLink {
    /// The writer first: who joins the group before he has fenced his predecessor would read positions that
    /// the predecessor may still move.
    pub(super) fn open(settings: &KafkaSettings, spec: &LinkSpec) -> Result<Self, BrokerError> {
        let writing = if settings.exactly_once {
            Writing::AtOnce(Box::new(Writer::open(settings, spec)?))
        } else {
            Writing::InTurn(Publisher::open(settings, &settings.untransacted())?)
        };
        let reader = Reader::join(settings, spec)?;
        let heartbeat = settings.consumer(spec).get("heartbeat.interval.ms").and_then(|ms| ms.parse().ok());
        let heard_within = Duration::from_millis(heartbeat.unwrap_or(3_000)) + A_MOMENT;
        Ok(Self { reader, writing, instance: spec.instance_id.clone(), heard_within })
    }

    /// Whether another member with our instance id is there in our place, or comes so soon.
    fn is_replaced(&self, within: Duration) -> bool {
        let begun = Tick::now();
        loop {
            let fatal = self.reader.consumer().client().fatal_error();
            if fatal.is_some_and(|(code, _)| code == RDKafkaErrorCode::FencedInstanceId) {
                return true;
            }
            if begun.elapsed() >= within {
                return false;
            }
            std::thread::park_timeout(LOOK_AGAIN);
        }
    }

    /// Whether the other who fenced us, or took our place, has our name: the group says so with a heartbeat.
    fn judged(&self, error: BrokerError, within: Duration) -> BrokerError {
        match &self.instance {
            Some(instance) if self.is_replaced(within) && !broke_within(IN_DOUBT_FOR) => {
                BrokerError::Replaced { instance: instance.clone() }
            }
            _ => error,
        }
    }
}

impl Link for KafkaLink {
    fn poll(&mut self, wait: Duration, most: usize, into: &mut Vec<Arrival>) -> Result<(), BrokerError> {
        if let Writing::AtOnce(writer) = &self.writing {
            writer.serve();
        }
        self.reader.poll(wait, most, into).map_err(|error| match error {
            BrokerError::Fatal(_) => self.judged(error, Duration::ZERO),
            error => error,
        })
    }

    fn start(&mut self, input: Input, from: Option<&Position>) -> Result<(), BrokerError> {
        self.reader.start(input, from)
    }

    fn release(&mut self, inputs: &[Input]) -> Result<(), BrokerError> {
        self.reader.release(inputs)
    }

    fn pause(&mut self, input: Input, from: &Position) -> Result<(), BrokerError> {
        self.reader.pause(input, from)
    }

    fn resume(&mut self, input: Input) -> Result<(), BrokerError> {
        self.reader.resume(input)
    }

    fn commit(&mut self, effects: Vec<Effect>, positions: &[(Input, Position)]) -> Result<(), BrokerError> {
        check_commit(&effects, positions, |input| self.reader.holds(input))?;
        if positions.is_empty() {
            // Nothing moves, and so, by the terms, nothing is written either.
            return Ok(());
        }
        let list = self.reader.list(positions)?;
        let records = effects.iter().map(|effect| &effect.record);
        match &mut self.writing {
            Writing::AtOnce(writer) => {
                let Some(member) = self.reader.membership() else {
                    return Err(BrokerError::Fatal("the reader is in no group".to_owned()));
                };
                let done = writer.commit(records, &list, member);
                let fenced = writer.is_fenced();
                done.map_err(|error| match error {
                    BrokerError::Fatal(_) if fenced => self.judged(error, self.heard_within),
                    error => error,
                })
            }
            Writing::InTurn(publisher) => {
                publisher.publish(&self.reader.settings, records)?;
                let moved = self.reader.consumer().commit(&list, CommitMode::Sync);
                moved.map_err(|error| BrokerError::Fatal(error.to_string()))
            }
        }
    }

    fn rewind(&mut self) -> Result<Vec<(Input, Option<Position>)>, BrokerError> {
        self.reader.rewind()
    }

    fn end(&mut self, input: Input) -> Result<i64, BrokerError> {
        self.reader.bounds(input).map(|(_, end)| end)
    }

    fn ends(&mut self, inputs: &[Input]) -> Result<Vec<i64>, BrokerError> {
        self.reader.ends(inputs)
    }

    fn position(&mut self, input: Input) -> Result<Option<i64>, BrokerError> {
        self.reader.position(input)
    }
}
