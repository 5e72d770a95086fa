//! Engine: what the lanes do when a commit fails, a producer dies or the push service is gone.
//!
//! The broker is the model in memory, everything else is what production runs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use bugle::app::books::{Books, Ledgers};
use bugle::app::config::Config;
use bugle::app::{App, wiring};
use bugle::broker::Broker;
use bugle::broker::model::{Fault, Model};
use bugle::clock::Tick;
use bugle::codec::{Codec, Name, json, person};
use bugle::event::{Outgoing, Timestamp, Topic};
use bugle::sample;
use bugle::stand_in::{Faults, Options, StandIn};
use tokio::runtime::Runtime;

const PATIENCE: Duration = Duration::from_secs(60);

/// A Bugle on a model broker, with a stand-in beside it.
struct Rig {
    config: Config,
    model: Model,
    codec: Arc<Codec>,
    stand_in: StandIn,
    runtime: Arc<Runtime>,
    ledgers: Ledgers,
    published: u64,
}

impl Rig {
    fn new() -> Self {
        let runtime = Arc::new(Runtime::new().unwrap());
        let stand_in = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            bugle::stand_in::serve(listener, Options::default()).unwrap()
        });
        let mut config = Config::default();
        config.push.url = stand_in.url();
        config.admin.listen.set_port(0);
        config.answers.listen.set_port(0);
        config.lanes.threads = 1;
        config.kafka.instance_id = Some("rig".to_owned());
        let model = Model::new();
        model.create(&wiring::specs(&config).unwrap()).unwrap();
        let codec = wiring::codec(&config).unwrap();
        let ledgers = Ledgers::open(&model).unwrap();
        let rig = Self { config, model, codec, stand_in, runtime, ledgers, published: 0 };
        let people = sample::people(40).into_iter().map(|entry| Outgoing {
            topic: Topic::Directory,
            partition: None,
            key: Some(bugle::directory::key::person_key(&entry.tenant, &entry.user_id).into()),
            value: Some(person::encode(Name::Person.local_id(), &entry).into()),
            headers: Vec::new(),
        });
        rig.model.publish(people.collect()).unwrap();
        rig
    }

    fn start(&self) -> App {
        App::start(&self.config, Arc::new(self.model.clone()), Arc::clone(&self.runtime)).unwrap()
    }

    fn publish(&mut self, from: u64, count: u64) {
        let start: Timestamp = "2026-01-05T08:00:00Z".parse().unwrap();
        let records = (from..from + count).map(|number| {
            let event = sample::batch(number, start);
            let written = json::to_avro(self.codec.schemas(), &event.json).unwrap();
            let value = written.framed(Name::Events(event.source).local_id());
            let key = Some(written.key.into_bytes().into());
            let topic = Topic::Events(event.source);
            Outgoing { topic, partition: None, key, value: Some(value.into()), headers: Vec::new() }
        });
        self.model.publish(records.collect()).unwrap();
        self.published += count;
    }

    /// The books once they close over everything published, or as they stand when they never do.
    fn settle(&mut self) -> Books {
        let began = Tick::now();
        loop {
            self.ledgers.read(Duration::from_millis(20)).unwrap();
            let books = self.ledgers.keeper.books();
            if (books.changes.read >= self.published && books.close()) || began.elapsed() > PATIENCE {
                return books;
            }
        }
    }

    /// Every telling of the books is one push at the stand-in, and none came twice.
    fn assert_told_once(&self, books: &Books) {
        assert!(books.close(), "the books stay open: {books:?}");
        let totals = self.stand_in.totals();
        assert!(books.tellings.told > 0);
        assert_eq!((totals.distinct, totals.repeated), (books.tellings.told, 0), "{totals:?}");
    }
}

#[test]
fn an_aborted_commit_is_done_again_and_nobody_is_told_twice() {
    let mut rig = Rig::new();
    let app = rig.start();
    for round in 0..10 {
        rig.model.fail_next(Fault::Aborted);
        rig.publish(round * 40, 40);
        let books = rig.settle();
        rig.assert_told_once(&books);
    }
    app.stop();
}

#[test]
fn a_producer_that_dies_is_replaced_whether_or_not_its_last_commit_was_written() {
    let mut rig = Rig::new();
    let app = rig.start();
    for (round, fault) in [Fault::Fatal, Fault::FatalThoughWritten].into_iter().cycle().take(8).enumerate() {
        rig.model.fail_next(fault);
        rig.publish(round as u64 * 40, 40);
        let books = rig.settle();
        rig.assert_told_once(&books);
    }
    app.stop();
}

#[test]
fn a_restart_goes_on_where_the_last_commit_was() {
    let mut rig = Rig::new();
    for round in 0..3 {
        rig.publish(round * 100, 100);
        let app = rig.start();
        if round == 1 {
            // Stopped in the middle: what is not committed is done by the next one.
            app.stop();
            continue;
        }
        rig.settle();
        app.stop();
    }
    let books = rig.settle();
    rig.assert_told_once(&books);
}

#[test]
fn what_was_heard_is_known_to_whoever_comes_after() {
    let mut rig = Rig::new();
    let mut first = None;
    for _ in 0..3 {
        // The same hundred changes each time, and each time another owner.
        rig.publish(0, 100);
        let app = rig.start();
        let books = rig.settle();
        rig.assert_told_once(&books);
        app.stop();
        let now = (rig.stand_in.totals().distinct, books.changes.routed);
        assert_eq!(*first.get_or_insert(now), now, "a copy was told");
        assert_eq!(books.changes.read, rig.published);
    }
}

#[test]
fn a_push_service_that_is_away_or_answers_badly_costs_time_and_nothing_else() {
    let mut rig = Rig::new();
    let app = rig.start();
    let bad = Faults { unavailable: 0.3, server_error: 0.2, cut_before_answer: 0.2, ..Faults::default() };
    rig.stand_in.set_faults(bad);
    rig.publish(0, 200);
    let began = Tick::now();
    while rig.stand_in.totals().requests < 20 && began.elapsed() < PATIENCE {
        rig.ledgers.read(Duration::from_millis(20)).unwrap();
    }
    rig.stand_in.set_faults(Faults::default());
    let books = rig.settle();
    rig.assert_told_once(&books);
    app.stop();
}

#[test]
fn one_poisoned_address_is_set_apart_and_everybody_else_is_told() {
    let mut rig = Rig::new();
    let app = rig.start();
    rig.stand_in.set_faults(Faults { poison: vec!["user:mara.weber".to_owned()], ..Faults::default() });
    rig.publish(0, 110);
    let books = rig.settle();
    rig.assert_told_once(&books);
    assert!(books.tellings.failed > 0, "{books:?}");
    assert!(rig.stand_in.account("jonas.klein").is_some());
    assert!(rig.stand_in.account("mara.weber").is_none());
    app.stop();
}
