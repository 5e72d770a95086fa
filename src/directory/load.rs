//! Load: people from a file, `people.csv` or `people.jsonl`, with every fault of it at once.
//!
//! It publishes nothing; what differs from the topic is `difference`'s question. A file with one fault
//! is not loaded at all: half a directory tells half the people.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::absence::{self, Absence};
use super::line::Line;
use super::zones;
use crate::event::{DayTime, Person};
use csv::{ByteRecord, StringRecord};

/// The columns of `people.csv`, in the order of the documentation; the first two must be there.
pub const COLUMNS: [&str; 24] = [
    "tenant",
    "user_id",
    "active",
    "display_name",
    "roles",
    "site",
    "locality",
    "region",
    "country",
    "business_unit",
    "manager",
    "deputies",
    "absent",
    "absent_from",
    "absent_until",
    "locale",
    "zone",
    "party",
    "channels",
    "device_zone",
    "quiet_from",
    "quiet_to",
    "muted",
    "known_as",
];

/// One thing wrong with a file of people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {place}{message}", file.display())]
pub struct FileFault {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u64,
    /// The column by name and number, with `: ` behind it; empty when the whole line is at fault.
    pub place: String,
    /// The fact; names no person.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// Why a file of people was not read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It could not be opened or read.
    #[error("`{}` cannot be read: {cause}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Its name says neither what it is.
    #[error("`{}` is neither `.csv` nor `.jsonl`", file.display())]
    UnknownKind {
        /// The file.
        file: PathBuf,
    },
    /// It has faults; all of them, in the order of the lines.
    #[error("{} {} in the file of people", .0.len(), if .0.len() == 1 { "fault" } else { "faults" })]
    Faults(Vec<FileFault>),
}

// === impl LoadError ===

impl LoadError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable { .. } => Some("check the path and its permissions"),
            Self::UnknownKind { .. } => Some("name it `people.csv` or `people.jsonl`"),
            Self::Faults(_) => Some("correct these lines; nothing was loaded"),
        }
    }
}

/// Reads the people of a `.csv` or `.jsonl` file. `tenant` stands in where a line names none.
///
/// # Errors
/// [`LoadError`], with every fault of the file.
pub fn read_people(file: &Path, tenant: Option<&str>) -> Result<Vec<Person>, LoadError> {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let parse = match extension.to_ascii_lowercase().as_str() {
        "csv" => parse_csv,
        "jsonl" | "ndjson" => parse_jsonl,
        _ => return Err(LoadError::UnknownKind { file: file.to_owned() }),
    };
    let bytes =
        std::fs::read(file).map_err(|cause| LoadError::Unreadable { file: file.to_owned(), cause })?;
    let mut faults = Faults { file, list: Vec::new() };
    let read = parse(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes), &mut faults);
    let people = settled(read, tenant, &mut faults);
    faults.list.sort_by_key(|fault| fault.line);
    if faults.list.is_empty() { Ok(people) } else { Err(LoadError::Faults(faults.list)) }
}

/// The person that a line of `people.jsonl` with this JSON would be.
///
/// # Errors
/// What is wrong with it.
pub fn person_of(json: serde_json::Value) -> Result<Person, String> {
    serde_json::from_value::<Line>(json).map(Person::from).map_err(|fault| fault.to_string())
}

struct Faults<'f> {
    file: &'f Path,
    list: Vec<FileFault>,
}

// === impl Faults ===

impl Faults<'_> {
    fn add(&mut self, line: u64, place: &str, message: impl Into<String>, hint: &str) {
        let place = if place.is_empty() { String::new() } else { format!("{place}: ") };
        let hint = Some(hint.to_owned()).filter(|hint| !hint.is_empty());
        self.list.push(FileFault { file: self.file.to_owned(), line, place, message: message.into(), hint });
    }
}

