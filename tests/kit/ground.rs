//! Ground: a broker with topics of its own, the simplest lane there is, and what others do on that broker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bugle::broker::kafka::{Kafka, KafkaSettings};
use bugle::broker::model::Model;
use bugle::broker::names::Names;
use bugle::broker::{
    Arrival, Broker, Effect, Follow, Incoming, Input, Link, LinkSpec, Outgoing, Position, StartFrom, Topic,
    TopicSpec, Unread,
};
use bugle::clock::Tick;
use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::until;

/// How long a test waits before it fails.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// How long one poll waits.
pub(crate) const STEP: Duration = Duration::from_millis(50);
/// How many partitions each topic has.
pub(crate) const PARTITIONS: u32 = 4;

/// A broker with topics of its own.
pub(crate) struct Ground {
    pub(crate) broker: Box<dyn Broker>,
    pub(crate) specs: Vec<TopicSpec>,
    names: Names,
    /// Begins the names of groups and transactional ids.
    name: String,
    /// For what only a test does to a broker.
    model: Option<Model>,
}

/// A transaction of somebody else that has not ended.
pub(crate) enum Open {
    OnTheModel(Model, String),
    OnKafka(Box<ThreadedProducer<DefaultProducerContext>>),
}

/// librdkafka's settings with which a member is missed after three seconds.
pub(crate) const SHORT_SESSION: [(&str, &str); 2] =
    [("consumer.session.timeout.ms", "3000"), ("consumer.heartbeat.interval.ms", "500")];

