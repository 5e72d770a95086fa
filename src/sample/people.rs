//! People: who works at the sample company, and the external parties beside them.

use crate::event::Person;
use crate::event::person::Location;

/// The role of the sample's crowd: one event can reach all of them.
pub const CROWD_ROLE: &str = "employee";

/// Country, region, locality, site.
const SITES: &[[&str; 4]] = &[
    ["Germany", "Hamburg", "Hamburg", "Hamburg Harbour"],
    ["Germany", "Bavaria", "Munich", "Munich Works"],
    ["France", "Auvergne-Rhône-Alpes", "Lyon", "Lyon Depot"],
    ["Canada", "Ontario", "Waterloo", "Waterloo Campus"],
];

/// User, name, roles, site, business unit, manager, locale, zone.
type Row = (&'static str, &'static str, &'static str, usize, &'static str, &'static str, &'static str);

const STAFF: &[Row] = &[
    ("mara.weber", "Mara Weber", "manager;approver", 0, "Operations/Harbour", "clara.stein", "de"),
    ("jonas.klein", "Jonas Klein", "approver;account-manager", 0, "Sales/EMEA", "clara.stein", "de"),
    ("lena.vogt", "Lena Vogt", "field-service", 0, "Operations/Harbour", "mara.weber", "de"),
    ("tom.berger", "Tom Berger", "field-service", 0, "Operations/Harbour", "mara.weber", "en"),
    ("paul.martin", "Paul Martin", "field-service", 2, "Operations/Depots", "mara.weber", "en"),
    ("ines.roth", "Ines Roth", "legal;manager", 1, "Legal", "clara.stein", "de"),
    ("ravi.patel", "Ravi Patel", "compliance;records-manager", 3, "Compliance", "clara.stein", "en"),
    ("sofia.rossi", "Sofia Rossi", "procurement", 1, "Procurement", "clara.stein", "en"),
    ("clara.stein", "Clara Stein", "executive", 1, "Board", "", "de"),
    ("noah.fischer", "Noah Fischer", "integration-lead", 3, "IT/Integration", "clara.stein", "en"),
    ("mia.lang", "Mia Lang", "qa", 3, "IT/Integration", "noah.fischer", "en"),
    ("ben.koch", "Ben Koch", "release-manager", 1, "IT/Integration", "noah.fischer", "de"),
    ("eva.lindt", "Eva Lindt", "support;on-call", 0, "IT/Operations", "noah.fischer", "de"),
    ("omar.haddad", "Omar Haddad", "administrator;security-lead", 3, "IT/Operations", "noah.fischer", "en"),
    ("yuki.tanaka", "Yuki Tanaka", "order-desk;partner-manager", 3, "Sales/Americas", "jonas.klein", "en"),
];

/// User, party, approved channels.
const EXTERNALS: &[(&str, &str, &[&str])] = &[
    ("nora@northwind.example", "northwind", &["mobile", "web", "customer-portal", "partner-portal"]),
    ("olaf@northwind.example", "northwind", &[]),
    ("carl@contoso.example", "contoso", &["mobile", "web", "customer-portal", "partner-portal"]),
];

/// The people of tenant `acme`, a crowd of `crowd` employees among them, and of tenant `globex`. Their
/// user ids differ, for the demo's inboxes know no tenants.
#[must_use]
pub fn people(crowd: usize) -> Vec<Person> {
    let staff = STAFF.iter().map(named);
    let crowd = (1..=crowd).map(|number| {
        let site = &SITES[number % SITES.len()];
        Person {
            roles: vec![CROWD_ROLE.to_owned()],
            location: location(site),
            business_unit: vec!["Operations".to_owned(), site[3].to_owned()],
            ..blank("acme", &format!("w{number:06}"))
        }
    });
    let externals = EXTERNALS.iter().map(|(user, party, channels)| Person {
        party: Some((*party).to_owned()),
        channels: channels.iter().map(|channel| (*channel).to_owned()).collect(),
        roles: vec!["customer".to_owned()],
        ..blank("acme", user)
    });
    let others = STAFF.iter().take(6).map(|row| Person {
        tenant: "globex".to_owned(),
        user_id: format!("{}@globex", row.0),
        ..named(row)
    });
    staff.chain(crowd).chain(externals).chain(others).collect()
}

fn named(row: &Row) -> Person {
    let (user, name, roles, site, unit, manager, locale) = *row;
    Person {
        display_name: Some(name.to_owned()),
        roles: roles.split(';').map(str::to_owned).collect(),
        location: location(&SITES[site]),
        business_unit: unit.split('/').map(str::to_owned).collect(),
        manager: (!manager.is_empty()).then(|| manager.to_owned()),
        locale: Some(locale.to_owned()),
        zone: Some(if site == 3 { "America/Toronto" } else { "Europe/Berlin" }.to_owned()),
        ..blank("acme", user)
    }
}

fn blank(tenant: &str, user: &str) -> Person {
    Person { tenant: tenant.to_owned(), user_id: user.to_owned(), active: true, ..Person::default() }
}

fn location(site: &[&str; 4]) -> Location {
    let [country, region, locality, site] = site.map(|name| Some(name.to_owned()));
    Location { site, locality, region, country }
}
