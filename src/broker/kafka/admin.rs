//! Admin: making topics, looking at how they were made, and dropping what nobody will read again.
//!
//! Every call blocks until the cluster has answered.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::super::names::Found;
use super::super::{BrokerError, Input, Topic, TopicSpec};
use super::faults::unavailable;
use super::settings::{ANSWER_WITHIN, KafkaSettings};
use crate::clock::Tick;

/// Between two looks for a topic that was just made.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A client for questions about topics.
pub(super) struct Admin {
    client: AdminClient<DefaultClientContext>,
    settings: KafkaSettings,
}

// === impl Admin ===

impl Admin {
    pub(super) fn open(settings: &KafkaSettings) -> Result<Self, BrokerError> {
        let client = settings.admin().create().map_err(|error| unavailable(&settings.brokers, &error))?;
        Ok(Self { client, settings: settings.clone() })
    }

    /// The cluster's id.
    pub(super) fn cluster(&self) -> Result<String, BrokerError> {
        let id = self.client.inner().fetch_cluster_id(ANSWER_WITHIN);
        id.ok_or_else(|| self.unavailable(&KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut)))
    }

    /// How many partitions a topic has; `None` when it does not exist.
    pub(super) fn partitions(&self, name: &str) -> Result<Option<u32>, BrokerError> {
        let asked = self.client.inner().fetch_metadata(Some(name), ANSWER_WITHIN);
        let metadata = asked.map_err(|error| self.unavailable(&error))?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == name);
        Ok(topic
            .filter(|topic| topic.error().is_none())
            .and_then(|topic| u32::try_from(topic.partitions().len()).ok())
            .filter(|count| *count > 0))
    }

    /// Makes the topics that do not exist, with as many replicas as the cluster makes by itself, and waits
    /// until they are known: a cluster says that a topic is made before it is there for everybody.
    pub(super) fn create(&self, topics: &[TopicSpec]) -> Result<Vec<Topic>, BrokerError> {
        let new: Vec<NewTopic<'_>> = topics
            .iter()
            .map(|spec| {
                let partitions = i32::try_from(spec.partitions).unwrap_or(i32::MAX);
                let topic = NewTopic::new(&spec.name, partitions, TopicReplication::Fixed(-1));
                spec.config.iter().fold(topic, |topic, (name, value)| topic.set(name, value))
            })
            .collect();
        let (mut made, begun) = (Vec::new(), Tick::now());
        for (spec, result) in topics.iter().zip(self.ask(self.client.create_topics(&new, &options()))?) {
            match result {
                Ok(_) => made.push(spec.topic),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => {
                    return Err(BrokerError::Topic { name, fault: format!("cannot be made: {code}") });
                }
            }
        }
        for spec in topics {
            while self.partitions(&spec.name)?.is_none() && begun.elapsed() < ANSWER_WITHIN {
                thread::park_timeout(LOOK_AGAIN);
            }
        }
        Ok(made)
    }

    /// Adds partitions to a topic, and waits until they are known.
    pub(super) fn grow(&self, name: &str, partitions: u32) -> Result<(), BrokerError> {
        let (more, begun) = ([NewPartitions::new(name, partitions as usize)], Tick::now());
        for result in self.ask(self.client.create_partitions(&more, &options()))? {
            let fault = |(name, code)| BrokerError::Topic { name, fault: format!("cannot grow: {code}") };
            result.map_err(fault)?;
        }
        while self.partitions(name)?.is_none_or(|has| has < partitions) && begun.elapsed() < ANSWER_WITHIN {
            thread::park_timeout(LOOK_AGAIN);
        }
        Ok(())
    }

    /// How many members a group has.
    pub(super) fn members(&self, group: &str) -> Result<usize, BrokerError> {
        let asked = self.client.inner().fetch_group_list(Some(group), ANSWER_WITHIN);
        let groups = asked.map_err(|error| self.unavailable(&error))?;
        Ok(groups.groups().iter().map(|group| group.members().len()).sum())
    }

    /// How a topic was made; `None` when it does not exist.
    pub(super) fn look(&self, names: &[&str]) -> Result<BTreeMap<String, Found>, BrokerError> {
        let mut found = BTreeMap::new();
        for name in names {
            if let Some(partitions) = self.partitions(name)? {
                found.insert((*name).to_owned(), Found { partitions, config: BTreeMap::new() });
            }
        }
        let asked: Vec<ResourceSpecifier<'_>> =
            found.keys().map(|name| ResourceSpecifier::Topic(name)).collect();
        let mut configs = Vec::new();
        if !asked.is_empty() {
            configs = self.ask(self.client.describe_configs(&asked, &options()))?;
        }
        let answers: Vec<BTreeMap<String, String>> = configs
            .into_iter()
            .map(|answer| {
                let entries = answer.map(|resource| resource.entries).unwrap_or_default();
                entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()
            })
            .collect();
        for (found, config) in found.values_mut().zip(answers) {
            found.config = config;
        }
        Ok(found)
    }

    /// Drops the records before these offsets.
    pub(super) fn delete_before(&self, before: &[(Input, i64)]) -> Result<(), BrokerError> {
        if before.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::with_capacity(before.len());
        for (input, offset) in before {
            let name = self.settings.names.of(input.topic);
            list.add_partition_offset(name, input.partition, Offset::Offset(*offset))
                .map_err(|error| self.unavailable(&error))?;
        }
        let done = self.ask(self.client.delete_records(&list, &options()))?;
        let failed = done.elements().iter().find_map(|element| element.error().err());
        failed.map_or(Ok(()), |error| Err(self.unavailable(&error)))
    }

    /// Removes topics and groups, as far as they are there; `false` while a group still has members.
    pub(super) fn remove(&self, topics: &[&str], groups: &[&str]) -> Result<bool, BrokerError> {
        self.ask(self.client.delete_topics(topics, &options()))?;
        let answers = self.ask(self.client.delete_groups(groups, &options()))?;
        Ok(answers.iter().all(|answer| !matches!(answer, Err((_, RDKafkaErrorCode::NonEmptyGroup)))))
    }

    fn ask<T>(&self, answer: impl Future<Output = Result<T, KafkaError>>) -> Result<T, BrokerError> {
        block_on(answer).map_err(|error| self.unavailable(&error))
    }

    fn unavailable(&self, error: &KafkaError) -> BrokerError {
        unavailable(&self.settings.brokers, error)
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_WITHIN)).operation_timeout(Some(ANSWER_WITHIN))
}

/// Waits on this thread for an answer that a thread of the client's own brings; works inside tokio, too.
fn block_on<F: Future>(answer: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut answer = pin!(answer);
    loop {
        match answer.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => thread::park(),
        }
    }
}
