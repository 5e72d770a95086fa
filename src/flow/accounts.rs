//! Accounts: which push account a tenant's people are told by, and what its requests may hold.

use std::collections::BTreeMap;

use crate::event::{Span, hash128};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What one request may hold.
    pub holds: Holds,
    /// The most requests under way at once.
    pub in_flight: u32,
    /// The most destinations a minute; 0 is no limit.
    pub rate: u32,
    /// Whether its service can be asked which batches it took.
    pub tells_jobs: bool,
    /// How long after it took a batch it is first asked what became of it; never where nobody asks.
    pub follow_after: Option<Span>,
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

// === impl Terms ===

impl Default for Terms {
    fn default() -> Self {
        Self { holds: Holds::default(), in_flight: 8, rate: 0, tells_jobs: true, follow_after: None }
    }
}

/// The partition of `bugle.pushes` for what one partition of people has for an account. An account's batches
/// are spread evenly, so that each partition has its share of what the account allows.
#[must_use]
pub fn shard_of(account: &str, people: i32, pushes: u32) -> i32 {
    let pushes = u64::from(pushes.max(1));
    let first = u64::try_from(hash128([account.as_bytes()]) % u128::from(pushes)).unwrap_or(0);
    let next = u64::from(people.unsigned_abs());
    i32::try_from((first + next) % pushes).unwrap_or(0)
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

    /// What an account takes from one partition of `bugle.pushes`: of its rate, the share of the people who
    /// are told from there. Whoever holds more partitions has a larger share.
    #[must_use]
    pub fn share(&self, account: &str, partition: i32, (people, pushes): (u32, u32)) -> Terms {
        let terms = self.terms(account);
        let all = i32::try_from(people.max(1)).unwrap_or(i32::MAX);
        let here = (0..all).filter(|from| shard_of(account, *from, pushes) == partition).count();
        // What another number of partitions left behind goes out slowly, and not never.
        let rate = u64::from(terms.rate) * here.max(1) as u64 / u64::from(people.max(1));
        let rate = if terms.rate == 0 { 0 } else { u32::try_from(rate).unwrap_or(u32::MAX).max(1) };
        Terms { rate, ..terms }
    }

    /// What an account takes; of one that nobody configured, what is usual.
    #[must_use]
    pub fn terms(&self, account: &str) -> Terms {
        self.terms.get(account).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_spread_evenly_and_its_shares_make_up_its_rate() {
        for (people, pushes) in [(4, 4), (8, 3), (3, 8), (12, 5)] {
            let rate = 600_000;
            let accounts = Accounts::one("main").with_terms("main", Terms { rate, ..Terms::default() });
            let mut batches = vec![0_u32; pushes as usize];
            for from in 0..people {
                batches[usize::try_from(shard_of("main", from, pushes)).unwrap()] += 1;
            }
            let used = || batches.iter().filter(|count| **count > 0);
            assert!(used().max().unwrap() - used().min().unwrap() <= 1, "{batches:?}");
            assert_eq!(used().count(), usize::try_from(people).unwrap().min(pushes as usize));
            let share = |at: usize| {
                let at = i32::try_from(at).unwrap();
                accounts.share("main", at, (u32::try_from(people).unwrap(), pushes)).rate
            };
            let shares: u32 =
                batches.iter().enumerate().filter(|(_, count)| **count > 0).map(|(at, _)| share(at)).sum();
            assert!(rate - shares < 10, "{shares}");
        }
        assert_eq!(Accounts::one("main").share("main", 0, (4, 4)).rate, 0, "no limit is none anywhere");
    }
}
