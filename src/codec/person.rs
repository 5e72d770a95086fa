//! Person: entries of the directory and members of a scope, to Avro and back.

use super::decode::{Codec, Unreadable};
use super::event_plan::{text, text_at};
use super::fault::{Code, Fault};
use super::run::Row;
use super::schemas::Name;
use super::wire::{put_framing, put_maybe_text, put_text, put_texts};
use crate::event::change::Slot;
use crate::event::person::Location;
use crate::event::{Members, Person};

/// Slots of `person.avsc`.
const PERSON: [&str; 24] = [
    "tenant",
    "user_id",
    "active",
    "display_name",
    "roles",
    "location.site",
    "location.locality",
    "location.region",
    "location.country",
    "business_unit",
    "manager",
    "deputies",
    "absent",
    "locale",
    "zone",
    "party",
    "channels",
    "device_zone",
    "quiet_from",
    "quiet_to",
    "muted",
    "absent_from",
    "absent_until",
    "known_as",
];

/// Slots of `members.avsc`.
const MEMBERS: [&str; 5] = ["tenant", "scope_type", "scope_id", "role", "user_ids"];

/// Writes a person, framed with a schema id.
#[must_use]
pub fn encode(id: u32, person: &Person) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    put_framing(&mut out, id);
    put_text(&mut out, &person.tenant);
    put_text(&mut out, &person.user_id);
    out.push(u8::from(person.active));
    put_maybe_text(&mut out, person.display_name.as_deref());
    put_texts(&mut out, &person.roles);
    let Location { site, locality, region, country } = &person.location;
    for level in [site, locality, region, country] {
        put_maybe_text(&mut out, level.as_deref());
    }
    put_texts(&mut out, &person.business_unit);
    put_maybe_text(&mut out, person.manager.as_deref());
    put_texts(&mut out, &person.deputies);
    out.push(u8::from(person.absent));
    put_maybe_text(&mut out, person.locale.as_deref());
    put_maybe_text(&mut out, person.zone.as_deref());
    put_maybe_text(&mut out, person.party.as_deref());
    put_texts(&mut out, &person.channels);
    for text in [&person.device_zone, &person.quiet_from, &person.quiet_to] {
        put_maybe_text(&mut out, text.as_deref());
    }
    put_texts(&mut out, &person.muted);
    put_maybe_text(&mut out, person.absent_from.as_deref());
    put_maybe_text(&mut out, person.absent_until.as_deref());
    put_texts(&mut out, &person.known_as);
    out
}

/// Reads a person, also when written with another version of the schema.
///
/// # Errors
/// [`Unreadable`]; a person without tenant or user id is refused.
pub fn decode(codec: &Codec, payload: &[u8]) -> Result<Person, Unreadable> {
    let fields = Fields::of(codec, Name::Person, payload)?;
    Ok(Person {
        tenant: fields.required(0, &PERSON)?,
        user_id: fields.required(1, &PERSON)?,
        active: fields.truth(2),
        display_name: fields.maybe(3),
        roles: fields.texts(4),
        location: Location {
            site: fields.maybe(5),
            locality: fields.maybe(6),
            region: fields.maybe(7),
            country: fields.maybe(8),
        },
        business_unit: fields.texts(9),
        manager: fields.maybe(10),
        deputies: fields.texts(11),
        absent: fields.truth(12),
        locale: fields.maybe(13),
        zone: fields.maybe(14),
        party: fields.maybe(15),
        channels: fields.texts(16),
        device_zone: fields.maybe(17),
        quiet_from: fields.maybe(18),
        quiet_to: fields.maybe(19),
        muted: fields.texts(20),
        absent_from: fields.maybe(21),
        absent_until: fields.maybe(22),
        known_as: fields.texts(23),
    })
}

/// Writes members, framed with a schema id.
#[must_use]
pub fn encode_members(id: u32, members: &Members) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    put_framing(&mut out, id);
    for text in [&members.tenant, &members.scope_type, &members.scope_id, &members.role] {
        put_text(&mut out, text);
    }
    put_texts(&mut out, &members.user_ids);
    out
}

/// Reads members, also when written with another version of the schema.
///
/// # Errors
/// [`Unreadable`]; members without tenant, scope type or scope id are refused.
pub fn decode_members(codec: &Codec, payload: &[u8]) -> Result<Members, Unreadable> {
    let fields = Fields::of(codec, Name::Members, payload)?;
    Ok(Members {
        tenant: fields.required(0, &MEMBERS)?,
        scope_type: fields.required(1, &MEMBERS)?,
        scope_id: fields.required(2, &MEMBERS)?,
        role: text(payload, &fields.row, 3).to_owned(),
        user_ids: fields.texts(4),
    })
}

struct Fields<'b> {
    bytes: &'b [u8],
    row: Row,
}

// === impl Fields ===

