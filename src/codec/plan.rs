//! Plan: how bytes written with one schema become the slots of another, decided once.
//!
//! A plan is what Avro's schema resolution comes to for one pair of schemas: fields in the writer's
//! order, each read into the reader's slot or skipped, and the reader's defaults for what the writer
//! does not know. `run` carries it out. Schemas that refer to themselves, nest too deeply or unfold
//! into too many steps are refused here, so that running a plan needs no such guard.

use apache_avro::schema::{EnumSchema, RecordSchema, Schema, UuidSchema};

use super::fault::{Code, Fault};
use super::reader::{Leaf, Member, Names, Node, Reader, Record, collect, index_of};
use super::skip::{self, Limits, Skip};
use crate::event::change::Slot;

/// Steps in the writer's order.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    pub(super) ops: Vec<Op>,
    /// Where each step is in the event, for the fault.
    pub(super) paths: Vec<Box<str>>,
}

/// One step. A slot is counted from the change's first, or from the item's first inside a list.
#[derive(Debug)]
pub(super) enum Op {
    /// A value.
    Read(u16, Scalar),
    /// A union of null and a value; `at` is the value's branch.
    Maybe { at: u8, slot: u16, scalar: Scalar },
    /// A union, by branch.
    Either(Box<[Steps]>),
    /// A list of texts.
    Texts(u16),
    /// A list: its items, the slots of one, and the fewest bytes of one.
    Items { slot: u16, item: Box<Steps>, width: u16, least: usize },
    /// A map of texts.
    Map { slot: u16, value: Box<Steps>, least: usize },
    /// A default.
    Set(u16, Slot),
    /// Which record of `data` follows.
    Branch(u16),
    /// Something nobody asked for.
    Skip(Skip),
    /// A branch that cannot be here.
    Refuse(Code),
}

/// How one value is written, and what it becomes.
#[derive(Debug, Clone)]
pub(super) enum Scalar {
    Bool,
    Int,
    Long,
    Text,
    Double,
    Float,
    /// A whole number into a field of fractions.
    Whole,
    /// A time in a unit so many of which make a millisecond.
    Time(i64),
    Date,
    /// The reader's index by the writer's.
    Symbol(Box<[Option<u16>]>),
}

/// Compiles the plan from the writer's schema to ours.
///
/// # Errors
/// [`Code::IncompatibleSchema`], [`Code::RecursiveSchema`] or [`Code::OversizedSchema`], with the field.
pub(crate) fn compile(writer: &Schema, reader: &Reader) -> Result<Steps, Fault> {
    let mut names = Names::new();
    collect(writer, &mut names);
    let mut compiler = Compiler { limits: Limits::new(writer, &names)?, reader };
    let Schema::Record(record) = writer else {
        return Err(Fault::new(Code::IncompatibleSchema, "it is not a record"));
    };
    let mut steps = Steps::default();
    compiler.record(record, &reader.root, &mut steps)?;
    Ok(steps)
}

struct Compiler<'n, 'w> {
    limits: Limits<'n, 'w>,
    reader: &'n Reader,
}

// === impl Steps ===

impl Steps {
    fn push(&mut self, path: &str, op: Op) {
        self.ops.push(op);
        self.paths.push(path.into());
    }
}

// === impl Compiler ===

