//! Key: what a rule counts by, as text. Equal text is the same thing, and no two things have equal text.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::event::Change;
use crate::event::change::Slot;
use crate::event::shape::slot;

use super::rule::Named;

/// `tenant|source|name=value|…`; `None` when a value is absent.
pub(super) fn key(change: &Change<'_>, fields: &[Named]) -> Option<String> {
    let mut text = start_of_key(change);
    for (name, slot) in fields {
        let value = value_text(change, *slot)?;
        text.push('|');
        put(&mut text, name, &value);
    }
    Some(text)
}

pub(super) fn start_of_key(change: &Change<'_>) -> String {
    let mut text = String::with_capacity(64);
    escape(&mut text, change.tenant());
    text.push('|');
    text.push_str(change.shape().source.as_str());
    text
}

pub(super) fn put(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push('=');
    escape(out, value);
}

/// A bar inside a value would let two different keys read the same.
fn escape(out: &mut String, value: &str) {
    if !value.bytes().any(|byte| byte == b'|' || byte == b'\\') {
        return out.push_str(value);
    }
    for c in value.chars() {
        if c == '|' || c == '\\' {
            out.push('\\');
        }
        out.push(c);
    }
}

pub(super) fn value_text<'c>(change: &'c Change<'_>, at: u16) -> Option<Cow<'c, str>> {
    match change.slot(at) {
        Slot::Absent => None,
        Slot::Bool(truth) => Some(truth.to_string().into()),
        Slot::Int(number) => Some(number.to_string().into()),
        Slot::Double(number) => Some(number.to_string().into()),
        Slot::Text(..) | Slot::Symbol(_) => change.text(at).map(Cow::Borrowed),
        Slot::List(..) => {
            let mut text = String::new();
            for item in change.texts(at) {
                let _ = write!(text, "{}:{item},", item.len());
            }
            Some(text.into())
        }
    }
}

/// A field as text; `None` when the kind has none of that path, or the change no value.
#[must_use]
pub fn text_of<'c>(change: &'c Change<'_>, path: &str) -> Option<Cow<'c, str>> {
    change.shape().slot(path).and_then(|slot| value_text(change, slot))
}

/// The entity: what a rule counts by when it names nothing else.
pub(super) fn entity() -> Vec<Named> {
    vec![("entity.type".to_owned(), slot::ENTITY_TYPE), ("entity.id".to_owned(), slot::ENTITY_ID)]
}
