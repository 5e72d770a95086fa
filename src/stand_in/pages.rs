//! Pages: each person's inbox as their phone would show it, and who got something lately.
//!
//! What stands in a push was written by somebody else: every text is escaped where it is put into a
//! page, a link is one only to http and https, and the pages allow no script but their own. The pages
//! read without scripts, too; the script only keeps them current.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::inbox::Push;
use super::ledger::{Reader, Totals};
use super::{Stage, lock};
use crate::event::{Source, Timestamp};

const PEOPLE: &str = include_str!("pages/people.html");
const INBOX: &str = include_str!("pages/inbox.html");
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
    let events = format!("/events?q={}", percent(&search.q));
    let filled = fill(
        PEOPLE,
        &[("search", &escape(&search.q)), ("events", &escape(&events)), ("totals", &totals), ("list", &list)],
    );
    page(StatusCode::OK, filled)
}

/// `GET /events`.
pub(super) async fn people_events(State(stage): State<Arc<Stage>>, Query(search): Query<Search>) -> Response {
    follow(stage, move |stage| people_parts(stage, &search.q))
}

/// `GET /inbox/{person}`.
pub(super) async fn inbox(State(stage): State<Arc<Stage>>, Path(person): Path<String>) -> Response {
    let [totals, list] = inbox_parts(&stage, &person);
    let (name, realm) = split_name(&person);
    let events = format!("/inbox/{}/events", percent(&person));
    let filled = fill(
        INBOX,
        &[
            ("name", &escape(name)),
            ("realm", &escape(realm)),
            ("initials", &escape(&initials(name))),
            ("hue", &hue(&person)),
            ("events", &escape(&events)),
            ("totals", &totals),
            ("list", &list),
        ],
    );
    page(StatusCode::OK, filled)
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

fn page(status: StatusCode, html: String) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-store"),
    ];
    (status, headers, html).into_response()
}

