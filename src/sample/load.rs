//! Load: a crowd, an endless stream of events for it, and how many pushes they must become.
//!
//! The same seed makes the same load. An event is made by filling the blanks of one that the codec wrote,
//! so that a million of them take a second and are the very bytes a publisher would send.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::Path;

use bytes::Bytes;
use serde_json::json;

use crate::codec::{Codec, Name, json as text};
use crate::event::person::Location;
use crate::event::{Outgoing, Person, Source, Timestamp, Topic};

/// People of each tenant.
pub const PEOPLE: u32 = 5_000;
/// Roles that events ask for; everybody has one or two of them.
const ROLES: u32 = 10;
/// Locations that events name. People live in more, so that an audience is as large as asked.
const LOCATIONS: u32 = 20;
/// Subjects of each kind.
const SUBJECTS: u32 = 20_000;
/// A copy comes at most this many records after its original.
const FARTHEST_COPY: usize = 10_000;
/// Copies in a million records.
const COPIES: u32 = 49_000;

/// One kind per source system, and what it must say beside the envelope.
const KINDS: [(Source, &str, &str); 4] = [
    (
        Source::XConnector,
        "xconnector.workflow.milestone",
        r#"{"flow_id":"orders","execution_id":"run-7","data":{"step":"Plan published"}}"#,
    ),
    (
        Source::Xecm,
        "xecm.document.available",
        r#"{"node":{"id":"4711","name":"Berth plan"},"data":{"doc_kind":"safety","site":"Hamburg"}}"#,
    ),
    (
        Source::Bws,
        "bws.item.added",
        r#"{"workspace":{"id":"7","name":"Pier"},"data":{"item_class":"contract"}}"#,
    ),
    (
        Source::DevAdmin,
        "devadmin.artifact.changed",
        r#"{"organization_id":"o","tenant_id":"t","environment":"prod","app_id":"orders",
            "data":{"artifact":{"type":"api","id":"orders"},"change":"deployed"}}"#,
    ),
];

/// What is filled in, as it stands in the form: event id, number of the subject, role, location, tenant.
const BLANKS: [&str; 5] =
    ["EEEEEEEE-EEEE-EEEE-EEEE-EEEEEEEEEEEE", "NNNNNN", "role-R", "loc-LLL", "tenant-TT"];

/// Writes the rules for such a load into `folder/topology`: one per kind, each for whoever has the event's
/// role at the event's location.
///
/// # Errors
/// The folder cannot be written.
pub fn write_rules(folder: &Path) -> io::Result<()> {
    let topology = folder.join("topology");
    fs::create_dir_all(topology.join("messages"))?;
    for (source, kind, _) in KINDS {
        let rules = format!(
            "source: {source}\ndefaults: {{ locale: en, category: bench }}\nrules:\n  - id: bench-{source}\n    \
             match: {{ kind: {kind} }}\n    audience: \"role:{{event.audience.roles}} && \
             location:{{event.audience.locations}}\"\n    message: bench-{source}\n"
        );
        let message = format!(
            "bench-{source}:\n  en:\n    title: '{{{{ event.entity.name | default(\"?\") }}}}'\n    body: '{{{{ event.kind }}}} on \
             {{{{ event.entity.id }}}} ({{{{ event.severity }}}})'\n    link: '{{{{ event.entity.url }}}}'\n"
        );
        fs::write(topology.join(format!("{source}.yaml")), rules)?;
        fs::write(topology.join(format!("messages/{source}.yaml")), message)?;
    }
    Ok(())
}

/// An event with blanks.
struct Form {
    topic: Topic,
    key: Blanked,
    value: Blanked,
}

/// Bytes, and where which blank stands in them.
struct Blanked {
    bytes: Vec<u8>,
    blanks: Vec<(usize, usize)>,
}

/// A crowd, and an endless stream of events for it.
pub struct Load {
    /// Everybody.
    pub people: Vec<Person>,
    /// Records made.
    pub made: u64,
    /// Those of them that are copies.
    pub copies: u64,
    /// Pushes that the originals must become.
    pub expected: u64,
    forms: Vec<Form>,
    tenants: u32,
    /// How many people an event reaches, by tenant, role and location.
    reached: Vec<u64>,
    recent: VecDeque<Outgoing>,
    chance: fastrand::Rng,
}

// === impl Blanked ===

impl Blanked {
    fn new(bytes: Vec<u8>) -> Self {
        let mut blanks = Vec::new();
        for (which, blank) in BLANKS.iter().enumerate() {
            let found =
                bytes.windows(blank.len()).enumerate().filter(|(_, window)| *window == blank.as_bytes());
            blanks.extend(found.map(|(at, _)| (at, which)));
        }
        Self { bytes, blanks }
    }

    fn fill(&self, values: &[String; BLANKS.len()]) -> Bytes {
        let mut bytes = self.bytes.clone();
        for (at, which) in &self.blanks {
            let value = values[*which].as_bytes();
            bytes[*at..*at + value.len()].copy_from_slice(value);
        }
        bytes.into()
    }
}

// === impl Load ===

