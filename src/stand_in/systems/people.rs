//! People: the directory services' side of `bugle directory sync`: OTDS REST by page cookies, SCIM 2.0 by places.
//!
//! | call | |
//! |---|---|
//! | `POST /otdsws/rest/authentication/credentials` | a ticket for a user |
//! | `GET /otdsws/rest/users`, `/groups` | pages, each with a cookie for the next |
//! | `GET /otdsws/scim/{partition}/Users`, `/Groups` | pages by `startIndex` and `count` |

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::connection::Cut;
use super::super::{Stage, lock};
use crate::clock;
use crate::event::Timestamp;

/// Somebody the directory services know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Employee {
    /// The name they sign in with.
    pub name: String,
    /// The partition they belong to.
    pub partition: String,
    /// What they are called.
    pub display_name: String,
    /// Their mail address.
    pub mail: Option<String>,
    /// They may not sign in.
    pub disabled: bool,
    /// Town.
    pub locality: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Country.
    pub country: Option<String>,
    /// Department.
    pub department: Option<String>,
    /// The name of the manager.
    pub manager: Option<String>,
    /// Language.
    pub language: Option<String>,
    /// The names of the groups.
    pub groups: Vec<String>,
    /// When something of it was changed.
    pub changed: Timestamp,
}

/// What becomes of one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageTrouble {
    /// None.
    None,
    /// 401: nobody is signed in any more.
    Expired,
    /// 500.
    ServerError,
    /// 429, and what a second is.
    Busy,
    /// It holds fewer people than it says.
    Short,
    /// The connection is cut.
    Cut,
    /// The first of all people is gone before it is served.
    Vanish,
    /// It begins with the last of the page before.
    Repeat,
    /// It says that it itself is the next one.
    Circle,
    /// It leads elsewhere.
    Elsewhere,
}

/// The directory services.
#[derive(Default)]
pub(super) struct People {
    pub(super) employees: BTreeMap<String, Employee>,
    /// Groups, and the groups they belong to.
    pub(super) groups: BTreeMap<String, Vec<String>>,
    /// What was asked for, in its order.
    asked: VecDeque<String>,
}

/// Where a part of a list begins, and how much of it is asked for.
enum From {
    /// Behind this key: who goes meanwhile moves nobody.
    After(String, usize),
    /// At this place.
    At(usize, usize),
}

/// A list by key.
type List<T> = Vec<(String, T)>;

/// A part of a list.
struct Part<T> {
    items: List<T>,
    from: usize,
    total: usize,
    /// How many it says it holds.
    said: usize,
    /// The key of its last entry, where more follows.
    next: Option<String>,
}

type Asked = HashMap<String, String>;

/// `POST /otdsws/rest/authentication/credentials`.
pub(super) async fn credentials(State(stage): State<Arc<Stage>>, body: String) -> Response {
    super::look(&stage, |systems| {
        let asked = serde_json::from_str::<Value>(&body).unwrap_or_default();
        match (asked["userName"].as_str(), asked["password"].as_str()) {
            (Some(user), Some(password)) if password != super::WRONG => {
                Json(json!({ "ticket": systems.workflows.sign_in(user), "userId": user })).into_response()
            }
            _ => {
                (StatusCode::UNAUTHORIZED, Json(json!({ "error": "Authentication failed" }))).into_response()
            }
        }
    })
    .await
}

