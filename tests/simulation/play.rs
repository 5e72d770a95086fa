//! Play: instances of Bugle on one broker, all in one thread, turned in an order that a seed decides.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bugle::app::books::Ledgers;
use bugle::broker::model::{Fault, Model};
use bugle::broker::names::Names;
use bugle::broker::{Broker, Outgoing, Topic};
use bugle::clock::{self, Still};
use bugle::engine::by_hand::ByHand;
use bugle::engine::lane_of;
use bugle::engine::shelf::Shelf;
use bugle::engine::snapshots::Snapshots;
use bugle::engine::standby::Standby;
use bugle::event::answer::Answer;
use bugle::event::frame::FrameHead;
use bugle::event::notice::Verb;
use bugle::event::{Lane, SubjectKey};
use bugle::flow::{Spill, frames};
use bugle::store::folder::Folder;

use super::counted::{Counted, Kind, Violation};
use super::cramped::{Cramped, Trouble, is_cramped};
use super::crooked::Crooked;
use super::growing::grows;
use super::instance::{Site, group, transactional_id};
use super::movers::{Copied, MOVERS, Movers};
use super::office::{Office, Turn};
use super::owed::{Event, Telling, WHATS, written};
use super::planted::{Bug, Planted};
use super::post::{Fate, Post};
use super::town::NOW;
use super::weather::{Sky, Weather};
use super::{Company, INSTANCES, PARTITIONS};

/// One play, from its seed.
pub(crate) struct Play<'t> {
    /// What the instances see, and what they are judged by.
    pub(super) town: &'t Company,
    pub(super) judge: &'t Company,
    pub(super) rng: fastrand::Rng,
    pub(super) model: Model,
    broker: Arc<dyn Broker>,
    pub(super) weather: Arc<Weather>,
    pub(super) post: Arc<Post>,
    pub(super) office: Arc<Office>,
    pub(super) movers: Movers,
    copies: Vec<Copied>,
    runtime: tokio::runtime::Runtime,
    pub(super) instances: Vec<Option<Instance>>,
    /// Where the instances keep their snapshots; in some plays they have no disks.
    pub(super) disk: Option<tempfile::TempDir>,
    standby: bool,
    /// Where instances keep what their memory has no room for, in some plays.
    cramped: Option<Cramped>,
    /// Its topics grow.
    pub(super) grows: bool,
    /// Until which step an instance does nothing, and until when it hears nothing or gets no answers.
    stalled: Vec<u32>,
    clouded: Vec<u32>,
    /// The push service does this with every request, until that step.
    outage: Option<(Fate, u32)>,
    /// The faults that commits were to meet, in their order.
    asked: Vec<Kind>,
    pub(super) ledgers: Ledgers,
    pub(super) published: Vec<Event>,
    /// What was answered: whose telling, and what.
    pub(super) answers: Vec<(Telling, Verb)>,
    pub(super) counted: Counted,
    bug: Option<Bug>,
    _still: Still,
}

/// What dies with a process.
pub(crate) struct Instance {
    pub(crate) lanes: Vec<ByHand>,
    pub(crate) snapshots: Option<Snapshots>,
    pub(crate) standby: Option<Standby>,
}

/// Whether the instances of a play have disks to keep snapshots on: what lies on a real disk takes its time.
pub(crate) fn has_disks(seed: u64) -> bool {
    seed.is_multiple_of(16)
}

/// Whether the instances of a play keep warm copies of what the others run.
pub(crate) fn has_standby(seed: u64) -> bool {
    seed % 4 == 1
}

/// What a commit meets, and what it is called when the instance goes with it.
const STEPS_OF_A_COMMIT: [(Fault, Kind); 4] = [
    (Fault::Fatal, Kind::CrashBeforeProduce),
    (Fault::FatalOnceWritten, Kind::CrashProduced),
    (Fault::FatalOnceSent, Kind::CrashOffsetsSent),
    (Fault::FatalThoughWritten, Kind::CrashCommitted),
];

// === impl Play ===

