//! Answers: who was asked and answers in time decides; what that stops, stops.
//!
//! A decision ends the conversation and the first valid one wins; an acknowledgement ends it for the person
//! alone, and fifty of them are fifty. Whether somebody may answer is decided here and nowhere else, from
//! what is kept of the conversation and from the directory as it stands.

use crate::codec::Unreadable;
use crate::event::answer::Answer;
use crate::event::frame::SubjectItem;
use crate::event::notice::{Verb, Whom};
use crate::event::{BoundAudience, Change, Ending, Timestamp, Verdict, hash128};
use crate::topology::plan::Stop;
use crate::topology::schedule::{Purpose, Start};
use crate::topology::{KindRule, Rule};

use super::conversation::{Conversation, Decided, Matter, What};
use super::dedupe::{Heard, Seen};
use super::renew::renew;
use super::talks::{Talks, close, key, over, read};
use super::told_to::leave_out;
use super::voice::{Hearing, Voice, blank, is_unsure};
use super::{Outbox, Want, World, mute};

/// Why an answer does not count. The words are stable: devices and portals act on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The same answer came before.
    Repeated,
    /// Somebody decided already.
    AlreadyAnswered,
    /// It was closed, or nothing is known of it.
    Closed,
    /// A later round asks anew.
    Superseded,
    /// Its time has passed.
    Expired,
    /// The person does not belong to those asked.
    NotAsked,
    /// The rule does not offer it.
    NotOffered,
    /// The rule is gone.
    RuleRemoved,
}

// === impl Refusal ===

impl Refusal {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Repeated => "repeated",
            Self::AlreadyAnswered => "already_answered",
            Self::Closed => "closed",
            Self::Superseded => "superseded",
            Self::Expired => "expired",
            Self::NotAsked => "not_asked",
            Self::NotOffered => "not_offered",
            Self::RuleRemoved => "rule_removed",
        }
    }
}

/// An answer and where it came to.
#[derive(Clone, Copy)]
pub(super) struct Given<'g> {
    pub(super) now: Timestamp,
    pub(super) item: &'g SubjectItem<'g>,
    pub(super) answer: &'g Answer<'g>,
}

// === impl Talks ===

impl Talks {
    /// Takes an answer in. Nothing of it happened when it wants something.
    pub(super) fn answer(
        &mut self,
        given: Given<'_>,
        (voice, seen): (&mut Voice, &mut Seen),
        world: &World<'_>,
        out: &mut Outbox,
    ) -> Result<(), Want> {
        let Given { now, item, answer } = given;
        let Some(rule) = item.rules.first().and_then(|rule| world.topology.rule(rule)) else {
            given.refuse(None, Refusal::RuleRemoved, out);
            return Ok(());
        };
        let parts = [answer.tenant, "answer", &rule.id, answer.response_id, answer.person].map(str::as_bytes);
        let key = key(&rule.id, item.subject);
        let entry = self.kept.get(key).map(<[u8]>::to_vec);
        let mut matter = read(entry.as_deref(), &rule.id);
        let at = matter.talks.iter().position(|talk| talk.id == answer.conversation && !talk.is_closing());
        let Some(mut talk) = at.map(|at| matter.talks.remove(at)) else {
            let refusal = given.without_talk(rule, &matter);
            if refusal.is_none() && seen.hear_once(hash128(parts), now) == Heard::New {
                given.accept(rule, out);
            } else {
                given.refuse(Some(rule), refusal.unwrap_or(Refusal::Repeated), out);
            }
            return Ok(());
        };
        let kept = talk.kept().unwrap_or_default();
        let Ok(asked) = SubjectItem::read(&kept) else {
            given.refuse(Some(rule), Refusal::Closed, out);
            return Ok(());
        };
        let change = match world.codec.decode(asked.at.source, asked.format, &asked.headers, asked.payload) {
            Ok(change) => change,
            Err(Unreadable::WantsSchema(id)) => return Err(Want::Schema(id)),
            Err(Unreadable::Refused(_)) => {
                given.refuse(Some(rule), Refusal::Closed, out);
                return Ok(());
            }
        };
        let refusal = given.check((&talk, &change), world);
        if refusal.is_none() && seen.hear_once(hash128(parts), now) == Heard::New {
            given.accept(rule, out);
            super::carry::owe(&given, (rule, &change), world.plan, out);
            let form = world.topology.rule_for(&rule.id, change.kind());
            if let Some(form) = form {
                renew(&mut talk, (form, &change), (world, &world.plan.zone_of(&change)));
            }
            for whom in given.over(rule.stop(answer.verb), form) {
                over(&talk, (answer.tenant, &rule.id), whom, (voice, out));
            }
            if answer.verb.decides() && rule.stop(answer.verb) == Stop::All {
                self.end_others(&given, (rule, &mut talk), (voice, world), out);
            }
            given.stop(&mut talk, &mut matter, (rule, form));
            if talk.id == 0 || talk.is_closing() {
                mute::end(rule, (key, &talk.each), out);
            }
        } else {
            given.refuse(Some(rule), refusal.unwrap_or(Refusal::Repeated), out);
        }
        if talk.id != 0 {
            matter.talks.push(talk);
        }
        self.write(key, &matter);
        Ok(())
    }
}

// === impl Given ===

