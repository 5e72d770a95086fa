//! Grow: `bugle topics grow` says what it will do, and does it while nobody runs.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{Output, failure};
use crate::app::grow::{CannotGrow, Done, Grow, Plan, wait_for_the_last};
use crate::broker::{Broker, TopicSpec};
use crate::cli::Failure;

/// What is printed.
#[derive(Debug, Serialize)]
struct Said<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    /// What was done; nothing in a dry run, and where something stands in the way.
    done: Option<Done>,
}

/// Grows the topics, unless it is to be only said what that would be; the exit code.
///
/// # Errors
/// When the cluster cannot be reached, or it had to end in the middle.
pub(super) fn run(
    broker: &dyn Broker,
    (specs, group): (&[TopicSpec], &str),
    (dry, output): (bool, Output),
    out: &mut dyn Write,
) -> Result<u8, Failure> {
    if !dry {
        // Who still takes part after that is in the plan.
        wait_for_the_last(broker, group).map_err(failure)?;
    }
    let grow = Grow::new(broker, specs, group);
    let plan = grow.plan().map_err(failure)?;
    let may = plan.faults.is_empty() && plan.first.is_empty();
    let mut said = Said { plan: &plan, done: None };
    if output == Output::Text {
        print_plan(&plan, out).map_err(Failure::failed)?;
    }
    if may && !dry && !plan.topics.is_empty() {
        let bar = bar(plan.records);
        let done = grow.carry_out(&plan, |records| bar.inc(records));
        bar.finish_and_clear();
        said.done = Some(done.map_err(broken_off)?);
    }
    match output {
        Output::Text => print_done(&said, dry, out),
        Output::Json => {
            serde_json::to_writer(&mut *out, &said).map_err(Into::into).and_then(|()| writeln!(out))
        }
    }
    .map_err(Failure::failed)?;
    Ok(u8::from(!may))
}

fn bar(records: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} records of memory  {per_sec}");
    ProgressBar::new(records).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn print_plan(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let width = plan.topics.iter().map(|growing| growing.name.len()).max().unwrap_or_default();
    for growing in &plan.topics {
        let (from, into) = (growing.has, growing.gets);
        writeln!(out, "{:width$}  {from:>4} -> {into:<4}  {}", growing.name, growing.what())?;
    }
    for fault in &plan.faults {
        writeln!(out, "error: {fault}")?;
    }
    for first in &plan.first {
        writeln!(out, "first: {first}")?;
    }
    Ok(())
}

fn print_done(said: &Said<'_>, dry: bool, out: &mut dyn Write) -> io::Result<()> {
    let Said { plan, done } = said;
    match done {
        Some(Done { ids, entries, moved }) => writeln!(
            out,
            "grown: {ids} ids copied, {moved} of {entries} entries moved; start the instances with as many \
             partitions in their settings"
        ),
        None if plan.topics.is_empty() && plan.faults.is_empty() => writeln!(out, "nothing to grow"),
        None if dry && plan.faults.is_empty() => {
            writeln!(
                out,
                "dry run: nothing was changed; {} records of memory would be gone over",
                plan.records
            )
        }
        None => Ok(()),
    }
}

fn broken_off(error: CannotGrow) -> Failure {
    match error {
        CannotGrow::Broker(error) => failure(error),
        other => Failure::failed(other),
    }
    .hint("no instance starts until it is done: run the same command again, it goes on")
}
