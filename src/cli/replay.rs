//! Replay: `bugle replay` plays recorded events through new rules and the old ones, and says who hears what else.
//!
//! It sends nothing and writes nothing. The lanes are those of `bugle run`; clock and push service are others, and
//! the directory is the one there is now.

mod recorded;
mod report;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::broker_args::{BrokerArgs, Reach};
use super::directory::show::print_json;
use super::directory::unprintable;
use super::explain::Output;
use super::offline::{self, Town, TownArgs};
use super::payload::Sight;
use super::registry_args::RegistryArgs;
use super::{Done, Failure};
use crate::codec::Codec;
use crate::event::Span;
use crate::explain::{Question, compare, script};
use crate::scenario::{Ground, Played, play_watched};
use recorded::{Recorded, Since};

const AFTER_HELP: &str = "\
Every event since then goes through both sets of rules from an empty memory, at the time it was read, and time goes on
for a while after the last one. A telling is the same when rule, person, subject and occasion are; then its time and its
words are compared.

Examples:
  bugle replay --from 24h --topology new --brokers localhost:9092     yesterday by new rules, beside topology/
  bugle replay --from 2026-01-05T00:00:00Z --topology new --against old --brokers localhost:9092
  bugle replay --events events.jsonl --people people.csv --topology new
  bugle replay --events events.jsonl --people people.csv --topology new --output json";

/// Arguments of `bugle replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The new rules.
    #[arg(long, value_name = "FOLDER")]
    pub topology: PathBuf,
    /// The rules to compare with.
    #[arg(long, value_name = "FOLDER", default_value = "topology")]
    pub against: PathBuf,
    /// Since when: so long ago, such as `24h`, or a time.
    #[arg(long, value_name = "SPAN|TIME", default_value = "24h", conflicts_with = "events")]
    pub from: Since,
    /// Events of this file (`-`: standard input) instead of the topics', each at the time it occurred.
    #[arg(long, value_name = "FILE", requires = "people")]
    pub events: Option<PathBuf>,
    /// Who is asked.
    #[command(flatten)]
    pub town: TownArgs,
    /// How much time passes after the last event.
    #[arg(long = "for", value_name = "SPAN", default_value = "3d")]
    pub rest: Span,
    /// Schemas that replace the built-in ones.
    #[arg(long, value_name = "FOLDER")]
    pub schemas: Option<PathBuf>,
    /// How many examples of each kind of change to show of a rule.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub examples: usize,
    /// Which registry to ask for the schema of events in Avro.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub(super) broker: BrokerArgs,
}

/// Plays both and prints on `out` what differs.
///
/// # Errors
/// A [`Failure`] when events, rules or people cannot be read.
pub fn run(args: &Args, reach: &Reach<'_>, out: &mut dyn Write) -> Done {
    let schemas = offline::schemas(args.schemas.as_deref())?;
    let new = offline::topology(&args.topology, &schemas)?;
    let old = offline::topology(&args.against, &schemas)?;
    let codec = Codec::new(schemas.into(), args.registry.open(|| args.broker.load())?);
    let recorded = match &args.events {
        Some(file) => {
            let sight = Sight { codec: &codec, topology: &new, topic: None };
            Recorded::of_file(offline::events(file, sight)?)
        }
        None => Recorded::since(args.from, &*(reach.open)(&args.broker)?, (reach.codec, [&new, &old]))?,
    };
    codec.adopt(reach.codec);
    if recorded.events.is_empty() {
        return Err(Failure::failed("there are no events to play")
            .hint("go back further with `--from`, such as `7d`"));
    }
    let town = Town::load(&args.town, None, &args.broker, reach)?;
    let question = Question {
        events: recorded.events,
        shown: Some(args.rest),
        clock: town.clock,
        tenants: town.tenants,
        people: town.people,
        members: town.members,
        person: None,
    };
    let scenario = script(&question, args.rest);
    let bar = progress(2 * scenario.steps.len() as u64);
    let played = |topology| -> Played {
        play_watched(&scenario, Ground { schemas: codec.schemas(), codec: &codec, topology }, &mut || {
            bar.inc(1);
        })
    };
    let (before, after) = (played(&old), played(&new));
    bar.finish_and_clear();
    let difference = compare(&before, &after, (question.events.len(), args.examples));
    let hashes = (old.short_hash(), new.short_hash());
    match args.output {
        Output::Text => {
            let heading = report::Heading { args, hashes, unreadable: recorded.unreadable };
            out.write_all(report::text(&difference, &heading).as_bytes())
        }
        Output::Json => {
            let mut all = json!(difference);
            all["against"] = format!("{:016x}", hashes.0).into();
            all["topology"] = format!("{:016x}", hashes.1).into();
            all["unreadable"] = recorded.unreadable.into();
            print_json(&all, out)
        }
    }
    .map_err(unprintable)?;
    Ok(0)
}

fn progress(length: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("playing {bar:40} {percent} %, {eta} left");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
