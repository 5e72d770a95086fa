//! Backoff: how long to wait before the next try, with full jitter.
//!
//! Pure: the random number is an argument. Full jitter spreads the tries of many instances evenly, where
//! a fixed delay would bring them all back in the same moment.

use crate::event::Span;

/// The longest wait before the second try.
pub const BASE: Span = Span::from_millis(500);
/// The longest wait before any try.
pub const CAP: Span = Span::from_secs(60);

/// How long to wait after `tries` failed tries (1 after the first): evenly between nothing and
/// [`BASE`]·2ⁿ⁻¹, at most [`CAP`]. `random` is a number drawn evenly from all of `u64`.
#[must_use]
pub fn full_jitter(tries: u32, random: u64) -> Span {
    let doublings = tries.saturating_sub(1).min(30);
    let ceiling = BASE.millis().saturating_mul(1 << doublings).min(CAP.millis());
    let share = (u128::from(random) * u128::from(ceiling.unsigned_abs())) >> 64;
    Span::from_millis(i64::try_from(share).unwrap_or(ceiling))
}

/// What to wait when the service also said when to come back: never earlier than it asks.
#[must_use]
pub fn at_least(backoff: Span, asked: Option<Span>) -> Span {
    asked.map_or(backoff, |asked| asked.max(backoff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_minute_and_is_spread_over_all_of_it() {
        let most: Vec<_> = (0..10).map(|tries| full_jitter(tries, u64::MAX).millis()).collect();
        assert_eq!(most, [499, 499, 999, 1999, 3999, 7999, 15_999, 31_999, 59_999, 59_999]);
        assert_eq!(full_jitter(4, 0), Span::ZERO);
        assert_eq!(full_jitter(4, u64::MAX / 2), Span::from_millis(1_999));
        assert_eq!(full_jitter(u32::MAX, u64::MAX), Span::from_millis(59_999));
    }

    #[test]
    fn what_the_service_asks_for_is_never_undercut() {
        let asked = Some(Span::from_secs(7));
        assert_eq!(at_least(Span::from_secs(2), asked), Span::from_secs(7));
        assert_eq!(at_least(Span::from_secs(9), asked), Span::from_secs(9));
        assert_eq!(at_least(Span::from_secs(9), None), Span::from_secs(9));
    }
}
