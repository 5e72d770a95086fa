//! Traps: what the client library does that loses, repeats or hangs, and the test that would see it.
//!
//! | trap | guard | seen by |
//! |---|---|---|
//! | T1 an abort that nobody polls for hangs | an abort is polled for from a second thread | `t1_an_abort_with_records_on_their_way_ends_at_once` |
//! | T2 an abort that overtakes the first record is fatal | records in flight are waited for; a dead producer is replaced | `t2_a_hundred_aborts_behind_the_first_record_each_leave_a_way_to_go_on` |
//! | T3 an end sent again may end the next transaction | after an end in doubt comes a new producer | `t3_an_end_that_comes_late_ends_no_other_transaction` |
//! | T4 a stream consumer stalls | polled by the lane's own thread | `links_of_a_group_share_the_partitions_and_nothing_is_lost_or_repeated_when_they_change` |
//! | T5 a stream consumer that nobody awaits is not polled | the same | `a_lane_may_take_longer_than_a_session_to_let_go_and_commits_meanwhile` |
//! | T6 a poll that answers nothing after a rebalance | polled again until its time is over | `a_member_that_comes_takes_its_share_and_nothing_else_moves` |
//! | T7 leaving a group blocks without brokers | left on a thread of its own, for five seconds | `t7_a_link_is_let_go_although_the_brokers_are_away` |
//! | T8 the new group protocol makes a slow poll fatal | the classic one, which nobody can overrule | `what_a_promise_rests_on_cannot_be_overruled` |
//! | T9 memory counts for each partition queue | no such queues; the one there is has a bound | `every_pinned_setting_is_as_it_is_written_here` |
//! | T10 lag by offsets of records never ends | positions, not offsets, are compared | `a_reader_reaches_the_end_although_transactions_end_in_offsets_of_their_own` |
//! | T11 settings are printed with their secrets | values are never printed | `no_value_is_printed` |
//! | T12 a slow poll loses partitions | refused, told, and back | `a_lane_that_stalled_is_refused_and_told_what_it_has_lost` |
//! | T13 going back in what was lost throws | only what is held goes back | `t13_going_back_after_partitions_were_lost_is_no_error` |
//! | T14 an open transaction stops its readers | ended by its successor, or in its time | `a_transaction_that_nobody_ends_is_rolled_back_in_its_time` |
//! | T15 a commit waits for the library's flush | records in flight are counted instead | `a_commit_of_a_thousand_records_does_not_wait_for_the_flush_of_the_client_library` |

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bugle::broker::{Arrival, BrokerError, Topic};
use bugle::clock::Tick;

use super::kit;
use super::kit::ground::{Ground, Lane, SOON, STEP, at, effect, record, subjects};
use super::kit::proxy::{Api, Does, Weather};

/// Far more than what is tried here takes, and far less than a transaction's or a session's time.
const AT_ONCE: Duration = Duration::from_secs(5);

/// The proxy is one for all; who changes the weather, or minds it, is alone.
static ALONE: Mutex<()> = Mutex::new(());

/// A lane with everything, and a record in partition 0.
fn lane(ground: &Ground) -> Lane {
    ground.publish(0, 0..1);
    let mut lane = ground.lane("0");
    lane.until_held(4);
    lane
}

/// A commit of records that are on their way when the last of them turns out to have nowhere to go.
fn doomed(lane: &mut Lane) -> Result<(), BrokerError> {
    let mut effects: Vec<_> =
        (0..50).map(|n| effect(subjects(0), record(Topic::People, n % 4, "never"))).collect();
    effects.push(effect(subjects(0), record(Topic::People, 99, "nowhere")));
    lane.link.commit(effects, &[(subjects(0), at(1, ""))])
}

fn good(lane: &mut Lane) -> Result<(), BrokerError> {
    lane.link.commit(vec![effect(subjects(0), record(Topic::People, 0, "good"))], &[(subjects(0), at(1, ""))])
}

#[test]
fn t1_an_abort_with_records_on_their_way_ends_at_once() {
    let ground = Ground::kafka();
    let mut lane = lane(&ground);
    let begun = Tick::now();
    let refused = doomed(&mut lane);
    assert!(matches!(refused, Err(BrokerError::Topic { .. })), "{refused:?}");
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    good(&mut lane).unwrap();
    ground.until_it_holds(Topic::People, &["good"]);
}

#[test]
fn t2_a_hundred_aborts_behind_the_first_record_each_leave_a_way_to_go_on() {
    let ground = Ground::kafka();
    let mut lane = lane(&ground);
    let mut dead = 0;
    for _ in 0..100 {
        match doomed(&mut lane) {
            Err(BrokerError::Topic { .. }) => {}
            Err(BrokerError::Fatal(_)) => {
                dead += 1;
                drop(lane);
                lane = ground.lane("0");
                lane.until_held(4);
            }
            other => panic!("{other:?}"),
        }
    }
    kit::say(&format!("100 aborts, {dead} producers replaced"));
    good(&mut lane).unwrap();
    ground.until_it_holds(Topic::People, &["good"]);
}

