//! Line: the four lanes one after the other, in memory, with a push service that does as it is told.
//!
//! For proofs about rules: who hears a change, in which words, and who does not and why. It runs the
//! same lanes as production; only the records between them never leave this process.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::answer;
use crate::event::frame::FrameHead;
use crate::event::push::fill;
use crate::event::record::{Input, Sent};
use crate::event::write_back::{Carried, WriteBack};
use crate::event::{Incoming, Member, NoticeId, Outgoing, Parcel, Source, Span, Timestamp, Topic, Verdict};

use super::delivery::{Answer, DeliveryLane, Reply};
use super::person::PersonLane;
use super::source::SourceLane;
use super::subject::SubjectLane;
use super::{Admitted, Cursor, Outbox, Plan, Rooms, Want, World, carried, fan_out, frames};

/// One instance of each lane, over one partition each.
pub struct Line {
    sources: Vec<(Source, SourceLane)>,
    subject: SubjectLane,
    person: PersonLane,
    delivery: DeliveryLane,
    offsets: [i64; 8],
    service: Box<Service>,
}

/// What the push service makes of a batch; it gets the number of those taken before.
pub type Service = dyn FnMut(&Parcel, usize) -> Answer;

/// What came of feeding a line.
#[derive(Debug, Default)]
pub struct Heard {
    /// The batches the push service took.
    pub batches: Vec<Arc<Parcel>>,
    /// The verdicts of all lanes.
    pub verdicts: Vec<Verdict>,
    /// What went to the dead letters.
    pub dead_letters: Vec<Outgoing>,
    /// What is to be carried into the source systems.
    pub write_backs: Vec<Outgoing>,
    /// What is muted from now on, or no longer.
    pub mutes: Vec<Outgoing>,
    /// What became of each batch.
    pub receipts: Vec<Outgoing>,
    /// What waits for people from now on, or no longer.
    pub waiting: Vec<Outgoing>,
    /// Which of its rule's sayings a notice was.
    pub sayings: Vec<(NoticeId, u16)>,
    /// What a lane could not go on with.
    pub stuck: Vec<Admitted>,
}

/// One push as a person would see it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Push {
    /// Whose person.
    pub tenant: String,
    /// The person.
    pub user_id: String,
    /// The rule.
    pub rule: String,
    /// The title, inserts filled in.
    pub title: String,
    /// The summary, inserts filled in.
    pub summary: String,
}

// === impl Line ===

