//! Form: the values of a foreign payload, written as a change of ours.
//!
//! It takes values as generously as `json` takes a published event, and refuses the same: what a field
//! cannot hold is told with the field.

use std::borrow::Cow;

use crate::codec::fault::{Code, Fault};
use crate::codec::json::{DAY, DAY_MILLIS, TIME};
use crate::codec::reader::{Leaf, Member, Node, Reader, Record, index_of};
use crate::codec::run::{sane_day, sane_time};
use crate::codec::schemas::{Name, Schemas};
use crate::codec::wire::{put_count, put_framing, put_long, put_text};
use crate::event::change::Slot;
use crate::event::{Shape, Timestamp, Value};

/// How the changes of one shape are written.
#[derive(Debug, Clone, Copy)]
pub struct Form<'s> {
    reader: &'s Reader,
    branch: usize,
    id: u32,
}

/// The values of a change, by slot; what is null is not said.
type Values<'v> = [Value<'v>];

// === impl Form ===

impl<'s> Form<'s> {
    /// The form of a shape of these schemas.
    #[must_use]
    pub fn of(schemas: &'s Schemas, shape: &Shape) -> Option<Self> {
        let name = Name::Events(shape.source);
        let branch = schemas.shapes(shape.source).iter().position(|known| known.data == shape.data)?;
        Some(Self { reader: schemas.reader(name)?, branch, id: name.local_id() })
    }

    /// The change with these values, framed as one of ours.
    ///
    /// # Errors
    /// The first field that lacks a value it must have, or has one it cannot hold.
    pub fn write(&self, values: &Values<'_>) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::with_capacity(512);
        put_framing(&mut out, self.id);
        self.record(&self.reader.root, values, &mut out)?;
        Ok(out)
    }

    fn record(&self, record: &Record, values: &Values<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        record.members.iter().try_for_each(|member| self.member(member, values, out))
    }

    fn member(&self, member: &Member, values: &Values<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match &member.node {
            Node::Data => {
                put_count(out, self.branch);
                self.record(&self.reader.branches[self.branch].record, values, out)
            }
            Node::Record { record, nullable } => {
                if *nullable {
                    let says = says(record, values);
                    put_long(out, i64::from(says));
                    if !says {
                        return Ok(());
                    }
                }
                self.record(record, values, out)
            }
            Node::Leaf { slot, leaf, nullable } => {
                let value = values.get(usize::from(*slot)).unwrap_or(&Value::Null);
                match (value, nullable) {
                    (Value::Null, true) => {
                        put_long(out, 0);
                        Ok(())
                    }
                    (Value::Null, false) => put_default(member, leaf, out),
                    // What must be there tells things apart: a task, a customer, a flow. Nothing is none of them.
                    (Value::Text(text), false) if matches!(leaf, Leaf::Text) && text.trim().is_empty() => {
                        Err(Fault::at(Code::MissingField, member.path.as_str()).because("it is empty"))
                    }
                    (value, nullable) => {
                        if *nullable {
                            put_long(out, 1);
                        }
                        put(leaf, value, &member.path, out)
                    }
                }
            }
        }
    }
}

/// Whether any field of a record has a value.
fn says(record: &Record, values: &Values<'_>) -> bool {
    record.members.iter().any(|member| match &member.node {
        Node::Leaf { slot, .. } => values.get(usize::from(*slot)).is_some_and(|value| *value != Value::Null),
        Node::Record { record, .. } => says(record, values),
        Node::Data => false,
    })
}

fn put_default(member: &Member, leaf: &Leaf, out: &mut Vec<u8>) -> Result<(), Fault> {
    match member.default {
        Some(Slot::Bool(truth)) => out.push(u8::from(truth)),
        Some(Slot::Int(whole)) => put_long(out, whole),
        Some(Slot::Double(number)) => out.extend_from_slice(&number.to_le_bytes()),
        Some(Slot::Symbol(index)) => put_long(out, i64::from(index)),
        Some(Slot::List(..)) => out.push(0),
        _ => return Err(Fault::missing(&member.path, leaf.wanted())),
    }
    Ok(())
}

fn put(leaf: &Leaf, value: &Value<'_>, path: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    match leaf {
        Leaf::Text => put_text(out, &text(value, path)?),
        Leaf::Bool => match value {
            Value::Bool(truth) => out.push(u8::from(*truth)),
            _ => return Err(wrong(value, path, leaf.wanted())),
        },
        Leaf::Int => {
            let whole = whole(value, path)?;
            let fits = i32::try_from(whole).map_err(|_| Fault::number(path, "a whole number of 32 bits"))?;
            put_long(out, i64::from(fits));
        }
        Leaf::Long => put_long(out, whole(value, path)?),
        Leaf::Double => {
            #[allow(clippy::cast_precision_loss, reason = "Avro promotes a long to a double this way")]
            let number = match value {
                Value::Double(number) => *number,
                Value::Int(whole) => *whole as f64,
                _ => return Err(wrong(value, path, leaf.wanted())),
            };
            out.extend_from_slice(&number.to_le_bytes());
        }
        Leaf::Time => put_long(out, time(value, path)?),
        Leaf::Date => put_long(out, day(value, path)?),
        Leaf::Symbol { names, .. } => {
            let Value::Text(name) = value else { return Err(wrong(value, path, leaf.wanted())) };
            let index = index_of(names, name).ok_or_else(|| Fault::symbol(path, names))?;
            put_long(out, i64::from(index));
        }
        Leaf::Texts => put_list(value, path, out, |item, out| {
            put_text(out, &text(item, "")?);
            Ok(())
        })?,
        Leaf::Records { record, .. } => {
            put_list(value, path, out, |item, out| put_item(record, item, out))?;
        }
        Leaf::Map => put_map(value, path, out)?,
    }
    Ok(())
}

