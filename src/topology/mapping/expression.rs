//! Expression: what a mapping computes from a payload's values, as CEL means it.
//!
//! What a payload does not have is null, and what is computed with null is null: whether a field may do
//! without is for the field to say.

use std::borrow::Cow;

use crate::codec::foreign::Found;
use crate::event::Value;

use super::super::condition::operator::{Compare, NoNumber, Sum, TextTest, as_double};

/// An expression over the values of a payload.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Term {
    /// Always the same.
    Fixed(Value<'static>),
    /// A value of the payload, at the first of these places that has one.
    Path(Vec<usize>),
    /// Whether there is a value.
    Has(Box<Term>),
    Not(Box<Term>),
    And(Box<[Term; 2]>),
    Or(Box<[Term; 2]>),
    If(Box<[Term; 3]>),
    Compare(Compare, Box<[Term; 2]>),
    Sum(Sum, Box<[Term; 2]>),
    /// A value in a list.
    In(Box<[Term; 2]>),
    Text(TextTest, Box<[Term; 2]>),
    Call(Function, Box<Term>),
    /// Several values.
    List(Vec<Term>),
}

/// What is made of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Function {
    /// How many items or characters.
    Size,
    ToText,
    ToInt,
    ToDouble,
    Lower,
    Upper,
    Trim,
    /// A text cut at this one.
    Split(String),
    /// One text for another.
    Replace(String, String),
}

/// Why an expression has no value for a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    #[error("values of these types do not go together")]
    Types,
    #[error("a text that is no number stands where a number should")]
    NoNumber,
    #[error("a number divides by zero")]
    DivisionByZero,
    #[error("a number is too large")]
    Overflow,
    #[error("what its `map` goes through is no list of such items")]
    NoList,
}

impl From<NoNumber> for Trouble {
    fn from(why: NoNumber) -> Self {
        match why {
            NoNumber::DivisionByZero => Self::DivisionByZero,
            NoNumber::Overflow => Self::Overflow,
        }
    }
}

type Answer<'v> = Result<Value<'v>, Trouble>;

// === impl Term ===

impl Term {
    /// Its value for one payload.
    pub(super) fn eval<'v>(&'v self, found: &'v Found<'_>) -> Answer<'v> {
        Ok(match self {
            Self::Fixed(value) => borrowed(value),
            Self::Path(places) => {
                let is_there =
                    |place: &&usize| found.is_misfit(**place) || *found.get(**place) != Value::Null;
                match places.iter().find(is_there) {
                    Some(place) if found.is_misfit(*place) => return Err(Trouble::NoList),
                    place => place.map_or(Value::Null, |place| borrowed(found.get(*place))),
                }
            }
            Self::Has(of) => Value::Bool(of.eval(found)? != Value::Null),
            Self::Not(of) => match of.eval(found)? {
                Value::Bool(truth) => Value::Bool(!truth),
                Value::Null => Value::Null,
                _ => return Err(Trouble::Types),
            },
            Self::And(sides) => joined(sides, found, false)?,
            Self::Or(sides) => joined(sides, found, true)?,
            Self::If(parts) => match parts[0].eval(found)? {
                Value::Bool(true) => parts[1].eval(found)?,
                Value::Bool(false) | Value::Null => parts[2].eval(found)?,
                _ => return Err(Trouble::Types),
            },
            Self::Compare(how, sides) => compare(*how, &sides[0].eval(found)?, &sides[1].eval(found)?)?,
            Self::Sum(how, sides) => sum(*how, sides[0].eval(found)?, sides[1].eval(found)?)?,
            Self::In(sides) => match (sides[0].eval(found)?, sides[1].eval(found)?) {
                (needle, Value::List(list)) => Value::Bool(list.iter().any(|item| equal(&needle, item))),
                (_, Value::Null) => Value::Bool(false),
                _ => return Err(Trouble::Types),
            },
            Self::Text(test, sides) => match (sides[0].eval(found)?, sides[1].eval(found)?) {
                (Value::Text(text), Value::Text(part)) => Value::Bool(match test {
                    TextTest::Contains => text.contains(&*part),
                    TextTest::StartsWith => text.starts_with(&*part),
                    TextTest::EndsWith => text.ends_with(&*part),
                }),
                (Value::Null, _) | (_, Value::Null) => Value::Null,
                _ => return Err(Trouble::Types),
            },
            Self::Call(function, of) => function.of(of.eval(found)?)?,
            Self::List(terms) => {
                let mut list = Vec::with_capacity(terms.len());
                for term in terms {
                    match term.eval(found)? {
                        Value::Null => {}
                        Value::List(more) => list.extend(more),
                        value => list.push(value),
                    }
                }
                Value::List(list)
            }
        })
    }

    /// Its value for every payload, where it [`reads`](Self::reads) none.
    pub(super) fn constant(&self) -> Result<Value<'static>, Trouble> {
        self.eval(&Found::default()).map(owned)
    }

    /// Whether it is computed from the payload at all.
    pub(super) fn reads(&self) -> bool {
        match self {
            Self::Fixed(_) => false,
            Self::Path(_) => true,
            Self::Has(of) | Self::Not(of) | Self::Call(_, of) => of.reads(),
            Self::And(sides) | Self::Or(sides) | Self::In(sides) => sides.iter().any(Self::reads),
            Self::Compare(_, sides) | Self::Sum(_, sides) | Self::Text(_, sides) => {
                sides.iter().any(Self::reads)
            }
            Self::If(parts) => parts.iter().any(Self::reads),
            Self::List(terms) => terms.iter().any(Self::reads),
        }
    }
}

