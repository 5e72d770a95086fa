//! Stories: the ways to lose, repeat or misdirect that the design was checked against, each told as a test.
//!
//! A story is told twice where that is possible: with the rule that closes it, and on a broker or a push
//! service that breaks the rule, which must show. What is told elsewhere stands in the table, by its name.

#![allow(clippy::unwrap_used, reason = "a story that cannot be told has failed")]

#[path = "../town/crooked.rs"]
mod crooked;
#[path = "../town/forgetful.rs"]
mod forgetful;
mod house;
#[path = "../town/instance.rs"]
mod instance;
mod memory;
#[path = "../town/mixed.rs"]
mod mixed;
mod mutes;
#[path = "../town/owed.rs"]
#[allow(dead_code, reason = "a story says itself what is owed; of this it uses what a telling is")]
mod owed;
mod ownership;
mod poison;
#[path = "../simulation/post.rs"]
#[allow(dead_code, reason = "no story needs all that the simulated push service can do")]
mod post;
mod sending;
mod table;
mod time;
#[path = "../town/mod.rs"]
#[allow(dead_code, reason = "a story has its own people")]
mod town;
mod waiting;
