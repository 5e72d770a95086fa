//! Condition: the `if` of a rule, in CEL, checked against a kind's fields before anything runs.
//!
//! The crate `cel` reads the text; its syntax tree is checked here and lowered to slots, so that
//! evaluating it neither looks up names nor allocates. What CEL has and a condition cannot mean
//! (building lists or maps, regular expressions) is refused by name, never ignored.

mod clauses;
mod eval;
mod facts;
mod functions;
pub(super) mod lower;
pub(super) mod operator;
pub(super) mod places;
pub mod possible;
pub(super) mod syntax;

use crate::event::{Change, Shape};

pub use clauses::Clause;
use eval::{Term, Val};
use operator::NoNumber;

/// A checked condition for the kinds of one shape.
#[derive(Debug, Clone)]
pub struct Condition {
    term: Term,
}

/// Something wrong in an expression's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionFault {
    /// The first byte it is about.
    pub offset: usize,
    /// How many bytes.
    pub length: usize,
    /// A stable word.
    pub code: &'static str,
    /// The fact.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// Why a checked condition has no answer for one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleFault {
    /// A field it counts with is absent.
    #[error("a field the condition needs is absent")]
    Absent,
    /// A number divided by zero.
    #[error("the condition divides by zero")]
    DivisionByZero,
    /// A number grew beyond 64 bits.
    #[error("a number in the condition is too large")]
    Overflow,
}

// === impl RuleFault ===

impl From<NoNumber> for RuleFault {
    fn from(why: NoNumber) -> Self {
        match why {
            NoNumber::DivisionByZero => Self::DivisionByZero,
            NoNumber::Overflow => Self::Overflow,
        }
    }
}

impl RuleFault {
    /// What to do about it.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Absent => "ask first whether the field is there: `event.x != null && …`",
            Self::DivisionByZero => "ask first whether the divisor is zero: `event.x != 0 && …`",
            Self::Overflow => "compare smaller numbers",
        }
    }
}

// === impl Condition ===

impl Condition {
    /// Reads and checks `text` for the kinds of `shape`; every fault at once.
    pub fn parse(text: &str, shape: &Shape) -> Result<Self, Vec<ConditionFault>> {
        let (tree, info) = syntax::parse(text)?;
        lower::condition(&tree, &info, (text, shape)).map(|term| Self { term })
    }

    /// Whether it holds for `change`, which must have the shape it was checked for.
    pub fn holds(&self, change: &Change<'_>) -> Result<bool, RuleFault> {
        match self.term.eval(change)? {
            Val::Bool(holds) => Ok(holds),
            _ => Err(RuleFault::Absent),
        }
    }
}

#[cfg(test)]
mod tests;
