//! Kafka: one narrow trait, so that the engine does not know which broker it runs on.
//!
//! Two implementations stand behind it: `kafka` (rdkafka against a real cluster) and `model` (in
//! memory, for the demo and for tests). Everything a lane writes leaves through
//! [`Link::commit`], together with the positions it has reached, in one transaction.
//!
//! **Invariant:** a commit names the position of every input partition its effects come from, also
//! when only a timer moved it. Kafka checks a group member's generation on the offsets it sends and
//! on nothing else: a transaction without an offset fences nobody, and a stalled process that wakes
//! up would write what its successor has written already.

pub mod kafka;
pub mod model;
pub mod names;
pub mod partitioner;
pub mod terms;

use std::time::Duration;

use crate::event::Timestamp;
pub use crate::event::record::{Header, Incoming, Input, Outgoing, Topic};

/// How far one lane has come in one input partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position {
    /// The offset to read next. Inside a frame it stays the frame's own.
    pub offset: i64,
    /// The place beyond the offset, and what else must move with it (sequence, place in the frame).
    /// Kept with the committed offset; at most 4 KiB.
    pub note: String,
}

/// What a commit writes, and where each record comes from.
#[derive(Debug)]
pub struct Effect {
    /// The input partition whose position covers this record.
    pub cause: Input,
    /// The record.
    pub record: Outgoing,
}

/// What happened on a link since it was last polled.
#[derive(Debug)]
pub enum Arrival {
    /// A record of an assigned partition, in order, never of an aborted transaction.
    Record(Incoming),
    /// The link was given this partition; nothing is read from it before [`Link::start`].
    Assigned(Input, Option<Position>),
    /// The partition will be taken away: finish what is done, commit it, then [`Link::release`].
    Revoking(Vec<Input>),
    /// The partition is gone: forget what was not committed.
    Lost(Vec<Input>),
}

/// Why a broker did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The transaction was rolled back: drop the overlay, rewind, try again.
    #[error("the transaction was aborted: {0}")]
    Aborted(String),
    /// Nobody knows whether it was committed, or the producer is fenced: treat every partition as newly assigned.
    #[error("the producer cannot go on: {0}")]
    Fatal(String),
    /// Another process takes part under this one's name: whatever this one does is refused from now on.
    #[error("another process takes part as `{instance}` and has taken this one's place")]
    Replaced {
        /// The name both have.
        instance: String,
    },
    /// One record is larger than the broker takes.
    #[error("a record of {size} bytes for `{topic}` is larger than the broker takes")]
    TooLarge {
        /// Where it was to go.
        topic: Topic,
        /// Key and value together.
        size: usize,
    },
    /// A mistake of ours: an effect without a position.
    #[error("an effect for `{topic}` comes from {cause}, whose position is not part of the commit")]
    NoPosition {
        /// Where it was to go.
        topic: Topic,
        /// The input without a position.
        cause: Input,
    },
    /// A mistake of ours: a position for a partition the link does not hold.
    #[error("a position for {input}, which this link does not hold")]
    NotHeld {
        /// The partition.
        input: Input,
    },
    /// A mistake of ours: a note longer than a broker keeps.
    #[error("the note of {input} has {size} bytes, more than a broker keeps with an offset")]
    NoteTooLarge {
        /// Whose position.
        input: Input,
        /// Its bytes.
        size: usize,
    },
    /// The cluster cannot be reached or refuses us.
    #[error("Kafka at {brokers}: {reason}")]
    Unavailable {
        /// Bootstrap servers.
        brokers: String,
        /// What it said.
        reason: String,
    },
    /// A setting breaks a promise, or is none.
    #[error("Kafka setting `{setting}` {fault}")]
    Setting {
        /// Its name.
        setting: String,
        /// What is wrong, and what to write. Never its value when that may be a secret.
        fault: String,
    },
    /// A topic is missing or made wrongly.
    #[error("topic `{name}`: {fault}")]
    Topic {
        /// Its name.
        name: String,
        /// What is wrong, and what to run.
        fault: String,
    },
}

/// Where a lane begins when nothing was ever committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartFrom {
    /// With the oldest record there is.
    Earliest,
    /// With the next one that comes.
    Now,
}

