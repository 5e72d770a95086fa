//! Sender: carries requests to the push service, many at once, and their answers back.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::clock::{self, Tick};
use crate::directory::Directory;
use crate::event::job::JobStatus;
use crate::event::{Reason, Span};
use crate::flow::Outbox;
use crate::flow::delivery::{self, Answer, Question, Reply};
use crate::flow::outbox::{Ask, Send};
use crate::flow::write_back::Said;
use crate::push::{Item, Outcome, PushService, Unsendable};
use crate::store::view::Board;

use super::Parts;
use super::count;
use super::lane_thread::STALE_AFTER;

/// What comes back to a lane that asked for something.
pub(super) enum Back {
    /// From the push service.
    Sent(Reply),
    /// From the push service, of a job.
    Followed((i64, u32), Option<JobStatus>),
    /// From a source system.
    Called(Said),
}

/// The requests under way in this process, bounded.
#[derive(Clone)]
pub(super) struct Requests {
    pub(super) permits: Arc<Semaphore>,
    /// The same for each push account: a slow one takes no place from another.
    by_account: Arc<Mutex<BTreeMap<String, Arc<Semaphore>>>>,
    most: usize,
    under_way: Arc<AtomicUsize>,
    /// What was last said of an account, and when.
    pub(super) said: Arc<Mutex<Heard>>,
}

/// By account or source system, the code it failed with last, and when that was said.
pub(super) type Heard = BTreeMap<String, (&'static str, Tick)>;

/// Between two lines about one account: where every other request fails, every other line says nothing.
const SAY_EVERY: Duration = Duration::from_secs(5);

// === impl Requests ===

impl Requests {
    pub(super) fn new(most: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(most.max(1))),
            by_account: Arc::default(),
            most: most.max(1),
            under_way: Arc::default(),
            said: Arc::default(),
        }
    }

    fn permits_of(&self, account: &str) -> Arc<Semaphore> {
        let mut by_account = self.by_account.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(permits) = by_account.get(account) {
            return Arc::clone(permits);
        }
        let permits = Arc::new(Semaphore::new(self.most));
        by_account.insert(account.to_owned(), Arc::clone(&permits));
        permits
    }

    /// Carries out what a lane wants of the world outside; how many answers are to be expected.
    pub(super) fn carry(
        &self,
        parts: &Parts,
        out: &mut Outbox,
        decided: &[i64],
        (partition, replies): (i32, &mpsc::Sender<(i32, Back)>),
    ) -> usize {
        let expected = out.sends.len() + out.questions.len() + out.calls.len();
        for send in out.sends.drain(..) {
            self.send(parts, (send, decided.to_vec()), partition, replies.clone());
        }
        for question in out.questions.drain(..) {
            self.follow(parts, question, partition, replies.clone());
        }
        for call in out.calls.drain(..) {
            self.call(parts, call, partition, replies.clone());
        }
        expected
    }

    /// Sends a batch as soon as a permit is free; the reply comes through `replies`. `decided` is how far the
    /// directory had been read when the lane looked whether its people still belong.
    fn send(
        &self,
        parts: &Parts,
        (send, decided): (Send, Vec<i64>),
        partition: i32,
        replies: mpsc::Sender<(i32, Back)>,
    ) {
        let (requests, permits) = (self.clone(), self.permits_of(&send.batch.head.account));
        let (push, board) = (Arc::clone(&parts.push), Arc::clone(&parts.board));
        let directory = Arc::clone(&parts.directory);
        parts.runtime.spawn(async move {
            let Ok(_permit) = permits.acquire_owned().await else { return };
            let began = Tick::now();
            // It may have waited for its turn for long, and who is in it may have left: the lane looks again, at
            // once. While nobody knows the directory, the lane holds still by itself.
            let answer = if stands(&directory, &decided) {
                answer(requests.ask((push.as_ref(), &board), &send).await)
            } else {
                Answer::NotAsked
            };
            // The lane may be gone by now; its successor asks again under the same id.
            let took = Span::from_millis(i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX));
            let _ = replies.send((partition, Back::Sent(Reply { at: send.at, answer, took })));
        });
    }

    /// Asks after a job; what is said of it comes through `replies`.
    fn follow(&self, parts: &Parts, question: Question, partition: i32, replies: mpsc::Sender<(i32, Back)>) {
        let (push, permits) = (Arc::clone(&parts.push), self.permits_of(&question.account));
        parts.runtime.spawn(async move {
            let Ok(_permit) = permits.acquire_owned().await else { return };
            let status = push.job(&question.account, &question.job_id).await;
            let _ = replies.send((partition, Back::Followed(question.at, status)));
        });
    }

    async fn ask(&self, (push, board): (&dyn PushService, &Board), send: &Send) -> Outcome {
        let asked = match send.ask {
            Ask::Take => push.encode(&send.batch.open()).map(Some),
            Ask::WasTaken => Ok(None),
        };
        match asked {
            Ok(body) => {
                let began = Tick::now();
                count::under_way(board, self.under_way.fetch_add(1, Ordering::Relaxed) + 1);
                let outcome = match body {
                    Some(body) => push.submit(&send.batch, body).await,
                    None => push.was_taken(&send.batch).await,
                };
                count::under_way(board, self.under_way.fetch_sub(1, Ordering::Relaxed) - 1);
                count::request(board, &outcome, began.elapsed());
                say(&self.said, &send.batch.head.account, &outcome);
                outcome
            }
            // The account had another transport when it was cut: it is parted until it fits.
            Err(Unsendable::Mixed { .. }) => Outcome::TooLarge,
            Err(unsendable) => {
                // A fault of ours or of the configuration: the batch waits until it is mended.
                tracing::error!(error = %unsendable, hint = unsendable.hint(), "a batch cannot be sent");
                Outcome::TryLater { after: None, code: "unsendable" }
            }
        }
    }
}

