//! Accounts: how hard each push account is asked, and when it is left alone.
//!
//! An account has a limit of requests under way that grows while it answers well and shrinks when it does
//! not; a budget, of which a retry costs one and a first attempt brings a fifth; a breaker that opens when
//! requests fail one after another, and lets one batch ask whether it works again; and a share of the rate it
//! is allowed. Pure: it is told what time it is and what was answered, and says who may send.
//!
//! **Invariant:** a batch that may not send now waits for a time, or stands in the queue of its account, and
//! the queue moves on with every answer: nobody waits for what never comes.

use std::collections::{BTreeMap, VecDeque};

use crate::event::fact::{AccountState, Breaker};
use crate::event::{Span, Timestamp, hash128};
use crate::flow::accounts::Terms;
use crate::flow::cursor::At;

use super::limit::Limit;

/// All accounts a partition has batches for.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    each: BTreeMap<String, Account>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Account {
    hold: Option<Hold>,
    /// Requests that failed one after another.
    failures: u32,
    /// How often the breaker opened since it was closed.
    opened: u32,
    limit: Limit,
    in_flight: usize,
    retries: Budget,
    rate: Rate,
    /// Batches for which there was no place, in their order.
    queue: VecDeque<At>,
}

/// An account that is left alone.
#[derive(Debug, Clone, Copy)]
struct Hold {
    until: Timestamp,
    why: Why,
    /// The batch that asks whether it takes any again; the others wait for what that one is told.
    probe: Option<At>,
}

/// Why an account is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// It may not send.
    Forbidden,
    /// It asked to be (`Retry-After`).
    Asked,
    /// Nothing it was sent succeeded.
    Broken,
}

/// How an account took a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Took {
    /// It said yes, or no for good.
    Well,
    /// It wants less; when it said so, nothing before then.
    Busy(Option<Span>),
    /// It failed or said nothing; when it said so, nothing before then.
    Badly(Option<Span>),
    /// It may not send.
    Forbidden,
    /// It never heard of it, so this says nothing about it.
    NotAsked,
}

/// Whether a batch may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum May {
    /// At once.
    Send,
    /// When others are answered, or the rate allows it: in the queue.
    Queue,
    /// Not before.
    Wait(Timestamp),
}

/// Retries, as a share of first attempts.
#[derive(Debug)]
struct Budget {
    /// Thousandths of a retry.
    left: i64,
    filled: Timestamp,
}

/// Destinations, as many as the account's rate allows this partition.
#[derive(Debug)]
struct Rate {
    /// Destinations a minute; 0 is no limit.
    a_minute: u32,
    /// Destinations, times a minute's milliseconds. Below nothing after a large batch, which is waited off.
    left: i64,
    filled: Timestamp,
}

/// How long an account that may not send is left alone before one batch asks again.
const BLOCKED_FOR: Span = Span::from_secs(60);
/// The longest a batch waits before it is looked at again: it may be noise by then.
const LONGEST_HOLD: Span = Span::from_secs(60);
/// So many failures one after another open the breaker.
const MOST_FAILURES: u32 = 5;
/// How long it is open at first; twice as long each time the probe fails, up to [`LONGEST_HOLD`].
const FIRST_OPEN: Span = Span::from_secs(1);
/// What a retry costs and a first attempt brings, in thousandths: a fifth of the requests may be retries.
const RETRY: i64 = 1_000;
const FIRST: i64 = 200;
/// What a budget starts with and can hold; and every how many milliseconds it grows by a thousandth, so that
/// the last batch of a quiet day is tried again, too.
const START: i64 = 10 * RETRY;
const MOST: i64 = 100 * RETRY;
const GROWS_EVERY_MS: i64 = 1;
const MINUTE_MS: i64 = 60_000;

// === impl Accounts ===

impl Accounts {
    /// The account with this name; `terms` where it was not seen before.
    pub(super) fn of(&mut self, name: &str, now: Timestamp, terms: impl FnOnce() -> Terms) -> &mut Account {
        if !self.each.contains_key(name) {
            self.each.insert(name.to_owned(), Account::new(now, terms()));
        }
        self.each.get_mut(name).expect("it was just put there")
    }

    /// The account with this name, where a batch of it was seen.
    pub(super) fn get(&mut self, name: &str) -> Option<&mut Account> {
        self.each.get_mut(name)
    }

    /// Whether an account may not send at all.
    pub(super) fn is_blocked(&self, name: &str) -> bool {
        self.each.get(name).is_some_and(Account::is_blocked)
    }

