//! Compaction: what a compacted topic keeps, and what a reader still finds.

use bugle::broker::{BrokerError, Input, Outgoing, Topic};
use bytes::Bytes;

use super::kit::ground::{Ground, SOON, at, effect, read_to_the_end, record, subjects};
use super::kit::until;

on_both! {
    kafka:
    a_compacted_topic_keeps_the_newest_of_each_key_and_a_tombstone_for_its_time
    a_tombstone_goes_when_its_time_is_over
    a_compacted_topic_takes_nothing_without_a_key_and_is_not_trimmed
}

/// Segments are closed and gone over at once.
const EAGER: [(&str, &str); 3] =
    [("cleanup.policy", "compact"), ("segment.ms", "100"), ("min.cleanable.dirty.ratio", "0.001")];

fn keyed(topic: Topic, key: &str, value: Option<&str>) -> Outgoing {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let (key, value) = (Some(bytes(key)), value.map(bytes));
    Outgoing { topic, partition: None, key, value, headers: Vec::new() }
}

/// What a new reader finds of the keys that matter.
fn found(ground: &Ground, topic: Topic) -> Vec<(String, Option<String>, i64)> {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let mut follow = ground.broker.follow(topic).unwrap();
    let read = read_to_the_end(follow.as_mut());
    let keyed = read.iter().map(|r| (text(r.key.as_ref().unwrap()), r.value.as_ref().map(text), r.offset));
    keyed.filter(|(key, ..)| key != "later").collect()
}

/// Writes `later` until compaction has brought it about: the newest segment is never gone over.
fn until_compacted(ground: &Ground, topic: Topic, expected: &[(&str, Option<&str>, i64)]) {
    let mut last = Vec::new();
    let begun = bugle::clock::Tick::now();
    let owned =
        |(key, value, at): &(&str, Option<&str>, i64)| ((*key).to_owned(), value.map(str::to_owned), *at);
    let expected: Vec<_> = expected.iter().map(owned).collect();
    until("it is compacted", SOON * 2, || {
        ground.broker.publish(vec![keyed(topic, "later", Some("x"))]).unwrap();
        last = found(ground, topic);
        assert!(begun.elapsed() < SOON, "{last:?}");
        last == expected
    });
}

fn write(ground: &Ground, topic: Topic) {
    for (key, value) in [("a", Some("1")), ("b", Some("1")), ("a", Some("2")), ("b", None), ("c", Some("1"))]
    {
        ground.broker.publish(vec![keyed(topic, key, value)]).unwrap();
    }
}

fn a_compacted_topic_keeps_the_newest_of_each_key_and_a_tombstone_for_its_time(ground: &Ground) {
    ground.create(Topic::State, &EAGER);
    write(ground, Topic::State);
    until_compacted(ground, Topic::State, &[("a", Some("2"), 2), ("b", None, 3), ("c", Some("1"), 4)]);
}

fn a_tombstone_goes_when_its_time_is_over(ground: &Ground) {
    ground.create(Topic::State, &[&EAGER[..], &[("delete.retention.ms", "100")]].concat());
    write(ground, Topic::State);
    until_compacted(ground, Topic::State, &[("a", Some("2"), 2), ("c", Some("1"), 4)]);
}

fn a_compacted_topic_takes_nothing_without_a_key_and_is_not_trimmed(ground: &Ground) {
    let keyless = || record(Topic::Directory, 0, "whose?");
    let published = ground.broker.publish(vec![keyless()]);
    assert!(matches!(published, Err(BrokerError::Unavailable { .. })), "{published:?}");
    let mut lane = ground.lane("0");
    lane.until_held(4);
    let refused = lane.link.commit(vec![effect(subjects(0), keyless())], &[(subjects(0), at(0, ""))]);
    assert!(matches!(refused, Err(BrokerError::Aborted(_))), "{refused:?}");
    assert_eq!(ground.count(Topic::Directory), 0);

    ground.broker.publish(vec![keyed(Topic::Directory, "a", Some("1"))]).unwrap();
    let trimmed = ground.broker.trim(&[(Input { topic: Topic::Directory, partition: 0 }, 1)]);
    assert!(matches!(trimmed, Err(BrokerError::Unavailable { .. })), "{trimmed:?}");
    assert_eq!(ground.count(Topic::Directory), 1);
}
