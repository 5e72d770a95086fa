//! Load: publishes to `opentext.directory` what a file of people changes, and nothing else.

use std::io::Write;
use std::path::PathBuf;

use super::super::Done;
use super::super::broker_args::Reach;
use super::change::{Terms, carry_out};
use super::{from_file, present};
use crate::broker::Broker;
use crate::directory::Difference;

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
  absent_from, absent_until
                 first and last day away, such as 2026-12-24, in the person's zone; or times, such as
                 2026-12-24T12:00:00Z; one alone is open on the other side
  locale         BCP 47: de-CH
  zone           IANA: Europe/Zurich
  party          the external party; empty for staff
  channels       approved channels, with `;` between; an external without one is told nothing
  device_zone    IANA: where the person's device is; goes before `zone`
  quiet_from, quiet_to
                 hours of the day, such as 22:00 and 07:00: what is not critical waits until they end
  muted          categories that are not wanted, with `;` between; `category/channel` for one channel
  known_as       other names that systems know the person by, such as a mail address, with `;` between: who asked for
                 something under one of them does not decide it

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
/// A [`Failure`](super::super::Failure) before anything was written, or naming how much was.
pub fn run(args: &LoadArgs, broker: &dyn Broker, reach: &Reach<'_>, out: &mut dyn Write) -> Done {
    let wanted = from_file(&args.file, args.tenant.as_deref())?;
    let present = present(broker, reach)?;
    let difference = Difference::between(&present.people, &wanted);
    let LoadArgs { dry_run, remove_missing: removes, yes, .. } = *args;
    let terms = Terms { origin: "the file", dry_run, removes, yes };
    carry_out(difference, (&present, terms), (broker, reach), out)?;
    Ok(0)
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
