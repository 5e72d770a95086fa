//! People: who there is, as OTDS or a SCIM 2.0 service says, read page by page to the end or not at all.
//!
//! A listing is whole or there is none: one that broke off would look like people who are gone. Nothing is
//! written here, neither there nor to the directory; what becomes of a listing is decided by whoever asked.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;

use super::Unusable;
use super::http::{self, Http};
use crate::event::{Person, Span, Timestamp};

mod asking;
mod keep;
mod memory;
mod otds;
mod scim;
mod settle;

use asking::Asking;
pub use keep::{Spoken, kept};
use memory::Memory;
use settle::Raw;

/// The most pages of one list: beyond them it has no end.
const MOST_PAGES: usize = 20_000;

/// Where people are listed, and how to ask there.
#[derive(Debug, Clone)]
pub struct Access {
    /// What it speaks.
    pub kind: Kind,
    /// OTDS: its address above `/otdsws`; SCIM: the one above `/Users`.
    pub url: String,
    /// Whose people they are.
    pub tenant: String,
    /// The only partition to read; with SCIM, what follows the `@` of a user id.
    pub partition: Option<String>,
    /// How to sign in.
    pub sign_in: SignIn,
    /// Groups whose names begin like this are roles, and are called by what follows.
    pub role_prefix: String,
    /// How many people are asked for at once.
    pub page_size: u32,
    /// How long one answer may take.
    pub patience: Duration,
    /// How long a service that can say what was changed is asked for that alone.
    pub whole_every: Duration,
    /// Where it is kept what was read, so that the next run need not ask for everybody.
    pub memory: Option<PathBuf>,
}

/// What a service that lists people speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// OpenText Directory Services, by its own REST calls.
    Otds,
    /// SCIM 2.0.
    Scim,
}

/// How to sign in.
#[derive(Debug, Clone)]
pub enum SignIn {
    /// Not at all: a service on the same machine.
    None,
    /// A bearer token for an OAuth client.
    Client {
        /// Where tokens are fetched.
        token_url: String,
        /// The client.
        client_id: String,
        /// Its secret.
        client_secret: SecretString,
    },
    /// OTDS alone: a ticket for a user.
    Password {
        /// The user.
        username: String,
        /// Their password.
        password: SecretString,
    },
}

/// Everybody there is.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The people, each once.
    pub people: Vec<Person>,
    /// What the source says of people at all.
    pub spoken: Spoken,
    /// Whether nobody can have been passed over: only then somebody who is not listed is gone.
    pub is_settled: bool,
    /// How many groups and managers were named that are listed nowhere.
    pub unknown: usize,
    /// Since when changes alone were asked for; none where everybody was. Of who is gone such a listing knows nothing.
    pub since: Option<Timestamp>,
}

/// Why there is no listing. Nothing of it may be used.
#[derive(Debug, thiserror::Error)]
pub enum NoListing {
    /// The sign-in is refused, also when it is new.
    #[error("{url} does not let `bugle` in: {why}")]
    NotSignedIn {
        /// What was asked.
        url: String,
        /// The answer.
        why: String,
    },
    /// It refuses the question.
    #[error("{url} refuses with {status}: {said}")]
    Refused {
        /// What was asked.
        url: String,
        /// The answer's status.
        status: u16,
        /// The beginning of its text.
        said: String,
    },
    /// It fails, again and again.
    #[error("{url} cannot be read: {why}, {tries} times")]
    Failing {
        /// What was asked.
        url: String,
        /// How it failed the last time.
        why: String,
        /// How often it was asked.
        tries: u32,
    },
    /// It wants to be left alone for longer than anybody waits here.
    #[error("{url} wants to be left alone for {wait}")]
    Later {
        /// What was asked.
        url: String,
        /// For how long.
        wait: Span,
    },
    /// Its pages do not end.
    #[error("{url} gives the same page again, or too many: {pages} so far")]
    Endless {
        /// What was asked.
        url: String,
        /// How many there were.
        pages: usize,
    },
    /// It changes all the time.
    #[error("{url} changed while it was read, {readings} times")]
    Unsteady {
        /// What was asked.
        url: String,
        /// How often it was read.
        readings: u32,
    },
    /// Nobody is listed.
    #[error("{url} lists nobody")]
    Nobody {
        /// What was asked.
        url: String,
    },
    /// Nobody would have a role.
    #[error("of the {people} people at {url} nobody has a role")]
    NoRoles {
        /// What was asked.
        url: String,
        /// How many people there are.
        people: usize,
    },
}

