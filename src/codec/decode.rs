//! Decode: from the value of a record to a change, by a plan kept for each schema id.
//!
//! Deciding needs no I/O: an id not seen before is answered with [`Unreadable::WantsSchema`], and
//! whoever may do I/O calls [`Codec::fetch`] and tries again.

use std::borrow::Cow;
use std::sync::Arc;

use apache_avro::Schema;
use dashmap::DashMap;
use hashbrown::HashMap;

use super::cloud_events;
use super::fault::{Code, Fault};
use super::plan::{self, Steps};
use super::reader::Reader;
use super::registry::{Registry, RegistryError};
use super::run::{Row, run};
use super::schemas::{Name, Schemas};
use super::wire::{FRAMING, schema_id};
use crate::clock;
use crate::event::frame::Format;
use crate::event::record::Header;
use crate::event::shape::slot;
use crate::event::{Change, Shape, Source, Span, Timestamp};

/// The largest value that is looked at: 1 MiB.
pub const MOST_BYTES: usize = 1024 * 1024;

/// How long an id the registry does not know is not asked for again.
const UNKNOWN_FOR: Span = Span::from_secs(30);

/// The headers a CloudEvent in binary mode is read from.
pub type EventHeaders<'h> = [(Cow<'h, str>, &'h [u8])];

/// Why there is no change yet, or never will be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It will never be readable: a dead letter.
    #[error(transparent)]
    Refused(#[from] Fault),
    /// It may be readable once this schema id is fetched.
    #[error("schema id {0} is not known yet")]
    WantsSchema(u32),
}

/// What asking for a schema came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// It is there; decode again.
    Ready,
    /// The registry does not have it: values with it are refused until it is asked for again.
    Unknown,
}

/// What is known of a schema id.
#[derive(Debug, Clone)]
enum Writer {
    Schema(Arc<Schema>),
    Refused(Fault),
    /// Not in the registry; not asked for again before this time.
    Unknown(Timestamp),
}

/// A compiled plan and what its rows mean.
#[derive(Debug)]
pub(crate) struct Plan {
    steps: Steps,
    reader: Arc<Reader>,
    shapes: Vec<Arc<Shape>>,
    kinds: HashMap<String, u16>,
}

/// Reads values of all topics with a schema. Shared by all lanes.
#[derive(Debug)]
pub struct Codec {
    schemas: Arc<Schemas>,
    registry: Option<Registry>,
    writers: DashMap<u32, Writer>,
    plans: DashMap<(Name, u32), Result<Arc<Plan>, Fault>>,
}

// === impl Plan ===

impl Plan {
    pub(crate) fn compile(schemas: &Schemas, name: Name, writer: &Schema) -> Result<Self, Fault> {
        let missing = || Fault::new(Code::IncompatibleSchema, "this schema is only written");
        let reader = Arc::clone(schemas.reader(name).ok_or_else(missing)?);
        let steps = plan::compile(writer, &reader)?;
        let shapes = match name {
            Name::Events(source) => schemas.shapes(source).to_vec(),
            _ => Vec::new(),
        };
        let kinds = shapes
            .iter()
            .zip(0u16..)
            .flat_map(|(shape, branch)| shape.kinds.iter().map(move |kind| (kind.clone(), branch)));
        let kinds = kinds.collect();
        Ok(Self { steps, reader, shapes, kinds })
    }

    /// The fields of a framed value that is no change.
    pub(crate) fn row(&self, payload: &[u8]) -> Result<Row, Fault> {
        run(&self.steps, payload, FRAMING, self.reader.width())
    }

    fn change<'a>(&self, source: Source, payload: Cow<'a, [u8]>) -> Result<Change<'a>, Fault> {
        let mut row = self.row(&payload)?;
        let branch = match text(&payload, &row, slot::KIND) {
            "" => return Err(empty("kind")),
            kind => self.kinds.get(kind).copied().ok_or_else(|| {
                let detail = format!("the kinds of {source} are in `{}`", Name::Events(source).file());
                Fault::at(Code::UnknownKind, "kind").because(detail)
            })?,
        };
        let shape = &self.shapes[usize::from(branch)];
        if row.branch != Some(branch) {
            let detail = format!("its kind has the record `{}`", shape.data);
            return Err(Fault::at(Code::KindMismatch, "data").because(detail));
        }
        if text(&payload, &row, slot::SOURCE) != source.as_str() {
            return Err(
                Fault::at(Code::SourceMismatch, "source").because(format!("this topic is {source}'s"))
            );
        }
        for (slot, path) in
            [(slot::EVENT_ID, "event_id"), (slot::TENANT, "tenant"), (slot::ENTITY_ID, "entity.id")]
        {
            if text(&payload, &row, slot).is_empty() {
                return Err(empty(path));
            }
        }
        row.slots.truncate(shape.fields.len());
        Ok(Change::new(Arc::clone(shape), payload, row.slots, row.items))
    }
}

