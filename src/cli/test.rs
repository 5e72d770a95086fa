//! Test: `bugle test` plays the scenarios of a topology and shows what came out otherwise than written.
//!
//! It needs no Kafka and no clock: the lanes are those of `bugle run`, the hours are virtual.

mod books;
mod junit;
pub(in crate::cli) mod report;
mod watch;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Done, Failure};
use crate::clock::{self, Tick};
use crate::codec::{Codec, Schemas};
use crate::event::Source;
use crate::scenario::{Coverage, Finding, Ground, Scenario, compare, load, play};
use crate::topology::{Fault, Kinds, Paint, Topology};
use watch::Seen;

const AFTER_HELP: &str = "\
A scenario says who is there, what happens when, and who is told what. Whoever is not named hears nothing:
a push that no step expects fails the scenario, and so does a book that does not close at the end: every telling owed
was told, waits, or has one reason why not.

  use_case: EC-3
  scenarios:
    - name: an overdue task reaches its assignee, then the supervisor
      start: 2026-01-05 10:00
      zone: Europe/Berlin
      steps:
        - event: xecm.task.assigned
          with: { severity: high, due_at: +6h, assignees: [jonas.klein] }
          told: [{ rule: ec-1-review, to: jonas.klein, text: 'Zu prüfen' }]
        - at: 16:00
          told: [{ rule: ec-3-sla, to: jonas.klein, priority: high }]
        - after: 1h
          answer: approve
          by: jonas.klein

A step has a time (`at: 16:00`, `at: 2026-01-06 09:00`, `after: 4h`), something that happens (`event` with
`with`, `times`, `every`; `answer` with `by`, `token_of`, `of`, `push`, `refused`; `directory`; `members`;
`push_service`, `source_system`, `silence`, `topology`) and what is expected (`told`, `not_told`, `verdicts`, `write_back`,
`dead_letters`). `told: []` says that nobody is told anything; what would hold whatever the rules do is a fault, such as
a step of which nothing is expected. `until` lets what is told later belong to it. `topology` puts other rules in force: a folder or file
beside the scenarios, or what is otherwise in those before (`null` takes a field, or a rule, away):

      - after: 2h
        topology: { rules: { ec-3-sla: { priority: low, until: null } }, messages: { task-done: { en: { body: x } } } }

Examples:
  bugle test                              the scenarios in topology/scenarios/
  bugle test --filter ec-3                those whose file, use case or name holds `ec-3`
  bugle test --watch --filter ec-3        again after every change of a file
  bugle test --junit target/bugle.xml --min-coverage 90
  bugle check --print-schema scenarios    for an editor: completion and help in scenarios

Exit codes: 0 all as written, 1 not so, 78 rules or scenarios that cannot be read.";

/// Arguments of `bugle test`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The folder with the rules; its scenarios lie in FOLDER/scenarios.
    #[arg(value_name = "FOLDER", default_value = "topology")]
    pub folder: PathBuf,
    /// The folder with the scenarios, when they lie elsewhere.
    #[arg(long, value_name = "FOLDER")]
    pub scenarios: Option<PathBuf>,
    /// Schemas that replace the built-in ones.
    #[arg(long, value_name = "FOLDER")]
    pub schemas: Option<PathBuf>,
    /// Only scenarios whose file, use case or name holds this text.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Write the result as JUnit XML, too.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Fail when fewer of the rules' branches are reached, in percent.
    #[arg(long, value_name = "PERCENT", conflicts_with = "filter", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub min_coverage: Option<u8>,
    /// Run again whenever a file of the folders changes, comes or goes, until interrupted.
    #[arg(long)]
    pub watch: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// Exit code for files that are wrong.
const FAULTY: u8 = 78;
/// How often a watched folder is looked at.
const LOOK: Duration = Duration::from_millis(300);
/// After this, progress is shown.
const PATIENCE: Duration = Duration::from_secs(1);

/// One scenario that was played.
#[derive(Debug)]
pub struct Outcome {
    /// The scenario.
    pub scenario: Scenario,
    /// What came out otherwise; nothing: all as written.
    pub findings: Vec<Finding>,
    /// How long it took.
    pub took: Duration,
}

/// All that were played.
#[derive(Debug)]
pub struct Run {
    /// In the order of the files.
    pub outcomes: Vec<Outcome>,
    /// What they reached; `None` where only some were played.
    pub coverage: Option<Coverage>,
    /// How long all of it took.
    pub took: Duration,
}

/// Plays and prints; 0 when all is as written.
///
/// # Errors
/// Something cannot be read or written.
pub fn run(args: &Args) -> Done {
    if !args.watch {
        return once(args);
    }
    // Schemas and scenarios may lie elsewhere.
    let elsewhere = args.scenarios.iter().chain(&args.schemas);
    let folders: Vec<&Path> = std::iter::once(&args.folder).chain(elsewhere).map(PathBuf::as_path).collect();
    let look = || Seen::below(&folders, args.junit.as_deref());
    loop {
        let seen = look();
        if let Err(failure) = once(args) {
            super::say(failure);
        }
        super::say(format_args!("\nwatching {}; Ctrl-C ends it", args.folder.display()));
        while look() == seen {
            clock::sleep(LOOK);
        }
    }
}

