//! Avro of others: how a value of a foreign schema is walked for what is wanted, decided once for each id.
//!
//! What is not wanted is stepped over as a plan of ours does; a schema that refers to itself or unfolds
//! without end is refused before any value of it is looked at.

use std::borrow::Cow;
use std::sync::Arc;

use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, Schema, UuidSchema};

use super::Found;
use super::paths::{Paths, There};
use crate::codec::fault::{Code, Fault};
use crate::codec::reader::{Names, collect};
use crate::codec::skip::{self, Limits, Skip};
use crate::codec::wire::Cursor;
use crate::event::{Timestamp, Value};

/// What is known of a schema id.
#[derive(Debug, Clone)]
pub(super) enum Known {
    /// It is one of ours.
    Ours,
    /// Values are walked like this.
    Walk(Arc<Walk>),
    /// Nothing of it can be read.
    Refused(Fault),
}

/// How one value is walked.
#[derive(Debug)]
pub(super) enum Walk {
    Skip(Skip),
    Scalar(Scalar),
    Record(Vec<Walk>),
    Union(Vec<Walk>),
    /// A list: whether its items are kept, and the fewest bytes of one.
    List {
        item: Box<Walk>,
        keep: bool,
        least: usize,
    },
    /// A map: members something is wanted of, and how to step over the others.
    Map {
        names: Vec<(String, Walk)>,
        other: Skip,
        least: usize,
    },
    /// What stands where a list with these values should, or an item with them.
    Misfit {
        numbers: Vec<usize>,
        of: Box<Walk>,
    },
    /// A wanted value: its number, and whether whoever asked wants it, too.
    Wanted {
        number: usize,
        keep: bool,
        of: Box<Walk>,
    },
}

/// How one scalar is written.
#[derive(Debug)]
pub(super) enum Scalar {
    Null,
    Bool,
    Long,
    Date,
    /// A time in a unit so many of which make a millisecond.
    Time(i64),
    Float,
    Double,
    Text,
    /// Digits in bytes, of a fixed number or counted, and how many stand behind the point.
    Decimal(Option<usize>, usize),
    Symbol(Vec<String>),
}

/// Decides how values of `schema` are walked.
///
/// # Errors
/// The schema refers to itself, is too large, or has a wanted value no field can hold.
pub(super) fn compile(schema: &Schema, paths: &Paths) -> Result<Walk, Fault> {
    let mut names = Names::new();
    collect(schema, &mut names);
    let mut compiler = Compiler { limits: Limits::new(schema, &names)?, paths };
    compiler.walk(schema, (Some(Paths::ROOT), false), "")
}

/// Finds what is wanted in the body that starts at `from`.
pub(super) fn run<'p>(
    walk: &Walk,
    (paths, payload, from): (&Paths, &'p [u8], usize),
    found: &mut Found<'p>,
) -> Result<(), Fault> {
    let mut cursor = Cursor::new(payload, from);
    let mut run = Run { paths, found };
    run.walk(walk, &mut cursor).map_err(|code| Fault::new(code, "in a value of a foreign schema"))?;
    match cursor.left() {
        0 => Ok(()),
        left => Err(Fault::new(Code::TrailingBytes, format!("{left} bytes after the last field"))),
    }
}

struct Compiler<'n, 'w> {
    limits: Limits<'n, 'w>,
    paths: &'n Paths,
}

// === impl Compiler ===

