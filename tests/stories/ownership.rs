//! Ownership: whose a partition is, and what its next owner knows (stories 1, 2, 12 and 13).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bugle::app::chains::Chains;
use bugle::broker::model::{Fault, Place};
use bugle::broker::{Arrival, Broker, BrokerError, Effect, Input, Outgoing, Position};
use bugle::event::{Ending, Lane, Occasion, Reason, Source, Span, Topic};

use super::crooked::{Bent, Done, Twist};
use super::forgetful::Nothing;
use super::house::{AGREEMENT, House, agreement, legal, on_arrivals, on_commit, on_recall, person, task};
use super::instance::{group, transactional_id};

/// A process that was stopped hears nothing of what happened meanwhile, and works on.
#[derive(Default)]
struct Stopped {
    hears_nothing: AtomicBool,
    /// Its transactions carry no offset, and nothing is checked.
    unfenced: bool,
    tried: AtomicU32,
}

impl Stopped {
    fn is_this(&self, on: &Bent<'_>) -> bool {
        let stopped = on.spec.transactional_id == transactional_id(0, Lane::Subject);
        stopped && self.hears_nothing.load(Ordering::Relaxed)
    }
}

impl Twist for Stopped {
    fn poll(&self, on: Bent<'_>, wait: Duration, most: usize, into: &mut Vec<Arrival>) -> Done<()> {
        if self.is_this(&on) { Ok(()) } else { on.link.poll(wait, most, into) }
    }

    fn commit(&self, on: Bent<'_>, effects: Vec<Effect>, positions: &[(Input, Position)]) -> Done<()> {
        if !self.is_this(&on) {
            return on.link.commit(effects, positions);
        }
        let tells = effects.iter().any(|effect| effect.record.topic == Topic::People);
        self.tried.fetch_add(u32::from(tells), Ordering::Relaxed);
        if self.unfenced {
            return on.model.publish(effects.into_iter().map(|effect| effect.record).collect());
        }
        on.link.commit(effects, positions)
    }
}

/// How often a step that is due was told, and how often the stopped process tried to.
fn of_a_stopped_process(unfenced: bool) -> (u32, u32) {
    let stopped = Arc::new(Stopped { unfenced, ..Stopped::default() });
    let mut house = House::bent(&[person("ada", "approver")], Some(Arc::clone(&stopped) as Arc<dyn Twist>));
    house.start(0);
    house.event("xecm.task.assigned", &task(Span::from_secs(3_600)));
    house.rest();
    house.start(1);
    house.work(10);
    // It stops for longer than its session, and the other one takes over.
    stopped.hears_nothing.store(true, Ordering::Relaxed);
    assert!(house.model.evict(&group(Lane::Subject), &transactional_id(0, Lane::Subject)));
    house.turn(1, Lane::Subject, 5);
    house.pass_seconds(3_700);
    for _ in 0..20 {
        house.turn(1, Lane::Subject, 1);
        house.pass_seconds(1);
    }
    assert_eq!(house.noticed(Occasion::Step(1)), 1, "its successor tells what is due");
    // It wakes, and the same is due in its memory.
    for _ in 0..20 {
        house.turn(0, Lane::Subject, 1);
        house.pass_seconds(1);
    }
    (house.noticed(Occasion::Step(1)), stopped.tried.load(Ordering::Relaxed).min(1))
}

#[test]
fn story_01_a_timer_only_transaction_fences_nobody() {
    assert_eq!(of_a_stopped_process(false), (1, 1));
    assert_eq!(of_a_stopped_process(true), (2, 1), "without an offset nothing stops it");
}

