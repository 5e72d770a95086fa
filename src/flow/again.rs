//! Again: a change that its rule knows already says nothing new, and may be a newer version of what it is about.
//!
//! Nobody is told of it. But whoever answers answers the thing as it stands: an answer carries the version of the
//! newest change that means the same, for its system refuses one about a version that is gone.

use crate::event::frame::SubjectItem;
use crate::event::{Change, Timestamp};
use crate::topology::schedule::Start;

use super::World;
use super::renew::renew;
use super::talks::{Talks, arm, dates, key, read};
use super::voice::Hearing;

// === impl Talks ===

impl Talks {
    /// Until when what a rule could know again of a subject is over.
    pub(super) fn closed_at(&mut self, hearing: &Hearing<'_>) -> Option<Timestamp> {
        let rule = &hearing.rule.rule;
        rule.plan.until.as_ref().and(rule.dedupe_for())?;
        read(self.kept.get(key(&rule.id, hearing.item.subject)), &rule.id).closed
    }

    /// What is open about the subject is about this version from now on, where it is the newer one.
    pub(super) fn refresh(&mut self, hearing: &Hearing<'_>, world: &World<'_>) {
        let Hearing { now, item, change, rule } = *hearing;
        let key = key(&rule.rule.id, item.subject);
        let Some(entry) = self.kept.get(key).map(<[u8]>::to_vec) else { return };
        let mut matter = read(Some(&entry), &rule.rule.id);
        let each = rule.each(change);
        let open = matter.talks.iter_mut().find(|talk| talk.each == each && !talk.is_closing());
        let Some(talk) = open else { return };
        let order = rule.order(change);
        let is_overtaken = talk.order.zip(order).is_some_and(|(newest, order)| order < newest);
        if is_overtaken || !is_newer(change, &talk.kept().unwrap_or_default(), world) {
            return;
        }
        let zone = world.plan.zone_of(change);
        renew(talk, (rule, change), (world, &zone));
        let dates = dates(rule, change);
        let moved = talk.dates != dates;
        if moved {
            talk.answered.clear();
        }
        talk.keep(item);
        (talk.order, talk.dates) = (order.or(talk.order), dates);
        arm(talk, (rule, change), (now, &zone), |start| moved && matches!(start, Start::Event(_)));
        self.put(key, matter, (now, rule));
    }
}

/// Whether a change happened after the one that is kept.
fn is_newer(change: &Change<'_>, kept: &[u8], world: &World<'_>) -> bool {
    let Ok(item) = SubjectItem::read(kept) else { return false };
    let before = world.codec.decode(item.at.source, item.format, &item.headers, item.payload);
    before.is_ok_and(|before| before.occurred_at() <= change.occurred_at())
}
