//! Explain: why an event was, or was not, told to somebody: rule by rule, person by person.
//!
//! [`explain`] plays events through the lanes of production in virtual time and lays out what they said
//! beside what the rules asked. [`Telling`] reads verdicts, wherever they come from. Nothing here decides.

mod difference;
mod later;
mod lines;
mod matter;
mod recalled;
mod telling;

use std::sync::Arc;

use serde::Serialize;

use crate::codec::{Codec, Unreadable};
use crate::directory::{People, Zones, bind_rule};
use crate::event::record::Sent;
use crate::event::timestamp::{as_text, as_text_if_any};
use crate::event::{Change, Ending, Members, Person, Source, Span, Timestamp, Verdict};
use crate::flow::TenantDefaults;
use crate::scenario::{Act, Clock, Expected, Ground, Moment, Scenario, Step, Told, play};
use crate::topology::plan::RulePlan;
use crate::topology::{Arrival, Rule, Tried};

pub use difference::{Difference, Example, Row, compare};
pub use lines::{Line, Tone};
pub use matter::{Answered, Matter, is_about};
pub use recalled::{Memory, Recalled};
pub use telling::{Fate, Pushed, Taken, Telling};

/// Events to be explained, and the world they meet.
#[derive(Debug)]
pub struct Question {
    /// What happens and when, in order, each as it lies in its topic.
    pub events: Vec<(Timestamp, Source, Sent)>,
    /// How much of the time after the last one is told; `None`: what the events say themselves, whenever they say
    /// it, and when what else comes.
    pub shown: Option<Span>,
    /// The zone of tenants that name none, and of times that are shown.
    pub clock: Clock,
    /// What a tenant's people have who say nothing themselves: locale and zone.
    pub tenants: Vec<(String, TenantDefaults)>,
    /// The directory.
    pub people: Vec<Person>,
    /// Who belongs to what.
    pub members: Vec<Members>,
    /// One person of whom every rule is to say where they stand.
    pub person: Option<String>,
}

/// What came of the events.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The hash of the rules.
    pub topology: String,
    /// Each event.
    pub events: Vec<Explained>,
    /// What is told later, of whichever event, if nothing else happens.
    pub later: Vec<Telling>,
    /// What comes after the time that is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
}

/// Tellings that come after the time that is told.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// How many.
    pub tellings: usize,
    /// The first of them.
    #[serde(serialize_with = "as_text")]
    pub next: Timestamp,
}

/// Whatever is due after an event is due by then: nothing is open for longer.
const FAR: Span = Span::from_secs(10 * 366 * 86_400);

/// What came of one event.
#[derive(Debug, Serialize)]
pub struct Explained {
    /// Its id.
    pub event_id: String,
    /// Its kind.
    pub kind: String,
    /// Whose it is.
    pub tenant: String,
    /// Where it comes from.
    pub source: String,
    /// When it happened.
    #[serde(serialize_with = "as_text_if_any")]
    pub occurred_at: Option<Timestamp>,
    /// The mapping that made it of somebody else's payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<String>,
    /// How it ended where no rule came into it: `unmatched`, `duplicate`, `refused(…)`.
    pub ended: Option<String>,
    /// The rules that hear its kind, and those it closes.
    pub rules: Vec<Considered>,
    /// How many rules hear other kinds.
    pub others: usize,
    /// What kept a lane from going on.
    pub stuck: Vec<String>,
}

/// One rule and one event.
#[derive(Debug, Serialize)]
pub struct Considered {
    /// The rule.
    pub id: String,
    /// Which use case it serves.
    pub use_case: Option<String>,
    /// File and line.
    pub place: String,
    /// Whether the event closes what the rule has open, and does not open anything.
    pub closes: bool,
    /// Whether the rule wants it.
    pub matches: bool,
    /// The tests of `match` and `if`.
    pub tests: Vec<Tested>,
    /// Why there is no answer, where there is none.
    pub fault: Option<String>,
    /// The audience as written.
    pub audience: Option<String>,
    /// The first text that was sent, title and summary.
    pub text: Option<String>,
    /// Where the person asked about stands to its audience.
    pub person: Option<Fate>,
    /// What it said.
    pub tellings: Vec<Telling>,
}

/// One test of a rule.
#[derive(Debug, Serialize)]
pub struct Tested {
    /// What is wanted.
    pub wanted: String,
    /// What the event has.
    pub found: String,
    /// Whether that is it.
    pub holds: bool,
}