impl<'w> Compiler<'_, 'w> {
    fn record(&mut self, writer: &'w RecordSchema, reader: &Record, out: &mut Steps) -> Result<(), Fault> {
        let depth = self.limits.enter()?;
        let mut known = vec![false; reader.members.len()];
        for field in &writer.fields {
            self.limits.step()?;
            let same = |member: &Member| member.name == field.name || member.aliases.contains(&field.name);
            match reader.members.iter().position(same) {
                Some(index) => {
                    known[index] = true;
                    self.member(&field.schema, &reader.members[index], out)?;
                }
                None => {
                    let skip = skip::compile(&field.schema, &mut self.limits)?;
                    out.push(&field.name, Op::Skip(skip));
                }
            }
        }
        for (member, _) in reader.members.iter().zip(known).filter(|(_, known)| !known) {
            self.fill(member, out)?;
        }
        self.limits.back(depth);
        Ok(())
    }

    /// What a field takes that the writer does not know.
    fn fill(&mut self, member: &Member, out: &mut Steps) -> Result<(), Fault> {
        match (&member.node, member.default) {
            (_, Some(Slot::Absent)) => Ok(()),
            (Node::Leaf { slot, .. }, Some(default)) => {
                out.push(&member.path, Op::Set(*slot, default));
                Ok(())
            }
            _ => Err(incompatible(member, "the writer does not have it and it has no default")),
        }
    }

    fn member(&mut self, writer: &'w Schema, member: &Member, out: &mut Steps) -> Result<(), Fault> {
        let writer = self.limits.resolve(writer)?;
        let nullable = match &member.node {
            Node::Leaf { nullable, .. } | Node::Record { nullable, .. } => *nullable,
            Node::Data => false,
        };
        match writer {
            Schema::Union(union) => self.union(union.variants(), member, out),
            Schema::Null if nullable => Ok(()),
            Schema::Null => Err(incompatible(member, "the writer has null where a value must be")),
            other => self.value(other, member, out),
        }
    }

    fn union(&mut self, variants: &'w [Schema], member: &Member, out: &mut Steps) -> Result<(), Fault> {
        let mut branches = Vec::with_capacity(variants.len());
        let mut readable = false;
        let mut last = None;
        let depth = self.limits.depth();
        for variant in variants {
            self.limits.step()?;
            let mut steps = Steps::default();
            match self.member(variant, member, &mut steps) {
                Ok(()) => readable |= !matches!(variant, Schema::Null) || variants.len() == 1,
                Err(fault) if fault.code == Code::IncompatibleSchema => {
                    self.limits.back(depth);
                    steps = Steps::default();
                    steps.push(&member.path, Op::Refuse(Code::BadUnion));
                    last = Some(fault);
                }
                Err(fault) => return Err(fault),
            }
            branches.push(steps);
        }
        if !readable {
            return Err(last.unwrap_or_else(|| incompatible(member, "the writer never has a value for it")));
        }
        let op = nullable_scalar(&mut branches).unwrap_or_else(|| Op::Either(branches.into()));
        out.push(&member.path, op);
        Ok(())
    }

    fn value(&mut self, writer: &'w Schema, member: &Member, out: &mut Steps) -> Result<(), Fault> {
        match (&member.node, writer) {
            (Node::Record { record, .. }, Schema::Record(writer)) => self.record(writer, record, out),
            (Node::Data, Schema::Record(writer)) => self.data(writer, out),
            (Node::Leaf { slot, leaf, .. }, writer) => self.leaf(writer, (*slot, leaf), member, out),
            _ => Err(incompatible(member, "the writer has something else than a record")),
        }
    }

    /// A record of `data`. One that is none of ours is skipped: its kind decides what to say about it.
    fn data(&mut self, writer: &'w RecordSchema, out: &mut Steps) -> Result<(), Fault> {
        let name = writer.name.name();
        let same = |record: &Record| record.name == name || record.aliases.iter().any(|alias| alias == name);
        match self.reader.branches.iter().position(|branch| same(&branch.record)) {
            Some(index) => {
                out.push("data", Op::Branch(u16::try_from(index).unwrap_or(u16::MAX)));
                self.record(writer, &self.reader.branches[index].record, out)
            }
            None => {
                for field in &writer.fields {
                    out.push("data", Op::Skip(skip::compile(&field.schema, &mut self.limits)?));
                }
                Ok(())
            }
        }
    }

    fn leaf(
        &mut self,
        writer: &'w Schema,
        (slot, leaf): (u16, &Leaf),
        member: &Member,
        out: &mut Steps,
    ) -> Result<(), Fault> {
        let op = match (leaf, writer) {
            (Leaf::Texts, Schema::Array(array)) => match self.limits.resolve(&array.items)? {
                Schema::String => Op::Texts(slot),
                items => self.items(items, &item_of(member, Leaf::Text), slot)?,
            },
            (Leaf::Records { record, width }, Schema::Array(array)) => {
                let Schema::Record(items) = self.limits.resolve(&array.items)? else {
                    return Err(incompatible(member, "the writer has a list of something else than records"));
                };
                let mut steps = Steps::default();
                self.record(items, record, &mut steps)?;
                let least = skip::least(&array.items, &mut self.limits)?;
                Op::Items { slot, item: Box::new(steps), width: *width, least }
            }
            (Leaf::Map, Schema::Map(map)) => {
                let mut value = Steps::default();
                self.member(&map.types, &item_of(member, Leaf::Text), &mut value)?;
                Op::Map {
                    slot,
                    value: Box::new(value),
                    least: 1 + skip::least(&map.types, &mut self.limits)?,
                }
            }
            (leaf, writer) => match scalar(leaf, writer) {
                Some(scalar) => Op::Read(slot, scalar),
                None => return Err(incompatible(member, "the writer has a type that cannot become ours")),
            },
        };
        out.push(&member.path, op);
        Ok(())
    }

    fn items(&mut self, items: &'w Schema, item: &Member, slot: u16) -> Result<Op, Fault> {
        let mut steps = Steps::default();
        self.member(items, item, &mut steps)?;
        Ok(Op::Items { slot, item: Box::new(steps), width: 1, least: skip::least(items, &mut self.limits)? })
    }
}

