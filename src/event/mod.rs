//! Words: the types every other folder speaks.
//!
//! They depend on nothing of ours and decide nothing. One word means one thing: a *change* is what a
//! source system says happened, a *subject* what it happened to, a *notice* what one rule wants said
//! once, a *batch* one request to the push service, a *verdict* how something ended.

pub mod answer;
pub mod asked;
pub mod audience;
pub mod change;
mod day_time;
pub(crate) mod digits;
pub mod fact;
pub mod frame;
pub mod ids;
pub mod job;
pub mod lane;
pub mod message_id;
pub mod mute;
pub mod notice;
mod outcome;
pub mod person;
pub mod push;
pub mod read_back;
pub mod receipt;
pub mod record;
pub mod redrive;
pub mod shape;
pub mod source;
pub mod timestamp;
pub mod value;
pub mod verdict;
pub mod write_back;

pub use asked::Asked;
pub use audience::{Audience, BoundAudience, Relation, Sealed, Term};
pub use change::{Change, Coordinates};
pub use day_time::{DayTime, NotAnHour};
pub use fact::Fact;
pub use ids::{NoticeId, SubjectKey, hash128};
pub use lane::Lane;
pub use notice::{Notice, Occasion, Over};
pub use person::{Members, Person};
pub use push::{Batch, BatchHead, Letter, Member, Parcel, Priority, Template};
pub use read_back::{Origin, ReadBack};
pub use receipt::Receipt;
pub use record::{Incoming, Outgoing, Topic};
pub use shape::{Field, FieldType, Shape};
pub use source::Source;
pub use timestamp::{Span, Timestamp};
pub use value::Value;
pub use verdict::{Ending, Reason, Verdict};
pub use write_back::{Carried, WriteBack};
