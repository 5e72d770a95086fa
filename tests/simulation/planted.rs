//! Planted: a broker with a fault in it, to see that the checks find what they are there to find.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bugle::broker::model::Model;
use bugle::broker::{
    Arrival, Broker, BrokerError, Effect, Follow, Incoming, Input, Link, LinkSpec, Outgoing, Position, Topic,
    TopicSpec, Unread,
};

/// What is wrong with the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Now and then a record of a commit is not written.
    LosesARecord,
    /// Now and then the records of a commit that is taken back are written all the same.
    HalfCommits,
    /// Nobody is told what an owner before remembered.
    ForgetsMemory,
    /// That something due was told is not written down.
    RingsTwice,
}

pub(crate) struct Planted {
    pub(crate) model: Model,
    pub(crate) bug: Bug,
    pub(crate) commits: Arc<AtomicU64>,
}

struct PlantedLink {
    link: Box<dyn Link>,
    model: Model,
    bug: Bug,
    commits: Arc<AtomicU64>,
}

/// A topic that holds nothing.
struct Nothing(usize);

/// Every so manieth commit is hit.
const EVERY: u64 = 7;

impl Link for PlantedLink {
    fn poll(&mut self, wait: Duration, most: usize, into: &mut Vec<Arrival>) -> Result<(), BrokerError> {
        self.link.poll(wait, most, into)
    }

    fn start(&mut self, input: Input, from: Option<&Position>) -> Result<(), BrokerError> {
        self.link.start(input, from)
    }

    fn release(&mut self, inputs: &[Input]) -> Result<(), BrokerError> {
        self.link.release(inputs)
    }

    fn pause(&mut self, input: Input, from: &Position) -> Result<(), BrokerError> {
        self.link.pause(input, from)
    }

    fn resume(&mut self, input: Input) -> Result<(), BrokerError> {
        self.link.resume(input)
    }

    fn commit(
        &mut self,
        mut effects: Vec<Effect>,
        positions: &[(Input, Position)],
    ) -> Result<(), BrokerError> {
        let flows = |effect: &Effect| matches!(effect.record.topic, Topic::Subjects | Topic::People);
        let hit =
            effects.iter().any(flows) && self.commits.fetch_add(1, Ordering::Relaxed) % EVERY == EVERY - 1;
        match self.bug {
            Bug::LosesARecord if hit => {
                if let Some(lost) = effects.iter().position(flows) {
                    effects.remove(lost);
                }
            }
            Bug::HalfCommits if hit => {
                self.model.publish(effects.into_iter().map(|effect| effect.record).collect())?;
                return Err(BrokerError::Aborted("half of it was written".to_owned()));
            }
            // Where nothing new was heard, only what was due can have changed anything.
            Bug::RingsTwice => {
                let rung: Vec<Input> = effects
                    .iter()
                    .filter(|effect| is_empty_page(effect))
                    .map(|effect| effect.cause)
                    .collect();
                effects.retain(|effect| {
                    let state = effect.record.topic == Topic::State && !is_place(effect);
                    !state || !rung.contains(&effect.cause)
                });
            }
            _ => {}
        }
        self.link.commit(effects, positions)
    }

    fn rewind(&mut self) -> Result<Vec<(Input, Option<Position>)>, BrokerError> {
        self.link.rewind()
    }

    fn end(&mut self, input: Input) -> Result<i64, BrokerError> {
        self.link.end(input)
    }

    fn position(&mut self, input: Input) -> Result<Option<i64>, BrokerError> {
        self.link.position(input)
    }
}

/// Whether it says that a transaction heard nothing new.
fn is_empty_page(effect: &Effect) -> bool {
    let page = effect.record.value.as_deref().unwrap_or_default();
    effect.record.topic == Topic::Seen && page.get(1..5) == Some(&[0; 4])
}

fn is_place(effect: &Effect) -> bool {
    effect.record.key.as_deref() == Some(b"place")
}

impl Follow for Nothing {
    fn poll(&mut self, _: Duration, _: &mut Vec<Incoming>) -> Result<(), BrokerError> {
        Ok(())
    }

    fn positions(&self) -> Vec<i64> {
        vec![0; self.0]
    }

    fn ends(&mut self) -> Result<Vec<i64>, BrokerError> {
        Ok(vec![0; self.0])
    }

    fn is_settled(&mut self) -> Result<bool, BrokerError> {
        Ok(true)
    }
}

impl Broker for Planted {
    fn link(&self, spec: &LinkSpec) -> Result<Box<dyn Link>, BrokerError> {
        let (model, bug, commits) = (self.model.clone(), self.bug, Arc::clone(&self.commits));
        Ok(Box::new(PlantedLink { link: self.model.link(spec)?, model, bug, commits }))
    }

    fn follow(&self, topic: Topic) -> Result<Box<dyn Follow>, BrokerError> {
        self.model.follow(topic)
    }

    fn recall(&self, topic: Topic, partitions: &[i32]) -> Result<Box<dyn Follow>, BrokerError> {
        match self.bug {
            Bug::ForgetsMemory => Ok(Box::new(Nothing(partitions.len()))),
            _ => self.model.recall(topic, partitions),
        }
    }

    fn unread(&self, group: &str, topics: &[Topic]) -> Result<Vec<Unread>, BrokerError> {
        self.model.unread(group, topics)
    }

    fn publish(&self, records: Vec<Outgoing>) -> Result<(), BrokerError> {
        self.model.publish(records)
    }

    fn partitions(&self, topic: Topic) -> Result<u32, BrokerError> {
        self.model.partitions(topic)
    }

    fn create(&self, topics: &[TopicSpec]) -> Result<Vec<Topic>, BrokerError> {
        self.model.create(topics)
    }

    fn check(&self, topics: &[TopicSpec]) -> Result<Vec<BrokerError>, BrokerError> {
        self.model.check(topics)
    }

    fn trim(&self, before: &[(Input, i64)]) -> Result<(), BrokerError> {
        self.model.trim(before)
    }
}
