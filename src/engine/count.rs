//! Count: what a lane did becomes facts, for the meters and the live page alike.
//!
//! Facts of a transaction are told when it was committed, so that a number never runs ahead of what is
//! true, and work done again after an abort is counted once.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::fact::{AnswerEnding, CallOutcome, CommitResult, RefusalClass, SendOutcome};
use crate::event::record::{Input, Topic};
use crate::event::write_back::Came;
use crate::event::{Ending, Fact, Lane, Reason, Source, Span, Timestamp};
use crate::flow::Outbox;
use crate::push::Outcome;
use crate::store::view::Board;
use crate::telemetry::meters;

/// Tells one fact to both.
pub(super) fn tell(board: &Board, fact: &Fact) {
    meters::count(fact);
    board.note(fact);
}

/// A partition's share of a committed transaction.
pub(super) fn settled(board: &Board, lane: Lane, input: Input, out: &Outbox) {
    if let Topic::Events(source) = input.topic {
        changes(board, source, out);
    }
    for code in &out.tally.dead_letters {
        tell(board, &Fact::DeadLetter { lane, class: class(code) });
    }
    if !out.tally.fan_outs.is_empty() {
        tell(board, &Fact::FannedOut { people: out.tally.fan_outs.clone() });
    }
    for members in &out.tally.batches {
        tell(board, &Fact::Cut { members: u64::from(*members) });
    }
    let (accepted, refused) = out.tally.answers;
    for (ending, count) in [(AnswerEnding::Accepted, accepted), (AnswerEnding::Refused, refused)] {
        if count > 0 {
            tell(board, &Fact::AnswerEnded { ending, count });
        }
    }
    for (mark, count) in &out.tally.marks {
        tell(board, &Fact::Marked { mark: *mark, count: *count });
    }
    if out.tally.again > 0 {
        tell(board, &Fact::TellingsAgain { count: out.tally.again });
    }
    if out.tally.write_backs > 0 {
        tell(board, &Fact::WriteBackOwed { count: out.tally.write_backs });
    }
    if !out.tally.rung_late_ms.is_empty() {
        let late = out.tally.rung_late_ms.iter().map(|millis| Span::from_millis(*millis)).collect();
        tell(board, &Fact::Rung { late });
    }
    for millis in &out.tally.accepted_after_ms {
        tell(board, &Fact::Accepted { latency: Span::from_millis(*millis) });
    }
    if out.tally.told > 0 {
        tell(board, &Fact::Told { count: out.tally.told });
    }
    for (reason, count) in &out.tally.not_told {
        tell(board, &Fact::NotTold { reason: reason.clone(), count: *count });
    }
    verdicts(board, lane, out);
}

/// What the source lane did with the changes it read.
fn changes(board: &Board, source: Source, out: &Outbox) {
    let count = out.tally.changes;
    if count == 0 {
        return;
    }
    tell(board, &Fact::Read { source, count });
    let unmatched =
        out.verdicts.iter().filter(|verdict| verdict.ending == Ending::Not(Reason::Unmatched)).count() as u64;
    if unmatched > 0 {
        tell(board, &Fact::Unmatched { source, count: unmatched });
    }
    let mut refused: BTreeMap<RefusalClass, u64> = BTreeMap::new();
    for verdict in &out.verdicts {
        if let Ending::Not(Reason::Refused(code)) = &verdict.ending {
            *refused.entry(class(code)).or_default() += 1;
        }
    }
    let all_refused: u64 = refused.values().sum();
    for (class, count) in refused {
        tell(board, &Fact::Refused { source, class, count });
    }
    let matched = count.saturating_sub(unmatched + all_refused);
    if matched > 0 {
        tell(board, &Fact::Matched { source, changes: matched, hearings: out.tally.routed });
    }
}

