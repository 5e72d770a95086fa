//! Accounts: which push account a tenant's people are told by, and what its requests may hold.

use std::collections::BTreeMap;

/// The push accounts.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    /// The account of tenants that have none of their own.
    usual: String,
    /// By tenant.
    own: BTreeMap<String, String>,
    /// By name.
    terms: BTreeMap<String, Terms>,
}

/// What one account takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// What one request may hold.
    pub holds: Holds,
}

/// What the pushes of one request may have of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Holds {
    /// Each its own inserts.
    #[default]
    Differing,
    /// Nothing: all get the same text, and who can answer is alone in it, for a reply token is one person's.
    OneText,
}

// === impl Accounts ===

impl Accounts {
    /// One account for everybody.
    #[must_use]
    pub fn one(name: &str) -> Self {
        Self { usual: name.to_owned(), ..Self::default() }
    }

    /// A tenant has an account of its own.
    #[must_use]
    pub fn with_tenant(mut self, tenant: &str, account: &str) -> Self {
        self.own.insert(tenant.to_owned(), account.to_owned());
        self
    }

    /// What an account takes.
    #[must_use]
    pub fn with_terms(mut self, account: &str, terms: Terms) -> Self {
        self.terms.insert(account.to_owned(), terms);
        self
    }

    /// The account a tenant's people are told by.
    #[must_use]
    pub fn of(&self, tenant: &str) -> &str {
        self.own.get(tenant).unwrap_or(&self.usual)
    }

    /// What an account takes; of one that nobody configured, what is usual.
    #[must_use]
    pub fn terms(&self, account: &str) -> Terms {
        self.terms.get(account).copied().unwrap_or_default()
    }
}
