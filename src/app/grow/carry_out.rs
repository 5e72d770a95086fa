//! Carry out: what is planned, in an order in which every end in the middle can be gone on from.

use std::time::Duration;

use super::{BETWEEN, CannotGrow, Done, Grow, Growing, LOOK, Plan, numbers, taking_part};
use crate::broker::BrokerError;
use crate::clock::{self, Tick};
use crate::event::{Incoming, Outgoing, Topic};
use crate::flow::grow::{Shares, Step};

/// What an instance that was killed left open ends after ten seconds; this is longer.
const SETTLES: Duration = Duration::from_secs(30);
/// Records written at once.
const MOST_AT_ONCE: usize = 2_000;

// === impl Grow ===

impl Grow<'_> {
    /// Does what is planned; `tell` hears how many records of memory it has gone over.
    ///
    /// # Errors
    /// [`CannotGrow`].
    pub fn carry_out(&self, plan: &Plan, mut tell: impl FnMut(u64)) -> Result<Done, CannotGrow> {
        let (last, first): (Vec<&Growing>, Vec<&Growing>) =
            plan.topics.iter().partition(|growing| BETWEEN.contains(&growing.topic));
        for topic in BETWEEN.iter().flat_map(|topic| topic.memories()).chain(&BETWEEN) {
            self.settles(*topic)?;
        }
        // What such a transaction wrote was seen by nobody before.
        if let Some((topic, _)) = self.unread()?.first() {
            return Err(CannotGrow::Unread(*topic));
        }
        self.nobody_takes_part()?;
        for growing in first {
            self.broker.grow(growing.topic, growing.gets)?;
        }
        self.nobody_takes_part()?;
        let mut done = Done::default();
        for (topic, step, people) in self.moving()? {
            for partition in numbers(step.from) {
                self.share_out(Shares::new((topic, partition), step, people), &mut done, &mut tell)?;
            }
        }
        self.nobody_takes_part()?;
        for growing in last {
            self.broker.grow(growing.topic, growing.gets)?;
        }
        Ok(done)
    }

    /// The topics whose memory moves, or speaks of partitions that become more.
    pub(super) fn moving(&self) -> Result<Vec<(Topic, Step, Step)>, BrokerError> {
        let people = self.step(Topic::People)?;
        let mut moving = Vec::new();
        for topic in [Topic::Subjects, Topic::People, Topic::Writebacks] {
            let step = self.step(topic)?;
            if step.grows() || (topic == Topic::Subjects && people.grows()) {
                moving.push((topic, step, people));
            }
        }
        Ok(moving)
    }

    /// One partition's memory: everything to where it belongs, then away from where it was.
    fn share_out(
        &self,
        mut shares: Shares,
        done: &mut Done,
        tell: &mut impl FnMut(u64),
    ) -> Result<(), CannotGrow> {
        let (topic, partition) = shares.of();
        for memory in topic.memories() {
            let mut gone_over = 0;
            let mut copies: Vec<Outgoing> = Vec::new();
            self.read(*memory, partition, |record| {
                let broken = |broken| CannotGrow::Memory { topic: *memory, partition, broken };
                copies.extend(shares.read(record).map_err(broken)?);
                if copies.len() >= MOST_AT_ONCE {
                    self.broker.publish(std::mem::take(&mut copies))?;
                }
                gone_over += 1;
                if gone_over % 1_000 == 0 {
                    tell(1_000);
                }
                Ok::<(), CannotGrow>(())
            })?;
            self.broker.publish(copies)?;
            tell(gone_over % 1_000);
        }
        let memory = topic.memories().last().copied().unwrap_or(topic);
        let broken = |broken| CannotGrow::Memory { topic: memory, partition, broken };
        self.publish(shares.copies().map_err(broken)?)?;
        let forgotten = shares.forgotten().map_err(broken)?;
        let (ids, entries) = shares.read_so_far();
        (done.ids, done.entries) = (done.ids + ids, done.entries + entries as u64);
        done.moved += forgotten.len() as u64;
        Ok(self.publish(forgotten)?)
    }

    fn publish(&self, records: Vec<Outgoing>) -> Result<(), BrokerError> {
        let mut records = records.into_iter().peekable();
        while records.peek().is_some() {
            self.broker.publish(records.by_ref().take(MOST_AT_ONCE).collect())?;
        }
        Ok(())
    }

    /// Reads one partition of a topic to its end.
    pub(super) fn read<E: From<BrokerError>>(
        &self,
        topic: Topic,
        partition: i32,
        mut each: impl FnMut(&Incoming) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut follow = self.broker.recall(topic, &[(partition, None)])?;
        let ends = follow.ends()?;
        let mut records = Vec::new();
        while follow.positions().iter().zip(&ends).any(|(at, end)| at < end) {
            follow.poll(LOOK, &mut records)?;
            for record in records.drain(..) {
                each(&record)?;
            }
        }
        Ok(())
    }

    /// Whoever was killed in a transaction left it open, for ten seconds.
    fn settles(&self, topic: Topic) -> Result<(), CannotGrow> {
        let begun = Tick::now();
        while !self.broker.follow(topic)?.is_settled()? {
            if begun.elapsed() > SETTLES {
                return Err(CannotGrow::Open(topic));
            }
            clock::sleep(LOOK);
        }
        Ok(())
    }

    fn nobody_takes_part(&self) -> Result<(), CannotGrow> {
        match taking_part(self.broker, self.group)? {
            Some((group, _)) => Err(CannotGrow::Joined(group)),
            None => Ok(()),
        }
    }
}
