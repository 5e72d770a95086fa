//! Explain: `bugle explain` says of an event which rules wanted it, whom they told and why.
//!
//! It sends nothing. Of an event in a file the lanes of `bugle run` are asked, with another clock and push service;
//! of one that was read, by its id, the audit topic: whatever became of directory and rules since.

mod live;
mod tree;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::broker_args::{BrokerArgs, Reach};
use super::directory::show::print_json;
use super::directory::unprintable;
use super::offline::{self, Event, Town, TownArgs};
use super::payload;
use super::registry_args::RegistryArgs;
use super::{Done, Failure};
use crate::clock;
use crate::codec::{Codec, Schemas};
use crate::event::{Person, Source, Span, Timestamp};
use crate::explain::{Explanation, Question, explain};
use crate::scenario::Ground;
use crate::topology::fault::nearest;
use live::Asking;

const AFTER_HELP: &str = "\
For every rule that hears the event's kind: the tests of `match` and `if` with the values they met; for every rule
that wants it, whom it asked for, who was told by which term, and who was not: `never`, away, not active, one term
short, or a verdict such as `merged` or `no_channel`. Groups of more than 12 people are counted, not named. Time passes
until all that is due has been told, if nothing else happens: what waits for other news, a window or somebody's quiet
hours says when it comes, and reminders and steps have a line each.

Examples:
  bugle explain event.json --people people.csv                  by files alone
  bugle explain event.json --brokers localhost:9092             by the directory as it is now
  bugle explain webhook.json --people people.csv                a payload that a mapping takes
  bugle explain xecm.task.assigned --people people.csv          the example of a kind
  bugle explain event.json --people people.csv --person ben     why Ben did, or did not
  bugle explain event.json --people people.csv --for 0s         what is told at once, and what waits until when
  bugle explain event.json --people people.csv --for 3d         and what is told in three days, each with its people
  bugle explain event.json --people people.csv --output json
  bugle explain evt-1001 --brokers localhost:9092               what was decided, from the audit topic";

/// Arguments of `bugle explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A file of events, as `bugle publish` takes it (`-`: standard input); a kind, for its example; or the id of an
    /// event that was read, for what was decided then.
    #[arg(value_name = "FILE|KIND|ID")]
    pub event: String,
    /// The folder with the rules.
    #[arg(long, value_name = "FOLDER", default_value = "topology")]
    pub topology: PathBuf,
    /// Schemas that replace the built-in ones.
    #[arg(long, value_name = "FOLDER")]
    pub schemas: Option<PathBuf>,
    /// Who is asked.
    #[command(flatten)]
    pub town: TownArgs,
    /// When it happens; when each event says it occurred, when left out.
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,
    /// How much time passes after the last event, such as `3d`: what is told by then is shown whole, and what waits
    /// until when. Without it time passes until nothing is due any more, and what comes later has a line each.
    #[arg(long = "for", value_name = "SPAN")]
    pub rest: Option<Span>,
    /// Say of each rule where this person stands.
    #[arg(long, value_name = "USER")]
    pub person: Option<String>,
    /// Only this tenant's events; the example of a kind is one of theirs, and so are people whose lines name none.
    #[arg(long)]
    pub tenant: Option<String>,
    /// The source whose topic a payload came from that others shaped, where several mappings take it.
    #[arg(long, value_name = "SOURCE")]
    pub topic: Option<Source>,
    /// Which registry to ask for the schema of events in Avro.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub(super) broker: BrokerArgs,
}

/// How to print.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// A tree, for people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// Explains on `out`.
///
/// # Errors
/// A [`Failure`] when events, rules or people cannot be read.
pub fn run(args: &Args, reach: &Reach<'_>, out: &mut dyn Write) -> Done {
    let schemas = offline::schemas(args.schemas.as_deref())?;
    if !is_ahead(&args.event, &schemas) {
        let (event_id, tenant) = (args.event.as_str(), args.tenant.as_deref());
        let asking = Asking { event_id, tenant, person: args.person.as_deref(), output: args.output };
        let kinds = Source::ALL.into_iter().flat_map(|source| schemas.kinds(source));
        let near = Source::of_kind(event_id).and_then(|_| nearest(event_id, kinds));
        let told = (reach.open)(&args.broker).and_then(|broker| live::run(&asking, &*broker, out));
        return told.map_err(|failure| match near {
            Some(near) => failure.hint(format!("write `{near}`, if that kind is meant")),
            None => failure,
        });
    }
    let topology = offline::topology(&args.topology, &schemas)?;
    let codec = Codec::new(schemas.into(), args.registry.open(|| args.broker.load())?);
    let events = events(args, payload::Sight { codec: &codec, topology: &topology, topic: args.topic })?;
    let town = Town::load(&args.town, args.tenant.as_deref(), &args.broker, reach)?;
    let question = Question {
        events: events.into_iter().map(|event| (event.at, event.source, event.sent)).collect(),
        shown: args.rest,
        clock: town.clock,
        tenants: town.tenants,
        people: town.people,
        members: town.members,
        person: args.person.clone(),
    };
    let ground = Ground { schemas: codec.schemas(), codec: &codec, topology: &topology };
    let explanation = explain(&question, ground);
    match args.output {
        Output::Text => {
            let sight = tree::Sight::of(&question.people, args.rest.is_some());
            out.write_all(tree::text(&explanation, &sight).as_bytes())
        }
        Output::Json => print_json(&as_json(&explanation, &question.people), out),
    }
    .map_err(unprintable)?;
    Ok(0)
}

/// Whether it is asked of an event that need not have happened: a file, or a kind. All else is an id.
fn is_ahead(event: &str, schemas: &Schemas) -> bool {
    let is_file = event == "-" || Path::new(event).exists();
    is_file || event.ends_with(".json") || event.ends_with(".jsonl") || schemas.shape(event).is_some()
}

fn events(args: &Args, sight: payload::Sight<'_>) -> Result<Vec<Event>, Failure> {
    let (at, tenant) = (args.at.unwrap_or_else(clock::now), args.tenant.as_deref());
    let mut events = match offline::example_of(&args.event, sight.codec, (at, tenant)) {
        Some(event) => vec![event?],
        None => offline::events(Path::new(&args.event), sight)?,
    };
    if events.is_empty() {
        return Err(Failure::failed(format!("`{}` holds no event", args.event))
            .hint("`bugle schemas example KIND` prints one"));
    }
    if let Some(tenant) = tenant {
        let tenants: BTreeSet<String> = events.iter().map(|event| event.tenant.clone()).collect();
        events.retain(|event| event.tenant == tenant);
        if events.is_empty() {
            let tenants = tenants.into_iter().collect::<Vec<_>>().join("`, `");
            return Err(Failure::failed(format!("`{}` holds no event of tenant `{tenant}`", args.event))
                .hint(format!("its events are of `{tenants}`: name one of these, or leave `--tenant` out")));
        }
    }
    if let Some(at) = args.at {
        events.iter_mut().for_each(|event| event.at = at);
    }
    events.sort_by_key(|event| event.at);
    Ok(events)
}

fn as_json(explanation: &Explanation, people: &[Person]) -> Json {
    let mut all = json!(explanation);
    let rows: serde_json::Map<String, Json> = tree::named(explanation)
        .into_iter()
        .filter_map(|(tenant, id)| {
            let row = people.iter().find(|person| person.tenant == tenant && person.user_id == id)?;
            Some((id.to_owned(), json!(row)))
        })
        .collect();
    all["people"] = rows.into();
    all
}
