//! Answers: a button is pressed in an inbox, and what it decides comes back as the next push.
//!
//! Everything is what production runs, but the broker, which is the model in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod town;

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
use bugle::event::{Occasion, Span};
use bugle::push::reply_token::Claims;
use bugle::stand_in::{Options, StandIn};
use serde_json::{Value as Json, json};
use tokio::runtime::Runtime;
use town::{Town, company};

const PATIENCE: Duration = Duration::from_secs(30);

struct Rig {
    town: Town,
    config: Config,
    model: Model,
    stand_in: StandIn,
    runtime: Arc<Runtime>,
    ledgers: Ledgers,
    app: App,
}

impl Rig {
    fn new(secrets: &[&str]) -> Self {
        Self::with(|config, _| {
            config.answers.webhook_secrets = secrets.iter().map(|secret| (*secret).into()).collect();
        })
    }

    /// With settings of its own, which may name the stand-in.
    fn with(set: impl FnOnce(&mut Config, &str)) -> Self {
        let runtime = Arc::new(Runtime::new().unwrap());
        let stand_in = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            bugle::stand_in::serve(listener, Options::default()).unwrap()
        });
        let mut config = Config::default();
        config.push.url = stand_in.url();
        config.admin.listen.set_port(0);
        config.answers.listen.set_port(0);
        set(&mut config, &stand_in.url());
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
        let town = Town::new(&[], 1);
        let is_shipped = |rule| town.look(|world| world.topology.rule(rule).is_some());
        assert!(is_shipped("da-3-change"), "what is asked here is what is shipped");
        Self { town, config, model, stand_in, runtime, ledgers, app }
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
        panic!("{what}: {:?}", self.ledgers.keeper.books());
    }

    fn inbox(&self, person: &str) -> String {
        let url = format!("{}/inbox/{person}", self.stand_in.url());
        self.runtime.block_on(async { reqwest::get(url).await.unwrap().text().await.unwrap() })
    }

    /// Presses a button of a person's newest push, as their browser would.
    fn press(&self, person: &str, verb: &str) -> String {
        let page = self.inbox(person);
        let end = page.find(&format!("&amp;verb={verb}\"")).unwrap_or_else(|| panic!("no {verb} in\n{page}"));
        let start = page[..end].rfind("action=\"").unwrap() + "action=\"".len();
        let url = format!("{}{}&verb={verb}", self.stand_in.url(), &page[start..end]);
        let http = reqwest::Client::new();
        self.runtime.block_on(async { http.post(url).send().await.unwrap().text().await.unwrap() })
    }

    /// What the door says to a request: the status, and the code of a refusal.
    fn post(&self, body: &Json) -> (u16, String) {
        self.post_as(None, body)
    }

    /// The same of somebody's session at the gateway.
    fn post_as(&self, session: Option<&str>, body: &Json) -> (u16, String) {
        let url = format!("http://{}/v1/answers", self.app.answers);
        self.runtime.block_on(async {
            let mut request = reqwest::Client::new().post(url).body(body.to_string());
            if let Some(session) = session {
                request = request.header("otagtoken", session);
            }
            let answer = request.send().await.unwrap();
            let (status, said) = (answer.status().as_u16(), answer.json::<Json>().await.unwrap());
            (status, said["error"]["code"].as_str().unwrap_or_default().to_owned())
        })
    }

    /// One call of the stand-in's gateway about sessions.
    fn sessions(&self, method: reqwest::Method, body: &Json) -> Json {
        let url = format!("{}/gateway/sessions", self.stand_in.url());
        self.runtime.block_on(async {
            let answer = reqwest::Client::new().request(method, url).json(body).send().await.unwrap();
            serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default()
        })
    }

    fn sign_in(&self, user: &str) -> String {
        self.sessions(reqwest::Method::POST, &json!({ "user": user }))["token"].as_str().unwrap().to_owned()
    }

    /// A token as a push carries it.
    fn token(&self, rule: &str, expires_in: Span) -> String {
        self.token_of("acme", rule, expires_in)
    }

    /// The same of a tenant's push.
    fn token_of(&self, tenant: &str, rule: &str, expires_in: Span) -> String {
        let keys = wiring::keys(&self.config).unwrap();
        let claims = Claims {
            tenant: tenant.to_owned(),
            subject_partition: 0,
            subject: format!("{tenant}|devadmin|request_id=C"),
            rule: rule.to_owned(),
            conversation: 7,
            occasion: Occasion::First,
            person: "jonas.klein".to_owned(),
            expires_at: clock::now() + expires_in,
            about: None,
        };
        keys.sign(keys.current(), &claims).unwrap()
    }
}

fn request() -> Json {
    json!({
        "occurred_at": clock::now().to_string(),
        "data": { "request_id": "C", "assignees": ["ben.koch"], "requester": "mia.lang" },
    })
}

#[test]
fn a_button_decides_and_the_others_hear_of_it() {
    let mut rig = Rig::new(&[]);
    rig.publish("devadmin.change.requested", &request());
    rig.until("both approvers are asked", |_, books| books.tellings.told == 2);
    let page = rig.press("jonas.klein", "approve");
    assert!(page.contains("Accepted: approve. Bugle decides whether it counts."), "{page}");
    rig.until("the other hears that it was decided", |rig, books| {
        books.answers.accepted == 1 && books.close() && rig.inbox("mara.weber").contains("Entschieden")
    });
    assert!(!rig.inbox("jonas.klein").contains("Entschieden"), "who decided knows");
    let books = rig.ledgers.keeper.books();
    assert!(books.close() && books.answers.refused == 0, "{books:?}");
    rig.app.stop();
}