/// What no single line can know: tenants filled in, keys that can be keys, nobody twice.
fn settled(read: Vec<(u64, Person)>, tenant: Option<&str>, faults: &mut Faults<'_>) -> Vec<Person> {
    let mut seen: HashMap<(String, String), u64> = HashMap::with_capacity(read.len());
    let mut people = Vec::with_capacity(read.len());
    for (line, mut person) in read {
        if let (true, Some(tenant)) = (person.tenant.is_empty(), tenant) {
            tenant.clone_into(&mut person.tenant);
        }
        if person.tenant.is_empty() {
            faults.add(line, "column `tenant`", "it is empty", "write it, or give `--tenant`");
        }
        if person.tenant.contains('|') {
            faults.add(line, "column `tenant`", "a tenant cannot hold `|`", "it divides the parts of a key");
        }
        if person.user_id.is_empty() {
            faults.add(line, "column `user_id`", "it is empty", "");
        }
        if person.quiet_from.is_some() != person.quiet_to.is_some() {
            let there = if person.quiet_from.is_some() { "quiet_from" } else { "quiet_to" };
            let message = "quiet hours have a beginning and an end, and only one of them is there";
            faults.add(line, &format!("column `{there}`"), message, "write both, or none");
        }
        if Absence::of(&person, None).is_some_and(Absence::is_empty) {
            let message = "the absence ends before it begins";
            faults.add(line, "column `absent_until`", message, "write the last day away, or nothing");
        }
        if let Some(first) = seen.insert((person.tenant.clone(), person.user_id.clone()), line) {
            let message = format!("this user id of this tenant already stands in line {first}");
            faults.add(line, "column `user_id`", message, "remove one of the two lines");
        }
        people.push(person);
    }
    people
}

// === people.csv ===

fn parse_csv(bytes: &[u8], faults: &mut Faults<'_>) -> Vec<(u64, Person)> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(bytes);
    let columns = match reader.byte_headers().map(text_of) {
        Ok(Some(headers)) => columns(&headers, faults),
        _ => {
            faults.add(1, "", "the first line does not name the columns in UTF-8", &COLUMNS.join(","));
            return Vec::new();
        }
    };
    let mut people = Vec::new();
    for record in reader.byte_records() {
        match record {
            Ok(record) => {
                let line = record.position().map_or(0, csv::Position::line);
                match text_of(&record) {
                    Some(record) => {
                        people.extend(
                            person_of_record(&record, line, &columns, faults).map(|person| (line, person)),
                        );
                    }
                    None => faults.add(line, "", "it is not UTF-8", "save the file as UTF-8"),
                }
            }
            Err(fault) => {
                let line = fault.position().map_or(0, csv::Position::line);
                faults.add(line, "", format!("it cannot be read: {fault}"), "");
            }
        }
    }
    people
}

fn text_of(record: &ByteRecord) -> Option<StringRecord> {
    StringRecord::from_byte_record(record.clone()).ok()
}

