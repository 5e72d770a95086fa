//! Moment: times as a scenario writes them, in its own zone.

use jiff::civil;
use jiff::tz::TimeZone;

use crate::event::{Span, Timestamp};

/// The zone a scenario tells its times in.
#[derive(Debug, Clone)]
pub struct Clock(TimeZone);

/// What is meant by a time that is none.
pub(super) const WANTED: &str = "a time such as `2026-01-05 16:00`, `16:00` or `2026-01-05T15:00:00Z`";

const DAY: i64 = 86_400_000;

// === impl Clock ===

impl Clock {
    /// The clock of an IANA zone; `None` when nobody knows it.
    #[must_use]
    pub fn of(zone: &str) -> Option<Self> {
        TimeZone::get(zone).ok().map(Self)
    }

    /// The zone's name.
    #[must_use]
    pub fn zone(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// A time: with its offset, of this zone, or an hour that comes next after `after`.
    #[must_use]
    pub fn read(&self, text: &str, after: Option<Timestamp>) -> Option<Timestamp> {
        let text = text.trim();
        if let Ok(at) = text.parse::<Timestamp>() {
            return Some(at);
        }
        if let Ok(at) = text.parse::<civil::DateTime>() {
            return self.instant(at);
        }
        let hour = text.parse::<civil::Time>().ok().filter(|_| text.contains(':'))?;
        let after = after?;
        let today = self.civil(after)?.date();
        let at = self.instant(today.to_datetime(hour))?;
        if at >= after { Some(at) } else { self.instant(today.tomorrow().ok()?.to_datetime(hour)) }
    }

    /// The day of a time, so many days later, as an event writes days.
    #[must_use]
    pub fn day(&self, at: Timestamp, later: Span) -> Option<String> {
        let days = later.millis().checked_div(DAY)?;
        let day = self.civil(at)?.date().checked_add(jiff::Span::new().try_days(days).ok()?).ok()?;
        Some(day.to_string())
    }

    /// `2026-01-05 16:00:30`, without seconds where there are none.
    #[must_use]
    pub fn show(&self, at: Timestamp) -> String {
        let Some(civil) = self.civil(at) else { return at.to_string() };
        let seconds = if civil.second() == 0 { "" } else { ":%S" };
        civil.strftime(&format!("%Y-%m-%d %H:%M{seconds}")).to_string()
    }

    fn civil(&self, at: Timestamp) -> Option<civil::DateTime> {
        let at = jiff::Timestamp::from_millisecond(at.millis()).ok()?;
        Some(self.0.to_datetime(at))
    }

    fn instant(&self, at: civil::DateTime) -> Option<Timestamp> {
        let at = self.0.to_ambiguous_timestamp(at).compatible().ok()?;
        Some(Timestamp::from_millis(at.as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin(text: &str, after: &str) -> Option<String> {
        let after = after.parse().ok();
        Clock::of("Europe/Berlin").unwrap().read(text, after).map(|at| at.to_string())
    }

    #[test]
    fn a_time_is_read_in_the_scenario_s_zone_and_an_hour_is_the_next_one() {
        let at = |text: &str| Some(format!("{text}:00.000Z"));
        assert_eq!(berlin("2026-01-05 16:00", ""), at("2026-01-05T15:00"));
        assert_eq!(berlin("2026-01-05T16:00:00Z", ""), at("2026-01-05T16:00"));
        assert_eq!(berlin("16:00", "2026-01-05T15:00:00Z"), at("2026-01-05T15:00"));
        assert_eq!(berlin("16:00", "2026-01-05T15:00:01Z"), at("2026-01-06T15:00"));
        assert_eq!(berlin("16:00", ""), None);
        assert_eq!(berlin("four", "2026-01-05T15:00:00Z"), None);
    }

    #[test]
    fn an_hour_keeps_its_name_when_clocks_are_turned() {
        let at = |text: &str| Some(format!("{text}:00.000Z"));
        assert_eq!(berlin("09:00", "2026-03-28T12:00:00Z"), at("2026-03-29T07:00"));
        // Half past two does not exist that night: an hour later it is told.
        assert_eq!(berlin("2026-03-29 02:30", ""), at("2026-03-29T01:30"));
    }
}
