//! People: who holds which role, where, in which unit.

pub mod bind;
pub mod expression;
pub mod people;
mod resolve;
mod roster;
pub mod spelling;
mod table;

pub use bind::{bind, bind_rule};
pub use expression::{ExpressionFault, parse};
pub use people::{Entry, Nobody, People, Resolved};
