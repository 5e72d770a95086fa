//! Sessions: who is signed in at the AppWorks Gateway, and by which token.
//!
//! How a client signs in there is not written down anywhere public: here it is enough to say who it is.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;

use super::{Stage, lock};
use crate::event::hash128;

/// The sessions there are, by token.
#[derive(Default)]
pub(super) struct Sessions {
    by_token: HashMap<String, String>,
    opened: u64,
    /// How often it was asked whose one is.
    asked: u64,
}

#[derive(Deserialize)]
pub(super) struct SignsIn {
    user: String,
}

#[derive(Deserialize)]
pub(super) struct SignsOut {
    token: String,
}

// === impl Sessions ===

impl Sessions {
    /// The session of somebody who is signed in, or signs in now.
    pub(super) fn of(&mut self, user: &str) -> String {
        let open = self.by_token.iter().find(|(_, other)| *other == user);
        open.map(|(token, _)| token.clone()).unwrap_or_else(|| self.open(user))
    }

    /// Somebody signs in.
    fn open(&mut self, user: &str) -> String {
        self.opened += 1;
        let token = format!("otag-{:032x}", hash128([user.as_bytes(), &self.opened.to_le_bytes()]));
        self.by_token.insert(token.clone(), user.to_owned());
        token
    }
}

/// `GET /gateway/sessions`: how often it was asked whose one is.
pub(super) async fn asked(State(stage): State<Arc<Stage>>) -> Response {
    Json(json!({ "asked": lock(&stage.sessions).asked })).into_response()
}

/// `POST /gateway/sessions`: `{"user": "ada"}` signs in.
pub(super) async fn sign_in(State(stage): State<Arc<Stage>>, Json(who): Json<SignsIn>) -> Response {
    let token = lock(&stage.sessions).open(&who.user);
    Json(json!({ "token": token })).into_response()
}

/// `DELETE /gateway/sessions`: `{"token": "…"}` signs out.
pub(super) async fn sign_out(State(stage): State<Arc<Stage>>, Json(who): Json<SignsOut>) -> StatusCode {
    match lock(&stage.sessions).by_token.remove(&who.token) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}

/// `GET /deployments/auth/{app}/user`: whose session a token is.
pub(super) async fn user(State(stage): State<Arc<Stage>>, headers: HeaderMap) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let refused = |status: StatusCode, key: &str, message: &str| {
        let body = json!({ "key": key, "errorMessage": message, "entity": null, "status": status.as_u16() });
        (status, Json(body)).into_response()
    };
    if stage.app_key.as_ref().is_some_and(|key| key.expose_secret() != header("otagappkey")) {
        return refused(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "unknown otagAppKey");
    }
    let mut sessions = lock(&stage.sessions);
    sessions.asked += 1;
    let token = header("otagtoken");
    let Some(user) = sessions.by_token.get(token) else {
        return refused(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "unknown otagtoken");
    };
    let name = user.split('@').next().unwrap_or(user);
    let client = format!("{:016x}", hash128([token.as_bytes()]) >> 64);
    let who = json!({
        "clientID": client, "userID": user, "userName": name, "firstName": name, "lastName": "", "email": "",
        "admin": false, "external": false,
    });
    Json(who).into_response()
}
