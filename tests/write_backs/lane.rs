//! Lane: what is asked of a source system, and when, whatever becomes of calls, commits and owners.

use bugle::codec;
use bugle::event::record::{Header, Input};
use bugle::event::redrive::REDRIVEN;
use bugle::event::write_back::{Ask, Came, Carried, WriteBack};
use bugle::event::{Ending, Incoming, Outgoing, Source, Span, Timestamp, Topic, Verdict};
use bugle::flow::write_back::{Call, Said, WriteBackLane};
use bugle::flow::{Admitted, Cursor, Outbox, Rooms, Spill};

use super::answer;
use super::town::{NOW, Town};

/// One partition, what was written of it, and what is under way.
pub(super) struct Desk {
    town: Town,
    lane: WriteBackLane,
    out: Outbox,
    /// What was committed: offset and note, and the memory of the lane.
    committed: (i64, String),
    memory: Vec<Outgoing>,
    /// Every verdict and dead letter that was committed.
    verdicts: Vec<Verdict>,
    dead: Vec<Outgoing>,
    records: Vec<(Vec<u8>, Vec<Header>)>,
    pub(super) calls: Vec<Call>,
    now: Timestamp,
}

impl Desk {
    pub(super) fn new(answers: &[WriteBack]) -> Self {
        let mut desk = Self {
            town: Town::new(&[], 1),
            lane: WriteBackLane::new(0, (0, &Cursor::default()), &Spill::default()),
            out: Outbox::default(),
            committed: (0, String::new()),
            memory: Vec::new(),
            verdicts: Vec::new(),
            dead: Vec::new(),
            records: answers
                .iter()
                .map(|answer| (codec::write_back::encode(7, answer), Vec::new()))
                .collect(),
            calls: Vec::new(),
            now: NOW,
        };
        desk.read();
        desk
    }

    /// Hands in what lies behind the committed offset.
    fn read(&mut self) {
        let Self { town, lane, out, records, now, .. } = self;
        town.look(|world| {
            for (offset, (record, headers)) in (0..).zip(records.iter()) {
                let input = Input { topic: Topic::Writebacks, partition: 0 };
                let value = Some(record.clone().into());
                let (key, headers) = (None, headers.clone());
                let record = Incoming { input, offset, timestamp: *now, key, value, headers };
                assert_eq!(lane.admit(*now, &record, world, out), Admitted::Done);
            }
        });
    }

    fn wake(&mut self) {
        let Self { town, lane, out, now, .. } = self;
        if lane.wake_at().is_some_and(|at| at <= *now) {
            town.look(|world| lane.wake(*now, world, out));
        }
        self.calls.append(&mut self.out.calls);
    }

    fn commit(&mut self) {
        let Self { town, lane, out, now, .. } = self;
        let mut out = std::mem::take(out);
        town.look(|world| lane.cut(*now, world, &mut out));
        let (offset, cursor) = lane.position();
        self.committed = (offset, cursor.note(offset));
        lane.settle(*now);
        for record in out.records {
            match record.topic {
                Topic::WritebackState => self.memory.push(record),
                Topic::DeadLetters => self.dead.push(record),
                _ => {}
            }
        }
        self.verdicts.extend(out.verdicts);
    }

    /// The transaction is taken back, and its input read again.
    fn abort(&mut self) {
        self.out = Outbox::default();
        self.lane.undo();
        self.read();
    }

    /// Another owner goes on from what was committed; what was under way is heard by nobody.
    pub(super) fn crash(&mut self) {
        let (offset, note) = self.committed.clone();
        let cursor = Cursor::parse(&note, offset).unwrap();
        self.lane = WriteBackLane::new(0, (offset, &cursor), &Spill::default());
        (self.out, self.calls) = (Outbox::default(), Vec::new());
        for (offset, record) in (0..).zip(&self.memory) {
            let input = Input { topic: Topic::WritebackState, partition: 0 };
            let (key, value, headers) = (record.key.clone(), record.value.clone(), Vec::new());
            let record = Incoming { input, offset, timestamp: NOW, key, value, headers };
            self.lane.restore(&record, true).unwrap();
        }
        self.lane.restored();
        self.read();
    }

    /// Turns until nothing more is asked at this moment.
    pub(super) fn turn(&mut self) {
        for _ in 0..4 {
            self.wake();
            self.commit();
        }
    }

    pub(super) fn pass(&mut self, span: Span) {
        self.now = self.now + span;
        self.turn();
    }

    pub(super) fn say(&mut self, came: Came) {
        let call = self.calls.remove(0);
        let Self { town, lane, out, now, .. } = self;
        town.look(|world| lane.heard(*now, Said { id: call.id, ask: call.ask, came }, world, out));
    }

