//! The right person: the directory against a slow model that shares no code with it.
//!
//! Both are told the same random history of people and members, with the same user ids in two tenants,
//! and asked for the same random audiences.

use std::collections::{BTreeMap, BTreeSet};

use bugle::directory::{Nobody, People};
use bugle::event::audience::{Bound, BoundAudience, Table};
use bugle::event::person::Location;
use bugle::event::{Members, Person};
use proptest::prelude::*;

const TENANTS: [&str; 2] = ["north", "south"];
const IDS: [&str; 7] = ["ada", "bob", "cid", "dan", "eve", "fay", "gus"];
const ROLES: [&str; 3] = ["legal", "buyer", "Legal"];
const PARTIES: [&str; 2] = ["acme", "globex"];
const PLACES: [[Option<&str>; 4]; 5] = [
    [Some("DE"), Some("Bavaria"), Some("Munich"), Some("P1")],
    [Some("DE"), Some("Bavaria"), None, Some("P2")],
    [Some("DE"), None, None, None],
    [Some("FR"), Some("Bavaria"), Some("P1"), None],
    [None, None, None, None],
];
const LOCATIONS: [&str; 6] = ["DE", "Bavaria", "P1", "DE/Bavaria", "DE/Bavaria/P2", "Munich/P1"];
const UNITS: [&[&str]; 4] = [&["EMEA"], &["EMEA", "Sales"], &["APAC", "Sales"], &[]];
const UNIT_NAMES: [&str; 4] = ["EMEA", "Sales", "EMEA/Sales", "APAC/Sales"];

// === the model: what language.md section 6 says, person by person ===

/// Whether an expression means somebody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Means {
    No,
    /// A value is missing: nobody can say.
    Perhaps,
    Yes,
}

#[derive(Default)]
struct Model {
    people: BTreeMap<(String, String), Person>,
    members: BTreeMap<(String, String, String, String), Vec<String>>,
}

fn invited<'b>(bound: &'b Bound, positive: bool, into: &mut Vec<(&'b Table, &'b String)>) {
    match bound {
        Bound::In(table, names) if positive => into.extend(names.iter().map(|name| (table, name))),
        Bound::Not(of) => invited(of, !positive, into),
        Bound::SupervisorOf(of) | Bound::BackupOf(of) => invited(of, positive, into),
        Bound::All(parts) | Bound::Any(parts) => parts.iter().for_each(|part| invited(part, positive, into)),
        _ => {}
    }
}

fn has_empty(bound: &Bound) -> bool {
    match bound {
        Bound::Empty(_) => true,
        Bound::Not(of) | Bound::SupervisorOf(of) | Bound::BackupOf(of) => has_empty(of),
        Bound::All(parts) | Bound::Any(parts) => parts.iter().any(has_empty),
        _ => false,
    }
}

fn lies_under(levels: &[&str], name: &str) -> bool {
    levels.contains(&name) || (1..=levels.len()).any(|depth| levels[..depth].join("/") == name)
}

impl Model {
    fn of<'m>(&'m self, tenant: &'m str) -> impl Iterator<Item = &'m Person> {
        self.people.values().filter(move |person| person.tenant == tenant)
    }

    fn may_hear(person: &Person, whole: &Bound) -> bool {
        let mut named = Vec::new();
        invited(whole, true, &mut named);
        let by_party = |party: &String| named.contains(&(&Table::Party, party));
        person.active
            && person
                .party
                .as_ref()
                .is_none_or(|party| by_party(party) || named.contains(&(&Table::Person, &person.user_id)))
    }

