//! Gathering: windows of every kind over random streams, beside slow models of what README.md says of them.
//!
//! A model looks at all changes of a subject from the first to the last and writes down when something is told
//! and of how much; the lanes get them one by one and know only what they kept.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod town;

use std::path::Path;
use std::sync::{Arc, LazyLock};

use bugle::event::{Person, Source, Span, Timestamp};
use bugle::flow::line::Line;
use bugle::topology::{Kinds, Topology};
use proptest::prelude::*;
use serde_json::json;
use town::{NOW, Town, company};

/// A change: seconds from the start, and the state, level or number that its rule looks at.
type Change = (i64, i64);
/// A change that is late: when it is read, when it happened, and what its rule looks at.
type Late = (i64, i64, i64);
/// A telling: seconds from the start, and what it says.
type Telling = (i64, String);

/// The rules, and whom they tell: the state a change names chooses the rule.
const RULES: &str = "
source: devadmin
defaults: { locale: en }
rules:
  - { id: digest, match: { kind: devadmin.business.event, topic: order }, audience: role:desk, message: counted,
      window: { digest: { open: 60s }, by: [document_id] } }
  - { id: lead, match: { kind: devadmin.business.event, topic: shipment }, audience: role:desk, message: counted,
      window: { digest: { open: 60s, lead: true }, by: [document_id] } }
  - { id: session, match: { kind: devadmin.business.event, topic: invoice }, audience: role:desk, message: state,
      window: { session: { gap: 30s, longest: 100s }, by: [document_id] } }
  - { id: latest, match: { kind: devadmin.business.event, topic: other }, audience: role:desk, message: state,
      window: { latest-state: 60s, by: [document_id] } }
  - { id: own-digest, match: { kind: devadmin.business.event, topic: partner_onboarding, partner: digest },
      audience: role:desk, message: counted, window: { digest: { open: 60s }, by: [person] } }
  - { id: own-lead, match: { kind: devadmin.business.event, topic: partner_onboarding, partner: lead },
      audience: role:desk, message: counted, window: { digest: { open: 60s, lead: true }, by: [person] } }
  - { id: own-session, match: { kind: devadmin.business.event, topic: partner_onboarding, partner: session },
      audience: role:desk, message: state, window: { session: { gap: 30s, longest: 100s }, by: [person] } }
  - { id: own-latest, match: { kind: devadmin.business.event, topic: partner_onboarding, partner: latest },
      audience: role:desk, message: state, window: { latest-state: 60s, by: [person] } }
  - { id: threshold, match: { kind: devadmin.flow.failed }, subject: [flow_id], audience: role:desk, message: failing,
      window: { threshold: { count: 3, within: 90s }, by: [flow_id] } }
  - { id: once, match: { kind: devadmin.flow.retry_exhausted }, subject: [flow_id], audience: role:desk, message: failing,
      window: { threshold: { count: 3, within: 90s }, by: [flow_id] }, until: { kind: devadmin.flow.recovered } }
  - { id: level, match: { kind: devadmin.queue.backlog }, subject: [queue], audience: role:desk, message: depth,
      window: { threshold: { value: event.depth, raise: '>= 10', for: 45s, clear: '< 8' }, by: [queue] },
      closed: { message: clear, to: told } }
";
const TEXTS: &str = "
counted:
  en: { title: '1', body: b, several: { title: '{{ count }}' } }
state:
  en: { title: '{{ event.state }}', body: b }
failing:
  en: { title: failing, body: b }
depth:
  en: { title: '{{ event.depth }}', body: b }
clear:
  en: { title: 'clear', body: b }
";

static TOPOLOGY: LazyLock<Arc<Topology>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("messages")).unwrap();
    std::fs::write(folder.path().join("devadmin.yaml"), RULES).unwrap();
    std::fs::write(folder.path().join("messages/texts.yaml"), TEXTS).unwrap();
    let schemas = bugle::codec::Schemas::built_in();
    let kinds = Kinds::new(Source::ALL.into_iter().flat_map(|source| schemas.shapes(source).to_vec()));
    Arc::new(load(folder.path(), &kinds))
});

