//! Show: one person's entry, or everybody under a role, location or unit, now.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use comfy_table::Table as Grid;
use comfy_table::presets::NOTHING;
use serde_json::json;

use super::super::broker_args::{BrokerArgs, Reach};
use super::super::{Done, Failure};
use super::{people_of, unprintable};
use crate::directory::{People, zones};
use crate::event::Person;
use crate::event::audience::{Bound, Table};

/// How a verb prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For scripts: one JSON object.
    Json,
}

/// Arguments of `bugle directory show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// A user id; without one, and without an option, what the directory holds.
    #[arg(value_name = "USER")]
    pub user: Option<String>,
    /// Everybody active who holds this role.
    #[arg(long, conflicts_with = "user")]
    pub role: Option<String>,
    /// Everybody active in this location or under it: `DE`, or `DE/Bavaria`.
    #[arg(long, conflicts_with = "user")]
    pub location: Option<String>,
    /// Everybody active in this unit or under it: `EMEA`, or `EMEA/EMEA Sales`.
    #[arg(long, conflicts_with = "user")]
    pub unit: Option<String>,
    /// Only this tenant.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Look into this file instead of the topic.
    #[arg(long, value_name = "FILE")]
    pub people: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Shows people on `out`.
///
/// # Errors
/// A [`Failure`] when nobody is found, with what was probably meant.
pub fn run(args: &ShowArgs, broker: &BrokerArgs, reach: &Reach<'_>, out: &mut dyn Write) -> Done {
    let mut all = people_of(args.people.as_deref(), args.tenant.as_deref(), broker, reach)?;
    all.retain(|person| args.tenant.as_ref().is_none_or(|tenant| *tenant == person.tenant));
    let mut people = People::new();
    all.iter().for_each(|person| people.apply(person));
    let found: Vec<&Person> = match (&args.user, bound(args)) {
        (Some(user), _) => all.iter().filter(|person| person.user_id == *user).collect(),
        (None, Some(bound)) => under(&people, &all, &bound)?,
        (None, None) => return overview(&people, args.output, out),
    };
    if let (Some(user), true) = (&args.user, found.is_empty()) {
        return Err(Failure::failed(format!("the directory has no person `{user}`"))
            .hint("user ids count exactly: upper and lower case, and what follows the `@`"));
    }
    match (args.output, args.user.is_some()) {
        (Output::Json, _) => print_json(&json!({ "count": found.len(), "people": found }), out),
        (Output::Table, true) => found.iter().try_for_each(|person| write!(out, "{}", card(person))),
        (Output::Table, false) => writeln!(out, "{}", grid(&found)),
    }
    .map_err(unprintable)?;
    Ok(0)
}

/// One JSON document and a line end.
pub(in crate::cli) fn print_json(value: &serde_json::Value, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "{value:#}")
}

/// People as a table.
pub(in crate::cli) fn grid(people: &[&Person]) -> Grid {
    let mut grid = Grid::new();
    grid.load_style(NOTHING).set_header(["TENANT", "USER", "NAME", "ROLES", "LOCATION", "UNIT", "PARTY"]);
    for person in people {
        grid.add_row([
            person.tenant.clone(),
            person.user_id.clone(),
            person.display_name.clone().unwrap_or_default(),
            person.roles.join(", "),
            location(person),
            person.business_unit.join("/"),
            person.party.clone().unwrap_or_default(),
        ]);
    }
    grid
}

fn bound(args: &ShowArgs) -> Option<Bound> {
    let named = [(Table::Role, &args.role), (Table::Location, &args.location), (Table::Unit, &args.unit)];
    let terms = named.into_iter().filter_map(|(table, name)| Some(Bound::In(table, vec![name.clone()?])));
    let terms: Vec<Bound> = terms.collect();
    (!terms.is_empty()).then_some(Bound::All(terms))
}

/// Everybody active of all tenants under some names, externals included.
fn under<'p>(people: &People, all: &'p [Person], bound: &Bound) -> Result<Vec<&'p Person>, Failure> {
    let listed: BTreeSet<(&str, &str)> = people
        .tenants()
        .into_iter()
        .flat_map(|tenant| {
            people.listed(tenant, bound).into_iter().map(move |entry| (tenant, entry.user_id()))
        })
        .collect();
    let is_listed = |person: &&Person| listed.contains(&(person.tenant.as_str(), person.user_id.as_str()));
    let found: Vec<&Person> = all.iter().filter(is_listed).collect();
    if found.is_empty() {
        let unheard = people.tenants().iter().flat_map(|tenant| people.unheard(tenant, bound)).next();
        return Err(match unheard {
            Some(unheard) => {
                let failure = Failure::failed(&unheard);
                if let Some(hint) = unheard.hint() { failure.hint(hint) } else { failure }
            }
            None => Failure::failed("nobody active fits all of it"),
        });
    }
    Ok(found)
}

fn overview(people: &People, output: Output, out: &mut dyn Write) -> Done {
    let tables = [
        ("role", Table::Role),
        ("location", Table::Location),
        ("unit", Table::Unit),
        ("party", Table::Party),
    ];
    let mut grid = Grid::new();
    grid.load_style(NOTHING).set_header(["TENANT", "TABLE", "NAME", "ACTIVE PEOPLE"]);
    let mut rows = Vec::new();
    for tenant in people.tenants() {
        for (word, table) in tables {
            for (name, count) in people.names(tenant, table) {
                grid.add_row([tenant, word, name, &count.to_string()]);
                rows.push(json!({ "tenant": tenant, "table": word, "name": name, "people": count }));
            }
        }
    }
    match output {
        Output::Json => print_json(&json!({ "people": people.count(), "names": rows }), out),
        Output::Table => writeln!(out, "{grid}\n{} people", people.count()),
    }
    .map_err(unprintable)?;
    Ok(0)
}

