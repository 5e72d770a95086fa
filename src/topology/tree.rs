//! Tree: a YAML file as values that know where they stand.
//!
//! The home of `serde_saphyr`. A tree knows nothing of rules; reading it into one is `reading`'s, so
//! that one wrong field hides no other. Only text that is no YAML at all stops here.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;
use serde_saphyr::{DuplicateKeyPolicy, Spanned};

use super::fault::{Faults, Place, Sheet, Spot};

/// One value of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) value: Branch,
    /// Where it stands.
    pub(crate) at: Place,
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
            let text = error.without_snippet().to_string();
            let fact = text.lines().next().unwrap_or_default();
            let fact = fact.split(" at line ").next().unwrap_or(fact);
            let hint = "correct the indentation, quotes or brackets here; the rest of this file was not read";
            faults.add(sheet, at, "not-yaml", (format!("this is no YAML: {fact}"), hint));
            None
        }
    }
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
        Ok(Self { value: spanned.value, at })
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
            entries.push((name, map.next_value()?));
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
}
