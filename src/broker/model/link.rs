//! Link: a lane's reader and transactional writer on the model.
//!
//! Its own memory is only how far it has read; what it holds and what is committed lies with the group.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::terms::check_commit;
use super::super::{Arrival, BrokerError, Effect, Input, Link, LinkSpec, Outgoing, Position, StartFrom};
use super::group::{MemberId, News};
use super::{Fault, Model, State};

/// One link.
pub(super) struct ModelLink {
    model: Model,
    id: MemberId,
    spec: LinkSpec,
    reads: BTreeMap<Input, Reading>,
    /// After [`BrokerError::Fatal`] nothing works any more, as with a real producer.
    dead: bool,
}

/// How far a partition has been read.
struct Reading {
    next: i64,
    /// Where it began, for as long as nothing is committed.
    begun: i64,
    paused: bool,
}

// === impl ModelLink ===

impl ModelLink {
    pub(super) fn new(model: Model, id: MemberId, spec: LinkSpec) -> Self {
        Self { model, id, spec, reads: BTreeMap::new(), dead: false }
    }

    /// Takes what there is: first what happened to partitions, then records.
    fn take(&mut self, state: &mut State, most: usize, into: &mut Vec<Arrival>) -> Result<(), BrokerError> {
        self.alive(state)?;
        let Some(group) = state.groups.get_mut(&self.spec.group) else { return Ok(()) };
        if let Some(held) = group.take_evicted(self.id) {
            self.reads.clear();
            into.push(Arrival::Lost(held.into_iter().collect()));
            group.join(self.id, &self.spec.inputs, self.spec.instance_id.as_deref());
            state.settle(&self.spec.group);
            return Ok(());
        }
        while let Some(news) = group.news(self.id) {
            into.push(match news {
                News::Assigned(input) => Arrival::Assigned(input, group.committed(input).cloned()),
                News::Revoking(inputs) => {
                    self.reads.retain(|input, _| !inputs.contains(input));
                    Arrival::Revoking(inputs)
                }
            });
        }
        // Each partition gets its share of what is asked for, so that a full one does not starve the rest.
        let open = self.reads.values().filter(|reading| !reading.paused).count();
        let share = most.div_ceil(open.max(1)).max(1);
        let mut left = most;
        for (input, reading) in self.reads.iter_mut().filter(|(_, reading)| !reading.paused) {
            if let Some(log) = state.topics.get(&input.topic) {
                let before = into.len();
                let most = share.min(left);
                reading.next =
                    log.read(input.partition, reading.next, most, |r| into.push(Arrival::Record(r)));
                left -= into.len() - before;
            }
        }
        Ok(())
    }

    /// Whether this link may still do anything.
    fn alive(&self, state: &State) -> Result<(), BrokerError> {
        let newest = state.producers.get(&self.spec.transactional_id);
        if self.dead {
            Err(BrokerError::Fatal("it has failed before".to_owned()))
        } else if newest != Some(&self.id) {
            Err(BrokerError::Fatal(format!("a newer `{}` has fenced it", self.spec.transactional_id)))
        } else if !state.groups.get(&self.spec.group).is_some_and(|g| g.has(self.id) || g.is_evicted(self.id))
        {
            Err(BrokerError::Fatal("a newer member has taken its instance id".to_owned()))
        } else {
            Ok(())
        }
    }

    fn is_evicted(&self, state: &State) -> bool {
        state.groups.get(&self.spec.group).is_some_and(|group| group.is_evicted(self.id))
    }

    fn holds(&self, state: &State, input: Input) -> bool {
        state.groups.get(&self.spec.group).is_some_and(|group| group.holds(self.id, input))
    }

    fn is_revoking(&self, state: &State, input: Input) -> bool {
        state.groups.get(&self.spec.group).is_some_and(|group| group.is_revoking(self.id, input))
    }

