//! Parked: batches that are not finished in time, written down so that nobody waits behind them.
//!
//! The offset goes on past a parked batch: its bytes lie in `bugle.pushes.state` (compacted) until it is
//! finished, and a new owner takes it up from there, under the same id. The parts of a split are set aside
//! from the first: nothing that was read since comes before them, whoever goes on.
//!
//! **Invariant:** an entry that says `never` was certainly not sent by anybody. That it may be sent is
//! written down, and committed, before it is.
//!
//! Under the key (offset, place) stands an entry: version byte, head, the batch's bytes. Under the same key
//! and one byte more stands what has happened to it since, which is small where the batch is large.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::event::frame::{append, take};
use crate::event::{Outgoing, Parcel, Timestamp, Topic, hash128};

use super::Outbox;
use super::cursor::At;
use super::memory::BrokenMemory;
use super::underway::{Open, Stand};

/// The format this version writes; of a later one it reads nothing.
const VERSION: u8 = 2;
/// The length of an entry's key, and of its mark's.
const KEY: usize = size_of::<i64>() + size_of::<u32>();
const MARK: usize = KEY + 1;
/// The places of parts begin here, beyond those of any frame.
const PARTS: u32 = 1 << 31;

/// The batches set aside in one partition.
#[derive(Debug)]
pub(super) struct Parked {
    partition: i32,
    batches: BTreeMap<At, Open>,
    due: BTreeSet<(Timestamp, At)>,
    bytes: BTreeMap<String, usize>,
    under_way: usize,
    /// What the next transaction writes, and its bytes.
    changed: BTreeMap<At, Change>,
    unwritten: usize,
}

/// How far a parked batch is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    /// Whether a commit says that it may have been sent.
    pub(super) cleared: Cleared,
    /// Whether a commit holds its bytes.
    durable: bool,
}

/// Whether a parked batch may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cleared {
    /// Not before a commit says so.
    No,
    /// The next commit will say so.
    Asked,
    /// A commit says so.
    Yes,
}

/// What is to be written of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Mark,
    Whole,
    Gone,
}

/// What is known of a batch beside its bytes.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    attempts: u32,
    /// Whether it may have been sent.
    maybe: bool,
    not_before: Timestamp,
    /// How far the directory had been read when it was cut.
    directory: Vec<i64>,
    /// Its place in the order: for a part, that of the whole.
    turn: At,
}

/// What has happened since it was written down.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    attempts: u32,
    maybe: bool,
    not_before: Timestamp,
}

// === impl Parked ===

impl Parked {
    pub(super) fn new(partition: i32) -> Self {
        Self {
            partition,
            batches: BTreeMap::new(),
            due: BTreeSet::new(),
            bytes: BTreeMap::new(),
            under_way: 0,
            changed: BTreeMap::new(),
            unwritten: 0,
        }
    }

    /// Sets a batch aside. `sent`: whether it may have been sent before.
    pub(super) fn park(&mut self, at: At, mut open: Open, sent: bool) {
        let size = open.batch.bytes().len();
        *self.bytes.entry(open.batch.head.account.clone()).or_default() += size;
        self.unwritten += size;
        let cleared = if sent { Cleared::Yes } else { Cleared::No };
        open.stored = Some(Stored { cleared, durable: false });
        self.changed.insert(at, Change::Whole);
        self.put(at, open);
    }

    /// Where a part of the batch there is set aside. What is said of a request finds its batch by its place, so
    /// that no two parts may ever have one: the place comes from the part's id.
    pub(super) fn place_of(&self, part: &Parcel, whole: At) -> At {
        let digest = hash128([part.head.message_id.as_bytes()]);
        let number = u32::try_from(digest % u128::from(PARTS)).unwrap_or_default();
        let mut places = (0..PARTS).map(|more| (whole.0, PARTS + (number + more) % PARTS));
        places.find(|at| !self.holds(*at)).unwrap_or(whole)
    }

    /// Whether something waits to be written down.
    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Takes a batch out to work on it; it is put back, or it has ended.
    pub(super) fn take(&mut self, at: At) -> Option<Open> {
        let open = self.batches.remove(&at)?;
        match open.stand {
            Stand::UnderWay | Stand::Clearing => self.under_way -= 1,
            Stand::Due(due) | Stand::Held(due) => drop(self.due.remove(&(due, at))),
            Stand::Queued | Stand::Behind => {}
        }
        Some(open)
    }

