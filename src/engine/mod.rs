//! Loop: the only place where threads, clock, broker and flow meet.
//!
//! One OS thread per lane and slot, each with its own consumer and transactional producer. A step is:
//! poll, admit, cut, commit. tokio does HTTP only.
//!
//! **Invariant:** memory, outputs and offset of a partition move in one commit. After an abort every
//! lane takes its memory back and reads again from its committed position; after a broken producer
//! every lane is built anew.
//!
//! A room that panics on an item loses the item to the dead letters; on what is due, it stops its partition. A panic
//! anywhere else ends the process.

mod broken_link;
pub mod by_hand;
mod caller;
mod catch_up;
mod commit;
mod count;
mod fetch;
mod follow;
mod lane_thread;
mod recall;
mod report;
mod restore;
mod sender;
pub mod shelf;
pub mod snapshots;
pub mod standby;
mod station;
mod switch;
pub mod versions;
mod waiting;

pub use station::lane_of;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::broker::{Broker, BrokerError, StartFrom};
use crate::codec::Codec;
use crate::directory::Directory;
use crate::event::Lane;
use crate::event::record::Input;
use crate::flow::{Cursor, Mutes, Plan, Rooms};
use crate::push::PushService;
use crate::source_systems::SourceSystems;
use crate::store::view::Board;
use crate::topology::InForce;
use shelf::Shelf;
use snapshots::Snapshots;
use standby::Standby;
use tokio::sync::watch;
use versions::{Compile, Versions};

/// How the lane of a partition is made that goes on at an offset.
pub type MakeLane = fn(Input, (i64, &Cursor), &Plan) -> Box<dyn Rooms>;

/// Everything the lanes run on.
#[derive(Clone)]
pub struct Parts {
    /// How lanes are made: [`lane_of`], where nobody plants anything in them.
    pub make_lane: MakeLane,
    /// Kafka, or what stands in for it.
    pub broker: Arc<dyn Broker>,
    /// The rules.
    pub rules: Arc<InForce>,
    /// How bytes are read.
    pub codec: Arc<Codec>,
    /// The people.
    pub directory: Arc<Directory>,
    /// What is not told for a while.
    pub mutes: Arc<Mutes>,
    /// The push service.
    pub push: Arc<dyn PushService>,
    /// The source systems, as far as answers are carried into them.
    pub sources: Arc<dyn SourceSystems>,
    /// What the lanes need to know.
    pub plan: Arc<Plan>,
    /// Where the runtime for HTTP is.
    pub runtime: tokio::runtime::Handle,
    /// What the live page shows.
    pub board: Arc<Board>,
    /// What is kept of memory beside the lanes.
    pub shelf: Arc<Shelf>,
}

/// How the engine runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Prefix of consumer groups and transactional ids.
    pub name: String,
    /// Which instance this is; stable over restarts for static membership.
    pub instance: String,
    /// Whether to join groups as a static member.
    pub static_member: bool,
    /// Lane threads of each kind.
    pub threads: usize,
    /// The longest a transaction gathers.
    pub commit_every: Duration,
    /// The most records a transaction gathers.
    pub commit_most: u64,
    /// The most requests under way at once.
    pub in_flight: usize,
    /// Where the source lanes begin when nothing was committed.
    pub start_from: StartFrom,
    /// Between two snapshots of a partition's memory.
    pub snapshot_every: Duration,
    /// Whether to keep warm copies of what others run.
    pub standby: bool,
}

/// The most calls of source systems under way at once.
const MOST_CALLS: usize = 8;

/// When to stop, and why.
#[derive(Default)]
struct Stop {
    asked: Arc<AtomicBool>,
    /// The same for single lanes.
    lanes: [AtomicBool; Lane::ALL.len()],
    /// Why the engine stops although nobody asked.
    given_up: watch::Sender<Option<GivenUp>>,
}

/// Why the engine ends although nobody asked it to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GivenUp {
    /// Another process has its name.
    #[error("{0}")]
    Replaced(String),
    /// What was at work in a thread can be anything, and nothing of it may be committed.
    #[error("thread `{0}` panicked; nothing that it had not committed counts")]
    Panicked(String),
}

/// The running threads.
pub struct Engine {
    stop: Arc<Stop>,
    threads: Vec<JoinHandle<()>>,
    lanes: Vec<(Lane, JoinHandle<()>)>,
    /// Ends after the lanes, with what they knew last.
    snapshots: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

/// The consumer group of a lane, of instances whose groups begin so.
#[must_use]
pub fn group_of(name: &str, lane: Lane) -> String {
    format!("{name}-{}", lane.as_str())
}

// === impl GivenUp ===

impl GivenUp {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Replaced(_) => "give each process a `kafka.instance_id` of its own, or none",
            Self::Panicked(_) => {
                "start it again, as Kubernetes does: it begins at its last commit; the log says where it panicked"
            }
        }
    }
}

