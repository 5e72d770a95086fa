//! Telling: what one rule said on one occasion: who heard it by which term, and who did not and why.
//!
//! Read from verdicts alone, be they fresh from the lanes or years old from the audit topic: so both
//! answer the same.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::event::asked::Standing;
use crate::event::receipt::Undelivered;
use crate::event::timestamp::{as_text, as_text_if_any};
use crate::event::{Asked, Ending, Occasion, Reason, Span, Timestamp, Verdict};
use crate::scenario::Told;

/// One rule and one occasion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Telling {
    /// The rule.
    pub rule: String,
    /// Which telling.
    pub occasion: String,
    /// When it was decided.
    #[serde(serialize_with = "as_text")]
    pub at: Timestamp,
    /// Whom it was for, the change's values filled in; empty where nobody was asked for.
    pub audience: String,
    /// How many people the rule named.
    pub owed: u32,
    /// How it ended as a whole, where no person comes into it: `grouped`, `nobody`, `waits`.
    pub ended: Option<String>,
    /// When the rule says something of it for the first time, where it waits and somebody looked ahead.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text_if_any")]
    pub until: Option<Timestamp>,
    /// Those who were told.
    pub told: Vec<Fate>,
    /// Those who were not.
    pub not_told: Vec<Fate>,
    /// What the push service took of it; nothing, where it was not asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pushes: Vec<Pushed>,
}

/// Pushes of a telling that the push service took in one batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// When it was known.
    #[serde(serialize_with = "as_text")]
    pub at: Timestamp,
    /// The batch.
    pub batch: String,
    /// The push service's job.
    pub job_id: Option<String>,
    /// How many.
    pub count: u32,
    /// How many of all tellings the batch holds.
    pub of_batch: u32,
    /// How many of the batch reached a device, as the push service said later.
    pub delivered: u32,
    /// Those of this telling that reached nobody.
    pub undelivered: Vec<Undelivered>,
}

/// People who ended the same way by the same term.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fate {
    /// `told`, a verdict's reason, or how they stand to the audience: `never`, `away`, `lacks` and so on.
    pub word: String,
    /// The term that let them in or kept them out, with its value.
    pub why: String,
    /// How many.
    pub count: u32,
    /// Who; nobody where they are too many to be named.
    pub people: Vec<String>,
    /// When they are told, where somebody looked ahead and it is not at once.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text_if_any")]
    pub at: Option<Timestamp>,
}

/// Rule, occasion, subject and person.
type Push = (String, String, String, String);

/// When the push service takes what, by somebody who looked ahead.
#[derive(Debug, Default)]
pub struct Taken {
    first: BTreeMap<Push, Timestamp>,
    /// What is taken later than this has not been told.
    until: Option<Timestamp>,
}

/// A word for who is owed a telling that has not gone out.
const HELD: &str = "held";
/// A word for a telling that timers bring.
const WAITS: &str = "waits";
/// A word for what an event closes.
const CLOSES: &str = "closes";
/// What is told so soon after it was decided is told at once.
const AT_ONCE: Span = Span::from_secs(1);

// === impl Taken ===

impl Taken {
    /// What was taken; a look back from `until`, where it is said.
    pub fn new<'t>(told: impl IntoIterator<Item = &'t Told>, until: Option<Timestamp>) -> Self {
        let mut first = BTreeMap::new();
        for told in told {
            let push = (told.rule.clone(), told.occasion.to_string(), told.subject.clone());
            first.entry((push.0, push.1, push.2, told.who.user_id.clone())).or_insert(told.at);
        }
        Self { first, until }
    }

    /// Of one telling: who is told when.
    fn of<'t>(&'t self, of: (&str, Occasion, &str)) -> BTreeMap<&'t str, Timestamp> {
        let from = (of.0.to_owned(), of.1.to_string(), of.2.to_owned(), String::new());
        let is_it = |push: &Push| (&push.0, &push.1, &push.2) == (&from.0, &from.1, &from.2);
        let found = self.first.range(from.clone()..).take_while(|(push, _)| is_it(push));
        found.map(|((.., person), at)| (person.as_str(), *at)).collect()
    }

    fn is_over(&self, at: Timestamp) -> bool {
        self.until.is_none_or(|until| at <= until)
    }
}

/// Whether somebody who belongs was told, and when, where that is known and not at once.
enum When {
    Told(Option<Timestamp>),
    Held(Option<Timestamp>),
}

// === impl Telling ===