    /// Puts a batch back.
    pub(super) fn put(&mut self, at: At, open: Open) {
        match open.stand {
            Stand::UnderWay | Stand::Clearing => self.under_way += 1,
            Stand::Due(due) | Stand::Held(due) => drop(self.due.insert((due, at))),
            Stand::Queued | Stand::Behind => {}
        }
        self.batches.insert(at, open);
    }

    /// What was taken out waits for another time; that is written down.
    pub(super) fn note(&mut self, at: At) {
        let change = self.changed.entry(at).or_insert(Change::Mark);
        *change = (*change).max(Change::Mark);
    }

    /// What was taken out is finished.
    pub(super) fn end(&mut self, at: At, open: &Open) {
        let account = &open.batch.head.account;
        let size = open.batch.bytes().len();
        if let Some(bytes) = self.bytes.get_mut(account) {
            *bytes = bytes.saturating_sub(size);
        }
        if open.stored.is_some_and(|stored| stored.durable) {
            self.changed.insert(at, Change::Gone);
        } else {
            self.changed.remove(&at);
        }
    }

    /// The batch that is due first, if it is by `now`.
    pub(super) fn due_by(&self, now: Timestamp) -> Option<At> {
        self.due.first().filter(|(due, _)| *due <= now).map(|(_, at)| *at)
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Whether a batch is here.
    pub(super) fn holds(&self, at: At) -> bool {
        self.batches.contains_key(&at)
    }

    /// The batches that are held for an account.
    pub(super) fn held(&self, account: &str) -> Vec<At> {
        let held = |open: &Open| matches!(open.stand, Stand::Held(_)) && open.batch.head.account == account;
        self.batches.iter().filter(|(_, open)| held(open)).map(|(at, _)| *at).collect()
    }

    /// How many are under way, or about to be.
    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    /// How many batches there are, and how many bytes they have.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.batches.len(), self.bytes.values().sum())
    }

    /// How many bytes are set aside for an account.
    pub(super) fn bytes_of(&self, account: &str) -> usize {
        self.bytes.get(account).copied().unwrap_or_default()
    }

    /// How many bytes the next transaction has to write.
    pub(super) fn unwritten(&self) -> usize {
        self.unwritten
    }

    /// Writes what changed.
    pub(super) fn cut(&self, out: &mut Outbox) {
        for (at, change) in &self.changed {
            match (change, self.batches.get(at)) {
                (Change::Whole, Some(open)) => self.write(key(*at).to_vec(), Some(whole(open)), out),
                (Change::Mark, Some(open)) => self.write(mark_key(*at).to_vec(), Some(mark(open)), out),
                _ => {
                    self.write(key(*at).to_vec(), None, out);
                    self.write(mark_key(*at).to_vec(), None, out);
                }
            }
        }
    }

    fn write(&self, key: Vec<u8>, value: Option<Vec<u8>>, out: &mut Outbox) {
        out.put(Outgoing {
            topic: Topic::Parked,
            partition: Some(self.partition),
            key: Some(key.into()),
            value: value.map(Into::into),
            headers: Vec::new(),
        });
    }

    /// The transaction was committed. After an abort everything is written again: what became of a batch
    /// does not become untrue.
    pub(super) fn settle(&mut self, now: Timestamp) {
        self.unwritten = 0;
        for at in std::mem::take(&mut self.changed).into_keys() {
            let Some(open) = self.batches.get_mut(&at) else { continue };
            let Some(stored) = &mut open.stored else { continue };
            stored.durable = true;
            if stored.cleared == Cleared::Asked {
                stored.cleared = Cleared::Yes;
                open.stand = Stand::Due(now);
                self.under_way -= 1;
                self.due.insert((now, at));
            }
        }
    }