/// One text of a list or map, at the first slot of its item; a map's name comes before it.
fn item_of(member: &Member, leaf: Leaf) -> Member {
    let slot = u16::from(matches!(member.node, Node::Leaf { leaf: Leaf::Map, .. }));
    Member {
        name: String::new(),
        aliases: Vec::new(),
        path: member.path.clone(),
        node: Node::Leaf { slot, leaf, nullable: false },
        default: None,
    }
}

fn incompatible(member: &Member, detail: &str) -> Fault {
    Fault::at(Code::IncompatibleSchema, member.path.as_str()).because(detail)
}

/// The union most fields are: null or one value.
fn nullable_scalar(branches: &mut [Steps]) -> Option<Op> {
    let at = match branches {
        [null, value] if null.ops.is_empty() && matches!(value.ops[..], [Op::Read(..)]) => 1u8,
        [value, null] if null.ops.is_empty() && matches!(value.ops[..], [Op::Read(..)]) => 0,
        _ => return None,
    };
    match branches[usize::from(at)].ops.pop() {
        Some(Op::Read(slot, scalar)) => Some(Op::Maybe { at, slot, scalar }),
        _ => None,
    }
}

/// Avro's promotions, and times in other units, since a date a thousand times too late helps nobody.
fn scalar(reader: &Leaf, writer: &Schema) -> Option<Scalar> {
    use Schema as W;
    Some(match (reader, writer) {
        (Leaf::Bool, W::Boolean) => Scalar::Bool,
        (Leaf::Int, W::Int | W::Date | W::TimeMillis) => Scalar::Int,
        (Leaf::Long, W::Int | W::Date | W::TimeMillis) => Scalar::Int,
        (Leaf::Long, writer) if is_long(writer) => Scalar::Long,
        (Leaf::Double, W::Double) => Scalar::Double,
        (Leaf::Double, W::Float) => Scalar::Float,
        (Leaf::Double, W::Int | W::Long) => Scalar::Whole,
        (Leaf::Text, W::String | W::Bytes | W::Uuid(UuidSchema::String)) => Scalar::Text,
        (Leaf::Time, W::TimestampMillis | W::LocalTimestampMillis | W::Long | W::Int) => Scalar::Time(1),
        (Leaf::Time, W::TimestampMicros | W::LocalTimestampMicros) => Scalar::Time(1_000),
        (Leaf::Time, W::TimestampNanos | W::LocalTimestampNanos) => Scalar::Time(1_000_000),
        (Leaf::Date, W::Date | W::Int) => Scalar::Date,
        (Leaf::Symbol { names, default }, W::Enum(writer)) => symbols(names, *default, writer),
        _ => return None,
    })
}

fn is_long(writer: &Schema) -> bool {
    use Schema as W;
    matches!(
        writer,
        W::Long
            | W::TimeMicros
            | W::TimestampMillis
            | W::TimestampMicros
            | W::TimestampNanos
            | W::LocalTimestampMillis
            | W::LocalTimestampMicros
            | W::LocalTimestampNanos
    )
}

