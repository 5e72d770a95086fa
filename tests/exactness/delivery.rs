//! Delivery: whatever the push service answers, in any order, every member ends in one receipt entry.
//!
//! The push service here keeps its own ledger, as the real one does: it takes an id once, and says nothing
//! of what was lost on the way back. The ledger is the judge: nobody may be told under two ids.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bugle::codec::outputs;
use bugle::event::audience::{Bound, Table};
use bugle::event::frame::FrameHead;
use bugle::event::push::{Letter, MOST_BATCH_BYTES};
use bugle::event::{
    Batch, BatchHead, BoundAudience, Incoming, Member, NoticeId, Occasion, Parcel, Person, Priority, Reason,
    Receipt, Sealed, Span, Template, Timestamp, Topic, hash128, message_id,
};
use bugle::flow::delivery::{Answer, DeliveryLane, Item, Reply};
use bugle::flow::frames::{FrameItems, FrameSet};
use bugle::flow::outbox::Ask;
use bugle::flow::parked_batch;
use bugle::flow::{Admitted, Cursor, Outbox, Want};
use bytes::Bytes;
use proptest::prelude::*;

use super::town::{NOW, Town, record};
use super::{Seat, for_all};

/// One member of one notice: what must end once.
type Telling = (NoticeId, String);

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Some request under way, by number, is answered like this.
    Answer(u8, Kind),
    Wake(u16),
    Commit,
    Abort,
    /// A new owner; of the requests under way, those at these bits had arrived.
    Restart(u64),
    /// A person leaves the audience.
    Leave(u8),
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Taken, or refused for its poison member, with or without saying which.
    Judged {
        names_it: bool,
    },
    TryLater,
    Busy,
    Forbidden,
    /// Never sent, since the directory moved on meanwhile.
    NotAsked,
    /// Refused by something on the way, for its size.
    TooLarge,
    /// No answer; whether it had arrived.
    Lost {
        arrived: bool,
    },
    /// A result for each push: some are taken, the poison is refused, some are put off; and perhaps one is
    /// not named.
    Each {
        draw: u8,
    },
}

struct Post<'t> {
    town: &'t Town,
    seat: Seat,
    log: Vec<Incoming>,
    /// Every batch ever written, by where it lies.
    written: BTreeMap<(i64, u32), Parcel>,
    /// Every batch ever set aside: the parts of a split lie nowhere else.
    parts: BTreeMap<(i64, u32), Parcel>,
    under_way: Vec<((i64, u32), Arc<Parcel>)>,
    /// Of those, the ones of which it is only asked whether they were taken.
    questions: BTreeSet<(i64, u32)>,
    /// The push service's own book: what it took, by id.
    ledger: BTreeMap<String, Arc<Parcel>>,
    /// What was said of each push of a batch; whoever asks again hears the same.
    each: BTreeMap<String, Vec<Item>>,
    poison: BTreeSet<String>,
    receipts: Vec<Receipt>,
    /// The lane's memory topic, and what a compacted log keeps of it.
    memory: Vec<Incoming>,
    parked: BTreeMap<Vec<u8>, Bytes>,
    /// What the push service took, in the order it took it.
    taken: Vec<String>,
    /// Requests sent.
    asked: usize,
    now: Timestamp,
    outbox: Outbox,
}

// === impl Post ===

impl<'t> Post<'t> {
    fn new(town: &'t Town, frames: &[Vec<Vec<u8>>], poison: &[u8]) -> Self {
        let seat = Seat::new(0, &town.plan, |from, plan, at| Box::new(DeliveryLane::new(at, from, plan)));
        let mut post = Self {
            town,
            seat,
            log: Vec::new(),
            written: BTreeMap::new(),
            parts: BTreeMap::new(),
            under_way: Vec::new(),
            questions: BTreeSet::new(),
            ledger: BTreeMap::new(),
            each: BTreeMap::new(),
            poison: poison.iter().map(|number| user(*number)).collect(),
            receipts: Vec::new(),
            memory: Vec::new(),
            parked: BTreeMap::new(),
            taken: Vec::new(),
            asked: 0,
            now: NOW,
            outbox: Outbox::default(),
        };
        let mut notice = 0;
        for frame in frames {
            let mut cut = |members: &Vec<u8>| {
                notice += 1;
                batch(notice, members)
            };
            post.add(&frame.iter().map(&mut cut).collect::<Vec<_>>());
        }
        post
    }