/// Whether the directory is where it was, and known to be.
fn stands(directory: &Directory, decided: &[i64]) -> bool {
    let people = directory.view();
    people.position() == decided && people.is_fresh(clock::steady(), STALE_AFTER)
}

/// One line when an account is answered otherwise than before.
fn say(said: &Mutex<Heard>, account: &str, outcome: &Outcome) {
    let (code, detail) = match outcome {
        Outcome::Accepted(_)
        | Outcome::Each(_)
        | Outcome::NotThere
        | Outcome::Unacceptable { .. }
        | Outcome::TooLarge => ("", ""),
        Outcome::TryLater { code, .. } | Outcome::Unknown(code) => (*code, ""),
        Outcome::Forbidden(detail) => ("forbidden", detail.as_str()),
    };
    if !is_news(said, account, code) {
        return;
    }
    if code.is_empty() {
        tracing::info!(account, "the push service answers again");
    } else {
        let hint = "nothing is lost and nobody told twice; see `push.url` and the account's credentials";
        tracing::warn!(account, code, detail, hint, "the push service takes nothing now; it is asked again");
    }
}

/// Whether this is to be said: it is not what was said last, nor was that just now.
pub(super) fn is_news(said: &Mutex<Heard>, of: &str, code: &'static str) -> bool {
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    let (before, at) = said.get(of).map_or(("", None), |(code, at)| (*code, Some(at)));
    if before == code || at.is_some_and(|at| at.elapsed() < SAY_EVERY) {
        return false;
    }
    said.insert(of.to_owned(), (code, Tick::now()));
    true
}

fn answer(outcome: Outcome) -> Answer {
    let perhaps = outcome.may_have_arrived();
    match outcome {
        Outcome::Accepted(job) => Answer::Accepted(job),
        Outcome::Each(items) => Answer::Each(items.into_iter().map(item).collect()),
        Outcome::TryLater { after, .. } if perhaps => Answer::Unknown(after),
        Outcome::TryLater { after, code: "rate-limited" } => Answer::Busy(after),
        Outcome::TryLater { after, .. } => Answer::TryLater(after),
        Outcome::Unacceptable { code, member } => Answer::Unacceptable(code, member),
        Outcome::TooLarge => Answer::TooLarge,
        Outcome::NotThere => Answer::NotThere,
        Outcome::Forbidden(_) => Answer::Forbidden,
        Outcome::Unknown(_) => Answer::Unknown(None),
    }
}

fn item(item: Item) -> delivery::Item {
    match item {
        Item::Accepted => delivery::Item::Accepted,
        Item::Refused(code) => delivery::Item::Ended(Reason::Refused(code)),
        Item::NoDevice => delivery::Item::Ended(Reason::NoDevice),
        Item::Later | Item::Unnamed => delivery::Item::Open,
    }
}
