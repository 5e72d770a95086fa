//! Submit: the calls of the push service's contract, with the faults they are told to have.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64_simd::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::contract::{self, Refusal};
use super::faults::Faults;
use super::hook;
use super::knock::Knock;
use super::ledger::{Accepted, Job, job_id, reference_number};
use super::{Stage, lock};
use crate::clock;
use crate::event::Timestamp;

/// `POST /mra/v1/utils/parser`.
pub(super) async fn submit(knock: Knock) -> Response {
    let signed_in = lock(&knock.stage.gate).admit(&knock.headers, knock.faults.unauthorized_after);
    let result = knock.admit(signed_in, |body| accept(&knock.stage, &knock.faults, body));
    let said = result.map(|number| json!({ "job_id": job_id(number) }).to_string());
    knock.answer(said, refuse).await
}

fn accept(stage: &Arc<Stage>, faults: &Arc<Faults>, body: &Bytes) -> Result<u64, Refusal> {
    let inner = contract::open(body)?;
    let at = clock::now();
    let (submit, texts) =
        contract::read(&inner, &faults.poison).map_err(|refusal| match &faults.poison_code {
            Some(code) if refusal.message == contract::POISONED => {
                Refusal { code: code.clone().into(), ..refusal }
            }
            _ => refusal,
        })?;
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
            hook::tell(stage, number);
            Ok(number)
        }
        Accepted::Known(number) => Ok(number),
    }
}

pub(super) fn refuse(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let Refusal { code, message, field, .. } = refusal;
    let body = Json(json!({ "error": { "code": code, "message": message, "field": field } }));
    (status, body).into_response()
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
    #[serde(default)]
    job_id: String,
    message_id: Option<String>,
}

/// `GET /mra/v1/outbound/push/status`.
pub(super) async fn status(
    State(stage): State<Arc<Stage>>,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Response {
    if let Err(refusal) = lock(&stage.gate).admit(&headers, 0) {
        return refuse(&refusal);
    }
    if lock(&stage.dice).fails_status() {
        return refuse(&Refusal::new(500, "INTERNAL", "the gateway failed"));
    }
    let mut ledger = lock(&stage.ledger);
    let made = wanted.message_id.as_deref().and_then(|id| ledger.made(id));
    let is_made = made.is_some();
    let id = made.unwrap_or(wanted.job_id);
    match ledger.job(&id).and_then(Status::of) {
        Some(status) => Json(status).into_response(),
        // Long ago, but it is known that it was taken.
        None if is_made => Json(json!({ "job_id": id })).into_response(),
        None => refuse(&Refusal::new(404, "NOT_FOUND", "no such job is kept")),
    }
}

/// The status of a job that is kept.
pub(super) fn status_of(stage: &Stage, number: u64) -> Option<Value> {
    let status = lock(&stage.ledger).job(&job_id(number)).and_then(Status::of)?;
    serde_json::to_value(status).ok()
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
        let age = clock::now().since(job.at).to_duration();
        let is_pending = age.as_secs_f64() < job.faults.pending_seconds;
        // What was accepted can be read, so `None` is never seen.
        let (submit, _) = contract::read(&job.inner, &[]).ok()?;
        let delivered = |destination: &contract::Destination<'_>| {
            let number = reference_number(&destination.reference);
            let stands = match (job.faults.fails(number), job.faults.bounces(number)) {
                _ if is_pending => ("InProcess", "", ""),
                (true, _) => ("Error", "Error", "UNREGISTERED"),
                (_, true) => ("Error", "Error", "INTERNAL"),
                _ => ("Sent", "Confirmed", ""),
            };
            Delivered::of(destination, job.at, stands)
        };
        Some(Self {
            job_id: job_id(job.number),
            entry_time: job.at.to_string(),
            job_state: [if is_pending { "Delivering" } else { "Complete" }, "Posted"],
            billing_code_base64: STANDARD.encode_to_string(&submit.options.billing_code),
            customer_reference_base64: STANDARD.encode_to_string(&submit.options.customer_reference),
            deliveries: submit.destinations.iter().map(delivered).collect(),
        })
    }
}

// === impl Delivered ===

impl Delivered {
    fn of(
        destination: &contract::Destination<'_>,
        at: Timestamp,
        (state, status, message): (&'static str, &'static str, &'static str),
    ) -> Self {
        let event = Event { event_time: at.to_string(), status, message, tags: [] };
        Self {
            ref_base64: STANDARD.encode_to_string(destination.reference.as_bytes()),
            push: destination.push.clone().into_owned(),
            delivery_attempts: [Attempt { state, first_attempt: at.to_string() }],
            events: Events { push_delivery_events: [event] },
        }
    }
}
