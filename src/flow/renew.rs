//! Renew: what a conversation waits for by rules that were replaced becomes what the newer ones say.
//!
//! A timer is known by what it is, so a rule that changes keeps those it still has. One that it has no longer, but
//! has another in its place (the same step, the same rung of the ladder), gives way to that one: an escalation that
//! was four hours away and is now six away comes after six. It is looked at when the conversation is: what is nearer
//! now comes at the latest when the old one would have.

use jiff::tz::TimeZone;

use crate::event::{Change, Timestamp};
use crate::topology::schedule::{Start, Timer};
use crate::topology::{KindRule, Topology};

use super::World;
use super::conversation::{Armed, Conversation, What};
use super::due::{self, Origin};

/// Gives timers that the rule no longer has to those that stand in their place.
pub(super) fn renew(
    talk: &mut Conversation<'_>,
    (rule, change): (&KindRule, &Change<'_>),
    (world, zone): (&World<'_>, &TimeZone),
) {
    let mut armed = std::mem::take(&mut talk.armed);
    for one in &mut armed {
        let What::Timer(id) = one.what else { continue };
        if rule.timers.iter().any(|timer| timer.id == id) {
            continue;
        }
        let Some((old, new)) = successor(world.topology, (rule, change.kind()), id) else { continue };
        let at = |timer: &Timer| {
            let last = one.due - old.offset;
            let base = origin(timer.start, talk, change, last)?;
            first(timer, (rule, change), (base, zone))
        };
        let Some(due) = at(new) else { continue };
        // A question that paused it pauses what takes its place.
        let paused = at(old).is_some_and(|was| old.every.is_none() && was < one.due);
        let due = if paused { due.max(one.due) } else { due };
        *one = Armed { what: What::Timer(new.id), due, round: 0 };
    }
    talk.armed = armed;
}

/// The timer as an earlier version of the rule had it, and the one that stands in its place and is new.
fn successor<'t>(
    topology: &'t Topology,
    (rule, kind): (&'t KindRule, &str),
    id: u32,
) -> Option<(&'t Timer, &'t Timer)> {
    let before = topology.before().find_map(|before| {
        let timers = &before.rule_for(&rule.rule.id, kind)?.timers;
        timers.iter().any(|timer| timer.id == id).then_some(timers)
    })?;
    let old = before.iter().find(|timer| timer.id == id)?;
    let alike = |timer: &&Timer| timer.purpose == old.purpose;
    let place = before.iter().filter(alike).position(|timer| timer.id == id)?;
    let new = rule.timers.iter().filter(alike).nth(place)?;
    (!before.iter().any(|timer| timer.id == new.id)).then_some((old, new))
}

/// The moment that a timer starts from; `last` is when the subject changed last.
pub(super) fn origin(
    start: Start,
    talk: &Conversation<'_>,
    change: &Change<'_>,
    last: Timestamp,
) -> Option<Origin> {
    match start {
        Start::Event(slot) => Origin::of(change, slot),
        Start::Opened => Some(Origin::At(talk.opened_at)),
        Start::Told => talk.told_at.map(Origin::At),
        Start::Last => Some(Origin::At(last)),
    }
}

/// When a timer is due for the first time.
fn first(
    timer: &Timer,
    (rule, change): (&KindRule, &Change<'_>),
    (base, zone): (Origin, &TimeZone),
) -> Option<Timestamp> {
    match rule.calendar(change).filter(|_| timer.business) {
        Some(calendar) => calendar.after(base.at(zone)?, timer.offset, zone),
        None => due::due(timer, base, 0, zone),
    }
}
