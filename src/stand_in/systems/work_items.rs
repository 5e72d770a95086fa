//! Work items: Developer Admin's side of an answer. A change is refused when the item is not what was seen.

use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::header::IF_MATCH;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::super::Stage;
use super::super::connection::Cut;

/// A work item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkItem {
    /// Its id.
    pub id: String,
    /// Its state, such as `open` or `approved`.
    pub state: String,
    /// What it is about.
    pub title: String,
    /// Who has it.
    pub assignee: Option<String>,
    /// How far it was escalated.
    pub escalation_level: i64,
    /// Its version.
    pub etag: String,
    /// The answers it has taken in.
    pub responses: Vec<Taken>,
}

/// An answer that a work item has taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The answer's id.
    pub response_id: String,
    /// Who answered.
    pub responder: String,
    /// What the item became.
    pub state: String,
}

#[derive(Deserialize)]
struct Change {
    response_id: String,
    responder: String,
    state: Option<String>,
    assignee: Option<String>,
    escalation_level: Option<i64>,
}

/// `GET /v1/work-items/{id}`.
pub(super) async fn read(State(stage): State<Arc<Stage>>, Path(id): Path<String>) -> Response {
    super::look(&stage, |systems| match systems.items.get(&id) {
        Some(item) => Json(item).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    })
    .await
}

/// `PATCH /v1/work-items/{id}`.
pub(super) async fn change(
    State(stage): State<Arc<Stage>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let seen = headers.get(IF_MATCH).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
    let change = match serde_json::from_str::<Change>(&body) {
        Ok(change) => change,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    super::write(&stage, &cut, |systems| {
        let Some(item) = systems.items.get_mut(&id) else { return StatusCode::NOT_FOUND.into_response() };
        if seen.is_some_and(|seen| seen != item.etag) {
            return StatusCode::PRECONDITION_FAILED.into_response();
        }
        item.take_in(&change);
        let (item, by) = (item.clone(), (change.responder.as_str(), change.response_id.as_str()));
        systems.apply("devadmin", id.clone(), &item.state, by);
        Json(item).into_response()
    })
    .await
}

// === impl WorkItem ===

impl WorkItem {
    fn take_in(&mut self, change: &Change) {
        if let Some(state) = &change.state {
            self.state.clone_from(state);
        }
        if change.assignee.is_some() {
            self.assignee.clone_from(&change.assignee);
        }
        self.escalation_level = change.escalation_level.unwrap_or(self.escalation_level);
        self.responses.push(Taken {
            response_id: change.response_id.clone(),
            responder: change.responder.clone(),
            state: self.state.clone(),
        });
        // Another version, whatever the first one was called.
        self.etag = format!("{}+{}", self.etag.split('+').next().unwrap_or_default(), self.responses.len());
    }
}
