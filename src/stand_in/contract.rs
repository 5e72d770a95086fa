//! Contract: what a submit must look like, read in place and refused with the field at fault.
//!
//! The limits are those of `push`; what a real service was not seen to check is not checked here.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64_simd::STANDARD;
use serde::Deserialize;
use smallvec::SmallVec;

use super::text::{Insert, Length, Text};
use crate::event::push::MOST_MEMBERS;
use crate::push::category::CATEGORIES;
use crate::push::mra::{MOST_TTL_SECONDS, reserved};

const MOST_TITLE_CHARS: usize = 120;
const MOST_SUMMARY_CHARS: usize = 240;
const MOST_COLLAPSE_BYTES: usize = 64;
const MOST_MESSAGE_ID_CHARS: usize = 80;
const MOST_PAYLOAD_BYTES: usize = 4_096;
const MOST_TOPIC_PAYLOAD_BYTES: usize = 2_048;
const PRIORITIES: [&str; 4] = ["low", "normal", "high", "critical"];
const PREFIXES: [&str; 4] = ["user:", "client:", "group:", "topic:"];

/// What is said of an address that is refused for a test's sake.
pub(super) const POISONED: &str = "this address makes the gateway fail";

/// Why a submit is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: Cow<'static, str>,
    pub(super) message: String,
    pub(super) field: String,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    domain: Cow<'a, str>,
    #[serde(borrow)]
    data: Cow<'a, str>,
}

/// A submit, as it was written.
#[derive(Deserialize)]
pub(super) struct Submit<'a> {
    #[serde(default)]
    pub(super) options: Choices,
    pub(super) push_message: Message,
    #[serde(borrow)]
    pub(super) destinations: Vec<Destination<'a>>,
    /// Of a transport without ids: what makes a repeat the same, so that it replaces itself on the device.
    #[serde(skip)]
    pub(super) same: Option<u128>,
}

#[derive(Deserialize, Default)]
pub(super) struct Choices {
    pub(super) message_id: Option<String>,
    #[serde(default)]
    pub(super) customer_reference: String,
    #[serde(default)]
    pub(super) billing_code: String,
}

#[derive(Deserialize, Default)]
pub(super) struct Message {
    #[serde(default)]
    pub(super) title: String,
    #[serde(default)]
    pub(super) summary: String,
    #[serde(default)]
    pub(super) target: String,
    pub(super) collapse_key: Option<String>,
    ttl_seconds: Option<i64>,
    pub(super) priority: Option<String>,
    pub(super) category: Option<String>,
    #[serde(default)]
    pub(super) data: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub(super) struct Destination<'a> {
    #[serde(borrow, rename = "ref")]
    pub(super) reference: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) push: Cow<'a, str>,
    /// A handful: held in place, for there are millions of destinations.
    #[serde(borrow, default)]
    pub(super) inserts: SmallVec<[Insert<'a>; 6]>,
}

/// A message's texts, cut at their inserts.
pub(super) struct Texts {
    pub(super) title: Text,
    pub(super) summary: Text,
    pub(super) collapse_key: Option<Text>,
    pub(super) data: Vec<(String, Text)>,
    /// What the payload weighs beside the texts.
    fixed: usize,
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn new(status: u16, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), field: String::new() }
    }

    fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status: 400, code: "INVALID_REQUEST".into(), message: message.into(), field: field.into() }
    }
}

/// The JSON document inside a request's envelope.
pub(super) fn open(body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let envelope: Envelope<'_> =
        serde_json::from_slice(body).map_err(|error| Refusal::invalid("", format!("the body: {error}")))?;
    if envelope.domain != "MR" {
        return Err(Refusal::invalid("domain", "the domain of a push is MR"));
    }
    STANDARD
        .decode_to_vec(envelope.data.as_bytes())
        .map_err(|error| Refusal::invalid("data", error.to_string()))
}

/// The submit in the document, with its texts cut; every destination is checked.
pub(super) fn read<'a>(inner: &'a [u8], poison: &[String]) -> Result<(Submit<'a>, Texts), Refusal> {
    let submit: Submit<'_> =
        serde_json::from_slice(inner).map_err(|error| Refusal::invalid("data", error.to_string()))?;
    check_message(&submit)?;
    let texts = Texts::of(&submit.push_message);
    for (at, destination) in submit.destinations.iter().enumerate() {
        check_destination(destination, &texts, poison)
            .map_err(|(part, message)| Refusal::invalid(format!("destinations[{at}].{part}"), message))?;
    }
    Ok((submit, texts))
}