impl<'t> Play<'t> {
    pub(crate) fn new(town: &'t Company, judge: &'t Company, seed: u64, bug: Option<Bug>) -> Self {
        Self::on(town, judge, (seed, bug), Cramped::default())
    }

    /// With this disk, should its instances need one for what they have no memory for.
    pub(crate) fn on(
        town: &'t Company,
        judge: &'t Company,
        (seed, bug): (u64, Option<Bug>),
        cramped: Cramped,
    ) -> Self {
        let still = Still::at(NOW);
        let model = Model::new();
        model.create(&Names::default().specs(PARTITIONS)).unwrap();
        let weather = Arc::<Weather>::default();
        let planted = bug.map(|bug| Planted { bug, commits: AtomicU64::new(seed % 7) });
        let twist = Arc::new(Sky { weather: Arc::clone(&weather), planted });
        let movers = Movers::default();
        let copy = || Copied::read(&town.town, &town.people, &movers);
        let mut play = Self {
            town,
            judge,
            rng: fastrand::Rng::with_seed(seed),
            ledgers: Ledgers::open(&model).unwrap(),
            broker: Arc::new(Crooked { model: model.clone(), twist }),
            model,
            weather,
            post: Arc::default(),
            office: Arc::default(),
            copies: (0..INSTANCES).map(|_| copy()).collect(),
            movers,
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            instances: (0..INSTANCES).map(|_| None).collect(),
            disk: has_disks(seed).then(|| tempfile::tempdir().unwrap()),
            standby: has_standby(seed),
            cramped: is_cramped(seed).then_some(cramped),
            grows: grows(seed),
            stalled: vec![0; INSTANCES],
            clouded: vec![0; INSTANCES],
            outage: None,
            asked: Vec::new(),
            published: Vec::new(),
            answers: Vec::new(),
            counted: Counted::default(),
            bug,
            _still: still,
        };
        play.start(0);
        play
    }

    /// Faults for so many steps, and more of them until somebody was told; then none until everything has come
    /// to rest.
    pub(crate) fn run(mut self, steps: u32) -> Result<Counted, Vec<Violation>> {
        for step in 0..4 * steps {
            if step >= steps && self.post.told() > 0 {
                break;
            }
            self.step(step);
        }
        self.counted.told_in_faults = self.post.told() as u64;
        self.counted.from_disk = self.cramped.as_ref().map_or(0, Cramped::reads);
        self.asked.iter().take(self.model.faults_met()).for_each(|kind| self.counted.hit(*kind));
        self.judged()
    }

    fn step(&mut self, step: u32) {
        let instance = self.rng.usize(..INSTANCES);
        self.clear_up(step, instance);
        match self.rng.u32(..200) {
            0..=117 => self.turn(step, instance),
            118..=119 => self.begin_outage(step, instance),
            120..=133 => self.publish(),
            134..=137 => self.tap(),
            138..=157 => self.answer(step),
            158..=161 => self.serve(),
            162..=172 => {
                let millis = self.rng.u64(1..400);
                self.pass(Duration::from_millis(millis));
            }
            173..=174 => {
                // Now and then for as long as timers take, but never until the tasks are due.
                let elapsed = clock::now().since(NOW).to_duration();
                let long = self.rng.u8(..4) == 0 && elapsed < Duration::from_secs(10 * 3_600);
                let seconds = if long { self.rng.u64(600..5_400) } else { self.rng.u64(1..90) };
                self.pass(Duration::from_secs(seconds));
            }
            175..=178 => self.fail_a_commit(),
            179 => self.crash(instance, Kind::CrashIdle),
            180 => self.crash_in_a_commit(instance),
            181..=186 => self.scale(instance),
            187..=188 => self.stall(step, instance),
            189..=190 => self.cloud(step, instance),
            191..=193 => self.move_somebody(),
            194..=195 => {
                self.counted.hit(Kind::LateMarkers);
                self.model.hold_markers();
            }
            _ => {
                let rng = &mut self.rng;
                self.model.land(|_| rng.bool());
            }
        }
    }

