//! Fault: what is wrong in one file, where exactly, and what to write instead.
//!
//! A fault never stops the search for the next one; whoever loads gathers them all and shows them at
//! once. Nothing here decides what is a fault.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::directory::LoadError;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// A file as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Sheet {
    /// Its path, as shown to people.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// A stretch of a file, in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

/// A value and where it stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Spot<T> {
    /// What stands there.
    pub value: T,
    /// Where.
    pub at: Place,
}

/// Something wrong in a file of the topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file's path.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The fact.
    pub message: String,
    /// What to do, in the imperative.
    pub hint: String,
    /// A stable word for the kind of fault: `unknown-field`.
    pub code: &'static str,
    at: Place,
    sheet: Arc<Sheet>,
}

/// How a fault is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Plain text.
    Plain,
    /// With terminal colours.
    Colour,
}

/// The faults found so far.
#[derive(Debug, Clone, Default)]
pub struct Faults(Vec<Fault>);

// === impl Sheet ===

impl Sheet {
    /// The file's name, wherever it lies.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit(['/', '\\']).next().unwrap_or_default()
    }

    /// Where `length` bytes from `offset` on of the text at `spot` stand in the file. Exact for plain
    /// and quoted texts on one line; in a folded block the stretch is looked for, and when it cannot be
    /// found the whole text is meant.
    #[must_use]
    pub fn inside(&self, spot: &Spot<String>, offset: usize, length: usize) -> Place {
        let raw = self.text.get(spot.at.start..spot.at.end).unwrap_or_default();
        let end = (offset + length).min(spot.value.len());
        let shifted =
            |by: usize| Place { start: spot.at.start + by + offset.min(end), end: spot.at.start + by + end };
        if raw.trim_end() == spot.value {
            return shifted(0);
        }
        if raw.get(1..raw.len().saturating_sub(1)) == Some(spot.value.as_str()) {
            return shifted(1);
        }
        let wanted = spot.value.get(offset..end).unwrap_or_default();
        let seen_before = match spot.value.get(..offset) {
            Some(before) if !wanted.is_empty() => before.matches(wanted).count(),
            _ => return spot.at,
        };
        match raw.match_indices(wanted).nth(seen_before) {
            Some((at, _)) => Place { start: spot.at.start + at, end: spot.at.start + at + wanted.len() },
            None => spot.at,
        }
    }

    /// The same stretch, widened so that it begins and ends between two letters of the file. A reader
    /// that counts in bytes may point into the middle of one.
    fn whole_letters(&self, at: Place) -> Place {
        let start = self.text.floor_char_boundary(at.start.min(self.text.len()));
        let end = self.text.ceil_char_boundary(at.end.clamp(start, self.text.len().max(start)));
        Place { start, end }
    }

    /// Line and column of a byte, both counted from 1, columns in characters.
    #[must_use]
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte.min(self.text.len())).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

// === impl Spot ===

impl<T> Spot<T> {
    /// The same place with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Spot<U> {
        Spot { value: change(self.value), at: self.at }
    }
}

// === impl Fault ===

impl Fault {
    /// The fault as a good compiler shows it: the fact, the lines it stands in, and help.
    #[must_use]
    pub fn render(&self, paint: Paint) -> String {
        let length = self.sheet.text.len();
        let start = self.at.start.min(length);
        let line_end =
            self.sheet.text.get(start..).and_then(|rest| rest.find('\n')).map_or(length, |at| start + at);
        // A stretch over many lines would print them all; its first line says enough.
        let end = self.at.end.clamp(start, line_end.max(start));
        let snippet = Snippet::source(self.sheet.text.as_str())
            .path(self.file.as_str())
            .annotation(AnnotationKind::Primary.span(start..end));
        let group = Level::ERROR.primary_title(self.message.as_str()).id(self.code).element(snippet);
        let group = match self.hint.is_empty() {
            true => group,
            false => group.element(Level::HELP.message(self.hint.as_str())),
        };
        match paint {
            Paint::Plain => Renderer::plain().render(&[group]),
            Paint::Colour => Renderer::styled().render(&[group]),
        }
    }
}

/// One line: `topology/xecm.yaml:12:5: unknown field …`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

// === impl Faults ===

