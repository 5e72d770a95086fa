//! Dot: the rules for Graphviz.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::words::Row;

/// The graph.
pub(super) fn draw(rows: &[Row]) -> String {
    let mut out =
        "digraph bugle {\n  rankdir=LR;\n  node [shape=box, fontname=\"Helvetica\", fontsize=10, margin=\"0.2,0.1\"];\n"
            .to_owned();
    for source in rows.iter().map(|row| row.source.as_str()).collect::<BTreeSet<_>>() {
        let _ = writeln!(out, "  \"{source}\" [shape=oval];");
    }
    let mut accounts = BTreeMap::new();
    for row in rows {
        let id = &row.id;
        let hears = std::iter::once(format!("{} {id}", row.use_case)).chain(row.heard());
        let _ = writeln!(out, "  \"{id}\" [label=\"{}\"];", lines(hears));
        let _ =
            writeln!(out, "  \"{id} when\" [shape=hexagon, label=\"{}\"];", lines(row.when.iter().cloned()));
        let whom = row.whom.iter().chain(&row.how).cloned();
        let _ = writeln!(out, "  \"{id} whom\" [style=rounded, label=\"{}\"];", lines(whom));
        let _ = writeln!(out, "  \"{}\" -> \"{id}\" -> \"{id} when\" -> \"{id} whom\";", row.source);
        for way in &row.ways {
            let _ = writeln!(out, "  \"{id} whom\" -> \"account {}\";", lines([way.account.clone()]));
            accounts.insert(way.account.as_str(), way);
        }
    }
    for (account, way) in accounts {
        let account = lines([account.to_owned()]);
        let _ = writeln!(out, "  \"account {account}\" [shape=cds, label=\"{}\"];", lines(way.lines()));
    }
    out.push('}');
    out
}

fn lines(lines: impl IntoIterator<Item = String>) -> String {
    let lines = lines.into_iter();
    lines.map(|line| line.trim().replace('\\', "\\\\").replace('"', "\\\"")).collect::<Vec<_>>().join("\\n")
}
