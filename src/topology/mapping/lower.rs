//! Lower: from CEL's tree to an expression over a payload, paths turned into places, names checked.
//!
//! Of a payload no type is known before it comes; what the text itself tells is compared all the same.

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators};

use crate::codec::foreign::{Paths, Step};
use crate::event::Value;

use super::super::condition::ConditionFault;
use super::super::condition::lower::{compare_of, sum_of};
use super::super::condition::operator::{Compare, Sum, TextTest};
use super::super::condition::places::Places;
use super::super::condition::syntax;
use super::super::fault::{listed, nearest};
use super::expression::{Function, Term};
use super::given::Kind;

const KNOWN: &[&str] = &[
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "has",
    "string",
    "int",
    "double",
    "lowerAscii",
    "upperAscii",
    "trim",
    "split",
    "replace",
    "map",
];

const ASK: &str = "ask something of the payload, such as `payload.type == \"order\"`, or take it out";

/// What an expression's paths begin with.
const ROOT: &str = "payload";

/// Reads an expression; its paths begin below `root` where the payload has that, else at the payload itself.
pub(super) fn expression(
    text: &str,
    (paths, root): (&mut Paths, &[String]),
) -> Result<Term, Vec<ConditionFault>> {
    let hint = |fault: ConditionFault| {
        let hint = match fault.message.starts_with("this is no CEL") {
            true => "write an expression such as `payload.order.id`, or `{ value: … }` for a text".to_owned(),
            false => fault.hint,
        };
        ConditionFault { hint, ..fault }
    };
    let parsed = syntax::parse(text);
    let (tree, info) = parsed.map_err(|faults| faults.into_iter().map(hint).collect::<Vec<_>>())?;
    let mut lower = Lower { paths, root, places: Places { info: &info, text }, faults: Vec::new() };
    match lower.expr(&tree) {
        Some(term) if lower.faults.is_empty() => Ok(term),
        _ => Err(lower.faults),
    }
}

struct Lower<'a> {
    paths: &'a mut Paths,
    root: &'a [String],
    places: Places<'a>,
    faults: Vec<ConditionFault>,
}

// === impl Lower ===

