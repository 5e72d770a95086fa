//! Marks: what the push service says on its own became of its jobs, and devices that are back.
//!
//! `POST /v1/push-status` takes a status as the status call answers it; it may come more than once. What is still on
//! its way is left for a later one. `POST /v1/devices` says that a person has a device again. Both want the token
//! that is shared with whoever calls them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64_simd::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::links::same;
use super::{Body, Door, Refused, whole};
use crate::broker::Outgoing;
use crate::clock;
use crate::event::receipt::Mark;
use crate::event::{Fact, Receipt};
use crate::flow::{OutputIds, devices};
use crate::push::status;
use crate::telemetry;

/// What is needed to take marks in.
#[derive(Clone)]
pub struct Marks {
    /// What whoever calls has to know.
    pub token: SecretString,
    /// The schemas that marks are written with.
    pub ids: OutputIds,
}

/// Somebody has a device again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Back {
    tenant: String,
    user_id: String,
}

/// `POST /v1/push-status`.
pub(super) async fn status(State(door): State<Door>, headers: HeaderMap, body: Body) -> Response {
    match whole(body) {
        Ok(body) => done(door.take_status(&headers, &body).await),
        Err(refused) => refused.into_response(),
    }
}

/// `POST /v1/devices`.
pub(super) async fn device(State(door): State<Door>, headers: HeaderMap, body: Body) -> Response {
    match whole(body) {
        Ok(body) => done(door.take_device(&headers, &body).await),
        Err(refused) => refused.into_response(),
    }
}

fn done(taken: Result<(), Refused>) -> Response {
    taken.map_or_else(IntoResponse::into_response, |()| StatusCode::NO_CONTENT.into_response())
}

// === impl Door ===

impl Door {
    async fn take_status(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refused> {
        let marks = self.caller(headers)?;
        let bad = |told: &str| Refused::new(StatusCode::BAD_REQUEST, "bad_request", told);
        let status =
            status::read(body).ok_or_else(|| bad("send the status of a job, as its status call answers"))?;
        if !status.is_over() && !status.is_complete {
            return Ok(());
        }
        let (tenant, rule) = status
            .reference
            .rsplit_once('/')
            .ok_or_else(|| bad("`customer_reference_base64` is not that of a batch of ours"))?;
        let (tenant, rule, job_id) = (tenant.to_owned(), rule.to_owned(), status.job_id.clone());
        let (delivered, mut undelivered) = status.marks();
        // What is on its way is told by another status.
        undelivered.retain(|push| push.mark != Mark::Unknown);
        let gone = undelivered.iter().filter(|push| push.mark == Mark::NoDevice);
        let mut records: Vec<Outgoing> =
            gone.map(|push| devices::gone(marks.ids.members, &tenant, &push.user_id)).collect();
        let mut counts = vec![(None, u64::from(delivered))];
        counts.extend(undelivered.iter().map(|push| (Some(push.mark), 1)));
        let receipt = Receipt {
            tenant,
            rule,
            at: clock::now(),
            job_id: Some(job_id.clone()),
            delivered,
            undelivered,
            ..Receipt::default()
        };
        records.push(devices::mark(marks.ids.receipt, &job_id, &receipt));
        self.write(records, "the status").await?;
        for (mark, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            let fact = Fact::Marked { mark, count };
            telemetry::meters::count(&fact);
            self.board.note(&fact);
        }
        Ok(())
    }

    async fn take_device(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refused> {
        self.caller(headers)?;
        let back: Back = serde_json::from_slice(body).map_err(|error| {
            let told = format!("{error}; send {{\"tenant\": \"…\", \"user_id\": \"…\"}}");
            Refused::new(StatusCode::BAD_REQUEST, "bad_request", told)
        })?;
        self.write(vec![devices::back(&back.tenant, &back.user_id)], "the device").await
    }

    /// Who calls knows the token, as a bearer or as the password of a basic sign-in.
    fn caller(&self, headers: &HeaderMap) -> Result<Arc<Marks>, Refused> {
        let refused = |told: &str| Refused::new(StatusCode::UNAUTHORIZED, "unauthorized", told);
        let marks =
            self.marks.clone().ok_or_else(|| refused("set `answers.status_token` to take this in"))?;
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let password = |basic: &str| {
            let pair = String::from_utf8(STANDARD.decode_to_vec(basic).ok()?).ok()?;
            Some(pair.split_once(':')?.1.to_owned())
        };
        let given = match given.split_once(' ') {
            Some(("Bearer", token)) => Some(token.to_owned()),
            Some(("Basic", pair)) => password(pair),
            _ => None,
        };
        match given {
            Some(given) if same(given.as_bytes(), marks.token.expose_secret().as_bytes()) => Ok(marks),
            _ => Err(refused("send the token of `answers.status_token` as a bearer, or as a password")),
        }
    }
}
