//! Rooms: the pure flow, in five lanes over one partition each.
//!
//! A lane is told what arrived, what time it is and what the world looks like, and answers into an
//! [`Outbox`]: records to write, requests to send, verdicts. It knows no clock, no Kafka, no tokio and
//! no randomness, so the same code runs in production, in tests and in a simulator.
//!
//! | lane | reads | rooms | writes |
//! |---|---|---|---|
//! | [`source`] | `opentext.*.events` | decode, route, re-key | `bugle.subjects` |
//! | [`subject`] | `bugle.subjects` | [`dedupe`], audience ([`named`]), [`fan_out`] | `bugle.people` |
//! | [`person`] | `bugle.people` | still in the audience?, told later?, [`merge`], [`batch`] | `bugle.pushes` |
//! | [`delivery`] | `bugle.pushes` | send, retry, split | `bugle.receipts` |
//! | [`write_back`] | `bugle.writebacks` | carry out, read back, retry | |
//!
//! Every lane writes verdicts to `bugle.audit` and what it cannot use to `bugle.dead-letters`.

pub mod accounts;
mod again;
mod answers;
pub mod audit;
pub mod batch;
mod call;
mod carried;
mod carry;
pub mod conversation;
pub mod cursor;
pub mod dead_letter;
mod decided;
pub mod dedupe;
pub mod delivery;
pub mod devices;
pub mod due;
pub mod fan_out;
mod finished;
pub mod frames;
mod gathered;
pub mod grow;
pub mod line;
pub mod memory;
pub mod merge;
mod mute;
pub mod named;
pub mod outbox;
mod parked;
pub mod person;
pub mod progress;
pub mod queue;
mod renew;
mod returned;
mod ring;
pub mod source;
pub mod stretch;
pub mod subject;
mod talks;
mod telling;
mod told_to;
mod turns;
mod underway;
pub mod unfinished;
mod voice;
mod window;
pub mod write_back;

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::codec::{Codec, Name};
use crate::directory::{View, Zones};
use crate::event::fact::AccountState;
use crate::event::job::JobStatus;
use crate::event::shape::slot;
use crate::event::{Change, Incoming, Span, Timestamp};
use crate::store::spill::DiskFault;
use crate::topology::Topology;
use crate::topology::message::Links;

pub use crate::store::Spill;
pub use crate::store::mutes::{Muted, Mutes};
pub use accounts::Accounts;
pub use carry::home_of as home_of_write_back;
pub use cursor::Cursor;
pub use outbox::{Outbox, Send, Tally};
pub use parked::{batch_of as parked_batch, is_batch as is_parked_batch};
pub use write_back::Call;

/// What a lane may look at. It does not change while a record is admitted.
pub struct World<'w> {
    /// The rules.
    pub topology: &'w Topology,
    /// How bytes are read.
    pub codec: &'w Codec,
    /// The directory.
    pub people: &'w View<'w>,
    /// How far the directory has been read.
    pub directory: &'w [i64],
    /// What is not told for a while.
    pub muted: &'w Muted<'w>,
    /// What does not change while Bugle runs.
    pub plan: &'w Plan,
}

/// The settings the lanes need.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Partitions of `bugle.subjects`.
    pub subjects: u32,
    /// Partitions of `bugle.people`.
    pub people: u32,
    /// Partitions of `bugle.pushes`.
    pub pushes: u32,
    /// Partitions of `bugle.writebacks`.
    pub write_backs: u32,
    /// Partitions of `bugle.audit`.
    pub audit: u32,
    /// How long a change's id is remembered, by the time its record was appended.
    pub horizon: Span,
    /// The push accounts batches are sent with.
    pub accounts: Accounts,
    /// The app the pushes are for unless a rule names another.
    pub target: String,
    /// Where a link in a push may lead.
    pub links: Links,
    /// The id of the key that signs reply tokens.
    pub signing_key: String,
    /// What a tenant's people have who say nothing themselves.
    pub tenants: BTreeMap<String, TenantDefaults>,
    /// The same for tenants not listed.
    pub defaults: TenantDefaults,
    /// The schema ids that Bugle's own Avro is written with.
    pub ids: OutputIds,
    /// When a lane's output is large enough to be committed at once, in bytes.
    pub budget: usize,
    /// What is done with batches that are not finished in time.
    pub parking: Parking,
    /// The room for what the lanes keep open.
    pub spill: Spill,
}

