//! Counted: what happened in a play, in numbers, and what was looked at when it was over.

use std::fmt;

/// What was done to the instances, the broker, the services and the people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// An instance was gone between two turns.
    CrashIdle,
    /// An instance was gone before anything of its commit was written.
    CrashBeforeProduce,
    /// … when its records were written, and no offset was sent.
    CrashProduced,
    /// … when its offsets were sent, and the end was not.
    CrashOffsetsSent,
    /// … when all was committed, and no answer had come.
    CrashCommitted,
    /// An instance did nothing for longer than its groups wait.
    Stall,
    /// A commit was rolled back.
    Aborted,
    /// A producer failed for good, at any step of a commit.
    ProducerLost,
    /// Ends of transactions came later, in each place by itself.
    LateMarkers,
    /// A disk did not give back what it had taken.
    DiskLost,
    /// A disk gave nothing back any more.
    DiskBroke,
    /// A disk knew nothing any more of what it had taken.
    DiskForgot,
    /// Records and rebalances did not come through for a while.
    DeafLink,
    /// Nothing the broker was asked was answered, done or not.
    BrokerAway,
    /// The push service refused, lost, or took in silence.
    BadPush,
    /// It took nothing for a while, or forbade the account to send.
    Outage,
    /// A source system refused, lost, or did in silence.
    BadSource,
    /// An instance did not hear of changes of the directory.
    DirectoryHung,
    /// Somebody left a role.
    Left,
    /// Somebody took a role again.
    Joined,
    /// An instance came.
    ScaledOut,
    /// An instance was asked to stop, and did.
    ScaledIn,
    /// The topics got twice the partitions.
    Grown,
    /// Who did that was ended in the middle.
    GrowthEnded,
}

/// A promise, as it is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Check {
    /// Every telling owed was told, and everything came to rest.
    NoLoss,
    /// Nothing was told under two ids, nor told that was told before.
    NoDuplicate,
    /// Nobody was told who was not owed it, or who had left.
    RightPerson,
    /// What follows came after what it follows; nobody was reminded of what was answered.
    Order,
    /// Whoever reads memory back knows what the owner before knew.
    StateIsReplay,
    /// The books close, and every chain of verdicts is whole.
    AuditWhole,
    /// Nothing is left open, parked or under way.
    Bounded,
    /// People were told while faults were about.
    Progress,
}

/// What a promise was broken by.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) check: Check,
    pub(crate) what: String,
}

/// What happened in plays, in numbers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) events: u64,
    /// Tellings that were owed, told or not.
    pub(crate) tellings: u64,
    pub(crate) told: u64,
    /// Of those told, how many while faults were about, and how many a timer brought about.
    pub(crate) told_in_faults: u64,
    pub(crate) timers: u64,
    /// Answers that counted, and answers carried into the source systems.
    pub(crate) answers: u64,
    pub(crate) carried: u64,
    pub(crate) verdicts: u64,
    /// Partitions that were read back from a snapshot.
    pub(crate) snapshots: u64,
    /// And those of which the new owner had a warm copy.
    pub(crate) standby: u64,
    /// Entries that came back from a disk.
    pub(crate) from_disk: u64,
    pub(crate) hit: [u64; Kind::ALL.len()],
    /// Of everything the push service accepted, in the order of its ids.
    pub(crate) digest: u128,
}

// === impl Kind ===

impl Kind {
    pub(crate) const ALL: [Self; 24] = [
        Self::CrashIdle,
        Self::CrashBeforeProduce,
        Self::CrashProduced,
        Self::CrashOffsetsSent,
        Self::CrashCommitted,
        Self::Stall,
        Self::Aborted,
        Self::ProducerLost,
        Self::LateMarkers,
        Self::DiskLost,
        Self::DiskBroke,
        Self::DiskForgot,
        Self::DeafLink,
        Self::BrokerAway,
        Self::BadPush,
        Self::Outage,
        Self::BadSource,
        Self::DirectoryHung,
        Self::Left,
        Self::Joined,
        Self::ScaledOut,
        Self::ScaledIn,
        Self::Grown,
        Self::GrowthEnded,
    ];

    /// Whether it is a fault, and not what happens every day.
    const fn is_fault(self) -> bool {
        !matches!(self, Self::Left | Self::Joined | Self::ScaledOut | Self::ScaledIn | Self::Grown)
    }

