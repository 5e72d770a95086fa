//! Bench: the whole way on a given Kafka, measured and checked.
//!
//! Events are published beforehand, so that a run is catching up on a backlog; or, with a rate, while the
//! lanes run, which shows how long a change takes to be accepted. What must come out is computed from the
//! load alone, and a run whose pushes are not exactly those is no result.

mod publishing;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::Runtime;

use super::config::{Config, TopicRole};

use super::outside::{self, Counted, Service};
use super::{App, Unready, wiring};
use crate::broker::{Broker, BrokerError};
use crate::clock::{self, Tick};
use crate::codec::{Name, person};
use crate::event::{Outgoing, Source, Span, Topic};
use crate::sample::load::{self, Load};
use publishing::Publishing;

/// What is measured.
#[derive(Debug, Clone)]
pub struct BenchSettings {
    /// Records in the source topics, copies included.
    pub events: u64,
    /// How many people an event is for, on average.
    pub fan_out: u32,
    /// Tenants with a crowd each, at most 100.
    pub tenants: u32,
    /// Events published per second while the lanes run; all beforehand without one.
    pub rate: Option<u64>,
    /// How long it takes with a rate until durations count.
    pub warm_up: Duration,
    /// How long to look at the lanes when all is done and nothing comes.
    pub idle: Option<Duration>,
    /// Without transactions, to see what those cost.
    pub at_least_once: bool,
    /// How long the push service takes, as `bugle stand-in --latency` has it.
    pub latency: String,
    /// The broker's data folder, when it is on this machine: what was written is measured there.
    pub log_dirs: Option<PathBuf>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum NoResult {
    /// It could not start.
    #[error(transparent)]
    Unready(#[from] Unready),
    /// The machine would not.
    #[error("{0}: {1}")]
    Machine(&'static str, io::Error),
    /// Nothing more came.
    #[error("{distinct} of {expected} pushes arrived, then nothing more for {} s", PATIENCE.as_secs())]
    Stuck {
        /// Different pushes accepted.
        distinct: u64,
        /// Pushes owed.
        expected: u64,
    },
}

/// How far a run is.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// So many of the events are published.
    Published(u64),
    /// So many of so many pushes are accepted.
    Accepted(u64, u64),
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Records read, copies included.
    pub events: u64,
    /// Copies among them.
    pub copies: u64,
    /// Pushes that the load must become.
    pub expected: u64,
    /// Different pushes the push service accepted.
    pub distinct: u64,
    /// Pushes it had before: people told twice.
    pub repeated: u64,
    /// Requests it accepted.
    pub batches: u64,
    /// Exactly the pushes that must come, and none twice.
    pub right: bool,
    /// From the engine's start to the last new push.
    pub seconds: f64,
    /// From the engine's start to the first push.
    pub first_seconds: f64,
    /// Events per second of that time.
    pub events_per_second: f64,
    /// Pushes per second of that time.
    pub pushes_per_second: f64,
    /// CPU seconds of this process in that time; publishing counts only where it is paced.
    pub cpu_seconds: f64,
    /// The same per million events.
    pub cpu_seconds_per_million: f64,
    /// The same by what the threads are for.
    pub cpu_by_part: BTreeMap<String, f64>,
    /// CPU seconds of the push service beside it.
    pub push_service_cpu_seconds: f64,
    /// The most memory held at once.
    pub peak_mebibytes: f64,
    /// Transactions by lane.
    pub commits: BTreeMap<&'static str, u64>,
    /// Bytes the broker's logs grew by, all of Bugle's topics, offsets and transactions together.
    pub kafka_bytes: Option<u64>,
    /// The same per push.
    pub kafka_bytes_per_recipient: Option<f64>,
    /// Milliseconds from the append of a batch's oldest event to the batch's acceptance: half took less.
    pub accepted_p50_ms: Option<u64>,
    /// 99 of 100 took less.
    pub accepted_p99_ms: Option<u64>,
    /// Milliseconds of that in the push service: half took less.
    pub request_p50_ms: Option<u64>,
    /// 99 of 100 took less.
    pub request_p99_ms: Option<u64>,
    /// The share of one core that this process takes while nothing comes.
    pub idle_share: Option<f64>,
}

/// A bench whose topics are made.
pub struct Bench {
    config: Config,
    settings: BenchSettings,
    broker: Arc<dyn Broker>,
    load: Load,
    service: Service,
    folder: PathBuf,
    /// What all its topics' names begin with.
    pub prefix: String,
}

/// A run without anything new for this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the push service is asked.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often events are published that have a rate: seldom would be in heaps.
const PUBLISH_EVERY: Duration = Duration::from_millis(5);
/// How long the lanes are left alone before they count as idle.
const SETTLE: Duration = Duration::from_secs(3);
/// Records published at once.
const CHUNK: u64 = 20_000;
/// The job's dedupe horizon.
const HORIZON: Span = Span::from_secs(600);

// === impl NoResult ===

impl From<BrokerError> for NoResult {
    fn from(error: BrokerError) -> Self {
        Self::Unready(error.into())
    }
}

// === impl Bench ===

impl Bench {
    /// Starts the push service, makes the topics, and fills the directory and, without a rate, the backlog.
    ///
    /// # Errors
    /// [`NoResult`].
    pub fn prepare(
        mut config: Config,
        settings: BenchSettings,
        mut on_step: impl FnMut(Step),
    ) -> Result<Self, NoResult> {
        let now = clock::now();
        let prefix = format!("bugle-bench-{}-{}.", now.millis(), std::process::id());
        let folder = std::env::temp_dir().join(prefix.trim_end_matches('.'));
        load::write_rules(&folder)
            .map_err(|error| NoResult::Machine("the rules cannot be written", error))?;
        let service = Service::start(&["--jobs", "0", "--latency", &settings.latency])
            .map_err(|error| NoResult::Machine("the push service stand-in", error))?;
        config.kafka.topics.source_prefix = format!("{prefix}opentext.");
        config.kafka.topics.own_prefix = format!("{prefix}bugle.");
        prefix.trim_end_matches('.').clone_into(&mut config.kafka.group);
        // A text crosses Kafka once for each partition its people are in: no more of them than can work.
        let threads = u32::try_from(wiring::threads(&config)).unwrap_or(u32::MAX);
        for role in [TopicRole::Subjects, TopicRole::People, TopicRole::Pushes] {
            config.kafka.topics.partitions.entry(role).or_insert(threads);
        }
        // Topics of an hour are no business of a registry.
        config.registry.urls.clear();
        config.topology.folder = folder.join("topology");
        config.push.url = service.url();
        config.push.link_hosts = vec!["*".to_owned()];
        config.lanes.dedupe_horizon = HORIZON;
        config.admin.listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let broker = if settings.at_least_once {
            wiring::kafka_at_least_once(&config)?
        } else {
            wiring::kafka(&config)?
        };
        broker.create(&wiring::specs(&config)?)?;
        let codec = wiring::codec(&config)?;
        let topics = &config.kafka.topics;
        let id = |name: Name| codec.id_for(name, &topics.name(name.topic())).map_err(Unready::from);
        let mut ids = BTreeMap::new();
        for source in Source::ALL {
            ids.insert(source, id(Name::Events(source))?);
        }
        let shape = (settings.fan_out, settings.tenants);
        let load = Load::new(&codec, shape, now, |name| match name {
            Name::Events(source) => ids[&source],
            other => other.local_id(),
        });
        publish_people(broker.as_ref(), &load, id(Name::Person)?)?;
        let mut bench = Self { config, settings, broker, load, service, folder, prefix };
        if bench.settings.rate.is_none() {
            bench.publish_backlog(&mut on_step)?;
        }
        Ok(bench)
    }

    fn publish_backlog(&mut self, on_step: &mut impl FnMut(Step)) -> Result<(), NoResult> {
        while self.load.made < self.settings.events {
            let count = CHUNK.min(self.settings.events - self.load.made);
            let records = (0..count).map(|_| self.load.next_record()).collect();
            self.broker.publish(records)?;
            on_step(Step::Published(self.load.made));
        }
        Ok(())
    }

    /// Runs the lanes until every push was accepted, and counts.
    ///
    /// # Errors
    /// [`NoResult`].
    pub fn run(mut self, mut on_step: impl FnMut(Step)) -> Result<Figures, NoResult> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime: Arc<Runtime> = Arc::new(runtime.map_err(Unready::from)?);
        let log_bytes = self.log_bytes()?;
        let (began, cpu, service_cpu) = (Tick::now(), outside::cpu_seconds(), self.service.cpu_seconds());
        let parts = outside::cpu_by_part();
        let app = App::start(&self.config, Arc::clone(&self.broker), runtime)?;
        let mut publishing = Publishing {
            rate: self.settings.rate,
            events: self.settings.events,
            warm_up: Some(self.settings.warm_up),
            began: None,
        };
        let mut first = None;
        let (mut last, mut looked) = ((Tick::now(), 0), Tick::now());
        let (counted, seconds) = loop {
            std::thread::park_timeout(if self.settings.rate.is_some() { PUBLISH_EVERY } else { LOOK_EVERY });
            let done = publishing.step(&mut self.load, self.broker.as_ref(), &app)?;
            if looked.elapsed() < LOOK_EVERY {
                continue;
            }
            looked = Tick::now();
            let counted = self.counted()?;
            if counted.distinct > last.1 {
                last = (Tick::now(), counted.distinct);
                first.get_or_insert_with(|| began.elapsed().as_secs_f64());
            }
            on_step(Step::Accepted(counted.distinct, self.load.expected));
            if done && counted.distinct >= self.load.expected {
                break (counted, began.elapsed().as_secs_f64());
            }
            if last.0.elapsed() > PATIENCE {
                return Err(NoResult::Stuck { distinct: counted.distinct, expected: self.load.expected });
            }
        };
        let cpu = outside::cpu_seconds() - cpu;
        let service_cpu = self.service.cpu_seconds() - service_cpu;
        let times = Times { seconds, first: first.unwrap_or_default(), cpu, service_cpu };
        let mut cpu_by_part = outside::cpu_by_part();
        // What publishing took does not count; its threads have ended or wait.
        for (part, seconds) in &mut cpu_by_part {
            *seconds = (*seconds - parts.get(part).copied().unwrap_or(0.0)).max(0.0);
        }
        let snapshot = app.board.snapshot(clock::now());
        let idle_share = self.settings.idle.map(idle_share);
        // What is under way is finished and committed: whatever comes twice has come then.
        app.stop();
        let counted = self.counted().unwrap_or(counted);
        let grown = self.log_bytes()?.zip(log_bytes).map(|(now, before)| now.saturating_sub(before));
        let mut figures = self.figures(&times, &counted, grown);
        figures.cpu_by_part = cpu_by_part;
        figures.commits = snapshot.lanes.iter().map(|lane| (lane.name, lane.commits)).collect();
        if self.settings.rate.is_some() {
            figures.accepted_p50_ms = snapshot.push.latency_p50_ms;
            figures.accepted_p99_ms = snapshot.push.latency_p99_ms;
            figures.request_p50_ms = snapshot.push.request_p50_ms;
            figures.request_p99_ms = snapshot.push.request_p99_ms;
        }
        figures.idle_share = idle_share;
        Ok(figures)
    }

    fn figures(&self, times: &Times, counted: &Counted, grown: Option<u64>) -> Figures {
        let (events, expected) = (self.load.made, self.load.expected);
        #[allow(clippy::cast_precision_loss, reason = "counts far below 2^52, shown with a few digits")]
        let per = |count: u64, of: f64| count as f64 / of.max(f64::MIN_POSITIVE);
        Figures {
            events,
            copies: self.load.copies,
            expected,
            distinct: counted.distinct,
            repeated: counted.repeated,
            batches: counted.jobs,
            right: counted.distinct == expected && counted.repeated == 0,
            seconds: times.seconds,
            first_seconds: times.first,
            events_per_second: per(events, times.seconds),
            pushes_per_second: per(counted.distinct, times.seconds),
            cpu_seconds: times.cpu,
            cpu_seconds_per_million: times.cpu * 1e6 / per(events.max(1), 1.0),
            cpu_by_part: BTreeMap::new(),
            push_service_cpu_seconds: times.service_cpu,
            peak_mebibytes: outside::peak_mebibytes(),
            commits: BTreeMap::new(),
            kafka_bytes: grown,
            kafka_bytes_per_recipient: grown.map(|bytes| per(bytes, per(counted.distinct.max(1), 1.0))),
            accepted_p50_ms: None,
            accepted_p99_ms: None,
            request_p50_ms: None,
            request_p99_ms: None,
            idle_share: None,
        }
    }

    fn counted(&self) -> Result<Counted, NoResult> {
        self.service.counted().map_err(|error| NoResult::Machine("the push service stand-in", error))
    }

    fn log_bytes(&self) -> Result<Option<u64>, NoResult> {
        let bytes = self.settings.log_dirs.as_deref().map(outside::log_bytes).transpose();
        bytes.map_err(|error| NoResult::Machine("the broker's data folder", error))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

struct Times {
    seconds: f64,
    first: f64,
    cpu: f64,
    service_cpu: f64,
}

/// What this process takes while it has nothing to do, once what followed the last push is over.
fn idle_share(span: Duration) -> f64 {
    std::thread::park_timeout(SETTLE);
    let (began, cpu) = (Tick::now(), outside::cpu_seconds());
    while began.elapsed() < span {
        std::thread::park_timeout(span.saturating_sub(began.elapsed()));
    }
    (outside::cpu_seconds() - cpu) / began.elapsed().as_secs_f64()
}

fn publish_people(broker: &dyn Broker, load: &Load, id: u32) -> Result<(), NoResult> {
    let records = load.people.iter().map(|entry| Outgoing {
        topic: Topic::Directory,
        partition: None,
        key: Some(crate::directory::key::person_key(&entry.tenant, &entry.user_id).into()),
        value: Some(person::encode(id, entry).into()),
        headers: Vec::new(),
    });
    Ok(broker.publish(records.collect())?)
}
