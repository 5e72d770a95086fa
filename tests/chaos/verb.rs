//! Verb: `bugle chaos` for a short while, as an operator runs it.

use bugle::broker::Topic;
use bugle::broker::kafka::{Kafka, KafkaSettings};
use bugle::broker::names::Names;
use bugle::broker::{Broker, BrokerError};
use serde_json::Value as Json;

use crate::kit;
use crate::kit::process::{done, ended};

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
