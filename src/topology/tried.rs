//! Tried: a rule held against one change, test by test, for whoever asks why it spoke or did not.
//!
//! It decides nothing: [`KindRule::matches`] does, with the same values.

use crate::event::{Change, Value};

use super::condition::RuleFault;
use super::rule::Wanted;
use super::{Closer, KindRule};

/// One test of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// What is wanted, such as `severity is high or critical`.
    pub wanted: String,
    /// What the change has there.
    pub found: String,
    /// Whether that is it.
    pub holds: bool,
}

/// A rule and one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// In the order the rule asks.
    pub tests: Vec<Test>,
    /// Whether it wants the change; the fault, where the condition has no answer.
    pub matches: Result<bool, RuleFault>,
}

/// The most characters of a value that are shown.
const MOST_SHOWN: usize = 80;

// === impl KindRule ===

impl KindRule {
    /// Every test of `match` and `if`, also those behind the first that fails.
    #[must_use]
    pub fn tried(&self, change: &Change<'_>) -> Tried {
        let mut tests = of_tenant(&self.rule.plan.tenants, change);
        tests.extend(self.wanted.iter().map(|(slot, wanted)| wanted.test(change, *slot)));
        if let (Some(condition), Some(text)) = (&self.condition, &self.rule.plan.condition) {
            for clause in condition.clauses(&text.value, change) {
                let found: Vec<String> = clause
                    .reads
                    .iter()
                    .map(|(slot, name)| named(change, *slot, name.as_deref()))
                    .chain(clause.holds.err().map(|fault| fault.to_string()))
                    .collect();
                let (wanted, found) = (format!("if {}", clause.text), found.join(", "));
                tests.push(Test { wanted, found, holds: clause.holds == Ok(true) });
            }
        }
        Tried { tests, matches: self.matches(change) }
    }
}

// === impl Closer ===

impl Closer {
    /// Every test of `until`.
    #[must_use]
    pub fn tried(&self, change: &Change<'_>) -> Tried {
        let mut tests = of_tenant(&self.rule.plan.tenants, change);
        tests.extend(self.wanted.iter().map(|(slot, wanted)| wanted.test(change, *slot)));
        Tried { tests, matches: Ok(self.matches(change)) }
    }
}

// === impl Wanted ===

impl Wanted {
    fn test(&self, change: &Change<'_>, slot: u16) -> Test {
        let wanted = match self {
            Self::Texts(texts) => texts.join(" or "),
            Self::Ints(numbers) => numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(" or "),
            Self::Bool(truth) => truth.to_string(),
        };
        let wanted = format!("{} is {wanted}", path(change, slot));
        Test { wanted, found: shown(&change.value(slot)), holds: self.holds(change, slot) }
    }
}

fn of_tenant(tenants: &[String], change: &Change<'_>) -> Vec<Test> {
    if tenants.is_empty() {
        return Vec::new();
    }
    let (wanted, found) = (format!("tenant is {}", tenants.join(" or ")), change.tenant().to_owned());
    vec![Test { wanted, holds: tenants.contains(&found), found }]
}

fn path<'c>(change: &'c Change<'_>, slot: u16) -> &'c str {
    change.shape().fields.get(usize::from(slot)).map_or("", |field| field.path.as_str())
}

fn named(change: &Change<'_>, slot: u16, name: Option<&str>) -> String {
    match name {
        None => format!("{} = {}", path(change, slot), shown(&change.value(slot))),
        Some(name) => {
            let value = change.map_text(slot, name).map_or_else(|| "absent".to_owned(), short);
            format!("{}.{name} = {value}", path(change, slot))
        }
    }
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Null => "absent".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Text(text) => short(text),
        Value::Time(at) => at.to_string(),
        Value::Date(days) => {
            let day = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(*days));
            day.map_or_else(|_| days.to_string(), |day| day.to_string())
        }
        Value::List(items) => short(&items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Named(pairs) => {
            let pairs = pairs.iter().filter(|(_, value)| *value != Value::Null);
            let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}: {}", shown(value))).collect();
            short(&format!("{{{}}}", pairs.join(", ")))
        }
    }
}

fn short(text: &str) -> String {
    let mut letters = text.chars();
    let head: String = letters.by_ref().take(MOST_SHOWN).collect();
    if letters.next().is_some() { format!("{head}…") } else { head }
}
