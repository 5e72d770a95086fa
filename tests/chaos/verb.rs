//! Verb: `bugle chaos` for a short while, as an operator runs it.

use std::fs;
use std::process::Command;

use bugle::broker::Topic;
use bugle::broker::kafka::{Kafka, KafkaSettings};
use bugle::broker::names::Names;
use bugle::broker::{Broker, BrokerError};
use serde_json::Value as Json;

use crate::kit;
use crate::kit::process::{Process, done, ended};

#[test]
fn bugle_chaos_ends_processes_judges_what_came_of_it_and_leaves_no_topic() {
    let args = ["chaos", "--brokers", kit::kafka(), "--rate", "40", "--instances", "2", "--output", "json"];
    let said = done(&[&args[..], &["--minutes", "0.4"]].concat());
    let outcome: Json = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(outcome["clean"], true, "{outcome:#}");
    let ids: Vec<&str> =
        outcome["checks"].as_array().unwrap().iter().map(|check| check["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8"]);
    assert!(outcome["faults"]["kills"].as_u64().unwrap() >= 2 && outcome["owed"].as_u64().unwrap() > 500);

    let prefix = outcome["prefix"].as_str().unwrap();
    let names = Names::with_prefixes(&format!("{prefix}bugle."), &format!("{prefix}opentext."));
    let kafka = Kafka::new(KafkaSettings { names, ..KafkaSettings::local(kit::kafka()) }).unwrap();
    for topic in Topic::ALL {
        kit::until("the topic is gone", kit::ground::SOON, || {
            matches!(kafka.partitions(topic), Err(BrokerError::Topic { .. }))
        });
    }
}

#[test]
fn bugle_chaos_stays_on_this_machine_unless_it_is_told_otherwise() {
    let (code, said) =
        ended(&["chaos", "--brokers", "kafka.example.com:9092", "--set", "kafka.allow_plaintext=true"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("is not this machine") && said.contains("--anywhere"), "{said}");
}

/// The state of a process and who started it, while it is there.
fn found(process: &str) -> Option<(String, String)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut words = stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned);
    Some((words.next()?, words.next()?))
}

/// The processes that one has started.
fn started_by(parent: &str) -> Vec<String> {
    let all = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    all.filter(|process| found(process).is_some_and(|(_, of)| of == parent)).collect()
}

#[test]
fn bugle_chaos_that_is_killed_leaves_no_process_behind() {
    let brokers = kit::kafka();
    let chaos =
        Process::start(&["chaos", "--brokers", brokers, "--instances", "2", "--rate", "1", "--minutes", "5"]);
    let mut left = Vec::new();
    // Who has more than one thread has begun, and knows with whom it is to end.
    let has_begun =
        |process: &String| fs::read_dir(format!("/proc/{process}/task")).is_ok_and(|all| all.count() > 1);
    kit::until("its push service and both instances run", kit::ground::SOON, || {
        left = started_by(&chaos.id().to_string());
        left.len() == 3 && left.iter().all(has_begun)
    });
    // One of them stands still, and could not do anything about it itself.
    let stopped = Command::new("kill").args(["-STOP", left.last().unwrap()]).status();
    assert!(stopped.unwrap().success());
    chaos.kill();
    kit::until("none of them is left", kit::ground::SOON, || {
        left.retain(|process| found(process).is_some_and(|(state, _)| state != "Z"));
        left.is_empty()
    });
}
