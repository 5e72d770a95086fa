//! Explain: for an event who heard of it by which term, and who did not and why; live the same as offline, and
//! the same after the directory has changed.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod kit;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use kit::process::{done, ended};
use kit::site::Site;
use serde_json::{Value as Json, json};

const PEOPLE: &str = "tests/fixtures/explain/people.csv";
const AT: &str = "2026-01-05T09:00:00Z";

fn explain(event: &str, more: &[&str]) -> String {
    done(&[&["explain", event, "--people", PEOPLE, "--at", AT], more].concat())
}

fn explained(event: &str, more: &[&str]) -> Json {
    let said = serde_json::from_str(&explain(event, &[more, &["--output", "json"]].concat())).unwrap();
    assert_times_are_texts(&said);
    said
}

/// Whoever reads JSON of ours finds every time as ISO 8601, and none as a number.
fn assert_times_are_texts(said: &Json) {
    let looks_like_a_time = |number: &serde_json::Number| number.as_i64() > Some(1_000_000_000);
    match said {
        Json::Number(number) => assert!(!looks_like_a_time(number), "{number}"),
        Json::Array(items) => items.iter().for_each(assert_times_are_texts),
        Json::Object(fields) => fields.values().for_each(assert_times_are_texts),
        Json::Null | Json::Bool(_) | Json::String(_) => {}
    }
}

/// The example of a kind, otherwise where `change` makes it so.
fn example(kind: &str, change: impl FnOnce(&mut Json)) -> Json {
    let mut event: Json = serde_json::from_str(&done(&["schemas", "example", kind])).unwrap();
    event["occurred_at"] = AT.into();
    change(&mut event);
    event
}

