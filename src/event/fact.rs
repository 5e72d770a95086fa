//! Fact: something that happened inside Bugle and is worth counting.
//!
//! A closed list: the meters and the live page each match on all of it, so a new fact does not compile
//! until both know it. A fact is told per batch of work, never per record where a count will do, and
//! holds no person, subject or text of a message.

use std::time::Duration;

use super::mute::Silence;
pub use super::outcome::{
    AccountState, AnswerEnding, Breaker, CallOutcome, CommitResult, RefusalClass, SendOutcome, Size,
    SnapshotResult, StateUsed,
};
use super::receipt::Mark;
use super::record::Input;
use super::{Carried, Lane, Origin, ReadBack, Reason, Source, Span, Timestamp};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Changes were read from a source system's topic.
    Read {
        /// Whose.
        source: Source,
        /// How many.
        count: u64,
    },
    /// Changes could not be used.
    Refused {
        /// Whose.
        source: Source,
        /// What was wrong with them.
        class: RefusalClass,
        /// How many.
        count: u64,
    },
    /// Changes no rule wants.
    Unmatched {
        /// Whose.
        source: Source,
        /// How many.
        count: u64,
    },
    /// Changes that some rule wants went on to their subjects. A change may reach several subjects;
    /// from here on each of these hearings is accounted for by itself.
    Matched {
        /// Whose.
        source: Source,
        /// How many changes.
        changes: u64,
        /// How many hearings they became: at least one each.
        hearings: u64,
    },
    /// Hearings of a change that was heard before.
    Duplicate {
        /// Whose change.
        source: Source,
        /// How many.
        count: u64,
    },
    /// Hearings that reached their rules.
    Routed {
        /// Whose change.
        source: Source,
        /// How many.
        count: u64,
    },
    /// Notices named so many people each: that many tellings are owed.
    FannedOut {
        /// How many people, by notice.
        people: Vec<u32>,
    },
    /// What was due came about, this long after its time.
    Rung {
        /// How late each was.
        late: Vec<Span>,
    },
    /// So many subjects of a partition have something open, held, gathered or due.
    Open {
        /// The partition.
        input: Input,
        /// How many.
        matters: u64,
    },
    /// A rule ended without naming anybody, so no telling was owed.
    NoTelling {
        /// Why.
        reason: Reason,
        /// How many times.
        count: u64,
    },
    /// Tellings that were owed and ended untold.
    NotTold {
        /// Why.
        reason: Reason,
        /// How many.
        count: u64,
    },
    /// Tellings the push service accepted.
    Told {
        /// How many.
        count: u64,
    },
    /// A batch was cut.
    Cut {
        /// How many people are in it.
        members: u64,
    },
    /// A request to the push service ended.
    Sent {
        /// How.
        outcome: SendOutcome,
        /// From the first byte sent to the last byte read.
        took: Duration,
    },
    /// A batch was accepted, this long after its oldest change happened.
    Accepted {
        /// From the change's `occurred_at` to the push service's yes.
        latency: Span,
    },
    /// So many requests to the push service are under way.
    InFlight {
        /// How many.
        requests: u32,
    },
    /// A request waits before it is tried again.
    BackedOff,
    /// How a push account stands in one partition.
    Account {
        /// The partition.
        input: Input,
        /// How it stands.
        state: AccountState,
    },
    /// A record went to the dead letters.
    DeadLetter {
        /// Which lane gave up on it.
        lane: Lane,
        /// What was wrong with it.
        class: RefusalClass,
    },
    /// A transaction ended.
    Commit {
        /// Whose.
        lane: Lane,
        /// How.
        result: CommitResult,
        /// How many input records it covered.
        records: u64,
        /// How long the commit itself took.
        took: Duration,
    },
    /// How far a lane is behind in one partition.
    Lag {
        /// The lane.
        lane: Lane,
        /// The partition.
        input: Input,
        /// Records not yet read.
        records: u64,
        /// How old the oldest unread record is; zero when all is read.
        oldest: Span,
    },
    /// A partition was given away; nothing is said about its lag any more.
    Released {
        /// The lane.
        lane: Lane,
        /// The partition.
        input: Input,
    },
    /// A partition waits for its memory, read up to so far.
    Restoring {
        /// The lane.
        lane: Lane,
        /// The partition.
        input: Input,
        /// How far it is.
        read_back: ReadBack,
    },
    /// A partition knows again what its owner before knew.
    Restored {
        /// The lane.
        lane: Lane,
        /// The partition.
        input: Input,
        /// How many things it remembers.
        entries: u64,
        /// Where most of them come from.
        origin: Origin,
    },
    /// What a partition that others run remembers is known here, but for so many records.
    Warm {
        /// Its lane.
        lane: Lane,
        /// The partition.
        input: Input,
        /// Records of memory not yet read.
        lag: u64,
    },
    /// It is not any more: the partition was assigned to us, or its copy could not be kept.
    Cold {
        /// Its lane.
        lane: Lane,
        /// The partition.
        input: Input,
    },
    /// So many partitions of a lane are warm here.
    Standby {
        /// The lane.
        lane: Lane,
        /// How many.
        partitions: u32,
    },
    /// A partition's memory was written to this machine's disk, or was to be read from there.
    Snapshot {
        /// What became of it.
        result: SnapshotResult,
    },
    /// So much of what the lanes keep open lies in memory, and so much on disk.
    State {
        /// How much.
        used: StateUsed,
    },
    /// A lane holds so many partitions.
    Assigned {
        /// The lane.
        lane: Lane,
        /// How many, all threads together.
        partitions: u32,
    },
    /// A lane committed something, or found nothing to do.
    Progress {
        /// The lane.
        lane: Lane,
        /// When.
        at: Timestamp,
    },
    /// The directory was read to its end.
    DirectoryRead {
        /// How many people it holds.
        people: u64,
        /// How many of them have a time zone that nobody knows.
        zoneless: u64,
        /// When its end was confirmed.
        at: Timestamp,
    },
    /// These rules are in force from now on.
    RulesInForce {
        /// Which version.
        generation: u64,
        /// Of their files.
        hash: u128,
        /// How many.
        rules: u64,
        /// Of the files of those before, where there were any.
        before: Option<u128>,
    },
    /// Rules cannot be used; those before stay in force.
    RulesRefused,
    /// A partition has waited for newer rules for so long; zero when it no longer does.
    RulesAwaited {
        /// The lane.
        lane: Lane,
        /// The partition.
        input: Input,
        /// For how long.
        waited: Span,
    },
    /// So much is muted.
    Muted {
        /// The silences that count now.
        silences: Vec<Silence>,
        /// Conversations that mute others.
        blocks: u64,
    },
    /// Answers came in.
    Answered {
        /// How many.
        count: u64,
    },
    /// It became known whether what was told reached a device.
    Marked {
        /// What became of it, where it reached none.
        mark: Option<Mark>,
        /// How many pushes.
        count: u64,
    },
    /// Tellings that had ended as refused are on their way again.
    TellingsAgain {
        /// How many.
        count: u64,
    },
    /// Answers that count are to be carried into a source system.
    WriteBackOwed {
        /// How many.
        count: u64,
    },
    /// Answers were carried there, or will not be.
    WriteBackEnded {
        /// How.
        ending: Carried,
        /// How many.
        count: u64,
    },
    /// A source system was called.
    Called {
        /// Which.
        source: Source,
        /// How that ended.
        outcome: CallOutcome,
        /// How long it took.
        took: Duration,
    },
    /// Answers were decided.
    AnswerEnded {
        /// How.
        ending: AnswerEnding,
        /// How many.
        count: u64,
    },
}
