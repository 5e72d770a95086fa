//! Returned: an answer that counted, and that its source system did not carry out.
//!
//! Who gave it hears so, and where the thing opens. A decision that the system has no room for though the thing
//! is open there decided nothing: what it ended goes on as it was, and whoever was asked can decide again; but of
//! what needs a signature nobody is offered an answer any more, for none would be carried out. Where the thing is
//! over there, or nobody can say, the decision stays the last word here, and whoever heard of it hears that it did
//! not count.

use crate::codec::Unreadable;
use crate::event::answer::Returned;
use crate::event::frame::SubjectItem;
use crate::event::write_back::{NEEDS_SIGNATURE, STILL_OPEN};
use crate::event::{BoundAudience, Change, Occasion, Timestamp, hash128};
use crate::topology::Rule;
use crate::topology::message::ANSWER;

use super::conversation::{Conversation, Matter};
use super::talks::{Talks, key, read};
use super::told_to::{leave_out, only, without};
use super::voice::{Hearing, Voice, Words};
use super::{Outbox, Want, World};

/// So often the close of a conversation is told anew; beyond, as the last time.
pub(super) const MOST_CLOSED: u32 = 99;
/// So many refusals of one person about what is over are told apart.
const MOST_REFUSED: u32 = 900;

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
        let is_said = rule.refusal().and(rule.closing()).is_some();
        let misled = if is_said { misled(&mut matter, returned) } else { Vec::new() };
        let needs_signature = returned.why == NEEDS_SIGNATURE;
        let is_open = |talk: &&mut Conversation<'_>| talk.id == returned.conversation && !talk.is_closing();
        let mut talk = matter.talks.iter_mut().find(is_open);
        if let Some(talk) = talk.as_mut().filter(|_| reopened || needs_signature) {
            talk.needs_signature |= needs_signature;
            for other in world.topology.deciding_with(rule) {
                self.reopen_other((other, &talk.each), (item, returned), &change);
            }
        }
        let form = world.topology.rule_for(&rule.id, change.kind());
        if let Some((form, saying)) = form.zip(rule.refusal()) {
            let hearing = Hearing { now, item: &asked, change: &change, rule: form };
            Refusal { hearing, returned, saying }.tell((talk, reopened), &misled, (voice, world), out);
        }
        self.write(key, &matter);
        Ok(())
    }

    /// What another rule had open about the same thing goes on, too, or is to be signed as well.
    fn reopen_other(
        &mut self,
        (other, each): (&Rule, &str),
        (item, returned): (&SubjectItem<'_>, &Returned<'_>),
        change: &Change<'_>,
    ) {
        let key = key(&other.id, item.subject);
        let Some(entry) = self.kept.get(key).map(<[u8]>::to_vec) else { return };
        let mut matter = read(Some(&entry), &other.id);
        let mut changed = reopen(&mut matter, (returned, None), change);
        if returned.why == NEEDS_SIGNATURE {
            for talk in matter.talks.iter_mut().filter(|talk| talk.each == each && !talk.is_closing()) {
                (talk.needs_signature, changed) = (true, true);
            }
        }
        if changed {
            self.write(key, &matter);
        }
    }
}

/// An answer that was not carried out, to be told.
struct Refusal<'r> {
    hearing: Hearing<'r>,
    returned: &'r Returned<'r>,
    saying: u16,
}

// === impl Refusal ===

impl Refusal<'_> {
    /// Tells who gave it; and everybody who was asked, where it goes on, or who heard that it counts.
    fn tell(
        &self,
        (talk, reopened): (Option<&mut Conversation<'_>>, bool),
        misled: &[BoundAudience],
        (voice, world): (&mut Voice, &World<'_>),
        out: &mut Outbox,
    ) {
        let Self { hearing, returned, saying } = self;
        let alone = only(returned.person);
        let Some(talk) = talk else {
            // What is over is told as over: there is nothing to answer.
            let words = self.words((Occasion::Closed, round(returned)), alone, true);
            voice.say(hearing, &words, world, out);
            if !misled.is_empty() {
                let others = hearing.audience(*saying, misled);
                let words = self.words((Occasion::Closed, round(returned) + MOST_REFUSED), others, true);
                voice.say(hearing, &words, world, out);
            }
            return;
        };
        talk.answered.retain(|person| person != returned.person);
        talk.reminders = talk.reminders.saturating_add(1);
        let (occasion, is_shut) = (Occasion::Reminder(talk.reminders), talk.needs_signature);
        let asked = hearing.asked(0);
        if !reopened {
            let is_theirs = world.people.belongs(hearing.change.tenant(), &asked, returned.person);
            voice.say(hearing, &self.words((occasion, 0), alone, is_shut || !is_theirs), world, out);
            return;
        }
        // Whom a step told beside hears of it, too, and decides as little as before.
        let others = talk.told.iter().any(|told| *told != asked);
        let others = others.then(|| without(hearing.audience(*saying, &talk.told), &asked));
        voice.say(hearing, &self.words((occasion, 0), asked, is_shut), world, out);
        if let Some(others) = others {
            voice.say(hearing, &self.words((occasion, 1), others, true), world, out);
        }
    }

    fn words(
        &self,
        (occasion, round): (Occasion, u32),
        audience: BoundAudience,
        is_shown_only: bool,
    ) -> Words {
        let (saying, since, count) = (self.saying, self.hearing.now, 1);
        let (conversation, answer) = (self.returned.conversation, said(self.returned));
        Words { saying, occasion, round, conversation, count, since, audience, is_shown_only, answer }
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
    let Some(mut open) = matter.ended.take_if(|open| !is_over && !later(open)) else { return false };
    open.reopened = open.reopened.saturating_add(1);
    matter.talks.retain(|talk| talk.id != open.id);
    matter.talks.push(open);
    matter.decided = None;
    true
}

/// Who heard, or is about to hear, of a decision that is not carried out: everybody it was told to but who made
/// it. Where that still waits to be said, it is not said any more.
fn misled(matter: &mut Matter<'_>, returned: &Returned<'_>) -> Vec<BoundAudience> {
    let Returned { conversation, person, verb, .. } = *returned;
    let is_last_word = matter.decided.as_ref().is_some_and(|decided| {
        (decided.conversation, decided.verb) == (conversation, verb) && decided.by == person
    });
    let ended = matter.ended.as_ref().filter(|ended| is_last_word && ended.id == conversation);
    let mut told = ended.map(|ended| ended.told.clone()).unwrap_or_default();
    told.iter_mut().for_each(|audience| leave_out(audience, person));
    if is_last_word {
        matter.talks.retain(|talk| talk.id != conversation || !talk.is_closing());
    }
    told
}

fn said(returned: &Returned<'_>) -> Vec<(&'static str, String)> {
    let texts = [returned.person, returned.verb.as_str(), returned.why];
    ANSWER.into_iter().zip(texts.map(str::to_owned)).collect()
}

/// Tells it apart from what else is said at the close of the conversation, which has the rounds before these.
fn round(returned: &Returned<'_>) -> u32 {
    let hash = hash128([returned.response_id.as_bytes(), returned.person.as_bytes()]);
    MOST_CLOSED + 1 + u32::try_from(hash % u128::from(MOST_REFUSED)).unwrap_or_default()
}
