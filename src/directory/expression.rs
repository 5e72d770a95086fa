//! Expression: the text of an audience, such as `role:approver && !unit:"EMEA Sales"`, read and written.
//!
//! It knows nothing of people or events: whether a role exists is the directory's business, whether a
//! field exists is `bugle check`'s. `!` binds tighter than `&&`, `&&` tighter than `||`.

use super::spelling::{RELATIONS, SCOPES, TABLES, WORDS};
use crate::event::audience::{Audience, Piece, Term};

/// How deep parentheses, `!` and `supervisor(…)` may stand inside each other.
pub const MOST_DEPTH: usize = 32;

/// The longest expression, in bytes.
pub const MOST_BYTES: usize = 16 * 1024;

/// Why a text is not an audience, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionFault {
    /// Where it begins, in bytes of the expression.
    pub offset: usize,
    /// How many bytes are at fault; at least 1, except at the end of the text.
    pub length: usize,
    /// The fact.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

type Parsed<T> = Result<T, ExpressionFault>;

/// Reads an expression.
///
/// # Errors
/// The first place where it stops making sense.
pub fn parse(text: &str) -> Result<Audience, ExpressionFault> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    if text.len() > MOST_BYTES {
        let message = format!("the expression has {} bytes; at most {MOST_BYTES} are read", text.len());
        return Err(ExpressionFault { offset: 0, length: text.len(), message, hint: None });
    }
    let audience = parser.any()?;
    match parser.peek() {
        None => Ok(audience),
        Some(')') => Err(parser.fault(1, "this `)` closes nothing", "remove it")),
        Some(_) => Err(parser.no_operator()),
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

/// Where a name ends besides at a space or an operator.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// Nowhere else: `/` is part of a path.
    Path,
    /// At a `/`, as in `member:workspace/4711/reviewer`.
    Slash,
}

