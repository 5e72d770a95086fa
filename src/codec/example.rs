//! Example: one plausible event of a kind, for a given hour the same every time, to edit and to publish.

use serde_json::{Map, Value as Json, json};

use super::schemas::{Name, Schemas};
use super::show::place;
use crate::event::{Field, FieldType, Source, Span, Timestamp};

/// What a field holds in an example, by its path or the last word of it.
const VALUES: &[(&str, &str)] = &[
    ("event_id", "evt-1001"),
    ("tenant", "acme"),
    ("entity.type", "document"),
    ("entity.id", "4711"),
    ("entity.version", "3"),
    ("entity.name", "Supply agreement Weber GmbH"),
    ("entity.url", "https://content.example.com/app/nodes/4711"),
    ("correlation_id", "115295"),
    ("actor.user_id", "ada"),
    ("actor.name", "Ada Weber"),
    ("action.ref", "115295-115295-1"),
    ("flow_id", "order-to-erp"),
    ("flow_name", "Orders to ERP"),
    ("execution_id", "run-2071"),
    ("source_system", "CRM"),
    ("target_system", "ERP"),
    ("record.type", "order"),
    ("record.id", "SO-88120"),
    ("record.name", "Order SO-88120"),
    ("process_id", "115295"),
    ("subprocess_id", "115295"),
    ("task_id", "1"),
    ("task_name", "Approve supply agreement"),
    ("wf_name", "Contract approval"),
    ("instructions", "Check the payment terms."),
    ("initiator", "ada"),
    ("requester", "ada"),
    ("manager", "carl"),
    ("supervisor", "carl"),
    ("case_manager", "carl"),
    ("backup", "dora"),
    ("owner", "carl"),
    ("steward", "carl"),
    ("workspace.owner_user_id", "carl"),
    ("account_manager", "carl"),
    ("assignee", "ben"),
    ("completed_by", "ben"),
    ("audit.user_id", "ben"),
    ("login", "ben"),
    ("user_id", "ben"),
    ("node.id", "4711"),
    ("node.name", "Supply agreement Weber GmbH.pdf"),
    ("node.type", "document"),
    ("node.mime_type", "application/pdf"),
    ("node.version", "3"),
    ("node.parent_id", "4700"),
    ("url", "https://content.example.com/app/nodes/4711"),
    ("stage_from", "draft"),
    ("stage_to", "review"),
    ("status_from", "pending"),
    ("status_to", "approved"),
    ("doc_class", "contract"),
    ("doc_kind", "specification"),
    ("site", "Hamburg Harbour"),
    ("external_party", "weber"),
    ("customer_id", "weber"),
    ("partner", "weber"),
    ("channel", "web"),
    ("record_class", "contracts"),
    ("detail", "Read access to a confidential folder was refused."),
    ("audit.event_type", "access denied"),
    ("workspace.id", "20814"),
    ("workspace.name", "Weber GmbH"),
    ("workspace.type_id", "31"),
    ("workspace.type_name", "Customer"),
    ("workspace.business_object.system", "SAP"),
    ("workspace.business_object.type", "KNA1"),
    ("workspace.business_object.id", "100042"),
    ("item.node_id", "4711"),
    ("item.name", "Supply agreement Weber GmbH.pdf"),
    ("item.type", "document"),
    ("item_class", "contract"),
    ("category_attr", "20100_3"),
    ("priority", "urgent"),
    ("milestone", "Renewal of the supply agreement"),
    ("followup_id", "77"),
    ("action_name", "review"),
    ("action_id", "act-31"),
    ("title", "Approve the supply agreement"),
    ("step", "credit check"),
    ("step_name", "credit check"),
    ("process_name", "Customer onboarding"),
    ("department", "sales"),
    ("next_department", "finance"),
    ("phase", "delivery"),
    ("state", "shipped"),
    ("currency", "EUR"),
    ("transaction_id", "tx-90017"),
    ("error.code", "ERP-503"),
    ("error.message", "The target system did not answer."),
    ("organization_id", "org-1"),
    ("tenant_id", "t-100"),
    ("app_id", "partner-portal"),
    ("app_name", "Partner portal"),
    ("artifact.id", "orders-api"),
    ("artifact.version", "2.4.0"),
    ("artifact.name", "Orders API"),
    ("credential.id", "cert-9"),
    ("credential.name", "partner.example.com"),
    ("credential_id", "cert-9"),
    ("request_id", "chg-204"),
    ("document_id", "INV-5521"),
    ("queue", "orders-out"),
    ("work_item.id", "inc-310"),
    ("work_item.state", "open"),
    ("work_item.etag", "7"),
    ("work_item.title", "Orders are not delivered"),
    ("group", "integration-support"),
];

