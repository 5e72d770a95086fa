//! Decisions: how the newest answers ended, for whoever answered by a link and waits.
//!
//! In memory and for a while: what is not found here is forgotten, or not decided yet. It may hear of one decision
//! twice, from this instance's lanes and from the audit topic, and of several in any order. Nothing is decided by it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::event::notice::Verb;
use crate::event::write_back::STILL_OPEN;
use crate::event::{Carried, Ending, Timestamp, Verdict, hash128};

/// How many answers are kept; the oldest leaves first.
const MOST: usize = 20_000;

/// The newest answers.
#[derive(Debug, Default)]
pub struct Decisions(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    number: u64,
    answers: Newest<Decision>,
    counted: Newest<Counted>,
    /// Answers that were not carried out, and whose matter is open.
    returned: Newest<()>,
}

/// How one answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Grows with every decision.
    pub number: u64,
    /// The stable word, where it does not count.
    pub refused: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// An answer that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Whose.
    pub person: String,
    /// When.
    pub at: Timestamp,
}

/// A map that forgets what was put in first.
#[derive(Debug)]
struct Newest<T> {
    by_key: HashMap<u128, (u64, T)>,
    order: VecDeque<(u128, u64)>,
}

// === impl Decisions ===

impl Decisions {
    /// Keeps the verdict of an answer that was decided here; others are none of its business.
    pub fn note(&self, verdict: &Verdict) {
        self.keep(verdict, |_| false);
    }

    /// Keeps one that stands in the audit topic, where nothing as new is known of the answer.
    pub fn heard(&self, verdict: &Verdict) {
        self.keep(verdict, |known| known.at >= verdict.at);
    }

    fn keep(&self, verdict: &Verdict, is_known: impl Fn(&Decision) -> bool) {
        let refused = match &verdict.ending {
            Ending::Answered(_) => None,
            Ending::AnswerRefused(word) => Some(word.clone()),
            Ending::Carried(Carried::Refused(why)) if STILL_OPEN.contains(&why.as_str()) => {
                return self.take_back(verdict);
            }
            _ => return,
        };
        let (Some(person), Some(subject), Some(rule)) =
            (verdict.people.first(), &verdict.subject, verdict.rule.as_deref())
        else {
            return;
        };
        let mut kept = self.lock();
        let key = answer_key(verdict, person);
        if kept.answers.by_key.get(&key).is_some_and(|(_, known)| is_known(known)) {
            return;
        }
        kept.number += 1;
        let number = kept.number;
        kept.answers.put(key, number, Decision { number, refused, at: verdict.at });
        if let Ending::Answered(verb) = &verdict.ending
            && !kept.returned.by_key.contains_key(&key)
        {
            let key = counted_key(&verdict.tenant, subject, rule, verb);
            kept.counted.put(key, number, Counted { person: person.clone(), at: verdict.at });
        }
    }

    /// Its system has no room for a decision, and the thing is open there: it is asked for again.
    fn take_back(&self, verdict: &Verdict) {
        let (Some(person), Some(subject), Some(rule)) =
            (verdict.people.first(), &verdict.subject, verdict.rule.as_deref())
        else {
            return;
        };
        let mut kept = self.lock();
        kept.number += 1;
        let number = kept.number;
        kept.returned.put(answer_key(verdict, person), number, ());
        let counted = &mut kept.counted.by_key;
        for verb in [Verb::Approve, Verb::Reject] {
            let key = counted_key(&verdict.tenant, subject, rule, verb.as_str());
            if counted.get(&key).is_some_and(|(_, counted)| counted.person == *person) {
                counted.remove(&key);
            }
        }
    }

    /// How this person's answer ended.
    #[must_use]
    pub fn of(&self, tenant: &str, response_id: &str, person: &str) -> Option<Decision> {
        let key = hash128([tenant, response_id, person].map(str::as_bytes));
        self.lock().answers.by_key.get(&key).map(|(_, decision)| decision.clone())
    }

