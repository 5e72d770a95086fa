//! Link: a lane's reader and writer on a cluster, as one.

use std::time::Duration;

use super::super::terms::check_commit;
use super::super::{Arrival, BrokerError, Effect, Input, Link, LinkSpec, Position};
use super::reader::Reader;
use super::settings::KafkaSettings;
use super::writer::Writer;

/// One link. The reader is dropped first: the group goes on while the producer winds up.
pub(super) struct KafkaLink {
    reader: Reader,
    writer: Writer,
}

// === impl KafkaLink ===

impl KafkaLink {
    /// The writer first: who joins the group before he has fenced his predecessor would read positions that
    /// the predecessor may still move.
    pub(super) fn open(settings: &KafkaSettings, spec: &LinkSpec) -> Result<Self, BrokerError> {
        let writer = Writer::open(settings, spec)?;
        let reader = Reader::join(settings, spec)?;
        Ok(Self { reader, writer })
    }
}

impl Link for KafkaLink {
    fn poll(&mut self, wait: Duration, most: usize, into: &mut Vec<Arrival>) -> Result<(), BrokerError> {
        self.reader.poll(wait, most, into)
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
        let Some(member) = self.reader.membership() else {
            return Err(BrokerError::Fatal("the reader is in no group".to_owned()));
        };
        self.writer.commit(effects.iter().map(|effect| &effect.record), &list, &member)
    }

    fn rewind(&mut self) -> Result<Vec<(Input, Option<Position>)>, BrokerError> {
        self.reader.rewind()
    }

    fn end(&mut self, input: Input) -> Result<i64, BrokerError> {
        self.reader.bounds(input).map(|(_, end)| end)
    }

    fn position(&mut self, input: Input) -> Result<Option<i64>, BrokerError> {
        self.reader.position(input)
    }
}
