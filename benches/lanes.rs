//! Lanes: the whole way of an event without Kafka, lane by lane.
//!
//! The load is that of `bugle bench`: four systems, one copy in twenty, five people for an event of 5 000.
//! An iteration takes 10 000 events through one lane that remembers nothing yet, in transactions as the
//! engine makes them. Beside it, `apache-avro` decodes the same events into its own values: what a program
//! of this kind usually pays before it does anything. And the same order, written by our producer and by
//! others whose payload a mapping takes, goes through the source lane with the shipped rules.

use std::hint::black_box;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use bugle::codec::{Codec, Name, Schemas, json as text, person};
use bugle::directory::key::person_key;
use bugle::directory::{Decoded, Directory};
use bugle::event::frame::Format;
use bugle::event::record::Input;
use bugle::event::{Incoming, Outgoing, Source, Span, Timestamp, Topic};
use bugle::flow::delivery::{Answer, DeliveryLane, Reply};
use bugle::flow::person::PersonLane;
use bugle::flow::source::SourceLane;
use bugle::flow::subject::SubjectLane;
use bugle::flow::{Admitted, Cursor as Place, Mutes, Outbox, Plan, Rooms, World};
use bugle::push::mra;
use bugle::push::reply_token::KeyRing;
use bugle::sample::load::{self, Load};
use bugle::topology::{Kinds, Topology};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use secrecy::SecretString;
use serde_json::json;

/// The allocator of the program.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EVENTS: usize = 10_000;
const NOW: Timestamp = Timestamp::from_millis(1_767_603_600_000);
/// As many input records as the engine commits at once.
const MOST_RECORDS: usize = 10_000;

struct Site {
    plan: Plan,
    topology: Topology,
    codec: Codec,
    directory: Directory,
    events: Vec<Incoming>,
}

// === impl Site ===

impl Site {
    fn new() -> Self {
        let schemas = Arc::new(Schemas::built_in());
        let codec = Codec::new(Arc::clone(&schemas), None);
        let mut load = Load::new(&codec, (5, 1), NOW, Name::local_id);
        let folder = tempfile::tempdir().expect("a temporary folder");
        load::write_rules(folder.path()).expect("it can be written");
        let kinds = Kinds::new(Source::ALL.into_iter().flat_map(|source| schemas.shapes(source).to_vec()));
        let topology = Topology::load(&folder.path().join("topology"), &kinds).expect("the rules are right");
        let directory = Directory::new();
        for (person, offset) in load.people.iter().zip(0..) {
            let value = person::encode(Name::Person.local_id(), person);
            let key = Some(person_key(&person.tenant, &person.user_id).into());
            let record = Incoming { key, ..incoming(Topic::Directory, offset, value.into()) };
            let decoded = Decoded::read(&codec, &record).expect("it was just written");
            directory.apply([(&record, decoded)]);
        }
        let events = (0..EVENTS).map(|_| load.next_record());
        let events = events.zip(0..).map(|(event, offset)| arrived(event, offset)).collect();
        Self { plan: plan(), topology, codec, directory, events }
    }

