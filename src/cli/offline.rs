//! Offline: events, rules and people from files, for the verbs that play them through the lanes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::Failure;
use super::broker_args::{BrokerArgs, Reach};
use super::directory::{from_file, members_present, present};
use super::payload::{self, Became, Sight};
use super::registry_args::UNKNOWN_SCHEMA;
use crate::app::config::Config;
use crate::codec::{Code, Codec, Name, Schemas, example, json};
use crate::directory::Zones;
use crate::directory::spelling::SCOPES;
use crate::event::frame::Format;
use crate::event::record::Sent;
use crate::event::{Change, Members, Person, Source, Timestamp};
use crate::flow::TenantDefaults;
use crate::scenario::Clock;
use crate::topology::{Kinds, NO_RULES, Topology};

/// Faulty lines shown.
const MOST_FAULTS: usize = 20;

/// People, who belongs to what, and what tenants have who say nothing.
#[derive(Debug)]
pub(super) struct Town {
    pub(super) people: Vec<Person>,
    pub(super) members: Vec<Members>,
    pub(super) tenants: Vec<(String, TenantDefaults)>,
    pub(super) clock: Clock,
}

/// The files of a town; the topics where none is named.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TownArgs {
    /// Ask this `people.csv` or `people.jsonl` instead of the topic.
    #[arg(long, value_name = "FILE")]
    pub people: Option<PathBuf>,
    /// Who belongs to workspaces, processes, apps and records: JSON lines as `opentext.members` has them.
    #[arg(long, value_name = "FILE", requires = "people")]
    pub members: Option<PathBuf>,
}

/// An event of a file: when it happened and to whom, and what lies in its topic.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) at: Timestamp,
    /// Empty where a mapping leaves it out.
    pub(super) tenant: String,
    pub(super) source: Source,
    pub(super) sent: Sent,
}

// === impl Town ===

impl Town {
    /// `tenant` stands in where a line of the file names none.
    pub(super) fn load(
        args: &TownArgs,
        tenant: Option<&str>,
        broker: &BrokerArgs,
        reach: &Reach<'_>,
    ) -> Result<Self, Failure> {
        let config = broker.load()?;
        let (people, members) = match &args.people {
            Some(file) => (from_file(file, tenant)?, args.members.as_deref().map(members_of).transpose()?),
            None => {
                let broker = (reach.open)(broker)?;
                let people = present(&*broker, reach)?.people.into_values().collect();
                (people, Some(members_present(&*broker, reach)?))
            }
        };
        let (tenants, zone) = tenants(&config, &people);
        let clock = Clock::of(&zone)
            .ok_or_else(|| Failure::configuration(format!("nobody knows the zone `{zone}`")))?;
        Ok(Self { people, members: members.unwrap_or_default(), tenants, clock })
    }

    /// The zones of people who name none that is known.
    pub(super) fn zones(&self) -> Zones {
        Zones::new(
            self.clock.zone(),
            self.tenants.iter().map(|(tenant, own)| (tenant.as_str(), own.zone.as_str())),
        )
    }
}

/// What the people of each tenant have who say nothing themselves, and the zone of all others.
fn tenants(config: &Config, people: &[Person]) -> (Vec<(String, TenantDefaults)>, String) {
    let settings = &config.tenants;
    let named =
        people.iter().map(|person| person.tenant.as_str()).chain(settings.each.keys().map(String::as_str));
    let each = named.collect::<BTreeSet<_>>().into_iter().map(|tenant| {
        let own = settings.each.get(tenant).cloned().unwrap_or_default();
        let locale = own.locale.unwrap_or_else(|| settings.locale.clone());
        let zone = own.zone.unwrap_or_else(|| settings.zone.clone());
        (tenant.to_owned(), TenantDefaults { locale, zone, places: own.places })
    });
    (each.collect(), settings.zone.clone())
}

pub(super) fn members_of(file: &Path) -> Result<Vec<Members>, Failure> {
    let text = payload::bytes_of(file)?;
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let one = |(line, number): (&str, usize)| {
        let members: Members = serde_json::from_str(line).map_err(|error| {
            Failure::failed(format!("{}:{number}: these are no members: {error}", file.display())).hint(
                "write lines such as {\"tenant\":\"acme\",\"scope_type\":\"workspace\",\"scope_id\":\"4711\",\
                 \"role\":\"\",\"user_ids\":[\"ada\"]}",
            )
        })?;
        let Members { scope_type, scope_id, tenant, .. } = &members;
        let failure = |what: String| Failure::failed(format!("{}:{number}: {what}", file.display()));
        if !SCOPES.contains(&scope_type.as_str()) {
            let hint = format!("write one of {}", SCOPES.join(", "));
            return Err(failure(format!("`{scope_type}` has no members")).hint(hint));
        }
        if tenant.trim().is_empty() || scope_id.trim().is_empty() {
            return Err(failure("members without a tenant or an id of what they belong to".to_owned())
                .hint("write `tenant` and `scope_id`"));
        }
        Ok(members)
    };
    lines.map(one).collect()
}

/// The schemas, with those of a folder instead of the built-in ones.
pub(super) fn schemas(folder: Option<&Path>) -> Result<Schemas, Failure> {
    folder.map_or_else(
        || Ok(Schemas::built_in()),
        |folder| Schemas::load(folder).map_err(Failure::configuration),
    )
}

