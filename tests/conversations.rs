//! Conversations: what is held, gathered, reminded of, escalated and closed, told in hours of virtual time.
//!
//! Every event passes all four lanes under the shipped rules. A transcript is complete: who is not named at a
//! time heard nothing then.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![allow(clippy::needless_pass_by_value, reason = "events are written where they are used")]

mod town;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bugle::event::answer::{Answer, Returned};
use bugle::event::notice::Verb;
use bugle::event::{Ending, Occasion, Person, Reason, Span, Timestamp};
use bugle::flow::line::{Heard, Line};
use serde_json::{Value as Json, json};
use town::{NOW, Town, company};

/// A play in virtual time.
struct Story {
    town: Town,
    line: Line,
    now: Timestamp,
    transcript: String,
    number: u32,
    /// What each person was last asked.
    asked: BTreeMap<String, Asked>,
}

/// Subject, rule, conversation, occasion.
type Asked = (String, String, u128, Occasion);

fn person(user: &str, role: &str, manager: &str) -> Person {
    Person {
        tenant: "acme".to_owned(),
        user_id: user.to_owned(),
        active: true,
        roles: vec![role.to_owned()],
        manager: (!manager.is_empty()).then(|| manager.to_owned()),
        ..Person::default()
    }
}

impl Story {
    /// Monday 5 January 2026, ten in the morning in Berlin.
    fn new() -> Self {
        let mut people = company(0);
        people.extend([
            person("lead", "on-call-lead", ""),
            person("director", "operations-director", ""),
            person("ops", "operations-manager", "director"),
            person("second", "second-approver", ""),
        ]);
        let town = Town::new(&people, 1);
        let line = Line::new(&town.plan);
        Self { town, line, now: NOW, transcript: String::new(), number: 0, asked: BTreeMap::new() }
    }

    /// Something happens now.
    fn event(&mut self, kind: &str, mut patch: Json) -> &mut Self {
        self.number += 1;
        patch["event_id"] = json!(format!("e{}", self.number));
        if patch.get("occurred_at").is_none() {
            patch["occurred_at"] = json!(self.now.to_string());
        }
        let event = self.town.event(kind, &patch);
        let heard = self.town.look(|world| self.line.feed(self.now, vec![event], world));
        self.note(heard);
        self
    }

    /// A person answers what they were asked last.
    fn answer(&mut self, person: &str, verb: Verb) -> &mut Self {
        let asked = self.asked.get(person).unwrap_or_else(|| panic!("{person} was never asked")).clone();
        self.answer_as(person, verb, asked)
    }

    fn answer_as(&mut self, person: &str, verb: Verb, asked: Asked) -> &mut Self {
        let (subject, rule, conversation, occasion) = asked;
        self.number += 1;
        let response_id = format!("r{}", self.number);
        let answer = Answer {
            response_id: &response_id,
            tenant: "acme",
            conversation,
            occasion,
            person,
            verb,
            comment: None,
            received_at: self.now,
        };
        let to = (subject.as_str(), rule.as_str());
        let heard = self.town.look(|world| self.line.answer(self.now, &answer, to, world));
        self.note(heard);
        self
    }

    /// The source system does not carry out what a person answered to this.
    fn refused(&mut self, (person, verb): (&str, Verb), why: &str, asked: &Asked) -> &mut Self {
        let (subject, rule, conversation, _) = asked;
        let (response_id, tenant, conversation) = ("r", "acme", *conversation);
        let returned = Returned { response_id, tenant, conversation, person, verb, why, at: self.now };
        let to = (subject.as_str(), rule.as_str());
        let heard = self.town.look(|world| self.line.take_back(self.now, &returned, to, world));
        self.note(heard);
        self
    }

    /// Time passes, and what is due is told.
    fn pass(&mut self, span: &str) -> &mut Self {
        self.until(self.now + span.parse::<Span>().unwrap())
    }

