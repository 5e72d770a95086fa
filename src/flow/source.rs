//! Source lane: a change is read, the rules that want it are found, and it goes on to its subjects.
//!
//! It never reads the directory and never decides whether a change is new: copies meet at their
//! subject. What no rule wants ends here, and costs nothing more.

use std::collections::BTreeMap;

use crate::codec::{Code, Codec, Unreadable};
use crate::event::frame::{Format, FrameHead, MOST_FRAME_BYTES, SubjectItem};
use crate::event::redrive::{REDRIVEN, Redrive};
use crate::event::{
    Change, Coordinates, Ending, Incoming, Reason, Source, SubjectKey, Timestamp, Topic, Verdict,
};
use crate::topology::Arrival;

use super::dead_letter::{self, Cause};
use super::frames::FrameSet;
use super::progress::Progress;
use super::{Admitted, Cursor, Outbox, PANICKED, Plan, Rooms, Want, World};

/// Where one partition of a source's topic has got to.
#[derive(Debug)]
pub struct SourceLane {
    source: Source,
    partition: i32,
    progress: Progress,
    frames: FrameSet,
}

// === impl SourceLane ===

impl SourceLane {
    /// The lane over `partition` of the source's topic, going on at `offset`.
    #[must_use]
    pub fn new(source: Source, partition: i32, from: (i64, &Cursor), plan: &Plan) -> Self {
        let (offset, cursor) = from;
        Self {
            source,
            partition,
            progress: Progress::new(&format!("source-{source}"), partition, offset, cursor),
            frames: FrameSet::new(Topic::Subjects, plan.subjects, MOST_FRAME_BYTES),
        }
    }

    fn verdict(
        &self,
        now: Timestamp,
        at: Coordinates,
        change: Option<&Change<'_>>,
        reason: Reason,
    ) -> Verdict {
        Verdict {
            at: now,
            tenant: change.map(|change| change.tenant().to_owned()).unwrap_or_default(),
            event_id: change.map(|change| change.event_id().to_owned()).unwrap_or_default(),
            change: at,
            subject: None,
            rule: None,
            occasion: None,
            ending: Ending::Not(reason),
            count: 0,
            people: Vec::new(),
            asked: None,
        }
    }

    /// Keeps what cannot be used: as a whole, or for one rule that could not use it.
    fn bury(&self, record: &Incoming, cause: &Cause<'_>, out: &mut Outbox) {
        out.put(dead_letter::record(cause, record.key.clone(), record.value.clone(), &record.headers));
    }

    fn refuse(&self, now: Timestamp, record: &Incoming, fault: (&'static str, &str), out: &mut Outbox) {
        let (code, message) = fault;
        let at = self.at(record);
        self.bury(
            record,
            &Cause { lane: "source", code, message, at: at.lies(), rule: None, subject: None },
            out,
        );
        out.tally.dead_letters.push(code);
        out.verdicts.push(self.verdict(now, at, None, Reason::Refused(code.to_owned())));
    }

    /// Sends a change on, or says why it goes no further.
    fn heard(
        &mut self,
        (now, record): (Timestamp, &Incoming),
        (change, carried): (&Change<'_>, &Carried<'_>),
        world: &World<'_>,
        out: &mut Outbox,
    ) {
        let beside: usize = carried.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if !self.frames.fits(carried.payload.len() + beside + ROOM_BESIDE_PAYLOAD) {
            let fault = (Code::TooLarge.as_str(), "the change does not fit a frame of 256 KiB");
            self.refuse(now, record, fault, out);
            return;
        }
        let reason = match self.send_on((now, record), (change, carried), world, out) {
            Routed::On => None,
            Routed::Unwanted => Some(Reason::Unmatched),
            Routed::Failed => Some(Reason::Refused("rule-failed".to_owned())),
        };
        out.verdicts.extend(reason.map(|reason| self.verdict(now, self.at(record), Some(change), reason)));
    }

    fn done(&mut self, record: &Incoming, out: &mut Outbox) -> Admitted {
        out.tally.changes += 1;
        self.progress.finish(record.offset);
        Admitted::Done
    }

    fn at(&self, record: &Incoming) -> Coordinates {
        Coordinates { source: self.source, partition: self.partition, offset: record.offset }
    }

    /// The subjects of a change, each with the rules that share it.
    fn route<'w>(
        &self,
        change: &Change<'_>,
        world: &World<'w>,
        mut fault: impl FnMut(&'w str, &str),
    ) -> BTreeMap<SubjectKey, Vec<&'w str>> {
        let mut subjects: BTreeMap<SubjectKey, Vec<&'w str>> = BTreeMap::new();
        for rule in world.topology.rules_for(change.kind()) {
            match rule.matches(change) {
                Ok(false) => {}
                Ok(true) => match rule.subject(change) {
                    Some(subject) => subjects.entry(subject).or_default().push(&rule.rule.id),
                    None => fault(&rule.rule.id, "a field of the rule's subject has no value"),
                },
                Err(error) => fault(&rule.rule.id, &error.to_string()),
            }
        }
        for closer in world.topology.closers_for(change.kind()) {
            if !closer.matches(change) {
                continue;
            }
            let id = closer.rule.id.as_str();
            match closer.subject(change) {
                // A kind may open and close the same rule; the subject lane knows which it does.
                Some(subject) => {
                    let rules = subjects.entry(subject).or_default();
                    if !rules.contains(&id) {
                        rules.push(id);
                    }
                }
                None => fault(id, "a field of the rule's subject has no value"),
            }
        }
        subjects
    }

