//! First tellings: an event goes in as JSON, and out come the phones that ring and those that stay silent.
//!
//! Every event is written as Avro and passes all four lanes under the shipped rules. What is listed is
//! complete: whoever is not named heard nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![allow(clippy::needless_pass_by_value, reason = "events are written where they are used")]

mod town;

use bugle::event::{Ending, Person, Reason, Source, Span, Verdict};
use bugle::flow::line::Line;
use serde_json::{Value as Json, json};
use town::{NOW, Town, company};

/// The sample company in both tenants, and one who left it.
fn people() -> Vec<Person> {
    let mut people = company(0);
    let lena = people.iter().find(|person| person.user_id == "lena.vogt").unwrap();
    let left = Person { user_id: "ida.left".to_owned(), active: false, ..lena.clone() };
    people.push(left);
    people
}

/// One line for each push, `tenant/person rule: title`, and one for each telling that was not made.
fn heard(events: &[(&str, Json)]) -> String {
    let town = Town::new(&people(), 1);
    let events = events.iter().map(|(kind, patch)| town.event(kind, patch)).collect();
    let mut heard = town.look(|world| {
        let mut line = Line::new(&town.plan);
        let mut heard = line.feed(NOW, events, world);
        // Until what windows gathered is told.
        let later = line.pass(NOW + Span::from_secs(14 * 60), world);
        heard.batches.extend(later.batches);
        heard.verdicts.extend(later.verdicts);
        heard
    });
    assert!(heard.stuck.is_empty() && heard.dead_letters.is_empty(), "{:?}", heard.stuck);
    // That it is told later is no word about whom.
    heard.verdicts.retain(|verdict| verdict.ending != Ending::Not(Reason::Grouped));
    let pushes = heard.pushes();
    let told =
        pushes.iter().map(|push| format!("{}/{} {}: {}", push.tenant, push.user_id, push.rule, push.title));
    let mut silent: Vec<String> = heard.verdicts.iter().filter_map(silent).collect();
    silent.sort();
    told.chain(silent).collect::<Vec<_>>().join("\n")
}

fn silent(verdict: &Verdict) -> Option<String> {
    let Ending::Not(reason) = &verdict.ending else { return None };
    let rule = verdict.rule.as_deref().unwrap_or("event");
    Some(format!("- {rule}: {reason} {}", verdict.people.join(" ")).trim_end().to_owned())
}

