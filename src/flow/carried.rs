//! Carried: the verdicts on answers that were to be carried into a source system.

use crate::event::answer::Returned;
use crate::event::frame::FrameHead;
use crate::event::record::Input;
use crate::event::write_back::{Carried, WriteBack};
use crate::event::{Coordinates, Ending, Incoming, Outgoing, Source, SubjectKey, Timestamp, Topic, Verdict};

use super::{World, frames};

/// How an answer ended.
pub(super) fn verdict(now: Timestamp, answer: &WriteBack, carried: Carried) -> Verdict {
    Verdict {
        at: now,
        tenant: answer.tenant.clone(),
        event_id: answer.response_id.clone(),
        change: Coordinates { source: answer.source, partition: -1, offset: 0 },
        subject: Some(answer.subject.clone()),
        rule: Some(answer.rule.clone()),
        occasion: Some(answer.occasion),
        ending: Ending::Carried(carried),
        count: 1,
        people: vec![answer.responder.clone()],
        asked: None,
    }
}

/// That it was not carried out, for the subject that asked; `None` where it was.
pub(super) fn returned(
    (at, world): (Timestamp, &World<'_>),
    answer: &WriteBack,
    carried: &Carried,
) -> Option<Outgoing> {
    let (Carried::Refused(why) | Carried::Dead(why)) = carried else { return None };
    let item = Returned {
        response_id: &answer.response_id,
        tenant: &answer.tenant,
        conversation: answer.conversation,
        person: &answer.responder,
        verb: answer.verb,
        why,
        at,
    }
    .item(answer.source, (&answer.subject, &answer.rule));
    let head = FrameHead { generation: world.topology.generation, ..FrameHead::default() };
    Some(Outgoing {
        topic: Topic::Subjects,
        partition: Some(SubjectKey(answer.subject.clone()).partition(world.plan.subjects)),
        key: None,
        value: Some(frames::single(&head, &item).into()),
        headers: Vec::new(),
    })
}

/// The verdict of a record that cannot be read: it lies in the dead letters.
pub(super) fn unreadable(now: Timestamp, record: &Incoming) -> Verdict {
    let Input { partition, .. } = record.input;
    Verdict {
        at: now,
        tenant: String::new(),
        event_id: String::new(),
        change: Coordinates { source: Source::Xecm, partition, offset: record.offset },
        subject: None,
        rule: None,
        occasion: None,
        ending: Ending::Carried(Carried::Dead("write-back-unreadable".to_owned())),
        count: 1,
        people: Vec::new(),
        asked: None,
    }
}
