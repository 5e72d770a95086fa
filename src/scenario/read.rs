//! Read: a file of scenarios and everything they share, every fault noted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::directory::spelling::SCOPES;
use crate::directory::{LoadError, person_of};
use crate::event::{Members, Person, Timestamp};
use crate::topology::fault::{Faults, Sheet, Spot, nearest};
use crate::topology::reading::{Fields, Reading};
use crate::topology::tree::{self, Branch, Node};
use crate::topology::{Rule, Topology};

use super::Ground;
use super::expect::{line, people};
use super::moment::Clock;
use super::proof;
use super::script::{Scenario, Who};
use super::shelf::Shelf;
use super::step::{Course, moment, step};
use crate::flow::TenantDefaults;

/// The people of a scenario, and what else its steps are read against.
#[derive(Clone)]
pub(super) struct Cast<'g> {
    /// The rules and schemas.
    pub(super) ground: Ground<'g>,
    /// The rules that its steps put in force.
    reloaded: Vec<Arc<Topology>>,
    /// Whose people are meant where none is named.
    pub(super) tenant: String,
    known: BTreeMap<(String, String), Person>,
    /// Whether everybody could be read; otherwise nobody is a stranger.
    is_known: bool,
    members: Vec<Members>,
    /// Where the file lies, and what it names beside it.
    pub(super) folder: PathBuf,
    /// What its tenants' names begin with.
    house: String,
}

/// Whose people the scenarios are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Houses {
    /// All are about the same tenants.
    Shared,
    /// Each has tenants of its own.
    Apart,
}

/// The people's file where none is named.
const PEOPLE: &str = "people.csv";
/// Every scenario that names no other time starts on a Monday morning.
const START: &str = "2026-01-05 10:00";

/// Reads a file; what cannot be read is a fault.
pub(super) fn read(
    sheet: &Arc<Sheet>,
    (folder, houses): (&Path, Houses),
    ground: Ground<'_>,
    (shelf, faults): (&mut Shelf, &mut Faults),
) -> Vec<Scenario> {
    let Some(node) = tree::parse(sheet, faults) else { return Vec::new() };
    let cx = &mut Reading { sheet: Arc::clone(sheet), faults, forms: &[] };
    let Some(mut fields) = cx.fields(&node, "a file of scenarios") else { return Vec::new() };
    let use_case = fields.get("use_case").and_then(|node| use_case(cx, node, ground));
    let file = fields.get("people");
    let count = node.entries().iter().find(|(name, _)| name.value == "scenarios");
    let count = count.map_or(0, |(_, node)| node.items().len());
    let known = known(cx, (file, &node), folder, (shelf, count));
    let (is_known, known) = (known.is_some(), known.unwrap_or_default());
    let (tenant, members, house) = ("acme".to_owned(), Vec::new(), String::new());
    let (folder, reloaded) = (folder.to_owned(), Vec::new());
    let cast = Cast { ground, reloaded, tenant, known, is_known, members, folder, house };
    let mut head = Head { tenants: Vec::new(), clock: None, start: None, houses };
    let cast = shared(cx, &mut fields, cast, &mut head);
    let scenarios = match fields.need("scenarios", cx) {
        Some(node) => {
            proof::filled(cx, node, ("no scenario stands in this file", "write one, or remove the file"));
            cx.list(node, |cx, node| {
                let (name, scenario) = scenario(cx, node, (&cast, &head), use_case.as_deref())?;
                shelf.only_one(cx, &name);
                Some(scenario)
            })
        }
        None => Vec::new(),
    };
    fields.done(cx);
    scenarios
}

/// What a file and each of its scenarios may say.
#[derive(Clone)]
struct Head {
    tenants: Vec<(String, TenantDefaults)>,
    clock: Option<Clock>,
    start: Option<String>,
    houses: Houses,
}

