//! Record: what lies in a topic, and the topics by their role.

use std::fmt;

use bytes::Bytes;

use super::{Source, Timestamp};

/// A topic by its role; its name is configuration and known to `broker` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// `opentext.<source>.events`: changes.
    Events(Source),
    /// `opentext.directory`: people, compacted.
    Directory,
    /// `opentext.members`: who belongs to a workspace, process, app or record, compacted.
    Members,
    /// `bugle.topology`: the rules, each version of them whole, compacted.
    Topology,
    /// `bugle.mutes`: what is not told for a while, compacted.
    Mutes,
    /// `bugle.subjects`: frames of changes by subject.
    Subjects,
    /// `bugle.subjects.seen`: which changes each partition of subjects has heard.
    Seen,
    /// `bugle.subjects.state`: what is open, held, gathered or due at each subject, compacted.
    State,
    /// `bugle.people`: frames of notices by person.
    People,
    /// `bugle.people.told`: which news each partition of people has told.
    Told,
    /// `bugle.people.state`: what waits for each person, and the texts of it, compacted.
    Waiting,
    /// `bugle.pushes`: frames of batches.
    Pushes,
    /// `bugle.pushes.state`: batches that were not finished in time, and parts of those that were split, compacted.
    Parked,
    /// `bugle.writebacks`: answers to carry out.
    Writebacks,
    /// `bugle.writebacks.state`: the answers that are not carried out yet, compacted.
    WritebackState,
    /// `bugle.receipts`: one per batch.
    Receipts,
    /// `bugle.audit`: verdicts.
    Audit,
    /// `bugle.dead-letters`: what could not be used, byte for byte.
    DeadLetters,
}

/// One partition of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Input {
    /// The topic.
    pub topic: Topic,
    /// The partition.
    pub partition: i32,
}

/// A header of a record.
pub type Header = (String, Option<Bytes>);

/// A record read.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Where it was read.
    pub input: Input,
    /// Its offset.
    pub offset: i64,
    /// When it was written (or says it was).
    pub timestamp: Timestamp,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Its headers.
    pub headers: Vec<Header>,
}

/// A value with its headers, as a producer sends it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// The value.
    pub value: Bytes,
    /// The headers.
    pub headers: Vec<Header>,
}

/// A record to write.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The topic.
    pub topic: Topic,
    /// The partition; `None` leaves it to the key's hash.
    pub partition: Option<i32>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Its headers.
    pub headers: Vec<Header>,
}

// === impl Topic ===

impl Topic {
    /// Every topic Bugle reads or writes.
    pub const ALL: [Self; 21] = [
        Self::Events(Source::XConnector),
        Self::Events(Source::Xecm),
        Self::Events(Source::Bws),
        Self::Events(Source::DevAdmin),
        Self::Directory,
        Self::Members,
        Self::Topology,
        Self::Mutes,
        Self::Subjects,
        Self::Seen,
        Self::State,
        Self::People,
        Self::Told,
        Self::Waiting,
        Self::Pushes,
        Self::Parked,
        Self::Writebacks,
        Self::WritebackState,
        Self::Receipts,
        Self::Audit,
        Self::DeadLetters,
    ];

    /// Whether it holds what a lane remembers.
    #[must_use]
    pub const fn is_memory(self) -> bool {
        matches!(
            self,
            Self::Seen | Self::State | Self::Told | Self::Waiting | Self::Parked | Self::WritebackState
        )
    }

    /// Whether it is compacted memory: it is written only when something changed, and the lane's cursor says by
    /// which transaction last.
    #[must_use]
    pub const fn is_state(self) -> bool {
        matches!(self, Self::State | Self::Waiting | Self::Parked | Self::WritebackState)
    }

    /// Where the memory of the lane that reads this topic is kept, partition by partition.
    #[must_use]
    pub const fn memories(self) -> &'static [Self] {
        match self {
            Self::Subjects => &[Self::Seen, Self::State],
            Self::People => &[Self::Told, Self::Waiting],
            Self::Pushes => &[Self::Parked],
            Self::Writebacks => &[Self::WritebackState],
            _ => &[],
        }
    }
}

/// The default name.
impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Events(source) => write!(f, "opentext.{source}.events"),
            Self::Directory => f.write_str("opentext.directory"),
            Self::Members => f.write_str("opentext.members"),
            Self::Topology => f.write_str("bugle.topology"),
            Self::Mutes => f.write_str("bugle.mutes"),
            Self::Subjects => f.write_str("bugle.subjects"),
            Self::Seen => f.write_str("bugle.subjects.seen"),
            Self::State => f.write_str("bugle.subjects.state"),
            Self::People => f.write_str("bugle.people"),
            Self::Told => f.write_str("bugle.people.told"),
            Self::Waiting => f.write_str("bugle.people.state"),
            Self::Pushes => f.write_str("bugle.pushes"),
            Self::Parked => f.write_str("bugle.pushes.state"),
            Self::Writebacks => f.write_str("bugle.writebacks"),
            Self::WritebackState => f.write_str("bugle.writebacks.state"),
            Self::Receipts => f.write_str("bugle.receipts"),
            Self::Audit => f.write_str("bugle.audit"),
            Self::DeadLetters => f.write_str("bugle.dead-letters"),
        }
    }
}

impl From<Vec<u8>> for Sent {
    fn from(value: Vec<u8>) -> Self {
        Self { value: value.into(), headers: Vec::new() }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}