impl<'w> Compiler<'_, 'w> {
    /// `node` is what is wanted of the value, `keep` whether the value itself is.
    fn walk(
        &mut self,
        schema: &'w Schema,
        (node, keep): (Option<usize>, bool),
        path: &str,
    ) -> Result<Walk, Fault> {
        if node.is_none() && !keep {
            return Ok(Walk::Skip(skip::compile(schema, &mut self.limits)?));
        }
        self.limits.step()?;
        let depth = self.limits.enter()?;
        let number = node.and_then(|node| self.paths.node(node).value);
        let wanted = keep || number.is_some();
        let of = match self.limits.resolve(schema)? {
            Schema::Union(union) => {
                // The number is asked for once, around the union.
                let mut variants = Vec::with_capacity(union.variants().len());
                for variant in union.variants() {
                    variants.push(self.inner(variant, (node, wanted), path)?);
                }
                Walk::Union(variants)
            }
            other => self.inner(other, (node, wanted), path)?,
        };
        self.limits.back(depth);
        Ok(match number {
            Some(number) => Walk::Wanted { number, keep, of: Box::new(of) },
            None => of,
        })
    }

    /// What lies inside a value, its own number aside, with what cannot be found in it.
    fn inner(
        &mut self,
        schema: &'w Schema,
        (node, wanted): (Option<usize>, bool),
        path: &str,
    ) -> Result<Walk, Fault> {
        let there = match self.limits.resolve(schema)? {
            Schema::Null | Schema::Union(_) => None,
            Schema::Array(_) => Some(There::List),
            Schema::Map(_) | Schema::Record(_) => Some(There::Members),
            _ => Some(There::Scalar),
        };
        let numbers =
            node.zip(there).map(|(node, there)| self.paths.misfits(node, there)).unwrap_or_default();
        let of = self.parts(schema, (node, wanted), path)?;
        Ok(if numbers.is_empty() { of } else { Walk::Misfit { numbers, of: Box::new(of) } })
    }

    fn parts(
        &mut self,
        schema: &'w Schema,
        (node, wanted): (Option<usize>, bool),
        path: &str,
    ) -> Result<Walk, Fault> {
        let paths = self.paths;
        let place = node.map(|node| paths.node(node));
        match self.limits.resolve(schema)? {
            Schema::Array(array) => match place.and_then(|place| place.each) {
                None if !wanted => Ok(Walk::Skip(skip::compile(schema, &mut self.limits)?)),
                each => {
                    let item = Box::new(self.walk(&array.items, (each, wanted), path)?);
                    let least = skip::least(&array.items, &mut self.limits)?;
                    Ok(Walk::List { item, keep: wanted, least })
                }
            },
            Schema::Map(map) => {
                let names = place.map(|place| place.names.as_slice()).unwrap_or_default();
                let mut walks = Vec::with_capacity(names.len());
                for (name, child) in names {
                    let walk = self.walk(&map.types, (Some(*child), false), &format!("{path}.{name}"))?;
                    walks.push((name.clone(), walk));
                }
                let other = skip::compile(&map.types, &mut self.limits)?;
                let least = 1 + skip::least(&map.types, &mut self.limits)?;
                Ok(Walk::Map { names: walks, other, least })
            }
            Schema::Record(record) => {
                let mut fields = Vec::with_capacity(record.fields.len());
                for field in &record.fields {
                    let child = place.and_then(|place| place.named(&field.name)).map(|(_, child)| child);
                    fields.push(self.walk(
                        &field.schema,
                        (child, false),
                        &format!("{path}.{}", field.name),
                    )?);
                }
                Ok(Walk::Record(fields))
            }
            _ if !wanted => Ok(Walk::Skip(skip::compile(schema, &mut self.limits)?)),
            scalar => self::scalar(scalar).map(Walk::Scalar).ok_or_else(|| {
                let path = path.trim_start_matches('.');
                Fault::at(Code::IncompatibleSchema, path).because("no field can hold a value of its type")
            }),
        }
    }
}

fn scalar(schema: &Schema) -> Option<Scalar> {
    use Schema as W;
    Some(match schema {
        W::Null => Scalar::Null,
        W::Boolean => Scalar::Bool,
        W::Int | W::Long | W::TimeMillis | W::TimeMicros => Scalar::Long,
        W::Date => Scalar::Date,
        W::TimestampMillis | W::LocalTimestampMillis => Scalar::Time(1),
        W::TimestampMicros | W::LocalTimestampMicros => Scalar::Time(1_000),
        W::TimestampNanos | W::LocalTimestampNanos => Scalar::Time(1_000_000),
        W::Float => Scalar::Float,
        W::Double => Scalar::Double,
        W::String | W::Bytes | W::Uuid(UuidSchema::String) => Scalar::Text,
        W::Decimal(DecimalSchema { inner, scale, .. }) => match inner {
            InnerDecimalSchema::Fixed(fixed) => Scalar::Decimal(Some(fixed.size), *scale),
            _ => Scalar::Decimal(None, *scale),
        },
        W::Enum(symbols) => Scalar::Symbol(symbols.symbols.clone()),
        _ => return None,
    })
}

