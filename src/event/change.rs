//! Change: what a source system says happened, read in place.
//!
//! A change keeps the bytes it came in and a table of slots pointing into them; a text is copied
//! only by whoever keeps it. The decoder in `codec` has checked every range and every text.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::shape::slot;
use super::{Field, FieldType, Shape, Source, Timestamp, Topic, Value};

/// Where a change lies in its source topic. Enough to read it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Coordinates {
    /// Whose topic.
    pub source: Source,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

// === impl Coordinates ===

impl Coordinates {
    /// The topic, partition and offset.
    #[must_use]
    pub const fn lies(self) -> (Topic, i32, i64) {
        (Topic::Events(self.source), self.partition, self.offset)
    }
}

/// One field's place in a change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Slot {
    /// Not there.
    Absent,
    /// True or false.
    Bool(bool),
    /// A whole number, a time in milliseconds or a day, as the field's type says.
    Int(i64),
    /// A number with a fraction.
    Double(f64),
    /// An index into the symbols of the field's type.
    Symbol(u16),
    /// A text: where it starts in the bytes, and its length.
    Text(u32, u32),
    /// A list: the first of its items and their number. A text, or a record of `n` fields, takes one
    /// or `n` entries of the items each; a map takes two, name and text.
    List(u32, u32),
}

/// What a source system says happened. Built by `codec`, read by everybody.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    shape: Arc<Shape>,
    bytes: Cow<'a, [u8]>,
    slots: Vec<Slot>,
    items: Vec<Slot>,
}

// === impl Change ===

impl<'a> Change<'a> {
    /// A change of `shape` whose `slots` (one per field) and `items` point into `bytes`.
    #[must_use]
    pub fn new(shape: Arc<Shape>, bytes: Cow<'a, [u8]>, slots: Vec<Slot>, items: Vec<Slot>) -> Self {
        debug_assert_eq!(shape.fields.len(), slots.len(), "one slot per field");
        Self { shape, bytes, slots, items }
    }

