//! Snapshots: ten million remembered ids, read back by a new owner of their partition, as Kafka hands them over and
//! from a file.
//!
//! `cargo bench --bench snapshots` prints what it measured; nothing is asserted about speed.

#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use std::time::Duration;

use bugle::clock::Tick;
use bugle::event::record::Input;
use bugle::event::{Incoming, Span, Timestamp, Topic, hash128};
use bugle::flow::memory::{self, Remembered};
use bugle::flow::subject::SubjectLane;
use bugle::flow::{Cursor, Outbox, Plan, Rooms};
use bugle::store::snapshot_file::{Foot, Kept, Reached, Reader, Writer};

/// The allocator of the program.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const IDS: u64 = 10_000_000;
/// As many as a busy transaction hears.
const AT_ONCE: u64 = 10_000;
const NOW: Timestamp = Timestamp::from_millis(1_767_603_600_000);
const KEPT: Span = Span::from_secs(2 * 86_400);
const INPUT: Input = Input { topic: Topic::Subjects, partition: 0 };

fn main() {
    let folder = std::env::temp_dir().join(format!("bugle-snapshots-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("there is a place for temporary files");
    let path = folder.join("bugle.subjects-0.snapshot");
    read_from_topic();
    let (bytes, wrote) = write(&path);
    println!("written                  {:.1} s, {} MiB", wrote.as_secs_f64(), bytes >> 20);

    let mut lane = SubjectLane::new(0, (0, &Cursor::default()), &Plan::default());
    let (began, mut longest) = (Tick::now(), Duration::ZERO);
    let mut reader = Reader::open(&path).expect("it was just written").expect("it is there");
    loop {
        let began = Tick::now();
        let Some(block) = reader.block().expect("it is whole") else { break };
        for kept in block {
            lane.restore(&kept.record(INPUT), true).expect("it was just written");
        }
        longest = longest.max(began.elapsed());
    }
    lane.restored();
    let took = began.elapsed().as_secs_f64();
    assert_eq!(lane.remembered() as u64, IDS);
    println!("{IDS} ids from the file  {took:.1} s, {:.0} a second", IDS as f64 / took);
    println!("the longest block        {:.0} ms", longest.as_secs_f64() * 1e3);
    let _ = std::fs::remove_dir_all(&folder);
}

/// As the memory topic has them.
fn read_from_topic() {
    let (mut lane, before) = (SubjectLane::new(0, (0, &Cursor::default()), &Plan::default()), resident());
    let mut took = Duration::ZERO;
    for first in firsts() {
        let page: Vec<Incoming> = page(first).map(|kept| kept.record(INPUT)).collect();
        let began = Tick::now();
        for record in &page {
            lane.restore(record, true).expect("it was just written");
        }
        took += began.elapsed();
    }
    let began = Tick::now();
    lane.restored();
    let took = (took + began.elapsed()).as_secs_f64();
    assert_eq!(lane.remembered() as u64, IDS);
    let bytes = resident().saturating_sub(before) / IDS;
    println!("{IDS} ids from the topic {took:.1} s, {:.0} a second, {bytes} bytes each", IDS as f64 / took);
}

fn firsts() -> impl Iterator<Item = u64> {
    (0..IDS).step_by(usize::try_from(AT_ONCE).expect("it is small"))
}

/// What one transaction heard, as it lies in the memory topic.
fn page(first: u64) -> impl Iterator<Item = Kept> {
    let cursor = Cursor { sequence: first + 1, ..Cursor::default() };
    let mut out = Outbox::default();
    let ids = (first..first + AT_ONCE).map(|number| {
        let at = NOW + Span::from_millis(i64::try_from(number / 100).expect("it is small"));
        Remembered { key: hash128([&number.to_le_bytes()]), at, until: at + KEPT }
    });
    memory::write(Topic::Seen, 0, (0, &cursor), ids, &mut out);
    out.records.into_iter().zip(0..).map(move |(record, number)| {
        let offset = i64::try_from(first).expect("it is small") + number;
        let (key, value) = (record.key, record.value.expect("a page is no tombstone"));
        Kept { log: 0, offset, at: NOW, until: NOW + KEPT, key, value }
    })
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}

/// All of them into a file: how many bytes that is, and how long it took.
fn write(path: &std::path::Path) -> (u64, Duration) {
    let mut writer = Writer::create(path).expect("the folder was just made");
    let mut took = Duration::ZERO;
    for first in firsts() {
        let page: Vec<Kept> = page(first).collect();
        let began = Tick::now();
        for kept in &page {
            writer.put(kept).expect("there is room");
        }
        took += began.elapsed();
    }
    let began = Tick::now();
    let logs = vec![Reached::default(), Reached::default()];
    let bytes = writer.finish(Foot { logs, ..Foot::default() }).expect("there is room");
    (bytes, took + began.elapsed())
}
