//! Drain: what lies between the lanes is carried to its end, and nothing new is taken in.
//!
//! The lanes end in the order of the flow, each when it has read everything that the one before has written.

use super::App;
use crate::broker::{Broker, BrokerError};
use crate::engine::group_of;
use crate::event::Lane;

/// How far it is.
pub struct Drain {
    group: String,
    left: &'static [Lane],
}

// === impl Drain ===

impl Drain {
    /// Of the instances whose groups begin so.
    #[must_use]
    pub fn new(group: &str) -> Self {
        Self { group: group.to_owned(), left: &Lane::ALL }
    }

    /// Goes on in an app that runs; whether everything is drained.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub fn go_on(&mut self, app: &mut App, broker: &dyn Broker) -> Result<bool, BrokerError> {
        let Some((lane, left)) = self.left.split_first() else { return Ok(true) };
        // What the source systems have written since stays where it is.
        if *lane != Lane::Source {
            let unread = broker.unread(&group_of(&self.group, *lane), lane.inputs())?;
            if unread.iter().any(|of| of.next.unwrap_or(of.first) < of.end) {
                return Ok(false);
            }
        }
        app.engine.end(*lane);
        tracing::info!(lane = lane.as_str(), "drained");
        self.left = left;
        Ok(left.is_empty())
    }
}
