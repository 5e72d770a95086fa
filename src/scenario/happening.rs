//! Happening: an event of a scenario: the example of its kind, with what the scenario says otherwise.

use serde_json::{Map, Value as Json};

use crate::codec::{Name, example, json};
use crate::event::{FieldType, Shape, Source, Span, Timestamp};
use crate::topology::fault::{Place, Spot, nearest};
use crate::topology::reading::Reading;
use crate::topology::tree::{Branch, Node};

use super::Ground;
use super::moment::{Clock, WANTED};
use super::read::Cast;

/// An event as a scenario says it.
pub(super) struct Happening<'n> {
    /// Its kind.
    pub(super) kind: Spot<String>,
    /// What differs from the example, by field path.
    pub(super) with: Vec<(String, &'n Node)>,
    /// Where it stands.
    pub(super) at: Place,
}

// === impl Happening ===

impl<'n> Happening<'n> {
    /// Reads the kind and what differs from its example.
    pub(super) fn read(
        cx: &mut Reading<'_>,
        kind: &Node,
        with: Option<&'n Node>,
        ground: Ground<'_>,
    ) -> Option<Self> {
        let at = kind.at;
        let kind = cx.text(kind)?;
        let Some(shape) = ground.schemas.shape(&kind.value) else {
            let kinds = Source::ALL.into_iter().flat_map(|source| ground.schemas.kinds(source));
            let hint = nearest(&kind.value, kinds).map_or_else(
                || "`bugle schemas example` lists all kinds".to_owned(),
                |near| format!("write `{near}`"),
            );
            cx.fault(kind.at, "unknown-kind", (format!("`{}` is no kind", kind.value), hint));
            return None;
        };
        let mut fields = Vec::new();
        if let Some(with) = with {
            flatten(cx, with, "", shape, &mut fields);
        }
        Some(Self { kind, with: fields, at })
    }

    /// The event, happening at `now`, as it lies in its topic.
    pub(super) fn record(
        &self,
        cx: &mut Reading<'_>,
        (now, number): (Timestamp, u32),
        clock: &Clock,
        cast: &Cast<'_>,
    ) -> Option<(Source, Vec<u8>)> {
        let ground = cast.ground;
        let shape = ground.schemas.shape(&self.kind.value)?;
        let mut event = example::event(ground.schemas, &self.kind.value, now)?;
        let above = ground.schemas.reader(Name::Events(shape.source)).map_or(0, |reader| reader.fields.len());
        put(&mut event, "event_id", Json::String(format!("e{number}")));
        put(&mut event, "tenant", Json::String(cast.tenant.clone()));
        for (path, node) in &self.with {
            let value = match shape.field(path).map(|field| &field.ty) {
                Some(_) if path == "tenant" => Json::String(cast.at_home(&cx.text(node)?.value)),
                Some(ty) => value(cx, node, ty, (now, clock))?,
                // A whole record that is not there.
                None => Json::Null,
            };
            let inside = |slot: u16| usize::from(slot) >= above;
            let first = shape.fields.iter().position(|field| field.path.starts_with(&format!("{path}.")));
            let of_data = shape.slot(path).map_or_else(|| first.is_some_and(|at| at >= above), inside);
            match (of_data, event.get_mut("data")) {
                (true, Some(data)) => put(data, path, value),
                _ => put(&mut event, path, value),
            }
        }
        match json::to_avro(ground.schemas, &event) {
            Ok(written) => Some((shape.source, written.framed(Name::Events(shape.source).local_id()))),
            Err(fault) => {
                let hint = format!("compare it with `bugle schemas example {}`", self.kind.value);
                cx.fault(self.at, "bad-event", (format!("this is no event: {fault}"), hint));
                None
            }
        }
    }
}

/// The fields a map names, in full. A field may be written in full or in its record, with `data` or without.
fn flatten<'n>(
    cx: &mut Reading<'_>,
    node: &'n Node,
    before: &str,
    shape: &Shape,
    out: &mut Vec<(String, &'n Node)>,
) {
    let Branch::Map(entries) = &node.value else {
        cx.wrong(node, "a map of fields and their values");
        return;
    };
    for (key, value) in entries {
        let path = match before {
            "" if key.value == "data" => String::new(),
            "" => key.value.clone(),
            before => format!("{before}.{}", key.value),
        };
        let is_record = shape.fields.iter().any(|field| field.path.starts_with(&format!("{path}.")));
        if shape.slot(&path).is_some() || (is_record && value.value == Branch::Nothing) {
            out.push((path, value));
        } else if path.is_empty() || is_record {
            flatten(cx, value, &path, shape, out);
        } else {
            let known = shape.fields.iter().map(|field| field.path.as_str());
            let kind = shape.kinds.first().map_or("", String::as_str);
            let hint = match nearest(&path, known) {
                Some(near) => format!("write `{near}`"),
                None => format!("`bugle schemas example {kind}` shows its fields"),
            };
            cx.fault(key.at, "unknown-field", (format!("an event like this has no field `{path}`"), hint));
        }
    }
}

fn value(
    cx: &mut Reading<'_>,
    node: &Node,
    ty: &FieldType,
    (now, clock): (Timestamp, &Clock),
) -> Option<Json> {
    let text = match &node.value {
        Branch::Text(text) => text.trim(),
        _ => return Some(node.plain()),
    };
    let distance = || {
        let (sign, rest) =
            text.strip_prefix('+').map(|rest| (1, rest)).or(text.strip_prefix('-').map(|rest| (-1, rest)))?;
        rest.trim().parse::<Span>().ok().map(|span| Span::from_millis(sign * span.millis()))
    };
    let read = match ty {
        FieldType::Time => distance().map(|by| now + by).or_else(|| clock.read(text, Some(now))),
        FieldType::Date => match distance().map(|by| clock.day(now, by)) {
            Some(day) => return day.map(Json::String),
            None => return Some(node.plain()),
        },
        _ => return Some(node.plain()),
    };
    if read.is_none() {
        let hint = format!("write {WANTED}, or a distance such as `+4h`");
        cx.fault(node.at, "bad-time", (format!("`{text}` is no time"), hint));
    }
    read.map(|at| Json::String(at.to_string()))
}

fn put(into: &mut Json, path: &str, value: Json) {
    let Json::Object(object) = into else { return };
    match path.split_once('.') {
        None => drop(object.insert(path.to_owned(), value)),
        Some((first, rest)) => {
            let inner = object.entry(first).or_insert_with(|| Json::Object(Map::new()));
            if !inner.is_object() {
                *inner = Json::Object(Map::new());
            }
            put(inner, rest, value);
        }
    }
}
