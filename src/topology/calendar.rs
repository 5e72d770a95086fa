//! Calendar: when people work, place by place, for what a rule counts in business time.
//!
//! A calendar is a tenant's, a location's or everybody's; the nearest one counts. It knows the hours of a week and
//! the days nobody works, and nothing of any one person.

use std::collections::BTreeSet;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

use super::KindRule;
use super::fault::Spot;
use super::key::text_of;
use super::reading::Reading;
use super::tree::{Branch, Node};
use crate::event::{Change, DayTime, Span, Timestamp};

/// The working hours of one place.
#[derive(Debug, Clone)]
pub struct Calendar {
    /// Whose; of every tenant where none is named.
    pub tenant: Option<String>,
    /// Where; everywhere that has none of its own where none is named.
    pub location: Option<String>,
    /// In which zone its hours are; the tenant's where none is named.
    pub zone: Option<String>,
    days: Vec<Weekday>,
    hours: (DayTime, DayTime),
    holidays: BTreeSet<Date>,
}

/// The calendars of all places.
#[derive(Debug, Default, Clone)]
pub struct Calendars(pub(super) Vec<Calendar>);

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];
/// The furthest that is counted: who closes for longer has no business time left.
const MOST_DAYS: u32 = 3 * 366;

// === impl Calendars ===

impl Calendars {
    /// The one that counts for a tenant at a location: the location's before everybody's, and of two the tenant's.
    #[must_use]
    pub fn of(&self, tenant: &str, location: Option<&str>) -> Option<&Calendar> {
        let fits = |calendar: &&Calendar| {
            calendar.tenant.as_deref().is_none_or(|only| only == tenant)
                && (calendar.location.is_none() || calendar.location.as_deref() == location)
        };
        let nearness = |calendar: &&Calendar| (calendar.location.is_some(), calendar.tenant.is_some());
        self.0.iter().filter(fits).max_by_key(nearness)
    }

    /// Whether every tenant and place has one.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.iter().any(|calendar| calendar.tenant.is_none() && calendar.location.is_none())
    }
}

// === impl KindRule ===

impl KindRule {
    /// The calendar of the place that a change is about.
    #[must_use]
    pub fn calendar(&self, change: &Change<'_>) -> Option<&Calendar> {
        let location = self.rule.plan.calendar.as_ref().and_then(|field| text_of(change, &field.value));
        self.rule.calendars.of(change.tenant(), location.as_deref())
    }
}

// === impl Calendar ===