// === impl Parser ===

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// The next character that is not a space.
    fn peek(&mut self) -> Option<char> {
        self.at = self.text.len() - self.rest().trim_start().len();
        self.rest().chars().next()
    }

    fn take(&mut self, token: &str) -> bool {
        self.peek();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn fault(&self, length: usize, message: impl Into<String>, hint: impl Into<String>) -> ExpressionFault {
        let hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        ExpressionFault { offset: self.at, length, message: message.into(), hint }
    }

    fn any(&mut self) -> Parsed<Audience> {
        let mut parts = vec![self.all()?];
        while self.take("||") {
            parts.push(self.all()?);
        }
        Ok(single_or(parts, Audience::Any))
    }

    fn all(&mut self) -> Parsed<Audience> {
        let mut parts = vec![self.operand()?];
        while self.take("&&") {
            parts.push(self.operand()?);
        }
        Ok(single_or(parts, Audience::All))
    }

    fn operand(&mut self) -> Parsed<Audience> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            let message = format!("the expression is nested more than {MOST_DEPTH} deep");
            return Err(self.fault(1, message, "write it as two rules"));
        }
        let audience = match self.peek() {
            None => return Err(self.fault(0, "the expression ends where a term is needed", TERM_HINT)),
            Some('!') => {
                self.at += 1;
                Audience::Not(Box::new(self.operand()?))
            }
            Some('(') => self.parenthesised()?,
            Some(letter) if letter.is_alphabetic() => self.word()?,
            Some('&' | '|' | ')') => {
                return Err(self.fault(1, "a term is missing here", TERM_HINT));
            }
            Some('{') => {
                let hint = "say which table it names: `person:{event.…}` or `role:{event.…}`";
                return Err(self.fault(1, "a placeholder is not a term", hint));
            }
            Some(other) => {
                let message = format!("`{other}` begins no term");
                return Err(self.fault(other.len_utf8(), message, TERM_HINT));
            }
        };
        self.depth -= 1;
        Ok(audience)
    }

    /// `( expression )`, standing at the `(`.
    fn parenthesised(&mut self) -> Parsed<Audience> {
        let open = self.at;
        self.at += 1;
        let inside = self.any()?;
        match self.peek() {
            Some(')') => self.at += 1,
            None => {
                self.at = open;
                return Err(self.fault(1, "this `(` is never closed", "write a `)` at the end"));
            }
            Some(_) => return Err(self.no_operator()),
        }
        Ok(inside)
    }

    fn word(&mut self) -> Parsed<Audience> {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).unwrap_or(rest.len());
        let word = &rest[..end];
        if rest[end..].starts_with(':') {
            return self.term(word);
        }
        if let Some((_, relation)) = RELATIONS.iter().find(|(name, _)| *name == word) {
            self.at += end;
            return Ok(Audience::Related(*relation));
        }
        match word {
            "addressed" => {
                self.at += end;
                Ok(Audience::Addressed)
            }
            "supervisor" | "backup" => {
                if !rest[end..].trim_start().starts_with('(') {
                    let message = format!("`{word}` needs to know whose");
                    return Err(self.fault(end, message, format!("write `{word}(assignees)`")));
                }
                self.at += end;
                self.peek();
                let inside = Box::new(self.parenthesised()?);
                Ok(if word == "backup" { Audience::BackupOf(inside) } else { Audience::SupervisorOf(inside) })
            }
            _ => Err(self.unknown_word(word)),
        }
    }

    /// `role:…` and the like, standing at the word.
    fn term(&mut self, word: &str) -> Parsed<Audience> {
        if word == "member" {
            self.at += "member:".len();
            return self.member();
        }
        let Some((_, table)) = TABLES.iter().find(|(name, _)| *name == word) else {
            return Err(self.unknown_word(&format!("{word}:")));
        };
        self.at += word.len() + 1;
        self.peek();
        Ok(Audience::In(*table, self.name(word, Ends::Path)?))
    }

    /// `workspace/{event.workspace.id}/reviewer`, standing behind `member:`.
    fn member(&mut self) -> Parsed<Audience> {
        self.peek();
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let scope = &rest[..end];
        if !SCOPES.contains(&scope) {
            let message = format!("`{scope}` has no members");
            let hint = match nearest(scope, &SCOPES) {
                Some(scope) => format!("write `member:{scope}/…`"),
                None => format!("write one of {} and an id: `{MEMBER_FORM}`", SCOPES.join(", ")),
            };
            return Err(self.fault(end.max(usize::from(!rest.is_empty())), message, hint));
        }
        self.at += end;
        if !self.rest().starts_with('/') {
            let message = format!("`member:{scope}` does not say which {scope}");
            return Err(self.fault(
                usize::from(!self.rest().is_empty()),
                message,
                format!("write `{MEMBER_FORM}`"),
            ));
        }
        self.at += 1;
        let id = self.name("member", Ends::Slash)?;
        let role = if self.rest().starts_with('/') {
            self.at += 1;
            Some(self.name("member", Ends::Slash)?)
        } else {
            None
        };
        if self.rest().starts_with('/') {
            let hint = format!("write `{MEMBER_FORM}`, and a name that holds `/` in quotes");
            return Err(self.fault(1, "a `member:` term ends after the role", hint));
        }
        Ok(Audience::Member(scope.to_owned(), id, role))
    }

    /// A name: bare text, quoted text and placeholders written without a space between them.
    fn name(&mut self, word: &str, ends: Ends) -> Parsed<Term> {
        let start = self.at;
        let mut pieces = Vec::new();
        loop {
            match self.rest().chars().next() {
                Some('{') => pieces.push(self.placeholder()?),
                Some(quote @ ('"' | '\'')) => {
                    let text = self.quoted(quote)?;
                    push_text(&mut pieces, &text);
                }
                Some('/') if ends == Ends::Slash => break,
                Some(other) if !is_end(other) => {
                    let text = self.bare(ends)?;
                    push_text(&mut pieces, text);
                }
                _ => break,
            }
        }
        let blank = |piece: &Piece| matches!(piece, Piece::Literal(text) if text.trim().is_empty());
        if pieces.iter().all(blank) {
            self.at = start;
            let length = usize::from(!self.rest().is_empty());
            let hint = if word == "member" {
                format!("write `{MEMBER_FORM}`")
            } else {
                format!("write `{word}:name` or `{word}:{{event.field}}`")
            };
            return Err(self.fault(length, format!("`{word}:` names nobody: a name is missing"), hint));
        }
        Ok(Term(pieces))
    }

    fn bare(&mut self, ends: Ends) -> Parsed<&'t str> {
        let rest = self.rest();
        let stop = |c: char| is_end(c) || matches!(c, '{' | '"' | '\'') || (c == '/' && ends == Ends::Slash);
        let end = rest.find(stop).unwrap_or(rest.len());
        let text = &rest[..end];
        if let Some(place) = text.find([',', ';', '}', '\\']) {
            self.at += place;
            let hint = match &text[place..=place] {
                "," | ";" => "write one term per name with `||` between them, or quote a name that holds it",
                "}" => "write `{event.field}` for a value of the event, or quote the name",
                _ => "quote the name and write `\\\\`",
            };
            return Err(self.fault(1, format!("`{}` cannot stand in a name", &text[place..=place]), hint));
        }
        self.at += end;
        Ok(text)
    }

    /// Text in quotes, where `\` makes the next character an ordinary one.
    fn quoted(&mut self, quote: char) -> Parsed<String> {
        let mut text = String::new();
        let mut letters = self.rest().char_indices().skip(1);
        while let Some((place, letter)) = letters.next() {
            match letter {
                '\\' => text.extend(letters.next().map(|(_, letter)| letter)),
                _ if letter == quote => {
                    self.at += place + 1;
                    return Ok(text);
                }
                _ => text.push(letter),
            }
        }
        Err(self.fault(1, "this quote is never closed", format!("write a `{quote}` after the name")))
    }

    fn placeholder(&mut self) -> Parsed<Piece> {
        let rest = self.rest();
        let Some(close) = rest.find('}') else {
            return Err(self.fault(1, "this `{` is never closed", "write `{event.field}`"));
        };
        let inside = rest[1..close].trim();
        let path = inside.strip_prefix("event.").unwrap_or(inside);
        let is_word = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if inside == "event" || !path.split('.').all(is_word) {
            let hint = "write a field's path, such as `{event.workspace.id}`";
            return Err(self.fault(close + 1, format!("`{{{inside}}}` names no field"), hint));
        }
        self.at += close + 1;
        Ok(Piece::Field(path.to_owned()))
    }

    fn no_operator(&mut self) -> ExpressionFault {
        let rest = self.rest();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len()).max(1);
        let word = &rest[..end];
        let quote = "quote a name that holds spaces or signs: `role:\"Legal Counsel\"`";
        match word {
            "and" | "AND" => self.fault(end, format!("`{word}` is no operator"), "write `&&`"),
            "or" | "OR" => self.fault(end, format!("`{word}` is no operator"), "write `||`"),
            _ if word.starts_with('&') => {
                self.fault(1, "`&` alone is no operator", format!("write `&&`, or {quote}"))
            }
            _ if word.starts_with('|') => {
                self.fault(1, "`|` alone is no operator", format!("write `||`, or {quote}"))
            }
            _ => self.fault(
                end,
                format!("`{word}` follows a term without `&&` or `||` between them"),
                format!("write `&&` or `||` before it, or {quote}"),
            ),
        }
    }

    fn unknown_word(&self, word: &str) -> ExpressionFault {
        let hint = match (word, nearest(&word.to_lowercase(), &WORDS)) {
            ("not" | "NOT", _) => "write `!`".to_owned(),
            (_, Some(known)) => format!("write `{known}`"),
            (_, None) if word.ends_with(':') => format!("write one of {}", WORDS[..6].join(" ")),
            (_, None) => format!("write `role:{word}` if it is the name of a role"),
        };
        self.fault(word.len(), format!("`{word}` is no term"), hint)
    }
}

