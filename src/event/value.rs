//! Value: one field of a change, as rules, messages and notices see it.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A value taken from a change. Times stay times, so that a message can show them in a reader's zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// The field is absent.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Double(f64),
    /// A text.
    Text(String),
    /// A point in time.
    Time(Timestamp),
    /// A calendar day, as days since 1970-01-01.
    Date(i32),
    /// Several values.
    List(Vec<Value>),
    /// Named values: an item of a list of records, or a map.
    Named(Vec<(String, Value)>),
}
