//! Metrics: what dashboards and alerts rely on does not change unnoticed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use bugle::telemetry::Meters;
use bugle::telemetry::catalogue::METRICS;

/// Names, types and labels. A changed line here breaks somebody's dashboard: say so in the changelog.
const GOLDEN: &str = "tests/metrics.txt";

#[test]
fn names_types_and_labels_are_those_written_down() {
    let mut now = String::new();
    for metric in METRICS {
        writeln!(now, "{} {} {{{}}}", metric.name, metric.kind.as_str(), metric.labels.join(",")).unwrap();
    }
    let golden = fs::read_to_string(GOLDEN).unwrap();
    assert!(
        golden == now,
        "`{GOLDEN}` is not what the catalogue says; when the change is meant, write:\n{now}"
    );
}

#[test]
fn every_series_that_can_be_known_is_there_from_the_start() {
    let page = Meters::apart(Meters::render);
    for metric in METRICS {
        for labels in (metric.series)() {
            let names: Vec<_> = labels.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, metric.labels, "{}", metric.name);
            let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
            let series = match (metric.kind.as_str(), pairs.is_empty()) {
                ("histogram", _) => format!("{}_count", metric.name),
                (_, true) => format!("{} ", metric.name),
                (_, false) => format!("{}{{{}}}", metric.name, pairs.join(",")),
            };
            assert!(page.lines().any(|line| line.starts_with(&series)), "{series} is missing in\n{page}");
        }
    }
}

#[test]
fn every_metric_shown_is_described_once_with_its_type() {
    let page = Meters::apart(Meters::render);
    let typed: BTreeSet<_> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let helped = page.lines().filter(|line| line.starts_with("# HELP ")).count();
    let known: BTreeSet<String> =
        METRICS.iter().map(|metric| format!("{} {}", metric.name, metric.kind.as_str())).collect();
    for line in &typed {
        assert!(known.contains(*line), "`{line}` is not in the catalogue");
    }
    assert_eq!(typed.len(), helped);
}

#[test]
fn names_say_room_what_and_unit() {
    let units = ["_total", "_seconds", "_bytes", "_people", "_members", "_records", "_info"];
    let countable = [
        "bugle_conversation_open_subjects",
        "bugle_deliver_in_flight",
        "bugle_deliver_account_breaker",
        "bugle_deliver_account_limit",
        "bugle_deliver_account_in_flight",
        "bugle_deliver_account_retries_left",
        "bugle_engine_assigned_partitions",
        "bugle_engine_warm_partitions",
        "bugle_process_open_fds",
        "bugle_mutes_active_silences",
        "bugle_mutes_open_blocks",
        "bugle_topology_generation",
        "bugle_state_entries",
    ];
    for metric in METRICS {
        assert!(metric.name.starts_with("bugle_"), "{}", metric.name);
        let unit = units.iter().any(|unit| metric.name.ends_with(unit)) || countable.contains(&metric.name);
        assert!(unit, "{} ends in no unit", metric.name);
        assert_eq!(metric.name.ends_with("_total"), metric.kind.as_str() == "counter", "{}", metric.name);
        assert!(metric.help.ends_with('.'), "{}", metric.name);
    }
}