fn location(person: &Person) -> String {
    let at = &person.location;
    let levels = [&at.country, &at.region, &at.locality, &at.site];
    levels.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("/")
}

fn quiet_hours(person: &Person) -> String {
    let hours = person.quiet_from.as_ref().zip(person.quiet_to.as_ref());
    hours.map(|(from, to)| format!("{from} to {to}")).unwrap_or_default()
}

fn absence(person: &Person) -> String {
    let told = ": the deputies are told";
    let from = person.absent_from.as_ref().map(|from| format!("from {from}"));
    let until = person.absent_until.as_ref().map(|until| format!("until {until}"));
    match (person.absent, from.into_iter().chain(until).collect::<Vec<_>>().join(" ")) {
        (true, _) => format!("yes{told}"),
        (false, dates) if dates.is_empty() => dates,
        (false, dates) => dates + told,
    }
}

/// One person, line by line; what is empty is left out.
fn card(person: &Person) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let lines = [
        ("tenant", person.tenant.clone()),
        ("user id", person.user_id.clone()),
        ("name", text(&person.display_name)),
        ("active", if person.active { "yes" } else { "no: is told nothing" }.to_owned()),
        ("absent", absence(person)),
        ("roles", person.roles.join(", ")),
        ("location", location(person)),
        ("unit", person.business_unit.join("/")),
        ("manager", text(&person.manager)),
        ("deputies", person.deputies.join(", ")),
        ("locale", text(&person.locale)),
        ("zone", zone(person.zone.as_deref())),
        ("party", text(&person.party)),
        ("channels", person.channels.join(", ")),
        ("device", zone(person.device_zone.as_deref())),
        ("quiet", quiet_hours(person)),
        ("muted", person.muted.join(", ")),
        ("known as", person.known_as.join(", ")),
    ];
    let lines = lines.into_iter().filter(|(_, value)| !value.is_empty());
    lines.map(|(name, value)| format!("{name:<9} {value}\n")).collect()
}

fn zone(name: Option<&str>) -> String {
    match name {
        Some(name) if !zones::is_zone(name) => format!("{name}: nobody knows it, and it does not count"),
        name => name.unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::stage::Stage;

    const PEOPLE: &str = "user_id,display_name,active,roles,site,country,business_unit,manager,party\n\
        ada,Ada L.,true,legal;buyer,P1,DE,EMEA/Sales,bob,\nbob,,true,legal,,FR,EMEA,,\n\
        cid,,false,legal,P1,DE,,,\neve,,true,buyer,,DE,,,acme\n";

    #[test]
    fn a_person_is_shown_line_by_line() {
        let stage = Stage::new();
        stage.load(PEOPLE, &[]);
        insta::assert_snapshot!(stage.show(&["ada"]), @r"
        tenant    north
        user id   ada
        name      Ada L.
        active    yes
        roles     legal, buyer
        location  DE/P1
        unit      EMEA/Sales
        manager   bob
        ");
        insta::assert_snapshot!(stage.show(&["Ada"]), @r"
        error: the directory has no person `Ada`
        hint: user ids count exactly: upper and lower case, and what follows the `@`
        ");
    }

    #[test]
    fn everybody_active_under_a_name_is_shown_externals_too() {
        let stage = Stage::new();
        stage.load(PEOPLE, &[]);
        insta::assert_snapshot!(stage.show(&["--location", "DE"]), @r"
        TENANT  USER  NAME    ROLES         LOCATION  UNIT        PARTY
        north   ada   Ada L.  legal, buyer  DE/P1     EMEA/Sales
        north   eve           buyer         DE                    acme
        ");
        insta::assert_snapshot!(stage.show(&["--role", "legl"]), @r"
        error: nobody holds role `legl`
        hint: write `legal`
        ");
        insta::assert_snapshot!(stage.show(&["--role", "buyer", "--unit", "EMEA", "--output", "json"]), @r#"
        {
          "count": 1,
          "people": [
            {
              "absent": false,
              "absent_from": null,
              "absent_until": null,
              "active": true,
              "business_unit": [
                "EMEA",
                "Sales"
              ],
              "channels": [],
              "deputies": [],
              "device_zone": null,
              "display_name": "Ada L.",
              "known_as": [],
              "locale": null,
              "location": {
                "country": "DE",
                "locality": null,
                "region": null,
                "site": "P1"
              },
              "manager": "bob",
              "muted": [],
              "party": null,
              "quiet_from": null,
              "quiet_to": null,
              "roles": [
                "legal",
                "buyer"
              ],
              "tenant": "north",
              "user_id": "ada",
              "zone": null
            }
          ]
        }
        "#);
    }

    #[test]
    fn without_a_question_the_directory_says_what_it_holds() {
        let stage = Stage::new();
        stage.load(PEOPLE, &[]);
        insta::assert_snapshot!(stage.show(&[]), @r"
         TENANT  TABLE     NAME        ACTIVE PEOPLE
         north   role      buyer       2
         north   role      legal       2
         north   location  DE          2
         north   location  DE/P1       1
         north   location  FR          1
         north   location  P1          1
         north   unit      EMEA        2
         north   unit      EMEA/Sales  1
         north   unit      Sales       1
         north   party     acme        1
        4 people
        ");
    }
}
