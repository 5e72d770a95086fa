//! Chaos: real `bugle run` processes on a real Kafka, ended, stopped, fenced and shut out while they work.
//!
//! A process is caught between two steps of a commit by the requests it sends: a proxy holds the one that
//! begins the next step. So nothing in Bugle knows that it is tested. After each fault every telling owed must
//! be accepted exactly once, by the right person, in its order; the books and the audit's chains must close, and
//! no transaction may stay open. The numbers are those of the list of faults in `src/app/chaos/mod.rs`.
//!
//! The long set, by command alone, takes nodes and links away: `cargo test --test chaos_long`.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod crashes;
mod fenced;
#[path = "../kit/mod.rs"]
mod kit;
mod scaling;
#[allow(dead_code, reason = "each set uses its own part of the stage")]
mod stage;
mod stalls;
mod stops;
mod verb;
