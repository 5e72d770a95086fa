//! The shipped rules: who hears what, and who does not, before any timer or window exists.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![allow(clippy::needless_pass_by_value, reason = "events are written where they are used")]

use std::path::Path;
use std::sync::{Arc, OnceLock};

use bugle::codec::{Codec, Name, Schemas, example, json};
use bugle::directory::{People, bind_rule};
use bugle::event::frame::Format;
use bugle::event::notice::Verb;
use bugle::event::{Change, Person, Source, Timestamp};
use bugle::topology::message::{Links, Reader};
use bugle::topology::plan::WindowKind;
use bugle::topology::{KindRule, Kinds, Topology};
use serde_json::{Value as Json, json};

struct World {
    schemas: Arc<Schemas>,
    codec: Codec,
    topology: Topology,
    people: People,
}

/// Somebody in Berlin, on the morning of 5 January 2026.
fn reader() -> Reader<'static> {
    let now = Timestamp::from_millis(1_767_603_600_000);
    Reader { zone: "Europe/Berlin", now, ..Reader::default() }
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let schemas = Arc::new(Schemas::built_in());
        let kinds = Kinds::new(Source::ALL.into_iter().flat_map(|source| schemas.shapes(source).to_vec()));
        let topology = Topology::load(Path::new("topology"), &kinds).unwrap();
        let codec = Codec::new(Arc::clone(&schemas), None);
        World { schemas, codec, topology, people: people() }
    })
}

fn people() -> People {
    let mut people = People::new();
    // id, roles, site, unit, party, channels
    let rows = [
        "anna|approver|Berlin|EMEA||",
        "bob|field-service|Berlin|EMEA||",
        "cleo|field-service|Hamburg|APAC||",
        "dora|manager|Berlin|EMEA||",
        "lea|legal|Berlin|EMEA||",
        "pete|procurement|Berlin|EMEA||",
        "cora|compliance|Berlin|EMEA||",
        "eve|executive|Berlin|EMEA||",
        "ina|integration-lead|Berlin|EMEA||",
        "quinn|qa|Berlin|EMEA||",
        "rita|release-manager|Berlin|EMEA||",
        "odo|order-desk|Berlin|EMEA||",
        "pia|||| partner-7|mobile",
        "pax||||partner-7|",
        "zoe||||partner-9|mobile",
    ];
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut person = Person {
            tenant: "acme".to_owned(),
            user_id: cells[0].to_owned(),
            active: true,
            roles: some(cells[1]).into_iter().collect(),
            business_unit: some(cells[3]).into_iter().collect(),
            party: some(cells[4]),
            channels: some(cells[5]).into_iter().collect(),
            ..Person::default()
        };
        person.location.site = some(cells[2]);
        people.apply(&person);
        // The same person at another customer: no event of acme's may ever reach this entry.
        people.apply(&Person {
            tenant: "globex".to_owned(),
            user_id: format!("{}@globex", cells[0]),
            ..person
        });
    }
    people
}

/// The example event of a kind, changed.
fn bytes(kind: &str, patch: &Json) -> Vec<u8> {
    let mut event = example::event(&world().schemas, kind, example::MONDAY).unwrap();
    merge(&mut event, patch);
    let source = Source::of_kind(kind).unwrap();
    json::to_avro(&world().schemas, &event).unwrap().framed(Name::Events(source).local_id())
}

fn merge(into: &mut Json, patch: &Json) {
    match (into, patch) {
        (Json::Object(into), Json::Object(patch)) => {
            for (name, value) in patch {
                merge(into.entry(name.clone()).or_insert(Json::Null), value);
            }
        }
        (into, patch) => *into = patch.clone(),
    }
}

fn read<'b>(kind: &str, bytes: &'b [u8]) -> Change<'b> {
    world().codec.decode(Source::of_kind(kind).unwrap(), Format::Avro, &[], bytes).unwrap()
}

fn speaking<'t>(change: &Change<'_>) -> Vec<&'t KindRule> {
    let rules = world().topology.rules_for(change.kind());
    let gathers = |rule: &KindRule| {
        matches!(rule.rule.window(), Some(WindowKind::Digest { .. } | WindowKind::LatestState(_)))
    };
    let speaks = |rule: &KindRule| rule.rule.tells_at_once() || gathers(rule);
    rules.iter().filter(|rule| speaks(rule) && rule.matches(change).unwrap()).collect()
}

/// `rule: people: title / body`, one line for each rule that speaks of the change, at once or in a digest.
fn told(kind: &str, patch: Json) -> String {
    told_in("en", kind, patch)
}

