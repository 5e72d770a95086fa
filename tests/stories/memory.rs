//! Memory: by what things are known, and for how long (stories 3, 4, 8 and 11).

use std::sync::Arc;
use std::time::Duration;

use bugle::broker::model::Model;
use bugle::broker::names::Names;
use bugle::broker::{Arrival, Broker, BrokerError, Follow, Incoming, Input, Position};
use bugle::clock;
use bugle::event::{Lane, Letter, Occasion, Person, Topic};
use serde_json::{Value as Json, json};

use super::crooked::{Bent, Done, Twist};
use super::house::{AGREEMENT, House, agreement, legal, on_arrivals, on_commit, on_recall, person};
use super::instance::group;
use super::mixed::mix;

#[test]
fn story_03_a_frame_names_the_same_people_to_whoever_read_them_in_another_order() {
    let mut house = House::of(&[]);
    let mut people = legal(3);
    people.extend((0..40).map(|number| person(&format!("w{number}"), "employee")));
    let told = people[0..3].iter().map(|person| person.user_id.clone()).collect::<Vec<_>>();
    for (offset, person) in (0..).zip(&people) {
        house.hears(0, offset, person);
    }
    for (offset, person) in (0..).zip(people.iter().rev()) {
        house.hears(1, offset, person);
    }
    // One decides whom to tell, the other one cuts the batches.
    (0..2).for_each(|instance| house.start(instance));
    house.event(AGREEMENT, &agreement(1));
    house.pass(Duration::from_millis(1));
    house.turn(0, Lane::Source, 4);
    house.turn(0, Lane::Subject, 8);
    house.turn(1, Lane::Person, 8);
    let batches = house.batches();
    let mut members: Vec<&str> =
        batches.iter().flat_map(|parcel| parcel.open().members).map(|member| member.user_id).collect();
    members.sort_unstable();
    assert_eq!(members, told);
}

fn exception(tenant: &str) -> Json {
    json!({
        "event_id": "1001", "tenant": tenant, "execution_id": "x1",
        "data": { "step": "Credit check", "assignees": ["l0000"] },
    })
}

#[test]
fn story_04_a_an_id_is_known_by_tenant_and_source() {
    let of = |tenant: &str| Person { tenant: tenant.to_owned(), ..person("l0000", "legal") };
    let mut house = House::of(&[of("acme"), of("globex")]);
    house.start(0);
    let mut same_id = agreement(1);
    same_id["event_id"] = json!("1001");
    house.event(AGREEMENT, &same_id);
    house.event("xconnector.workflow.exception", &exception("acme"));
    house.event("xconnector.workflow.exception", &exception("globex"));
    house.rest();
    assert_eq!(house.noticed(Occasion::First), 3, "one id, two sources, two tenants");
    // Of one source and tenant the id is what decides, whatever else the change says.
    same_id["entity"]["version"] = json!("2");
    house.event(AGREEMENT, &same_id);
    house.rest();
    assert_eq!((house.noticed(Occasion::First), house.books().changes.duplicate), (3, 1));
}

/// All batches of a commit become one.
fn cut_without_a_tenant() -> Option<Arc<dyn Twist>> {
    on_commit(|on, mut effects, positions| {
        mix(&mut effects);
        on.link.commit(effects, positions)
    })
}

/// Whether some request holds what belongs to two tenants, or to staff and to externals.
fn is_mixed(twist: Option<Arc<dyn Twist>>) -> (bool, usize) {
    let of = |tenant: &str, user: &str| Person { tenant: tenant.to_owned(), ..person(user, "legal") };
    let party = |user: &str| Person {
        party: Some("northwind".to_owned()),
        channels: vec!["mobile".to_owned(), "partner-portal".to_owned()],
        ..person(user, "customer")
    };
    let mut house = House::bent(&[of("acme", "ann"), of("globex", "ben"), party("nora")], twist);
    house.start(0);
    for tenant in ["acme", "globex"] {
        let mut event = agreement(1);
        event["tenant"] = json!(tenant);
        house.event(AGREEMENT, &event);
    }
    let mut exception = exception("acme");
    exception["data"]["assignees"] = json!(["ann", "nora"]);
    house.event("xconnector.workflow.exception", &exception);
    house.turn(0, Lane::Source, 8);
    house.turn(0, Lane::Subject, 8);
    house.turn(0, Lane::Person, 8);
    let batches = house.batches();
    let mixed = batches.iter().any(|parcel| {
        let batch = parcel.open();
        let foreign = |letter: &Letter<'_>| !letter.subject.starts_with(&format!("{}|", batch.head.tenant));
        let outside = batch.members.iter().filter(|member| member.user_id == "nora").count();
        batch.letters.iter().any(foreign) || (outside > 0 && outside < batch.members.len())
    });
    (mixed, batches.iter().map(|parcel| parcel.count as usize).sum())
}

#[test]
fn story_04_b_no_request_holds_two_tenants_nor_staff_and_externals() {
    assert_eq!(is_mixed(None), (false, 4));
    assert_eq!(is_mixed(cut_without_a_tenant()), (true, 4), "a batch cut by its text alone holds both");
}

/// How many agreements are told when the log was cut off beyond what was read.
fn of_a_log_cut_too_far(twist: Option<Arc<dyn Twist>>) -> u32 {
    let mut house = House::bent(&legal(1), twist);
    house.start(0);
    house.event(AGREEMENT, &agreement(1));
    house.rest();
    house.stop(0);
    house.start(1);
    house.event(AGREEMENT, &agreement(2));
    house.turn(1, Lane::Source, 8);
    let input = Input { topic: Topic::Subjects, partition: 0 };
    let end = house.records(Topic::Subjects).last().unwrap().offset + 1;
    house.model.trim(&[(input, end)]).unwrap();
    house.event(AGREEMENT, &agreement(3));
    house.turn(1, Lane::Source, 8);
    house.turn(1, Lane::Subject, 20);
    house.noticed(Occasion::First)
}

