//! Lanes: source, subject and person over several partitions, in any order, with aborts and restarts.

use std::collections::{BTreeMap, BTreeSet};

use bugle::event::push::MOST_MEMBERS;
use bugle::event::record::Input;
use bugle::event::{Ending, Incoming, Outgoing, Parcel, Source, Span, Timestamp, Topic, Verdict};
use bugle::flow::delivery::DeliveryLane;
use bugle::flow::frames::FrameItems;
use bugle::flow::person::PersonLane;
use bugle::flow::source::SourceLane;
use bugle::flow::subject::SubjectLane;
use bugle::flow::{Admitted, Cursor, Outbox, Rooms, World};
use bytes::Bytes;
use proptest::prelude::*;

use super::owed::{Event, KINDS, Telling, WHATS, owed, with_quiet_hours, written};
use super::town::{NOW, Town, company};
use super::{Open, Seat, for_all};

const PARTITIONS: u32 = 3;

/// What happens to the lanes.
#[derive(Debug, Clone)]
enum Step {
    /// So many of the events are published.
    Publish(u8),
    /// A partition takes in so many records and commits.
    Commit(u8, u8),
    /// The same, but the first try is aborted and done again.
    Redo(u8, u8),
    /// A partition gets a new owner.
    Restart(u8),
}

struct Works<'t> {
    town: &'t Town,
    seats: BTreeMap<Input, Seat>,
    logs: BTreeMap<Input, Vec<Incoming>>,
    events: Vec<Event>,
    published: usize,
    now: Timestamp,
    verdicts: Vec<Verdict>,
    dead: usize,
}

fn open_source(source: Source) -> Open {
    match source {
        Source::XConnector => |from, plan, at| Box::new(SourceLane::new(Source::XConnector, at, from, plan)),
        Source::Xecm => |from, plan, at| Box::new(SourceLane::new(Source::Xecm, at, from, plan)),
        Source::Bws => |from, plan, at| Box::new(SourceLane::new(Source::Bws, at, from, plan)),
        Source::DevAdmin => |from, plan, at| Box::new(SourceLane::new(Source::DevAdmin, at, from, plan)),
    }
}

// === impl Works ===

impl<'t> Works<'t> {
    fn new(town: &'t Town, events: Vec<Event>) -> Self {
        let mut seats = BTreeMap::new();
        for source in Source::ALL {
            let input = Input { topic: Topic::Events(source), partition: 0 };
            seats.insert(input, Seat::new(0, &town.plan, open_source(source)));
        }
        for partition in 0..i32::try_from(PARTITIONS).unwrap() {
            let input = Input { topic: Topic::Subjects, partition };
            let open: Open = |from, plan, at| Box::new(SubjectLane::new(at, from, plan));
            seats.insert(input, Seat::new(partition, &town.plan, open));
            let input = Input { topic: Topic::People, partition };
            let open: Open = |from, plan, at| Box::new(PersonLane::new(at, from, plan));
            seats.insert(input, Seat::new(partition, &town.plan, open));
        }
        let logs = BTreeMap::new();
        Self { town, seats, logs, events, published: 0, now: NOW, verdicts: Vec::new(), dead: 0 }
    }

    fn append(&mut self, input: Input, key: Option<Bytes>, value: Option<Bytes>) {
        let log = self.logs.entry(input).or_default();
        // The markers of transactions take offsets, too.
        let offset = log.last().map_or(0, |record| record.offset + 1 + record.offset % 2);
        log.push(Incoming { input, offset, timestamp: self.now, key, value, headers: Vec::new() });
    }

    fn publish(&mut self, most: usize) {
        for event in self.events.clone().into_iter().skip(self.published).take(most) {
            self.published += 1;
            let (source, value) = written(self.town, event);
            self.append(Input { topic: Topic::Events(source), partition: 0 }, None, Some(value.into()));
        }
    }

    fn step(&mut self, step: &Step) {
        let nth =
            |seats: &BTreeMap<Input, Seat>, n: u8| *seats.keys().nth(usize::from(n) % seats.len()).unwrap();
        match step {
            Step::Publish(most) => self.publish(usize::from(*most)),
            Step::Commit(seat, most) => {
                self.transact(nth(&self.seats, *seat), usize::from(*most), false);
            }
            Step::Redo(seat, most) => {
                self.transact(nth(&self.seats, *seat), usize::from(*most), true);
            }
            Step::Restart(seat) => {
                let input = nth(&self.seats, *seat);
                let log = |input: Option<Input>| {
                    input.and_then(|input| self.logs.get(&input)).map_or(&[][..], Vec::as_slice)
                };
                let memories = input.topic.memories().iter().map(|topic| Input { topic: *topic, ..input });
                let memory: Vec<Incoming> = memories.flat_map(|memory| log(Some(memory)).to_vec()).collect();
                let seat = self.seats.get_mut(&input).unwrap();
                seat.restart(&self.town.plan, log(Some(input)), &memory);
            }
        }
    }

