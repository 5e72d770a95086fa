//! Sources: where the source systems are, as far as answers are carried back into them.

use secrecy::SecretString;
use serde::Deserialize;

use super::sections::span;
use crate::event::Span;

/// The source systems. Answers for one without a URL wait until it has one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourcesSettings {
    /// Content Server, for Extended ECM and Business Workspaces.
    pub xecm: ContentServerSettings,
    /// xConnector.
    pub xconnector: ServiceSettings,
    /// Developer Admin.
    pub devadmin: ServiceSettings,
    /// How long one request may take.
    #[serde(deserialize_with = "span")]
    pub timeout: Span,
}

/// Content Server, and the directory services that say who somebody is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContentServerSettings {
    /// Its address, which ends in `/otcs/cs.exe` or `/cs/cs`.
    pub url: Option<String>,
    /// The address of OTDS, above `/otdsws`.
    pub otds_url: Option<String>,
    /// An OAuth client of OTDS that may act for others.
    pub client_id: Option<String>,
    /// Its secret.
    pub client_secret: Option<SecretString>,
    /// The partition of people whose id names none.
    pub partition: Option<String>,
    /// The keys or labels of a task that approve it.
    pub approve: Vec<String>,
    /// Those that reject it.
    pub reject: Vec<String>,
}

/// A service that is spoken to with one token of its own.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceSettings {
    /// Its base URL.
    pub url: Option<String>,
    /// The bearer token, where it asks for one.
    pub token: Option<SecretString>,
}

impl Default for SourcesSettings {
    fn default() -> Self {
        Self {
            xecm: ContentServerSettings::default(),
            xconnector: ServiceSettings::default(),
            devadmin: ServiceSettings::default(),
            timeout: Span::from_secs(10),
        }
    }
}

impl Default for ContentServerSettings {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            url: None,
            otds_url: None,
            client_id: None,
            client_secret: None,
            partition: None,
            approve: words(&["approve", "approved", "genehmigen"]),
            reject: words(&["reject", "rejected", "ablehnen"]),
        }
    }
}
