//! Following: the jobs whose pushes are on their way to devices, and when each is asked after.
//!
//! What it finds out is a mark on what was told, and changes nothing about that. It asks seldom and for a while;
//! what nobody has heard of by then stays unknown.
//!
//! Under a batch's key and one byte more stands the job that it became.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Parked;
use crate::event::frame::{append, take};
use crate::event::job::JobStatus;
use crate::event::{BatchHead, Outgoing, Receipt, Span, Timestamp, Topic};
use crate::flow::Outbox;
use crate::flow::cursor::At;
use crate::flow::memory::BrokenMemory;

/// The format this version writes; of a later one it reads nothing.
const VERSION: u8 = 1;
/// The most jobs followed in one partition; of more, nothing is asked.
const MOST_FOLLOWED: usize = 1_000;
/// The most questions of one partition under way at once.
const MOST_ASKED: usize = 4;
/// After this nobody waits for a device any more.
const LONGEST: Span = Span::from_secs(15 * 60);
/// The longest between two questions.
const LONGEST_WAIT: Span = Span::from_secs(5 * 60);

/// The jobs of one partition.
#[derive(Debug)]
pub(super) struct Following {
    jobs: BTreeMap<At, Job>,
    due: BTreeSet<(Timestamp, At)>,
    asked: BTreeSet<At>,
    /// What the next transaction writes.
    changed: BTreeSet<At>,
}

/// A job that is followed.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Job {
    job_id: String,
    message_id: String,
    tenant: String,
    account: String,
    rule: String,
    /// How long after it was taken it was asked after first.
    after: Span,
    since: Timestamp,
    /// How often it was asked after.
    times: u32,
}

/// A question about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The batch it was.
    pub at: At,
    /// The account it was sent with.
    pub account: String,
    /// The job.
    pub job_id: String,
}

// === impl Following ===

impl Following {
    pub(super) fn new() -> Self {
        Self { jobs: BTreeMap::new(), due: BTreeSet::new(), asked: BTreeSet::new(), changed: BTreeSet::new() }
    }

    /// A batch became a job.
    pub(super) fn follow(&mut self, (now, at): (Timestamp, At), head: &BatchHead, job_id: &str, after: Span) {
        if self.jobs.len() >= MOST_FOLLOWED {
            return;
        }
        let job = Job {
            job_id: job_id.to_owned(),
            message_id: head.message_id.clone(),
            tenant: head.tenant.clone(),
            account: head.account.clone(),
            rule: head.template.rule.clone(),
            after,
            since: now,
            times: 0,
        };
        self.due.insert((job.due(), at));
        self.jobs.insert(at, job);
        self.changed.insert(at);
    }

    /// Asks after what is due.
    pub(super) fn ask(&mut self, now: Timestamp, out: &mut Outbox) {
        while self.asked.len() < MOST_ASKED
            && let Some((_, at)) = self.due.first().copied().filter(|(due, _)| *due <= now)
        {
            self.due.pop_first();
            if let Some(job) = self.jobs.get(&at) {
                self.asked.insert(at);
                out.questions.push(Question { at, account: job.account.clone(), job_id: job.job_id.clone() });
            }
        }
    }

    /// When the next is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().filter(|_| self.asked.len() < MOST_ASKED).map(|(due, _)| *due)
    }

    /// What was said of a job: its mark, once there is nothing more to wait for.
    pub(super) fn said(&mut self, now: Timestamp, at: At, status: Option<JobStatus>) -> Option<Receipt> {
        self.asked.remove(&at);
        let job = self.jobs.get_mut(&at)?;
        self.changed.insert(at);
        job.times += 1;
        if !status.as_ref().is_some_and(JobStatus::is_over) && now.since(job.since) < LONGEST {
            self.due.insert((job.due(), at));
            return None;
        }
        let job = self.jobs.remove(&at)?;
        let (delivered, undelivered) = status.map(JobStatus::marks).unwrap_or_default();
        Some(Receipt {
            message_id: job.message_id,
            tenant: job.tenant,
            account: job.account,
            rule: job.rule,
            at: now,
            job_id: Some(job.job_id),
            delivered,
            undelivered,
            ..Receipt::default()
        })
    }

    /// Writes what changed.
    pub(super) fn cut(&self, partition: i32, out: &mut Outbox) {
        for at in &self.changed {
            out.put(Outgoing {
                topic: Topic::Parked,
                partition: Some(partition),
                key: Some(Parked::job_key(*at).into()),
                value: self.jobs.get(at).map(|job| append(job, vec![VERSION]).into()),
                headers: Vec::new(),
            });
        }
    }

    /// The transaction was committed. After an abort everything is written again.
    pub(super) fn settle(&mut self) {
        self.changed.clear();
    }

    /// A job as an owner before left it.
    ///
    /// # Errors
    /// [`BrokenMemory`].
    pub(super) fn restore(&mut self, at: At, value: Option<&Bytes>) -> Result<(), BrokenMemory> {
        if let Some(before) = self.jobs.remove(&at) {
            self.due.remove(&(before.due(), at));
        }
        let Some(value) = value else { return Ok(()) };
        let (version, body) = value.split_first().ok_or(BrokenMemory::Damaged)?;
        if *version != VERSION {
            return Err(BrokenMemory::Version(*version));
        }
        let (job, _) = take::<Job>(body).map_err(|_| BrokenMemory::Damaged)?;
        self.due.insert((job.due(), at));
        self.jobs.insert(at, job);
        Ok(())
    }
}