#[test]
fn story_08_a_log_that_begins_after_the_cursor_stops_its_lane_and_is_never_passed_over() {
    struct GoesOnAnywhere;
    impl Twist for GoesOnAnywhere {
        fn start(&self, on: Bent<'_>, input: Input, from: Option<&Position>) -> Done<()> {
            match on.link.start(input, from) {
                Err(BrokerError::Topic { .. }) => on.link.start(input, None),
                started => started,
            }
        }
    }
    assert_eq!(of_a_log_cut_too_far(None), 1, "nothing is told behind a gap");
    assert_eq!(of_a_log_cut_too_far(Some(Arc::new(GoesOnAnywhere))), 2, "the second is lost in silence");
}

/// A topic of which only the newest record of each partition is left.
struct Compacted {
    whole: Box<dyn Follow>,
    left: Vec<Incoming>,
}

impl Compacted {
    fn of(mut whole: Box<dyn Follow>) -> Done<Self> {
        let mut all: Vec<Incoming> = Vec::new();
        loop {
            let before = all.len();
            whole.poll(Duration::ZERO, &mut all)?;
            if all.len() == before {
                break;
            }
        }
        let is_newest = |at: usize| all[at + 1..].iter().all(|later| later.input != all[at].input);
        let left = (0..all.len()).filter(|at| is_newest(*at)).map(|at| all[at].clone()).collect();
        Ok(Self { whole, left })
    }
}

impl Follow for Compacted {
    fn poll(&mut self, _: Duration, into: &mut Vec<Incoming>) -> Done<()> {
        into.append(&mut self.left);
        Ok(())
    }

    fn positions(&self) -> Vec<i64> {
        self.whole.positions()
    }

    fn ends(&mut self) -> Done<Vec<i64>> {
        self.whole.ends()
    }

    fn is_settled(&mut self) -> Done<bool> {
        self.whole.is_settled()
    }
}

/// What is told of three agreements and their copies, which come to another owner.
fn of_three_pages(twist: Option<Arc<dyn Twist>>) -> u32 {
    let mut house = House::bent(&legal(1), twist);
    house.start(0);
    for number in 0..3 {
        house.event(AGREEMENT, &agreement(number));
        house.rest();
    }
    house.crash(0);
    house.start(1);
    for number in 0..3 {
        house.event(AGREEMENT, &agreement(number));
    }
    house.work(60);
    house.noticed(Occasion::First)
}

#[test]
fn story_11_a_ids_that_were_heard_are_never_compacted() {
    assert_eq!(of_three_pages(None), 3);
    let compacted = on_recall(|model, topic, partitions| {
        let whole = model.recall(topic, partitions)?;
        Ok(if topic == Topic::Seen { Box::new(Compacted::of(whole)?) } else { whole })
    });
    assert_eq!(of_three_pages(compacted), 5, "only the newest page is left");
}

/// What is told of an agreement and its copy, which was written half a minute later and read after an
/// outage of two days.
fn of_an_outage(twist: Option<Arc<dyn Twist>>) -> u32 {
    let mut house = House::bent(&legal(1), twist);
    house.start(0);
    house.event(AGREEMENT, &agreement(1));
    house.rest();
    house.stop(0);
    house.pass_seconds(30);
    house.event(AGREEMENT, &agreement(1));
    house.pass_seconds(2 * 86_400);
    house.start(0);
    house.work(60);
    house.noticed(Occasion::First)
}

#[test]
fn story_11_b_a_copy_that_waited_out_an_outage_is_still_a_copy() {
    assert_eq!(of_an_outage(None), 1);
    let by_the_wall_clock = on_arrivals(|name, arrivals| {
        for arrival in arrivals {
            if let Arrival::Record(record) = arrival
                && name == group(Lane::Source)
            {
                record.timestamp = clock::now();
            }
        }
    });
    assert_eq!(of_an_outage(by_the_wall_clock), 2, "by the time it was read, it is two days older");
}

#[test]
fn story_11_c_memory_is_kept_by_the_time_it_was_written() {
    let specs = Names::default().specs(1);
    let set = |name: &str, value: &str| {
        let mut other = specs.clone();
        let seen = other.iter_mut().find(|spec| spec.topic == Topic::Seen).unwrap();
        let setting = seen.config.iter_mut().find(|(known, _)| known == name).unwrap();
        setting.1 = value.to_owned();
        let model = Model::new();
        model.create(&other).unwrap();
        model.check(&specs).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for (name, value) in [
        ("message.timestamp.type", "CreateTime"),
        ("cleanup.policy", "compact"),
        ("retention.ms", "86400000"),
    ] {
        let faults = set(name, value);
        assert!(faults.len() == 1 && faults[0].contains(name), "{name}={value}: {faults:?}");
    }
    assert_eq!(set("retention.ms", "1814400000"), [] as [&str; 0]);
    // And a page carries no time of an event that could make it look old.
    let mut house = House::of(&legal(1));
    house.start(0);
    let mut old = agreement(1);
    old["occurred_at"] = json!("2025-11-01T00:00:00Z");
    house.event(AGREEMENT, &old);
    house.rest();
    let since = house.records(Topic::Seen).iter().map(|record| record.timestamp).min().unwrap();
    assert!(clock::now().since(since).millis() < 600_000, "{since}");
}
