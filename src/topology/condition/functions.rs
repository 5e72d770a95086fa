//! Functions: what each operator and function of a condition takes, and what it is refused for.

use cel::common::ast::{CallExpr, Expr, IdedExpr, operators};

use crate::event::{Span, Timestamp};

use super::super::fault::{nearest, suggest};
use super::eval::{Fixed, Term};
use super::lower::{Checked, Checker, Kind};
use super::operator::{Compare, Sum, TextTest};

/// One side of an operator: its text, and what it was found to be.
type Operand<'t> = (&'t IdedExpr, Option<Checked>);

const KNOWN: &[&str] = &["size", "contains", "startsWith", "endsWith", "timestamp", "duration", "has"];

/// `==`, `<` and so on.
pub(super) fn compare(
    checker: &mut Checker<'_>,
    at: &IdedExpr,
    (how, left, right): (Compare, Operand<'_>, Operand<'_>),
) -> Option<Checked> {
    let ((left_at, left), (right_at, right)) = ((left.0, left.1?), (right.0, right.1?));
    let equality = matches!(how, Compare::Equal | Compare::Unequal);
    if equality && (left.kind == Kind::Null || right.kind == Kind::Null) {
        return with_null(checker, at, (how, left, right));
    }
    let fits = match (left.kind, right.kind) {
        (left, right) if left.is_number() && right.is_number() => true,
        (Kind::Text, Kind::Text) | (Kind::Time, Kind::Time) | (Kind::Span, Kind::Span) => true,
        (Kind::Bool, Kind::Bool) => equality,
        _ => false,
    };
    if !fits {
        let fact = format!("{} cannot be compared with {}", left.kind.name(), right.kind.name());
        let hint = comparison_hint(&left, &right);
        checker.fault(right_at, "wrong-type", (fact, hint));
        return None;
    }
    if left.term == right.term && left.term.reads() {
        let holds = matches!(how, Compare::Equal | Compare::LessOrEqual | Compare::GreaterOrEqual);
        return checker.same_sides(at, if holds { "true" } else { "false" });
    }
    if equality {
        possible(checker, right_at, (&left, &right));
        possible(checker, left_at, (&right, &left));
    } else {
        checker.want_present(left_at, &left);
        checker.want_present(right_at, &right);
    }
    let term = Term::Compare(how, Box::new(left.term), Box::new(right.term));
    Some(Checked::of(term, Kind::Bool))
}

fn comparison_hint(left: &Checked, right: &Checked) -> String {
    match (left.kind, &right.term) {
        (kind, Term::Fixed(Fixed::Text(text))) if kind.is_number() && text.parse::<f64>().is_ok() => {
            format!("write `{text}` without quotes")
        }
        (Kind::Time, Term::Fixed(Fixed::Text(_))) => "write `timestamp(\"2026-01-05T09:00:00Z\")`".to_owned(),
        (Kind::Span, Term::Fixed(_)) => "write `duration(\"4h\")`".to_owned(),
        (Kind::Texts(_), Term::Fixed(Fixed::Text(text))) => format!("write `\"{text}\" in …`"),
        (kind, _) => format!("compare it with {}", kind.name()),
    }
}

/// A text compared with a word it can never be.
fn possible(checker: &mut Checker<'_>, at: &IdedExpr, (field, other): (&Checked, &Checked)) {
    if let (Some(symbols), Term::Fixed(Fixed::Text(text))) = (&field.symbols, &other.term)
        && !symbols.contains(text)
    {
        let names: Vec<&str> = symbols.iter().map(String::as_str).collect();
        let fact = format!("this field is never `{text}`");
        checker.fault(at, "never-equal", (fact, suggest(text, &names)));
    }
}

/// `x == null` and `x != null`, also for a whole record.
fn with_null(
    checker: &mut Checker<'_>,
    at: &IdedExpr,
    (how, left, right): (Compare, Checked, Checked),
) -> Option<Checked> {
    let is_null = |checked: &Checked| checked.term == Term::Fixed(Fixed::Null);
    let of = match (is_null(&left), is_null(&right)) {
        (false, true) => left,
        (true, false) => right,
        _ => return checker.unsupported(at, "a record can only be compared with `null`"),
    };
    let present = match of.term {
        Term::Slot(slot, _) => Term::Present(vec![slot]),
        Term::Present(slots) => Term::Present(slots),
        other => {
            let fixed = Box::new(Term::Fixed(Fixed::Null));
            return Some(Checked::of(Term::Compare(how, Box::new(other), fixed), Kind::Bool));
        }
    };
    let term = if how == Compare::Equal { Term::Not(Box::new(present)) } else { present };
    Some(Checked::of(term, Kind::Bool))
}

