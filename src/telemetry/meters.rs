//! Meters: the numbers of this process, and the one place where a fact moves them.
//!
//! Counting before [`Meters::install`] does nothing, so that scenario tests and `explain` need no meters.

use std::fmt;
use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::catalogue::{self as names, Kind, METRICS, Metric, book};
use super::process;
use super::series::{PLACES, truth};
use crate::event::fact::{AccountState, CallOutcome, CommitResult, RefusalClass, SendOutcome, StateUsed};
use crate::event::receipt::Mark;
use crate::event::record::Input;
use crate::event::{Fact, Lane, Origin, ReadBack, Reason, Source, Span, Timestamp};

/// How often [`Meters::upkeep`] wants to be called.
pub const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// The meters of this process.
#[derive(Clone)]
pub struct Meters {
    handle: PrometheusHandle,
}

/// The meters cannot be put in place.
#[derive(Debug, thiserror::Error)]
#[error("the meters of this process are in place already: {0}")]
pub struct AlreadyInstalled(String);

// === impl Meters ===

impl Meters {
    /// Puts meters in place for the whole process; all known series stand at 0.
    ///
    /// # Errors
    /// [`AlreadyInstalled`] the second time.
    pub fn install() -> Result<Self, AlreadyInstalled> {
        let recorder = recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|fault| AlreadyInstalled(fault.to_string()))?;
        begin();
        Ok(Self { handle })
    }

    /// Runs `work` on this thread with meters of its own, beside those of the process.
    pub fn apart<T>(work: impl FnOnce(&Self) -> T) -> T {
        let recorder = recorder();
        let meters = Self { handle: recorder.handle() };
        metrics::with_local_recorder(&recorder, || {
            begin();
            work(&meters)
        })
    }

    /// Everything as Prometheus reads it (text format 0.0.4).
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = self.handle.render();
        process::render(&mut text);
        text
    }

    /// Folds what histograms have collected; without it they grow. Call it every [`UPKEEP_EVERY`].
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meters")
    }
}

fn recorder() -> PrometheusRecorder {
    let mut builder = PrometheusBuilder::new();
    for metric in METRICS {
        if let Kind::Histogram(bounds) = metric.kind {
            builder = builder
                .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), bounds)
                .expect("every histogram of the catalogue has bounds");
        }
    }
    builder.build_recorder()
}