    const fn words(self) -> &'static str {
        match self {
            Self::CrashIdle => "crashes between commits",
            Self::CrashBeforeProduce => "crashes before the records of a commit",
            Self::CrashProduced => "crashes between records and offsets",
            Self::CrashOffsetsSent => "crashes between offsets and the end",
            Self::CrashCommitted => "crashes after the end, before its answer",
            Self::Stall => "stalls past the session",
            Self::Aborted => "commits rolled back",
            Self::ProducerLost => "producers lost in a commit",
            Self::LateMarkers => "late ends of transactions",
            Self::DiskLost => "times a disk was to lose something",
            Self::DiskBroke => "times a disk gave nothing back",
            Self::DiskForgot => "times a disk had forgotten all",
            Self::DeafLink => "times nothing came from the broker",
            Self::BrokerAway => "times the broker answered nothing",
            Self::BadPush => "bad answers of the push service",
            Self::Outage => "outages of the push service",
            Self::BadSource => "bad answers of source systems",
            Self::DirectoryHung => "times a directory was not followed",
            Self::Left => "people who left a role",
            Self::Joined => "people who took it again",
            Self::ScaledOut => "instances that came",
            Self::ScaledIn => "instances that stopped",
            Self::Grown => "times topics got twice the partitions",
            Self::GrowthEnded => "ends in the middle of that",
        }
    }
}

// === impl Check ===

impl Check {
    pub(crate) const ALL: [Self; 8] = [
        Self::NoLoss,
        Self::NoDuplicate,
        Self::RightPerson,
        Self::Order,
        Self::StateIsReplay,
        Self::AuditWhole,
        Self::Bounded,
        Self::Progress,
    ];

    const fn words(self) -> &'static str {
        match self {
            Self::NoLoss => "C1 no loss",
            Self::NoDuplicate => "C2 no duplicate",
            Self::RightPerson => "C3 right person",
            Self::Order => "C4 order",
            Self::StateIsReplay => "C5 state = replay",
            Self::AuditWhole => "C6 audit whole",
            Self::Bounded => "C7 bounded",
            Self::Progress => "C8 progress",
        }
    }

    /// It is broken by this.
    pub(crate) fn broken(self, what: impl Into<String>) -> Violation {
        Violation { check: self, what: what.into() }
    }
}

// === impl Counted ===

impl Counted {
    pub(crate) fn hit(&mut self, kind: Kind) {
        self.hit[kind as usize] += 1;
    }

    /// How many faults hit.
    pub(crate) fn faults(&self) -> u64 {
        Kind::ALL.into_iter().filter(|kind| kind.is_fault()).map(|kind| self.hit[kind as usize]).sum()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.tellings += other.tellings;
        self.told += other.told;
        self.told_in_faults += other.told_in_faults;
        self.timers += other.timers;
        self.answers += other.answers;
        self.carried += other.carried;
        self.verdicts += other.verdicts;
        self.snapshots += other.snapshots;
        self.standby += other.standby;
        self.from_disk += other.from_disk;
        self.hit.iter_mut().zip(other.hit).for_each(|(sum, more)| *sum += more);
    }

    /// And what the meters say of where memory came from.
    pub(crate) fn with_origins(self, page: &str) -> Self {
        let from =
            |origin: &str| super::kept::counted(page, "restores_total", &format!("origin=\"{origin}\""));
        Self { snapshots: from("snapshot"), standby: from("standby"), ..self }
    }

    /// All of it, for so many plays in which every check held.
    pub(crate) fn report(&self, plays: u64) -> String {
        let mut lines = vec![format!("{plays} seeds, {} faults that hit", self.faults())];
        let mut line = |number: u64, words: &str| lines.push(format!("{number:>10}  {words}"));
        line(self.events, "events");
        line(self.tellings, "tellings owed");
        line(self.told, "told");
        line(self.told_in_faults, "of them while faults were about");
        line(self.timers, "of them by timers");
        line(self.answers, "answers that counted");
        line(self.carried, "of them carried into source systems");
        line(self.verdicts, "verdicts in the audit's chains");
        line(self.snapshots, "partitions read back from snapshots");
        line(self.standby, "partitions that were warm");
        line(self.from_disk, "entries that came back from a disk");
        Kind::ALL.into_iter().for_each(|kind| line(self.hit[kind as usize], kind.words()));
        let checks = Check::ALL.into_iter().map(|check| format!("{:>10}  {}", "holds", check.words()));
        lines.extend(checks);
        lines.join("\n")
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is broken: {}", self.check.words(), self.what)
    }
}
