//! Later: what time alone brings about after an event, told by telling and not by verdict.

use std::collections::BTreeMap;

use crate::event::{Timestamp, Verdict};
use crate::scenario::Moment;

use super::{Explained, Taken, Telling};

/// What is told later than with the events themselves: up to `until`, and after it. What waits for its time
/// learns when that is.
pub(super) fn of(
    events: &mut [Explained],
    moments: &[Moment],
    until: Option<Timestamp>,
) -> (Vec<Telling>, Vec<Telling>) {
    let mut by_event: BTreeMap<(&str, Option<&str>), Vec<Verdict>> = BTreeMap::new();
    for verdict in moments.iter().flat_map(|moment| &moment.verdicts).filter(|one| !is_told(events, one)) {
        let about = (verdict.event_id.as_str(), verdict.subject.as_deref());
        by_event.entry(about).or_default().push(verdict.clone());
    }
    let taken = Taken::new(moments.iter().flat_map(|moment| &moment.told), until);
    let mut tellings = Vec::new();
    for ((event, _), verdicts) in by_event {
        let of_event = Telling::all(&verdicts, Some(&taken));
        for event in events.iter_mut().filter(|known| known.event_id == event) {
            event.rules.iter_mut().flat_map(|rule| &mut rule.tellings).for_each(|telling| {
                let first =
                    of_event.iter().filter(|later| later.rule == telling.rule).map(|later| later.at).min();
                telling.until = first.filter(|_| telling.waits());
            });
        }
        tellings.extend(of_event);
    }
    tellings.sort_by_key(|telling| telling.at);
    tellings.into_iter().partition(|telling| until.is_none_or(|until| telling.at <= until))
}

/// Whether a verdict is of what an event says itself.
fn is_told(events: &[Explained], verdict: &Verdict) -> bool {
    let of_event = events.iter().filter(|event| event.event_id == verdict.event_id);
    let mut tellings = of_event.flat_map(|event| &event.rules).flat_map(|rule| &rule.tellings);
    tellings.any(|telling| telling.is_of(verdict))
}
