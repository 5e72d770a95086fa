//! Follow: keeps this process's copies of the directory and the rules at the ends of their topics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::broker::{BrokerError, Follow};
use crate::clock::{self, Tick};
use crate::codec::{Codec, Unreadable, person};
use crate::directory::{Decoded, zones};
use crate::event::mute::Silence;
use crate::event::{Fact, Incoming, Topic};
use crate::flow::Mutes;
use crate::store::view::Board;

use super::lane_thread::STALE_AFTER;
use super::versions::{Compile, Versions};
use super::{Parts, Stop, count};

/// How often the ends of the topics are asked for. The copy counts as fresh for ten seconds after it
/// was seen at the end, so three of these may fail before the lanes hold.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// Reads both topics to their ends, then follows them on threads of their own.
pub(super) fn start(parts: &Parts, stop: &Arc<Stop>) -> Result<Vec<JoinHandle<()>>, BrokerError> {
    let mut threads = Vec::new();
    for topic in [Topic::Directory, Topic::Members] {
        let mut follower = Follower { topic, follow: parts.broker.follow(topic)?, parts: parts.clone() };
        follower.catch_up(&stop.asked)?;
        let asked = Arc::clone(&stop.asked);
        threads.push(stop.spawn(format!("follow-{topic}"), move || follower.run(&asked))?);
    }
    threads.push(mutes(parts, stop)?);
    Ok(threads)
}

/// Reads what is muted to its end, then follows it on a thread of its own.
fn mutes(parts: &Parts, stop: &Arc<Stop>) -> Result<JoinHandle<()>, BrokerError> {
    let (mutes, board) = (Arc::clone(&parts.mutes), Arc::clone(&parts.board));
    let follow = parts.broker.follow(Topic::Mutes)?;
    let mut follower = MutesFollower { follow, mutes, board, told: None };
    let asked = Arc::clone(&stop.asked);
    while !follower.confirm()? && !asked.load(Ordering::Relaxed) {
        follower.take_in()?;
    }
    follower.tell();
    stop.spawn("follow-mutes".to_owned(), move || follower.run(&asked))
}

/// Follows the rules on a thread of its own.
pub(super) fn rules(
    parts: &Parts,
    stop: &Arc<Stop>,
    (versions, compile): (Versions, Compile),
) -> Result<JoinHandle<()>, BrokerError> {
    let (rules, board, asked) = (Arc::clone(&parts.rules), Arc::clone(&parts.board), Arc::clone(&stop.asked));
    stop.spawn("follow-rules".to_owned(), move || versions.follow(&compile, (&rules, &board), &asked))
}

struct Follower {
    topic: Topic,
    follow: Box<dyn Follow>,
    parts: Parts,
}

/// Keeps the copy of what is muted at the end of its topic.
struct MutesFollower {
    follow: Box<dyn Follow>,
    mutes: Arc<Mutes>,
    board: Arc<Board>,
    /// Silences and blocks, as they were told last.
    told: Option<(Vec<Silence>, u64)>,
}

// === impl MutesFollower ===

impl MutesFollower {
    fn run(mut self, stop: &AtomicBool) {
        let mut asked = Tick::now();
        while !stop.load(Ordering::Relaxed) {
            let mut followed = self.take_in();
            if asked.elapsed() >= ASK_EVERY {
                asked = Tick::now();
                followed = followed.and_then(|()| self.confirm().map(drop));
            }
            if let Err(error) = followed {
                tracing::warn!(%error, "what is muted cannot be followed; lanes will hold");
            }
            self.tell();
        }
    }

    fn take_in(&mut self) -> Result<(), BrokerError> {
        let mut records = Vec::new();
        self.follow.poll(Duration::from_millis(100), &mut records)?;
        for record in &records {
            if let Err(unreadable) = self.mutes.apply(record) {
                tracing::warn!(offset = record.offset, %unreadable, "an entry of bugle.mutes changed nothing");
            }
        }
        self.mutes.advance(self.follow.positions().first().copied().unwrap_or_default());
        Ok(())
    }

    fn confirm(&mut self) -> Result<bool, BrokerError> {
        let end = self.follow.ends()?.first().copied().unwrap_or_default();
        Ok(self.mutes.confirm(end, clock::steady()))
    }

    /// Says what is muted, where that is not what it was: silences come and go with time, too.
    fn tell(&mut self) {
        let muted = self.mutes.view().now(clock::now());
        if self.told.as_ref() != Some(&muted) {
            let (silences, blocks) = muted.clone();
            tracing::info!(silences = silences.len(), blocks, "what is muted has changed");
            count::tell(&self.board, &Fact::Muted { silences, blocks });
            self.told = Some(muted);
        }
    }
}

// === impl Parts ===

