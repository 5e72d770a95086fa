//! Live: the page that shows the flow, and the numbers it is drawn from.

use std::convert::Infallible;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;

use super::rates::{PerSecond, SAMPLE_EVERY};
use super::{Health, PAGE_HEADERS, Shared};
use crate::clock;
use crate::store::view::Snapshot;

const PAGE: &str = include_str!("pages/live.html");

/// What the page shows.
#[derive(Debug, Serialize)]
struct Flow {
    version: &'static str,
    inbox: Option<String>,
    health: Health,
    #[serde(flatten)]
    snapshot: Snapshot,
    per_second: PerSecond,
}

// === impl Flow ===

impl Flow {
    fn of(shared: &Shared) -> Self {
        let snapshot = shared.window.board.snapshot(clock::now());
        let per_second = shared.rates.until(&snapshot);
        let inbox = shared.window.inbox.clone();
        let health = Health::ready(&snapshot, shared.window.limits);
        Self { version: env!("CARGO_PKG_VERSION"), inbox, health, snapshot, per_second }
    }
}

pub(super) async fn page() -> Response {
    (PAGE_HEADERS, PAGE).into_response()
}

pub(super) async fn flow(State(shared): State<Shared>) -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(Flow::of(&shared))).into_response()
}

/// The flow once a second until the reader leaves or the process stops.
pub(super) async fn events(State(shared): State<Shared>) -> Response {
    let every = tokio::time::interval(SAMPLE_EVERY);
    let stream = stream::unfold((every, shared), |(mut every, mut shared)| async move {
        tokio::select! {
            _ = every.tick() => {}
            _ = shared.stopping.wait_for(|stopping| *stopping) => return None,
        }
        // A flow is numbers and short texts; it always becomes JSON.
        let event = Event::default().json_data(Flow::of(&shared)).ok()?;
        Some((Ok::<_, Infallible>(event), (every, shared)))
    });
    Sse::new(stream).keep_alive(KeepAlive::default()).into_response()
}
