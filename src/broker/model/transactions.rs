//! Transactions: what a producer writes is seen when its end arrives, in each partition in its own time.
//!
//! A transaction ends when it is committed or rolled back, when its producer's successor takes the id over,
//! and when it has been open for too long. Its producer begins no other one before its end has arrived
//! everywhere.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::{BrokerError, Input, Outgoing, Position};
use super::State;
use crate::clock::{self, Tick};

/// A transaction's number, never used twice.
pub(super) type TxnId = u64;

/// Where the end of a transaction arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// In a partition it wrote to.
    Records(Input),
    /// Where the offsets of this group are kept.
    Offsets(&'a str),
}

/// One transaction whose end has not arrived everywhere.
#[derive(Debug)]
pub(super) struct Transaction {
    /// The transactional id.
    producer: String,
    began: Tick,
    within: Duration,
    committed: bool,
    /// What it wrote, and where its end has not arrived.
    written: BTreeMap<Input, Vec<i64>>,
    /// The group and its positions that move with it.
    offsets: Option<(String, Vec<(Input, Position)>)>,
}

// === impl State ===

impl State {
    /// Begins a transaction; the one before it ends first.
    pub(super) fn begin(&mut self, producer: &str, within: Duration) -> TxnId {
        self.finish_of(producer);
        self.last_id += 1;
        let transaction = Transaction {
            producer: producer.to_owned(),
            began: Tick::now(),
            within,
            committed: false,
            written: BTreeMap::new(),
            offsets: None,
        };
        self.transactions.insert(self.last_id, transaction);
        self.last_id
    }

    /// What a producer left open is rolled back, and what it committed arrives.
    pub(super) fn finish_of(&mut self, producer: &str) {
        self.finish(|transaction| transaction.producer == producer);
    }

    /// What a producer left open is committed.
    pub(super) fn commit_of(&mut self, producer: &str) {
        let of_it = self.transactions.values_mut().filter(|open| open.producer == producer);
        of_it.for_each(|open| open.committed = true);
    }

    /// Rolls back what has been open for too long.
    pub(super) fn expire_transactions(&mut self) {
        if !self.transactions.is_empty() {
            self.finish(|open| !open.committed && open.began.elapsed() >= open.within);
        }
    }

    fn finish(&mut self, which: impl Fn(&Transaction) -> bool) {
        let ids: Vec<TxnId> =
            self.transactions.iter().filter(|(_, open)| which(open)).map(|(id, _)| *id).collect();
        for id in ids {
            self.arrive(id, |_| true);
        }
    }

    /// Appends all records, or none when one of them has no place to go to.
    pub(super) fn append(&mut self, records: Vec<Outgoing>, txn: Option<TxnId>) -> Result<(), BrokerError> {
        let mut places = Vec::with_capacity(records.len());
        for record in &records {
            let log = self.topics.get_mut(&record.topic);
            let log = log.ok_or_else(|| BrokerError::missing(&record.topic.to_string()))?;
            if !log.takes(record) {
                let reason = format!("a record for `{}`, which is compacted, has no key", log.spec.name);
                return Err(BrokerError::Aborted(reason));
            }
            let place = log.place(record);
            places.push(place.ok_or_else(|| BrokerError::Topic {
                name: log.spec.name.clone(),
                fault: format!("has no partition {}", record.partition.unwrap_or_default()),
            })?);
        }
        let now = clock::now();
        let mut written: BTreeMap<Input, Vec<i64>> = BTreeMap::new();
        for (record, partition) in records.into_iter().zip(places) {
            let input = Input { topic: record.topic, partition };
            if let Some(log) = self.topics.get_mut(&record.topic) {
                written.entry(input).or_default().extend(log.append(partition, now, record, txn));
            }
        }
        written.keys().for_each(|input| self.trim(*input));
        if let Some(transaction) = txn.and_then(|txn| self.transactions.get_mut(&txn)) {
            transaction.written = written;
        }
        Ok(())
    }

    /// The positions of a group move with the transaction.
    pub(super) fn send_offsets(&mut self, txn: TxnId, group: &str, positions: &[(Input, Position)]) {
        if let Some(transaction) = self.transactions.get_mut(&txn) {
            transaction.offsets = Some((group.to_owned(), positions.to_vec()));
        }
    }

    /// The transaction is committed, whatever becomes of its producer; its end arrives now, or when
    /// [`super::Model::land`] says so.
    pub(super) fn end_committed(&mut self, txn: TxnId) {
        if let Some(transaction) = self.transactions.get_mut(&txn) {
            transaction.committed = true;
        }
        if !self.markers_late {
            self.arrive(txn, |_| true);
        }
    }

    /// The transaction is rolled back.
    pub(super) fn end_rolled_back(&mut self, txn: TxnId) {
        self.arrive(txn, |_| true);
    }

    /// Lets the ends of committed transactions arrive in the places that `lands` picks; whether none is left.
    pub(super) fn arrive_where(&mut self, mut lands: impl FnMut(Place<'_>) -> bool) -> bool {
        let ended = self.transactions.iter().filter(|(_, transaction)| transaction.committed);
        let ids: Vec<TxnId> = ended.map(|(id, _)| *id).collect();
        let mut all = true;
        for id in ids {
            all &= self.arrive(id, &mut lands);
        }
        all
    }

    /// Whether a transaction under way may still move this position of a group.
    pub(super) fn is_unstable(&self, group: &str, input: Input) -> bool {
        self.transactions.values().filter_map(|transaction| transaction.offsets.as_ref()).any(
            |(name, positions)| name == group && positions.iter().any(|(position, _)| *position == input),
        )
    }

    /// The end of one transaction arrives in some places; whether it has arrived everywhere.
    fn arrive(&mut self, txn: TxnId, mut lands: impl FnMut(Place<'_>) -> bool) -> bool {
        let Some(mut transaction) = self.transactions.remove(&txn) else { return true };
        let committed = transaction.committed;
        transaction.written.retain(|input, offsets| {
            if !lands(Place::Records(*input)) {
                return true;
            }
            if let Some(log) = self.topics.get_mut(&input.topic) {
                log.land(input.partition, txn, (!committed).then_some(&offsets[..]));
            }
            false
        });
        if let Some((name, positions)) = transaction.offsets.take_if(|(name, _)| lands(Place::Offsets(name)))
            && committed
        {
            if let Some(group) = self.groups.get_mut(&name) {
                positions.iter().for_each(|(input, position)| group.commit(*input, position.clone()));
            }
            positions.iter().for_each(|(input, _)| self.trim(*input));
        }
        let everywhere = transaction.written.is_empty() && transaction.offsets.is_none();
        if !everywhere {
            self.transactions.insert(txn, transaction);
        }
        everywhere
    }
}
