//! Bench: `bugle bench` measures the whole way on a Kafka of your choice.

use std::io::IsTerminal;
use std::path::PathBuf;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use indicatif::{ProgressBar, ProgressStyle};

use super::broker_args::BrokerArgs;
use super::{Done, Failure, say};
use crate::app::bench::{Bench, BenchSettings, Figures, NoResult, Step};
use crate::app::config::Config;
use crate::event::Span;
use crate::telemetry::logs;

/// Arguments of `bugle bench`.
///
/// Publishes events of all four systems as Avro (one in twenty a copy of an earlier one), then runs the
/// lanes on them: dedupe, audience by role and location, batches of up to 500 to a push service stand-in
/// beside it. The pushes must be exactly those that the events ask for, and none may come twice.
///
///   bugle bench --brokers localhost:9092                       a backlog of a million events
///   bugle bench --brokers localhost:9092 --rate 1000 --events 40000    how long one takes
///   bugle bench --brokers localhost:9092 --events 10 --idle 30s        what it takes to wait
///   bugle bench --brokers localhost:9092 --compare 3                   what exactly once costs
///
/// Everything is in topics of its own; their names are printed, and they stay until you delete them.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    #[allow(missing_docs, reason = "a flattened group's doc comment would become help text")]
    pub settings: BrokerArgs,
    /// Events published, copies included.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub events: u64,
    /// How many people an event is for, on average.
    #[arg(long, value_name = "PEOPLE", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=37))]
    pub fan_out: u32,
    /// How many tenants the events are spread over, of 5 000 people each.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub tenants: u32,
    /// Publish so many events per second while the lanes run, instead of all beforehand.
    #[arg(long, value_name = "EVENTS", value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: Option<u64>,
    /// With a rate: how long it takes until durations count.
    #[arg(long, value_name = "SPAN", default_value = "10s", value_parser = span)]
    pub warm_up: Span,
    /// When all is done, look so long at what the lanes take while nothing comes.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub idle: Option<Span>,
    /// Run so often with transactions and as often without, in turn, and print both.
    #[arg(long, value_name = "ROUNDS", conflicts_with_all = ["rate", "idle"], value_parser = clap::value_parser!(u32).range(1..))]
    pub compare: Option<u32>,
    /// Requests to the push service under way at once.
    #[arg(long, value_name = "COUNT", default_value_t = 32)]
    pub in_flight: u32,
    /// How long the push service takes for an answer, as `bugle stand-in` has it.
    #[arg(long, value_name = "SPAN", default_value = "20ms")]
    pub latency: String,
    /// The broker's data folder, when it is on this machine: measures the bytes written to Kafka.
    #[arg(long, value_name = "FOLDER")]
    pub log_dirs: Option<PathBuf>,
    /// Load a cluster that is not on this machine.
    #[arg(long)]
    pub anywhere: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// How to print.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For scripts: one JSON object.
    Json,
}

/// The pushes were not those that must come.
const WRONG: u8 = 1;

/// Runs the bench.
///
/// # Errors
/// What keeps it from starting or from coming to an end.
pub fn run(args: &Args) -> Done {
    let mut config = args.settings.load()?;
    if !args.anywhere && !config.kafka.brokers.split(',').all(on_this_machine) {
        let fact = format!("a bench would load {}, which is not this machine", config.kafka.brokers);
        return Err(Failure { exit: 2, ..Failure::failed(fact).hint("say --anywhere if you mean it") });
    }
    logs::install(config.log.format, "warn")
        .map_err(|fault| Failure::configuration(&fault).hint(fault.hint()))?;
    config.push.in_flight = args.in_flight;
    match args.compare {
        Some(rounds) => compare(args, &config, rounds),
        None => once(args, config),
    }
}

fn once(args: &Args, config: Config) -> Done {
    let (figures, prefix) = measure(args, config, false)?;
    match args.output {
        Output::Json => say(serde_json::to_string(&figures).map_err(Failure::failed)?),
        Output::Table => {
            say(table(&figures));
            say(format_args!("topics: {prefix}*"));
        }
    }
    Ok(if figures.right { 0 } else { WRONG })
}

/// In turn, since a machine that grows slower would else be held against one of the two.
fn compare(args: &Args, config: &Config, rounds: u32) -> Done {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        with.push(measure(args, config.clone(), false)?.0);
        without.push(measure(args, config.clone(), true)?.0);
    }
    let both = Compared { exactly_once: with, at_least_once: without };
    match args.output {
        Output::Json => say(serde_json::to_string(&both).map_err(Failure::failed)?),
        Output::Table => say(both.table()),
    }
    Ok(if both.exactly_once.iter().chain(&both.at_least_once).all(|run| run.right) { 0 } else { WRONG })
}

