//! Reload: rules are switched everywhere, whole or not at all, and nothing is lost while instances differ.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod kit;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bugle::app::books::{Books, Ledgers};
use bugle::app::config::Config;
use bugle::app::reload::{self, Care, Publisher};
use bugle::app::{App, wiring};
use bugle::broker::model::Model;
use bugle::broker::names::Names;
use bugle::broker::{
    Broker, BrokerError, Follow, Incoming, Input, Link, LinkSpec, Outgoing, Topic, TopicSpec, Unread,
};
use bugle::clock;
use bugle::codec::{Codec, Name, Schemas, example, json, outputs, person};
use bugle::engine::versions::Versions;
use bugle::event::{Ending, Person, Reason, Span, Timestamp};
use bugle::stand_in::{Options, StandIn};
use bugle::topology::{Files, Topology};
use kit::site::Site;
use serde_json::json;
use tokio::runtime::Runtime;

const SOON: Duration = Duration::from_secs(60);

/// A rule of Extended ECM that tells one person of every document.
fn rule(id: &str, person: &str) -> String {
    format!(
        "  - id: {id}\n    match: {{ kind: xecm.document.available }}\n    audience: person:{person}\n    message: {id}\n"
    )
}

/// Rules in a folder, each with a message of its own.
fn write(folder: &Path, rules: &[(&str, &str)]) {
    fs::create_dir_all(folder.join("messages")).unwrap();
    let texts: String =
        rules.iter().map(|(id, _)| format!("{id}: {{ en: {{ title: '{id}', body: 'x' }} }}\n")).collect();
    let rules: String = rules.iter().map(|(id, person)| rule(id, person)).collect();
    fs::write(folder.join("messages/xecm.yaml"), texts).unwrap();
    fs::write(folder.join("xecm.yaml"), format!("source: xecm\nrules:\n{rules}")).unwrap();
}

/// The broker as an instance sees it that hears of new rules late.
struct Late {
    model: Model,
    hearing: Arc<Hearing>,
}

/// Whether new rules are heard of, and how often they were not.
#[derive(Default)]
struct Hearing {
    stopped: AtomicBool,
    missed: AtomicU64,
}

struct LateFollow {
    follow: Box<dyn Follow>,
    hearing: Arc<Hearing>,
}

impl Hearing {
    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        kit::until("nothing is heard any more", SOON, || self.missed.load(Ordering::Relaxed) > 0);
    }

    fn go_on(&self) {
        self.stopped.store(false, Ordering::Relaxed);
    }
}

impl Follow for LateFollow {
    fn poll(&mut self, wait: Duration, into: &mut Vec<Incoming>) -> Result<(), BrokerError> {
        if self.hearing.stopped.load(Ordering::Relaxed) {
            self.hearing.missed.fetch_add(1, Ordering::Relaxed);
            clock::sleep(wait);
            return Ok(());
        }
        self.follow.poll(wait, into)
    }

    fn positions(&self) -> Vec<i64> {
        self.follow.positions()
    }

    fn ends(&mut self) -> Result<Vec<i64>, BrokerError> {
        self.follow.ends()
    }

    fn is_settled(&mut self) -> Result<bool, BrokerError> {
        self.follow.is_settled()
    }
}

impl Broker for Late {
    fn link(&self, spec: &LinkSpec) -> Result<Box<dyn Link>, BrokerError> {
        self.model.link(spec)
    }

    fn follow(&self, topic: Topic) -> Result<Box<dyn Follow>, BrokerError> {
        let follow = self.model.follow(topic)?;
        let hearing = Arc::clone(&self.hearing);
        Ok(if topic == Topic::Topology { Box::new(LateFollow { follow, hearing }) } else { follow })
    }

    fn recall(&self, topic: Topic, from: &[(i32, Option<i64>)]) -> Result<Box<dyn Follow>, BrokerError> {
        self.model.recall(topic, from)
    }

    fn identity(&self, topic: Topic) -> Result<String, BrokerError> {
        self.model.identity(topic)
    }

    fn unread(&self, group: &str, topics: &[Topic]) -> Result<Vec<Unread>, BrokerError> {
        self.model.unread(group, topics)
    }