/// `GET /otdsws/rest/users`.
pub(super) async fn users(
    State(stage): State<Arc<Stage>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Response {
    let partition = asked.get("where_partition_name").cloned();
    let list = move |people: &People| people.of(partition.as_deref());
    served(&stage, (&cut, &headers), by_cookie(&asked), list, |part| cookies(&part, "users", otds_user)).await
}

/// `GET /otdsws/rest/groups`.
pub(super) async fn groups(
    State(stage): State<Arc<Stage>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Response {
    served(&stage, (&cut, &headers), by_cookie(&asked), People::teams, |part| {
        cookies(&part, "groups", otds_group)
    })
    .await
}

/// `GET /otdsws/scim/{partition}/Users`.
pub(super) async fn scim_users(
    State(stage): State<Arc<Stage>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    Path(partition): Path<String>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Response {
    let since = asked.get("filter").map(|filter| {
        let since = filter.strip_prefix("meta.lastModified ge \"").and_then(|rest| rest.strip_suffix('"'));
        since.and_then(|since| since.parse::<Timestamp>().ok())
    });
    if since == Some(None) {
        return (StatusCode::BAD_REQUEST, Json(json!({ "scimType": "invalidFilter" }))).into_response();
    }
    let since = since.flatten().unwrap_or_default();
    lock(&stage.systems).people.note(if asked.contains_key("filter") { "changes" } else { "everybody" });
    let list = move |people: &People| {
        let mut employees = people.of(Some(&partition));
        employees.retain(|(_, employee)| employee.changed >= since);
        employees
    };
    served(&stage, (&cut, &headers), by_place(&asked), list, |part| places(&part, scim_user)).await
}

/// `GET /otdsws/scim/{partition}/Groups`.
pub(super) async fn scim_groups(
    State(stage): State<Arc<Stage>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Response {
    let list = People::with_members;
    served(&stage, (&cut, &headers), by_place(&asked), list, |part| places(&part, Clone::clone)).await
}

/// A page of a list, or the trouble that it is to have.
async fn served<T>(
    stage: &Stage,
    (cut, headers): (&Cut, &HeaderMap),
    from: From,
    list: impl FnOnce(&People) -> List<T>,
    page: impl FnOnce(Part<T>) -> Value,
) -> Response {
    super::look(stage, |systems| {
        let trouble = systems.troubles.pages.pop_front().unwrap_or(PageTrouble::None);
        match trouble {
            PageTrouble::Expired => systems.workflows.sign_out(),
            PageTrouble::ServerError => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            PageTrouble::Busy => {
                return (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "1")]).into_response();
            }
            PageTrouble::Elsewhere => {
                return (StatusCode::FOUND, [("location", "/otdsws/login")]).into_response();
            }
            PageTrouble::Vanish => drop(systems.people.employees.pop_first()),
            PageTrouble::Cut => cut.now(),
            PageTrouble::None | PageTrouble::Short | PageTrouble::Repeat | PageTrouble::Circle => {}
        }
        let ticket = headers.get("otdsticket").or_else(|| headers.get(AUTHORIZATION));
        let ticket = ticket.and_then(|ticket| ticket.to_str().ok()).unwrap_or_default();
        if !systems.workflows.knows(ticket.trim_start_matches("Bearer ")) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        Json(page(part(list(&systems.people), from, trouble))).into_response()
    })
    .await
}

fn part<T>(all: List<T>, from: From, trouble: PageTrouble) -> Part<T> {
    let total = all.len();
    let (first, size, cookie) = match from {
        From::After(last, size) => {
            let first = all.iter().position(|(key, _)| *key > last).unwrap_or(total);
            (first, size, last)
        }
        From::At(first, size) => (first, size, String::new()),
    };
    let from = if trouble == PageTrouble::Repeat { first.saturating_sub(1) } else { first };
    let mut items: List<T> = all.into_iter().skip(from).take(size).collect();
    let said = items.len();
    let next = match trouble {
        PageTrouble::Circle => Some(cookie),
        _ => items.last().map(|(key, _)| key.clone()).filter(|_| from + said < total),
    };
    if trouble == PageTrouble::Short {
        items.pop();
    }
    Part { items, from, total, said, next }
}

fn number(asked: &Asked, name: &str, usual: usize) -> usize {
    asked.get(name).and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn by_cookie(asked: &Asked) -> From {
    From::After(asked.get("next_page_cookie").cloned().unwrap_or_default(), number(asked, "page_size", 250))
}

fn by_place(asked: &Asked) -> From {
    From::At(number(asked, "startIndex", 1).saturating_sub(1), number(asked, "count", 250))
}

fn cookies<T>(part: &Part<T>, list: &str, entry: impl Fn(&T) -> Value) -> Value {
    json!({
        list: part.items.iter().map(|(_, item)| entry(item)).collect::<Vec<_>>(),
        "nextPageCookie": part.next,
        "actualPageSize": part.said,
    })
}

fn places<T>(part: &Part<T>, entry: impl Fn(&T) -> Value) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": part.total,
        "startIndex": part.from + 1,
        "itemsPerPage": part.said,
        "Resources": part.items.iter().map(|(_, item)| entry(item)).collect::<Vec<_>>(),
    })
}

