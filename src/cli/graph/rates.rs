//! Rates: how often each rule spoke of late, and to how many people, counted from the audit topic.
//!
//! No metric has a rule as a label: verdicts do.

use std::collections::BTreeMap;

use super::super::Failure;
use super::super::audit::each_of;
use super::super::directory::unreachable;
use crate::broker::Broker;
use crate::clock;
use crate::codec::outputs;
use crate::event::{Ending, Span, Topic};

/// What each rule said, by its id.
#[derive(Debug, Default)]
pub(super) struct Rates {
    /// Tellings, and people named in them.
    said: BTreeMap<String, (u64, u64)>,
    within: Span,
}

// === impl Rates ===

impl Rates {
    /// Counts what was decided within so long until now.
    pub(super) fn read(within: Span, broker: &dyn Broker) -> Result<Self, Failure> {
        let since = clock::now() - within;
        let mut rates = Self { within, ..Self::default() };
        let mut follow = broker.follow_since(Topic::Audit, since).map_err(unreachable)?;
        each_of(follow.as_mut(), Topic::Audit, |record| {
            // What is none of Bugle's is `bugle audit verify`'s business.
            let read = outputs::decode_verdicts(record.value.as_deref().unwrap_or_default());
            let verdicts = read.map(|(_, verdicts)| verdicts).unwrap_or_default();
            for verdict in verdicts.iter().filter(|verdict| verdict.at >= since && verdict.count > 0) {
                if let (Ending::Routed, Some(rule)) = (&verdict.ending, &verdict.rule) {
                    let said = rates.said.entry(rule.clone()).or_default();
                    *said = (said.0 + 1, said.1 + u64::from(verdict.count));
                }
            }
            Ok(())
        })?;
        Ok(rates)
    }

    /// A line about a rule.
    pub(super) fn of(&self, rule: &str) -> String {
        match self.said.get(rule) {
            None => format!("silent for {}", self.within),
            Some((tellings, people)) => {
                format!(
                    "{tellings} in {}, to {people} {}: {}/min",
                    self.within,
                    if *people == 1 { "person" } else { "people" },
                    per_minute(*people, self.within)
                )
            }
        }
    }
}

/// With one digit behind the point.
fn per_minute(count: u64, within: Span) -> String {
    let tenths = u128::from(count) * 600_000 / u128::from(within.millis().max(1).unsigned_abs());
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_told_for_a_minute_and_silence_as_such() {
        let said = BTreeMap::from([("ec-3".to_owned(), (4, 90))]);
        let rates = Rates { said, within: Span::from_secs(3_600) };
        assert_eq!(rates.of("ec-3"), "4 in 1h, to 90 people: 1.5/min");
        assert_eq!(rates.of("ec-4"), "silent for 1h");
    }
}
