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
use crate::event::ids::{hash128, partition_of};
use crate::event::notice::Verb;
use crate::event::push::{Letter, MOST_BATCH_BYTES};
use crate::event::{BoundAudience, Ending, Incoming, Notice, Reason, Template, Timestamp, Topic, Verdict};
use crate::topology::{Cut, Message, Rule};

use super::batch::{self, Group, Grouped, Pile};
use super::fan_out;
use super::frames::{FrameItems, FrameSet};
use super::memory::{self, BrokenMemory, Page};
use super::merge::{self, Claim, Met, OnItsWay, Told};
use super::progress::Progress;
use super::{Admitted, Cursor, Outbox, Plan, Rooms, Want, World};

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
    gathered: usize,
    frames: FrameSet,
}

/// A notice being told, with what is the same for all its people.
struct Telling<'t> {
    now: Timestamp,
    notice: &'t Notice<'t>,
    rule: &'t Rule,
    message: &'t Message,
    place: usize,
    claim: Claim,
    /// The partition of `bugle.subjects` that spoke.
    from: i32,
    /// Whom to ask the directory for again, when it has moved since the audience was resolved.
    moved: Option<BoundAudience>,
    /// What a stronger telling says of this one; only where one can come.
    if_merged: Option<Arc<Verdict>>,
    /// Piles and letters of this notice already found: most of its people share one.
    found: SmallVec<[(Look<'t>, usize, u32); 4]>,
}

/// What decides how a person's text looks.
#[derive(PartialEq, Eq)]
struct Look<'t> {
    external: bool,
    locale: Option<&'t str>,
    zone: Option<&'t str>,
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
            gathered: 0,
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
        let Some((place, rule)) = world.topology.placed(notice.rule) else {
            out.verdicts.push(ended(now, notice, Reason::RuleRemoved, people));
            return;
        };
        let Some(message) = &rule.message else {
            out.verdicts.push(ended(now, notice, Reason::Refused("no-message".to_owned()), people));
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
            message,
            place,
            claim: Claim { answers: notice.answers.len(), priority: rule.priority, standing: Reverse(place) },
            from: head.from,
            moved,
            if_merged: world
                .topology
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
            out.verdicts.push(ended(now, notice, reason, &people));
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
        let (pile, letter) = self.letter(telling, &entry, world.plan)?;
        if let Some(if_merged) = &telling.if_merged {
            let key = merge::key(notice.tenant, user_id, notice.news, notice.occasion);
            let (claim, number) = (telling.claim, self.replaceable.len());
            let within = telling.rule.plan.within;
            match self.told.meet(key, OnItsWay { claim, number, within }) {
                Met::First => {}
                Met::Loses => return Err(Reason::Merged),
                Met::Wins(weaker) => self.take_back(weaker, out),
            }
            let member = self.piles[pile].1.next_member();
            self.replaceable.push((pile, member, Arc::clone(if_merged)));
        }
        self.piles[pile].1.add(user_id, letter, notice.appended_at);
        self.gathered += 1;
        Ok(())
    }

    /// The pile and the letter for a person who reads as `entry` says.
    fn letter<'t>(
        &mut self,
        telling: &mut Telling<'t>,
        entry: &Entry<'t>,
        plan: &'t Plan,
    ) -> Result<(usize, u32), Reason> {
        let look = Look { external: entry.party().is_some(), locale: entry.locale(), zone: entry.zone() };
        if let Some((_, pile, letter)) = telling.found.iter().find(|(other, ..)| *other == look) {
            return Ok((*pile, *letter));
        }
        let group = telling.group(entry, plan);
        let pile = match self.by_group.get(&group) {
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
        self.gathered = 0;
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
        if !world.people.reached(&head.directory) {
            return Admitted::Wait(Want::Directory(head.directory));
        }
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
        let head = FrameHead {
            generation: world.topology.generation,
            directory: world.directory.to_vec(),
            from: self.partition,
        };
        self.frames.set_head(&head, out);
        self.told.cut(now);
        for (group, pile) in self.forget_gathered() {
            let shard = partition_of(
                hash128([world.plan.account.as_bytes(), &self.partition.to_le_bytes()]),
                world.plan.pushes,
            );
            for (count, batch) in pile.cut(&group, now, world.plan) {
                self.frames.push(shard, out, &[&batch]);
                out.tally.batches.push(count);
            }
        }
        self.frames.cut(out);
        self.progress.close(world.plan, out);
        let (offset, cursor) = self.progress.position();
        memory::write(Topic::Told, self.partition, (offset, &cursor), self.told.told(now), out);
    }

    fn restore(&mut self, page: &Page<'_>, placed: bool) -> Result<usize, BrokenMemory> {
        self.progress.restore((NAME, self.partition), page, placed);
        self.told.restore(page)
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

/// The most tellings gathered for one cut: a bound on memory, and enough to fill every batch.
const MOST_TELLINGS: usize = 20_000;

// === impl Telling ===

impl<'t> Telling<'t> {
    fn group(&self, entry: &Entry<'t>, plan: &'t Plan) -> Grouped<'t> {
        let defaults = plan.tenant(self.notice.tenant);
        let cut = self.cut(entry.locale().unwrap_or(&defaults.locale));
        Grouped {
            tenant: self.notice.tenant,
            external: entry.party().is_some(),
            rule: self.place,
            locale: &cut.locale,
            zone: if cut.zone_matters { entry.zone().unwrap_or(&defaults.zone) } else { "" },
            answers: self.notice.answers.iter().fold(0, |bits, verb| bits | bit(*verb)),
            ttl_seconds: batch::ttl_seconds(self.now, self.notice.expires_at),
        }
    }

    fn cut(&self, locale: &str) -> &'t Cut {
        self.message.cut(locale)
    }

    fn template(&self, group: &Grouped<'_>, plan: &Plan) -> Template {
        let cut = self.cut(group.locale);
        let mut data = vec![
            ("source".to_owned(), self.notice.at.source.to_string()),
            ("rule".to_owned(), self.notice.rule.to_owned()),
        ];
        if let Some(link) = &cut.link {
            data.push(("link".to_owned(), link.clone()));
        }
        Template {
            rule: self.notice.rule.to_owned(),
            locale: group.locale.to_owned(),
            title: cut.title.clone(),
            summary: cut.summary.clone(),
            target: self.rule.plan.app.clone().unwrap_or_else(|| plan.target.clone()),
            collapse_key: self.notice.collapse_key.map(|_| format!("{{{{{}}}}}", cut.count() + 1)),
            ttl_seconds: group.ttl_seconds,
            priority: self.rule.priority,
            answers: self.notice.answers.clone(),
            data,
        }
    }

    fn write_letter(&self, group: &Grouped<'_>, pile: &mut Pile) -> Result<u32, &'static str> {
        let notice = self.notice;
        let texts =
            self.cut(group.locale).inserts(&notice.values, group.zone).map_err(|_| "message-failed")?;
        Ok(pile.write(&Letter {
            notice: notice.id,
            subject: notice.subject,
            subject_partition: self.from,
            conversation: notice.conversation,
            occasion: notice.occasion,
            expires_at: notice.expires_at,
            audience: notice.audience,
            inserts: texts.iter().map(|text| &**text).chain(notice.collapse_key).collect(),
        }))
    }
}

fn bit(verb: Verb) -> u8 {
    1 << Verb::ALL.iter().position(|other| *other == verb).unwrap_or(0)
}

fn ended(now: Timestamp, notice: &Notice<'_>, reason: Reason, people: &[&str]) -> Verdict {
    Verdict {
        at: now,
        tenant: notice.tenant.to_owned(),
        event_id: notice.event_id.to_owned(),
        change: notice.at,
        subject: Some(notice.subject.to_owned()),
        rule: Some(notice.rule.to_owned()),
        occasion: Some(notice.occasion),
        ending: Ending::Not(reason),
        count: u32::try_from(people.len()).unwrap_or(u32::MAX),
        people: people.iter().map(|person| (*person).to_owned()).collect(),
    }
}
