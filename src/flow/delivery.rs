//! Delivery lane: batches go to the push service, and what became of each is written down.
//!
//! It sends nothing itself: it says what to send, and is told what came of it. Many batches are under
//! way at once; the offset stays at the oldest unfinished one, and what is finished beyond it moves
//! with the cursor, so that a restart sends only what was not finished, under the same ids.
//!
//! **Invariant:** that a batch may have been sent is committed before it is. After a crash nobody else
//! could know it, and a batch that perhaps was accepted must keep its members and its id.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::event::{Incoming, Member, Parcel, Reason, Receipt, Span, Timestamp, Topic};

use super::batch::child;
use super::cursor::{At, MOST_DONE};
use super::finished::{Finished, blank, exception};
use super::frames::{FrameItems, FrameSet};
use super::outbox::Send;
use super::progress::Progress;
use super::unfinished::Unfinished;
use super::{Admitted, Cursor, Outbox, Plan, Rooms, Want, World};
use crate::event::push::MOST_BATCH_BYTES;

/// What the push service made of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It took it; its job id.
    Accepted(String),
    /// Not now, and certainly not accepted.
    TryLater(Option<Span>),
    /// Refused for good as a whole, with its code; perhaps because of this member.
    Unacceptable(String, Option<usize>),
    /// Refused because it is too large.
    TooLarge,
    /// The account may not send.
    Forbidden,
    /// Nobody knows whether it was accepted; ask again under the same id, not before this.
    Unknown(Option<Span>),
}

/// An answer on its way back to the lane that sent the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Which batch.
    pub at: At,
    /// What became of it.
    pub answer: Answer,
}

/// A batch that is not finished.
#[derive(Debug)]
struct Open {
    batch: Arc<Parcel>,
    directory: Arc<[i64]>,
    attempts: u32,
    /// Whether some attempt may have been accepted without our knowing.
    perhaps_accepted: bool,
    /// When to send it (again); `None` while it is under way.
    due: Option<Timestamp>,
}

/// What one partition of batches has under way.
#[derive(Debug)]
pub struct DeliveryLane {
    partition: i32,
    progress: Progress,
    open: BTreeMap<At, Open>,
    unfinished: Unfinished,
    /// Batches before this may have been sent by whoever held the partition before.
    inherited: At,
    /// Batches before this may be sent: a commit says so. And before this, once the open one is.
    begun: (At, At),
    blocked: BTreeMap<String, Timestamp>,
    splits: FrameSet,
    /// Receipts and splits of the open transaction, to be written again after an abort.
    unsettled: VecDeque<Finished>,
    written: usize,
}

/// The most batches under way or waiting in one partition; more are left in Kafka.
const MOST_OPEN: usize = 64;
/// How long an account that may not send is left alone before one batch asks again.
const BLOCKED_FOR: Span = Span::from_secs(60);
/// The first wait of a batch that was put off; doubled with each attempt, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Span = Span::from_millis(500);
const LONGEST_WAIT: Span = Span::from_secs(60);

// === impl DeliveryLane ===

impl DeliveryLane {
    /// The lane over one partition of `bugle.pushes`, going on at `offset`.
    #[must_use]
    pub fn new(partition: i32, from: (i64, &Cursor), plan: &Plan) -> Self {
        let (offset, cursor) = from;
        Self {
            partition,
            progress: Progress::new("delivery", partition, offset, cursor),
            open: BTreeMap::new(),
            unfinished: Unfinished::new(offset, cursor),
            inherited: cursor.begun,
            begun: (cursor.begun, cursor.begun),
            blocked: BTreeMap::new(),
            splits: FrameSet::new(Topic::Pushes, plan.pushes, MOST_BATCH_BYTES),
            unsettled: VecDeque::new(),
            written: 0,
        }
    }

