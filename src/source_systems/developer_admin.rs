//! Developer Admin: an answer changes a work item, if it still is what the person saw.
//!
//! `PATCH {url}/v1/work-items/{id}` with `If-Match`; `GET` of the same says how it stands and which answers it
//! has taken in.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue, IF_MATCH};
use serde_json::{Value as Json, json};

use super::Service;
use super::http::{Http, Lost, part, send};
use super::xconnector::with_token;
use crate::event::write_back::{Ask, Came, WriteBack};

/// The fields of a work item that are numbers.
const NUMBERS: [&str; 1] = ["escalation_level"];

/// The states of a work item that somebody has decided.
const DECIDED: [&str; 2] = ["approved", "rejected"];

pub(super) async fn call(http: &Http, service: &Service, ask: Ask, answer: &WriteBack) -> Result<Came, Came> {
    // A change request is a work item that has the request's id.
    let item = answer.at("work_item.id").or(answer.at("request_id"));
    let item = item.ok_or(Came::Dead("write-back-incomplete"))?;
    let url = format!("{}/v1/work-items/{}", service.url.trim_end_matches('/'), part(item));
    if ask == Ask::Look {
        return look(http, service, (&url, answer)).await.map(|(came, _)| came);
    }
    let etag = match answer.at("work_item.etag") {
        Some(etag) => etag.to_owned(),
        // What the person saw had no version, so that it is compared here.
        None => match look(http, service, (&url, answer)).await? {
            (Came::Open, etag) => etag,
            (came, _) => return Ok(came),
        },
    };
    let mut request = with_token(http.request(Method::PATCH, &url), service)?
        .header(CONTENT_TYPE, "application/json")
        .body(body(answer).to_string());
    if !etag.is_empty() {
        let etag = HeaderValue::from_str(&etag).map_err(|_| Came::Dead("write-back-incomplete"))?;
        request = request.header(IF_MATCH, etag);
    }
    let said = send(request).await.map_err(Lost::perhaps)?;
    match said.status {
        200..=299 => Ok(Came::Confirmed),
        404 => Ok(Came::Refused("gone")),
        // Changed meanwhile: perhaps by an attempt before this one.
        409 | 412 => match look(http, service, (&url, answer)).await {
            Ok((Came::Confirmed, _)) => Ok(Came::Confirmed),
            Ok(_) => Ok(Came::Refused("conflict")),
            Err(_) => Err(Came::Unknown("not-read-back")),
        },
        _ => Ok(said.perhaps()),
    }
}

/// Whether the item has taken the answer in, or still is as the person saw it; and its version now.
async fn look(
    http: &Http,
    service: &Service,
    (url, answer): (&str, &WriteBack),
) -> Result<(Came, String), Came> {
    let request = with_token(http.request(Method::GET, url), service)?;
    let said = send(request).await.map_err(Lost::not_now)?;
    if said.status == 404 {
        return Ok((Came::Refused("gone"), String::new()));
    }
    if !said.is_success() {
        return Err(said.not_now());
    }
    let item = said.json();
    let etag = item["etag"].as_str().unwrap_or_default().to_owned();
    let ours = |taken: &Json| taken["response_id"] == answer.response_id.as_str();
    if item["responses"].as_array().is_some_and(|taken| taken.iter().any(ours)) {
        return Ok((Came::Confirmed, etag));
    }
    let is_as_seen = match (answer.at("work_item.etag"), answer.at("work_item.state")) {
        (Some(seen), _) => seen == etag,
        (None, Some(seen)) => item["state"] == seen,
        // Nothing was seen of how it stands: a decision is not put over another one.
        (None, None) if item["state"].as_str().is_some_and(|state| DECIDED.contains(&state)) => {
            return Ok((Came::Refused("already_decided"), etag));
        }
        (None, None) => true,
    };
    Ok((if is_as_seen { Came::Open } else { Came::Refused("conflict") }, etag))
}

fn body(answer: &WriteBack) -> Json {
    let mut body = json!({
        "response_id": answer.response_id,
        "responder": answer.responder,
        "comment": answer.comment,
    });
    for (name, value) in &answer.set {
        let number = NUMBERS.contains(&name.as_str()).then(|| value.parse::<i64>().ok()).flatten();
        body[name.as_str()] = number.map_or_else(|| json!(value), |number| json!(number));
    }
    body
}
