//! Possible: what a condition can come to when only some of a change's values are known beforehand.
//!
//! It errs on the side of possible: what it does not understand may come out either way, so a rule is
//! never called dead that might speak.

use super::Condition;
use super::eval::{Fixed, Read, Term, compare};
use super::operator::Compare;

/// What is known of a slot before any change comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known<'k> {
    /// It has no value.
    Absent,
    /// It is one of these texts.
    OneOf(&'k [String]),
}

/// How an expression can come out. Neither way: it has no answer, and the rule does not speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Can {
    hold: bool,
    fail: bool,
}

const EITHER: Can = Can { hold: true, fail: true };
const NEITHER: Can = Can { hold: false, fail: false };

// === impl Condition ===

impl Condition {
    /// Whether a change of which this much is known could make it hold.
    #[must_use]
    pub fn can_hold<'k>(&self, known: &dyn Fn(u16) -> Option<Known<'k>>) -> bool {
        can(&self.term, known).hold
    }
}

// === impl Can ===

impl Can {
    const fn be(truth: bool) -> Self {
        Self { hold: truth, fail: !truth }
    }

    const fn not(self) -> Self {
        Self { hold: self.fail, fail: self.hold }
    }
}

fn can<'k>(term: &Term, known: &dyn Fn(u16) -> Option<Known<'k>>) -> Can {
    match term {
        Term::Fixed(Fixed::Bool(truth)) => Can::be(*truth),
        Term::Not(of) => can(of, known).not(),
        Term::And(left, right) => {
            let (left, right) = (can(left, known), can(right, known));
            Can { hold: left.hold && right.hold, fail: left.fail || right.fail }
        }
        Term::Or(left, right) => {
            let (left, right) = (can(left, known), can(right, known));
            Can { hold: left.hold || right.hold, fail: left.fail && right.fail }
        }
        Term::If(parts) => {
            let [asked, then, otherwise] = [0, 1, 2].map(|part| can(&parts[part], known));
            Can {
                hold: (asked.hold && then.hold) || (asked.fail && otherwise.hold),
                fail: (asked.hold && then.fail) || (asked.fail && otherwise.fail),
            }
        }
        Term::Present(slots) => present(slots, known),
        Term::Compare(how, left, right) => compared(*how, (left, right), known),
        Term::InFixed(needle, list) => match fixed_slot(needle, known) {
            Some(Known::Absent) => Can::be(list.contains(&Fixed::Null)),
            Some(Known::OneOf(texts)) => {
                let is_in = |text: &String| list.contains(&Fixed::Text(text.clone()));
                Can { hold: texts.iter().any(is_in), fail: !texts.iter().all(is_in) }
            }
            None => EITHER,
        },
        _ => EITHER,
    }
}

fn present<'k>(slots: &[u16], known: &dyn Fn(u16) -> Option<Known<'k>>) -> Can {
    let mut all_absent = true;
    for slot in slots {
        match known(*slot) {
            Some(Known::OneOf(_)) => return Can::be(true),
            Some(Known::Absent) => {}
            None => all_absent = false,
        }
    }
    if all_absent { Can::be(false) } else { EITHER }
}

fn compared<'k>(
    how: Compare,
    (left, right): (&Term, &Term),
    known: &dyn Fn(u16) -> Option<Known<'k>>,
) -> Can {
    if let (Term::Fixed(left), Term::Fixed(right)) = (left, right) {
        return compare(how, left.val(), right.val()).map_or(NEITHER, Can::be);
    }
    let (slot, other) = match (left, right) {
        (Term::Fixed(fixed), slot) | (slot, Term::Fixed(fixed)) => (fixed_slot(slot, known), fixed),
        _ => return EITHER,
    };
    let equal = match (slot, other) {
        (None, _) => return EITHER,
        (Some(Known::Absent), other) => Can::be(*other == Fixed::Null),
        (Some(Known::OneOf(texts)), Fixed::Text(text)) => {
            Can { hold: texts.contains(text), fail: texts.iter().any(|known| known != text) }
        }
        (Some(Known::OneOf(_)), Fixed::Null) => Can::be(false),
        (Some(Known::OneOf(_)), _) => return EITHER,
    };
    match (how, slot) {
        (Compare::Equal, _) => equal,
        (Compare::Unequal, _) => equal.not(),
        // What is absent is neither more nor less.
        (_, Some(Known::Absent)) => NEITHER,
        _ => EITHER,
    }
}

fn fixed_slot<'k>(term: &Term, known: &dyn Fn(u16) -> Option<Known<'k>>) -> Option<Known<'k>> {
    match term {
        Term::Slot(slot, read) => match known(*slot) {
            Some(Known::OneOf(_)) if *read != Read::Plain => None,
            known => known,
        },
        _ => None,
    }
}
