//! Replay: holding a partition back, and going back in it.

use std::thread;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};

use super::super::{BrokerError, Input, Position};
use super::reader::{Reader, Reading, dead};
use super::settings::ANSWER_WITHIN;
use crate::clock::Tick;

// === impl Reader ===

impl Reader {
    pub(super) fn pause(&mut self, input: Input, from: &Position) -> Result<(), BrokerError> {
        let begun = match self.held.get(&input) {
            Some(Reading::Begun(begun) | Reading::Paused(begun, _)) => *begun,
            Some(Reading::NotBegun) | None => return Ok(()),
        };
        self.held.insert(input, Reading::Paused(begun, from.offset));
        let list = self.only(input);
        self.consumer().pause(&list).map_err(|error| dead(&error))
    }

    pub(super) fn resume(&mut self, input: Input) -> Result<(), BrokerError> {
        let Some(Reading::Paused(begun, from)) = self.held.get(&input).copied() else { return Ok(()) };
        self.held.insert(input, Reading::Begun(begun));
        self.damaged.remove(&input);
        self.seek(vec![(input, from)])?;
        let list = self.only(input);
        self.consumer().resume(&list).map_err(|error| dead(&error))
    }

    /// Back to what is committed, or to where reading began when nothing is.
    pub(super) fn rewind(&mut self) -> Result<Vec<(Input, Option<Position>)>, BrokerError> {
        // What lies before the damage is read again, and then the damage is found again.
        for input in std::mem::take(&mut self.damaged) {
            let list = self.only(input);
            self.consumer().resume(&list).map_err(|error| dead(&error))?;
        }
        let held: Vec<Input> = self.held.keys().copied().collect();
        let back = self.committed(&held)?;
        let mut seeks = Vec::new();
        for (input, position) in &back {
            let to = |begun: i64| position.as_ref().map_or(begun, |position| position.offset);
            match self.held.get_mut(input) {
                Some(Reading::Begun(begun)) if !self.revoking.contains(input) => {
                    seeks.push((*input, to(*begun)));
                }
                Some(Reading::Paused(begun, from)) => *from = to(*begun),
                _ => {}
            }
        }
        self.seek(seeks)?;
        Ok(back)
    }

    pub(super) fn seek(&self, seeks: Vec<(Input, i64)>) -> Result<(), BrokerError> {
        let begun = Tick::now();
        let mut left = seeks;
        while !left.is_empty() {
            let mut list = TopicPartitionList::with_capacity(left.len());
            for (input, offset) in &left {
                let name = self.settings.names.of(input.topic);
                list.add_partition_offset(name, input.partition, Offset::Offset(*offset))
                    .map_err(|error| self.unavailable(&error))?;
            }
            let done = self.consumer().seek_partitions(list, ANSWER_WITHIN).map_err(|error| dead(&error))?;
            // A partition whose fetching is only just beginning refuses; it will not in a moment.
            left.retain(|(input, _)| {
                let element = done.find_partition(self.settings.names.of(input.topic), input.partition);
                element.is_none_or(|element| element.error().is_err())
            });
            if !left.is_empty() {
                if begun.elapsed() > ANSWER_WITHIN {
                    return Err(BrokerError::Fatal(format!("reading cannot go back in {}", left[0].0)));
                }
                thread::park_timeout(Duration::from_millis(1));
            }
        }
        Ok(())
    }
}
