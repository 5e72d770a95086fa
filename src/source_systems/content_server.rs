//! Content Server: an answer sends a workflow task on its way, as the person who answered.
//!
//! Content Server knows no idempotency, so what is about to be sent is compared with what the person saw before
//! it is sent, sent once, and found again by the mark in its comment. What it allows is read first and never
//! assumed: the ways on are called differently in every workflow map.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde_json::Value as Json;

use super::http::{Answered, Http, Lost, form, part, send};
use super::tickets::{Pass, Tickets};
use super::{ContentServer, followups, workspaces};
use crate::event::notice::Verb;
use crate::event::write_back::{Ask, Came, WriteBack};

/// The most characters of a comment.
const MOST_COMMENT: usize = 255;
/// What Content Server says of a task that is no longer anybody's.
const NO_TASK: &str = "Could not get a workflow";
/// What it says of things that are not there for whoever asks.
const NO_ACCESS: &str = "could not be accessed";
/// The detail of a refusal because of a signature.
const SIGNATURE: &str = "662306821";
/// How a task is sent on where it has no ways of its own.
const SEND_ON: &str = "SendOn";
/// What a question is called, by those who have seen it under another name.
const REVIEW: [&str; 2] = ["SendForReview", "Review"];
const FORM: &str = "application/x-www-form-urlencoded";

/// Content Server, spoken to as the person who answered.
pub(super) struct Desk<'d> {
    http: &'d Http,
    server: &'d ContentServer,
    tickets: &'d Tickets,
    pub(super) answer: &'d WriteBack,
}

/// One task of one process, seen by one person.
struct Task<'t> {
    desk: &'t Desk<'t>,
    answer: &'t WriteBack,
    process: &'t str,
    subprocess: &'t str,
    task: &'t str,
}

/// What may be done with a task.
struct Choices {
    /// Keys and labels.
    actions: Vec<(String, String)>,
    custom_actions: Vec<(String, String)>,
    has_comments: bool,
    is_signed: bool,
    is_accepted_first: bool,
}

pub(super) async fn call(
    http: &Http,
    (server, tickets): (&ContentServer, &Tickets),
    ask: Ask,
    answer: &WriteBack,
) -> Result<Came, Came> {
    let desk = Desk { http, server, tickets, answer };
    let incomplete = Came::Dead("write-back-incomplete");
    if let Some(wanted) = answer.set.get("followup") {
        return followups::status(&desk, ask, wanted).await;
    }
    let status = answer.set.get("status");
    if let Some(process) = answer.at("process_id") {
        let subprocess = answer.at("subprocess_id").unwrap_or(process);
        let task = answer.at("task_id").ok_or(incomplete)?;
        let task = Task { desk: &desk, answer, process, subprocess, task };
        let came = match ask {
            Ask::Look => task.look().await,
            Ask::Write if answer.verb == Verb::Acknowledge => task.acknowledge().await,
            Ask::Write => task.decide().await,
        };
        if status.is_none() || came != Ok(Came::Confirmed) {
            return came;
        }
    }
    match status {
        Some(wanted) => workspaces::status(&desk, ask, wanted).await,
        None => Err(incomplete),
    }
}

// === impl Desk ===

impl Desk<'_> {
    pub(super) async fn read(&self, path: &str) -> Result<Answered, Came> {
        self.ask(Method::GET, path, None).await.map_err(|failed| failed.came(Lost::not_now))
    }

    /// Asks as the responder; a ticket that is no longer known is renewed once.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Answered, Failed> {
        let mut refused = None;
        loop {
            let who = (self.server, self.answer.responder.as_str());
            let pass = self.tickets.pass(self.http, who, refused).await;
            let Pass { ticket, number } = pass.map_err(Failed::NoTicket)?;
            let url = format!("{}{path}", self.server.url.trim_end_matches('/'));
            let mut request = self.http.request(method.clone(), &url).header("otcsticket", ticket);
            if let Some(body) = &body {
                request = request.header(CONTENT_TYPE, HeaderValue::from_static(FORM)).body(body.clone());
            }
            let said = send(request).await.map_err(Failed::Lost)?;
            if said.status == 401 && refused.is_none() {
                refused = Some(number);
                continue;
            }
            return Ok(said);
        }
    }
}

// === impl Task ===

