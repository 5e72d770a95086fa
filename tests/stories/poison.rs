//! Poison: what cannot be used harms nothing beside it, and comes again when it was mended (story 17).

use bugle::app::letters::Letter;
use bugle::broker::{Broker, Input};
use bugle::engine::lane_of;
use bugle::event::{Ending, Incoming, Lane, Occasion, Source, Timestamp, Topic};
use bugle::flow::delivery::Reply;
use bugle::flow::frames::{FrameItems, FrameSet};
use bugle::flow::memory::BrokenMemory;
use bugle::flow::{Admitted, Cursor, Outbox, Plan, Restored, Rooms, Want, World};

use super::house::{AGREEMENT, House, agreement, legal};
use super::post::Fate;

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
fn story_17_c_what_is_sent_again_is_read_as_if_for_the_first_time_and_once() {
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
    house.publish_record(again.clone());
    house.rest();
    assert_eq!(house.noticed(Occasion::First), 1, "nothing of the first try is taken for it");
    // Sent twice, it is a copy like any other.
    house.publish_record(again);
    house.rest();
    assert_eq!(house.noticed(Occasion::First), 1);
}

/// The newest dead letter on its way again.
fn letter_of(house: &House) -> bugle::event::Outgoing {
    Letter::read(house.records(Topic::DeadLetters).pop().unwrap()).again().unwrap()
}

/// The record that a letter of the subject lane becomes, about a change that everybody but one rule could use.
fn for_rule(house: &House, rule: &str) -> bugle::event::Outgoing {
    let (source, value) = house.town.event(AGREEMENT, &agreement(1));
    let topic = Topic::Events(source).to_string();
    let said = [("stage", "subject"), ("topic", topic.as_str()), ("partition", "0"), ("rule", rule)];
    let header = |(name, text): (&str, &str)| {
        (format!("__bugle.errors.{name}"), Some(bytes::Bytes::copy_from_slice(text.as_bytes())))
    };
    let input = Input { topic: Topic::DeadLetters, partition: 0 };
    let (headers, value) = (said.into_iter().map(header).collect(), Some(value.into()));
    let record = Incoming { input, offset: 7, timestamp: Timestamp::default(), key: None, value, headers };
    Letter::read(record).again().unwrap()
}

#[test]
fn story_17_d_what_one_rule_could_not_use_comes_again_for_that_rule_alone_and_once() {
    const RULE: &str = "bw-8-agreement";
    let mut house = House::of(&legal(1));
    house.start(0);
    let routed = |house: &House| {
        let verdicts = house.verdicts().into_iter();
        verdicts.filter(|v| v.ending == Ending::Routed && v.rule.as_deref() == Some(RULE)).count()
    };
    house.event(AGREEMENT, &agreement(1));
    house.event(AGREEMENT, &agreement(1));
    house.rest();
    assert_eq!(routed(&house), 1, "a copy is one");
    house.publish_record(for_rule(&house, "another-rule"));
    house.rest();
    assert_eq!(routed(&house), 1, "it is for another rule");
    for _ in 0..2 {
        house.publish_record(for_rule(&house, RULE));
        house.rest();
    }
    assert_eq!(routed(&house), 2, "the subject knows the change, and takes it for this rule once more");
    assert_eq!(
        (house.told().len(), house.most_told()),
        (1, 1),
        "who was told of it all the same is not again"
    );
}

#[test]
fn story_17_e_a_batch_that_was_refused_goes_out_again_under_its_id_and_the_books_close() {
    let mut house = House::of(&legal(1));
    house.start(0);
    house.event(AGREEMENT, &agreement(1));
    for lane in [Lane::Source, Lane::Subject, Lane::Person, Lane::Delivery] {
        house.turn(0, lane, 8);
    }
    let id = house.post.held().waiting[0].0.clone();
    house.post.answer(0, Fate::Reject);
    house.rest();
    assert_eq!((house.told().len(), house.books().tellings.failed), (0, 1));
    house.model.publish(vec![letter_of(&house)]).unwrap();
    house.rest();
    assert_eq!(house.post.held().accepted.keys().collect::<Vec<_>>(), [&id]);
    let books = house.books();
    assert!(books.close() && books.tellings.failed == 0 && books.tellings.told == 1, "{books:?}");
    // Who sends it once more than there was reason to is told by the service that it has it.
    house.model.publish(vec![letter_of(&house)]).unwrap();
    house.work(100);
    assert_eq!(house.most_told(), 1);
}

