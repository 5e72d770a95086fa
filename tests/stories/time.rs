//! Time: what is due, what was closed before, and answers that come too late (stories 10 and 15).

use std::sync::Arc;
use std::time::Duration;

use bugle::broker::{Input, Position};
use bugle::clock::Still;
use bugle::event::notice::Verb;
use bugle::event::{Ending, Lane, Occasion, Person, Source, Span, Timestamp, Topic};
use serde_json::json;

use super::crooked::Twist;
use super::house::{House, all_is_read, on_commit, person, task};
use super::post::Asked;

const HOUR: u64 = 3_600;

/// How often a step is told of a task that was completed, and came due, while nobody ran.
fn of_an_outage_over_a_deadline(twist: Option<Arc<dyn Twist>>) -> u32 {
    let mut house = House::bent(&[person("ada", "approver")], twist);
    house.start(0);
    house.event("xecm.task.assigned", &task(Span::from_secs(3_600)));
    house.rest();
    house.stop(0);
    house.pass_seconds(HOUR / 2);
    house.event("xecm.task.completed", &done());
    house.pass_seconds(2 * HOUR);
    // What is due is in memory again before what happened is read.
    house.start(0);
    for _ in 0..30 {
        house.turn(0, Lane::Subject, 1);
        house.pass_seconds(1);
    }
    house.rest();
    house.work(30);
    house.noticed(Occasion::Step(1))
}

fn done() -> serde_json::Value {
    json!({ "event_id": "done-1", "tenant": "acme", "data": { "process_id": "9", "task_id": "1" } })
}

#[test]
fn story_10_a_what_is_due_waits_for_what_is_unread() {
    assert_eq!(of_an_outage_over_a_deadline(None), 0, "it was done in time");
    assert_eq!(of_an_outage_over_a_deadline(all_is_read()), 1, "who does not look reminds of what is done");
}

#[test]
fn story_10_b_what_was_closed_before_it_was_heard_of_is_never_told() {
    let told = |closing_first: bool| {
        let mut house = House::of(&[person("ada", "approver")]);
        house.start(0);
        if closing_first {
            let mut done = done();
            done["occurred_at"] = json!("2026-01-05T09:30:00Z");
            house.event("xecm.task.completed", &done);
            house.rest();
        }
        house.event("xecm.task.assigned", &task(Span::from_secs(3_600)));
        house.rest();
        house.pass_seconds(2 * HOUR);
        house.work(60);
        house.noticed(Occasion::Step(1))
    };
    assert_eq!((told(false), told(true)), (1, 0));
}

/// How many seconds after the last decision of one owner the next one decides, whose clock is five minutes
/// behind.
fn of_a_slower_clock(twist: Option<Arc<dyn Twist>>) -> i64 {
    let mut house = House::bent(&[], twist);
    let unreadable = |house: &mut House, byte: u8| house.publish(Topic::Events(Source::Bws), vec![byte]);
    house.start(0);
    unreadable(&mut house, 1);
    house.rest();
    house.stop(0);
    Still::set_back(Duration::from_secs(300));
    house.start(1);
    unreadable(&mut house, 2);
    house.rest();
    let decided: Vec<Timestamp> = house.verdicts().iter().map(|verdict| verdict.at).collect();
    assert_eq!(decided.len(), 2);
    decided[1].since(decided[0]).millis() / 1_000
}

/// Whoever goes on is not told how late it was.
fn without_time() -> Option<Arc<dyn Twist>> {
    on_commit(|on, effects, positions| {
        let timeless = |(input, position): &(Input, Position)| {
            let note = position.note.split(' ').filter(|word| !word.starts_with("now="));
            let note = note.collect::<Vec<_>>().join(" ");
            (*input, Position { note, offset: position.offset })
        };
        on.link.commit(effects, &positions.iter().map(timeless).collect::<Vec<_>>())
    })
}

#[test]
fn story_10_c_time_does_not_go_back_where_a_slower_clock_takes_over() {
    let (with, without) = (of_a_slower_clock(None), of_a_slower_clock(without_time()));
    assert!((0..60).contains(&with), "{with} s later");
    assert!(without < -200, "by their own clock it is {without} s later");
}

