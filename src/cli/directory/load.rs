//! Load: publishes to `opentext.directory` what a file of people changes, and nothing else.
//!
//! Gains go before losses, removals last. Nobody is removed unless asked for, and not many at once
//! without being asked twice.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::broker_args::Reach;
use super::super::{Done, Failure};
use super::{from_file, present, unprintable, unreachable};
use crate::broker::Broker;
use crate::clock::Tick;
use crate::codec::Name;
use crate::codec::person::encode;
use crate::directory::Difference;
use crate::directory::difference::ByKey;
use crate::directory::key::person_key;
use crate::event::{Outgoing, Person, Topic};

/// The part of the people known that may be removed without `--yes`.
const MOST_REMOVED: f64 = 0.1;
/// Records published in one go.
const CHUNK: usize = 1_000;

const AFTER_HELP: &str = "\
people.csv names its columns in the first line, in any order:
  tenant         whose directory; `--tenant` where it is left out
  user_id        unique in the tenant: jdoe@Content Server Members (must be there)
  active         true or false; true when empty
  display_name   for pages
  roles          names of groups and roles, with `;` between
  site, locality, region, country
                 where the person works, from the smallest to the largest
  business_unit  path from the top: EMEA/EMEA Sales
  manager        user id
  deputies       user ids, with `;` between
  absent         true or false; while true the deputies are told instead
  locale         BCP 47: de-CH
  zone           IANA: Europe/Zurich
  party          the external party; empty for staff
  channels       approved channels, with `;` between; an external without one is told nothing

people.jsonl has one object per line with the same names, `location` as
{\"site\", \"locality\", \"region\", \"country\"}, and lists where `;` divides a column.

Names count exactly as they stand, upper and lower case included.";

/// Arguments of `bugle directory load`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct LoadArgs {
    /// `people.csv` or `people.jsonl`.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The tenant of lines that name none.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Show what would change, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Remove people of the file's tenants whom the file does not name.
    #[arg(long)]
    pub remove_missing: bool,
    /// Remove them even when they are more than a tenth of all.
    #[arg(long, requires = "remove_missing")]
    pub yes: bool,
}

/// Loads a file; prints what changed to `out`.
///
/// # Errors
/// A [`Failure`] before anything was written, or naming how much was.
pub fn run(args: &LoadArgs, broker: &dyn Broker, reach: &Reach<'_>, out: &mut dyn Write) -> Done {
    let wanted = from_file(&args.file, args.tenant.as_deref())?;
    let present = present(broker, reach)?;
    let mut difference = Difference::between(&present.people, &wanted);
    if present.unreadable > 0 {
        let what = format!("{} records of {} cannot be read", present.unreadable, Topic::Directory);
        writeln!(out, "{what}; they are replaced only where the file names their person")
            .map_err(unprintable)?;
    }
    if args.dry_run {
        show(&difference, &present.people, args.remove_missing, out).map_err(unprintable)?;
    }
    summary(&difference, args.remove_missing, out).map_err(unprintable)?;
    if !args.remove_missing {
        difference.missing.clear();
    }
    if difference.missing_share() > MOST_REMOVED && !args.yes {
        let message = format!(
            "the file would remove {} people, {:.0} % of those known; nothing was written",
            difference.missing.len(),
            difference.missing_share() * 100.0
        );
        return Err(Failure::failed(message).hint("add `--yes` if the file is complete"));
    }
    if !args.dry_run {
        publish(&difference, broker, reach)?;
    }
    Ok(0)
}

