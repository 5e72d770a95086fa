//! Decided: a decision ends what every rule has open about the thing that was decided.
//!
//! Two rules may ask about one task: one when it is assigned, one when it is late. What the first valid answer
//! decides is the task and not the rule, so the others ask no more, and whoever answers them hears who was first.

use crate::event::frame::SubjectItem;
use crate::event::notice::Whom;
use crate::event::{Ending, Occasion, Verdict};
use crate::topology::Rule;

use super::answers::Given;
use super::conversation::Conversation;
use super::talks::{Talks, close, key, over, read};
use super::told_to::leave_out;
use super::voice::{Voice, blank};
use super::{Outbox, World, mute};

// === impl Talks ===

impl Talks {
    /// Ends what other rules have open about what `rule` has just had decided in `talk`. Whoever heard of any
    /// is told once that it is over: by `rule`, where it says so, else by each.
    pub(super) fn end_others(
        &mut self,
        given: &Given<'_>,
        (rule, talk): (&Rule, &mut Conversation<'_>),
        (voice, world): (&mut Voice, &World<'_>),
        out: &mut Outbox,
    ) {
        let Given { now, item, answer } = *given;
        for other in world.topology.deciding_with(rule) {
            let key = key(&other.id, item.subject);
            let Some(entry) = self.kept.get(key).map(<[u8]>::to_vec) else { continue };
            let mut matter = read(Some(&entry), &other.id);
            let same = |open: &Conversation<'_>| open.each == talk.each && !open.is_closing();
            let Some(at) = matter.talks.iter().position(same) else { continue };
            let mut open = matter.talks.remove(at);
            over(&open, (answer.tenant, &other.id), Whom::Everybody, (voice, out));
            mute::end(other, (key, &open.each), out);
            out.verdicts.extend(given.ended(other, &open));
            given.decide(other, &open, &mut matter);
            if rule.closing().is_some() {
                open.told.into_iter().for_each(|audience| talk.remember(audience));
            } else if other.closing().is_some() && !open.told.is_empty() {
                open.told.iter_mut().for_each(|audience| leave_out(audience, answer.person));
                close(&mut open, now);
                matter.talks.push(open);
            }
            self.write(key, &matter);
        }
    }
}

// === impl Given ===

impl Given<'_> {
    /// That this answer ended what another rule had open, beside the change that opened it.
    fn ended(&self, other: &Rule, open: &Conversation<'_>) -> Option<Verdict> {
        let kept = open.kept().ok()?;
        let asked = SubjectItem::read(&kept).ok()?;
        Some(Verdict {
            tenant: self.answer.tenant.to_owned(),
            event_id: self.answer.response_id.to_owned(),
            rule: Some(other.id.clone()),
            occasion: Some(Occasion::Closed),
            people: vec![self.answer.person.to_owned()],
            ..blank(self.now, &asked, None, Ending::Routed)
        })
    }
}
