//! Replay: recorded events through new rules beside the old ones: who would hear more, less, or at another time.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod kit;

use std::fs;
use std::path::{Path, PathBuf};

use bugle::event::{Span, Timestamp};
use kit::process::{done, ended};
use kit::site::Site;
use serde_json::{Value as Json, json};

const PEOPLE: &str = "tests/fixtures/explain/people.csv";
const AT: &str = "2026-01-05T09:00:00Z";

/// The shipped rules, otherwise where `change` makes them so.
fn rules(into: &Path, change: &[(&str, &str, &str)]) -> PathBuf {
    let folder = into.join("new");
    fs::create_dir_all(folder.join("messages")).unwrap();
    for from in ["topology", "topology/messages"] {
        for entry in fs::read_dir(from).unwrap().filter_map(Result::ok).filter(|entry| entry.path().is_file())
        {
            let to = folder.join(entry.path().strip_prefix("topology").unwrap());
            fs::copy(entry.path(), to).unwrap();
        }
    }
    for (file, from, to) in change {
        let file = folder.join(file);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(file, text.replace(from, to)).unwrap();
    }
    folder
}

/// A change request for Ben, and a task of his that is due after six hours.
fn events() -> Vec<Json> {
    let example = |kind: &str| -> Json {
        let mut event: Json = serde_json::from_str(&done(&["schemas", "example", kind])).unwrap();
        (event["occurred_at"], event["due_at"]) = (AT.into(), "2026-01-05T15:00:00Z".into());
        event
    };
    let mut task = example("xecm.task.assigned");
    (task["event_id"], task["severity"], task["action"]) = ("evt-2".into(), "high".into(), Json::Null);
    vec![example("devadmin.change.requested"), task]
}

fn written(into: &Path) -> PathBuf {
    let file = into.join("events.jsonl");
    fs::write(&file, events().iter().map(Json::to_string).collect::<Vec<_>>().join("\n")).unwrap();
    file
}

/// Only whom a request names hears of it; a supervisor is asked two hours earlier.
const CHANGE: [(&str, &str, &str); 2] = [
    (
        "devadmin.yaml",
        "audience: assignees || role:approver\n    never: requester",
        "audience: assignees\n    never: requester",
    ),
    ("xecm.yaml", "event.due_at + 4h, to: supervisor", "event.due_at + 2h, to: supervisor"),
];

fn replay(folder: &Path, more: &[&str]) -> String {
    let (events, new) = (written(folder), folder.join("new"));
    let (events, new) = (events.to_string_lossy(), new.to_string_lossy());
    let usual = ["replay", "--events", &*events, "--people", PEOPLE, "--topology", &*new, "--for", "1d"];
    done(&[&usual[..], more].concat())
}

#[test]
fn rules_that_are_the_same_tell_the_same() {
    let folder = tempfile::tempdir().unwrap();
    rules(folder.path(), &[]);
    let said: Json = serde_json::from_str(&replay(folder.path(), &["--output", "json"])).unwrap();
    assert_eq!(
        (&said["people_more"], &said["people_less"], &said["people_otherwise"]),
        (&json!(0), &json!(0), &json!(0))
    );
    assert_eq!(said["events"], 2);
    let told = said["rules"].as_array().unwrap();
    assert!(told.iter().any(|row| row["rule"] == "ec-3-sla" && row["before"].as_u64() > Some(1)), "{said:#}");
    assert!(told.iter().all(|row| row["people"] == 0), "{said:#}");
}

