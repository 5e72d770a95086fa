//! Post: a push service that answers when it is told to, and keeps a ledger of what it accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use bugle::clock;
use bugle::event::notice::Verb;
use bugle::event::{Batch, Parcel, Timestamp};
use bugle::push::{Answer, Outcome, PushService, Standing, Unsendable};
use bytes::Bytes;
use tokio::sync::oneshot;

use super::owed::Telling;

#[derive(Default)]
pub(crate) struct Post {
    held: Mutex<Held>,
}

/// What a person may answer, about what.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) telling: Telling,
    pub(crate) subject: String,
    pub(crate) verbs: Vec<Verb>,
}

#[derive(Default)]
pub(crate) struct Held {
    /// What people can answer, in the order it was first asked for.
    pub(crate) askable: Vec<Asked>,
    /// The tellings of each message id, as they were first asked for.
    pub(crate) asked: BTreeMap<String, Vec<Telling>>,
    /// How often each message id was accepted.
    pub(crate) accepted: BTreeMap<String, u32>,
    /// Requests without an answer.
    pub(crate) waiting: Vec<(String, oneshot::Sender<Outcome>)>,
    /// Message ids that were asked for with other tellings than before.
    pub(crate) changed: Vec<String>,
    /// Message ids whose batch holds text of another tenant than its own.
    pub(crate) foreign: Vec<String>,
    /// Message ids whose pushes replace one another on a phone.
    pub(crate) replacing: BTreeSet<String>,
    /// When each message id was first sent.
    pub(crate) first_sent: BTreeMap<String, Timestamp>,
    /// The message ids in the order they were first taken.
    pub(crate) taken: Vec<String>,
    /// It cannot say what it took.
    pub(crate) is_mute: bool,
}

/// What the push service does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Accept,
    /// It takes it, and the answer is lost.
    AcceptInSilence,
    /// The request is lost.
    Lose,
    Refuse,
    /// The account may not send.
    Forbid,
    TooLarge,
    /// It will never take it.
    #[allow(dead_code, reason = "a story tells it, and the simulation does not")]
    Reject,
    /// It takes it, and says that it did not.
    Deny,
}

// === impl Post ===

impl Post {
    pub(crate) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }

    /// How many tellings it took so far.
    pub(crate) fn told(&self) -> usize {
        let held = self.held();
        held.accepted.keys().map(|id| held.asked[id].len()).sum()
    }

    /// Answers the request at this place among those waiting.
    pub(crate) fn answer(&self, at: usize, fate: Fate) {
        let mut held = self.held();
        let (id, reply) = held.waiting.swap_remove(at);
        if matches!(fate, Fate::Accept | Fate::AcceptInSilence | Fate::Deny) {
            let times = held.accepted.entry(id.clone()).or_default();
            *times += 1;
            if *times == 1 {
                held.taken.push(id.clone());
            }
        }
        let outcome = match fate {
            Fate::Accept => Outcome::Accepted(format!("job of {id}")),
            Fate::AcceptInSilence | Fate::Lose => Outcome::Unknown("timeout"),
            Fate::Refuse | Fate::Deny => Outcome::TryLater { after: None, code: "unavailable" },
            Fate::Forbid => Outcome::Forbidden("suspended".to_owned()),
            Fate::TooLarge => Outcome::TooLarge,
            Fate::Reject => Outcome::Unacceptable { code: "INVALID_REQUEST".to_owned(), member: None },
        };
        // Who asked may have crashed.
        let _ = reply.send(outcome);
    }
}

impl PushService for Post {
    fn encode(&self, batch: &Batch<'_>) -> Result<Bytes, Unsendable> {
        let telling = |member: &bugle::event::Member<'_>| {
            let letter = &batch.letters[member.letter as usize];
            Telling {
                tenant: batch.head.tenant.clone(),
                user: member.user_id.to_owned(),
                rule: batch.head.template.rule.clone(),
                conversation: letter.conversation,
                occasion: letter.occasion,
                notice: letter.notice.0,
            }
        };
        let tellings: Vec<Telling> = batch.members.iter().map(telling).collect();
        let id = batch.head.message_id.clone();
        let mut held = self.held();
        if !batch.head.template.answers.is_empty() && !held.asked.contains_key(&id) {
            let letter = |member: &bugle::event::Member<'_>| &batch.letters[member.letter as usize];
            let asked = batch.members.iter().zip(&tellings).map(|(member, telling)| Asked {
                telling: telling.clone(),
                subject: letter(member).subject.to_owned(),
                verbs: batch.head.template.answers.clone(),
            });
            held.askable.extend(asked);
        }
        let own = format!("{}|", batch.head.tenant);
        if batch.letters.iter().any(|letter| !letter.subject.starts_with(&own)) {
            held.foreign.push(id.clone());
        }
        if batch.head.template.collapse_key.is_some() {
            held.replacing.insert(id.clone());
        }
        let first = held.asked.entry(id.clone()).or_insert_with(|| tellings.clone());
        if *first != tellings {
            held.changed.push(id);
        }
        Ok(Bytes::new())
    }

    fn submit<'a>(&'a self, batch: &'a Parcel, _: Bytes) -> Answer<'a> {
        let (reply, answer) = oneshot::channel();
        let id = &batch.head.message_id;
        let mut held = self.held();
        held.first_sent.entry(id.clone()).or_insert_with(clock::now);
        held.waiting.push((id.clone(), reply));
        drop(held);
        Box::pin(async move { answer.await.unwrap_or(Outcome::Unknown("gone")) })
    }

    fn job<'a>(&'a self, _: &'a str, _: &'a str) -> Standing<'a> {
        Box::pin(async { None })
    }

    fn was_taken<'a>(&'a self, batch: &'a Parcel) -> Answer<'a> {
        let id = &batch.head.message_id;
        let held = self.held();
        let outcome = match held.accepted.contains_key(id) {
            _ if held.is_mute => Outcome::Unknown("status-refused"),
            true => Outcome::Accepted(format!("job of {id}")),
            false => Outcome::NotThere,
        };
        drop(held);
        Box::pin(async move { outcome })
    }
}
