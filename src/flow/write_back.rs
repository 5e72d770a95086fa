//! Write-back lane: answers that count are carried into the system that asked, each once.
//!
//! It calls nobody itself: it says what to ask of a source system, and is told what came of it. What is about
//! one thing is carried out in its order; what is about others does not wait for it.
//!
//! **Invariant:** that an answer is being carried out is committed before the source system is called. After
//! an outcome that nobody knows, and after a restart, it is only looked whether it was carried out: done by
//! this responder and in this way is done, all as the person saw it may be tried again, and anything else is a
//! conflict. A source system without idempotency would else be told a second time, perhaps in a second round
//! of the same step that nobody looked at.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::codec;
use crate::event::redrive::Redrive;
use crate::event::write_back::{Ask, Came, Carried};
use crate::event::{Incoming, Outgoing, Span, Timestamp, Topic, hash128};
use crate::store::keyed::{NEVER, Second};
use crate::store::spill::DiskFault;
use crate::store::{Keyed, Spill};

pub use super::call::{Call, CallId, Said};
use super::carried::{returned, unreadable, verdict};
use super::dead_letter::{self, Cause};
use super::memory::{self, BrokenMemory, Page};
use super::progress::Progress;
use super::queue::{Job, Phase, Queue};
use super::{Admitted, Cursor, Outbox, PANICKED, Restored, Rooms, Want, World};

/// The lane, in the name of its audit chains.
const NAME: &str = "write_back";
/// The most things with open answers in one partition; more are left in Kafka.
const MOST_OPEN: usize = 10_000;
/// The most calls of one partition under way at once.
const MOST_CALLS: usize = 32;
/// The most answers about one thing that wait for one another.
const MOST_WAITING: usize = 256;
/// A call that was begun so long ago has ended, whoever made it: it waits its turn for at most 8 s, and takes at
/// most 30 s.
const SETTLES: Span = Span::from_secs(45);
/// After this an answer that could not be carried out is given up: nobody waits for it any more.
const GIVEN_UP: Span = Span::from_secs(7 * 86_400);

/// What one partition of answers has to carry out.
#[derive(Debug)]
pub struct WriteBackLane {
    partition: i32,
    progress: Progress,
    /// A [`Queue`] for each thing.
    kept: Keyed,
    /// The transaction that wrote entries last, and what it was at the last commit.
    written: (u64, u64),
    /// Calls under way, by thing.
    calls: BTreeMap<u128, CallId>,
    /// Begun in the open transaction: they are called when it is committed.
    begun: Vec<u128>,
    /// Committed as begun, and not called yet.
    ready: Vec<u128>,
    /// Of these the open transaction took in what came of a call. An abort forgets it: they are asked after.
    heard: BTreeSet<u128>,
    again: Vec<u128>,
}

// === impl WriteBackLane ===

impl WriteBackLane {
    /// The lane over one partition of `bugle.writebacks`, going on at `offset`.
    #[must_use]
    pub fn new(partition: i32, from: (i64, &Cursor), spill: &Spill) -> Self {
        Self {
            partition,
            progress: Progress::new(NAME, partition, from.0, from.1),
            kept: Keyed::within(spill),
            written: (from.1.state, from.1.state),
            calls: BTreeMap::new(),
            begun: Vec::new(),
            ready: Vec::new(),
            heard: BTreeSet::new(),
            again: Vec::new(),
        }
    }

    fn has_room(&self) -> bool {
        self.calls.len() + self.begun.len() + self.ready.len() + self.again.len() < MOST_CALLS
    }

    /// An entry was read once when it was restored, or written by this very code.
    fn with<T>(&mut self, key: u128, look: impl FnOnce(Queue<'_>) -> T) -> T {
        look(self.kept.get(key).and_then(|entry| Queue::read(entry).ok()).unwrap_or_default())
    }

    fn owned(&mut self, key: u128) -> Queue<'static> {
        self.with(key, |queue| Queue {
            jobs: queue
                .jobs
                .into_iter()
                .map(|job| Job { record: Cow::Owned(job.record.into_owned()), ..job })
                .collect(),
        })
    }

