//! Webhook: a batch as the bytes of one request to a service that is none of OpenText's, in its own form.
//!
//! The form is a template that makes JSON; every value in it is written as JSON, so that no text of an event
//! can break out of its place. The request is signed by the Standard Webhooks specification, and its
//! `webhook-id` is the batch's id: the same on every try, with the same bytes.
//!
//! The service answers with a result for each push, by its `ref`:
//!
//! ```text
//! {"results": [{"ref": "d-…", "status": "accepted"}, {"ref": "d-…", "status": "refused", "code": "NO_SUCH_PERSON"}]}
//! ```
//! `accepted`, `refused`, `no_device` and `later`. 204 without a body takes all of them. While one is put off
//! or not named, the whole batch is sent again under its id: the service knows which of them it took, and
//! says so again.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};

use super::category::category;
use super::outcome::plain_code;
use super::reply_token::KeyRing;
use super::{Item, Outcome, Unsendable};
use crate::event::push::fill;
use crate::event::{Batch, Parcel};

/// The form of a service that asks for none.
pub const USUAL_FORM: &str = include_str!("webhook.json.jinja");
/// What a form may cost, in the template engine's steps: 500 pushes of a large form.
const FUEL: u64 = 2_000_000;
const NAME: &str = "body.json";

/// The form of a service's requests.
pub struct Form {
    environment: Environment<'static>,
}

/// A form that makes no request.
#[derive(Debug, thiserror::Error)]
pub enum BadForm {
    /// It is no template, or asks for what a batch does not have.
    #[error("line {line}: {fault}")]
    Template {
        /// Where.
        line: usize,
        /// What is wrong.
        fault: String,
    },
    /// What it makes is not JSON.
    #[error("what it makes of a batch is not JSON: {0}")]
    Json(String),
}

/// What a form may speak of.
#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    tenant: &'a str,
    rule: &'a str,
    locale: &'a str,
    target: &'a str,
    priority: &'a str,
    category: &'a str,
    ttl_seconds: u32,
    created: String,
    expires_at: Option<String>,
    answers: Vec<&'a str>,
    pushes: Vec<Push<'a>>,
}

/// One person's push.
#[derive(Serialize)]
struct Push<'a> {
    r#ref: String,
    person: &'a str,
    notification_id: String,
    title: String,
    summary: String,
    collapse_key: Option<String>,
    data: BTreeMap<&'a str, String>,
    reply_token: Option<String>,
    answer_url: Option<String>,
}

#[derive(Deserialize)]
struct Results {
    results: Vec<OneResult>,
}

#[derive(Deserialize)]
struct OneResult {
    r#ref: String,
    status: String,
    #[serde(default)]
    code: String,
}

// === impl Form ===

impl Form {
    /// Reads a form, and tries it on a batch.
    ///
    /// # Errors
    /// [`BadForm`].
    pub fn read(text: &str) -> Result<Self, BadForm> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Json);
        environment.set_fuel(Some(FUEL));
        environment.add_template_owned(NAME, text.to_owned()).map_err(|error| BadForm::of(&error))?;
        let form = Self { environment };
        let made = form.made(&Shown::sample()).map_err(|error| BadForm::of(&error))?;
        serde_json::from_str::<serde::de::IgnoredAny>(&made)
            .map_err(|error| BadForm::Json(error.to_string()))?;
        Ok(form)
    }

    /// The body of the request that submits `batch`.
    ///
    /// # Errors
    /// When the ring lacks the batch's key, or the form makes no JSON of it.
    pub fn encode(&self, batch: &Batch<'_>, keys: &KeyRing) -> Result<Bytes, Unsendable> {
        let bad = |fault: String| Unsendable::Form { message_id: batch.head.message_id.clone(), fault };
        let made = self.made(&Shown::of(batch, keys)?).map_err(|error| bad(error.to_string()))?;
        serde_json::from_str::<serde::de::IgnoredAny>(&made).map_err(|error| bad(error.to_string()))?;
        Ok(made.into())
    }

    fn made(&self, shown: &Shown<'_>) -> Result<String, minijinja::Error> {
        self.environment.get_template(NAME)?.render(minijinja::value::Serde(shown))
    }
}

