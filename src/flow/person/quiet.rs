//! Quiet: the hours in which a person is not told, and when they end.
//!
//! Hours are kept as they stand on a wall, with the zone of that wall, and become instants only here: so they
//! stay what they are when clocks are turned. They may reach over midnight; the hour they begin at is in them,
//! the hour they end at is not.

use jiff::tz::TimeZone;

use crate::event::{DayTime, Span, Timestamp};

use super::super::due;

/// What waited for the end of quiet hours leaves within this much of it, each person at a time of their own:
/// a whole zone wakes at once, and a push service should not have to.
const SPREAD: Span = Span::from_secs(300);

/// When the quiet hours end that it is in at `now`; `None` when it is in none.
pub(super) fn end(now: Timestamp, (from, to): (DayTime, DayTime), zone: &TimeZone) -> Option<Timestamp> {
    let local = zone.to_datetime(due::instant(now)?);
    let is = DayTime { hour: u8::try_from(local.hour()).ok()?, minute: u8::try_from(local.minute()).ok()? };
    let over_midnight = from > to;
    let is_quiet = match over_midnight {
        true => is >= from || is < to,
        false => is >= from && is < to,
    };
    let day = local.date();
    let day = if over_midnight && is >= from { day.tomorrow().ok()? } else { day };
    // An hour that comes twice has ended the quiet when it came first.
    due::local(day, to, zone).filter(|end| is_quiet && *end > now)
}

