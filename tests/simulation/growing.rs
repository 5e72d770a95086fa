//! Growing: topics get twice the partitions while something is open, held and due, and who does it is ended in
//! the middle, again and again.

use std::sync::Mutex;

use bugle::app::books::Ledgers;
use bugle::app::grow::{CannotGrow, Grow};
use bugle::broker::Input;
use bugle::broker::model::Model;
use bugle::broker::names::Names;
use bugle::broker::{Broker, BrokerError, Follow, Link, LinkSpec, Outgoing, Topic, TopicSpec, Unread};
use bugle::engine::by_hand::ByHand;

use super::counted::{Check, Kind, Violation};
use super::instance::NAME;
use super::play::{Instance, Play};

/// Whether the topics of a play grow.
pub(crate) fn grows(seed: u64) -> bool {
    seed % 4 == 2
}

/// A broker whose writer is ended after so many records.
struct Ending {
    model: Model,
    left: Mutex<usize>,
}

// === impl Play ===

impl Play<'_> {
    /// Everybody ends in order, the topics grow, and everybody goes on.
    pub(super) fn grow(&mut self) -> Result<(), Violation> {
        for Instance { lanes, .. } in self.instances.iter_mut().filter_map(Option::take) {
            lanes.into_iter().for_each(ByHand::end);
        }
        self.model.land(|_| true);
        let specs = Names::default().specs(2 * super::PARTITIONS);
        for tries in 0.. {
            let left = self.rng.usize(1..60) << tries;
            let broker = Ending { model: self.model.clone(), left: Mutex::new(left) };
            let grow = Grow::new(&broker, &specs, NAME);
            let plan = grow.plan().unwrap();
            if !plan.faults.is_empty() || !plan.first.is_empty() {
                return Err(Check::Bounded.broken(format!("the topics cannot grow: {plan:?}")));
            }
            match grow.carry_out(&plan, |_| {}) {
                Ok(_) => break,
                Err(CannotGrow::Broker(BrokerError::Unavailable { .. })) => {
                    self.counted.hit(Kind::GrowthEnded);
                }
                Err(error) => return Err(Check::StateIsReplay.broken(error.to_string())),
            }
        }
        self.counted.hit(Kind::Grown);
        // Whoever reads verdicts is started anew, too.
        self.ledgers = Ledgers::open(&self.model).unwrap();
        self.clear_the_sky();
        Ok(())
    }
}

// === impl Ending ===

impl Ending {
    /// So much of it is still done.
    fn may(&self, wanted: usize) -> usize {
        let mut left = self.left.lock().unwrap();
        let may = wanted.min(*left);
        *left -= may;
        may
    }

    fn ended() -> BrokerError {
        BrokerError::Unavailable { brokers: "memory".to_owned(), reason: "who asked has ended".to_owned() }
    }
}

impl Broker for Ending {
    fn link(&self, spec: &LinkSpec) -> Result<Box<dyn Link>, BrokerError> {
        self.model.link(spec)
    }

    fn follow(&self, topic: Topic) -> Result<Box<dyn Follow>, BrokerError> {
        self.model.follow(topic)
    }

    fn recall(&self, topic: Topic, from: &[(i32, Option<i64>)]) -> Result<Box<dyn Follow>, BrokerError> {
        self.model.recall(topic, from)
    }

    fn identity(&self, topic: Topic) -> Result<String, BrokerError> {
        self.model.identity(topic)
    }

    fn unread(&self, group: &str, topics: &[Topic]) -> Result<Vec<Unread>, BrokerError> {
        self.model.unread(group, topics)
    }

    fn publish(&self, mut records: Vec<Outgoing>) -> Result<(), BrokerError> {
        let wanted = records.len();
        records.truncate(self.may(wanted));
        let whole = records.len() == wanted;
        self.model.publish(records)?;
        if whole { Ok(()) } else { Err(Self::ended()) }
    }

    fn partitions(&self, topic: Topic) -> Result<u32, BrokerError> {
        self.model.partitions(topic)
    }

    fn create(&self, topics: &[TopicSpec]) -> Result<Vec<Topic>, BrokerError> {
        self.model.create(topics)
    }

    fn grow(&self, topic: Topic, partitions: u32) -> Result<(), BrokerError> {
        if self.may(1) == 0 {
            return Err(Self::ended());
        }
        self.model.grow(topic, partitions)
    }

    fn members(&self, group: &str) -> Result<usize, BrokerError> {
        self.model.members(group)
    }

    fn check(&self, topics: &[TopicSpec]) -> Result<Vec<BrokerError>, BrokerError> {
        self.model.check(topics)
    }

    fn trim(&self, before: &[(Input, i64)]) -> Result<(), BrokerError> {
        self.model.trim(before)
    }
}