impl Lower<'_> {
    fn fault<T>(&mut self, at: &IdedExpr, code: &'static str, told: (String, String)) -> Option<T> {
        let (offset, length) = self.places.of(at);
        self.faults.push(ConditionFault { offset, length, code, message: told.0, hint: told.1 });
        None
    }

    fn unsupported<T>(&mut self, at: &IdedExpr, fact: &str, hint: &str) -> Option<T> {
        self.fault(at, "unsupported-expression", (fact.to_owned(), hint.to_owned()))
    }

    /// What it computes; what reads nothing of a payload is worked out now, by what would work it out for each.
    fn expr(&mut self, at: &IdedExpr) -> Option<Term> {
        let term = self.whole(at)?;
        if matches!(term, Term::Fixed(_) | Term::List(_)) || term.reads() {
            return Some(term);
        }
        match term.constant() {
            Ok(value) => Some(Term::Fixed(value)),
            Err(why) => {
                let told =
                    (format!("this has no value, whatever comes: {why}"), "write another value".to_owned());
                self.fault(at, "never-answers", told)
            }
        }
    }

    fn whole(&mut self, at: &IdedExpr) -> Option<Term> {
        match &at.expr {
            Expr::Literal(literal) => self.literal(at, literal),
            Expr::Ident(_) | Expr::Select(_) => self.path(at),
            Expr::Call(call) if call.func_name == operators::INDEX => self.path(at),
            Expr::Call(call) => self.call(at, call),
            Expr::List(list) => {
                let terms: Vec<_> = list.elements.iter().map(|element| self.expr(element)).collect();
                terms.into_iter().collect::<Option<Vec<_>>>().map(Term::List)
            }
            Expr::Comprehension(each) => self.each(at, each),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                self.unsupported(at, "a mapping builds no maps and records", "write a field for each value")
            }
        }
    }

    fn literal(&mut self, at: &IdedExpr, literal: &LiteralValue) -> Option<Term> {
        Some(Term::Fixed(match literal {
            LiteralValue::Null => Value::Null,
            LiteralValue::Boolean(truth) => Value::Bool(*truth.inner()),
            LiteralValue::Int(number) => Value::Int(*number.inner()),
            LiteralValue::Double(number) => Value::Double(*number.inner()),
            LiteralValue::String(text) => Value::Text(text.inner().to_owned().into()),
            LiteralValue::UInt(number) => match i64::try_from(*number.inner()) {
                Ok(number) => Value::Int(number),
                Err(_) => return self.unsupported(at, "this number is too large", "write a smaller one"),
            },
            LiteralValue::Bytes(_) => {
                return self.unsupported(at, "no field holds bytes", "write a text without the `b`");
            }
        }))
    }

    /// A path of the payload, or `has(path)`.
    fn path(&mut self, at: &IdedExpr) -> Option<Term> {
        let (name, steps) = self.steps(at)?;
        if name != ROOT {
            let whole = self.places.path(at).map_or_else(|| name.clone(), |(_, path)| path);
            let hint = format!("write `{ROOT}.{whole}`, or `{{ value: {whole} }}` for the text itself");
            return self.fault(at, "unknown-field", (format!("unknown name `{whole}`"), hint));
        }
        if steps.is_empty() {
            return self.unsupported(
                at,
                "all of the payload is no value",
                "name a member, such as `payload.id`",
            );
        }
        let term = self.wanted(&steps);
        match &at.expr {
            Expr::Select(select) if select.test => Some(Term::Has(Box::new(term))),
            _ => Some(term),
        }
    }

    /// The name a path begins with, and its steps.
    fn steps(&mut self, at: &IdedExpr) -> Option<(String, Vec<Step>)> {
        match &at.expr {
            Expr::Ident(name) => Some((name.clone(), Vec::new())),
            Expr::Select(select) => {
                let (name, mut steps) = self.steps(&select.operand)?;
                steps.push(Step::Name(select.field.clone()));
                Some((name, steps))
            }
            Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
                [of, index] => {
                    let Expr::Literal(LiteralValue::String(member)) = &index.expr else {
                        let hint = "name a member: `[\"name\"]`; of a list take `.map(x, x.name)`";
                        return self.unsupported(
                            index,
                            "a path goes by names, not by places in a list",
                            hint,
                        );
                    };
                    let (name, mut steps) = self.steps(of)?;
                    steps.push(Step::Name(member.inner().to_owned()));
                    Some((name, steps))
                }
                _ => None,
            },
            _ => {
                let hint = "write a path such as `payload.order.id`";
                self.unsupported(at, "only the payload has members", hint)
            }
        }
    }

    fn wanted(&mut self, steps: &[Step]) -> Term {
        let mut places = Vec::with_capacity(2);
        if !self.root.is_empty() {
            let below: Vec<Step> = self.root.iter().cloned().map(Step::Name).chain(steps.to_vec()).collect();
            places.push(self.paths.want(&below));
        }
        places.push(self.paths.want(steps));
        Term::Path(places)
    }

    /// `payload.people.map(p, p.id)`: one value of every item, and nothing else a comprehension can say.
    fn each(&mut self, at: &IdedExpr, each: &ComprehensionExpr) -> Option<Term> {
        let item = match &each.loop_step.expr {
            Expr::Call(call) if call.func_name == operators::ADD => match call.args.as_slice() {
                [_, added] => match &added.expr {
                    Expr::List(list) => list.elements.first(),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        let Some(item) = item else {
            let hint = "write `payload.people.map(p, p.id)`";
            return self.unsupported(at, "of a list, a mapping takes one value of every item", hint);
        };
        let (name, mut steps) = self.steps(&each.iter_range)?;
        let (inner, rest) = self.steps(item)?;
        if name != ROOT || inner != each.iter_var {
            let fact = format!("`map` takes a list of `{ROOT}` and a member of its `{}`", each.iter_var);
            return self.unsupported(at, &fact, "write `payload.people.map(p, p.id)`");
        }
        steps.push(Step::Each);
        steps.extend(rest);
        Some(self.wanted(&steps))
    }

    fn call(&mut self, at: &IdedExpr, call: &CallExpr) -> Option<Term> {
        let name = call.func_name.as_str();
        let operands: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        match (name, operands.as_slice()) {
            (operators::LOGICAL_AND, [left, right]) => self.truths(left, right).map(Term::And),
            (operators::LOGICAL_OR, [left, right]) => self.truths(left, right).map(Term::Or),
            (operators::LOGICAL_NOT, [of]) => self.truth(of).map(|of| Term::Not(Box::new(of))),
            (operators::CONDITIONAL, [asked, then, otherwise]) => {
                let parts = (self.truth(asked), self.expr(then), self.expr(otherwise));
                Some(Term::If(Box::new([parts.0?, parts.1?, parts.2?])))
            }
            (operators::NEGATE, [of]) => {
                let zero = Term::Fixed(Value::Int(0));
                Some(Term::Sum(Sum::Subtract, Box::new([zero, self.expr(of)?])))
            }
            (operators::IN, [needle, list]) => self.within(needle, list),
            (_, [left, right]) if compare_of(name).is_some() => {
                let (how, sides) = (compare_of(name)?, self.both(left, right)?);
                self.comparable((at, right), how, &sides)?;
                Some(Term::Compare(how, sides))
            }
            (_, [left, right]) if sum_of(name).is_some() => {
                let (how, sides) = (sum_of(name)?, self.both(left, right)?);
                self.countable(at, how, &sides)?;
                let zero = matches!(&sides[1], Term::Fixed(Value::Int(0)))
                    || sides[1] == Term::Fixed(Value::Double(0.0));
                if zero && matches!(how, Sum::Divide | Sum::Remainder) {
                    let told =
                        ("nothing can be divided by zero".to_owned(), "write another number".to_owned());
                    return self.fault(right, "divides-by-zero", told);
                }
                Some(Term::Sum(how, sides))
            }
            ("contains", [text, part]) => Some(Term::Text(TextTest::Contains, self.both(text, part)?)),
            ("startsWith", [text, part]) => Some(Term::Text(TextTest::StartsWith, self.both(text, part)?)),
            ("endsWith", [text, part]) => Some(Term::Text(TextTest::EndsWith, self.both(text, part)?)),
            ("split", [text, by]) => {
                let function = Function::Split(self.written(by)?);
                Some(Term::Call(function, Box::new(self.expr(text)?)))
            }
            ("replace", [text, from, to]) => {
                let function = Function::Replace(self.written(from)?, self.written(to)?);
                Some(Term::Call(function, Box::new(self.expr(text)?)))
            }
            (name, [of]) if function(name).is_some() => {
                Some(Term::Call(function(name)?, Box::new(self.expr(of)?)))
            }
            (name, _) => {
                let hint = match nearest(name, KNOWN.iter().copied()) {
                    Some(near) if near != name => format!("write `{near}`"),
                    Some(_) => format!("see how many values `{name}` takes"),
                    None => format!("mappings know {}", listed(KNOWN)),
                };
                self.fault(at, "unknown-function", (format!("unknown function `{name}`"), hint))
            }
        }
    }

    fn within(&mut self, needle: &IdedExpr, list: &IdedExpr) -> Option<Term> {
        let sides = self.both(needle, list)?;
        if sides[1] == Term::List(Vec::new()) {
            let fact = "nothing is in an empty list: this is always false".to_owned();
            let hint = "write what it may be: `in [\"a\", \"b\"]`".to_owned();
            return self.fault(list, "constant", (fact, hint));
        }
        Some(Term::In(sides))
    }

    fn both(&mut self, left: &IdedExpr, right: &IdedExpr) -> Option<Box<[Term; 2]>> {
        let (left, right) = (self.expr(left), self.expr(right));
        Some(Box::new([left?, right?]))
    }

    fn truths(&mut self, left: &IdedExpr, right: &IdedExpr) -> Option<Box<[Term; 2]>> {
        let (left, right) = (self.truth(left), self.truth(right));
        Some(Box::new([left?, right?]))
    }

    fn truth(&mut self, at: &IdedExpr) -> Option<Term> {
        let term = self.expr(at)?;
        if let Term::Fixed(Value::Bool(truth)) = &term {
            let fact = format!("this is always {truth}, whatever comes");
            return self.fault(at, "constant", (fact, ASK.to_owned()));
        }
        match Kind::of(&term) {
            None | Some(Kind::Bool) => Some(term),
            Some(other) => {
                let fact = format!("{} stands where a truth value should", other.name());
                self.fault(at, "wrong-type", (fact, "compare it with something: `== …`".to_owned()))
            }
        }
    }

    /// A text written down.
    fn written(&mut self, at: &IdedExpr) -> Option<String> {
        match &at.expr {
            Expr::Literal(LiteralValue::String(text)) if !text.inner().is_empty() => {
                Some(text.inner().to_owned())
            }
            _ => self.unsupported(at, "a text in quotes stands here", "write `\",\"`"),
        }
    }

    fn comparable(
        &mut self,
        (whole, at): (&IdedExpr, &IdedExpr),
        how: Compare,
        sides: &[Term; 2],
    ) -> Option<()> {
        if sides[0] == sides[1] && sides[0].reads() {
            let holds = matches!(how, Compare::Equal | Compare::LessOrEqual | Compare::GreaterOrEqual);
            let fact = format!("the same stands on both sides: this is always {holds}");
            let hint = "compare it with something else, or take it out".to_owned();
            return self.fault(whole, "constant", (fact, hint));
        }
        let (Some(left), Some(right)) = (Kind::of(&sides[0]), Kind::of(&sides[1])) else { return Some(()) };
        let is_null = |term: &Term| *term == Term::Fixed(Value::Null);
        let equality = matches!(how, Compare::Equal | Compare::Unequal);
        if left.goes_with(right) || (equality && sides.iter().any(is_null)) {
            return Some(());
        }
        let fact = format!("{} cannot be compared with {}", left.name(), right.name());
        self.fault(at, "wrong-type", (fact, format!("compare it with {}", left.name())))
    }

    fn countable(&mut self, at: &IdedExpr, how: Sum, sides: &[Term; 2]) -> Option<()> {
        let (Some(left), Some(right)) = (Kind::of(&sides[0]), Kind::of(&sides[1])) else { return Some(()) };
        let fits = left.goes_with(right) && (left.is_number() || (left == Kind::Text && how == Sum::Add));
        if fits {
            return Some(());
        }
        let fact = format!("{} and {} cannot be counted together", left.name(), right.name());
        self.fault(at, "wrong-type", (fact, "make texts of both with `string(…)`".to_owned()))
    }
}

fn function(name: &str) -> Option<Function> {
    Some(match name {
        "size" => Function::Size,
        "string" => Function::ToText,
        "int" => Function::ToInt,
        "double" => Function::ToDouble,
        "lowerAscii" => Function::Lower,
        "upperAscii" => Function::Upper,
        "trim" => Function::Trim,
        _ => return None,
    })
}