    fn send_on(
        &mut self,
        (now, record): (Timestamp, &Incoming),
        (change, carried): (&Change<'_>, &Carried<'_>),
        world: &World<'_>,
        out: &mut Outbox,
    ) -> Routed {
        let at = self.at(record);
        let mut faults = Vec::new();
        let redrive = Redrive::of(&record.headers);
        let is_for = |rule: &str, subject: &str| redrive.is_none_or(|only| only.is_for(rule, subject));
        let mut subjects = self.route(change, world, |rule, message| {
            if redrive.is_none_or(|only| only.rule.is_none_or(|only| only == rule)) {
                faults.push((rule, message.to_owned()));
            }
        });
        subjects.retain(|subject, rules| {
            rules.retain(|rule| is_for(rule, &subject.0));
            !rules.is_empty()
        });
        for (rule, message) in &faults {
            let cause = Cause {
                lane: "source",
                code: "rule-failed",
                message,
                at: at.lies(),
                rule: Some(rule),
                subject: None,
            };
            self.bury(record, &cause, out);
            out.tally.dead_letters.push("rule-failed");
        }
        let Carried { format, headers, payload } = *carried;
        let mut headers = headers.to_vec();
        // The subject has heard the change, and takes it for a copy where it is not told otherwise.
        headers.extend(
            redrive.filter(|only| only.rule.is_some()).map(|only| (REDRIVEN, only.letter.as_bytes())),
        );
        let mut item = SubjectItem {
            at,
            // A producer may stamp what it likes; a time to come would age everything remembered.
            appended_at: record.timestamp.min(now),
            subject: "",
            rules: Vec::new(),
            format,
            headers,
            payload,
        };
        let mut bytes = Vec::with_capacity(256);
        for (subject, rules) in &subjects {
            item.subject = &subject.0;
            item.rules.clone_from(rules);
            bytes.clear();
            bytes = item.beginning(bytes);
            self.frames.push(subject.partition(world.plan.subjects), out, &[&bytes, payload]);
            out.tally.routed += 1;
        }
        match (subjects.is_empty(), faults.is_empty()) {
            (false, _) => Routed::On,
            (true, true) => Routed::Unwanted,
            (true, false) => Routed::Failed,
        }
    }
}

/// The bytes a change goes on in: those that came, or what a mapping made of them.
struct Carried<'c> {
    format: Format,
    headers: &'c [(&'c str, &'c [u8])],
    payload: &'c [u8],
}

enum Routed {
    On,
    Unwanted,
    Failed,
}

/// What an item may need beside its payload: subject, rules, coordinates.
const ROOM_BESIDE_PAYLOAD: usize = 16 * 1024;

impl Rooms for SourceLane {
    fn admit(&mut self, now: Timestamp, record: &Incoming, world: &World<'_>, out: &mut Outbox) -> Admitted {
        if self.progress.place_in(record.offset).is_none() {
            return Admitted::Done;
        }
        if let Err(want) = self.progress.decide_by(world.topology, 0) {
            return Admitted::Wait(want);
        }
        if self.progress.is_poison((record.offset, 0)) {
            self.refuse(now, record, PANICKED, out);
            return self.done(record, out);
        }
        let head = FrameHead {
            generation: world.topology.generation,
            mutes: world.muted.position(),
            directory: Vec::new(),
            from: self.partition,
        };
        self.frames.set_head(&head, out);
        let Some(payload) = record.value.as_deref() else {
            self.refuse(now, record, (Code::NullValue.as_str(), Code::NullValue.meaning()), out);
            return self.done(record, out);
        };
        let (format, headers) = (Codec::format_of(&record.headers), Codec::event_headers(&record.headers));
        match world.topology.take(world.codec, self.source, (format, &headers), payload) {
            Ok(Arrival::Native(change)) => {
                let carried = Carried { format, headers: &headers, payload };
                self.heard((now, record), (&change, &carried), world, out);
            }
            Ok(Arrival::Mapped(change, _)) => {
                // From here on it is a change of ours: no lane behind this one knows of mappings.
                let carried = Carried { format: Format::Avro, headers: &[], payload: change.bytes() };
                self.heard((now, record), (&change, &carried), world, out);
            }
            Ok(Arrival::Skipped(_)) => {
                out.verdicts.push(self.verdict(now, self.at(record), None, Reason::Unmatched));
            }
            Err(Unreadable::WantsSchema(id)) => return Admitted::Wait(Want::Schema(id)),
            Err(Unreadable::Refused(fault)) => {
                self.refuse(now, record, (fault.code.as_str(), &fault.to_string()), out);
            }
        }
        self.done(record, out)
    }

    fn spare(&mut self) -> bool {
        self.progress.spare()
    }

    fn cut(&mut self, now: Timestamp, world: &World<'_>, out: &mut Outbox) {
        self.frames.cut(out);
        self.progress.close(now, world, out);
    }

    fn position(&self) -> (i64, Cursor) {
        self.progress.position()
    }

    fn settle(&mut self, _now: Timestamp) {
        self.progress.settle();
    }

    fn undo(&mut self) {
        self.frames.clear();
        self.progress.undo();
    }
}
