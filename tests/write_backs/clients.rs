//! Clients: each source system's contract, against the stand-in and its faults.

use std::time::Duration;

use bugle::event::Source;
use bugle::event::notice::Verb;
use bugle::event::write_back::{Ask, Came, WriteBack};
use bugle::source_systems::{Addresses, ContentServer, Offices, Service, SourceSystems};
use bugle::stand_in::{Options, StandIn, Trouble, Troubles};
use serde_json::{Value as Json, json};
use tokio::runtime::Runtime;

use super::{answer, texts};

pub(super) struct Bench {
    pub(super) runtime: Runtime,
    pub(super) stand_in: StandIn,
    offices: Offices,
}

impl Bench {
    pub(super) fn new(things: &Json) -> Self {
        let runtime = Runtime::new().unwrap();
        let stand_in = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            bugle::stand_in::serve(listener, Options::default()).unwrap()
        });
        let service = Service { url: stand_in.url(), token: Some("a secret".into()) };
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let content_server = ContentServer {
            url: format!("{}/otcs/cs.exe", stand_in.url()),
            otds_url: stand_in.url(),
            client_id: "bugle".to_owned(),
            client_secret: "a secret".into(),
            partition: Some("members".to_owned()),
            approve: words(&["approve", "genehmigen"]),
            reject: words(&["reject", "ablehnen"]),
        };
        let (xconnector, devadmin) = (Some(service.clone()), Some(service));
        let addresses = Addresses { content_server: Some(content_server), xconnector, devadmin };
        let offices = Offices::new(addresses, Duration::from_secs(5)).unwrap();
        let bench = Self { runtime, stand_in, offices };
        bench.post("/systems", things);
        bench
    }

    pub(super) fn post(&self, path: &str, body: &Json) {
        let url = format!("{}{path}", self.stand_in.url());
        let request = reqwest::Client::new().post(url).body(body.to_string());
        let status = self.runtime.block_on(async { request.send().await.unwrap().status() });
        assert!(status.is_success(), "{path}: {status}");
    }

    pub(super) fn ledger(&self) -> Json {
        let url = format!("{}/systems/ledger", self.stand_in.url());
        self.runtime.block_on(async { reqwest::get(url).await.unwrap().json().await.unwrap() })
    }

    pub(super) fn call(&self, ask: Ask, answer: &WriteBack) -> Came {
        self.runtime.block_on(self.offices.call(ask, answer))
    }

    pub(super) fn next(&self, trouble: Trouble) {
        self.stand_in.trouble(Troubles { next: [trouble].into(), ..Troubles::default() });
    }

    /// What was done: what it became, and who did it.
    pub(super) fn done(&self) -> Vec<(String, String)> {
        self.stand_in.applied().into_iter().map(|applied| (applied.what, applied.by)).collect()
    }
}

pub(super) fn done(what: &str, by: &str) -> (String, String) {
    (what.to_owned(), by.to_owned())
}

fn item(id: &str, response_id: &str) -> WriteBack {
    let target = texts(&[("work_item.id", id), ("work_item.etag", "v1"), ("work_item.state", "open")]);
    WriteBack { target, ..answer(Source::DevAdmin, (id, "jonas.klein"), response_id) }
}

fn flow(id: &str, response_id: &str) -> WriteBack {
    let target = texts(&[("flow_id", id), ("execution_id", "x-1")]);
    WriteBack { target, ..answer(Source::XConnector, ("a-1", "mara.weber"), response_id) }
}

fn items() -> Json {
    json!({ "work_items": [{ "id": "w-1", "state": "open", "etag": "v1" }, { "id": "w-2", "state": "open" }] })
}

#[test]
fn a_work_item_takes_an_answer_in_once_whatever_becomes_of_the_calls() {
    let bench = Bench::new(&items());
    bench.next(Trouble::ServerError);
    assert_eq!(bench.call(Ask::Write, &item("w-1", "r-1")), Came::Unknown("server-error"));
    assert_eq!(bench.call(Ask::Look, &item("w-1", "r-1")), Came::Open);
    bench.next(Trouble::DropAnswer);
    assert_eq!(bench.call(Ask::Write, &item("w-1", "r-1")), Came::Unknown("connection-lost"));
    assert_eq!(bench.call(Ask::Look, &item("w-1", "r-1")), Came::Confirmed);
    // Should it be asked for once more, its version is no longer the one that was seen, and it is its own doing.
    assert_eq!(bench.call(Ask::Write, &item("w-1", "r-1")), Came::Confirmed);
    assert_eq!(bench.done(), [done("approved", "jonas.klein")]);
}

