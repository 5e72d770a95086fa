//! Rates: how often each rule spoke of late, and to how many people, counted from the audit topic.
//!
//! No metric has a rule as a label: verdicts do.

use std::collections::BTreeMap;
use std::fmt;

use super::super::Failure;
use super::super::audit::each_of;
use super::super::directory::unreachable;
use crate::broker::Broker;
use crate::clock;
use crate::codec::outputs;
use crate::event::{Ending, Span, Timestamp, Topic};

/// What each rule said, by its id.
#[derive(Debug, Default)]
pub(super) struct Rates {
    /// Tellings, and people named in them.
    said: BTreeMap<String, (u64, u64)>,
    within: Span,
    until: Timestamp,
}

/// How often a rule spoke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rate {
    Silent(Span),
    /// In a line.
    Spoke(String),
}

// === impl Rate ===

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(within) => write!(f, "silent for {within}"),
            Self::Spoke(line) => f.write_str(line),
        }
    }
}

// === impl Rates ===

impl Rates {
    /// Counts what was decided within so long until now.
    pub(super) fn read(within: Span, broker: &dyn Broker) -> Result<Self, Failure> {
        let until = clock::now();
        let since = until - within;
        let mut rates = Self { said: BTreeMap::new(), within, until };
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

    /// About a rule.
    pub(super) fn of(&self, rule: &str) -> Rate {
        let Some((tellings, people)) = self.said.get(rule) else { return Rate::Silent(self.within) };
        let word = if *people == 1 { "person" } else { "people" };
        let pace = pace(*people, self.within);
        Rate::Spoke(format!("{tellings} in {}, to {people} {word}: {pace}", self.within))
    }

    /// Which time they are of.
    pub(super) fn caption(&self) -> String {
        format!("what was said within {} until {}", self.within, self.until)
    }
}

/// With one digit behind the point, of the shortest time in which there is one at least; else of a day.
fn pace(count: u64, within: Span) -> String {
    let tenths = |unit: Span| {
        u128::from(count) * 10 * u128::from(unit.millis().unsigned_abs())
            / u128::from(within.millis().max(1).unsigned_abs())
    };
    let units = [("min", 60), ("h", 3_600), ("d", 86_400)].map(|(name, secs)| (name, Span::from_secs(secs)));
    let (name, unit) = units.into_iter().find(|(_, unit)| tenths(*unit) >= 10).unwrap_or(units[2]);
    let tenths = tenths(unit);
    format!("{}.{}/{name}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_told_of_a_time_in_which_there_is_one_and_silence_as_such() {
        let said = [("ec-3", (4, 90)), ("ec-5", (1, 1))].map(|(rule, said)| (rule.to_owned(), said));
        let rates = Rates { said: said.into(), within: Span::from_secs(3_600), until: Timestamp::default() };
        assert_eq!(rates.of("ec-3").to_string(), "4 in 1h, to 90 people: 1.5/min");
        assert_eq!(rates.of("ec-5").to_string(), "1 in 1h, to 1 person: 1.0/h");
        assert_eq!(rates.of("ec-4").to_string(), "silent for 1h");
        assert_eq!(pace(3, Span::from_secs(7 * 86_400)), "0.4/d");
    }
}