impl Task<'_> {
    /// Whether the answer's mark is there, or all is as it was seen.
    async fn look(&self) -> Result<Came, Came> {
        if self.is_marked().await? {
            return Ok(Came::Confirmed);
        }
        if self.answer.verb == Verb::Acknowledge {
            return Ok(Came::Open);
        }
        Ok(match self.choices().await? {
            Ok(_) if self.is_as_seen().await? => Came::Open,
            _ => Came::Refused("conflict"),
        })
    }

    /// A task of a group is taken on; any other is not moved by having been seen.
    async fn acknowledge(&self) -> Result<Came, Came> {
        if self.answer.at("group_task") != Some("true") {
            return Ok(Came::Confirmed);
        }
        match self.choices().await? {
            Ok(choices) if choices.is_accepted_first => self.accept().await.map(|()| Came::Confirmed),
            Ok(_) => Ok(Came::Confirmed),
            Err(refused) => Ok(refused),
        }
    }

    async fn decide(&self) -> Result<Came, Came> {
        let choices = match self.choices().await? {
            Ok(choices) => choices,
            // Done by an attempt before, or by somebody else.
            Err(Came::Refused("already_decided")) if self.is_marked().await? => return Ok(Came::Confirmed),
            Err(refused) => return Ok(refused),
        };
        if choices.is_signed {
            return Ok(Came::Refused("needs_signature"));
        }
        if !self.is_as_seen().await? {
            let done = self.is_marked().await?;
            return Ok(if done { Came::Confirmed } else { Came::Refused("conflict") });
        }
        let Some((field, key)) = self.way(&choices) else {
            return Ok(Came::Refused("unsupported_action"));
        };
        if choices.is_accepted_first {
            self.accept().await?;
        }
        let comment = self.answer.marked_comment(MOST_COMMENT);
        let body = form(&[(field, key), ("comment", &comment)]);
        let path = format!("/api/v2/{}", self.path());
        let said = self.desk.ask(Method::PUT, &path, Some(body)).await;
        let said = said.map_err(|failed| failed.came(Lost::perhaps))?;
        match said.status {
            200..=299 if !choices.has_comments => Ok(Came::Confirmed),
            200..=299 => match self.is_marked().await {
                Ok(true) => Ok(Came::Confirmed),
                // It says that it did, and shows no trace: it is looked for later.
                Ok(false) | Err(_) => Err(Came::Unknown("not-read-back")),
            },
            _ => Ok(refusal(&said).unwrap_or_else(|| said.perhaps())),
        }
    }

    fn path(&self) -> String {
        let (process, subprocess, task) = (part(self.process), part(self.subprocess), part(self.task));
        format!("processes/{process}/subprocesses/{subprocess}/tasks/{task}")
    }

    /// The way on that the answer stands for: the field to write it into, and its key.
    fn way<'c>(&self, choices: &'c Choices) -> Option<(&'static str, &'c str)> {
        let called = |among: &'c [(String, String)], names: &[String]| {
            let is = |text: &str| names.iter().any(|name| name.eq_ignore_ascii_case(text));
            among.iter().find(|(key, label)| is(key) || is(label)).map(|(key, _)| key.as_str())
        };
        let custom =
            |names: &[String]| called(&choices.custom_actions, names).map(|key| ("custom_action", key));
        let action = |name: &str| called(&choices.actions, &[name.to_owned()]).map(|key| ("action", key));
        let (set, server) = (&self.answer.set, self.desk.server);
        if let Some(name) = set.get("custom_action") {
            let found = match name.as_str() {
                "approve" => custom(&server.approve),
                "reject" => custom(&server.reject),
                name => custom(&[name.to_owned()]),
            };
            // Where the map has no ways of its own, there is one way on, and it is no rejection.
            let only = || choices.custom_actions.is_empty().then(|| action(SEND_ON)).flatten();
            return found.or_else(|| (name == "approve").then(only).flatten());
        }
        let wanted = set.get("action")?;
        let found = action(wanted);
        found.or_else(|| {
            REVIEW.contains(&wanted.as_str()).then(|| REVIEW.iter().find_map(|name| action(name)))?
        })
    }

    /// What may be done with the task, or why nothing may.
    async fn choices(&self) -> Result<Result<Choices, Came>, Came> {
        let (process, subprocess, task) = (part(self.process), part(self.subprocess), part(self.task));
        let query = format!("process_id={process}&subprocess_id={subprocess}&task_id={task}");
        let said = self.desk.read(&format!("/api/v1/forms/processes/tasks/update?{query}")).await?;
        if !said.is_success() {
            return match refusal(&said) {
                Some(refused) => Ok(Err(refused)),
                None => Err(said.not_now()),
            };
        }
        let form = said.json();
        let form = &form["data"];
        let mut choices = Choices {
            actions: keys(&form["actions"]),
            custom_actions: keys(&form["custom_actions"]),
            has_comments: form["comments_on"].as_bool().unwrap_or(true),
            is_signed: form["authentication"].as_bool().unwrap_or(false),
            is_accepted_first: form["member_accept"].as_bool().unwrap_or(false),
        };
        if !choices.is_accepted_first && self.answer.at("group_task") == Some("true") {
            let said = self.desk.read(&self.group("check")).await?;
            choices.is_accepted_first = said.json()["results"]["isGroupTask"] == true;
        }
        Ok(Ok(choices))
    }

    fn group(&self, what: &str) -> String {
        let (process, subprocess, task) = (part(self.process), part(self.subprocess), part(self.task));
        format!(
            "/api/v2/mobilegroupassignment/{what}/taskid/{task}/processid/{process}/subprocessid/{subprocess}"
        )
    }

    /// A task of a group becomes this person's.
    async fn accept(&self) -> Result<(), Came> {
        let said = self.desk.ask(Method::POST, &self.group("accept"), None).await;
        // To take a task on twice is to take it on: nothing of the answer has been said yet.
        let said = said.map_err(|failed| failed.came(Lost::not_now))?;
        if said.is_success() {
            return Ok(());
        }
        Err(match said.status {
            400..=499 if said.status != 401 => Came::Refused("already_decided"),
            _ => said.not_now(),
        })
    }

    /// Whether the task is in the state that the person saw: another round has another one.
    async fn is_as_seen(&self) -> Result<bool, Came> {
        let Some(seen) = self.answer.at("status_key") else { return Ok(true) };
        for status in ["ontime", "workflowlate"] {
            let said =
                self.desk.read(&format!("/api/v2/workflows/status?Kind=Both&wstatus={status}")).await?;
            if !said.is_success() {
                return Err(said.not_now());
            }
            let said = said.json();
            let ours = |row: &&Json| {
                let is = |name: &str, id: &str| text(&row[name]).is_some_and(|text| text == id);
                is("process_id", self.process)
                    && is("subprocess_id", self.subprocess)
                    && is("task_id", self.task)
            };
            let rows = said["results"].as_array().map(Vec::as_slice).unwrap_or_default();
            let rows = rows.iter().map(|row| match &row["data"]["wfstatus"] {
                Json::Null => row,
                row => row,
            });
            if let Some(row) = rows.into_iter().find(ours) {
                return Ok(text(&row["status_key"]).is_some_and(|key| key == seen));
            }
        }
        Ok(false)
    }

    /// Whether an entry of the task's history carries the answer's mark.
    async fn is_marked(&self) -> Result<bool, Came> {
        let (process, subprocess) = (part(self.process), part(self.subprocess));
        let path = format!("/api/v2/processes/{process}/subprocesses/{subprocess}/activities?limit=20");
        let said = self.desk.read(&path).await?;
        if !said.is_success() {
            // What is not there for this person was not done by them.
            return if refusal(&said).is_some() { Ok(false) } else { Err(said.not_now()) };
        }
        let said = said.json();
        let entries = said["results"].as_array().or_else(|| said.as_array()).map(Vec::as_slice);
        let mark = self.answer.mark();
        let marked = |entry: &Json| entry["comment"].as_str().is_some_and(|comment| comment.contains(&mark));
        Ok(entries.unwrap_or_default().iter().any(marked))
    }
}

