//! Groups: who is given what when members come, go, come back and are replaced.

use bugle::broker::{BrokerError, LinkSpec, Topic};

use super::kit::ground::{Ground, Lane, SOON, at, effect, record, subjects, values};
use super::kit::until;

on_both! {
    kafka:
    a_member_that_comes_takes_its_share_and_nothing_else_moves
    what_a_member_held_goes_to_the_others_when_it_leaves
    a_static_member_that_restarts_finds_its_partitions_and_disturbs_nobody
    a_member_whose_place_was_taken_writes_nothing_more
    a_group_that_was_forgotten_begins_without_a_position
}

/// Both are turned until something is true.
fn turn(what: &str, lanes: &mut [&mut Lane], mut holds: impl FnMut(&[&mut Lane]) -> bool) {
    until(what, SOON, || {
        lanes.iter_mut().for_each(|lane| lane.step());
        holds(lanes)
    });
}

fn a_member_that_comes_takes_its_share_and_nothing_else_moves(ground: &Ground) {
    for partition in 0..4 {
        ground.publish(partition, 0..1);
    }
    let mut first = ground.lane("0");
    first.until_read(4);
    first.copy();
    let had = first.held.clone();
    let mut second = ground.lane("1");
    turn("they share", &mut [&mut first, &mut second], |lanes| {
        (lanes[0].held.len(), lanes[1].held.len()) == (2, 2)
    });
    // What stayed was never taken away, and goes on where it was.
    assert_eq!(first.given.len(), 4);
    assert!(first.held.is_subset(&had) && first.held.is_disjoint(&second.held));
    assert!(second.given.iter().all(|(_, position)| *position == Some(at(1, ""))), "{:?}", second.given);
    for partition in 0..4 {
        ground.publish(partition, 1..2);
    }
    turn("they read on", &mut [&mut first, &mut second], |lanes| {
        lanes[0].read.len() + lanes[1].read.len() == 4
    });
    assert_eq!((values(&first.read), values(&second.read)), (vec!["1".into(); 2], vec!["1".into(); 2]));
}

fn what_a_member_held_goes_to_the_others_when_it_leaves(ground: &Ground) {
    let (mut first, mut second) = (ground.lane("0"), ground.lane("1"));
    turn("they share", &mut [&mut first, &mut second], |lanes| {
        (lanes[0].held.len(), lanes[1].held.len()) == (2, 2)
    });
    let (given, kept) = (second.given.len(), second.held.clone());
    drop(first);
    second.until_held(4);
    assert_eq!(second.given.len(), given + 2);
    assert!(kept.is_subset(&second.held));
}

fn a_static_member_that_restarts_finds_its_partitions_and_disturbs_nobody(ground: &Ground) {
    let named = |slot: &str| LinkSpec { instance_id: Some(format!("instance-{slot}")), ..ground.spec(slot) };
    let (mut first, mut second) = (ground.lane_of(&named("0")), ground.lane_of(&named("1")));
    turn("they share", &mut [&mut first, &mut second], |lanes| {
        (lanes[0].held.len(), lanes[1].held.len()) == (2, 2)
    });
    let (had, given) = (first.held.clone(), second.given.len());
    drop(first);
    // Nobody takes its place while it is away.
    second.step();
    let mut back = ground.lane_of(&named("0"));
    turn("it is back", &mut [&mut back, &mut second], |lanes| lanes[0].held.len() == 2);
    assert_eq!(back.held, had);
    assert_eq!((second.held.len(), second.given.len()), (2, given));
}

fn a_member_whose_place_was_taken_writes_nothing_more(ground: &Ground) {
    let named = |slot: &str| LinkSpec { instance_id: Some("the same".to_owned()), ..ground.spec(slot) };
    ground.publish(0, 0..1);
    let mut first = ground.lane_of(&named("0"));
    first.until_read(1);
    let mut second = ground.lane_of(&named("1"));
    second.until_held(4);
    // Its producer is not fenced, only its place in the group is: the offset is what stops it.
    let late = effect(subjects(0), record(Topic::People, 0, "twice"));
    let refused = first.link.commit(vec![late], &[(subjects(0), at(1, "late"))]);
    assert!(matches!(refused, Err(BrokerError::Aborted(_))), "{refused:?}");
    second.until_read(1);
    second.copy();
    ground.until_it_holds(Topic::People, &["0"]);
    let mut said = Ok(());
    until("it is told", SOON, || {
        said = first.link.poll(super::kit::ground::STEP, 100, &mut Vec::new());
        said.is_err()
    });
    assert!(matches!(&said, Err(BrokerError::Replaced { instance }) if instance == "the same"), "{said:?}");
}

fn a_group_that_was_forgotten_begins_without_a_position(ground: &Ground) {
    ground.publish(0, 0..2);
    let mut lane = ground.lane("0");
    lane.until_read(2);
    lane.link.commit(Vec::new(), &[(subjects(0), at(2, "seq=1"))]).unwrap();
    until("it is committed", SOON, || ground.unread(subjects(0)).next == Some(2));
    drop(lane);
    ground.forget_group();
    assert_eq!(ground.unread(subjects(0)).next, None);
    let mut after = ground.lane("0");
    after.until_read(2);
    assert!(after.given.iter().all(|(_, position)| position.is_none()), "{:?}", after.given);
}