pub(crate) fn overrides(settings: &[(&str, &str)]) -> BTreeMap<String, String> {
    settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A link and what it was given.
pub(crate) struct Lane {
    pub(crate) link: Box<dyn Link>,
    pub(crate) held: BTreeSet<Input>,
    pub(crate) given: Vec<(Input, Option<Position>)>,
    pub(crate) read: Vec<Incoming>,
}

// === impl Ground ===

impl Ground {
    pub(crate) fn model() -> Self {
        let model = Model::new();
        let broker = Box::new(model.clone());
        Self { model: Some(model), ..Self::new(Names::default(), String::new(), |_| broker) }
    }

    pub(crate) fn kafka() -> Self {
        Self::kafka_with(BTreeMap::new())
    }

    /// On the real Kafka, where a member that does not poll is missed after three seconds.
    pub(crate) fn kafka_with_short_sessions() -> Self {
        let slow = [("consumer.max.poll.interval.ms", "3000")];
        Self::kafka_with(overrides(&[&SHORT_SESSION[..], &slow[..]].concat()))
    }

    /// On the real Kafka, with librdkafka's settings as given.
    pub(crate) fn kafka_with(overrides: BTreeMap<String, String>) -> Self {
        Self::kafka_at(super::kafka(), overrides)
    }

    /// On the real Kafka, with the proxy of this process in between.
    pub(crate) fn behind_the_proxy() -> Self {
        Self::kafka_at(&super::proxy().servers(), BTreeMap::new())
    }

    fn kafka_at(servers: &str, overrides: BTreeMap<String, String>) -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}-{}.", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
        let names = Names::with_prefixes(&format!("{name}bugle."), &format!("{name}opentext."));
        Self::new(names, name, |names| {
            let settings = KafkaSettings { names, overrides, ..KafkaSettings::local(servers) };
            Box::new(Kafka::new(settings).unwrap())
        })
    }

    fn new(names: Names, name: String, broker: impl FnOnce(Names) -> Box<dyn Broker>) -> Self {
        let specs: Vec<TopicSpec> = names
            .specs(PARTITIONS)
            .into_iter()
            .filter(|spec| matches!(spec.topic, Topic::Subjects | Topic::People | Topic::Directory))
            .collect();
        let broker = broker(names.clone());
        assert_eq!(broker.create(&specs).unwrap().len(), specs.len());
        Self { broker, specs, names, name, model: None }
    }

    /// One more topic of one partition, with settings of its own.
    pub(crate) fn create(&self, topic: Topic, config: &[(&str, &str)]) {
        let name = self.names.of(topic).to_owned();
        let config = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(self.broker.create(&[TopicSpec { topic, name, partitions: 1, config }]).unwrap(), [topic]);
    }

    /// Somebody writes a record in a transaction, and does not end it.
    pub(crate) fn leave_open(&self, slot: &str, within: Duration, record: &Outgoing) -> Open {
        let id = self.spec(slot).transactional_id;
        if let Some(model) = &self.model {
            model.leave_open(&id, within, vec![record.clone()]).unwrap();
            return Open::OnTheModel(model.clone(), id);
        }
        let mut config = self.client();
        config.set("transactional.id", id).set("transaction.timeout.ms", within.as_millis().to_string());
        config.set("message.timeout.ms", within.as_millis().to_string());
        let producer: ThreadedProducer<_> = config.create().unwrap();
        producer.init_transactions(SOON).unwrap();
        producer.begin_transaction().unwrap();
        let topic = self.names.of(record.topic);
        let mut out: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
        (out.partition, out.payload) = (record.partition, record.value.as_deref());
        producer.send(out).map_err(|(error, _)| error).unwrap();
        producer.flush(SOON).unwrap();
        Open::OnKafka(Box::new(producer))
    }

    /// The group, whose members have gone, is forgotten with all its positions.
    pub(crate) fn forget_group(&self) {
        let group = self.spec("0").group;
        if let Some(model) = &self.model {
            return until("the group is forgotten", SOON, || model.forget(&group));
        }
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        until("the group is forgotten", SOON, || {
            let asked = runtime.block_on(admin.delete_groups(&[&group], &AdminOptions::new()));
            asked.unwrap()[0].is_ok()
        });
    }

    /// A lane that is not polled is missed: on the model as soon as this is called, on Kafka by and by.
    pub(crate) fn miss(&self, slot: &str) {
        if let Some(model) = &self.model {
            assert!(model.evict(&self.spec(slot).group, &self.spec(slot).transactional_id));
        }
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", super::kafka());
        config
    }

    /// What the group has not read of a partition.
    pub(crate) fn unread(&self, input: Input) -> Unread {
        let all = self.broker.unread(&self.spec("0").group, &[input.topic]).unwrap();
        all.into_iter().find(|unread| unread.input == input).unwrap()
    }

    /// The end of a partition as everybody sees it.
    pub(crate) fn end(&self, input: Input) -> i64 {
        let mut follow = self.broker.recall(input.topic, &[(input.partition, None)]).unwrap();
        follow.ends().unwrap()[0]
    }

    pub(crate) fn spec(&self, slot: &str) -> LinkSpec {
        LinkSpec {
            group: format!("{}subject", self.name),
            transactional_id: format!("{}subject-{slot}", self.name),
            instance_id: None,
            inputs: vec![Topic::Subjects],
            start_from: StartFrom::Earliest,
            transaction_timeout: Duration::from_secs(10),
        }
    }

    pub(crate) fn lane(&self, slot: &str) -> Lane {
        self.lane_of(&self.spec(slot))
    }

    pub(crate) fn lane_of(&self, spec: &LinkSpec) -> Lane {
        let link = self.broker.link(spec).unwrap();
        Lane { link, held: BTreeSet::new(), given: Vec::new(), read: Vec::new() }
    }

    /// Publishes numbered records to one partition of the subjects.
    pub(crate) fn publish(&self, partition: i32, numbers: std::ops::Range<u32>) {
        let records = numbers.map(|number| record(Topic::Subjects, partition, &number.to_string())).collect();
        self.broker.publish(records).unwrap();
    }

    /// How many records lie in a topic for everybody to see.
    pub(crate) fn count(&self, topic: Topic) -> usize {
        let mut follow = self.broker.follow(topic).unwrap();
        read_to_the_end(follow.as_mut()).len()
    }

    /// Waits until a topic holds these values and no others. A commit is certain when it returns, but its
    /// records are seen only a moment later.
    pub(crate) fn until_it_holds(&self, topic: Topic, expected: &[&str]) {
        let mut follow = self.broker.follow(topic).unwrap();
        let mut read = Vec::new();
        until("the records are seen", SOON, || {
            follow.poll(STEP, &mut read).unwrap();
            read.len() >= expected.len()
        });
        read.extend(read_to_the_end(follow.as_mut()));
        let mut values = values(&read);
        values.sort();
        assert_eq!(values, expected);
    }
}

// === impl Open ===

