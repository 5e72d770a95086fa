//! Play: instances of Bugle on one broker, all in one thread, turned in an order that a seed decides.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bugle::app::books::Ledgers;
use bugle::broker::model::{Fault, Model};
use bugle::broker::names::Names;
use bugle::broker::{Broker, Outgoing, Topic};
use bugle::clock::{self, Still};
use bugle::directory::Directory;
use bugle::engine::by_hand::ByHand;
use bugle::engine::shelf::Shelf;
use bugle::engine::snapshots::Snapshots;
use bugle::event::answer::Answer;
use bugle::event::frame::FrameHead;
use bugle::event::notice::Verb;
use bugle::event::{Lane, Occasion, hash128};
use bugle::flow::frames;
use bugle::store::folder::Folder;

use super::crooked::Crooked;
use super::instance::{Site, group, transactional_id};
use super::office::{Office, Turn};
use super::owed::{Event, Telling, WHATS, owed, written};
use super::planted::{Bug, Planted};
use super::post::{Fate, Post};
use super::tapped::answered;
use super::town::{NOW, hear_of};
use super::{Company, INSTANCES, PARTITIONS};

/// What happened in a play, in numbers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) events: u64,
    pub(crate) faults: u64,
    pub(crate) told: u64,
    /// Tellings that were owed, told or not.
    pub(crate) tellings: u64,
    /// Answers that counted.
    pub(crate) answers: u64,
    /// Of those told, how many a timer brought about.
    pub(crate) timers: u64,
    pub(crate) crashes: u64,
    pub(crate) stalls: u64,
    pub(crate) commit_faults: u64,
    pub(crate) late_markers: u64,
    pub(crate) bad_answers: u64,
    /// Times in which the push service took nothing, or forbade the account to send.
    pub(crate) outages: u64,
    /// Answers carried into the source systems.
    pub(crate) carried: u64,
    /// Partitions that were read back from a snapshot.
    pub(crate) snapshots: u64,
    /// Of everything the push service accepted, in the order of its ids.
    pub(crate) digest: u128,
}

/// What a promise was broken by.
#[derive(Debug, Clone)]
pub(crate) enum Violation {
    /// Told to nobody, or the flow does not come to rest.
    Lost(String),
    /// Accepted under two ids, or not owed a second time.
    Twice(String),
    /// Told to somebody who is not owed it.
    WrongPerson(String),
    /// A message id with other tellings than the first time.
    ChangedBatch(String),
    /// The books do not close.
    Books(String),
}

/// One play, from its seed.
pub(crate) struct Play<'t> {
    /// What the instances see, and what they are judged by.
    town: &'t Company,
    judge: &'t Company,
    rng: fastrand::Rng,
    pub(crate) model: Model,
    broker: Arc<dyn Broker>,
    post: Arc<Post>,
    office: Arc<Office>,
    directory: Arc<Directory>,
    runtime: tokio::runtime::Runtime,
    pub(crate) instances: Vec<Option<Instance>>,
    /// Where the instances keep their snapshots; in some plays they have no disks.
    pub(crate) disk: Option<tempfile::TempDir>,
    /// Until which step an instance does nothing.
    stalled: Vec<u32>,
    /// The push service does this with every request, until that step.
    outage: Option<(Fate, u32)>,
    ledgers: Ledgers,
    published: Vec<Event>,
    /// What was answered: whose telling, and what.
    answers: Vec<(Telling, Verb)>,
    counted: Counted,
    bug: Option<Bug>,
    _still: Still,
}

/// What dies with a process.
pub(crate) struct Instance {
    pub(crate) lanes: Vec<ByHand>,
    pub(crate) snapshots: Option<Snapshots>,
}

