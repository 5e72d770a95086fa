//! Grow: topics between the lanes get more partitions, and what was remembered goes where it belongs then.
//!
//! Memory topics grow first, and the topic a lane reads grows last: between the two no instance starts, for the
//! counts differ from what its settings say. Whoever is interrupted runs it again.

mod carry_out;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::broker::names::is_whole;
use crate::broker::{Broker, BrokerError, TopicSpec};
use crate::clock::{self, Tick};
use crate::engine::group_of;
use crate::event::{Lane, Topic};
use crate::flow::grow::Step;
use crate::flow::is_parked_batch;
use crate::flow::memory::BrokenMemory;

/// How long one look waits.
const LOOK: Duration = Duration::from_millis(50);
/// A member that said nothing is missed after its session, 15 s.
const MISSED: Duration = Duration::from_secs(20);
/// The topics between the lanes, in the order of the flow.
const BETWEEN: [Topic; 4] = [Topic::Subjects, Topic::People, Topic::Pushes, Topic::Writebacks];

/// One topic that is to have more partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Growing {
    /// Its role.
    #[serde(skip)]
    pub topic: Topic,
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub has: u32,
    /// How many it gets.
    pub gets: u32,
}

/// What would be done, and why not yet.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// What grows.
    pub topics: Vec<Growing>,
    /// Why it cannot be: what to change in the settings.
    pub faults: Vec<String>,
    /// Why it cannot be yet: what to do first.
    pub first: Vec<String>,
    /// Records of memory to go over.
    pub records: u64,
}

/// What was done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Ids that were copied.
    pub ids: u64,
    /// Entries that were looked at, and how many of them moved.
    pub entries: u64,
    /// Those that lie in another partition now.
    pub moved: u64,
}

/// Why it ended in the middle. Run again, it goes on.
#[derive(Debug, thiserror::Error)]
pub enum CannotGrow {
    /// Kafka said so.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// Something remembered cannot be read.
    #[error("partition {partition} of `{topic}`: what it remembers cannot be read: {broken}")]
    Memory {
        /// The memory topic.
        topic: Topic,
        /// The partition.
        partition: i32,
        /// Why.
        broken: BrokenMemory,
    },
    /// An instance has started meanwhile.
    #[error("an instance takes part in `{0}`; nothing is lost: stop it, then run this again")]
    Joined(String),
    /// Something came to lie between the lanes.
    #[error("records of `{0}` were not read; `bugle run --drain`, then run this again")]
    Unread(Topic),
    /// A transaction does not end.
    #[error("a transaction in `{0}` does not end; run this again when it has")]
    Open(Topic),
}

/// Topics that grow on one cluster.
pub struct Grow<'b> {
    broker: &'b dyn Broker,
    specs: &'b [TopicSpec],
    group: &'b str,
}

// === impl Growing ===

impl Growing {
    /// What becomes of what lies in it.
    #[must_use]
    pub const fn what(&self) -> &'static str {
        match self.topic {
            Topic::Seen | Topic::Told => "ids are copied to where their partition's went",
            Topic::State | Topic::Waiting | Topic::WritebackState => "entries move to where they belong",
            Topic::Subjects | Topic::People | Topic::Writebacks => "empty; grows last",
            Topic::Pushes | Topic::Parked => "empty",
            _ => "what is written stays where it is",
        }
    }
}

// === impl Grow ===

impl<'b> Grow<'b> {
    /// The topics of these instances are to be as specified.
    #[must_use]
    pub fn new(broker: &'b dyn Broker, specs: &'b [TopicSpec], group: &'b str) -> Self {
        Self { broker, specs, group }
    }

