//! Unheard: names in an audience that nobody active stands under, and what was probably meant.
//!
//! Advice for a person at a terminal; nothing here decides who is told.

use std::fmt;

use super::People;
use crate::event::audience::{Bound, Table};

/// A name nobody stands under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unheard {
    /// Where it was looked up.
    pub table: Table,
    /// The name.
    pub name: String,
    /// A name of the same table that is spelt almost like it.
    pub nearest: Option<String>,
}

// === impl People ===

impl People {
    /// Every name of `bound` that nobody in `tenant` stands under; of person ids, those without an entry.
    #[must_use]
    pub fn unheard(&self, tenant: &str, bound: &Bound) -> Vec<Unheard> {
        let mut unheard = Vec::new();
        each_name(bound, &mut |table, name| {
            if table == Table::Person {
                if self.get(tenant, name).is_none() {
                    unheard.push(Unheard { table, name: name.to_owned(), nearest: None });
                }
                return;
            }
            let known = self.names(tenant, table);
            if known.iter().all(|(known, _)| *known != name.trim()) {
                let distance = |known: &str| {
                    strsim::damerau_levenshtein(&known.to_lowercase(), &name.trim().to_lowercase())
                };
                let nearest = known.iter().map(|(known, _)| (distance(known), *known)).min();
                let nearest = nearest.filter(|(distance, _)| *distance <= name.len().max(3) / 3);
                let nearest = nearest.map(|(_, known)| known.to_owned());
                unheard.push(Unheard { table, name: name.to_owned(), nearest });
            }
        });
        unheard.dedup();
        unheard
    }
}

fn each_name(bound: &Bound, look: &mut impl FnMut(Table, &str)) {
    match bound {
        Bound::In(table, names) => names.iter().for_each(|name| look(*table, name)),
        Bound::Empty(_) | Bound::Member(..) => {}
        Bound::SupervisorOf(of) | Bound::BackupOf(of) | Bound::Not(of) => each_name(of, look),
        Bound::All(parts) | Bound::Any(parts) => parts.iter().for_each(|part| each_name(part, look)),
    }
}

// === impl Unheard ===

impl Unheard {
    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.nearest.as_ref().map(|nearest| format!("write `{nearest}`"))
    }
}

impl fmt::Display for Unheard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.table {
            Table::Role => write!(f, "nobody holds role `{name}`"),
            Table::Location => write!(f, "nobody works in location `{name}`"),
            Table::Unit => write!(f, "nobody belongs to unit `{name}`"),
            Table::Person => write!(f, "the directory has no person `{name}`"),
            Table::Party => write!(f, "nobody belongs to party `{name}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Person;

    #[test]
    fn a_misspelt_role_is_answered_with_the_one_people_hold() {
        let mut people = People::new();
        people.apply(&Person {
            tenant: "north".into(),
            user_id: "ada".into(),
            active: true,
            roles: vec!["records-manager".into()],
            ..Person::default()
        });
        let role = |name: &str| Bound::In(Table::Role, vec![name.to_owned()]);
        let advice = |bound: Bound| {
            let unheard = people.unheard("north", &bound);
            let words = |unheard: &Unheard| format!("{unheard}; {}", unheard.hint().unwrap_or_default());
            unheard.iter().map(words).collect::<Vec<_>>().join("\n")
        };
        let misspelt = Bound::Not(Box::new(role("recrods-manager")));
        assert_eq!(advice(misspelt), "nobody holds role `recrods-manager`; write `records-manager`");
        assert_eq!(
            advice(role("Records-Manager")),
            "nobody holds role `Records-Manager`; write `records-manager`"
        );
        assert_eq!(advice(role("astronaut")), "nobody holds role `astronaut`; ");
        assert_eq!(advice(role("records-manager")), "");
        let strangers = Bound::In(Table::Person, vec!["ada".into(), "eve".into()]);
        assert_eq!(advice(strangers), "the directory has no person `eve`; ");
    }
}
