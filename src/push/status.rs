//! Status: what cloud messaging says became of a job, to the status call and to the webhook alike.
//!
//! Its texts come in base64. Of a person's devices each may have its own delivery; a person has no device any more
//! only where every one of them says so.

use std::collections::BTreeMap;

use base64_simd::STANDARD;
use serde::Deserialize;

use crate::event::job::{Delivery, JobStatus, State};
use crate::event::receipt::Mark;

/// The most bytes of a status: of 500 destinations, each with several devices.
pub const MOST_STATUS_BYTES: usize = 4 * 1024 * 1024;
/// The longest code that is kept.
const MOST_CODE: usize = 64;

#[derive(Deserialize)]
struct Told {
    job_id: String,
    #[serde(default)]
    job_state: Vec<String>,
    #[serde(default)]
    customer_reference_base64: String,
    #[serde(default)]
    deliveries: Vec<ToldDelivery>,
}

#[derive(Deserialize)]
struct ToldDelivery {
    #[serde(default)]
    ref_base64: String,
    #[serde(default)]
    push: String,
    #[serde(default)]
    delivery_attempts: Vec<Attempt>,
    #[serde(default)]
    events: Events,
}

#[derive(Deserialize)]
struct Attempt {
    #[serde(default)]
    state: String,
}

#[derive(Default, Deserialize)]
struct Events {
    #[serde(default)]
    push_delivery_events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    status: String,
    #[serde(default)]
    message: String,
}

/// Reads a status; `None` when it is none.
#[must_use]
pub fn read(body: &[u8]) -> Option<JobStatus> {
    let told: Told = serde_json::from_slice(body).ok().filter(|told: &Told| !told.job_id.is_empty())?;
    let mut pushes: BTreeMap<String, Delivery> = BTreeMap::new();
    for delivery in &told.deliveries {
        let (reference, user_id) = (text(&delivery.ref_base64)?, delivery.push.strip_prefix("user:")?);
        let state = delivery.state();
        let push = pushes.entry(reference.clone()).or_insert_with(|| Delivery {
            user_id: user_id.to_owned(),
            reference,
            state: state.clone(),
        });
        if state > push.state || (!is_gone(&state) && is_gone(&push.state)) {
            push.state = state;
        }
    }
    Some(JobStatus {
        reference: text(&told.customer_reference_base64)?,
        is_complete: told.job_state.iter().any(|state| state == "Complete"),
        job_id: told.job_id,
        pushes: pushes.into_values().collect(),
    })
}

const fn is_gone(state: &State) -> bool {
    matches!(state, State::Ended(Mark::NoDevice, _))
}

fn text(base64: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode_to_vec(base64).ok()?).ok()
}

// === impl ToldDelivery ===

impl ToldDelivery {
    fn state(&self) -> State {
        let events = &self.events.push_delivery_events;
        if events.iter().any(|event| event.status == "Confirmed") {
            return State::Delivered;
        }
        let code =
            || events.iter().rev().map(|event| event.message.trim()).find(|message| !message.is_empty());
        let code = || -> String {
            code().unwrap_or_default().chars().filter(|c| !c.is_control()).take(MOST_CODE).collect()
        };
        match self.delivery_attempts.last().map(|attempt| attempt.state.as_str()) {
            Some("Sent") => State::Sent,
            Some("Error") => {
                let code = code();
                // What Firebase says of a token, and what Apple does.
                let gone = matches!(code.as_str(), "UNREGISTERED" | "Unregistered" | "410");
                State::Ended(if gone { Mark::NoDevice } else { Mark::Failed }, code)
            }
            Some("Cancelled") => State::Ended(Mark::Failed, "CANCELLED".to_owned()),
            Some("Expired") => State::Ended(Mark::Expired, code()),
            _ => State::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn delivery(reference: &str, state: &str, events: &[(&str, &str)]) -> Value {
        let events = events.iter().map(|(status, message)| json!({ "status": status, "message": message }));
        json!({
            "ref_base64": STANDARD.encode_to_string(reference),
            "push": "user:amy@Members",
            "delivery_attempts": [{ "state": state }],
            "events": { "push_delivery_events": events.collect::<Vec<_>>() },
        })
    }

    fn states(deliveries: &[Value]) -> Vec<(String, State)> {
        let reference = STANDARD.encode_to_string("acme/ec-1");
        let body = json!({
            "job_id": "otp-1", "job_state": ["Complete", "Posted"], "customer_reference_base64": reference,
            "deliveries": deliveries,
        });
        let status = read(body.to_string().as_bytes()).unwrap();
        assert_eq!((status.reference.as_str(), status.is_complete), ("acme/ec-1", true));
        status.pushes.into_iter().map(|push| (push.reference, push.state)).collect()
    }

    #[test]
    fn every_state_of_a_delivery_means_something() {
        let told = states(&[
            delivery("d-1", "Sent", &[("Confirmed", "")]),
            delivery("d-2", "Sent", &[]),
            delivery("d-3", "InProcess", &[]),
            delivery("d-4", "Error", &[("Error", "INTERNAL")]),
            delivery("d-5", "Error", &[("Error", "UNREGISTERED")]),
            delivery("d-6", "Expired", &[]),
            delivery("d-7", "Cancelled", &[]),
        ]);
        let ended = |mark, code: &str| State::Ended(mark, code.to_owned());
        let expected = [
            State::Delivered,
            State::Sent,
            State::Open,
            ended(Mark::Failed, "INTERNAL"),
            ended(Mark::NoDevice, "UNREGISTERED"),
            ended(Mark::Expired, ""),
            ended(Mark::Failed, "CANCELLED"),
        ];
        assert_eq!(told.into_iter().map(|(_, state)| state).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_person_has_no_device_only_where_each_of_them_is_gone() {
        let gone = |reference| delivery(reference, "Error", &[("Error", "UNREGISTERED")]);
        let told = states(&[
            gone("d-1"),
            gone("d-1"),
            gone("d-2"),
            delivery("d-2", "Error", &[("Error", "INTERNAL")]),
            gone("d-3"),
            delivery("d-3", "Sent", &[("Confirmed", "")]),
        ]);
        let marks: Vec<_> = told.into_iter().map(|(_, state)| state).collect();
        assert!(is_gone(&marks[0]) && !is_gone(&marks[1]), "{marks:?}");
        assert_eq!(marks[2], State::Delivered);
    }

    #[test]
    fn what_is_no_status_is_none() {
        for body in ["", "<html>", r#"{"job_id":""}"#, r#"{"deliveries":[]}"#] {
            assert_eq!(read(body.as_bytes()), None, "{body}");
        }
        let bad = r#"{"job_id":"otp-1","deliveries":[{"ref_base64":"%%","push":"user:amy"}]}"#;
        assert_eq!(read(bad.as_bytes()), None, "half a status says nothing");
    }
}
