//! Audience: who a rule speaks to, as an expression.
//!
//! [`Audience`] is what a rule says; bound to one change it becomes a [`BoundAudience`], which needs
//! the directory alone and travels with the notice, so that the person lane can ask hours later
//! whether somebody still belongs. Evaluation is `directory`'s.

use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::frame::{Unread, append, take};

/// How a person stands to the thing a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// Those a task or action is assigned to.
    Assignees,
    /// Who owns the thing.
    Owner,
    /// Who asked for it or started it.
    Requester,
    /// Who follows it.
    Followers,
    /// Who stands above those assigned.
    Supervisor,
    /// Who stands in for those assigned.
    Backup,
}

/// One piece of a term's text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Piece {
    /// Text as written.
    Literal(String),
    /// `{event.field}`: the field's path without `event.`.
    Field(String),
}

/// The right side of `role:`, `unit:` and so on: literals and placeholders.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Term(pub Vec<Piece>);

/// The tables a term can look a name up in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Table {
    /// `role:`
    Role,
    /// `location:`, with what lies under it.
    Location,
    /// `unit:`, with what lies under it.
    Unit,
    /// `person:`, by user id.
    Person,
    /// `party:`, the people of one external party.
    Party,
}

/// What a rule says about who hears it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Audience {
    /// One term such as `role:approver` or `location:{event.site}`.
    In(Table, Term),
    /// `member:workspace/{workspace.id}/reviewer`: scope type, scope id, role.
    Member(String, Term, Option<Term>),
    /// The event's own `audience`.
    Addressed,
    /// The people in a relation to the thing.
    Related(Relation),
    /// `supervisor(x)`
    SupervisorOf(Box<Audience>),
    /// `backup(x)`
    BackupOf(Box<Audience>),
    /// `a && b`
    All(Vec<Audience>),
    /// `a || b`
    Any(Vec<Audience>),
    /// `!a`
    Not(Box<Audience>),
}

/// An audience with the values of one change filled in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Bound {
    /// Nobody, because the placeholder or relation named here had no value.
    Empty(String),
    /// Whoever stands in the table under one of these names.
    In(Table, Vec<String>),
    /// Members of a scope: type, ids, roles (none: every role).
    Member(String, Vec<String>, Vec<String>),
    /// The supervisors the directory knows.
    SupervisorOf(Box<Bound>),
    /// The deputies the directory knows.
    BackupOf(Box<Bound>),
    /// All of them at once.
    All(Vec<Bound>),
    /// Any of them.
    Any(Vec<Bound>),
    /// Everybody else.
    Not(Box<Bound>),
}

/// Everything the directory needs to name the people of one notice, or to re-test one of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BoundAudience {
    /// The rule's expression.
    pub tell: Bound,
    /// Asked when `tell` names nobody.
    pub fallback: Option<Bound>,
    /// Taken away from everybody at the very end.
    pub never: Option<Bound>,
}

/// A bound audience as it travels: bytes that most who carry it never open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed<'a>(&'a [u8]);

// === impl BoundAudience ===

impl BoundAudience {
    /// An audience of nobody.
    #[must_use]
    pub const fn nobody() -> Self {
        Self { tell: Bound::Any(Vec::new()), fallback: None, never: None }
    }

    /// Written into `bytes`, from where it can be read as it is: [`Sealed::of`].
    pub fn seal(&self, bytes: &mut Vec<u8>) {
        bytes.clear();
        *bytes = append(self, std::mem::take(bytes));
    }
}

// === impl Sealed ===

impl<'a> Sealed<'a> {
    /// What [`BoundAudience::seal`] wrote.
    #[must_use]
    pub const fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The audience.
    ///
    /// # Errors
    /// Nothing that this version sealed.
    pub fn open(self) -> Result<BoundAudience, Unread> {
        take(self.0).map(|(audience, _)| audience)
    }
}

impl Serialize for Sealed<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            return self.open().map_err(S::Error::custom)?.serialize(to);
        }
        to.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Sealed<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(from).map(Self)
    }
}