    fn publish(&self, records: Vec<Outgoing>) -> Result<(), BrokerError> {
        self.model.publish(records)
    }

    fn partitions(&self, topic: Topic) -> Result<u32, BrokerError> {
        self.model.partitions(topic)
    }

    fn create(&self, topics: &[TopicSpec]) -> Result<Vec<Topic>, BrokerError> {
        self.model.create(topics)
    }

    fn grow(&self, topic: Topic, partitions: u32) -> Result<(), BrokerError> {
        self.model.grow(topic, partitions)
    }

    fn members(&self, group: &str) -> Result<usize, BrokerError> {
        self.model.members(group)
    }

    fn check(&self, topics: &[TopicSpec]) -> Result<Vec<BrokerError>, BrokerError> {
        self.model.check(topics)
    }

    fn trim(&self, before: &[(Input, i64)]) -> Result<(), BrokerError> {
        self.model.trim(before)
    }
}

/// A town of two with a push service, and instances that come and go.
struct Rig {
    config: Config,
    model: Model,
    codec: Arc<Codec>,
    stand_in: StandIn,
    runtime: Arc<Runtime>,
    ledgers: Ledgers,
    audit: Box<dyn Follow>,
    ended: BTreeMap<(String, String), u64>,
    published: u64,
    folders: tempfile::TempDir,
}

// === impl Rig ===

impl Rig {
    fn new() -> Self {
        let runtime = Arc::new(Runtime::new().unwrap());
        let stand_in = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            bugle::stand_in::serve(listener, Options::default()).unwrap()
        });
        let mut config = Config::default();
        config.push.url = stand_in.url();
        config.admin.listen.set_port(0);
        config.answers.listen.set_port(0);
        config.lanes.threads = 1;
        let model = Model::new();
        model.create(&wiring::specs(&config).unwrap()).unwrap();
        let codec = wiring::codec(&config).unwrap();
        let people = ["ada", "ben"].map(|user_id| {
            let (tenant, user_id) = ("acme".to_owned(), user_id.to_owned());
            let entry = Person { tenant, user_id, active: true, ..Person::default() };
            Outgoing {
                topic: Topic::Directory,
                partition: None,
                key: Some(bugle::directory::key::person_key(&entry.tenant, &entry.user_id).into()),
                value: Some(person::encode(Name::Person.local_id(), &entry).into()),
                headers: Vec::new(),
            }
        });
        model.publish(people.into()).unwrap();
        Self {
            ledgers: Ledgers::open(&model).unwrap(),
            audit: model.follow(Topic::Audit).unwrap(),
            ended: BTreeMap::new(),
            config,
            model,
            codec,
            stand_in,
            runtime,
            published: 0,
            folders: tempfile::tempdir().unwrap(),
        }
    }

    /// An instance with these rules in its own folder.
    fn start(&self, name: &str, rules: &[(&str, &str)], broker: Arc<dyn Broker>) -> App {
        let mut config = self.config.clone();
        config.topology.folder = self.folders.path().join(name);
        config.kafka.instance_id = Some(name.to_owned());
        write(&config.topology.folder, rules);
        App::start(&config, broker, Arc::clone(&self.runtime)).unwrap()
    }

    /// Other rules in the folder of an instance.
    fn edit(&self, name: &str, rules: &[(&str, &str)]) {
        write(&self.folders.path().join(name), rules);
    }

    fn on_time(&self) -> Arc<dyn Broker> {
        Arc::new(self.model.clone())
    }

    fn publish(&mut self, count: u64) {
        let from = self.published;
        let records = (from..from + count).map(|number| {
            let schemas = self.codec.schemas();
            let mut event = example::event(schemas, "xecm.document.available", clock::now()).unwrap();
            event["event_id"] = format!("evt-{number}").into();
            event["tenant"] = "acme".into();
            event["entity"]["id"] = number.to_string().into();
            event["audience"] = json!(null);
            event["expires_at"] = json!(null);
            let written = json::to_avro(schemas, &event).unwrap();
            let value = written.framed(Name::Events(bugle::event::Source::Xecm).local_id());
            let topic = Topic::Events(bugle::event::Source::Xecm);
            let key = Some(number.to_string().into());
            Outgoing { topic, partition: None, key, value: Some(value.into()), headers: Vec::new() }
        });
        self.model.publish(records.collect()).unwrap();
        self.published += count;
    }

    /// The books once they close over everything published, or as they stand when they never do.
    fn settle(&mut self) -> Books {
        let mut books = Books::default();
        kit::until("the books close", SOON, || {
            self.ledgers.read(Duration::from_millis(20)).unwrap();
            books = self.ledgers.keeper.books();
            books.changes.read >= self.published && books.close()
        });
        self.read_verdicts();
        books
    }

    /// How often each rule routed, by rule; and what was not told, by rule and reason.
    fn read_verdicts(&mut self) {
        let mut records = Vec::new();
        while {
            let before = records.len();
            self.audit.poll(Duration::from_millis(20), &mut records).unwrap();
            records.len() > before
        } {}
        for record in records {
            let (_, verdicts) = outputs::decode_verdicts(record.value.as_deref().unwrap()).unwrap();
            for verdict in verdicts {
                let word = match &verdict.ending {
                    Ending::Routed => "routed".to_owned(),
                    Ending::Not(reason) => reason.as_str().to_owned(),
                    other => format!("{other:?}"),
                };
                *self.ended.entry((verdict.rule.unwrap_or_default(), word)).or_default() += 1;
            }
        }
    }

    fn count(&self, rule: &str, word: &str) -> u64 {
        self.ended.get(&(rule.to_owned(), word.to_owned())).copied().unwrap_or_default()
    }
}