fn publish(difference: &Difference, broker: &dyn Broker, reach: &Reach<'_>) -> Result<(), Failure> {
    let id = reach.codec.id_for(Name::Person, reach.directory);
    let id = id.map_err(|error| Failure::failed(&error).hint(error.hint()))?;
    let written = |people: &Vec<Person>| {
        let value = |person: &Person| Some(encode(id, person).into());
        people.iter().map(|person| record(&person.tenant, &person.user_id, value(person))).collect()
    };
    let mut steps: Vec<Vec<Outgoing>> =
        [&difference.gaining, &difference.between, &difference.losing].into_iter().map(written).collect();
    steps.push(difference.missing.iter().map(|(tenant, id)| record(tenant, id, None)).collect());
    let total: usize = steps.iter().map(Vec::len).sum();
    let mut progress = Progress::new(total);
    // Each chunk is safe before the next begins, so a step is safe before the next begins too.
    for chunk in steps.iter().flat_map(|step| step.chunks(CHUNK)) {
        broker.publish(chunk.to_vec()).map_err(|error| {
            unreachable(format!("{error}; {} of {total} records were written, run it again", progress.done))
        })?;
        progress.add(chunk.len());
    }
    progress.bar.finish_and_clear();
    Ok(())
}

fn record(tenant: &str, user_id: &str, value: Option<bytes::Bytes>) -> Outgoing {
    let key = Some(person_key(tenant, user_id).into());
    Outgoing { topic: Topic::Directory, partition: None, key, value, headers: Vec::new() }
}

/// A bar that shows itself after a second, on a terminal.
struct Progress {
    bar: ProgressBar,
    begun: Tick,
    done: usize,
}

// === impl Progress ===

