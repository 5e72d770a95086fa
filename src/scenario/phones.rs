//! Phones: what the push service of a scenario makes of a batch, and what it did not take.

use crate::codec::outputs;
use crate::event::receipt::{Exception, Receipt};
use crate::event::{Coordinates, Ending, Outgoing, Parcel, Source, Verdict};
use crate::flow::delivery;

use super::script::Service;

/// What the push service makes of a batch.
pub(super) fn served(service: &Service, batch: &Parcel, taken: usize) -> delivery::Answer {
    match service {
        Service::Unavailable => delivery::Answer::TryLater(None),
        Service::Blocks => delivery::Answer::Forbidden,
        Service::Unclear => delivery::Answer::Unknown(None),
        Service::Refuses(code, None) => delivery::Answer::Unacceptable(code.clone(), None),
        Service::Refuses(code, Some(person)) => {
            let open = batch.open();
            match open.members.iter().position(|member| member.user_id == person) {
                Some(place) => delivery::Answer::Unacceptable(code.clone(), Some(place)),
                None => delivery::Answer::Accepted(format!("otp-{taken}")),
            }
        }
        Service::Takes => delivery::Answer::Accepted(format!("otp-{taken}")),
    }
}

/// What the push service did not take, as verdicts.
pub(super) fn exceptions(record: &Outgoing) -> Vec<Verdict> {
    match outputs::decode_receipt(record.value.as_deref().unwrap_or_default()) {
        Ok(receipt) => untold(receipt),
        Err(_) => Vec::new(),
    }
}

/// What a receipt says was not taken, as verdicts.
#[must_use]
pub fn untold(receipt: Receipt) -> Vec<Verdict> {
    let one = |exception: Exception| Verdict {
        at: receipt.at,
        tenant: receipt.tenant.clone(),
        event_id: String::new(),
        change: Coordinates { source: Source::Xecm, partition: -1, offset: -1 },
        subject: None,
        rule: Some(receipt.rule.clone()),
        occasion: None,
        ending: Ending::Not(exception.reason),
        count: 1,
        people: vec![exception.user_id],
        asked: None,
    };
    receipt.exceptions.into_iter().map(one).collect()
}
