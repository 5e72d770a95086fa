//! Load: events for a small company of two tenants, and who has to be told what because of them.
//!
//! What is owed is worked out here from the people's roles and places and from nothing that a lane uses. A
//! telling is known by its title, which is its own, and by the person.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use serde_json::json;

use crate::codec::{Codec, Name, json as text, person};
use crate::event::person::Location;
use crate::event::{Outgoing, Person, Source, Timestamp, Topic};

/// The tenants. Their roles and places have the same names, their people have not.
const TENANTS: [&str; 2] = ["north", "south"];
/// People of each tenant.
const PEOPLE: u32 = 60;
const ROLES: u32 = 4;
const PLACES: u32 = 5;
/// Subjects whose newest state replaces the older one on a phone, for each tenant.
const SUBJECTS: u32 = 25;
/// A copy is one of the last so many.
const RECENT: usize = 2_000;
/// Of a thousand records: copies, and what nobody can read.
const COPIES: u32 = 50;
const UNREADABLE: u32 = 5;

/// The rule's audience; placeholders are filled by the event.
const AUDIENCE: &str = "role:{event.audience.roles} && location:{event.audience.locations}";

/// What one rule does with the events of one kind.
struct Kind {
    source: Source,
    kind: &'static str,
    /// What the kind must say beside the envelope.
    rest: &'static str,
    /// The rule, after its audience and message.
    rule: &'static str,
    says: Says,
}

/// When a rule tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    /// At once.
    Now,
    /// At once, and the newest replaces the older ones of its subject.
    Newest,
    /// At once, and once more when a timer rings.
    NowAndLater,
    /// When a timer rings.
    Later,
}

const KINDS: [Kind; 4] = [
    Kind {
        source: Source::XConnector,
        kind: "xconnector.workflow.milestone",
        rest: r#"{"flow_id":"orders","execution_id":"run-7","data":{"step":"Plan published"}}"#,
        rule: "",
        says: Says::Now,
    },
    Kind {
        source: Source::Xecm,
        kind: "xecm.document.available",
        rest: r#"{"node":{"id":"4711","name":"Berth plan"},"data":{"doc_kind":"safety","site":"Hamburg"}}"#,
        rule: "    subject: [entity.id]\n    replace: subject\n",
        says: Says::Newest,
    },
    Kind {
        source: Source::Bws,
        kind: "bws.item.added",
        rest: r#"{"workspace":{"id":"7","name":"Pier"},"data":{"item_class":"contract"}}"#,
        // What does not replace it may be accepted before it, when both wait.
        rule: "    escalate: [{ at: opened + 3s, to: \"AUDIENCE\", message: chaos-later }]\n    replace: subject\n",
        says: Says::NowAndLater,
    },
    Kind {
        source: Source::DevAdmin,
        kind: "devadmin.artifact.changed",
        rest: r#"{"organization_id":"o","tenant_id":"t","environment":"prod","app_id":"orders",
            "data":{"artifact":{"type":"api","id":"orders"},"change":"deployed"}}"#,
        rule: "    tell: later\n    escalate: [{ at: opened + 2s, to: \"AUDIENCE\", message: chaos-later }]\n",
        says: Says::Later,
    },
];

/// Writes the rules for such a load into `folder`.
///
/// # Errors
/// The folder cannot be written.
pub fn write_rules(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder.join("messages"))?;
    for Kind { source, kind, rule, .. } in &KINDS {
        let rule = rule.replace("AUDIENCE", AUDIENCE);
        let rules = format!(
            "source: {source}\ndefaults: {{ locale: en, category: chaos }}\nrules:\n  - id: chaos-{source}\n    \
             match: {{ kind: {kind} }}\n    audience: \"{AUDIENCE}\"\n    message: chaos-now\n{rule}"
        );
        fs::write(folder.join(format!("{source}.yaml")), rules)?;
    }
    let message = |name: &str| {
        format!(
            "chaos-{name}:\n  en:\n    title: '{name} {{{{ event.entity.name | default(\"?\") }}}}'\n    \
             body: '{{{{ event.kind }}}} on {{{{ event.entity.id }}}}'\n"
        )
    };
    fs::write(folder.join("messages/chaos.yaml"), message("now") + &message("later"))
}

