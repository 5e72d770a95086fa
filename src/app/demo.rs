//! Demo: the whole way on one machine, from sample events to sample phones.
//!
//! Without Kafka it runs on the model broker in memory: the same lanes and the same engine, but nothing
//! outlives the process and there is nobody to share the work with.

mod host;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::Runtime;

use super::books::{Books, Ledgers};
use super::config::{AnswerSettings, Config, LinkIdentity};
use super::{App, Unready, weight, wiring};
use crate::broker::model::Model;
use crate::broker::{Broker, BrokerError};
use crate::clock::{self, Tick};
use crate::codec::{Codec, Name, json, person};
use crate::event::{Outgoing, Person, Timestamp, Topic};
use crate::sample::{self, SampleEvent};
use crate::serve;
use crate::stand_in::{Options, StandIn, Totals};
use host::DemoHost;

/// What the demo runs with.
#[derive(Debug, Clone)]
pub struct DemoSettings {
    /// A real cluster instead of the model broker; its topics get a prefix of their own.
    pub brokers: Option<String>,
    /// The sample company's crowd.
    pub crowd: usize,
    /// Where the inboxes are shown.
    pub inboxes: std::net::SocketAddr,
}

/// A running demo.
pub struct Demo {
    config: Config,
    broker: Arc<dyn Broker>,
    codec: Arc<Codec>,
    stand_in: StandIn,
    host: Arc<DemoHost>,
    app: App,
    runtime: Arc<Runtime>,
    ledgers: Ledgers,
    start: Timestamp,
    began: Tick,
    published: u64,
    on_a_cluster: bool,
}

/// How the sample ended.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The books.
    pub books: Books,
    /// Different people who were told something.
    pub people_told: u64,
    /// Batches the push service accepted.
    pub batches: u64,
    /// From the first event published to the last telling accepted.
    pub seconds: f64,
    /// Whether the push service's own ledger agrees with the books.
    pub ledger_agrees: bool,
    /// Bytes in Bugle's own topics for each push told; on a real cluster only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka_bytes_per_recipient: Option<f64>,
}

/// How long the sample may take before the demo gives up on it.
const PATIENCE: Duration = Duration::from_secs(120);

// === impl Demo ===

impl Demo {
    /// Starts the stand-in, the broker, the directory and the lanes.
    ///
    /// # Errors
    /// [`Unready`].
    pub fn start(mut config: Config, settings: &DemoSettings) -> Result<Self, Unready> {
        let runtime = Arc::new(tokio::runtime::Builder::new_multi_thread().enable_all().build()?);
        let stand_in = runtime.block_on(async {
            let listener = serve::listen(settings.inboxes, "--inboxes").await?;
            Ok::<_, Unready>(crate::stand_in::serve(
                listener,
                Options { inboxes: 2_000, ..Options::default() },
            )?)
        })?;
        stand_beside(&mut config, &stand_in.url());
        lead_here(&mut config.answers);
        let start = clock::now();
        let broker = broker(&mut config, settings.brokers.as_deref())?;
        broker.create(&wiring::specs(&config)?)?;
        let codec = wiring::codec(&config)?;
        let people = publish_people(broker.as_ref(), &codec, &config, settings.crowd)?;
        let ledgers = Ledgers::open(broker.as_ref())?;
        let app = App::start(&config, Arc::clone(&broker), Arc::clone(&runtime))?;
        stand_in.answer_to(format!("http://{}", app.answers));
        let host =
            Arc::new(DemoHost::new(&broker, people, (wiring::keys(&config)?, &app.board, &app.directory))?);
        stand_in.stand_behind(Arc::clone(&host) as Arc<dyn crate::stand_in::Host>);
        Ok(Self {
            config,
            broker,
            codec,
            stand_in,
            host,
            app,
            runtime,
            ledgers,
            start,
            began: Tick::now(),
            published: 0,
            on_a_cluster: settings.brokers.is_some(),
        })
    }

    /// Where the live page is.
    #[must_use]
    pub fn page(&self) -> String {
        format!("http://{}", self.app.admin)
    }

    /// Where the source systems are shown.
    #[must_use]
    pub fn systems(&self) -> String {
        format!("{}/systems", self.stand_in.url())
    }

    /// Where the inboxes are.
    #[must_use]
    pub fn inboxes(&self) -> String {
        self.stand_in.url()
    }

    /// Publishes the sample day.
    ///
    /// # Errors
    /// What the broker said.
    pub fn publish_story(&mut self) -> Result<(), Unready> {
        self.began = Tick::now();
        let story = sample::story(self.start);
        let mut records = Vec::with_capacity(story.events.len() + 1);
        for event in &story.events {
            records.push(self.record(event)?);
        }
        let (source, value) = sample::poison();
        let topic = Topic::Events(source);
        self.app.board.traffic.written(topic, 1);
        records.push(Outgoing {
            topic,
            partition: None,
            key: None,
            value: Some(value.into()),
            headers: Vec::new(),
        });
        self.published += records.len() as u64;
        Ok(self.broker.publish(records)?)
    }

    /// Publishes the `number`-th event of an endless day.
    ///
    /// # Errors
    /// What the broker said.
    pub fn publish_one(&mut self, number: u64) -> Result<(), Unready> {
        let mut event = sample::later(number, self.start);
        event.happens_at(clock::now());
        let record = self.record(&event)?;
        self.published += 1;
        Ok(self.broker.publish(vec![record])?)
    }

    /// Publishes approvals that are due in an hour, and climb when nobody answers.
    ///
    /// # Errors
    /// What the broker said.
    pub fn publish_scene(&mut self) -> Result<(), Unready> {
        let scene = sample::scene(clock::now());
        let records = scene.iter().map(|event| self.record(event)).collect::<Result<Vec<_>, _>>()?;
        self.published += records.len() as u64;
        Ok(self.broker.publish(records)?)
    }

