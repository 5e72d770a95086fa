//! Copy: the people as this process has read them, shared by all its lanes.
//!
//! Fed by whoever follows the two topics; it reads no topic and asks no registry itself. It knows how far it has
//! come, whether it ever saw the end, and when the end was last confirmed, and it decides nothing: a
//! lane sends nothing before [`View::is_complete`] and holds its releases while not [`View::is_fresh`].
//!
//! **Invariant:** people and position change under one lock. A lane that stamps a decision with a
//! position older or newer than the people it looked at makes a later lane wait for the wrong record.

use std::ops::Deref;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::key::{is_key_of, members_key, read_members_key, read_person_key};
use super::{People, Zones};
use crate::codec::{Codec, Unreadable, person};
use crate::event::{Incoming, Members, Person, Span, Timestamp, Topic};

/// The shared copy.
#[derive(Debug, Default)]
pub struct Directory {
    held: RwLock<Held>,
}

/// The copy at one moment: the people, and how far it had come.
pub struct View<'d>(RwLockReadGuard<'d, Held>);

/// A record's value, decoded.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    /// Of `opentext.directory`; `None` is a tombstone.
    Person(Option<Box<Person>>),
    /// Of `opentext.members`; `None` is a tombstone.
    Members(Option<Members>),
    /// The decoder's words for why it is neither.
    Unreadable(String),
}

/// A record that changed nothing: what stood under its key before still stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{topic}-{partition} at {offset} was passed over: {fault}")]
pub struct PassedOver {
    /// Its topic.
    pub topic: Topic,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// What is wrong with it; names no person.
    pub fault: String,
}

#[derive(Debug, Default)]
struct Held {
    people: People,
    directory: Progress,
    members: Progress,
    passed_over: u64,
}

/// How far one topic was read.
#[derive(Debug, Default)]
struct Progress {
    next: Vec<i64>,
    /// When all of it was last known to be read; `None` until it was once.
    confirmed: Option<Timestamp>,
}

// === impl Decoded ===

impl Decoded {
    /// Reads a record of `opentext.directory` or `opentext.members`.
    ///
    /// # Errors
    /// The schema id to fetch before it can be read; ask again then. Until it is read, no later record
    /// of its partition may be applied.
    pub fn read(codec: &Codec, record: &Incoming) -> Result<Self, u32> {
        let value = record.value.as_deref();
        let read = match record.input.topic {
            Topic::Members => {
                value.map(|value| person::decode_members(codec, value)).transpose().map(Self::Members)
            }
            _ => value.map(|value| person::decode(codec, value).map(Box::new)).transpose().map(Self::Person),
        };
        match read {
            Ok(decoded) => Ok(decoded),
            Err(Unreadable::WantsSchema(id)) => Err(id),
            Err(Unreadable::Refused(fault)) => Ok(Self::Unreadable(fault.to_string())),
        }
    }
}

// === impl Directory ===

impl Directory {
    /// Empty, incomplete.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Empty, incomplete; who names no zone that is known is where their tenant is.
    #[must_use]
    pub fn in_zones(zones: Zones) -> Self {
        let held = Held { people: People::in_zones(zones), ..Held::default() };
        Self { held: RwLock::new(held) }
    }

    /// Looks at the people. Not for long: the follower waits meanwhile.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View(self.held.read().expect("a panic while people were changed leaves nobody to trust"))
    }

    /// Takes records in, in the order they were read, and moves the position behind them. Returns those
    /// that were passed over.
    pub fn apply<'r>(&self, records: impl IntoIterator<Item = (&'r Incoming, Decoded)>) -> Vec<PassedOver> {
        let mut held = self.write();
        let mut passed_over = Vec::new();
        for (record, decoded) in records {
            let input = record.input;
            if let Err(fault) = held.take(record, decoded) {
                let (topic, partition) = (input.topic, input.partition);
                passed_over.push(PassedOver { topic, partition, offset: record.offset, fault });
            }
            if let Some(progress) = held.progress(input.topic) {
                progress.reach(input.partition, record.offset + 1);
            }
        }
        held.passed_over += passed_over.len() as u64;
        passed_over
    }

    /// It is so late: whose absence begins or ends by then is away, or back.
    pub fn pass(&self, now: Timestamp) {
        self.write().people.pass(now);
    }

    /// Moves a topic's position to where its follower stands: past records that compaction or a
    /// transaction left without anything to read.
    pub fn advance(&self, topic: Topic, positions: &[i64]) {
        if let Some(progress) = self.write().progress(topic) {
            for (partition, next) in (0..).zip(positions) {
                progress.reach(partition, *next);
            }
        }
    }

    /// Notes that at `now` the topic ended at `ends`, and returns whether all of it was read.
    pub fn confirm(&self, topic: Topic, ends: &[i64], now: Timestamp) -> bool {
        let mut held = self.write();
        let Some(progress) = held.progress(topic) else { return false };
        let at_end = progress.has_reached(ends);
        if at_end {
            progress.confirmed = progress.confirmed.max(Some(now));
        }
        at_end
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().expect("a panic while people were changed leaves nobody to trust")
    }
}

