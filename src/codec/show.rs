//! Show: a change as JSON, for people and for publishing again.

use serde_json::{Map, Value as Json};

use super::json::{DAY_MILLIS, Object};
use super::schemas::{Name, Schemas};
use crate::event::{Change, Timestamp, Value};

/// A change as JSON, the way [`super::json::to_avro`] reads it. What is absent or empty is left out.
#[must_use]
pub fn of_change(schemas: &Schemas, change: &Change<'_>) -> Json {
    let shape = change.shape();
    let above = schemas.reader(Name::Events(shape.source)).map_or(0, |reader| reader.fields.len());
    let mut event = Map::new();
    let mut data = Map::new();
    for (index, (field, slot)) in shape.fields.iter().zip(0u16..).enumerate() {
        if let Some(value) = of_value(change.value(slot)) {
            place(if index < above { &mut event } else { &mut data }, &field.path, value);
        }
    }
    event.insert("data".to_owned(), Json::Object(data));
    Json::Object(event)
}

/// Puts a value where its path says, with the objects it needs around it.
pub(super) fn place(object: &mut Object, path: &str, value: Json) {
    match path.split_once('.') {
        None => drop(object.insert(path.to_owned(), value)),
        Some((name, rest)) => {
            let inner = object.entry(name).or_insert_with(|| Json::Object(Map::new()));
            if let Json::Object(inner) = inner {
                place(inner, rest, value);
            }
        }
    }
}

fn of_value(value: Value<'_>) -> Option<Json> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(truth) => truth.into(),
        Value::Int(number) => number.into(),
        Value::Double(number) => number.into(),
        Value::Text(text) => text.into_owned().into(),
        Value::Time(at) => at.to_string().into(),
        Value::Date(days) => day_text(days).into(),
        Value::List(items) if items.is_empty() => return None,
        Value::List(items) => {
            Json::Array(items.into_iter().map(|item| of_value(item).unwrap_or(Json::Null)).collect())
        }
        Value::Named(named) if named.is_empty() => return None,
        Value::Named(named) => Json::Object(
            named
                .into_iter()
                .filter_map(|(name, value)| Some((name.into_owned(), of_value(value)?)))
                .collect(),
        ),
    })
}

fn day_text(days: i32) -> String {
    let midnight = Timestamp::from_millis(i64::from(days) * DAY_MILLIS).to_string();
    midnight.split('T').next().unwrap_or_default().to_owned()
}
