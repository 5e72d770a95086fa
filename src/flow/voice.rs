//! Voice: one thing a rule says about one change, to the people it names now.
//!
//! First tellings, reminders, steps and closes are all said here, so that whoever reads verdicts reads them
//! in one form.

use std::sync::Arc;

use bytes::Bytes;

use crate::directory::bind_rule;
use crate::event::frame::{FrameHead, SubjectItem};
use crate::event::notice::OCCURRED_AT;
use crate::event::record::Header;
use crate::event::{
    Asked, BoundAudience, Change, Ending, Notice, NoticeId, Occasion, Over, Reason, Sealed, Timestamp, Value,
    Verdict, hash128,
};
use crate::topology::KindRule;
use crate::topology::message::Reader;
use crate::topology::schedule::To;

use super::dead_letter::{self, Cause};
use super::dedupe::{Heard, Seen};
use super::fan_out::FanOut;
use super::named::{Kept, MOST_STANDING, Named};
use super::{Outbox, Plan, World, mute, told_to};

/// The most people one verdict names, so that it fits an audit record.
const MOST_NAMED: usize = 1_000;

/// A rule and the change it speaks of.
#[derive(Clone, Copy)]
pub(super) struct Hearing<'h> {
    pub(super) now: Timestamp,
    pub(super) item: &'h SubjectItem<'h>,
    pub(super) change: &'h Change<'h>,
    pub(super) rule: &'h KindRule,
}

/// One thing to say.
#[derive(Clone)]
pub(super) struct Words {
    /// Which of the rule's sayings.
    pub(super) saying: u16,
    pub(super) occasion: Occasion,
    /// What tells it apart from what else is said on this occasion about this change.
    pub(super) round: u32,
    /// The round of the conversation.
    pub(super) conversation: u128,
    /// How many changes it stands for.
    pub(super) count: u32,
    /// Since when it could be said: when the change was appended, or when its time came.
    pub(super) since: Timestamp,
    pub(super) audience: BoundAudience,
    /// Whether it cannot be answered here: it is to be signed in its system, or is not theirs.
    pub(super) is_shown_only: bool,
    /// What it says of an answer, by the names of [`ANSWER`].
    pub(super) answer: Vec<(&'static str, String)>,
}

/// What came of saying it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// It is on its way to somebody.
    Told,
    /// There is nobody to tell.
    Nobody,
    /// It is not said now.
    Muted,
}

/// What speaking needs: open frames, and whom audiences name while the directory stands still.
#[derive(Debug)]
pub(super) struct Voice {
    fan_out: FanOut,
    kept: Kept,
    /// Room to seal an audience in.
    sealed: Vec<u8>,
    /// The partitions of people that what was said last went to.
    reached: Vec<i32>,
    /// Whether it went to those of the fallback.
    by_fallback: bool,
}

// === impl Voice ===

impl Voice {
    pub(super) fn new(plan: &Plan) -> Self {
        let (sealed, reached, by_fallback) = (Vec::new(), Vec::new(), false);
        Self { fan_out: FanOut::new(plan.people), kept: Kept::default(), sealed, reached, by_fallback }
    }

    /// What is said from now on was decided with this world, in this partition.
    pub(super) fn set_head(&mut self, partition: i32, world: &World<'_>, out: &mut Outbox) {
        let directory = world.directory.to_vec();
        let (generation, mutes) = (world.topology.generation, world.muted.position());
        let head = FrameHead { generation, directory, mutes, from: partition };
        self.fan_out.frames.set_head(&head, out);
    }

    /// The first telling of a change by itself.
    pub(super) fn tell(&mut self, hearing: &Hearing<'_>, world: &World<'_>, out: &mut Outbox) -> Said {
        self.say(hearing, &hearing.first(hearing.event(), 1, hearing.item.appended_at), world, out)
    }

