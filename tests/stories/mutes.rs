//! Mutes: what is open mutes others wherever they are decided, and what operators silence is not told before
//! its end (story 19).

use std::collections::BTreeSet;
use std::sync::Arc;

use bugle::broker::{Broker, Outgoing, Topic};
use bugle::clock;
use bugle::event::frame::FrameHead;
use bugle::event::mute::{Mute, Silence};
use bugle::event::{Ending, Lane, Occasion, Reason, Span};
use serde_json::json;

use super::crooked::Twist;
use super::house::{AGREEMENT, House, agreement, legal, on_frames, person};

/// What is blocked mutes what is added to the same workspace.
const RULES: &str = "source: bws
rules:
  - id: blocked
    match: { kind: bws.workspace.status_changed, status_to: blocked }
    subject: [workspace.id]
    audience: person:ada
    message: text
    until: { kind: bws.workspace.status_changed, status_to: [active] }
    mutes: { rules: [added], equal: [workspace.id] }
  - id: added
    match: { kind: bws.item.added }
    audience: person:ben
    message: text
";
const TEXTS: &str = "text: { en: { title: '{{ event.workspace.id }}', body: 'x' } }\n";

/// Items are added to a workspace, each a subject of its own.
fn add(house: &mut House, workspace: &str, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let entity = json!({ "id": format!("{workspace}-{number}") });
        let event = json!({
            "event_id": format!("added-{workspace}-{number}"), "tenant": "acme",
            "entity": entity, "workspace": { "id": workspace },
        });
        house.event("bws.item.added", &event);
    }
}

fn change(house: &mut House, workspace: &str, to: &str) {
    let event = json!({
        "event_id": format!("{workspace}-{to}"), "tenant": "acme", "occurred_at": clock::now().to_string(),
        "entity": { "id": workspace }, "workspace": { "id": workspace }, "data": { "status_to": to },
    });
    house.event("bws.workspace.status_changed", &event);
}

/// How many of the items were said, and how many not because something else is open.
fn of_items(house: &House) -> (usize, usize) {
    let verdicts = house.verdicts();
    let count = |ending: &Ending| {
        let is_one = |rule: &Option<String>| rule.as_deref() == Some("added");
        verdicts.iter().filter(|verdict| is_one(&verdict.rule) && verdict.ending == *ending).count()
    };
    (count(&Ending::Routed), count(&Ending::Not(Reason::Inhibited)))
}

/// Four partitions, two instances, and a workspace that is blocked.
fn a_blocked_parent(deaf: &[usize]) -> House {
    let mut house = House::wide(&[person("ada", "owner"), person("ben", "editor")], 4, None);
    house.ruled(RULES, TEXTS);
    house.deaf = deaf.to_vec();
    (0..2).for_each(|instance| house.start(instance));
    change(&mut house, "w", "blocked");
    house.rest();
    add(&mut house, "w", 0..12);
    add(&mut house, "v", 0..6);
    house.rest();
    let subjects = house.records(Topic::Subjects);
    let partitions: BTreeSet<i32> = subjects.iter().map(|record| record.input.partition).collect();
    assert!(partitions.len() > 2, "the children are decided in {partitions:?}");
    house
}

#[test]
fn story_19_a_a_blocked_parent_mutes_its_children_in_whichever_partition_they_are() {
    let mut house = a_blocked_parent(&[]);
    assert_eq!(of_items(&house), (6, 12));
    // Whoever owns the partitions next knows it, too.
    house.stop(1);
    house.start(2);
    add(&mut house, "w", 12..20);
    house.rest();
    assert_eq!(of_items(&house), (6, 20));
    change(&mut house, "w", "active");
    house.rest();
    add(&mut house, "w", 20..30);
    house.rest();
    assert_eq!(of_items(&house), (16, 20), "it is over");

    assert_eq!(of_items(&a_blocked_parent(&[0, 1])), (18, 0), "who hears of nothing tells of all");
}

