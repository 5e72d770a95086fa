//! Elsewhere: how answers ended on other instances, for whoever answers by a link here and waits.
//!
//! An answer is decided where its subject's partition is, and its link is opened anywhere. Each decision stands in the
//! audit topic, so an instance that links may lead to reads along: who was first is the same on every page. Nothing is
//! decided by it, and what cannot be read is left to `bugle audit verify`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::broker::{Broker, BrokerError};
use crate::clock;
use crate::codec::outputs;
use crate::event::{Span, Topic};
use crate::store::view::Board;

/// How far back an instance that starts reads.
const BACK: Span = Span::from_secs(3_600);
/// How long a look for more may take.
const WAIT: Duration = Duration::from_millis(200);
/// Between two tries while the topic cannot be read.
const AGAIN: Duration = Duration::from_secs(1);

/// Reads along until the app is closed.
pub(super) fn follow(broker: &dyn Broker, board: &Arc<Board>, closed: &watch::Receiver<bool>) {
    while !is_closed(closed) {
        if let Err(error) = read_along(broker, board, closed) {
            tracing::warn!(%error, "what was decided elsewhere cannot be read; a link's page may say less");
            clock::sleep(AGAIN);
        }
    }
}

fn read_along(
    broker: &dyn Broker,
    board: &Arc<Board>,
    closed: &watch::Receiver<bool>,
) -> Result<(), BrokerError> {
    let mut follow = broker.follow_since(Topic::Audit, clock::now() - BACK)?;
    let mut records = Vec::new();
    while !is_closed(closed) {
        follow.poll(WAIT, &mut records)?;
        for record in records.drain(..) {
            let read = outputs::decode_verdicts(record.value.as_deref().unwrap_or_default());
            read.into_iter()
                .flat_map(|(_, verdicts)| verdicts)
                .for_each(|verdict| board.answers.heard(&verdict));
        }
    }
    Ok(())
}

fn is_closed(closed: &watch::Receiver<bool>) -> bool {
    *closed.borrow() || closed.has_changed().is_err()
}
