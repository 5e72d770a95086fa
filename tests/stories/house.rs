//! House: a small company with some instances of Bugle, in which a story is told step by step.
//!
//! Everything runs in one thread and in virtual time. Nothing happens that the story does not say.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use bugle::app::books::{Books, Ledgers};
use bugle::broker::model::Model;
use bugle::broker::names::Names;
use bugle::broker::{Arrival, Broker, Effect, Follow, Input, Outgoing, Position, Unread};
use bugle::clock::{self, Still};
use bugle::codec::outputs;
use bugle::directory::Directory;
use bugle::engine::by_hand::ByHand;
use bugle::engine::{MakeLane, lane_of};
use bugle::event::answer::Answer;
use bugle::event::frame::{FrameHead, MOST_FRAME_BYTES};
use bugle::event::notice::Verb;
use bugle::event::write_back::{Ask, Came, WriteBack};
use bugle::event::{Incoming, Lane, Occasion, Parcel, Person, Source, Span, SubjectKey, Topic, Verdict};
use bugle::flow::fan_out::{self, Item};
use bugle::flow::frames::{FrameItems, FrameSet, single};
use bugle::flow::{Mutes, Outbox, Plan, Spill};
use bugle::source_systems::{Reply, SourceSystems};
use bugle::topology::{Kinds, Topology};
use bytes::Bytes;
use serde_json::{Value as Json, json};

use super::crooked::{Bent, Crooked, Done, Twist};
use super::instance::Site;
use super::owed::Telling;
use super::post::{Asked, Fate, Post};
use super::town::{NOW, Town, hear_of};

/// The house.
pub(crate) struct House {
    pub(crate) town: Town,
    pub(crate) model: Model,
    broker: Arc<dyn Broker>,
    pub(crate) post: Arc<Post>,
    pub(crate) instances: BTreeMap<usize, Vec<ByHand>>,
    directories: Vec<Arc<Directory>>,
    mutes: Vec<Arc<Mutes>>,
    /// Whose copies of the directory and of what is muted are no longer followed.
    pub(crate) hung: Vec<usize>,
    /// Who takes its copy of what is muted for whole, and hears of nothing.
    pub(crate) deaf: Vec<usize>,
    runtime: tokio::runtime::Runtime,
    ledgers: Ledgers,
    published: u64,
    pub(crate) commit_most: u64,
    /// How lanes are made from now on.
    pub(crate) make_lane: MakeLane,
    _still: Still,
}

/// The source systems of stories that have none.
struct Willing;

impl SourceSystems for Willing {
    fn call<'a>(&'a self, _: Ask, _: &'a WriteBack) -> Reply<'a> {
        Box::pin(async { Came::Confirmed })
    }
}

/// The most instances of a story.
const INSTANCES: usize = 3;

/// Somebody of tenant `acme` with this role.
pub(crate) fn person(user: &str, role: &str) -> Person {
    Person {
        tenant: "acme".to_owned(),
        user_id: user.to_owned(),
        active: true,
        roles: vec![role.to_owned()],
        ..Person::default()
    }
}

/// So many people of the legal department.
pub(crate) fn legal(count: usize) -> Vec<Person> {
    (0..count).map(|number| person(&format!("l{number:04}"), "legal")).collect()
}

/// A signed agreement: everybody of the legal department is told at once.
pub(crate) fn agreement(number: u32) -> Json {
    json!({
        "event_id": format!("agreement-{number}"), "tenant": "acme", "correlation_id": format!("c{number}"),
        "entity": { "id": format!("a{number}") }, "data": { "class": "signed_agreement" },
    })
}

/// The kind of [`agreement`].
pub(crate) const AGREEMENT: &str = "bws.content.critical_added";

/// A task of `ada`, due after so long.
pub(crate) fn task(due: Span) -> Json {
    json!({
        "event_id": "task-1", "tenant": "acme", "severity": "high", "action": null,
        "due_at": (NOW + due).to_string(),
        "data": {
            "process_id": "9", "task_id": "1", "initiator": "nobody",
            "assignees": [{ "user_id": "ada" }], "manager": null, "backup": null,
        },
    })
}

// === impl House ===

impl House {
    /// With one partition of everything.
    pub(crate) fn of(people: &[Person]) -> Self {
        Self::bent(people, None)
    }

    /// With one partition of everything, on a broker that may have a twist.
    pub(crate) fn bent(people: &[Person], twist: Option<Arc<dyn Twist>>) -> Self {
        Self::wide(people, 1, twist)
    }

