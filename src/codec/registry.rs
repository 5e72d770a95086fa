//! Registry: the client of a Confluent-compatible schema registry.
//!
//! It asks the given addresses in turn until one answers. Calls block; they may be made from any
//! thread, also from one that runs async code. It keeps nothing: the cache is `decode`'s.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value as Json, json};

const ACCEPT: &str = "application/vnd.schemaregistry.v1+json, application/json";
const PATIENCE: Duration = Duration::from_secs(10);

/// A schema registry.
#[derive(Debug)]
pub struct Registry {
    urls: Vec<String>,
    login: Option<(String, SecretString)>,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

/// Why a registry did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No address was given, or the client cannot be made.
    #[error("the schema registry cannot be used: {0}")]
    Settings(String),
    /// It does not answer, or not in the way a registry does. Trying again may help.
    #[error("schema registry {url}: {reason}")]
    Unavailable {
        /// What was asked.
        url: String,
        /// What came instead.
        reason: String,
    },
    /// It has the schema, and we cannot use it.
    #[error("{what} cannot be used: {reason}")]
    Unusable {
        /// The schema id.
        what: String,
        /// Why not.
        reason: String,
    },
    /// It understood and refuses.
    #[error("schema registry {url} refuses {what}: {reason}")]
    Refused {
        /// What was asked.
        url: String,
        /// The subject or schema id.
        what: String,
        /// Its own words, with the status.
        reason: String,
    },
}

/// One question.
struct Ask<'q> {
    method: Method,
    path: String,
    /// The subject or schema id, for errors.
    what: &'q str,
    body: Option<Json>,
}

// === impl RegistryError ===

impl RegistryError {
    /// Whether the same question may be answered later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// What to do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Settings(_) => "give at least one address such as http://registry:8081".to_owned(),
            Self::Unusable { .. } => "register the schema as one Avro text".to_owned(),
            Self::Unavailable { .. } => {
                "check the address and that the registry runs; nothing was lost".to_owned()
            }
            Self::Refused { .. } => {
                "change the schema so that readers of the last version can read it, or give the right login"
                    .to_owned()
            }
        }
    }
}

// === impl Registry ===

impl Registry {
    /// A client of the registry at `urls`, with basic authentication when there is a login.
    ///
    /// # Errors
    /// [`RegistryError::Settings`].
    pub fn new(urls: &[String], login: Option<(String, SecretString)>) -> Result<Self, RegistryError> {
        let settings = |reason: String| RegistryError::Settings(reason);
        let urls: Vec<_> = urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        if urls.is_empty() {
            return Err(settings("no address is given".to_owned()));
        }
        if let Some(url) = urls.iter().find(|url| !url.starts_with("http://") && !url.starts_with("https://"))
        {
            return Err(settings(format!("`{url}` is not an http address")));
        }
        let client =
            reqwest::Client::builder().timeout(PATIENCE).build().map_err(|e| settings(e.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self { urls, login, client, runtime: runtime.map_err(|e| settings(e.to_string()))? })
    }

    /// The text of the schema with this id; `None` when the registry does not have it.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn by_id(&self, id: u32) -> Result<Option<String>, RegistryError> {
        let what = format!("schema id {id}");
        let ask = Ask { method: Method::GET, path: format!("/schemas/ids/{id}"), what: &what, body: None };
        let Some((url, answer)) = self.ask(&ask)? else { return Ok(None) };
        let unusable =
            |reason: &str| RegistryError::Unusable { what: what.clone(), reason: reason.to_owned() };
        match answer["schemaType"].as_str() {
            None | Some("AVRO") => {}
            Some(other) => return Err(unusable(&format!("it is {other}, not Avro"))),
        }
        if answer["references"].as_array().is_some_and(|references| !references.is_empty()) {
            return Err(unusable("it refers to other subjects"));
        }
        answer["schema"]
            .as_str()
            .map(|text| Some(text.to_owned()))
            .ok_or_else(|| nonsense(&url, "no `schema` in the answer"))
    }

