//! Planted: a broker with a fault in it, to see that the checks find what they are there to find.

use std::sync::atomic::{AtomicU64, Ordering};

use bugle::broker::model::Model;
use bugle::broker::{Broker, BrokerError, Effect, Follow, Input, Position, Topic};
use bugle::event::Lane;

use super::crooked::{Bent, Done, Twist};
use super::forgetful::Nothing;
use super::instance::group;

/// What is wrong with the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Now and then a record of a commit is not written.
    LosesARecord,
    /// Now and then the records of a commit that is taken back are written all the same.
    HalfCommits,
    /// Nobody is told what an owner before remembered.
    ForgetsMemory,
    /// That something due was told is not written down.
    RingsTwice,
    /// No broker's: the push service says of what it took that it did not.
    DeniesWhatItTook,
}

/// A broker with this fault.
pub(crate) struct Planted {
    pub(crate) bug: Bug,
    pub(crate) commits: AtomicU64,
}

/// Every so manieth commit is hit.
const EVERY: u64 = 7;

impl Twist for Planted {
    fn commit(&self, on: Bent<'_>, mut effects: Vec<Effect>, positions: &[(Input, Position)]) -> Done<()> {
        let flows = |effect: &Effect| matches!(effect.record.topic, Topic::Subjects | Topic::People);
        let hit =
            effects.iter().any(flows) && self.commits.fetch_add(1, Ordering::Relaxed) % EVERY == EVERY - 1;
        match self.bug {
            Bug::LosesARecord if hit => {
                if let Some(lost) = effects.iter().position(flows) {
                    effects.remove(lost);
                }
            }
            Bug::HalfCommits if hit => {
                on.model.publish(effects.into_iter().map(|effect| effect.record).collect())?;
                return Err(BrokerError::Aborted("half of it was written".to_owned()));
            }
            // Where nothing new was heard, only what was due can have changed anything.
            Bug::RingsTwice if on.spec.group == group(Lane::Subject) => {
                let rung: Vec<Input> = effects
                    .iter()
                    .filter(|effect| is_empty_page(effect))
                    .map(|effect| effect.cause)
                    .collect();
                effects.retain(|effect| {
                    let state = effect.record.topic == Topic::State && !is_place(effect);
                    !state || !rung.contains(&effect.cause)
                });
            }
            _ => {}
        }
        on.link.commit(effects, positions)
    }

    fn recall(&self, model: &Model, topic: Topic, from: &[(i32, Option<i64>)]) -> Done<Box<dyn Follow>> {
        match self.bug {
            Bug::ForgetsMemory => Ok(Box::new(Nothing(from.len()))),
            _ => model.recall(topic, from),
        }
    }
}

/// Whether it says that a transaction heard nothing new.
fn is_empty_page(effect: &Effect) -> bool {
    let page = effect.record.value.as_deref().unwrap_or_default();
    effect.record.topic == Topic::Seen && page.get(1..5) == Some(&[0; 4])
}

fn is_place(effect: &Effect) -> bool {
    effect.record.key.as_deref() == Some(b"place")
}
