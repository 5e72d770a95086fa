//! Schemas: what is in `schemas/`, built in or read from a folder.
//!
//! A schema of a source system must have the envelope first and in order, and no two of its kinds or
//! of one kind's fields may share a name: rules address fields by path.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use apache_avro::Schema;

use super::reader::Reader;
use crate::event::shape::slot;
use crate::event::{Shape, Source, Topic};

/// Something with a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// Changes of a source system.
    Events(Source),
    /// Entries of the directory.
    Person,
    /// Members of a workspace, process, app or record.
    Members,
    /// Records of the audit topic.
    Verdict,
    /// Answers to carry out.
    WriteBack,
    /// What became of a batch.
    Receipt,
}

/// Why a schema file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("schema `{}`: {fault}", file.display())]
pub struct BadSchema {
    /// The file to open.
    pub file: PathBuf,
    /// What is wrong with it.
    pub fault: String,
}

/// One schema file.
#[derive(Debug)]
struct Entry {
    text: String,
    schema: Schema,
    reader: Option<Arc<Reader>>,
}

/// All schemas, parsed and checked.
#[derive(Debug)]
pub struct Schemas {
    entries: Vec<Entry>,
    shapes: HashMap<Source, Vec<Arc<Shape>>>,
    by_kind: HashMap<String, Arc<Shape>>,
}

// Ids below this table's are left to registries, which count from 1 (or 100 000) upwards.
const BUILT_IN: [(Name, &str, u32, &str); 9] = [
    (
        Name::Events(Source::XConnector),
        "xconnector.avsc",
        2_000_000_001,
        include_str!("../../schemas/xconnector.avsc"),
    ),
    (Name::Events(Source::Xecm), "xecm.avsc", 2_000_000_002, include_str!("../../schemas/xecm.avsc")),
    (Name::Events(Source::Bws), "bws.avsc", 2_000_000_003, include_str!("../../schemas/bws.avsc")),
    (
        Name::Events(Source::DevAdmin),
        "devadmin.avsc",
        2_000_000_004,
        include_str!("../../schemas/devadmin.avsc"),
    ),
    (Name::Person, "person.avsc", 2_000_000_005, include_str!("../../schemas/person.avsc")),
    (Name::Members, "members.avsc", 2_000_000_006, include_str!("../../schemas/members.avsc")),
    (Name::Verdict, "verdict.avsc", 2_000_000_007, include_str!("../../schemas/verdict.avsc")),
    (Name::WriteBack, "write-back.avsc", 2_000_000_008, include_str!("../../schemas/write-back.avsc")),
    (Name::Receipt, "receipt.avsc", 2_000_000_009, include_str!("../../schemas/receipt.avsc")),
];

// === impl Name ===

impl Name {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Events(Source::XConnector),
        Self::Events(Source::Xecm),
        Self::Events(Source::Bws),
        Self::Events(Source::DevAdmin),
        Self::Person,
        Self::Members,
        Self::Verdict,
        Self::WriteBack,
        Self::Receipt,
    ];

    /// The file in `schemas/`.
    #[must_use]
    pub fn file(self) -> &'static str {
        BUILT_IN[self.index()].1
    }

    /// The schema id used where there is no registry, and known everywhere.
    #[must_use]
    pub fn local_id(self) -> u32 {
        BUILT_IN[self.index()].2
    }

    /// The topic whose values have this schema.
    #[must_use]
    pub const fn topic(self) -> Topic {
        match self {
            Self::Events(source) => Topic::Events(source),
            Self::Person => Topic::Directory,
            Self::Members => Topic::Members,
            Self::Verdict => Topic::Audit,
            Self::WriteBack => Topic::Writebacks,
            Self::Receipt => Topic::Receipts,
        }
    }

    fn index(self) -> usize {
        Self::ALL.iter().position(|name| *name == self).unwrap_or(0)
    }
}

/// The registry's subject for the values of a topic: `<topic>-value`.
#[must_use]
pub fn subject(topic: &str) -> String {
    format!("{topic}-value")
}

// === impl Schemas ===

impl Schemas {
    /// The schemas this build was made with.
    #[must_use]
    pub fn built_in() -> Self {
        let texts =
            BUILT_IN.iter().map(|(_, file, _, text)| (PathBuf::from(file), (*text).to_owned())).collect();
        Self::of(texts).expect("the schemas of this build are pinned by its tests")
    }

