//! SCIM: users and groups of a SCIM 2.0 service, by `startIndex` and `count`.
//!
//! Places in such a list move when somebody before them goes, and then one is passed over. So a listing in
//! which the total changed, or that has another number of people than it says, is read again; when that does
//! not help, it is told that somebody may be missing without being gone.
//!
//! Between whole listings only users modified since the last one are asked for, if the service knows that
//! question; what was read can be kept for the next run (`memory`). Groups are always read, for who comes into one is
//! not modified by that. Who is gone shows in the next whole listing.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::asking::Asking;
use super::settle::{locale, said, settle, unit};
use super::{Access, Groups, Listing, MOST_PAGES, NoListing, Raw, Watch, asked, base};
use crate::clock;
use crate::event::person::Location;
use crate::event::{Person, Span, Timestamp};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// How often a list that changes while it is read is read.
const MOST_READINGS: u32 = 3;
/// How far before the last modification the next question begins: clocks of one service may differ.
const OVERLAP: Span = Span::from_secs(60);

/// What was read, for the next question.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Read {
    users: BTreeMap<String, Raw>,
    /// The last modification seen.
    newest: Option<Timestamp>,
    /// When the last whole listing began.
    whole: Option<Timestamp>,
    is_settled: bool,
    /// The service refused to say what was modified.
    cannot_say: bool,
}

/// A list that was read to its end.
struct List {
    entries: BTreeMap<String, Json>,
    is_settled: bool,
}

pub(super) async fn read(
    asking: &mut Asking,
    access: &Access,
    read: &mut Read,
    watch: Watch<'_>,
) -> Result<Listing, NoListing> {
    let since = read.newest.map(|newest| newest - OVERLAP);
    // A clock that was put back asks for everybody, too.
    let is_fresh = |whole: Timestamp| {
        (Span::ZERO..Span::from_millis(i64::try_from(access.whole_every.as_millis()).unwrap_or(i64::MAX)))
            .contains(&clock::now().since(whole))
    };
    let is_due = !read.whole.is_some_and(is_fresh);
    let modified = match since {
        Some(since) if !is_due && !read.cannot_say => {
            modified(asking, access, read, (since, &mut *watch)).await?
        }
        _ => None,
    };
    let groups = whole(asking, access, ("/Groups", ""), &mut |_, _| {}).await?;
    if !groups.is_settled {
        // A group passed over would take its role from everybody.
        return Err(NoListing::Unsteady { url: format!("{}/Groups", base(access)), readings: MOST_READINGS });
    }
    let since = since.filter(|_| modified.is_some());
    match modified {
        Some(users) => read.take(access, users),
        None => {
            let began = clock::now();
            let users = whole(asking, access, ("/Users", ""), watch).await?;
            (read.whole, read.is_settled) = (Some(began), users.is_settled);
            read.users.clear();
            read.take(access, users.entries);
        }
    }
    let is_settled = read.is_settled;
    let (groups, members) = in_groups(&groups.entries);
    let mut users = read.users.clone();
    // Where groups do not name their members, users name their groups; those are as old as the user's entry.
    read.cannot_say |= members.is_empty();
    if !members.is_empty() {
        users.values_mut().for_each(|raw| raw.groups.clear());
    }
    for (user, held) in members {
        if let Some(raw) = users.get_mut(&user) {
            raw.groups = held;
        }
    }
    Ok(Listing { since, ..settle(access, &users, &groups, is_settled) })
}

