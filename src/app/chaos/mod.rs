//! Chaos: processes that are ended and stopped while they work, and a judge of what came of it.
//!
//! Some `bugle run` share the work on a given Kafka, in topics of their own. Events are published all the
//! while. Every ten seconds one process is ended with `kill -9`, now and then one stands still for longer than
//! its session, one is asked to end, or the push service is away, in doubt or slow. Then everything is healed,
//! what is owed is waited for, and all of it is judged:
//!
//! | check | |
//! |---|---|
//! | C1 | nothing owed was not told |
//! | C2 | nothing was told twice; what was sent again had its id and its content |
//! | C3 | nobody was told what is not theirs, of whichever tenant |
//! | C4 | what replaces another thing on a phone came after it |
//! | C5 | a new owner of everything, its memory read back, takes every copy for one |
//! | C6 | the books close, and the audit's chains are whole |
//! | C7 | no transaction is open; memory, files and threads have bounds; nobody ended unasked |
//! | C8 | the faults hit, and work went on meanwhile |
//!
//! The tests in `tests/chaos` use the same load and judge, and faults that need a proxy before the broker.
//! The faults' numbers there: F1 to F4, `kill -9` before the first record of a commit, before its offsets,
//! before its end, before the answer to that; F5, while the push service has a batch; F7, a process stopped for
//! longer than its session; F8, asked to end, with and without enough time; F9, members that come and go;
//! F10, two processes of one name; F11, leaders ended; F12, all brokers away; F13, coordinators ended; F14,
//! links cut; F15, links on which one way is dead; F17, slow links; F21, a producer told that it is fenced.

mod checks;
mod evidence;
mod fleet;
mod ground;
pub mod judge;
pub mod load;
mod schedule;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::bench::NoResult;
use super::books::{Books, Ledgers};
use super::config::Config;
use super::wiring;
use crate::broker::Broker;
use crate::broker::kafka::Kafka;
use crate::clock::{self, Tick};
use crate::codec::{Codec, Name};
use crate::event::Lane;
pub use evidence::Check;
use fleet::Fleet;
pub use ground::Ground;
use load::Load;
use schedule::{Deed, Schedule};

/// What is done, and for how long.
#[derive(Debug, Clone)]
pub struct ChaosSettings {
    /// How long faults go on.
    pub lasting: Duration,
    /// How many processes share the work.
    pub instances: usize,
    /// Events published per second.
    pub rate: u64,
    /// The same one makes the same events and faults; their moments are those of the machine.
    pub seed: u64,
    /// What the processes are started with, after `run`.
    pub arguments: Vec<String>,
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Of the time with faults.
    pub elapsed: Duration,
    /// Processes ended with `kill -9` so far.
    pub kills: u64,
    /// Tellings accepted, and owed.
    pub told: (u64, u64),
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// What the names of its topics began with.
    pub prefix: String,
    /// The seed.
    pub seed: u64,
    /// Records published.
    pub events: u64,
    /// Tellings owed.
    pub owed: u64,
    /// What was done, and how often.
    pub faults: Faults,
    /// From the end of the faults until all was told and every book closed.
    pub healed_in_seconds: f64,
    /// The checks.
    pub checks: Vec<Check>,
    /// Whether all of them are clean.
    pub clean: bool,
    /// Where the logs of the processes are, when something is not.
    pub logs: Vec<PathBuf>,
}

/// What was done, and how often.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// `kill -9`.
    pub kills: u64,
    /// Stopped for longer than a session, and let go on.
    pub stalls: u64,
    /// Asked to end.
    pub ends: u64,
    /// The push service away, in doubt or slow.
    pub push_service: u64,
}

/// A run whose topics are made. When it is dropped, its processes are gone, and topics and groups, too, unless a
/// check was not clean: then they are what there is to look at.
pub struct Chaos {
    settings: ChaosSettings,
    fleet: Fleet,
    ground: Ground,
    groups: Vec<String>,
    cluster: Arc<Kafka>,
    codec: Arc<Codec>,
    load: Load,
    ledgers: Ledgers,
    faults: Faults,
    /// Told and owed when the faults ended.
    meanwhile: (u64, u64),
    last_told: u64,
    clean: bool,
    /// Something is wrong: it is to be looked at.
    keep: bool,
}