impl Faults {
    /// Notes a fault of kind `code` at `at` in `sheet`. `told` is the fact and what to do about it.
    pub fn add(
        &mut self,
        sheet: &Arc<Sheet>,
        at: Place,
        code: &'static str,
        told: (impl Into<String>, impl Into<String>),
    ) {
        let at = sheet.whole_letters(at);
        let (line, column) = sheet.position(at.start);
        self.0.push(Fault {
            file: sheet.path.clone(),
            line,
            column,
            message: told.0.into(),
            hint: told.1.into(),
            code,
            at,
            sheet: Arc::clone(sheet),
        });
    }

    /// Notes what is wrong with a file of people, each fault in its line; `beside` is said with each.
    pub fn people(&mut self, (file, error): (&Path, &LoadError), beside: &str) {
        let text = match error {
            LoadError::Faults(_) => std::fs::read(file).unwrap_or_default(),
            _ => Vec::new(),
        };
        let text = String::from_utf8_lossy(&text).into_owned();
        let sheet = Arc::new(Sheet { path: file.display().to_string(), text });
        let LoadError::Faults(faults) = error else {
            let hint = error.hint().unwrap_or_default();
            return self.add(&sheet, Place::default(), "bad-people", (format!("{error}{beside}"), hint));
        };
        for fault in faults {
            let before = usize::try_from(fault.line.saturating_sub(1)).unwrap_or(usize::MAX);
            let start = sheet.text.split_inclusive('\n').take(before).map(str::len).sum();
            let line = sheet.text.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
            let at = Place { start, end: start + line.len() };
            let hint = fault.hint.as_deref().unwrap_or("correct this line; nothing of the file was loaded");
            let fact = format!("{}{}{beside}", fault.place, fault.message);
            self.add(&sheet, at, "bad-people", (fact, hint));
        }
    }

    /// These and others.
    #[must_use]
    pub fn with(mut self, others: Vec<Fault>) -> Self {
        self.0.extend(others);
        self
    }

    /// Whether nothing is wrong so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them in reading order, each once.
    #[must_use]
    pub fn sorted(mut self) -> Vec<Fault> {
        self.0.sort_by(|a, b| (&a.file, a.at, a.code, &a.message).cmp(&(&b.file, b.at, b.code, &b.message)));
        self.0.dedup();
        self.0
    }
}

/// The one of `known` that `word` was probably meant to be.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, candidate)| {
            let starts = word.len() > 2 && candidate.starts_with(word);
            let distance = strsim::damerau_levenshtein(word, candidate);
            *likeness > 0.8 && (starts || distance <= word.len().max(4) / 2)
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// A hint for an unknown word: the nearest known one, else all of them when they are few.
pub fn suggest(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("write `{near}`"),
        None if known.len() <= 16 => format!("write one of {}", listed(known)),
        None => "see `bugle check --print-schema rules`, or `scenarios`, for all names".to_owned(),
    }
}

/// The words in backquotes, with commas between them.
pub fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(text: &str) -> Arc<Sheet> {
        Arc::new(Sheet { path: "topology/xecm.yaml".to_owned(), text: text.to_owned() })
    }

    #[test]
    fn a_fault_shows_its_line_and_what_to_write() {
        let mut faults = Faults::default();
        let at = Place { start: 8, end: 14 };
        faults.add(
            &sheet("id: a\n  mesage: x\n"),
            at,
            "unknown-field",
            ("unknown field `mesage`", "write `message`"),
        );
        let faults = faults.sorted();
        assert_eq!(faults[0].to_string(), "topology/xecm.yaml:2:3: unknown field `mesage`");
        insta::assert_snapshot!(faults[0].render(Paint::Plain), @r"
        error[unknown-field]: unknown field `mesage`
         --> topology/xecm.yaml:2:3
          |
        2 |   mesage: x
          |   ^^^^^^
          |
          = help: write `message`
        ");
    }

    #[test]
    fn a_stretch_of_a_quoted_or_folded_text_is_found_in_the_file() {
        let sheet = sheet("if: 'a == b'\nif: >-\n  a ==\n  b\n");
        let quoted = Spot { value: "a == b".to_owned(), at: Place { start: 4, end: 12 } };
        assert_eq!(sheet.inside(&quoted, 5, 1), Place { start: 10, end: 11 });
        let folded = Spot { value: "a == b".to_owned(), at: Place { start: 17, end: 31 } };
        assert_eq!(sheet.position(sheet.inside(&folded, 5, 1).start), (4, 3));
    }

    #[test]
    fn only_a_near_word_is_suggested() {
        assert_eq!(nearest("mesage", ["message", "match"]), Some("message"));
        assert_eq!(nearest("colour", ["message", "match"]), None);
    }
}