    /// More batches come, in one frame.
    fn add(&mut self, batches: &[Parcel]) {
        let mut set = FrameSet::new(Topic::Pushes, 1, MOST_BATCH_BYTES);
        let mut out = Outbox::default();
        let directory = self.town.look(|world| world.directory.to_vec());
        set.set_head(&FrameHead { directory, ..FrameHead::default() }, &mut out);
        batches.iter().for_each(|batch| set.push(0, &mut out, &[batch.bytes()]));
        set.cut(&mut out);
        out.records.into_iter().for_each(|record| self.append(&record.value.unwrap()));
    }

    /// Every request under way is answered like this where it is for this account, and well elsewhere.
    fn answer_all(&mut self, account: &str, kind: Kind) {
        while let Some(first) = self.under_way.first() {
            let good = Kind::Judged { names_it: true };
            self.answer(0, if first.1.head.account == account { kind } else { good });
        }
    }

    /// Time goes on in small steps, with every request answered.
    fn live(&mut self, span: Span, account: &str, kind: Kind) {
        let end = self.now + span;
        while self.now < end {
            self.step(Step::Commit);
            self.answer_all(account, kind);
            self.now = self.now + Span::from_millis(span.millis() / 100);
        }
        self.step(Step::Commit);
    }

    fn append(&mut self, frame: &[u8]) {
        let offset = self.log.last().map_or(0, |record| record.offset + 2);
        let (_, items) = FrameItems::read(frame).unwrap();
        for (item, place) in items.zip(0..) {
            let parcel = Parcel::read(Bytes::copy_from_slice(item.unwrap())).unwrap();
            self.written.insert((offset, place), parcel);
        }
        self.log.push(record(Topic::Pushes, offset, self.now, frame.to_vec()));
    }

    fn step(&mut self, step: Step) {
        self.now = self.now + Span::from_millis(7);
        match step {
            Step::Answer(number, kind) => self.answer(number, kind),
            Step::Wake(after) => {
                self.now = self.now + Span::from_millis(i64::from(after));
                self.wake();
            }
            Step::Commit => {
                self.admit();
                self.commit();
                self.wake();
            }
            Step::Abort => {
                self.admit();
                let mut out = std::mem::take(&mut self.outbox);
                self.town.look(|world| self.seat.lane.cut(self.now, world, &mut out));
                self.seat.lane.undo();
                self.seat.rewind(&self.log);
            }
            Step::Restart(arrived) => {
                let questions = std::mem::take(&mut self.questions);
                for (bit, (at, batch)) in std::mem::take(&mut self.under_way).into_iter().enumerate() {
                    if arrived >> (bit % 64) & 1 == 1 && self.takes(&batch) && !questions.contains(&at) {
                        self.take(&batch);
                    }
                }
                self.outbox = Outbox::default();
                self.seat.restart(&self.town.plan, &self.log, &self.memory);
            }
            Step::Leave(number) => {
                self.town.learn(&Person { roles: Vec::new(), ..person(number) });
            }
        }
    }

    fn admit(&mut self) {
        while let Some(record) = self.log.get(self.seat.read) {
            let lane = &mut self.seat.lane;
            match self.town.look(|world| lane.admit(self.now, record, world, &mut self.outbox)) {
                Admitted::Done => self.seat.read += 1,
                Admitted::More | Admitted::Wait(Want::Room) => return,
                stuck => panic!("{stuck:?}"),
            }
        }
    }

