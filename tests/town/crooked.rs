//! Crooked: a broker that does something wrong on purpose, to see that it is noticed.

use std::sync::Arc;
use std::time::Duration;

use bugle::broker::model::Model;
use bugle::broker::{
    Arrival, Broker, BrokerError, Effect, Follow, Input, Link, LinkSpec, Outgoing, Position, Topic,
    TopicSpec, Unread,
};

/// What comes of asking a broker.
pub(crate) type Done<T> = Result<T, BrokerError>;

/// A link, and what is known of it.
pub(crate) struct Bent<'l> {
    pub(crate) link: &'l mut dyn Link,
    pub(crate) model: &'l Model,
    pub(crate) spec: &'l LinkSpec,
}

/// What is wrong with a broker. What is not said here is right.
pub(crate) trait Twist: Send + Sync {
    /// Before a link is opened.
    fn open(&self, _: &LinkSpec) -> Done<()> {
        Ok(())
    }

    fn poll(&self, on: Bent<'_>, wait: Duration, most: usize, into: &mut Vec<Arrival>) -> Done<()> {
        on.link.poll(wait, most, into)
    }

    fn start(&self, on: Bent<'_>, input: Input, from: Option<&Position>) -> Done<()> {
        on.link.start(input, from)
    }

    fn commit(&self, on: Bent<'_>, effects: Vec<Effect>, positions: &[(Input, Position)]) -> Done<()> {
        on.link.commit(effects, positions)
    }

    fn recall(&self, model: &Model, topic: Topic, from: &[(i32, Option<i64>)]) -> Done<Box<dyn Follow>> {
        model.recall(topic, from)
    }

    fn unread(&self, model: &Model, group: &str, topics: &[Topic]) -> Done<Vec<Unread>> {
        model.unread(group, topics)
    }
}

/// A model broker with a twist.
pub(crate) struct Crooked {
    pub(crate) model: Model,
    pub(crate) twist: Arc<dyn Twist>,
}

struct CrookedLink {
    link: Box<dyn Link>,
    model: Model,
    spec: LinkSpec,
    twist: Arc<dyn Twist>,
}

// === impl CrookedLink ===

impl CrookedLink {
    fn bent(&mut self) -> (Bent<'_>, &dyn Twist) {
        let Self { link, model, spec, twist } = self;
        (Bent { link: link.as_mut(), model, spec }, &**twist)
    }
}

impl Link for CrookedLink {
    fn poll(&mut self, wait: Duration, most: usize, into: &mut Vec<Arrival>) -> Done<()> {
        let (bent, twist) = self.bent();
        twist.poll(bent, wait, most, into)
    }

    fn start(&mut self, input: Input, from: Option<&Position>) -> Done<()> {
        let (bent, twist) = self.bent();
        twist.start(bent, input, from)
    }

    fn release(&mut self, inputs: &[Input]) -> Done<()> {
        self.link.release(inputs)
    }

    fn pause(&mut self, input: Input, from: &Position) -> Done<()> {
        self.link.pause(input, from)
    }

    fn resume(&mut self, input: Input) -> Done<()> {
        self.link.resume(input)
    }

    fn commit(&mut self, effects: Vec<Effect>, positions: &[(Input, Position)]) -> Done<()> {
        let (bent, twist) = self.bent();
        twist.commit(bent, effects, positions)
    }

    fn rewind(&mut self) -> Done<Vec<(Input, Option<Position>)>> {
        self.link.rewind()
    }

    fn end(&mut self, input: Input) -> Done<i64> {
        self.link.end(input)
    }

    fn position(&mut self, input: Input) -> Done<Option<i64>> {
        self.link.position(input)
    }
}

impl Broker for Crooked {
    fn link(&self, spec: &LinkSpec) -> Done<Box<dyn Link>> {
        self.twist.open(spec)?;
        let (model, spec, twist) = (self.model.clone(), spec.clone(), Arc::clone(&self.twist));
        Ok(Box::new(CrookedLink { link: self.model.link(&spec)?, model, spec, twist }))
    }

    fn follow(&self, topic: Topic) -> Done<Box<dyn Follow>> {
        self.model.follow(topic)
    }

    fn recall(&self, topic: Topic, from: &[(i32, Option<i64>)]) -> Done<Box<dyn Follow>> {
        self.twist.recall(&self.model, topic, from)
    }

    fn identity(&self, topic: Topic) -> Done<String> {
        self.model.identity(topic)
    }

    fn unread(&self, group: &str, topics: &[Topic]) -> Done<Vec<Unread>> {
        self.twist.unread(&self.model, group, topics)
    }

    fn publish(&self, records: Vec<Outgoing>) -> Done<()> {
        self.model.publish(records)
    }

    fn partitions(&self, topic: Topic) -> Done<u32> {
        self.model.partitions(topic)
    }

    fn create(&self, topics: &[TopicSpec]) -> Done<Vec<Topic>> {
        self.model.create(topics)
    }

    fn grow(&self, topic: Topic, partitions: u32) -> Done<()> {
        self.model.grow(topic, partitions)
    }

    fn members(&self, group: &str) -> Done<usize> {
        self.model.members(group)
    }

    fn check(&self, topics: &[TopicSpec]) -> Done<Vec<BrokerError>> {
        self.model.check(topics)
    }

    fn trim(&self, before: &[(Input, i64)]) -> Done<()> {
        self.model.trim(before)
    }
}
