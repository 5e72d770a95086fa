//! Reader: a lane's member of its consumer group.
//!
//! It hands out what is committed, partition by partition from where the lane says, and asks before a
//! partition goes. It never commits: positions leave with the writer's transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::super::{Arrival, BrokerError, Incoming, Input, LinkSpec, Position, StartFrom};
use super::bell::Bell;
use super::bounds;
use super::context::{Named, Turn, Turns, close, unassign};
use super::damage;
use super::estate;
use super::faults::{is_passing, unavailable};
use super::settings::KafkaSettings;
use super::wire::incoming;
use crate::clock::Tick;

/// Handed out at once, about: frames are large, and a lane has to use up what it gets before it asks again.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// The reading half of a link.
pub(super) struct Reader {
    /// `None` only while it is dropped.
    pub(super) consumer: Option<BaseConsumer<Turns>>,
    bell: Arc<Bell>,
    pub(super) settings: KafkaSettings,
    pub(super) spec: LinkSpec,
    /// What was assigned, and how far each has come.
    pub(super) held: BTreeMap<Input, Reading>,
    /// What is to be released before the rebalance goes on.
    pub(super) revoking: BTreeSet<Input>,
    /// What of it has been released already.
    pub(super) released: Vec<Named>,
    /// Assigned, but not yet handed on: its positions could not be asked.
    pub(super) waiting: Vec<Input>,
    /// Read up to a batch that does not fit its checksum, and no further.
    pub(super) damaged: BTreeSet<Input>,
    member: Option<ConsumerGroupMetadata>,
}

/// How far an assigned partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Nothing is read yet.
    NotBegun,
    /// Records are handed out; reading began at this offset.
    Begun(i64),
    /// Records are held back; reading began at the first and goes on at the second.
    Paused(i64, i64),
}

// === impl Reader ===

impl Reader {
    pub(super) fn join(settings: &KafkaSettings, spec: &LinkSpec) -> Result<Self, BrokerError> {
        let mut consumer: BaseConsumer<Turns> = settings
            .consumer(spec)
            .create_with_context(Turns::default())
            .map_err(|error| unavailable(&settings.brokers, &error))?;
        let names: Vec<&str> = spec.inputs.iter().map(|topic| settings.names.of(*topic)).collect();
        consumer.subscribe(&names).map_err(|error| unavailable(&settings.brokers, &error))?;
        let bell = Bell::on(&mut consumer);
        Ok(Self {
            consumer: Some(consumer),
            bell,
            settings: settings.clone(),
            spec: spec.clone(),
            held: BTreeMap::new(),
            revoking: BTreeSet::new(),
            released: Vec::new(),
            waiting: Vec::new(),
            damaged: BTreeSet::new(),
            member: None,
        })
    }

    /// Whether a commit may move this partition's position.
    pub(super) fn holds(&self, input: Input) -> bool {
        self.held.contains_key(&input)
    }

    /// **Invariant:** who we were when the lane was last told what it holds, never who we are now: the library joins
    /// again by itself, Kafka asks no member what it holds, and a lane that lost it would write over its successor.
    pub(super) fn membership(&self) -> Option<&ConsumerGroupMetadata> {
        self.member.as_ref()
    }

    /// The positions as the client library wants them.
    pub(super) fn list(&self, positions: &[(Input, Position)]) -> Result<TopicPartitionList, BrokerError> {
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for (input, position) in positions {
            let mut element = list.add_partition(self.settings.names.of(input.topic), input.partition);
            element.set_offset(Offset::Offset(position.offset)).map_err(|error| self.unavailable(&error))?;
            element.set_metadata(estate::signed(&position.note, &self.spec.transactional_id));
        }
        Ok(list)
    }

    pub(super) fn poll(
        &mut self,
        wait: Duration,
        most: usize,
        into: &mut Vec<Arrival>,
    ) -> Result<(), BrokerError> {
        self.take_all(wait, most, into)?;
        let member = self.consumer().group_metadata();
        if !self.has_turn() && !self.consumer().assignment_lost() {
            self.member = member;
        }
        Ok(())
    }

