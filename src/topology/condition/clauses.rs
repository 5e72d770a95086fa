//! Clauses: a condition taken apart at its top `&&`, each part with its answer and the fields it read.
//!
//! For showing why a rule did or did not want a change; a rule itself asks [`Condition::holds`].

use crate::event::Change;

use super::eval::Term;
use super::{Condition, RuleFault};

/// One part of a condition, for one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// As written.
    pub text: String,
    /// What it says of the change.
    pub holds: Result<bool, RuleFault>,
    /// The fields it reads, by slot; of a map the name besides.
    pub reads: Vec<(u16, Option<String>)>,
}

// === impl Condition ===

impl Condition {
    /// The parts between the outermost `&&` of `text`, from which this condition was read.
    #[must_use]
    pub fn clauses(&self, text: &str, change: &Change<'_>) -> Vec<Clause> {
        let (mut terms, texts) = (Vec::new(), parts(text));
        flatten(&self.term, &mut terms);
        if terms.len() != texts.len() {
            // Written in a way that cannot be taken apart: it is shown whole.
            let reads = reads(&self.term);
            return vec![Clause { text: tidy(text), holds: self.holds(change), reads }];
        }
        let clause = |(term, text): (&Term, &str)| Clause {
            text: tidy(text),
            holds: Self { term: term.clone() }.holds(change),
            reads: reads(term),
        };
        terms.into_iter().zip(texts).map(clause).collect()
    }
}

fn flatten<'t>(term: &'t Term, out: &mut Vec<&'t Term>) {
    match term {
        Term::And(left, right) => {
            flatten(left, out);
            flatten(right, out);
        }
        other => out.push(other),
    }
}

/// The text between `&&` that stand in no bracket and no quote; all of it where an `||` stands there too.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quote) = (Vec::new(), 0, 0_usize, None);
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, b'(' | b'[') => depth += 1,
            (None, b')' | b']') => depth = depth.saturating_sub(1),
            (None, b'|' | b'?') if depth == 0 => return vec![text],
            (None, b'&') if depth == 0 && bytes.get(at + 1) == Some(&b'&') => {
                parts.push(&text[start..at]);
                (start, at) = (at + 2, at + 1);
            }
            _ => {}
        }
        at += 1;
    }
    parts.push(&text[start..]);
    parts
}

fn tidy(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn reads(term: &Term) -> Vec<(u16, Option<String>)> {
    let mut slots = Vec::new();
    collect(term, &mut slots);
    let mut seen = Vec::new();
    slots.retain(|read| {
        let new = !seen.contains(read);
        seen.push(read.clone());
        new
    });
    slots
}

fn collect(term: &Term, out: &mut Vec<(u16, Option<String>)>) {
    match term {
        Term::Fixed(_) => {}
        Term::Slot(slot, _) | Term::Count(slot) => out.push((*slot, None)),
        Term::Present(slots) => out.extend(slots.first().map(|slot| (*slot, None))),
        Term::Entry(slot, name) => out.push((*slot, Some(name.clone()))),
        Term::Size(of) | Term::Not(of) | Term::InFixed(of, _) => collect(of, out),
        Term::InSlot(of, slot) => {
            collect(of, out);
            out.push((*slot, None));
        }
        Term::And(left, right)
        | Term::Or(left, right)
        | Term::Compare(_, left, right)
        | Term::Sum(_, left, right)
        | Term::Text(_, left, right) => {
            collect(left, out);
            collect(right, out);
        }
        Term::If(parts) => parts.iter().for_each(|part| collect(part, out)),
    }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn a_condition_is_cut_between_its_outermost_ands() {
        assert_eq!(parts("a && (b && c) && d == \"x && y\""), ["a ", " (b && c) ", " d == \"x && y\""]);
        assert_eq!(parts("a && b || c"), ["a && b || c"]);
        assert_eq!(parts("(a || b) && size(c) > 0"), ["(a || b) ", " size(c) > 0"]);
    }
}