/// What the rooms of [`Touchy`] panic on.
const POISON: &[u8] = b"agreement-7";

/// A lane whose rooms panic on one change, when they have done all that there is to do for it.
struct Touchy {
    lane: Box<dyn Rooms>,
    /// Whether what they panic on is kept.
    keeps: bool,
    /// Whether they panic on whatever comes first, and before they have done anything for it.
    at_once: bool,
    spared: bool,
}

/// The lanes of a house in which those that read this topic are touchy.
fn touched(topic: Topic, keeps: bool, (input, lane): (Input, Box<dyn Rooms>)) -> Box<dyn Rooms> {
    let at_once = topic == Topic::Pushes;
    if input.topic == topic { Box::new(Touchy { lane, keeps, at_once, spared: false }) } else { lane }
}

fn touchy_subjects(input: Input, at: (i64, &Cursor), plan: &Plan) -> Box<dyn Rooms> {
    touched(Topic::Subjects, true, (input, lane_of(input, at, plan)))
}

fn touchy_people(input: Input, at: (i64, &Cursor), plan: &Plan) -> Box<dyn Rooms> {
    touched(Topic::People, true, (input, lane_of(input, at, plan)))
}

fn touchy_batches(input: Input, at: (i64, &Cursor), plan: &Plan) -> Box<dyn Rooms> {
    touched(Topic::Pushes, true, (input, lane_of(input, at, plan)))
}

fn touchy_for_good(input: Input, at: (i64, &Cursor), plan: &Plan) -> Box<dyn Rooms> {
    touched(Topic::Subjects, false, (input, lane_of(input, at, plan)))
}

/// A frame up to the item that is poison, with it.
fn up_to_poison(record: &Incoming) -> Option<Incoming> {
    let (head, items) = FrameItems::read(record.value.as_deref()?).ok()?;
    let items: Vec<&[u8]> = items.map(Result::unwrap).collect();
    let last = items.iter().position(|item| item.windows(POISON.len()).any(|part| part == POISON))?;
    let (mut frames, mut out) = (FrameSet::new(record.input.topic, 1, usize::MAX), Outbox::default());
    frames.set_head(&head, &mut out);
    items[..=last].iter().for_each(|item| frames.push(0, &mut out, &[item]));
    frames.cut(&mut out);
    Some(Incoming { value: out.records.remove(0).value, ..record.clone() })
}

impl Rooms for Touchy {
    fn admit(&mut self, now: Timestamp, record: &Incoming, world: &World<'_>, out: &mut Outbox) -> Admitted {
        assert!(self.spared || !self.at_once, "it is what this lane was made for");
        if let Some(part) = up_to_poison(record).filter(|_| !self.spared) {
            self.lane.admit(now, &part, world, out);
            panic!("it is what this lane was made for");
        }
        self.lane.admit(now, record, world, out)
    }

    fn spare(&mut self) -> bool {
        self.spared = self.keeps && self.lane.spare();
        self.spared
    }

    fn answered(&mut self, now: Timestamp, reply: Reply, world: &World<'_>, out: &mut Outbox) {
        self.lane.answered(now, reply, world, out);
    }

    fn wake(&mut self, now: Timestamp, world: &World<'_>, out: &mut Outbox) -> Option<Want> {
        self.lane.wake(now, world, out)
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.lane.wake_at()
    }

    fn cut(&mut self, now: Timestamp, world: &World<'_>, out: &mut Outbox) {
        self.lane.cut(now, world, out);
    }

    fn restore(&mut self, record: &Incoming, placed: bool) -> Result<Restored, BrokenMemory> {
        self.lane.restore(record, placed)
    }

    fn place(&mut self, at: (i64, &Cursor)) {
        self.lane.place(at);
    }

    fn restored(&mut self) {
        self.lane.restored();
    }

    fn position(&self) -> (i64, Cursor) {
        self.lane.position()
    }

    fn settle(&mut self, now: Timestamp) {
        self.lane.settle(now);
    }

    fn undo(&mut self) {
        self.lane.undo();
    }
}