fn user_dn(name: &str, partition: &str) -> String {
    format!("cn={name},orgunit=users,partition={partition},dc=identity,dc=opentext,dc=net")
}

/// A group's name does not stand in its distinguished name: it has to be looked up.
fn group_dn(name: &str) -> String {
    let number = name.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!("oTGroup={number:08x},orgunit=groups,partition=staff,dc=identity,dc=opentext,dc=net")
}

fn otds_user(employee: &Employee) -> Value {
    let Employee { name, partition, .. } = employee;
    let mut attributes = json!({
        "cn": [name],
        "displayName": [employee.display_name],
        "accountDisabled": [employee.disabled.to_string()],
        "oTMemberOf": employee.groups.iter().map(|group| group_dn(group)).collect::<Vec<_>>(),
        "modifyTimestamp": [employee.changed.to_string()],
    });
    let manager = employee.manager.as_ref().map(|name| user_dn(name, partition));
    let more = [
        ("mail", &employee.mail),
        ("l", &employee.locality),
        ("st", &employee.region),
        ("countryName", &employee.country),
        ("oTDepartment", &employee.department),
        ("manager", &manager),
        ("preferredLanguage", &employee.language),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            attributes[name] = json!([value]);
        }
    }
    let id = format!("{name}@{partition}");
    json!({
        "userPartitionID": partition, "name": name, "id": id, "location": user_dn(name, partition),
        "attributes": attributes,
    })
}

fn otds_group((name, above): &(String, Vec<String>)) -> Value {
    let above: Vec<String> = above.iter().map(|group| group_dn(group)).collect();
    json!({ "name": name, "location": group_dn(name), "attributes": { "oTMemberOf": above } })
}

fn scim_user(employee: &Employee) -> Value {
    let enterprise = json!({
        "department": employee.department,
        "manager": employee.manager.as_ref().map(|name| json!({ "value": format!("u-{name}") })),
    });
    json!({
        "id": format!("u-{}", employee.name),
        "userName": employee.name,
        "active": !employee.disabled,
        "displayName": employee.display_name,
        "locale": employee.language,
        "emails": employee.mail.iter().map(|mail| json!({ "value": mail })).collect::<Vec<_>>(),
        "addresses": [
            { "type": "home", "locality": "Nobody's business" },
            { "type": "work", "locality": employee.locality, "region": employee.region, "country": employee.country },
        ],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": enterprise,
        "meta": { "resourceType": "User", "lastModified": employee.changed.to_string() },
    })
}

// === impl People ===

impl People {
    /// Somebody is there, as they are now.
    pub(super) fn add(&mut self, mut employee: Employee) {
        if employee.changed == Timestamp::default() {
            employee.changed = clock::now();
        }
        for group in &employee.groups {
            self.groups.entry(group.clone()).or_default();
        }
        self.employees.insert(employee.name.clone(), employee);
    }

    /// How often everybody, and how often changes alone were asked for.
    pub(super) fn asked(&self) -> &VecDeque<String> {
        &self.asked
    }

    fn note(&mut self, what: &str) {
        const MOST: usize = 1_000;
        if self.asked.len() == MOST {
            self.asked.pop_front();
        }
        self.asked.push_back(what.to_owned());
    }

    fn of(&self, partition: Option<&str>) -> List<Employee> {
        let all = self.employees.clone().into_iter();
        all.filter(|(_, employee)| partition.is_none_or(|partition| employee.partition == partition))
            .collect()
    }

    fn teams(&self) -> List<(String, Vec<String>)> {
        self.groups.clone().into_iter().map(|group| (group.0.clone(), group)).collect()
    }

    fn with_members(&self) -> List<Value> {
        let group = |name: &String| {
            let holds = |held: &[String]| held.contains(name);
            let users = self.employees.values().filter(|employee| holds(&employee.groups));
            let users = users.map(|employee| json!({ "value": format!("u-{}", employee.name) }));
            let below = self.groups.iter().filter(|(_, above)| holds(above));
            let below = below.map(|(name, _)| json!({ "value": format!("g-{name}") }));
            let members: Vec<Value> = users.chain(below).collect();
            let group = json!({ "id": format!("g-{name}"), "displayName": name, "members": members });
            (name.clone(), group)
        };
        self.groups.keys().map(group).collect()
    }
}
