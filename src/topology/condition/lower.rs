//! Lower: from CEL's tree to a checked term, names turned into slots and types compared.
//!
//! Every operator says what it takes; whatever does not fit is a fault at its place, and the other side
//! of the operator is still checked.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};

use crate::event::{FieldType, Shape};

use super::super::fault::nearest;
use super::ConditionFault;
use super::eval::{Fixed, Read, Term};
use super::facts::{Facts, known};
use super::functions;
use super::operator::{Compare, Sum};
use super::places::Places;

/// The type of an expression, and what else is known of it before it runs.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    /// How to compute it.
    pub(super) term: Term,
    /// Its type.
    pub(super) kind: Kind,
    /// The optional field it may lack, when nothing before it asked.
    pub(super) absent: Option<String>,
    /// The only texts it can be.
    pub(super) symbols: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Int,
    Double,
    Text,
    Time,
    Span,
    /// A list of texts in this slot.
    Texts(u16),
    /// A list of records in this slot.
    Records(u16),
    /// A map of texts in this slot.
    Map(u16),
}

pub(super) struct Checker<'a> {
    pub(super) shape: &'a Shape,
    places: Places<'a>,
    pub(super) faults: Vec<ConditionFault>,
    /// Optional fields known to be there.
    present: Vec<String>,
}

const ASK: &str = "ask something of the event, such as `event.severity == \"high\"`, or take it out";

/// Checks a whole condition for one shape.
pub(super) fn condition(
    tree: &IdedExpr,
    info: &SourceInfo,
    (text, shape): (&str, &Shape),
) -> Result<Term, Vec<ConditionFault>> {
    let mut checker =
        Checker { shape, places: Places { info, text }, faults: Vec::new(), present: Vec::new() };
    let checked = checker.expr(tree);
    if let Some(checked) = &checked {
        checker.want_bool(tree, checked);
    }
    match checked {
        Some(checked) if checker.faults.is_empty() => Ok(checked.term),
        _ => Err(checker.faults),
    }
}

// === impl Kind ===

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a truth value",
            Self::Int => "a whole number",
            Self::Double => "a number",
            Self::Text => "a text",
            Self::Time => "a time",
            Self::Span => "a duration",
            Self::Texts(_) => "a list of texts",
            Self::Records(_) => "a list of records",
            Self::Map(_) => "a map",
        }
    }

    pub(super) const fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Double)
    }
}

// === impl Checked ===

impl Checked {
    pub(super) const fn of(term: Term, kind: Kind) -> Self {
        Self { term, kind, absent: None, symbols: None }
    }
}

// === impl Checker ===

