//! JSON: an event as people write it, to our Avro.
//!
//! The text is read strictly (no name twice, no number that does not fit, no bottomless nesting), its
//! fields generously: a field of the envelope may stand in `data` and the other way round, a text may be
//! a whole number, a time RFC 3339 or milliseconds. What the schema does not know is kept in `extra`.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use super::fault::{Code, Fault};
use super::reader::{Leaf, Member, Node, Reader, Record, index_of};
use super::run::{sane_day, sane_time};
use super::schemas::{Name, Schemas};
use super::wire::{put_count, put_framing, put_long, put_text};
use crate::event::change::Slot;
use crate::event::{Source, Timestamp};

pub use super::show::of_change;
pub use super::strict_json::parse;

/// Milliseconds of a day.
pub(super) const DAY_MILLIS: i64 = 86_400_000;
/// How times are written.
pub(super) const TIME: &str = "2026-01-05T09:00:00Z, or milliseconds since 1970";
/// How days are written.
pub(super) const DAY: &str = "a day such as 2026-01-05";

/// An event in our Avro.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Whose schema it is written with.
    pub source: Source,
    /// Its key in its topic: `tenant|source|entity.type|entity.id`.
    pub key: String,
    body: Vec<u8>,
}

/// Writes a JSON event with the schema of its kind's source.
///
/// # Errors
/// What is wrong, and in which field.
pub fn to_avro(schemas: &Schemas, event: &Json) -> Result<Written, Fault> {
    let Json::Object(event) = event else {
        let detail = format!("{} stands where an event, a JSON object, should", found(event));
        return Err(Fault::new(Code::WrongType, detail));
    };
    let kind = match event.get("kind") {
        Some(Json::String(kind)) => kind.as_str(),
        Some(other) => return Err(wrong(other, "kind", "a text")),
        None => return Err(Fault::missing("kind", "a text")),
    };
    let unknown = || {
        Fault::at(Code::UnknownKind, "kind").because("it is none of ours: `bugle schemas example` lists them")
    };
    let source = Source::of_kind(kind).ok_or_else(unknown)?;
    let reader = schemas.reader(Name::Events(source)).ok_or_else(unknown)?;
    let branch = reader.branch_of(kind).ok_or_else(unknown)?;
    let writing = Writing { reader, branch, source };
    let empty = Map::new();
    let data = match event.get("data") {
        None | Some(Json::Null) => &empty,
        Some(Json::Object(data)) => data,
        Some(other) => return Err(wrong(other, "data", "an object")),
    };
    let mut body = Vec::with_capacity(512);
    writing.root(event, data, &mut body)?;
    let entity = event.get("entity").or_else(|| data.get("entity")).unwrap_or(&Json::Null);
    let tenant = event.get("tenant").or_else(|| data.get("tenant")).unwrap_or(&Json::Null);
    let part = |value: &Json| text(value, "").map(Cow::into_owned).unwrap_or_default();
    let (tenant, ty, id) = (part(tenant), part(&entity["type"]), part(&entity["id"]));
    let key = format!("{tenant}|{source}|{ty}|{id}");
    Ok(Written { source, key, body })
}

// === impl Written ===

impl Written {
    /// The value of its record, framed with a schema id.
    #[must_use]
    pub fn framed(&self, id: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.body.len() + super::wire::FRAMING);
        put_framing(&mut out, id);
        out.extend_from_slice(&self.body);
        out
    }
}

struct Writing<'r> {
    reader: &'r Reader,
    branch: usize,
    source: Source,
}

/// A JSON object.
pub(super) type Object = Map<String, Json>;

// === impl Writing ===