impl Progress {
    fn new(total: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} people, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, begun: Tick::now(), done: 0 }
    }

    fn add(&mut self, count: usize) {
        self.done += count;
        self.bar.set_position(self.done as u64);
        if self.bar.is_hidden()
            && self.begun.elapsed() > Duration::from_secs(1)
            && std::io::stderr().is_terminal()
        {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

fn summary(difference: &Difference, removes: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let Difference { added, changed, same, missing, .. } = difference;
    write!(out, "{added} new, {changed} changed, {same} as before")?;
    match (missing.len(), removes) {
        (0, _) => writeln!(out),
        (count, true) => writeln!(out, ", {count} to remove"),
        (count, false) => writeln!(out, ", {count} not in the file stay (`--remove-missing` removes them)"),
    }
}

fn show(difference: &Difference, present: &ByKey, removes: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let mut people: Vec<&Person> = difference.gaining.iter().chain(&difference.losing).collect();
    people.sort_by_key(|person| (&person.tenant, &person.user_id));
    for person in people {
        let key = (person.tenant.clone(), person.user_id.clone());
        match present.get(&key) {
            None => writeln!(out, "+ {}/{}", person.tenant, person.user_id)?,
            Some(before) => {
                writeln!(out, "~ {}/{}: {}", person.tenant, person.user_id, changes(before, person))?;
            }
        }
    }
    for (tenant, user_id) in difference.missing.iter().filter(|_| removes) {
        writeln!(out, "- {tenant}/{user_id}")?;
    }
    Ok(())
}

/// What differs between two entries of one person: `roles +legal -buyer, site P1 → P2`.
fn changes(before: &Person, after: &Person) -> String {
    let mut changes = Vec::new();
    let lists = [
        ("roles", &before.roles, &after.roles),
        ("deputies", &before.deputies, &after.deputies),
        ("channels", &before.channels, &after.channels),
    ];
    for (name, before, after) in lists {
        let gained = after.iter().filter(|item| !before.contains(item)).map(|item| format!("+{item}"));
        let lost = before.iter().filter(|item| !after.contains(item)).map(|item| format!("-{item}"));
        let items: Vec<String> = gained.chain(lost).collect();
        if before != after {
            let items = if items.is_empty() { "in another order".to_owned() } else { items.join(" ") };
            changes.push(format!("{name} {items}"));
        }
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let pairs = [
        ("active", before.active.to_string(), after.active.to_string()),
        ("absent", before.absent.to_string(), after.absent.to_string()),
        ("display_name", text(&before.display_name), text(&after.display_name)),
        ("site", text(&before.location.site), text(&after.location.site)),
        ("locality", text(&before.location.locality), text(&after.location.locality)),
        ("region", text(&before.location.region), text(&after.location.region)),
        ("country", text(&before.location.country), text(&after.location.country)),
        ("business_unit", before.business_unit.join("/"), after.business_unit.join("/")),
        ("manager", text(&before.manager), text(&after.manager)),
        ("locale", text(&before.locale), text(&after.locale)),
        ("zone", text(&before.zone), text(&after.zone)),
        ("party", text(&before.party), text(&after.party)),
    ];
    let pairs = pairs.into_iter().filter(|(_, before, after)| before != after);
    changes.extend(pairs.map(|(name, before, after)| format!("{name} {before} → {after}")));
    changes.join(", ")
}

#[cfg(test)]
mod tests {
    use crate::cli::stage::Stage;

    const FIRST: &str = "user_id,roles,site\nada,legal;buyer,P1\nbob,legal,P1\ncid,,P2\n";

    #[test]
    fn only_the_differences_are_published() {
        let stage = Stage::new();
        assert_eq!(stage.load(FIRST, &[]), "3 new, 0 changed, 0 as before\n");
        assert_eq!(stage.written(), ["north|ada", "north|bob", "north|cid"]);
        assert_eq!(stage.load(FIRST, &[]), "0 new, 0 changed, 3 as before\n");
        let handed_over = "user_id,roles,site\nada,buyer,P1\nbob,legal,P1\ncid,legal,P2\n";
        assert_eq!(stage.load(handed_over, &[]), "0 new, 2 changed, 1 as before\n");
        assert_eq!(stage.written()[3..], ["north|cid", "north|ada"], "who gains comes first");
    }

    #[test]
    fn a_dry_run_shows_the_difference_and_writes_nothing() {
        let stage = Stage::new();
        stage.load(FIRST, &[]);
        let next = "user_id,roles,site\nada,legal;audit,P1\nbob,legal,P2\ndan,,P1\n";
        insta::assert_snapshot!(stage.load(next, &["--dry-run"]), @r"
        ~ north/ada: roles +audit -buyer
        ~ north/bob: site P1 → P2
        + north/dan
        1 new, 2 changed, 0 as before, 1 not in the file stay (`--remove-missing` removes them)
        ");
        insta::assert_snapshot!(stage.load(next, &["--dry-run", "--remove-missing", "--yes"]), @r"
        ~ north/ada: roles +audit -buyer
        ~ north/bob: site P1 → P2
        + north/dan
        - north/cid
        1 new, 2 changed, 0 as before, 1 to remove
        ");
        assert_eq!(stage.written().len(), 3);
    }

    #[test]
    fn people_are_removed_only_when_asked_for_and_not_many_at_once() {
        let stage = Stage::new();
        stage.load(FIRST, &[]);
        let two = "user_id,roles,site\nada,legal;buyer,P1\nbob,legal,P1\n";
        insta::assert_snapshot!(stage.load(two, &[]), @r"0 new, 0 changed, 2 as before, 1 not in the file stay (`--remove-missing` removes them)");
        insta::assert_snapshot!(stage.load(two, &["--remove-missing"]), @r"
        0 new, 0 changed, 2 as before, 1 to remove
        error: the file would remove 1 people, 33 % of those known; nothing was written
        hint: add `--yes` if the file is complete
        ");
        assert_eq!(stage.written().len(), 3);
        stage.load(two, &["--remove-missing", "--yes"]);
        assert_eq!(stage.written()[3..], ["north|cid gone"]);
    }

    #[test]
    fn a_file_with_a_fault_changes_nothing() {
        let stage = Stage::new();
        let text = stage.load("user_id,active\nada,true\nbob,perhaps\n", &[]);
        insta::assert_snapshot!(text, @r"
        error: 1 fault in the file of people
          people.csv:3: column `active` (2): `perhaps` is neither true nor false
            hint: write `true` or `false`
        hint: correct these lines; nothing was loaded
        ");
        assert_eq!(stage.written(), Vec::<String>::new());
    }
}
