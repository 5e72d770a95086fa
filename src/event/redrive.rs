//! Redrive: what a record says that is a dead letter on its way again, and for whom it is then.
//!
//! It is for those alone who could not use it: everybody else has heard it. Which letter it was is what it is
//! known by, so that a letter sent twice is heard once.

use super::record::Header;

/// The header that names the letter, `partition-offset`.
pub const REDRIVEN: &str = "bugle.redrive";
/// The header that names the only rule it is for.
pub const FOR_RULE: &str = "bugle.redrive.rule";
/// The header that names the only subject it is for.
pub const FOR_SUBJECT: &str = "bugle.redrive.subject";

/// Whom a record is for, where it is a dead letter on its way again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redrive<'a> {
    /// The letter.
    pub letter: &'a str,
    /// The only rule.
    pub rule: Option<&'a str>,
    /// The only subject.
    pub subject: Option<&'a str>,
}

// === impl Redrive ===

impl<'a> Redrive<'a> {
    /// What the headers of a record say.
    #[must_use]
    pub fn of(headers: &'a [Header]) -> Option<Self> {
        let text = |name: &str| {
            let found = headers.iter().find(|(header, _)| header == name);
            found.and_then(|(_, value)| std::str::from_utf8(value.as_deref()?).ok())
        };
        Some(Self { letter: text(REDRIVEN)?, rule: text(FOR_RULE), subject: text(FOR_SUBJECT) })
    }

    /// Whether it is for this rule at this subject.
    #[must_use]
    pub fn is_for(&self, rule: &str, subject: &str) -> bool {
        self.rule.is_none_or(|only| only == rule) && self.subject.is_none_or(|only| only == subject)
    }
}
