//! Page: the source systems as a browser sees them, what changed last first.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::super::{Stage, html, lock, pages, story};
use super::{Applied, Systems, Workflow};

const PAGE: &str = include_str!("../pages/systems.html");
/// The most things of the page.
const MOST: usize = 100;

/// One thing on the page.
struct Card {
    system: &'static str,
    title: String,
    id: String,
    state: String,
    /// Whether an answer was carried out and it waits for none.
    is_over: bool,
    /// What was done with it last, and by whom.
    done: Option<(String, String)>,
    /// Grows with everything that happens.
    newest: (usize, usize),
    /// The steps of a workflow: each in words, and whether it is over (`done`), now (`now`) or to come.
    steps: Vec<(String, &'static str)>,
}

/// Which things are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stand {
    /// All of them.
    #[default]
    All,
    /// Those that wait for an answer.
    Waiting,
    /// Those that are over.
    Over,
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    state: Stand,
}

/// `GET /systems?state=waiting`.
pub(super) async fn page(State(stage): State<Arc<Stage>>, Query(wanted): Query<Wanted>) -> Response {
    let [totals, list] = parts(&stage, wanted.state);
    let here = format!("/systems?state={}", wanted.state.word());
    pages::page(html::fill(
        PAGE,
        &[
            ("head", &pages::head("Source systems")),
            ("events", &format!("/systems/events?state={}", wanted.state.word())),
            ("clock", &story::clock(&stage, &here)),
            ("states", &wanted.state.links()),
            ("totals", &totals),
            ("list", &list),
        ],
    ))
}

/// `GET /systems/events?state=waiting`.
pub(super) async fn events(State(stage): State<Arc<Stage>>, Query(wanted): Query<Wanted>) -> Response {
    pages::follow(stage, move |stage| parts(stage, wanted.state))
}

fn parts(stage: &Stage, wanted: Stand) -> [String; 2] {
    let systems = lock(&stage.systems);
    let mut cards = systems.cards();
    let noun = if systems.applied.len() == 1 { "answer" } else { "answers" };
    let carried = format!("{} {noun} carried out", systems.applied.len());
    cards.retain(|card| wanted.wants(card));
    let shown = match cards.len() {
        count if count > MOST => format!(", the newest {MOST} of {count}"),
        _ => String::new(),
    };
    let totals = format!(r#"<p id="totals">{carried}{shown}</p>"#);
    let list = if cards.is_empty() {
        r#"<li class="empty" id="empty">There is nothing of this kind here yet.</li>"#.to_owned()
    } else {
        cards.iter().take(MOST).map(Card::html).collect()
    };
    [totals, format!(r#"<ol id="list" aria-live="polite">{list}</ol>"#)]
}

// === impl Stand ===

impl Stand {
    const fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Waiting => "waiting",
            Self::Over => "over",
        }
    }

    fn wants(self, card: &Card) -> bool {
        match self {
            Self::All => true,
            Self::Waiting => !card.is_over,
            Self::Over => card.is_over,
        }
    }

    fn links(self) -> String {
        let link = |state: Self| {
            let here = if state == self { r#" aria-current="page""# } else { "" };
            format!(r#"<a class="link" href="/systems?state={0}"{here}>{0}</a>"#, state.word())
        };
        [Self::All, Self::Waiting, Self::Over].map(link).concat()
    }
}

// === impl Systems ===

impl Systems {
    fn cards(&self) -> Vec<Card> {
        let last = |thing: &str| {
            let about = |applied: &Applied| applied.thing.split('#').next() == Some(thing);
            let at = self.applied.iter().rposition(about)?;
            Some((at, (self.applied[at].what.clone(), self.applied[at].by.clone())))
        };
        // What was done is newer than what came before it, and older than what came then.
        let newest = |thing: &str, done: Option<usize>| {
            let came = self.since.get(thing).copied().unwrap_or_default();
            done.map_or(came, |done| came.max((done + 1, 0)))
        };
        let tasks = self.workflows.tasks.iter().map(|((process, subprocess, task), workflow)| {
            let id = format!("{process}/{subprocess}/{task}");
            let state = match (workflow.is_done, &workflow.accepted_by) {
                (true, _) => "moved on".to_owned(),
                (false, Some(by)) => format!("accepted by {by}"),
                (false, None) => format!("waiting, round {}", workflow.status_key.trim_start_matches('s')),
            };
            let done = last(&id);
            Card {
                system: "xecm",
                title: workflow.title.clone(),
                newest: newest(&id, done.as_ref().map(|(at, _)| *at)),
                is_over: workflow.is_done,
                done: done.map(|(_, done)| done),
                id,
                state,
                steps: workflow.steps(),
            }
        });
        let items = self.items.values().map(|item| {
            let state = match item.escalation_level {
                0 => item.state.clone(),
                level => format!("{}, escalated to level {level}", item.state),
            };
            let done = last(&item.id);
            Card {
                system: "devadmin",
                title: item.title.clone(),
                newest: newest(&item.id, done.as_ref().map(|(at, _)| *at)),
                is_over: done.is_some(),
                id: item.id.clone(),
                state,
                done: done.map(|(_, done)| done),
                steps: Vec::new(),
            }
        });
        let mut cards: Vec<Card> = tasks.chain(items).collect();
        cards.sort_by_key(|card| Reverse(card.newest));
        cards
    }
}

// === impl Workflow ===

impl Workflow {
    /// Where it stands: how it began, every round of this task, and what comes then.
    fn steps(&self) -> Vec<(String, &'static str)> {
        let step = if self.step.is_empty() { "Task" } else { &self.step };
        let begin = match self.initiator.as_str() {
            "" => "Started".to_owned(),
            initiator => format!("Started by {initiator}"),
        };
        let mut steps = vec![(begin, "done")];
        steps.extend(
            self.activities.iter().map(|done| (format!("{step}: {} by {}", done.action, done.user), "done")),
        );
        if self.is_done {
            steps.push(("Next step of the map".to_owned(), "now"));
        } else {
            let whose = self.accepted_by.clone().unwrap_or_else(|| self.assignees.join(", "));
            steps.push((format!("{step}: waits for {whose}"), "now"));
            steps.push(("Next step of the map".to_owned(), "later"));
        }
        steps
    }
}

// === impl Card ===

impl Card {
    fn html(&self) -> String {
        let name = if self.system == "xecm" { "Content Server" } else { "Developer Admin" };
        let done = self.done.as_ref().map_or_else(String::new, |(what, by)| {
            format!(
                r#"<footer><p class="answered">{} by {}</p></footer>"#,
                html::escape(what),
                html::escape(by)
            )
        });
        let step =
            |(words, tone): &(String, &str)| format!(r#"<li class="{tone}">{}</li>"#, html::escape(words));
        let steps: String = self.steps.iter().map(step).collect();
        let steps = if steps.is_empty() { steps } else { format!(r#"<ol class="steps">{steps}</ol>"#) };
        let (state, title, id) =
            (html::escape(&self.state), html::escape(&self.title), html::escape(&self.id));
        format!(
            r#"<li id="thing-{id}" data-key="{state}{done_key}" class="card {system}"><header><span class="badge">{name}</span><span>{id}</span></header><h2>{title}</h2><p>{state}</p>{steps}{done}</li>"#,
            done_key = html::escape(&done),
            system = self.system,
        )
    }
}