    fn turn(&mut self, step: u32, instance: usize) {
        if self.stalled[instance] > step {
            return;
        }
        for _ in 0..self.rng.usize(1..6) {
            self.turn_one(instance);
        }
    }

    fn turn_one(&mut self, instance: usize) {
        let Some(Instance { lanes, standby, .. }) = &mut self.instances[instance] else { return };
        let lane = self.rng.usize(..lanes.len());
        lanes[lane].turn();
        standby.iter_mut().for_each(Standby::turn);
        self.let_tasks_run();
    }

    pub(super) fn publish(&mut self) {
        let count = self.rng.u8(1..4);
        let events: Vec<Event> =
            (0..count).map(|_| (self.rng.u8(..WHATS), self.rng.u8(..4), self.rng.u8(..5) > 0)).collect();
        for event in events {
            let (source, value) = written(&self.town.town, event);
            let (topic, value) = (Topic::Events(source), Some(value.into()));
            let record = Outgoing { topic, partition: None, key: None, value, headers: Vec::new() };
            self.model.publish(vec![record]).unwrap();
            self.published.push(event);
            self.counted.events += 1;
        }
    }

    /// Somebody taps an answer, now and then twice, or one that comes late.
    pub(super) fn tap(&mut self) {
        let asked = {
            let held = self.post.held();
            let count = held.askable.len();
            if count == 0 {
                return;
            }
            held.askable[self.rng.usize(..count)].clone()
        };
        let verb = asked.verbs[self.rng.usize(..asked.verbs.len())];
        let number = self.rng.u8(..3);
        let response_id = format!("{:x}-{number}", asked.telling.notice);
        let answer = Answer {
            response_id: &response_id,
            tenant: &asked.telling.tenant,
            conversation: asked.telling.conversation,
            occasion: asked.telling.occasion,
            person: &asked.telling.user,
            verb,
            comment: None,
            received_at: clock::now(),
        };
        let rule = asked.telling.rule.as_str();
        let source = self.town.town.topology.rule(rule).unwrap().source;
        let frame = frames::single(&FrameHead::default(), &answer.item(source, (&asked.subject, rule)));
        let partition =
            SubjectKey(asked.subject.clone()).partition(self.model.partitions(Topic::Subjects).unwrap());
        let (topic, partition, value) = (Topic::Subjects, Some(partition), Some(frame.into()));
        let record = Outgoing { topic, partition, key: None, value, headers: Vec::new() };
        self.model.publish(vec![record]).unwrap();
        self.answers.push((asked.telling, verb));
    }

    /// Somebody leaves their roles, or takes them again.
    fn move_somebody(&mut self) {
        let holds = self.movers.moves(self.rng.usize(..MOVERS));
        self.counted.hit(if holds { Kind::Joined } else { Kind::Left });
    }

    /// Nothing is taken for a while, in which time goes on: what waits is set aside. Or an instance finds time
    /// to write its snapshots. Or a disk loses something, or all of it, until the next one.
    fn begin_outage(&mut self, step: u32, instance: usize) {
        if let Some(cramped) = self.cramped.as_ref().filter(|_| self.rng.bool()) {
            let (trouble, kind) = match self.rng.u8(..4) {
                0 => (Trouble::Broken, Kind::DiskBroke),
                1 => (Trouble::Forgetful, Kind::DiskForgot),
                _ => (Trouble::Scratch, Kind::DiskLost),
            };
            cramped.meet(trouble);
            return self.counted.hit(kind);
        }
        if self.rng.u8(..3) == 0 {
            let fate = if self.rng.bool() { Fate::Refuse } else { Fate::Forbid };
            self.outage = Some((fate, step + self.rng.u32(20..120)));
            self.counted.hit(Kind::Outage);
        } else if let Some(Instance { snapshots: Some(snapshots), .. }) = &mut self.instances[instance] {
            snapshots.write_all(Duration::from_secs(60));
        }
    }

