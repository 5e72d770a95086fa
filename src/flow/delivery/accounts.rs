//! Accounts: which of them are left alone, and who asks whether they take anything again.

use crate::event::{Span, Timestamp};

use super::DeliveryLane;
use crate::flow::cursor::At;
use crate::flow::underway::{Open, Stand};

/// An account that is left alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hold {
    pub(super) until: Timestamp,
    /// The batch that asks whether it takes any again; the others wait for what that one is told.
    pub(super) probe: Option<At>,
}

/// How long an account that may not send is left alone before one batch asks again.
pub(super) const BLOCKED_FOR: Span = Span::from_secs(60);

// === impl DeliveryLane ===

impl DeliveryLane {
    /// Until when this batch has to leave its account alone.
    pub(super) fn held(&self, account: &str, (now, at): (Timestamp, At)) -> Option<Timestamp> {
        let hold = self.blocked.get(account)?;
        (hold.until > now && hold.probe != Some(at)).then_some(hold.until)
    }

    /// Of an account that was left alone long enough, one batch asks.
    pub(super) fn probe(&mut self, account: &str, (now, at): (Timestamp, At)) {
        if let Some(hold) = self.blocked.get_mut(account).filter(|hold| hold.until <= now) {
            *hold = Hold { until: now + BLOCKED_FOR, probe: Some(at) };
        }
    }

    /// An account takes batches again.
    pub(super) fn release(&mut self, now: Timestamp, account: &str) {
        if self.blocked.remove(account).is_none() {
            return;
        }
        let held = |open: &Open| matches!(open.stand, Stand::Held(_)) && open.batch.head.account == account;
        let here: Vec<At> = self.open.iter().filter(|(_, open)| held(open)).map(|(at, _)| *at).collect();
        let aside = self.parked.held(account);
        self.look_up(now, here);
        self.look_up(now, aside);
    }
}
