//! Links: a page behind a signed link, on which the person who was asked answers, once.
//!
//! Everything is what production runs, but the broker, which is the model in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod town;

use std::sync::Arc;
use std::time::Duration;

use bugle::app::books::{Books, Ledgers};
use bugle::app::config::{Config, LinkIdentity};
use bugle::app::{App, wiring};
use bugle::broker::model::Model;
use bugle::broker::{Broker, Outgoing, Topic};
use bugle::clock::{self, Tick};
use bugle::codec::{Name, person};
use bugle::directory::key::person_key;
use bugle::event::{Person, Span};
use bugle::stand_in::{Options, StandIn};
use serde_json::{Value as Json, json};
use tokio::runtime::Runtime;
use town::{Town, company};

const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &str = "shared with the proxy";
/// What links begin with; the test opens them at the app's own address.
const PUBLIC: &str = "https://bugle.example";

struct Rig {
    town: Town,
    config: Config,
    model: Model,
    stand_in: StandIn,
    runtime: Arc<Runtime>,
    ledgers: Ledgers,
    app: App,
}

/// Somebody's click, or a look.
struct Click<'c> {
    link: &'c str,
    /// The answer; without it the page is only looked at.
    verb: Option<&'c str>,
    /// Whom the proxy names, as `tenant/user` where the tenant is not acme.
    user: Option<&'c str>,
    /// Whether it is ticked who it is.
    ticked: bool,
}

impl Rig {
    fn new(identity: LinkIdentity, more: &[Person]) -> Self {
        let runtime = Arc::new(Runtime::new().unwrap());
        let stand_in = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            bugle::stand_in::serve(listener, Options::default()).unwrap()
        });
        let mut config = Config::default();
        config.push.url = stand_in.url();
        config.admin.listen.set_port(0);
        config.answers.listen.set_port(0);
        config.answers.public_url = Some(PUBLIC.to_owned());
        config.answers.links.identity = identity;
        config.answers.links.proxy_secret = Some(SECRET.into());
        config.answers.links.tenant_header = Some("x-forwarded-tenant".to_owned());
        let model = Model::new();
        model.create(&wiring::specs(&config).unwrap()).unwrap();
        let ledgers = Ledgers::open(&model).unwrap();
        let people = company(0).into_iter().chain(more.iter().cloned()).map(|entry| Outgoing {
            topic: Topic::Directory,
            partition: None,
            key: Some(person_key(&entry.tenant, &entry.user_id).into()),
            value: Some(person::encode(Name::Person.local_id(), &entry).into()),
            headers: Vec::new(),
        });
        model.publish(people.collect()).unwrap();
        let app = App::start(&config, Arc::new(model.clone()), Arc::clone(&runtime)).unwrap();
        let town = Town::new(&[], 1);
        let is_shipped = |rule| town.look(|world| world.topology.rule(rule).is_some());
        assert!(
            is_shipped("da-3-change") && is_shipped("ec-4-safety"),
            "what is asked here is what is shipped"
        );
        Self { town, config, model, stand_in, runtime, ledgers, app }
    }

    fn publish(&self, kind: &str, patch: &Json) {
        let (source, value) = self.town.event(kind, patch);
        let (topic, value) = (Topic::Events(source), Some(value.into()));
        self.model
            .publish(vec![Outgoing { topic, partition: None, key: None, value, headers: Vec::new() }])
            .unwrap();
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&Books) -> bool) {
        let began = Tick::now();
        while began.elapsed() < PATIENCE {
            self.ledgers.read(Duration::from_millis(20)).unwrap();
            if done(&self.ledgers.keeper.books()) {
                return;
            }
        }
        panic!("{what}: {:?}", self.ledgers.keeper.books());
    }

    /// The link of a person's newest push, at the app's own address.
    fn link(&self, person: &str) -> String {
        let url = format!("{}/inbox/{person}", self.stand_in.url());
        let page = self.runtime.block_on(async { reqwest::get(url).await.unwrap().text().await.unwrap() });
        let start = page.find(&format!("{PUBLIC}/a/")).unwrap_or_else(|| panic!("no link in\n{page}"));
        let link = page[start..].split('"').next().unwrap();
        link.replace(PUBLIC, &format!("http://{}", self.app.answers))
    }

    fn request(&self, click: &Click<'_>) -> reqwest::RequestBuilder {
        let http = reqwest::Client::new();
        let mut request = match click.verb {
            Some(verb) => {
                let me = if click.ticked { "&me=yes" } else { "" };
                let form = "application/x-www-form-urlencoded";
                http.post(click.link)
                    .header("content-type", form)
                    .body(format!("verb={verb}&comment=Fine{me}"))
            }
            None => http.get(click.link),
        };
        if let Some(user) = click.user {
            let (tenant, user) = user.split_once('/').unwrap_or(("acme", user));
            request = request.header("x-forwarded-user", user).header("x-forwarded-tenant", tenant);
            request = request.header("x-bugle-proxy-secret", SECRET);
        }
        request
    }

    /// The status and the page.
    fn click(&self, click: &Click<'_>) -> (u16, String) {
        self.runtime.block_on(async {
            let answer = self.request(click).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        })
    }

    /// The statuses of clicks that all come at once.
    fn at_once(&self, clicks: &[Click<'_>]) -> Vec<u16> {
        let requests: Vec<_> = clicks.iter().map(|click| self.request(click).send()).collect();
        let sent = futures_util::future::join_all(requests);
        let answers = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, sent).await.unwrap() });
        answers.into_iter().map(|answer| answer.unwrap().status().as_u16()).collect()
    }
}

