//! Workflows: Content Server's side of an answer, with the sign-in before it.
//!
//! It knows no idempotency: what it is told twice it does twice, if it still can. A task that has more rounds
//! comes back to the same people with another status key, as a workflow that loops does.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::Stage;
use super::super::connection::Cut;
use super::Systems;
use super::words::{form, mark_in};

/// Process, subprocess and task.
pub(super) type Place = (String, String, String);

/// A task of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workflow {
    /// The process.
    pub process_id: String,
    /// The part of it; the process where none is said.
    #[serde(default)]
    pub subprocess_id: String,
    /// The task.
    #[serde(default = "one")]
    pub task_id: String,
    /// What it is about.
    #[serde(default)]
    pub title: String,
    /// Who started the workflow.
    #[serde(default)]
    pub initiator: String,
    /// What this step of it is called.
    #[serde(default)]
    pub step: String,
    /// Whose it is, as `user@partition`.
    pub assignees: Vec<String>,
    /// It belongs to a group: somebody takes it on first.
    #[serde(default)]
    pub is_group: bool,
    /// Who took it on.
    #[serde(default)]
    pub accepted_by: Option<String>,
    /// It takes a password to sign it.
    #[serde(default)]
    pub is_signed: bool,
    /// Its own ways on: keys and labels.
    #[serde(default = "ways")]
    pub ways: Vec<(String, String)>,
    /// Which round it is in.
    #[serde(default = "first")]
    pub status_key: String,
    /// How many more rounds there are.
    #[serde(default)]
    pub rounds: u32,
    /// Whether it is done.
    #[serde(default)]
    pub is_done: bool,
    /// What was done with it.
    #[serde(default)]
    pub activities: Vec<Activity>,
}

/// One thing that was done with a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// The way on that was taken.
    pub action: String,
    /// What was said with it.
    pub comment: String,
    /// By whom.
    pub user: String,
    /// When, in words.
    pub date: String,
}

/// Who is signed in, and every task.
#[derive(Default)]
pub(super) struct Workflows {
    /// Tokens and tickets, and whose they are.
    signed_in: HashMap<String, String>,
    given: u64,
    pub(super) tasks: BTreeMap<Place, Workflow>,
}

fn one() -> String {
    "1".to_owned()
}

fn first() -> String {
    "s1".to_owned()
}

fn ways() -> Vec<(String, String)> {
    [("Approve", "Approve"), ("Reject", "Reject")].map(|(key, label)| (key.into(), label.into())).to_vec()
}

/// `POST /otdsws/oauth2/token`: a token for the client, or for somebody else.
pub(super) async fn token(State(stage): State<Arc<Stage>>, body: String) -> Response {
    super::look(&stage, |systems| {
        let form = form(&body);
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let whose = match field("grant_type") {
            "urn:ietf:params:oauth:grant-type:token-exchange" => Some(field("subject_token")),
            "client_credentials" => Some(field("client_id")),
            _ => None,
        };
        let is_known =
            !field("client_id").is_empty() && !["", super::WRONG].contains(&field("client_secret"));
        let Some(whose) = whose.filter(|_| is_known) else {
            return (StatusCode::UNAUTHORIZED, Json(json!({ "error": "invalid_client" }))).into_response();
        };
        let token = systems.workflows.sign_in(whose);
        let granted = json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3_600 });
        Json(granted).into_response()
    })
    .await
}

/// `GET /api/v1/auth`: a ticket for a token.
pub(super) async fn ticket(State(stage): State<Arc<Stage>>, headers: HeaderMap) -> Response {
    super::look(&stage, |systems| {
        let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let person = systems.workflows.signed_in.get(bearer.trim_start_matches("Bearer ")).cloned();
        match person {
            Some(person) => [("otcsticket", systems.workflows.sign_in(&person))].into_response(),
            None => StatusCode::UNAUTHORIZED.into_response(),
        }
    })
    .await
}

/// `GET /api/v1/forms/processes/tasks/update`: what may be done with a task.
pub(super) async fn choices(
    State(stage): State<Arc<Stage>>,
    headers: HeaderMap,
    Query(asked): Query<HashMap<String, String>>,
) -> Response {
    let id = |name: &str| asked.get(name).cloned().unwrap_or_default();
    let place = (id("process_id"), id("subprocess_id"), id("task_id"));
    super::look(&stage, |systems| match systems.workflows.open(&headers, &place) {
        Ok((person, task)) => Json(task.form(&person)).into_response(),
        Err(refused) => *refused,
    })
    .await
}