// === impl BadForm ===

impl BadForm {
    fn of(error: &minijinja::Error) -> Self {
        Self::Template { line: error.line().unwrap_or(0), fault: error.to_string() }
    }
}

// === impl Shown ===

impl<'a> Shown<'a> {
    fn of(batch: &Batch<'a>, keys: &KeyRing) -> Result<Self, Unsendable> {
        let (head, template) = (batch.head, &batch.head.template);
        let mut pushes = Vec::with_capacity(batch.members.len());
        for member in &batch.members {
            let letter = batch.letter_of(member).ok_or_else(|| Unsendable::no_letter(batch, member))?;
            let filled = |text: &str| fill(text, &letter.inserts);
            let token = (!template.answers.is_empty()).then(|| keys.token(head, letter, member.user_id));
            let token = token.transpose()?;
            pushes.push(Push {
                r#ref: letter.notice.reference(member.user_id),
                person: member.user_id,
                notification_id: letter.notice.to_string(),
                title: filled(&template.title),
                summary: filled(&template.summary),
                collapse_key: template.collapse_key.as_deref().map(filled),
                data: template.data.iter().map(|(key, value)| (key.as_str(), filled(value))).collect(),
                answer_url: token.as_deref().and_then(|token| keys.link(token)),
                reply_token: token,
            });
        }
        Ok(Self {
            id: &head.message_id,
            tenant: &head.tenant,
            rule: &template.rule,
            locale: &template.locale,
            target: &template.target,
            priority: template.priority.as_str(),
            category: category(&template.answers),
            ttl_seconds: template.ttl_seconds,
            created: head.cut_at.to_string(),
            expires_at: head.expires_at.map(|end| end.to_string()),
            answers: template.answers.iter().map(|verb| verb.as_str()).collect(),
            pushes,
        })
    }

    /// Two pushes with everything a batch can have.
    fn sample() -> Self {
        let push = |person| Push {
            r#ref: "d-1".to_owned(),
            person,
            notification_id: "n-1".to_owned(),
            title: "\"Title\"".to_owned(),
            summary: "Summary".to_owned(),
            collapse_key: Some("key".to_owned()),
            data: [("source", "xecm".to_owned()), ("link", "https://example".to_owned())].into(),
            reply_token: Some("token".to_owned()),
            answer_url: Some("https://example/a/token".to_owned()),
        };
        Self {
            id: "b-1",
            tenant: "acme",
            rule: "rule",
            locale: "en",
            target: "bugle",
            priority: "normal",
            category: "ack",
            ttl_seconds: 3_600,
            created: "2026-01-05T09:00:00.000Z".to_owned(),
            expires_at: Some("2026-01-05T17:00:00.000Z".to_owned()),
            answers: vec!["acknowledge"],
            pushes: vec![push("amy"), push("bob")],
        }
    }
}

