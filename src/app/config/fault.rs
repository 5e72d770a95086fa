//! Fault: everything that is wrong with the settings, found in one go.
//!
//! A problem says where it was written and never repeats the value: it may be a secret.

use std::fmt;

/// One wrong setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `bugle.yaml:3:5`, `BUGLE_KAFKA__BROKERS` or `--set kafka.brokers`.
    pub origin: String,
    /// The fact.
    pub message: String,
    /// What to do, in the imperative.
    pub hint: Option<String>,
}

/// The settings cannot be used. Holds every problem there is, in the order they were found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", list(problems))]
pub struct ConfigFault {
    /// At least one.
    pub problems: Vec<Problem>,
}

// === impl Problem ===

impl Problem {
    /// A problem without a hint.
    pub(super) fn new(origin: impl Into<String>, message: impl Into<String>) -> Self {
        Self { origin: origin.into(), message: message.into(), hint: None }
    }

    /// Adds what to do about it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}