#[test]
fn t3_an_end_that_comes_late_ends_no_other_transaction() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (ground, proxy) = (Ground::behind_the_proxy(), kit::proxy());
    let mut lane = lane(&ground);
    let who = ground.spec("0").transactional_id;
    let late = proxy.trap(Api::EndTxn, &who, Does::HoldRequest);
    // The first request is on its way for long; the library asks again by itself, and that is answered.
    good(&mut lane).unwrap();
    assert!(late.is_sprung());
    ground.until_it_holds(Topic::People, &["good"]);

    let own = proxy.trap(Api::EndTxn, &who, Does::HoldRequest);
    let records = || ground.count(Topic::People);
    thread::scope(|scope| {
        let next = scope.spawn(|| good(&mut lane));
        own.until_sprung();
        let follow = || ground.broker.follow(Topic::People).unwrap();
        kit::until("its record is written", SOON, || !follow().is_settled().unwrap());
        // It is open, and its own end is still on its way: now the late one arrives.
        late.let_go();
        let begun = Tick::now();
        kit::until("time has passed", SOON, || begun.elapsed() > Duration::from_secs(2));
        assert_eq!(records(), 1, "it was ended by another's end");
        own.let_go();
        next.join().unwrap().unwrap();
    });
    ground.until_it_holds(Topic::People, &["good", "good"]);
}

#[test]
fn t7_a_link_is_let_go_although_the_brokers_are_away() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (ground, proxy) = (Ground::behind_the_proxy(), kit::proxy());
    let lane = lane(&ground);
    proxy.weather(Weather { shut: true, ..Weather::default() });
    proxy.cut();
    let begun = Tick::now();
    drop(lane);
    let took = begun.elapsed();
    proxy.weather(Weather::default());
    assert!(took < Duration::from_secs(12), "{took:?}");
}

#[test]
fn t13_going_back_after_partitions_were_lost_is_no_error() {
    let ground = Ground::kafka_with_short_sessions();
    let mut stalled = lane(&ground);
    let mut second = ground.lane("1");
    second.until_held(4);
    let refused = good(&mut stalled);
    assert!(matches!(refused, Err(BrokerError::Aborted(_))), "{refused:?}");
    stalled.link.rewind().unwrap();
    let mut gone = 0;
    kit::until("it is told", SOON, || {
        second.step();
        let mut arrivals = Vec::new();
        stalled.link.poll(STEP, 100, &mut arrivals).unwrap();
        for arrival in arrivals {
            match arrival {
                Arrival::Revoking(asked) => {
                    stalled.link.release(&asked).unwrap();
                    gone += asked.len();
                }
                Arrival::Lost(lost) => gone += lost.len(),
                Arrival::Record(_) | Arrival::Assigned(..) => panic!("{arrival:?} of what another has"),
            }
        }
        gone == 4
    });
    assert_eq!(stalled.link.rewind().unwrap(), Vec::new());
}

/// What comes of an answer to the end of a transaction that was not carried out.
#[test]
fn every_answer_to_the_end_of_a_transaction_has_one_way_out() {
    #[derive(Debug, PartialEq, Eq)]
    enum Way {
        /// Asked again until it is done.
        Again,
        /// Rolled back; the producer goes on.
        RollBack,
        /// The producer is given up.
        GiveUp,
    }
    let ways = [
        ("COORDINATOR_LOAD_IN_PROGRESS", 14, Way::Again),
        ("COORDINATOR_NOT_AVAILABLE", 15, Way::Again),
        ("NOT_COORDINATOR", 16, Way::Again),
        ("CONCURRENT_TRANSACTIONS", 51, Way::Again),
        ("INVALID_PRODUCER_EPOCH", 47, Way::GiveUp),
        ("INVALID_TXN_STATE", 48, Way::GiveUp),
        ("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", 53, Way::GiveUp),
        ("PRODUCER_FENCED", 90, Way::GiveUp),
        ("UNKNOWN_SERVER_ERROR", -1, Way::RollBack),
    ];
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (ground, proxy) = (Ground::behind_the_proxy(), kit::proxy());
    let mut committed = Vec::new();
    for (name, code, way) in ways {
        let mut lane = ground.lane("0");
        lane.until_held(4);
        let trap = proxy.trap(Api::EndTxn, &ground.spec("0").transactional_id, Does::Refuse(code));
        let effects = vec![effect(subjects(0), record(Topic::People, 0, name))];
        let found = match lane.link.commit(effects, &[(subjects(0), at(0, name))]) {
            Ok(()) => {
                committed.push(name);
                Way::Again
            }
            Err(BrokerError::Aborted(_)) => Way::RollBack,
            Err(BrokerError::Fatal(_)) => Way::GiveUp,
            Err(other) => panic!("{name}: {other}"),
        };
        assert!(trap.is_sprung(), "{name}");
        assert_eq!(found, way, "{name}");
    }
    committed.sort_unstable();
    ground.until_it_holds(Topic::People, &committed);
}

#[test]
fn every_trap_names_a_test_that_is_there() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    let files = [
        "tests/broker/main.rs",
        "tests/broker/groups.rs",
        "tests/broker/stalled.rs",
        "tests/broker/transactions.rs",
        "tests/broker/traps.rs",
        "tests/kafka_groups.rs",
        "src/broker/kafka/settings.rs",
    ];
    let tests = files.map(read).join("\n");
    let table = read("tests/broker/traps.rs");
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("//! | T")).collect();
    assert_eq!(rows.len(), 15);
    for (row, number) in rows.iter().zip(1..) {
        assert!(row.starts_with(&format!("//! | T{number} ")), "{row}");
        let named = row.trim_end_matches("` |").rsplit('`').next().unwrap();
        assert!(tests.contains(&format!("fn {named}(")), "{row}");
    }
}
