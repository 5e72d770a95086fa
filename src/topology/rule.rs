//! Rule: one entry of the topology, ready to be asked about a change.
//!
//! [`Rule`] is what is the same for every kind; [`KindRule`] has the rule's field names turned into the
//! slots of one kind's shape. Nothing here decides whom the directory names or when a timer is due.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use crate::event::change::Slot;
use crate::event::notice::Verb;
use crate::event::shape::slot;
use crate::event::{Audience, Change, Priority, Source, Span, SubjectKey, Timestamp, Value, hash128};

use super::condition::{Condition, RuleFault};
use super::message::Message;
use super::plan::{Replace, RulePlan, Tell, WindowKind};

/// What a rule is for every kind it matches.
#[derive(Debug)]
pub struct Rule {
    /// Stable: state is keyed by it.
    pub id: String,
    /// Whose changes it hears.
    pub source: Source,
    /// The kinds it hears, in full.
    pub kinds: Vec<String>,
    /// To whom it speaks.
    pub audience: Audience,
    /// To whom when that is nobody.
    pub fallback: Option<Audience>,
    /// To whom never, after everything else.
    pub never: Option<Audience>,
    /// What the first telling says; `None` only when the event itself tells nothing.
    pub message: Option<Arc<Message>>,
    /// How urgent.
    pub priority: Priority,
    /// What it offers before a change's own options narrow it.
    pub answers: Vec<Verb>,
    /// Operators it carries that this version does not carry out yet.
    pub unbuilt: Vec<&'static str>,
    /// Everything it says, as written.
    pub plan: RulePlan,
}

/// A rule for one kind.
#[derive(Debug, Clone)]
pub struct KindRule {
    /// The rule.
    pub rule: Arc<Rule>,
    pub(super) wanted: Vec<(u16, Wanted)>,
    pub(super) condition: Option<Condition>,
    pub(super) subject: Vec<Named>,
    pub(super) each: Vec<Named>,
    pub(super) news: Vec<Named>,
    pub(super) dedupe: Vec<Named>,
    pub(super) replace: Vec<Named>,
    pub(super) variables: Vec<Named>,
    pub(super) expiry: Option<(Option<u16>, Span)>,
    pub(super) signature: Option<u16>,
}

/// A field by the name the rule calls it.
pub(super) type Named = (String, u16);

/// The values a matched field may have.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    Texts(Vec<String>),
    Ints(Vec<i64>),
    Bool(bool),
}

// === impl Rule ===

impl Rule {
    /// Whether an event is told at once. A rule that holds, only arms timers or waits for a threshold
    /// or a silence says nothing for the event itself.
    #[must_use]
    pub fn tells_at_once(&self) -> bool {
        let waits = matches!(
            self.plan.window.as_ref().map(|window| &window.kind),
            Some(WindowKind::Threshold { .. } | WindowKind::Level { .. } | WindowKind::Session { .. })
        );
        self.plan.tell == Tell::Now && !waits && self.message.is_some()
    }

    /// How long an equal change is the same change; `None`: the rule has no key of its own.
    #[must_use]
    pub fn dedupe_for(&self) -> Option<Span> {
        self.plan.dedupe.as_ref().map(|dedupe| dedupe.horizon)
    }

    /// Whether a newer push replaces an older one on the phone.
    #[must_use]
    pub fn replaces(&self) -> bool {
        self.plan.replace.is_some()
    }
}

// === impl KindRule ===

impl KindRule {
    /// Whether the rule wants this change. Without an `if` nothing is allocated.
    ///
    /// # Errors
    /// The condition has no answer for this change; the rule then does not speak and the change says why.
    pub fn matches(&self, change: &Change<'_>) -> Result<bool, RuleFault> {
        let tenants = &self.rule.plan.tenants;
        if !tenants.is_empty() && !tenants.iter().any(|tenant| tenant == change.tenant()) {
            return Ok(false);
        }
        if !self.wanted.iter().all(|(slot, wanted)| wanted.holds(change, *slot)) {
            return Ok(false);
        }
        self.condition.as_ref().map_or(Ok(true), |condition| condition.holds(change))
    }

    /// The subject's key: `tenant|source|name=value|…`, the entity where the rule names no fields.
    /// `None` when a field it counts by is absent.
    #[must_use]
    pub fn subject(&self, change: &Change<'_>) -> Option<SubjectKey> {
        key(change, &self.subject).map(SubjectKey)
    }

    /// Which of the subject's conversations the change belongs to; empty where the rule keeps one.
    /// An absent field is an empty value.
    #[must_use]
    pub fn each(&self, change: &Change<'_>) -> String {
        let mut text = String::new();
        for (name, slot) in &self.each {
            text.push('|');
            put(&mut text, name, &value_text(change, *slot).unwrap_or_default());
        }
        text
    }

