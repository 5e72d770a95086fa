//! Endings: how a batch ends, and what of it goes on.

use std::sync::Arc;

use crate::event::{Member, Parcel, Reason, Receipt, Span, Timestamp};

use super::{DeliveryLane, Item};
use crate::flow::batch::child;
use crate::flow::cursor::At;
use crate::flow::finished::{Finished, accepted, blank, exception};
use crate::flow::outbox::Ask;
use crate::flow::turns::Turn;
use crate::flow::underway::Open;
use crate::flow::{Outbox, PANICKED, World};

/// How often a batch that may have been accepted is asked about under its own id.
const MOST_ATTEMPTS_UNKNOWN: u32 = 20;

/// Nothing of an attempt of ours whose outcome is not known is still on its way after this long: only then a
/// service that does not have the batch never will.
const SETTLED: Span = Span::from_secs(60);

// === impl DeliveryLane ===

impl DeliveryLane {
    /// While it was certainly not accepted: whoever left the audience since the cut, and whose notice
    /// expired, is taken out, and the rest becomes a new batch, written down before it is sent.
    /// Gives the batch back when nothing is wrong with it.
    pub(super) fn look_again(
        &mut self,
        (now, at): (Timestamp, At),
        open: Open,
        world: &World<'_>,
    ) -> Option<Open> {
        let moved = *open.directory != *world.directory;
        if !moved && !open.ends_by(now) {
            return Some(open);
        }
        let batch = open.batch.open();
        // An audience that cannot be read names nobody: when in doubt nobody is told.
        let audiences: Vec<_> = match moved {
            true => batch.letters.iter().map(|letter| letter.audience.open().ok()).collect(),
            false => Vec::new(),
        };
        let reason = |member: &Member<'_>| {
            let letter = batch.letters.get(member.letter as usize)?;
            if letter.expires_at.is_some_and(|end| end <= now) {
                return Some(Reason::Expired);
            }
            let audience = || audiences.get(member.letter as usize)?.as_ref();
            let belongs = !moved
                || audience().is_some_and(|audience| {
                    world.people.belongs(&batch.head.tenant, audience, member.user_id)
                });
            (!belongs).then_some(Reason::LeftAudience)
        };
        let (kept, gone): (Vec<_>, Vec<_>) = batch
            .members
            .iter()
            .map(|member| (member, reason(member)))
            .partition(|(_, reason)| reason.is_none());
        if gone.is_empty() {
            return Some(open);
        }
        let exceptions =
            gone.into_iter().filter_map(|(member, reason)| Some(exception(&batch, member, reason?)));
        let receipt = Receipt { exceptions: exceptions.collect(), ..blank(batch.head, now) };
        let kept: Vec<Member<'_>> = kept.into_iter().map(|(member, _)| *member).collect();
        let parts = if kept.is_empty() { Vec::new() } else { vec![child(&batch, &kept)] };
        self.unsettled.push_back(Finished::Receipt(receipt));
        self.goes_on(now, at, open, (parts, Arc::from(world.directory)));
        None
    }

    /// A batch goes on as these, cut by the directory as it was then: set aside, in its place in the order, and
    /// written down with its end.
    fn goes_on(&mut self, now: Timestamp, at: At, open: Open, parts: (Vec<Parcel>, Arc<[i64]>)) {
        let (parts, directory) = parts;
        for part in parts {
            let place = self.parked.place_of(&part, at);
            let mut part = Open::new(Arc::new(part), Arc::clone(&directory), now);
            part.turn = self.turns.enter(place, open.turn.place, &part.batch);
            self.parked.park(place, part, false);
        }
        self.untold(at, open);
    }

    /// A batch was taken by the push service, and what replaces it may follow at once: whoever goes on without
    /// having heard of it asks under the same id, and nothing is told again.
    pub(super) fn told(&mut self, now: Timestamp, at: At, open: Open) {
        let turn = self.finish(at, open);
        let freed = self.turns.leave(at, &turn);
        self.look_up(now, freed);
    }

    /// A batch ends otherwise, and what replaces it waits until that is committed: whoever goes on without having
    /// heard of it sends it, and that must not come after.
    fn untold(&mut self, at: At, open: Open) {
        let turn = self.finish(at, open);
        self.leaving.push((at, turn));
    }

    fn finish(&mut self, at: At, mut open: Open) -> Turn {
        let turn = std::mem::take(&mut open.turn);
        if open.stored.is_some() {
            self.parked.end(at, &open);
        } else {
            self.unfinished.finish(at);
        }
        turn
    }

    /// All members of a batch end with `reason`.
    pub(super) fn give_up(&mut self, now: Timestamp, at: At, open: Open, reason: &Reason) {
        let batch = open.batch.open();
        let exceptions =
            batch.members.iter().map(|member| exception(&batch, member, reason.clone())).collect();
        self.unsettled.push_back(Finished::Receipt(Receipt { exceptions, ..blank(batch.head, now) }));
        self.untold(at, open);
    }

    /// A batch on which a room panicked is kept, however far it came, and nobody looks into it again.
    pub(super) fn keep_poison(&mut self, now: Timestamp, at: At, batch: Parcel) {
        self.open.remove(&at);
        let freed = self.turns.forget(at);
        let (code, message) = PANICKED;
        let maybe_told = at < self.inherited;
        let reason = if maybe_told { Reason::Unknown } else { Reason::Refused(code.to_owned()) };
        let open = batch.open();
        let exceptions = open.members.iter().map(|member| exception(&open, member, reason.clone())).collect();
        self.unsettled.push_back(Finished::Receipt(Receipt { exceptions, ..blank(&batch.head, now) }));
        let (batch, message) = (Arc::new(batch), message.to_owned());
        self.unsettled.push_back(Finished::Poison { at, batch, code, message });
        self.unfinished.finish(at);
        self.look_up(now, freed);
    }

    /// The service said of each push what became of it. While one is open the whole batch is asked about again
    /// under its id: the service knows which of them it took.
    pub(super) fn each(
        &mut self,
        (now, at): (Timestamp, At),
        mut open: Open,
        items: &[Item],
        out: &mut Outbox,
    ) {
        let batch = open.batch.open();
        let said = || batch.members.iter().zip(items.iter().chain(std::iter::repeat(&Item::Open)));
        if said().any(|(_, item)| *item == Item::Open) && open.attempts < MOST_ATTEMPTS_UNKNOWN {
            (open.perhaps_accepted, open.ask) = (true, Ask::Take);
            let until = now + open.wait(None);
            return self.put_off(at, open, until);
        }
        let exceptions: Vec<_> = said()
            .filter_map(|(member, item)| match item {
                Item::Ended(reason) => Some(exception(&batch, member, reason.clone())),
                Item::Open => Some(exception(&batch, member, Reason::Unknown)),
                Item::Accepted => None,
            })
            .collect();
        let is_refused = |item: &Item| matches!(item, Item::Ended(Reason::Refused(_)));
        let refused: Vec<_> =
            said().filter(|(_, item)| is_refused(item)).map(|(member, _)| *member).collect();
        if let Some(Item::Ended(reason)) = items.iter().find(|item| is_refused(item)) {
            let poison = Arc::new(child(&batch, &refused));
            self.unsettled.push_back(Finished::refused(at, poison, reason));
        }
        let told = batch.members.len() - exceptions.len();
        if told > 0 {
            out.tally.accepted_after_ms.push(now.since(batch.head.oldest).millis());
        }
        let told = u32::try_from(told).unwrap_or(u32::MAX);
        let taken = said().filter(|(_, item)| **item == Item::Accepted).map(|(member, _)| member);
        let notices = accepted(&batch, taken);
        let receipt = Receipt { told, exceptions, notices, ..blank(batch.head, now) };
        self.unsettled.push_back(Finished::Receipt(receipt));
        self.told(now, at, open);
    }

    /// A refused batch is halved, or the named member set apart, until the poison is alone.
    ///
    /// **Invariant:** the children are written down, in one transaction with the end of their parent,
    /// before any of them is sent. A parent of which an attempt may have been accepted is never split:
    /// its children would have other ids, and its people would be told twice.
    fn split(&mut self, now: Timestamp, at: At, open: Open, poison: Option<usize>) {
        let batch = open.batch.open();
        let members = &batch.members;
        let parts = match poison.filter(|index| *index < members.len()) {
            Some(index) => {
                let rest = [&members[..index], &members[index + 1..]].concat();
                vec![members[index..=index].to_vec(), rest]
            }
            None => {
                let (left, right) = members.split_at(members.len() / 2);
                vec![left.to_vec(), right.to_vec()]
            }
        };
        let children = parts.iter().map(|part| child(&batch, part)).collect();
        let directory = Arc::clone(&open.directory);
        self.goes_on(now, at, open, (children, directory));
    }

    pub(super) fn refused(
        &mut self,
        (now, at): (Timestamp, At),
        mut open: Open,
        (reason, poison): (Reason, Option<usize>),
        world: &World<'_>,
    ) {
        if open.perhaps_accepted {
            // Asked again under the same id, or whether it was taken; only when that never ends is it unknown.
            if open.attempts >= MOST_ATTEMPTS_UNKNOWN {
                return self.give_up(now, at, open, &Reason::Unknown);
            }
            let mut until = now + open.wait(None);
            if asks_first(&open, world) {
                open.ask = Ask::WasTaken;
                until = until.max(open.sent + SETTLED);
            }
            self.put_off(at, open, until);
        } else if open.batch.count == 1 {
            self.unsettled.push_back(Finished::refused(at, Arc::clone(&open.batch), &reason));
            self.give_up(now, at, open, &reason);
        } else {
            self.split(now, at, open, poison);
        }
    }

    /// Nobody knows whether it was taken: the service is asked, where it can say; else it is sent again under
    /// the same id.
    pub(super) fn in_doubt(
        &mut self,
        (now, at): (Timestamp, At),
        mut open: Open,
        after: Option<Span>,
        world: &World<'_>,
    ) {
        // Where it does not say whether it was taken, it may take it once more: the id is the same.
        let could_not_say = open.ask == Ask::WasTaken;
        open.perhaps_accepted = true;
        open.ask = if asks_first(&open, world) && !could_not_say { Ask::WasTaken } else { Ask::Take };
        let until = now + open.wait(after);
        self.put_off(at, open, until);
    }

    /// The service does not have it. What was sent just now may yet arrive, and what an owner before has in its
    /// hands at any time, so that it keeps its members and its id; else it is as if it had never been sent.
    pub(super) fn never_taken(&mut self, now: Timestamp, at: At, mut open: Open) {
        open.perhaps_accepted &= open.is_inherited || now.since(open.sent) < SETTLED;
        open.ask = Ask::Take;
        self.put_off(at, open, now);
    }
}

/// Whether a batch's service can say that it has it.
pub(super) fn asks_first(open: &Open, world: &World<'_>) -> bool {
    world.plan.accounts.terms(&open.batch.head.account).tells_jobs
}
