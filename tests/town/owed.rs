//! Owed: events by number, and who has to be told of them by the rules alone, no lane involved.
//!
//! What is told at once, and what timers tell, is owed exactly once. What windows gather is owed at least
//! once for each window and person, and at most once for each change, for how many changes share a telling
//! depends on when they are heard. What a closing change may have come before is owed at most once.

use std::collections::{BTreeMap, BTreeSet};

use bugle::directory::bind_rule;
use bugle::event::frame::Format;
use bugle::event::{BoundAudience, Change, Occasion, Person, Source, Span, hash128};
use bugle::sample;
use bugle::topology::KindRule;
use bugle::topology::schedule::{Purpose, To};
use serde_json::json;

use super::town::{NOW, Town};

/// An event by what it is and a number; equal ones are copies of each other.
pub(crate) type Event = (u8, u8, bool);

/// What an event may be; beyond lies what nobody can read.
pub(crate) const KINDS: &[&str] = &[
    "xecm.task.assigned",
    "xecm.document.available",
    "xecm.document.published",
    "xconnector.workflow.exception",
    "xconnector.process.step",
    "devadmin.business.event",
    "bws.content.critical_added",
    "devadmin.queue.recovered",
    "xecm.task.completed",
    "bws.item.added",
];

/// Each kind, and what nobody can read.
pub(crate) const WHATS: u8 = 11;

/// When the tasks are due: long after everything else happened.
pub(crate) const DUE: Span = Span::from_secs(12 * 3_600);

const ASSIGNED: u8 = 0;
const COMPLETED: u8 = 8;
const ADDED: u8 = 9;

/// Where everything happens in somebody's quiet hours: what Lena hears, she hears later.
pub(crate) fn with_quiet_hours(mut people: Vec<Person>) -> Vec<Person> {
    for lena in people.iter_mut().filter(|person| person.user_id == "lena.vogt") {
        (lena.quiet_from, lena.quiet_to) = (Some("09:30".to_owned()), Some("11:30".to_owned()));
    }
    people
}

/// Whose it is.
fn tenant(event: Event) -> &'static str {
    if event.2 { "acme" } else { "globex" }
}

/// The event as it lies in its topic.
pub(crate) fn written(town: &Town, event: Event) -> (Source, Vec<u8>) {
    let (what, number, _) = event;
    let Some(kind) = KINDS.get(usize::from(what)) else {
        return (Source::Bws, vec![7, number]);
    };
    let id = number.to_string();
    let data = match what {
        ASSIGNED => json!({
            "process_id": id, "task_id": "1", "initiator": "tom.berger", "signature_required": false,
            "assignees": [{ "user_id": "jonas.klein" }, { "user_id": "mara.weber" }],
            "manager": null, "backup": null,
        }),
        1 => json!({ "doc_kind": "safety", "site": "Hamburg Harbour" }),
        2 => json!({ "external_party": "northwind" }),
        3 => json!({ "step": "Credit check", "assignees": ["mara.weber"] }),
        4 => json!({
            "process_id": id, "step_no": 1, "step_name": "Berth", "stakeholders": [], "state": "started",
            "next_department": null,
        }),
        5 => json!({ "document_id": id, "state": "shipped", "partner": "northwind" }),
        6 => json!({ "class": "signed_agreement" }),
        COMPLETED => json!({ "process_id": id, "task_id": "1" }),
        ADDED => json!({ "assigned": ["sofia.rossi", "lena.vogt"], "item_class": "invoice" }),
        _ => json!({}),
    };
    let mut patch = json!({
        "event_id": format!("{what}-{number}"), "tenant": tenant(event), "correlation_id": id,
        "entity": { "id": id }, "data": data,
    });
    match what {
        0..=2 | COMPLETED => patch["node"] = json!({ "id": id }),
        3 => patch["execution_id"] = json!(id),
        4 => patch["audience"] = json!({ "roles": [sample::CROWD_ROLE] }),
        _ => {}
    }
    if what == ASSIGNED {
        patch["severity"] = json!("high");
        patch["due_at"] = json!((NOW + DUE).to_string());
    }
    town.event(kind, &patch)
}

