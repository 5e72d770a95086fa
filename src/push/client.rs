//! Client: one request to the push service and the outcome of it, whatever the other side does.
//!
//! No redirect is followed, no proxy is taken from the environment, no answer is read past 64 KiB and
//! none is waited for longer than the time it has. A refused token is renewed once; nothing else is
//! tried twice here.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};

use super::credentials::{Keyholder, NoToken};
use super::{Answer, Credentials, KeyRing, Outcome, PushService, Unsendable, mra, retry_after};
use crate::clock;
use crate::event::Batch;

/// The most bytes of an answer that are read. An answer is a job id or an error.
const MOST_ANSWER_BYTES: usize = 64 * 1024;

/// An account of the push service.
#[derive(Debug, Clone)]
pub struct Account {
    /// The name that batches carry.
    pub name: String,
    /// Where the service is, such as `https://api.eu.cloudmessaging.opentext.com`.
    pub base_url: String,
    /// How to sign in.
    pub credentials: Credentials,
}

/// How long to wait for the other side.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For a whole answer, from the first byte sent.
    pub total: Duration,
}

/// OpenText cloud messaging.
pub struct Mra {
    http: reqwest::Client,
    keys: KeyRing,
    accounts: HashMap<String, Desk>,
}

/// Where an account's requests go.
struct Desk {
    url: reqwest::Url,
    keyholder: Keyholder,
}

/// Why the push service cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// An account's address is none.
    #[error("push account `{account}`: `{url}` is not an http or https address")]
    Address {
        /// The account.
        account: String,
        /// What was given.
        url: String,
    },
    /// Two accounts have one name.
    #[error("there are two push accounts named `{0}`")]
    Twice(String),
    /// The HTTP client cannot start.
    #[error("the HTTP client cannot start: {0}")]
    Client(#[from] reqwest::Error),
}

/// Why an answer has no whole body.
pub(crate) enum NoBody {
    /// Longer than anybody reads.
    TooLong,
    /// It stopped before its end.
    Cut,
    /// It did not end in time.
    Late,
}

// === impl Patience ===

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(15) }
    }
}

// === impl Unusable ===

impl Unusable {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Address { account, .. } => {
                format!("give `{account}` an address such as https://api.eu.cloudmessaging.opentext.com")
            }
            Self::Twice(name) => format!("rename one of the accounts named `{name}`"),
            Self::Client(_) => "check that the machine's certificate store can be read".to_owned(),
        }
    }
}

// === impl Mra ===

impl Mra {
    /// A client for these accounts, whose reply tokens are signed with these keys.
    ///
    /// # Errors
    /// When an address is none, two accounts share a name, or the machine cannot do TLS.
    pub fn new(
        accounts: impl IntoIterator<Item = Account>,
        keys: KeyRing,
        patience: Patience,
    ) -> Result<Self, Unusable> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("bugle/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(patience.connect)
            .timeout(patience.total)
            .build()?;
        let mut desks = HashMap::new();
        for Account { name, base_url, credentials } in accounts {
            let url = format!("{}/mra/v1/utils/parser", base_url.trim_end_matches('/'));
            let url = url
                .parse::<reqwest::Url>()
                .ok()
                .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
                .ok_or_else(|| Unusable::Address { account: name.clone(), url: base_url })?;
            if desks.insert(name.clone(), Desk { url, keyholder: Keyholder::new(credentials) }).is_some() {
                return Err(Unusable::Twice(name));
            }
        }
        Ok(Self { http, keys, accounts: desks })
    }

    async fn send(&self, message_id: &str, account: &str, body: Bytes) -> Outcome {
        let Some(desk) = self.accounts.get(account) else {
            return Outcome::Forbidden(format!("the push account `{account}` is not configured"));
        };
        if body.len() > mra::MOST_BODY_BYTES {
            return Outcome::TooLarge;
        }
        let Ok(id) = HeaderValue::from_str(message_id) else {
            return Outcome::Unacceptable { code: "BAD_MESSAGE_ID".to_owned(), member: None };
        };
        let mut refused = None;
        loop {
            let pass = match desk.keyholder.pass(&self.http, refused).await {
                Ok(pass) => pass,
                Err(NoToken::Unavailable) => {
                    return Outcome::TryLater { after: None, code: "token-unavailable" };
                }
                Err(NoToken::Refused) => {
                    return Outcome::Forbidden(format!(
                        "the credentials of push account `{account}` are refused"
                    ));
                }
            };
            let mut request = self.http.post(desk.url.clone()).header("x-mra-submitid", id.clone());
            if let Some(header) = pass.header {
                request = request.header(AUTHORIZATION, header);
            }
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
            let (status, outcome) = ask(request).await;
            if status == 401 && pass.number > 0 && refused.is_none() {
                refused = Some(pass.number);
                continue;
            }
            return outcome;
        }
    }
}

impl PushService for Mra {
    fn encode(&self, batch: &Batch<'_>) -> Result<Bytes, Unsendable> {
        mra::encode(batch, &self.keys)
    }

    fn submit<'a>(&'a self, message_id: &'a str, account: &'a str, body: Bytes) -> Answer<'a> {
        Box::pin(self.send(message_id, account, body))
    }
}

/// One request and what it means; the status is 0 when there was no answer.
async fn ask(request: reqwest::RequestBuilder) -> (u16, Outcome) {
    let answer = match request.send().await {
        Ok(answer) => answer,
        // No connection, so not a byte of the batch has left.
        Err(error) if error.is_connect() => {
            return (0, Outcome::TryLater { after: None, code: "unreachable" });
        }
        Err(error) if error.is_timeout() => return (0, Outcome::Unknown("timeout")),
        Err(error) if error.is_builder() => {
            return (0, Outcome::Unacceptable { code: "BAD_REQUEST".to_owned(), member: None });
        }
        Err(_) => return (0, Outcome::Unknown("connection-lost")),
    };
    let status = answer.status().as_u16();
    let after = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| retry_after::read(value, clock::now()));
    // A refusal is one even when its explanation is cut off; an acceptance without its job id is none.
    let body = whole_body(answer).await;
    let outcome = match body {
        Err(fault) if (200..=299).contains(&status) => Outcome::Unknown(match fault {
            NoBody::TooLong => "answer-too-long",
            NoBody::Cut => "connection-lost",
            NoBody::Late => "timeout",
        }),
        body => Outcome::of_answer(status, after, &body.unwrap_or_default()),
    };
    (status, outcome)
}

/// The body, when it ends before [`MOST_ANSWER_BYTES`].
pub(crate) async fn whole_body(mut answer: reqwest::Response) -> Result<Vec<u8>, NoBody> {
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MOST_ANSWER_BYTES => return Err(NoBody::TooLong),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) if error.is_timeout() => return Err(NoBody::Late),
            Err(_) => return Err(NoBody::Cut),
        }
    }
}