const TERM_HINT: &str = "terms are `role:name`, `location:name`, `unit:name`, `person:id`, `party:id`, \
    `member:workspace/id`, `assignees`, `owner`, `requester`, `followers`, `supervisor(…)`, `backup(…)` and `addressed`";

const MEMBER_FORM: &str = "member:workspace/{event.workspace.id}/role";

pub(super) fn is_end(c: char) -> bool {
    c.is_whitespace() || matches!(c, '&' | '|' | '!' | '(' | ')')
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        Some(Piece::Literal(before)) => before.push_str(text),
        _ if text.is_empty() => {}
        _ => pieces.push(Piece::Literal(text.to_owned())),
    }
}

fn single_or(mut parts: Vec<Audience>, many: fn(Vec<Audience>) -> Audience) -> Audience {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (Some(last), false) => {
            parts.push(last);
            many(parts)
        }
        (None, _) => many(parts),
    }
}

/// The word of `known` that `word` was probably meant to be.
fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(word, known), *known))
        .filter(|(distance, known)| *distance <= known.len().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::audience::Table;

    fn role(name: &str) -> Audience {
        Audience::In(Table::Role, Term(vec![Piece::Literal(name.to_owned())]))
    }

    /// The fault as a compiler would show it.
    fn fault(text: &str) -> String {
        let fault = parse(text).unwrap_err();
        let under = " ".repeat(fault.offset) + &"^".repeat(fault.length.max(1));
        format!("{text}\n{under} {}\nhint: {}", fault.message, fault.hint.unwrap_or_default())
    }

    #[test]
    fn not_binds_tighter_than_and_and_and_tighter_than_or() {
        let expected = Audience::Any(vec![
            role("a"),
            Audience::All(vec![Audience::Not(Box::new(role("b"))), role("c")]),
        ]);
        assert_eq!(parse("role:a || !role:b && role:c"), Ok(expected));
    }

    #[test]
    fn parentheses_group_and_spaces_do_not_matter() {
        let expected = Audience::All(vec![Audience::Any(vec![role("a"), role("b")]), role("c")]);
        assert_eq!(parse(" ( role:a||role: b )&&role:c "), Ok(expected));
    }

    #[test]
    fn a_name_mixes_text_quotes_and_placeholders() {
        let Ok(Audience::In(Table::Unit, Term(pieces))) = parse("unit:EMEA/\"EMEA Sales\"/{event.site}-x")
        else {
            panic!("a unit");
        };
        let literal = |text: &str| Piece::Literal(text.to_owned());
        assert_eq!(pieces, [literal("EMEA/EMEA Sales/"), Piece::Field("site".into()), literal("-x")]);
    }

    #[test]
    fn a_placeholder_may_leave_out_event() {
        assert_eq!(parse("role:{event.workspace.id}"), parse("role:{ workspace.id }"));
    }

    #[test]
    fn a_member_has_a_scope_an_id_and_perhaps_a_role() {
        let Ok(Audience::Member(scope, id, role)) =
            parse("member:workspace/{event.workspace.id}/\"lead/reviewer\"")
        else {
            panic!("a member");
        };
        assert_eq!((scope.as_str(), id), ("workspace", Term(vec![Piece::Field("workspace.id".into())])));
        assert_eq!(role, Some(Term(vec![Piece::Literal("lead/reviewer".into())])));
        assert!(matches!(parse("member:app/portal"), Ok(Audience::Member(_, _, None))));
    }

    #[test]
    fn relations_nest() {
        let text = "supervisor(supervisor(assignees)) || backup(owner) || addressed";
        assert_eq!(parse(text).unwrap().to_string(), text);
    }

    #[test]
    fn a_misspelt_word_is_answered_with_the_right_one() {
        insta::assert_snapshot!(fault("role:a && rol:b"), @r"
        role:a && rol:b
                  ^^^^ `rol:` is no term
        hint: write `role:`
        ");
        insta::assert_snapshot!(fault("asignees"), @r"
        asignees
        ^^^^^^^^ `asignees` is no term
        hint: write `assignees`
        ");
        insta::assert_snapshot!(fault("approver"), @r"
        approver
        ^^^^^^^^ `approver` is no term
        hint: write `role:approver` if it is the name of a role
        ");
        insta::assert_snapshot!(fault("member:workspce/1"), @r"
        member:workspce/1
               ^^^^^^^^ `workspce` has no members
        hint: write `member:workspace/…`
        ");
    }

    #[test]
    fn a_fault_says_where_and_what_to_write() {
        insta::assert_snapshot!(fault("role:legal counsel"), @r#"
        role:legal counsel
                   ^^^^^^^ `counsel` follows a term without `&&` or `||` between them
        hint: write `&&` or `||` before it, or quote a name that holds spaces or signs: `role:"Legal Counsel"`
        "#);
        insta::assert_snapshot!(fault("role:a and role:b"), @r"
        role:a and role:b
               ^^^ `and` is no operator
        hint: write `&&`
        ");
        insta::assert_snapshot!(fault("unit:R&D"), @r#"
        unit:R&D
              ^ `&` alone is no operator
        hint: write `&&`, or quote a name that holds spaces or signs: `role:"Legal Counsel"`
        "#);
        insta::assert_snapshot!(fault("(role:a || role:b"), @r"
        (role:a || role:b
        ^ this `(` is never closed
        hint: write a `)` at the end
        ");
        insta::assert_snapshot!(fault("role:a)"), @r"
        role:a)
              ^ this `)` closes nothing
        hint: remove it
        ");
        insta::assert_snapshot!(fault("role:"), @r"
        role:
             ^ `role:` names nobody: a name is missing
        hint: write `role:name` or `role:{event.field}`
        ");
        insta::assert_snapshot!(fault("role:a ||"), @r"
        role:a ||
                 ^ the expression ends where a term is needed
        hint: terms are `role:name`, `location:name`, `unit:name`, `person:id`, `party:id`, `member:workspace/id`, `assignees`, `owner`, `requester`, `followers`, `supervisor(…)`, `backup(…)` and `addressed`
        ");
        insta::assert_snapshot!(fault("role:a,b"), @r"
        role:a,b
              ^ `,` cannot stand in a name
        hint: write one term per name with `||` between them, or quote a name that holds it
        ");
        insta::assert_snapshot!(fault("role:{event}"), @r"
        role:{event}
             ^^^^^^^ `{event}` names no field
        hint: write a field's path, such as `{event.workspace.id}`
        ");
        insta::assert_snapshot!(fault("{event.owner}"), @r"
        {event.owner}
        ^ a placeholder is not a term
        hint: say which table it names: `person:{event.…}` or `role:{event.…}`
        ");
        insta::assert_snapshot!(fault("supervisor"), @r"
        supervisor
        ^^^^^^^^^^ `supervisor` needs to know whose
        hint: write `supervisor(assignees)`
        ");
        insta::assert_snapshot!(fault("role:'Legal"), @r"
        role:'Legal
             ^ this quote is never closed
        hint: write a `'` after the name
        ");
    }

    #[test]
    fn nesting_and_length_have_an_end() {
        assert!(parse(&"(".repeat(100_000)).is_err());
        assert!(parse(&"!".repeat(10_000)).unwrap_err().message.contains("nested"));
        assert!(parse(&"supervisor(".repeat(1_000)).unwrap_err().message.contains("nested"));
    }
}
