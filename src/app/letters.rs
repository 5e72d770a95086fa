//! Letters: dead letters as they lie in their topic, and which of them can be sent on their way again.
//!
//! Each goes back to where it was set aside, and to nobody else. What the source lane could not read is written to
//! its topic once more, as it came. What one rule or one subject could not use is, too, and says for which: the
//! others have heard it. What one partition of people could not use goes to those people again, wherever they are at
//! home since, a batch to the delivery lane, under the id it had, and an answer to the write-back lane, which first
//! looks whether it is there.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::broker::{Broker, BrokerError, Header, Incoming, Outgoing};
use crate::codec;
use crate::event::frame::FrameHead;
use crate::event::ids::person_partition;
use crate::event::redrive::{FOR_RULE, FOR_SUBJECT, REDRIVEN};
use crate::event::{Parcel, Source, Timestamp, Topic};
use crate::flow::accounts::shard_of;
use crate::flow::dead_letter::PARCEL;
use crate::flow::{fan_out, frames, home_of_write_back};

/// What the names of Bugle's own headers begin with.
const OURS: &str = "__bugle.errors.";

/// A dead letter.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Where it lies: partition and offset of the dead letters.
    pub at: (i32, i64),
    /// When it was written.
    pub written: Timestamp,
    /// What Bugle says about it, by name: `stage`, `code`, `message`, `topic`, …
    pub said: BTreeMap<String, String>,
    /// The source's own key.
    pub key: Option<Bytes>,
    /// The source's own bytes.
    pub value: Option<Bytes>,
    /// A batch, as it lay in its frame.
    parcel: Option<Bytes>,
    headers: Vec<Header>,
}

/// How many partitions there are now for what is sent again.
#[derive(Debug, Clone, Copy)]
pub struct Homes {
    /// Of `bugle.people`.
    pub people: u32,
    /// Of `bugle.pushes`.
    pub pushes: u32,
    /// Of `bugle.writebacks`.
    pub write_backs: u32,
}

/// Why a letter is not sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stays {
    /// An answer of a person that an older version wrote.
    #[error("it is an answer of a person in no form that is known: ask them to answer again")]
    Answer,
    /// A batch of which only what a person reads was kept.
    #[error("it is a batch that an older version set aside, and that kept no bytes of it")]
    OldBatch,
    /// Not all of its bytes are here.
    #[error("it was too large to be kept whole: take it from where it came from")]
    Clipped,
    /// It does not say where it came from.
    #[error("it names no topic of a source system")]
    Nowhere,
}

// === impl Letter ===

impl Letter {
    /// A record of the dead letters.
    #[must_use]
    pub fn read(record: Incoming) -> Self {
        let text = |bytes: &Option<Bytes>| {
            bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
        };
        let (ours, headers): (Vec<Header>, Vec<Header>) =
            record.headers.into_iter().partition(|(name, _)| name.starts_with(OURS));
        let parcel = ours.iter().find(|(name, _)| name == PARCEL).and_then(|(_, value)| value.clone());
        let ours = ours.iter().filter(|(name, _)| name != PARCEL);
        let said = ours.filter_map(|(name, value)| Some((name.strip_prefix(OURS)?.to_owned(), text(value))));
        Self {
            at: (record.input.partition, record.offset),
            written: record.timestamp,
            said: said.collect(),
            key: record.key,
            value: record.value,
            parcel,
            headers,
        }
    }

    /// What Bugle says about it under this name; empty where it says nothing.
    #[must_use]
    pub fn word(&self, name: &str) -> &str {
        self.said.get(name).map_or("", String::as_str)
    }

