//! Tests: random events, written by apache-avro under random versions of our schemas, read by our plan.
//!
//! A version differs as schemas do over the years: fields in another order, fields added, fields with a
//! default removed, values become nullable, whole numbers narrower, symbols in another order.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use apache_avro::Schema;
use apache_avro::schema::RecordSchema;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use fastrand::Rng;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::wire::put_framing;
use super::{Codec, Name, Schemas};
use crate::event::frame::Format;
use crate::event::shape::FieldDefault;
use crate::event::{Change, Field, FieldType, Source, Timestamp, Value};

static SCHEMAS: LazyLock<Arc<Schemas>> = LazyLock::new(|| Arc::new(Schemas::built_in()));

const WRITER: u32 = 77;

/// Marks a field that a version made nullable and that still always has a value.
const ALWAYS: &str = "always";

/// What the writer said, by the path rules use. A field it does not know is not in it.
type Said = BTreeMap<String, Value<'static>>;

fn evolve(schema: &mut Json, rng: &mut Rng) {
    match schema {
        Json::Array(variants) => variants.iter_mut().for_each(|variant| evolve(variant, rng)),
        Json::Object(object) if object["type"] == "record" => {
            let Some(Json::Array(fields)) = object.get_mut("fields") else { return };
            fields.retain(|field| field.get("default").is_none() || rng.u8(..8) != 0);
            for field in fields.iter_mut() {
                evolve_field(field, rng);
            }
            for n in 0..rng.usize(..3) {
                fields.push(json!({"name": format!("added_{n}"), "type": added(rng)}));
            }
            rng.shuffle(fields);
        }
        Json::Object(object) if object["type"] == "array" => evolve(&mut object["items"], rng),
        Json::Object(object) if object["type"] == "enum" => {
            object.remove("default");
            if let Some(Json::Array(symbols)) = object.get_mut("symbols") {
                rng.shuffle(symbols);
            }
        }
        _ => {}
    }
}

fn evolve_field(field: &mut Json, rng: &mut Rng) {
    let ty = &mut field["type"];
    evolve(ty, rng);
    if *ty == "long" && rng.bool() {
        *ty = json!("int");
    } else if *ty == "double" {
        *ty = json!(*rng.choice(["double", "float", "int", "long"].iter()).unwrap());
    } else if *ty == "string" && rng.u8(..4) == 0 {
        *ty = json!(*rng.choice(["bytes", "string"].iter()).unwrap());
    }
    let scalar = |ty: &Json| ty.is_string() || ty.get("logicalType").is_some();
    match ty {
        Json::Array(variants) if variants.len() == 2 && variants[0] == "null" && rng.u8(..4) == 0 => {
            variants.swap(0, 1);
        }
        ty if scalar(ty) && rng.u8(..4) == 0 => {
            *ty = json!([ty.clone(), "null"]);
            field[ALWAYS] = json!(true);
        }
        _ => {}
    }
    field.as_object_mut().unwrap().remove("default");
}

/// A type nobody of ours asks for.
fn added(rng: &mut Rng) -> Json {
    let map = json!({"type": "map", "values": ["null", "double", {"type": "array", "items": "bytes"}]});
    let pool = [
        json!("string"),
        json!("boolean"),
        json!(["int", "null", "float"]),
        map,
        json!({"type": "array", "items": "null"}),
    ];
    rng.choice(pool.iter()).cloned().unwrap()
}

/// Makes values and notes what they say.
struct Making<'r> {
    rng: &'r mut Rng,
    kind: String,
    source: Source,
    said: Said,
}

// === impl Making ===