impl Counted {
    pub(crate) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.faults += other.faults;
        self.tellings += other.tellings;
        self.told += other.told;
        self.timers += other.timers;
        self.answers += other.answers;
        self.crashes += other.crashes;
        self.stalls += other.stalls;
        self.commit_faults += other.commit_faults;
        self.late_markers += other.late_markers;
        self.bad_answers += other.bad_answers;
        self.outages += other.outages;
        self.carried += other.carried;
        self.snapshots += other.snapshots;
    }

    /// And what the meters say of snapshots.
    pub(crate) fn with_snapshots(self, page: &str) -> Self {
        Self { snapshots: super::kept::counted(page, "restores_total", r#"origin="snapshot""#), ..self }
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, tellings, told, timers, answers, faults, crashes, stalls, .. } = self;
        let Self { commit_faults, late_markers, bad_answers, outages, carried, snapshots, .. } = self;
        write!(
            f,
            "{events} events, {tellings} tellings owed, {told} told, {timers} of them by timers, {answers} answers that counted, {carried} of them carried back; {faults} faults: {crashes} crashes, \
             {stalls} stalls, {commit_faults} failed commits, {late_markers} late ends of transactions, \
             {bad_answers} bad answers of the push service and the source systems, {outages} outages; \
             {snapshots} partitions read back from snapshots"
        )
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(what) => write!(f, "lost: {what}"),
            Self::Twice(what) => write!(f, "told twice: {what}"),
            Self::WrongPerson(what) => write!(f, "told to the wrong person: {what}"),
            Self::ChangedBatch(what) => write!(f, "changed under its id: {what}"),
            Self::Books(what) => write!(f, "the books: {what}"),
        }
    }
}

// === impl Play ===

impl<'t> Play<'t> {
    pub(crate) fn new(town: &'t Company, judge: &'t Company, seed: u64, bug: Option<Bug>) -> Self {
        let still = Still::at(NOW);
        let model = Model::new();
        model.create(&Names::default().specs(PARTITIONS)).unwrap();
        let broker: Arc<dyn Broker> = match bug {
            Some(bug) => {
                let twist = Arc::new(Planted { bug, commits: AtomicU64::new(seed % 7) });
                Arc::new(Crooked { model: model.clone(), twist })
            }
            None => Arc::new(model.clone()),
        };
        let mut play = Self {
            town,
            judge,
            rng: fastrand::Rng::with_seed(seed),
            ledgers: Ledgers::open(&model).unwrap(),
            model,
            broker,
            post: Arc::default(),
            office: Arc::default(),
            directory: directory_of(town),
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            instances: (0..INSTANCES).map(|_| None).collect(),
            disk: has_disks(seed).then(|| tempfile::tempdir().unwrap()),
            stalled: vec![0; INSTANCES],
            outage: None,
            published: Vec::new(),
            answers: Vec::new(),
            counted: Counted::default(),
            bug,
            _still: still,
        };
        play.confirm();
        play.start(0);
        play
    }

    /// Faults for so many steps, then none until everything has come to rest.
    pub(crate) fn run(mut self, steps: u32) -> Result<Counted, Violation> {
        for step in 0..steps {
            self.step(step);
        }
        self.heal()?;
        self.judge()
    }

