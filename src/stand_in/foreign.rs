//! Foreign: the calls of the two other transports, brought into the form of the first and kept in one ledger.
//!
//! | | AppWorks Gateway | webhook |
//! |---|---|---|
//! | signs in | `otagAppKey` | Standard Webhooks signature |
//! | a repeated id | there are none: what is sent twice replaces itself | gets the first results |
//! | answers | nothing | a result for each push, by its `ref` |

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::contract::{self, Refusal};
use super::faults::Faults;
use super::knock::Knock;
use super::ledger::Accepted;
use super::submit::refuse;
use super::{Stage, lock};
use crate::clock;
use crate::event::{NoticeId, hash128};
use crate::push::signature;

/// What is asked of the gateway.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FcmPush {
    broadcast: bool,
    users: Vec<String>,
    otds_groups: Vec<String>,
    client_ids: Vec<String>,
    runtimes: Vec<String>,
    title: String,
    summary: String,
    data: Map<String, Value>,
    collapse_key: Option<String>,
    apns_config: Value,
    android_config: Value,
    target_app_name: String,
}

/// What the webhook gets: the form that Bugle has built in.
#[derive(Deserialize)]
struct Hooked {
    #[serde(default)]
    priority: Option<String>,
    #[serde(default)]
    category: Option<String>,
    #[serde(default)]
    answers: Vec<String>,
    pushes: Vec<HookedPush>,
}

#[derive(Deserialize)]
struct HookedPush {
    r#ref: String,
    person: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    collapse_key: Option<String>,
    #[serde(default)]
    data: Map<String, Value>,
    #[serde(default)]
    reply_token: Option<String>,
}

/// What is said of one push of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Said {
    r#ref: String,
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    code: &'static str,
    #[serde(skip)]
    unnamed: bool,
}

/// `POST /deployments/notifications/{app}/fcm-push`.
pub(super) async fn fcm_push(knock: Knock) -> Response {
    let wanted = knock.stage.app_key.as_ref().map(|key| key.expose_secret());
    let knows = match wanted {
        Some(wanted) if knock.header("otagappkey") != Some(wanted) => {
            Err(Refusal::new(401, "UNAUTHORIZED", "unknown otagAppKey"))
        }
        _ => Ok(()),
    };
    let result = knock.admit(knows, |body| push_at_gateway(&knock.stage, &knock.faults, body));
    let said = result.map(|()| json!({ "status": 200 }).to_string());
    knock
        .answer(said, |refusal| {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let Refusal { code, message, status: number, .. } = refusal;
            let body = json!({ "key": code, "errorMessage": message, "entity": null, "status": number });
            (status, Json(body)).into_response()
        })
        .await
}

fn push_at_gateway(stage: &Stage, faults: &Arc<Faults>, body: &Bytes) -> Result<(), Refusal> {
    let push: FcmPush =
        serde_json::from_slice(body).map_err(|error| Refusal::new(400, "BAD_REQUEST", error.to_string()))?;
    let nobody = push.users.is_empty()
        && push.otds_groups.is_empty()
        && push.client_ids.is_empty()
        && push.runtimes.is_empty();
    if nobody != push.broadcast {
        let why = "a push is for recipients or a broadcast, and not both";
        return Err(Refusal::new(400, "BAD_RECIPIENTS", why));
    }
    if push.title.is_empty() && push.summary.is_empty() && push.data.is_empty() {
        return Err(Refusal::new(400, "NO_CONTENT", "a push needs a title, a summary or data"));
    }
    let inner = push.inner().to_string();
    let (mut submit, texts) = contract::read(inner.as_bytes(), &faults.poison).map_err(|refusal| {
        // The gateway says that, and not about whom.
        Refusal { field: String::new(), code: "BAD_REQUEST".into(), ..refusal }
    })?;
    submit.same = Some(hash128([&**body]));
    lock(&stage.ledger).accept(&submit, texts, (clock::now(), faults));
    Ok(())
}

/// `POST /webhook`.
pub(super) async fn webhook(knock: Knock) -> Response {
    let header = |name: &str| knock.header(name);
    let signed = signature::check(&knock.stage.webhook_secrets, header, knock.bytes(), clock::now());
    let signed = signed.map(drop).map_err(|why| Refusal::new(401, "BAD_SIGNATURE", why));
    let id = header("webhook-id").unwrap_or_default();
    let result = knock.admit(signed, |body| hooked(&knock.stage, &knock.faults, id, body));
    let said = result.map(|said| json!({ "results": said }).to_string());
    knock.answer(said, refuse).await
}

