//! Ledger: what the stand-in accepted, so that a test can count what was lost and what came twice.
//!
//! A reference is remembered as 128 bits and a person as a number: five million destinations fit into a
//! few hundred megabytes. Only the last jobs are kept whole, for the status call.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use serde::Serialize;

use super::answer::Sent;
use super::arrived::Arrived;
use super::contract::{Refusal, Submit, Texts};
use super::faults::Faults;
use super::foreign::Said;
use super::inbox::{Inboxes, Push, Shown};
use crate::event::timestamp::as_text;
use crate::event::{Timestamp, hash128};

/// What is remembered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    pub(super) inboxes: usize,
    pub(super) jobs: usize,
    pub(super) refs: bool,
    pub(super) arrivals: bool,
}

/// The accepted, by job, reference and person.
pub(super) struct Ledger {
    keep: Keep,
    /// The job of each message id, by its hash.
    messages: HashMap<u128, u64>,
    /// What each job's submit said, as a hash.
    contents: Vec<u128>,
    references: HashSet<u128>,
    /// Of a transport without ids: which references came in which request.
    replaceable: HashSet<u128>,
    /// What was said of the pushes of a webhook, by job.
    results: HashMap<u64, Vec<Said>>,
    numbers: HashMap<Arc<str>, u32>,
    people: Vec<Account>,
    recent: VecDeque<Job>,
    refs: Vec<Reference>,
    ref_messages: HashMap<u64, Box<str>>,
    arrivals: Vec<Arrived>,
    inboxes: Inboxes,
    totals: Totals,
}

/// The sums over everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Submits that made a job.
    pub jobs: u64,
    /// Submits whose message id was known: they got the first job's id and sent nothing.
    pub resubmitted: u64,
    /// Those of them whose content was another than the first job's.
    pub altered: u64,
    /// Status calls that asked by a message id.
    pub asked_after: u64,
    /// Destinations of all jobs.
    pub destinations: u64,
    /// Different references among them.
    pub distinct: u64,
    /// Destinations whose reference an earlier job had: real duplicates.
    pub repeated: u64,
    /// Destinations that came again in the very same request, on a transport without ids: what is on the
    /// device is replaced by itself.
    pub replaced: u64,
    /// Destinations that end in an error.
    pub failed: u64,
    /// People among the destinations.
    pub people: u64,
    /// Submits that came, whatever became of them.
    pub requests: u64,
    /// Submits that were refused, by code.
    pub refused: BTreeMap<String, u64>,
}

/// What one person got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// The address; of users, the name alone.
    pub person: Arc<str>,
    /// Pushes accepted for them.
    pub pushes: u64,
    /// Those among them that they had before.
    pub repeated: u64,
    /// When the last one came, as RFC 3339.
    #[serde(serialize_with = "as_text")]
    pub last_at: Timestamp,
}

/// A job, kept whole.
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) at: Timestamp,
    /// The document that was submitted: read again only when somebody asks for the status.
    pub(super) inner: Vec<u8>,
    /// The faults it was accepted under.
    pub(super) faults: Arc<Faults>,
}

/// A reference as it was accepted.
struct Reference {
    job: u64,
    reference: u128,
    person: u32,
    /// As the person read it, in one line.
    title: Box<str>,
}

/// A person with an inbox.
pub(super) struct Reader {
    pub(super) account: Account,
    /// Pushes nobody has looked at.
    pub(super) unseen: usize,
}

/// The job of an accepted submit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepted {
    /// It made this one.
    New(u64),
    /// Its message id had made this one.
    Known(u64),
}

/// The number in a reference of ours, a hash of any other.
pub(super) fn reference_number(reference: &str) -> u128 {
    reference
        .strip_prefix("d-")
        .filter(|hex| hex.len() == 32)
        .and_then(|hex| u128::from_str_radix(hex, 16).ok())
        .unwrap_or_else(|| hash128([reference.as_bytes()]))
}

/// `otp-1000001` for the first job.
pub(super) fn job_id(number: u64) -> String {
    format!("otp-{}", 1_000_000 + number)
}

// === impl Ledger ===

impl Ledger {
    pub(super) fn new(keep: Keep) -> Self {
        Self {
            keep,
            messages: HashMap::new(),
            contents: Vec::new(),
            references: HashSet::new(),
            replaceable: HashSet::new(),
            results: HashMap::new(),
            numbers: HashMap::new(),
            people: Vec::new(),
            recent: VecDeque::new(),
            refs: Vec::new(),
            ref_messages: HashMap::new(),
            arrivals: Vec::new(),
            inboxes: Inboxes::new(keep.inboxes),
            totals: Totals::default(),
        }
    }

