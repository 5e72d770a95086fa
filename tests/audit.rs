//! Audit: on a real Kafka the chains are whole, a record that somebody put in is named, and dead letters
//! can be looked at and sent again.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod kit;

use std::time::Duration;

use bugle::broker::{Outgoing, Topic};
use kit::site::Site;

#[test]
fn the_chains_of_a_run_are_whole_and_a_record_put_in_is_named() {
    let site = Site::open(kit::registry(), 2, &[]);
    let mut bugle = site.run();
    let example = kit::process::done(&["schemas", "example", "xecm.task.assigned"]);
    let event: serde_json::Value = serde_json::from_str(&example).unwrap();
    let id = event["event_id"].as_str().unwrap();
    let file = site.file("event.json");
    std::fs::write(&file, &example).unwrap();
    site.bugle(&["publish", &file.to_string_lossy()]);
    site.until_the_books_close(1, Duration::from_secs(60), |_| bugle.lives());
    assert_eq!(bugle.terminate(), Some(0));

    let heads = site.file("heads.json");
    let said = site.bugle(&["audit", "verify", "--save-heads", &heads.to_string_lossy()]);
    assert!(said.contains("every chain is whole"), "{said}");
    assert!(said.contains("receipts: every"), "{said}");
    // By the event, or by what it is about: who was told by which term, and what the push service took.
    let shown = site.bugle(&["audit", id]);
    assert!(shown.contains(id) && shown.contains("asked for "), "{shown}");
    assert!(shown.contains("accepted at") && shown.contains(", batch b-"), "{shown}");
    let about = shown.lines().next().unwrap();
    let task = about.split('|').next_back().unwrap();
    let matters = site.bugle(&["audit", task, "--output", "json"]);
    let matters: serde_json::Value = serde_json::from_str(&matters).unwrap();
    let matter = matters["matters"].as_array().unwrap().iter().find(|matter| matter["subject"] == about);
    let tellings = matter.unwrap()["changes"][0]["tellings"].as_array().unwrap();
    let pushed = tellings.iter().filter(|telling| telling["pushes"][0]["count"].as_u64() >= Some(1));
    assert!(pushed.count() > 0, "{matters:#}");
    let (code, said) = site.try_bugle(&["audit", "task_id=nobody-knows-it"]);
    assert_eq!(code, Some(1), "{said}");
    let exported = site.bugle(&["audit", "export"]);
    let exported: Vec<serde_json::Value> =
        exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let owed = exported.iter().find(|line| line["event_id"] == id && line["ending"] == "owed").unwrap();
    // By the rules and the directory as they were, and by which terms.
    let topology = owed["topology"].as_str().unwrap();
    assert!(topology.len() == 16 && owed["directory"].is_array(), "{owed}");
    assert!(owed["asked"]["groups"][0]["term"].is_string() && owed["at"].is_string(), "{owed}");
    assert!(exported.iter().any(|line| line["receipts"][0].is_string()), "{exported:?}");
    assert_eq!(site.bugle(&["audit", "export", "--to", "2001-01-01T00:00:00Z"]), "");

    let (topic, value) = (Topic::Audit, Some(b"a verdict of my own".as_slice().into()));
    let forged = Outgoing { topic, partition: Some(0), key: None, value, headers: Vec::new() };
    site.broker.publish(vec![forged]).unwrap();
    let (code, said) = site.try_bugle(&["audit", "verify", "--heads", &heads.to_string_lossy()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("this is no audit record"), "{said}");
    let (code, said) = site.try_bugle(&["audit", "export"]);
    assert!(code == Some(1) && said.contains("not exported: 1 records"), "{said}");
    let receipt = bugle::event::Receipt { told: 1, notices: told(), ..Default::default() };
    let value = Some(bugle::codec::outputs::encode_receipt(1, &receipt).into());
    let (topic, partition) = (Topic::Receipts, Some(1));
    site.broker.publish(vec![Outgoing { topic, partition, key: None, value, headers: Vec::new() }]).unwrap();
    let (_, said) = site.try_bugle(&["audit", "verify"]);
    assert!(said.contains("no chain names this receipt"), "{said}");
}

/// Somebody is said to have been told something.
fn told() -> Vec<bugle::event::receipt::Accepted> {
    vec![bugle::event::receipt::Accepted { notice: 7, told: 1 }]
}

#[test]
fn a_dead_letter_is_listed_and_comes_again_once_its_reason_is_mended() {
    let site = Site::open(kit::registry(), 2, &[]);
    let mut bugle = site.run();
    let broken = Topic::Events(bugle::event::Source::Xecm);
    let value = Some(b"neither Avro nor JSON".as_slice().into());
    let record = Outgoing { topic: broken, partition: Some(1), key: None, value, headers: Vec::new() };
    site.broker.publish(vec![record]).unwrap();
    site.until_the_books_close(1, Duration::from_secs(60), |_| bugle.lives());

    let listed: serde_json::Value =
        serde_json::from_str(&site.bugle(&["dlq", "list", "--output", "json"])).unwrap();
    assert_eq!(
        (&listed["letters"], &listed["reasons"][0]["stage"]),
        (&1.into(), &"source".into()),
        "{listed}"
    );
    let at = listed["newest"][0]["letter"].as_str().unwrap();
    let shown = site.bugle(&["dlq", "show", at]);
    assert!(shown.contains("neither Avro nor JSON"), "{shown}");
    assert!(site.bugle(&["dlq", "redrive"]).contains("1 would be sent again"));
    assert!(site.bugle(&["dlq", "redrive", "--go"]).contains("1 sent again"));
    // Nothing was mended: it is read once more, and set aside once more.
    site.until_the_books_close(2, Duration::from_secs(60), |_| bugle.lives());
    let listed: serde_json::Value =
        serde_json::from_str(&site.bugle(&["dlq", "list", "--output", "json"])).unwrap();
    assert_eq!(listed["letters"], 2, "{listed}");
    assert_eq!(bugle.terminate(), Some(0));
}