    /// What is to be done, and what stands in the way.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub fn plan(&self) -> Result<Plan, BrokerError> {
        let mut plan = Plan::default();
        for spec in self.specs.iter().filter(|spec| is_shared_out(spec.topic)) {
            let (has, gets) = (self.broker.partitions(spec.topic)?, spec.partitions);
            let (topic, name) = (spec.topic, spec.name.clone());
            if gets < has {
                plan.faults.push(format!(
                    "`{name}` has {has} partitions, and {gets} are fewer: partitions cannot be taken away"
                ));
            } else if gets > has {
                plan.topics.push(Growing { topic, name, has, gets });
            }
        }
        for topic in BETWEEN {
            self.fits(topic, &mut plan)?;
        }
        self.keeps_its_chains(&mut plan)?;
        if !plan.topics.is_empty() && plan.faults.is_empty() {
            self.comes_first(&mut plan)?;
            plan.records = self.records(&plan)?;
        }
        Ok(plan)
    }

    /// What a partition remembers can be shared out only among those whose remainder it is.
    fn fits(&self, topic: Topic, plan: &mut Plan) -> Result<(), BrokerError> {
        let (step, name) = (self.step(topic)?, self.name(topic));
        let Step { from, into } = step;
        if step.grows() && into % from != 0 {
            let more = (into / from + 1) * from;
            plan.faults.push(format!(
                "`{name}` has {from} partitions, and {into} is no multiple of it: what they remember could not be \
                 shared out; write {more}"
            ));
        }
        for memory in topic.memories() {
            let has = self.broker.partitions(*memory)?;
            if has != from && !(step.grows() && has == into) {
                plan.faults.push(format!(
                    "`{}` has {has} partitions and `{name}`, whose memory it is, {from}: somebody else made them so",
                    self.name(*memory)
                ));
            }
        }
        Ok(())
    }

    /// A hash chain lies in one partition of the audit topic: the remainder of the writer's.
    fn keeps_its_chains(&self, plan: &mut Plan) -> Result<(), BrokerError> {
        let Some(audit) = plan.topics.iter().find(|growing| growing.topic == Topic::Audit).cloned() else {
            return Ok(());
        };
        let read = Lane::ALL.into_iter().flat_map(Lane::inputs).copied();
        let read = read.map(|topic| Ok((topic, self.broker.partitions(topic)?)));
        for (topic, partitions) in read.collect::<Result<Vec<_>, BrokerError>>()? {
            if partitions > audit.has {
                plan.faults.push(format!(
                    "`{}` has {partitions} partitions, and with more than {} of `{}` chains of verdicts would be \
                     torn: leave it so, with `kafka.topics.partitions: {{ audit: {} }}`",
                    self.name(topic), audit.has, audit.name, audit.has
                ));
            }
        }
        Ok(())
    }

    /// What has to be done first: nobody takes part, everything between the lanes is read, and no batch is set
    /// aside, which belongs to people who would be told from several partitions.
    fn comes_first(&self, plan: &mut Plan) -> Result<(), BrokerError> {
        if let Some((group, members)) = taking_part(self.broker, self.group)? {
            plan.first.push(format!("`{group}` has {members} members: stop every instance"));
        }
        for (topic, unread) in self.unread()? {
            plan.first.push(format!(
                "up to {unread} records of `{}` were not read: `bugle run --drain`, which ends when all are",
                self.name(topic)
            ));
        }
        if plan.topics.iter().any(|growing| matches!(growing.topic, Topic::People | Topic::Pushes)) {
            match self.set_aside()? {
                0 => {}
                batches => plan.first.push(format!(
                    "{batches} batches are set aside in `{}`, for the push service does not take them: let an \
                     instance run until it has, or until they expire",
                    self.name(Topic::Parked)
                )),
            }
        }
        Ok(())
    }

    /// What lies between the lanes and was not read.
    fn unread(&self) -> Result<Vec<(Topic, i64)>, BrokerError> {
        let mut unread = Vec::new();
        for topic in BETWEEN {
            let all = self.broker.unread(&group_of(self.group, Lane::of(topic)), &[topic])?;
            let records = all.iter().map(|of| of.end - of.next.unwrap_or(of.first)).sum();
            unread.extend((records > 0).then_some((topic, records)));
        }
        Ok(unread)
    }

    /// How many batches are set aside.
    fn set_aside(&self) -> Result<usize, BrokerError> {
        let mut batches = BTreeSet::new();
        for partition in numbers(self.broker.partitions(Topic::Parked)?) {
            self.read(Topic::Parked, partition, |record| {
                let at = (partition, record.key.clone());
                match record.value.is_some() && is_parked_batch(record.key.as_deref().unwrap_or_default()) {
                    true => batches.insert(at),
                    false => batches.remove(&at),
                };
                Ok(())
            })?;
        }
        Ok(batches.len())
    }

    /// How many records of memory there are to go over, at most.
    fn records(&self, plan: &Plan) -> Result<u64, BrokerError> {
        let mut records = 0;
        for (topic, step, _) in if plan.faults.is_empty() { self.moving()? } else { Vec::new() } {
            for memory in topic.memories() {
                let all: Vec<_> = numbers(step.from).map(|partition| (partition, None)).collect();
                let mut follow = self.broker.recall(*memory, &all)?;
                let ends: i64 = follow.ends()?.iter().sum();
                let starts: i64 = follow.positions().iter().sum();
                records += u64::try_from(ends - starts).unwrap_or_default();
            }
        }
        Ok(records)
    }

    fn step(&self, topic: Topic) -> Result<Step, BrokerError> {
        let from = self.broker.partitions(topic)?;
        let into = self.specs.iter().find(|spec| spec.topic == topic).map_or(from, |spec| spec.partitions);
        Ok(Step { from, into: into.max(from) })
    }

    fn name(&self, topic: Topic) -> &str {
        self.specs.iter().find(|spec| spec.topic == topic).map_or("", |spec| spec.name.as_str())
    }
}

