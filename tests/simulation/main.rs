//! Simulation: whole instances, broker, push service and clock in one thread, from one seed.
//!
//! `cargo test --test simulation` plays 2 000 seeds. More of them, or one again that failed:
//! `BUGLE_SEEDS=20000 cargo test --test simulation` and `BUGLE_SEED=17 cargo test --test simulation`.

#![allow(clippy::unwrap_used, reason = "a play that cannot be set up has failed")]

mod counted;
mod cramped;
#[path = "../town/crooked.rs"]
mod crooked;
#[path = "../town/forgetful.rs"]
mod forgetful;
mod growing;
#[path = "../town/instance.rs"]
mod instance;
mod judge;
mod kept;
#[path = "../town/mixed.rs"]
mod mixed;
mod movers;
mod office;
#[path = "../town/owed.rs"]
mod owed;
mod planted;
mod play;
mod post;
mod tapped;
#[path = "../town/mod.rs"]
mod town;
mod weather;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use bugle::event::Person;
use bugle::telemetry::Meters;
use counted::{Check, Counted, Violation};
use movers::movers;
use owed::with_quiet_hours;
use planted::Bug;
use play::{Play, has_disks, has_standby};
use town::{Town, company};

const PARTITIONS: u32 = 2;
const INSTANCES: usize = 3;
const STEPS: u32 = 600;

/// The people, and the rules and everything else they live under.
struct Company {
    town: Town,
    people: Vec<Person>,
}

fn everybody() -> Vec<Person> {
    let mut people = company(12);
    let like = people.iter().find(|person| person.user_id == "lena.vogt").unwrap().clone();
    people.extend(movers(&like));
    with_quiet_hours(people)
}

fn a_company(people: Vec<Person>) -> Company {
    let mut town = Town::new(&people, PARTITIONS);
    // Small, so that lanes commit inside a frame.
    town.plan.budget = 2_000;
    Company { town, people }
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn shown(broken: &[Violation]) -> String {
    broken.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Plays the seeds that nobody has played yet.
fn play(seeds: Range<u64>, next: &AtomicU64) -> Counted {
    let (town, mut sum) = (a_company(everybody()), Counted::default());
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if !seeds.contains(&seed) {
            return sum;
        }
        let play = || Play::new(&town, &town, seed, None).run(STEPS);
        let played = if has_disks(seed) || has_standby(seed) {
            Meters::apart(|meters| play().map(|counted| counted.with_origins(&meters.render())))
        } else {
            play()
        };
        let counted = played.unwrap_or_else(|broken| {
            let broken = shown(&broken);
            panic!("{broken}\nseen again with: BUGLE_SEED={seed} cargo test --test simulation")
        });
        let busy = counted.events > 0 && counted.told > 0 && counted.timers > 0 && counted.faults() > 0;
        assert!(busy, "{seed} is idle: {counted:?}");
        sum.add(&counted);
    }
}

#[test]
fn no_order_of_events_and_faults_loses_repeats_or_misdirects() {
    let seeds = match from_environment("BUGLE_SEED") {
        Some(seed) => {
            // One play is worth a look at what it says.
            tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).without_time().init();
            seed..seed + 1
        }
        None => 0..from_environment("BUGLE_SEEDS").unwrap_or(2_000),
    };
    // A play has one thread; several are played side by side.
    let (next, mut sum) = (AtomicU64::new(seeds.start), Counted::default());
    std::thread::scope(|scope| {
        let players = std::thread::available_parallelism().map_or(1, usize::from);
        let players: Vec<_> = (0..players).map(|_| scope.spawn(|| play(seeds.clone(), &next))).collect();
        for player in players {
            sum.add(&player.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    let many = seeds.end - seeds.start >= 100;
    assert!(!many || (sum.snapshots > 0 && sum.standby > 0), "no copy was of any use");
    assert!(!many || sum.from_disk > 0, "nobody had too little memory");
    println!("{}", sum.report(seeds.end - seeds.start));
}

#[test]
fn a_seed_is_played_the_same_way_again() {
    let town = a_company(everybody());
    for seed in [3, 17, 1_999, 48] {
        let play = || {
            Play::new(&town, &town, seed, None)
                .run(STEPS)
                .unwrap_or_else(|broken| panic!("{}", shown(&broken)))
        };
        assert_eq!(play(), play(), "{seed}");
    }
}

/// A fault planted is found within 200 seeds, by this check.
fn finds(bug: Bug, check: Check) {
    let town = a_company(everybody());
    let mut plays = (0..200).map(|seed| Play::new(&town, &town, seed, Some(bug)).run(STEPS));
    let found = plays.find(|played| {
        played.as_ref().is_err_and(|broken| broken.iter().any(|broken| broken.check == check))
    });
    assert!(found.is_some(), "{bug:?} was not found in 200 seeds");
}

#[test]
fn a_record_that_is_lost_is_found() {
    finds(Bug::LosesARecord, Check::NoLoss);
}

#[test]
fn a_transaction_that_is_half_committed_is_found() {
    finds(Bug::HalfCommits, Check::NoDuplicate);
    finds(Bug::HalfCommits, Check::AuditWhole);
}

#[test]
fn memory_that_is_forgotten_is_found() {
    finds(Bug::ForgetsMemory, Check::NoDuplicate);
}

#[test]
fn what_is_due_and_told_twice_is_found() {
    finds(Bug::RingsTwice, Check::NoDuplicate);
}

#[test]
fn a_batch_that_was_taken_and_denied_is_found() {
    finds(Bug::DeniesWhatItTook, Check::NoDuplicate);
}

#[test]
fn a_request_of_two_tenants_is_found() {
    finds(Bug::MixesTenants, Check::RightPerson);
}

#[test]
fn somebody_told_after_they_left_is_found() {
    finds(Bug::BelievesWhatHangs, Check::RightPerson);
}

#[test]
fn a_reminder_of_what_was_answered_is_found() {
    finds(Bug::ForgetsAnswers, Check::Order);
}

#[test]
fn an_entry_that_was_not_written_is_found() {
    finds(Bug::ForgetsAnEntry, Check::StateIsReplay);
}

#[test]
fn a_verdict_that_is_missing_is_found() {
    finds(Bug::LosesAVerdict, Check::AuditWhole);
}

#[test]
fn a_transaction_left_open_is_found() {
    finds(Bug::LeavesOpen, Check::Bounded);
}

#[test]
fn a_play_in_which_nobody_is_told_in_trouble_does_not_count() {
    finds(Bug::TellsNobodyInTrouble, Check::Progress);
}

#[test]
fn somebody_told_who_should_not_be_is_found() {
    let people = everybody();
    let lena = people.iter().find(|person| person.user_id == "lena.vogt").unwrap();
    let stranger = Person { user_id: "a.stranger".to_owned(), ..lena.clone() };
    let (judge, town) = (a_company(people.clone()), a_company([people, vec![stranger]].concat()));
    let mut plays = (0..200).map(|seed| Play::new(&town, &judge, seed, None).run(STEPS));
    let broken = plays.find_map(Result::err).expect("the stranger is told within 200 seeds");
    let is_it = |broken: &Violation| broken.check == Check::RightPerson && broken.what.contains("a.stranger");
    assert!(broken.iter().any(is_it), "{}", shown(&broken));
}
