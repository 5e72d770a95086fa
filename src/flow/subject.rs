//! Subject lane: is it new, who should hear it, and off to their partitions with the text once.
//!
//! The audience is resolved here, by the directory as it stands; what the notice carries lets the
//! person lane ask again. It never renders a text and never looks at a person's preferences.

use crate::codec::Unreadable;
use crate::event::answer::{Answer, Returned};
use crate::event::frame::{Format, SubjectItem};
use crate::event::redrive::REDRIVEN;
use crate::event::{Change, Ending, Incoming, Occasion, Reason, Timestamp, Topic, Verdict, hash128};
use crate::store::spill::DiskFault;

use super::answers::Given;
use super::dedupe::{Heard, Seen};
use super::frames::FrameItems;
use super::memory::{self, BrokenMemory, Page};
use super::progress::Progress;
use super::talks::Talks;
use super::voice::{Hearing, Voice, blank, bury};
use super::{Admitted, Cursor, Outbox, PANICKED, Plan, Restored, Rooms, Want, World};

/// The lane, in the name of its audit chains.
const NAME: &str = "subject";

/// What one partition of subjects remembers.
#[derive(Debug)]
pub struct SubjectLane {
    partition: i32,
    progress: Progress,
    seen: Seen,
    talks: Talks,
    voice: Voice,
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
            talks: Talks::new(partition, from.1, (plan.horizon, &plan.spill)),
            voice: Voice::new(plan),
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
        match item.format {
            Format::Answer => return self.take_answer(now, item, world, out),
            Format::Returned => return self.take_back(now, item, world, out),
            Format::Avro | Format::CloudEvent | Format::CloudEventBinary => {}
        }
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
        // A letter sent again is for a rule that could not use what the subject has heard.
        let letter = item.headers.iter().find(|(name, _)| *name == REDRIVEN).map(|(_, letter)| *letter);
        let heard = match letter {
            Some(letter) => self.seen.hear_within(
                hash128([REDRIVEN.as_bytes(), letter, item.subject.as_bytes()]),
                appended_at,
                world.plan.horizon,
            ),
            None => self.seen.hear(&change, item.subject, appended_at),
        };
        if heard == Heard::Before {
            out.verdicts.push(blank(now, item, Some(&change), Ending::Not(Reason::Duplicate)));
            return Ok(());
        }
        *out.tally.heard.entry(item.at.source).or_default() += 1;
        for id in &item.rules {
            self.take_rule(id, (now, item, &change), (letter.is_some(), world), out);
        }
        Ok(())
    }

    /// Keeps what a room panicked on, for all its rules.
    fn keep_poison(now: Timestamp, item: &SubjectItem<'_>, out: &mut Outbox) {
        let message = format!("{}; for {}", PANICKED.1, item.rules.join(", "));
        // A letter sent again is for one rule, and stays so: for the others the change was heard long ago.
        let is_letter = item.headers.iter().any(|(name, _)| *name == REDRIVEN);
        let rule = item.rules.first().copied().filter(|_| is_letter);
        bury(item, (PANICKED.0, &message), rule, out);
        let ending = match item.format {
            Format::Answer => Ending::AnswerRefused("unreadable".to_owned()),
            _ => Ending::Not(Reason::Refused(PANICKED.0.to_owned())),
        };
        out.verdicts.push(blank(now, item, None, ending));
    }

    fn take_answer(
        &mut self,
        now: Timestamp,
        item: &SubjectItem<'_>,
        world: &World<'_>,
        out: &mut Outbox,
    ) -> Result<(), Want> {
        let Ok(answer) = Answer::read(item.payload) else {
            bury(item, ("internal", "an answer of ours that cannot be read"), None, out);
            out.verdicts.push(blank(now, item, None, Ending::AnswerRefused("unreadable".to_owned())));
            return Ok(());
        };
        self.talks.answer(Given { now, item, answer: &answer }, (&mut self.voice, &mut self.seen), world, out)
    }

    /// An answer that its source system did not carry out.
    fn take_back(
        &mut self,
        now: Timestamp,
        item: &SubjectItem<'_>,
        world: &World<'_>,
        out: &mut Outbox,
    ) -> Result<(), Want> {
        match Returned::read(item.payload) {
            Ok(returned) => self.talks.take_back((now, item, &returned), &mut self.voice, world, out),
            Err(_) => {
                bury(item, ("internal", "what came of an answer cannot be read"), None, out);
                Ok(())
            }
        }
    }

    /// One rule and one change it wants, or that closes what it has open.
    fn take_rule(
        &mut self,
        id: &str,
        (now, item, change): (Timestamp, &SubjectItem<'_>, &Change<'_>),
        (redriven, world): (bool, &World<'_>),
        out: &mut Outbox,
    ) {
        let closer = world.topology.closers_for(change.kind()).iter().find(|closer| closer.rule.id == id);
        if let Some(closer) = closer.filter(|closer| closer.matches(change)) {
            return self.talks.close(closer, (now, item, change), &mut self.voice, out);
        }
        let Some(rule) = world.topology.rule_for(id, change.kind()) else {
            let verdict = blank(now, item, Some(change), Ending::Not(Reason::RuleRemoved));
            return out.verdicts.push(Verdict { rule: Some(id.to_owned()), ..verdict });
        };
        let hearing = Hearing { now, item, change, rule };
        let closed = self.talks.closed_at(&hearing);
        if !redriven && !rule.rule.counts_changes() && hearing.is_known(closed, &mut self.seen, world) {
            if rule.rule.writes_back() {
                self.talks.refresh(&hearing, world);
            }
            return out.verdicts.push(hearing.verdict(Occasion::First, Ending::Not(Reason::Duplicate)));
        }
        if rule.rule.converses() {
            self.talks.hear(&hearing, (&mut self.voice, &mut self.seen), world, out);
        } else {
            self.voice.tell(&hearing, world, out);
        }
    }
}

