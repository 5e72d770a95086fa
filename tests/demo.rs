//! Demo: the whole way as anybody may try it, and what a crash in the middle of it costs: nothing.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod kit;

use std::time::Duration;

use kit::process::ended;
use kit::site::{Expected, Site};
use serde_json::Value as Json;

/// What the demo says at its end; its books must close and it must end with 0.
fn demo(more: &[&str]) -> Json {
    let (code, said) = ended(&[&["demo", "--headless", "--crowd", "2000"], more].concat());
    let summary = said.lines().find(|line| line.starts_with('{')).unwrap_or_default();
    let summary: Json = serde_json::from_str(summary).unwrap_or_else(|error| panic!("{error}:\n{said}"));
    assert_eq!(code, Some(0), "{summary:#}");
    for book in ["changes", "tellings", "answers"] {
        assert_eq!(summary["books"][book]["closes"], true, "{summary:#}");
    }
    assert_eq!(summary["ledger_agrees"], true, "{summary:#}");
    assert_eq!(summary["books"]["changes"]["refused"], 1, "one record is no event: {summary:#}");
    assert!(summary["people_told"].as_u64() >= Some(2_000), "the crowd: {summary:#}");
    summary
}

#[test]
fn the_demo_tells_its_story_without_kafka_and_with_it_alike() {
    let (alone, on_kafka) = (demo(&[]), demo(&["--brokers", kit::kafka()]));
    assert_eq!(alone["books"]["changes"], on_kafka["books"]["changes"]);
    // Where the one took longer than half a minute, what waited for others like it has been told.
    let tellings = |summary: &Json| {
        let book = &summary["books"]["tellings"];
        let count = |part: &str| book[part].as_u64().unwrap();
        (count("candidates"), book["suppressed"].clone(), count("told") + count("merged") + count("held"))
    };
    assert_eq!(tellings(&alone), tellings(&on_kafka));
    assert_eq!(alone["people_told"], on_kafka["people_told"]);
}

#[test]
fn every_scenario_ends_as_written_with_everything_around_the_lanes() {
    let (code, said) = ended(&["demo", "--headless", "--all", "--output", "json"]);
    let came = said.lines().find(|line| line.starts_with('{')).unwrap_or_default();
    let came: Json = serde_json::from_str(came).unwrap_or_else(|error| panic!("{error}:\n{said}"));
    assert_eq!(code, Some(0), "{came:#}");
    assert_eq!((&came["ok"], &came["sent_twice"]), (&true.into(), &0.into()), "{came:#}");
    let rows = came["use_cases"].as_array().unwrap();
    let is_case = |row: &&Json| row["use_case"].as_str().unwrap().starts_with(char::is_uppercase);
    let told = rows.iter().filter(|row| row["told"].as_u64() > Some(0));
    assert_eq!(told.filter(is_case).count(), 30, "{came:#}");
    kit::say(&format!("{} s", came["seconds"]));
}

#[test]
fn a_crash_in_the_middle_of_a_backlog_loses_nobody_and_tells_nobody_twice() {
    const EVENTS: u64 = 4_000;
    let site = Site::open(kit::registry(), 4, &["--latency", "150ms"]);
    let sent = site.file("sent.jsonl");
    let (prefix, count) = (format!("{}opentext.", site.prefix), EVENTS.to_string());
    // What was heard and told is kept in memory only: no copies, and nothing that is said again.
    let plain = ["--events", &count, "--copies", "0", "--again", "0", "--seed", "7"];
    let sent_to = ["--out", &sent.to_string_lossy()];
    let from = ["--brokers", kit::kafka(), "--registry", kit::registry(), "--prefix", &prefix];
    kit::python::script("publisher.py", &[&from[..], &plain[..], &sent_to[..]].concat());

    let settings = ["--set", "kafka.instance_id=one", "--set", "push.in_flight=2"];
    let told = || site.ledger()["destinations"].as_u64().unwrap();
    let mut before = 0;
    let mut crashes = Vec::new();
    for _ in 0..3 {
        let mut bugle = site.run_with(&settings);
        kit::until("some are told", Duration::from_secs(60), || {
            bugle.lives();
            told() > before
        });
        bugle.kill();
        before = told();
        crashes.push(before);
    }
    let mut bugle = site.run_with(&settings);
    let books = site.until_the_books_close(EVENTS, Duration::from_secs(120), |_| bugle.lives());

    let ledger = site.ledger();
    kit::say(&format!("killed after {crashes:?} tellings of {}, {ledger}", books.tellings.told));
    assert!(crashes[0] < books.tellings.told, "the first crash came too late to mean anything");
    assert_eq!(ledger["repeated"], 0, "{ledger}");
    assert_eq!(ledger["distinct"], books.tellings.told, "{ledger}");
    assert_eq!((books.tellings.failed, books.tellings.unknown), (0, 0), "{books:#?}");
    let expected = Expected::of(&sent);
    let (told, expected) = (expected.told(&site), expected.pairs);
    let (missing, extra) = (expected.difference(&told), told.difference(&expected));
    assert!(
        told == expected,
        "missing {:?}, extra {:?}",
        missing.take(10).collect::<Vec<_>>(),
        extra.take(10).collect::<Vec<_>>()
    );
    assert_eq!(bugle.terminate(), Some(0), "it is well");
}
