//! Wait: what a telling still has to wait for, and until when.
//!
//! First it is gathered: with other tellings of the same news, or in the person's own window; then it is
//! counted against the cap of its category; last come the person's quiet hours. What is critical waits for
//! nothing.

use crate::directory::Entry;
use crate::event::{DayTime, Priority, Reason, Span, Timestamp, hash128};
use crate::topology::plan::{Overflow, WindowKind};

use super::super::due;
use super::super::stretch::Stretch;
use super::super::telling::Telling;
use super::quiet;
use super::waiting::{Stage, Tally, Waiting, person_key};

/// What a telling waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) stage: Stage,
    pub(super) group: u128,
    pub(super) due: Timestamp,
    /// What waits in the group already is no longer how things are.
    pub(super) replaces: bool,
}

/// What is asked about.
pub(super) struct Asked<'a, 't> {
    /// What it has waited for.
    pub(super) after: Option<Stage>,
    pub(super) telling: &'a Telling<'t>,
    /// Who would be told.
    pub(super) entry: &'a Entry<'t>,
    /// The reader's zone.
    pub(super) zone: &'a str,
    /// What it is told together with, and how many tellings that is.
    pub(super) group: (u128, u32),
}

/// The most that wait in one group; further ones are counted.
const MOST_LISTED: usize = 50;
/// The most of one person that wait for other tellings of the same news.
const MOST_MET: usize = 64;
/// The most that wait for one person.
const MOST_ITEMS: usize = 256;
/// What comes at the very hour at which a digest closes still belongs to it: it leaves this much later.
const GRACE: Span = Span::from_secs(60);
/// Nothing waits for less than the second by which timers go.
const SECOND: Span = Span::from_secs(1);

// === impl Asked ===

impl Asked<'_, '_> {
    /// What it waits for next; `None`: it is told now.
    ///
    /// # Errors
    /// Why it is not told at all, or not by itself.
    pub(super) fn wait(&self, waiting: &mut Waiting<'_>) -> Result<Option<Wait>, Reason> {
        if self.telling.priority == Priority::Critical {
            return Ok(None);
        }
        let mut wait = None;
        if self.after < Some(Stage::Gathered) {
            wait = self.gathered(waiting)?;
            // Where very much comes at once nobody waits for what might still come.
            let is_flooded = waiting.items.len() >= MOST_MET;
            wait = wait.filter(|wait| wait.group != 0 || !is_flooded);
        }
        if wait.is_none() && self.after < Some(Stage::Capped) {
            wait = self.capped(waiting)?;
        }
        if wait.is_none() && self.after < Some(Stage::Quiet) {
            wait = self.quiet();
        }
        if wait.is_some() && self.after.is_none() && waiting.items.len() >= MOST_ITEMS {
            return Err(Reason::Capped);
        }
        Ok(wait.map(|wait| Wait { due: wait.due.max(self.telling.now + SECOND), ..wait }))
    }

    fn gathered(&self, waiting: &mut Waiting<'_>) -> Result<Option<Wait>, Reason> {
        let now = self.telling.now;
        let (Some(window), Some(gather)) = (self.telling.window, self.telling.notice.gather) else {
            let wait = |within| Wait { stage: Stage::Gathered, group: 0, due: now + within, replaces: false };
            return Ok(self.telling.within().map(wait));
        };
        let group = gather.key;
        let (mut told, mut replaces) = (0, false);
        let happened = self.telling.notice.happened_at();
        let open = waiting.tally(Stage::Gathered, group, now).map(|tally| {
            tally.joined(happened);
            (tally.since, tally.due)
        });
        let due = match &window.kind {
            WindowKind::Digest { open: span, close, lead, .. } => {
                if open.is_some() {
                    return self.join(waiting, (Stage::Gathered, group)).map(Some);
                }
                told = u32::from(*lead);
                let close = close.and_then(|hour| closing(now, hour, self.zone));
                span.map(|span| now + span).or(close).unwrap_or(now + SECOND)
            }
            WindowKind::Session { gap, longest } => {
                replaces = true;
                let since = open.map_or(now, |(since, _)| since);
                longest.map_or(now + *gap, |longest| (now + *gap).min(since + longest))
            }
            WindowKind::LatestState(span) => {
                replaces = true;
                open.map_or(now + *span, |(_, due)| due)
            }
            // Of a person nobody counts: `check` says so.
            WindowKind::Threshold { .. } | WindowKind::Level { .. } => return Ok(None),
        };
        match waiting.tally(Stage::Gathered, group, now) {
            Some(tally) => tally.due = due,
            None => {
                let was = gather.was.map(str::to_owned);
                waiting.tallies.push(Tally {
                    group,
                    stage: Stage::Gathered,
                    since: now,
                    due,
                    told,
                    more: 0,
                    was,
                    stretch: happened.map(Stretch::begun),
                });
            }
        }
        // What is told now is not told again with what follows it.
        Ok((told == 0).then_some(Wait { stage: Stage::Gathered, group, due, replaces }))
    }

