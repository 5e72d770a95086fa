//! Categories: the attributes of a node in Content Server, written with the token they were read with.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::Stage;
use super::super::connection::Cut;
use super::words::form;

/// A workspace, or any other node with categories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its id.
    pub id: String,
    /// Its attributes, such as `4711_2`.
    pub attributes: BTreeMap<String, String>,
    /// How often it was written.
    #[serde(default)]
    pub version: u64,
}

/// `GET /api/v2/nodes/{id}/categories/{category}/`.
pub(super) async fn read(
    State(stage): State<Arc<Stage>>,
    headers: HeaderMap,
    Path((id, category)): Path<(String, String)>,
) -> Response {
    super::look(&stage, |systems| {
        if systems.workflows.who(&headers).is_none() {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let Some(node) = systems.nodes.get(&id) else { return missing() };
        let own = node.attributes.iter().filter(|(name, _)| name.starts_with(&format!("{category}_")));
        let mut fields: Map<String, Value> = own.map(|(name, value)| (name.clone(), json!(value))).collect();
        fields.insert(token_field(&category), json!(node.version.to_string()));
        Json(json!({ "results": { "data": { "categories": fields } } })).into_response()
    })
    .await
}

/// `PUT /api/v2/nodes/{id}/categories/{category}/`.
pub(super) async fn change(
    State(stage): State<Arc<Stage>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    headers: HeaderMap,
    Path((id, category)): Path<(String, String)>,
    body: String,
) -> Response {
    let mut fields = form(&body);
    super::write(&stage, &cut, |systems| {
        let Some(person) = systems.workflows.who(&headers) else {
            return StatusCode::UNAUTHORIZED.into_response();
        };
        let Some(node) = systems.nodes.get_mut(&id) else { return missing() };
        if fields.remove(&token_field(&category)).is_some_and(|token| token != node.version.to_string()) {
            return StatusCode::CONFLICT.into_response();
        }
        node.version += 1;
        let what = fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
        node.attributes.extend(fields.clone());
        systems.apply("bws", id.clone(), &what, (&person, ""));
        Json(json!({ "results": {} })).into_response()
    })
    .await
}

fn token_field(category: &str) -> String {
    format!("{category}_1.metadata_token")
}

fn missing() -> Response {
    let words = "The item could not be accessed";
    (StatusCode::BAD_REQUEST, Json(json!({ "error": words }))).into_response()
}
