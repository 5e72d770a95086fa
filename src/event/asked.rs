//! Asked: whom a rule meant, by which term each came in, and by which term others were kept out.
//!
//! A verdict carries it, so that the question "why did I not hear this?" has the same answer after the
//! directory and the rules have changed. It holds terms and, of few people, their names; a role's hundred
//! thousand are one line with a number.

/// The answer the directory gave to one audience.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The expression with the change's values, such as `role:approver && location:"Hamburg Harbour"`;
    /// behind it, where there are such, ` else ` and the fallback, ` never ` and whom not.
    pub audience: String,
    /// How far the directory had been read.
    pub directory: Vec<i64>,
    /// Everybody it came near, each in one of them.
    pub groups: Vec<Standing>,
}

/// People to whom the same applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whether they belong, and why not.
    pub how: How,
    /// The term that says so, with its value; empty where there is none.
    pub term: String,
    /// How many people.
    pub count: u32,
    /// Who; nobody where they are too many to be named.
    pub people: Vec<String>,
}

/// How people stand to an audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// The expression names them.
    Named,
    /// The fallback names them.
    Fallback,
    /// They stand in for somebody who is away.
    Deputy,
    /// `never` takes them away.
    Never,
    /// They are away, and somebody stands in.
    Away,
    /// They may not be told anything.
    Inactive,
    /// They belong to a party that the expression does not name.
    Outside,
    /// A term under `!` takes them away.
    Barred,
    /// They lack one term.
    Lacks,
}

// === impl How ===

impl How {
    /// All of them, in the order of the audit schema.
    pub const ALL: [Self; 9] = [
        Self::Named,
        Self::Fallback,
        Self::Deputy,
        Self::Never,
        Self::Away,
        Self::Inactive,
        Self::Outside,
        Self::Barred,
        Self::Lacks,
    ];

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Fallback => "fallback",
            Self::Deputy => "deputy",
            Self::Never => "never",
            Self::Away => "away",
            Self::Inactive => "inactive",
            Self::Outside => "outside",
            Self::Barred => "barred",
            Self::Lacks => "lacks",
        }
    }

    /// Whether they are to be told.
    #[must_use]
    pub const fn belongs(self) -> bool {
        matches!(self, Self::Named | Self::Fallback | Self::Deputy)
    }
}

// === impl Standing ===

impl Standing {
    /// The reason, for a person: `role:approver`, `never person:ada`, `not role:approver`.
    #[must_use]
    pub fn because(&self, user_id: Option<&str>) -> String {
        let term = match (self.term.as_str(), user_id) {
            ("person", Some(id)) => format!("person:{id}"),
            (term, _) => term.to_owned(),
        };
        match self.how {
            How::Named => term,
            How::Fallback => format!("fallback {term}"),
            How::Deputy => term,
            How::Never => format!("never {term}"),
            How::Away if term.is_empty() => "away".to_owned(),
            How::Away => format!("away, {term}"),
            How::Inactive => "not active".to_owned(),
            How::Outside => "of a party that is not named".to_owned(),
            How::Barred => term,
            How::Lacks => format!("not {term}"),
        }
    }
}

// === impl Asked ===

impl Asked {
    /// About how many bytes it has.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let people = |group: &Standing| group.people.iter().map(|person| person.len() + 2).sum::<usize>();
        let groups = self.groups.iter().map(|group| group.term.len() + 16 + people(group));
        self.audience.len() + 8 * self.directory.len() + 16 + groups.sum::<usize>()
    }

    /// How many are to be told.
    #[must_use]
    pub fn belonging(&self) -> u32 {
        self.groups.iter().filter(|group| group.how.belongs()).map(|group| group.count).sum()
    }

    /// Where one of the people that are named by name stands.
    #[must_use]
    pub fn standing_of(&self, user_id: &str) -> Option<&Standing> {
        self.groups.iter().find(|group| group.people.iter().any(|person| person == user_id))
    }
}