#[test]
fn who_hears_less_and_who_hears_earlier_stands_in_a_table_with_examples() {
    let folder = tempfile::tempdir().unwrap();
    rules(folder.path(), &CHANGE);
    let said = replay(folder.path(), &["--examples", "1"]);
    let (_, rest) = said.split_once('\n').unwrap();
    insta::assert_snapshot!(rest, @r"

    RULE         BEFORE  AFTER  MORE  LESS  OTHER TIME  OTHER WORDS  PEOPLE
    da-3-change      18      6     0    12           0            0       2
    ec-3-sla          2      2     0     0           1            0       1

    da-3-change
      - acme/dora first at 2026-01-05T09:00:00.000Z: Your approval: Approve the supply agreement

    ec-3-sla
      ~ acme/dora step-3 at 2026-01-05T17:00:00.000Z, not 2026-01-05T19:00:00.000Z: Overdue: Approve supply agreement

    1 rule tells the same to the same people
    0 people hear more, 2 people hear less, 0 people hear as often but otherwise
    ");
}

/// The same two sets of rules the other way round.
#[test]
fn who_hears_more_and_who_hears_later_is_told_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let old = rules(folder.path(), &CHANGE);
    let events = written(folder.path());
    let (events, old) = (events.to_string_lossy(), old.to_string_lossy());
    let asked = ["replay", "--events", &*events, "--people", PEOPLE, "--topology", "topology", "--for", "1d"];
    let said = done(&[&asked[..], &["--against", &*old, "--output", "json"]].concat());
    let said: Json = serde_json::from_str(&said).unwrap();
    let row = |rule: &str| {
        said["rules"].as_array().unwrap().iter().find(|row| row["rule"] == rule).unwrap().clone()
    };
    let change = row("da-3-change");
    assert_eq!((&change["more"], &change["less"]), (&json!(12), &json!(0)), "{change:#}");
    assert_eq!((&said["people_more"], &said["people_less"]), (&json!(2), &json!(0)));
    let step = &row("ec-3-sla")["examples"][0];
    let at = |name: &str| step[name].as_str().unwrap().parse::<Timestamp>().unwrap();
    let later = at("after").since(at("before"));
    assert_eq!((&step["change"], later), (&json!("moved"), Span::from_secs(7_200)), "{step}");
}

#[test]
fn recorded_events_are_read_from_the_topics_since_a_time_and_nothing_is_sent() {
    let site = Site::open(kit::registry(), 2, &[]);
    let people = fs::read_to_string(PEOPLE).unwrap();
    let (folder, file) = (site.file("rules"), site.file("people.csv"));
    fs::write(&file, people.replace("acme,", "delta,")).unwrap();
    site.bugle(&["directory", "load", &file.to_string_lossy()]);
    fs::create_dir_all(&folder).unwrap();
    let new = rules(&folder, &CHANGE);
    let events = events().into_iter().map(|mut event| {
        event["tenant"] = "delta".into();
        event.to_string()
    });
    let file = site.file("events.jsonl");
    fs::write(&file, events.collect::<Vec<_>>().join("\n")).unwrap();
    site.bugle(&["publish", &file.to_string_lossy()]);

    let new = new.to_string_lossy();
    let replay = |from: &str| {
        site.try_bugle(&["replay", "--from", from, "--topology", &new, "--for", "1d", "--output", "json"])
    };
    let (code, said) = replay("1h");
    assert_eq!(code, Some(0), "{said}");
    let said: Json = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["events"], &said["unreadable"]), (&json!(2), &json!(0)));
    let row = |rule: &str| {
        said["rules"].as_array().unwrap().iter().find(|row| row["rule"] == rule).unwrap().clone()
    };
    let change = row("da-3-change");
    assert!(change["less"].as_u64() > Some(1) && change["more"] == 0, "{change:#}");
    assert!(change["examples"].as_array().unwrap().iter().all(|example| example["tenant"] == "delta"));
    // Nobody runs Bugle here: the replay has told nobody, and no lane has read anything.
    assert_eq!(site.told().len(), 0);
    let (code, said) = replay("2999-01-01T00:00:00Z");
    assert_eq!(code, Some(1));
    assert!(said.contains("there are no events to play"), "{said}");
}

#[test]
fn what_cannot_be_asked_is_said() {
    let (code, said) = ended(&["replay", "--from", "yesterday", "--topology", "topology"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("write a span such as `24h`"), "{said}");
    let (code, said) =
        ended(&["replay", "--events", "x.jsonl", "--people", PEOPLE, "--topology", "no-rules"]);
    assert_eq!(code, Some(78), "{said}");
}
