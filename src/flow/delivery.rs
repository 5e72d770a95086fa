//! Delivery lane: batches go to the push service, and what became of each is written down.
//!
//! It sends nothing itself: it says what to send, and is told what came of it. Many batches are under
//! way at once; the offset stays at the oldest unfinished one, and what is finished beyond it moves
//! with the cursor, so that a restart sends only what was not finished, under the same ids. A batch that
//! is not finished in time is set aside (`parked`), and the offset goes on past it.
//!
//! **Invariant:** that a batch may have been sent is committed before it is. After a crash nobody else
//! could know it, and a batch that perhaps was accepted must keep its members and its id. So that nobody
//! waits for that commit, it speaks of a stretch ahead (`AHEAD`), read or not: who comes after a crash
//! takes all of it that was there to be read for what may have been sent; after an orderly end, none of it.

mod accounts;
mod answer;
mod begin;
mod endings;
mod following;
mod limit;
mod room;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::event::fact::AccountState;
use crate::event::job::JobStatus;
use crate::event::redrive::Redrive;
use crate::event::{Incoming, Parcel, Reason, Receipt, Span, Timestamp, Topic};

use super::cursor::At;
use super::finished::{Finished, accepted, blank};
use super::frames::FrameItems;
use super::memory::{self, BrokenMemory, Page};
use super::parked::{Parked, read_job_key};
use super::progress::Progress;
use super::turns::{Turn, Turns};
use super::underway::{Open, Stand};
use super::unfinished::Unfinished;
use accounts::Accounts;
pub use answer::{Answer, Item, Reply};
use following::Following;
pub use following::Question;

use super::{Admitted, Cursor, Outbox, Parking, Plan, Restored, Rooms, Want, World};

/// What one partition of batches has under way.
#[derive(Debug)]
pub struct DeliveryLane {
    partition: i32,
    progress: Progress,
    parking: Parking,
    /// The most bytes set aside in one transaction.
    budget: usize,
    open: BTreeMap<At, Open>,
    parked: Parked,
    turns: Turns,
    /// Ended untold since the last commit: they keep their turns until then.
    leaving: Vec<(At, Turn)>,
    /// Restored batches have their turns.
    settled_in: bool,
    unfinished: Unfinished,
    /// Batches before this may have been sent by whoever held the partition before.
    inherited: At,
    /// Batches before this may be sent: a commit says so. And before this, once the open one is.
    begun: (At, At),
    /// Nothing more is sent: the last commit says how far it came, and nothing of what is ahead.
    ends: bool,
    accounts: Accounts,
    following: Following,
    /// Receipts of the open transaction, to be written again after an abort.
    unsettled: VecDeque<Finished>,
    written: usize,
    /// The transaction that wrote to the state topic last, and what it was at the last commit.
    state: (u64, u64),
}

/// The lane, in the name of its audit chains.
const NAME: &str = "delivery";
/// The most batches under way that were set aside: what is new has its own places.
const MOST_PARKED_UNDER_WAY: usize = 16;
/// A batch that is not finished after this long is set aside.
const PARK_AFTER: Span = Span::from_secs(5);
/// How far ahead, in offsets, a commit says that batches may be sent: sixteen transactions of a lane that writes
/// into the partition, each a frame and its own end. More would leave more in doubt after a crash.
const AHEAD: i64 = 32;
/// How long a batch waits for a copy of the directory that has come as far as its own.
const DIRECTORY_WAIT: Span = Span::from_millis(200);

// === impl DeliveryLane ===

impl DeliveryLane {
    /// The lane over one partition of `bugle.pushes`, going on at `offset`.
    #[must_use]
    pub fn new(partition: i32, from: (i64, &Cursor), plan: &Plan) -> Self {
        let (offset, cursor) = from;
        Self {
            partition,
            progress: Progress::new(NAME, partition, offset, cursor),
            parking: plan.parking,
            budget: plan.budget,
            open: BTreeMap::new(),
            parked: Parked::new(partition),
            turns: Turns::default(),
            leaving: Vec::new(),
            settled_in: false,
            unfinished: Unfinished::new(offset, cursor),
            inherited: cursor.begun,
            begun: (cursor.begun, cursor.begun),
            ends: false,
            accounts: Accounts::default(),
            following: Following::new(),
            unsettled: VecDeque::new(),
            written: 0,
            state: (cursor.state, cursor.state),
        }
    }

