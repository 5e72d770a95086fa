//! Due: when a timer's turn comes, in the calendar of a place.
//!
//! A date without a time is nine in the morning of that day, and days before or after it are days of the
//! calendar: a ladder keeps its hour when clocks are turned. A point in time stays a point in time.

use jiff::civil;
use jiff::tz::TimeZone;

use crate::event::{Change, DayTime, Span, Timestamp, Value};
use crate::topology::KindRule;
use crate::topology::plan::Tell;
use crate::topology::schedule::{Start, Timer};

/// Where a timer starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// At a point in time.
    At(Timestamp),
    /// At a day, as days since 1970-01-01.
    Day(i32),
}

/// The hour of a date without a time.
const NINE: DayTime = DayTime { hour: 9, minute: 0 };
const DAY: i64 = 86_400_000;

// === impl Origin ===

impl Origin {
    /// The time or day in a slot of a change.
    #[must_use]
    pub fn of(change: &Change<'_>, slot: u16) -> Option<Self> {
        match change.value(slot) {
            Value::Time(at) => Some(Self::At(at)),
            Value::Date(day) => Some(Self::Day(day)),
            _ => None,
        }
    }
}

impl Origin {
    /// The moment it is or begins with.
    pub(super) fn at(self, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::At(at) => Some(at),
            Self::Day(day) => {
                let day = later(civil::date(1970, 1, 1), i64::from(day))?;
                local(day, DayTime { hour: 0, minute: 0 }, zone)
            }
        }
    }
}

/// The zone with this IANA name; UTC where nobody knows it.
#[must_use]
pub fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

/// Whether somebody knows the zone with this IANA name.
#[must_use]
pub fn is_zone(name: &str) -> bool {
    TimeZone::get(name).is_ok()
}

/// When a timer is due for the time after the first `round` ones; `None` where no calendar reaches.
#[must_use]
pub fn due(timer: &Timer, base: Origin, round: u32, zone: &TimeZone) -> Option<Timestamp> {
    let every = timer.every.unwrap_or_default().millis().max(0);
    let further = every.checked_mul(i64::from(round))?;
    let offset = timer.offset.millis().checked_add(further)?;
    match (base, timer.hour) {
        (Origin::At(at), None) => Some(at + Span::from_millis(offset)),
        (Origin::At(at), Some(hour)) => {
            // The first such hour that comes, then at whole days from there.
            let day = zone.to_datetime(instant(at)?).date();
            let today = local(day, hour, zone)?;
            let first = if today <= at { 1 } else { 0 };
            local(later(day, first + further / DAY)?, hour, zone)
        }
        (Origin::Day(day), hour) => {
            let day = later(civil::date(1970, 1, 1), i64::from(day).checked_add(offset.div_euclid(DAY))?)?;
            let at = local(day, hour.unwrap_or(NINE), zone)?;
            Some(at + Span::from_millis(offset.rem_euclid(DAY)))
        }
    }
}

/// The first round of a timer that is not past, or the last one that is when `most` says that no more
/// come; of what is past only that one is worth telling.
#[must_use]
pub fn nearest(timer: &Timer, base: Origin, now: Timestamp, zone: &TimeZone) -> Option<(u32, Timestamp)> {
    let first = due(timer, base, 0, zone)?;
    let every = timer.every.unwrap_or_default().millis();
    if first > now || every <= 0 {
        return Some((0, first));
    }
    // The last that is past: a day may be an hour longer or shorter than it should.
    let passed = now.since(first).millis() / every;
    let most = timer.most.map_or(u32::MAX, |most| most.saturating_sub(1));
    let last = u32::try_from(passed).unwrap_or(u32::MAX).min(most);
    (last.saturating_sub(1)..=last.saturating_add(1).min(most))
        .filter_map(|round| Some((round, due(timer, base, round, zone)?)))
        .rfind(|(_, at)| *at <= now)
}

/// Whether a rule speaks by the dates of a matter alone, until something closes it: what it has told of them it does
/// not tell again because somebody names the same dates once more.
#[must_use]
pub fn by_dates(rule: &KindRule) -> bool {
    let dates = rule.timers.iter().any(|timer| matches!(timer.start, Start::Event(_)));
    let plan = &rule.rule.plan;
    dates && plan.until.is_some() && plan.tell.value == Tell::Later
}

