//! Push: the settings of the push service and its accounts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use super::sections::span;
use crate::event::Span;

/// The push service: the usual account, others, and what all of them share.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PushSettings {
    /// How the usual account's service is spoken to.
    pub transport: Transport,
    /// Its base URL.
    pub url: String,
    /// The usual account's name.
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
    /// AppWorks: the app whose notifications they are.
    pub app: Option<String>,
    /// AppWorks: the secret that the gateway shares with it (`otagAppKey`).
    pub app_key: Option<SecretString>,
    /// Webhook: the file with the form of a request; none: the form built in.
    pub body: Option<PathBuf>,
    /// Webhook: secrets (`whsec_…`) that sign each request.
    pub webhook_secrets: Vec<SecretString>,
    /// Other accounts, by name.
    pub accounts: BTreeMap<String, AccountSettings>,
    /// The app pushes are for.
    pub target: String,
    /// The most requests under way at once, per account and process.
    pub in_flight: u32,
    /// The most destinations a minute that the usual account allows, all instances together; 0 is no limit.
    pub rate: u32,
    /// How long one request may take.
    #[serde(deserialize_with = "span")]
    pub timeout: Span,
    /// Cloud messaging: how long after it took a batch it is first asked what became of its pushes; 0 is never.
    #[serde(deserialize_with = "span")]
    pub follow_after: Span,
    /// How many MiB of batches that were not taken in time are set aside, per account and partition.
    pub parked_mib: u32,
    /// What becomes of more than that while the account may not send.
    pub when_blocked: WhenBlocked,
    /// Secrets that sign the reply tokens, by key id; at least 16 bytes each.
    pub signing_keys: BTreeMap<String, SecretString>,
    /// The key that signs new tokens; the others still verify old ones. One alone needs no choice.
    pub signing_key: Option<String>,
    /// Hosts a link in a push may lead to: `cs.example.com`, `*.example.com`, or `*` for any; empty: no links.
    pub link_hosts: Vec<String>,
}

/// One account beside the usual one; each setting means what it means there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountSettings {
    /// How its service is spoken to.
    pub transport: Transport,
    /// Its base URL.
    pub url: String,
    /// Basic authentication.
    pub username: Option<String>,
    /// Basic authentication.
    pub password: Option<SecretString>,
    /// OAuth 2.
    pub token_url: Option<String>,
    /// OAuth 2.
    pub client_id: Option<String>,
    /// OAuth 2.
    pub client_secret: Option<SecretString>,
    /// AppWorks.
    pub app: Option<String>,
    /// AppWorks.
    pub app_key: Option<SecretString>,
    /// Webhook.
    pub body: Option<PathBuf>,
    /// Webhook.
    pub webhook_secrets: Vec<SecretString>,
    /// The most destinations a minute.
    pub rate: u32,
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

/// How a push service is spoken to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// OpenText Push Notifications for Cloud Messaging.
    #[default]
    Mra,
    /// An OpenText AppWorks Gateway.
    Appworks,
    /// A service of any other kind: a signed request in a form of its own.
    Webhook,
}

// === impl PushSettings ===

impl PushSettings {
    /// Every account with its name, the usual one first.
    #[must_use]
    pub fn each(&self) -> Vec<(&str, AccountSettings)> {
        let usual = AccountSettings {
            transport: self.transport,
            url: self.url.clone(),
            username: self.username.clone(),
            password: self.password.clone(),
            token_url: self.token_url.clone(),
            client_id: self.client_id.clone(),
            client_secret: self.client_secret.clone(),
            app: self.app.clone(),
            app_key: self.app_key.clone(),
            body: self.body.clone(),
            webhook_secrets: self.webhook_secrets.clone(),
            rate: self.rate,
        };
        let others = self.accounts.iter().map(|(name, account)| (name.as_str(), account.clone()));
        std::iter::once((self.account.as_str(), usual)).chain(others).collect()
    }
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
            app: None,
            app_key: None,
            body: None,
            webhook_secrets: Vec::new(),
            accounts: BTreeMap::new(),
            target: "bugle".into(),
            in_flight: 8,
            rate: 0,
            timeout: Span::from_secs(10),
            follow_after: Span::ZERO,
            parked_mib: 32,
            when_blocked: WhenBlocked::default(),
            signing_keys: BTreeMap::new(),
            signing_key: None,
            link_hosts: Vec::new(),
        }
    }
}