fn measure(args: &Args, config: Config, at_least_once: bool) -> Result<(Figures, String), Failure> {
    let settings = BenchSettings {
        events: args.events,
        fan_out: args.fan_out,
        tenants: args.tenants,
        rate: args.rate,
        warm_up: args.warm_up.to_duration(),
        idle: args.idle.map(Span::to_duration),
        at_least_once,
        latency: args.latency.clone(),
        log_dirs: args.log_dirs.clone(),
    };
    let bar = progress(args.events);
    let bench = Bench::prepare(config, settings, |step| show(&bar, step))?;
    let prefix = bench.prefix.clone();
    let figures = bench.run(|step| show(&bar, step));
    bar.finish_and_clear();
    Ok((figures?, prefix))
}

/// Runs of both kinds.
#[derive(Debug, serde::Serialize)]
struct Compared {
    exactly_once: Vec<Figures>,
    at_least_once: Vec<Figures>,
}

// === impl Compared ===

impl Compared {
    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_header(["", "exactly once", "at least once", "ratio"]);
        let mut row = |name: &str, of: fn(&Figures) -> f64, digits: usize| {
            let (with, without) = (median(&self.exactly_once, of), median(&self.at_least_once, of));
            let ratio = format!("{:.2}", with / without);
            let [with, without] = [with, without].map(|figure| format!("{figure:.digits$}"));
            table.add_row([name.to_owned(), with, without, ratio]);
        };
        row("events/s", |run| run.events_per_second, 0);
        row("pushes/s", |run| run.pushes_per_second, 0);
        row("CPU s per million events", |run| run.cpu_seconds_per_million, 2);
        table
    }
}

fn median(runs: &[Figures], of: fn(&Figures) -> f64) -> f64 {
    let mut all: Vec<f64> = runs.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

fn span(written: &str) -> Result<Span, String> {
    written.parse().map_err(|_| format!("`{written}` is not a span such as 30s or 5m"))
}

pub(super) fn on_this_machine(server: &str) -> bool {
    let server = server.trim();
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn progress(length: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar, step: Step) {
    let (done, of, what) = match step {
        Step::Published(done) => (done, None, "events published"),
        Step::Accepted(done, of) => (done, Some(of), "pushes accepted"),
    };
    bar.set_message(what);
    of.into_iter().for_each(|of| bar.set_length(of));
    bar.set_position(done);
}

fn table(figures: &Figures) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    let Figures { events, copies, distinct, expected, repeated, .. } = figures;
    row("events", format!("{events}, {copies} of them copies"));
    row("pushes", format!("{distinct} of {expected}, {repeated} twice, in {} requests", figures.batches));
    row("result", if figures.right { "right" } else { "WRONG" }.to_owned());
    row("time", format!("{:.2} s, the first push after {:.2} s", figures.seconds, figures.first_seconds));
    row("events/s", format!("{:.0}", figures.events_per_second));
    row("pushes/s", format!("{:.0}", figures.pushes_per_second));
    row(
        "CPU",
        format!("{:.2} s, {:.2} s per million events", figures.cpu_seconds, figures.cpu_seconds_per_million),
    );
    let parts: Vec<String> =
        figures.cpu_by_part.iter().map(|(part, seconds)| format!("{part} {seconds:.2}")).collect();
    row("  of it", parts.join(", "));
    row("push service CPU", format!("{:.2} s", figures.push_service_cpu_seconds));
    row("memory", format!("{:.0} MiB at most", figures.peak_mebibytes));
    let commits: Vec<String> =
        figures.commits.iter().map(|(lane, commits)| format!("{lane} {commits}")).collect();
    row("transactions", commits.join(", "));
    let bytes = figures.kafka_bytes.zip(figures.kafka_bytes_per_recipient);
    row(
        "Kafka",
        bytes.map_or_else(
            || "not measured; give --log-dirs".to_owned(),
            |(all, each)| format!("{:.1} MB written, {each:.0} bytes per push", all as f64 / 1e6),
        ),
    );
    if let Some((half, most)) = figures.accepted_p50_ms.zip(figures.accepted_p99_ms) {
        row("event to accepted", format!("p50 {half} ms, p99 {most} ms (a batch's oldest event)"));
    }
    if let Some((half, most)) = figures.request_p50_ms.zip(figures.request_p99_ms) {
        row("  of it the push service", format!("p50 {half} ms, p99 {most} ms"));
    }
    if let Some(share) = figures.idle_share {
        row("idle", format!("{:.1} % of a core", share * 100.0));
    }
    table
}

// === impl Failure ===

impl From<NoResult> for Failure {
    fn from(fault: NoResult) -> Self {
        match fault {
            NoResult::Unready(unready) => unready.into(),
            stuck @ NoResult::Stuck { .. } => Self::failed(stuck)
                .hint("look at the warnings above; --set log.filter does not apply to a bench"),
            machine @ NoResult::Machine(..) => Self::failed(machine),
        }
    }
}
