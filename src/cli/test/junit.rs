//! Junit: the result of `bugle test` in the XML that build servers read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::report::label;
use super::{Outcome, Run};

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