    /// With so many partitions.
    pub(crate) fn wide(people: &[Person], partitions: u32, twist: Option<Arc<dyn Twist>>) -> Self {
        let still = Still::at(NOW);
        let model = Model::new();
        model.create(&Names::default().specs(partitions)).unwrap();
        let broker: Arc<dyn Broker> = match twist {
            Some(twist) => Arc::new(Crooked { model: model.clone(), twist }),
            None => Arc::new(model.clone()),
        };
        let mut house = Self {
            town: Town::new(&[], partitions),
            ledgers: Ledgers::open(&model).unwrap(),
            model,
            broker,
            post: Arc::default(),
            instances: BTreeMap::new(),
            directories: (0..INSTANCES).map(|_| Arc::default()).collect(),
            mutes: (0..INSTANCES).map(|_| Arc::default()).collect(),
            hung: Vec::new(),
            deaf: Vec::new(),
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            published: 0,
            commit_most: 4,
            make_lane: lane_of,
            _still: still,
        };
        for (offset, person) in (0..).zip(people) {
            (0..INSTANCES).for_each(|instance| house.hears(instance, offset, person));
        }
        house.confirm();
        house
    }

    /// With other rules of business workspaces instead of those shipped.
    pub(crate) fn ruled(&mut self, rules: &str, texts: &str) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("messages")).unwrap();
        fs::write(folder.path().join("messages/bws.yaml"), texts).unwrap();
        fs::write(folder.path().join("bws.yaml"), rules).unwrap();
        let shapes = self.town.codec.schemas().shapes(Source::Bws).to_vec();
        self.town.topology = Arc::new(Topology::load(folder.path(), &Kinds::new(shapes)).unwrap());
    }

    /// What all instances started from now on are set to.
    pub(crate) fn plan(&mut self, change: impl FnOnce(&mut Plan)) {
        change(&mut self.town.plan);
    }

    /// The copy of the directory that an instance has hears of somebody.
    pub(crate) fn hears(&mut self, instance: usize, offset: i64, person: &Person) {
        hear_of(&self.directories[instance], &self.town.codec, offset, person);
    }

    fn confirm(&self) {
        let muted = self.records(Topic::Mutes);
        for instance in (0..INSTANCES).filter(|instance| !self.hung.contains(instance)) {
            for topic in [Topic::Directory, Topic::Members] {
                self.directories[instance].confirm(topic, &[], clock::now());
            }
            let mutes = &self.mutes[instance];
            let unheard = mutes.view().position();
            if !self.deaf.contains(&instance) {
                let new = muted.iter().filter(|record| record.offset >= unheard);
                new.for_each(|record| mutes.apply(record).unwrap());
            }
            mutes.confirm(0, clock::now());
        }
    }

    /// An instance starts, and joins with its first turns.
    pub(crate) fn start(&mut self, instance: usize) {
        self.mutes[instance] = Arc::default();
        let site = Site {
            town: &self.town,
            broker: &self.broker,
            directory: &self.directories[instance],
            mutes: &self.mutes[instance],
            push: Arc::clone(&self.post) as _,
            sources: Arc::new(Willing),
            runtime: self.runtime.handle().clone(),
            commit_most: self.commit_most,
            shelf: Arc::default(),
            spill: Spill::default(),
            make_lane: self.make_lane,
            in_flight: 64,
        };
        let lanes = site.open(instance);
        self.instances.insert(instance, lanes);
        self.confirm();
    }

    /// An instance is gone without a word.
    pub(crate) fn crash(&mut self, instance: usize) {
        self.instances.remove(&instance).expect("who crashes was there");
    }

    /// An instance ends in order.
    pub(crate) fn stop(&mut self, instance: usize) {
        self.instances.remove(&instance).expect("who stops was there").into_iter().for_each(ByHand::end);
    }

    /// A lane of an instance goes round so often, and a tenth of a second passes each time.
    pub(crate) fn turn(&mut self, instance: usize, lane: Lane, times: usize) {
        for _ in 0..times {
            let at = Lane::ALL.iter().position(|other| *other == lane).unwrap();
            self.instances.get_mut(&instance).unwrap()[at].turn();
            self.let_tasks_run();
            self.pass(Duration::from_millis(100));
        }
    }

    /// Everything goes round so often, and every request is taken.
    pub(crate) fn work(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.instances.values_mut().flatten().for_each(ByHand::turn);
            self.let_tasks_run();
            while !self.post.held().waiting.is_empty() {
                self.post.answer(0, Fate::Accept);
            }
            self.let_tasks_run();
            self.pass(Duration::from_millis(100));
        }
    }

    /// Everything goes round until all books are closed; whether that was so within a minute.
    pub(crate) fn comes_to_rest(&mut self) -> bool {
        for _ in 0..120 {
            self.work(5);
            let books = self.books();
            if books.changes.read == self.published && books.close() {
                return true;
            }
        }
        false
    }

    /// Everything goes round until all books are closed.
    pub(crate) fn rest(&mut self) {
        assert!(self.comes_to_rest(), "the books stay open: {:?}", self.books());
    }

    /// Everything goes round, and what waits for a while is told.
    pub(crate) fn rest_after(&mut self, seconds: u64) {
        self.rest();
        self.pass_seconds(seconds);
        for _ in 0..120 {
            self.work(5);
            if self.books().tellings.held == 0 {
                return self.rest();
            }
        }
        panic!("it still waits: {:?}", self.books());
    }

    /// The books, from the topics.
    pub(crate) fn books(&mut self) -> Books {
        self.ledgers.read(Duration::ZERO).unwrap();
        self.ledgers.keeper.books()
    }

    pub(crate) fn pass(&self, span: Duration) {
        Still::pass(span);
        self.confirm();
    }

    pub(crate) fn pass_seconds(&self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    pub(crate) fn let_tasks_run(&self) {
        self.runtime.block_on(async {
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        });
    }

    /// Something happens in a source system.
    pub(crate) fn event(&mut self, kind: &str, patch: &Json) {
        let (source, value) = self.town.event(kind, patch);
        self.publish(Topic::Events(source), value);
    }

    /// Bytes are written to a source's topic.
    pub(crate) fn publish(&mut self, topic: Topic, value: Vec<u8>) {
        self.write(topic, 0, value);
        self.published += 1;
    }

    /// A record is written to a source's topic.
    pub(crate) fn publish_record(&mut self, record: Outgoing) {
        self.model.publish(vec![record]).unwrap();
        self.published += 1;
    }

    /// Bytes are written to a topic by whoever.
    pub(crate) fn write(&self, topic: Topic, partition: i32, value: Vec<u8>) {
        let (key, value, headers) = (None, Some(value.into()), Vec::new());
        self.model
            .publish(vec![Outgoing { topic, partition: Some(partition), key, value, headers }])
            .unwrap();
    }

    /// A person answers what they were asked.
    pub(crate) fn answer(&self, asked: &Asked, person: &str, verb: Verb) {
        let response_id = format!("{person}-{verb:?}-{}", clock::now());
        let answer = Answer {
            response_id: &response_id,
            tenant: &asked.telling.tenant,
            conversation: asked.telling.conversation,
            occasion: asked.telling.occasion,
            person,
            verb,
            comment: None,
            received_at: clock::now(),
        };
        let rule = asked.telling.rule.as_str();
        let source = self.town.topology.rule(rule).unwrap().source;
        let frame = single(&FrameHead::default(), &answer.item(source, (&asked.subject, rule)));
        let partition = SubjectKey(asked.subject.clone()).partition(self.town.plan.subjects);
        self.write(Topic::Subjects, partition, frame);
    }

    /// What this person was asked by this rule, the newest last.
    pub(crate) fn asked(&self, rule: &str, user: &str) -> Vec<Asked> {
        let held = self.post.held();
        let asked = |asked: &&Asked| asked.telling.rule == rule && asked.telling.user == user;
        held.askable.iter().filter(asked).cloned().collect()
    }

    /// Every record of a topic that can be read now.
    pub(crate) fn records(&self, topic: Topic) -> Vec<Incoming> {
        let (mut follow, mut records) = (self.model.follow(topic).unwrap(), Vec::new());
        loop {
            let before = records.len();
            follow.poll(Duration::ZERO, &mut records).unwrap();
            if records.len() == before {
                return records;
            }
        }
    }

    /// The verdicts of all lanes.
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let records = self.records(Topic::Audit);
        let read = |record: &Incoming| outputs::decode_verdicts(record.value.as_deref().unwrap()).unwrap().1;
        records.iter().flat_map(read).collect()
    }

    /// How often each notice was put on its way to people, with what it was.
    pub(crate) fn notices(&self) -> BTreeMap<(u128, i32), (Occasion, u32)> {
        let mut notices = BTreeMap::new();
        for record in self.records(Topic::People) {
            for item in items(record.value.as_ref().unwrap()) {
                let Item::Tell(notice, _) = fan_out::read(&item).unwrap() else { continue };
                let key = (notice.id.0, record.input.partition);
                notices.entry(key).or_insert((notice.occasion, 0)).1 += 1;
            }
        }
        notices
    }

    /// How often the notices of one occasion were put on their way.
    pub(crate) fn noticed(&self, occasion: Occasion) -> u32 {
        self.notices().values().filter(|(other, _)| *other == occasion).map(|(_, times)| times).sum()
    }

    /// The batches that were cut.
    pub(crate) fn batches(&self) -> Vec<Parcel> {
        let records = self.records(Topic::Pushes);
        let items = records.iter().flat_map(|record| items(record.value.as_ref().unwrap()));
        items.map(|item| Parcel::read(item).unwrap()).collect()
    }

    /// Under how many ids each telling was accepted.
    pub(crate) fn told(&self) -> BTreeMap<Telling, usize> {
        let held = self.post.held();
        let mut told = BTreeMap::new();
        for telling in held.accepted.keys().flat_map(|id| &held.asked[id]) {
            *told.entry(telling.clone()).or_default() += 1;
        }
        told
    }

    /// The most ids anything was accepted under.
    pub(crate) fn most_told(&self) -> usize {
        self.told().into_values().max().unwrap_or_default()
    }
}

