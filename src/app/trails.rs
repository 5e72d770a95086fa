//! Trails: what became of the newest matters, followed from the topics as `bugle audit` reads them.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::broker::{Broker, BrokerError, Follow};
use crate::codec::outputs;
use crate::event::{Incoming, Receipt, Topic, Verdict};
use crate::explain::{Matter, Memory};

/// Everything known of the newest matters.
pub struct Trails {
    follows: Vec<(Topic, Box<dyn Follow>)>,
    /// Verdicts, and the hash of the rules they were decided by.
    by_subject: HashMap<String, Vec<(u64, Verdict)>>,
    /// Subjects in the order in which they were first heard of.
    order: VecDeque<String>,
    receipts: VecDeque<Receipt>,
    /// What waits for people, by the key of their entries.
    waiting: HashMap<Bytes, Bytes>,
}

/// Of how many matters the trail is kept.
const MOST_SUBJECTS: usize = 5_000;
/// How many receipts are kept.
const MOST_RECEIPTS: usize = 20_000;

// === impl Trails ===

impl Trails {
    /// Nothing is known yet.
    ///
    /// # Errors
    /// What the broker said.
    pub fn open(broker: &dyn Broker) -> Result<Self, BrokerError> {
        let mut follows = Vec::new();
        for topic in [Topic::Audit, Topic::Receipts, Topic::Waiting] {
            follows.push((topic, broker.follow(topic)?));
        }
        let (by_subject, order, receipts, waiting) = Default::default();
        Ok(Self { follows, by_subject, order, receipts, waiting })
    }

    /// Reads what was written since.
    ///
    /// # Errors
    /// What the broker said.
    pub fn read(&mut self) -> Result<(), BrokerError> {
        let mut read = Vec::new();
        for (topic, follow) in &mut self.follows {
            let mut records = Vec::new();
            follow.poll(Duration::ZERO, &mut records)?;
            read.extend(records.into_iter().map(|record| (*topic, record)));
        }
        read.into_iter().for_each(|(topic, record)| self.note(topic, &record));
        Ok(())
    }

    fn note(&mut self, topic: Topic, record: &Incoming) {
        let value = record.value.as_deref().unwrap_or_default();
        match topic {
            Topic::Audit => {
                let Ok((link, verdicts)) = outputs::decode_verdicts(value) else { return };
                verdicts.into_iter().for_each(|verdict| self.decided(link.topology, verdict));
            }
            Topic::Waiting => match (record.key.clone(), record.value.clone()) {
                (Some(key), Some(entry)) => drop(self.waiting.insert(key, entry)),
                (Some(key), None) => drop(self.waiting.remove(&key)),
                (None, _) => {}
            },
            _ => {
                self.receipts.extend(outputs::decode_receipt(value).ok());
                let more = self.receipts.len().saturating_sub(MOST_RECEIPTS);
                self.receipts.drain(..more);
            }
        }
    }

    fn decided(&mut self, topology: u64, verdict: Verdict) {
        let Some(subject) = verdict.subject.clone() else { return };
        if let Some(verdicts) = self.by_subject.get_mut(&subject) {
            return verdicts.push((topology, verdict));
        }
        self.by_subject.insert(subject.clone(), vec![(topology, verdict)]);
        self.order.push_back(subject);
        if self.order.len() > MOST_SUBJECTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_subject.remove(&oldest);
        }
    }

    /// What is known of a matter.
    #[must_use]
    pub fn of(&self, subject: &str) -> Option<Matter> {
        let mut memory = Memory::default();
        for (topology, verdict) in self.by_subject.get(subject)? {
            memory.verdict(*topology, verdict.clone());
        }
        self.receipts.iter().for_each(|receipt| memory.receipt(receipt));
        self.waiting.iter().for_each(|(key, entry)| memory.waits(key, Some(&entry[..])));
        memory.matters().pop()
    }
}
