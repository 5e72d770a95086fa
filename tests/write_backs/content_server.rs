//! Content Server: workflow tasks and workspaces, which know no idempotency, against the stand-in and its faults.

use bugle::event::notice::Verb;
use bugle::event::write_back::{Ask, Came, Carried, WriteBack};
use bugle::event::{Source, Span};
use bugle::stand_in::{Trouble, Troubles};
use serde_json::{Value as Json, json};

use super::clients::{Bench, done};
use super::lane::Desk;
use super::{answer, texts};

const JONAS: &str = "jonas.klein@members";

/// A task of Jonas Klein's, changed by `patch`.
fn task(patch: &Json) -> Json {
    let mut task = json!({ "process_id": "115295", "title": "Contract 4711", "assignees": [JONAS] });
    for (name, value) in patch.as_object().unwrap() {
        task[name] = value.clone();
    }
    json!({ "workflows": [task] })
}

fn decided(verb: Verb, response_id: &str) -> WriteBack {
    let way = if verb == Verb::Reject { "reject" } else { "approve" };
    let mut decided = answer(Source::Xecm, ("115295-1", "jonas.klein"), response_id);
    decided.target = texts(&[
        ("process_id", "115295"),
        ("subprocess_id", "115295"),
        ("task_id", "1"),
        ("status_key", "s1"),
    ]);
    decided.set = texts(&[("custom_action", way)]);
    WriteBack { verb, ..decided }
}

#[test]
fn a_task_is_sent_on_as_the_person_who_answered_by_the_way_its_map_has() {
    let bench = Bench::new(&task(&json!({ "ways": [["ok_1", "Genehmigen"], ["no_1", "Ablehnen"]] })));
    assert_eq!(bench.call(Ask::Write, &decided(Verb::Approve, "r-1")), Came::Confirmed);
    assert_eq!(bench.done(), [done("ok_1", JONAS)]);
    let activity = &bench.ledger()["workflows"][0]["activities"][0];
    assert_eq!(activity["comment"], "Looks fine [otnotify:r-1]");
    // A map without ways of its own has one way on, and none back.
    let bench = Bench::new(&task(&json!({ "ways": [] })));
    assert_eq!(bench.call(Ask::Write, &decided(Verb::Reject, "r-1")), Came::Refused("unsupported_action"));
    assert_eq!(bench.call(Ask::Write, &decided(Verb::Approve, "r-1")), Came::Confirmed);
    assert_eq!(bench.done(), [done("SendOn", JONAS)]);
}

#[test]
fn a_group_task_is_taken_on_first_and_a_question_goes_back() {
    let group = task(&json!({ "is_group": true, "rounds": 1 }));
    let bench = Bench::new(&group);
    let mut seen = decided(Verb::Acknowledge, "r-1");
    seen.set = texts(&[("accept", "group_task")]);
    seen.target.insert("group_task".to_owned(), "true".to_owned());
    assert_eq!(bench.call(Ask::Write, &seen), Came::Confirmed);
    assert_eq!(bench.ledger()["workflows"][0]["accepted_by"], JONAS);
    let bench = Bench::new(&group);
    let mut question = decided(Verb::RequestInfo, "r-2");
    question.set = texts(&[("action", "SendForReview")]);
    assert_eq!(bench.call(Ask::Write, &question), Came::Confirmed);
    assert_eq!(bench.call(Ask::Write, &decided(Verb::Approve, "r-3")), Came::Confirmed);
    assert_eq!(bench.done(), [done("SendForReview", JONAS), done("Approve", JONAS)]);
}

#[test]
fn what_content_server_has_no_room_for_is_refused_with_a_stable_word() {
    let approve = decided(Verb::Approve, "r-1");
    let refused = |patch: &Json| {
        let bench = Bench::new(&task(patch));
        let came = bench.call(Ask::Write, &approve);
        assert_eq!(bench.done(), []);
        came
    };
    assert_eq!(refused(&json!({ "is_signed": true })), Came::Refused("needs_signature"));
    assert_eq!(refused(&json!({ "assignees": ["mara.weber@members"] })), Came::Refused("not_assignee"));
    assert_eq!(refused(&json!({ "is_done": true })), Came::Refused("already_decided"));
    assert_eq!(refused(&json!({ "status_key": "s2" })), Came::Refused("conflict"));
    let mut nowhere = approve.clone();
    nowhere.target.remove("task_id");
    let bench = Bench::new(&task(&json!({})));
    assert_eq!(bench.call(Ask::Write, &nowhere), Came::Dead("write-back-incomplete"));
}

#[test]
fn somebody_who_is_quicker_between_the_reading_and_the_sending_wins() {
    let bench = Bench::new(&task(&json!({})));
    bench.next(Trouble::SomebodyElse);
    let approve = decided(Verb::Approve, "r-1");
    assert_eq!(bench.call(Ask::Write, &approve), Came::Refused("already_decided"));
    assert_eq!(bench.done(), [done("Reject", "somebody@else")]);
    assert_eq!(bench.call(Ask::Look, &approve), Came::Refused("conflict"));
}

#[test]
fn a_ticket_that_expires_in_the_middle_is_renewed_once() {
    let bench = Bench::new(&task(&json!({})));
    bench.next(Trouble::Expired);
    assert_eq!(bench.call(Ask::Write, &decided(Verb::Approve, "r-1")), Came::Confirmed);
    assert_eq!(bench.done(), [done("Approve", JONAS)]);
}