fn use_case(cx: &mut Reading<'_>, node: &Node, ground: Ground<'_>) -> Option<String> {
    let text = cx.text(node)?;
    let known: Vec<&str> =
        ground.topology.rules.iter().filter_map(|rule| rule.plan.use_case.as_deref()).collect();
    if !known.contains(&text.value.as_str()) {
        let fact = format!("no rule serves the use case `{}`", text.value);
        let hint = nearest(&text.value, known)
            .map_or_else(|| "write the `use_case` of a rule".to_owned(), |near| format!("write `{near}`"));
        cx.fault(text.at, "unknown-use-case", (fact, hint));
    }
    Some(text.value)
}

/// Zone, start, tenants, and what differs in the directory.
fn shared<'g>(
    cx: &mut Reading<'_>,
    fields: &mut Fields<'_>,
    mut cast: Cast<'g>,
    head: &mut Head,
) -> Cast<'g> {
    if let Some(text) = fields.get("tenant").and_then(|node| cx.text(node)) {
        cast.tenant = text.value;
    }
    if let Some(node) = fields.get("zone") {
        head.clock = zone(cx, node).and_then(|zone| Clock::of(&zone)).or(head.clock.take());
    }
    let clock = head.clock.clone().or_else(|| Clock::of("Europe/Berlin"));
    if let (Some(node), Some(clock)) = (fields.get("start"), clock)
        && moment(cx, node, (&clock, Timestamp::default())).is_some()
    {
        head.start = cx.text(node).map(|text| text.value);
    }
    head.tenants.extend(fields.get("tenants").map(|node| tenants(cx, node)).unwrap_or_default());
    if let Some(node) = fields.get("directory") {
        cx.list(node, |cx, node| cast.learn(cx, node));
    }
    if let Some(node) = fields.get("members") {
        let groups = cx.list(node, |cx, node| members(cx, node, &cast));
        cast.members.extend(groups);
    }
    cast
}

/// `{ globex: { zone: America/Toronto, locale: en } }`
fn tenants(cx: &mut Reading<'_>, node: &Node) -> Vec<(String, TenantDefaults)> {
    let Branch::Map(entries) = &node.value else {
        cx.wrong(node, "a map of tenants");
        return Vec::new();
    };
    let one = |(name, node): &(Spot<String>, Node)| {
        let mut fields = cx.fields(node, "a tenant")?;
        let zone = fields.need("zone", cx).and_then(|node| zone(cx, node));
        let locale = fields.get("locale").and_then(|node| cx.text(node)).map(|text| text.value);
        let places = fields.get("places").and_then(|node| cx.fields(node, "the zones of places"));
        let places = places
            .iter()
            .flat_map(|places| places.rest())
            .filter_map(|(place, node)| Some((place.value.clone(), self::zone(cx, node)?)));
        let places = places.collect();
        fields.done(cx);
        let locale = locale.unwrap_or_else(|| "en".to_owned());
        Some((name.value.clone(), TenantDefaults { locale, zone: zone?, places }))
    };
    entries.iter().filter_map(one).collect()
}

fn zone(cx: &mut Reading<'_>, node: &Node) -> Option<String> {
    let text = cx.text(node)?;
    if Clock::of(&text.value).is_none() {
        let told = (format!("nobody knows the zone `{}`", text.value), "write it as `Europe/Berlin`");
        cx.fault(text.at, "unknown-zone", told);
        return None;
    }
    Some(text.value)
}

