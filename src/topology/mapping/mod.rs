//! Mapping: payloads that others shaped, and which change of ours each of them is.
//!
//! A file of `topology/mappings/` names a source's topic and, for the payloads found there, conditions, kinds and
//! the values of their fields. All paths of a source are found in one pass; what is computed from them knows
//! neither partition nor offset, so that a payload that is read again is the same change again.

mod expression;
mod file;
mod given;
mod lower;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::codec::foreign::{Form, Found, Paths, Seen};
use crate::codec::{Code, Codec, Fault, Unreadable};
use crate::event::frame::Format;
use crate::event::shape::slot;
use crate::event::{Change, Shape, Source, Value};

use super::Topology;
use expression::Term;
pub(super) use file::read;
pub(super) use given::Unit;
use given::{Given, as_text, joined};

/// The mappings of all sources.
#[derive(Debug, Clone, Default)]
pub struct Mappings {
    by_source: [Option<Arc<OfSource>>; 4],
}

/// The mappings of one source, in the order they are asked.
#[derive(Debug, Default)]
pub(super) struct OfSource {
    list: Vec<Mapping>,
    paths: Paths,
}

/// One mapping.
#[derive(Debug)]
pub struct Mapping {
    /// Its name.
    pub id: String,
    /// File and line.
    pub place: String,
    when: Option<Term>,
    /// What it makes of a payload; `None`: it is no news for anybody.
    recipe: Option<Recipe>,
}

/// How a change is made.
#[derive(Debug)]
struct Recipe {
    shape: Arc<Shape>,
    kind: Given,
    event_id: Vec<Given>,
    fields: Vec<(u16, Given)>,
    extra: Vec<(String, Given)>,
}