    /// What is asked now: of which answer.
    pub(super) fn asked(&self) -> Vec<(Ask, &str)> {
        self.calls.iter().map(|call| (call.ask, call.answer.response_id.as_str())).collect()
    }

    pub(super) fn ended(&self) -> Vec<(&str, Carried)> {
        let carried = |verdict: &Verdict| match &verdict.ending {
            Ending::Carried(carried) => carried.clone(),
            other => panic!("{other:?} is no ending of a write-back"),
        };
        self.verdicts.iter().map(|verdict| (verdict.event_id.as_str(), carried(verdict))).collect()
    }
}

#[test]
fn an_unguarded_system_is_not_asked_again_while_a_call_of_before_may_be_under_way() {
    let task = answer(Source::Xecm, ("115295-1", "jonas.klein"), "r-1");
    let mut desk = Desk::new(&[task]);
    desk.turn();
    desk.say(Came::Unknown("timeout"));
    desk.pass(Span::from_secs(2));
    assert_eq!(desk.asked(), [(Ask::Look, "r-1")]);
    desk.say(Came::Open);
    desk.pass(Span::from_secs(2));
    assert_eq!(desk.asked(), [], "what was not done by now may be done yet");
    desk.pass(Span::from_secs(45));
    assert_eq!(desk.asked(), [(Ask::Look, "r-1")]);
    desk.say(Came::Open);
    desk.turn();
    assert_eq!(desk.asked(), [(Ask::Write, "r-1")]);
}

fn about(thing: &str, response_id: &str) -> WriteBack {
    answer(Source::DevAdmin, (thing, "jonas.klein"), response_id)
}

const MINUTE: Span = Span::from_secs(61);

#[test]
fn an_answer_is_carried_out_only_after_it_was_written_down_that_it_is() {
    let mut desk = Desk::new(&[about("w-1", "r-1")]);
    desk.wake();
    assert_eq!(desk.asked(), [], "nothing is committed yet");
    desk.commit();
    desk.wake();
    assert_eq!(desk.asked(), [(Ask::Write, "r-1")]);
    desk.say(Came::Confirmed);
    assert_eq!(desk.ended(), []);
    desk.turn();
    assert_eq!(desk.ended(), [("r-1", Carried::Confirmed)]);
    assert_eq!((desk.lane.open(), desk.lane.wake_at()), (Some(0), None));
    assert_eq!(desk.verdicts[0].people, ["jonas.klein"]);
}

#[test]
fn after_a_crash_it_is_only_looked_whether_it_was_carried_out() {
    for (came, then) in [
        (Came::Confirmed, Some(Carried::Confirmed)),
        (Came::Refused("conflict"), Some(Carried::Refused("conflict".to_owned()))),
        (Came::Open, None),
    ] {
        let mut desk = Desk::new(&[about("w-1", "r-1")]);
        desk.turn();
        assert_eq!(desk.asked(), [(Ask::Write, "r-1")]);
        desk.crash();
        desk.turn();
        assert_eq!(desk.asked(), [(Ask::Look, "r-1")], "an owner after a crash looks first");
        desk.say(came);
        desk.turn();
        match then {
            Some(carried) => assert_eq!((desk.ended(), desk.asked()), (vec![("r-1", carried)], vec![])),
            None => assert_eq!(desk.asked(), [(Ask::Write, "r-1")], "all is as it was seen"),
        }
    }
}

#[test]
fn what_nobody_knows_the_outcome_of_is_looked_after_and_not_done_again() {
    let mut desk = Desk::new(&[about("w-1", "r-1")]);
    desk.turn();
    desk.say(Came::Unknown("timeout"));
    desk.turn();
    assert_eq!(desk.asked(), [], "not at once");
    desk.pass(MINUTE);
    for _ in 0..3 {
        assert_eq!(desk.asked(), [(Ask::Look, "r-1")]);
        desk.say(Came::TryLater(None, "unavailable"));
        desk.pass(MINUTE);
    }
    assert_eq!(desk.asked(), [(Ask::Look, "r-1")], "a look that failed changes nothing");
    desk.say(Came::Confirmed);
    desk.turn();
    assert_eq!(desk.ended(), [("r-1", Carried::Confirmed)]);
}

