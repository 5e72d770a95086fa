//! Standby: warm copies of what partitions remember that others run.
//!
//! A copy follows the memory topics, which show what was committed and nothing else. When its partition is
//! assigned to this process, a lane takes the copy, and reads only what came since the copy was looked at.
//! Whoever stands by copies all that it does not run itself: nobody has to agree with anybody about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::recall::{Purpose, Restoring};
use super::waiting::Waiting;
use super::{Parts, count};
use crate::broker::{BrokerError, Input, Topic};
use crate::clock::{self, Tick};
use crate::event::{Fact, Lane};

/// Between two looks at the memory topics.
const REST: Duration = Duration::from_millis(50);
/// Between two looks at which partitions are whose, and two words about it.
const SURVEY_EVERY: Duration = Duration::from_secs(1);
/// A partition that nobody here has for so long is another's: right after a start, or while partitions move,
/// it may be on its way to us.
const SETTLED: Duration = Duration::from_secs(10);
/// The most copies; what is beyond is read back when it is needed.
const MOST: usize = 1_024;

/// Who keeps the copies.
pub struct Standby {
    parts: Parts,
    /// The partitions that no lane here has, and since when.
    free: BTreeMap<Input, Tick>,
    surveyed: Option<Tick>,
}

// === impl Standby ===

impl Standby {
    /// Who keeps copies on the shelf of these parts.
    #[must_use]
    pub fn new(parts: &Parts) -> Self {
        Self { parts: parts.clone(), free: BTreeMap::new(), surveyed: None }
    }

    /// Keeps them until stopped.
    pub(super) fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            self.turn();
            clock::sleep(REST);
        }
    }

    /// Goes round once: begins with what has become another's, and reads on in all copies.
    pub fn turn(&mut self) {
        let survey = self.surveyed.is_none_or(|at| at.elapsed() >= SURVEY_EVERY);
        if survey {
            self.surveyed = Some(Tick::now());
            if let Err(error) = self.survey() {
                tracing::warn!(%error, "no new warm copies for now: the memory topics cannot be read");
                self.free.clear();
            }
        }
        self.read_on(survey);
    }

    fn survey(&mut self) -> Result<(), BrokerError> {
        let warm = self.warm();
        let mut cold: BTreeMap<Topic, Vec<Input>> = BTreeMap::new();
        let (mut room, shelf) = (MOST.saturating_sub(warm.len()), &self.parts.shelf);
        for input in self.partitions() {
            if shelf.holds(input) {
                self.free.remove(&input);
                // Assigned while its copy was being made.
                if shelf.take_warm(input).is_some() {
                    count::tell(&self.parts.board, &Fact::Cold { lane: Lane::of(input.topic), input });
                }
            } else {
                let since = *self.free.entry(input).or_insert_with(Tick::now);
                if room > 0 && !warm.contains(&input) && since.elapsed() >= SETTLED {
                    room -= 1;
                    cold.entry(input.topic).or_default().push(input);
                }
            }
        }
        for (topic, inputs) in cold {
            let begun = |input| Ok((input, Some(Waiting::new(&self.parts, input, None)?)));
            let begun = inputs.into_iter().map(begun).collect::<Result<_, BrokerError>>()?;
            self.parts.shelf.warm().push(Restoring::new(Purpose::Standby, topic, begun));
        }
        Ok(())
    }

    fn read_on(&mut self, tell: bool) {
        let (mut warm, mut facts) = (self.parts.shelf.warm(), Vec::new());
        warm.retain_mut(|restoring| match restoring.look(&self.parts) {
            Ok(looked) => {
                for ((input, copy), looked) in restoring.waiting.iter_mut().zip(looked) {
                    let Some(copy) = copy else { continue };
                    if looked.ready {
                        copy.fresh = Tick::now();
                    }
                    let (lane, lag) = (Lane::of(input.topic), looked.read_back.of - looked.read_back.read);
                    facts.push(Fact::Warm { lane, input: *input, lag });
                }
                restoring.waiting.iter().any(|(_, copy)| copy.is_some())
            }
            Err(error) => {
                tracing::warn!(%error, "warm copies are dropped, and made anew by and by");
                for (input, _) in restoring.waiting.iter().filter(|(_, copy)| copy.is_some()) {
                    self.free.insert(*input, Tick::now());
                    facts.push(Fact::Cold { lane: Lane::of(input.topic), input: *input });
                }
                false
            }
        });
        // Before anybody takes one: what they say of it comes after.
        let told = facts.iter().filter(|fact| tell || matches!(fact, Fact::Cold { .. }));
        told.for_each(|fact| count::tell(&self.parts.board, fact));
        drop(warm);
        if tell {
            let warm = self.warm();
            for lane in Lane::ALL {
                let of_lane = warm.iter().filter(|input| Lane::of(input.topic) == lane);
                let partitions = u32::try_from(of_lane.count()).unwrap_or(u32::MAX);
                count::tell(&self.parts.board, &Fact::Standby { lane, partitions });
            }
        }
    }

    fn warm(&self) -> BTreeSet<Input> {
        let warm = self.parts.shelf.warm();
        let copies = warm.iter().flat_map(|restoring| &restoring.waiting);
        copies.filter(|(_, copy)| copy.is_some()).map(|(input, _)| *input).collect()
    }

    /// All partitions whose lanes remember something.
    fn partitions(&self) -> Vec<Input> {
        let plan = &self.parts.plan;
        let topics = [
            (Topic::Subjects, plan.subjects),
            (Topic::People, plan.people),
            (Topic::Pushes, plan.pushes),
            (Topic::Writebacks, plan.write_backs),
        ];
        let all = |(topic, count): (Topic, u32)| {
            (0..count).filter_map(move |number| Some(Input { topic, partition: i32::try_from(number).ok()? }))
        };
        topics.into_iter().flat_map(all).collect()
    }
}
