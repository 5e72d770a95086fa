//! Eval: a checked expression, answered from a change's slots without a name and without memory.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use crate::event::change::Slot;
use crate::event::{Change, Shape, Source};

use super::RuleFault;
use super::operator::{Compare, Sum, TextTest, as_double};

/// A checked expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Term {
    /// Always the same.
    Fixed(Fixed),
    /// A truth value, number or text.
    Slot(u16, Read),
    /// Whether any of these slots has a value.
    Present(Vec<u16>),
    /// A text of a map, by name.
    Entry(u16, String),
    /// How many items, entries or characters.
    Size(Box<Term>),
    /// How many items in a list.
    Count(u16),
    /// `!`
    Not(Box<Term>),
    /// `&&`
    And(Box<Term>, Box<Term>),
    /// `||`
    Or(Box<Term>, Box<Term>),
    /// `a ? b : c`
    If(Box<[Term; 3]>),
    /// `==`, `<` and so on.
    Compare(Compare, Box<Term>, Box<Term>),
    /// `+`, `-` and so on.
    Sum(Sum, Box<Term>, Box<Term>),
    /// A text in a list field.
    InSlot(Box<Term>, u16),
    /// A value among fixed ones.
    InFixed(Box<Term>, Vec<Fixed>),
    /// `a.contains(b)` and its like.
    Text(TextTest, Box<Term>, Box<Term>),
}

/// How a slot's number is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// As it is.
    Plain,
    /// As a time in milliseconds.
    Time,
    /// As a day: its midnight in UTC.
    Day,
}

/// A value written in the expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fixed {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Time(i64),
    Span(i64),
}

/// A value while evaluating.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Val<'c> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(&'c str),
    Time(i64),
    Span(i64),
}

const DAY_MILLIS: i64 = 86_400_000;

// === impl Fixed ===

impl Fixed {
    pub(super) fn val(&self) -> Val<'_> {
        match self {
            Self::Null => Val::Null,
            Self::Bool(truth) => Val::Bool(*truth),
            Self::Int(number) => Val::Int(*number),
            Self::Double(number) => Val::Double(*number),
            Self::Text(text) => Val::Text(text),
            Self::Time(millis) => Val::Time(*millis),
            Self::Span(millis) => Val::Span(*millis),
        }
    }
}

impl From<Val<'_>> for Fixed {
    fn from(val: Val<'_>) -> Self {
        match val {
            Val::Null => Self::Null,
            Val::Bool(truth) => Self::Bool(truth),
            Val::Int(number) => Self::Int(number),
            Val::Double(number) => Self::Double(number),
            Val::Text(text) => Self::Text(text.to_owned()),
            Val::Time(millis) => Self::Time(millis),
            Val::Span(millis) => Self::Span(millis),
        }
    }
}

// === impl Term ===

/// The shape of nothing: what asks for no field can be asked of it.
static NOTHING: LazyLock<Arc<Shape>> =
    LazyLock::new(|| Arc::new(Shape::new(Source::Xecm, String::new(), Vec::new(), Vec::new())));

impl Term {
    /// Whether it asks a change for anything.
    pub(super) fn reads(&self) -> bool {
        match self {
            Self::Fixed(_) => false,
            Self::Slot(..) | Self::Present(_) | Self::Entry(..) | Self::Count(_) | Self::InSlot(..) => true,
            Self::Size(of) | Self::Not(of) | Self::InFixed(of, _) => of.reads(),
            Self::And(left, right)
            | Self::Or(left, right)
            | Self::Compare(_, left, right)
            | Self::Sum(_, left, right)
            | Self::Text(_, left, right) => left.reads() || right.reads(),
            Self::If(parts) => parts.iter().any(Self::reads),
        }
    }

    /// Its value for every change, where it [`reads`](Self::reads) none.
    pub(super) fn constant(&self) -> Result<Fixed, RuleFault> {
        let nothing = Change::new(Arc::clone(&NOTHING), Cow::Borrowed(&[]), Vec::new(), Vec::new());
        self.eval(&nothing).map(Fixed::from)
    }