fn symbols(names: &[String], default: Option<u16>, writer: &EnumSchema) -> Scalar {
    Scalar::Symbol(writer.symbols.iter().map(|name| index_of(names, name).or(default)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::run::run;
    use crate::codec::wire::{put_long, put_text};

    fn plan(writer: &str, reader: &str) -> Result<(Steps, usize), Fault> {
        let reader = Reader::of(&Schema::parse_str(reader).unwrap()).unwrap();
        compile(&Schema::parse_str(writer).unwrap(), &reader).map(|steps| (steps, reader.width()))
    }

    fn record(fields: &str) -> String {
        format!(r#"{{"type": "record", "name": "R", "fields": [{fields}]}}"#)
    }

    fn refusal(writer: &str, reader: &str) -> String {
        plan(writer, reader).unwrap_err().to_string()
    }

    const ID: &str = r#"{"name": "id", "type": "string"}"#;

    #[test]
    fn a_field_is_found_under_the_name_it_had() {
        let ours = record(r#"{"name": "id", "aliases": ["key"], "type": "string"}"#);
        let (steps, width) = plan(&record(r#"{"name": "key", "type": "string"}"#), &ours).unwrap();
        let mut bytes = Vec::new();
        put_text(&mut bytes, "x");
        assert_eq!(run(&steps, &bytes, 0, width).unwrap().slots, [Slot::Text(1, 1)]);
    }

    #[test]
    fn a_symbol_nobody_knows_becomes_the_default_or_is_refused() {
        let symbols = |symbols: &str, default: &str| {
            record(&format!(
                r#"{{"name": "s", "type": {{"type": "enum", "name": "S", "symbols": [{symbols}] {default}}}}}"#
            ))
        };
        let writer = symbols(r#""c", "b""#, "");
        for (default, first) in [(r#", "default": "a""#, Ok(Slot::Symbol(0))), ("", Err(Code::BadEnum))] {
            let (steps, width) = plan(&writer, &symbols(r#""a", "b""#, default)).unwrap();
            assert_eq!(
                run(&steps, &[0], 0, width).map(|row| row.slots[0]).map_err(|fault| fault.code),
                first
            );
            assert_eq!(run(&steps, &[2], 0, width).unwrap().slots, [Slot::Symbol(1)]);
        }
    }

    #[test]
    fn a_time_in_other_units_is_the_same_time() {
        let ours = record(r#"{"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}"#);
        for (unit, value) in [("millis", 5_000), ("micros", 5_000_000), ("nanos", 5_000_000_000)] {
            let writer = ours.replace("millis", unit);
            let (steps, width) = plan(&writer, &ours).unwrap();
            let mut bytes = Vec::new();
            put_long(&mut bytes, value);
            assert_eq!(run(&steps, &bytes, 0, width).unwrap().slots, [Slot::Int(5_000)], "{unit}");
        }
    }

    #[test]
    fn a_field_nobody_writes_and_without_a_default_is_refused_by_name() {
        let ours = record(&format!(r#"{ID}, {{"name": "n", "type": "long"}}"#));
        assert_eq!(
            refusal(&record(ID), &ours),
            "incompatible-schema at `n`: the writer does not have it and it has no default"
        );
        assert_eq!(
            refusal(&record(r#"{"name": "id", "type": "long"}"#), &record(ID)),
            "incompatible-schema at `id`: the writer has a type that cannot become ours"
        );
    }

    #[test]
    fn null_where_a_value_must_be_is_refused_when_it_comes() {
        let (steps, width) =
            plan(&record(r#"{"name": "id", "type": ["null", "string"]}"#), &record(ID)).unwrap();
        let fault = run(&steps, &[0], 0, width).unwrap_err();
        assert_eq!(fault.to_string(), "bad-union at `id`");
    }

    #[test]
    fn a_schema_without_a_bottom_is_refused() {
        let node = r#"{"name": "next", "type": ["null", "R"]}"#;
        assert_eq!(
            refusal(&record(&format!("{ID}, {node}")), &record(ID)),
            "recursive-schema: `R` holds itself"
        );
        let through = r#"{"name": "id", "type": ["string", {"type": "array", "items": {"type": "map", "values": "R"}}]}"#;
        assert_eq!(refusal(&record(through), &record(ID)), "recursive-schema: `R` holds itself");
    }

    #[test]
    fn a_schema_nested_too_deeply_or_unfolding_too_far_is_refused() {
        let nested = |depth: usize| {
            let open = r#"{"type": "array", "items": "#.repeat(depth);
            record(&format!(r#"{ID}, {{"name": "x", "type": {open} "null" {}}}"#, "}".repeat(depth)))
        };
        assert!(plan(&nested(20), &record(ID)).is_ok());
        assert_eq!(refusal(&nested(60), &record(ID)), "oversized-schema: it nests more than 32 levels deep");
        // Each record holds the next one twice: 2^20 fields out of 20 definitions.
        let mut ty = r#""string""#.to_owned();
        for n in 0..20 {
            ty = format!(
                r#"{{"type": "record", "name": "T{n}", "fields": [{{"name": "a", "type": {ty}}}, {{"name": "b", "type": "{}"}}]}}"#,
                if n == 0 { "string".to_owned() } else { format!("T{}", n - 1) },
            );
        }
        let bomb = record(&format!(r#"{ID}, {{"name": "x", "type": {ty}}}"#));
        assert_eq!(refusal(&bomb, &record(ID)), "oversized-schema: it unfolds into more than 20000 steps");
    }

    #[test]
    fn items_without_bytes_cannot_be_many() {
        let writer =
            record(&format!(r#"{ID}, {{"name": "x", "type": {{"type": "array", "items": "null"}}}}"#));
        let (steps, width) = plan(&writer, &record(ID)).unwrap();
        let bytes = |count| {
            let mut bytes = vec![0];
            put_long(&mut bytes, count);
            bytes.push(0);
            bytes
        };
        assert!(run(&steps, &bytes(1_000), 0, width).is_ok());
        assert_eq!(
            run(&steps, &bytes(10_000_000), 0, width).unwrap_err().to_string(),
            "too-many-items at `x`"
        );
    }
}