    fn means(&self, bound: &Bound, person: &Person, inside: &dyn Fn(&Person) -> bool) -> Means {
        let when = |truth: bool| if truth { Means::Yes } else { Means::No };
        match bound {
            Bound::Empty(_) => Means::Perhaps,
            Bound::In(Table::Person, ids) => when(ids.contains(&person.user_id)),
            Bound::In(table, names) => {
                let stands_under = |name: &String| match table {
                    Table::Role => person.roles.contains(name),
                    Table::Party => person.party.as_ref() == Some(name),
                    Table::Unit => {
                        let levels: Vec<&str> = person.business_unit.iter().map(String::as_str).collect();
                        lies_under(&levels, name)
                    }
                    _ => {
                        let at = &person.location;
                        let levels = [&at.country, &at.region, &at.locality, &at.site];
                        let levels: Vec<&str> = levels.into_iter().flatten().map(String::as_str).collect();
                        lies_under(&levels, name)
                    }
                };
                when(inside(person) && person.active && names.iter().any(stands_under))
            }
            Bound::Member(scope, ids, roles) => when(
                inside(person)
                    && self.members.iter().any(|((tenant, kind, id, role), users)| {
                        (tenant, kind) == (&person.tenant, scope)
                            && ids.contains(id)
                            && (roles.is_empty() || roles.contains(role))
                            && users.contains(&person.user_id)
                    }),
            ),
            Bound::SupervisorOf(of) | Bound::BackupOf(of) => {
                let related = self.of(&person.tenant).filter(|other| match bound {
                    _ if other.user_id == person.user_id => false,
                    Bound::BackupOf(_) => other.deputies.contains(&person.user_id),
                    _ => other.manager.as_ref() == Some(&person.user_id),
                });
                match related.map(|other| self.means(of, other, inside)).max() {
                    Some(Means::Yes) => Means::Yes,
                    _ if has_empty(of) => Means::Perhaps,
                    _ => Means::No,
                }
            }
            Bound::All(parts) => {
                parts.iter().map(|part| self.means(part, person, inside)).min().unwrap_or(Means::No)
            }
            Bound::Any(parts) => {
                parts.iter().map(|part| self.means(part, person, inside)).max().unwrap_or(Means::No)
            }
            Bound::Not(_) if !inside(person) => Means::No,
            Bound::Not(of) => match self.means(of, person, inside) {
                Means::Yes => Means::No,
                Means::Perhaps => Means::Perhaps,
                Means::No => Means::Yes,
            },
        }
    }

    fn named(&self, tenant: &str, bound: &Bound) -> BTreeSet<String> {
        let inside = |person: &Person| Self::may_hear(person, bound);
        let people = self.of(tenant).filter(|person| inside(person));
        let people = people.filter(|person| self.means(bound, person, &inside) == Means::Yes);
        people.map(|person| person.user_id.clone()).collect()
    }

    fn resolve(&self, tenant: &str, audience: &BoundAudience) -> BTreeSet<String> {
        let mut bound = &audience.tell;
        let mut told = self.named(tenant, bound);
        if let (true, Some(fallback)) = (told.is_empty(), &audience.fallback) {
            bound = fallback;
            told = self.named(tenant, bound);
        }
        let entry = |id: &String| self.people.get(&(tenant.to_owned(), id.clone()));
        for id in told.clone() {
            let Some(person) = entry(&id).filter(|person| person.absent) else { continue };
            let others = person.deputies.iter().filter(|deputy| **deputy != id);
            let may = |id: &&String| {
                entry(id).is_some_and(|person| !person.absent && Self::may_hear(person, bound))
            };
            let deputies: Vec<String> = others.filter(may).cloned().collect();
            if !deputies.is_empty() {
                told.remove(&id);
                told.extend(deputies);
            }
        }
        told.retain(|id| {
            let person = entry(id).expect("only people with an entry are named");
            let never = audience.never.as_ref().map(|never| self.means(never, person, &|_| true));
            never.is_none_or(|never| never == Means::No)
        });
        told
    }
}

// === random histories and audiences ===

#[derive(Debug, Clone)]
enum Step {
    Apply(Box<Person>),
    Remove(&'static str, &'static str),
    Belong(Members),
}

fn some_of(names: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop::sample::select(names), 0..=most)
        .prop_map(|names| names.into_iter().map(str::to_owned).collect())
}

