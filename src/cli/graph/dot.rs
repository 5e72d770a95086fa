//! Dot: the rules for Graphviz.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::words::Row;

/// The graph.
pub(super) fn draw(rows: &[Row]) -> String {
    let mut out =
        "digraph bugle {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\", fontsize=10];\n"
            .to_owned();
    for source in rows.iter().map(|row| row.source.as_str()).collect::<BTreeSet<_>>() {
        let _ = writeln!(out, "  \"{source}\" [shape=oval];");
    }
    for row in rows {
        let id = &row.id;
        let hears = std::iter::once(format!("{} {id}", row.use_case)).chain(row.hears.iter().cloned());
        let _ = writeln!(out, "  \"{id}\" [label=\"{}\"];", lines(hears));
        let _ =
            writeln!(out, "  \"{id} when\" [shape=hexagon, label=\"{}\"];", lines(row.when.iter().cloned()));
        let whom = row.whom.iter().chain(&row.how).cloned();
        let _ = writeln!(out, "  \"{id} whom\" [shape=oval, label=\"{}\"];", lines(whom));
        let _ = writeln!(out, "  \"{}\" -> \"{id}\" -> \"{id} when\" -> \"{id} whom\";", row.source);
    }
    out.push('}');
    out
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line.trim().replace('\\', "\\\\").replace('"', "\\\"")).collect::<Vec<_>>().join("\\n")
}
