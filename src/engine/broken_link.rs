//! Broken link: what a lane does when its link to the broker is gone, or its name.

use std::sync::mpsc;
use std::time::Duration;

use super::lane_thread::LaneThread;
use super::{GivenUp, count};
use crate::broker::{BrokerError, Input};
use crate::clock::Tick;
use crate::event::fact::CommitResult;

/// Between two tries to open a link.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Whose name was taken twice within this has a twin. Once is what a group says, too, that lost its coordinator
/// while we joined, and took our own second try for somebody else.
const TWIN_WITHIN: Duration = Duration::from_secs(60);

// === impl LaneThread ===

impl LaneThread {
    /// The link is broken, and everything that was not committed with it.
    pub(super) fn break_off(&mut self, error: &BrokerError) {
        let inputs: Vec<Input> = self.stations.keys().copied().chain(self.waiting_for_memory()).collect();
        self.forget(&inputs);
        self.gathering = None;
        // An answer to the old lanes must not be taken for one to the new.
        self.replies = mpsc::channel();
        self.under_way = 0;
        let replaced = matches!(error, BrokerError::Replaced { .. });
        let before = if replaced { self.replaced.replace(Tick::now()) } else { None };
        if before.is_some_and(|before| before.elapsed() < TWIN_WITHIN) {
            // Taken back from it once more, the name would be taken back from us, for ever. Of two the older one
            // is here first: the younger one has lost its name only once when this one ends.
            self.stop.give_up(GivenUp::Replaced(error.to_string()));
        } else {
            tracing::warn!(lane = self.lane.as_str(), %error, "the link is built anew");
        }
        count::commit(&self.parts.board, self.lane, CommitResult::Fatal, (0, Duration::ZERO));
        self.pause(TRY_AGAIN);
    }
}
