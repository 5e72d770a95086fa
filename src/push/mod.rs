//! Phones: the push service, behind one trait.
//!
//! A transport turns a batch into the bytes of one request, the same bytes on every try, and an answer
//! into an [`Outcome`]. It never retries on its own account, save once after renewing a token: what to do
//! about an outcome is decided in `flow::deliver`.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use crate::event::job::JobStatus;
use crate::event::{Batch, BatchHead, Member, Parcel, Span};

pub mod appworks;
pub mod backoff;
mod base64url;
pub mod category;
pub mod client;
pub mod credentials;

pub mod gateway;
pub mod mra;
pub mod outcome;
pub mod reply_token;
pub(crate) mod retry_after;
pub mod signature;
pub mod status;
pub mod transport;
pub mod webhook;

pub use client::{Account, Client};
pub use credentials::Credentials;
pub use reply_token::KeyRing;

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The push service took it; its job id, empty where the transport has none.
    Accepted(String),
    /// It said of each push what became of it, in the order of the members; not all were accepted.
    Each(Vec<Item>),
    /// Not now. It may say when. [`Outcome::may_have_arrived`] tells whether it was certainly not accepted.
    TryLater {
        /// As `Retry-After` said, clamped to an hour.
        after: Option<Span>,
        /// A stable code: `rate-limited`, `unavailable`, `unreachable`, …: the list is [`outcome::LATER`].
        code: &'static str,
    },
    /// Refused for good as a whole; one destination may be the cause.
    Unacceptable {
        /// The service's code, such as `INVALID_REQUEST`.
        code: String,
        /// Which destination, when it said so.
        member: Option<usize>,
    },
    /// Refused because it is too large.
    TooLarge,
    /// Asked whether it took a batch, it says that it never did.
    NotThere,
    /// The account may not send: halt it and tell an operator.
    Forbidden(String),
    /// It was sent and no whole answer came: perhaps accepted. Only the same id may be sent again.
    Unknown(&'static str),
}

/// What became of one push of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// It was taken.
    Accepted,
    /// It is refused for good, with the service's code.
    Refused(String),
    /// The person has no device.
    NoDevice,
    /// It was not taken now; the batch may be sent again.
    Later,
    /// Nothing was said of it: nobody knows.
    Unnamed,
}

/// Why a batch has no request at all. Every variant is a fault of ours or of the configuration; the
/// batch itself may be sent once the fault is gone, so none of them is a reason to drop it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// The batch was cut with a signing key that this process does not have.
    #[error("batch `{message_id}` is to be signed with key `{key}`, which is not in the key ring")]
    UnknownKey {
        /// The batch.
        message_id: String,
        /// The key it names.
        key: String,
    },
    /// A member names a letter that the batch does not hold.
    #[error("batch `{message_id}` has {letters} letters, and a member asks for letter {wanted}")]
    NoSuchLetter {
        /// The batch.
        message_id: String,
        /// How many letters there are.
        letters: usize,
        /// Which one was asked for, counted from 0.
        wanted: u32,
    },
    /// The transport takes one text a request, and the batch, cut for another, has several.
    #[error("batch `{message_id}` holds pushes that differ, and its account takes one text a request")]
    Mixed {
        /// The batch.
        message_id: String,
    },
    /// The form of a webhook makes no request of the batch.
    #[error("the form of the webhook makes no request of batch `{message_id}`: {fault}")]
    Form {
        /// The batch.
        message_id: String,
        /// What is wrong.
        fault: String,
    },
}

/// What a transport answers with, later.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// What became of a job, later; `None` where that cannot be said now.
pub type Standing<'a> = Pin<Box<dyn Future<Output = Option<JobStatus>> + Send + 'a>>;

/// A push service.
pub trait PushService: Send + Sync {
    /// The request's bytes. Depends on the batch and the key it names: equal on every try, in every process.
    ///
    /// # Errors
    /// When the key is missing or the batch contradicts itself.
    fn encode(&self, batch: &Batch<'_>) -> Result<Bytes, Unsendable>;

    /// Sends one request. Answers within about 15 s, whatever the other side does.
    fn submit<'a>(&'a self, batch: &'a Parcel, body: Bytes) -> Answer<'a>;

    /// Asks whether a batch was taken: [`Outcome::Accepted`] or [`Outcome::NotThere`], or why that is not known.
    fn was_taken<'a>(&'a self, batch: &'a Parcel) -> Answer<'a>;

    /// Asks what became of the pushes of a job of an account.
    fn job<'a>(&'a self, account: &'a str, job_id: &'a str) -> Standing<'a>;
}

// === impl Unsendable ===

impl Unsendable {
    fn unknown_key(head: &BatchHead) -> Self {
        Self::UnknownKey { message_id: head.message_id.clone(), key: head.signing_key.clone() }
    }

    fn no_letter(batch: &Batch<'_>, member: &Member<'_>) -> Self {
        Self::NoSuchLetter {
            message_id: batch.head.message_id.clone(),
            letters: batch.letters.len(),
            wanted: member.letter,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::UnknownKey { key, .. } => {
                format!("put key `{key}` back among the signing keys until the batches cut with it are sent")
            }
            Self::NoSuchLetter { .. } => {
                "keep the batch's bytes and report them: no version of bugle may write such a batch"
                    .to_owned()
            }
            Self::Mixed { .. } => "it is parted by itself; nothing need be done".to_owned(),
            Self::Form { .. } => "mend the file that the account's `body` names, and start again".to_owned(),
        }
    }
}
