//! Model: a broker in memory, for the demo, for `run --embedded` and for tests.
//!
//! It keeps the promises of the trait: a commit is seen as a whole or not at all, partitions move between
//! the live links of a group, a second link with the same transactional id fences the first. It survives
//! no restart of the process, and breaks a promise only when a test asks for it with [`Model::fail_next`].

mod follow;
mod group;
mod link;
mod log;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;

use self::follow::ModelFollow;
use self::group::{Group, MemberId};
use self::link::ModelLink;
use self::log::Log;
use super::names::{Found, faults_of};
use super::terms::check_record;
use super::{
    Broker, BrokerError, Follow, Input, Link, LinkSpec, Outgoing, Position, Topic, TopicSpec, Unread,
};
use crate::clock::{self, Tick};

/// What a commit shall answer instead of doing its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written: [`BrokerError::Aborted`].
    Aborted,
    /// Nothing is written: [`BrokerError::Fatal`].
    Fatal,
    /// Everything is written, and the answer is [`BrokerError::Fatal`] all the same: nobody knows.
    FatalThoughWritten,
}

/// The broker; a clone is another handle to the same one.
#[derive(Clone, Default)]
pub struct Model {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Something was written, or somebody joined, left or released.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    topics: BTreeMap<Topic, Log>,
    groups: HashMap<String, Group>,
    /// The youngest member per transactional id; all others are fenced.
    producers: HashMap<String, MemberId>,
    /// How far each follower has read, by partition.
    followers: HashMap<MemberId, (Topic, Vec<i64>)>,
    faults: VecDeque<Fault>,
    /// How many of them were met.
    faults_hit: usize,
    commits: u64,
    /// What transactions write is not seen in their partitions yet.
    markers_late: bool,
    last_id: MemberId,
}

// === impl Model ===

impl Model {
    /// A broker without topics.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next commit, of whichever link, meets this fault; asked several times, the ones after it too.
    pub fn fail_next(&self, fault: Fault) {
        self.lock().faults.push_back(fault);
    }

    /// How many faults that were asked for have been met.
    #[must_use]
    pub fn faults_met(&self) -> usize {
        self.lock().faults_hit
    }

    /// A group gives up the member with this transactional id, as when it was not heard of for a session.
    /// Its producer goes on: only the group's generation stands between it and a successor. `false`: there
    /// is no such member.
    pub fn evict(&self, group: &str, transactional_id: &str) -> bool {
        let mut state = self.lock();
        let Some(id) = state.producers.get(transactional_id).copied() else { return false };
        let Some(members) = state.groups.get_mut(group).filter(|members| members.has(id)) else {
            return false;
        };
        members.evict(id);
        state.settle(group);
        drop(state);
        self.shared.changed.notify_all();
        true
    }

    /// From now on what a transaction writes is seen in its partitions only when [`Model::land`] says so,
    /// each for itself; its offsets are seen at once. So Kafka does it for moments: the end of a transaction
    /// reaches every partition in its own time.
    pub fn hold_markers(&self) {
        self.lock().markers_late = true;
    }

