//! Books: what came in, what was owed, and how each ended; from the topics alone.
//!
//! They are computed from what was written down (source topics, audit, receipts), never from the
//! counters that print it, so that a counter that lies is found out. These books must close:
//!
//! - *changes*: read = unmatched + duplicate + refused + routed
//! - *tellings*: candidates = told + merged + suppressed + expired + failed + unknown + held
//! - *answers*: received = accepted + refused
//! - *write-backs*: owed = confirmed + refused + dead + open; what is open is not lost, so it closes none the less

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use serde::Serialize;

use crate::broker::{Broker, BrokerError, Follow};
use crate::codec::outputs;
use crate::event::{Carried, Coordinates, Ending, Reason, Receipt, Source, Topic, Verdict};
use crate::flow::person::held_of;

/// Where every change read ended.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Records in the source topics.
    pub read: u64,
    /// No rule wanted them.
    pub unmatched: u64,
    /// Heard before.
    pub duplicate: u64,
    /// In the dead letters.
    pub refused: u64,
    /// At least one rule took them up.
    pub routed: u64,
    /// Not decided yet.
    pub open: u64,
    /// Whether the book closes.
    pub closes: bool,
}

/// Where every telling owed ended.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Tellings {
    /// People named by rules, over all rules and occasions.
    pub candidates: u64,
    /// Accepted by the push service.
    pub told: u64,
    /// Told by another rule.
    pub merged: u64,
    /// Not told, by reason.
    pub suppressed: BTreeMap<String, u64>,
    /// Too late.
    pub expired: u64,
    /// Refused by the push service.
    pub failed: u64,
    /// Nobody can say.
    pub unknown: u64,
    /// Waiting for a time, or for others like them.
    pub held: u64,
    /// Not decided yet.
    pub open: u64,
    /// Rules and occasions that named nobody.
    pub nobody: u64,
    /// Whether the book closes.
    pub closes: bool,
}

/// Where every answer received ended.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Answers {
    /// Answers taken in.
    pub received: u64,
    /// Those that counted.
    pub accepted: u64,
    /// Those that did not.
    pub refused: u64,
    /// Whether the book closes.
    pub closes: bool,
}

/// Where every answer that a source system is owed ended.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct WriteBacks {
    /// Answers to carry into a source system.
    pub owed: u64,
    /// They stand there.
    pub confirmed: u64,
    /// There was no room for them.
    pub refused: u64,
    /// In the dead letters.
    pub dead: u64,
    /// Not carried there yet.
    pub open: u64,
    /// Whether the book closes: no more ended than were owed.
    pub closes: bool,
}

/// The books.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Books {
    /// Every change read.
    pub changes: Changes,
    /// Every telling owed.
    pub tellings: Tellings,
    /// Every answer received.
    pub answers: Answers,
    /// Every answer owed to a source system.
    pub write_backs: WriteBacks,
}

/// How far one change has come; the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Came {
    Unmatched,
    Duplicate,
    Refused,
    Routed,
}

/// Adds up what is read from the topics.
#[derive(Debug, Default)]
pub struct Bookkeeper {
    read: u64,
    changes: HashMap<Coordinates, Came, foldhash::fast::RandomState>,
    tellings: Tellings,
    /// Those that counted, and those that did not.
    answers: (u64, u64),
    write_backs: WriteBacks,
    batches: u64,
    /// What waits for people, by the key of their entries.
    held: HashMap<Bytes, u64, foldhash::fast::RandomState>,
}

/// Follows the topics the books are computed from.
pub struct Ledgers {
    follows: Vec<(Topic, Box<dyn Follow>)>,
    /// What was added up so far.
    pub keeper: Bookkeeper,
}

// === impl Books ===

impl Books {
    /// Whether all of them close.
    #[must_use]
    pub fn close(&self) -> bool {
        self.changes.closes && self.tellings.closes && self.answers.closes && self.write_backs.closes
    }
}

// === impl Bookkeeper ===

impl Bookkeeper {
    /// A record of a source topic was seen.
    pub fn change(&mut self) {
        self.read += 1;
    }

