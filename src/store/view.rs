//! View: what the lanes share with whoever looks in from outside.
//!
//! The engine tells the [`Board`] the same facts the meters count; `serve` takes snapshots of it. The
//! board decides nothing, is never read by a lane, and holds no person and no text: recent verdicts
//! are ids of events and rules. Every map on it has a bounded set of keys. How answers ended stands apart, for
//! those alone who hold a signed link.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use dashmap::DashMap;

use super::decisions::Decisions;
use super::quantiles::Latencies;
pub use super::snapshot::{
    BookView, DirectoryView, Hops, LaneView, MutedView, PushView, ReadBackView, ReasonView, RecentVerdict,
    RestoringView, RulesView, SilenceView, Snapshot, SourceView, WarmView,
};
use super::traffic::Traffic;
use crate::event::fact::{CommitResult, SendOutcome};
use crate::event::mute::Silence;
use crate::event::record::Input;
use crate::event::{Fact, Lane, ReadBack, Reason, Source, Span, Timestamp, Topic, Verdict};

/// How many verdicts the board keeps; the oldest leaves first.
pub const MOST_VERDICTS: usize = 60;

/// What the lanes of this process have done and where they stand.
#[derive(Debug)]
pub struct Board {
    started: Timestamp,
    connected: AtomicBool,
    /// Totals by what is counted and its word: `("read", "xecm")`.
    tallies: DashMap<(&'static str, &'static str), u64>,
    lag: DashMap<(Lane, Input), Behind>,
    lanes: DashMap<Lane, LaneState>,
    /// How much of each partition is open.
    open: DashMap<Input, u64>,
    /// Partitions whose memory is being read back.
    restoring: DashMap<(Lane, Input), ReadBack>,
    /// Partitions that others run and this process knows, and how far behind each copy is.
    warm: DashMap<(Lane, Input), u64>,
    people: AtomicI64,
    confirmed: AtomicI64,
    rules: Mutex<RulesView>,
    /// Partitions that wait for newer rules.
    awaiting: DashMap<(Lane, Input), Span>,
    muted: Mutex<MutedView>,
    in_flight: AtomicU32,
    requests: Latencies,
    latency: Latencies,
    verdicts: Mutex<VecDeque<RecentVerdict>>,
    /// How the newest answers ended; no snapshot shows it.
    pub answers: Decisions,
    /// What lanes write for one another, and when each thread last went round its loop.
    pub traffic: Traffic,
}

#[derive(Debug, Clone, Copy)]
struct Behind {
    records: u64,
    oldest: Span,
}

#[derive(Debug, Default, Clone, Copy)]
struct LaneState {
    partitions: u32,
    progress: Timestamp,
}

// === impl Board ===

