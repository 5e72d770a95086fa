//! Learn: the source systems have what an event speaks of, so that an answer about it finds its place.

use serde_json::{Value, json};

use super::{Followup, Systems, WorkItem};

/// What an event speaks of is there: a task, a work item, a reminder.
pub(in crate::stand_in) fn learn(systems: &mut Systems, event: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let data = &event["data"];
    match event["kind"].as_str() {
        Some(
            "xecm.task.assigned"
            | "xecm.task.reassigned"
            | "xecm.task.late"
            | "bws.task.assigned"
            | "bws.task.reassigned"
            | "bws.task.late",
        ) => {
            let assignees = data["assignees"].as_array().into_iter().flatten();
            let task = json!({
                "process_id": text(&data["process_id"]), "subprocess_id": text(&data["subprocess_id"]),
                "task_id": text(&data["task_id"]), "title": text(&event["entity"]["name"]),
                "assignees": assignees.map(|person| text(&person["user_id"])).collect::<Vec<_>>(),
                "initiator": text(&data["initiator"]), "step": text(&data["task_name"]),
                "is_group": data["group_task"] == true, "is_signed": data["signature_required"] == true,
                "status_key": data["status_key"].as_str().unwrap_or("s1"),
            });
            if let Ok(task) = serde_json::from_value(task) {
                systems.add_task(task);
            }
        }
        Some("devadmin.change.requested") => {
            let (id, title) = (text(&data["request_id"]), text(&data["title"]));
            let item = WorkItem { id: id.clone(), title, state: "open".to_owned(), ..WorkItem::default() };
            if !systems.items.contains_key(&id) {
                systems.came(id.clone());
                systems.items.insert(id, item);
            }
        }
        Some("devadmin.workitem.raised" | "devadmin.workitem.updated") => {
            if let Ok(mut item) = serde_json::from_value::<WorkItem>(data["work_item"].clone()) {
                item.title = text(&event["entity"]["name"]);
                if let Some(known) = systems.items.get_mut(&item.id) {
                    // What it has taken in stays.
                    (known.state, known.etag) = (item.state, item.etag);
                } else {
                    systems.came(item.id.clone());
                    systems.items.insert(item.id.clone(), item);
                }
            }
        }
        Some("bws.deadline.set" | "bws.deadline.moved") => {
            if let Some(id) = data["followup_id"].as_str() {
                let (id, node) = (id.to_owned(), text(&event["workspace"]["id"]));
                let place = (node.clone(), id.clone());
                systems.followups.entry(place).or_insert(Followup { id, node, status: 1 });
            }
        }
        _ => {}
    }
}
