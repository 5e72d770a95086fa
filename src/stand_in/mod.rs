//! Stage set: a local push service that keeps the contract, counts what it gets and shows each inbox.
//!
//! It is for tests, benches and the demo: it reaches no phone, keeps everything in memory, and misbehaves
//! exactly as it is told to ([`Faults`]). What the contract's account rates ask for, it does not play.
//!
//! | call | |
//! |---|---|
//! | `POST /mra/v1/utils/parser` | submit |
//! | `GET /mra/v1/outbound/push/status?job_id=`, `?message_id=` | what became of one of the last jobs |
//! | `GET`, `POST`, `DELETE /mra/v1/outbound/push/webhook` | who is told what became of jobs |
//! | `POST /tenants/{tenant}/oauth2/token` | a bearer token |
//! | `POST /deployments/notifications/{app}/fcm-push` | the same as an AppWorks Gateway |
//! | `GET /deployments/auth/{app}/user` | whose session a token is |
//! | `GET`, `POST`, `DELETE /gateway/sessions` | how often that was asked; somebody signs in, signs out |
//! | `POST /webhook` | the same as a service that takes signed webhooks |
//! | `GET /ledger` | the sums; `?person=`, or `?offset=&limit=` for people in the order they came |
//! | `GET /refs` | every accepted message id, reference, person and title, when kept |
//! | `GET`, `POST /faults` | how it misbehaves |
//! | `GET /`, `/inbox/{person}` | pages that update themselves |
//! | `POST /inbox/{person}/answer` | a button is pressed: the answer goes to Bugle |
//! | `POST /inbox/{person}/wish` | a category is muted, quiet hours are set, where a host stands behind it |
//! | `GET /inbox/{person}/trail` | what became of the matter of a push, where a host knows |
//! | `POST /clock` | the host's clock is put forward |
//!
//! Beside it stand source systems that the answers are carried into: `systems`.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

mod answer;
mod arrived;
mod backstage;
mod books;
mod connection;
mod contract;
mod faults;
mod foreign;
mod hook;
mod html;
mod inbox;
mod knock;
mod ledger;
mod pages;
mod sessions;
mod sign_in;
mod story;
mod submit;
mod systems;
mod text;

use crate::push::signature::Secret;
pub use answer::Given;
pub use arrived::Arrived;
pub use backstage::{Entry, Host, Trail, Wish, Wishes};
use connection::{Cut, Door, Shut};
use faults::{Dice, Fate};
pub use faults::{Faults, Latency, NoLatency};
pub use ledger::{Account, Totals};
use ledger::{Keep, Ledger};
pub use sign_in::SignIn;
pub use systems::{Applied, Employee, Node, PageTrouble, Trouble, Troubles, WorkItem, Workflow};

/// What the stand-in remembers and how it behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The faults it starts with.
    pub faults: Faults,
    /// What it asks of a client.
    pub sign_in: SignIn,
    /// At least how many inboxes it holds, of 50 pushes each; none with 0.
    pub inboxes: usize,
    /// How many jobs it keeps whole for the status call.
    pub jobs: usize,
    /// Whether it keeps every reference for `GET /refs`: about 50 bytes and its title each.
    pub keep_refs: bool,
    /// Whether it keeps every push until [`StandIn::take_arrivals`].
    pub keep_arrivals: bool,
    /// Where Bugle hears answers; without it the buttons cannot be pressed.
    pub answers: Option<String>,
    /// What the gateway asks for as `otagAppKey`; nothing when absent.
    pub app_key: Option<SecretString>,
    /// Secrets one of which must have signed a webhook; none: it need not be signed.
    pub webhook_secrets: Vec<Secret>,
}

/// A stand-in at work.
pub struct StandIn {
    addr: SocketAddr,
    stage: Arc<Stage>,
    task: JoinHandle<()>,
}

/// What all calls share.
struct Stage {
    /// The source systems of other houses.
    houses: Mutex<systems::Houses>,
    ledger: Mutex<Ledger>,
    dice: Mutex<Dice>,
    gate: Mutex<sign_in::Gate>,
    sessions: Mutex<sessions::Sessions>,
    systems: Mutex<systems::Systems>,
    /// Who is told what became of jobs.
    hook: Mutex<Option<hook::Hook>>,
    /// Grows with every accepted submit; the pages wait on it.
    version: watch::Sender<u64>,
    shut: watch::Sender<Option<Shut>>,
    closing: watch::Sender<bool>,
    phone: answer::Phone,
    /// Who stands behind the pages, if anybody does.
    host: OnceLock<Arc<dyn Host>>,
    app_key: Option<SecretString>,
    webhook_secrets: Vec<Secret>,
}

/// How long those who are being answered get when it stops.
const GRACE: Duration = Duration::from_secs(2);

/// Starts a stand-in on the runtime this is called in.
///
/// # Errors
/// When the listener does not know its own address.
pub fn serve(listener: TcpListener, options: Options) -> io::Result<StandIn> {
    let keep = Keep {
        inboxes: options.inboxes,
        jobs: options.jobs,
        refs: options.keep_refs,
        arrivals: options.keep_arrivals,
    };
    let stage = Arc::new(Stage {
        houses: Mutex::default(),
        ledger: Mutex::new(Ledger::new(keep)),
        dice: Mutex::new(Dice::new(Faults::default())),
        gate: Mutex::new(sign_in::Gate::new(options.sign_in)),
        sessions: Mutex::default(),
        systems: Mutex::default(),
        hook: Mutex::default(),
        version: watch::Sender::new(0),
        shut: watch::Sender::new(None),
        closing: watch::Sender::new(false),
        phone: answer::Phone::new(options.answers)?,
        host: OnceLock::new(),
        app_key: options.app_key,
        webhook_secrets: options.webhook_secrets,
    });
    stage.set_faults(options.faults);
    let addr = listener.local_addr()?;
    let door = Door::new(listener, stage.shut.subscribe())?;
    let app = routes(Arc::clone(&stage)).into_make_service_with_connect_info::<Cut>();
    let closed = stage.closed();
    let task = tokio::spawn(async move {
        // It ends when it is told to; an accept that fails is tried again behind the door.
        _ = axum::serve(door, app).with_graceful_shutdown(closed).await;
    });
    Ok(StandIn { addr, stage, task })
}

