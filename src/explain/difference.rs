//! Difference: the same events through two sets of rules, and who would hear more, less or at another time.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::event::timestamp::as_text_if_any;
use crate::event::{Span, Timestamp};
use crate::scenario::{Played, Told};

/// One rule, before and after.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The rule.
    pub rule: String,
    /// How often somebody is told by the old rules, and by the new ones.
    pub before: u64,
    /// By the new ones.
    pub after: u64,
    /// Tellings that only the new rules have.
    pub more: u64,
    /// Tellings that only the old rules have.
    pub less: u64,
    /// Tellings that come at another time.
    pub moved: u64,
    /// Tellings that come in other words or louder.
    pub reworded: u64,
    /// How many people any of that concerns.
    pub people: usize,
    /// Some of it.
    pub examples: Vec<Example>,
}

/// One telling that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// `more`, `less`, `moved` or `reworded`.
    pub change: &'static str,
    /// The person's tenant.
    pub tenant: String,
    /// The person.
    pub user_id: String,
    /// Which telling.
    pub occasion: String,
    /// When, by the old rules.
    #[serde(serialize_with = "as_text_if_any")]
    pub before: Option<Timestamp>,
    /// When, by the new ones.
    #[serde(serialize_with = "as_text_if_any")]
    pub after: Option<Timestamp>,
    /// What is said, by the new rules where they say it.
    pub title: String,
}

/// All of it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// How many events were played.
    pub events: usize,
    /// Rules that tell anybody, in the order of their names.
    pub rules: Vec<Row>,
    /// How many people hear more often than before.
    pub people_more: usize,
    /// How many hear less often.
    pub people_less: usize,
    /// How many hear as often, but something at another time or in other words.
    pub people_otherwise: usize,
    /// What kept a lane from going on, by the old rules or the new.
    pub stuck: Vec<String>,
}

/// What is told to one person by one rule about one thing.
type Key = (String, String, String, String, String);

/// A telling is at another time when it comes so much earlier or later.
const SAME_TIME: Span = Span::from_secs(1);

/// Lays both beside each other; of each rule so many examples.
#[must_use]
pub fn compare(old: &Played, new: &Played, (events, examples): (usize, usize)) -> Difference {
    let (before, after) = (by_key(old), by_key(new));
    let mut rows: BTreeMap<String, (Row, BTreeSet<(String, String)>)> = BTreeMap::new();
    let mut people: BTreeMap<(String, String), (i64, bool)> = BTreeMap::new();
    let keys: BTreeSet<&Key> = before.keys().chain(after.keys()).collect();
    for key in keys {
        let none = Vec::new();
        let (was, is) = (before.get(key).unwrap_or(&none), after.get(key).unwrap_or(&none));
        let (rule, tenant, user_id, ..) = key;
        let (row, concerned) = rows.entry(rule.clone()).or_default();
        row.before += was.len() as u64;
        row.after += is.len() as u64;
        let person = people.entry((tenant.clone(), user_id.clone())).or_default();
        person.0 += i64::try_from(is.len()).unwrap_or(0) - i64::try_from(was.len()).unwrap_or(0);
        for (was, is) in pairs(was, is) {
            let Some(change) = change(was, is) else { continue };
            *row.counter(change) += 1;
            person.1 = true;
            concerned.insert((tenant.clone(), user_id.clone()));
            let of_change = row.examples.iter().filter(|example| example.change == change).count();
            if of_change < examples {
                row.examples.push(Example::of(change, was, is));
            }
        }
    }
    let count = |test: fn(&(i64, bool)) -> bool| people.values().filter(|person| test(person)).count();
    let rows = rows.into_iter().map(|(rule, (row, concerned))| Row { rule, people: concerned.len(), ..row });
    Difference {
        events,
        rules: rows.collect(),
        people_more: count(|(more, _)| *more > 0),
        people_less: count(|(more, _)| *more < 0),
        people_otherwise: count(|(more, differs)| *more == 0 && *differs),
        stuck: old.steps.iter().chain(&new.steps).flat_map(|step| step.stuck.iter().cloned()).collect(),
    }
}

// === impl Row ===

impl Row {
    fn counter(&mut self, change: &str) -> &mut u64 {
        match change {
            "more" => &mut self.more,
            "less" => &mut self.less,
            "moved" => &mut self.moved,
            _ => &mut self.reworded,
        }
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.people == 0
    }
}

// === impl Example ===

impl Example {
    fn of(change: &'static str, was: Option<&Told>, is: Option<&Told>) -> Self {
        let told = is.or(was);
        let text = |part: fn(&Told) -> String| told.map(part).unwrap_or_default();
        Self {
            change,
            tenant: text(|told| told.who.tenant.clone()),
            user_id: text(|told| told.who.user_id.clone()),
            occasion: text(|told| told.occasion.to_string()),
            before: was.map(|told| told.at),
            after: is.map(|told| told.at),
            title: text(|told| told.title.clone()),
        }
    }
}

fn by_key(played: &Played) -> BTreeMap<Key, Vec<&Told>> {
    let mut by_key: BTreeMap<Key, Vec<&Told>> = BTreeMap::new();
    for told in played.steps.iter().flat_map(|step| &step.told) {
        let who = &told.who;
        let key = (
            told.rule.clone(),
            who.tenant.clone(),
            who.user_id.clone(),
            told.subject.clone(),
            told.occasion.to_string(),
        );
        by_key.entry(key).or_default().push(told);
    }
    by_key
}

/// Tellings of one key side by side: those at the same time first, the rest in the order of time.
fn pairs<'t>(was: &[&'t Told], is: &[&'t Told]) -> Vec<(Option<&'t Told>, Option<&'t Told>)> {
    let (mut was, mut is): (Vec<&Told>, Vec<&Told>) = (was.to_vec(), is.to_vec());
    let mut pairs = Vec::new();
    was.retain(|one| match is.iter().position(|other| is_same_time(one.at, other.at)) {
        Some(at) => {
            pairs.push((Some(*one), Some(is.remove(at))));
            false
        }
        None => true,
    });
    let most = was.len().max(is.len());
    pairs.extend((0..most).map(|at| (was.get(at).copied(), is.get(at).copied())));
    pairs
}

fn change(was: Option<&Told>, is: Option<&Told>) -> Option<&'static str> {
    match (was, is) {
        (None, Some(_)) => Some("more"),
        (Some(_), None) => Some("less"),
        (Some(was), Some(is)) if !is_same_time(was.at, is.at) => Some("moved"),
        (Some(was), Some(is)) => {
            let words =
                |told: &Told| (told.title.clone(), told.summary.clone(), told.priority, told.answers.clone());
            (words(was) != words(is)).then_some("reworded")
        }
        (None, None) => None,
    }
}

fn is_same_time(one: Timestamp, other: Timestamp) -> bool {
    one.since(other).millis().abs() < SAME_TIME.millis()
}