#[test]
fn xc_1_an_exception_reaches_who_must_act_and_nobody_of_the_same_name_elsewhere() {
    let exception = |tenant: &str, assignees: Json| {
        let data = json!({ "assignees": assignees, "step": "Credit check", "sla": null });
        heard(&[(
            "xconnector.workflow.exception",
            json!({ "tenant": tenant, "action": null, "audience": null, "data": data }),
        )])
    };
    insta::assert_snapshot!(exception("acme", json!(["jonas.klein"])), @"acme/jonas.klein xc-1-workflow: Orders to ERP: Credit check");
    insta::assert_snapshot!(exception("globex", json!(["jonas.klein"])), @"globex/jonas.klein xc-1-workflow: Orders to ERP: Credit check");
    // Nobody is assigned, or only somebody who left: the managers hear it, and no one else.
    insta::assert_snapshot!(exception("acme", json!([])), @r"
    acme/ines.roth xc-1-workflow: Orders to ERP: Credit check
    acme/mara.weber xc-1-workflow: Orders to ERP: Credit check
    ");
    insta::assert_snapshot!(exception("acme", json!(["ida.left"])), @r"
    acme/ines.roth xc-1-workflow: Orders to ERP: Credit check
    acme/mara.weber xc-1-workflow: Orders to ERP: Credit check
    ");
}

#[test]
fn xc_7_a_segment_is_told_and_whoever_misses_one_of_its_three_sides_is_not() {
    let step = |audience: Json| {
        let data = json!({ "process_id": "9", "step_no": 2, "step_name": "Berth", "stakeholders": [] });
        let patch = json!({ "audience": audience, "entity": { "name": "Berth plan" }, "data": data });
        heard(&[("xconnector.process.step", patch)])
    };
    let all =
        json!({ "roles": ["field-service"], "locations": ["Hamburg"], "business_units": ["Operations"] });
    // Paul works in Lyon, Mara is no field service, Ida left; globex has people of the same names.
    insta::assert_snapshot!(step(all), @r"
    acme/lena.vogt xc-7-process: Berth plan
    acme/tom.berger xc-7-process: Berth plan
    - xc-8-process: nobody
    ");
    let elsewhere = json!({ "roles": ["field-service"], "locations": ["Lyon"], "business_units": ["Legal"] });
    insta::assert_snapshot!(step(elsewhere), @r"
    - xc-7-process: nobody
    - xc-8-process: nobody
    ");
    let without_one = json!({ "roles": ["field-service"], "exclude": ["lena.vogt"] });
    insta::assert_snapshot!(step(without_one), @r"
    acme/paul.martin xc-7-process: Berth plan
    acme/tom.berger xc-7-process: Berth plan
    - xc-8-process: nobody
    ");
    insta::assert_snapshot!(step(Json::Null), @r"
    - xc-8-process: nobody
    ");
}

fn task(action: Json, initiator: &str, assignees: &[&str]) -> Json {
    let assignees: Vec<Json> = assignees.iter().map(|user| json!({ "user_id": user })).collect();
    json!({
        "due_at": "2026-01-08T16:00:00Z",
        "action": action,
        "node": { "id": "4711", "name": "Supply contract" },
        "workspace": { "name": "Pier 7" },
        "data": {
            "process_id": "115295", "task_id": "1", "task_name": "Review", "assignees": assignees,
            "initiator": initiator, "signature_required": false,
        },
    })
}

/// The parts of [`task`] that a kind of another system has no field for are taken away.
fn of_ecm(mut task: Json) -> Json {
    task.as_object_mut().unwrap().remove("workspace");
    task
}

fn of_bws(mut task: Json) -> Json {
    task.as_object_mut().unwrap().remove("node");
    task
}

#[test]
fn ec_1_a_review_reaches_its_assignee_once_however_often_it_is_said() {
    let review = of_ecm(task(Json::Null, "sofia.rossi", &["jonas.klein"]));
    insta::assert_snapshot!(heard(&[("xecm.task.assigned", review.clone())]), @"acme/jonas.klein ec-1-review: Zu prüfen: Supply contract");
    let copy = review.clone();
    insta::assert_snapshot!(heard(&[("xecm.task.assigned", review.clone()), ("xecm.task.assigned", copy)]), @r"
    acme/jonas.klein ec-1-review: Zu prüfen: Supply contract
    - event: duplicate
    ");
    // Polled again, the source gives it another id: the rule knows the assignment by its own fields.
    let mut again = review.clone();
    again["event_id"] = json!("evt-1002");
    insta::assert_snapshot!(heard(&[("xecm.task.assigned", review), ("xecm.task.assigned", again)]), @r"
    acme/jonas.klein ec-1-review: Zu prüfen: Supply contract
    - ec-1-review: duplicate
    ");
}

#[test]
fn ec_1_two_rules_about_one_task_are_one_push_and_two_tasks_are_two() {
    let action = json!({ "ref": "wf-1", "options": ["approve", "reject"], "answer_by": null });
    let decide = of_ecm(task(action.clone(), "sofia.rossi", &["jonas.klein"]));
    insta::assert_snapshot!(heard(&[("xecm.task.assigned", decide.clone())]), @r"
    acme/jonas.klein ec-7-decide: Ihre Entscheidung: Supply contract
    - ec-1-review: merged(ec-7-decide) jonas.klein
    ");
    // Task numbers start at 1 in every process: another document's first task is other news.
    let mut other = decide.clone();
    other["node"] = json!({ "id": "4712", "name": "Lease" });
    other["data"]["process_id"] = json!("115296");
    other["event_id"] = json!("evt-1002");
    insta::assert_snapshot!(heard(&[("xecm.task.assigned", decide), ("xecm.task.assigned", other)]), @r"
    acme/jonas.klein ec-7-decide: Ihre Entscheidung: Lease
    acme/jonas.klein ec-7-decide: Ihre Entscheidung: Supply contract
    - ec-1-review: merged(ec-7-decide) jonas.klein
    - ec-1-review: merged(ec-7-decide) jonas.klein
    ");
    // Who asked is never asked to decide; the review itself may be theirs.
    let own = of_ecm(task(action, "jonas.klein", &["jonas.klein"]));
    insta::assert_snapshot!(heard(&[("xecm.task.assigned", own)]), @r"
    acme/jonas.klein ec-1-review: Zu prüfen: Supply contract
    - ec-7-decide: nobody
    ");
}

#[test]
fn ec_4_a_safety_form_reaches_the_field_team_of_that_site() {
    let form = |site: &str| {
        let patch = json!({ "node": { "name": "Crane 4" }, "data": { "doc_kind": "safety", "site": site } });
        heard(&[("xecm.document.available", patch)])
    };
    insta::assert_snapshot!(form("Hamburg Harbour"), @r"
    acme/lena.vogt ec-4-safety: Sicherheit, Hamburg Harbour: Crane 4
    acme/tom.berger ec-4-safety: Safety at Hamburg Harbour: Crane 4
    ");
    insta::assert_snapshot!(form("Lyon Depot"), @"acme/paul.martin ec-4-safety: Safety at Lyon Depot: Crane 4");
    insta::assert_snapshot!(form("Munich Works"), @"- ec-4-safety: nobody");
    let late = json!({
        "occurred_at": "2026-01-04T20:59:00Z",
        "data": { "doc_kind": "safety", "site": "Hamburg Harbour" },
    });
    insta::assert_snapshot!(heard(&[("xecm.document.available", late)]), @"- ec-4-safety: expired lena.vogt tom.berger");
}

#[test]
fn ec_5_a_published_document_reaches_that_party_by_an_approved_channel_only() {
    let published = |party: &str| {
        let patch = json!({ "node": { "name": "Price list" }, "data": { "external_party": party } });
        heard(&[("xecm.document.published", patch)])
    };
    insta::assert_snapshot!(published("northwind"), @r"
    acme/nora@northwind.example ec-5-published: Published for you: Price list
    - ec-5-published: no_channel olaf@northwind.example
    ");
    insta::assert_snapshot!(published("contoso"), @"acme/carl@contoso.example ec-5-published: Published for you: Price list");
    insta::assert_snapshot!(published("fabrikam"), @"- ec-5-published: nobody");
}

#[test]
fn bw_2_an_approval_reaches_the_approver_and_never_who_asked_for_it() {
    let approval = |initiator: &str| {
        heard(&[("bws.task.assigned", of_bws(task(Json::Null, initiator, &["mara.weber", "tom.berger"])))])
    };
    insta::assert_snapshot!(approval("sofia.rossi"), @r"
    acme/mara.weber bw-2-approval: Ihre Freigabe: Pier 7
    acme/tom.berger bw-2-approval: Your approval: Pier 7
    ");
    insta::assert_snapshot!(approval("tom.berger"), @"acme/mara.weber bw-2-approval: Ihre Freigabe: Pier 7");
    let own = of_bws(task(Json::Null, "mara.weber", &["mara.weber"]));
    insta::assert_snapshot!(heard(&[("bws.task.assigned", own)]), @"- bw-2-approval: nobody");
}

#[test]
fn bw_8_critical_content_reaches_the_audience_of_its_class() {
    let content = |class: &str| {
        let item = json!({ "node_id": "1", "name": "Pier 7" });
        let patch = json!({ "data": { "class": class }, "workspace": { "name": "Pier" }, "item": item });
        heard(&[("bws.content.critical_added", patch)])
    };
    insta::assert_snapshot!(content("signed_agreement"), @r"
    acme/ines.roth bw-8-agreement: Unterzeichneter Vertrag: Pier 7
    acme/sofia.rossi bw-8-agreement: Signed agreement: Pier 7
    ");
    insta::assert_snapshot!(content("incident_report"), @r"
    acme/clara.stein bw-8-incident: Vorfallbericht: Pier 7
    acme/ravi.patel bw-8-incident: Incident report: Pier 7
    ");
    insta::assert_snapshot!(content("regulatory_notice"), @r"
    acme/clara.stein bw-8-notice: Behördliche Mitteilung: Pier 7
    acme/ines.roth bw-8-notice: Behördliche Mitteilung: Pier 7
    acme/ravi.patel bw-8-notice: Regulatory notice: Pier 7
    ");
}

#[test]
fn da_1_a_deployment_reaches_the_release_manager_in_production_only() {
    let deployed = |environment: &str| {
        let patch = json!({ "environment": environment, "data": { "change": "deployed" } });
        heard(&[("devadmin.artifact.changed", patch)])
    };
    insta::assert_snapshot!(deployed("prod"), @r"
    acme/ben.koch da-1-production: prod: Orders API ausgerollt
    acme/mia.lang da-1-production: prod: Orders API deployed
    acme/noah.fischer da-1-production: prod: Orders API deployed
    ");
    insta::assert_snapshot!(deployed("test"), @r"
    acme/mia.lang da-1-artifact: test: Orders API deployed
    acme/noah.fischer da-1-artifact: test: Orders API deployed
    ");
}

#[test]
fn da_4_a_business_event_reaches_its_partner_and_the_desk_and_no_other_partner() {
    let order = |tenant: &str, partner: Json| {
        let data = json!({ "topic": "order", "document_id": "PO-1", "state": "shipped", "partner": partner });
        heard(&[("devadmin.business.event", json!({ "tenant": tenant, "data": data }))])
    };
    insta::assert_snapshot!(order("acme", json!("northwind")), @r"
    acme/nora@northwind.example da-4-partner: Order PO-1
    acme/yuki.tanaka da-4-desk: Order PO-1
    - da-4-partner: no_channel olaf@northwind.example
    ");
    insta::assert_snapshot!(order("acme", json!("contoso")), @r"
    acme/carl@contoso.example da-4-partner: Order PO-1
    acme/yuki.tanaka da-4-desk: Order PO-1
    ");
    insta::assert_snapshot!(order("acme", Json::Null), @r"
    acme/yuki.tanaka da-4-desk: Order PO-1
    - da-4-partner: placeholder_empty
    ");
    insta::assert_snapshot!(order("globex", json!("northwind")), @r"
    - da-4-desk: nobody
    - da-4-partner: nobody
    ");
}

#[test]
fn a_payload_that_does_not_fit_its_mapping_is_kept_byte_for_byte_with_its_field_and_the_mapping() {
    let town = Town::new(&people(), 1);
    let payloads: [&[u8]; 3] = [
        br#"{"event": "flow.run.failed", "run": {"id": "r1", "endedAt": "2026-01-05T09:00:00Z"}}"#,
        br#"{"event": "flow.run.failed", "run": {"id": "r2", "endedAt": "noon"}, "flow": {"id": 4711}}"#,
        br#"{"event": "flow.run.started"}"#,
    ];
    let records = payloads.map(|payload| (Source::XConnector, payload.to_vec()));
    let heard = town.look(|world| Line::new(&town.plan).feed(NOW, records.into(), world));
    let letters: Vec<String> = heard
        .dead_letters
        .iter()
        .zip(payloads)
        .map(|(letter, payload)| {
            assert_eq!(letter.value.as_deref(), Some(payload));
            let said = letter.headers.iter().find(|(name, _)| name == "__bugle.errors.message");
            String::from_utf8(said.unwrap().1.clone().unwrap().to_vec()).unwrap()
        })
        .collect();
    insta::assert_snapshot!(letters.join("\n"), @r"
    missing-field at `entity.id`: nothing stands where a text should; mapping `oneteg-run` takes it from `payload.flow.id`
    bad-time at `occurred_at`: it is no time: write 2026-01-05T09:00:00Z, or milliseconds since 1970; mapping `oneteg-run` takes it from `payload.run.endedAt`
    ");
    let endings: Vec<String> = heard.verdicts.iter().map(|verdict| format!("{:?}", verdict.ending)).collect();
    insta::assert_snapshot!(endings.join("\n"), @r#"
    Not(Refused("missing-field"))
    Not(Refused("bad-time"))
    Not(Unmatched)
    "#);
}
