//! Bind: an audience with the values of one change filled in.
//!
//! What comes out needs the directory alone, so it can travel with a notice. Nothing is looked up here.
//!
//! **Invariant:** a placeholder, relation or `addressed` without a value becomes [`Bound::Empty`], and
//! stays visible under `!`, `supervisor(…)` and `backup(…)`. Were it dropped, or bound to an empty list,
//! `!role:{event.x}` would be everybody.

use super::spelling::SCOPES;
use crate::event::audience::{Audience, Bound, BoundAudience, Piece, Relation, Table, Term};
use crate::event::change::Slot;
use crate::event::shape::slot;
use crate::event::{Change, FieldType, Value};

/// The most names one term may become when several of its placeholders are lists.
const MOST_NAMES: usize = 65_536;

/// Fills in a rule's three expressions. Whom the event itself excludes is taken away at the very end,
/// after deputies and fallback, when a rule speaks to those the event addresses.
#[must_use]
pub fn bind_rule(
    tell: &Audience,
    fallback: Option<&Audience>,
    never: Option<&Audience>,
    change: &Change<'_>,
) -> BoundAudience {
    let addressed = mentions_addressed(tell) || fallback.is_some_and(mentions_addressed);
    let excluded = Some(texts(change, slot::AUDIENCE_EXCLUDE)).filter(|ids| addressed && !ids.is_empty());
    let mut never: Vec<Bound> = never.map(|never| bind(never, change)).into_iter().collect();
    never.extend(excluded.map(|ids| Bound::In(Table::Person, ids)));
    BoundAudience {
        tell: bind(tell, change),
        fallback: fallback.map(|fallback| bind(fallback, change)),
        never: (!never.is_empty()).then(|| any(never)),
    }
}

/// Fills in one expression.
#[must_use]
pub fn bind(audience: &Audience, change: &Change<'_>) -> Bound {
    let all_of = |parts: &[Audience]| parts.iter().map(|part| bind(part, change)).collect();
    match audience {
        Audience::In(table, term) => match names(term, change) {
            Ok(names) => Bound::In(*table, names),
            Err(path) => Bound::Empty(path),
        },
        Audience::Member(scope, id, role) => member(scope, id, role.as_ref(), change),
        Audience::Addressed => addressed(change),
        Audience::Related(Relation::Supervisor) => supervisor_of(&ASSIGNEES, change),
        Audience::Related(Relation::Backup) => backup_of(&ASSIGNEES, change),
        Audience::Related(Relation::Followers) => followers(change),
        Audience::Related(relation @ (Relation::Assignees | Relation::Owner | Relation::Requester)) => {
            related(*relation, change).unwrap_or_else(|| Bound::Empty(relation_name(*relation).to_owned()))
        }
        Audience::SupervisorOf(of) => supervisor_of(of, change),
        Audience::BackupOf(of) => backup_of(of, change),
        Audience::All(parts) => Bound::All(all_of(parts)),
        Audience::Any(parts) => Bound::Any(all_of(parts)),
        Audience::Not(of) => Bound::Not(Box::new(bind(of, change))),
    }
}

const ASSIGNEES: Audience = Audience::Related(Relation::Assignees);

/// Those above `of`. For the assignees the event wins over the directory.
fn supervisor_of(of: &Audience, change: &Change<'_>) -> Bound {
    match related(Relation::Supervisor, change) {
        Some(named) if *of == ASSIGNEES => named,
        _ => match bind(of, change) {
            Bound::Empty(path) => Bound::Empty(path),
            of => Bound::SupervisorOf(Box::new(of)),
        },
    }
}

/// Those who stand in for `of`. For the assignees the event wins over the directory.
fn backup_of(of: &Audience, change: &Change<'_>) -> Bound {
    match related(Relation::Backup, change) {
        Some(named) if *of == ASSIGNEES => named,
        _ => match bind(of, change) {
            Bound::Empty(path) => Bound::Empty(path),
            of => Bound::BackupOf(Box::new(of)),
        },
    }
}

/// The people in the event's fields of this relation.
fn related(relation: Relation, change: &Change<'_>) -> Option<Bound> {
    let ids = change.shape().related(relation).flat_map(|slot| texts(change, slot)).collect();
    Some(tidy(ids)).filter(|ids| !ids.is_empty()).map(|ids| Bound::In(Table::Person, ids))
}

/// Whom the event names as followers, and the members of its entity.
fn followers(change: &Change<'_>) -> Bound {
    let kind = change.text(slot::ENTITY_TYPE).unwrap_or_default();
    // Members are kept by scope type and id: a workspace and a record may share an id.
    let scope = SCOPES.iter().find(|scope| **scope == kind).unwrap_or(&"record");
    let members = Some(texts(change, slot::ENTITY_ID))
        .filter(|ids| !ids.is_empty())
        .map(|ids| Bound::Member((*scope).to_owned(), ids, Vec::new()));
    match (related(Relation::Followers, change), members) {
        (Some(named), Some(members)) => Bound::Any(vec![named, members]),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => Bound::Empty(relation_name(Relation::Followers).to_owned()),
    }
}

