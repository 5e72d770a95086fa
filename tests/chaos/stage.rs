//! Stage: topics, rules and people of one test, its push service, and who has to be told what.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bugle::app::books::Ledgers;
use bugle::app::chains::Chains;
use bugle::app::chaos::judge::judge;
use bugle::app::chaos::load::{self, Load};
use bugle::app::config::Config;
use bugle::app::wiring;
use bugle::broker::{Broker, Topic};
use bugle::clock::{self, Tick};
use bugle::codec::{Codec, Name};
use serde_json::Value as Json;

use crate::kit;
use crate::kit::ground::read_to_the_end;
use crate::kit::process::Process;

/// A run in which nothing more is told for so long has failed.
const PATIENCE: Duration = Duration::from_secs(90);

/// A member is missed after three seconds; what nobody ends is ended by the broker after ten.
const SHORT_SESSION: &str = "consumer.session.timeout.ms: '3000', consumer.heartbeat.interval.ms: '500'";

pub(crate) struct Stage {
    /// Begins transactional ids: after it come the instance, the lane and a number.
    pub(crate) group: String,
    pub(crate) load: Load,
    brokers: String,
    config: Config,
    broker: Arc<dyn Broker>,
    codec: Arc<Codec>,
    ledgers: Ledgers,
    stand_in: Process,
    stand_in_port: u16,
    folder: tempfile::TempDir,
}

// === impl Stage ===

impl Stage {
    /// On the Kafka that all tests share.
    pub(crate) fn open(seed: u64) -> Self {
        Self::on(kit::kafka(), seed)
    }