// === impl Job ===

impl Job {
    /// Seldomer with each question.
    fn due(&self) -> Timestamp {
        let mut due = self.since + self.after;
        for time in 1..=self.times {
            let wait = self.after.millis().saturating_mul(1 << time.min(10));
            due = due + Span::from_millis(wait).min(LONGEST_WAIT);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::job::{Delivery, State};
    use crate::event::receipt::Mark;

    const AFTER: Span = Span::from_secs(30);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn followed() -> Following {
        let mut following = Following::new();
        let head = BatchHead { message_id: "b-1".into(), ..crate::event::push::example::head() };
        following.follow((at(0), (7, 0)), &head, "otp-1", AFTER);
        following
    }

    fn asked(following: &mut Following, seconds: i64) -> usize {
        let mut out = Outbox::default();
        following.ask(at(seconds), &mut out);
        out.questions.len()
    }

    fn status(states: &[State]) -> JobStatus {
        let push = |(number, state): (usize, &State)| Delivery {
            user_id: format!("p{number}"),
            reference: format!("d-{number}"),
            state: state.clone(),
        };
        let pushes = states.iter().enumerate().map(push).collect();
        JobStatus { job_id: "otp-1".into(), reference: "acme/ec-1".into(), is_complete: true, pushes }
    }

    #[test]
    fn a_job_is_asked_after_seldomer_and_seldomer_until_all_is_known() {
        let mut following = followed();
        assert_eq!((asked(&mut following, 29), asked(&mut following, 30)), (0, 1));
        assert_eq!(asked(&mut following, 31), 0, "one question at a time");
        assert_eq!(following.said(at(31), (7, 0), Some(status(&[State::Open]))), None);
        assert_eq!((asked(&mut following, 89), asked(&mut following, 90)), (0, 1));
        let gone = State::Ended(Mark::NoDevice, "UNREGISTERED".into());
        let mark = following.said(at(90), (7, 0), Some(status(&[State::Delivered, gone]))).unwrap();
        assert_eq!((mark.message_id.as_str(), mark.delivered, mark.told), ("b-1", 1, 0));
        assert_eq!((mark.undelivered[0].user_id.as_str(), mark.undelivered[0].mark), ("p1", Mark::NoDevice));
        assert_eq!(following.next_due(), None);
    }

    #[test]
    fn what_nobody_has_heard_of_in_a_quarter_of_an_hour_is_unknown() {
        let mut following = followed();
        let mut times = 0;
        for second in 0..=1_300 {
            if asked(&mut following, second) == 1 {
                times += 1;
                let said = following.said(at(second), (7, 0), Some(status(&[State::Open, State::Sent])));
                assert_eq!(said.is_some(), second >= 900, "{second}");
                if let Some(mark) = said {
                    let unknown: Vec<_> = mark.undelivered.iter().map(|push| push.mark).collect();
                    assert_eq!(unknown, [Mark::Unknown], "what a network took is no loss");
                }
            }
        }
        assert_eq!((times, following.next_due()), (6, None));
    }

    #[test]
    fn a_new_owner_goes_on_where_the_one_before_was() {
        let mut following = followed();
        asked(&mut following, 30);
        following.said(at(30), (7, 0), None);
        let mut out = Outbox::default();
        following.cut(3, &mut out);
        let record = out.records.pop().unwrap();
        let mut next = Following::new();
        next.restore((7, 0), record.value.as_ref()).unwrap();
        assert_eq!(next.next_due(), following.next_due());
        next.restore((7, 0), None).unwrap();
        assert_eq!(next.next_due(), None);
    }
}