    fn wake(&mut self) {
        if self.seat.lane.wake_at().is_none_or(|at| at > self.now) {
            return;
        }
        self.town.look(|world| self.seat.lane.wake(self.now, world, &mut self.outbox));
        let pending = self.pending();
        for send in std::mem::take(&mut self.outbox.sends) {
            assert_eq!(self.lies(&send.at), Some(&*send.batch), "only what was written is sent");
            assert!(pending.contains(&send.at), "{:?} was finished and is sent again", send.at);
            assert!(self.under_way.iter().all(|(at, _)| *at != send.at), "{:?} is under way twice", send.at);
            self.asked += 1;
            if send.ask == Ask::WasTaken {
                self.questions.insert(send.at);
            }
            self.under_way.push((send.at, send.batch));
        }
    }

    /// The push service takes a batch; under an id it knows, nothing is sent again.
    fn take(&mut self, batch: &Arc<Parcel>) {
        let id = &batch.head.message_id;
        if !self.ledger.contains_key(id) && !self.each.contains_key(id) {
            self.ledger.insert(id.clone(), Arc::clone(batch));
            self.taken.push(id.clone());
        }
    }

    /// The push service says of each push what becomes of it, and says it again when it is asked again; what
    /// it put off it takes then.
    fn take_each(&mut self, batch: &Arc<Parcel>, draw: u8) -> Vec<Item> {
        let id = &batch.head.message_id;
        let open = batch.open();
        if let Some(said) = self.each.get_mut(id) {
            said.iter_mut().filter(|item| **item == Item::Open).for_each(|item| *item = Item::Accepted);
            let said = said.clone();
            self.take_some(batch, &said);
            return said;
        }
        if self.ledger.contains_key(id) {
            return vec![Item::Accepted; open.members.len()];
        }
        let put_off = |user: &str| hash128([user.as_bytes(), id.as_bytes(), &[draw]]).is_multiple_of(3);
        let item = |member: &Member<'_>| match member.user_id {
            user if self.poison.contains(user) => Item::Ended(Reason::Refused("poison".to_owned())),
            user if put_off(user) => Item::Open,
            _ => Item::Accepted,
        };
        let items: Vec<Item> = open.members.iter().map(item).collect();
        self.take_some(batch, &items);
        self.each.insert(id.clone(), items.clone());
        items
    }

    /// Those of a batch that are accepted stand in the ledger.
    fn take_some(&mut self, batch: &Parcel, items: &[Item]) {
        let open = batch.open();
        let taken = open.members.iter().zip(items).filter(|(_, item)| **item == Item::Accepted);
        let members: Vec<Member<'_>> = taken.map(|(member, _)| *member).collect();
        let id = &batch.head.message_id;
        if !members.is_empty() {
            let taken = Batch { head: &batch.head, letters: open.letters.clone(), members }.pack();
            if self.ledger.insert(id.clone(), Arc::new(taken)).is_none() {
                self.taken.push(id.clone());
            }
        }
    }

    fn was_taken(&self, id: &str) -> Answer {
        match self.each.get(id) {
            Some(items) => Answer::Each(items.clone()),
            None if self.ledger.contains_key(id) => Answer::Accepted("otp".to_owned()),
            None => Answer::NotThere,
        }
    }

    fn takes(&self, batch: &Parcel) -> bool {
        batch.open().members.iter().all(|member| !self.poison.contains(member.user_id))
    }

    fn answer(&mut self, number: u8, kind: Kind) {
        if self.under_way.is_empty() {
            return;
        }
        let (at, batch) = self.under_way.swap_remove(usize::from(number) % self.under_way.len());
        let take = |post: &mut Self| post.take(&batch);
        let answer = match kind {
            Kind::Judged { .. } | Kind::Each { .. } | Kind::TooLarge if self.questions.remove(&at) => {
                self.was_taken(&batch.head.message_id)
            }
            Kind::Lost { .. } if self.questions.remove(&at) => Answer::Unknown(None),
            Kind::Judged { .. } if self.each.contains_key(&batch.head.message_id) => {
                Answer::Each(self.take_each(&batch, 0))
            }
            Kind::Each { draw } => {
                let mut items = self.take_each(&batch, draw);
                if draw.is_multiple_of(2) {
                    let unnamed = usize::from(draw / 2) % items.len();
                    items[unnamed] = Item::Open;
                }
                Answer::Each(items)
            }
            Kind::Judged { .. } if self.takes(&batch) => {
                take(self);
                Answer::Accepted(format!("otp-{}", self.ledger.len()))
            }
            Kind::Judged { names_it } => {
                let members = batch.open().members;
                let poison = members.iter().position(|member| self.poison.contains(member.user_id));
                Answer::Unacceptable("invalid_destination".to_owned(), poison.filter(|_| names_it))
            }
            Kind::TryLater => Answer::TryLater(None),
            Kind::Busy => Answer::Busy(Some(Span::from_millis(700))),
            Kind::Forbidden => Answer::Forbidden,
            Kind::NotAsked => Answer::NotAsked,
            Kind::TooLarge => Answer::TooLarge,
            Kind::Lost { arrived } => {
                if arrived && self.takes(&batch) {
                    take(self);
                }
                Answer::Unknown(None)
            }
        };
        let reply = Reply { at, answer, took: Span::ZERO };
        self.town.look(|world| self.seat.lane.answered(self.now, reply, world, &mut self.outbox));
    }

    fn commit(&mut self) {
        let mut out = std::mem::take(&mut self.outbox);
        self.town.look(|world| self.seat.lane.cut(self.now, world, &mut out));
        self.seat.committed = self.seat.position();
        self.seat.lane.settle(self.now);
        for record in out.records {
            let value = || record.value.clone().unwrap();
            match record.topic {
                Topic::Pushes => self.append(&value()),
                Topic::Parked => self.remember(record.key.as_deref().unwrap(), record.value.clone()),
                Topic::Receipts => self.receipts.push(outputs::decode_receipt(&value()).unwrap()),
                _ => {}
            }
        }
        self.assert_each_telling_stands_once();
    }

    fn remember(&mut self, key: &[u8], value: Option<Bytes>) {
        let written = record(Topic::Parked, i64::try_from(self.memory.len()).unwrap(), self.now, Vec::new());
        let key_of = |key: &[u8]| Some(Bytes::copy_from_slice(key));
        self.memory.push(Incoming { key: key_of(key), value: value.clone(), ..written });
        match value {
            Some(value) => {
                self.parts.extend(parked_batch(key, &value));
                self.parked.insert(key.to_vec(), value);
            }
            None => drop(self.parked.remove(key)),
        }
    }

    /// The batch that was written there.
    fn lies(&self, at: &(i64, u32)) -> Option<&Parcel> {
        self.written.get(at).or_else(|| self.parts.get(at))
    }

    /// Every batch there ever was.
    fn all(&self) -> impl Iterator<Item = &Parcel> {
        self.written.values().chain(self.parts.values())
    }

    /// Where the batches lie that are set aside.
    fn set_aside(&self) -> BTreeSet<(i64, u32)> {
        let read = |key: &Vec<u8>| {
            let (offset, place) = (key.get(..8)?.try_into().ok()?, key.get(8..12)?.try_into().ok()?);
            (key.len() == 12).then(|| (i64::from_be_bytes(offset), u32::from_be_bytes(place)))
        };
        self.parked.keys().filter_map(read).collect()
    }

    /// The batches that the committed cursor, or memory, says are not finished.
    fn pending(&self) -> BTreeSet<(i64, u32)> {
        let (offset, note) = &self.seat.committed;
        let cursor = Cursor::parse(note, *offset).unwrap();
        let is_done = |at: &(i64, u32)| {
            *at < (*offset, cursor.place)
                || cursor.done.iter().any(|done| done == at || *done == (at.0, u32::MAX))
        };
        let aside = self.set_aside();
        let is_part = |at: &(i64, u32)| !self.written.contains_key(at);
        assert!(aside.iter().all(|at| is_part(at) || is_done(at)), "the offset goes past what is set aside");
        self.written.keys().copied().filter(|at| !is_done(at)).chain(aside).collect()
    }

    /// How each telling ended, by the receipts.
    fn ended(&self) -> BTreeMap<Telling, Vec<Option<Reason>>> {
        let mut ended: BTreeMap<Telling, Vec<Option<Reason>>> = BTreeMap::new();
        let by_id: BTreeMap<&str, &Parcel> =
            self.all().map(|batch| (batch.head.message_id.as_str(), batch)).collect();
        for receipt in &self.receipts {
            for exception in &receipt.exceptions {
                let telling = (exception.notice, exception.user_id.clone());
                ended.entry(telling).or_default().push(Some(exception.reason.clone()));
            }
            if receipt.told > 0 {
                let batch = by_id[receipt.message_id.as_str()];
                assert_eq!(receipt.told as usize + receipt.exceptions.len(), batch.count as usize);
                let but: BTreeSet<&str> =
                    receipt.exceptions.iter().map(|exception| exception.user_id.as_str()).collect();
                for telling in tellings(batch).into_iter().filter(|(_, user)| !but.contains(user.as_str())) {
                    ended.entry(telling).or_default().push(None);
                }
            }
        }
        ended
    }

    /// After every commit a telling stands in one receipt or in one unfinished batch, and never in both.
    fn assert_each_telling_stands_once(&self) {
        let mut stands: BTreeMap<Telling, usize> =
            self.all().flat_map(tellings).map(|telling| (telling, 0)).collect();
        for at in self.pending() {
            for telling in tellings(self.lies(&at).unwrap()) {
                *stands.get_mut(&telling).unwrap() += 1;
            }
        }
        for (telling, endings) in self.ended() {
            *stands.get_mut(&telling).unwrap() += endings.len();
        }
        let astray: Vec<_> = stands.iter().filter(|(_, count)| **count != 1).collect();
        assert!(astray.is_empty(), "not once: {astray:?}");
    }

    /// What replaces another thing on a phone comes after it, whoever goes on.
    fn assert_nothing_overtakes(&self) {
        let mut last: BTreeMap<String, u128> = BTreeMap::new();
        for id in &self.taken {
            let batch = &self.ledger[id];
            for (notice, user) in tellings(batch) {
                if batch.head.template.collapse_key.is_some()
                    && let Some(newer) = last.insert(user.clone(), notice.0)
                {
                    assert!(newer < notice.0, "{user} heard {newer} before {}", notice.0);
                }
            }
        }
    }

    /// Everything is answered until nothing is left.
    fn run_out(&mut self) {
        for _ in 0..5_000 {
            self.step(Step::Commit);
            if let Some(at) = self.seat.lane.wake_at() {
                self.now = self.now.max(at);
                self.wake();
            }
            while !self.under_way.is_empty() {
                self.answer(0, Kind::Judged { names_it: false });
            }
            self.commit();
            if self.pending().is_empty() {
                return;
            }
        }
        panic!("batches are never finished: {:?}", self.pending());
    }

    fn assert_the_ledger_agrees(&self) {
        let mut taken: BTreeMap<Telling, usize> = BTreeMap::new();
        for telling in self.ledger.values().flat_map(|batch| tellings(batch)) {
            *taken.entry(telling).or_default() += 1;
        }
        for (telling, endings) in self.ended() {
            let count = taken.get(&telling).copied().unwrap_or(0);
            assert!(count <= 1, "{telling:?} was told under {count} ids");
            match endings.as_slice() {
                [None] => assert_eq!(count, 1, "{telling:?} was never told"),
                // Nobody can say: that is what the reason means.
                [Some(Reason::Unknown)] => {}
                [Some(reason)] => assert_eq!(count, 0, "{telling:?} was told and ended as {reason}"),
                more => panic!("{telling:?} ended as {more:?}"),
            }
        }
    }
}

