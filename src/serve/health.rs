//! Health: is the process alive, and may it be relied on.
//!
//! Alive means that every lane thread went round its loop lately. It says nothing about Kafka: a broker
//! that is away must not restart all its clients. Ready means connected, restored and getting on.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Shared;
use crate::clock;
use crate::event::Span;
use crate::store::view::{LaneView, ReadBackView, RestoringView, RulesView, Snapshot, WarmView};

/// From when on silence is a fault.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A lane thread that has not gone round its loop for this long hangs.
    pub beat: Span,
    /// A lane with unread records that has not got on for this long is stuck.
    pub progress: Span,
}

/// An answer of `/livez` or `/readyz`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Whether all is well.
    pub ok: bool,
    /// Kafka answers; absent where it does not matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
    /// The directory has been read to its end, and the memory of every partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored: Option<bool>,
    /// No lane is stuck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progressing: Option<bool>,
    /// The partitions whose memory is being read back, and how far each is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restoring: Vec<ReadBackView>,
    /// The rules in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<RulesView>,
    /// The partitions that others run and whose memory is known here, and how far behind each copy is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warm: Vec<WarmView>,
    /// What is not well, one sentence each.
    pub reasons: Vec<String>,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self { beat: Span::from_secs(120), progress: Span::from_secs(60) }
    }
}

// === impl Health ===

impl Health {
    /// Whether every lane thread still goes round.
    #[must_use]
    pub fn alive(snapshot: &Snapshot, limits: Limits) -> Self {
        let hangs = |lane: &LaneView| {
            let quiet = lane.beat_ms.filter(|quiet| *quiet > limits.beat.millis())?;
            let quiet = Span::from_millis(quiet);
            Some(format!("a thread of the {} lane has not gone round its loop for {quiet}", lane.name))
        };
        let reasons: Vec<_> = snapshot.lanes.iter().filter_map(hangs).collect();
        Self { ok: reasons.is_empty(), reasons, ..Self::default() }
    }

    /// Whether the process can be relied on to carry changes.
    #[must_use]
    pub fn ready(snapshot: &Snapshot, limits: Limits) -> Self {
        let mut reasons = Vec::new();
        if !snapshot.connected {
            reasons.push("Kafka does not answer".to_owned());
        }
        let directory = snapshot.directory.age_ms.is_some();
        if !directory {
            reasons.push("the directory has not been read to its end yet".to_owned());
        }
        let restoring = |lane: &LaneView| {
            let RestoringView { partitions, read, of } = lane.restoring?;
            let name = lane.name;
            let of_lane = snapshot.restoring.iter().filter(|view| view.lane == name);
            let eta = of_lane.map(|view| view.read_back.eta_seconds).max().flatten();
            let left = eta.map(|eta| format!(", about {} to go", Span::from_secs(eta.cast_signed())));
            let left = left.unwrap_or_default();
            Some(format!(
                "the {name} lane reads back the memory of {partitions} partitions: {read} of {of} records{left}"
            ))
        };
        let restoring: Vec<_> = snapshot.lanes.iter().filter_map(restoring).collect();
        let restored = directory && restoring.is_empty();
        reasons.extend(restoring);
        let stuck = |lane: &LaneView| {
            let since_start = snapshot.at.since(snapshot.started).millis();
            let idle = lane.idle_ms.unwrap_or(since_start);
            (lane.lag > 0 && idle > limits.progress.millis()).then(|| {
                let idle = Span::from_millis(idle);
                format!(
                    "the {} lane has {} records to read and has not got on for {idle}",
                    lane.name, lane.lag
                )
            })
        };
        let stuck: Vec<_> = snapshot.lanes.iter().filter_map(stuck).collect();
        let RulesView { generation, awaiting, awaited_ms, .. } = snapshot.rules;
        let behind = awaited_ms > limits.progress.millis();
        if behind {
            let waited = Span::from_millis(awaited_ms);
            reasons.push(format!(
                "{awaiting} partitions wait for newer rules than those of generation {generation}, for {waited}"
            ));
        }
        let progressing = stuck.is_empty() && !behind;
        reasons.extend(stuck);
        Self {
            ok: reasons.is_empty(),
            connected: Some(snapshot.connected),
            restored: Some(restored),
            progressing: Some(progressing),
            restoring: snapshot.restoring.clone(),
            rules: snapshot.rules.hash.is_some().then(|| snapshot.rules.clone()),
            warm: snapshot.warm.clone(),
            reasons,
        }
    }

    fn answer(self) -> Response {
        let status = if self.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(self)).into_response()
    }
}

pub(super) async fn livez(State(shared): State<Shared>) -> Response {
    Health::alive(&shared.window.board.snapshot(clock::now()), shared.window.limits).answer()
}