/// `+`, `-`, `*`, `/` and `%`.
pub(super) fn sum(
    checker: &mut Checker<'_>,
    at: &IdedExpr,
    (how, left, right): (Sum, Operand<'_>, Operand<'_>),
) -> Option<Checked> {
    let ((left_at, left), (right_at, right)) = ((left.0, left.1?), (right.0, right.1?));
    checker.want_present(left_at, &left);
    checker.want_present(right_at, &right);
    let kind = match (left.kind, right.kind, how) {
        (Kind::Int, Kind::Int, _) => Kind::Int,
        (left, right, _) if left.is_number() && right.is_number() => Kind::Double,
        (Kind::Time, Kind::Span, Sum::Add | Sum::Subtract) | (Kind::Span, Kind::Time, Sum::Add) => Kind::Time,
        (Kind::Time, Kind::Time, Sum::Subtract) | (Kind::Span, Kind::Span, Sum::Add | Sum::Subtract) => {
            Kind::Span
        }
        (left, right, _) => {
            let fact = format!("{} and {} cannot be counted together", left.name(), right.name());
            let hint = "count with numbers, or with a time and a `duration(\"4h\")`".to_owned();
            checker.fault(at, "wrong-type", (fact, hint));
            return None;
        }
    };
    if matches!(how, Sum::Divide | Sum::Remainder) && is_zero(&right.term) {
        let hint = "write another number; of a field ask first: `event.x != 0 && …`".to_owned();
        checker.fault(right_at, "divides-by-zero", ("nothing can be divided by zero".to_owned(), hint));
        return None;
    }
    if left.term == right.term && left.term.reads() {
        match how {
            Sum::Subtract | Sum::Remainder => return checker.same_sides(at, "zero"),
            Sum::Divide => return checker.same_sides(at, "1"),
            Sum::Add | Sum::Multiply => {}
        }
    }
    Some(Checked::of(Term::Sum(how, Box::new(left.term), Box::new(right.term)), kind))
}

fn is_zero(term: &Term) -> bool {
    match term {
        Term::Fixed(Fixed::Int(number)) => *number == 0,
        Term::Fixed(Fixed::Double(number)) => *number == 0.0,
        _ => false,
    }
}

/// `x in [a, b]` and `x in event.list`.
pub(super) fn within(checker: &mut Checker<'_>, needle: &IdedExpr, list: &IdedExpr) -> Option<Checked> {
    let sought = checker.expr(needle);
    let Expr::List(list_expr) = &list.expr else {
        let found = checker.expr(list)?;
        let sought = sought?;
        let Kind::Texts(slot) = found.kind else {
            let fact = format!("{} holds nothing that `in` could find", found.kind.name());
            checker.fault(list, "wrong-type", (fact, "write a list: `in [\"a\", \"b\"]`".to_owned()));
            return None;
        };
        if sought.kind != Kind::Text {
            let fact = format!("{} is never in a list of texts", sought.kind.name());
            checker.fault(needle, "wrong-type", (fact, "look for a text".to_owned()));
            return None;
        }
        return Some(Checked::of(Term::InSlot(Box::new(sought.term), slot), Kind::Bool));
    };
    if list_expr.elements.is_empty() {
        let fact = "nothing is in an empty list: this is always false".to_owned();
        checker.fault(list, "constant", (fact, "write what it may be: `in [\"a\", \"b\"]`".to_owned()));
        return None;
    }
    let mut fixed = Vec::new();
    for element in &list_expr.elements {
        let Some(checked) = checker.expr(element) else { continue };
        let Term::Fixed(value) = checked.term.clone() else {
            checker.unsupported(element, "a list holds only written values");
            continue;
        };
        if let Some(sought) = &sought {
            if sought.kind != checked.kind && !(sought.kind.is_number() && checked.kind.is_number()) {
                let fact = format!("{} is never {}", sought.kind.name(), checked.kind.name());
                let hint = comparison_hint(sought, &checked);
                checker.fault(element, "wrong-type", (fact, hint));
            }
            possible(checker, element, (sought, &checked));
        }
        if fixed.contains(&value) {
            let hint = "keep one of the two".to_owned();
            checker.fault(element, "stands-twice", ("this stands twice in the list".to_owned(), hint));
        }
        fixed.push(value);
    }
    Some(Checked::of(Term::InFixed(Box::new(sought?.term), fixed), Kind::Bool))
}

/// `event.extra["name"]`.
pub(super) fn entry(checker: &mut Checker<'_>, map: &IdedExpr, name: &IdedExpr) -> Option<Checked> {
    let found = checker.expr(map)?;
    let name = checker.expr(name)?;
    match (found.kind, name.term) {
        (Kind::Map(slot), Term::Fixed(Fixed::Text(name))) => {
            Some(Checked::of(Term::Entry(slot, name), Kind::Text))
        }
        _ => checker.unsupported(map, "only a map can be asked for a name"),
    }
}

