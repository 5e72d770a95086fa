//! Talks: what is open, held, gathered or due, for every rule and subject of a partition.
//!
//! A change opens a conversation or carries one on; a closing change ends it; time brings the rest about.
//! Everything lives in entries that are written with the transaction that changed them, so that a timer
//! outlives whoever set it. Nothing is said here: [`super::voice`] does.

use jiff::tz::TimeZone;

use crate::event::frame::SubjectItem;
use crate::event::notice::{Over, Whom};
use crate::event::{BoundAudience, Change, Ending, Occasion, Reason, Span, Timestamp, Topic, hash128};
use crate::store::keyed::Second;
use crate::store::spill::DiskFault;
use crate::store::{Keyed, Spill};
use crate::topology::schedule::Start;
use crate::topology::{Closer, KindRule, Rule};

use super::conversation::{Armed, Conversation, Matter, What};
use super::dedupe::Seen;
use super::due::{self, Origin};
use super::memory::{self, BrokenMemory};
use super::renew::{origin, renew};
use super::voice::{Hearing, Said, Voice, Words};
use super::window::{self, Move};
use super::{Cursor, Outbox, World, mute};

/// An open conversation that nothing was heard of for this long is forgotten.
const LONGEST_OPEN: Span = Span::from_secs(180 * 86_400);
/// A decision is waited for, and remembered, for as long as a push can be answered.
const ANSWERABLE: Span = Span::from_secs(30 * 86_400);
/// The most conversations of one subject and rule.
const MOST_TALKS: usize = 256;

/// The conversations of one partition.
#[derive(Debug)]
pub(super) struct Talks {
    partition: i32,
    pub(super) kept: Keyed,
    horizon: Span,
    /// The transaction that wrote entries last, and what it was at the last commit.
    written: (u64, u64),
    /// Not before this is anything due looked at: what is late is told little by little.
    pub(super) rested: Second,
}

/// The key of one rule's knowledge of one subject. The subject begins with its tenant.
pub(super) fn key(rule: &str, subject: &str) -> u128 {
    hash128([subject.as_bytes(), rule.as_bytes()])
}

// === impl Talks ===

impl Talks {
    pub(super) fn new(partition: i32, cursor: &Cursor, (horizon, spill): (Span, &Spill)) -> Self {
        let written = (cursor.state, cursor.state);
        Self { partition, kept: Keyed::within(spill), horizon, written, rested: 0 }
    }

    /// A rule hears a change of a subject it keeps conversations about.
    pub(super) fn hear(
        &mut self,
        hearing: &Hearing<'_>,
        (voice, seen): (&mut Voice, &mut Seen),
        world: &World<'_>,
        out: &mut Outbox,
    ) {
        let Hearing { now, item, change, rule } = *hearing;
        let key = key(&rule.rule.id, item.subject);
        let entry = self.kept.get(key).map(<[u8]>::to_vec);
        let mut matter = read(entry.as_deref(), &rule.rule.id);
        let each = rule.each(change);
        let found = matter.talks.iter().position(|talk| talk.each == each && !talk.is_closing());
        let ended = |reason| hearing.verdict(Occasion::First, Ending::Not(reason));
        if rule.rule.plan.inhibit.as_ref().is_some_and(|other| self.is_open(&other.rule.value, item.subject))
        {
            return out.verdicts.push(ended(Reason::Inhibited));
        }
        if found.is_none() && matter.closed.is_some_and(|closed| change.occurred_at() <= closed) {
            return out.verdicts.push(ended(Reason::AlreadyClosed));
        }
        let mut talk = match found {
            Some(at) => matter.talks.remove(at),
            None if matter.talks.len() >= MOST_TALKS => {
                let fault = ("too-large", "more conversations about one subject than are kept");
                super::voice::bury(item, fault, Some(&rule.rule.id), out);
                return out.verdicts.push(ended(Reason::TooLarge));
            }
            None => Conversation::new(each),
        };
        if talk.order.zip(rule.order(change)).is_some_and(|(newest, order)| order < newest) {
            matter.talks.push(talk);
            self.put(key, matter, (now, rule));
            return out.verdicts.push(ended(Reason::Overtaken));
        }
        let zone = world.plan.zone_of(change);
        super::ring::release(&mut talk, hearing, (key, voice, world), out);
        if let Some((before, reached)) = follow(&mut talk, hearing, (world, &zone)) {
            // What waits of the round before is no longer how things are.
            let (tenant, rule, whom) = (change.tenant(), rule.rule.id.as_str(), Whom::Everybody);
            voice.end(&Over { tenant, rule, conversation: before, whom }, &reached, out);
        }
        match window::gather(&mut talk, hearing, &zone) {
            Ok(Move::Tell) if rule.rule.counts_changes() && hearing.is_known(matter.closed, seen, world) => {
                out.verdicts.push(ended(Reason::Duplicate));
            }
            Ok(Move::Tell) => {
                let first = hearing.first(talk.id, 1, item.appended_at);
                let words = Words { is_shown_only: talk.needs_signature, ..first };
                if voice.say(hearing, &words, world, out) == Said::Told {
                    talk.reach(voice.reached());
                    told(&mut talk, voice.heard_by(words.audience), hearing, &zone);
                    super::ring::repeat_from(&mut talk, rule, now);
                    mute::begin(hearing, (key, &talk.each), out);
                }
            }
            Ok(Move::Wait) => out.verdicts.push(ended(Reason::Grouped)),
            Ok(Move::Later) => out.verdicts.push(hearing.verdict(Occasion::First, Ending::Routed)),
            Ok(Move::Close) => cleared(&mut talk, hearing, (key, voice), out),
            Err(fault) => {
                super::voice::bury(item, ("rule-failed", &fault.to_string()), Some(&rule.rule.id), out);
                out.verdicts.push(ended(Reason::Refused("rule-failed".to_owned())));
            }
        }
        matter.talks.push(talk);
        self.put(key, matter, (now, rule));
    }