    /// On a cluster of the test's own. Makes topics, rules and people, and starts the push service.
    pub(crate) fn on(brokers: &str, seed: u64) -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("c{}-{}.", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
        let mut stand_in =
            Process::start(&["stand-in", "--listen", "127.0.0.1:0", "--inboxes", "0", "--keep-refs"]);
        let url = stand_in.until_it_says("stand-in at ").trim().to_owned();
        let stand_in_port = url.rsplit(':').next().unwrap().parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("topology");
        load::write_rules(&rules).unwrap();
        let group = format!("{prefix}bugle");
        let text = format!(
            "kafka:
  brokers: {brokers}
  group: {group}
  topics: {{ source_prefix: {prefix}opentext., own_prefix: {prefix}bugle., default_partitions: 4 }}
  properties: {{ {SHORT_SESSION} }}
topology: {{ folder: {} }}
push: {{ url: \"{url}\", in_flight: 4 }}
lanes: {{ threads: 1 }}
admin: {{ listen: 127.0.0.1:0 }}
answers: {{ listen: 127.0.0.1:0 }}
log: {{ format: human }}
",
            rules.display()
        );
        let file = folder.path().join("bugle.yaml");
        std::fs::write(&file, text).unwrap();
        let config = Config::load(Some(&file), &std::collections::BTreeMap::new(), &[]).unwrap();
        let broker = wiring::kafka(&config).unwrap();
        broker.create(&wiring::specs(&config).unwrap()).unwrap();
        let codec = wiring::codec(&config).unwrap();
        let load = Load::new(seed, Name::local_id);
        broker.publish(load.directory(Name::Person.local_id())).unwrap();
        let ledgers = Ledgers::open(broker.as_ref()).unwrap();
        let brokers = brokers.to_owned();
        Self { group, load, brokers, config, broker, codec, ledgers, stand_in, stand_in_port, folder }
    }

    /// Starts `bugle run` under a name, as a static member of its groups.
    pub(crate) fn run(&self, name: &str) -> Process {
        self.start(&self.brokers, &["--set", &format!("kafka.instance_id={name}")])
    }

    /// The same, at other servers: with a proxy between it and the broker.
    pub(crate) fn run_behind(&self, servers: &str, name: &str) -> Process {
        self.start(servers, &["--set", &format!("kafka.instance_id={name}")])
    }

    /// The same, with further arguments.
    pub(crate) fn run_with(&self, name: &str, more: &[&str]) -> Process {
        let name = format!("kafka.instance_id={name}");
        self.start(&self.brokers, &[&["--set", &name], more].concat())
    }

    /// Starts `bugle run` without a name.
    pub(crate) fn run_nameless(&self) -> Process {
        self.start(&self.brokers, &[])
    }

    fn start(&self, brokers: &str, more: &[&str]) -> Process {
        let file: PathBuf = self.folder.path().join("bugle.yaml");
        let args = ["run", "--config", &file.to_string_lossy(), "--brokers", brokers];
        Process::start(&[&args, more].concat())
    }

    /// What a topic is called here.
    pub(crate) fn topic(&self, topic: Topic) -> String {
        self.config.kafka.topics.name(topic)
    }

    /// What the transactional ids of a named instance's lane begin with.
    pub(crate) fn who(&self, name: &str, lane: &str) -> String {
        format!("{}-{name}-{lane}-", self.group)
    }

    /// Publishes so many records.
    pub(crate) fn publish(&mut self, count: usize) {
        let now = clock::now();
        let records = (0..count).map(|_| self.load.next_record(&self.codec, now)).collect();
        self.broker.publish(records).unwrap();
    }

    /// One of the push service's sums.
    pub(crate) fn sum(&self, name: &str) -> u64 {
        let ledger: Json = serde_json::from_str(&self.ask("GET", "/ledger?limit=0", "")).unwrap();
        ledger[name].as_u64().unwrap_or_else(|| panic!("no `{name}` in {ledger}"))
    }

    /// From now on the push service behaves like this.
    pub(crate) fn faults(&self, faults: &str) {
        self.ask("POST", "/faults", faults);
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut socket = TcpStream::connect(("127.0.0.1", self.stand_in_port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let length = body.len();
        write!(
            socket,
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        assert!(head.contains(" 200 "), "{method} {path}: {head}");
        body.to_owned()
    }

    /// Waits until so many tellings more are accepted.
    pub(crate) fn until_told(&self, more: u64, bugles: &mut [&mut Process]) {
        let before = self.sum("distinct");
        kit::until(&format!("{more} more tellings are accepted"), PATIENCE, || {
            bugles.iter_mut().for_each(|bugle| bugle.lives());
            self.sum("distinct") >= before + more
        });
    }

    /// Waits until all that is owed was told and every book closes, and judges what was told.
    pub(crate) fn settle(&mut self, bugles: &mut [&mut Process]) {
        let (mut last, mut since) = (0, Tick::now());
        loop {
            bugles.iter_mut().for_each(|bugle| bugle.lives());
            self.ledgers.read(Duration::from_millis(100)).unwrap();
            let books = self.ledgers.keeper.books();
            let told = self.sum("distinct");
            if told >= self.load.tellings && books.changes.read >= self.load.made && books.close() {
                break;
            }
            if told > last {
                (last, since) = (told, Tick::now());
            }
            if since.elapsed() > PATIENCE {
                let findings = judge(&self.load.owed, &self.ask("GET", "/refs", ""));
                panic!("nothing more for {PATIENCE:?}: {findings:#?} {books:#?}");
            }
        }
        let findings = judge(&self.load.owed, &self.ask("GET", "/refs", ""));
        assert!(findings.is_clean(), "{findings:#?}");
        assert_eq!(findings.told, self.load.tellings);
        assert_eq!((self.sum("repeated"), self.sum("altered")), (0, 0), "one id, one content");
    }

    /// The end of a test: all is told, the chains are whole, nothing is left open; and a new owner of
    /// everything, with its memory read back, tells nobody anything of what comes once more.
    pub(crate) fn close(mut self, mut bugle: Process) {
        self.settle(&mut [&mut bugle]);
        assert_eq!(bugle.terminate(), Some(0), "it was asked to stop, and nothing was wrong");
        let mut successor = self.run("successor");
        let copies = self.load.copies(200);
        self.broker.publish(copies).unwrap();
        self.settle(&mut [&mut successor]);
        assert_eq!(successor.terminate(), Some(0));
        let mut chains = Chains::default();
        let mut audit = self.broker.follow(Topic::Audit).unwrap();
        for record in read_to_the_end(audit.as_mut()) {
            chains.read(&record);
        }
        let mut receipts = self.broker.follow(Topic::Receipts).unwrap();
        read_to_the_end(receipts.as_mut()).iter().for_each(|record| chains.receipt(record));
        assert_eq!(chains.breaks(), Vec::new());
        for spec in bugle::broker::names::Names::default().specs(1) {
            let mut follow = self.broker.follow(spec.topic).unwrap();
            assert!(follow.is_settled().unwrap(), "a transaction is open in {}", spec.topic);
        }
        self.stand_in.lives();
    }
}