impl Open {
    pub(crate) fn commit(self) {
        match self {
            Self::OnTheModel(model, id) => model.end_open(&id, true),
            Self::OnKafka(producer) => producer.commit_transaction(SOON).unwrap(),
        }
    }

    pub(crate) fn roll_back(self) {
        match self {
            Self::OnTheModel(model, id) => model.end_open(&id, false),
            Self::OnKafka(producer) => producer.abort_transaction(SOON).unwrap(),
        }
    }
}

// === impl Lane ===

impl Lane {
    /// One poll; partitions are begun when they are given and released when they are asked for.
    pub(crate) fn step(&mut self) {
        let mut arrivals = Vec::new();
        self.link.poll(STEP, 500, &mut arrivals).unwrap();
        for arrival in arrivals {
            match arrival {
                Arrival::Record(record) => {
                    assert!(
                        self.held.contains(&record.input),
                        "a record of {} which is not held",
                        record.input
                    );
                    self.read.push(record);
                }
                Arrival::Assigned(input, position) => {
                    assert!(self.held.insert(input), "{input} was given twice");
                    self.link.start(input, position.as_ref()).unwrap();
                    self.given.push((input, position));
                }
                Arrival::Revoking(inputs) => {
                    self.copy();
                    self.held.retain(|input| !inputs.contains(input));
                    self.link.release(&inputs).unwrap();
                }
                Arrival::Lost(inputs) => {
                    self.held.retain(|input| !inputs.contains(input));
                    self.read.retain(|record| !inputs.contains(&record.input));
                }
            }
        }
    }

    pub(crate) fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let begun = Tick::now();
        while !holds(self) {
            assert!(begun.elapsed() < SOON, "after {SOON:?} still not: {what}");
            self.step();
        }
    }

    /// Waits for so many partitions.
    pub(crate) fn until_held(&mut self, count: usize) {
        self.until("the partitions are given", |lane| lane.held.len() == count);
    }

    /// Waits until so many records were read.
    pub(crate) fn until_read(&mut self, count: usize) {
        self.until("the records are read", |lane| lane.read.len() >= count);
    }

    /// Copies what was read to the people, and commits it.
    pub(crate) fn copy(&mut self) {
        let read = std::mem::take(&mut self.read);
        let mut positions: Vec<(Input, Position)> = Vec::new();
        let mut effects = Vec::new();
        for incoming in &read {
            positions.retain(|(input, _)| *input != incoming.input);
            positions.push((incoming.input, at(incoming.offset + 1, "")));
            let value = String::from_utf8(incoming.value.as_deref().unwrap().to_vec()).unwrap();
            effects.push(effect(incoming.input, record(Topic::People, incoming.input.partition, &value)));
        }
        if !positions.is_empty() {
            self.link.commit(effects, &positions).unwrap();
        }
    }
}

pub(crate) fn subjects(partition: i32) -> Input {
    Input { topic: Topic::Subjects, partition }
}

pub(crate) fn people(partition: i32) -> Input {
    Input { topic: Topic::People, partition }
}

pub(crate) fn at(offset: i64, note: &str) -> Position {
    Position { offset, note: note.to_owned() }
}

pub(crate) fn record(topic: Topic, partition: i32, value: &str) -> Outgoing {
    let value = Some(Bytes::copy_from_slice(value.as_bytes()));
    Outgoing { topic, partition: Some(partition), key: None, value, headers: Vec::new() }
}

pub(crate) fn effect(cause: Input, record: Outgoing) -> Effect {
    Effect { cause, record }
}

pub(crate) fn values(records: &[Incoming]) -> Vec<String> {
    let text = |record: &Incoming| String::from_utf8(record.value.as_deref().unwrap().to_vec()).unwrap();
    records.iter().map(text).collect()
}

/// What comes until the ends asked for now are reached.
pub(crate) fn read_to_the_end(follow: &mut dyn Follow) -> Vec<Incoming> {
    let ends = follow.ends().unwrap();
    let (begun, mut read) = (Tick::now(), Vec::new());
    while follow.positions().iter().zip(&ends).any(|(position, end)| position < end) {
        assert!(begun.elapsed() < SOON, "at {:?}, the ends {ends:?} are not reached", follow.positions());
        follow.poll(STEP, &mut read).unwrap();
    }
    read
}
