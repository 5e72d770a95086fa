//! File: from the files of `topology/mappings/` to mappings, checked against the kinds they make.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::foreign::Paths;
use crate::event::shape::slot;
use crate::event::{FieldType, Shape, Source, Value};

use super::super::fault::{Faults, Place, Sheet, Spot, nearest};
use super::super::forms::FORMS;
use super::super::kinds::Kinds;
use super::super::reading::{Fields, Reading};
use super::super::rules_file::{check_id, read_source};
use super::super::tree::{self, Branch, Node};
use super::expression::Term;
use super::given::{Given, Kind, Unit};
use super::lower::expression;
use super::{Mapping, Mappings, OfSource, Recipe};

/// Fields that the mapping itself says, or the topic.
const NOT_GIVEN: [&str; 3] = ["source", "kind", "schema"];

/// The mappings of these files; every fault of every mapping noted.
pub(in crate::topology) fn read(sheets: &[Arc<Sheet>], kinds: &Kinds, faults: &mut Faults) -> Mappings {
    let mut reader = Reader { kinds, sources: BTreeMap::new(), ids: BTreeMap::new() };
    sheets.iter().for_each(|sheet| reader.read(sheet, faults));
    let mut mappings = Mappings::default();
    for (source, of) in reader.sources {
        mappings.put(source, of);
    }
    mappings
}

/// The mappings read so far.
struct Reader<'k> {
    kinds: &'k Kinds,
    sources: BTreeMap<Source, OfSource>,
    /// Where each id stands.
    ids: BTreeMap<String, String>,
}

/// A file while it is read: where its paths begin, and whose they are.
struct Scope<'s> {
    kinds: &'s Kinds,
    source: Source,
    root: Vec<String>,
    paths: &'s mut Paths,
}

// === impl Reader ===

impl Reader<'_> {
    /// Reads a file.
    fn read(&mut self, sheet: &Arc<Sheet>, faults: &mut Faults) {
        let Some(node) = tree::parse(sheet, faults) else { return };
        let cx = &mut Reading { sheet: Arc::clone(sheet), faults, forms: FORMS };
        let Some(mut fields) = cx.fields(&node, "a file of mappings") else { return };
        let source = fields.need("source", cx).and_then(|node| read_source(cx, node));
        let root = fields.get("root").and_then(|node| cx.text(node));
        if let Some(root) =
            root.as_ref().filter(|root| root.value.split('.').any(|name| name.trim().is_empty()))
        {
            let fact = format!("`{}` is no path: a name is missing in it", root.value);
            cx.fault(root.at, "bad-path", (fact, "write names with a `.` between them, such as `payload`"));
        }
        let list = fields.need("mappings", cx);
        fields.done(cx);
        let (Some(source), Some(list)) = (source, list) else { return };
        let Branch::List(items) = &list.value else {
            cx.fault(list.at, "wrong-type", ("`mappings` is no list", "start each mapping with `- id:`"));
            return;
        };
        if items.is_empty() {
            cx.fault(
                list.at,
                "empty-list",
                ("there is no mapping in this file", "start each mapping with `- id:`, or remove the file"),
            );
        }
        let root = root.map(|root| root.value.split('.').map(str::to_owned).collect()).unwrap_or_default();
        let of = self.sources.entry(source.value).or_default();
        for item in items {
            let mut scope = Scope {
                kinds: self.kinds,
                source: source.value,
                root: Vec::clone(&root),
                paths: &mut of.paths,
            };
            let Some((id, mapping)) = scope.mapping(cx, item) else { continue };
            if let Some(first) = self.ids.insert(id.value.clone(), mapping.place.clone()) {
                let fact = format!("a second mapping is called `{}`; the first is at {first}", id.value);
                cx.fault(id.at, "duplicate-id", (fact, "give it an id of its own"));
            }
            if let Some(before) = of.list.iter().find(|before| before.when.is_none()) {
                let fact = format!("no payload reaches this mapping: `{}` takes all of them", before.id);
                cx.fault(id.at, "unreachable", (fact, "write it before that one, or give that one a `when`"));
            } else if let Some(before) = of.list.iter().find(|before| before.takes_what(&mapping)) {
                let fact = format!(
                    "no payload reaches this mapping: `{}` has the same `when`, and is asked first",
                    before.id
                );
                cx.fault(id.at, "unreachable", (fact, "give one of the two another `when`"));
            }
            of.list.push(mapping);
        }
    }
}

