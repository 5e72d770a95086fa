//! Links: a page behind a signed link, on which the person who was asked answers.
//!
//! `GET /a/{token}` shows who is asked, what, until when and the answers, or how it ended; and changes nothing:
//! scanners and prefetching browsers follow links. `POST` answers, once who clicks is known to be who was asked: by a proxy
//! that signs people in, or, weaker, by the link itself and a tick. The subject lane decides, as for every
//! answer; the page waits a moment for what it says.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::page::{Asks, moment, page, refusal};
use super::{Door, Refused, id_of};
use crate::clock::{self, Tick};
use crate::event::Timestamp;
use crate::event::answer::{Proof, VerifiedBy};
use crate::event::notice::Verb;
use crate::push::reply_token::{ANSWERABLE, Claims};
use crate::store::decisions::Counted;
use crate::topology::Rule;
use crate::topology::plan::Stop;

/// What a proxy proves itself with.
const PROXY_SECRET: &str = "x-bugle-proxy-secret";
/// How long a page waits for the decision.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// How it is known who clicks.
#[derive(Debug, Clone)]
pub enum Identity {
    /// A proxy signs people in and says who it is.
    Proxy {
        /// The header with the user id.
        header: String,
        /// Whose people they are.
        tenant: Tenant,
        /// What it shares with the proxy.
        secret: SecretString,
    },
    /// Whoever has the link is taken to be the person in it, once they say so.
    Link,
}

/// Whose people sign in at a proxy: an id is unique in its tenant, and says nothing without it.
#[derive(Debug, Clone)]
pub enum Tenant {
    /// All are this one's.
    One(String),
    /// The proxy says it in this header.
    Said(String),
}

/// What the page's form sends.
#[derive(Debug, Deserialize)]
pub(super) struct Clicked {
    verb: String,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    me: String,
}

/// A link that is in order, opened by whom it is for.
struct Opened<'d> {
    claims: Claims,
    rule: Arc<Rule>,
    generation: u64,
    identity: &'d Identity,
}

/// `GET /a/{token}`.
pub(super) async fn show(
    State(door): State<Door>,
    Path(token): Path<String>,
    Query(asked): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let opened = match door.open(&token, &headers, clock::now()) {
        Ok(opened) => opened,
        Err(refused) => return refusal(&refused),
    };
    let wanted = asked.get("verb").and_then(|verb| verb_of(verb));
    let asks = Asks {
        claims: &opened.claims,
        source: opened.rule.source.title(),
        verbs: opened.rule.offered_on(opened.claims.occasion),
        wanted,
        says_who: matches!(opened.identity, Identity::Link),
    };
    match door.over(&token, &opened.claims, &opened.rule) {
        Some(over) => page(StatusCode::OK, asks.title(), &asks.over(&over)),
        None => page(StatusCode::OK, asks.title(), &asks.form()),
    }
}

/// `POST /a/{token}`.
pub(super) async fn decide(
    State(door): State<Door>,
    Path(token): Path<String>,
    headers: HeaderMap,
    clicked: Result<Form<Clicked>, FormRejection>,
) -> Response {
    match door.decide(&token, &headers, clicked).await {
        Ok(response) => response,
        Err(refused) => refusal(&refused),
    }
}

fn verb_of(word: &str) -> Option<Verb> {
    Verb::ALL.into_iter().find(|verb| verb.as_str() == word)
}

/// Who answered, when and what.
fn said((counted, verb): (Counted, &str), claims: &Claims) -> String {
    let who = if counted.person == claims.person { "you" } else { &counted.person };
    format!("already answered by {who} at {}: {}", moment(counted.at), verb.replace('_', " "))
}

/// Compares without telling by its time how much was right.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

// === impl Identity ===

impl Identity {
    /// Whether whoever sends this may be the person of the token.
    fn check(&self, claims: &Claims, headers: &HeaderMap) -> Result<(), Refused> {
        let Self::Proxy { header, tenant, secret } = self else { return Ok(()) };
        let value = |name: &str| headers.get(name).map(axum::http::HeaderValue::as_bytes).unwrap_or_default();
        let is_proxy = same(value(PROXY_SECRET), secret.expose_secret().as_bytes());
        let who = value(header);
        if !is_proxy || who.is_empty() {
            let told = "you are not signed in; open the link where you sign in";
            return Err(Refused::new(StatusCode::UNAUTHORIZED, "not_signed_in", told));
        }
        let theirs = match tenant {
            Tenant::One(tenant) => tenant.as_bytes(),
            Tenant::Said(header) => value(header),
        };
        if who == claims.person.as_bytes() && theirs == claims.tenant.as_bytes() {
            return Ok(());
        }
        let told = "somebody else was asked; only they can answer by this link";
        Err(Refused::new(StatusCode::FORBIDDEN, "not_you", told))
    }
}

