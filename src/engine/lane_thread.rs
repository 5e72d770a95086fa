//! Lane thread: poll, admit, cut, commit, and what to do when one of them fails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::broker::{Arrival, BrokerError, Input, Link, LinkSpec, Position, StartFrom};
use crate::clock::{self, Tick};
use crate::event::fact::AccountState;
use crate::event::{Fact, Lane, Span, Timestamp, Topic};
use crate::flow::Want;
use crate::topology::Topology;

use super::catch_up::waits_for_unread;
use super::fetch::Fetches;
use super::recall::Restoring;
use super::report::TRIM_EVERY;
use super::sender::{Back, Requests};
use super::station::{Pumped, Station, world};
use super::{Parts, Settings, Stop, count};

/// How long a poll waits when nothing is under way.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// How long a poll waits while answers of the push service are expected, or something is waited for. Where
/// only a commit is left to do it does not wait at all: under load there is always more, and then the
/// transaction grows; where there is nothing, waiting would be added to what every change takes.
pub(super) const BUSY_WAIT: Duration = Duration::from_millis(2);
/// The longest a lane works without asking for more.
const POLL_EVERY: Duration = Duration::from_millis(500);
/// The most records taken from the client at once.
const MOST_POLLED: usize = 2_000;
/// A lane holds while its copy of the directory was not seen at the end for this long.
pub(super) const STALE_AFTER: Span = Span::from_secs(10);
/// Requests under way are waited for this long before a partition is let go.
const DRAIN: Duration = Duration::from_secs(15);
/// How often lag is looked at.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// A transaction may stay open this long; one stalled writer holds up all its readers.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers of the world outside on their way to the partitions that asked.
type Replies = (mpsc::Sender<(i32, Back)>, mpsc::Receiver<(i32, Back)>);

/// One thread's lanes: the partitions of one kind that its consumer was given.
pub(super) struct LaneThread {
    pub(super) lane: Lane,
    pub(super) slot: usize,
    pub(super) parts: Parts,
    /// The rules of the open transaction.
    pub(super) rules: Arc<Topology>,
    settings: Settings,
    pub(super) stop: Arc<Stop>,
    /// Partitions that all threads of this lane hold, and those of this one among them.
    pub(super) held: Arc<AtomicUsize>,
    pub(super) holds: usize,
    requests: Requests,
    fetches: Fetches,
    pub(super) replies: Replies,
    pub(super) stations: BTreeMap<Input, Station>,
    /// Given to us, and not looked at yet.
    pub(super) assigned: Vec<(Input, Option<Position>)>,
    pub(super) restoring: Vec<Restoring>,
    pub(super) gathering: Option<Tick>,
    pub(super) under_way: usize,
    /// Nothing is taken in while the copy of the directory may be too old.
    pub(super) holding: bool,
    pub(super) now: Timestamp,
    link: Option<Box<dyn Link>>,
    /// When its name was taken last.
    pub(super) replaced: Option<Tick>,
    /// The link went back while arrivals were taken in.
    pub(super) rewound: bool,
    /// A commit has ended since the last poll: what waited for it is done at once.
    pub(super) committed: bool,
    polled: Tick,
    reported: Tick,
    trimmed: Tick,
}

// === impl LaneThread ===

impl LaneThread {
    pub(super) fn new(
        which: (Lane, usize),
        parts: &Parts,
        settings: &Settings,
        shared: (&Arc<Stop>, &Arc<AtomicUsize>, &Requests, &Fetches),
    ) -> Self {
        let (lane, slot) = which;
        let (stop, held, requests, fetches) = shared;
        Self {
            lane,
            slot,
            parts: parts.clone(),
            rules: parts.rules.newest(),
            settings: settings.clone(),
            stop: Arc::clone(stop),
            held: Arc::clone(held),
            holds: 0,
            requests: requests.clone(),
            fetches: fetches.clone(),
            replies: mpsc::channel(),
            stations: BTreeMap::new(),
            assigned: Vec::new(),
            restoring: Vec::new(),
            gathering: None,
            under_way: 0,
            holding: false,
            now: clock::now(),
            link: None,
            replaced: None,
            rewound: false,
            committed: false,
            polled: Tick::now(),
            reported: Tick::now(),
            trimmed: Tick::now(),
        }
    }

    /// Runs until stopped.
    pub(super) fn run(mut self) {
        while !self.stopping() {
            self.turn();
        }
        self.end();
    }

    /// Goes round once. A broken link is replaced; every lane then starts from what was committed.
    pub(super) fn turn(&mut self) {
        let link = self.link.take().map_or_else(|| self.parts.broker.link(&self.spec()), Ok);
        match link.and_then(|mut link| self.step(link.as_mut()).map(|()| link)) {
            Ok(link) => self.link = Some(link),
            Err(error) => self.break_off(&error),
        }
    }