/// The rules of a folder; their faults are one failure.
pub(super) fn topology(folder: &Path, schemas: &Schemas) -> Result<Topology, Failure> {
    let kinds = Kinds::new(Source::ALL.into_iter().flat_map(|source| schemas.shapes(source).to_vec()));
    let folder_name = folder.display();
    Topology::load(folder, &kinds).map_err(|faults| match faults.as_slice() {
        [none] if none.code == NO_RULES => {
            Failure::configuration(format!("`{folder_name}`: {}", none.message)).hint(none.hint.clone())
        }
        faults => {
            let first = faults.first().map(ToString::to_string).unwrap_or_default();
            let count =
                if faults.len() == 1 { "a fault".to_owned() } else { format!("{} faults", faults.len()) };
            Failure::configuration(format!("the rules in `{folder_name}` have {count}: {first}"))
                .hint(format!("run `bugle check {folder_name}`, which shows each fault in its place"))
        }
    })
}

/// The events of a file: those that are ours, and what mappings make of others' payloads.
pub(super) fn events(file: &Path, sight: Sight<'_>) -> Result<Vec<Event>, Failure> {
    let mut faults = Vec::new();
    let events = each_value(file, |value| event_of(value, sight), &mut faults)?;
    refused(faults).map_or(Ok(events), Err)
}

fn event_of(value: &[u8], sight: Sight<'_>) -> Result<Event, String> {
    let mut looked =
        sight.look(value, |change: &Change<'_>| (change.occurred_at(), change.tenant().to_owned()));
    let is_taken =
        |became: &Became<(Timestamp, String)>| matches!(became, Became::Change(..) | Became::Skipped(_));
    if looked.len() > 1 && looked.iter().all(|(.., became)| is_taken(became)) {
        let topics: Vec<&str> =
            looked.iter().flat_map(|(topics, ..)| topics).map(|topic| topic.as_str()).collect();
        return Err(format!("mappings of {} take it: name one with `--topic`", topics.join(" and ")));
    }
    let Some((topics, sent, became)) = looked.pop() else { return Err("it is no event".to_owned()) };
    let others = looked.into_iter().filter_map(|(.., became)| match became {
        Became::Refused(fault, _) => Some(fault.to_string()),
        _ => None,
    });
    let source = topics[0];
    match became {
        Became::Change(_, (at, tenant)) => Ok(Event { at, tenant, source, sent }),
        Became::Skipped(_) => Ok(Event { at: crate::clock::now(), tenant: String::new(), source, sent }),
        Became::Refused(fault, _) | Became::Unwritten(fault, _) => {
            Err(others.chain([fault.to_string()]).collect::<Vec<_>>().join("; "))
        }
    }
}

/// The example of a kind, of a tenant where one is named.
pub(super) fn example_of(
    kind: &str,
    codec: &Codec,
    (at, tenant): (Timestamp, Option<&str>),
) -> Option<Result<Event, Failure>> {
    let mut example = example::event(codec.schemas(), kind, at)?;
    if let Some(tenant) = tenant {
        example["tenant"] = tenant.into();
    }
    Some(event(codec, &example).map_err(Failure::failed))
}

fn event(codec: &Codec, json: &Json) -> Result<Event, String> {
    let written = json::to_avro(codec.schemas(), json).map_err(|fault| fault.to_string())?;
    let value = written.framed(Name::Events(written.source).local_id());
    let change =
        codec.decode(written.source, Format::Avro, &[], &value).map_err(|fault| fault.to_string())?;
    let (at, tenant) = (change.occurred_at(), change.tenant().to_owned());
    Ok(Event { at, tenant, source: written.source, sent: value.into() })
}

/// Every value of a file, or of standard input for `-`; what is wrong with some stands in `faults` with its line.
pub(super) fn each_value<T>(
    file: &Path,
    mut take: impl FnMut(&[u8]) -> Result<T, String>,
    faults: &mut Vec<String>,
) -> Result<Vec<T>, Failure> {
    let bytes = payload::bytes_of(file)?;
    let mut taken = Vec::new();
    for (line, value) in payload::values(&bytes) {
        match take(value) {
            Ok(value) => taken.push(value),
            Err(fault) => faults.push(format!("{}:{line}: {fault}", file.display())),
        }
    }
    Ok(taken)
}

/// The failure that faulty lines are, if there are any.
pub(super) fn refused(mut faults: Vec<String>) -> Option<Failure> {
    if faults.is_empty() {
        return None;
    }
    let is_unknown = faults.iter().all(|fault| fault.contains(Code::UnknownSchema.as_str()));
    let more = faults.len().saturating_sub(MOST_FAULTS);
    faults.truncate(MOST_FAULTS);
    let more = if more > 0 { format!("\nand {more} more") } else { String::new() };
    let failure =
        Failure::failed(format!("nothing was done, for these are no events\n{}{more}", faults.join("\n")));
    Some(failure.hint(match is_unknown {
        true => UNKNOWN_SCHEMA,
        false => {
            "`bugle schemas example KIND` prints an event that fits; for what others shaped add a mapping to topology/mappings"
        }
    }))
}