fn silence(house: &House, id: &str, matcher: &str, span: Span) {
    let (starts_at, ends_at) = (clock::now(), clock::now() + span);
    let (author, comment) = ("ops".to_owned(), "a new release".to_owned());
    let (id, matchers) = (id.to_owned(), vec![matcher.parse().unwrap()]);
    let key = Some(format!("silence|{id}").into());
    let value = Mute::Silence(Silence { id, matchers, starts_at, ends_at, author, comment }).write();
    let (topic, partition, value) = (Topic::Mutes, Some(0), Some(value.into()));
    house.model.publish(vec![Outgoing { topic, partition, key, value, headers: Vec::new() }]).unwrap();
    house.pass_seconds(1);
}

/// Frames say nothing of how far what is muted was read.
fn without_positions() -> Option<Arc<dyn Twist>> {
    on_frames(Topic::Subjects, |head, items| (FrameHead { mutes: 0, ..head }, items))
}

fn silenced(house: &House) -> usize {
    let is_one = |ending: &Ending| *ending == Ending::Not(Reason::Silenced);
    house.verdicts().iter().filter(|verdict| is_one(&verdict.ending)).count()
}

/// How often an agreement is told, and silenced, when a silence was known where it was read, and where it is
/// decided not yet.
fn of_a_copy_behind(twist: Option<Arc<dyn Twist>>) -> (u32, usize) {
    let mut house = House::bent(&legal(2), twist);
    (0..2).for_each(|instance| house.start(instance));
    house.deaf = vec![1];
    silence(&house, "s1", "rule=bw-8-*", Span::from_secs(3_600));
    house.event(AGREEMENT, &agreement(1));
    house.turn(0, Lane::Source, 4);
    house.turn(1, Lane::Subject, 20);
    assert_eq!(silenced(&house), 0, "it is not known there");
    house.deaf.clear();
    house.rest();
    (house.noticed(Occasion::First), silenced(&house))
}

#[test]
fn story_19_b_who_decides_waits_until_it_knows_what_was_muted_when_it_was_read() {
    assert_eq!(of_a_copy_behind(None), (0, 1));
    assert_eq!(of_a_copy_behind(without_positions()), (1, 0), "who does not wait tells what is silenced");
}

#[test]
fn story_19_c_a_silence_ends_in_its_time_and_is_never_taken_for_none() {
    let mut house = House::of(&legal(2));
    house.start(0);
    silence(&house, "s1", "entity.id=a1", Span::from_secs(3_600));
    house.event(AGREEMENT, &agreement(1));
    house.event(AGREEMENT, &agreement(2));
    house.rest();
    assert_eq!((house.noticed(Occasion::First), silenced(&house)), (1, 1));
    // An instance that starts now knows it, too.
    house.stop(0);
    house.start(1);
    house.event(
        AGREEMENT,
        &json!({ "event_id": "again", "entity": { "id": "a1" }, "tenant": "acme",
        "data": { "class": "signed_agreement" } }),
    );
    house.rest();
    assert_eq!((house.noticed(Occasion::First), silenced(&house)), (1, 2));
    house.pass_seconds(3_600);
    house.event(
        AGREEMENT,
        &json!({ "event_id": "later", "entity": { "id": "a1" }, "tenant": "acme",
        "data": { "class": "signed_agreement" } }),
    );
    house.rest();
    assert_eq!((house.noticed(Occasion::First), silenced(&house)), (2, 2));
    // Where nobody knows what is silenced now, nothing is said: held, and not dropped.
    house.hung = vec![1];
    house.pass_seconds(11);
    house.event(AGREEMENT, &agreement(3));
    house.work(20);
    assert_eq!((house.noticed(Occasion::First), silenced(&house)), (2, 2));
    house.hung.clear();
    house.rest();
    assert_eq!((house.noticed(Occasion::First), silenced(&house)), (3, 2));
}