impl Writing<'_> {
    fn root(&self, event: &Object, data: &Object, out: &mut Vec<u8>) -> Result<(), Fault> {
        let ours = &self.reader.branches[self.branch].record.members;
        let above = &self.reader.root.members;
        for member in above {
            match &member.node {
                Node::Data => {
                    put_count(out, self.branch);
                    for member in ours {
                        self.member(member, look_up(member, (data, event), above), out)?;
                    }
                }
                _ if member.name == "extra" => self.extra(event, data, out)?,
                _ if member.name == "source" && !event.contains_key("source") => {
                    put_text(out, self.source.as_str());
                }
                _ => self.member(member, look_up(member, (event, data), ours), out)?,
            }
        }
        Ok(())
    }

    fn member(&self, member: &Member, value: Option<&Json>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let value = value.filter(|value| !value.is_null());
        match (&member.node, value) {
            (Node::Leaf { nullable: true, .. } | Node::Record { nullable: true, .. }, None) => {
                put_long(out, 0);
            }
            (Node::Leaf { leaf, .. }, None) => put_default(member, leaf, out)?,
            (Node::Leaf { leaf, nullable, .. }, Some(value)) => {
                if *nullable {
                    put_long(out, 1);
                }
                self.leaf(leaf, value, &member.path, out)?;
            }
            (Node::Record { record, nullable }, Some(Json::Object(value))) => {
                if *nullable {
                    put_long(out, 1);
                }
                for member in &record.members {
                    self.member(member, find(member, value), out)?;
                }
            }
            (Node::Record { .. }, Some(other)) => return Err(wrong(other, &member.path, "an object")),
            (Node::Record { .. } | Node::Data, _) => return Err(Fault::missing(&member.path, "an object")),
        }
        Ok(())
    }

    fn leaf(&self, leaf: &Leaf, value: &Json, path: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
        match leaf {
            Leaf::Text => put_text(out, &text(value, path)?),
            Leaf::Bool => {
                out.push(u8::from(value.as_bool().ok_or_else(|| wrong(value, path, leaf.wanted()))?));
            }
            Leaf::Int => {
                let number = || Fault::number(path, "a whole number of 32 bits");
                put_long(out, i64::from(i32::try_from(whole(value, path)?).map_err(|_| number())?));
            }
            Leaf::Long => put_long(out, whole(value, path)?),
            Leaf::Double => {
                let value = value.as_f64().ok_or_else(|| wrong(value, path, leaf.wanted()))?;
                out.extend_from_slice(&value.to_le_bytes());
            }
            Leaf::Time => put_long(out, time(value, path)?),
            Leaf::Date => put_long(out, day(value, path)?),
            Leaf::Symbol { names, .. } => {
                let name = value.as_str().ok_or_else(|| wrong(value, path, leaf.wanted()))?;
                let index = index_of(names, name).ok_or_else(|| Fault::symbol(path, names))?;
                put_long(out, i64::from(index));
            }
            Leaf::Texts => list(value, path, out, |item, path, out| {
                put_text(out, &text(item, path)?);
                Ok(())
            })?,
            Leaf::Records { record, .. } => {
                list(value, path, out, |item, path, out| self.item(record, item, path, out))?;
            }
            Leaf::Map => return Err(wrong(value, path, "nothing")),
        }
        Ok(())
    }

    /// One record of a list; a mere text stands for its first field.
    fn item(&self, record: &Record, item: &Json, path: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
        for (index, member) in record.members.iter().enumerate() {
            let value = match item {
                Json::Object(item) => find(member, item),
                Json::String(_) => Some(item).filter(|_| index == 0),
                other => return Err(wrong(other, path, "an object or a text")),
            };
            self.member(member, value, out)
                .map_err(|fault| Fault { path: format!("{path}.{}", fault.path), ..fault })?;
        }
        Ok(())
    }

    fn extra(&self, event: &Object, data: &Object, out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut extra = Vec::new();
        match event.get("extra") {
            None | Some(Json::Null) => {}
            Some(Json::Object(given)) => {
                extra.extend(given.iter().map(|(name, value)| (name.clone(), value)));
            }
            Some(other) => return Err(wrong(other, "extra", "an object")),
        }
        let record = &self.reader.branches[self.branch].record;
        for (name, value) in event.iter().chain(data).filter(|(name, _)| *name != "data" && *name != "extra")
        {
            let known =
                self.reader.root.members.iter().chain(&record.members).find(|member| is(member, name));
            match (known.map(|member| &member.node), value) {
                (None, _) => extra.push((name.clone(), value)),
                (Some(Node::Record { record, .. }), Json::Object(value)) => {
                    unknown_in(record, value, name, &mut extra);
                }
                _ => {}
            }
        }
        extra.sort_by(|a, b| a.0.cmp(&b.0));
        extra.dedup_by(|a, b| a.0 == b.0);
        if !extra.is_empty() {
            put_count(out, extra.len());
        }
        for (name, value) in extra {
            put_text(out, &name);
            match value {
                Json::String(text) => put_text(out, text),
                other => put_text(out, &other.to_string()),
            }
        }
        out.push(0);
        Ok(())
    }
}