/// The next time this hour comes in a place.
#[must_use]
pub fn next_hour(now: Timestamp, hour: DayTime, zone: &TimeZone) -> Option<Timestamp> {
    let day = zone.to_datetime(instant(now)?).date();
    let today = local(day, hour, zone)?;
    if today > now { Some(today) } else { local(later(day, 1)?, hour, zone) }
}

pub(super) fn instant(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(at.millis()).ok()
}

fn later(day: civil::Date, days: i64) -> Option<civil::Date> {
    day.checked_add(jiff::Span::new().try_days(days).ok()?).ok()
}

/// An hour that is skipped that day comes as much later; of one that comes twice it is the first.
pub(super) fn local(day: civil::Date, hour: DayTime, zone: &TimeZone) -> Option<Timestamp> {
    let at = day.at(i8::try_from(hour.hour).ok()?, i8::try_from(hour.minute).ok()?, 0, 0);
    let at = zone.to_ambiguous_timestamp(at).compatible().ok()?;
    Some(Timestamp::from_millis(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::schedule::Purpose;

    fn timer(offset: &str) -> Timer {
        Timer {
            id: 0,
            start: Start::Opened,
            offset: offset.parse().unwrap(),
            business: false,
            every: None,
            most: None,
            hour: None,
            purpose: Purpose::Rung(0),
            saying: 1,
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn day(text: &str) -> Origin {
        let epoch = civil::date(1970, 1, 1);
        let days = (text.parse::<civil::Date>().unwrap() - epoch).get_days();
        Origin::Day(days)
    }

    fn shown(timer: &Timer, base: Origin, round: u32, name: &str) -> String {
        due(timer, base, round, &zone(name)).unwrap().to_string()
    }

    #[test]
    fn a_date_is_nine_in_the_morning_where_the_tenant_is_and_keeps_its_hour_when_clocks_are_turned() {
        let three_days = timer("-3d");
        // Berlin goes to summer time on 29 March 2026, New York on 8 March.
        assert_eq!(shown(&three_days, day("2026-03-31"), 0, "Europe/Berlin"), "2026-03-28T08:00:00.000Z");
        assert_eq!(shown(&timer("0s"), day("2026-03-31"), 0, "Europe/Berlin"), "2026-03-31T07:00:00.000Z");
        assert_eq!(shown(&three_days, day("2026-03-10"), 0, "America/New_York"), "2026-03-07T14:00:00.000Z");
        // Kolkata is half an hour off, Lord Howe turns its clocks by half an hour.
        assert_eq!(shown(&three_days, day("2026-03-31"), 0, "Asia/Kolkata"), "2026-03-28T03:30:00.000Z");
        assert_eq!(
            shown(&timer("1d"), day("2026-04-04"), 0, "Australia/Lord_Howe"),
            "2026-04-04T22:30:00.000Z"
        );
        assert_eq!(
            shown(&timer("0s"), day("2026-04-04"), 0, "Australia/Lord_Howe"),
            "2026-04-03T22:00:00.000Z"
        );
        // A leap day, and a span that is no whole number of days.
        assert_eq!(shown(&timer("-1d"), day("2028-03-01"), 0, "UTC"), "2028-02-29T09:00:00.000Z");
        assert_eq!(shown(&timer("4h"), day("2026-03-31"), 0, "UTC"), "2026-03-31T13:00:00.000Z");
        assert_eq!(shown(&timer("-4h"), day("2026-03-31"), 0, "UTC"), "2026-03-31T05:00:00.000Z");
    }

    #[test]
    fn a_point_in_time_stays_one() {
        let base = Origin::At(at("2026-03-29T12:00:00Z"));
        assert_eq!(shown(&timer("-24h"), base, 0, "Europe/Berlin"), "2026-03-28T12:00:00.000Z");
    }

    #[test]
    fn a_daily_hour_is_the_next_that_comes_and_stays_through_a_change_of_clocks() {
        let daily = Timer {
            every: Some(Span::from_millis(DAY)),
            hour: Some(DayTime { hour: 2, minute: 30 }),
            ..timer("1d")
        };
        let base = Origin::At(at("2026-03-27T12:00:00Z"));
        let shown = |round| shown(&daily, base, round, "Europe/Berlin");
        assert_eq!(shown(0), "2026-03-28T01:30:00.000Z");
        // 02:30 does not exist on the 29th: it comes an hour later by the clock on the wall.
        assert_eq!(shown(1), "2026-03-29T01:30:00.000Z");
        assert_eq!(shown(2), "2026-03-30T00:30:00.000Z");
    }

    #[test]
    fn of_many_rounds_missed_only_the_last_is_left() {
        let hourly = Timer { every: Some("1h".parse().unwrap()), ..timer("1h") };
        let base = Origin::At(at("2026-01-05T00:00:00Z"));
        let zone = zone("UTC");
        let now = at("2026-01-05T07:20:00Z");
        assert_eq!(nearest(&hourly, base, now, &zone), Some((6, at("2026-01-05T07:00:00Z"))));
        let early = at("2026-01-05T00:20:00Z");
        assert_eq!(nearest(&hourly, base, early, &zone), Some((0, at("2026-01-05T01:00:00Z"))));
        let thrice = Timer { most: Some(3), ..hourly };
        assert_eq!(nearest(&thrice, base, now, &zone), Some((2, at("2026-01-05T03:00:00Z"))));
    }

    /// In each zone: nine in the morning on the days before, on and after both changes of clocks, the leap day,
    /// the last day of the year, and midnight as an hour, all in UTC.
    #[test]
    fn a_day_has_its_hour_in_every_zone_and_every_season() {
        let mut table = String::new();
        for (name, forward, back) in [
            ("America/New_York", "2026-03-08", "2026-11-01"),
            ("Europe/Berlin", "2026-03-29", "2026-10-25"),
            ("Australia/Lord_Howe", "2026-10-04", "2026-04-05"),
            ("Asia/Kolkata", "2026-03-29", "2026-10-25"),
        ] {
            let midnight = Timer { hour: Some(DayTime { hour: 0, minute: 0 }), ..timer("0s") };
            let around =
                |date: &str| ["-1d", "0s", "1d"].map(|offset| shown(&timer(offset), day(date), 0, name));
            let short = |at: String| at[5..16].to_owned();
            table += &format!(
                "{name}\n  forward {}\n  back    {}\n  leap {}, year {}, midnight {} {}\n",
                around(forward).map(short).join("  "),
                around(back).map(short).join("  "),
                short(shown(&timer("0s"), day("2028-02-29"), 0, name)),
                short(shown(&timer("1d"), day("2026-12-31"), 0, name)),
                short(shown(&midnight, day(forward), 0, name)),
                short(shown(&midnight, day(back), 0, name)),
            );
        }
        insta::assert_snapshot!(table.trim_end(), @r"
        America/New_York
          forward 03-07T14:00  03-08T13:00  03-09T13:00
          back    10-31T13:00  11-01T14:00  11-02T14:00
          leap 02-29T14:00, year 01-01T14:00, midnight 03-08T05:00 11-01T04:00
        Europe/Berlin
          forward 03-28T08:00  03-29T07:00  03-30T07:00
          back    10-24T07:00  10-25T08:00  10-26T08:00
          leap 02-29T08:00, year 01-01T08:00, midnight 03-28T23:00 10-24T22:00
        Australia/Lord_Howe
          forward 10-02T22:30  10-03T22:00  10-04T22:00
          back    04-03T22:00  04-04T22:30  04-05T22:30
          leap 02-28T22:00, year 12-31T22:00, midnight 10-03T13:30 04-04T13:00
        Asia/Kolkata
          forward 03-28T03:30  03-29T03:30  03-30T03:30
          back    10-24T03:30  10-25T03:30  10-26T03:30
          leap 02-29T03:30, year 01-01T03:30, midnight 03-28T18:30 10-24T18:30
        ");
    }
}
