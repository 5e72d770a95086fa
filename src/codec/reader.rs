//! Reader: one of our schemas as a tree that knows the slot of every field.
//!
//! Our schemas are simpler than Avro allows, and this is where they are held to it: records nest and
//! may be null, lists hold texts or flat records, and the one union of records is `data`.

use std::collections::HashMap;

use apache_avro::schema::{EnumSchema, RecordField, RecordSchema, Schema};
use serde_json::Value as Json;

use crate::event::change::Slot;
use crate::event::shape::FieldDefault;
use crate::event::{Field, FieldType, Relation, Timestamp};

/// A schema of ours, ready to be written to and read from.
#[derive(Debug)]
pub(crate) struct Reader {
    /// The whole record.
    pub(crate) root: Record,
    /// The fields outside `data`, by slot.
    pub(crate) fields: Vec<Field>,
    /// The records `data` may hold, in the order of the union.
    pub(crate) branches: Vec<Branch>,
}

/// One record `data` may hold.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) record: Record,
    pub(crate) kinds: Vec<String>,
    /// Its fields; the first has the slot after the last of [`Reader::fields`].
    pub(crate) fields: Vec<Field>,
}

/// A record.
#[derive(Debug)]
pub(crate) struct Record {
    /// Its name without a namespace.
    pub(crate) name: String,
    /// Other names it went by, without a namespace.
    pub(crate) aliases: Vec<String>,
    /// Its fields, in the order they are written.
    pub(crate) members: Vec<Member>,
}

/// A field of a record.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    /// How rules name it.
    pub(crate) path: String,
    pub(crate) node: Node,
    /// What it holds when nobody says; `None` when somebody must.
    pub(crate) default: Option<Slot>,
}

/// What a field holds.
#[derive(Debug)]
pub(crate) enum Node {
    Leaf {
        slot: u16,
        leaf: Leaf,
        nullable: bool,
    },
    Record {
        record: Record,
        nullable: bool,
    },
    /// The union of [`Reader::branches`].
    Data,
}

/// What one slot holds.
#[derive(Debug)]
pub(crate) enum Leaf {
    Bool,
    Int,
    Long,
    Double,
    Text,
    Symbol { names: Vec<String>, default: Option<u16> },
    Time,
    Date,
    Texts,
    Records { record: Record, width: u16 },
    Map,
}

// === impl Leaf ===

impl Leaf {
    /// What it holds, for a fault.
    pub(crate) const fn wanted(&self) -> &'static str {
        match self {
            Self::Bool => "`true` or `false`",
            Self::Int | Self::Long => "a whole number",
            Self::Double => "a number",
            Self::Text | Self::Symbol { .. } => "a text",
            Self::Time => "a time",
            Self::Date => "a day",
            Self::Texts | Self::Records { .. } => "a list",
            Self::Map => "an object",
        }
    }
}

/// Why a schema cannot be one of ours.
pub(crate) type NotOurs = String;

// === impl Reader ===

impl Reader {
    pub(crate) fn of(schema: &Schema) -> Result<Self, NotOurs> {
        let Schema::Record(root) = schema else { return Err("it is not a record".to_owned()) };
        let mut names = HashMap::new();
        collect(schema, &mut names);
        let data = root.fields.iter().find(|field| field.name == "data");
        let mut builder = Builder { names: &names, fields: Vec::new() };
        let record = builder.record(root, "", Above::default())?;
        let fields = std::mem::take(&mut builder.fields);
        let first = fields.len();
        let variants = match data.map(|field| &field.schema) {
            Some(Schema::Union(union)) => union.variants(),
            Some(_) => return Err("`data` is not a union of records".to_owned()),
            None => &[],
        };
        let branches = variants.iter().map(|variant| branch(&names, first, variant));
        let branches = branches.collect::<Result<_, _>>()?;
        Ok(Self { root: record, fields, branches })
    }

    /// The slots a change of the widest kind needs.
    pub(crate) fn width(&self) -> usize {
        let widest = self.branches.iter().map(|branch| branch.fields.len()).max().unwrap_or(0);
        self.fields.len() + widest
    }

    pub(crate) fn branch_of(&self, kind: &str) -> Option<usize> {
        self.branches.iter().position(|branch| branch.kinds.iter().any(|known| known == kind))
    }
}

