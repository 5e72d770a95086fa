//! Instruments: what Bugle writes down about itself, in logs and in numbers.
//!
//! Nothing here decides anything, and nothing here may name a person: logs and labels carry ids of
//! events and rules, never who was told or what.

pub mod catalogue;
pub mod logs;
pub mod meters;
pub mod process;
mod series;

pub use logs::LogFault;
pub use meters::{Meters, count};
