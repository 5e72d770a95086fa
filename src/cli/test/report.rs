//! Report: what `bugle test` prints, for people and as JSON.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Outcome, Output, Run};
use crate::scenario::{Branch, Coverage, Finding, Scenario};
use crate::topology::{Fault, Paint};

/// The rules or scenarios that cannot be read.
pub(super) fn faults(faults: &[Fault], paint: Paint, output: Output) -> String {
    if output == Output::Json {
        let faults: Vec<Json> = faults
            .iter()
            .map(|fault| {
                json!({
                    "file": fault.file, "line": fault.line, "column": fault.column, "code": fault.code,
                    "message": fault.message, "hint": fault.hint,
                })
            })
            .collect();
        return format!("{:#}\n", json!({ "ok": false, "faults": faults }));
    }
    let mut text = String::new();
    for fault in faults {
        let _ = writeln!(text, "{}\n", fault.render(paint));
    }
    let _ = writeln!(text, "{}; nothing was played", counted(faults.len(), "fault"));
    text
}

/// For people.
pub(super) fn text(run: &Run, least: Option<u8>, paint: Paint) -> String {
    let mut text = String::new();
    let width = run.outcomes.iter().map(|outcome| label(&outcome.scenario).len()).max().unwrap_or(0);
    for outcome in &run.outcomes {
        let word = if outcome.findings.is_empty() { green(paint, "  ok") } else { red(paint, "FAIL") };
        let _ = writeln!(text, "{word}  {:width$}  {}", label(&outcome.scenario), outcome.scenario.name);
        findings(&outcome.scenario, &outcome.findings, paint, &mut text);
    }
    let failed = run.outcomes.iter().filter(|outcome| !outcome.findings.is_empty()).count();
    let cases: BTreeSet<&str> =
        run.outcomes.iter().filter_map(|outcome| outcome.scenario.use_case.as_deref()).collect();
    let _ = writeln!(
        text,
        "\n{} of {}: {} as written, {failed} not; {}",
        counted(run.outcomes.len(), "scenario"),
        counted(cases.len(), "use case"),
        run.outcomes.len() - failed,
        seconds(run.took),
    );
    if let Some(coverage) = &run.coverage {
        reached(coverage, least, &mut text);
    }
    text
}

/// What came out otherwise than a scenario says.
pub(in crate::cli) fn findings(scenario: &Scenario, all: &[Finding], paint: Paint, text: &mut String) {
    let mut last = None;
    for finding in all {
        let place = (finding.line, finding.at.as_str());
        if last != Some(place) {
            let _ = writeln!(text, "      {}  {}:{}", finding.at, scenario.file, finding.line);
            last = Some(place);
        }
        for line in &finding.lines {
            let painted = match line.as_bytes().first() {
                Some(b'-') => red(paint, line),
                Some(b'+') => green(paint, line),
                _ => line.clone(),
            };
            let _ = writeln!(text, "        {painted}");
        }
    }
}

fn reached(coverage: &Coverage, least: Option<u8>, text: &mut String) {
    let (rules, spoke) = coverage.rules();
    let (all, missed) = (coverage.branches.len(), coverage.missed().count());
    let percent = coverage.percent();
    let _ = writeln!(
        text,
        "{spoke} of {rules} rules spoke; {} of {all} branches reached ({percent} %)",
        all - missed
    );
    let least = usize::from(least.unwrap_or(0));
    if percent < least {
        let _ = writeln!(text, "that is less than the {least} % asked for");
    }
    let width = coverage.missed().map(|branch| branch.rule.len()).max().unwrap_or(0);
    if missed > 0 {
        text.push_str("not reached:\n");
    }
    for Branch { rule, name, .. } in coverage.missed() {
        let _ = writeln!(text, "  {rule:width$}  {name}");
    }
}

/// For scripts.
pub(super) fn json(run: &Run, fine: bool) -> Json {
    let outcomes: Vec<Json> = run.outcomes.iter().map(outcome).collect();
    let coverage = run.coverage.as_ref().map(|coverage| {
        let (rules, spoke) = coverage.rules();
        let branches: Vec<Json> = coverage
            .branches
            .iter()
            .map(|branch| json!({ "rule": branch.rule, "branch": branch.name, "reached": branch.reached }))
            .collect();
        json!({ "rules": rules, "rules_reached": spoke, "percent": coverage.percent(), "branches": branches })
    });
    json!({ "ok": fine, "scenarios": outcomes, "coverage": coverage, "ms": run.took.as_millis() })
}

fn outcome(outcome: &Outcome) -> Json {
    let scenario = &outcome.scenario;
    let findings: Vec<Json> = outcome
        .findings
        .iter()
        .map(|finding| json!({ "line": finding.line, "at": finding.at, "lines": finding.lines }))
        .collect();
    json!({
        "file": scenario.file, "line": scenario.line, "use_case": scenario.use_case, "name": scenario.name,
        "ok": findings.is_empty(), "findings": findings, "ms": outcome.took.as_millis(),
    })
}

/// The use case, else the file.
pub(in crate::cli) fn label(scenario: &Scenario) -> String {
    let file = || Path::new(&scenario.file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    scenario.use_case.clone().unwrap_or_else(file)
}

fn counted(count: usize, of: &str) -> String {
    format!("{count} {of}{}", if count == 1 { "" } else { "s" })
}

fn seconds(took: Duration) -> String {
    format!("{:.2} s", took.as_secs_f64())
}

fn red(paint: Paint, text: &str) -> String {
    painted(paint, "31", text)
}

fn green(paint: Paint, text: &str) -> String {
    painted(paint, "32", text)
}

fn painted(paint: Paint, colour: &str, text: &str) -> String {
    match paint {
        Paint::Plain => text.to_owned(),
        Paint::Colour => format!("\u{1b}[{colour}m{text}\u{1b}[0m"),
    }
}
