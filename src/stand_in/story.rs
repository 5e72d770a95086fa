//! Story: pages and buttons that a host stands behind: quiet hours and mutes, what became of a matter, and the
//! clock that can be put forward.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::backstage::{Entry, Wish};
use super::html::{self, Offers};
use super::inbox::Push;
use super::{Stage, lock, pages};
use crate::event::{Span, hash128};

const TRAIL: &str = include_str!("pages/trail.html");
const GUIDE: &str = include_str!("pages/guide.html");
/// By how much the clock can be put forward.
const SPANS: [(&str, &str); 3] = [("1h", "+1 h"), ("4h", "+4 h"), ("1d", "+1 day")];
/// The longest time the clock is put forward at once.
const MOST: Span = Span::from_secs(7 * 86_400);

/// Which push it is about.
#[derive(Deserialize)]
pub(super) struct About {
    push: u64,
}

/// A wish about what one push stands for.
#[derive(Deserialize)]
pub(super) struct Wished {
    push: Option<u64>,
    mute: Option<String>,
    hear: Option<String>,
}

/// The quiet hours as they stand in their form.
#[derive(Deserialize)]
pub(super) struct Hours {
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
}

/// How far the clock is put forward, and where to go then.
#[derive(Deserialize)]
pub(super) struct Forward {
    by: String,
    #[serde(default)]
    back: String,
}

pub(super) fn routes() -> Router<Arc<Stage>> {
    Router::new()
        .route("/inbox/{person}/wish", post(wish))
        .route("/inbox/{person}/trail", get(trail))
        .route("/inbox/{person}/trail/events", get(trail_events))
        .route("/clock", post(put_forward))
}

/// What can be done with the pushes of this inbox.
pub(super) fn offers(stage: &Stage, person: &str, pushes: &[Push]) -> Offers {
    let to = |what: &str| format!("/inbox/{}/{what}", html::percent(person));
    let host = stage.host.get().filter(|_| !pushes.is_empty());
    let wishes = host.and_then(|host| host.wishes(&lock(&stage.ledger).token_of_newest(person)?));
    Offers {
        answer: stage.phone.answers().map(|_| to("answer")),
        trail: host.map(|_| to("trail")),
        wish: wishes.as_ref().map(|_| to("wish")),
        muted: wishes.map(|wishes| wishes.muted).unwrap_or_default(),
    }
}

/// The bar with the clock; nothing where nobody has one.
pub(super) fn clock(stage: &Stage, back: &str) -> String {
    let Some(host) = stage.host.get() else { return String::new() };
    let button = |(by, words): &(&str, &str)| {
        let back = html::percent(back);
        format!(
            r#"<form method="post" action="/clock?by={by}&amp;back={back}"><button>{words}</button></form>"#
        )
    };
    let buttons: String = SPANS.iter().map(button).collect();
    format!(
        r#"<nav class="clock" aria-label="Time-lapse"><p>It is {}</p>{buttons}</nav>"#,
        html::moment(host.now())
    )
}

/// What there is to see; nothing where nobody plays it.
pub(super) fn guide(stage: &Stage) -> &'static str {
    if stage.host.get().is_some() { GUIDE } else { "" }
}

/// The form for quiet hours; nothing where nobody hears of them.
pub(super) fn quiet(stage: &Stage, person: &str) -> String {
    let token = lock(&stage.ledger).token_of_newest(person);
    let wishes = stage.host.get().zip(token).and_then(|(host, token)| host.wishes(&token));
    let Some(wishes) = wishes else { return String::new() };
    let (from, to) = wishes.quiet.clone().unwrap_or_default();
    let says = match &wishes.quiet {
        Some((from, to)) => format!("Quiet from {} to {}", html::escape(from), html::escape(to)),
        None => "No quiet hours".to_owned(),
    };
    format!(
        r#"<details class="wishes"><summary>{says}</summary><form method="post" action="/inbox/{}/wish"><label>from <input type="time" name="from" value="{}"></label><label>to <input type="time" name="to" value="{}"></label><button>Set quiet hours</button><p>Empty: none. What is critical comes at any hour; the rest waits until they are over.</p></form></details>"#,
        html::percent(person),
        html::escape(&from),
        html::escape(&to),
    )
}

