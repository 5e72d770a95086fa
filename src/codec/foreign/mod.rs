//! Foreign: payloads that others shaped, read by paths, and written again as a change of ours.
//!
//! A payload is JSON, Avro of any schema, or a CloudEvent of any type; one path finds the same value in each.
//! What becomes of the values is for a mapping of the topology to say.

mod avro;
mod form;
mod json;
mod paths;

use std::borrow::Cow;
use std::sync::Arc;

use super::decode::{Codec, EventHeaders, MOST_BYTES, Unreadable};
use super::fault::{Code, Fault};
use super::schemas::Name;
use super::wire::{FRAMING, MAGIC, schema_id};
use crate::event::frame::Format;
use crate::event::{Source, Value};

pub use form::Form;
pub use paths::{Paths, Step};

use avro::Known;

/// The wanted values of one payload.
#[derive(Debug, Default)]
pub struct Found<'p> {
    values: Vec<Value<'p>>,
    /// The numbers of those whose path goes through a list where there is none.
    misfits: Vec<usize>,
}

/// What a payload turned out to be.
#[derive(Debug)]
pub enum Seen<'p> {
    /// Written with a schema of ours: there is nothing to map.
    Ours,
    /// Somebody else's, with these values.
    Foreign(Found<'p>),
}

// === impl Found ===

impl<'p> Found<'p> {
    fn new(paths: &Paths) -> Self {
        Self { values: vec![Value::Null; paths.len()], misfits: Vec::new() }
    }

    /// The value with this number; null where the payload has none.
    #[must_use]
    pub fn get(&self, number: usize) -> &Value<'p> {
        self.values.get(number).unwrap_or(&Value::Null)
    }

    /// Whether the value with this number is of a list's items, and something else stands where the list, or what
    /// the items should have, is looked for.
    #[must_use]
    pub fn is_misfit(&self, number: usize) -> bool {
        self.misfits.contains(&number)
    }

    fn put(&mut self, number: usize, value: Value<'p>, is_many: bool) {
        let Some(place) = self.values.get_mut(number) else { return };
        match (is_many, place, value) {
            (true, _, Value::Null) => {}
            (true, Value::List(list), value) => list.push(value),
            (true, place, value) => *place = Value::List(vec![value]),
            (false, place, value) => *place = value,
        }
    }
}

/// What a value is not that nothing can be made of.
const NEITHER: &str = "it is neither Avro behind a zero byte and the id of its schema, nor a JSON object";

// === impl Codec ===

impl Codec {
    /// Finds what `paths` want in one value of a source's topic.
    ///
    /// # Errors
    /// [`Unreadable`]: it is no payload that can be looked into, or its schema is not known yet.
    pub fn look<'p>(
        &self,
        source: Source,
        paths: &Paths,
        (format, headers): (Format, &EventHeaders<'p>),
        payload: &'p [u8],
    ) -> Result<Seen<'p>, Unreadable> {
        if payload.len() > MOST_BYTES {
            let detail = format!("{} bytes; at most {MOST_BYTES} are read", payload.len());
            return Err(Fault::new(Code::TooLarge, detail).into());
        }
        let mut found = Found::new(paths);
        match format {
            Format::CloudEventBinary => binary(paths, headers, payload, &mut found)?,
            Format::Avro if payload.first() == Some(&MAGIC) => {
                let walk = match self.walk(source, paths, payload)? {
                    Known::Ours => return Ok(Seen::Ours),
                    Known::Walk(walk) => walk,
                    Known::Refused(fault) => return Err(fault.into()),
                };
                avro::run(&walk, (paths, payload, FRAMING), &mut found)?;
            }
            Format::Avro if !is_json(payload) => {
                let fault = match payload.is_empty() {
                    true => Fault::new(Code::EmptyValue, ""),
                    false => Fault::new(Code::BadMagic, NEITHER),
                };
                return Err(fault.into());
            }
            Format::Avro | Format::CloudEvent => json::read(paths, Paths::ROOT, payload, &mut found)?,
            Format::Answer | Format::Returned => {
                return Err(Fault::new(Code::BadMagic, "an answer is no change").into());
            }
        }
        Ok(Seen::Foreign(found))
    }

    fn walk(&self, source: Source, paths: &Paths, payload: &[u8]) -> Result<Known, Unreadable> {
        let id = schema_id(payload).map_err(|code| Fault::new(code, ""))?;
        // Asked every time: an id that stood for two schemas stands for none.
        let writer = self.writer(id)?;
        if let Some(known) = paths.known.get(&id) {
            return Ok(known.value().clone());
        }
        let ours = self.schemas().schema(Name::Events(source));
        let known = if writer.name().is_some() && writer.name() == ours.name() {
            Known::Ours
        } else {
            let numbered =
                |fault: Fault| Fault { detail: format!("schema id {id}: {}", fault.detail), ..fault };
            let walk = avro::compile(&writer, paths).map_err(numbered);
            walk.map_or_else(Known::Refused, |walk| Known::Walk(Arc::new(walk)))
        };
        Ok(paths.known.entry(id).or_insert(known).value().clone())
    }
}

/// Whether it begins as a JSON object or list does, and as no Avro of a registry can.
fn is_json(payload: &[u8]) -> bool {
    let first = payload.iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(first, Some(b'{' | b'['))
}

/// A CloudEvent in binary mode looks like the same event in structured mode: its attributes, and `data`.
fn binary<'p>(
    paths: &Paths,
    headers: &EventHeaders<'p>,
    payload: &'p [u8],
    found: &mut Found<'p>,
) -> Result<(), Fault> {
    for (name, child) in &paths.node(Paths::ROOT).names {
        if name == "data" && !payload.is_empty() {
            json::read(paths, *child, payload, found)?;
        }
        let Some(number) = paths.node(*child).value else { continue };
        let header = headers.iter().rev().find(|(key, _)| key.strip_prefix("ce_") == Some(name));
        if let Some((key, value)) = header {
            let text = std::str::from_utf8(value).map_err(|_| Fault::at(Code::BadUtf8, *key))?;
            found.put(number, Value::Text(Cow::Borrowed(text)), false);
        }
    }
    Ok(())
}