/// Everything written `name(…)` or `a.name(…)`, and a minus sign.
pub(super) fn call(checker: &mut Checker<'_>, at: &IdedExpr, call: &CallExpr) -> Option<Checked> {
    let operands: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
    match (call.func_name.as_str(), operands.as_slice()) {
        (operators::NEGATE, [inner]) => {
            let checked = checker.expr(inner)?;
            checker.want_present(inner, &checked);
            match checked.kind {
                Kind::Int | Kind::Double => {
                    let zero = Box::new(Term::Fixed(Fixed::Int(0)));
                    Some(Checked::of(Term::Sum(Sum::Subtract, zero, Box::new(checked.term)), checked.kind))
                }
                _ => checker.unsupported(at, "only a number can be negative"),
            }
        }
        ("size", [inner]) => size(checker, inner),
        ("contains", [text, part]) => text_test(checker, at, (TextTest::Contains, text, part)),
        ("startsWith", [text, part]) => text_test(checker, at, (TextTest::StartsWith, text, part)),
        ("endsWith", [text, part]) => text_test(checker, at, (TextTest::EndsWith, text, part)),
        ("timestamp", [inner]) => written(checker, inner, |text| {
            text.parse::<Timestamp>().ok().map(|at| (Fixed::Time(at.millis()), Kind::Time))
        }),
        ("duration", [inner]) => written(checker, inner, |text| {
            text.parse::<Span>().ok().map(|span| (Fixed::Span(span.millis()), Kind::Span))
        }),
        (name, _) => {
            let hint = match nearest(name, KNOWN.iter().copied()) {
                Some(near) if near != name => format!("write `{near}`"),
                Some(_) => format!("see how many values `{name}` takes"),
                None if name == "matches" => "write `contains`, `startsWith` or `endsWith`".to_owned(),
                None => format!("conditions know {}", super::super::fault::listed(KNOWN)),
            };
            checker.fault(at, "unknown-function", (format!("unknown function `{name}`"), hint));
            None
        }
    }
}

fn size(checker: &mut Checker<'_>, inner: &IdedExpr) -> Option<Checked> {
    let checked = checker.expr(inner)?;
    checker.want_present(inner, &checked);
    let term = match checked.kind {
        Kind::Text => Term::Size(Box::new(checked.term)),
        Kind::Texts(slot) | Kind::Records(slot) | Kind::Map(slot) => Term::Count(slot),
        other => {
            let fact = format!("{} has no size", other.name());
            checker.fault(inner, "wrong-type", (fact, "ask for the size of a text or list".to_owned()));
            return None;
        }
    };
    Some(Checked::of(term, Kind::Int))
}

fn text_test(
    checker: &mut Checker<'_>,
    at: &IdedExpr,
    (test, text, part): (TextTest, &IdedExpr, &IdedExpr),
) -> Option<Checked> {
    let (left, right) = (checker.expr(text), checker.expr(part));
    let (left, right) = (left?, right?);
    for (at, side) in [(text, &left), (part, &right)] {
        if side.kind != Kind::Text {
            let fact = format!("{} stands where a text should", side.kind.name());
            let hint = match side.kind {
                Kind::Texts(_) => "write `\"…\" in event.…`",
                _ => "write a text",
            };
            checker.fault(at, "wrong-type", (fact, hint.to_owned()));
            return None;
        }
        checker.want_present(at, side);
    }
    if left.term == right.term || right.term == Term::Fixed(Fixed::Text(String::new())) {
        let fact = "every text holds itself, and an empty one: this is always true".to_owned();
        checker.fault(at, "constant", (fact, "write the text to be found, or take it out".to_owned()));
        return None;
    }
    Some(Checked::of(Term::Text(test, Box::new(left.term), Box::new(right.term)), Kind::Bool))
}

fn written(
    checker: &mut Checker<'_>,
    inner: &IdedExpr,
    read: impl Fn(&str) -> Option<(Fixed, Kind)>,
) -> Option<Checked> {
    let checked = checker.expr(inner)?;
    let read = match &checked.term {
        Term::Fixed(Fixed::Text(text)) => read(text),
        _ => None,
    };
    let Some((fixed, kind)) = read else {
        let hint = "write `timestamp(\"2026-01-05T09:00:00Z\")` or `duration(\"4h\")`".to_owned();
        checker.fault(inner, "wrong-type", ("this is no time or duration".to_owned(), hint));
        return None;
    };
    Some(Checked::of(Term::Fixed(fixed), kind))
}