/// Plays the events and lays out what came of them.
#[must_use]
pub fn explain(question: &Question, ground: Ground<'_>) -> Explanation {
    let scenario = script(question, FAR);
    let played = play(&scenario, ground);
    let last = question.events.iter().map(|(at, ..)| *at).max().unwrap_or_default();
    let until = question.shown.map(|shown| last + shown);
    let about = question.person.as_ref().map(|person| About::new(person, question));
    let mut events = Vec::new();
    for (number, step) in scenario.steps.iter().enumerate() {
        if let Some((_, Act::Event(source, sent))) = step.acts.first() {
            let course = Course { moments: &played.steps[number..], until };
            events.push(one((*source, sent), course, about.as_ref(), ground));
        }
    }
    if let (Some(event), Some(tail)) = (events.last_mut(), played.steps.last()) {
        for stuck in &tail.stuck {
            if !event.stuck.contains(stuck) {
                event.stuck.push(stuck.clone());
            }
        }
    }
    let (later, after) = later::of(&mut events, &played.steps, until);
    let next = after.first().map(|telling| telling.at);
    let waiting = next.map(|next| Waiting { tellings: after.len(), next });
    Explanation { topology: format!("{:016x}", ground.topology.short_hash()), events, later, waiting }
}

/// What happens from an event on, and how much of it is told.
#[derive(Clone, Copy)]
struct Course<'c> {
    /// The event's own moment, and all after it.
    moments: &'c [Moment],
    until: Option<Timestamp>,
}

// === impl Course ===

impl<'c> Course<'c> {
    fn own(self) -> &'c [Verdict] {
        self.moments.first().map_or(&[], |moment| &moment.verdicts)
    }

    fn told(self) -> impl Iterator<Item = &'c Told> {
        self.moments.iter().flat_map(|moment| &moment.told)
    }

    /// What was decided about an event and a rule: in its own moment, and later of the same occasions.
    fn verdicts(self, event_id: &str, rule: &str) -> Vec<Verdict> {
        let is_told = |verdict: &&Verdict| self.until.is_none_or(|until| verdict.at <= until);
        let of_rule = |verdict: &&Verdict| verdict.rule.as_deref() == Some(rule);
        let of_event = |verdict: &&Verdict| verdict.event_id.is_empty() || verdict.event_id == event_id;
        let mut verdicts: Vec<Verdict> =
            self.own().iter().filter(of_rule).filter(of_event).cloned().collect();
        name_exceptions(&mut verdicts);
        let said: Vec<_> = verdicts.iter().map(|verdict| verdict.occasion).collect();
        let later = self.moments.iter().skip(1).flat_map(|moment| &moment.verdicts);
        let later = later.filter(of_rule).filter(is_told).filter(|verdict| verdict.event_id == event_id);
        verdicts.extend(later.filter(|verdict| said.contains(&verdict.occasion)).cloned());
        verdicts
    }
}

/// The events as steps of a scenario that expects nothing; what time alone brings about stands between them, and for
/// so long behind the last.
#[must_use]
pub fn script(question: &Question, rest: Span) -> Scenario {
    let step = |at, end, acts| Step { line: 0, at, end, acts, expected: Expected::default() };
    let start = question.events.first().map(|(at, ..)| *at).unwrap_or_default();
    let (mut steps, mut now): (Vec<Step>, Timestamp) = (Vec::new(), start);
    for (at, source, sent) in &question.events {
        let at = (*at).max(now);
        if at > now {
            steps.push(step(now, at - Span::from_millis(1), Vec::new()));
        }
        steps.push(step(at, at, vec![(at, Act::Event(*source, sent.clone()))]));
        now = at;
    }
    if rest.millis() > 0 {
        steps.push(step(now, now + rest, Vec::new()));
    }
    Scenario {
        use_case: None,
        name: String::new(),
        file: String::new(),
        line: 0,
        clock: question.clock.clone(),
        start,
        tenant: String::new(),
        tenants: question.tenants.clone(),
        people: question.people.clone(),
        members: question.members.clone(),
        steps,
    }
}

/// The word for a person whom the directory does not have.
pub const NOBODY: &str = "nobody";

/// One person, and the directory they are looked up in.
struct About<'q> {
    person: &'q str,
    people: People,
}

// === impl About ===

impl<'q> About<'q> {
    fn new(person: &'q str, question: &Question) -> Self {
        let zones = question.tenants.iter().map(|(tenant, own)| (tenant.as_str(), own.zone.as_str()));
        let mut people = People::in_zones(Zones::new(question.clock.zone(), zones));
        question.events.iter().for_each(|(at, ..)| people.pass(*at));
        question.people.iter().for_each(|person| people.apply(person));
        question.members.iter().for_each(|members| people.apply_members(members));
        Self { person, people }
    }

