//! Fenced: a producer that is told it has been replaced, and a process whose name another one took.

use bugle::clock::Tick;

use crate::kit;
use crate::kit::proxy::{Api, Does};
use crate::stage::Stage;

const INVALID_PRODUCER_EPOCH: i16 = 47;
const INVALID_TXN_STATE: i16 = 48;
const FENCED_INSTANCE_ID: i16 = 82;
const PRODUCER_FENCED: i16 = 90;

#[test]
fn f21_a_producer_told_that_it_is_fenced_is_replaced_and_the_process_goes_on() {
    let mut stage = Stage::open(21);
    let proxy = kit::proxy();
    let mut bugle = stage.run_behind(&proxy.servers(), "a");
    stage.publish(40);
    stage.until_told(40, &mut [&mut bugle]);
    let codes = [PRODUCER_FENCED, INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE];
    let lanes = ["source", "subject", "person", "delivery", "source", "person"];
    // Nothing was committed, or everything was: the answer is the same.
    let answers = codes.into_iter().flat_map(|code| [Does::Refuse(code), Does::Belie(code)]);
    for (does, lane) in answers.zip(lanes) {
        let trap = proxy.trap(Api::EndTxn, &stage.who("a", lane), does);
        stage.publish(40);
        trap.until_sprung();
        let begun = Tick::now();
        let next = proxy.trap(Api::EndTxn, &stage.who("a", lane), Does::HoldAnswer);
        stage.publish(20);
        next.until_sprung();
        kit::say(&format!("{does:?} in the {lane} lane: the next commit after {:?}", begun.elapsed()));
        next.let_go();
        stage.settle(&mut [&mut bugle]);
    }
    stage.close(bugle);
}

#[test]
fn a_process_whose_name_was_taken_once_takes_it_back_and_goes_on() {
    let mut stage = Stage::open(82);
    let proxy = kit::proxy();
    let mut bugle = stage.run_behind(&proxy.servers(), "alone");
    stage.publish(40);
    stage.until_told(40, &mut [&mut bugle]);
    for lane in ["person", "delivery"] {
        let trap = proxy.trap(Api::Heartbeat, &format!("alone-{lane}-0"), Does::Refuse(FENCED_INSTANCE_ID));
        trap.until_sprung();
        stage.publish(40);
        stage.settle(&mut [&mut bugle]);
    }
    assert_eq!(bugle.said().matches("has taken this one's place").count(), 2, "{}", bugle.said());
    stage.close(bugle);
}

#[test]
fn f10_of_two_processes_with_one_name_the_older_one_ends_and_says_why() {
    let mut stage = Stage::open(10);
    let mut older = stage.run("twin");
    stage.publish(100);
    stage.until_told(60, &mut [&mut older]);
    let mut newer = stage.run("twin");
    stage.publish(100);
    assert_eq!(older.until_ended(), Some(1));
    let said = older.said();
    assert!(said.contains("another process takes part as `twin-"), "{said}");
    assert!(said.contains("give each process a `kafka.instance_id` of its own"), "{said}");
    stage.publish(100);
    stage.settle(&mut [&mut newer]);
    stage.close(newer);
}