    /// Its value for one change.
    pub(super) fn eval<'c>(&'c self, change: &'c Change<'_>) -> Result<Val<'c>, RuleFault> {
        Ok(match self {
            Self::Fixed(fixed) => fixed.val(),
            Self::Slot(slot, read) => slot_value(change, *slot, *read),
            Self::Present(slots) => {
                Val::Bool(slots.iter().any(|slot| !matches!(change.slot(*slot), Slot::Absent)))
            }
            Self::Entry(slot, name) => entry(change, *slot, name),
            Self::Size(of) => match of.eval(change)? {
                Val::Text(text) => Val::Int(length(text.chars().count())),
                _ => return Err(RuleFault::Absent),
            },
            Self::Count(slot) => match change.slot(*slot) {
                Slot::List(_, count) => Val::Int(i64::from(count)),
                _ => Val::Int(0),
            },
            Self::Not(of) => Val::Bool(!of.truth(change)?),
            Self::And(left, right) => Val::Bool(short(left, right, (change, false))?),
            Self::Or(left, right) => Val::Bool(short(left, right, (change, true))?),
            Self::If(parts) => match parts[0].truth(change)? {
                true => parts[1].eval(change)?,
                false => parts[2].eval(change)?,
            },
            Self::Compare(how, left, right) => {
                Val::Bool(compare(*how, left.eval(change)?, right.eval(change)?)?)
            }
            Self::Sum(how, left, right) => sum(*how, left.eval(change)?, right.eval(change)?)?,
            Self::InSlot(needle, slot) => match needle.eval(change)? {
                Val::Text(needle) => Val::Bool(change.texts(*slot).any(|text| text == needle)),
                _ => Val::Bool(false),
            },
            Self::InFixed(needle, list) => {
                let needle = needle.eval(change)?;
                Val::Bool(list.iter().any(|fixed| equal(needle, fixed.val())))
            }
            Self::Text(test, left, right) => match (left.eval(change)?, right.eval(change)?) {
                (Val::Text(left), Val::Text(right)) => Val::Bool(match test {
                    TextTest::Contains => left.contains(right),
                    TextTest::StartsWith => left.starts_with(right),
                    TextTest::EndsWith => left.ends_with(right),
                }),
                _ => return Err(RuleFault::Absent),
            },
        })
    }

    fn truth(&self, change: &Change<'_>) -> Result<bool, RuleFault> {
        match self.eval(change)? {
            Val::Bool(truth) => Ok(truth),
            _ => Err(RuleFault::Absent),
        }
    }
}

/// `&&` (decided by `false`) and `||` (decided by `true`): as CEL has it, the deciding value wins over
/// a fault on the other side.
fn short(left: &Term, right: &Term, (change, decides): (&Change<'_>, bool)) -> Result<bool, RuleFault> {
    let left = left.truth(change);
    if left == Ok(decides) {
        return Ok(decides);
    }
    let right = right.truth(change);
    if right == Ok(decides) { Ok(decides) } else { left.and(right) }
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn slot_value<'c>(change: &'c Change<'_>, slot: u16, read: Read) -> Val<'c> {
    match change.slot(slot) {
        Slot::Absent | Slot::List(..) => Val::Null,
        Slot::Bool(truth) => Val::Bool(truth),
        Slot::Double(number) => Val::Double(number),
        Slot::Int(number) => match read {
            Read::Plain => Val::Int(number),
            Read::Time => Val::Time(number),
            Read::Day => Val::Time(number.saturating_mul(DAY_MILLIS)),
        },
        Slot::Text(..) | Slot::Symbol(_) => change.text(slot).map_or(Val::Null, Val::Text),
    }
}

fn entry<'c>(change: &'c Change<'_>, slot: u16, name: &str) -> Val<'c> {
    change.map_text(slot, name).map_or(Val::Null, Val::Text)
}

fn equal(left: Val<'_>, right: Val<'_>) -> bool {
    match (left, right) {
        (Val::Int(int), Val::Double(double)) | (Val::Double(double), Val::Int(int)) => {
            as_double(int) == double
        }
        (left, right) => left == right,
    }
}

pub(super) fn compare(how: Compare, left: Val<'_>, right: Val<'_>) -> Result<bool, RuleFault> {
    let order = match how {
        Compare::Equal => return Ok(equal(left, right)),
        Compare::Unequal => return Ok(!equal(left, right)),
        _ => match (left, right) {
            (Val::Int(a), Val::Int(b)) | (Val::Time(a), Val::Time(b)) | (Val::Span(a), Val::Span(b)) => {
                Some(a.cmp(&b))
            }
            (Val::Double(a), Val::Double(b)) => a.partial_cmp(&b),
            (Val::Int(a), Val::Double(b)) => as_double(a).partial_cmp(&b),
            (Val::Double(a), Val::Int(b)) => a.partial_cmp(&as_double(b)),
            (Val::Text(a), Val::Text(b)) => Some(a.cmp(b)),
            _ => return Err(RuleFault::Absent),
        },
    };
    Ok(order.is_some_and(|order| how.holds(order)))
}

fn sum<'c>(how: Sum, left: Val<'c>, right: Val<'c>) -> Result<Val<'c>, RuleFault> {
    let whole = |a: i64, b: i64| how.whole(a, b).map_err(RuleFault::from);
    Ok(match (left, right) {
        (Val::Int(a), Val::Int(b)) => Val::Int(whole(a, b)?),
        (Val::Double(a), Val::Double(b)) => Val::Double(how.broken(a, b)),
        (Val::Int(a), Val::Double(b)) => Val::Double(how.broken(as_double(a), b)),
        (Val::Double(a), Val::Int(b)) => Val::Double(how.broken(a, as_double(b))),
        (Val::Time(a), Val::Time(b)) | (Val::Span(a), Val::Span(b)) if how == Sum::Subtract => {
            Val::Span(whole(a, b)?)
        }
        (Val::Span(a), Val::Span(b)) => Val::Span(whole(a, b)?),
        (Val::Time(a), Val::Span(b)) | (Val::Span(a), Val::Time(b)) => Val::Time(whole(a, b)?),
        _ => return Err(RuleFault::Absent),
    })
}
