//! Shape: which fields a change of some kind has, of which type, and in which slot.
//!
//! Built once from a schema in `schemas/`; a rule resolves its field names against it when it is
//! loaded, so that reading a field of a change is an index and never a search.

use std::collections::HashMap;

use super::{Relation, Source, Timestamp};

/// Slots of the envelope, equal in the shapes of all four sources.
pub mod slot {
    macro_rules! slots {
        ($($name:ident $path:literal),* $(,)?) => { slots!(@ 0u16; $($name $path),*); /// Paths of the envelope's fields, by slot.
            pub const PATHS: &[&str] = &[$($path),*]; };
        (@ $at:expr; $name:ident $path:literal $(, $rest:ident $more:literal)*) => {
            #[doc = concat!("`", $path, "`")]
            pub const $name: u16 = $at;
            slots!(@ $at + 1; $($rest $more),*);
        };
        (@ $at:expr;) => {};
    }
    slots! {
        EVENT_ID "event_id", SOURCE "source", TENANT "tenant", KIND "kind", SCHEMA "schema",
        OCCURRED_AT "occurred_at", OBSERVED_AT "observed_at",
        ENTITY_TYPE "entity.type", ENTITY_ID "entity.id", ENTITY_VERSION "entity.version",
        ENTITY_NAME "entity.name", ENTITY_URL "entity.url",
        CORRELATION_ID "correlation_id", SEQ "seq",
        ACTOR_USER_ID "actor.user_id", ACTOR_NAME "actor.name", SEVERITY "severity",
        AUDIENCE_USERS "audience.users", AUDIENCE_GROUPS "audience.groups",
        AUDIENCE_ROLES "audience.roles", AUDIENCE_LOCATIONS "audience.locations",
        AUDIENCE_BUSINESS_UNITS "audience.business_units",
        AUDIENCE_WORKSPACE_ROLE "audience.workspace_role",
        AUDIENCE_EXTERNAL_PARTY "audience.external_party", AUDIENCE_EXCLUDE "audience.exclude",
        DUE_AT "due_at", EXPIRES_AT "expires_at",
        ACTION_REF "action.ref", ACTION_OPTIONS "action.options", ACTION_ANSWER_BY "action.answer_by",
        EXTRA "extra",
    }
}

/// The type of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldType {
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A number with a fraction.
    Double,
    /// A text.
    Text,
    /// A text out of a closed list.
    Symbol(Vec<String>),
    /// A point in time (Avro `timestamp-millis`).
    Time,
    /// A calendar day (Avro `date`).
    Date,
    /// A list of texts.
    Texts,
    /// A list of records; each item has these fields.
    Records(Vec<Field>),
    /// Texts by name (Avro map of strings).
    Map,
}

/// One field of a shape. Nested records are flattened: `node.name` is one field.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// How rules name it, without the leading `event.`: `workspace.id`.
    pub path: String,
    /// Its type.
    pub ty: FieldType,
    /// Whether a valid change may lack it.
    pub optional: bool,
    /// What it takes when the writer's schema does not know it; `None` when it must be there.
    pub default: Option<FieldDefault>,
    /// Which relation its people stand in (`bugle.relation` in the schema).
    pub relation: Option<Relation>,
    /// Its documentation in the schema.
    pub doc: String,
}

/// The defaults a field of ours may have; texts have none, so that a slot can hold every default.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldDefault {
    /// Absent.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Double(f64),
    /// An index into the symbols.
    Symbol(u16),
    /// A time.
    Time(Timestamp),
    /// An empty list or map.
    Empty,
}

/// The fields of all kinds that share one data record.
#[derive(Debug)]
pub struct Shape {
    /// The source system.
    pub source: Source,
    /// The name of the data record in the schema, such as `Task`.
    pub data: String,
    /// The full kinds with this shape, such as `xecm.task.assigned`.
    pub kinds: Vec<String>,
    /// Envelope, the source's common fields, then the data record's fields; the index is the slot.
    pub fields: Vec<Field>,
    by_path: HashMap<String, u16>,
}

// === impl Shape ===

impl Shape {
    /// A shape with these fields. A path that stands twice keeps its first place.
    #[must_use]
    pub fn new(source: Source, data: String, kinds: Vec<String>, fields: Vec<Field>) -> Self {
        let mut by_path = HashMap::with_capacity(fields.len());
        for (index, field) in fields.iter().enumerate() {
            let slot = u16::try_from(index).expect("a schema has fewer than 65 536 fields");
            by_path.entry(field.path.clone()).or_insert(slot);
        }
        Self { source, data, kinds, fields, by_path }
    }

    /// The slot of the field rules call `path`.
    #[must_use]
    pub fn slot(&self, path: &str) -> Option<u16> {
        self.by_path.get(path).copied()
    }

    /// The field rules call `path`.
    #[must_use]
    pub fn field(&self, path: &str) -> Option<&Field> {
        self.slot(path).and_then(|slot| self.fields.get(usize::from(slot)))
    }

    /// The slots of the fields whose people stand in `relation`.
    pub fn related(&self, relation: Relation) -> impl Iterator<Item = u16> + '_ {
        self.fields
            .iter()
            .zip(0u16..)
            .filter(move |(field, _)| field.relation == Some(relation))
            .map(|(_, slot)| slot)
    }
}
