//! Bad inputs: what no partition may stop at, through the real lanes on the real Kafka.
//!
//! Each lies between two good events of one partition, and must end as a dead letter with its own bytes, the
//! place it came from and a stable code, while the good events before and behind it are told.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod kit;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

use base64_simd::STANDARD;
use bugle::broker::{Incoming, Topic};
use bugle::codec::{Name, Schemas, outputs};
use bugle::event::{Outgoing, Source};
use kit::door::{self, Said};
use kit::ground::read_to_the_end;
use kit::site::Site;
use serde::Deserialize;
use serde_json::{Value as Json, json};

/// How each ends; what is not named here must be told, or have been told before.
const CODES: &[(&str, &str)] = &[
    ("1 empty value", "empty-value"),
    ("2 null value", "null-value"),
    ("3 null key", "bad-magic"),
    ("4 one byte", "truncated"),
    ("5 wrong magic byte", "bad-magic"),
    ("7 five hundred headers", "bad-magic"),
    ("7 names twice", "bad-magic"),
    ("7 a large header", "bad-magic"),
    ("8 gzip", "bad-magic"),
    ("8 zstd", "bad-magic"),
    ("8 lz4", "bad-magic"),
    ("8 snappy", "bad-magic"),
    ("8 eight mebibytes squeezed", "too-large"),
    ("8 a million and one bytes", "bad-magic"),
    ("10 an event in the year 10000", "bad-time"),
    ("10 an event before 1970", "bad-time"),
    ("11 unknown schema id", "unknown-schema"),
    ("12 the registry says 404", "unknown-schema"),
    ("12 the registry says 500, then 404", "unknown-schema"),
    ("12 the registry says HTML, then 404", "unknown-schema"),
    ("12 the id is another schema's", "incompatible-schema"),
    ("13 cut at the frame", "truncated"),
    ("13 cut", "truncated"),
    ("14 trailing bytes", "trailing-bytes"),
    ("15 ten million items", "too-many-items"),
    ("15 ten million nulls", "too-many-items"),
    ("16 arrays a thousand deep", "incompatible-schema"),
    ("17 records a hundred thousand deep", "recursive-schema"),
    ("18 a text of i64::MAX bytes", "truncated"),
    ("18 a text of a negative length", "bad-length"),
    ("19 a block of another size", "bad-block"),
    ("20 a union's branch", "bad-union"),
    ("20 a symbol", "bad-enum"),
    ("21 invalid UTF-8", "bad-utf8"),
];

/// What is too large to be kept whole: where it lay is what is left of it.
const CLIPPED: &[&str] = &["7 a large header", "8 eight mebibytes squeezed", "8 a million and one bytes"];

/// What was sent.
#[derive(Deserialize)]
struct Sent {
    name: String,
    /// What a good event is called in its title.
    said: Option<String>,
    partition: i32,
    offset: i64,
    key: Option<String>,
    value: Option<String>,
    headers: usize,
}

/// The schema of Extended ECM's events with one more field at its end.
fn with_field(field: &Json) -> String {
    let text = Schemas::built_in().text(Name::Events(Source::Xecm)).to_owned();
    let mut schema: Json = serde_json::from_str(&text).unwrap();
    schema["fields"].as_array_mut().unwrap().push(field.clone());
    schema.to_string()
}