/// A member that stands still is missed after this.
const SESSION: Duration = Duration::from_secs(6);
/// Without anything new for so long, what is missing is lost.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often the push service and the processes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A group is there until its last static member is missed.
const REMOVED_WITHIN: Duration = Duration::from_secs(15);

// === impl Chaos ===

impl Chaos {
    /// Makes the topics and fills the directory.
    ///
    /// # Errors
    /// [`NoResult`].
    pub fn prepare(config: &Config, ground: Ground, settings: ChaosSettings) -> Result<Self, NoResult> {
        let cluster = Arc::new(Kafka::new(wiring::kafka_settings(config)?)?);
        cluster.create(&wiring::specs(config)?)?;
        let fleet = Fleet::new(settings.instances, settings.arguments.clone(), &ground.folder);
        let groups = Lane::ALL.map(|lane| format!("{}-{}", config.kafka.group, lane.as_str()));
        let load = Load::new(settings.seed, Name::local_id);
        // From here on, whatever goes wrong, topics are removed.
        let chaos = Self {
            codec: wiring::codec(config)?,
            ledgers: Ledgers::open(cluster.as_ref())?,
            settings,
            fleet,
            ground,
            groups: groups.to_vec(),
            cluster,
            load,
            faults: Faults::default(),
            meanwhile: (0, 0),
            last_told: 0,
            clean: false,
            keep: false,
        };
        chaos.cluster.publish(chaos.load.directory(Name::Person.local_id()))?;
        Ok(chaos)
    }

    /// Runs to the end, or until `stop` says so.
    ///
    /// # Errors
    /// [`NoResult`].
    pub fn run(mut self, stop: &AtomicBool, mut on_step: impl FnMut(Step)) -> Result<Outcome, NoResult> {
        for number in 0..self.fleet.len() {
            self.fleet.start(number).map_err(machine)?;
        }
        let began = Tick::now();
        self.rage(stop, &mut on_step)?;
        self.heal()?;
        let (healing, kills) = (Tick::now(), self.faults.kills);
        self.drain(stop, &mut |told| on_step(Step { elapsed: began.elapsed(), kills, told }))?;
        let healed_in_seconds = healing.elapsed().as_secs_f64();
        for number in 0..self.fleet.len() {
            self.fleet.end(number).map_err(machine)?;
        }
        let checks = self.checks(stop)?;
        self.clean = checks.iter().all(|check| check.clean);
        self.keep = !self.clean && !stop.load(Ordering::Relaxed);
        Ok(Outcome {
            prefix: self.ground.prefix.clone(),
            seed: self.settings.seed,
            events: self.load.made,
            owed: self.load.tellings,
            faults: self.faults,
            healed_in_seconds,
            clean: self.clean,
            checks,
            logs: if self.clean { Vec::new() } else { self.fleet.logs() },
        })
    }

    /// Publishes and does harm until the time is over.
    fn rage(&mut self, stop: &AtomicBool, on_step: &mut impl FnMut(Step)) -> Result<(), NoResult> {
        let mut schedule = Schedule::new(self.settings.seed, self.settings.instances, SESSION);
        let (began, mut looked) = (Tick::now(), Tick::now());
        let mut published = 0;
        while began.elapsed() < self.settings.lasting && !stop.load(Ordering::Relaxed) {
            let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let due = (millis.saturating_mul(self.settings.rate) / 1_000).saturating_sub(published);
            published += due;
            self.publish(due)?;
            for deed in schedule.due(began.elapsed()) {
                self.carry_out(&deed).map_err(machine)?;
            }
            self.ledgers.read(Duration::from_millis(20))?;
            if looked.elapsed() >= LOOK_EVERY {
                looked = Tick::now();
                self.fleet.look().map_err(machine)?;
                self.meanwhile = (self.told(), self.load.tellings);
                on_step(Step { elapsed: began.elapsed(), kills: self.faults.kills, told: self.meanwhile });
            }
        }
        Ok(())
    }