/// What lists of texts hold.
const LISTS: &[(&str, &[&str])] = &[
    ("action.options", &["approve", "reject", "acknowledge", "request_info"]),
    ("actions", &["SendOn"]),
    ("custom_actions", &["Approve", "Reject"]),
    ("missing_fields", &["vat_id"]),
    ("missing_metadata", &["contract value"]),
    ("missing_documents", &["signed agreement"]),
    ("assignees", &["ben"]),
    ("responsible", &["ben"]),
    ("assigned", &["ben"]),
    ("approvers", &["ben"]),
    ("reviewers", &["ben"]),
    ("next_responsible", &["dora"]),
    ("administrators", &["carl"]),
    ("followers", &["ben", "dora"]),
    ("stakeholders", &["ben", "dora"]),
];

/// A day's seconds.
const DAY: i64 = 24 * 60 * 60;

/// Left out: what an event says only in special cases.
const LEFT_OUT: &[&str] = &[
    "audience.",
    "expires_at",
    "sla.breached_at",
    "geofence",
    "previous_on",
    "closed_by",
    "outcome",
    "decision",
];

/// A Monday, for whoever wants the same example every time.
pub const MONDAY: Timestamp = Timestamp::from_millis(1_767_603_600_000);

/// An event of `kind` that `bugle publish` takes, happening now and due in some days; `None` when there is
/// no such kind.
#[must_use]
pub fn event(schemas: &Schemas, kind: &str, now: Timestamp) -> Option<Json> {
    let shape = schemas.shape(kind)?;
    let above = schemas.reader(Name::Events(shape.source)).map_or(0, |reader| reader.fields.len());
    let mut event = Map::new();
    let mut data = Map::new();
    for (index, field) in shape.fields.iter().enumerate() {
        let value = match field.path.as_str() {
            "kind" => Some(json!(kind)),
            "source" => Some(json!(shape.source.as_str())),
            path if LEFT_OUT.iter().any(|left| path.starts_with(left)) => None,
            _ => value(field, shape.source, now),
        };
        if let Some(value) = value {
            place(if index < above { &mut event } else { &mut data }, &field.path, value);
        }
    }
    event.insert("data".to_owned(), Json::Object(data));
    Some(Json::Object(event))
}

fn value(field: &Field, source: Source, now: Timestamp) -> Option<Json> {
    let last = field.path.rsplit('.').next().unwrap_or_default();
    let named = |known: &str| known == field.path || known == last;
    Some(match &field.ty {
        FieldType::Bool => json!(false),
        FieldType::Int => json!(match last {
            "schema" | "escalation_level" | "attempt" => 1,
            "step_count" => 5,
            "depth" => 1_250,
            "threshold" => 1_000,
            "oldest_age_s" => 340,
            _ => 3,
        }),
        FieldType::Double => json!(12_500.0),
        FieldType::Text => {
            let exact = VALUES.iter().find(|(path, _)| *path == field.path);
            let found = exact.or_else(|| VALUES.iter().find(|(path, _)| named(path)));
            match found {
                Some((_, text)) => json!(text),
                None if field.optional => return None,
                None => json!(format!("{source}-{last}")),
            }
        }
        FieldType::Symbol(names) => json!(names.get(usize::from(last == "severity") * 2)?),
        FieldType::Time => {
            let after = Span::from_secs(match last {
                "occurred_at" => 0,
                "observed_at" => 1,
                "next_at" | "audit_date" => 5 * 60,
                _ => 4 * DAY,
            });
            json!((now + after).to_string())
        }
        FieldType::Date => {
            let day = (now + Span::from_secs(54 * DAY)).to_string();
            json!(day.split('T').next()?)
        }
        FieldType::Texts => json!(LISTS.iter().find(|(path, _)| named(path))?.1),
        FieldType::Records(fields) => {
            let item =
                fields.iter().filter_map(|field| Some((field.path.clone(), value(field, source, now)?)));
            json!([Json::Object(item.collect())])
        }
        FieldType::Map => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::codec::{Codec, json};
    use crate::event::frame::Format;

    #[test]
    fn the_example_of_every_kind_can_be_published_and_read_back() {
        let schemas = Arc::new(Schemas::built_in());
        let codec = Codec::new(Arc::clone(&schemas), None);
        for source in Source::ALL {
            for kind in schemas.kinds(source) {
                let example = event(&schemas, kind, MONDAY).unwrap();
                let written =
                    json::to_avro(&schemas, &example).unwrap_or_else(|fault| panic!("{kind}: {fault}"));
                assert_eq!(written.source, source);
                let value = written.framed(Name::Events(source).local_id());
                let change = codec.decode(source, Format::Avro, &[], &value).unwrap();
                assert_eq!(change.kind(), kind);
                let shown = json::of_change(&schemas, &change);
                let again = json::to_avro(&schemas, &shown).unwrap();
                assert_eq!(again, written, "{kind}");
            }
        }
    }

    #[test]
    fn an_unknown_kind_has_no_example() {
        assert_eq!(event(&Schemas::built_in(), "xecm.task.invented", MONDAY), None);
    }
}