    /// The record to write so that it is read again.
    ///
    /// # Errors
    /// [`Stays`].
    pub fn again(&self) -> Result<Outgoing, Stays> {
        if self.said.contains_key("clipped") {
            return Err(Stays::Clipped);
        }
        let partition = self.word("partition").parse().ok();
        let mut headers = self.headers.clone();
        headers.retain(|(name, _)| ![REDRIVEN, FOR_RULE, FOR_SUBJECT].contains(&name.as_str()));
        let mut say = |name: &str, value: &str| {
            headers.push((name.to_owned(), Some(Bytes::copy_from_slice(value.as_bytes()))));
        };
        say(REDRIVEN, &format!("{}-{}", self.at.0, self.at.1));
        let (key, value) = (self.key.clone(), self.value.clone());
        match self.word("stage") {
            "delivery" => {
                let parcel = self.parcel.as_deref().ok_or(Stays::OldBatch)?;
                let from = partition.unwrap_or_default();
                let value = Some(frames::single(&FrameHead { from, ..FrameHead::default() }, parcel).into());
                Ok(Outgoing { topic: Topic::Pushes, partition, key: None, value, headers })
            }
            "person" => Ok(Outgoing { topic: Topic::People, partition, key: None, value, headers }),
            "write_back" => Ok(Outgoing { topic: Topic::Writebacks, partition, key, value, headers }),
            _ if partition.is_some_and(|partition: i32| partition < 0) => Err(Stays::Answer),
            _ => {
                let topics = Source::ALL.map(Topic::Events);
                let topic = topics.into_iter().find(|topic| topic.to_string() == self.word("topic"));
                for (name, of) in [(FOR_RULE, "rule"), (FOR_SUBJECT, "subject")] {
                    if let Some(word) = self.said.get(of) {
                        say(name, word);
                    }
                }
                Ok(Outgoing { topic: topic.ok_or(Stays::Nowhere)?, partition, key, value, headers })
            }
        }
    }
}

// === impl Homes ===

impl Homes {
    /// As the broker has them.
    ///
    /// # Errors
    /// What the broker said.
    pub fn of(broker: &dyn Broker) -> Result<Self, BrokerError> {
        Ok(Self {
            people: broker.partitions(Topic::People)?,
            pushes: broker.partitions(Topic::Pushes)?,
            write_backs: broker.partitions(Topic::Writebacks)?,
        })
    }

    /// The record in the partition where it belongs now, or a record for each: topics may have grown since it was set
    /// aside, and what is told to one person, or carried to one thing, has its order in one partition. How a source's
    /// own topic is laid out is the source's: there it goes back to where it was.
    #[must_use]
    pub fn take(&self, record: Outgoing) -> Vec<Outgoing> {
        let home = match record.topic {
            Topic::People => return self.of_notice(&record).unwrap_or_else(|| vec![record]),
            Topic::Pushes => self.of_batch(&record),
            Topic::Writebacks => {
                let answer = codec::write_back::read(record.value.as_deref().unwrap_or_default()).ok();
                answer.map(|answer| home_of_write_back(&answer, self.write_backs))
            }
            _ => None,
        };
        vec![Outgoing { partition: home.or(record.partition), ..record }]
    }

    /// For all of its people, who had one partition and may have several now.
    fn of_notice(&self, record: &Outgoing) -> Option<Vec<Outgoing>> {
        let (head, mut items) = frames::FrameItems::read(record.value.as_ref()?).ok()?;
        let homes = fan_out::at_home(items.next()?.ok()?, self.people).ok()?;
        let part = |(partition, item): (i32, Vec<u8>)| {
            let value = Some(frames::single(&head, &item).into());
            Outgoing { partition: Some(partition), value, ..record.clone() }
        };
        Some(homes.into_iter().map(part).collect())
    }

    fn of_batch(&self, record: &Outgoing) -> Option<i32> {
        let parcel = Parcel::read(record.value.as_ref()?.slice_ref(only_item(record)?)).ok()?;
        // All of one batch had one partition; where that has become two, the first one says which.
        let first = parcel.open().members.first()?.user_id;
        let people = person_partition(&parcel.head.tenant, first, self.people);
        Some(shard_of(&parcel.head.account, people, self.pushes))
    }
}

