//! Job: what the push service says became of the pushes of a batch that it took.

use super::receipt::{Mark, Undelivered};

/// The standing of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatus {
    /// The job.
    pub job_id: String,
    /// What the batch said it was about: `tenant/rule`.
    pub reference: String,
    /// Whether the service is done with it.
    pub is_complete: bool,
    /// Its pushes, each once.
    pub pushes: Vec<Delivery>,
}

/// The standing of one push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The person.
    pub user_id: String,
    /// `d-` and 32 hex digits.
    pub reference: String,
    /// How far it is.
    pub state: State,
}

/// How far a push is; of several devices of a person, the one that is furthest counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It reached nobody, and why.
    Ended(Mark, String),
    /// It is on its way.
    Open,
    /// A network took it; some never say more.
    Sent,
    /// A device has it.
    Delivered,
}

// === impl JobStatus ===

impl JobStatus {
    /// Whether nothing more is to be expected of any push.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.pushes.iter().all(|push| matches!(push.state, State::Delivered | State::Ended(..)))
    }

    /// How many reached a device, and which reached nobody. What is still on its way is taken for lost.
    #[must_use]
    pub fn marks(self) -> (u32, Vec<Undelivered>) {
        let (mut delivered, mut undelivered) = (0, Vec::new());
        for Delivery { user_id, reference, state } in self.pushes {
            let (mark, code) = match state {
                State::Delivered => {
                    delivered += 1;
                    continue;
                }
                State::Sent => continue,
                State::Open => (Mark::Unknown, String::new()),
                State::Ended(mark, code) => (mark, code),
            };
            undelivered.push(Undelivered { user_id, reference, mark, code });
        }
        (delivered, undelivered)
    }
}
