//! Prometheus: a real one scrapes, every panel shows what real parts did, and every alert can fire.
//!
//! The panels are asked beside a whole site: Kafka, the registry, `bugle run` and the push service as
//! processes of their own. What alarms does not happen there, so the alerts are asked beside facts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod kit;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bugle::clock::{self, Tick};
use bugle::event::fact::{AnswerEnding, CommitResult, RefusalClass, SendOutcome};
use bugle::event::record::Input;
use bugle::event::{Carried, Fact, Lane, Outgoing, Reason, Source, Span, Topic};
use bugle::serve::{self, Limits, Window};
use bugle::store::view::Board;
use bugle::telemetry::{self, Meters};
use serde_json::Value;

/// A process that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One of each fact a healthy and a troubled process tells.
fn facts() -> Vec<Fact> {
    let (now, took) = (clock::now(), Duration::from_millis(12));
    let mut facts = vec![
        Fact::FannedOut { people: vec![12] },
        Fact::NoTelling { reason: Reason::Nobody, count: 1 },
        Fact::NotTold { reason: Reason::Unknown, count: 30 },
        Fact::Told { count: 9 },
        Fact::Cut { members: 9 },
        Fact::Accepted { latency: Span::from_millis(300) },
        Fact::InFlight { requests: 2 },
        Fact::BackedOff,
        Fact::DirectoryRead { people: 50, zoneless: 0, at: now - Span::from_secs(90) },
        Fact::RulesInForce { generation: 1, hash: 7, rules: 40, before: Some(6) },
        Fact::RulesRefused,
        Fact::Muted { silences: Vec::new(), blocks: 2 },
        Fact::Answered { count: 2 },
        Fact::AnswerEnded { ending: AnswerEnding::Accepted, count: 1 },
        Fact::WriteBackOwed { count: 3 },
        Fact::WriteBackEnded { ending: Carried::Refused("conflict".to_owned()), count: 1 },
        Fact::WriteBackEnded { ending: Carried::Dead("write-back-gave-up".to_owned()), count: 1 },
    ];
    for source in Source::ALL {
        facts.extend([
            Fact::Read { source, count: 10 },
            Fact::Refused { source, class: RefusalClass::Schema, count: 1 },
            Fact::Unmatched { source, count: 2 },
            Fact::Matched { source, changes: 7, hearings: 8 },
            Fact::Duplicate { source, count: 1 },
            Fact::Routed { source, count: 7 },
        ]);
    }
    for lane in Lane::ALL {
        let input = Input { topic: Topic::Subjects, partition: 0 };
        facts.extend([
            Fact::Commit { lane, result: CommitResult::Committed, records: 10, took },
            Fact::Commit { lane, result: CommitResult::Aborted, records: 10, took },
            Fact::Lag { lane, input, records: 5, oldest: Span::from_secs(61) },
            Fact::Assigned { lane, partitions: 4 },
            Fact::Progress { lane, at: now - Span::from_secs(121) },
            Fact::DeadLetter { lane, class: RefusalClass::Content },
            Fact::RulesAwaited { lane, input, waited: Span::from_secs(61) },
        ]);
    }
    facts.extend(SendOutcome::ALL.map(|outcome| Fact::Sent { outcome, took }));
    facts
}

fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    // HTTP/1.0, so that the answer comes in one piece.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// The values an expression has now.
fn query(address: SocketAddr, expression: &str) -> Result<Vec<f64>, String> {
    let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let body = get(address, &format!("/api/v1/query?query={encoded}")).ok_or("no answer")?;
    let answer: Value = serde_json::from_str(&body).map_err(|fault| format!("{fault}: {body}"))?;
    if answer["status"] != "success" {
        return Err(answer["error"].to_string());
    }
    let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    let value = |series: &Value| series["value"][1].as_str().and_then(|text| text.parse::<f64>().ok());
    Ok(series.iter().filter_map(value).filter(|value| value.is_finite()).collect())
}

/// A name to complain with, and a PromQL expression.
type Asked = (String, String);

fn panels() -> Vec<Asked> {
    let text = fs::read_to_string(root().join("deploy/grafana/dashboards/bugle.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut all = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "20s");
            all.push((panel["title"].as_str().unwrap().to_owned(), expression));
        }
    }
    all
}

fn alerts() -> Vec<Asked> {
    let text = fs::read_to_string(root().join("deploy/alerts.yml")).unwrap();
    let alerts: Value = serde_saphyr::from_str(&text).unwrap();
    let rules = alerts["groups"][0]["rules"].as_array().unwrap();
    let word = |rule: &Value, name: &str| rule[name].as_str().unwrap().to_owned();
    rules.iter().map(|rule| (word(rule, "alert"), word(rule, "expr"))).collect()
}

