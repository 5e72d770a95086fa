//! Switch: a lane takes newer rules between two transactions, and says how long a partition waits for them.
//!
//! **Invariant:** within a transaction the rules are the same: what was decided by others and is not cut yet
//! would be told in the words of another rule.

use std::time::Duration;

use super::count;
use super::lane_thread::LaneThread;
use super::station::Station;
use crate::broker::{BrokerError, Link};
use crate::clock::Tick;
use crate::event::{Fact, Span};
use crate::flow::Want;

/// A partition that has waited for this long is named in the log, and so often again.
const LONG: Duration = Duration::from_secs(60);

// === impl LaneThread ===

impl LaneThread {
    /// Takes newer rules, where there are any, once nothing decided by those before is left to commit.
    pub(super) fn take_newer_rules(&mut self, link: &mut dyn Link) -> Result<(), BrokerError> {
        let newest = self.parts.rules.newest();
        if newest.generation == self.rules.generation {
            return Ok(());
        }
        if self.gathering.is_some() {
            self.commit(link)?;
        }
        if self.gathering.is_none() {
            self.rules = newest;
        }
        Ok(())
    }

    /// Says which partitions wait for newer rules, and for how long.
    pub(super) fn tell_awaited(&mut self) {
        let (lane, board, have) = (self.lane, &self.parts.board, self.rules.generation);
        let published = self.parts.rules.published();
        for station in self.stations.values_mut() {
            let input = station.input;
            let Some(wanted) = station.wanted_rules() else {
                station.awaits = None;
                count::tell(board, &Fact::RulesAwaited { lane, input, waited: Span::ZERO });
                continue;
            };
            let now = Tick::now();
            let (since, said) = station.awaits.get_or_insert((now, now));
            let waited = Span::from_millis(i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX));
            if said.elapsed() >= LONG {
                *said = now;
                if wanted > published {
                    tracing::error!(
                        %input, wanted, published, %waited,
                        "the partition waits for rules that were never published: bugle.topology was made anew since it decided by them; run `bugle topology publish --after {wanted}`"
                    );
                } else {
                    tracing::error!(
                        %input, wanted, have, %waited,
                        "the partition waits for rules that are published and not in force here; the log says why"
                    );
                }
            }
            count::tell(board, &Fact::RulesAwaited { lane, input, waited: waited.max(Span::from_millis(1)) });
        }
    }
}

// === impl Station ===

impl Station {
    /// The rules it waits for.
    fn wanted_rules(&self) -> Option<u64> {
        match self.want {
            Some(Want::Rules(generation)) => Some(generation),
            _ => None,
        }
    }
}
