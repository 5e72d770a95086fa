//! Phones: the push service, behind one trait.
//!
//! A transport turns a batch into the bytes of one request, the same bytes on every try, and an answer
//! into an [`Outcome`]. What to do about an outcome is decided in `flow::deliver`.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use crate::event::{Batch, Span};

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The push service took it; its job id.
    Accepted(String),
    /// Not now. Certainly not accepted. It may say when.
    TryLater {
        /// As `Retry-After` said, clamped to an hour.
        after: Option<Span>,
        /// A stable code: `rate-limited`, `unavailable`, `unreachable`.
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
    /// The account may not send: halt it and tell an operator.
    Forbidden(String),
    /// It was sent and no whole answer came: perhaps accepted. Only the same id may be sent again.
    Unknown(&'static str),
}

/// What a transport answers with, later.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// A push service.
pub trait PushService: Send + Sync {
    /// The request's bytes. Depends on the batch alone: equal on every try, in every process.
    fn encode(&self, batch: &Batch) -> Bytes;

    /// Sends one request.
    fn submit<'a>(&'a self, message_id: &'a str, account: &'a str, body: Bytes) -> Answer<'a>;
}
