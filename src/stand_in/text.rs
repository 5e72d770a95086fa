//! Text: a template with `{{1}}`, `{{2}}` … and how long it gets once they are filled.

use std::borrow::Cow;

use serde::Deserialize;

/// One value of a destination.
#[derive(Deserialize)]
pub(super) struct Insert<'a> {
    /// The number in the braces.
    pub(super) id: u32,
    /// What stands there instead.
    #[serde(borrow)]
    pub(super) value: Cow<'a, str>,
}

/// A text in pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Plain(String),
    Insert(u32),
}

/// How long a text is once filled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Length {
    pub(super) bytes: usize,
    pub(super) chars: usize,
}

/// Finds an insert; those of our own client stand in order, so the first look mostly succeeds.
pub(super) fn find<'a>(inserts: &'a [Insert<'_>], id: u32) -> Option<&'a str> {
    let at = usize::try_from(id).ok()?.checked_sub(1)?;
    inserts
        .get(at)
        .filter(|insert| insert.id == id)
        .or_else(|| inserts.iter().find(|insert| insert.id == id))
        .map(|insert| insert.value.as_ref())
}

// === impl Text ===

impl Text {
    /// Braces that hold no number are plain text.
    pub(super) fn read(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(open) = rest.find("{{") {
            let id = rest[open + 2..].split_once("}}").and_then(|(id, _)| Some((id.len(), id.parse().ok()?)));
            if let Some((digits, id)) = id {
                plain.push_str(&rest[..open]);
                if !plain.is_empty() {
                    pieces.push(Piece::Plain(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Insert(id));
                rest = &rest[open + digits + 4..];
            } else {
                // One brace on, for `{{{1}}` holds an insert.
                plain.push_str(&rest[..=open]);
                rest = &rest[open + 1..];
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Plain(plain));
        }
        Self { pieces }
    }

    /// The numbers of the inserts it holds.
    pub(super) fn inserts(&self) -> impl Iterator<Item = u32> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Plain(_) => None,
            Piece::Insert(id) => Some(*id),
        })
    }

    /// Its length once filled; the number of an insert that is not there, otherwise.
    pub(super) fn measure(&self, inserts: &[Insert<'_>]) -> Result<Length, u32> {
        let mut length = Length::default();
        for piece in &self.pieces {
            let part = match piece {
                Piece::Plain(text) => text,
                Piece::Insert(id) => find(inserts, *id).ok_or(*id)?,
            };
            length.bytes += part.len();
            length.chars += part.chars().count();
        }
        Ok(length)
    }

    /// The text with its inserts filled; an insert that is not there is nothing.
    pub(super) fn fill<'a>(&self, value: impl Fn(u32) -> Option<&'a str>) -> String {
        let mut filled = String::new();
        for piece in &self.pieces {
            filled.push_str(match piece {
                Piece::Plain(text) => text,
                Piece::Insert(id) => value(*id).unwrap_or_default(),
            });
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> String {
        let inserts = [
            Insert { id: 2, value: "two".into() },
            Insert { id: 1, value: "{{2}}".into() },
            Insert { id: 3, value: "drei ä".into() },
        ];
        let text = Text::read(text);
        let filled = text.fill(|id| find(&inserts, id));
        if let Ok(length) = text.measure(&inserts) {
            assert_eq!(length, Length { bytes: filled.len(), chars: filled.chars().count() });
        }
        filled
    }

    #[test]
    fn inserts_are_filled_once_and_by_their_number() {
        assert_eq!(filled("a {{2}} b {{3}}{{2}}"), "a two b drei ätwo");
        assert_eq!(filled("{{1}}"), "{{2}}");
        assert_eq!(filled("{{{2}}}"), "{two}");
    }

    #[test]
    fn braces_without_a_number_stay_as_they_are() {
        for text in ["", "{{", "{{x}}", "{{ 1 }}", "}}{{", "{{-1}}", "ä{{ö"] {
            assert_eq!(filled(text), text);
        }
    }

    #[test]
    fn a_missing_insert_is_named() {
        assert_eq!(Text::read("{{1}} {{9}}").measure(&[Insert { id: 1, value: "".into() }]), Err(9));
    }
}
