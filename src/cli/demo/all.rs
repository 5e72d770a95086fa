//! All: the scenarios of the rules with everything around the lanes, and a table of what came of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table as Grid};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value as Json, json};

use super::super::Done;
use super::super::bench::Output;
use super::super::test::report::{findings, label};
use super::OPEN;
use crate::app::config::Config;
use crate::app::rehearsal::{Outcome, Performance, Rehearsal};
use crate::event::{Carried, Ending};
use crate::topology::Paint;

/// What came of the scenarios of one use case.
#[derive(Debug, Default)]
struct Row {
    scenarios: usize,
    as_written: usize,
    told: usize,
    suppressed: BTreeMap<&'static str, u64>,
    answered: usize,
    written_back: usize,
    /// Why a source system had no room for an answer, and how often.
    refused: BTreeMap<String, usize>,
}

/// Plays all; 0 when all is as written and nobody got anything twice.
pub(super) fn run(config: Config, brokers: Option<&str>, output: Output) -> Done {
    let bar = progress();
    let performance = Rehearsal::start(config, brokers)?.play(|progress| {
        bar.set_length(progress.steps.1 as u64);
        bar.set_position(progress.steps.0 as u64);
        bar.set_message(progress.now.to_string());
    })?;
    bar.finish_and_clear();
    let fine = performance.repeated == 0 && performance.outcomes.iter().all(|one| one.findings.is_empty());
    let paint = if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        Paint::Colour
    } else {
        Paint::Plain
    };
    let text = match output {
        Output::Table => text(&performance, paint),
        Output::Json => format!("{}\n", json(&performance, fine)),
    };
    super::super::print(&text)?;
    Ok(if fine { 0 } else { OPEN })
}

fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} steps  {msg}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The rows by use case; scenarios of none stand under the name of their file.
fn rows(outcomes: &[Outcome]) -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    for outcome in outcomes {
        let row: &mut Row = rows.entry(label(&outcome.scenario)).or_default();
        row.scenarios += 1;
        row.as_written += usize::from(outcome.findings.is_empty());
        for moment in &outcome.played.steps {
            row.told += moment.told.len();
            for verdict in &moment.verdicts {
                match &verdict.ending {
                    Ending::Not(reason) if verdict.rule.is_some() => {
                        *row.suppressed.entry(reason.as_str()).or_default() += u64::from(verdict.count);
                    }
                    Ending::Answered(_) => row.answered += 1,
                    Ending::Carried(Carried::Confirmed) => row.written_back += 1,
                    Ending::Carried(Carried::Refused(why)) => {
                        *row.refused.entry(why.clone()).or_default() += 1;
                    }
                    _ => {}
                }
            }
        }
        row.suppressed.retain(|_, count| *count > 0);
    }
    rows
}

/// What the source systems took, and what they had no room for.
fn written_back(row: &Row) -> String {
    let refused =
        row.refused.iter().map(|(why, count)| format!(", {count} refused: {}", why.replace('_', " ")));
    std::iter::once(row.written_back.to_string()).chain(refused).collect()
}

fn text(performance: &Performance, paint: Paint) -> String {
    let rows = rows(&performance.outcomes);
    let mut grid = Grid::new();
    grid.load_style(NOTHING);
    grid.set_header(["use case", "as written", "told", "answered", "written back", "suppressed"]);
    for (name, row) in &rows {
        let reasons: Vec<String> =
            row.suppressed.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        let cells = [
            name.clone(),
            format!("{} of {}", row.as_written, row.scenarios),
            row.told.to_string(),
            row.answered.to_string(),
            written_back(row),
            reasons.join(", "),
        ];
        grid.add_row(cells);
    }
    for number in 1..5 {
        if let Some(column) = grid.column_mut(number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = String::new();
    for line in grid.lines() {
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let wrong = performance.outcomes.iter().filter(|outcome| !outcome.findings.is_empty());
    for outcome in wrong.clone() {
        let _ = writeln!(text, "\n{}  {}", label(&outcome.scenario), outcome.scenario.name);
        findings(&outcome.scenario, &outcome.findings, paint, &mut text);
    }
    let days = performance.lasted.1.since(performance.lasted.0).millis() / 86_400_000;
    let _ = writeln!(
        text,
        "\n{} scenarios of {days} days in {:.1} s: {} as written, {} not; {} sent twice",
        performance.outcomes.len(),
        performance.took.as_secs_f64(),
        performance.outcomes.len() - wrong.clone().count(),
        wrong.count(),
        performance.repeated,
    );
    text
}

fn json(performance: &Performance, fine: bool) -> Json {
    let rows: Vec<Json> = rows(&performance.outcomes)
        .into_iter()
        .map(|(name, row)| {
            json!({
                "use_case": name, "scenarios": row.scenarios, "as_written": row.as_written, "told": row.told,
                "suppressed": row.suppressed, "answered": row.answered, "written_back": row.written_back, "refused_by_source": row.refused,
            })
        })
        .collect();
    let wrong = performance.outcomes.iter().filter(|outcome| !outcome.findings.is_empty());
    let wrong: Vec<Json> = wrong
        .map(|outcome| {
            let findings = outcome.findings.iter();
            let findings: Vec<Json> = findings
                .map(|finding| json!({ "line": finding.line, "at": finding.at, "lines": finding.lines }))
                .collect();
            let scenario = &outcome.scenario;
            json!({
                "use_case": scenario.use_case, "file": scenario.file, "line": scenario.line,
                "name": scenario.name, "findings": findings,
            })
        })
        .collect();
    json!({
        "ok": fine, "use_cases": rows, "wrong": wrong, "sent_twice": performance.repeated,
        "seconds": performance.took.as_secs_f64(),
    })
}