fn tellings(parcel: &Parcel) -> Vec<Telling> {
    let batch = parcel.open();
    let notice = |member: &Member<'_>| batch.letters[member.letter as usize].notice;
    batch.members.iter().map(|member| (notice(member), member.user_id.to_owned())).collect()
}

fn user(number: u8) -> String {
    format!("u{number:03}")
}

fn person(number: u8) -> Person {
    Person {
        tenant: "acme".to_owned(),
        user_id: user(number),
        active: true,
        roles: vec!["reader".to_owned()],
        ..Person::default()
    }
}

fn batch(notice: u128, numbers: &[u8]) -> Parcel {
    let users: BTreeSet<String> = numbers.iter().map(|number| user(*number)).collect();
    let template = Template {
        rule: "a-rule".to_owned(),
        locale: "en".to_owned(),
        title: "{{1}}".to_owned(),
        summary: String::new(),
        target: "bugle".to_owned(),
        collapse_key: notice.is_multiple_of(2).then(|| "c-{{1}}".to_owned()),
        ttl_seconds: 3_600,
        priority: Priority::Normal,
        answers: Vec::new(),
        data: Vec::new(),
    };
    let audience =
        BoundAudience { tell: Bound::In(Table::Role, vec!["reader".to_owned()]), ..BoundAudience::nobody() };
    let (mut sealed, text) = (Vec::new(), "news");
    audience.seal(&mut sealed);
    let letter = Letter {
        notice: NoticeId(notice),
        subject: "acme|xecm|entity.id=1",
        subject_partition: 0,
        conversation: notice,
        occasion: Occasion::First,
        expires_at: notice.is_multiple_of(5).then(|| NOW + Span::from_secs(2)),
        audience: Sealed::of(&sealed),
        inserts: vec![text],
    };
    let references = users.iter().map(|user_id| letter.notice.delivery(user_id)).collect();
    let head = BatchHead {
        message_id: message_id::of_batch("acme", &template, references),
        tenant: "acme".to_owned(),
        account: "main".to_owned(),
        template,
        cut_at: NOW,
        oldest: NOW,
        expires_at: None,
        signing_key: "k1".to_owned(),
    };
    let members = users.iter().map(|user_id| Member { user_id, letter: 0 }).collect();
    Batch { head: &head, letters: vec![letter], members }.pack()
}