    fn capped(&self, waiting: &mut Waiting<'_>) -> Result<Option<Wait>, Reason> {
        let (rule, now) = (self.telling.rule, self.telling.now);
        let Some(cap) = &rule.plan.cap else { return Ok(None) };
        let category = rule.plan.category.as_ref().unwrap_or(&rule.id);
        let group = hash128([self.telling.notice.tenant.as_bytes(), b"cap", category.as_bytes()]);
        let Some(tally) = waiting.tally(Stage::Capped, group, now) else {
            let due = now + cap.span;
            let (since, told) = (now, 1);
            let (stage, was, stretch) = (Stage::Capped, None, None);
            waiting.tallies.push(Tally { group, stage, since, due, told, more: 0, was, stretch });
            return Ok(None);
        };
        if tally.told < cap.most {
            tally.told += 1;
            return Ok(None);
        }
        match cap.then {
            Overflow::Drop => Err(Reason::Capped),
            Overflow::Digest => self.join(waiting, (Stage::Capped, group)).map(Some),
        }
    }

    fn quiet(&self) -> Option<Wait> {
        let hours = self.entry.wishes()?.quiet()?;
        let end = quiet::end(self.telling.now, hours, &due::zone(self.zone))?;
        let person = person_key(self.telling.notice.tenant, self.entry.user_id());
        let (group, _) = self.group;
        Some(Wait { stage: Stage::Quiet, group, due: end + quiet::jitter(person), replaces: false })
    }

    /// It is listed with the others, or counted where there are many.
    fn join(&self, waiting: &mut Waiting<'_>, (stage, group): (Stage, u128)) -> Result<Wait, Reason> {
        let is_full = waiting.waiting(stage, group) >= MOST_LISTED;
        match waiting.tally(stage, group, self.telling.now) {
            Some(tally) if is_full => {
                tally.more += self.group.1;
                Err(Reason::Grouped)
            }
            tally => {
                let due = tally.map_or(self.telling.now, |tally| tally.due);
                Ok(Wait { stage, group, due, replaces: false })
            }
        }
    }
}

/// When a digest leaves that closes at an hour.
fn closing(now: Timestamp, hour: DayTime, zone: &str) -> Option<Timestamp> {
    due::next_hour(now - GRACE, hour, &due::zone(zone)).map(|at| at + GRACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_at_the_hour_a_digest_closes_belongs_to_it() {
        let nine = DayTime { hour: 9, minute: 0 };
        let closing = |now: &str| closing(now.parse().unwrap(), nine, "Europe/Berlin").unwrap().to_string();
        assert_eq!(closing("2026-01-05T07:59:00Z"), "2026-01-05T08:01:00.000Z");
        assert_eq!(closing("2026-01-05T08:00:59Z"), "2026-01-05T08:01:00.000Z");
        assert_eq!(closing("2026-01-05T08:01:00Z"), "2026-01-06T08:01:00.000Z");
        // The day on which clocks go forward.
        assert_eq!(closing("2026-03-28T12:00:00Z"), "2026-03-29T07:01:00.000Z");
    }
}