// === impl Scope ===

impl Scope<'_> {
    fn mapping(&mut self, cx: &mut Reading<'_>, node: &Node) -> Option<(Spot<String>, Mapping)> {
        let mut fields = cx.fields(node, "a mapping")?;
        let id = fields.need("id", cx).and_then(|node| cx.text(node));
        if let Some(id) = &id {
            check_id(cx, id, "mapping");
        }
        // A condition with a fault takes nothing, lest it hide what comes after it.
        let nothing = Term::Fixed(Value::Bool(false));
        let when = fields.get("when").map(|node| self.when(cx, node).unwrap_or(nothing));
        // One that every payload meets is none.
        let when = when.filter(|when| *when != Term::Fixed(Value::Bool(true)));
        let skip = fields.get("skip").map(|node| (node.at, cx.flag(node).unwrap_or(true)));
        let recipe = match skip {
            Some((_, true)) => None,
            Some((at, false)) => {
                cx.fault(at, "wrong-type", ("a mapping that skips nothing", "remove `skip`"));
                None
            }
            None => self.recipe(cx, &mut fields),
        };
        fields.done(cx);
        let id = id?;
        let (line, _) = cx.sheet.position(id.at.start);
        let place = format!("{}:{line}", cx.sheet.path);
        Some((id.clone(), Mapping { id: id.value, place, when, recipe }))
    }

    fn when(&mut self, cx: &mut Reading<'_>, node: &Node) -> Option<Term> {
        let text = cx.text(node)?;
        let term = self.expression(cx, &text)?;
        if let Some(other) = Kind::of(&term).filter(|kind| *kind != Kind::Bool) {
            let fact = format!("{} stands where a truth value should", other.name());
            cx.fault(node.at, "wrong-type", (fact, "compare it with something: `== …`"));
            return None;
        }
        if let Term::Fixed(Value::Bool(truth)) = term {
            let told = match truth {
                true => (
                    "every payload makes this true: the mapping takes all of them",
                    "leave `when` out, or ask something of the payload",
                ),
                false => (
                    "no payload can make this true: the mapping takes none",
                    "compare something of the payload, such as `payload.type == \"order\"`",
                ),
            };
            cx.fault(node.at, "constant", told);
        }
        Some(term)
    }

    fn expression(&mut self, cx: &mut Reading<'_>, text: &Spot<String>) -> Option<Term> {
        match expression(&text.value, (self.paths, &self.root)) {
            Ok(term) => Some(term),
            Err(faults) => {
                for fault in faults {
                    let at = cx.sheet.inside(text, fault.offset, fault.length);
                    cx.fault(at, fault.code, (fault.message, fault.hint));
                }
                None
            }
        }
    }

    fn recipe(&mut self, cx: &mut Reading<'_>, mapping: &mut Fields<'_>) -> Option<Recipe> {
        let kind = mapping.need("kind", cx).and_then(|node| self.kind(cx, node));
        let node = mapping.need("fields", cx);
        let node = node?;
        let fields = cx.fields(node, "`fields`")?;
        let is_known = kind.is_some();
        // Of an unknown kind is checked what holds for any.
        let (kind, shape) = kind
            .unwrap_or_else(|| (Given::fixed(Value::Null, String::new()), self.kinds.any(Some(self.source))));
        let mut recipe = Recipe {
            shape: Arc::clone(&shape),
            kind,
            event_id: Vec::new(),
            fields: Vec::new(),
            extra: Vec::new(),
        };
        for (name, node) in fields.rest() {
            self.field(cx, (name, node), &shape, &mut recipe);
        }
        let given: Vec<&str> = fields.rest().map(|(name, _)| name.value.as_str()).collect();
        if is_known {
            missing(cx, mapping.at, &shape, &given);
        }
        Some(recipe)
    }

    /// The kind, or a table of kinds that have the same fields.
    fn kind(&mut self, cx: &mut Reading<'_>, node: &Node) -> Option<(Given, Arc<Shape>)> {
        let given = match &node.value {
            Branch::Map(_) => self.given(cx, node)?,
            _ => {
                let text = cx.text(node)?;
                Given::fixed(Value::Text(text.value.clone().into()), text.value)
            }
        };
        let fixed = match &given.term {
            Term::Fixed(value) => Some(value),
            _ => None,
        };
        let written = given.table.iter().map(|(_, value)| value).chain(Some(&given.default)).chain(fixed);
        let kinds: Vec<String> = written.filter_map(super::given::as_text).collect();
        if given.table.is_empty() && fixed.is_none() {
            let told = ("which kind it is cannot be told", "add a `table` of kinds to it");
            cx.fault(node.at, "missing-field", told);
            return None;
        }
        let mut shape: Option<Arc<Shape>> = None;
        for kind in kinds {
            let found = self.kinds.shape(&kind).filter(|shape| shape.source == self.source);
            let Some(found) = found else {
                let own = self.kinds.names().filter(|name| Source::of_kind(name) == Some(self.source));
                let hint = nearest(&kind, own).map_or_else(
                    || format!("`bugle schemas example` lists the kinds of {}", self.source),
                    |near| format!("write `{near}`"),
                );
                cx.fault(node.at, "unknown-kind", (format!("{} has no kind `{kind}`", self.source), hint));
                return None;
            };
            if shape.as_ref().is_some_and(|shape| !Arc::ptr_eq(shape, found)) {
                let fact = format!("`{kind}` has other fields than the kinds before it");
                cx.fault(node.at, "other-fields", (fact, "make a mapping of its own for it, with a `when`"));
                return None;
            }
            shape = Some(Arc::clone(found));
        }
        Some((given, shape?))
    }

    fn field(
        &mut self,
        cx: &mut Reading<'_>,
        (name, node): (&Spot<String>, &Node),
        shape: &Shape,
        recipe: &mut Recipe,
    ) {
        if name.value == "event_id" {
            let parts = cx.some(node, |cx, node| self.given(cx, node).map(|given| (node.at, given)));
            for (at, given) in &parts {
                unfit(cx, *at, given, &FieldType::Text);
            }
            if !parts.is_empty() && !parts.iter().any(|(_, given)| given.reads()) {
                let told = (
                    "every payload would have the same event_id, and only the first be news",
                    "name the fields that make it this event: `[payload.id, payload.version]`",
                );
                cx.fault(node.at, "same-id", told);
            }
            recipe.event_id = parts.into_iter().map(|(_, given)| given).collect();
            return;
        }
        if let Some(extra) = name.value.strip_prefix("extra.").filter(|extra| !extra.is_empty()) {
            let Some(given) = self.given(cx, node) else { return };
            unfit(cx, node.at, &given, &FieldType::Text);
            recipe.extra.push((extra.to_owned(), given));
            return;
        }
        let slot = shape.slot(&name.value).filter(|slot| *slot != slot::EXTRA);
        let Some(slot) = slot.filter(|_| !NOT_GIVEN.contains(&name.value.as_str())) else {
            unknown(cx, name, shape);
            return;
        };
        let Some(given) = self.given(cx, node) else { return };
        unfit(cx, node.at, &given, &shape.fields[usize::from(slot)].ty);
        recipe.fields.push((slot, given));
    }

    /// An expression, a list of them, a value, or `{ from: …, table: …, unit: …, default: … }`.
    fn given(&mut self, cx: &mut Reading<'_>, node: &Node) -> Option<Given> {
        match &node.value {
            Branch::Map(_) => self.made(cx, node),
            Branch::List(items) => {
                let terms: Vec<_> = items.iter().map(|item| self.given(cx, item)).collect();
                let terms = terms.into_iter().collect::<Option<Vec<_>>>()?;
                let says = terms.iter().map(|given| given.says.clone()).collect::<Vec<_>>().join(", ");
                Some(Given::expression(Term::List(terms.into_iter().map(|given| given.term).collect()), says))
            }
            Branch::Text(_) => {
                let text = cx.text(node)?;
                Some(Given::expression(self.expression(cx, &text)?, text.value))
            }
            _ => {
                let value = constant(cx, node)?;
                let says = super::given::as_text(&value).unwrap_or_default();
                Some(Given::fixed(value, says))
            }
        }
    }

    fn made(&mut self, cx: &mut Reading<'_>, node: &Node) -> Option<Given> {
        let mut fields = cx.fields(node, "a field")?;
        if let Some(value) = fields.get("value") {
            let value = match &value.value {
                Branch::Text(_) => cx.text(value).map(|text| Value::Text(text.value.into())),
                _ => constant(cx, value),
            };
            fields.done(cx);
            return value.map(|value| Given::fixed(value, "value".to_owned()));
        }
        let from = fields.need("from", cx).and_then(|node| cx.text(node));
        let term = from.as_ref().and_then(|text| self.expression(cx, text));
        let table = fields.get("table").and_then(|node| table(cx, node)).unwrap_or_default();
        let unit = fields.get("unit").and_then(|node| cx.word(node, &Unit::WORDS));
        let default = fields.get("default").and_then(|node| constant(cx, node)).unwrap_or(Value::Null);
        fields.done(cx);
        Some(Given { term: term?, table, unit, default, says: from?.value })
    }
}

