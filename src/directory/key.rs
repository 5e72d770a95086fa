//! Key: what a record of `opentext.directory` and `opentext.members` is kept under.
//!
//! A person's key is `tenant|user id`, a group's `tenant|scope type|scope id|role`. The tenant holds no
//! `|`; a user id, a scope id may. A tombstone has nothing but its key.

use crate::event::{Members, Person};

/// `tenant|user id`
#[must_use]
pub fn person_key(tenant: &str, user_id: &str) -> String {
    format!("{tenant}|{user_id}")
}

/// `tenant|scope type|scope id|role`
#[must_use]
pub fn members_key(members: &Members) -> String {
    let Members { tenant, scope_type, scope_id, role, .. } = members;
    format!("{tenant}|{scope_type}|{scope_id}|{role}")
}

/// Tenant and user id of a person's key; `None` when it is not one.
#[must_use]
pub fn read_person_key(key: &[u8]) -> Option<(&str, &str)> {
    let (tenant, user_id) = std::str::from_utf8(key).ok()?.split_once('|')?;
    (!tenant.trim().is_empty() && !user_id.trim().is_empty()).then_some((tenant, user_id))
}

/// The group a key names, without its members; `None` when it is not a group's key.
#[must_use]
pub fn read_members_key(key: &[u8]) -> Option<Members> {
    let (tenant, rest) = std::str::from_utf8(key).ok()?.split_once('|')?;
    let (scope_type, rest) = rest.split_once('|')?;
    let (scope_id, role) = rest.rsplit_once('|')?;
    let named = [tenant, scope_type, scope_id].iter().all(|part| !part.trim().is_empty());
    named.then(|| Members {
        tenant: tenant.to_owned(),
        scope_type: scope_type.to_owned(),
        scope_id: scope_id.to_owned(),
        role: role.to_owned(),
        user_ids: Vec::new(),
    })
}

/// Whether an entry may stand under `key`: an entry under another's key would outlive its tombstone.
#[must_use]
pub fn is_key_of(key: &[u8], person: &Person) -> bool {
    read_person_key(key) == Some((&person.tenant, &person.user_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_may_hold_the_bar_a_tenant_may_not() {
        let key = person_key("north", "a|b@Members");
        assert_eq!(read_person_key(key.as_bytes()), Some(("north", "a|b@Members")));
        for key in ["", "north", "north|", "|ada", "north| "] {
            assert_eq!(read_person_key(key.as_bytes()), None, "{key}");
        }
        assert_eq!(read_person_key(b"north|\xff"), None);
    }

    #[test]
    fn a_group_s_key_is_read_as_it_is_written() {
        for (id, role) in [("4711", ""), ("47|11", "lead")] {
            let members = Members {
                tenant: "north".into(),
                scope_type: "workspace".into(),
                scope_id: id.into(),
                role: role.into(),
                user_ids: vec![],
            };
            assert_eq!(read_members_key(members_key(&members).as_bytes()), Some(members));
        }
        assert_eq!(read_members_key(b"north|workspace|4711"), None);
    }
}