    fn step(&mut self, step: u32) {
        let instance = self.rng.usize(..INSTANCES);
        match self.rng.u32(..100) {
            0..=60 => self.turn(step, instance),
            61 => self.begin_outage(step, instance),
            62..=68 => self.publish(),
            69..=70 => self.tap(),
            71..=80 => self.answer(step),
            81..=82 => self.serve(),
            83..=88 => {
                let millis = self.rng.u64(1..400);
                self.pass(Duration::from_millis(millis));
            }
            89 => {
                // Now and then for as long as timers take, but never until the tasks are due.
                let elapsed = clock::now().since(NOW).to_duration();
                let long = self.rng.u8(..4) == 0 && elapsed < Duration::from_secs(10 * 3_600);
                let seconds = if long { self.rng.u64(600..5_400) } else { self.rng.u64(1..90) };
                self.pass(Duration::from_secs(seconds));
            }
            90..=92 => self.fail_a_commit(),
            93 => self.crash(instance),
            94..=96 => self.start(instance),
            97 => self.stall(step, instance),
            98 => {
                self.counted.late_markers += 1;
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
        let Some(Instance { lanes, .. }) = &mut self.instances[instance] else { return };
        for _ in 0..self.rng.usize(1..6) {
            let lane = self.rng.usize(..lanes.len());
            lanes[lane].turn();
        }
        self.let_tasks_run();
    }

    pub(crate) fn publish(&mut self) {
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
    fn tap(&mut self) {
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
        let (topic, partition, value) = (Topic::Subjects, Some(asked.partition), Some(frame.into()));
        let record = Outgoing { topic, partition, key: None, value, headers: Vec::new() };
        self.model.publish(vec![record]).unwrap();
        self.answers.push((asked.telling, verb));
    }

    /// Nothing is taken for a while, in which time goes on: what waits is set aside. Or an instance finds time
    /// to write its snapshots.
    fn begin_outage(&mut self, step: u32, instance: usize) {
        if self.rng.u8(..3) == 0 {
            let fate = if self.rng.bool() { Fate::Refuse } else { Fate::Forbid };
            self.outage = Some((fate, step + self.rng.u32(20..120)));
            self.counted.outages += 1;
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
            _ => fate,
        };
        self.counted.bad_answers += u64::from(fate != Fate::Accept);
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
        self.counted.bad_answers += u64::from(turn != Turn::Answer);
        self.office.answer(at, turn);
        self.let_tasks_run();
    }

    fn fail_a_commit(&mut self) {
        let faults = [Fault::Aborted, Fault::Fatal, Fault::FatalThoughWritten];
        self.model.fail_next(faults[self.rng.usize(..faults.len())]);
    }

    /// It is gone without a word.
    fn crash(&mut self, instance: usize) {
        self.counted.crashes += u64::from(self.instances[instance].take().is_some());
        let Some(disk) = self.disk.as_ref().map(|disk| disk.path().join(instance.to_string())) else {
            return;
        };
        // Now and then a part of the disk goes with it.
        for file in std::fs::read_dir(disk).into_iter().flatten().map(Result::unwrap) {
            if self.rng.u8(..4) == 0 {
                let bytes = std::fs::read(file.path()).unwrap();
                let left = self.rng.usize(..=bytes.len());
                std::fs::write(file.path(), &bytes[..left]).unwrap();
            }
        }
    }

    fn shelf(&self, instance: usize) -> Arc<Shelf> {
        let folder = self.disk.as_ref().map(|disk| disk.path().join(instance.to_string()));
        Arc::new(Shelf::new(folder.map(|folder| Folder::take(&folder).unwrap())))
    }

    pub(crate) fn start(&mut self, instance: usize) {
        if self.instances[instance].is_none() {
            let site = Site {
                town: &self.town.town,
                broker: &self.broker,
                directory: &self.directory,
                push: Arc::clone(&self.post) as _,
                sources: Arc::clone(&self.office) as _,
                runtime: self.runtime.handle().clone(),
                commit_most: 4,
                shelf: self.shelf(instance),
            };
            let (lanes, snapshots) = (site.open(instance), Snapshots::new(&site.parts()));
            self.instances[instance] = Some(Instance { lanes, snapshots });
        } else if self.rng.u8(..3) == 0
            && let Some(Instance { lanes, snapshots }) = self.instances[instance].take()
        {
            // Asked to stop in order.
            lanes.into_iter().for_each(ByHand::end);
            snapshots.into_iter().for_each(|mut snapshots| snapshots.write_all(Duration::from_secs(60)));
        }
    }

    /// It does nothing for a while, and the groups give some of its members up; it does not know.
    fn stall(&mut self, step: u32, instance: usize) {
        if self.instances[instance].is_none() {
            return;
        }
        self.stalled[instance] = step + self.rng.u32(5..60);
        for lane in Lane::ALL {
            if self.rng.bool() {
                let id = transactional_id(instance, lane);
                self.counted.stalls += u64::from(self.model.evict(&group(lane), &id));
            }
        }
    }

    pub(crate) fn pass(&mut self, span: Duration) {
        Still::pass(span);
        // Whoever follows the directory hangs now and then: then nobody may be told anything.
        if self.rng.u8(..8) > 0 {
            self.confirm();
        }
    }

    /// The directory is followed by others; here it stands still and is known to be whole.
    fn confirm(&self) {
        for topic in [Topic::Directory, Topic::Members] {
            self.directory.confirm(topic, &[], clock::now());
        }
    }

    fn let_tasks_run(&self) {
        self.runtime.block_on(async {
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        });
    }

    fn heal(&mut self) -> Result<(), Violation> {
        self.model.land(|_| true);
        self.start_all();
        for round in 0..4_000 {
            self.go_round();
            if round % 8 == 7 && self.is_at_rest() {
                return Ok(());
            }
        }
        let books = self.ledgers.keeper.books();
        Err(Violation::Lost(format!("after 1 000 s without faults the flow is not at rest: {books:?}")))
    }

    /// Every lane turns, and whoever is asked answers.
    pub(crate) fn go_round(&mut self) {
        for Instance { lanes, .. } in self.instances.iter_mut().flatten() {
            lanes.iter_mut().for_each(ByHand::turn);
        }
        self.let_tasks_run();
        while !self.post.held().waiting.is_empty() {
            self.post.answer(0, Fate::Accept);
        }
        while !self.office.held().waiting.is_empty() {
            self.office.answer(0, Turn::Answer);
        }
        self.let_tasks_run();
        self.pass(Duration::from_millis(250));
    }

    /// A day goes by: what is due is told, and what would come twice comes.
    fn wait_for_timers(&mut self) -> Result<(), Violation> {
        for _ in 0..24 {
            self.pass(Duration::from_secs(3_600));
            self.confirm();
            self.heal()?;
        }
        Ok(())
    }

    /// Every answer that counts and is owed to a source system was carried out there once, as who gave it.
    fn carried(&self) -> Result<u64, Violation> {
        let desk = self.office.held();
        for ((response_id, responder), (times, verb)) in &desk.done {
            let who = format!("{responder}'s {verb:?} {response_id}");
            if *times != 1 {
                return Err(Violation::Twice(format!("{who} was carried out {times} times")));
            }
            let gave = |(telling, given): &(Telling, Verb)| telling.user == *responder && given == verb;
            if !self.answers.iter().any(gave) {
                return Err(Violation::WrongPerson(format!("nobody gave {who}")));
            }
        }
        let (done, books) = (desk.done.len() as u64, self.ledgers.keeper.books().write_backs);
        let none_lost = books.owed == done && books.confirmed == done;
        if none_lost {
            Ok(done)
        } else {
            Err(Violation::Books(format!("{done} were carried out: {books:?}")))
        }
    }

    fn start_all(&mut self) {
        for instance in 0..INSTANCES {
            if self.instances[instance].is_none() {
                self.start(instance);
            }
        }
    }

    fn is_at_rest(&mut self) -> bool {
        self.ledgers.read(Duration::ZERO).unwrap();
        let books = self.ledgers.keeper.books();
        let answered = books.answers.received == self.answers.len() as u64;
        let carried = books.write_backs.open == 0;
        books.changes.read == self.counted.events && answered && carried && books.close()
    }

    fn judge(mut self) -> Result<Counted, Violation> {
        self.wait_for_timers()?;
        if !self.is_at_rest() {
            return Err(Violation::Books(format!("opened again: {:?}", self.ledgers.keeper.books())));
        }
        let held = self.post.held();
        if let Some(id) = held.changed.first() {
            return Err(Violation::ChangedBatch(id.clone()));
        }
        let mut owed = owed(&self.judge.town, &self.published);
        for tapped in &self.answers {
            answered(&mut owed, &self.judge.town, tapped);
        }
        let mut told: BTreeMap<&Telling, &str> = BTreeMap::new();
        for id in held.accepted.keys() {
            for telling in &held.asked[id] {
                if let Some(other) = told.insert(telling, id) {
                    return Err(Violation::Twice(format!("{telling:?} in {other} and {id}")));
                }
                owed.pay(telling).map_err(Violation::WrongPerson)?;
            }
        }
        if let Some(left) = owed.left() {
            return Err(Violation::Lost(left));
        }
        let books = self.ledgers.keeper.books();
        let carried = self.carried()?;
        let timers = told.keys().filter(|telling| telling.occasion != Occasion::First).count() as u64;
        let told = told.len() as u64;
        if books.tellings.told != told {
            return Err(Violation::Books(format!("{told} were told: {:?}", books.tellings)));
        }
        let accepted: Vec<String> = held.accepted.iter().map(|(id, times)| format!("{id} {times}")).collect();
        let digest = hash128([accepted.join("\n").as_bytes()]);
        let mut counted = Counted {
            told,
            timers,
            digest,
            carried,
            answers: books.answers.accepted,
            tellings: books.tellings.candidates,
            commit_faults: self.model.faults_met() as u64,
            ..self.counted
        };
        counted.faults = counted.crashes
            + counted.stalls
            + counted.commit_faults
            + counted.late_markers
            + counted.bad_answers;
        Ok(counted)
    }
}

/// Whether the instances of a play have disks to keep snapshots on: what lies on a real disk takes its time.
pub(crate) fn has_disks(seed: u64) -> bool {
    seed.is_multiple_of(16)
}

/// A copy of the town's directory that nobody has confirmed yet: a play begins where time does.
fn directory_of(Company { town, people }: &Company) -> Arc<Directory> {
    let directory = Directory::new();
    for (person, offset) in people.iter().zip(0..) {
        hear_of(&directory, &town.codec, offset, person);
    }
    Arc::new(directory)
}