/// A submit of which nobody gets anything.
pub(super) fn nothing<'a>(id: &str) -> (Submit<'a>, Texts) {
    let options = Choices { message_id: Some(id.to_owned()), ..Choices::default() };
    let texts = Texts::of(&Message::default());
    (Submit { options, push_message: Message::default(), destinations: Vec::new(), same: None }, texts)
}

fn check_message(submit: &Submit<'_>) -> Result<(), Refusal> {
    let message = &submit.push_message;
    if let Some(id) = &submit.options.message_id
        && !(1..=MOST_MESSAGE_ID_CHARS).contains(&id.chars().count())
    {
        let most = format!("a message id has 1 to {MOST_MESSAGE_ID_CHARS} characters");
        return Err(Refusal::invalid("options.message_id", most));
    }
    if message.title.is_empty() && message.summary.is_empty() && message.data.is_empty() {
        return Err(Refusal::invalid("push_message", "a push needs a title, a summary or data"));
    }
    if let Some(key) = message.data.keys().find(|key| reserved(key)) {
        return Err(Refusal::invalid(format!("push_message.data.{key}"), "this key is reserved"));
    }
    if message.ttl_seconds.is_some_and(|ttl| !(0..=i64::from(MOST_TTL_SECONDS)).contains(&ttl)) {
        let most = format!("the time to live is 0 to {MOST_TTL_SECONDS} seconds");
        return Err(Refusal::invalid("push_message.ttl_seconds", most));
    }
    if message.priority.as_deref().is_some_and(|priority| !PRIORITIES.contains(&priority)) {
        return Err(Refusal::invalid("push_message.priority", "no such priority"));
    }
    let known = |category: &str| CATEGORIES.iter().any(|(name, _)| *name == category);
    if message.category.as_deref().is_some_and(|category| !known(category)) {
        return Err(Refusal::invalid("push_message.category", "no such category is registered"));
    }
    match submit.destinations.len() {
        0 => Err(Refusal::invalid("destinations", "there is no destination")),
        count if count > MOST_MEMBERS => {
            Err(Refusal::invalid("destinations", format!("{count} destinations, of {MOST_MEMBERS} allowed")))
        }
        _ => Ok(()),
    }
}

/// What is wrong with a destination: which of its fields, and why.
fn check_destination(
    destination: &Destination<'_>,
    texts: &Texts,
    poison: &[String],
) -> Result<(), (&'static str, String)> {
    let push = destination.push.as_ref();
    if PREFIXES.iter().all(|prefix| push.strip_prefix(prefix).is_none_or(str::is_empty)) {
        return Err(("push", "an address is user:, client:, group: or topic: and a name".to_owned()));
    }
    if poison.iter().any(|address| address == push) {
        return Err(("push", POISONED.to_owned()));
    }
    if !(1..=MOST_MESSAGE_ID_CHARS).contains(&destination.reference.len()) {
        return Err(("ref", format!("a reference has 1 to {MOST_MESSAGE_ID_CHARS} characters")));
    }
    let fault = |id: u32| ("inserts", format!("the message uses {{{{{id}}}}}, and there is no such insert"));
    let measure = |text: &Text| text.measure(&destination.inserts).map_err(fault);
    let (title, summary) = (measure(&texts.title)?, measure(&texts.summary)?);
    let key = texts.collapse_key.as_ref().map_or(Ok(Length::default()), measure)?;
    let mut payload = texts.fixed + title.bytes + summary.bytes + key.bytes;
    for (_, value) in &texts.data {
        payload += measure(value)?.bytes;
    }
    let most = if push.starts_with("topic:") { MOST_TOPIC_PAYLOAD_BYTES } else { MOST_PAYLOAD_BYTES };
    for (what, length, most) in [
        ("title has {} characters", title.chars, MOST_TITLE_CHARS),
        ("summary has {} characters", summary.chars, MOST_SUMMARY_CHARS),
        ("collapse key has {} bytes", key.bytes, MOST_COLLAPSE_BYTES),
        ("payload has {} bytes", payload, most),
    ] {
        if length > most {
            let what = what.replace("{}", &length.to_string());
            return Err(("inserts", format!("with its inserts the {what}, of {most} allowed")));
        }
    }
    Ok(())
}

// === impl Texts ===

impl Texts {
    fn of(message: &Message) -> Self {
        let weight = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        Self {
            title: Text::read(&message.title),
            summary: Text::read(&message.summary),
            collapse_key: message.collapse_key.as_deref().map(Text::read),
            data: message.data.iter().map(|(key, value)| (key.clone(), Text::read(value))).collect(),
            fixed: message.target.len()
                + weight(&message.category)
                + message.data.keys().map(String::len).sum::<usize>(),
        }
    }

