//! Person lane: does this person still belong, were they told already, and into a batch with it.
//!
//! It ends with batches whose members are fixed: cut at sending time instead, a batch read again after
//! a crash would have other members, another id, and people would be told twice.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::directory::Entry;
use crate::event::frame::FrameHead;
use crate::event::push::MOST_BATCH_BYTES;
use crate::event::{Asked, Incoming, Notice, Reason, Timestamp, Topic, Verdict, hash128};

use super::accounts::shard_of;
use super::batch::{Group, Pile};
use super::fan_out;
use super::frames::{FrameItems, FrameSet};
use super::memory::{self, BrokenMemory, Page};
use super::merge::{self, Claim, Met, OnItsWay, Told};
use super::named::MOST_STANDING;
use super::progress::Progress;
use super::telling::{Look, Telling, ended};
use super::{Admitted, Cursor, Outbox, Plan, Restored, Rooms, Want, World};

/// The lane, in the name of its audit chains.
const NAME: &str = "person";

/// What one partition of people remembers, and what waits for the cut.
#[derive(Debug)]
pub struct PersonLane {
    partition: i32,
    progress: Progress,
    told: Told,
    piles: Vec<(Group, Pile)>,
    by_group: HashMap<Group, usize, foldhash::fast::RandomState>,
    /// Tellings that a stronger one may still replace: pile, member, and whose they were.
    replaceable: Vec<(usize, usize, Arc<Verdict>)>,
    /// Of what replaces something on a phone, by person and key: the pile of the newest.
    newest: HashMap<u128, usize, foldhash::fast::RandomState>,
    gathered: usize,
    /// How far the directory had been read when the first of what waits was decided.
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
            told: Told::new(plan.horizon),
            piles: Vec::new(),
            by_group: HashMap::default(),
            replaceable: Vec::new(),
            newest: HashMap::default(),
            gathered: 0,
            decided: None,
            frames: FrameSet::new(Topic::Pushes, plan.pushes, MOST_BATCH_BYTES),
        }
    }

    fn tell_all(
        &mut self,
        item: (&Notice<'_>, &[&str]),
        read: (Timestamp, &FrameHead),
        world: &World<'_>,
        out: &mut Outbox,
    ) {
        let ((notice, people), (now, head)) = (item, read);
        // In the words of the rules it was decided by, as long as there is such a rule.
        let decided_by = world.topology.at(head.generation);
        let placed = decided_by.placed(notice.rule).filter(|_| world.topology.rule(notice.rule).is_some());
        let Some((place, rule)) = placed else {
            out.verdicts.push(ended(now, notice, Reason::RuleRemoved, people));
            return;
        };
        let saying = rule.sayings.get(usize::from(notice.saying));
        let Some((saying, message)) = saying.and_then(|saying| Some((saying, saying.message.as_ref()?)))
        else {
            // The rule says less than it did when this was decided.
            out.verdicts.push(ended(now, notice, Reason::RuleRemoved, people));
            return;
        };
        if notice.expires_at.is_some_and(|end| end <= now) {
            out.verdicts.push(ended(now, notice, Reason::Expired, people));
            return;
        }
        let moved = match (head.directory != world.directory).then(|| notice.audience.open()).transpose() {
            Ok(moved) => moved,
            Err(_) => {
                // When in doubt nobody is told.
                out.verdicts.push(ended(now, notice, Reason::Refused("internal".to_owned()), people));
                return;
            }
        };
        let mut telling = Telling {
            now,
            notice,
            rule,
            priority: saying.priority,
            message,
            place,
            generation: decided_by.generation,
            claim: Claim {
                answers: notice.answers.len(),
                priority: saying.priority,
                standing: Reverse(place),
            },
            from: head.from,
            moved,
            if_merged: decided_by
                .shares_news(place)
                .then(|| Arc::new(ended(now, notice, Reason::Merged, &[]))),
            found: SmallVec::new(),
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
    }

    /// One person: told at the cut, or the reason why not.
    fn tell<'t>(
        &mut self,
        telling: &mut Telling<'t>,
        user_id: &str,
        world: &'t World<'_>,
        out: &mut Outbox,
    ) -> Result<(), Reason> {
        let notice = telling.notice;
        let entry = world.people.get(notice.tenant, user_id).ok_or(Reason::LeftAudience)?;
        let left = |audience| !world.people.belongs(notice.tenant, audience, user_id);
        if telling.moved.as_ref().is_some_and(left) {
            return Err(Reason::LeftAudience);
        }
        let (mut pile, mut letter) = self.letter(telling, &entry, (world.plan, false))?;
        let replaced =
            notice.collapse_key.map(|key| hash128([notice.tenant, user_id, key].map(str::as_bytes)));
        // Piles leave in the order they were begun: what replaces must not lie in one before what it replaces.
        if replaced.and_then(|key| self.newest.get(&key)).is_some_and(|newest| *newest > pile) {
            (pile, letter) = self.letter(telling, &entry, (world.plan, true))?;
        }
        if let Some(if_merged) = &telling.if_merged {
            let key = merge::key(notice.tenant, user_id, notice.news, notice.occasion);
            let (claim, number) = (telling.claim, self.replaceable.len());
            let within = telling.rule.plan.within;
            let since = notice.appended_at;
            match self.told.meet(key, OnItsWay { claim, number, since, within }) {
                Met::First => {}
                Met::Loses => return Err(Reason::Merged),
                Met::Wins(weaker) => self.take_back(weaker, out),
            }
            let member = self.piles[pile].1.next_member();
            self.replaceable.push((pile, member, Arc::clone(if_merged)));
        }
        self.piles[pile].1.add(user_id, letter, notice.appended_at);
        self.newest.extend(replaced.map(|key| (key, pile)));
        self.gathered += 1;
        Ok(())
    }

    /// The pile and the letter for a person who reads as `entry` says; the pile is a new one where it has to lie
    /// behind all others.
    fn letter<'t>(
        &mut self,
        telling: &mut Telling<'t>,
        entry: &Entry<'t>,
        (plan, behind): (&'t Plan, bool),
    ) -> Result<(usize, u32), Reason> {
        let look = Look { external: entry.party().is_some(), locale: entry.locale(), zone: entry.zone() };
        if behind {
            telling.found.retain(|(other, ..)| *other != look);
        }
        if let Some((_, pile, letter)) = telling.found.iter().find(|(other, ..)| *other == look) {
            return Ok((*pile, *letter));
        }
        let group = telling.group(entry, plan);
        let pile = match self.by_group.get(&group).filter(|_| !behind) {
            Some(pile) => *pile,
            None => {
                let owned = Group::from(&group);
                self.piles.push((owned.clone(), Pile::new(telling.template(&group, plan))));
                self.by_group.insert(owned, self.piles.len() - 1);
                self.piles.len() - 1
            }
        };
        let (notice, waiting) = (telling.notice.id, &mut self.piles[pile].1);
        let letter = match waiting.letter_of(notice) {
            Some(letter) => letter,
            None => telling.write_letter(&group, waiting).map_err(|code| Reason::Refused(code.to_owned()))?,
        };
        telling.found.push((look, pile, letter));
        Ok((pile, letter))
    }

    /// A stronger telling of the same news goes in place of one that waits for the cut.
    fn take_back(&mut self, weaker: usize, out: &mut Outbox) {
        let Some((pile, member, verdict)) = self.replaceable.get(weaker) else { return };
        let pile = &mut self.piles[*pile].1;
        if pile.take(*member) {
            let people = pile.name(*member).map(str::to_owned).into_iter().collect();
            out.verdicts.push(Verdict { count: 1, people, ..Verdict::clone(verdict) });
        }
    }

    fn forget_gathered(&mut self) -> Vec<(Group, Pile)> {
        self.by_group.clear();
        self.replaceable.clear();
        self.newest.clear();
        self.gathered = 0;
        self.decided = None;
        std::mem::take(&mut self.piles)
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
        for (item, at) in items.zip(0u32..) {
            if at < place {
                continue;
            }
            if self.gathered >= MOST_TELLINGS {
                self.progress.reach(record.offset, at);
                return Admitted::More;
            }
            let item = item.map_err(|broken| broken.to_string());
            match item.and_then(|item| fan_out::read(item).map_err(|error| error.to_string())) {
                Ok((notice, people)) => self.tell_all((&notice, &people), (now, &head), world, out),
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

    fn cut(&mut self, now: Timestamp, world: &World<'_>, out: &mut Outbox) {
        // Not where it is now: who left between the decision and this cut would not be asked for again.
        let directory = self.decided.take().unwrap_or_else(|| world.directory.to_vec());
        let head = FrameHead { generation: world.topology.generation, directory, from: self.partition };
        self.frames.set_head(&head, out);
        self.told.cut(now);
        for (group, pile) in self.forget_gathered() {
            let account = world.plan.accounts.of(&group.tenant);
            let shard = shard_of(account, self.partition, world.plan.pushes);
            for (count, batch) in pile.cut(&group, now, world.plan) {
                self.frames.push(shard, out, &[&batch]);
                out.tally.batches.push(count);
            }
        }
        self.frames.cut(out);
        self.progress.close(world, out);
        let (offset, cursor) = self.progress.position();
        memory::write(Topic::Told, self.partition, (offset, &cursor), self.told.told(now), out);
    }

    fn restore(&mut self, record: &Incoming, placed: bool) -> Result<Restored, BrokenMemory> {
        let page = Page::read(record.value.as_deref().unwrap_or_default())?;
        self.progress.restore((NAME, self.partition), &page, placed);
        let entries = self.told.restore(&page)?;
        Ok(Restored { entries, sequence: Some(page.cursor.sequence) })
    }

    fn digest(&self, at: Timestamp) -> u128 {
        self.told.digest(at)
    }

    fn position(&self) -> (i64, Cursor) {
        self.progress.position()
    }

    fn settle(&mut self, now: Timestamp) {
        self.progress.settle();
        self.told.settle(now);
    }

    fn undo(&mut self) {
        self.forget_gathered();
        self.frames.clear();
        self.told.undo();
        self.progress.undo();
    }
}

/// Why people who were named no longer are.
fn why_left(notice: &Notice<'_>, people: &[&str], world: &World<'_>) -> Option<Arc<Asked>> {
    let audience = notice.audience.open().ok()?;
    let asked = world.people.asked_of(notice.tenant, &audience, people, MOST_STANDING);
    Some(Arc::new(Asked { directory: world.directory.to_vec(), ..asked }))
}

/// The most tellings gathered for one cut: a bound on memory, and enough to fill every batch.
const MOST_TELLINGS: usize = 20_000;
