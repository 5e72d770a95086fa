//! Tests: payloads of others in every writing, the changes they become, and why some become none.

mod misfits;

use std::path::Path;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::codec::{Schemas, json as text};
use crate::topology::Kinds;

const RULES: &str = "source: devadmin\nrules: []\n";

struct House {
    codec: Codec,
    topology: Topology,
}

fn house(mappings: &str) -> House {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("mappings")).unwrap();
    std::fs::write(folder.path().join("rules.yaml"), RULES).unwrap();
    std::fs::write(folder.path().join("mappings/m.yaml"), mappings).unwrap();
    let (codec, kinds) = codec();
    let topology = Topology::load(folder.path(), &kinds).unwrap_or_else(|faults| panic!("{faults:#?}"));
    House { codec, topology }
}

fn codec() -> (Codec, Kinds) {
    let schemas = Arc::new(Schemas::built_in());
    let kinds = Kinds::new(Source::ALL.into_iter().flat_map(|source| schemas.shapes(source).to_vec()));
    (Codec::new(schemas, None), kinds)
}

// === impl House ===

impl House {
    fn take(
        &self,
        format: Format,
        headers: &[(&str, &[u8])],
        payload: &[u8],
    ) -> Result<Option<Json>, String> {
        let taken = self.topology.take(&self.codec, Source::DevAdmin, (format, headers), payload);
        match taken.map_err(|why| why.to_string())? {
            Arrival::Mapped(change, _) | Arrival::Native(change) => {
                Ok(Some(text::of_change(self.codec.schemas(), &change)))
            }
            Arrival::Skipped(_) => Ok(None),
        }
    }

    fn of_json(&self, payload: &Json) -> Result<Option<Json>, String> {
        self.take(Format::Avro, &[], payload.to_string().as_bytes())
    }

    fn said(&self, payload: &Json) -> Json {
        self.of_json(payload).unwrap().unwrap()
    }
}

/// A mapping of orders; `more` are further fields.
fn orders(more: &str) -> String {
    format!(
        "source: devadmin
mappings:
  - id: orders
    when: payload.t == 'order'
    kind: devadmin.business.event
    fields:
      event_id: [payload.id, payload.version]
      tenant: {{ value: acme }}
      occurred_at: payload.at
      entity.type: {{ value: order }}
      entity.id: payload.id
      organization_id: {{ value: o }}
      tenant_id: {{ value: t }}
      environment: {{ value: prod }}
      app_id: {{ value: a }}
      topic: {{ value: order }}
      document_id: payload.id
      state: payload.state
{more}"
    )
}

fn order() -> Json {
    json!({ "t": "order", "id": 7, "version": 2, "at": 1_767_603_600_000_i64, "state": "packed" })
}

fn with(change: impl FnOnce(&mut Json)) -> Json {
    let mut order = order();
    change(&mut order);
    order
}

