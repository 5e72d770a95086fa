//! Link: a lane's reader and transactional writer on the model.
//!
//! Its own memory is only how far it has read; what it holds and what is committed lies with the group.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::terms::check_commit;
use super::super::{Arrival, BrokerError, Effect, Input, Link, LinkSpec, Outgoing, Position, StartFrom};
use super::group::{MemberId, News, Parting};
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
        if self.is_replaced(state) {
            let gone = self.die("the group does not know it");
            let instance = self.spec.instance_id.clone();
            return Err(instance.map_or(gone, |instance| BrokerError::Replaced { instance }));
        }
        let undecided = self.undecided(state);
        let Some(group) = state.groups.get_mut(&self.spec.group) else { return Ok(()) };
        if let Some(parting) = group.tell_evicted(self.id) {
            self.reads.clear();
            match parting {
                Parting::Asked(inputs) => into.push(Arrival::Revoking(inputs)),
                Parting::Waits => {}
                Parting::Lost(inputs) => {
                    if !inputs.is_empty() {
                        into.push(Arrival::Lost(inputs));
                    }
                    group.join(self.id, &self.spec.inputs, self.spec.instance_id.as_deref());
                    state.settle(&self.spec.group);
                }
            }
            return Ok(());
        }
        while let Some(news) = group.news(self.id, &undecided) {
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
        } else {
            Ok(())
        }
    }

    /// What it holds, and whose position a transaction under way may still move.
    fn undecided(&self, state: &State) -> BTreeSet<Input> {
        let held = state.groups.get(&self.spec.group).map(|group| group.held(self.id)).unwrap_or_default();
        held.into_iter().filter(|input| state.is_unstable(&self.spec.group, *input)).collect()
    }

    /// Whether a newer member with its instance id is there in its place. It is told with the next poll.
    fn is_replaced(&self, state: &State) -> bool {
        let group = state.groups.get(&self.spec.group);
        group.is_none_or(|group| !group.has(self.id) && !group.is_evicted(self.id))
    }

    fn is_evicted(&self, state: &State) -> bool {
        state.groups.get(&self.spec.group).is_some_and(|group| group.is_evicted(self.id))
    }

    fn holds(&self, state: &State, input: Input) -> bool {
        let group = state.groups.get(&self.spec.group);
        group.is_some_and(|group| group.holds(self.id, input) || group.held_before(self.id).contains(&input))
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
        let replaced = self.is_replaced(state);
        check_commit(&effects, positions, |input| replaced || self.holds(state, input))?;
        if positions.is_empty() {
            return Ok(());
        }
        let fault = state.faults.pop_front();
        state.faults_hit += usize::from(fault.is_some());
        if fault == Some(Fault::Fatal) {
            return Err(self.die("a test asked for it"));
        }
        let txn = state.begin(&self.spec.transactional_id, self.spec.transaction_timeout);
        let records: Vec<Outgoing> = effects.into_iter().map(|effect| effect.record).collect();
        if let Err(error) = state.append(records, Some(txn)) {
            state.end_rolled_back(txn);
            return Err(error);
        }
        if fault == Some(Fault::FatalOnceWritten) {
            return Err(self.die("a test asked for it, before positions were sent"));
        }
        if replaced || self.is_evicted(state) || fault == Some(Fault::Aborted) {
            // As a real group does by its members and their generation: what a stalled one did is refused.
            state.end_rolled_back(txn);
            let why = if fault.is_some() { "a test asked for it" } else { "the group has given it up" };
            return Err(BrokerError::Aborted(why.to_owned()));
        }
        state.send_offsets(txn, &self.spec.group, positions);
        if fault == Some(Fault::FatalOnceSent) {
            return Err(self.die("a test asked for it, before the end was sent"));
        }
        state.end_committed(txn);
        state.commits += 1;
        if fault == Some(Fault::FatalThoughWritten) {
            return Err(self.die("a test asked for it; everything was written"));
        }
        Ok(())
    }

    fn die(&mut self, why: &str) -> BrokerError {
        self.dead = true;
        BrokerError::Fatal(why.to_owned())
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
        let before = group.held_before(self.id);
        for input in group.held(self.id).into_iter().chain(before) {
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
