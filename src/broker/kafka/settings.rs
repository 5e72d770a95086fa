//! Settings: how librdkafka is told to behave, and what nobody may tell it otherwise.
//!
//! The values pinned here differ from librdkafka's own where those lose records silently or take memory
//! without bound. A person may overrule them, but not those a promise rests on. Values are never printed:
//! some are secrets, under more names than the client library masks.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;

use super::super::names::Names;
use super::super::{BrokerError, LinkSpec};

/// How long a question to the cluster may take.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How to reach a cluster.
#[derive(Clone)]
pub struct KafkaSettings {
    /// Bootstrap servers, `host:port` with commas between.
    pub brokers: String,
    /// What the cluster's own logs call us.
    pub client_id: String,
    /// What the topics are called.
    pub names: Names,
    /// librdkafka's settings, by their own names; after `consumer.` or `producer.` for one of both only.
    pub overrides: BTreeMap<String, String>,
    /// Whether a link that anybody can read may leave this machine.
    pub allow_plaintext: bool,
    /// `false` only to measure what transactions cost: then records, memory and positions leave one after
    /// the other, and a crash between repeats what was written.
    pub exactly_once: bool,
}

/// For all clients. librdkafka's own defaults in brackets.
const BOTH: &[(&str, &str)] = &[
    ("socket.keepalive.enable", "true"), // [false] firewalls forget idle connections
    ("reconnect.backoff.ms", "50"),      // [100]
    ("reconnect.backoff.max.ms", "5000"), // [10000]
    ("topic.metadata.refresh.interval.ms", "60000"), // [300000] new partitions are seen within a minute
    ("allow.auto.create.topics", "false"), // a topic made by accident has the wrong settings
];

/// For those who read.
const CONSUMER: &[(&str, &str)] = &[
    ("isolation.level", "read_committed"),
    ("enable.auto.commit", "false"),       // [true]
    ("enable.auto.offset.store", "false"), // [true]
    ("auto.offset.reset", "error"),        // [largest] skips silently what it cannot find
    ("enable.partition.eof", "false"),
    ("check.crcs", "true"),                                  // [false]
    ("partition.assignment.strategy", "cooperative-sticky"), // [range,roundrobin]
    ("session.timeout.ms", "15000"),                         // [45000]
    ("heartbeat.interval.ms", "3000"),
    ("max.poll.interval.ms", "60000"), // [300000] how long a stalled lane keeps its partitions
    ("queued.max.messages.kbytes", "16384"), // [65536] memory per link
    ("queued.min.messages", "10000"),  // [100000]
    ("fetch.queue.backoff.ms", "50"),  // [1000] a second of silence after each full queue
    ("fetch.wait.max.ms", "50"),       // [500] questions on the same connection wait behind it
    ("fetch.error.backoff.ms", "100"), // [500]
];

/// For those who write.
const PRODUCER: &[(&str, &str)] = &[
    ("enable.idempotence", "true"), // [false]
    ("acks", "all"),
    ("topic.metadata.propagation.max.ms", "3000"), // [30000] how long a missing topic is waited for
    ("partitioner", "murmur2_random"), // [consistent_random] as every Java client; see `partitioner`
    ("compression.type", "lz4"),       // [none]
    ("queue.buffering.max.kbytes", "65536"), // [1048576] memory per producer
    ("message.max.bytes", "1040000"),  // [1000000] above what `terms` lets through, below the topics'
];

/// What a promise rests on, and whose.
const NOT_TO_BE_OVERRULED: &[&str] = &[
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "isolation.level",
    "partition.assignment.strategy",
    "partitioner",
    "transactional.id",
];

// === impl KafkaSettings ===

/// The names of what is set, and no value but the servers.
impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .field("client_id", &self.client_id)
            .field("overrides", &self.overrides.keys().collect::<Vec<_>>())
            .field("allow_plaintext", &self.allow_plaintext)
            .finish_non_exhaustive()
    }
}

