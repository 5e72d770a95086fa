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
    /// It does not have what we write with.
    #[error("the schema registry has no schema of ours under `{0}`")]
    Unregistered(String),
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
            Self::Unregistered(_) => {
                "`bugle schemas register` puts it there; without it no reader of the topic could look it up"
                    .to_owned()
            }
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
        // Each question runs in a runtime of its own, which takes its connections with it.
        let client = reqwest::Client::builder().timeout(PATIENCE).pool_max_idle_per_host(0).build();
        Ok(Self { urls, login, client: client.map_err(|fault| settings(fault.to_string()))? })
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
        let answer = std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.map(|runtime| runtime.block_on(answer))
            });
            asking.join()
        });
        let (status, body) = match answer {
            Ok(Ok(Ok(answer))) => answer,
            Ok(Ok(Err(fault))) => return Err(nonsense(&url, &words(&fault))),
            Ok(Err(fault)) => return Err(RegistryError::Settings(fault.to_string())),
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::codec::{Codec, Fetched, Name, Schemas};
    use crate::event::Source;

    type Seen = Arc<Mutex<Vec<String>>>;

    /// A registry of canned answers: the first whose start of the request line fits, else a 404 page.
    fn stub(answers: &'static [(&'static str, u16, &'static str)]) -> (String, Seen) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Seen::default();
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = String::new();
                let mut buffer = [0; 65_536];
                loop {
                    let read = stream.read(&mut buffer).unwrap();
                    request.push_str(&String::from_utf8_lossy(&buffer[..read]));
                    let lower = request.to_ascii_lowercase();
                    let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                    let length = length.map_or(0, |length| length.trim().parse().unwrap());
                    match request.split_once("\r\n\r\n") {
                        Some((_, body)) if body.len() >= length => break,
                        _ if read == 0 => break,
                        _ => {}
                    }
                }
                let fits = |(line, ..): &&(&str, u16, &str)| request.starts_with(line);
                let (_, status, body) =
                    answers.iter().find(fits).unwrap_or(&("", 404, "<html>Not Found</html>"));
                log.lock().unwrap().push(request.clone());
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        (url, seen)
    }

    const ANSWERS: &[(&str, u16, &str)] = &[
        ("GET /schemas/ids/1 ", 200, r#"{"schema": "\"string\""}"#),
        ("GET /schemas/ids/2 ", 200, r#"{"schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF"}"#),
        (
            "GET /schemas/ids/3 ",
            200,
            r#"{"schema": "\"X\"", "references": [{"name": "X", "subject": "x", "version": 1}]}"#,
        ),
        ("GET /schemas/ids/4 ", 404, r#"{"error_code": 40403, "message": "Schema not found"}"#),
        ("GET /schemas/ids/5 ", 500, r#"{"error_code": 50001, "message": "store timed out"}"#),
        ("GET /schemas/ids/6 ", 200, "<html>Sign in</html>"),
        ("GET /schemas/ids/7 ", 401, r#"{"error_code": 401, "message": "Unauthorized"}"#),
        ("POST /subjects/my%20topic-value/versions ", 200, r#"{"id": 12}"#),
        ("POST /subjects/other-value/versions ", 409, r#"{"error_code": 409, "message": "not compatible"}"#),
        ("POST /subjects/my%20topic-value ", 200, r#"{"id": 12, "version": 3}"#),
        ("POST /subjects/other-value ", 404, r#"{"error_code": 40401, "message": "Subject not found"}"#),
        ("POST /compatibility/subjects/my%20topic-value/", 200, r#"{"is_compatible": true}"#),
        (
            "POST /compatibility/subjects/other-value/",
            200,
            r#"{"is_compatible": false, "messages": ["no default"]}"#,
        ),
    ];

    fn registry() -> Registry {
        Registry::new(&[stub(ANSWERS).0], None).unwrap()
    }

    #[test]
    fn an_id_is_a_schema_or_unknown_or_a_question_for_later() {
        let registry = registry();
        assert_eq!(registry.by_id(1).unwrap().as_deref(), Some("\"string\""));
        assert_eq!(registry.by_id(4).unwrap(), None);
        assert!(matches!(registry.by_id(2), Err(RegistryError::Unusable { .. })));
        assert!(matches!(registry.by_id(3), Err(RegistryError::Unusable { .. })));
        for id in [5, 6, 8] {
            assert!(registry.by_id(id).unwrap_err().is_retryable(), "{id}");
        }
        let refused = registry.by_id(7).unwrap_err().to_string();
        assert!(
            refused.ends_with("/schemas/ids/7 refuses schema id 7: 401 Unauthorized: Unauthorized"),
            "{refused}"
        );
    }

    #[test]
    fn a_subject_is_registered_looked_up_and_compared() {
        let registry = registry();
        assert_eq!(registry.register("my topic-value", "{}").unwrap(), 12);
        assert_eq!(registry.look_up("my topic-value", "{}").unwrap(), Some(12));
        assert_eq!(registry.look_up("other-value", "{}").unwrap(), None);
        assert_eq!(registry.compatibility("my topic-value", "{}").unwrap(), Some(Vec::new()));
        assert_eq!(registry.compatibility("other-value", "{}").unwrap(), Some(vec!["no default".to_owned()]));
        let refused = registry.register("other-value", "{}").unwrap_err();
        assert!(
            refused.to_string().contains("refuses other-value: 409 Conflict: not compatible"),
            "{refused}"
        );
        assert!(!refused.is_retryable());
    }

    #[test]
    fn the_next_address_is_asked_when_one_does_not_answer_and_the_login_is_sent() {
        let (url, seen) = stub(ANSWERS);
        let login = Some(("ada".to_owned(), SecretString::from("s3cret")));
        let registry = Registry::new(&["http://127.0.0.1:9/".to_owned(), url], login).unwrap();
        assert!(registry.by_id(1).unwrap().is_some());
        let request = seen.lock().unwrap().join("\n").to_ascii_lowercase();
        assert!(request.contains("authorization: basic ywrhonmzy3jlda=="), "{request}");
        assert!(!format!("{registry:?}").contains("s3cret"));
        assert!(Registry::new(&[], None).is_err());
        assert!(Registry::new(&["registry:8081".to_owned()], None).is_err());
    }

    #[test]
    fn the_codec_asks_once_for_an_id_and_remembers_the_answer() {
        let (url, seen) = stub(ANSWERS);
        let registry = Registry::new(&[url], None).unwrap();
        let codec = Codec::new(Arc::new(Schemas::built_in()), Some(registry));
        let decode = |id: u8| {
            let payload = [0, 0, 0, 0, id, 0];
            codec
                .decode(Source::Xecm, crate::event::frame::Format::Avro, &[], &payload)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(decode(4), "schema id 4 is not known yet");
        assert_eq!(codec.fetch(4).unwrap(), Fetched::Unknown);
        assert_eq!(codec.fetch(4).unwrap(), Fetched::Unknown);
        assert_eq!(decode(4), "unknown-schema: the registry does not know id 4");
        assert_eq!(seen.lock().unwrap().len(), 1, "asked once");
        codec.expire(crate::clock::now() + crate::event::Span::from_secs(3_600));
        assert_eq!(decode(4), "schema id 4 is not known yet");

        assert_eq!(codec.fetch(2).unwrap(), Fetched::Ready);
        assert_eq!(decode(2), "incompatible-schema: schema id 2 cannot be used: it is PROTOBUF, not Avro");
        assert_eq!(codec.fetch(1).unwrap(), Fetched::Ready);
        assert_eq!(decode(1), "incompatible-schema: schema id 1: it is not a record");
        assert!(codec.fetch(5).unwrap_err().is_retryable());
        assert_eq!(decode(5), "schema id 5 is not known yet", "an outage refuses nothing");
        assert_eq!(codec.fetch(Name::Person.local_id()).unwrap(), Fetched::Ready);
    }
}