    /// Says it to whoever it is for now; every way it can end leaves its verdict.
    pub(super) fn say(
        &mut self,
        hearing: &Hearing<'_>,
        words: &Words,
        world: &World<'_>,
        out: &mut Outbox,
    ) -> Said {
        let Hearing { item, change, rule, .. } = *hearing;
        let occasion = words.occasion;
        if let Some(reason) = mute::reason(hearing, world).filter(|_| occasion != Occasion::Closed) {
            out.verdicts.push(hearing.verdict(occasion, Ending::Not(reason)));
            return Said::Muted;
        }
        words.audience.seal(&mut self.sealed);
        let (tenant, channels) = (change.tenant(), &rule.rule.plan.channels);
        let (generation, turns) =
            (world.topology.generation.to_le_bytes(), world.people.turns().to_le_bytes());
        let key = hash128([tenant.as_bytes(), rule.rule.id.as_bytes(), &generation, &turns, &self.sealed]);
        let named = self.kept.named(key, world.directory, || {
            let (found, asked) =
                world.people.resolve_asked((tenant, &words.audience), channels, MOST_STANDING);
            let asked = Asked { directory: world.directory.to_vec(), ..asked };
            Named::of(&found, asked, tenant, world.plan.people)
        });
        let asked = Some(Arc::clone(&named.asked));
        if let Some(reason) = &named.nobody {
            let verdict = hearing.verdict(occasion, Ending::Not(reason.clone()));
            out.verdicts.push(Verdict { asked, ..verdict });
            return Said::Nobody;
        }
        let instead = hearing.instead(words).filter(|_| named.by_fallback);
        let words = instead.as_ref().unwrap_or(words);
        let collapse_key = rule.collapse_key(change);
        let mut notice = hearing.notice(words, Sealed::of(&self.sealed), collapse_key.as_deref());
        let offers_decision = notice.answers.iter().any(|verb| verb.decides());
        if offers_decision && is_unsure(world, tenant, &words.audience) {
            notice.answers.retain(|verb| !verb.decides());
        }
        if let Err((fault, reason)) = send(&mut self.fan_out, hearing, (&notice, &named), world, out) {
            bury(item, (fault.0, &fault.1), Some(&rule.rule.id), out);
            out.verdicts.push(hearing.verdict(occasion, Ending::Not(reason)));
            return Said::Nobody;
        }
        self.by_fallback = named.by_fallback;
        self.reached.clear();
        self.reached.extend(named.parts.iter().map(|part| part.partition));
        out.tally.fan_outs.push(named.count);
        let verdict = hearing.verdict(occasion, Ending::Routed);
        out.verdicts.push(Verdict { count: named.count, asked, ..verdict });
        for (people, reason) in [(&named.no_channel, Reason::NoChannel), (&named.no_device, Reason::NoDevice)]
        {
            for part in people.chunks(MOST_NAMED) {
                let count = u32::try_from(part.len()).unwrap_or(u32::MAX);
                let verdict = hearing.verdict(occasion, Ending::Not(reason.clone()));
                out.verdicts.push(Verdict { count, people: part.to_vec(), ..verdict });
            }
        }
        Said::Told
    }

    /// The partitions of people that what was said last went to, some of them twice.
    pub(super) fn reached(&self) -> &[i32] {
        &self.reached
    }

    /// Those of an audience to whom what was said last went.
    pub(super) fn heard_by(&self, audience: BoundAudience) -> BoundAudience {
        told_to::half(audience, self.by_fallback)
    }

    /// Says in these partitions of people that a conversation is over.
    pub(super) fn end(&mut self, over: &Over<'_>, partitions: &[i32], out: &mut Outbox) {
        self.fan_out.end(over, partitions, out);
    }

    /// Everything said leaves.
    pub(super) fn cut(&mut self, out: &mut Outbox) {
        self.fan_out.frames.cut(out);
    }

    /// What was said is taken back.
    pub(super) fn clear(&mut self) {
        self.fan_out.frames.clear();
    }
}

// === impl Hearing ===