/// Two people may decide about a change; the first telling has reached both.
fn a_request() -> House {
    let mut people = vec![person("ann", "approver"), person("ben", "approver")];
    people.push(Person { roles: vec!["requester".to_owned()], ..person("eve", "requester") });
    let mut house = House::of(&people);
    house.start(0);
    house.event("xecm.task.assigned", &to_decide("1", &["ann", "ben"]));
    house.rest_after(31);
    house
}

/// A task that these people decide.
fn to_decide(event: &str, assignees: &[&str]) -> serde_json::Value {
    let assignees: Vec<_> = assignees.iter().map(|user| json!({ "user_id": user })).collect();
    json!({
        "event_id": event, "tenant": "acme", "severity": "medium", "due_at": null,
        "action": { "ref": "a", "options": ["approve", "reject"], "answer_by": null },
        "data": {
            "process_id": "9", "task_id": "1", "initiator": "eve", "assignees": assignees,
            "manager": null, "backup": null,
        },
    })
}

fn newest(house: &House, user: &str) -> Asked {
    house.asked("ec-7-decide", user).pop().unwrap_or_else(|| panic!("{user} was never asked"))
}

/// How every answer ended, in their order.
fn endings(house: &mut House) -> Vec<String> {
    house.work(20);
    let ended = house.verdicts().into_iter().filter_map(|verdict| match verdict.ending {
        Ending::Answered(verb) => Some(format!("{} {verb}", verdict.people[0])),
        Ending::AnswerRefused(why) => Some(format!("{} {why}", verdict.people[0])),
        _ => None,
    });
    ended.collect()
}

#[test]
fn story_15_b_an_answer_is_for_the_round_it_was_asked_in() {
    let answered = |knows_rounds: bool| {
        let mut house = a_request();
        let mut first = newest(&house, "ann");
        // The task is done, and comes back to somebody else.
        house.event("xecm.task.completed", &done());
        house.rest();
        house.pass_seconds(2 * 86_400);
        let mut again = to_decide("2", &["ben"]);
        again["occurred_at"] = json!("2026-01-07T09:00:00Z");
        house.event("xecm.task.assigned", &again);
        house.rest_after(31);
        if !knows_rounds {
            first.telling.conversation = newest(&house, "ben").telling.conversation;
        }
        house.answer(&first, "ben", Verb::Approve);
        endings(&mut house)
    };
    assert_eq!(answered(true), ["ben superseded"]);
    assert_eq!(answered(false), ["ben approve"], "without the round, an old link decides the new one");
}

#[test]
fn story_15_c_where_nothing_is_known_any_more_no_answer_counts() {
    let mut house = a_request();
    let asked = newest(&house, "ann");
    house.event("xecm.task.completed", &done());
    house.rest();
    house.answer(&asked, "ann", Verb::Approve);
    assert_eq!(endings(&mut house), ["ann closed"]);
    // Two months later not even that is remembered.
    house.pass_seconds(60 * 86_400);
    house.work(60);
    house.answer(&asked, "ann", Verb::Reject);
    assert_eq!(endings(&mut house), ["ann closed", "ann closed"]);
}

#[test]
fn story_15_d_asked_is_who_holds_the_link_and_still_belongs() {
    let mut house = a_request();
    let asked = newest(&house, "ann");
    house.answer(&asked, "eve", Verb::Approve);
    house.hears(0, 3, &Person { active: false, ..person("ann", "approver") });
    house.answer(&asked, "ann", Verb::Approve);
    house.answer(&newest(&house, "ben"), "ben", Verb::Approve);
    assert_eq!(endings(&mut house), ["eve not_asked", "ann not_asked", "ben approve"]);
}

#[test]
fn story_15_e_two_answers_of_one_transaction_see_each_other() {
    let mut house = a_request();
    for (user, verb) in [("ann", Verb::Approve), ("ben", Verb::Reject)] {
        house.answer(&newest(&house, user), user, verb);
    }
    // Both lie in the log when the lane comes round, and leave in one commit.
    let before = house.model.commits();
    house.turn(0, Lane::Subject, 3);
    assert_eq!(house.model.commits(), before + 1);
    assert_eq!(endings(&mut house), ["ann approve", "ben already_answered"]);
}
