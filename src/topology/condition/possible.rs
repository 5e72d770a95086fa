//! Possible: whether any change at all could make a condition hold.
//!
//! What a condition compares a field with cuts the field's values into few kinds: below, equal, between, above,
//! absent. One of each is tried, together with one of every other field. What is not understood may come out
//! either way, and where there is too much to try the condition counts as possible: a rule is never called dead
//! that might speak.

use super::Condition;
use super::eval::{Fixed, Term, compare};
use super::operator::Compare;
use crate::event::{FieldType, Shape};

/// What is known of a slot before any change comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known<'k> {
    /// It has no value.
    Absent,
    /// It is one of these texts.
    OneOf(&'k [String]),
}

/// So many combinations are tried.
const MOST_TRIED: usize = 65_536;

/// Something whose value is not known: a field, what is computed from fields, or a test of them.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Unknown<'t> {
    Slot(u16),
    Value(&'t Term),
    Truth(&'t Term),
}

/// The unknowns of a condition, and what each is compared with.
#[derive(Debug, Default)]
struct Trial<'t> {
    unknown: Vec<(Unknown<'t>, Vec<&'t Fixed>)>,
}

/// One value for each unknown.
struct Tried<'t, 'v> {
    of: &'v Trial<'t>,
    values: Vec<&'v Fixed>,
}

// === impl Condition ===

impl Condition {
    /// Whether a change of this shape, of which this much is known, could make it hold.
    #[must_use]
    pub fn can_hold<'k>(&self, shape: &Shape, known: &dyn Fn(u16) -> Option<Known<'k>>) -> bool {
        self.can_be((shape, known), |truth| truth == Some(true))
    }

    /// Whether a change of this shape could keep it from holding.
    #[must_use]
    pub fn can_fail(&self, shape: &Shape) -> bool {
        self.can_be((shape, &|_| None), |truth| truth != Some(true))
    }

    /// Whether it could come out as wanted.
    fn can_be<'k>(
        &self,
        (shape, known): (&Shape, &dyn Fn(u16) -> Option<Known<'k>>),
        wanted: impl Fn(Option<bool>) -> bool,
    ) -> bool {
        let mut trial = Trial::default();
        trial.look(&self.term);
        let values: Vec<Vec<Fixed>> =
            trial.unknown.iter().map(|(unknown, with)| values(*unknown, with, (shape, known))).collect();
        let tries = values.iter().try_fold(1_usize, |tries, values| tries.checked_mul(values.len()));
        if tries.is_none_or(|tries| tries > MOST_TRIED) {
            return true;
        }
        let mut at = vec![0; values.len()];
        loop {
            let chosen = values.iter().zip(&at).filter_map(|(values, at)| values.get(*at)).collect();
            if wanted((Tried { of: &trial, values: chosen }).truth(&self.term)) {
                return true;
            }
            let Some(next) = (0..at.len()).find(|place| at[*place] + 1 < values[*place].len()) else {
                return false;
            };
            at[next] += 1;
            at[..next].fill(0);
        }
    }
}

// === impl Trial ===

impl<'t> Trial<'t> {
    /// Notes what a truth value is found out from.
    fn look(&mut self, term: &'t Term) {
        match term {
            Term::Fixed(_) => {}
            Term::Not(of) => self.look(of),
            Term::And(left, right) | Term::Or(left, right) => {
                self.look(left);
                self.look(right);
            }
            Term::If(parts) => parts.iter().for_each(|part| self.look(part)),
            Term::Slot(slot, _) => self.note(Unknown::Slot(*slot), &[]),
            Term::Present(slots) => match slots.as_slice() {
                [slot] => self.note(Unknown::Slot(*slot), &[]),
                _ => self.note(Unknown::Truth(term), &[]),
            },
            Term::Compare(_, left, right) => match (&**left, &**right) {
                (Term::Fixed(_), Term::Fixed(_)) => {}
                (Term::Fixed(fixed), of) | (of, Term::Fixed(fixed)) => self.note(of.unknown(), &[fixed]),
                _ => self.note(Unknown::Truth(term), &[]),
            },
            Term::InFixed(needle, list) => match &**needle {
                Term::Fixed(_) => {}
                of => self.note(of.unknown(), &list.iter().collect::<Vec<_>>()),
            },
            _ => self.note(Unknown::Truth(term), &[]),
        }
    }