/// A batch sent with another account; it never ends, and replaces nothing.
fn of_account(account: &str, notice: u128, numbers: &[u8]) -> Parcel {
    let parcel = batch(notice * 10 + 1, numbers);
    let Batch { head, letters, members } = parcel.open();
    let head = BatchHead { account: account.to_owned(), ..head.clone() };
    Batch { head: &head, letters, members }.pack()
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => any::<bool>().prop_map(|names_it| Kind::Judged { names_it }),
        2 => Just(Kind::TryLater),
        1 => Just(Kind::Busy),
        1 => Just(Kind::Forbidden),
        1 => Just(Kind::NotAsked),
        1 => Just(Kind::TooLarge),
        3 => any::<bool>().prop_map(|arrived| Kind::Lost { arrived }),
        3 => any::<u8>().prop_map(|draw| Kind::Each { draw }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => (any::<u8>(), kinds()).prop_map(|(number, kind)| Step::Answer(number, kind)),
        3 => (0..3_000_u16).prop_map(Step::Wake),
        1 => (5_000..20_000_u16).prop_map(Step::Wake),
        6 => Just(Step::Commit),
        2 => Just(Step::Abort),
        1 => any::<u64>().prop_map(Step::Restart),
        1 => (0..12_u8).prop_map(Step::Leave),
    ];
    prop::collection::vec(step, 0..80)
}