impl Checker<'_> {
    pub(super) fn fault(&mut self, at: &IdedExpr, code: &'static str, told: (String, String)) {
        let (offset, length) = self.places.of(at);
        self.faults.push(ConditionFault { offset, length, code, message: told.0, hint: told.1 });
    }

    /// What it is; what asks for no field is worked out now, by what would work it out for each change.
    pub(super) fn expr(&mut self, at: &IdedExpr) -> Option<Checked> {
        let checked = self.whole(at)?;
        if matches!(checked.term, Term::Fixed(_)) || checked.term.reads() {
            return Some(checked);
        }
        match checked.term.constant() {
            Ok(fixed) => Some(Checked { term: Term::Fixed(fixed), ..checked }),
            Err(why) => {
                let fact = format!("this has no answer, whatever comes: {why}");
                self.fault(at, "never-answers", (fact, why.hint().to_owned()));
                None
            }
        }
    }

    fn whole(&mut self, at: &IdedExpr) -> Option<Checked> {
        match &at.expr {
            Expr::Literal(literal) => self.literal(at, literal),
            Expr::Ident(_) | Expr::Select(_) => self.field(at),
            Expr::Call(call) => self.call(at, call),
            Expr::List(_) => self.unsupported(at, "a list stands only to the right of `in`"),
            Expr::Comprehension(_) => {
                self.unsupported(at, "conditions know no `all`, `exists`, `map` and `filter`")
            }
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                self.unsupported(at, "conditions build no maps and records")
            }
        }
    }

    pub(super) fn unsupported(&mut self, at: &IdedExpr, fact: &str) -> Option<Checked> {
        let hint = "compare fields with `==`, `<`, `in`, `contains` and join with `&&` and `||`";
        self.fault(at, "unsupported-expression", (fact.to_owned(), hint.to_owned()));
        None
    }

    fn literal(&mut self, at: &IdedExpr, literal: &LiteralValue) -> Option<Checked> {
        let (fixed, kind) = match literal {
            LiteralValue::Null => (Fixed::Null, Kind::Null),
            LiteralValue::Boolean(truth) => (Fixed::Bool(*truth.inner()), Kind::Bool),
            LiteralValue::Int(number) => (Fixed::Int(*number.inner()), Kind::Int),
            LiteralValue::Double(number) => (Fixed::Double(*number.inner()), Kind::Double),
            LiteralValue::String(text) => (Fixed::Text(text.inner().to_owned()), Kind::Text),
            LiteralValue::UInt(number) => match i64::try_from(*number.inner()) {
                Ok(number) => (Fixed::Int(number), Kind::Int),
                Err(_) => return self.unsupported(at, "this number is too large"),
            },
            LiteralValue::Bytes(_) => return self.unsupported(at, "no field holds bytes"),
        };
        Some(Checked::of(Term::Fixed(fixed), kind))
    }

    /// A path, or `has(path)`.
    fn field(&mut self, at: &IdedExpr) -> Option<Checked> {
        let Some((_, whole)) = self.places.path(at) else {
            return self.unsupported(at, "only fields of `event` can be selected");
        };
        let Some(path) = whole.strip_prefix("event.") else {
            let known = self.shape.field(&whole).is_some();
            let hint = if known { format!("write `event.{whole}`") } else { self.near(&whole) };
            self.fault(at, "unknown-field", (format!("unknown name `{whole}`"), hint));
            return None;
        };
        let tested = matches!(&at.expr, Expr::Select(select) if select.test);
        if tested {
            let slots = self.slots_under(path);
            if slots.is_empty() {
                return self.unknown(at, path);
            }
            return Some(Checked::of(Term::Present(slots), Kind::Bool));
        }
        if let Some(slot) = self.shape.slot(path) {
            return self.slot(slot, path);
        }
        if let Some((map, name)) = path.rsplit_once('.')
            && let Some(slot) = self.shape.slot(map)
            && self.shape.fields[usize::from(slot)].ty == FieldType::Map
        {
            let checked = Checked::of(Term::Entry(slot, name.to_owned()), Kind::Text);
            return Some(Checked { absent: self.unasked(path), ..checked });
        }
        let slots = self.slots_under(path);
        if slots.is_empty() {
            return self.unknown(at, path);
        }
        // A record has no value of its own; it can only be compared with null.
        Some(Checked { absent: None, ..Checked::of(Term::Present(slots), Kind::Null) })
    }

    fn slots_under(&self, path: &str) -> Vec<u16> {
        let under =
            |field: &str| field == path || field.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
        self.shape
            .fields
            .iter()
            .zip(0u16..)
            .filter(|(field, _)| under(&field.path))
            .map(|(_, slot)| slot)
            .collect()
    }

    fn unasked(&self, path: &str) -> Option<String> {
        (!self.present.iter().any(|known| known == path)).then(|| path.to_owned())
    }

    fn slot(&self, slot: u16, path: &str) -> Option<Checked> {
        let field = &self.shape.fields[usize::from(slot)];
        let (kind, read) = match &field.ty {
            FieldType::Bool => (Kind::Bool, Read::Plain),
            FieldType::Int => (Kind::Int, Read::Plain),
            FieldType::Double => (Kind::Double, Read::Plain),
            FieldType::Text | FieldType::Symbol(_) => (Kind::Text, Read::Plain),
            FieldType::Time => (Kind::Time, Read::Time),
            FieldType::Date => (Kind::Time, Read::Day),
            FieldType::Texts => (Kind::Texts(slot), Read::Plain),
            FieldType::Records(_) => (Kind::Records(slot), Read::Plain),
            FieldType::Map => (Kind::Map(slot), Read::Plain),
        };
        let symbols = match &field.ty {
            FieldType::Symbol(names) => Some(names.clone()),
            _ => None,
        };
        let is_list = matches!(kind, Kind::Texts(_) | Kind::Records(_) | Kind::Map(_));
        let absent = if field.optional && !is_list { self.unasked(path) } else { None };
        let term = if is_list { Term::Present(vec![slot]) } else { Term::Slot(slot, read) };
        Some(Checked { term, kind, absent, symbols })
    }

    fn unknown(&mut self, at: &IdedExpr, path: &str) -> Option<Checked> {
        let kinds = self.shape.kinds.first().map_or("this kind", String::as_str);
        let hint = self.near(path);
        self.fault(at, "unknown-field", (format!("`{kinds}` has no field `{path}`"), hint));
        None
    }

    fn near(&self, path: &str) -> String {
        match nearest(path, self.shape.fields.iter().map(|field| field.path.as_str())) {
            Some(near) => format!("write `event.{near}`"),
            None => format!("see the fields of {} in schemas/{}.avsc", self.shape.data, self.shape.source),
        }
    }

    fn call(&mut self, at: &IdedExpr, call: &CallExpr) -> Option<Checked> {
        let name = call.func_name.as_str();
        match (name, call.args.as_slice()) {
            (operators::LOGICAL_AND, [left, right]) => self.joined((left, right), Facts::WhenTrue),
            (operators::LOGICAL_OR, [left, right]) => self.joined((left, right), Facts::WhenFalse),
            (operators::LOGICAL_NOT, [inner]) => {
                let (checked, before) = (self.expr(inner)?, self.faults.len());
                self.want_bool(inner, &checked);
                if self.faults.len() != before {
                    return None;
                }
                Some(Checked::of(Term::Not(Box::new(checked.term)), Kind::Bool))
            }
            (operators::CONDITIONAL, [asked, then, otherwise]) => self.choice(asked, then, otherwise),
            (operators::IN, [needle, list]) => functions::within(self, needle, list),
            (operators::INDEX, [map, name]) => functions::entry(self, map, name),
            (_, [left, right]) if compare_of(name).is_some() => {
                let left = (left, self.expr(left));
                let right = (right, self.expr(right));
                functions::compare(self, at, (compare_of(name)?, left, right))
            }
            (_, [left, right]) if sum_of(name).is_some() => {
                let left = (left, self.expr(left));
                let right = (right, self.expr(right));
                functions::sum(self, at, (sum_of(name)?, left, right))
            }
            _ => functions::call(self, at, call),
        }
    }

    /// Notes what is no truth value, or always the same one.
    pub(super) fn want_bool(&mut self, at: &IdedExpr, checked: &Checked) {
        match &checked.term {
            Term::Fixed(Fixed::Bool(truth)) => {
                let fact = format!("this is always {truth}, whatever comes");
                self.fault(at, "constant", (fact, ASK.to_owned()));
            }
            _ if checked.kind != Kind::Bool => {
                let fact = format!("{} stands where a truth value should", checked.kind.name());
                self.fault(at, "wrong-type", (fact, "compare it with something: `== …`".to_owned()));
            }
            _ => self.want_present(at, checked),
        }
    }

    /// Notes that the same stands on both sides.
    pub(super) fn same_sides(&mut self, at: &IdedExpr, is: &str) -> Option<Checked> {
        let hint = "compare it with something else, or take it out";
        self.fault(
            at,
            "constant",
            (format!("the same stands on both sides: this is always {is}"), hint.to_owned()),
        );
        None
    }

    /// Notes an optional field that nothing before has asked for.
    pub(super) fn want_present(&mut self, at: &IdedExpr, checked: &Checked) {
        if let Some(path) = &checked.absent {
            let fact = format!("`event.{path}` may be absent here");
            let hint = format!("ask first: `event.{path} != null && …`");
            self.fault(at, "missing-null-check", (fact, hint));
        }
    }

    fn joined(&mut self, (left, right): (&IdedExpr, &IdedExpr), facts: Facts) -> Option<Checked> {
        let before = self.present.len();
        let first = self.expr(left);
        known(left, facts, &mut self.present);
        let second = self.expr(right);
        self.present.truncate(before);
        let (first, second) = (first?, second?);
        let before = self.faults.len();
        self.want_bool(left, &first);
        // The right side was checked with what the left side established.
        self.want_bool(right, &second);
        if self.faults.len() != before {
            return None;
        }
        let (first, second) = (Box::new(first.term), Box::new(second.term));
        let term = match facts {
            Facts::WhenTrue => Term::And(first, second),
            Facts::WhenFalse => Term::Or(first, second),
        };
        Some(Checked::of(term, Kind::Bool))
    }

    fn choice(&mut self, asked: &IdedExpr, then: &IdedExpr, otherwise: &IdedExpr) -> Option<Checked> {
        let question = self.expr(asked);
        let before = self.present.len();
        known(asked, Facts::WhenTrue, &mut self.present);
        let yes = self.expr(then);
        self.present.truncate(before);
        known(asked, Facts::WhenFalse, &mut self.present);
        let no = self.expr(otherwise);
        self.present.truncate(before);
        let (question, yes, no) = (question?, yes?, no?);
        self.want_bool(asked, &question);
        if yes.kind != no.kind {
            let fact = format!("one side is {}, the other {}", yes.kind.name(), no.kind.name());
            self.fault(otherwise, "wrong-type", (fact, "make both sides of one type".to_owned()));
            return None;
        }
        let absent = yes.absent.clone().or_else(|| no.absent.clone());
        let term = Term::If(Box::new([question.term, yes.term, no.term]));
        Some(Checked { absent, ..Checked::of(term, yes.kind) })
    }
}

pub(in crate::topology) fn compare_of(name: &str) -> Option<Compare> {
    Some(match name {
        operators::EQUALS => Compare::Equal,
        operators::NOT_EQUALS => Compare::Unequal,
        operators::LESS => Compare::Less,
        operators::LESS_EQUALS => Compare::LessOrEqual,
        operators::GREATER => Compare::Greater,
        operators::GREATER_EQUALS => Compare::GreaterOrEqual,
        _ => return None,
    })
}

pub(in crate::topology) fn sum_of(name: &str) -> Option<Sum> {
    Some(match name {
        operators::ADD => Sum::Add,
        operators::SUBSTRACT => Sum::Subtract,
        operators::MULTIPLY => Sum::Multiply,
        operators::DIVIDE => Sum::Divide,
        operators::MODULO => Sum::Remainder,
        _ => return None,
    })
}