    /// The next batch from some queue that may be looked at now.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<At> {
        self.each.values_mut().find_map(|account| account.next(now))
    }

    /// When the next batch of some queue may be looked at.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.each.values().filter_map(Account::next_at).min()
    }

    /// How each stands.
    pub(super) fn states(&self) -> Vec<AccountState> {
        self.each.iter().map(|(name, account)| account.state(name)).collect()
    }
}

// === impl Account ===

impl Account {
    fn new(now: Timestamp, terms: Terms) -> Self {
        Self {
            hold: None,
            failures: 0,
            opened: 0,
            limit: Limit::new(terms.in_flight, now),
            in_flight: 0,
            retries: Budget { left: START, filled: now },
            rate: Rate { a_minute: terms.rate, left: 0, filled: now },
            queue: VecDeque::new(),
        }
    }

    fn is_blocked(&self) -> bool {
        self.hold.is_some_and(|hold| hold.why == Why::Forbidden)
    }

    /// Until when this batch has to leave the account alone.
    pub(super) fn held(&self, (now, at): (Timestamp, At)) -> Option<Timestamp> {
        let hold = self.hold?;
        let held = hold.until > now && hold.probe != Some(at);
        held.then(|| hold.until.min(now + LONGEST_HOLD))
    }

    /// Of an account that was left alone long enough, one batch asks. `true`: this is that one.
    pub(super) fn probes(&mut self, (now, at): (Timestamp, At)) -> bool {
        let Some(hold) = &mut self.hold else { return false };
        if hold.until <= now {
            // Should its answer never come, another one asks.
            *hold = Hold { until: now + BLOCKED_FOR, probe: Some(at), ..*hold };
        }
        hold.probe == Some(at)
    }

    /// Whether a batch may be sent now.
    pub(super) fn may(&mut self, now: Timestamp, is_retry: bool) -> May {
        if self.in_flight >= self.limit.now() || self.rate.not_before(now) > now {
            return May::Queue;
        }
        match is_retry.then(|| self.retries.not_before(now)).filter(|at| *at > now) {
            Some(at) => May::Wait(at),
            None => May::Send,
        }
    }

    /// A batch stands in line.
    pub(super) fn queue(&mut self, at: At) {
        self.queue.push_back(at);
    }

    /// A batch is sent.
    pub(super) fn sent(&mut self, now: Timestamp, is_retry: bool, destinations: u32) {
        self.in_flight += 1;
        self.limit.used(self.in_flight);
        self.retries.spend(now, if is_retry { RETRY } else { -FIRST });
        self.rate.spend(now, destinations);
    }

    /// A batch was answered. `true`: the account takes batches again after it was left alone.
    pub(super) fn answered(&mut self, (now, at): (Timestamp, At), took: Took, lasted: Span) -> bool {
        self.in_flight = self.in_flight.saturating_sub(1);
        if took != Took::NotAsked {
            self.limit.answered(now, lasted, took == Took::Well);
        }
        match took {
            Took::Well => {
                (self.failures, self.opened) = (0, 0);
                return self.hold.take().is_some();
            }
            Took::Forbidden => {
                self.hold = Some(Hold { until: now + BLOCKED_FOR, why: Why::Forbidden, probe: None });
            }
            Took::NotAsked => {}
            Took::Busy(after) => self.asked(now, after),
            Took::Badly(after) => {
                self.failures = self.failures.saturating_add(1);
                self.asked(now, after);
                if self.failures >= MOST_FAILURES {
                    self.open((now, at));
                }
            }
        }
        false
    }

    /// It asked for a pause.
    fn asked(&mut self, now: Timestamp, after: Option<Span>) {
        let probes = self.hold.is_some_and(|hold| hold.probe.is_some());
        match after.filter(|after| *after > Span::ZERO) {
            Some(after) if self.hold.is_none_or(|hold| hold.until < now + after) || probes => {
                let why = self.hold.map_or(Why::Asked, |hold| hold.why);
                self.hold = Some(Hold { until: now + after, why, probe: None });
            }
            _ => {}
        }
    }

    /// The breaker opens, or stays open when the probe failed; what was still under way when it opened says
    /// nothing new.
    fn open(&mut self, (now, at): (Timestamp, At)) {
        let broken = self.hold.filter(|hold| hold.why == Why::Broken || hold.why == Why::Forbidden);
        if broken.is_some_and(|hold| hold.probe != Some(at) && hold.until > now) {
            return;
        }
        let doubled = FIRST_OPEN.millis() << self.opened.min(10);
        let most = doubled.min(LONGEST_HOLD.millis());
        // Somewhere in the second half, so that many partitions do not ask in the same moment.
        let chance = hash128([&at.0.to_le_bytes()[..], &at.1.to_le_bytes(), &self.opened.to_le_bytes()]);
        let half = i64::try_from(chance % u128::from((most / 2).unsigned_abs().max(1))).unwrap_or(0);
        let until = now + Span::from_millis(most - half);
        let asked = self.hold.filter(|hold| hold.probe.is_none()).map_or(until, |hold| hold.until);
        self.opened += 1;
        self.hold = Some(Hold { until: until.max(asked), why: Why::Broken, probe: None });
    }