/// One telling as it arrived.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Telling {
    pub(crate) tenant: String,
    pub(crate) user: String,
    pub(crate) rule: String,
    /// The event that opened the conversation.
    pub(crate) conversation: u128,
    pub(crate) occasion: Occasion,
    /// The notice: another one is another telling.
    pub(crate) notice: u128,
}

/// Whose telling it is, and what it is about.
pub(crate) type About = (String, String, u128);

/// What a rule tells: rule, conversation, occasion.
pub(crate) type What = (String, u128, Occasion);

/// A window of a rule: tenant, person, rule, and what it gathers by.
type Window = (String, String, String, String);

/// What is owed and not told yet.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    /// One of each set, once.
    pub(crate) exactly: BTreeMap<About, BTreeSet<What>>,
    /// These, at most once.
    pub(crate) perhaps: BTreeSet<(String, String, What)>,
    /// By person, rule and window: the events, and how many tellings came of them.
    pub(crate) gathered: BTreeMap<Window, (BTreeSet<u128>, usize)>,
    /// Whom a rule that can be closed told first.
    pub(crate) opened: BTreeSet<(String, String, String, u128)>,
    /// The conversations somebody decided.
    pub(crate) decided: BTreeSet<(String, u128, String)>,
    /// Who heard that something is over: of rules with the same news one says so.
    over: BTreeSet<(String, String, u128)>,
    /// Who heard of a decision.
    heard: BTreeSet<(String, What)>,
    /// The conversations that were closed, if they were open.
    closed: BTreeSet<(String, u128)>,
}

/// What the rules owe for these events, asked one by one.
pub(crate) fn owed(town: &Town, events: &[Event]) -> Owed {
    let distinct: BTreeSet<Event> =
        events.iter().copied().filter(|event| KINDS.len() > event.0.into()).collect();
    let mut owed = Owed::default();
    for event in &distinct {
        let (source, bytes) = written(town, *event);
        let is_closed = event.0 == ASSIGNED && distinct.contains(&(COMPLETED, event.1, event.2));
        town.look(|world| {
            let change = world.codec.decode(source, Format::Avro, &[], &bytes).unwrap();
            let conversation =
                hash128([change.tenant(), source.as_str(), change.event_id()].map(str::as_bytes));
            for form in
                world.topology.rules_for(change.kind()).iter().filter(|form| form.matches(&change).unwrap())
            {
                owed.rule(town, (form, &change), conversation, is_closed);
            }
        });
    }
    owed
}

/// Who an audience of a rule names.
fn people(town: &Town, change: &Change<'_>, form: &KindRule, audience: &BoundAudience) -> Vec<String> {
    town.look(|world| {
        let channels = &form.rule.plan.channels;
        let found = world.people.resolve(change.tenant(), audience, channels);
        found.iter().map(|entry| entry.user_id().to_owned()).collect()
    })
}

// === impl Owed ===

