//! `xConnector`: an answer becomes a response of the flow that asked.
//!
//! `POST {url}/flows/{flow}/responses` with the answer's id as `Idempotency-Key`: the same answer sent again is
//! the same response, so that looking whether it was carried out and carrying it out are one call.

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::{Value as Json, json};

use super::Service;
use super::http::{Http, part, send};
use crate::event::write_back::{Came, WriteBack};

pub(super) async fn call(http: &Http, service: &Service, answer: &WriteBack) -> Result<Came, Came> {
    let flow = answer.at("flow_id").ok_or(Came::Dead("write-back-incomplete"))?;
    let url = format!("{}/flows/{}/responses", service.url.trim_end_matches('/'), part(flow));
    let id = HeaderValue::from_str(&answer.response_id).map_err(|_| Came::Dead("write-back-incomplete"))?;
    let request = with_token(http.request(Method::POST, &url), service)?
        .header("idempotency-key", id)
        .header(CONTENT_TYPE, "application/json")
        .body(body(answer).to_string());
    let said = send(request).await.map_err(super::http::Lost::perhaps)?;
    Ok(match said.status {
        200..=299 => Came::Confirmed,
        404 => Came::Refused("gone"),
        409 => Came::Refused("already_decided"),
        _ => said.perhaps(),
    })
}

/// Signs a request with the service's token.
pub(super) fn with_token(
    request: reqwest::RequestBuilder,
    service: &Service,
) -> Result<reqwest::RequestBuilder, Came> {
    let Some(token) = &service.token else { return Ok(request) };
    let mut header = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
        .map_err(|_| Came::TryLater(None, "not-signed-in"))?;
    header.set_sensitive(true);
    Ok(request.header(AUTHORIZATION, header))
}

fn body(answer: &WriteBack) -> Json {
    let mut body = json!({
        "response_id": answer.response_id,
        "decision": answer.verb.as_str(),
        "responder": answer.responder,
        "responded_at": answer.responded_at.to_string(),
        "action_ref": answer.action_ref.as_deref().or(answer.at("action_id")),
        "execution_id": answer.at("execution_id"),
        "step": answer.at("step"),
        "comment": answer.comment,
    });
    for (name, value) in &answer.set {
        body[name.as_str()] = json!(value);
    }
    body
}