    /// The next batch of the queue that may be looked at now. While the account is left alone all of them
    /// may: they wait for a time then.
    fn next(&mut self, now: Timestamp) -> Option<At> {
        let free = self.in_flight < self.limit.now() && self.rate.not_before(now) <= now;
        if free || self.hold.is_some() { self.queue.pop_front() } else { None }
    }

    fn next_at(&self) -> Option<Timestamp> {
        let free = self.in_flight < self.limit.now() || self.hold.is_some();
        (free && !self.queue.is_empty()).then(|| self.rate.next())
    }

    fn state(&self, name: &str) -> AccountState {
        let breaker = match self.hold {
            None => Breaker::Closed,
            Some(Hold { why: Why::Forbidden, .. }) => Breaker::Blocked,
            Some(Hold { why: Why::Asked, .. }) => Breaker::Asked,
            Some(Hold { probe: Some(_), .. }) => Breaker::HalfOpen,
            Some(_) => Breaker::Open,
        };
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        AccountState {
            account: name.to_owned(),
            breaker,
            limit: count(self.limit.now()),
            in_flight: count(self.in_flight),
            queued: count(self.queue.len()),
            retries_left: u32::try_from(self.retries.left / RETRY).unwrap_or(0),
        }
    }
}

// === impl Budget ===

impl Budget {
    fn fill(&mut self, now: Timestamp) {
        let grown = now.since(self.filled).millis() / GROWS_EVERY_MS;
        if grown > 0 {
            self.left = (self.left + grown).min(MOST);
            self.filled = now;
        }
    }

    /// When there is enough for a retry.
    fn not_before(&mut self, now: Timestamp) -> Timestamp {
        self.fill(now);
        now + Span::from_millis((RETRY - self.left).max(0) * GROWS_EVERY_MS)
    }

    fn spend(&mut self, now: Timestamp, thousandths: i64) {
        self.fill(now);
        // A probe and what was promised before may spend what is not there.
        self.left = (self.left - thousandths).clamp(0, MOST);
    }
}

// === impl Rate ===

impl Rate {
    /// When something is left of it.
    fn not_before(&mut self, now: Timestamp) -> Timestamp {
        if self.a_minute == 0 {
            return now;
        }
        // A second's worth may be saved up.
        let (a_minute, grown) = (i64::from(self.a_minute), now.since(self.filled).millis().max(0));
        self.left = (self.left + grown * a_minute).min(1_000 * a_minute);
        self.filled = now;
        self.next()
    }

    fn next(&self) -> Timestamp {
        match i64::from(self.a_minute) {
            0 => Timestamp::default(),
            a_minute => self.filled + Span::from_millis((-self.left).max(0) / a_minute),
        }
    }