    /// Whether a rule told something of a subject that is not over.
    fn is_open(&mut self, rule: &str, subject: &str) -> bool {
        let matter = read(self.kept.get(key(rule, subject)), rule);
        matter.talks.iter().any(|talk| talk.told_at.is_some() && !talk.is_closing())
    }

    /// A change closes what a rule has open about its subject, and what it says happened before.
    pub(super) fn close(
        &mut self,
        closer: &Closer,
        (now, item, change): (Timestamp, &SubjectItem<'_>, &Change<'_>),
        voice: &mut Voice,
        out: &mut Outbox,
    ) {
        let rule = &closer.rule;
        let key = key(&rule.id, item.subject);
        let entry = self.kept.get(key).map(<[u8]>::to_vec);
        let mut matter = read(entry.as_deref(), &rule.id);
        let (ended, open): (Vec<_>, Vec<_>) = matter
            .talks
            .into_iter()
            .partition(|talk| !talk.is_closing() && closer.closes(change, &talk.each));
        matter.talks = open;
        for talk in &ended {
            over(talk, (change.tenant(), &rule.id), Whom::Everybody, (voice, out));
            mute::end(rule, (key, &talk.each), out);
        }
        // Several that are over together are over in one telling, to everybody who heard of any.
        if let Some(talk) = ended.into_iter().filter(|talk| !talk.told.is_empty()).reduce(|mut one, other| {
            other.told.into_iter().for_each(|audience| one.remember(audience));
            one.reach(&other.reached);
            one
        }) {
            let mut talk = talk;
            close(&mut talk, now);
            matter.talks.push(talk);
        }
        matter.closed = matter.closed.max(Some(change.occurred_at()));
        // As long as a change from before could be known again.
        let known = rule.dedupe_for().unwrap_or_default();
        matter.ends = matter.ends.max(now + self.horizon.max(known));
        self.write(key, &matter);
        let verdict = super::voice::blank(now, item, Some(change), Ending::Routed);
        let (rule, occasion) = (Some(rule.id.clone()), Some(Occasion::Closed));
        out.verdicts.push(crate::event::Verdict { rule, occasion, ..verdict });
    }

    /// Keeps a matter for as long as there is something to wait for.
    pub(super) fn put(&mut self, key: u128, mut matter: Matter<'_>, (now, rule): (Timestamp, &KindRule)) {
        let lasts = lasts(&rule.rule);
        matter.talks.retain(|talk| lasts || !talk.armed.is_empty());
        let last_due = matter.talks.iter().flat_map(|talk| &talk.armed).map(|armed| armed.due).max();
        let open = !matter.talks.is_empty() && rule.rule.plan.until.is_some();
        matter.ends = match last_due {
            Some(due) => due.max(now) + LONGEST_OPEN,
            None if open => now + LONGEST_OPEN,
            None if rule.rule.decides() => now + ANSWERABLE,
            None => now + self.horizon.max(window::reach(&rule.rule)),
        };
        let known = rule.rule.dedupe_for().filter(|_| matter.closed.is_some());
        matter.ends = matter.ends.max(now + known.unwrap_or_default());
        self.write(key, &matter);
    }

