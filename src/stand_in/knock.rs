//! Knock: a submit at one of the push service's doors, with the fate it has drawn, and how it is answered.
//!
//! Every transport has a door of its own; what happens before and after what it wants is the same at each.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::connection::Cut;
use super::contract::Refusal;
use super::faults::{Fate, Faults};
use super::{Stage, lock};
use crate::push::mra::MOST_BODY_BYTES;

/// Somebody wants something taken.
pub(super) struct Knock {
    pub(super) stage: Arc<Stage>,
    pub(super) headers: HeaderMap,
    pub(super) faults: Arc<Faults>,
    /// `None` when it is larger than anything that is taken.
    body: Option<Bytes>,
    cut: Cut,
    fate: Fate,
    delay: Duration,
}

// === impl Knock ===

impl FromRequest<Arc<Stage>> for Knock {
    type Rejection = Response;

    async fn from_request(request: Request, stage: &Arc<Stage>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let cut = ConnectInfo::<Cut>::from_request_parts(&mut parts, stage).await;
        let ConnectInfo(cut) = cut.map_err(IntoResponse::into_response)?;
        let body = axum::body::to_bytes(body, MOST_BODY_BYTES).await.ok();
        if stage.is_shut() {
            cut.now();
            return Err(StatusCode::SERVICE_UNAVAILABLE.into_response());
        }
        let (fate, faults, delay) = stage.roll();
        Ok(Self { stage: Arc::clone(stage), headers: parts.headers, faults, body, cut, fate, delay })
    }
}

impl Knock {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// What came, empty where it was too large.
    pub(super) fn bytes(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }

    /// Counts a request and what becomes of it: refused by the sign-in, by its fate or its size, or taken.
    pub(super) fn admit<T>(
        &self,
        signed_in: Result<(), Refusal>,
        take: impl FnOnce(&Bytes) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        lock(&self.stage.ledger).request();
        let fated = || match self.fate {
            Fate::RateLimited => Err(Refusal::new(429, "RATE_LIMITED", "too many messages in a minute")),
            Fate::ServerError => Err(Refusal::new(500, "INTERNAL", "the gateway failed")),
            Fate::Unavailable => Err(Refusal::new(503, "UNAVAILABLE", "the gateway is busy")),
            Fate::Served | Fate::CutBeforeAnswer | Fate::CutInsideAnswer => Ok(()),
        };
        let too_large =
            || Refusal::new(413, "PAYLOAD_TOO_LARGE", format!("of {MOST_BODY_BYTES} bytes allowed"));
        let body = || self.body.as_ref().ok_or_else(too_large);
        let result = signed_in.and_then(|()| fated()).and_then(|()| body()).and_then(take);
        match &result {
            Ok(_) => self.stage.version.send_modify(|version| *version += 1),
            Err(refusal) => lock(&self.stage.ledger).refused(refusal),
        }
        result
    }

    /// Answers in its time, whole, in part or not at all. `said`: the body of an acceptance, and how a refusal
    /// is said.
    pub(super) async fn answer(
        self,
        result: Result<String, Refusal>,
        refuse: impl FnOnce(&Refusal) -> Response,
    ) -> Response {
        wait(self.delay).await;
        match (self.fate, result) {
            (Fate::CutBeforeAnswer, Ok(_)) => {
                self.cut.now();
                StatusCode::OK.into_response()
            }
            (Fate::CutInsideAnswer, Ok(whole)) => half_of(&whole),
            (_, Ok(whole)) => ([(CONTENT_TYPE, "application/json")], whole).into_response(),
            (_, Err(refusal)) => {
                let when = self.faults.retry_after.as_deref().filter(|_| matches!(refusal.status, 429 | 503));
                match when {
                    Some(after) => ([(RETRY_AFTER, after)], refuse(&refusal)).into_response(),
                    None => refuse(&refusal),
                }
            }
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a slow service is what the stand-in is asked to play")]
pub(super) async fn wait(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

/// The headers of a whole answer and half of its body, then the end of the connection.
fn half_of(whole: &str) -> Response {
    let half = Bytes::copy_from_slice(&whole.as_bytes()[..whole.len() / 2]);
    let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let body = Body::from_stream(stream::iter([Ok(half), Err(broken)]));
    let headers = [(CONTENT_LENGTH, whole.len().to_string()), (CONTENT_TYPE, "application/json".to_owned())];
    (headers, body).into_response()
}
