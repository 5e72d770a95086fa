//! Chaos, the long set: a cluster of three nodes whose leaders are ended, that is away, or badly reached.
//!
//! `cargo test --test chaos_long -- --nocapture`, for about fifteen minutes. What is judged, and how, is that of
//! the short set.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

#[path = "../../kit/mod.rs"]
mod kit;
mod links;
mod nodes;
mod restores;
#[path = "../stage.rs"]
#[allow(dead_code, reason = "each set uses its own part of the stage")]
mod stage;
mod storm;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bugle::clock::Tick;

/// One cluster at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets time pass.
fn idle(span: Duration) {
    let begun = Tick::now();
    kit::until("time has passed", span * 2, || begun.elapsed() >= span);
}
