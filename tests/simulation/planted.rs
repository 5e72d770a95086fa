//! Planted: a broker, or another part, with a fault in it, to see that the checks find what they are there to find.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bugle::broker::model::Model;
use bugle::broker::{Broker, BrokerError, Effect, Follow, Input, Outgoing, Position, Topic};
use bugle::codec::outputs;
use bugle::event::{Ending, Lane};

use super::crooked::{Bent, Done, Twist};
use super::forgetful::Nothing;
use super::instance::group;
use super::mixed::mix;

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
    /// Now and then something open is not written down.
    ForgetsAnEntry,
    /// What an answer ended is not written down.
    ForgetsAnswers,
    /// Now and then a verdict is not written.
    LosesAVerdict,
    /// Batches are cut as if there were no tenants.
    MixesTenants,
    /// Somebody leaves a transaction open.
    LeavesOpen,
    /// Of the push service: it says of what it took that it did not.
    DeniesWhatItTook,
    /// Of the push service: it takes nothing while faults are about.
    TellsNobodyInTrouble,
    /// Of the instances: a directory that nobody follows is taken for whole.
    BelievesWhatHangs,
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
                effects.retain(|effect| !is_entry(effect) || !rung.contains(&effect.cause));
            }
            Bug::ForgetsAnEntry if hit => effects.retain(|effect| !is_entry(effect)),
            Bug::ForgetsAnswers if effects.iter().any(is_answered) => {
                effects.retain(|effect| !is_entry(effect));
            }
            Bug::LosesAVerdict if hit => effects.retain(|effect| effect.record.topic != Topic::Audit),
            Bug::MixesTenants => mix(&mut effects),
            Bug::LeavesOpen if hit => {
                let letter = Outgoing {
                    topic: Topic::DeadLetters,
                    partition: None,
                    key: None,
                    value: None,
                    headers: Vec::new(),
                };
                on.model.leave_open("somebody", Duration::from_secs(86_400 * 30), vec![letter])?;
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

/// Whether it says what is open.
fn is_entry(effect: &Effect) -> bool {
    effect.record.topic == Topic::State && effect.record.key.as_deref() != Some(b"place")
}

/// Whether it says that an answer counted.
fn is_answered(effect: &Effect) -> bool {
    let value = effect.record.value.as_deref().unwrap_or_default();
    effect.record.topic == Topic::Audit
        && outputs::decode_verdicts(value)
            .is_ok_and(|(_, verdicts)| verdicts.iter().any(|v| matches!(v.ending, Ending::Answered(_))))
}
