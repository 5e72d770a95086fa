//! Books: whether the books of a scenario close: everything it was owed ended in exactly one way.

use serde_json::json;

use crate::app::books::Bookkeeper;
use crate::event::{Ending, Verdict};
use crate::scenario::{Finding, Played, Scenario};

/// What is wrong with the books at the end of a scenario. Where the push service has not taken everything by then,
/// they are open, and nothing is said.
pub(super) fn unbalanced(scenario: &Scenario, played: &Played) -> Option<Finding> {
    let mut keeper = Bookkeeper::default();
    (0..played.read).for_each(|_| keeper.change());
    // What the push service did not take stands in the receipts; an answer is carried back from no partition.
    let verdicts = played.steps.iter().flat_map(|moment| &moment.verdicts);
    let is_told =
        |verdict: &&Verdict| verdict.change.partition >= 0 || matches!(verdict.ending, Ending::Carried(_));
    verdicts.filter(is_told).for_each(|verdict| keeper.verdict(verdict));
    for record in &played.written {
        keeper.record(record.topic, (record.key.as_ref(), record.value.as_deref()));
    }
    let books = keeper.books();
    if books.close() || played.sending {
        return None;
    }
    let mut lines = vec!["the books do not close:".to_owned()];
    lines.extend((!books.changes.closes).then(|| format!("changes {}", json!(books.changes))));
    lines.extend((!books.tellings.closes).then(|| format!("tellings {}", json!(books.tellings))));
    lines.extend((!books.write_backs.closes).then(|| format!("write-backs {}", json!(books.write_backs))));
    let end = scenario.steps.last().map_or(scenario.start, |step| step.end);
    Some(Finding { line: scenario.line, at: scenario.clock.show(end), lines })
}