fn town() -> Town {
    Town::new(&(0..=255).map(person).collect::<Vec<_>>(), 1)
}

#[test]
fn every_member_ends_in_one_receipt_and_nobody_is_told_under_two_ids() {
    let frames =
        prop::collection::vec(prop::collection::vec(prop::collection::vec(0..12_u8, 1..6), 1..4), 1..5);
    let poison = prop::collection::vec(0..12_u8, 0..2);
    let town = town();
    for_all(256, &(frames, poison, steps()), |(frames, poison, steps)| {
        (0..12).for_each(|number| town.learn(&person(number)));
        let mut post = Post::new(&town, &frames, &poison);
        steps.into_iter().for_each(|step| post.step(step));
        post.run_out();
        post.assert_the_ledger_agrees();
        post.assert_nothing_overtakes();
        Ok(())
    });
}

#[test]
fn a_batch_that_may_have_arrived_before_a_crash_keeps_its_members() {
    let town = town();
    let mut post = Post::new(&town, &[vec![vec![1, 2, 3]]], &[]);
    post.step(Step::Commit);
    assert_eq!(post.under_way.len(), 1);
    // It arrives, the answer does not; meanwhile one of the three leaves, and a proxy grows narrow.
    post.step(Step::Restart(1));
    post.step(Step::Leave(2));
    post.step(Step::Commit);
    post.step(Step::Answer(0, Kind::TooLarge));
    post.run_out();
    post.assert_the_ledger_agrees();
    assert_eq!((post.written.len(), post.ledger.len()), (1, 1));
}

