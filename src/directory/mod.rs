//! People: who holds which role, where, in which unit; audience expressions; the copy that lanes share.
//!
//! It opens no topic: whoever follows `opentext.directory` and `opentext.members`
//! feeds a [`Directory`].

mod absence;
mod asked;
pub mod bind;
pub mod copy;
pub mod difference;
pub mod expression;
mod identity;
pub mod key;
mod line;
pub mod load;
pub mod people;
mod resolve;
mod roster;
pub mod spelling;
mod table;
pub mod unheard;
mod wishes;
pub mod zones;

pub use bind::{bind, bind_rule};
pub use copy::{Decoded, Directory, PassedOver, View};
pub use difference::Difference;
pub use expression::{ExpressionFault, parse};
pub use load::{FileFault, LoadError, person_of, read_people};
pub use people::{Entry, Nobody, People, Resolved};
pub use unheard::Unheard;
pub use wishes::Wishes;
pub use zones::Zones;
