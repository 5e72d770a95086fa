//! Follow: a whole topic of the model, read from its beginning and then as it grows.

use std::time::Duration;

use super::super::{BrokerError, Follow, Incoming, Topic};
use super::group::MemberId;
use super::{Model, partitions_of};

/// The most records one poll hands out.
const MOST_AT_ONCE: usize = 10_000;

/// One reader of a whole topic.
pub(super) struct ModelFollow {
    model: Model,
    id: MemberId,
    topic: Topic,
    next: Vec<i64>,
}

// === impl ModelFollow ===

impl ModelFollow {
    pub(super) fn new(model: Model, id: MemberId, topic: Topic, next: Vec<i64>) -> Self {
        Self { model, id, topic, next }
    }
}

impl Follow for ModelFollow {
    fn poll(&mut self, wait: Duration, into: &mut Vec<Incoming>) -> Result<(), BrokerError> {
        let (id, topic, next) = (self.id, self.topic, &mut self.next);
        let before = into.len();
        self.model.wait_until(wait, |state| {
            let log = state.topics.get(&topic)?;
            for (partition, next) in (0..).zip(next.iter_mut()) {
                let most = MOST_AT_ONCE.saturating_sub(into.len() - before);
                *next = log.read(partition, *next, most, |record| into.push(record));
            }
            (into.len() > before).then(|| {
                state.followers.insert(id, (topic, next.clone()));
            })
        });
        Ok(())
    }

    fn positions(&self) -> Vec<i64> {
        self.next.clone()
    }

    fn ends(&mut self) -> Result<Vec<i64>, BrokerError> {
        let state = self.model.lock();
        let log = state.log(self.topic)?;
        Ok(partitions_of(log).map(|partition| log.bounds(partition).1).collect())
    }
}

impl Drop for ModelFollow {
    fn drop(&mut self) {
        self.model.lock().followers.remove(&self.id);
    }
}