    fn answer(&mut self, step: u32) {
        let (at, members, was_taken) = {
            let held = self.post.held();
            if held.waiting.is_empty() {
                return;
            }
            let at = self.rng.usize(..held.waiting.len());
            let id = &held.waiting[at].0;
            (at, held.asked[id].len(), held.accepted.contains_key(id))
        };
        let denies = self.bug == Some(Bug::DeniesWhatItTook) && members > 1;
        let fate = match self.rng.u8(..10) {
            0 => Fate::AcceptInSilence,
            1 => Fate::Lose,
            2 => Fate::Refuse,
            3 if members > 1 => Fate::TooLarge,
            _ if denies && was_taken => Fate::TooLarge,
            _ if denies => Fate::Deny,
            _ => Fate::Accept,
        };
        let fate = match self.outage {
            Some((outage, until)) if step < until => outage,
            _ if self.bug == Some(Bug::TellsNobodyInTrouble) => Fate::Refuse,
            _ => fate,
        };
        if fate != Fate::Accept {
            self.counted.hit(Kind::BadPush);
        }
        self.post.answer(at, fate);
        self.let_tasks_run();
    }

    /// A source system gets round to a call.
    fn serve(&mut self) {
        let waiting = self.office.held().waiting.len();
        if waiting == 0 {
            return;
        }
        let at = self.rng.usize(..waiting);
        let turn = match self.rng.u8(..8) {
            0 | 1 => Turn::DoInSilence,
            2 => Turn::Lose,
            3 => Turn::Refuse,
            _ => Turn::Answer,
        };
        if turn != Turn::Answer {
            self.counted.hit(Kind::BadSource);
        }
        self.office.answer(at, turn);
        self.let_tasks_run();
    }

    fn fail_a_commit(&mut self) {
        let fault = match self.rng.usize(..STEPS_OF_A_COMMIT.len() + 1) {
            0 => Fault::Aborted,
            step => STEPS_OF_A_COMMIT[step - 1].0,
        };
        self.fail_next(fault, if fault == Fault::Aborted { Kind::Aborted } else { Kind::ProducerLost });
    }

    fn fail_next(&mut self, fault: Fault, kind: Kind) {
        self.model.fail_next(fault);
        self.asked.push(kind);
    }

    /// It is gone without a word.
    fn crash(&mut self, instance: usize, kind: Kind) {
        if self.instances[instance].take().is_some() {
            self.counted.hit(kind);
        }
        self.damage_disk(instance);
    }

    /// Now and then a part of the disk goes with an instance.
    fn damage_disk(&mut self, instance: usize) {
        let Some(disk) = self.disk.as_ref().map(|disk| disk.path().join(instance.to_string())) else {
            return;
        };
        let files = std::fs::read_dir(disk).into_iter().flatten().map(|file| file.unwrap().path());
        let mut files: Vec<_> = files.collect();
        files.sort();
        for file in files {
            if self.rng.u8(..4) == 0 {
                let bytes = std::fs::read(&file).unwrap();
                let left = self.rng.usize(..=bytes.len());
                std::fs::write(file, &bytes[..left]).unwrap();
            }
        }
    }

    /// It is gone in the middle of a commit, at one of its steps.
    fn crash_in_a_commit(&mut self, instance: usize) {
        // What an earlier fault is to meet comes first; then it is not known where this one hits.
        if self.instances[instance].is_none() || self.model.faults_met() < self.asked.len() {
            return;
        }
        let (fault, kind) = STEPS_OF_A_COMMIT[self.rng.usize(..STEPS_OF_A_COMMIT.len())];
        self.fail_next(fault, kind);
        for _ in 0..40 {
            self.turn_one(instance);
            if self.model.faults_met() == self.asked.len() {
                self.instances[instance] = None;
                return self.damage_disk(instance);
            }
        }
        // It had nothing to commit: somebody else's producer meets it.
        *self.asked.last_mut().unwrap() = Kind::ProducerLost;
    }