    fn until(&mut self, end: Timestamp) -> &mut Self {
        while let Some(due) = self.line.due().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let heard = self.town.look(|world| self.line.pass(due, world));
            self.note(heard);
        }
        self.now = end;
        self
    }

    fn note(&mut self, heard: Heard) {
        assert!(heard.stuck.is_empty() && heard.dead_letters.is_empty(), "{:?}", heard.stuck);
        let at = self.now.to_string();
        let at = format!("{} {}", &at[5..10], &at[11..16]);
        for parcel in &heard.batches {
            let batch = parcel.open();
            for member in &batch.members {
                let letter = &batch.letters[member.letter as usize];
                let asked = (letter.subject.to_owned(), batch.head.template.rule.clone());
                let asked = (asked.0, asked.1, letter.conversation, letter.occasion);
                self.asked.insert(member.user_id.to_owned(), asked);
            }
        }
        let mut told: Vec<(String, String)> = heard
            .pushes()
            .into_iter()
            .map(|push| (format!("{}: {}", push.rule, push.title), push.user_id))
            .collect();
        told.sort();
        for chunk in told.chunk_by(|one, other| one.0 == other.0) {
            let people: Vec<&str> = chunk.iter().map(|(_, person)| person.as_str()).collect();
            let _ = writeln!(self.transcript, "{at} {} -> {}", chunk[0].0, people.join(" "));
        }
        for verdict in heard.verdicts {
            let person = || verdict.people.join(" ");
            let rule = verdict.rule.clone().unwrap_or_default();
            let reason = match &verdict.ending {
                Ending::Not(reason) => reason,
                Ending::Answered(verb) => {
                    let _ = writeln!(self.transcript, "{at} {rule} <- {} {verb}", person());
                    continue;
                }
                Ending::AnswerRefused(why) => {
                    let _ = writeln!(self.transcript, "{at} {rule} <- {} refused: {why}", person());
                    continue;
                }
                Ending::Routed | Ending::Told | Ending::Carried(_) => continue,
            };
            // That something waits is seen by its being told later.
            if !matches!(reason, Reason::Grouped | Reason::Merged(_)) {
                let occasion = verdict.occasion.map(|occasion| occasion.to_string()).unwrap_or_default();
                let _ = writeln!(self.transcript, "{at} {rule} {occasion}: {reason}");
            }
        }
    }

    fn told(&self) -> &str {
        self.transcript.trim_end()
    }
}

fn task(due: Option<&str>) -> Json {
    json!({
        "severity": "high", "due_at": due, "node": { "name": "Berth contract" }, "action": null,
        "data": {
            "process_id": "9", "task_id": "1", "task_name": "Check", "initiator": "tom.berger",
            "assignees": [{ "user_id": "jonas.klein" }], "manager": null, "backup": null,
        },
    })
}

fn done() -> Json {
    json!({ "data": { "process_id": "9", "task_id": "1" } })
}