    /// Lets the ends of transactions arrive in the partitions that `lands` picks; in all of them from then on
    /// when it picks all.
    pub fn land(&self, mut lands: impl FnMut(Input) -> bool) {
        let mut state = self.lock();
        let mut all = true;
        for log in state.topics.values_mut() {
            all &= log.land(&mut lands);
        }
        state.markers_late &= !all;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// How many commits were written since the beginning.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    /// How far a group has come in a partition.
    #[must_use]
    pub fn committed(&self, group: &str, input: Input) -> Option<Position> {
        self.lock().groups.get(group)?.committed(input).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves no half-written state behind: every change is made in one piece.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks `look` until it has an answer, for at most `wait`.
    fn wait_until<T>(&self, wait: Duration, mut look: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let (begun, wait) = (Tick::now(), clock::patience(wait));
        let mut state = self.lock();
        loop {
            if let Some(answer) = look(&mut state) {
                return Some(answer);
            }
            let left = wait.checked_sub(begun.elapsed()).filter(|left| !left.is_zero())?;
            let woken = self.shared.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Broker for Model {
    fn link(&self, spec: &LinkSpec) -> Result<Box<dyn Link>, BrokerError> {
        let mut state = self.lock();
        for topic in &spec.inputs {
            state.log(*topic)?;
        }
        let id = state.next_id();
        state.producers.insert(spec.transactional_id.clone(), id);
        let group = state.groups.entry(spec.group.clone()).or_default();
        group.join(id, &spec.inputs, spec.instance_id.as_deref());
        state.settle(&spec.group);
        drop(state);
        self.shared.changed.notify_all();
        Ok(Box::new(ModelLink::new(self.clone(), id, spec.clone())))
    }

    fn follow(&self, topic: Topic) -> Result<Box<dyn Follow>, BrokerError> {
        let mut state = self.lock();
        let log = state.log(topic)?;
        let starts: Vec<i64> = partitions_of(log).map(|partition| log.bounds(partition).0).collect();
        let id = state.next_id();
        state.followers.insert(id, (topic, starts.clone()));
        drop(state);
        Ok(Box::new(ModelFollow::whole(self.clone(), id, topic, starts)))
    }

    fn recall(&self, topic: Topic, partitions: &[i32]) -> Result<Box<dyn Follow>, BrokerError> {
        let mut state = self.lock();
        let log = state.log(topic)?;
        let starts = partitions.iter().map(|partition| (*partition, log.bounds(*partition).0)).collect();
        let id = state.next_id();
        drop(state);
        Ok(Box::new(ModelFollow::part(self.clone(), id, topic, starts)))
    }

    fn unread(&self, group: &str, topics: &[Topic]) -> Result<Vec<Unread>, BrokerError> {
        let state = self.lock();
        let group = state.groups.get(group);
        let mut all = Vec::new();
        for topic in topics {
            let log = state.log(*topic)?;
            for partition in partitions_of(log) {
                let input = Input { topic: *topic, partition };
                let (first, end) = log.bounds(partition);
                let next = group.and_then(|group| group.committed(input)).map(|position| position.offset);
                all.push(Unread { input, next, first, end });
            }
        }
        Ok(all)
    }

    fn publish(&self, records: Vec<Outgoing>) -> Result<(), BrokerError> {
        records.iter().try_for_each(check_record)?;
        let mut state = self.lock();
        let written = state.append(records, false);
        drop(state);
        self.shared.changed.notify_all();
        written
    }

    fn partitions(&self, topic: Topic) -> Result<u32, BrokerError> {
        self.lock().log(topic).map(|log| log.spec.partitions)
    }

    fn create(&self, topics: &[TopicSpec]) -> Result<Vec<Topic>, BrokerError> {
        let mut state = self.lock();
        let mut made = Vec::new();
        for spec in topics {
            if let Entry::Vacant(vacant) = state.topics.entry(spec.topic) {
                vacant.insert(Log::new(spec.clone()));
                made.push(spec.topic);
            }
        }
        Ok(made)
    }

    fn check(&self, topics: &[TopicSpec]) -> Result<Vec<BrokerError>, BrokerError> {
        let state = self.lock();
        Ok(faults_of(topics, |spec| {
            state.topics.get(&spec.topic).map(|log| Found {
                partitions: log.spec.partitions,
                config: log.spec.config.iter().cloned().collect(),
            })
        }))
    }

    fn trim(&self, before: &[(Input, i64)]) -> Result<(), BrokerError> {
        let mut state = self.lock();
        for (input, offset) in before {
            if let Some(log) = state.topics.get_mut(&input.topic) {
                log.delete_before(input.partition, *offset);
            }
        }
        Ok(())
    }
}

// === impl State ===

impl State {
    fn next_id(&mut self) -> MemberId {
        self.last_id += 1;
        self.last_id
    }

    fn log(&self, topic: Topic) -> Result<&Log, BrokerError> {
        self.topics.get(&topic).ok_or_else(|| BrokerError::missing(&topic.to_string()))
    }

    /// Shares the partitions of a group's topics among its members anew.
    fn settle(&mut self, name: &str) {
        let Some(group) = self.groups.get_mut(name) else { return };
        let all: Vec<Input> = self
            .topics
            .iter()
            .flat_map(|(topic, log)| partitions_of(log).map(|partition| Input { topic: *topic, partition }))
            .collect();
        group.settle(&all);
    }

    /// Appends all records, or none when one of them has no place to go to.
    fn append(&mut self, records: Vec<Outgoing>, in_transaction: bool) -> Result<(), BrokerError> {
        let mut places = Vec::with_capacity(records.len());
        for record in &records {
            let log = self.topics.get_mut(&record.topic);
            let log = log.ok_or_else(|| BrokerError::missing(&record.topic.to_string()))?;
            let place = log.place(record);
            places.push(place.ok_or_else(|| BrokerError::Topic {
                name: log.spec.name.clone(),
                fault: format!("has no partition {}", record.partition.unwrap_or_default()),
            })?);
        }
        let now = clock::now();
        let mut grown = BTreeSet::new();
        for (record, partition) in records.into_iter().zip(places) {
            grown.insert(Input { topic: record.topic, partition });
            let late = self.markers_late && in_transaction;
            if let Some(log) = self.topics.get_mut(&record.topic) {
                if late {
                    log.hold(partition);
                }
                log.append(partition, now, record);
            }
        }
        grown.into_iter().for_each(|input| self.trim(input));
        Ok(())
    }

    /// Drops what every group of a partition has passed. A follower reads for itself: it holds records
    /// back while it is behind, and sets none free.
    fn trim(&mut self, input: Input) {
        let groups = self.groups.values().filter(|group| group.reads(input));
        let passed: Vec<Option<i64>> =
            groups.map(|group| group.committed(input).map(|position| position.offset)).collect();
        let Some(lowest) = passed.iter().copied().min().unwrap_or(Some(i64::MAX)) else { return };
        let followers = self.followers.values().filter(|(topic, _)| *topic == input.topic);
        let behind =
            followers.filter_map(|(_, read)| read.get(usize::try_from(input.partition).ok()?).copied());
        let before = behind.min().unwrap_or(i64::MAX).min(lowest);
        if let Some(log) = self.topics.get_mut(&input.topic) {
            log.trim(input.partition, before, !passed.is_empty());
        }
    }
}

fn partitions_of(log: &Log) -> impl Iterator<Item = i32> + use<> {
    0..i32::try_from(log.spec.partitions).unwrap_or(i32::MAX)
}
