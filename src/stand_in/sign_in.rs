//! Sign-in: who may submit, and the token service of those who sign in with tokens.

use std::collections::HashMap;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64_simd::STANDARD;
use secrecy::{ExposeSecret, SecretString};

use super::contract::Refusal;

/// What the stand-in asks of a client.
#[derive(Debug, Clone, Default)]
pub enum SignIn {
    /// Nothing.
    #[default]
    Open,
    /// HTTP Basic with this user and password.
    Basic(String, SecretString),
    /// A bearer token, fetched with this client id and secret.
    Bearer(String, SecretString),
}

/// The sign-ins at work.
pub(super) struct Gate {
    sign_in: SignIn,
    issued: u64,
    /// How many submits each token has paid for.
    tokens: HashMap<String, u64>,
}

// === impl Gate ===

impl Gate {
    pub(super) fn new(sign_in: SignIn) -> Self {
        Self { sign_in, issued: 0, tokens: HashMap::new() }
    }

    /// Lets a request in or says why not. A submit uses its sign-in up by one of `uses`; 0 is no limit.
    pub(super) fn admit(&mut self, headers: &HeaderMap, uses: u64) -> Result<(), Refusal> {
        let refusal = |why: &str| Err(Refusal::new(401, "UNAUTHENTICATED", why));
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match &self.sign_in {
            SignIn::Open => {}
            SignIn::Basic(user, password) if given == basic(user, password) => {}
            SignIn::Bearer(..)
                if given.strip_prefix("Bearer ").is_some_and(|token| self.tokens.contains_key(token)) => {}
            SignIn::Basic(..) => return refusal("the user or the password is wrong"),
            SignIn::Bearer(..) => return refusal("the token is unknown or has expired"),
        }
        if uses > 0 {
            let token = given.strip_prefix("Bearer ").unwrap_or(given).to_owned();
            let used = self.tokens.entry(token).or_default();
            if *used >= uses {
                return refusal("the token has expired");
            }
            *used += 1;
        }
        Ok(())
    }

    /// A new token for a client that knows its secret.
    pub(super) fn token(&mut self, headers: &HeaderMap) -> Option<String> {
        let SignIn::Bearer(client, secret) = &self.sign_in else { return None };
        let given = headers.get(AUTHORIZATION)?.to_str().ok()?;
        if given != basic(client, secret) {
            return None;
        }
        self.issued += 1;
        let token = format!("stand-in-token-{}", self.issued);
        self.tokens.insert(token.clone(), 0);
        Some(token)
    }
}

fn basic(user: &str, password: &SecretString) -> String {
    format!("Basic {}", STANDARD.encode_to_string(format!("{user}:{}", password.expose_secret())))
}