impl Calendar {
    /// So much business time after `from`, in `zone` where the calendar names none; `None` where it never comes.
    #[must_use]
    pub fn after(&self, from: Timestamp, span: Span, zone: &TimeZone) -> Option<Timestamp> {
        let own = self.zone.as_deref().and_then(|name| TimeZone::get(name).ok());
        let zone = own.as_ref().unwrap_or(zone);
        let mut day = zone.to_datetime(jiff::Timestamp::from_millisecond(from.millis()).ok()?).date();
        let mut left = span;
        for _ in 0..MOST_DAYS {
            if self.is_worked(day) {
                let opens = instant(day, self.hours.0, zone)?.max(from);
                let closes = instant(day, self.hours.1, zone)?;
                let open = closes.since(opens);
                if open >= left && open > Span::ZERO {
                    return Some(opens + left);
                }
                left = Span::from_millis(left.millis() - open.max(Span::ZERO).millis());
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    fn is_worked(&self, day: Date) -> bool {
        self.days.contains(&day.weekday()) && !self.holidays.contains(&day)
    }
}

fn instant(day: Date, hour: DayTime, zone: &TimeZone) -> Option<Timestamp> {
    let at = day.at(i8::try_from(hour.hour).ok()?, i8::try_from(hour.minute).ok()?, 0, 0);
    let at = zone.to_ambiguous_timestamp(at).compatible().ok()?;
    Some(Timestamp::from_millis(at.as_millisecond()))
}

/// One entry of `calendars:`, with its place.
pub(crate) fn read(cx: &mut Reading<'_>, node: &Node) -> Option<Spot<Calendar>> {
    let mut fields = cx.fields(node, "a calendar")?;
    let text = |cx: &mut Reading<'_>, node: Option<&Node>| node.and_then(|node| cx.text(node));
    let tenant = text(cx, fields.get("tenant"));
    let location = text(cx, fields.get("location"));
    let zone = text(cx, fields.get("zone"));
    if let Some(zone) = zone.as_ref().filter(|zone| TimeZone::get(&zone.value).is_err()) {
        let fact = format!("`{}` is no time zone", zone.value);
        cx.fault(zone.at, "bad-zone", (fact, "write an IANA name such as `Europe/Paris`"));
    }
    let days = match fields.get("days") {
        Some(node) => cx.names(node).iter().filter_map(|day| weekday(cx, day)).collect(),
        None => DAYS[..5].iter().map(|(_, day)| *day).collect(),
    };
    let hours = fields.need("hours", cx).and_then(|node| hours(cx, node));
    let holidays = fields.get("holidays").map(|node| cx.some(node, holiday)).unwrap_or_default();
    fields.done(cx);
    let value = |spot: Option<Spot<String>>| spot.map(|spot| spot.value);
    let calendar = Calendar {
        tenant: value(tenant),
        location: value(location),
        zone: value(zone),
        days,
        hours: hours?,
        holidays: holidays.into_iter().collect(),
    };
    Some(Spot { value: calendar, at: node.at })
}

fn weekday(cx: &mut Reading<'_>, day: &Spot<String>) -> Option<Weekday> {
    let found = DAYS.iter().find(|(name, _)| *name == day.value).map(|(_, day)| *day);
    if found.is_none() {
        let fact = format!("`{}` is no day of the week", day.value);
        cx.fault(day.at, "unknown-word", (fact, "write mon, tue, wed, thu, fri, sat or sun"));
    }
    found
}

fn hours(cx: &mut Reading<'_>, node: &Node) -> Option<(DayTime, DayTime)> {
    let text = cx.text(node)?;
    let read = || {
        let (from, to) = text.value.split_once('-')?;
        Some((from.parse::<DayTime>().ok()?, to.parse::<DayTime>().ok()?)).filter(|(from, to)| from < to)
    };
    let read = read();
    if read.is_none() {
        let fact = format!("`{}` are no working hours", text.value);
        cx.fault(node.at, "bad-hour", (fact, "write them as `\"08:00-17:00\"`, on one day"));
    }
    read
}

fn holiday(cx: &mut Reading<'_>, node: &Node) -> Option<Date> {
    let text = match &node.value {
        Branch::Text(text) => text.clone(),
        _ => cx.text(node)?.value,
    };
    let day = text.parse().ok();
    if day.is_none() {
        cx.fault(node.at, "bad-date", (format!("`{text}` is no date"), "write it as `2026-12-25`"));
    }
    day
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(tenant: Option<&str>, location: Option<&str>) -> Calendar {
        Calendar {
            tenant: tenant.map(str::to_owned),
            location: location.map(str::to_owned),
            zone: Some("Europe/Berlin".to_owned()),
            days: DAYS[..5].iter().map(|(_, day)| *day).collect(),
            hours: ("08:00".parse().unwrap(), "17:00".parse().unwrap()),
            holidays: BTreeSet::from(["2026-01-06".parse().unwrap()]),
        }
    }

    fn after(from: &str, hours: i64) -> String {
        let span = Span::from_secs(hours * 3_600);
        let at = calendar(None, None).after(from.parse().unwrap(), span, &TimeZone::UTC).unwrap();
        at.to_string()
    }

    #[test]
    fn business_time_stands_still_at_night_over_the_weekend_and_on_holidays() {
        assert_eq!(after("2026-01-05T09:00:00Z", 4), "2026-01-05T13:00:00.000Z");
        // 17:00 in Berlin is the end; what is left of Monday goes on on Wednesday, after the holiday.
        assert_eq!(after("2026-01-05T13:00:00Z", 4), "2026-01-07T08:00:00.000Z");
        assert_eq!(after("2026-01-09T15:00:00Z", 2), "2026-01-12T08:00:00.000Z");
        assert_eq!(after("2026-01-10T12:00:00Z", 1), "2026-01-12T08:00:00.000Z");
        assert_eq!(
            after("2026-01-05T03:00:00Z", 0),
            "2026-01-05T07:00:00.000Z",
            "no time at all is when they open"
        );
        assert_eq!(after("2026-01-05T07:00:00Z", 9), "2026-01-05T16:00:00.000Z");
        // Clocks are turned in the night to 29 March: a day of work is nine hours all the same.
        assert_eq!(after("2026-03-27T15:00:00Z", 2), "2026-03-30T07:00:00.000Z");
    }

    /// In each zone: four hours of work from an hour before closing, over the weekend of either change of clocks
    /// and over the leap day, and one hour where they open at midnight, all in UTC.
    #[test]
    fn an_hour_of_work_is_an_hour_in_every_zone_and_every_season() {
        let mut table = String::new();
        for (name, forward, back) in [
            ("America/New_York", "2026-03-06", "2026-10-30"),
            ("Europe/Berlin", "2026-03-27", "2026-10-23"),
            ("Australia/Lord_Howe", "2026-10-02", "2026-04-03"),
            ("Asia/Kolkata", "2026-03-27", "2026-10-23"),
        ] {
            let zone = TimeZone::get(name).unwrap();
            let day = Calendar { zone: Some(name.to_owned()), ..calendar(None, None) };
            let always = DAYS.iter().map(|(_, day)| *day).collect();
            let night = ("00:00".parse().unwrap(), "06:00".parse().unwrap());
            let night = Calendar { days: always, hours: night, ..day.clone() };
            let after = |calendar: &Calendar, date: &str, hour: i8, hours: i64| {
                let date: Date = date.parse().unwrap();
                let from = zone.to_timestamp(date.at(hour, 0, 0, 0)).unwrap().as_millisecond();
                let span = Span::from_secs(hours * 3_600);
                let at = calendar.after(Timestamp::from_millis(from), span, &TimeZone::UTC).unwrap();
                at.to_string()[5..16].to_owned()
            };
            // The nights of the changes themselves are those to Sunday: four hours of what is left of them.
            table += &format!(
                "{name}\n  forward {}, back {}, leap {}, midnight {}, its nights {} {}\n",
                after(&day, forward, 16, 4),
                after(&day, back, 16, 4),
                after(&day, "2028-02-28", 16, 10),
                after(&night, forward, 20, 1),
                after(&night, &sunday(forward), 0, 4),
                after(&night, &sunday(back), 0, 4),
            );
        }
        insta::assert_snapshot!(table.trim_end(), @r"
        America/New_York
          forward 03-09T15:00, back 11-02T16:00, leap 02-29T22:00, midnight 03-07T06:00, its nights 03-08T09:00 11-01T08:00
        Europe/Berlin
          forward 03-30T09:00, back 10-26T10:00, leap 02-29T16:00, midnight 03-28T00:00, its nights 03-29T03:00 10-25T02:00
        Australia/Lord_Howe
          forward 10-05T00:00, back 04-06T00:30, leap 02-29T06:00, midnight 10-02T14:30, its nights 10-03T17:30 04-04T17:00
        Asia/Kolkata
          forward 03-30T05:30, back 10-26T05:30, leap 02-29T11:30, midnight 03-27T19:30, its nights 03-28T22:30 10-24T22:30
        ");
    }

    /// The Sunday after a Friday.
    fn sunday(friday: &str) -> String {
        friday.parse::<Date>().unwrap().tomorrow().unwrap().tomorrow().unwrap().to_string()
    }

    #[test]
    fn the_nearest_calendar_counts() {
        let calendars = Calendars(vec![
            calendar(None, None),
            calendar(Some("acme"), None),
            calendar(None, Some("Lyon")),
            calendar(Some("acme"), Some("Lyon")),
        ]);
        let of = |tenant, location| {
            let found = calendars.of(tenant, location).unwrap();
            (found.tenant.as_deref(), found.location.as_deref())
        };
        assert_eq!(of("acme", Some("Lyon")), (Some("acme"), Some("Lyon")));
        assert_eq!(of("other", Some("Lyon")), (None, Some("Lyon")));
        assert_eq!(of("acme", Some("Rome")), (Some("acme"), None));
        assert_eq!(of("other", None), (None, None));
        assert!(Calendars(vec![calendar(Some("acme"), None)]).of("other", None).is_none());
    }
}