fn answers() -> Vec<Said> {
    let schema = |text: &str| json!({ "schema": text }).to_string();
    let always = |id, status, body: String| Said { id, status, body, times: None };
    let twice = |id, status, body: &str| Said { id, status, body: body.to_owned(), times: Some(2) };
    let unknown = || r#"{"error_code": 40403, "message": "Schema not found"}"#.to_owned();
    let deep = (0..1_000)
        .fold("\"null\"".to_owned(), |items, _| format!("{{\"type\":\"array\",\"items\":{items}}}"));
    let tree =
        json!({ "type": "record", "name": "Tree", "fields": [{ "name": "next", "type": ["null", "Tree"] }] });
    let flat = with_field(&json!({ "name": "deep", "type": "DEEP" }));
    vec![
        always(900_404, 404, unknown()),
        twice(900_500, 500, r#"{"error_code": 50001, "message": "the store timed out"}"#),
        always(900_500, 404, unknown()),
        twice(900_600, 200, "<html>Sign in</html>"),
        always(900_600, 404, unknown()),
        always(900_700, 200, schema("\"string\"")),
        always(
            900_015,
            200,
            schema(&with_field(&json!({ "name": "nulls", "type": { "type": "array", "items": "null" } }))),
        ),
        always(900_016, 200, schema(&flat.replace("\"DEEP\"", &deep))),
        always(900_017, 200, schema(&with_field(&json!({ "name": "tree", "type": tree })))),
    ]
}

/// Sends everything, or copies of some of what was sent; all that was sent so far.
fn send(site: &Site, more: &[&str]) -> Vec<Sent> {
    let out = site.file("sent.jsonl");
    let (prefix, out) = (format!("{}opentext.", site.prefix), out.to_string_lossy());
    let from = ["--brokers", kit::kafka(), "--registry", kit::registry(), "--prefix", &prefix, "--out", &out];
    kit::python::script("bad_inputs.py", &[&from, more].concat());
    let text = std::fs::read_to_string(&*out).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn header<'r>(record: &'r Incoming, name: &str) -> &'r str {
    let found = record.headers.iter().rev().find(|(key, _)| key == &format!("__bugle.errors.{name}"));
    std::str::from_utf8(found.and_then(|(_, value)| value.as_deref()).unwrap_or_default()).unwrap()
}

/// The dead letters, by where their records lay.
fn letters(site: &Site) -> BTreeMap<(i32, i64), Incoming> {
    let mut follow = site.broker.follow(Topic::DeadLetters).unwrap();
    let mut letters = BTreeMap::new();
    for letter in read_to_the_end(follow.as_mut()) {
        assert_eq!(header(&letter, "topic"), "opentext.xecm.events");
        let place =
            (header(&letter, "partition").parse().unwrap(), header(&letter, "offset").parse().unwrap());
        assert!(letters.insert(place, letter).is_none(), "{place:?} is buried twice");
    }
    letters
}

fn check(sent: &Sent, letter: &Incoming) -> Option<String> {
    let code = CODES.iter().find(|(name, _)| *name == sent.name).map(|(_, code)| *code);
    let bytes = |text: &Option<String>| text.as_ref().map(|text| STANDARD.decode_to_vec(text).unwrap());
    let own = letter.headers.iter().filter(|(name, _)| !name.starts_with("__bugle.errors.")).count();
    let found = header(letter, "code");
    if Some(found) != code {
        return Some(format!("{}: {found} ({}), not {code:?}", sent.name, header(letter, "message")));
    }
    if CLIPPED.contains(&sent.name.as_str()) {
        let said = header(letter, "clipped");
        return said.is_empty().then(|| format!("{}: nothing says that it was clipped", sent.name));
    }
    // The header which the name of one of ours was given to is not counted.
    let whole = letter.value.as_deref() == bytes(&sent.value).as_deref()
        && letter.key.as_deref() == bytes(&sent.key).as_deref()
        && (own == sent.headers || sent.name == "7 names twice");
    (!whole).then(|| format!("{}: its bytes are not its own: {letter:?}", sent.name))
}

