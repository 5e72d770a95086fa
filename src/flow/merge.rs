//! Merge: two rules matching one piece of news tell a person once.
//!
//! Tellings of equal news and occasion become one push per person: most answers wins, then priority,
//! then the rule that stands first in the files. Another occasion is never swallowed by the first.
//! Only tellings of rules that can meet are remembered; for the rest this room costs nothing.
//!
//! What has left cannot be taken back. So what is critical, or asks for a decision, is told also after a weaker
//! telling of the same news: two pushes are a nuisance, an alarm or a question that nobody hears is a loss.

use hashbrown::HashMap;

use crate::event::{Occasion, Priority, Span, Timestamp, hash128};
use crate::store::Expiring;

use super::memory::{BrokenMemory, Page, Remembered};

/// How strongly a telling claims the one push; the greater wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// How many answers it offers.
    pub answers: usize,
    /// Its priority.
    pub priority: Priority,
    /// Counted from the last rule, so that the first in the files is the greatest.
    pub standing: std::cmp::Reverse<usize>,
}

// === impl Claim ===

impl Claim {
    /// Stronger than any telling.
    pub const MOST: Self =
        Self { answers: usize::MAX, priority: Priority::Critical, standing: std::cmp::Reverse(0) };
}

/// A telling that waits for the cut.
#[derive(Debug, Clone, Copy)]
pub struct OnItsWay {
    /// How strong it is.
    pub claim: Claim,
    /// Whether it must be heard, though the news is known.
    pub is_grave: bool,
    /// Its number, given by the caller.
    pub number: usize,
    /// Since when it could be told. What is remembered is asked whether it lasts until then: the lane may have
    /// committed nothing for long, and news of today is not the news of last week.
    pub since: Timestamp,
    /// How long the same news is no news after it; the horizon where the rule says nothing.
    pub within: Option<Span>,
}

/// What was told, and what waits for the cut.
#[derive(Debug)]
pub struct Told {
    horizon: Span,
    told: Expiring<u128, ()>,
    open: HashMap<u128, OnItsWay, foldhash::fast::RandomState>,
}

/// What becomes of a telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// Nobody told this person the news; the telling is on its way.
    First,
    /// It was told before.
    Knew,
    /// A stronger telling is on its way, the one with this number.
    Loses(usize),
    /// It replaces the weaker telling with this number.
    Wins(usize),
}

// === impl Told ===

impl Told {
    /// Nothing told yet; what is told is remembered for `horizon`.
    #[must_use]
    pub fn new(horizon: Span) -> Self {
        Self { horizon, told: Expiring::default(), open: HashMap::default() }
    }

    /// Whether it was told, as gravely, or is about to be.
    #[must_use]
    pub fn knows(&self, key: u128, is_grave: bool, since: Timestamp) -> bool {
        self.told.outlives(&weighed(key, is_grave), since) || self.open.contains_key(&key)
    }

    /// Whether something that may come only once comes for the first time; from now on it has come.
    pub fn is_first(&mut self, key: u128, now: Timestamp) -> bool {
        let is_first = !self.told.outlives(&key, now);
        if is_first {
            self.told.insert(key, (), now + self.horizon);
        }
        is_first
    }

    /// A telling for one person.
    pub fn meet(&mut self, key: u128, telling: OnItsWay) -> Met {
        if self.told.outlives(&weighed(key, telling.is_grave), telling.since) {
            return Met::Knew;
        }
        match self.open.get(&key).copied() {
            None => {
                self.open.insert(key, telling);
                Met::First
            }
            Some(standing) if standing.claim >= telling.claim => Met::Loses(standing.number),
            Some(weaker) => {
                self.open.insert(key, telling);
                Met::Wins(weaker.number)
            }
        }
    }

    /// The tellings on their way are told now.
    pub fn cut(&mut self, now: Timestamp) {
        // In the order they were told, so that the same transaction writes the same memory when done again.
        let mut open: Vec<_> = self.open.drain().collect();
        open.sort_unstable_by_key(|(key, telling)| (telling.number, *key));
        for (key, telling) in open {
            let until = now + telling.within.unwrap_or(self.horizon);
            self.told.insert(key, (), until);
            if telling.is_grave {
                self.told.insert(weighed(key, true), (), until);
            }
        }
    }

    /// What the open transaction told.
    pub fn told(&self, now: Timestamp) -> impl Iterator<Item = Remembered> {
        self.told.noted().map(move |(key, (), until)| Remembered { key, at: now, until })
    }

    /// Knows again what an owner before told; how many tellings that is.
    ///
    /// # Errors
    /// [`BrokenMemory`].
    pub fn restore(&mut self, page: &Page<'_>) -> Result<usize, BrokenMemory> {
        let mut count = 0;
        for entry in page.entries() {
            let Remembered { key, at, until } = entry?;
            // Time passes as it did then: what has ended since is not kept.
            self.settle(at);
            self.told.insert(key, (), until);
            count += 1;
        }
        self.told.settle();
        Ok(count)
    }

    /// The transaction was committed.
    pub fn settle(&mut self, now: Timestamp) {
        self.told.settle();
        self.told.expire(now);
    }

    /// A digest of what counts after `at`, in whichever order it was told.
    #[must_use]
    pub fn digest(&self, at: Timestamp) -> u128 {
        let one = |(key, (), until): (u128, (), Timestamp)| {
            hash128([&key.to_le_bytes(), &until.millis().to_le_bytes()])
        };
        self.told.beyond(at).map(one).fold(0, |all, one| all ^ one)
    }