    /// Batches under way or waiting.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.open.len()
    }

    /// Whether another batch may be taken in: few enough are under way, and should the oldest be stuck
    /// while all others end, what is done beyond it still fits the cursor.
    fn has_room(&self) -> bool {
        let open = self.open.len();
        open < MOST_OPEN && self.unfinished.entries() + open < MOST_DONE
    }

    /// What makes room: a commit when there is something to commit, else answers.
    fn without_room(&self) -> Admitted {
        let moves = self.unsettled.len() > self.written || self.unfinished.next() > self.begun.0;
        if moves { Admitted::More } else { Admitted::Wait(Want::Room) }
    }

    /// Sends a batch, unless it must be cut anew first.
    fn begin(&mut self, when: (Timestamp, At), open: Open, world: &World<'_>, out: &mut Outbox) {
        let (now, at) = when;
        if !open.perhaps_accepted && self.look_again(now, at, &open, world) {
            return;
        }
        let held = self.blocked.get(&open.batch.head.account).copied().filter(|until| *until > now);
        let mut open = open;
        if let Some(until) = held {
            open.due = Some(until);
        } else {
            out.sends.push(Send { at, batch: Arc::clone(&open.batch), attempt: open.attempts });
            open.attempts += 1;
            open.due = None;
        }
        self.open.insert(at, open);
    }

    /// While it was certainly not accepted: whoever left the audience since the cut, and whose notice
    /// expired, is taken out, and the rest becomes a new batch, written down before it is sent.
    fn look_again(&mut self, now: Timestamp, at: At, open: &Open, world: &World<'_>) -> bool {
        let moved = *open.directory != *world.directory;
        if !moved && open.batch.first_end.is_none_or(|end| end > now) {
            return false;
        }
        let batch = open.batch.open();
        // An audience that cannot be read names nobody: when in doubt nobody is told.
        let audiences: Vec<_> = match moved {
            true => batch.letters.iter().map(|letter| letter.audience.open().ok()).collect(),
            false => Vec::new(),
        };
        let reason = |member: &Member<'_>| {
            let letter = batch.letters.get(member.letter as usize)?;
            if letter.expires_at.is_some_and(|end| end <= now) {
                return Some(Reason::Expired);
            }
            let audience = || audiences.get(member.letter as usize)?.as_ref();
            let belongs = !moved
                || audience().is_some_and(|audience| {
                    world.people.belongs(&batch.head.tenant, audience, member.user_id)
                });
            (!belongs).then_some(Reason::LeftAudience)
        };
        let (kept, gone): (Vec<_>, Vec<_>) = batch
            .members
            .iter()
            .map(|member| (member, reason(member)))
            .partition(|(_, reason)| reason.is_none());
        if gone.is_empty() {
            return false;
        }
        let exceptions =
            gone.into_iter().filter_map(|(member, reason)| Some(exception(&batch, member, reason?)));
        let receipt = Receipt { exceptions: exceptions.collect(), ..blank(batch.head, now) };
        self.unsettled.push_back(Finished::Receipt(receipt));
        if !kept.is_empty() {
            let kept: Vec<Member<'_>> = kept.into_iter().map(|(member, _)| *member).collect();
            let directory = Arc::from(world.directory);
            self.unsettled.push_back(Finished::Children(vec![child(&batch, &kept)], directory));
        }
        self.finish(at);
        true
    }

    fn finish(&mut self, at: At) {
        self.open.remove(&at);
        self.unfinished.finish(at);
    }

    /// All members of a batch end with `reason`.
    fn give_up(&mut self, now: Timestamp, at: At, parcel: &Parcel, reason: &Reason) {
        let batch = parcel.open();
        let exceptions =
            batch.members.iter().map(|member| exception(&batch, member, reason.clone())).collect();
        self.unsettled.push_back(Finished::Receipt(Receipt { exceptions, ..blank(batch.head, now) }));
        self.finish(at);
    }

    /// A refused batch is halved, or the named member set apart, until the poison is alone.
    ///
    /// **Invariant:** the children are written down, in one transaction with the end of their parent,
    /// before any of them is sent. A parent of which an attempt may have been accepted is never split:
    /// its children would have other ids, and its people would be told twice.
    fn split(&mut self, at: At, open: &Open, poison: Option<usize>) {
        let batch = open.batch.open();
        let members = &batch.members;
        let parts = match poison.filter(|index| *index < members.len()) {
            Some(index) => {
                let rest = [&members[..index], &members[index + 1..]].concat();
                vec![members[index..=index].to_vec(), rest]
            }
            None => {
                let (left, right) = members.split_at(members.len() / 2);
                vec![left.to_vec(), right.to_vec()]
            }
        };
        let children = parts.iter().map(|part| child(&batch, part)).collect();
        self.unsettled.push_back(Finished::Children(children, Arc::clone(&open.directory)));
        self.finish(at);
    }

    fn put_off(&mut self, at: At, mut open: Open, until: Timestamp) {
        open.due = Some(until);
        self.open.insert(at, open);
    }

    fn refused(&mut self, now: Timestamp, at: At, open: Open, refusal: (Reason, Option<usize>)) {
        let (reason, poison) = refusal;
        if open.perhaps_accepted {
            // The same id may still be asked again; only when that never ends is it unknown.
            if open.attempts >= MOST_ATTEMPTS_UNKNOWN {
                self.give_up(now, at, &open.batch, &Reason::Unknown);
            } else {
                let until = now + wait(&open, None);
                self.put_off(at, open, until);
            }
        } else if open.batch.count == 1 {
            self.unsettled.push_back(Finished::Poison(at, Arc::clone(&open.batch), reason.to_string()));
            self.give_up(now, at, &open.batch, &reason);
        } else {
            self.split(at, &open, poison);
        }
    }
}

/// How often a batch that may have been accepted is asked about under its own id.
const MOST_ATTEMPTS_UNKNOWN: u32 = 20;

