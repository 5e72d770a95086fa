//! Systems: local source systems that answers are carried into, and a ledger of what they took in.
//!
//! They keep the contracts that Bugle's clients speak and misbehave as they are told to ([`Troubles`]). What
//! their things are is said to them; a test reads in the ledger who did what, and how often.
//!
//! | call | |
//! |---|---|
//! | `POST /flows/{flow}/responses` | xConnector: a response, once for each `Idempotency-Key` |
//! | `GET`, `PATCH /v1/work-items/{id}` | Developer Admin: a work item, changed only as it was seen |
//! | `/otdsws/oauth2/token`, `/otcs/cs.exe/api/…` | Content Server: sign-in, tasks, categories, reminders |
//! | `/otdsws/rest/…`, `/otdsws/scim/…` | directory services: who there is, page by page |
//! | `GET /systems` | a page that shows how they stand |
//! | `POST /systems` | things there are, as JSON |
//! | `GET /systems/ledger` | what was done, by whom, and how the things stand |
//! | `GET`, `POST /systems/faults` | how the systems misbehave |

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::connection::Cut;
use super::faults::Latency;
use super::{Stage, lock};
use crate::clock;
use crate::event::Timestamp;

mod categories;
mod flows;
mod followups;
mod learn;
mod page;
mod people;
mod words;
mod work_items;
mod workflows;

pub use categories::Node;
use followups::Followup;
pub(super) use learn::learn;
pub use people::{Employee, PageTrouble};
pub use work_items::WorkItem;
pub use workflows::Workflow;

/// A secret and a password that nobody has.
const WRONG: &str = "wrong";
/// How long an answer takes that hangs: longer than a client waits.
const HANGS: Duration = Duration::from_secs(60);

/// What goes wrong with the source systems. Shares of writes are between 0 (never) and 1 (always).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Troubles {
    /// Where the generator starts; setting the troubles starts it again.
    pub seed: u64,
    /// How long an answer takes.
    pub latency: Latency,
    /// Nothing is answered but 503.
    pub down: bool,
    /// What becomes of the next writes, one after the other; only then the shares count.
    pub next: VecDeque<Trouble>,
    /// What becomes of every write after these; then the shares do not count.
    pub every: Option<Trouble>,
    /// The share of writes that fail with 500, and nothing was done.
    pub server_error: f64,
    /// The share of writes refused with 409, and nothing was done.
    pub conflict: f64,
    /// The share of writes that are carried out, and the answer is lost.
    pub drop_answer: f64,
    /// The share of writes refused with 401, for their sign-in is no longer known.
    pub expired: f64,
    /// What becomes of the next pages of people, one after the other.
    pub pages: VecDeque<PageTrouble>,
}

/// What becomes of one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// None: it is carried out and answered.
    None,
    /// 500, and nothing was done.
    ServerError,
    /// It is carried out, and answered with 500.
    ErrorThoughDone,
    /// 409, and nothing was done.
    Conflict,
    /// 404: there is no such thing any more.
    Gone,
    /// 403: it is not theirs who answered.
    NotTheirs,
    /// 400, as of a task that is to be signed.
    Unsigned,
    /// It is carried out, and the connection is cut before the answer.
    DropAnswer,
    /// It is carried out, and the answer takes very long.
    Hang,
    /// 401, and nothing was done: nobody is signed in to Content Server any more.
    Expired,
    /// Somebody else decides every open task, or what a flow asks, first; then it is served.
    SomebodyElse,
}

/// One thing that was done in a source system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// `xconnector`, `devadmin`, `xecm` or `bws`.
    pub system: &'static str,
    /// The flow and its action, the work item, the node, or the task and its round.
    pub thing: String,
    /// What it became: `approved`, or the way on that was taken.
    pub what: String,
    /// Who did it, as the system knows them.
    pub by: String,
    /// The answer's id, where it was told.
    pub response_id: String,
    /// When.
    pub at: Timestamp,
}

/// All things of the source systems.
#[derive(Default)]
pub(super) struct Systems {
    troubles: Troubles,
    random: fastrand::Rng,
    /// What was done, in its order.
    applied: Vec<Applied>,
    flows: flows::Flows,
    items: BTreeMap<String, WorkItem>,
    workflows: workflows::Workflows,
    nodes: BTreeMap<String, Node>,
    /// By node and id.
    followups: BTreeMap<(String, String), Followup>,
    people: people::People,
    /// When each task and work item came: after how many things were done, and as the how many-th.
    since: BTreeMap<String, (usize, usize)>,
}