/// `&&` (decided by `false`) and `||` (decided by `true`): the deciding side wins over null and trouble.
fn joined<'v>(sides: &'v [Term; 2], found: &'v Found<'_>, decides: bool) -> Answer<'v> {
    let left = sides[0].eval(found);
    if left == Ok(Value::Bool(decides)) {
        return left;
    }
    let right = sides[1].eval(found);
    if right == Ok(Value::Bool(decides)) {
        return right;
    }
    match (left?, right?) {
        (Value::Bool(_), Value::Bool(_)) => Ok(Value::Bool(!decides)),
        (Value::Bool(_) | Value::Null, Value::Bool(_) | Value::Null) => Ok(Value::Null),
        _ => Err(Trouble::Types),
    }
}

/// The same value, with texts of its own.
fn owned(value: Value<'_>) -> Value<'static> {
    match value {
        Value::Null => Value::Null,
        Value::Bool(truth) => Value::Bool(truth),
        Value::Int(whole) => Value::Int(whole),
        Value::Double(number) => Value::Double(number),
        Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
        Value::Time(at) => Value::Time(at),
        Value::Date(days) => Value::Date(days),
        Value::List(items) => Value::List(items.into_iter().map(owned).collect()),
        Value::Named(pairs) => {
            let pair =
                |(name, value): (Cow<'_, str>, Value<'_>)| (Cow::Owned(name.into_owned()), owned(value));
            Value::Named(pairs.into_iter().map(pair).collect())
        }
    }
}

/// The same value, its texts where they lie.
fn borrowed<'v>(value: &'v Value<'_>) -> Value<'v> {
    match value {
        Value::Null => Value::Null,
        Value::Bool(truth) => Value::Bool(*truth),
        Value::Int(whole) => Value::Int(*whole),
        Value::Double(number) => Value::Double(*number),
        Value::Text(text) => Value::Text(Cow::Borrowed(text)),
        Value::Time(at) => Value::Time(*at),
        Value::Date(days) => Value::Date(*days),
        Value::List(items) => Value::List(items.iter().map(borrowed).collect()),
        // Of an object nothing is known but that it is there.
        Value::Named(_) => Value::Named(Vec::new()),
    }
}

/// As CEL compares: a whole number with a fraction by value, and anything else never across types.
pub(super) fn equal(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Int(int), Value::Double(double)) | (Value::Double(double), Value::Int(int)) => {
            as_double(*int) == *double
        }
        (left, right) => left == right,
    }
}

