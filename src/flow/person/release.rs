//! Release: what waited long enough is looked at again, and told, or not any more, or waits for something else.
//!
//! Each claim is judged anew: is the person still meant, is it still true, is it still time? What was told
//! is remembered now and not when it was held, so that news held for one reason is never lost for another.

use std::cmp::Reverse;

use crate::directory::Entry;
use crate::event::{Occasion, Reason, Timestamp};
use crate::store::keyed::Second;
use crate::topology::plan::WindowKind;

use super::super::telling::Telling;
use super::super::{Outbox, Want, World};
use super::digest::Digest;
use super::texts::Text;
use super::wait::Asked;
use super::waiting::{Item, Unit, Waiting, read};
use super::{MOST_TELLINGS, PersonLane};

/// The most people looked at before the lane does something else.
const MOST_AT_ONCE: usize = 5_000;

/// The claims of a unit that hold: each with the place of its item, the strongest of an item first.
type Standing<'t> = Vec<(usize, Telling<'t>)>;

// === impl PersonLane ===

impl PersonLane {
    /// Lets go of what is due; what there is no room for waits for the commit.
    pub(super) fn let_go(&mut self, now: Timestamp, world: &World<'_>, out: &mut Outbox) -> Option<Want> {
        let by = Second::try_from(now.millis().max(0) / 1_000).unwrap_or(Second::MAX - 1);
        let mut want = Some(Want::Room);
        for _ in 0..MOST_AT_ONCE {
            if self.piles.len() >= MOST_TELLINGS || out.bytes() > world.plan.budget {
                break;
            }
            let Some(person) = self.held.due_by(by) else {
                want = None;
                break;
            };
            self.let_go_of(person, by, (now, world), out);
        }
        self.endings.give(world, out);
        want
    }

