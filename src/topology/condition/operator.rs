//! Operators: what `==`, `<`, `+` and their like mean for numbers, in conditions and in mappings alike.

use std::cmp::Ordering;

/// An operator between two values that can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::topology) enum Compare {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// An operator between two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::topology) enum Sum {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A question about two texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::topology) enum TextTest {
    Contains,
    StartsWith,
    EndsWith,
}

/// Why two numbers make no third.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::topology) enum NoNumber {
    DivisionByZero,
    Overflow,
}

/// As CEL compares: a number beyond 2^53 loses its last digits.
#[allow(clippy::cast_precision_loss, reason = "CEL compares whole numbers with fractions this way")]
pub(in crate::topology) const fn as_double(int: i64) -> f64 {
    int as f64
}

// === impl Compare ===

impl Compare {
    /// Whether it is true of two values that stand in this order.
    pub(in crate::topology) const fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

// === impl Sum ===

impl Sum {
    /// Of whole numbers.
    pub(in crate::topology) fn whole(self, a: i64, b: i64) -> Result<i64, NoNumber> {
        let number = match self {
            Self::Add => a.checked_add(b),
            Self::Subtract => a.checked_sub(b),
            Self::Multiply => a.checked_mul(b),
            Self::Divide | Self::Remainder if b == 0 => return Err(NoNumber::DivisionByZero),
            Self::Divide => a.checked_div(b),
            Self::Remainder => a.checked_rem(b),
        };
        number.ok_or(NoNumber::Overflow)
    }

    /// Of numbers with a fraction.
    pub(in crate::topology) fn broken(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide => a / b,
            Self::Remainder => a % b,
        }
    }
}
