//! Finished: what became of a batch, and the records that say so.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::outputs;
use crate::event::receipt::{Accepted, Exception, Mark};
use crate::event::{Batch, BatchHead, Letter, Member, Parcel, Reason, Receipt, Timestamp, Topic};

use super::cursor::At;
use super::dead_letter::{self, Cause};
use super::devices;
use super::{Outbox, World};

/// One thing that became of a batch.
#[derive(Debug, Clone)]
pub(super) enum Finished {
    /// All or some of its members ended.
    Receipt(Receipt),
    /// What became of the pushes of a job, as the service says later.
    Mark(Receipt),
    /// It is never sent again, or not before somebody asks for it.
    Poison { at: At, batch: Arc<Parcel>, code: &'static str, message: String },
}

// === impl Finished ===

impl Finished {
    /// The push service will never take it.
    pub(super) fn refused(at: At, batch: Arc<Parcel>, reason: &Reason) -> Self {
        Self::Poison { at, batch, code: "push-refused", message: reason.to_string() }
    }

    /// Writes it down, as seen from a partition of `bugle.pushes`.
    pub(super) fn write(&self, partition: i32, world: &World<'_>, out: &mut Outbox) {
        match self {
            Self::Receipt(receipt) => {
                out.tally.told += u64::from(receipt.told);
                out.tally.again += u64::from(receipt.again);
                let not_told = receipt.exceptions.iter().map(|exception| (exception.reason.clone(), 1));
                out.tally.not_told.extend(not_told);
                put(receipt, (partition, world), out);
            }
            Self::Mark(receipt) => {
                if receipt.delivered > 0 {
                    out.tally.marks.push((None, u64::from(receipt.delivered)));
                }
                out.tally.marks.extend(receipt.undelivered.iter().map(|push| (Some(push.mark), 1)));
                let gone = receipt.undelivered.iter().filter(|push| push.mark == Mark::NoDevice);
                for push in gone {
                    out.put(devices::gone(world.plan.ids.members, &receipt.tenant, &push.user_id));
                }
                put(receipt, (partition, world), out);
            }
            Self::Poison { at, batch, code, message } => {
                let rule = Some(batch.head.template.rule.as_str());
                let at = (Topic::Pushes, partition, at.0);
                let cause = Cause { lane: "delivery", code, message, at, rule, subject: None };
                // As JSON, for a person has to read what cannot be sent.
                let value = serde_json::to_vec(&batch.open()).expect("a batch has nothing JSON refuses");
                let whole = [(dead_letter::PARCEL.to_owned(), Some(Bytes::copy_from_slice(batch.bytes())))];
                out.put(dead_letter::record(&cause, None, Some(value.into()), &whole));
                out.tally.dead_letters.push(*code);
            }
        }
    }
}

/// Writes a receipt, which the lane's audit chain then names.
fn put(receipt: &Receipt, (partition, world): (i32, &World<'_>), out: &mut Outbox) {
    let record = outputs::encode_receipt(world.plan.ids.receipt, receipt);
    out.receipts.push(outputs::digest(&record));
    out.write(Topic::Receipts, partition, None, record);
}

/// Which notices these members of a batch were told.
pub(super) fn accepted<'m>(batch: &Batch<'_>, told: impl Iterator<Item = &'m Member<'m>>) -> Vec<Accepted> {
    let accepted = |letter: &Letter<'_>| Accepted { notice: letter.notice.short(), told: 0 };
    let mut all: Vec<Accepted> = batch.letters.iter().map(accepted).collect();
    for member in told {
        if let Some(accepted) = all.get_mut(member.letter as usize) {
            accepted.told += 1;
        }
    }
    all.retain(|accepted| accepted.told > 0);
    all
}

/// A receipt of a batch that says nothing yet.
pub(super) fn blank(head: &BatchHead, now: Timestamp) -> Receipt {
    Receipt {
        message_id: head.message_id.clone(),
        tenant: head.tenant.clone(),
        account: head.account.clone(),
        rule: head.template.rule.clone(),
        at: now,
        ..Receipt::default()
    }
}

/// A member that was not told.
pub(super) fn exception(batch: &Batch<'_>, member: &Member<'_>, reason: Reason) -> Exception {
    let notice = batch.letters.get(member.letter as usize).map(|letter| letter.notice).unwrap_or_default();
    Exception { user_id: member.user_id.to_owned(), notice, reason }
}
