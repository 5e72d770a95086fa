//! Station: one partition with its lane, and what was read for it but not yet taken in.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Parts;
use super::catch_up::{CatchUp, waits_for_unread};
use crate::broker::{BrokerError, Input, Position};
use crate::clock::Tick;
use crate::event::Topic;
use crate::event::{Incoming, Timestamp};
use crate::flow::cursor::UnreadableCursor;
use crate::flow::delivery::DeliveryLane;
use crate::flow::person::PersonLane;
use crate::flow::source::SourceLane;
use crate::flow::subject::SubjectLane;
use crate::flow::write_back::WriteBackLane;
use crate::flow::{Admitted, Cursor, Muted, Outbox, Plan, Rooms, Want, World};
use crate::topology::Topology;

/// A partition being worked on.
pub(super) struct Station {
    pub(super) input: Input,
    pub(super) lane: Box<dyn Rooms>,
    pub(super) backlog: VecDeque<Incoming>,
    /// The bytes of the values in it.
    waiting: usize,
    pub(super) out: Outbox,
    /// Something happened that a commit must carry.
    pub(super) touched: bool,
    pub(super) paused: bool,
    /// The offset last committed.
    pub(super) committed: i64,
    pub(super) want: Option<Want>,
    /// Since when it has waited for newer rules, and when that was said last.
    pub(super) awaits: Option<(Tick, Tick)>,
    /// How far it is from knowing what was known.
    pub(super) catch_up: CatchUp,
    /// What is due may be told.
    pub(super) may_ring: bool,
    /// Why nothing more is taken in: a record of ours that cannot be read.
    pub(super) stopped: Option<String>,
}

/// What came of letting a station work.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pumped {
    /// Nothing left to take in.
    Dry,
    /// It must commit before it goes on.
    Full,
    /// It waits for something.
    Waiting,
    /// A room panicked: what was done since the last commit must be taken back.
    Panicked,
}

/// How much of a partition is read ahead, in records and in bytes: frames are large.
const MOST_BACKLOG: usize = 2_000;
const MOST_WAITING: usize = 8 * 1024 * 1024;

fn size(record: &Incoming) -> usize {
    record.value.as_ref().map_or(0, bytes::Bytes::len)
}

/// The lane of a partition, going on at an offset.
#[must_use]
pub fn lane_of(input: Input, at: (i64, &Cursor), plan: &Plan) -> Box<dyn Rooms> {
    match input.topic {
        Topic::Events(source) => Box::new(SourceLane::new(source, input.partition, at, plan)),
        Topic::Subjects => Box::new(SubjectLane::new(input.partition, at, plan)),
        Topic::People => Box::new(PersonLane::new(input.partition, at, plan)),
        Topic::Writebacks => Box::new(WriteBackLane::new(input.partition, at, &plan.spill)),
        _ => Box::new(DeliveryLane::new(input.partition, at, plan)),
    }
}

/// What a lane may look at, as it is now.
pub(super) fn world<'w>(
    parts: &'w Parts,
    topology: &'w Topology,
    muted: &'w Muted<'w>,
    (people, directory): (&'w crate::directory::View<'w>, &'w [i64]),
) -> World<'w> {
    World { topology, codec: &parts.codec, people, directory, muted, plan: &parts.plan }
}

// === impl Station ===

impl Station {
    /// A station that goes on at a committed position, or begins where there is none: where is known with its
    /// first record then.
    pub(super) fn begin(input: Input, from: Option<&Position>, parts: &Parts) -> Result<Self, BrokerError> {
        let from = from.cloned().unwrap_or_default();
        Self::open(input, &from, parts).map_err(|error| BrokerError::Fatal(format!("{input}: {error}")))
    }

    fn open(input: Input, from: &Position, parts: &Parts) -> Result<Self, UnreadableCursor> {
        let cursor = Cursor::parse(&from.note, from.offset)?;
        Ok(Self {
            input,
            lane: (parts.make_lane)(input, (from.offset, &cursor), &parts.plan),
            backlog: VecDeque::new(),
            waiting: 0,
            out: Outbox::default(),
            touched: false,
            paused: false,
            committed: from.offset,
            want: None,
            awaits: None,
            catch_up: CatchUp::default(),
            may_ring: !waits_for_unread(input),
            stopped: None,
        })
    }