impl<'b> Fields<'b> {
    fn of(codec: &Codec, name: Name, bytes: &'b [u8]) -> Result<Self, Unreadable> {
        if bytes.len() > super::MOST_BYTES {
            return Err(Fault::new(Code::TooLarge, format!("{} bytes", bytes.len())).into());
        }
        let plan = codec.plan(name, bytes)?;
        let row = plan.row(bytes)?;
        Ok(Self { bytes, row })
    }

    fn required(&self, slot: u16, paths: &[&str]) -> Result<String, Fault> {
        match text(self.bytes, &self.row, slot) {
            "" => Err(Fault::at(Code::MissingField, paths[usize::from(slot)]).because("it is empty")),
            text => Ok(text.to_owned()),
        }
    }

    fn maybe(&self, slot: u16) -> Option<String> {
        text_at(self.bytes, self.row.slots[usize::from(slot)]).map(str::to_owned)
    }

    fn truth(&self, slot: u16) -> bool {
        matches!(self.row.slots[usize::from(slot)], Slot::Bool(true))
    }

    fn texts(&self, slot: u16) -> Vec<String> {
        let Slot::List(first, count) = self.row.slots[usize::from(slot)] else { return Vec::new() };
        let items = self.row.items.iter().skip(first as usize).take(count as usize);
        items.filter_map(|item| text_at(self.bytes, *item).map(str::to_owned)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, LazyLock};

    use apache_avro::Schema;
    use proptest::prelude::*;

    use super::*;
    use crate::codec::Schemas;

    static CODEC: LazyLock<Codec> = LazyLock::new(|| Codec::new(Arc::new(Schemas::built_in()), None));

    fn codec() -> &'static Codec {
        &CODEC
    }

    #[test]
    fn the_slots_are_those_of_the_schema_files() {
        let schemas = Schemas::built_in();
        let paths = |name| {
            let reader = schemas.reader(name).unwrap();
            reader.fields.iter().map(|field| field.path.clone()).collect::<Vec<_>>()
        };
        assert_eq!(paths(Name::Person), PERSON);
        assert_eq!(paths(Name::Members), MEMBERS);
    }

    fn texts() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(".{0,12}", 0..4)
    }

    prop_compose! {
        fn person()(
            ids in (".{1,20}", ".{1,20}"),
            flags in (any::<bool>(), any::<bool>()),
            maybe in prop::collection::vec(prop::option::of(".{0,12}"), 14),
            lists in prop::collection::vec(texts(), 6),
        ) -> Person {
            let mut maybe = maybe.into_iter();
            let mut lists = lists.into_iter();
            let mut text = || maybe.next().unwrap();
            let mut list = || lists.next().unwrap();
            Person {
                tenant: ids.0, user_id: ids.1, active: flags.0, absent: flags.1,
                display_name: text(), roles: list(),
                location: Location { site: text(), locality: text(), region: text(), country: text() },
                business_unit: list(), manager: text(), deputies: list(), locale: text(), zone: text(),
                party: text(), channels: list(), device_zone: text(), quiet_from: text(), quiet_to: text(),
                muted: list(), absent_from: text(), absent_until: text(), known_as: list(),
            }
        }
    }

    proptest! {
        #[test]
        fn a_person_is_read_as_written_and_as_any_other_reader_of_avro_does(person in person()) {
            let id = Name::Person.local_id();
            let bytes = encode(id, &person);
            prop_assert_eq!(&decode(codec(), &bytes).unwrap(), &person);
            let schema = Schema::parse_str(codec().schemas().text(Name::Person)).unwrap();
            let theirs = apache_avro::reader::datum::GenericDatumReader::builder(&schema).build().unwrap()
                .read_value(&mut &bytes[5..]).unwrap();
            let theirs: Person = apache_avro::from_value(&theirs).unwrap();
            prop_assert_eq!(theirs, person);
        }

        #[test]
        fn members_are_read_as_written(ids in prop::collection::vec(".{1,9}", 3), role in ".{0,9}", user_ids in texts()) {
            let [tenant, scope_type, scope_id] = ids.try_into().unwrap();
            let members = Members { tenant, scope_type, scope_id, role, user_ids };
            let bytes = encode_members(Name::Members.local_id(), &members);
            prop_assert_eq!(decode_members(codec(), &bytes).unwrap(), members);
        }
    }

    #[test]
    fn a_person_without_a_user_id_is_refused() {
        let person = Person { tenant: "acme".into(), ..Person::default() };
        let fault = decode(codec(), &encode(Name::Person.local_id(), &person)).unwrap_err();
        assert_eq!(fault.to_string(), "missing-field at `user_id`: it is empty");
    }

    #[test]
    fn a_person_cut_anywhere_is_refused() {
        let person = Person {
            tenant: "acme".into(),
            user_id: "ada".into(),
            roles: vec!["qa".into()],
            ..Person::default()
        };
        let bytes = encode(Name::Person.local_id(), &person);
        for end in 0..bytes.len() {
            assert!(decode(codec(), &bytes[..end]).is_err(), "{end}");
        }
    }
}
