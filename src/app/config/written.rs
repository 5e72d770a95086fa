//! Written: the settings as somebody wrote them, each with the place it was written at.
//!
//! A file, the environment and flags all become the same flat list of settings, later ones winning.
//! Whether a name or a value makes sense is decided by `mod`, one setting at a time, so that one wrong
//! setting hides no other.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::fault::Problem;

/// What the names of environment variables start with.
pub(super) const PREFIX: &str = "BUGLE_";

/// Maps whose keys hold dots: in a flag, all after this is one key.
const DOTTED: &[&str] = &["kafka.properties"];

/// One setting.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    /// Its names from the outermost section on, each with where it stands.
    pub(super) path: Vec<Step>,
    /// What was written.
    pub(super) value: Value,
    /// Where the value stands.
    pub(super) origin: String,
    /// Whether it was written as a literal into a file, where a secret must not be.
    pub(super) literal: bool,
    /// Whether it holds something that was filled in, which may be a secret.
    pub(super) hidden: bool,
}

/// One name of a path.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// The name.
    pub(super) name: String,
    /// Where it stands.
    pub(super) origin: String,
}

enum Node {
    Value(Value),
    List(Vec<Node>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

// === impl Setting ===

impl Setting {
    /// `kafka.brokers`
    pub(super) fn name(&self) -> String {
        dotted(&self.path)
    }
}

/// The names of `steps` with dots between.
pub(super) fn dotted(steps: &[Step]) -> String {
    steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>().join(".")
}

/// The settings of a YAML text; `file` is its path as people know it.
pub(super) fn in_file(file: &str, text: &str) -> Result<Vec<Setting>, Problem> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let root = serde_saphyr::from_str_with_options::<Option<Node>>(text, options).map_err(|error| {
        let place = error.location().map_or_else(String::new, |at| place(&at));
        let words = error.without_snippet().to_string();
        let words = words.lines().next().unwrap_or_default().split(" at line ").next().unwrap_or_default();
        Problem::new(format!("{file}{place}"), format!("this cannot be read as YAML: {words}"))
            .hint("correct the indentation, quotes or brackets here; the rest was not read")
    })?;
    let mut settings = Vec::new();
    match root {
        None | Some(Node::Value(Value::Null)) => {}
        Some(root @ Node::Map(_)) => flatten(file, root, &mut Vec::new(), file, &mut settings),
        Some(_) => {
            return Err(Problem::new(file, "this holds no settings")
                .hint("write sections such as `kafka:` with settings below them"));
        }
    }
    Ok(settings)
}

/// The settings among environment variables: `BUGLE_KAFKA__BROKERS` is `kafka.brokers`. Names without
/// a double underscore are not settings: Kubernetes makes such names for a service called bugle.
pub(super) fn in_environment(environment: &BTreeMap<String, String>) -> Vec<Setting> {
    let mut settings = Vec::new();
    for (variable, text) in environment {
        let Some(rest) = variable.strip_prefix(PREFIX).filter(|rest| rest.contains("__")) else { continue };
        let path = rest.to_ascii_lowercase().replace("__", ".");
        let path = match DOTTED.iter().find_map(|map| path.strip_prefix(&format!("{map}."))) {
            Some(key) => path.replace(key, &key.replace('_', ".")),
            None => path,
        };
        settings.push(alone(&path, text, variable));
    }
    settings
}

/// A setting given by flag: `kafka.brokers=…`.
pub(super) fn in_flag(text: &str) -> Result<Setting, Problem> {
    match text.split_once('=') {
        Some((path, value)) if !path.is_empty() => Ok(alone(path, value, &format!("--set {path}"))),
        _ => Err(Problem::new("--set", "a setting and its value have `=` between them")
            .hint("write `--set kafka.brokers=kafka-1:9092`")),
    }
}

fn alone(path: &str, text: &str, origin: &str) -> Setting {
    let step = |name: &str| Step { name: name.to_owned(), origin: origin.to_owned() };
    let whole = DOTTED.iter().find_map(|map| path.strip_prefix(&format!("{map}.")).map(|key| (*map, key)));
    let path = match whole {
        Some((map, key)) => map.split('.').chain([key]).map(step).collect(),
        None => path.split('.').map(step).collect(),
    };
    // `4` is a number and `[a, b]` a list, as they would be in the file.
    let value = match serde_saphyr::from_str::<Node>(text) {
        Ok(node) => plain(node).unwrap_or_else(|| Value::String(text.to_owned())),
        Err(_) => Value::String(text.to_owned()),
    };
    Setting { path, value, origin: origin.to_owned(), literal: false, hidden: false }
}

fn flatten(file: &str, node: Node, path: &mut Vec<Step>, origin: &str, out: &mut Vec<Setting>) {
    let entries = match node {
        Node::Map(entries) => entries,
        Node::Value(Value::Null) => return,
        other => {
            let value = plain(other).unwrap_or(Value::Null);
            out.push(Setting {
                path: path.clone(),
                value,
                origin: origin.to_owned(),
                literal: true,
                hidden: false,
            });
            return;
        }
    };
    for (key, below) in entries {
        path.push(Step { name: key.value, origin: format!("{file}{}", place(&key.defined)) });
        let origin = format!("{file}{}", place(&below.defined));
        flatten(file, below.value, path, &origin, out);
        path.pop();
    }
}

/// The value, when no map is in it.
fn plain(node: Node) -> Option<Value> {
    match node {
        Node::Value(value) => Some(value),
        Node::List(items) => items.into_iter().map(plain).collect::<Option<Vec<_>>>().map(Value::Array),
        Node::Map(_) => None,
    }
}

fn place(at: &serde_saphyr::Location) -> String {
    format!(":{}:{}", at.line(), at.column())
}

// === impl Node ===

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a setting")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Node, E> {
        Ok(Node::Value(flag.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Value(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Ok(Node::Value(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Value(number.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Value(text.into()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Value(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Value(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}
