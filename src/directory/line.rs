//! Line: one person as a line of `people.jsonl` has them.
//!
//! What is absent is empty; what has a name nobody knows is refused.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::load::{bound, hour, list, zone};
use crate::event::Person;
use crate::event::person::Location;

/// A line of `people.jsonl`; what is absent is empty, and a person is active unless it says otherwise.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    #[serde(default)]
    tenant: String,
    user_id: String,
    #[serde(default = "yes")]
    active: bool,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    location: Levels,
    #[serde(default)]
    business_unit: UnitPath,
    #[serde(default)]
    manager: Option<String>,
    #[serde(default)]
    deputies: Vec<String>,
    #[serde(default)]
    absent: bool,
    #[serde(default, deserialize_with = "a_bound")]
    absent_from: Option<String>,
    #[serde(default, deserialize_with = "a_bound")]
    absent_until: Option<String>,
    #[serde(default)]
    locale: Option<String>,
    #[serde(default, deserialize_with = "a_zone")]
    zone: Option<String>,
    #[serde(default)]
    party: Option<String>,
    #[serde(default)]
    channels: Vec<String>,
    #[serde(default, deserialize_with = "a_zone")]
    device_zone: Option<String>,
    #[serde(default, deserialize_with = "an_hour")]
    quiet_from: Option<String>,
    #[serde(default, deserialize_with = "an_hour")]
    quiet_to: Option<String>,
    #[serde(default)]
    muted: Vec<String>,
    #[serde(default)]
    known_as: Vec<String>,
}

/// An hour of the day, as text.
fn an_hour<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(from)?.filter(|text| !text.trim().is_empty());
    hour(text).map_err(|(fault, hint)| D::Error::custom(format!("{fault}; {hint}")))
}

/// A time zone, by its name.
fn a_zone<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(from)?.map(|text| text.trim().to_owned());
    let text = text.filter(|text| !text.is_empty());
    zone(text).map_err(|(fault, hint)| D::Error::custom(format!("{fault}; {hint}")))
}

/// A bound of an absence, as text.
fn a_bound<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(from)?.filter(|text| !text.trim().is_empty());
    bound(text).map_err(|(fault, hint)| D::Error::custom(format!("{fault}; {hint}")))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Levels {
    site: Option<String>,
    locality: Option<String>,
    region: Option<String>,
    country: Option<String>,
}

/// `"EMEA/EMEA Sales"`, or the levels one by one.
#[derive(Deserialize)]
#[serde(untagged)]
enum UnitPath {
    Path(String),
    Levels(Vec<String>),
}

// === impl UnitPath ===

impl Default for UnitPath {
    fn default() -> Self {
        Self::Levels(Vec::new())
    }
}

fn yes() -> bool {
    true
}

impl From<Line> for Person {
    fn from(line: Line) -> Self {
        let text = |text: String| text.trim().to_owned();
        let one =
            |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let many = |texts: Vec<String>| texts.iter().flat_map(|text| list(text, ';')).collect();
        let Levels { site, locality, region, country } = line.location;
        Self {
            tenant: text(line.tenant),
            user_id: text(line.user_id),
            active: line.active,
            display_name: one(line.display_name),
            roles: many(line.roles),
            location: Location {
                site: one(site),
                locality: one(locality),
                region: one(region),
                country: one(country),
            },
            business_unit: match line.business_unit {
                UnitPath::Path(path) => list(&path, '/'),
                UnitPath::Levels(levels) => {
                    levels.into_iter().map(text).filter(|level| !level.is_empty()).collect()
                }
            },
            manager: one(line.manager),
            deputies: many(line.deputies),
            absent: line.absent,
            locale: one(line.locale),
            zone: one(line.zone),
            party: one(line.party),
            channels: many(line.channels),
            device_zone: one(line.device_zone),
            quiet_from: one(line.quiet_from),
            quiet_to: one(line.quiet_to),
            muted: many(line.muted),
            absent_from: one(line.absent_from),
            absent_until: one(line.absent_until),
            known_as: many(line.known_as),
        }
    }
}