fn rules_of(app: &App) -> bugle::store::view::RulesView {
    app.board.snapshot(clock::now()).rules
}

fn until_generation(generation: u64, apps: &[&App]) {
    kit::until(&format!("generation {generation} is in force"), SOON, || {
        apps.iter().all(|app| rules_of(app).generation == generation)
    });
}

/// Story 14.
#[test]
fn two_versions_at_once_lose_nothing_while_they_differ() {
    let mut rig = Rig::new();
    let hearing = Arc::new(Hearing::default());
    let late: Arc<dyn Broker> = Arc::new(Late { model: rig.model.clone(), hearing: Arc::clone(&hearing) });
    let (old, both) = ([("old", "ada")], [("old", "ada"), ("fresh", "ben")]);
    let first = rig.start("first", &old, rig.on_time());
    let second = rig.start("second", &old, late);
    rig.publish(20);
    rig.settle();
    assert_eq!(rig.count("old", "routed"), 20);

    // The first one switches, the second one does not hear of it yet.
    hearing.stop();
    rig.edit("first", &both);
    first.reload();
    until_generation(1, &[&first]);
    assert_eq!(rules_of(&second).generation, 0);
    rig.publish(80);
    kit::until("the second one waits for the rules that its input was decided by", SOON, || {
        rules_of(&second).awaiting > 0
    });
    rig.read_verdicts();
    assert_eq!(rig.count("fresh", Reason::RuleRemoved.as_str()), 0, "{:?}", rig.ended);
    assert!(!rig.ledgers.keeper.books().close() || rig.count("fresh", "routed") < 80);

    hearing.go_on();
    until_generation(1, &[&first, &second]);
    let books = rig.settle();
    // Whatever the second one read before it switched was for the old rule alone.
    let fresh = rig.count("fresh", "routed");
    assert!(fresh > 0 && fresh <= 80, "{:?}", rig.ended);
    assert_eq!(rig.count("old", "routed"), 100);
    assert_eq!(books.tellings.told, 100 + fresh, "{books:?}");

    rig.publish(40);
    let books = rig.settle();
    assert_eq!((rig.count("old", "routed"), rig.count("fresh", "routed")), (140, fresh + 40));
    assert_eq!(books.tellings.told, 180 + fresh, "{books:?}");
    assert_eq!(rig.count("fresh", Reason::RuleRemoved.as_str()), 0);
    assert_eq!(rig.stand_in.totals().repeated, 0);
    second.stop();
    first.stop();
}

