//! Push: the settings of the push service and its accounts.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::Deserialize;

use super::sections::span;
use crate::event::Span;

/// The push service.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PushSettings {
    /// How it is spoken to.
    pub transport: Transport,
    /// Its base URL.
    pub url: String,
    /// The account batches are sent with.
    pub account: String,
    /// Basic authentication.
    pub username: Option<String>,
    /// Basic authentication.
    pub password: Option<SecretString>,
    /// OAuth 2 client credentials instead: where tokens are fetched.
    pub token_url: Option<String>,
    /// OAuth 2: the client.
    pub client_id: Option<String>,
    /// OAuth 2: its secret.
    pub client_secret: Option<SecretString>,
    /// The app pushes are for.
    pub target: String,
    /// The most requests under way at once, per process.
    pub in_flight: u32,
    /// How long one request may take.
    #[serde(deserialize_with = "span")]
    pub timeout: Span,
    /// How many MiB of batches that were not taken in time are set aside, per account and partition.
    pub parked_mib: u32,
    /// What becomes of more than that while the account may not send.
    pub when_blocked: WhenBlocked,
    /// Secrets that sign the reply tokens, by key id; at least 16 bytes each.
    pub signing_keys: BTreeMap<String, SecretString>,
    /// The key that signs new tokens; the others still verify old ones. One alone needs no choice.
    pub signing_key: Option<String>,
    /// Hosts a link in a push may lead to; empty: no links.
    pub link_hosts: Vec<String>,
}

/// What becomes of batches for an account that may not send, when no more of them can be set aside.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenBlocked {
    /// They end untold, as `account_blocked`, and nobody else waits.
    #[default]
    Refuse,
    /// Their partition waits, and with it whoever shares it.
    Pause,
}

/// How the push service is spoken to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// OpenText Push Notifications for Cloud Messaging.
    #[default]
    Mra,
}

// === impl Default ===

impl Default for PushSettings {
    fn default() -> Self {
        Self {
            transport: Transport::default(),
            url: "http://127.0.0.1:8089".into(),
            account: "default".into(),
            username: None,
            password: None,
            token_url: None,
            client_id: None,
            client_secret: None,
            target: "bugle".into(),
            in_flight: 8,
            timeout: Span::from_secs(10),
            parked_mib: 32,
            when_blocked: WhenBlocked::default(),
            signing_keys: BTreeMap::new(),
            signing_key: None,
            link_hosts: Vec::new(),
        }
    }
}