    /// The same change, with bytes of its own.
    #[must_use]
    pub fn into_owned(self) -> Change<'static> {
        let bytes = Cow::Owned(self.bytes.into_owned());
        Change { shape: self.shape, bytes, slots: self.slots, items: self.items }
    }

    /// The bytes it was read from.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its fields.
    #[must_use]
    pub fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// Unique within its source; empty never passes the decoder.
    #[must_use]
    pub fn event_id(&self) -> &str {
        self.text(slot::EVENT_ID).unwrap_or_default()
    }

    /// Whose data it is; empty never passes the decoder.
    #[must_use]
    pub fn tenant(&self) -> &str {
        self.text(slot::TENANT).unwrap_or_default()
    }

    /// What happened, in full: `xecm.task.assigned`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text(slot::KIND).unwrap_or_default()
    }

    /// When it happened, by the source's clock.
    #[must_use]
    pub fn occurred_at(&self) -> Timestamp {
        self.time(slot::OCCURRED_AT).unwrap_or_default()
    }

    /// The raw slot.
    #[must_use]
    pub fn slot(&self, slot: u16) -> Slot {
        self.slots.get(usize::from(slot)).copied().unwrap_or(Slot::Absent)
    }

    /// The text, or the symbol's name, in `slot`; `None` when absent or of another type.
    #[must_use]
    pub fn text(&self, slot: u16) -> Option<&str> {
        let field = self.shape.fields.get(usize::from(slot))?;
        self.read_text(field, self.slot(slot))
    }

    /// The time in `slot`.
    #[must_use]
    pub fn time(&self, slot: u16) -> Option<Timestamp> {
        match self.slot(slot) {
            Slot::Int(millis) => Some(Timestamp::from_millis(millis)),
            _ => None,
        }
    }

    /// The whole number in `slot`.
    #[must_use]
    pub fn int(&self, slot: u16) -> Option<i64> {
        match self.slot(slot) {
            Slot::Int(number) => Some(number),
            _ => None,
        }
    }

    /// The texts of a field that names people or things: the one text, every text of a list, or of a
    /// list of records the first field of each (`user_id` by the convention of our schemas).
    pub fn texts(&self, slot: u16) -> impl Iterator<Item = &str> {
        let field = self.shape.fields.get(usize::from(slot));
        let one = self.text(slot);
        let (first, count, width) = match (self.slot(slot), field.map(|field| &field.ty)) {
            (Slot::List(first, count), Some(FieldType::Texts)) => (first, count, 1),
            (Slot::List(first, count), Some(FieldType::Records(fields))) => (first, count, fields.len()),
            _ => (0, 0, 1),
        };
        let many =
            (0..count as usize).filter_map(move |index| self.item_text(first as usize + index * width));
        one.into_iter().chain(many)
    }

    /// The text called `name` in the map in `slot`.
    #[must_use]
    pub fn map_text(&self, slot: u16, name: &str) -> Option<&str> {
        let (Slot::List(first, count), Some(FieldType::Map)) =
            (self.slot(slot), self.shape.fields.get(usize::from(slot)).map(|field| &field.ty))
        else {
            return None;
        };
        (0..count as usize)
            .map(|index| first as usize + 2 * index)
            .find(|at| self.item_text(*at) == Some(name))
            .and_then(|at| self.item_text(at + 1))
    }

    /// The value in `slot`, its texts in place; [`Value::Null`] when absent.
    #[must_use]
    pub fn value(&self, slot: u16) -> Value<'_> {
        match self.shape.fields.get(usize::from(slot)) {
            Some(field) => self.read(field, self.slot(slot)),
            None => Value::Null,
        }
    }

    fn item_text(&self, index: usize) -> Option<&str> {
        match self.items.get(index) {
            Some(Slot::Text(start, length)) => self.slice(*start, *length),
            _ => None,
        }
    }

    fn slice(&self, start: u32, length: u32) -> Option<&str> {
        let start = start as usize;
        self.bytes.get(start..start + length as usize).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    fn read_text<'s>(&'s self, field: &'s Field, slot: Slot) -> Option<&'s str> {
        match (slot, &field.ty) {
            (Slot::Text(start, length), _) => self.slice(start, length),
            (Slot::Symbol(index), FieldType::Symbol(names)) => {
                names.get(usize::from(index)).map(String::as_str)
            }
            _ => None,
        }
    }

    fn read<'s>(&'s self, field: &'s Field, slot: Slot) -> Value<'s> {
        match (slot, &field.ty) {
            (Slot::Absent, _) => Value::Null,
            (Slot::Bool(truth), _) => Value::Bool(truth),
            (Slot::Int(millis), FieldType::Time) => Value::Time(Timestamp::from_millis(millis)),
            (Slot::Int(days), FieldType::Date) => i32::try_from(days).map_or(Value::Null, Value::Date),
            (Slot::Int(number), _) => Value::Int(number),
            (Slot::Double(number), _) => Value::Double(number),
            (Slot::List(first, count), ty) => self.read_list(ty, first as usize, count as usize),
            (Slot::Text(..) | Slot::Symbol(_), _) => {
                self.read_text(field, slot).map_or(Value::Null, |text| Value::Text(Cow::Borrowed(text)))
            }
        }
    }

    fn read_list<'s>(&'s self, ty: &'s FieldType, first: usize, count: usize) -> Value<'s> {
        let text =
            |index: usize| self.item_text(index).map_or(Value::Null, |text| Value::Text(Cow::Borrowed(text)));
        match ty {
            FieldType::Records(fields) => {
                let item = |index: usize| {
                    let start = first + index * fields.len();
                    let named = fields.iter().zip(start..).map(|(field, at)| {
                        let slot = self.items.get(at).copied().unwrap_or(Slot::Absent);
                        (Cow::Borrowed(field.path.as_str()), self.read(field, slot))
                    });
                    Value::Named(named.collect())
                };
                Value::List((0..count).map(item).collect())
            }
            FieldType::Map => {
                let name =
                    |index: usize| Cow::Borrowed(self.item_text(first + 2 * index).unwrap_or_default());
                Value::Named((0..count).map(|index| (name(index), text(first + 2 * index + 1))).collect())
            }
            _ => Value::List((first..first + count).map(text).collect()),
        }
    }
}