    fn look<T>(&self, ask: impl FnOnce(&World<'_>) -> T) -> T {
        let people = self.directory.view();
        let directory = people.position();
        let (topology, codec, plan) = (&self.topology, &self.codec, &self.plan);
        let mutes = Mutes::new();
        let muted = mutes.view();
        ask(&World { topology, codec, people: &people, directory: &directory, muted: &muted, plan })
    }

    fn sources(&self) -> Sources {
        let fresh = |source| SourceLane::new(source, 0, (0, &Place::default()), &self.plan);
        Sources(Source::ALL.map(|source| (source, fresh(source))))
    }

    fn fresh<L>(&self, lane: impl FnOnce(i32, (i64, &Place), &Plan) -> L) -> L {
        lane(0, (0, &Place::default()), &self.plan)
    }
}

/// The four source lanes as one, so that all four lanes of a bench look alike.
struct Sources([(Source, SourceLane); 4]);

// === impl Sources ===

impl Sources {
    fn run(mut self, records: &[Incoming], world: &World<'_>) -> Vec<Outgoing> {
        let mut written = Vec::new();
        for (source, lane) in &mut self.0 {
            let own = records.iter().filter(|record| record.input.topic == Topic::Events(*source));
            written.extend(run(lane, own, world));
        }
        written
    }
}

fn plan() -> Plan {
    Plan { subjects: 4, people: 4, pushes: 4, audit: 4, horizon: Span::from_secs(600), ..Plan::default() }
}

fn incoming(topic: Topic, offset: i64, value: bytes::Bytes) -> Incoming {
    let input = Input { topic, partition: 0 };
    Incoming { input, offset, timestamp: NOW, key: None, value: Some(value), headers: Vec::new() }
}

fn arrived(record: Outgoing, offset: i64) -> Incoming {
    incoming(record.topic, offset, record.value.expect("no lane writes tombstones"))
}

/// What the next lane reads of what this one wrote.
fn handed_on(written: Vec<Outgoing>, topic: Topic) -> Vec<Incoming> {
    written
        .into_iter()
        .filter(|record| record.topic == topic)
        .zip(0..)
        .map(|(record, offset)| arrived(record, offset))
        .collect()
}

/// Records through a lane; everything it wrote.
fn run<'r>(
    lane: &mut impl Rooms,
    records: impl Iterator<Item = &'r Incoming>,
    world: &World<'_>,
) -> Vec<Outgoing> {
    let (mut out, mut written, mut gathered) = (Outbox::default(), Vec::new(), 0);
    let mut commit = |lane: &mut _, out: &mut Outbox| {
        Rooms::cut(lane, NOW, world, out);
        Rooms::settle(lane, NOW);
        written.append(&mut std::mem::take(out).records);
    };
    for record in records {
        loop {
            match lane.admit(NOW, record, world, &mut out) {
                Admitted::Done => break,
                Admitted::More => commit(lane, &mut out),
                stuck => panic!("{stuck:?}"),
            }
        }
        gathered += 1;
        if gathered % MOST_RECORDS == 0 {
            commit(lane, &mut out);
        }
    }
    commit(lane, &mut out);
    written
}

/// Batches through the delivery lane, each encoded as it would be sent; how many bytes that is.
fn deliver(mut lane: DeliveryLane, frames: &[Incoming], keys: &KeyRing, world: &World<'_>) -> usize {
    let (mut out, mut bytes) = (Outbox::default(), 0);
    let mut turn = |lane: &mut DeliveryLane, out: &mut Outbox| {
        lane.cut(NOW, world, out);
        lane.settle(NOW);
        *out = Outbox::default();
        lane.wake(NOW, world, out);
        for send in std::mem::take(&mut out.sends) {
            bytes += mra::encode(&send.batch.open(), keys).expect("the key is there").len();
            lane.answered(
                NOW,
                Reply { at: send.at, answer: Answer::Accepted(String::new()), took: Span::ZERO },
                world,
                out,
            );
        }
    };
    for frame in frames {
        while lane.admit(NOW, frame, world, &mut out) != Admitted::Done {
            turn(&mut lane, &mut out);
        }
    }
    turn(&mut lane, &mut out);
    bytes
}

