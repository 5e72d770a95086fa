//! Inbox: the last pushes of the people who got some most recently, as their phones would hold them.
//!
//! A push is kept as its template, shared by the whole request, and the inserts that are shown; it is
//! put together when somebody looks. A newer push with an equal collapse key replaces the older one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use smallvec::SmallVec;

use super::answer::Sent;
use super::contract::{Destination, Message, Texts};
use super::text::{self, Text};
use crate::event::{Timestamp, hash128};

/// The most pushes one inbox holds.
const MOST_PUSHES: usize = 50;

/// All inboxes, by the person's number in the ledger.
pub(super) struct Inboxes {
    most: usize,
    arrivals: u64,
    inboxes: HashMap<u32, Inbox>,
}

#[derive(Default)]
struct Inbox {
    /// The number of the latest arrival.
    latest: u64,
    /// The number of the latest arrival that was looked at.
    seen: u64,
    pushes: VecDeque<Kept>,
}

struct Kept {
    arrival: u64,
    at: Timestamp,
    repeat: bool,
    collapse: Option<u128>,
    shown: Arc<Shown>,
    values: Values,
    /// What became of the answer that was given.
    answered: Option<Box<Sent>>,
}

/// The values of [`Shown::uses`], in that order: one text, and where each ends.
struct Values {
    text: Box<str>,
    ends: SmallVec<[u32; 6]>,
}

/// What the pushes of one request share of what is shown.
pub(super) struct Shown {
    title: Text,
    summary: Text,
    link: Option<Text>,
    source: Option<Text>,
    kind: Option<Text>,
    actions: Option<Text>,
    token: Option<Text>,
    answer_url: Option<Text>,
    /// Why it was told, and of which category it is.
    reason: [Option<Text>; 4],
    collapse_key: Option<Text>,
    priority: String,
    job: String,
    uses: Vec<u32>,
}

/// One push, put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Push {
    /// Its number, unlike any other's.
    pub(super) arrival: u64,
    pub(super) at: Timestamp,
    /// The person had the same push before, under another message id.
    pub(super) repeat: bool,
    pub(super) title: String,
    pub(super) summary: String,
    pub(super) link: String,
    /// The page that answers.
    pub(super) answer_url: String,
    pub(super) source: String,
    pub(super) kind: String,
    /// Why the person got it, and which rule says so.
    pub(super) why: String,
    pub(super) rule: String,
    /// What it belongs to, and whether nobody can mute that.
    pub(super) category: String,
    pub(super) is_mandatory: bool,
    /// The answers offered.
    pub(super) actions: Vec<String>,
    /// What became of the answer that was given, and in words.
    pub(super) sent: Option<Sent>,
    pub(super) answered: Option<String>,
    pub(super) priority: String,
    pub(super) job: String,
}

// === impl Shown ===

impl Shown {
    pub(super) fn of(message: &Message, texts: Texts, job: String) -> Self {
        let value = |key| texts.value(key).cloned();
        let (link, source, kind, actions) = (value("link"), value("source"), value("kind"), value("actions"));
        let (token, answer_url) = (value("reply_token"), value("answer_url"));
        let reason = ["why", "rule", "category", "mandatory"].map(value);
        let Texts { title, summary, collapse_key, .. } = texts;
        let optional = [&link, &source, &kind, &actions, &token, &answer_url];
        let optional = optional.into_iter().chain(&reason).flatten();
        let mut uses: Vec<u32> =
            [&title, &summary].into_iter().chain(optional).flat_map(Text::inserts).collect();
        uses.sort_unstable();
        uses.dedup();
        let priority = message.priority.clone().unwrap_or_else(|| "normal".to_owned());
        Self {
            title,
            summary,
            link,
            source,
            kind,
            actions,
            token,
            answer_url,
            reason,
            collapse_key,
            priority,
            job,
            uses,
        }
    }

    /// The title as one destination reads it.
    pub(super) fn title(&self, destination: &Destination<'_>) -> String {
        self.title.fill(|id| text::find(&destination.inserts, id))
    }
}

// === impl Inboxes ===

impl Inboxes {
    pub(super) fn new(most: usize) -> Self {
        Self { most, arrivals: 0, inboxes: HashMap::new() }
    }

    /// Puts a push into a person's inbox.
    pub(super) fn deliver(
        &mut self,
        person: u32,
        shown: &Arc<Shown>,
        destination: &Destination<'_>,
        (at, repeat): (Timestamp, bool),
    ) {
        if self.most == 0 {
            return;
        }
        self.arrivals += 1;
        let find = |id| text::find(&destination.inserts, id);
        let collapse = shown.collapse_key.as_ref().map(|key| hash128([key.fill(find).as_bytes()]));
        let values = Values::of(shown.uses.iter().map(|id| find(*id).unwrap_or_default()));
        let inbox = self.inboxes.entry(person).or_default();
        inbox.latest = self.arrivals;
        if collapse.is_some() {
            inbox.pushes.retain(|kept| kept.collapse != collapse);
        }
        inbox.make_room();
        let kept = Kept {
            arrival: self.arrivals,
            at,
            repeat,
            collapse,
            shown: Arc::clone(shown),
            values,
            answered: None,
        };
        inbox.pushes.push_front(kept);
        self.forget_the_oldest();
    }

