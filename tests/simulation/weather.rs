//! Weather: what lies between an instance and its broker, and a fault planted in the broker.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bugle::broker::model::Model;
use bugle::broker::{
    Arrival, Broker, BrokerError, Effect, Follow, Input, LinkSpec, Position, StartFrom, Topic, Unread,
};
use bugle::clock;
use bugle::event::{Lane, Timestamp};
use bugle::flow::{Cursor, parked_batch};

use super::INSTANCES;
use super::crooked::{Bent, Done, Twist};
use super::instance::{NAME, transactional_id};
use super::planted::Planted;

/// Between the instances and the broker.
#[derive(Default)]
pub(crate) struct Weather {
    /// To these instances nothing comes through, by bits.
    deaf: AtomicU32,
    /// These get no answer to anything.
    away: AtomicU32,
    /// Of what was asked without an answer: every other time it is done all the same.
    asked: AtomicU64,
    inherited: Mutex<Vec<Inherited>>,
    /// Batches that were set aside, by id: the parts of a split lie nowhere else, and compaction forgets them.
    aside: Mutex<BTreeMap<String, Lies>>,
}

/// A partition of batches, the offset of a frame, a place in it.
type Lies = (i32, (i64, u32));

/// A partition of batches began to be read: when, which one, and up to where its owners before may have sent.
type Inherited = (Timestamp, i32, (i64, u32));

/// The weather, and what is wrong with the broker behind it.
pub(crate) struct Sky {
    pub(crate) weather: Arc<Weather>,
    pub(crate) planted: Option<Planted>,
}

fn instance_of(spec: &LinkSpec) -> usize {
    let rest = spec.transactional_id.strip_prefix(NAME).and_then(|rest| rest.strip_prefix('-'));
    rest.and_then(|rest| rest.split('-').next()?.parse().ok()).unwrap_or(INSTANCES)
}

fn no_answer() -> BrokerError {
    BrokerError::Unavailable { brokers: "memory".to_owned(), reason: "no answer".to_owned() }
}

// === impl Weather ===

impl Weather {
    pub(crate) fn set_deaf(&self, instance: usize, deaf: bool) {
        set(&self.deaf, instance, deaf);
    }

    pub(crate) fn set_away(&self, instance: usize, away: bool) {
        set(&self.away, instance, away);
    }

    /// Everything comes through again.
    pub(crate) fn clear(&self) {
        self.deaf.store(0, Ordering::Relaxed);
        self.away.store(0, Ordering::Relaxed);
    }

    /// Where the batches that were set aside lie, by their ids.
    pub(crate) fn parts(&self) -> BTreeMap<String, Lies> {
        self.aside.lock().unwrap().clone()
    }

    fn see(&self, effects: &[Effect]) {
        for Effect { cause, record } in effects.iter().filter(|effect| effect.record.topic == Topic::Parked) {
            let key = record.key.as_deref().unwrap_or_default();
            if let Some((at, batch)) = record.value.as_ref().and_then(|value| parked_batch(key, value)) {
                self.aside.lock().unwrap().insert(batch.head.message_id.clone(), (cause.partition, at));
            }
        }
    }

    /// Whether who held the partition of this batch at `at` could not know that it had never been sent.
    pub(crate) fn was_in_doubt(&self, (partition, lies): Lies, at: Timestamp) -> bool {
        let inherited = self.inherited.lock().unwrap();
        let mut before =
            inherited.iter().rev().filter(|(since, other, _)| *other == partition && *since <= at);
        before.next().is_some_and(|(_, _, begun)| lies < *begun)
    }

    fn is_deaf(&self, spec: &LinkSpec) -> bool {
        self.deaf.load(Ordering::Relaxed) >> instance_of(spec) & 1 == 1
    }

    fn is_away(&self, spec: &LinkSpec) -> bool {
        self.away.load(Ordering::Relaxed) >> instance_of(spec) & 1 == 1
    }

    fn is_done_all_the_same(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed) % 2 == 1
    }
}

fn set(bits: &AtomicU32, instance: usize, on: bool) {
    let bit = 1 << instance;
    if on {
        bits.fetch_or(bit, Ordering::Relaxed);
    } else {
        bits.fetch_and(!bit, Ordering::Relaxed);
    }
}

// === impl Sky ===

impl Sky {
    /// Something is asked outside of any link: by whom, nobody can say.
    fn ask(&self) -> Done<()> {
        if self.weather.away.load(Ordering::Relaxed) == 0 { Ok(()) } else { Err(no_answer()) }
    }
}

impl Twist for Sky {
    fn open(&self, spec: &LinkSpec) -> Done<()> {
        if self.weather.is_away(spec) { Err(no_answer()) } else { Ok(()) }
    }

    fn poll(&self, on: Bent<'_>, wait: Duration, most: usize, into: &mut Vec<Arrival>) -> Done<()> {
        if self.weather.is_away(on.spec) {
            return Err(no_answer());
        }
        if self.weather.is_deaf(on.spec) { Ok(()) } else { on.link.poll(wait, most, into) }
    }

    fn start(&self, on: Bent<'_>, input: Input, from: Option<&Position>) -> Done<()> {
        if let (Topic::Pushes, Some(position)) = (input.topic, from) {
            let cursor = Cursor::parse(&position.note, position.offset).unwrap();
            // What could not be read yet was sent by nobody.
            let begun = cursor.begun.min((on.link.end(input)?, 0));
            self.weather.inherited.lock().unwrap().push((clock::now(), input.partition, begun));
        }
        on.link.start(input, from)
    }

    fn commit(&self, on: Bent<'_>, effects: Vec<Effect>, positions: &[(Input, Position)]) -> Done<()> {
        self.weather.see(&effects);
        let away = self.weather.is_away(on.spec);
        if away && !self.weather.is_done_all_the_same() {
            return Err(BrokerError::Fatal("no answer; nothing was done".to_owned()));
        }
        match &self.planted {
            Some(planted) => planted.commit(on, effects, positions),
            None => on.link.commit(effects, positions),
        }?;
        if away { Err(BrokerError::Fatal("no answer; all was done".to_owned())) } else { Ok(()) }
    }

    fn recall(&self, model: &Model, topic: Topic, from: &[(i32, Option<i64>)]) -> Done<Box<dyn Follow>> {
        self.ask()?;
        match &self.planted {
            Some(planted) => planted.recall(model, topic, from),
            None => model.recall(topic, from),
        }
    }

    fn unread(&self, model: &Model, group: &str, topics: &[Topic]) -> Done<Vec<Unread>> {
        self.ask()?;
        model.unread(group, topics)
    }
}

#[test]
fn an_instance_is_known_by_its_transactional_id() {
    for instance in 0..INSTANCES {
        let spec = LinkSpec {
            group: String::new(),
            transactional_id: transactional_id(instance, Lane::Person),
            instance_id: None,
            inputs: Vec::new(),
            start_from: StartFrom::Now,
            transaction_timeout: Duration::ZERO,
        };
        assert_eq!(instance_of(&spec), instance);
    }
}
