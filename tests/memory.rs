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
use kit::process::Process;
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
    first.until_it_says("memory is read back");
    // What is told first is told, and nobody runs, before that.
    let due = clock::now() + Span::from_secs(20);
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

/// What a lane of a process says of the memory it read back: where from, and how many offsets it passed.
fn read_back(bugle: &Process, lane: &str) -> Vec<(String, u64)> {
    let said = bugle.said();
    let lines = said.lines().filter(|line| line.contains("memory is read back"));
    let of = |line: &str, name: &str| -> Option<String> {
        let value = line.split_once(&format!("{name}="))?.1.split(' ').next()?;
        Some(value.trim_matches('"').to_owned())
    };
    lines
        .filter(|line| of(line, "lane").as_deref() == Some(lane))
        .filter_map(|line| Some((of(line, "from")?, of(line, "read")?.parse().ok()?)))
        .collect()
}

#[test]
fn a_restart_with_snapshots_reads_only_what_came_since() {
    let site = Site::open(kit::registry(), 2, &[]);
    people(&site);
    let dir = format!("state.dir={}", site.file("state").display());
    // What memory has no room for lies beside the snapshots, and is thrown away at each start.
    let settings = ["--set", dir.as_str(), "--set", "state.snapshot_every=1s", "--set", "state.memory_mib=1"];
    let mut first = site.run_with(&settings);
    for number in 0..30 {
        task(&site, "xecm.task.assigned", number, clock::now() + Span::from_secs(86_400));
    }
    let books = site.until_the_books_close(30, SOON, |_| first.lives());
    assert_eq!(first.terminate(), Some(0));

    // At the end all of it was written: only the last record of each topic is looked at again.
    let mut second = site.run_with(&settings);
    for lane in ["subject", "person"] {
        kit::until("both partitions are read back", SOON, || {
            second.lives();
            read_back(&second, lane).len() == 2
        });
        for (from, read) in read_back(&second, lane) {
            assert_eq!(from, "snapshot", "{}", second.said());
            // Each of up to two topics: a record, and the end of its transaction.
            assert!(read <= 4, "{lane}: {read} offsets were read");
        }
    }
    publish(&site);
    let both = site.until_the_books_close(30 + EVENTS, SOON, |_| second.lives());
    assert!(both.changes.routed > books.changes.routed);
    // Whatever a kill leaves on the disk, nothing is told twice.
    assert!(site.file("state").join("entries").is_dir());
    second.kill();
    publish(&site);
    let mut third = site.run_with(&settings);
    let all = site.until_the_books_close(30 + 2 * EVENTS, SOON, |_| third.lives());
    assert_eq!(all.changes.routed, both.changes.routed, "{all:#?}");
    assert!(read_back(&third, "subject").iter().all(|(from, _)| from == "snapshot"), "{}", third.said());
    assert_eq!(site.ledger()["repeated"], 0);
}

#[test]
fn whoever_stands_by_takes_over_and_reads_only_the_end() {
    let site = Site::open(kit::registry(), 2, &[]);
    people(&site);
    let mut first = site.run();
    publish(&site);
    let routed = site.until_the_books_close(EVENTS, SOON, |_| first.lives()).changes.routed;
    let mut second = site.run_with(&["--set", "state.standby=1", "--set", "kafka.instance_id=second"]);
    let admin = second.until_it_says("admin=").trim().trim_matches('"').to_owned();
    let port = admin.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).expect("an address");
    // Two lanes have two partitions with something to remember; half of them are the first one's.
    kit::until("what the first runs is warm", SOON, || {
        first.lives();
        second.lives();
        let ready = kit::get(port, "/readyz").unwrap_or_default();
        let warm = |lane: &str| ready.contains(&format!(r#""lane":"{lane}","partition""#));
        warm("subject") && warm("person") && ready.matches(r#""lag":0"#).count() >= 2
    });
    // It ends in the middle of its work.
    publish(&site);
    task(&site, "xecm.task.assigned", 1, clock::now() + Span::from_secs(86_400));
    first.kill();
    let killed = clock::Tick::now();
    for lane in ["subject", "person"] {
        let taken_over = || read_back(&second, lane).into_iter().find(|(from, _)| from == "standby");
        kit::until("what was warm runs", SOON, || taken_over().is_some());
        let read = taken_over().map_or(0, |(_, read)| read);
        // Ten transactions a second and partition, in up to two topics, each with its end.
        assert!(read <= 40, "{lane}: {read} offsets were read");
        kit::say(&format!("{lane}: {read} offsets were read, {:?} after the kill", killed.elapsed()));
    }
    let books = site.until_the_books_close(2 * EVENTS + 1, SOON, |_| second.lives());
    assert!(books.changes.routed > routed, "{books:#?}");
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

/// A setting: how many partitions topics have.
fn with_partitions(count: u32) -> String {
    format!("kafka.topics.default_partitions={count}")
}

#[test]
fn what_is_remembered_goes_where_it_belongs_when_the_topics_grow() {
    let site = Site::open(kit::registry(), 2, &[]);
    people(&site);
    let mut first = site.run();
    publish(&site);
    let due = clock::now() + Span::from_secs(20);
    (0..6).for_each(|number| task(&site, "xecm.task.assigned", number, due));
    let routed = site.until_the_books_close(EVENTS + 6, SOON, |_| first.lives()).changes.routed;
    let four = with_partitions(4);
    let (code, said) = site.try_bugle(&["topics", "grow", "--dry-run", "--set", &four]);
    assert!(code == Some(1) && said.contains("stop every instance"), "{said}");
    // Something lies between the lanes when it ends.
    publish(&site);
    assert_eq!(first.terminate(), Some(0));
    site.bugle(&["run", "--drain"]);
    let three = with_partitions(3);
    let (code, said) = site.try_bugle(&["topics", "grow", "--set", &three]);
    assert!(code == Some(1) && said.contains("no multiple of it") && said.contains("write 4"), "{said}");
    let said = site.bugle(&["topics", "grow", "--set", &four]);
    assert!(said.contains("grown: "), "{said}");
    kit::say(said.lines().last().unwrap_or_default());
    assert!(site.bugle(&["topics", "grow", "--set", &four]).contains("nothing to grow"));

    // Copies are known, what is due is told once, and what is open is ended.
    let mut second = site.run_with(&["--set", &four]);
    kit::until("what was due is told", SOON, || {
        second.lives();
        titles(&site, "Fällig").len() >= 6
    });
    publish(&site);
    task(&site, "xecm.task.completed", 5, due);
    let books = site.until_the_books_close(3 * EVENTS + 7, SOON, |_| second.lives());
    assert_eq!(books.changes.routed, routed + 1, "{books:#?}");
    let mut due: Vec<String> = titles(&site, "Fällig");
    due.sort();
    assert_eq!(due, (0..6).map(|number| format!("Fällig: Task {number}")).collect::<Vec<_>>());
    kit::until("the end is told", SOON, || {
        second.lives();
        titles(&site, "Erledigt") == ["Erledigt: Task 5"]
    });
    assert_eq!(site.ledger()["repeated"], 0);
}
