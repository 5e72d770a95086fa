//! Members: publishes to `opentext.members` who belongs to a workspace, process, app or record, as a file says it.
//!
//! A line names all members of one scope and role. What the file does not name stays as it is, and what is as it says
//! is not written again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;

use super::super::broker_args::Reach;
use super::super::offline::members_of;
use super::super::{Done, Failure};
use super::{members_present, unprintable, unreachable};
use crate::broker::Broker;
use crate::codec::Name;
use crate::codec::person::encode_members;
use crate::directory::key::members_key;
use crate::event::{Members, Outgoing, Topic};

const AFTER_HELP: &str = "\
members.jsonl has one object per line, with all members of one scope and role:
  {\"tenant\": \"acme\", \"scope_type\": \"workspace\", \"scope_id\": \"4711\", \"role\": \"reviewer\", \"user_ids\": [\"ada\"]}

  scope_type   workspace, process, app or record
  role         their role there; left out for plain members
  user_ids     none: the entry is removed

A rule names them by `member:workspace/4711/reviewer`, or those of all roles by `member:workspace/4711`.";

/// Arguments of `bugle directory members`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct MembersArgs {
    /// Members as JSON lines; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Show what would change, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// What the topic says otherwise than a file.
#[derive(Debug, Default)]
struct Change {
    records: Vec<Outgoing>,
    lines: Vec<String>,
    new: usize,
    changed: usize,
    removed: usize,
    same: usize,
}

/// Loads a file; prints what changed to `out`.
///
/// # Errors
/// A [`Failure`] before anything was written, or naming what kept it from being written.
pub fn run(args: &MembersArgs, broker: &dyn Broker, reach: &Reach<'_>, out: &mut dyn Write) -> Done {
    let wanted = members_of(&args.file)?;
    let id = reach.codec.id_for(Name::Members, reach.members);
    let id = id.map_err(|error| Failure::failed(&error).hint(error.hint()))?;
    let present = members_present(broker, reach)?.into_iter().map(|members| (members_key(&members), members));
    let (mut present, mut change): (BTreeMap<_, _>, _) = (present.collect(), Change::default());
    for members in wanted {
        change.note(id, present.get(&members_key(&members)), &members);
        present.insert(members_key(&members), members);
    }
    let Change { records, lines, new, changed, removed, same } = change;
    if args.dry_run {
        lines.iter().try_for_each(|line| writeln!(out, "{line}")).map_err(unprintable)?;
    } else if !records.is_empty() {
        broker.publish(records).map_err(unreachable)?;
    }
    writeln!(out, "{new} new, {changed} changed, {removed} removed, {same} as before")
        .map_err(unprintable)?;
    Ok(0)
}

// === impl Change ===

impl Change {
    /// What a line changes of what is there.
    fn note(&mut self, id: u32, before: Option<&Members>, after: &Members) {
        let ids = |members: &Members| members.user_ids.iter().cloned().collect::<BTreeSet<String>>();
        let (was, is) = (before.map(ids).unwrap_or_default(), ids(after));
        if was == is {
            self.same += 1;
            return;
        }
        let (sign, counted) = match (was.is_empty(), is.is_empty()) {
            (true, _) => ('+', &mut self.new),
            (_, true) => ('-', &mut self.removed),
            _ => ('~', &mut self.changed),
        };
        *counted += 1;
        let gained = is.difference(&was).map(|id| format!(" +{id}"));
        let lost = was.difference(&is).map(|id| format!(" -{id}"));
        let key = members_key(after);
        self.lines.push(format!("{sign} {key}:{}", gained.chain(lost).collect::<String>()));
        let value = (!is.is_empty()).then(|| encode_members(id, after).into());
        let (topic, key) = (Topic::Members, Some(key.into()));
        self.records.push(Outgoing { topic, partition: None, key, value, headers: Vec::new() });
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::stage::Stage;

    const FIRST: &str = r#"{"tenant": "north", "scope_type": "workspace", "scope_id": "7", "user_ids": ["ada", "ben"]}
{"tenant": "north", "scope_type": "record", "scope_id": "a|b", "role": "owner", "user_ids": ["cid"]}
"#;

    #[test]
    fn a_line_names_all_members_of_its_scope_and_only_what_differs_is_published() {
        let stage = Stage::new();
        assert_eq!(stage.members(FIRST, &[]), "2 new, 0 changed, 0 removed, 0 as before\n");
        assert_eq!(stage.written(), ["north|workspace|7|", "north|record|a|b|owner"]);
        assert_eq!(stage.members(FIRST, &[]), "0 new, 0 changed, 0 removed, 2 as before\n");
        let next = FIRST.replace("\"ada\", ", "").replace("[\"cid\"]", "[]");
        insta::assert_snapshot!(stage.members(&next, &["--dry-run"]), @r"
        ~ north|workspace|7|: -ada
        - north|record|a|b|owner: -cid
        0 new, 1 changed, 1 removed, 0 as before
        ");
        assert_eq!(stage.written().len(), 2);
        stage.members(&next, &[]);
        assert_eq!(stage.written()[2..], ["north|workspace|7|", "north|record|a|b|owner gone"]);
    }

    #[test]
    fn who_was_loaded_is_named_by_a_rule() {
        let stage = Stage::new();
        stage.load("user_id\nada\nben\ncid\n", &[]);
        stage.members(FIRST, &[]);
        let named = |term: &str| stage.ask(&[term, "--tenant", "north", "--output", "json"]);
        assert!(
            named("member:workspace/7").contains("\"ada\"")
                && named("member:workspace/7").contains("\"ben\"")
        );
        assert!(
            named("member:record/'a|b'/owner").contains("\"cid\""),
            "{}",
            named("member:record/'a|b'/owner")
        );
        assert!(!named("member:record/'a|b'/reviewer").contains("\"cid\""));
    }

    #[test]
    fn a_line_that_says_no_members_changes_nothing() {
        let stage = Stage::new();
        let said = stage.members(&FIRST.replace("\"workspace\"", "\"folder\""), &[]);
        insta::assert_snapshot!(said, @r"
        error: members.jsonl:1: `folder` has no members
        hint: write one of workspace, process, app, record
        ");
        assert_eq!(stage.written(), Vec::<String>::new());
    }
}
