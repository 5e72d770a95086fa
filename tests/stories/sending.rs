//! Sending: what is sent once and never to the wrong people, however large, late or refused (stories 5, 6, 9).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bugle::broker::terms::size_of;
use bugle::broker::{BrokerError, Outgoing};
use bugle::event::frame::{FrameHead, MOST_FRAME_BYTES};
use bugle::event::push::MOST_BATCH_BYTES;
use bugle::event::{Ending, Lane, Occasion, Person, Reason, Topic};
use bugle::flow::parked_batch;
use serde_json::json;

use super::crooked::Twist;
use super::house::{AGREEMENT, House, agreement, legal, on_commit, on_frames, person};
use super::instance::group;
use super::post::Fate;

/// An agreement lies with the push service as one request for everybody.
fn asked_for(house: &mut House) {
    house.start(0);
    house.event(AGREEMENT, &agreement(1));
    for lane in [Lane::Source, Lane::Subject, Lane::Person, Lane::Delivery] {
        house.turn(0, lane, 8);
    }
    assert_eq!(house.post.held().waiting.len(), 1);
}

/// Under how many ids somebody is told at most when a batch is refused, split, and half of it accepted before
/// a crash; when all of it goes through afterwards.
fn of_a_split(twist: Option<Arc<dyn Twist>>) -> (usize, usize) {
    let mut house = House::bent(&legal(4), twist);
    asked_for(&mut house);
    house.post.answer(0, Fate::TooLarge);
    house.turn(0, Lane::Delivery, 8);
    // One half is accepted, and nobody hears of it.
    if !house.post.held().waiting.is_empty() {
        house.post.answer(0, Fate::Accept);
    }
    house.crash(0);
    house.post.held().waiting.clear();
    house.start(1);
    house.work(100);
    (house.told().len(), house.most_told())
}

#[test]
fn story_05_a_a_split_is_decided_once_and_outlives_a_crash() {
    assert_eq!(of_a_split(None), (4, 1));
    // The halves are written down, and that the whole is dead is not.
    let hit = AtomicBool::new(false);
    let twist = on_commit(move |on, effects, positions| {
        let is_half = |record: &Outgoing| {
            let (key, value) = (record.key.as_deref().unwrap_or_default(), record.value.as_ref());
            value.is_some_and(|value| parked_batch(key, value).is_some())
        };
        let halves = effects.iter().map(|effect| &effect.record).filter(|record| is_half(record)).cloned();
        let halves: Vec<Outgoing> = halves.collect();
        if on.spec.group == group(Lane::Delivery) && halves.len() == 2 && !hit.swap(true, Ordering::Relaxed) {
            bugle::broker::Broker::publish(on.model, halves)?;
            return Err(BrokerError::Fatal("half of it was written".to_owned()));
        }
        on.link.commit(effects, positions)
    });
    assert_eq!(of_a_split(twist), (4, 2), "the whole is sent beside its halves");
}

/// Under how many ids somebody is told at most when the first answer to a batch is this one though it was
/// accepted, and the second one says that it is too large. A service that is not mute is asked whether it has it.
fn of_a_doubt(first: Fate, is_mute: bool) -> (usize, usize) {
    let mut house = House::of(&legal(4));
    asked_for(&mut house);
    house.post.held().is_mute = is_mute;
    house.post.answer(0, first);
    for _ in 0..200 {
        house.turn(0, Lane::Delivery, 1);
        if !house.post.held().waiting.is_empty() {
            break;
        }
    }
    if !house.post.held().waiting.is_empty() {
        house.post.answer(0, Fate::TooLarge);
        // What may still be on its way has arrived by then.
        house.turn(0, Lane::Delivery, 4);
        house.pass_seconds(90);
    }
    house.rest();
    (house.told().len(), house.most_told())
}

#[test]
fn story_05_b_a_batch_that_may_have_been_accepted_is_never_split() {
    assert_eq!(of_a_doubt(Fate::AcceptInSilence, true), (4, 1));
    assert_eq!(of_a_doubt(Fate::AcceptInSilence, false), (4, 1), "it is asked, and not sent again");
    assert_eq!(of_a_doubt(Fate::Deny, true), (4, 2), "taken for a refusal, its halves tell everybody again");
}

/// The most bytes of a transaction on a broker that takes no larger one.
const MOST: usize = 700_000;

