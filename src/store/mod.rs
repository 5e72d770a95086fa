//! Memory: maps that know their deadlines and can take a transaction back, its copies on this machine, and what
//! the live page shows.
//!
//! A lane's memory moves with its transaction: what was noted since the last commit is forgotten when
//! the transaction is aborted, or a change that was never told would be called a duplicate.

pub mod decisions;
#[cfg(feature = "state-disk")]
pub mod disk;
pub mod expiring;
pub mod folder;
pub mod keyed;
pub mod mutes;
mod quantiles;
pub mod snapshot;
pub mod snapshot_file;
pub mod spill;
pub mod traffic;
pub mod view;

#[cfg(test)]
mod tests;

pub use expiring::Expiring;
pub use keyed::Keyed;
pub use spill::Spill;
