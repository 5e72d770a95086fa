//! Offices: the source systems, as far as answers are carried back into them, behind one trait.
//!
//! A client carries an answer out or looks whether it was carried out, and says what came of it in the words
//! of [`Came`]. It never tries again on its own account, save once after renewing a ticket: what to do about an
//! outcome is decided in `flow::write_back`.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use secrecy::SecretString;

use crate::event::write_back::{Ask, Came, WriteBack};
use crate::event::{Source, Span};

mod content_server;
mod developer_admin;
mod followups;
mod http;
pub mod people;
mod tickets;
mod workspaces;
mod xconnector;

use http::Http;
use tickets::Tickets;

/// What a source system answers with, later.
pub type Reply<'a> = Pin<Box<dyn Future<Output = Came> + Send + 'a>>;

/// The source systems.
pub trait SourceSystems: Send + Sync {
    /// Carries an answer out, or looks whether it was. Answers within about 30 s, whatever the other side does.
    fn call<'a>(&'a self, ask: Ask, answer: &'a WriteBack) -> Reply<'a>;
}

/// Where the source systems are. One that is not said is not called: its answers wait.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    /// Content Server, for Extended ECM and Business Workspaces.
    pub content_server: Option<ContentServer>,
    /// xConnector.
    pub xconnector: Option<Service>,
    /// Developer Admin.
    pub devadmin: Option<Service>,
}

/// Content Server, spoken to as whoever answered.
#[derive(Debug, Clone)]
pub struct ContentServer {
    /// Its address, which ends in `/otcs/cs.exe` or `/cs/cs`.
    pub url: String,
    /// The address of OTDS, above `/otdsws`.
    pub otds_url: String,
    /// An OAuth client of OTDS that may act for others.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// The partition of people whose id names none.
    pub partition: Option<String>,
    /// The keys or labels of a task that approve it.
    pub approve: Vec<String>,
    /// Those that reject it.
    pub reject: Vec<String>,
}

/// A service that is spoken to with one token of its own.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its base URL.
    pub url: String,
    /// The bearer token, where it asks for one.
    pub token: Option<SecretString>,
}

/// Why source systems cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// An address is none.
    #[error("`{setting}`: `{url}` is not an http or https address")]
    Address {
        /// Which setting.
        setting: &'static str,
        /// What was given.
        url: String,
    },
    /// The HTTP client cannot start.
    #[error("the HTTP client cannot start: {0}")]
    Client(#[from] reqwest::Error),
}

/// The clients of all source systems.
pub struct Offices {
    http: Http,
    addresses: Addresses,
    tickets: Tickets,
}

/// How long one call may take, all its requests together: `flow::write_back` relies on it.
const LONGEST_CALL: Duration = Duration::from_secs(30);
/// How long a system that nobody has configured is left alone before it is looked for again.
const NOT_CONFIGURED: Span = Span::from_secs(60);

// === impl Unusable ===

impl Unusable {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Address { setting, .. } => {
                format!("give `{setting}` an address such as https://service.example.com")
            }
            Self::Client(_) => "check that the machine's certificate store can be read".to_owned(),
        }
    }
}

// === impl Offices ===

impl Offices {
    /// Clients that wait so long for one answer.
    ///
    /// # Errors
    /// When an address is none, or the machine cannot do TLS.
    pub fn new(addresses: Addresses, patience: Duration) -> Result<Self, Unusable> {
        let services = [
            ("sources.xconnector.url", &addresses.xconnector),
            ("sources.devadmin.url", &addresses.devadmin),
        ];
        for (setting, service) in services {
            if let Some(service) = service {
                http::check(setting, &service.url)?;
            }
        }
        if let Some(server) = &addresses.content_server {
            http::check("sources.xecm.url", &server.url)?;
            http::check("sources.xecm.otds_url", &server.otds_url)?;
        }
        Ok(Self { http: Http::new(patience)?, addresses, tickets: Tickets::default() })
    }

    async fn carry(&self, ask: Ask, answer: &WriteBack) -> Came {
        let came = match (answer.source, &self.addresses) {
            (Source::Xecm | Source::Bws, Addresses { content_server: Some(server), .. }) => {
                content_server::call(&self.http, (server, &self.tickets), ask, answer).await
            }
            (Source::XConnector, Addresses { xconnector: Some(service), .. }) => {
                xconnector::call(&self.http, service, answer).await
            }
            (Source::DevAdmin, Addresses { devadmin: Some(service), .. }) => {
                developer_admin::call(&self.http, service, ask, answer).await
            }
            _ => Err(Came::TryLater(Some(NOT_CONFIGURED), "not-configured")),
        };
        came.unwrap_or_else(|came| came)
    }
}

impl SourceSystems for Offices {
    fn call<'a>(&'a self, ask: Ask, answer: &'a WriteBack) -> Reply<'a> {
        Box::pin(async move {
            let came = tokio::time::timeout(LONGEST_CALL, self.carry(ask, answer)).await;
            came.unwrap_or(Came::Unknown("timeout"))
        })
    }
}