/// The text in a slot of a row; empty when there is none.
pub(crate) fn text<'b>(bytes: &'b [u8], row: &Row, slot: u16) -> &'b str {
    let at = row.slots.get(usize::from(slot)).copied();
    at.and_then(|at| text_at(bytes, at)).unwrap_or_default()
}

/// The text a slot points at.
pub(crate) fn text_at(bytes: &[u8], slot: crate::event::change::Slot) -> Option<&str> {
    match slot {
        crate::event::change::Slot::Text(start, length) => {
            let start = start as usize;
            bytes.get(start..start + length as usize).and_then(|bytes| std::str::from_utf8(bytes).ok())
        }
        _ => None,
    }
}

fn empty(path: &str) -> Fault {
    Fault::at(Code::MissingField, path).because("it is empty")
}

// === impl Codec ===

impl Codec {
    /// A codec that asks `registry` for schema ids it does not know; without one, only the local ids
    /// of [`Name::local_id`] are known.
    #[must_use]
    pub fn new(schemas: Arc<Schemas>, registry: Option<Registry>) -> Self {
        let writers = DashMap::new();
        for name in Name::ALL {
            writers.insert(name.local_id(), Writer::Schema(Arc::new(schemas.schema(name).clone())));
        }
        Self { schemas, registry, writers, plans: DashMap::new() }
    }

    /// The schemas it reads by.
    #[must_use]
    pub fn schemas(&self) -> &Arc<Schemas> {
        &self.schemas
    }

    /// How the value of a record with these headers is to be read.
    #[must_use]
    pub fn format_of(headers: &[Header]) -> Format {
        let value = |name: &str| {
            let found = headers.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.and_then(|(_, value)| value.as_deref())
        };
        let structured = |value: &[u8]| value.starts_with(b"application/cloudevents+json");
        match value("content-type") {
            Some(value) if structured(value) => Format::CloudEvent,
            _ if value("ce_specversion").is_some() => Format::CloudEventBinary,
            _ => Format::Avro,
        }
    }

    /// The headers [`Codec::decode`] needs for a CloudEvent in binary mode, and no others.
    #[must_use]
    pub fn event_headers(headers: &[Header]) -> Vec<(Cow<'_, str>, &[u8])> {
        let needed = |name: &str| name.starts_with("ce_") || name.eq_ignore_ascii_case("content-type");
        let kept = headers.iter().filter(|(name, _)| needed(name));
        kept.filter_map(|(name, value)| Some((Cow::Borrowed(name.as_str()), value.as_deref()?))).collect()
    }

