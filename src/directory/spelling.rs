//! Spelling: the words of an audience expression, and how one is written.
//!
//! What is written here, `expression` reads back as the same audience.

use std::fmt;

use super::expression::{Ends, is_end};
use crate::event::audience::{Audience, Bound, BoundAudience, Piece, Relation, Table, Term};

pub(super) const TABLES: [(&str, Table); 5] = [
    ("role", Table::Role),
    ("location", Table::Location),
    ("unit", Table::Unit),
    ("person", Table::Person),
    ("party", Table::Party),
];

pub(super) const RELATIONS: [(&str, Relation); 4] = [
    ("assignees", Relation::Assignees),
    ("owner", Relation::Owner),
    ("requester", Relation::Requester),
    ("followers", Relation::Followers),
];

/// What a `member:` term may be about.
pub const SCOPES: [&str; 4] = ["workspace", "process", "app", "record"];

pub(super) const WORDS: [&str; 13] = [
    "role:",
    "location:",
    "unit:",
    "person:",
    "party:",
    "member:",
    "assignees",
    "owner",
    "requester",
    "followers",
    "supervisor",
    "backup",
    "addressed",
];
// === impl Audience ===

/// The text [`super::parse`] reads back as the same audience.
impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(table, term) => {
                let name = TABLES.iter().find(|(_, known)| known == table).map_or("", |(name, _)| name);
                write!(f, "{name}:{term}")
            }
            Self::Member(scope, id, role) => {
                write!(f, "member:{scope}/")?;
                write_term(f, id, Ends::Slash)?;
                let Some(role) = role else { return Ok(()) };
                f.write_str("/")?;
                write_term(f, role, Ends::Slash)
            }
            Self::Addressed => f.write_str("addressed"),
            Self::Related(Relation::Supervisor) => f.write_str("supervisor(assignees)"),
            Self::Related(Relation::Backup) => f.write_str("backup(assignees)"),
            Self::Related(relation) => {
                let name = RELATIONS.iter().find(|(_, known)| known == relation).map_or("", |(name, _)| name);
                f.write_str(name)
            }
            Self::SupervisorOf(of) => write!(f, "supervisor({of})"),
            Self::BackupOf(of) => write!(f, "backup({of})"),
            Self::All(parts) => write_joined(f, parts, " && "),
            Self::Any(parts) => write_joined(f, parts, " || "),
            Self::Not(of) => {
                f.write_str("!")?;
                write_operand(f, of)
            }
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_term(f, self, Ends::Path)
    }
}

fn write_joined(f: &mut fmt::Formatter<'_>, parts: &[Audience], operator: &str) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(operator)?;
        }
        write_operand(f, part)?;
    }
    Ok(())
}

fn write_operand(f: &mut fmt::Formatter<'_>, audience: &Audience) -> fmt::Result {
    match audience {
        Audience::All(_) | Audience::Any(_) => write!(f, "({audience})"),
        _ => write!(f, "{audience}"),
    }
}

fn write_term(f: &mut fmt::Formatter<'_>, term: &Term, ends: Ends) -> fmt::Result {
    term.0.iter().try_for_each(|piece| match piece {
        Piece::Field(path) => write!(f, "{{event.{path}}}"),
        Piece::Literal(text) => write_text(f, text, ends),
    })
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str, ends: Ends) -> fmt::Result {
    let quotes = |c: char| is_end(c) || "{}\"'\\,;".contains(c) || (c == '/' && ends == Ends::Slash);
    match text.contains(quotes) {
        true => write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        false => f.write_str(text),
    }
}

/// The most names of one term that are written out.
const MOST_NAMES: usize = 8;

// === impl Bound ===

/// The text an expression would have with these values; of very many names some are left out.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty(path) => write!(f, "{{{path}}}"),
            Self::In(table, names) => write_names(f, names, |f, name| {
                f.write_str(TABLES.iter().find(|(_, known)| known == table).map_or("", |(word, _)| word))?;
                f.write_str(":")?;
                write_text(f, name, Ends::Path)
            }),
            Self::Member(scope, ids, roles) => write_names(f, ids, |f, id| {
                write!(f, "member:{scope}/")?;
                write_text(f, id, Ends::Slash)?;
                if let Some((first, more)) = roles.split_first() {
                    f.write_str("/")?;
                    write_text(f, first, Ends::Slash)?;
                    more.iter().try_for_each(|role| {
                        f.write_str(",")?;
                        write_text(f, role, Ends::Slash)
                    })?;
                }
                Ok(())
            }),
            Self::SupervisorOf(of) => write!(f, "supervisor({of})"),
            Self::BackupOf(of) => write!(f, "backup({of})"),
            Self::All(parts) => write_bound(f, parts, " && "),
            Self::Any(parts) => write_bound(f, parts, " || "),
            Self::Not(of) => {
                f.write_str("!")?;
                write_inner(f, of)
            }
        }
    }
}