/// What is done with batches that are not finished in time.
#[derive(Debug, Clone, Copy)]
pub struct Parking {
    /// How many bytes are set aside for an account, in one partition.
    pub most_bytes: usize,
    /// Whether more than that is refused, with a verdict, while the account may not send. If not, and
    /// whenever it may, the partition waits.
    pub refuse_blocked: bool,
}

/// Schema ids of what Bugle publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputIds {
    /// Of `bugle.audit`.
    pub verdict: u32,
    /// Of `bugle.receipts`.
    pub receipt: u32,
    /// Of `bugle.writebacks`.
    pub write_back: u32,
    /// Of `opentext.members`; 0 where nothing is heard of deliveries.
    pub members: u32,
}

/// A tenant's defaults.
#[derive(Debug, Clone)]
pub struct TenantDefaults {
    /// BCP 47.
    pub locale: String,
    /// IANA zone.
    pub zone: String,
    /// IANA zones of its places, by the names its events call them.
    pub places: BTreeMap<String, String>,
}

/// What became of a record handed to a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// All of it was taken in.
    Done,
    /// The budget is used up: commit, then hand the same record in again.
    More,
    /// Something is missing: hand the same record in again when it is there.
    Wait(Want),
    /// The record is ours and cannot be read: the partition stops, and an operator must look.
    Stop(String),
}

/// What a lane waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// The schema with this id.
    Schema(u32),
    /// A copy of the directory that has come this far.
    Directory(Vec<i64>),
    /// Rules of this generation, or newer ones.
    Rules(u64),
    /// A copy of what is muted that has come this far.
    Mutes(i64),
    /// Fewer batches under way.
    Room,
}

/// What a dead letter says that a room panicked on.
const PANICKED: (&str, &str) = ("internal", "a room panicked on it");

/// What a record of memory gave back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// How many things are remembered from it.
    pub entries: usize,
    /// The transaction up to which everything was read with it, where it says so.
    pub sequence: Option<u64>,
}