    pub(super) fn write(&mut self, key: u128, matter: &Matter<'_>) {
        if matter.talks.is_empty() && matter.closed.is_none() && matter.decided.is_none() {
            self.kept.remove(key);
        } else {
            self.kept.put(key, matter.due(), &matter.write(Vec::new()));
        }
    }

    /// The transaction that wrote entries last, this one included.
    pub(super) fn written(&self) -> u64 {
        self.written.0
    }

    /// Writes what changed, if anything did, and where the lane is.
    pub(super) fn cut(&mut self, (offset, mut cursor): (i64, Cursor), out: &mut Outbox) {
        let mut changed = self.kept.changed().peekable();
        if changed.peek().is_none() {
            return;
        }
        for (key, entry) in changed {
            let key = bytes::Bytes::copy_from_slice(&key.to_be_bytes());
            out.put(crate::event::Outgoing {
                topic: Topic::State,
                partition: Some(self.partition),
                key: Some(key),
                value: entry.map(bytes::Bytes::copy_from_slice),
                headers: Vec::new(),
            });
        }
        self.written.0 = cursor.sequence;
        cursor.state = cursor.sequence;
        memory::write_place(Topic::State, self.partition, (offset, &cursor), out);
    }

    /// An entry as an owner before left it.
    ///
    /// # Errors
    /// [`BrokenMemory`].
    pub(super) fn restore(&mut self, key: u128, entry: Option<&[u8]>) -> Result<(), BrokenMemory> {
        let entry = entry.map(|entry| Ok((Matter::due_of(entry)?, entry))).transpose()?;
        self.kept.restore(key, entry);
        Ok(())
    }

    /// All entries of the owner before are here.
    pub(super) fn all_restored(&mut self) {
        self.kept.restored();
    }

    /// The last transaction of an owner before, where nothing else says which wrote entries last.
    pub(super) fn restored(&mut self, cursor: &Cursor) {
        let state = cursor.state.max(self.written.0);
        self.written = (state, state);
    }

    /// A digest of all entries.
    pub(super) fn digest(&self) -> u128 {
        let mut all = 0;
        self.kept.each(|key, entry| all ^= hash128([&key.to_le_bytes(), entry]));
        all
    }

    /// Why nothing may be committed.
    pub(super) fn fault(&self) -> Option<&DiskFault> {
        self.kept.fault()
    }

    pub(super) fn settle(&mut self) {
        self.written.1 = self.written.0;
        self.kept.settle();
    }

    pub(super) fn undo(&mut self) {
        self.written.0 = self.written.1;
        self.kept.undo();
    }
}

/// What is kept of a matter. An entry was read once when it was restored, or written by this very code.
pub(super) fn read<'m>(entry: Option<&'m [u8]>, rule: &'m str) -> Matter<'m> {
    entry.and_then(|entry| Matter::read(entry).ok()).unwrap_or_else(|| Matter::new(rule))
}

/// Whether a conversation is remembered though nothing is due: something may close it, an older state may
/// come late, or a window counts.
pub(super) fn lasts(rule: &Rule) -> bool {
    let plan = &rule.plan;
    let counts = plan.order.is_some() || rule.window().is_some();
    plan.until.is_some() || plan.closed.is_some() || rule.decides() || counts
}

/// What still waits of a conversation for somebody is not told any more.
pub(super) fn over(
    talk: &Conversation<'_>,
    (tenant, rule): (&str, &str),
    whom: Whom<'_>,
    (voice, out): (&mut Voice, &mut Outbox),
) {
    voice.end(&Over { tenant, rule, conversation: talk.id, whom }, &talk.reached, out);
}

/// A change says itself that what it is about is over.
fn cleared(
    talk: &mut Conversation<'_>,
    hearing: &Hearing<'_>,
    (key, voice): (u128, &mut Voice),
    out: &mut Outbox,
) {
    let rule = &hearing.rule.rule;
    over(talk, (hearing.change.tenant(), &rule.id), Whom::Everybody, (voice, out));
    close(talk, hearing.now);
    mute::end(rule, (key, &talk.each), out);
    out.verdicts.push(hearing.verdict(Occasion::Closed, Ending::Routed));
}