fn request() -> Json {
    json!({
        "occurred_at": clock::now().to_string(),
        "data": { "request_id": "C", "assignees": ["ben.koch"], "requester": "mia.lang" },
    })
}

/// Fifty people like this one.
fn fifty_like(who: &str) -> Vec<Person> {
    let model =
        company(0).into_iter().find(|person| person.tenant == "acme" && person.user_id == who).unwrap();
    (0..50).map(|number| Person { user_id: format!("p{number}"), ..model.clone() }).collect()
}

fn with<'c>(link: &'c str, verb: &'c str, user: &'c str) -> Click<'c> {
    Click { link, verb: Some(verb), user: Some(user), ticked: false }
}

#[test]
fn looking_at_a_link_changes_nothing_and_a_click_decides_once() {
    let mut rig = Rig::new(LinkIdentity::Header, &[]);
    rig.publish("devadmin.change.requested", &request());
    rig.until("both approvers are asked", |books| books.tellings.told == 2);
    let (mine, other) = (rig.link("jonas.klein"), rig.link("mara.weber"));
    // Scanners, previews, and browsers that fetch ahead.
    for _ in 0..3 {
        assert_eq!(rig.click(&Click { link: &mine, verb: None, user: None, ticked: false }).0, 401);
        let look = Click { link: &mine, verb: None, user: Some("jonas.klein"), ticked: false };
        let (status, page) = rig.click(&look);
        assert_eq!(status, 200, "{page}");
        for part in
            ["jonas.klein", "request_id=C", "Developer Admin", "value=\"approve\"", "value=\"reject\""]
        {
            assert!(page.contains(part), "{part} in\n{page}");
        }
        assert!(
            !page.contains("<script") && !page.contains("http://") && !page.contains("https://"),
            "{page}"
        );
    }
    let head = rig.runtime.block_on(async {
        let http = reqwest::Client::new().head(&mine).header("x-forwarded-user", "jonas.klein");
        let http = http.header("x-forwarded-tenant", "acme");
        http.header("x-bugle-proxy-secret", SECRET).send().await.unwrap()
    });
    assert_eq!(head.status(), 200);
    let policy = head.headers()["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert_eq!(
        (&head.headers()["cache-control"], &head.headers()["referrer-policy"]),
        (&"no-store".parse().unwrap(), &"no-referrer".parse().unwrap())
    );
    // Somebody else, and nobody.
    assert_eq!(rig.click(&with(&mine, "approve", "mara.weber")).0, 403);
    assert_eq!(rig.click(&with(&mine, "approve", "globex/jonas.klein")).0, 403, "the same id elsewhere");
    assert_eq!(rig.click(&Click { user: None, ..with(&mine, "approve", "") }).0, 401);
    assert_eq!(rig.click(&with(&mine, "perhaps", "jonas.klein")).0, 422);
    rig.ledgers.read(Duration::from_millis(200)).unwrap();
    assert_eq!(rig.ledgers.keeper.books().answers.received, 0, "nobody has answered yet");

    let (status, page) = rig.click(&with(&mine, "approve", "jonas.klein"));
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("jonas.klein answered at"), "{page}");
    // Who clicks again hears the same; who changes their mind hears that they were first.
    let (status, page) = rig.click(&with(&mine, "approve", "jonas.klein"));
    assert!(status == 200 && page.contains("jonas.klein has answered already: <b>approve</b>"), "{page}");
    let (status, page) = rig.click(&with(&mine, "reject", "jonas.klein"));
    assert_eq!(status, 409, "{page}");
    assert!(page.contains("already answered by you at") && page.contains(": approve"), "{page}");
    let (status, page) = rig.click(&with(&other, "reject", "mara.weber"));
    assert_eq!(status, 409, "{page}");
    assert!(page.contains("already answered by jonas.klein at") && page.contains(": approve"), "{page}");
    rig.until("the books close", |books| {
        books.answers.accepted == 1 && books.answers.refused == 3 && books.close()
    });
    rig.app.stop();
}

