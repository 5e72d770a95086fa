//! Zones: where people are by the calendar, and what stands in where an entry names no zone that is known.
//!
//! A zone that nobody knows is as good as none: the device's, else the person's own, else the tenant's counts. It is
//! never taken for UTC, and who has one is counted, so that somebody can see it and mend it.

use hashbrown::HashMap;
use jiff::tz::TimeZone;

use crate::event::Person;

/// The zones of those who have none of their own, by tenant.
#[derive(Debug)]
pub struct Zones {
    each: HashMap<String, TimeZone>,
    other: TimeZone,
}

// === impl Zones ===

impl Default for Zones {
    fn default() -> Self {
        Self { each: HashMap::new(), other: TimeZone::UTC }
    }
}

impl Zones {
    /// `other` where a tenant has none; the settings have been checked for zones that nobody knows.
    pub fn new<'z>(other: &str, each: impl IntoIterator<Item = (&'z str, &'z str)>) -> Self {
        let zone = |name: &str| TimeZone::get(name).ok();
        let each = each.into_iter().filter_map(|(tenant, name)| Some((tenant.to_owned(), zone(name)?)));
        Self { each: each.collect(), other: zone(other).unwrap_or(TimeZone::UTC) }
    }

    /// The tenant's.
    pub(super) fn of(&self, tenant: &str) -> &TimeZone {
        self.each.get(tenant).unwrap_or(&self.other)
    }
}

/// Whether somebody knows the zone with this IANA name.
#[must_use]
pub fn is_zone(name: &str) -> bool {
    TimeZone::get(name).is_ok()
}

/// The zone that was probably meant.
#[must_use]
pub fn nearest(name: &str) -> Option<String> {
    let wanted = name.to_ascii_lowercase();
    let near = |known: &str| strsim::damerau_levenshtein(&known.to_ascii_lowercase(), &wanted);
    let known = jiff::tz::db().available().map(|known| known.as_str().to_owned());
    known.map(|known| (near(&known), known)).filter(|(far, _)| *far <= 2).min().map(|(_, known)| known)
}

/// What an entry calls zones and nobody knows, with the names of the fields.
pub fn unknown(person: &Person) -> impl Iterator<Item = (&'static str, &str)> {
    let named = [("device_zone", &person.device_zone), ("zone", &person.zone)];
    let named = named.into_iter().filter_map(|(field, zone)| Some((field, text(zone)?)));
    named.filter(|(_, zone)| !is_zone(zone))
}

/// The zone of an entry that is known: where the device is, its owner is.
pub(super) fn known(person: &Person) -> Option<&str> {
    [&person.device_zone, &person.zone].into_iter().filter_map(text).find(|zone| is_zone(zone))
}

/// A text without the blanks around it, where there is one.
pub(super) fn text(text: &Option<String>) -> Option<&str> {
    text.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(device: &str, own: &str) -> Person {
        let some = |text: &str| Some(text.to_owned());
        Person { device_zone: some(device), zone: some(own), ..Person::default() }
    }

    #[test]
    fn a_zone_that_nobody_knows_is_as_good_as_none_and_is_named() {
        let known_of = |device, own| known(&of(device, own)).map(str::to_owned);
        assert_eq!(known_of("Asia/Tokyo", "Europe/Berlin").as_deref(), Some("Asia/Tokyo"));
        assert_eq!(known_of("Asia/Tokio", " Europe/Berlin").as_deref(), Some("Europe/Berlin"));
        assert_eq!(known_of("Asia/Tokio", "Europe/Berlyn"), None);
        assert_eq!(known_of("", " "), None);
        let person = of("Asia/Tokio", "Europe/Berlyn");
        let named: Vec<_> = unknown(&person).collect();
        assert_eq!(named, [("device_zone", "Asia/Tokio"), ("zone", "Europe/Berlyn")]);
        assert_eq!(unknown(&of("", "Europe/Berlin")).count(), 0);
    }

    #[test]
    fn the_zone_that_was_meant_is_named_where_one_is_near() {
        assert_eq!(nearest("Europe/Berlyn").as_deref(), Some("Europe/Berlin"));
        assert_eq!(nearest("Berlin"), None);
    }
}