impl Rooms for DeliveryLane {
    fn admit(&mut self, now: Timestamp, record: &Incoming, world: &World<'_>, _out: &mut Outbox) -> Admitted {
        if self.unfinished.was_read(record.offset) {
            return Admitted::Done;
        }
        let frame = record.value.clone().unwrap_or_default();
        let (head, items) = match FrameItems::read(&frame) {
            Ok(read) => read,
            Err(broken) => return Admitted::Stop(broken.to_string()),
        };
        if !world.people.reached(&head.directory) {
            return Admitted::Wait(Want::Directory(head.directory));
        }
        let total = u32::try_from(items.clone().count()).unwrap_or(u32::MAX);
        let left = self.unfinished.read(record.offset, total);
        let directory: Arc<[i64]> = head.directory.into();
        for (item, place) in items.zip(0u32..).filter(|(_, place)| left.binary_search(place).is_ok()) {
            if !self.has_room() {
                return self.without_room();
            }
            let item = item.map_err(|broken| broken.to_string());
            let parcel = |item: &[u8]| Parcel::read(frame.slice_ref(item)).map_err(|e| e.to_string());
            let batch = match item.and_then(parcel) {
                Ok(parcel) => Arc::new(parcel),
                Err(broken) => return Admitted::Stop(broken),
            };
            let (at, directory) = ((record.offset, place), Arc::clone(&directory));
            let perhaps_accepted = at < self.inherited;
            self.open.insert(at, Open { batch, directory, attempts: 0, perhaps_accepted, due: Some(now) });
            self.unfinished.reach((record.offset, place + 1));
        }
        self.unfinished.reach((record.offset + 1, 0));
        Admitted::Done
    }

    fn answered(&mut self, now: Timestamp, reply: Reply, _world: &World<'_>, out: &mut Outbox) {
        let at = reply.at;
        let Some(mut open) = self.open.remove(&at) else { return };
        match reply.answer {
            Answer::Accepted(job) => {
                let told = open.batch.count;
                let receipt = Receipt { job_id: Some(job), told, ..blank(&open.batch.head, now) };
                self.unsettled.push_back(Finished::Receipt(receipt));
                out.tally.accepted_after_ms.push(now.since(open.batch.head.oldest).millis());
                self.finish(at);
            }
            Answer::TryLater(after) => {
                let until = now + wait(&open, after);
                self.put_off(at, open, until);
            }
            Answer::Unacceptable(code, poison) => {
                self.refused(now, at, open, (Reason::Refused(code), poison));
            }
            Answer::TooLarge => self.refused(now, at, open, (Reason::TooLarge, None)),
            Answer::Forbidden => {
                let until = now + BLOCKED_FOR;
                self.blocked.insert(open.batch.head.account.clone(), until);
                self.put_off(at, open, until);
            }
            Answer::Unknown(after) => {
                open.perhaps_accepted = true;
                let until = now + wait(&open, after);
                self.put_off(at, open, until);
            }
        }
    }

    fn wake(&mut self, now: Timestamp, world: &World<'_>, out: &mut Outbox) -> Option<Want> {
        let due: Vec<At> = self
            .open
            .iter()
            .take_while(|(at, _)| **at < self.begun.0)
            .filter(|(_, open)| open.due.is_some_and(|due| due <= now))
            .map(|(at, _)| *at)
            .collect();
        for at in due {
            let Some(open) = self.open.remove(&at) else { continue };
            self.begin((now, at), open, world, out);
        }
        None
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let begun = self.open.iter().take_while(|(at, _)| **at < self.begun.0);
        begun.filter_map(|(_, open)| open.due).min()
    }

    fn cut(&mut self, _now: Timestamp, world: &World<'_>, out: &mut Outbox) {
        for finished in self.unsettled.iter().skip(self.written) {
            finished.write(self.partition, world, (&mut self.splits, out));
        }
        self.splits.cut(out);
        self.written = self.unsettled.len();
        let (offset, place) = self.unfinished.low_water();
        self.progress.reach(offset, place);
        self.begun.1 = self.begun.1.max(self.unfinished.next());
        self.progress.close(world.plan, out);
    }

    fn position(&self) -> (i64, Cursor) {
        let (offset, mut cursor) = self.progress.position();
        self.unfinished.note(offset, &mut cursor);
        cursor.begun = self.begun.1;
        (offset, cursor)
    }

    fn settle(&mut self, _now: Timestamp) {
        self.unsettled.drain(..self.written);
        self.written = 0;
        self.begun.0 = self.begun.1;
        self.progress.settle();
    }

    fn undo(&mut self) {
        // What became of a batch does not become untrue with an abort: it is written down again.
        self.written = 0;
        self.begun.1 = self.begun.0;
        self.splits.clear();
        self.progress.undo();
    }
}

/// Exponential with full jitter. The random number comes from the batch's id and the attempt, since a
/// lane has no other source of chance; different batches spread all the same.
fn wait(open: &Open, at_least: Option<Span>) -> Span {
    let doubled = FIRST_WAIT.millis().saturating_mul(1 << open.attempts.saturating_sub(1).min(10));
    let most = doubled.min(LONGEST_WAIT.millis());
    let chance = crate::event::hash128([open.batch.head.message_id.as_bytes(), &open.attempts.to_le_bytes()]);
    let jittered = i64::try_from(chance % u128::from(most.unsigned_abs().max(1))).unwrap_or(0);
    Span::from_millis(jittered.max(1)).max(at_least.unwrap_or(Span::ZERO))
}