    /// Batches under way or waiting, those set aside not counted.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.open.len()
    }

    fn take(&mut self, at: At) -> Option<Open> {
        self.open.remove(&at).or_else(|| self.parked.take(at))
    }

    fn put_back(&mut self, at: At, open: Open) {
        if open.stored.is_some() {
            self.parked.put(at, open);
        } else {
            self.open.insert(at, open);
        }
    }

    fn put_off(&mut self, at: At, mut open: Open, until: Timestamp) {
        open.stand = Stand::Due(until);
        if open.stored.is_some() {
            self.parked.note(at);
        }
        self.put_back(at, open);
    }

    /// These are looked at now.
    fn look_up(&mut self, now: Timestamp, batches: Vec<At>) {
        for at in batches {
            if let Some(mut open) = self.take(at) {
                open.stand = Stand::Due(now);
                self.put_back(at, open);
            }
        }
    }
}

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
        self.settle_in(now, world);
        let total = u32::try_from(items.clone().count()).unwrap_or(u32::MAX);
        let left = self.unfinished.read(record.offset, total);
        let directory: Arc<[i64]> = head.directory.into();
        let again = Redrive::of(&record.headers).is_some();
        for (item, place) in items.zip(0u32..).filter(|(_, place)| left.binary_search(place).is_ok()) {
            if !self.has_room() {
                self.make_room(now);
            }
            if !self.has_room() {
                return self.without_room();
            }
            let at = (record.offset, place);
            let is_poison = self.progress.is_poison(at);
            let item = item.map_err(|broken| broken.to_string());
            let parcel = |item: &[u8]| Parcel::read(frame.slice_ref(item)).map_err(|e| e.to_string());
            let batch = match item.and_then(parcel) {
                Ok(batch) => batch,
                Err(broken) => return Admitted::Stop(broken),
            };
            // Read again after the group was moved back: it is in hand, and the offset may go on.
            if self.parked.holds(at) {
                self.unfinished.finish(at);
            } else {
                let owed = Receipt { again: batch.count, ..blank(&batch.head, now) };
                if is_poison {
                    self.keep_poison(now, at, batch);
                } else {
                    self.take_in((now, at), (batch, Arc::clone(&directory)), world);
                }
                if again && at >= self.inherited {
                    self.unsettled.push_back(Finished::Receipt(owed));
                }
            }
            self.unfinished.reach((record.offset, place + 1));
        }
        self.unfinished.reach((record.offset + 1, 0));
        Admitted::Done
    }

    fn spare(&mut self) -> bool {
        self.progress.spare()
    }

    fn answered(&mut self, now: Timestamp, reply: Reply, world: &World<'_>, out: &mut Outbox) {
        let at = reply.at;
        let Some(mut open) = self.take(at) else { return };
        let batch = Arc::clone(&open.batch);
        let account = self.accounts.get(&batch.head.account);
        if account.is_some_and(|account| account.answered((now, at), reply.answer.took(), reply.took)) {
            self.release(now, &batch.head.account);
        }
        match reply.answer {
            Answer::Accepted(job) => {
                let (told, job_id) = (open.batch.count, Some(job).filter(|job| !job.is_empty()));
                let after = world.plan.accounts.terms(&open.batch.head.account).follow_after;
                if let Some((job, after)) = job_id.as_deref().zip(after) {
                    self.following.follow((now, at), &open.batch.head, job, after);
                }
                let batch = open.batch.open();
                let notices = accepted(&batch, batch.members.iter());
                let receipt = Receipt { job_id, told, notices, ..blank(batch.head, now) };
                self.unsettled.push_back(Finished::Receipt(receipt));
                out.tally.accepted_after_ms.push(now.since(open.batch.head.oldest).millis());
                self.told(now, at, open);
            }
            Answer::Each(items) => self.each((now, at), open, &items, out),
            Answer::TryLater(after) | Answer::Busy(after) => {
                let until = now + open.wait(after);
                self.put_off(at, open, until);
            }
            Answer::NotAsked => {
                open.attempts = open.attempts.saturating_sub(1);
                self.put_off(at, open, now);
            }
            Answer::Unacceptable(code, poison) => {
                self.refused((now, at), open, (Reason::Refused(code), poison), world);
            }
            Answer::TooLarge => self.refused((now, at), open, (Reason::TooLarge, None), world),
            Answer::NotThere => self.never_taken(now, at, open),
            Answer::Forbidden => {
                open.stand = Stand::Due(now);
                self.put_back(at, open);
            }
            Answer::Unknown(after) => self.in_doubt((now, at), open, after, world),
        }
    }

    fn followed(&mut self, now: Timestamp, at: At, status: Option<JobStatus>, _out: &mut Outbox) {
        self.unsettled.extend(self.following.said(now, at, status).map(Finished::Mark));
    }

    fn wake(&mut self, now: Timestamp, world: &World<'_>, out: &mut Outbox) -> Option<Want> {
        self.following.ask(now, out);
        self.settle_in(now, world);
        let old = |open: &Open| open.is_stuck() && now.since(open.since) >= PARK_AFTER;
        let aged: Vec<At> = self.open.iter().filter(|(_, open)| old(open)).map(|(at, _)| *at).collect();
        aged.into_iter().for_each(|at| self.set_aside(now, at));
        // Who stands in line comes before who comes now.
        while let Some(at) = self.accounts.next(now) {
            match self.take(at) {
                Some(open) if open.stand == Stand::Queued => self.begin((now, at), open, world, out),
                Some(open) => self.put_back(at, open),
                None => {}
            }
        }
        let due: Vec<At> = self
            .open
            .iter()
            .take_while(|(at, _)| **at < self.begun.0)
            .filter(|(_, open)| open.due().is_some_and(|due| due <= now))
            .map(|(at, _)| *at)
            .collect();
        for at in due {
            let Some(open) = self.open.remove(&at) else { continue };
            self.begin((now, at), open, world, out);
        }
        while self.parked.under_way() < MOST_PARKED_UNDER_WAY
            && let Some(at) = self.parked.due_by(now)
            && let Some(open) = self.parked.take(at)
        {
            self.begin((now, at), open, world, out);
        }
        None
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let begun = self.open.iter().take_while(|(at, _)| **at < self.begun.0);
        let due = begun.filter_map(|(_, open)| open.due()).min();
        let parks = |open: &&Open| {
            open.is_stuck() && self.parked.bytes_of(&open.batch.head.account) < self.parking.most_bytes
        };
        let aged = self.open.values().filter(parks).map(|open| open.since + PARK_AFTER).min();
        let aside = self.parked.next_due().filter(|_| self.parked.under_way() < MOST_PARKED_UNDER_WAY);
        [due, aged, aside, self.accounts.next_at(), self.following.next_due()].into_iter().flatten().min()
    }

    /// What is read beyond what may be sent waits for a commit; one comes before it does. What became of
    /// batches is waited for by nobody.
    fn presses(&self) -> bool {
        self.parked.has_changed()
            || !self.leaving.is_empty()
            || self.unfinished.next().0 + AHEAD / 2 >= self.begun.0.0
    }

    fn bound(&mut self, end: i64) {
        self.inherited = self.inherited.min((end, 0));
        self.begun = (self.begun.0.min((end, 0)), self.begun.1.min((end, 0)));
    }

    fn end(&mut self) -> bool {
        self.ends = true;
        self.begun.0 > self.sent_up_to()
    }

    fn parked(&self) -> Option<(usize, usize)> {
        Some(self.parked.size())
    }

    fn accounts(&self) -> Vec<AccountState> {
        self.accounts.states()
    }

    fn cut(&mut self, now: Timestamp, world: &World<'_>, out: &mut Outbox) {
        for finished in self.unsettled.iter().skip(self.written) {
            finished.write(self.partition, world, out);
        }
        self.written = self.unsettled.len();
        self.parked.cut(out);
        self.following.cut(self.partition, out);
        let (offset, place) = self.unfinished.low_water();
        self.progress.reach(offset, place);
        self.begun.1 = match self.ends {
            true => self.sent_up_to(),
            false => self.begun.1.max((self.unfinished.next().0 + AHEAD, 0)),
        };
        self.progress.close(now, world, out);
        self.state.0 = self.progress.position().1.sequence;
        let (offset, cursor) = self.position();
        memory::write_place(Topic::Parked, self.partition, (offset, &cursor), out);
    }

    fn restore(&mut self, record: &Incoming, placed: bool) -> Result<Restored, BrokenMemory> {
        let key = record.key.as_ref().map(Bytes::as_ref).unwrap_or_default();
        if let Some(at) = read_job_key(key) {
            self.following.restore(at, record.value.as_ref())?;
            return Ok(Restored { entries: 1, sequence: None });
        }
        if key != memory::PLACE_KEY {
            self.parked.restore(key, record.value.as_ref())?;
            return Ok(Restored { entries: 1, sequence: None });
        }
        let page = Page::read(record.value.as_deref().unwrap_or_default())?;
        self.progress.restore((NAME, self.partition), &page, placed);
        self.go_on((page.offset, &page.cursor), placed);
        Ok(Restored { entries: 0, sequence: Some(page.cursor.sequence) })
    }

    fn place(&mut self, at: (i64, &Cursor)) {
        self.progress.place((NAME, self.partition), at);
        self.go_on(at, false);
    }

    fn position(&self) -> (i64, Cursor) {
        let (offset, mut cursor) = self.progress.position();
        self.unfinished.note(offset, &mut cursor);
        (cursor.begun, cursor.state) = (self.begun.1, self.state.0);
        (offset, cursor)
    }

    fn settle(&mut self, now: Timestamp) {
        self.unsettled.drain(..self.written);
        self.written = 0;
        self.begun.0 = self.begun.1;
        self.state.1 = self.state.0;
        self.parked.settle(now);
        for (at, turn) in std::mem::take(&mut self.leaving) {
            let freed = self.turns.leave(at, &turn);
            self.look_up(now, freed);
        }
        self.following.settle();
        self.progress.settle();
    }

    fn undo(&mut self) {
        // What became of a batch does not become untrue with an abort: it is written down again.
        self.written = 0;
        self.begun.1 = self.begun.0;
        self.state.0 = self.state.1;
        self.progress.undo();
    }
}
