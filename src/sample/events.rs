//! Events: what happens in the sample company's four systems.

use serde_json::{Value, json};

use crate::event::{Source, Span, Timestamp};

/// An event as a publisher has it: JSON in the shape of the schema.
#[derive(Debug, Clone)]
pub struct SampleEvent {
    /// Whose topic it goes to.
    pub source: Source,
    /// The event.
    pub json: Value,
}

// === impl SampleEvent ===

impl SampleEvent {
    /// The same event, happening at this moment.
    pub fn happens_at(&mut self, at: Timestamp) {
        if let Some(json) = self.json.as_object_mut() {
            json.insert("occurred_at".to_owned(), json!(at.to_string()));
        }
    }
}

/// What a number of sample events is made of.
#[derive(Debug, Clone)]
pub struct Story {
    /// The events, copies included, in order.
    pub events: Vec<SampleEvent>,
    /// How many of them are copies of an earlier one.
    pub copies: usize,
}

/// A record no reader of ours can read: the framing byte is wrong.
#[must_use]
pub fn poison() -> (Source, Vec<u8>) {
    (Source::Bws, b"\x07\x00\x00\x00\x01not an event".to_vec())
}

/// The sample day: every system, one event for the crowd, one for nobody, and copies.
#[must_use]
pub fn story(start: Timestamp) -> Story {
    let mut events = Vec::new();
    for number in 0..200 {
        events.push(batch(number, start));
    }
    events.push(crowd(start));
    events.push(nobody(start));
    // Every twentieth is said twice, the second time a little later.
    let copies: Vec<SampleEvent> = events.iter().step_by(20).cloned().collect();
    let count = copies.len();
    events.extend(copies);
    Story { events, copies: count }
}

/// Two approvals of the same person: one to be answered, and one that nobody answers. They are due in an hour,
/// and climb from there.
#[must_use]
pub fn scene(now: Timestamp) -> Vec<SampleEvent> {
    let approval = |number: u64, name: &str| {
        let mut event = task_assigned(number, now);
        if let Some(json) = event.json.as_object_mut() {
            json.insert("severity".to_owned(), json!("high"));
            json.insert("due_at".to_owned(), json!((now + Span::from_secs(3_600)).to_string()));
            json["entity"]["name"] = json!(name);
            json["node"]["name"] = json!(name);
        }
        event
    };
    vec![approval(800_001, "Berth lease 17"), approval(800_002, "Crane contract 3")]
}

/// The `number`-th event of an endless day; every system has its turn.
#[must_use]
pub fn batch(number: u64, start: Timestamp) -> SampleEvent {
    let at = start + Span::from_secs(i64::try_from(number).unwrap_or(0));
    let maker = MAKERS[usize::try_from(number).unwrap_or(0) % MAKERS.len()];
    maker(number, at)
}

/// The `number`-th event after the scene was set: nobody in it is asked for anything more.
#[must_use]
pub fn later(number: u64, start: Timestamp) -> SampleEvent {
    match batch(number, start) {
        event if event.json["kind"] == "xecm.task.assigned" && event.json["tenant"] == "acme" => {
            safety_form(number, start)
        }
        event => event,
    }
}

type Maker = fn(u64, Timestamp) -> SampleEvent;

const MAKERS: &[Maker] = &[
    workflow_exception,
    task_assigned,
    safety_form,
    document_published,
    workspace_approval,
    agreement_signed,
    artifact_deployed,
    order_update,
    noise,
    segment,
    other_tenant,
];

fn event(source: Source, kind: &str, number: u64, at: Timestamp, rest: Value) -> SampleEvent {
    let mut json = json!({
        "event_id": format!("{source}-{number:06}"),
        "source": source.as_str(),
        "tenant": "acme",
        "kind": format!("{source}.{kind}"),
        "schema": 1,
        "occurred_at": at.to_string(),
        "severity": "medium",
    });
    if let (Some(json), Value::Object(rest)) = (json.as_object_mut(), rest) {
        json.extend(rest);
    }
    SampleEvent { source, json }
}

