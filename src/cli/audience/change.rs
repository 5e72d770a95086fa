//! Change: who an audience names that it did not name by an older directory, and who no longer, and why.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::directory::{People, Resolved};
use crate::event::BoundAudience;

/// Somebody who is in or out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Moved {
    pub(super) user_id: String,
    /// The term that decides it now.
    pub(super) why: String,
    /// And the one that decided it before.
    pub(super) was: String,
}

/// What differs.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Changes {
    #[serde(rename = "in")]
    pub(super) entered: Vec<Moved>,
    #[serde(rename = "out")]
    pub(super) left: Vec<Moved>,
}

/// An audience in one tenant, and the channels it may use.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) tenant: &'a str,
    pub(super) audience: &'a BoundAudience,
    pub(super) channels: &'a [String],
}

// === impl Changes ===

impl Changes {
    pub(super) fn between(old: &People, new: &People, asking: Asking<'_>) -> Self {
        let resolve = |people| told(&asking.resolve(people));
        let (before, now) = (resolve(old), resolve(new));
        let moved = |people: Vec<&String>| -> Vec<Moved> {
            let ids: Vec<&str> = people.iter().map(|id| id.as_str()).collect();
            let (why, was) = (asking.reasons(new, &ids), asking.reasons(old, &ids));
            let reason = |of: &BTreeMap<String, String>, id: &str| of.get(id).cloned().unwrap_or_default();
            ids.iter()
                .map(|id| Moved { user_id: (*id).to_owned(), why: reason(&why, id), was: reason(&was, id) })
                .collect()
        };
        Self {
            entered: moved(now.difference(&before).collect()),
            left: moved(before.difference(&now).collect()),
        }
    }
}

// === impl Asking ===

impl Asking<'_> {
    fn resolve<'p>(&self, people: &'p People) -> Resolved<'p> {
        people.resolve(self.tenant, self.audience, self.channels)
    }

    /// Why each of these people is, or is not, named.
    fn reasons(&self, people: &People, ids: &[&str]) -> BTreeMap<String, String> {
        let asked = people.asked_of(self.tenant, self.audience, ids, usize::MAX);
        let unreached: BTreeSet<String> =
            self.resolve(people).no_channel().map(|entry| entry.user_id().to_owned()).collect();
        let mut reasons = BTreeMap::new();
        for group in &asked.groups {
            for id in &group.people {
                let reason = match people.get(self.tenant, id) {
                    None => "no entry in the directory".to_owned(),
                    Some(_) if unreached.contains(id) => "no approved channel".to_owned(),
                    Some(entry) if !entry.is_active() => "not active".to_owned(),
                    Some(_) => group.because(Some(id)),
                };
                reasons.insert(id.clone(), reason);
            }
        }
        reasons
    }
}

fn told(resolved: &Resolved<'_>) -> BTreeSet<String> {
    resolved.iter().map(|entry| entry.user_id().to_owned()).collect()
}