    /// The transaction was aborted.
    pub fn undo(&mut self) {
        self.open.clear();
        self.told.undo();
    }
}

/// What a telling is remembered under that must be heard, beside the key of its news.
fn weighed(key: u128, is_grave: bool) -> u128 {
    if is_grave { hash128([&key.to_le_bytes()[..], b"grave"]) } else { key }
}

/// What one person's telling is remembered under.
#[must_use]
pub fn key(tenant: &str, user_id: &str, news: u128, occasion: Occasion) -> u128 {
    let occasion = match occasion {
        Occasion::First => [0, 0, 0],
        Occasion::Reminder(n) => [1, n.to_le_bytes()[0], n.to_le_bytes()[1]],
        Occasion::Step(n) => [2, n.to_le_bytes()[0], n.to_le_bytes()[1]],
        Occasion::Closed => [3, 0, 0],
    };
    hash128([tenant.as_bytes(), user_id.as_bytes(), &news.to_le_bytes(), &occasion])
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use super::*;

    fn claim(answers: usize, priority: Priority, place: usize) -> Claim {
        Claim { answers, priority, standing: Reverse(place) }
    }

    fn telling(claim: Claim, number: usize) -> OnItsWay {
        OnItsWay { claim, is_grave: false, number, since: Timestamp::default(), within: None }
    }

    #[test]
    fn most_answers_wins_then_priority_then_file_order() {
        assert!(claim(2, Priority::Low, 9) > claim(1, Priority::Critical, 0));
        assert!(claim(1, Priority::High, 9) > claim(1, Priority::Normal, 0));
        assert!(claim(1, Priority::High, 0) > claim(1, Priority::High, 1));
    }

    #[test]
    fn a_person_hears_news_once_and_the_stronger_telling_of_one_transaction_wins() {
        let mut told = Told::new(Span::from_secs(60));
        assert_eq!(told.meet(1, telling(claim(0, Priority::Normal, 0), 0)), Met::First);
        assert_eq!(told.meet(1, telling(claim(3, Priority::Normal, 1), 1)), Met::Wins(0));
        assert_eq!(told.meet(1, telling(claim(1, Priority::Normal, 2), 2)), Met::Loses(1));
        told.cut(Timestamp::default());
        assert_eq!(told.meet(1, telling(claim(9, Priority::Critical, 0), 3)), Met::Knew);
    }

    #[test]
    fn what_must_be_heard_is_told_after_a_weaker_telling_and_not_twice() {
        let mut told = Told::new(Span::from_secs(60));
        let grave = OnItsWay { is_grave: true, ..telling(claim(3, Priority::High, 1), 0) };
        told.meet(1, telling(claim(1, Priority::Normal, 0), 0));
        told.cut(Timestamp::default());
        assert!(told.knows(1, false, Timestamp::default()) && !told.knows(1, true, Timestamp::default()));
        assert_eq!(told.meet(1, grave), Met::First);
        told.cut(Timestamp::default());
        assert_eq!(told.meet(1, grave), Met::Knew);
        assert_eq!(told.meet(1, telling(claim(9, Priority::Normal, 0), 0)), Met::Knew);
        // And what is told with it in one transaction is one push, as ever.
        assert_eq!(told.meet(2, grave), Met::First);
        assert_eq!(told.meet(2, telling(claim(1, Priority::Normal, 0), 1)), Met::Loses(0));
    }

    #[test]
    fn an_aborted_telling_was_never_told() {
        let mut told = Told::new(Span::from_secs(60));
        told.meet(1, telling(claim(0, Priority::Normal, 0), 0));
        told.cut(Timestamp::default());
        told.undo();
        assert_eq!(told.meet(1, telling(claim(0, Priority::Normal, 0), 0)), Met::First);
    }

    #[test]
    fn the_same_news_is_news_again_after_the_span_its_rule_names() {
        let mut told = Told::new(Span::from_secs(3_600));
        let within = Some(Span::from_secs(30));
        told.meet(1, OnItsWay { within, ..telling(claim(0, Priority::Normal, 0), 0) });
        told.cut(Timestamp::default());
        for (secs, met) in [(29, Met::Knew), (40, Met::First)] {
            told.settle(Timestamp::from_millis(secs * 1_000));
            assert_eq!(told.meet(1, telling(claim(9, Priority::High, 0), 0)), met, "{secs}");
        }
    }

    #[test]
    fn news_after_a_silence_is_news_though_nothing_was_committed_meanwhile() {
        let mut told = Told::new(Span::from_secs(60));
        told.meet(1, telling(claim(0, Priority::Normal, 0), 0));
        told.cut(Timestamp::default());
        told.settle(Timestamp::default());
        let at = |secs: i64| OnItsWay {
            since: Timestamp::from_millis(secs * 1_000),
            ..telling(claim(0, Priority::Normal, 0), 1)
        };
        assert_eq!(told.meet(1, at(60)), Met::Knew);
        assert_eq!(told.meet(1, at(61)), Met::First);
    }

    #[test]
    fn a_step_is_never_swallowed_by_the_first_telling() {
        let keys = [Occasion::First, Occasion::Step(1), Occasion::Reminder(1), Occasion::Closed];
        let keys = keys.map(|occasion| key("acme", "ada", 7, occasion));
        assert!((1..keys.len()).all(|index| !keys[..index].contains(&keys[index])));
    }
}