fn branch(names: &Names<'_>, first: usize, variant: &Schema) -> Result<Branch, NotOurs> {
    let Schema::Record(record) = variant else {
        return Err("`data` holds something not a record".to_owned());
    };
    let kinds = match record.attributes.get("bugle.kinds") {
        Some(Json::Array(kinds)) => {
            kinds.iter().filter_map(|kind| kind.as_str().map(str::to_owned)).collect()
        }
        _ => return Err(format!("`{}` has no `bugle.kinds`", record.name.name())),
    };
    // The slots in front belong to the envelope and the common fields.
    let mut builder = Builder { names, fields: Vec::with_capacity(first) };
    let tree = builder.record(record, "", Above { offset: first, nullable: false })?;
    Ok(Branch { record: tree, kinds, fields: builder.fields })
}

/// The named types of a schema, by full name.
pub(crate) type Names<'s> = HashMap<String, &'s Schema>;

/// Finds every named type of a schema.
pub(crate) fn collect<'s>(schema: &'s Schema, names: &mut Names<'s>) {
    if let Some(name) = schema.name().filter(|_| !matches!(schema, Schema::Ref { .. })) {
        names.insert(name.fullname(None), schema);
    }
    match schema {
        Schema::Array(array) => collect(&array.items, names),
        Schema::Map(map) => collect(&map.types, names),
        Schema::Union(union) => union.variants().iter().for_each(|variant| collect(variant, names)),
        Schema::Record(record) => record.fields.iter().for_each(|field| collect(&field.schema, names)),
        _ => {}
    }
}

/// Follows a reference to a named type.
pub(crate) fn resolve<'s>(schema: &'s Schema, names: &Names<'s>) -> Option<&'s Schema> {
    match schema {
        Schema::Ref { name } => names.get(&name.fullname(None)).copied(),
        other => Some(other),
    }
}

/// What a field inherits from the records around it.
#[derive(Debug, Default, Clone, Copy)]
struct Above {
    /// Slots taken before the first of these fields.
    offset: usize,
    /// Whether a record around it may be null.
    nullable: bool,
}

struct Builder<'n, 's> {
    names: &'n Names<'s>,
    fields: Vec<Field>,
}

// === impl Builder ===

impl Builder<'_, '_> {
    fn record(&mut self, record: &RecordSchema, prefix: &str, above: Above) -> Result<Record, NotOurs> {
        let mut members = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            members.push(self.member(field, prefix, above)?);
        }
        let aliases = record.aliases.iter().flatten().map(|alias| alias.name().to_owned()).collect();
        Ok(Record { name: record.name.name().to_owned(), aliases, members })
    }

    fn member(&mut self, field: &RecordField, prefix: &str, above: Above) -> Result<Member, NotOurs> {
        let path = if prefix.is_empty() { field.name.clone() } else { format!("{prefix}.{}", field.name) };
        let (schema, nullable) = strip_null(&field.schema, self.names, &path)?;
        let (node, default) = match schema {
            Schema::Union(_) if path == "data" => (Node::Data, None),
            Schema::Record(record) => {
                let above = Above { nullable: above.nullable || nullable, ..above };
                let record = self.record(record, &path, above)?;
                (Node::Record { record, nullable }, field.default.as_ref().map(|_| Slot::Absent))
            }
            schema => {
                let (leaf, ty) = self.leaf(schema, &path)?;
                let default = field.default.as_ref().map(|default| default_of(default, &leaf, &path));
                let (default, slot_value) = default.transpose()?.unzip();
                let slot = u16::try_from(above.offset + self.fields.len()).map_err(|_| "too many fields")?;
                self.fields.push(Field {
                    path: path.clone(),
                    ty,
                    optional: nullable || above.nullable,
                    default,
                    relation: relation(field)?,
                    doc: field.doc.clone().unwrap_or_default(),
                });
                (Node::Leaf { slot, leaf, nullable }, slot_value)
            }
        };
        Ok(Member { name: field.name.clone(), aliases: field.aliases.clone(), path, node, default })
    }

    fn leaf(&self, schema: &Schema, path: &str) -> Result<(Leaf, FieldType), NotOurs> {
        Ok(match schema {
            Schema::Boolean => (Leaf::Bool, FieldType::Bool),
            Schema::Int => (Leaf::Int, FieldType::Int),
            Schema::Long => (Leaf::Long, FieldType::Int),
            Schema::Double => (Leaf::Double, FieldType::Double),
            Schema::String => (Leaf::Text, FieldType::Text),
            Schema::TimestampMillis => (Leaf::Time, FieldType::Time),
            Schema::Date => (Leaf::Date, FieldType::Date),
            Schema::Enum(symbols) => (symbol_leaf(symbols), FieldType::Symbol(symbols.symbols.clone())),
            Schema::Map(map) if matches!(*map.types, Schema::String) => (Leaf::Map, FieldType::Map),
            Schema::Array(array) => match resolve(&array.items, self.names) {
                Some(Schema::String) => (Leaf::Texts, FieldType::Texts),
                Some(Schema::Record(record)) => self.items(record, path)?,
                _ => return Err(format!("`{path}` is a list of neither texts nor records")),
            },
            _ => return Err(format!("`{path}` has a type rules cannot see")),
        })
    }

    fn items(&self, record: &RecordSchema, path: &str) -> Result<(Leaf, FieldType), NotOurs> {
        let mut builder = Builder { names: self.names, fields: Vec::new() };
        let record = builder.record(record, "", Above::default())?;
        let nested =
            |field: &Field| matches!(field.ty, FieldType::Texts | FieldType::Records(_) | FieldType::Map);
        if builder.fields.iter().any(nested) {
            return Err(format!("`{path}` is a list of records that hold lists"));
        }
        let width = u16::try_from(builder.fields.len()).map_err(|_| "too many fields")?;
        Ok((Leaf::Records { record, width }, FieldType::Records(builder.fields)))
    }
}