impl Telling {
    /// The tellings these verdicts are about, in the order they were decided. With `taken` who is not among them
    /// was not told yet; without it, everybody who has no other verdict was.
    #[must_use]
    pub fn all(verdicts: &[Verdict], taken: Option<&Taken>) -> Vec<Self> {
        let mut order: Vec<(&str, Occasion)> = Vec::new();
        let mut by_telling: BTreeMap<(&str, String), Vec<&Verdict>> = BTreeMap::new();
        for verdict in verdicts {
            let (Some(rule), Some(occasion)) = (verdict.rule.as_deref(), verdict.occasion) else { continue };
            if !matches!(verdict.ending, Ending::Routed | Ending::Told | Ending::Not(_)) {
                continue;
            }
            let of_telling = by_telling.entry((rule, occasion.to_string())).or_default();
            if of_telling.is_empty() {
                order.push((rule, occasion));
            }
            of_telling.push(verdict);
        }
        let one = |(rule, occasion): (&str, Occasion)| {
            let verdicts = &by_telling[&(rule, occasion.to_string())];
            Self::of((rule, occasion), verdicts, taken)
        };
        order.into_iter().map(one).collect()
    }

    fn of((rule, occasion): (&str, Occasion), verdicts: &[&Verdict], taken: Option<&Taken>) -> Self {
        let at = verdicts.iter().map(|verdict| verdict.at).min().unwrap_or_default();
        let owing = verdicts.iter().filter(|verdict| verdict.ending == Ending::Routed);
        let owed = owing.map(|verdict| verdict.count).sum();
        let asked = |whole: bool| {
            let mut of = verdicts.iter().filter(move |verdict| verdict.people.is_empty() == whole);
            of.find_map(|verdict| verdict.asked.as_deref())
        };
        let mut telling = Self {
            rule: rule.to_owned(),
            occasion: occasion.to_string(),
            at,
            audience: asked(true).map(|asked| asked.audience.clone()).unwrap_or_default(),
            owed,
            ended: verdicts.iter().find_map(|verdict| as_a_whole(verdict, occasion)),
            until: None,
            told: Vec::new(),
            not_told: Vec::new(),
            pushes: Vec::new(),
        };
        let mut gone: BTreeMap<&str, (&Reason, Option<&Asked>)> = BTreeMap::new();
        let mut unnamed = 0;
        for verdict in verdicts {
            let Ending::Not(reason) = &verdict.ending else { continue };
            let (asked, named) = (verdict.asked.as_deref(), verdict.people.iter());
            gone.extend(named.map(|person| (person.as_str(), (reason, asked))));
            // Of a verdict for many, not all need be named.
            let many = verdict.count.saturating_sub(count(verdict.people.len()));
            if many > 0 && owed > 0 {
                unnamed += many;
                telling.not_told.push(Fate::of(reason.to_string(), String::new(), many));
            }
        }
        let groups = asked(true).map(|asked| asked.groups.as_slice()).unwrap_or_default();
        let named = |person: &str| groups.iter().any(|group| group.people.iter().any(|name| name == person));
        unnamed += count(gone.keys().filter(|person| !named(person)).count());
        let subject = verdicts.iter().find_map(|verdict| verdict.subject.as_deref()).unwrap_or_default();
        let ahead = taken.map(|taken| (taken, taken.of((rule, occasion, subject))));
        let many_taken = ahead.as_ref().map(|(taken, of)| {
            let is_one = |(person, at): &(&&str, &Timestamp)| !named(person) && taken.is_over(**at);
            count(of.iter().filter(is_one).count())
        });
        let when = |person: &str| match &ahead {
            None => When::Told(None),
            Some((taken, of)) => match of.get(person).copied() {
                Some(told) if taken.is_over(told) => {
                    When::Told(Some(told).filter(|told| told.since(at) > AT_ONCE))
                }
                told => When::Held(told),
            },
        };
        telling.place(groups, &gone, (when, unnamed, many_taken));
        for (person, (reason, asked)) in gone {
            let why = asked.and_then(|asked| asked.standing_of(person));
            let why =
                why.or_else(|| groups.iter().find(|group| group.people.iter().any(|name| name == person)));
            telling.put((reason.to_string(), None), why.map(|why| why.because(Some(person))), person);
        }
        // The same whichever partitions the people lie in.
        telling.told.iter_mut().chain(&mut telling.not_told).for_each(|fate| fate.people.sort_unstable());
        telling
    }