    /// Where the person stands to those a rule speaks to first.
    fn stands(&self, rule: &Rule, change: &Change<'_>) -> Option<Fate> {
        let people = vec![self.person.to_owned()];
        if self.people.get(change.tenant(), self.person).is_none() {
            let why = format!("the directory of {} has no such person", change.tenant());
            return Some(Fate { word: NOBODY.to_owned(), why, count: 1, people, at: None });
        }
        let audience = bind_rule(&rule.audience, rule.fallback.as_ref(), rule.never.as_ref(), change);
        let asked = self.people.asked_of(change.tenant(), &audience, &[self.person], 1);
        let standing = asked.groups.first()?;
        let why = standing.because(Some(self.person));
        let word = standing.how.as_str().to_owned();
        Some(Fate { word, why, count: 1, people, at: None })
    }
}

fn one(
    (source, sent): (Source, &Sent),
    course: Course<'_>,
    about: Option<&About<'_>>,
    ground: Ground<'_>,
) -> Explained {
    let without_rule = |verdict: &Verdict| match &verdict.ending {
        Ending::Not(reason) if verdict.rule.is_none() => Some(reason.to_string()),
        _ => None,
    };
    let mut explained = Explained {
        event_id: String::new(),
        kind: String::new(),
        tenant: String::new(),
        source: source.as_str().to_owned(),
        occurred_at: None,
        mapping: None,
        ended: course.own().iter().find_map(without_rule),
        rules: Vec::new(),
        others: ground.topology.rules.len(),
        stuck: course.moments.first().map(|moment| moment.stuck.clone()).unwrap_or_default(),
    };
    let (format, headers) = (Codec::format_of(&sent.headers), Codec::event_headers(&sent.headers));
    let taken = ground.topology.take(ground.codec, source, (format, &headers), &sent.value);
    explained.mapping = match &taken {
        Ok(Arrival::Mapped(_, mapping) | Arrival::Skipped(mapping)) => Some(mapping.id.clone()),
        _ => None,
    };
    match taken {
        Ok(Arrival::Skipped(_)) => {}
        Ok(Arrival::Native(change) | Arrival::Mapped(change, _)) => {
            explained.event_id = change.event_id().to_owned();
            explained.kind = change.kind().to_owned();
            explained.tenant = change.tenant().to_owned();
            explained.occurred_at = Some(change.occurred_at());
            explained.rules = considered(&change, course, about, ground);
            explained.others -= explained.rules.len();
        }
        Err(Unreadable::Refused(fault)) => explained.stuck.push(fault.to_string()),
        Err(Unreadable::WantsSchema(id)) => explained.stuck.push(format!("schema {id} is not known")),
    }
    explained
}

fn considered(
    change: &Change<'_>,
    course: Course<'_>,
    about: Option<&About<'_>>,
    ground: Ground<'_>,
) -> Vec<Considered> {
    let topology = ground.topology;
    let heard = topology.rules_for(change.kind());
    let is_heard = |id: &str| heard.iter().any(|rule| rule.rule.id == id);
    let opening = heard.iter().map(|rule| (&rule.rule, rule.tried(change), false));
    let closers = topology.closers_for(change.kind()).iter();
    let closing = closers
        .filter(|closer| !is_heard(&closer.rule.id))
        .map(|closer| (&closer.rule, closer.tried(change), true));
    let mut all: Vec<_> = opening.chain(closing).collect();
    all.sort_by_key(|(rule, ..)| topology.placed(&rule.id).map(|(place, _)| place));
    let one = |(rule, tried, closes): (&Arc<Rule>, Tried, bool)| {
        let person = about.and_then(|about| about.stands(rule, change)).filter(|_| !closes);
        Considered { person, closes, ..consider(rule, tried, (change, course)) }
    };
    all.into_iter().map(one).collect()
}

fn consider(rule: &Rule, tried: Tried, (change, course): (&Change<'_>, Course<'_>)) -> Considered {
    let verdicts = course.verdicts(change.event_id(), &rule.id);
    let taken = Taken::new(course.told().filter(|told| told.rule == rule.id), course.until);
    let tellings = Telling::all(&verdicts, Some(&taken));
    // What this event says, and not what another one of the same rule does.
    let speaks = |telling: &Telling| telling.owed > 0 || telling.waits() || telling.closes();
    let first = course.told().find(|told| told.rule == rule.id).filter(|_| tellings.iter().any(speaks));
    let plan = &rule.plan;
    let place = plan.sheet.as_ref().map(|sheet| {
        let before = sheet.text.get(..plan.at.start).unwrap_or_default();
        format!("{}:{}", sheet.path, before.matches('\n').count() + 1)
    });
    Considered {
        id: rule.id.clone(),
        use_case: plan.use_case.clone(),
        place: place.unwrap_or_default(),
        closes: false,
        matches: tried.matches == Ok(true),
        fault: tried.matches.err().map(|fault| fault.to_string()),
        tests: tried
            .tests
            .into_iter()
            .map(|test| Tested { wanted: test.wanted, found: test.found, holds: test.holds })
            .collect(),
        audience: audience(plan),
        person: None,
        text: first.map(|told| format!("{} · {}", told.title, told.summary)),
        tellings,
    }
}

