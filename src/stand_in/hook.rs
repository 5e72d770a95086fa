//! Hook: whoever asked for it is told the status of each job, as the status call would answer it.
//!
//! At least once: until the other side says that it has it, and twice where it is told to.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::knock::wait;
use super::submit::{refuse, status_of};
use super::{Stage, lock};

/// How long the other side may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries, and how many there are.
const AGAIN: Duration = Duration::from_millis(200);
const MOST_TRIES: u32 = 50;

/// Where statuses go; a name and a password in it sign in.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Hook {
    url: String,
}

/// `POST /mra/v1/outbound/push/webhook`.
pub(super) async fn set(
    State(stage): State<Arc<Stage>>,
    headers: HeaderMap,
    Json(hook): Json<Hook>,
) -> Response {
    change(&stage, &headers, |place| *place = Some(hook))
}

/// `DELETE /mra/v1/outbound/push/webhook`.
pub(super) async fn unset(State(stage): State<Arc<Stage>>, headers: HeaderMap) -> Response {
    change(&stage, &headers, |place| *place = None)
}

/// `GET /mra/v1/outbound/push/webhook`.
pub(super) async fn get(State(stage): State<Arc<Stage>>, headers: HeaderMap) -> Response {
    change(&stage, &headers, |_| {})
}

fn change(stage: &Stage, headers: &HeaderMap, change: impl FnOnce(&mut Option<Hook>)) -> Response {
    if let Err(refusal) = lock(&stage.gate).admit(headers, 0) {
        return refuse(&refusal);
    }
    let mut hook = lock(&stage.hook);
    change(&mut hook);
    match &*hook {
        Some(hook) => Json(hook.clone()).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

/// Tells the hook of a job, when it is through.
pub(super) fn tell(stage: &Arc<Stage>, number: u64) {
    let Some(hook) = lock(&stage.hook).clone() else { return };
    let stage = Arc::clone(stage);
    tokio::spawn(async move {
        let faults = Arc::clone(&lock(&stage.dice).faults);
        wait(Duration::try_from_secs_f64(faults.pending_seconds).unwrap_or_default()).await;
        let Some(status) = status_of(&stage, number) else { return };
        for _ in 0..=u32::from(faults.told_twice) {
            until_told(&stage, &hook, &status).await;
        }
    });
}

async fn until_told(stage: &Stage, hook: &Hook, status: &Value) {
    for _ in 0..MOST_TRIES {
        let sent = stage.phone.http().post(&hook.url).timeout(PATIENCE).json(status).send().await;
        if sent.is_ok_and(|answer| answer.status().is_success()) {
            return;
        }
        wait(AGAIN).await;
    }
}
