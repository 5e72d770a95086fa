//! People: who holds which role, where, in which unit.

pub mod expression;
pub mod spelling;

pub use expression::{ExpressionFault, parse};