    /// A verdict was seen.
    pub fn verdict(&mut self, verdict: &Verdict) {
        match &verdict.ending {
            Ending::Answered(_) => return self.answers.0 += 1,
            Ending::AnswerRefused(_) => return self.answers.1 += 1,
            Ending::Carried(carried) => return self.carried(carried),
            _ => {}
        }
        let came = match (&verdict.ending, &verdict.rule) {
            (Ending::Not(Reason::Unmatched), _) => Came::Unmatched,
            (Ending::Not(Reason::Duplicate), None) => Came::Duplicate,
            (Ending::Not(Reason::Refused(_)), None) => Came::Refused,
            _ => Came::Routed,
        };
        let entry = self.changes.entry(verdict.change).or_insert(came);
        *entry = came.max(*entry);
        let count = u64::from(verdict.count);
        match &verdict.ending {
            Ending::Routed => self.tellings.candidates += count,
            Ending::Told => self.tellings.told += count,
            Ending::Not(Reason::Nobody | Reason::PlaceholderEmpty) if count == 0 => self.tellings.nobody += 1,
            Ending::Not(reason) => self.not_told(reason, count),
            Ending::Answered(_) | Ending::AnswerRefused(_) | Ending::Carried(_) => {}
        }
    }

    fn carried(&mut self, carried: &Carried) {
        match carried {
            Carried::Confirmed => self.write_backs.confirmed += 1,
            Carried::Refused(_) => self.write_backs.refused += 1,
            Carried::Dead(_) => self.write_backs.dead += 1,
        }
    }

    /// A receipt was seen.
    pub fn receipt(&mut self, receipt: &Receipt) {
        self.batches += 1;
        self.tellings.told += u64::from(receipt.told);
        // What was refused is open again.
        self.tellings.failed = self.tellings.failed.saturating_sub(u64::from(receipt.again));
        for exception in &receipt.exceptions {
            self.not_told(&exception.reason, 1);
        }
    }

    fn not_told(&mut self, reason: &Reason, count: u64) {
        let book = &mut self.tellings;
        match reason {
            _ if count == 0 => {}
            Reason::Merged(_) => book.merged += count,
            Reason::Expired => book.expired += count,
            Reason::Refused(_) | Reason::TooLarge => book.failed += count,
            Reason::Unknown => book.unknown += count,
            other => *book.suppressed.entry(other.as_str().to_owned()).or_default() += count,
        }
    }

    /// Receipts seen: batches that ended.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.batches
    }

    /// The books as they stand.
    #[must_use]
    pub fn books(&self) -> Books {
        let mut changes = Changes { read: self.read, ..Changes::default() };
        for came in self.changes.values() {
            match came {
                Came::Unmatched => changes.unmatched += 1,
                Came::Duplicate => changes.duplicate += 1,
                Came::Refused => changes.refused += 1,
                Came::Routed => changes.routed += 1,
            }
        }
        let ended = changes.unmatched + changes.duplicate + changes.refused + changes.routed;
        changes.open = changes.read.saturating_sub(ended);
        changes.closes = changes.read == ended;
        let mut tellings = self.tellings.clone();
        let suppressed: u64 = tellings.suppressed.values().sum();
        let ended = tellings.told
            + tellings.merged
            + suppressed
            + tellings.expired
            + tellings.failed
            + tellings.unknown;
        tellings.held = self.held.values().sum();
        let accounted = ended + tellings.held;
        tellings.open = tellings.candidates.saturating_sub(accounted);
        tellings.closes = tellings.candidates == accounted;
        let (accepted, refused) = self.answers;
        let answers = Answers { received: accepted + refused, accepted, refused, closes: true };
        let mut write_backs = self.write_backs.clone();
        let ended = write_backs.confirmed + write_backs.refused + write_backs.dead;
        write_backs.open = write_backs.owed.saturating_sub(ended);
        write_backs.closes = ended <= write_backs.owed;
        Books { changes, tellings, answers, write_backs }
    }
}

// === impl Ledgers ===