fn once(args: &Args) -> Done {
    let is_plain = !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some();
    let (text, code) = report(args, if is_plain { Paint::Plain } else { Paint::Colour })?;
    super::print(&text)?;
    Ok(code)
}

/// What is printed, and the exit code.
///
/// # Errors
/// The schemas cannot be read, or the JUnit file cannot be written.
pub fn report(args: &Args, paint: Paint) -> Result<(String, u8), Failure> {
    let played = all(args);
    if let Some(file) = &args.junit {
        let xml = match &played {
            Ok(Ok(run)) => junit::xml(run),
            Ok(Err(faults)) => junit::faults(faults),
            Err(failure) => junit::failure(failure),
        };
        std::fs::write(file, xml)
            .map_err(|error| Failure::failed(format!("`{}` cannot be written: {error}", file.display())))?;
    }
    let played = match played? {
        Ok(played) => played,
        Err(faults) => return Ok((report::faults(&faults, paint, args.output), FAULTY)),
    };
    let enough = match (&played.coverage, args.min_coverage) {
        (Some(coverage), Some(least)) => coverage.percent() >= usize::from(least),
        _ => true,
    };
    let fine = enough && played.outcomes.iter().all(|outcome| outcome.findings.is_empty());
    let text = match args.output {
        Output::Text => report::text(&played, args.min_coverage, paint),
        Output::Json => format!("{:#}\n", report::json(&played, fine)),
    };
    Ok((text, u8::from(!fine)))
}

/// Loads everything and plays it; the faults of rules or scenarios that cannot be read.
fn all(args: &Args) -> Result<Result<Run, Vec<Fault>>, Failure> {
    let started = Tick::now();
    let schemas = match &args.schemas {
        None => Schemas::built_in(),
        Some(folder) => Schemas::load(folder).map_err(Failure::configuration)?,
    };
    let kinds = Kinds::new(Source::ALL.into_iter().flat_map(|source| schemas.shapes(source).to_vec()));
    let topology = match Topology::load(&args.folder, &kinds) {
        Ok(topology) => topology,
        Err(faults) => return Ok(Err(faults)),
    };
    let codec = Codec::new(schemas.into(), None);
    let ground = Ground { schemas: codec.schemas(), codec: &codec, topology: &topology };
    let beside = || args.folder.join("scenarios");
    let scenarios = match load(&args.scenarios.clone().unwrap_or_else(beside), ground) {
        Ok(scenarios) => scenarios,
        Err(faults) => return Ok(Err(faults)),
    };
    let wanted = args.filter.as_deref().map(str::to_lowercase);
    let scenarios: Vec<Scenario> = scenarios
        .into_iter()
        .filter(|scenario| wanted.as_deref().is_none_or(|wanted| is_wanted(scenario, wanted)))
        .collect();
    if scenarios.is_empty() {
        let filter = args.filter.as_deref().unwrap_or_default();
        let failure = Failure { exit: 2, ..Failure::failed(format!("no scenario holds `{filter}`")) };
        return Err(failure.hint("filter by a use case such as `EC-3`, a file, or a word of the name"));
    }
    let mut progress = Progress::new(scenarios.len(), started);
    let (mut outcomes, mut reached) = (Vec::new(), Vec::new());
    for scenario in scenarios {
        let begun = Tick::now();
        let played = play(&scenario, ground);
        let mut findings = compare(&scenario, &played);
        findings.extend(books::unbalanced(&scenario, &played));
        reached.push(played);
        outcomes.push(Outcome { scenario, findings, took: begun.elapsed() });
        progress.step();
    }
    progress.end();
    let coverage = args.filter.is_none().then(|| Coverage::of(&topology, &reached));
    Ok(Ok(Run { outcomes, coverage, took: started.elapsed() }))
}

fn is_wanted(scenario: &Scenario, wanted: &str) -> bool {
    let file = Path::new(&scenario.file).file_name().unwrap_or_default().to_string_lossy();
    let texts = [&*file, scenario.use_case.as_deref().unwrap_or_default(), &scenario.name];
    texts.iter().any(|text| text.to_lowercase().contains(wanted))
}

/// Shown on a terminal once it takes longer than one likes to wait.
struct Progress {
    bar: Option<ProgressBar>,
    total: usize,
    done: usize,
    started: Tick,
}

// === impl Progress ===

impl Progress {
    fn new(total: usize, started: Tick) -> Self {
        Self { bar: None, total, done: 0, started }
    }

    fn step(&mut self) {
        self.done += 1;
        if self.bar.is_none() && std::io::stderr().is_terminal() && self.started.elapsed() > PATIENCE {
            let bar = ProgressBar::new(self.total as u64);
            let style = ProgressStyle::with_template("{bar:30} {pos} of {len} scenarios");
            self.bar = Some(style.map_or(bar.clone(), |style| bar.with_style(style)));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.done as u64);
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