impl Line {
    /// Lanes that remember nothing yet. The plan's partition counts should all be 1.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let cursor = Cursor::default();
        let from = (0, &cursor);
        Self {
            sources: Source::ALL
                .into_iter()
                .map(|source| (source, SourceLane::new(source, 0, from, plan)))
                .collect(),
            subject: SubjectLane::new(0, from, plan),
            person: PersonLane::new(0, from, plan),
            delivery: DeliveryLane::new(0, from, plan),
            offsets: [0; 8],
            service: Box::new(|_, taken| Answer::Accepted(format!("otp-{taken}"))),
        }
    }

    /// From now on the push service answers so.
    pub fn answering(&mut self, service: Box<Service>) {
        self.service = service;
    }

    /// Feeds records of source topics through all lanes, as one transaction each.
    pub fn feed(
        &mut self,
        now: Timestamp,
        records: Vec<(Source, impl Into<Sent>)>,
        world: &World<'_>,
    ) -> Heard {
        let mut heard = Heard::default();
        let mut flowing = Vec::new();
        for (source, value) in records {
            let Sent { value, headers } = value.into();
            let record = Incoming { headers, ..self.number(Topic::Events(source), now, value) };
            if let Some((_, lane)) = self.sources.iter_mut().find(|(other, _)| *other == source) {
                flowing.extend(step(lane, now, &[record], world, &mut heard));
            }
        }
        let flowing = self.numbered(now, flowing);
        let mut flowing = step(&mut self.subject, now, &flowing, world, &mut heard);
        flowing.extend(ring(&mut self.subject, now, world, &mut heard));
        self.pass_on(now, flowing, world, &mut heard);
        heard
    }

    /// Feeds an answer to the subject and the rule that asked.
    pub fn answer(
        &mut self,
        now: Timestamp,
        answer: &answer::Answer<'_>,
        to: (&str, &str),
        world: &World<'_>,
    ) -> Heard {
        let Some(rule) = world.topology.rule(to.1) else { return Heard::default() };
        self.say(now, &answer.item(rule.source, to), world)
    }

    /// Feeds to the subject and the rule that asked that an answer was not carried out.
    pub fn take_back(
        &mut self,
        now: Timestamp,
        returned: &answer::Returned<'_>,
        to: (&str, &str),
        world: &World<'_>,
    ) -> Heard {
        let Some(rule) = world.topology.rule(to.1) else { return Heard::default() };
        self.say(now, &returned.item(rule.source, to), world)
    }

    /// What came of carrying an answer into its source system; where it was not carried out, its subject hears so.
    pub fn carried(
        &mut self,
        now: Timestamp,
        (answer, carried): (&WriteBack, Carried),
        world: &World<'_>,
    ) -> Heard {
        let frame = carried::returned((now, world), answer, &carried).and_then(|record| record.value);
        let mut heard = frame.map(|frame| self.take_in(now, frame, world)).unwrap_or_default();
        heard.verdicts.push(carried::verdict(now, answer, carried));
        heard
    }

    fn say(&mut self, now: Timestamp, item: &[u8], world: &World<'_>) -> Heard {
        self.take_in(now, frames::single(&FrameHead::default(), item).into(), world)
    }

    fn take_in(&mut self, now: Timestamp, frame: bytes::Bytes, world: &World<'_>) -> Heard {
        let mut heard = Heard::default();
        let record = self.number(Topic::Subjects, now, frame);
        let mut flowing = step(&mut self.subject, now, &[record], world, &mut heard);
        flowing.extend(ring(&mut self.subject, now, world, &mut heard));
        self.pass_on(now, flowing, world, &mut heard);
        heard
    }

    /// Lets time pass up to `now`; what was due on the way happens in its order, each at its time.
    pub fn pass(&mut self, now: Timestamp, world: &World<'_>) -> Heard {
        let mut heard = Heard::default();
        while let Some(due) = self.due().filter(|due| *due <= now) {
            let flowing = ring(&mut self.subject, due, world, &mut heard);
            self.pass_on(due, flowing, world, &mut heard);
        }
        heard
    }

    /// When something is due next, if nothing else happens.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let lanes: [&dyn Rooms; 3] = [&self.subject, &self.person, &self.delivery];
        lanes.into_iter().filter_map(Rooms::wake_at).min()
    }

    /// Whether there is a batch that the push service has not taken yet.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        self.delivery.wake_at().is_some()
    }

    fn pass_on(&mut self, now: Timestamp, flowing: Vec<Outgoing>, world: &World<'_>, heard: &mut Heard) {
        heard.sayings.extend(flowing.iter().flat_map(sayings));
        let flowing = self.numbered(now, flowing);
        let mut flowing = step(&mut self.person, now, &flowing, world, heard);
        flowing.extend(ring(&mut self.person, now, world, heard));
        let flowing = self.numbered(now, flowing);
        self.deliver(now, flowing, world, heard);
    }

    fn deliver(&mut self, now: Timestamp, records: Vec<Incoming>, world: &World<'_>, heard: &mut Heard) {
        let mut waiting = VecDeque::from(records);
        while let Some(record) = waiting.front() {
            match self.delivery.admit(now, record, world, &mut Outbox::default()) {
                Admitted::Done => drop(waiting.pop_front()),
                Admitted::More => drop(commit(&mut self.delivery, now, Outbox::default(), world, heard)),
                Admitted::Wait(Want::Room) => {
                    let before = self.delivery.under_way();
                    self.send(now, world, heard);
                    if self.delivery.under_way() == before {
                        return heard.stuck.push(Admitted::Wait(Want::Room));
                    }
                }
                stuck => return heard.stuck.push(stuck),
            }
        }
        commit(&mut self.delivery, now, Outbox::default(), world, heard);
        self.send(now, world, heard);
        // What had to be cut anew goes on when that is committed.
        while self.delivery.wake_at().is_some_and(|at| at <= now) {
            self.send(now, world, heard);
        }
    }

    /// Sends what may be sent by now.
    fn send(&mut self, now: Timestamp, world: &World<'_>, heard: &mut Heard) {
        let mut out = Outbox::default();
        self.delivery.wake(now, world, &mut out);
        for send in std::mem::take(&mut out.sends) {
            let answer = (self.service)(&send.batch, heard.batches.len());
            if matches!(answer, Answer::Accepted(_)) {
                heard.batches.push(send.batch);
            }
            self.delivery.answered(now, Reply { at: send.at, answer, took: Span::ZERO }, world, &mut out);
        }
        commit(&mut self.delivery, now, out, world, heard);
    }

    fn numbered(&mut self, now: Timestamp, records: Vec<Outgoing>) -> Vec<Incoming> {
        records
            .into_iter()
            .map(|record| self.number(record.topic, now, record.value.unwrap_or_default()))
            .collect()
    }

    fn number(&mut self, topic: Topic, now: Timestamp, value: bytes::Bytes) -> Incoming {
        let place = match topic {
            Topic::Events(source) => source as usize,
            Topic::Subjects => 4,
            Topic::People => 5,
            _ => 6,
        };
        let offset = self.offsets[place];
        self.offsets[place] += 1;
        let input = Input { topic, partition: 0 };
        Incoming { input, offset, timestamp: now, key: None, value: Some(value), headers: Vec::new() }
    }
}