fn unknown_in<'v>(record: &Record, value: &'v Object, path: &str, extra: &mut Vec<(String, &'v Json)>) {
    for (name, value) in value {
        let path = format!("{path}.{name}");
        match (record.members.iter().find(|member| is(member, name)).map(|member| &member.node), value) {
            (None, value) => extra.push((path, value)),
            (Some(Node::Record { record, .. }), Json::Object(value)) => {
                unknown_in(record, value, &path, extra);
            }
            _ => {}
        }
    }
}

fn is(member: &Member, name: &str) -> bool {
    member.name == name || member.aliases.iter().any(|alias| alias == name)
}

fn find<'v>(member: &Member, object: &'v Object) -> Option<&'v Json> {
    let named = object.get(&member.name);
    named.or_else(|| member.aliases.iter().find_map(|alias| object.get(alias)))
}

/// A member where it belongs, else where it may stand instead, unless something else goes by its name there.
fn look_up<'v>(
    member: &Member,
    (home, guest): (&'v Object, &'v Object),
    others: &[Member],
) -> Option<&'v Json> {
    let taken = || others.iter().any(|other| is(other, &member.name));
    find(member, home).or_else(|| if taken() { None } else { guest.get(&member.name) })
}

fn put_default(member: &Member, leaf: &Leaf, out: &mut Vec<u8>) -> Result<(), Fault> {
    match (member.default, leaf) {
        (Some(Slot::Bool(truth)), _) => out.push(u8::from(truth)),
        (Some(Slot::Int(whole)), _) => put_long(out, whole),
        (Some(Slot::Double(number)), _) => out.extend_from_slice(&number.to_le_bytes()),
        (Some(Slot::Symbol(index)), _) => put_long(out, i64::from(index)),
        (Some(Slot::List(..)), _) => out.push(0),
        _ => return Err(Fault::missing(&member.path, leaf.wanted())),
    }
    Ok(())
}

fn list<F>(value: &Json, path: &str, out: &mut Vec<u8>, mut item: F) -> Result<(), Fault>
where
    F: FnMut(&Json, &str, &mut Vec<u8>) -> Result<(), Fault>,
{
    let items = value.as_array().ok_or_else(|| wrong(value, path, "a list"))?;
    if !items.is_empty() {
        put_count(out, items.len());
    }
    for (index, value) in items.iter().enumerate() {
        item(value, &format!("{path}[{index}]"), out)?;
    }
    out.push(0);
    Ok(())
}

/// A text; sources whose ids are numbers may write them so.
fn text<'v>(value: &'v Json, path: &str) -> Result<Cow<'v, str>, Fault> {
    match value {
        Json::String(text) => Ok(Cow::Borrowed(text)),
        Json::Number(number) if number.is_i64() || number.is_u64() => Ok(Cow::Owned(number.to_string())),
        other => Err(wrong(other, path, "a text")),
    }
}

fn whole(value: &Json, path: &str) -> Result<i64, Fault> {
    let Json::Number(number) = value else { return Err(wrong(value, path, "a whole number")) };
    #[allow(clippy::cast_possible_truncation, reason = "only whole numbers a double holds exactly get here")]
    let exact = |float: f64| (float.fract() == 0.0 && float.abs() < 9.0e15).then_some(float as i64);
    number
        .as_i64()
        .or_else(|| number.as_f64().filter(|_| number.is_f64()).and_then(exact))
        .ok_or_else(|| Fault::number(path, "a whole number of 64 bits"))
}

fn time(value: &Json, path: &str) -> Result<i64, Fault> {
    let millis = match value {
        Json::String(text) => {
            text.parse::<Timestamp>().map_err(|_| Fault::no_time(path, ("time", TIME)))?.millis()
        }
        Json::Number(_) => whole(value, path)?,
        other => return Err(wrong(other, path, "a time")),
    };
    if sane_time(millis) { Ok(millis) } else { Err(Fault::out_of_time(path, TIME)) }
}

