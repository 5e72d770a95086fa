//! Catch-up: what is due waits until what is known is known.
//!
//! A task may have been completed while nobody read: reminding of it first and reading that afterwards would
//! be wrong. So the first thing that is due after a partition was given to somebody waits until the lanes before
//! it and this partition have passed the ends they had then, and what is due while a partition lags waits
//! until it does not. It waits for [`PATIENCE`], then it is told late rather than never.

use std::time::Duration;

use super::lane_thread::LaneThread;
use crate::broker::{BrokerError, Input, Link, StartFrom};
use crate::clock::Tick;
use crate::event::{Lane, Span, Timestamp, Topic};

/// How long what is due waits for what is unread.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at how far the lanes before are: each costs several questions to the cluster.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A partition whose oldest unread record is older than this lags.
const LAG: Span = Span::from_secs(5);

/// What a partition still has to read before anything due may be told.
#[derive(Debug, Default)]
pub(super) enum CatchUp {
    /// Nothing was due since it was given to us.
    #[default]
    Unasked,
    /// These lanes must pass these ends.
    Before { lane: Lane, ends: Vec<(Input, i64)>, began: Tick, looked: Tick },
    /// This partition must pass this end.
    Input { end: i64, began: Tick },
    /// It knows what was known.
    Done,
    /// It fell behind since.
    Lagging { began: Tick },
    /// It waited long enough: what is due is told until it is no longer behind.
    Tired,
}

/// Whether what is due in a partition waits for what is unread: a change may have ended it.
pub(super) fn waits_for_unread(input: Input) -> bool {
    matches!(input.topic, Topic::Subjects | Topic::People)
}

// === impl CatchUp ===

impl CatchUp {
    /// Whether it waited long enough.
    fn is_tired(&self) -> bool {
        match self {
            Self::Before { began, .. } | Self::Input { began, .. } | Self::Lagging { began } => {
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
                CatchUp::Unasked => self.before(Lane::Source, Tick::now())?,
                other => other,
            };
            if let CatchUp::Before { lane, ends, began, looked } = &mut caught {
                let (lane, first, began) = (*lane, looked == began, *began);
                if first || looked.elapsed() >= LOOK_EVERY {
                    *looked = Tick::now();
                    let unread = self.unread(lane)?;
                    let passed = |(input, end): &(Input, i64)| {
                        unread.iter().all(|(other, next, _)| other != input || next >= end)
                    };
                    if ends.iter().all(passed) {
                        caught = match (lane, self.lane) {
                            (Lane::Source, Lane::Person) => self.before(Lane::Subject, began)?,
                            _ => CatchUp::Input { end: link.end(input)?, began },
                        };
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

    /// The ends that a lane before this one has to pass.
    fn before(&self, lane: Lane, began: Tick) -> Result<CatchUp, BrokerError> {
        let ends = self.unread(lane)?.into_iter().map(|(input, _, end)| (input, end)).collect();
        Ok(CatchUp::Before { lane, ends, began, looked: began })
    }

    /// What the partitions of a lane have not read: partition, the next record, the end.
    fn unread(&self, lane: Lane) -> Result<Vec<(Input, i64, i64)>, BrokerError> {
        let unread = self.parts.broker.unread(&self.group_of(lane), lane.inputs())?;
        let begins_at_end = lane == Lane::Source && self.starts_from() == StartFrom::Now;
        Ok(unread
            .into_iter()
            .map(|unread| {
                let begin = if begins_at_end { unread.end } else { unread.first };
                (unread.input, unread.next.unwrap_or(begin), unread.end)
            })
            .collect())
    }
}
