//! Memory: maps that know their deadlines.

mod quantiles;
mod snapshot;
pub mod view;
