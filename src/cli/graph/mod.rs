//! Graph: `bugle graph` draws the rules: which source, which rule, when it speaks, to whom, by which way.
//!
//! It draws what is written, the accounts as the settings have them; nothing is sent, and no Kafka is needed but
//! for what was said of late (`--live`).

mod dot;
mod mermaid;
mod rates;
mod svg;
mod ways;
mod words;

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::broker_args::BrokerArgs;
use super::{Done, Failure, offline, say};
use crate::app::wiring;
use crate::event::Span;
use crate::topology::Topology;
use rates::Rates;
use ways::Way;
use words::Row;

/// Draw the rules: sources, rules, windows and timers, audiences, push accounts.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bugle graph > rules.svg                      a picture that any browser shows
  bugle graph --format mermaid --source xecm   for a Markdown page
  bugle graph --format dot | dot -Tpng > rules.png
  bugle graph --use-case EC-3                  one use case
  bugle graph --live 1h --brokers localhost:9092 > rules.svg   with what each rule said within the hour")]
pub struct Args {
    /// The folder with the rules.
    #[arg(value_name = "FOLDER", default_value = "topology")]
    folder: PathBuf,
    /// Schemas that replace the built-in ones.
    #[arg(long, value_name = "FOLDER")]
    schemas: Option<PathBuf>,
    /// How to draw.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Only the rules of this source system.
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Only the rules of this use case.
    #[arg(long, value_name = "ID")]
    use_case: Option<String>,
    /// Write on it how often each rule spoke, and to how many people, within so long until now, such as `1h`.
    #[arg(long, value_name = "SPAN")]
    live: Option<Span>,
    #[command(flatten)]
    broker: BrokerArgs,
}

/// How to draw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A picture of its own, with a row for each rule.
    #[default]
    Svg,
    /// A flowchart for Markdown.
    Mermaid,
    /// For Graphviz.
    Dot,
}

/// Prints the drawing.
///
/// # Errors
/// The rules have faults, or none of them is asked for.
pub fn run(args: &Args) -> Done {
    let topology = offline::topology(&args.folder, &offline::schemas(args.schemas.as_deref())?)?;
    let asked = |row: &Row| {
        args.source.as_ref().is_none_or(|source| row.source == *source)
            && args.use_case.as_ref().is_none_or(|id| row.use_case.eq_ignore_ascii_case(id))
    };
    let config = args.broker.load()?;
    let ways = Way::all(&config);
    let mut rows: Vec<Row> = topology.rules.iter().map(|rule| Row::of(rule, &ways)).filter(asked).collect();
    if rows.is_empty() {
        return Err(nothing(args, &topology));
    }
    let live = args.live.map(|within| Rates::read(within, wiring::kafka(&config)?.as_ref())).transpose()?;
    if let Some(rates) = &live {
        rows.iter_mut().for_each(|row| row.rate = Some(rates.of(&row.id)));
    }
    say(match args.format {
        Format::Svg => svg::draw(&rows, live.as_ref().map(Rates::caption).as_deref()),
        Format::Mermaid => mermaid::draw(&rows),
        Format::Dot => dot::draw(&rows),
    });
    Ok(0)
}

