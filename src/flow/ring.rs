//! Ring: what is due is told, late or not, once.

use crate::codec::Unreadable;
use crate::event::frame::SubjectItem;
use crate::event::{BoundAudience, Ending, Occasion, Reason, Span, Timestamp};
use crate::store::keyed::Second;
use crate::topology::KindRule;
use crate::topology::schedule::{Purpose, Start, Timer};

use super::conversation::{Armed, Conversation, Decided, Matter, What, second};
use super::due;
use super::renew::{origin, renew};
use super::returned::MOST_CLOSED;
use super::talks::{Talks, lasts, told};
use super::told_to::leave_out;
use super::voice::{Hearing, Said, Voice, Words, blank};
use super::{Outbox, Want, World, mute, window};

/// The most conversations looked at before the lane does something else.
const MOST_AT_ONCE: usize = 5_000;
/// What is due is late after this.
const LATE: Span = Span::from_secs(10);
/// The most late ones in a second: after an outage they are told little by little, and what comes in
/// meanwhile is not held up.
const MOST_LATE: usize = 1_000;

// === impl Talks ===

impl Talks {
    /// When something is due next.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        let next = self.kept.next_due()?.max(self.rested);
        Some(Timestamp::from_millis(i64::from(next) * 1_000))
    }

    /// Tells what is due. What it cannot read yet it asks for, and leaves due.
    pub(super) fn ring(
        &mut self,
        now: Timestamp,
        voice: &mut Voice,
        world: &World<'_>,
        out: &mut Outbox,
    ) -> Option<Want> {
        let by = Second::try_from(now.millis().max(0) / 1_000).unwrap_or(Second::MAX - 1);
        if by < self.rested {
            return None;
        }
        let mut late = 0;
        for _ in 0..MOST_AT_ONCE {
            let Some(key) = self.kept.due_by(by).filter(|_| out.bytes() <= world.plan.budget) else { break };
            if late == MOST_LATE {
                self.rested = by + 1;
                break;
            }
            let entry = self.kept.get(key).map(<[u8]>::to_vec).unwrap_or_default();
            let Ok(mut matter) = Matter::read(&entry) else {
                // It was read when it was restored, or was written by this very process.
                self.kept.remove(key);
                continue;
            };
            late += usize::from(matter.due() < second(now - LATE));
            if second(matter.ends) <= by {
                // Nothing was heard of it for as long as anything is remembered.
                matter.talks.iter().for_each(|talk| mute::forget(world, (key, &talk.each), out));
                self.kept.remove(key);
                continue;
            }
            let (rule, decided) = (matter.rule.clone(), &matter.decided);
            let rung = matter.talks.iter_mut().try_for_each(|talk| {
                // Each leaves its verdicts before the next one may want something.
                let decided = decided.as_ref().filter(|decided| decided.conversation == talk.id);
                ring_one(talk, ((key, decided), &rule), (now, by), (voice, world), out)
            });
            let lasts = world.topology.rule(&rule).is_some_and(|rule| lasts(rule));
            let gone = matter.talks.iter().filter(|talk| talk.id == 0);
            gone.for_each(|talk| mute::forget(world, (key, &talk.each), out));
            matter.talks.retain(|talk| !talk.armed.is_empty() || (lasts && talk.id != 0));
            self.write(key, &matter);
            if let Err(want) = rung {
                return Some(want);
            }
        }
        None
    }
}