// === impl Stop ===

impl Stop {
    /// The engine ends: it cannot go on in this process.
    fn give_up(&self, why: GivenUp) {
        tracing::error!(%why, "this process ends");
        self.given_up.send_replace(Some(why));
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Something that nothing goes on without, on a thread of its own. A panic in it ends the engine: a process that
    /// went on without it would look as if all were well.
    fn spawn(
        self: &Arc<Self>,
        name: String,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<JoinHandle<()>, BrokerError> {
        let (stop, thread) = (Arc::clone(self), std::thread::Builder::new().name(name.clone()));
        let spawned = thread.spawn(move || {
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                stop.give_up(GivenUp::Panicked(name));
            }
        });
        spawned.map_err(|error| BrokerError::Fatal(error.to_string()))
    }
}

// === impl Engine ===

impl Engine {
    /// Reads the directory to its end, then starts the lanes, and follows the rules.
    ///
    /// # Errors
    /// What the broker said when a link could not be opened.
    pub fn start(
        parts: &Parts,
        settings: &Settings,
        (versions, compile): (Versions, Compile),
    ) -> Result<Self, BrokerError> {
        let stop = Arc::<Stop>::default();
        let mut threads = follow::start(parts, &stop)?;
        threads.push(follow::rules(parts, &stop, (versions, compile))?);
        let requests = sender::Requests::new(settings.in_flight);
        let calls = sender::Requests::new(MOST_CALLS);
        let fetches = fetch::Fetches::default();
        let held: [_; Lane::ALL.len()] = std::array::from_fn(|_| Arc::new(AtomicUsize::new(0)));
        let mut lanes = Vec::new();
        for (lane, held) in Lane::ALL.into_iter().zip(&held) {
            for slot in 0..settings.threads.max(1) {
                let requests = if lane == Lane::WriteBack { &calls } else { &requests };
                let shared = (&stop, held, requests, &fetches);
                let thread = lane_thread::LaneThread::new((lane, slot), parts, settings, shared);
                let name = format!("{}-{slot}", lane.as_str());
                lanes.push((lane, stop.spawn(name, move || thread.run())?));
            }
        }
        if settings.standby {
            let (standby, asked) = (Standby::new(parts), Arc::clone(&stop.asked));
            threads.push(stop.spawn("standby".to_owned(), move || standby.run(&asked))?);
        }
        let snapshots = Snapshots::new(parts).map(|snapshots| {
            let (every, stop) = (settings.snapshot_every, Arc::new(AtomicBool::new(false)));
            let stopped = Arc::clone(&stop);
            let thread = std::thread::Builder::new().name("snapshots".to_owned());
            thread.spawn(move || snapshots.run(every, &stopped)).map(|thread| (stop, thread))
        });
        let snapshots = snapshots.transpose().map_err(|error| BrokerError::Fatal(error.to_string()))?;
        Ok(Self { stop, threads, lanes, snapshots })
    }

    /// Asks every lane to commit what is done and to let go. Does not wait.
    pub fn stop(&self) {
        self.stop.asked.store(true, Ordering::Relaxed);
    }

    /// Ends one lane: it commits what is done and lets go. Waits for that.
    pub fn end(&mut self, lane: Lane) {
        self.stop.lanes[lane as usize].store(true, Ordering::Relaxed);
        let (ending, others): (Vec<_>, Vec<_>) = self.lanes.drain(..).partition(|(of, _)| *of == lane);
        self.lanes = others;
        ending.into_iter().for_each(|(_, thread)| ended(thread));
    }

    /// Says why, should every lane have to end although nobody asked for it.
    #[must_use]
    pub fn given_up(&self) -> watch::Receiver<Option<GivenUp>> {
        self.stop.given_up.subscribe()
    }

    /// Waits until every lane has let go, and what they remember lies in snapshots.
    pub fn join(self) {
        self.stop();
        let lanes = self.lanes.into_iter().map(|(_, thread)| thread);
        lanes.chain(self.threads).for_each(ended);
        if let Some((stop, thread)) = self.snapshots {
            stop.store(true, Ordering::Relaxed);
            if thread.join().is_err() {
                tracing::error!("the thread that writes snapshots panicked; memory is in its topics");
            }
        }
    }
}

fn ended(thread: JoinHandle<()>) {
    // What panicked in it was said at once.
    let _ = thread.join();
}