/// Takes the null off a union of null and one other, in this order.
fn strip_null<'s>(schema: &'s Schema, names: &Names<'s>, path: &str) -> Result<(&'s Schema, bool), NotOurs> {
    let (schema, nullable) = match schema {
        Schema::Union(union) => match union.variants() {
            [Schema::Null, other] => (other, true),
            _ if path == "data" => (schema, false),
            _ => return Err(format!("`{path}` is a union other than of null and one type")),
        },
        other => (other, false),
    };
    let schema = resolve(schema, names).ok_or_else(|| format!("`{path}` has an unknown type"))?;
    Ok((schema, nullable))
}

fn symbol_leaf(symbols: &EnumSchema) -> Leaf {
    let default = symbols.default.as_ref().and_then(|name| index_of(&symbols.symbols, name));
    Leaf::Symbol { names: symbols.symbols.clone(), default }
}

/// Where a name stands in a list of symbols.
pub(crate) fn index_of(names: &[String], name: &str) -> Option<u16> {
    names.iter().position(|known| known == name).and_then(|index| u16::try_from(index).ok())
}

fn relation(field: &RecordField) -> Result<Option<Relation>, NotOurs> {
    let Some(word) = field.custom_attributes.get("bugle.relation") else { return Ok(None) };
    serde_json::from_value(word.clone())
        .map(Some)
        .map_err(|_| format!("`{}`: {word} is not a relation", field.name))
}

fn default_of(default: &Json, leaf: &Leaf, path: &str) -> Result<(FieldDefault, Slot), NotOurs> {
    let whole = default.as_i64();
    Ok(match (default, leaf) {
        (Json::Null, _) => (FieldDefault::Null, Slot::Absent),
        (Json::Bool(truth), Leaf::Bool) => (FieldDefault::Bool(*truth), Slot::Bool(*truth)),
        (Json::Number(_), Leaf::Int | Leaf::Long | Leaf::Date) if whole.is_some() => {
            let whole = whole.unwrap_or_default();
            (FieldDefault::Int(whole), Slot::Int(whole))
        }
        (Json::Number(_), Leaf::Time) if whole.is_some() => {
            let whole = whole.unwrap_or_default();
            (FieldDefault::Time(Timestamp::from_millis(whole)), Slot::Int(whole))
        }
        (Json::Number(number), Leaf::Double) => {
            let number = number.as_f64().unwrap_or_default();
            (FieldDefault::Double(number), Slot::Double(number))
        }
        (Json::String(name), Leaf::Symbol { names, .. }) => {
            let index =
                index_of(names, name).ok_or_else(|| format!("`{path}`: `{name}` is not a symbol of it"))?;
            (FieldDefault::Symbol(index), Slot::Symbol(index))
        }
        (Json::Array(items), Leaf::Texts | Leaf::Records { .. }) if items.is_empty() => {
            (FieldDefault::Empty, Slot::List(0, 0))
        }
        (Json::Object(items), Leaf::Map) if items.is_empty() => (FieldDefault::Empty, Slot::List(0, 0)),
        _ => return Err(format!("`{path}` has a default no slot can hold")),
    })
}