#[test]
fn an_instance_left_behind_never_puts_its_old_rules_in_force_again() {
    let mut rig = Rig::new();
    let (old, new) = ([("old", "ada")], [("old", "ada"), ("fresh", "ben")]);
    let first = rig.start("first", &old, rig.on_time());
    // A deployment begins with the second one.
    let second = rig.start("second", &new, rig.on_time());
    until_generation(1, &[&first, &second]);
    first.stop();
    let first = rig.start("first", &old, rig.on_time());
    assert_eq!(rules_of(&first).generation, 1);
    rig.publish(10);
    rig.settle();
    assert_eq!((rig.count("old", "routed"), rig.count("fresh", "routed")), (10, 10));

    // Asked for it, it does, and what was new is gone everywhere.
    first.reload();
    until_generation(2, &[&first, &second]);
    assert_eq!(rules_of(&second).hash, rules_of(&first).hash);
    rig.publish(10);
    rig.settle();
    assert_eq!((rig.count("old", "routed"), rig.count("fresh", "routed")), (20, 10));
    first.stop();
    second.stop();
}

#[test]
fn rules_that_are_faulty_or_would_orphan_what_is_open_change_nothing() {
    let rig = Rig::new();
    let app = rig.start("first", &[("old", "ada")], rig.on_time());
    let folder = rig.folders.path().join("first");
    let before = rules_of(&app);
    let refused = [
        "source: xecm\nrules:\n  - id: old\n    mach: { kind: xecm.document.available }\n".to_owned(),
        format!(
            "source: xecm\nrules:\n{}    subject: [node.id]\n    until: {{ kind: xecm.document.stage_changed }}\n",
            rule("old", "ada")
        ),
    ];
    // What has nothing open may count by something else; then it has.
    fs::write(folder.join("xecm.yaml"), &refused[1]).unwrap();
    app.reload();
    until_generation(1, &[&app]);
    let counting = rules_of(&app);
    assert_ne!(counting.hash, before.hash);
    for text in [refused[0].clone(), refused[1].replace("[node.id]", "[node.name]")] {
        fs::write(folder.join("xecm.yaml"), text).unwrap();
        app.reload();
    }
    let mut versions = Versions::open(&rig.model).unwrap();
    versions.catch_up().unwrap();
    assert_eq!(versions.read().len(), 2);
    assert_eq!(rules_of(&app), counting);
    app.stop();
}

#[test]
fn nothing_starts_with_a_rule_that_remembers_for_longer_than_memory_is_kept() {
    let rig = Rig::new();
    let mut config = rig.config.clone();
    config.topology.folder = rig.folders.path().join("first");
    write(&config.topology.folder, &[("old", "ada")]);
    let file = config.topology.folder.join("xecm.yaml");
    let rules = fs::read_to_string(&file).unwrap();
    let with = |span: &str| format!("{rules}    dedupe: {{ by: [node.id], for: {span} }}\n");
    fs::write(&file, with("60d")).unwrap();
    let refused = App::start(&config, rig.on_time(), Arc::clone(&rig.runtime)).map(drop).unwrap_err();
    let said = "rule `old` remembers for 8w4d, but memory is kept for 3w, which must be twice as long";
    assert!(format!("{refused:?}").contains(said), "{refused:?}");
    fs::write(&file, with("10d")).unwrap();
    App::start(&config, rig.on_time(), Arc::clone(&rig.runtime)).unwrap().stop();
}

#[test]
fn files_under_watch_are_published_when_they_have_changed_and_stand_still() {
    let mut rig = Rig::new();
    rig.config.topology.watch = Some(Span::from_millis(50));
    let app = rig.start("first", &[("old", "ada")], rig.on_time());
    rig.edit("first", &[("old", "ada"), ("fresh", "ben")]);
    until_generation(1, &[&app]);
    assert_eq!(rules_of(&app).count, 2);
    app.stop();
}

/// A task of Jonas Klein's, due soon.
fn task(site: &Site, number: u64, due: Timestamp) {
    let schemas = wiring::schemas(&site.config).unwrap();
    let mut event = example::event(&schemas, "xecm.task.assigned", clock::now()).unwrap();
    event["event_id"] = format!("task-{number}").into();
    event["tenant"] = "acme".into();
    event["correlation_id"] = format!("c-{number}").into();
    event["severity"] = "high".into();
    event["due_at"] = due.to_string().into();
    event["expires_at"] = json!(null);
    event["action"] = json!(null);
    event["data"]["process_id"] = number.to_string().into();
    event["data"]["task_name"] = format!("Task {number}").into();
    event["data"]["assignees"] = json!([{ "user_id": "jonas.klein" }]);
    let file = site.file("task.jsonl");
    fs::write(&file, event.to_string()).unwrap();
    site.bugle(&["publish", &file.to_string_lossy()]);
}