/// A text stands for the first field of a record; the others say nothing.
fn put_item(record: &Record, item: &Value<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    for (index, member) in record.members.iter().enumerate() {
        let written = match (&member.node, index) {
            (Node::Leaf { leaf, nullable, .. }, 0) => {
                if *nullable {
                    put_long(out, 1);
                }
                put(leaf, item, &member.path, out)
            }
            (Node::Leaf { nullable: true, .. } | Node::Record { nullable: true, .. }, _) => {
                put_long(out, 0);
                Ok(())
            }
            (Node::Leaf { leaf, .. }, _) => put_default(member, leaf, out),
            _ => Err(Fault::missing(&member.path, "an object")),
        };
        written.map_err(|fault| Fault { path: format!(".{}", fault.path), ..fault })?;
    }
    Ok(())
}

/// Items of a list; one thing alone is a list of one.
fn put_list<F>(value: &Value<'_>, path: &str, out: &mut Vec<u8>, mut item: F) -> Result<(), Fault>
where
    F: FnMut(&Value<'_>, &mut Vec<u8>) -> Result<(), Fault>,
{
    let items = match value {
        Value::List(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    if !items.is_empty() {
        put_count(out, items.len());
    }
    for (index, value) in items.iter().enumerate() {
        item(value, out)
            .map_err(|fault| Fault { path: format!("{path}[{index}]{}", fault.path), ..fault })?;
    }
    out.push(0);
    Ok(())
}

fn put_map(value: &Value<'_>, path: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    let Value::Named(entries) = value else { return Err(wrong(value, path, "an object")) };
    if !entries.is_empty() {
        put_count(out, entries.len());
    }
    for (name, value) in entries {
        put_text(out, name);
        put_text(out, &text(value, &format!("{path}.{name}"))?);
    }
    out.push(0);
    Ok(())
}

/// A text; sources whose ids are numbers may write them so, and a time is written as one.
fn text<'v>(value: &'v Value<'_>, path: &str) -> Result<Cow<'v, str>, Fault> {
    match value {
        Value::Text(text) => Ok(Cow::Borrowed(text)),
        Value::Int(whole) => Ok(Cow::Owned(whole.to_string())),
        Value::Time(at) => Ok(Cow::Owned(at.to_string())),
        _ => Err(wrong(value, path, "a text")),
    }
}

fn whole(value: &Value<'_>, path: &str) -> Result<i64, Fault> {
    match value {
        Value::Int(whole) => Ok(*whole),
        #[allow(
            clippy::cast_possible_truncation,
            reason = "only whole numbers a double holds exactly get here"
        )]
        Value::Double(number) if number.fract() == 0.0 && number.abs() < 9.0e15 => Ok(*number as i64),
        Value::Double(_) => Err(Fault::number(path, "a whole number of 64 bits")),
        _ => Err(wrong(value, path, "a whole number")),
    }
}

fn time(value: &Value<'_>, path: &str) -> Result<i64, Fault> {
    let millis = match value {
        Value::Time(at) => at.millis(),
        Value::Date(days) => i64::from(*days) * DAY_MILLIS,
        Value::Text(text) => {
            text.parse::<Timestamp>().map_err(|_| Fault::no_time(path, ("time", TIME)))?.millis()
        }
        Value::Int(_) | Value::Double(_) => whole(value, path)?,
        other => return Err(wrong(other, path, "a time")),
    };
    if sane_time(millis) { Ok(millis) } else { Err(Fault::out_of_time(path, TIME)) }
}

fn day(value: &Value<'_>, path: &str) -> Result<i64, Fault> {
    let bad = || Fault::no_time(path, ("day", DAY));
    let days = match value {
        Value::Date(days) => i64::from(*days),
        Value::Time(at) => at.millis().div_euclid(DAY_MILLIS),
        Value::Text(text) => {
            let midnight = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_string() };
            midnight.parse::<Timestamp>().map_err(|_| bad())?.millis().div_euclid(DAY_MILLIS)
        }
        Value::Int(_) | Value::Double(_) => whole(value, path)?,
        other => return Err(wrong(other, path, "a day")),
    };
    if sane_day(days) { Ok(days) } else { Err(Fault::out_of_time(path, DAY)) }
}

fn wrong(value: &Value<'_>, path: &str, wanted: &str) -> Fault {
    Fault::stands(Code::WrongType, path, (value.found(), wanted))
}
