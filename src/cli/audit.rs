//! Audit: `bugle audit` says of a subject what was decided and what became of it, proves that nothing of that was
//! changed, and exports it.
//!
//! It reads the audit topic, the receipts and what waits for people as they are, and writes nothing to them.

mod export;

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::broker_args::BrokerArgs;
use super::directory::show::print_json;
use super::directory::{unprintable, unreachable};
use super::{Done, Failure};
use crate::app::chains::{Chains, Heads};
use crate::app::wiring;
use crate::broker::{Broker, Follow};
use crate::clock::Tick;
use crate::codec::outputs;
use crate::event::{Incoming, Topic, Verdict};
use crate::explain::{Matter, Memory, is_about};
use export::ExportArgs;

/// Show what was decided about a subject and what became of it; prove it; export it.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Examples:
  bugle audit verify --save-heads heads.json       the chains are whole; their heads, to be kept elsewhere
  bugle audit verify --heads heads.json            and none was cut off since
  bugle audit task_id=4711                         what became of a task: who was told, who answered, what of it
  bugle audit evt-1 --output json                  or of whatever an event is about
  bugle audit export --from 2026-01-01T00:00:00Z > audit.jsonl

Exit codes of `verify`: 0 every chain is whole, 1 it is not.")]
pub struct Args {
    /// What a subject is known by: its key, or parts of it such as `task_id=4711` or `4711`; or an event's id.
    #[arg(value_name = "SUBJECT|EVENT", required = true)]
    about: Option<String>,
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Only this tenant.
    #[arg(long, global = true)]
    tenant: Option<String>,
    #[command(flatten)]
    settings: BrokerArgs,
    /// How to print.
    #[arg(long, global = true, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Name every record that was changed, left out, put in or cut off.
    Verify(VerifyArgs),
    /// Print verdicts as JSON lines, with all that their records hold.
    Export(ExportArgs),
}

#[derive(Debug, clap::Args)]
struct VerifyArgs {
    /// Heads that an earlier `--save-heads` wrote: chains must still hold them.
    #[arg(long, value_name = "FILE")]
    heads: Option<PathBuf>,
    /// Write the newest record of each chain here; keep it where the cluster's administrators cannot write.
    #[arg(long, value_name = "FILE")]
    save_heads: Option<PathBuf>,
}

/// How a verb prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON object, for scripts.
    Json,
}

/// How long the topic may stand still before its end is reached.
const MOST_SILENCE: Duration = Duration::from_secs(30);

/// Runs the verb.
///
/// # Errors
/// When the cluster cannot be reached, or a file not be read or written.
pub fn run(args: &Args) -> Done {
    let config = args.settings.load()?;
    let kafka = wiring::kafka(&config)?;
    let out = &mut super::Paper;
    match &args.verb {
        None => chain(args, args.about.as_deref().unwrap_or_default(), kafka.as_ref(), out),
        Some(Verb::Verify(verify)) => self::verify(verify, args.output, kafka.as_ref(), out),
        Some(Verb::Export(export)) => self::export(*export, args.tenant.as_deref(), kafka.as_ref(), out),
    }
}

// === impl Args ===

impl Args {
    fn is_of(&self, tenant: &str) -> bool {
        self.tenant.as_ref().is_none_or(|wanted| wanted == tenant)
    }
}

fn export(args: ExportArgs, tenant: Option<&str>, broker: &dyn Broker, out: &mut dyn Write) -> Done {
    let mut unread = 0u64;
    each(broker, Topic::Audit, |record| match args.lines(&record, tenant) {
        Some(lines) => lines.iter().try_for_each(|line| writeln!(out, "{line}").map_err(unprintable)),
        None => {
            unread += 1;
            Ok(())
        }
    })?;
    if unread > 0 {
        let fact = format!("not exported: {unread} records that are none of Bugle's, or of a later version");
        return Err(Failure::failed(fact).hint("see `bugle audit verify`, which names them"));
    }
    Ok(0)
}

fn verify(args: &VerifyArgs, output: Output, broker: &dyn Broker, out: &mut dyn Write) -> Done {
    let mut chains =
        Chains::with_earlier(args.heads.as_deref().map(read_heads).transpose()?.unwrap_or_default());
    each(broker, Topic::Audit, |record| {
        chains.read(&record);
        Ok(())
    })?;
    each(broker, Topic::Receipts, |record| {
        chains.receipt(&record);
        Ok(())
    })?;
    let (breaks, heads, (records, verdicts)) = (chains.breaks(), chains.heads(), chains.counted());
    let (receipts, marks) = chains.receipts();
    if output == Output::Json {
        let report = json!({
            "whole": breaks.is_empty(), "chains": heads, "records": records, "verdicts": verdicts,
            "receipts": receipts, "marks": marks, "begins": chains.begins(), "breaks": breaks,
        });
        writeln!(out, "{report:#}").map_err(unprintable)?;
    } else {
        for broken in &breaks {
            writeln!(out, "{broken}").map_err(unprintable)?;
        }
        for (chain, seq) in chains.begins() {
            writeln!(out, "chain `{chain}` begins with record {seq}: what came before is kept no longer")
                .map_err(unprintable)?;
        }
        let state = if breaks.is_empty() {
            "every chain is whole".to_owned()
        } else {
            format!("breaks: {}", breaks.len())
        };
        let counted = format!("{} chains, {records} records, {verdicts} verdicts", heads.len());
        let marks = if marks > 0 {
            format!(" ({marks} of them later marks, which none names)")
        } else {
            String::new()
        };
        writeln!(out, "{counted}; {receipts} receipts{marks}: {state}").map_err(unprintable)?;
    }
    if let Some(file) = &args.save_heads {
        let text = format!("{:#}\n", json!(heads));
        std::fs::write(file, text)
            .map_err(|error| Failure::failed(format!("`{}` cannot be written: {error}", file.display())))?;
    }
    Ok(u8::from(!breaks.is_empty()))
}

