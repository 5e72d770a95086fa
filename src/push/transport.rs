//! Transport: which language an account's push service speaks, and what its answers mean in it.

use std::fmt;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::signature::{self, Secret};
use super::webhook::Form;
use super::{KeyRing, Outcome, Unsendable, appworks, mra, outcome, webhook};
use crate::clock;
use crate::event::{Batch, Parcel, Span};

/// How an account's push service is spoken to.
pub enum Transport {
    /// OpenText cloud messaging: many destinations a request, each with its own inserts; a repeated id is
    /// sent once.
    Mra,
    /// An AppWorks Gateway: one text a request, and no ids.
    AppWorks {
        /// The app whose notifications they are.
        app: String,
        /// The secret the gateway shares with it.
        key: SecretString,
    },
    /// A service of any other kind, in a form of its own.
    Webhook {
        /// What a request looks like.
        form: Box<Form>,
        /// Each signs every request; several while one is being replaced.
        secrets: Vec<Secret>,
    },
}

// === impl Transport ===

impl Transport {
    /// Where requests go, below the account's base URL.
    pub(super) fn address(&self, base_url: &str) -> Option<reqwest::Url> {
        let base = base_url.parse::<reqwest::Url>().ok()?;
        let base = Some(base).filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())?;
        let below = |path: &[&str]| {
            let mut url = base.clone();
            url.path_segments_mut().ok()?.pop_if_empty().extend(path);
            Some(url)
        };
        match self {
            Self::Mra => below(&["mra", "v1", "utils", "parser"]),
            Self::AppWorks { app, .. } => below(&["deployments", "notifications", app, "fcm-push"]),
            Self::Webhook { .. } => Some(base),
        }
    }

    /// Where it is asked what became of a job, or of a batch; `None` where nobody can say. Of each by its name.
    pub(super) fn status_address(
        &self,
        submit: &reqwest::Url,
        (name, id): (&str, &str),
    ) -> Option<reqwest::Url> {
        let Self::Mra = self else { return None };
        let mut url = submit.clone();
        url.path_segments_mut().ok()?.pop().pop().extend(["outbound", "push", "status"]);
        url.query_pairs_mut().append_pair(name, id);
        Some(url)
    }

    /// The bytes of a batch's request.
    pub(super) fn encode(&self, batch: &Batch<'_>, keys: &KeyRing) -> Result<Bytes, Unsendable> {
        match self {
            Self::Mra => mra::encode(batch, keys),
            Self::AppWorks { .. } => appworks::encode(batch, keys),
            Self::Webhook { form, .. } => form.encode(batch, keys),
        }
    }

    /// The headers that say which request it is, and who sends it; `None` when an id cannot stand in one.
    pub(super) fn headers(&self, id: &str, body: &[u8]) -> Option<Vec<(HeaderName, HeaderValue)>> {
        let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let mut say = |name: &'static str, value: HeaderValue| {
            headers.push((HeaderName::from_static(name), value));
        };
        match self {
            Self::Mra => say("x-mra-submitid", HeaderValue::from_str(id).ok()?),
            Self::AppWorks { key, .. } => {
                let mut key = HeaderValue::from_str(key.expose_secret()).ok()?;
                key.set_sensitive(true);
                say(appworks::KEY_HEADER, key);
            }
            Self::Webhook { secrets, .. } => {
                let time = (clock::now().millis() / 1_000).to_string();
                say("webhook-id", HeaderValue::from_str(id).ok()?);
                if !secrets.is_empty() {
                    let signature = signature::sign(secrets, id, &time, body);
                    say("webhook-signature", HeaderValue::from_str(&signature).ok()?);
                }
                say("webhook-timestamp", HeaderValue::from_str(&time).ok()?);
            }
        }
        Some(headers)
    }

    /// What an answer to a batch means.
    pub(super) fn meaning(&self, said: (u16, Option<Span>), body: &[u8], parcel: &Parcel) -> Outcome {
        match self {
            Self::Mra => Outcome::of_answer(said, body, outcome::job, outcome::fault),
            Self::AppWorks { .. } => Outcome::of_answer(said, body, appworks::taken, appworks::fault),
            Self::Webhook { .. } => {
                let taken = |body: &[u8]| webhook::taken(said.0, body, parcel);
                Outcome::of_answer(said, body, taken, outcome::fault)
            }
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mra => "Mra",
            Self::AppWorks { .. } => "AppWorks",
            Self::Webhook { .. } => "Webhook",
        })
    }
}
