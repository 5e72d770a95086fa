//! Tree: an explanation as lines with branches, for a terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::directory::zones;
use crate::event::Person;
use crate::explain::{Considered, Explained, Explanation, Fate, Line, NOBODY, Recalled, Telling, Waiting};

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

/// The whole explanation.
pub(super) fn text(explanation: &Explanation, sight: &Sight<'_>) -> String {
    let mut out = String::new();
    for event in &explanation.events {
        self::event(event, &sight.rows).draw(&mut out);
    }
    let tenant = explanation.events.first().map_or("", |event| event.tenant.as_str());
    let later = &explanation.later;
    let mut lines: Vec<Line> = match sight.whole {
        true => later.iter().map(|telling| self::telling(telling, (tenant, &sight.rows))).collect(),
        false => later.iter().take(MOST_LATER).map(|telling| Line::of(telling.heading())).collect(),
    };
    if let (Some(last), false, true) = (later.last(), sight.whole, later.len() > MOST_LATER) {
        let left = later.len() - MOST_LATER;
        lines.push(Line::of(format!("and {left} more, the last at {}; `--for` shows them", last.at)));
    }
    lines.extend(explanation.waiting.as_ref().map(|waiting| {
        let Waiting { tellings, next } = waiting;
        Line::of(format!("{tellings} more after that, the next at {next}"))
    }));
    if !lines.is_empty() {
        Line::of("later, if nothing else happens").with(lines).draw(&mut out);
    }
    out
}

/// What was decided about events with one id.
pub(super) fn recalled(events: &[Recalled], (open, person): (u64, Option<&str>)) -> String {
    let (mut out, rows) = (String::new(), Rows::new());
    for event in events {
        let subjects = event.subjects.iter().map(|subject| Line::of(format!("about {subject}")));
        let tellings = event.tellings.iter().map(|telling| match person {
            None => self::telling(telling, (&event.tenant, &rows)),
            Some(person) => of_person(telling, person),
        });
        event.head().with(subjects).with(tellings).draw(&mut out);
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
fn of_person(telling: &Telling, person: &str) -> Line {
    let fates = telling.told.iter().chain(&telling.not_told);
    let own: Vec<Line> = fates
        .filter(|fate| fate.people.iter().any(|id| id == person))
        .map(|fate| {
            let fate = Fate { people: vec![person.to_owned()], count: 1, ..fate.clone() };
            Line::of(format!("{}: {}", fate.word, fate.lines(&|_| None).remove(0).text))
        })
        .collect();
    let counted = telling.told.iter().chain(&telling.not_told).any(|fate| fate.people.is_empty());
    let none = own.is_empty().then(|| match counted {
        true => format!("{person} is not named; groups of many are counted, and may hold them"),
        false => format!("{person} was not near: they lack more than one term"),
    });
    let audience = Line::of(format!("asked for {}", telling.audience));
    let head = format!("{} {} at {}", telling.rule, telling.occasion, telling.at);
    Line::of(head).with([audience]).with(own).with(none.map(Line::of))
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

fn event(event: &Explained, rows: &Rows<'_>) -> Line {
    let at = event.occurred_at.map(|at| format!(", {at}")).unwrap_or_default();
    let head = format!("{} {} of {}{at}", event.kind, event.event_id, event.tenant);
    let mapped = event.mapping.iter().map(|id| Line::of(format!("made by mapping {id}")));
    let ended = event.ended.iter().map(|ended| Line::of(format!("ended as {ended}")));
    let stuck = event.stuck.iter().map(|stuck| Line::of(format!("stuck: {stuck}")));
    let rules = event.rules.iter().map(|rule| self::rule(rule, (&event.tenant, rows)));
    let others = match event.others {
        0 => None,
        1 => Some(Line::of("1 rule hears other kinds")),
        others => Some(Line::of(format!("{others} rules hear other kinds"))),
    };
    Line::of(head).with(mapped).with(ended).with(stuck).with(rules).with(others)
}

fn rule(rule: &Considered, of: (&str, &Rows<'_>)) -> Line {
    let case = rule.use_case.as_ref().map(|case| format!("{case}, ")).unwrap_or_default();
    let verb = match (rule.closes, rule.matches) {
        (false, true) => "wants it",
        (false, false) => "does not want it",
        (true, true) => "is closed by it",
        (true, false) => "is not closed by it",
    };
    let told = rule.tellings.first().filter(|telling| telling.candidates() > 0).map(Telling::reached);
    let told = told.map(|told| format!(": {told}")).unwrap_or_default();
    let head = format!("{} ({case}{}) {verb}{told}", rule.id, rule.place);
    let tests = rule.tests.iter().map(|test| {
        let sign = if test.holds { '✓' } else { '✗' };
        let found = if test.found.is_empty() { String::new() } else { format!(": {}", test.found) };
        Line::of(format!("{sign} {}{found}", test.wanted))
    });
    let fault = rule.fault.iter().map(|fault| Line::of(format!("no answer: {fault}")));
    let audience = rule.audience.as_ref().filter(|_| rule.matches && !rule.closes);
    let audience = audience.map(|audience| Line::of(format!("audience {audience}")));
    let text = rule.text.as_ref().map(|text| Line::of(format!("says {text}")));
    let person = rule.person.as_ref().filter(|_| rule.matches).map(|fate| {
        let word = match fate.word.as_str() {
            "named" => "is named by",
            NOBODY => "is nobody:",
            _ => "is not named:",
        };
        Line::of(format!("{} {word} {}", fate.people.join(", "), fate.why))
    });
    let tellings = rule.tellings.iter().map(|telling| self::telling(telling, of));
    Line::of(head).with(tests).with(fault).with(audience).with(text).with(person).with(tellings)
}

/// A telling, with what the directory knows of its people.
fn telling(telling: &Telling, (tenant, rows): (&str, &Rows<'_>)) -> Line {
    telling.lines(&|id| rows.get(&(tenant, id)).map(|person| row(person)))
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
    words.extend(zones::unknown(person).map(|(_, zone)| format!("zone {zone} is not known")));
    words.retain(|word| !word.is_empty());
    words.join("; ")
}
