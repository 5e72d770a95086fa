//! Transactions: what is seen of them, when, and who ends those that nobody ends.

use std::time::Duration;

use bugle::broker::{BrokerError, Topic};
use bugle::clock::Tick;

use super::kit::ground::{Ground, SOON, STEP, at, effect, people, read_to_the_end, record, subjects, values};
use super::kit::until;

on_both! {
    kafka:
    what_lies_behind_an_open_transaction_is_seen_when_it_ends_and_in_that_partition_alone
    what_is_rolled_back_was_never_there_and_a_reader_passes_it
    the_end_of_a_transaction_takes_an_offset_of_its_own
    a_second_link_with_the_same_transactional_id_fences_the_first
    a_successor_ends_what_was_left_open_under_its_transactional_id
    a_transaction_that_nobody_ends_is_rolled_back_in_its_time
    what_a_group_has_not_read_counts_records_and_no_ends_of_transactions
}

/// Longer than a test takes.
const LONG: Duration = Duration::from_secs(60);

fn what_lies_behind_an_open_transaction_is_seen_when_it_ends_and_in_that_partition_alone(ground: &Ground) {
    ground.publish(0, 0..1);
    let mut lane = ground.lane("0");
    lane.until_read(1);
    let open = ground.leave_open("other", LONG, &record(Topic::People, 0, "first"));
    let effects = vec![
        effect(subjects(0), record(Topic::People, 0, "second")),
        effect(subjects(0), record(Topic::People, 3, "elsewhere")),
    ];
    lane.link.commit(effects, &[(subjects(0), at(1, "seq=1"))]).unwrap();
    ground.until_it_holds(Topic::People, &["elsewhere"]);
    // The position moved all the same: the offsets of a group are a place of their own.
    until("the position has moved", SOON, || ground.unread(subjects(0)).next == Some(1));
    let mut follow = ground.broker.follow(Topic::People).unwrap();
    assert_eq!(follow.ends().unwrap()[0], 0);
    assert!(!follow.is_settled().unwrap());
    assert_eq!(values(&read_to_the_end(follow.as_mut())), ["elsewhere"]);

    open.commit();
    let mut later = Vec::new();
    until("the rest is seen", SOON, || {
        follow.poll(STEP, &mut later).unwrap();
        later.len() >= 2
    });
    assert_eq!(values(&later), ["first", "second"]);
    until("nothing is open", SOON, || follow.is_settled().unwrap());
}

fn what_is_rolled_back_was_never_there_and_a_reader_passes_it(ground: &Ground) {
    let mut lane = ground.lane("0");
    lane.until_held(4);
    let open = ground.leave_open("other", LONG, &record(Topic::Subjects, 0, "never"));
    ground.publish(0, 0..1);
    ground.publish(1, 7..8);
    lane.until_read(1);
    assert_eq!(values(&lane.read), ["7"]);
    open.roll_back();
    lane.until_read(2);
    assert_eq!(values(&lane.read), ["7", "0"]);
    // "never", the record, and the end of the transaction.
    until("the end is seen", SOON, || lane.link.end(subjects(0)).unwrap() == 3);
    let begun = Tick::now();
    while lane.link.position(subjects(0)).unwrap() != Some(3) {
        assert!(begun.elapsed() < SOON, "at {:?}", lane.link.position(subjects(0)));
        lane.step();
    }
    assert_eq!(lane.read.len(), 2);
}

fn the_end_of_a_transaction_takes_an_offset_of_its_own(ground: &Ground) {
    ground.publish(0, 0..1);
    let mut lane = ground.lane("0");
    lane.until_read(1);
    for round in 1..=3 {
        let effects = vec![
            effect(subjects(0), record(Topic::People, 0, "x")),
            effect(subjects(0), record(Topic::People, 0, "y")),
            effect(subjects(0), record(Topic::People, 1, "z")),
        ];
        lane.link.commit(effects, &[(subjects(0), at(1, ""))]).unwrap();
        until("it is seen", SOON, || {
            (ground.end(people(0)), ground.end(people(1))) == (3 * round, 2 * round)
        });
    }
    let mut follow = ground.broker.recall(Topic::People, &[(0, None)]).unwrap();
    let offsets: Vec<i64> = read_to_the_end(follow.as_mut()).iter().map(|record| record.offset).collect();
    assert_eq!(offsets, [0, 1, 3, 4, 6, 7]);
}

fn a_second_link_with_the_same_transactional_id_fences_the_first(ground: &Ground) {
    let mut first = ground.lane("0");
    first.until_held(4);
    let _second = ground.lane("0");
    let refused = first
        .link
        .commit(vec![effect(subjects(0), record(Topic::People, 0, "late"))], &[(subjects(0), at(0, ""))]);
    assert!(matches!(refused, Err(BrokerError::Fatal(_))), "{refused:?}");
    assert_eq!(ground.count(Topic::People), 0);
    let again = first.link.commit(Vec::new(), &[(subjects(0), at(0, ""))]);
    assert!(matches!(again, Err(BrokerError::Fatal(_))), "{again:?}");
}

fn a_successor_ends_what_was_left_open_under_its_transactional_id(ground: &Ground) {
    let _open = ground.leave_open("0", LONG, &record(Topic::People, 0, "half"));
    let mut lane = ground.lane("0");
    lane.until_held(4);
    let effects = vec![effect(subjects(0), record(Topic::People, 0, "whole"))];
    lane.link.commit(effects, &[(subjects(0), at(0, "seq=1"))]).unwrap();
    ground.until_it_holds(Topic::People, &["whole"]);
}

fn a_transaction_that_nobody_ends_is_rolled_back_in_its_time(ground: &Ground) {
    let _open = ground.leave_open("other", Duration::from_secs(5), &record(Topic::People, 0, "half"));
    ground.broker.publish(vec![record(Topic::People, 0, "behind it")]).unwrap();
    assert_eq!(ground.count(Topic::People), 0);
    ground.until_it_holds(Topic::People, &["behind it"]);
}

fn what_a_group_has_not_read_counts_records_and_no_ends_of_transactions(ground: &Ground) {
    let unread = || {
        let unread = ground.unread(subjects(0));
        (unread.next, unread.first, unread.end)
    };
    assert_eq!(unread(), (None, 0, 0));
    let mut lane = ground.lane("0");
    lane.until_held(4);
    ground.leave_open("other", LONG, &record(Topic::Subjects, 0, "never")).roll_back();
    ground.publish(0, 0..1);
    lane.until_read(1);
    assert_eq!(lane.read[0].offset, 2);
    let mut reach = |offset| lane.link.commit(Vec::new(), &[(subjects(0), at(offset, ""))]).unwrap();
    reach(0);
    until("a record is to be read", SOON, || unread() == (Some(2), 0, 3));
    ground.leave_open("other", LONG, &record(Topic::Subjects, 0, "neither")).roll_back();
    reach(3);
    until("none is", SOON, || unread() == (Some(5), 0, 5));
}