    /// One of the data values.
    pub(super) fn value(&self, key: &str) -> Option<&Text> {
        self.data.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The field and message of the refusal, for a submit with this message and these destinations.
    fn refused(message: &str, destinations: &str) -> String {
        let inner = format!(
            r#"{{"options":{{"message_id":"b-1"}},"push_message":{message},"destinations":{destinations}}}"#
        );
        match read(inner.as_bytes(), &["user:poison".to_owned()]) {
            Ok(_) => "fine".to_owned(),
            Err(refusal) => format!("{}: {}", refusal.field, refusal.message),
        }
    }

    const TITLE: &str = r#"{"title":"Hello {{1}}"}"#;

    fn to(push: &str, insert: &str) -> String {
        format!(r#"[{{"ref":"d-1","push":"{push}","inserts":[{{"id":1,"value":"{insert}"}}]}}]"#)
    }

    #[test]
    fn a_message_is_checked_field_by_field() {
        let message = |message| refused(message, &to("user:amy", "x"));
        assert_eq!(message(TITLE), "fine");
        assert_eq!(message("{}"), "push_message: a push needs a title, a summary or data");
        assert_eq!(message(r#"{"data":{"from":"x"}}"#), "push_message.data.from: this key is reserved");
        assert_eq!(
            message(r#"{"data":{"google.x":"x"}}"#),
            "push_message.data.google.x: this key is reserved"
        );
        assert_eq!(
            message(r#"{"title":"x","ttl_seconds":2419201}"#),
            "push_message.ttl_seconds: the time to live is 0 to 2419200 seconds"
        );
        assert_eq!(
            message(r#"{"title":"x","category":"yes_no"}"#),
            "push_message.category: no such category is registered"
        );
        assert_eq!(message(r#"{"title":"x","priority":"now"}"#), "push_message.priority: no such priority");
        assert!(message(r#"{"title":"x","data":{"n":1}}"#).starts_with("data: invalid type"));
    }

    #[test]
    fn the_destination_at_fault_is_named() {
        let destinations = |destinations: &str| refused(TITLE, destinations);
        assert_eq!(destinations("[]"), "destinations: there is no destination");
        let fault = "destinations[0].push: an address is user:, client:, group: or topic: and a name";
        for push in ["amy", "user:", "mail:amy", ""] {
            assert_eq!(destinations(&to(push, "x")), fault, "{push}");
        }
        let two = r#"[{"ref":"a","push":"user:a","inserts":[{"id":1,"value":"x"}]},{"ref":"b","push":"user:poison"}]"#;
        assert_eq!(destinations(two), "destinations[1].push: this address makes the gateway fail");
        assert_eq!(
            destinations(r#"[{"ref":"a","push":"user:a"}]"#),
            "destinations[0].inserts: the message uses {{1}}, and there is no such insert"
        );
        let many = format!("[{}]", vec![r#"{"ref":"a","push":"user:a"}"#; 501].join(","));
        assert_eq!(destinations(&many), "destinations: 501 destinations, of 500 allowed");
    }

    #[test]
    fn lengths_count_once_the_inserts_are_filled() {
        let long = |count| "ä".repeat(count);
        assert_eq!(refused(TITLE, &to("user:amy", &long(114))), "fine");
        assert_eq!(
            refused(TITLE, &to("user:amy", &long(115))),
            "destinations[0].inserts: with its inserts the title has 121 characters, of 120 allowed"
        );
        let key = r#"{"title":"x","collapse_key":"{{1}}"}"#;
        assert_eq!(
            refused(key, &to("user:amy", &long(33))),
            "destinations[0].inserts: with its inserts the collapse key has 66 bytes, of 64 allowed"
        );
        let data = r#"{"data":{"k":"{{1}}"}}"#;
        assert_eq!(refused(data, &to("user:amy", &"x".repeat(4_095))), "fine");
        assert_eq!(
            refused(data, &to("topic:news", &"x".repeat(2_048))),
            "destinations[0].inserts: with its inserts the payload has 2049 bytes, of 2048 allowed"
        );
    }

    #[test]
    fn an_envelope_that_cannot_be_opened_is_refused() {
        let refused = |body: &str| open(body.as_bytes()).unwrap_err().field;
        assert_eq!(refused("not json"), "");
        assert_eq!(refused(r#"{"domain":"XX","data":""}"#), "domain");
        assert_eq!(refused(r#"{"domain":"MR","data":"%%%"}"#), "data");
        assert_eq!(open(br#"{"domain":"MR","filename":"f","data":"e30="}"#).unwrap(), b"{}");
    }
}
