//! Stalled: a member that does nothing for longer than its group waits.

use bugle::broker::{Arrival, BrokerError, Topic};

use super::kit::ground::{Ground, SOON, STEP, at, effect, record, subjects};
use super::kit::until;

on_both! {
    kafka_with_short_sessions:
    a_lane_that_stalled_is_refused_and_told_what_it_has_lost
}

fn a_lane_that_stalled_is_refused_and_told_what_it_has_lost(ground: &Ground) {
    ground.publish(0, 0..1);
    let mut stalled = ground.lane("0");
    stalled.until_read(1);
    stalled.until_held(4);
    let mut second = ground.lane("1");
    // It is asked for its share, is not polled any more, and the other gets everything.
    ground.miss("0");
    second.until_held(4);
    let zombie = effect(subjects(0), record(Topic::People, 0, "twice"));
    let refused = stalled.link.commit(vec![zombie], &[(subjects(0), at(1, ""))]);
    assert!(matches!(refused, Err(BrokerError::Aborted(_))), "{refused:?}");
    let effects = vec![effect(subjects(0), record(Topic::People, 0, "once"))];
    second.link.commit(effects, &[(subjects(0), at(1, ""))]).unwrap();

    // What was asked of it before it was given up, it is still asked; the rest is gone.
    let mut gone = Vec::new();
    until("it is told", SOON, || {
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
    until("it is back", SOON, || {
        second.step();
        stalled.step();
        stalled.held.len() == 2 && second.held.len() == 2
    });
}
