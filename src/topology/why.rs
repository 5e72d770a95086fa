//! Why: in a few words, why somebody hears what a rule says: by which role, at which place.
//!
//! It goes with every push, once for a whole request: so it speaks of what the rule asks for and of no person.

use super::rule::Rule;
use super::schedule::{Saying, To};
use crate::event::audience::{Audience, Piece, Relation, Table, Term};

/// The most characters of it.
const MOST: usize = 160;

/// Why somebody hears this of a rule.
#[must_use]
pub fn why(rule: &Rule, saying: &Saying) -> String {
    let words = match &saying.to {
        To::Audience => words(&rule.audience),
        To::Other(audience) => words(audience),
        To::Told => "told when it began".to_owned(),
    };
    match words.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

fn words(audience: &Audience) -> String {
    match audience {
        Audience::In(Table::Role, term) => format!("role {}", named(term)),
        Audience::In(Table::Location, term) => format!("place {}", named(term)),
        Audience::In(Table::Unit, term) => format!("unit {}", named(term)),
        Audience::In(Table::Person, term) => match term.0.as_slice() {
            [Piece::Literal(_)] => "named by the rule".to_owned(),
            _ => named(term),
        },
        Audience::In(Table::Party, term) => format!("of {}", named(term)),
        Audience::Member(scope, _, None) => format!("member of the {scope}"),
        Audience::Member(scope, _, Some(role)) => format!("{} of the {scope}", named(role)),
        Audience::Addressed => "addressed by the change itself".to_owned(),
        Audience::Related(relation) => related(*relation).to_owned(),
        Audience::SupervisorOf(of) => format!("supervisor of {}", whom(of)),
        Audience::BackupOf(of) => format!("stands in for {}", whom(of)),
        Audience::All(parts) => joined(parts, " and "),
        Audience::Any(parts) => joined(parts, " or "),
        Audience::Not(of) => format!("not {}", words(of)),
    }
}

const fn related(relation: Relation) -> &'static str {
    match relation {
        Relation::Assignees => "assigned to it",
        Relation::Owner => "owner of it",
        Relation::Requester => "who asked for it",
        Relation::Followers => "follower of it",
        Relation::Supervisor => "supervisor of whom it is assigned to",
        Relation::Backup => "stands in for whom it is assigned to",
    }
}

/// Those above or beside whom somebody stands.
fn whom(of: &Audience) -> String {
    match of {
        Audience::Related(Relation::Assignees) => "whom it is assigned to".to_owned(),
        Audience::Related(Relation::Owner) => "its owner".to_owned(),
        of => format!("({})", words(of)),
    }
}

fn joined(parts: &[Audience], word: &str) -> String {
    parts.iter().map(words).collect::<Vec<_>>().join(word)
}

/// A name as written; of a field of the change, the field's name.
fn named(term: &Term) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Literal(text) => text.clone(),
        Piece::Field(path) => {
            let last = path.rsplit('.').next().unwrap_or(path);
            format!("its {}", last.trim_end_matches("_id").replace('_', " "))
        }
    };
    term.0.iter().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::parse;

    fn said(audience: &str) -> String {
        words(&parse(audience).unwrap())
    }

    #[test]
    fn an_audience_is_said_in_words() {
        assert_eq!(
            said("role:field-service && location:{event.site}"),
            "role field-service and place its site"
        );
        assert_eq!(said("assignees"), "assigned to it");
        assert_eq!(said("supervisor(assignees)"), "supervisor of whom it is assigned to");
        assert_eq!(
            said("supervisor(supervisor(assignees))"),
            "supervisor of (supervisor of whom it is assigned to)"
        );
        assert_eq!(
            said("member:workspace/{event.workspace.id}/lead || owner"),
            "lead of the workspace or owner of it"
        );
        assert_eq!(said("person:mara.weber"), "named by the rule");
        assert_eq!(said("party:{event.external_party}"), "of its external party");
    }
}