impl Parts {
    /// The copies of the directory and of what is muted were seen at their ends lately, by the steady clock.
    pub(super) fn are_fresh(&self) -> bool {
        let now = clock::steady();
        self.directory.view().is_fresh(now, STALE_AFTER) && self.mutes.view().is_fresh(now, STALE_AFTER)
    }
}

// === impl Follower ===

impl Follower {
    /// Nothing is sent before this has returned.
    fn catch_up(&mut self, stop: &AtomicBool) -> Result<(), BrokerError> {
        loop {
            let ends = self.follow.ends()?;
            while !reached(&self.follow.positions(), &ends) {
                if stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                self.take_in()?;
            }
            // What was written while we read is read too, before anybody is told anything.
            let ends = self.follow.ends()?;
            if self.confirm(&ends) {
                return Ok(());
            }
        }
    }

    fn run(mut self, stop: &AtomicBool) {
        let mut asked = Tick::now();
        while !stop.load(Ordering::Relaxed) {
            if let Err(error) = self.take_in() {
                tracing::warn!(topic = %self.topic, %error, "the directory cannot be followed; lanes will hold");
            }
            if asked.elapsed() >= ASK_EVERY {
                asked = Tick::now();
                // A schema the registry did not know may have been registered meanwhile.
                self.parts.codec.expire(clock::now());
                match self.follow.ends() {
                    Ok(ends) => {
                        self.confirm(&ends);
                    }
                    Err(error) => {
                        tracing::warn!(topic = %self.topic, %error, "the directory's end is not known");
                    }
                }
            }
        }
    }

    fn take_in(&mut self) -> Result<(), BrokerError> {
        let mut records = Vec::new();
        self.follow.poll(Duration::from_millis(100), &mut records)?;
        let directory = &self.parts.directory;
        let decoded: Vec<_> = records.iter().map(|record| (record, self.decode(record))).collect();
        warn_of_zones(&decoded);
        for passed_over in directory.apply(decoded) {
            tracing::warn!(%passed_over, "a directory record changed nothing");
        }
        directory.advance(self.topic, &self.follow.positions());
        directory.pass(clock::now());
        Ok(())
    }

    fn decode(&self, record: &Incoming) -> Decoded {
        let (codec, value) = (&self.parts.codec, record.value.as_deref());
        match self.topic {
            Topic::Directory => match value.map(|value| decoded(codec, value, person::decode)).transpose() {
                Ok(person) => Decoded::Person(person.map(Box::new)),
                Err(fault) => Decoded::Unreadable(fault),
            },
            _ => match value.map(|value| decoded(codec, value, person::decode_members)).transpose() {
                Ok(members) => Decoded::Members(members),
                Err(fault) => Decoded::Unreadable(fault),
            },
        }
    }

    fn confirm(&self, ends: &[i64]) -> bool {
        let now = clock::now();
        // How old the copy is must not depend on a clock that somebody sets.
        let at_end = self.parts.directory.confirm(self.topic, ends, clock::steady());
        if at_end {
            let view = self.parts.directory.view();
            let (people, zoneless) = (view.count(), view.zoneless());
            drop(view);
            count::tell(&self.parts.board, &Fact::DirectoryRead { people, zoneless, at: now });
        }
        at_end
    }
}

/// Names the first record whose person is in a time zone that nobody knows, and how many there are.
fn warn_of_zones(decoded: &[(&Incoming, Decoded)]) {
    let zone_of = |(record, decoded): &(&Incoming, Decoded)| match decoded {
        Decoded::Person(Some(person)) => {
            let (field, zone) = zones::unknown(person).next()?;
            Some((record.input.partition, record.offset, field, zone.to_owned()))
        }
        _ => None,
    };
    let mut odd = decoded.iter().filter_map(zone_of);
    if let Some((partition, offset, field, zone)) = odd.next() {
        let more = odd.count();
        tracing::warn!(
            partition, offset, field, %zone, more,
            "nobody knows the time zone of a person; until it is mended their tenant's counts"
        );
    }
}

fn reached(positions: &[i64], ends: &[i64]) -> bool {
    ends.iter().zip(positions).all(|(end, position)| position >= end)
}

/// Decodes a value, fetching its schema first when the registry has to be asked.
fn decoded<T>(
    codec: &Codec,
    value: &[u8],
    decode: impl Fn(&Codec, &[u8]) -> Result<T, Unreadable>,
) -> Result<T, String> {
    match decode(codec, value) {
        Err(Unreadable::WantsSchema(id)) => {
            codec.fetch(id).map_err(|error| error.to_string())?;
            decode(codec, value).map_err(|fault| fault.to_string())
        }
        other => other.map_err(|fault| fault.to_string()),
    }
}