    fn note(&mut self, unknown: Unknown<'t>, with: &[&'t Fixed]) {
        match self.unknown.iter_mut().find(|(known, _)| *known == unknown) {
            Some((_, known)) => known.extend(with),
            None => self.unknown.push((unknown, with.to_vec())),
        }
    }
}

// === impl Tried ===

impl Tried<'_, '_> {
    /// As the condition would come out; `None`: it has no answer, and the rule does not speak.
    fn truth(&self, term: &Term) -> Option<bool> {
        match term {
            Term::Fixed(Fixed::Bool(truth)) => Some(*truth),
            Term::Not(of) => self.truth(of).map(|truth| !truth),
            Term::And(left, right) => match (self.truth(left), self.truth(right)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (left, right) => Some(left? && right?),
            },
            Term::Or(left, right) => match (self.truth(left), self.truth(right)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (left, right) => Some(left? || right?),
            },
            Term::If(parts) => match self.truth(&parts[0])? {
                true => self.truth(&parts[1]),
                false => self.truth(&parts[2]),
            },
            Term::Slot(slot, _) => as_truth(self.value(Unknown::Slot(*slot))?),
            Term::Present(slots) => match slots.as_slice() {
                [slot] => Some(*self.value(Unknown::Slot(*slot))? != Fixed::Null),
                _ => as_truth(self.value(Unknown::Truth(term))?),
            },
            Term::Compare(how, left, right) => match (&**left, &**right) {
                (Term::Fixed(left), Term::Fixed(right)) => compared(*how, left, right),
                (Term::Fixed(left), of) => compared(*how, left, self.value(of.unknown())?),
                (of, Term::Fixed(right)) => compared(*how, self.value(of.unknown())?, right),
                _ => as_truth(self.value(Unknown::Truth(term))?),
            },
            Term::InFixed(needle, list) => {
                let needle = match &**needle {
                    Term::Fixed(fixed) => fixed,
                    of => self.value(of.unknown())?,
                };
                Some(list.iter().any(|fixed| compared(Compare::Equal, needle, fixed) == Some(true)))
            }
            _ => as_truth(self.value(Unknown::Truth(term))?),
        }
    }

    fn value(&self, unknown: Unknown<'_>) -> Option<&Fixed> {
        let at = self.of.unknown.iter().position(|(known, _)| *known == unknown)?;
        self.values.get(at).copied()
    }
}

// === impl Term ===

impl Term {
    fn unknown(&self) -> Unknown<'_> {
        match self {
            Self::Slot(slot, _) => Unknown::Slot(*slot),
            of => Unknown::Value(of),
        }
    }
}

const fn as_truth(value: &Fixed) -> Option<bool> {
    match value {
        Fixed::Bool(truth) => Some(*truth),
        _ => None,
    }
}

fn compared(how: Compare, left: &Fixed, right: &Fixed) -> Option<bool> {
    compare(how, left.val(), right.val()).ok()
}

