//! Value: one field of a change, as rules, messages and notices see it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A value taken from a change. Times stay times, so that a message can show them in a reader's zone;
/// texts stay where they lie.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Value<'a> {
    /// The field is absent.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Double(f64),
    /// A text.
    #[serde(borrow)]
    Text(Cow<'a, str>),
    /// A point in time.
    Time(Timestamp),
    /// A calendar day, as days since 1970-01-01.
    Date(i32),
    /// Several values.
    #[serde(borrow)]
    List(Vec<Value<'a>>),
    /// Named values: an item of a list of records, or a map.
    #[serde(borrow)]
    Named(Vec<(Cow<'a, str>, Value<'a>)>),
}

// === impl Value ===

impl Value<'_> {
    /// What it is, and not what it says.
    #[must_use]
    pub const fn found(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a truth value",
            Self::Int(_) | Self::Double(_) => "a number",
            Self::Text(_) => "a text",
            Self::Time(_) => "a time",
            Self::Date(_) => "a day",
            Self::List(_) => "a list",
            Self::Named(_) => "an object",
        }
    }
}