/// What a record of a source's topic is.
#[derive(Debug)]
pub enum Arrival<'t, 'p> {
    /// A change as our producers write it.
    Native(Change<'p>),
    /// Somebody else's payload, and the change a mapping made of it.
    Mapped(Change<'static>, &'t Mapping),
    /// Somebody else's payload, and the mapping that says it is no news.
    Skipped(&'t Mapping),
}

/// Headers a CloudEvent in binary mode is read from, and how the value is to be read.
pub type Labels<'h, 'p> = (Format, &'h [(&'p str, &'p [u8])]);

// === impl Mappings ===

impl Mappings {
    pub(super) fn of(&self, source: Source) -> Option<&OfSource> {
        self.by_source[place(source)].as_deref()
    }

    pub(super) fn put(&mut self, source: Source, of: OfSource) {
        if !of.list.is_empty() {
            self.by_source[place(source)] = Some(Arc::new(of));
        }
    }

    /// All of them, source by source, in the order they are asked.
    pub fn iter(&self) -> impl Iterator<Item = (Source, &Mapping)> {
        let of = |source: Source| self.of(source).into_iter().flat_map(|of| &of.list);
        Source::ALL.into_iter().flat_map(move |source| of(source).map(move |mapping| (source, mapping)))
    }
}

const fn place(source: Source) -> usize {
    match source {
        Source::XConnector => 0,
        Source::Xecm => 1,
        Source::Bws => 2,
        Source::DevAdmin => 3,
    }
}

// === impl Topology ===

impl Topology {
    /// What a record of a source's topic is: a change of ours, or what a mapping makes of it.
    ///
    /// # Errors
    /// [`Unreadable`]: it is refused for good, its field named, or waits for a schema.
    pub fn take<'p>(
        &self,
        codec: &Codec,
        source: Source,
        (format, headers): Labels<'_, 'p>,
        payload: &'p [u8],
    ) -> Result<Arrival<'_, 'p>, Unreadable> {
        let native = || codec.decode(source, format, headers, payload).map(Arrival::Native);
        let Some(of) = self.mappings.of(source) else { return native() };
        let found = match codec.look(source, &of.paths, (format, headers), payload)? {
            Seen::Ours => return native(),
            Seen::Foreign(found) => found,
        };
        let Some(mapping) = of.list.iter().find(|mapping| mapping.wants(&found)) else {
            let unmapped = || {
                let names: Vec<String> = of.list.iter().map(|mapping| format!("`{}`", mapping.id)).collect();
                let detail = format!("the mappings of {source} are {}", names.join(", "));
                Unreadable::from(Fault::new(Code::Unmapped, detail))
            };
            return native().map_err(|why| match why {
                Unreadable::Refused(Fault { code: Code::BadMagic | Code::IncompatibleSchema, .. }) => {
                    unmapped()
                }
                why => why,
            });
        };
        let Some(recipe) = &mapping.recipe else { return Ok(Arrival::Skipped(mapping)) };
        let written = recipe.write(codec, &found).map_err(|fault| mapping.blame(fault))?;
        let change = codec.change_of(source, written).map_err(|why| match why {
            Unreadable::Refused(fault) => mapping.blame(fault).into(),
            why => why,
        })?;
        Ok(Arrival::Mapped(change, mapping))
    }
}

// === impl Mapping ===

impl Mapping {
    /// Whether the payload is one of those it is for. A condition without an answer is not met.
    fn wants(&self, found: &Found<'_>) -> bool {
        self.when.as_ref().is_none_or(|when| when.eval(found) == Ok(Value::Bool(true)))
    }

    /// Whether it takes whatever another would, and is asked before it.
    fn takes_what(&self, other: &Self) -> bool {
        self.when.as_ref().is_some_and(|when| when.reads() && other.when.as_ref() == Some(when))
    }

    /// The fault, with this mapping and where in it the field comes from.
    fn blame(&self, fault: Fault) -> Fault {
        let said = self.recipe.as_ref().map(|recipe| recipe.says(&fault.path)).unwrap_or_default();
        let why = if fault.detail.is_empty() { String::new() } else { format!("{}; ", fault.detail) };
        let detail = match said.as_str() {
            "" => format!("{why}mapping `{}` does not give it", self.id),
            said => format!("{why}mapping `{}` takes it from `{said}`", self.id),
        };
        Fault { detail, ..fault }
    }
}

// === impl Recipe ===

impl Recipe {
    fn write(&self, codec: &Codec, found: &Found<'_>) -> Result<Vec<u8>, Fault> {
        let unknown = || Fault::new(Code::UnknownKind, "the schemas in use are others than the mapping's");
        let form = Form::of(codec.schemas(), &self.shape).ok_or_else(unknown)?;
        let mut values = vec![Value::Null; self.shape.fields.len()];
        let mut set = |slot: u16, value| {
            if let Some(place) = values.get_mut(usize::from(slot)) {
                *place = value;
            }
        };
        set(slot::SOURCE, Value::Text(self.shape.source.as_str().into()));
        set(slot::KIND, self.kind.value(found).map_err(|fault| Fault { path: "kind".to_owned(), ..fault })?);
        let parts = self.event_id.iter().map(|given| given.value(found)).collect::<Result<_, _>>();
        let parts: Vec<Value<'_>> = parts.map_err(|fault| Fault { path: "event_id".to_owned(), ..fault })?;
        if parts.iter().any(|part| matches!(part, Value::Text(text) if text.trim().is_empty())) {
            // Otherwise all payloads that lack it would be one event, and only the first be news.
            return Err(Fault::at(Code::MissingField, "event_id").because("a part of it is empty"));
        }
        if let Some(part) = parts.iter().find(|part| as_text(part).is_none()) {
            let told = (part.found(), "a part of the id");
            return Err(Fault::stands(Code::MissingField, "event_id", told));
        }
        set(slot::EVENT_ID, joined(parts));
        for (slot, given) in &self.fields {
            let path = self.shape.fields.get(usize::from(*slot)).map_or("", |field| field.path.as_str());
            set(*slot, given.value(found).map_err(|fault| Fault { path: path.to_owned(), ..fault })?);
        }
        let mut extra = Vec::with_capacity(self.extra.len());
        for (name, given) in &self.extra {
            let value =
                given.value(found).map_err(|fault| Fault { path: format!("extra.{name}"), ..fault })?;
            if value != Value::Null {
                extra.push((name.as_str().into(), value));
            }
        }
        if !extra.is_empty() {
            set(slot::EXTRA, Value::Named(extra));
        }
        form.write(&values)
    }

    /// The expressions a field, or an item of it, comes from; empty when it is not given.
    fn says(&self, path: &str) -> String {
        let path = path.split('[').next().unwrap_or_default();
        let slot = self.shape.slot(path);
        let given: Vec<&Given> = match path {
            "kind" => vec![&self.kind],
            "event_id" => self.event_id.iter().collect(),
            path => {
                let extra = self.extra.iter().filter(|(name, _)| path.strip_prefix("extra.") == Some(name));
                let fields = self.fields.iter().filter(|(known, _)| Some(*known) == slot);
                fields.map(|(_, given)| given).chain(extra.map(|(_, given)| given)).collect()
            }
        };
        given.into_iter().map(|given| given.says.as_str()).collect::<Vec<_>>().join(", ")
    }
}
