//! Catalogue: every metric of Bugle, with its name, type, help and labels.
//!
//! Names read `bugle_<room>_<what>_<unit or total>`. A label's values are a closed set, created at 0
//! when the meters start, so that `rate()` sees the first failure; only `topic` and `partition` come
//! with what is assigned. A subject, a person or an error text is never a label.

use super::series::{
    alone, assigned, by_book, by_call, by_commit, by_dead, by_ending, by_lane, by_mark, by_origin,
    by_outcome, by_place, by_process, by_reason, by_refusal, by_snapshot, by_source, by_version,
};

/// One series' labels: name and value.
pub type Labels = Vec<(&'static str, &'static str)>;

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often values fell below each of these bounds.
    Histogram(&'static [f64]),
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What it says, for people.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// The series there are from the start; none when they come with the partitions assigned.
    pub series: fn() -> Vec<Labels>,
}

macro_rules! names {
    ($($constant:ident = $name:literal;)*) => {
        $(#[doc = concat!("`", $name, "`")] pub(crate) const $constant: &str = $name;)*
    };
}

names! {
    CHANGES = "bugle_ingest_changes_total";
    REFUSED = "bugle_ingest_refused_total";
    UNMATCHED = "bugle_route_unmatched_total";
    MATCHED = "bugle_route_matched_total";
    HEARINGS = "bugle_route_hearings_total";
    DUPLICATES = "bugle_dedupe_duplicates_total";
    ROUTED = "bugle_dedupe_passed_total";
    NOTICES = "bugle_fan_out_notices_total";
    TELLINGS = "bugle_fan_out_tellings_total";
    FAN_OUT = "bugle_fan_out_people";
    VERDICTS = "bugle_flow_verdicts_total";
    DEAD_LETTERS = "bugle_flow_dead_letters_total";
    OPEN = "bugle_conversation_open_subjects";
    RUNG = "bugle_conversation_timers_total";
    RUNG_LATE = "bugle_conversation_timer_late_seconds";
    BATCHES = "bugle_batch_cut_total";
    MEMBERS = "bugle_batch_members";
    REQUESTS = "bugle_deliver_requests_total";
    REQUEST_SECONDS = "bugle_deliver_request_seconds";
    IN_FLIGHT = "bugle_deliver_in_flight";
    ACCOUNT_BREAKER = "bugle_deliver_account_breaker";
    ACCOUNT_LIMIT = "bugle_deliver_account_limit";
    ACCOUNT_IN_FLIGHT = "bugle_deliver_account_in_flight";
    ACCOUNT_RETRIES = "bugle_deliver_account_retries_left";
    BACKOFFS = "bugle_deliver_backoffs_total";
    TOLD = "bugle_deliver_told_total";
    MARKS = "bugle_deliver_marks_total";
    LATENCY = "bugle_deliver_latency_seconds";
    CALLS = "bugle_write_back_calls_total";
    CALL_SECONDS = "bugle_write_back_call_seconds";
    COMMITS = "bugle_engine_commits_total";
    COMMIT_SECONDS = "bugle_engine_commit_seconds";
    COMMIT_RECORDS = "bugle_engine_commit_records";
    LAG = "bugle_engine_lag_records";
    OLDEST = "bugle_engine_oldest_unread_seconds";
    PARTITIONS = "bugle_engine_assigned_partitions";
    RESTORED = "bugle_engine_restored_entries_total";
    RESTORES = "bugle_engine_restores_total";
    RESTORE_LEFT = "bugle_engine_restore_left_records";
    RESTORE_ETA = "bugle_engine_restore_eta_seconds";
    WARM = "bugle_engine_warm_partitions";
    WARM_LAG = "bugle_engine_warm_lag_records";
    SNAPSHOTS = "bugle_engine_snapshots_total";
    STATE_ENTRIES = "bugle_state_entries";
    STATE_BYTES = "bugle_state_bytes";
    STATE_WRITES = "bugle_state_disk_writes_total";
    STATE_READS = "bugle_state_disk_reads_total";
    STATE_FAULTS = "bugle_state_disk_faults_total";
    STATE_WAITED = "bugle_state_disk_waits_seconds";
    PROGRESS = "bugle_engine_last_progress_timestamp_seconds";
    PEOPLE = "bugle_directory_people";
    ZONELESS = "bugle_directory_zoneless_people";
    CONFIRMED = "bugle_directory_confirmed_timestamp_seconds";
    RULES = "bugle_topology_info";
    GENERATION = "bugle_topology_generation";
    RULES_REFUSED = "bugle_topology_refused_total";
    RULES_AWAITED = "bugle_topology_awaited_seconds";
    SILENCES = "bugle_mutes_active_silences";
    BLOCKS = "bugle_mutes_open_blocks";
    OWED = "bugle_book_owed_total";
    ENDED = "bugle_book_ended_total";
    CPU = "bugle_process_cpu_seconds_total";
    RESIDENT = "bugle_process_resident_bytes";
    FDS = "bugle_process_open_fds";
    BUILD = "bugle_build_info";
}

/// Seconds of one request: a local answer takes milliseconds, the client gives up at 30 s.
const REQUEST_BOUNDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Seconds from a change to the push service's yes; after an outage it may be hours.
const LATENCY_BOUNDS: &[f64] =
    &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0];