/// No rule is as asked for: what was asked, and what there is.
fn nothing(args: &Args, topology: &Topology) -> Failure {
    let of = |source: &Option<String>, word: &str| {
        source.as_ref().map(|asked| format!("{word} `{asked}`")).unwrap_or_default()
    };
    let asked = [of(&args.source, "of source"), of(&args.use_case, "for use case")];
    let asked = asked.iter().filter(|asked| !asked.is_empty()).map(String::as_str).collect::<Vec<_>>();
    let known: BTreeSet<&str> = match &args.use_case {
        Some(_) => topology.rules.iter().filter_map(|rule| rule.plan.use_case.as_deref()).collect(),
        None => topology.rules.iter().map(|rule| rule.source.as_str()).collect(),
    };
    let known: Vec<&str> = known.into_iter().collect();
    Failure::failed(format!("no rule is {}", asked.join(" "))).hint(format!(
        "the rules in `{}` are for {}",
        args.folder.display(),
        known.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::app::config::Config;
    use crate::codec::Schemas;

    fn rows(use_case: &str) -> Vec<Row> {
        let topology = Topology::load(Path::new("topology"), &wiring::kinds(&Schemas::built_in())).unwrap();
        let ways = Way::all(&Config::load(None, &BTreeMap::new(), &[]).unwrap());
        let rows = topology.rules.iter().map(|rule| Row::of(rule, &ways));
        rows.filter(|row| use_case.is_empty() || row.use_case == use_case).collect()
    }

    #[test]
    fn a_rule_is_drawn_with_all_that_it_says() {
        insta::assert_snapshot!(mermaid::draw(&rows("EC-3")), @r#"
        flowchart LR
          xecm([xecm])
          xecm --> r0["EC-3: ec-3-sla<br/>xecm.task.assigned<br/>xecm.task.reassigned<br/>xecm.task.late<br/>if event.due_at != null && (event.kind == #quot;xecm.task.late#quot; || event.severity in [#quot;high#quot;, #quot;critical#quot;])<br/>once in 7d by process_id, task_id, status_key, assignees, due_at"]
          r0 --> w0{{"due_at: assignees<br/>due_at +4h, critical: supervisor(assignees)<br/>due_at +8h, critical: backup(assignees)<br/>until xecm.task.completed, xecm.task.cancelled"}}
          w0 --> a0("assignees<br/>never requester<br/>high<br/>← approve<br/>← reject<br/>← acknowledge<br/>← request_info<br/>writes back<br/>says what was refused<br/>says when it is over<br/>the newest replaces")
          a0 --> p0
          p0[/"default<br/>mra"/]
        "#);
        insta::assert_snapshot!(dot::draw(&rows("EC-4")), @r#"
        digraph bugle {
          rankdir=LR;
          node [shape=box, fontname="Helvetica", fontsize=10, margin="0.2,0.1"];
          "xecm" [shape=oval];
          "ec-4-safety" [label="EC-4 ec-4-safety\nxecm.document.available\ndoc_kind: safety, incident\nonce in 1d by node.id, node.version"];
          "ec-4-safety when" [shape=hexagon, label="at once\nexpires after 12h"];
          "ec-4-safety whom" [style=rounded, label="role:field-service && location:{site}\nhigh\n← acknowledge"];
          "xecm" -> "ec-4-safety" -> "ec-4-safety when" -> "ec-4-safety whom";
          "ec-4-safety whom" -> "account default";
          "ec-4-documents" [label="EC-4 ec-4-documents\nxecm.document.available\ndoc_kind: job, instruction, other\nonce in 1d by node.id, node.version"];
          "ec-4-documents when" [shape=hexagon, label="digest of 5m by site\nexpires after 12h"];
          "ec-4-documents whom" [style=rounded, label="role:field-service && location:{site}\nnormal"];
          "xecm" -> "ec-4-documents" -> "ec-4-documents when" -> "ec-4-documents whom";
          "ec-4-documents whom" -> "account default";
          "account default" [shape=cds, label="default\nmra"];
        }
        "#);
    }

    #[test]
    fn when_a_rule_speaks_is_drawn_with_what_each_rung_and_step_has_of_its_own() {
        let when = |use_case: &str| {
            let rows = rows(use_case);
            rows.iter()
                .map(|row| format!("{}: {}", row.id, row.when.join("; ")))
                .collect::<Vec<_>>()
                .join("\n")
        };
        let cases = ["EC-1", "EC-2", "DA-3", "DA-5", "DA-6", "DA-7", "XC-5", "XC-8", "BW-4", "BW-8"];
        insta::assert_snapshot!(cases.map(when).join("\n"), @r"
        ec-1-review: after 30s, once for the same news
        ec-1-stage: after 30s, once for the same news
        ec-2-expiry: digest at 09:00 by person; remind 90d, 30d, 7d high, 1d high alone before expires_on; until xecm.record.renewed
        da-3-change: at once; again every 4h, 5 times at most, to who is silent; opened +1d, high: role:second-approver; until devadmin.change.decided
        da-5-credential: digest at 09:00 by person; remind 60d, 30d, 14d, 7d high, 3d high alone, 1d critical alone before credential.expires_at; credential.expires_at -1d, critical: role:security-lead; until devadmin.credential.rotated
        da-6-backlog: event.depth >= event.threshold for 3m, until < 0.8 * event.threshold by environment, app_id, queue; told +30m, critical: role:operations-director; until devadmin.queue.recovered
        da-6-breach: at once; told +30m, critical: role:operations-director; until devadmin.queue.recovered
        da-7-work-item: at once; opened +15m, high: supervisor(assignees || role:{group}); until devadmin.workitem.updated, work_item.state: closed, resolved, cancelled
        xc-5-overdue: remind 1d before due_at; remind at due_at, high; remind 1d after due_at; due_at +1d, high: supervisor(assignees); until xconnector.action.closed
        xc-8-process: session, 5m of silence, 1h at most by process_id
        xc-8-idle: last change +8h: unit:{next_department}; until xconnector.process.step, state: completed, cancelled
        bw-4-completeness: after 15m, unless it closed; again every 1d at 09:00, 5 times at most; opened +5d, high: supervisor(owner); opened +10d, high: supervisor(role:data-steward); until bws.completeness.resolved
        bw-8-agreement: at once; once more after 1h, to who is silent
        bw-8-incident: at once; once more after 1h, to who is silent
        bw-8-notice: at once; once more after 1h, to who is silent
        ");
    }

    #[test]
    fn every_shipped_rule_has_a_row_that_overlaps_no_other() {
        let rows = rows("");
        let drawn = svg::draw(&rows, None);
        for row in &rows {
            assert!(drawn.contains(&format!(">{}<", row.id)), "{}", row.id);
        }
        let places = svg::places(&rows);
        assert_eq!(places.len(), rows.len());
        for pair in places.windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{pair:?}");
        }
        // Whatever is written in a rule, the picture stays one.
        assert!(!drawn.contains("&&") && drawn.contains("&amp;&amp;"));
    }
}