/// What a 2xx means. Results are found by their reference, never by their place.
pub(super) fn taken(status: u16, body: &[u8], parcel: &Parcel) -> Outcome {
    if status == 204 && body.is_empty() {
        return Outcome::Accepted(String::new());
    }
    let Ok(Results { results }) = serde_json::from_slice::<Results>(body) else {
        return Outcome::Unknown("answer-unreadable");
    };
    let by_reference: HashMap<&str, &OneResult> =
        results.iter().map(|result| (result.r#ref.as_str(), result)).collect();
    let batch = parcel.open();
    let item = |member| {
        let reference = batch.letter_of(member)?.notice.reference(member.user_id);
        by_reference.get(reference.as_str()).map(|result| result.item())
    };
    let items: Vec<Item> = batch.members.iter().map(|member| item(member).unwrap_or(Item::Unnamed)).collect();
    if items.iter().all(|item| *item == Item::Accepted) {
        Outcome::Accepted(String::new())
    } else {
        Outcome::Each(items)
    }
}

// === impl OneResult ===

impl OneResult {
    fn item(&self) -> Item {
        match self.status.as_str() {
            "accepted" => Item::Accepted,
            "refused" => Item::Refused(plain_code(&self.code).unwrap_or("REFUSED").to_owned()),
            "no_device" => Item::NoDevice,
            "later" => Item::Later,
            // A word nobody agreed on says nothing.
            _ => Item::Unnamed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::push::example::{batch, head};
    use crate::push::mra::tests::ring;

    #[test]
    fn the_usual_form_writes_every_push_with_its_own_text() {
        let head = head();
        let form = Form::read(USUAL_FORM).unwrap();
        let body = form.encode(&batch(&head), &ring()).unwrap();
        assert_eq!(body, form.encode(&batch(&head), &ring()).unwrap(), "equal batches make equal bytes");
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["id"], &body["rule"]), (&"b-5f0c".into(), &"ec-1-review".into()));
        let mut bob = body["pushes"][1].clone();
        bob["reply_token"] = "…".into();
        insta::assert_snapshot!(serde_json::to_string_pretty(&bob).unwrap(), @r#"
        {
          "answer_url": null,
          "collapse_key": "xecm:task:7",
          "data": {
            "link": "https://cs.example/7",
            "source": "xecm"
          },
          "notification_id": "n-00000000000000000000000000000002",
          "person": "bob \"the\" boss",
          "ref": "d-8d6a5f6da7a909c5886fae13c017e59d",
          "reply_token": "…",
          "summary": "🎺 is waiting for you",
          "title": "Approval needed: \"B\"\n"
        }
        "#);
        for push in body["pushes"].as_array().unwrap() {
            let claims = ring().verify(push["reply_token"].as_str().unwrap(), head.cut_at).unwrap();
            assert_eq!(claims.person, push["person"].as_str().unwrap());
        }
    }

    #[test]
    fn no_text_of_an_event_breaks_out_of_the_form() {
        let head = head();
        let form =
            Form::read(r#"[{% for push in pushes %}{{ push.title }},{% endfor %} "x {{ 1 }}"]"#).unwrap();
        let body = form.encode(&batch(&head), &ring()).unwrap();
        let titles: Vec<String> = serde_json::from_slice(&body).unwrap();
        assert_eq!(titles[1], "Approval needed: \"B\"\n");
    }

    #[test]
    fn a_form_that_makes_no_request_is_refused_with_its_line() {
        let refused = |text: &str| Form::read(text).err().unwrap().to_string();
        assert!(refused("{\n {{ nobody }}}").starts_with("line 2: "), "{}", refused("{\n {{ nobody }}}"));
        assert!(refused("{% for %}").starts_with("line 1: "));
        assert!(refused("{{ id }} {{ id }}").starts_with("what it makes of a batch is not JSON"));
    }

    #[test]
    fn results_are_found_by_their_reference_and_what_is_not_named_is_not_known() {
        let head = head();
        let parcel = batch(&head).pack();
        let open = parcel.open();
        let reference = |at: usize| {
            let member = &open.members[at];
            open.letter_of(member).unwrap().notice.reference(member.user_id)
        };
        let of = |results: &[(usize, &str)]| {
            let one = |(at, rest): &(usize, &str)| format!(r#"{{"ref":"{}",{rest}}}"#, reference(*at));
            let results: Vec<_> = results.iter().map(one).collect();
            taken(200, format!(r#"{{"results":[{}]}}"#, results.join(",")).as_bytes(), &parcel)
        };
        let (yes, no) = (r#""status":"accepted""#, r#""status":"refused","code":"GONE""#);
        assert_eq!(of(&[(2, yes), (0, yes), (1, yes)]), Outcome::Accepted(String::new()));
        let refused = Item::Refused("GONE".to_owned());
        assert_eq!(of(&[(2, no), (0, yes)]), Outcome::Each(vec![Item::Accepted, Item::Unnamed, refused]));
        assert_eq!(
            of(&[(1, r#""status":"later""#), (2, r#""status":"no_device""#), (0, r#""status":"perhaps""#)]),
            Outcome::Each(vec![Item::Unnamed, Item::Later, Item::NoDevice])
        );
        assert_eq!(taken(204, b"", &parcel), Outcome::Accepted(String::new()));
        for page in ["", "ok", "<html>", "{}", r#"{"results":7}"#] {
            assert_eq!(taken(200, page.as_bytes(), &parcel), Outcome::Unknown("answer-unreadable"), "{page}");
        }
    }
}
