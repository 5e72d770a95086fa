//! Client: one request to the push service and the outcome of it, whatever the other side does.
//!
//! No redirect is followed, no proxy is taken from the environment, no answer is read past 256 KiB and
//! none is waited for longer than the time it has. A refused token is renewed once; nothing else is
//! tried twice here.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, RETRY_AFTER};

use super::credentials::{Keyholder, NoToken};
use super::transport::Transport;
use super::{
    Answer, Credentials, KeyRing, Outcome, PushService, Standing, Unsendable, mra, outcome, retry_after,
    status,
};
use crate::clock;
use crate::event::job::JobStatus;
use crate::event::{Batch, Parcel, Span};

/// The most bytes of an answer that are read. An answer is a job id, a result for each push, or an error.
const MOST_ANSWER_BYTES: usize = 256 * 1024;

/// An account of the push service.
#[derive(Debug)]
pub struct Account {
    /// The name that batches carry.
    pub name: String,
    /// How its service is spoken to.
    pub transport: Transport,
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

/// The push services of all accounts.
pub struct Client {
    http: reqwest::Client,
    keys: KeyRing,
    accounts: HashMap<String, Desk>,
}

/// Where an account's requests go.
struct Desk {
    transport: Transport,
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

// === impl Client ===

impl Client {
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
        for Account { name, transport, base_url, credentials } in accounts {
            let Some(url) = transport.address(&base_url) else {
                return Err(Unusable::Address { account: name, url: base_url });
            };
            let desk = Desk { transport, url, keyholder: Keyholder::new(credentials) };
            if desks.insert(name.clone(), desk).is_some() {
                return Err(Unusable::Twice(name));
            }
        }
        Ok(Self { http, keys, accounts: desks })
    }

    async fn send(&self, parcel: &Parcel, body: Bytes) -> Outcome {
        let account = parcel.head.account.as_str();
        let Some(desk) = self.accounts.get(account) else {
            return Outcome::Forbidden(format!("the push account `{account}` is not configured"));
        };
        if body.len() > mra::MOST_BODY_BYTES {
            return Outcome::TooLarge;
        }
        let Some(headers) = desk.transport.headers(&parcel.head.message_id, &body) else {
            return Outcome::Unacceptable { code: "BAD_MESSAGE_ID".to_owned(), member: None };
        };
        let headers: HeaderMap = headers.into_iter().collect();
        let request = || self.http.post(desk.url.clone()).headers(headers.clone()).body(body.clone());
        let meaning = |said: (u16, Option<Span>), body: &[u8]| desk.transport.meaning(said, body, parcel);
        self.signed_in((account, desk), request, meaning).await
    }

    async fn status(&self, parcel: &Parcel) -> Outcome {
        let account = parcel.head.account.as_str();
        let Some(desk) = self.accounts.get(account) else {
            return Outcome::Forbidden(format!("the push account `{account}` is not configured"));
        };
        let Some(url) = desk.transport.status_address(&desk.url, ("message_id", &parcel.head.message_id))
        else {
            return Outcome::Unknown("no-status");
        };
        self.signed_in((account, desk), || self.http.get(url.clone()), outcome::status).await
    }

    async fn standing(&self, account: &str, job_id: &str) -> Option<JobStatus> {
        let desk = self.accounts.get(account)?;
        let url = desk.transport.status_address(&desk.url, ("job_id", job_id))?;
        let mut refused = None;
        loop {
            let pass = desk.keyholder.pass(&self.http, refused).await.ok()?;
            let mut request = self.http.get(url.clone());
            if let Some(header) = pass.header {
                request = request.header(AUTHORIZATION, header);
            }
            let answer = request.send().await.ok()?;
            match answer.status().as_u16() {
                401 if pass.number > 0 && refused.is_none() => refused = Some(pass.number),
                200 => return status::read(&body_up_to(status::MOST_STATUS_BYTES, answer).await.ok()?),
                _ => return None,
            }
        }
    }

    /// Sends a request signed in, and once more where its token had to be renewed.
    async fn signed_in(
        &self,
        (account, desk): (&str, &Desk),
        request: impl Fn() -> reqwest::RequestBuilder,
        meaning: impl Fn((u16, Option<Span>), &[u8]) -> Outcome,
    ) -> Outcome {
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
            let mut request = request();
            if let Some(header) = pass.header {
                request = request.header(AUTHORIZATION, header);
            }
            let (status, outcome) = ask(request, &meaning).await;
            if status == 401 && pass.number > 0 && refused.is_none() {
                refused = Some(pass.number);
                continue;
            }
            return outcome;
        }
    }
}

impl PushService for Client {
    fn encode(&self, batch: &Batch<'_>) -> Result<Bytes, Unsendable> {
        // What nobody configured is sent nowhere, whatever its bytes.
        match self.accounts.get(&batch.head.account) {
            Some(desk) => desk.transport.encode(batch, &self.keys),
            None => Ok(Bytes::new()),
        }
    }

    fn submit<'a>(&'a self, batch: &'a Parcel, body: Bytes) -> Answer<'a> {
        Box::pin(self.send(batch, body))
    }

    fn was_taken<'a>(&'a self, batch: &'a Parcel) -> Answer<'a> {
        Box::pin(self.status(batch))
    }

    fn job<'a>(&'a self, account: &'a str, job_id: &'a str) -> Standing<'a> {
        Box::pin(self.standing(account, job_id))
    }
}

/// One request and what its answer means; the status is 0 when there was none.
async fn ask(
    request: reqwest::RequestBuilder,
    meaning: impl FnOnce((u16, Option<Span>), &[u8]) -> Outcome,
) -> (u16, Outcome) {
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
    let outcome = match whole_body(answer).await {
        Err(fault) if (200..=299).contains(&status) => Outcome::Unknown(match fault {
            NoBody::TooLong => "answer-too-long",
            NoBody::Cut => "connection-lost",
            NoBody::Late => "timeout",
        }),
        body => meaning((status, after), &body.unwrap_or_default()),
    };
    (status, outcome)
}

/// The body, when it ends before [`MOST_ANSWER_BYTES`].
pub(crate) async fn whole_body(answer: reqwest::Response) -> Result<Vec<u8>, NoBody> {
    body_up_to(MOST_ANSWER_BYTES, answer).await
}

/// The body, when it has at most so many bytes.
pub(crate) async fn body_up_to(most: usize, mut answer: reqwest::Response) -> Result<Vec<u8>, NoBody> {
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > most => return Err(NoBody::TooLong),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) if error.is_timeout() => return Err(NoBody::Late),
            Err(_) => return Err(NoBody::Cut),
        }
    }
}
