//! Pages: each person's inbox as their phone would show it, and who got something lately.
//!
//! The pages allow no script but their own, and read without it, too: it only keeps them current. How
//! anything is spelled in HTML is not decided here.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::{Stage, html, lock, story};

const PEOPLE: &str = include_str!("pages/people.html");
const INBOX: &str = include_str!("pages/inbox.html");
const HEAD: &str = include_str!("pages/head.html");
const STYLE: &str = include_str!("pages/style.css");
const SCRIPT: &str = include_str!("pages/live.js");

/// Only what comes from here, and no script or style inside a page.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// The most people of the list.
const MOST_PEOPLE: usize = 100;
/// A page is told of changes at most so often, however many pushes arrive.
const PACE: Duration = Duration::from_millis(200);

#[derive(Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    q: String,
}

/// `GET /`.
pub(super) async fn people(State(stage): State<Arc<Stage>>, Query(search): Query<Search>) -> Response {
    let [totals, list] = people_parts(&stage, &search.q);
    let events = format!("/events?q={}", html::percent(&search.q));
    let filled = html::fill(
        PEOPLE,
        &[
            ("head", &head("Inboxes")),
            ("search", &html::escape(&search.q)),
            ("clock", &story::clock(&stage, "/")),
            ("story", story::guide(&stage)),
            ("events", &html::escape(&events)),
            ("totals", &totals),
            ("list", &list),
        ],
    );
    page(filled)
}

/// `GET /events`.
pub(super) async fn people_events(State(stage): State<Arc<Stage>>, Query(search): Query<Search>) -> Response {
    follow(stage, move |stage| people_parts(stage, &search.q))
}

/// `GET /inbox/{person}`.
pub(super) async fn inbox(State(stage): State<Arc<Stage>>, Path(person): Path<String>) -> Response {
    let [totals, list] = inbox_parts(&stage, &person);
    let (clock, wishes) =
        (story::clock(&stage, &format!("/inbox/{}", html::percent(&person))), story::quiet(&stage, &person));
    let (name, realm) = html::split_name(&person);
    let events = format!("/inbox/{}/events", html::percent(&person));
    let filled = html::fill(
        INBOX,
        &[
            ("head", &head(name)),
            ("name", &html::escape(name)),
            ("realm", &html::escape(realm)),
            ("initials", &html::escape(&html::initials(name))),
            ("hue", &html::hue(&person)),
            ("events", &html::escape(&events)),
            ("clock", &clock),
            ("wishes", &wishes),
            ("totals", &totals),
            ("list", &list),
        ],
    );
    page(filled)
}

/// `GET /inbox/{person}/events`.
pub(super) async fn inbox_events(State(stage): State<Arc<Stage>>, Path(person): Path<String>) -> Response {
    follow(stage, move |stage| inbox_parts(stage, &person))
}

/// `GET /style.css`.
pub(super) async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

/// `GET /live.js`.
pub(super) async fn script() -> Response {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT).into_response()
}

/// The head of every page.
pub(super) fn head(title: &str) -> String {
    html::fill(HEAD, &[("title", &html::escape(title))])
}

pub(super) fn page(html: String) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, html).into_response()
}

/// Where a page's stream stands.
struct Follower<F> {
    stage: Arc<Stage>,
    parts: F,
    versions: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    pace: tokio::time::Interval,
    sent: [String; 2],
}

/// The parts of a page, sent whenever they have changed: first the totals, then the list.
pub(super) fn follow<F>(stage: Arc<Stage>, parts: F) -> Response
where
    F: Fn(&Stage) -> [String; 2] + Send + 'static,
{
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut versions = stage.version.subscribe();
    // What came between the page and its stream must be sent, too.
    versions.mark_changed();
    let closing = stage.closing.subscribe();
    let follower = Follower { stage, parts, versions, closing, pace, sent: Default::default() };
    Sse::new(changes(follower)).keep_alive(KeepAlive::default()).into_response()
}

fn changes<F>(follower: Follower<F>) -> impl Stream<Item = Result<Event, std::convert::Infallible>>
where
    F: Fn(&Stage) -> [String; 2] + Send + 'static,
{
    stream::unfold(follower, |mut follower| async move {
        loop {
            tokio::select! {
                _ = follower.closing.wait_for(|closing| *closing) => return None,
                changed = follower.versions.changed() => changed.ok()?,
            }
            follower.pace.tick().await;
            let parts = (follower.parts)(&follower.stage);
            if parts != follower.sent {
                let event = Event::default().data(parts.concat());
                follower.sent = parts;
                return Some((Ok(event), follower));
            }
        }
    })
}

fn people_parts(stage: &Stage, wanted: &str) -> [String; 2] {
    let ledger = lock(&stage.ledger);
    let (totals, readers) = (ledger.totals(), ledger.readers(wanted, MOST_PEOPLE));
    drop(ledger);
    let list = if readers.is_empty() {
        let why = if wanted.is_empty() {
            "No push has arrived yet. This page shows the first one the moment it does."
        } else {
            "Nobody with this name has got a push lately."
        };
        format!(r#"<li class="empty" id="empty">{why}</li>"#)
    } else {
        readers.iter().map(html::person_row).collect()
    };
    [html::totals(&totals), format!(r#"<ul id="list">{list}</ul>"#)]
}

fn inbox_parts(stage: &Stage, person: &str) -> [String; 2] {
    let mut ledger = lock(&stage.ledger);
    let (mut pushes, account) = (ledger.open_inbox(person), ledger.account(person).cloned());
    let tokens =
        pushes.iter().flatten().map(|push| ledger.token_of(person, push.arrival).unwrap_or_default());
    let tokens: Vec<String> = tokens.collect();
    drop(ledger);
    for (push, token) in pushes.iter_mut().flatten().zip(&tokens) {
        let host = stage.host.get().map(AsRef::as_ref);
        push.answered = push.sent.as_ref().map(|sent| sent.words(token, host));
    }
    // What asks for a decision is not buried under what is only told.
    pushes.iter_mut().for_each(|pushes| pushes.sort_by_key(|push| !push.asks()));
    let offers = story::offers(stage, person, pushes.as_deref().unwrap_or_default());
    let total = account.map_or(0, |account| account.pushes);
    let list = match pushes {
        Some(pushes) => pushes.iter().map(|push| html::card(push, &offers)).collect(),
        None if total > 0 => {
            r#"<li class="empty" id="empty">These pushes were let go to make room for newer ones of others.</li>"#
                .to_owned()
        }
        None => r#"<li class="empty" id="empty">All quiet. What arrives shows up here at once.</li>"#.to_owned(),
    };
    let noun = if total == 1 { "push" } else { "pushes" };
    let totals = format!(r#"<p id="totals">{} {noun}</p>"#, html::thousands(total));
    [
        totals,
        format!(
            r#"<ol id="list" aria-live="polite" aria-label="Pushes: what asks for a decision, then the others, newest first">{list}</ol>"#
        ),
    ]
}
