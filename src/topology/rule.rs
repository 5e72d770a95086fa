//! Rule: one entry of the topology, ready to be asked about a change.
//!
//! [`Rule`] is what is the same for every kind; [`KindRule`] has the rule's field names turned into the
//! slots of one kind's shape. Nothing here decides whom the directory names or when a timer is due.

use std::sync::{Arc, LazyLock};

use crate::event::change::Slot;
use crate::event::notice::{Gather, Verb};
use crate::event::shape::slot;
use crate::event::{Audience, Change, Source, Span, SubjectKey, Timestamp, Value, hash128};

use super::calendar::Calendars;
use super::condition::{Condition, RuleFault};
use super::key::{key, put, start_of_key, value_text};
use super::plan::{Replace, RulePlan, Stop, Tell, WindowKind};
use super::schedule::{Saying, Timer};

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
    /// Everything it says: the first telling, what its timers say, what is said at the close.
    pub sayings: Vec<Saying>,
    /// Everything it says, as written.
    pub plan: RulePlan,
    /// When people work, place by place.
    pub(super) calendars: Arc<Calendars>,
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
    /// For each saying, what its message uses.
    pub(super) variables: Vec<Vec<Named>>,
    /// For each saying that a person has gathered, by what.
    pub(super) gathers: Vec<Option<Vec<Named>>>,
    pub(super) expiry: Option<(Option<u16>, Span)>,
    pub(super) signature: Option<u16>,
    pub(super) order: Option<u16>,
    /// Where the change says which state it left, and which it came to.
    pub(super) state: (Option<u16>, Option<u16>),
    /// What raises a level, and what clears it.
    pub(super) level: Option<(Condition, Option<Condition>)>,
    /// What it says later.
    pub timers: Vec<Timer>,
    /// What those it mutes have in common with it.
    pub(super) mutes: Vec<Named>,
    /// The rules that mute it, and what it has in common with each.
    pub(super) muted_by: Vec<(String, Vec<Named>)>,
}

/// A kind that closes what a rule opened.
#[derive(Debug, Clone)]
pub struct Closer {
    /// The rule.
    pub rule: Arc<Rule>,
    pub(super) wanted: Vec<(u16, Wanted)>,
    pub(super) subject: Vec<Named>,
    /// Of the fields that tell a subject's conversations apart, those that the kind has.
    pub(super) each: Vec<Named>,
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
    /// Whether an event is told at once. A rule that holds, only arms timers or gathers changes in a window
    /// says nothing for the event itself.
    #[must_use]
    pub fn tells_at_once(&self) -> bool {
        self.plan.tell.value == Tell::Now && self.window().is_none() && self.first().message.is_some()
    }

    /// The first telling.
    #[must_use]
    pub fn first(&self) -> &Saying {
        &self.sayings[0]
    }

    /// What is said at the close, by its number.
    #[must_use]
    pub fn closing(&self) -> Option<u16> {
        let last = u16::try_from(self.sayings.len().checked_sub(1)?).ok()?;
        self.plan.closed.is_some().then_some(last)
    }

    /// The window that gathers changes of a subject. One that is kept for each person is another lane's.
    #[must_use]
    pub fn window(&self) -> Option<&WindowKind> {
        self.plan.window.as_ref().filter(|window| !window.is_personal()).map(|window| &window.kind)
    }

    /// Whether something must be remembered of a subject beyond the moment: what is open, what is due.
    #[must_use]
    pub fn converses(&self) -> bool {
        self.plan.until.is_some()
            || self.plan.tell.value != Tell::Now
            || self.plan.order.is_some()
            || self.window().is_some()
            || self.decides()
            || self.writes_back()
            || self.sayings.len() > 1 + usize::from(self.plan.instead.is_some())
    }

    /// Whether somebody may decide: then it is remembered who was asked, and who was first.
    #[must_use]
    pub fn decides(&self) -> bool {
        self.sayings.iter().flat_map(|saying| &saying.answers).any(|verb| *verb != Verb::Acknowledge)
    }

    /// Whether answers are carried into the source system.
    #[must_use]
    pub fn writes_back(&self) -> bool {
        !self.plan.write_back.is_empty()
    }

    /// What an answer ends: as the rule says, else by the verb's own habit.
    #[must_use]
    pub fn stop(&self, verb: Verb) -> Stop {
        self.plan.stop(verb)
    }