/// `POST /inbox/{person}/wish`.
async fn wish(
    State(stage): State<Arc<Stage>>,
    Path(person): Path<String>,
    Query(wished): Query<Wished>,
    Form(hours): Form<Hours>,
) -> Response {
    let token = match wished.push {
        Some(push) => lock(&stage.ledger).token_of(&person, push),
        None => lock(&stage.ledger).token_of_newest(&person),
    };
    let (Some(token), Some(host)) = (token, stage.host.get().cloned()) else { return nobody() };
    let wish = match (wished.mute, wished.hear) {
        (Some(category), _) => Wish::Mute(category),
        (None, Some(category)) => Wish::Hear(category),
        (None, None) if hours.from.is_empty() && hours.to.is_empty() => Wish::Quiet(None),
        (None, None) => Wish::Quiet(Some((hours.from, hours.to))),
    };
    // It is written to Kafka before the page says so.
    let written = tokio::task::spawn_blocking(move || host.wish(&token, wish)).await;
    match written.unwrap_or_else(|error| Err(error.to_string())) {
        Ok(()) => {
            stage.version.send_modify(|version| *version += 1);
            Redirect::to(&format!("/inbox/{}", html::percent(&person))).into_response()
        }
        Err(why) => (StatusCode::BAD_REQUEST, format!("this wish cannot be kept: {why}\n")).into_response(),
    }
}

/// `POST /clock?by=1h`.
async fn put_forward(State(stage): State<Arc<Stage>>, Query(forward): Query<Forward>) -> Response {
    let Some(host) = stage.host.get().cloned() else { return nobody() };
    let by = forward.by.parse::<Span>().ok().filter(|by| *by > Span::ZERO && *by <= MOST);
    let Some(by) = by else {
        let told = format!("`by` takes a span such as 1h, at most {MOST}\n");
        return (StatusCode::BAD_REQUEST, told).into_response();
    };
    // The page that comes next shows what was due.
    _ = tokio::task::spawn_blocking(move || host.put_forward(by)).await;
    stage.version.send_modify(|version| *version += 1);
    let is_here = forward.back.starts_with('/') && !forward.back.starts_with("//");
    Redirect::to(if is_here { &forward.back } else { "/" }).into_response()
}

/// `GET /inbox/{person}/trail?push=7`.
async fn trail(
    State(stage): State<Arc<Stage>>,
    Path(person): Path<String>,
    Query(about): Query<About>,
) -> Response {
    let [totals, list] = trail_parts(&stage, &person, about.push);
    let name = html::percent(&person);
    let events = format!("/inbox/{name}/trail/events?push={}", about.push);
    let pushes = lock(&stage.ledger).open_inbox(&person).unwrap_or_default();
    let push = pushes.iter().find(|push| push.arrival == about.push);
    pages::page(html::fill(
        TRAIL,
        &[
            ("head", &pages::head("What became of it")),
            ("events", &html::escape(&events)),
            ("clock", &clock(&stage, &format!("/inbox/{name}/trail?push={}", about.push))),
            ("back", &format!("/inbox/{name}")),
            ("title", &html::escape(push.map_or("", |push| &push.title))),
            ("totals", &totals),
            ("list", &list),
        ],
    ))
}

/// `GET /inbox/{person}/trail/events?push=7`.
async fn trail_events(
    State(stage): State<Arc<Stage>>,
    Path(person): Path<String>,
    Query(about): Query<About>,
) -> Response {
    pages::follow(stage, move |stage| trail_parts(stage, &person, about.push))
}

fn trail_parts(stage: &Stage, person: &str, push: u64) -> [String; 2] {
    let token = lock(&stage.ledger).token_of(person, push);
    let trail = stage.host.get().zip(token).and_then(|(host, token)| host.trail(&token)).unwrap_or_default();
    let list: String = if trail.entries.is_empty() {
        r#"<li class="empty" id="empty">Nothing is written down about it yet.</li>"#.to_owned()
    } else {
        trail.entries.iter().enumerate().map(change).collect()
    };
    let subject = html::escape(&trail.subject);
    let totals = format!(r#"<p id="totals">{subject}</p>"#);
    [totals, format!(r#"<ol id="list" aria-live="polite" aria-label="{subject}">{list}</ol>"#)]
}

/// A change, or an answer, with everything that came of it; known by all of its words.
fn change((number, entry): (usize, &Entry)) -> String {
    let inside = inside(entry);
    let key = hash128([inside.as_bytes()]);
    format!(r#"<li id="entry-{number}" data-key="{key:x}" class="entry {}">{inside}</li>"#, entry.tone)
}

fn inside(entry: &Entry) -> String {
    let under: String = entry
        .under
        .iter()
        .map(|under| format!(r#"<li class="entry {}">{}</li>"#, under.tone, inside(under)))
        .collect();
    let under = if under.is_empty() { under } else { format!("<ol>{under}</ol>") };
    format!("<p>{}</p>{under}", html::escape(&entry.what))
}

fn nobody() -> Response {
    (StatusCode::NOT_FOUND, "there is no such push, or nobody who stands behind it\n").into_response()
}