fn read_heads(file: &Path) -> Result<Heads, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::failed(format!("`{}` cannot be read: {error}", file.display())))?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::failed(format!("`{}` holds no heads: {error}", file.display()))
            .hint("name a file that `bugle audit verify --save-heads` wrote")
    })
}

/// A subject by its key or parts of it, or those that an event is about.
fn chain(args: &Args, about: &str, broker: &dyn Broker, out: &mut dyn Write) -> Done {
    let mut matters = matters(args, broker, |verdict| {
        verdict.subject.as_ref().is_some_and(|subject| is_about(subject, about))
    })?;
    if matters.is_empty() {
        let mut subjects = BTreeSet::new();
        each(broker, Topic::Audit, |record| {
            let verdicts = Chains::default().read(&record).into_iter();
            let of_event =
                verdicts.filter(|verdict| verdict.event_id == about && args.is_of(&verdict.tenant));
            subjects.extend(of_event.filter_map(|verdict| verdict.subject));
            Ok(())
        })?;
        matters = self::matters(args, broker, |verdict| {
            verdict.subject.as_ref().is_some_and(|subject| subjects.contains(subject))
        })?;
    }
    if matters.is_empty() {
        return Err(Failure::failed(format!("nothing was decided about `{about}`")).hint(
            "give the id of a task, a workspace or an event, or a subject's key such as `acme|xecm|task_id=4711`",
        ));
    }
    match args.output {
        Output::Json => print_json(&json!({ "about": about, "matters": matters }), out),
        Output::Text => {
            let mut text = String::new();
            matters.iter().for_each(|matter| matter.lines().draw(&mut text));
            out.write_all(text.as_bytes())
        }
    }
    .map_err(unprintable)?;
    Ok(0)
}

/// The subjects of all verdicts that are wanted, with what the push service made of them.
fn matters(
    args: &Args,
    broker: &dyn Broker,
    wanted: impl Fn(&Verdict) -> bool,
) -> Result<Vec<Matter>, Failure> {
    let mut memory = Memory::default();
    each(broker, Topic::Audit, |record| {
        // What is none of Bugle's is the business of `verify`.
        let value = record.value.as_deref().unwrap_or_default();
        let Ok((link, verdicts)) = outputs::decode_verdicts(value) else { return Ok(()) };
        let wanted = verdicts.into_iter().filter(|verdict| wanted(verdict) && args.is_of(&verdict.tenant));
        wanted.for_each(|verdict| memory.verdict(link.topology, verdict));
        Ok(())
    })?;
    if memory.is_empty() {
        return Ok(Vec::new());
    }
    each(broker, Topic::Receipts, |record| {
        if let Ok(receipt) = outputs::decode_receipt(record.value.as_deref().unwrap_or_default()) {
            memory.receipt(&receipt);
        }
        Ok(())
    })?;
    each(broker, Topic::Waiting, |record| {
        memory.waits(record.key.as_deref().unwrap_or_default(), record.value.as_deref());
        Ok(())
    })?;
    Ok(memory.matters())
}

/// Reads a topic from its beginning to the end it has now.
pub(super) fn each(
    broker: &dyn Broker,
    topic: Topic,
    take: impl FnMut(Incoming) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut follow = broker.follow(topic).map_err(unreachable)?;
    each_of(follow.as_mut(), topic, take)
}

/// Reads what is left of a topic, to the end it has now.
pub(super) fn each_of(
    follow: &mut dyn Follow,
    topic: Topic,
    mut take: impl FnMut(Incoming) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let ends = follow.ends().map_err(unreachable)?;
    let read = |positions: &[i64]| positions.iter().sum::<i64>().unsigned_abs();
    let before = read(&follow.positions());
    let bar = progress(read(&ends).saturating_sub(before));
    let (mut records, mut last) = (Vec::new(), Tick::now());
    let at_end = |positions: &[i64]| ends.iter().zip(positions).all(|(end, next)| next >= end);
    while !at_end(&follow.positions()) {
        follow.poll(Duration::from_millis(100), &mut records).map_err(unreachable)?;
        if !records.is_empty() {
            last = Tick::now();
        } else if last.elapsed() > MOST_SILENCE {
            let message = format!("{topic} stands still before its end is read");
            return Err(Failure::failed(message).hint("see whether the cluster is well, and try again"));
        }
        records.drain(..).try_for_each(&mut take)?;
        bar.set_position(read(&follow.positions()).saturating_sub(before));
    }
    bar.finish_and_clear();
    Ok(())
}

fn progress(length: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("reading {bar:40} {percent} %, {eta} left");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
