//! Answer: what the push service made of a request, as the lane hears it.

use super::accounts::Took;
use crate::event::{Reason, Span};
use crate::flow::cursor::At;

/// What the push service made of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It took it; its job id, empty where the service has none.
    Accepted(String),
    /// It said of each push what became of it, in the order of the members.
    Each(Vec<Item>),
    /// Not now, and certainly not accepted.
    TryLater(Option<Span>),
    /// Less at a time, and certainly not accepted: it works, and is asked too much.
    Busy(Option<Span>),
    /// Refused for good as a whole, with its code; perhaps because of this member.
    Unacceptable(String, Option<usize>),
    /// Refused because it is too large.
    TooLarge,
    /// It was asked whether it took it, and never did.
    NotThere,
    /// The account may not send.
    Forbidden,
    /// Nobody knows whether it was accepted; ask again under the same id, not before this.
    Unknown(Option<Span>),
    /// It was not asked: people may have moved since the lane looked who still belongs.
    NotAsked,
}

/// What became of one push of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// It was taken.
    Accepted,
    /// It never will be, and why.
    Ended(Reason),
    /// Nobody knows, or it waits: the batch is asked about again.
    Open,
}

/// An answer on its way back to the lane that sent the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Which batch.
    pub at: At,
    /// What became of it.
    pub answer: Answer,
    /// How long the service took.
    pub took: Span,
}

// === impl Answer ===

impl Answer {
    /// How the account took it.
    pub(super) fn took(&self) -> Took {
        match self {
            Self::Accepted(_) | Self::Each(_) | Self::Unacceptable(..) | Self::TooLarge | Self::NotThere => {
                Took::Well
            }
            Self::Busy(after) => Took::Busy(*after),
            Self::TryLater(after) | Self::Unknown(after) => Took::Badly(*after),
            Self::Forbidden => Took::Forbidden,
            Self::NotAsked => Took::NotAsked,
        }
    }
}