/// Seconds of one commit: about 0.008 when all is well, 10 when the transaction times out.
const COMMIT_BOUNDS: &[f64] = &[0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Records of one commit.
const RECORD_BOUNDS: &[f64] = &[1.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0, 10_000.0, 50_000.0];
/// People of one notice: from nobody to a role the whole company holds.
const PEOPLE_BOUNDS: &[f64] = &[0.0, 1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 10_000.0, 100_000.0];
/// Seconds after its time: timers ring by the second; after an outage it may be hours.
const LATE_BOUNDS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 60.0, 600.0, 3_600.0, 86_400.0];
/// People of one batch; 500 is the most.
const MEMBER_BOUNDS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 250.0, 500.0];

const NO_LABELS: &[&str] = &[];
const PLACE: &[&str] = &["lane", "topic", "partition"];

/// Every metric, in the order of the flow.
pub const METRICS: &[Metric] = &[
    metric(CHANGES, Kind::Counter, "Changes read from the source systems' topics.", &["source"], by_source),
    metric(REFUSED, Kind::Counter, "Changes that could not be used.", &["source", "class"], by_refusal),
    metric(UNMATCHED, Kind::Counter, "Changes no rule wants.", &["source"], by_source),
    metric(MATCHED, Kind::Counter, "Changes some rule wants.", &["source"], by_source),
    metric(
        HEARINGS,
        Kind::Counter,
        "Hearings by subject that matched changes became.",
        &["source"],
        by_source,
    ),
    metric(DUPLICATES, Kind::Counter, "Hearings of a change heard before.", &["source"], by_source),
    metric(ROUTED, Kind::Counter, "Hearings that were new and reached their rules.", &["source"], by_source),
    metric(NOTICES, Kind::Counter, "Notices fanned out.", NO_LABELS, alone),
    metric(TELLINGS, Kind::Counter, "Tellings owed: one per notice and person.", NO_LABELS, alone),
    metric(FAN_OUT, Kind::Histogram(PEOPLE_BOUNDS), "People of one notice.", NO_LABELS, alone),
    metric(
        VERDICTS,
        Kind::Counter,
        "What was not told, by reason. `intentional` is false where somebody should look.",
        &["reason", "intentional"],
        by_reason,
    ),
    metric(DEAD_LETTERS, Kind::Counter, "Records given to the dead letters.", &["lane", "class"], by_dead),
    metric(
        OPEN,
        Kind::Gauge,
        "Rules and subjects with something open, held, gathered or due; of people those for whom something waits.",
        &["topic", "partition"],
        assigned,
    ),
    metric(RUNG, Kind::Counter, "Timers that came due and were carried out.", NO_LABELS, alone),
    metric(
        RUNG_LATE,
        Kind::Histogram(LATE_BOUNDS),
        "How long after its time a timer was carried out.",
        NO_LABELS,
        alone,
    ),
    metric(BATCHES, Kind::Counter, "Batches cut for the push service.", NO_LABELS, alone),
    metric(MEMBERS, Kind::Histogram(MEMBER_BOUNDS), "People of one batch.", NO_LABELS, alone),
    metric(REQUESTS, Kind::Counter, "Requests to the push service.", &["outcome"], by_outcome),
    metric(REQUEST_SECONDS, Kind::Histogram(REQUEST_BOUNDS), "Time of one request.", NO_LABELS, alone),
    metric(IN_FLIGHT, Kind::Gauge, "Requests to the push service under way.", NO_LABELS, alone),
    metric(
        ACCOUNT_BREAKER,
        Kind::Gauge,
        "A push account is asked (0), asked by one (1), paused by itself (2), broken (3), blocked (4).",
        &["account", "partition"],
        assigned,
    ),
    metric(
        ACCOUNT_LIMIT,
        Kind::Gauge,
        "Requests an account may have under way, as found out.",
        &["account", "partition"],
        assigned,
    ),
    metric(
        ACCOUNT_IN_FLIGHT,
        Kind::Gauge,
        "Requests an account has under way.",
        &["account", "partition"],
        assigned,
    ),
    metric(
        ACCOUNT_RETRIES,
        Kind::Gauge,
        "Retries left in an account's budget.",
        &["account", "partition"],
        assigned,
    ),
    metric(BACKOFFS, Kind::Counter, "Waits before a request is tried again.", NO_LABELS, alone),
    metric(TOLD, Kind::Counter, "Tellings the push service accepted.", NO_LABELS, alone),
    metric(
        MARKS,
        Kind::Counter,
        "Tellings of which it became known later whether they reached a device; one may be told of twice.",
        &["mark"],
        by_mark,
    ),
    metric(
        LATENCY,
        Kind::Histogram(LATENCY_BOUNDS),
        "From a change happening to the push service's acceptance of its batch.",
        NO_LABELS,
        alone,
    ),
    metric(
        CALLS,
        Kind::Counter,
        "Calls of source systems, to carry answers there or to look.",
        &["source", "outcome"],
        by_call,
    ),
    metric(
        CALL_SECONDS,
        Kind::Histogram(REQUEST_BOUNDS),
        "Time of one call of a source system.",
        &["source"],
        by_source,
    ),
    metric(COMMITS, Kind::Counter, "Transactions, by how they ended.", &["lane", "result"], by_commit),
    metric(COMMIT_SECONDS, Kind::Histogram(COMMIT_BOUNDS), "Time of one commit.", &["lane"], by_lane),
    metric(
        COMMIT_RECORDS,
        Kind::Histogram(RECORD_BOUNDS),
        "Input records of one commit.",
        &["lane"],
        by_lane,
    ),
    metric(LAG, Kind::Gauge, "Records not yet read.", &["lane", "topic", "partition"], assigned),
    metric(
        OLDEST,
        Kind::Gauge,
        "Age of the oldest unread record; 0 when all is read.",
        &["lane", "topic", "partition"],
        assigned,
    ),
    metric(PARTITIONS, Kind::Gauge, "Partitions held.", &["lane"], by_lane),
    metric(
        RESTORED,
        Kind::Counter,
        "Things a new owner of a partition remembers from the one before.",
        &["lane"],
        by_lane,
    ),
    metric(
        RESTORES,
        Kind::Counter,
        "Partitions whose memory was read back, by where most of it came from.",
        &["lane", "origin"],
        by_origin,
    ),
    metric(
        RESTORE_LEFT,
        Kind::Gauge,
        "Offsets of memory still to read before a partition runs.",
        &["lane", "topic", "partition"],
        assigned,
    ),
    metric(
        RESTORE_ETA,
        Kind::Gauge,
        "Seconds until a partition runs, if its memory is read on as it was so far.",
        &["lane", "topic", "partition"],
        assigned,
    ),
    metric(
        WARM,
        Kind::Gauge,
        "Partitions that others run, and of whose memory this process has a warm copy.",
        &["lane"],
        by_lane,
    ),
    metric(
        WARM_LAG,
        Kind::Gauge,
        "Records of memory that the warm copy of a partition has not read yet.",
        &["lane", "topic", "partition"],
        assigned,
    ),
    metric(
        SNAPSHOTS,
        Kind::Counter,
        "Snapshots of a partition's memory on this machine, by what became of them.",
        &["result"],
        by_snapshot,
    ),
    metric(
        STATE_ENTRIES,
        Kind::Gauge,
        "Entries of what the lanes keep open, by where they lie.",
        &["place"],
        by_place,
    ),
    metric(
        STATE_BYTES,
        Kind::Gauge,
        "Bytes of these entries; in memory, with what they take beside.",
        &["place"],
        by_place,
    ),
    metric(STATE_WRITES, Kind::Counter, "Entries moved from memory to disk.", NO_LABELS, alone),
    metric(STATE_READS, Kind::Counter, "Entries brought back from disk.", NO_LABELS, alone),
    metric(STATE_FAULTS, Kind::Counter, "How often the disk did not take or give.", NO_LABELS, alone),
    metric(STATE_WAITED, Kind::Gauge, "How long the disk has taken nothing it got.", NO_LABELS, alone),
    metric(PROGRESS, Kind::Gauge, "When a lane last got on, in Unix time.", &["lane"], by_lane),
    metric(PEOPLE, Kind::Gauge, "People in the directory.", NO_LABELS, alone),
    metric(
        ZONELESS,
        Kind::Gauge,
        "People with a time zone that nobody knows: their tenant's counts until it is mended.",
        NO_LABELS,
        alone,
    ),
    metric(
        CONFIRMED,
        Kind::Gauge,
        "When the directory was last known to be read to its end, in Unix time.",
        NO_LABELS,
        alone,
    ),
    metric(RULES, Kind::Gauge, "1 for the rules in force, 0 for those that were.", &["hash"], assigned),
    metric(GENERATION, Kind::Gauge, "The offset the rules in force were published at.", NO_LABELS, alone),
    metric(RULES_REFUSED, Kind::Counter, "Rules that could not be used.", NO_LABELS, alone),
    metric(RULES_AWAITED, Kind::Gauge, "How long newer rules have been waited for.", PLACE, assigned),
    metric(SILENCES, Kind::Gauge, "Silences that count now.", NO_LABELS, alone),
    metric(BLOCKS, Kind::Gauge, "Conversations that are open and mute other rules.", NO_LABELS, alone),
    metric(
        OWED,
        Kind::Counter,
        "What each book owes an ending: hearings of changes, tellings, answers, write-backs.",
        &["book"],
        by_book,
    ),
    metric(
        ENDED,
        Kind::Counter,
        "What each book has given its ending. Owed less ended is what is still on its way.",
        &["book", "ending"],
        by_ending,
    ),
    metric(CPU, Kind::Counter, "CPU time used by this process.", NO_LABELS, by_process),
    metric(RESIDENT, Kind::Gauge, "Memory of this process in RAM.", NO_LABELS, by_process),
    metric(FDS, Kind::Gauge, "Files and sockets this process holds open.", NO_LABELS, by_process),
    metric(BUILD, Kind::Gauge, "Always 1; the version is in the label.", &["version"], by_version),
];

const fn metric(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    labels: &'static [&'static str],
    series: fn() -> Vec<Labels>,
) -> Metric {
    Metric { name, kind, help, labels, series }
}

// === impl Kind ===

impl Kind {
    /// `counter`, `gauge` or `histogram`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// The books' names, as the label `book` has them.
pub(crate) mod book {
    pub(crate) const CHANGES: &str = "changes";
    pub(crate) const TELLINGS: &str = "tellings";
    pub(crate) const ANSWERS: &str = "answers";
    pub(crate) const WRITE_BACKS: &str = "write_backs";
}
