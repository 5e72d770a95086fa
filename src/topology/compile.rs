//! Compile: from a plan to a rule for each of its kinds, every name looked up, every fault noted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::event::{FieldType, Shape, Source};

use super::audience::Heard;
use super::calendar::Calendars;
use super::check;
use super::condition::Condition;
use super::fault::{Faults, Place, Sheet, Spot, nearest, suggest};
use super::key::entity;
use super::kinds::{Kinds, type_name};
use super::message::Message;
use super::plan::{Anchor, Moment, Replace, RulePlan, WindowKind};
use super::rule::{Closer, KindRule, Named, Rule, Wanted};
use super::schedule::{self, Saying};

/// What a plan is compiled against.
pub(super) struct Compiler<'a> {
    pub(super) kinds: &'a Kinds,
    pub(super) messages: &'a BTreeMap<String, Arc<Message>>,
    /// Every name that a message has, readable or not.
    pub(super) named: &'a BTreeSet<String>,
    pub(super) calendars: &'a Arc<Calendars>,
    /// Which message is used with which shape, for the messages' own check.
    pub(super) uses: Vec<(String, Arc<Shape>)>,
    pub(super) faults: &'a mut Faults,
    pub(super) sheet: Arc<Sheet>,
    /// Whether no kind of the rule is known: it is checked by what any kind has, and what only one lacks is no fault.
    pub(super) is_guess: bool,
}

/// A rule and its form for each kind.
pub(super) type Compiled = Vec<(String, KindRule)>;

// === impl Compiler ===