impl<'h> Hearing<'h> {
    /// The event, as conversations are known by it.
    pub(super) fn event(&self) -> u128 {
        let parts = [self.change.tenant(), self.item.at.source.as_str(), self.change.event_id()];
        hash128(parts.map(str::as_bytes))
    }

    /// Whether the rule knows this change by a key of its own, or one like it. What is not told because it is
    /// muted makes nothing that comes after it a repeat, and what was over at `closed` and begins again is new.
    pub(super) fn is_known(&self, closed: Option<Timestamp>, seen: &mut Seen, world: &World<'_>) -> bool {
        let Some((key, horizon)) = self.rule.dedupe(self.change).zip(self.rule.rule.dedupe_for()) else {
            return false;
        };
        let again = |closed: Timestamp| hash128([&key.to_le_bytes()[..], &closed.millis().to_le_bytes()]);
        let key = closed.map_or(key, again);
        let appended_at = self.item.appended_at.min(self.now);
        mute::reason(self, world).is_none() && seen.hear_within(key, appended_at, horizon) == Heard::Before
    }

    /// The first telling, of so many changes.
    pub(super) fn first(&self, conversation: u128, count: u32, since: Timestamp) -> Words {
        let audience = self.audience(0, &[]);
        let (occasion, answer) = (Occasion::First, Vec::new());
        let (saying, round, is_shown_only) = (0, 0, false);
        Words { saying, occasion, round, conversation, count, since, audience, is_shown_only, answer }
    }

    /// What those hear whom only the fallback names, where that is something else.
    fn instead(&self, words: &Words) -> Option<Words> {
        let rule = &self.rule.rule;
        let is_own =
            rule.sayings.get(usize::from(words.saying)).is_some_and(|saying| saying.to == To::Audience);
        rule.instead().filter(|_| is_own).map(|saying| Words { saying, ..words.clone() })
    }

    /// Whom a saying is for, `told` being those who heard before.
    pub(super) fn audience(&self, saying: u16, told: &[BoundAudience]) -> BoundAudience {
        let rule = &self.rule.rule;
        let to = rule.sayings.get(usize::from(saying)).map_or(&To::Audience, |saying| &saying.to);
        match to {
            To::Audience => {
                bind_rule(&rule.audience, rule.fallback.as_ref(), rule.never.as_ref(), self.change)
            }
            To::Other(to) => bind_rule(to, None, rule.never.as_ref(), self.change),
            To::Told => told_to::all_of(told),
        }
    }

    /// Whom a saying asks: of a rule that says something else to its fallback not those.
    pub(super) fn asked(&self, saying: u16) -> BoundAudience {
        let audience = self.audience(saying, &[]);
        let is_told_else = self.rule.rule.instead().is_some();
        BoundAudience { fallback: audience.fallback.filter(|_| !is_told_else), ..audience }
    }

    /// A verdict about this rule and change.
    pub(super) fn verdict(&self, occasion: Occasion, ending: Ending) -> Verdict {
        Verdict {
            rule: Some(self.rule.rule.id.clone()),
            occasion: Some(occasion),
            ..blank(self.now, self.item, Some(self.change), ending)
        }
    }

