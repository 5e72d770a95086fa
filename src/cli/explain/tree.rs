//! Tree: an explanation as lines with branches, for a terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::event::Person;
use crate::explain::{Considered, Explained, Explanation, Fate, Recalled, Telling, Waiting};

/// A line and what hangs on it.
#[derive(Debug, Default)]
pub(super) struct Node {
    text: String,
    under: Vec<Node>,
}

/// What is known of people, by tenant and id.
type Rows<'p> = BTreeMap<(&'p str, &'p str), &'p Person>;

/// What an explanation is shown with.
pub(super) struct Sight<'p> {
    rows: Rows<'p>,
    /// Whether what comes later is shown with its people.
    whole: bool,
}

/// So many later tellings have a line each.
const MOST_LATER: usize = 24;

// === impl Sight ===

impl<'p> Sight<'p> {
    pub(super) fn of(people: &'p [Person], whole: bool) -> Self {
        let key = |person: &'p Person| (person.tenant.as_str(), person.user_id.as_str());
        Self { rows: people.iter().map(|person| (key(person), person)).collect(), whole }
    }
}

// === impl Node ===

impl Node {
    pub(super) fn of(text: impl Into<String>) -> Self {
        Self { text: text.into(), under: Vec::new() }
    }

    fn with(mut self, under: impl IntoIterator<Item = Self>) -> Self {
        self.under.extend(under);
        self
    }

    pub(super) fn print(&self, before: &str, out: &mut String) {
        let _ = writeln!(out, "{}", self.text);
        for (index, node) in self.under.iter().enumerate() {
            let last = index + 1 == self.under.len();
            let _ = write!(out, "{before}{}", if last { "└─ " } else { "├─ " });
            node.print(&format!("{before}{}", if last { "   " } else { "│  " }), out);
        }
    }
}

/// The whole explanation.
pub(super) fn text(explanation: &Explanation, sight: &Sight<'_>) -> String {
    let mut out = String::new();
    for event in &explanation.events {
        self::event(event, &sight.rows).print("", &mut out);
    }
    let tenant = explanation.events.first().map_or("", |event| event.tenant.as_str());
    let later = &explanation.later;
    let mut lines: Vec<Node> = match sight.whole {
        true => later.iter().map(|telling| self::telling(telling, (tenant, &sight.rows))).collect(),
        false => later.iter().take(MOST_LATER).map(|telling| Node::of(heading(telling))).collect(),
    };
    if let (Some(last), false, true) = (later.last(), sight.whole, later.len() > MOST_LATER) {
        let left = later.len() - MOST_LATER;
        lines.push(Node::of(format!("and {left} more, the last at {}; `--for` shows them", last.at)));
    }
    lines.extend(explanation.waiting.as_ref().map(|waiting| {
        let Waiting { tellings, next } = waiting;
        Node::of(format!("{tellings} more after that, the next at {next}"))
    }));
    if !lines.is_empty() {
        Node::of("later, if nothing else happens").with(lines).print("", &mut out);
    }
    out
}

/// What was decided about events with one id.
pub(super) fn recalled(events: &[Recalled], (open, person): (u64, Option<&str>)) -> String {
    let (mut out, rows) = (String::new(), Rows::new());
    for event in events {
        let (partition, offset) = event.place;
        let head = format!("{} of {}: {} {partition}-{offset}", event.event_id, event.tenant, event.source);
        let subjects = event.subjects.iter().map(|subject| Node::of(format!("about {subject}")));
        let rules = event.topologies.iter().map(|hash| Node::of(format!("decided by rules {hash}")));
        let ended = event.ended.iter().map(|ended| Node::of(format!("ended as {ended}")));
        let tellings = event.tellings.iter().map(|telling| match person {
            None => self::telling(telling, (&event.tenant, &rows)),
            Some(person) => of_person(telling, person),
        });
        Node::of(head).with(subjects).with(rules).with(ended).with(tellings).print("", &mut out);
    }
    if open > 0 {
        let _ = writeln!(
            out,
            "{open} pushes of all events are still on their way: who is told here may be among them"
        );
    }
    out
}