/// Companies whose systems answer under one address, one after the other.
#[derive(Default)]
pub(super) struct Houses {
    /// Whose systems answer now.
    now: String,
    others: BTreeMap<String, Systems>,
}

/// Things to be there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Things {
    #[serde(default)]
    flows: BTreeSet<String>,
    #[serde(default)]
    work_items: Vec<WorkItem>,
    #[serde(default)]
    workflows: Vec<Workflow>,
    #[serde(default)]
    nodes: Vec<Node>,
    #[serde(default)]
    followups: Vec<Followup>,
    #[serde(default)]
    people: Vec<Employee>,
    /// Groups, and the groups they belong to.
    #[serde(default)]
    groups: BTreeMap<String, Vec<String>>,
    /// Names of people who are gone.
    #[serde(default)]
    gone: Vec<String>,
}

#[derive(Serialize)]
struct Ledger<'l> {
    applied: &'l [Applied],
    work_items: Vec<&'l WorkItem>,
    workflows: Vec<&'l Workflow>,
    nodes: Vec<&'l Node>,
    followups: Vec<&'l Followup>,
    lists_asked: &'l VecDeque<String>,
}

/// The calls of the source systems.
pub(super) fn routes() -> Router<Arc<Stage>> {
    Router::new()
        .route("/flows/{flow}/responses", post(flows::respond))
        .route("/v1/work-items/{id}", get(work_items::read).patch(work_items::change))
        .route("/otdsws/oauth2/token", post(workflows::token))
        .nest("/otcs/cs.exe/api", content_server())
        .route("/otdsws/rest/authentication/credentials", post(people::credentials))
        .route("/otdsws/rest/users", get(people::users))
        .route("/otdsws/rest/groups", get(people::groups))
        .route("/otdsws/scim/{partition}/Users", get(people::scim_users))
        .route("/otdsws/scim/{partition}/Groups", get(people::scim_groups))
        .route("/systems", get(page::page).post(add))
        .route("/systems/events", get(page::events))
        .route("/systems/ledger", get(ledger))
        .route("/systems/faults", get(troubles).post(set_troubles))
}

/// The calls of Content Server.
fn content_server() -> Router<Arc<Stage>> {
    const PROCESS: &str = "/v2/processes/{process}/subprocesses/{subprocess}";
    const GROUP: &str = "/taskid/{task}/processid/{process}/subprocessid/{subprocess}";
    Router::new()
        .route("/v1/auth", get(workflows::ticket))
        .route("/v1/forms/processes/tasks/update", get(workflows::choices))
        .route(&format!("/v2/mobilegroupassignment/check{GROUP}"), get(workflows::check))
        .route(&format!("/v2/mobilegroupassignment/accept{GROUP}"), post(workflows::accept))
        .route(&format!("{PROCESS}/tasks/{{task}}"), put(workflows::send_on))
        .route(&format!("{PROCESS}/activities"), get(workflows::activities))
        .route("/v2/workflows/status", get(workflows::status))
        .route("/v2/nodes/{node}/followups", get(followups::read))
        .route("/v2/nodes/{node}/followups/{followup}", put(followups::change))
        .route("/v2/nodes/{node}/categories/{category}/", get(categories::read).put(categories::change))
}

