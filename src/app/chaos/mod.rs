//! Chaos: a load that knows what is owed, and a judge of what was told, for runs in which everything goes wrong.
//!
//! The numbers of faults in the tests: F1 to F4, `kill -9` before the first record of a commit, before its
//! offsets, before its end, before the answer to that; F5, while the push service has a batch; F7, a process
//! stopped for longer than its session; F8, asked to end, with and without enough time; F9, members that come
//! and go; F21, a producer told that it is fenced.

pub mod judge;
pub mod load;
