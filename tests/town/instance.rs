//! Instance: the lanes of one Bugle, turned by hand.

use std::sync::Arc;
use std::time::Duration;

use bugle::broker::{Broker, StartFrom};
use bugle::clock;
use bugle::directory::Directory;
use bugle::engine::by_hand::ByHand;
use bugle::engine::shelf::Shelf;
use bugle::engine::{MakeLane, Parts, Settings};
use bugle::event::{Lane, Topic};
use bugle::flow::{Mutes, Plan, Spill};
use bugle::push::PushService;
use bugle::source_systems::SourceSystems;
use bugle::store::view::Board;
use bugle::topology::InForce;

use super::town::Town;

/// What begins the names of all groups and transactional ids.
pub(crate) const NAME: &str = "sim";

/// What instances run on.
pub(crate) struct Site<'s> {
    pub(crate) town: &'s Town,
    pub(crate) broker: &'s Arc<dyn Broker>,
    pub(crate) directory: &'s Arc<Directory>,
    pub(crate) mutes: &'s Arc<Mutes>,
    pub(crate) push: Arc<dyn PushService>,
    pub(crate) sources: Arc<dyn SourceSystems>,
    pub(crate) runtime: tokio::runtime::Handle,
    /// The most records of one transaction.
    pub(crate) commit_most: u64,
    /// What is kept of memory beside the lanes.
    pub(crate) shelf: Arc<Shelf>,
    /// How its lanes are made.
    pub(crate) make_lane: MakeLane,
    /// The room for what its lanes keep open.
    pub(crate) spill: Spill,
    /// The most requests under way at once.
    pub(crate) in_flight: usize,
}

/// The name of a lane's group.
pub(crate) fn group(lane: Lane) -> String {
    format!("{NAME}-{lane}")
}

/// The transactional id of a lane of an instance.
pub(crate) fn transactional_id(instance: usize, lane: Lane) -> String {
    format!("{NAME}-{instance}-{lane}-0")
}

// === impl Site ===

impl Site<'_> {
    /// What the lanes of an instance share.
    pub(crate) fn parts(&self) -> Parts {
        Parts {
            make_lane: self.make_lane,
            broker: Arc::clone(self.broker),
            rules: Arc::new(InForce::new(Arc::clone(&self.town.topology))),
            codec: Arc::clone(&self.town.codec),
            directory: Arc::clone(self.directory),
            mutes: Arc::clone(self.mutes),
            push: Arc::clone(&self.push),
            sources: Arc::clone(&self.sources),
            plan: Arc::new(self.plan()),
            runtime: self.runtime.clone(),
            board: Arc::new(Board::new(clock::now())),
            shelf: Arc::clone(&self.shelf),
        }
    }

    /// With the partitions there are.
    fn plan(&self) -> Plan {
        let of = |topic| self.broker.partitions(topic).unwrap();
        Plan {
            subjects: of(Topic::Subjects),
            people: of(Topic::People),
            pushes: of(Topic::Pushes),
            write_backs: of(Topic::Writebacks),
            audit: of(Topic::Audit),
            spill: self.spill.clone(),
            ..self.town.plan.clone()
        }
    }

    /// The lanes of instance number `instance`, in the order of the flow.
    pub(crate) fn open(&self, instance: usize) -> Vec<ByHand> {
        let parts = self.parts();
        let settings = Settings {
            name: NAME.to_owned(),
            instance: instance.to_string(),
            static_member: false,
            threads: 1,
            commit_every: Duration::from_millis(100),
            commit_most: self.commit_most,
            in_flight: self.in_flight,
            start_from: StartFrom::Earliest,
            snapshot_every: Duration::from_secs(300),
            // Turned by hand, too, where somebody does.
            standby: false,
        };
        Lane::ALL.into_iter().map(|lane| ByHand::new(lane, &parts, &settings)).collect()
    }
}
