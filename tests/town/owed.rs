//! Owed: events by number, and who has to be told of them by the rules alone, no lane involved.

use std::collections::{BTreeMap, BTreeSet};

use bugle::directory::bind_rule;
use bugle::event::frame::Format;
use bugle::event::{Source, hash128};
use bugle::sample;
use serde_json::json;

use super::town::Town;

/// An event by what it is and a number; equal ones are copies of each other.
pub(crate) type Event = (u8, u8, bool);

/// What an event may be; beyond lies what nobody can read.
pub(crate) const KINDS: &[&str] = &[
    "xecm.task.assigned",
    "xecm.document.available",
    "xecm.document.published",
    "xconnector.workflow.exception",
    "xconnector.process.step",
    "devadmin.business.event",
    "bws.content.critical_added",
    "devadmin.queue.recovered",
];

/// Whose it is.
fn tenant(event: Event) -> &'static str {
    if event.2 { "acme" } else { "globex" }
}

/// The event as it lies in its topic.
pub(crate) fn written(town: &Town, event: Event) -> (Source, Vec<u8>) {
    let (what, number, _) = event;
    let Some(kind) = KINDS.get(usize::from(what)) else {
        return (Source::Bws, vec![7, number]);
    };
    let id = number.to_string();
    let data = match what {
        0 => json!({
            "process_id": id, "task_id": "1", "initiator": "tom.berger", "signature_required": false,
            "assignees": [{ "user_id": "jonas.klein" }, { "user_id": "mara.weber" }],
        }),
        1 => json!({ "doc_kind": "safety", "site": "Hamburg Harbour" }),
        2 => json!({ "external_party": "northwind" }),
        3 => json!({ "step": "Credit check", "assignees": ["mara.weber"] }),
        4 => json!({ "process_id": id, "step_no": 1, "step_name": "Berth", "stakeholders": [] }),
        5 => json!({ "document_id": id, "state": "shipped", "partner": "northwind" }),
        6 => json!({ "class": "signed_agreement" }),
        _ => json!({}),
    };
    let mut patch = json!({
        "event_id": format!("{what}-{number}"), "tenant": tenant(event), "correlation_id": id,
        "entity": { "id": id }, "data": data,
    });
    match what {
        0..=2 => patch["node"] = json!({ "id": id }),
        3 => patch["execution_id"] = json!(id),
        4 => patch["audience"] = json!({ "roles": [sample::CROWD_ROLE] }),
        _ => {}
    }
    town.event(kind, &patch)
}

/// Whose telling it is, and what it is about.
pub(crate) type Owed = (String, String, u128);

/// What the rules owe for these events, asked one by one: by what it is about, the tellings that may meet it.
pub(crate) fn owed(town: &Town, events: &[Event]) -> BTreeMap<Owed, BTreeSet<(String, u128)>> {
    let distinct: BTreeSet<Event> =
        events.iter().copied().filter(|event| KINDS.len() > event.0.into()).collect();
    let mut owed: BTreeMap<Owed, BTreeSet<(String, u128)>> = BTreeMap::new();
    for event in distinct {
        let (source, bytes) = written(town, event);
        town.look(|world| {
            let change = world.codec.decode(source, Format::Avro, &[], &bytes).unwrap();
            let parts = [change.tenant(), source.as_str(), change.event_id()].map(str::as_bytes);
            let conversation = hash128(parts);
            for form in world.topology.rules_for(change.kind()) {
                let rule = &form.rule;
                if !rule.tells_at_once() || !form.matches(&change).unwrap() {
                    continue;
                }
                let audience =
                    bind_rule(&rule.audience, rule.fallback.as_ref(), rule.never.as_ref(), &change);
                let (place, _) = world.topology.placed(&rule.id).unwrap();
                let about = if world.topology.shares_news(place) {
                    form.news(&change)
                } else {
                    hash128([rule.id.as_bytes(), &conversation.to_le_bytes()])
                };
                for entry in world.people.resolve(change.tenant(), &audience, &rule.plan.channels).iter() {
                    let key = (change.tenant().to_owned(), entry.user_id().to_owned(), about);
                    owed.entry(key).or_default().insert((rule.id.clone(), conversation));
                }
            }
        });
    }
    owed
}