impl Owed {
    fn rule(
        &mut self,
        town: &Town,
        (form, change): (&KindRule, &Change<'_>),
        conversation: u128,
        is_closed: bool,
    ) {
        let rule = &form.rule;
        let own = bind_rule(&rule.audience, rule.fallback.as_ref(), rule.never.as_ref(), change);
        let own = people(town, change, form, &own);
        let place = town.topology.placed(&rule.id).unwrap().0;
        let tenant = change.tenant().to_owned();
        let lone = |occasion: Occasion| {
            hash128([rule.id.as_bytes(), &conversation.to_le_bytes(), occasion.to_string().as_bytes()])
        };
        if let Some(gather) = form.gather(change, 0) {
            for user in &own {
                let key = (tenant.clone(), user.clone(), rule.id.clone(), gather.key.to_string());
                self.gathered.entry(key).or_default().0.insert(conversation);
            }
        } else if rule.tells_at_once() {
            let shared = town.topology.shares_news(place);
            let about = if shared { form.news(change) } else { lone(Occasion::First) };
            for user in &own {
                let what = (rule.id.clone(), conversation, Occasion::First);
                self.exactly.entry((tenant.clone(), user.clone(), about)).or_default().insert(what);
            }
        } else if rule.window().is_some() {
            let by = rule.plan.window.as_ref().unwrap().by.iter();
            let key = form.subject(change).unwrap().0 + &by.map(|by| by.value.as_str()).collect::<String>();
            for user in &own {
                let key = (tenant.clone(), user.clone(), rule.id.clone(), key.clone());
                self.gathered.entry(key).or_default().0.insert(conversation);
            }
        }
        let mut later: Vec<(Occasion, Vec<String>)> = Vec::new();
        for timer in &form.timers {
            let heard = match &rule.sayings[usize::from(timer.saying)].to {
                To::Other(to) => {
                    people(town, change, form, &bind_rule(to, None, rule.never.as_ref(), change))
                }
                To::Audience | To::Told => own.clone(),
            };
            later.push(match timer.purpose {
                Purpose::Step(number) => (Occasion::Step(number + 1), heard),
                Purpose::Rung(_) | Purpose::Repeat => (Occasion::Reminder(1), heard),
            });
        }
        if is_closed && rule.closing().is_some() {
            self.closed.insert((rule.id.clone(), conversation));
            let everybody = later.iter().flat_map(|(_, heard)| heard).chain(&own).cloned().collect();
            later.push((Occasion::Closed, everybody));
        }
        for (occasion, heard) in later {
            for user in heard {
                let what = (rule.id.clone(), conversation, occasion);
                if is_closed && rule.plan.until.is_some() {
                    self.perhaps.insert((tenant.clone(), user, what));
                } else {
                    self.exactly.entry((tenant.clone(), user, lone(occasion))).or_default().insert(what);
                }
            }
        }
    }

    /// Takes a telling off the list; what is wrong with it when it is not owed.
    pub(crate) fn pay(&mut self, telling: &Telling) -> Result<(), String> {
        let Telling { tenant, user, rule, conversation, occasion, .. } = telling;
        let what = (rule.clone(), *conversation, *occasion);
        let whose = |(t, u): (&String, &String)| (t, u) == (tenant, user);
        if *occasion == Occasion::First {
            self.opened.insert((tenant.clone(), user.clone(), rule.clone(), *conversation));
        }
        if *occasion == Occasion::Closed {
            self.over.insert((tenant.clone(), user.clone(), *conversation));
        }
        let met = self.exactly.iter().find(|((t, u, _), tellings)| whose((t, u)) && tellings.contains(&what));
        if let Some(key) = met.map(|(key, _)| key.clone()) {
            self.exactly.remove(&key);
            return Ok(());
        }
        if self.perhaps.remove(&(tenant.clone(), user.clone(), what.clone())) {
            return Ok(());
        }
        // Who was asked may hear, once, that somebody else decided.
        let decision = (rule.clone(), *conversation, tenant.clone());
        if *occasion == Occasion::Closed
            && self.decided.contains(&decision)
            && self.heard.insert((user.clone(), what))
        {
            return Ok(());
        }
        let window = self.gathered.iter_mut().find(|((t, u, r, _), (events, told))| {
            whose((t, u)) && r == rule && events.contains(conversation) && *told < events.len()
        });
        match window.filter(|_| *occasion == Occasion::First) {
            Some((_, (_, told))) => {
                *told += 1;
                Ok(())
            }
            None => Err(format!("{telling:?}, or it was owed once and told twice")),
        }
    }

    /// What was never told.
    pub(crate) fn left(&self) -> Option<String> {
        if let Some((who, what)) = self.exactly.first_key_value() {
            return Some(format!("{who:?} was never told {what:?}"));
        }
        if let Some((who, (events, _))) = self.gathered.iter().find(|(_, (_, told))| *told == 0) {
            return Some(format!("{who:?} was told nothing of {} events", events.len()));
        }
        // Whoever was told of what was closed since is told that, too.
        let untold = self.opened.iter().find(|(tenant, user, rule, conversation)| {
            let decided = self.decided.contains(&(rule.clone(), *conversation, tenant.clone()));
            let what = (rule.clone(), *conversation, Occasion::Closed);
            !decided
                && !self.over.contains(&(tenant.clone(), user.clone(), *conversation))
                && self.closed.contains(&(rule.clone(), *conversation))
                && self.perhaps.contains(&(tenant.clone(), user.clone(), what))
        });
        untold.map(|(_, user, rule, _)| format!("{user} was never told that what {rule} told is over"))
    }
}