#[test]
fn a_batch_that_was_never_sent_does_not_reach_who_left() {
    let town = town();
    let mut post = Post::new(&town, &[vec![vec![1, 2, 3]]], &[]);
    post.step(Step::Leave(2));
    post.run_out();
    post.assert_the_ledger_agrees();
    let left = post.ended().into_iter().filter(|(_, endings)| endings[..] == [Some(Reason::LeftAudience)]);
    assert_eq!(left.map(|((_, user), _)| user).collect::<Vec<_>>(), ["u002"]);
}

#[test]
fn a_long_frame_behind_a_stuck_batch_is_neither_lost_nor_too_long_a_note() {
    let town = town();
    let frame: Vec<Vec<u8>> = (0..1_500).map(|number| vec![u8::try_from(number % 200).unwrap()]).collect();
    let mut post = Post::new(&town, &[frame.clone(), frame], &[]);
    post.step(Step::Commit);
    let stuck = post.under_way[0].0;
    // The first batch is never answered while all others are.
    for _ in 0..200 {
        while let Some(other) = post.under_way.iter().position(|(at, _)| *at != stuck) {
            post.answer(u8::try_from(other).unwrap(), Kind::Judged { names_it: true });
        }
        post.step(Step::Commit);
    }
    assert!(post.ledger.len() > 200, "{} went past the one that is stuck", post.ledger.len());
    post.step(Step::Restart(0));
    post.run_out();
    post.assert_the_ledger_agrees();
    assert_eq!(post.ledger.len(), 3_000);
}

#[test]
fn a_poison_member_alone_is_given_up() {
    let town = town();
    let mut post = Post::new(&town, &[vec![(0..100).collect()]], &[17]);
    post.run_out();
    post.assert_the_ledger_agrees();
    let failed: Vec<Telling> = post
        .ended()
        .into_iter()
        .filter(|(_, endings)| endings[0].is_some())
        .map(|(telling, _)| telling)
        .collect();
    assert_eq!(failed.iter().map(|(_, user)| user.as_str()).collect::<Vec<_>>(), ["u017"]);
}