/// The users modified since then; none when the service does not know the question.
async fn modified(
    asking: &mut Asking,
    access: &Access,
    read: &mut Read,
    (since, watch): (Timestamp, Watch<'_>),
) -> Result<Option<BTreeMap<String, Json>>, NoListing> {
    let filter = format!("meta.lastModified ge \"{since}\"");
    match whole(asking, access, ("/Users", &filter), watch).await {
        Ok(list) => Ok(list.is_settled.then_some(list.entries)),
        Err(NoListing::Refused { status: 400 | 403 | 404 | 501, .. }) => {
            read.cannot_say = true;
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

/// A list, read again while it changes under the reader.
async fn whole(
    asking: &mut Asking,
    access: &Access,
    list: (&str, &str),
    watch: Watch<'_>,
) -> Result<List, NoListing> {
    let mut read = once(asking, access, list, watch).await?;
    for _ in 1..MOST_READINGS {
        if read.is_settled {
            break;
        }
        read = once(asking, access, list, watch).await?;
    }
    Ok(read)
}

async fn once(
    asking: &mut Asking,
    access: &Access,
    (path, filter): (&str, &str),
    watch: Watch<'_>,
) -> Result<List, NoListing> {
    let count = access.page_size.to_string();
    let mut list = List { entries: BTreeMap::new(), is_settled: true };
    let (mut first, mut said_before) = (1_u64, None);
    for _ in 0..MOST_PAGES {
        let start = first.to_string();
        let mut question = vec![("startIndex", start.as_str()), ("count", count.as_str())];
        if !filter.is_empty() {
            question.push(("filter", filter));
        }
        let page = asking.page(&asked(base(access), path, &question), is_whole).await?;
        let total = page["totalResults"].as_u64().unwrap_or_default();
        let entries = page["Resources"].as_array().map(Vec::as_slice).unwrap_or_default();
        list.is_settled &= said_before.is_none_or(|before| before == total);
        said_before = Some(total);
        for entry in entries {
            let id = entry["id"].as_str().unwrap_or_default().to_owned();
            list.entries.insert(id, entry.clone());
        }
        watch(list.entries.len(), Some(total));
        first += entries.len() as u64;
        if first > total || entries.is_empty() {
            list.is_settled &= list.entries.len() as u64 == total;
            return Ok(list);
        }
    }
    Err(NoListing::Endless { url: format!("{}{path}", base(access)), pages: MOST_PAGES })
}

/// A page that holds fewer than it says has lost people on its way.
fn is_whole(page: &Json) -> Result<(), &'static str> {
    let total = page["totalResults"].as_u64().ok_or("a page is not what SCIM gives")?;
    let entries = page["Resources"].as_array().map_or(0, Vec::len) as u64;
    match page["itemsPerPage"].as_u64() {
        Some(count) if count != entries && total > 0 => Err("a page is cut short"),
        _ => Ok(()),
    }
}

/// What the groups are, and which ones each of their members belongs to.
fn in_groups(entries: &BTreeMap<String, Json>) -> (Groups, BTreeMap<String, Vec<String>>) {
    let (mut groups, mut members) = (Groups::default(), BTreeMap::<String, Vec<String>>::new());
    for (id, group) in entries {
        groups.names.insert(id.clone(), group["displayName"].as_str().unwrap_or_default().trim().to_owned());
        for member in group["members"].as_array().into_iter().flatten() {
            if let Some(member) = member["value"].as_str() {
                let side = if entries.contains_key(member) { &mut groups.above } else { &mut members };
                side.entry(member.to_owned()).or_default().push(id.clone());
            }
        }
    }
    (groups, members)
}

fn raw(access: &Access, user: &Json) -> Raw {
    let text = |value: &Json| said(value.as_str());
    let more = &user[ENTERPRISE];
    let address = address(user);
    let name = text(&user["userName"]).unwrap_or_default();
    let user_id = match &access.partition {
        Some(partition) if !name.is_empty() && !name.ends_with(&format!("@{partition}")) => {
            format!("{name}@{partition}")
        }
        _ => name,
    };
    let person = Person {
        tenant: access.tenant.clone(),
        user_id,
        active: user["active"].as_bool().unwrap_or(true),
        display_name: text(&user["displayName"]).or_else(|| text(&user["name"]["formatted"])),
        location: Location {
            site: None,
            locality: text(&address["locality"]),
            region: text(&address["region"]),
            country: text(&address["country"]),
        },
        business_unit: unit(text(&more["department"])),
        locale: locale(text(&user["locale"]).or_else(|| text(&user["preferredLanguage"]))),
        zone: text(&user["timezone"]),
        known_as: mails(user),
        ..Person::default()
    };
    let groups: BTreeSet<String> =
        user["groups"].as_array().into_iter().flatten().filter_map(|group| text(&group["value"])).collect();
    let manager = text(&more["manager"]["value"]).or_else(|| text(&more["manager"]));
    Raw { person, groups: groups.into_iter().collect(), manager }
}

/// The mail addresses somebody has.
fn mails(user: &Json) -> Vec<String> {
    user["emails"].as_array().into_iter().flatten().filter_map(|mail| said(mail["value"].as_str())).collect()
}

/// Where somebody works; the first address that is not said to be another.
fn address(user: &Json) -> &Json {
    let addresses = user["addresses"].as_array().map(Vec::as_slice).unwrap_or_default();
    let work = addresses.iter().find(|address| address["type"] == "work");
    work.or_else(|| addresses.iter().find(|address| address["type"].is_null())).unwrap_or(&Json::Null)
}

// === impl Read ===

impl Read {
    fn take(&mut self, access: &Access, entries: BTreeMap<String, Json>) {
        for (id, user) in entries {
            let modified = user["meta"]["lastModified"].as_str().and_then(|text| text.parse().ok());
            self.newest = self.newest.max(modified);
            let raw = raw(access, &user);
            if !raw.person.user_id.is_empty() {
                self.users.insert(id, raw);
            }
        }
    }
}
