//! Followups: reminders on a node in Content Server, whose states only go on.

use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::Stage;
use super::super::connection::Cut;
use super::words::form;

/// A reminder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Followup {
    /// Its id.
    pub(super) id: String,
    /// The node it is on.
    pub(super) node: String,
    /// 1 open, -2 in progress, 2 complete.
    #[serde(default = "open")]
    pub(super) status: i64,
}

fn open() -> i64 {
    1
}

/// `GET /api/v2/nodes/{id}/followups`.
pub(super) async fn read(
    State(stage): State<Arc<Stage>>,
    headers: HeaderMap,
    Path(node): Path<String>,
) -> Response {
    super::look(&stage, |systems| {
        if systems.workflows.who(&headers).is_none() {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let own = systems.followups.values().filter(|followup| followup.node == node);
        let own = own.map(|followup| {
            json!({ "data": { "followup": { "followup_id": followup.id, "status": followup.status } } })
        });
        Json(json!({ "results": own.collect::<Vec<_>>() })).into_response()
    })
    .await
}

/// `PUT /api/v2/nodes/{id}/followups/{followup}`.
pub(super) async fn change(
    State(stage): State<Arc<Stage>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    headers: HeaderMap,
    Path((node, id)): Path<(String, String)>,
    body: String,
) -> Response {
    let status = form(&body).get("status").and_then(|status| status.parse::<i64>().ok());
    super::write(&stage, &cut, |systems| {
        let Some(person) = systems.workflows.who(&headers) else {
            return StatusCode::UNAUTHORIZED.into_response();
        };
        let followup = systems.followups.get_mut(&(node.clone(), id.clone()));
        let (Some(followup), Some(status @ (-2 | 2))) = (followup, status) else {
            return (StatusCode::BAD_REQUEST, Json(json!({ "error": "Invalid status or followup" })))
                .into_response();
        };
        followup.status = status;
        systems.apply("bws", format!("{node}/followup {id}"), &status.to_string(), (&person, ""));
        Json(json!({ "results": {} })).into_response()
    })
    .await
}
