//! Kit: a real Kafka and a real schema registry for the tests, fetched through Maven and started once.
//!
//! The first test process that asks starts a service, the others use it; a small watchdog stops it when no
//! test process has been there for a while. Nothing is skipped: without a JDK or Maven the test fails.

#![allow(dead_code, reason = "each test binary uses its own part of the kit")]

pub(crate) mod browser;
pub(crate) mod cluster;
pub(crate) mod door;
pub(crate) mod ground;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod python;
pub(crate) mod services;
pub(crate) mod site;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use bugle::broker::kafka::{Kafka, KafkaSettings};
use bugle::broker::{Broker, BrokerError, Topic};
use bugle::clock::Tick;

use self::proxy::Proxy;
pub(crate) use self::services::get;
use self::services::{KAFKA, REGISTRY, shared, start_kafka, start_registry};

/// The bootstrap servers of a Kafka that all tests share: take topic names of your own.
pub(crate) fn kafka() -> &'static str {
    static SERVERS: OnceLock<String> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let port = shared(&format!("kafka-{KAFKA}"), start_kafka, |port| {
            let asked = Kafka::new(KafkaSettings::local(format!("127.0.0.1:{port}")));
            let answer = asked.and_then(|kafka| kafka.partitions(Topic::Audit));
            !matches!(answer, Err(BrokerError::Unavailable { .. }))
        });
        format!("127.0.0.1:{port}")
    })
}

/// The folder in which that Kafka keeps its logs.
pub(crate) fn kafka_data() -> PathBuf {
    kafka();
    services::home_of(&format!("kafka-{KAFKA}")).join("data")
}

/// A proxy before that Kafka, for one test process at a time: it serves all tests of this one.
pub(crate) fn proxy() -> Proxy {
    static PROXY: OnceLock<(Proxy, File)> = OnceLock::new();
    let open = || {
        kafka();
        let home = services::home_of(&format!("kafka-{KAFKA}"));
        let lock = File::create(home.join("proxy.lock")).expect("target/ can be written");
        lock.lock().expect("the file system has locks");
        let (port, behind) = services::proxied(&home);
        (Proxy::open(port, behind), lock)
    };
    PROXY.get_or_init(open).0.clone()
}

/// The base URL of a schema registry that all tests share: take subject names of your own.
pub(crate) fn registry() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        let port = shared(&format!("registry-{REGISTRY}"), start_registry, |port| {
            get(port, "/apis/ccompat/v7/subjects").is_some_and(|answer| answer.contains(" 200 "))
        });
        format!("http://127.0.0.1:{port}/apis/ccompat/v7")
    })
}

/// Waits for a condition, and fails the test when it does not come true in time.
#[allow(clippy::disallowed_methods, reason = "what is waited for happens in another process or thread")]
pub(crate) fn until(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let begun = Tick::now();
    while !holds() {
        assert!(begun.elapsed() < within, "after {within:?} still not: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Straight to stderr: what is printed with the macros is shown only when a test fails.
pub(crate) fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "kit: {what}");
}
