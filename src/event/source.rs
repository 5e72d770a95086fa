//! Source: which of the four OpenText systems a change comes from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A source system. Its name is the first word of its kinds and part of its topic's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// xConnector: integration and process orchestration; also carries CRM, ERP and case systems.
    XConnector,
    /// Extended ECM Platform (Content Server).
    Xecm,
    /// Business Workspaces.
    Bws,
    /// IM Developer Administration.
    DevAdmin,
}

/// A name that is none of the four source systems.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a source system; they are xconnector, xecm, bws and devadmin")]
pub struct UnknownSource(pub String);

// === impl Source ===

impl Source {
    /// All four, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::XConnector, Self::Xecm, Self::Bws, Self::DevAdmin];

    /// `xconnector`, `xecm`, `bws` or `devadmin`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::XConnector => "xconnector",
            Self::Xecm => "xecm",
            Self::Bws => "bws",
            Self::DevAdmin => "devadmin",
        }
    }

    /// The system's name as people know it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::XConnector => "xConnector",
            Self::Xecm => "Extended ECM",
            Self::Bws => "Business Workspaces",
            Self::DevAdmin => "Developer Admin",
        }
    }

    /// The source whose kinds start with the first word of `kind`: `xecm.task.assigned` is `xecm`'s.
    #[must_use]
    pub fn of_kind(kind: &str) -> Option<Self> {
        kind.split_once('.').and_then(|(source, _)| source.parse().ok())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Source {
    type Err = UnknownSource;

    fn from_str(text: &str) -> Result<Self, UnknownSource> {
        Self::ALL
            .into_iter()
            .find(|source| source.as_str() == text)
            .ok_or_else(|| UnknownSource(text.to_owned()))
    }
}
