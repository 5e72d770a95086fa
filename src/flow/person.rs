//! Person lane: does this person still belong, were they told already, and into a batch with it.
//!
//! It ends with batches whose members are fixed: cut at sending time instead, a batch read again after
//! a crash would have other members, another id, and people would be told twice.

mod digest;
mod endings;
mod held;
mod hold;
mod piles;
mod poison;
mod quiet;
mod release;
mod texts;
mod wait;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::frame::FrameHead;
use crate::event::notice::Whom;
use crate::event::push::MOST_BATCH_BYTES;
use crate::event::redrive::{REDRIVEN, Redrive};
use crate::event::{Asked, Incoming, Notice, NoticeId, Over, Reason, Timestamp, Topic, Verdict, hash128};
use crate::store::spill::DiskFault;

use self::endings::Endings;
use self::held::Held;
use self::piles::Piles;
use self::waiting::Waiting;
use super::accounts::shard_of;
use super::fan_out::{self, Item};
use super::frames::{FrameItems, FrameSet};
use super::memory::{self, BrokenMemory, Page};
use super::merge::Told;
use super::named::MOST_STANDING;
use super::progress::Progress;
use super::telling::{Telling, ended};
use super::{Admitted, Cursor, Outbox, Plan, Restored, Rooms, Want, World};

/// The lane, in the name of its audit chains.
const NAME: &str = "person";
/// The most tellings gathered for one cut: a bound on memory, and enough to fill every batch.
const MOST_TELLINGS: usize = 20_000;

/// How many tellings an entry of `bugle.people.state` says are held; none, where it is not about a person.
#[must_use]
pub fn held_of(key: &[u8], entry: Option<&[u8]>) -> u64 {
    waits_for(key, entry).map_or(0, |held| held.notices.len() as u64)
}

/// What waits for one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waits {
    /// The person's tenant.
    pub tenant: String,
    /// The person.
    pub user_id: String,
    /// Each notice that wants to be told, and until when it waits.
    pub notices: Vec<(NoticeId, Timestamp)>,
}

/// What an entry of `bugle.people.state` says waits for its person; `None`, where it is not about one.
#[must_use]
pub fn waits_for(key: &[u8], entry: Option<&[u8]>) -> Option<Waits> {
    let entry = entry.filter(|_| key.len() == size_of::<u128>())?;
    let Waiting { tenant, user_id, items, .. } = waiting::read(entry).ok()?;
    let claims = items.iter().flat_map(|item| item.claims.iter().map(|claim| (NoticeId(*claim), item.due)));
    Some(Waits { tenant: tenant.into_owned(), user_id: user_id.into_owned(), notices: claims.collect() })
}

/// Whose an entry of `bugle.people.state` is, and under which keys the texts lie that wait for them; none,
/// where it is a text itself.
///
/// # Errors
/// [`BrokenMemory`].
pub(super) fn whose(key: &[u8], entry: &[u8]) -> Result<Option<(String, String, Texts)>, BrokenMemory> {
    if key.len() != size_of::<u128>() {
        return Ok(None);
    }
    let Waiting { tenant, user_id, items, .. } = waiting::read(entry)?;
    let texts = items.iter().flat_map(|item| &item.claims).map(|claim| held::text_key(*claim));
    Ok(Some((tenant.into_owned(), user_id.into_owned(), texts.collect())))
}

/// Keys of texts.
type Texts = Vec<Vec<u8>>;

/// What one partition of people remembers, and what waits for the cut.
#[derive(Debug)]
pub struct PersonLane {
    partition: i32,
    progress: Progress,
    piles: Piles,
    held: Held,
    endings: Endings,
    /// How far the directory had been read when the first of what waits for the cut was decided.
    decided: Option<Vec<i64>>,
    frames: FrameSet,
}

// === impl PersonLane ===

impl PersonLane {
    /// The lane over one partition of `bugle.people`, going on at `offset`.
    #[must_use]
    pub fn new(partition: i32, from: (i64, &Cursor), plan: &Plan) -> Self {
        Self {
            partition,
            progress: Progress::new(NAME, partition, from.0, from.1),
            piles: Piles::new(Told::new(plan.horizon)),
            held: Held::new(partition, from.1, &plan.spill),
            endings: Endings::default(),
            decided: None,
            frames: FrameSet::new(Topic::Pushes, plan.pushes, MOST_BATCH_BYTES),
        }
    }

