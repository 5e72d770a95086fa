//! Follow: a topic of the model, or some of its partitions, read from some offset on and then as it grows.

use std::time::Duration;

use super::super::{BrokerError, Follow, Incoming, Topic};
use super::Model;
use super::group::MemberId;

/// The most records one poll hands out.
const MOST_AT_ONCE: usize = 10_000;

/// One reader. Of a whole topic it holds back what it has not read; some partitions are read once.
pub(super) struct ModelFollow {
    model: Model,
    id: MemberId,
    topic: Topic,
    whole: bool,
    next: Vec<(i32, i64)>,
}

// === impl ModelFollow ===

impl ModelFollow {
    pub(super) fn whole(model: Model, id: MemberId, topic: Topic, next: Vec<i64>) -> Self {
        Self { model, id, topic, whole: true, next: (0..).zip(next).collect() }
    }

    pub(super) fn part(model: Model, id: MemberId, topic: Topic, next: Vec<(i32, i64)>) -> Self {
        Self { model, id, topic, whole: false, next }
    }
}

impl Follow for ModelFollow {
    fn poll(&mut self, wait: Duration, into: &mut Vec<Incoming>) -> Result<(), BrokerError> {
        let (id, topic, whole, next) = (self.id, self.topic, self.whole, &mut self.next);
        let before = into.len();
        self.model.wait_until(wait, |state| {
            let log = state.topics.get(&topic)?;
            for (partition, next) in next.iter_mut() {
                let most = MOST_AT_ONCE.saturating_sub(into.len() - before);
                *next = log.read(*partition, *next, most, |record| into.push(record));
            }
            if whole {
                state.followers.insert(id, (topic, next.iter().map(|(_, next)| *next).collect()));
            }
            (into.len() > before).then_some(())
        });
        Ok(())
    }

    fn positions(&self) -> Vec<i64> {
        self.next.iter().map(|(_, next)| *next).collect()
    }

    fn ends(&mut self) -> Result<Vec<i64>, BrokerError> {
        let state = self.model.lock();
        let log = state.log(self.topic)?;
        Ok(self.next.iter().map(|(partition, _)| log.bounds(*partition).1).collect())
    }

    fn is_settled(&mut self) -> Result<bool, BrokerError> {
        let state = self.model.lock();
        let log = state.log(self.topic)?;
        Ok(self.next.iter().all(|(partition, _)| log.is_settled(*partition)))
    }
}

impl Drop for ModelFollow {
    fn drop(&mut self) {
        self.model.lock().followers.remove(&self.id);
    }
}
