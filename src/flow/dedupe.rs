//! Dedupe: a system may say the same thing twice; a person hears it once.
//!
//! Two changes are the same when tenant, source, event id and subject agree: ids are unique only
//! within a source, and one change may rightly reach two subjects. A rule may also call two changes
//! the same by their meaning. Age is measured between the times the two records were appended to
//! their topics, so that an outage of Bugle's own does not make a copy look new.

use crate::event::{Change, Span, Timestamp, hash128};
use crate::store::Expiring;

use super::memory::{BrokenMemory, Page, Remembered};

/// What was heard within the horizon.
#[derive(Debug)]
pub struct Seen {
    horizon: Span,
    heard: Expiring<u128, Millis>,
    /// The newest append time, and what it was at the last commit.
    newest: (Timestamp, Timestamp),
}

/// A point in time in six bytes: milliseconds since 1970, up to a few thousand years before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Millis([u8; 6]);

/// The sign's bit of six bytes, and where the bytes end that are left out.
const SIGN: u32 = 47;
const LEFT_OUT: u32 = 16;

/// Whether something was heard before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Not within the horizon.
    New,
    /// It was.
    Before,
}

// === impl Millis ===

impl From<Timestamp> for Millis {
    fn from(at: Timestamp) -> Self {
        let millis = at.millis().clamp(-(1 << SIGN), (1 << SIGN) - 1);
        let [a, b, c, d, e, f, _, _] = millis.to_le_bytes();
        Self([a, b, c, d, e, f])
    }
}

impl From<Millis> for Timestamp {
    fn from(Millis([a, b, c, d, e, f]): Millis) -> Self {
        Self::from_millis((i64::from_le_bytes([a, b, c, d, e, f, 0, 0]) << LEFT_OUT) >> LEFT_OUT)
    }
}

// === impl Seen ===

impl Seen {
    /// Nothing heard yet.
    #[must_use]
    pub fn new(horizon: Span) -> Self {
        Self { horizon, heard: Expiring::default(), newest: Default::default() }
    }

    /// Hears a change at its subject.
    pub fn hear(&mut self, change: &Change<'_>, subject: &str, appended_at: Timestamp) -> Heard {
        let source = change.shape().source.as_str();
        let parts = [change.tenant(), source, change.event_id(), subject].map(str::as_bytes);
        self.hear_within(hash128(parts), appended_at, self.horizon)
    }

    /// Hears something by a key of a rule's own, with the rule's own horizon. `appended_at` is never
    /// later than now: a time far ahead would end the memory of everything else.
    pub fn hear_within(&mut self, key: u128, appended_at: Timestamp, horizon: Span) -> Heard {
        self.newest.0 = self.newest.0.max(appended_at);
        if let Some(first) = self.heard.get(&key)
            && appended_at.since(first.into()) <= horizon
        {
            return Heard::Before;
        }
        // The first hearing counts, and a repeat does not renew it: a source stuck in a retry loop
        // would otherwise keep its own change in memory for ever. It is kept for two horizons of
        // append time, since partitions of a source may lag behind one another by up to one, and
        // counted from the newest: a topic whose producers stamp the event's own old time is
        // forgotten no sooner for it.
        let keep = Span::from_millis(horizon.millis().saturating_mul(2));
        self.heard.insert(key, appended_at.into(), self.newest.0 + keep);
        Heard::New
    }

    /// Hears something that can come only once, by a key of its own.
    pub fn hear_once(&mut self, key: u128, now: Timestamp) -> Heard {
        self.hear_within(key, now, self.horizon)
    }

    /// What the open transaction heard.
    pub fn heard(&self) -> impl Iterator<Item = Remembered> {
        self.heard.noted().map(|(key, at, until)| Remembered { key, at: at.into(), until })
    }

    /// Hears again what an owner before heard; how many that is.
    ///
    /// # Errors
    /// [`BrokenMemory`].
    pub fn restore(&mut self, page: &Page<'_>) -> Result<usize, BrokenMemory> {
        let mut count = 0;
        for entry in page.entries() {
            let Remembered { key, at, until } = entry?;
            self.newest.0 = self.newest.0.max(at);
            // Time passes as it did then: what has ended since is not kept.
            self.settle();
            self.heard.insert(key, at.into(), until);
            count += 1;
        }
        self.settle();
        Ok(count)
    }

    /// The transaction was committed.
    pub fn settle(&mut self) {
        self.newest.1 = self.newest.0;
        self.heard.settle();
        self.heard.expire(self.newest.0);
    }

    /// The transaction was aborted.
    pub fn undo(&mut self) {
        self.newest.0 = self.newest.1;
        self.heard.undo();
    }

    /// A digest of what counts after `at`, in whichever order it was heard.
    #[must_use]
    pub fn digest(&self, at: Timestamp) -> u128 {
        let one = |(key, Millis(heard), until): (u128, Millis, Timestamp)| {
            hash128([&key.to_le_bytes()[..], &heard, &until.millis().to_le_bytes()])
        };
        self.heard.beyond(at).map(one).fold(0, |all, one| all ^ one)
    }

    /// How many ids are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heard.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heard.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1_000)
    }

    fn hear(seen: &mut Seen, key: u128, secs: i64) -> Heard {
        seen.hear_within(key, at(secs), Span::from_secs(60))
    }

    #[test]
    fn a_copy_within_the_horizon_is_heard_before_and_does_not_renew_it() {
        let mut seen = Seen::new(Span::from_secs(60));
        assert_eq!(hear(&mut seen, 1, 0), Heard::New);
        assert_eq!(hear(&mut seen, 1, 50), Heard::Before);
        assert_eq!(hear(&mut seen, 1, 61), Heard::New);
    }

    #[test]
    fn a_copy_that_waited_out_an_outage_beside_its_original_is_still_a_copy() {
        let mut seen = Seen::new(Span::from_secs(60));
        hear(&mut seen, 1, 0);
        seen.settle();
        // Two days pass on the wall clock; nothing of it is visible in the append times.
        assert_eq!(hear(&mut seen, 1, 30), Heard::Before);
    }

    #[test]
    fn a_copy_of_an_old_change_is_a_copy_however_new_the_changes_around_it_are() {
        let mut seen = Seen::new(Span::from_secs(60));
        assert_eq!(hear(&mut seen, 1, 1_000_000), Heard::New);
        assert_eq!(hear(&mut seen, 2, 5), Heard::New);
        seen.settle();
        assert_eq!(hear(&mut seen, 2, 5), Heard::Before);
    }

    #[test]
    fn what_an_aborted_transaction_heard_is_new_again() {
        let mut seen = Seen::new(Span::from_secs(60));
        hear(&mut seen, 1, 0);
        seen.undo();
        assert_eq!(hear(&mut seen, 1, 1), Heard::New);
    }

    #[test]
    fn a_time_is_kept_to_the_millisecond() {
        for millis in [0, -1, 1, 1_767_603_600_123, -1_767_603_600_123, (1 << 47) - 1, -(1 << 47)] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(Timestamp::from(Millis::from(at)), at);
        }
        let farthest = [i64::MIN, i64::MAX].map(|at| Millis::from(Timestamp::from_millis(at)));
        assert_eq!(farthest.map(|at| Timestamp::from(at).millis()), [-(1 << 47), (1 << 47) - 1]);
    }

    #[test]
    fn memory_follows_the_horizon() {
        let mut seen = Seen::new(Span::from_secs(60));
        for second in 0..1_000 {
            hear(&mut seen, second, i64::try_from(second).unwrap());
            seen.settle();
        }
        assert!(seen.len() <= 123, "{}", seen.len());
    }
}
