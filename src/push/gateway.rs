//! Gateway: whose session a token of the AppWorks Gateway is.
//!
//! The gateway is asked and nobody else: a token means nothing by itself. What it said is believed for a short while,
//! so that somebody who is signed out is heard for no longer than that. When it cannot be asked, nobody is proven to
//! be anybody.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::appworks::KEY_HEADER;
use super::client::{Unusable, body_up_to};
use crate::clock::Tick;

/// The header that a signed-in client's token comes in, and goes on to the gateway.
pub const TOKEN_HEADER: &str = "otagtoken";
/// The longest token.
const MOST_TOKEN_BYTES: usize = 4_096;
/// The most bytes of an answer.
const MOST_BYTES: usize = 64 * 1024;
/// The most sessions that are remembered.
const MOST_KNOWN: usize = 10_000;
/// The most questions under way at once: who floods the door with tokens does not flood the gateway.
const MOST_ASKED: usize = 16;

/// Where the gateway is, and how long its word counts.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// Its base URL.
    pub url: String,
    /// The app whose users they are.
    pub app: String,
    /// Whose people they are.
    pub tenant: String,
    /// The secret that the gateway shares with it.
    pub key: SecretString,
    /// Which of its names for somebody the directory knows them by.
    pub known_by: KnownBy,
    /// For how long it is not asked again about a session.
    pub keep: Duration,
    /// How long it may take to answer.
    pub timeout: Duration,
}

/// A gateway's name for somebody.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownBy {
    /// `userID`.
    #[default]
    UserId,
    /// `userName`.
    UserName,
}

/// Asks a gateway.
pub struct Gateway {
    http: reqwest::Client,
    url: reqwest::Url,
    settings: GatewaySettings,
    /// Sessions by the hash of their token, and until when they are believed.
    known: Mutex<HashMap<[u8; 32], (Session, Tick)>>,
    places: Semaphore,
}

/// Somebody who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose person.
    pub tenant: String,
    /// Their id in the directory.
    pub user_id: String,
    /// Their client.
    pub client_id: Option<String>,
}

/// Why nobody is proven to be anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// The gateway knows no such session.
    #[error("the gateway knows no session with this token; sign in again")]
    NotSignedIn,
    /// It could not be asked.
    #[error("the gateway could not be asked whose session this is; send it again")]
    Unavailable,
}

/// What the gateway says of a session.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    #[serde(rename = "clientID", default)]
    client_id: Option<String>,
    #[serde(rename = "userID", default)]
    user_id: Option<String>,
    #[serde(default)]
    user_name: Option<String>,
}

// === impl Session ===

impl Session {
    /// Whether it is this person's. An id alone says nothing: another tenant may have given the same.
    #[must_use]
    pub fn is_of(&self, tenant: &str, user_id: &str) -> bool {
        !self.tenant.is_empty() && self.tenant == tenant && self.user_id == user_id
    }
}

// === impl Gateway ===

impl Gateway {
    /// Nobody is known yet.
    ///
    /// # Errors
    /// When the address is none, or the machine cannot do TLS.
    pub fn new(settings: GatewaySettings) -> Result<Self, Unusable> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("bugle/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(settings.timeout)
            .build()?;
        let below = |base: &str| {
            let url = base.parse::<reqwest::Url>().ok()?;
            let mut url =
                Some(url).filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())?;
            let path = ["deployments", "auth", &settings.app, "user"];
            url.path_segments_mut().ok()?.pop_if_empty().extend(path);
            Some(url)
        };
        let url = below(&settings.url).ok_or_else(|| Unusable::Address {
            account: "answers.gateway".to_owned(),
            url: settings.url.clone(),
        })?;
        let (known, places) = (Mutex::default(), Semaphore::new(MOST_ASKED));
        Ok(Self { http, url, settings, known, places })
    }

    /// Whose session a token is.
    ///
    /// # Errors
    /// [`Unproven`].
    pub async fn whose(&self, token: &str) -> Result<Session, Unproven> {
        if token.is_empty() || token.len() > MOST_TOKEN_BYTES {
            return Err(Unproven::NotSignedIn);
        }
        let hash: [u8; 32] = Sha256::digest(token).into();
        if let Some((session, since)) = self.known().get(&hash)
            && since.elapsed() < self.settings.keep
        {
            return Ok(session.clone());
        }
        let _place = self.places.try_acquire().map_err(|_| Unproven::Unavailable)?;
        let session = self.ask(token).await?;
        let mut known = self.known();
        if known.len() >= MOST_KNOWN {
            known.retain(|_, (_, since)| since.elapsed() < self.settings.keep);
        }
        if known.len() < MOST_KNOWN {
            known.insert(hash, (session.clone(), Tick::now()));
        }
        Ok(session)
    }

    async fn ask(&self, token: &str) -> Result<Session, Unproven> {
        let secret = |text: &str| {
            let mut value = HeaderValue::from_str(text).map_err(|_| Unproven::NotSignedIn)?;
            value.set_sensitive(true);
            Ok(value)
        };
        let asked = self
            .http
            .get(self.url.clone())
            .header(HeaderName::from_static(KEY_HEADER), secret(self.settings.key.expose_secret())?)
            .header(HeaderName::from_static(TOKEN_HEADER), secret(token)?);
        let answer = asked.send().await.map_err(|_| Unproven::Unavailable)?;
        match answer.status().as_u16() {
            200 => {}
            // Of a key that the gateway does not know it says the same: nobody is heard until that is mended.
            401 | 403 | 404 => return Err(Unproven::NotSignedIn),
            _ => return Err(Unproven::Unavailable),
        }
        let body = body_up_to(MOST_BYTES, answer).await.map_err(|_| Unproven::Unavailable)?;
        let user: User = serde_json::from_slice(&body).map_err(|_| Unproven::Unavailable)?;
        let user_id = match self.settings.known_by {
            KnownBy::UserId => user.user_id,
            KnownBy::UserName => user.user_name,
        };
        let user_id = user_id.filter(|id| !id.is_empty()).ok_or(Unproven::Unavailable)?;
        let tenant = self.settings.tenant.clone();
        Ok(Session { tenant, user_id, client_id: user.client_id.filter(|id| !id.is_empty()) })
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], (Session, Tick)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