#[test]
fn a_payload_becomes_the_change_its_mapping_says() {
    let house = house(&orders(
        "      seq: payload.version + 10
      severity: { from: payload.prio, table: { H: high, '1': low }, default: medium }
      due_at: { from: payload.due, unit: us }
      audience.users: payload.people.map(p, p.id)
      audience.roles: payload.roles.split(';')
      extra.note: payload[\"free text\"]
      partner: 'has(payload.partner) ? payload.partner.upperAscii() : null'
",
    ));
    let payload = with(|order| {
        order["prio"] = 1.into();
        order["due"] = 1_767_603_600_000_123_i64.into();
        order["people"] = json!([{ "id": "ada" }, { "name": "nobody" }, { "id": 17, "x": {} }]);
        order["roles"] = "qa; ops".into();
        order["free text"] = "a \"quoted\" one".into();
    });
    let change = house.said(&payload);
    assert_eq!(change["event_id"], "7/2");
    assert_eq!(change["kind"], "devadmin.business.event");
    assert_eq!((&change["seq"], &change["severity"]), (&json!(12), &json!("low")));
    assert_eq!(change["due_at"], "2026-01-05T09:00:00.000Z");
    assert_eq!(change["audience"]["users"], json!(["ada", "17"]));
    assert_eq!(change["audience"]["roles"], json!(["qa", "ops"]));
    assert_eq!(change["extra"]["note"], "a \"quoted\" one");
    assert_eq!(house.said(&order())["severity"], "medium", "the default");
}

#[test]
fn an_id_of_several_parts_is_told_apart_whatever_they_hold() {
    let house = house(&orders(""));
    let id = |id: &str, version: &str| {
        house.said(&with(|order| (order["id"], order["version"]) = (id.into(), version.into())))["event_id"]
            .clone()
    };
    assert_ne!(id("a/b", "c"), id("a", "b/c"));
    assert_ne!(id("a\\", "/c"), id("a\\/", "c"));
    assert_eq!(id("a", "b"), "a/b");
    assert_eq!(
        house.said(&with(|order| order["id"] = u64::MAX.into()))["event_id"],
        "18446744073709551615/2"
    );
}

#[test]
fn a_payload_that_does_not_fit_is_refused_with_its_field_and_mapping() {
    let house =
        house(&orders("      due_at: { from: payload.due, unit: s }\n      seq: payload.a * payload.b\n"));
    let refusal = |change: fn(&mut Json)| house.of_json(&with(change)).unwrap_err();
    let refused = [
        refusal(|order| order["at"] = "yesterday".into()),
        refusal(|order| order["at"] = Json::Null),
        refusal(|order| order["id"] = json!({ "nested": true })),
        refusal(|order| order["version"] = Json::Null),
        refusal(|order| order["state"] = 1.5.into()),
        refusal(|order| order["state"] = json!(["a"])),
        refusal(|order| order["due"] = i64::MAX.into()),
        refusal(|order| (order["a"], order["b"]) = (i64::MAX.into(), 2.into())),
        refusal(|order| (order["a"], order["b"]) = ("x".into(), 2.into())),
        refusal(|order| order["t"] = "invoice".into()),
    ];
    insta::assert_snapshot!(refused.join("\n"), @r"
    bad-time at `occurred_at`: it is no time: write 2026-01-05T09:00:00Z, or milliseconds since 1970; mapping `orders` takes it from `payload.at`
    missing-field at `occurred_at`: nothing stands where a time should; mapping `orders` takes it from `payload.at`
    missing-field at `event_id`: an object stands where a part of the id should; mapping `orders` takes it from `payload.id, payload.version`
    missing-field at `event_id`: nothing stands where a part of the id should; mapping `orders` takes it from `payload.id, payload.version`
    wrong-type at `state`: a number stands where a text should; mapping `orders` takes it from `payload.state`
    wrong-type at `state`: a list stands where a text should; mapping `orders` takes it from `payload.state`
    bad-time at `due_at`: it is out of all bounds; mapping `orders` takes it from `payload.due`
    bad-expression at `seq`: a number is too large; mapping `orders` takes it from `payload.a * payload.b`
    bad-expression at `seq`: values of these types do not go together; mapping `orders` takes it from `payload.a * payload.b`
    unmapped: the mappings of devadmin are `orders`
    ");
    assert_eq!(
        house.take(Format::Avro, &[], br#"{"t":"order","id":1,"id":2}"#).unwrap_err(),
        "duplicate-key: an object names a member twice: line 1, column 24"
    );
    assert!(house.take(Format::Avro, &[], b"\x1f\x8b").unwrap_err().starts_with("bad-magic: "));
    assert_eq!(house.take(Format::Avro, &[], b"").unwrap_err(), "empty-value");
}

#[test]
fn what_is_ours_is_never_mapped() {
    let house = house(&orders("  - { id: rest, skip: true }\n"));
    let event = crate::codec::example::event(
        house.codec.schemas(),
        "devadmin.queue.backlog",
        crate::codec::example::MONDAY,
    );
    let written = text::to_avro(house.codec.schemas(), &event.unwrap()).unwrap();
    let value = written.framed(crate::codec::Name::Events(Source::DevAdmin).local_id());
    let change = house.take(Format::Avro, &[], &value).unwrap().unwrap();
    assert_eq!(change["kind"], "devadmin.queue.backlog");
    assert_eq!(house.of_json(&json!({ "t": "invoice" })), Ok(None), "what a mapping skips is no news");
    let other = Topology::take(&house.topology, &house.codec, Source::Bws, (Format::Avro, &[]), b"{}");
    assert!(other.unwrap_err().to_string().starts_with("bad-magic: "), "another source has no mappings");
}

const AVRO: &str = r#"{"type": "record", "name": "Envelope", "namespace": "shop.orders", "fields": [
    {"name": "op", "type": "string"},
    {"name": "before", "type": ["null", {"type": "record", "name": "Row", "fields": [
        {"name": "id", "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 0}},
        {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["NEW", "DONE"]}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "unread", "type": {"type": "map", "values": ["null", "double"]}}
    ]}]},
    {"name": "after", "type": ["null", "Row"]}
]}"#;

const ROWS: &str = "source: devadmin
root: payload
mappings:
  - id: rows
    when: payload.op != 'd' && payload.after.id != payload.before.id
    kind: devadmin.business.event
    fields:
      event_id: [payload.op, payload.after.id]
      tenant: { value: acme }
      occurred_at: payload.after.at
      entity.type: { value: order }
      entity.id: payload.after.id
      organization_id: { value: o }
      tenant_id: { value: t }
      environment: { value: prod }
      app_id: { value: a }
      topic: { value: order }
      document_id: payload.after.id
      state: { from: payload.after.state, table: { NEW: new, DONE: done } }
      extra.price: payload.after.price
      audience.groups: payload.after.tags
";

/// A row in Avro of another's schema, as a registry frames it.
fn row(id: &[u8]) -> Vec<u8> {
    let mut row = vec![0, 0, 0, 0, 9];
    row.extend_from_slice(b"\x02c\x00\x02");
    row.push(u8::try_from(id.len() * 2).unwrap());
    row.extend_from_slice(id);
    // DONE; a time; -12.05; two tags; a map of one number and one null.
    row.push(2);
    let mut micros = 1_767_603_600_000_000_u64 << 1;
    while micros >= 0x80 {
        row.push(u8::try_from(micros & 0x7f).unwrap() | 0x80);
        micros >>= 7;
    }
    row.push(u8::try_from(micros).unwrap());
    row.extend_from_slice(
        b"\x04\xfb\x4b\x04\x04qa\x06ops\x00\x04\x02a\x02\x00\x00\x00\x00\x00\x00\x00\x00\x02b\x00\x00",
    );
    row
}

#[test]
fn avro_of_others_and_json_of_a_connector_become_the_same_change() {
    let house = house(ROWS);
    house.codec.learn(9, AVRO).unwrap();
    let from_avro = house.take(Format::Avro, &[], &row(&[4, 210])).unwrap().unwrap();
    assert_eq!(from_avro["event_id"], "c/1234");
    assert_eq!(
        (&from_avro["data"]["state"], &from_avro["extra"]["price"]),
        (&json!("done"), &json!("-12.05"))
    );
    let after = json!({ "id": 1234, "state": "DONE", "at": 1_767_603_600_000_i64, "price": "-12.05", "tags": ["qa", "ops"] });
    let bare = json!({ "op": "c", "before": null, "after": after });
    assert_eq!(house.said(&bare), from_avro);
    assert_eq!(house.said(&json!({ "schema": {}, "payload": bare })), from_avro);
    for end in 5..row(&[1]).len() {
        assert!(house.take(Format::Avro, &[], &row(&[1])[..end]).is_err(), "cut at {end}");
    }
    let unknown = house.take(Format::Avro, &[], &[0, 0, 0, 0, 8, 1]).unwrap_err();
    assert_eq!(unknown, "unknown-schema: there is no registry to ask for id 8");
}

#[test]
fn a_cloud_event_of_another_type_looks_the_same_in_both_modes() {
    let mapping = orders("").replace("payload.t ==", "payload.type ==").replace("payload.at", "payload.time");
    let mapping = mapping
        .replace("payload.version", "payload.data.version")
        .replace("payload.state", "payload.data.state");
    let house = house(&mapping);
    let data = json!({ "version": 3, "state": "packed" });
    let whole = json!({ "specversion": "1.0", "id": "e", "type": "order", "time": "2026-01-05T09:00:00Z", "data": data });
    let structured = house.take(Format::CloudEvent, &[], whole.to_string().as_bytes()).unwrap().unwrap();
    let headers: [(&str, &[u8]); 5] = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"e"),
        ("ce_type", b"order"),
        ("ce_time", b"2026-01-05T09:00:00Z"),
        ("content-type", b"application/json"),
    ];
    let binary =
        house.take(Format::CloudEventBinary, &headers, data.to_string().as_bytes()).unwrap().unwrap();
    assert_eq!(structured, binary);
    assert_eq!(structured["event_id"], "e/3");
    let ours = json!({ "specversion": "1.0", "id": "e", "type": "devadmin.queue.unknown", "data": {} });
    let fault = house.take(Format::CloudEvent, &[], ours.to_string().as_bytes()).unwrap_err();
    assert!(fault.starts_with("unknown-kind at `kind`"), "{fault}");
}