    fn tell_all(
        &mut self,
        (notice, people): (&Notice<'_>, &[&str]),
        (now, head): (Timestamp, &FrameHead),
        world: &World<'_>,
        out: &mut Outbox,
    ) {
        let telling =
            Telling::new(now, notice, (head.from, head.generation), world).and_then(|mut telling| {
                if head.directory != world.directory {
                    telling.ask_again()?;
                }
                Ok(telling)
            });
        let mut telling = match telling {
            Ok(telling) => telling,
            Err(reason) => return out.verdicts.push(ended(now, notice, reason, people)),
        };
        let mut gone: BTreeMap<Reason, Vec<&str>> = BTreeMap::new();
        for user_id in people {
            if let Err(reason) = self.tell(&mut telling, user_id, world, out) {
                gone.entry(reason).or_default().push(user_id);
            }
        }
        for (reason, people) in gone {
            let left = reason == Reason::LeftAudience;
            let asked = left.then(|| why_left(notice, &people, world)).flatten();
            out.verdicts.push(Verdict { asked, ..ended(now, notice, reason, &people) });
        }
        self.endings.give(world, out);
    }

    /// One person: told at the cut, or later, or the reason why not.
    fn tell<'t>(
        &mut self,
        telling: &mut Telling<'t>,
        user_id: &str,
        world: &'t World<'_>,
        out: &mut Outbox,
    ) -> Result<(), Reason> {
        let notice = telling.notice;
        let entry = world.people.get(notice.tenant, user_id).ok_or(Reason::LeftAudience)?;
        telling.may_hear(world.people, &entry)?;
        let is_quiet = || entry.wishes().is_some_and(|wishes| wishes.quiet().is_some());
        if telling.asks() || is_quiet() || (!self.held.is_empty() && telling.may_meet()) {
            return self.hold(telling, &entry, world, out);
        }
        self.piles.add(telling, (&entry, notice.appended_at), world.plan, out)
    }

    /// Whether an item of a dead letter on its way again comes for the first time.
    fn is_first(&mut self, letter: &str, item: u32, now: Timestamp) -> bool {
        let key = hash128([REDRIVEN.as_bytes(), letter.as_bytes(), &item.to_le_bytes()]);
        self.piles.told.is_first(key, now)
    }

    /// What waits of a conversation that is over is not told any more.
    fn end_of(&mut self, over: &Over<'_>, (now, world): (Timestamp, &World<'_>), out: &mut Outbox) {
        if !self.held.texts.has(over) {
            return;
        }
        match over.whom {
            Whom::Everybody | Whom::Steps => self.held.texts.end(over),
            Whom::Person(user_id) => self.end_for(user_id, over, (now, world), out),
        }
    }
}

impl Rooms for PersonLane {
    fn admit(&mut self, now: Timestamp, record: &Incoming, world: &World<'_>, out: &mut Outbox) -> Admitted {
        let Some(place) = self.progress.place_in(record.offset) else { return Admitted::Done };
        let (head, items) = match FrameItems::read(record.value.as_deref().unwrap_or_default()) {
            Ok(read) => read,
            Err(broken) => return Admitted::Stop(broken.to_string()),
        };
        if let Err(want) = self.progress.decide_by(world.topology, head.generation) {
            return Admitted::Wait(want);
        }
        if !world.people.reached(&head.directory) {
            return Admitted::Wait(Want::Directory(head.directory));
        }
        self.decided.get_or_insert_with(|| world.directory.to_vec());
        let redriven = Redrive::of(&record.headers).map(|redrive| redrive.letter);
        for (item, at) in items.zip(0u32..) {
            if at < place {
                continue;
            }
            if self.piles.len() >= MOST_TELLINGS {
                self.progress.reach(record.offset, at);
                return Admitted::More;
            }
            let item = item.map_err(|broken| broken.to_string());
            let is_poison = self.progress.is_poison((record.offset, at));
            if let Some(item) = item.as_ref().ok().filter(|_| is_poison) {
                poison::keep(now, (self.partition, record.offset), (&head, item), out);
                continue;
            }
            if redriven.is_some_and(|letter| !self.is_first(letter, at, now)) {
                continue;
            }
            match item.and_then(|item| fan_out::read(item).map_err(|error| error.to_string())) {
                Ok(Item::Tell(notice, people)) => {
                    if redriven.is_some() {
                        poison::owe_again(now, (&notice, &people), out);
                    }
                    self.tell_all((&notice, &people), (now, &head), world, out);
                }
                Ok(Item::Over(over)) => self.end_of(&over, (now, world), out),
                Err(broken) => {
                    // What came before it is taken in, and must not be again.
                    self.progress.reach(record.offset, at);
                    return Admitted::Stop(broken);
                }
            }
        }
        self.progress.finish(record.offset);
        Admitted::Done
    }