// === impl View ===

impl View<'_> {
    /// Both topics were read to their ends once. Before that nobody may be told anything.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.directory.confirmed.is_some() && self.0.members.confirmed.is_some()
    }

    /// Both topics were known to be read to their ends at most `span` before `now`.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp, span: Span) -> bool {
        let recently =
            |progress: &Progress| progress.confirmed.is_some_and(|confirmed| now.since(confirmed) <= span);
        recently(&self.0.directory) && recently(&self.0.members)
    }

    /// How far both topics were read, for [`View::reached`] alone: the number of the directory's
    /// partitions, their next offsets, then those of the members' partitions.
    #[must_use]
    pub fn position(&self) -> Vec<i64> {
        let directory = &self.0.directory.next;
        let count = i64::try_from(directory.len()).expect("a topic has fewer than 2^63 partitions");
        [count]
            .into_iter()
            .chain(directory.iter().copied())
            .chain(self.0.members.next.iter().copied())
            .collect()
    }

    /// Whether this copy has come as far as the one that gave this position. The empty position asks
    /// for nothing.
    #[must_use]
    pub fn reached(&self, position: &[i64]) -> bool {
        let Some((count, rest)) = position.split_first() else { return true };
        let count = usize::try_from(*count).unwrap_or(0).min(rest.len());
        let (directory, members) = rest.split_at(count);
        self.0.directory.has_reached(directory) && self.0.members.has_reached(members)
    }

    /// How many records were passed over.
    #[must_use]
    pub fn passed_over(&self) -> u64 {
        self.0.passed_over
    }
}

impl Deref for View<'_> {
    type Target = People;

    fn deref(&self) -> &People {
        &self.0.people
    }
}

// === impl Held ===

impl Held {
    fn progress(&mut self, topic: Topic) -> Option<&mut Progress> {
        match topic {
            Topic::Directory => Some(&mut self.directory),
            Topic::Members => Some(&mut self.members),
            _ => None,
        }
    }

    fn take(&mut self, record: &Incoming, decoded: Decoded) -> Result<(), String> {
        let key = record.key.as_deref().unwrap_or_default();
        match decoded {
            Decoded::Unreadable(fault) => return Err(fault),
            Decoded::Person(person) => {
                let (tenant, user_id) =
                    read_person_key(key).ok_or("its key is not `tenant|user id`".to_owned())?;
                match person {
                    None => self.people.remove(tenant, user_id),
                    Some(person) if is_key_of(key, &person) => self.people.apply(&person),
                    Some(_) => return Err("its key is not its person's `tenant|user id`".to_owned()),
                }
            }
            Decoded::Members(members) => {
                let named = read_members_key(key)
                    .ok_or("its key is not `tenant|scope type|scope id|role`".to_owned())?;
                match members {
                    None => self.people.remove_members(&named),
                    Some(members) if members_key(&members).as_bytes() == key => {
                        self.people.apply_members(&members);
                    }
                    Some(_) => return Err("its key is not its group's".to_owned()),
                }
            }
        }
        Ok(())
    }
}

// === impl Progress ===

impl Progress {
    fn reach(&mut self, partition: i32, next: i64) {
        let Ok(partition) = usize::try_from(partition) else { return };
        if self.next.len() <= partition {
            self.next.resize(partition + 1, 0);
        }
        self.next[partition] = self.next[partition].max(next);
    }