    fn let_go_of(
        &mut self,
        person: u128,
        by: Second,
        (now, world): (Timestamp, &World<'_>),
        out: &mut Outbox,
    ) {
        let entry = self.held.person(person).map(<[u8]>::to_vec).unwrap_or_default();
        // It was checked when it was restored, or was written by this very process.
        let mut waiting = read(&entry).unwrap_or_else(|_| Waiting::new("", ""));
        for unit in waiting.take_due(by) {
            self.pass(&mut waiting, unit, (now, world), out);
        }
        self.held.put(person, &waiting);
    }

    /// What waited together goes on together.
    pub(super) fn pass(
        &mut self,
        waiting: &mut Waiting<'_>,
        unit: Unit,
        (now, world): (Timestamp, &World<'_>),
        out: &mut Outbox,
    ) {
        let claims = unit.items.iter().enumerate();
        let claims = claims.flat_map(|(at, item)| item.claims.iter().map(move |claim| (at, *claim)));
        let kept: Vec<(usize, Vec<u8>)> =
            claims.filter_map(|(at, claim)| Some((at, self.held.texts.get(claim)?.to_vec()))).collect();
        let texts: Vec<(usize, Text<'_>)> =
            kept.iter().filter_map(|(at, text)| Some((*at, Text::read(text).ok()?))).collect();
        let user_id = waiting.user_id.clone().into_owned();
        let entry = world.people.get(&waiting.tenant, &user_id);
        let mut standing = Standing::new();
        for (at, text) in &texts {
            let judged = match &entry {
                Some(entry) => self.judge((unit.items[*at].key, text), entry, (now, world)),
                None => Err(Reason::LeftAudience),
            };
            match judged {
                Ok(telling) => standing.push((*at, telling)),
                Err(reason) => self.end(text.notice.id.0, (&reason, &user_id), now),
            }
        }
        // Of equal ones the newest.
        standing.reverse();
        standing.sort_by_key(|(at, telling)| (*at, Reverse(telling.claim)));
        let Some(entry) = entry.filter(|_| !standing.is_empty()) else { return };
        if came_back(&unit, &standing) {
            return self.end_all(&standing, (&Reason::Grouped, &user_id), now);
        }
        let group = (unit.group, u32::try_from(standing.len()).unwrap_or(u32::MAX));
        let lead = &standing[lead(&standing)].1;
        let zone = lead.zone(&entry, world.plan);
        let asked = Asked { after: unit.after, telling: lead, entry: &entry, zone, group };
        match asked.wait(waiting) {
            Ok(Some(wait)) => {
                for (at, item) in unit.items.into_iter().enumerate() {
                    let of_it = standing.iter().filter(|(other, _)| *other == at);
                    let claims: Vec<u128> = of_it.map(|(_, telling)| telling.notice.id.0).collect();
                    if !claims.is_empty() {
                        let (stage, due) = (wait.stage, wait.due);
                        waiting.items.push(Item { stage, group: wait.group, due, claims, ..item });
                    }
                }
            }
            Ok(None) => self.send((unit, standing), &entry, (now, world), out),
            Err(reason) => self.end_all(&standing, (&reason, &user_id), now),
        }
    }

    /// Whether a claim still holds.
    fn judge<'t>(
        &self,
        (key, text): (u128, &'t Text<'t>),
        entry: &Entry<'t>,
        (now, world): (Timestamp, &'t World<'_>),
    ) -> Result<Telling<'t>, Reason> {
        if text.is_over {
            return Err(Reason::Overtaken);
        }
        let mut telling = Telling::new(now, &text.notice, (text.from, text.generation), world)?;
        telling.ask_again()?;
        telling.may_hear(world.people, entry)?;
        let (is_grave, since) = (telling.is_grave(), text.notice.appended_at);
        if telling.if_merged.is_some() && self.piles.told.knows(key, is_grave, since) {
            return Err(Reason::Merged(telling.rival.to_owned()));
        }
        Ok(telling)
    }

    /// It is told: by itself, or as a list.
    fn send<'t>(
        &mut self,
        (unit, mut standing): (Unit, Standing<'t>),
        entry: &Entry<'t>,
        (now, world): (Timestamp, &'t World<'_>),
        out: &mut Outbox,
    ) {
        let user_id = entry.user_id();
        let more: u32 = unit.items.iter().map(|item| item.more).sum();
        // Of each item the strongest claim is told.
        let mut first = Vec::with_capacity(unit.items.len());
        let mut seen = None;
        while let Some((at, telling)) = (!standing.is_empty()).then(|| standing.remove(0)) {
            if seen == Some(at) {
                let winner = first.last().map(|(_, winner): &(u128, Telling<'_>)| winner.rule.id.clone());
                self.end(telling.notice.id.0, (&Reason::Merged(winner.unwrap_or_default()), user_id), now);
            } else {
                seen = Some(at);
                first.push((unit.items[at].key, telling));
            }
        }
        first = self.newest(first, user_id);
        first.sort_by_key(|(_, telling)| Reverse(telling.priority));
        let told = match first.as_mut_slice() {
            [(_, only)] if more == 0 => self.piles.add(only, (entry, now), world.plan, out),
            tellings => {
                let digest = Digest { tellings, more };
                self.piles.add_digest(&digest.tellings[0].1, &digest, entry, world.plan)
            }
        };
        for (number, (_, telling)) in first.iter().enumerate() {
            match &told {
                Ok(()) if number == 0 => self.held.texts.let_go(telling.notice.id.0),
                Ok(()) => self.end(telling.notice.id.0, (&Reason::Grouped, user_id), now),
                Err(reason) => self.end(telling.notice.id.0, (reason, user_id), now),
            }
        }
    }

    /// Of one conversation the newest is told, and what went before is no longer how things are.
    fn newest<'t>(&mut self, tellings: Vec<(u128, Telling<'t>)>, user_id: &str) -> Vec<(u128, Telling<'t>)> {
        let of = |telling: &Telling<'_>| (telling.place, telling.notice.conversation);
        let mut newest: Vec<(u128, Telling<'t>)> = Vec::with_capacity(tellings.len());
        for (key, telling) in tellings {
            match newest.iter_mut().find(|(_, other)| of(other) == of(&telling)) {
                None => newest.push((key, telling)),
                Some(older) => {
                    let (_, older) = std::mem::replace(older, (key, telling));
                    self.end(older.notice.id.0, (&Reason::Grouped, user_id), older.now);
                }
            }
        }
        newest
    }

    fn end_all(&mut self, standing: &Standing<'_>, (reason, user_id): (&Reason, &str), now: Timestamp) {
        for (_, telling) in standing {
            self.end(telling.notice.id.0, (reason, user_id), now);
        }
    }

    /// A claim ended untold.
    pub(super) fn end(&mut self, notice: u128, (reason, user_id): (&Reason, &str), now: Timestamp) {
        if let Some(text) = self.held.texts.get(notice).and_then(|entry| Text::read(entry).ok()) {
            self.endings.add(now, &text.notice, (reason, user_id));
        }
        self.held.texts.let_go(notice);
    }
}

/// The most important of all that stand: it says how long they wait.
fn lead(standing: &Standing<'_>) -> usize {
    let first = standing.iter().enumerate().max_by_key(|(at, (_, telling))| (telling.priority, Reverse(*at)));
    first.map_or(0, |(at, _)| at)
}

/// A state that is again what it was says nothing.
fn came_back(unit: &Unit, standing: &Standing<'_>) -> bool {
    standing.iter().all(|(_, telling)| {
        let latest = telling.window.is_some_and(|window| matches!(window.kind, WindowKind::LatestState(_)));
        let is = telling.notice.gather.and_then(|gather| gather.is);
        latest && telling.notice.occasion == Occasion::First && is.is_some() && is == unit.was.as_deref()
    })
}
