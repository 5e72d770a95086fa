//! Endings: how what waited ended for people one by one, said of a notice and all its people at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::{Asked, BoundAudience, Notice, Reason, Timestamp, Verdict};

use super::super::named::MOST_STANDING;
use super::super::telling::ended;
use super::super::{Outbox, World};

/// The endings that no verdict was given of yet.
#[derive(Debug, Default)]
pub(super) struct Endings(BTreeMap<(u128, Reason), Ended>);

/// How a notice ended for some people.
#[derive(Debug)]
struct Ended {
    verdict: Verdict,
    /// Whom it was for, where they are no longer meant.
    audience: Option<BoundAudience>,
}

/// The most people one verdict names, so that it fits an audit record.
const MOST_NAMED: usize = 1_000;

// === impl Endings ===

impl Endings {
    /// It ended so for one person.
    pub(super) fn add(&mut self, now: Timestamp, notice: &Notice<'_>, (reason, user_id): (&Reason, &str)) {
        let key = (notice.id.0, reason.clone());
        let ended = self.0.entry(key).or_insert_with(|| Ended {
            verdict: ended(now, notice, reason.clone(), &[]),
            audience: (*reason == Reason::LeftAudience).then(|| notice.audience.open().ok()).flatten(),
        });
        ended.verdict.people.push(user_id.to_owned());
    }

    /// Verdicts are given of all of them.
    pub(super) fn give(&mut self, world: &World<'_>, out: &mut Outbox) {
        for Ended { verdict, audience } in std::mem::take(&mut self.0).into_values() {
            for people in verdict.people.chunks(MOST_NAMED) {
                let names: Vec<&str> = people.iter().map(String::as_str).collect();
                let asked = audience.as_ref().map(|audience| {
                    let asked = world.people.asked_of(&verdict.tenant, audience, &names, MOST_STANDING);
                    Arc::new(Asked { directory: world.directory.to_vec(), ..asked })
                });
                let count = u32::try_from(people.len()).unwrap_or(u32::MAX);
                out.verdicts.push(Verdict { count, people: people.to_vec(), asked, ..verdict.clone() });
            }
        }
    }

    /// The transaction was aborted.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