/// What is owed under one title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owing {
    /// To whom.
    pub people: BTreeSet<String>,
    /// Of what replaces another: the subject, and the place in its row.
    pub turn: Option<(String, u64)>,
    /// The title that is told before this one.
    pub after: Option<String>,
}

/// Everything owed, by title.
pub type Owed = BTreeMap<String, Owing>;

/// A company, and an endless stream of events for it.
pub struct Load {
    /// Everybody.
    pub people: Vec<Person>,
    /// Records made.
    pub made: u64,
    /// What must come of them.
    pub owed: Owed,
    /// Tellings owed.
    pub tellings: u64,
    ids: BTreeMap<Source, u32>,
    chance: fastrand::Rng,
    events: u64,
    recent: Vec<Outgoing>,
}

// === impl Load ===

impl Load {
    /// The same seed makes the same events.
    #[must_use]
    pub fn new(seed: u64, mut id: impl FnMut(Name) -> u32) -> Self {
        let people = TENANTS.into_iter().flat_map(|tenant| (0..PEOPLE).map(move |n| resident(tenant, n)));
        Self {
            people: people.collect(),
            made: 0,
            owed: Owed::new(),
            tellings: 0,
            ids: Source::ALL.into_iter().map(|source| (source, id(Name::Events(source)))).collect(),
            chance: fastrand::Rng::with_seed(seed),
            events: 0,
            recent: Vec::new(),
        }
    }

    /// The directory's records.
    pub fn directory(&self, id: u32) -> Vec<Outgoing> {
        let record = |entry: &Person| Outgoing {
            topic: Topic::Directory,
            partition: None,
            key: Some(crate::directory::key::person_key(&entry.tenant, &entry.user_id).into()),
            value: Some(person::encode(id, entry).into()),
            headers: Vec::new(),
        };
        self.people.iter().map(record).collect()
    }

    /// The next record: an event nobody has seen, now and then a copy, or what nobody can read.
    ///
    /// # Panics
    /// When a kind does not fit its schema: a mistake of this file.
    pub fn next_record(&mut self, codec: &Codec, now: Timestamp) -> Outgoing {
        self.made += 1;
        let drawn = self.chance.u32(..1_000);
        if drawn < COPIES && !self.recent.is_empty() {
            return self.recent[self.chance.usize(..self.recent.len())].clone();
        }
        if drawn < COPIES + UNREADABLE {
            let value = Some(self.chance.u64(..).to_le_bytes().to_vec().into());
            let topic = Topic::Events(Source::Bws);
            return Outgoing { topic, partition: None, key: None, value, headers: Vec::new() };
        }
        let record = self.original(codec, now);
        if self.recent.len() == RECENT {
            let place = self.chance.usize(..RECENT);
            self.recent.swap_remove(place);
        }
        self.recent.push(record.clone());
        record
    }

    /// Some of the last events once more, as they were.
    pub fn copies(&mut self, count: usize) -> Vec<Outgoing> {
        let copies: Vec<Outgoing> = self.recent.iter().rev().take(count).cloned().collect();
        self.made += copies.len() as u64;
        copies
    }

