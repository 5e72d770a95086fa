//! Check: a message against the fields of every kind that uses it, before any event comes.
//!
//! Plain fields are compared by type; everything else is rendered once with every field there and once
//! with every optional field absent. A message that passes cannot fail for want of a field.

use crate::event::{Field, FieldType, Shape, Timestamp, Value};

use super::super::fault::{Faults, Place, nearest};
use super::super::kinds::type_name;
use super::cut::{Cut, Fill, Insert, Part};
use super::filters::Show;
use super::{ANSWER, Message, Reader, plural};

/// Notes what `message` asks of `shape` in vain.
pub(crate) fn check(message: &Message, shape: &Shape, faults: &mut Faults) {
    if !message.is_sound {
        return;
    }
    for cut in message.cuts.iter().flat_map(|cut| std::iter::once(cut).chain(cut.several.as_deref())) {
        for insert in &cut.inserts {
            let before = faults.len();
            match &insert.fill {
                Fill::Field { path, show, default } => {
                    field(message, (cut, insert), (path, *show, default.is_some()), (shape, faults));
                }
                Fill::Template => {
                    names(message, (cut, insert), shape, faults);
                    if faults.len() == before {
                        samples(message, (cut, insert), shape, faults);
                    }
                }
            }
        }
    }
}

/// Where `word` stands in an insert; all of the insert when it does not.
fn place(message: &Message, (cut, insert): (&Cut, &Insert), word: &str) -> Place {
    let Some(line) = cut.lines.iter().find(|line| line.part == insert.part) else { return message.name.at };
    match insert.source.find(word) {
        Some(at) => message.sheet.inside(&line.source, insert.offset + at, word.len()),
        None => message.sheet.inside(&line.source, insert.offset, insert.source.len()),
    }
}

fn unknown(message: &Message, at: Place, (path, shape): (&str, &Shape), faults: &mut Faults) {
    let kind = shape.kinds.first().map_or("this kind", String::as_str);
    let hint = match nearest(path, shape.fields.iter().map(|field| field.path.as_str())) {
        Some(near) => format!("write `event.{near}`"),
        None => format!("see the fields of {} in schemas/{}.avsc", shape.data, shape.source),
    };
    faults.add(&message.sheet, at, "unknown-variable", (format!("`{kind}` has no field `{path}`"), hint));
}

fn field(
    message: &Message,
    (cut, insert): (&Cut, &Insert),
    (path, show, has_default): (&str, Show, bool),
    (shape, faults): (&Shape, &mut Faults),
) {
    let written = format!("event.{path}");
    let at = place(message, (cut, insert), &written);
    let Some(field) = shape.field(path) else {
        unknown(message, at, (path, shape), faults);
        return;
    };
    let told = match (show, &field.ty) {
        (Show::Plain, FieldType::Time) => Some(format!("write `{written} | datetime`, `| date` or `| time`")),
        (Show::Plain, FieldType::Date) => Some(format!("write `{written} | date`")),
        (Show::Plain, FieldType::Records(_) | FieldType::Map) => {
            Some(format!("write `{{% for one in {written} %}}…{{% endfor %}}`"))
        }
        (Show::Plain, _)
        | (Show::Number, FieldType::Int | FieldType::Double)
        | (Show::Date | Show::DateTime | Show::Days, FieldType::Time | FieldType::Date)
        | (Show::Time, FieldType::Time) => None,
        _ => Some(format!("write `{written}` without the filter")),
    };
    if let Some(hint) = told {
        let fact = format!("`{written}` is {} and cannot be shown like this", type_name(&field.ty));
        faults.add(&message.sheet, at, "wrong-type", (fact, hint));
    }
    if field.optional && !has_default && insert.part != Part::Link {
        let fact = format!("`{written}` may be absent");
        let hint = format!(
            "write `{written} | default(\"…\")`, or put it into `{{% if {written} %}}…{{% endif %}}`"
        );
        faults.add(&message.sheet, at, "may-be-absent", (fact, hint));
    }
}

