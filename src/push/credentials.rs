//! Credentials: how an account signs in to the push service.
//!
//! A bearer token is fetched once and shared by all requests of the account; when it is refused, one of
//! them renews it and the others wait. Secrets are never formatted, logged or part of an error.

use std::time::Duration;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::clock::Tick;

/// How an account signs in. Whoever reads the configuration has replaced `${env:X}` and `${file:/p}` already.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// Not at all: a service on the same machine.
    None,
    /// HTTP Basic.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: SecretString,
    },
    /// OAuth 2 with the client credentials grant.
    Bearer {
        /// Where tokens are fetched, such as `https://eu.api.opentext.com/tenants/acme/oauth2/token`.
        token_url: String,
        /// The client.
        client_id: String,
        /// Its secret.
        client_secret: SecretString,
    },
}

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoToken {
    /// The token service cannot be reached or fails: it may work later.
    Unavailable,
    /// It does not know the client, or the secret is wrong.
    Refused,
}

/// An account's way in, with the token it has at the moment.
pub(super) struct Keyholder {
    credentials: Credentials,
    slot: Mutex<Slot>,
}

/// What is known about the token. The lock is held while it is renewed, so that one request renews for all.
#[derive(Default)]
struct Slot {
    /// Grows with every token, so that a late refusal of an old one does not cost the new one.
    number: u64,
    token: Option<Token>,
    failed: Option<(Tick, NoToken)>,
}

struct Token {
    header: HeaderValue,
    fetched: Tick,
    lives: Duration,
}

/// What a request signs in with.
pub(super) struct Pass {
    /// The `Authorization` header, where there is one.
    pub(super) header: Option<HeaderValue>,
    /// Which token it is; 0 when none can be renewed.
    pub(super) number: u64,
}

/// After a failure nobody asks the token service again for so long: those who waited share the answer.
const REST: Duration = Duration::from_secs(1);
/// How long the token service may take. Longer would use up the time of the request itself.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a token service that does not say is taken to mean.
const USUAL_LIFE: Duration = Duration::from_secs(3_600);

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<f64>,
}

// === impl Keyholder ===

impl Keyholder {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self { credentials, slot: Mutex::default() }
    }

    /// What to sign in with. `refused` is the number of a token that was just refused.
    pub(super) async fn pass(&self, http: &reqwest::Client, refused: Option<u64>) -> Result<Pass, NoToken> {
        match &self.credentials {
            Credentials::None => Ok(Pass { header: None, number: 0 }),
            Credentials::Basic { user, password } => {
                Ok(Pass { header: Some(basic(user, password)?), number: 0 })
            }
            Credentials::Bearer { .. } => tokio::time::timeout(PATIENCE, self.bearer(http, refused))
                .await
                .unwrap_or(Err(NoToken::Unavailable)),
        }
    }

    async fn bearer(&self, http: &reqwest::Client, refused: Option<u64>) -> Result<Pass, NoToken> {
        let mut slot = self.slot.lock().await;
        let number = slot.number;
        if refused != Some(number)
            && let Some(token) = slot.token.as_ref().filter(|token| token.fetched.elapsed() < token.lives)
        {
            return Ok(Pass { header: Some(token.header.clone()), number });
        }
        slot.token = None;
        if let Some((since, failure)) = slot.failed
            && since.elapsed() < REST
        {
            return Err(failure);
        }
        match self.fetch(http).await {
            Ok(token) => {
                let header = token.header.clone();
                *slot = Slot { number: number + 1, token: Some(token), failed: None };
                Ok(Pass { header: Some(header), number: number + 1 })
            }
            Err(failure) => {
                slot.failed = Some((Tick::now(), failure));
                Err(failure)
            }
        }
    }

    async fn fetch(&self, http: &reqwest::Client) -> Result<Token, NoToken> {
        let Credentials::Bearer { token_url, client_id, client_secret } = &self.credentials else {
            return Err(NoToken::Refused);
        };
        let answer = http
            .post(token_url)
            .basic_auth(client_id, Some(client_secret.expose_secret()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body("grant_type=client_credentials")
            .send()
            .await
            .map_err(|_| NoToken::Unavailable)?;
        match answer.status().as_u16() {
            200 => {}
            400 | 401 | 403 => return Err(NoToken::Refused),
            _ => return Err(NoToken::Unavailable),
        }
        let body = super::client::whole_body(answer).await.map_err(|_| NoToken::Unavailable)?;
        let granted: Granted = serde_json::from_slice(&body).map_err(|_| NoToken::Unavailable)?;
        let lives = granted.expires_in.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Ok(Token {
            header: secret_header(&format!("Bearer {}", granted.access_token))?,
            fetched: Tick::now(),
            // Renewed while it still holds, so that hardly any request pays for the renewal with a 401.
            lives: lives.unwrap_or(USUAL_LIFE).mul_f64(0.9),
        })
    }
}

fn basic(user: &str, password: &SecretString) -> Result<HeaderValue, NoToken> {
    let pair = format!("{user}:{}", password.expose_secret());
    secret_header(&format!("Basic {}", base64_simd::STANDARD.encode_to_string(pair)))
}

fn secret_header(text: &str) -> Result<HeaderValue, NoToken> {
    let mut header = HeaderValue::from_str(text).map_err(|_| NoToken::Refused)?;
    header.set_sensitive(true);
    Ok(header)
}
