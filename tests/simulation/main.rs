//! Simulation: whole instances, broker, push service and clock in one thread, from one seed.
//!
//! `cargo test --test simulation` plays 2 000 seeds. More of them, or one again that failed:
//! `BUGLE_SEEDS=20000 cargo test --test simulation` and `BUGLE_SEED=17 cargo test --test simulation`.

#![allow(clippy::unwrap_used, reason = "a play that cannot be set up has failed")]

#[path = "../town/crooked.rs"]
mod crooked;
#[path = "../town/forgetful.rs"]
mod forgetful;
#[path = "../town/instance.rs"]
mod instance;
mod kept;
mod office;
#[path = "../town/owed.rs"]
mod owed;
mod planted;
mod play;
mod post;
mod tapped;
#[path = "../town/mod.rs"]
mod town;

use bugle::event::Person;
use bugle::telemetry::Meters;
use planted::Bug;
use play::{Counted, Play, Violation, has_disks};
use town::{Town, company};

const PARTITIONS: u32 = 2;
const INSTANCES: usize = 3;
const STEPS: u32 = 600;

/// The people, and the rules and everything else they live under.
struct Company {
    town: Town,
    people: Vec<Person>,
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

#[test]
fn no_order_of_events_and_faults_loses_repeats_or_misdirects() {
    let town = a_company(company(12));
    let seeds = match from_environment("BUGLE_SEED") {
        Some(seed) => {
            // One play is worth a look at what it says.
            tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).without_time().init();
            seed..seed + 1
        }
        None => 0..from_environment("BUGLE_SEEDS").unwrap_or(2_000),
    };
    let mut sum = Counted::default();
    for seed in seeds.clone() {
        let play = || Play::new(&town, &town, seed, None).run(STEPS);
        let played = if has_disks(seed) {
            Meters::apart(|meters| play().map(|counted| counted.with_snapshots(&meters.render())))
        } else {
            play()
        };
        let counted = played.unwrap_or_else(|violation| {
            panic!("{violation}\nseen again with: BUGLE_SEED={seed} cargo test --test simulation")
        });
        let busy = counted.events > 0 && counted.told > 0 && counted.timers > 0 && counted.faults > 0;
        assert!(busy, "{seed} is idle: {counted:?}");
        sum.add(&counted);
    }
    assert!(sum.snapshots > 0 || seeds.end - seeds.start < 100, "no snapshot was of any use");
    println!("{} seeds, 0 violations: {sum}", seeds.end - seeds.start);
}

#[test]
fn a_seed_is_played_the_same_way_again() {
    let town = a_company(company(12));
    for seed in [3, 17, 1_999] {
        let play =
            || Play::new(&town, &town, seed, None).run(STEPS).unwrap_or_else(|broken| panic!("{broken}"));
        assert_eq!(play(), play(), "{seed}");
    }
}

fn found(bug: Bug) -> Violation {
    let town = a_company(company(12));
    let mut plays = (0..200).map(|seed| Play::new(&town, &town, seed, Some(bug)).run(STEPS));
    plays.find_map(Result::err).unwrap_or_else(|| panic!("{bug:?} was not found in 200 seeds"))
}

#[test]
fn a_record_that_is_lost_is_found() {
    let violation = found(Bug::LosesARecord);
    assert!(matches!(violation, Violation::Lost(_) | Violation::Books(_)), "{violation}");
}

#[test]
fn a_transaction_that_is_half_committed_is_found() {
    let violation = found(Bug::HalfCommits);
    assert!(
        matches!(violation, Violation::Twice(_) | Violation::Books(_) | Violation::Lost(_)),
        "{violation}"
    );
}

#[test]
fn memory_that_is_forgotten_is_found() {
    let violation = found(Bug::ForgetsMemory);
    assert!(
        matches!(
            violation,
            Violation::Twice(_)
                | Violation::WrongPerson(_)
                | Violation::Books(_)
                | Violation::ChangedBatch(_)
        ),
        "{violation}"
    );
}

#[test]
fn what_is_due_and_told_twice_is_found() {
    let violation = found(Bug::RingsTwice);
    assert!(matches!(violation, Violation::Twice(_) | Violation::Books(_)), "{violation}");
}

#[test]
fn a_batch_that_was_taken_and_denied_is_found() {
    let violation = found(Bug::DeniesWhatItTook);
    assert!(matches!(violation, Violation::Twice(_)), "{violation}");
}

#[test]
fn somebody_told_who_should_not_be_is_found() {
    let people = company(12);
    let lena = people.iter().find(|person| person.user_id == "lena.vogt").unwrap();
    let stranger = Person { user_id: "a.stranger".to_owned(), ..lena.clone() };
    let (judge, town) = (a_company(people.clone()), a_company([people, vec![stranger]].concat()));
    let mut plays = (0..200).map(|seed| Play::new(&town, &judge, seed, None).run(STEPS));
    let violation = plays.find_map(Result::err).expect("the stranger is told within 200 seeds");
    assert!(matches!(&violation, Violation::WrongPerson(who) if who.contains("a.stranger")), "{violation}");
}