    /// Tellings accepted; as known before while nobody is at home.
    fn told(&mut self) -> u64 {
        self.last_told = self.ground.service.counted().map_or(self.last_told, |counted| counted.distinct);
        self.last_told
    }

    fn publish(&mut self, count: u64) -> Result<(), NoResult> {
        if count == 0 {
            return Ok(());
        }
        let now = clock::now();
        let records = (0..count).map(|_| self.load.next_record(&self.codec, now)).collect();
        Ok(self.cluster.publish(records)?)
    }

    fn carry_out(&mut self, deed: &Deed) -> io::Result<()> {
        let faults = &mut self.faults;
        match deed {
            Deed::Kill(number) if self.fleet.runs(*number) => {
                faults.kills += 1;
                self.fleet.kill(*number)
            }
            Deed::Stall(number) if self.fleet.runs(*number) => {
                faults.stalls += 1;
                self.fleet.signal(*number, "-STOP")
            }
            Deed::GoOn(number) => self.fleet.signal(*number, "-CONT"),
            Deed::End(number) if self.fleet.runs(*number) => {
                faults.ends += 1;
                self.fleet.end(*number)
            }
            Deed::Kill(_) | Deed::Stall(_) | Deed::End(_) => Ok(()),
            Deed::Start(number) => self.fleet.start(*number),
            Deed::Upset(misbehaviour) => {
                faults.push_service += 1;
                self.ground.behave(misbehaviour)
            }
            Deed::Calm => self.ground.behave("{}"),
        }
    }

    /// Everything is as it should be.
    fn heal(&mut self) -> Result<(), NoResult> {
        self.carry_out(&Deed::Calm).map_err(machine)?;
        for number in 0..self.fleet.len() {
            self.fleet.signal(number, "-CONT").map_err(machine)?;
            self.fleet.start(number).map_err(machine)?;
        }
        Ok(())
    }

    /// Waits until all is told and every book closes, or nothing more happens.
    fn drain(&mut self, stop: &AtomicBool, on_told: &mut dyn FnMut((u64, u64))) -> Result<(), NoResult> {
        let (mut last, mut since) = ((0, Books::default()), Tick::now());
        while !stop.load(Ordering::Relaxed) {
            self.ledgers.read(LOOK_EVERY)?;
            self.fleet.look().map_err(machine)?;
            let books = self.ledgers.keeper.books();
            let told = self.told();
            on_told((told, self.load.tellings));
            if told >= self.load.tellings && books.changes.read >= self.load.made && books.close() {
                return Ok(());
            }
            if (told, &books) != (last.0, &last.1) {
                (last, since) = ((told, books), Tick::now());
            }
            if since.elapsed() > PATIENCE {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Removes topics and groups; those of static members stay for as long as their session.
    fn remove(&self) {
        let begun = Tick::now();
        loop {
            match self.cluster.remove(&self.groups) {
                Ok(true) => break,
                Ok(false) if begun.elapsed() < REMOVED_WITHIN => std::thread::park_timeout(LOOK_EVERY),
                Ok(false) => {
                    tracing::warn!(prefix = self.ground.prefix, "some groups still have members");
                    break;
                }
                Err(error) => {
                    tracing::warn!(%error, prefix = self.ground.prefix, "the topics are still there");
                    break;
                }
            }
        }
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        for number in 0..self.fleet.len() {
            // What cannot be ended here is ended with the fleet.
            let _ = self.fleet.kill(number);
        }
        if !self.keep {
            self.remove();
        }
        if self.clean {
            let _ = fs::remove_dir_all(&self.ground.folder);
        }
    }
}

fn machine(error: io::Error) -> NoResult {
    NoResult::Machine("the machine", error)
}
