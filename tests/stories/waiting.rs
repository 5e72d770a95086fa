//! Waiting: what is held for a person outlives neither its reason nor its audience, and is lost with neither
//! (story 16).

use std::sync::Arc;

use bugle::event::{Ending, Person, Reason, Topic};
use bugle::flow::fan_out::{self, Item};
use serde_json::json;

use super::crooked::Twist;
use super::house::{AGREEMENT, House, agreement, on_frames, person};

const HOUR: u64 = 3_600;

const TEXTS: &str = "text: { en: { title: '{{ event.entity.id }}', body: 'x' } }\n";

/// A task that can be done.
const TASKS: &str = "source: bws
rules:
  - id: task
    match: { kind: bws.task.assigned }
    subject: [process_id, task_id]
    audience: role:approver
    message: text
    until: { kind: bws.task.completed }
";

/// Two rules tell the same news to different people, and one person is both.
const TWO: &str = "source: bws
rules:
  - id: first
    match: { kind: bws.content.critical_added }
    news: [event_id]
    within: 30s
    audience: role:first
    message: text
    priority: high
  - id: second
    match: { kind: bws.content.critical_added }
    news: [event_id]
    within: 30s
    audience: role:second
    message: text
";

/// Somebody for whom the first three hours of a story are quiet.
fn sleeper(user: &str) -> Person {
    let hour = |hour: &str| Some(hour.to_owned());
    let zone = Some("Etc/UTC".to_owned());
    Person { quiet_from: hour("08:00"), quiet_to: hour("12:00"), zone, ..person(user, "approver") }
}

/// How often a task is told in the morning that was done in the night.
fn of_a_task_done_in_the_night(twist: Option<Arc<dyn Twist>>) -> usize {
    let mut house = House::bent(&[sleeper("ada")], twist);
    house.ruled(TASKS, TEXTS);
    house.start(0);
    let task =
        |id: &str| json!({ "event_id": id, "tenant": "acme", "data": { "process_id": "9", "task_id": "1" } });
    house.event("bws.task.assigned", &task("assigned"));
    house.rest();
    assert_eq!((house.books().tellings.held, house.told().len()), (1, 0), "it waits for the morning");
    house.event("bws.task.completed", &task("completed"));
    house.rest_after(3 * HOUR + 600);
    house.told().len()
}

/// Nobody says to the partitions of people that a conversation is over.
fn ends_are_not_told() -> Option<Arc<dyn Twist>> {
    on_frames(Topic::People, |head, mut items| {
        items.retain(|item| !matches!(fan_out::read(item), Ok(Item::Over(_))));
        (head, items)
    })
}

#[test]
fn story_16_a_what_was_done_in_the_night_is_not_told_in_the_morning() {
    assert_eq!(of_a_task_done_in_the_night(None), 0);
    assert_eq!(
        of_a_task_done_in_the_night(ends_are_not_told()),
        1,
        "who is not told that it is over tells it"
    );
}

/// Which rules told the person of two roles, when they left the role of the stronger one meanwhile or did not.
fn of_two_claims(leaves: bool, twist: Option<Arc<dyn Twist>>) -> (Vec<String>, Vec<Reason>) {
    let both = Person { roles: vec!["first".to_owned(), "second".to_owned()], ..person("ada", "") };
    let mut house = House::bent(std::slice::from_ref(&both), twist);
    house.ruled(TWO, TEXTS);
    house.start(0);
    house.event(AGREEMENT, &agreement(1));
    house.work(20);
    assert_eq!(house.told().len(), 0, "both wait");
    if leaves {
        house.hears(0, 1, &Person { roles: vec!["second".to_owned()], ..both });
    }
    house.pass_seconds(31);
    house.work(60);
    let told = house.told().into_keys().map(|telling| telling.rule).collect();
    let reasons = house.verdicts().into_iter().filter_map(|verdict| match verdict.ending {
        Ending::Not(reason) => Some(reason),
        _ => None,
    });
    (told, reasons.collect())
}

/// The second rule is thought to be told already while the first one waits.
fn one_claim() -> Option<Arc<dyn Twist>> {
    on_frames(Topic::People, |head, mut items| {
        items.retain(
            |item| !matches!(fan_out::read(item), Ok(Item::Tell(notice, _)) if notice.rule == "second"),
        );
        (head, items)
    })
}

#[test]
fn story_16_b_told_once_never_becomes_told_never() {
    let rule = |rule: &str| vec![rule.to_owned()];
    assert_eq!(of_two_claims(false, None), (rule("first"), vec![Reason::Merged("first".to_owned())]));
    assert_eq!(of_two_claims(true, None), (rule("second"), vec![Reason::LeftAudience]));
    assert_eq!(
        of_two_claims(true, one_claim()).0,
        Vec::<String>::new(),
        "who keeps one claim of two tells nothing"
    );
}

/// How often a text was written for what waits, and how often one was forgotten.
fn texts(house: &House) -> (usize, usize) {
    let records = house.records(Topic::Waiting);
    let is_text = |key: &[u8]| key.first() == Some(&b't') && key.len() == 17;
    let texts = records.iter().filter(|record| record.key.as_deref().is_some_and(is_text));
    let (written, gone): (Vec<_>, Vec<_>) = texts.partition(|record| record.value.is_some());
    (written.len(), gone.len())
}

#[test]
fn story_16_c_a_text_is_written_once_and_goes_with_the_last_who_waits_for_it() {
    let people: Vec<Person> = (0..12).map(|number| sleeper(&format!("p{number:02}"))).collect();
    let mut house = House::of(&people);
    house.ruled(TASKS, TEXTS);
    house.start(0);
    house.event("bws.task.assigned", &json!({ "event_id": "assigned", "tenant": "acme" }));
    house.rest();
    assert_eq!((house.books().tellings.held, texts(&house)), (12, (1, 0)));
    house.pass_seconds(3 * HOUR - 60);
    // They are told one after the other; whoever takes over in between knows how many still wait.
    while house.told().is_empty() {
        house.pass_seconds(5);
        house.work(5);
    }
    assert!(house.told().len() < 12, "some still wait");
    house.stop(0);
    house.start(1);
    house.work(10);
    assert_eq!(texts(&house), (1, 0));
    house.rest_after(600);
    assert_eq!((house.told().len(), house.most_told(), texts(&house)), (12, 1, (1, 1)));
}