#[test]
fn a_link_that_is_its_own_identity_wants_a_tick_and_one_that_is_none_or_too_old_is_refused() {
    let mut rig = Rig::new(LinkIdentity::Token, &[]);
    rig.publish("devadmin.change.requested", &request());
    rig.until("both approvers are asked", |books| books.tellings.told == 2);
    let link = rig.link("jonas.klein");
    let click = |verb, ticked| Click { link: &link, verb, user: None, ticked };
    let (status, page) = rig.click(&click(None, false));
    assert!(status == 200 && page.contains("I am jonas.klein"), "{page}");
    let (status, page) = rig.click(&click(Some("approve"), false));
    assert!(status == 400 && page.contains("confirm that you are jonas.klein"), "{page}");

    let keys = wiring::keys(&rig.config).unwrap();
    let token = link.rsplit('/').next().unwrap();
    let mut claims = keys.verify(token, clock::now()).unwrap();
    let at = |token: &str| link.replace(link.rsplit('/').next().unwrap(), token);
    let (signed, mac) = token.rsplit_once('.').unwrap();
    let tampered = at(&format!("{signed}.{}{}", if mac.starts_with('A') { "B" } else { "A" }, &mac[1..]));
    let refused = |link: &str| rig.click(&Click { link, verb: Some("approve"), user: None, ticked: true });
    let (status, page) = refused(&tampered);
    assert!(status == 401 && page.contains("forged_token"), "{page}");
    assert_eq!(refused(&at("nonsense")).0, 400);
    claims.conversation += 1;
    let round = at(&keys.sign(keys.current(), &claims).unwrap());
    let (status, page) = refused(&round);
    assert!(status == 410 && page.contains("superseded"), "another round: {page}");
    claims.expires_at = clock::now() + Span::from_millis(-1);
    let (status, page) = refused(&at(&keys.sign(keys.current(), &claims).unwrap()));
    assert!(status == 410 && page.contains("expired"), "{page}");

    assert_eq!(rig.click(&click(Some("approve"), true)).0, 200);
    rig.app.stop();
}

#[test]
fn fifty_who_approve_at_once_are_one_decision() {
    let mut rig = Rig::new(LinkIdentity::Header, &fifty_like("jonas.klein"));
    rig.publish("devadmin.change.requested", &request());
    rig.until("all approvers are asked", |books| books.tellings.told == 52);
    let people: Vec<String> = (0..50).map(|number| format!("p{number}")).collect();
    let links: Vec<String> = people.iter().map(|person| rig.link(person)).collect();
    let clicks: Vec<_> =
        people.iter().zip(&links).map(|(person, link)| with(link, "approve", person)).collect();
    let statuses = rig.at_once(&clicks);
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(200), count(409)), (1, 49), "{statuses:?}");
    rig.until("the books close", |books| {
        books.answers.accepted == 1 && books.answers.refused == 49 && books.close()
    });
    rig.app.stop();
}

#[test]
fn fifty_who_acknowledge_at_once_are_fifty_and_each_once() {
    let mut rig = Rig::new(LinkIdentity::Header, &fifty_like("tom.berger"));
    let form = json!({
        "occurred_at": clock::now().to_string(),
        "data": { "doc_kind": "safety", "site": "Hamburg Harbour" },
    });
    rig.publish("xecm.document.available", &form);
    rig.until("the field team is told", |books| books.tellings.told == 52);
    let people: Vec<String> = (0..50).map(|number| format!("p{number}")).collect();
    let links: Vec<String> = people.iter().map(|person| rig.link(person)).collect();
    let clicks: Vec<_> =
        people.iter().zip(&links).map(|(person, link)| with(link, "acknowledge", person)).collect();
    assert_eq!(rig.at_once(&clicks), vec![200; 50]);
    let (status, page) = rig.click(&clicks[0]);
    assert!(status == 200 && page.contains("p0 has answered already"), "{page}");
    rig.until("the books close", |books| {
        books.answers.accepted == 50 && books.answers.refused == 1 && books.close()
    });
    rig.app.stop();
}

