//! Rig: a whole Bugle on the model broker, with the stand-in beside it, judged by the books and the ledger.

use std::sync::Arc;
use std::time::Duration;

use bugle::app::books::{Books, Ledgers};
use bugle::app::config::Config;
use bugle::app::{App, wiring};
use bugle::broker::Broker;
use bugle::broker::model::Model;
use bugle::clock::Tick;
use bugle::codec::{Codec, Name, json, person};
use bugle::event::{Outgoing, Person, Timestamp, Topic};
use bugle::sample;
use bugle::stand_in::{Options, StandIn};
use tokio::runtime::Runtime;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A Bugle on a model broker, with a stand-in beside it.
pub(crate) struct Rig {
    pub(crate) config: Config,
    pub(crate) model: Model,
    pub(crate) codec: Arc<Codec>,
    pub(crate) stand_in: StandIn,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) ledgers: Ledgers,
    pub(crate) published: u64,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(Options::default(), |_| {})
    }

    /// With another stand-in, and other settings.
    pub(crate) fn with(options: Options, set: impl FnOnce(&mut Config)) -> Self {
        let runtime = Arc::new(Runtime::new().unwrap());
        let stand_in = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            bugle::stand_in::serve(listener, options).unwrap()
        });
        let mut config = Config::default();
        config.push.url = stand_in.url();
        config.admin.listen.set_port(0);
        config.answers.listen.set_port(0);
        config.lanes.threads = 1;
        config.kafka.instance_id = Some("rig".to_owned());
        set(&mut config);
        let model = Model::new();
        model.create(&wiring::specs(&config).unwrap()).unwrap();
        let codec = wiring::codec(&config).unwrap();
        let ledgers = Ledgers::open(&model).unwrap();
        let rig = Self { config, model, codec, stand_in, runtime, ledgers, published: 0 };
        rig.hear(sample::people(40).into_iter());
        rig
    }

    /// The directory hears of people.
    pub(crate) fn hear(&self, people: impl Iterator<Item = Person>) {
        let records = people.map(|entry| Outgoing {
            topic: Topic::Directory,
            partition: None,
            key: Some(bugle::directory::key::person_key(&entry.tenant, &entry.user_id).into()),
            value: Some(person::encode(Name::Person.local_id(), &entry).into()),
            headers: Vec::new(),
        });
        self.model.publish(records.collect()).unwrap();
    }

    pub(crate) fn start(&self) -> App {
        App::start(&self.config, Arc::new(self.model.clone()), Arc::clone(&self.runtime)).unwrap()
    }

    pub(crate) fn publish(&mut self, from: u64, count: u64) {
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
    pub(crate) fn settle(&mut self) -> Books {
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
    pub(crate) fn assert_told_once(&self, books: &Books) {
        assert!(books.close(), "the books stay open: {books:?}");
        let totals = self.stand_in.totals();
        assert!(books.tellings.told > 0);
        assert_eq!((totals.distinct, totals.repeated), (books.tellings.told, 0), "{totals:?}");
    }
}