#[test]
fn an_answer_that_is_lost_is_found_by_its_mark_and_one_that_never_came_is_open() {
    let bench = Bench::new(&task(&json!({})));
    let approve = decided(Verb::Approve, "r-1");
    bench.next(Trouble::ServerError);
    assert_eq!(bench.call(Ask::Write, &approve), Came::Unknown("server-error"));
    assert_eq!(bench.call(Ask::Look, &approve), Came::Open);
    for trouble in [Trouble::DropAnswer, Trouble::ErrorThoughDone] {
        let bench = Bench::new(&task(&json!({})));
        bench.next(trouble);
        assert!(matches!(bench.call(Ask::Write, &approve), Came::Unknown(_)), "{trouble:?}");
        assert_eq!(bench.call(Ask::Look, &approve), Came::Confirmed, "{trouble:?}");
        assert_eq!(bench.done(), [done("Approve", JONAS)]);
    }
    bench.stand_in.trouble(Troubles { down: true, ..Troubles::default() });
    assert!(matches!(bench.call(Ask::Write, &approve), Came::TryLater(None, _)));
}

/// Lets the client answer what the lane asks.
fn carry(desk: &mut Desk, bench: &Bench) {
    while let Some(call) = desk.calls.first() {
        let came = bench.call(call.ask, &call.answer);
        desk.say(came);
        desk.turn();
    }
}

#[test]
fn an_approval_whose_outcome_is_unknown_never_approves_a_round_that_nobody_looked_at() {
    let approve = decided(Verb::Approve, "r-1");
    // The answer is lost and the owner crashes; the workflow has come back to the same step.
    let bench = Bench::new(&task(&json!({ "rounds": 1 })));
    let mut desk = Desk::new(std::slice::from_ref(&approve));
    desk.turn();
    bench.next(Trouble::DropAnswer);
    assert!(matches!(bench.call(Ask::Write, &desk.calls[0].answer), Came::Unknown(_)));
    desk.crash();
    desk.turn();
    assert_eq!(desk.asked(), [(Ask::Look, "r-1")]);
    carry(&mut desk, &bench);
    desk.pass(Span::from_secs(3_600));
    carry(&mut desk, &bench);
    assert_eq!(desk.ended(), [("r-1", Carried::Confirmed)]);
    assert_eq!(bench.stand_in.applied().len(), 1);
    let task_now = &bench.ledger()["workflows"][0];
    assert_eq!((&task_now["status_key"], &task_now["is_done"]), (&json!("s2"), &json!(false)));

    // It crashes before anything is sent; somebody else has decided, and the second round is open.
    let bench = Bench::new(&task(&json!({ "status_key": "s2" })));
    let mut desk = Desk::new(&[approve]);
    desk.turn();
    desk.crash();
    desk.turn();
    carry(&mut desk, &bench);
    desk.pass(Span::from_secs(3_600));
    carry(&mut desk, &bench);
    assert_eq!(desk.ended(), [("r-1", Carried::Refused("conflict".to_owned()))]);
    assert_eq!(bench.done(), []);
}

#[test]
fn a_workspaces_status_is_written_with_its_token_and_only_over_what_was_seen() {
    let node = |status: &str| json!({ "nodes": [{ "id": "9001", "attributes": { "4711_2": status } }] });
    let mut close = answer(Source::Bws, ("9001", "jonas.klein"), "r-1");
    close.target = texts(&[("workspace.id", "9001"), ("category_attr", "4711_2"), ("status_to", "active")]);
    close.set = texts(&[("status", "closed")]);
    let bench = Bench::new(&node("active"));
    assert_eq!(bench.call(Ask::Look, &close), Came::Open);
    bench.next(Trouble::Conflict);
    assert_eq!(bench.call(Ask::Write, &close), Came::Confirmed, "with the token read anew");
    assert_eq!(bench.call(Ask::Write, &close), Came::Confirmed, "it is closed already");
    assert_eq!(bench.done(), [done("4711_2=closed", JONAS)]);
    let bench = Bench::new(&node("archived"));
    assert_eq!(bench.call(Ask::Write, &close), Came::Refused("conflict"));
    assert_eq!(bench.done(), []);
}

#[test]
fn a_reminder_that_was_seen_is_in_progress_and_one_that_is_complete_stays_so() {
    let reminder = |status: i64| json!({ "followups": [{ "id": "77", "node": "9001", "status": status }] });
    let mut seen = answer(Source::Bws, ("9001", "jonas.klein"), "r-1");
    seen.verb = Verb::Acknowledge;
    seen.target = texts(&[("workspace.id", "9001"), ("followup_id", "77")]);
    seen.set = texts(&[("followup", "in_progress")]);
    let bench = Bench::new(&reminder(1));
    assert_eq!(bench.call(Ask::Look, &seen), Came::Open);
    bench.next(Trouble::DropAnswer);
    assert!(matches!(bench.call(Ask::Write, &seen), Came::Unknown(_)));
    assert_eq!(bench.call(Ask::Look, &seen), Came::Confirmed, "it was carried out");
    assert_eq!(bench.call(Ask::Write, &seen), Came::Confirmed);
    assert_eq!(bench.done(), [done("-2", JONAS)], "and once");
    let bench = Bench::new(&reminder(2));
    assert_eq!(bench.call(Ask::Write, &seen), Came::Refused("already_decided"));
    seen.target.insert("followup_id".to_owned(), "78".to_owned());
    assert_eq!(bench.call(Ask::Write, &seen), Came::Refused("gone"));
    assert_eq!(bench.done(), []);
}