impl Board {
    /// An empty board of a process that starts now.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            started: now,
            connected: AtomicBool::new(false),
            tallies: DashMap::new(),
            lag: DashMap::new(),
            lanes: DashMap::new(),
            open: DashMap::new(),
            restoring: DashMap::new(),
            warm: DashMap::new(),
            people: AtomicI64::new(0),
            confirmed: AtomicI64::new(i64::MIN),
            rules: Mutex::default(),
            awaiting: DashMap::new(),
            muted: Mutex::default(),
            in_flight: AtomicU32::new(0),
            requests: Latencies::default(),
            latency: Latencies::default(),
            verdicts: Mutex::new(VecDeque::new()),
            answers: Decisions::default(),
            traffic: Traffic::default(),
        }
    }

    /// Whether Kafka answers.
    pub fn connected(&self, yes: bool) {
        self.connected.store(yes, Ordering::Relaxed);
    }

    /// Shows verdicts of one transaction among the newest.
    pub fn decided(&self, verdicts: &[Verdict]) {
        let newest = &verdicts[verdicts.len().saturating_sub(MOST_VERDICTS)..];
        let mut shown = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        shown.truncate(MOST_VERDICTS - newest.len());
        newest.iter().for_each(|verdict| shown.push_front(RecentVerdict::of(verdict)));
    }

    /// Takes note of what happened: one arm per fact.
    pub fn note(&self, fact: &Fact) {
        match fact {
            Fact::Read { source, count } => self.add("read", source.as_str(), *count),
            Fact::Refused { count, .. } => self.change_ended(&Reason::Refused(String::new()), *count),
            Fact::Unmatched { count, .. } => self.change_ended(&Reason::Unmatched, *count),
            Fact::Duplicate { count, .. } => self.change_ended(&Reason::Duplicate, *count),
            Fact::Matched { changes, hearings, .. } => {
                self.add("matched", "", *changes);
                self.add("hearings", "", *hearings);
            }
            Fact::Routed { count, .. } => self.add("ended", "changes", *count),
            Fact::FannedOut { people } => {
                self.add("notices", "", people.len() as u64);
                self.add("tellings", "", people.iter().copied().map(u64::from).sum());
            }
            Fact::Rung { late } => self.add("timers", "", late.len() as u64),
            Fact::Open { input, matters } => drop(self.open.insert(*input, *matters)),
            Fact::NoTelling { reason, count } => self.add("verdict", reason.as_str(), *count),
            Fact::NotTold { reason, count } => {
                self.add("verdict", reason.as_str(), *count);
                self.add("ended", "tellings", *count);
            }
            Fact::Told { count } => {
                self.add("told", "", *count);
                self.add("ended", "tellings", *count);
            }
            Fact::Cut { .. } => self.add("batches", "", 1),
            Fact::Sent { outcome, took } => {
                self.add("sent", outcome.as_str(), 1);
                self.requests.record(*took);
            }
            Fact::Accepted { latency } => self.latency.record(latency.to_duration()),
            Fact::InFlight { requests } => self.in_flight.store(*requests, Ordering::Relaxed),
            Fact::Account { .. } | Fact::Marked { .. } => {}
            Fact::BackedOff => self.add("backoffs", "", 1),
            Fact::DeadLetter { lane, .. } => self.add("dead", lane.as_str(), 1),
            Fact::Commit { lane, result, .. } => self.add(result.as_str(), lane.as_str(), 1),
            Fact::Lag { lane, input, records, oldest } => {
                self.lag.insert((*lane, *input), Behind { records: *records, oldest: *oldest });
            }
            Fact::Released { lane, input } => self.release(*lane, *input),
            Fact::Restoring { lane, input, read_back } => self.restores((*lane, *input), *read_back),
            Fact::Restored { lane, input, .. } => drop(self.restoring.remove(&(*lane, *input))),
            Fact::Warm { lane, input, lag } => self.warms((*lane, *input), Some(*lag)),
            Fact::Cold { lane, input } => self.warms((*lane, *input), None),
            // For the meters alone.
            Fact::Standby { .. } | Fact::Snapshot { .. } | Fact::State { .. } => {}
            Fact::Assigned { lane, partitions } => {
                self.lanes.entry(*lane).or_default().partitions = *partitions;
            }
            Fact::Progress { lane, at } => self.lanes.entry(*lane).or_default().progress = *at,
            Fact::DirectoryRead { people, at, .. } => self.directory_read(*people, *at),
            Fact::RulesInForce { .. } | Fact::RulesRefused | Fact::RulesAwaited { .. } => self.ruled(fact),
            Fact::Muted { silences, blocks } => self.mute(silences, *blocks),
            Fact::Answered { count } => self.answered(*count),
            Fact::AnswerEnded { count, .. } => self.add("ended", "answers", *count),
            Fact::TellingsAgain { count } => self.add("tellings", "", *count),
            Fact::WriteBackOwed { count } => self.add("write_backs", "", *count),
            Fact::WriteBackEnded { count, .. } => self.add("ended", "write_backs", *count),
            Fact::Called { outcome, .. } => self.add("called", outcome.as_str(), 1),
        }
    }

    fn directory_read(&self, people: u64, at: Timestamp) {
        self.people.store(i64::try_from(people).unwrap_or(i64::MAX), Ordering::Relaxed);
        self.confirmed.store(at.millis(), Ordering::Relaxed);
    }

    /// Answers were written to their subjects.
    fn answered(&self, count: u64) {
        self.add("answers", "", count);
        self.traffic.written(Topic::Subjects, count);
    }

    /// What is in force, and who waits for it.
    fn ruled(&self, fact: &Fact) {
        match fact {
            Fact::RulesInForce { generation, hash, rules, .. } => self.in_force(*generation, *hash, *rules),
            Fact::RulesRefused => self.add("rules refused", "", 1),
            Fact::RulesAwaited { lane, input, waited } => {
                self.awaiting.insert((*lane, *input), *waited);
            }
            _ => {}
        }
    }

    fn mute(&self, silences: &[Silence], blocks: u64) {
        *self.muted.lock().unwrap_or_else(PoisonError::into_inner) = MutedView::of(silences, blocks);
    }

    fn in_force(&self, generation: u64, hash: u128, count: u64) {
        let mut shown = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        *shown = RulesView { hash: Some(format!("{hash:032x}")), generation, count, ..RulesView::default() };
    }

    fn restores(&self, of: (Lane, Input), read_back: ReadBack) {
        self.restoring.insert(of, read_back);
    }

    fn warms(&self, of: (Lane, Input), lag: Option<u64>) {
        match lag {
            Some(lag) => drop(self.warm.insert(of, lag)),
            None => drop(self.warm.remove(&of)),
        }
    }

    fn release(&self, lane: Lane, input: Input) {
        self.lag.remove(&(lane, input));
        self.open.remove(&input);
        self.restoring.remove(&(lane, input));
        self.awaiting.remove(&(lane, input));
    }

    /// The board as it stands.
    #[must_use]
    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        let verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = verdicts.iter().cloned().collect();
        drop(verdicts);
        Snapshot {
            at: now,
            started: self.started,
            connected: self.connected.load(Ordering::Relaxed),
            sources: Source::ALL.into_iter().map(|source| self.source(source)).collect(),
            lanes: Lane::ALL.into_iter().map(|lane| self.lane(lane, now)).collect(),
            restoring: self.restoring(),
            warm: self.warm(),
            hops: self.hops(),
            directory: self.directory(now),
            rules: self.rules(),
            muted: self.muted.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            push: self.push(),
            books: self.books(),
            verdicts: self.reasons(),
            recent,
        }
    }

    fn add(&self, what: &'static str, word: &'static str, count: u64) {
        *self.tallies.entry((what, word)).or_default() += count;
    }

    fn change_ended(&self, reason: &Reason, count: u64) {
        self.add("verdict", reason.as_str(), count);
        self.add("ended", "changes", count);
    }

    fn tally(&self, what: &'static str, word: &'static str) -> u64 {
        self.tallies.get(&(what, word)).map_or(0, |count| *count)
    }

    fn source(&self, source: Source) -> SourceView {
        let topic = Topic::Events(source);
        let lag = self.lag.iter().filter(|entry| entry.key().1.topic == topic);
        let lag = lag.map(|entry| entry.records).sum();
        let read = self.tally("read", source.as_str());
        SourceView { name: source.as_str(), title: source.title(), read, lag }
    }

    fn lane(&self, lane: Lane, now: Timestamp) -> LaneView {
        let state = self.lanes.get(&lane).map_or_else(LaneState::default, |state| *state);
        let mut view = LaneView {
            name: lane.as_str(),
            partitions: state.partitions,
            restoring: None,
            lag: 0,
            oldest_ms: 0,
            idle_ms: (state.progress != Timestamp::default()).then(|| now.since(state.progress).millis()),
            beat_ms: None,
            commits: self.tally(CommitResult::Committed.as_str(), lane.as_str()),
            aborts: self.tally(CommitResult::Aborted.as_str(), lane.as_str()),
            dead_letters: self.tally("dead", lane.as_str()),
        };
        for entry in self.lag.iter().filter(|entry| entry.key().0 == lane) {
            view.lag += entry.records;
            view.oldest_ms = view.oldest_ms.max(entry.oldest.millis());
        }
        for entry in self.restoring.iter().filter(|entry| entry.key().0 == lane) {
            let sum = view.restoring.get_or_insert(RestoringView { partitions: 0, read: 0, of: 0 });
            sum.partitions += 1;
            sum.read += entry.read;
            sum.of += entry.of;
        }
        view.beat_ms = self.traffic.oldest_beat(lane).map(|beat| now.since(beat).millis());
        view
    }

    fn restoring(&self) -> Vec<ReadBackView> {
        let mut all: Vec<_> = self.restoring.iter().map(|entry| (*entry.key(), *entry.value())).collect();
        all.sort_unstable_by_key(|(place, _)| *place);
        let view = |((lane, input), read_back): ((Lane, Input), ReadBack)| ReadBackView {
            lane: lane.as_str(),
            partition: input.to_string(),
            read_back,
        };
        all.into_iter().map(view).collect()
    }

    fn warm(&self) -> Vec<WarmView> {
        let mut all: Vec<_> = self.warm.iter().map(|entry| (*entry.key(), *entry.value())).collect();
        all.sort_unstable();
        let view = |((lane, input), lag): ((Lane, Input), u64)| WarmView {
            lane: lane.as_str(),
            partition: input.to_string(),
            lag,
        };
        all.into_iter().map(view).collect()
    }

    fn hops(&self) -> Hops {
        Hops {
            read: Source::ALL.iter().map(|source| self.tally("read", source.as_str())).sum(),
            hearings: self.tally("hearings", ""),
            notices: self.tally("notices", ""),
            tellings: self.tally("tellings", ""),
            batches: self.tally("batches", ""),
            requests: SendOutcome::ALL.iter().map(|outcome| self.tally("sent", outcome.as_str())).sum(),
            told: self.tally("told", ""),
            timers: self.tally("timers", ""),
            open: self.open.iter().map(|entry| *entry.value()).sum(),
        }
    }

    fn directory(&self, now: Timestamp) -> DirectoryView {
        let confirmed = self.confirmed.load(Ordering::Relaxed);
        let age = now.since(Timestamp::from_millis(confirmed)).millis();
        DirectoryView {
            people: self.people.load(Ordering::Relaxed),
            age_ms: (confirmed != i64::MIN).then_some(age),
        }
    }

    /// What was measured so far does not count: a warm-up is over.
    pub fn forget_latencies(&self) {
        self.requests.forget();
        self.latency.forget();
    }

    fn rules(&self) -> RulesView {
        let shown = self.rules.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let waited = self.awaiting.iter().map(|entry| entry.millis()).filter(|millis| *millis > 0);
        let (awaiting, awaited_ms) = waited.fold((0, 0), |(all, most), one| (all + 1, most.max(one)));
        RulesView { awaiting, awaited_ms, ..shown }
    }

    fn push(&self) -> PushView {
        let outcome = |outcome: SendOutcome| (outcome.as_str(), self.tally("sent", outcome.as_str()));
        PushView {
            in_flight: self.in_flight.load(Ordering::Relaxed),
            outcomes: SendOutcome::ALL.into_iter().map(outcome).collect(),
            backoffs: self.tally("backoffs", ""),
            request_p50_ms: self.requests.quantile(0.5),
            request_p99_ms: self.requests.quantile(0.99),
            latency_p50_ms: self.latency.quantile(0.5),
            latency_p99_ms: self.latency.quantile(0.99),
        }
    }

    fn books(&self) -> [BookView; 4] {
        let hops = self.hops();
        let split = self.tally("hearings", "").saturating_sub(self.tally("matched", ""));
        let book = |name, owed| BookView { name, owed, ended: self.tally("ended", name) };
        [
            book("changes", hops.read + split),
            book("tellings", hops.tellings),
            book("answers", self.tally("answers", "")),
            book("write_backs", self.tally("write_backs", "")),
        ]
    }

    fn reasons(&self) -> Vec<ReasonView> {
        let view = |reason: Reason| ReasonView {
            reason: reason.as_str(),
            intentional: reason.intentional(),
            count: self.tally("verdict", reason.as_str()),
        };
        let mut all: Vec<_> = Reason::ALL.into_iter().map(view).filter(|view| view.count > 0).collect();
        all.sort_by_key(|view| std::cmp::Reverse(view.count));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::Coordinates;
    use crate::event::Ending;
    use crate::event::fact::RefusalClass;
    use crate::store::traffic::Pulse;

    const START: Timestamp = Timestamp::from_millis(1_000_000);

    fn later(millis: i64) -> Timestamp {
        START + Span::from_millis(millis)
    }

    fn verdict(event_id: &str) -> Verdict {
        Verdict {
            at: START,
            tenant: "acme".into(),
            event_id: event_id.into(),
            change: Coordinates { source: Source::Xecm, partition: 0, offset: 4 },
            subject: Some("acme|xecm|user=jdoe".into()),
            rule: Some("ec-1-review".into()),
            occasion: None,
            ending: Ending::Not(Reason::LeftAudience),
            count: 2,
            people: vec!["jdoe@Content Server Members".into()],
            asked: None,
        }
    }

    #[test]
    fn the_board_shows_nobody() {
        let board = Board::new(START);
        board.decided(&[verdict("e-1")]);
        let text = serde_json::to_string(&board.snapshot(START)).unwrap();
        assert!(text.contains("e-1") && text.contains("left_audience"), "{text}");
        assert!(!text.contains("jdoe"), "{text}");
    }

    #[test]
    fn only_the_newest_verdicts_stay_and_the_newest_is_first() {
        let board = Board::new(START);
        let all: Vec<Verdict> = (0..MOST_VERDICTS * 2).map(|number| verdict(&number.to_string())).collect();
        board.decided(&all[..10]);
        board.decided(&all[10..MOST_VERDICTS]);
        board.decided(&all[MOST_VERDICTS..]);
        let recent = board.snapshot(START).recent;
        assert_eq!(recent.len(), MOST_VERDICTS);
        assert_eq!(recent[0].event_id, (MOST_VERDICTS * 2 - 1).to_string());
    }

    #[test]
    fn a_book_closes_when_every_hearing_has_ended() {
        let board = Board::new(START);
        let source = Source::Bws;
        for fact in [
            Fact::Read { source, count: 4 },
            Fact::Refused { source, class: RefusalClass::Framing, count: 1 },
            Fact::Unmatched { source, count: 1 },
            Fact::Matched { source, changes: 2, hearings: 5 },
            Fact::Duplicate { source, count: 2 },
        ] {
            board.note(&fact);
        }
        let [changes, ..] = board.snapshot(START).books;
        assert_eq!((changes.owed, changes.ended), (7, 4));
        board.note(&Fact::Routed { source, count: 3 });
        let [changes, ..] = board.snapshot(START).books;
        assert_eq!((changes.owed, changes.ended), (7, 7));
    }

    #[test]
    fn a_lane_is_as_far_behind_as_all_its_partitions_together() {
        let board = Board::new(START);
        let lane = Lane::Source;
        let input = |partition| Input { topic: Topic::Events(Source::Xecm), partition };
        for (partition, records, oldest) in [(0, 10, 400), (1, 5, 900)] {
            let oldest = Span::from_millis(oldest);
            board.note(&Fact::Lag { lane, input: input(partition), records, oldest });
        }
        let snapshot = board.snapshot(START);
        assert_eq!((snapshot.lanes[0].lag, snapshot.lanes[0].oldest_ms), (15, 900));
        assert_eq!(snapshot.sources[1].lag, 15);
        board.note(&Fact::Released { lane, input: input(0) });
        assert_eq!(board.snapshot(START).lanes[0].lag, 5);
    }

    fn round(at: Timestamp) -> Pulse {
        Pulse { at, due: None, is_busy: false }
    }

    #[test]
    fn a_lane_is_as_quiet_as_its_slowest_thread() {
        let board = Board::new(START);
        board.traffic.beat(Lane::Person, 0, round(later(0)));
        board.traffic.beat(Lane::Person, 1, round(later(700)));
        assert_eq!(board.snapshot(later(1_000)).lanes[2].beat_ms, Some(1_000));
        board.traffic.ended(Lane::Person, 0);
        assert_eq!(board.snapshot(later(1_000)).lanes[2].beat_ms, Some(300));
    }

    #[test]
    fn push_latency_is_known_after_the_first_request() {
        let board = Board::new(START);
        assert_eq!(board.snapshot(START).push.request_p50_ms, None);
        board.note(&Fact::Sent { outcome: SendOutcome::Accepted, took: Duration::from_millis(20) });
        let push = board.snapshot(START).push;
        assert!(push.request_p50_ms.is_some_and(|millis| (20..=23).contains(&millis)));
        assert_eq!(push.outcomes[0], ("accepted", 1));
    }

    #[test]
    fn a_commit_is_counted_by_lane_and_result() {
        let board = Board::new(START);
        let result = CommitResult::Aborted;
        let took = Duration::from_millis(8);
        board.note(&Fact::Commit { lane: Lane::Subject, result, records: 3, took });
        assert_eq!(board.snapshot(START).lanes[1].aborts, 1);
    }
}