impl Ledgers {
    /// Opens the books over everything the topics hold.
    ///
    /// # Errors
    /// What the broker said.
    pub fn open(broker: &dyn Broker) -> Result<Self, BrokerError> {
        let topics = Source::ALL.into_iter().map(Topic::Events).chain([
            Topic::Writebacks,
            Topic::Waiting,
            Topic::Audit,
            Topic::Receipts,
        ]);
        let follows =
            topics.map(|topic| Ok((topic, broker.follow(topic)?))).collect::<Result<_, BrokerError>>()?;
        Ok(Self { follows, keeper: Bookkeeper::default() })
    }

    /// Reads what has been written since, for at most about `wait`.
    ///
    /// # Errors
    /// What the broker said.
    pub fn read(&mut self, wait: Duration) -> Result<(), BrokerError> {
        let share = wait / u32::try_from(self.follows.len().max(1)).unwrap_or(1);
        let mut records = Vec::new();
        for (topic, follow) in &mut self.follows {
            follow.poll(share, &mut records)?;
            for record in records.drain(..) {
                self.keeper.record(*topic, (record.key.as_ref(), record.value.as_deref()));
            }
        }
        Ok(())
    }
}

impl Bookkeeper {
    /// What waits for somebody changed.
    fn waits(&mut self, key: Option<&Bytes>, value: Option<&[u8]>) {
        let Some(key) = key else { return };
        match held_of(key, value) {
            0 => drop(self.held.remove(key)),
            count => drop(self.held.insert(key.clone(), count)),
        }
    }

    /// A record of one of the topics that the books are computed from was seen.
    pub fn record(&mut self, topic: Topic, (key, value): (Option<&Bytes>, Option<&[u8]>)) {
        let (held, value) = (value, value.unwrap_or_default());
        match topic {
            Topic::Events(_) => self.change(),
            Topic::Writebacks => self.write_backs.owed += 1,
            Topic::Waiting => self.waits(key, held),
            Topic::Audit => {
                if let Ok((_, verdicts)) = outputs::decode_verdicts(value) {
                    verdicts.iter().for_each(|verdict| self.verdict(verdict));
                }
            }
            _ => {
                if let Ok(receipt) = outputs::decode_receipt(value) {
                    self.receipt(&receipt);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;

    fn verdict(offset: i64, rule: Option<&str>, ending: Ending, count: u32) -> Verdict {
        Verdict {
            at: Timestamp::default(),
            tenant: "acme".to_owned(),
            event_id: offset.to_string(),
            change: Coordinates { source: Source::Xecm, partition: 0, offset },
            subject: None,
            rule: rule.map(str::to_owned),
            occasion: None,
            ending,
            count,
            people: Vec::new(),
            asked: None,
        }
    }

    #[test]
    fn a_change_heard_by_one_subject_and_known_to_another_is_routed() {
        let mut keeper = Bookkeeper::default();
        keeper.change();
        keeper.verdict(&verdict(0, None, Ending::Not(Reason::Duplicate), 0));
        keeper.verdict(&verdict(0, Some("ec-1"), Ending::Routed, 2));
        let books = keeper.books();
        assert_eq!((books.changes.routed, books.changes.duplicate, books.changes.closes), (1, 0, true));
        assert_eq!((books.tellings.open, books.tellings.closes), (2, false));
    }

    #[test]
    fn a_book_does_not_close_over_a_change_nobody_decided() {
        let mut keeper = Bookkeeper::default();
        keeper.change();
        keeper.change();
        keeper.verdict(&verdict(0, None, Ending::Not(Reason::Unmatched), 0));
        assert!(!keeper.books().close());
    }

    #[test]
    fn a_telling_told_twice_does_not_close_the_book() {
        let mut keeper = Bookkeeper::default();
        keeper.change();
        keeper.verdict(&verdict(0, Some("ec-1"), Ending::Routed, 1));
        keeper.verdict(&verdict(0, Some("ec-1"), Ending::Told, 1));
        assert!(keeper.books().close());
        keeper.verdict(&verdict(0, Some("ec-1"), Ending::Told, 1));
        assert!(!keeper.books().close());
    }
}
