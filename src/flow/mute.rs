//! Mute: what is not said now, because an operator silenced it, or another rule has something open that
//! mutes it.
//!
//! It is asked where something is said and nowhere else, so that what is open goes on: what reminds, repeats
//! or escalates is said once nothing mutes it any more. That it is over is always said to those who heard.

use bytes::Bytes;

use crate::event::mute::{Block, Mute};
use crate::event::{Outgoing, Reason, Topic, hash128};
use crate::store::mutes::in_common;
use crate::topology::{Rule, text_of};

use super::voice::Hearing;
use super::{Outbox, World};

/// Why a rule says nothing of a change now; `None`: it may.
pub(super) fn reason(hearing: &Hearing<'_>, world: &World<'_>) -> Option<Reason> {
    let Hearing { now, change, rule: form, .. } = *hearing;
    let named = |name: &str| match name {
        "tenant" => Some(change.tenant().into()),
        "source" => Some(change.shape().source.as_str().into()),
        "kind" => Some(change.kind().into()),
        "rule" => Some(form.rule.id.as_str().into()),
        "category" => form.rule.plan.category.as_deref().map(Into::into),
        path => text_of(change, path),
    };
    if world.muted.active(now).any(|silence| silence.matches(named)) {
        return Some(Reason::Silenced);
    }
    let blocks =
        |(rule, equal): (&str, String)| world.muted.is_blocked(in_common(change.tenant(), rule, &equal));
    let blocked = !world.muted.has_no_blocks() && form.muted_by(change).any(blocks);
    blocked.then_some(Reason::Inhibited)
}

/// The entry of one conversation of a matter.
fn key(matter: u128, each: &str) -> Bytes {
    Bytes::copy_from_slice(&hash128([&matter.to_le_bytes(), each.as_bytes()]).to_be_bytes())
}

/// Somebody was told of something that mutes others while it is open.
pub(super) fn begin(hearing: &Hearing<'_>, (matter, each): (u128, &str), out: &mut Outbox) {
    let Hearing { now, change, rule, .. } = *hearing;
    let Some(equal) = rule.mutes(change) else { return };
    let (tenant, rule) = (change.tenant().to_owned(), rule.rule.id.clone());
    let block = Mute::Block(Block { tenant, rule, equal, since: now });
    put(key(matter, each), Some(block.write().into()), out);
}

/// It is over.
pub(super) fn end(rule: &Rule, (matter, each): (u128, &str), out: &mut Outbox) {
    if rule.plan.mutes.is_some() {
        put(key(matter, each), None, out);
    }
}

/// It ends because its rule is gone, or nothing was heard of it for long.
pub(super) fn forget(world: &World<'_>, (matter, each): (u128, &str), out: &mut Outbox) {
    let key = key(matter, each);
    if world.muted.has_block(&key) {
        put(key, None, out);
    }
}

fn put(key: Bytes, value: Option<Bytes>, out: &mut Outbox) {
    out.put(Outgoing { topic: Topic::Mutes, partition: Some(0), key: Some(key), value, headers: Vec::new() });
}
