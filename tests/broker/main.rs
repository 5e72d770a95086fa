//! Broker: what a lane may rely on, said once and tried on both brokers: the model, and a real Kafka.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

/// Runs each case on both brokers.
macro_rules! on_both {
    ($kafka:ident: $($case:ident)*) => {
        mod on_the_model {
            $(#[test] fn $case() { super::$case(&super::Ground::model()); })*
        }
        mod on_kafka {
            $(#[test] fn $case() { super::$case(&super::Ground::$kafka()); })*
        }
    };
}

mod compaction;
mod groups;
#[path = "../kit/mod.rs"]
mod kit;
mod stalled;
mod transactions;
mod traps;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bugle::broker::partitioner::partition_of;
use bugle::broker::{BrokerError, Input, LinkSpec, Outgoing, StartFrom, Topic};
use bugle::clock::Tick;
use bytes::Bytes;
use kit::ground::{Ground, PARTITIONS, SOON, STEP, at, effect, read_to_the_end, record, subjects, values};

on_both! {
    kafka:
    a_commit_is_seen_as_a_whole_and_a_successor_goes_on_behind_it
    an_abort_leaves_no_trace
    what_breaks_the_terms_is_refused_before_anything_is_written
    links_of_a_group_share_the_partitions_and_nothing_is_lost_or_repeated_when_they_change
    a_rewind_hands_out_again_what_was_not_committed
    a_paused_partition_is_silent_and_goes_on_where_it_was_told_to
    a_follower_reads_from_the_beginning_and_hears_what_comes_later
    partitions_are_read_on_where_somebody_was_or_from_their_beginning
    a_reader_reaches_the_end_although_transactions_end_in_offsets_of_their_own
    a_group_that_starts_from_now_hears_only_what_comes
    a_position_whose_records_are_gone_is_a_loud_error
    what_is_trimmed_is_gone_for_every_reader_and_nothing_else_is
    a_key_goes_where_every_java_client_sends_it
    topics_made_by_us_pass_our_own_check
    a_topic_that_is_missing_is_named_with_the_command_that_makes_it
}

fn a_commit_is_seen_as_a_whole_and_a_successor_goes_on_behind_it(ground: &Ground) {
    ground.publish(1, 0..3);
    let mut lane = ground.lane("0");
    lane.until_read(3);
    assert!(lane.given.iter().all(|(_, position)| position.is_none()));
    assert_eq!(values(&lane.read), ["0", "1", "2"]);

    let effects = vec![
        effect(subjects(1), record(Topic::People, 0, "for ada")),
        effect(subjects(1), record(Topic::People, 3, "for ben")),
    ];
    lane.link.commit(effects, &[(subjects(1), at(2, "seq=7 item=4"))]).unwrap();
    ground.until_it_holds(Topic::People, &["for ada", "for ben"]);
    drop(lane);

    let mut successor = ground.lane("0");
    successor.until_read(1);
    successor.until_held(4);
    let given = successor.given.iter().find(|(input, _)| *input == subjects(1)).unwrap();
    assert_eq!(given.1, Some(at(2, "seq=7 item=4")));
    assert_eq!(values(&successor.read), ["2"]);
}

fn an_abort_leaves_no_trace(ground: &Ground) {
    ground.publish(0, 0..2);
    let mut lane = ground.lane("0");
    lane.until_read(2);
    lane.until_held(4);
    let good = || effect(subjects(0), record(Topic::People, 0, "good"));
    lane.link.commit(vec![good()], &[(subjects(0), at(1, "seq=1"))]).unwrap();

    let nowhere = effect(subjects(0), record(Topic::People, 99, "nowhere"));
    let refused = lane.link.commit(vec![good(), nowhere], &[(subjects(0), at(2, "seq=2"))]);
    assert!(matches!(refused, Err(BrokerError::Topic { .. })), "{refused:?}");
    ground.until_it_holds(Topic::People, &["good"]);
    let back = lane.link.rewind().unwrap();
    assert!(back.contains(&(subjects(0), Some(at(1, "seq=1")))), "{back:?}");

    // The same link goes on.
    lane.read.clear();
    lane.until_read(1);
    assert_eq!(values(&lane.read), ["1"]);
    lane.link.commit(vec![good()], &[(subjects(0), at(2, "seq=2"))]).unwrap();
    ground.until_it_holds(Topic::People, &["good", "good"]);
}

fn what_breaks_the_terms_is_refused_before_anything_is_written(ground: &Ground) {
    ground.publish(0, 0..1);
    let mut lane = ground.lane("0");
    lane.until_held(4);
    let fine = || effect(subjects(0), record(Topic::People, 0, "fine"));
    let elsewhere = effect(subjects(1), record(Topic::People, 0, "from elsewhere"));
    let large = effect(subjects(0), record(Topic::People, 0, &"x".repeat(1_000_001)));
    let stranger = Input { topic: Topic::People, partition: 0 };
    let here = [(subjects(0), at(1, ""))];

    let refused = lane.link.commit(vec![fine(), elsewhere], &here);
    assert!(matches!(refused, Err(BrokerError::NoPosition { .. })), "{refused:?}");
    let refused = lane.link.commit(vec![fine()], &[]);
    assert!(matches!(refused, Err(BrokerError::NoPosition { .. })), "{refused:?}");
    let refused = lane.link.commit(vec![fine(), large], &here);
    assert!(matches!(refused, Err(BrokerError::TooLarge { size: 1_000_001, .. })), "{refused:?}");
    let refused = lane.link.commit(vec![fine()], &[(subjects(0), at(1, &"n".repeat(4097)))]);
    assert!(matches!(refused, Err(BrokerError::NoteTooLarge { size: 4097, .. })), "{refused:?}");
    let refused = lane.link.commit(vec![fine()], &[(subjects(0), at(1, "")), (stranger, at(1, ""))]);
    assert!(matches!(refused, Err(BrokerError::NotHeld { .. })), "{refused:?}");
    let published = ground.broker.publish(vec![record(Topic::People, 0, &"x".repeat(1_000_001))]);
    assert!(matches!(published, Err(BrokerError::TooLarge { size: 1_000_001, .. })), "{published:?}");
    assert_eq!(ground.count(Topic::People), 0);

    let effects = vec![fine(), effect(subjects(0), record(Topic::People, 0, &noise(1_000_000)))];
    lane.link.commit(effects, &[(subjects(0), at(1, &"n".repeat(4096)))]).unwrap();
    kit::until("the largest record is seen", SOON, || ground.count(Topic::People) == 2);
}

fn links_of_a_group_share_the_partitions_and_nothing_is_lost_or_repeated_when_they_change(ground: &Ground) {
    const EACH: u32 = 1500;
    let (first_may_go, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let work = |slot: &str, leave: &AtomicBool| {
        let mut lane = ground.lane(slot);
        while !leave.load(Ordering::SeqCst) && !stop.load(Ordering::SeqCst) {
            lane.step();
            lane.copy();
        }
    };
    let copied = || ground.count(Topic::People);
    let total = EACH as usize * 4 * 3;
    thread::scope(|scope| {
        // A failed assertion must not leave the threads waiting for each other.
        let _stop = Raise(&stop);
        for partition in 0..4 {
            ground.publish(partition, 0..EACH);
        }
        scope.spawn(|| work("0", &first_may_go));
        kit::until("the first is at work", SOON, || copied() > 0);
        scope.spawn(|| work("1", &stop));
        for partition in 0..4 {
            ground.publish(partition, EACH..2 * EACH);
        }
        kit::until("both are at work", SOON, || copied() > total / 3);
        scope.spawn(|| work("2", &stop));
        first_may_go.store(true, Ordering::SeqCst);
        for partition in 0..4 {
            ground.publish(partition, 2 * EACH..3 * EACH);
        }
        kit::until("all is copied", SOON, || copied() >= total);
    });
    let mut follow = ground.broker.follow(Topic::People).unwrap();
    let mut next = [0_u32; 4];
    for record in read_to_the_end(follow.as_mut()) {
        let partition = usize::try_from(record.input.partition).unwrap();
        assert_eq!(values(&[record]), [next[partition].to_string()], "in partition {partition}");
        next[partition] += 1;
    }
    assert_eq!(next, [3 * EACH; 4]);
}

fn a_rewind_hands_out_again_what_was_not_committed(ground: &Ground) {
    ground.publish(0, 0..5);
    ground.publish(1, 0..2);
    let mut lane = ground.lane("0");
    lane.until_read(7);
    lane.until_held(4);
    lane.link.commit(Vec::new(), &[(subjects(0), at(3, "seq=1"))]).unwrap();
    let back = lane.link.rewind().unwrap();
    assert_eq!(back.len(), 4);
    assert!(back.contains(&(subjects(0), Some(at(3, "seq=1")))), "{back:?}");
    assert!(back.contains(&(subjects(1), None)), "{back:?}");
    lane.read.clear();
    lane.until_read(4);
    let of = |partition| -> Vec<i64> {
        lane.read.iter().filter(|r| r.input == subjects(partition)).map(|r| r.offset).collect()
    };
    assert_eq!((of(0), of(1)), (vec![3, 4], vec![0, 1]));
}

fn a_paused_partition_is_silent_and_goes_on_where_it_was_told_to(ground: &Ground) {
    ground.publish(0, 0..5);
    let mut lane = ground.lane("0");
    lane.until_read(5);
    lane.link.pause(subjects(0), &at(2, "")).unwrap();
    lane.read.clear();
    ground.publish(0, 5..6);
    ground.publish(1, 0..1);
    lane.until_read(1);
    lane.step();
    assert!(lane.read.iter().all(|record| record.input == subjects(1)), "{:?}", lane.read);
    assert_eq!(lane.link.position(subjects(0)).unwrap(), Some(2));
    lane.read.clear();
    lane.link.resume(subjects(0)).unwrap();
    lane.until_read(4);
    assert_eq!(values(&lane.read), ["2", "3", "4", "5"]);
}

fn a_follower_reads_from_the_beginning_and_hears_what_comes_later(ground: &Ground) {
    let person = |key: &str, value: Option<&str>| Outgoing {
        topic: Topic::Directory,
        partition: None,
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        value: value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
        headers: vec![("from".to_owned(), Some(Bytes::from_static(b"hr"))), ("empty".to_owned(), None)],
    };
    ground.broker.publish(vec![person("ada", Some("1")), person("ben", Some("1"))]).unwrap();
    let mut follow = ground.broker.follow(Topic::Directory).unwrap();
    assert_eq!(read_to_the_end(follow.as_mut()).len(), 2);
    assert_eq!(follow.positions(), [2]);
    ground.broker.publish(vec![person("ada", None)]).unwrap();
    assert_eq!(follow.ends().unwrap(), [3]);
    let later = read_to_the_end(follow.as_mut());
    assert_eq!(later.len(), 1);
    assert_eq!((later[0].key.as_deref(), later[0].value.as_deref()), (Some(&b"ada"[..]), None));
    assert_eq!(later[0].headers, person("ada", None).headers);
    assert!(bugle::clock::now().since(later[0].timestamp).millis().abs() < 60_000);
}

fn partitions_are_read_on_where_somebody_was_or_from_their_beginning(ground: &Ground) {
    for partition in 0..4 {
        ground.publish(partition, 0..5);
    }
    ground.broker.trim(&[(subjects(2), 3)]).unwrap();
    // Somewhere in it, at its end, before its beginning, and beyond its end.
    let from = [(0, Some(3)), (1, Some(5)), (2, Some(2)), (3, Some(6))];
    let mut follow = ground.broker.recall(Topic::Subjects, &from).unwrap();
    assert_eq!(follow.positions(), [3, 5, 3, 0]);
    let mut read = read_to_the_end(follow.as_mut());
    read.sort_by_key(|record| (record.input, record.offset));
    assert_eq!(values(&read), ["3", "4", "3", "4", "0", "1", "2", "3", "4"]);
    assert_eq!(follow.positions(), [5; 4]);
    let names = [Topic::Subjects, Topic::People].map(|topic| ground.broker.identity(topic).unwrap());
    assert_ne!(names[0], names[1]);
    assert_eq!(names[0], ground.broker.identity(Topic::Subjects).unwrap());
}

fn a_reader_reaches_the_end_although_transactions_end_in_offsets_of_their_own(ground: &Ground) {
    ground.publish(0, 0..1);
    let mut lane = ground.lane("0");
    lane.until_read(1);
    lane.until_held(4);
    for round in 0..3 {
        // Written by a transaction into the lane's own input.
        let effects = vec![effect(subjects(0), record(Topic::Subjects, 0, "again"))];
        lane.link.commit(effects, &[(subjects(0), at(lane.read[0].offset + 1, ""))]).unwrap();
        lane.read.clear();
        lane.until_read(1);
        let end = lane.link.end(subjects(0)).unwrap();
        let begun = Tick::now();
        while lane.link.position(subjects(0)).unwrap().unwrap() < end {
            assert!(begun.elapsed() < SOON, "round {round}: the end {end} is not reached");
            lane.step();
        }
        assert_eq!(values(&lane.read), ["again"]);
    }
}

fn a_group_that_starts_from_now_hears_only_what_comes(ground: &Ground) {
    ground.publish(0, 0..3);
    let mut lane = ground.lane_of(&LinkSpec { start_from: StartFrom::Now, ..ground.spec("0") });
    lane.until_held(4);
    ground.publish(0, 3..4);
    lane.until_read(1);
    assert_eq!(values(&lane.read), ["3"]);
    // Nothing is committed: going back is going back to where it began.
    lane.link.rewind().unwrap();
    lane.read.clear();
    lane.until_read(1);
    assert_eq!(values(&lane.read), ["3"]);
}

fn a_position_whose_records_are_gone_is_a_loud_error(ground: &Ground) {
    ground.publish(0, 0..5);
    ground.broker.trim(&[(subjects(0), 4)]).unwrap();
    let mut link = ground.broker.link(&ground.spec("0")).unwrap();
    let mut arrivals = Vec::new();
    kit::until("the partitions are given", SOON, || {
        link.poll(STEP, 100, &mut arrivals).unwrap();
        arrivals.len() == 4
    });
    for (next, gone) in [(3, true), (4, false), (5, false), (6, true)] {
        let started = link.start(subjects(0), Some(&at(next, "")));
        assert_eq!(matches!(started, Err(BrokerError::Topic { .. })), gone, "{next}: {started:?}");
    }
}

fn what_is_trimmed_is_gone_for_every_reader_and_nothing_else_is(ground: &Ground) {
    ground.publish(0, 0..5);
    ground.publish(1, 0..2);
    ground.broker.trim(&[(subjects(0), 3)]).unwrap();
    let first = |partition| ground.unread(subjects(partition)).first;
    assert_eq!((first(0), first(1)), (3, 0));
    let mut lane = ground.lane("0");
    lane.until_read(4);
    lane.read.sort_by_key(|record| (record.input, record.offset));
    assert_eq!(values(&lane.read), ["3", "4", "0", "1"]);
    // What is gone already cannot go again, and what was never there cannot go.
    ground.broker.trim(&[(subjects(0), 1)]).unwrap();
    assert_eq!(first(0), 3);
    let beyond = ground.broker.trim(&[(subjects(0), 6)]);
    assert!(matches!(beyond, Err(BrokerError::Unavailable { .. })), "{beyond:?}");
    ground.broker.trim(&[(subjects(0), 5)]).unwrap();
    assert_eq!(first(0), 5);
}

fn a_key_goes_where_every_java_client_sends_it(ground: &Ground) {
    let keys = ["acme|xecm|task|1001", "acme|bws|task|1001", "x", ""];
    let keyed = |key: &str| Outgoing {
        topic: Topic::Subjects,
        partition: None,
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        value: None,
        headers: Vec::new(),
    };
    ground.broker.publish(keys.iter().map(|key| keyed(key)).collect()).unwrap();
    let mut follow = ground.broker.follow(Topic::Subjects).unwrap();
    let read = read_to_the_end(follow.as_mut());
    assert_eq!(read.len(), keys.len());
    for record in read {
        assert_eq!(record.input.partition, partition_of(record.key.as_deref().unwrap(), PARTITIONS));
    }
}

fn topics_made_by_us_pass_our_own_check(ground: &Ground) {
    assert!(ground.broker.create(&ground.specs).unwrap().is_empty());
    let faults = ground.broker.check(&ground.specs).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
    let mut other = ground.specs.clone();
    for spec in &mut other {
        spec.partitions += 1;
        spec.config.push(("max.message.bytes".to_owned(), "9000000".to_owned()));
    }
    let faults: Vec<String> = ground.broker.check(&other).unwrap().iter().map(ToString::to_string).collect();
    let about = |what: &str| faults.iter().filter(|fault| fault.contains(what)).count();
    assert_eq!((about("partitions"), about("max.message.bytes")), (2, 3), "{faults:#?}");
}

fn a_topic_that_is_missing_is_named_with_the_command_that_makes_it(ground: &Ground) {
    let asked = [
        ground.broker.partitions(Topic::Audit).map(|_| ()),
        ground.broker.follow(Topic::Audit).map(|_| ()),
        ground.broker.link(&LinkSpec { inputs: vec![Topic::Audit], ..ground.spec("0") }).map(|_| ()),
        ground.broker.publish(vec![record(Topic::Audit, 0, "x")]),
    ];
    for answer in asked {
        let said = answer.unwrap_err().to_string();
        assert!(said.ends_with("bugle.audit`: does not exist; run `bugle topics create`"), "{said}");
    }
}

/// Says yes when it goes.
struct Raise<'a>(&'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Text that does not compress.
fn noise(bytes: usize) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.alphanumeric()).take(bytes).collect()
}
