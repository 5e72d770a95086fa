//! Ids: names that stay the same however often a thing is computed again.
//!
//! **Invariant:** every id starts from the tenant, and no id holds an offset, an attempt or a clock.
//! A replay after any crash must make the same id; an id without its tenant would let one tenant's
//! event silence another's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_128;

use super::{Occasion, Source};

/// A 128-bit hash of `parts`, the tenant first. The length of each part is hashed with it, so
/// `("ab", "c")` and `("a", "bc")` differ. Unseeded: stored hashes must never change.
#[must_use]
pub fn hash128<const N: usize>(parts: [&[u8]; N]) -> u128 {
    let mut all = SmallVec::<[u8; 256]>::new();
    for part in parts {
        all.extend_from_slice(&(part.len() as u64).to_le_bytes());
        all.extend_from_slice(part);
    }
    // In one go: the hasher that takes pieces costs more than the few bytes hashed here.
    xxh3_128(&all)
}

/// What a rule counts by, as text: `tenant|source|name=value|…`. Equal text is the same subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubjectKey(pub String);

/// One notice: hash of tenant, rule, subject, opening event and occasion. Equal for all its people.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NoticeId(pub u128);

// === impl SubjectKey ===

impl SubjectKey {
    /// The partition of `partitions` this subject lives in.
    #[must_use]
    pub fn partition(&self, partitions: u32) -> i32 {
        partition_of(hash128([self.0.as_bytes()]), partitions)
    }
}

/// A text that is no notice id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a notice id: `n-` and 32 hex digits")]
pub struct NotANotice(String);

// === impl NoticeId ===

impl FromStr for NoticeId {
    type Err = NotANotice;

    fn from_str(text: &str) -> Result<Self, NotANotice> {
        let digits = text.strip_prefix("n-").filter(|digits| digits.len() == 32);
        let number = digits.and_then(|digits| u128::from_str_radix(digits, 16).ok());
        number.map(Self).ok_or_else(|| NotANotice(text.to_owned()))
    }
}

impl NoticeId {
    /// What a rule says of an event (tenant, source, id) to the people of a subject, on an occasion, in a round.
    #[must_use]
    pub fn of(
        (tenant, source, event_id): (&str, Source, &str),
        (rule, subject): (&str, &str),
        (occasion, round): (Occasion, u32),
    ) -> Self {
        let event = hash128([tenant, source.as_str(), event_id].map(str::as_bytes));
        let [tenant, rule, subject] = [tenant, rule, subject].map(str::as_bytes);
        let (occasion, round) = (occasion.to_string(), round.to_le_bytes());
        Self(hash128([tenant, rule, subject, &event.to_le_bytes(), occasion.as_bytes(), &round]))
    }

    /// Its first half: enough to know it again among the notices of one matter, where every byte is paid for each push.
    #[must_use]
    pub fn short(self) -> u64 {
        u64::try_from(self.0 >> 64).unwrap_or_default()
    }

    /// One person's push of this notice, as a number: hash(notice, person).
    #[must_use]
    pub fn delivery(self, user_id: &str) -> u128 {
        hash128([&self.0.to_le_bytes(), user_id.as_bytes()])
    }

    /// The reference one person's push carries: `d-` and the 32 hex digits of [`NoticeId::delivery`].
    #[must_use]
    pub fn reference(self, user_id: &str) -> String {
        format!("d-{:032x}", self.delivery(user_id))
    }
}

impl fmt::Display for NoticeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n-{:032x}", self.0)
    }
}

/// The partition a hash falls into. `partitions` of 0 counts as 1.
#[must_use]
pub fn partition_of(hash: u128, partitions: u32) -> i32 {
    // The remainder is below `partitions`, and Kafka's own partition count is an i32.
    i32::try_from(hash % u128::from(partitions.max(1))).unwrap_or(0)
}

/// The partition of `partitions` that holds everything about one person.
#[must_use]
pub fn person_partition(tenant: &str, user_id: &str, partitions: u32) -> i32 {
    partition_of(hash128([tenant.as_bytes(), user_id.as_bytes()]), partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_cut_elsewhere_are_another_id() {
        assert_ne!(hash128([b"ab", b"c"]), hash128([b"a", b"bc"]));
    }

    #[test]
    fn a_stored_hash_never_changes() {
        assert_eq!(hash128([b"acme", b"xecm", b"1001"]), 0xf7195f5cd7197715ec163d8e1d488679);
    }
}