    /// What a telling is about: equal for rules that name the same fields with equal values. The event
    /// itself where the rule names none, or one of them is absent.
    #[must_use]
    pub fn news(&self, change: &Change<'_>) -> u128 {
        let named = match self.news.as_slice() {
            [] => None,
            news => key(change, news),
        };
        let key = named.or_else(|| key(change, &*EVENT_ID));
        hash128([change.tenant().as_bytes(), b"news", key.unwrap_or_default().as_bytes()])
    }

    /// What makes two changes the same for this rule; an absent field is an empty value. `None` where
    /// the rule has no `dedupe`.
    #[must_use]
    pub fn dedupe(&self, change: &Change<'_>) -> Option<u128> {
        self.rule.plan.dedupe.as_ref()?;
        let mut text = String::new();
        for (name, slot) in &self.dedupe {
            text.push('|');
            put(&mut text, name, &value_text(change, *slot).unwrap_or_default());
        }
        let source = change.shape().source.as_str().as_bytes();
        Some(hash128([change.tenant().as_bytes(), source, self.rule.id.as_bytes(), text.as_bytes()]))
    }

    /// The collapse key of the rule's pushes: 34 characters; `None` where nothing is replaced.
    #[must_use]
    pub fn collapse_key(&self, change: &Change<'_>) -> Option<String> {
        let fields = match self.rule.plan.replace.as_ref()? {
            Replace::Subject => &self.subject,
            Replace::Fields(_) => &self.replace,
        };
        let key = key(change, fields)?;
        let hash = hash128([change.tenant().as_bytes(), self.rule.id.as_bytes(), key.as_bytes()]);
        Some(format!("c-{hash:032x}"))
    }

    /// The answers offered: the rule's, narrowed by the change's own options where it has an action;
    /// none where a signature is required.
    #[must_use]
    pub fn answers(&self, change: &Change<'_>) -> Vec<Verb> {
        if self.signature.is_some_and(|slot| change.slot(slot) == Slot::Bool(true)) {
            return Vec::new();
        }
        let answers = self.rule.answers.iter().copied();
        if matches!(change.slot(slot::ACTION_REF), Slot::Absent) {
            return answers.collect();
        }
        answers
            .filter(|verb| change.texts(slot::ACTION_OPTIONS).any(|option| option == verb.as_str()))
            .collect()
    }

    /// After this a telling is noise: the earlier of the rule's `expires` and the change's own.
    #[must_use]
    pub fn expires_at(&self, change: &Change<'_>) -> Option<Timestamp> {
        let own = change.time(slot::EXPIRES_AT);
        let rule = self.expiry.and_then(|(anchor, offset)| {
            let from = match anchor {
                None => change.occurred_at(),
                Some(slot) => moment(change, slot)?,
            };
            Some(from + offset)
        });
        own.into_iter().chain(rule).min()
    }

    /// The values the message's texts use, by path, the absent ones as null.
    #[must_use]
    pub fn values<'v>(&'v self, change: &'v Change<'_>) -> Vec<(&'v str, Value<'v>)> {
        self.variables.iter().map(|(path, slot)| (path.as_str(), change.value(*slot))).collect()
    }
}

// === impl Wanted ===

impl Wanted {
    fn holds(&self, change: &Change<'_>, at: u16) -> bool {
        match (self, change.slot(at)) {
            (Self::Texts(wanted), _) => change.texts(at).any(|text| wanted.iter().any(|want| want == text)),
            (Self::Ints(wanted), Slot::Int(number)) => wanted.contains(&number),
            (Self::Bool(wanted), Slot::Bool(truth)) => *wanted == truth,
            _ => false,
        }
    }
}

/// What a telling is about when its rule names nothing.
static EVENT_ID: LazyLock<[Named; 1]> = LazyLock::new(|| [("event_id".to_owned(), slot::EVENT_ID)]);

/// A time, or the midnight in UTC that begins a day.
fn moment(change: &Change<'_>, at: u16) -> Option<Timestamp> {
    match change.value(at) {
        Value::Time(at) => Some(at),
        Value::Date(days) => Some(Timestamp::from_millis(i64::from(days) * 86_400_000)),
        _ => None,
    }
}

/// `tenant|source|name=value|…`; `None` when a value is absent.
fn key(change: &Change<'_>, fields: &[Named]) -> Option<String> {
    let mut text = String::with_capacity(64);
    escape(&mut text, change.tenant());
    text.push('|');
    text.push_str(change.shape().source.as_str());
    for (name, slot) in fields {
        let value = value_text(change, *slot)?;
        text.push('|');
        put(&mut text, name, &value);
    }
    Some(text)
}

fn put(out: &mut String, name: &str, value: &str) {
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

fn value_text<'c>(change: &'c Change<'_>, at: u16) -> Option<Cow<'c, str>> {
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

/// The entity: what a rule counts by when it names nothing else.
pub(super) fn entity() -> Vec<Named> {
    vec![("entity.type".to_owned(), slot::ENTITY_TYPE), ("entity.id".to_owned(), slot::ENTITY_ID)]
}
