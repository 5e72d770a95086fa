//! Directory: where `bugle directory sync` finds out who there is.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use super::checks::{address, between};
use super::fault::Problem;
use super::sections::span;
use crate::event::Span;

/// The source of people.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DirectorySettings {
    /// What it speaks.
    pub kind: DirectoryKind,
    /// OTDS: its address above `/otdsws`; SCIM: the one above `/Users`.
    pub url: Option<String>,
    /// Whose people they are.
    pub tenant: Option<String>,
    /// The only partition to read; with SCIM, what follows the `@` of a user id.
    pub partition: Option<String>,
    /// An OAuth client that may read users and groups.
    pub client_id: Option<String>,
    /// Its secret.
    pub client_secret: Option<SecretString>,
    /// SCIM: where tokens are fetched. OTDS has a place of its own.
    pub token_url: Option<String>,
    /// OTDS: a user that signs in instead of a client.
    pub username: Option<String>,
    /// Their password.
    pub password: Option<SecretString>,
    /// Groups whose names begin like this are roles, and are called by what follows.
    pub role_prefix: String,
    /// How many people are asked for at once.
    pub page_size: u32,
    /// How long one answer may take.
    #[serde(deserialize_with = "span")]
    pub timeout: Span,
    /// How long changes alone are asked for, where the source can say them.
    #[serde(deserialize_with = "span")]
    pub whole_every: Span,
    /// The file that keeps what was read, so that the next run asks for changes alone; it names people.
    pub memory: Option<PathBuf>,
}

/// What a source of people speaks.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DirectoryKind {
    /// OpenText Directory Services.
    #[default]
    Otds,
    /// SCIM 2.0.
    Scim,
}

impl Default for DirectorySettings {
    fn default() -> Self {
        Self {
            kind: DirectoryKind::default(),
            url: None,
            tenant: None,
            partition: None,
            client_id: None,
            client_secret: None,
            token_url: None,
            username: None,
            password: None,
            role_prefix: String::new(),
            page_size: 250,
            timeout: Span::from_secs(30),
            whole_every: Span::from_secs(24 * 60 * 60),
            memory: None,
        }
    }
}

/// What is wrong with the settings of the source, and what somebody should know.
pub(super) fn check(settings: &DirectorySettings, problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) {
    let secret = settings.client_secret.is_some() || settings.password.is_some();
    for (name, url) in [("directory.url", &settings.url), ("directory.token_url", &settings.token_url)] {
        let Some(url) = url else { continue };
        address(name, url, secret, (problems, warnings));
    }
    let mut wrong = |fact: &str, hint: &str| problems.push(Problem::new("directory", fact).hint(hint));
    if settings.client_id.is_some() != settings.client_secret.is_some() {
        wrong("a client and its secret go together", "set both `client_id` and `client_secret`, or neither");
    }
    if settings.username.is_some() != settings.password.is_some() {
        wrong("username and password go together", "set both `username` and `password`, or neither");
    }
    if settings.client_id.is_some() && settings.username.is_some() {
        wrong("one signs in in one way, and two are set", "keep the client, or the user");
    }
    match settings.kind {
        DirectoryKind::Scim if settings.client_id.is_some() && settings.token_url.is_none() => {
            wrong("with SCIM nobody knows where tokens are fetched", "set `directory.token_url`");
        }
        DirectoryKind::Scim if settings.username.is_some() => {
            wrong("SCIM takes no user and password here", "set `client_id`, `client_secret` and `token_url`");
        }
        _ => {}
    }
    if settings.url.is_some()
        && settings.tenant.as_ref().is_none_or(|tenant| tenant.is_empty() || tenant.contains('|'))
    {
        wrong("it is not said whose people they are", "set `directory.tenant`, without `|`");
    }
    if !(1..=2_000).contains(&settings.page_size) {
        wrong("`page_size` lies between 1 and 2000", "write 250, the default");
    }
    between("directory.timeout", settings.timeout, ["1s", "5m"], problems);
    between("directory.whole_every", settings.whole_every, ["1m", "30d"], problems);
}
