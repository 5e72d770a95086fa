//! Codec: bytes to words and back, by the schemas in `schemas/`.
//!
//! There is one way into a change: a plan compiled from the writer's schema and ours decodes Avro in
//! place; CloudEvents, and payloads of others that a mapping takes, are written as our Avro first. Nothing
//! here does I/O except the registry client.

mod audited;
mod cloud_events;
pub mod decode;
mod event_plan;
pub mod example;
pub mod fault;
pub mod foreign;
pub mod json;
pub mod outputs;
pub mod person;
mod plan;
pub mod public;
mod reader;
pub mod registry;
mod run;
pub mod schemas;
mod show;
mod skip;
mod strict_json;
#[cfg(test)]
mod tests;
pub mod wire;
pub mod write_back;

pub use cloud_events::kind_of;
pub use decode::{Codec, Fetched, MOST_BYTES, Unreadable};
pub use fault::{Code, Fault};
pub use registry::{Registry, RegistryError};
pub use schemas::{BadSchema, Name, Schemas, subject};
