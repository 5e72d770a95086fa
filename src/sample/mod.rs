//! Sample: a small company and a day in its systems, for the demo and for tests; and [`load`] for benches.
//!
//! Deterministic: the same people and the same events on every machine. Nothing here is real.

mod events;
pub mod load;
mod people;

pub use events::{SampleEvent, Story, batch, later, poison, scene, story};
pub use people::{CROWD_ROLE, people};
