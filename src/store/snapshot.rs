//! Snapshot: the board at one moment, as the live page and `/api/flow` show it.
//!
//! Words and numbers only; how they are gathered is `view`'s.

use serde::Serialize;

use crate::event::mute::Silence;
use crate::event::{Carried, Ending, ReadBack, Timestamp, Verdict};

/// The board at one moment. All totals count from the start of this process.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// When it was taken, in milliseconds of Unix time.
    pub at: Timestamp,
    /// When the process started.
    pub started: Timestamp,
    /// Whether Kafka answers.
    pub connected: bool,
    /// One per source system.
    pub sources: Vec<SourceView>,
    /// One per lane, in the order of the flow.
    pub lanes: Vec<LaneView>,
    /// Partitions that do not run yet, one by one.
    pub restoring: Vec<ReadBackView>,
    /// Partitions that others run, and whose memory is known here, one by one.
    pub warm: Vec<WarmView>,
    /// Totals per hop, by name.
    pub hops: Hops,
    /// The directory.
    pub directory: DirectoryView,
    /// The rules in force.
    pub rules: RulesView,
    /// What is not told for a while.
    pub muted: MutedView,
    /// The push service.
    pub push: PushView,
    /// The books.
    pub books: [BookView; 4],
    /// What was not told, by reason; only what happened, most frequent first.
    pub verdicts: Vec<ReasonView>,
    /// The newest verdicts, newest first.
    pub recent: Vec<RecentVerdict>,
}

/// One source system.
#[derive(Debug, Clone, Serialize)]
pub struct SourceView {
    /// Its word.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Changes read.
    pub read: u64,
    /// Records not yet read.
    pub lag: u64,
}

/// Partitions whose memory is being read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RestoringView {
    /// How many.
    pub partitions: u32,
    /// Records of memory read.
    pub read: u64,
    /// Records of memory there are.
    pub of: u64,
}

/// A partition whose memory is being read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadBackView {
    /// The lane's word.
    pub lane: &'static str,
    /// The partition, such as `bugle.subjects-3`.
    pub partition: String,
    /// How far it is.
    #[serde(flatten)]
    pub read_back: ReadBack,
}

/// The warm copy of a partition that another process runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WarmView {
    /// The lane's word.
    pub lane: &'static str,
    /// The partition, such as `bugle.subjects-3`.
    pub partition: String,
    /// Records of memory not yet read.
    pub lag: u64,
}

/// One lane.
#[derive(Debug, Clone, Serialize)]
pub struct LaneView {
    /// Its word.
    pub name: &'static str,
    /// Partitions held.
    pub partitions: u32,
    /// Partitions that do not run yet; absent when all do.
    pub restoring: Option<RestoringView>,
    /// Records not yet read.
    pub lag: u64,
    /// How old the oldest unread record is, in milliseconds.
    pub oldest_ms: i64,
    /// Milliseconds since it last got on; absent before the first time.
    pub idle_ms: Option<i64>,
    /// Milliseconds since its slowest thread last went round; absent while it has none.
    pub beat_ms: Option<i64>,
    /// Transactions committed.
    pub commits: u64,
    /// Transactions rolled back.
    pub aborts: u64,
    /// Records it gave to the dead letters.
    pub dead_letters: u64,
}

/// Totals per hop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Hops {
    /// Changes read.
    pub read: u64,
    /// Hearings handed to subjects.
    pub hearings: u64,
    /// Notices handed to people's partitions.
    pub notices: u64,
    /// Tellings owed.
    pub tellings: u64,
    /// Batches cut.
    pub batches: u64,
    /// Requests sent.
    pub requests: u64,
    /// Tellings accepted by the push service.
    pub told: u64,
    /// Timers that came due.
    pub timers: u64,
    /// Subjects with something open, held, gathered or due, now.
    pub open: u64,
}

/// The directory.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct DirectoryView {
    /// How many people it holds.
    pub people: i64,
    /// Milliseconds since it was known to be read to its end; absent before the first time.
    pub age_ms: Option<i64>,
}

