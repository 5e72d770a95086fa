//! Reload: the rules that a step puts in force: another folder's, another file's, or some of them otherwise.
//!
//! They are checked as a running instance checks what it is to publish: a scenario whose reload would be refused is
//! a fault where it stands.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::event::Source;
use crate::topology::fault::Sheet;
use crate::topology::reading::Reading;
use crate::topology::tree::{Branch, Node};
use crate::topology::{Fault, Files, Kinds, Otherwise, Topology};

use super::read::Cast;

const WANTED: &str = "a folder or file with rules, or `{ rules: { ID: … } }`";

/// `topology: new-rules`, or `topology: { rules: { ec-3-sla: { priority: low } }, messages: { … } }`.
pub(super) fn read(cx: &mut Reading<'_>, node: &Node, cast: &mut Cast<'_>) -> Option<Arc<Topology>> {
    let old = cast.topology();
    let files = match node.value {
        Branch::Map(_) => otherwise(cx, node, &old.files)?,
        Branch::Text(_) => beside(cx, node, (&cast.folder, &old.files))?,
        _ => {
            cx.wrong(node, WANTED);
            return None;
        }
    };
    let schemas = cast.ground.schemas;
    let kinds = Kinds::new(Source::ALL.into_iter().flat_map(|source| schemas.shapes(source).to_vec()));
    let checked = files.compile(&kinds).and_then(|new| match new.against(old) {
        orphans if orphans.is_empty() => Ok(new),
        orphans => Err(orphans),
    });
    match checked {
        Ok(mut new) => {
            new.generation = old.generation + 1;
            let new = Arc::new(new.after(old));
            cast.switch(Arc::clone(&new));
            Some(new)
        }
        Err(faults) => {
            faults.iter().for_each(|fault| refused(cx, node, fault));
            None
        }
    }
}

/// A fault of the new rules, told where they are named.
fn refused(cx: &mut Reading<'_>, node: &Node, fault: &Fault) {
    let place = match node.value {
        Branch::Text(_) => format!("{}:{}", fault.file, fault.line),
        // What is laid over a file stands in no line of it.
        _ => fault.file.clone(),
    };
    let fact = format!("these rules would be refused: {place}: {}", fault.message);
    cx.fault(node.at, fault.code, (fact, fault.hint.clone()));
}

/// The rules in force with some of them otherwise.
fn otherwise(cx: &mut Reading<'_>, node: &Node, files: &Files) -> Option<Files> {
    let mut fields = cx.fields(node, "a reload")?;
    let mut map = |name: &'static str, cx: &mut Reading<'_>| {
        let node = fields.get(name)?;
        match node.plain() {
            Json::Object(map) => Some(map),
            _ => {
                cx.wrong(node, "a map by name");
                None
            }
        }
    };
    let (rules, messages): (Option<Otherwise>, Option<Otherwise>) = (map("rules", cx), map("messages", cx));
    fields.done(cx);
    let nothing = rules.is_none() && messages.is_none();
    match files.amended(&rules.unwrap_or_default(), &messages.unwrap_or_default()) {
        _ if nothing => {
            let told = ("nothing is otherwise", "write `rules:` and, under a rule's id, what changes in it");
            cx.fault(node.at, "missing-field", told);
            None
        }
        Ok(files) => Some(files),
        Err(unknown) => {
            unknown.into_iter().for_each(|told| cx.fault(node.at, "unknown-rule", told));
            None
        }
    }
}

/// What lies beside the scenarios: a folder of rules, or a file that takes the place of the one of its name.
fn beside(cx: &mut Reading<'_>, node: &Node, (folder, files): (&Path, &Files)) -> Option<Files> {
    let name = cx.text(node)?.value;
    let path = folder.join(&name);
    if path.is_dir() {
        return Some(Files::read(&path));
    }
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(files.with(Arc::new(Sheet { path: path.display().to_string(), text }))),
        Err(error) => {
            let fact = format!("`{name}` cannot be read: {error}");
            cx.fault(node.at, "unreadable", (fact, format!("name {WANTED}; it lies beside the scenarios")));
            None
        }
    }
}
