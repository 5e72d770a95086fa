//! Poison: an item on which a room of this lane panicked is kept as it lay in its frame, and can be sent again.

use bytes::Bytes;

use crate::event::frame::FrameHead;
use crate::event::{Ending, Notice, Reason, Timestamp, Topic, Verdict};

use super::super::dead_letter::{self, Cause};
use super::super::fan_out::{self, Item};
use super::super::telling::ended;
use super::super::{Outbox, PANICKED, frames};
use super::NAME;

/// Keeps an item of a frame, and says so of everybody it was for.
pub(super) fn keep(
    now: Timestamp,
    (partition, offset): (i32, i64),
    (head, item): (&FrameHead, &[u8]),
    out: &mut Outbox,
) {
    let (code, why) = PANICKED;
    let read = fan_out::read(item).ok();
    let notice = match &read {
        Some(Item::Tell(notice, _)) => Some(notice),
        _ => None,
    };
    let message = notice.map_or_else(
        || why.to_owned(),
        |notice| {
            let (topic, partition, offset) = notice.at.lies();
            format!("{why}; of the change {} in {topic}-{partition} {offset}", notice.event_id)
        },
    );
    let cause = Cause {
        lane: NAME,
        code,
        message: &message,
        at: (Topic::People, partition, offset),
        rule: notice.map(|notice| notice.rule),
        subject: notice.map(|notice| notice.subject),
    };
    out.put(dead_letter::record(&cause, None, Some(Bytes::from(frames::single(head, item))), &[]));
    out.tally.dead_letters.push(code);
    if let Some(Item::Tell(notice, people)) = &read {
        out.verdicts.push(ended(now, notice, Reason::Refused(code.to_owned()), people));
    }
}

/// What was kept comes again: everybody it is for is owed it once more.
pub(super) fn owe_again(now: Timestamp, (notice, people): (&Notice<'_>, &[&str]), out: &mut Outbox) {
    let owed = ended(now, notice, Reason::Unknown, people);
    out.tally.again += u64::from(owed.count);
    out.verdicts.push(Verdict { ending: Ending::Routed, ..owed });
}