fn person() -> impl Strategy<Value = Person> {
    let who = (prop::sample::select(&TENANTS[..]), prop::sample::select(&IDS[..]));
    let flags = (prop::bool::weighted(0.8), prop::bool::weighted(0.3));
    let where_ = (prop::sample::select(&PLACES[..]), prop::sample::select(&UNITS[..]));
    let id = || prop::sample::select(&IDS[..]).prop_map(str::to_owned);
    let party = prop::option::weighted(0.35, prop::sample::select(&PARTIES[..]));
    let above = (prop::option::of(id()), prop::collection::vec(id(), 0..3));
    (who, flags, where_, above, some_of(&ROLES, 2), party, some_of(&["mobile", "web"], 1)).prop_map(
        |(
            (tenant, user_id),
            (active, absent),
            (place, unit),
            (manager, deputies),
            roles,
            party,
            channels,
        )| {
            let [country, region, locality, site] = place.map(|level| level.map(str::to_owned));
            Person {
                tenant: tenant.to_owned(),
                user_id: user_id.to_owned(),
                active,
                absent,
                roles,
                location: Location { site, locality, region, country },
                business_unit: unit.iter().map(|level| (*level).to_owned()).collect(),
                manager,
                deputies,
                party: party.map(str::to_owned),
                channels,
                ..Person::default()
            }
        },
    )
}

fn history() -> impl Strategy<Value = Vec<Step>> {
    let scope = (prop::sample::select(&["workspace", "record"][..]), prop::sample::select(&["1", "2"][..]));
    let members = (
        prop::sample::select(&TENANTS[..]),
        scope,
        prop::sample::select(&["", "lead"][..]),
        some_of(&IDS, 3),
    )
        .prop_map(|(tenant, (kind, id), role, user_ids)| Members {
            tenant: tenant.to_owned(),
            scope_type: kind.to_owned(),
            scope_id: id.to_owned(),
            role: role.to_owned(),
            user_ids,
        });
    let remove = (prop::sample::select(&TENANTS[..]), prop::sample::select(&IDS[..]));
    let step = prop_oneof![
        8 => person().prop_map(|person| Step::Apply(Box::new(person))),
        1 => remove.prop_map(|(tenant, id)| Step::Remove(tenant, id)),
        2 => members.prop_map(Step::Belong),
    ];
    prop::collection::vec(step, 5..40)
}

fn bound() -> impl Strategy<Value = Bound> {
    fn some(names: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(prop::sample::select(names), 1..3)
            .prop_map(|names| names.into_iter().map(str::to_owned).collect())
    }
    let leaf = prop_oneof![
        4 => some(&ROLES).prop_map(|names| Bound::In(Table::Role, names)),
        2 => some(&LOCATIONS).prop_map(|names| Bound::In(Table::Location, names)),
        2 => some(&UNIT_NAMES).prop_map(|names| Bound::In(Table::Unit, names)),
        2 => some(&IDS).prop_map(|names| Bound::In(Table::Person, names)),
        2 => some(&PARTIES).prop_map(|names| Bound::In(Table::Party, names)),
        1 => (some(&["1", "2"]), some_of(&["", "lead"], 1))
            .prop_map(|(ids, roles)| Bound::Member("workspace".into(), ids, roles)),
        1 => Just(Bound::Empty("a.field".into())),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 2..4).prop_map(Bound::All),
            3 => prop::collection::vec(inner.clone(), 2..4).prop_map(Bound::Any),
            2 => inner.clone().prop_map(|of| Bound::Not(Box::new(of))),
            1 => inner.clone().prop_map(|of| Bound::SupervisorOf(Box::new(of))),
            1 => inner.prop_map(|of| Bound::BackupOf(Box::new(of))),
        ]
    })
}

fn audience() -> impl Strategy<Value = BoundAudience> {
    (bound(), prop::option::of(bound()), prop::option::of(bound()))
        .prop_map(|(tell, fallback, never)| BoundAudience { tell, fallback, never })
}

fn lived(history: &[Step]) -> (People, Model) {
    let (mut people, mut model) = (People::new(), Model::default());
    for step in history {
        match step {
            Step::Apply(person) => {
                people.apply(person);
                model.people.insert((person.tenant.clone(), person.user_id.clone()), (**person).clone());
            }
            Step::Remove(tenant, id) => {
                people.remove(tenant, id);
                model.people.remove(&((*tenant).to_owned(), (*id).to_owned()));
            }
            Step::Belong(members) => {
                people.apply_members(members);
                let Members { tenant, scope_type, scope_id, role, user_ids } = members.clone();
                model.members.insert((tenant, scope_type, scope_id, role), user_ids);
            }
        }
    }
    (people, model)
}

