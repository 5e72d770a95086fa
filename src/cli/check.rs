//! Check: reads the rules and messages of a folder and shows everything wrong with them at once.
//!
//! It sends nothing and needs no Kafka. What it passes, `bugle run` loads.

mod sample;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::{Value as Json, json};

use super::registry_args::RegistryArgs;
use super::{Done, Failure};
use crate::codec::Schemas;
use crate::directory::{People, read_people};
use crate::event::Source;
use crate::scenario;
use crate::topology::fault::Faults;
use crate::topology::{Fault, Kinds, Paint, Rule, Topology, editor};

/// Check rules, messages and mappings: every fault at once, with file, line, column and what to write.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bugle check                     the rules in topology/
  bugle check my-rules            those of another folder
  bugle check --output json       for a pipeline; `github` writes annotations of a pull request
  bugle check --people people.csv names nobody in the directory stands under
  bugle check new --against old   changes that would orphan what the old rules have open
  bugle check --sample payload.json
                                  the change that a mapping makes of somebody else's payload; of one in Avro
                                  with --registry http://localhost:8081
  bugle check --print-schema rules > rules.schema.json
                                  for an editor: completion and help in topology/*.yaml

Exit codes: 0 all good, 78 faults, also in a sample.")]
pub struct Args {
    /// The folder with the rules; its messages lie in FOLDER/messages.
    #[arg(value_name = "FOLDER", default_value = "topology")]
    pub folder: PathBuf,
    /// Schemas that replace the built-in ones.
    #[arg(long, value_name = "FOLDER")]
    pub schemas: Option<PathBuf>,
    /// People to find every name among: a `people.csv` or `people.jsonl`.
    #[arg(long, value_name = "FILE")]
    pub people: Option<PathBuf>,
    /// Rules that are in force: a change that would leave something of theirs open for ever is a fault.
    #[arg(long, value_name = "FOLDER")]
    pub against: Option<PathBuf>,
    /// A payload as it lies in a source's topic: print the change a mapping makes of it, or why none does.
    #[arg(long, value_name = "FILE")]
    pub sample: Option<PathBuf>,
    /// The source whose topic the sample came from; without it, any whose mappings take it.
    #[arg(long, value_name = "SOURCE", requires = "sample")]
    pub topic: Option<Source>,
    /// Which registry to ask for the schema of a sample in Avro.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Print the JSON Schema of a kind of file, and check nothing.
    #[arg(long, value_enum, value_name = "KIND")]
    pub print_schema: Option<SchemaOf>,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// A kind of file of the topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// `topology/*.yaml`.
    Rules,
    /// `topology/messages/*.yaml`.
    Messages,
    /// `topology/mappings/*.yaml`.
    Mappings,
    /// `topology/scenarios/*.yaml`.
    Scenarios,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One JSON object.
    Json,
    /// Annotations of GitHub Actions, a line for each fault.
    Github,
}

/// Exit code for files that are wrong.
const FAULTY: u8 = 78;

/// Prints the report; 0 when all is good, 78 on faults.
///
/// # Errors
/// The schemas cannot be read, or the report cannot be written.
pub fn run(args: &Args) -> Done {
    let is_plain = !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some();
    let (report, code) = report(args, if is_plain { Paint::Plain } else { Paint::Colour })?;
    super::print(&report)?;
    Ok(code)
}

/// What [`run`] prints, and its exit code. What keeps it from checking is told in the form that was asked for.
///
/// # Errors
/// The schemas, the people or the rules in force cannot be read.
pub fn report(args: &Args, paint: Paint) -> Result<(String, u8), Failure> {
    checked(args, paint).or_else(|failure| {
        let Failure { message, hint, exit } = &failure;
        let hint = hint.as_deref().unwrap_or_default();
        let text = match args.output {
            Output::Text => return Err(failure),
            Output::Json => {
                let fault = json!({ "code": UNCHECKED, "message": message, "hint": hint });
                format!("{:#}\n", json!({ "ok": false, "faults": [fault] }))
            }
            Output::Github => command("", UNCHECKED, (message, hint)),
        };
        Ok((text, *exit))
    })
}

/// What is told of what keeps everything from being checked.
const UNCHECKED: &str = "unchecked";

fn checked(args: &Args, paint: Paint) -> Result<(String, u8), Failure> {
    let schemas = match &args.schemas {
        None => Schemas::built_in(),
        Some(folder) => Schemas::load(folder).map_err(Failure::configuration)?,
    };
    let kinds = Kinds::new(Source::ALL.into_iter().flat_map(|source| schemas.shapes(source).to_vec()));
    if let Some(of) = args.print_schema {
        let schema = match of {
            SchemaOf::Rules => editor::rules(&kinds),
            SchemaOf::Messages => editor::messages(),
            SchemaOf::Mappings => editor::mappings(&kinds),
            SchemaOf::Scenarios => scenario::editor::scenarios(&kinds),
        };
        return Ok((format!("{schema:#}\n"), 0));
    }
    let loaded = match Topology::check(&args.folder, &kinds) {
        Ok(topology) => match beside(args, Some(&topology), &kinds)? {
            faults if faults.is_empty() => Ok(topology),
            faults => Err(faults),
        },
        Err(faults) => Err([faults, beside(args, None, &kinds)?].concat()),
    };
    if let (Some(file), Ok(topology)) = (&args.sample, &loaded) {
        return sample::report((file, args), topology, schemas);
    }
    let code = if loaded.is_ok() { 0 } else { FAULTY };
    let text = match (args.output, &loaded) {
        (Output::Text, Ok(topology)) => summary(topology),
        (Output::Text, Err(faults)) => blame(faults, paint),
        (Output::Json, loaded) => format!("{:#}\n", as_json(loaded.as_ref())),
        (Output::Github, Ok(_)) => String::new(),
        (Output::Github, Err(faults)) => faults.iter().map(annotation).collect(),
    };
    Ok((text, code))
}

/// What is wrong with a directory; with rules beside it, or in the place of others, where they are sound.
fn beside(args: &Args, topology: Option<&Topology>, kinds: &Kinds) -> Result<Vec<Fault>, Failure> {
    let mut faults = Vec::new();
    if let Some(file) = &args.people {
        match read_people(file, None) {
            Ok(read) => {
                let mut people = People::new();
                read.iter().for_each(|person| people.apply(person));
                let given = format!("--people {}", file.display());
                faults.extend(topology.map(|topology| topology.reach(&people, &given)).unwrap_or_default());
            }
            Err(error) => {
                let mut bad = Faults::default();
                bad.people((file, &error), "");
                faults.extend(bad.sorted());
            }
        }
    }
    if let Some(folder) = &args.against {
        let old = Topology::load(folder, kinds).map_err(|faults| {
            let shown = faults.first().map(ToString::to_string).unwrap_or_default();
            let fact = format!(
                "the rules in force, `{}`, have {}: {shown}",
                folder.display(),
                counted(faults.len(), "fault")
            );
            Failure::configuration(fact).hint("name the folder that runs now, as it runs now")
        })?;
        faults.extend(topology.map(|topology| topology.against(&old)).unwrap_or_default());
    }
    Ok(faults)
}

/// A line that GitHub Actions shows beside the line it is about.
fn annotation(fault: &Fault) -> String {
    let Fault { file, line, column, code, .. } = fault;
    let place = format!("file={},line={line},col={column},", property(file));
    command(&place, code, (&fault.message, &fault.hint))
}

/// A workflow command of GitHub Actions.
fn command(place: &str, title: &str, (message, hint): (&str, &str)) -> String {
    let told = if hint.is_empty() { message.to_owned() } else { format!("{message}\nhint: {hint}") };
    format!("::error {place}title={}::{}\n", property(title), value(&told))
}

fn value(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    value(text).replace(':', "%3A").replace(',', "%2C")
}

fn summary(topology: &Topology) -> String {
    let sources: BTreeSet<Source> = topology.rules.iter().map(|rule| rule.source).collect();
    let mappings = match topology.mappings.iter().count() {
        0 => String::new(),
        count => format!(", {}", counted(count, "mapping")),
    };
    format!(
        "{} for {}, {}, {}{mappings}: all good\n",
        counted(topology.rules.len(), "rule"),
        counted(use_cases(topology).len(), "use case"),
        counted(sources.len(), "source"),
        counted(topology.messages(), "message"),
    )
}

fn use_cases(topology: &Topology) -> BTreeSet<&str> {
    topology.rules.iter().filter_map(|rule| rule.plan.use_case.as_deref()).collect()
}

fn blame(faults: &[Fault], paint: Paint) -> String {
    let mut text = String::new();
    for fault in faults {
        let _ = writeln!(text, "{}\n", fault.render(paint));
    }
    let files: BTreeSet<&str> = faults.iter().map(|fault| fault.file.as_str()).collect();
    let _ = writeln!(text, "{} in {}", counted(faults.len(), "fault"), counted(files.len(), "file"));
    text
}

fn counted(count: usize, of: &str) -> String {
    format!("{count} {of}{}", if count == 1 { "" } else { "s" })
}

fn as_json(loaded: Result<&Topology, &Vec<Fault>>) -> Json {
    match loaded {
        Ok(topology) => {
            let rules: Vec<Json> = topology.rules.iter().map(|rule| rule_json(rule)).collect();
            json!({
                "ok": true,
                "hash": format!("{:032x}", topology.hash),
                "use_cases": use_cases(topology).len(),
                "messages": topology.messages(),
                "mappings": topology.mappings.iter().map(|(_, mapping)| mapping.id.as_str()).collect::<Vec<_>>(),
                "rules": rules,
                "faults": [],
            })
        }
        Err(faults) => {
            let faults: Vec<Json> = faults.iter().map(fault_json).collect();
            json!({ "ok": false, "faults": faults })
        }
    }
}

fn rule_json(rule: &Rule) -> Json {
    json!({
        "id": rule.id,
        "use_case": rule.plan.use_case,
        "source": rule.source.as_str(),
        "kinds": rule.kinds,
        "tells_at_once": rule.tells_at_once(),
    })
}

fn fault_json(fault: &Fault) -> Json {
    json!({
        "file": fault.file,
        "line": fault.line,
        "column": fault.column,
        "code": fault.code,
        "message": fault.message,
        "hint": fault.hint,
    })
}