    /// The schemas of a folder with the files of `schemas/`; a file that is not there is built in.
    ///
    /// # Errors
    /// The first file that cannot be read or is not a schema of ours, and what is wrong with it.
    pub fn load(folder: &Path) -> Result<Self, BadSchema> {
        // Otherwise a slip in its name would leave the built-in ones in force, and nobody would know.
        std::fs::read_dir(folder)
            .map_err(|fault| BadSchema { file: folder.to_owned(), fault: fault.to_string() })?;
        let mut texts = Vec::with_capacity(BUILT_IN.len());
        for (_, name, _, built_in) in &BUILT_IN {
            let file = folder.join(name);
            let text = match std::fs::read_to_string(&file) {
                Ok(text) => text,
                Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => (*built_in).to_owned(),
                Err(fault) => return Err(BadSchema { file, fault: fault.to_string() }),
            };
            texts.push((file, text));
        }
        Self::of(texts)
    }

    fn of(texts: Vec<(PathBuf, String)>) -> Result<Self, BadSchema> {
        let mut schemas = Self { entries: Vec::new(), shapes: HashMap::new(), by_kind: HashMap::new() };
        for (name, (file, text)) in Name::ALL.into_iter().zip(texts) {
            let bad = |fault: String| BadSchema { file: file.clone(), fault };
            let schema = Schema::parse_str(&text).map_err(|fault| bad(fault.to_string()))?;
            let reader = match name {
                Name::Verdict | Name::WriteBack | Name::Receipt => None,
                _ => Some(Arc::new(Reader::of(&schema).map_err(bad)?)),
            };
            if let (Name::Events(source), Some(reader)) = (name, &reader) {
                schemas.add_source(source, reader).map_err(bad)?;
            }
            schemas.entries.push(Entry { text, schema, reader });
        }
        Ok(schemas)
    }

    fn add_source(&mut self, source: Source, reader: &Reader) -> Result<(), String> {
        for (index, path) in slot::PATHS.iter().enumerate() {
            let found = reader.fields.get(index).map_or("nothing", |field| field.path.as_str());
            if found != *path {
                return Err(format!("the envelope is out of order: `{found}` stands where `{path}` belongs"));
            }
        }
        let mut shapes = Vec::with_capacity(reader.branches.len());
        for branch in &reader.branches {
            let fields: Vec<_> = reader.fields.iter().chain(&branch.fields).cloned().collect();
            unambiguous(fields.iter().map(|field| field.path.as_str())).map_err(|path| {
                format!("`{path}` of `{}` has the name of another field", branch.record.name)
            })?;
            let shape = Shape::new(source, branch.record.name.clone(), branch.kinds.clone(), fields);
            let shape = Arc::new(shape);
            for kind in &branch.kinds {
                if Source::of_kind(kind) != Some(source) {
                    return Err(format!("kind `{kind}` does not start with `{source}.`"));
                }
                if self.by_kind.insert(kind.clone(), Arc::clone(&shape)).is_some() {
                    return Err(format!("kind `{kind}` stands twice"));
                }
            }
            shapes.push(shape);
        }
        self.shapes.insert(source, shapes);
        Ok(())
    }

    /// The fields of a kind, such as `xecm.task.assigned`.
    #[must_use]
    pub fn shape(&self, kind: &str) -> Option<&Arc<Shape>> {
        self.by_kind.get(kind)
    }

    /// The shapes of a source, one per group of kinds, in the order of its schema.
    #[must_use]
    pub fn shapes(&self, source: Source) -> &[Arc<Shape>] {
        self.shapes.get(&source).map_or(&[], Vec::as_slice)
    }

    /// Every kind of a source, in the order of its schema.
    pub fn kinds(&self, source: Source) -> impl Iterator<Item = &str> {
        self.shapes(source).iter().flat_map(|shape| shape.kinds.iter().map(String::as_str))
    }

    /// The schema's text, as in its file.
    #[must_use]
    pub fn text(&self, name: Name) -> &str {
        &self.entries[name.index()].text
    }

    pub(crate) fn schema(&self, name: Name) -> &Schema {
        &self.entries[name.index()].schema
    }

    /// The tree of a schema we read; outputs have none.
    pub(crate) fn reader(&self, name: Name) -> Option<&Arc<Reader>> {
        self.entries[name.index()].reader.as_ref()
    }
}

/// No path may equal another, nor be what another lies in: `action` beside `action.ref` would make
/// `event.action` two things.
fn unambiguous<'p>(paths: impl Iterator<Item = &'p str>) -> Result<(), String> {
    let paths: Vec<_> = paths.collect();
    let mut seen = HashSet::new();
    for path in &paths {
        if !seen.insert(*path) {
            return Err((*path).to_owned());
        }
    }
    let above = |path: &str| path.match_indices('.').any(|(dot, _)| seen.contains(&path[..dot]));
    match paths.iter().find(|path| above(path)) {
        Some(path) => Err((*path).to_owned()),
        None => Ok(()),
    }
}
