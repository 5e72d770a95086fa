//! Carry: what an accepted answer writes into the system that asked.
//!
//! The record holds what the person saw, so that whoever carries it out can tell whether that is still so. It
//! leaves in the transaction of the decision: an answer that counts and is not owed to the source does not exist.

use std::collections::BTreeMap;

use crate::codec;
use crate::event::answer::Proof;
use crate::event::ids::partition_of;
use crate::event::notice::Verb;
use crate::event::shape::slot;
use crate::event::write_back::{Entity, WriteBack};
use crate::event::{Change, Source, Topic, hash128};
use crate::topology::{Rule, text_of};

use super::answers::Given;
use super::{Outbox, Plan};

/// The fields a source system needs to find the place, or that say what the person saw there.
const TARGETS: &[&str] = &[
    "process_id",
    "subprocess_id",
    "task_id",
    "status_key",
    "group_task",
    "signature_required",
    "initiator",
    "node.id",
    "workspace.id",
    "status_to",
    "category_attr",
    "followup_id",
    "flow_id",
    "execution_id",
    "step",
    "action_id",
    "request_id",
    "work_item.id",
    "work_item.state",
    "work_item.etag",
];

/// What can be set only where the change names the thing: by which field.
const NEEDS: &[(&str, &str)] = &[("accept", "process_id"), ("followup", "followup_id")];

/// Writes down that the answer is owed to the source, where its rule wants it there.
pub(super) fn owe(given: &Given<'_>, (rule, change): (&Rule, &Change<'_>), plan: &Plan, out: &mut Outbox) {
    let Some(mut set) = set(rule, given.answer.verb, change, given.answer.person) else { return };
    // Who has only heard of somebody else's task does not take it on by saying so.
    if rule.looks_on(given.answer.occasion) {
        set.remove("accept");
    }
    if set.is_empty() {
        return;
    }
    let text = |at: u16| change.text(at).map(str::to_owned);
    let target = TARGETS.iter().filter_map(|path| {
        let value = text_of(change, path)?;
        Some(((*path).to_owned(), value.into_owned()))
    });
    let answer = given.answer;
    let write_back = WriteBack {
        response_id: answer.response_id.to_owned(),
        conversation: answer.conversation,
        occasion: answer.occasion,
        tenant: answer.tenant.to_owned(),
        source: change.shape().source,
        event_id: change.event_id().to_owned(),
        rule: rule.id.clone(),
        subject: given.item.subject.to_owned(),
        entity: Entity {
            kind: text(slot::ENTITY_TYPE).unwrap_or_default(),
            id: text(slot::ENTITY_ID).unwrap_or_default(),
            version: text(slot::ENTITY_VERSION),
            name: text(slot::ENTITY_NAME),
            url: text(slot::ENTITY_URL),
        },
        action_ref: text(slot::ACTION_REF),
        verb: answer.verb,
        comment: answer.comment.map(str::to_owned),
        responder: answer.person.to_owned(),
        proof: Proof::of(given.item),
        responded_at: answer.received_at,
        target: target.collect(),
        set,
    };
    let key = write_back.key();
    let partition = home_of(&write_back, plan.write_backs);
    let value = codec::write_back::encode(plan.ids.write_back, &write_back);
    out.write(Topic::Writebacks, partition, Some(key.into_bytes().into()), value);
    out.tally.write_backs += 1;
}

/// The partition of `bugle.writebacks` where an answer belongs.
#[must_use]
pub fn home_of(write_back: &WriteBack, partitions: u32) -> i32 {
    partition_of(about(write_back), partitions)
}

/// A hash of what an answer is about: partitions go by it.
pub(super) fn about(write_back: &WriteBack) -> u128 {
    hash128([write_back.key().as_bytes()])
}

/// What is to be set: what the source does with such an answer, and over it what the rule says. `None` where
/// nothing is to be carried out.
fn set(rule: &Rule, verb: Verb, change: &Change<'_>, person: &str) -> Option<BTreeMap<String, String>> {
    if !rule.writes_back() {
        return None;
    }
    let mut set: BTreeMap<String, String> = usual(rule.source, verb)
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let own = rule
        .plan
        .write_back
        .iter()
        .find(|(other, _)| other.value == verb)
        .map(|(_, writes)| writes.as_slice());
    for (name, value) in own.unwrap_or_default() {
        set.insert(name.value.clone(), value_of((&name.value, value), change, person));
    }
    // What a source does with a task or a reminder it does not do where the change speaks of none.
    for (name, path) in NEEDS {
        if text_of(change, path).is_none() {
            set.remove(*name);
        }
    }
    (!set.is_empty()).then_some(set)
}

/// `responder` is who answered, `+1` one more than the person saw; everything else stands for itself.
fn value_of((name, value): (&str, &str), change: &Change<'_>, person: &str) -> String {
    if value == "responder" {
        return person.to_owned();
    }
    let more = value.strip_prefix('+').and_then(|number| number.parse::<i64>().ok());
    match more {
        Some(more) => {
            let seen = text_of(change, name).and_then(|seen| seen.parse::<i64>().ok());
            seen.unwrap_or_default().saturating_add(more).to_string()
        }
        None => value.to_owned(),
    }
}

/// What a source system does with an answer when the rule does not say otherwise.
const fn usual(source: Source, verb: Verb) -> &'static [(&'static str, &'static str)] {
    match (source, verb) {
        (Source::Xecm | Source::Bws, Verb::Approve) => &[("custom_action", "approve")],
        (Source::Xecm | Source::Bws, Verb::Reject) => &[("custom_action", "reject")],
        (Source::Xecm | Source::Bws, Verb::RequestInfo) => &[("action", "SendForReview")],
        (Source::Xecm | Source::Bws, Verb::Acknowledge) => &[("accept", "group_task")],
        // Content Server has nothing that would follow a task up.
        (Source::Xecm | Source::Bws, Verb::FollowUp) => &[],
        (_, Verb::Approve) => &[("state", "approved")],
        (_, Verb::Reject) => &[("state", "rejected")],
        (_, Verb::Acknowledge) => &[("state", "acknowledged")],
        (Source::XConnector, Verb::RequestInfo) => &[("state", "info_requested")],
        (Source::DevAdmin, Verb::RequestInfo) | (_, Verb::FollowUp) => &[("state", "follow_up")],
    }
}