/// `POST /systems`.
async fn add(State(stage): State<Arc<Stage>>, body: String) -> Response {
    match serde_json::from_str::<Things>(&body) {
        Ok(things) => {
            lock(&stage.systems).add(things);
            stage.version.send_modify(|version| *version += 1);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

/// `GET /systems/ledger`.
async fn ledger(State(stage): State<Arc<Stage>>) -> Response {
    let systems = lock(&stage.systems);
    let ledger = Ledger {
        applied: &systems.applied,
        work_items: systems.items.values().collect(),
        workflows: systems.workflows.tasks.values().collect(),
        nodes: systems.nodes.values().collect(),
        followups: systems.followups.values().collect(),
        lists_asked: systems.people.asked(),
    };
    Json(ledger).into_response()
}

/// `GET /systems/faults`.
async fn troubles(State(stage): State<Arc<Stage>>) -> Json<Troubles> {
    Json(lock(&stage.systems).troubles.clone())
}

/// `POST /systems/faults`: all of them anew; what is not said is not at fault.
async fn set_troubles(State(stage): State<Arc<Stage>>, body: String) -> Response {
    match serde_json::from_str::<Troubles>(&body) {
        Ok(troubles) => {
            lock(&stage.systems).trouble(troubles.clone());
            Json(troubles).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

/// Answers a request that changes nothing.
async fn look(stage: &Stage, answer: impl FnOnce(&mut Systems) -> Response) -> Response {
    let (down, delay) = lock(&stage.systems).patience();
    super::knock::wait(delay).await;
    if down { StatusCode::SERVICE_UNAVAILABLE.into_response() } else { answer(&mut lock(&stage.systems)) }
}

/// Answers a request that changes something, or has the trouble that it is to have.
async fn write(stage: &Stage, cut: &Cut, answer: impl FnOnce(&mut Systems) -> Response) -> Response {
    let (down, delay) = lock(&stage.systems).patience();
    super::knock::wait(delay).await;
    if down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let trouble = lock(&stage.systems).draw();
    match trouble {
        Trouble::ServerError => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Trouble::Conflict => return StatusCode::CONFLICT.into_response(),
        Trouble::Gone => return StatusCode::NOT_FOUND.into_response(),
        Trouble::NotTheirs => return StatusCode::FORBIDDEN.into_response(),
        Trouble::Unsigned => return workflows::unsigned(),
        Trouble::Expired => {
            lock(&stage.systems).workflows.sign_out();
            return StatusCode::UNAUTHORIZED.into_response();
        }
        Trouble::SomebodyElse => lock(&stage.systems).be_quicker(),
        Trouble::None | Trouble::ErrorThoughDone | Trouble::DropAnswer | Trouble::Hang => {}
    }
    let answered = answer(&mut lock(&stage.systems));
    stage.version.send_modify(|version| *version += 1);
    match trouble {
        Trouble::DropAnswer => {
            cut.now();
            answered
        }
        Trouble::ErrorThoughDone => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Trouble::Hang => {
            super::knock::wait(HANGS).await;
            answered
        }
        _ => answered,
    }
}

// === impl Houses ===

impl Houses {
    /// Another house's systems answer.
    pub(super) fn enter(&mut self, systems: &mut Systems, house: &str) {
        if house != self.now {
            let theirs = self.others.remove(house).unwrap_or_default();
            let left = std::mem::replace(systems, theirs);
            self.others.insert(std::mem::replace(&mut self.now, house.to_owned()), left);
        }
    }
}

// === impl Systems ===

impl Systems {
    pub(super) fn trouble(&mut self, troubles: Troubles) {
        self.random = fastrand::Rng::with_seed(troubles.seed);
        self.troubles = troubles;
    }

    pub(super) fn add(&mut self, things: Things) {
        self.flows.known.extend(things.flows);
        for item in things.work_items {
            self.came(item.id.clone());
            self.items.insert(item.id.clone(), item);
        }
        self.followups.extend(things.followups.into_iter().map(|it| ((it.node.clone(), it.id.clone()), it)));
        self.nodes.extend(things.nodes.into_iter().map(|node| (node.id.clone(), node)));
        things.workflows.into_iter().for_each(|task| self.add_task(task));
        self.people.groups.extend(things.groups);
        things.people.into_iter().for_each(|employee| self.people.add(employee));
        self.people.employees.retain(|name, _| !things.gone.contains(name));
    }

    fn add_task(&mut self, task: Workflow) {
        let (process, subprocess, task) = self.workflows.add(task);
        self.came(format!("{process}/{subprocess}/{task}"));
    }

    fn came(&mut self, thing: String) {
        let at = (self.applied.len(), self.since.len() + 1);
        self.since.insert(thing, at);
    }

    pub(super) fn applied(&self) -> Vec<Applied> {
        self.applied.clone()
    }

    fn apply(&mut self, system: &'static str, thing: String, what: &str, (by, response_id): (&str, &str)) {
        let (what, by, response_id) = (what.to_owned(), by.to_owned(), response_id.to_owned());
        self.applied.push(Applied { system, thing, what, by, response_id, at: clock::now() });
    }

    fn patience(&mut self) -> (bool, Duration) {
        (self.troubles.down, self.troubles.latency.draw(&mut self.random))
    }

    fn draw(&mut self) -> Trouble {
        if let Some(trouble) = self.troubles.next.pop_front() {
            return trouble;
        }
        let troubles = &self.troubles;
        if let Some(trouble) = troubles.every {
            return trouble;
        }
        let shares = [
            (troubles.server_error, Trouble::ServerError),
            (troubles.conflict, Trouble::Conflict),
            (troubles.drop_answer, Trouble::DropAnswer),
            (troubles.expired, Trouble::Expired),
        ];
        let mut drawn = self.random.f64();
        for (share, trouble) in shares {
            if drawn < share {
                return trouble;
            }
            drawn -= share.max(0.0);
        }
        Trouble::None
    }
}