    fn put(&mut self, key: u128, queue: &Queue<'_>, due: Second) {
        match queue.jobs.first() {
            Some(_) => self.kept.put(key, due, &queue.write()),
            None => self.kept.remove(key),
        }
    }

    /// Takes up what is due: what was never tried is written down as begun, of what may have been done it is
    /// asked whether it was.
    fn begin(&mut self, now: Timestamp, key: u128, world: &World<'_>, out: &mut Outbox) {
        let mut queue = self.owned(key);
        let Some(job) = queue.jobs.first_mut() else { return self.kept.remove(key) };
        if self.calls.contains_key(&key) {
            return self.put(key, &queue, NEVER);
        }
        if now.since(job.since) > GIVEN_UP {
            return self.end((now, world), key, Came::Dead("write-back-gave-up"), out);
        }
        if job.phase == Phase::Attempting {
            self.put(key, &queue, NEVER);
            return self.call(key, Ask::Look, out);
        }
        (job.phase, job.begun, job.due) = (Phase::Attempting, now, now);
        self.put(key, &queue, NEVER);
        self.begun.push(key);
    }

    fn call(&mut self, key: u128, ask: Ask, out: &mut Outbox) {
        let call = self.with(key, |queue| {
            let job = queue.jobs.first()?;
            let answer = codec::write_back::read(&job.record).ok()?;
            Some((CallId { key, offset: job.offset, number: job.calls }, answer))
        });
        if let Some((id, answer)) = call {
            self.calls.insert(key, id);
            out.calls.push(Call { id, ask, answer: Arc::new(answer) });
        }
    }

    /// It is called again later.
    fn put_off(&mut self, key: u128, phase: Phase, until: Timestamp) {
        let mut queue = self.owned(key);
        if let Some(job) = queue.jobs.first_mut() {
            (job.phase, job.due, job.calls) = (phase, until, job.calls.saturating_add(1));
        }
        // Rounded up: a wait is never shorter than it says.
        self.put(key, &queue, second(until + Span::from_millis(999)));
    }

    /// It is carried out anew, at once.
    fn try_again(&mut self, now: Timestamp, key: u128) {
        self.put_off(key, Phase::Waiting, now);
        let queue = self.owned(key);
        self.put(key, &queue, second(now));
    }

    /// It was not carried out. That is believed when no call of before can be under way any more.
    fn found_open(&mut self, now: Timestamp, key: u128) {
        let settled = self.with(key, |queue| {
            let job = queue.jobs.first()?;
            let guarded = codec::write_back::read(&job.record).is_ok_and(|answer| answer.is_guarded());
            (!guarded).then_some(job.begun + SETTLES)
        });
        match settled.filter(|settled| *settled > now) {
            Some(settled) => self.put_off(key, Phase::Attempting, settled),
            None => self.try_again(now, key),
        }
    }