fn member(scope: &str, id: &Term, role: Option<&Term>, change: &Change<'_>) -> Bound {
    let roles = role.map_or(Ok(Vec::new()), |role| names(role, change));
    match (names(id, change), roles) {
        (Ok(ids), Ok(roles)) => Bound::Member(scope.to_owned(), ids, roles),
        (Err(path), _) | (_, Err(path)) => Bound::Empty(path),
    }
}

/// The event's own audience: names inside a field are OR, fields are AND, users and external party add,
/// absent fields do not constrain, all absent is nobody, those excluded are taken away last.
fn addressed(change: &Change<'_>) -> Bound {
    let field = |table: Table, slot: u16| {
        Some(texts(change, slot)).filter(|names| !names.is_empty()).map(|names| Bound::In(table, names))
    };
    let narrowing: Vec<Bound> = [
        field(Table::Role, slot::AUDIENCE_GROUPS),
        field(Table::Role, slot::AUDIENCE_ROLES),
        field(Table::Location, slot::AUDIENCE_LOCATIONS),
        field(Table::Unit, slot::AUDIENCE_BUSINESS_UNITS),
        workspace_role(change),
    ]
    .into_iter()
    .flatten()
    .collect();
    let narrowed = (!narrowing.is_empty()).then(|| all(narrowing));
    let added =
        [field(Table::Person, slot::AUDIENCE_USERS), field(Table::Party, slot::AUDIENCE_EXTERNAL_PARTY)];
    let named: Vec<Bound> = narrowed.into_iter().chain(added.into_iter().flatten()).collect();
    if named.is_empty() {
        return Bound::Empty("audience".to_owned());
    }
    match field(Table::Person, slot::AUDIENCE_EXCLUDE) {
        Some(excluded) => all(vec![any(named), Bound::Not(Box::new(excluded))]),
        None => any(named),
    }
}

/// `audience.workspace_role`: holders of that role in the workspace the event is about.
fn workspace_role(change: &Change<'_>) -> Option<Bound> {
    let roles = Some(texts(change, slot::AUDIENCE_WORKSPACE_ROLE)).filter(|roles| !roles.is_empty())?;
    let entity = || match change.text(slot::ENTITY_TYPE) {
        Some("workspace") => texts(change, slot::ENTITY_ID),
        _ => Vec::new(),
    };
    let ids = Some(field_names(change, "workspace.id")).filter(|ids| !ids.is_empty()).unwrap_or_else(entity);
    Some(match ids.is_empty() {
        true => Bound::Empty("workspace.id".to_owned()),
        false => Bound::Member("workspace".to_owned(), ids, roles),
    })
}

/// Every name a term stands for, or the path of the placeholder without a value.
fn names(term: &Term, change: &Change<'_>) -> Result<Vec<String>, String> {
    if let [Piece::Field(path)] = term.0.as_slice() {
        let values = field_names(change, path);
        return if values.is_empty() || values.len() > MOST_NAMES { Err(path.clone()) } else { Ok(values) };
    }
    let mut names = vec![String::new()];
    for piece in &term.0 {
        match piece {
            Piece::Literal(text) => names.iter_mut().for_each(|name| name.push_str(text)),
            Piece::Field(path) => {
                let values = field_names(change, path);
                if values.is_empty() || names.len() * values.len() > MOST_NAMES {
                    return Err(path.clone());
                }
                names = names
                    .iter()
                    .flat_map(|name| values.iter().map(move |value| format!("{name}{value}")))
                    .collect();
            }
        }
    }
    Ok(tidy(names))
}

/// The values of a field as names; of a map (`extra.site`) the text under that name.
fn field_names(change: &Change<'_>, path: &str) -> Vec<String> {
    if let Some(slot) = change.shape().slot(path) {
        return texts(change, slot);
    }
    let of_map = |(map, name): (&str, &str)| {
        let slot = change.shape().slot(map)?;
        let Value::Named(pairs) = change.value(slot) else { return None };
        pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    };
    match path.split_once('.').and_then(of_map) {
        Some(Value::Text(text)) => tidy(vec![text.into_owned()]),
        _ => Vec::new(),
    }
}

fn texts(change: &Change<'_>, slot: u16) -> Vec<String> {
    let ty = change.shape().fields.get(usize::from(slot)).map(|field| &field.ty);
    match (change.slot(slot), ty) {
        (Slot::Int(number), Some(FieldType::Int)) => vec![number.to_string()],
        (Slot::Bool(truth), _) => vec![truth.to_string()],
        _ => tidy(change.texts(slot).map(str::to_owned).collect()),
    }
}

