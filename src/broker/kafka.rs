//! Kafka: a real cluster behind the broker trait, through librdkafka.
//!
//! Each link is a consumer and a transactional producer of its own, used by one thread. Whoever publishes
//! shares one producer. Nothing here decides what is written, nor when.

mod admin;
mod bell;
mod bounds;
mod context;
mod damage;
mod estate;
mod faults;
mod follow;
mod link;
mod publisher;
mod reader;
mod replay;
mod settings;
mod unread;
mod wire;
mod writer;

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};

use self::admin::Admin;
use self::follow::Follower;
use self::link::KafkaLink;
use self::publisher::Publisher;
pub use self::settings::KafkaSettings;
use super::names::faults_of;
use super::terms::check_record;
use super::{Broker, BrokerError, Follow, Input, Link, LinkSpec, Outgoing, Topic, TopicSpec, Unread};
use crate::event::Timestamp;

/// A cluster.
pub struct Kafka {
    settings: KafkaSettings,
    admin: Admin,
    /// Opened by the first who publishes.
    publisher: OnceLock<Publisher>,
    /// The topics that were there when something was first published to them.
    known: Mutex<BTreeSet<Topic>>,
}

// === impl Kafka ===

impl Kafka {
    /// Connects when first asked for something; only settings are looked at now.
    ///
    /// # Errors
    /// [`BrokerError::Setting`], and [`BrokerError::Unavailable`] when the client library refuses one.
    pub fn new(settings: KafkaSettings) -> Result<Self, BrokerError> {
        settings.check()?;
        let admin = Admin::open(&settings)?;
        Ok(Self { settings, admin, publisher: OnceLock::new(), known: Mutex::default() })
    }

    /// What the topics are called here.
    #[must_use]
    pub fn names(&self) -> &super::names::Names {
        &self.settings.names
    }

    /// All partitions of a topic, from their beginnings.
    fn all_of(&self, topic: Topic) -> Result<Vec<(i32, Option<i64>)>, BrokerError> {
        let partitions = i32::try_from(self.partitions(topic)?).unwrap_or(i32::MAX);
        Ok((0..partitions).map(|partition| (partition, None)).collect())
    }

    /// Removes all topics and these groups, for good; `false` while a group still has members. For what was
    /// made for a while, by whoever made it.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    pub fn remove(&self, groups: &[String]) -> Result<bool, BrokerError> {
        let topics: Vec<&str> = Topic::ALL.into_iter().map(|topic| self.settings.names.of(topic)).collect();
        self.admin.remove(&topics, &groups.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Looks for the topics of records: the client library would wait for a missing one until it times out.
    fn know(&self, records: &[Outgoing]) -> Result<(), BrokerError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            if !known.contains(&record.topic) {
                self.partitions(record.topic)?;
                known.insert(record.topic);
            }
        }
        Ok(())
    }
}

impl Broker for Kafka {
    fn link(&self, spec: &LinkSpec) -> Result<Box<dyn Link>, BrokerError> {
        for topic in &spec.inputs {
            self.partitions(*topic)?;
        }
        Ok(Box::new(KafkaLink::open(&self.settings, spec)?))
    }

    fn follow(&self, topic: Topic) -> Result<Box<dyn Follow>, BrokerError> {
        Ok(Box::new(Follower::open(&self.settings, topic, &self.all_of(topic)?)?))
    }

    fn follow_since(&self, topic: Topic, since: Timestamp) -> Result<Box<dyn Follow>, BrokerError> {
        let mut follower = Follower::open(&self.settings, topic, &self.all_of(topic)?)?;
        follower.skip_to(since)?;
        Ok(Box::new(follower))
    }

    fn recall(&self, topic: Topic, from: &[(i32, Option<i64>)]) -> Result<Box<dyn Follow>, BrokerError> {
        self.partitions(topic)?;
        Ok(Box::new(Follower::open(&self.settings, topic, from)?))
    }

    fn identity(&self, topic: Topic) -> Result<String, BrokerError> {
        Ok(format!("{}/{}", self.admin.cluster()?, self.settings.names.of(topic)))
    }

    fn unread(&self, group: &str, topics: &[Topic]) -> Result<Vec<Unread>, BrokerError> {
        let mut all = Vec::new();
        for topic in topics {
            all.extend(unread::of(&self.settings, group, (*topic, self.partitions(*topic)?))?);
        }
        Ok(all)
    }

    fn publish(&self, records: Vec<Outgoing>) -> Result<(), BrokerError> {
        records.iter().try_for_each(check_record)?;
        self.know(&records)?;
        let publisher = match self.publisher.get() {
            Some(publisher) => publisher,
            None => {
                let opened = Publisher::open(&self.settings, &self.settings.publisher())?;
                self.publisher.get_or_init(|| opened)
            }
        };
        publisher.publish(&self.settings, records.iter())
    }

    fn partitions(&self, topic: Topic) -> Result<u32, BrokerError> {
        let name = self.settings.names.of(topic);
        self.admin.partitions(name)?.ok_or_else(|| BrokerError::missing(name))
    }

    fn create(&self, topics: &[TopicSpec]) -> Result<Vec<Topic>, BrokerError> {
        self.admin.create(topics)
    }

    fn grow(&self, topic: Topic, partitions: u32) -> Result<(), BrokerError> {
        if self.partitions(topic)? < partitions {
            self.admin.grow(self.settings.names.of(topic), partitions)?;
        }
        Ok(())
    }

    fn members(&self, group: &str) -> Result<usize, BrokerError> {
        self.admin.members(group)
    }

    fn check(&self, topics: &[TopicSpec]) -> Result<Vec<BrokerError>, BrokerError> {
        let names: Vec<&str> = topics.iter().map(|spec| spec.name.as_str()).collect();
        let found = self.admin.look(&names)?;
        Ok(faults_of(topics, |spec| found.get(&spec.name).cloned()))
    }

    fn trim(&self, before: &[(Input, i64)]) -> Result<(), BrokerError> {
        self.admin.delete_before(before)
    }
}