/// One of each kind of values that make a difference.
fn values<'k>(
    unknown: Unknown<'_>,
    with: &[&Fixed],
    (shape, known): (&Shape, &dyn Fn(u16) -> Option<Known<'k>>),
) -> Vec<Fixed> {
    let truths = || vec![Fixed::Bool(true), Fixed::Bool(false)];
    let slot = match unknown {
        Unknown::Truth(Term::Present(slots)) => {
            let absent = slots.iter().all(|slot| known(*slot) == Some(Known::Absent));
            return if absent { vec![Fixed::Bool(false)] } else { truths() };
        }
        Unknown::Truth(_) => return truths(),
        Unknown::Value(Term::Entry(..)) => return [Fixed::Null].into_iter().chain(texts(with)).collect(),
        Unknown::Value(Term::Count(_) | Term::Size(_)) => {
            let counts = wholes(with).filter(|count| *count >= 0).chain([0]);
            return counts.map(Fixed::Int).collect();
        }
        Unknown::Value(_) => return around(with),
        Unknown::Slot(slot) => slot,
    };
    match known(slot) {
        Some(Known::Absent) => return vec![Fixed::Null],
        Some(Known::OneOf(texts)) => return texts.iter().cloned().map(Fixed::Text).collect(),
        None => {}
    }
    let Some(field) = shape.fields.get(usize::from(slot)) else { return truths() };
    let is_list = matches!(field.ty, FieldType::Texts | FieldType::Records(_) | FieldType::Map);
    let absent = (field.optional || is_list).then_some(Fixed::Null);
    let there = match &field.ty {
        FieldType::Bool => truths(),
        FieldType::Symbol(names) => names.iter().cloned().map(Fixed::Text).collect(),
        FieldType::Text => texts(with).collect(),
        FieldType::Int => wholes(with).map(Fixed::Int).chain([Fixed::Int(0)]).collect(),
        _ => around(with),
    };
    absent.into_iter().chain(there).collect()
}

/// The texts it is compared with, and those before, between and behind them.
fn texts(with: &[&Fixed]) -> impl Iterator<Item = Fixed> {
    let written = with.iter().filter_map(|fixed| match fixed {
        Fixed::Text(text) => Some(text.clone()),
        _ => None,
    });
    let after = written.clone().map(|text| text + "\0");
    written.chain(after).chain([String::new(), '\u{10ffff}'.to_string()]).map(Fixed::Text)
}

/// The whole numbers it is compared with, and those beside them.
#[allow(clippy::cast_possible_truncation, reason = "a number that large is compared with nothing near it")]
fn wholes(with: &[&Fixed]) -> impl Iterator<Item = i64> {
    let written = with.iter().filter_map(|fixed| match fixed {
        Fixed::Int(number) => Some(*number),
        Fixed::Double(number) => Some(number.floor() as i64),
        _ => None,
    });
    written.flat_map(|number| [-1, 0, 1, 2].map(|step: i64| number.saturating_add(step)))
}

/// The values it is compared with, and those before, between and behind them.
fn around(with: &[&Fixed]) -> Vec<Fixed> {
    let near = |at: i64| [-1, 0, 1].map(|step: i64| at.saturating_add(step));
    let mut values = Vec::new();
    let mut numbers: Vec<f64> = Vec::new();
    for fixed in with {
        match fixed {
            Fixed::Null | Fixed::Bool(_) => {}
            #[allow(
                clippy::cast_precision_loss,
                reason = "CEL compares whole numbers with fractions this way"
            )]
            Fixed::Int(number) => numbers.push(*number as f64),
            Fixed::Double(number) => numbers.push(*number),
            Fixed::Text(_) => values.extend(texts(&[fixed])),
            Fixed::Time(at) => values.extend(near(*at).map(Fixed::Time)),
            Fixed::Span(span) => values.extend(near(*span).map(Fixed::Span)),
        }
    }
    numbers.sort_by(f64::total_cmp);
    let between = numbers.windows(2).map(|pair| f64::midpoint(pair[0], pair[1]));
    let outside =
        numbers.first().map(|least| least - 1.0).into_iter().chain(numbers.last().map(|most| most + 1.0));
    values.extend(between.chain(outside).chain(numbers.iter().copied()).map(Fixed::Double));
    if values.is_empty() {
        // It is only asked whether it is there, or is a truth value.
        values.extend([Fixed::Bool(true), Fixed::Bool(false)]);
    }
    values
}