#[test]
fn what_is_no_answer_is_refused_with_a_stable_word_and_what_comes_too_late_with_a_verdict() {
    let mut rig = Rig::new(&[]);
    let day = Span::from_secs(86_400);
    let good = rig.token("da-3-change", day);
    // The first character of the signature is another one.
    let (signed, mac) = good.rsplit_once('.').unwrap();
    let other = if mac.starts_with('A') { "B" } else { "A" };
    let forged = format!("{signed}.{other}{}", &mac[1..]);
    let asked = |token: &str, answer: &str| json!({ "reply_token": token, "answer": answer });
    assert_eq!(rig.post(&json!({ "answer": "approve" })), (400, "bad_request".to_owned()));
    assert_eq!(rig.post(&asked("x", "approve")), (400, "bad_token".to_owned()));
    assert_eq!(rig.post(&asked(&forged, "approve")), (401, "forged_token".to_owned()));
    assert_eq!(rig.post(&asked(&good, "perhaps")), (422, "unknown_answer".to_owned()));
    let endless = json!({ "reply_token": good, "answer": "approve", "comment": "a".repeat(70_000) });
    assert_eq!(rig.post(&endless), (413, "too_large".to_owned()));
    let old = rig.token("da-3-change", Span::from_millis(-1));
    assert_eq!(rig.post(&asked(&old, "approve")), (410, "expired".to_owned()));
    let gone = rig.token("no-such-rule", day);
    assert_eq!(rig.post(&asked(&gone, "approve")), (410, "rule_removed".to_owned()));
    // Signed well, but nobody asked in this round: taken in, and decided where it is known.
    assert_eq!(rig.post(&asked(&good, "approve")), (202, String::new()));
    rig.until("it is refused with a verdict", |_, books| books.answers.refused == 1);
    rig.app.stop();
}

#[test]
fn with_a_shared_secret_only_signed_requests_are_heard() {
    let rig = Rig::new(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
    let token = rig.token("da-3-change", Span::from_secs(86_400));
    let unsigned = rig.post(&json!({ "reply_token": token, "answer": "approve" }));
    assert_eq!(unsigned, (401, "bad_signature".to_owned()));
    rig.app.stop();
}

/// A gateway at this address.
fn ask(config: &mut Config, url: &str, keep: Span) {
    let gateway = &mut config.answers.gateway;
    (gateway.url, gateway.app, gateway.keep) = (Some(url.to_owned()), Some("otnotify".to_owned()), keep);
    gateway.tenant = Some("acme".to_owned());
    gateway.app_key = Some("a key".into());
}

#[test]
fn with_a_gateway_an_answer_needs_the_session_of_who_was_asked() {
    let mut rig = Rig::with(|config, url| ask(config, url, Span::from_secs(300)));
    rig.publish("devadmin.change.requested", &request());
    rig.until("both approvers are asked", |_, books| books.tellings.told == 2);
    let token = rig.token("da-3-change", Span::from_secs(86_400));
    let answer = json!({ "reply_token": token, "answer": "approve", "response_id": "r-1" });
    let not_signed_in = (401, "not_signed_in".to_owned());
    assert_eq!(rig.post(&answer), not_signed_in, "the push alone is not enough");
    assert_eq!(rig.post_as(Some("otag-of-nobody"), &answer), not_signed_in);
    let (hers, his) = (rig.sign_in("mara.weber"), rig.sign_in("jonas.klein"));
    assert_eq!(rig.post_as(Some(&hers), &answer), (403, "not_you".to_owned()));
    assert_eq!(rig.post_as(Some(&his), &answer), (202, String::new()));
    // The same id in another tenant is somebody else.
    let elsewhere = json!({
        "reply_token": rig.token_of("globex", "da-3-change", Span::from_secs(86_400)), "answer": "approve",
    });
    assert_eq!(rig.post_as(Some(&his), &elsewhere), (403, "not_you".to_owned()));
    // It is believed for a while, and not asked again.
    let asked = || rig.sessions(reqwest::Method::GET, &Json::Null)["asked"].as_u64();
    let before = asked();
    rig.sessions(reqwest::Method::DELETE, &json!({ "token": his }));
    assert_eq!(rig.post_as(Some(&his), &answer), (202, String::new()));
    assert_eq!(asked(), before);
    // A button of the inbox is pressed by who is signed in there.
    assert!(rig.press("mara.weber", "approve").contains("Accepted: approve"));
    rig.until("all are decided", |_, books| books.answers.received == 3);
    rig.app.stop();
}

#[test]
fn who_is_signed_out_or_cannot_be_asked_for_is_not_heard() {
    let rig = Rig::with(|config, url| ask(config, url, Span::from_millis(1)));
    let token = rig.token("da-3-change", Span::from_secs(86_400));
    let answer = json!({ "reply_token": token, "answer": "approve" });
    let session = rig.sign_in("jonas.klein");
    assert_eq!(rig.post_as(Some(&session), &answer), (202, String::new()));
    rig.sessions(reqwest::Method::DELETE, &json!({ "token": session }));
    assert_eq!(rig.post_as(Some(&session), &answer), (401, "not_signed_in".to_owned()));
    rig.app.stop();
    let rig = Rig::with(|config, _| ask(config, "http://127.0.0.1:9", Span::from_secs(30)));
    assert_eq!(rig.post_as(Some(&session), &answer), (503, "unavailable".to_owned()));
    rig.app.stop();
}