/// Twenty changes, of which one makes a room panic; the letter it becomes.
fn with_poison(house: &mut House) -> Letter {
    house.commit_most = 100;
    house.start(0);
    (0..20).for_each(|number| house.event(AGREEMENT, &agreement(number)));
    house.rest();
    assert_eq!((house.told().len(), house.most_told()), (19, 1), "all but one are told, each once");
    let letters = house.records(Topic::DeadLetters);
    assert_eq!(letters.len(), 1);
    Letter::read(letters[0].clone())
}

/// Its rooms are mended by another owner, and the letter comes again, twice: it is heard once.
fn is_mended(house: &mut House, letter: &Letter) {
    house.crash(0);
    house.make_lane = lane_of;
    house.start(1);
    for _ in 0..2 {
        let again = letter.again().unwrap();
        match again.topic {
            Topic::Events(_) => house.publish_record(again),
            _ => house.model.publish(vec![again]).unwrap(),
        }
        house.work(60);
        house.rest();
        assert_eq!((house.told().len(), house.most_told()), (20, 1));
    }
}

#[test]
fn story_17_f_what_a_room_panics_on_harms_nothing_beside_it_and_is_not_known_when_it_comes_again() {
    let mut house = House::of(&legal(1));
    house.make_lane = touchy_subjects;
    let letter = with_poison(&mut house);
    let (_, came) = house.town.event(AGREEMENT, &agreement(7));
    assert_eq!(letter.value.as_deref(), Some(&came[..]), "byte for byte");
    let said = ["stage", "code", "topic", "offset"].map(|name| letter.word(name).to_owned());
    assert_eq!(said, ["subject", "internal", "opentext.bws.events", "7"]);
    assert!(letter.word("subject").contains("a7"), "{}", letter.word("subject"));
    assert!(letter.word("message").contains("bw-8-agreement"), "{}", letter.word("message"));
    is_mended(&mut house, &letter);
}

#[test]
fn story_17_g_what_the_people_of_one_partition_could_not_be_told_comes_again_for_them_alone_and_once() {
    let mut house = House::of(&legal(1));
    house.make_lane = touchy_people;
    let letter = with_poison(&mut house);
    let said = ["stage", "code", "topic", "rule"].map(|name| letter.word(name).to_owned());
    assert_eq!(said, ["person", "internal", "bugle.people", "bw-8-agreement"]);
    let message = letter.word("message");
    assert!(message.ends_with("of the change agreement-7 in opentext.bws.events-0 7"), "{message}");
    is_mended(&mut house, &letter);
}

#[test]
fn story_17_i_a_batch_on_which_a_room_panics_is_kept_and_comes_again_under_its_id() {
    let mut house = House::of(&legal(1));
    house.make_lane = touchy_batches;
    house.start(0);
    house.event(AGREEMENT, &agreement(1));
    house.rest();
    assert_eq!((house.told().len(), house.books().tellings.failed), (0, 1));
    house.event(AGREEMENT, &agreement(2));
    house.rest();
    assert_eq!(house.told().len(), 1, "what is behind it is sent");
    let letter = Letter::read(house.records(Topic::DeadLetters).remove(0));
    let said = ["stage", "code", "topic", "rule"].map(|name| letter.word(name).to_owned());
    assert_eq!(said, ["delivery", "internal", "bugle.pushes", "bw-8-agreement"]);
    house.model.publish(vec![letter.again().unwrap()]).unwrap();
    house.rest();
    let books = house.books();
    assert!(books.close() && (books.tellings.failed, books.tellings.told) == (0, 2), "{books:?}");
    house.model.publish(vec![letter.again().unwrap()]).unwrap();
    house.work(60);
    assert_eq!((house.told().len(), house.most_told()), (2, 1));
}

#[test]
fn story_17_h_where_it_is_not_kept_the_partition_stops_and_nothing_half_done_is_committed() {
    let mut house = House::of(&legal(1));
    (house.make_lane, house.commit_most) = (touchy_for_good, 100);
    house.start(0);
    (0..20).for_each(|number| house.event(AGREEMENT, &agreement(number)));
    house.work(60);
    assert_eq!(house.noticed(Occasion::First), 0);
    assert!(house.records(Topic::DeadLetters).is_empty());
}
