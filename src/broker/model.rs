//! Model: a broker in memory, for the demo, for `run --embedded` and for tests.
//!
//! It keeps the promises of the trait: a commit is seen as a whole or not at all, partitions move between
//! the live links of a group, a second link with the same transactional id fences the first. What Kafka does
//! in its own time (the ends of transactions, compaction, a member that is missed) it does in the same way.
//! It survives no restart of the process, and fails only when a test asks for it with [`Model::fail_next`].

mod follow;
mod group;
mod link;
mod log;
mod transactions;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;

use self::follow::ModelFollow;
use self::group::{Group, MemberId};
use self::link::ModelLink;
use self::log::Log;
pub use self::transactions::Place;
use self::transactions::{Transaction, TxnId};
use super::names::{Found, faults_of};
use super::terms::check_record;
use super::{
    Broker, BrokerError, Follow, Input, Link, LinkSpec, Outgoing, Position, Topic, TopicSpec, Unread,
};
use crate::clock::{self, Tick};
use crate::event::Timestamp;

/// What a commit shall answer instead of doing its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// What was written is rolled back: [`BrokerError::Aborted`].
    Aborted,
    /// Nothing is written: [`BrokerError::Fatal`].
    Fatal,
    /// Everything is written and no position sent: [`BrokerError::Fatal`]. The transaction stays open until a
    /// successor takes the transactional id over, or for as long as it may.
    FatalOnceWritten,
    /// The same, and the positions were sent; only its end was not.
    FatalOnceSent,
    /// Everything is written, and the answer is [`BrokerError::Fatal`] all the same: nobody knows.
    FatalThoughWritten,
}

/// The broker; a clone is another handle to the same one.
#[derive(Clone, Default)]
pub struct Model {
    shared: Arc<Shared>,
}

struct Shared {
    /// No two were made at the same time on one machine.
    born: Timestamp,
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
    transactions: BTreeMap<TxnId, Transaction>,
    faults: VecDeque<Fault>,
    /// How many of them were met.
    faults_hit: usize,
    commits: u64,
    /// What transactions write is not seen in their partitions yet.
    markers_late: bool,
    last_id: MemberId,
}

// === impl Shared ===

impl Default for Shared {
    fn default() -> Self {
        Self { born: clock::now(), state: Mutex::default(), changed: Condvar::new() }
    }
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

    /// From now on the end of a transaction arrives only when [`Model::land`] says so, in each partition and
    /// with the group's offsets for itself. So Kafka does it for moments.
    pub fn hold_markers(&self) {
        self.lock().markers_late = true;
    }

    /// Lets the ends of committed transactions arrive in the places that `lands` picks; everywhere from then
    /// on when it picks all.
    pub fn land(&self, lands: impl FnMut(Place<'_>) -> bool) {
        let mut state = self.lock();
        let all = state.arrive_where(lands);
        state.markers_late &= !all;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Somebody else writes these records in a transaction and does not end it. It stays open until
    /// [`Model::end_open`], or for as long as it may.
    ///
    /// # Errors
    /// [`BrokerError::Topic`].
    pub fn leave_open(
        &self,
        transactional_id: &str,
        within: Duration,
        records: Vec<Outgoing>,
    ) -> Result<(), BrokerError> {
        let mut state = self.lock();
        let txn = state.begin(transactional_id, within);
        state.append(records, Some(txn))
    }

    /// Ends what [`Model::leave_open`] began.
    pub fn end_open(&self, transactional_id: &str, commit: bool) {
        let mut state = self.lock();
        if commit {
            state.commit_of(transactional_id);
        }
        state.finish_of(transactional_id);
        drop(state);
        self.shared.changed.notify_all();
    }

    /// A group without members is forgotten with all its positions, as after a week.
    pub fn forget(&self, group: &str) -> bool {
        let mut state = self.lock();
        if state.groups.get(group).is_none_or(|group| !group.is_empty()) {
            return false;
        }
        state.groups.remove(group).is_some()
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
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.let_time_pass();
        state
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
        state.finish_of(&spec.transactional_id);
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

    fn recall(&self, topic: Topic, from: &[(i32, Option<i64>)]) -> Result<Box<dyn Follow>, BrokerError> {
        let mut state = self.lock();
        let log = state.log(topic)?;
        let start = |(partition, from): &(i32, Option<i64>)| {
            let (first, end) = log.bounds(*partition);
            (*partition, from.filter(|from| (first..=end).contains(from)).unwrap_or(first))
        };
        let starts = from.iter().map(start).collect();
        let id = state.next_id();
        drop(state);
        Ok(Box::new(ModelFollow::part(self.clone(), id, topic, starts)))
    }

    fn identity(&self, topic: Topic) -> Result<String, BrokerError> {
        Ok(format!("memory of {}/{topic}", self.shared.born))
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
                let committed = group.and_then(|group| group.committed(input));
                let next = committed.map(|position| log.first_record(partition, position.offset));
                all.push(Unread { input, next, first, end });
            }
        }
        Ok(all)
    }

    fn publish(&self, records: Vec<Outgoing>) -> Result<(), BrokerError> {
        records.iter().try_for_each(check_record)?;
        let mut state = self.lock();
        let written = state.append(records, None);
        drop(state);
        self.shared.changed.notify_all();
        written.map_err(|error| match error {
            BrokerError::Aborted(reason) => unavailable(&reason),
            other => other,
        })
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

    fn grow(&self, topic: Topic, partitions: u32) -> Result<(), BrokerError> {
        let mut state = self.lock();
        let log = state.topics.get_mut(&topic).ok_or_else(|| BrokerError::missing(&topic.to_string()))?;
        log.grow(partitions);
        let groups: Vec<String> = state.groups.keys().cloned().collect();
        groups.iter().for_each(|group| state.settle(group));
        drop(state);
        self.shared.changed.notify_all();
        Ok(())
    }

    fn members(&self, group: &str) -> Result<usize, BrokerError> {
        Ok(self.lock().groups.get(group).map_or(0, Group::len))
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
            let log = state.topics.get_mut(&input.topic);
            let log = log.ok_or_else(|| BrokerError::missing(&input.topic.to_string()))?;
            log.delete_before(input.partition, *offset).map_err(unavailable)?;
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

    /// What happens by itself: transactions that are open for too long are rolled back, static members that
    /// do not come back are missed.
    fn let_time_pass(&mut self) {
        self.expire_transactions();
        let groups = self.groups.iter_mut().filter_map(|(name, group)| group.miss().then(|| name.clone()));
        for name in groups.collect::<Vec<_>>() {
            self.settle(&name);
        }
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

fn unavailable(reason: &str) -> BrokerError {
    BrokerError::Unavailable { brokers: "memory".to_owned(), reason: reason.to_owned() }
}

fn partitions_of(log: &Log) -> impl Iterator<Item = i32> + use<> {
    0..i32::try_from(log.spec.partitions).unwrap_or(i32::MAX)
}