fn day(value: &Json, path: &str) -> Result<i64, Fault> {
    let bad = || Fault::no_time(path, ("day", DAY));
    let days = match value {
        Json::String(text) if text.len() == 10 => {
            let midnight: Timestamp = format!("{text}T00:00:00Z").parse().map_err(|_| bad())?;
            midnight.millis().div_euclid(DAY_MILLIS)
        }
        Json::String(_) => return Err(bad()),
        Json::Number(_) => whole(value, path)?,
        other => return Err(wrong(other, path, "a day")),
    };
    if sane_day(days) { Ok(days) } else { Err(Fault::out_of_time(path, DAY)) }
}

pub(super) fn wrong(value: &Json, path: &str, wanted: &str) -> Fault {
    Fault::stands(Code::WrongType, path, (found(value), wanted))
}

/// What a value is, and not what it says.
fn found(value: &Json) -> &'static str {
    match value {
        Json::Null => "nothing",
        Json::Bool(_) => "a truth value",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::codec::example;

    fn event(change: impl FnOnce(&mut Json)) -> Result<Written, Fault> {
        let schemas = Schemas::built_in();
        let mut event = example::event(&schemas, "devadmin.queue.backlog", example::MONDAY).unwrap();
        change(&mut event);
        to_avro(&schemas, &event)
    }

    fn refusal(change: impl FnOnce(&mut Json)) -> String {
        event(change).unwrap_err().to_string()
    }

    #[test]
    fn a_field_may_stand_in_data_or_beside_it() {
        let flat = event(|event| {
            let data = event["data"].take();
            event.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
        });
        let nested = event(|event| {
            let mut whole = event.take();
            let data = whole["data"].take();
            let kind = whole["kind"].take();
            let mut inner = whole;
            inner.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
            inner.as_object_mut().unwrap().remove("kind");
            inner.as_object_mut().unwrap().remove("data");
            *event = json!({"kind": kind, "data": inner});
        });
        let usual = event(|_| ());
        assert_eq!(flat, usual);
        assert_eq!(nested, usual);
    }

    #[test]
    fn the_key_names_tenant_source_and_entity() {
        assert_eq!(
            event(|event| event["entity"]["id"] = json!(17)).unwrap().key,
            "acme|devadmin|document|17"
        );
    }

    #[test]
    fn a_number_its_field_cannot_hold_is_refused() {
        for number in [json!(9_223_372_036_854_775_808_u64), json!(1.5), json!(1e300)] {
            assert!(refusal(|event| event["data"]["depth"] = number).starts_with("bad-number at `depth`"));
        }
        assert!(refusal(|event| event["schema"] = json!(1_u64 << 31)).starts_with("bad-number at `schema`"));
        assert!(event(|event| event["data"]["depth"] = json!(-0.0)).is_ok());
        assert!(
            refusal(|event| event["occurred_at"] = json!("9999-12-31T23:59:59.9999-05:00"))
                .starts_with("bad-time")
        );
    }

    #[test]
    fn every_refusal_names_its_field() {
        let take = |event: &mut Json, name: &str| drop(event.as_object_mut().unwrap().remove(name));
        assert_eq!(
            refusal(|event| take(event, "kind")),
            "missing-field at `kind`: nothing stands where a text should"
        );
        assert_eq!(
            refusal(|event| take(event, "app_id")),
            "missing-field at `app_id`: nothing stands where a text should"
        );
        assert_eq!(
            refusal(|event| take(&mut event["entity"], "type")),
            "missing-field at `entity.type`: nothing stands where a text should"
        );
        assert_eq!(
            refusal(|event| event["data"]["queue"] = json!(true)),
            "wrong-type at `queue`: a truth value stands where a text should"
        );
        assert_eq!(
            refusal(|event| event["actor"] = json!("ada")),
            "wrong-type at `actor`: a text stands where an object should"
        );
        assert_eq!(
            refusal(|event| event["audience"] = json!({"users": ["ada", null]})),
            "wrong-type at `audience.users[1]`: nothing stands where a text should"
        );
    }
}
