//! Skip: stepping over what a writer says and nobody asked for, and the limits on a writer's schema.
//!
//! What is skipped is checked as far as stepping over it needs; its texts are not looked at.

use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, RecordSchema, Schema, UuidSchema};

use super::fault::{Code, Fault};
use super::reader::{Names, resolve};
use super::wire::Cursor;

/// The deepest nesting of a writer's schema.
const MOST_DEPTH: usize = 32;
/// The most steps a schema may unfold into.
const MOST_STEPS: usize = 20_000;

/// How to step over one value.
#[derive(Debug)]
pub(super) enum Skip {
    Nothing,
    Bool,
    Int,
    Long,
    Bytes,
    Fixed(usize),
    /// An index below this.
    Symbol(usize),
    Union(Vec<Skip>),
    Sequence(Vec<Skip>),
    /// A list; the fewest bytes of an item.
    List(Box<Skip>, usize),
    /// A map; the fewest bytes of a name and a value.
    Map(Box<Skip>, usize),
}

/// How far a schema may still unfold.
pub(super) struct Limits<'n, 'w> {
    pub(super) names: &'n Names<'w>,
    depth: usize,
    steps: usize,
}

// === impl Limits ===

impl<'n, 'w> Limits<'n, 'w> {
    /// # Errors
    /// [`Code::RecursiveSchema`] when a type of `schema` holds itself; [`Code::OversizedSchema`].
    pub(super) fn new(schema: &'w Schema, names: &'n Names<'w>) -> Result<Self, Fault> {
        let mut trail = Trail { names, open: Vec::new(), done: Vec::new() };
        trail.follow(schema)?;
        Ok(Self { names, depth: 0, steps: 0 })
    }

    pub(super) fn step(&mut self) -> Result<(), Fault> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Err(Fault::new(
                Code::OversizedSchema,
                format!("it unfolds into more than {MOST_STEPS} steps"),
            ));
        }
        Ok(())
    }

    /// Goes one level down; the depth to go [`Limits::back`] to.
    pub(super) fn enter(&mut self) -> Result<usize, Fault> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(too_deep());
        }
        Ok(self.depth - 1)
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn back(&mut self, depth: usize) {
        self.depth = depth;
    }

    pub(super) fn resolve(&self, schema: &'w Schema) -> Result<&'w Schema, Fault> {
        resolve(schema, self.names)
            .ok_or_else(|| Fault::new(Code::IncompatibleSchema, "it names a type it does not have"))
    }
}

fn too_deep() -> Fault {
    Fault::new(Code::OversizedSchema, format!("it nests more than {MOST_DEPTH} levels deep"))
}

/// A walk over the named types, each followed once.
struct Trail<'n, 'w> {
    names: &'n Names<'w>,
    open: Vec<String>,
    done: Vec<String>,
}

// === impl Trail ===

impl<'w> Trail<'_, 'w> {
    fn follow(&mut self, schema: &'w Schema) -> Result<(), Fault> {
        match schema {
            Schema::Array(array) => self.follow(&array.items),
            Schema::Map(map) => self.follow(&map.types),
            Schema::Union(union) => union.variants().iter().try_for_each(|variant| self.follow(variant)),
            Schema::Record(record) => self.record(record),
            Schema::Ref { name } => match self.names.get(&name.fullname(None)) {
                Some(Schema::Record(record)) => self.record(record),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn record(&mut self, record: &'w RecordSchema) -> Result<(), Fault> {
        let name = record.name.fullname(None);
        if self.open.contains(&name) {
            return Err(Fault::new(Code::RecursiveSchema, format!("`{name}` holds itself")));
        }
        if self.done.contains(&name) {
            return Ok(());
        }
        if self.open.len() >= MOST_DEPTH {
            return Err(too_deep());
        }
        self.open.push(name);
        record.fields.iter().try_for_each(|field| self.follow(&field.schema))?;
        self.done.extend(self.open.pop());
        Ok(())
    }
}

/// How to step over a value of `schema`.
pub(super) fn compile<'w>(schema: &'w Schema, limits: &mut Limits<'_, 'w>) -> Result<Skip, Fault> {
    limits.step()?;
    let depth = limits.enter()?;
    let skip = match limits.resolve(schema)? {
        Schema::Null => Skip::Nothing,
        Schema::Boolean => Skip::Bool,
        Schema::Int | Schema::Date | Schema::TimeMillis => Skip::Int,
        Schema::Float => Skip::Fixed(4),
        Schema::Double => Skip::Fixed(8),
        Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => {
            Skip::Fixed(fixed.size)
        }
        Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => {
            Skip::Fixed(fixed.size)
        }
        Schema::Bytes | Schema::String | Schema::Decimal(_) | Schema::BigDecimal | Schema::Uuid(_) => {
            Skip::Bytes
        }
        Schema::Enum(symbols) => Skip::Symbol(symbols.symbols.len()),
        Schema::Array(array) => {
            Skip::List(Box::new(compile(&array.items, limits)?), least(&array.items, limits)?)
        }
        Schema::Map(map) => Skip::Map(Box::new(compile(&map.types, limits)?), 1 + least(&map.types, limits)?),
        Schema::Union(union) => {
            let variants = union.variants().iter().map(|variant| compile(variant, limits));
            Skip::Union(variants.collect::<Result<_, _>>()?)
        }
        Schema::Record(record) => {
            let fields = record.fields.iter().map(|field| compile(&field.schema, limits));
            Skip::Sequence(fields.collect::<Result<_, _>>()?)
        }
        _ => Skip::Long,
    };
    limits.back(depth);
    Ok(skip)
}

/// The fewest bytes a value of `schema` takes.
pub(super) fn least<'w>(schema: &'w Schema, limits: &mut Limits<'_, 'w>) -> Result<usize, Fault> {
    limits.step()?;
    let depth = limits.enter()?;
    let least = match limits.resolve(schema)? {
        Schema::Null => 0,
        Schema::Float => 4,
        Schema::Double => 8,
        Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => fixed.size,
        Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => fixed.size,
        Schema::Union(union) => {
            let mut fewest = usize::MAX - 1;
            for variant in union.variants() {
                fewest = fewest.min(least(variant, limits)?);
            }
            fewest + 1
        }
        Schema::Record(record) => {
            let mut sum = 0usize;
            for field in &record.fields {
                sum = sum.saturating_add(least(&field.schema, limits)?);
            }
            sum
        }
        _ => 1,
    };
    limits.back(depth);
    Ok(least)
}

// === impl Skip ===

impl Skip {
    pub(super) fn run(&self, cursor: &mut Cursor<'_>) -> Result<(), Code> {
        match self {
            Self::Nothing => {}
            Self::Bool => drop(cursor.bool()?),
            Self::Int => drop(cursor.int()?),
            Self::Long => drop(cursor.long()?),
            Self::Bytes => drop(cursor.bytes()?),
            Self::Fixed(size) => drop(cursor.take(*size)?),
            Self::Symbol(count) => drop(cursor.index(*count, Code::BadEnum)?),
            Self::Union(variants) => {
                let index = cursor.index(variants.len(), Code::BadUnion)?;
                variants[index].run(cursor)?;
            }
            Self::Sequence(fields) => {
                for field in fields {
                    field.run(cursor)?;
                }
            }
            Self::List(item, least) => cursor.blocks(*least, |cursor| item.run(cursor))?,
            Self::Map(value, least) => cursor.blocks(*least, |cursor| {
                cursor.bytes()?;
                value.run(cursor)
            })?,
        }
        Ok(())
    }
}
