//! Given: what a field is to hold: an expression, and what is made of its value on the way.

use std::borrow::Cow;

use crate::codec::foreign::Found;
use crate::codec::{Code, Fault};
use crate::event::{FieldType, Timestamp, Value};

use super::super::condition::operator::Sum;
use super::super::fault::{listed, suggest};
use super::super::kinds::type_name;
use super::expression::{Function, Term, Trouble};

/// What a field is to hold.
#[derive(Debug, Clone)]
pub(super) struct Given {
    /// Its value.
    pub(super) term: Term,
    /// What stands for what, when the value is one of a closed list.
    pub(super) table: Vec<(String, Value<'static>)>,
    /// What the payload counts times in.
    pub(super) unit: Option<Unit>,
    /// What it holds where the payload says nothing.
    pub(super) default: Value<'static>,
    /// The expression as written, for the fault.
    pub(super) says: String,
}

/// What a payload counts times in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::topology) enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
    Days,
}

/// The type of a value, as far as it is known before a payload comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Int,
    Double,
    Text,
    Time,
    List,
}

// === impl Unit ===

impl Unit {
    /// As a mapping writes them.
    pub(in crate::topology) const WORDS: [(&'static str, Self); 5] = [
        ("s", Self::Seconds),
        ("ms", Self::Millis),
        ("us", Self::Micros),
        ("ns", Self::Nanos),
        ("days", Self::Days),
    ];

    /// A number of this unit as a time; a text may be such a number, or say the time itself.
    fn time<'v>(self, value: Value<'v>) -> Option<Value<'v>> {
        let number = match &value {
            Value::Int(number) => *number,
            Value::Text(text) => match text.trim().parse() {
                Ok(number) => number,
                Err(_) => return Some(value),
            },
            #[allow(
                clippy::cast_possible_truncation,
                reason = "what is out of bounds is no time, and refused"
            )]
            Value::Double(number) if self == Self::Seconds => {
                return Some(Value::Time(Timestamp::from_millis((number * 1_000.0).round() as i64)));
            }
            _ => return Some(value),
        };
        let millis = match self {
            Self::Seconds => number.checked_mul(1_000)?,
            Self::Millis => number,
            Self::Micros => number.div_euclid(1_000),
            Self::Nanos => number.div_euclid(1_000_000),
            Self::Days => return i32::try_from(number).ok().map(Value::Date),
        };
        Some(Value::Time(Timestamp::from_millis(millis)))
    }
}

// === impl Kind ===

impl Kind {
    /// What an expression is, when its text alone tells.
    pub(super) fn of(term: &Term) -> Option<Self> {
        Some(match term {
            Term::Fixed(value) => Self::of_value(value)?,
            Term::Path(_) => return None,
            Term::Has(_)
            | Term::Not(_)
            | Term::And(_)
            | Term::Or(_)
            | Term::Compare(..)
            | Term::In(_)
            | Term::Text(..) => Self::Bool,
            Term::If(parts) => match (Self::of(&parts[1])?, Self::of(&parts[2])?) {
                (Self::Null, other) | (other, Self::Null) => other,
                (then, otherwise) if then == otherwise => then,
                _ => return None,
            },
            Term::Sum(how, sides) => match (Self::of(&sides[0]), Self::of(&sides[1])) {
                (Some(Self::Text), _) | (_, Some(Self::Text)) if *how == Sum::Add => Self::Text,
                (Some(Self::Int), Some(Self::Int)) => Self::Int,
                (Some(left), Some(right)) if left.is_number() && right.is_number() => Self::Double,
                _ => return None,
            },
            Term::Call(function, _) => match function {
                Function::Size | Function::ToInt => Self::Int,
                Function::ToDouble => Self::Double,
                Function::Split(_) => Self::List,
                _ => Self::Text,
            },
            Term::List(_) => Self::List,
        })
    }

    fn of_value(value: &Value<'_>) -> Option<Self> {
        Some(match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Int(_) => Self::Int,
            Value::Double(_) => Self::Double,
            Value::Text(_) => Self::Text,
            Value::Time(_) | Value::Date(_) => Self::Time,
            Value::List(_) => Self::List,
            Value::Named(_) => return None,
        })
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a truth value",
            Self::Int => "a whole number",
            Self::Double => "a number",
            Self::Text => "a text",
            Self::Time => "a time",
            Self::List => "a list",
        }
    }

    pub(super) const fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Double)
    }

    pub(super) fn goes_with(self, other: Self) -> bool {
        self == other || (self.is_number() && other.is_number())
    }

    /// Whether a field can hold it.
    fn fits(self, ty: &FieldType) -> bool {
        match (self, ty) {
            (Self::Null, _) => true,
            (Self::Bool, ty) => *ty == FieldType::Bool,
            (Self::Int, FieldType::Int | FieldType::Double | FieldType::Text | FieldType::Texts) => true,
            (Self::Double, FieldType::Double | FieldType::Int) => true,
            (Self::Int | Self::Time, FieldType::Time | FieldType::Date) => true,
            (Self::Text, FieldType::Text | FieldType::Symbol(_) | FieldType::Time | FieldType::Date) => true,
            (Self::Text | Self::List, FieldType::Texts | FieldType::Records(_)) => true,
            (Self::Time, FieldType::Text) => true,
            _ => false,
        }
    }
}

