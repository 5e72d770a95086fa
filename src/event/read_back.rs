//! Read-back: how far a partition is on its way to knowing what its owner before knew.

use serde::Serialize;

/// Where most of a partition's memory comes from.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// All of it from its memory topics.
    #[default]
    Log,
    /// From a snapshot on this machine, and the rest from its memory topics.
    Snapshot,
    /// From a warm copy in this process, and the rest from its memory topics.
    Standby,
}

/// How far a partition's memory has been read back.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ReadBack {
    /// Where most of it comes from.
    pub origin: Origin,
    /// Offsets of the memory topics passed so far.
    pub read: u64,
    /// Offsets of the memory topics to pass, as far as is known now.
    pub of: u64,
    /// Things remembered from it.
    pub entries: u64,
    /// Of them in a second, from the beginning until now.
    pub entries_per_second: u64,
    /// Seconds until all is read if it goes on like this; absent while nobody can say.
    pub eta_seconds: Option<u64>,
}

// === impl Origin ===

impl Origin {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Log, Self::Snapshot, Self::Standby];

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Snapshot => "snapshot",
            Self::Standby => "standby",
        }
    }
}

// === impl ReadBack ===

impl ReadBack {
    /// How far it is after so many milliseconds.
    #[must_use]
    pub fn after(origin: Origin, (read, of): (u64, u64), entries: u64, millis: u64) -> Self {
        let (read, millis) = (read.min(of), millis.max(1));
        let entries_per_second = entries.saturating_mul(1_000) / millis;
        let left = of - read;
        let eta_seconds = match read {
            _ if left == 0 => Some(0),
            0 => None,
            read => Some(left.saturating_mul(millis).div_ceil(read.saturating_mul(1_000))),
        };
        Self { origin, read, of, entries, entries_per_second, eta_seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_what_was_read_took() {
        let read_back = |read, millis| ReadBack::after(Origin::Log, (read, 1_000), read * 3, millis);
        assert_eq!(read_back(0, 500).eta_seconds, None);
        assert_eq!(read_back(250, 2_000).eta_seconds, Some(6));
        assert_eq!(read_back(250, 2_000).entries_per_second, 375);
        assert_eq!(read_back(1_000, 2_000).eta_seconds, Some(0));
    }
}
