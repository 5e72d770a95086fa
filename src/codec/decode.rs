//! Decode: from the value of a record to a change, by a plan kept for each schema id.
//!
//! Deciding needs no I/O: an id not seen before is answered with [`Unreadable::WantsSchema`], and
//! whoever may do I/O calls [`Codec::fetch`] and tries again.

use std::borrow::Cow;
use std::sync::Arc;

use apache_avro::Schema;
use dashmap::DashMap;

use super::cloud_events;
use super::event_plan::Plan;
use super::fault::{Code, Fault};
use super::registry::{Registry, RegistryError};
use super::schemas::{Name, Schemas};
use super::wire::schema_id;
use crate::clock;
use crate::event::frame::Format;
use crate::event::record::Header;
use crate::event::{Change, Source, Span, Timestamp};

/// The largest value that is looked at: 1 MiB.
pub const MOST_BYTES: usize = 1024 * 1024;

/// How long an id the registry does not know is not asked for again.
const UNKNOWN_FOR: Span = Span::from_secs(30);

/// The headers a CloudEvent in binary mode is read from.
pub type EventHeaders<'h> = [(&'h str, &'h [u8])];

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

/// Reads values of all topics with a schema. Shared by all lanes.
#[derive(Debug)]
pub struct Codec {
    schemas: Arc<Schemas>,
    registry: Option<Registry>,
    writers: DashMap<u32, Writer>,
    plans: DashMap<(Name, u32), Result<Arc<Plan>, Fault>>,
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
    pub fn event_headers(headers: &[Header]) -> Vec<(&str, &[u8])> {
        let needed = |name: &str| name.starts_with("ce_") || name.eq_ignore_ascii_case("content-type");
        let kept = headers.iter().filter(|(name, _)| needed(name));
        kept.filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?))).collect()
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
            Format::Answer | Format::Returned => {
                return Err(Fault::new(Code::BadMagic, "an answer is no change").into());
            }
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
        let id = schema_id(payload).map_err(|code| match code {
            Code::BadMagic => Fault::new(code, "it is no Avro behind a zero byte and the id of its schema"),
            code => Fault::new(code, ""),
        })?;
        if let Some(plan) = self.plans.get(&(name, id)) {
            return Ok(plan.value().clone()?);
        }
        // What is not known is not kept in `plans`: the registry may learn the id.
        let writer = self.writer(id)?;
        let plan = Plan::compile(&self.schemas, name, &writer)
            .map(Arc::new)
            .map_err(|fault| Fault { detail: format!("schema id {id}: {}", fault.detail), ..fault });
        Ok(self.plans.entry((name, id)).or_insert(plan).value().clone()?)
    }

    /// The schema a value with this id was written with.
    pub(super) fn writer(&self, id: u32) -> Result<Arc<Schema>, Unreadable> {
        match self.writers.get(&id).as_deref() {
            Some(Writer::Schema(schema)) => Ok(Arc::clone(schema)),
            Some(Writer::Refused(fault)) => Err(fault.clone().into()),
            Some(Writer::Unknown(_)) => Err(unknown(format!("the registry does not know id {id}")).into()),
            None if self.registry.is_some() => Err(Unreadable::WantsSchema(id)),
            None => Err(unknown(format!("there is no registry to ask for id {id}")).into()),
        }
    }

    /// Learns every schema id that another codec knows, except those known everywhere.
    pub fn adopt(&self, other: &Self) {
        let is_local = |id: u32| Name::ALL.iter().any(|name| name.local_id() == id);
        for writer in other.writers.iter().filter(|writer| !is_local(*writer.key())) {
            self.keep(*writer.key(), writer.value().clone());
        }
    }

    /// A change in our own Avro, as [`Form`](super::foreign::Form) wrote it.
    ///
    /// # Errors
    /// A field that must not be empty is.
    pub fn change_of(&self, source: Source, written: Vec<u8>) -> Result<Change<'static>, Unreadable> {
        let plan = self.plan(Name::Events(source), &written)?;
        Ok(plan.change(source, Cow::Owned(written))?)
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

    /// The id values of `name` are written with: the registry's for this topic, or the local one where
    /// there is no registry.
    ///
    /// # Errors
    /// The registry cannot be reached, or does not know the schema: a reader who asks it for the local
    /// id would be told of another schema, or of none.
    pub fn id_for(&self, name: Name, topic: &str) -> Result<u32, RegistryError> {
        let Some(registry) = self.registry.as_ref() else { return Ok(name.local_id()) };
        let subject = super::subject(topic);
        let id = registry.look_up(&subject, self.schemas.text(name))?;
        id.ok_or(RegistryError::Unregistered(subject))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::codec::wire::{put_framing, put_long, put_text};
    use crate::codec::{example, json as text};
    use crate::event::shape::slot;

    fn codec() -> Codec {
        Codec::new(Arc::new(Schemas::built_in()), None)
    }

    fn refusal(payload: &[u8]) -> String {
        match codec().decode(Source::Xecm, Format::Avro, &[], payload) {
            Err(Unreadable::Refused(fault)) => match fault.path.as_str() {
                "" => fault.code.to_string(),
                path => format!("{} at {path}", fault.code),
            },
            other => panic!("not refused: {other:?}"),
        }
    }

    /// A task event in our Avro, with the change made to its JSON.
    fn event(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
        let schemas = Schemas::built_in();
        let mut event = example::event(&schemas, "xecm.task.assigned", example::MONDAY).unwrap();
        change(&mut event);
        text::to_avro(&schemas, &event).unwrap().framed(Name::Events(Source::Xecm).local_id())
    }

    fn framed(body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_framing(&mut out, Name::Events(Source::Xecm).local_id());
        out.extend_from_slice(body);
        out
    }

    /// The first fields of an event, up to and without `kind`.
    fn start() -> Vec<u8> {
        let mut body = Vec::new();
        for text in ["evt-1", "xecm", "acme"] {
            put_text(&mut body, text);
        }
        body
    }

    fn swapped(bytes: &[u8], old: &str, new: &str) -> Vec<u8> {
        assert_eq!(old.len(), new.len(), "a text of the same length");
        let at = bytes.windows(old.len()).position(|window| window == old.as_bytes()).unwrap();
        let mut bytes = bytes.to_vec();
        bytes[at..at + old.len()].copy_from_slice(new.as_bytes());
        bytes
    }

    #[test]
    fn every_bad_value_is_refused_with_its_own_code() {
        let good = event(|_| ());
        let number = |value| {
            let mut out = Vec::new();
            put_long(&mut out, value);
            out
        };
        let bad_utf8 = {
            let mut bytes = good.clone();
            let at = bytes.windows(7).position(|window| window == b"evt-100").unwrap();
            bytes[at] = 0xff;
            bytes
        };
        let table: Vec<(&str, Vec<u8>, &str)> = vec![
            ("no bytes", vec![], "empty-value"),
            ("one byte", vec![0], "truncated"),
            ("a byte that is no magic byte", vec![7, 0, 0, 0, 1, 2], "bad-magic"),
            ("plain JSON", b"{\"kind\":\"x\"}".to_vec(), "bad-magic"),
            ("an id nobody knows", vec![0, 0, 0, 0, 99, 1], "unknown-schema"),
            (
                "the schema of something else",
                [&[0], &Name::Person.local_id().to_be_bytes()[..]].concat(),
                "incompatible-schema at event_id",
            ),
            ("more than a mebibyte", framed(&vec![0; MOST_BYTES]), "too-large"),
            ("a gzip bomb is only bytes", [&[0x1f, 0x8b][..], &[0; 40]].concat(), "bad-magic"),
            ("a byte too many", [good.clone(), vec![0]].concat(), "trailing-bytes"),
            ("a text of i64::MAX bytes", framed(&number(i64::MAX)), "truncated at event_id"),
            ("a text of -1 bytes", framed(&number(-1)), "bad-length at event_id"),
            ("a number without end", framed(&[0xff; 20]), "bad-varint at event_id"),
            ("a text that is not UTF-8", bad_utf8, "bad-utf8 at event_id"),
            (
                "a kind nobody has",
                swapped(&good, "xecm.task.assigned", "xecm.task.invented"),
                "unknown-kind at kind",
            ),
            ("no event id", event(|event| event["event_id"] = json!("")), "missing-field at event_id"),
            ("no tenant", event(|event| event["tenant"] = json!("")), "missing-field at tenant"),
            ("no entity id", event(|event| event["entity"]["id"] = json!("")), "missing-field at entity.id"),
            ("another source's event", swapped(&good, "\u{8}xecm", "\u{8}xexm"), "source-mismatch at source"),
        ];
        for (name, payload, code) in table {
            assert_eq!(refusal(&payload), code, "{name}");
        }
    }

    #[test]
    fn data_must_be_the_record_of_its_kind() {
        let schemas = Schemas::built_in();
        let renewed = example::event(&schemas, "xecm.record.renewed", example::MONDAY).unwrap();
        let renewed =
            text::to_avro(&schemas, &renewed).unwrap().framed(Name::Events(Source::Xecm).local_id());
        assert_eq!(
            refusal(&swapped(&renewed, "xecm.record.renewed", "xecm.task.cancelled")),
            "kind-mismatch at data"
        );
    }

    #[test]
    fn times_outside_the_calendar_and_indexes_outside_their_lists_are_refused() {
        let mut body = start();
        put_text(&mut body, "xecm.task.assigned");
        put_long(&mut body, 1);
        for (millis, code) in [(-1, "bad-time"), (253_402_300_800_000, "bad-time"), (0, "truncated")] {
            let mut body = body.clone();
            put_long(&mut body, millis);
            assert!(refusal(&framed(&body)).starts_with(code), "{millis}");
        }
        put_long(&mut body, 0);
        let mut union = body.clone();
        put_long(&mut union, 2);
        assert_eq!(refusal(&framed(&union)), "bad-union at observed_at");
        put_long(&mut body, 0);
        for text in ["task", "4711"] {
            put_text(&mut body, text);
        }
        body.extend([0; 6]); // version, name, url, correlation_id, seq, actor
        let mut severity = body.clone();
        put_long(&mut severity, 9);
        assert_eq!(refusal(&framed(&severity)), "bad-enum at severity");
        put_long(&mut body, 0);
        put_long(&mut body, 1);
        let mut many = body.clone();
        put_long(&mut many, 10_000_000);
        assert_eq!(refusal(&framed(&many)), "too-many-items at audience.users");
        let mut sized = body;
        for number in [-1, 9] {
            put_long(&mut sized, number);
        }
        put_text(&mut sized, "ada");
        sized.extend([0; 20]);
        assert_eq!(refusal(&framed(&sized)), "bad-block at audience.users");
    }

    #[test]
    fn an_event_cut_at_any_byte_is_refused() {
        let good = event(|_| ());
        for end in 0..good.len() {
            assert!(codec().decode(Source::Xecm, Format::Avro, &[], &good[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn a_change_is_read_in_place() {
        let good = event(|_| ());
        let codec = codec();
        let change = codec.decode(Source::Xecm, Format::Avro, &[], &good).unwrap();
        let id = change.event_id();
        assert_eq!(id, "evt-1001");
        assert!(good.as_ptr_range().contains(&id.as_ptr()), "the text is where it was");
        let slot = change.shape().slot("assignees").unwrap();
        assert_eq!(change.texts(slot).collect::<Vec<_>>(), ["ben"]);
        assert_eq!(change.text(slot::SEVERITY), Some("medium"));
    }

    #[test]
    fn without_a_registry_only_local_ids_are_known_and_with_one_others_are_asked_for() {
        assert_eq!(refusal(&[0, 0, 0, 0, 1, 0]), "unknown-schema");
        let registry = Registry::new(&["http://127.0.0.1:9".to_owned()], None).unwrap();
        let codec = Codec::new(Arc::new(Schemas::built_in()), Some(registry));
        let wants = codec.decode(Source::Xecm, Format::Avro, &[], &[0, 0, 0, 0, 1, 0]);
        assert_eq!(wants.unwrap_err(), Unreadable::WantsSchema(1));
        assert!(codec.fetch(1).unwrap_err().is_retryable(), "nobody answers there");
        assert!(
            codec.decode(Source::Xecm, Format::Avro, &[], &event(|_| ())).is_ok(),
            "local ids need no registry"
        );
    }

    #[test]
    fn an_id_that_comes_to_mean_another_schema_is_no_longer_trusted() {
        let codec = codec();
        let schemas = Arc::clone(codec.schemas());
        codec.learn(7, schemas.text(Name::Events(Source::Xecm))).unwrap();
        let mut payload = event(|_| ());
        payload[1..5].copy_from_slice(&7u32.to_be_bytes());
        assert!(codec.decode(Source::Xecm, Format::Avro, &[], &payload).is_ok());
        codec.learn(7, schemas.text(Name::Events(Source::Xecm))).unwrap();
        assert!(codec.decode(Source::Xecm, Format::Avro, &[], &payload).is_ok(), "the same again");
        codec.learn(7, schemas.text(Name::Events(Source::Bws))).unwrap();
        let fault = codec.decode(Source::Xecm, Format::Avro, &[], &payload).unwrap_err();
        assert_eq!(fault.to_string(), "schema-changed: schema id 7");
    }
}
