//! Whole: a button is pressed in an inbox, and the thing in the source system has moved on.
//!
//! Everything is what production runs, but the broker, which is the model in memory.

use std::sync::Arc;
use std::time::Duration;

use bugle::app::books::{Books, Ledgers};
use bugle::app::config::Config;
use bugle::app::{App, wiring};
use bugle::broker::model::Model;
use bugle::broker::{Broker, Outgoing, Topic};
use bugle::clock::{self, Tick};
use bugle::codec::{Name, person};
use bugle::directory::key::person_key;
use bugle::stand_in::{Options, StandIn, Trouble, Troubles};
use serde_json::{Value as Json, json};
use tokio::runtime::Runtime;

use super::town::{Town, company};

const PATIENCE: Duration = Duration::from_secs(60);

struct Rig {
    town: Town,
    model: Model,
    stand_in: StandIn,
    runtime: Arc<Runtime>,
    ledgers: Ledgers,
    app: App,
}

impl Rig {
    fn new(things: &Json, with_sources: bool) -> Self {
        let runtime = Arc::new(Runtime::new().unwrap());
        let stand_in = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            bugle::stand_in::serve(listener, Options::default()).unwrap()
        });
        let mut config = Config::default();
        config.push.url = stand_in.url();
        config.admin.listen.set_port(0);
        config.answers.listen.set_port(0);
        if with_sources {
            config.sources.devadmin.url = Some(stand_in.url());
            config.sources.xconnector.url = Some(stand_in.url());
        }
        let model = Model::new();
        model.create(&wiring::specs(&config).unwrap()).unwrap();
        let ledgers = Ledgers::open(&model).unwrap();
        let people = company(0).into_iter().map(|entry| Outgoing {
            topic: Topic::Directory,
            partition: None,
            key: Some(person_key(&entry.tenant, &entry.user_id).into()),
            value: Some(person::encode(Name::Person.local_id(), &entry).into()),
            headers: Vec::new(),
        });
        model.publish(people.collect()).unwrap();
        let app = App::start(&config, Arc::new(model.clone()), Arc::clone(&runtime)).unwrap();
        stand_in.answer_to(format!("http://{}", app.answers));
        let rig = Self { town: Town::new(&[], 1), model, stand_in, runtime, ledgers, app };
        let url = format!("{}/systems", rig.stand_in.url());
        let request = reqwest::Client::new().post(url).body(things.to_string());
        assert!(rig.runtime.block_on(async { request.send().await.unwrap().status() }).is_success());
        rig
    }

    fn publish(&self, kind: &str, patch: &Json) {
        let (source, value) = self.town.event(kind, patch);
        let (topic, value) = (Topic::Events(source), Some(value.into()));
        let record = Outgoing { topic, partition: None, key: None, value, headers: Vec::new() };
        self.model.publish(vec![record]).unwrap();
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&Self, &Books) -> bool) {
        let began = Tick::now();
        while began.elapsed() < PATIENCE {
            self.ledgers.read(Duration::from_millis(20)).unwrap();
            let books = self.ledgers.keeper.books();
            if done(self, &books) {
                return;
            }
        }
        panic!("{what}: {:?}, {:?}", self.ledgers.keeper.books(), self.stand_in.applied());
    }

    /// Where a button of a person's newest push leads.
    fn button(&self, person: &str, verb: &str) -> String {
        let url = format!("{}/inbox/{person}", self.stand_in.url());
        let page = self.runtime.block_on(async { reqwest::get(url).await.unwrap().text().await.unwrap() });
        let end = page.find(&format!("&amp;verb={verb}\"")).unwrap_or_else(|| panic!("no {verb} in\n{page}"));
        let start = page[..end].rfind("action=\"").unwrap() + "action=\"".len();
        format!("{}{}&verb={verb}", self.stand_in.url(), &page[start..end])
    }

    /// Presses a button of a person's newest push, as their browser would.
    fn press(&self, person: &str, verb: &str) {
        let url = self.button(person, verb);
        let answer = self.runtime.block_on(async { reqwest::Client::new().post(url).send().await.unwrap() });
        assert!(answer.status().is_success() || answer.status().is_redirection(), "{}", answer.status());
    }

    /// Who did what, in the source systems.
    fn done(&self) -> Vec<(String, String, String)> {
        let applied = self.stand_in.applied().into_iter();
        applied.map(|applied| (applied.thing, applied.what, applied.by)).collect()
    }
}

fn done(thing: &str, what: &str, by: &str) -> (String, String, String) {
    (thing.to_owned(), what.to_owned(), by.to_owned())
}

/// A work item of Jonas Klein's.
fn work_item(id: &str) -> Json {
    json!({
        "occurred_at": clock::now().to_string(),
        "entity": { "type": "work_item", "id": id },
        "action": { "ref": id, "options": ["acknowledge", "approve", "reject", "follow_up"], "answer_by": null },
        "data": {
            "work_item": { "id": id, "kind": "approval", "state": "open", "etag": "v1" },
            "assignee": "jonas.klein", "group": null, "requester": "tom.berger", "escalation_level": 2,
        },
    })
}

