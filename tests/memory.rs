//! Memory: what a lane has heard and told outlives its owner, on a real Kafka.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod kit;

use std::fs;
use std::time::Duration;

use bugle::app::wiring;
use bugle::clock;
use bugle::codec::{Name, example, person};
use bugle::event::{Outgoing, Span, Timestamp, Topic};
use bugle::sample;
use kit::site::Site;

const SOON: Duration = Duration::from_secs(120);
const EVENTS: u64 = 200;

/// A change of a task of Jonas Klein's, due soon.
fn task(site: &Site, kind: &str, number: u64, due: Timestamp) {
    let schemas = wiring::schemas(&site.config).unwrap();
    let mut event = example::event(&schemas, kind, clock::now()).unwrap();
    event["event_id"] = format!("{kind}-{number}").into();
    event["tenant"] = "acme".into();
    event["severity"] = "high".into();
    event["due_at"] = due.to_string().into();
    event["expires_at"] = serde_json::Value::Null;
    event["action"] = serde_json::Value::Null;
    event["data"]["process_id"] = number.to_string().into();
    event["data"]["task_name"] = format!("Task {number}").into();
    event["data"]["assignees"] = serde_json::json!([{ "user_id": "jonas.klein" }]);
    let file = site.file("task.jsonl");
    fs::write(&file, event.to_string()).unwrap();
    site.bugle(&["publish", &file.to_string_lossy()]);
}

#[test]
fn what_came_due_while_nobody_ran_is_told_once_and_what_was_done_meanwhile_is_not() {
    let site = Site::open(kit::registry(), 2, &[]);
    people(&site);
    let mut first = site.run();
    let due = clock::now() + Span::from_secs(12);
    task(&site, "xecm.task.assigned", 1, due);
    task(&site, "xecm.task.assigned", 2, due);
    site.until_the_books_close(2, SOON, |_| first.lives());
    assert_eq!(titles(&site, "Fällig"), [] as [&str; 0], "nothing is due yet");
    first.kill();

    // The second one is completed, and both come due, while nobody runs.
    task(&site, "xecm.task.completed", 2, due);
    kit::until("the tasks are due", SOON, || clock::now() > due + Span::from_secs(1));
    let mut second = site.run();
    kit::until("what was due is told", SOON, || {
        second.lives();
        !titles(&site, "Fällig").is_empty()
    });
    site.until_the_books_close(3, SOON, |_| second.lives());
    assert_eq!(titles(&site, "Fällig"), ["Fällig: Task 1"]);

    // And not again by the next owner.
    second.kill();
    let mut third = site.run();
    third.until_it_says("memory is read back");
    task(&site, "xecm.task.completed", 1, due);
    kit::until("the end is told", SOON, || {
        third.lives();
        titles(&site, "Erledigt").contains(&"Erledigt: Task 1".to_owned())
    });
    assert_eq!(titles(&site, "Fällig"), ["Fällig: Task 1"]);
    assert_eq!(site.ledger()["repeated"], 0);
}

/// The titles that begin so, of everything the push service accepted.
fn titles(site: &Site, start: &str) -> Vec<String> {
    site.told().into_iter().map(|told| told.title).filter(|title| title.starts_with(start)).collect()
}

/// The same changes every time, in a file that `bugle publish` takes.
fn publish(site: &Site) {
    let start: Timestamp = "2026-01-05T08:00:00Z".parse().unwrap();
    let lines: Vec<String> =
        (0..EVENTS).map(|number| sample::batch(number, start).json.to_string()).collect();
    let file = site.file("events.jsonl");
    fs::write(&file, lines.join("\n")).unwrap();
    site.bugle(&["publish", &file.to_string_lossy()]);
}

/// Those whom the changes are for.
fn people(site: &Site) {
    let codec = wiring::codec(&site.config).unwrap();
    let id = codec.id_for(Name::Person, &site.topic(Topic::Directory)).unwrap();
    let people = sample::people(40).into_iter().map(|entry| Outgoing {
        topic: Topic::Directory,
        partition: None,
        key: Some(bugle::directory::key::person_key(&entry.tenant, &entry.user_id).into()),
        value: Some(person::encode(id, &entry).into()),
        headers: Vec::new(),
    });
    site.broker.publish(people.collect()).unwrap();
}

#[test]
fn a_copy_is_known_after_a_kill_and_after_a_partition_has_moved() {
    let site = Site::open(kit::registry(), 4, &[]);
    people(&site);

    let mut first = site.run();
    publish(&site);
    let routed = site.until_the_books_close(EVENTS, SOON, |_| first.lives()).changes.routed;
    assert!(routed > 0);
    first.kill();

    // Nobody runs when the copies come.
    publish(&site);
    let mut second = site.run();
    let books = site.until_the_books_close(2 * EVENTS, SOON, |_| second.lives());
    assert_eq!(books.changes.routed, routed, "{books:#?}");

    // Half of the partitions move to a third.
    let mut third = site.run();
    third.until_it_says("memory is read back");
    publish(&site);
    let books = site.until_the_books_close(3 * EVENTS, SOON, |_| {
        second.lives();
        third.lives();
    });
    assert_eq!(books.changes.routed, routed, "{books:#?}");
    assert_eq!(site.ledger()["repeated"], 0);
}

#[test]
fn memory_of_a_later_version_stops_its_partition_by_name_and_no_other() {
    let site = Site::open(kit::registry(), 2, &[]);
    let page = Outgoing {
        topic: Topic::Seen,
        partition: Some(0),
        key: None,
        value: Some(vec![2, 0, 0, 0, 0].into()),
        headers: Vec::new(),
    };
    site.broker.publish(vec![page]).unwrap();
    let mut bugle = site.run();
    let said = bugle.until_it_says("the partition stops");
    assert!(said.contains("subjects-0") && said.contains("format version 2"), "{said}");
    people(&site);
    publish(&site);
    kit::until("the other partition tells its people", SOON, || {
        bugle.lives();
        site.ledger()["distinct"].as_u64() > Some(0)
    });
}
