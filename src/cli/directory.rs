//! Directory: `bugle directory load` and `sync` fill `opentext.directory`, `members` the topic beside it, `show` looks
//! into them.

mod change;
pub mod load;
pub mod members;
pub mod show;
pub mod sync;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::broker_args::{BrokerArgs, Reach};
use super::{Done, Failure};
use crate::broker::Broker;
use crate::clock::Tick;
use crate::codec::Codec;
use crate::directory::difference::ByKey;
use crate::directory::key::read_person_key;
use crate::directory::{Decoded, LoadError, read_people};
use crate::event::{Incoming, Members, Person, Topic};

/// How long the topic may stand still before its end is reached.
const MOST_SILENCE: Duration = Duration::from_secs(30);
const MOST_FAULTS_SHOWN: usize = 50;

/// Arguments of `bugle directory`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    pub(super) broker: BrokerArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Publish what a file of people changes.
    Load(load::LoadArgs),
    /// Publish who belongs to workspaces, processes, apps and records, as a file says it.
    Members(members::MembersArgs),
    /// Publish what OTDS or a SCIM service says differently, once or ever again.
    Sync(sync::SyncArgs),
    /// Show a person, or who holds a role, works in a location or belongs to a unit.
    Show(show::ShowArgs),
}

/// The people of the topic.
#[derive(Debug, Default)]
pub(super) struct Present {
    pub(super) people: ByKey,
    /// Records that could not be read.
    pub(super) unreadable: usize,
}

/// Runs the verb; prints to `out`.
///
/// # Errors
/// A [`Failure`] that says what to do.
pub fn run(args: &Args, reach: &Reach<'_>, out: &mut dyn Write) -> Done {
    match &args.verb {
        Verb::Load(load) => {
            let broker = (reach.open)(&args.broker)?;
            load::run(load, &*broker, reach, out)
        }
        Verb::Members(members) => {
            let broker = (reach.open)(&args.broker)?;
            members::run(members, &*broker, reach, out)
        }
        Verb::Sync(sync) => {
            let broker = (reach.open)(&args.broker)?;
            sync::run(sync, &*broker, reach, out)
        }
        Verb::Show(show) => show::run(show, &args.broker, reach, out),
    }
}

/// The people of a file, or of the topic.
pub(super) fn people_of(
    file: Option<&Path>,
    tenant: Option<&str>,
    broker: &BrokerArgs,
    reach: &Reach<'_>,
) -> Result<Vec<Person>, Failure> {
    match file {
        Some(file) => from_file(file, tenant),
        None => Ok(present(&*(reach.open)(broker)?, reach)?.people.into_values().collect()),
    }
}

/// The people of a file; its faults are one failure.
pub(super) fn from_file(file: &Path, tenant: Option<&str>) -> Result<Vec<Person>, Failure> {
    read_people(file, tenant).map_err(|error| {
        let hint = error.hint();
        let failure = match &error {
            LoadError::Faults(faults) => {
                let mut lines = vec![error.to_string()];
                for fault in faults.iter().take(MOST_FAULTS_SHOWN) {
                    lines.push(format!("  {fault}"));
                    lines.extend(fault.hint.iter().map(|hint| format!("    hint: {hint}")));
                }
                let more = faults.len().saturating_sub(MOST_FAULTS_SHOWN);
                lines.extend((more > 0).then(|| format!("  … and {more} more")));
                Failure::failed(lines.join("\n"))
            }
            _ => Failure::failed(&error),
        };
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

/// Reads `opentext.directory` from its beginning to the end it has now.
pub(super) fn present(broker: &dyn Broker, reach: &Reach<'_>) -> Result<Present, Failure> {
    let mut follow = broker.follow(Topic::Directory).map_err(unreachable)?;
    let ends = follow.ends().map_err(unreachable)?;
    let (mut present, mut records, mut last) = (Present::default(), Vec::new(), Tick::now());
    let at_end = |positions: &[i64]| ends.iter().zip(positions).all(|(end, next)| next >= end);
    while !at_end(&follow.positions()) {
        follow.poll(Duration::from_millis(100), &mut records).map_err(unreachable)?;
        if !records.is_empty() {
            last = Tick::now();
        } else if last.elapsed() > MOST_SILENCE {
            let message = format!("{} stands still before its end is read", Topic::Directory);
            return Err(Failure::failed(message).hint("see whether the cluster is well, and try again"));
        }
        for record in records.drain(..) {
            let key = record.key.as_deref().and_then(read_person_key);
            let key = key.map(|(tenant, user_id)| (tenant.to_owned(), user_id.to_owned()));
            match (key, decoded(&record, reach.codec)?) {
                (Some(key), Decoded::Person(None)) => drop(present.people.remove(&key)),
                (Some(key), Decoded::Person(Some(person))) => drop(present.people.insert(key, *person)),
                _ => present.unreadable += 1,
            }
        }
    }
    Ok(present)
}

/// Reads `opentext.members` from its beginning to the end it has now.
pub(super) fn members_present(broker: &dyn Broker, reach: &Reach<'_>) -> Result<Vec<Members>, Failure> {
    let mut present = BTreeMap::new();
    super::audit::each(broker, Topic::Members, |record| {
        let key = record.key.clone();
        match decoded(&record, reach.codec)? {
            Decoded::Members(Some(members)) => drop(present.insert(key, members)),
            Decoded::Members(None) => drop(present.remove(&key)),
            _ => {}
        }
        Ok(())
    })?;
    Ok(present.into_values().collect())
}

/// Reads a record; asks the registry for its schema where needed.
fn decoded(record: &Incoming, codec: &Codec) -> Result<Decoded, Failure> {
    loop {
        match Decoded::read(codec, record) {
            Ok(decoded) => return Ok(decoded),
            Err(id) => {
                codec.fetch(id).map_err(|error| Failure::failed(&error).hint(error.hint()))?;
            }
        }
    }
}

pub(super) fn unreachable(error: impl std::fmt::Display) -> Failure {
    Failure::failed(error).hint("check `--brokers`, and run `bugle topics create` if the topic is missing")
}

/// A failure to print is the terminal's.
pub(super) fn unprintable(error: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("the output cannot be written: {error}"))
}
