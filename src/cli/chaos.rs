//! Chaos: `bugle chaos` ends and stops processes of its own on a Kafka of your choice, and judges what came of it.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use indicatif::{ProgressBar, ProgressStyle};

use super::bench::{Output, on_this_machine};
use super::broker_args::BrokerArgs;
use super::run::interrupted;
use super::{Done, Failure, say};
use crate::app::chaos::{Chaos, ChaosSettings, Ground, Outcome, Step};
use crate::telemetry::logs;

/// Arguments of `bugle chaos`.
///
/// Makes topics of its own, starts some `bugle run` on them and a push service beside them, publishes
/// events, and every ten seconds ends one process with kill -9. Now and then one stands still for longer
/// than its session, one is asked to end, or the push service is away, in doubt or slow. Then everything
/// is healed, and eight checks are made of what was told. Exit 0 only when all of them are clean. The
/// topics are removed afterwards, unless a check is not clean.
///
///   bugle chaos --brokers localhost:9092 --minutes 10
///
/// The same seed does the same harm to the same events; the moments are the machine's.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    #[allow(missing_docs, reason = "a flattened group's doc comment would become help text")]
    pub settings: BrokerArgs,
    /// How long faults go on.
    #[arg(long, value_name = "MINUTES", default_value_t = 10.0)]
    pub minutes: f64,
    /// How many processes share the work.
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=20))]
    pub instances: u8,
    /// Events published per second.
    #[arg(long, value_name = "EVENTS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: u64,
    /// Which events and faults.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Load a cluster that is not on this machine.
    #[arg(long)]
    pub anywhere: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// A check is not clean.
const WRONG: u8 = 1;

/// Runs the chaos.
///
/// # Errors
/// What keeps it from starting or from coming to an end.
pub fn run(args: &Args) -> Done {
    let lasting = Duration::try_from_secs_f64(args.minutes * 60.0)
        .map_err(|_| Failure { exit: 2, ..Failure::failed("--minutes takes a number such as 0.5") })?;
    let given = args.settings.load()?;
    if !args.anywhere && !given.kafka.brokers.split(',').all(on_this_machine) {
        let fact = format!("chaos would load {}, which is not this machine", given.kafka.brokers);
        return Err(Failure { exit: 2, ..Failure::failed(fact).hint("say --anywhere if you mean it") });
    }
    logs::install(given.log.format, "error,bugle::app=warn")
        .map_err(|fault| Failure::configuration(&fault).hint(fault.hint()))?;
    let ground = Ground::prepare()?;
    let mut with_ground = args.settings.clone();
    with_ground.set.extend(ground.settings());
    let config = with_ground.load()?;
    let settings = ChaosSettings {
        lasting,
        instances: usize::from(args.instances),
        rate: args.rate,
        seed: args.seed,
        arguments: arguments(&with_ground),
    };
    let stop = until_interrupted()?;
    let bar = progress(lasting);
    let chaos = Chaos::prepare(&config, ground, settings)?;
    let outcome = chaos.run(&stop, |step| show(&bar, step));
    bar.finish_and_clear();
    if stop.load(Ordering::Relaxed) {
        return Err(Failure::failed("interrupted; the topics are removed, and nothing was judged"));
    }
    let outcome = outcome?;
    match args.output {
        Output::Json => say(serde_json::to_string(&outcome).map_err(Failure::failed)?),
        Output::Table => print(&outcome),
    }
    Ok(if outcome.clean { 0 } else { WRONG })
}

/// What the processes are started with: the same settings.
fn arguments(settings: &BrokerArgs) -> Vec<String> {
    let mut arguments = Vec::new();
    if let Some(file) = &settings.config {
        arguments.extend(["--config".to_owned(), file.to_string_lossy().into_owned()]);
    }
    if let Some(brokers) = &settings.brokers {
        arguments.extend(["--brokers".to_owned(), brokers.clone()]);
    }
    arguments.extend(settings.set.iter().flat_map(|set| ["--set".to_owned(), set.clone()]));
    arguments
}

/// Says so as soon as somebody interrupts: the topics are removed then, too.
fn until_interrupted() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    std::thread::spawn(move || {
        // Without signals nobody can interrupt.
        if runtime.block_on(interrupted()).is_ok() {
            told.store(true, Ordering::Relaxed);
        }
    });
    Ok(stop)
}

fn progress(lasting: Duration) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} s {msg}");
    ProgressBar::new(lasting.as_secs()).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar, step: Step) {
    let Step { elapsed, kills, told: (told, owed) } = step;
    bar.set_position(elapsed.as_secs());
    bar.set_message(format!("{kills} kills, {told} of {owed} told"));
}

fn print(outcome: &Outcome) {
    let mut table = Table::new();
    table.load_style(NOTHING);
    for check in &outcome.checks {
        let verdict = if check.clean { "clean" } else { "WRONG" };
        table.add_row([check.id, check.what, &check.found, verdict]);
    }
    say(table);
    for check in outcome.checks.iter().filter(|check| !check.clean) {
        check.wrong.iter().for_each(|wrong| say(format_args!("{}: {wrong}", check.id)));
    }
    say(format_args!(
        "{} events, seed {}; {:.0} s from the last fault until all was told",
        outcome.events, outcome.seed, outcome.healed_in_seconds
    ));
    if !outcome.clean {
        say(format_args!("topics: {}* are kept", outcome.prefix));
    }
    outcome.logs.iter().for_each(|log| say(format_args!("log: {}", log.display())));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processes_get_the_settings_that_were_given() {
        let settings = BrokerArgs {
            brokers: Some("localhost:9092".to_owned()),
            config: Some("a.yaml".into()),
            set: vec!["push.in_flight=3".to_owned()],
        };
        assert_eq!(
            arguments(&settings),
            ["--config", "a.yaml", "--brokers", "localhost:9092", "--set", "push.in_flight=3"]
        );
    }
}
