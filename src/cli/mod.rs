//! Front desk: one file per verb; the home of clap and of every printed word.

use std::fmt;

pub mod stand_in;

/// Why a verb failed, in words for the person at the terminal.
#[derive(Debug)]
pub struct Failure {
    /// The fact, with paths and identifiers.
    pub message: String,
    /// What to do, in the imperative.
    pub hint: Option<String>,
    /// 1 failed, 2 usage, 78 bad configuration.
    pub exit: u8,
}

/// What a verb ends with: the exit code, 0 when all is fine.
pub type Done = Result<u8, Failure>;

// === impl Failure ===

impl Failure {
    /// Something did not work: exit code 1.
    #[must_use]
    pub fn failed(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), hint: None, exit: 1 }
    }

    /// The files or settings are wrong: exit code 78.
    #[must_use]
    pub fn configuration(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), hint: None, exit: 78 }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}