/// How long after the end somebody is told, always the same for one person.
pub(super) fn jitter(person: u128) -> Span {
    let spread = u128::from(SPREAD.millis().unsigned_abs());
    Span::from_millis(i64::try_from(person % spread).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(now: &str, hours: (&str, &str), zone: &str) -> String {
        let hours = (hours.0.parse().unwrap(), hours.1.parse().unwrap());
        let end = end(now.parse().unwrap(), hours, &due::zone(zone));
        end.map_or_else(|| "not quiet".to_owned(), |end| end.to_string())
    }

    #[test]
    fn the_first_hour_is_quiet_and_the_last_is_not() {
        let night = ("22:00", "07:00");
        let berlin = |now| ends(now, night, "Europe/Berlin");
        assert_eq!(berlin("2026-01-05T20:59:59Z"), "not quiet");
        assert_eq!(berlin("2026-01-05T21:00:00Z"), "2026-01-06T06:00:00.000Z");
        assert_eq!(berlin("2026-01-05T23:30:00Z"), "2026-01-06T06:00:00.000Z");
        assert_eq!(berlin("2026-01-06T05:59:59Z"), "2026-01-06T06:00:00.000Z");
        assert_eq!(berlin("2026-01-06T06:00:00Z"), "not quiet");
        // Within a day, and up to midnight.
        assert_eq!(
            ends("2026-01-05T12:15:00Z", ("13:00", "14:00"), "Europe/Berlin"),
            "2026-01-05T13:00:00.000Z"
        );
        assert_eq!(
            ends("2026-01-05T22:30:00Z", ("20:00", "00:00"), "Europe/Berlin"),
            "2026-01-05T23:00:00.000Z"
        );
        assert_eq!(ends("2026-01-05T12:15:00Z", ("09:00", "09:00"), "Europe/Berlin"), "not quiet");
        // The leap day is a day.
        assert_eq!(ends("2028-02-28T23:30:00Z", night, "UTC"), "2028-02-29T07:00:00.000Z");
    }

    #[test]
    fn the_hours_stay_those_of_the_wall_when_clocks_are_turned() {
        let night = ("22:00", "07:00");
        // Forward in the night: an hour less of it.
        assert_eq!(ends("2026-03-28T22:00:00Z", night, "Europe/Berlin"), "2026-03-29T05:00:00.000Z");
        assert_eq!(ends("2026-03-08T04:00:00Z", night, "America/New_York"), "2026-03-08T11:00:00.000Z");
        // Back: an hour more.
        assert_eq!(ends("2026-10-24T21:00:00Z", night, "Europe/Berlin"), "2026-10-25T06:00:00.000Z");
        assert_eq!(ends("2026-11-01T03:00:00Z", night, "America/New_York"), "2026-11-01T12:00:00.000Z");
        // Lord Howe turns by half an hour, Kolkata never and is half an hour off.
        assert_eq!(ends("2026-04-04T13:00:00Z", night, "Australia/Lord_Howe"), "2026-04-04T20:30:00.000Z");
        assert_eq!(ends("2026-10-03T13:00:00Z", night, "Australia/Lord_Howe"), "2026-10-03T20:00:00.000Z");
        assert_eq!(ends("2026-03-28T18:00:00Z", night, "Asia/Kolkata"), "2026-03-29T01:30:00.000Z");
    }

    #[test]
    fn an_end_that_is_skipped_comes_as_much_later_and_one_that_comes_twice_ends_it_once() {
        let early = ("22:00", "02:30");
        // 02:30 does not exist in Berlin that night: it is 03:30.
        assert_eq!(ends("2026-03-29T00:30:00Z", early, "Europe/Berlin"), "2026-03-29T01:30:00.000Z");
        assert_eq!(ends("2026-03-08T06:30:00Z", early, "America/New_York"), "2026-03-08T07:30:00.000Z");
        // It comes twice: the first is the end, and at 02:10 for the second time it is not quiet again.
        assert_eq!(ends("2026-10-25T00:10:00Z", early, "Europe/Berlin"), "2026-10-25T00:30:00.000Z");
        assert_eq!(ends("2026-10-25T01:10:00Z", early, "Europe/Berlin"), "not quiet");
        // On Lord Howe 01:45 comes twice, half an hour apart.
        let until = ("22:00", "01:45");
        assert_eq!(ends("2026-04-04T14:40:00Z", until, "Australia/Lord_Howe"), "2026-04-04T14:45:00.000Z");
        assert_eq!(ends("2026-04-04T15:10:00Z", until, "Australia/Lord_Howe"), "not quiet");
    }

    /// In each zone: when a night ends that begins before either change of clocks, the leap day and the year's
    /// last midnight, and when an evening ends that is quiet up to midnight, all in UTC.
    #[test]
    fn a_night_ends_at_its_hour_in_every_zone_and_every_season() {
        let mut table = String::new();
        for (name, forward, back) in [
            ("America/New_York", "2026-03-08", "2026-11-01"),
            ("Europe/Berlin", "2026-03-29", "2026-10-25"),
            ("Australia/Lord_Howe", "2026-10-04", "2026-04-05"),
            ("Asia/Kolkata", "2026-03-29", "2026-10-25"),
        ] {
            let zone = due::zone(name);
            let end = |date: &str, to: &str| {
                let day: jiff::civil::Date = date.parse().unwrap();
                let late = DayTime { hour: 23, minute: 30 };
                let now = due::local(day.yesterday().unwrap(), late, &zone).unwrap();
                let hours = ("22:00".parse().unwrap(), to.parse().unwrap());
                end(now, hours, &zone).unwrap().to_string()[5..16].to_owned()
            };
            let night = |date: &str| end(date, "07:00");
            table += &format!(
                "{name}\n  forward {}, back {}, leap {}, year {}, midnight {} {}\n",
                night(forward),
                night(back),
                night("2028-02-29"),
                night("2027-01-01"),
                end(forward, "00:00"),
                end(back, "00:00"),
            );
        }
        insta::assert_snapshot!(table.trim_end(), @r"
        America/New_York
          forward 03-08T11:00, back 11-01T12:00, leap 02-29T12:00, year 01-01T12:00, midnight 03-08T05:00 11-01T04:00
        Europe/Berlin
          forward 03-29T05:00, back 10-25T06:00, leap 02-29T06:00, year 01-01T06:00, midnight 03-28T23:00 10-24T22:00
        Australia/Lord_Howe
          forward 10-03T20:00, back 04-04T20:30, leap 02-28T20:00, year 12-31T20:00, midnight 10-03T13:30 04-04T13:00
        Asia/Kolkata
          forward 03-29T01:30, back 10-25T01:30, leap 02-29T01:30, year 01-01T01:30, midnight 03-28T18:30 10-24T18:30
        ");
    }

    #[test]
    fn people_are_told_one_after_the_other_and_each_always_at_the_same_time() {
        let spread: Vec<i64> = (0..1_000_u128)
            .map(|person| jitter(crate::event::hash128([&person.to_le_bytes()])).millis())
            .collect();
        assert!(spread.iter().all(|jitter| (0..SPREAD.millis()).contains(jitter)));
        let early = spread.iter().filter(|jitter| **jitter < SPREAD.millis() / 2).count();
        assert!((400..600).contains(&early), "{early} of 1000 in the first half");
        assert_eq!(jitter(77), jitter(77));
    }
}
