//! Offline: events, rules and people from files, for the verbs that play them through the lanes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::Failure;
use super::broker_args::{BrokerArgs, Reach};
use super::directory::{from_file, members_present, present};
use crate::app::config::Config;
use crate::codec::{Code, Codec, Name, Schemas, Unreadable, example, json};
use crate::event::frame::Format;
use crate::event::record::Sent;
use crate::event::{Members, Person, Source, Timestamp};
use crate::flow::TenantDefaults;
use crate::scenario::Clock;
use crate::topology::{Arrival, Kinds, Topology};

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

/// When something happened, and whose it is.
type Occurrence = (Timestamp, String);

/// What events of files are read by.
#[derive(Clone, Copy)]
pub(super) struct Sight<'s> {
    pub(super) codec: &'s Codec,
    /// Whose mappings take what others shaped.
    pub(super) topology: &'s Topology,
    /// The topic such a payload came from; without it, any whose mappings take it.
    pub(super) topic: Option<Source>,
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
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::failed(format!("`{}` cannot be read: {error}", file.display())))?;
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let one = |(line, number): (&str, usize)| {
        serde_json::from_str(line).map_err(|error| {
            Failure::failed(format!("{}:{number}: these are no members: {error}", file.display())).hint(
                "write lines such as {\"tenant\":\"acme\",\"scope_type\":\"workspace\",\"scope_id\":\"4711\",\
                 \"role\":\"\",\"user_ids\":[\"ada\"]}",
            )
        })
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
    Topology::load(folder, &kinds).map_err(|faults| {
        let first = faults.first().map(ToString::to_string).unwrap_or_default();
        let fact =
            format!("the rules in `{}` have faults, {} of them: {first}", folder.display(), faults.len());
        Failure::configuration(fact).hint(format!("run `bugle check {}` to see them all", folder.display()))
    })
}

/// The events of a file of JSON, one after the other or a line each.
pub(super) fn events(file: &Path, sight: Sight<'_>) -> Result<Vec<Event>, Failure> {
    let is_ours = |json: &Json| {
        let kind = json.get("kind").and_then(Json::as_str);
        sight.topic.is_none() && kind.is_some_and(|kind| sight.codec.schemas().shape(kind).is_some())
    };
    let one = |json: &Json| match is_ours(json) {
        true => event(sight.codec, json),
        false => sight.payload(json).unwrap_or_else(|| event(sight.codec, json)),
    };
    let mut faults = Vec::new();
    let events = each_json(file, one, &mut faults)?;
    refused(faults).map_or(Ok(events), Err)
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

// === impl Sight ===

impl Sight<'_> {
    /// A payload that others shaped, as it lies in the topic whose mappings take it; `None`: none does.
    fn payload(self, json: &Json) -> Option<Result<Event, String>> {
        let sent = Sent::from(json.to_string().into_bytes());
        let mut taken: Vec<(Source, Result<Occurrence, String>)> = Vec::new();
        for source in self.topic.map_or(Source::ALL.to_vec(), |topic| vec![topic]) {
            let labels: (Format, &[(&str, &[u8])]) = (Format::Avro, &[]);
            match self.topology.take(self.codec, source, labels, &sent.value) {
                Ok(Arrival::Mapped(change, _) | Arrival::Native(change)) => {
                    taken.push((source, Ok((change.occurred_at(), change.tenant().to_owned()))));
                }
                Ok(Arrival::Skipped(_)) => taken.push((source, Ok((crate::clock::now(), String::new())))),
                Err(Unreadable::Refused(fault)) if self.topic.is_none() && is_elsewhere(fault.code) => {}
                Err(why) => taken.push((source, Err(why.to_string()))),
            }
        }
        let several = taken.len() > 1;
        let (source, read) = taken.pop()?;
        Some(match read {
            Ok(_) if several => {
                Err(format!("mappings of {source} and of others take it: name one with `--topic`"))
            }
            Ok((at, tenant)) => Ok(Event { at, tenant, source, sent }),
            Err(fault) => Err(fault),
        })
    }
}

/// Whether a fault says no more than that a payload is not this topic's.
fn is_elsewhere(code: Code) -> bool {
    matches!(code, Code::Unmapped | Code::BadMagic)
}

/// Every JSON value of a file, or of standard input for `-`; what is wrong with some stands in `faults` with its
/// line.
pub(super) fn each_json<T>(
    file: &Path,
    mut take: impl FnMut(&Json) -> Result<T, String>,
    faults: &mut Vec<String>,
) -> Result<Vec<T>, Failure> {
    let text = text(file)?;
    let mut events = serde_json::Deserializer::from_str(&text).into_iter::<Json>();
    let (mut line, mut counted, mut taken) = (1, 0, Vec::new());
    loop {
        let start = text.len() - text[events.byte_offset()..].trim_start().len();
        line += text[counted..start].bytes().filter(|byte| *byte == b'\n').count();
        counted = start;
        let Some(parsed) = events.next() else { return Ok(taken) };
        let parsed = parsed.map_err(|error| error.to_string());
        let broken = parsed.is_err();
        match parsed.and_then(|json| take(&json)) {
            Ok(value) => taken.push(value),
            Err(fault) => faults.push(format!("{}:{line}: {fault}", file.display())),
        }
        if broken {
            return Ok(taken);
        }
    }
}

/// The failure that faulty lines are, if there are any.
pub(super) fn refused(mut faults: Vec<String>) -> Option<Failure> {
    if faults.is_empty() {
        return None;
    }
    let more = faults.len().saturating_sub(MOST_FAULTS);
    faults.truncate(MOST_FAULTS);
    let more = if more > 0 { format!("\nand {more} more") } else { String::new() };
    let failure =
        Failure::failed(format!("nothing was done, for these are no events\n{}{more}", faults.join("\n")));
    Some(failure.hint("`bugle schemas example KIND` prints an event that fits"))
}

fn text(file: &Path) -> Result<String, Failure> {
    let read = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    read.map_err(|error| {
        Failure::failed(format!("`{}`: {error}", file.display()))
            .hint("name a file of events as JSON; `bugle schemas example KIND` prints one")
    })
}
