//! Filters: how times and numbers are shown to a reader, in their zone and by their locale.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use jiff::civil;
use jiff::tz::TimeZone;
use minijinja::value::{Object, ObjectRepr};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior};

use crate::event::Value;

/// How a value is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// As it is.
    Plain,
    /// The day of a time.
    Date,
    /// The hour and minute of a time.
    Time,
    /// Both.
    DateTime,
    /// A number with its thousands set apart.
    Number,
}

/// Whom something is shown to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'r> {
    /// BCP 47.
    pub(super) locale: &'r str,
    /// IANA name; an unknown one counts as UTC.
    pub(super) zone: &'r str,
}

/// A time or day inside a template.
#[derive(Debug)]
struct Moment(Value<'static>);

/// The most steps of one template; a loop over a long list ends in a fault instead of a stuck lane.
const FUEL: u64 = 20_000;

// === impl Show ===

impl Show {
    /// The filters by name.
    pub(super) const FILTERS: [(&'static str, Self); 4] =
        [("date", Self::Date), ("time", Self::Time), ("datetime", Self::DateTime), ("number", Self::Number)];

    /// Whether it needs to know where the reader is.
    pub(super) const fn is_zoned(self) -> bool {
        matches!(self, Self::Date | Self::Time | Self::DateTime)
    }

    /// The text of a value; `None` when it cannot be shown like this.
    pub(super) fn text<'v>(self, value: &'v Value<'_>, reader: Reader<'_>) -> Option<Cow<'v, str>> {
        match (self, value) {
            (Self::Plain, Value::Text(text)) => Some(Cow::Borrowed(text)),
            _ => self.made(value, reader).map(Cow::Owned),
        }
    }

    fn made(self, value: &Value<'_>, reader: Reader<'_>) -> Option<String> {
        match (self, value) {
            (Self::Plain, Value::Bool(truth)) => Some(truth.to_string()),
            (Self::Plain, Value::Int(number)) => Some(number.to_string()),
            (Self::Plain, Value::Double(number)) => Some(number.to_string()),
            (Self::Plain, Value::Time(at)) => Some(at.to_string()),
            (Self::Plain, Value::Date(days)) => Some(day(*days)?.to_string()),
            (Self::Plain, Value::List(items)) => {
                let texts: Option<Vec<_>> = items.iter().map(|item| self.text(item, reader)).collect();
                texts.map(|texts| texts.join(", "))
            }
            (Self::Number, Value::Int(number)) => Some(grouped(&number.to_string(), reader.locale)),
            (Self::Number, Value::Double(number)) => Some(grouped(&format!("{number:.2}"), reader.locale)),
            (Self::Date | Self::DateTime, Value::Date(days)) => {
                Some(day(*days)?.strftime(date_form(reader.locale)).to_string())
            }
            (Self::Date, Value::Time(_)) => zoned(value, reader, date_form(reader.locale)),
            (Self::Time, Value::Time(_)) => zoned(value, reader, "%H:%M"),
            (Self::DateTime, Value::Time(_)) => {
                zoned(value, reader, &format!("{}, %H:%M", date_form(reader.locale)))
            }
            _ => None,
        }
    }
}

fn zoned(value: &Value<'_>, reader: Reader<'_>, form: &str) -> Option<String> {
    let Value::Time(at) = value else { return None };
    let at = jiff::Timestamp::from_millisecond(at.millis()).ok()?;
    let zone = TimeZone::get(reader.zone).unwrap_or(TimeZone::UTC);
    Some(at.to_zoned_datetime(zone).strftime(form).to_string())
}

fn day(days: i32) -> Option<civil::Date> {
    civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(days).ok()?).ok()
}

fn date_form(locale: &str) -> &'static str {
    match locale.split(['-', '_']).next() {
        Some("en") => "%-d %b %Y",
        Some("de") => "%d.%m.%Y",
        _ => "%Y-%m-%d",
    }
}

fn grouped(number: &str, locale: &str) -> String {
    let (group, point) = match locale.split(['-', '_']).next() {
        Some("de") => ('.', ','),
        _ => (',', '.'),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut out = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(group);
        }
        out.push(digit);
    }
    if !fraction.is_empty() {
        out.push(point);
        out.push_str(fraction);
    }
    out
}

// === impl Moment ===

impl Object for Moment {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Show::Plain.text(&self.0, Reader { locale: "en", zone: "UTC" }).unwrap_or_default())
    }
}

/// A value as templates see it. What is absent is undefined, so that printing it is a fault.
pub(super) fn to_template(value: &Value<'_>) -> minijinja::Value {
    match value {
        Value::Null => minijinja::Value::UNDEFINED,
        Value::Bool(truth) => (*truth).into(),
        Value::Int(number) => (*number).into(),
        Value::Double(number) => (*number).into(),
        Value::Text(text) => (**text).into(),
        Value::Time(at) => minijinja::Value::from_object(Moment(Value::Time(*at))),
        Value::Date(days) => minijinja::Value::from_object(Moment(Value::Date(*days))),
        Value::List(items) => items.iter().map(to_template).collect(),
        Value::Named(entries) => minijinja::Value::from_pairs(
            entries.iter().map(|(name, value)| (name.to_string(), to_template(value))),
        ),
    }
}

fn from_template(value: &minijinja::Value) -> Option<Value<'static>> {
    if let Some(moment) = value.downcast_object_ref::<Moment>() {
        return Some(moment.0.clone());
    }
    match value.kind() {
        minijinja::value::ValueKind::Number => match value.as_i64() {
            Some(whole) => Some(Value::Int(whole)),
            None => f64::try_from(value.clone()).ok().map(Value::Double),
        },
        _ => None,
    }
}

/// The name the reader's locale and zone go by while a template runs.
pub(super) const READER: [&str; 2] = ["reader_locale", "reader_zone"];

/// An environment with our filters, strict about what is undefined.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    for (name, show) in Show::FILTERS {
        environment.add_filter(name, move |state: &State<'_, '_>, value: minijinja::Value| {
            let known = |name: &str| state.lookup(name).map(|value| value.to_string()).unwrap_or_default();
            let (locale, zone) = (known(READER[0]), known(READER[1]));
            let reader = Reader { locale: &locale, zone: &zone };
            from_template(&value).and_then(|value| show.made(&value, reader)).ok_or_else(|| {
                let wanted = if show == Show::Number { "a number" } else { "a time" };
                Error::new(ErrorKind::InvalidOperation, format!("`{name}` needs {wanted}"))
            })
        });
    }
    environment
}