    fn write(
        &mut self,
        state: &mut State,
        effects: Vec<Effect>,
        positions: &[(Input, Position)],
    ) -> Result<(), BrokerError> {
        self.alive(state)?;
        if self.is_evicted(state) {
            // As a real group does by the generation of its members: what a stalled one did is refused.
            return Err(BrokerError::Aborted("the group has given this member up".to_owned()));
        }
        check_commit(&effects, positions, |input| self.holds(state, input))?;
        let fault = state.faults.pop_front();
        match fault {
            Some(Fault::Aborted) => {
                state.faults_hit += 1;
                return Err(BrokerError::Aborted("a test asked for it".to_owned()));
            }
            Some(Fault::Fatal) => {
                state.faults_hit += 1;
                self.dead = true;
                return Err(BrokerError::Fatal("a test asked for it".to_owned()));
            }
            Some(Fault::FatalThoughWritten) | None => {}
        }
        state.faults_hit += usize::from(fault.is_some());
        let records: Vec<Outgoing> = effects.into_iter().map(|effect| effect.record).collect();
        state.append(records, true)?;
        if let Some(group) = state.groups.get_mut(&self.spec.group) {
            for (input, position) in positions {
                group.commit(*input, position.clone());
            }
        }
        for (input, _) in positions {
            state.trim(*input);
        }
        state.commits += 1;
        if fault == Some(Fault::FatalThoughWritten) {
            self.dead = true;
            return Err(BrokerError::Fatal("a test asked for it; everything was written".to_owned()));
        }
        Ok(())
    }
}

impl Link for ModelLink {
    fn poll(&mut self, wait: Duration, most: usize, into: &mut Vec<Arrival>) -> Result<(), BrokerError> {
        let before = into.len();
        let model = self.model.clone();
        let polled = model.wait_until(wait, |state| {
            let taken = self.take(state, most, into);
            (taken.is_err() || into.len() > before).then_some(taken)
        });
        polled.unwrap_or(Ok(()))
    }

    fn start(&mut self, input: Input, from: Option<&Position>) -> Result<(), BrokerError> {
        let state = self.model.lock();
        self.alive(&state)?;
        if self.is_evicted(&state) {
            // It is told with the next poll.
            return Ok(());
        }
        if !self.holds(&state, input) {
            return Err(BrokerError::NotHeld { input });
        }
        if self.is_revoking(&state, input) {
            return Ok(());
        }
        let log = state.log(input.topic)?;
        let (first, end) = log.bounds(input.partition);
        let next = match (from, self.spec.start_from) {
            (Some(position), _) => position.offset,
            (None, StartFrom::Earliest) => first,
            (None, StartFrom::Now) => end,
        };
        if next < first || next > end {
            return Err(BrokerError::gap(&log.spec.name, input, next, (first, end)));
        }
        drop(state);
        self.reads.insert(input, Reading { next, begun: next, paused: false });
        Ok(())
    }

    fn release(&mut self, inputs: &[Input]) -> Result<(), BrokerError> {
        let mut state = self.model.lock();
        self.alive(&state)?;
        if let Some(group) = state.groups.get_mut(&self.spec.group) {
            group.release(self.id, inputs);
        }
        state.settle(&self.spec.group);
        drop(state);
        self.reads.retain(|input, _| !inputs.contains(input));
        self.model.shared.changed.notify_all();
        Ok(())
    }

    fn pause(&mut self, input: Input, from: &Position) -> Result<(), BrokerError> {
        if let Some(reading) = self.reads.get_mut(&input) {
            reading.paused = true;
            reading.next = from.offset;
        }
        Ok(())
    }

    fn resume(&mut self, input: Input) -> Result<(), BrokerError> {
        if let Some(reading) = self.reads.get_mut(&input) {
            reading.paused = false;
        }
        Ok(())
    }

    fn commit(&mut self, effects: Vec<Effect>, positions: &[(Input, Position)]) -> Result<(), BrokerError> {
        let model = self.model.clone();
        let written = self.write(&mut model.lock(), effects, positions);
        model.shared.changed.notify_all();
        written
    }

    fn rewind(&mut self) -> Result<Vec<(Input, Option<Position>)>, BrokerError> {
        let state = self.model.lock();
        self.alive(&state)?;
        let Some(group) = state.groups.get(&self.spec.group) else { return Ok(Vec::new()) };
        let mut back = Vec::new();
        for input in group.held(self.id) {
            let committed = group.committed(input).cloned();
            if let Some(reading) = self.reads.get_mut(&input) {
                reading.next = committed.as_ref().map_or(reading.begun, |position| position.offset);
            }
            back.push((input, committed));
        }
        Ok(back)
    }

    fn end(&mut self, input: Input) -> Result<i64, BrokerError> {
        let state = self.model.lock();
        Ok(state.log(input.topic)?.bounds(input.partition).1)
    }

    fn position(&mut self, input: Input) -> Result<Option<i64>, BrokerError> {
        Ok(self.reads.get(&input).map(|reading| reading.next))
    }
}

impl Drop for ModelLink {
    fn drop(&mut self) {
        let mut state = self.model.lock();
        if let Some(group) = state.groups.get_mut(&self.spec.group) {
            group.leave(self.id);
        }
        state.settle(&self.spec.group);
        drop(state);
        self.model.shared.changed.notify_all();
    }
}