    fn take_all(&mut self, wait: Duration, most: usize, into: &mut Vec<Arrival>) -> Result<(), BrokerError> {
        let (begun, before) = (Tick::now(), into.len());
        let mut bytes = 0;
        loop {
            self.take_turns(into)?;
            let some = into.len() - before;
            if some >= most || bytes >= MOST_BYTES {
                return Ok(());
            }
            let left = if some > 0 { Duration::ZERO } else { wait.saturating_sub(begun.elapsed()) };
            match self.consumer().poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    bytes += message.payload_len();
                    if let Some(record) = self.incoming(&message)
                        && !self.damaged.contains(&record.input)
                    {
                        into.push(Arrival::Record(record));
                    }
                }
                Some(Err(error)) if damage::is_reported_by(&error) => self.set_apart(&error)?,
                Some(Err(error)) => self.judge(&error)?,
                // After a step of a rebalance the library answers nothing, too; then there is one to take.
                None if self.has_turn() => {}
                None if left.is_zero() => return Ok(()),
                None => self.bell.wait(left),
            }
        }
    }

    /// Begins reading at `from`; a log that does not reach there any more is an error, never a jump.
    pub(super) fn start(&mut self, input: Input, from: Option<&Position>) -> Result<(), BrokerError> {
        if !self.holds(input) {
            return Err(BrokerError::NotHeld { input });
        }
        if self.revoking.contains(&input) {
            return Ok(());
        }
        let name = self.settings.names.of(input.topic).to_owned();
        let (first, end) = self.bounds(input)?;
        let next = match (from, self.spec.start_from) {
            (Some(position), _) => position.offset,
            (None, StartFrom::Earliest) => first,
            (None, StartFrom::Now) => end,
        };
        if next < first || next > end {
            return Err(BrokerError::gap(&name, input, next, (first, end)));
        }
        if self.held.insert(input, Reading::Begun(next)) == Some(Reading::NotBegun) {
            let list = one(&name, input.partition, next).map_err(|error| self.unavailable(&error))?;
            self.consumer().incremental_assign(&list).map_err(|error| dead(&error))
        } else {
            self.seek(vec![(input, next)])
        }
    }

    pub(super) fn release(&mut self, inputs: &[Input]) -> Result<(), BrokerError> {
        for input in inputs {
            if self.revoking.remove(input) {
                self.held.remove(input);
                self.damaged.remove(input);
                self.released.push(self.named(*input));
            }
        }
        if self.revoking.is_empty() && !self.released.is_empty() {
            let released = std::mem::take(&mut self.released);
            return unassign(self.consumer(), &released).map_err(|error| dead(&error));
        }
        Ok(())
    }

    /// The partition with the damaged batch waits at it until it is assigned anew; the others go on.
    fn set_apart(&mut self, error: &KafkaError) -> Result<(), BrokerError> {
        let mut candidates = Vec::new();
        for input in self.held.keys().filter(|input| !self.damaged.contains(input)) {
            if let (Some(next), (_, end)) = (self.position(*input)?, self.bounds(*input)?)
                && next < end
            {
                candidates.push((*input, next));
            }
        }
        let found = damage::find(&self.settings, &candidates);
        let (input, offset) = found.ok_or_else(|| self.unavailable(error))?;
        tracing::error!(
            %input, offset,
            hint = "bring it back from a replica, or move the group's offset behind it; then restart",
            "a batch of records does not fit its checksum: its partition waits there, the others go on"
        );
        self.damaged.insert(input);
        let list = self.only(input);
        self.consumer().pause(&list).map_err(|error| dead(&error))
    }

    /// The first offset there is, and the end as a reader of committed records sees it.
    pub(super) fn bounds(&self, input: Input) -> Result<(i64, i64), BrokerError> {
        let name = self.settings.names.of(input.topic);
        let asked = bounds::of(self.consumer(), name, input.partition);
        asked.map_err(|error| self.unavailable(&error))
    }

    /// The ends of several partitions, asked at once. One that the cluster says nothing of is asked by itself.
    pub(super) fn ends(&self, inputs: &[Input]) -> Result<Vec<i64>, BrokerError> {
        let asked = bounds::ends(self.consumer(), &self.settings.names, inputs);
        let asked = asked.map_err(|error| self.unavailable(&error))?;
        let end = |(input, end): (&Input, Option<i64>)| match end {
            Some(end) => Ok(end),
            None => self.bounds(*input).map(|(_, end)| end),
        };
        inputs.iter().zip(asked).map(end).collect()
    }

    /// The offset to read next; what lies between the last record and this are no records.
    pub(super) fn position(&self, input: Input) -> Result<Option<i64>, BrokerError> {
        let begun = match self.held.get(&input) {
            Some(Reading::Begun(begun)) => *begun,
            Some(Reading::Paused(_, from)) => return Ok(Some(*from)),
            Some(Reading::NotBegun) | None => return Ok(None),
        };
        let all = self.consumer().position().map_err(|error| self.unavailable(&error))?;
        let found = all.find_partition(self.settings.names.of(input.topic), input.partition);
        match found.map(|element| element.offset()) {
            Some(Offset::Offset(next)) => Ok(Some(next)),
            // Nothing was handed out since reading began or went back.
            _ => Ok(Some(begun)),
        }
    }

    /// Turns the steps of rebalances into arrivals.
    fn take_turns(&mut self, into: &mut Vec<Arrival>) -> Result<(), BrokerError> {
        loop {
            if !self.waiting.is_empty() {
                let positions = self.committed(&self.waiting)?;
                self.waiting.clear();
                into.extend(
                    positions.into_iter().map(|(input, position)| Arrival::Assigned(input, position)),
                );
            }
            match self.consumer().context().next() {
                Some(Turn::Assigned(named)) => {
                    self.waiting = self.inputs(&named);
                    self.held.extend(self.waiting.iter().map(|input| (*input, Reading::NotBegun)));
                }
                Some(Turn::Revoked(named)) => {
                    let inputs = self.inputs(&named);
                    self.revoking.extend(&inputs);
                    into.push(Arrival::Revoking(inputs));
                }
                Some(Turn::Lost(named)) => {
                    let inputs = self.inputs(&named);
                    self.held.retain(|input, _| !inputs.contains(input));
                    self.damaged.retain(|input| !inputs.contains(input));
                    self.revoking.retain(|input| !inputs.contains(input));
                    into.push(Arrival::Lost(inputs));
                }
                None => return Ok(()),
            }
        }
    }

    fn has_turn(&self) -> bool {
        self.consumer().context().has_next()
    }

    /// What an error of the library means for the link.
    fn judge(&self, error: &KafkaError) -> Result<(), BrokerError> {
        match error {
            KafkaError::MessageConsumption(code) if is_passing(*code) => {
                tracing::debug!(%error, "Kafka consumer");
                Ok(())
            }
            KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset) => {
                match self.where_the_gap_is() {
                    Some(gap) => Err(gap),
                    // The library takes what follows a damaged batch for the next one, and is sent anywhere.
                    None if !self.damaged.is_empty() => Ok(()),
                    None => Err(self.unavailable(error)),
                }
            }
            KafkaError::MessageConsumptionFatal(_) => Err(dead(error)),
            _ => Err(self.unavailable(error)),
        }
    }

    /// The library does not say which partition it has lost its place in; the bounds do.
    fn where_the_gap_is(&self) -> Option<BrokerError> {
        for input in self.held.keys() {
            if let (Ok((first, end)), Ok(Some(next))) = (self.bounds(*input), self.position(*input))
                && (next < first || next > end)
            {
                let name = self.settings.names.of(input.topic);
                return Some(BrokerError::gap(name, *input, next, (first, end)));
            }
        }
        None
    }

    fn incoming(&self, message: &BorrowedMessage<'_>) -> Option<Incoming> {
        let topic = self.settings.names.role(message.topic())?;
        Some(incoming(message, topic))
    }

    fn inputs(&self, named: &[Named]) -> Vec<Input> {
        let role = |name: &str| self.settings.names.role(name);
        named
            .iter()
            .filter_map(|(name, partition)| Some(Input { topic: role(name)?, partition: *partition }))
            .collect()
    }

    fn named(&self, input: Input) -> Named {
        (self.settings.names.of(input.topic).to_owned(), input.partition)
    }

    pub(super) fn only(&self, input: Input) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(self.settings.names.of(input.topic), input.partition);
        list
    }

    pub(super) fn unavailable(&self, error: &KafkaError) -> BrokerError {
        unavailable(&self.settings.brokers, error)
    }

    pub(super) fn consumer(&self) -> &BaseConsumer<Turns> {
        self.consumer.as_ref().expect("it is taken only when the reader is dropped")
    }
}

/// Leaves the group; a static member's place is kept for it.
impl Drop for Reader {
    fn drop(&mut self) {
        let Some(consumer) = self.consumer.take() else { return };
        // A rebalance that waits for us would wait for ever, and closing for it.
        let mut waited_for = std::mem::take(&mut self.released);
        waited_for.extend(self.revoking.iter().map(|input| self.named(*input)));
        close(consumer, waited_for);
    }
}

fn one(name: &str, partition: i32, offset: i64) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(name, partition, Offset::Offset(offset))?;
    Ok(list)
}

/// The reader cannot go on.
pub(super) fn dead(error: &KafkaError) -> BrokerError {
    BrokerError::Fatal(error.to_string())
}
