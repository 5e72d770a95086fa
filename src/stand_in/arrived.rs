//! Arrived: one push as the phone of one person would get it, for whoever compares it with what was owed.

use std::collections::BTreeMap;

use super::contract::{Destination, Message, Texts};
use super::text::{self, Text};
use crate::event::Timestamp;

/// A push that was accepted, with its inserts filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// When.
    pub at: Timestamp,
    /// The address; of users, the name alone.
    pub person: String,
    /// The title.
    pub title: String,
    /// The summary.
    pub summary: String,
    /// The app it is for.
    pub target: String,
    /// How urgent, as the request says it.
    pub priority: String,
    /// What the app gets with it.
    pub data: BTreeMap<String, String>,
}

// === impl Arrived ===

impl Arrived {
    pub(super) fn of(
        (message, texts): (&Message, &Texts),
        destination: &Destination<'_>,
        at: Timestamp,
    ) -> Self {
        let filled = |text: &Text| text.fill(|id| text::find(&destination.inserts, id));
        let push = destination.push.as_ref();
        Self {
            at,
            person: push.strip_prefix("user:").unwrap_or(push).to_owned(),
            title: filled(&texts.title),
            summary: filled(&texts.summary),
            target: message.target.clone(),
            priority: message.priority.clone().unwrap_or_default(),
            data: texts.data.iter().map(|(key, value)| (key.clone(), filled(value))).collect(),
        }
    }
}
