//! Sync: publishes to `opentext.directory` what OTDS or a SCIM 2.0 service says of people, once or ever again.
//!
//! A source that fails half way changes nothing: people it had no time to name are not gone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use super::super::broker_args::Reach;
use super::super::run::interrupted;
use super::super::{Done, Failure};
use super::change::{Progress, Terms, carry_out};
use super::{Present, present, unprintable};
use crate::app::people;
use crate::broker::Broker;
use crate::directory::Difference;
use crate::directory::difference::ByKey;
use crate::event::{Person, Span};
use crate::source_systems::people::{Listing, NoListing, PeopleSource, kept};

/// The part of the active people that may become inactive without `--yes`.
const MOST_INACTIVE: usize = 10;
/// Fewer than so many may always become inactive.
const ALWAYS_INACTIVE: usize = 5;

const AFTER_HELP: &str = "\
The source stands in the section `directory:` of the settings; deploy/bugle.yaml shows all of it. Groups become
roles (with `role_prefix`, those that begin with it), town, region and country the location, the department
the business unit (`EMEA/EMEA Sales` is a path), and the manager the manager. What the source does not speak of
stays as the directory has it: deputies, absence, party, channels, site, zone.

A SCIM service that can say what was modified is asked for that alone between whole listings: with `--every` in any
case, and from run to run where `directory.memory` names a file. OTDS documents no such question.

  bugle directory sync --dry-run
  bugle directory sync --remove-missing --every 15m";

/// Arguments of `bugle directory sync`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct SyncArgs {
    /// Show what would change, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Remove people of the tenant (and partition) whom the source does not list.
    #[arg(long)]
    pub remove_missing: bool,
    /// Remove or make inactive even more than a tenth of all.
    #[arg(long)]
    pub yes: bool,
    /// Ask for everybody, also where only changes would be asked for.
    #[arg(long)]
    pub whole: bool,
    /// Keep on, at this distance, until interrupted: `15m`.
    #[arg(long, value_name = "SPAN")]
    pub every: Option<Span>,
}