#[test]
fn an_account_that_may_not_send_makes_nobody_else_wait_and_survives_a_crash() {
    let town = town();
    let mut post = Post::new(&town, &[], &[]);
    let blocked: Vec<Parcel> = (0..300).map(|notice| of_account("blocked", notice, &[1, 2])).collect();
    let others: Vec<Parcel> = (300..310).map(|notice| of_account("main", notice, &[1, 2])).collect();
    post.add(&blocked);
    post.add(&others);
    post.live(Span::from_secs(20), "blocked", Kind::Forbidden);
    assert_eq!(post.ledger.len(), others.len(), "the others are told, behind 300 that wait");
    let end = post.log.last().map(|record| record.offset + 1);
    assert_eq!(Some(post.seat.committed.0), end, "the offset has gone past all of them");
    assert_eq!(post.pending().len(), blocked.len());
    // Hours later, and with a crash between, one request a minute asks; the rest is not touched.
    let asked = post.asked;
    post.live(Span::from_secs(3_600), "blocked", Kind::Forbidden);
    assert!(post.asked - asked <= 65, "{} requests in an hour", post.asked - asked);
    post.step(Step::Restart(0));
    post.run_out();
    post.assert_the_ledger_agrees();
    assert_eq!(post.ledger.len(), blocked.len() + others.len());
    assert_eq!(post.parked.len(), 1, "what is finished leaves nothing behind but the lane's place");
}

#[test]
fn what_was_set_aside_unsent_does_not_reach_who_left_even_after_a_crash() {
    let town = town();
    let mut post = Post::new(&town, &[], &[]);
    for (notice, people) in [(1, &[7][..]), (2, &[1, 2, 3])] {
        post.add(&[of_account("blocked", notice, people)]);
        post.live(Span::from_secs(20), "blocked", Kind::Forbidden);
    }
    assert_eq!((post.set_aside().len(), post.asked), (2, 1));
    post.step(Step::Restart(0));
    post.step(Step::Leave(2));
    post.step(Step::Wake(60_000));
    post.run_out();
    post.assert_the_ledger_agrees();
    let left = |endings: &[Option<Reason>]| endings == [Some(Reason::LeftAudience)];
    let left: Vec<_> = post.ended().into_iter().filter(|(_, endings)| left(endings)).collect();
    // The first may have been sent, and keeps its member; of the second nothing ever left.
    assert_eq!(left.into_iter().map(|((_, user), _)| user).collect::<Vec<_>>(), ["u002"]);
}

#[test]
fn of_an_account_that_stays_blocked_only_so_much_waits_and_the_rest_has_its_verdict() {
    let mut town = town();
    town.plan.parking.most_bytes = 20_000;
    let mut post = Post::new(&town, &[], &[]);
    let blocked: Vec<Parcel> = (0..300).map(|notice| of_account("blocked", notice, &[1, 2])).collect();
    let others: Vec<Parcel> = (300..310).map(|notice| of_account("main", notice, &[1])).collect();
    post.add(&blocked);
    post.add(&others);
    post.live(Span::from_secs(30), "blocked", Kind::Forbidden);
    assert_eq!(post.ledger.len(), others.len());
    let aside = post.set_aside().len();
    assert!((10..200).contains(&aside), "{aside} wait");
    let refused = post.ended().into_values().filter(|ended| ended[..] == [Some(Reason::AccountBlocked)]);
    assert_eq!(refused.count(), (blocked.len() - aside) * 2);
    post.run_out();
    post.assert_the_ledger_agrees();
}

#[test]
fn an_outage_fills_what_may_wait_and_then_the_partition_waits_and_nothing_is_lost() {
    let mut town = town();
    town.plan.parking.most_bytes = 20_000;
    let mut post = Post::new(&town, &[], &[]);
    for frame in 0..20 {
        post.add(&(0..20).map(|n| of_account("main", frame * 20 + n, &[1, 2])).collect::<Vec<_>>());
    }
    post.live(Span::from_secs(7_200), "main", Kind::TryLater);
    let end = post.log.last().map(|record| record.offset + 1);
    assert!(Some(post.seat.committed.0) < end, "the rest lies in Kafka");
    assert!(post.parked.values().map(Bytes::len).sum::<usize>() < 60_000);
    assert!(post.ended().is_empty());
    post.step(Step::Restart(0));
    post.run_out();
    post.assert_the_ledger_agrees();
    assert_eq!(post.ledger.len(), 400);
}
