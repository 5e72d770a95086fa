//! Report: who hears more, less or otherwise by new rules, as a table with examples.

use std::fmt::Write as _;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table as Grid};

use super::Args;
use crate::explain::{Difference, Example, Row};

/// What stands above.
pub(super) struct Heading<'a> {
    pub(super) args: &'a Args,
    pub(super) hashes: (u64, u64),
    pub(super) unreadable: usize,
}

pub(super) fn text(difference: &Difference, heading: &Heading<'_>) -> String {
    let mut out = String::new();
    let Heading { args, hashes, unreadable } = heading;
    let _ = writeln!(
        out,
        "{} by {} ({:016x}) and by {} ({:016x})",
        counted(difference.events, "event"),
        args.against.display(),
        hashes.0,
        args.topology.display(),
        hashes.1,
    );
    if *unreadable > 0 {
        let _ = writeln!(out, "{} could not be read and were left out", counted(*unreadable, "record"));
    }
    for stuck in &difference.stuck {
        let _ = writeln!(out, "stuck: {stuck}");
    }
    let changed: Vec<&Row> = difference.rules.iter().filter(|row| !row.is_same()).collect();
    let same = difference.rules.len() - changed.len();
    if !changed.is_empty() {
        // Without the blanks around its first and last column.
        let lines = table(&changed).trim_fmt();
        lines.lines().for_each(|line| {
            let _ = write!(out, "\n{}", line.trim());
        });
        out.push('\n');
    }
    for row in &changed {
        let _ = writeln!(out, "\n{}", row.rule);
        row.examples.iter().for_each(|example| {
            let _ = writeln!(out, "  {}", line(example));
        });
    }
    let _ = writeln!(out, "\n{} the same to the same people", tell(same));
    let _ = writeln!(
        out,
        "{} more, {} less, {} as often but otherwise",
        hear(difference.people_more),
        hear(difference.people_less),
        hear(difference.people_otherwise),
    );
    out
}

fn table(rows: &[&Row]) -> Grid {
    let mut grid = Grid::new();
    let header = ["RULE", "BEFORE", "AFTER", "MORE", "LESS", "OTHER TIME", "OTHER WORDS", "PEOPLE"];
    grid.load_style(NOTHING).set_header(header);
    for row in rows {
        let numbers = [row.before, row.after, row.more, row.less, row.moved, row.reworded, row.people as u64];
        let numbers = numbers.map(|number| number.to_string());
        grid.add_row([row.rule.clone()].into_iter().chain(numbers));
    }
    for column in grid.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    grid
}

fn line(example: &Example) -> String {
    let Example { tenant, user_id, occasion, title, .. } = example;
    let (sign, when) = match (example.before, example.after) {
        (None, Some(after)) => ('+', format!("at {after}")),
        (Some(before), None) => ('-', format!("at {before}")),
        (Some(before), Some(after)) if example.change == "moved" => {
            ('~', format!("at {after}, not {before}"))
        }
        (_, after) => ('~', after.map(|after| format!("at {after}, in other words")).unwrap_or_default()),
    };
    format!("{sign} {tenant}/{user_id} {occasion} {when}: {title}")
}

fn counted(count: usize, of: &str) -> String {
    format!("{count} {of}{}", if count == 1 { "" } else { "s" })
}

fn tell(rules: usize) -> String {
    if rules == 1 { "1 rule tells".to_owned() } else { format!("{rules} rules tell") }
}

fn hear(people: usize) -> String {
    if people == 1 { "1 person hears".to_owned() } else { format!("{people} people hear") }
}
