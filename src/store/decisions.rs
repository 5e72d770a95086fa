//! Decisions: how the newest answers ended on this instance, for whoever answered by a link and waits.
//!
//! In memory and for a while: what is not found here was decided elsewhere, or is not decided yet. Nothing is
//! decided by it.

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
    /// Keeps the verdict of an answer; others are none of its business.
    pub fn note(&self, verdict: &Verdict) {
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
        kept.number += 1;
        let number = kept.number;
        let key = hash128([&verdict.tenant, &verdict.event_id, person].map(|part| part.as_bytes()));
        kept.answers.put(key, number, Decision { number, refused, at: verdict.at });
        if let Ending::Answered(verb) = &verdict.ending {
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
        let counted = &mut self.lock().counted.by_key;
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