/// What a lane thread needs from a broker.
#[derive(Debug, Clone)]
pub struct LinkSpec {
    /// The consumer group.
    pub group: String,
    /// Stable over restarts of the same slot; a second producer with it fences the first.
    pub transactional_id: String,
    /// Static membership, when configured.
    pub instance_id: Option<String>,
    /// The topics read.
    pub inputs: Vec<Topic>,
    /// Where to begin when nothing was ever committed.
    pub start_from: StartFrom,
    /// How long a transaction may stay open.
    pub transaction_timeout: Duration,
}

/// One lane thread's consumer and transactional producer. Used by one thread; every call may block.
pub trait Link: Send {
    /// Waits at most `wait` for something to happen and appends it to `into`; at most `most` records.
    ///
    /// # Errors
    /// [`BrokerError::Fatal`] or [`BrokerError::Unavailable`]: rebuild the link. [`BrokerError::Replaced`]: end.
    fn poll(&mut self, wait: Duration, most: usize, into: &mut Vec<Arrival>) -> Result<(), BrokerError>;

    /// Begins reading an assigned partition at `from`, or where [`LinkSpec::start_from`] says. One that is
    /// to be released already is left alone.
    ///
    /// # Errors
    /// [`BrokerError::Topic`] when the log starts after `from`, or ends before it: records were lost
    /// unread. [`BrokerError::NotHeld`] when the partition is not ours.
    fn start(&mut self, input: Input, from: Option<&Position>) -> Result<(), BrokerError>;

    /// Lets go of partitions after [`Arrival::Revoking`], after which no record of theirs was handed out.
    /// They go to others once all of one `Revoking` were released.
    ///
    /// # Errors
    /// [`BrokerError::Fatal`]: rebuild the link.
    fn release(&mut self, inputs: &[Input]) -> Result<(), BrokerError>;

    /// Stops handing out records of a partition; after [`Link::resume`] the next one is `from`'s, also
    /// when later ones were handed out before.
    ///
    /// # Errors
    /// [`BrokerError::Fatal`]: rebuild the link.
    fn pause(&mut self, input: Input, from: &Position) -> Result<(), BrokerError>;

    /// The opposite of [`Link::pause`].
    ///
    /// # Errors
    /// [`BrokerError::Fatal`]: rebuild the link.
    fn resume(&mut self, input: Input) -> Result<(), BrokerError>;

    /// Writes all effects and all positions, or none of them.
    ///
    /// # Errors
    /// Before anything was written: [`BrokerError::NoPosition`], [`BrokerError::NotHeld`],
    /// [`BrokerError::NoteTooLarge`], [`BrokerError::TooLarge`]. After everything was rolled back:
    /// [`BrokerError::Aborted`], and [`BrokerError::Topic`] when a record has no topic or partition to go
    /// to. [`BrokerError::Replaced`] when another process has this one's name, [`BrokerError::Fatal`] otherwise.
    fn commit(&mut self, effects: Vec<Effect>, positions: &[(Input, Position)]) -> Result<(), BrokerError>;

    /// After an abort: goes back to the committed positions of everything assigned, and returns them.
    /// Where nothing is committed, reading goes on where [`Link::start`] began.
    ///
    /// # Errors
    /// [`BrokerError::Fatal`]: rebuild the link.
    fn rewind(&mut self) -> Result<Vec<(Input, Option<Position>)>, BrokerError>;

    /// The end of a partition as a reader of committed records sees it.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    fn end(&mut self, input: Input) -> Result<i64, BrokerError>;

    /// The ends of several partitions, in their order: one question where the broker takes them together.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    fn ends(&mut self, inputs: &[Input]) -> Result<Vec<i64>, BrokerError> {
        inputs.iter().map(|input| self.end(*input)).collect()
    }

    /// The offset that is read next; `None` when the partition is not being read. It may lie beyond the last
    /// record and one: a transaction's end takes an offset of its own. A reader has passed an
    /// [`Link::end`] noted before when this has reached it; comparing offsets of records never shows that.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    fn position(&mut self, input: Input) -> Result<Option<i64>, BrokerError>;
}