    /// Everything is published and flows through.
    fn run_out(&mut self) {
        self.publish(usize::MAX);
        let seats: Vec<Input> = self.seats.keys().copied().collect();
        for _ in 0..25 {
            while seats.iter().any(|seat| self.transact(*seat, 9, false)) {}
            // A day goes by, and what is due is told.
            self.now = self.now + Span::from_secs(3_600);
        }
    }

    /// One transaction of one partition; whether it did anything.
    fn transact(&mut self, input: Input, most: usize, redo: bool) -> bool {
        let log = self.logs.get(&input).map_or(&[][..], Vec::as_slice);
        let seat = self.seats.get_mut(&input).unwrap();
        self.now = self.now + Span::from_millis(20);
        let now = self.now;
        let from = seat.read;
        let records = &log[from..(from + most).min(log.len())];
        if records.is_empty() && seat.lane.wake_at().is_none_or(|due| due > now) {
            return false;
        }
        let out = self.town.look(|world| {
            let before = seat.lane.position();
            let mut first = run(seat.lane.as_mut(), now, records, world);
            if redo {
                let position = seat.position();
                seat.lane.undo();
                assert_eq!(seat.lane.position(), before, "{input}: an undone transaction leaves no trace");
                let again = run(seat.lane.as_mut(), now, records, world);
                assert_eq!(shown(&first.0), shown(&again.0), "{input}: done again it is the same");
                assert_eq!(seat.position(), position);
                first = again;
            }
            first
        });
        seat.committed = seat.position();
        seat.lane.settle(now);
        seat.read += out.1;
        assert!(seat.committed.0 <= log.get(seat.read).map_or(i64::MAX, |record| record.offset));
        for record in out.0.records {
            match (record.topic, record.partition) {
                (
                    topic @ (Topic::Subjects
                    | Topic::Seen
                    | Topic::State
                    | Topic::People
                    | Topic::Told
                    | Topic::Waiting
                    | Topic::Pushes),
                    Some(partition),
                ) => {
                    self.append(Input { topic, partition }, record.key, record.value);
                }
                (topic, _) => self.dead += usize::from(topic == Topic::DeadLetters),
            }
        }
        self.verdicts.extend(out.0.verdicts);
        true
    }

    fn batches(&self) -> Vec<Parcel> {
        let logs = self.logs.iter().filter(|(input, _)| input.topic == Topic::Pushes);
        let frames = logs.flat_map(|(_, log)| log).filter_map(|record| record.value.as_ref());
        let items = frames.flat_map(|frame| FrameItems::read(frame).unwrap().1);
        items.map(|item| Parcel::read(Bytes::copy_from_slice(item.unwrap())).unwrap()).collect()
    }
}

/// Hands the records in until the lane wants a commit; what it wants done, and how many records are done.
fn run(lane: &mut dyn Rooms, now: Timestamp, records: &[Incoming], world: &World<'_>) -> (Outbox, usize) {
    let (mut out, mut done) = (Outbox::default(), 0);
    for record in records {
        match lane.admit(now, record, world, &mut out) {
            Admitted::Done => done += 1,
            Admitted::More => break,
            stuck => panic!("{}: {stuck:?}", record.input),
        }
    }
    if lane.wake_at().is_some_and(|due| due <= now) {
        lane.wake(now, world, &mut out);
    }
    lane.cut(now, world, &mut out);
    (out, done)
}

fn shown(out: &Outbox) -> String {
    let record = |record: &Outgoing| {
        let Outgoing { topic, partition, key, value, headers } = record;
        format!("{topic} {partition:?} {key:?} {value:?} {headers:?}")
    };
    let records: Vec<String> = out.records.iter().map(record).collect();
    format!("{records:#?} {:#?} {:?}", out.verdicts, out.tally)
}

fn assert_told_once(works: &Works<'_>) {
    let mut owed = owed(works.town, &works.events);
    let batches = works.batches();
    let mut told = 0;
    let mut notices = BTreeSet::new();
    for batch in batches.iter().map(Parcel::open) {
        for member in &batch.members {
            told += 1;
            let letter = &batch.letters[member.letter as usize];
            let telling = Telling {
                tenant: batch.head.tenant.clone(),
                user: member.user_id.to_owned(),
                rule: batch.head.template.rule.clone(),
                conversation: letter.conversation,
                occasion: letter.occasion,
                notice: letter.notice.0,
            };
            owed.pay(&telling).unwrap_or_else(|fault| panic!("{fault}"));
            assert!(notices.insert((telling.tenant, telling.user, telling.notice)), "one notice, told twice");
        }
    }
    assert_eq!(owed.left(), None);
    // The book of tellings closes by the verdicts alone.
    let sum = |wanted: fn(&Ending) -> bool| -> u64 {
        let verdicts = works.verdicts.iter().filter(|verdict| wanted(&verdict.ending));
        verdicts.map(|verdict| u64::from(verdict.count)).sum()
    };
    assert_eq!(
        sum(|ending| *ending == Ending::Routed),
        told + sum(|ending| matches!(ending, Ending::Not(_))),
        "candidates are told or have a reason"
    );
    let broken = works.events.iter().filter(|event| usize::from(event.0) >= KINDS.len()).count();
    assert_eq!(works.dead, broken, "what cannot be read is kept");
}