impl Given<'_> {
    /// What an answer meets where no such conversation is open. An acknowledgement of a rule that keeps
    /// none needs none: there is nothing to stop.
    fn without_talk(&self, rule: &Rule, matter: &Matter<'_>) -> Option<Refusal> {
        let decided = matter.decided.as_ref();
        if let Some(decided) = decided.filter(|decided| decided.conversation == self.answer.conversation) {
            // Who says again what they decided has been heard.
            let same = decided.by == self.answer.person && decided.verb == self.answer.verb;
            return Some(if same { Refusal::Repeated } else { Refusal::AlreadyAnswered });
        }
        if !rule.converses() && self.answer.verb == Verb::Acknowledge {
            return None;
        }
        let later = matter.talks.iter().any(|talk| !talk.is_closing());
        Some(if later { Refusal::Superseded } else { Refusal::Closed })
    }

    fn check(&self, (talk, change): (&Conversation<'_>, &Change<'_>), world: &World<'_>) -> Option<Refusal> {
        let Answer { tenant, person, verb, .. } = *self.answer;
        let rule = self.item.rules.first().and_then(|rule| world.topology.rule_for(rule, change.kind()));
        let Some(rule) = rule else { return Some(Refusal::RuleRemoved) };
        let belongs = |audience: &BoundAudience| world.people.belongs(tenant, audience, person);
        let sayings = || 0..u16::try_from(rule.rule.sayings.len()).unwrap_or(u16::MAX);
        let mut offers = sayings().filter(|saying| rule.answers(change, *saying).contains(&verb)).peekable();
        let hearing = Hearing { now: self.now, item: self.item, change, rule };
        // What only those can do whom it was asked of is not taken from who was told of it beside them.
        let theirs = |saying| verb == Verb::Acknowledge || belongs(&hearing.asked(saying));
        if rule.expires_at(change).is_some_and(|end| end <= self.now) {
            Some(Refusal::Expired)
        } else if talk.needs_signature || offers.peek().is_none() {
            Some(Refusal::NotOffered)
        } else if !talk.told.iter().any(belongs) {
            Some(Refusal::NotAsked)
        } else if !offers.any(theirs)
            || (verb.decides() && talk.told.iter().any(|told| is_unsure(world, tenant, told)))
        {
            Some(Refusal::NotOffered)
        } else if talk.answered.iter().any(|other| other == person) && verb == Verb::Acknowledge {
            Some(Refusal::Repeated)
        } else {
            None
        }
    }

    /// For whom the conversation is over with this answer: what waits for them is not told any more.
    fn over(&self, stop: Stop, form: Option<&KindRule>) -> Vec<Whom<'_>> {
        let steps = || form.is_some_and(|form| form.timers.iter().any(|timer| waits(form, timer.id)));
        match stop {
            Stop::All => vec![Whom::Everybody],
            Stop::Each if steps() => vec![Whom::Person(self.answer.person), Whom::Steps],
            Stop::Each => vec![Whom::Person(self.answer.person)],
            Stop::Pause(_) | Stop::None => Vec::new(),
        }
    }

    /// What the answer ends.
    fn stop<'m>(
        &self,
        talk: &mut Conversation<'m>,
        matter: &mut Matter<'m>,
        (rule, form): (&Rule, Option<&KindRule>),
    ) {
        let Answer { person, verb, .. } = *self.answer;
        match rule.stop(verb) {
            Stop::All => {
                self.decide(rule, talk, matter);
                // Who decided need not be told that it was decided.
                talk.told.iter_mut().for_each(|audience| leave_out(audience, person));
                talk.armed.clear();
                if rule.closing().is_some() && !talk.told.is_empty() {
                    close(talk, self.now);
                } else {
                    talk.id = 0;
                }
            }
            Stop::Each => {
                talk.answer_of(person);
                talk.armed.retain(|armed| !form.is_some_and(|form| waits_for_anybody(form, armed.what)));
            }
            Stop::Pause(span) => {
                let until = self.now + span;
                // What is held or gathered is no reminder.
                let reminders = talk.armed.iter_mut().filter(|armed| matches!(armed.what, What::Timer(_)));
                reminders.for_each(|armed| armed.due = armed.due.max(until));
            }
            Stop::None => {}
        }
    }

    /// Remembers the decision that ends a conversation.
    pub(super) fn decide<'m>(&self, rule: &Rule, talk: &Conversation<'m>, matter: &mut Matter<'m>) {
        let (by, verb, conversation) = (self.answer.person.to_owned(), self.answer.verb, talk.id);
        matter.decided = Some(Decided { conversation, by, verb, at: self.now });
        matter.ended = rule.writes_back().then(|| talk.clone());
    }

    fn accept(&self, rule: &Rule, out: &mut Outbox) {
        let ending = Ending::Answered(self.answer.verb.as_str().to_owned());
        self.verdict(Some(rule), ending, out);
        out.tally.answers.0 += 1;
    }

    fn refuse(&self, rule: Option<&Rule>, refusal: Refusal, out: &mut Outbox) {
        self.verdict(rule, Ending::AnswerRefused(refusal.as_str().to_owned()), out);
        out.tally.answers.1 += 1;
    }

    fn verdict(&self, rule: Option<&Rule>, ending: Ending, out: &mut Outbox) {
        let verdict = blank(self.now, self.item, None, ending);
        out.verdicts.push(Verdict {
            tenant: self.answer.tenant.to_owned(),
            event_id: self.answer.response_id.to_owned(),
            rule: rule.map(|rule| rule.id.clone()),
            occasion: Some(self.answer.occasion),
            count: 1,
            people: vec![self.answer.person.to_owned()],
            ..verdict
        });
    }
}

/// A step counted from the telling waits for somebody to say that they have seen it: one is enough.
fn waits_for_anybody(rule: &KindRule, what: What) -> bool {
    matches!(what, What::Timer(id) if waits(rule, id))
}

fn waits(rule: &KindRule, id: u32) -> bool {
    let step = |purpose| matches!(purpose, Purpose::Step(_));
    rule.timers.iter().any(|timer| timer.id == id && timer.start == Start::Told && step(timer.purpose))
}
