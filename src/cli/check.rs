//! Check: reads the rules and messages of a folder and shows everything wrong with them at once.
//!
//! It sends nothing and needs no Kafka. What it passes, `bugle run` loads.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::{Value as Json, json};

use super::{Done, Failure};
use crate::codec::Schemas;
use crate::event::Source;
use crate::topology::{Fault, Kinds, Paint, Rule, Topology};

/// Check rules and messages: every fault at once, with file, line, column and what to write.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bugle check                     the rules in topology/
  bugle check my-rules            those of another folder
  bugle check --output json       for a pipeline

Exit codes: 0 all good, 78 faults.")]
pub struct Args {
    /// The folder with the rules; its messages lie in FOLDER/messages.
    #[arg(value_name = "FOLDER", default_value = "topology")]
    pub folder: PathBuf,
    /// Schemas that replace the built-in ones.
    #[arg(long, value_name = "FOLDER")]
    pub schemas: Option<PathBuf>,
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

/// Prints the report; 0 when all is good, 78 on faults.
///
/// # Errors
/// The schemas cannot be read, or the report cannot be written.
pub fn run(args: &Args) -> Done {
    let is_plain = !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some();
    let (report, code) = report(args, if is_plain { Paint::Plain } else { Paint::Colour })?;
    std::io::stdout().write_all(report.as_bytes()).map_err(Failure::failed)?;
    Ok(code)
}

/// What [`run`] prints, and its exit code.
///
/// # Errors
/// The schemas cannot be read.
pub fn report(args: &Args, paint: Paint) -> Result<(String, u8), Failure> {
    let schemas = match &args.schemas {
        None => Schemas::built_in(),
        Some(folder) => Schemas::load(folder).map_err(Failure::configuration)?,
    };
    let kinds = Kinds::new(Source::ALL.into_iter().flat_map(|source| schemas.shapes(source).to_vec()));
    let loaded = Topology::load(&args.folder, &kinds);
    let code = if loaded.is_ok() { 0 } else { FAULTY };
    let text = match (args.output, &loaded) {
        (Output::Text, Ok(topology)) => praise(topology),
        (Output::Text, Err(faults)) => blame(faults, paint),
        (Output::Json, loaded) => format!("{:#}\n", as_json(loaded.as_ref())),
    };
    Ok((text, code))
}

fn praise(topology: &Topology) -> String {
    let mut text = summary(topology);
    let unbuilt: Vec<&Rule> =
        topology.rules.iter().map(|rule| &**rule).filter(|rule| !rule.unbuilt.is_empty()).collect();
    if unbuilt.is_empty() {
        return text;
    }
    let operators: BTreeSet<&str> = unbuilt.iter().flat_map(|rule| rule.unbuilt.iter().copied()).collect();
    let width = unbuilt.iter().map(|rule| rule.id.len()).max().unwrap_or(0);
    let operators: Vec<&str> = operators.into_iter().collect();
    let _ = writeln!(text, "\nRead but not carried out yet: {}.", operators.join(", "));
    for rule in unbuilt {
        let until_then = if rule.tells_at_once() { "tells at once" } else { "tells later" };
        let _ = writeln!(text, "  {:width$}  {until_then}; {}", rule.id, rule.unbuilt.join(", "));
    }
    text
}

fn summary(topology: &Topology) -> String {
    let sources: BTreeSet<Source> = topology.rules.iter().map(|rule| rule.source).collect();
    format!(
        "{} for {}, {}, {}: all good\n",
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
                "generation": format!("{:016x}", topology.generation),
                "use_cases": use_cases(topology).len(),
                "messages": topology.messages(),
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
        "not_carried_out": rule.unbuilt,
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
