//! Engine: what the lanes do when a commit fails, a producer dies or the push service is gone.
//!
//! The broker is the model in memory, everything else is what production runs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod rig;

use std::sync::Arc;
use std::time::Duration;

use bugle::app::App;
use bugle::broker::Input;
use bugle::broker::model::Fault;
use bugle::clock::Tick;
use bugle::engine::{GivenUp, lane_of};
use bugle::event::{Incoming, Timestamp, Topic};
use bugle::flow::memory::BrokenMemory;
use bugle::flow::{Admitted, Cursor, Outbox, Plan, Restored, Rooms, Want, World};
use bugle::stand_in::Faults;

use rig::{PATIENCE, Rig};

#[test]
fn an_aborted_commit_is_done_again_and_nobody_is_told_twice() {
    let mut rig = Rig::new();
    let app = rig.start();
    for round in 0..10 {
        rig.model.fail_next(Fault::Aborted);
        rig.publish(round * 40, 40);
        let books = rig.settle();
        rig.assert_told_once(&books);
    }
    app.stop();
}

#[test]
fn a_producer_that_dies_is_replaced_whether_or_not_its_last_commit_was_written() {
    let mut rig = Rig::new();
    let app = rig.start();
    for (round, fault) in [Fault::Fatal, Fault::FatalThoughWritten].into_iter().cycle().take(8).enumerate() {
        rig.model.fail_next(fault);
        rig.publish(round as u64 * 40, 40);
        let books = rig.settle();
        rig.assert_told_once(&books);
    }
    app.stop();
}

#[test]
fn a_restart_goes_on_where_the_last_commit_was() {
    let mut rig = Rig::new();
    for round in 0..3 {
        rig.publish(round * 100, 100);
        let app = rig.start();
        if round == 1 {
            // Stopped in the middle: what is not committed is done by the next one.
            app.stop();
            continue;
        }
        rig.settle();
        app.stop();
    }
    let books = rig.settle();
    rig.assert_told_once(&books);
}

#[test]
fn what_was_heard_is_known_to_whoever_comes_after() {
    let mut rig = Rig::new();
    let mut first = None;
    for _ in 0..3 {
        // The same hundred changes each time, and each time another owner.
        rig.publish(0, 100);
        let app = rig.start();
        let books = rig.settle();
        rig.assert_told_once(&books);
        app.stop();
        let now = (rig.stand_in.totals().distinct, books.changes.routed);
        assert_eq!(*first.get_or_insert(now), now, "a copy was told");
        assert_eq!(books.changes.read, rig.published);
    }
}

#[test]
fn a_push_service_that_is_away_or_answers_badly_costs_time_and_nothing_else() {
    let mut rig = Rig::new();
    let app = rig.start();
    let bad = Faults { unavailable: 0.3, server_error: 0.2, cut_before_answer: 0.2, ..Faults::default() };
    rig.stand_in.set_faults(bad);
    rig.publish(0, 200);
    let began = Tick::now();
    while rig.stand_in.totals().requests < 20 && began.elapsed() < PATIENCE {
        rig.ledgers.read(Duration::from_millis(20)).unwrap();
    }
    rig.stand_in.set_faults(Faults::default());
    let books = rig.settle();
    rig.assert_told_once(&books);
    app.stop();
}

#[test]
fn one_poisoned_address_is_set_apart_and_everybody_else_is_told() {
    let mut rig = Rig::new();
    let app = rig.start();
    rig.stand_in.set_faults(Faults { poison: vec!["user:mara.weber".to_owned()], ..Faults::default() });
    rig.publish(0, 110);
    let (began, mut books) = (Tick::now(), rig.settle());
    // Some of it waits half a minute for other news.
    while books.tellings.held > 0 && began.elapsed() < PATIENCE {
        books = rig.settle();
    }
    rig.assert_told_once(&books);
    assert!(books.tellings.failed > 0, "{books:?}");
    assert!(rig.stand_in.account("jonas.klein").is_some());
    assert!(rig.stand_in.account("mara.weber").is_none());
    app.stop();
}

/// A lane that panics when it is to say what it has done.
struct Doomed(Box<dyn Rooms>);

fn doomed(input: Input, at: (i64, &Cursor), plan: &Plan) -> Box<dyn Rooms> {
    let lane = lane_of(input, at, plan);
    if input.topic == Topic::Subjects { Box::new(Doomed(lane)) } else { lane }
}

impl Rooms for Doomed {
    fn admit(&mut self, now: Timestamp, record: &Incoming, world: &World<'_>, out: &mut Outbox) -> Admitted {
        self.0.admit(now, record, world, out)
    }

    fn wake(&mut self, now: Timestamp, world: &World<'_>, out: &mut Outbox) -> Option<Want> {
        self.0.wake(now, world, out)
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.0.wake_at()
    }

    fn cut(&mut self, _: Timestamp, _: &World<'_>, _: &mut Outbox) {
        panic!("it is what this lane was made for");
    }

    fn restore(&mut self, record: &Incoming, placed: bool) -> Result<Restored, BrokenMemory> {
        self.0.restore(record, placed)
    }

    fn place(&mut self, at: (i64, &Cursor)) {
        self.0.place(at);
    }

    fn position(&self) -> (i64, Cursor) {
        self.0.position()
    }

    fn settle(&mut self, now: Timestamp) {
        self.0.settle(now);
    }

    fn undo(&mut self) {
        self.0.undo();
    }
}

#[test]
fn a_panic_beside_any_item_ends_the_process_and_the_next_one_goes_on_at_the_last_commit() {
    let mut rig = Rig::new();
    let (broker, runtime) = (Arc::new(rig.model.clone()), Arc::clone(&rig.runtime));
    let app = App::start_with(doomed, &rig.config, broker, runtime).unwrap();
    rig.publish(0, 40);
    let given_up = async { tokio::time::timeout(PATIENCE, app.given_up()).await };
    let why = rig.runtime.block_on(given_up).unwrap();
    assert_eq!(why, GivenUp::Panicked("subject-0".to_owned()));
    assert!(why.hint().contains("start it again"));
    app.stop();
    let app = rig.start();
    let books = rig.settle();
    rig.assert_told_once(&books);
    app.stop();
}
