//! Messages: the texts of `topology/messages/*.yaml`, by name and locale.
//!
//! A message is cut when it is loaded: what stands in every push is its template, what differs is an
//! insert. Event text only ever fills an insert; it is never read as a template.

mod check;
mod cut;
mod file;
mod filters;
mod text;

use std::sync::Arc;

use super::fault::{Sheet, Spot};

pub(crate) use check::check;
pub use cut::{Cut, MOST_SUMMARY, MOST_TITLE};
pub(crate) use file::read;

/// Cuts a text to at most so many characters, never inside a letter; the last of them is `…` then.
pub fn shorten(text: &mut String, most: usize) {
    let mut cut = std::borrow::Cow::Borrowed(text.as_str());
    text::shorten(&mut cut, most);
    if let std::borrow::Cow::Owned(cut) = cut {
        *text = cut;
    }
}

/// A message in all its locales.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its name.
    pub name: Spot<String>,
    cuts: Vec<Cut>,
    default: usize,
    variables: Arc<[String]>,
    sheet: Arc<Sheet>,
    /// Whether it was read without a fault; what is broken is not checked further.
    is_sound: bool,
}

/// Why a message could not be written for one event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("message `{message}` in `{locale}` cannot be written: {fault}")]
pub struct MessageFault {
    /// The message's name.
    pub message: String,
    /// The locale.
    pub locale: String,
    /// What the template engine said; holds no value of the event.
    pub fault: String,
}

// === impl MessageFault ===

impl MessageFault {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        format!("correct `{}` in topology/messages and run `bugle check`", self.message)
    }
}

// === impl Message ===

impl Message {
    /// The fields its texts use in any locale, by path without `event.`: what a notice must carry.
    #[must_use]
    pub fn variables(&self) -> &[String] {
        &self.variables
    }

    /// The locales it is written in.
    pub fn locales(&self) -> impl Iterator<Item = &str> {
        self.cuts.iter().map(|cut| cut.locale.as_str())
    }

    /// The text for a reader: of the locale itself, of what is left when its last parts are taken away
    /// (`de-CH`, then `de`), else English, else the first written.
    #[must_use]
    pub fn cut(&self, locale: &str) -> &Cut {
        let mut wanted = locale;
        loop {
            if let Some(cut) = self.cuts.iter().find(|cut| cut.locale.eq_ignore_ascii_case(wanted)) {
                return cut;
            }
            match wanted.rsplit_once(['-', '_']) {
                Some((shorter, _)) => wanted = shorter,
                None => return &self.cuts[self.default],
            }
        }
    }
}

#[cfg(test)]
mod tests;