fn benches(criterion: &mut Criterion) {
    let site = Site::new();
    let secret = SecretString::from("a secret of the benches");
    let keys = KeyRing::new([("k1".to_owned(), secret)]).expect("one good key");
    let subjects = site.look(|world| handed_on(site.sources().run(&site.events, world), Topic::Subjects));
    let run_subject = |lane: &mut SubjectLane, world: &World<'_>| run(lane, subjects.iter(), world);
    let mut lane = site.fresh(SubjectLane::new);
    let people = site.look(|world| handed_on(run_subject(&mut lane, world), Topic::People));
    let run_person = |lane: &mut PersonLane, world: &World<'_>| run(lane, people.iter(), world);
    let mut lane = site.fresh(PersonLane::new);
    let pushes = site.look(|world| handed_on(run_person(&mut lane, world), Topic::Pushes));

    let mut group = criterion.benchmark_group("10 000 events");
    group.throughput(Throughput::Elements(EVENTS as u64)).sample_size(20);
    group.bench_function("source lane", |bench| {
        let fresh = || site.sources();
        let measured = |lane: Sources| site.look(|world| black_box(lane.run(&site.events, world)));
        bench.iter_batched(fresh, measured, BatchSize::PerIteration);
    });
    group.bench_function("subject lane", |bench| {
        let fresh = || site.fresh(SubjectLane::new);
        let measured = |mut lane| site.look(|world| black_box(run_subject(&mut lane, world)));
        bench.iter_batched(fresh, measured, BatchSize::PerIteration);
    });
    group.bench_function("person lane", |bench| {
        let fresh = || site.fresh(PersonLane::new);
        let measured = |mut lane| site.look(|world| black_box(run_person(&mut lane, world)));
        bench.iter_batched(fresh, measured, BatchSize::PerIteration);
    });
    group.bench_function("delivery lane, requests encoded", |bench| {
        let fresh = || site.fresh(DeliveryLane::new);
        let measured = |lane| site.look(|world| black_box(deliver(lane, &pushes, &keys, world)));
        bench.iter_batched(fresh, measured, BatchSize::PerIteration);
    });
    group.finish();
    decode(criterion, &site);
    mapped(criterion, site);
}

/// What an order app writes, as Avro of its own.
const ORDER: &str = r#"{"type": "record", "name": "StateChanged", "namespace": "com.acme.orders", "fields": [
    {"name": "specversion", "type": "string"}, {"name": "id", "type": "string"}, {"name": "type", "type": "string"},
    {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "data", "type": {"type": "record", "name": "Change", "fields": [
        {"name": "order", "type": {"type": "record", "name": "Order", "fields": [
            {"name": "number", "type": "string"}, {"name": "state", "type": "string"}, {"name": "href", "type": "string"},
            {"name": "partner", "type": {"type": "record", "name": "Partner", "fields": [{"name": "id", "type": "string"}]}}
        ]}},
        {"name": "stage", "type": "string"}, {"name": "case", "type": ["null", "string"]},
        {"name": "watchers", "type": {"type": "array", "items": {"type": "record", "name": "Watcher",
            "fields": [{"name": "user", "type": "string"}]}}}
    ]}}
]}"#;
const ORDER_ID: u32 = 7;

/// One order in three writings: ours, JSON of others, Avro of others.
fn written(codec: &Codec, schema: &Schema, number: usize) -> [Vec<u8>; 3] {
    let (id, order) = (format!("9b1f-{number}"), format!("PO-{}", number % 500));
    let theirs = json!({
        "specversion": "1.0", "id": id, "type": "com.acme.orders.state-changed", "time": NOW.millis(),
        "data": {
            "order": { "number": order, "state": "SHIPPED", "href": "https://orders.example/PO", "partner": { "id": "northwind" } },
            "stage": "live", "case": "C-9", "watchers": [{ "user": "ada" }, { "user": "ben" }],
        },
    });
    let mut avro = vec![0];
    avro.extend_from_slice(&ORDER_ID.to_be_bytes());
    let mut value = apache_avro::to_value(&theirs).expect("it is JSON");
    if let Avro::Map(fields) = &mut value {
        // A whole number of JSON has no sign, and Avro's have one.
        fields.insert("time".to_owned(), Avro::Long(NOW.millis()));
    }
    let value = value.resolve(schema).expect("it has this schema");
    let writer = GenericDatumWriter::builder(schema).build().expect("a writer");
    writer.write_value(&mut avro, value).expect("into memory");
    let ours = json!({
        "event_id": id, "tenant": "acme", "kind": "devadmin.business.event", "occurred_at": NOW.millis(),
        "entity": { "type": "order", "id": order, "url": "https://orders.example/PO" }, "correlation_id": "C-9",
        "organization_id": "acme-org", "tenant_id": "acme-prod", "environment": "prod",
        "app_id": "order-app", "app_name": "Order app", "audience": { "users": ["ada", "ben"] },
        "data": { "topic": "order", "document_id": order, "state": "shipped", "partner": "northwind" },
    });
    let ours = text::to_avro(codec.schemas(), &ours).expect("it is an event");
    [ours.framed(Name::Events(Source::DevAdmin).local_id()), theirs.to_string().into_bytes(), avro]
}

