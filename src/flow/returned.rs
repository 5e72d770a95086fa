//! Returned: an answer that counted, and that its source system did not carry out.
//!
//! Who gave it hears so, and where the thing opens. A decision that the system has no room for though the thing
//! is open there decided nothing: what it ended goes on as it was, and whoever was asked can decide again.

use crate::codec::Unreadable;
use crate::event::answer::Returned;
use crate::event::audience::{Bound, Table};
use crate::event::frame::SubjectItem;
use crate::event::write_back::STILL_OPEN;
use crate::event::{BoundAudience, Change, Occasion, Timestamp, hash128};
use crate::topology::Rule;
use crate::topology::message::ANSWER;

use super::conversation::{Conversation, Matter};
use super::talks::{Talks, key, read};
use super::voice::{Hearing, Voice, Words};
use super::{Outbox, Want, World};

// === impl Talks ===

impl Talks {
    /// Takes in that an answer was not carried out. Nothing of it happened when it wants something.
    pub(super) fn take_back(
        &mut self,
        (now, item, returned): (Timestamp, &SubjectItem<'_>, &Returned<'_>),
        voice: &mut Voice,
        world: &World<'_>,
        out: &mut Outbox,
    ) -> Result<(), Want> {
        let Some(rule) = item.rules.first().and_then(|rule| world.topology.rule(rule)) else { return Ok(()) };
        let key = key(&rule.id, item.subject);
        let Some(entry) = self.kept.get(key).map(<[u8]>::to_vec) else { return Ok(()) };
        let mut matter = read(Some(&entry), &rule.id);
        let Some(kept) = kept(&matter, returned).and_then(|talk| talk.kept().ok()) else { return Ok(()) };
        let Ok(asked) = SubjectItem::read(&kept) else { return Ok(()) };
        let change = match world.codec.decode(asked.at.source, asked.format, &asked.headers, asked.payload) {
            Ok(change) => change,
            Err(Unreadable::WantsSchema(id)) => return Err(Want::Schema(id)),
            Err(Unreadable::Refused(_)) => return Ok(()),
        };
        let reopened = reopen(&mut matter, (returned, Some(returned.conversation)), &change);
        if reopened {
            for other in world.topology.deciding_with(rule) {
                self.reopen_other(other, (item, returned), &change);
            }
        }
        let talk =
            matter.talks.iter_mut().find(|talk| talk.id == returned.conversation && !talk.is_closing());
        let form = world.topology.rule_for(&rule.id, change.kind());
        if let Some((form, saying)) = form.zip(rule.refusal()) {
            let hearing = Hearing { now, item: &asked, change: &change, rule: form };
            let everybody =
                talk.as_ref().filter(|_| reopened).map(|talk| hearing.audience(saying, &talk.told));
            // What is over is told as over: there is nothing to answer.
            let occasion = talk.map_or(Occasion::Closed, |talk| {
                talk.answered.retain(|person| person != returned.person);
                talk.reminders = talk.reminders.saturating_add(1);
                Occasion::Reminder(talk.reminders)
            });
            let audience = everybody.unwrap_or_else(|| only(returned.person));
            let (round, conversation, count) = (round(returned), returned.conversation, 1);
            let answer = said(returned);
            let words = Words { saying, occasion, round, conversation, count, since: now, audience, answer };
            voice.say(&hearing, &words, world, out);
        }
        self.write(key, &matter);
        Ok(())
    }

    /// What another rule had open about the same thing goes on, too.
    fn reopen_other(
        &mut self,
        other: &Rule,
        (item, returned): (&SubjectItem<'_>, &Returned<'_>),
        change: &Change<'_>,
    ) {
        let key = key(&other.id, item.subject);
        let Some(entry) = self.kept.get(key).map(<[u8]>::to_vec) else { return };
        let mut matter = read(Some(&entry), &other.id);
        if reopen(&mut matter, (returned, None), change) {
            self.write(key, &matter);
        }
    }
}

/// The conversation that was answered: as it was before it was decided, or as it is.
fn kept<'m>(matter: &'m Matter<'_>, returned: &Returned<'_>) -> Option<&'m Conversation<'m>> {
    matter.ended.iter().chain(&matter.talks).find(|talk| talk.id == returned.conversation)
}

/// Opens again what this answer decided, where the thing is open in its system and nothing has happened to it
/// since; whether it did. Without a round, whichever was decided by it.
fn reopen(
    matter: &mut Matter<'_>,
    (returned, round): (&Returned<'_>, Option<u128>),
    change: &Change<'_>,
) -> bool {
    let ours = matter.decided.as_ref().is_some_and(|decided| {
        decided.by == returned.person
            && decided.verb == returned.verb
            && round.is_none_or(|round| decided.conversation == round)
    });
    let is_closed = matter.closed.is_some_and(|closed| change.occurred_at() <= closed);
    let is_over = !ours || is_closed || !STILL_OPEN.contains(&returned.why);
    let later = |open: &Conversation<'_>| {
        matter.talks.iter().any(|talk| talk.each == open.each && !talk.is_closing())
    };
    let Some(open) = matter.ended.take_if(|open| !is_over && !later(open)) else { return false };
    matter.talks.retain(|talk| talk.id != open.id);
    matter.talks.push(open);
    matter.decided = None;
    true
}

fn only(person: &str) -> BoundAudience {
    let tell = Bound::In(Table::Person, vec![person.to_owned()]);
    BoundAudience { tell, fallback: None, never: None }
}

fn said(returned: &Returned<'_>) -> Vec<(&'static str, String)> {
    let texts = [returned.person, returned.verb.as_str(), returned.why];
    ANSWER.into_iter().zip(texts.map(str::to_owned)).collect()
}

/// Tells it apart from what else is said of the conversation.
fn round(returned: &Returned<'_>) -> u32 {
    let hash = hash128([returned.response_id.as_bytes(), returned.person.as_bytes()]);
    u32::try_from(hash & u128::from(u32::MAX)).unwrap_or_default()
}
