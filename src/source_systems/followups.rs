//! Followups: a reminder of Content Server's on a node, moved on as the person who has seen it.
//!
//! Its states are numbers there, and only go on: 1 open, -2 in progress, 2 complete. To set one twice is to set it, so
//! that a write nobody knows the outcome of is looked at and, where it was lost, done again.

use reqwest::Method;
use serde_json::Value as Json;

use super::content_server::{Desk, refusal, text};
use super::http::{Lost, form, part};
use crate::event::write_back::{Ask, Came};

const OPEN: &str = "1";
const IN_PROGRESS: &str = "-2";
const COMPLETE: &str = "2";

/// Moves the reminder on to `wanted`, or looks how it stands.
pub(super) async fn status(desk: &Desk<'_>, ask: Ask, wanted: &str) -> Result<Came, Came> {
    let incomplete = Came::Dead("write-back-incomplete");
    let answer = desk.answer;
    let node = answer.at("node.id").or_else(|| answer.at("workspace.id")).ok_or(incomplete)?;
    let id = answer.at("followup_id").ok_or(incomplete)?;
    let wanted = match wanted {
        "in_progress" => IN_PROGRESS,
        "complete" => COMPLETE,
        _ => return Err(incomplete),
    };
    let path = format!("/api/v2/nodes/{}/followups", part(node));
    let said = desk.read(&path).await?;
    if !said.is_success() {
        return refusal(&said).map_or_else(|| Err(said.not_now()), Ok);
    }
    let said = said.json();
    let Some(status) = status_of(&said, id) else { return Ok(Came::Refused("gone")) };
    match (status.as_str(), ask) {
        (status, _) if status == wanted => return Ok(Came::Confirmed),
        // Who saw it when it was done already has nothing to begin.
        (COMPLETE, _) => return Ok(Came::Refused("already_decided")),
        (OPEN | IN_PROGRESS, Ask::Look) => return Ok(Came::Open),
        (OPEN | IN_PROGRESS, Ask::Write) => {}
        _ => return Ok(Came::Refused("conflict")),
    }
    let body = form(&[("status", wanted)]);
    let said = desk.ask(Method::PUT, &format!("{path}/{}", part(id)), Some(body)).await;
    let said = said.map_err(|failed| failed.came(Lost::perhaps))?;
    match said.status {
        200..=299 => Ok(Came::Confirmed),
        _ => Ok(refusal(&said).unwrap_or_else(|| said.perhaps())),
    }
}

/// How a reminder stands, in a node's list of them.
fn status_of(said: &Json, id: &str) -> Option<String> {
    let entries = said["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    let entries = entries.iter().map(|entry| match &entry["data"]["followup"] {
        Json::Null => &entry["followup"],
        followup => followup,
    });
    let ours = |followup: &&Json| text(&followup["followup_id"]).as_deref() == Some(id);
    entries.into_iter().find(ours).and_then(|followup| text(&followup["status"]))
}