impl Rooms for SubjectLane {
    fn admit(&mut self, now: Timestamp, record: &Incoming, world: &World<'_>, out: &mut Outbox) -> Admitted {
        let Some(place) = self.progress.place_in(record.offset) else { return Admitted::Done };
        let frame = record.value.as_deref().unwrap_or_default();
        let (head, items) = match FrameItems::read(frame) {
            Ok(read) => read,
            Err(broken) => return Admitted::Stop(broken.to_string()),
        };
        if let Err(want) = self.progress.decide_by(world.topology, head.generation) {
            return Admitted::Wait(want);
        }
        if head.mutes > world.muted.position() {
            return Admitted::Wait(Want::Mutes(head.mutes));
        }
        self.voice.set_head(self.partition, world, out);
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
                Ok(item) if self.progress.is_poison((record.offset, at)) => {
                    Self::keep_poison(now, &item, out);
                }
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

    fn spare(&mut self) -> bool {
        self.progress.spare()
    }

    fn cut(&mut self, now: Timestamp, world: &World<'_>, out: &mut Outbox) {
        self.voice.cut(out);
        self.progress.close(now, world, out);
        self.talks.cut(self.progress.position(), out);
        let (offset, cursor) = self.position();
        memory::write(Topic::Seen, self.partition, (offset, &cursor), self.seen.heard(), out);
    }

    fn wake(&mut self, now: Timestamp, world: &World<'_>, out: &mut Outbox) -> Option<Want> {
        if let Err(want) = self.progress.decide_by(world.topology, 0) {
            return Some(want);
        }
        self.voice.set_head(self.partition, world, out);
        self.talks.ring(now, &mut self.voice, world, out)
    }

    fn open(&self) -> Option<usize> {
        Some(self.talks.kept.len())
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.talks.wake_at()
    }

    fn restore(&mut self, record: &Incoming, placed: bool) -> Result<Restored, BrokenMemory> {
        let value = record.value.as_deref();
        if record.input.topic == Topic::State
            && let Some(key) = record.key.as_deref().and_then(|key| key.try_into().ok())
        {
            self.talks.restore(u128::from_be_bytes(key), value)?;
            return Ok(Restored { entries: 1, sequence: None });
        }
        let page = Page::read(value.unwrap_or_default())?;
        let restored = |entries| Restored { entries, sequence: Some(page.cursor.sequence) };
        if record.input.topic == Topic::State {
            return Ok(restored(0));
        }
        self.talks.restored(&page.cursor);
        self.progress.restore((NAME, self.partition), &page, placed);
        self.seen.restore(&page).map(restored)
    }

    fn place(&mut self, at: (i64, &Cursor)) {
        self.talks.restored(at.1);
        self.progress.place((NAME, self.partition), at);
    }

    fn restored(&mut self) {
        self.talks.all_restored();
    }

    fn digest(&self, at: Timestamp) -> u128 {
        self.seen.digest(at) ^ self.talks.digest()
    }

    fn fault(&self) -> Option<&DiskFault> {
        self.talks.fault()
    }

    fn position(&self) -> (i64, Cursor) {
        let (offset, cursor) = self.progress.position();
        (offset, Cursor { state: self.talks.written(), ..cursor })
    }

    fn settle(&mut self, _now: Timestamp) {
        self.progress.settle();
        self.seen.settle();
        self.talks.settle();
    }

    fn undo(&mut self) {
        self.voice.clear();
        self.progress.undo();
        self.seen.undo();
        self.talks.undo();
    }
}
