//! Write-backs: every answer that counts is carried into the system that asked, once, as who answered.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod clients;
mod content_server;
mod kafka;
#[path = "../kit/mod.rs"]
mod kit;
mod lane;
#[path = "../town/mod.rs"]
mod town;
mod whole;

use std::collections::BTreeMap;

use bugle::event::answer::Proof;
use bugle::event::notice::Verb;
use bugle::event::write_back::{Entity, WriteBack};
use bugle::event::{Occasion, Source, Timestamp};

/// Texts by name.
fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// An answer of a person about a thing.
fn answer(source: Source, (thing, person): (&str, &str), response_id: &str) -> WriteBack {
    WriteBack {
        response_id: response_id.to_owned(),
        conversation: 7,
        occasion: Occasion::First,
        tenant: "acme".to_owned(),
        source,
        event_id: "e1".to_owned(),
        rule: "da-7-work-item".to_owned(),
        subject: format!("acme|{source}|{thing}"),
        entity: Entity { kind: "thing".to_owned(), id: thing.to_owned(), ..Entity::default() },
        action_ref: Some(thing.to_owned()),
        verb: Verb::Approve,
        comment: Some("Looks fine".to_owned()),
        responder: person.to_owned(),
        proof: Proof::default(),
        responded_at: Timestamp::from_millis(1_767_603_600_000),
        target: BTreeMap::new(),
        set: texts(&[("state", "approved")]),
    }
}