    fn spare(&mut self) -> bool {
        self.progress.spare()
    }

    fn cut(&mut self, now: Timestamp, world: &World<'_>, out: &mut Outbox) {
        // Not where it is now: who left between the decision and this cut would not be asked for again.
        let directory = self.decided.take().unwrap_or_else(|| world.directory.to_vec());
        let (generation, mutes) = (world.topology.generation, world.muted.position());
        let head = FrameHead { generation, directory, mutes, from: self.partition };
        self.frames.set_head(&head, out);
        self.piles.told.cut(now);
        for (group, pile) in self.piles.take() {
            let account = world.plan.accounts.of(&group.tenant);
            let shard = shard_of(account, self.partition, world.plan.pushes);
            for (count, batch) in pile.cut(&group, now, world.plan) {
                self.frames.push(shard, out, &[&batch]);
                out.tally.batches.push(count);
            }
        }
        self.frames.cut(out);
        self.progress.close(now, world, out);
        self.held.cut(self.progress.position(), out);
        let (offset, cursor) = self.position();
        memory::write(Topic::Told, self.partition, (offset, &cursor), self.piles.told.told(now), out);
    }

    fn wake(&mut self, now: Timestamp, world: &World<'_>, out: &mut Outbox) -> Option<Want> {
        self.decided.get_or_insert_with(|| world.directory.to_vec());
        self.let_go(now, world, out)
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.held.next_due()
    }

    fn open(&self) -> Option<usize> {
        Some(self.held.len())
    }

    fn restore(&mut self, record: &Incoming, placed: bool) -> Result<Restored, BrokenMemory> {
        let value = record.value.as_deref();
        let is_waiting = record.input.topic == Topic::Waiting;
        if is_waiting && self.held.restore(record.key.as_deref().unwrap_or_default(), value)? {
            return Ok(Restored { entries: 1, sequence: None });
        }
        let page = Page::read(value.unwrap_or_default())?;
        let restored = |entries| Restored { entries, sequence: Some(page.cursor.sequence) };
        if is_waiting {
            return Ok(restored(0));
        }
        self.held.restored(&page.cursor);
        self.progress.restore((NAME, self.partition), &page, placed);
        self.piles.told.restore(&page).map(restored)
    }

    fn restored(&mut self) {
        self.held.all_restored();
    }

    fn place(&mut self, at: (i64, &Cursor)) {
        self.held.restored(at.1);
        self.progress.place((NAME, self.partition), at);
    }

    fn digest(&self, at: Timestamp) -> u128 {
        self.piles.told.digest(at) ^ self.held.digest()
    }

    fn fault(&self) -> Option<&DiskFault> {
        self.held.fault()
    }

    fn position(&self) -> (i64, Cursor) {
        let (offset, cursor) = self.progress.position();
        (offset, Cursor { state: self.held.written(), ..cursor })
    }

    fn settle(&mut self, now: Timestamp) {
        self.progress.settle();
        self.held.settle();
        self.piles.told.settle(now);
    }

    fn undo(&mut self) {
        self.decided = None;
        self.piles.take();
        self.piles.told.undo();
        self.held.undo();
        self.endings.clear();
        self.frames.clear();
        self.progress.undo();
    }
}

/// Why people who were named no longer are.
fn why_left(notice: &Notice<'_>, people: &[&str], world: &World<'_>) -> Option<Arc<Asked>> {
    let audience = notice.audience.open().ok()?;
    let asked = world.people.asked_of(notice.tenant, &audience, people, MOST_STANDING);
    Some(Arc::new(Asked { directory: world.directory.to_vec(), ..asked }))
}
