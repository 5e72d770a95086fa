//! OTDS: users and groups of OpenText Directory Services, by page cookies.
//!
//! `GET {url}/otdsws/rest/groups` and `/users`. OTDS documents no question for what was changed since, so
//! every listing is whole; what differs is found by comparing it with the directory.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::asking::Asking;
use super::settle::{locale, said, settle, unit};
use super::{Access, Groups, Listing, MOST_PAGES, NoListing, Raw, Watch, asked, base};
use crate::event::Person;
use crate::event::person::Location;

pub(super) async fn read(
    asking: &mut Asking,
    access: &Access,
    watch: Watch<'_>,
) -> Result<Listing, NoListing> {
    let mut groups = Groups::default();
    each(asking, access, "groups", |group| {
        let key = key(group);
        groups.names.insert(key.clone(), group["name"].as_str().unwrap_or_default().trim().to_owned());
        groups.above.insert(key, texts(group, "oTMemberOf"));
    })
    .await?;
    let mut raws = BTreeMap::new();
    each(asking, access, "users", |user| {
        let raw = raw(access, user);
        if !raw.person.user_id.is_empty() {
            raws.insert(key(user), raw);
        }
        watch(raws.len(), None);
    })
    .await?;
    Ok(settle(access, &raws, &groups, true))
}

/// Reads a list page by page.
async fn each(
    asking: &mut Asking,
    access: &Access,
    list: &'static str,
    mut take: impl FnMut(&Json),
) -> Result<(), NoListing> {
    let path = format!("/otdsws/rest/{list}");
    let sound = if list == "users" { users_are_whole } else { groups_are_whole };
    let size = access.page_size.to_string();
    let (mut cookie, mut seen) = (String::new(), BTreeSet::new());
    loop {
        let mut question = vec![("page_size", size.as_str()), ("attrsAsKeys", "true")];
        // Groups of other partitions may hold people of this one.
        if let (Some(partition), "users") = (&access.partition, list) {
            question.push(("where_partition_name", partition));
        }
        if !cookie.is_empty() {
            question.push(("next_page_cookie", &cookie));
        }
        let page = asking.page(&asked(base(access), &path, &question), sound).await?;
        page[list].as_array().into_iter().flatten().for_each(&mut take);
        match page["nextPageCookie"].as_str().filter(|next| !next.is_empty()) {
            None => return Ok(()),
            Some(next) if seen.len() < MOST_PAGES && seen.insert(next.to_owned()) => {
                next.clone_into(&mut cookie);
            }
            Some(_) => {
                let url = format!("{}{path}", base(access));
                return Err(NoListing::Endless { url, pages: seen.len() + 1 });
            }
        }
    }
}

fn users_are_whole(page: &Json) -> Result<(), &'static str> {
    is_whole(page, "users")
}

fn groups_are_whole(page: &Json) -> Result<(), &'static str> {
    is_whole(page, "groups")
}

/// A page that holds fewer than it says has lost people on its way.
fn is_whole(page: &Json, list: &str) -> Result<(), &'static str> {
    let entries = page[list].as_array().ok_or("a page is not what OTDS gives")?;
    let count = page["actualPageSize"].as_u64();
    if count.is_some_and(|count| count != entries.len() as u64) { Err("a page is cut short") } else { Ok(()) }
}

/// The entry's distinguished name, by which others speak of it.
fn key(entry: &Json) -> String {
    let name = entry["location"].as_str().or(entry["id"].as_str());
    folded(name.unwrap_or_default())
}

/// Distinguished names are compared without upper and lower case.
fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

fn raw(access: &Access, user: &Json) -> Raw {
    let text = |name: &str| texts_as_written(user, name).into_iter().next();
    let partition = user["userPartitionID"].as_str().unwrap_or_default();
    let user_id = said(user["id"].as_str()).or_else(|| {
        let name = said(user["name"].as_str())?;
        Some(if partition.is_empty() { name } else { format!("{name}@{partition}") })
    });
    let person = Person {
        tenant: access.tenant.clone(),
        user_id: user_id.unwrap_or_default(),
        active: !text("accountDisabled").is_some_and(|disabled| disabled.eq_ignore_ascii_case("true")),
        display_name: text("displayName").or_else(|| text("cn")),
        location: Location {
            site: None,
            locality: text("l"),
            region: text("st"),
            country: text("countryName"),
        },
        business_unit: unit(text("oTDepartment")),
        locale: locale(text("preferredLanguage")),
        known_as: texts_as_written(user, "mail"),
        ..Person::default()
    };
    let groups = texts(user, "oTMemberOf");
    Raw { person, groups, manager: texts(user, "manager").into_iter().next() }
}

/// An attribute whose values are keys.
fn texts(entry: &Json, name: &str) -> Vec<String> {
    texts_as_written(entry, name).iter().map(|text| folded(text)).collect()
}

/// The values of an attribute: under its name, or in the list that stands there without `attrsAsKeys`.
fn texts_as_written(entry: &Json, name: &str) -> Vec<String> {
    let listed = || {
        let values = entry["values"].as_array().into_iter().flatten();
        values.into_iter().find(|value| value["name"] == name).map(|value| &value["values"])
    };
    let one = |value: &Json| match value {
        Json::String(text) => said(Some(text)),
        Json::Bool(flag) => Some(flag.to_string()),
        _ => None,
    };
    match entry["attributes"].get(name).or_else(listed) {
        Some(Json::Array(values)) => values.iter().filter_map(one).collect(),
        Some(value) => one(value).into_iter().collect(),
        None => Vec::new(),
    }
}
