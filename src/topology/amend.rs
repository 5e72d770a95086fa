//! Amend: the files of a topology with some rules and messages otherwise, as a scenario's reload writes them.
//!
//! What is otherwise is laid over what is there as JSON Merge Patch (RFC 7386) does it: a field that is named takes
//! the place of its namesake, `null` takes it away. Whether the result is sound is [`Files::compile`]'s to say.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::Files;
use super::fault::{Faults, Sheet, nearest};
use super::tree;
use crate::event::Source;

/// Rules by id or messages by name, and what is otherwise in each.
pub(crate) type Otherwise = Map<String, Json>;

/// Why something cannot be otherwise: the fact, and what to do.
pub(crate) type NoSuch = (String, String);

// === impl Files ===

impl Files {
    /// These files with other rules and messages.
    pub(crate) fn amended(&self, rules: &Otherwise, messages: &Otherwise) -> Result<Self, Vec<NoSuch>> {
        let mut files = self.clone();
        let faults: Vec<NoSuch> = [
            amend(&mut files.rules, rules, Sheets::rule),
            amend(&mut files.texts, messages, Sheets::message),
        ]
        .into_iter()
        .flatten()
        .collect();
        if faults.is_empty() { Ok(files) } else { Err(faults) }
    }

    /// These files with this one in the place of the rules of the same name, or beside them.
    pub(crate) fn with(&self, sheet: Arc<Sheet>) -> Self {
        let mut files = self.clone();
        match files.rules.iter_mut().find(|known| known.name() == sheet.name()) {
            Some(known) => *known = sheet,
            None => files.rules.push(sheet),
        }
        files.rules.sort_by(|one, other| one.name().cmp(other.name()));
        files
    }
}

/// Files as JSON, and which of them have changed.
struct Sheets(Vec<(Json, bool)>);

/// Lays all of `otherwise` over the files; those that are touched become JSON, which is YAML.
fn amend(
    sheets: &mut [Arc<Sheet>],
    otherwise: &Otherwise,
    lay: fn(&mut Sheets, &str, &Json) -> Result<(), NoSuch>,
) -> Vec<NoSuch> {
    if otherwise.is_empty() {
        return Vec::new();
    }
    let read = |sheet: &Arc<Sheet>| {
        let node = tree::parse(sheet, &mut Faults::default());
        (node.map(|node| node.plain()).unwrap_or_default(), false)
    };
    let mut texts = Sheets(sheets.iter().map(read).collect());
    let faults = otherwise.iter().filter_map(|(name, patch)| lay(&mut texts, name, patch).err()).collect();
    for (sheet, (text, _)) in sheets.iter_mut().zip(&texts.0).filter(|(_, (_, changed))| *changed) {
        *sheet = Arc::new(Sheet { path: sheet.path.clone(), text: format!("{text:#}\n") });
    }
    faults
}

// === impl Sheets ===

impl Sheets {
    fn rule(&mut self, id: &str, patch: &Json) -> Result<(), NoSuch> {
        let is_it = |rule: &Json| rule["id"] == id;
        for (file, changed) in &mut self.0 {
            let Some(rules) = file.get_mut("rules").and_then(Json::as_array_mut) else { continue };
            let Some(at) = rules.iter().position(is_it) else { continue };
            *changed = true;
            match patch {
                Json::Null => drop(rules.remove(at)),
                patch => merge(&mut rules[at], patch),
            }
            return Ok(());
        }
        self.new_rule(id, patch)
    }

    /// A rule that was not there stands with the others of its source.
    fn new_rule(&mut self, id: &str, patch: &Json) -> Result<(), NoSuch> {
        let kind = &patch["match"]["kind"];
        let source = kind.as_str().or_else(|| kind[0].as_str()).and_then(Source::of_kind);
        let of_source = |file: &&mut (Json, bool)| source.is_some_and(|of| file.0["source"] == of.as_str());
        let file = self.0.iter_mut().find(of_source);
        let rules = file.and_then(|(file, changed)| Some((file.get_mut("rules")?.as_array_mut()?, changed)));
        if let Some((rules, changed)) = rules {
            let mut rule = json!({ "id": id });
            merge(&mut rule, patch);
            rules.push(rule);
            *changed = true;
            return Ok(());
        }
        let rules = self.0.iter().filter_map(|(file, _)| file["rules"].as_array()).flatten();
        let ids: Vec<&str> = rules.filter_map(|rule| rule["id"].as_str()).collect();
        let hint = match nearest(id, ids.iter().copied()) {
            Some(near) => format!("write `{near}`"),
            None => "a new rule needs a `match` with a kind of a source that has rules already".to_owned(),
        };
        Err((format!("no rule is called `{id}`"), hint))
    }