#[test]
fn a_work_item_is_decided_by_a_button_though_the_first_answer_of_its_system_is_lost() {
    let mut rig = Rig::new(&json!({ "work_items": [{ "id": "w-1", "state": "open", "etag": "v1" }] }), true);
    rig.stand_in.trouble(Troubles {
        next: [Trouble::ServerError, Trouble::DropAnswer].into(),
        ..Troubles::default()
    });
    rig.publish("devadmin.workitem.raised", &work_item("w-1"));
    rig.until("he is asked", |_, books| books.tellings.told == 1);
    rig.press("jonas.klein", "follow_up");
    rig.until("it stands in Developer Admin", |_, books| books.write_backs.confirmed == 1);
    assert_eq!(rig.done(), [done("w-1", "follow_up", "jonas.klein")]);
    let books = rig.ledgers.keeper.books();
    assert_eq!((books.write_backs.owed, books.write_backs.open, books.close()), (1, 0, true));
    rig.app.stop();
}

#[test]
fn without_its_system_an_answer_waits_and_is_seen_waiting() {
    let mut rig = Rig::new(&json!({}), false);
    rig.publish("devadmin.workitem.raised", &work_item("w-1"));
    rig.until("he is asked", |_, books| books.tellings.told == 1);
    rig.press("jonas.klein", "approve");
    rig.until("it is owed", |_, books| books.answers.accepted == 1 && books.write_backs.owed == 1);
    let books = rig.ledgers.keeper.books();
    assert_eq!((books.write_backs.open, books.write_backs.closes), (1, true));
    rig.app.stop();
}

#[test]
fn f38_one_answer_pressed_fifty_times_at_once_on_two_devices_is_one_write_back_and_a_late_one_none() {
    let things = json!({ "work_items": [{ "id": "w-1", "state": "open", "etag": "v1" }] });
    let mut rig = Rig::new(&things, true);
    rig.publish("devadmin.workitem.raised", &work_item("w-1"));
    rig.until("he is asked", |_, books| books.tellings.told == 1);
    // One device approves, the other one rejects.
    let buttons = ["approve", "reject"].map(|verb| rig.button("jonas.klein", verb));
    let http = reqwest::Client::new();
    let taps = (0..50).map(|tap: usize| http.post(&buttons[tap % 2]).send());
    let answers = rig.runtime.block_on(futures_util::future::join_all(taps));
    assert!(answers.into_iter().all(|answer| answer.is_ok()));
    rig.until("all of them are decided", |_, books| {
        books.answers.received == 50 && books.write_backs.confirmed == 1
    });
    let books = rig.ledgers.keeper.books();
    assert_eq!((books.answers.accepted, books.write_backs.owed), (1, 1), "{books:?}");
    assert_eq!(rig.done().len(), 1, "{:?}", rig.done());
    // Withdrawn: the thing is closed in its system, and with it the question.
    let mut closed = work_item("w-1");
    closed["data"]["work_item"]["state"] = "closed".into();
    rig.publish("devadmin.workitem.updated", &closed);
    rig.until("it is over", |_, books| books.changes.read == 2 && books.close());
    rig.runtime.block_on(http.post(&buttons[1]).send()).unwrap();
    rig.until("the late one is refused", |_, books| books.answers.refused == 50);
    assert_eq!((rig.done().len(), rig.ledgers.keeper.books().close()), (1, true));
    rig.app.stop();
}

#[test]
fn f39_a_system_that_is_away_is_waited_for_and_one_where_somebody_was_quicker_is_a_conflict() {
    let things = json!({ "work_items": [
        { "id": "w-1", "state": "open", "etag": "v1" }, { "id": "w-2", "state": "approved", "etag": "v2" },
    ] });
    let mut rig = Rig::new(&things, true);
    rig.stand_in.trouble(Troubles {
        next: [Trouble::ServerError, Trouble::DropAnswer].into(),
        ..Troubles::default()
    });
    for id in ["w-1", "w-2"] {
        rig.publish("devadmin.workitem.raised", &work_item(id));
        let told = if id == "w-1" { 1 } else { 2 };
        rig.until("he is asked", |_, books| books.tellings.told == told);
        rig.press("jonas.klein", "reject");
    }
    rig.until("one is done and one is refused", |_, books| {
        books.write_backs.confirmed == 1 && books.write_backs.refused == 1 && books.close()
    });
    assert_eq!(rig.done(), [done("w-1", "rejected", "jonas.klein")]);
    let books = rig.ledgers.keeper.books();
    assert!(books.close() && books.write_backs.open == 0, "{books:?}");
    rig.app.stop();
}

#[test]
fn who_was_not_quick_enough_is_told_that_their_answer_was_not_carried_out() {
    let things = json!({ "work_items": [{ "id": "w-2", "state": "approved", "etag": "v2" }] });
    let mut rig = Rig::new(&things, true);
    rig.publish("devadmin.workitem.raised", &work_item("w-2"));
    rig.until("he is asked", |_, books| books.tellings.told == 1);
    rig.press("jonas.klein", "reject");
    rig.until("it is refused there, and he hears so", |_, books| {
        books.write_backs.refused == 1 && books.tellings.told == 2 && books.close()
    });
    let url = format!("{}/inbox/jonas.klein", rig.stand_in.url());
    let page = rig.runtime.block_on(async { reqwest::get(url).await.unwrap().text().await.unwrap() });
    assert!(
        page.contains("Nicht ausgeführt") && page.contains("inzwischen geändert oder entschieden"),
        "{page}"
    );
    assert_eq!(rig.done(), []);
    rig.app.stop();
}
