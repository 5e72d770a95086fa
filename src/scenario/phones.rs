//! Phones: what the push service of a scenario makes of a batch, what people got by it, and what it did not take.

use crate::codec::outputs;
use crate::event::push::fill;
use crate::event::receipt::{Exception, Receipt};
use crate::event::{Coordinates, Ending, Member, Outgoing, Parcel, Source, Timestamp, Verdict};
use crate::flow::delivery;

use super::play::Told;
use super::script::{Service, Who};

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

/// What the people of a batch are told by it.
pub(super) fn told(at: Timestamp, parcel: &Parcel) -> Vec<Told> {
    let batch = parcel.open();
    let (head, template) = (batch.head, &batch.head.template);
    let one = |member: &Member<'_>| {
        let letter = batch.letters.get(member.letter as usize)?;
        let link = template.data.iter().find(|(name, _)| name == "link");
        Some(Told {
            at,
            who: Who { tenant: head.tenant.clone(), user_id: member.user_id.to_owned() },
            rule: template.rule.clone(),
            occasion: letter.occasion,
            title: fill(&template.title, &letter.inserts),
            summary: fill(&template.summary, &letter.inserts),
            locale: template.locale.clone(),
            priority: template.priority,
            answers: template.answers.clone(),
            link: link.map(|(_, link)| fill(link, &letter.inserts)),
            app: template.target.clone(),
            notice: letter.notice,
            subject: letter.subject.to_owned(),
            conversation: letter.conversation,
        })
    };
    batch.members.iter().filter_map(one).collect()
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