fn hooked(stage: &Stage, faults: &Arc<Faults>, id: &str, body: &Bytes) -> Result<Vec<Said>, Refusal> {
    if id.is_empty() {
        return Err(Refusal::new(400, "INVALID_REQUEST", "there is no webhook-id"));
    }
    let hooked: Hooked = serde_json::from_slice(body)
        .map_err(|error| Refusal::new(400, "INVALID_REQUEST", error.to_string()))?;
    let first: Vec<Said> = hooked.pushes.iter().map(|push| Said::of(push, faults)).collect();
    let submit = |wanted: &dyn Fn(usize) -> bool| hooked.inner(id, wanted).to_string();
    let inner = submit(&|at| first[at].status == "accepted");
    let (given, texts) = match first.iter().any(|said| said.status == "accepted") {
        true => contract::read(inner.as_bytes(), &faults.poison)?,
        false => contract::nothing(id),
    };
    let now = clock::now();
    let mut ledger = lock(&stage.ledger);
    let number = match ledger.accept(&given, texts, (now, faults)) {
        Accepted::New(number) => number,
        // Whoever asks again hears the same, of every push; what was put off is taken now.
        Accepted::Known(number) => {
            let mut said = ledger.results(number).unwrap_or_default();
            let inner = submit(&|at| said.get(at).is_some_and(|said| said.status == "later"));
            if let Ok((given, texts)) = contract::read(inner.as_bytes(), &faults.poison) {
                ledger.deliver(number, &given, texts, (now, faults));
            }
            said.iter_mut().filter(|said| said.status == "later").for_each(|said| said.status = "accepted");
            ledger.keep_results(number, said.clone());
            return Ok(said);
        }
    };
    ledger.keep_results(number, first.clone());
    drop(ledger);
    let mut said = first;
    said.retain(|said| !said.unnamed);
    if faults.shuffled {
        said.sort_by_key(|said| hash128([said.r#ref.as_bytes(), id.as_bytes()]));
    }
    Ok(said)
}

// === impl FcmPush ===

impl Default for FcmPush {
    fn default() -> Self {
        Self {
            broadcast: false,
            users: Vec::new(),
            otds_groups: Vec::new(),
            client_ids: Vec::new(),
            runtimes: Vec::new(),
            title: String::new(),
            summary: String::new(),
            data: Map::new(),
            collapse_key: None,
            apns_config: Value::Null,
            android_config: Value::Null,
            target_app_name: String::new(),
        }
    }
}

impl FcmPush {
    /// The same as a submit of cloud messaging.
    fn inner(&self) -> Value {
        let own =
            self.data.get(&self.target_app_name).and_then(Value::as_object).cloned().unwrap_or_default();
        let notice = own.get("notification_id").and_then(Value::as_str).unwrap_or_default();
        let notice = notice.strip_prefix("n-").and_then(|hex| u128::from_str_radix(hex, 16).ok());
        let notice =
            NoticeId(notice.unwrap_or_else(|| hash128([self.title.as_bytes(), self.summary.as_bytes()])));
        let text = |(key, value): (String, Value)| match value {
            Value::String(text) => (key, text),
            Value::Array(items) => {
                let words: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                (key, words.join(","))
            }
            other => (key, other.to_string()),
        };
        let data: Map<String, Value> =
            own.into_iter().map(text).map(|(key, value)| (key, value.into())).collect();
        let to = |user: &String| json!({ "ref": notice.reference(user), "push": format!("user:{user}") });
        json!({
            "push_message": {
                "title": self.title,
                "summary": self.summary,
                "target": self.target_app_name,
                "collapse_key": self.collapse_key,
                "priority": self.android_config["priority"],
                "category": self.apns_config["aps"]["category"],
                "data": data,
            },
            "destinations": self.users.iter().map(to).collect::<Vec<_>>(),
        })
    }
}

// === impl Hooked ===

impl Hooked {
    /// The same as a submit of cloud messaging, of the pushes that are taken.
    fn inner(&self, id: &str, taken: &dyn Fn(usize) -> bool) -> Value {
        const DATA: [&str; 3] = ["link", "source", "kind"];
        let to = |push: &HookedPush| {
            let value = |key: &str| push.data.get(key).and_then(Value::as_str).unwrap_or_default();
            let key = push.collapse_key.as_deref().unwrap_or(&push.r#ref);
            let token = push.reply_token.as_deref().unwrap_or_default();
            let values = [&push.title, &push.summary, key, token].into_iter().chain(DATA.map(value));
            let inserts: Vec<Value> = (1..)
                .zip(values)
                .map(|(id, value): (u32, &str)| json!({ "id": id, "value": value }))
                .collect();
            json!({ "ref": push.r#ref, "push": format!("user:{}", push.person), "inserts": inserts })
        };
        let pushes = self.pushes.iter().enumerate().filter(|(at, _)| taken(*at));
        let mut data = json!({ "reply_token": "{{4}}", "link": "{{5}}", "source": "{{6}}", "kind": "{{7}}" });
        if !self.answers.is_empty() {
            data["actions"] = self.answers.join(",").into();
        }
        json!({
            "options": { "message_id": id },
            "push_message": {
                "title": "{{1}}",
                "summary": "{{2}}",
                "collapse_key": "{{3}}",
                "priority": self.priority,
                "category": self.category,
                "data": data,
            },
            "destinations": pushes.map(|(_, push)| to(push)).collect::<Vec<_>>(),
        })
    }
}

// === impl Said ===

impl Said {
    /// What becomes of a push: drawn from its reference, so that it is the same each time.
    fn of(push: &HookedPush, faults: &Faults) -> Self {
        let drawn = |what: &str, share: f64| faults.draws(share, [what.as_bytes(), push.r#ref.as_bytes()]);
        let (status, code) = if drawn("refused", faults.refused_pushes) {
            ("refused", "NO_SUCH_PERSON")
        } else if drawn("device", faults.partial) {
            ("no_device", "")
        } else if drawn("later", faults.later_pushes) {
            ("later", "")
        } else {
            ("accepted", "")
        };
        let unnamed = drawn("unnamed", faults.unnamed_pushes);
        Self { r#ref: push.r#ref.clone(), status, code, unnamed }
    }
}
