//! Window: whether a change is told now, or waits to be told as one with others.
//!
//! Which changes belong together, and what becomes of one that comes late, is said in [`Stretch`].

use jiff::tz::TimeZone;

use crate::event::{Span, Timestamp};
use crate::topology::plan::{Tell, WindowKind};
use crate::topology::{Rule, RuleFault};

use super::conversation::Conversation;
use super::due;
use super::stretch::Stretch;
use super::voice::Hearing;

/// What a change brings about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// It is told at once.
    Tell,
    /// It is part of what will be told, or of what need not be.
    Wait,
    /// It is told by timers alone.
    Later,
    /// It says that the matter is over.
    Close,
}

/// Takes a change into its window.
///
/// # Errors
/// The conditions of a level have no answer for it.
pub(super) fn gather(
    talk: &mut Conversation<'_>,
    hearing: &Hearing<'_>,
    zone: &TimeZone,
) -> Result<Move, RuleFault> {
    let Hearing { now, rule, change, .. } = *hearing;
    let held = talk.is_held();
    if !held {
        (talk.gathered.count, talk.gathered.since) = (0, now);
    }
    let Some(window) = rule.rule.window() else {
        return Ok(match rule.rule.plan.tell.value {
            Tell::Now => Move::Tell,
            Tell::Later => Move::Later,
            Tell::Hold(span) => {
                if talk.told_at.is_none() && !held {
                    talk.hold_until(now + span);
                }
                Move::Wait
            }
        });
    };
    talk.gathered.count = talk.gathered.count.saturating_add(1);
    if !rule.rule.counts_changes() {
        stretch(talk, change.occurred_at(), held);
    }
    match window {
        WindowKind::LatestState(span) => {
            if !held {
                // What people heard last is how they know it; until they heard anything, what it was before.
                let (from, _) = rule.state(change);
                talk.gathered.was = talk.gathered.said.clone().or(from);
                talk.hold_until(now + *span);
            }
            Ok(Move::Wait)
        }
        WindowKind::Digest { .. } if held => Ok(Move::Wait),
        WindowKind::Digest { open, every, close, lead, .. } => {
            let ends = open.map(|open| now + open);
            let ends = ends.or_else(|| close.and_then(|hour| due::next_hour(now, hour, zone)));
            let told = talk.gathered.stretch().and_then(|stretch| stretch.told);
            let soonest = told.zip(*every).map(|(told, every)| told + every).filter(|soonest| *soonest > now);
            talk.hold_until(ends.unwrap_or(now).max(soonest.unwrap_or(now)));
            if !lead || soonest.is_some() {
                return Ok(Move::Wait);
            }
            // What is told now is not told again with what follows it.
            talk.gathered.count = 0;
            was_told(talk, now);
            Ok(Move::Tell)
        }
        WindowKind::Threshold { count, within } => Ok(threshold(talk, hearing, (*count, *within))),
        WindowKind::Level { held: span, .. } => level(talk, hearing, *span),
        WindowKind::Session { gap, longest } => {
            let latest = longest.map_or(Timestamp::from_millis(i64::MAX), |most| talk.gathered.since + most);
            talk.hold_until((now + *gap).min(latest));
            Ok(Move::Wait)
        }
    }
}

/// A change joins what a window has open, or begins it.
fn stretch(talk: &mut Conversation<'_>, at: Timestamp, held: bool) {
    let before = talk.gathered.stretch();
    let told = before.and_then(|before| before.told);
    let open = before.filter(|_| held).map(|open| open.joined(at));
    talk.gathered.set_stretch(open.unwrap_or(Stretch { told, ..Stretch::begun(at) }));
}

fn was_told(talk: &mut Conversation<'_>, now: Timestamp) {
    if let Some(stretch) = talk.gathered.stretch() {
        talk.gathered.set_stretch(Stretch { told: Some(now), ..stretch });
    }
}

/// Whether a change happened only after the window that is open had ended.
pub(super) fn is_over(talk: &Conversation<'_>, hearing: &Hearing<'_>) -> bool {
    // The times of a threshold are no stretch, and it is never over by one.
    let (Some(ends), Some(open)) = (talk.held_until(), talk.gathered.stretch()) else { return false };
    let (at, long) = (hearing.change.occurred_at(), ends.since(talk.gathered.since));
    hearing.rule.rule.window().is_some_and(|window| open.is_over(at, window, long))
}

/// Told when so many came within a span; then not again until it is over.
fn threshold(talk: &mut Conversation<'_>, hearing: &Hearing<'_>, (count, within): (u32, Span)) -> Move {
    if talk.told_at.is_some() {
        return Move::Wait;
    }
    let times = &mut talk.gathered.times;
    times.push(hearing.change.occurred_at());
    let newest = times.iter().copied().max().unwrap_or_default();
    times.retain(|at| newest.since(*at) <= within);
    if times.len() < count as usize {
        return Move::Wait;
    }
    times.clear();
    Move::Tell
}

/// Told when it stayed up for a span, over when it is down again.
fn level(talk: &mut Conversation<'_>, hearing: &Hearing<'_>, span: Option<Span>) -> Result<Move, RuleFault> {
    let (raised, cleared) = hearing.rule.level(hearing.change)?;
    match (talk.told_at, span) {
        (Some(_), _) if cleared => return Ok(Move::Close),
        (None, None) if raised => return Ok(Move::Tell),
        (None, Some(span)) if raised && !talk.is_held() => talk.hold_until(hearing.now + span),
        (None, _) if !raised => talk.let_go(),
        _ => {}
    }
    Ok(Move::Wait)
}

/// How long a window remembers what it counts.
pub(super) fn reach(rule: &Rule) -> Span {
    match rule.window() {
        Some(WindowKind::Threshold { within, .. }) => *within,
        Some(WindowKind::Digest { every: Some(every), .. }) => *every,
        _ => Span::ZERO,
    }
}

/// Whether a round goes on when nothing of it is due any more, until something closes it.
pub(super) fn is_unending(rule: &Rule) -> bool {
    match rule.window() {
        Some(WindowKind::Level { .. }) => true,
        Some(_) => rule.plan.until.is_some(),
        None => false,
    }
}

/// What is told of what was gathered: of how many changes, or nothing when there is nothing to say.
pub(super) fn release(talk: &mut Conversation<'_>, hearing: &Hearing<'_>) -> Option<u32> {
    let count = std::mem::take(&mut talk.gathered.count);
    match hearing.rule.rule.window() {
        Some(WindowKind::LatestState(_)) => {
            let (_, is) = hearing.rule.state(hearing.change);
            if is.is_some() && is == talk.gathered.was.take() {
                // It came back to where it was.
                return None;
            }
            talk.gathered.said = is;
            Some(1)
        }
        Some(WindowKind::Digest { .. }) => {
            let count = Some(count).filter(|count| *count > 0)?;
            was_told(talk, hearing.now);
            Some(count)
        }
        // Of a session, a level or what was held, the newest state is told.
        _ => Some(1),
    }
}