// === impl Door ===

impl Door {
    /// A link in order, in the hands of the person it is for.
    fn open(&self, token: &str, headers: &HeaderMap, now: Timestamp) -> Result<Opened<'_>, Refused> {
        let identity = self.links.as_deref().ok_or_else(|| {
            Refused::new(StatusCode::NOT_FOUND, "no_links", "answers by link are not switched on here")
        })?;
        let claims = self.keys.verify(token, now).map_err(Refused::of)?;
        identity.check(&claims, headers)?;
        let (rule, generation) = self.rule_of(&claims)?;
        Ok(Opened { claims, rule, generation, identity })
    }

    async fn decide(
        &self,
        token: &str,
        headers: &HeaderMap,
        clicked: Result<Form<Clicked>, FormRejection>,
    ) -> Result<Response, Refused> {
        let now = clock::now();
        let Opened { claims, rule, generation, identity } = self.open(token, headers, now)?;
        let bad = |told: String| Refused::new(StatusCode::BAD_REQUEST, "bad_request", told);
        let Form(clicked) = clicked.map_err(|why| Refused::unread(why.status(), why.body_text()))?;
        if matches!(identity, Identity::Link) && clicked.me != "yes" {
            return Err(bad(format!("confirm that you are {}: go back and tick the box", claims.person)));
        }
        let verb = verb_of(&clicked.verb).ok_or_else(|| Refused::no_answer(&clicked.verb))?;
        let comment = Some(clicked.comment.trim()).filter(|comment| !comment.is_empty());
        let response_id = id_of(token, verb);
        let ended = || self.board.answers.of(&claims.tenant, &response_id, &claims.person);
        let before = ended().map_or(0, |decision| decision.number);
        let verified_by = match identity {
            Identity::Proxy { .. } => VerifiedBy::Oidc,
            Identity::Link => VerifiedBy::SignedLink,
        };
        let proof = Proof { verified_by, client_id: None };
        self.accept((&claims, &proof), (&rule, generation), (verb, comment, &response_id), now).await?;
        let (began, mut looks) = (Tick::now(), tokio::time::interval(LOOK_EVERY));
        while began.elapsed() < PATIENCE {
            looks.tick().await;
            let Some(decision) = ended().filter(|decision| decision.number > before) else { continue };
            return match decision.refused {
                None => Ok(page(StatusCode::OK, "Thank you", &Asks::taken(&claims, verb, decision.at))),
                // Who clicks twice has answered once, and that is what they hear both times.
                Some(word) if word == "repeated" => {
                    Ok(page(StatusCode::OK, "Thank you", &Asks::taken_before(&claims, verb)))
                }
                Some(word) => Err(self.refused(&claims, &rule, &word)),
            };
        }
        Ok(page(StatusCode::ACCEPTED, "Your answer is being decided", &Asks::waiting(verb)))
    }

    /// What the subject lane's word means to the person.
    fn refused(&self, claims: &Claims, rule: &Rule, word: &str) -> Refused {
        let (status, code, told) = match word {
            "already_answered" => {
                (StatusCode::CONFLICT, "already_answered", self.who_was_first(claims, rule))
            }
            "closed" => {
                (StatusCode::GONE, "closed", "it is closed, and waits for no answer any more".to_owned())
            }
            "superseded" => {
                (StatusCode::GONE, "superseded", "it was asked anew since; answer the newer push".to_owned())
            }
            "expired" => (StatusCode::GONE, "expired", "the time to answer has passed".to_owned()),
            "not_asked" => (
                StatusCode::FORBIDDEN,
                "not_asked",
                "you do not belong to those who are asked now".to_owned(),
            ),
            "not_offered" => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "not_offered",
                "this answer is not offered here".to_owned(),
            ),
            _ => (StatusCode::GONE, "rule_removed", "the rule that asked is gone".to_owned()),
        };
        Refused::new(status, code, told)
    }

    fn who_was_first(&self, claims: &Claims, rule: &Rule) -> String {
        let first = self.decided(claims, rule).map(|first| said(first, claims));
        first.unwrap_or_else(|| "somebody answered already".to_owned())
    }

    /// The decision about the matter that this instance saw last.
    fn decided(&self, claims: &Claims, rule: &Rule) -> Option<(Counted, &'static str)> {
        let rules = self.rules.newest();
        // It may have been decided where another rule asked.
        let asking = std::iter::once(rule).chain(rules.deciding_with(rule));
        let counted = asking.filter_map(|rule| {
            let deciding = Verb::ALL.into_iter().filter(|verb| rule.stop(*verb) == Stop::All);
            let about = (claims.tenant.as_str(), claims.subject.as_str(), rule.id.as_str());
            self.board.answers.counted(about, deciding.map(Verb::as_str))
        });
        counted.max_by_key(|(first, _)| first.at)
    }

    /// How it ended, where nothing is waited for any more: somebody decided, or the person has said their word.
    fn over(&self, token: &str, claims: &Claims, rule: &Rule) -> Option<String> {
        // The token lives for so long after its push was cut at least: what was decided before was of another round.
        let of_this_round = |at: Timestamp| at + ANSWERABLE >= claims.expires_at;
        if let Some(first) = self.decided(claims, rule).filter(|(first, _)| of_this_round(first.at)) {
            return Some(said(first, claims));
        }
        let own = Verb::ALL.into_iter().filter(|verb| rule.stop(*verb) == Stop::Each).find_map(|verb| {
            let own = self.board.answers.of(&claims.tenant, &id_of(token, verb), &claims.person)?;
            own.refused.is_none().then_some((own.at, verb))
        });
        let (at, verb) = own?;
        Some(said((Counted { person: claims.person.clone(), at }, verb.as_str()), claims))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(tenant: &str) -> Claims {
        Claims {
            tenant: tenant.to_owned(),
            subject_partition: 0,
            subject: String::new(),
            rule: String::new(),
            conversation: 7,
            occasion: crate::event::Occasion::First,
            person: "ada".to_owned(),
            expires_at: Timestamp::default(),
            about: None,
        }
    }

    fn said(tenant: Tenant, of: &str, pairs: &[(&'static str, &'static str)]) -> Result<(), &'static str> {
        let identity =
            Identity::Proxy { header: "x-user".to_owned(), tenant, secret: "of many bytes".into() };
        let headers = pairs.iter().map(|(name, value)| {
            (axum::http::HeaderName::from_static(name), axum::http::HeaderValue::from_static(value))
        });
        identity.check(&claims(of), &headers.collect()).map_err(|refused| refused.code)
    }

    #[test]
    fn only_the_proxy_says_who_clicks() {
        let check = |pairs: &[(&'static str, &'static str)]| said(Tenant::One("acme".into()), "acme", pairs);
        assert_eq!(check(&[("x-user", "ada"), (PROXY_SECRET, "of many bytes")]), Ok(()));
        assert_eq!(check(&[("x-user", "bob"), (PROXY_SECRET, "of many bytes")]), Err("not_you"));
        assert_eq!(check(&[("x-user", "ada"), (PROXY_SECRET, "of many bytez")]), Err("not_signed_in"));
        assert_eq!(check(&[("x-user", "ada")]), Err("not_signed_in"));
        assert_eq!(check(&[(PROXY_SECRET, "of many bytes")]), Err("not_signed_in"));
    }

    #[test]
    fn the_same_id_in_another_tenant_is_somebody_else() {
        let ada = [("x-user", "ada"), (PROXY_SECRET, "of many bytes")];
        assert_eq!(said(Tenant::One("acme".into()), "globex", &ada), Err("not_you"));
        let header = || Tenant::Said("x-tenant".into());
        assert_eq!(said(header(), "acme", &ada), Err("not_you"), "the proxy does not say");
        assert_eq!(said(header(), "acme", &[ada[0], ada[1], ("x-tenant", "acme")]), Ok(()));
        assert_eq!(said(header(), "acme", &[ada[0], ada[1], ("x-tenant", "globex")]), Err("not_you"));
    }
}