fn scenario(
    cx: &mut Reading<'_>,
    node: &Node,
    (cast, head): (&Cast<'_>, &Head),
    use_case: Option<&str>,
) -> Option<(Spot<String>, Scenario)> {
    let mut fields = cx.fields(node, "a scenario")?;
    let name = fields.need("name", cx).and_then(|node| cx.text(node));
    let mut head = head.clone();
    let mut cast = shared(cx, &mut fields, cast.clone(), &mut head);
    if head.houses == Houses::Apart {
        cast.move_out(format!("{}-{}.", stem(&cx.sheet.path), line(cx, node)), &mut head.tenants);
    }
    let clock = head.clock.or_else(|| Clock::of("Europe/Berlin"))?;
    let start = clock.read(head.start.as_deref().unwrap_or(START), None)?;
    let (people, groups) = (cast.known.values().cloned().collect(), cast.members.clone());
    let mut course = Course { now: start, events: 0, clock: &clock, has_news: false, is_expecting: false };
    let steps = match fields.need("steps", cx) {
        Some(node) => {
            proof::filled(
                cx,
                node,
                ("this scenario has no steps", "write what happens, and what comes of it"),
            );
            cx.list(node, |cx, node| step(cx, node, &mut cast, &mut course))
        }
        None => Vec::new(),
    };
    fields.done(cx);
    let name = name?;
    if !steps.is_empty() {
        proof::scenario(cx, &name, &course);
    }
    let scenario = Scenario {
        use_case: use_case.map(str::to_owned),
        name: name.value.clone(),
        file: cx.sheet.path.clone(),
        line: line(cx, node),
        start,
        tenant: cast.tenant,
        tenants: head.tenants,
        people,
        members: groups,
        steps,
        clock,
    };
    Some((name, scenario))
}

/// `ec-3` of `topology/scenarios/ec-3.yaml`.
fn stem(path: &str) -> &str {
    Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
}

/// The people of a file beside the scenarios, or those written down; `None`: they cannot be read.
fn known(
    cx: &mut Reading<'_>,
    (named, whole): (Option<&Node>, &Node),
    folder: &Path,
    (shelf, count): (&mut Shelf, usize),
) -> Option<BTreeMap<(String, String), Person>> {
    let (name, node) = match named {
        Some(node) if matches!(node.value, Branch::List(_)) => {
            let people = cx.list(node, |cx, node| person(cx, node, None, "acme"));
            return Some(by_key(people));
        }
        Some(node) => (Some(cx.text(node)?.value), node),
        None => (folder.join(PEOPLE).is_file().then(|| PEOPLE.to_owned()), whole),
    };
    let Some(name) = name else { return Some(BTreeMap::new()) };
    match shelf.people(&folder.join(&name), count) {
        Ok(people) => Some(by_key(people.iter().cloned())),
        // Said once, in its own lines.
        Err(LoadError::Faults(_)) => None,
        Err(error) => {
            cx.fault(node.at, "bad-people", (error.to_string(), error.hint().unwrap_or("see README.md")));
            None
        }
    }
}

fn by_key(people: impl IntoIterator<Item = Person>) -> BTreeMap<(String, String), Person> {
    people.into_iter().map(|person| ((person.tenant.clone(), person.user_id.clone()), person)).collect()
}

/// A person as a line of `people.jsonl` has them; `before`: what is not said stays as it is.
fn person(cx: &mut Reading<'_>, node: &Node, before: Option<&Person>, tenant: &str) -> Option<Person> {
    let Branch::Map(_) = node.value else {
        cx.wrong(node, "a map of what is known of a person");
        return None;
    };
    let mut json = before.and_then(|person| serde_json::to_value(person).ok()).unwrap_or_default();
    if let (serde_json::Value::Object(said), true) = (node.plain(), json.is_object() || json.is_null()) {
        for (name, value) in said {
            json[name] = value;
        }
    }
    if json.get("tenant").is_none() {
        json["tenant"] = tenant.into();
    }
    match person_of(json) {
        Ok(person) => Some(person),
        Err(fault) => {
            cx.fault(node.at, "bad-person", (fault, "write them as a line of people.jsonl has them"));
            None
        }
    }
}

/// `{ scope: workspace/20814, role: lead, people: [mara.weber] }`
pub(super) fn members(cx: &mut Reading<'_>, node: &Node, cast: &Cast<'_>) -> Option<Members> {
    let mut fields = cx.fields(node, "a group of members")?;
    let scope = fields.need("scope", cx).and_then(|node| cx.text(node));
    let role = fields.get("role").and_then(|node| cx.text(node)).map(|text| text.value);
    let people = fields.need("people", cx).map(|node| people(cx, node, cast)).unwrap_or_default();
    fields.done(cx);
    let scope = scope?;
    let parts = scope.value.split_once('/').filter(|(scope_type, _)| SCOPES.contains(scope_type));
    let Some((scope_type, scope_id)) = parts else {
        let hint = format!("write it as `workspace/20814`; there are {}", SCOPES.join(", "));
        cx.fault(scope.at, "bad-scope", (format!("`{}` is no scope", scope.value), hint));
        return None;
    };
    Some(Members {
        tenant: cast.tenant.clone(),
        scope_type: scope_type.to_owned(),
        scope_id: scope_id.to_owned(),
        role: role.unwrap_or_default(),
        user_ids: people.into_iter().map(|who| who.user_id).collect(),
    })
}

// === impl Cast ===

impl Cast<'_> {
    /// The rules in force.
    pub(super) fn topology(&self) -> &Topology {
        self.reloaded.last().map_or(self.ground.topology, |newest| newest)
    }

    /// The rules that were in force at one time or another.
    pub(super) fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        let reloaded = self.reloaded.iter().flat_map(|topology| &topology.rules);
        self.ground.topology.rules.iter().chain(reloaded)
    }

    /// These are in force from now on.
    pub(super) fn switch(&mut self, topology: Arc<Topology>) {
        self.reloaded.push(topology);
    }

    /// The name of a tenant in this scenario's house.
    pub(super) fn at_home(&self, tenant: &str) -> String {
        format!("{}{tenant}", self.house)
    }

    /// Everybody moves into a house of the scenario's own.
    fn move_out(&mut self, house: String, tenants: &mut [(String, TenantDefaults)]) {
        self.house = house;
        self.tenant = self.at_home(&self.tenant);
        let known = std::mem::take(&mut self.known);
        self.known = by_key(known.into_values().map(|person| {
            let tenant = self.at_home(&person.tenant);
            Person { tenant, ..person }
        }));
        for (tenant, ..) in tenants {
            *tenant = self.at_home(tenant);
        }
        let house = &self.house;
        self.members.iter_mut().for_each(|members| members.tenant.insert_str(0, house));
    }

    /// A person the directory knows, as `user` or `tenant/user`.
    pub(super) fn who(&self, cx: &mut Reading<'_>, node: &Node) -> Option<Who> {
        let text = cx.text(node)?;
        let (tenant, user_id) = match text.value.split_once('/') {
            Some((tenant, user)) => (self.at_home(tenant), user),
            None => (self.tenant.clone(), text.value.as_str()),
        };
        let who = Who { tenant: tenant.clone(), user_id: user_id.to_owned() };
        if !self.is_known || self.known.contains_key(&(who.tenant.clone(), who.user_id.clone())) {
            return Some(who);
        }
        let near = self.known.keys().filter(|key| key.0 == tenant).map(|key| key.1.as_str());
        let hint = match nearest(user_id, near) {
            Some(near) => format!("write `{near}`"),
            None => "add them to the people of the scenarios, or under `directory:`".to_owned(),
        };
        let fact = format!("`{user_id}` is nobody in the directory of tenant `{tenant}`");
        cx.fault(text.at, "unknown-person", (fact, hint));
        None
    }

    /// The directory hears of a person: what is not said stays as it was.
    pub(super) fn learn(&mut self, cx: &mut Reading<'_>, node: &Node) -> Option<Person> {
        let said = node.plain();
        let text = |name: &str| said.get(name).and_then(|value| value.as_str()).map(str::to_owned);
        let tenant = text("tenant").map_or_else(|| self.tenant.clone(), |tenant| self.at_home(&tenant));
        let key = (tenant, text("user_id").unwrap_or_default());
        let mut person = person(cx, node, self.known.get(&key), &key.0)?;
        person.tenant.clone_from(&key.0);
        self.known.insert(key, person.clone());
        Some(person)
    }
}
