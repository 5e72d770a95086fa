//! Mermaid: a flowchart for Markdown, with a chain of boxes for each rule, to the accounts that carry it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::ways::Way;
use super::words::Row;

/// The flowchart.
pub(super) fn draw(rows: &[Row]) -> String {
    let mut out = "flowchart LR\n".to_owned();
    for source in rows.iter().map(|row| row.source.as_str()).collect::<BTreeSet<_>>() {
        let _ = writeln!(out, "  {source}([{source}])");
    }
    let mut ways: Vec<&Way> = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let head =
            if row.use_case.is_empty() { row.id.clone() } else { format!("{}: {}", row.use_case, row.id) };
        let hears = std::iter::once(head).chain(row.heard());
        let _ = writeln!(out, "  {} --> r{number}[\"{}\"]", row.source, lines(hears));
        let _ = writeln!(out, "  r{number} --> w{number}{{{{\"{}\"}}}}", lines(row.when.iter().cloned()));
        let whom = row.whom.iter().chain(&row.how).cloned();
        let _ = writeln!(out, "  w{number} --> a{number}(\"{}\")", lines(whom));
        for way in &row.ways {
            let known = ways.iter().position(|other| *other == way).unwrap_or(ways.len());
            if known == ways.len() {
                ways.push(way);
            }
            let _ = writeln!(out, "  a{number} --> p{known}");
        }
    }
    for (number, way) in ways.iter().enumerate() {
        let _ = writeln!(out, "  p{number}[/\"{}\"/]", lines(way.lines().into_iter()));
    }
    out.truncate(out.trim_end().len());
    out
}

/// Mermaid reads `#quot;` and its like inside quotes, and breaks lines at `<br/>`.
fn lines(lines: impl Iterator<Item = String>) -> String {
    let escaped = lines.map(|line| {
        line.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
    });
    escaped.collect::<Vec<_>>().join("<br/>")
}
