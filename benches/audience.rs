//! Audience: one expression over a million people, against plain hash sets doing the same.
//!
//! `role && (unit || unit) && !location`, about 2 000 people of 1 000 000. Also one person's re-test,
//! and one entry's change.

use std::collections::HashSet;
use std::hint::black_box;

use bugle::directory::People;
use bugle::event::Person;
use bugle::event::audience::{Bound, BoundAudience, Table};
use bugle::event::person::Location;
use criterion::{Criterion, criterion_group, criterion_main};

const PEOPLE: u32 = 1_000_000;

fn person(number: u32) -> Person {
    // Mixed, so that no table is a neat run of neighbours.
    let mixed = number.wrapping_mul(2_654_435_761) >> 8;
    let unit = mixed % 200;
    Person {
        tenant: "north".into(),
        user_id: format!("user{number:07}@Content Server Members"),
        active: true,
        roles: vec![format!("role-{}", mixed % 97), format!("role-{}", mixed % 53)],
        location: Location {
            country: Some(format!("country-{}", mixed % 20)),
            region: None,
            locality: Some(format!("town-{}", mixed % 400)),
            site: Some(format!("site-{}", mixed % 2_000)),
        },
        business_unit: vec![format!("division-{}", unit % 10), format!("unit-{unit}")],
        manager: (number > 0).then(|| format!("user{:07}@Content Server Members", number / 10)),
        locale: Some("de-CH".into()),
        zone: Some("Europe/Zurich".into()),
        ..Person::default()
    }
}

/// The same tables as sets of user ids.
struct Plain {
    role: HashSet<String>,
    units: [HashSet<String>; 2],
    location: HashSet<String>,
}

impl Plain {
    fn of(people: &[Person]) -> Self {
        let ids = |holds: &dyn Fn(&Person) -> bool| {
            people.iter().filter(|person| holds(person)).map(|person| person.user_id.clone()).collect()
        };
        Self {
            role: ids(&|person| person.roles.iter().any(|role| role == "role-7")),
            units: ["division-1", "unit-42"]
                .map(|unit| ids(&|person| person.business_unit.iter().any(|level| level == unit))),
            location: ids(&|person| person.location.country.as_deref() == Some("country-3")),
        }
    }

    fn resolve(&self) -> Vec<&str> {
        let wanted =
            |id: &&String| self.units.iter().any(|unit| unit.contains(*id)) && !self.location.contains(*id);
        let mut told: Vec<&str> = self.role.iter().filter(wanted).map(String::as_str).collect();
        told.sort_unstable();
        told
    }
}

fn audience() -> BoundAudience {
    let named = |table, name: &str| Bound::In(table, vec![name.to_owned()]);
    let units = ["division-1", "unit-42"].map(|unit| named(Table::Unit, unit)).to_vec();
    let tell = Bound::All(vec![
        named(Table::Role, "role-7"),
        Bound::Any(units),
        Bound::Not(Box::new(named(Table::Location, "country-3"))),
    ]);
    BoundAudience { tell, fallback: None, never: None }
}

fn benches(criterion: &mut Criterion) {
    let people: Vec<Person> = (0..PEOPLE).map(person).collect();
    let mut directory = People::new();
    people.iter().for_each(|person| directory.apply(person));
    let (plain, audience) = (Plain::of(&people), audience());
    let named: Vec<String> =
        directory.resolve("north", &audience, &[]).iter().map(|entry| entry.user_id().to_owned()).collect();
    assert_eq!(named, plain.resolve(), "both name the same people");
    let asked = &named[named.len() / 2];

    criterion.bench_function("audience/directory", |bench| {
        bench.iter(|| black_box(directory.resolve("north", black_box(&audience), &[]).len()));
    });
    criterion.bench_function("audience/plain hash sets", |bench| {
        bench.iter(|| black_box(black_box(&plain).resolve().len()));
    });
    criterion.bench_function("audience/does one person belong", |bench| {
        bench.iter(|| black_box(directory.belongs("north", black_box(&audience), asked)));
    });
    let mut moving = people[4_711].clone();
    let mut turn = 0_u32;
    criterion.bench_function("audience/one entry changes", |bench| {
        bench.iter(|| {
            turn = (turn + 1) % 2_000;
            moving.location.site = Some(format!("site-{turn}"));
            directory.apply(black_box(&moving));
        });
    });
}

criterion_group!(audiences, benches);
criterion_main!(audiences);