    fn message(&mut self, name: &str, patch: &Json) -> Result<(), NoSuch> {
        let known = self.0.iter().position(|(file, _)| file.get(name).is_some());
        let (file, changed) = match known {
            Some(at) => &mut self.0[at],
            None => self.0.last_mut().ok_or_else(|| {
                (format!("no message is called `{name}`"), "add a file to the folder `messages`".to_owned())
            })?,
        };
        merge(file, &json!({ name: patch }));
        *changed = true;
        Ok(())
    }
}

/// RFC 7386.
fn merge(into: &mut Json, patch: &Json) {
    let Json::Object(patch) = patch else {
        into.clone_from(patch);
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    let Json::Object(into) = into else { return };
    for (name, value) in patch {
        match value {
            Json::Null => drop(into.remove(name)),
            value => merge(into.entry(name.as_str()).or_insert(Json::Null), value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the RFC's appendix, and then some.
    #[test]
    fn what_is_named_takes_the_place_of_its_namesake_and_null_takes_it_away() {
        for (whole, patch, wanted) in [
            (json!({ "a": "b", "c": 1 }), json!({ "a": "c" }), json!({ "a": "c", "c": 1 })),
            (json!({ "a": "b", "c": 1 }), json!({ "a": null }), json!({ "c": 1 })),
            (json!({ "a": ["b"] }), json!({ "a": ["c", "d"] }), json!({ "a": ["c", "d"] })),
            (json!({ "a": { "b": 1 } }), json!({ "a": { "c": 2 } }), json!({ "a": { "b": 1, "c": 2 } })),
            (json!({}), json!({ "a": { "b": { "c": null } } }), json!({ "a": { "b": {} } })),
        ] {
            let mut merged = whole.clone();
            merge(&mut merged, &patch);
            assert_eq!(merged, wanted, "{patch} over {whole}");
        }
    }

    #[test]
    fn files_nobody_changes_stay_as_they_are_written() {
        let sheet = |path: &str, text: &str| Arc::new(Sheet { path: path.to_owned(), text: text.to_owned() });
        let files = Files {
            rules: vec![
                sheet("a/bws.yaml", "source: bws\nrules: []\n"),
                sheet("a/xecm.yaml", "source: xecm\nrules:\n  - { id: one, priority: high }\n"),
            ],
            texts: vec![sheet("a/messages/all.yaml", "one: { en: { title: 'One', body: x } }\n")],
            ..Files::default()
        };
        let rules =
            json!({ "one": { "priority": null }, "two": { "match": { "kind": "bws.task.assigned" } } });
        let texts = json!({ "one": { "en": { "title": "1" } } });
        let (Json::Object(rules), Json::Object(texts)) = (rules, texts) else {
            unreachable!("both are maps")
        };
        let changed = files.amended(&rules, &texts).unwrap();
        let read = |sheet: &Sheet| -> Json { serde_json::from_str(&sheet.text).unwrap() };
        assert_eq!(
            read(&changed.rules[0])["rules"],
            json!([{ "id": "two", "match": { "kind": "bws.task.assigned" } }])
        );
        assert_eq!(read(&changed.rules[1])["rules"], json!([{ "id": "one" }]));
        assert_eq!(read(&changed.texts[0]), json!({ "one": { "en": { "title": "1", "body": "x" } } }));
        let none = files.amended(&Map::new(), &Map::new()).unwrap();
        assert_eq!(none.hash(), files.hash());
        let unknown = Map::from_iter([("on".to_owned(), json!({ "priority": "low" }))]);
        let fault = ("no rule is called `on`".to_owned(), "write `one`".to_owned());
        assert_eq!(files.amended(&unknown, &Map::new()).err(), Some(vec![fault]));
    }
}