#[test]
fn whichever_instance_a_link_leads_to_says_who_was_first() {
    let mut rig = Rig::new(LinkIdentity::Header, &[]);
    let mut config = rig.config.clone();
    config.kafka.instance_id = Some("another".to_owned());
    let other = App::start(&config, Arc::new(rig.model.clone()), Arc::clone(&rig.runtime)).unwrap();
    rig.publish("devadmin.change.requested", &request());
    rig.until("both approvers are asked", |books| books.tellings.told == 2);
    let (mine, hers) = (rig.link("jonas.klein"), rig.link("mara.weber"));
    let there = |link: &str| link.replace(&rig.app.answers.to_string(), &other.answers.to_string());
    // Each of the two hears of what the other decides.
    assert_eq!(rig.click(&with(&mine, "approve", "jonas.klein")).0, 200);
    for link in [hers.clone(), there(&hers)] {
        let look = Click { link: &link, verb: None, user: Some("mara.weber"), ticked: false };
        let began = Tick::now();
        while !rig.click(&look).1.contains("already answered by jonas.klein") {
            assert!(began.elapsed() < PATIENCE, "{}", rig.click(&look).1);
        }
        let (status, page) = rig.click(&with(&link, "reject", "mara.weber"));
        assert_eq!(status, 409, "{page}");
        assert!(page.contains("already answered by jonas.klein at"), "{page}");
    }
    assert_eq!(rig.click(&with(&there(&mine), "approve", "jonas.klein")).0, 200);
    other.stop();
    rig.app.stop();
}

#[test]
fn twenty_clicks_of_one_link_at_once_are_one_decision_and_twenty_successes() {
    let mut rig = Rig::new(LinkIdentity::Header, &[]);
    rig.publish("devadmin.change.requested", &request());
    rig.until("both approvers are asked", |books| books.tellings.told == 2);
    let (mine, other) = (rig.link("jonas.klein"), rig.link("mara.weber"));
    let clicks: Vec<_> = (0..20).map(|_| with(&mine, "approve", "jonas.klein")).collect();
    assert_eq!(rig.at_once(&clicks), vec![200; 20]);
    assert_eq!(
        rig.click(&with(&other, "approve", "mara.weber")).0,
        409,
        "the same word, but another person's"
    );
    rig.until("the books close", |books| {
        books.answers.accepted == 1 && books.answers.refused == 20 && books.close()
    });
    rig.app.stop();
}

#[test]
fn who_answers_another_rule_s_push_of_a_decided_task_hears_who_was_first() {
    let mut rig = Rig::new(LinkIdentity::Header, &[]);
    // It is asked for as a task, and a moment later as one that is overdue.
    let task = json!({
        "occurred_at": clock::now().to_string(),
        "due_at": (clock::now() + Span::from_secs(1)).to_string(),
        "severity": "high",
        "action": { "ref": "9-9-1", "options": ["approve", "reject"], "answer_by": null },
        "data": {
            "process_id": "9", "task_id": "1", "signature_required": false, "initiator": "tom.berger",
            "assignees": [{ "user_id": "jonas.klein" }, { "user_id": "mara.weber" }],
            "manager": null, "backup": null,
        },
    });
    rig.publish("xecm.task.assigned", &task);
    rig.until("both hear that it is overdue", |books| books.tellings.told == 2);
    let (mine, late) = (rig.link("jonas.klein"), rig.link("mara.weber"));
    let keys = wiring::keys(&rig.config).unwrap();
    let token = late.rsplit('/').next().unwrap();
    let mut claims = keys.verify(token, clock::now()).unwrap();
    assert_eq!(claims.rule, "ec-3-sla");
    claims.rule = "ec-7-decide".to_owned();
    let other = late.replace(token, &keys.sign(keys.current(), &claims).unwrap());
    assert_eq!(rig.click(&with(&mine, "approve", "jonas.klein")).0, 200);
    let (status, page) = rig.click(&with(&other, "reject", "mara.weber"));
    assert_eq!(status, 409, "{page}");
    assert!(page.contains("already answered by jonas.klein at"), "{page}");
    rig.app.stop();
}