    fn original(&mut self, codec: &Codec, now: Timestamp) -> Outgoing {
        let number = self.events;
        self.events += 1;
        let chance = &mut self.chance;
        let tenant = TENANTS[chance.usize(..TENANTS.len())];
        let (role, place, subject) = (chance.u32(..ROLES), chance.u32(..PLACES), chance.u32(..SUBJECTS));
        let kind = &KINDS[chance.usize(..KINDS.len())];
        let subject = if kind.says == Says::Newest { format!("s-{subject}") } else { format!("e-{number}") };
        let mut event: serde_json::Value = serde_json::from_str(kind.rest).expect("the kinds above are JSON");
        event["event_id"] = json!(format!("{:032x}", chance.u128(..)));
        event["kind"] = json!(kind.kind);
        event["tenant"] = json!(tenant);
        event["occurred_at"] = json!(now.to_string());
        event["correlation_id"] = json!("c-1");
        event["entity"] = json!({ "type": "contract", "id": subject, "name": format!("{tenant} {number}") });
        event["actor"] = json!({ "user_id": "u" });
        event["audience"] = json!({ "roles": [role_name(role)], "locations": [place_name(place)] });
        let written = text::to_avro(codec.schemas(), &event).expect("the kinds above fit their schemas");
        let people = self.people.iter().filter(|person| {
            let lives = person.location.site.as_deref() == Some(place_name(place).as_str());
            person.tenant == tenant && person.roles.contains(&role_name(role)) && lives
        });
        let people: BTreeSet<String> = people.map(|person| person.user_id.clone()).collect();
        self.owe(kind.says, (tenant, number, &subject), &people);
        let value = written.framed(self.ids[&kind.source]);
        let key = Some(written.key.into_bytes().into());
        let topic = Topic::Events(kind.source);
        Outgoing { topic, partition: None, key, value: Some(value.into()), headers: Vec::new() }
    }

    fn owe(&mut self, says: Says, what: (&str, u64, &str), people: &BTreeSet<String>) {
        let (tenant, number, subject) = what;
        let (now, later) = (format!("now {tenant} {number}"), format!("later {tenant} {number}"));
        let turn = (says == Says::Newest).then(|| (format!("{tenant}/{subject}"), number));
        let mut owe = |title: String, turn, after| {
            self.tellings += people.len() as u64;
            self.owed.insert(title, Owing { people: people.clone(), turn, after });
        };
        match says {
            Says::Now | Says::Newest => owe(now, turn, None),
            Says::NowAndLater => {
                owe(now.clone(), None, None);
                owe(later, None, Some(now));
            }
            Says::Later => owe(later, None, None),
        }
    }
}

fn role_name(role: u32) -> String {
    format!("role-{role}")
}

fn place_name(place: u32) -> String {
    format!("place-{place}")
}

fn resident(tenant: &str, number: u32) -> Person {
    Person {
        tenant: tenant.to_owned(),
        user_id: format!("{tenant}-{number:02}"),
        active: true,
        roles: vec![role_name(number % ROLES)],
        location: Location { site: Some(place_name(number / ROLES % PLACES)), ..Location::default() },
        business_unit: vec!["unit".to_owned()],
        ..Person::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::codec::Schemas;
    use crate::topology::{Kinds, Topology};

    #[test]
    fn the_rules_are_right_and_every_event_is_owed_to_somebody() {
        let schemas = Arc::new(Schemas::built_in());
        let kinds = Kinds::new(Source::ALL.into_iter().flat_map(|source| schemas.shapes(source).to_vec()));
        let folder = std::env::temp_dir().join(format!("bugle-chaos-rules-{}", std::process::id()));
        write_rules(&folder).unwrap();
        let topology = Topology::load(&folder, &kinds).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(topology.rules.len(), KINDS.len());

        let codec = Codec::new(schemas, None);
        let mut load = Load::new(7, Name::local_id);
        let records: Vec<Outgoing> =
            (0..1_000).map(|_| load.next_record(&codec, Timestamp::from_millis(0))).collect();
        let topics: BTreeSet<Topic> = records.iter().map(|record| record.topic).collect();
        assert_eq!((topics.len(), load.made), (KINDS.len(), 1_000));
        assert!(load.owed.len() > 1_000 && load.tellings == 3 * load.owed.len() as u64);
        assert!(load.owed.values().all(|owing| owing.people.len() == 3));
        assert_eq!(load.copies(100).len(), 100);
    }
}