/// Trimmed, without empty ones, each once, in an order that depends on nothing else.
fn tidy(names: Vec<String>) -> Vec<String> {
    let mut names: Vec<String> = names
        .into_iter()
        .map(|name| if name.trim().len() == name.len() { name } else { name.trim().to_owned() })
        .filter(|name| !name.is_empty())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn any(mut parts: Vec<Bound>) -> Bound {
    if parts.len() == 1 { parts.remove(0) } else { Bound::Any(parts) }
}

fn all(mut parts: Vec<Bound>) -> Bound {
    if parts.len() == 1 { parts.remove(0) } else { Bound::All(parts) }
}

fn relation_name(relation: Relation) -> &'static str {
    match relation {
        Relation::Assignees => "assignees",
        Relation::Owner => "owner",
        Relation::Requester => "requester",
        Relation::Followers => "followers",
        Relation::Supervisor => "supervisor",
        Relation::Backup => "backup",
    }
}

fn mentions_addressed(audience: &Audience) -> bool {
    match audience {
        Audience::Addressed => true,
        Audience::In(..) | Audience::Member(..) | Audience::Related(_) => false,
        Audience::SupervisorOf(of) | Audience::BackupOf(of) | Audience::Not(of) => mentions_addressed(of),
        Audience::All(parts) | Audience::Any(parts) => parts.iter().any(mentions_addressed),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::Arc;

    use super::*;
    use crate::directory::parse;
    use crate::event::shape::slot::PATHS;
    use crate::event::{Field, Shape, Source};

    /// A change with these fields: `a,b` is a list, otherwise one text. Assignees, manager and watchers
    /// are relations.
    fn change(values: &[(&str, &str)]) -> Change<'static> {
        const LISTS: [&str; 8] = [
            "audience.users",
            "audience.groups",
            "audience.roles",
            "audience.locations",
            "audience.business_units",
            "audience.exclude",
            "assignees",
            "watchers",
        ];
        let relation = |path: &str| match path {
            "assignees" => Some(Relation::Assignees),
            "manager" => Some(Relation::Supervisor),
            "watchers" => Some(Relation::Followers),
            _ => None,
        };
        let field = |path: &&str| Field {
            path: (*path).to_owned(),
            ty: match *path {
                path if LISTS.contains(&path) => FieldType::Texts,
                "number" => FieldType::Int,
                "extra" => FieldType::Map,
                _ => FieldType::Text,
            },
            optional: true,
            default: None,
            relation: relation(path),
            doc: String::new(),
        };
        let own = ["assignees", "manager", "watchers", "workspace.id", "site", "number"];
        let fields: Vec<Field> = PATHS.iter().chain(&own).map(field).collect();
        let (mut bytes, mut slots, mut items) = (Vec::new(), vec![Slot::Absent; fields.len()], Vec::new());
        let mut text = |text: &str| {
            let start = u32::try_from(bytes.len()).unwrap();
            bytes.extend_from_slice(text.as_bytes());
            Slot::Text(start, u32::try_from(text.len()).unwrap())
        };
        for (path, value) in values {
            let at = fields.iter().position(|field| field.path == *path).expect("a field of the test");
            let first = u32::try_from(items.len()).unwrap();
            slots[at] = match fields[at].ty {
                FieldType::Texts => {
                    items.extend(value.split(',').filter(|name| !name.is_empty()).map(&mut text));
                    Slot::List(first, u32::try_from(items.len()).unwrap() - first)
                }
                FieldType::Map => {
                    items.extend(value.split('=').map(&mut text));
                    Slot::List(first, 1)
                }
                FieldType::Int => Slot::Int(value.parse().unwrap()),
                _ => text(value),
            };
        }
        let shape = Shape::new(Source::Xecm, "Task".into(), vec!["xecm.task.assigned".into()], fields);
        Change::new(Arc::new(shape), Cow::Owned(bytes), slots, items)
    }

    /// A bound audience in few signs.
    fn show(bound: &Bound) -> String {
        let join = |parts: &[Bound], sign: &str| {
            format!("({})", parts.iter().map(show).collect::<Vec<_>>().join(sign))
        };
        match bound {
            Bound::Empty(path) => format!("nobody[{path}]"),
            Bound::In(table, names) => format!("{table:?}{names:?}"),
            Bound::Member(scope, ids, roles) => format!("{scope}{ids:?}{roles:?}"),
            Bound::SupervisorOf(of) => format!("above {}", show(of)),
            Bound::BackupOf(of) => format!("beside {}", show(of)),
            Bound::All(parts) => join(parts, " & "),
            Bound::Any(parts) => join(parts, " | "),
            Bound::Not(of) => format!("!{}", show(of)),
        }
    }

    fn bound(text: &str, values: &[(&str, &str)]) -> String {
        show(&bind(&parse(text).unwrap(), &change(values)))
    }

    #[test]
    fn a_list_placeholder_is_any_of_its_values() {
        let values = [("audience.roles", "legal, buyer,legal"), ("site", "P1"), ("number", "7")];
        assert_eq!(bound("role:{event.audience.roles}", &values), r#"Role["buyer", "legal"]"#);
        assert_eq!(
            bound("role:{audience.roles}-{site}-{number}", &values),
            r#"Role["buyer-P1-7", "legal-P1-7"]"#
        );
        assert_eq!(bound("location:{extra.plant}", &[("extra", "plant=P2")]), r#"Location["P2"]"#);
    }

    #[test]
    fn a_placeholder_without_a_value_is_nobody_and_names_its_path() {
        assert_eq!(bound("!role:{event.site}", &[]), "!nobody[site]");
        assert_eq!(bound("role:x-{site}", &[("site", " ")]), "nobody[site]");
        assert_eq!(bound("role:{audience.roles}", &[("audience.roles", "")]), "nobody[audience.roles]");
        assert_eq!(bound("role:{unheard.of}", &[]), "nobody[unheard.of]");
        assert_eq!(bound("member:workspace/{workspace.id}", &[]), "nobody[workspace.id]");
        assert_eq!(bound("supervisor(supervisor(owner))", &[]), "nobody[owner]");
    }

    #[test]
    fn the_event_wins_over_the_directory() {
        let both = [("assignees", "ada,bob"), ("manager", "eve")];
        assert_eq!(bound("assignees", &both), r#"Person["ada", "bob"]"#);
        assert_eq!(bound("supervisor(assignees)", &both), r#"Person["eve"]"#);
        assert_eq!(bound("supervisor(assignees)", &both[..1]), r#"above Person["ada", "bob"]"#);
        assert_eq!(bound("supervisor(supervisor(assignees))", &both), r#"above Person["eve"]"#);
        assert_eq!(bound("supervisor(person:joe)", &both), r#"above Person["joe"]"#);
        assert_eq!(bound("backup(assignees)", &both), r#"beside Person["ada", "bob"]"#);
    }

    #[test]
    fn followers_are_those_the_event_names_and_the_members_of_its_entity() {
        let values = [("watchers", "ada"), ("entity.id", "4711"), ("entity.type", "contract")];
        assert_eq!(bound("followers", &values), r#"(Person["ada"] | record["4711"][])"#);
        let values = [("entity.id", "4711"), ("entity.type", "workspace")];
        assert_eq!(bound("followers", &values), r#"workspace["4711"][]"#);
        assert_eq!(bound("followers", &[]), "nobody[followers]");
    }

    #[test]
    fn addressed_is_and_over_fields_or_inside_them_with_users_added() {
        let values = [
            ("audience.roles", "buyer,legal"),
            ("audience.locations", "DE"),
            ("audience.users", "ada"),
            ("audience.external_party", "acme"),
            ("audience.exclude", "bob"),
        ];
        assert_eq!(
            bound("addressed", &values),
            r#"(((Role["buyer", "legal"] & Location["DE"]) | Person["ada"] | Party["acme"]) & !Person["bob"])"#
        );
        assert_eq!(bound("addressed", &values[2..3]), r#"Person["ada"]"#);
        assert_eq!(bound("addressed", &values[4..]), "nobody[audience]");
    }

    #[test]
    fn a_workspace_role_is_held_in_the_workspace_of_the_event() {
        let role = ("audience.workspace_role", "reviewer");
        assert_eq!(bound("addressed", &[role, ("workspace.id", "7")]), r#"workspace["7"]["reviewer"]"#);
        let entity = [role, ("entity.type", "workspace"), ("entity.id", "8")];
        assert_eq!(bound("addressed", &entity), r#"workspace["8"]["reviewer"]"#);
        assert_eq!(bound("addressed", &[role]), "nobody[workspace.id]");
    }

    #[test]
    fn whom_the_event_excludes_is_never_told_not_even_as_a_deputy() {
        let change = change(&[("audience.users", "ada"), ("audience.exclude", "bob")]);
        let of = |tell: &str, never: Option<&str>| {
            let never = never.map(|text| parse(text).unwrap());
            bind_rule(&parse(tell).unwrap(), None, never.as_ref(), &change).never.as_ref().map(show)
        };
        assert_eq!(of("addressed", None).as_deref(), Some(r#"Person["bob"]"#));
        assert_eq!(of("addressed", Some("role:x")).as_deref(), Some(r#"(Role["x"] | Person["bob"])"#));
        assert_eq!(of("role:x", None), None);
    }
}
