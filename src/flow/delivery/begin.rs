//! Begin: a batch is sent, or it is known what it waits for.

use std::sync::Arc;

use super::accounts::May;
use super::{DIRECTORY_WAIT, DeliveryLane};
use crate::event::Timestamp;
use crate::flow::cursor::At;
use crate::flow::outbox::{Ask, Send};
use crate::flow::parked::Cleared;
use crate::flow::underway::{Open, Stand};
use crate::flow::{Outbox, World};

// === impl DeliveryLane ===

impl DeliveryLane {
    /// Sends a batch, unless it has to wait, or must be cut anew first.
    pub(super) fn begin(
        &mut self,
        when: (Timestamp, At),
        mut open: Open,
        world: &World<'_>,
        out: &mut Outbox,
    ) {
        let (now, at) = when;
        if let Some(before) = self.turns.before(&open.turn) {
            self.turns.wait(at, before);
            open.stand = Stand::Behind;
            return self.put_back(at, open);
        }
        if open.stored.is_some() && !world.people.reached(&open.directory) {
            open.stand = Stand::Due(now + DIRECTORY_WAIT);
            return self.put_back(at, open);
        }
        let batch = Arc::clone(&open.batch);
        let name = batch.head.account.as_str();
        let (plan, partition) = (world.plan, self.partition);
        let terms = || plan.accounts.share(name, partition, (plan.people, plan.pushes));
        let held = self.accounts.of(name, now, terms).held(when);
        if !open.perhaps_accepted && (held.is_none() || open.ends_by(now)) {
            let Some(good) = self.look_again(when, open, world) else { return };
            open = good;
        }
        if let Some(until) = held {
            open.stand = Stand::Held(until);
            return self.put_back(at, open);
        }
        let is_retry = open.attempts > 0;
        let account = self.accounts.of(name, now, terms);
        match if account.probes(when) { May::Send } else { account.may(now, is_retry) } {
            May::Send => {}
            May::Wait(until) => {
                open.stand = Stand::Due(until);
                return self.put_back(at, open);
            }
            May::Queue => {
                account.queue(at);
                open.stand = Stand::Queued;
                return self.put_back(at, open);
            }
        }
        if let Some(stored) = &mut open.stored
            && stored.cleared != Cleared::Yes
        {
            stored.cleared = Cleared::Asked;
            open.stand = Stand::Clearing;
            self.parked.note(at);
            return self.put_back(at, open);
        }
        self.accounts.of(name, now, terms).sent(now, is_retry, batch.count);
        if open.ask == Ask::Take {
            open.sent = now;
        }
        out.sends.push(Send { at, batch, attempt: open.attempts, ask: open.ask });
        open.attempts += 1;
        open.stand = Stand::UnderWay;
        self.put_back(at, open);
    }

    /// An account takes batches again.
    pub(super) fn release(&mut self, now: Timestamp, account: &str) {
        let held = |open: &Open| matches!(open.stand, Stand::Held(_)) && open.batch.head.account == account;
        let here: Vec<At> = self.open.iter().filter(|(_, open)| held(open)).map(|(at, _)| *at).collect();
        let aside = self.parked.held(account);
        self.look_up(now, here);
        self.look_up(now, aside);
    }
}
