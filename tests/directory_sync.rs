//! Directory sync: who there is comes from OTDS or a SCIM 2.0 service, whole or not at all.
//!
//! The verb is the real one, the service is the stand-in's, and the topic lies in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;

use bugle::app::config::{DirectoryKind, DirectorySettings};
use bugle::app::wiring;
use bugle::broker::model::Model;
use bugle::broker::{Broker, Outgoing, Topic};
use bugle::cli::broker_args::{BrokerArgs, Reach};
use bugle::cli::directory;
use bugle::codec::{Codec, Name, Schemas, person};
use bugle::directory::Decoded;
use bugle::directory::key::person_key;
use bugle::event::Person;
use bugle::stand_in::{Options, PageTrouble, StandIn, Troubles};
use clap::Parser;
use serde_json::{Value as Json, json};
use tokio::runtime::Runtime;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    directory: directory::Args,
}

/// A company in the stand-in's directory services, and Bugle's directory topic.
struct Rig {
    runtime: Runtime,
    stand_in: StandIn,
    model: Model,
    settings: DirectorySettings,
}

impl Rig {
    fn new(kind: DirectoryKind) -> Self {
        let runtime = Runtime::new().unwrap();
        let stand_in = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            bugle::stand_in::serve(listener, Options::default()).unwrap()
        });
        let model = Model::new();
        model.create(&wiring::specs(&bugle::app::config::Config::default()).unwrap()).unwrap();
        let url = match kind {
            DirectoryKind::Otds => stand_in.url(),
            DirectoryKind::Scim => format!("{}/otdsws/scim/staff", stand_in.url()),
        };
        let settings = DirectorySettings {
            kind,
            url: Some(url),
            tenant: Some("acme".to_owned()),
            partition: Some("staff".to_owned()),
            client_id: Some("bugle".to_owned()),
            client_secret: Some("of many bytes".into()),
            token_url: Some(format!("{}/otdsws/oauth2/token", stand_in.url())),
            role_prefix: "bugle-".to_owned(),
            page_size: 3,
            ..DirectorySettings::default()
        };
        let rig = Self { runtime, stand_in, model, settings };
        rig.there(&company());
        rig
    }

    /// Puts people and groups into the directory services.
    fn there(&self, things: &Json) {
        let url = format!("{}/systems", self.stand_in.url());
        let status = self.runtime.block_on(async {
            reqwest::Client::new().post(url).body(things.to_string()).send().await.unwrap().status()
        });
        assert_eq!(status, 204);
    }

    fn pages(&self, pages: &[PageTrouble]) {
        self.stand_in.trouble(Troubles { pages: pages.iter().copied().collect(), ..Troubles::default() });
    }

    /// What the verb prints, or its failure.
    fn run(&self, words: &[&str]) -> String {
        let line = Line::parse_from([&["bugle", "sync"], words].concat());
        let open = |_: &BrokerArgs| Ok(Arc::new(self.model.clone()) as Arc<dyn Broker>);
        let codec = Codec::new(Arc::new(Schemas::built_in()), None);
        let reach = Reach {
            open: &open,
            codec: &codec,
            directory: "opentext.directory",
            members: "opentext.members",
            people: &self.settings,
        };
        let mut out = Vec::new();
        let done = directory::run(&line.directory, &reach, &mut out);
        let mut text = String::from_utf8(out).unwrap();
        if let Err(failure) = done {
            text += &format!("{failure}\n");
        }
        text.replace(&self.stand_in.url(), "http://otds")
    }

    /// Every record of the topic, in its order: the key, and the entry.
    fn records(&self) -> Vec<(String, Option<Person>)> {
        let codec = Codec::new(Arc::new(Schemas::built_in()), None);
        let mut follow = self.model.follow(Topic::Directory).unwrap();
        let ends = follow.ends().unwrap();
        let mut records = Vec::new();
        while follow.positions() < ends {
            follow.poll(std::time::Duration::from_millis(20), &mut records).unwrap();
        }
        let read = |record: &bugle::broker::Incoming| {
            let key = String::from_utf8(record.key.clone().unwrap().to_vec()).unwrap();
            match Decoded::read(&codec, record).unwrap() {
                Decoded::Person(entry) => (key, entry.map(|entry| *entry)),
                _ => panic!("{key} is no person"),
            }
        };
        records.iter().map(read).collect()
    }

    fn people(&self) -> BTreeMap<String, Person> {
        let mut people = BTreeMap::new();
        for (key, entry) in self.records() {
            let key = key.trim_start_matches("acme|").trim_end_matches("@staff").to_owned();
            match entry {
                Some(entry) => drop(people.insert(key, entry)),
                None => drop(people.remove(&key)),
            }
        }
        people
    }

    /// What the service was asked for, in its order.
    fn lists_asked(&self) -> Json {
        let url = format!("{}/systems/ledger", self.stand_in.url());
        let asked = async { reqwest::get(url).await.unwrap().json::<Json>().await.unwrap() };
        self.runtime.block_on(asked)["lists_asked"].clone()
    }

    /// Somebody the directory has, by hand.
    fn publish(&self, entry: &Person) {
        let value = person::encode(Name::Person.local_id(), entry);
        let key = Some(person_key(&entry.tenant, &entry.user_id).into());
        let record = Outgoing {
            topic: Topic::Directory,
            partition: None,
            key,
            value: Some(value.into()),
            headers: Vec::new(),
        };
        self.model.publish(vec![record]).unwrap();
    }
}

