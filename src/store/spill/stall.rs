//! Stall: how long a disk has taken nothing although there was something for it.

use crate::event::{Span, Timestamp};

/// A standstill of this length is spoken of, and every further one.
const LONG: Span = Span::from_secs(30);
/// Who had to wait for the disk within this time still does, unless it took something since.
const LATELY: Span = Span::from_secs(5);

/// What was seen of a disk when it was looked at last.
#[derive(Debug, Default)]
pub(super) struct Stall {
    written: u64,
    /// Since when it is no more than that.
    since: Timestamp,
    said: Timestamp,
    put_off: u64,
    put_off_at: Timestamp,
}

// === impl Stall ===

impl Stall {
    /// How long the disk has taken nothing, and whether that is to be said. It is looked at about every second:
    /// whether somebody is giving it something at this moment, how often it was spared, for it had enough to do, and
    /// how many entries it has taken.
    pub(super) fn look(
        &mut self,
        now: Timestamp,
        (is_given, put_off): (bool, u64),
        written: u64,
    ) -> (Span, bool) {
        if self.put_off != put_off {
            (self.put_off, self.put_off_at) = (put_off, now);
        }
        let is_wanted = is_given || now.since(self.put_off_at) <= LATELY;
        if !is_wanted || self.written != written {
            (self.written, self.since, self.said) = (written, now, now);
        }
        let is_long = now.since(self.said) >= LONG;
        if is_long {
            self.said = now;
        }
        (now.since(self.since).max(Span::ZERO), is_long)
    }
}