/// Jonas Klein, who reads German.
fn jonas(site: &Site) {
    let codec = wiring::codec(&site.config).unwrap();
    let id = codec.id_for(Name::Person, &site.topic(Topic::Directory)).unwrap();
    let (tenant, user_id, locale) = ("acme".to_owned(), "jonas.klein".to_owned(), Some("de".to_owned()));
    let entry = Person { tenant, user_id, locale, active: true, ..Person::default() };
    let record = Outgoing {
        topic: Topic::Directory,
        partition: None,
        key: Some(bugle::directory::key::person_key(&entry.tenant, &entry.user_id).into()),
        value: Some(person::encode(id, &entry).into()),
        headers: Vec::new(),
    };
    site.broker.publish(vec![record]).unwrap();
}

/// The shipped rules of Extended ECM in a folder of the site's own; they wait for no other news.
fn shipped(site: &Site) -> std::path::PathBuf {
    let folder = site.file("topology");
    fs::create_dir_all(folder.join("messages")).unwrap();
    for name in ["xecm.yaml", "messages/xecm.yaml", "messages/answers.yaml"] {
        let shipped = fs::read_to_string(Path::new("topology").join(name)).unwrap();
        fs::write(folder.join(name), shipped.replace("    within: 30s\n", "")).unwrap();
    }
    folder
}

#[test]
fn a_hangup_switches_rules_while_events_flow_and_an_open_reminder_survives() {
    let site = Site::open(kit::registry(), 2, &[]);
    jonas(&site);
    let folder = shipped(&site);
    let set = ["--set", &format!("topology.folder={}", folder.display())];
    let mut first = site.run_with(&set);
    first.until_it_says("these rules are in force generation=0");
    let mut second = site.run_with(&set);
    let due = clock::now() + Span::from_secs(30);
    task(&site, 1, due);
    let titles = |start: &str| -> Vec<String> {
        site.told().into_iter().map(|told| told.title).filter(|title| title.starts_with(start)).collect()
    };
    kit::until("the task is told", SOON, || {
        first.lives();
        second.lives();
        titles("").len() == 1
    });

    // A broken file changes nothing.
    let rules = folder.join("xecm.yaml");
    let before = fs::read_to_string(&rules).unwrap();
    fs::write(&rules, before.replacen("audience: assignees", "audience: asignees", 1)).unwrap();
    first.signal("-HUP");
    first.until_it_says("asignees");
    task(&site, 2, due);
    kit::until("it goes on by the rules before", SOON, || titles("").len() == 2);

    // A new rule tells, and the reminder that is open says it in the new words.
    let fresh = "  - id: fresh\n    match: { kind: xecm.task.assigned }\n    news: [event_id, entity.id]\n    audience: person:jonas.klein\n    message: fresh\n";
    fs::write(&rules, format!("{before}\n{fresh}")).unwrap();
    let texts = folder.join("messages/xecm.yaml");
    let words = fs::read_to_string(&texts).unwrap();
    let words = words.replace("Fällig: {{ event.task_name }}", "Jetzt fällig: {{ event.task_name }}");
    let fresh = "{ title: 'Fresh: {{ event.task_name }}', body: x }";
    fs::write(&texts, format!("{words}fresh: {{ en: {fresh}, de: {fresh} }}\n")).unwrap();
    first.signal("-HUP");
    first.until_it_says("are published");
    second.until_it_says("these rules are in force generation=1");
    for number in 3..8 {
        task(&site, number, due);
    }
    kit::until("the new rule tells", SOON, || titles("Fresh: ").len() == 5);
    kit::until("what was open is reminded of", SOON, || {
        first.lives();
        second.lives();
        titles("Jetzt fällig: ").len() == 7
    });
    assert_eq!(titles("Fällig: "), [] as [&str; 0]);
    site.until_the_books_close(7, SOON, |_| {});
    assert_eq!(site.ledger()["repeated"], 0);
    let list = site.bugle(&["topology", "list", "--output", "json"]);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["in_force"], 1, "{list}");
    assert_eq!(list["versions"].as_array().unwrap().len(), 2, "{list}");
    let shown = site.bugle(&["topology", "show", "0"]);
    assert!(shown.contains("id: ec-3-sla") && !shown.contains("id: fresh"), "{shown}");
}