/// A Prometheus that scrapes one target with the shipped configuration.
struct Scraper {
    _process: Ends,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

// === impl Scraper ===

impl Scraper {
    fn start(target: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = fs::read_to_string(root().join("deploy/prometheus.yml")).unwrap();
        let config =
            config.replace("bugle:8090", target).replace("scrape_interval: 5s", "scrape_interval: 1s");
        fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        fs::copy(root().join("deploy/alerts.yml"), folder.path().join("alerts.yml")).unwrap();
        // Free a moment ago; another process may take it, then whoever asks says so.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let started = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let process = Ends(started.expect("`prometheus` is needed: apt-get install -y prometheus"));
        Self { _process: process, address, folder }
    }

    /// Asks until every expression has had data; `meanwhile` keeps things happening.
    fn until_all_have_data(&self, mut open: Vec<Asked>, mut meanwhile: impl FnMut()) {
        let started = Tick::now();
        let mut told = String::new();
        while !open.is_empty() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            let late = started.elapsed() > Duration::from_secs(120);
            assert!(!late, "no data for {open:#?}; {told}; {}", log());
            meanwhile();
            open.retain(|(_, expression)| match query(self.address, expression) {
                Ok(values) => values.is_empty(),
                Err(fault) => {
                    told = format!("{expression}: {fault}");
                    true
                }
            });
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }
}

#[test]
fn every_panel_shows_what_the_real_parts_do() {
    let site = kit::site::Site::open(kit::registry(), 2, &[]);
    let mut bugle = site.run();
    let admin = bugle.until_it_says("running admin=http://");
    let scraper = Scraper::start(admin.trim());
    let (prefix, sent) = (format!("{}opentext.", site.prefix), site.file("sent.jsonl"));
    let mut seed = 0;
    let panels = panels();
    assert!(panels.len() > 30);
    scraper.until_all_have_data(panels, || {
        seed += 1;
        let (seed, out) = (seed.to_string(), sent.to_string_lossy());
        let publisher = ["--brokers", kit::kafka(), "--registry", kit::registry(), "--prefix", &prefix];
        let what = ["--events", "200", "--seed", &seed, "--out", &out];
        kit::python::script("publisher.py", &[publisher, what].concat());
        bugle.lives();
    });
    let firing = |(name, expression): &Asked| match query(scraper.address, expression) {
        Ok(values) => (!values.is_empty()).then(|| name.clone()),
        Err(fault) => panic!("{name}: {fault}"),
    };
    let fired: Vec<String> = alerts().iter().filter_map(firing).collect();
    assert!(fired.is_empty(), "nothing is wrong, and these fire: {fired:?}");

    let unreadable = Outgoing {
        topic: Topic::Events(Source::Xecm),
        partition: None,
        key: None,
        value: Some("no event".into()),
        headers: Vec::new(),
    };
    site.broker.publish(vec![unreadable]).unwrap();
    let dead_letters = alerts().into_iter().filter(|(name, _)| name == "BugleDeadLetters").collect();
    scraper.until_all_have_data(dead_letters, || bugle.lives());
    bugle.kill();
    let down = alerts().into_iter().filter(|(name, _)| name == "BugleDown").collect();
    scraper.until_all_have_data(down, || {});
}

#[test]
fn every_alert_fires_when_there_is_reason_to() {
    let meters = Meters::install().unwrap();
    let board = Arc::new(Board::new(clock::now()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener =
        runtime.block_on(serve::listen(SocketAddr::from(([127, 0, 0, 1], 0)), "admin.listen")).unwrap();
    let target = listener.local_addr().unwrap();
    let window = Window {
        board,
        metrics: Arc::new(move || {
            // Something happens between any two scrapes.
            facts().iter().for_each(telemetry::count);
            meters.upkeep();
            meters.render()
        }),
        inbox: None,
        limits: Limits::default(),
    };
    runtime.spawn(serve::serve(listener, window, std::future::pending()));
    // The process under test answers, so that one alert is right to stay silent.
    let alerts: Vec<Asked> = alerts().into_iter().filter(|(name, _)| name != "BugleDown").collect();
    assert!(alerts.len() > 6);
    Scraper::start(&target.to_string()).until_all_have_data(alerts, || {});
}

#[test]
fn promtool_accepts_configuration_and_alerts() {
    let ran = Command::new("promtool")
        .args(["check", "config", "deploy/prometheus.yml"])
        .current_dir(root())
        .output();
    let ran = ran.expect("`promtool` is needed: apt-get install -y prometheus");
    let told = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && told.contains("rules found"), "{told}");
}

#[test]
fn promtool_finds_nothing_to_say_about_the_metrics() {
    let mut lint = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`promtool` is needed: apt-get install -y prometheus");
    let page = Meters::apart(|meters| {
        facts().iter().for_each(telemetry::count);
        meters.render()
    });
    lint.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let ran = lint.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{told}");
}
