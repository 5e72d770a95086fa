//! Wiring: options become a running app; start, drain, stop.

pub mod bench;
pub mod books;
pub mod chains;
pub mod chaos;
pub mod config;
pub mod demo;
pub mod drain;
mod elsewhere;
pub mod grow;
pub mod letters;
pub mod outside;
pub mod people;
pub mod rehearsal;
pub mod reload;
pub mod trails;
pub mod weight;
pub mod wiring;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::answers::{Door, Marks};
use crate::broker::{Broker, BrokerError};
use crate::clock;
use crate::codec::{BadSchema, RegistryError};
use crate::directory::Directory;
use crate::engine::{Engine, GivenUp, MakeLane, Parts, lane_of};
use crate::flow::Mutes;
use crate::push::client::Unusable;
use crate::push::reply_token::BadKey;
use crate::push::signature::{BadSecret, Secret};
use crate::serve::{self, CannotListen, Limits, Window};
use crate::source_systems;
use crate::store::folder::BadFolder;
use crate::store::spill::DiskFault;
use crate::store::view::Board;
use crate::telemetry::Meters;
use config::Config;
use reload::{Publisher, Reload};

/// Why Bugle cannot start. Every variant says what to open or to run.
#[derive(Debug, thiserror::Error)]
pub enum Unready {
    /// A schema file is wrong.
    #[error(transparent)]
    Schemas(#[from] BadSchema),
    /// The rules are wrong: a line for each fault.
    #[error("the topology cannot be used:\n  {}", .0.join("\n  "))]
    Topology(Vec<String>),
    /// The scenarios are wrong: a line for each fault.
    #[error("the scenarios cannot be played:\n  {}", .0.join("\n  "))]
    Scenarios(Vec<String>),
    /// What was to come to rest did not.
    #[error("something is still under way at {at}, and was not done in {waited} s")]
    Restless {
        /// What the clock showed.
        at: crate::event::Timestamp,
        /// How long was waited.
        waited: u64,
    },
    /// The registry cannot be used.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Kafka cannot be used.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The push service cannot be used.
    #[error(transparent)]
    Push(#[from] Unusable),
    /// The form of an account's requests makes none.
    #[error("push account `{account}`: {file}: {fault}")]
    Form {
        /// The account.
        account: String,
        /// The file.
        file: String,
        /// What is wrong with it.
        fault: String,
    },
    /// The source systems cannot be used.
    #[error(transparent)]
    Sources(#[from] source_systems::Unusable),
    /// A secret shared with those who send answers on is unusable.
    #[error(transparent)]
    WebhookSecret(#[from] BadSecret),
    /// A key that signs reply tokens is unusable.
    #[error(transparent)]
    SigningKey(#[from] BadKey),
    /// The folder of snapshots cannot be used.
    #[error(transparent)]
    State(#[from] BadFolder),
    /// What memory has no room for cannot be put on disk.
    #[error("what `state.memory_mib` has no room for has nowhere to go: {0}")]
    Disk(#[from] DiskFault),
    /// A socket cannot be opened.
    #[error(transparent)]
    Listen(#[from] CannotListen),
    /// The machine cannot start a thread or a runtime.
    #[error("the runtime cannot start: {0}")]
    Runtime(#[from] std::io::Error),
}

// === impl Unready ===

impl Unready {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Schemas(_) => "mend the file, or remove the folder to use the schemas built in".to_owned(),
            Self::Topology(_) => "run `bugle check`, which shows each fault in its place".to_owned(),
            Self::Scenarios(_) => "run `bugle test`, which shows each fault in its place".to_owned(),
            Self::Restless { .. } => "look at the log above; `--set log.filter=debug` says more".to_owned(),
            Self::Registry(fault) => fault.hint(),
            Self::Broker(BrokerError::Topic { .. }) => {
                "run `bugle topics create`, then `bugle topics check`".to_owned()
            }
            Self::Broker(_) => "check `kafka.brokers`, or try `bugle demo`, which needs no Kafka".to_owned(),
            Self::Push(fault) => fault.hint(),
            Self::Form { .. } => {
                "write a template that makes JSON of a batch; deploy/bugle.yaml says what it may speak of"
                    .to_owned()
            }
            Self::Sources(fault) => fault.hint(),
            Self::WebhookSecret(_) => {
                "write `whsec_` and base64 of 24 bytes or more, such as `openssl rand -base64 32`".to_owned()
            }
            Self::SigningKey(_) => "give `push.signing_keys` secrets of at least 16 bytes".to_owned(),
            Self::State(BadFolder::Taken(_)) => "give each process a `state.dir` of its own".to_owned(),
            Self::State(BadFolder::Io(..)) => {
                "make the folder writable, or name another one in `state.dir`".to_owned()
            }
            Self::Disk(_) => {
                "make room in the folder and make it writable, or leave `state.memory_mib` out".to_owned()
            }
            Self::Listen(fault) => fault.hint(),
            Self::Runtime(_) => "check the limits on threads and files of this process".to_owned(),
        }
    }

    /// Whether files or settings are at fault, rather than the world.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Schemas(_)
                | Self::Topology(_)
                | Self::Scenarios(_)
                | Self::Push(_)
                | Self::Sources(_)
                | Self::Form { .. }
                | Self::SigningKey(_)
                | Self::WebhookSecret(_)
                | Self::State(_)
                | Self::Disk(_)
                | Self::Broker(BrokerError::Setting { .. })
        )
    }
}

/// A running Bugle.
pub struct App {
    runtime: Arc<Runtime>,
    engine: Engine,
    reload: Arc<Reload>,
    /// What the lanes have done.
    pub board: Arc<Board>,
    /// The people, as the lanes know them.
    pub directory: Arc<Directory>,
    /// What is muted, as the lanes know it.
    pub mutes: Arc<Mutes>,
    /// The address of the admin server.
    pub admin: std::net::SocketAddr,
    /// Where answers come in.
    pub answers: std::net::SocketAddr,
    closing: watch::Sender<bool>,
    serving: [JoinHandle<std::io::Result<()>>; 2],
}

/// Looks at the files now and then, until the app is closed.
async fn watch_files(reload: Arc<Reload>, every: Duration, mut closed: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(every);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            _ = closed.changed() => return,
        }
        let reload = Arc::clone(&reload);
        // A look that panicked said so itself; the next one comes.
        let _ = tokio::task::spawn_blocking(move || reload.look()).await;
    }
}

/// How often histograms are folded.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

// === impl App ===

impl App {
    /// Starts serving, reads the directory to its end, then starts the lanes.
    ///
    /// # Errors
    /// [`Unready`].
    pub fn start(config: &Config, broker: Arc<dyn Broker>, runtime: Arc<Runtime>) -> Result<Self, Unready> {
        Self::start_with(lane_of, config, broker, runtime)
    }

    /// The same with lanes that are made so: something may be planted in them.
    ///
    /// # Errors
    /// [`Unready`].
    pub fn start_with(
        make_lane: MakeLane,
        config: &Config,
        broker: Arc<dyn Broker>,
        runtime: Arc<Runtime>,
    ) -> Result<Self, Unready> {
        let codec = wiring::codec(config)?;
        let push = wiring::push(config)?;
        let sources = wiring::sources(config)?;
        let folder = wiring::folder(config)?;
        let instance = wiring::instance(config, folder.as_ref())?;
        let (shelf, spill) = wiring::state(config, folder)?;
        let plan = wiring::plan(config, (broker.as_ref(), &codec), spill)?;
        let board = Arc::new(Board::new(clock::now()));
        board.connected(true);
        let (closing, closed) = watch::channel(false);
        let (admin, window) = Self::open_window(config, &board, &runtime, closed.clone())?;
        let publisher = Publisher {
            broker: Arc::clone(&broker),
            compile: reload::compile(config, codec.schemas()),
            by: instance.clone(),
        };
        let folder = &config.topology.folder;
        let (rules, versions) = reload::begin(folder, &publisher, &board)?;
        let parts = Parts {
            make_lane,
            broker,
            rules,
            codec,
            directory: Arc::new(Directory::in_zones(plan.zones())),
            mutes: Arc::new(Mutes::new()),
            push,
            sources,
            plan,
            runtime: runtime.handle().clone(),
            board: Arc::clone(&board),
            shelf,
        };
        let (answers, door) = Self::open_door(config, &parts, &runtime, closed.clone())?;
        if config.answers.public_url.is_some() {
            let (broker, board, closed) = (Arc::clone(&parts.broker), Arc::clone(&board), closed.clone());
            runtime.spawn_blocking(move || elsewhere::follow(broker.as_ref(), &board, &closed));
        }
        let compile = Arc::clone(&publisher.compile);
        let (directory, mutes) = (Arc::clone(&parts.directory), Arc::clone(&parts.mutes));
        let engine = Engine::start(&parts, &wiring::settings(config, instance), (versions, compile))?;
        let reload = Arc::new(Reload::new(publisher, folder, Arc::clone(&parts.rules), Arc::clone(&board)));
        if let Some(every) = config.topology.watch {
            runtime.spawn(watch_files(Arc::clone(&reload), every.to_duration(), closed));
        }
        Ok(Self {
            runtime,
            engine,
            reload,
            board,
            directory,
            mutes,
            admin,
            answers,
            closing,
            serving: [window, door],
        })
    }

    fn open_window(
        config: &Config,
        board: &Arc<Board>,
        runtime: &Runtime,
        mut closed: watch::Receiver<bool>,
    ) -> Result<(std::net::SocketAddr, JoinHandle<std::io::Result<()>>), Unready> {
        // A second app in one process (a test) shows the page without meters of its own.
        let meters = Meters::install().ok().map(Arc::new);
        let rendered = meters.clone();
        let window = Window {
            board: Arc::clone(board),
            metrics: Arc::new(move || rendered.as_ref().map(|meters| meters.render()).unwrap_or_default()),
            inbox: config.admin.inbox.clone(),
            limits: Limits::default(),
        };
        let listener = runtime.block_on(serve::listen(config.admin.listen, "admin.listen"))?;
        let address = listener.local_addr()?;
        let mut ended = closed.clone();
        runtime.spawn(async move {
            let mut every = tokio::time::interval(UPKEEP_EVERY);
            loop {
                tokio::select! {
                    _ = every.tick() => if let Some(meters) = &meters { meters.upkeep() },
                    _ = ended.changed() => return,
                }
            }
        });
        let serving = runtime.spawn(serve::serve(listener, window, async move {
            // An error means that the app is gone, and with it the reason to serve.
            let _ = closed.wait_for(|closing| *closing).await;
        }));
        Ok((address, serving))
    }

    fn open_door(
        config: &Config,
        parts: &Parts,
        runtime: &Runtime,
        mut closed: watch::Receiver<bool>,
    ) -> Result<(std::net::SocketAddr, JoinHandle<std::io::Result<()>>), Unready> {
        let secrets = config.answers.webhook_secrets.iter().map(Secret::read);
        let door = Door {
            keys: wiring::keys(config)?,
            broker: Arc::clone(&parts.broker),
            subjects: parts.plan.subjects,
            rules: Arc::clone(&parts.rules),
            board: Arc::clone(&parts.board),
            secrets: secrets.collect::<Result<Vec<_>, _>>()?.into(),
            gateway: wiring::gateway(config)?,
            links: wiring::links(config),
            marks: config
                .answers
                .status_token
                .clone()
                .map(|token| Arc::new(Marks { token, ids: parts.plan.ids })),
        };
        let listener = runtime.block_on(serve::listen(config.answers.listen, "answers.listen"))?;
        let address = listener.local_addr()?;
        let serving = runtime.spawn(crate::answers::serve(listener, door, async move {
            let _ = closed.wait_for(|closing| *closing).await;
        }));
        Ok((address, serving))
    }

    /// Ends when the lanes cannot go on in this process, and says why.
    pub async fn given_up(&self) -> GivenUp {
        let mut given_up = self.engine.given_up();
        let why = given_up.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        match why {
            Some(why) => why,
            // The engine outlives whoever holds the app.
            None => std::future::pending().await,
        }
    }

    /// Publishes the rules of the folder, whole or not at all; what became of that is said in the log.
    pub fn reload(&self) {
        self.reload.now();
    }

    /// Finishes what is under way, commits it, and stops.
    pub fn stop(self) {
        self.engine.join();
        let _ = self.closing.send(true);
        for serving in self.serving {
            let _ = self.runtime.block_on(serving);
        }
    }
}
