//! Poison: what cannot be used harms nothing beside it, and comes again when it was mended (story 17).

use bugle::app::letters::{Letter, Stays};
use bugle::event::{Occasion, Source, Topic};

use super::house::{AGREEMENT, House, agreement, legal};

#[test]
fn story_17_a_a_broken_record_is_kept_as_it_came_and_the_others_are_told() {
    let mut house = House::of(&legal(1));
    house.start(0);
    for number in 0..40 {
        if number == 17 {
            house.publish(Topic::Events(Source::Bws), b"neither Avro nor JSON".to_vec());
        }
        house.event(AGREEMENT, &agreement(number));
    }
    house.rest();
    assert_eq!(house.noticed(Occasion::First), 40);
    let letters = house.records(Topic::DeadLetters);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].value.as_deref(), Some(&b"neither Avro nor JSON"[..]));
    let letter = Letter::read(letters[0].clone());
    let where_from = ["stage", "topic", "partition", "offset"].map(|name| letter.word(name).to_owned());
    assert_eq!(where_from, ["source", "opentext.bws.events", "0", "17"]);
}

#[test]
fn story_17_b_a_frame_that_cannot_be_read_stops_its_partition_and_no_other() {
    let mut house = House::wide(&legal(1), 2, None);
    house.write(Topic::Subjects, 0, b"no frame of ours".to_vec());
    house.start(0);
    for number in 0..20 {
        house.event(AGREEMENT, &agreement(number));
    }
    house.work(60);
    let frames = house.records(Topic::Subjects);
    let of = |partition: i32| frames.iter().filter(|frame| frame.input.partition == partition).count();
    assert!(of(0) > 1 && of(1) > 0);
    let told = house.noticed(Occasion::First);
    assert!((1..20).contains(&told), "{told} of 20 are told");
    // Nothing behind it is passed over, by this owner or the next one.
    house.crash(0);
    house.start(1);
    house.work(60);
    assert_eq!(house.noticed(Occasion::First), told);
    let committed = house.model.committed("sim-subject", frames[0].input);
    assert!(committed.is_none_or(|position| position.offset == 0));
}

#[test]
fn story_17_c_what_is_sent_again_is_read_as_if_for_the_first_time_or_stays() {
    let mut house = House::of(&legal(1));
    house.start(0);
    let (source, value) = house.town.event(AGREEMENT, &agreement(1));
    // Its schema is not known yet: a frame of the same change with a byte too many stands for that.
    house.publish(Topic::Events(source), [value.clone(), vec![0]].concat());
    house.rest();
    assert_eq!(house.noticed(Occasion::First), 0);
    let letter = Letter::read(house.records(Topic::DeadLetters).remove(0));
    let mut again = letter.again().unwrap();
    assert!(again.headers.iter().any(|(name, _)| name == "bugle.redrive"));
    again.value = Some(value.into());
    house.publish_record(again);
    house.rest();
    assert_eq!(house.noticed(Occasion::First), 1, "nothing of the first try is taken for it");
    // What a later lane set aside was heard: written again it would be a copy, and that is said.
    let mut heard = house.records(Topic::DeadLetters).remove(0);
    for (name, value) in &mut heard.headers {
        if name == "__bugle.errors.stage" {
            *value = Some("subject".into());
        }
    }
    assert_eq!(Letter::read(heard).again().unwrap_err(), Stays::Heard);
}