fn load(folder: &Path, kinds: &Kinds) -> Topology {
    Topology::load(folder, kinds).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

fn desk() -> Person {
    Person {
        tenant: "acme".to_owned(),
        user_id: "dora".to_owned(),
        active: true,
        roles: vec!["desk".to_owned()],
        ..Person::default()
    }
}

fn town() -> Town {
    let mut people = company(0);
    people.push(desk());
    let mut town = Town::new(&people, 1);
    town.topology = Arc::clone(&TOPOLOGY);
    town
}

thread_local! {
    /// One for all cases of a test: nothing in it changes.
    static TOWN: Town = town();
}

/// What the lanes tell of a subject's changes.
fn told(kind: &str, changes: &[Change], patch: impl Fn(i64) -> serde_json::Value) -> Vec<Telling> {
    let changes: Vec<Late> = changes.iter().map(|(at, value)| (*at, *at, *value)).collect();
    TOWN.with(|town| play(town, kind, &changes, patch))
}

fn play(town: &Town, kind: &str, changes: &[Late], patch: impl Fn(i64) -> serde_json::Value) -> Vec<Telling> {
    let mut line = Line::new(&town.plan);
    let mut said = Vec::new();
    let mut now = NOW;
    let ends = changes.iter().map(|change| Some(*change)).chain([None]);
    for (number, change) in ends.enumerate() {
        let until = NOW + Span::from_secs(change.map_or(90_000, |(at, ..)| at));
        while let Some(due) = line.due().filter(|due| *due <= until) {
            now = now.max(due);
            let heard = town.look(|world| line.pass(now, world));
            note(&heard, now, &mut said);
        }
        now = until;
        let Some((_, happened, value)) = change else { break };
        let mut patch = patch(value);
        patch["event_id"] = json!(format!("e{number}"));
        patch["occurred_at"] = json!((NOW + Span::from_secs(happened)).to_string());
        let event = town.event(kind, &patch);
        let heard = town.look(|world| line.feed(now, vec![event], world));
        note(&heard, now, &mut said);
    }
    said
}

fn note(heard: &bugle::flow::line::Heard, now: Timestamp, said: &mut Vec<Telling>) {
    assert!(heard.stuck.is_empty() && heard.dead_letters.is_empty(), "{:?}", heard.stuck);
    said.extend(heard.pushes().into_iter().map(|push| (now.since(NOW).millis() / 1_000, push.title)));
}

/// Changes in the order of time.
fn changes(values: std::ops::Range<i64>) -> impl Strategy<Value = Vec<Change>> {
    proptest::collection::vec((1i64..60, values), 1..24).prop_map(|steps| {
        let mut at = 0;
        steps
            .into_iter()
            .map(|(gap, value)| {
                at += gap;
                (at, value)
            })
            .collect()
    })
}

/// Changes that are read in bursts, and some long after they happened.
fn late_changes() -> impl Strategy<Value = Vec<Late>> {
    let gap = prop_oneof![2 => 1i64..60, 1 => Just(0)];
    let late = prop_oneof![4 => Just(0), 2 => 0i64..90, 1 => 0i64..2_000];
    proptest::collection::vec((gap, late, 0i64..3), 1..24).prop_map(|steps| {
        let mut at = 0;
        let one = |(gap, late, value)| {
            at += gap;
            (at, at - late, value)
        };
        steps.into_iter().map(one).collect()
    })
}

/// What a window of a model has open.
#[derive(Clone, Copy)]
struct Open {
    since: i64,
    due: i64,
    first: i64,
    newest: i64,
    count: i64,
    last: i64,
}

/// Windows into which changes are put by when they happened, and which end by the clock: when each is told. `due`
/// says when one ends that a change joins, `is_over` whether it had ended when a change happened.
fn by_event_time(
    changes: &[Late],
    due: impl Fn(&Open, i64) -> i64,
    is_over: impl Fn(&Open, i64) -> bool,
) -> Vec<(i64, Open)> {
    let (mut told, mut open): (Vec<(i64, Open)>, Option<Open>) = (Vec::new(), None);
    for (at, happened, value) in changes.iter().copied() {
        if let Some(ended) = open.filter(|open| open.due <= at) {
            told.push((ended.due, ended));
            open = None;
        }
        if let Some(before) = open.filter(|open| is_over(open, happened)) {
            told.push((at, before));
            open = None;
        }
        let begun = Open { since: at, due: at, first: happened, newest: happened, count: 0, last: value };
        let before = open.unwrap_or(begun);
        let joined =
            Open { newest: before.newest.max(happened), count: before.count + 1, last: value, ..before };
        open = Some(Open { due: due(&joined, at), ..joined });
    }
    told.extend(open.map(|open| (open.due, open)));
    told
}

/// Those of a digest or a latest state that is open for a minute.
fn minutes(changes: &[Late]) -> Vec<(i64, Open)> {
    by_event_time(changes, |open, _| open.since + 60, |open, happened| happened >= open.first + 60)
}

/// Those of a session that ends after 30 s of silence, and after 100 s at the latest.
fn sessions(changes: &[Late]) -> Vec<(i64, Open)> {
    let due = |open: &Open, at: i64| (at + 30).min(open.since + 100);
    let is_over = |open: &Open, happened: i64| happened > open.newest + 30 || happened >= open.first + 100;
    by_event_time(changes, due, is_over)
}

/// Windows that open with a change and are `open` long: how many changes came in each.
fn windows(changes: &[Change], open: i64) -> Vec<(i64, usize)> {
    let mut windows: Vec<(i64, usize)> = Vec::new();
    for (at, _) in changes {
        match windows.last_mut() {
            Some((since, count)) if *at < *since + open => *count += 1,
            _ => windows.push((*at, 1)),
        }
    }
    windows
}

fn business(topic: &'static str) -> impl Fn(i64) -> serde_json::Value {
    move |state| json!({ "data": { "topic": topic, "document_id": "D", "state": format!("s{state}"), "partner": null } })
}

/// A change for a window that each person has of their own.
fn own(window: &'static str) -> impl Fn(i64) -> serde_json::Value {
    move |state| {
        let mut patch = business("partner_onboarding")(state);
        patch["data"]["partner"] = json!(window);
        patch
    }
}

fn flow(_: i64) -> serde_json::Value {
    json!({ "data": { "flow_id": "F" } })
}

/// Of the last so many changes, whether they lie within a span of each other.
fn crowded(times: &mut Vec<i64>, at: i64) -> bool {
    times.push(at);
    times.retain(|time| at - time <= 90);
    times.len() >= 3
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_digest_tells_at_its_end_how_many_came(changes in changes(0..9)) {
        let model: Vec<Telling> = windows(&changes, 60).into_iter().map(|(since, count)| (since + 60, count.to_string())).collect();
        prop_assert_eq!(told("devadmin.business.event", &changes, business("order")), model);
    }

    #[test]
    fn a_digest_with_a_lead_tells_the_first_at_once_and_the_others_at_its_end(changes in changes(0..9)) {
        let model: Vec<Telling> = windows(&changes, 60).into_iter().flat_map(|(since, count)| {
            let rest = (count > 1).then(|| (since + 60, (count - 1).to_string()));
            [(since, "1".to_owned())].into_iter().chain(rest)
        }).collect();
        prop_assert_eq!(told("devadmin.business.event", &changes, business("shipment")), model);
    }

    #[test]
    fn a_digest_of_a_person_lists_what_came(changes in changes(0..9)) {
        let model: Vec<Telling> = windows(&changes, 60).into_iter().map(|(since, count)| (since + 60, count.to_string())).collect();
        prop_assert_eq!(told("devadmin.business.event", &changes, own("digest")), model);
    }

    #[test]
    fn a_session_tells_the_last_state_when_it_pauses_or_is_at_its_longest(changes in changes(0..9)) {
        let mut model = Vec::new();
        let mut open: Option<(i64, i64, i64)> = None;
        for (at, state) in &changes {
            if let Some((_, due, last)) = open.filter(|(_, due, _)| due <= at) {
                model.push((due, format!("s{last}")));
                open = None;
            }
            let since = open.map_or(*at, |(since, ..)| since);
            open = Some((since, (at + 30).min(since + 100), *state));
        }
        model.extend(open.map(|(_, due, last)| (due, format!("s{last}"))));
        prop_assert_eq!(told("devadmin.business.event", &changes, business("invoice")), model);
    }

    #[test]
    fn a_latest_state_says_where_it_came_to_rest_and_nothing_when_that_is_where_it_was(changes in changes(0..3)) {
        let mut model: Vec<Telling> = Vec::new();
        let mut said: Option<i64> = None;
        let mut rest = changes.as_slice();
        while let Some((since, _)) = rest.first() {
            let inside = rest.iter().take_while(|(at, _)| *at < since + 60).count();
            let (window, after) = rest.split_at(inside);
            let last = window.last().unwrap().1;
            if said != Some(last) {
                model.push((since + 60, format!("s{last}")));
                said = Some(last);
            }
            rest = after;
        }
        prop_assert_eq!(told("devadmin.business.event", &changes, business("other")), model);
    }

    #[test]
    fn a_threshold_tells_each_time_so_many_came_within_its_span(changes in changes(0..2)) {
        let (mut model, mut times) = (Vec::new(), Vec::new());
        for (at, _) in &changes {
            if crowded(&mut times, *at) {
                model.push((*at, "failing".to_owned()));
                times.clear();
            }
        }
        prop_assert_eq!(told("devadmin.flow.failed", &changes, flow), model);
    }

    #[test]
    fn a_threshold_that_something_closes_tells_once_until_it_is_closed(changes in changes(0..2)) {
        let (mut model, mut times, mut is_told) = (Vec::new(), Vec::new(), false);
        for (at, _) in &changes {
            if !is_told && crowded(&mut times, *at) {
                model.push((*at, "failing".to_owned()));
                is_told = true;
            }
        }
        prop_assert_eq!(told("devadmin.flow.retry_exhausted", &changes, flow), model);
    }

    #[test]
    fn a_level_is_told_when_it_stayed_up_and_closed_when_it_is_well_below(changes in changes(5..14)) {
        let mut model = Vec::new();
        // Since when it is up without having been told, whether it was told, and the depth heard last.
        let (mut up, mut is_told, mut depth) = (None::<i64>, false, 0);
        for (at, value) in changes.iter().copied().chain([(90_000, 9)]) {
            if let Some(since) = up.filter(|since| !is_told && since + 45 <= at) {
                model.push((since + 45, depth.to_string()));
                (is_told, up) = (true, None);
            }
            depth = value;
            match (is_told, value) {
                (true, ..8) => { model.push((at, "clear".to_owned())); is_told = false; }
                (false, 10..) => up = up.or(Some(at)),
                (false, _) => up = None,
                (true, _) => {}
            }
        }
        let depth = |depth: i64| json!({ "data": { "queue": "q", "depth": depth, "threshold": 10 } });
        prop_assert_eq!(told("devadmin.queue.backlog", &changes, depth), model);
    }
}

proptest! {
    // Each case plays eight streams.
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn what_is_late_or_read_in_a_burst_is_told_with_what_happened_about_when_it_did(changes in late_changes()) {
        let played = |patch: &dyn Fn(i64) -> serde_json::Value| {
            TOWN.with(|town| play(town, "devadmin.business.event", &changes, patch))
        };
        let digests: Vec<Telling> = minutes(&changes).into_iter().map(|(at, open)| (at, open.count.to_string())).collect();
        prop_assert_eq!(&played(&business("order")), &digests);
        prop_assert_eq!(&played(&own("digest")), &digests);
        let led = minutes(&changes).into_iter().flat_map(|(at, open)| {
            let rest = (open.count > 1).then(|| (at, (open.count - 1).to_string()));
            [(open.since, "1".to_owned())].into_iter().chain(rest)
        });
        // What leaves in one moment leaves in any order.
        let sorted = |mut told: Vec<Telling>| {
            told.sort_unstable();
            told
        };
        let led = sorted(led.collect());
        prop_assert_eq!(&sorted(played(&business("shipment"))), &led);
        prop_assert_eq!(&sorted(played(&own("lead"))), &led);
        let states = |told: Vec<(i64, Open)>| -> Vec<Telling> {
            told.into_iter().map(|(at, open)| (at, format!("s{}", open.last))).collect()
        };
        let sessions = states(sessions(&changes));
        prop_assert_eq!(&played(&business("invoice")), &sessions);
        prop_assert_eq!(&played(&own("session")), &sessions);
        let mut latest = states(minutes(&changes));
        prop_assert_eq!(&played(&own("latest")), &latest);
        // A subject's window knows what it said last, and does not say it again.
        latest.dedup_by(|one, before| one.1 == before.1);
        prop_assert_eq!(played(&business("other")), latest);
    }
}

/// Nobody runs when the window ends: it is told once when somebody does, whole and late.
#[test]
fn a_window_that_ended_while_nobody_ran_is_told_once_when_somebody_does() {
    let town = town();
    let mut line = Line::new(&town.plan);
    let mut said = Vec::new();
    for (number, at) in [0, 20].into_iter().enumerate() {
        let now = NOW + Span::from_secs(at);
        let mut patch = business("order")(1);
        patch["event_id"] = json!(format!("e{number}"));
        patch["occurred_at"] = json!(now.to_string());
        let event = town.event("devadmin.business.event", &patch);
        note(&town.look(|world| line.feed(now, vec![event], world)), now, &mut said);
    }
    for at in [75, 76, 600, 90_000] {
        let now = NOW + Span::from_secs(at);
        note(&town.look(|world| line.pass(now, world)), now, &mut said);
    }
    assert_eq!(said, [(75, "2".to_owned())]);
}

/// A backlog, read in a moment: each change is told with those that happened about when it did.
#[test]
fn what_belongs_together_is_decided_by_when_it_happened_and_not_by_when_it_was_read() {
    let of = |patch: &dyn Fn(i64) -> serde_json::Value| {
        let town = town();
        let mut line = Line::new(&town.plan);
        let (now, mut said) = (NOW + Span::from_secs(1_000), Vec::new());
        for (number, happened) in [0, 20, 59, 60, 61, 130, 5].into_iter().enumerate() {
            let mut patch = patch(i64::try_from(number).unwrap());
            patch["event_id"] = json!(format!("e{number}"));
            patch["occurred_at"] = json!((NOW + Span::from_secs(happened)).to_string());
            let event = town.event("devadmin.business.event", &patch);
            note(&town.look(|world| line.feed(now, vec![event], world)), now, &mut said);
        }
        while let Some(due) = line.due().filter(|due| *due < NOW + Span::from_secs(2_000)) {
            note(&town.look(|world| line.pass(due, world)), due, &mut said);
        }
        said.into_iter().map(|(at, what)| format!("{at} {what}")).collect::<Vec<_>>()
    };
    // The last is late: it is told with what is open, and that when its time is up by the clock.
    for digest in [of(&business("order")), of(&own("digest"))] {
        assert_eq!(digest, ["1000 3", "1000 2", "1060 2"]);
    }
    // A pause of more than 30 s ends a session; 20 to 59 is one.
    for session in [of(&business("invoice")), of(&own("session"))] {
        assert_eq!(session, ["1000 s1", "1000 s4", "1030 s6"]);
    }
    for latest in [of(&business("other")), of(&own("latest"))] {
        assert_eq!(latest, ["1000 s2", "1000 s4", "1060 s6"]);
    }
}