/// What a lane does because of the time alone; what it wrote for the next one.
fn ring(lane: &mut dyn Rooms, now: Timestamp, world: &World<'_>, heard: &mut Heard) -> Vec<Outgoing> {
    if lane.wake_at().is_none_or(|due| due > now) {
        return Vec::new();
    }
    let mut out = Outbox::default();
    lane.wake(now, world, &mut out);
    commit(lane, now, out, world, heard)
}

/// Which of their rules' sayings the notices of a frame are.
fn sayings(record: &Outgoing) -> Vec<(NoticeId, u16)> {
    let frame = record.value.as_deref().filter(|_| record.topic == Topic::People).unwrap_or_default();
    let items = frames::FrameItems::read(frame).into_iter().flat_map(|(_, items)| items);
    let notice = |item: &[u8]| match fan_out::read(item).ok()? {
        fan_out::Item::Tell(notice, _) => Some((notice.id, notice.saying)),
        fan_out::Item::Over(_) => None,
    };
    items.filter_map(|item| notice(item.ok()?)).collect()
}

/// The records through one lane, in one transaction or as many as it asks for; what it wrote for the
/// next one.
fn step(
    lane: &mut dyn Rooms,
    now: Timestamp,
    records: &[Incoming],
    world: &World<'_>,
    heard: &mut Heard,
) -> Vec<Outgoing> {
    let (mut out, mut on) = (Outbox::default(), Vec::new());
    for record in records {
        loop {
            match lane.admit(now, record, world, &mut out) {
                Admitted::Done => break,
                Admitted::More => on.extend(commit(lane, now, std::mem::take(&mut out), world, heard)),
                stuck => {
                    heard.stuck.push(stuck);
                    return on;
                }
            }
        }
    }
    on.extend(commit(lane, now, out, world, heard));
    on
}

/// Ends a transaction; what it wrote for the next lane.
fn commit(
    lane: &mut dyn Rooms,
    now: Timestamp,
    mut out: Outbox,
    world: &World<'_>,
    heard: &mut Heard,
) -> Vec<Outgoing> {
    lane.cut(now, world, &mut out);
    lane.settle(now);
    heard.verdicts.append(&mut out.verdicts);
    let (on, rest): (Vec<_>, Vec<_>) = out
        .records
        .into_iter()
        .partition(|record| matches!(record.topic, Topic::Subjects | Topic::People | Topic::Pushes));
    for record in rest {
        match record.topic {
            Topic::DeadLetters => heard.dead_letters.push(record),
            Topic::Writebacks => heard.write_backs.push(record),
            Topic::Receipts => heard.receipts.push(record),
            Topic::Waiting => heard.waiting.push(record),
            Topic::Mutes => heard.mutes.push(record),
            _ => {}
        }
    }
    on
}

// === impl Heard ===

impl Heard {
    /// Every push of every batch, sorted by person.
    #[must_use]
    pub fn pushes(&self) -> Vec<Push> {
        let mut pushes: Vec<Push> = self.batches.iter().flat_map(|parcel| pushes_of(parcel)).collect();
        pushes.sort();
        pushes
    }
}

fn pushes_of(parcel: &Parcel) -> Vec<Push> {
    let batch = parcel.open();
    let push = |member: &Member<'_>| {
        let letter = batch.letters.get(member.letter as usize);
        let inserts = letter.map(|letter| letter.inserts.as_slice()).unwrap_or_default();
        Push {
            tenant: batch.head.tenant.clone(),
            user_id: member.user_id.to_owned(),
            rule: batch.head.template.rule.clone(),
            title: fill(&batch.head.template.title, inserts),
            summary: fill(&batch.head.template.summary, inserts),
        }
    };
    batch.members.iter().map(push).collect()
}