    /// Reads one value of a source's topic.
    ///
    /// # Errors
    /// [`Unreadable`]: refused for good with a stable code, or waiting for a schema.
    pub fn decode<'a>(
        &self,
        source: Source,
        format: Format,
        headers: &EventHeaders<'_>,
        payload: &'a [u8],
    ) -> Result<Change<'a>, Unreadable> {
        if payload.len() > MOST_BYTES {
            let detail = format!("{} bytes; at most {MOST_BYTES} are read", payload.len());
            return Err(Fault::new(Code::TooLarge, detail).into());
        }
        let name = Name::Events(source);
        let payload = match format {
            Format::Avro => Cow::Borrowed(payload),
            _ if payload.is_empty() => return Err(Fault::new(Code::EmptyValue, "").into()),
            Format::CloudEvent => Cow::Owned(cloud_events::structured(&self.schemas, source, payload)?),
            Format::CloudEventBinary => {
                Cow::Owned(cloud_events::binary(&self.schemas, source, headers, payload)?)
            }
        };
        let plan = self.plan(name, &payload)?;
        Ok(plan.change(source, payload)?)
    }

    /// The plan for a framed value.
    pub(crate) fn plan(&self, name: Name, payload: &[u8]) -> Result<Arc<Plan>, Unreadable> {
        let id = schema_id(payload).map_err(|code| Fault::new(code, ""))?;
        if let Some(plan) = self.plans.get(&(name, id)) {
            return Ok(plan.value().clone()?);
        }
        let writer = self.writers.get(&id).map(|writer| writer.value().clone());
        let plan = match writer {
            Some(Writer::Schema(writer)) => Plan::compile(&self.schemas, name, &writer)
                .map(Arc::new)
                .map_err(|fault| Fault { detail: format!("schema id {id}: {}", fault.detail), ..fault }),
            Some(Writer::Refused(fault)) => Err(fault),
            None if self.registry.is_some() => return Err(Unreadable::WantsSchema(id)),
            // Not kept in `plans`: the registry may learn the id.
            Some(Writer::Unknown(_)) => {
                return Err(unknown(format!("the registry does not know id {id}")).into());
            }
            None => return Err(unknown(format!("there is no registry to ask for id {id}")).into()),
        };
        Ok(self.plans.entry((name, id)).or_insert(plan).value().clone()?)
    }

    /// Asks the registry for a schema id and keeps what it says. Blocks; never call it from a lane.
    /// Asking for a known id again checks that it still stands for the same schema.
    ///
    /// # Errors
    /// The registry cannot be reached, answers nonsense or wants another login: try again later, refuse
    /// nothing.
    pub fn fetch(&self, id: u32) -> Result<Fetched, RegistryError> {
        let now = clock::now();
        self.expire(now);
        let Some(registry) = self.registry.as_ref() else { return Ok(Fetched::Unknown) };
        if Name::ALL.iter().any(|name| name.local_id() == id) {
            return Ok(Fetched::Ready);
        }
        if matches!(self.writers.get(&id).as_deref(), Some(Writer::Unknown(_))) {
            return Ok(Fetched::Unknown);
        }
        let found = match registry.by_id(id) {
            Ok(Some(text)) => {
                parse(&text).map_or_else(Writer::Refused, |schema| Writer::Schema(Arc::new(schema)))
            }
            Ok(None) => Writer::Unknown(now + UNKNOWN_FOR),
            Err(fault @ RegistryError::Unusable { .. }) => {
                Writer::Refused(Fault::new(Code::IncompatibleSchema, fault.to_string()))
            }
            Err(fault) => return Err(fault),
        };
        Ok(self.keep(id, found))
    }

    /// Keeps a schema known from elsewhere under an id, as if the registry had said so.
    ///
    /// # Errors
    /// The text is no Avro schema.
    pub fn learn(&self, id: u32, text: &str) -> Result<(), Fault> {
        self.keep(id, Writer::Schema(Arc::new(parse(text)?)));
        Ok(())
    }

    fn keep(&self, id: u32, found: Writer) -> Fetched {
        let known = self.writers.get(&id).map(|writer| writer.value().clone());
        let found = match (known, found) {
            (Some(Writer::Schema(known)), Writer::Schema(found)) if *known != *found => {
                // Nobody can say which of the two a value was written with.
                self.plans.retain(|(_, plan), _| *plan != id);
                Writer::Refused(Fault::new(Code::SchemaChanged, format!("schema id {id}")))
            }
            // A registry that lost what it knew does not make it untrue.
            (Some(known @ (Writer::Schema(_) | Writer::Refused(_))), _) => known,
            (_, found) => found,
        };
        let fetched = match &found {
            Writer::Unknown(_) => Fetched::Unknown,
            _ => Fetched::Ready,
        };
        self.writers.insert(id, found);
        fetched
    }

    /// Forgets which ids the registry did not know, once it may be asked again. The engine calls this
    /// now and then; [`Codec::fetch`] does too.
    pub fn expire(&self, now: Timestamp) {
        self.writers.retain(|_, writer| !matches!(writer, Writer::Unknown(until) if *until <= now));
    }

    /// The id values of `name` are written with: the registry's for this topic, else the local one.
    ///
    /// # Errors
    /// The registry cannot be reached.
    pub fn id_for(&self, name: Name, topic: &str) -> Result<u32, RegistryError> {
        let Some(registry) = self.registry.as_ref() else { return Ok(name.local_id()) };
        let id = registry.look_up(&super::subject(topic), self.schemas.text(name))?;
        Ok(id.unwrap_or(name.local_id()))
    }
}

fn unknown(detail: String) -> Fault {
    Fault::new(Code::UnknownSchema, detail)
}

fn parse(text: &str) -> Result<Schema, Fault> {
    if text.len() > MOST_BYTES {
        return Err(Fault::new(Code::OversizedSchema, format!("{} bytes of schema", text.len())));
    }
    Schema::parse_str(text).map_err(|fault| Fault::new(Code::IncompatibleSchema, fault.to_string()))
}
