//! Crashes: `kill -9` between any two steps of a commit, while the push service has a batch, and whenever.

use std::time::Duration;

use bugle::clock::Tick;

use crate::kit::proxy::{Api, Does};
use crate::kit::{self, until};
use crate::stage::Stage;

const LANES: [&str; 4] = ["source", "subject", "person", "delivery"];

/// The steps of a commit, by the request before or behind which the process is ended.
const STEPS: [(&str, Api, Does); 4] = [
    ("F1, before anything", Api::AddOffsets, Does::HoldRequest),
    ("F2, between offsets and records", Api::AddPartitions, Does::HoldRequest),
    ("F3, between records and the end", Api::EndTxn, Does::HoldRequest),
    ("F4, ended and not told", Api::EndTxn, Does::HoldAnswer),
];

#[test]
fn f1_to_f4_a_kill_between_any_two_steps_of_a_commit_loses_and_repeats_nothing() {
    let mut stage = Stage::open(14);
    let proxy = kit::proxy();
    let mut bugle = stage.run_behind(&proxy.servers(), "a");
    stage.publish(40);
    stage.until_told(40, &mut [&mut bugle]);
    for (place, (_, api, does)) in STEPS.iter().enumerate() {
        // Each step in two lanes, each lane at two steps.
        for lane in [LANES[place], LANES[(place + 2) % LANES.len()]] {
            let trap = proxy.trap(*api, &stage.who("a", lane), *does);
            stage.publish(40);
            trap.until_sprung();
            bugle.kill();
            drop(trap);
            bugle = stage.run_behind(&proxy.servers(), "a");
        }
    }
    stage.close(bugle);
}

#[test]
fn whoever_takes_over_ends_the_transaction_that_was_left_open() {
    let mut stage = Stage::open(15);
    let proxy = kit::proxy();
    let mut first = stage.run_behind(&proxy.servers(), "a");
    stage.publish(40);
    stage.until_told(40, &mut [&mut first]);
    let mut second = stage.run("b");
    stage.publish(80);
    stage.settle(&mut [&mut first, &mut second]);
    let trap = proxy.trap(Api::EndTxn, &stage.who("a", "person"), Does::HoldRequest);
    stage.publish(80);
    trap.until_sprung();
    first.kill();
    let killed = Tick::now();
    drop(trap);
    // Under its own name it would be given its transaction back, and end it.
    let said = second.until_it_says("a transaction was left open by an owner who is gone");
    assert!(said.contains(&format!("{}-a-", stage.group)), "{said}");
    stage.settle(&mut [&mut second]);
    let after = killed.elapsed();
    kit::say(&format!("all is told {after:?} after a kill in a transaction, with sessions of 3 s"));
    stage.close(second);
}

#[test]
fn f5_a_batch_the_push_service_has_and_nobody_knows_of_is_asked_after_and_told_once() {
    let mut stage = Stage::open(5);
    let mut bugle = stage.run("a");
    stage.publish(40);
    stage.until_told(40, &mut [&mut bugle]);
    let mut asked_after = 0;
    for _ in 0..3 {
        stage.faults(r#"{"latency":"60s"}"#);
        let jobs = stage.sum("jobs");
        stage.publish(40);
        until("the push service has a batch", Duration::from_secs(60), || stage.sum("jobs") > jobs);
        bugle.kill();
        stage.faults("{}");
        bugle = stage.run("a");
        stage.settle(&mut [&mut bugle]);
        assert!(stage.sum("asked_after") > asked_after, "what may have been lost was not asked after");
        asked_after = stage.sum("asked_after");
    }
    stage.close(bugle);
}

#[test]
fn a_kill_at_any_moment_loses_and_repeats_nothing() {
    let mut stage = Stage::open(9);
    stage.faults(r#"{"latency":"exp:20ms","cut_before_answer":0.1,"unavailable":0.1}"#);
    let mut bugle = stage.run("a");
    for round in 0..6 {
        // The moment is one of the work done, not of a clock.
        for _ in 0..=round % 3 {
            stage.publish(30);
            stage.until_told(20, &mut [&mut bugle]);
        }
        stage.publish(60);
        bugle.kill();
        bugle = stage.run("a");
    }
    stage.close(bugle);
}