// === impl BoundAudience ===

/// The expression; behind it ` else ` and the fallback, ` never ` and whom not.
impl fmt::Display for BoundAudience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.tell)?;
        if let Some(fallback) = &self.fallback {
            write!(f, " else {fallback}")?;
        }
        match &self.never {
            Some(never) => write!(f, " never {never}"),
            None => Ok(()),
        }
    }
}

fn write_names(
    f: &mut fmt::Formatter<'_>,
    names: &[String],
    one: impl Fn(&mut fmt::Formatter<'_>, &str) -> fmt::Result,
) -> fmt::Result {
    for (index, name) in names.iter().take(MOST_NAMES).enumerate() {
        if index > 0 {
            f.write_str(" || ")?;
        }
        one(f, name)?;
    }
    match names.len().saturating_sub(MOST_NAMES) {
        0 if names.is_empty() => f.write_str("nobody"),
        0 => Ok(()),
        more => write!(f, " || … {more} more"),
    }
}

fn write_bound(f: &mut fmt::Formatter<'_>, parts: &[Bound], operator: &str) -> fmt::Result {
    if parts.is_empty() {
        return f.write_str("nobody");
    }
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(operator)?;
        }
        write_inner(f, part)?;
    }
    Ok(())
}

fn write_inner(f: &mut fmt::Formatter<'_>, bound: &Bound) -> fmt::Result {
    let several = match bound {
        Bound::All(parts) | Bound::Any(parts) => parts.len() > 1,
        Bound::In(_, names) | Bound::Member(_, names, _) => names.len() > 1,
        _ => false,
    };
    if several { write!(f, "({bound})") } else { write!(f, "{bound}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::expression::parse;
    use super::*;

    fn term() -> impl Strategy<Value = Term> {
        let text = prop_oneof!["[a-zA-Z0-9_.@:-]{1,6}", "[ -~äß/]{0,5}[a-z]"].prop_map(Piece::Literal);
        let field = "[a-z]{1,4}(\\.[a-z_]{1,4})?"
            .prop_filter("is no field", |path| path != "event" && !path.starts_with("event."))
            .prop_map(Piece::Field);
        prop::collection::vec((prop::option::of(text), prop::option::of(field)), 1..3).prop_filter_map(
            "names nobody",
            |pairs| {
                let mut pieces: Vec<Piece> = Vec::new();
                for piece in pairs.into_iter().flat_map(|(text, field)| [text, field]).flatten() {
                    match (pieces.last_mut(), piece) {
                        (Some(Piece::Literal(before)), Piece::Literal(text)) => before.push_str(&text),
                        (_, piece) => pieces.push(piece),
                    }
                }
                (!pieces.is_empty()).then_some(Term(pieces))
            },
        )
    }

    fn audience() -> impl Strategy<Value = Audience> {
        let leaf = prop_oneof![
            (prop::sample::select(&TABLES[..]), term())
                .prop_map(|((_, table), term)| Audience::In(table, term)),
            (prop::sample::select(&SCOPES[..]), term(), prop::option::of(term()))
                .prop_map(|(scope, id, role)| Audience::Member(scope.to_owned(), id, role)),
            prop::sample::select(&RELATIONS[..]).prop_map(|(_, relation)| Audience::Related(relation)),
            Just(Audience::Addressed),
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(Audience::All),
                prop::collection::vec(inner.clone(), 2..4).prop_map(Audience::Any),
                inner.clone().prop_map(|of| Audience::Not(Box::new(of))),
                inner.clone().prop_map(|of| Audience::SupervisorOf(Box::new(of))),
                inner.prop_map(|of| Audience::BackupOf(Box::new(of))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(audience in audience()) {
            prop_assert_eq!(parse(&audience.to_string()), Ok(audience));
        }

        #[test]
        fn no_text_is_a_panic(text in ".{0,40}", terms in "[a-z:{}()!&|\"'/\\\\ .]{0,40}") {
            for text in [text, terms] {
                if let Err(fault) = parse(&text) {
                    prop_assert!(text.is_char_boundary(fault.offset) && fault.offset + fault.length <= text.len());
                }
            }
        }
    }
}
