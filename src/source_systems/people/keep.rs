//! Keep: what a source does not speak of stays as the directory has it.
//!
//! A field that nobody listed has is one the source does not know; if somebody has it, its absence means
//! that there is none. Deputies, absence, party and channels are never a source's.

use std::collections::BTreeSet;

use crate::event::Person;
use crate::event::person::Location;

/// What a source says of people at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a field of a person's own")]
pub struct Spoken {
    /// Names for people.
    pub display_name: bool,
    /// Towns.
    pub locality: bool,
    /// Regions.
    pub region: bool,
    /// Countries.
    pub country: bool,
    /// Business units.
    pub business_unit: bool,
    /// Managers.
    pub manager: bool,
    /// Languages.
    pub locale: bool,
    /// Zones.
    pub zone: bool,
    /// Mail addresses.
    pub known_as: bool,
}

// === impl Spoken ===

impl Spoken {
    pub(super) fn of(people: &[Person]) -> Self {
        let any = |has: fn(&Person) -> bool| people.iter().any(has);
        Self {
            display_name: any(|person| person.display_name.is_some()),
            locality: any(|person| person.location.locality.is_some()),
            region: any(|person| person.location.region.is_some()),
            country: any(|person| person.location.country.is_some()),
            business_unit: any(|person| !person.business_unit.is_empty()),
            manager: any(|person| person.manager.is_some()),
            locale: any(|person| person.locale.is_some()),
            zone: any(|person| person.zone.is_some()),
            known_as: any(|person| !person.known_as.is_empty()),
        }
    }
}

/// The entry to be, of what was listed and what the directory has.
#[must_use]
pub fn kept(listed: &Person, before: &Person, spoken: &Spoken) -> Person {
    fn pick<T: Clone>(is_spoken: bool, listed: &T, before: &T) -> T {
        if is_spoken { listed.clone() } else { before.clone() }
    }
    let (there, here) = (&listed.location, &before.location);
    let mut location = Location {
        site: here.site.clone(),
        locality: pick(spoken.locality, &there.locality, &here.locality),
        region: pick(spoken.region, &there.region, &here.region),
        country: pick(spoken.country, &there.country, &here.country),
    };
    // Who moved to another town does not work on the old site any more, and no source here knows the new one.
    let moved = |now: &Option<String>, was: &Option<String>| was.is_some() && now != was;
    if moved(&location.locality, &here.locality)
        || moved(&location.region, &here.region)
        || moved(&location.country, &here.country)
    {
        location.site = None;
    }
    let names = |roles: &[String]| roles.iter().cloned().collect::<BTreeSet<_>>();
    let same_roles = names(&listed.roles) == names(&before.roles);
    Person {
        tenant: listed.tenant.clone(),
        user_id: listed.user_id.clone(),
        active: listed.active,
        display_name: pick(spoken.display_name, &listed.display_name, &before.display_name),
        roles: pick(!same_roles, &listed.roles, &before.roles),
        location,
        business_unit: pick(spoken.business_unit, &listed.business_unit, &before.business_unit),
        manager: pick(spoken.manager, &listed.manager, &before.manager),
        locale: pick(spoken.locale, &listed.locale, &before.locale),
        zone: pick(spoken.zone, &listed.zone, &before.zone),
        known_as: pick(spoken.known_as, &listed.known_as, &before.known_as),
        ..before.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(roles: &[&str], site: Option<&str>, locality: Option<&str>) -> Person {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Person {
            tenant: "north".into(),
            user_id: "ada".into(),
            active: true,
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            location: Location { site: text(site), locality: text(locality), ..Location::default() },
            ..Person::default()
        }
    }

    #[test]
    fn what_a_source_does_not_speak_of_stays_as_it_is() {
        let before = Person {
            deputies: vec!["bob".into()],
            absent: true,
            zone: Some("Europe/Berlin".into()),
            manager: Some("cid".into()),
            ..person(&["legal", "buyer"], Some("P1"), Some("Hamburg"))
        };
        let listed = person(&["buyer", "legal"], None, Some("Hamburg"));
        let spoken = Spoken { locality: true, ..Spoken::default() };
        assert_eq!(kept(&listed, &before, &spoken), before);
        let spoken = Spoken { manager: true, ..spoken };
        assert_eq!(kept(&listed, &before, &spoken).manager, None, "others have one, so there is none");
    }

    #[test]
    fn who_moves_to_another_town_leaves_the_site() {
        let spoken = Spoken { locality: true, ..Spoken::default() };
        let before = person(&[], Some("P1"), Some("Hamburg"));
        let moved = kept(&person(&[], None, Some("Berlin")), &before, &spoken);
        assert_eq!(moved.location.site, None);
        let first = kept(&person(&[], None, Some("Hamburg")), &person(&[], Some("P1"), None), &spoken);
        assert_eq!(first.location.site.as_deref(), Some("P1"), "the town was not known before");
    }
}