/// What lies in a frame that has one item.
fn only_item(record: &Outgoing) -> Option<&[u8]> {
    frames::FrameItems::read(record.value.as_ref()?).ok()?.1.next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::frame::append;
    use crate::event::notice::{self, Over, Whom};
    use crate::event::push::example;
    use crate::event::record::Input;
    use crate::event::write_back::tests::approval;

    fn letter(said: &[(&str, &str)]) -> Letter {
        let text = |text: &str| Some(Bytes::copy_from_slice(text.as_bytes()));
        let mut headers: Vec<Header> = vec![("traceparent".to_owned(), text("00-1"))];
        headers.extend(said.iter().map(|(name, value)| (format!("{OURS}{name}"), text(value))));
        let input = Input { topic: Topic::DeadLetters, partition: 2 };
        let (timestamp, key, value) = (Timestamp::default(), text("k"), text("bytes"));
        Letter::read(Incoming { input, offset: 9, timestamp, key, value, headers })
    }

    #[test]
    fn what_the_source_lane_set_aside_goes_back_as_it_came() {
        let said = [
            ("stage", "source"),
            ("topic", "opentext.xecm.events"),
            ("partition", "3"),
            ("code", "truncated"),
        ];
        let again = letter(&said).again().unwrap();
        assert_eq!((again.topic, again.partition), (Topic::Events(Source::Xecm), Some(3)));
        assert_eq!((again.key.as_deref(), again.value.as_deref()), (Some(&b"k"[..]), Some(&b"bytes"[..])));
        let names: Vec<&str> = again.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["traceparent", "bugle.redrive"]);
    }

    fn told(record: &Outgoing) -> Vec<(&str, String)> {
        let text = |value: &Option<Bytes>| String::from_utf8(value.clone().unwrap().to_vec()).unwrap();
        record.headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect()
    }

    #[test]
    fn what_one_rule_could_not_use_goes_back_for_that_rule_alone() {
        let said = [
            ("stage", "subject"),
            ("topic", "opentext.xecm.events"),
            ("partition", "3"),
            ("rule", "ec-1"),
            ("subject", "acme|xecm|task=7"),
        ];
        let again = letter(&said).again().unwrap();
        assert_eq!((again.topic, again.partition), (Topic::Events(Source::Xecm), Some(3)));
        let expected = [
            ("traceparent", "00-1".to_owned()),
            ("bugle.redrive", "2-9".to_owned()),
            ("bugle.redrive.rule", "ec-1".to_owned()),
            ("bugle.redrive.subject", "acme|xecm|task=7".to_owned()),
        ];
        assert_eq!(told(&again), expected);
    }

    #[test]
    fn an_answer_and_a_batch_go_back_to_the_lanes_that_set_them_aside() {
        let answer = letter(&[("stage", "write_back"), ("partition", "1")]).again().unwrap();
        assert_eq!((answer.topic, answer.partition), (Topic::Writebacks, Some(1)));
        assert_eq!(answer.value.as_deref(), Some(&b"bytes"[..]));
        let batch =
            letter(&[("stage", "delivery"), ("partition", "1"), ("parcel", "a batch")]).again().unwrap();
        assert_eq!((batch.topic, batch.partition), (Topic::Pushes, Some(1)));
        let frame = batch.value.unwrap();
        let (_, items) = frames::FrameItems::read(&frame).unwrap();
        assert_eq!(items.map(|item| item.unwrap().to_vec()).collect::<Vec<_>>(), [b"a batch"]);
    }

    #[test]
    fn after_its_topic_has_grown_a_letter_goes_where_it_belongs_now() {
        let from_one = |stage, value: Vec<u8>| {
            let said = [("stage", stage), ("partition", "0"), ("topic", "opentext.xecm.events")];
            let mut letter = letter(&said);
            (letter.value, letter.parcel) = (Some(value.clone().into()), Some(value.into()));
            letter.again().unwrap()
        };
        let homes = |count| Homes { people: count, pushes: count, write_backs: count };
        let head = example::head();
        let batch = example::batch(&head).pack();
        let (mut moved, first) = (0, example::batch(&head).members[0].user_id);
        for count in [1, 2, 8, 32] {
            let take = |stage, value| homes(count).take(from_one(stage, value)).remove(0);
            let again = take("delivery", batch.bytes().to_vec());
            let people = person_partition(&head.tenant, first, count);
            assert_eq!(again.partition, Some(shard_of(&head.account, people, count)));
            let answer = codec::write_back::encode(7, &approval("r-1"));
            let carried = take("write_back", answer);
            assert_eq!(carried.partition, Some(home_of_write_back(&approval("r-1"), count)));
            moved += i32::from(again.partition != Some(0)) + i32::from(carried.partition != Some(0));
        }
        assert!(moved > 0, "both stay in partition 0 whatever is done");
        let source = homes(32).take(from_one("source", b"bytes".to_vec()));
        assert_eq!(source[0].partition, Some(0), "a source's topic is laid out as the source likes");
    }

    /// The item of a letter of the person lane, sent again where there are so many partitions: by partition.
    fn again_for_people(item: &[u8], partitions: u32) -> Vec<(i32, Vec<u8>)> {
        let head = FrameHead { generation: 7, ..FrameHead::default() };
        let mut letter = letter(&[("stage", "person"), ("partition", "0")]);
        letter.value = Some(frames::single(&head, item).into());
        let homes = Homes { people: partitions, pushes: 1, write_backs: 1 };
        let records = homes.take(letter.again().unwrap()).into_iter();
        let part = |record: Outgoing| {
            assert!(record.headers.iter().any(|(name, _)| name == REDRIVEN));
            let frame = record.value.unwrap();
            let (found, mut items) = frames::FrameItems::read(&frame).unwrap();
            assert_eq!(found, head);
            (record.partition.unwrap(), items.next().unwrap().unwrap().to_vec())
        };
        records.map(part).collect()
    }

    #[test]
    fn everybody_of_a_letter_is_told_where_they_are_at_home_since() {
        let notice = notice::example::notice();
        let people: Vec<String> = (0..40).map(|number| format!("user-{number}")).collect();
        let count = u32::try_from(people.len()).unwrap().to_le_bytes();
        let mut item = append(&notice, vec![0]);
        item.extend(count);
        let item = people.iter().fold(item, |item, name| append(name, item));
        assert_eq!(again_for_people(&item, 1), [(0, item.clone())], "byte for byte");
        let mut told = Vec::new();
        for (partition, item) in again_for_people(&item, 4) {
            let fan_out::Item::Tell(found, names) = fan_out::read(&item).unwrap() else { panic!() };
            assert_eq!(found, notice);
            assert!(names.iter().all(|name| person_partition(notice.tenant, name, 4) == partition));
            told.extend(names.into_iter().map(str::to_owned));
        }
        told.sort_by_key(|name| people.iter().position(|other| other == name));
        assert_eq!(told, people, "each once");
    }

    #[test]
    fn that_something_is_over_is_said_wherever_somebody_may_wait_for_it() {
        let over = |whom| append(&Over { tenant: "acme", rule: "ec-3", conversation: 9, whom }, vec![1]);
        let all = over(Whom::Everybody);
        let expected: Vec<_> = (0..4).map(|partition| (partition, all.clone())).collect();
        assert_eq!(again_for_people(&all, 4), expected);
        let ada = over(Whom::Person("ada"));
        assert_eq!(again_for_people(&ada, 4), [(person_partition("acme", "ada", 4), ada)]);
    }

    #[test]
    fn what_is_not_whole_or_from_nowhere_stays() {
        let source = ("stage", "source");
        let stays = |said: &[(&str, &str)]| letter(said).again().unwrap_err();
        assert_eq!(stays(&[("stage", "subject"), ("partition", "-1")]), Stays::Answer);
        assert_eq!(stays(&[("stage", "delivery"), ("partition", "1")]), Stays::OldBatch);
        assert_eq!(stays(&[source, ("clipped", "value 9")]), Stays::Clipped);
        assert_eq!(stays(&[source, ("topic", "elsewhere")]), Stays::Nowhere);
    }
}