fn file(folder: &tempfile::TempDir, name: &str, events: &[Json]) -> String {
    let path: PathBuf = folder.path().join(name);
    let lines: Vec<String> = events.iter().map(Json::to_string).collect();
    fs::write(&path, lines.join("\n")).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn an_event_that_reached_three_of_five_says_by_which_term_and_why_not_the_two() {
    insta::assert_snapshot!(explain("devadmin.change.requested", &[]), @r"
    devadmin.change.requested evt-1001 of acme, 2026-01-05T09:00:00.000Z
    ├─ da-3-change (DA-3, topology/devadmin.yaml:56) wants it: told 3 of 5
    │  ├─ audience assignees || role:approver never requester
    │  ├─ says Your approval: Approve the supply agreement · ada asks for a change of api in dev.
    │  └─ da-3-change first at 2026-01-05T09:00:00.000Z: told 3 of 5
    │     ├─ asked for person:ben || role:approver never person:ada
    │     ├─ told
    │     │  ├─ ben: person:ben   [approver, field-service; Hamburg Harbour; Operations/Harbour]
    │     │  ├─ eve: role:approver   [approver; Hamburg Harbour; Operations]
    │     │  └─ dora: backup(person:cid)   [manager, field-service; Munich Works; Operations]
    │     └─ not told
    │        ├─ cid: away, backup(person:cid)   [approver; Munich Works; Operations; away]
    │        └─ ada: never person:ada   [approver; Hamburg Harbour; Operations/Harbour]
    └─ 42 rules hear other kinds
    later, if nothing else happens
    ├─ da-3-change reminder-1 at 2026-01-05T13:00:00.000Z: told 3 of 5
    ├─ da-3-change reminder-2 at 2026-01-05T17:00:00.000Z: told 3 of 5
    ├─ da-3-change reminder-3 at 2026-01-05T21:00:00.000Z: told 3 of 5
    ├─ da-3-change reminder-4 at 2026-01-06T01:00:00.000Z: told 3 of 5
    ├─ da-3-change reminder-5 at 2026-01-06T05:00:00.000Z: told 3 of 5
    └─ da-3-change step-1 at 2026-01-06T09:00:00.000Z: ended as nobody
    ");
}

#[test]
fn a_rule_that_does_not_want_it_shows_which_test_failed_on_which_value() {
    let folder = tempfile::tempdir().unwrap();
    let event = example("xecm.task.assigned", |event| {
        event["severity"] = "low".into();
        event["due_at"] = Json::Null;
        event["data"]["due_at"] = Json::Null;
    });
    let rules = explained(&file(&folder, "task.json", &[event]), &[])["events"][0]["rules"].clone();
    let sla = rules.as_array().unwrap().iter().find(|rule| rule["id"] == "ec-3-sla").unwrap();
    assert_eq!(sla["matches"], false);
    assert_eq!(
        sla["tests"],
        json!([
            { "wanted": "if event.due_at != null", "found": "due_at = absent", "holds": false },
            {
                "wanted": "if (event.kind == \"xecm.task.late\" || event.severity in [\"high\", \"critical\"])",
                "found": "kind = xecm.task.assigned, severity = low",
                "holds": false,
            },
        ])
    );
    assert_eq!(sla["tellings"], json!([]), "who does not want it says nothing");
}

#[test]
fn one_term_short_is_said_by_the_term_that_is_lacking() {
    let folder = tempfile::tempdir().unwrap();
    let event = example("xecm.document.available", |event| {
        event["data"]["doc_kind"] = "safety".into();
        event["data"]["site"] = "Hamburg Harbour".into();
    });
    let file = file(&folder, "safety.json", &[event]);
    let explanation = explained(&file, &[]);
    let rules = explanation["events"][0]["rules"].as_array().unwrap();
    let safety = rules.iter().find(|rule| rule["id"] == "ec-4-safety").unwrap();
    let telling = &safety["tellings"][0];
    assert_eq!(telling["audience"], "role:field-service && location:\"Hamburg Harbour\"");
    let told = "role:field-service && location:\"Hamburg Harbour\"";
    assert_eq!(telling["told"], json!([{ "word": "told", "why": told, "count": 1, "people": ["ben"] }]));
    let lacking = |why: &str, people: &[&str]| json!({ "word": "lacks", "why": why, "count": people.len(), "people": people });
    let not_told = [
        lacking("not role:field-service", &["ada", "eve"]),
        lacking("not location:\"Hamburg Harbour\"", &["dora"]),
    ];
    assert_eq!(telling["not_told"], json!(not_told));
    assert_eq!(
        explanation["people"]["ben"]["location"]["site"], "Hamburg Harbour",
        "their row stands beside"
    );
    // Somebody who is not active holds no role: far from it, and still answered for when asked about.
    let of_ida = explained(&file, &["--person", "ida"])["events"][0]["rules"].clone();
    let of_ida = of_ida.as_array().unwrap().iter().find(|rule| rule["id"] == "ec-4-safety").unwrap().clone();
    assert_eq!(of_ida["person"]["word"], "lacks", "{of_ida}");
    let of_zed = explained(&file, &["--person", "zed"])["events"][0]["rules"].clone();
    let of_zed = of_zed.as_array().unwrap().iter().find(|rule| rule["id"] == "ec-4-safety").unwrap().clone();
    assert_eq!(of_zed["person"]["why"], "the directory of acme has no such person", "{of_zed}");
}

#[test]
fn a_role_of_many_is_a_number_and_not_a_list() {
    let folder = tempfile::tempdir().unwrap();
    let rows = (0..50).map(|n| format!("acme,user-{n},support,Munich Works\n"));
    let people = folder.path().join("people.csv");
    fs::write(&people, format!("tenant,user_id,roles,site\n{}", rows.collect::<String>())).unwrap();
    let event = example("devadmin.change.requested", |event| event["data"]["approvers"] = json!(["user-3"]));
    let people = people.to_string_lossy();
    let rules = folder.path().join("rules");
    fs::create_dir_all(rules.join("messages")).unwrap();
    fs::write(rules.join("devadmin.yaml"), CROWD).unwrap();
    fs::write(rules.join("messages/devadmin.yaml"), CROWD_TEXT).unwrap();
    let (rules, event) = (rules.to_string_lossy(), file(&folder, "change.json", &[event]));
    let said = done(&["explain", &event, "--people", &people, "--topology", &rules, "--output", "json"]);
    let said: Json = serde_json::from_str(&said).unwrap();
    let telling = &said["events"][0]["rules"][0]["tellings"][0];
    let fate = |why: &str, count: u32, people: Json| json!({ "word": "told", "why": why, "count": count, "people": people });
    let told = [fate("person:user-3", 1, json!(["user-3"])), fate("role:support", 49, json!([]))];
    assert_eq!(telling["told"], json!(told), "{said:#}");
}

const CROWD: &str = "
source: devadmin
defaults: { locale: en, category: changes }
rules:
  - id: crowd
    match: { kind: devadmin.change.requested }
    audience: assignees || role:support
    message: change
";
const CROWD_TEXT: &str = "
change:
  en: { title: 'A change', body: 'Somebody asks for a change.' }
";

#[test]
fn a_copy_says_that_it_is_one_and_what_nobody_hears_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let event = example("devadmin.change.requested", |_| {});
    let both = explained(&file(&folder, "twice.jsonl", &[event.clone(), event]), &[]);
    let words: Vec<&Json> = both["events"].as_array().unwrap().iter().map(|event| &event["ended"]).collect();
    assert_eq!(words, [&Json::Null, &json!("duplicate")]);
    let (code, said) = ended(&["explain", "no-such.json", "--people", PEOPLE]);
    assert_eq!(code, Some(1));
    assert!(said.contains("`no-such.json` cannot be read: No such file"), "{said}");
}

#[test]
fn what_time_brings_is_told_when_time_is_given() {
    let later = explained("devadmin.change.requested", &["--for", "2d"])["later"].clone();
    let occasions: Vec<&str> =
        later.as_array().unwrap().iter().map(|telling| telling["occasion"].as_str().unwrap()).collect();
    assert!(occasions.contains(&"reminder-1") && occasions.contains(&"step-1"), "{occasions:?}");
}

#[test]
fn a_live_event_is_explained_by_its_id_as_before_it_happened_and_the_same_after_the_directory_changed() {
    let site = Site::open(kit::registry(), 2, &["--poison", "user:zoe"]);
    let people = fs::read_to_string(PEOPLE).unwrap().replace("acme,", "delta,");
    let load = |text: &str| {
        let file = site.file("people.csv");
        fs::write(&file, text).unwrap();
        site.bugle(&["directory", "load", &file.to_string_lossy()]);
    };
    load(&format!("{people}delta,zoe,,qa,Munich Works,Operations,,,,,\n"));
    let mut bugle = site.run();
    let file = publish(&site, "chg-1", "ben");
    publish(&site, "chg-2", "zoe");
    site.until_the_books_close(2, Duration::from_secs(60), |_| bugle.lives());

    let ask = |what: &str| told(&site, &["explain", what]);
    // What became of the subject says its times in the same way.
    assert_eq!(told(&site, &["audit", "chg-1"])["about"], "chg-1");
    let live = ask("chg-1");
    // A site runs by a copy of the shipped rules with shorter waits.
    let rules = site.config.topology.folder.to_string_lossy();
    let ahead = ["explain", &file.to_string_lossy(), "--topology", &rules, "--output", "json"];
    let offline: Json = serde_json::from_str(&site.bugle(&ahead)).unwrap();
    let tellings = timeless(&live["events"][0]["tellings"]);
    assert_eq!(tellings, timeless(&offline["events"][0]["rules"][0]["tellings"]), "{live:#} {offline:#}");
    let telling = &tellings[0];
    assert_eq!(
        (telling["owed"].as_u64(), telling["audience"].as_str()),
        (Some(3), Some("person:ben || role:approver never person:ada"))
    );
    assert_eq!(live["events"][0]["topologies"][0], offline["topology"], "the rules are known by their hash");
    assert_eq!(live["on_their_way"], 0);
    let said = site.bugle(&["explain", "chg-1", "--person", "ada"]);
    assert!(said.contains("ada: never person:ada"), "{said}");

    let refused = &ask("chg-2")["events"][0]["tellings"][0]["not_told"];
    let zoe = refused.as_array().unwrap().iter().find(|fate| fate["people"][0] == "zoe");
    assert!(
        zoe.unwrap()["word"].as_str().unwrap().starts_with("refused"),
        "a receipt is known by its notice: {refused}"
    );

    let drawn = site.bugle(&["graph", "--live", "1h", "--use-case", "DA-3", "--format", "mermaid"]);
    assert!(drawn.contains("2 in 1h, to 7 people: 7.0/h"), "{drawn}");

    // Ben leaves, Cid is back, Eve holds another role: what was decided stays what it was.
    let changed = people
        .replace("delta,ben,,", "delta,ben,no,")
        .replace("dora,yes", "dora,")
        .replace("delta,eve,,approver", "delta,eve,,legal");
    load(&changed);
    assert_eq!(ask("chg-1"), live);
    // The rule asks others: what was decided by the old one stays what it was, too.
    ask_legal(&site);
    bugle.until_it_says("these rules are in force generation=1");
    assert_eq!(ask("chg-1"), live);
    let now = ask(&file.to_string_lossy());
    assert_ne!(
        timeless(&now["events"][0]["rules"][0]["tellings"]),
        tellings,
        "the next one would go to others"
    );
    let (code, said) = site.try_bugle(&["explain", "chg-3"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("nothing was decided about it"), "{said}");
    assert_eq!(bugle.terminate(), Some(0));
}

/// What a verb prints as JSON.
fn told(site: &Site, words: &[&str]) -> Json {
    let said = serde_json::from_str(&site.bugle(&[words, &["--output", "json"]].concat())).unwrap();
    assert_times_are_texts(&said);
    said
}

/// From now on change requests are for other people.
fn ask_legal(site: &Site) {
    let file = site.config.topology.folder.join("devadmin.yaml");
    let rules = fs::read_to_string(&file).unwrap();
    let others = rules.replace("audience: assignees || role:approver\n", "audience: role:legal\n");
    assert_ne!(others, rules);
    fs::write(&file, others).unwrap();
    site.bugle(&["topology", "publish"]);
}

/// Without when it was decided: a plan and the day itself are never at the same time.
fn timeless(tellings: &Json) -> Json {
    let mut tellings = tellings.clone();
    for telling in tellings.as_array_mut().unwrap() {
        telling["at"] = Json::Null;
        // What the push service took is known only of what was told.
        telling.as_object_mut().unwrap().remove("pushes");
    }
    tellings
}

/// Publishes a change request of this id that names this approver; the file it stands in.
fn publish(site: &Site, id: &str, approver: &str) -> PathBuf {
    let mut event: Json =
        serde_json::from_str(&done(&["schemas", "example", "devadmin.change.requested"])).unwrap();
    (event["tenant"], event["event_id"]) = ("delta".into(), id.into());
    (event["data"]["request_id"], event["data"]["approvers"]) = (id.into(), json!([approver]));
    let file = site.file(&format!("{id}.json"));
    fs::write(&file, event.to_string()).unwrap();
    site.bugle(&["publish", &file.to_string_lossy()]);
    file
}

#[test]
fn a_payload_of_others_is_explained_as_the_change_its_mapping_makes_of_it() {
    let (folder, now) = (tempfile::tempdir().unwrap(), "2026-01-05T09:00:00Z");
    let run = json!({ "id": "run-1", "endedAt": now });
    let failed = json!({ "event": "flow.run.failed", "run": run, "flow": { "id": 7, "name": "Orders" } });
    let webhook = file(&folder, "webhook.json", &[failed, json!({ "event": "flow.run.started" })]);
    let explained = explained(&webhook, &[]);
    let events = explained["events"].as_array().unwrap();
    let seen = |index: usize, name: &str| events[index][name].as_str().unwrap_or_default().to_owned();
    assert_eq!(seen(0, "kind"), "xconnector.integration.failed");
    assert_eq!(
        (seen(0, "event_id"), seen(0, "mapping")),
        ("flow.run.failed/run-1".into(), "oneteg-run".into())
    );
    assert_eq!(events[0]["rules"][0]["id"], "xc-3-integration");
    assert_eq!((seen(1, "ended"), seen(1, "mapping")), ("unmatched".into(), "oneteg-run-noise".into()));

    let broken =
        file(&folder, "broken.json", &[json!({ "event": "flow.run.failed", "run": { "endedAt": now } })]);
    let (code, error) = ended(&["explain", &broken, "--people", PEOPLE]);
    assert_eq!(code, Some(1));
    assert!(error.contains("missing-field at `event_id`") && error.contains("`oneteg-run`"), "{error}");
    let unknown = file(&folder, "unknown.json", &[json!({ "event": "connection.saved" })]);
    let (_, error) = ended(&["explain", &unknown, "--people", PEOPLE]);
    assert!(error.contains(":1: unmapped: the mappings of xconnector are `oneteg-run-noise`"), "{error}");
    // A name that stands twice is refused here as it is in the lanes.
    let twice = folder.path().join("twice.json");
    fs::write(&twice, r#"{"event": "flow.run.failed", "run": {"id": "a", "id": "b"}}"#).unwrap();
    let (_, error) = ended(&["explain", &twice.to_string_lossy(), "--people", PEOPLE]);
    assert!(
        error.contains(":1: duplicate-key: an object names a member twice: line 1, column 52"),
        "{error}"
    );
}

#[test]
fn what_waits_is_told_when_it_comes_and_with_too_little_time_says_until_when() {
    insta::assert_snapshot!(explain("xecm.task.assigned", &[]), @r#"
    xecm.task.assigned evt-1001 of acme, 2026-01-05T09:00:00.000Z
    ├─ ec-1-review (EC-1, topology/xecm.yaml:6) wants it: told 0 of 1
    │  ├─ audience assignees else role:approver
    │  └─ ec-1-review first at 2026-01-05T09:00:00.000Z: told 0 of 1
    │     ├─ asked for person:ben else role:approver
    │     └─ not told
    │        └─ ben: merged(ec-7-decide) (person:ben)   [approver, field-service; Hamburg Harbour; Operations/Harbour]
    ├─ ec-3-sla (EC-3, topology/xecm.yaml:51) does not want it
    │  ├─ ✓ if event.due_at != null: due_at = 2026-01-09T09:00:00.000Z
    │  └─ ✗ if (event.kind == "xecm.task.late" || event.severity in ["high", "critical"]): kind = xecm.task.assigned, severity = medium
    ├─ ec-7-decide (EC-7, topology/xecm.yaml:139) wants it: told 1 of 1
    │  ├─ ✓ if event.action != null: action.ref = 115295-115295-1
    │  ├─ audience assignees never requester
    │  ├─ says Your decision: Supply agreement Weber GmbH.pdf · Approve supply agreement, until 9 Jan 2026, 09:00. Check the payment terms.
    │  └─ ec-7-decide first at 2026-01-05T09:00:00.000Z: told 1 of 1
    │     ├─ asked for person:ben never person:ada
    │     └─ told
    │        └─ ben: person:ben, at 2026-01-05T09:00:30.000Z   [approver, field-service; Hamburg Harbour; Operations/Harbour]
    └─ 40 rules hear other kinds
    "#);
    insta::assert_snapshot!(explain("xecm.task.assigned", &["--for", "10s"]), @r#"
    xecm.task.assigned evt-1001 of acme, 2026-01-05T09:00:00.000Z
    ├─ ec-1-review (EC-1, topology/xecm.yaml:6) wants it: told 0 of 1
    │  ├─ audience assignees else role:approver
    │  └─ ec-1-review first at 2026-01-05T09:00:00.000Z: told 0 of 1
    │     ├─ asked for person:ben else role:approver
    │     └─ not told
    │        └─ ben: held (person:ben)   [approver, field-service; Hamburg Harbour; Operations/Harbour]
    ├─ ec-3-sla (EC-3, topology/xecm.yaml:51) does not want it
    │  ├─ ✓ if event.due_at != null: due_at = 2026-01-09T09:00:00.000Z
    │  └─ ✗ if (event.kind == "xecm.task.late" || event.severity in ["high", "critical"]): kind = xecm.task.assigned, severity = medium
    ├─ ec-7-decide (EC-7, topology/xecm.yaml:139) wants it: told 0 of 1
    │  ├─ ✓ if event.action != null: action.ref = 115295-115295-1
    │  ├─ audience assignees never requester
    │  ├─ says Your decision: Supply agreement Weber GmbH.pdf · Approve supply agreement, until 9 Jan 2026, 09:00. Check the payment terms.
    │  └─ ec-7-decide first at 2026-01-05T09:00:00.000Z: told 0 of 1
    │     ├─ asked for person:ben never person:ada
    │     └─ not told
    │        └─ ben: held (person:ben), until 2026-01-05T09:00:30.000Z   [approver, field-service; Hamburg Harbour; Operations/Harbour]
    └─ 40 rules hear other kinds
    "#);
    // A rule that speaks by timers alone says when it begins, and a window that gathers is told as a whole.
    insta::assert_snapshot!(explain("devadmin.credential.expiring", &["--for", "1d"]), @r#"
    devadmin.credential.expiring evt-1001 of acme, 2026-01-05T09:00:00.000Z
    ├─ da-5-credential (DA-5, topology/devadmin.yaml:99) wants it
    │  ├─ audience owner else role:administrator
    │  ├─ da-5-credential first at 2026-01-05T09:00:00.000Z: says nothing yet: it waits for its time, 2026-01-06T09:00:00.000Z
    │  └─ da-5-credential reminder-1 at 2026-01-05T09:00:00.000Z: ended as nobody
    │     └─ asked for person:carl else role:administrator
    └─ 42 rules hear other kinds
    later, if nothing else happens
    ├─ da-5-credential reminder-2 at 2026-01-06T09:00:00.000Z: ended as nobody
    │  └─ asked for person:carl else role:administrator
    └─ 2 more after that, the next at 2026-01-08T09:00:00.000Z
    "#);
    let telling = |kind: &str| explained(kind, &[])["events"][0]["rules"][0]["tellings"][0].clone();
    let gathered = telling("bws.workspace.status_changed");
    assert_eq!((&gathered["ended"], &gathered["owed"]), (&json!("grouped"), &json!(2)), "{gathered}");
}

#[test]
fn of_a_file_only_the_events_of_the_tenant_asked_for_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let of = |tenant: &str| example("devadmin.change.requested", |event| event["tenant"] = tenant.into());
    let both = file(&folder, "both.jsonl", &[of("acme"), of("delta")]);
    let tenants = |more: &[&str]| -> Vec<String> {
        let explained = explained(&both, more);
        let events = explained["events"].as_array().unwrap();
        events.iter().map(|event| event["tenant"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(tenants(&[]), ["acme", "delta"]);
    assert_eq!(tenants(&["--tenant", "delta"]), ["delta"]);
    let example = explained("devadmin.change.requested", &["--tenant", "delta"]);
    assert_eq!(example["events"][0]["tenant"], "delta");
    let (code, said) = ended(&["explain", &both, "--people", PEOPLE, "--tenant", "gamma"]);
    assert!(code == Some(1) && said.contains("its events are of `acme`, `delta`"), "{said}");
}