/// `GET /api/v2/mobilegroupassignment/check/…`: whether the task is a group's.
pub(super) async fn check(
    State(stage): State<Arc<Stage>>,
    headers: HeaderMap,
    Path((task, process, subprocess)): Path<(String, String, String)>,
) -> Response {
    let place = (process, subprocess, task);
    super::look(&stage, |systems| match systems.workflows.open(&headers, &place) {
        Ok((_, task)) => {
            let is_open = task.is_group && task.accepted_by.is_none();
            Json(json!({ "results": { "isGroupTask": is_open } })).into_response()
        }
        Err(refused) => *refused,
    })
    .await
}

/// `POST /api/v2/mobilegroupassignment/accept/…`: somebody takes the task on.
pub(super) async fn accept(
    State(stage): State<Arc<Stage>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    headers: HeaderMap,
    Path((task, process, subprocess)): Path<(String, String, String)>,
) -> Response {
    let place = (process, subprocess, task);
    super::write(&stage, &cut, |systems| match systems.workflows.open(&headers, &place) {
        Ok((person, task)) if task.accepted_by.as_ref().is_none_or(|by| *by == person) => {
            task.accepted_by = Some(person);
            Json(json!({ "results": { "accept": true } })).into_response()
        }
        Ok(_) => problem(StatusCode::BAD_REQUEST, "The task was accepted by somebody else"),
        Err(refused) => *refused,
    })
    .await
}

/// `PUT /api/v2/processes/{p}/subprocesses/{s}/tasks/{t}`: a way on is taken.
pub(super) async fn send_on(
    State(stage): State<Arc<Stage>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    headers: HeaderMap,
    Path(place): Path<Place>,
    body: String,
) -> Response {
    let form = form(&body);
    super::write(&stage, &cut, |systems| systems.send_on(&headers, &place, &form)).await
}

