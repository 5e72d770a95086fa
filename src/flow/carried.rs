//! Carried: the verdicts on answers that were to be carried into a source system.

use crate::event::record::Input;
use crate::event::write_back::{Carried, WriteBack};
use crate::event::{Coordinates, Ending, Incoming, Source, Timestamp, Verdict};

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
