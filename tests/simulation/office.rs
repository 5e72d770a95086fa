//! Office: a source system that answers when it is told to, and keeps a ledger of what was done in it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use bugle::clock;
use bugle::event::notice::Verb;
use bugle::event::write_back::{Ask, Came, WriteBack};
use bugle::event::{Span, Timestamp};
use bugle::source_systems::{Reply, SourceSystems};
use tokio::sync::oneshot;

#[derive(Default)]
pub(crate) struct Office {
    held: Mutex<Desk>,
}

/// Who gave which answer.
pub(crate) type Whose = (String, String);

#[derive(Default)]
pub(crate) struct Desk {
    /// How often each answer was carried out, and what it was.
    pub(crate) done: BTreeMap<Whose, (u32, Verb)>,
    /// By thing and round, whose decision stands.
    decided: BTreeMap<(String, u128), Whose>,
    /// Calls without an answer.
    pub(crate) waiting: Vec<Waiting>,
}

/// A call, and since when it waits.
pub(crate) type Waiting = (Timestamp, Ask, WriteBack, oneshot::Sender<Came>);

/// A call that waited so long has been given up on its way.
const LONGEST_CALL: Span = Span::from_secs(30);

/// What the source system does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It does what it is asked, and says so.
    Answer,
    /// It does what it is asked, and the answer is lost.
    DoInSilence,
    /// The call is lost, and nobody knows.
    Lose,
    /// It has no time.
    Refuse,
}

// === impl Office ===

impl Office {
    pub(crate) fn held(&self) -> MutexGuard<'_, Desk> {
        self.held.lock().unwrap()
    }

    /// Answers the call at this place among those waiting.
    pub(crate) fn answer(&self, at: usize, turn: Turn) {
        let mut held = self.held();
        let (since, ask, answer, reply) = held.waiting.swap_remove(at);
        let turn = if clock::now().since(since) > LONGEST_CALL { Turn::Lose } else { turn };
        let came = match turn {
            Turn::Lose => Came::Unknown("timeout"),
            Turn::Refuse => Came::TryLater(None, "unavailable"),
            Turn::Answer | Turn::DoInSilence => held.serve(ask, &answer),
        };
        let lost = turn == Turn::DoInSilence;
        // Who asked may have crashed.
        let _ = reply.send(if lost { Came::Unknown("connection-lost") } else { came });
    }
}

impl SourceSystems for Office {
    fn call<'a>(&'a self, ask: Ask, answer: &'a WriteBack) -> Reply<'a> {
        let (reply, came) = oneshot::channel();
        self.held().waiting.push((clock::now(), ask, answer.clone(), reply));
        Box::pin(async move { came.await.unwrap_or(Came::Unknown("gone")) })
    }
}

// === impl Desk ===

impl Desk {
    fn serve(&mut self, ask: Ask, answer: &WriteBack) -> Came {
        let whose = (answer.response_id.clone(), answer.responder.clone());
        let round = (answer.key(), answer.conversation);
        let others = self.decided.get(&round).is_some_and(|other| *other != whose);
        match ask {
            Ask::Look if self.done.contains_key(&whose) => Came::Confirmed,
            Ask::Look if others => Came::Refused("conflict"),
            Ask::Look => Came::Open,
            Ask::Write if others => Came::Refused("already_decided"),
            Ask::Write if answer.is_guarded() && self.done.contains_key(&whose) => Came::Confirmed,
            // It knows no ids: what it is asked it does, and again.
            Ask::Write => {
                self.done.entry(whose.clone()).or_insert((0, answer.verb)).0 += 1;
                if matches!(answer.verb, Verb::Approve | Verb::Reject) {
                    self.decided.insert(round, whose);
                }
                Came::Confirmed
            }
        }
    }
}