    /// An instance comes, or is asked to stop in order.
    fn scale(&mut self, instance: usize) {
        if self.instances[instance].is_none() {
            self.start(instance);
            self.counted.hit(Kind::ScaledOut);
        } else if self.rng.u8(..3) == 0
            && let Some(Instance { lanes, snapshots, .. }) = self.instances[instance].take()
        {
            lanes.into_iter().for_each(ByHand::end);
            snapshots.into_iter().for_each(|mut snapshots| snapshots.write_all(Duration::from_secs(60)));
            self.counted.hit(Kind::ScaledIn);
        }
    }

    fn shelf(&self, instance: usize) -> Arc<Shelf> {
        let folder = self.disk.as_ref().map(|disk| disk.path().join(instance.to_string()));
        Arc::new(Shelf::new(folder.map(|folder| Folder::take(&folder).unwrap())))
    }

    pub(super) fn start(&mut self, instance: usize) {
        self.copies[instance] = Copied::read(&self.town.town, &self.town.people, &self.movers);
        let site = Site {
            town: &self.town.town,
            broker: &self.broker,
            directory: &self.copies[instance].directory,
            mutes: &self.copies[instance].mutes,
            push: Arc::clone(&self.post) as _,
            sources: Arc::clone(&self.office) as _,
            runtime: self.runtime.handle().clone(),
            commit_most: 4,
            in_flight: 4,
            shelf: self.shelf(instance),
            make_lane: lane_of,
            spill: self.cramped.as_ref().map_or_else(Spill::default, Cramped::room),
        };
        let (lanes, parts) = (site.open(instance), site.parts());
        let (snapshots, standby) = (Snapshots::new(&parts), self.standby.then(|| Standby::new(&parts)));
        self.instances[instance] = Some(Instance { lanes, snapshots, standby });
    }

    /// It does nothing for a while, and the groups give some of its members up; it does not know.
    fn stall(&mut self, step: u32, instance: usize) {
        if self.instances[instance].is_none() {
            return;
        }
        self.stalled[instance] = step + self.rng.u32(5..60);
        for lane in Lane::ALL {
            if self.rng.bool() && self.model.evict(&group(lane), &transactional_id(instance, lane)) {
                self.counted.hit(Kind::Stall);
            }
        }
    }

    /// For a while nothing comes through to an instance, or nothing it asks is answered.
    fn cloud(&mut self, step: u32, instance: usize) {
        self.clouded[instance] = step + self.rng.u32(5..60);
        if self.rng.bool() {
            self.weather.set_deaf(instance, true);
            self.counted.hit(Kind::DeafLink);
        } else {
            self.weather.set_away(instance, true);
            self.counted.hit(Kind::BrokerAway);
        }
    }

    fn clear_up(&mut self, step: u32, instance: usize) {
        if self.clouded[instance] <= step {
            self.weather.set_deaf(instance, false);
            self.weather.set_away(instance, false);
        }
    }

    pub(super) fn pass(&mut self, span: Duration) {
        Still::pass(span);
        for instance in 0..INSTANCES {
            // Whoever follows the directory hangs now and then: then nobody may be told anything for long.
            if self.rng.u8(..4) > 0 {
                self.copies[instance].follow(&self.town.town, &self.town.people, &self.movers);
            } else {
                self.counted.hit(Kind::DirectoryHung);
                if self.bug == Some(Bug::BelievesWhatHangs) {
                    self.copies[instance].believe();
                }
            }
        }
    }

    /// Time passes without any fault.
    pub(super) fn pass_quietly(&mut self, span: Duration) {
        Still::pass(span);
        for copy in &mut self.copies {
            copy.follow(&self.town.town, &self.town.people, &self.movers);
        }
    }

    pub(super) fn let_tasks_run(&self) {
        self.runtime.block_on(async {
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        });
    }

    /// Nothing is wrong any more.
    pub(super) fn clear_the_sky(&mut self) {
        self.model.land(|_| true);
        self.weather.clear();
        self.cramped.iter().for_each(|cramped| cramped.meet(Trouble::None));
        for instance in 0..INSTANCES {
            if self.instances[instance].is_none() {
                self.start(instance);
            }
        }
    }
}