/// `GET /api/v2/processes/{p}/subprocesses/{s}/activities`: what was done.
pub(super) async fn activities(
    State(stage): State<Arc<Stage>>,
    headers: HeaderMap,
    Path((process, subprocess)): Path<(String, String)>,
) -> Response {
    super::look(&stage, |systems| {
        if systems.workflows.who(&headers).is_none() {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let tasks = systems.workflows.tasks.values();
        let tasks = tasks.filter(|task| task.process_id == process && task.subprocess_id == subprocess);
        let entry = |activity: &Activity| {
            json!({
                "action": activity.action, "comment": activity.comment, "date": activity.date,
                "action_properties": { "event": activity.action, "label": activity.action },
                "user_id": activity.user,
            })
        };
        let entries: Vec<Value> = tasks.flat_map(|task| task.activities.iter().rev().map(entry)).collect();
        Json(json!({ "results": entries })).into_response()
    })
    .await
}

/// `GET /api/v2/workflows/status`: the tasks that are open to whoever asks.
pub(super) async fn status(
    State(stage): State<Arc<Stage>>,
    headers: HeaderMap,
    Query(asked): Query<HashMap<String, String>>,
) -> Response {
    super::look(&stage, |systems| {
        let Some(person) = systems.workflows.who(&headers) else {
            return StatusCode::UNAUTHORIZED.into_response();
        };
        let on_time = asked.get("wstatus").is_some_and(|status| status == "ontime");
        let row = |task: &Workflow| {
            json!({ "data": { "wfstatus": {
                "process_id": task.process_id, "subprocess_id": task.subprocess_id, "task_id": task.task_id,
                "status_key": task.status_key, "wf_name": task.title,
            }}})
        };
        let tasks = systems.workflows.tasks.values().filter(|task| on_time && task.is_open_to(&person));
        Json(json!({ "results": tasks.map(row).collect::<Vec<_>>() })).into_response()
    })
    .await
}

pub(super) fn unsigned() -> Response {
    let detail = json!({ "error": "Invalid credentials", "errorDetail": "662306821" });
    (StatusCode::BAD_REQUEST, Json(detail)).into_response()
}

fn problem(status: StatusCode, words: &str) -> Response {
    (status, Json(json!({ "error": words }))).into_response()
}

// === impl Systems ===

impl Systems {
    fn send_on(&mut self, headers: &HeaderMap, place: &Place, form: &BTreeMap<String, String>) -> Response {
        let (person, task) = match self.workflows.open(headers, place) {
            Ok(open) => open,
            Err(refused) => return *refused,
        };
        let way = match (form.get("custom_action"), form.get("action")) {
            (Some(key), None) if task.ways.iter().any(|(way, _)| way == key) => key.clone(),
            (None, Some(key)) if ["SendOn", "SendForReview", "Delegate"].contains(&key.as_str()) => {
                key.clone()
            }
            _ => return problem(StatusCode::BAD_REQUEST, "Invalid action"),
        };
        if task.is_signed {
            return unsigned();
        }
        if task.is_group && task.accepted_by.as_ref() != Some(&person) {
            return problem(StatusCode::BAD_REQUEST, "The task is not accepted");
        }
        let comment = form.get("comment").cloned().unwrap_or_default();
        let round = task.status_key.clone();
        task.take(&way, &person, &comment);
        let process: i64 = task.process_id.parse().unwrap_or_default();
        let (p, s, t) = place;
        self.apply("xecm", format!("{p}/{s}/{t}#{round}"), &way, (&person, &mark_in(&comment)));
        let results = json!({ "custom_message": null, "process_id": process });
        Json(json!({ "links": {}, "results": results })).into_response()
    }

    /// Somebody else is quicker: the task is decided before the next write.
    pub(super) fn be_quicker(&mut self) {
        self.flows.is_late = true;
        let open: Vec<Place> = {
            let tasks = self.workflows.tasks.iter().filter(|(_, task)| !task.is_done);
            tasks.map(|(place, _)| place.clone()).collect()
        };
        for place in open {
            let Some(task) = self.workflows.tasks.get_mut(&place) else { continue };
            let round = task.status_key.clone();
            task.take("Reject", "somebody@else", "");
            let (p, s, t) = place;
            self.apply("xecm", format!("{p}/{s}/{t}#{round}"), "Reject", ("somebody@else", ""));
        }
    }
}

// === impl Workflows ===

impl Workflows {
    /// Its place: process, subprocess, task.
    pub(super) fn add(&mut self, mut task: Workflow) -> (String, String, String) {
        if task.subprocess_id.is_empty() {
            task.subprocess_id.clone_from(&task.process_id);
        }
        let place = (task.process_id.clone(), task.subprocess_id.clone(), task.task_id.clone());
        self.tasks.insert(place.clone(), task);
        place
    }

    /// Nobody is signed in any more.
    pub(super) fn sign_out(&mut self) {
        self.signed_in.clear();
    }

    /// Whether a ticket or a token is somebody's.
    pub(super) fn knows(&self, ticket: &str) -> bool {
        self.signed_in.contains_key(ticket)
    }

    pub(super) fn sign_in(&mut self, person: &str) -> String {
        self.given += 1;
        let ticket = format!("t-{}", self.given);
        self.signed_in.insert(ticket.clone(), person.to_owned());
        ticket
    }

    pub(super) fn who(&self, headers: &HeaderMap) -> Option<String> {
        let ticket = headers.get("otcsticket")?.to_str().ok()?;
        self.signed_in.get(ticket).cloned()
    }

    /// An open task of whoever asks.
    fn open(&mut self, headers: &HeaderMap, place: &Place) -> Result<(String, &mut Workflow), Box<Response>> {
        let refuse = |status, words: &str| Err(Box::new(problem(status, words)));
        let Some(person) = self.who(headers) else {
            return refuse(StatusCode::UNAUTHORIZED, "Authentication required");
        };
        match self.tasks.get_mut(place) {
            Some(task) if task.is_done => {
                let words = format!("Could not get a workflow for process {}", place.0);
                refuse(StatusCode::INTERNAL_SERVER_ERROR, &words)
            }
            Some(task) if task.is_open_to(&person) => Ok((person, task)),
            // What is forbidden and what is not there read the same.
            _ => refuse(StatusCode::BAD_REQUEST, "The item could not be accessed"),
        }
    }
}

// === impl Workflow ===

impl Workflow {
    fn is_open_to(&self, person: &str) -> bool {
        !self.is_done && self.assignees.iter().any(|assignee| assignee == person)
    }

    fn form(&self, person: &str) -> Value {
        let choice = |(key, label): &(String, String)| json!({ "key": key, "label": label });
        let actions = [("SendOn", "Send On"), ("SendForReview", "Send for Review")];
        let actions = actions.map(|(key, label)| json!({ "key": key, "label": label }));
        let mine = self.accepted_by.as_deref() == Some(person);
        json!({ "data": {
            "title": self.title, "instructions": "", "priority": 50, "comments_on": true,
            "actions": actions, "custom_actions": self.ways.iter().map(choice).collect::<Vec<_>>(),
            "member_accept": self.is_group && !mine, "authentication": self.is_signed, "message": "",
        }})
    }

    /// A way on is taken: a question brings the task back, anything else ends the round.
    fn take(&mut self, way: &str, person: &str, comment: &str) {
        let date = crate::clock::now().to_string();
        let (action, comment, user) = (way.to_owned(), comment.to_owned(), person.to_owned());
        self.activities.push(Activity { action, comment, user, date });
        if way == "SendForReview" {
            return;
        }
        self.accepted_by = None;
        if self.rounds == 0 {
            self.is_done = true;
            return;
        }
        self.rounds -= 1;
        let round = self.status_key.trim_start_matches('s').parse::<u32>().unwrap_or(1);
        self.status_key = format!("s{}", round + 1);
    }
}