/// Which of [`COLUMNS`] stands where.
fn columns(headers: &StringRecord, faults: &mut Faults<'_>) -> Vec<Option<&'static str>> {
    let mut columns: Vec<Option<&'static str>> = Vec::new();
    for (number, header) in (1..).zip(headers) {
        let known = COLUMNS.iter().copied().find(|column| *column == header);
        let place = format!("column `{header}` ({number})");
        if known.is_none() {
            let near = COLUMNS.iter().min_by_key(|column| strsim::damerau_levenshtein(column, header));
            let hint = near.filter(|near| strsim::damerau_levenshtein(near, header) <= 2).map_or_else(
                || format!("the columns are {}", COLUMNS.join(",")),
                |near| format!("write `{near}`"),
            );
            faults.add(1, &place, "there is no such column", &hint);
        } else if columns.contains(&known) {
            faults.add(1, &place, "it stands there twice", "remove one of the two");
        }
        columns.push(known);
    }
    if !columns.contains(&Some("user_id")) {
        faults.add(1, "", "there is no column `user_id`", "the first line names the columns");
    }
    columns
}

fn person_of_record(
    record: &StringRecord,
    line: u64,
    columns: &[Option<&'static str>],
    faults: &mut Faults<'_>,
) -> Option<Person> {
    let mut person = Person { active: true, ..Person::default() };
    if record.len() != columns.len() {
        let message = format!("it has {} values for {} columns", record.len(), columns.len());
        faults.add(line, "", message, "quote a value that holds a comma");
        return None;
    }
    for ((number, column), value) in (1..).zip(columns).zip(record) {
        let Some(column) = column else { continue };
        if let Err((message, hint)) = set(&mut person, column, value) {
            faults.add(line, &format!("column `{column}` ({number})"), message, &hint);
        }
    }
    Some(person)
}

fn set(person: &mut Person, column: &str, value: &str) -> Result<(), Told> {
    let one = || Some(value.to_owned()).filter(|value| !value.is_empty());
    let many = || list(value, ';');
    match column {
        "tenant" => value.clone_into(&mut person.tenant),
        "user_id" => value.clone_into(&mut person.user_id),
        "active" => person.active = truth(value, true)?,
        "absent" => person.absent = truth(value, false)?,
        "absent_from" => person.absent_from = bound(one())?,
        "absent_until" => person.absent_until = bound(one())?,
        "display_name" => person.display_name = one(),
        "roles" => person.roles = many(),
        "site" => person.location.site = one(),
        "locality" => person.location.locality = one(),
        "region" => person.location.region = one(),
        "country" => person.location.country = one(),
        "business_unit" => person.business_unit = list(value, '/'),
        "manager" => person.manager = one(),
        "deputies" => person.deputies = many(),
        "locale" => person.locale = one(),
        "zone" => person.zone = zone(one())?,
        "party" => person.party = one(),
        "device_zone" => person.device_zone = zone(one())?,
        "quiet_from" => person.quiet_from = hour(one())?,
        "quiet_to" => person.quiet_to = hour(one())?,
        "muted" => person.muted = many(),
        "known_as" => person.known_as = many(),
        _ => person.channels = many(),
    }
    Ok(())
}

/// What is wrong with a value, and what to write.
pub(super) type Told = (String, Cow<'static, str>);

pub(super) fn list(value: &str, between: char) -> Vec<String> {
    value.split(between).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

pub(super) fn hour(value: Option<String>) -> Result<Option<String>, Told> {
    match value.as_deref().map(str::parse::<DayTime>) {
        Some(Err(fault)) => Err((fault.to_string(), "write it as `22:00`".into())),
        _ => Ok(value),
    }
}

pub(super) fn bound(value: Option<String>) -> Result<Option<String>, Told> {
    match value.as_deref().map(absence::check) {
        Some(Err(fault)) => {
            let hint = "write a day as `2026-12-24`, or a time as `2026-12-24T12:00:00Z`";
            Err((fault.to_string(), hint.into()))
        }
        _ => Ok(value),
    }
}

pub(super) fn zone(value: Option<String>) -> Result<Option<String>, Told> {
    match value.as_deref().filter(|zone| !zones::is_zone(zone)) {
        Some(unknown) => {
            let hint = zones::nearest(unknown).map_or_else(
                || "write an IANA name such as `Europe/Zurich`".into(),
                |near| format!("write `{near}`").into(),
            );
            Err((format!("nobody knows the time zone `{unknown}`"), hint))
        }
        None => Ok(value),
    }
}

fn truth(value: &str, when_empty: bool) -> Result<bool, Told> {
    match value.to_ascii_lowercase().as_str() {
        "" => Ok(when_empty),
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err((format!("`{value}` is neither true nor false"), "write `true` or `false`".into())),
    }
}

// === people.jsonl ===

fn parse_jsonl(bytes: &[u8], faults: &mut Faults<'_>) -> Vec<(u64, Person)> {
    let mut people = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<Line>(line) {
            Ok(line) => people.push((number, line.into())),
            Err(fault) => {
                let place = format!("column {}", fault.column());
                let whole = fault.to_string();
                let message = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(message, _)| message);
                faults.add(number, &place, message, "");
            }
        }
    }
    people
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Vec<Person>, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        read_people(&file, Some("north")).map_err(|error| match error {
            LoadError::Faults(faults) => {
                let line = |fault: &FileFault| {
                    let hint = fault.hint.as_ref().map_or(String::new(), |hint| format!("\nhint: {hint}"));
                    format!("{fault}{hint}").replace(&format!("{}/", folder.path().display()), "")
                };
                faults.iter().map(line).collect::<Vec<_>>().join("\n")
            }
            other => other.to_string(),
        })
    }

    #[test]
    fn both_kinds_of_file_say_the_same() {
        let csv = "\u{feff}user_id,roles,site,country,business_unit,manager,deputies,locale,zone,absent,device_zone,quiet_from,quiet_to,muted,known_as\n\
            ada, legal; buyer ,P1,DE,EMEA / Sales,bob,cid;dan,de-CH,Europe/Zurich,yes,Asia/Tokyo,22:00,07:00,news; safety/web,ada@north.example\n";
        let json = r#"{"user_id":"ada","roles":["legal","buyer"],"location":{"site":"P1","country":"DE"},"business_unit":"EMEA/Sales","manager":"bob","deputies":["cid","dan"],"locale":"de-CH","zone":"Europe/Zurich","absent":true,"device_zone":"Asia/Tokyo","quiet_from":"22:00","quiet_to":"07:00","muted":["news","safety/web"],"known_as":["ada@north.example"]}"#;
        let people = read("people.csv", csv).unwrap();
        assert_eq!(people, read("people.jsonl", &format!("{json}\n\n")).unwrap());
        let ada = &people[0];
        assert_eq!((ada.tenant.as_str(), ada.active, ada.absent), ("north", true, true));
        assert_eq!(ada.roles, ["legal", "buyer"]);
        assert_eq!(ada.business_unit, ["EMEA", "Sales"]);
        assert_eq!(ada.party, None);
        assert_eq!(ada.muted, ["news", "safety/web"]);
        assert_eq!(ada.known_as, ["ada@north.example"]);
    }

    #[test]
    fn every_fault_of_a_csv_is_told_at_once() {
        let text = "tenant,user_id,activ,roles,color\nno|rth,ada,true,legal,red\nnorth,,true,legal,red\n\
            north,bob\nnorth,cid,true,x,y\nnorth,cid,true,x,y\n";
        insta::assert_snapshot!(read("people.csv", text).unwrap_err(), @r"
        people.csv:1: column `activ` (3): there is no such column
        hint: write `active`
        people.csv:1: column `color` (5): there is no such column
        hint: the columns are tenant,user_id,active,display_name,roles,site,locality,region,country,business_unit,manager,deputies,absent,absent_from,absent_until,locale,zone,party,channels,device_zone,quiet_from,quiet_to,muted,known_as
        people.csv:2: column `tenant`: a tenant cannot hold `|`
        hint: it divides the parts of a key
        people.csv:3: column `user_id`: it is empty
        people.csv:4: it has 2 values for 5 columns
        hint: quote a value that holds a comma
        people.csv:6: column `user_id`: this user id of this tenant already stands in line 5
        hint: remove one of the two lines
        ");
        insta::assert_snapshot!(read("people.csv", "user_id,active\nada,maybe\n").unwrap_err(), @r"
        people.csv:2: column `active` (2): `maybe` is neither true nor false
        hint: write `true` or `false`
        ");
        insta::assert_snapshot!(read("people.csv", "user_id,quiet_from,quiet_to\nada,22:00,\nbob,late,7:00\n").unwrap_err(), @r"
        people.csv:2: column `quiet_from`: quiet hours have a beginning and an end, and only one of them is there
        hint: write both, or none
        people.csv:3: column `quiet_from` (2): `late` is no hour of the day
        hint: write it as `22:00`
        people.csv:3: column `quiet_to`: quiet hours have a beginning and an end, and only one of them is there
        hint: write both, or none
        ");
        insta::assert_snapshot!(read("people.csv", "").unwrap_err(), @r"
        people.csv:1: there is no column `user_id`
        hint: the first line names the columns
        ");
    }

    #[test]
    fn every_fault_of_a_jsonl_is_told_at_once() {
        let text = "{\"user_id\":\"ada\",\"role\":[]}\n{\"user_id\":7}\n{\"roles\":[]}\nada\n{\"user_id\":\"bob\"}\n";
        insta::assert_snapshot!(read("people.jsonl", text).unwrap_err(), @r"
        people.jsonl:1: column 23: unknown field `role`, expected one of `tenant`, `user_id`, `active`, `display_name`, `roles`, `location`, `business_unit`, `manager`, `deputies`, `absent`, `absent_from`, `absent_until`, `locale`, `zone`, `party`, `channels`, `device_zone`, `quiet_from`, `quiet_to`, `muted`, `known_as`
        people.jsonl:2: column 12: invalid type: integer `7`, expected a string
        people.jsonl:3: column 12: missing field `user_id`
        people.jsonl:4: column 1: expected value
        ");
    }

    #[test]
    fn another_kind_of_file_is_refused() {
        assert!(read("people.xlsx", "").unwrap_err().contains("neither `.csv` nor `.jsonl`"));
    }
}