    /// Notes that a submit came.
    pub(super) fn request(&mut self) {
        self.totals.requests += 1;
    }

    /// Notes that it was refused.
    pub(super) fn refused(&mut self, refusal: &Refusal) {
        *self.totals.refused.entry(refusal.code.to_string()).or_default() += 1;
    }

    /// Makes the submit's job, or finds the one its message id made before.
    pub(super) fn accept(
        &mut self,
        submit: &Submit<'_>,
        texts: Texts,
        (at, faults): (Timestamp, &Faults),
    ) -> Accepted {
        let message = submit.options.message_id.as_deref();
        let key = message.map(|id| hash128([id.as_bytes()]));
        if let Some(number) = key.and_then(|key| self.messages.get(&key)) {
            self.totals.resubmitted += 1;
            return Accepted::Known(*number);
        }
        self.totals.jobs += 1;
        let number = self.totals.jobs;
        if let Some(key) = key {
            self.messages.insert(key, number);
        }
        if self.keep.refs {
            self.ref_messages.insert(number, message.unwrap_or("-").into());
        }
        self.deliver(number, submit, texts, (at, faults));
        Accepted::New(number)
    }

    /// The destinations of a submit get their pushes.
    pub(super) fn deliver(
        &mut self,
        number: u64,
        submit: &Submit<'_>,
        texts: Texts,
        (at, faults): (Timestamp, &Faults),
    ) {
        if self.keep.arrivals {
            let message = (&submit.push_message, &texts);
            self.arrivals.extend(submit.destinations.iter().map(|to| Arrived::of(message, to, at)));
        }
        let shown = Arc::new(Shown::of(&submit.push_message, texts, job_id(number)));
        for destination in &submit.destinations {
            let reference = reference_number(&destination.reference);
            let again = !self.references.insert(reference);
            let same = submit.same.map(|same| hash128([&same.to_le_bytes(), &reference.to_le_bytes()]));
            let replaced = same.is_some_and(|same| !self.replaceable.insert(same));
            self.totals.replaced += u64::from(again && replaced);
            let repeat = again && !replaced;
            let failed = faults.fails(reference);
            let person = self.number(&destination.push);
            self.note(person, at, (repeat, failed));
            if !failed {
                self.inboxes.deliver(person, &shown, destination, (at, repeat));
            }
            if self.keep.refs {
                let title = shown.title(destination).replace(char::is_control, " ").into();
                self.refs.push(Reference { job: number, reference, person, title });
            }
        }
    }

    /// Keeps what was said of the pushes of a job.
    pub(super) fn keep_results(&mut self, number: u64, said: Vec<Said>) {
        self.results.insert(number, said);
    }

    /// What was said of them.
    pub(super) fn results(&self, number: u64) -> Option<Vec<Said>> {
        self.results.get(&number).cloned()
    }

    /// Notes what the submit of a job said, and whether it is what was said for this job before.
    pub(super) fn content(&mut self, accepted: Accepted, inner: &[u8]) {
        let content = hash128([inner]);
        match accepted {
            Accepted::New(_) => self.contents.push(content),
            Accepted::Known(number) => {
                let before = usize::try_from(number).ok().and_then(|number| self.contents.get(number - 1));
                self.totals.altered += u64::from(before != Some(&content));
            }
        }
    }

    /// Keeps a job whole, in the place of the oldest when there are enough.
    pub(super) fn keep(&mut self, job: Job) {
        self.recent.push_back(job);
        while self.recent.len() > self.keep.jobs {
            self.recent.pop_front();
        }
    }

    fn note(&mut self, person: u32, at: Timestamp, (repeat, failed): (bool, bool)) {
        self.totals.destinations += 1;
        self.totals.repeated += u64::from(repeat);
        self.totals.failed += u64::from(failed);
        // Numbers are given out as indexes into the list, and nobody is ever taken off it.
        if let Some(account) = usize::try_from(person).ok().and_then(|person| self.people.get_mut(person)) {
            account.pushes += 1;
            account.repeated += u64::from(repeat);
            account.last_at = at;
        }
    }