/// Why there is no answer.
pub(super) enum Failed {
    /// Nobody could sign in as the responder.
    NoTicket(Came),
    /// The request or its answer was lost.
    Lost(Lost),
}

// === impl Failed ===

impl Failed {
    pub(super) fn came(self, lost: impl Fn(Lost) -> Came) -> Came {
        match self {
            Self::NoTicket(came) => came,
            Self::Lost(fault) => lost(fault),
        }
    }
}

/// What a refusal means that Content Server explains, or does not have to.
pub(super) fn refusal(said: &Answered) -> Option<Came> {
    let explained = said.json();
    let words = explained["error"].as_str().unwrap_or_default();
    let detail = text(&explained["errorDetail"]).unwrap_or_default();
    match said.status {
        _ if words.contains(NO_TASK) => Some(Came::Refused("already_decided")),
        _ if words.contains(NO_ACCESS) => Some(Came::Refused("not_assignee")),
        _ if detail == SIGNATURE => Some(Came::Refused("needs_signature")),
        403 => Some(Came::Refused("not_assignee")),
        404 => Some(Came::Refused("gone")),
        409 => Some(Came::Refused("conflict")),
        _ => None,
    }
}

/// Keys and labels of a list of choices.
fn keys(list: &Json) -> Vec<(String, String)> {
    let pair = |choice: &Json| Some((text(&choice["key"])?, text(&choice["label"]).unwrap_or_default()));
    list.as_array().map(|list| list.iter().filter_map(pair).collect()).unwrap_or_default()
}

/// Ids are numbers to some and texts to others.
pub(super) fn text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