#[test]
fn a_silence_is_added_listed_and_ended_while_everything_runs() {
    let site = Site::open(kit::registry(), 2, &[]);
    jonas(&site);
    let set = format!("topology.folder={}", shipped(&site).display());
    let mut running = site.run_with(&["--set", &set]);
    let tell = |number: u64, told: usize| {
        task(&site, number, clock::now() + Span::from_secs(86_400));
        site.until_the_books_close(number, SOON, |_| {});
        assert_eq!(site.told().len(), told, "after task {number}");
    };
    tell(1, 1);
    let add = ["silence", "add", "kind=xecm.task.*", "tenant=acme", "--for", "1h"];
    let id = site.bugle(&[&add[..], &["--comment", "archive is moved", "--author", "ada"]].concat());
    let list = || -> serde_json::Value {
        serde_json::from_str(&site.bugle(&["silence", "list", "--output", "json"])).unwrap()
    };
    let silences = list();
    assert_eq!(silences["silences"][0]["id"], id.trim(), "{silences}");
    assert_eq!(silences["silences"][0]["matchers"], json!(["kind=xecm.task.*", "tenant=acme"]));
    running.until_it_says("silences=1");
    tell(2, 1);
    assert_eq!(running.terminate(), Some(0));
    running = site.run_with(&["--set", &set]);
    running.until_it_says("silences=1");
    tell(3, 1);
    site.bugle(&["silence", "end", id.trim()]);
    running.until_it_says("silences=0");
    tell(4, 2);
    assert_eq!(list()["silences"], json!([]));

    // What would never end, or silence everything, is none.
    let (code, said) =
        site.try_bugle(&["silence", "add", "rule=ec-1-review", "--comment", "x", "--author", "ada"]);
    assert!(code == Some(2) && said.contains("--for"), "{said}");
    let all = ["silence", "add", "kind=*", "--for", "1h", "--comment", "x", "--author", "ada"];
    let (code, said) = site.try_bugle(&all);
    assert!(code == Some(2) && said.contains("nearly everything"), "{said}");
}

#[test]
fn rules_behind_a_generation_that_is_remembered_are_newer_and_so_are_all_after_them() {
    let model = Model::new();
    model.create(&Names::default().specs(1)).unwrap();
    let compile = reload::compile(&Config::default(), &Schemas::built_in());
    let broker: Arc<dyn Broker> = Arc::new(model.clone());
    let publisher = Publisher { broker, compile, by: "a test".to_owned() };
    let folder = tempfile::tempdir().unwrap();
    let newest = || {
        let mut versions = Versions::open(&model).unwrap();
        versions.catch_up().unwrap();
        versions.compile(&publisher.compile).map(|(newest, _)| newest).unwrap_or_default()
    };
    let files = |id: &str| {
        write(folder.path(), &[(id, "ada")]);
        Files::read(folder.path())
    };
    let publish = |id: &str| publisher.publish(&files(id), &newest(), Care::Orphan).unwrap();
    publish("first");
    assert_eq!(newest().generation, 0);
    // A partition remembers generation 57, of a topic that is gone: the same rules are put behind it.
    publisher.publish_after(57, &files("first"), (&newest(), Care::Keep)).unwrap();
    let lifted = newest();
    assert!(lifted.generation > 57 && lifted.rule("first").is_some(), "{}", lifted.generation);
    publish("second");
    let second = newest();
    assert!(second.generation > lifted.generation && second.rule("second").is_some());
    // Who knows of none of that, since it can use none of those rules, publishes behind them all the same.
    publisher.publish(&files("third"), &Topology::default(), Care::Orphan).unwrap();
    assert!(newest().generation > second.generation && newest().rule("third").is_some());
}