/// Whether many agreements for a hundred people with long names are told by lanes that commit after so many
/// bytes, and how many tellings that is.
fn of_a_large_frame(budget: usize) -> (bool, usize) {
    let narrow = on_commit(|on, effects, positions| {
        let bytes: usize = effects.iter().map(|effect| size_of(&effect.record)).sum();
        if on.spec.group == group(Lane::Subject) && bytes > MOST {
            return Err(BrokerError::Aborted("the transaction took too long".to_owned()));
        }
        on.link.commit(effects, positions)
    });
    let people: Vec<Person> = (0..100).map(|number| person(&format!("{number:060}"), "legal")).collect();
    let mut house = House::bent(&people, narrow);
    house.plan(|plan| plan.budget = budget);
    house.commit_most = 1_000;
    for number in 0..150 {
        house.event(AGREEMENT, &agreement(number));
    }
    house.start(0);
    house.turn(0, Lane::Source, 8);
    house.turn(0, Lane::Subject, 20);
    assert_eq!(house.records(Topic::Subjects).len(), 1, "all of it is one frame");
    // In the middle of it the owner changes.
    house.crash(0);
    house.start(1);
    (house.comes_to_rest(), house.told().len())
}

#[test]
fn story_06_a_a_frame_too_large_for_a_transaction_is_done_in_several() {
    assert_eq!(of_a_large_frame(20_000), (true, 150 * 100));
    assert_eq!(of_a_large_frame(usize::MAX), (false, 0), "all at once it is aborted again and again");
}

#[test]
fn story_06_b_no_record_is_larger_than_a_broker_takes_and_what_is_too_large_alone_is_kept() {
    let mut house = House::of(&legal(2_500));
    house.plan(|plan| plan.budget = usize::MAX);
    for number in 0..20 {
        let mut event = agreement(number);
        event["entity"]["name"] = json!("x".repeat(8_000));
        house.event(AGREEMENT, &event);
    }
    let mut large = agreement(99);
    large["entity"]["name"] = json!("x".repeat(300_000));
    house.event(AGREEMENT, &large);
    house.commit_most = 1_000;
    house.start(0);
    house.rest();
    assert_eq!(house.told().len(), 20 * 2_500);
    let largest = |topic| house.records(topic).iter().map(|r| r.value.as_ref().unwrap().len()).max().unwrap();
    assert!(largest(Topic::Subjects) <= MOST_FRAME_BYTES && largest(Topic::People) <= MOST_FRAME_BYTES);
    assert!(largest(Topic::Pushes) <= MOST_BATCH_BYTES + 4_096);
    let letters = house.records(Topic::DeadLetters);
    let said = |name: &str| {
        let header = letters[0].headers.iter().find(|(known, _)| known == name).unwrap();
        String::from_utf8(header.1.clone().unwrap().to_vec()).unwrap()
    };
    assert_eq!((letters.len(), said("__bugle.errors.code")), (1, "too-large".to_owned()));
    assert!(letters[0].value.as_ref().unwrap().len() > 300_000, "byte for byte");
}

fn left(person: &Person) -> Person {
    Person { roles: Vec::new(), ..person.clone() }
}

/// Who was told of an agreement that waits at the push service while one of three leaves the department.
fn of_a_batch_that_waits(first: Fate) -> BTreeSet<String> {
    let people = legal(3);
    let mut house = House::of(&people);
    house.start(0);
    house.event(AGREEMENT, &agreement(1));
    for lane in [Lane::Source, Lane::Subject, Lane::Person] {
        house.turn(0, lane, 8);
    }
    if first != Fate::Refuse {
        house.turn(0, Lane::Delivery, 8);
        house.post.answer(0, first);
    }
    house.hears(0, 3, &left(&people[1]));
    house.pass_seconds(3_600);
    house.rest();
    house.told().into_keys().map(|telling| telling.user).collect()
}

#[test]
fn story_09_a_nobody_is_first_sent_what_was_decided_before_they_left() {
    let names = |numbers: &[u32]| numbers.iter().map(|n| format!("l{n:04}")).collect::<BTreeSet<_>>();
    assert_eq!(of_a_batch_that_waits(Fate::Refuse), names(&[0, 2]));
    // What may have arrived keeps its members, and its id.
    assert_eq!(of_a_batch_that_waits(Fate::AcceptInSilence), names(&[0, 1, 2]));
}

