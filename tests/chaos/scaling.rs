//! Scaling: instances come and go while events flow.

use std::time::Duration;

use crate::kit::process::Process;
use crate::kit::until;
use crate::stage::Stage;

#[test]
fn f9_from_one_instance_to_three_and_back_under_load_with_members_that_leave_die_and_return() {
    let mut stage = Stage::open(99);
    let mut first = stage.run("a");
    stage.publish(100);
    stage.until_told(50, &mut [&mut first]);
    for round in 0..2 {
        let mut others: Vec<Process> = vec![stage.run("b"), stage.run_nameless()];
        for _ in 0..4 {
            stage.publish(100);
            stage.until_told(100, &mut [&mut first]);
        }
        others.iter_mut().for_each(Process::lives);
        let nameless = others.pop().unwrap();
        let named = others.pop().unwrap();
        stage.publish(100);
        if round == 0 {
            assert_eq!(nameless.terminate(), Some(0));
            named.kill();
        } else {
            nameless.kill();
            assert_eq!(named.terminate(), Some(0));
        }
        stage.publish(100);
    }
    stage.close(first);
}

#[test]
fn a_static_member_that_restarts_moves_no_partition_of_the_others() {
    let mut stage = Stage::open(3);
    let patient =
        ["--set", "log.filter=bugle=debug", "--set", "kafka.properties.consumer.session.timeout.ms=30000"];
    let given = |bugle: &Process| bugle.said().matches("lane_thread: assigned").count();
    let mut stays = stage.run_with("a", &patient);
    // Four partitions of eight topics. Who comes at the same time may be given more than half, and lose it again.
    until("it has them all", Duration::from_secs(60), || given(&stays) == 32);
    let mut restarts = stage.run_with("b", &patient);
    until("they share", Duration::from_secs(60), || given(&restarts) == 16);
    stage.publish(100);
    stage.settle(&mut [&mut stays, &mut restarts]);
    let before = given(&stays);
    assert_eq!(restarts.terminate(), Some(0));
    let mut back = stage.run_with("b", &patient);
    until("it has what it had", Duration::from_secs(60), || given(&back) == 16);
    stage.publish(100);
    stage.settle(&mut [&mut stays, &mut back]);
    assert_eq!(given(&stays), before, "partitions of another moved");
    assert_eq!(back.terminate(), Some(0));
    stage.close(stays);
}