struct Run<'r, 'p> {
    paths: &'r Paths,
    found: &'r mut Found<'p>,
}

// === impl Run ===

impl<'p> Run<'_, 'p> {
    fn walk(&mut self, walk: &Walk, cursor: &mut Cursor<'p>) -> Result<Value<'p>, Code> {
        match walk {
            Walk::Skip(skip) => {
                skip.run(cursor)?;
                Ok(Value::Null)
            }
            Walk::Scalar(scalar) => read(scalar, cursor),
            Walk::Record(fields) => {
                for field in fields {
                    self.walk(field, cursor)?;
                }
                Ok(Value::Named(Vec::new()))
            }
            Walk::Union(variants) => {
                let index = cursor.index(variants.len(), Code::BadUnion)?;
                self.walk(&variants[index], cursor)
            }
            Walk::List { item, keep, least } => {
                let mut list = Vec::new();
                cursor.blocks(*least, |cursor| {
                    let value = self.walk(item, cursor)?;
                    if *keep {
                        list.push(value);
                    }
                    Ok(())
                })?;
                Ok(Value::List(list))
            }
            Walk::Map { names, other, least } => {
                cursor.blocks(*least, |cursor| {
                    let name = cursor.text()?;
                    match names.iter().find(|(known, _)| known == name) {
                        Some((_, walk)) => self.walk(walk, cursor).map(drop),
                        None => other.run(cursor),
                    }
                })?;
                Ok(Value::Named(Vec::new()))
            }
            Walk::Misfit { numbers, of } => {
                self.found.misfits.extend(numbers);
                self.walk(of, cursor)
            }
            Walk::Wanted { number, keep, of } => {
                let value = self.walk(of, cursor)?;
                let kept = if *keep { value.clone() } else { Value::Null };
                self.found.put(*number, value, self.paths.is_many(*number));
                Ok(kept)
            }
        }
    }
}

fn read<'p>(scalar: &Scalar, cursor: &mut Cursor<'p>) -> Result<Value<'p>, Code> {
    Ok(match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool => Value::Bool(cursor.bool()?),
        Scalar::Long => Value::Int(cursor.long()?),
        Scalar::Date => Value::Date(i32::try_from(cursor.int()?).map_err(|_| Code::BadTime)?),
        Scalar::Time(unit) => Value::Time(Timestamp::from_millis(cursor.long()?.div_euclid(*unit))),
        Scalar::Float => Value::Double(cursor.float()?),
        Scalar::Double => Value::Double(cursor.double()?),
        Scalar::Text => Value::Text(Cow::Borrowed(cursor.text()?)),
        Scalar::Decimal(Some(size), scale) => decimal(cursor.take(*size)?, *scale)?,
        Scalar::Decimal(None, scale) => decimal(cursor.bytes()?, *scale)?,
        Scalar::Symbol(symbols) => {
            let index = cursor.index(symbols.len(), Code::BadEnum)?;
            Value::Text(Cow::Owned(symbols[index].clone()))
        }
    })
}

/// A number in two's complement: whole where nothing stands behind the point, else its digits, all of them.
fn decimal(bytes: &[u8], scale: usize) -> Result<Value<'static>, Code> {
    if bytes.is_empty() || bytes.len() > 16 || scale > 38 {
        return Err(Code::BadNumber);
    }
    let start: i128 = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
    let whole = bytes.iter().fold(start, |number, byte| (number << 8) | i128::from(*byte));
    if scale == 0 {
        return Ok(
            i64::try_from(whole).map_or_else(|_| Value::Text(Cow::Owned(whole.to_string())), Value::Int)
        );
    }
    let digits = format!("{:0width$}", whole.unsigned_abs(), width = scale + 1);
    let (before, behind) = digits.split_at(digits.len() - scale);
    let sign = if whole < 0 { "-" } else { "" };
    Ok(Value::Text(Cow::Owned(format!("{sign}{before}.{behind}"))))
}