    /// Puts everybody the directory named, or nearly, where they belong.
    fn place(
        &mut self,
        groups: &[Standing],
        gone: &BTreeMap<&str, (&Reason, Option<&Asked>)>,
        (when, mut unnamed, mut many_taken): (impl Fn(&str) -> When, u32, Option<u32>),
    ) {
        for group in groups {
            if group.people.is_empty() {
                let word = if group.how.belongs() { "told" } else { group.how.as_str() };
                let mut fate = Fate::of(word.to_owned(), group.because(None), group.count);
                if group.how.belongs() {
                    let less = unnamed.min(fate.count);
                    (fate.count, unnamed) = (fate.count - less, unnamed - less);
                    let told = many_taken.map_or(fate.count, |taken| taken.min(fate.count));
                    many_taken = many_taken.map(|taken| taken - told);
                    let held = fate.count - told;
                    if held > 0 {
                        self.not_told.push(Fate { word: HELD.to_owned(), count: held, ..fate.clone() });
                    }
                    fate.count = told;
                    self.told.extend(Some(fate).filter(|fate| fate.count > 0));
                } else {
                    self.not_told.push(fate);
                }
                continue;
            }
            for person in group.people.iter().filter(|person| !gone.contains_key(person.as_str())) {
                let (word, at) = match (group.how.belongs(), when(person)) {
                    (false, _) => (group.how.as_str(), None),
                    (true, When::Told(at)) => ("told", at),
                    (true, When::Held(at)) => (HELD, at),
                };
                self.put((word.to_owned(), at), Some(group.because(Some(person))), person);
            }
        }
    }

    fn put(&mut self, (word, at): (String, Option<Timestamp>), why: Option<String>, person: &str) {
        let why = why.unwrap_or_default();
        let fates = if word == "told" { &mut self.told } else { &mut self.not_told };
        let same = |fate: &&mut Fate| {
            (&fate.word, &fate.why, fate.at) == (&word, &why, at) && !fate.people.is_empty()
        };
        match fates.iter_mut().find(same) {
            Some(fate) => {
                fate.count += 1;
                fate.people.push(person.to_owned());
            }
            None => fates.push(Fate { word, why, count: 1, people: vec![person.to_owned()], at }),
        }
    }

    /// Somebody who is owed it has not been told: it waits for them until then.
    pub(super) fn hold(&mut self, person: &str, until: Timestamp) {
        let is_theirs = |fate: &Fate| fate.people.iter().any(|id| id == person);
        let place = self.told.iter().position(is_theirs);
        let Some(place) = place.or_else(|| self.told.iter().position(|fate| fate.people.is_empty())) else {
            return;
        };
        let fate = &mut self.told[place];
        let why = fate.why.clone();
        fate.count = fate.count.saturating_sub(1);
        fate.people.retain(|id| id != person);
        if fate.count == 0 {
            self.told.remove(place);
        }
        self.put((HELD.to_owned(), Some(until)), Some(why), person);
    }

    /// Whether a verdict of its event is about it.
    pub(super) fn is_of(&self, verdict: &Verdict) -> bool {
        let occasion = verdict.occasion.map(|occasion| occasion.to_string());
        verdict.rule.as_ref() == Some(&self.rule) && occasion.as_ref() == Some(&self.occasion)
    }

    /// Whether it says nothing before its time.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.ended.as_deref() == Some(WAITS)
    }

    /// Whether it says that something is over.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.ended.as_deref() == Some(CLOSES)
    }

    /// While the push service has taken nothing of it, nobody was told yet.
    pub(super) fn hold_what_was_not_taken(&mut self) {
        if self.pushes.is_empty() {
            let held = self.told.drain(..).map(|fate| Fate { word: HELD.to_owned(), ..fate });
            self.not_told.extend(held);
        }
    }

    /// How many were told.
    #[must_use]
    pub fn told_count(&self) -> u32 {
        self.told.iter().map(|fate| fate.count).sum()
    }

    /// How many came near: those the rule named, and those who lack one thing or are taken away.
    #[must_use]
    pub fn candidates(&self) -> u32 {
        self.told_count() + self.not_told.iter().map(|fate| fate.count).sum::<u32>()
    }
}

// === impl Fate ===

impl Fate {
    fn of(word: String, why: String, count: u32) -> Self {
        Self { word, why, count, people: Vec::new(), at: None }
    }
}

/// A verdict about the telling and not about people of it.
fn as_a_whole(verdict: &Verdict, occasion: Occasion) -> Option<String> {
    match &verdict.ending {
        Ending::Routed if verdict.count == 0 && verdict.asked.is_none() => {
            Some(if occasion == Occasion::Closed { CLOSES } else { WAITS }.to_owned())
        }
        Ending::Not(reason) if verdict.people.is_empty() && verdict.count == 0 => Some(reason.to_string()),
        _ => None,
    }
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}
