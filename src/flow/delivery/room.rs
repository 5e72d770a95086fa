//! Room: how many batches one partition has in hand, and which are set aside for others.

use std::sync::Arc;

use crate::event::{Parcel, Reason, Timestamp};

use super::endings::asks_first;
use super::{DeliveryLane, PARK_AFTER};
use crate::flow::cursor::{At, MOST_DONE};
use crate::flow::outbox::Ask;
use crate::flow::underway::{Open, Stand};
use crate::flow::unfinished::Unfinished;
use crate::flow::{Admitted, Cursor, Want, World};

/// The most batches under way or waiting in one partition; more are left in Kafka.
const MOST_OPEN: usize = 64;

// === impl DeliveryLane ===

impl DeliveryLane {
    /// Where an owner before was is known; where the lane goes on, unless the group has said it (`placed`).
    pub(super) fn go_on(&mut self, (offset, cursor): (i64, &Cursor), placed: bool) {
        let state = self.state.0.max(cursor.state);
        self.state = (state, state);
        if !placed {
            self.unfinished = Unfinished::new(offset, cursor);
            (self.inherited, self.begun) = (cursor.begun, (cursor.begun, cursor.begun));
        }
    }

    /// What lies here and beyond was sent by nobody yet, neither by us nor by who was here before.
    pub(super) fn sent_up_to(&self) -> At {
        self.unfinished.next().max(self.inherited)
    }

    /// Whether another batch may be taken in: few enough are under way, and should the oldest be stuck
    /// while all others end, what is done beyond it still fits the cursor.
    pub(super) fn has_room(&self) -> bool {
        self.open.len() < MOST_OPEN && !self.is_cursor_full()
    }

    pub(super) fn is_cursor_full(&self) -> bool {
        self.unfinished.entries() + self.open.len() >= MOST_DONE
    }

    /// What makes room: a commit when there is something to commit, else answers.
    pub(super) fn without_room(&self) -> Admitted {
        let moves = self.unsettled.len() > self.written
            || self.unfinished.next() > self.begun.0
            || self.parked.unwritten() > 0;
        if moves { Admitted::More } else { Admitted::Wait(Want::Room) }
    }

    /// Sets batches aside that others would wait behind.
    pub(super) fn make_room(&mut self, now: Timestamp) {
        let full = self.is_cursor_full();
        let old = |open: &Open| now.since(open.since) >= PARK_AFTER;
        let waits = |open: &Open| match open.stand {
            Stand::UnderWay => full && old(open),
            Stand::Queued => old(open),
            _ => open.is_stuck(),
        };
        let waiting: Vec<At> = self.open.iter().filter(|(_, open)| waits(open)).map(|(at, _)| *at).collect();
        for at in waiting {
            self.set_aside(now, at);
        }
    }

    /// Sets a batch aside, while its account has room for it and the transaction, too.
    pub(super) fn set_aside(&mut self, now: Timestamp, at: At) {
        let Some(open) = self.open.get(&at) else { return };
        let account = &open.batch.head.account;
        let is_over = self.parked.bytes_of(account) >= self.parking.most_bytes;
        let is_free = !open.perhaps_accepted && open.stand != Stand::UnderWay;
        let refuses = is_over && is_free && self.refuses(account);
        if !refuses && (is_over || self.parked.unwritten() > self.budget) {
            return;
        }
        let Some(open) = self.open.remove(&at) else { return };
        if refuses {
            return self.give_up(now, at, open, &Reason::AccountBlocked);
        }
        let sent = open.attempts > 0 || open.perhaps_accepted;
        self.parked.park(at, open, sent);
        self.unfinished.finish(at);
    }

    /// Whether more for an account is refused rather than waited for.
    pub(super) fn refuses(&self, account: &str) -> bool {
        self.parking.refuse_blocked && self.accounts.is_blocked(account)
    }

    /// What an owner before set aside takes its place in the order.
    pub(super) fn settle_in(&mut self, now: Timestamp, world: &World<'_>) {
        if !std::mem::replace(&mut self.settled_in, true) {
            for (at, open) in self.parked.iter_mut() {
                open.turn = self.turns.enter(at, open.turn.place, &open.batch);
                inherit(now, open, world);
            }
        }
    }

    /// One batch of a frame.
    pub(super) fn take_in(
        &mut self,
        (now, at): (Timestamp, At),
        (batch, directory): (Parcel, Arc<[i64]>),
        world: &World<'_>,
    ) {
        let mut open = Open::new(Arc::new(batch), directory, now);
        open.perhaps_accepted = at < self.inherited;
        inherit(now, &mut open, world);
        open.turn = self.turns.enter(at, at, &open.batch);
        let account = &open.batch.head.account;
        let is_over = self.parked.bytes_of(account) >= self.parking.most_bytes;
        if is_over && !open.perhaps_accepted && self.refuses(account) {
            self.give_up(now, at, open, &Reason::AccountBlocked);
        } else {
            self.open.insert(at, open);
        }
    }
}

/// What an owner before may have sent, perhaps just now, is asked after before it is sent again.
fn inherit(now: Timestamp, open: &mut Open, world: &World<'_>) {
    if open.perhaps_accepted {
        (open.is_inherited, open.sent) = (true, now);
        open.ask = if asks_first(open, world) { Ask::WasTaken } else { Ask::Take };
    }
}