#[test]
fn what_was_heard_in_a_transaction_that_is_taken_back_is_asked_after() {
    let mut desk = Desk::new(&[about("w-1", "r-1")]);
    desk.turn();
    desk.say(Came::Confirmed);
    desk.abort();
    desk.turn();
    assert_eq!((desk.ended(), desk.asked()), (vec![], vec![(Ask::Look, "r-1")]));
    desk.say(Came::Confirmed);
    desk.turn();
    assert_eq!(desk.ended(), [("r-1", Carried::Confirmed)]);
    // One that was only begun was never called.
    let mut desk = Desk::new(&[about("w-1", "r-1")]);
    desk.wake();
    desk.abort();
    desk.turn();
    assert_eq!(desk.asked(), [(Ask::Write, "r-1")]);
}

#[test]
fn one_thing_is_carried_out_in_its_order_and_others_do_not_wait_for_it() {
    let mut desk = Desk::new(&[about("w-1", "r-1"), about("w-1", "r-2"), about("w-2", "r-3")]);
    desk.turn();
    let mut asked = desk.asked();
    asked.sort_by_key(|(_, id)| *id);
    assert_eq!(asked, [(Ask::Write, "r-1"), (Ask::Write, "r-3")]);
    desk.calls.sort_by(|a, b| a.answer.response_id.cmp(&b.answer.response_id));
    desk.say(Came::Refused("conflict"));
    desk.say(Came::Confirmed);
    desk.turn();
    assert_eq!(desk.asked(), [(Ask::Write, "r-2")]);
    desk.crash();
    desk.turn();
    assert_eq!(desk.asked(), [(Ask::Look, "r-2")], "a queue outlives its owner");
}

#[test]
fn an_hour_without_the_source_system_loses_nothing_and_a_week_gives_it_up_with_its_bytes() {
    let mut desk = Desk::new(&[about("w-1", "r-1")]);
    desk.turn();
    for minute in 0..60 {
        assert_eq!(desk.asked(), [(Ask::Write, "r-1")], "minute {minute}");
        desk.say(Came::TryLater(None, "unreachable"));
        desk.pass(MINUTE);
    }
    assert_eq!(desk.ended(), []);
    desk.say(Came::TryLater(None, "unreachable"));
    desk.pass(Span::from_secs(7 * 86_400));
    assert_eq!(desk.ended(), [("r-1", Carried::Dead("write-back-gave-up".to_owned()))]);
    assert_eq!(desk.dead[0].value.as_deref(), Some(desk.records[0].0.as_slice()));
}

#[test]
fn what_the_source_rejects_for_good_and_what_cannot_be_read_are_dead_letters() {
    let mut desk = Desk::new(&[about("w-1", "r-1")]);
    desk.records.push((vec![7, 7, 7], Vec::new()));
    desk.read();
    desk.turn();
    desk.say(Came::Dead("write-back-rejected"));
    desk.turn();
    let codes: Vec<Carried> = desk.ended().into_iter().map(|(_, carried)| carried).collect();
    let dead = |code: &str| Carried::Dead(code.to_owned());
    assert_eq!(codes, [dead("write-back-unreadable"), dead("write-back-rejected")]);
    assert_eq!(desk.dead[0].value.as_deref(), Some(&[7_u8, 7, 7][..]));
}

#[test]
fn a_dead_letter_that_comes_again_is_looked_after_first_and_done_where_it_was_not() {
    let mut desk = Desk::new(&[about("w-1", "r-1")]);
    desk.turn();
    desk.say(Came::Dead("write-back-rejected"));
    desk.turn();
    let (record, again) = (desk.records[0].0.clone(), (REDRIVEN.to_owned(), Some("0-0".into())));
    desk.records.push((record, vec![again]));
    desk.read();
    desk.turn();
    assert_eq!(desk.asked(), [(Ask::Look, "r-1")], "somebody may have done it meanwhile");
    desk.say(Came::Open);
    desk.pass(MINUTE);
    assert_eq!(desk.asked(), [(Ask::Write, "r-1")]);
    desk.say(Came::Confirmed);
    desk.turn();
    let dead = Carried::Dead("write-back-rejected".to_owned());
    assert_eq!(desk.ended(), [("r-1", dead), ("r-1", Carried::Confirmed)]);
}

#[test]
fn an_answer_to_a_call_of_an_owner_before_is_none_to_the_next_call() {
    let mut desk = Desk::new(&[about("w-1", "r-1")]);
    desk.turn();
    let old = desk.calls[0].clone();
    desk.say(Came::TryLater(None, "unavailable"));
    desk.pass(MINUTE);
    assert_eq!(desk.asked().len(), 1);
    let Desk { town, lane, out, now, .. } = &mut desk;
    town.look(|world| lane.heard(*now, Said { id: old.id, ask: old.ask, came: Came::Confirmed }, world, out));
    desk.turn();
    assert_eq!(desk.ended(), []);
}