    fn number(&mut self, push: &str) -> u32 {
        let name = push.strip_prefix("user:").unwrap_or(push);
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.people.len()).unwrap_or(u32::MAX);
        let person: Arc<str> = name.into();
        self.numbers.insert(Arc::clone(&person), number);
        self.people.push(Account { person, pushes: 0, repeated: 0, last_at: Timestamp::default() });
        number
    }

    /// The pushes that arrived since this was asked last, when kept.
    pub(super) fn take_arrivals(&mut self) -> Vec<Arrived> {
        std::mem::take(&mut self.arrivals)
    }

    /// The sums.
    pub(super) fn totals(&self) -> Totals {
        let distinct = self.references.len() as u64;
        Totals { distinct, people: self.people.len() as u64, ..self.totals.clone() }
    }

    /// One person's account.
    pub(super) fn account(&self, person: &str) -> Option<&Account> {
        self.people.get(usize::try_from(*self.numbers.get(person)?).ok()?)
    }

    /// The accounts in the order of their first push.
    pub(super) fn accounts(&self) -> &[Account] {
        &self.people
    }

    /// The id of the job that a message id made.
    pub(super) fn made(&mut self, message_id: &str) -> Option<String> {
        self.totals.asked_after += 1;
        self.messages.get(&hash128([message_id.as_bytes()])).map(|number| job_id(*number))
    }

    /// The job, while it is kept.
    pub(super) fn job(&self, id: &str) -> Option<&Job> {
        let number = id.strip_prefix("otp-")?.parse::<u64>().ok()?.checked_sub(1_000_000)?;
        self.recent.iter().find(|job| job.number == number)
    }

    /// The person's pushes, newest first; `None` when no inbox is held for them. They count as seen now.
    pub(super) fn open_inbox(&mut self, person: &str) -> Option<Vec<Push>> {
        self.inboxes.open(*self.numbers.get(person)?)
    }

    /// What an answer to a push of this person must bring along.
    pub(super) fn token_of(&self, person: &str, arrival: u64) -> Option<String> {
        self.inboxes.token_of(*self.numbers.get(person)?, arrival)
    }

    /// The same of the person's newest push: it says whose inbox this is.
    pub(super) fn token_of_newest(&self, person: &str) -> Option<String> {
        self.inboxes.token_of_newest(*self.numbers.get(person)?)
    }

    /// Keeps what became of an answer.
    pub(super) fn answered(&mut self, person: &str, arrival: u64, sent: Sent) {
        if let Some(number) = self.numbers.get(person) {
            self.inboxes.answered(*number, arrival, sent);
        }
    }

    /// The people whose names contain `wanted`, who got a push most recently first.
    pub(super) fn readers(&self, wanted: &str, most: usize) -> Vec<Reader> {
        let wanted = wanted.to_lowercase();
        let mut found: Vec<(u64, u32, &Account)> = self
            .inboxes
            .people()
            .filter_map(|(number, latest)| {
                Some((latest, number, self.people.get(usize::try_from(number).ok()?)?))
            })
            .filter(|(.., account)| wanted.is_empty() || account.person.to_lowercase().contains(&wanted))
            .collect();
        found.sort_unstable_by_key(|(latest, ..)| std::cmp::Reverse(*latest));
        let reader = |number, account: &Account| Reader {
            account: account.clone(),
            unseen: self.inboxes.unseen(number),
        };
        found.into_iter().take(most).map(|(_, number, account)| reader(number, account)).collect()
    }

    /// Some lines `message id, reference, person, title`, from the line with this number; `None` when not kept.
    pub(super) fn refs(&self, from: usize, most: usize) -> Option<String> {
        use std::fmt::Write;
        if !self.keep.refs {
            return None;
        }
        let mut lines = String::new();
        for Reference { job, reference, person, title } in self.refs.iter().skip(from).take(most) {
            let message = self.ref_messages.get(job).map_or("-", |id| id);
            let person = usize::try_from(*person).ok().and_then(|person| self.people.get(person));
            let person = person.map_or("", |account| &account.person);
            writeln!(lines, "{message}\td-{reference:032x}\t{person}\t{title}")
                .expect("a string takes every line");
        }
        Some(lines)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::stand_in::contract;

    fn ledger(inboxes: usize) -> Ledger {
        Ledger::new(Keep { inboxes, jobs: 2, refs: true, arrivals: false })
    }

    /// Accepts a job for people and references such as `amy=1 bob=2`.
    fn accept(ledger: &mut Ledger, message_id: &str, destinations: &str) -> Accepted {
        let mut list = String::new();
        for destination in destinations.split(' ') {
            let (person, reference) = destination.split_once('=').unwrap();
            let comma = if list.is_empty() { "" } else { "," };
            write!(
                list,
                r#"{comma}{{"ref":"d-{reference:0>32}","push":"user:{person}","inserts":[{{"id":1,"value":"{reference}"}}]}}"#
            )
            .unwrap();
        }
        let inner = format!(
            r#"{{"options":{{"message_id":"{message_id}"}},"push_message":{{"title":"No. {{{{1}}}}","collapse_key":"{{{{1}}}}"}},"destinations":[{list}]}}"#
        );
        let (submit, texts) = contract::read(inner.as_bytes(), &[]).unwrap();
        let accepted = ledger.accept(&submit, texts, (Timestamp::from_millis(5), &Faults::default()));
        ledger.content(accepted, inner.as_bytes());
        accepted
    }

    fn titles(ledger: &mut Ledger, person: &str) -> Vec<String> {
        ledger.open_inbox(person).unwrap_or_default().into_iter().map(|push| push.title).collect()
    }

    #[test]
    fn a_known_message_id_gets_the_first_job_and_sends_nothing() {
        let mut ledger = ledger(10);
        assert_eq!(accept(&mut ledger, "b-1", "amy=1 bob=2"), Accepted::New(1));
        assert_eq!(accept(&mut ledger, "b-2", "amy=3"), Accepted::New(2));
        assert_eq!(accept(&mut ledger, "b-1", "amy=1 bob=2"), Accepted::Known(1));
        let totals = ledger.totals();
        assert_eq!((totals.jobs, totals.resubmitted), (2, 1));
        assert_eq!((totals.destinations, totals.distinct, totals.repeated, totals.people), (3, 3, 0, 2));
        assert_eq!(totals.altered, 0);
        assert_eq!(accept(&mut ledger, "b-1", "amy=1"), Accepted::Known(1));
        assert_eq!(ledger.totals().altered, 1);
    }

    #[test]
    fn a_reference_under_another_message_id_is_a_duplicate() {
        let mut ledger = ledger(10);
        accept(&mut ledger, "b-1", "amy=1");
        accept(&mut ledger, "b-2", "amy=1 amy=2");
        let totals = ledger.totals();
        assert_eq!((totals.destinations, totals.distinct, totals.repeated), (3, 2, 1));
        assert_eq!(ledger.account("amy").unwrap().repeated, 1);
        let line = |message: &str, number: u8| format!("{message}\td-{number:032x}\tamy\tNo. {number}\n");
        let expected = [line("b-1", 1), line("b-2", 1), line("b-2", 2)].concat();
        assert_eq!(ledger.refs(0, 10).unwrap(), expected);
    }

    #[test]
    fn an_inbox_holds_the_newest_first_and_a_collapse_key_once() {
        let mut ledger = ledger(10);
        accept(&mut ledger, "b-1", "amy=1 amy=2 amy=1");
        assert_eq!(ledger.readers("", 9)[0].unseen, 2);
        assert_eq!(titles(&mut ledger, "amy"), ["No. 1", "No. 2"]);
        assert_eq!(ledger.readers("", 9)[0].unseen, 0);
        for number in 3..70 {
            accept(&mut ledger, &format!("b-{number}"), &format!("amy={number}"));
        }
        let titles = titles(&mut ledger, "amy");
        assert_eq!((titles.len(), titles[0].as_str()), (50, "No. 69"));
    }

    #[test]
    fn the_inboxes_of_those_who_heard_longest_ago_are_forgotten_and_the_sums_are_not() {
        let mut ledger = ledger(2);
        accept(&mut ledger, "b-1", "amy=1 bob=2 cem=3 dan=4 amy=5 eve=6");
        let names: Vec<_> = ledger.readers("", 9).into_iter().map(|reader| reader.account.person).collect();
        assert_eq!(names, ["eve".into(), Arc::<str>::from("amy")]);
        assert_eq!(ledger.readers("AM", 9).len(), 1);
        assert!(ledger.open_inbox("bob").is_none());
        assert_eq!(ledger.account("bob").unwrap().pushes, 1);
        assert_eq!(ledger.totals().people, 5);
    }

    #[test]
    fn only_the_last_jobs_are_kept_whole() {
        let mut ledger = ledger(10);
        for number in 1..=3_u64 {
            let (at, faults) = (Timestamp::default(), Arc::default());
            ledger.keep(Job { number, at, inner: Vec::new(), faults });
        }
        assert!(ledger.job("otp-1000001").is_none());
        assert_eq!(ledger.job("otp-1000003").unwrap().number, 3);
        assert!(ledger.job("otp-x").is_none() && ledger.job("7").is_none());
    }
}