impl KafkaSettings {
    /// A cluster on this machine, with the names of the manual.
    #[must_use]
    pub fn local(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            client_id: "bugle".to_owned(),
            names: Names::default(),
            overrides: BTreeMap::new(),
            allow_plaintext: false,
            exactly_once: true,
        }
    }

    /// Refuses what would break a promise or let others read along.
    ///
    /// # Errors
    /// [`BrokerError::Setting`].
    pub fn check(&self) -> Result<(), BrokerError> {
        for key in self.overrides.keys() {
            let bare = key.strip_prefix("consumer.").or_else(|| key.strip_prefix("producer.")).unwrap_or(key);
            if NOT_TO_BE_OVERRULED.contains(&bare) {
                let fault = "is Bugle's own to set; remove it".to_owned();
                return Err(BrokerError::Setting { setting: key.clone(), fault });
            }
        }
        let protocol = self.override_of("security.protocol").unwrap_or("plaintext").to_ascii_lowercase();
        if protocol.ends_with("plaintext")
            && !self.allow_plaintext
            && !self.brokers.split(',').all(is_loopback)
        {
            let fault = format!(
                "is {protocol}, which anybody between here and {} can read; set it to ssl or sasl_ssl, \
                 or say allow_plaintext",
                self.brokers
            );
            return Err(BrokerError::Setting { setting: "security.protocol".to_owned(), fault });
        }
        let identity = self.override_of("ssl.endpoint.identification.algorithm");
        if protocol.ends_with("ssl") && identity == Some("none") {
            let fault = "is none, which lets anybody answer in the cluster's name; remove it".to_owned();
            return Err(BrokerError::Setting {
                setting: "ssl.endpoint.identification.algorithm".to_owned(),
                fault,
            });
        }
        Ok(())
    }

    /// For a lane's reader.
    pub(super) fn consumer(&self, spec: &LinkSpec) -> ClientConfig {
        let mut config = self.config(CONSUMER, "consumer.");
        config.set("group.id", &spec.group);
        if let Some(instance) = &spec.instance_id {
            config.set("group.instance.id", instance);
        }
        config
    }

    /// For the reader of a whole topic, which belongs to no group and starts anew where records are gone.
    pub(super) fn follower(&self) -> ClientConfig {
        let mut config = self.config(CONSUMER, "consumer.");
        config.set("group.id", format!("{}.follow", self.client_id)).set("auto.offset.reset", "earliest");
        config
    }

    /// For a lane's writer. A commit hands over all it has at once, so that waiting for more is of little use.
    pub(super) fn transactional(&self, spec: &LinkSpec) -> ClientConfig {
        let open = self.transaction_timeout(spec).as_millis();
        let mut config = self.config(PRODUCER, "producer.");
        config.set("transactional.id", &spec.transactional_id).set("linger.ms", self.linger());
        let ours = [
            ("transaction.timeout.ms", open.to_string()),
            ("message.timeout.ms", (open - open / 10).to_string()),
            // [100] until the coordinator has ended the transaction before; see `writer`
            ("retry.backoff.ms", "2".to_owned()),
        ];
        for (key, value) in ours {
            config.set(key, self.for_a_producer(key).unwrap_or(&value));
        }
        config
    }

    /// How long a lane's transaction may stay open.
    pub(super) fn transaction_timeout(&self, spec: &LinkSpec) -> Duration {
        let given = self.for_a_producer("transaction.timeout.ms").and_then(|millis| millis.parse().ok());
        given.map_or(spec.transaction_timeout, Duration::from_millis)
    }

    /// For a lane's writer without transactions.
    pub(super) fn untransacted(&self) -> ClientConfig {
        let mut config = self.publisher();
        config.set("linger.ms", self.linger());
        config
    }

    fn linger(&self) -> &str {
        self.for_a_producer("linger.ms").unwrap_or("1")
    }

    /// For the front desk's writer.
    pub(super) fn publisher(&self) -> ClientConfig {
        let mut config = self.config(PRODUCER, "producer.");
        config.set("message.timeout.ms", "30000");
        config
    }

    /// For questions about topics.
    pub(super) fn admin(&self) -> ClientConfig {
        self.config(&[], "admin.")
    }

    fn config(&self, pinned: &[(&str, &str)], own: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("client.id", &self.client_id);
        for (key, value) in BOTH.iter().chain(pinned) {
            config.set(*key, *value);
        }
        for (key, value) in &self.overrides {
            if let Some(key) = key.strip_prefix(own) {
                config.set(key, value);
            } else if !key.starts_with("consumer.") && !key.starts_with("producer.") {
                config.set(key, value);
            }
        }
        config
    }

    /// What somebody set for producers, or for all clients.
    fn for_a_producer(&self, key: &str) -> Option<&str> {
        self.override_of(&format!("producer.{key}")).or_else(|| self.override_of(key))
    }

    fn override_of(&self, key: &str) -> Option<&str> {
        self.overrides.get(key).map(String::as_str)
    }
}

