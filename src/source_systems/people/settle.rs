//! Settle: what single entries say becomes people: groups are roles, a manager's key is their user id.
//!
//! A member of a group is a member of the groups that one belongs to.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Access, Groups, Listing, Spoken};
use crate::event::Person;

/// An entry, as it was listed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Raw {
    /// The person, but for roles and manager.
    pub(super) person: Person,
    /// The keys of the groups they belong to.
    pub(super) groups: Vec<String>,
    /// The key of the manager.
    pub(super) manager: Option<String>,
}

/// Makes a listing of entries by key.
pub(super) fn settle(
    access: &Access,
    raws: &BTreeMap<String, Raw>,
    groups: &Groups,
    settled: bool,
) -> Listing {
    let (mut people, mut unknown) = (BTreeMap::new(), 0);
    for raw in raws.values() {
        let mut person = raw.person.clone();
        let held = groups.of(&raw.groups);
        unknown += raw.groups.iter().filter(|key| !groups.names.contains_key(*key)).count();
        let names = held.iter().filter_map(|key| groups.names.get(*key));
        let roles = names.filter_map(|name| name.strip_prefix(&access.role_prefix));
        let roles: BTreeSet<&str> = roles.map(str::trim).filter(|role| !role.is_empty()).collect();
        person.roles = roles.into_iter().map(str::to_owned).collect();
        if let Some(key) = &raw.manager {
            person.manager = raws.get(key).map(|manager| manager.person.user_id.clone());
            unknown += usize::from(person.manager.is_none());
        }
        people.insert(person.user_id.clone(), person);
    }
    let people: Vec<Person> = people.into_values().collect();
    let mut spoken = Spoken::of(&people);
    spoken.manager = raws.values().any(|raw| raw.manager.is_some());
    Listing { people, spoken, is_settled: settled, unknown, since: None }
}

/// A text that says something.
pub(super) fn said(text: Option<&str>) -> Option<String> {
    text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A department as a path: `EMEA/EMEA Sales`.
pub(super) fn unit(department: Option<String>) -> Vec<String> {
    let department = department.unwrap_or_default();
    department.split('/').filter_map(|level| said(Some(level))).collect()
}

/// A language as BCP 47 writes it: `de_CH` is `de-CH`.
pub(super) fn locale(text: Option<String>) -> Option<String> {
    text.map(|text| text.replace('_', "-"))
}

// === impl Groups ===

impl Groups {
    /// These groups, and those above them, each once; one that stands above itself ends there.
    fn of<'g>(&'g self, direct: &'g [String]) -> BTreeSet<&'g str> {
        let mut held = BTreeSet::new();
        let mut open: Vec<&str> = direct.iter().map(String::as_str).collect();
        while let Some(key) = open.pop() {
            if held.insert(key) {
                open.extend(self.above.get(key).into_iter().flatten().map(String::as_str));
            }
        }
        held
    }
}