/// The items of a frame.
pub(crate) fn items(frame: &Bytes) -> Vec<Bytes> {
    FrameItems::read(frame).unwrap().1.map(|item| Bytes::copy_from_slice(item.unwrap())).collect()
}

/// A twist of commits.
pub(crate) fn on_commit(
    commit: impl Fn(Bent<'_>, Vec<Effect>, &[(Input, Position)]) -> Done<()> + Send + Sync + 'static,
) -> Option<Arc<dyn Twist>> {
    struct OnCommit<F>(F);
    impl<F: Fn(Bent<'_>, Vec<Effect>, &[(Input, Position)]) -> Done<()> + Send + Sync> Twist for OnCommit<F> {
        fn commit(&self, on: Bent<'_>, effects: Vec<Effect>, positions: &[(Input, Position)]) -> Done<()> {
            (self.0)(on, effects, positions)
        }
    }
    Some(Arc::new(OnCommit(commit)))
}

/// A twist of the frames that are written to a topic: of their heads and items.
pub(crate) fn on_frames(
    topic: Topic,
    change: impl Fn(FrameHead, Vec<Bytes>) -> (FrameHead, Vec<Bytes>) + Send + Sync + 'static,
) -> Option<Arc<dyn Twist>> {
    let rewrite = move |mut effect: Effect| {
        if effect.record.topic != topic {
            return Some(effect);
        }
        let frame = effect.record.value.clone().unwrap();
        let (head, items) = change(FrameItems::read(&frame).unwrap().0, items(&frame));
        let (mut set, mut out) = (FrameSet::new(topic, 1, MOST_FRAME_BYTES), Outbox::default());
        set.set_head(&head, &mut out);
        items.iter().for_each(|item| set.push(0, &mut out, &[item]));
        set.cut(&mut out);
        effect.record.value = out.records.pop()?.value;
        Some(effect)
    };
    on_commit(move |on, effects, positions| {
        on.link.commit(effects.into_iter().filter_map(&rewrite).collect(), positions)
    })
}

/// A twist of what is polled.
pub(crate) fn on_arrivals(
    change: impl Fn(&str, &mut Vec<Arrival>) + Send + Sync + 'static,
) -> Option<Arc<dyn Twist>> {
    struct OnArrivals<F>(F);
    impl<F: Fn(&str, &mut Vec<Arrival>) + Send + Sync> Twist for OnArrivals<F> {
        fn poll(&self, on: Bent<'_>, wait: Duration, most: usize, into: &mut Vec<Arrival>) -> Done<()> {
            on.link.poll(wait, most, into)?;
            (self.0)(&on.spec.group, into);
            Ok(())
        }
    }
    Some(Arc::new(OnArrivals(change)))
}

/// A twist of what is read back.
pub(crate) fn on_recall(
    recall: impl Fn(&Model, Topic, &[(i32, Option<i64>)]) -> Done<Box<dyn Follow>> + Send + Sync + 'static,
) -> Option<Arc<dyn Twist>> {
    struct OnRecall<F>(F);
    impl<F: Fn(&Model, Topic, &[(i32, Option<i64>)]) -> Done<Box<dyn Follow>> + Send + Sync> Twist
        for OnRecall<F>
    {
        fn recall(&self, model: &Model, topic: Topic, from: &[(i32, Option<i64>)]) -> Done<Box<dyn Follow>> {
            (self.0)(model, topic, from)
        }
    }
    Some(Arc::new(OnRecall(recall)))
}

/// A broker that says nothing is unread.
pub(crate) fn all_is_read() -> Option<Arc<dyn Twist>> {
    struct AllIsRead;
    impl Twist for AllIsRead {
        fn unread(&self, _: &Model, _: &str, _: &[Topic]) -> Done<Vec<Unread>> {
            Ok(Vec::new())
        }
    }
    Some(Arc::new(AllIsRead))
}