#[test]
fn a_bad_input_is_kept_with_its_code_and_the_good_ones_around_it_are_told() {
    let site = Site::open(&door::open(answers()), 1, &[]);
    let mut bugle = site.run();
    let mut closed =
        |count: usize| site.until_the_books_close(count as u64, Duration::from_secs(120), |_| bugle.lives());
    let sent = send(&site, &[]);
    closed(sent.len());
    // Once the odd times are settled, what was heard before and at them is still known.
    let sent = send(&site, &["--copies"]);
    let books = closed(sent.len());

    let letters = letters(&site);
    let mut wrong = Vec::new();
    for sent in &sent {
        let bad = CODES.iter().any(|(name, _)| *name == sent.name);
        match letters.get(&(sent.partition, sent.offset)) {
            Some(letter) => wrong.extend(check(sent, letter)),
            None if bad => wrong.push(format!("{}: no dead letter", sent.name)),
            None => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let bad = sent.iter().filter(|sent| CODES.iter().any(|(name, _)| *name == sent.name)).count();
    assert_eq!((letters.len(), books.changes.refused), (bad, bad as u64), "{books:#?}");

    let copies = sent.iter().filter(|sent| sent.name == "a copy").count();
    assert_eq!(books.changes.duplicate, copies as u64, "{books:#?}");
    let good: BTreeSet<String> = sent.iter().filter_map(|sent| sent.said.clone()).collect();
    let told: Vec<String> = site
        .told()
        .into_iter()
        .map(|told| told.title.rsplit(' ').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(told.len(), good.len(), "each is told once, to one person");
    assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), good, "the aborted one is told to nobody");
    kit::say(&format!("{} inputs: {bad} dead letters, {} told, {copies} copies", sent.len(), good.len()));
    assert_eq!(bugle.terminate(), Some(0), "it is well");
}

/// Where the log of a partition lies.
fn log_of(topic: &str, partition: i32) -> PathBuf {
    kit::kafka_data().join(format!("{topic}-{partition}/00000000000000000000.log"))
}

/// 6: a disk that forgets a bit. The client cannot hand out the bytes, so there is nothing to bury; what
/// must not happen is that the batch is passed over in silence.
#[test]
fn a_batch_that_does_not_fit_its_checksum_is_never_passed_over() {
    let site = Site::open(kit::registry(), 2, &[]);
    let codec = bugle::app::wiring::codec(&site.config).unwrap();
    let id = codec.id_for(Name::Events(Source::Xecm), &site.topic(Topic::Events(Source::Xecm))).unwrap();
    let publish = |partition: i32, name: &str| {
        let mut event = bugle::codec::example::event(
            codec.schemas(),
            "xecm.record.expiring",
            bugle::codec::example::MONDAY,
        )
        .unwrap();
        event["event_id"] = json!(name);
        let written = bugle::codec::json::to_avro(codec.schemas(), &event).unwrap();
        let value = Some(written.framed(id).into());
        let topic = Topic::Events(Source::Xecm);
        let record = Outgoing { topic, partition: Some(partition), key: None, value, headers: Vec::new() };
        site.broker.publish(vec![record]).unwrap();
    };
    publish(0, "first");
    let log = log_of(&site.topic(Topic::Events(Source::Xecm)), 0);
    let whole = std::fs::metadata(&log).unwrap().len();
    publish(0, "damaged");
    publish(0, "behind");
    let mut file = std::fs::OpenOptions::new().read(true).write(true).open(&log).unwrap();
    // Far behind the header of the second batch, which is 61 bytes long.
    file.seek(SeekFrom::Start(whole + 100)).unwrap();
    let mut byte = [0];
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(whole + 100)).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();

    let mut bugle = site.run();
    bugle.until_it_says("does not fit its checksum");
    // The other partition's change is decided while that one stands.
    publish(1, "elsewhere");
    let decided = || {
        let mut follow = site.broker.follow(Topic::Audit).unwrap();
        let records = read_to_the_end(follow.as_mut());
        let verdicts = records.iter().flat_map(|record| {
            outputs::decode_verdicts(record.value.as_deref().unwrap_or_default()).unwrap().1
        });
        verdicts.map(|verdict| verdict.event_id).collect::<BTreeSet<_>>()
    };
    let expected = BTreeSet::from(["elsewhere".to_owned(), "first".to_owned()]);
    kit::until("two changes are decided", Duration::from_secs(60), || decided() == expected);
    assert_eq!(bugle.terminate(), Some(0), "it goes on, and can be asked to stop");

    // Whoever comes next stops there again.
    let mut bugle = site.run();
    bugle.until_it_says("does not fit its checksum");
    publish(1, "later");
    let expected = BTreeSet::from(["elsewhere", "first", "later"].map(str::to_owned));
    kit::until("a third change is decided", Duration::from_secs(60), || decided() == expected);
    assert!(letters(&site).is_empty());
    bugle.lives();
}
