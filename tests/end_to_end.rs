//! End to end: ten thousand events by a publisher that is not ours, and exactly the right people.
//!
//! Everything is real but the phones: Kafka, the registry, Confluent's serialiser, the built program. Who must
//! hear of what is worked out by a reference in another language that shares nothing with Bugle.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod kit;

use std::collections::BTreeSet;
use std::time::Duration;

use kit::site::{Expected, Pairs, Site};

const EVENTS: u64 = 10_000;
/// How long the whole may take on two busy cores.
const PATIENCE: Duration = Duration::from_secs(180);

/// The first ten that are not among the others, each with its event.
fn first_ten(pairs: &Pairs, not_in: &Pairs, sent: &str) -> String {
    let lines = pairs.difference(not_in).take(10).map(|pair| {
        let id = pair.split(['/', '\t']).nth(1).unwrap_or_default();
        let line = sent.lines().find(|line| line.contains(&format!("\"{id}\""))).unwrap_or_default();
        format!("  {pair}: {line}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn exactly_the_right_people_hear_of_ten_thousand_events_of_four_systems() {
    let site = Site::open(kit::registry(), 4, &[]);
    let mut bugle = site.run();
    let sent = site.file("sent.jsonl");
    let prefix = format!("{}opentext.", site.prefix);
    let count = EVENTS.to_string();
    kit::python::script(
        "publisher.py",
        &[
            "--brokers",
            kit::kafka(),
            "--registry",
            kit::registry(),
            "--prefix",
            &prefix,
            "--events",
            &count,
            "--out",
            &sent.to_string_lossy(),
        ],
    );
    let books = site.until_the_books_close(EVENTS, PATIENCE, |_| bugle.lives());

    let lines = std::fs::read_to_string(&sent).unwrap();
    let expected = Expected::of(&sent);
    let (told, expected) = (expected.told(&site), expected.pairs);
    assert!(expected.len() > 7_000, "the reference tells only {}", expected.len());
    assert!(
        told == expected,
        "{} pairs told, {} expected\nmissing:\n{}\nextra:\n{}",
        told.len(),
        expected.len(),
        first_ten(&expected, &told, &lines),
        first_ten(&told, &expected, &lines)
    );

    let different: BTreeSet<&str> = lines.lines().collect();
    let copies = lines.lines().count() - different.len();
    assert!(copies > 400, "{copies} copies were sent");
    assert!(books.changes.duplicate >= copies as u64 / 2, "{books:#?}");
    assert_eq!(
        (books.changes.refused, books.tellings.failed, books.tellings.unknown),
        (0, 0, 0),
        "{books:#?}"
    );
    let ledger = site.ledger();
    assert_eq!(ledger["repeated"], 0, "{ledger}");
    assert_eq!(ledger["distinct"], books.tellings.told, "{ledger}");
    kit::say(&format!(
        "{copies} copies among {EVENTS} events, {} pairs told; {:?}",
        told.len(),
        books.changes
    ));
    assert_eq!(bugle.terminate(), Some(0), "it was asked to stop, and nothing was wrong");
}