pub(super) async fn readyz(State(shared): State<Shared>) -> Response {
    if *shared.stopping.borrow() {
        let reasons = vec!["this process is stopping".to_owned()];
        return Health { reasons, ..Health::default() }.answer();
    }
    Health::ready(&shared.window.board.snapshot(clock::now()), shared.window.limits).answer()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::record::Input;
    use crate::event::{Fact, Lane, Origin, ReadBack, Timestamp, Topic};
    use crate::store::traffic::Pulse;
    use crate::store::view::Board;

    const START: Timestamp = Timestamp::from_millis(1_000_000);

    fn later(secs: i64) -> Timestamp {
        START + Span::from_secs(secs)
    }

    fn behind(records: u64) -> Fact {
        let input = Input { topic: Topic::Subjects, partition: 0 };
        Fact::Lag { lane: Lane::Subject, input, records, oldest: Span::ZERO }
    }

    #[test]
    fn a_process_is_not_ready_before_kafka_answers_and_the_directory_is_read() {
        let board = Board::new(START);
        let health = Health::ready(&board.snapshot(START), Limits::default());
        assert_eq!(
            health.reasons,
            ["Kafka does not answer", "the directory has not been read to its end yet"]
        );
        board.connected(true);
        board.note(&Fact::DirectoryRead { people: 3, zoneless: 0, at: START });
        assert!(Health::ready(&board.snapshot(START), Limits::default()).ok);
    }

    #[test]
    fn a_lane_is_stuck_only_while_it_has_something_to_read() {
        let board = Board::new(START);
        board.connected(true);
        board.note(&Fact::DirectoryRead { people: 3, zoneless: 0, at: START });
        board.note(&Fact::Progress { lane: Lane::Subject, at: START });
        let ready = |secs| Health::ready(&board.snapshot(later(secs)), Limits::default());
        assert!(ready(300).ok);
        board.note(&behind(7));
        assert!(ready(59).ok);
        assert_eq!(ready(61).reasons, ["the subject lane has 7 records to read and has not got on for 1m1s"]);
        board.note(&Fact::Progress { lane: Lane::Subject, at: later(61) });
        assert!(ready(61).ok);
    }

    #[test]
    fn a_partition_whose_memory_is_read_back_says_how_far_it_is_and_how_long_it_will_take() {
        let board = Board::new(START);
        board.connected(true);
        board.note(&Fact::DirectoryRead { people: 3, zoneless: 0, at: START });
        let (lane, input) = (Lane::Subject, Input { topic: Topic::Subjects, partition: 3 });
        let read_back = ReadBack::after(Origin::Snapshot, (250, 1_000), 500, 2_000);
        board.note(&Fact::Restoring { lane, input, read_back });
        let health = Health::ready(&board.snapshot(START), Limits::default());
        assert_eq!((health.ok, health.restored, health.progressing), (false, Some(false), Some(true)));
        insta::assert_snapshot!(serde_json::to_string(&health).unwrap(), @r#"{"ok":false,"connected":true,"restored":false,"progressing":true,"restoring":[{"lane":"subject","partition":"bugle.subjects-3","origin":"snapshot","read":250,"of":1000,"entries":500,"entries_per_second":250,"eta_seconds":6}],"reasons":["the subject lane reads back the memory of 1 partitions: 250 of 1000 records, about 6s to go"]}"#);
        board.note(&Fact::Restored { lane, input, entries: 2_000, origin: Origin::Snapshot });
        let health = Health::ready(&board.snapshot(START), Limits::default());
        assert!(health.ok && !serde_json::to_string(&health).unwrap().contains("restoring"));
    }

    #[test]
    fn a_warm_copy_is_shown_with_its_lag_until_its_partition_is_ours() {
        let board = Board::new(START);
        let (lane, input) = (Lane::Person, Input { topic: Topic::People, partition: 1 });
        board.note(&Fact::Warm { lane, input, lag: 12 });
        let shown =
            || serde_json::to_string(&Health::ready(&board.snapshot(START), Limits::default())).unwrap();
        assert!(shown().contains(r#""warm":[{"lane":"person","partition":"bugle.people-1","lag":12}]"#));
        board.note(&Fact::Cold { lane, input });
        assert!(!shown().contains("warm"));
    }

    #[test]
    fn a_broker_that_is_away_does_not_make_a_process_dead() {
        let board = Board::new(START);
        board.traffic.beat(Lane::Source, 0, Pulse { at: later(100), due: None, is_busy: false });
        assert!(Health::alive(&board.snapshot(later(101)), Limits::default()).ok);
    }

    #[test]
    fn a_thread_that_hangs_makes_a_process_dead() {
        let board = Board::new(START);
        board.traffic.beat(Lane::Source, 0, Pulse { at: later(0), due: None, is_busy: false });
        board.traffic.beat(Lane::Source, 1, Pulse { at: later(130), due: None, is_busy: false });
        let health = Health::alive(&board.snapshot(later(130)), Limits::default());
        assert_eq!(health.reasons, ["a thread of the source lane has not gone round its loop for 2m10s"]);
    }
}
