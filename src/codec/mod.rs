//! Bytes to words and back, by the schemas in `schemas/`.
//!
//! There is one way into a change: a plan compiled from the writer's schema and ours decodes Avro in
//! place; CloudEvents are written as our Avro first. Nothing here does I/O except the registry client.

pub mod fault;
mod reader;
pub mod schemas;
pub mod wire;

pub use fault::{Code, Fault};
pub use schemas::{BadSchema, Name, Schemas, subject};
