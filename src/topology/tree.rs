//! Tree: a YAML file as values that know where they stand.
//!
//! The home of `serde_saphyr`. A tree knows nothing of rules; reading it into one is `reading`'s, so
//! that one wrong field hides no other. Only text that is no YAML at all stops here.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;
use serde_saphyr::{DuplicateKeyPolicy, Error, Spanned};

use super::fault::{Faults, Place, Sheet, Spot};

/// One value of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) value: Branch,
    /// Where it stands.
    pub(crate) at: Place,
    /// Behind which name, itself or in a list; empty where there is none.
    pub(crate) key: Arc<str>,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Branch {
    /// Nothing written, or `null`.
    Nothing,
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Whole(i64),
    /// A number with a fraction.
    Fraction(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Names and values, in the order written; a name may stand twice.
    Map(Vec<(Spot<String>, Node)>),
}

/// Reads a file's text; notes why it is no YAML.
pub(crate) fn parse(sheet: &Arc<Sheet>, faults: &mut Faults) -> Option<Node> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Node>(&sheet.text, options) {
        Ok(node) => Some(node),
        Err(error) => {
            let start = error.location().map_or(0, |location| start_of(&location, &sheet.text));
            let at = Place { start, end: start + 1 };
            let (fact, fix) = told(error.without_snippet());
            faults.add(sheet, at, "not-yaml", (fact, format!("{fix}; the rest of this file was not read")));
            None
        }
    }
}

/// What the reader of YAML says, and what it means, where its own words are for programmers.
const MEANT: [(&str, &str, &str); 7] = [
    ("recursion limit", "lists and maps stand in each other too deep", "write it flatter"),
    ("tabs disallowed", "a tab stands where spaces indent", "indent by spaces"),
    ("mapping values are not allowed", "a `:` cannot stand here", QUOTES),
    ("did not find expected ',' or '}'", "a `,` or `}` is missing", QUOTES),
    ("did not find expected ',' or ']'", "a `,` or `]` is missing", QUOTES),
    ("unexpected character", "a letter that no text holds", "save the file as plain text"),
    ("string scalar", "a name is a text, and no list or map", "write a name before the `:`"),
];
const QUOTES: &str = "correct the indentation, or put what holds `:`, `,`, `[` or `{` in quotes";

/// Why a text is no YAML of ours, and what to do.
fn told(error: &Error) -> (String, &'static str) {
    let (fact, fix) = match error {
        Error::AliasError { error, .. } => return told(error),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => (
            "the file is too large, with all that `*` repeats in it",
            "split it, and write out what is repeated where it is needed",
        ),
        Error::MultipleDocuments { .. } => (
            "a second document begins here, and a file holds one",
            "move it to a file of its own, or take the `---` or `...` before it out",
        ),
        Error::UnknownAnchor { .. } => {
            ("`*` repeats what nothing before it calls so with `&`", "write out what is meant")
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            ("this repeats itself without an end", "write out what is meant instead of the `*`")
        }
        Error::NonFiniteFloat { .. } => ("this is no number that could be counted with", "write a number"),
        Error::InvalidBinaryBase64 { .. } | Error::BinaryNotUtf8 { .. } | Error::UnsupportedTag { .. } => {
            ("`!` says what kind of value this is, and nothing asks for it", "write the value without it")
        }
        other => {
            let text = other.to_string();
            let fact = text.lines().next().unwrap_or_default();
            let fact = fact.split(" at line ").next().unwrap_or(fact);
            return match MEANT.iter().find(|(said, ..)| fact.contains(said)) {
                Some((_, fact, fix)) => (format!("this is no YAML: {fact}"), fix),
                None => {
                    (format!("this is no YAML: {fact}"), "correct the indentation, quotes or brackets here")
                }
            };
        }
    };
    (fact.to_owned(), fix)
}

fn place(location: &serde_saphyr::Location) -> Place {
    let span = location.span();
    let whole = |number: Option<u64>| usize::try_from(number.unwrap_or_default()).unwrap_or(usize::MAX);
    let start = whole(span.byte_offset());
    Place { start, end: start.saturating_add(whole(span.byte_len())) }
}

/// The byte an error points at; some errors know the line and column alone.
fn start_of(location: &serde_saphyr::Location, text: &str) -> usize {
    if location.span().byte_offset().is_some_and(|offset| offset > 0) {
        return place(location).start;
    }
    let line = usize::try_from(location.line()).unwrap_or(1).max(1) - 1;
    let column = usize::try_from(location.column()).unwrap_or(1).max(1) - 1;
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let within =
        text.get(before..).unwrap_or_default().chars().take(column).map(char::len_utf8).sum::<usize>();
    before + within
}