// === impl Given ===

impl Given {
    /// Always this value.
    pub(super) fn fixed(value: Value<'static>, says: String) -> Self {
        Self { term: Term::Fixed(value), table: Vec::new(), unit: None, default: Value::Null, says }
    }

    /// An expression as it is.
    pub(super) fn expression(term: Term, says: String) -> Self {
        Self { term, table: Vec::new(), unit: None, default: Value::Null, says }
    }

    /// Its value for one payload.
    ///
    /// # Errors
    /// The expression has none, or the table has no line for it.
    pub(super) fn value<'v>(&'v self, found: &'v Found<'_>) -> Result<Value<'v>, Fault> {
        let trouble = |trouble: Trouble| {
            let code = if trouble == Trouble::NoList { Code::WrongType } else { Code::BadExpression };
            Fault::new(code, trouble.to_string())
        };
        let value = self.term.eval(found).map_err(trouble)?;
        if value == Value::Null {
            return Ok(self.default.clone());
        }
        if !self.table.is_empty() {
            let name = as_text(&value);
            let line = name.and_then(|name| self.table.iter().find(|(known, _)| *known == name));
            return match line {
                Some((_, value)) => Ok(value.clone()),
                None if self.default != Value::Null => Ok(self.default.clone()),
                None => Err(Fault::new(Code::BadEnum, "the table has no line for its value")),
            };
        }
        match self.unit {
            Some(unit) => {
                unit.time(value).ok_or_else(|| Fault::new(Code::BadTime, "it is out of all bounds"))
            }
            None => Ok(value),
        }
    }

    /// Whether it is computed from the payload at all.
    pub(super) fn reads(&self) -> bool {
        self.term.reads()
    }

    /// What a field of this type could never hold, and what to write instead.
    pub(super) fn unfit(&self, ty: &FieldType) -> Option<(String, String)> {
        if let Some(unit) = self.unit
            && !matches!(ty, FieldType::Time | FieldType::Date)
        {
            let word = Unit::WORDS.iter().find(|(_, known)| *known == unit).map_or("", |(word, _)| word);
            let fact = format!("`unit: {word}` makes a time, and the field is {}", type_name(ty));
            return Some((fact, "leave `unit` away".to_owned()));
        }
        let fixed = match &self.term {
            Term::Fixed(value) => Some(value),
            _ => None,
        };
        let written = self.table.iter().map(|(_, value)| value).chain(Some(&self.default));
        if let Some(unfit) = written.chain(fixed).find_map(|value| unfit_value(value, ty)) {
            return Some(unfit);
        }
        let kind = Kind::of(&self.term).filter(|_| self.table.is_empty())?;
        (!kind.fits(ty)).then(|| wrong(kind, ty))
    }
}

fn wrong(kind: Kind, ty: &FieldType) -> (String, String) {
    let fact = format!("{} stands where {} should", kind.name(), type_name(ty));
    let hint = match (kind, ty) {
        (Kind::Bool | Kind::Double, FieldType::Text) => "make a text of it: `string(…)`".to_owned(),
        (_, FieldType::Symbol(names)) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            format!("make one of {} of it, by a `table`", listed(&names))
        }
        (_, FieldType::Time | FieldType::Date) => {
            "write a path to a time, with its `unit` where it is a number".to_owned()
        }
        _ => format!("write {}", type_name(ty)),
    };
    (fact, hint)
}

/// Why a field of this type cannot hold a value that stands in the mapping.
fn unfit_value(value: &Value<'static>, ty: &FieldType) -> Option<(String, String)> {
    match (value, ty) {
        (Value::Text(text), FieldType::Symbol(names)) if !names.iter().any(|name| **name == **text) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            Some((format!("this field is never `{text}`"), suggest(text, &names)))
        }
        (Value::Text(text), FieldType::Time) if text.parse::<Timestamp>().is_err() => {
            Some((format!("`{text}` is no time"), "write it as `2026-01-05T09:00:00Z`".to_owned()))
        }
        (value, ty) => {
            let kind = Kind::of_value(value)?;
            (!kind.fits(ty)).then(|| wrong(kind, ty))
        }
    }
}

/// A value as a text, where it is one or is written as one: whole numbers and times are.
pub(super) fn as_text(value: &Value<'_>) -> Option<String> {
    Some(match value {
        Value::Text(text) => text.clone().into_owned(),
        Value::Int(whole) => whole.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Time(at) => at.to_string(),
        _ => return None,
    })
}

/// The parts of an id, told apart whatever they hold.
pub(super) fn joined<'v>(parts: Vec<Value<'v>>) -> Value<'v> {
    if let [one] = parts.as_slice()
        && matches!(one, Value::Text(_))
    {
        return parts.into_iter().next().unwrap_or(Value::Null);
    }
    let mut id = String::new();
    for (index, part) in parts.iter().enumerate() {
        let Some(text) = as_text(part) else { return Value::Null };
        if index > 0 {
            id.push('/');
        }
        for letter in text.chars() {
            // Otherwise `a/b` with `c` and `a` with `b/c` would be one id, and one of two events lost.
            if matches!(letter, '/' | '\\') {
                id.push('\\');
            }
            id.push(letter);
        }
    }
    Value::Text(Cow::Owned(id))
}