fn table(cx: &mut Reading<'_>, node: &Node) -> Option<Vec<(String, Value<'static>)>> {
    let lines = cx.fields(node, "`table`")?;
    let lines: Vec<_> =
        lines.rest().filter_map(|(name, node)| Some((name.value.clone(), constant(cx, node)?))).collect();
    if lines.is_empty() {
        cx.fault(node.at, "missing-field", ("the table is empty", "write `{ theirs: ours }`"));
    }
    Some(lines)
}

/// A value that stands in the file.
fn constant(cx: &mut Reading<'_>, node: &Node) -> Option<Value<'static>> {
    Some(match &node.value {
        Branch::Text(text) => Value::Text(text.clone().into()),
        Branch::Whole(number) => Value::Int(*number),
        Branch::Fraction(number) => Value::Double(*number),
        Branch::Flag(flag) => Value::Bool(*flag),
        Branch::List(items) => {
            let items: Vec<_> = items.iter().map(|item| constant(cx, item)).collect();
            Value::List(items.into_iter().collect::<Option<_>>()?)
        }
        Branch::Nothing | Branch::Map(_) => {
            cx.wrong(node, "a value");
            return None;
        }
    })
}

fn unfit(cx: &mut Reading<'_>, at: Place, given: &Given, ty: &FieldType) {
    if let Some(told) = given.unfit(ty) {
        cx.fault(at, "wrong-type", told);
    }
}

fn unknown(cx: &mut Reading<'_>, name: &Spot<String>, shape: &Shape) {
    let kind = shape.kinds.first().map_or("this kind", String::as_str);
    if NOT_GIVEN.contains(&name.value.as_str()) {
        let fact = format!("`{}` is not for a mapping to give", name.value);
        cx.fault(
            name.at,
            "unknown-field",
            (fact, "remove it: the file's `source` and the mapping's `kind` say it"),
        );
        return;
    }
    let known = shape.fields.iter().map(|field| field.path.as_str()).filter(|path| !NOT_GIVEN.contains(path));
    let under = format!("{}.", name.value);
    let hint = match known.clone().find(|path| path.starts_with(&under)) {
        Some(inside) => format!("write its fields one by one: `{inside}`"),
        None => match nearest(&name.value, known) {
            Some(near) => format!("write `{near}`"),
            None => format!(
                "write `extra.{}`, or see the fields of {} in schemas/{}.avsc",
                name.value, shape.data, shape.source
            ),
        },
    };
    cx.fault(name.at, "unknown-field", (format!("`{kind}` has no field `{}`", name.value), hint));
}

/// Notes every field a change of this shape must have and is not given.
fn missing(cx: &mut Reading<'_>, at: Place, shape: &Shape, given: &[&str]) {
    let must = |path: &str| !NOT_GIVEN.contains(&path) && !given.contains(&path);
    let lacking: Vec<String> = shape
        .fields
        .iter()
        .filter(|field| !field.optional && field.default.is_none() && must(&field.path))
        .map(|field| format!("`{}`", field.path))
        .collect();
    if !lacking.is_empty() {
        let kind = shape.kinds.first().map_or("", String::as_str);
        let fact = format!("a change of `{kind}` must have {}", lacking.join(", "));
        cx.fault(at, "missing-field", (fact, "give it under `fields`"));
    }
}