    /// Whether changes are counted before anything is told: then it is the telling that is known by the
    /// rule's own key, and not each of the changes.
    #[must_use]
    pub fn counts_changes(&self) -> bool {
        matches!(self.window(), Some(WindowKind::Threshold { .. }))
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

    /// The subject's key: `tenant|source|name=value|…`, what a window gathers by or the entity where the rule
    /// names no fields. `None` when a field it counts by is absent; a window gathers what lacks a field, too.
    #[must_use]
    pub fn subject(&self, change: &Change<'_>) -> Option<SubjectKey> {
        if self.rule.plan.subject.is_some() {
            return key(change, &self.subject).map(SubjectKey);
        }
        let mut text = start_of_key(change);
        for (name, slot) in &self.subject {
            text.push('|');
            put(&mut text, name, &value_text(change, *slot).unwrap_or_default());
        }
        Some(SubjectKey(text))
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

    /// The collapse key of the rule's pushes: 34 characters; `None` where nothing is replaced. What is to be
    /// decided has one place on a phone, whichever rule asks.
    #[must_use]
    pub fn collapse_key(&self, change: &Change<'_>) -> Option<String> {
        let (fields, whose) = match self.rule.plan.replace.as_ref()? {
            Replace::Subject if self.rule.asks_decision() => (&self.subject, "decision"),
            Replace::Subject => (&self.subject, self.rule.id.as_str()),
            Replace::Fields(_) => (&self.replace, self.rule.id.as_str()),
        };
        let key = key(change, fields)?;
        let hash = hash128([change.tenant(), whose, &key].map(str::as_bytes));
        Some(format!("c-{hash:032x}"))
    }

    /// The answers a saying offers, narrowed by the change's own options where it has an action;
    /// none where a signature is required.
    #[must_use]
    pub fn answers(&self, change: &Change<'_>, saying: u16) -> Vec<Verb> {
        if self.signature.is_some_and(|slot| change.slot(slot) == Slot::Bool(true)) {
            return Vec::new();
        }
        let answers = self.rule.sayings.get(usize::from(saying)).map(|saying| saying.answers.as_slice());
        let answers = answers.unwrap_or_default().iter().copied();
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

    /// The values a saying's texts use, by path, the absent ones as null.
    #[must_use]
    pub fn values<'v>(&'v self, change: &'v Change<'_>, saying: u16) -> Vec<(&'v str, Value<'v>)> {
        let variables = self.variables.get(usize::from(saying)).map(Vec::as_slice).unwrap_or_default();
        variables.iter().map(|(path, slot)| (path.as_str(), change.value(*slot))).collect()
    }

    /// Where the change stands among those of its subject; `None` where the rule has no order.
    #[must_use]
    pub fn order(&self, change: &Change<'_>) -> Option<i64> {
        change.int(self.order?)
    }

    /// The state the change left, and the one it came to, where its kind has such fields.
    #[must_use]
    pub fn state(&self, change: &Change<'_>) -> (Option<String>, Option<String>) {
        let read = |slot: Option<u16>| slot.and_then(|slot| change.text(slot)).map(str::to_owned);
        (read(self.state.0), read(self.state.1))
    }

    /// What a saying is gathered by in a person's own window; `None` where it has none.
    #[must_use]
    pub fn gather<'c>(&self, change: &'c Change<'_>, saying: u16) -> Option<Gather<'c>> {
        let by = self.gathers.get(usize::from(saying))?.as_deref()?;
        let mut text = String::new();
        for (name, slot) in by {
            text.push('|');
            put(&mut text, name, &value_text(change, *slot).unwrap_or_default());
        }
        let source = change.shape().source.as_str().as_bytes();
        let key = hash128([change.tenant().as_bytes(), source, self.rule.id.as_bytes(), text.as_bytes()]);
        let state = |slot: Option<u16>| slot.and_then(|slot| change.text(slot));
        Some(Gather { key, was: state(self.state.0), is: state(self.state.1) })
    }

    /// Whether the level is raised by this change, and whether it is cleared.
    ///
    /// # Errors
    /// A condition has no answer for this change.
    pub fn level(&self, change: &Change<'_>) -> Result<(bool, bool), RuleFault> {
        let Some((raise, clear)) = &self.level else { return Ok((false, false)) };
        let raised = raise.holds(change)?;
        let cleared = clear.as_ref().map_or(Ok(!raised), |clear| clear.holds(change))?;
        Ok((raised, cleared))
    }
}

// === impl Closer ===

impl Closer {
    /// Whether this change closes.
    #[must_use]
    pub fn matches(&self, change: &Change<'_>) -> bool {
        let tenants = &self.rule.plan.tenants;
        (tenants.is_empty() || tenants.iter().any(|tenant| tenant == change.tenant()))
            && self.wanted.iter().all(|(slot, wanted)| wanted.holds(change, *slot))
    }

    /// The subject it closes; `None` when a field is absent.
    #[must_use]
    pub fn subject(&self, change: &Change<'_>) -> Option<SubjectKey> {
        key(change, &self.subject).map(SubjectKey)
    }

    /// Whether it closes the conversation that [`KindRule::each`] calls so: one whose fields have the values
    /// the change names. What it does not name, it closes whatever it is.
    #[must_use]
    pub fn closes(&self, change: &Change<'_>, each: &str) -> bool {
        self.each.iter().all(|(name, slot)| {
            let Some(value) = value_text(change, *slot) else { return true };
            let mut wanted = "|".to_owned();
            put(&mut wanted, name, &value);
            each.match_indices(&wanted).any(|(at, found)| {
                let after = &each[at + found.len()..];
                after.is_empty() || after.starts_with('|')
            })
        })
    }
}

// === impl Wanted ===

impl Wanted {
    pub(super) fn holds(&self, change: &Change<'_>, at: u16) -> bool {
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
