//! Messages: the texts of `topology/messages/*.yaml`, by name and locale.
//!
//! A message is cut when it is loaded: what stands in every push is its template, what differs is an
//! insert. Event text only ever fills an insert; it is never read as a template.

mod check;
mod cut;
mod file;
mod filters;
mod habits;
mod links;
mod plural;
mod text;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::fault::{Faults, Sheet, Spot};
use crate::event::{Shape, Timestamp, Value};

pub(crate) use check::check;
pub use cut::{Cut, MOST_SUMMARY, MOST_TITLE};
pub(crate) use file::{is_locale, read};
pub use links::Links;

/// What a text may say of an answer: who gave it, which it was, and why the source system did not carry it out.
pub const ANSWER: [&str; 3] = ["answer.by", "answer.verb", "answer.refused"];

/// Cuts a text to at most so many characters, never inside a letter; the last of them is `…` then.
pub fn shorten(text: &mut String, most: usize) {
    let mut cut = std::borrow::Cow::Borrowed(text.as_str());
    text::shorten(&mut cut, most);
    if let std::borrow::Cow::Owned(cut) = cut {
        *text = cut;
    }
}

/// Whom a text is written for, and when.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'r> {
    /// BCP 47.
    pub locale: &'r str,
    /// IANA name; an unknown one counts as UTC.
    pub zone: &'r str,
    /// When it is written.
    pub now: Timestamp,
    /// How many changes it stands for.
    pub count: u32,
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

// === impl Reader ===

impl Default for Reader<'_> {
    fn default() -> Self {
        Self { locale: "en", zone: "UTC", now: Timestamp::default(), count: 1 }
    }
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

    /// Whether it can be written for a change, in each of its locales. `check` has seen to that but for texts that
    /// compute something of the values: of those each is tried.
    ///
    /// # Errors
    /// What keeps it from being written.
    pub fn can_be_written(
        &self,
        values: &[(&str, Value<'_>)],
        reader: Reader<'_>,
    ) -> Result<(), MessageFault> {
        let computed = self.cuts.iter().filter(|cut| cut.computes());
        let several = Reader { count: reader.count.max(2), ..reader };
        for cut in computed {
            for reader in [reader, several] {
                let reader = Reader { locale: &cut.locale, ..reader };
                cut.of(reader.count).inserts(values, reader, &Links::default())?;
            }
        }
        Ok(())
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

/// Notes every message that is not written in a language which others are written in: who reads that language
/// would get some pushes in another. What is written in the `defaults` of the rules is looked at beside the rules.
pub(crate) fn complete<'m>(
    messages: impl Iterator<Item = &'m Message> + Clone,
    defaults: &BTreeSet<&str>,
    faults: &mut Faults,
) {
    let locales = messages.clone().flat_map(Message::locales);
    let mut languages: BTreeSet<&str> = locales.map(habits::language).collect();
    languages.retain(|language| !defaults.contains(language));
    for message in messages.filter(|message| message.is_sound) {
        for language in &languages {
            if habits::language(&message.cut(language).locale) != *language {
                let name = &message.name;
                let fact = format!("message `{}` has no text in `{language}`, and others have", name.value);
                let hint = format!("add `{language}:` to `{}`", name.value);
                faults.add(&message.sheet, name.at, "missing-locale", (fact, hint));
            }
        }
    }
}

/// Notes every message that no rule names, and what is wrong with it by itself: `anything` has the fields of all kinds.
pub(crate) fn idle<'m>(
    messages: impl Iterator<Item = &'m Message>,
    (named, anything): (&BTreeSet<&str>, &Shape),
    faults: &mut Faults,
) {
    for message in messages.filter(|message| !named.contains(message.name.value.as_str())) {
        let name = &message.name;
        let fact = format!("no rule says `{}`", name.value);
        let hint = format!("write `message: {}` where it is to be said, or take it out", name.value);
        faults.add(&message.sheet, name.at, "unused", (fact, hint));
        check(message, anything, faults);
    }
}

#[cfg(test)]
mod tests;
