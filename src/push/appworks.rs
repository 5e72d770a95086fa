//! AppWorks: a batch as the bytes of one `fcm-push` request to an AppWorks Gateway.
//!
//! The gateway takes one text for all its users, so a batch for it has one letter; where the push can be
//! answered it has one person, too, for a reply token is one person's. It knows no ids: what is sent twice
//! replaces itself on the device, by a collapse key that every push has.
//!
//! **Invariant:** equal batches make equal bytes, as on every transport.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::category::category;
use super::mra::MOST_TTL_SECONDS;
use super::outcome::Fault;
use super::reply_token::KeyRing;
use super::{Outcome, Unsendable};
use crate::event::push::fill;
use crate::event::{Batch, Letter, Priority, Template};

/// The header that holds the secret of gateway and app.
pub(super) const KEY_HEADER: &str = "otagappkey";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    broadcast: bool,
    client_ids: [&'a str; 0],
    users: Vec<&'a str>,
    otds_groups: [&'a str; 0],
    runtimes: [&'a str; 0],
    title: &'a str,
    summary: &'a str,
    data: Map<String, Value>,
    target_app_name: &'a str,
    collapse_key: String,
    apns_config: Value,
    android_config: Value,
}

/// The body of the request that submits `batch`.
///
/// # Errors
/// When the batch has more than one text, or the ring lacks its key.
pub fn encode(batch: &Batch<'_>, keys: &KeyRing) -> Result<Bytes, Unsendable> {
    let (head, template) = (batch.head, &batch.head.template);
    let ([letter], true) =
        (batch.letters.as_slice(), template.answers.is_empty() || batch.members.len() == 1)
    else {
        return Err(Unsendable::Mixed { message_id: head.message_id.clone() });
    };
    let filled = |text: &str| fill(text, &letter.inserts);
    let (title, summary) = (filled(&template.title), filled(&template.summary));
    let token = match batch.members.first().filter(|_| !template.answers.is_empty()) {
        Some(member) => Some(keys.token(head, letter, member.user_id)?),
        None => None,
    };
    let ttl = template.ttl_seconds.min(MOST_TTL_SECONDS);
    let expiration = head.cut_at.millis() / 1_000 + i64::from(ttl);
    let urgent = template.priority >= Priority::High;
    let mut data = Map::new();
    data.insert("target".to_owned(), template.target.as_str().into());
    data.insert("summary".to_owned(), summary.as_str().into());
    data.insert("created".to_owned(), head.cut_at.millis().into());
    data.insert(template.target.clone(), own(template, letter, token, keys));
    let request = Request {
        broadcast: false,
        client_ids: [],
        users: batch.members.iter().map(|member| member.user_id).collect(),
        otds_groups: [],
        runtimes: [],
        title: &title,
        summary: &summary,
        data,
        target_app_name: &template.target,
        collapse_key: template.collapse_key.as_deref().map_or_else(|| letter.notice.to_string(), filled),
        apns_config: serde_json::json!({
            "aps": { "category": category(&template.answers) },
            "headers": { "apns-expiration": expiration.to_string() },
        }),
        android_config: serde_json::json!({
            "priority": if urgent { "high" } else { "normal" },
            "ttl": format!("{ttl}s"),
        }),
    };
    Ok(serde_json::to_vec(&request).expect("a request has nothing JSON refuses").into())
}

/// What is the app's own in the data.
fn own(template: &Template, letter: &Letter<'_>, token: Option<String>, keys: &KeyRing) -> Value {
    let filled = |value: &str| Value::from(fill(value, &letter.inserts));
    let mut own: Map<String, Value> =
        template.data.iter().map(|(key, value)| (key.clone(), filled(value))).collect();
    own.insert("notification_id".to_owned(), letter.notice.to_string().into());
    if let Some(token) = token {
        let actions: Vec<&str> = template.answers.iter().map(|verb| verb.as_str()).collect();
        own.insert("actions".to_owned(), actions.into());
        if let Some(link) = keys.link(&token) {
            own.insert("answer_url".to_owned(), link.into());
        }
        own.insert("reply_token".to_owned(), token.into());
    }
    if let Some(end) = letter.expires_at {
        own.insert("expires_at".to_owned(), end.to_string().into());
    }
    own.into()
}

/// What a 2xx means: the gateway says nothing of its own in it, but a page for people is not the gateway's.
pub(super) fn taken(body: &[u8]) -> Outcome {
    if body.trim_ascii_start().starts_with(b"<") {
        Outcome::Unknown("answer-unreadable")
    } else {
        Outcome::Accepted(String::new())
    }
}

/// What the gateway says is wrong.
pub(super) fn fault(body: &[u8]) -> Fault {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Said {
        key: String,
        error_message: String,
    }
    let Said { key, error_message } = serde_json::from_slice(body).unwrap_or_default();
    Fault { code: key, message: error_message, field: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Parcel;
    use crate::event::push::example::{batch, head};
    use crate::push::mra::tests::ring;

    fn one(people: &[&str], answerable: bool) -> Parcel {
        let mut head = head();
        if !answerable {
            head.template.answers.clear();
        }
        let mut batch = batch(&head);
        batch.letters.truncate(1);
        batch.members = people.iter().map(|user_id| crate::event::Member { user_id, letter: 0 }).collect();
        batch.pack()
    }

    #[test]
    fn a_request_reads_back_as_the_contract_says() {
        let body = encode(&one(&["amy", "bob"], false).open(), &ring()).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap(), @r##"
        {
          "androidConfig": {
            "priority": "high",
            "ttl": "86400s"
          },
          "apnsConfig": {
            "aps": {
              "category": "none"
            },
            "headers": {
              "apns-expiration": "1767686400"
            }
          },
          "broadcast": false,
          "clientIds": [],
          "collapseKey": "xecm:task:115295",
          "data": {
            "created": 1767600000000,
            "otnotify": {
              "link": "https://cs.example/115295",
              "notification_id": "n-00000000000000000000000000000001",
              "source": "xecm"
            },
            "summary": "Draft v3 is waiting for you",
            "target": "otnotify"
          },
          "otdsGroups": [],
          "runtimes": [],
          "summary": "Draft v3 is waiting for you",
          "targetAppName": "otnotify",
          "title": "Approval needed: Contract 4711",
          "users": [
            "amy",
            "bob"
          ]
        }
        "##);
    }

    #[test]
    fn who_can_answer_gets_a_token_and_is_alone_in_the_request() {
        let body = encode(&one(&["amy"], true).open(), &ring()).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let own = &body["data"]["otnotify"];
        assert_eq!(own["actions"], serde_json::json!(["approve", "reject", "request_info"]));
        let claims = ring().verify(own["reply_token"].as_str().unwrap(), head().cut_at).unwrap();
        assert_eq!((claims.person.as_str(), claims.rule.as_str()), ("amy", "ec-1-review"));
        let mixed = Unsendable::Mixed { message_id: "b-5f0c".into() };
        assert_eq!(encode(&one(&["amy", "bob"], true).open(), &ring()), Err(mixed.clone()));
        let head = head();
        assert_eq!(encode(&batch(&head), &ring()), Err(mixed));
    }

    #[test]
    fn a_push_that_replaces_nothing_still_replaces_itself() {
        let parcel = one(&["amy"], false);
        let mut head = parcel.head.clone();
        head.template.collapse_key = None;
        let body = encode(&Batch { head: &head, ..parcel.open() }, &ring()).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["collapseKey"], "n-00000000000000000000000000000001");
    }

    #[test]
    fn any_answer_but_a_page_is_an_acceptance() {
        for body in ["", "{}", "ok"] {
            assert_eq!(taken(body.as_bytes()), Outcome::Accepted(String::new()), "{body}");
        }
        assert_eq!(taken(b"\n<!doctype html>"), Outcome::Unknown("answer-unreadable"));
    }
}