    /// Commits what is done and lets go of everything.
    pub(super) fn end(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        let inputs: Vec<Input> = self.stations.keys().copied().collect();
        if let Err(error) = self.let_go(link.as_mut(), &inputs) {
            tracing::warn!(lane = self.lane.as_str(), %error, "what was not committed is done by the next owner");
        }
    }

    fn spec(&self) -> LinkSpec {
        let (name, lane) = (&self.settings.name, self.lane.as_str());
        let slot = format!("{}-{lane}-{}", self.settings.instance, self.slot);
        LinkSpec {
            group: self.group_of(self.lane),
            transactional_id: format!("{name}-{slot}"),
            instance_id: self.settings.static_member.then_some(slot),
            inputs: self.lane.inputs().to_vec(),
            start_from: if self.lane == Lane::Source { self.starts_from() } else { StartFrom::Earliest },
            transaction_timeout: TRANSACTION_TIMEOUT,
        }
    }

    /// The consumer group of a lane.
    pub(super) fn group_of(&self, lane: Lane) -> String {
        super::group_of(&self.settings.name, lane)
    }

    /// Where source lanes begin that have never committed.
    pub(super) fn starts_from(&self) -> StartFrom {
        self.settings.start_from
    }

    fn stopping(&self) -> bool {
        let Stop { asked, lanes, .. } = self.stop.as_ref();
        asked.load(Ordering::Relaxed) || lanes[self.lane as usize].load(Ordering::Relaxed)
    }

    pub(super) fn pause(&self, span: Duration) {
        let began = Tick::now();
        while !self.stopping() && began.elapsed() < span {
            clock::sleep(BUSY_WAIT.max(span / 50));
        }
    }

    fn step(&mut self, link: &mut dyn Link) -> Result<(), BrokerError> {
        let mut arrivals = Vec::new();
        // What was read is used up first; but rebalances and other partitions do not wait for ever.
        let ready = !self.holding && self.stations.values().any(Station::is_ready);
        if !ready || self.polled.elapsed() >= POLL_EVERY {
            self.polled = Tick::now();
            link.poll(self.patience(), MOST_POLLED, &mut arrivals)?;
            self.committed = false;
        }
        let idle = !ready && arrivals.is_empty();
        self.now = self.now.max(clock::now());
        self.rewound = false;
        for arrival in arrivals {
            // What was polled before a rewind comes again, in its order: taken in now, it would hide what
            // lies before it.
            if !(self.rewound && matches!(arrival, Arrival::Record(_))) {
                self.receive(link, arrival)?;
            }
        }
        self.restore(link)?;
        self.take_newer_rules(link)?;
        self.hear_replies();
        self.catch_up(link)?;
        let full = self.pump(link)?;
        let due = self.gathering.is_some_and(|began| began.elapsed() >= self.settings.commit_every);
        if full || due || (idle && self.presses()) {
            self.commit(link)?;
        }
        self.beat();
        if self.reported.elapsed() >= REPORT_EVERY {
            self.reported = Tick::now();
            self.report(link)?;
        }
        if self.trimmed.elapsed() >= TRIM_EVERY {
            self.trimmed = Tick::now();
            self.trim();
        }
        Ok(())
    }

    /// Whether what is gathered leaves as soon as the input runs dry.
    fn presses(&self) -> bool {
        let touched = || self.stations.values().filter(|station| station.touched);
        self.gathering.is_some() && touched().any(|station| station.lane.presses())
    }

    /// How long to wait for records: not at all when there is work, briefly when answers are expected.
    fn patience(&self) -> Duration {
        let running = self.stations.values().filter(|station| station.stopped.is_none());
        let next = running.filter_map(|station| station.lane.wake_at()).min();
        let next = next.map_or(IDLE_WAIT, |at| at.since(self.now).to_duration());
        let waiting = self.stations.values().any(Station::is_waiting);
        let left = self.gathering.map(|began| self.settings.commit_every.saturating_sub(began.elapsed()));
        let next = next.min(left.unwrap_or(next));
        if self.presses() || (self.committed && next.is_zero()) {
            Duration::ZERO
        } else if self.under_way > 0 || waiting || !self.restoring.is_empty() {
            BUSY_WAIT
        } else {
            next.clamp(BUSY_WAIT, clock::unwatched(IDLE_WAIT))
        }
    }

    fn receive(&mut self, link: &mut dyn Link, arrival: Arrival) -> Result<(), BrokerError> {
        match arrival {
            Arrival::Record(record) => {
                if let Some(station) = self.stations.get_mut(&record.input) {
                    station.read(record);
                }
            }
            Arrival::Assigned(input, position) => {
                tracing::debug!(lane = self.lane.as_str(), %input, "assigned");
                if !input.topic.memories().is_empty() {
                    self.assigned.push((input, position));
                } else {
                    link.start(input, position.as_ref())?;
                    let station = Station::begin(input, position.as_ref(), &self.parts)?;
                    self.set_going(input, station);
                }
            }
            Arrival::Revoking(inputs) => self.let_go(link, &inputs)?,
            Arrival::Lost(inputs) => {
                tracing::warn!(lane = self.lane.as_str(), ?inputs, "lost");
                self.forget(&inputs);
            }
        }
        Ok(())
    }