impl Making<'_> {
    fn record(&mut self, record: &RecordSchema, prefix: &str) -> Avro {
        let fields = record.fields.iter().map(|field| {
            let path =
                if prefix.is_empty() { field.name.clone() } else { format!("{prefix}.{}", field.name) };
            let value = match (path.as_str(), &field.schema) {
                ("data", Schema::Union(union)) => {
                    let holds = |variant: &Schema| {
                        let Schema::Record(record) = variant else { return false };
                        record.attributes["bugle.kinds"].as_array().unwrap().contains(&json!(self.kind))
                    };
                    let index = union.variants().iter().position(holds).unwrap();
                    let Schema::Record(record) = &union.variants()[index] else {
                        unreachable!("holds() saw to it")
                    };
                    Avro::Union(u32::try_from(index).unwrap(), Box::new(self.record(record, "")))
                }
                (_, schema) => self.value(schema, &path, field.custom_attributes.contains_key(ALWAYS)),
            };
            (field.name.clone(), value)
        });
        Avro::Record(fields.collect())
    }

    fn value(&mut self, schema: &Schema, path: &str, always: bool) -> Avro {
        match schema {
            Schema::Union(union) => {
                let mut variants = union.variants().iter();
                let index = match variants.position(|variant| matches!(variant, Schema::Null)) {
                    Some(null) if !always && self.rng.bool() => null,
                    Some(null) => usize::from(null == 0),
                    None => 0,
                };
                let value = self.value(&union.variants()[index], path, always);
                Avro::Union(u32::try_from(index).unwrap(), Box::new(value))
            }
            Schema::Record(record) => self.record(record, path),
            schema => {
                let (avro, said) = self.leaf(schema, path);
                self.said.insert(path.to_owned(), said);
                avro
            }
        }
    }

    fn text(&mut self, path: &str) -> String {
        match path {
            "kind" => self.kind.clone(),
            "source" => self.source.to_string(),
            _ => {
                let length = self.rng.usize(1..12);
                (0..length)
                    .map(|_| *self.rng.choice(['a', 'Z', '7', 'ß', '語', '🙂', ' '].iter()).unwrap())
                    .collect()
            }
        }
    }

    fn leaf(&mut self, schema: &Schema, path: &str) -> (Avro, Value<'static>) {
        match schema {
            Schema::Null => (Avro::Null, Value::Null),
            Schema::Boolean => {
                let truth = self.rng.bool();
                (Avro::Boolean(truth), Value::Bool(truth))
            }
            Schema::Int => {
                let number = self.rng.i32(..);
                (Avro::Int(number), Value::Int(number.into()))
            }
            Schema::Long => {
                let number = self.rng.i64(..) >> self.rng.u8(..60);
                (Avro::Long(number), Value::Int(number))
            }
            Schema::Float => {
                let number = f32::from(self.rng.i16(..)) / 4.0;
                (Avro::Float(number), Value::Double(number.into()))
            }
            Schema::Double => {
                let number = f64::from(self.rng.i32(..)) / 64.0;
                (Avro::Double(number), Value::Double(number))
            }
            Schema::TimestampMillis => {
                let at = self.rng.i64(0..253_402_300_799_999);
                (Avro::TimestampMillis(at), Value::Time(Timestamp::from_millis(at)))
            }
            Schema::Date => {
                let days = self.rng.i32(0..2_932_896);
                (Avro::Date(days), Value::Date(days))
            }
            Schema::String => {
                let text = self.text(path);
                (Avro::String(text.clone()), Value::Text(text.into()))
            }
            Schema::Bytes => {
                let text = self.text(path);
                (Avro::Bytes(text.clone().into_bytes()), Value::Text(text.into()))
            }
            Schema::Enum(symbols) => {
                let index = self.rng.usize(..symbols.symbols.len());
                let name = symbols.symbols[index].clone();
                (Avro::Enum(u32::try_from(index).unwrap(), name.clone()), Value::Text(name.into()))
            }
            Schema::Map(map) => {
                let names = (0..self.rng.usize(..4)).map(|n| format!("name-{n}")).collect::<Vec<_>>();
                let values = names.into_iter().map(|name| (name, self.nested(&map.types)));
                let values: BTreeMap<_, _> = values.collect();
                let said =
                    values.iter().map(|(name, (_, said))| (name.clone().into(), said.clone())).collect();
                let avro = values.into_iter().map(|(name, (avro, _))| (name, avro)).collect();
                (Avro::Map(avro), Value::Named(said))
            }
            Schema::Array(array) => {
                let items = (0..self.rng.usize(..5)).map(|_| self.nested(&array.items));
                let (avro, said) = items.unzip();
                (Avro::Array(avro), Value::List(said))
            }
            other => panic!("no event has {other:?}"),
        }
    }

    /// An item of a list, apart from what the event says itself.
    fn nested(&mut self, schema: &Schema) -> (Avro, Value<'static>) {
        let outer = std::mem::take(&mut self.said);
        let avro = match schema {
            Schema::Union(_) => self.value(schema, "item", false),
            Schema::Record(record) => self.record(record, ""),
            schema => self.value(schema, "item", false),
        };
        let said = std::mem::replace(&mut self.said, outer);
        let value = match schema {
            Schema::Record(_) => {
                Value::Named(said.into_iter().map(|(name, said)| (name.into(), said)).collect())
            }
            _ => said.into_values().next().unwrap_or(Value::Null),
        };
        (avro, value)
    }
}