fn told(people: &People, tenant: &str, audience: &BoundAudience) -> BTreeSet<String> {
    let resolved = people.resolve(tenant, audience, &[]);
    resolved.iter().chain(resolved.no_channel()).map(|entry| entry.user_id().to_owned()).collect()
}

fn terms(bound: &Bound) -> Vec<&Bound> {
    match bound {
        Bound::Not(of) | Bound::SupervisorOf(of) | Bound::BackupOf(of) => terms(of),
        Bound::All(parts) | Bound::Any(parts) => parts.iter().flat_map(terms).collect(),
        leaf => vec![leaf],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn who_came_in_by_some_term_is_who_is_named_and_nobody_stands_in_two_places(history in history(), audiences in prop::collection::vec(audience(), 4)) {
        let (people, _) = lived(&history);
        for audience in &audiences {
            for tenant in TENANTS {
                let asked = people.asked(tenant, audience, IDS.len());
                let all: Vec<&String> = asked.groups.iter().flat_map(|group| &group.people).collect();
                let apart: BTreeSet<&String> = all.iter().copied().collect();
                prop_assert_eq!(all.len(), apart.len(), "{:?}", asked);
                let belonging = asked.groups.iter().filter(|group| group.how.belongs());
                let belonging: BTreeSet<String> = belonging.flat_map(|group| group.people.clone()).collect();
                prop_assert_eq!(belonging.len(), usize::try_from(asked.belonging()).unwrap());
                prop_assert_eq!(belonging, told(&people, tenant, audience), "{:?}", asked);
                let each = IDS.iter().flat_map(|id| people.asked_of(tenant, audience, &[id], 1).groups);
                let again: BTreeSet<String> =
                    each.filter(|group| group.how.belongs()).flat_map(|group| group.people).collect();
                prop_assert_eq!(again, told(&people, tenant, audience), "one by one");
            }
        }
    }

    #[test]
    fn the_directory_names_whom_the_language_says(history in history(), audiences in prop::collection::vec(audience(), 4)) {
        let (people, model) = lived(&history);
        for audience in &audiences {
            for tenant in TENANTS {
                prop_assert_eq!(told(&people, tenant, audience), model.resolve(tenant, audience), "{:?}", audience);
            }
        }
    }

    #[test]
    fn holding_one_person_agrees_with_naming_all(history in history(), audiences in prop::collection::vec(audience(), 4)) {
        let (people, _) = lived(&history);
        for audience in &audiences {
            for tenant in TENANTS {
                let told = told(&people, tenant, audience);
                for id in IDS {
                    let holds = people.holds(tenant, audience, id);
                    prop_assert_eq!(holds, told.contains(id), "{} of {}", id, tenant);
                    prop_assert!(!holds || people.belongs(tenant, audience, id), "who is held belongs: {}", id);
                }
            }
        }
    }

    #[test]
    fn nobody_inactive_excluded_or_across_the_border_is_told(history in history(), audience in audience()) {
        let (people, model) = lived(&history);
        let chosen: Vec<&Bound> = std::iter::once(&audience.tell).chain(&audience.fallback).collect();
        let names = |table: Table, name: &str| chosen.iter().flat_map(|bound| terms(bound)).any(|term| {
            matches!(term, Bound::In(of, names) if *of == table && names.iter().any(|known| known == name))
        });
        for tenant in TENANTS {
            for id in IDS.iter().filter(|id| people.belongs(tenant, &audience, id)) {
                let person = &model.people[&(tenant.to_owned(), (*id).to_owned())];
                prop_assert!(person.active, "{} is not active", id);
                if let Some(party) = &person.party {
                    prop_assert!(names(Table::Party, party) || names(Table::Person, id), "{} of {}", id, party);
                }
                if let Some(Bound::In(Table::Person, ids)) = &audience.never {
                    prop_assert!(!ids.iter().any(|never| never == id), "{} is never told", id);
                }
            }
        }
    }

    #[test]
    fn a_missing_value_tells_nobody_it_would_not_tell_with_one(history in history(), audience in audience(), role in some_of(&ROLES, 2)) {
        // A placeholder that is filled in has at least one value.
        let role = if role.is_empty() { vec![ROLES[0].to_owned()] } else { role };
        let (people, _) = lived(&history);
        let filled = BoundAudience { tell: fill(&audience.tell, &role), fallback: None, never: audience.never.as_ref().map(|never| fill(never, &role)) };
        let empty = BoundAudience { fallback: None, ..audience };
        for tenant in TENANTS {
            for id in told(&people, tenant, &empty) {
                // A deputy stands in for somebody; which deputies are named does not depend on values.
                prop_assert!(told(&people, tenant, &filled).contains(&id), "{} of {}", id, tenant);
            }
        }
    }
}

/// The same expression with a value where one is missing.
fn fill(bound: &Bound, role: &[String]) -> Bound {
    let all = |parts: &[Bound]| parts.iter().map(|part| fill(part, role)).collect();
    match bound {
        Bound::Empty(_) => Bound::In(Table::Role, role.to_vec()),
        Bound::Not(of) => Bound::Not(Box::new(fill(of, role))),
        Bound::SupervisorOf(of) => Bound::SupervisorOf(Box::new(fill(of, role))),
        Bound::BackupOf(of) => Bound::BackupOf(Box::new(fill(of, role))),
        Bound::All(parts) => Bound::All(all(parts)),
        Bound::Any(parts) => Bound::Any(all(parts)),
        leaf => leaf.clone(),
    }
}

// === the clauses, one by one ===

fn staff(id: &str, roles: &[&str]) -> Person {
    Person {
        tenant: "north".into(),
        user_id: id.into(),
        active: true,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        ..Person::default()
    }
}

fn people(of: &[Person]) -> People {
    let mut people = People::new();
    of.iter().for_each(|person| people.apply(person));
    people
}

fn names(table: Table, names: &[&str]) -> Bound {
    Bound::In(table, names.iter().map(|name| (*name).to_owned()).collect())
}

fn tell(tell: Bound) -> BoundAudience {
    BoundAudience { tell, fallback: None, never: None }
}

fn not(of: Bound) -> Bound {
    Bound::Not(Box::new(of))
}

fn ids(people: &People, audience: &BoundAudience) -> Vec<String> {
    told(people, "north", audience).into_iter().collect()
}

#[test]
fn a_placeholder_without_a_value_is_nobody_also_under_not() {
    let people = people(&[staff("ada", &["legal"]), staff("bob", &[])]);
    let empty = || Bound::Empty("site".into());
    for bound in [
        empty(),
        not(empty()),
        not(not(empty())),
        not(Bound::Any(vec![names(Table::Role, &["legal"]), empty()])),
        not(Bound::SupervisorOf(Box::new(empty()))),
        not(Bound::BackupOf(Box::new(not(empty())))),
        names(Table::Role, &[]),
        not(names(Table::Role, &[])),
        not(Bound::All(vec![])),
        not(Bound::Member("workspace".into(), vec![], vec![])),
    ] {
        assert_eq!(ids(&people, &tell(bound.clone())), Vec::<String>::new(), "{bound:?}");
    }
    let either = Bound::Any(vec![not(empty()), names(Table::Role, &["legal"])]);
    assert_eq!(ids(&people, &tell(either)), ["ada"]);
}

#[test]
fn nobody_is_told_when_whom_never_names_is_not_known() {
    let people = people(&[staff("ada", &["legal"])]);
    let never = Some(Bound::Empty("requester".into()));
    let audience = BoundAudience { never, ..tell(names(Table::Role, &["legal"])) };
    let resolved = people.resolve("north", &audience, &[]);
    assert!(resolved.is_empty());
    assert_eq!(resolved.nobody(), Some(&Nobody::PlaceholderEmpty("requester".into())));
}

#[test]
fn never_knows_people_by_every_name_the_directory_has_of_them_and_says_whom_it_does_not_know() {
    let ada = Person { known_as: vec!["a.lovelace@north.example".into()], ..staff("ada", &["legal"]) };
    let mut people = people(&[ada.clone(), staff("bob", &["legal"])]);
    let but = |id: &str| {
        let never = Some(names(Table::Person, &[id]));
        BoundAudience { never, ..tell(names(Table::Role, &["legal"])) }
    };
    for id in ["a.lovelace@north.example", "A.Lovelace@north.example", "NORTH\\a.lovelace"] {
        assert_eq!(ids(&people, &but(id)), ["bob"], "{id}");
        assert!(!people.belongs("north", &but(id), "ada"), "{id}");
        assert_eq!(people.strangers("north", &but(id)), Vec::<String>::new(), "{id}");
    }
    let elsewhere = but("a.lovelace@south.example");
    assert_eq!(ids(&people, &elsewhere), ["ada", "bob"]);
    assert_eq!(people.strangers("north", &elsewhere), ["a.lovelace@south.example"]);
    let asked = people.asked("north", &elsewhere, 9).audience;
    assert!(asked.ends_with("(nobody is called a.lovelace@south.example)"), "{asked}");
    // A name is not an address: nobody is told by it.
    assert_eq!(
        ids(&people, &tell(names(Table::Person, &["a.lovelace@north.example"]))),
        Vec::<String>::new()
    );
    people.apply(&Person { known_as: Vec::new(), ..ada });
    assert_eq!(people.strangers("north", &but("a.lovelace@north.example")).len(), 1);
}

#[test]
fn never_outlives_deputies_and_fallback() {
    let away = Person { absent: true, deputies: vec!["bob".into()], ..staff("ada", &["approver"]) };
    let people = people(&[away, staff("bob", &["spare"]), staff("cid", &["spare"])]);
    let never = Some(names(Table::Person, &["bob"]));
    let approvers = BoundAudience { never: never.clone(), ..tell(names(Table::Role, &["approver"])) };
    assert_eq!(ids(&people, &approvers), Vec::<String>::new());
    assert_eq!(people.resolve("north", &approvers, &[]).nobody(), Some(&Nobody::Nobody));
    let fallback = Some(names(Table::Role, &["spare"]));
    let spare = BoundAudience { tell: names(Table::Role, &["nobody's"]), fallback, never };
    assert_eq!(ids(&people, &spare), ["cid"]);
}

#[test]
fn deputies_stand_in_for_who_is_away_unless_they_are_away_too() {
    let away = |id: &str, deputy: &str| Person {
        absent: true,
        deputies: vec![deputy.into()],
        ..staff(id, &["approver"])
    };
    let gone = Person { active: false, ..staff("gus", &[]) };
    let people = people(&[away("ada", "bob"), staff("bob", &[]), away("cid", "gus"), gone]);
    assert_eq!(ids(&people, &tell(names(Table::Role, &["approver"]))), ["bob", "cid"]);
}

#[test]
fn a_deputy_told_earlier_still_belongs_when_the_person_is_back() {
    let mut ada = Person { absent: true, deputies: vec!["bob".into()], ..staff("ada", &["approver"]) };
    let mut people = people(&[ada.clone(), staff("bob", &[])]);
    let audience = tell(names(Table::Role, &["approver"]));
    assert!(people.holds("north", &audience, "bob"));
    ada.absent = false;
    people.apply(&ada);
    assert!(!people.holds("north", &audience, "bob"));
    assert!(people.belongs("north", &audience, "bob"));
}

#[test]
fn a_role_never_reaches_an_external_and_no_party_reaches_another() {
    let external = |id: &str, party: &str| Person { party: Some(party.into()), ..staff(id, &["buyer"]) };
    let people = people(&[staff("ada", &["buyer"]), external("eve", "acme"), external("gus", "globex")]);
    let buyers = || names(Table::Role, &["buyer"]);
    let acme = || names(Table::Party, &["acme"]);
    assert_eq!(ids(&people, &tell(buyers())), ["ada"]);
    assert_eq!(ids(&people, &tell(not(names(Table::Role, &["legal"])))), ["ada"]);
    assert_eq!(ids(&people, &tell(acme())), ["eve"]);
    assert_eq!(ids(&people, &tell(Bound::All(vec![buyers(), acme()]))), ["eve"]);
    assert_eq!(ids(&people, &tell(Bound::Any(vec![buyers(), not(acme())]))), ["ada"]);
    assert_eq!(ids(&people, &tell(names(Table::Person, &["gus"]))), ["gus"]);
}

#[test]
fn a_party_without_a_name_is_not_staff() {
    let nameless = Person { party: Some("  ".into()), ..staff("eve", &["buyer"]) };
    assert_eq!(ids(&people(&[nameless]), &tell(names(Table::Role, &["buyer"]))), Vec::<String>::new());
}

#[test]
fn somebody_who_left_is_not_told_but_their_manager_is() {
    let left = Person { active: false, manager: Some("bob".into()), ..staff("ada", &["legal"]) };
    let people = people(&[left, staff("bob", &[])]);
    let ada = || Box::new(names(Table::Person, &["ada"]));
    assert_eq!(ids(&people, &tell(Bound::SupervisorOf(ada()))), ["bob"]);
    assert_eq!(ids(&people, &tell(*ada())), Vec::<String>::new());
    let of_legal = Bound::SupervisorOf(Box::new(names(Table::Role, &["legal"])));
    assert_eq!(ids(&people, &tell(of_legal)), Vec::<String>::new());
}

#[test]
fn an_external_without_an_approved_channel_is_set_apart() {
    let external = |id: &str, channels: &[&str]| Person {
        party: Some("acme".into()),
        channels: channels.iter().map(|channel| (*channel).to_owned()).collect(),
        ..staff(id, &[])
    };
    let people = people(&[external("eve", &["mobile"]), external("fay", &["web"]), external("gus", &[])]);
    let acme = tell(names(Table::Party, &["acme"]));
    let split = |channels: &[&str]| {
        let channels: Vec<String> = channels.iter().map(|channel| (*channel).to_owned()).collect();
        let resolved = people.resolve("north", &acme, &channels);
        assert_eq!(resolved.nobody(), None);
        let show = |entry: &bugle::directory::Entry<'_>| entry.user_id().to_owned();
        (
            resolved.iter().map(show).collect::<Vec<_>>().join(" "),
            resolved.no_channel().map(show).collect::<Vec<_>>().join(" "),
        )
    };
    assert_eq!(split(&[]), ("eve fay".into(), "gus".into()));
    assert_eq!(split(&["mobile"]), ("eve".into(), "fay gus".into()));
    assert_eq!(split(&["portal"]), (String::new(), "eve fay gus".into()));
}

#[test]
fn names_are_trimmed_and_their_case_counts() {
    let people = people(&[staff(" ada ", &[" legal "]), staff("bob", &["Legal"])]);
    assert_eq!(ids(&people, &tell(names(Table::Role, &["legal "]))), ["ada"]);
}

#[test]
fn a_place_left_by_one_person_is_taken_by_the_next_without_what_they_held() {
    let mut people = people(&[staff("ada", &["legal"])]);
    people.remove("north", "ada");
    people.apply(&staff("bob", &[]));
    assert_eq!(ids(&people, &tell(names(Table::Role, &["legal"]))), Vec::<String>::new());
    assert_eq!(people.count(), 1);
    assert!(people.get("north", "ada").is_none());
}

#[test]
fn somebody_only_mentioned_is_nobody_until_their_entry_comes() {
    let mut people = people(&[Person { manager: Some("bob".into()), ..staff("ada", &[]) }]);
    let above = tell(Bound::SupervisorOf(Box::new(names(Table::Person, &["ada"]))));
    assert_eq!(ids(&people, &above), Vec::<String>::new());
    people.apply(&staff("bob", &[]));
    assert_eq!(ids(&people, &above), ["bob"]);
    people.remove("north", "bob");
    assert_eq!(ids(&people, &above), Vec::<String>::new());
}