    /// The person's pushes, newest first; `None` when no inbox is held for them. They count as seen now.
    pub(super) fn open(&mut self, person: u32) -> Option<Vec<Push>> {
        let inbox = self.inboxes.get_mut(&person)?;
        inbox.seen = inbox.latest;
        Some(inbox.pushes.iter().map(Kept::put_together).collect())
    }

    /// What an answer to one push must bring along.
    pub(super) fn token_of(&self, person: u32, arrival: u64) -> Option<String> {
        let kept = self.inboxes.get(&person)?.pushes.iter().find(|kept| kept.arrival == arrival)?;
        Some(kept.filled(kept.shown.token.as_ref()?))
    }

    /// The same of the newest push.
    pub(super) fn token_of_newest(&self, person: u32) -> Option<String> {
        let kept = self.inboxes.get(&person)?.pushes.front()?;
        Some(kept.filled(kept.shown.token.as_ref()?))
    }

    /// Keeps what became of an answer.
    pub(super) fn answered(&mut self, person: u32, arrival: u64, sent: Sent) {
        let pushes = self.inboxes.get_mut(&person).map(|inbox| &mut inbox.pushes);
        let push = pushes.and_then(|pushes| pushes.iter_mut().find(|kept| kept.arrival == arrival));
        if let Some(push) = push {
            push.answered = Some(Box::new(sent));
        }
    }

    /// The people with an inbox, each with the number of the latest arrival.
    pub(super) fn people(&self) -> impl Iterator<Item = (u32, u64)> {
        self.inboxes.iter().map(|(person, inbox)| (*person, inbox.latest))
    }

    /// How many pushes of this person nobody has looked at.
    pub(super) fn unseen(&self, person: u32) -> usize {
        self.inboxes
            .get(&person)
            .map_or(0, |inbox| inbox.pushes.iter().take_while(|kept| kept.arrival > inbox.seen).count())
    }

    /// Halves the inboxes once there are twice as many as wanted, so that each arrival pays next to nothing.
    fn forget_the_oldest(&mut self) {
        if self.inboxes.len() <= self.most.saturating_mul(2) {
            return;
        }
        let mut latest: Vec<u64> = self.inboxes.values().map(|inbox| inbox.latest).collect();
        let cut = latest.len() - self.most;
        let (_, oldest_kept, _) = latest.select_nth_unstable(cut);
        let oldest_kept = *oldest_kept;
        self.inboxes.retain(|_, inbox| inbox.latest >= oldest_kept);
    }
}

// === impl Inbox ===

impl Inbox {
    /// The oldest leaves first, but what still asks for an answer.
    fn make_room(&mut self) {
        while self.pushes.len() >= MOST_PUSHES {
            let asks = |kept: &Kept| kept.shown.actions.is_some() && kept.answered.is_none();
            let at = self.pushes.iter().rposition(|kept| !asks(kept)).unwrap_or(self.pushes.len() - 1);
            self.pushes.remove(at);
        }
    }
}

// === impl Values ===

impl Values {
    fn of<'a>(values: impl Iterator<Item = &'a str> + Clone) -> Self {
        let mut text = String::with_capacity(values.clone().map(str::len).sum());
        let mut ends = SmallVec::new();
        for value in values {
            text.push_str(value);
            // A request has 4 MiB at most.
            ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
        }
        Self { text: text.into(), ends }
    }

    fn get(&self, at: usize) -> Option<&str> {
        let offset = |at: usize| self.ends.get(at).and_then(|end| usize::try_from(*end).ok());
        let start = if at == 0 { 0 } else { offset(at - 1)? };
        self.text.get(start..offset(at)?)
    }
}

// === impl Push ===

impl Push {
    /// Whether it asks for a decision.
    pub(super) fn asks(&self) -> bool {
        self.actions.iter().any(|action| action == "approve")
    }
}

// === impl Kept ===

impl Kept {
    fn filled(&self, text: &Text) -> String {
        text.fill(|id| self.shown.uses.binary_search(&id).ok().and_then(|at| self.values.get(at)))
    }

    fn put_together(&self) -> Push {
        let shown = &self.shown;
        let optional = |text: &Option<Text>| text.as_ref().map(|text| self.filled(text)).unwrap_or_default();
        let [why, rule, category, mandatory] = shown.reason.each_ref().map(optional);
        Push {
            arrival: self.arrival,
            at: self.at,
            repeat: self.repeat,
            title: self.filled(&shown.title),
            summary: self.filled(&shown.summary),
            link: optional(&shown.link),
            answer_url: optional(&shown.answer_url),
            source: optional(&shown.source),
            kind: optional(&shown.kind),
            why,
            rule,
            category,
            is_mandatory: mandatory == "true",
            actions: optional(&shown.actions)
                .split(',')
                .filter(|action| !action.is_empty())
                .map(str::to_owned)
                .collect(),
            sent: self.answered.as_deref().cloned(),
            answered: None,
            priority: shown.priority.clone(),
            job: shown.job.clone(),
        }
    }
}