impl Load {
    /// A crowd of [`PEOPLE`] for each tenant, of whom an event reaches `fan_out` on average; `id` gives the
    /// schema id of a topic's values.
    ///
    /// # Panics
    /// When a form does not fit its schema: a mistake of this file.
    pub fn new(codec: &Codec, shape: (u32, u32), now: Timestamp, mut id: impl FnMut(Name) -> u32) -> Self {
        let (fan_out, tenants) = shape;
        let mut chance = fastrand::Rng::with_seed(4_711);
        // Everybody has one role or two, so 15 of 10 roles and locations match on average.
        let homes = (PEOPLE * 3 / (2 * ROLES * fan_out.max(1))).max(LOCATIONS);
        let mut reached = vec![0; (tenants * ROLES * LOCATIONS) as usize];
        let mut people = Vec::new();
        for tenant in 0..tenants {
            for number in 0..PEOPLE {
                let home = chance.u32(..homes);
                let first = chance.u32(..ROLES);
                let mut roles = vec![first];
                roles.extend(chance.bool().then(|| (first + chance.u32(1..ROLES)) % ROLES));
                for role in roles.iter().filter(|_| home < LOCATIONS) {
                    reached[place(tenant, *role, home)] += 1;
                }
                people.push(person(tenant, number, home, &roles));
            }
        }
        let forms = KINDS.iter().map(|kind| form(codec, kind, now, id(Name::Events(kind.0)))).collect();
        let recent = VecDeque::with_capacity(FARTHEST_COPY);
        Self { people, made: 0, copies: 0, expected: 0, forms, tenants, reached, recent, chance }
    }

    /// The next record: usually an event nobody has seen, now and then a copy of a recent one.
    pub fn next_record(&mut self) -> Outgoing {
        self.made += 1;
        let copy = (self.chance.u32(..1_000_000) < COPIES && !self.recent.is_empty())
            .then(|| self.recent[self.chance.usize(..self.recent.len())].clone());
        let record = match copy {
            Some(copy) => {
                self.copies += 1;
                copy
            }
            None => self.original(),
        };
        if self.recent.len() == FARTHEST_COPY {
            self.recent.pop_front();
        }
        self.recent.push_back(record.clone());
        record
    }

    fn original(&mut self) -> Outgoing {
        let chance = &mut self.chance;
        let (tenant, role) = (chance.u32(..self.tenants), chance.u32(..ROLES));
        let (home, number) = (chance.u32(..LOCATIONS), chance.u32(..SUBJECTS));
        self.expected += self.reached[place(tenant, role, home)];
        let id = chance.u128(..);
        let hex = format!("{id:032x}");
        let values = [
            format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]),
            format!("{number:06}"),
            format!("role-{role}"),
            format!("loc-{home:03}"),
            format!("tenant-{tenant:02}"),
        ];
        let form = &self.forms[chance.usize(..self.forms.len())];
        Outgoing {
            topic: form.topic,
            partition: None,
            key: Some(form.key.fill(&values)),
            value: Some(form.value.fill(&values)),
            headers: Vec::new(),
        }
    }
}

fn place(tenant: u32, role: u32, home: u32) -> usize {
    ((tenant * ROLES + role) * LOCATIONS + home) as usize
}

fn person(tenant: u32, number: u32, home: u32, roles: &[u32]) -> Person {
    Person {
        tenant: format!("tenant-{tenant:02}"),
        user_id: format!("u{number:05}"),
        active: true,
        roles: roles.iter().map(|role| format!("role-{role}")).collect(),
        location: Location { site: Some(format!("loc-{home:03}")), ..Location::default() },
        business_unit: vec![format!("bu-{}", number % 10)],
        ..Person::default()
    }
}

fn form(codec: &Codec, kind: &(Source, &str, &str), now: Timestamp, id: u32) -> Form {
    let (source, kind, rest) = *kind;
    let [event_id, number, role, home, tenant] = BLANKS;
    let mut event: serde_json::Value = serde_json::from_str(rest).expect("the kinds above are JSON");
    event["event_id"] = json!(event_id);
    event["kind"] = json!(kind);
    event["tenant"] = json!(tenant);
    event["occurred_at"] = json!(now.to_string());
    event["correlation_id"] = json!("9f8e7d6c");
    event["entity"] = json!({
        "type": "contract", "id": format!("contract-{number}"), "version": "3",
        "name": format!("Vertrag „Hafen“: contract-{number}"),
        "url": format!("https://ecm.example.test/contract/{number}?rev=3"),
    });
    event["actor"] = json!({ "user_id": "u00042" });
    event["audience"] = json!({ "roles": [role], "locations": [home] });
    let written = text::to_avro(codec.schemas(), &event).expect("the kinds above fit their schemas");
    Form {
        topic: Topic::Events(source),
        key: Blanked::new(written.key.clone().into_bytes()),
        value: Blanked::new(written.framed(id)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use super::*;
    use crate::codec::Schemas;
    use crate::event::frame::Format;
    use crate::event::shape::slot;

    #[test]
    fn every_record_is_an_event_and_a_twentieth_are_copies() {
        let codec = Codec::new(Arc::new(Schemas::built_in()), None);
        let mut load = Load::new(&codec, (5, 2), Timestamp::from_millis(0), Name::local_id);
        let (mut ids, mut sources) = (HashSet::new(), HashSet::new());
        for _ in 0..20_000 {
            let record = load.next_record();
            let Topic::Events(source) = record.topic else { panic!("{}", record.topic) };
            let value = record.value.unwrap();
            let change = codec.decode(source, Format::Avro, &[], &value).unwrap();
            assert!(change.text(slot::ENTITY_ID).unwrap().starts_with("contract-0"));
            sources.insert(source);
            ids.insert(change.event_id().to_owned());
        }
        assert_eq!(ids.len() as u64, load.made - load.copies);
        assert_eq!(sources.len(), 4);
        assert!((900..1_080).contains(&load.copies), "{}", load.copies);
        let mean = load.expected as f64 / ids.len() as f64;
        assert!((4.5..5.5).contains(&mean), "{mean}");
    }
}