fn mapped(criterion: &mut Criterion, site: Site) {
    let kinds = Source::ALL.into_iter().flat_map(|source| site.codec.schemas().shapes(source).to_vec());
    let topology =
        Topology::load(Path::new("topology"), &Kinds::new(kinds)).expect("the shipped rules are right");
    let site = Site { topology, ..site };
    site.codec.learn(ORDER_ID, ORDER).expect("it is a schema");
    let schema = Schema::parse_str(ORDER).expect("it is a schema");
    let mut writings = [Vec::new(), Vec::new(), Vec::new()];
    for number in 0..EVENTS {
        for (records, value) in writings.iter_mut().zip(written(&site.codec, &schema, number)) {
            let offset = i64::try_from(number).unwrap_or_default();
            records.push(incoming(Topic::Events(Source::DevAdmin), offset, value.into()));
        }
    }
    let lane = || SourceLane::new(Source::DevAdmin, 0, (0, &Place::default()), &site.plan);
    let run =
        |lane: &mut SourceLane, records: &[Incoming]| site.look(|world| run(lane, records.iter(), world));
    for records in &writings {
        let routed = run(&mut lane(), records);
        assert!(routed.iter().all(|record| record.topic != Topic::DeadLetters), "every order is read");
    }
    let mut group = criterion.benchmark_group("source lane, 10 000 orders");
    group.throughput(Throughput::Elements(EVENTS as u64)).sample_size(20);
    for (name, records) in ["ours", "mapped from JSON", "mapped from Avro"].iter().zip(&writings) {
        group.bench_function(*name, |bench| {
            let measured = |mut lane| black_box(run(&mut lane, records));
            bench.iter_batched(lane, measured, BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn decode(criterion: &mut Criterion, site: &Site) {
    let mut group = criterion.benchmark_group("decode 10 000 events");
    group.throughput(Throughput::Elements(EVENTS as u64)).sample_size(20);
    let schemas = Source::ALL.map(|source| {
        let text = site.codec.schemas().text(Name::Events(source));
        (source, Schema::parse_str(text).expect("our own schema"))
    });
    let readers = schemas
        .each_ref()
        .map(|(source, schema)| (*source, GenericDatumReader::builder(schema).build().expect("a reader")));
    group.bench_function("in place", |bench| {
        bench.iter(|| {
            for event in &site.events {
                let Topic::Events(source) = event.input.topic else { unreachable!("all are events") };
                let value = event.value.as_deref().unwrap_or_default();
                black_box(site.codec.decode(source, Format::Avro, &[], value).expect("a whole event"));
            }
        });
    });
    group.bench_function("by apache-avro", |bench| {
        bench.iter(|| {
            for event in &site.events {
                let (_, reader) = readers
                    .iter()
                    .find(|(source, _)| event.input.topic == Topic::Events(*source))
                    .expect("four sources");
                let body = &event.value.as_deref().unwrap_or_default()[5..];
                black_box(reader.read_value(&mut Cursor::new(body)).expect("a whole event"));
            }
        });
    });
    group.finish();
}

criterion_group!(lanes, benches);
criterion_main!(lanes);
