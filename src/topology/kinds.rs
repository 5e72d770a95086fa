//! Kinds: which kinds of changes exist and what fields each has, as the rules are checked against them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::{Field, FieldType, Shape, Source};

/// The shapes of every kind of all sources.
#[derive(Debug, Default, Clone)]
pub struct Kinds {
    by_kind: BTreeMap<String, Arc<Shape>>,
}

// === impl Kinds ===

impl Kinds {
    /// The kinds of these shapes.
    #[must_use]
    pub fn new(shapes: impl IntoIterator<Item = Arc<Shape>>) -> Self {
        let mut by_kind = BTreeMap::new();
        for shape in shapes {
            for kind in &shape.kinds {
                by_kind.insert(kind.clone(), Arc::clone(&shape));
            }
        }
        Self { by_kind }
    }

    /// The shape of a kind.
    #[must_use]
    pub fn shape(&self, kind: &str) -> Option<&Arc<Shape>> {
        self.by_kind.get(kind)
    }

    /// A shape with the fields of all kinds of a source, or of all sources: what it lacks, none of them has. By it is
    /// checked what no kind is known for.
    #[must_use]
    pub(super) fn any(&self, source: Option<Source>) -> Arc<Shape> {
        let mut fields: BTreeMap<&str, Field> = BTreeMap::new();
        let of_source = |shape: &&Arc<Shape>| source.is_none_or(|source| shape.source == source);
        for field in self.by_kind.values().filter(of_source).flat_map(|shape| &shape.fields) {
            let known = fields.entry(&field.path).or_insert_with(|| field.clone());
            known.optional &= field.optional;
            if let (FieldType::Symbol(names), FieldType::Symbol(more)) = (&mut known.ty, &field.ty) {
                let new: Vec<String> = more.iter().filter(|name| !names.contains(name)).cloned().collect();
                names.extend(new);
            }
        }
        let name = source.map_or_else(|| "any kind".to_owned(), |source| format!("{source}.*"));
        let fields = fields.into_values().collect();
        Arc::new(Shape::new(source.unwrap_or(Source::Xecm), "its kinds".to_owned(), vec![name], fields))
    }

    /// Every kind, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_kind.keys().map(String::as_str)
    }

    /// The kinds a pattern means: itself, or with a `*` at its end all that start with what is before it.
    #[must_use]
    pub fn matching(&self, pattern: &str) -> Vec<&str> {
        match pattern.strip_suffix('*') {
            Some(start) => self.names().filter(|kind| kind.starts_with(start)).collect(),
            None => self.names().filter(|kind| *kind == pattern).collect(),
        }
    }
}

/// A type, in words for people.
pub(crate) fn type_name(ty: &FieldType) -> &'static str {
    match ty {
        FieldType::Bool => "a truth value",
        FieldType::Int => "a whole number",
        FieldType::Double => "a number",
        FieldType::Text | FieldType::Symbol(_) => "a text",
        FieldType::Time => "a time",
        FieldType::Date => "a day",
        FieldType::Texts => "a list of texts",
        FieldType::Records(_) => "a list of records",
        FieldType::Map => "a map",
    }
}
