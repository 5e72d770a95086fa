//! Absence: from when until when somebody is away, and who comes back or leaves as time passes.
//!
//! A day stands for all of it, in the zone of whoever is away: the first day from its beginning, the last until
//! its end. It asks for no time itself: who follows the directory says how late it is.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::event::{Person, Timestamp};

/// A stretch of time; open where a bound is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Absence {
    from: Option<Timestamp>,
    /// Not away any more.
    until: Option<Timestamp>,
}

/// Why a text is no bound of an absence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a day nor a time")]
pub(super) struct NotABound(String);

/// A bound as it is written.
enum Bound {
    Day(Date),
    Time(Timestamp),
}

// === impl Absence ===

impl Absence {
    /// When a person is away by dates, which are those of the tenant's zone where the entry names no zone that is
    /// known; `None` where it names no date that can be read.
    pub(super) fn of(person: &Person, tenant: Option<&TimeZone>) -> Option<Self> {
        let bound = |text: &Option<String>| read(text.as_deref()?.trim()).ok();
        let (from, until) = (bound(&person.absent_from), bound(&person.absent_until));
        if from.is_none() && until.is_none() {
            return None;
        }
        let zone = [&person.zone, &person.device_zone].into_iter().flatten();
        let zone = zone.filter_map(|name| TimeZone::get(name.trim()).ok()).next();
        let zone = zone.or_else(|| tenant.cloned()).unwrap_or(TimeZone::UTC);
        Some(Self {
            from: from.and_then(|bound| bound.begins(&zone)),
            until: until.and_then(|bound| bound.ends(&zone)),
        })
    }

    /// Whether it lasts at this time.
    pub(super) fn holds(self, now: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }

    /// Whether it ends before it begins.
    pub(super) fn is_empty(self) -> bool {
        self.from.zip(self.until).is_some_and(|(from, until)| until <= from)
    }

    /// When it begins and when it ends, as far as it does.
    pub(super) fn turns(self) -> impl Iterator<Item = Timestamp> {
        [self.from, self.until].into_iter().flatten()
    }
}

/// Whether a text is a bound; an empty one is none.
///
/// # Errors
/// [`NotABound`].
pub(super) fn check(text: &str) -> Result<(), NotABound> {
    read(text.trim()).map(drop)
}

fn read(text: &str) -> Result<Bound, NotABound> {
    if let Ok(day) = text.parse::<Date>().map(Bound::Day)
        && !text.contains([':', 'T'])
    {
        return Ok(day);
    }
    text.parse::<Timestamp>().map(Bound::Time).map_err(|_| NotABound(text.to_owned()))
}

// === impl Bound ===

impl Bound {
    fn begins(&self, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Day(day) => midnight(*day, zone),
            Self::Time(at) => Some(*at),
        }
    }

    fn ends(&self, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Day(day) => midnight(day.tomorrow().ok()?, zone),
            Self::Time(at) => Some(*at),
        }
    }
}

/// When a day begins, also where its midnight does not exist.
fn midnight(day: Date, zone: &TimeZone) -> Option<Timestamp> {
    let begins = zone.to_ambiguous_timestamp(day.at(0, 0, 0, 0)).compatible().ok()?;
    Some(Timestamp::from_millis(begins.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away(from: &str, until: &str, zone: &str) -> Option<Absence> {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let person = Person {
            absent_from: some(from),
            absent_until: some(until),
            zone: some(zone),
            ..Person::default()
        };
        Absence::of(&person, None)
    }

    fn holds(absence: Option<Absence>, at: &str) -> bool {
        absence.unwrap().holds(at.parse().unwrap())
    }

    #[test]
    fn a_day_is_whole_and_where_the_person_is() {
        let absence = away("2026-12-24", "2027-01-06", "Europe/Berlin");
        assert!(!holds(absence, "2026-12-23T22:59:59Z"));
        assert!(holds(absence, "2026-12-23T23:00:00Z"));
        assert!(holds(absence, "2027-01-06T22:59:59Z"));
        assert!(!holds(absence, "2027-01-06T23:00:00Z"));
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for zone in [None, Some("Europe/Berlyn".to_owned())] {
            let person = Person { absent_from: Some("2026-12-24".to_owned()), zone, ..Person::default() };
            let absence = Absence::of(&person, Some(&berlin));
            assert!(holds(absence, "2026-12-23T23:00:00Z"), "without a zone it is the tenant's day");
        }
    }

    #[test]
    fn a_time_is_that_time_and_a_missing_bound_is_none() {
        let absence = away("2026-12-24T12:00:00Z", "", "");
        assert!(!holds(absence, "2026-12-24T11:59:59Z") && holds(absence, "2030-01-01T00:00:00Z"));
        assert!(holds(away("", "2026-12-24T12:00:00Z", ""), "2026-12-24T11:59:59Z"));
        assert_eq!(away("", "", "Europe/Berlin"), None);
    }

    #[test]
    fn what_is_no_bound_says_so() {
        assert_eq!(check("24.12.2026").unwrap_err().to_string(), "`24.12.2026` is neither a day nor a time");
        assert!(check("2026-12-24").is_ok() && check("2026-12-24T08:00:00+01:00").is_ok());
        assert!(check("2026-12-24T08:00").is_err(), "a time names its distance from UTC");
    }
}