    /// The newest answer with one of these words that a rule counted about a subject.
    #[must_use]
    pub fn counted<'v>(
        &self,
        (tenant, subject, rule): (&str, &str, &str),
        verbs: impl IntoIterator<Item = &'v str>,
    ) -> Option<(Counted, &'v str)> {
        let kept = self.lock();
        let counted = verbs.into_iter().filter_map(|verb| {
            let (_, counted) = kept.counted.by_key.get(&counted_key(tenant, subject, rule, verb))?;
            Some((counted.clone(), verb))
        });
        counted.max_by_key(|(counted, _)| counted.at)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer_key(verdict: &Verdict, person: &str) -> u128 {
    hash128([&verdict.tenant, &verdict.event_id, person].map(str::as_bytes))
}

fn counted_key(tenant: &str, subject: &str, rule: &str, verb: &str) -> u128 {
    hash128([tenant, subject, rule, verb].map(str::as_bytes))
}

// === impl Newest ===

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> Newest<T> {
    fn put(&mut self, key: u128, number: u64, value: T) {
        self.by_key.insert(key, (number, value));
        self.order.push_back((key, number));
        while self.order.len() > MOST
            && let Some((key, number)) = self.order.pop_front()
        {
            // It was put in again since, and is as new as that.
            if self.by_key.get(&key).is_some_and(|(kept, _)| *kept == number) {
                self.by_key.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Coordinates, Source};

    fn verdict(at: i64, id: &str, ending: Ending) -> Verdict {
        Verdict {
            at: Timestamp::from_millis(at),
            tenant: "acme".to_owned(),
            event_id: id.to_owned(),
            change: Coordinates { source: Source::Xecm, partition: -1, offset: 0 },
            subject: Some("s".to_owned()),
            rule: Some("r".to_owned()),
            occasion: None,
            ending,
            count: 1,
            people: vec!["ada".to_owned()],
            asked: None,
        }
    }

    #[test]
    fn what_is_heard_twice_or_late_changes_nothing_and_what_was_taken_back_is_not_decided() {
        let counted = |kept: &Decisions| kept.counted(("acme", "s", "r"), ["approve"]).is_some();
        let (approved, repeated) = (
            verdict(1, "r-1", Ending::Answered("approve".to_owned())),
            verdict(2, "r-1", Ending::AnswerRefused("repeated".to_owned())),
        );
        let returned = verdict(3, "r-1", Ending::Carried(Carried::Refused("needs_signature".to_owned())));
        let kept = Decisions::default();
        [&approved, &repeated].iter().for_each(|verdict| kept.note(verdict));
        let before = kept.of("acme", "r-1", "ada").unwrap();
        [&approved, &repeated].iter().for_each(|verdict| kept.heard(verdict));
        assert_eq!(kept.of("acme", "r-1", "ada").unwrap(), before);
        assert!(counted(&kept));
        kept.heard(&returned);
        assert!(!counted(&kept));
        // From another partition it may come first.
        let kept = Decisions::default();
        [&returned, &approved].iter().for_each(|verdict| kept.heard(verdict));
        assert!(!counted(&kept));
    }

    #[test]
    fn what_was_put_in_again_is_kept_and_the_rest_has_an_end() {
        let mut newest = Newest::default();
        newest.put(7, 0, "first");
        (1..=MOST as u64).for_each(|number| newest.put(u128::from(number) + 100, number, "other"));
        assert_eq!(newest.by_key.len(), MOST);
        assert!(!newest.by_key.contains_key(&7), "the oldest leaves first");
        newest.put(101, MOST as u64 + 1, "again");
        newest.put(9, MOST as u64 + 2, "one more");
        assert_eq!(newest.by_key[&101].1, "again");
        assert!(newest.by_key.len() <= MOST && newest.order.len() <= MOST);
    }
}