    /// Registers a schema under a subject; the id. The same schema again has the same id.
    ///
    /// # Errors
    /// [`RegistryError::Refused`] when it is not compatible with the last version.
    pub fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let path = format!("/subjects/{}/versions", encoded(subject));
        let answer = self.ask(&Ask {
            method: Method::POST,
            path,
            what: subject,
            body: Some(json!({"schema": schema})),
        })?;
        let (url, answer) = answer.ok_or_else(|| self.lost(subject))?;
        id_in(&url, &answer)
    }

    /// The id of exactly this schema under a subject; `None` when it is not registered there.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn look_up(&self, subject: &str, schema: &str) -> Result<Option<u32>, RegistryError> {
        let path = format!("/subjects/{}", encoded(subject));
        let ask = Ask { method: Method::POST, path, what: subject, body: Some(json!({"schema": schema})) };
        match self.ask(&ask)? {
            Some((url, answer)) => id_in(&url, &answer).map(Some),
            None => Ok(None),
        }
    }

    /// What keeps readers of this schema from reading the subject's last version; `None` when the
    /// subject does not exist, empty when nothing does.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn compatibility(&self, subject: &str, schema: &str) -> Result<Option<Vec<String>>, RegistryError> {
        let path = format!("/compatibility/subjects/{}/versions/latest?verbose=true", encoded(subject));
        let ask = Ask { method: Method::POST, path, what: subject, body: Some(json!({"schema": schema})) };
        let Some((url, answer)) = self.ask(&ask)? else { return Ok(None) };
        let compatible = answer["is_compatible"].as_bool();
        let compatible = compatible.ok_or_else(|| nonsense(&url, "no `is_compatible` in the answer"))?;
        let messages = answer["messages"].as_array().into_iter().flatten();
        let mut faults: Vec<_> = messages.filter_map(|text| text.as_str().map(str::to_owned)).collect();
        match compatible {
            true => faults.clear(),
            false if faults.is_empty() => faults.push("the registry does not say why".to_owned()),
            false => {}
        }
        Ok(Some(faults))
    }

    /// Says that new versions of a subject must be able to read what the last one wrote.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn keep_backward(&self, subject: &str) -> Result<(), RegistryError> {
        let path = format!("/config/{}", encoded(subject));
        let body = Some(json!({"compatibility": "BACKWARD"}));
        self.ask(&Ask { method: Method::PUT, path, what: subject, body })?
            .map(|_| ())
            .ok_or_else(|| self.lost(subject))
    }

    fn lost(&self, subject: &str) -> RegistryError {
        let reason = "404 where a subject is made".to_owned();
        RegistryError::Refused { url: self.urls.join(", "), what: subject.to_owned(), reason }
    }

    /// The first answer one of the addresses gives; `None` for a registry's own "not found".
    fn ask(&self, ask: &Ask<'_>) -> Result<Option<(String, Json)>, RegistryError> {
        let mut last = None;
        for base in &self.urls {
            match self.ask_one(base, ask) {
                Err(fault) if fault.is_retryable() => last = Some(fault),
                answer => return answer,
            }
        }
        Err(last.unwrap_or_else(|| RegistryError::Settings("no address is given".to_owned())))
    }

    fn ask_one(&self, base: &str, ask: &Ask<'_>) -> Result<Option<(String, Json)>, RegistryError> {
        let url = format!("{base}{}", ask.path);
        let mut request = self.client.request(ask.method.clone(), &url).header("accept", ACCEPT);
        if let Some((user, password)) = &self.login {
            request = request.basic_auth(user, Some(password.expose_secret()));
        }
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        let answer = async {
            let answer = request.send().await?;
            Ok::<_, reqwest::Error>((answer.status(), answer.bytes().await?))
        };
        // A thread of its own: blocking inside a runtime's thread is not allowed.
        let answer = std::thread::scope(|scope| scope.spawn(|| self.runtime.block_on(answer)).join());
        let (status, body) = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(fault)) => return Err(nonsense(&url, &words(&fault))),
            Err(_) => return Err(nonsense(&url, "the request broke off")),
        };
        understand(url, ask.what, status, &body)
    }
}

fn understand(
    url: String,
    what: &str,
    status: StatusCode,
    body: &[u8],
) -> Result<Option<(String, Json)>, RegistryError> {
    let answer: Option<Json> = serde_json::from_slice(body).ok();
    let code = answer.as_ref().and_then(|answer| answer["error_code"].as_i64());
    match (status.as_u16(), answer) {
        (200..=299, Some(answer)) => Ok(Some((url, answer))),
        (200..=299, None) => Err(nonsense(&url, "the answer is not JSON; is this a schema registry?")),
        // A proxy's 404 page says nothing about a schema.
        (404, _) if code.is_some() => Ok(None),
        (400 | 401 | 403 | 409 | 422, answer) => {
            let said =
                answer.as_ref().and_then(|answer| answer["message"].as_str()).unwrap_or("without a reason");
            Err(RegistryError::Refused { url, what: what.to_owned(), reason: format!("{status}: {said}") })
        }
        _ => Err(nonsense(&url, &status.to_string())),
    }
}

fn nonsense(url: &str, reason: &str) -> RegistryError {
    RegistryError::Unavailable { url: url.to_owned(), reason: reason.to_owned() }
}

fn id_in(url: &str, answer: &Json) -> Result<u32, RegistryError> {
    let id = answer["id"].as_u64().and_then(|id| u32::try_from(id).ok());
    id.ok_or_else(|| nonsense(url, "no `id` in the answer"))
}

/// The innermost reason; the outer ones only repeat the address.
fn words(fault: &reqwest::Error) -> String {
    let mut reason: &dyn std::error::Error = fault;
    while let Some(inner) = reason.source() {
        reason = inner;
    }
    reason.to_string()
}

fn encoded(subject: &str) -> String {
    let mut out = String::with_capacity(subject.len());
    for byte in subject.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