impl Compiler<'_> {
    pub(super) fn fault(
        &mut self,
        at: Place,
        code: &'static str,
        told: (impl Into<String>, impl Into<String>),
    ) {
        self.faults.add(&self.sheet, at, code, told);
    }

    /// The rule for each of its kinds; faults are noted, and what has one is not used.
    pub(super) fn rule(&mut self, plan: &RulePlan, source: Option<Source>) -> Compiled {
        let before = self.faults.len();
        let kinds = self.kinds_of(&plan.wanted.kinds, source);
        let shapes = self.shapes(&kinds);
        self.is_guess = shapes.is_empty();
        let shapes = if self.is_guess { vec![self.kinds.any(source)] } else { shapes };
        let heard = Heard::read(self, plan, &shapes);
        let sayings = schedule::sayings(self, plan, &shapes);
        check::plan(self, plan, &shapes, source);
        let rule = Arc::new(Rule {
            id: plan.id.value.clone(),
            // Where either is not known, that is a fault, and the rule is not used.
            source: source.unwrap_or(Source::XConnector),
            audience: heard.audience,
            kinds: kinds.clone(),
            fallback: heard.fallback,
            never: heard.never,
            sayings,
            plan: plan.clone(),
            calendars: Arc::clone(self.calendars),
        });
        let forms: Vec<KindRule> = shapes.iter().map(|shape| self.form(&rule, shape)).collect();
        if source.is_none() || self.is_guess || self.faults.len() != before {
            return Vec::new();
        }
        let mut compiled = Vec::with_capacity(kinds.len());
        for kind in kinds {
            let Some(shape) = self.kinds.shape(&kind) else { continue };
            let at = shapes.iter().position(|known| Arc::ptr_eq(known, shape));
            if let Some(form) = at.and_then(|at| forms.get(at)) {
                compiled.push((kind, form.clone()));
            }
        }
        compiled
    }

    /// The kinds patterns mean; unknown ones and those of another system are faults.
    pub(super) fn kinds_of(&mut self, patterns: &[Spot<String>], source: Option<Source>) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for pattern in patterns {
            let kinds = self.kinds;
            let matching = kinds.matching(&pattern.value);
            if matching.is_empty() {
                let wanted = pattern.value.trim_end_matches('*').to_lowercase();
                let hint = match nearest(&wanted, kinds.names()) {
                    Some(near) => format!("write `{near}`"),
                    None => "see the kinds in schemas/ (`bugle.kinds`)".to_owned(),
                };
                self.fault(
                    pattern.at,
                    "unknown-kind",
                    (format!("no kind is called `{}`", pattern.value), hint),
                );
            }
            let foreign = matching.iter().find(|kind| source.is_some() && Source::of_kind(kind) != source);
            if let (Some(source), Some(kind)) = (source, foreign) {
                let other = kind.split('.').next().unwrap_or_default();
                let fact = format!("`{kind}` is not a kind of {source}");
                self.fault(
                    pattern.at,
                    "other-source",
                    (fact, format!("move the rule to topology/{other}.yaml")),
                );
                continue;
            }
            for kind in matching {
                if !found.iter().any(|known| known == kind) {
                    found.push(kind.to_owned());
                }
            }
        }
        found
    }

    pub(super) fn shapes(&self, kinds: &[String]) -> Vec<Arc<Shape>> {
        let mut shapes: Vec<Arc<Shape>> = Vec::new();
        for shape in kinds.iter().filter_map(|kind| self.kinds.shape(kind)) {
            if !shapes.iter().any(|known| Arc::ptr_eq(known, shape)) {
                shapes.push(Arc::clone(shape));
            }
        }
        shapes
    }

    fn form(&mut self, rule: &Arc<Rule>, shape: &Arc<Shape>) -> KindRule {
        let plan = &rule.plan;
        let subject = plan.subject.as_ref();
        let by = plan.counts_by().map(|by| self.fields(by, shape));
        let replace = match &plan.replace {
            Some(Replace::Fields(fields)) => self.fields(fields, shape),
            _ => Vec::new(),
        };
        let wanted = plan
            .wanted
            .fields
            .iter()
            .filter_map(|(field, values)| self.wanted(field, values, shape))
            .collect();
        let expiry = plan.expires.as_ref().and_then(|expires| self.anchor(expires, shape));
        let variables = |saying: &Saying| {
            let paths = saying.message.iter().flat_map(|message| message.variables());
            paths.filter_map(|path| Some((path.clone(), shape.slot(path)?))).collect()
        };
        KindRule {
            rule: Arc::clone(rule),
            wanted,
            condition: plan.condition.as_ref().and_then(|condition| self.condition(condition, shape)),
            subject: by.filter(|by| !by.is_empty()).unwrap_or_else(entity),
            each: subject.map(|subject| self.fields(&subject.each, shape)).unwrap_or_default(),
            news: self.fields(&plan.news, shape),
            dedupe: plan.dedupe.as_ref().map(|dedupe| self.fields(&dedupe.by, shape)).unwrap_or_default(),
            replace,
            variables: rule.sayings.iter().map(variables).collect(),
            gathers: rule.sayings.iter().map(|saying| self.gathered(saying, shape)).collect(),
            expiry,
            signature: shape.slot("signature_required"),
            order: plan.order.as_ref().and_then(|order| shape.slot(&order.value)),
            state: (
                ["status_from", "state_from"].iter().find_map(|field| shape.slot(field)),
                ["status_to", "state_to", "state"].iter().find_map(|field| shape.slot(field)),
            ),
            level: plan.window.as_ref().and_then(|window| level(&window.kind, shape)),
            timers: schedule::timers(plan, shape),
            mutes: plan.mutes.as_ref().map(|mutes| self.fields(&mutes.equal, shape)).unwrap_or_default(),
            muted_by: Vec::new(),
        }
    }

    /// The fields by which each person has a saying gathered.
    fn gathered(&mut self, saying: &Saying, shape: &Shape) -> Option<Vec<Named>> {
        let window = saying.window.as_ref()?;
        let by = window.by.iter().filter(|field| field.value != "person");
        Some(by.filter_map(|field| Some((field.value.clone(), shape.slot(&field.value)?))).collect())
    }

    /// What closes the rule, for each of the kinds that do.
    pub(super) fn closers(&mut self, rule: &Arc<Rule>, source: Option<Source>) -> Vec<(String, Closer)> {
        let plan = &rule.plan;
        let Some(until) = &plan.until else { return Vec::new() };
        let mut closers = Vec::new();
        for kind in self.kinds_of(&until.kinds, source) {
            let Some(shape) = self.kinds.shape(&kind).cloned() else { continue };
            let wanted = until.fields.iter().filter_map(|(field, values)| self.wanted(field, values, &shape));
            let wanted = wanted.collect();
            let by = plan.counts_by().map(|by| self.fields(by, &shape));
            let each = plan.subject.as_ref().map(|subject| subject.each.as_slice()).unwrap_or_default();
            let each = each.iter().filter_map(|field| Some((field.value.clone(), shape.slot(&field.value)?)));
            let each = each.collect();
            let subject = by.filter(|by| !by.is_empty()).unwrap_or_else(entity);
            closers.push((kind, Closer { rule: Arc::clone(rule), wanted, subject, each }));
        }
        closers
    }

    /// The slots of fields a rule names without `event.`.
    pub(super) fn fields(&mut self, fields: &[Spot<String>], shape: &Shape) -> Vec<Named> {
        let mut named = Vec::with_capacity(fields.len());
        for field in fields {
            match shape.slot(&field.value) {
                Some(slot) => named.push((field.value.clone(), slot)),
                None => self.unknown_field(field.at, &field.value, shape),
            }
        }
        named
    }

    pub(super) fn unknown_field(&mut self, at: Place, path: &str, shape: &Shape) {
        let kind = shape.kinds.first().map_or("this kind", String::as_str);
        let bare = path.strip_prefix("event.").unwrap_or(path);
        let hint = match nearest(bare, shape.fields.iter().map(|field| field.path.as_str())) {
            Some(near) => format!("write `{near}`"),
            None => format!("see the fields of {} in schemas/{}.avsc", shape.data, shape.source),
        };
        self.fault(at, "unknown-field", (format!("`{kind}` has no field `{path}`"), hint));
    }

    /// A time of the event that is none: only times are suggested.
    fn unknown_time(&mut self, at: Place, path: &str, shape: &Shape) {
        let kind = shape.kinds.first().map_or("this kind", String::as_str);
        let is_time = |ty: &FieldType| matches!(ty, FieldType::Time | FieldType::Date);
        let times: Vec<String> = shape
            .fields
            .iter()
            .filter(|field| is_time(&field.ty))
            .map(|field| format!("event.{}", field.path))
            .collect();
        let times: Vec<&str> = times.iter().map(String::as_str).collect();
        let fact = format!("`{kind}` has no field `event.{path}`");
        self.fault(at, "unknown-field", (fact, suggest(&format!("event.{path}"), &times)));
    }

    fn wanted(
        &mut self,
        field: &Spot<String>,
        values: &[Spot<String>],
        shape: &Shape,
    ) -> Option<(u16, Wanted)> {
        let Some(slot) = shape.slot(&field.value) else {
            self.unknown_field(field.at, &field.value, shape);
            return None;
        };
        let ty = &shape.fields[usize::from(slot)].ty;
        let texts = || Wanted::Texts(values.iter().map(|value| value.value.clone()).collect());
        let wanted = match ty {
            FieldType::Symbol(names) => {
                for value in values.iter().filter(|value| !names.contains(&value.value)) {
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    let fact = format!("`{}` is never `{}`", field.value, value.value);
                    self.fault(value.at, "never-equal", (fact, suggest(&value.value, &names)));
                }
                Some(texts())
            }
            FieldType::Text | FieldType::Texts | FieldType::Records(_) => Some(texts()),
            FieldType::Int => {
                values.iter().map(|value| value.value.parse().ok()).collect::<Option<_>>().map(Wanted::Ints)
            }
            FieldType::Bool => match values {
                [one] => one.value.parse().ok().map(Wanted::Bool),
                _ => None,
            },
            _ => None,
        };
        if wanted.is_none() {
            let fact = format!("`{}` is {} and cannot be matched with this", field.value, type_name(ty));
            let hint = match ty {
                FieldType::Int => "write a whole number".to_owned(),
                FieldType::Bool => "write `true` or `false`".to_owned(),
                _ => format!("write a condition: `if: event.{} …`", field.value),
            };
            let at = values.first().filter(|_| matches!(ty, FieldType::Int | FieldType::Bool));
            self.fault(at.map_or(field.at, |value| value.at), "wrong-type", (fact, hint));
        }
        Some((slot, wanted?))
    }

    pub(super) fn condition(&mut self, text: &Spot<String>, shape: &Shape) -> Option<Condition> {
        match Condition::parse(&text.value, shape) {
            Ok(condition) => Some(condition),
            Err(found) => {
                for fault in found {
                    let at = self.sheet.inside(text, fault.offset, fault.length);
                    self.fault(at, fault.code, (fault.message, fault.hint));
                }
                None
            }
        }
    }

    /// The slot of an anchor that is a field, which must be a time or a day.
    pub(super) fn anchor(
        &mut self,
        at: &Spot<Moment>,
        shape: &Shape,
    ) -> Option<(Option<u16>, crate::event::Span)> {
        let Some(Anchor::Event(path)) = &at.value.anchor else {
            return at.value.anchor.is_none().then_some((None, at.value.offset));
        };
        let Some(slot) = shape.slot(path) else {
            self.unknown_time(at.at, path, shape);
            return None;
        };
        let ty = &shape.fields[usize::from(slot)].ty;
        if !matches!(ty, FieldType::Time | FieldType::Date) {
            let fact = format!("`event.{path}` is {}, and an anchor is a time", type_name(ty));
            self.fault(at.at, "wrong-type", (fact, "start from a time such as `event.due_at`"));
        }
        Some((Some(slot), at.value.offset))
    }

    pub(super) fn relation_place(&self, text: &Spot<String>, word: &str) -> Place {
        match text.value.find(word) {
            Some(offset) => self.sheet.inside(text, offset, word.len()),
            None => text.at,
        }
    }
}

/// The two conditions of a level, which `check` has looked at.
fn level(window: &WindowKind, shape: &Shape) -> Option<(Condition, Option<Condition>)> {
    let WindowKind::Level { value, raise, clear, .. } = window else { return None };
    let half =
        |level: &Spot<String>| Condition::parse(&format!("{} {}", value.value, level.value), shape).ok();
    Some((half(raise)?, clear.as_ref().and_then(half)))
}
