//! Recalled: what the audit topic and the receipts hold of one event, laid out like an explanation made before the fact.
//!
//! It needs neither the directory nor the rules: a verdict carries whom it was asked for and the terms that
//! decided it.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use serde::Serialize;

use crate::event::{Ending, NoticeId, Occasion, Receipt, Source, Timestamp, Verdict};
use crate::flow::person::waits_for;

use super::telling::{Pushed, Telling};

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

/// Verdicts that belong together, and what the push service made of their notices.
#[derive(Debug, Default)]
pub struct Memory {
    found: Vec<(u64, Verdict)>,
    /// Whose notice is whose: made when the first receipt is read.
    notices: Option<HashMap<u64, (usize, NoticeId)>>,
    /// What waits for people, by the key of their entries.
    held: HashMap<Vec<u8>, Vec<HeldOf>>,
    pushed: Vec<PushedOf>,
    /// What was said later of jobs: a mark may be read before the receipt of its job, for they lie in partitions of
    /// their own.
    marks: Vec<Receipt>,
}

/// Somebody for whom a telling waits.
#[derive(Debug)]
pub(super) struct HeldOf {
    /// The verdict that owes it.
    pub(super) owed: Verdict,
    user_id: String,
    until: Timestamp,
}

/// Pushes that were accepted, and of which telling they are.
#[derive(Debug)]
pub(super) struct PushedOf {
    /// Tenant, source and id of the change.
    event: (String, Source, String),
    pub(super) subject: String,
    rule: String,
    occasion: String,
    notice: NoticeId,
    pushed: Pushed,
}

// === impl Memory ===

impl Memory {
    /// A verdict, decided by the rules with this hash.
    pub fn verdict(&mut self, topology: u64, verdict: Verdict) {
        self.found.push((topology, verdict));
        self.notices = None;
    }

    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// A receipt: whom the push service took, and whom it did not. All verdicts come first.
    pub fn receipt(&mut self, receipt: &Receipt) {
        if receipt.delivered > 0 || !receipt.undelivered.is_empty() {
            self.marks.push(receipt.clone());
        }
        if receipt.exceptions.is_empty() && receipt.notices.is_empty() {
            return;
        }
        let found = &self.found;
        let notices = self.notices.get_or_insert_with(|| notices(found));
        for accepted in &receipt.notices {
            let Some((owed, notice)) = notices.get(&accepted.notice) else { continue };
            self.pushed.extend(PushedOf::new((&found[*owed].1, *notice), accepted.told, receipt));
        }
        let mut refused = Vec::new();
        for exception in &receipt.exceptions {
            let Some((owed, _)) = notices.get(&exception.notice.short()) else { continue };
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
            let (owed, _) = notices.get(&notice.short())?;
            let (_, owed) = &found[*owed];
            Some(HeldOf { owed: owed.clone(), user_id: waits.user_id.clone(), until: *until })
        };
        let held: Vec<HeldOf> = waits.notices.iter().filter_map(held).collect();
        self.held.insert(key.to_vec(), held);
    }

    /// What reached a device, and what did not: known when every receipt was read.
    fn mark(&mut self) {
        let mut by_job: HashMap<String, Vec<Receipt>> = HashMap::new();
        for mark in std::mem::take(&mut self.marks) {
            by_job.entry(mark.job_id.clone().unwrap_or_default()).or_default().push(mark);
        }
        for push in &mut self.pushed {
            let job = push.pushed.job_id.as_ref().filter(|job| !job.is_empty());
            for mark in job.and_then(|job| by_job.get(job)).into_iter().flatten() {
                push.pushed.delivered = push.pushed.delivered.max(mark.delivered);
                for one in &mark.undelivered {
                    let is_own = push.notice.reference(&one.user_id) == one.reference;
                    if is_own && !push.pushed.undelivered.contains(one) {
                        push.pushed.undelivered.push(one.clone());
                    }
                }
            }
        }
    }

    pub(super) fn pushed(&mut self, pushed: PushedOf) {
        self.pushed.push(pushed);
    }

    pub(super) fn held(&mut self, held: HeldOf) {
        self.held.entry(Vec::new()).or_default().push(held);
    }

    /// Its verdicts and pushes, and what waits.
    pub(super) fn apart(mut self) -> (Vec<(u64, Verdict)>, Vec<PushedOf>, Vec<HeldOf>) {
        self.mark();
        (self.found, self.pushed, self.held.into_values().flatten().collect())
    }

    /// Takes out what is about answers, in the order of time.
    pub(super) fn take_answers(&mut self) -> Vec<Verdict> {
        let is_answer = |verdict: &Verdict| {
            matches!(verdict.ending, Ending::Answered(_) | Ending::AnswerRefused(_) | Ending::Carried(_))
        };
        let (answers, others) =
            std::mem::take(&mut self.found).into_iter().partition(|(_, it)| is_answer(it));
        self.found = others;
        let mut answers: Vec<Verdict> = Vec::into_iter(answers).map(|(_, verdict)| verdict).collect();
        answers.sort_by_key(|verdict| verdict.at);
        answers
    }