/// Eight people, so three pages, two of them beside the partition; three groups, one of them inside another.
fn company() -> Json {
    let employee = |name: &str, groups: &[&str]| {
        json!({
            "name": name, "partition": "staff", "display_name": name.to_uppercase(), "groups": groups,
            "locality": "Hamburg", "country": "DE", "department": "Operations/Harbour", "manager": "ada",
            "language": "de_DE", "changed": 1_767_603_600_000_i64,
        })
    };
    json!({
        "groups": { "bugle-harbour": ["bugle-operations"], "bugle-operations": [], "canteen": [] },
        "people": [
            employee("ada", &["bugle-operations"]), employee("ben", &["bugle-harbour", "canteen"]),
            employee("cleo", &["canteen"]), employee("dora", &["bugle-approver"]),
            employee("emil", &[]), employee("fay", &[]), employee("gus", &[]), employee("hal", &["canteen"]),
            json!({ "name": "supplier", "partition": "partners", "groups": ["bugle-approver"] }),
        ],
    })
}

const BOTH: [DirectoryKind; 2] = [DirectoryKind::Otds, DirectoryKind::Scim];

#[test]
fn groups_places_and_departments_come_over_and_only_once() {
    for kind in BOTH {
        let rig = Rig::new(kind);
        assert_eq!(rig.run(&[]), "8 new, 0 changed, 0 as before\n", "{kind:?}");
        let people = rig.people();
        let ben = &people["ben"];
        assert_eq!((ben.tenant.as_str(), ben.user_id.as_str(), ben.active), ("acme", "ben@staff", true));
        assert_eq!(
            ben.roles,
            ["harbour", "operations"],
            "{kind:?}: a member of the inner is one of the outer"
        );
        assert_eq!(people["hal"].roles, Vec::<String>::new(), "{kind:?}: the canteen is no role");
        assert_eq!(
            (ben.location.locality.as_deref(), ben.location.country.as_deref()),
            (Some("Hamburg"), Some("DE"))
        );
        assert_eq!(ben.business_unit, ["Operations", "Harbour"]);
        assert_eq!(ben.manager.as_deref(), Some("ada@staff"));
        assert_eq!((ben.locale.as_deref(), ben.display_name.as_deref()), (Some("de-DE"), Some("BEN")));
        assert!(!people.contains_key("supplier@partners"), "{kind:?}: another partition");
        assert_eq!(rig.run(&[]), "0 new, 0 changed, 8 as before\n", "{kind:?}");
        assert_eq!(rig.records().len(), 8);
    }
}