    /// The first answer about a thing has ended; the next one's turn has come.
    fn end(&mut self, (now, world): (Timestamp, &World<'_>), key: u128, came: Came, out: &mut Outbox) {
        let mut queue = self.owned(key);
        if queue.jobs.is_empty() {
            return;
        }
        let job = queue.jobs.remove(0);
        let carried = match came {
            Came::Confirmed => Carried::Confirmed,
            Came::Refused(code) => Carried::Refused(code.to_owned()),
            Came::Dead(code) | Came::Unknown(code) | Came::TryLater(_, code) => {
                self.bury((job.offset, &job.record), code, out);
                Carried::Dead(code.to_owned())
            }
            Came::Open => return,
        };
        if let Ok(answer) = codec::write_back::read(&job.record) {
            returned((now, world), &answer, &carried).into_iter().for_each(|record| out.put(record));
            out.verdicts.push(verdict(now, &answer, carried));
        }
        let next = queue.jobs.first().map_or(NEVER, |job| second(job.due));
        self.put(key, &queue, next);
    }

    fn bury(&self, (offset, record): (i64, &[u8]), code: &'static str, out: &mut Outbox) {
        let at = (Topic::Writebacks, self.partition, offset);
        let message = "the answer counts, and was not carried into the source system";
        let cause = Cause { lane: NAME, code, message, at, rule: None, subject: None };
        let value = Some(bytes::Bytes::copy_from_slice(record));
        out.put(dead_letter::record(&cause, None, value, &[]));
        out.tally.dead_letters.push(code);
    }

    fn take_in(&mut self, now: Timestamp, record: &Incoming, out: &mut Outbox) {
        let value = record.value.as_deref().unwrap_or_default();
        let Ok(answer) = codec::write_back::read(value) else {
            self.bury((record.offset, value), "write-back-unreadable", out);
            return out.verdicts.push(unreadable(now, record));
        };
        let key = hash128([answer.tenant.as_bytes(), answer.key().as_bytes()]);
        let mut queue = self.owned(key);
        if queue.jobs.len() >= MOST_WAITING {
            self.bury((record.offset, value), "write-back-gave-up", out);
            let carried = Carried::Dead("write-back-gave-up".to_owned());
            return out.verdicts.push(verdict(now, &answer, carried));
        }
        let alone = queue.jobs.is_empty();
        // What was set aside before may have been done all the same: first it is looked.
        let again = Redrive::of(&record.headers).is_some();
        out.tally.write_backs += u64::from(again);
        queue.jobs.push(Job {
            offset: record.offset,
            record: Cow::Borrowed(value),
            since: now,
            phase: if again { Phase::Attempting } else { Phase::Waiting },
            calls: 0,
            begun: now,
            due: now,
        });
        // The others wait for the first, and are not due before it has ended.
        let due = if alone { second(now) } else { self.kept.due_of(key).unwrap_or(NEVER) };
        self.put(key, &queue, due);
    }
}

impl Rooms for WriteBackLane {
    fn admit(&mut self, now: Timestamp, record: &Incoming, _world: &World<'_>, out: &mut Outbox) -> Admitted {
        if self.progress.place_in(record.offset).is_none() {
            return Admitted::Done;
        }
        if self.kept.len() >= MOST_OPEN {
            return Admitted::Wait(Want::Room);
        }
        if self.progress.is_poison((record.offset, 0)) {
            self.bury((record.offset, record.value.as_deref().unwrap_or_default()), PANICKED.0, out);
            out.verdicts.push(unreadable(now, record));
        } else {
            self.take_in(now, record, out);
        }
        self.progress.finish(record.offset);
        Admitted::Done
    }

    fn spare(&mut self) -> bool {
        self.progress.spare()
    }

    fn heard(&mut self, now: Timestamp, said: Said, world: &World<'_>, out: &mut Outbox) {
        let key = said.id.key;
        // One of a call that was given up is none of this one's.
        if self.calls.get(&key) != Some(&said.id) {
            return;
        }
        self.calls.remove(&key);
        self.heard.insert(key);
        let later = |after: Option<Span>| now + said.id.wait().max(after.unwrap_or(Span::ZERO));
        match (said.ask, said.came) {
            (_, came @ (Came::Confirmed | Came::Refused(_) | Came::Dead(_))) => {
                self.end((now, world), key, came, out);
            }
            (Ask::Look, Came::Open) => self.found_open(now, key),
            (Ask::Write, Came::TryLater(after, _)) => self.put_off(key, Phase::Waiting, later(after)),
            // A look that found nothing out changes nothing about what may have been done before it.
            (Ask::Look, Came::TryLater(after, _)) => self.put_off(key, Phase::Attempting, later(after)),
            (_, Came::Unknown(_) | Came::Open) => self.put_off(key, Phase::Attempting, later(None)),
        }
    }