    /// The events of this id: an id is unique only within its source and tenant.
    #[must_use]
    pub fn events(mut self) -> Vec<Recalled> {
        self.mark();
        self.found.sort_by_key(|(_, verdict)| verdict.at);
        let mut events: BTreeMap<(String, Source, String), Vec<(u64, Verdict)>> = BTreeMap::new();
        for (topology, verdict) in self.found {
            let key = (verdict.tenant.clone(), verdict.change.source, verdict.event_id.clone());
            events.entry(key).or_default().push((topology, verdict));
        }
        let mut pushed: BTreeMap<_, Vec<PushedOf>> = BTreeMap::new();
        for push in self.pushed {
            pushed.entry(push.event.clone()).or_default().push(push);
        }
        let events = events.into_iter().map(|(key, found)| {
            let pushed = pushed.remove(&key).unwrap_or_default();
            let (tenant, source, _) = key;
            recalled((tenant, source), found, pushed)
        });
        let mut events: Vec<Recalled> = events.collect();
        for HeldOf { owed, user_id, until } in self.held.into_values().flatten() {
            let of_event = |event: &&mut Recalled| {
                (&event.tenant, event.source.as_str(), &event.event_id)
                    == (&owed.tenant, owed.change.source.as_str(), &owed.event_id)
            };
            let tellings = events.iter_mut().filter(of_event).flat_map(|event| &mut event.tellings);
            tellings.filter(|telling| telling.is_of(&owed)).for_each(|telling| telling.hold(&user_id, until));
        }
        events
    }
}

// === impl PushedOf ===

impl PushedOf {
    fn new((owed, notice): (&Verdict, NoticeId), count: u32, receipt: &Receipt) -> Option<Self> {
        Some(Self {
            event: (owed.tenant.clone(), owed.change.source, owed.event_id.clone()),
            subject: owed.subject.clone()?,
            rule: owed.rule.clone()?,
            occasion: owed.occasion?.to_string(),
            notice,
            pushed: Pushed {
                at: receipt.at,
                batch: receipt.message_id.clone(),
                job_id: receipt.job_id.clone(),
                count,
                of_batch: receipt.told,
                delivered: 0,
                undelivered: Vec::new(),
            },
        })
    }
}

// === impl Telling ===

impl Telling {
    /// The change it is about, its rule and occasion: where it stands in a matter.
    #[must_use]
    pub fn place_in(&self, change: &Recalled) -> (String, String, String) {
        (change.event_id.clone(), self.rule.clone(), self.occasion.clone())
    }
}

fn recalled(
    (tenant, source): (String, Source),
    found: Vec<(u64, Verdict)>,
    mut pushed: Vec<PushedOf>,
) -> Recalled {
    let topologies =
        found.iter().filter(|(hash, _)| *hash != 0).map(|(hash, _)| format!("{hash:016x}")).collect();
    let verdicts: Vec<Verdict> = found.into_iter().map(|(_, verdict)| verdict).collect();
    let first = verdicts.first();
    let without_rule = |verdict: &Verdict| match &verdict.ending {
        Ending::Not(reason) if verdict.rule.is_none() => Some(reason.to_string()),
        _ => None,
    };
    let mut tellings = Telling::all(&verdicts, None);
    // The same in whichever order the partitions were read.
    pushed.sort_by(|one, other| {
        (one.pushed.at, &one.pushed.batch).cmp(&(other.pushed.at, &other.pushed.batch))
    });
    for push in pushed {
        let of = tellings
            .iter_mut()
            .find(|telling| telling.rule == push.rule && telling.occasion == push.occasion);
        if let Some(telling) = of {
            telling.pushes.push(push.pushed);
        }
    }
    Recalled {
        event_id: first.map(|verdict| verdict.event_id.clone()).unwrap_or_default(),
        tenant,
        source: source.as_str().to_owned(),
        place: first.map(|verdict| (verdict.change.partition, verdict.change.offset)).unwrap_or_default(),
        subjects: verdicts.iter().filter_map(|verdict| verdict.subject.clone()).collect(),
        topologies,
        ended: verdicts.iter().filter_map(without_rule).collect(),
        tellings,
    }
}

/// The notices that tellings owed went out as.
fn notices(found: &[(u64, Verdict)]) -> HashMap<u64, (usize, NoticeId)> {
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
            let notice = NoticeId::of(event, (rule, subject), (occasion, round));
            notices.insert(notice.short(), (place, notice));
        }
    }
    notices
}
