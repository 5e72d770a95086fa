//! Kafka groups: what a real cluster does to a lane that is slow to let go, restarted, or stalled.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod kit;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bugle::broker::{Arrival, BrokerError, LinkSpec, Topic};
use bugle::clock::Tick;
use kit::ground::{Ground, SOON, STEP, at, effect, record, subjects};

/// librdkafka's settings with which a member is missed after three seconds.
const SHORT_SESSION: [(&str, &str); 2] =
    [("consumer.session.timeout.ms", "3000"), ("consumer.heartbeat.interval.ms", "500")];

fn overrides(settings: &[(&str, &str)]) -> BTreeMap<String, String> {
    settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

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
fn a_lane_that_stalled_is_refused_and_told_what_it_has_lost() {
    let slow = [("consumer.max.poll.interval.ms", "3000")];
    let ground = Ground::kafka_with(overrides(&[&SHORT_SESSION[..], &slow[..]].concat()));
    ground.publish(0, 0..1);
    let mut stalled = ground.lane("0");
    stalled.until_read(1);
    stalled.until_held(4);
    let mut second = ground.lane("1");
    // It is not polled any more, and the other gets everything.
    second.until_held(4);
    let zombie = effect(subjects(0), record(Topic::People, 0, "twice"));
    let refused = stalled.link.commit(vec![zombie], &[(subjects(0), at(1, ""))]);
    assert!(matches!(refused, Err(BrokerError::Aborted(_))), "{refused:?}");
    let effects = vec![effect(subjects(0), record(Topic::People, 0, "once"))];
    second.link.commit(effects, &[(subjects(0), at(1, ""))]).unwrap();

    // What was asked of it before it was given up, it is still asked; the rest is gone.
    let mut gone = Vec::new();
    kit::until("it is told", SOON, || {
        second.step();
        let mut arrivals = Vec::new();
        stalled.link.poll(STEP, 100, &mut arrivals).unwrap();
        for arrival in arrivals {
            match arrival {
                Arrival::Revoking(asked) => {
                    stalled.link.release(&asked).unwrap();
                    gone.extend(asked);
                }
                Arrival::Lost(lost) => gone.extend(lost),
                Arrival::Record(_) | Arrival::Assigned(..) => panic!("{arrival:?} of what another has"),
            }
        }
        gone.len() == 4
    });
    ground.until_it_holds(Topic::People, &["once"]);
    // It joins again and takes its part.
    stalled.held.clear();
    kit::until("it is back", SOON, || {
        second.step();
        stalled.step();
        stalled.held.len() == 2 && second.held.len() == 2
    });
}

#[test]
fn a_static_member_that_restarts_finds_its_partitions_and_disturbs_nobody() {
    let ground = Ground::kafka_with(BTreeMap::new());
    let named = |slot: &str| LinkSpec { instance_id: Some(format!("instance-{slot}")), ..ground.spec(slot) };
    let (mut first, mut second) = (ground.lane_of(&named("0")), ground.lane_of(&named("1")));
    kit::until("they share", SOON, || {
        first.step();
        second.step();
        first.held.len() == 2 && second.held.len() == 2
    });
    let (had, given) = (first.held.clone(), second.given.len());
    drop(first);
    let mut back = ground.lane_of(&named("0"));
    kit::until("it is back", SOON, || {
        back.step();
        second.step();
        back.held.len() == 2
    });
    assert_eq!(back.held, had);
    assert_eq!((second.held.len(), second.given.len()), (2, given));
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
