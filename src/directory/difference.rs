//! Difference: what must be written so that the directory becomes what a file says, in which order.
//!
//! **Invariant:** who gains something is written before who loses something. When a role goes from one
//! person to another, a reader that stands between two records finds both or the new one, never nobody.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::Person;

/// People by tenant and user id.
pub type ByKey = BTreeMap<(String, String), Person>;

/// What to write. The four lists are written one after the other.
#[derive(Debug, Default, PartialEq)]
pub struct Difference {
    /// New people, and people who lose nothing.
    pub gaining: Vec<Person>,
    /// People who gain roles and lose others, with both for the moment.
    pub between: Vec<Person>,
    /// People who lose something, as the file has them.
    pub losing: Vec<Person>,
    /// Tenant and user id of people the file does not name, though it names their tenant.
    pub missing: Vec<(String, String)>,
    /// How many people are new.
    pub added: usize,
    /// How many people changed.
    pub changed: usize,
    /// How many people stay as they are.
    pub same: usize,
}

// === impl Difference ===

impl Difference {
    /// What turns `present` into `wanted`. Tenants that `wanted` does not name are left alone.
    #[must_use]
    pub fn between(present: &ByKey, wanted: &[Person]) -> Self {
        let mut difference = Self::default();
        let mut named = BTreeSet::new();
        for person in wanted {
            let key = (person.tenant.clone(), person.user_id.clone());
            difference.compare(present.get(&key), person);
            named.insert(key);
        }
        let tenants: BTreeSet<&str> = wanted.iter().map(|person| person.tenant.as_str()).collect();
        let missing = present.keys().filter(|key| tenants.contains(key.0.as_str()) && !named.contains(*key));
        difference.missing = missing.cloned().collect();
        difference
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added + self.changed + self.missing.len() == 0
    }

    /// Which part of the people known so far the missing ones are, from 0 to 1.
    #[must_use]
    pub fn missing_share(&self) -> f64 {
        let known = self.same + self.changed + self.missing.len();
        let count = |people: usize| u32::try_from(people).map_or(f64::from(u32::MAX), f64::from);
        if known == 0 { 0.0 } else { count(self.missing.len()) / count(known) }
    }

    fn compare(&mut self, present: Option<&Person>, wanted: &Person) {
        let Some(present) = present else {
            self.added += 1;
            self.gaining.push(wanted.clone());
            return;
        };
        if present == wanted {
            self.same += 1;
            return;
        }
        self.changed += 1;
        let lost: Vec<&String> = present.roles.iter().filter(|role| !wanted.roles.contains(role)).collect();
        let gains_roles = wanted.roles.iter().any(|role| !present.roles.contains(role));
        let stands = |person: &Person| {
            let Person { location, business_unit, party, .. } = person;
            (location.clone(), business_unit.clone(), party.clone())
        };
        let stays = lost.is_empty()
            && stands(present) == stands(wanted)
            && (wanted.active || !present.active)
            && (present.absent || !wanted.absent)
            && (&present.absent_from, &present.absent_until) == (&wanted.absent_from, &wanted.absent_until);
        if stays {
            self.gaining.push(wanted.clone());
            return;
        }
        // A role kept for a moment must not reach who just became inactive or external, or works elsewhere.
        if gains_roles && !lost.is_empty() && wanted.active && stands(present) == stands(wanted) {
            let roles = wanted.roles.iter().chain(lost).cloned().collect();
            self.between.push(Person { roles, ..wanted.clone() });
        }
        self.losing.push(wanted.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(user_id: &str, roles: &[&str]) -> Person {
        Person {
            tenant: "north".into(),
            user_id: user_id.into(),
            active: true,
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            ..Person::default()
        }
    }

    fn by_key(people: &[Person]) -> ByKey {
        people
            .iter()
            .map(|person| ((person.tenant.clone(), person.user_id.clone()), person.clone()))
            .collect()
    }

    fn holders(people: &ByKey, role: &str) -> usize {
        people.values().filter(|person| person.roles.iter().any(|held| held == role)).count()
    }

    #[test]
    fn only_what_differs_is_written() {
        let present = by_key(&[person("ada", &["legal"]), person("bob", &[]), person("cid", &[])]);
        let wanted = [person("ada", &["legal"]), person("bob", &["buyer"]), person("dan", &[])];
        let difference = Difference::between(&present, &wanted);
        assert_eq!((difference.added, difference.changed, difference.same), (1, 1, 1));
        assert_eq!(difference.gaining, [wanted[1].clone(), wanted[2].clone()]);
        assert_eq!(difference.missing, [("north".to_owned(), "cid".to_owned())]);
        assert!(difference.missing_share() > 0.33 && difference.missing_share() < 0.34);
        assert!(Difference::between(&by_key(&wanted), &wanted).is_empty());
    }

    #[test]
    fn a_role_handed_over_is_never_held_by_nobody() {
        let mut present = by_key(&[person("ada", &["x", "y"]), person("bob", &["z"])]);
        let wanted = [person("ada", &["z"]), person("bob", &["x", "y"])];
        let difference = Difference::between(&present, &wanted);
        let steps = [&difference.gaining, &difference.between, &difference.losing].into_iter().flatten();
        for person in steps {
            present.insert((person.tenant.clone(), person.user_id.clone()), person.clone());
            for role in ["x", "y", "z"] {
                assert!(holders(&present, role) > 0, "nobody holds {role}");
            }
        }
        assert_eq!(present, by_key(&wanted));
    }

    #[test]
    fn somebody_who_becomes_inactive_or_external_keeps_nothing_for_a_moment() {
        let present = by_key(&[person("ada", &["x"]), person("bob", &["x"])]);
        let wanted = [
            Person { active: false, ..person("ada", &["y"]) },
            Person { party: Some("acme".into()), ..person("bob", &["y"]) },
        ];
        let difference = Difference::between(&present, &wanted);
        assert_eq!(difference.between, []);
        assert_eq!(difference.losing, wanted);
    }

    #[test]
    fn a_tenant_the_file_does_not_name_is_left_alone() {
        let south = Person { tenant: "south".into(), ..person("ada", &[]) };
        let difference = Difference::between(&by_key(&[south]), &[person("ada", &[])]);
        assert_eq!(difference.missing, []);
        assert_eq!(difference.added, 1);
    }
}