/// Those who heard will be told that it is over; nothing else is due any more.
pub(super) fn close(talk: &mut Conversation<'_>, now: Timestamp) {
    talk.armed.clear();
    talk.armed.push(Armed { what: What::Close, due: now, round: 0 });
}

/// A change opens a round or carries it on: its timers start, or move with its dates. The round before, where
/// there was one, and the partitions it was told in.
fn follow(
    talk: &mut Conversation<'_>,
    hearing: &Hearing<'_>,
    (world, zone): (&World<'_>, &TimeZone),
) -> Option<(u128, Vec<i32>)> {
    let Hearing { now, item, change, rule } = *hearing;
    renew(talk, (rule, change), (world, zone));
    let unending = window::is_unending(&rule.rule) || due::by_dates(rule);
    let opens = talk.id == 0 || (talk.armed.is_empty() && !unending);
    let dates = dates(rule, change);
    let moved = opens || talk.dates != dates;
    talk.keep(item);
    (talk.order, talk.dates) = (rule.order(change).or(talk.order), dates);
    let before = opens.then(|| (talk.id, std::mem::take(&mut talk.reached)));
    if opens {
        (talk.id, talk.opened_at, talk.told_at, talk.reminders) = (hearing.event(), now, None, 0);
        (talk.needs_signature, talk.reopened) = (false, 0);
        talk.armed.clear();
    }
    if moved {
        // Who has seen the old date has not seen the new one.
        talk.answered.clear();
    }
    arm(talk, (rule, change), (now, zone), |start| match start {
        Start::Event(_) => moved,
        Start::Opened => opens,
        Start::Told => false,
        Start::Last => true,
    });
    // Of what nothing closes and nothing replaces, each round stands for itself.
    let plan = &rule.rule.plan;
    let stands_alone = plan.until.is_none() && plan.replace.is_none() && plan.order.is_none();
    before.filter(|(id, reached)| *id != 0 && !stands_alone && !reached.is_empty())
}

/// Somebody was told at last, or again.
pub(super) fn told(
    talk: &mut Conversation<'_>,
    audience: BoundAudience,
    hearing: &Hearing<'_>,
    zone: &TimeZone,
) {
    talk.remember(audience);
    if talk.told_at.is_none() {
        talk.told_at = Some(hearing.now);
        arm(talk, (hearing.rule, hearing.change), (hearing.now, zone), |start| start == Start::Told);
    }
}

/// Starts the timers that begin where `begins` says. Of a ladder's rungs that are past only the nearest is
/// told, at once.
pub(super) fn arm(
    talk: &mut Conversation<'_>,
    (rule, change): (&KindRule, &Change<'_>),
    (now, zone): (Timestamp, &TimeZone),
    begins: impl Fn(Start) -> bool,
) {
    let timers = || rule.timers.iter().filter(|timer| begins(timer.start));
    for timer in timers() {
        talk.armed.retain(|armed| armed.what != What::Timer(timer.id));
        let due = origin(timer.start, talk, change, now).and_then(|base| {
            match rule.calendar(change).filter(|_| timer.business) {
                Some(calendar) => Some((0, calendar.after(base.at(zone)?, timer.offset, zone)?)),
                None => due::nearest(timer, base, now, zone),
            }
        });
        talk.armed.extend(due.map(|(round, due)| Armed { what: What::Timer(timer.id), due, round }));
    }
    super::ring::only_nearest(&mut talk.armed, rule, now);
    // What was past before it was known is not late.
    talk.armed.iter_mut().for_each(|armed| armed.due = armed.due.max(now));
}

/// The dates of a change that timers start from, as one number.
pub(super) fn dates(rule: &KindRule, change: &Change<'_>) -> u64 {
    let mut all = Vec::new();
    for timer in &rule.timers {
        let Start::Event(slot) = timer.start else { continue };
        all.extend_from_slice(&match Origin::of(change, slot) {
            Some(Origin::At(at)) => at.millis().to_le_bytes(),
            Some(Origin::Day(day)) => i64::from(day).to_le_bytes(),
            None => [0xff; 8],
        });
    }
    u64::try_from(hash128([&all]) >> 64).unwrap_or_default()
}
