//! Trails: what became of each matter, read from the topics: who was owed a telling and by which term, who was
//! told and when, what was answered, and whether it was carried into the source system.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::broker::{Broker, BrokerError, Follow};
use crate::codec::outputs;
use crate::event::{Carried, Ending, Incoming, Parcel, Receipt, Topic, Verdict};
use crate::flow::frames::FrameItems;
use crate::stand_in::Entry;

/// Everything known of the newest matters.
pub struct Trails {
    follows: Vec<(Topic, Box<dyn Follow>)>,
    by_subject: HashMap<String, Vec<Entry>>,
    /// Subjects in the order in which they were first heard of.
    order: VecDeque<String>,
    /// Whom a batch that has no receipt yet is for.
    batches: HashMap<String, Vec<Sent>>,
}

/// One letter of a batch.
struct Sent {
    subject: String,
    rule: String,
    people: Vec<String>,
    count: u32,
}

/// Of how many matters the trail is kept.
const MOST_SUBJECTS: usize = 5_000;
/// The most people who are named.
const MOST_NAMED: usize = 8;

// === impl Trails ===

impl Trails {
    /// Nothing is known yet.
    ///
    /// # Errors
    /// What the broker said.
    pub fn open(broker: &dyn Broker) -> Result<Self, BrokerError> {
        let mut follows = Vec::new();
        for topic in [Topic::Pushes, Topic::Receipts, Topic::Audit] {
            follows.push((topic, broker.follow(topic)?));
        }
        let (by_subject, order, batches) = Default::default();
        Ok(Self { follows, by_subject, order, batches })
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
        read.into_iter().for_each(|(topic, record)| self.note(topic, record));
        Ok(())
    }

    fn note(&mut self, topic: Topic, record: Incoming) {
        let value = record.value.unwrap_or_default();
        match topic {
            Topic::Audit => {
                let verdicts = outputs::decode_verdicts(&value).map(|(_, verdicts)| verdicts);
                verdicts.unwrap_or_default().into_iter().for_each(|verdict| self.decided(verdict));
            }
            Topic::Receipts => {
                if let Ok(receipt) = outputs::decode_receipt(&value) {
                    self.told(&receipt);
                }
            }
            _ => {
                let items = FrameItems::read(&value).into_iter().flat_map(|(_, items)| items);
                let parcels = items.filter_map(|item| Parcel::read(value.slice_ref(item.ok()?)).ok());
                parcels.for_each(|parcel| self.cut(&parcel));
            }
        }
    }

    fn cut(&mut self, parcel: &Parcel) {
        let batch = parcel.open();
        let sent = batch.letters.iter().enumerate().map(|(place, letter)| {
            let people = batch.members.iter().filter(|member| member.letter as usize == place);
            let count = u32::try_from(people.clone().count()).unwrap_or(u32::MAX);
            let people = people.take(MOST_NAMED).map(|member| member.user_id.to_owned()).collect();
            let rule = format!("{} ({})", batch.head.template.rule, letter.occasion);
            Sent { subject: letter.subject.to_owned(), rule, people, count }
        });
        self.batches.insert(batch.head.message_id.clone(), sent.collect());
    }

    fn told(&mut self, receipt: &Receipt) {
        for sent in self.batches.remove(&receipt.message_id).unwrap_or_default() {
            let is_untold = |person: &&String| receipt.exceptions.iter().any(|one| one.user_id == **person);
            let (untold, told): (Vec<_>, Vec<_>) = sent.people.iter().partition(is_untold);
            let because = receipt.job_id.clone().map(|job| format!("the push service took it as {job}"));
            let entry = |what: &str, people: Vec<&String>, count| Entry {
                at: receipt.at,
                what: what.to_owned(),
                rule: sent.rule.clone(),
                count,
                people: people.into_iter().cloned().collect(),
                because: because.clone().unwrap_or_default(),
            };
            let left = sent.count - u32::try_from(untold.len()).unwrap_or_default();
            if left > 0 && receipt.told > 0 {
                self.add(&sent.subject, entry("told", told, left));
            }
            if !untold.is_empty() {
                let count = u32::try_from(untold.len()).unwrap_or(u32::MAX);
                self.add(&sent.subject, entry("not taken by the push service", untold, count));
            }
        }
    }

    fn decided(&mut self, verdict: Verdict) {
        let Some(subject) = verdict.subject.clone() else { return };
        let what = match &verdict.ending {
            Ending::Routed => "owed".to_owned(),
            Ending::Told => "told".to_owned(),
            Ending::Not(reason) => format!("not told: {}", reason.to_string().replace('_', " ")),
            Ending::Answered(verb) => format!("answered: {}", verb.replace('_', " ")),
            Ending::AnswerRefused(why) => format!("answer does not count: {}", why.replace('_', " ")),
            Ending::Carried(Carried::Confirmed) => "carried into the source system".to_owned(),
            Ending::Carried(Carried::Refused(why) | Carried::Dead(why)) => {
                format!("not carried into the source system: {}", why.replace('_', " "))
            }
        };
        let occasion = verdict.occasion.map(|occasion| format!(" ({occasion})")).unwrap_or_default();
        let asked = verdict.asked.as_deref();
        let named = asked.into_iter().flat_map(|asked| &asked.groups).filter(|group| group.how.belongs());
        let of_terms: Vec<String> = named.clone().flat_map(|group| group.people.clone()).collect();
        let people = if verdict.people.is_empty() { of_terms } else { verdict.people };
        let because = match (asked, &verdict.ending) {
            (Some(asked), _) => asked.audience.clone(),
            (None, Ending::Routed) => format!("change {}", verdict.event_id),
            _ => String::new(),
        };
        let entry = Entry {
            at: verdict.at,
            what,
            rule: format!("{}{occasion}", verdict.rule.unwrap_or_default()),
            count: verdict.count,
            people: people.into_iter().take(MOST_NAMED).collect(),
            because,
        };
        self.add(&subject, entry);
    }

    fn add(&mut self, subject: &str, entry: Entry) {
        if let Some(entries) = self.by_subject.get_mut(subject) {
            return entries.push(entry);
        }
        self.by_subject.insert(subject.to_owned(), vec![entry]);
        self.order.push_back(subject.to_owned());
        if self.order.len() > MOST_SUBJECTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_subject.remove(&oldest);
        }
    }

    /// What is known of a matter.
    #[must_use]
    pub fn of(&self, subject: &str) -> Vec<Entry> {
        let mut entries = self.by_subject.get(subject).cloned().unwrap_or_default();
        entries.sort_by_key(|entry| entry.at);
        entries
    }
}
