//! The schemas in `schemas/`: what everybody who publishes, writes rules or reads fields relies on.

use bugle::codec::{Name, Schemas};
use bugle::event::{FieldType, Relation, Source};

const KINDS: &[(&str, &[&str])] = &[
    (
        "xconnector",
        &[
            "workflow.milestone",
            "workflow.exception",
            "workflow.approval_pending",
            "workflow.task_assigned",
            "workflow.case_escalated",
            "record.status_changed",
            "integration.failed",
            "integration.validation_failed",
            "integration.data_missing",
            "integration.recovered",
            "customer.event",
            "action.pending",
            "action.closed",
            "process.step",
        ],
    ),
    (
        "xecm",
        &[
            "task.assigned",
            "task.reassigned",
            "task.completed",
            "task.late",
            "task.cancelled",
            "document.stage_changed",
            "document.available",
            "document.published",
            "record.expiring",
            "record.renewed",
            "governance.exception",
        ],
    ),
    (
        "bws",
        &[
            "item.added",
            "task.assigned",
            "task.reassigned",
            "task.completed",
            "task.late",
            "task.cancelled",
            "workspace.status_changed",
            "completeness.missing",
            "completeness.resolved",
            "case.high_priority",
            "deadline.set",
            "deadline.moved",
            "deadline.met",
            "action.completed",
            "content.critical_added",
        ],
    ),
    (
        "devadmin",
        &[
            "artifact.changed",
            "flow.failed",
            "flow.retry_exhausted",
            "flow.credential_error",
            "flow.recovered",
            "change.requested",
            "change.decided",
            "business.event",
            "credential.expiring",
            "credential.rotated",
            "queue.backlog",
            "queue.sla_breached",
            "queue.recovered",
            "workitem.raised",
            "workitem.updated",
        ],
    ),
];

#[test]
fn every_kind_of_every_source_has_a_shape() {
    let schemas = Schemas::built_in();
    for (source, kinds) in KINDS {
        let wanted: Vec<_> = kinds.iter().map(|kind| format!("{source}.{kind}")).collect();
        let source: Source = source.parse().unwrap();
        assert_eq!(schemas.kinds(source).collect::<Vec<_>>(), wanted);
    }
}

#[test]
fn every_field_and_every_path_is_documented_and_stands_once() {
    let schemas = Schemas::built_in();
    for source in Source::ALL {
        for shape in schemas.shapes(source) {
            for (field, slot) in shape.fields.iter().zip(0u16..) {
                assert_eq!(shape.slot(&field.path), Some(slot), "{}: {}", shape.data, field.path);
                assert!(!field.doc.is_empty(), "{}: {}", shape.data, field.path);
                assert!(!matches!(field.ty, FieldType::Text) || field.default.is_none() || field.optional);
            }
        }
    }
}

#[test]
fn the_people_a_rule_can_name_are_marked_in_the_schema() {
    let schemas = Schemas::built_in();
    let related = |kind: &str, relation| {
        let shape = schemas.shape(kind).unwrap();
        shape.related(relation).map(|slot| shape.fields[usize::from(slot)].path.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(related("xecm.task.assigned", Relation::Assignees), ["assignees"]);
    assert_eq!(related("xecm.task.assigned", Relation::Requester), ["initiator"]);
    assert_eq!(related("xecm.task.assigned", Relation::Supervisor), ["manager"]);
    assert_eq!(related("xecm.task.assigned", Relation::Backup), ["backup"]);
    assert_eq!(related("bws.completeness.missing", Relation::Owner), ["workspace.owner_user_id", "steward"]);
    assert_eq!(related("xconnector.record.status_changed", Relation::Followers), ["followers"]);
    assert_eq!(related("xconnector.process.step", Relation::Followers), ["stakeholders"]);
    assert_eq!(related("devadmin.change.requested", Relation::Requester), ["requester"]);
}

#[test]
fn a_folder_overrides_what_is_built_in_and_a_fault_names_its_file() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Schemas::load(folder.path()).is_ok(), "what is not there is built in");
    let text = Schemas::built_in()
        .text(Name::Events(Source::Xecm))
        .replace("\"name\": \"tenant\"", "\"name\": \"client\"");
    std::fs::write(folder.path().join("xecm.avsc"), text).unwrap();
    let fault = Schemas::load(folder.path()).unwrap_err().to_string();
    assert!(
        fault.ends_with("xecm.avsc`: the envelope is out of order: `client` stands where `tenant` belongs"),
        "{fault}"
    );
}