fn routes(stage: Arc<Stage>) -> Router {
    Router::new()
        .route("/mra/v1/utils/parser", post(submit::submit))
        .route("/mra/v1/outbound/push/status", get(submit::status))
        .route("/mra/v1/outbound/push/webhook", get(hook::get).post(hook::set).delete(hook::unset))
        .route("/tenants/{tenant}/oauth2/token", post(submit::token))
        .route("/deployments/notifications/{app}/fcm-push", post(foreign::fcm_push))
        .route("/deployments/auth/{app}/user", get(sessions::user))
        .route("/gateway/sessions", get(sessions::asked).post(sessions::sign_in).delete(sessions::sign_out))
        .route("/webhook", post(foreign::webhook))
        .route("/ledger", get(books::ledger))
        .route("/refs", get(books::refs))
        .route("/faults", get(books::faults).post(books::set_faults))
        .route("/", get(pages::people))
        .route("/events", get(pages::people_events))
        .route("/inbox/{person}", get(pages::inbox))
        .route("/inbox/{person}/events", get(pages::inbox_events))
        .route("/inbox/{person}/answer", post(answer::press))
        .route("/style.css", get(pages::style))
        .route("/live.js", get(pages::script))
        .merge(systems::routes())
        .merge(story::routes())
        .with_state(stage)
}

/// A lock that a panic elsewhere does not take away: what is behind it is whole after every call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            faults: Faults::default(),
            sign_in: SignIn::Open,
            inboxes: 1_000,
            jobs: 100,
            keep_refs: false,
            keep_arrivals: false,
            answers: None,
            app_key: None,
            webhook_secrets: Vec::new(),
        }
    }
}

// === impl StandIn ===

impl StandIn {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The sums over everything it was sent.
    #[must_use]
    pub fn totals(&self) -> Totals {
        lock(&self.stage.ledger).totals()
    }

    /// What one person got; of `user:` addresses, the name alone.
    #[must_use]
    pub fn account(&self, person: &str) -> Option<Account> {
        lock(&self.stage.ledger).account(person).cloned()
    }

    /// The pushes that arrived since this was asked last, in their order; none unless they are kept.
    #[must_use]
    pub fn take_arrivals(&self) -> Vec<Arrived> {
        lock(&self.stage.ledger).take_arrivals()
    }

    /// Sends an answer to Bugle as a device would; the word of the refusal where it is not taken in.
    ///
    /// # Errors
    /// Nobody hears answers.
    pub async fn answer(&self, given: &Given<'_>) -> Result<Option<String>, String> {
        self.stage.phone.give(given).await
    }

    /// From now on the source systems are those of this house; what it had when it was left is there again.
    pub fn enter(&self, house: &str) {
        lock(&self.stage.houses).enter(&mut lock(&self.stage.systems), house);
    }

    /// From now on it misbehaves like this.
    pub fn set_faults(&self, faults: Faults) {
        self.stage.set_faults(faults);
    }

    /// What was done in the source systems, in its order.
    #[must_use]
    pub fn applied(&self) -> Vec<Applied> {
        lock(&self.stage.systems).applied()
    }

    /// The source systems have what an event speaks of: its task, its work item.
    pub fn learn(&self, event: &serde_json::Value) {
        systems::learn(&mut lock(&self.stage.systems), event);
    }

    /// From now on the source systems misbehave like this.
    pub fn trouble(&self, troubles: Troubles) {
        lock(&self.stage.systems).trouble(troubles);
    }

    /// From now on answers go there.
    pub fn answer_to(&self, url: String) {
        self.stage.phone.answer_to(url);
    }

    /// From now on the pages offer what this host can do. The first one stays.
    pub fn stand_behind(&self, host: Arc<dyn Host>) {
        self.stage.host.get_or_init(|| host);
    }

    /// The pages look at everything anew.
    pub fn refresh(&self) {
        self.stage.version.send_modify(|version| *version += 1);
    }

    /// Stops listening, ends the pages' streams, and waits a moment for answers under way.
    pub async fn stop(mut self) {
        self.stage.closing.send_replace(true);
        if tokio::time::timeout(GRACE, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

// === impl Stage ===

impl Stage {
    fn roll(&self) -> (Fate, Arc<Faults>, Duration) {
        let mut dice = lock(&self.dice);
        let (fate, delay) = dice.roll();
        (fate, Arc::clone(&dice.faults), delay)
    }

    fn set_faults(&self, faults: Faults) {
        self.shut.send_replace(Shut::for_seconds(faults.dead_seconds));
        *lock(&self.dice) = Dice::new(faults);
    }

    /// Whether nobody is at home: connections from before are cut then.
    fn is_shut(&self) -> bool {
        self.shut.borrow().is_some_and(|shut| !shut.remaining().is_zero())
    }

    /// Ends when the stand-in is being stopped.
    fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut closing = self.closing.subscribe();
        async move {
            // An error means that the sender is gone, and with it the stand-in.
            _ = closing.wait_for(|closing| *closing).await;
        }
    }
}