/// Where one person stands to a telling.
fn of_person(telling: &Telling, person: &str) -> Node {
    let fates = telling.told.iter().chain(&telling.not_told);
    let own: Vec<Node> = fates
        .filter(|fate| fate.people.iter().any(|id| id == person))
        .map(|fate| {
            let fate = Fate { people: vec![person.to_owned()], count: 1, ..fate.clone() };
            Node::of(format!("{}: {}", fate.word, self::fate(&fate, "", &Rows::new()).remove(0).text))
        })
        .collect();
    let counted = telling.told.iter().chain(&telling.not_told).any(|fate| fate.people.is_empty());
    let none = own.is_empty().then(|| match counted {
        true => format!("{person} is not named; groups of many are counted, and may hold them"),
        false => format!("{person} was not near: they lack more than one term"),
    });
    let audience = Node::of(format!("asked for {}", telling.audience));
    let head = format!("{} {} at {}", telling.rule, telling.occasion, telling.at);
    Node::of(head).with([audience]).with(own).with(none.map(Node::of))
}

/// Everybody an explanation names, with their tenant.
pub(super) fn named(explanation: &Explanation) -> BTreeSet<(&str, &str)> {
    let mut named = BTreeSet::new();
    for event in &explanation.events {
        let tellings = event.rules.iter().flat_map(|rule| &rule.tellings).chain(&explanation.later);
        let fates = tellings.flat_map(|telling| telling.told.iter().chain(&telling.not_told));
        let fates = fates.chain(event.rules.iter().flat_map(|rule| &rule.person));
        named.extend(fates.flat_map(|fate| &fate.people).map(|id| (event.tenant.as_str(), id.as_str())));
    }
    named
}

fn event(event: &Explained, rows: &Rows<'_>) -> Node {
    let at = event.occurred_at.map(|at| format!(", {at}")).unwrap_or_default();
    let head = format!("{} {} of {}{at}", event.kind, event.event_id, event.tenant);
    let mapped = event.mapping.iter().map(|id| Node::of(format!("made by mapping {id}")));
    let ended = event.ended.iter().map(|ended| Node::of(format!("ended as {ended}")));
    let stuck = event.stuck.iter().map(|stuck| Node::of(format!("stuck: {stuck}")));
    let rules = event.rules.iter().map(|rule| self::rule(rule, (&event.tenant, rows)));
    let others = match event.others {
        0 => None,
        1 => Some(Node::of("1 rule hears other kinds")),
        others => Some(Node::of(format!("{others} rules hear other kinds"))),
    };
    Node::of(head).with(mapped).with(ended).with(stuck).with(rules).with(others)
}