fn begin() {
    for metric in METRICS {
        describe(metric);
        for labels in (metric.series)() {
            match metric.kind {
                Kind::Counter => counter!(metric.name, &labels).absolute(0),
                Kind::Gauge => gauge!(metric.name, &labels).set(0.0),
                // A histogram is there as soon as it is named.
                Kind::Histogram(_) => drop(histogram!(metric.name, &labels)),
            }
        }
    }
    gauge!(names::BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

fn describe(metric: &Metric) {
    match metric.kind {
        Kind::Counter => describe_counter!(metric.name, metric.help),
        Kind::Gauge => describe_gauge!(metric.name, metric.help),
        Kind::Histogram(_) => describe_histogram!(metric.name, metric.help),
    }
}

/// Counts what happened: one arm per fact, so that a new fact does not compile until it is counted.
pub fn count(fact: &Fact) {
    match fact {
        Fact::Read { source, count } => read(*source, *count),
        Fact::Refused { source, class, count } => refused(*source, *class, *count),
        Fact::Unmatched { source, count } => unmatched(*source, *count),
        Fact::Matched { source, changes, hearings } => matched(*source, *changes, *hearings),
        Fact::Duplicate { source, count } => duplicate(*source, *count),
        Fact::Routed { source, count } => {
            of_source(names::ROUTED, *source, *count);
            end(book::CHANGES, "routed", *count);
        }
        Fact::FannedOut { people } => fanned_out(people),
        Fact::Rung { late } => rung(late),
        Fact::Open { input, matters } => open(*input, *matters),
        Fact::NoTelling { reason, count } => verdict(reason, *count),
        Fact::NotTold { reason, count } => {
            verdict(reason, *count);
            end(book::TELLINGS, reason.as_str(), *count);
        }
        Fact::Told { count } => told_to(*count),
        Fact::Cut { members } => {
            counter!(names::BATCHES).increment(1);
            histogram!(names::MEMBERS).record(number(*members));
        }
        Fact::Sent { outcome, took } => sent(*outcome, *took),
        Fact::Accepted { latency } => histogram!(names::LATENCY).record(seconds(*latency)),
        Fact::InFlight { requests } => gauge!(names::IN_FLIGHT).set(*requests),
        Fact::Account { input, state } => account(*input, state),
        Fact::BackedOff => counter!(names::BACKOFFS).increment(1),
        Fact::DeadLetter { lane, class } => dead(*lane, *class),
        Fact::Commit { lane, result, records, took } => commit(*lane, *result, *records, *took),
        Fact::Lag { lane, input, records, oldest } => lag(*lane, *input, *records, *oldest),
        Fact::Released { lane, input } => {
            lag(*lane, *input, 0, Span::ZERO);
            open(*input, 0);
            restoring(*lane, *input, &ReadBack::default());
            awaited(*lane, *input, Span::ZERO);
        }
        Fact::Restoring { lane, input, read_back } => restoring(*lane, *input, read_back),
        Fact::Restored { lane, input, entries, origin } => restored((*lane, *input), *entries, *origin),
        Fact::Warm { lane, input, lag } => warm(*lane, *input, *lag),
        Fact::Cold { lane, input } => warm(*lane, *input, 0),
        Fact::Standby { lane, partitions } => stands_by(*lane, *partitions),
        Fact::Snapshot { result } => counter!(names::SNAPSHOTS, "result" => result.as_str()).increment(1),
        Fact::State { used } => state(used),
        Fact::Assigned { lane, partitions } => holds(*lane, *partitions),
        Fact::Progress { lane, at } => gauge!(names::PROGRESS, "lane" => lane.as_str()).set(unix(*at)),
        Fact::DirectoryRead { people, zoneless, at } => directory_read((*people, *zoneless), *at),
        Fact::RulesInForce { generation, hash, before, .. } => in_force(*generation, *hash, *before),
        Fact::RulesRefused => counter!(names::RULES_REFUSED).increment(1),
        Fact::RulesAwaited { lane, input, waited } => awaited(*lane, *input, *waited),
        Fact::Muted { silences, blocks } => muted(silences.len() as u64, *blocks),
        Fact::Answered { count } => owe(book::ANSWERS, *count),
        Fact::AnswerEnded { ending, count } => end(book::ANSWERS, ending.as_str(), *count),
        Fact::Marked { mark, count } => marked(*mark, *count),
        Fact::TellingsAgain { count } => owe(book::TELLINGS, *count),
        Fact::WriteBackOwed { count } => owe(book::WRITE_BACKS, *count),
        Fact::WriteBackEnded { ending, count } => end(book::WRITE_BACKS, ending.as_str(), *count),
        Fact::Called { source, outcome, took } => called(*source, *outcome, *took),
    }
}

fn marked(mark: Option<Mark>, count: u64) {
    counter!(names::MARKS, "mark" => mark.map_or("delivered", Mark::as_str)).increment(count);
}

fn state(used: &StateUsed) {
    for (place, size) in PLACES.into_iter().zip([used.here, used.away]) {
        gauge!(names::STATE_ENTRIES, "place" => place).set(number(size.entries as u64));
        gauge!(names::STATE_BYTES, "place" => place).set(number(size.bytes as u64));
    }
    counter!(names::STATE_WRITES).absolute(used.written);
    counter!(names::STATE_READS).absolute(used.read);
    counter!(names::STATE_FAULTS).absolute(used.faults);
    gauge!(names::STATE_WAITED).set(seconds(used.waited));
}

fn told_to(count: u64) {
    counter!(names::TOLD).increment(count);
    end(book::TELLINGS, "told", count);
}

fn in_force(generation: u64, hash: u128, before: Option<u128>) {
    let series = |hash: u128| gauge!(names::RULES, "hash" => format!("{hash:032x}"));
    if let Some(before) = before {
        series(before).set(0.0);
    }
    series(hash).set(1.0);
    gauge!(names::GENERATION).set(number(generation));
}

fn muted(silences: u64, blocks: u64) {
    gauge!(names::SILENCES).set(number(silences));
    gauge!(names::BLOCKS).set(number(blocks));
}

fn awaited(lane: Lane, input: Input, waited: Span) {
    gauge!(names::RULES_AWAITED, &place(lane, input)).set(seconds(waited));
}

fn read(source: Source, count: u64) {
    of_source(names::CHANGES, source, count);
    owe(book::CHANGES, count);
}

fn refused(source: Source, class: RefusalClass, count: u64) {
    let labels = [("source", source.as_str()), ("class", class.as_str())];
    counter!(names::REFUSED, &labels).increment(count);
    verdict(&Reason::Refused(String::new()), count);
    end(book::CHANGES, "refused", count);
}

fn unmatched(source: Source, count: u64) {
    of_source(names::UNMATCHED, source, count);
    verdict(&Reason::Unmatched, count);
    end(book::CHANGES, "unmatched", count);
}

fn duplicate(source: Source, count: u64) {
    of_source(names::DUPLICATES, source, count);
    verdict(&Reason::Duplicate, count);
    end(book::CHANGES, "duplicate", count);
}

fn called(source: Source, outcome: CallOutcome, took: Duration) {
    let labels = [("source", source.as_str()), ("outcome", outcome.as_str())];
    counter!(names::CALLS, &labels).increment(1);
    histogram!(names::CALL_SECONDS, "source" => source.as_str()).record(took);
}

fn matched(source: Source, changes: u64, hearings: u64) {
    of_source(names::MATCHED, source, changes);
    of_source(names::HEARINGS, source, hearings);
    // A change that reaches three subjects was owed one ending and is now owed three.
    owe(book::CHANGES, hearings.saturating_sub(changes));
}

fn dead(lane: Lane, class: RefusalClass) {
    let labels = [("lane", lane.as_str()), ("class", class.as_str())];
    counter!(names::DEAD_LETTERS, &labels).increment(1);
}

fn rung(late: &[Span]) {
    counter!(names::RUNG).increment(late.len() as u64);
    let lateness = histogram!(names::RUNG_LATE);
    late.iter().for_each(|late| lateness.record(seconds(*late)));
}

fn open(input: Input, matters: u64) {
    let labels = [("topic", input.topic.to_string()), ("partition", input.partition.to_string())];
    gauge!(names::OPEN, &labels).set(number(matters));
}

fn account(input: Input, state: &AccountState) {
    let labels = [("account", state.account.clone()), ("partition", input.partition.to_string())];
    gauge!(names::ACCOUNT_BREAKER, &labels).set(state.breaker.level());
    gauge!(names::ACCOUNT_LIMIT, &labels).set(state.limit);
    gauge!(names::ACCOUNT_IN_FLIGHT, &labels).set(state.in_flight);
    gauge!(names::ACCOUNT_RETRIES, &labels).set(state.retries_left);
}

fn fanned_out(people: &[u32]) {
    let all = people.iter().copied().map(u64::from).sum();
    counter!(names::NOTICES).increment(people.len() as u64);
    counter!(names::TELLINGS).increment(all);
    let sizes = histogram!(names::FAN_OUT);
    people.iter().for_each(|people| sizes.record(*people));
    owe(book::TELLINGS, all);
}

fn sent(outcome: SendOutcome, took: Duration) {
    counter!(names::REQUESTS, "outcome" => outcome.as_str()).increment(1);
    histogram!(names::REQUEST_SECONDS).record(took);
}

fn commit(lane: Lane, result: CommitResult, records: u64, took: Duration) {
    let labels = [("lane", lane.as_str()), ("result", result.as_str())];
    counter!(names::COMMITS, &labels).increment(1);
    histogram!(names::COMMIT_SECONDS, "lane" => lane.as_str()).record(took);
    histogram!(names::COMMIT_RECORDS, "lane" => lane.as_str()).record(number(records));
}

fn restored((lane, input): (Lane, Input), entries: u64, origin: Origin) {
    counter!(names::RESTORED, "lane" => lane.as_str()).increment(entries);
    let labels = [("lane", lane.as_str()), ("origin", origin.as_str())];
    counter!(names::RESTORES, &labels).increment(1);
    restoring(lane, input, &ReadBack::default());
}

fn restoring(lane: Lane, input: Input, read_back: &ReadBack) {
    if input.topic.memories().is_empty() {
        return;
    }
    let labels = place(lane, input);
    gauge!(names::RESTORE_LEFT, &labels).set(number(read_back.of - read_back.read));
    gauge!(names::RESTORE_ETA, &labels).set(number(read_back.eta_seconds.unwrap_or_default()));
}

fn directory_read((people, zoneless): (u64, u64), at: Timestamp) {
    gauge!(names::PEOPLE).set(number(people));
    gauge!(names::ZONELESS).set(number(zoneless));
    gauge!(names::CONFIRMED).set(unix(at));
}

fn holds(lane: Lane, partitions: u32) {
    gauge!(names::PARTITIONS, "lane" => lane.as_str()).set(partitions);
}

fn stands_by(lane: Lane, partitions: u32) {
    gauge!(names::WARM, "lane" => lane.as_str()).set(partitions);
}

fn warm(lane: Lane, input: Input, lag: u64) {
    let labels = [
        ("lane", lane.as_str().to_owned()),
        ("topic", input.topic.to_string()),
        ("partition", input.partition.to_string()),
    ];
    gauge!(names::WARM_LAG, &labels).set(number(lag));
}

fn lag(lane: Lane, input: Input, records: u64, oldest: Span) {
    let labels = place(lane, input);
    gauge!(names::LAG, &labels).set(number(records));
    gauge!(names::OLDEST, &labels).set(seconds(oldest));
}

/// The labels of a partition that a lane holds.
fn place(lane: Lane, input: Input) -> [(&'static str, String); 3] {
    [
        ("lane", lane.as_str().to_owned()),
        ("topic", input.topic.to_string()),
        ("partition", input.partition.to_string()),
    ]
}

fn of_source(name: &'static str, source: Source, count: u64) {
    counter!(name, "source" => source.as_str()).increment(count);
}

fn verdict(reason: &Reason, count: u64) {
    let labels = [("reason", reason.as_str()), ("intentional", truth(reason))];
    counter!(names::VERDICTS, &labels).increment(count);
}

fn owe(book: &'static str, count: u64) {
    counter!(names::OWED, "book" => book).increment(count);
}

fn end(book: &'static str, ending: &'static str, count: u64) {
    let labels = [("book", book), ("ending", ending)];
    counter!(names::ENDED, &labels).increment(count);
}

#[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53, and a meter may round")]
fn number(count: u64) -> f64 {
    count as f64
}

#[allow(clippy::cast_precision_loss, reason = "milliseconds of any date stay below 2^53")]
fn seconds(span: Span) -> f64 {
    span.millis() as f64 / 1_000.0
}

fn unix(at: Timestamp) -> f64 {
    seconds(at.since(Timestamp::from_millis(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Topic;

    fn told(facts: &[Fact]) -> Vec<String> {
        Meters::apart(|meters| {
            facts.iter().for_each(count);
            let moved = |line: &&str| !line.starts_with('#') && !line.ends_with(" 0") && !line.is_empty();
            let own = |line: &&str| !line.starts_with("bugle_process") && !line.starts_with("bugle_build");
            meters.render().lines().filter(moved).filter(own).map(str::to_owned).collect()
        })
    }

    #[test]
    fn a_change_that_reaches_two_subjects_is_owed_two_endings() {
        let xecm = Source::Xecm;
        let mut lines = told(&[
            Fact::Read { source: xecm, count: 3 },
            Fact::Unmatched { source: xecm, count: 1 },
            Fact::Matched { source: xecm, changes: 2, hearings: 3 },
            Fact::Duplicate { source: xecm, count: 1 },
            Fact::Routed { source: xecm, count: 2 },
        ]);
        lines.retain(|line| line.starts_with("bugle_book"));
        lines.sort();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        bugle_book_ended_total{book="changes",ending="duplicate"} 1
        bugle_book_ended_total{book="changes",ending="routed"} 2
        bugle_book_ended_total{book="changes",ending="unmatched"} 1
        bugle_book_owed_total{book="changes"} 4
        "#);
    }

    #[test]
    fn a_rule_that_named_nobody_has_a_verdict_and_owes_no_telling() {
        let lines = told(&[Fact::NoTelling { reason: Reason::Nobody, count: 1 }]);
        assert_eq!(lines, [r#"bugle_flow_verdicts_total{reason="nobody",intentional="false"} 1"#]);
    }

    #[test]
    fn a_partition_given_away_leaves_no_lag_behind() {
        let input = Input { topic: Topic::Events(Source::Bws), partition: 2 };
        let lane = Lane::Source;
        let behind = Fact::Lag { lane, input, records: 7, oldest: Span::from_millis(1_500) };
        assert_eq!(told(std::slice::from_ref(&behind)).len(), 2);
        assert!(told(&[behind, Fact::Released { lane, input }]).is_empty());
    }
}