/// What a reader of ours must see where the writer said `said`.
fn expected(field: &Field, said: &Said) -> Value<'static> {
    if let Some(value) = said.get(&field.path) {
        return as_ours(&field.ty, value.clone());
    }
    let above = field.path.rsplit_once('.').map(|(above, _)| format!("{above}."));
    // Defaults fill a record that is there; a record that is null has no fields.
    let present =
        above.is_none_or(|above| !field.optional || said.keys().any(|path| path.starts_with(&above)));
    match &field.default {
        Some(FieldDefault::Bool(truth)) if present => Value::Bool(*truth),
        Some(FieldDefault::Int(number)) if present => Value::Int(*number),
        Some(FieldDefault::Symbol(_)) if present => Value::Text("info".into()),
        Some(FieldDefault::Empty) if present && field.ty == FieldType::Map => Value::Named(Vec::new()),
        Some(FieldDefault::Empty) if present => Value::List(Vec::new()),
        _ => Value::Null,
    }
}

fn as_ours(ty: &FieldType, value: Value<'static>) -> Value<'static> {
    match (ty, value) {
        #[allow(clippy::cast_precision_loss, reason = "as Avro promotes")]
        (FieldType::Double, Value::Int(number)) => Value::Double(number as f64),
        (FieldType::Records(fields), Value::List(items)) => {
            let item = |item: Value<'static>| {
                let Value::Named(named) = item else { panic!("a list of records holds records") };
                let said: Said = named.into_iter().map(|(name, said)| (name.into_owned(), said)).collect();
                Value::Named(
                    fields.iter().map(|field| (field.path.clone().into(), expected(field, &said))).collect(),
                )
            };
            Value::List(items.into_iter().map(item).collect())
        }
        (_, value) => value,
    }
}

fn sorted(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Named(mut named) => {
            named.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Named(named)
        }
        other => other,
    }
}

fn same(change: &Change<'_>, said: &Said) -> Result<(), TestCaseError> {
    for (field, slot) in change.shape().fields.iter().zip(0u16..) {
        prop_assert_eq!(sorted(change.value(slot)), sorted(expected(field, said)), "{}", &field.path);
    }
    Ok(())
}

fn check(source: Source, seed: u64, evolved: bool) -> Result<(), TestCaseError> {
    let mut rng = Rng::with_seed(seed);
    let schemas = Arc::clone(&SCHEMAS);
    let mut text: Json = serde_json::from_str(schemas.text(Name::Events(source))).unwrap();
    if evolved {
        evolve(&mut text, &mut rng);
    }
    let writer = Schema::parse_str(&text.to_string()).unwrap();
    let kinds: Vec<_> = schemas.kinds(source).collect();
    let kind = (*rng.choice(kinds.iter()).unwrap()).to_owned();
    let Schema::Record(root) = &writer else { panic!("not a record") };
    let mut making = Making { rng: &mut rng, kind, source, said: Said::new() };
    let value = making.record(root, "");
    let said = making.said;
    let blocks = rng.bool().then_some(24);
    let written = GenericDatumWriter::builder(&writer).maybe_target_block_size(blocks).build().unwrap();
    let mut bytes = Vec::new();
    put_framing(&mut bytes, WRITER);
    bytes.extend(written.write_value_to_vec(value).unwrap());

    let codec = Codec::new(schemas, None);
    codec.learn(WRITER, &text.to_string()).unwrap();
    let change = codec.decode(source, Format::Avro, &[], &bytes).unwrap();
    same(&change, &said)?;
    for end in 0..bytes.len() {
        prop_assert!(codec.decode(source, Format::Avro, &[], &bytes[..end]).is_err(), "cut at {}", end);
    }
    bytes.push(0);
    prop_assert!(codec.decode(source, Format::Avro, &[], &bytes).is_err(), "a byte too many");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn an_event_is_read_as_another_implementation_wrote_it(source in 0..4usize, seed: u64) {
        check(Source::ALL[source], seed, false)?;
    }

    #[test]
    fn an_event_of_another_version_of_its_schema_is_read_by_the_rules_of_avro(source in 0..4usize, seed: u64) {
        check(Source::ALL[source], seed, true)?;
    }

    #[test]
    fn random_bytes_never_do_worse_than_a_refusal(source in 0..4usize, noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let name = Name::Events(Source::ALL[source]);
        let mut bytes = Vec::new();
        put_framing(&mut bytes, name.local_id());
        bytes.extend(noise);
        let codec = Codec::new(Arc::clone(&SCHEMAS), None);
        prop_assert!(codec.decode(Source::ALL[source], Format::Avro, &[], &bytes).is_err());
    }
}