/// What is told of one agreement whose copy comes to an owner that sees the offset of a transaction before
/// it sees the memory written with it.
fn of_a_restore_race(twist: Option<Arc<dyn Twist>>) -> u32 {
    let mut house = House::bent(&legal(1), twist);
    house.start(0);
    house.event(AGREEMENT, &agreement(1));
    house.turn(0, Lane::Source, 4);
    house.model.hold_markers();
    house.turn(0, Lane::Subject, 4);
    house.crash(0);
    let is_memory =
        |place: Place<'_>| matches!(place, Place::Records(Input { topic: Topic::Seen | Topic::State, .. }));
    house.model.land(|place| !is_memory(place));
    house.start(1);
    house.event(AGREEMENT, &agreement(1));
    for _ in 0..4 {
        house.turn(1, Lane::Source, 2);
        house.model.land(|place| !is_memory(place));
        house.turn(1, Lane::Subject, 10);
    }
    house.model.land(|_| true);
    house.work(50);
    house.noticed(Occasion::First)
}

/// The sequence beside every committed offset is forgotten.
fn without_a_sequence(group_name: &str, arrivals: &mut [Arrival]) {
    for arrival in arrivals {
        if let Arrival::Assigned(_, Some(position)) = arrival
            && group_name == group(Lane::Subject)
        {
            let kept = |word: &&str| !word.starts_with("seq=") && !word.starts_with("state=");
            position.note = position.note.split(' ').filter(kept).collect::<Vec<_>>().join(" ");
        }
    }
}

#[test]
fn story_02_a_an_offset_seen_before_its_memory_makes_the_next_owner_wait() {
    assert_eq!(of_a_restore_race(None), 1);
    let forgetful = on_arrivals(|group, arrivals| without_a_sequence(group, arrivals));
    assert_eq!(of_a_restore_race(forgetful), 2, "without the sequence nobody knows what is missing");
}

/// What is told of one agreement and its copy when the first commit was written and the answer was lost.
fn of_an_unknown_commit(twist: Option<Arc<dyn Twist>>, fault: Option<Fault>) -> u32 {
    let mut house = House::bent(&legal(1), twist);
    house.start(0);
    house.turn(0, Lane::Subject, 4);
    house.event(AGREEMENT, &agreement(1));
    house.turn(0, Lane::Source, 4);
    if let Some(fault) = fault {
        house.model.fail_next(fault);
    }
    house.turn(0, Lane::Subject, 10);
    house.event(AGREEMENT, &agreement(1));
    house.work(60);
    house.noticed(Occasion::First)
}

#[test]
fn story_02_b_after_an_unknown_commit_every_partition_is_newly_assigned() {
    assert_eq!(of_an_unknown_commit(None, Some(Fault::FatalThoughWritten)), 1);
    // Taken for an abort: memory goes back, and the offset lies behind what memory lacks.
    let lost = AtomicBool::new(false);
    let taken_for_an_abort = on_commit(move |on, effects, positions| {
        let tells = effects.iter().any(|effect| effect.record.topic == Topic::People);
        on.link.commit(effects, positions)?;
        if tells && !lost.swap(true, Ordering::Relaxed) {
            return Err(BrokerError::Aborted("the answer was lost".to_owned()));
        }
        Ok(())
    });
    assert_eq!(of_an_unknown_commit(taken_for_an_abort, None), 2);
}

/// Under how many ids two agreements are told at most when the person lane's group forgets its offsets.
fn of_forgotten_offsets(twist: Option<Arc<dyn Twist>>) -> usize {
    let mut house = House::bent(&legal(2), twist);
    house.start(0);
    for number in 0..2 {
        house.event(AGREEMENT, &agreement(number));
        house.rest();
    }
    house.stop(0);
    assert!(house.model.forget(&group(Lane::Person)));
    house.start(0);
    house.work(60);
    house.most_told()
}

#[test]
fn story_02_c_a_group_that_forgot_its_offsets_goes_on_where_memory_says() {
    assert_eq!(of_forgotten_offsets(None), 1);
    let forgetful = on_recall(|model, topic, partitions| match topic {
        Topic::Told => Ok(Box::new(Nothing(partitions.len()))),
        _ => model.recall(topic, partitions),
    });
    assert_eq!(of_forgotten_offsets(forgetful), 2, "read from the beginning, other batches are cut");
}