// === impl Branch ===

impl Branch {
    /// What it is, in a word for people.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Flag(_) => "a truth value",
            Self::Whole(_) => "a whole number",
            Self::Fraction(_) => "a number with a fraction",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

// === impl Node ===

impl Node {
    /// It, or what is listed in it, stands behind this name.
    fn stands_behind(&mut self, key: &Arc<str>) {
        self.key = Arc::clone(key);
        if let Branch::List(items) = &mut self.value {
            items.iter_mut().for_each(|item| item.key = Arc::clone(key));
        }
    }

    /// Whether nothing stands here, or a list or map of nothing.
    pub(crate) const fn is_empty(&self) -> bool {
        match &self.value {
            Branch::Nothing => true,
            Branch::List(items) => items.is_empty(),
            Branch::Map(entries) => entries.is_empty(),
            _ => false,
        }
    }

    /// As it is written, where it is a single value.
    pub(crate) fn plain_text(&self) -> String {
        match self.plain() {
            Json::String(text) => text,
            other => other.to_string(),
        }
    }

    /// What is listed in it.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Branch::List(items) => items,
            _ => &[],
        }
    }

    /// What stands in it by name.
    pub(crate) fn entries(&self) -> &[(Spot<String>, Self)] {
        match &self.value {
            Branch::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The text it is, or those listed in it.
    pub(crate) fn texts(&self) -> impl Iterator<Item = Spot<String>> {
        [self].into_iter().chain(self.items()).filter_map(|node| match &node.value {
            Branch::Text(text) => Some(Spot { value: text.clone(), at: node.at }),
            _ => None,
        })
    }

    /// Every text that stands behind this name, however deep.
    pub(crate) fn all_behind<'n>(&'n self, key: &str, into: &mut Vec<&'n str>) {
        match &self.value {
            Branch::Text(text) if *self.key == *key => into.push(text),
            Branch::List(items) => items.iter().for_each(|item| item.all_behind(key, into)),
            Branch::Map(entries) => entries.iter().for_each(|(_, node)| node.all_behind(key, into)),
            _ => {}
        }
    }

    /// The value as JSON has it; of a name that stands twice the later one.
    pub(crate) fn plain(&self) -> Json {
        match &self.value {
            Branch::Nothing => Json::Null,
            Branch::Flag(flag) => Json::Bool(*flag),
            Branch::Whole(number) => Json::from(*number),
            Branch::Fraction(number) => Json::from(*number),
            Branch::Text(text) => Json::String(text.clone()),
            Branch::List(items) => Json::Array(items.iter().map(Self::plain).collect()),
            Branch::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| (key.value.clone(), value.plain()));
                Json::Object(entries.collect())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Branch>::deserialize(deserializer)?;
        let mut at = place(&spanned.defined);
        // A list or map is known by its first line; the place of its first entry is where a reader looks.
        match &spanned.value {
            Branch::List(items) if at.end <= at.start => {
                at = items.first().map_or(at, |item| item.at);
            }
            Branch::Map(entries) if at.end <= at.start => {
                at = entries.first().map_or(at, |(key, _)| key.at);
            }
            _ => {}
        }
        Ok(Self { value: spanned.value, at, key: Arc::default() })
    }
}

impl<'de> Deserialize<'de> for Branch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyBranch)
    }
}

struct AnyBranch;

