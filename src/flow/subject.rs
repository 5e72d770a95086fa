//! Subject lane: is it new, who should hear it, and off to their partitions with the text once.
//!
//! The audience is resolved here, by the directory as it stands; what the notice carries lets the
//! person lane ask again. It never renders a text and never looks at a person's preferences.

use bytes::Bytes;

use crate::codec::Unreadable;
use crate::directory::bind_rule;
use crate::event::frame::{FrameHead, SubjectItem};
use crate::event::{
    Change, Ending, Incoming, Notice, NoticeId, Occasion, Reason, Sealed, Timestamp, Topic, Verdict, hash128,
};
use crate::topology::{KindRule, Rule};

use super::dead_letter::{self, Cause};
use super::dedupe::{Heard, Seen};
use super::fan_out::FanOut;
use super::frames::FrameItems;
use super::memory::{self, BrokenMemory, Page};
use super::named::{Kept, Named};
use super::progress::Progress;
use super::{Admitted, Cursor, Outbox, Plan, Rooms, Want, World};

/// The lane, in the name of its audit chains.
const NAME: &str = "subject";

/// What one partition of subjects remembers.
#[derive(Debug)]
pub struct SubjectLane {
    partition: i32,
    progress: Progress,
    seen: Seen,
    fan_out: FanOut,
    kept: Kept,
    /// Room to seal an audience in.
    sealed: Vec<u8>,
}

// === impl SubjectLane ===

impl SubjectLane {
    /// The lane over one partition of `bugle.subjects`, going on at `offset`.
    #[must_use]
    pub fn new(partition: i32, from: (i64, &Cursor), plan: &Plan) -> Self {
        Self {
            partition,
            progress: Progress::new(NAME, partition, from.0, from.1),
            seen: Seen::new(plan.horizon),
            fan_out: FanOut::new(plan.people),
            kept: Kept::default(),
            sealed: Vec::new(),
        }
    }

    /// How many ids it remembers.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.seen.len()
    }

    fn take_in(
        &mut self,
        now: Timestamp,
        item: &SubjectItem<'_>,
        world: &World<'_>,
        out: &mut Outbox,
    ) -> Result<(), Want> {
        let change = match world.codec.decode(item.at.source, item.format, &item.headers, item.payload) {
            Ok(change) => change,
            Err(Unreadable::WantsSchema(id)) => return Err(Want::Schema(id)),
            Err(Unreadable::Refused(fault)) => {
                // The source lane could read it; a schema that was deleted since can make it unreadable.
                bury(item, (fault.code.as_str(), &fault.to_string()), None, out);
                let reason = Reason::Refused(fault.code.as_str().to_owned());
                out.verdicts.push(blank(now, item, None, Ending::Not(reason)));
                return Ok(());
            }
        };
        // Topics of others may carry a publisher's own time, and nothing was appended later than now.
        let appended_at = item.appended_at.min(now);
        if self.seen.hear(&change, item.subject, appended_at) == Heard::Before {
            out.verdicts.push(blank(now, item, Some(&change), Ending::Not(Reason::Duplicate)));
            return Ok(());
        }
        for id in &item.rules {
            let Some(rule) = world.topology.rule_for(id, change.kind()) else {
                let mut verdict = blank(now, item, Some(&change), Ending::Not(Reason::RuleRemoved));
                verdict.rule = Some((*id).to_owned());
                out.verdicts.push(verdict);
                continue;
            };
            self.speak(&Hearing { now, item, change: &change, rule }, world, out);
        }
        Ok(())
    }

    /// One rule and one change it wants.
    fn speak(&mut self, hearing: &Hearing<'_>, world: &World<'_>, out: &mut Outbox) {
        let Hearing { item, change, rule, .. } = *hearing;
        if let Some((key, horizon)) = rule.dedupe(change).zip(rule.rule.dedupe_for())
            && self.seen.hear_within(key, item.appended_at.min(hearing.now), horizon) == Heard::Before
        {
            out.verdicts.push(hearing.verdict(Ending::Not(Reason::Duplicate), 0, Vec::new()));
            return;
        }
        if !rule.rule.tells_at_once() {
            // Its reminders and steps are not carried out yet, and `run` says so at the start.
            out.verdicts.push(hearing.verdict(Ending::Routed, 0, Vec::new()));
            return;
        }
        let Rule { audience, fallback, never, .. } = &*rule.rule;
        let audience = bind_rule(audience, fallback.as_ref(), never.as_ref(), change);
        audience.seal(&mut self.sealed);
        let (tenant, channels) = (change.tenant(), &rule.rule.plan.channels);
        let key = hash128([tenant.as_bytes(), rule.rule.id.as_bytes(), &self.sealed]);
        let named = self.kept.named(key, world.directory, || {
            Named::of(&world.people.resolve(tenant, &audience, channels), tenant, world.plan.people)
        });
        if let Some(reason) = &named.nobody {
            out.verdicts.push(hearing.verdict(Ending::Not(reason.clone()), 0, Vec::new()));
            return;
        }
        out.tally.fan_outs.push(named.count);
        let collapse_key = rule.collapse_key(change);
        let notice = hearing.notice(Sealed::of(&self.sealed), collapse_key.as_deref());
        if self.fan_out.send(&notice, &named, out) {
            out.verdicts.push(hearing.verdict(Ending::Routed, named.count, Vec::new()));
            hearing.without_channel(&named.no_channel, out);
        } else {
            bury(
                item,
                ("too-large", "the values its message needs do not fit a frame"),
                Some(&rule.rule.id),
                out,
            );
            out.verdicts.push(hearing.verdict(Ending::Not(Reason::TooLarge), 0, Vec::new()));
        }
    }
}