fn names(message: &Message, (cut, insert): (&Cut, &Insert), shape: &Shape, faults: &mut Faults) {
    let Ok(template) = cut.environment.get_template(&insert.source) else { return };
    let mut names: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    names.sort();
    for name in names {
        let Some(path) = name.strip_prefix("event.") else { continue };
        let is_entry = path
            .split_once('.')
            .and_then(|(map, _)| shape.field(map))
            .is_some_and(|field| field.ty == FieldType::Map);
        if !is_entry && shape.field(path).is_none() {
            unknown(message, place(message, (cut, insert), &name), (path, shape), faults);
        }
    }
}

fn samples(message: &Message, (cut, insert): (&Cut, &Insert), shape: &Shape, faults: &mut Faults) {
    let reader = Reader { locale: &cut.locale, zone: "Europe/Berlin", count: 3, ..Reader::default() };
    for (has_all, code) in [(true, "bad-template"), (false, "may-be-absent")] {
        let values: Vec<(&str, Value<'_>)> = cut
            .variables
            .iter()
            .filter_map(|path| match ANSWER.contains(&path.as_str()) {
                // A matter may also close without an answer.
                true => has_all.then(|| (path.as_str(), Value::Text("Sample".into()))),
                false => Some((path.as_str(), sample(shape.field(path)?, has_all))),
            })
            .collect();
        let context = cut.context(&values, reader);
        let rendered =
            cut.environment.get_template(&insert.source).and_then(|template| template.render(context));
        let error = match rendered {
            Err(error) => error,
            Ok(text) => {
                let is_whole = cut.lines.iter().any(|line| line.source.value == insert.source);
                if cut.variables.is_empty() && is_whole && text.trim().is_empty() {
                    let at = place(message, (cut, insert), &insert.source);
                    let told = ("this text is always empty", "write a text, or a field of the event");
                    faults.add(&message.sheet, at, "empty-text", told);
                }
                continue;
            }
        };
        let range = error.range().unwrap_or(0..insert.source.len());
        let word = insert.source.get(range).unwrap_or_default();
        let said = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        let (code, fact, hint) = match has_all {
            // Which forms there are does not depend on which fields.
            _ if said.starts_with("`plural` needs") => (
                "plural-form",
                said,
                "give it a number: `event.count | plural(…)`, or of a list `event.names | length | plural(…)`".to_owned(),
            ),
            _ if said.starts_with("`plural`") => ("plural-form", said, plural::example(&cut.locale)),
            true => (
                code,
                format!("this text cannot be written: {said}"),
                "filters are `date`, `time`, `datetime`, `days`, `number`, `plural`, `default` and those of minijinja"
                    .to_owned(),
            ),
            false => (
                code,
                format!("this text cannot be written without its optional fields: {said}"),
                "write `| default(\"…\")` or `{% if event.field %}…{% endif %}`".to_owned(),
            ),
        };
        faults.add(&message.sheet, place(message, (cut, insert), word), code, (fact, hint));
        return;
    }
}

fn sample(field: &Field, has_all: bool) -> Value<'_> {
    if field.optional && !has_all {
        return Value::Null;
    }
    let text = || Value::Text("Sample".into());
    match &field.ty {
        FieldType::Bool => Value::Bool(true),
        FieldType::Int => Value::Int(3),
        FieldType::Double => Value::Double(1.5),
        FieldType::Text => text(),
        FieldType::Symbol(names) => names.first().map_or(Value::Null, |name| Value::Text(name.into())),
        FieldType::Time => Value::Time(Timestamp::from_millis(1_767_603_600_000)),
        FieldType::Date => Value::Date(20_458),
        FieldType::Texts if has_all => Value::List(vec![text(), text()]),
        FieldType::Records(fields) if has_all => {
            let named =
                fields.iter().map(|field| (field.path.as_str().into(), sample(field, has_all))).collect();
            Value::List(vec![Value::Named(named)])
        }
        FieldType::Texts | FieldType::Records(_) => Value::List(Vec::new()),
        FieldType::Map => Value::Named(Vec::new()),
    }
}
