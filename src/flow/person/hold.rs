//! Hold: what a new telling meets that waits for the same person, and whether it waits, too.

use crate::directory::Entry;
use crate::event::{Notice, Occasion, Over, Priority, Reason, Timestamp};
use crate::topology::plan::Tell;

use super::super::telling::Telling;
use super::super::{Outbox, World, merge};
use super::PersonLane;
use super::texts::Text;
use super::wait::{Asked, Wait};
use super::waiting::{Item, Stage, Unit, Waiting, person_key, read};

// === impl PersonLane ===

impl PersonLane {
    /// A telling that may have to wait, or may meet what waits.
    pub(super) fn hold<'t>(
        &mut self,
        telling: &mut Telling<'t>,
        entry: &Entry<'t>,
        world: &'t World<'_>,
        out: &mut Outbox,
    ) -> Result<(), Reason> {
        let (notice, user_id) = (telling.notice, entry.user_id());
        let person = person_key(notice.tenant, user_id);
        let kept = self.held.person(person).map(<[u8]>::to_vec);
        let waiting = kept.as_deref().and_then(|entry| read(entry).ok());
        let mut waiting = waiting.unwrap_or_else(|| Waiting::new(notice.tenant, user_id));
        if notice.occasion == Occasion::Closed && self.never_heard(&waiting, telling) {
            return Err(Reason::Overtaken);
        }
        let key = merge::key(notice.tenant, user_id, notice.news, notice.occasion);
        let meets = telling.if_merged.is_some();
        if meets && self.piles.told.knows(key, telling.is_grave(), notice.appended_at) {
            return self.piles.add(telling, (entry, notice.appended_at), world.plan, out);
        }
        if let Some(at) = waiting.items.iter().position(|item| meets && item.key == key) {
            self.claim(&mut waiting, at, (telling, world), out);
            self.held.put(person, &waiting);
            return Ok(());
        }
        if let Some(unit) = over_before(&mut waiting, telling) {
            self.pass(&mut waiting, unit, (telling.now, world), out);
        }
        let zone = telling.zone(entry, world.plan);
        let wait = Asked { after: None, telling, entry, zone, group: (0, 1) }.wait(&mut waiting);
        if let Ok(Some(wait)) = &wait {
            self.keep(&mut waiting, (key, *wait), telling);
        }
        if kept.is_some() || !waiting.is_empty() {
            self.held.put(person, &waiting);
        }
        match wait? {
            Some(_) => Ok(()),
            None => self.piles.add(telling, (entry, notice.appended_at), world.plan, out),
        }
    }

    /// It waits.
    fn keep(&mut self, waiting: &mut Waiting<'_>, (key, wait): (u128, Wait), telling: &Telling<'_>) {
        let Wait { stage, group, due, replaces } = wait;
        if replaces {
            let is_old = |item: &mut Item| (item.stage, item.group) == (stage, group);
            let old: Vec<Item> = waiting.items.extract_if(.., is_old).collect();
            for notice in old.into_iter().flat_map(|item| item.claims) {
                self.end(notice, (&Reason::Grouped, &waiting.user_id), telling.now);
            }
        }
        let notice = telling.notice;
        self.held.texts.hold(notice, (telling.from, telling.generation));
        waiting.items.push(Item { key, stage, group, due, claims: vec![notice.id.0], more: 0 });
    }

    /// Another rule tells news that waits. The more urgent one lets it go; of all that claim it, the strongest
    /// is told.
    fn claim(
        &mut self,
        waiting: &mut Waiting<'_>,
        at: usize,
        (telling, world): (&Telling<'_>, &World<'_>),
        out: &mut Outbox,
    ) {
        let (notice, now) = (telling.notice, telling.now);
        let Some(item) = waiting.items.get_mut(at) else { return };
        if item.claims.contains(&notice.id.0) {
            return;
        }
        self.held.texts.hold(notice, (telling.from, telling.generation));
        item.claims.push(notice.id.0);
        let urgent = telling.priority == Priority::Critical;
        let due = match telling.within().filter(|_| telling.window.is_none()) {
            _ if urgent || !telling.asks() => now,
            Some(within) => now + within,
            None => item.due,
        };
        if item.stage == Stage::Quiet && !urgent || due >= item.due {
            return;
        }
        (item.stage, item.group, item.due) = (Stage::Gathered, 0, due);
        if due == now {
            let item = waiting.items.remove(at);
            let unit = Unit { after: Some(item.stage), group: 0, items: vec![item], was: None };
            self.pass(waiting, unit, (now, world), out);
        }
    }

    /// Somebody answered: what waits for them of the conversation is not told any more.
    pub(super) fn end_for(
        &mut self,
        user_id: &str,
        over: &Over<'_>,
        (now, world): (Timestamp, &World<'_>),
        out: &mut Outbox,
    ) {
        let person = person_key(over.tenant, user_id);
        let Some(entry) = self.held.person(person).map(<[u8]>::to_vec) else { return };
        let Ok(mut waiting) = read::<Waiting<'_>>(&entry) else { return };
        let mut ended = Vec::new();
        for item in &mut waiting.items {
            ended.extend(item.claims.extract_if(.., |notice| self.is_of(*notice, over)));
        }
        if ended.is_empty() {
            return;
        }
        waiting.items.retain(|item| !item.claims.is_empty());
        for notice in ended {
            self.end(notice, (&Reason::Overtaken, user_id), now);
        }
        self.endings.give(world, out);
        self.held.put(person, &waiting);
    }

    /// Whether a text that waits is of a conversation, and not its end.
    fn is_of(&mut self, notice: u128, over: &Over<'_>) -> bool {
        let text = self.held.texts.get(notice).and_then(|entry| Text::read(entry).ok());
        text.is_some_and(|text| {
            let Notice { rule, conversation, occasion, .. } = text.notice;
            (rule, conversation) == (over.rule, over.conversation) && occasion != Occasion::Closed
        })
    }

    /// Whether a matter that is over is news to somebody: all they were to hear of it still waits.
    fn never_heard(&mut self, waiting: &Waiting<'_>, telling: &Telling<'_>) -> bool {
        let is_later = telling.rule.plan.tell.value == Tell::Later;
        let first = |notice: &u128| {
            let text = self.held.texts.get(*notice).and_then(|entry| Text::read(entry).ok());
            text.is_some_and(|text| {
                let begins = match text.notice.occasion {
                    Occasion::First => true,
                    Occasion::Reminder(number) => number == 1 && is_later,
                    Occasion::Step(_) | Occasion::Closed => false,
                };
                begins
                    && text.notice.rule == telling.notice.rule
                    && text.notice.conversation == telling.notice.conversation
            })
        };
        waiting.items.iter().flat_map(|item| &item.claims).any(first)
    }
}

/// What the person's own window gathered, where that was over before what is told now happened.
fn over_before(waiting: &mut Waiting<'_>, telling: &Telling<'_>) -> Option<Unit> {
    let (window, gather) = telling.window.zip(telling.notice.gather)?;
    let at = telling.notice.happened_at().filter(|_| telling.priority < Priority::Critical)?;
    waiting.take_over((gather.key, &window.kind), (at, telling.now))
}