/// The records of a lane's commit with this number are written, and the commit fails all the same.
fn half_commit(lane: Lane, number: u32) -> Option<Arc<dyn Twist>> {
    let commits = AtomicU32::new(0);
    on_commit(move |on, effects, positions| {
        let hit = on.spec.group == group(lane) && commits.fetch_add(1, Ordering::Relaxed) == number;
        if !hit {
            return on.link.commit(effects, positions);
        }
        let records: Vec<Outgoing> = effects.into_iter().map(|effect| effect.record).collect();
        on.model.publish(records)?;
        Err(BrokerError::Fatal("half of it was written".to_owned()))
    })
}

/// The dead letters of one broken record, and the verdicts about one event that no rule wants, when the
/// source lane's commits fail at every step.
fn of_a_source_lane_that_fails(twist: Option<Arc<dyn Twist>>, faults: &[Fault]) -> (usize, usize) {
    let mut house = House::bent(&legal(1), twist);
    house.start(0);
    house.turn(0, Lane::Source, 4);
    house.publish(Topic::Events(Source::Xecm), b"nobody can read this".to_vec());
    let nobody_wants_it = serde_json::json!({ "event_id": "unwanted", "tenant": "acme" });
    house.event("xecm.task.cancelled", &nobody_wants_it);
    house.event(
        "devadmin.flow.recovered",
        &serde_json::json!({ "tenant": "acme", "data": { "error": null } }),
    );
    for fault in faults {
        house.model.fail_next(*fault);
        house.turn(0, Lane::Source, 20);
    }
    house.work(60);
    let refused = |ending: &Ending| matches!(ending, Ending::Not(Reason::Refused(_) | Reason::Unmatched));
    let mut verdicts: BTreeMap<_, usize> = BTreeMap::new();
    for verdict in house.verdicts().iter().filter(|verdict| refused(&verdict.ending)) {
        *verdicts.entry(verdict.change).or_default() += 1;
    }
    (house.records(Topic::DeadLetters).len(), verdicts.into_values().max().unwrap_or_default())
}

#[test]
fn story_12_the_source_lane_is_transactional_too() {
    let faults = [Fault::Fatal, Fault::FatalOnceWritten, Fault::FatalOnceSent, Fault::FatalThoughWritten];
    assert_eq!(of_a_source_lane_that_fails(None, &faults), (1, 1));
    assert_eq!(
        of_a_source_lane_that_fails(half_commit(Lane::Source, 0), &[]),
        (2, 2),
        "at least once is twice"
    );
}

/// What is broken about the audit chains after commits that failed and partitions that moved.
fn of_audit_chains(twist: Option<Arc<dyn Twist>>) -> (u64, Vec<String>) {
    let mut house = House::wide(&legal(3), 2, twist);
    house.start(0);
    let faults = [Fault::Aborted, Fault::FatalOnceWritten, Fault::FatalThoughWritten, Fault::FatalOnceSent];
    for (number, fault) in (0..).zip(faults) {
        house.model.fail_next(fault);
        (0..3).for_each(|copy| house.event(AGREEMENT, &agreement(3 * number + copy)));
        house.work(40);
        match number {
            0 => house.start(1),
            1 => house.crash(0),
            2 => house.start(2),
            _ => house.stop(1),
        }
    }
    house.event(AGREEMENT, &agreement(99));
    house.work(100);
    let mut chains = Chains::default();
    for record in house.records(Topic::Audit) {
        chains.read(&record);
    }
    (chains.counted().1, chains.breaks().iter().map(ToString::to_string).collect())
}

#[test]
fn story_13_an_audit_chain_has_one_writer_and_goes_back_with_it() {
    let (verdicts, breaks) = of_audit_chains(None);
    assert!(verdicts > 10, "{verdicts} verdicts");
    assert_eq!(breaks, [] as [&str; 0]);
    let (_, breaks) = of_audit_chains(half_commit(Lane::Subject, 1));
    assert!(!breaks.is_empty(), "a link of a commit that failed breaks the chain");
}
