//! Answer: a button of an inbox is pressed, and the answer goes to Bugle as a device would send it.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Host, Stage, html, lock};

/// How long Bugle may take to write an answer down.
const PATIENCE: Duration = Duration::from_secs(20);

/// What sends answers on.
pub(super) struct Phone {
    url: Mutex<Option<String>>,
    http: reqwest::Client,
}

/// An answer as a device sends it.
#[derive(Debug, Clone, Serialize)]
pub struct Given<'g> {
    /// What the push brought along.
    pub reply_token: &'g str,
    /// The verb.
    pub answer: &'g str,
    /// What the person writes.
    pub comment: Option<&'g str>,
    /// The answer's own id.
    pub response_id: &'g str,
}

/// What became of sending an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sent {
    /// Bugle has written it down, under this id.
    Accepted {
        /// What was answered.
        words: String,
        /// The answer's id.
        response_id: String,
    },
    /// It was not taken.
    Not(String),
}

#[derive(Deserialize)]
pub(super) struct Pressed {
    push: u64,
    verb: String,
}

/// `POST /inbox/{person}/answer?push=7&verb=approve`.
pub(super) async fn press(
    State(stage): State<Arc<Stage>>,
    Path(person): Path<String>,
    Query(pressed): Query<Pressed>,
) -> Response {
    let token = lock(&stage.ledger).token_of(&person, pressed.push);
    let (Some(token), Some(url)) = (token, stage.phone.answers()) else {
        return (StatusCode::NOT_FOUND, "there is no such push, or nobody who hears answers\n")
            .into_response();
    };
    // Who presses is signed in, as in the app: where Bugle asks the gateway, it hears whose the button is.
    let session = lock(&stage.sessions).of(&person);
    let said = stage.phone.send((&url, &session), &token, &pressed.verb).await;
    lock(&stage.ledger).answered(&person, pressed.push, said);
    stage.version.send_modify(|version| *version += 1);
    Redirect::to(&format!("/inbox/{}", html::percent(&person))).into_response()
}

// === impl Phone ===

impl Phone {
    pub(super) fn new(url: Option<String>) -> io::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build().map_err(io::Error::other)?;
        Ok(Self { url: Mutex::new(url), http })
    }

    pub(super) const fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Where answers go; without it no button can be pressed.
    pub(super) fn answers(&self) -> Option<String> {
        lock(&self.url).clone()
    }

    pub(super) fn answer_to(&self, url: String) {
        *lock(&self.url) = Some(url);
    }

    fn request(&self, url: &str, body: &Value) -> reqwest::RequestBuilder {
        let address = format!("{}/v1/answers", url.trim_end_matches('/'));
        self.http.post(address).timeout(PATIENCE).json(body)
    }

    /// Sends an answer, and says why it was not taken in.
    pub(super) async fn give(&self, given: &Given<'_>) -> Result<Option<String>, String> {
        let url = self.answers().ok_or("nobody hears answers")?;
        let sent = self.request(&url, &json!(given)).send().await.map_err(|error| error.to_string())?;
        if sent.status() == StatusCode::ACCEPTED {
            return Ok(None);
        }
        let said: Value = sent.json().await.map_err(|error| error.to_string())?;
        Ok(said["error"]["code"].as_str().map(str::to_owned))
    }

    /// Sends an answer.
    async fn send(&self, (url, session): (&str, &str), token: &str, verb: &str) -> Sent {
        let answer = json!({ "reply_token": token, "answer": verb });
        let sent = self.request(url, &answer).header("otagtoken", session).send().await;
        let words = verb.replace('_', " ");
        match sent {
            Ok(response) if response.status() == StatusCode::ACCEPTED => {
                let said: Value = response.json().await.unwrap_or_default();
                Sent::Accepted {
                    words,
                    response_id: said["response_id"].as_str().unwrap_or_default().to_owned(),
                }
            }
            Ok(response) => {
                let status = response.status();
                let said: Value = response.json().await.unwrap_or_default();
                let code = said["error"]["code"].as_str().unwrap_or("no reason given").replace('_', " ");
                Sent::Not(format!("Not taken: {code} ({})", status.as_u16()))
            }
            Err(_) => Sent::Not("Not sent: Bugle does not answer".to_owned()),
        }
    }
}

// === impl Sent ===

impl Sent {
    /// What the card of the push with this token says. That it was accepted says nothing of whether it counts: who can
    /// know that is the host.
    pub(super) fn words(&self, token: &str, host: Option<&dyn Host>) -> String {
        match self {
            Self::Not(why) => why.clone(),
            Self::Accepted { words, response_id } => {
                match host.map(|host| host.decided(token, response_id)) {
                    None => format!("Accepted: {words}. Bugle decides whether it counts."),
                    Some(None) => format!("Accepted: {words}. It is being decided whether it counts."),
                    Some(Some(Ok(()))) => format!("Your answer counts: {words}"),
                    Some(Some(Err(why))) => format!("Your answer, {words}, does not count: {why}"),
                }
            }
        }
    }
}