    /// An entry or its mark, as an owner before left it.
    ///
    /// # Errors
    /// [`BrokenMemory`].
    pub(super) fn restore(&mut self, key: &[u8], value: Option<&Bytes>) -> Result<(), BrokenMemory> {
        let at = read_key(key).ok_or(BrokenMemory::Damaged)?;
        let before = self.take(at);
        let Some(value) = value else {
            // The mark goes with its entry, in the same transaction.
            if let Some(before) = before {
                self.end(at, &before);
                self.changed.remove(&at);
            }
            return Ok(());
        };
        let (version, _) = value.split_first().ok_or(BrokenMemory::Damaged)?;
        if *version != VERSION {
            return Err(BrokenMemory::Version(*version));
        }
        let body = value.slice(1..);
        let open = if key.len() == KEY {
            let open = read(&body)?;
            if before.is_none() {
                let size = open.batch.bytes().len();
                *self.bytes.entry(open.batch.head.account.clone()).or_default() += size;
            }
            Some(open)
        } else {
            let (mark, _) = take::<Mark>(&body).map_err(|_| BrokenMemory::Damaged)?;
            before.map(|open| happened(open, &mark))
        };
        if let Some(open) = open {
            self.put(at, open);
        }
        Ok(())
    }

    /// Where the job that a batch became is kept.
    pub(super) fn job_key(at: At) -> Vec<u8> {
        [&key(at)[..], b"?"].concat()
    }

    /// Every batch, in the order in which they were taken in.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (At, &mut Open)> {
        self.batches.iter_mut().map(|(at, open)| (*at, open))
    }
}

/// Whether a record under this key of `bugle.pushes.state` is a batch.
#[must_use]
pub fn is_batch(key: &[u8]) -> bool {
    key.len() == KEY
}

/// The batch that a record of `bugle.pushes.state` keeps, and its place; `None` for what is no batch.
#[must_use]
pub fn batch_of(key: &[u8], value: &Bytes) -> Option<(At, Parcel)> {
    let at = read_key(key).filter(|_| is_batch(key))?;
    let body = value.get(1..)?;
    let (_, rest) = take::<Head>(body).ok()?;
    Some((at, Parcel::read(value.slice_ref(rest)).ok()?))
}

fn key((offset, place): At) -> [u8; KEY] {
    let mut key = [0; KEY];
    key[..size_of::<i64>()].copy_from_slice(&offset.to_be_bytes());
    key[size_of::<i64>()..].copy_from_slice(&place.to_be_bytes());
    key
}

fn mark_key(at: At) -> [u8; MARK] {
    let mut mark = [b'!'; MARK];
    mark[..KEY].copy_from_slice(&key(at));
    mark
}

/// The batch under whose key, and one byte more, a job is kept; `None` for any other key.
pub(super) fn read_job_key(key: &[u8]) -> Option<At> {
    key.strip_suffix(b"?").filter(|key| key.len() == KEY).and_then(read_key)
}

fn read_key(key: &[u8]) -> Option<At> {
    let (offset, rest) = key.split_first_chunk()?;
    let (place, rest) = rest.split_first_chunk()?;
    (rest.is_empty() || rest == b"!").then(|| (i64::from_be_bytes(*offset), u32::from_be_bytes(*place)))
}

fn maybe(open: &Open) -> bool {
    open.stored.is_some_and(|stored| stored.cleared != Cleared::No)
}

fn whole(open: &Open) -> Vec<u8> {
    let head = Head {
        attempts: open.attempts,
        maybe: maybe(open),
        not_before: open.not_before(),
        directory: open.directory.to_vec(),
        turn: open.turn.place,
    };
    let mut entry = append(&head, vec![VERSION]);
    entry.extend_from_slice(open.batch.bytes());
    entry
}

fn mark(open: &Open) -> Vec<u8> {
    append(
        &Mark { attempts: open.attempts, maybe: maybe(open), not_before: open.not_before() },
        vec![VERSION],
    )
}

fn read(body: &Bytes) -> Result<Open, BrokenMemory> {
    let (head, rest) = take::<Head>(body).map_err(|_| BrokenMemory::Damaged)?;
    let batch = Parcel::read(body.slice_ref(rest)).map_err(|_| BrokenMemory::Damaged)?;
    let mut open = Open::new(Arc::new(batch), head.directory.into(), head.not_before);
    open.stored = Some(Stored { cleared: Cleared::No, durable: true });
    open.turn.place = head.turn;
    let mark = Mark { attempts: head.attempts, maybe: head.maybe, not_before: head.not_before };
    Ok(happened(open, &mark))
}

fn happened(mut open: Open, mark: &Mark) -> Open {
    open.attempts = mark.attempts;
    open.stand = Stand::Due(mark.not_before);
    open.perhaps_accepted = mark.maybe;
    if let Some(stored) = &mut open.stored {
        stored.cleared = if mark.maybe { Cleared::Yes } else { Cleared::No };
    }
    open
}
