//! Recalled: what the audit topic holds of one event, laid out like an explanation made before the fact.
//!
//! It needs neither the directory nor the rules: a verdict carries whom it was asked for and the terms that
//! decided it.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use serde::Serialize;

use crate::event::{Ending, NoticeId, Occasion, Receipt, Source, Timestamp, Verdict};
use crate::flow::person::waits_for;

use super::Telling;

/// The most repetitions of one reminder whose notices are known again.
const MOST_ROUNDS: u32 = 1_000;

/// What was decided about one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recalled {
    /// The event.
    pub event_id: String,
    /// Whose it is.
    pub tenant: String,
    /// Where it comes from.
    pub source: String,
    /// Its partition and offset there.
    pub place: (i32, i64),
    /// What it is about.
    pub subjects: BTreeSet<String>,
    /// The hashes of the rules it was decided by.
    pub topologies: BTreeSet<String>,
    /// How it ended where no rule came into it, once for each copy: `unmatched`, `duplicate`.
    pub ended: Vec<String>,
    /// What each rule said.
    pub tellings: Vec<Telling>,
}

/// Verdicts about one event id, and what the push service made of its notices.
#[derive(Debug, Default)]
pub struct Memory {
    found: Vec<(u64, Verdict)>,
    /// Whose notice is whose: made when the first receipt is read.
    notices: Option<HashMap<NoticeId, usize>>,
    /// What waits for people, by the key of their entries.
    held: HashMap<Vec<u8>, Vec<HeldOf>>,
}

/// Somebody for whom a telling waits.
#[derive(Debug)]
struct HeldOf {
    /// Which verdict owes it.
    owed: usize,
    user_id: String,
    until: Timestamp,
}

// === impl Memory ===

impl Memory {
    /// A verdict about the event, decided by the rules with this hash.
    pub fn verdict(&mut self, topology: u64, verdict: Verdict) {
        self.found.push((topology, verdict));
        self.notices = None;
    }

    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// A receipt: who of the event's people the push service did not take. All verdicts come first.
    pub fn receipt(&mut self, receipt: &Receipt) {
        if receipt.exceptions.is_empty() {
            return;
        }
        let found = &self.found;
        let notices = self.notices.get_or_insert_with(|| notices(found));
        let mut refused = Vec::new();
        for exception in &receipt.exceptions {
            let Some(owed) = notices.get(&exception.notice) else { continue };
            let (topology, owed) = &found[*owed];
            let verdict = Verdict {
                at: receipt.at,
                ending: Ending::Not(exception.reason.clone()),
                count: 1,
                people: vec![exception.user_id.clone()],
                asked: None,
                ..owed.clone()
            };
            refused.push((*topology, verdict));
        }
        // They owe nothing, so that who is known by a notice stays as it is.
        self.found.extend(refused);
    }

    /// An entry of `bugle.people.state`: what waits for somebody. All verdicts come first; the newest entry counts.
    pub fn waits(&mut self, key: &[u8], entry: Option<&[u8]>) {
        let found = &self.found;
        let notices = self.notices.get_or_insert_with(|| notices(found));
        let Some(waits) = waits_for(key, entry) else {
            self.held.remove(key);
            return;
        };
        let held = |(notice, until): &(NoticeId, Timestamp)| {
            let owed = *notices.get(notice)?;
            Some(HeldOf { owed, user_id: waits.user_id.clone(), until: *until })
        };
        let held: Vec<HeldOf> = waits.notices.iter().filter_map(held).collect();
        self.held.insert(key.to_vec(), held);
    }

    /// The events of this id: an id is unique only within its source and tenant.
    #[must_use]
    pub fn events(mut self) -> Vec<Recalled> {
        let held: Vec<(Verdict, HeldOf)> =
            self.held.into_values().flatten().map(|held| (self.found[held.owed].1.clone(), held)).collect();
        self.found.sort_by_key(|(_, verdict)| verdict.at);
        let mut events: BTreeMap<(String, Source), Vec<(u64, Verdict)>> = BTreeMap::new();
        for (topology, verdict) in self.found {
            let key = (verdict.tenant.clone(), verdict.change.source);
            events.entry(key).or_default().push((topology, verdict));
        }
        let mut events: Vec<Recalled> =
            events.into_iter().map(|((tenant, source), found)| recalled(tenant, source, found)).collect();
        for (owed, held) in held {
            let of_event = |event: &&mut Recalled| {
                (&event.tenant, event.source.as_str(), &event.event_id)
                    == (&owed.tenant, owed.change.source.as_str(), &owed.event_id)
            };
            let tellings = events.iter_mut().filter(of_event).flat_map(|event| &mut event.tellings);
            tellings
                .filter(|telling| telling.is_of(&owed))
                .for_each(|telling| telling.hold(&held.user_id, held.until));
        }
        events
    }
}

fn recalled(tenant: String, source: Source, found: Vec<(u64, Verdict)>) -> Recalled {
    let topologies =
        found.iter().filter(|(hash, _)| *hash != 0).map(|(hash, _)| format!("{hash:016x}")).collect();
    let verdicts: Vec<Verdict> = found.into_iter().map(|(_, verdict)| verdict).collect();
    let first = verdicts.first();
    let without_rule = |verdict: &Verdict| match &verdict.ending {
        Ending::Not(reason) if verdict.rule.is_none() => Some(reason.to_string()),
        _ => None,
    };
    Recalled {
        event_id: first.map(|verdict| verdict.event_id.clone()).unwrap_or_default(),
        tenant,
        source: source.as_str().to_owned(),
        place: first.map(|verdict| (verdict.change.partition, verdict.change.offset)).unwrap_or_default(),
        subjects: verdicts.iter().filter_map(|verdict| verdict.subject.clone()).collect(),
        topologies,
        ended: verdicts.iter().filter_map(without_rule).collect(),
        tellings: Telling::all(&verdicts, None),
    }
}

/// The notices that tellings owed went out as.
fn notices(found: &[(u64, Verdict)]) -> HashMap<NoticeId, usize> {
    let mut notices = HashMap::new();
    for (place, (_, verdict)) in found.iter().enumerate() {
        let (Some(rule), Some(subject), Some(occasion)) = (&verdict.rule, &verdict.subject, verdict.occasion)
        else {
            continue;
        };
        if verdict.ending != Ending::Routed || verdict.count == 0 {
            continue;
        }
        let event = (verdict.tenant.as_str(), verdict.change.source, verdict.event_id.as_str());
        let rounds = if occasion == Occasion::First { 1 } else { MOST_ROUNDS };
        for round in 0..rounds {
            notices.insert(NoticeId::of(event, (rule, subject), (occasion, round)), place);
        }
    }
    notices
}