fn entity(kind: &str, number: u64, name: &str) -> Value {
    json!({
        "type": kind,
        "id": number.to_string(),
        "version": "1",
        "name": name,
        "url": format!("https://ecm.acme.example/{kind}/{number}"),
    })
}

fn workflow_exception(number: u64, at: Timestamp) -> SampleEvent {
    event(
        Source::XConnector,
        "workflow.exception",
        number,
        at,
        json!({
            "entity": entity("workflow", number, &format!("Order intake {number}")),
            "severity": "high",
            "flow_id": "order-intake", "flow_name": "Order intake", "execution_id": format!("run-{number}"),
            "data": { "step": "Credit check", "assignees": ["mara.weber"] },
        }),
    )
}

fn task_assigned(number: u64, at: Timestamp) -> SampleEvent {
    let name = format!("Supply contract {}", 4_700 + number);
    event(
        Source::Xecm,
        "task.assigned",
        number,
        at,
        json!({
            "entity": entity("task", number, &name),
            "due_at": (at + Span::from_secs(3 * 86_400)).to_string(),
            "action": { "ref": format!("wf-{number}"), "options": ["approve", "reject", "acknowledge", "request_info"] },
            "node": { "id": number.to_string(), "name": name },
            "url": format!("https://ecm.acme.example/task/{number}"),
            "data": {
                "process_id": number.to_string(), "subprocess_id": number.to_string(), "task_id": "1",
                "task_name": "Approve", "wf_name": "Contract approval",
                "assignees": [{ "user_id": "jonas.klein" }], "initiator": "sofia.rossi",
            },
        }),
    )
}

fn safety_form(number: u64, at: Timestamp) -> SampleEvent {
    let name = format!("Safety form: crane {}", number % 7);
    event(
        Source::Xecm,
        "document.available",
        number,
        at,
        json!({
            "entity": entity("document", number, &name),
            "severity": "high",
            "node": { "id": number.to_string(), "name": name },
            "url": format!("https://ecm.acme.example/document/{number}"),
            "data": { "doc_kind": "safety", "site": "Hamburg Harbour" },
        }),
    )
}

fn document_published(number: u64, at: Timestamp) -> SampleEvent {
    let name = format!("Price list {}", number % 9);
    event(
        Source::Xecm,
        "document.published",
        number,
        at,
        json!({
            "entity": entity("document", number, &name),
            "node": { "id": number.to_string(), "name": name },
            "url": format!("https://ecm.acme.example/document/{number}"),
            "data": { "external_party": "northwind", "doc_kind": "price list" },
        }),
    )
}

fn workspace_approval(number: u64, at: Timestamp) -> SampleEvent {
    event(
        Source::Bws,
        "task.assigned",
        number,
        at,
        json!({
            "entity": entity("task", number, "Budget release"),
            "due_at": (at + Span::from_secs(2 * 86_400)).to_string(),
            "action": { "ref": format!("bws-{number}"), "options": ["approve", "reject", "request_info"] },
            "workspace": { "id": (number % 5).to_string(), "name": format!("Project Pier {}", number % 5) },
            "url": format!("https://ecm.acme.example/workspace/{}", number % 5),
            "data": {
                "process_id": number.to_string(), "subprocess_id": number.to_string(), "task_id": "2",
                "task_name": "Release the budget", "assignees": [{ "user_id": "mara.weber" }],
                "initiator": "tom.berger",
            },
        }),
    )
}

fn agreement_signed(number: u64, at: Timestamp) -> SampleEvent {
    let class = ["signed_agreement", "incident_report", "regulatory_notice"]
        [usize::try_from(number).unwrap_or(0) % 3];
    event(
        Source::Bws,
        "content.critical_added",
        number,
        at,
        json!({
            "entity": entity("document", number, &format!("Agreement {number}")),
            "severity": "critical",
            "workspace": { "id": "7", "name": "Northwind framework contract" },
            "item": { "node_id": number.to_string(), "name": format!("Agreement {number}.pdf") },
            "url": format!("https://ecm.acme.example/document/{number}"),
            "data": { "class": class },
        }),
    )
}