#[test]
fn a_dry_run_shows_what_load_would_show_and_writes_nothing() {
    let rig = Rig::new(DirectoryKind::Otds);
    rig.run(&[]);
    rig.there(&json!({
        "people": [{ "name": "ben", "partition": "staff", "display_name": "BEN", "groups": ["bugle-approver"],
            "locality": "Bremen", "country": "DE", "department": "Operations/Harbour", "manager": "ada",
            "language": "de_DE" }],
        "gone": ["hal"],
    }));
    insta::assert_snapshot!(rig.run(&["--dry-run", "--remove-missing", "--yes"]), @r"
    held by nobody from now on: harbour
    ~ acme/ben@staff: roles +approver -harbour -operations, locality Hamburg → Bremen
    - acme/hal@staff
    0 new, 1 changed, 6 as before, 1 to remove
    ");
    assert_eq!(rig.records().len(), 8);
}

#[test]
fn what_the_source_does_not_speak_of_stays_and_who_gains_comes_first() {
    for kind in BOTH {
        let rig = Rig::new(kind);
        rig.run(&[]);
        let mut ben = rig.people()["ben"].clone();
        (ben.deputies, ben.absent, ben.zone) = (vec!["ada@staff".into()], true, Some("Europe/Berlin".into()));
        ben.location.site = Some("Pier 7".into());
        rig.publish(&ben);
        let change = |name: &str, groups: &[&str]| {
            json!({ "name": name, "partition": "staff", "display_name": name.to_uppercase(), "groups": groups,
                "locality": "Hamburg", "country": "DE", "department": "Operations/Harbour", "manager": "ada",
                "language": "de_DE" })
        };
        rig.there(&json!({ "people": [change("ben", &[]), change("gus", &["bugle-harbour"])] }));
        assert_eq!(rig.run(&[]), "0 new, 2 changed, 6 as before\n", "{kind:?}");
        let keys: Vec<String> = rig.records().into_iter().skip(9).map(|(key, _)| key).collect();
        assert_eq!(keys, ["acme|gus@staff", "acme|ben@staff"], "{kind:?}: the role is never held by nobody");
        let now = rig.people()["ben"].clone();
        assert_eq!((now.deputies, now.absent, now.zone), (ben.deputies, true, ben.zone), "{kind:?}");
        assert_eq!(now.location, ben.location, "{kind:?}");
    }
}

#[test]
fn a_service_that_stumbles_is_asked_again_and_the_sign_in_renewed_once() {
    use PageTrouble::{Busy, Cut, Expired, None, ServerError, Short};
    for kind in BOTH {
        let rig = Rig::new(kind);
        // 401 between two pages, 500, an answer cut off, a page with fewer people than it says, 429.
        rig.pages(&[None, None, Expired, ServerError, Cut, None, Short, Busy]);
        assert_eq!(rig.run(&[]), "8 new, 0 changed, 0 as before\n", "{kind:?}");
    }
}

#[test]
fn a_source_that_fails_half_way_changes_nothing() {
    use PageTrouble::{Circle, Elsewhere, Expired, None, ServerError};
    for kind in BOTH {
        let rig = Rig::new(kind);
        rig.run(&[]);
        let before = rig.records();
        rig.there(
            &json!({ "people": [{ "name": "new", "partition": "staff", "groups": ["bugle-approver"] }] }),
        );
        let all = ["--remove-missing", "--yes"];
        rig.pages(&[&[None, None, None][..], &[ServerError; 6]].concat());
        let told = rig.run(&all);
        assert!(told.contains("it answers 500, 6 times") && told.contains("nothing was written"), "{told}");
        rig.pages(&[None, None, Expired, Expired]);
        assert!(rig.run(&all).contains("does not let `bugle` in: 401"), "{kind:?}: it renews once");
        rig.pages(&[None, None, Elsewhere]);
        assert!(rig.run(&all).contains("refuses with 302: it leads elsewhere"), "{kind:?}");
        if kind == DirectoryKind::Otds {
            rig.pages(&[None, None, None, Circle, Circle, Circle]);
            assert!(rig.run(&all).contains("gives the same page again"), "{kind:?}");
        }
        assert_eq!(rig.records(), before, "{kind:?}");
    }
}

#[test]
fn somebody_on_two_pages_is_one_and_somebody_passed_over_is_not_gone() {
    use PageTrouble::{None, Repeat, Vanish};
    for kind in BOTH {
        let rig = Rig::new(kind);
        rig.pages(&[None, None, None, Repeat]);
        assert_eq!(rig.run(&[]), "8 new, 0 changed, 0 as before\n", "{kind:?}: one is on two pages");
        assert_eq!(rig.records().len(), 8, "{kind:?}");
        // The first of the first page goes before the second is served: in a list by places one is passed over.
        rig.pages(&[None, None, None, Vanish]);
        let told = rig.run(&["--remove-missing", "--yes"]);
        match kind {
            DirectoryKind::Otds => assert_eq!(rig.people().len(), 8, "{told}: seen before it went"),
            DirectoryKind::Scim => assert_eq!(rig.people().len(), 7, "{told}: read again, and gone"),
        }
        assert!(rig.people().contains_key("dora"), "{kind:?}: {told}");
    }
}

#[test]
fn a_list_that_never_stands_still_removes_nobody() {
    use PageTrouble::{None, Vanish};
    let rig = Rig::new(DirectoryKind::Scim);
    rig.run(&[]);
    rig.pages(&[None, None, None, Vanish, Vanish, None, Vanish, None, Vanish]);
    let told = rig.run(&["--remove-missing", "--yes"]);
    assert!(told.contains("nobody counts as missing"), "{told}");
    assert_eq!(rig.people().len(), 8);
}

#[test]
fn many_are_removed_or_made_inactive_only_when_that_is_said_twice() {
    let rig = Rig::new(DirectoryKind::Otds);
    rig.run(&[]);
    rig.there(&json!({ "gone": ["gus", "hal"] }));
    insta::assert_snapshot!(rig.run(&[]), @"0 new, 0 changed, 6 as before, 2 not in the source stay (`--remove-missing` removes them)");
    insta::assert_snapshot!(rig.run(&["--remove-missing"]), @r"
    0 new, 0 changed, 6 as before, 2 to remove
    error: the source would remove 2 people, 25 % of those known; nothing was written
    hint: add `--yes` if the source is complete
    ");
    let outside = Person { tenant: "acme".into(), user_id: "zoe@partners".into(), ..Person::default() };
    rig.publish(&outside);
    rig.run(&["--remove-missing", "--yes"]);
    assert_eq!(rig.people().len(), 7, "who belongs to another partition is nobody's to remove");
    let disabled = ["ada", "ben", "cleo", "dora", "emil", "fay"].map(
        |name| json!({ "name": name, "partition": "staff", "disabled": true, "groups": ["bugle-harbour"] }),
    );
    rig.there(&json!({ "people": disabled }));
    assert!(rig.run(&[]).contains("would make 6 of 6 active people inactive; nothing was written"));
}

#[test]
fn a_user_may_sign_in_for_a_ticket_and_a_wrong_secret_is_said() {
    let mut rig = Rig::new(DirectoryKind::Otds);
    rig.settings.client_secret = Some("wrong".into());
    insta::assert_snapshot!(rig.run(&[]), @r"
    error: http://otds/otdsws/oauth2/token does not let `bugle` in: it answers 401
    hint: check `directory.client_id`, its secret, and that the client may read users
    ");
    (rig.settings.client_id, rig.settings.client_secret) = (None, None);
    (rig.settings.username, rig.settings.password) =
        (Some("reader@otds.admin".into()), Some("of many bytes".into()));
    assert_eq!(rig.run(&[]), "8 new, 0 changed, 0 as before\n");
    rig.settings.role_prefix = "no-such-".to_owned();
    let told = rig.run(&[]);
    assert!(told.contains("of the 8 people at http://otds nobody has a role"), "{told}");
    rig.settings.url = None;
    assert!(rig.run(&[]).contains("it is not said where people come from"));
}

#[test]
fn between_whole_listings_only_changes_are_asked_for() {
    use bugle::source_systems::people::{Access, Kind, PeopleSource, SignIn};
    let rig = Rig::new(DirectoryKind::Scim);
    let access = Access {
        kind: Kind::Scim,
        url: rig.settings.url.clone().unwrap(),
        tenant: "acme".to_owned(),
        partition: Some("staff".to_owned()),
        sign_in: SignIn::Client {
            token_url: rig.settings.token_url.clone().unwrap(),
            client_id: "bugle".to_owned(),
            client_secret: "of many bytes".into(),
        },
        role_prefix: "bugle-".to_owned(),
        page_size: 100,
        patience: std::time::Duration::from_secs(10),
        whole_every: std::time::Duration::from_secs(3_600),
        memory: None,
    };
    let mut source = PeopleSource::new(access).unwrap();
    let mut list = |pages: &[PageTrouble]| {
        rig.pages(pages);
        let listing = rig.runtime.block_on(source.list(&mut |_, _| {})).unwrap();
        let entry = |person: Person| (person.user_id.trim_end_matches("@staff").to_owned(), person);
        listing.people.into_iter().map(entry).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(list(&[]).len(), 8);
    let moved =
        json!({ "name": "emil", "partition": "staff", "groups": ["bugle-approver"], "locality": "Bremen" });
    rig.there(&json!({ "people": [moved], "gone": ["hal"] }));
    let people = list(&[]);
    assert_eq!(people["emil"].location.locality.as_deref(), Some("Bremen"));
    assert_eq!(people["emil"].roles, ["approver"]);
    assert_eq!(people.len(), 8, "who is gone shows in the next whole listing");
    assert_eq!(rig.lists_asked(), json!(["everybody", "changes"]));
}

#[test]
fn from_run_to_run_a_file_keeps_what_was_read_and_only_changes_are_asked_for() {
    let mut rig = Rig::new(DirectoryKind::Scim);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("people.json");
    rig.settings.memory = Some(file.clone());
    rig.settings.page_size = 100;
    assert_eq!(rig.run(&[]), "8 new, 0 changed, 0 as before\n");
    // Who comes into a group is not modified by that: fay gets a role, and her own entry is as it was.
    let employee = |name: &str, group: &str, town: &str| {
        json!({ "name": name, "partition": "staff", "display_name": name.to_uppercase(), "groups": [group],
            "locality": town, "country": "DE", "department": "Operations/Harbour", "manager": "ada",
            "language": "de_DE" })
    };
    let (moved, mut fay) =
        (employee("emil", "bugle-harbour", "Bremen"), employee("fay", "bugle-approver", "Hamburg"));
    fay["changed"] = 1_767_603_600_000_i64.into();
    rig.there(&json!({ "people": [moved, fay], "gone": ["hal"] }));
    let kept = std::fs::read(&file).unwrap();
    let told = rig.run(&["--dry-run", "--remove-missing"]);
    insta::assert_snapshot!(told.split_once('\n').unwrap().1, @r"
    ~ acme/emil@staff: roles +harbour +operations, locality Hamburg → Bremen
    ~ acme/fay@staff: roles +approver
    0 new, 2 changed, 6 as before
    ");
    assert!(told.starts_with("asked for what was changed since "), "{told}");
    assert_eq!(std::fs::read(&file).unwrap(), kept, "a dry run changes nothing");
    assert!(rig.run(&["--remove-missing"]).ends_with("0 new, 2 changed, 6 as before\n"));
    assert_eq!(rig.people()["emil"].location.locality.as_deref(), Some("Bremen"));
    assert_eq!((rig.people()["fay"].roles.as_slice(), rig.people().len()), (&["approver".to_owned()][..], 8));
    // Who is gone is seen by the whole listing, and guarded there.
    assert!(rig.run(&["--remove-missing", "--whole"]).contains("would remove 1 people, 12 % of those known"));
    assert_eq!(
        rig.run(&["--remove-missing", "--whole", "--yes"]),
        "0 new, 0 changed, 7 as before, 1 to remove\n"
    );
    assert!(!rig.people().contains_key("hal"));
    // A file that cannot be read, or is about others, is none.
    std::fs::write(&file, "{").unwrap();
    assert_eq!(rig.run(&[]), "0 new, 0 changed, 7 as before\n");
    rig.settings.partition = None;
    rig.run(&["--dry-run"]);
    let all = ["everybody", "changes", "changes", "everybody", "everybody", "everybody", "everybody"];
    assert_eq!(rig.lists_asked(), json!(all));
}