/// How often somebody is told who leaves while a second agreement lies unsent, after whoever held it has ended.
fn of_an_end(end: fn(&mut House, usize)) -> usize {
    let people = legal(3);
    let mut house = House::of(&people);
    house.start(0);
    house.event(AGREEMENT, &agreement(1));
    house.rest();
    house.event(AGREEMENT, &agreement(2));
    for lane in [Lane::Source, Lane::Subject, Lane::Person] {
        house.turn(0, lane, 8);
    }
    end(&mut house, 0);
    house.start(1);
    house.hears(1, 3, &left(&people[1]));
    house.pass_seconds(3_600);
    house.rest();
    house.told().into_keys().filter(|telling| telling.user == people[1].user_id).count()
}

#[test]
fn story_09_e_after_a_crash_what_lies_just_ahead_may_have_been_sent_and_after_an_orderly_end_not() {
    assert_eq!(of_an_end(House::crash), 2);
    assert_eq!(of_an_end(House::stop), 1);
}

/// Frames say nothing of the directory they were decided with.
fn without_positions() -> Option<Arc<dyn Twist>> {
    on_frames(Topic::People, |head, items| (FrameHead { directory: Vec::new(), ..head }, items))
}

/// What becomes of an agreement for somebody who joined, when the copy that cuts the batches is behind: told
/// before it has caught up, told in the end, and lost on the way.
fn of_a_copy_behind(twist: Option<Arc<dyn Twist>>) -> (usize, usize, usize) {
    let people = legal(1);
    let joins = Person { user_id: "new".to_owned(), ..people[0].clone() };
    let mut house = House::bent(&people, twist);
    (0..2).for_each(|instance| house.start(instance));
    house.hears(0, 1, &joins);
    house.event(AGREEMENT, &agreement(1));
    house.turn(0, Lane::Source, 4);
    house.turn(0, Lane::Subject, 8);
    house.turn(1, Lane::Person, 20);
    let before = house.batches().len();
    house.hears(1, 1, &joins);
    house.turn(1, Lane::Person, 20);
    house.rest();
    let lost = house.verdicts().iter().filter(|v| v.ending == Ending::Not(Reason::LeftAudience)).count();
    (before, house.told().len(), lost)
}

#[test]
fn story_09_b_a_lane_waits_until_its_directory_has_come_as_far_as_the_one_before() {
    assert_eq!(of_a_copy_behind(None), (0, 2, 0));
    assert_eq!(
        of_a_copy_behind(without_positions()),
        (1, 1, 1),
        "whom the copy does not know is passed over"
    );
}

#[test]
fn story_09_d_a_batch_carries_the_directory_it_was_decided_with_and_not_that_of_its_cut() {
    let people = legal(2);
    let mut house = House::of(&people);
    house.start(0);
    house.turn(0, Lane::Person, 4);
    house.event(AGREEMENT, &agreement(1));
    house.turn(0, Lane::Source, 8);
    house.turn(0, Lane::Subject, 8);
    // It is decided whom to tell; before that is committed, one of the two leaves.
    house.turn(0, Lane::Person, 1);
    assert_eq!(house.batches().len(), 0);
    house.hears(0, 2, &left(&people[1]));
    house.turn(0, Lane::Person, 2);
    assert_eq!(house.batches()[0].count, 2);
    house.pass_seconds(600);
    house.rest();
    let told: Vec<String> = house.told().into_keys().map(|telling| telling.user).collect();
    assert_eq!(told, ["l0000"]);
}

/// How many batches are cut by an instance whose follower of the directory hangs, or is believed to be fine.
fn of_a_directory_that_hangs(noticed: bool) -> usize {
    let people = legal(2);
    let mut house = House::of(&people);
    house.start(0);
    house.turn(0, Lane::Person, 4);
    if noticed {
        house.hung.push(0);
    }
    house.pass_seconds(11);
    house.event(AGREEMENT, &agreement(1));
    for lane in [Lane::Source, Lane::Subject, Lane::Person] {
        house.turn(0, lane, 20);
    }
    house.batches().len()
}

#[test]
fn story_09_c_a_directory_that_nobody_follows_holds_everything_back() {
    assert_eq!(of_a_directory_that_hangs(true), 0);
    assert_eq!(of_a_directory_that_hangs(false), 1, "who does not ask tells whoever was there once");
    // Held, and not dropped.
    let mut house = House::of(&legal(2));
    house.start(0);
    house.event(AGREEMENT, &agreement(1));
    house.hung.push(0);
    house.pass_seconds(3_600);
    house.work(20);
    assert_eq!((house.noticed(Occasion::First), house.told().len()), (0, 0));
    house.hung.clear();
    house.rest();
    assert_eq!(house.told().len(), 2);
}