/// A group that has members, and how many.
///
/// # Errors
/// [`BrokerError`].
pub fn taking_part(broker: &dyn Broker, group: &str) -> Result<Option<(String, usize)>, BrokerError> {
    for lane in Lane::ALL {
        let group = group_of(group, lane);
        let members = broker.members(&group)?;
        if members > 0 {
            return Ok(Some((group, members)));
        }
    }
    Ok(None)
}

/// Waits until nobody takes part, for as long as a member that is gone, or has a name, may be missed after.
///
/// # Errors
/// [`BrokerError`].
pub fn wait_for_the_last(broker: &dyn Broker, group: &str) -> Result<Option<(String, usize)>, BrokerError> {
    let begun = Tick::now();
    loop {
        let taking_part = taking_part(broker, group)?;
        if taking_part.is_none() || begun.elapsed() > MISSED {
            return Ok(taking_part);
        }
        clock::sleep(LOOK);
    }
}

fn numbers(count: u32) -> impl Iterator<Item = i32> {
    0..i32::try_from(count).unwrap_or(i32::MAX)
}

/// Whether the work in a topic is shared out among instances by its partitions, and they are ours to count.
const fn is_shared_out(topic: Topic) -> bool {
    !is_whole(topic) && !matches!(topic, Topic::Events(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::model::Model;
    use crate::broker::names::Names;
    use crate::broker::{LinkSpec, Outgoing, StartFrom};

    fn specs(partitions: u32) -> Vec<TopicSpec> {
        Names::default().specs(partitions)
    }

    fn model(partitions: u32) -> Model {
        let model = Model::new();
        model.create(&specs(partitions)).unwrap();
        model
    }

    fn plan(model: &Model, specs: &[TopicSpec]) -> Plan {
        Grow::new(model, specs, "bugle").plan().unwrap()
    }

    #[test]
    fn topics_grow_to_a_multiple_and_whoever_asks_again_finds_nothing_to_do() {
        let (model, specs) = (model(2), specs(6));
        let planned = plan(&model, &specs);
        assert_eq!((planned.topics.len(), planned.faults.len(), planned.first.len()), (13, 0, 0));
        Grow::new(&model, &specs, "bugle").carry_out(&planned, |_| {}).unwrap();
        assert_eq!(plan(&model, &specs), Plan::default());
        let ours = |spec: &&TopicSpec| is_shared_out(spec.topic);
        assert!(specs.iter().filter(ours).all(|spec| model.partitions(spec.topic).unwrap() == 6));
        assert_eq!(model.partitions(Topic::Directory).unwrap(), 1, "it is held whole");
    }

    #[test]
    fn fewer_partitions_and_no_multiple_are_refused() {
        assert!(plan(&model(4), &specs(2)).faults[0].ends_with("partitions cannot be taken away"));
        let faults = plan(&model(4), &specs(6)).faults;
        assert_eq!(faults.len(), 4);
        assert!(faults[0].contains("`bugle.subjects`") && faults[0].ends_with("write 8"), "{faults:?}");
    }

    #[test]
    fn chains_of_verdicts_are_not_torn() {
        let mut specs = specs(4);
        specs.iter_mut().find(|spec| spec.topic == Topic::Audit).unwrap().partitions = 2;
        let model = Model::new();
        model.create(&specs).unwrap();
        specs.iter_mut().find(|spec| spec.topic == Topic::Audit).unwrap().partitions = 4;
        let faults = plan(&model, &specs).faults;
        assert!(faults[0].contains("chains of verdicts would be torn"), "{faults:?}");
    }

    #[test]
    fn what_has_to_be_done_first_is_said() {
        let (model, specs) = (model(2), specs(4));
        let link = model.link(&LinkSpec {
            group: group_of("bugle", Lane::Person),
            transactional_id: "one".to_owned(),
            instance_id: None,
            inputs: vec![Topic::People],
            start_from: StartFrom::Earliest,
            transaction_timeout: Duration::from_secs(10),
        });
        let record = |topic, key: &[u8]| Outgoing {
            topic,
            partition: Some(1),
            key: Some(bytes::Bytes::copy_from_slice(key)),
            value: Some("x".into()),
            headers: Vec::new(),
        };
        model.publish(vec![record(Topic::People, b""), record(Topic::Parked, &[0; 12])]).unwrap();
        let first = plan(&model, &specs).first;
        let said = ["has 1 members", "up to 1 records of `bugle.people`", "1 batches are set aside"];
        assert!(said.iter().zip(&first).all(|(said, first)| first.contains(said)), "{first:?}");
        drop(link);
        assert_eq!(plan(&model, &specs).first.len(), 2);
        assert!(matches!(
            Grow::new(&model, &specs, "bugle").carry_out(&plan(&model, &specs), |_| {}),
            Err(CannotGrow::Unread(Topic::People))
        ));
    }
}
