//! Http: one request to a source system and its whole answer, whatever the other side does.
//!
//! No redirect is followed, no proxy is taken from the environment, no answer is read past 64 KiB (a page of
//! people: 16 MiB), and none is waited for longer than the time it has.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value as Json;

use super::Unusable;
use crate::clock;
use crate::event::Span;
use crate::event::write_back::Came;
use crate::push::client::{NoBody, body_up_to, whole_body};
use crate::push::retry_after;

/// The longest page of people.
const MOST_PAGE_BYTES: usize = 16 * 1024 * 1024;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// The HTTP client.
pub(super) struct Http(reqwest::Client);

/// A whole answer.
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    body: Vec<u8>,
}

/// How a request went without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// Nothing of it has left.
    NotSent,
    /// It may have arrived.
    Perhaps(&'static str),
}

// === impl Http ===

impl Http {
    pub(super) fn new(patience: Duration) -> Result<Self, Unusable> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("bugle/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(patience)
            .build()?;
        Ok(Self(http))
    }

    pub(super) fn request(&self, method: reqwest::Method, url: &str) -> reqwest::RequestBuilder {
        self.0.request(method, url)
    }
}

/// Sends a request.
///
/// # Errors
/// [`Lost`]: there is no answer.
pub(super) async fn send(request: reqwest::RequestBuilder) -> Result<Answered, Lost> {
    let answer = begun(request).await?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    answered(status, headers, whole_body(answer).await)
}

/// Sends a request for a page of people.
///
/// # Errors
/// [`Lost`]: there is no answer.
pub(super) async fn send_for_page(request: reqwest::RequestBuilder) -> Result<Answered, Lost> {
    let answer = begun(request).await?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    answered(status, headers, body_up_to(MOST_PAGE_BYTES, answer).await)
}

async fn begun(request: reqwest::RequestBuilder) -> Result<reqwest::Response, Lost> {
    request.send().await.map_err(|error| match error {
        error if error.is_connect() || error.is_builder() => Lost::NotSent,
        error if error.is_timeout() => Lost::Perhaps("timeout"),
        _ => Lost::Perhaps("connection-lost"),
    })
}

fn answered(status: u16, headers: HeaderMap, body: Result<Vec<u8>, NoBody>) -> Result<Answered, Lost> {
    match body {
        Ok(body) => Ok(Answered { status, headers, body }),
        // A refusal is one even when its explanation is cut off.
        Err(_) if status >= 400 => Ok(Answered { status, headers, body: Vec::new() }),
        Err(NoBody::TooLong) => Err(Lost::Perhaps("answer-too-long")),
        Err(NoBody::Cut | NoBody::Late) => Err(Lost::Perhaps("answer-cut")),
    }
}

// === impl Answered ===

impl Answered {
    /// The body as JSON; null when it is none.
    pub(super) fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or(Json::Null)
    }

    /// The beginning of the body, in one line.
    pub(super) fn text(&self, most: usize) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let clean = |char: char| if char.is_control() { ' ' } else { char };
        text.trim().chars().take(most).map(clean).collect()
    }

    pub(super) fn is_success(&self) -> bool {
        (200..=299).contains(&self.status)
    }

    /// What an answer means that is none of a contract's own: of a request that changes nothing.
    pub(super) fn not_now(&self) -> Came {
        match self.status {
            401 | 403 => Came::TryLater(Some(Span::from_secs(60)), "not-signed-in"),
            429 => Came::TryLater(self.retry_after(), "rate-limited"),
            503 => Came::TryLater(self.retry_after(), "unavailable"),
            400..=499 => Came::Dead("write-back-rejected"),
            _ => Came::TryLater(None, "server-error"),
        }
    }

    /// The same, of a request that may have changed something.
    pub(super) fn perhaps(&self) -> Came {
        match self.status {
            400..=499 => self.not_now(),
            // Nobody knows what stands before the system that says so, and what it had done.
            _ => Came::Unknown("server-error"),
        }
    }

    pub(super) fn retry_after(&self) -> Option<Span> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?;
        retry_after::read(value, clock::now())
    }
}

// === impl Lost ===

impl Lost {
    /// What it means for a request that changes nothing.
    pub(super) fn not_now(self) -> Came {
        match self {
            Self::NotSent => Came::TryLater(None, "unreachable"),
            Self::Perhaps(code) => Came::TryLater(None, code),
        }
    }

    /// What it means for a request that may have changed something.
    pub(super) fn perhaps(self) -> Came {
        match self {
            Self::NotSent => Came::TryLater(None, "unreachable"),
            Self::Perhaps(code) => Came::Unknown(code),
        }
    }
}

/// Refuses what is no address.
///
/// # Errors
/// [`Unusable::Address`].
pub(super) fn check(setting: &'static str, url: &str) -> Result<(), Unusable> {
    let sound = url
        .parse::<reqwest::Url>()
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if sound { Ok(()) } else { Err(Unusable::Address { setting, url: url.to_owned() }) }
}

/// A part of a path, so that what a source system calls its things cannot lead elsewhere.
pub(super) fn part(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'~')
            || (byte == b'.' && text.len() > 2)
        {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Fields as `application/x-www-form-urlencoded`.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let field = |(name, value): &(&str, &str)| format!("{}={}", part(name), part(value));
    fields.iter().map(field).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_source_calls_its_things_cannot_lead_elsewhere() {
        assert_eq!(part("a/../b?c=d#e"), "a%2F..%2Fb%3Fc%3Dd%23e");
        assert_eq!((part(".."), part("."), part("1.2")), ("%2E%2E".into(), "%2E".into(), "1.2".into()));
        assert_eq!(form(&[("comment", "a b&c=ä")]), "comment=a%20b%26c%3D%C3%A4");
        assert!(check("sources.xecm.url", "https://cs.example.com/otcs/cs.exe").is_ok());
        assert!(
            check("sources.xecm.url", "cs.example.com").is_err()
                && check("sources.xecm.url", "file:///etc").is_err()
        );
    }
}