impl<'de> Visitor<'de> for AnyBranch {
    type Value = Branch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Branch, E> {
        Ok(Branch::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Branch, E> {
        Ok(Branch::Whole(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Branch, E> {
        Ok(i64::try_from(number).map_or_else(|_| Branch::Text(number.to_string()), Branch::Whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Branch, E> {
        Ok(Branch::Fraction(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Branch, E> {
        Ok(Branch::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Branch, E> {
        Ok(Branch::Text(text))
    }

    fn visit_unit<E>(self) -> Result<Branch, E> {
        Ok(Branch::Nothing)
    }

    fn visit_none<E>(self) -> Result<Branch, E> {
        Ok(Branch::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Branch, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Branch, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Branch::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Branch, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let name = Spot { at: place(&key.defined), value: key.value };
            let mut node: Node = map.next_value()?;
            node.stands_behind(&name.value.as_str().into());
            entries.push((name, node));
        }
        Ok(Branch::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(text: &str) -> Arc<Sheet> {
        Arc::new(Sheet { path: "a.yaml".to_owned(), text: text.to_owned() })
    }

    /// Every scalar with the text it stands on.
    fn places(node: &Node, text: &str, out: &mut Vec<String>) {
        match &node.value {
            Branch::List(items) => items.iter().for_each(|item| places(item, text, out)),
            Branch::Map(entries) => {
                for (key, value) in entries {
                    out.push(format!("{}@{}", key.value, &text[key.at.start..key.at.end]));
                    places(value, text, out);
                }
            }
            scalar => out.push(format!("{scalar:?}@{}", &text[node.at.start..node.at.end])),
        }
    }

    #[test]
    fn every_value_knows_its_stretch_of_the_file() {
        let text = "rules:\n  - id: a-ä\n    if: 'x == \"y\"'\n    most: 3\n    at: \"09:00\"\n    \
                    hold: { in: 30d, on: [a, b] }\n    text: >-\n      one\n      two\n    empty:\n";
        let node = parse(&sheet(text), &mut Faults::default()).unwrap();
        let mut seen = Vec::new();
        places(&node, text, &mut seen);
        insta::assert_snapshot!(seen.join("\n"), @r#"
        rules@rules
        id@id
        Text("a-ä")@a-ä
        if@if
        Text("x == \"y\"")@'x == "y"'
        most@most
        Whole(3)@3
        at@at
        Text("09:00")@"09:00"
        hold@hold
        in@in
        Text("30d")@30d
        on@on
        Text("a")@a
        Text("b")@b
        text@text
        Text("one two")@one
              two
            
        empty@empty
        Nothing@
        "#);
    }

    #[test]
    fn text_that_is_no_yaml_says_where() {
        let mut faults = Faults::default();
        assert!(parse(&sheet("rules:\n  - id: [a\n  - b\n"), &mut faults).is_none());
        let faults = faults.sorted();
        assert_eq!(faults[0].to_string(), "a.yaml:2:9: this is no YAML: unclosed bracket '['");
    }

    #[test]
    fn what_the_reader_of_yaml_means_is_said_in_our_words() {
        let deep = format!("a: {}{}", "[".repeat(3_000), "]".repeat(3_000));
        let bomb = (0..9).fold("a: &a [x, x]\n".to_owned(), |text, at| {
            let name = |at: u8| char::from(b'a' + at);
            let many = vec![format!("*{}", name(at)); 9].join(", ");
            format!("{text}{0}: &{0} [{many}]\n", name(at + 1))
        });
        let texts = [
            deep.as_str(),
            &bomb,
            "a: 1\n---\nb: 2\n",
            "a: *b\n",
            "a: &a [*a]\n",
            "a:\n\t- b\n",
            "a: b: c\n",
            "a: { b: c in [d] e }\n",
            "a: .nan\n",
            "a: !!binary x\n",
            "? [a, b]\n: c\n",
            "a: \0\n",
        ];
        let said = |text: &&str| {
            let mut faults = Faults::default();
            assert!(parse(&sheet(text), &mut faults).is_none(), "{text}");
            let faults = faults.sorted();
            format!("{}: {} ({})", faults[0].line, faults[0].message, faults[0].hint)
        };
        insta::assert_snapshot!(texts.iter().map(said).collect::<Vec<_>>().join("\n"), @r"
        1: this is no YAML: lists and maps stand in each other too deep (write it flatter; the rest of this file was not read)
        7: the file is too large, with all that `*` repeats in it (split it, and write out what is repeated where it is needed; the rest of this file was not read)
        3: a second document begins here, and a file holds one (move it to a file of its own, or take the `---` or `...` before it out; the rest of this file was not read)
        1: `*` repeats what nothing before it calls so with `&` (write out what is meant; the rest of this file was not read)
        1: this repeats itself without an end (write out what is meant instead of the `*`; the rest of this file was not read)
        2: this is no YAML: a tab stands where spaces indent (indent by spaces; the rest of this file was not read)
        1: this is no YAML: a `:` cannot stand here (correct the indentation, or put what holds `:`, `,`, `[` or `{` in quotes; the rest of this file was not read)
        1: this is no YAML: a `,` or `}` is missing (correct the indentation, or put what holds `:`, `,`, `[` or `{` in quotes; the rest of this file was not read)
        1: this is no number that could be counted with (write a number; the rest of this file was not read)
        1: `!` says what kind of value this is, and nothing asks for it (write the value without it; the rest of this file was not read)
        1: this is no YAML: a name is a text, and no list or map (write a name before the `:`; the rest of this file was not read)
        1: this is no YAML: a letter that no text holds (save the file as plain text; the rest of this file was not read)
        ");
    }
}
