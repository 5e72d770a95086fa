//! Page: the source systems as a browser sees them, things that were acted on first.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

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
    /// What was done with it last, and by whom.
    done: Option<(String, String)>,
    /// The steps of a workflow: each in words, and whether it is over (`done`), now (`now`) or to come.
    steps: Vec<(String, &'static str)>,
}

/// `GET /systems`.
pub(super) async fn page(State(stage): State<Arc<Stage>>) -> Response {
    let [totals, list] = parts(&stage);
    let clock = story::clock(&stage, "/systems");
    pages::page(html::fill(PAGE, &[("clock", &clock), ("totals", &totals), ("list", &list)]))
}

/// `GET /systems/events`.
pub(super) async fn events(State(stage): State<Arc<Stage>>) -> Response {
    pages::follow(stage, parts)
}

fn parts(stage: &Stage) -> [String; 2] {
    let systems = lock(&stage.systems);
    let cards = systems.cards();
    let noun = if systems.applied.len() == 1 { "answer" } else { "answers" };
    let totals = format!(r#"<p id="totals">{} {noun} carried out</p>"#, systems.applied.len());
    let list = if cards.is_empty() {
        r#"<li class="empty" id="empty">Nothing waits here for an answer yet.</li>"#.to_owned()
    } else {
        cards.iter().take(MOST).map(Card::html).collect()
    };
    [totals, format!(r#"<ol id="list" aria-live="polite">{list}</ol>"#)]
}

// === impl Systems ===

impl Systems {
    fn cards(&self) -> Vec<Card> {
        let last = |thing: &str| {
            let about = |applied: &&Applied| applied.thing.split('#').next() == Some(thing);
            let done = self.applied.iter().rev().find(about);
            done.map(|applied| (applied.what.clone(), applied.by.clone()))
        };
        let tasks = self.workflows.tasks.iter().map(|((process, subprocess, task), workflow)| {
            let id = format!("{process}/{subprocess}/{task}");
            let state = match (workflow.is_done, &workflow.accepted_by) {
                (true, _) => "moved on".to_owned(),
                (false, Some(by)) => format!("accepted by {by}"),
                (false, None) => format!("waiting, round {}", workflow.status_key.trim_start_matches('s')),
            };
            let steps = workflow.steps();
            Card { system: "xecm", title: workflow.title.clone(), done: last(&id), id, state, steps }
        });
        let items = self.items.values().map(|item| {
            let state = match item.escalation_level {
                0 => item.state.clone(),
                level => format!("{}, escalated to level {level}", item.state),
            };
            Card {
                system: "devadmin",
                title: item.title.clone(),
                id: item.id.clone(),
                state,
                done: last(&item.id),
                steps: Vec::new(),
            }
        });
        let mut cards: Vec<Card> = tasks.chain(items).collect();
        // What nobody has acted on yet comes after what somebody has.
        cards.sort_by_key(|card| card.done.is_none());
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