#[test]
fn an_overdue_task_climbs_until_somebody_acts() {
    let mut story = Story::new();
    story.event("xecm.task.assigned", task(Some("2026-01-05T15:00:00Z"))).pass("20h");
    insta::assert_snapshot!(story.told(), @r"
    01-05 09:00 ec-1-review: Zu prüfen: Berth contract -> jonas.klein
    01-05 15:00 ec-3-sla: Fällig: Check -> jonas.klein
    01-05 19:00 ec-3-sla: Überfällig: Check -> clara.stein
    01-05 23:00 ec-3-sla step-3: nobody
    ");
    let mut story = Story::new();
    story.event("xecm.task.assigned", task(Some("2026-01-05T15:00:00Z"))).pass("7h");
    story.event("xecm.task.completed", done()).pass("20h");
    insta::assert_snapshot!(story.told(), @r"
    01-05 09:00 ec-1-review: Zu prüfen: Berth contract -> jonas.klein
    01-05 15:00 ec-3-sla: Fällig: Check -> jonas.klein
    01-05 16:00 ec-3-sla: Erledigt: Check -> jonas.klein
    ");
}

#[test]
fn a_task_completed_before_it_was_heard_of_is_never_told() {
    let mut story = Story::new();
    story.event("xecm.task.completed", done()).pass("1m");
    story.event("xecm.task.assigned", {
        let mut late = task(Some("2026-01-05T15:00:00Z"));
        late["occurred_at"] = json!("2026-01-05T08:00:00Z");
        late["action"] = json!({ "ref": "a", "options": ["approve"], "answer_by": null });
        late
    });
    story.pass("20h");
    insta::assert_snapshot!(story.told(), @r"
    01-05 09:01 ec-3-sla first: already_closed
    01-05 09:01 ec-7-decide first: already_closed
    01-05 09:01 ec-1-review: Zu prüfen: Berth contract -> jonas.klein
    ");
}

#[test]
fn a_decision_is_closed_for_those_who_were_asked() {
    let mut story = Story::new();
    let mut asked = task(None);
    asked["action"] = json!({ "ref": "a", "options": ["approve"], "answer_by": null });
    story.event("xecm.task.assigned", asked).pass("2h").event("xecm.task.completed", done()).pass("20h");
    insta::assert_snapshot!(story.told(), @r"
    01-05 09:00 ec-7-decide: Ihre Entscheidung: Berth contract -> jonas.klein
    01-05 11:00 ec-7-decide: Erledigt: Check -> jonas.klein
    ");
}

#[test]
fn a_ladder_follows_its_date_and_tells_the_nearest_rung_of_those_past() {
    let record = |ends: &str| {
        json!({ "entity": { "id": "4" }, "node": { "id": "4", "name": "Lease" },
        "data": { "expires_on": ends, "owner": "sofia.rossi", "account_manager": null } })
    };
    let mut story = Story::new();
    // Eight days before: the rungs at 90 and 30 days are past, and only the nearer one would be told, in the
    // list of nine o'clock; there the one at 7 days is newer.
    story.event("xecm.record.expiring", record("2026-01-13")).pass("2d");
    // The date moves: what was told of the old one does not count.
    story.event("xecm.record.expiring", record("2026-03-31")).pass("84d");
    story.event("xecm.record.renewed", json!({ "node": { "id": "4", "name": "Lease" } })).pass("30d");
    insta::assert_snapshot!(story.told(), @r"
    01-06 08:01 ec-2-expiry: Lease endet am 13.01.2026 -> ines.roth
    01-06 08:01 ec-2-expiry: Lease ends 13 Jan 2026 -> sofia.rossi
    01-08 08:01 ec-2-expiry: Lease endet am 31.03.2026 -> ines.roth
    01-08 08:01 ec-2-expiry: Lease ends 31 Mar 2026 -> sofia.rossi
    03-01 08:01 ec-2-expiry: Lease endet am 31.03.2026 -> ines.roth
    03-01 08:01 ec-2-expiry: Lease ends 31 Mar 2026 -> sofia.rossi
    03-24 08:01 ec-2-expiry: Lease endet am 31.03.2026 -> ines.roth
    03-24 08:01 ec-2-expiry: Lease ends 31 Mar 2026 -> sofia.rossi
    03-30 07:00 ec-2-expiry: Lease endet am 31.03.2026 -> ines.roth
    03-30 07:00 ec-2-expiry: Lease ends 31 Mar 2026 -> sofia.rossi
    04-01 09:00 ec-2-expiry: Lease was renewed -> sofia.rossi
    04-01 09:00 ec-2-expiry: Lease wurde verlängert -> ines.roth
    ");
}

#[test]
fn what_heals_by_itself_is_never_told_and_what_does_not_is_told_every_morning() {
    let missing = || {
        json!({ "workspace": { "id": "W", "owner_user_id": "lena.vogt" },
        "data": { "steward": "sofia.rossi", "manager": null } })
    };
    let mut story = Story::new();
    story.event("bws.completeness.missing", missing()).pass("14m");
    story.event("bws.completeness.resolved", json!({ "workspace": { "id": "W" } })).pass("3d");
    assert_eq!(story.told(), "");
    let mut story = Story::new();
    story.event("bws.completeness.missing", missing()).pass("8d");
    insta::assert_snapshot!(story.told(), @r"
    01-05 09:15 bw-4-completeness: Incomplete: Weber GmbH -> sofia.rossi
    01-05 09:15 bw-4-completeness: Unvollständig: Weber GmbH -> lena.vogt
    01-06 08:00 bw-4-completeness: Incomplete: Weber GmbH -> sofia.rossi
    01-06 08:00 bw-4-completeness: Unvollständig: Weber GmbH -> lena.vogt
    01-07 08:00 bw-4-completeness: Incomplete: Weber GmbH -> sofia.rossi
    01-07 08:00 bw-4-completeness: Unvollständig: Weber GmbH -> lena.vogt
    01-08 08:00 bw-4-completeness: Incomplete: Weber GmbH -> sofia.rossi
    01-08 08:00 bw-4-completeness: Unvollständig: Weber GmbH -> lena.vogt
    01-09 08:00 bw-4-completeness: Incomplete: Weber GmbH -> sofia.rossi
    01-09 08:00 bw-4-completeness: Unvollständig: Weber GmbH -> lena.vogt
    01-10 08:00 bw-4-completeness: Incomplete: Weber GmbH -> sofia.rossi
    01-10 08:00 bw-4-completeness: Unvollständig: Weber GmbH -> lena.vogt
    01-10 09:00 bw-4-completeness: Noch unvollständig: Weber GmbH -> clara.stein mara.weber
    ");
}

#[test]
fn a_burst_is_told_once_at_once_and_once_in_a_digest_and_its_end_is_told() {
    let failed = |code: &str| json!({ "data": { "flow_id": "F", "error": { "code": code } } });
    let mut story = Story::new();
    story.event("xconnector.integration.failed", failed("E1")).pass("1m");
    story.event("xconnector.integration.failed", failed("E1")).pass("1m");
    story.event("xconnector.integration.failed", failed("E2")).pass("1m");
    story.event("xconnector.integration.failed", failed("E1")).pass("20m");
    story.event("xconnector.integration.recovered", json!({ "data": { "flow_id": "F", "error": null } }));
    story.pass("1h");
    insta::assert_snapshot!(story.told(), @r"
    01-05 09:00 xc-3-integration: Orders to ERP ist fehlgeschlagen -> eva.lindt
    01-05 09:02 xc-3-integration: Orders to ERP ist fehlgeschlagen -> eva.lindt
    01-05 09:05 xc-3-integration: Orders to ERP ist noch 2-mal fehlgeschlagen -> eva.lindt
    01-05 09:15 xc-3-integration: Orders to ERP: nobody has acknowledged -> lead
    01-05 09:17 xc-3-integration: Orders to ERP: nobody has acknowledged -> lead
    01-05 09:23 xc-3-integration: Orders to ERP läuft wieder -> eva.lindt
    01-05 09:23 xc-3-integration: Orders to ERP works again -> lead
    ");
}

#[test]
fn a_state_that_comes_back_says_nothing_and_an_older_one_never_wins() {
    let status = |from: &str, to: &str, seq: i64| {
        json!({ "entity": { "id": "R" }, "seq": seq,
            "data": { "status_from": from, "status_to": to, "followers": ["sofia.rossi"] } })
    };
    let mut story = Story::new();
    story.event("xconnector.record.status_changed", status("open", "held", 1)).pass("10s");
    story.event("xconnector.record.status_changed", status("held", "open", 2)).pass("5m");
    assert_eq!(story.told(), "");
    story.event("xconnector.record.status_changed", status("open", "approved", 5)).pass("10s");
    story.event("xconnector.record.status_changed", status("open", "held", 4)).pass("5m");
    insta::assert_snapshot!(story.told(), @r"
    01-05 09:05 xc-2-status first: overtaken
    01-05 09:06 xc-2-status: Supply agreement Weber GmbH: approved -> sofia.rossi
    ");
}

#[test]
fn a_threshold_speaks_once_until_it_is_over_and_is_muted_by_what_is_worse() {
    let failed = || json!({ "data": { "flow_id": "F", "error": { "code": "E1" } } });
    let mut story = Story::new();
    story.event("devadmin.flow.failed", failed()).pass("1m");
    story.event("devadmin.flow.failed", failed()).pass("6m");
    // The first two are too long ago.
    story.event("devadmin.flow.failed", failed()).pass("1m");
    story.event("devadmin.flow.failed", failed()).pass("1m");
    story.event("devadmin.flow.failed", failed()).pass("1m");
    story.event("devadmin.flow.failed", failed()).pass("20m");
    story.event("devadmin.flow.recovered", json!({ "data": { "flow_id": "F", "error": null } })).pass("1m");
    story.event("devadmin.flow.retry_exhausted", failed()).pass("1m");
    for _ in 0..4 {
        story.event("devadmin.flow.failed", failed());
    }
    story.pass("5m");
    insta::assert_snapshot!(story.told(), @r"
    01-05 09:09 da-2-failing: Orders to ERP schlägt wiederholt fehl -> eva.lindt
    01-05 09:19 da-2-failing: Orders to ERP: nobody has acknowledged -> lead
    01-05 09:30 da-2-failing: Orders to ERP läuft wieder -> eva.lindt
    01-05 09:30 da-2-failing: Orders to ERP works again -> lead
    01-05 09:31 da-2-broken: Orders to ERP steht -> eva.lindt
    01-05 09:32 da-2-failing first: inhibited
    01-05 09:32 da-2-failing first: inhibited
    01-05 09:32 da-2-failing first: inhibited
    01-05 09:32 da-2-failing first: inhibited
    ");
}

#[test]
fn a_level_is_told_when_it_stayed_up_and_when_it_is_down_again() {
    let depth = |depth: i64| json!({ "data": { "queue": "Q", "depth": depth, "threshold": 100 } });
    let mut story = Story::new();
    story.event("devadmin.queue.backlog", depth(150)).pass("2m");
    story.event("devadmin.queue.backlog", depth(50)).pass("10m");
    assert_eq!(story.told(), "");
    story.event("devadmin.queue.backlog", depth(150)).pass("4m");
    story.event("devadmin.queue.backlog", depth(90)).pass("30m");
    story.event("devadmin.queue.backlog", depth(70)).pass("1h");
    insta::assert_snapshot!(story.told(), @r"
    01-05 09:15 da-6-backlog: Backlog: Q -> ops
    01-05 09:45 da-6-backlog: Still open: Q -> director
    01-05 09:46 da-6-backlog: Q is back to normal -> director ops
    ");
}

#[test]
fn steps_of_a_process_are_one_telling_and_its_silence_another() {
    let step = |number: i64, state: &str| {
        json!({ "audience": null, "data": { "process_id": "P", "step_no": number, "step_name": format!("Step {number}"),
            "state": state, "stakeholders": ["sofia.rossi"], "next_department": "IT" } })
    };
    let mut story = Story::new();
    story.event("xconnector.process.step", step(1, "started")).pass("1m");
    story.event("xconnector.process.step", step(3, "started")).pass("1m");
    story.event("xconnector.process.step", step(2, "started")).pass("2h");
    story.event("xconnector.process.step", step(4, "started")).pass("9h");
    story.event("xconnector.process.step", step(5, "completed")).pass("9h");
    insta::assert_snapshot!(story.told(), @r"
    01-05 09:02 xc-8-process first: overtaken
    01-05 09:02 xc-8-idle first: overtaken
    01-05 09:06 xc-8-process: Customer onboarding: Step 3 -> sofia.rossi
    01-05 11:07 xc-8-process: Customer onboarding: Step 4 -> sofia.rossi
    01-05 19:02 xc-8-idle: Customer onboarding waits for you -> mia.lang noah.fischer omar.haddad
    01-05 19:02 xc-8-idle: Customer onboarding wartet auf Sie -> ben.koch eva.lindt
    01-05 20:07 xc-8-process: Customer onboarding: Step 5 -> sofia.rossi
    ");
}

#[test]
fn a_change_request_is_repeated_then_goes_to_a_second_approver() {
    let request =
        json!({ "data": { "request_id": "C", "assignees": ["ben.koch"], "requester": "mia.lang" } });
    let mut story = Story::new();
    story.event("devadmin.change.requested", request).pass("30h");
    story.event("devadmin.change.decided", json!({ "data": { "request_id": "C" } })).pass("30h");
    insta::assert_snapshot!(story.told(), @r"
    01-05 09:00 da-3-change: Ihre Freigabe: Approve the supply agreement -> jonas.klein mara.weber
    01-05 13:00 da-3-change: Ihre Freigabe: Approve the supply agreement -> jonas.klein mara.weber
    01-05 17:00 da-3-change: Ihre Freigabe: Approve the supply agreement -> jonas.klein mara.weber
    01-05 21:00 da-3-change: Ihre Freigabe: Approve the supply agreement -> jonas.klein mara.weber
    01-06 01:00 da-3-change: Ihre Freigabe: Approve the supply agreement -> jonas.klein mara.weber
    01-06 05:00 da-3-change: Ihre Freigabe: Approve the supply agreement -> jonas.klein mara.weber
    01-06 09:00 da-3-change: Waiting for a day: Approve the supply agreement -> second
    01-06 15:00 da-3-change: Decided: Approve the supply agreement -> second
    01-06 15:00 da-3-change: Entschieden: Approve the supply agreement -> jonas.klein mara.weber
    ");
}

#[test]
fn a_daily_hour_keeps_its_place_when_clocks_are_turned() {
    let record = json!({ "entity": { "id": "4" }, "node": { "id": "4", "name": "Lease" },
        "data": { "expires_on": "2026-03-30", "owner": "sofia.rossi", "account_manager": null } });
    let mut story = Story::new();
    story.until("2026-03-20T00:00:00Z".parse().unwrap());
    // Clocks go forward on the 29th: seven days before is at eight in Greenwich, one day before at seven.
    story.event("xecm.record.expiring", record).pass("30d");
    insta::assert_snapshot!(story.told(), @r"
    03-20 08:01 ec-2-expiry: Lease endet am 30.03.2026 -> ines.roth
    03-20 08:01 ec-2-expiry: Lease ends 30 Mar 2026 -> sofia.rossi
    03-23 08:01 ec-2-expiry: Lease endet am 30.03.2026 -> ines.roth
    03-23 08:01 ec-2-expiry: Lease ends 30 Mar 2026 -> sofia.rossi
    03-29 07:00 ec-2-expiry: Lease endet am 30.03.2026 -> ines.roth
    03-29 07:00 ec-2-expiry: Lease ends 30 Mar 2026 -> sofia.rossi
    ");
}

#[test]
fn the_first_decision_wins_and_the_others_hear_that_it_was_made() {
    let request =
        || json!({ "data": { "request_id": "C", "assignees": ["ben.koch"], "requester": "mia.lang" } });
    let mut story = Story::new();
    story.event("devadmin.change.requested", request()).pass("5h");
    story.answer("jonas.klein", Verb::Approve).answer("mara.weber", Verb::Reject).pass("1m");
    story.answer("jonas.klein", Verb::Approve).pass("30h");
    insta::assert_snapshot!(story.told(), @r"
    01-05 09:00 da-3-change: Ihre Freigabe: Approve the supply agreement -> jonas.klein mara.weber
    01-05 13:00 da-3-change: Ihre Freigabe: Approve the supply agreement -> jonas.klein mara.weber
    01-05 14:00 da-3-change: Entschieden: Approve the supply agreement -> mara.weber
    01-05 14:00 da-3-change <- jonas.klein approve
    01-05 14:00 da-3-change <- mara.weber refused: already_answered
    01-05 14:01 da-3-change <- jonas.klein refused: repeated
    ");
}

#[test]
fn who_was_not_asked_or_may_not_decide_or_comes_from_another_round_is_refused() {
    let mut asked = task(Some("2026-01-05T15:00:00Z"));
    asked["action"] = json!({ "ref": "a", "options": ["approve", "acknowledge"], "answer_by": null });
    let mut story = Story::new();
    story.event("xecm.task.assigned", asked.clone()).pass("1m");
    let first = story.asked["jonas.klein"].clone();
    // The requester, somebody else, and a verb the task does not offer.
    story.answer_as("tom.berger", Verb::Approve, first.clone());
    story.answer_as("ines.roth", Verb::Approve, first.clone());
    story.answer_as("jonas.klein", Verb::Reject, first.clone());
    // The task goes to somebody else: that is a new round, and the old one's answer is not for it.
    asked["data"]["assignees"] = json!([{ "user_id": "mara.weber" }]);
    story.pass("1h").event("xecm.task.assigned", asked).pass("1m");
    story.answer_as("jonas.klein", Verb::Approve, first);
    story.answer("mara.weber", Verb::Approve).pass("10m");
    // Its time passes.
    let second = story.asked["mara.weber"].clone();
    story.pass("8h").answer_as("mara.weber", Verb::Approve, second);
    insta::assert_snapshot!(story.told(), @r"
    01-05 09:00 ec-7-decide: Ihre Entscheidung: Berth contract -> jonas.klein
    01-05 09:01 ec-7-decide <- tom.berger refused: not_asked
    01-05 09:01 ec-7-decide <- ines.roth refused: not_asked
    01-05 09:01 ec-7-decide <- jonas.klein refused: not_offered
    01-05 10:01 ec-7-decide: Ihre Entscheidung: Berth contract -> mara.weber
    01-05 10:02 ec-7-decide <- jonas.klein refused: superseded
    01-05 10:02 ec-7-decide: Erledigt: Check -> jonas.klein
    01-05 10:02 ec-7-decide <- mara.weber approve
    01-05 18:12 ec-7-decide <- mara.weber refused: repeated
    ");
}

#[test]
fn acknowledgements_add_up_and_one_is_enough_for_what_waits_for_somebody() {
    let failed = || json!({ "data": { "flow_id": "F", "error": { "code": "E1" } } });
    let mut story = Story::new();
    story.event("xconnector.integration.failed", failed()).pass("3m");
    story.answer("eva.lindt", Verb::Acknowledge).answer("eva.lindt", Verb::Acknowledge).pass("1h");
    story.event("xconnector.integration.recovered", json!({ "data": { "flow_id": "F", "error": null } }));
    story.pass("1m");
    insta::assert_snapshot!(story.told(), @r"
    01-05 09:00 xc-3-integration: Orders to ERP ist fehlgeschlagen -> eva.lindt
    01-05 09:03 xc-3-integration <- eva.lindt acknowledge
    01-05 09:03 xc-3-integration <- eva.lindt refused: repeated
    01-05 10:03 xc-3-integration: Orders to ERP läuft wieder -> eva.lindt
    ");
    let mut story = Story::new();
    story.event("bws.content.critical_added", json!({ "data": { "class": "signed_agreement" } })).pass("5m");
    story.answer("ines.roth", Verb::Acknowledge).pass("2h");
    insta::assert_snapshot!(story.told(), @r"
    01-05 09:00 bw-8-agreement: Signed agreement: Supply agreement Weber GmbH.pdf -> sofia.rossi
    01-05 09:00 bw-8-agreement: Unterzeichneter Vertrag: Supply agreement Weber GmbH.pdf -> ines.roth
    01-05 09:05 bw-8-agreement <- ines.roth acknowledge
    01-05 10:00 bw-8-agreement: Signed agreement: Supply agreement Weber GmbH.pdf -> sofia.rossi
    ");
}

#[test]
fn who_asks_for_more_is_not_reminded_for_a_day() {
    let request =
        json!({ "data": { "request_id": "C", "assignees": ["ben.koch"], "requester": "mia.lang" } });
    let mut story = Story::new();
    story.event("devadmin.change.requested", request).pass("1h");
    story.answer("jonas.klein", Verb::RequestInfo).pass("30h");
    insta::assert_snapshot!(story.told(), @r"
    01-05 09:00 da-3-change: Ihre Freigabe: Approve the supply agreement -> jonas.klein mara.weber
    01-05 10:00 da-3-change <- jonas.klein request_info
    01-06 10:00 da-3-change: Ihre Freigabe: Approve the supply agreement -> jonas.klein mara.weber
    01-06 10:00 da-3-change: Waiting for a day: Approve the supply agreement -> second
    01-06 10:00 da-3-change: Your approval: Approve the supply agreement -> second
    ");
}

#[test]
fn the_fifth_refusal_in_ten_minutes_is_told_once_an_hour() {
    let denied = || {
        json!({
            "node": { "id": "4", "name": "Lease" },
            "data": { "rule": "access_denied", "audit": { "user_id": "tom.berger" } },
        })
    };
    let mut story = Story::new();
    for _ in 0..4 {
        story.event("xecm.governance.exception", denied()).pass("1m");
    }
    assert_eq!(story.told(), "");
    story.event("xecm.governance.exception", denied()).pass("20m");
    // Another five within the hour are the same matter; the lead hears after an hour that nobody looked.
    for _ in 0..5 {
        story.event("xecm.governance.exception", denied()).pass("1m");
    }
    story.pass("2h");
    insta::assert_snapshot!(story.told(), @r"
    01-05 09:04 ec-6-access: Repeated refusals: Lease -> omar.haddad ravi.patel
    01-05 10:04 ec-6-access step-1: nobody
    ");
}

/// A change request that one person approves and its system refuses with this word; so much later another rejects it.
fn decided_and_refused(word: &str, later: &str) -> Story {
    let request =
        json!({ "data": { "request_id": "C", "assignees": ["ben.koch"], "requester": "mia.lang" } });
    let mut story = Story::new();
    story.event("devadmin.change.requested", request).pass("1h");
    let asked = story.asked["jonas.klein"].clone();
    story.answer("jonas.klein", Verb::Approve).pass("1m");
    story.refused(("jonas.klein", Verb::Approve), word, &asked).pass(later);
    story.answer_as("mara.weber", Verb::Reject, asked).pass("30h");
    story
}

#[test]
fn a_decision_that_its_system_has_no_room_for_decides_nothing_and_the_next_one_counts() {
    let story = decided_and_refused("not_assignee", "4h");
    insta::assert_snapshot!(story.told(), @r"
    01-05 09:00 da-3-change: Ihre Freigabe: Approve the supply agreement -> jonas.klein mara.weber
    01-05 10:00 da-3-change: Entschieden: Approve the supply agreement -> mara.weber
    01-05 10:00 da-3-change <- jonas.klein approve
    01-05 10:01 da-3-change: Nicht ausgeführt: Supply agreement Weber GmbH -> jonas.klein mara.weber
    01-05 13:00 da-3-change: Ihre Freigabe: Approve the supply agreement -> jonas.klein mara.weber
    01-05 14:01 da-3-change: Entschieden: Approve the supply agreement -> jonas.klein
    01-05 14:01 da-3-change <- mara.weber reject
    ");
}

#[test]
fn who_was_not_quick_enough_in_the_system_hears_so_as_does_who_heard_otherwise_and_it_stays_decided() {
    let story = decided_and_refused("already_decided", "1m");
    insta::assert_snapshot!(story.told(), @r"
    01-05 09:00 da-3-change: Ihre Freigabe: Approve the supply agreement -> jonas.klein mara.weber
    01-05 10:00 da-3-change: Entschieden: Approve the supply agreement -> mara.weber
    01-05 10:00 da-3-change <- jonas.klein approve
    01-05 10:01 da-3-change: Nicht ausgeführt: Supply agreement Weber GmbH -> jonas.klein mara.weber
    01-05 10:02 da-3-change <- mara.weber refused: already_answered
    ");
}

#[test]
fn a_task_that_must_be_signed_goes_on_in_every_rule_until_it_is_done() {
    let mut asked = task(Some("2026-01-05T15:00:00Z"));
    asked["action"] = json!({ "ref": "a", "options": ["approve", "acknowledge"], "answer_by": null });
    let mut story = Story::new();
    story.event("xecm.task.assigned", asked).pass("1m");
    let first = story.asked["jonas.klein"].clone();
    story.answer("jonas.klein", Verb::Approve).pass("1m");
    story.refused(("jonas.klein", Verb::Approve), "needs_signature", &first).pass("11h");
    insta::assert_snapshot!(story.told(), @r"
    01-05 09:00 ec-7-decide: Ihre Entscheidung: Berth contract -> jonas.klein
    01-05 09:01 ec-7-decide <- jonas.klein approve
    01-05 09:01 ec-7-decide closed: nobody
    01-05 09:02 ec-7-decide: Nicht ausgeführt: Supply agreement Weber GmbH -> jonas.klein
    01-05 15:00 ec-3-sla: Fällig: Check -> jonas.klein
    01-05 19:00 ec-3-sla: Überfällig: Check -> clara.stein
    ");
}
