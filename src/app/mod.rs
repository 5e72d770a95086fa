//! Wiring: options to a running app.

pub mod config;