    fn hear_replies(&mut self) {
        let people = self.parts.directory.view();
        let position = people.position();
        let muted = self.parts.mutes.view();
        let world = world(&self.parts, &self.rules, &muted, (&people, &position));
        while let Ok((partition, reply)) = self.replies.1.try_recv() {
            self.under_way = self.under_way.saturating_sub(1);
            let topic = if self.lane == Lane::WriteBack { Topic::Writebacks } else { Topic::Pushes };
            if let Some(station) = self.stations.get_mut(&Input { topic, partition }) {
                match reply {
                    Back::Sent(reply) => station.lane.answered(self.now, reply, &world, &mut station.out),
                    Back::Followed(at, status) => {
                        station.lane.followed(self.now, at, status, &mut station.out);
                    }
                    Back::Called(said) => station.lane.heard(self.now, said, &world, &mut station.out),
                }
                station.touched = true;
                self.gathering.get_or_insert_with(Tick::now);
            }
        }
    }

    /// Lets every station work. `true` when one of them must commit before it goes on.
    fn pump(&mut self, link: &mut dyn Link) -> Result<bool, BrokerError> {
        self.holding = self.lane != Lane::Source && !self.parts.are_fresh();
        if self.holding {
            return Ok(false);
        }
        let (mut full, mut panicked) = (false, false);
        {
            let people = self.parts.directory.view();
            let position = people.position();
            let muted = self.parts.mutes.view();
            let world = world(&self.parts, &self.rules, &muted, (&people, &position));
            for station in self.stations.values_mut() {
                let pumped = station.pump(self.now, &world, self.settings.commit_most);
                full |= pumped == Pumped::Full;
                panicked |= pumped == Pumped::Panicked;
                if panicked {
                    break;
                }
                let may_ring = station.may_ring && station.stopped.is_none();
                if may_ring && station.lane.wake_at().is_some_and(|at| at <= self.now) {
                    // Asked again each time: it may lag by then.
                    station.may_ring = !waits_for_unread(station.input);
                    let Some(want) = station.wake(self.now, &world) else {
                        panicked = true;
                        break;
                    };
                    full |= station.out.bytes() > world.plan.budget || want == Some(Want::Room);
                    station.touched = true;
                    if let Some(Want::Schema(id)) = want {
                        self.fetches.ask(&self.parts, id);
                    }
                }
                if station.touched {
                    self.gathering.get_or_insert_with(Tick::now);
                }
                let to = (station.input.partition, &self.replies.0);
                self.under_way += self.requests.carry(&self.parts, &mut station.out, &position, to);
                if let Some(Want::Schema(id)) = station.want {
                    self.fetches.ask(&self.parts, id);
                }
            }
        }
        if panicked {
            self.gathering = None;
            self.take_back(link)?;
            return Ok(false);
        }
        self.balance(link)?;
        Ok(full)
    }

    /// Reads no further ahead than a station can use.
    fn balance(&mut self, link: &mut dyn Link) -> Result<(), BrokerError> {
        for station in self.stations.values_mut() {
            if !station.paused && station.too_much_read() {
                let offset = station.read_up_to();
                link.pause(station.input, &Position { offset, note: String::new() })?;
                station.paused = true;
            } else if station.paused && station.little_read() {
                link.resume(station.input)?;
                station.paused = false;
            }
        }
        Ok(())
    }

    /// Finishes what is under way in these partitions, commits it, and lets them go.
    fn let_go(&mut self, link: &mut dyn Link, inputs: &[Input]) -> Result<(), BrokerError> {
        let began = Tick::now();
        while self.under_way > 0 && began.elapsed() < DRAIN {
            match self.replies.1.recv_timeout(clock::patience(IDLE_WAIT)) {
                Ok((partition, reply)) => {
                    // Handed back, so that one place takes replies in.
                    let _ = self.replies.0.send((partition, reply));
                    self.hear_replies();
                }
                Err(_) => clock::sleep(BUSY_WAIT),
            }
        }
        for (_, station) in self.stations.iter_mut().filter(|(input, _)| inputs.contains(input)) {
            station.touched |= station.lane.end();
        }
        // A lane that stalled is refused here: what it did is its successor's to do again.
        let committed = self.commit(link);
        self.forget(inputs);
        link.release(inputs)?;
        committed
    }

    pub(super) fn forget(&mut self, inputs: &[Input]) {
        self.forget_restoring(inputs);
        for input in inputs {
            let gone = self.stations.remove(input);
            for AccountState { account, .. } in gone.iter().flat_map(|station| station.lane.accounts()) {
                let state = AccountState { account, ..AccountState::default() };
                count::tell(&self.parts.board, &Fact::Account { input: *input, state });
            }
            self.parts.shelf.let_go(*input);
            count::tell(&self.parts.board, &Fact::Released { lane: self.lane, input: *input });
        }
    }
}