    /// Takes in what was read, until something must happen first.
    pub(super) fn pump(&mut self, now: Timestamp, world: &World<'_>, most: u64) -> Pumped {
        if self.stopped.is_some() {
            return Pumped::Waiting;
        }
        self.want = None;
        while let Some(record) = self.backlog.front() {
            if self.out.bytes() > world.plan.budget || self.out.tally.records >= most {
                return Pumped::Full;
            }
            let (lane, out) = (&mut self.lane, &mut self.out);
            let admitted = catch_unwind(AssertUnwindSafe(|| lane.admit(now, record, world, out)));
            let Ok(admitted) = admitted else {
                let offset = record.offset;
                self.panicked(&format!("on the record at {offset}"));
                return Pumped::Panicked;
            };
            match admitted {
                Admitted::Done => {
                    self.touched = true;
                    self.out.tally.records += 1;
                    let read = self.backlog.pop_front();
                    self.waiting -= read.map_or(0, |record| size(&record));
                }
                Admitted::More => {
                    self.touched = true;
                    return Pumped::Full;
                }
                Admitted::Wait(want) => {
                    self.want = Some(want);
                    return Pumped::Waiting;
                }
                Admitted::Stop(why) => {
                    tracing::error!(input = %self.input, offset = record.offset, %why, "the partition stops: a record of ours cannot be read");
                    self.stopped = Some(why);
                    return Pumped::Waiting;
                }
            }
        }
        Pumped::Dry
    }

    /// Does what is due. `None` where a room panicked: what was done since the last commit must be taken back.
    pub(super) fn wake(&mut self, now: Timestamp, world: &World<'_>) -> Option<Option<Want>> {
        let (lane, out) = (&mut self.lane, &mut self.out);
        let woken = catch_unwind(AssertUnwindSafe(|| lane.wake(now, world, out)));
        if woken.is_err() {
            tracing::error!(input = %self.input, "a room panicked on what is due");
            self.stopped = Some("a room panicked on what is due".to_owned());
        }
        woken.ok()
    }

    /// Read again, the item at hand is kept; where that cannot be, the partition stops.
    fn panicked(&mut self, place: &str) {
        let input = self.input;
        if self.lane.spare() {
            tracing::error!(%input, "a room panicked {place}: what was done since the last commit is taken back, and the item goes to the dead letters");
        } else {
            tracing::error!(%input, "the partition stops: a room panicked {place}");
            self.stopped = Some(format!("a room panicked {place}"));
        }
    }

    /// Takes note of a record; it is taken in by and by.
    pub(super) fn read(&mut self, record: Incoming) {
        self.waiting += size(&record);
        self.backlog.push_back(record);
    }

    /// What was read is forgotten, to be read again.
    pub(super) fn forget_read(&mut self) {
        self.backlog.clear();
        self.waiting = 0;
    }

    /// When the oldest record was written that was not taken in.
    pub(super) fn oldest_unread(&self) -> Option<Timestamp> {
        self.backlog.front().map(|record| record.timestamp)
    }

    /// The offset behind all that was read.
    pub(super) fn read_up_to(&self) -> i64 {
        self.backlog.back().map_or(0, |record| record.offset + 1)
    }

    /// Whether it has something it can take in.
    pub(super) fn is_ready(&self) -> bool {
        !self.backlog.is_empty() && self.want.is_none() && self.stopped.is_none()
    }

    /// Whether it goes on as soon as something else has happened.
    pub(super) fn is_waiting(&self) -> bool {
        self.stopped.is_none() && (self.want.is_some() || !self.backlog.is_empty())
    }

    /// Whether reading should be stopped for a while.
    pub(super) fn too_much_read(&self) -> bool {
        self.backlog.len() >= MOST_BACKLOG || self.waiting >= MOST_WAITING
    }

    /// Whether reading may go on.
    pub(super) fn little_read(&self) -> bool {
        self.backlog.len() < MOST_BACKLOG / 4 && self.waiting < MOST_WAITING / 4
    }
}
