//! Catch-up: what is due waits until what is known is known.
//!
//! A task may have been completed while nobody read: reminding of it first and reading that afterwards would
//! be wrong. So the first thing that is due after a partition was given to somebody waits until the source
//! lanes and this partition have passed the ends they had then, and what is due while a partition lags waits
//! until it does not. It waits for [`PATIENCE`], then it is told late rather than never.

use std::time::Duration;

use super::lane_thread::LaneThread;
use crate::broker::{BrokerError, Input, Link, StartFrom};
use crate::clock::Tick;
use crate::event::{Lane, Source, Span, Timestamp, Topic};

/// How long what is due waits for what is unread.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at how far the source lanes are: each costs several questions to the cluster.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A partition whose oldest unread record is older than this lags.
const LAG: Span = Span::from_secs(5);

/// What a partition still has to read before anything due may be told.
#[derive(Debug, Default)]
pub(super) enum CatchUp {
    /// Nothing was due since it was given to us.
    #[default]
    Unasked,
    /// The source lanes must pass these ends.
    Sources { ends: Vec<(Input, i64)>, began: Tick, looked: Tick },
    /// This partition must pass this end.
    Input { end: i64, began: Tick },
    /// It knows what was known.
    Done,
    /// It fell behind since.
    Lagging { began: Tick },
    /// It waited long enough: what is due is told until it is no longer behind.
    Tired,
}

// === impl CatchUp ===

impl CatchUp {
    /// Whether it waited long enough.
    fn is_tired(&self) -> bool {
        match self {
            Self::Sources { began, .. } | Self::Input { began, .. } | Self::Lagging { began } => {
                began.elapsed() >= PATIENCE
            }
            Self::Unasked | Self::Done | Self::Tired => false,
        }
    }
}

// === impl LaneThread ===

impl LaneThread {
    /// Lets those partitions of which something is due look how far they have come.
    pub(super) fn catch_up(&mut self, link: &mut dyn Link) -> Result<(), BrokerError> {
        if self.lane != Lane::Subject {
            return Ok(());
        }
        let now = self.now;
        let due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let waiting: Vec<Input> = self
            .stations
            .values()
            .filter(|station| !station.may_ring && due(station.lane.wake_at()))
            .map(|station| station.input)
            .collect();
        for input in waiting {
            let Some(station) = self.stations.get_mut(&input) else { continue };
            let (mut caught, front) = (std::mem::take(&mut station.catch_up), station.oldest_unread());
            let lags = front.is_some_and(|at| now.since(at) > LAG);
            caught = match caught {
                CatchUp::Unasked => {
                    let ends = self.unread()?.into_iter().map(|(input, _, end)| (input, end)).collect();
                    let began = Tick::now();
                    CatchUp::Sources { ends, began, looked: began }
                }
                other => other,
            };
            if let CatchUp::Sources { ends, began, looked } = &mut caught {
                let (first, began) = (looked == began, *began);
                if first || looked.elapsed() >= LOOK_EVERY {
                    *looked = Tick::now();
                    let unread = self.unread()?;
                    let passed = |(input, end): &(Input, i64)| {
                        unread.iter().all(|(other, next, _)| other != input || next >= end)
                    };
                    if ends.iter().all(passed) {
                        caught = CatchUp::Input { end: link.end(input)?, began };
                    }
                }
            }
            let Some(station) = self.stations.get_mut(&input) else { continue };
            let read = link.position(input)?;
            let is_empty = station.backlog.is_empty();
            caught = match caught {
                CatchUp::Input { end, .. } if is_empty && read.is_none_or(|read| read >= end) => {
                    CatchUp::Done
                }
                CatchUp::Done if lags => CatchUp::Lagging { began: Tick::now() },
                CatchUp::Lagging { .. } | CatchUp::Tired if !lags => CatchUp::Done,
                other => other,
            };
            if caught.is_tired() {
                tracing::warn!(%input, "what is due is told though not all is read");
                caught = CatchUp::Tired;
            }
            station.may_ring |= matches!(caught, CatchUp::Done | CatchUp::Tired);
            station.catch_up = caught;
        }
        Ok(())
    }

    /// What the source lanes have not read: partition, the next record, the end.
    fn unread(&self) -> Result<Vec<(Input, i64, i64)>, BrokerError> {
        let group = self.group_of(Lane::Source);
        let topics = Source::ALL.map(Topic::Events);
        let unread = self.parts.broker.unread(&group, &topics)?;
        let begins_at_end = self.starts_from() == StartFrom::Now;
        Ok(unread
            .into_iter()
            .map(|unread| {
                let begin = if begins_at_end { unread.end } else { unread.first };
                (unread.input, unread.next.unwrap_or(begin), unread.end)
            })
            .collect())
    }
}