/// A topic read from its beginning and followed, outside any group: the directory, the members.
pub trait Follow: Send {
    /// Waits at most `wait` and appends what came.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`]: the follower goes on by itself when asked again.
    fn poll(&mut self, wait: Duration, into: &mut Vec<Incoming>) -> Result<(), BrokerError>;

    /// The offset to read next, by partition; see [`Link::position`].
    fn positions(&self) -> Vec<i64>;

    /// The ends of all partitions, asked of the cluster now.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    fn ends(&mut self) -> Result<Vec<i64>, BrokerError>;

    /// Whether nothing that was written waits for the end of its transaction: then [`Follow::ends`] are the
    /// ends of everything there is. Asked rarely.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    fn is_settled(&mut self) -> Result<bool, BrokerError>;
}

/// How a topic is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its role.
    pub topic: Topic,
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: u32,
    /// Topic configuration, such as `cleanup.policy`.
    pub config: Vec<(String, String)>,
}

/// What a group has not read of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread {
    /// The partition.
    pub input: Input,
    /// The first record not read yet, the end where there is none; `None` when the group never committed.
    pub next: Option<i64>,
    /// Where the log begins.
    pub first: i64,
    /// Where it ends.
    pub end: i64,
}

/// A cluster.
pub trait Broker: Send + Sync {
    /// Opens a lane's link. Fences whoever used the transactional id before.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`] or [`BrokerError::Topic`].
    fn link(&self, spec: &LinkSpec) -> Result<Box<dyn Link>, BrokerError>;

    /// Follows a whole topic from its beginning.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`] or [`BrokerError::Topic`].
    fn follow(&self, topic: Topic) -> Result<Box<dyn Follow>, BrokerError>;

    /// Follows a whole topic; records appended before `since` may be passed over unread.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`] or [`BrokerError::Topic`].
    fn follow_since(&self, topic: Topic, _since: Timestamp) -> Result<Box<dyn Follow>, BrokerError> {
        self.follow(topic)
    }

    /// Reads some partitions of a topic: what their lanes remember. Each is read from an offset, or from its
    /// beginning: where none is given, and where the log begins after it or ends before it. At first
    /// [`Follow::positions`] says which it was. The follower counts them in the order given here.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`] or [`BrokerError::Topic`].
    fn recall(&self, topic: Topic, from: &[(i32, Option<i64>)]) -> Result<Box<dyn Follow>, BrokerError>;

    /// What tells a topic from those of other clusters, and from others here.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    fn identity(&self, topic: Topic) -> Result<String, BrokerError>;

    /// What a group has not read of these topics, asked from outside of it. Asked rarely.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`] or [`BrokerError::Topic`].
    fn unread(&self, group: &str, topics: &[Topic]) -> Result<Vec<Unread>, BrokerError>;

    /// Writes records outside any transaction and waits until they are safe. For the front desk only:
    /// lanes write through [`Link::commit`].
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`] or [`BrokerError::TooLarge`].
    fn publish(&self, records: Vec<Outgoing>) -> Result<(), BrokerError>;

    /// How many partitions a topic has.
    ///
    /// # Errors
    /// [`BrokerError::Topic`] when it does not exist.
    fn partitions(&self, topic: Topic) -> Result<u32, BrokerError>;

    /// Makes the topics that do not exist; returns which were made. All of them can be used then.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    fn create(&self, topics: &[TopicSpec]) -> Result<Vec<Topic>, BrokerError>;

    /// Gives a topic so many partitions, where it has fewer; the new ones are empty. All can be used then.
    ///
    /// # Errors
    /// [`BrokerError::Topic`] when it does not exist, [`BrokerError::Unavailable`].
    fn grow(&self, topic: Topic, partitions: u32) -> Result<(), BrokerError>;

    /// How many members a group has; of a group that nobody ever joined, none.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    fn members(&self, group: &str) -> Result<usize, BrokerError>;

    /// Says what is wrong with the topics there are; empty when nothing is.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    fn check(&self, topics: &[TopicSpec]) -> Result<Vec<BrokerError>, BrokerError>;

    /// Drops the records before these offsets, where nobody will read them again.
    ///
    /// **Invariant:** an offset given here is at most the committed one of every group that reads it.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    fn trim(&self, before: &[(Input, i64)]) -> Result<(), BrokerError>;
}
