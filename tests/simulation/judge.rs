//! Judge: everything comes to rest and a day goes by; then every promise is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bugle::app::chains::Chains;
use bugle::broker::{Broker, Topic};
use bugle::clock;
use bugle::engine::by_hand::ByHand;
use bugle::engine::standby::Standby;
use bugle::event::notice::Verb;
use bugle::event::record::Input;
use bugle::event::{Ending, Incoming, Occasion, Parcel, Span, Verdict, hash128};
use bugle::flow::frames::FrameItems;
use bugle::topology::plan::Stop;
use bytes::Bytes;

use super::counted::{Check, Counted, Violation};
use super::office::Turn;
use super::owed::{Owed, Telling, owed};
use super::play::{Instance, Play};
use super::post::Fate;
use super::tapped::answered;

/// What is told in the order of its occasions, to whom and about what.
type Thread = (String, String, String, u128);

fn rank(occasion: Occasion) -> u32 {
    match occasion {
        Occasion::First => 0,
        Occasion::Reminder(number) | Occasion::Step(number) => u32::from(number),
        Occasion::Closed => u32::MAX,
    }
}

// === impl Play ===

impl Play<'_> {
    /// Everything comes to rest, and every check holds: what happened. Else everything that is broken.
    pub(super) fn judged(mut self) -> Result<Counted, Vec<Violation>> {
        let mut broken = Vec::new();
        let rests = self.heal().and_then(|()| self.wait_for_timers(&mut broken));
        if rests.is_ok() && !self.is_at_rest() {
            let books = self.ledgers.keeper.books();
            broken.push(Check::AuditWhole.broken(format!("a book opened again: {books:?}")));
        }
        if rests.is_ok() {
            broken.extend(self.nothing_is_left_open().err());
            broken.extend(self.replay_knows_the_same().err());
        }
        broken.extend(rests.err());
        let (verdicts, whole) = self.the_audit();
        broken.extend(whole.err());
        broken.extend(self.nobody_is_reminded_of_what_was_answered(&verdicts).err());
        broken.extend(self.the_right_people_at_the_right_time().err());
        broken.extend(self.what_follows_comes_after().err());
        let told = self.everything_owed_was_told_once();
        let carried = self.carried();
        let books = self.ledgers.keeper.books();
        if let Ok((told, _)) = told
            && books.tellings.told != told
        {
            broken.push(Check::AuditWhole.broken(format!("{told} were told: {:?}", books.tellings)));
        }
        if self.counted.told_in_faults == 0 {
            broken.push(Check::Progress.broken("nobody was told while faults were about"));
        }
        let (told, timers) = told.map_err(|what| broken.push(what)).unwrap_or_default();
        let carried = carried.map_err(|what| broken.push(what)).unwrap_or_default();
        if !broken.is_empty() {
            return Err(broken);
        }
        let held = self.post.held();
        let accepted: Vec<String> = held.accepted.iter().map(|(id, times)| format!("{id} {times}")).collect();
        Ok(Counted {
            told,
            timers,
            carried,
            verdicts: verdicts.len() as u64,
            answers: books.answers.accepted,
            tellings: books.tellings.candidates,
            digest: hash128([accepted.join("\n").as_bytes()]),
            ..self.counted.clone()
        })
    }

    fn heal(&mut self) -> Result<(), Violation> {
        self.clear_the_sky();
        for round in 0..4_000 {
            self.go_round();
            if round % 8 == 7 && self.is_at_rest() {
                return Ok(());
            }
        }
        let books = self.ledgers.keeper.books();
        Err(Check::NoLoss.broken(format!("1 000 s without faults, and the flow is not at rest: {books:?}")))
    }

    fn turn_all(&mut self) {
        for Instance { lanes, standby, .. } in self.instances.iter_mut().flatten() {
            lanes.iter_mut().for_each(ByHand::turn);
            standby.iter_mut().for_each(Standby::turn);
        }
        self.let_tasks_run();
    }

    /// Every lane turns, and whoever is asked answers.
    pub(super) fn go_round(&mut self) {
        self.turn_all();
        while !self.post.held().waiting.is_empty() {
            self.post.answer(0, Fate::Accept);
        }
        while !self.office.held().waiting.is_empty() {
            self.office.answer(0, Turn::Answer);
        }
        self.let_tasks_run();
        self.pass_quietly(Duration::from_millis(250));
    }

    /// A day goes by: what is due is told, and what would come twice comes. People answer, and now and then
    /// other owners go on with what is open.
    fn wait_for_timers(&mut self, broken: &mut Vec<Violation>) -> Result<(), Violation> {
        for hour in 0..24 {
            self.pass_quietly(Duration::from_secs(3_600));
            self.heal()?;
            self.tap();
            self.heal()?;
            if hour == 2 && self.grows {
                self.grow()?;
            }
            if hour % 6 == 0 {
                broken.extend(self.replay_knows_the_same().err());
            }
        }
        Ok(())
    }

    fn is_at_rest(&mut self) -> bool {
        self.ledgers.read(Duration::ZERO).unwrap();
        let books = self.ledgers.keeper.books();
        let answered = books.answers.received == self.answers.len() as u64;
        let carried = books.write_backs.open == 0;
        books.changes.read == self.counted.events && answered && carried && books.close()
    }

    /// No transaction is open, no batch is set aside, no request under way.
    fn nothing_is_left_open(&self) -> Result<(), Violation> {
        for topic in Topic::ALL {
            if !self.model.follow(topic).unwrap().is_settled().unwrap() {
                return Err(Check::Bounded.broken(format!("a transaction is open in {topic}")));
            }
        }
        let mut parked: BTreeMap<Vec<u8>, bool> = BTreeMap::new();
        for record in self.records(Topic::Parked) {
            let key = record.key.as_deref().unwrap().to_vec();
            parked.insert(key, record.value.is_some());
        }
        let aside = parked.iter().filter(|(key, is_there)| **is_there && key.len() == 12).count();
        let waiting = self.post.held().waiting.len() + self.office.held().waiting.len();
        if aside + waiting > 0 {
            return Err(Check::Bounded.broken(format!("{aside} batches set aside, {waiting} under way")));
        }
        Ok(())
    }

    /// Of every partition, what its owner knows that counts an hour from now.
    fn memories(&self) -> BTreeMap<Input, u128> {
        let at = clock::now() + Span::from_secs(3_600);
        let lanes = self.instances.iter().flatten().flat_map(|instance| &instance.lanes);
        lanes.flat_map(|lane| lane.memories(at)).collect()
    }

    /// All owners are gone at once, and others read back what these knew.
    fn replay_knows_the_same(&mut self) -> Result<(), Violation> {
        (0..10).for_each(|_| self.turn_all());
        let before = self.memories();
        self.instances.iter_mut().for_each(|instance| *instance = None);
        self.clear_the_sky();
        // Time stands still: nothing comes due, and nothing is forgotten.
        for _ in 0..200 {
            self.turn_all();
            if self.memories().len() == before.len() {
                break;
            }
        }
        let after = self.memories();
        let differs = |input: &&Input| before.get(input) != after.get(input);
        match before.keys().chain(after.keys()).find(differs) {
            Some(input) => Err(Check::StateIsReplay.broken(format!("{input} knows something else"))),
            None => Ok(()),
        }
    }

    fn records(&self, topic: Topic) -> Vec<Incoming> {
        let (mut follow, mut records) = (self.model.follow(topic).unwrap(), Vec::new());
        loop {
            let before = records.len();
            follow.poll(Duration::ZERO, &mut records).unwrap();
            if records.len() == before {
                return records;
            }
        }
    }

    /// What was decided, chain by chain, and whether every chain is whole.
    fn the_audit(&self) -> (Vec<Verdict>, Result<(), Violation>) {
        let (mut chains, mut verdicts) = (Chains::default(), BTreeMap::<_, Vec<Verdict>>::new());
        for record in self.records(Topic::Audit) {
            let chain = (record.input, record.key.clone());
            verdicts.entry(chain).or_default().extend(chains.read(&record));
        }
        self.records(Topic::Receipts).iter().for_each(|record| chains.receipt(record));
        let whole = match chains.breaks().first() {
            Some(broken) => Err(Check::AuditWhole.broken(broken.to_string())),
            None => Ok(()),
        };
        (verdicts.into_values().flatten().collect(), whole)
    }

    /// After an answer that ends everything, its rule says nothing more of that subject but that it is over.
    fn nobody_is_reminded_of_what_was_answered(&self, verdicts: &[Verdict]) -> Result<(), Violation> {
        let topology = &self.judge.town.topology;
        let mut ended = BTreeSet::new();
        for verdict in verdicts {
            let (Some(rule), Some(subject)) = (&verdict.rule, &verdict.subject) else { continue };
            let ends = |verb: &String| {
                let verb = Verb::ALL.into_iter().find(|other| other.as_str() == verb);
                verb.zip(topology.rule(rule)).is_some_and(|(verb, rule)| matches!(rule.stop(verb), Stop::All))
            };
            let later = matches!(verdict.occasion, Some(Occasion::Step(_) | Occasion::Reminder(_)));
            match &verdict.ending {
                Ending::Answered(verb) if ends(verb) => {
                    ended.insert((rule.as_str(), subject));
                    let asks = topology.rule(rule).filter(|_| ["approve", "reject"].contains(&verb.as_str()));
                    let others = asks.into_iter().flat_map(|rule| topology.deciding_with(rule));
                    ended.extend(others.map(|other| (other.id.as_str(), subject)));
                }
                Ending::Routed if later && ended.contains(&(rule.as_str(), subject)) => {
                    return Err(Check::Order.broken(format!("reminded after the answer: {verdict:?}")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// No request holds another tenant's text, and nobody was first told long after they had left.
    fn the_right_people_at_the_right_time(&self) -> Result<(), Violation> {
        let held = self.post.held();
        if let Some(foreign) = held.foreign.first() {
            return Err(Check::RightPerson.broken(format!("a request of two tenants: {foreign}")));
        }
        let lies = self.where_batches_lie();
        for (id, sent) in &held.first_sent {
            // What may have arrived before keeps its members.
            let in_doubt = lies.get(id).is_some_and(|lies| self.weather.was_in_doubt(*lies, *sent));
            for telling in held.asked[id].iter().filter(|_| !in_doubt) {
                if !self.movers.may_be_told(&telling.user, *sent) {
                    let what = format!(
                        "{telling:?} in {id} at {sent}, when they had left: {}",
                        self.movers.said(&telling.user)
                    );
                    return Err(Check::RightPerson.broken(what));
                }
            }
        }
        Ok(())
    }

    /// Where each batch lies, by its id: partition, offset of its frame, place in it.
    fn where_batches_lie(&self) -> BTreeMap<String, (i32, (i64, u32))> {
        let mut lies = BTreeMap::new();
        for record in self.records(Topic::Pushes) {
            let frame = record.value.unwrap_or_default();
            for (item, place) in FrameItems::read(&frame).unwrap().1.zip(0..) {
                let parcel = Parcel::read(Bytes::copy_from_slice(item.unwrap())).unwrap();
                let at = (record.input.partition, (record.offset, place));
                lies.insert(parcel.head.message_id.clone(), at);
            }
        }
        for (id, part) in self.weather.parts() {
            lies.entry(id).or_insert(part);
        }
        lies
    }

    /// What replaces something on a phone was taken after it.
    fn what_follows_comes_after(&self) -> Result<(), Violation> {
        let held = self.post.held();
        let mut last: BTreeMap<Thread, u32> = BTreeMap::new();
        for id in held.taken.iter().filter(|id| held.replacing.contains(*id)) {
            for telling in &held.asked[id] {
                let Telling { tenant, user, rule, conversation, occasion, .. } = telling;
                let thread = (tenant.clone(), user.clone(), rule.clone(), *conversation);
                let (now, before) = (rank(*occasion), last.get(&thread).copied().unwrap_or_default());
                if now < before {
                    return Err(Check::Order.broken(format!("{telling:?} came after what follows it")));
                }
                last.insert(thread, now);
            }
        }
        Ok(())
    }

    /// How many were told, and how many of these by timers.
    fn everything_owed_was_told_once(&self) -> Result<(u64, u64), Violation> {
        let held = self.post.held();
        if let Some(id) = held.changed.first() {
            return Err(Check::NoDuplicate.broken(format!("changed under its id: {id}")));
        }
        let mut owed = owed(&self.judge.town, &self.published);
        for tapped in &self.answers {
            answered(&mut owed, &self.judge.town, tapped);
        }
        self.free_who_moved(&mut owed);
        let mut told: BTreeMap<&Telling, &str> = BTreeMap::new();
        for id in held.accepted.keys() {
            for telling in &held.asked[id] {
                if let Some(other) = told.insert(telling, id) {
                    return Err(Check::NoDuplicate.broken(format!("{telling:?} in {other} and {id}")));
                }
                // Another notice of what was told already is a repeat, and none who should not have heard.
                let again = told.keys().any(|other| {
                    Telling { notice: telling.notice, ..(*other).clone() } == *telling
                        && other.notice != telling.notice
                });
                let check = if again { Check::NoDuplicate } else { Check::RightPerson };
                owed.pay(telling).map_err(|what| check.broken(what))?;
            }
        }
        owed.gathered.retain(|(_, user, ..), _| !self.movers.moved(user));
        owed.opened.retain(|(_, user, ..)| !self.movers.moved(user));
        if let Some(left) = owed.left() {
            return Err(Check::NoLoss.broken(left));
        }
        let timers = told.keys().filter(|telling| telling.occasion != Occasion::First).count() as u64;
        Ok((told.len() as u64, timers))
    }

    /// Who left a role while something about it was under way may hear it, once, and need not.
    fn free_who_moved(&self, owed: &mut Owed) {
        let moved = |about: &(String, String, u128)| self.movers.moved(&about.1);
        for ((tenant, user, _), tellings) in owed.exactly.iter().filter(|(about, _)| moved(about)) {
            let freed = tellings.iter().map(|what| (tenant.clone(), user.clone(), what.clone()));
            owed.perhaps.extend(freed);
        }
        owed.exactly.retain(|about, _| !moved(about));
    }

    /// Every answer that counts and is owed to a source system was carried out there once, as who gave it.
    fn carried(&self) -> Result<u64, Violation> {
        let desk = self.office.held();
        for ((response_id, responder), (times, verb)) in &desk.done {
            let who = format!("{responder}'s {verb:?} {response_id}");
            if *times != 1 {
                return Err(Check::NoDuplicate.broken(format!("{who} was carried out {times} times")));
            }
            let gave = |(telling, given): &(Telling, Verb)| telling.user == *responder && given == verb;
            if !self.answers.iter().any(gave) {
                return Err(Check::RightPerson.broken(format!("nobody gave {who}")));
            }
        }
        let (done, books) = (desk.done.len() as u64, self.ledgers.keeper.books().write_backs);
        if books.owed == done && books.confirmed == done {
            Ok(done)
        } else {
            Err(Check::NoLoss.broken(format!("{done} answers were carried out: {books:?}")))
        }
    }
}
