//! Timers: what a million of them weigh, cost while they wait, and take to ring and to read back.
//!
//! `cargo bench --bench timers` opens 400 000 tasks under the shipped rule that escalates them in three steps,
//! in one partition: 1 200 000 pending timers. It prints; nothing is asserted about speed.

#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use std::sync::Arc;
use std::time::Duration;

use bugle::clock::Tick;
use bugle::codec::{Codec, Name, Schemas, example, json};
use bugle::directory::Directory;
use bugle::event::frame::{Format, FrameHead, SubjectItem};
use bugle::event::record::Input;
use bugle::event::{Coordinates, Incoming, Outgoing, Source, Span, Timestamp, Topic};
use bugle::flow::subject::SubjectLane;
use bugle::flow::{Admitted, Cursor, Mutes, Outbox, Plan, Rooms, World, frames};
use bugle::topology::{Kinds, Topology};

/// The allocator of the program.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TASKS: u64 = 400_000;
const STEPS: u64 = 3;
/// So many are read back, and so many a busy transaction opened.
const READ_BACK: usize = 200_000;
const AT_ONCE: usize = 100;
/// As many records as Kafka hands over at once: their bytes were just written.
const HANDED_OVER: usize = 2_000;
const NOW: Timestamp = Timestamp::from_millis(1_767_603_600_000);
const DUE: Span = Span::from_secs(30 * 86_400);

fn main() {
    let schemas = Arc::new(Schemas::built_in());
    let kinds = Kinds::new(Source::ALL.into_iter().flat_map(|source| schemas.shapes(source).to_vec()));
    let topology = Topology::load(std::path::Path::new("topology"), &kinds).expect("the rules are right");
    let codec = Codec::new(schemas, None);
    let directory = Directory::new();
    let (people, plan) = (directory.view(), Plan { horizon: Span::from_secs(600), ..Plan::default() });
    let mutes = Mutes::new();
    let muted = mutes.view();
    let (topology, codec, people, plan) = (&topology, &codec, &people, &plan);
    let world = World { topology, codec, people, directory: &[], muted: &muted, plan };
    let events: Vec<Vec<u8>> = (0..TASKS).map(|number| task(codec, number)).collect();
    let bytes: usize = events.iter().map(Vec::len).sum();

    let mut lane = SubjectLane::new(0, (0, &Cursor::default()), plan);
    let (before, began) = (resident(), Tick::now());
    let mut written = 0;
    for (number, event) in (0..).zip(&events) {
        written += open(&mut lane, &[(number, event)], &world).iter().map(size).sum::<usize>() as u64;
    }
    let grown = resident().saturating_sub(before);
    println!("a task in Avro                 {} bytes", bytes as u64 / TASKS);
    println!("opened                         {:.1} µs each", each(began.elapsed(), TASKS));
    println!("written of state               {} bytes each", written / TASKS);
    println!("memory                         {} MiB, {} bytes a task", grown >> 20, grown / TASKS);
    println!("pending timers                 {}, {} bytes each", TASKS * STEPS, grown / (TASKS * STEPS));

    let mut other = SubjectLane::new(0, (0, &Cursor::default()), plan);
    let few: Vec<(i64, &Vec<u8>)> = (0..).zip(&events).take(READ_BACK).collect();
    let kept = few.chunks(AT_ONCE).flat_map(|some| open(&mut other, some, &world));
    let kept: Vec<Incoming> = kept.map(record_of).collect();
    let (mut other, mut took) = (SubjectLane::new(0, (0, &Cursor::default()), plan), Duration::ZERO);
    let mut entries = 0;
    for some in kept.chunks(HANDED_OVER) {
        let some: Vec<Incoming> = some.iter().map(anew).collect();
        let began = Tick::now();
        entries +=
            some.iter().map(|it| other.restore(it, true).expect("it was written").entries).sum::<usize>();
        took += began.elapsed();
    }
    let began = Tick::now();
    other.restored();
    took += began.elapsed();
    println!("tasks read back                {:.0} entries a second", entries as f64 / took.as_secs_f64());
    drop((other, kept));

    let began = Tick::now();
    for _ in 0..1_000_000 {
        assert!(lane.wake_at().is_some_and(|due| due > NOW));
    }
    // A lane that has nothing to do goes round ten times a second.
    let asked = each(began.elapsed(), 1_000_000);
    println!("asked while none is due        {asked:.3} µs, {:.2} ms of CPU in an hour", asked * 36.0);

    let (began, mut now, mut rung) = (Tick::now(), NOW + DUE, 0);
    while rung < TASKS {
        let mut out = Outbox::default();
        lane.wake(now, &world, &mut out);
        rung += out.tally.rung_late_ms.len() as u64;
        lane.cut(now, &world, &mut out);
        lane.settle(now);
        now = now + Span::from_secs(1);
    }
    println!("rung, one partition            {:.0} a second", rung as f64 / began.elapsed().as_secs_f64());
}

/// Some tasks heard, and committed as one; what was written of state.
fn open(lane: &mut SubjectLane, events: &[(i64, &Vec<u8>)], world: &World<'_>) -> Vec<Outgoing> {
    let mut out = Outbox::default();
    for (number, event) in events {
        assert_eq!(lane.admit(NOW, &record(*number, event), world, &mut out), Admitted::Done);
    }
    lane.cut(NOW, world, &mut out);
    lane.settle(NOW);
    out.records.into_iter().filter(|record| record.topic == Topic::State).collect()
}

fn size(record: &Outgoing) -> usize {
    record.value.as_ref().map_or(0, bytes::Bytes::len)
}

fn each(took: Duration, count: u64) -> f64 {
    took.as_secs_f64() * 1e6 / count as f64
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}

/// The example of a task, urgent and due in a month.
fn task(codec: &Codec, number: u64) -> Vec<u8> {
    let mut event =
        example::event(codec.schemas(), "xecm.task.assigned", example::MONDAY).expect("it exists");
    event["event_id"] = number.to_string().into();
    event["severity"] = "high".into();
    event["due_at"] = (NOW + DUE).to_string().into();
    event["expires_at"] = serde_json::Value::Null;
    event["data"]["process_id"] = number.to_string().into();
    json::to_avro(codec.schemas(), &event)
        .expect("it is an event")
        .framed(Name::Events(Source::Xecm).local_id())
}

fn record(number: i64, event: &[u8]) -> Incoming {
    let subject = format!("acme|xecm|process_id={number}|task_id=4711");
    let item = SubjectItem {
        at: Coordinates { source: Source::Xecm, partition: 0, offset: number },
        appended_at: NOW,
        subject: &subject,
        rules: vec!["ec-3-sla"],
        format: Format::Avro,
        headers: Vec::new(),
        payload: event,
    };
    let mut bytes = item.beginning(Vec::new());
    bytes.extend_from_slice(event);
    let value = Some(frames::single(&FrameHead::default(), &bytes).into());
    let input = Input { topic: Topic::Subjects, partition: 0 };
    Incoming { input, offset: number, timestamp: NOW, key: None, value, headers: Vec::new() }
}

fn record_of(kept: Outgoing) -> Incoming {
    let Outgoing { topic, key, value, .. } = kept;
    let input = Input { topic, partition: 0 };
    Incoming { input, offset: 0, timestamp: NOW, key, value, headers: Vec::new() }
}

fn anew(record: &Incoming) -> Incoming {
    let bytes = |bytes: &Option<bytes::Bytes>| bytes.as_deref().map(bytes::Bytes::copy_from_slice);
    Incoming { key: bytes(&record.key), value: bytes(&record.value), ..record.clone() }
}
