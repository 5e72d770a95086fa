//! Event plan: a plan together with what its rows mean, and the checks every change must pass.
//!
//! What no single field can know is asked here: is the kind one of ours, is the data its record, are
//! the ids there.

use std::borrow::Cow;
use std::sync::Arc;

use apache_avro::Schema;
use hashbrown::HashMap;

use super::fault::{Code, Fault};
use super::plan::{self, Steps};
use super::reader::Reader;
use super::run::{Row, run};
use super::schemas::{Name, Schemas};
use super::wire::FRAMING;
use crate::event::change::Slot;
use crate::event::shape::slot;
use crate::event::{Change, Shape, Source};

/// A compiled plan and what its rows mean.
#[derive(Debug)]
pub(crate) struct Plan {
    steps: Steps,
    reader: Arc<Reader>,
    shapes: Vec<Arc<Shape>>,
    kinds: HashMap<String, u16>,
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

    pub(crate) fn change<'a>(&self, source: Source, payload: Cow<'a, [u8]>) -> Result<Change<'a>, Fault> {
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
pub(crate) fn text_at(bytes: &[u8], slot: Slot) -> Option<&str> {
    match slot {
        Slot::Text(start, length) => {
            let start = start as usize;
            bytes.get(start..start + length as usize).and_then(|bytes| std::str::from_utf8(bytes).ok())
        }
        _ => None,
    }
}

fn empty(path: &str) -> Fault {
    Fault::at(Code::MissingField, path).because("it is empty")
}
