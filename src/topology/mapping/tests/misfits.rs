//! Misfits: a payload that is shaped otherwise than its mapping thinks is refused by name, and never half taken.

use super::*;

const PEOPLE: &str =
    "      audience.users: payload.people.map(p, p.id)\n      audience.roles: payload.roles.map(r, r)\n";

#[test]
fn what_a_map_goes_through_is_a_list_of_such_items_or_nothing_at_all() {
    let house = house(&orders(PEOPLE));
    let users = |people: Json| house.of_json(&with(|order| order["people"] = people));
    let refused = "wrong-type at `audience.users`: what its `map` goes through is no list of such items; \
                   mapping `orders` takes it from `payload.people.map(p, p.id)`";
    for people in [
        json!("ada"),
        json!(7),
        json!({ "id": "ada" }),
        json!(["ada"]),
        json!([{ "id": "ada" }, 7]),
        json!([["ada"]]),
    ] {
        assert_eq!(users(people.clone()).unwrap_err(), refused, "{people}");
    }
    for people in [Json::Null, json!([]), json!([null]), json!([{ "name": "ada" }])] {
        let change = users(people.clone()).unwrap().unwrap();
        assert_eq!(change["audience"]["users"], Json::Null, "{people}: {change}");
    }
    let roles = house.of_json(&with(|order| order["roles"] = "qa".into())).unwrap_err();
    assert!(roles.starts_with("wrong-type at `audience.roles`"), "{roles}");
    assert_eq!(house.said(&with(|order| order["roles"] = json!(["qa"])))["audience"]["roles"], json!(["qa"]));
}

#[test]
fn a_condition_over_what_is_no_list_is_not_met() {
    let house = house(
        &orders("")
            .replace("payload.t == 'order'", "payload.t == 'order' && 'qa' in payload.roles.map(r, r)"),
    );
    let taken =
        |roles: Json| house.of_json(&with(|order| order["roles"] = roles)).map(|change| change.is_some());
    assert_eq!(taken(json!(["qa"])), Ok(true));
    assert_eq!(taken(json!("qa")).unwrap_err(), "unmapped: the mappings of devadmin are `orders`");
}

#[test]
fn a_schema_with_another_thing_where_the_list_should_be_is_refused_as_its_json_is() {
    let mapping = ROWS.replace("payload.after.tags\n", "payload.after.tags.map(t, t.name)\n");
    let told = |mapping: &str| {
        let house = house(mapping);
        house.codec.learn(9, AVRO).unwrap();
        house.take(Format::Avro, &[], &row(&[4, 210]))
    };
    let no_items = told(&mapping).unwrap_err();
    assert!(no_items.starts_with("wrong-type at `audience.groups`: what its `map` goes"), "{no_items}");
    let no_list = told(&mapping.replace("after.tags.map", "after.state.map")).unwrap_err();
    assert!(no_list.starts_with("wrong-type at `audience.groups`: what its `map` goes"), "{no_list}");
    let items = told(&mapping.replace("t.name", "t")).unwrap().unwrap();
    assert_eq!(items["audience"]["groups"], json!(["qa", "ops"]));
    // What is absent is absent.
    let absent = told(&mapping.replace("after.tags.map", "before.tags.map")).unwrap().unwrap();
    assert_eq!(absent["audience"]["groups"], Json::Null);
}

#[test]
fn nothing_is_known_by_a_text_that_says_nothing() {
    let house = house(&orders(""));
    let refusal = |change: fn(&mut Json)| house.of_json(&with(change)).unwrap_err();
    let refused = [
        refusal(|order| order["version"] = "".into()),
        refusal(|order| order["version"] = " ".into()),
        refusal(|order| order["state"] = "".into()),
    ];
    insta::assert_snapshot!(refused.join("\n"), @r"
    missing-field at `event_id`: a part of it is empty; mapping `orders` takes it from `payload.id, payload.version`
    missing-field at `event_id`: a part of it is empty; mapping `orders` takes it from `payload.id, payload.version`
    missing-field at `state`: it is empty; mapping `orders` takes it from `payload.state`
    ");
    let with_default =
        self::house(&orders("").replace("payload.state\n", "{ from: payload.state, default: new }\n"));
    assert_eq!(with_default.said(&with(|order| order["state"] = Json::Null))["data"]["state"], "new");
}
