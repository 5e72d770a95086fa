//! Town: the shipped rules and schemas, a directory of some people, and events written as JSON.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use bugle::codec::{Codec, Name, Schemas, example, json, person};
use bugle::directory::key::person_key;
use bugle::directory::{Decoded, Directory};
use bugle::event::record::Input;
use bugle::event::{Incoming, Person, Source, Timestamp, Topic};
use bugle::flow::accounts::Terms;
use bugle::flow::{Accounts, Mutes, Plan, TenantDefaults, World};
use bugle::sample;
use bugle::topology::{Kinds, Topology};
use serde_json::{Value as Json, json};

/// 5 January 2026, nine in the morning in Greenwich.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_767_603_600_000);

pub(crate) struct Town {
    pub(crate) plan: Plan,
    pub(crate) topology: Arc<Topology>,
    pub(crate) codec: Arc<Codec>,
    directory: Directory,
    known: Cell<i64>,
}

// === impl Town ===

impl Town {
    /// With this many partitions of each of our own topics.
    pub(crate) fn new(people: &[Person], partitions: u32) -> Self {
        let schemas = Arc::new(Schemas::built_in());
        let kinds = Kinds::new(Source::ALL.into_iter().flat_map(|source| schemas.shapes(source).to_vec()));
        let town = Self {
            plan: Plan {
                subjects: partitions,
                people: partitions,
                pushes: partitions,
                write_backs: partitions,
                audit: partitions,
                accounts: Accounts::one("main")
                    .with_terms("main", Terms { in_flight: 64, ..Terms::default() }),
                defaults: TenantDefaults { zone: "Europe/Berlin".to_owned(), ..TenantDefaults::default() },
                ..Plan::default()
            },
            topology: Arc::new(Topology::load(Path::new("topology"), &kinds).unwrap()),
            codec: Arc::new(Codec::new(schemas, None)),
            directory: Directory::new(),
            known: Cell::new(0),
        };
        people.iter().for_each(|person| town.learn(person));
        town
    }

    /// The directory hears of a person.
    pub(crate) fn learn(&self, person: &Person) {
        let offset = self.known.replace(self.known.get() + 1);
        hear_of(&self.directory, &self.codec, offset, person);
    }

    /// The example event of a kind, changed by `patch`, as it lies in its topic.
    pub(crate) fn event(&self, kind: &str, patch: &Json) -> (Source, Vec<u8>) {
        let mut event = example::event(self.codec.schemas(), kind, example::MONDAY).unwrap();
        merge(&mut event, &json!({ "occurred_at": NOW.to_string(), "audience": null, "expires_at": null }));
        merge(&mut event, patch);
        let source = Source::of_kind(kind).unwrap();
        let written = json::to_avro(self.codec.schemas(), &event).unwrap();
        (source, written.framed(Name::Events(source).local_id()))
    }

    /// Shows the world as the lanes see it.
    pub(crate) fn look<T>(&self, ask: impl FnOnce(&World<'_>) -> T) -> T {
        let people = self.directory.view();
        let directory = people.position();
        let mutes = Mutes::new();
        let muted = mutes.view();
        ask(&World {
            topology: &self.topology,
            codec: &self.codec,
            people: &people,
            directory: &directory,
            muted: &muted,
            plan: &self.plan,
        })
    }
}

/// A directory hears of a person.
pub(crate) fn hear_of(directory: &Directory, codec: &Codec, offset: i64, person: &Person) {
    let value = person::encode(Name::Person.local_id(), person);
    let key = Some(person_key(&person.tenant, &person.user_id).into());
    let record = Incoming { key, ..record(Topic::Directory, offset, NOW, value) };
    let decoded = Decoded::read(codec, &record).unwrap();
    assert!(directory.apply([(&record, decoded)]).is_empty());
}

/// The sample company, and the other tenant's people under the same user ids.
pub(crate) fn company(crowd: usize) -> Vec<Person> {
    let mut people = sample::people(crowd);
    for person in people.iter_mut().filter(|person| person.tenant == "globex") {
        person.user_id = person.user_id.trim_end_matches("@globex").to_owned();
    }
    people
}

/// A record of partition 0.
pub(crate) fn record(topic: Topic, offset: i64, timestamp: Timestamp, value: Vec<u8>) -> Incoming {
    let input = Input { topic, partition: 0 };
    Incoming { input, offset, timestamp, key: None, value: Some(value.into()), headers: Vec::new() }
}

fn merge(into: &mut Json, patch: &Json) {
    match (into, patch) {
        (Json::Object(into), Json::Object(patch)) => {
            for (name, value) in patch {
                merge(into.entry(name.clone()).or_insert(Json::Null), value);
            }
        }
        (into, patch) => *into = patch.clone(),
    }
}