fn artifact_deployed(number: u64, at: Timestamp) -> SampleEvent {
    let environment = ["prod", "test"][usize::try_from(number).unwrap_or(0) % 2];
    event(
        Source::DevAdmin,
        "artifact.changed",
        number,
        at,
        json!({
            "entity": entity("api", number % 12, "Orders API"),
            "actor": { "user_id": "ben.koch", "name": "Ben Koch" },
            "organization_id": "acme-eu", "tenant_id": "acme", "environment": environment, "app_id": "orders",
            "data": {
                "artifact": { "type": "api", "id": "orders-api", "version": format!("2.{number}"), "name": "Orders API" },
                "change": "deployed",
            },
        }),
    )
}

fn order_update(number: u64, at: Timestamp) -> SampleEvent {
    event(
        Source::DevAdmin,
        "business.event",
        number,
        at,
        json!({
            "entity": entity("order", number, &format!("Order {number}")),
            "audience": { "external_party": "northwind" },
            "organization_id": "acme-eu", "tenant_id": "acme", "environment": "prod", "app_id": "orders",
            "data": { "topic": "order", "document_id": format!("PO-{number}"), "state": "shipped", "partner": "northwind" },
        }),
    )
}

/// A kind whose rules only arm timers or wait for other events: nobody is told at once.
fn noise(number: u64, at: Timestamp) -> SampleEvent {
    event(
        Source::DevAdmin,
        "queue.recovered",
        number,
        at,
        json!({
            "entity": entity("queue", number % 3, "Outbound queue"),
            "organization_id": "acme-eu", "tenant_id": "acme", "environment": "prod", "app_id": "queue",
            "data": { "queue": "outbound", "depth": 3, "threshold": 500 },
        }),
    )
}

/// An event with its own audience: one role in one business unit at one place.
fn segment(number: u64, at: Timestamp) -> SampleEvent {
    let audience =
        json!({ "roles": ["field-service"], "locations": ["Hamburg"], "business_units": ["Operations"] });
    let name = format!("Berth plan {number}");
    addressed(number, at, (&name, "Plan published", audience))
}

/// A step of a process that says itself whom it is for.
fn addressed(number: u64, at: Timestamp, step: (&str, &str, Value)) -> SampleEvent {
    let (name, step, audience) = step;
    event(
        Source::XConnector,
        "process.step",
        number,
        at,
        json!({
            "entity": entity("process", number, name),
            "audience": audience,
            "flow_id": "harbour", "flow_name": "Harbour office", "execution_id": format!("run-{number}"),
            "data": {
                "process_id": number.to_string(), "step_no": 1, "step_name": step, "state": "running",
                "stakeholders": [],
            },
        }),
    )
}

/// A task in another tenant: its people hear it, acme's never do.
fn other_tenant(number: u64, at: Timestamp) -> SampleEvent {
    let mut other = task_assigned(number, at);
    if let Some(json) = other.json.as_object_mut() {
        json.insert("tenant".to_owned(), json!("globex"));
        json["data"]["assignees"] = json!([{ "user_id": "jonas.klein@globex" }]);
    }
    other
}

/// One event for the whole crowd.
fn crowd(at: Timestamp) -> SampleEvent {
    let mut warning = workflow_exception(900_001, at);
    if let Some(json) = warning.json.as_object_mut() {
        json.insert("kind".to_owned(), json!("xconnector.workflow.milestone"));
        json.insert("flow_name".to_owned(), json!("Storm surge warning"));
        json["data"] = json!({ "step": "All sites: secure the cranes", "assignees": [] });
        let audience = json!({ "roles": [super::CROWD_ROLE], "business_units": ["Operations"] });
        json.insert("audience".to_owned(), audience);
    }
    warning
}

/// One event for a role that nobody holds.
fn nobody(at: Timestamp) -> SampleEvent {
    let audience = json!({ "roles": ["lighthouse-keeper"] });
    addressed(900_002, at, ("Lighthouse inspection", "Inspection due", audience))
}