fn told_in(locale: &str, kind: &str, patch: Json) -> String {
    let bytes = bytes(kind, &patch);
    let change = read(kind, &bytes);
    let line = |rule: &&KindRule| {
        let plan = &rule.rule;
        let bound = bind_rule(&plan.audience, plan.fallback.as_ref(), plan.never.as_ref(), &change);
        let resolved = world().people.resolve(change.tenant(), &bound, &plan.plan.channels);
        let names: Vec<&str> = resolved.iter().map(|entry| entry.user_id()).collect();
        let cut = plan.first().message.as_ref().unwrap().cut(locale);
        let values = rule.values(&change, 0);
        let inserts = cut.inserts(&values, reader(), &Links::anywhere()).unwrap();
        let fill = |text: &str| {
            let filled = inserts.iter().enumerate();
            filled.fold(text.to_owned(), |text, (n, insert)| {
                text.replace(&format!("{{{{{}}}}}", n + 1), insert)
            })
        };
        format!("{}: {}: {} / {}", plan.id, names.join(" "), fill(&cut.title), fill(&cut.summary))
    };
    speaking(&change).iter().map(line).collect::<Vec<_>>().join("\n")
}

fn with<T>(rule: &str, kind: &str, patch: Json, ask: impl FnOnce(&KindRule, &Change<'_>) -> T) -> T {
    let bytes = bytes(kind, &patch);
    let change = read(kind, &bytes);
    ask(world().topology.rule_for(rule, kind).unwrap(), &change)
}

#[test]
fn xc_1_a_workflow_step_reaches_its_assignees_else_the_managers() {
    let step = |assignees: Json| {
        told(
            "xconnector.workflow.exception",
            json!({ "data": { "assignees": assignees, "step": "Check credit" } }),
        )
    };
    insta::assert_snapshot!(step(json!(["anna", "bob"])), @r"
    xc-1-workflow: anna bob: Orders to ERP: Check credit / Supply agreement Weber GmbH is due 9 Jan 2026, 10:00.
    ");
    insta::assert_snapshot!(step(json!(["nobody-we-know"])), @r"
    xc-1-workflow: dora: Orders to ERP: Check credit / Supply agreement Weber GmbH is due 9 Jan 2026, 10:00.
    ");
}

#[test]
fn xc_7_a_segment_is_role_and_location_and_unit_together() {
    let audience = json!({ "roles": ["field-service"], "locations": ["Berlin"], "business_units": ["EMEA"] });
    insta::assert_snapshot!(told("xconnector.record.status_changed", json!({ "audience": audience })), @r"
    xc-2-status: dora: Supply agreement Weber GmbH: approved / Was pending, is now approved.
    xc-7-segment: bob: Supply agreement Weber GmbH / Orders to ERP reports a change.
    ");
    let elsewhere =
        json!({ "roles": ["field-service"], "locations": ["Berlin"], "business_units": ["APAC"] });
    insta::assert_snapshot!(told("xconnector.record.status_changed", json!({ "audience": elsewhere })), @r"
    xc-2-status: dora: Supply agreement Weber GmbH: approved / Was pending, is now approved.
    xc-7-segment: : Supply agreement Weber GmbH / Orders to ERP reports a change.
    ");
    let none = told("xconnector.record.status_changed", json!({}));
    assert!(!none.contains("xc-7"), "without a segment nobody is addressed: {none}");
}

#[test]
fn ec_1_a_review_reaches_its_assignee_with_title_and_due_date() {
    let task = json!({
        "due_at": "2026-01-05T16:00:00Z",
        "action": null,
        "node": { "name": "Supply agreement" },
        "data": { "assignees": [{ "user_id": "anna" }], "task_name": "Review" },
    });
    insta::assert_snapshot!(told("xecm.task.assigned", task.clone()), @r"
    ec-1-review: anna: To review: Supply agreement / Review, due 5 Jan 2026, 17:00.
    ");
    insta::assert_snapshot!(told_in("de-CH", "xecm.task.assigned", task), @r"
    ec-1-review: anna: Zu prüfen: Supply agreement / Review, fällig 05.01.2026, 17:00.
    ");
    let stage =
        json!({ "node": { "name": "Spec" }, "data": { "stage_to": "review", "reviewers": ["anna"] } });
    insta::assert_snapshot!(told("xecm.document.stage_changed", stage), @r"
    ec-1-stage: anna: Spec: review / It was draft and is now at review, due 9 Jan 2026, 10:00.
    ");
}

#[test]
fn ec_4_safety_documents_reach_the_field_team_of_that_site_only() {
    let document = |site: &str, kind: &str| {
        told(
            "xecm.document.available",
            json!({ "data": { "site": site, "doc_kind": kind }, "node": { "name": "Crane 4" } }),
        )
    };
    insta::assert_snapshot!(document("Berlin", "safety"), @r"
    ec-4-safety: bob: Safety at Berlin: Crane 4 / Read it before you go on, and confirm.
    ");
    insta::assert_snapshot!(document("Hamburg", "job"), @r"
    ec-4-documents: cleo: New for Hamburg: Crane 4 / A document for your work is there.
    ");
    insta::assert_snapshot!(document("Munich", "incident"), @r"
    ec-4-safety: : Safety at Munich: Crane 4 / Read it before you go on, and confirm.
    ");
}

#[test]
fn ec_5_a_published_document_reaches_that_party_through_an_approved_channel() {
    let published = json!({ "data": { "external_party": "partner-7" }, "node": { "name": "Price list" } });
    insta::assert_snapshot!(told("xecm.document.published", published), @r"
    ec-5-published: pia: Published for you: Price list / specification is ready.
    ");
}

#[test]
fn bw_2_an_approval_reaches_the_approver_and_never_who_asked() {
    let task = |initiator: &str| {
        json!({
            "data": { "assignees": [{ "user_id": "anna" }, { "user_id": "dora" }], "initiator": initiator, "task_name": "Approve" },
            "workspace": { "name": "Weber GmbH" }, "due_at": null,
        })
    };
    insta::assert_snapshot!(told("bws.task.assigned", task("bob")), @r"
    bw-2-approval: anna dora: Your approval: Weber GmbH / Approve.
    ");
    insta::assert_snapshot!(told("bws.task.assigned", task("dora")), @r"
    bw-2-approval: anna: Your approval: Weber GmbH / Approve.
    ");
}

#[test]
fn bw_8_critical_content_reaches_its_audience_by_class() {
    let content = |class: &str| {
        told(
            "bws.content.critical_added",
            json!({ "data": { "class": class }, "workspace": { "name": "Weber" }, "item": { "node_id": "1", "name": "Report" } }),
        )
    };
    insta::assert_snapshot!(content("signed_agreement"), @r"
    bw-8-agreement: lea pete: Signed agreement: Report / In Weber. Please confirm that you have seen it.
    ");
    insta::assert_snapshot!(content("incident_report"), @r"
    bw-8-incident: cora eve: Incident report: Report / In Weber. Please confirm that you have seen it.
    ");
    insta::assert_snapshot!(content("regulatory_notice"), @r"
    bw-8-notice: cora eve lea: Regulatory notice: Report / In Weber. Please confirm that you have seen it.
    ");
}

#[test]
fn da_1_an_artefact_in_production_reaches_the_release_manager_too() {
    let artifact = |environment: &str| {
        told(
            "devadmin.artifact.changed",
            json!({ "environment": environment, "data": { "change": "deployed" } }),
        )
    };
    insta::assert_snapshot!(artifact("prod"), @r"
    da-1-production: ina quinn rita: prod: Orders API deployed / api orders-api, version 2.4.0, by Ada Weber.
    ");
    insta::assert_snapshot!(artifact("dev"), @r"
    da-1-artifact: ina quinn: dev: Orders API deployed / api orders-api, version 2.4.0, by Ada Weber.
    ");
}

#[test]
fn da_4_a_business_event_reaches_the_partner_and_the_desk() {
    let event = |partner: Json| {
        told(
            "devadmin.business.event",
            json!({ "data": { "topic": "order", "document_id": "SO-1", "state": "shipped", "partner": partner } }),
        )
    };
    insta::assert_snapshot!(event(json!("partner-9")), @r"
    da-4-partner: zoe: Order SO-1 / Is now shipped.
    da-4-desk: odo: Order SO-1 / Is now shipped.
    ");
    insta::assert_snapshot!(event(Json::Null), @r"
    da-4-partner: : Order SO-1 / Is now shipped.
    da-4-desk: odo: Order SO-1 / Is now shipped.
    ");
}

#[test]
fn a_subject_is_tenant_source_and_the_fields_named() {
    let of = |rule: &str, kind: &str, patch: Json| {
        with(rule, kind, patch, |rule, change| rule.subject(change).map(|key| key.0))
    };
    let task = json!({ "data": { "process_id": "11|5", "task_id": "1" } });
    let key = of("ec-7-decide", "xecm.task.assigned", task);
    assert_eq!(key.as_deref(), Some("acme|xecm|process_id=11\\|5|task_id=1"));
    let entity = of("ec-4-safety", "xecm.document.available", json!({}));
    assert_eq!(entity.as_deref(), Some("acme|xecm|entity.type=document|entity.id=4711"));
    let window = of("ec-4-documents", "xecm.document.available", json!({ "data": { "site": "Lyon|2" } }));
    assert_eq!(window.as_deref(), Some("acme|xecm|site=Lyon\\|2"));
    let absent = of("xc-6-decide", "xconnector.workflow.approval_pending", json!({ "action": null }));
    assert_eq!(absent, None, "a subject without its field is none");
}

#[test]
fn answers_are_narrowed_by_the_change_and_gone_where_a_signature_is_required() {
    let offered = |patch: Json| {
        with("ec-7-decide", "xecm.task.assigned", patch, |rule, change| rule.answers(change, 0))
    };
    let action = json!({ "ref": "1", "options": ["approve", "reject", "delegate"], "answer_by": null });
    assert_eq!(
        offered(json!({ "action": action, "data": { "signature_required": false } })),
        [Verb::Approve, Verb::Reject]
    );
    assert_eq!(offered(json!({ "action": action, "data": { "signature_required": true } })), []);
    assert_eq!(offered(json!({ "action": null, "data": { "signature_required": false } })).len(), 4);
}

#[test]
fn equal_news_and_equal_keys_are_equal_across_events_and_never_across_tenants() {
    let task = |rule: &str, patch: Json| {
        with(rule, "xecm.task.assigned", patch, |rule, change| (rule.news(change), rule.dedupe(change)))
    };
    let first = task("ec-1-review", json!({ "event_id": "1" }));
    let again = task("ec-1-review", json!({ "event_id": "2" }));
    let other_rule = task("ec-7-decide", json!({ "event_id": "1" }));
    let other_tenant = task("ec-1-review", json!({ "event_id": "1", "tenant": "globex" }));
    assert_eq!(first, again);
    assert_eq!(first.0, other_rule.0, "two rules that name the same fields tell the same news");
    assert_ne!(first.1, other_rule.1, "but each rule has its own memory of what it heard");
    assert_ne!(first.0, other_tenant.0);
    assert_ne!(first.1, other_tenant.1);
    let by_event = |id: &str| {
        with("da-1-production", "devadmin.artifact.changed", json!({ "event_id": id }), |rule, change| {
            rule.news(change)
        })
    };
    assert_ne!(by_event("1"), by_event("2"));
}

#[test]
fn a_telling_expires_with_the_earlier_of_rule_and_change() {
    let at = |patch: Json| {
        with("ec-4-safety", "xecm.document.available", patch, |rule, change| {
            rule.expires_at(change).unwrap().to_string()
        })
    };
    assert_eq!(at(json!({ "occurred_at": "2026-01-05T09:00:00Z" })), "2026-01-05T21:00:00.000Z");
    let earlier = json!({ "occurred_at": "2026-01-05T09:00:00Z", "expires_at": "2026-01-05T10:00:00Z" });
    assert_eq!(at(earlier), "2026-01-05T10:00:00.000Z");
}

#[test]
fn a_replaced_push_has_a_key_that_fits_and_differs_by_subject() {
    let key = |patch: Json| {
        with("ec-7-decide", "xecm.task.assigned", patch, |rule, change| rule.collapse_key(change).unwrap())
    };
    let (one, two) = (key(json!({})), key(json!({ "data": { "task_id": "2" } })));
    assert_ne!(one, two);
    assert!(one.len() <= 64);
    assert_eq!(world().topology.rules_for("xecm.no.such.kind").len(), 0);
}

/// Whatever message a rule uses in any locale, the example of every one of its kinds can be written.
#[test]
fn every_first_telling_can_be_written_for_every_kind_and_locale() {
    for rule in &world().topology.rules {
        let Some(message) = &rule.first().message else { continue };
        for kind in &rule.kinds {
            let locales: Vec<&str> = message.locales().collect();
            assert_eq!(locales, ["en", "de"], "{}", rule.id);
            with(&rule.id, kind, json!({}), |form, change| {
                for locale in locales {
                    let cut = message.cut(locale);
                    let values = form.values(change, 0);
                    let inserts = cut.inserts(&values, reader(), &Links::anywhere()).unwrap();
                    assert!(inserts.iter().all(|insert| !insert.contains("{{")));
                }
            });
        }
    }
}