    fn has_reached(&self, ends: &[i64]) -> bool {
        let mut next = self.next.iter().copied().chain(std::iter::repeat(0));
        ends.iter().all(|end| next.next().is_some_and(|next| next >= *end))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::codec::{Name, Schemas};
    use crate::event::audience::{Bound, BoundAudience, Table};
    use crate::event::record::Input;

    fn record(topic: Topic, offset: i64, key: &str) -> Incoming {
        Incoming {
            input: Input { topic, partition: 1 },
            offset,
            timestamp: Timestamp::default(),
            key: Some(Bytes::copy_from_slice(key.as_bytes())),
            value: None,
            headers: Vec::new(),
        }
    }

    fn ada(roles: &[&str]) -> Person {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Person { tenant: "north".into(), user_id: "ada".into(), active: true, roles, ..Person::default() }
    }

    fn holds_legal(directory: &Directory) -> bool {
        let tell = Bound::In(Table::Role, vec!["legal".into()]);
        directory.view().holds("north", &BoundAudience { tell, fallback: None, never: None }, "ada")
    }

    #[test]
    fn a_tombstone_takes_a_person_away() {
        let directory = Directory::new();
        let record = record(Topic::Directory, 0, "north|ada");
        assert_eq!(directory.apply([(&record, Decoded::Person(Some(Box::new(ada(&["legal"])))))]), []);
        assert!(holds_legal(&directory));
        assert_eq!(directory.apply([(&record, Decoded::Person(None))]), []);
        assert!(!holds_legal(&directory));
        assert_eq!(directory.view().count(), 0);
    }

    #[test]
    fn a_record_that_cannot_be_read_leaves_the_entry_before_it() {
        let directory = Directory::new();
        let at = |offset| record(Topic::Directory, offset, "north|ada");
        directory.apply([(&at(0), Decoded::Person(Some(Box::new(ada(&["legal"])))))]);
        let bob = record(Topic::Directory, 3, "north|bob");
        let passed = directory.apply([
            (&at(1), Decoded::Unreadable("it ends in the middle of a text".into())),
            (&record(Topic::Directory, 2, "ada"), Decoded::Person(None)),
            (&bob, Decoded::Person(Some(Box::new(ada(&[]))))),
        ]);
        let words: Vec<String> = passed.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(words.join("\n"), @r"
        opentext.directory-1 at 1 was passed over: it ends in the middle of a text
        opentext.directory-1 at 2 was passed over: its key is not `tenant|user id`
        opentext.directory-1 at 3 was passed over: its key is not its person's `tenant|user id`
        ");
        assert!(holds_legal(&directory));
        assert_eq!(directory.view().passed_over(), 3);
        assert_eq!(directory.view().position(), [2, 0, 4]);
    }

    #[test]
    fn records_are_read_by_their_schema() {
        let codec = Codec::new(std::sync::Arc::new(Schemas::built_in()), None);
        let read = |value: Option<Vec<u8>>| {
            let mut record = record(Topic::Directory, 0, "north|ada");
            record.value = value.map(Bytes::from);
            Decoded::read(&codec, &record)
        };
        let ada = ada(&["legal"]);
        let bytes = person::encode(Name::Person.local_id(), &ada);
        assert_eq!(read(Some(bytes.clone())), Ok(Decoded::Person(Some(Box::new(ada)))));
        assert_eq!(read(None), Ok(Decoded::Person(None)));
        assert!(matches!(read(Some(bytes[..bytes.len() - 1].to_vec())), Ok(Decoded::Unreadable(_))));
    }

    #[test]
    fn it_is_complete_when_both_topics_were_read_to_their_ends() {
        let directory = Directory::new();
        let at = Timestamp::from_millis;
        assert!(!directory.confirm(Topic::Directory, &[0, 1], at(5)), "one record is unread");
        directory
            .apply([(&record(Topic::Directory, 0, "north|ada"), Decoded::Person(Some(Box::new(ada(&[])))))]);
        assert!(directory.confirm(Topic::Directory, &[0, 1], at(6)));
        assert!(!directory.view().is_complete(), "members were never read");
        assert!(directory.confirm(Topic::Members, &[], at(7)));
        assert!(directory.view().is_complete());
        assert!(directory.view().is_fresh(at(16), Span::from_millis(10)));
        assert!(!directory.view().is_fresh(at(17), Span::from_millis(10)), "the directory is 11 ms old");
        assert!(!directory.confirm(Topic::Directory, &[0, 2], at(20)));
        assert!(directory.view().is_complete(), "once is enough");
    }

    #[test]
    fn a_copy_waits_until_it_has_come_as_far_as_another() {
        let (ahead, behind) = (Directory::new(), Directory::new());
        ahead.advance(Topic::Directory, &[3, 9]);
        ahead.advance(Topic::Members, &[5]);
        behind.advance(Topic::Directory, &[3, 9]);
        let position = ahead.view().position();
        assert_eq!(position, [2, 3, 9, 5]);
        assert!(!behind.view().reached(&position));
        behind.advance(Topic::Members, &[6, 1]);
        assert!(behind.view().reached(&position));
        assert!(!ahead.view().reached(&behind.view().position()));
        assert!(Directory::new().view().reached(&[]));
        assert!(behind.view().reached(&[i64::MAX]), "a position that is none asks for nothing");
    }

    #[test]
    fn members_are_followed_too() {
        let directory = Directory::new();
        let group = Members {
            tenant: "north".into(),
            scope_type: "workspace".into(),
            scope_id: "7".into(),
            role: String::new(),
            user_ids: vec!["ada".into()],
        };
        let tell = Bound::Member("workspace".into(), vec!["7".into()], vec![]);
        let audience = BoundAudience { tell, fallback: None, never: None };
        let key = record(Topic::Members, 0, "north|workspace|7|");
        directory.apply([(&key, Decoded::Members(Some(group)))]);
        assert!(!directory.view().holds("north", &audience, "ada"), "nobody knows ada yet");
        directory
            .apply([(&record(Topic::Directory, 0, "north|ada"), Decoded::Person(Some(Box::new(ada(&[])))))]);
        assert!(directory.view().holds("north", &audience, "ada"));
        directory.apply([(&key, Decoded::Members(None))]);
        assert!(!directory.view().holds("north", &audience, "ada"));
    }
}