fn rule(rule: &Considered, of: (&str, &Rows<'_>)) -> Node {
    let case = rule.use_case.as_ref().map(|case| format!("{case}, ")).unwrap_or_default();
    let verb = match (rule.closes, rule.matches) {
        (false, true) => "wants it",
        (false, false) => "does not want it",
        (true, true) => "is closed by it",
        (true, false) => "is not closed by it",
    };
    let told = rule.tellings.first().filter(|telling| telling.candidates() > 0).map(reached);
    let told = told.map(|told| format!(": {told}")).unwrap_or_default();
    let head = format!("{} ({case}{}) {verb}{told}", rule.id, rule.place);
    let tests = rule.tests.iter().map(|test| {
        let sign = if test.holds { '✓' } else { '✗' };
        let found = if test.found.is_empty() { String::new() } else { format!(": {}", test.found) };
        Node::of(format!("{sign} {}{found}", test.wanted))
    });
    let fault = rule.fault.iter().map(|fault| Node::of(format!("no answer: {fault}")));
    let audience = rule.audience.as_ref().filter(|_| rule.matches && !rule.closes);
    let audience = audience.map(|audience| Node::of(format!("audience {audience}")));
    let text = rule.text.as_ref().map(|text| Node::of(format!("says {text}")));
    let person = rule.person.as_ref().filter(|_| rule.matches).map(|fate| {
        let word = if fate.word == "named" { "is named by" } else { "is not named:" };
        Node::of(format!("{} {word} {}", fate.people.join(", "), fate.why))
    });
    let tellings = rule.tellings.iter().map(|telling| self::telling(telling, of));
    Node::of(head).with(tests).with(fault).with(audience).with(text).with(person).with(tellings)
}

fn reached(telling: &Telling) -> String {
    format!("told {} of {}", telling.told_count(), telling.candidates())
}

/// What became of a telling, in a line.
fn heading(telling: &Telling) -> String {
    let ended = match telling.ended.as_deref() {
        Some("waits") => {
            let until = telling.until.map(|until| format!(", {until}")).unwrap_or_default();
            Some(format!("says nothing yet: it waits for its time{until}"))
        }
        Some("grouped") if telling.owed > 0 => Some("gathered with what came in its window".to_owned()),
        Some("grouped") => {
            Some("ended as grouped: it counts with others, and is not told by itself".to_owned())
        }
        Some("closes") => Some("what was open is over".to_owned()),
        Some(reason) => Some(format!("ended as {reason}")),
        None => None,
    };
    let reached = (telling.candidates() > 0).then(|| reached(telling));
    let facts: Vec<String> = reached.into_iter().chain(ended).collect();
    format!("{} {} at {}: {}", telling.rule, telling.occasion, telling.at, facts.join(", "))
}

/// One telling, on its own.
pub(super) fn telling(telling: &Telling, (tenant, rows): (&str, &Rows<'_>)) -> Node {
    let audience =
        (!telling.audience.is_empty()).then(|| Node::of(format!("asked for {}", telling.audience)));
    let fates = |fates: &[Fate]| -> Vec<Node> {
        fates.iter().flat_map(|fate| self::fate(fate, tenant, rows)).collect()
    };
    let told = (!telling.told.is_empty()).then(|| Node::of("told").with(fates(&telling.told)));
    let not_told =
        (!telling.not_told.is_empty()).then(|| Node::of("not told").with(fates(&telling.not_told)));
    Node::of(heading(telling)).with(audience).with(told).with(not_told)
}

fn fate(fate: &Fate, tenant: &str, rows: &Rows<'_>) -> Vec<Node> {
    let why = |word: &str| match (word, fate.why.as_str()) {
        ("told" | "never" | "away" | "inactive" | "outside" | "barred" | "lacks", "") => word.to_owned(),
        ("told" | "never" | "away" | "inactive" | "outside" | "barred" | "lacks", why) => why.to_owned(),
        (word, "") => word.to_owned(),
        (word, why) => format!("{word} ({why})"),
    };
    if fate.people.is_empty() {
        return vec![Node::of(format!("{} people: {}", fate.count, why(&fate.word)))];
    }
    let one = |id: &String| {
        let row = rows.get(&(tenant, id.as_str())).map(|person| format!("   [{}]", row(person)));
        let when = fate.at.map(|at| match fate.word.as_str() {
            "told" => format!(", at {at}"),
            _ => format!(", until {at}"),
        });
        let when = when.unwrap_or_default();
        Node::of(format!("{id}: {}{when}{}", why(&fate.word), row.unwrap_or_default()))
    };
    fate.people.iter().map(one).collect()
}

/// A directory entry in few words.
fn row(person: &Person) -> String {
    let place =
        [&person.location.site, &person.location.locality, &person.location.region, &person.location.country];
    let place = place.into_iter().find_map(Option::as_deref);
    let mut words: Vec<String> = vec![person.roles.join(", ")];
    words.extend(place.map(str::to_owned));
    words.push(person.business_unit.join("/"));
    words.extend(person.party.iter().map(|party| format!("party {party}")));
    words.extend((!person.active).then(|| "not active".to_owned()));
    words.extend(person.absent.then(|| "away".to_owned()));
    words.extend(person.absent_from.iter().map(|from| format!("away from {from}")));
    words.extend(person.absent_until.iter().map(|until| format!("away until {until}")));
    words.retain(|word| !word.is_empty());
    words.join("; ")
}
