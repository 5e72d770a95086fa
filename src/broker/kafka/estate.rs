//! Estate: what an owner left undecided who ended in the middle of a transaction.
//!
//! The transaction of a process that was killed stays open until it times out and the coordinator makes its round:
//! ten seconds, and up to ten more. So long nobody knows where its partitions stand, and nobody reads on in the
//! topics it wrote to. A position therefore names, behind its note, the transactional id that committed it, and a
//! transaction says its positions before it writes anything: whoever is given a partition that stays undecided
//! takes that id over as well, and with it the transaction ends.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::super::{BrokerError, Input, LinkSpec, Position};
use super::reader::Reader;
use super::settings::ANSWER_WITHIN;
use super::writer::take_over;

/// How long a transaction that ended well may keep a position undecided: until the coordinator has told it to the
/// group. It takes milliseconds.
const UNDECIDED_FOR: Duration = Duration::from_millis(1_500);

/// How long an owner who is gone may keep a partition's position undecided where its transaction cannot be ended by
/// us: its timeout, and the coordinator's round that notices it.
const POSITION_WITHIN: Duration = Duration::from_secs(30);

/// Between the note and the transactional id. A note is one line.
const MARK: char = '\n';

/// The most that Kafka keeps beside an offset (`offset.metadata.max.bytes`, as it ships).
const MOST_METADATA: usize = 4_096;

/// A note that says who committed it, where there is room.
pub(super) fn signed(note: &str, transactional_id: &str) -> String {
    if note.len() + MARK.len_utf8() + transactional_id.len() > MOST_METADATA {
        return note.to_owned();
    }
    format!("{note}{MARK}{transactional_id}")
}

/// The note, and who committed it.
pub(super) fn read(metadata: &str) -> (&str, Option<&str>) {
    metadata.rsplit_once(MARK).map_or((metadata, None), |(note, by)| (note, Some(by)))
}

// === impl Reader ===

impl Reader {
    /// The committed positions, those of transactions under way awaited.
    pub(super) fn committed(&self, inputs: &[Input]) -> Result<Vec<(Input, Option<Position>)>, BrokerError> {
        let mut list = TopicPartitionList::with_capacity(inputs.len());
        for input in inputs {
            list.add_partition(self.settings.names.of(input.topic), input.partition);
        }
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        let asked = self.consumer().committed_offsets(list.clone(), UNDECIDED_FOR);
        let asked = asked.or_else(|error| {
            tracing::debug!(%error, "positions are undecided");
            if let Err(error) = self.settle(list.clone()) {
                tracing::warn!(%error, "a transaction that was left open is waited for");
            }
            self.consumer().committed_offsets(list, POSITION_WITHIN)
        });
        let answer = asked.map_err(|error| self.unavailable(&error))?;
        let mut positions = Vec::with_capacity(inputs.len());
        for input in inputs {
            let Some(element) = answer.find_partition(self.settings.names.of(input.topic), input.partition)
            else {
                continue;
            };
            element.error().map_err(|error| self.unavailable(&error))?;
            let position = match element.offset() {
                Offset::Offset(offset) => {
                    Some(Position { offset, note: read(element.metadata()).0.to_owned() })
                }
                _ => None,
            };
            positions.push((*input, position));
        }
        Ok(positions)
    }

    /// Ends the transactions that keep these positions undecided. Who is meant is known by the positions before.
    fn settle(&self, undecided: TopicPartitionList) -> Result<(), BrokerError> {
        let mut config = self.settings.follower();
        // A reader of what is committed is not told a position that another one may replace.
        config.set("group.id", &self.spec.group).set("isolation.level", "read_uncommitted");
        let consumer: BaseConsumer = config.create().map_err(|error| self.unavailable(&error))?;
        let before = consumer.committed_offsets(undecided, ANSWER_WITHIN);
        let before = before.map_err(|error| self.unavailable(&error))?;
        let elements = before.elements();
        let owners: BTreeSet<&str> =
            elements.iter().filter_map(|element| read(element.metadata()).1).collect();
        for owner in owners.into_iter().filter(|owner| *owner != self.spec.transactional_id) {
            tracing::info!(owner, "a transaction was left open by an owner who is gone: it is ended");
            let spec = LinkSpec { transactional_id: owner.to_owned(), ..self.spec.clone() };
            take_over(&self.settings, &spec)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_signed() {
        assert_eq!(read(&signed("1 seq=4", "bugle-a-subject-0")), ("1 seq=4", Some("bugle-a-subject-0")));
        assert_eq!(read(&signed("", "me")), ("", Some("me")));
        assert_eq!(read("1 seq=4"), ("1 seq=4", None));
    }

    #[test]
    fn a_note_that_leaves_no_room_is_not_signed() {
        let long = "x".repeat(MOST_METADATA);
        assert_eq!(signed(&long, "me"), long);
    }
}
