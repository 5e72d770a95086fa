//! Junit: the result of `bugle test` in the XML that build servers read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::report::label;
use super::{Failure, Outcome, Run};
use crate::topology::Fault;

/// The whole document: one suite for each file.
pub(super) fn xml(run: &Run) -> String {
    let mut suites: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for outcome in &run.outcomes {
        suites.entry(&outcome.scenario.file).or_default().push(outcome);
    }
    let failed =
        |outcomes: &[&Outcome]| outcomes.iter().filter(|outcome| !outcome.findings.is_empty()).count();
    let all: Vec<&Outcome> = run.outcomes.iter().collect();
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let _ = writeln!(
        text,
        "<testsuites name=\"bugle\" tests=\"{}\" failures=\"{}\" time=\"{:.3}\">",
        all.len(),
        failed(&all),
        run.took.as_secs_f64(),
    );
    for (file, outcomes) in suites {
        let took: f64 = outcomes.iter().map(|outcome| outcome.took.as_secs_f64()).sum();
        let (tests, failures) = (outcomes.len(), failed(&outcomes));
        let file = escaped(file);
        let _ = writeln!(
            text,
            "  <testsuite name=\"{file}\" tests=\"{tests}\" failures=\"{failures}\" time=\"{took:.3}\">"
        );
        outcomes.iter().for_each(|outcome| case(outcome, &mut text));
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

/// The document where nothing was played: each fault is an error in its file.
pub(super) fn faults(faults: &[Fault]) -> String {
    let mut files: BTreeMap<&str, Vec<&Fault>> = BTreeMap::new();
    for fault in faults {
        files.entry(&fault.file).or_default().push(fault);
    }
    let mut text = head(faults.len());
    for (file, faults) in files {
        let (file, count) = (escaped(file), faults.len());
        let _ = writeln!(
            text,
            "  <testsuite name=\"{file}\" tests=\"{count}\" errors=\"{count}\" time=\"0.000\">"
        );
        for Fault { line, column, code, message, hint, .. } in faults {
            let place = format!("name=\"{line}:{column} {code}\" file=\"{file}\" line=\"{line}\"");
            error((&file, &place), code, (message, hint), &mut text);
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

/// The document where something keeps everything from being played.
pub(super) fn failure(failure: &Failure) -> String {
    let mut text = head(1);
    text.push_str("  <testsuite name=\"bugle test\" tests=\"1\" errors=\"1\" time=\"0.000\">\n");
    let hint = failure.hint.as_deref().unwrap_or_default();
    error(("bugle test", "name=\"everything\""), "unplayed", (&failure.message, hint), &mut text);
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

fn head(errors: usize) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"bugle\" tests=\"{errors}\" failures=\"0\" errors=\"{errors}\" time=\"0.000\">\n"
    )
}

/// One that could not be played; `class` and `place` are written as they are.
fn error((class, place): (&str, &str), code: &str, (message, hint): (&str, &str), text: &mut String) {
    let _ = writeln!(
        text,
        "    <testcase classname=\"{class}\" {place} time=\"0.000\">\n      \
         <error message=\"{}\" type=\"{code}\">{}</error>\n    </testcase>",
        escaped(message),
        escaped(hint),
    );
}

fn case(outcome: &Outcome, text: &mut String) {
    let scenario = &outcome.scenario;
    let _ = write!(
        text,
        "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\" line=\"{}\" time=\"{:.3}\"",
        escaped(&label(scenario)),
        escaped(&scenario.name),
        escaped(&scenario.file),
        scenario.line,
        outcome.took.as_secs_f64(),
    );
    if outcome.findings.is_empty() {
        text.push_str("/>\n");
        return;
    }
    let mut told = String::new();
    for finding in &outcome.findings {
        let _ = writeln!(told, "{} {}:{}", finding.at, scenario.file, finding.line);
        finding.lines.iter().for_each(|line| {
            let _ = writeln!(told, "  {line}");
        });
    }
    let count = outcome.findings.len();
    let _ = writeln!(
        text,
        ">\n      <failure message=\"{count} otherwise than written\">{}</failure>\n    </testcase>",
        escaped(&told)
    );
}

/// As text or in an attribute. What XML cannot hold at all is replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(letter),
            letter if letter.is_control() || ['\u{fffe}', '\u{ffff}'].contains(&letter) => {
                out.push('\u{fffd}');
            }
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_escaped_or_replaced() {
        assert_eq!(escaped("a < \"b\" & c\u{7}\n"), "a &lt; &quot;b&quot; &amp; c\u{fffd}\n");
    }
}