/// Reads the source and publishes what differs; prints it to `out`.
///
/// # Errors
/// A [`Failure`] before anything was written, or naming how much was. With `--every` a failure is printed
/// and the next turn comes.
pub fn run(args: &SyncArgs, broker: &dyn Broker, reach: &Reach<'_>, out: &mut dyn Write) -> Done {
    let source = people::source(reach.people)?;
    let mut source = source.ok_or_else(|| {
        Failure::configuration("it is not said where people come from")
            .hint("set `directory.url` and `directory.tenant`; deploy/bugle.yaml shows the section")
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("the runtime cannot start: {error}")))?;
    let Some(every) = args.every else {
        if args.whole {
            source.forget();
        }
        let listing = runtime.block_on(listed(&mut source))?;
        turn(args, (&listing, &source), (broker, reach), out)?;
        return Ok(0);
    };
    // One for all turns: a signal that comes while one is published is heard after it.
    let mut stopped = Box::pin(interrupted());
    loop {
        if args.whole {
            source.forget();
        }
        let done = runtime.block_on(async {
            tokio::select! {
                biased;
                ended = &mut stopped => ended.map(|()| None).map_err(Failure::failed),
                listing = listed(&mut source) => listing.map(Some),
            }
        });
        let done = match done {
            Ok(None) => return Ok(0),
            Ok(Some(listing)) => turn(args, (&listing, &source), (broker, reach), out),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = done {
            writeln!(out, "{failure}").map_err(unprintable)?;
        }
        out.flush().map_err(unprintable)?;
        let waiting = async { tokio::time::timeout(every.to_duration(), &mut stopped).await.is_ok() };
        if runtime.block_on(waiting) {
            return Ok(0);
        }
    }
}

async fn listed(source: &mut PeopleSource) -> Result<Listing, Failure> {
    let mut progress = Progress::new("{spinner} {pos} people read, {elapsed}");
    let listing = source.list(&mut |people, total| progress.at(people, total)).await;
    progress.end();
    listing.map_err(|fault: NoListing| Failure::failed(&fault).hint(fault.hint()))
}

/// Compares what was listed with the directory, and publishes the difference.
fn turn(
    args: &SyncArgs,
    (listing, source): (&Listing, &PeopleSource),
    (broker, reach): (&dyn Broker, &Reach<'_>),
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let present = present(broker, reach)?;
    let wanted = wanted(listing, &present.people);
    let mut difference = Difference::between(&present.people, &wanted);
    if let Some(partition) = &reach.people.partition {
        let end = format!("@{partition}");
        difference.missing.retain(|(_, user_id)| user_id.ends_with(&end));
    }
    if let Some(since) = listing.since.filter(|_| args.every.is_none()) {
        let what = "who is gone shows in the next whole listing, with `--whole` now";
        writeln!(out, "asked for what was changed since {since}; {what}").map_err(unprintable)?;
    }
    if !listing.is_settled {
        difference.missing.clear();
        let what = "the list changed while it was read, each time: nobody counts as missing";
        writeln!(out, "{what}").map_err(unprintable)?;
    }
    if listing.unknown > 0 {
        let what = "groups and managers are named that the source does not list; they are left out";
        writeln!(out, "{} {what}", listing.unknown).map_err(unprintable)?;
    }
    let emptied = emptied(&present, &wanted, args.remove_missing.then_some(&difference.missing));
    if !emptied.is_empty() {
        let what = format!("held by nobody from now on: {}", emptied.join(", "));
        writeln!(out, "{what}").map_err(unprintable)?;
    }
    if args.every.is_some() && difference.is_empty() {
        return remember(source, args);
    }
    if !args.yes {
        refuse_many_inactive(&present, &wanted)?;
    }
    let SyncArgs { dry_run, remove_missing: removes, yes, .. } = *args;
    let terms = Terms { origin: "the source", dry_run, removes, yes };
    carry_out(difference, (&present, terms), (broker, reach), out)?;
    remember(source, args)
}

/// The next run begins where this one came to. A dry run came nowhere.
fn remember(source: &PeopleSource, args: &SyncArgs) -> Result<(), Failure> {
    if args.dry_run {
        return Ok(());
    }
    source.remember().map_err(|error| {
        Failure::failed(format!("what was read cannot be kept in `directory.memory`: {error}"))
            .hint("name a file in a folder that can be written to; the directory itself is up to date")
    })
}

/// The entries to be: what was listed, and of those known already what the source does not speak of.
fn wanted(listing: &Listing, present: &ByKey) -> Vec<Person> {
    let key = |person: &Person| (person.tenant.clone(), person.user_id.clone());
    let entry = |person: &Person| match present.get(&key(person)) {
        Some(before) => kept(person, before, &listing.spoken),
        None => person.clone(),
    };
    listing.people.iter().map(entry).collect()
}

/// The roles somebody active holds now and nobody active would hold then.
fn emptied(present: &Present, wanted: &[Person], missing: Option<&Vec<(String, String)>>) -> Vec<String> {
    let Some(tenant) = wanted.first().map(|person| person.tenant.as_str()) else { return Vec::new() };
    let mut then: BTreeMap<(&str, &str), &Person> = BTreeMap::new();
    for ((of, user_id), person) in present.people.iter().filter(|((of, _), _)| of == tenant) {
        if missing.is_none_or(|missing| !missing.contains(&(of.clone(), user_id.clone()))) {
            then.insert((of, user_id), person);
        }
    }
    then.extend(wanted.iter().map(|person| ((person.tenant.as_str(), person.user_id.as_str()), person)));
    let roles = |person: &&Person| person.active;
    let held: BTreeSet<&String> = then.into_values().filter(roles).flat_map(|person| &person.roles).collect();
    let now = present.people.values().filter(|person| person.tenant == tenant).filter(roles);
    let now: BTreeSet<&String> = now.flat_map(|person| &person.roles).collect();
    now.difference(&held).map(|role| (*role).clone()).collect()
}

/// A source that suddenly calls many people inactive is asked about like one that lacks them.
fn refuse_many_inactive(present: &Present, wanted: &[Person]) -> Result<(), Failure> {
    let before = |person: &Person| {
        let key = (person.tenant.clone(), person.user_id.clone());
        present.people.get(&key).is_some_and(|before| before.active)
    };
    let known: Vec<&Person> = wanted.iter().filter(|person| before(person)).collect();
    let ending = known.iter().filter(|person| !person.active).count();
    if ending > ALWAYS_INACTIVE && ending * MOST_INACTIVE > known.len() {
        let message = format!(
            "the source would make {ending} of {} active people inactive; nothing was written",
            known.len()
        );
        return Err(Failure::failed(message).hint("add `--yes` if that is meant"));
    }
    Ok(())
}
