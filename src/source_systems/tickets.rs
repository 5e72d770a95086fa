//! Tickets: signing in to Content Server as the person who answered.
//!
//! OTDS gives a token for them to a client that may act for others, and Content Server a ticket for the token.
//! Tickets are kept for a while; one that Content Server no longer knows is fetched anew, by one of those who
//! hold it. Neither is ever formatted or logged.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use secrecy::ExposeSecret;
use tokio::sync::Mutex;

use super::ContentServer;
use super::http::{Http, Lost, form, send};
use crate::clock::Tick;
use crate::event::Span;
use crate::event::write_back::Came;

/// A ticket lives for 30 minutes where nobody has changed that.
const KEPT: Duration = Duration::from_secs(20 * 60);
/// The most people whose tickets are kept; the next one's begins a new list.
const MOST: usize = 10_000;
/// How long nobody tries again when the client itself is refused.
const NOT_SIGNED_IN: Span = Span::from_secs(60);

/// The tickets of this process, by person.
#[derive(Default)]
pub(super) struct Tickets(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// Grows with every ticket, so that a late refusal of an old one does not cost the new one.
    number: u64,
    by_person: HashMap<String, (Pass, Tick)>,
}

/// What a request signs in with.
#[derive(Clone)]
pub(super) struct Pass {
    pub(super) ticket: HeaderValue,
    /// Which ticket it is.
    pub(super) number: u64,
}

// === impl Tickets ===

impl Tickets {
    /// A ticket of this person's, and not the one that was refused.
    ///
    /// # Errors
    /// What came of it that there is none.
    pub(super) async fn pass(
        &self,
        http: &Http,
        (server, person): (&ContentServer, &str),
        refused: Option<u64>,
    ) -> Result<Pass, Came> {
        let kept = self.0.lock().await.by_person.get(person).cloned();
        if let Some((pass, fetched)) = kept
            && fetched.elapsed() < KEPT
            && refused.is_none_or(|number| pass.number > number)
        {
            return Ok(pass);
        }
        let ticket = fetch(http, server, person).await?;
        let mut kept = self.0.lock().await;
        kept.number += 1;
        let pass = Pass { ticket, number: kept.number };
        if kept.by_person.len() >= MOST {
            kept.by_person.clear();
        }
        kept.by_person.insert(person.to_owned(), (pass.clone(), Tick::now()));
        Ok(pass)
    }
}

async fn fetch(http: &Http, server: &ContentServer, person: &str) -> Result<HeaderValue, Came> {
    let subject = match &server.partition {
        Some(partition) if !person.contains('@') => format!("{person}@{partition}"),
        _ => person.to_owned(),
    };
    let body = form(&[
        ("client_id", &server.client_id),
        ("client_secret", server.client_secret.expose_secret()),
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", "urn:opentext.com:oauth:string:user_id"),
        ("subject_token", &subject),
    ]);
    let url = format!("{}/otdsws/oauth2/token", server.otds_url.trim_end_matches('/'));
    let request = http.request(Method::POST, &url);
    let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
    let said = send(request).await.map_err(Lost::not_now)?;
    let granted = said.json();
    if !said.is_success() {
        // Who cannot sign in, because they are gone or disabled, has no task either.
        let denied = ["access_denied", "invalid_grant", "invalid_target"];
        let denied = granted["error"].as_str().is_some_and(|error| denied.contains(&error));
        return Err(match said.status {
            _ if denied => Came::Refused("not_assignee"),
            400..=403 => Came::TryLater(Some(NOT_SIGNED_IN), "not-signed-in"),
            _ => Came::TryLater(None, "no-token"),
        });
    }
    let token = granted["access_token"].as_str().unwrap_or_default();
    let mut bearer = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| Came::TryLater(Some(NOT_SIGNED_IN), "not-signed-in"))?;
    bearer.set_sensitive(true);
    let url = format!("{}/api/v1/auth", server.url.trim_end_matches('/'));
    let request = http.request(Method::GET, &url).header(AUTHORIZATION, bearer);
    let said = send(request).await.map_err(Lost::not_now)?;
    match said.headers.get("otcsticket") {
        Some(ticket) if said.is_success() => {
            let mut ticket = ticket.clone();
            ticket.set_sensitive(true);
            Ok(ticket)
        }
        _ if matches!(said.status, 400 | 401 | 403) => Err(Came::Refused("not_assignee")),
        _ => Err(Came::TryLater(None, "no-ticket")),
    }
}