/// Whom it is for, as written: with its fallback, and with whom never.
fn audience(plan: &RulePlan) -> Option<String> {
    let mut text = plan.audience.as_ref()?.value.clone();
    for (word, more) in [("else", &plan.fallback), ("never", &plan.never)] {
        text.extend(more.iter().map(|more| format!(" {word} {}", more.value)));
    }
    Some(text)
}

/// What the push service did not take is known by rule and person: it belongs to the telling they are owed.
fn name_exceptions(verdicts: &mut [Verdict]) {
    let owed = verdicts.iter().rev().find(|verdict| verdict.ending == Ending::Routed);
    let occasion = owed.and_then(|verdict| verdict.occasion);
    for verdict in verdicts.iter_mut().filter(|verdict| verdict.occasion.is_none()) {
        verdict.occasion = occasion;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::codec::{Name, Schemas, example, json};
    use crate::event::Topic;
    use crate::topology::{Kinds, Topology};

    /// What the audit topic, the receipts and the waiting topic hold after a run, and what was said ahead of it.
    fn both(kind: &str, shown: &str) -> (Vec<Telling>, Vec<Telling>) {
        let codec = Codec::new(Schemas::built_in().into(), None);
        let shapes = Source::ALL.into_iter().flat_map(|source| codec.schemas().shapes(source).to_vec());
        let topology = Topology::load(Path::new("topology"), &Kinds::new(shapes)).unwrap();
        let ground = Ground { schemas: codec.schemas(), codec: &codec, topology: &topology };
        let at: Timestamp = "2026-01-05T09:00:00Z".parse().unwrap();
        let written =
            json::to_avro(codec.schemas(), &example::event(codec.schemas(), kind, at).unwrap()).unwrap();
        let (source, value) = (written.source, written.framed(Name::Events(written.source).local_id()));
        let person = |id: &str, role: &str| Person {
            tenant: "acme".to_owned(),
            user_id: id.to_owned(),
            roles: vec![role.to_owned()],
            active: true,
            ..Person::default()
        };
        let question = Question {
            events: vec![(at, source, value.into())],
            shown: Some(shown.parse().unwrap()),
            clock: Clock::of("UTC").unwrap(),
            tenants: Vec::new(),
            people: vec![person("ada", "approver"), person("ben", "approver"), person("dora", "manager")],
            members: Vec::new(),
            person: None,
        };
        let ahead = explain(&question, ground);
        let own = ahead.events.into_iter().flat_map(|event| event.rules).flat_map(|rule| rule.tellings);
        let mut memory = Memory::default();
        let played = play(&script(&question, shown.parse().unwrap()), ground);
        let verdicts = played.steps.into_iter().flat_map(|moment| moment.verdicts);
        verdicts.for_each(|verdict| memory.verdict(0, verdict));
        for record in played.written.iter().filter(|record| record.topic == Topic::Waiting) {
            memory.waits(record.key.as_deref().unwrap_or_default(), record.value.as_deref());
        }
        let recalled = memory.events().into_iter().flat_map(|event| event.tellings);
        let timeless = |telling: Telling| Telling { at, until: None, ..telling };
        (own.map(timeless).collect(), recalled.map(timeless).collect())
    }

    #[test]
    fn what_still_waits_for_people_is_said_alike_ahead_and_from_the_topics() {
        for kind in ["xecm.task.assigned", "bws.item.added", "devadmin.change.requested"] {
            let (mut ahead, mut recalled) = both(kind, "10s");
            // Of two claims to one piece of news nobody knows ahead when the loser ends.
            let unsaid = |telling: &mut Telling| telling.not_told.iter_mut().for_each(|fate| fate.at = None);
            ahead.iter_mut().chain(&mut recalled).for_each(unsaid);
            assert_eq!(ahead, recalled, "{kind}");
        }
        let (_, recalled) = both("xecm.task.assigned", "10s");
        let held: Vec<&Fate> = recalled.iter().flat_map(|telling| &telling.not_told).collect();
        let until = "2026-01-05T09:00:30Z".parse().ok();
        assert!(held.iter().any(|fate| fate.word == "held" && fate.at == until), "{held:?}");
    }
}