    fn spend(&mut self, now: Timestamp, destinations: u32) {
        if self.a_minute > 0 {
            self.not_before(now);
            self.left -= i64::from(destinations) * MINUTE_MS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: At = (7, 0);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn account(in_flight: u32, rate: u32) -> Account {
        Account::new(at(0), Terms { in_flight, rate, ..Terms::default() })
    }

    /// Sends one and hears this.
    fn told(account: &mut Account, now: i64, took: Took) {
        account.sent(at(now), false, 1);
        account.answered((at(now), AT), took, Span::from_millis(5));
    }

    #[test]
    fn what_it_was_never_asked_says_nothing_about_it() {
        let mut account = account(8, 0);
        let before = account.state("main");
        for _ in 0..100 {
            told(&mut account, 0, Took::NotAsked);
        }
        assert_eq!(AccountState { retries_left: before.retries_left, ..account.state("main") }, before);
        assert_eq!(account.may(at(0), false), May::Send);
    }

    #[test]
    fn failures_one_after_another_open_the_breaker_and_one_batch_asks_again() {
        let mut account = account(8, 0);
        for _ in 0..4 {
            told(&mut account, 0, Took::Badly(None));
        }
        assert_eq!(account.held((at(0), AT)), None);
        told(&mut account, 0, Took::Badly(None));
        let until = account.held((at(0), AT)).unwrap();
        assert!((500..=1_000).contains(&until.millis()), "{until}");
        assert!(account.probes((until, (8, 0))), "the first who comes then asks");
        assert!(!account.probes((until, (9, 0))));
        assert_eq!(account.held((until, (8, 0))), None);
        assert_eq!(account.state("main").breaker, Breaker::HalfOpen);
        // What was under way since before says nothing new; the probe does.
        account.answered((until, (6, 0)), Took::Badly(None), Span::ZERO);
        assert_eq!(account.state("main").breaker, Breaker::HalfOpen);
        account.answered((until, (8, 0)), Took::Badly(None), Span::ZERO);
        let again = account.held((until, AT)).unwrap().since(until).millis();
        assert!((1_000..=2_000).contains(&again), "{again}");
        assert!(account.answered((until, (8, 0)), Took::Well, Span::ZERO));
        assert_eq!(account.state("main").breaker, Breaker::Closed);
    }

    #[test]
    fn a_success_in_between_keeps_the_breaker_closed() {
        let mut account = account(8, 0);
        for _ in 0..20 {
            told(&mut account, 0, Took::Badly(None));
            told(&mut account, 0, Took::Badly(None));
            told(&mut account, 0, Took::Well);
        }
        assert_eq!(account.held((at(0), AT)), None);
    }

    #[test]
    fn a_pause_it_asks_for_holds_all_and_is_looked_at_every_minute() {
        let mut account = account(8, 0);
        told(&mut account, 0, Took::Busy(Some(Span::from_secs(90))));
        assert_eq!(account.held((at(0), AT)), Some(at(60_000)));
        assert_eq!(account.held((at(60_000), AT)), Some(at(90_000)));
        assert_eq!(account.held((at(90_000), AT)), None);
        assert_eq!(account.state("main").breaker, Breaker::Asked);
        told(&mut account, 90_000, Took::Busy(None));
        assert!(account.probes((at(90_000), AT)));
    }

    #[test]
    fn an_account_that_may_not_send_is_asked_once_a_minute() {
        let mut account = account(8, 0);
        told(&mut account, 0, Took::Forbidden);
        assert_eq!(account.state("main").breaker, Breaker::Blocked);
        assert_eq!(account.held((at(59_999), AT)), Some(at(60_000)));
        assert!(account.probes((at(60_000), AT)));
        account.answered((at(60_001), AT), Took::Forbidden, Span::ZERO);
        assert_eq!(account.held((at(60_002), AT)), Some(at(120_001)));
    }

    #[test]
    fn a_fifth_of_the_requests_may_be_retries() {
        let mut account = account(1_000, 0);
        let mut retries = 0;
        for _ in 0..1_000 {
            account.sent(at(0), false, 1);
            account.in_flight = 0;
            while account.may(at(0), true) == May::Send {
                account.sent(at(0), true, 1);
                account.in_flight = 0;
                retries += 1;
            }
        }
        assert_eq!(retries, 210, "a fifth, and the ten to start with");
        assert_eq!(account.may(at(0), true), May::Wait(at(1_000)), "one a second, when all else is quiet");
        assert_eq!(account.may(at(0), false), May::Send);
        assert_eq!(account.may(at(1_000), true), May::Send);
    }

    #[test]
    fn who_finds_no_place_is_next_when_there_is_one() {
        let mut account = account(2, 0);
        for number in 0..5 {
            match account.may(at(0), false) {
                May::Send => account.sent(at(0), false, 1),
                _ => account.queue((number, 0)),
            }
        }
        assert_eq!((account.next(at(0)), account.next_at()), (None, None));
        account.answered((at(1), (0, 0)), Took::Well, Span::from_millis(1));
        assert_eq!(account.next(at(1)), Some((2, 0)));
        account.sent(at(1), false, 1);
        assert_eq!(account.next(at(1)), None);
        account.answered((at(2), (1, 0)), Took::Forbidden, Span::from_millis(1));
        let all: Vec<_> = std::iter::from_fn(|| account.next(at(2))).collect();
        assert_eq!(all, [(3, 0), (4, 0)], "held they wait for a time");
    }

    #[test]
    fn a_partition_sends_its_share_of_the_rate_and_a_large_batch_is_waited_off() {
        let mut account = account(8, 600);
        assert_eq!(account.may(at(0), false), May::Send);
        account.sent(at(0), false, 500);
        assert_eq!(account.may(at(49_999), false), May::Queue);
        account.queue(AT);
        assert_eq!(account.next_at(), Some(at(50_000)));
        assert_eq!(account.next(at(50_000)), Some(AT));
        let mut sent = 0;
        for now in (50_000..110_000).step_by(50) {
            if account.may(at(now), false) == May::Send {
                account.sent(at(now), false, 10);
                account.in_flight = 0;
                sent += 10;
            }
        }
        assert!((590..=620).contains(&sent), "{sent} in a minute");
    }
}
