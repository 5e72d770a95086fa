//! Turns: what replaces another push on a phone leaves behind it, whatever else leaves with them.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[allow(dead_code, reason = "each test binary uses its own part of the town")]
mod town;

use std::sync::Arc;

use bugle::app::chaos::load::{self, Load};
use bugle::codec::Name;
use bugle::event::{Incoming, Outgoing, Parcel, Source, Span, Timestamp, Topic};
use bugle::flow::frames::FrameItems;
use bugle::flow::person::PersonLane;
use bugle::flow::source::SourceLane;
use bugle::flow::subject::SubjectLane;
use bugle::flow::{Cursor, Outbox, Rooms, World};
use bugle::topology::{Kinds, Topology};
use bytes::Bytes;
use town::{NOW, Town, record};

/// Takes records in and cuts: what was written to this topic.
fn step(
    lane: &mut impl Rooms,
    topic: Topic,
    now: Timestamp,
    read: &[Incoming],
    world: &World<'_>,
) -> Vec<Outgoing> {
    let mut out = Outbox::default();
    for record in read {
        lane.admit(now, record, world, &mut out);
    }
    if lane.wake_at().is_some_and(|at| at <= now) {
        lane.wake(now, world, &mut out);
    }
    lane.cut(now, world, &mut out);
    lane.settle(now);
    out.records.into_iter().filter(|record| record.topic == topic).collect()
}

fn as_read(written: Vec<Outgoing>, next: &mut i64) -> Vec<Incoming> {
    let read = written.into_iter().map(|out| {
        *next += 1;
        record(out.topic, *next - 1, NOW, out.value.unwrap().to_vec())
    });
    read.collect()
}

/// The titles of the batches in the order in which they are to be sent.
fn titles(pushes: &[Outgoing]) -> Vec<String> {
    let mut titles = Vec::new();
    for frame in pushes {
        let (_, items) = FrameItems::read(frame.value.as_deref().unwrap()).unwrap();
        for item in items {
            let parcel = Parcel::read(Bytes::copy_from_slice(item.unwrap())).unwrap();
            let batch = parcel.open();
            let title = &batch.head.template.title;
            titles.extend(batch.letters.iter().map(|letter| title.replace("{{1}}", letter.inserts[0])));
        }
    }
    titles
}

#[test]
fn a_step_leaves_behind_the_first_telling_it_replaces_also_when_steps_of_others_left_before() {
    let folder = tempfile::tempdir().unwrap();
    load::write_rules(folder.path()).unwrap();
    let mut load = Load::new(3, Name::local_id);
    let mut town = Town::new(&load.people, 1);
    let shapes = Source::ALL.into_iter().flat_map(|source| town.codec.schemas().shapes(source).to_vec());
    town.topology = Arc::new(Topology::load(folder.path(), &Kinds::new(shapes)).unwrap());
    let stepped = std::iter::repeat_with(|| load.next_record(&town.codec, NOW))
        .filter(|record| record.topic == Topic::Events(Source::Bws) && record.key.is_some());
    let events: Vec<Outgoing> = stepped.take(2).collect();
    let later = NOW + Span::from_secs(4);

    town.look(|world| {
        let cursor = Cursor::default();
        let from = (0, &cursor);
        let mut source = SourceLane::new(Source::Bws, 0, from, &town.plan);
        let mut subject = SubjectLane::new(0, from, &town.plan);
        let mut person = PersonLane::new(0, from, &town.plan);
        let (mut subjects, mut people) = (0, 0);
        let mut told = Vec::new();
        for (event, offset) in events.iter().zip(0..) {
            let now = if offset == 0 { NOW } else { later };
            let event = record(event.topic, offset, NOW, event.value.clone().unwrap().to_vec());
            let written = step(&mut source, Topic::Subjects, now, &[event], world);
            let written = step(&mut subject, Topic::People, now, &as_read(written, &mut subjects), world);
            let first = as_read(written, &mut people);
            let rung = now + Span::from_secs(4);
            let steps = as_read(step(&mut subject, Topic::People, rung, &[], world), &mut people);
            if offset == 0 {
                // The first telling of the first event leaves alone.
                assert_eq!(titles(&step(&mut person, Topic::Pushes, now, &first, world)).len(), 1);
                told.extend(steps);
            } else {
                told.extend(first.into_iter().chain(steps));
            }
        }
        let order = titles(&step(&mut person, Topic::Pushes, later, &told, world));
        let place = |begin: &str| order.iter().rposition(|title| title.starts_with(begin)).unwrap();
        assert_eq!(order.len(), 3, "{order:?}");
        assert!(place("now") < place("later"), "{order:?}");
    });
}