/// Fills a page's `<!--name-->` marks in one go, so that no filled text is searched for marks.
fn fill(page: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("<!--") {
        let (name, after) = after.split_once("-->").unwrap_or((after, ""));
        filled.push_str(before);
        filled.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

// --- following changes ---

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
fn follow<F>(stage: Arc<Stage>, parts: F) -> Response
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

// --- what stands on the pages ---

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
        readers.iter().map(person_row).collect()
    };
    [totals_html(&totals), format!(r#"<ul id="list">{list}</ul>"#)]
}

fn totals_html(totals: &Totals) -> String {
    let mut html = r#"<dl id="totals">"#.to_owned();
    for (name, count, class) in [
        ("pushes", totals.destinations, ""),
        ("people", totals.people, ""),
        ("requests", totals.requests, ""),
        ("jobs", totals.jobs, ""),
        ("sent twice", totals.repeated, if totals.repeated > 0 { "bad" } else { "" }),
    ] {
        let count = thousands(count);
        write!(html, r#"<div class="{class}"><dt>{name}</dt><dd>{count}</dd></div>"#)
            .expect("a string takes every text");
    }
    html + "</dl>"
}

fn person_row(reader: &Reader) -> String {
    let person = &reader.account.person;
    let (name, realm) = split_name(person);
    let unseen = match reader.unseen {
        0 => String::new(),
        count => format!(r#"<span class="unseen"><b>{count}</b><span class="sr"> unread</span></span>"#),
    };
    format!(
        r#"<li id="{id}" data-key="{key}"><a href="/inbox/{link}"><span class="face {hue}" aria-hidden="true">{initials}</span><span class="who"><b>{name}</b><small>{realm}</small></span><span class="when">{time}{unseen}</span></a></li>"#,
        id = id_of(person),
        key = format_args!("{}-{}", reader.account.pushes, reader.unseen),
        link = escape(&percent(person)),
        hue = hue(person),
        initials = escape(&initials(name)),
        name = escape(name),
        realm = escape(realm),
        time = time(reader.account.last_at),
    )
}

fn inbox_parts(stage: &Stage, person: &str) -> [String; 2] {
    let mut ledger = lock(&stage.ledger);
    let (pushes, account) = (ledger.open_inbox(person), ledger.account(person).cloned());
    drop(ledger);
    let total = account.map_or(0, |account| account.pushes);
    let list = match pushes {
        Some(pushes) => pushes.iter().map(card).collect(),
        None if total > 0 => {
            r#"<li class="empty" id="empty">These pushes were let go to make room for newer ones of others.</li>"#
                .to_owned()
        }
        None => r#"<li class="empty" id="empty">All quiet. What arrives shows up here at once.</li>"#.to_owned(),
    };
    let noun = if total == 1 { "push" } else { "pushes" };
    let totals = format!(r#"<p id="totals">{} {noun}</p>"#, thousands(total));
    [totals, format!(r#"<ol id="list">{list}</ol>"#)]
}

fn card(push: &Push) -> String {
    let source = push.source.parse::<Source>();
    let (class, system) = match source {
        Ok(source) => (source.as_str(), source.title()),
        Err(_) => ("other", if push.source.is_empty() { "Push" } else { push.source.as_str() }),
    };
    let mut html = format!(
        r#"<li id="push-{arrival}" class="card {class} {priority}"><header><span class="badge">{system}</span>"#,
        arrival = push.arrival,
        priority = escape(&push.priority),
        system = escape(system),
    );
    if matches!(push.priority.as_str(), "high" | "critical" | "low") {
        html += &format!(r#"<span class="priority">{}</span>"#, escape(&push.priority));
    }
    if push.repeat {
        html += r#"<span class="twice">sent twice</span>"#;
    }
    html += &format!(r"{}</header><h2>{}</h2>", time(push.at), escape(&push.title));
    if !push.summary.is_empty() {
        html += &format!("<p>{}</p>", escape(&push.summary));
    }
    html += &footer(push, system);
    html + "</li>"
}

fn footer(push: &Push, system: &str) -> String {
    let mut html = String::from("<footer>");
    if push.link.starts_with("https://") || push.link.starts_with("http://") {
        html += &format!(
            r#"<a class="link" href="{}" rel="noreferrer noopener" target="_blank">Open in {}</a>"#,
            escape(&push.link),
            escape(system)
        );
    }
    if !push.actions.is_empty() {
        html += r#"<div class="actions">"#;
        for action in &push.actions {
            let words = action.replace('_', " ");
            let class = if action == "approve" { " class=\"first\"" } else { "" };
            html += &format!(r#"<button type="button" disabled{class}>{}</button>"#, escape(&words));
        }
        html += "</div>";
    }
    html += &format!(
        r#"<details><summary>Details</summary><dl><dt>Kind</dt><dd>{}</dd><dt>Job</dt><dd>{}</dd></dl></details>"#,
        escape(&push.kind),
        escape(&push.job)
    );
    html + "</footer>"
}

// --- small spellings ---

/// The text as it may stand in a page or inside a quoted attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The text as one segment or value of a URL.
fn percent(text: &str) -> String {
    let mut spelled = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~@".contains(&byte) {
            spelled.push(char::from(byte));
        } else {
            write!(spelled, "%{byte:02X}").expect("a string takes every text");
        }
    }
    spelled
}

/// An element id that no name can break.
fn id_of(person: &str) -> String {
    person.bytes().fold("p-".to_owned(), |mut id, byte| {
        write!(id, "{byte:02x}").expect("a string takes every text");
        id
    })
}

/// `jdoe@Content Server Members` as name and realm.
fn split_name(person: &str) -> (&str, &str) {
    person.split_once('@').unwrap_or((person, ""))
}

fn initials(name: &str) -> String {
    let mut words = name.split(|c: char| !c.is_alphanumeric()).filter_map(|word| word.chars().next());
    let (first, last) = (words.next(), words.next_back());
    first.into_iter().chain(last).flat_map(char::to_uppercase).take(2).collect()
}

/// One of eight colours, always the same for a person.
fn hue(person: &str) -> String {
    let sum = person.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    format!("hue-{}", sum % 8)
}

fn time(at: Timestamp) -> String {
    let full = at.to_string();
    let short = full.get(11..16).unwrap_or(&full);
    format!(r#"<time datetime="{full}">{short} UTC</time>"#)
}

/// `1 234 567`, with narrow no-break spaces.
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut spelled = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            spelled.push('\u{202f}');
        }
        spelled.push(digit);
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push() -> Push {
        Push {
            arrival: 7,
            at: "2026-01-05T09:25:26Z".parse().unwrap(),
            repeat: false,
            title: "Approval needed: Contract 4711".into(),
            summary: "Draft v3 is waiting".into(),
            link: "https://cs.example/115295".into(),
            source: "xecm".into(),
            kind: "xecm.task.assigned".into(),
            actions: vec!["approve".into(), "request_info".into()],
            priority: "high".into(),
            job: "otp-1000001".into(),
        }
    }

    #[test]
    fn a_push_written_to_break_the_page_is_shown_as_text() {
        let evil = r#"<img src=x onerror="alert('1')">"#;
        let push = Push {
            title: evil.into(),
            summary: evil.into(),
            source: evil.into(),
            kind: evil.into(),
            priority: evil.into(),
            actions: vec![evil.into()],
            link: format!("https://x/\"{evil}"),
            ..push()
        };
        let html = card(&push);
        assert!(!html.contains("<img"), "{html}");
        assert!(!html.contains(r#"onerror=""#), "{html}");
    }

    #[test]
    fn only_an_http_link_is_one() {
        for link in ["javascript:alert(1)", "data:text/html,x", " https://x", "//x", ""] {
            let html = card(&Push { link: link.into(), ..push() });
            assert!(!html.contains("href"), "{html}");
        }
        assert!(card(&push()).contains(r#"href="https://cs.example/115295""#));
    }

    #[test]
    fn answers_are_shown_and_cannot_be_pressed() {
        let html = card(&push());
        assert!(html.contains(r#"<button type="button" disabled>request info</button>"#), "{html}");
        assert_eq!(html.matches("<button").count(), html.matches("disabled").count());
    }

    #[test]
    fn a_filled_text_is_not_searched_for_marks() {
        let filled = fill("<p><!--a--></p><!--b--><!--c-->", &[("a", "<!--b-->"), ("b", "two")]);
        assert_eq!(filled, "<p><!--b--></p>two");
    }

    #[test]
    fn names_and_numbers_are_spelled_for_people() {
        assert_eq!(initials("anna.maria-berg"), "AB");
        assert_eq!(initials("çelik"), "Ç");
        assert_eq!(initials(""), "");
        assert_eq!(thousands(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(thousands(12), "12");
        assert_eq!(percent("jdoe@Content Server/ä"), "jdoe@Content%20Server%2F%C3%A4");
    }
}