/// What is due of one conversation. Nothing of it has happened when it wants something.
fn ring_one(
    talk: &mut Conversation<'_>,
    ((matter, decided), rule): ((u128, Option<&Decided>), &str),
    (now, by): (Timestamp, Second),
    (voice, world): (&mut Voice, &World<'_>),
    out: &mut Outbox,
) -> Result<(), Want> {
    if !talk.armed.iter().any(|armed| second(armed.due) <= by) {
        return Ok(());
    }
    with_kept(talk, ((matter, decided), rule), (now, voice, world), out, |ringing, out| {
        while let Some(armed) = ringing.next(by) {
            out.tally.rung_late_ms.push(now.since(armed.due).millis().max(0));
            ringing.ring(armed, out);
        }
    })
}

/// A change that belongs to the next window: what the one before gathered is told first. What cannot be read yet
/// stays with what comes.
pub(super) fn release(
    talk: &mut Conversation<'_>,
    next: &Hearing<'_>,
    (matter, voice, world): (u128, &mut Voice, &World<'_>),
    out: &mut Outbox,
) {
    if !window::is_over(talk, next) {
        return;
    }
    let told = |ringing: &mut Ringing<'_, '_>, out: &mut Outbox| {
        ringing.talk.let_go();
        ringing.tell(out);
    };
    let _ = with_kept(talk, ((matter, None), &next.rule.rule.id), (next.now, voice, world), out, told);
}

/// Does something with a conversation and the change it keeps, where that can still be told.
fn with_kept(
    talk: &mut Conversation<'_>,
    ((matter, decided), rule): ((u128, Option<&Decided>), &str),
    (now, voice, world): (Timestamp, &mut Voice, &World<'_>),
    out: &mut Outbox,
    act: impl FnOnce(&mut Ringing<'_, '_>, &mut Outbox),
) -> Result<(), Want> {
    let kept = talk.kept().unwrap_or_default();
    let Ok(item) = SubjectItem::read(&kept) else {
        talk.armed.clear();
        return Ok(());
    };
    let change = match world.codec.decode(item.at.source, item.format, &item.headers, item.payload) {
        Ok(change) => change,
        Err(Unreadable::WantsSchema(id)) => return Err(Want::Schema(id)),
        Err(Unreadable::Refused(fault)) => {
            super::voice::bury(&item, (fault.code.as_str(), &fault.to_string()), Some(rule), out);
            let reason = Reason::Refused(fault.code.as_str().to_owned());
            let verdict = blank(now, &item, None, Ending::Not(reason));
            out.verdicts.push(crate::event::Verdict { rule: Some(rule.to_owned()), ..verdict });
            (talk.id, talk.armed) = (0, Vec::new());
            return Ok(());
        }
    };
    let Some(form) = world.topology.rule_for(rule, change.kind()) else {
        let verdict = blank(now, &item, Some(&change), Ending::Not(Reason::RuleRemoved));
        out.verdicts.push(crate::event::Verdict { rule: Some(rule.to_owned()), ..verdict });
        (talk.id, talk.armed) = (0, Vec::new());
        return Ok(());
    };
    renew(talk, (form, &change), (world, &world.plan.zone_of(&change)));
    let hearing = Hearing { now, item: &item, change: &change, rule: form };
    if form.expires_at(&change).is_some_and(|end| end <= now) && !talk.is_closing() {
        out.verdicts.push(hearing.verdict(Occasion::First, Ending::Not(Reason::Expired)));
        talk.armed.clear();
        return Ok(());
    }
    act(&mut Ringing { matter, talk, decided, hearing, voice, world }, out);
    Ok(())
}

/// What a window tells is told anew: what repeats it counts from now.
pub(super) fn repeat_from(talk: &mut Conversation<'_>, rule: &KindRule, now: Timestamp) {
    if rule.rule.window().is_none() {
        return;
    }
    let repeats = |timer: &&Timer| timer.purpose == Purpose::Repeat && timer.hour.is_none();
    for timer in rule.timers.iter().filter(repeats) {
        let own = talk.armed.iter_mut().filter(|armed| armed.what == What::Timer(timer.id));
        own.for_each(|armed| armed.due = now + timer.offset);
    }
}

/// A conversation of which something is due.
struct Ringing<'r, 't> {
    /// The key of what it is a conversation of.
    matter: u128,
    talk: &'r mut Conversation<'t>,
    /// What ended it, where somebody's answer did.
    decided: Option<&'r Decided>,
    hearing: Hearing<'r>,
    voice: &'r mut Voice,
    world: &'r World<'r>,
}

// === impl Ringing ===

impl Ringing<'_, '_> {
    /// The next thing that is due: what is held before what reminds of it, then by time.
    fn next(&mut self, by: Second) -> Option<Armed> {
        only_nearest(&mut self.talk.armed, self.hearing.rule, self.hearing.now);
        let due = self.talk.armed.iter().enumerate().filter(|(_, armed)| second(armed.due) <= by);
        let first = due.min_by_key(|(_, armed)| (matches!(armed.what, What::Timer(_)), armed.due))?.0;
        Some(self.talk.armed.remove(first))
    }

    fn ring(&mut self, armed: Armed, out: &mut Outbox) {
        match armed.what {
            What::Tell => self.tell(out),
            What::Close => {
                if let Some(saying) = self.hearing.rule.rule.closing() {
                    let round = self.talk.reopened.min(MOST_CLOSED);
                    self.say((saying, Occasion::Closed, round), armed.due, out);
                }
                // It is over; nothing keeps it.
                (self.talk.id, self.talk.armed) = (0, Vec::new());
            }
            What::Timer(id) => {
                let timer = self.hearing.rule.timers.iter().find(|timer| timer.id == id);
                match timer.cloned() {
                    Some(timer) => self.timer(&timer, armed, out),
                    // The rule has no such timer any more.
                    None => out
                        .verdicts
                        .push(self.hearing.verdict(Occasion::Reminder(0), Ending::Not(Reason::RuleRemoved))),
                }
            }
        }
    }

    /// What was held or gathered.
    fn tell(&mut self, out: &mut Outbox) {
        let Some(count) = window::release(self.talk, &self.hearing) else {
            let verdict = self.hearing.verdict(Occasion::First, Ending::Not(Reason::Grouped));
            return out.verdicts.push(verdict);
        };
        let first = self.hearing.first(self.talk.id, count, self.hearing.now);
        let words = Words { is_shown_only: self.talk.needs_signature, ..first };
        let meant = words.audience.clone();
        if self.speak(&words, meant, out) == Said::Told {
            repeat_from(self.talk, self.hearing.rule, self.hearing.now);
        }
    }

    fn timer(&mut self, timer: &Timer, armed: Armed, out: &mut Outbox) {
        let occasion = match timer.purpose {
            Purpose::Step(number) => Occasion::Step(number + 1),
            Purpose::Rung(_) | Purpose::Repeat => {
                self.talk.reminders = self.talk.reminders.saturating_add(1);
                Occasion::Reminder(self.talk.reminders)
            }
        };
        let said = self.say((timer.saying, occasion, armed.round), self.hearing.now, out);
        if timer.every.is_some_and(|every| every.millis() > 0) {
            self.again(timer, armed);
        }
        if said == Said::Nobody && matches!(timer.purpose, Purpose::Step(_)) {
            self.next_step();
        }
    }

    fn say(
        &mut self,
        (saying, occasion, round): (u16, Occasion, u32),
        since: Timestamp,
        out: &mut Outbox,
    ) -> Said {
        let meant = self.hearing.audience(saying, &self.talk.told);
        let mut audience = meant.clone();
        if occasion != Occasion::Closed {
            // Who has answered for themselves is not reminded.
            self.talk.answered.iter().for_each(|person| leave_out(&mut audience, person));
        }
        let (conversation, is_shown_only) = (self.talk.id, self.talk.needs_signature);
        let decided = self.decided.filter(|_| occasion == Occasion::Closed);
        let answer = decided.map(Decided::said).unwrap_or_default();
        let words =
            Words { saying, occasion, round, conversation, count: 1, since, audience, is_shown_only, answer };
        self.speak(&words, meant, out)
    }

    /// Says it, and remembers whom it was meant for: who had answered for themselves belongs to them, too.
    fn speak(&mut self, words: &Words, meant: BoundAudience, out: &mut Outbox) -> Said {
        let said = self.voice.say(&self.hearing, words, self.world, out);
        if said == Said::Told && words.occasion != Occasion::Closed {
            let (zone, heard) = (self.zone(), self.voice.heard_by(meant));
            self.talk.reach(self.voice.reached());
            told(self.talk, heard, &self.hearing, &zone);
            mute::begin(&self.hearing, (self.matter, &self.talk.each), out);
        }
        said
    }

    /// The next of what comes again; what was missed meanwhile is not told one by one.
    fn again(&mut self, timer: &Timer, armed: Armed) {
        let Hearing { now, change, .. } = self.hearing;
        let is_windowed = self.hearing.rule.rule.window().is_some();
        if timer.purpose == Purpose::Repeat && timer.hour.is_none() && is_windowed {
            // It counts from what the window told last.
            let every = timer.every.unwrap_or_default().millis().max(1);
            let steps = now.since(armed.due).millis().max(0) / every + 1;
            let round = armed.round.saturating_add(u32::try_from(steps).unwrap_or(u32::MAX));
            if timer.most.is_none_or(|most| round < most) {
                let due = armed.due + Span::from_millis(every.saturating_mul(steps));
                self.talk.armed.push(Armed { due, round, ..armed });
            }
            return;
        }
        // What starts from the last change does not come again.
        let repeats = timer.start != Start::Last;
        let base = origin(timer.start, self.talk, change, now).filter(|_| repeats);
        let (Some(base), zone) = (base, self.zone()) else { return };
        let missed = due::nearest(timer, base, now, &zone).map_or(0, |(round, _)| round);
        let round = missed.max(armed.round).saturating_add(1);
        if timer.most.is_some_and(|most| round >= most) {
            return;
        }
        let due = due::due(timer, base, round, &zone);
        self.talk.armed.extend(due.map(|due| Armed { due, round, ..armed }));
    }

    /// Nobody is there to be told of this step: the next one does not wait for its time.
    fn next_step(&mut self) {
        let Hearing { now, rule, .. } = self.hearing;
        let is_step = |armed: &&mut Armed| match armed.what {
            What::Timer(id) => {
                rule.timers.iter().any(|timer| timer.id == id && matches!(timer.purpose, Purpose::Step(_)))
            }
            _ => false,
        };
        if let Some(next) = self.talk.armed.iter_mut().filter(is_step).min_by_key(|armed| armed.due) {
            next.due = next.due.min(now);
        }
    }

    fn zone(&self) -> jiff::tz::TimeZone {
        self.world.plan.zone_of(self.hearing.change)
    }
}

/// Of a ladder's rungs that are past, all but the nearest are taken away.
pub(super) fn only_nearest(armed: &mut Vec<Armed>, rule: &KindRule, now: Timestamp) {
    let ladder = |armed: &Armed| match armed.what {
        What::Timer(id) => {
            rule.timers.iter().find(|timer| timer.id == id).and_then(|timer| match timer.purpose {
                Purpose::Rung(ladder) if timer.every.is_none() => Some(ladder),
                _ => None,
            })
        }
        _ => None,
    };
    let past: Vec<(u16, Timestamp)> = armed
        .iter()
        .filter(|armed| armed.due <= now)
        .filter_map(|armed| Some((ladder(armed)?, armed.due)))
        .collect();
    if past.len() < 2 {
        return;
    }
    armed.retain(|armed| {
        let later = |ladder: u16| past.iter().any(|(other, due)| *other == ladder && *due > armed.due);
        armed.due > now || !ladder(armed).is_some_and(later)
    });
}