#[test]
fn a_work_item_that_is_not_what_was_seen_is_a_conflict() {
    let bench = Bench::new(&items());
    assert_eq!(bench.call(Ask::Write, &item("w-1", "r-1")), Came::Confirmed);
    assert_eq!(bench.call(Ask::Write, &item("w-1", "r-2")), Came::Refused("conflict"));
    assert_eq!(bench.call(Ask::Look, &item("w-1", "r-2")), Came::Refused("conflict"));
    assert_eq!(bench.call(Ask::Write, &item("w-9", "r-3")), Came::Refused("gone"));
    // Where no version was told, the state is compared.
    let mut blind = item("w-2", "r-4");
    blind.target.remove("work_item.etag");
    assert_eq!(bench.call(Ask::Write, &blind), Came::Confirmed);
    blind.response_id = "r-5".to_owned();
    assert_eq!(bench.call(Ask::Write, &blind), Came::Refused("conflict"));
    assert_eq!(bench.done().len(), 2);
}

#[test]
fn a_work_item_is_escalated_by_one_and_taken_over() {
    let bench = Bench::new(&items());
    let mut follow_up = item("w-1", "r-1");
    follow_up.verb = Verb::FollowUp;
    follow_up.set = texts(&[("state", "follow_up"), ("escalation_level", "1"), ("assignee", "jonas.klein")]);
    assert_eq!(bench.call(Ask::Write, &follow_up), Came::Confirmed);
    let ledger = bench.ledger();
    let item = &ledger["work_items"][0];
    assert_eq!((&item["escalation_level"], &item["assignee"]), (&json!(1), &json!("jonas.klein")));
}

#[test]
fn a_flow_takes_the_first_decision_and_the_same_response_again() {
    let bench = Bench::new(&json!({ "flows": ["f-1"] }));
    bench.next(Trouble::DropAnswer);
    assert_eq!(bench.call(Ask::Write, &flow("f-1", "r-1")), Came::Unknown("connection-lost"));
    assert_eq!(bench.call(Ask::Look, &flow("f-1", "r-1")), Came::Confirmed, "by its key it is the same");
    assert_eq!(bench.call(Ask::Write, &flow("f-1", "r-2")), Came::Refused("already_decided"));
    let mut seen = flow("f-1", "r-3");
    (seen.verb, seen.set) = (Verb::Acknowledge, texts(&[("state", "acknowledged")]));
    assert_eq!(bench.call(Ask::Write, &seen), Came::Confirmed, "an acknowledgement decides nothing");
    assert_eq!(bench.call(Ask::Write, &flow("f-9", "r-4")), Came::Refused("gone"));
    assert_eq!(bench.done(), [done("approved", "mara.weber"), done("acknowledged", "mara.weber")]);
}

#[test]
fn what_is_away_busy_or_not_configured_is_called_again_later() {
    let bench = Bench::new(&items());
    bench.stand_in.trouble(Troubles { down: true, ..Troubles::default() });
    assert!(matches!(bench.call(Ask::Look, &item("w-1", "r-1")), Came::TryLater(None, "unavailable")));
    bench.next(Trouble::Expired);
    assert!(matches!(bench.call(Ask::Write, &item("w-1", "r-1")), Came::TryLater(Some(_), "not-signed-in")));
    let nowhere = Service { url: "http://127.0.0.1:9".to_owned(), token: None };
    let addresses = Addresses { devadmin: Some(nowhere), ..Addresses::default() };
    let offices = Offices::new(addresses, Duration::from_secs(5)).unwrap();
    let call = |answer: &WriteBack| bench.runtime.block_on(offices.call(Ask::Write, answer));
    assert_eq!(call(&item("w-1", "r-1")), Came::TryLater(None, "unreachable"));
    assert!(matches!(call(&flow("f-1", "r-1")), Came::TryLater(Some(_), "not-configured")));
    assert_eq!(bench.done(), []);
}