/// Whether `host:port` is this machine.
fn is_loopback(server: &str) -> bool {
    let server = server.trim();
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(brokers: &str, overrides: &[(&str, &str)], allow_plaintext: bool) -> String {
        let overrides = overrides.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let settings = KafkaSettings { overrides, allow_plaintext, ..KafkaSettings::local(brokers) };
        settings.check().map_or_else(|refusal| refusal.to_string(), |()| "fine".to_owned())
    }

    #[test]
    fn plaintext_stays_on_this_machine_unless_it_is_allowed() {
        assert_eq!(checked("127.0.0.1:9092,[::1]:9092,localhost:1", &[], false), "fine");
        assert_eq!(
            checked("127.0.0.1:9092,kafka.example.com:9092", &[], false),
            "Kafka setting `security.protocol` is plaintext, which anybody between here and \
             127.0.0.1:9092,kafka.example.com:9092 can read; set it to ssl or sasl_ssl, or say allow_plaintext"
        );
        assert_ne!(
            checked("127.example.com:9092", &[("security.protocol", "SASL_PLAINTEXT")], false),
            "fine"
        );
        assert_eq!(checked("kafka.example.com:9092", &[("security.protocol", "sasl_ssl")], false), "fine");
        assert_eq!(checked("kafka.example.com:9092", &[], true), "fine");
    }

    #[test]
    fn what_a_promise_rests_on_cannot_be_overruled() {
        for key in ["isolation.level", "consumer.auto.offset.reset", "producer.enable.idempotence"] {
            assert_eq!(
                checked("localhost:9092", &[(key, "x")], false),
                format!("Kafka setting `{key}` is Bugle's own to set; remove it")
            );
        }
    }

    #[test]
    fn a_hostname_that_is_not_checked_is_refused() {
        let overrides = [("security.protocol", "ssl"), ("ssl.endpoint.identification.algorithm", "none")];
        assert_ne!(checked("kafka.example.com:9092", &overrides, false), "fine");
    }

    #[test]
    fn a_setting_overrules_the_pinned_one_where_it_is_meant() {
        let mut settings = KafkaSettings::local("localhost:9092");
        settings.overrides.insert("producer.compression.type".to_owned(), "zstd".to_owned());
        settings.overrides.insert("session.timeout.ms".to_owned(), "6000".to_owned());
        let writer = settings.publisher();
        assert_eq!(writer.get("compression.type"), Some("zstd"));
        let reader = settings.follower();
        assert_eq!((reader.get("compression.type"), reader.get("session.timeout.ms")), (None, Some("6000")));
    }

    fn spec() -> LinkSpec {
        LinkSpec {
            group: "bugle-subject".to_owned(),
            transactional_id: "bugle-i1-subject-0".to_owned(),
            instance_id: None,
            inputs: Vec::new(),
            start_from: crate::broker::StartFrom::Earliest,
            transaction_timeout: Duration::from_secs(10),
        }
    }

    #[test]
    fn every_pinned_setting_is_as_it_is_written_here() {
        let settings = KafkaSettings::local("localhost:9092");
        let written = |config: &ClientConfig| {
            let mut lines: Vec<_> = config.config_map().iter().map(|(k, v)| format!("{k}={v}")).collect();
            lines.sort();
            lines.join("\n")
        };
        insta::assert_snapshot!(written(&settings.consumer(&spec())), @"
        allow.auto.create.topics=false
        auto.offset.reset=error
        bootstrap.servers=localhost:9092
        check.crcs=true
        client.id=bugle
        enable.auto.commit=false
        enable.auto.offset.store=false
        enable.partition.eof=false
        fetch.error.backoff.ms=100
        fetch.queue.backoff.ms=50
        fetch.wait.max.ms=50
        group.id=bugle-subject
        heartbeat.interval.ms=3000
        isolation.level=read_committed
        max.poll.interval.ms=60000
        partition.assignment.strategy=cooperative-sticky
        queued.max.messages.kbytes=16384
        queued.min.messages=10000
        reconnect.backoff.max.ms=5000
        reconnect.backoff.ms=50
        session.timeout.ms=15000
        socket.keepalive.enable=true
        topic.metadata.refresh.interval.ms=60000
        ");
        insta::assert_snapshot!(written(&settings.transactional(&spec())), @"
        acks=all
        allow.auto.create.topics=false
        bootstrap.servers=localhost:9092
        client.id=bugle
        compression.type=lz4
        enable.idempotence=true
        linger.ms=1
        message.max.bytes=1040000
        message.timeout.ms=9000
        partitioner=murmur2_random
        queue.buffering.max.kbytes=65536
        reconnect.backoff.max.ms=5000
        reconnect.backoff.ms=50
        retry.backoff.ms=2
        socket.keepalive.enable=true
        topic.metadata.propagation.max.ms=3000
        topic.metadata.refresh.interval.ms=60000
        transaction.timeout.ms=10000
        transactional.id=bugle-i1-subject-0
        ");
    }

    #[test]
    fn every_pinned_setting_but_those_a_promise_rests_on_can_be_overruled() {
        let made = KafkaSettings::local("localhost:9092");
        let (reader, writer) = (made.consumer(&spec()), made.transactional(&spec()));
        let sides = [("consumer.", reader), ("producer.", writer)];
        for (side, pinned) in sides {
            for key in pinned.config_map().keys().filter(|key| **key != "client.id") {
                let name = format!("{side}{key}");
                let overrides = BTreeMap::from([(name.clone(), "4711".to_owned())]);
                let settings = KafkaSettings { overrides, ..KafkaSettings::local("localhost:9092") };
                if NOT_TO_BE_OVERRULED.contains(key) {
                    assert!(settings.check().is_err(), "{name}");
                    continue;
                }
                settings.check().unwrap();
                let now = if side == "consumer." {
                    settings.consumer(&spec())
                } else {
                    settings.transactional(&spec())
                };
                assert_eq!(now.get(key), Some("4711"), "{name}");
            }
        }
    }

    #[test]
    fn a_transaction_may_stay_open_for_as_long_as_it_is_told() {
        let mut settings = KafkaSettings::local("localhost:9092");
        assert_eq!(settings.transaction_timeout(&spec()), Duration::from_secs(10));
        settings.overrides.insert("producer.transaction.timeout.ms".to_owned(), "20000".to_owned());
        assert_eq!(settings.transaction_timeout(&spec()), Duration::from_secs(20));
        assert_eq!(settings.transactional(&spec()).get("message.timeout.ms"), Some("18000"));
    }

    #[test]
    fn no_value_is_printed() {
        let mut settings = KafkaSettings::local("localhost:9092");
        settings.overrides.insert("sasl.password".to_owned(), "hunter2".to_owned());
        let printed = format!("{settings:?}");
        assert!(printed.contains("sasl.password") && !printed.contains("hunter2"), "{printed}");
    }
}
