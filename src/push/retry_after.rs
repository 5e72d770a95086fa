//! Retry-After: when a service wants to be asked again, as a span that can be relied on.
//!
//! Services send seconds, dates and nonsense. A date in the past and a negative number are no wait, an
//! age is cut to an hour, and what is neither a number nor a date is as if nothing had been said.

use std::time::Duration;

use crate::event::{Span, Timestamp};

/// The longest wait a service can ask for.
const MOST: Span = Span::from_secs(3_600);

/// Reads the header's value, sent at `now`: `120`, or `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn read(value: &str, now: Timestamp) -> Option<Span> {
    let value = value.trim();
    let wait = match value.parse::<f64>() {
        Ok(seconds) if seconds.is_nan() => return None,
        Ok(seconds) => {
            let wait = Duration::from_secs_f64(seconds.clamp(0.0, 3_600.0));
            Span::from_millis(i64::try_from(wait.as_millis()).ok()?)
        }
        Err(_) => date(value)?.since(now),
    };
    Some(wait.clamp(Span::ZERO, MOST))
}

/// A date in the one form that RFC 9110 lets senders write.
fn date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_weekday, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    if words.next() != Some("GMT") || words.next().is_some() {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    format!("{year}-{month:02}-{day}T{time}Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(value: &str) -> Option<i64> {
        let now = "2026-01-05T09:00:00Z".parse().unwrap();
        read(value, now).map(Span::millis)
    }

    #[test]
    fn seconds_and_dates_are_obeyed_up_to_an_hour() {
        assert_eq!(wait("7"), Some(7_000));
        assert_eq!(wait(" 0.5 "), Some(500));
        assert_eq!(wait("Mon, 05 Jan 2026 09:00:30 GMT"), Some(30_000));
        assert_eq!(wait("1000000000"), Some(3_600_000));
        assert_eq!(wait("1e9"), Some(3_600_000));
        assert_eq!(wait("Fri, 29 Dec 9999 23:59:59 GMT"), Some(3_600_000));
    }

    #[test]
    fn the_past_is_no_wait_and_nonsense_was_not_said() {
        assert_eq!(wait("-1"), Some(0));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0));
        for nonsense in
            ["", "NaN", "soon", "Mon, 05 Foo 2026 09:00:30 GMT", "Mon, 05 Jan 2026 25:61:00 GMT", "1 2"]
        {
            assert_eq!(wait(nonsense), None, "{nonsense}");
        }
    }
}
