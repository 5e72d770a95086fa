//! Syntax: from text to CEL's tree, with the usual slips named for what they are.

use cel::common::ast::{IdedExpr, SourceInfo};
use cel::parser::Parser;

use super::ConditionFault;

/// So many steps a condition may have: each stands on the one before, and on the stack of whoever reads it.
const MOST_STEPS: usize = 256;

/// Parses `text`; a single `=` or a word such as `and` is said to be just that.
pub(in crate::topology) fn parse(text: &str) -> Result<(IdedExpr, SourceInfo), Vec<ConditionFault>> {
    if let Some(fault) = slip(text) {
        return Err(vec![fault]);
    }
    let parser = Parser::new().max_recursion_depth(64);
    parser.parse_with_source_info(text).map_err(|errors| {
        let first = errors.errors.first();
        let (line, column) = first.map_or((1, 1), |error| error.pos);
        let said = first.map_or("it cannot be read", |error| error.msg.as_str());
        vec![ConditionFault {
            offset: offset(text, line, column),
            length: 1,
            code: "bad-condition",
            message: format!("this is no CEL: {}", in_words(said)),
            hint: "write a condition such as `event.due_at != null && event.severity == \"high\"`".to_owned(),
        }]
    })
}

/// What the parser says in words for programmers, and what it means.
const MEANT: [(&str, &str); 4] = [
    ("Recursion limit", "its brackets stand in each other too deep"),
    ("int literal", "a number is too large"),
    ("double literal", "a number is too large"),
    ("has() macro", "`has` asks for a field, such as `has(event.due_at)`"),
];

/// What the parser says, without its own names for things.
fn in_words(said: &str) -> String {
    let said = said.trim_start_matches("Syntax error: ").split(" expecting ").next().unwrap_or(said);
    if said.contains("<EOF>") || said.contains("Incomplete") {
        return "it ends where more has to follow".to_owned();
    }
    if let Some(word) = said.strip_prefix("reserved identifier: ") {
        return format!("`{word}` is a word that CEL keeps for itself");
    }
    let meant = MEANT.iter().find(|(theirs, _)| said.contains(theirs));
    if let Some((_, meant)) = meant {
        return (*meant).to_owned();
    }
    let quoted = said.split_once('\'').and_then(|(_, rest)| rest.rsplit_once('\'')).map(|(word, _)| word);
    match quoted.filter(|word| !word.is_empty()) {
        Some(word) => format!("`{word}` cannot stand here"),
        None => said.to_owned(),
    }
}

fn offset(text: &str, line: isize, column: isize) -> usize {
    let lines = usize::try_from(line - 1).unwrap_or(0);
    let column = usize::try_from(column - 1).unwrap_or(0);
    let before: usize = text.split_inclusive('\n').take(lines).map(str::len).sum();
    // CEL counts letters, and a letter may have several bytes.
    let within: usize = text[before..].chars().take(column).map(char::len_utf8).sum();
    text.floor_char_boundary((before + within).min(text.len().saturating_sub(1)))
}

/// A single `=`, or `and`, `or`, `not` as words, or too many signs, outside of quotes.
fn slip(text: &str) -> Option<ConditionFault> {
    let bytes = text.as_bytes();
    let mut quote = None;
    let (mut at, mut steps) = (0, 0);
    while at < bytes.len() {
        let byte = bytes[at];
        match quote {
            Some(_) if byte == b'\\' => at += 1,
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            None if byte == b'"' || byte == b'\'' => quote = Some(byte),
            None if byte == b'=' => match bytes.get(at + 1) {
                Some(b'=') => at += 1,
                _ if at > 0 && matches!(bytes[at - 1], b'!' | b'<' | b'>') => {}
                _ => return Some(fault((at, 1), "`=` does not compare", "write `==`".to_owned())),
            },
            None if starts_word(bytes, at) => {
                if let Some((word, sign)) = word_at(text, at) {
                    let fact = format!("`{word}` is no operator of CEL");
                    return Some(fault((at, word.len()), &fact, format!("write `{sign}`")));
                }
            }
            None if b"+-*/%.[?&|!<>".contains(&byte) => {
                steps += 1;
                if steps > MOST_STEPS {
                    let hint = "let a list say it, such as `event.x in [1, 2, 3]`, or write several rules";
                    return Some(fault((at, 1), "the condition is too long", hint.to_owned()));
                }
            }
            None => {}
        }
        at += 1;
    }
    None
}

fn fault((offset, length): (usize, usize), message: &str, hint: String) -> ConditionFault {
    ConditionFault { offset, length, code: "bad-condition", message: message.to_owned(), hint }
}

fn starts_word(bytes: &[u8], at: usize) -> bool {
    bytes[at].is_ascii_alphabetic()
        && (at == 0 || !(bytes[at - 1].is_ascii_alphanumeric() || b"_.".contains(&bytes[at - 1])))
}

fn word_at(text: &str, at: usize) -> Option<(&'static str, &'static str)> {
    let rest = text.get(at..)?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    [("and", "&&"), ("or", "||"), ("not", "!"), ("AND", "&&"), ("OR", "||"), ("NOT", "!")]
        .into_iter()
        .find(|(word, _)| *word == &rest[..end])
}