fn compare<'v>(how: Compare, left: &Value<'_>, right: &Value<'_>) -> Answer<'v> {
    let order = match (how, left, right) {
        (Compare::Equal, left, right) => return Ok(Value::Bool(equal(left, right))),
        (Compare::Unequal, left, right) => return Ok(Value::Bool(!equal(left, right))),
        (_, Value::Null, _) | (_, _, Value::Null) => return Ok(Value::Null),
        (_, Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (_, Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (_, Value::Int(a), Value::Double(b)) => as_double(*a).partial_cmp(b),
        (_, Value::Double(a), Value::Int(b)) => a.partial_cmp(&as_double(*b)),
        (_, Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (_, Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
        (_, Value::Date(a), Value::Date(b)) => Some(a.cmp(b)),
        _ => return Err(Trouble::Types),
    };
    Ok(Value::Bool(order.is_some_and(|order| how.holds(order))))
}

fn sum<'v>(how: Sum, left: Value<'v>, right: Value<'v>) -> Answer<'v> {
    let number = match (left, right) {
        (Value::Null, _) | (_, Value::Null) => return Ok(Value::Null),
        (Value::Text(a), Value::Text(b)) if how == Sum::Add => {
            return Ok(Value::Text(Cow::Owned(format!("{a}{b}"))));
        }
        (Value::Int(a), Value::Int(b)) => return Ok(Value::Int(how.whole(a, b)?)),
        (Value::Double(a), Value::Double(b)) => how.broken(a, b),
        (Value::Int(a), Value::Double(b)) => how.broken(as_double(a), b),
        (Value::Double(a), Value::Int(b)) => how.broken(a, as_double(b)),
        _ => return Err(Trouble::Types),
    };
    if number.is_finite() { Ok(Value::Double(number)) } else { Err(Trouble::Overflow) }
}

// === impl Function ===

impl Function {
    fn of<'v>(&self, value: Value<'v>) -> Answer<'v> {
        let length = |count: usize| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
        let owned = |text: String| Value::Text(Cow::Owned(text));
        Ok(match (self, value) {
            (_, Value::Null) => Value::Null,
            (Self::Size, Value::Text(text)) => length(text.chars().count()),
            (Self::Size, Value::List(items)) => length(items.len()),
            (Self::ToText, value) => super::given::as_text(&value).map(owned).ok_or(Trouble::Types)?,
            (Self::ToInt, Value::Int(whole)) => Value::Int(whole),
            (Self::ToInt, Value::Text(text)) => {
                Value::Int(text.trim().parse().map_err(|_| Trouble::NoNumber)?)
            }
            #[allow(clippy::cast_possible_truncation, reason = "CEL cuts a fraction off, and this one fits")]
            (Self::ToInt, Value::Double(number)) if number.abs() < 9.0e15 => Value::Int(number as i64),
            (Self::ToInt, Value::Double(_)) => return Err(Trouble::Overflow),
            (Self::ToDouble, Value::Int(whole)) => Value::Double(as_double(whole)),
            (Self::ToDouble, Value::Double(number)) => Value::Double(number),
            (Self::ToDouble, Value::Text(text)) => {
                let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
                Value::Double(number.ok_or(Trouble::NoNumber)?)
            }
            (Self::Lower, Value::Text(text)) => owned(text.to_ascii_lowercase()),
            (Self::Upper, Value::Text(text)) => owned(text.to_ascii_uppercase()),
            (Self::Trim, Value::Text(text)) => owned(text.trim().to_owned()),
            (Self::Split(at), Value::Text(text)) => {
                let parts = text.split(at.as_str()).map(str::trim).filter(|part| !part.is_empty());
                Value::List(parts.map(|part| owned(part.to_owned())).collect())
            }
            (Self::Replace(from, to), Value::Text(text)) => owned(text.replace(from.as_str(), to)),
            _ => return Err(Trouble::Types),
        })
    }
}