    fn notice<'n>(&self, words: &'n Words, audience: Sealed<'n>, collapse_key: Option<&'n str>) -> Notice<'n>
    where
        'h: 'n,
    {
        let Self { item, change, rule, .. } = *self;
        let (occasion, conversation) = (words.occasion, words.conversation);
        let event = (change.tenant(), item.at.source, change.event_id());
        let news = rule.news(change);
        let mut values = rule.values(change, words.saying);
        values.extend(words.answer.iter().map(|(name, text)| (*name, Value::Text(text.into()))));
        let gather = rule.gather(change, words.saying);
        if gather.is_some() && values.iter().all(|(name, _)| *name != OCCURRED_AT) {
            values.push((OCCURRED_AT, Value::Time(change.occurred_at())));
        }
        Notice {
            id: NoticeId::of(event, (&rule.rule.id, item.subject), (occasion, words.round)),
            tenant: change.tenant(),
            rule: &rule.rule.id,
            subject: item.subject,
            event_id: change.event_id(),
            at: item.at,
            occasion,
            saying: words.saying,
            count: words.count,
            // A later telling is news of its own round: the same step of the next round is another one.
            news: match occasion {
                Occasion::First => news,
                // That it is over is news again where it went on since.
                Occasion::Closed if words.round > 0 => hash128([
                    &news.to_le_bytes(),
                    &conversation.to_le_bytes(),
                    &words.round.to_le_bytes()[..],
                ]),
                // Rules that began for reasons of their own end with one change, and that is said once.
                Occasion::Closed => hash128([&news.to_le_bytes()[..], &words.since.millis().to_le_bytes()]),
                _ => hash128([&news.to_le_bytes(), &conversation.to_le_bytes()]),
            },
            conversation,
            appended_at: words.since,
            expires_at: rule.expires_at(change),
            answers: match occasion {
                // What is over, or is to be signed, is not to be answered.
                Occasion::Closed => Vec::new(),
                _ if words.is_shown_only => Vec::new(),
                _ => rule.answers(change, words.saying),
            },
            gather,
            collapse_key,
            values,
            audience,
        }
    }
}

/// Whether nobody can say that who must not decide is kept out: `never` names somebody whom the directory does not
/// know. They are told, and it is decided where they are known.
pub(super) fn is_unsure(world: &World<'_>, tenant: &str, audience: &BoundAudience) -> bool {
    audience.never.is_some() && !world.people.strangers(tenant, audience).is_empty()
}

/// On its way; the fault and the verdict where it cannot be said in every language it is written in.
fn send(
    fan_out: &mut FanOut,
    hearing: &Hearing<'_>,
    (notice, named): (&Notice<'_>, &Named),
    world: &World<'_>,
    out: &mut Outbox,
) -> Result<(), ((&'static str, String), Reason)> {
    let message =
        hearing.rule.rule.sayings.get(usize::from(notice.saying)).and_then(|saying| saying.message.as_ref());
    let tenant = world.plan.tenant(notice.tenant);
    let reader = Reader { locale: &tenant.locale, zone: &tenant.zone, now: hearing.now, count: notice.count };
    if let Some(Err(fault)) = message.map(|message| message.can_be_written(&notice.values, reader)) {
        return Err((("message-failed", fault.to_string()), Reason::Refused("message-failed".to_owned())));
    }
    if !fan_out.send(notice, named, out) {
        let fault = "the values its message needs do not fit a frame".to_owned();
        return Err((("too-large", fault), Reason::TooLarge));
    }
    Ok(())
}

/// A verdict about a change and its subject, of no rule yet.
pub(super) fn blank(
    now: Timestamp,
    item: &SubjectItem<'_>,
    change: Option<&Change<'_>>,
    ending: Ending,
) -> Verdict {
    Verdict {
        at: now,
        tenant: change.map(|change| change.tenant().to_owned()).unwrap_or_default(),
        event_id: change.map(|change| change.event_id().to_owned()).unwrap_or_default(),
        change: item.at,
        subject: Some(item.subject.to_owned()),
        rule: None,
        occasion: None,
        ending,
        count: 0,
        people: Vec::new(),
        asked: None,
    }
}

/// Keeps what could not be used, byte for byte.
pub(super) fn bury(
    item: &SubjectItem<'_>,
    fault: (&'static str, &str),
    rule: Option<&str>,
    out: &mut Outbox,
) {
    let cause = Cause {
        lane: "subject",
        code: fault.0,
        message: fault.1,
        at: item.at.lies(),
        rule,
        subject: Some(item.subject),
    };
    let copied = |(name, value): &(&str, &[u8])| ((*name).to_owned(), Some(Bytes::copy_from_slice(value)));
    let headers: Vec<Header> = item.headers.iter().map(copied).collect();
    let value = Some(Bytes::copy_from_slice(item.payload));
    out.put(dead_letter::record(&cause, None, value, &headers));
    out.tally.dead_letters.push(fault.0);
}
