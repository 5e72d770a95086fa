//! Audit: `bugle audit` proves, shows and exports what was decided.
//!
//! It reads the audit topic as it is and writes nothing to it.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use comfy_table::Table as Grid;
use comfy_table::presets::NOTHING;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value as Json, json};

use super::broker_args::BrokerArgs;
use super::directory::{unprintable, unreachable};
use super::{Done, Failure};
use crate::app::chains::{Chains, Heads};
use crate::app::wiring;
use crate::broker::{Broker, Follow};
use crate::clock::Tick;
use crate::event::{Ending, Incoming, Timestamp, Topic, Verdict};

/// Prove, show or export what was decided.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bugle audit verify --save-heads heads.json       the chains are whole; their heads, to be kept elsewhere
  bugle audit verify --heads heads.json            and none was cut off since
  bugle audit show 'acme|xecm|task_id=4711'        everything decided about a subject
  bugle audit show evt-1                           or about an event
  bugle audit export --from 2026-01-01T00:00:00Z > audit.jsonl

Exit codes of `verify`: 0 every chain is whole, 1 it is not.")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
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
    /// Show what was decided about a subject or an event, in the order of time.
    Show(ShowArgs),
    /// Print verdicts as JSON lines.
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

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// A subject's key, or a part of it, or an event's id.
    #[arg(value_name = "SUBJECT|EVENT")]
    about: String,
    /// Only this tenant.
    #[arg(long)]
    tenant: Option<String>,
}

#[derive(Debug, clap::Args)]
struct ExportArgs {
    /// Decided at this time or later.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Decided before this time.
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// Only this tenant.
    #[arg(long)]
    tenant: Option<String>,
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
    let out = &mut std::io::stdout().lock();
    match &args.verb {
        Verb::Verify(verify) => self::verify(verify, args.output, kafka.as_ref(), out),
        Verb::Show(show) => self::show(show, args.output, kafka.as_ref(), out),
        Verb::Export(export) => {
            each(kafka.as_ref(), Topic::Audit, |record| {
                let verdicts = Chains::default().read(&record).into_iter();
                let wanted = |verdict: &Verdict| {
                    export.from.is_none_or(|from| verdict.at >= from)
                        && export.to.is_none_or(|to| verdict.at < to)
                        && export.tenant.as_ref().is_none_or(|tenant| *tenant == verdict.tenant)
                };
                verdicts
                    .filter(wanted)
                    .try_for_each(|verdict| writeln!(out, "{}", as_json(&verdict)).map_err(unprintable))
            })?;
            Ok(0)
        }
    }
}

fn verify(args: &VerifyArgs, output: Output, broker: &dyn Broker, out: &mut dyn Write) -> Done {
    let mut chains =
        Chains::with_earlier(args.heads.as_deref().map(read_heads).transpose()?.unwrap_or_default());
    each(broker, Topic::Audit, |record| {
        chains.read(&record);
        Ok(())
    })?;
    let (breaks, heads, (records, verdicts)) = (chains.breaks(), chains.heads(), chains.counted());
    if output == Output::Json {
        let report = json!({
            "whole": breaks.is_empty(), "chains": heads, "records": records, "verdicts": verdicts,
            "begins": chains.begins(), "breaks": breaks,
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
        writeln!(out, "{} chains, {records} records, {verdicts} verdicts: {state}", heads.len())
            .map_err(unprintable)?;
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

fn show(args: &ShowArgs, output: Output, broker: &dyn Broker, out: &mut dyn Write) -> Done {
    let mut found = Vec::new();
    each(broker, Topic::Audit, |record| {
        let verdicts = Chains::default().read(&record).into_iter();
        found.extend(verdicts.filter(|verdict| {
            let about = verdict.event_id == args.about
                || verdict.subject.as_ref().is_some_and(|subject| subject.contains(&args.about));
            about && args.tenant.as_ref().is_none_or(|tenant| *tenant == verdict.tenant)
        }));
        Ok(())
    })?;
    if found.is_empty() {
        return Err(Failure::failed(format!("nothing was decided about `{}`", args.about))
            .hint("give an event's id, or a subject's key such as `acme|xecm|task_id=4711`"));
    }
    found.sort_by_key(|verdict| verdict.at);
    if output == Output::Json {
        let all: Vec<Json> = found.iter().map(as_json).collect();
        writeln!(out, "{:#}", json!({ "about": args.about, "verdicts": all })).map_err(unprintable)?;
        return Ok(0);
    }
    let mut grid = Grid::new();
    grid.load_style(NOTHING).set_header(["when", "event", "rule", "occasion", "ended", "people", ""]);
    for verdict in &found {
        let some = verdict.people.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        let more = verdict.people.len().saturating_sub(5);
        let named = if more > 0 { format!("{some} and {more} more") } else { some };
        grid.add_row([
            verdict.at.to_string(),
            verdict.event_id.clone(),
            verdict.rule.clone().unwrap_or_default(),
            verdict.occasion.map(|occasion| occasion.to_string()).unwrap_or_default(),
            ending(&verdict.ending),
            verdict.count.to_string(),
            named,
        ]);
    }
    writeln!(out, "{grid}").map_err(unprintable)?;
    Ok(0)
}

fn ending(ending: &Ending) -> String {
    match ending {
        Ending::Routed => "owed".to_owned(),
        Ending::Told => "told".to_owned(),
        Ending::Not(reason) => reason.to_string(),
        Ending::Answered(verb) => format!("answered: {verb}"),
        Ending::AnswerRefused(why) => format!("answer refused: {why}"),
        Ending::Carried(carried) => format!("carried: {}", carried.as_str()),
    }
}

fn as_json(verdict: &Verdict) -> Json {
    json!({
        "at": verdict.at.to_string(),
        "tenant": verdict.tenant,
        "event_id": verdict.event_id,
        "source": verdict.change.source.as_str(),
        "partition": verdict.change.partition,
        "offset": verdict.change.offset,
        "subject": verdict.subject,
        "rule": verdict.rule,
        "occasion": verdict.occasion.map(|occasion| occasion.to_string()),
        "ending": ending(&verdict.ending),
        "count": verdict.count,
        "people": verdict.people,
    })
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