#[test]
fn the_shipped_mappings_take_their_samples() {
    let (codec, kinds) = codec();
    let topology = Topology::load(Path::new("topology"), &kinds).unwrap();
    for (source, sample) in [
        (Source::XConnector, "oneteg-failed.json"),
        (Source::Bws, "workspace-row.json"),
        (Source::DevAdmin, "order-state.json"),
    ] {
        let payload = std::fs::read(Path::new("topology/scenarios/payloads").join(sample)).unwrap();
        let taken = topology.take(&codec, source, (Format::Avro, &[]), &payload).unwrap();
        assert!(matches!(taken, Arrival::Mapped(..)), "{sample}: {taken:?}");
    }
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "[a-z/\\\\\"ä]{0,8}".prop_map(Json::from),
        Just(Json::from("order")),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let name = prop_oneof![
            Just("t"),
            Just("id"),
            Just("version"),
            Just("at"),
            Just("state"),
            Just("payload"),
            Just("after"),
            Just("op"),
            Just("people"),
            Just("due"),
            Just("x"),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::btree_map(name.prop_map(str::to_owned), inner, 0..8)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

static ANY_ORDER: LazyLock<House> = LazyLock::new(|| {
    let more = "      due_at: { from: payload.due, unit: ns }\n      seq: payload.version / payload.id\n      \
                audience.users: payload.people.map(p, p.id)\n  - { id: rest, skip: true }\n";
    house(&orders(more))
});

static ANY_ROW: LazyLock<House> = LazyLock::new(|| {
    let house = house(ROWS);
    house.codec.learn(9, AVRO).unwrap();
    house
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_json_comes_is_a_change_or_a_refusal_and_never_a_panic(whole in any_json(), part in any_json()) {
        let house = &*ANY_ORDER;
        // Most of what is made up meets no condition; this does.
        let met = with(|order| {
            for name in ["id", "version", "at", "state", "due", "people"] {
                if let Some(value) = part.get(name) {
                    order[name] = value.clone();
                }
            }
        });
        for payload in [whole, met] {
            if let Ok(Some(change)) = house.of_json(&payload) {
                prop_assert!(change["event_id"].as_str().is_some_and(|id| !id.is_empty()));
                prop_assert_eq!(&house.of_json(&payload).unwrap().unwrap(), &change, "the same again");
            }
        }
    }

    #[test]
    fn whatever_bytes_come_are_a_change_or_a_refusal_and_never_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        framed in any::<bool>(),
    ) {
        let house = &*ANY_ROW;
        let start: &[u8] = if framed { &[0, 0, 0, 0, 9] } else { b"{" };
        let payload = [start, &bytes].concat();
        for format in [Format::Avro, Format::CloudEvent, Format::CloudEventBinary] {
            let _ = house.take(format, &[("ce_type", &bytes)], &payload);
        }
    }
}