impl Rooms for SubjectLane {
    fn admit(&mut self, now: Timestamp, record: &Incoming, world: &World<'_>, out: &mut Outbox) -> Admitted {
        let Some(place) = self.progress.place_in(record.offset) else { return Admitted::Done };
        let frame = record.value.as_deref().unwrap_or_default();
        let (_, items) = match FrameItems::read(frame) {
            Ok(read) => read,
            Err(broken) => return Admitted::Stop(broken.to_string()),
        };
        let directory = world.directory.to_vec();
        let head = FrameHead { generation: world.topology.generation, directory, from: self.partition };
        self.fan_out.frames.set_head(&head, out);
        for (item, at) in items.zip(0u32..) {
            if at < place {
                continue;
            }
            if out.bytes() > world.plan.budget {
                self.progress.reach(record.offset, at);
                return Admitted::More;
            }
            let item = item.map_err(|broken| broken.to_string());
            match item.and_then(|item| SubjectItem::read(item).map_err(|error| error.to_string())) {
                Ok(item) => {
                    if let Err(want) = self.take_in(now, &item, world, out) {
                        self.progress.reach(record.offset, at);
                        return Admitted::Wait(want);
                    }
                }
                Err(broken) => {
                    // What came before it is taken in, and must not be again.
                    self.progress.reach(record.offset, at);
                    return Admitted::Stop(broken);
                }
            }
        }
        self.progress.finish(record.offset);
        Admitted::Done
    }

    fn cut(&mut self, _now: Timestamp, world: &World<'_>, out: &mut Outbox) {
        self.fan_out.frames.cut(out);
        self.progress.close(world.plan, out);
        let (offset, cursor) = self.progress.position();
        memory::write(Topic::Seen, self.partition, (offset, &cursor), self.seen.heard(), out);
    }

    fn restore(&mut self, page: &Page<'_>, placed: bool) -> Result<usize, BrokenMemory> {
        self.progress.restore((NAME, self.partition), page, placed);
        self.seen.restore(page)
    }

    fn position(&self) -> (i64, Cursor) {
        self.progress.position()
    }

    fn settle(&mut self, _now: Timestamp) {
        self.progress.settle();
        self.seen.settle();
    }

    fn undo(&mut self) {
        self.fan_out.frames.clear();
        self.progress.undo();
        self.seen.undo();
    }
}

/// The most people one verdict names, so that it fits an audit record.
const MOST_NAMED: usize = 1_000;

/// A rule hearing a change.
struct Hearing<'h> {
    now: Timestamp,
    item: &'h SubjectItem<'h>,
    change: &'h Change<'h>,
    rule: &'h KindRule,
}

// === impl Hearing ===

impl<'h> Hearing<'h> {
    fn verdict(&self, ending: Ending, count: u32, people: Vec<String>) -> Verdict {
        Verdict {
            rule: Some(self.rule.rule.id.clone()),
            occasion: Some(Occasion::First),
            count,
            people,
            ..blank(self.now, self.item, Some(self.change), ending)
        }
    }

    fn notice<'n>(&self, audience: Sealed<'n>, collapse_key: Option<&'n str>) -> Notice<'n>
    where
        'h: 'n,
    {
        let Self { item, change, rule, .. } = *self;
        let conversation =
            hash128([change.tenant(), item.at.source.as_str(), change.event_id()].map(str::as_bytes));
        let parts = [change.tenant().as_bytes(), rule.rule.id.as_bytes(), item.subject.as_bytes()];
        let [tenant, id, subject] = parts;
        let notice = hash128([tenant, id, subject, &conversation.to_le_bytes(), b"first"]);
        Notice {
            id: NoticeId(notice),
            tenant: change.tenant(),
            rule: &rule.rule.id,
            subject: item.subject,
            event_id: change.event_id(),
            at: item.at,
            occasion: Occasion::First,
            news: rule.news(change),
            conversation,
            appended_at: item.appended_at,
            expires_at: rule.expires_at(change),
            answers: rule.answers(change),
            collapse_key,
            values: rule.values(change),
            audience,
        }
    }

    /// Those the rule names whom no approved channel reaches.
    fn without_channel(&self, people: &[String], out: &mut Outbox) {
        for part in people.chunks(MOST_NAMED) {
            let count = u32::try_from(part.len()).unwrap_or(u32::MAX);
            out.verdicts.push(self.verdict(Ending::Not(Reason::NoChannel), count, part.to_vec()));
        }
    }
}

fn blank(now: Timestamp, item: &SubjectItem<'_>, change: Option<&Change<'_>>, ending: Ending) -> Verdict {
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
    }
}

fn headers_of(item: &SubjectItem<'_>) -> Vec<crate::event::record::Header> {
    let copied = |(name, value): &(&str, &[u8])| ((*name).to_owned(), Some(Bytes::copy_from_slice(value)));
    item.headers.iter().map(copied).collect()
}

fn bury(item: &SubjectItem<'_>, fault: (&'static str, &str), rule: Option<&str>, out: &mut Outbox) {
    let cause = Cause {
        lane: "subject",
        code: fault.0,
        message: fault.1,
        at: item.at.lies(),
        rule,
        subject: Some(item.subject),
    };
    let value = Some(Bytes::copy_from_slice(item.payload));
    out.put(dead_letter::record(&cause, None, value, &headers_of(item)));
    out.tally.dead_letters.push(fault.0);
}
