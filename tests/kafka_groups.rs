//! Kafka groups: what a real cluster does to a lane that is slow to let go, and how long a commit takes.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod kit;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bugle::broker::{Arrival, BrokerError, Topic};
use bugle::clock::Tick;
use kit::ground::{Ground, SHORT_SESSION, SOON, STEP, at, effect, overrides, record, subjects};

/// Lets time pass.
fn idle(span: Duration) {
    let begun = Tick::now();
    kit::until("time has passed", span * 2, || begun.elapsed() >= span);
}

#[test]
fn a_lane_may_take_longer_than_a_session_to_let_go_and_commits_meanwhile() {
    let ground = Ground::kafka_with(overrides(&SHORT_SESSION));
    for partition in 0..4 {
        ground.publish(partition, 0..2);
    }
    let mut first = ground.lane("0");
    first.until_held(4);
    first.until_read(8);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let successor = scope.spawn(|| {
            let mut second = ground.lane("1");
            while !done.load(Ordering::SeqCst) {
                second.step();
                assert!(second.held.is_empty(), "{:?} before it was let go", second.held);
            }
            second.until_held(2);
            second.given
        });
        let mut arrivals = Vec::new();
        kit::until("it is asked to let go", SOON, || {
            first.link.poll(STEP, 100, &mut arrivals).unwrap();
            arrivals.iter().any(|arrival| matches!(arrival, Arrival::Revoking(_)))
        });
        let Some(Arrival::Revoking(asked)) = arrivals.pop() else { panic!("{arrivals:?}") };
        assert_eq!((asked.len(), arrivals.len()), (2, 0));
        idle(Duration::from_secs(5));

        let positions = asked.iter().map(|input| (*input, at(1, "late"))).collect::<Vec<_>>();
        let effects =
            asked.iter().map(|input| effect(*input, record(Topic::People, input.partition, "late")));
        first.link.commit(effects.collect(), &positions).unwrap();
        done.store(true, Ordering::SeqCst);
        first.link.release(&asked).unwrap();
        first.held.retain(|input| !asked.contains(input));
        let refused = first.link.commit(Vec::new(), &positions);
        assert!(matches!(refused, Err(BrokerError::NotHeld { .. })), "{refused:?}");
        while !successor.is_finished() {
            first.step();
        }
        let mut given = successor.join().unwrap();
        given.sort_by_key(|(input, _)| *input);
        assert_eq!(given, positions.into_iter().map(|(i, p)| (i, Some(p))).collect::<Vec<_>>());
    });
    ground.until_it_holds(Topic::People, &["late", "late"]);
}

#[test]
fn a_commit_of_a_thousand_records_does_not_wait_for_the_flush_of_the_client_library() {
    // The library looks ten times a second whether all has arrived.
    const FLUSH: Duration = Duration::from_millis(100);
    let ground = Ground::kafka_with(BTreeMap::new());
    let mut lane = ground.lane("0");
    lane.until_held(4);
    let mut spans = Vec::new();
    for round in 0..30 {
        let text = "x".repeat(300);
        let effects = (0..1000).map(|n| effect(subjects(0), record(Topic::People, n % 4, &text))).collect();
        let begun = Tick::now();
        lane.link.commit(effects, &[(subjects(0), at(round, "seq=1"))]).unwrap();
        spans.push(begun.elapsed());
    }
    spans.sort();
    let median = spans[spans.len() / 2];
    kit::say(&format!(
        "a commit of 1 000 records takes {:.1} ms (median of {}, slowest {:.1} ms), {:.2} of a flush",
        median.as_secs_f64() * 1e3,
        spans.len(),
        spans[spans.len() - 1].as_secs_f64() * 1e3,
        median.as_secs_f64() / FLUSH.as_secs_f64()
    ));
}