/// What is told while pages come: people so far, and how many there will be, where it is known.
pub type Watch<'w> = &'w mut dyn FnMut(usize, Option<u64>);

/// A source of people. It remembers its sign-in and, where it can ask for changes alone, what it has read.
pub struct PeopleSource {
    access: Access,
    asking: Asking,
    read: scim::Read,
    memory: Option<Memory>,
}

// === impl NoListing ===

impl NoListing {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotSignedIn { .. } => {
                "check `directory.client_id`, its secret, and that the client may read users"
            }
            Self::Refused { .. } => "check `directory.url` and `directory.partition`; nothing was written",
            Self::Failing { .. } | Self::Later { .. } | Self::Unsteady { .. } => {
                "run it again later; nothing was written"
            }
            Self::Endless { .. } => {
                "check the service, or set another `directory.page_size`; nothing was written"
            }
            Self::Nobody { .. } => {
                "check `directory.partition`, and that the client may read users; nothing was written"
            }
            Self::NoRoles { .. } => {
                "check `directory.role_prefix`, and that the client may read groups; nothing was written"
            }
        }
    }
}

// === impl PeopleSource ===

impl PeopleSource {
    /// A source that has read nothing yet.
    ///
    /// # Errors
    /// When the address is none, or the machine cannot do TLS.
    pub fn new(access: Access) -> Result<Self, Unusable> {
        http::check("directory.url", &access.url)?;
        if let SignIn::Client { token_url, .. } = &access.sign_in {
            http::check("directory.token_url", token_url)?;
        }
        let http = Http::new(access.patience)?;
        let asking = Asking::new(http, access.sign_in.clone(), base(&access).to_owned());
        let memory = access.memory.as_deref().map(|file| Memory::new(file, &access));
        let read = memory.as_ref().map(Memory::recall).unwrap_or_default();
        Ok(Self { access, asking, read, memory })
    }

    /// Everybody is asked for the next time, whatever was read before.
    pub fn forget(&mut self) {
        self.read = scim::Read::default();
    }

    /// Keeps what was read for the next run, where somebody said in which file.
    ///
    /// # Errors
    /// What the file system said.
    pub fn remember(&self) -> io::Result<()> {
        self.memory.as_ref().map_or(Ok(()), |memory| memory.keep(&self.read))
    }

    /// Reads everybody; where the source can, only what was changed since the last time.
    ///
    /// # Errors
    /// [`NoListing`]: there is none, not even a part.
    pub async fn list(&mut self, watch: Watch<'_>) -> Result<Listing, NoListing> {
        let listing = match self.access.kind {
            Kind::Otds => otds::read(&mut self.asking, &self.access, watch).await?,
            Kind::Scim => scim::read(&mut self.asking, &self.access, &mut self.read, watch).await?,
        };
        let url = || base(&self.access).to_owned();
        match listing.people.len() {
            0 => Err(NoListing::Nobody { url: url() }),
            people if listing.people.iter().all(|person| person.roles.is_empty()) => {
                Err(NoListing::NoRoles { url: url(), people })
            }
            _ => Ok(listing),
        }
    }
}

fn base(access: &Access) -> &str {
    access.url.trim_end_matches('/')
}

/// An address with a question behind it.
fn asked(base: &str, path: &str, question: &[(&str, &str)]) -> String {
    let url = format!("{base}{path}");
    Url::parse_with_params(&url, question).map_or(url, String::from)
}

/// What groups are called, and which groups they belong to themselves, by the source's key.
#[derive(Debug, Default)]
struct Groups {
    names: BTreeMap<String, String>,
    above: BTreeMap<String, Vec<String>>,
}