/// What the verdicts of the later lanes say.
fn verdicts(board: &Board, lane: Lane, out: &Outbox) {
    let mut duplicates: BTreeMap<Source, u64> = BTreeMap::new();
    board.decided(&out.verdicts);
    if lane == Lane::Source {
        return;
    }
    for verdict in &out.verdicts {
        let count = u64::from(verdict.count);
        match &verdict.ending {
            Ending::Not(Reason::Duplicate) if verdict.rule.is_none() => {
                *duplicates.entry(verdict.change.source).or_default() += 1;
                continue;
            }
            Ending::Not(reason) if count == 0 => {
                tell(board, &Fact::NoTelling { reason: reason.clone(), count: 1 });
            }
            Ending::Not(reason) => tell(board, &Fact::NotTold { reason: reason.clone(), count }),
            Ending::Carried(carried) => {
                board.answers.note(verdict);
                tell(board, &Fact::WriteBackEnded { ending: carried.clone(), count: 1 });
            }
            Ending::Answered(_) | Ending::AnswerRefused(_) => board.answers.note(verdict),
            Ending::Routed | Ending::Told => {}
        }
    }
    for (source, count) in &out.tally.heard {
        tell(board, &Fact::Routed { source: *source, count: *count });
    }
    for (source, count) in duplicates {
        tell(board, &Fact::Duplicate { source, count });
    }
}

/// How coarse a code of a dead letter is as a label.
fn class(code: &str) -> RefusalClass {
    match code {
        "bad-magic" | "empty-value" | "bad-headers" | "bad-json" => RefusalClass::Framing,
        "unknown-schema" | "schema-changed" | "incompatible-schema" => RefusalClass::Schema,
        "unknown-kind" | "kind-mismatch" | "wrong-source" | "missing-field" | "bad-time" => {
            RefusalClass::Content
        }
        "too-large" => RefusalClass::TooLarge,
        "push-refused" => RefusalClass::PushRefused,
        code if code.starts_with("write-back-") => RefusalClass::WriteBack,
        "internal" | "rule-failed" | "message-failed" => RefusalClass::Internal,
        _ => RefusalClass::Undecodable,
    }
}

/// A source system was called.
pub(super) fn called(board: &Board, source: Source, came: &Came, took: Duration) {
    let outcome = match came {
        Came::Confirmed => CallOutcome::Confirmed,
        Came::Open => CallOutcome::Open,
        Came::Refused(_) => CallOutcome::Refused,
        Came::Dead(_) => CallOutcome::Dead,
        Came::TryLater(..) => CallOutcome::TryLater,
        Came::Unknown(_) => CallOutcome::Unknown,
    };
    tell(board, &Fact::Called { source, outcome, took });
}

/// A transaction ended.
pub(super) fn commit(board: &Board, lane: Lane, result: CommitResult, of: (u64, Duration)) {
    let (records, took) = of;
    tell(board, &Fact::Commit { lane, result, records, took });
}

/// A request began or ended; so many are under way now.
pub(super) fn under_way(board: &Board, requests: usize) {
    tell(board, &Fact::InFlight { requests: u32::try_from(requests).unwrap_or(u32::MAX) });
}

/// A request ended.
pub(super) fn request(board: &Board, outcome: &Outcome, took: Duration) {
    let outcome = match outcome {
        // Some of it at least was taken or refused for good; each push has its own verdict.
        Outcome::Accepted(_) | Outcome::Each(_) => SendOutcome::Accepted,
        // It was asked about, and is sent again.
        Outcome::NotThere => SendOutcome::TryLater,
        Outcome::TryLater { .. } => SendOutcome::TryLater,
        Outcome::Unacceptable { .. } => SendOutcome::Unacceptable,
        Outcome::TooLarge => SendOutcome::TooLarge,
        Outcome::Forbidden(_) => SendOutcome::Forbidden,
        Outcome::Unknown(_) => SendOutcome::Unknown,
    };
    tell(board, &Fact::Sent { outcome, took });
    if matches!(outcome, SendOutcome::TryLater | SendOutcome::Forbidden | SendOutcome::Unknown) {
        tell(board, &Fact::BackedOff);
    }
}

/// How far a lane is behind, and that it is alive.
pub(super) fn lag(board: &Board, lane: Lane, input: Input, behind: (i64, Span)) {
    let records = u64::try_from(behind.0).unwrap_or(0);
    tell(board, &Fact::Lag { lane, input, records, oldest: behind.1 });
}

/// How much of a partition is open.
pub(super) fn open(board: &Board, input: Input, matters: usize) {
    tell(board, &Fact::Open { input, matters: matters as u64 });
}

/// How many partitions a lane holds in this process.
pub(super) fn assigned(board: &Board, lane: Lane, partitions: usize) {
    tell(board, &Fact::Assigned { lane, partitions: u32::try_from(partitions).unwrap_or(u32::MAX) });
}

/// A lane committed, or found nothing to do.
pub(super) fn progress(board: &Board, lane: Lane, at: Timestamp) {
    tell(board, &Fact::Progress { lane, at });
}
