//! Books: the ledger, the references and the faults as JSON and text, for tests and scripts.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};

use super::{Account, Faults, Stage, Totals, lock};

/// The most people of one answer.
const MOST_PEOPLE: usize = 1_000;
/// How many lines of references are written at once.
const LINES: usize = 10_000;

#[derive(Deserialize)]
pub(super) struct Wanted {
    person: Option<String>,
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Books {
    #[serde(flatten)]
    totals: Totals,
    per_person: Vec<Account>,
}

/// `GET /ledger`.
pub(super) async fn ledger(State(stage): State<Arc<Stage>>, Query(wanted): Query<Wanted>) -> Response {
    let ledger = lock(&stage.ledger);
    let per_person = match wanted.person {
        Some(person) => ledger.account(&person).cloned().into_iter().collect(),
        None => {
            let limit = wanted.limit.unwrap_or(100).min(MOST_PEOPLE);
            ledger.accounts().iter().skip(wanted.offset).take(limit).cloned().collect()
        }
    };
    Json(Books { totals: ledger.totals(), per_person }).into_response()
}

/// `GET /refs`.
pub(super) async fn refs(State(stage): State<Arc<Stage>>) -> Response {
    if lock(&stage.ledger).refs(0, 0).is_none() {
        return (StatusCode::NOT_FOUND, "references are not kept; start the stand-in with --keep-refs\n")
            .into_response();
    }
    let lines = stream::unfold(0, move |from| {
        let lines = lock(&stage.ledger).refs(from, LINES).filter(|lines| !lines.is_empty());
        async move { lines.map(|lines| (Ok::<_, std::io::Error>(lines), from + LINES)) }
    });
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(lines)).into_response()
}

/// `GET /faults`.
pub(super) async fn faults(State(stage): State<Arc<Stage>>) -> Json<Faults> {
    Json(Faults::clone(&lock(&stage.dice).faults))
}

/// `POST /faults`: all of them anew; what is not said is not at fault.
pub(super) async fn set_faults(State(stage): State<Arc<Stage>>, body: String) -> Response {
    match serde_json::from_str::<Faults>(&body) {
        Ok(faults) => {
            stage.set_faults(faults.clone());
            Json(faults).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}
