//! Filters: how times and numbers are shown to a reader, in their zone and by their locale.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use jiff::civil;
use jiff::tz::TimeZone;
use minijinja::value::{Kwargs, Object, ObjectRepr};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior};

use super::Reader;
use super::habits::Habits;
use super::plural::plural;
use crate::event::{Timestamp, Value};

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
    /// How many days there are from today to the day of a time.
    Days,
    /// A number with its thousands set apart.
    Number,
}

/// A time or day inside a template.
#[derive(Debug)]
struct Moment(Value<'static>);

/// The most steps of one template; a loop over a long list ends in a fault instead of a stuck lane.
const FUEL: u64 = 20_000;

// === impl Show ===

impl Show {
    /// The filters by name.
    pub(super) const FILTERS: [(&'static str, Self); 5] = [
        ("date", Self::Date),
        ("time", Self::Time),
        ("datetime", Self::DateTime),
        ("days", Self::Days),
        ("number", Self::Number),
    ];

    /// Whether it needs to know where the reader is.
    pub(super) const fn is_zoned(self) -> bool {
        matches!(self, Self::Date | Self::Time | Self::DateTime | Self::Days)
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
            (Self::Number, Value::Int(number)) => Some(reader.habits().grouped(&number.to_string())),
            (Self::Number, Value::Double(number)) => Some(reader.habits().grouped(&format!("{number:.2}"))),
            (Self::Date | Self::DateTime, Value::Date(days)) => {
                Some(day(*days)?.strftime(reader.habits().day).to_string())
            }
            (Self::Date, Value::Time(at)) => {
                Some(reader.clock(*at)?.strftime(reader.habits().day).to_string())
            }
            (Self::Time, Value::Time(at)) => {
                Some(reader.clock(*at)?.strftime(reader.habits().hour).to_string())
            }
            (Self::DateTime, Value::Time(at)) => {
                let Habits { day, hour, .. } = reader.habits();
                Some(reader.clock(*at)?.strftime(&format!("{day}, {hour}")).to_string())
            }
            (Self::Days, Value::Date(_) | Value::Time(_)) => Some(reader.days_to(value)?.to_string()),
            _ => None,
        }
    }
}

fn day(days: i32) -> Option<civil::Date> {
    civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(days).ok()?).ok()
}

// === impl Reader ===

impl Reader<'_> {
    fn habits(&self) -> Habits {
        Habits::of(self.locale)
    }

    /// What the reader's calendar and clock show at a time. An unknown zone counts as UTC.
    fn clock(&self, at: Timestamp) -> Option<civil::DateTime> {
        let at = jiff::Timestamp::from_millisecond(at.millis()).ok()?;
        let zone = TimeZone::get(self.zone).unwrap_or(TimeZone::UTC);
        Some(zone.to_datetime(at))
    }

    /// Days from the reader's today; negative for those gone by.
    fn days_to(&self, value: &Value<'_>) -> Option<i32> {
        let to = match value {
            Value::Date(days) => day(*days)?,
            Value::Time(at) => self.clock(*at)?.date(),
            _ => return None,
        };
        Some(self.clock(self.now)?.date().until(to).ok()?.get_days())
    }
}

// === impl Moment ===

impl Object for Moment {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Show::Plain.made(&self.0, Reader::default()).unwrap_or_default())
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

/// The names that what a filter must know of the reader goes by while a template runs.
pub(super) const READER: [&str; 3] = ["reader_locale", "reader_zone", "reader_now"];

/// An environment with our filters, strict about what is undefined.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    for (name, show) in Show::FILTERS {
        environment.add_filter(name, move |state: &State<'_, '_>, value: minijinja::Value| {
            let [locale, zone] = [READER[0], READER[1]].map(|name| known(state, name));
            let now = state.lookup(READER[2]).and_then(|now| now.as_i64()).unwrap_or_default();
            let now = Timestamp::from_millis(now);
            let reader = Reader { locale: &locale, zone: &zone, now, ..Reader::default() };
            let value = from_template(&value);
            let shown = match show {
                // Counted on with, where texts are shown.
                Show::Days => value.and_then(|value| reader.days_to(&value)).map(minijinja::Value::from),
                _ => value.and_then(|value| show.made(&value, reader)).map(minijinja::Value::from),
            };
            shown.ok_or_else(|| {
                let wanted = if show == Show::Number { "a number" } else { "a time" };
                Error::new(ErrorKind::InvalidOperation, format!("`{name}` needs {wanted}"))
            })
        });
    }
    environment.add_filter("plural", |state: &State<'_, '_>, number: minijinja::Value, forms: Kwargs| {
        plural(&number, &forms, &known(state, READER[0]))
    });
    environment
}

fn known(state: &State<'_, '_>, name: &str) -> String {
    state.lookup(name).map(|value| value.to_string()).unwrap_or_default()
}