/// The rules in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RulesView {
    /// The hash of their files; absent before any are in force.
    pub hash: Option<String>,
    /// The offset they were published at.
    pub generation: u64,
    /// How many.
    pub count: u64,
    /// Partitions that wait for newer ones.
    pub awaiting: u64,
    /// For how long the first of them has, in milliseconds.
    pub awaited_ms: i64,
}

/// What is not told for a while.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MutedView {
    /// The silences that count now, the next to end first.
    pub silences: Vec<SilenceView>,
    /// Conversations that are open and mute other rules.
    pub blocks: u64,
}

/// A silence that counts; who wants it is not shown to everybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SilenceView {
    /// Known by this.
    pub id: String,
    /// What it silences.
    pub what: String,
    /// When it ends.
    pub ends_at: Timestamp,
    /// Why.
    pub comment: String,
}

/// The push service.
#[derive(Debug, Clone, Serialize)]
pub struct PushView {
    /// Requests under way.
    pub in_flight: u32,
    /// Requests by outcome.
    pub outcomes: Vec<(&'static str, u64)>,
    /// Waits before another try.
    pub backoffs: u64,
    /// Milliseconds of one request: half took less. Absent before the first.
    pub request_p50_ms: Option<u64>,
    /// Milliseconds of one request: 99 of 100 took less.
    pub request_p99_ms: Option<u64>,
    /// Milliseconds from a change to the acceptance: half took less.
    pub latency_p50_ms: Option<u64>,
    /// Milliseconds from a change to the acceptance: 99 of 100 took less.
    pub latency_p99_ms: Option<u64>,
}

/// One of the books. What is owed and not ended is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BookView {
    /// `changes`, `tellings`, `answers` or `write_backs`.
    pub name: &'static str,
    /// Endings owed.
    pub owed: u64,
    /// Endings given.
    pub ended: u64,
}

/// How often something ended untold for one reason.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ReasonView {
    /// The reason's word.
    pub reason: &'static str,
    /// Whether it was meant.
    pub intentional: bool,
    /// How often.
    pub count: u64,
}

/// One verdict without anything personal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecentVerdict {
    /// When it was decided.
    pub at: Timestamp,
    /// The change's id.
    pub event_id: String,
    /// The source system's word.
    pub source: &'static str,
    /// The rule, where one decided.
    pub rule: Option<String>,
    /// `told`, `routed` or the reason's word.
    pub ending: &'static str,
    /// Whether somebody should look.
    pub look: bool,
    /// For how many people.
    pub count: u32,
}

// === impl MutedView ===

impl MutedView {
    pub(super) fn of(silences: &[Silence], blocks: u64) -> Self {
        let mut silences: Vec<SilenceView> = silences.iter().map(SilenceView::of).collect();
        silences.sort_by_key(|silence| silence.ends_at);
        Self { silences, blocks }
    }
}

// === impl SilenceView ===

impl SilenceView {
    fn of(silence: &Silence) -> Self {
        let what: Vec<String> = silence.matchers.iter().map(ToString::to_string).collect();
        let (id, comment) = (silence.id.clone(), silence.comment.clone());
        Self { id, what: what.join(" "), ends_at: silence.ends_at, comment }
    }
}

// === impl RecentVerdict ===

impl RecentVerdict {
    /// What of a verdict may be shown to everybody: never who it is about.
    pub(super) fn of(verdict: &Verdict) -> Self {
        Self {
            at: verdict.at,
            event_id: verdict.event_id.clone(),
            source: verdict.change.source.as_str(),
            rule: verdict.rule.clone(),
            ending: match &verdict.ending {
                Ending::Routed => "routed",
                Ending::Told => "told",
                Ending::Not(reason) => reason.as_str(),
                Ending::Answered(_) => "answered",
                Ending::AnswerRefused(_) => "answer_refused",
                Ending::Carried(Carried::Confirmed) => "written_back",
                Ending::Carried(Carried::Refused(_)) => "write_back_refused",
                Ending::Carried(Carried::Dead(_)) => "write_back_dead",
            },
            look: match &verdict.ending {
                Ending::Not(reason) => !reason.intentional(),
                Ending::Carried(carried) => *carried != Carried::Confirmed,
                _ => false,
            },
            count: verdict.count,
        }
    }
}
