//! Demo: `bugle demo` shows the whole way on one machine.

mod all;

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::bench::Output;
use super::broker_args::BrokerArgs;
use super::run::interrupted;
use super::{Done, Failure, say};
use crate::app::demo::{Demo, DemoSettings, Summary};
use crate::telemetry::logs;

/// Arguments of `bugle demo`.
///
/// A small company's day: events of all four OpenText systems are published as Avro, pass
/// deduplication, routing and fan-out, and leave in batches for a push service that runs beside it. It
/// then stays up with a slow stream of events; open the two pages it names.
///
///   bugle demo                                   in memory, no Kafka needed
///   bugle demo --headless                        run the day to its end, print one JSON object
///   bugle demo --headless --brokers localhost:9092    the same on a real cluster
///   bugle demo --headless --all --brokers localhost:9092
///
/// With --all the scenarios beside the rules are played instead, all at once, each among people of its own:
/// what the push service and the topics hold at the end is compared with what they expect. It exits 0 only
/// when all is as written. The clock is moved from one thing that happens to the next, so that days pass in a
/// minute.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    #[allow(missing_docs, reason = "a flattened group's doc comment would become help text")]
    pub settings: BrokerArgs,
    /// Run the sample to its end and print one JSON summary; exit 0 only when the books close.
    #[arg(long)]
    pub headless: bool,
    /// Play the scenarios of the rules with everything around the lanes.
    #[arg(long, requires = "headless")]
    pub all: bool,
    /// How to print what came of the scenarios.
    #[arg(long, value_enum, default_value_t, requires = "all")]
    pub output: Output,
    /// How many people one of the events is for.
    #[arg(long, value_name = "COUNT", default_value_t = 50_000)]
    pub crowd: usize,
    /// Where the inboxes are shown; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8089")]
    pub inboxes: SocketAddr,
}

/// What the demo is, and what it does not promise.
const EMBEDDED: &str = "embedded: the broker is in memory; nothing here outlives this process, \
                        and no second instance can share the work";
/// The books did not close.
const OPEN: u8 = 1;

/// Runs the demo.
///
/// # Errors
/// What keeps it from starting, and what to do about it.
pub fn run(args: &Args) -> Done {
    let mut config = args.settings.load()?;
    let mut inboxes = args.inboxes;
    if args.headless {
        // A script may run several at once.
        config.admin.listen.set_port(0);
        config.answers.listen.set_port(0);
        inboxes.set_port(0);
    }
    logs::install(config.log.format, if args.headless { "warn" } else { &config.log.filter })
        .map_err(|fault| Failure::configuration(&fault).hint(fault.hint()))?;
    let brokers = args.settings.brokers.clone();
    if brokers.is_none() && !args.headless {
        say(EMBEDDED);
    } else if brokers.is_none() {
        // Standard output is the summary's alone.
        let _ = writeln!(std::io::stderr(), "{EMBEDDED}");
    }
    if args.all {
        return all::run(config, brokers.as_deref(), args.output);
    }
    let demo = Demo::start(config, &DemoSettings { brokers, crowd: args.crowd, inboxes })?;
    let code = if args.headless { headless(demo)? } else { stay(demo)? };
    Ok(code)
}

fn headless(mut demo: Demo) -> Done {
    let bar = progress(0);
    demo.publish_story()?;
    let summary = run_out(&mut demo, &bar)?;
    demo.stop();
    let json = serde_json::to_string(&summary).map_err(Failure::failed)?;
    say(json);
    Ok(if summary.books.close() && summary.ledger_agrees { 0 } else { OPEN })
}

fn stay(mut demo: Demo) -> Done {
    say(format_args!("live page   {}", demo.page()));
    say(format_args!("inboxes     {}", demo.inboxes()));
    say(format_args!("systems     {}", demo.systems()));
    let bar = progress(0);
    demo.publish_story()?;
    let summary = run_out(&mut demo, &bar)?;
    say(told(&summary));
    demo.publish_scene()?;
    say("a slow stream of events follows; Ctrl-C ends it");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let mut number = 1_000_000;
    loop {
        let ended =
            runtime.block_on(async { tokio::time::timeout(Duration::from_millis(800), interrupted()).await });
        if ended.is_ok() {
            break;
        }
        demo.publish_one(number)?;
        demo.show()?;
        number += 1;
    }
    let summary = demo.look()?;
    demo.stop();
    say(told(&summary));
    Ok(0)
}

fn run_out(demo: &mut Demo, bar: &ProgressBar) -> Result<Summary, Failure> {
    let summary = demo.run_out(|books, published| {
        bar.set_length(published);
        bar.set_position(books.changes.read - books.changes.open.min(books.changes.read));
        bar.set_message(format!("{} told", books.tellings.told));
    })?;
    bar.finish_and_clear();
    Ok(summary)
}

fn progress(length: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} changes  {msg}");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn told(summary: &Summary) -> String {
    let (changes, tellings) = (&summary.books.changes, &summary.books.tellings);
    let suppressed: u64 = tellings.suppressed.values().sum();
    format!(
        "{} changes read: {} routed, {} duplicates, {} unmatched, {} dead letters\n\
         {} pushes owed: {} told, {} merged, {} held, {} suppressed, {} failed; {} people, {} batches, {:.1} s; books {}",
        changes.read,
        changes.routed,
        changes.duplicate,
        changes.unmatched,
        changes.refused,
        tellings.candidates,
        tellings.told,
        tellings.merged,
        tellings.held,
        suppressed,
        tellings.failed,
        summary.people_told,
        summary.batches,
        summary.seconds,
        if summary.books.close() { "closed" } else { "open" },
    )
}