/// A lane: a chain of rooms over one input partition.
pub trait Rooms: std::marker::Send {
    /// Takes one record in. `now` never goes backwards.
    ///
    /// **Invariant:** after [`Admitted::Wait`] nothing of the item waited for was taken in, and after
    /// [`Admitted::More`] everything up to a whole item was; the same record then goes on from there.
    fn admit(&mut self, now: Timestamp, record: &Incoming, world: &World<'_>, out: &mut Outbox) -> Admitted;

    /// A room panicked on the item at hand, and the fault is ours. What was done since the last commit is taken
    /// back, for nobody can say how far it came with the item; read again, it is given to the dead letters and
    /// everything beside it is done. `false` for a lane that cannot do so, and where that was tried before.
    fn spare(&mut self) -> bool {
        false
    }

    /// Whether somebody waits for the next commit; else it may gather for a while.
    fn presses(&self) -> bool {
        true
    }

    /// What lies at this offset and beyond could not be read by anybody who had the partition before.
    fn bound(&mut self, _end: i64) {}

    /// The next commit is its last, and nothing is begun any more; whether that has to be committed though nothing
    /// else may be.
    fn end(&mut self) -> bool {
        false
    }

    /// Takes in what became of a request it sent.
    fn answered(&mut self, _now: Timestamp, _reply: delivery::Reply, _world: &World<'_>, _out: &mut Outbox) {}

    /// Takes in what is said of a job it asked after; `None` where nothing is known.
    fn followed(&mut self, _now: Timestamp, _at: cursor::At, _status: Option<JobStatus>, _out: &mut Outbox) {}

    /// Takes in what a source system said to a call of this lane.
    fn heard(&mut self, _now: Timestamp, _said: write_back::Said, _world: &World<'_>, _out: &mut Outbox) {}

    /// Does what time alone brings about. Called at [`Rooms::wake_at`] or any time after it.
    /// What it lacks for that it asks for, and is woken again.
    fn wake(&mut self, _now: Timestamp, _world: &World<'_>, _out: &mut Outbox) -> Option<Want> {
        None
    }

    /// When the lane must be woken even if nothing arrives; `None` while it waits for nothing.
    fn wake_at(&self) -> Option<Timestamp> {
        None
    }

    /// How much is open, held, gathered or due; `None` for a lane that keeps nothing open.
    fn open(&self) -> Option<usize> {
        None
    }

    /// How many batches are set aside, and how many bytes they have; `None` for a lane that has no batches.
    fn parked(&self) -> Option<(usize, usize)> {
        None
    }

    /// How the push accounts stand; none for a lane that sends nothing.
    fn accounts(&self) -> Vec<AccountState> {
        Vec::new()
    }

    /// The transaction is about to be committed: everything gathered leaves.
    fn cut(&mut self, now: Timestamp, world: &World<'_>, out: &mut Outbox);

    /// Takes back what an owner before remembered, record by record in their order, before the first one of
    /// its input. `placed`: the lane knows from the group where it is; else the last page says it.
    ///
    /// # Errors
    /// [`memory::BrokenMemory`]: nobody can say what was told, and the partition must not run.
    fn restore(&mut self, _record: &Incoming, _placed: bool) -> Result<Restored, memory::BrokenMemory> {
        Ok(Restored { entries: 0, sequence: None })
    }

    /// The group says where the lane goes on, after all that was restored said it: its word goes first, and only
    /// the count of transactions goes on from memory.
    fn place(&mut self, _at: (i64, &Cursor)) {}

    /// Everything an owner before remembered was taken back: what is made once, at the end, is made now.
    fn restored(&mut self) {}

    /// A digest of what it remembers that counts after `at`: two lanes that know the same have the same,
    /// whichever way each came to know it.
    fn digest(&self, _at: Timestamp) -> u128 {
        0
    }

    /// Why nothing it did may be committed, and it must be built anew: something it keeps on disk did not come
    /// back, and was taken for something that is not there.
    fn fault(&self) -> Option<&DiskFault> {
        None
    }

    /// How far the lane has come: the offset to read next, and what moves with it.
    fn position(&self) -> (i64, Cursor);

    /// The transaction was committed.
    fn settle(&mut self, now: Timestamp);

    /// The transaction was aborted: memory is as it was at the last [`Rooms::settle`].
    fn undo(&mut self);
}

// === impl Parking ===

impl Default for Parking {
    fn default() -> Self {
        Self { most_bytes: 32 * 1024 * 1024, refuse_blocked: true }
    }
}

impl Default for OutputIds {
    /// Those of the schemas that come with Bugle, where no registry gives others.
    fn default() -> Self {
        Self {
            verdict: Name::Verdict.local_id(),
            receipt: Name::Receipt.local_id(),
            write_back: Name::WriteBack.local_id(),
            members: Name::Members.local_id(),
        }
    }
}

impl Default for TenantDefaults {
    fn default() -> Self {
        Self { locale: "en".to_owned(), zone: "UTC".to_owned(), places: BTreeMap::new() }
    }
}

impl Default for Plan {
    /// One partition each and one account, whose name is `main`.
    fn default() -> Self {
        Self {
            subjects: 1,
            people: 1,
            pushes: 1,
            write_backs: 1,
            audit: 1,
            horizon: Span::from_secs(86_400),
            accounts: Accounts::one("main"),
            target: "bugle".to_owned(),
            links: Links::anywhere(),
            signing_key: "k1".to_owned(),
            tenants: BTreeMap::new(),
            defaults: TenantDefaults::default(),
            ids: OutputIds::default(),
            budget: 1 << 20,
            parking: Parking::default(),
            spill: Spill::default(),
        }
    }
}

// === impl Plan ===

impl Plan {
    /// The tenant's defaults.
    #[must_use]
    pub fn tenant(&self, tenant: &str) -> &TenantDefaults {
        self.tenants.get(tenant).unwrap_or(&self.defaults)
    }

    /// The zones of people who name none that is known.
    #[must_use]
    pub fn zones(&self) -> Zones {
        let each = self.tenants.iter().map(|(tenant, own)| (tenant.as_str(), own.zone.as_str()));
        Zones::new(&self.defaults.zone, each)
    }

    /// The zone whose calendar a change's dates are of: that of the place it happens at, where it names one that
    /// is known, else the tenant's.
    #[must_use]
    pub fn zone_of(&self, change: &Change<'_>) -> TimeZone {
        let defaults = self.tenant(change.tenant());
        let site = change.shape().slot("site").and_then(|site| change.text(site));
        let places = site.into_iter().chain(change.texts(slot::AUDIENCE_LOCATIONS));
        let zone = places.filter_map(|place| defaults.places.get(place)).next();
        due::zone(zone.unwrap_or(&defaults.zone))
    }
}