    fn wake(&mut self, now: Timestamp, world: &World<'_>, out: &mut Outbox) -> Option<Want> {
        for key in std::mem::take(&mut self.ready) {
            self.call(key, Ask::Write, out);
        }
        for key in std::mem::take(&mut self.again) {
            if !self.calls.contains_key(&key) && self.kept.contains(key) {
                self.call(key, Ask::Look, out);
            }
        }
        while self.has_room()
            && let Some(key) = self.kept.due_by(second(now))
        {
            self.begin(now, key, world, out);
        }
        None
    }

    fn wake_at(&self) -> Option<Timestamp> {
        if !self.ready.is_empty() || !self.again.is_empty() {
            return Some(Timestamp::from_millis(0));
        }
        let due = self.kept.next_due().filter(|_| self.has_room())?;
        Some(Timestamp::from_millis(i64::from(due) * 1_000))
    }

    fn open(&self) -> Option<usize> {
        Some(self.kept.len())
    }

    fn cut(&mut self, now: Timestamp, world: &World<'_>, out: &mut Outbox) {
        self.progress.close(now, world, out);
        let (offset, mut cursor) = self.progress.position();
        let mut changed = self.kept.changed().peekable();
        if changed.peek().is_none() {
            return;
        }
        for (key, entry) in changed {
            out.put(Outgoing {
                topic: Topic::WritebackState,
                partition: Some(self.partition),
                key: Some(bytes::Bytes::copy_from_slice(&key.to_be_bytes())),
                value: entry.map(bytes::Bytes::copy_from_slice),
                headers: Vec::new(),
            });
        }
        self.written.0 = cursor.sequence;
        cursor.state = cursor.sequence;
        memory::write_place(Topic::WritebackState, self.partition, (offset, &cursor), out);
    }

    fn restore(&mut self, record: &Incoming, placed: bool) -> Result<Restored, BrokenMemory> {
        let value = record.value.as_deref();
        if let Some(key) = record.key.as_deref().and_then(|key| key.try_into().ok()) {
            let due = |queue: &Queue<'_>| queue.jobs.first().map_or(NEVER, |job| second(job.due));
            let entry = value.map(|entry| Ok((due(&Queue::read(entry)?), entry))).transpose()?;
            self.kept.restore(u128::from_be_bytes(key), entry);
            return Ok(Restored { entries: 1, sequence: None });
        }
        let page = Page::read(value.unwrap_or_default())?;
        self.written = [page.cursor.state.max(self.written.0); 2].into();
        self.progress.restore((NAME, self.partition), &page, placed);
        Ok(Restored { entries: 0, sequence: Some(page.cursor.sequence) })
    }

    fn place(&mut self, at: (i64, &Cursor)) {
        self.written = [at.1.state.max(self.written.0); 2].into();
        self.progress.place((NAME, self.partition), at);
    }

    fn restored(&mut self) {
        self.kept.restored();
    }

    fn fault(&self) -> Option<&DiskFault> {
        self.kept.fault()
    }

    fn position(&self) -> (i64, Cursor) {
        let (offset, cursor) = self.progress.position();
        (offset, Cursor { state: self.written.0, ..cursor })
    }

    fn settle(&mut self, _now: Timestamp) {
        self.progress.settle();
        self.written.1 = self.written.0;
        self.kept.settle();
        self.ready.append(&mut self.begun);
        self.heard.clear();
    }

    fn undo(&mut self) {
        self.progress.undo();
        self.written.0 = self.written.1;
        self.kept.undo();
        self.begun.clear();
        self.again.extend(std::mem::take(&mut self.heard));
    }
}

/// The second in which a moment lies: what is new is due at once.
fn second(at: Timestamp) -> Second {
    Second::try_from(at.millis().max(0) / 1_000).unwrap_or(NEVER)
}
