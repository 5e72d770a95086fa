//! Flows: xConnector's side of an answer. The first decision about an action stands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::super::Stage;
use super::super::connection::Cut;

/// The flows there are, and what was answered.
#[derive(Default)]
pub(super) struct Flows {
    /// Empty: every flow is one.
    pub(super) known: BTreeSet<String>,
    /// The keys of all responses taken in.
    keys: BTreeSet<String>,
    /// By flow and action, the key of the decision.
    decided: BTreeMap<(String, String), String>,
    /// Somebody else has just decided.
    pub(super) is_late: bool,
}

#[derive(Deserialize)]
struct Given {
    state: String,
    responder: String,
    #[serde(default)]
    action_ref: Option<String>,
    #[serde(default)]
    execution_id: Option<String>,
}

/// `POST /flows/{flow}/responses`.
pub(super) async fn respond(
    State(stage): State<Arc<Stage>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    Path(flow): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
    let Ok(response) = serde_json::from_str::<Given>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if key.is_empty() {
        return StatusCode::BAD_REQUEST.into_response();
    }
    super::write(&stage, &cut, |systems| {
        let flows = &mut systems.flows;
        if !flows.known.is_empty() && !flows.known.contains(&flow) {
            return StatusCode::NOT_FOUND.into_response();
        }
        if flows.keys.contains(&key) {
            return StatusCode::ACCEPTED.into_response();
        }
        let action = response.action_ref.or(response.execution_id).unwrap_or_default();
        if matches!(response.state.as_str(), "approved" | "rejected") {
            let at = (flow.clone(), action.clone());
            if std::mem::take(&mut flows.is_late) || flows.decided.contains_key(&at) {
                return StatusCode::CONFLICT.into_response();
            }
            flows.decided.insert(at, key.clone());
        }
        flows.keys.insert(key.clone());
        systems.apply("xconnector", format!("{flow}/{action}"), &response.state, (&response.responder, &key));
        StatusCode::ACCEPTED.into_response()
    })
    .await
}