    /// Takes in what was decided since, and shows it on the pages.
    ///
    /// # Errors
    /// What the broker said.
    pub fn show(&self) -> Result<(), Unready> {
        self.host.read()?;
        self.stand_in.refresh();
        Ok(())
    }

    fn record(&self, event: &SampleEvent) -> Result<Outgoing, Unready> {
        self.app.board.traffic.written(Topic::Events(event.source), 1);
        let written = json::to_avro(self.codec.schemas(), &event.json).map_err(|fault| {
            BrokerError::Fatal(format!("a sample event does not fit its schema: {fault}"))
        })?;
        self.stand_in.learn(&event.json);
        let topic = Topic::Events(event.source);
        let name = self.config.kafka.topics.name(topic);
        let id = self.codec.id_for(Name::Events(event.source), &name)?;
        let key = Some(written.key.clone().into_bytes().into());
        Ok(Outgoing {
            topic,
            partition: None,
            key,
            value: Some(written.framed(id).into()),
            headers: Vec::new(),
        })
    }

    /// Waits until everything published has ended; `on_step` sees the books on the way.
    ///
    /// # Errors
    /// What the broker said.
    pub fn run_out(&mut self, mut on_step: impl FnMut(&Books, u64)) -> Result<Summary, Unready> {
        let began = self.began;
        loop {
            self.ledgers.read(Duration::from_millis(50))?;
            let books = self.ledgers.keeper.books();
            on_step(&books, self.published);
            let all = books.changes.read >= self.published;
            if (all && books.close()) || began.elapsed() > PATIENCE {
                let mut summary = self.summary(books, began.elapsed());
                if self.on_a_cluster {
                    summary.kafka_bytes_per_recipient = Some(self.weigh(&summary)?);
                }
                return Ok(summary);
            }
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "a ratio for a person to read")]
    fn weigh(&self, summary: &Summary) -> Result<f64, Unready> {
        let bytes = weight::of_topics(self.broker.as_ref())?;
        Ok(bytes as f64 / summary.books.tellings.told.max(1) as f64)
    }

    /// The books and the ledger as they stand.
    ///
    /// # Errors
    /// What the broker said.
    pub fn look(&mut self) -> Result<Summary, Unready> {
        self.ledgers.read(Duration::from_millis(50))?;
        let books = self.ledgers.keeper.books();
        Ok(self.summary(books, self.began.elapsed()))
    }

    fn summary(&self, books: Books, took: Duration) -> Summary {
        let Totals { jobs, distinct, repeated, people, .. } = self.stand_in.totals();
        let ledger_agrees = books.tellings.told == distinct && repeated == 0;
        Summary {
            books,
            people_told: people,
            batches: jobs,
            seconds: took.as_secs_f64(),
            ledger_agrees,
            kafka_bytes_per_recipient: None,
        }
    }

    /// Stops the lanes, then the stand-in.
    pub fn stop(self) {
        let Self { app, stand_in, runtime, .. } = self;
        app.stop();
        runtime.block_on(stand_in.stop());
    }
}

/// The cluster, or the model broker where none is named.
pub(super) fn broker(config: &mut Config, brokers: Option<&str>) -> Result<Arc<dyn Broker>, Unready> {
    let Some(brokers) = brokers else { return Ok(Arc::new(Model::new())) };
    // Topics of its own, so that a demo never mixes with what a cluster is used for.
    brokers.clone_into(&mut config.kafka.brokers);
    let prefix = format!("bugle-demo-{}.", clock::now().millis());
    config.kafka.topics.source_prefix = format!("{prefix}opentext.");
    config.kafka.topics.own_prefix = format!("{prefix}bugle.");
    prefix.trim_end_matches('.').clone_into(&mut config.kafka.group);
    wiring::kafka(config)
}

/// People are told by the stand-in here, and their answers are carried into the source systems beside it.
pub(super) fn stand_beside(config: &mut Config, url: &str) {
    url.clone_into(&mut config.push.url);
    // Its events are examples: where their links lead is not where anybody goes.
    config.push.link_hosts = vec!["*".to_owned()];
    config.admin.inbox = Some(url.to_owned());
    config.lanes.threads = 1;
    let sources = &mut config.sources;
    sources.xecm.url = Some(format!("{url}/otcs/cs.exe"));
    sources.xecm.otds_url = Some(url.to_owned());
    sources.xecm.client_id = Some("demo".to_owned());
    sources.xecm.client_secret = Some("demo".into());
    sources.xconnector.url = Some(url.to_owned());
    sources.devadmin.url = Some(url.to_owned());
}

/// Pushes lead to the page that answers, unless the settings say where else; nobody signs in on the way.
fn lead_here(answers: &mut AnswerSettings) {
    // Of a free port nobody knows the number before it is taken.
    if answers.public_url.is_none() && answers.listen.port() != 0 {
        answers.public_url = Some(format!("http://{}", answers.listen));
        answers.links.identity = LinkIdentity::Token;
    }
}

/// The schema id of people, and everybody who was published.
fn publish_people(
    broker: &dyn Broker,
    codec: &Codec,
    config: &Config,
    crowd: usize,
) -> Result<(u32, Vec<Person>), Unready> {
    let id = codec.id_for(Name::Person, &config.kafka.topics.name(Topic::Directory))?;
    let people = sample::people(crowd);
    let records = people.iter().map(|entry| Outgoing {
        topic: Topic::Directory,
        partition: None,
        key: Some(crate::directory::key::person_key(&entry.tenant, &entry.user_id).into()),
        value: Some(person::encode(id, entry).into()),
        headers: Vec::new(),
    });
    broker.publish(records.collect())?;
    Ok((id, people))
}
