//! Submit: the calls of the push service's contract, with the faults they are told to have.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Query, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64_simd::STANDARD;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::connection::Cut;
use super::contract::{self, Refusal};
use super::faults::{Fate, Faults};
use super::ledger::{Accepted, Job, job_id, reference_number};
use super::{Stage, lock};
use crate::clock;
use crate::event::Timestamp;
use crate::push::mra::MOST_BODY_BYTES;

/// `POST /mra/v1/utils/parser`.
pub(super) async fn submit(
    State(stage): State<Arc<Stage>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let body = axum::body::to_bytes(body, MOST_BODY_BYTES).await.ok();
    if stage.is_shut() {
        cut.now();
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let (fate, faults, delay) = stage.roll();
    let signed_in = lock(&stage.gate).admit(&headers, faults.unauthorized_after);
    let result = admitted(&stage, fate, signed_in, || accept(&stage, &faults, body));
    wait(delay).await;
    match (fate, result) {
        (Fate::CutBeforeAnswer, Ok(_)) => {
            cut.now();
            StatusCode::OK.into_response()
        }
        (Fate::CutInsideAnswer, Ok(number)) => half_of(&json!({ "job_id": job_id(number) }).to_string()),
        (_, Ok(number)) => Json(json!({ "job_id": job_id(number) })).into_response(),
        (_, Err(refusal)) => refuse(&refusal, faults.retry_after.as_deref()),
    }
}

#[allow(clippy::disallowed_methods, reason = "a slow service is what the stand-in is asked to play")]
pub(super) async fn wait(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

/// Counts a request and what becomes of it: refused by the sign-in or by its fate, or taken.
pub(super) fn admitted<T>(
    stage: &Stage,
    fate: Fate,
    signed_in: Result<(), Refusal>,
    take: impl FnOnce() -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    lock(&stage.ledger).request();
    let fated = || match fate {
        Fate::RateLimited => Err(Refusal::new(429, "RATE_LIMITED", "too many messages in a minute")),
        Fate::ServerError => Err(Refusal::new(500, "INTERNAL", "the gateway failed")),
        Fate::Unavailable => Err(Refusal::new(503, "UNAVAILABLE", "the gateway is busy")),
        Fate::Served | Fate::CutBeforeAnswer | Fate::CutInsideAnswer => Ok(()),
    };
    let result = signed_in.and_then(|()| fated()).and_then(|()| take());
    match &result {
        Ok(_) => stage.version.send_modify(|version| *version += 1),
        Err(refusal) => lock(&stage.ledger).refused(refusal),
    }
    result
}

fn accept(stage: &Stage, faults: &Arc<Faults>, body: Option<Bytes>) -> Result<u64, Refusal> {
    let too_large = || Refusal::new(413, "PAYLOAD_TOO_LARGE", format!("of {MOST_BODY_BYTES} bytes allowed"));
    let inner = contract::open(&body.ok_or_else(too_large)?)?;
    let at = clock::now();
    let (submit, texts) = contract::read(&inner, &faults.poison)?;
    let accepted = {
        let mut ledger = lock(&stage.ledger);
        let accepted = ledger.accept(&submit, texts, (at, faults));
        ledger.content(accepted, &inner);
        accepted
    };
    drop(submit);
    match accepted {
        Accepted::New(number) => {
            lock(&stage.ledger).keep(Job { number, at, inner, faults: Arc::clone(faults) });
            Ok(number)
        }
        Accepted::Known(number) => Ok(number),
    }
}

pub(super) fn refuse(refusal: &Refusal, retry_after: Option<&str>) -> Response {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let Refusal { code, message, field, .. } = refusal;
    let body = Json(json!({ "error": { "code": code, "message": message, "field": field } }));
    may_wait(refusal, retry_after, (status, body).into_response())
}

/// Says when to come back, where a refusal does.
pub(super) fn may_wait(refusal: &Refusal, retry_after: Option<&str>, response: Response) -> Response {
    match retry_after.filter(|_| matches!(refusal.status, 429 | 503)) {
        Some(after) => ([(RETRY_AFTER, after)], response).into_response(),
        None => response,
    }
}

/// The headers of a whole answer and half of its body, then the end of the connection.
pub(super) fn half_of(whole: &str) -> Response {
    let half = Bytes::copy_from_slice(&whole.as_bytes()[..whole.len() / 2]);
    let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let body = Body::from_stream(stream::iter([Ok(half), Err(broken)]));
    let headers = [(CONTENT_LENGTH, whole.len().to_string()), (CONTENT_TYPE, "application/json".to_owned())];
    (headers, body).into_response()
}

/// `POST /tenants/{tenant}/oauth2/token`.
pub(super) async fn token(State(stage): State<Arc<Stage>>, headers: HeaderMap, form: String) -> Response {
    let token = lock(&stage.gate).token(&headers).filter(|_| form.contains("grant_type=client_credentials"));
    match token {
        Some(token) => {
            Json(json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 })).into_response()
        }
        None => {
            let detail = json!({ "errorcode": "oauth.v2.InvalidApiKey" });
            let body = json!({ "fault": { "faultstring": "Invalid ApiKey", "detail": detail } });
            (StatusCode::UNAUTHORIZED, Json(body)).into_response()
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    job_id: String,
}

/// `GET /mra/v1/outbound/push/status`.
pub(super) async fn status(
    State(stage): State<Arc<Stage>>,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Response {
    if let Err(refusal) = lock(&stage.gate).admit(&headers, 0) {
        return refuse(&refusal, None);
    }
    let ledger = lock(&stage.ledger);
    match ledger.job(&wanted.job_id).and_then(Status::of) {
        Some(status) => Json(status).into_response(),
        None => refuse(&Refusal::new(404, "NOT_FOUND", "no such job is kept"), None),
    }
}

#[derive(Serialize)]
struct Status {
    job_id: String,
    entry_time: String,
    job_state: [&'static str; 2],
    billing_code_base64: String,
    customer_reference_base64: String,
    deliveries: Vec<Delivered>,
}

#[derive(Serialize)]
struct Delivered {
    ref_base64: String,
    push: String,
    delivery_attempts: [Attempt; 1],
    events: Events,
}

#[derive(Serialize)]
struct Attempt {
    state: &'static str,
    first_attempt: String,
}

#[derive(Serialize)]
struct Events {
    push_delivery_events: [Event; 1],
}

#[derive(Serialize)]
struct Event {
    event_time: String,
    status: &'static str,
    message: &'static str,
    tags: [String; 0],
}

// === impl Status ===

impl Status {
    fn of(job: &Job) -> Option<Self> {
        // What was accepted can be read, so `None` is never seen.
        let (submit, _) = contract::read(&job.inner, &[]).ok()?;
        let delivered = |destination: &contract::Destination<'_>| {
            let failed = job.faults.fails(reference_number(&destination.reference));
            Delivered::of(destination, job.at, failed)
        };
        Some(Self {
            job_id: job_id(job.number),
            entry_time: job.at.to_string(),
            job_state: ["Complete", "Posted"],
            billing_code_base64: STANDARD.encode_to_string(&submit.options.billing_code),
            customer_reference_base64: STANDARD.encode_to_string(&submit.options.customer_reference),
            deliveries: submit.destinations.iter().map(delivered).collect(),
        })
    }
}

// === impl Delivered ===

impl Delivered {
    fn of(destination: &contract::Destination<'_>, at: Timestamp, failed: bool) -> Self {
        let (state, status, message) =
            if failed { ("Error", "Error", "UNREGISTERED") } else { ("Sent", "Confirmed", "") };
        let event = Event { event_time: at.to_string(), status, message, tags: [] };
        Self {
            ref_base64: STANDARD.encode_to_string(destination.reference.as_bytes()),
            push: destination.push.clone().into_owned(),
            delivery_attempts: [Attempt { state, first_attempt: at.to_string() }],
            events: Events { push_delivery_events: [event] },
        }
    }
}