fn assert_batches_are_pure(works: &Works<'_>) {
    let mut ids = BTreeSet::new();
    for parcel in works.batches() {
        let batch = parcel.open();
        assert!(!batch.members.is_empty() && batch.members.len() <= MOST_MEMBERS);
        let different: BTreeSet<_> = batch.members.iter().collect();
        assert_eq!(different.len(), batch.members.len(), "nobody stands in it twice with one letter");
        assert!(ids.insert(batch.head.message_id.clone()), "two batches share an id");
        works.town.look(|world| {
            let entry = |user: &str| world.people.get(&batch.head.tenant, user).unwrap().party().is_some();
            let external: BTreeSet<bool> = batch.members.iter().map(|member| entry(member.user_id)).collect();
            assert_eq!(external.len(), 1, "staff and externals never share a request");
        });
    }
}

fn town(crowd: usize) -> Town {
    let mut town = Town::new(&with_quiet_hours(company(crowd)), PARTITIONS);
    // Small, so that lanes commit inside a frame.
    town.plan.budget = 2_000;
    town
}

fn events(numbers: u8) -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec((0..WHATS, 0..numbers, prop::bool::weighted(0.8)), 1..40)
}

fn steps(restarts: &'static [u8]) -> impl Strategy<Value = Vec<Step>> {
    let restart = if restarts.is_empty() {
        (0..10_u8).prop_map(Step::Publish).boxed()
    } else {
        prop::sample::select(restarts).prop_map(Step::Restart).boxed()
    };
    let step = prop_oneof![
        2 => (1..10_u8).prop_map(Step::Publish),
        5 => (0..10_u8, 1..6_u8).prop_map(|(seat, most)| Step::Commit(seat, most)),
        5 => (0..10_u8, 1..6_u8).prop_map(|(seat, most)| Step::Redo(seat, most)),
        2 => restart,
    ];
    prop::collection::vec(step, 0..60)
}

fn check(town: &Town, events: Vec<Event>, steps: &[Step]) {
    let mut works = Works::new(town, events);
    steps.iter().for_each(|step| works.step(step));
    works.run_out();
    assert_told_once(&works);
    assert_batches_are_pure(&works);
}

#[test]
fn every_telling_owed_is_told_once_over_copies_and_aborts_and_new_owners() {
    let town = town(30);
    // Few numbers: most events are copies, and what makes them copies has to outlive every owner.
    for_all(96, &(events(3), steps(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])), |(events, steps)| {
        check(&town, events, &steps);
        Ok(())
    });
}

#[test]
fn a_crowd_is_told_in_batches_of_at_most_five_hundred() {
    let town = town(2_000);
    let mut works = Works::new(&town, vec![(4, 1, true), (0, 1, true), (4, 2, true)]);
    works.run_out();
    assert_told_once(&works);
    assert_batches_are_pure(&works);
    let batches = works.batches();
    assert!(batches.iter().any(|batch| batch.count as usize == MOST_MEMBERS));
}

#[test]
fn a_frame_cut_or_damaged_anywhere_is_refused_with_no_trace_and_never_a_panic() {
    let town = town(3);
    let mut works = Works::new(&town, vec![(0, 1, true), (4, 1, true), (2, 1, true), (5, 1, true)]);
    works.run_out();
    let mut tried = 0;
    let frames = |topic| matches!(topic, Topic::Subjects | Topic::People | Topic::Pushes);
    for (input, log) in works.logs.iter().filter(|(input, _)| frames(input.topic)) {
        for record in log {
            let whole = record.value.clone().unwrap();
            let fed = |value: Bytes| {
                let from = (0, &Cursor::default());
                let mut lane: Box<dyn Rooms> = match input.topic {
                    Topic::Subjects => Box::new(SubjectLane::new(input.partition, from, &town.plan)),
                    Topic::People => Box::new(PersonLane::new(input.partition, from, &town.plan)),
                    _ => Box::new(DeliveryLane::new(input.partition, from, &town.plan)),
                };
                let record = Incoming { offset: 0, value: Some(value), ..record.clone() };
                let mut out = Outbox::default();
                let admitted = town.look(|world| lane.admit(NOW, &record, world, &mut out));
                (admitted, out.is_empty() && out.sends.is_empty() && lane.position().0 == 0)
            };
            for end in 0..whole.len() {
                let (admitted, is_untouched) = fed(whole.slice(..end));
                assert!(matches!(admitted, Admitted::Stop(_)), "{input} cut at {end}: {admitted:?}");
                assert!(is_untouched, "{input} cut at {end}");
                let mut damaged = whole.to_vec();
                damaged[end] ^= 0x15;
                fed(damaged.into());
                tried += 1;
            }
        }
    }
    assert!(tried > 1_000);
}
