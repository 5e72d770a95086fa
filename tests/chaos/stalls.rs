//! Stalls: a process that stands still for longer than its group and its transaction wait, and goes on.

use std::time::Duration;

use crate::kit::proxy::{Api, Does};
use crate::kit::{self, until};
use crate::stage::Stage;

/// How long the stalled one may take to learn that it was replaced.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn f7_a_process_stopped_inside_a_commit_is_refused_when_it_goes_on_and_joins_again() {
    let mut stage = Stage::open(7);
    let proxy = kit::proxy();
    let mut stalled = stage.run_behind(&proxy.servers(), "a");
    let mut other = stage.run("b");
    stage.publish(60);
    stage.until_told(60, &mut [&mut stalled, &mut other]);
    let trap = proxy.trap(Api::AddOffsets, &stage.who("a", "person"), Does::HoldRequest);
    until("it is inside a commit", SOON, || {
        stage.publish(20);
        trap.is_sprung()
    });
    stalled.signal("-STOP");
    stage.publish(200);
    // All of it is told by the other, which was given what the stalled one held.
    stage.settle(&mut [&mut other]);
    trap.let_go();
    stalled.signal("-CONT");
    until("it is told", SOON, || {
        let said = stalled.said();
        ["taken back", "built anew", "lost"].iter().any(|word| said.contains(word))
    });
    stage.publish(200);
    stage.settle(&mut [&mut stalled, &mut other]);
    // And it works again: alone it does everything.
    assert_eq!(other.terminate(), Some(0));
    stage.publish(100);
    stage.close(stalled);
}
