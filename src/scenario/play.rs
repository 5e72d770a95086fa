//! Play: a scenario's steps through the four lanes, in virtual time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value as Json;

use crate::codec::{Codec, Name, person, public, write_back};
use crate::directory::key::{members_key, person_key};
use crate::directory::{Decoded, Directory};
use crate::event::answer::Answer;
use crate::event::notice::Verb;
use crate::event::record::Input;
use crate::event::write_back::{Carried, refusals_of};
use crate::event::{
    Ending, Incoming, Members, NoticeId, Occasion, Outgoing, Person, Priority, Span, Timestamp, Topic,
    Verdict,
};
use crate::flow::line::{Heard, Line};
use crate::flow::{Mutes, Plan, TenantDefaults, World};
use crate::topology::Topology;

use super::Ground;
use super::coverage;
use super::payload;
use super::phones;
use super::script::{Act, Office, Reply, Scenario, Service, Who};

/// What came of a scenario.
#[derive(Debug, Default)]
pub struct Played {
    /// For each of its steps, what was heard.
    pub steps: Vec<Moment>,
    /// Which of its rule's sayings somebody heard.
    pub sayings: Vec<(String, u16)>,
    /// Which answers counted.
    pub answers: Vec<(String, String)>,
    /// Which mappings took a payload.
    pub mapped: Vec<String>,
    /// What the books are made of beside the verdicts: receipts, and what waits for people.
    pub written: Vec<Outgoing>,
    /// How many records of source topics were read.
    pub read: u64,
    /// Whether the push service has not taken everything.
    pub sending: bool,
}

/// What was heard between the step before and the end of this one.
#[derive(Debug, Default)]
pub struct Moment {
    /// What people were told, in the order of time.
    pub told: Vec<Told>,
    /// Verdicts of all lanes.
    pub verdicts: Vec<Verdict>,
    /// What is to be carried into source systems.
    pub write_backs: Vec<Json>,
    /// Codes of dead letters.
    pub dead_letters: Vec<String>,
    /// For the answer of this step: why it does not count; `None`: it does, or none was given.
    pub refused: Option<String>,
    /// What kept a lane or an answer from going on.
    pub stuck: Vec<String>,
}

/// One push as one person got it.
#[derive(Debug, Clone)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: Who,
    /// The rule.
    pub rule: String,
    /// Which telling.
    pub occasion: Occasion,
    /// The title, inserts filled in.
    pub title: String,
    /// The summary, inserts filled in.
    pub summary: String,
    /// BCP 47.
    pub locale: String,
    /// How urgent.
    pub priority: Priority,
    /// The answers offered.
    pub answers: Vec<Verb>,
    /// Where it leads.
    pub link: Option<String>,
    /// The app it is for.
    pub app: String,
    /// The notice.
    pub notice: NoticeId,
    /// The key of the subject it is about.
    pub subject: String,
    /// The round of the conversation.
    pub conversation: u128,
}

/// Plays a scenario.
#[must_use]
pub fn play(scenario: &Scenario, ground: Ground<'_>) -> Played {
    play_watched(scenario, ground, &mut || {})
}

/// Plays a scenario and calls `stepped` behind every step.
pub fn play_watched<'g>(scenario: &'g Scenario, ground: Ground<'g>, stepped: &mut dyn FnMut()) -> Played {
    let mut stage = Stage::new(scenario, ground);
    let mut played = Played::default();
    for step in &scenario.steps {
        let mut moment = Moment::default();
        stage.until(before(step.at), &mut moment);
        for (at, act) in &step.acts {
            stage.until(before(*at), &mut moment);
            stage.now = *at;
            stage.act(act, &mut moment);
        }
        stage.until(step.end, &mut moment);
        played.steps.push(moment);
        stepped();
    }
    played.mapped = std::mem::take(&mut stage.mapped);
    (played.read, played.sending) = (stage.read, stage.line.is_sending());
    played.written = std::mem::take(&mut stage.written);
    let said: BTreeMap<NoticeId, (usize, u16)> = stage.sayings.into_iter().collect();
    let told = played.steps.iter().flat_map(|moment| &moment.told);
    let saying = |told: &Told| {
        let (by, saying) = *said.get(&told.notice)?;
        let saying = match by {
            0 => saying,
            by => coverage::same(&told.rule, saying, (stage.rules[by], ground.topology))?,
        };
        Some((told.rule.clone(), saying))
    };
    played.sayings = told.filter_map(saying).collect();
    let verdicts = played.steps.iter().flat_map(|moment| &moment.verdicts);
    played.answers = verdicts
        .filter_map(|verdict| match &verdict.ending {
            Ending::Answered(verb) => Some((verdict.rule.clone()?, verb.clone())),
            _ => None,
        })
        .collect();
    played
}

/// What is due at a time belongs to what happens then, and not to what went before.
fn before(at: Timestamp) -> Timestamp {
    at - Span::from_millis(1)
}

struct Stage<'g> {
    codec: &'g Codec,
    /// The rules in force: those it starts by, and all that took their place.
    rules: Vec<&'g Topology>,
    plan: Plan,
    directory: Directory,
    mutes: Mutes,
    known: (i64, i64),
    line: Line,
    service: Rc<RefCell<Service>>,
    now: Timestamp,
    office: Office,
    replies: u32,
    /// Answers that the source systems are owed.
    owed: Vec<Outgoing>,
    asked: Vec<Told>,
    /// Of each notice, which of its rule's sayings it was, by which rules.
    sayings: Vec<(NoticeId, (usize, u16))>,
    mapped: Vec<String>,
    written: Vec<Outgoing>,
    read: u64,
}

// === impl Stage ===

impl<'g> Stage<'g> {
    fn new(scenario: &Scenario, ground: Ground<'g>) -> Self {
        let plan = plan(scenario);
        let service = Rc::new(RefCell::new(Service::Takes));
        let mut line = Line::new(&plan);
        let asked = Rc::clone(&service);
        line.answering(Box::new(move |batch, taken| phones::served(&asked.borrow(), batch, taken)));
        let mut stage = Self {
            codec: ground.codec,
            rules: vec![ground.topology],
            directory: Directory::in_zones(plan.zones()),
            plan,
            mutes: Mutes::new(),
            known: (0, 0),
            line,
            service,
            now: scenario.start,
            office: Office::Takes,
            replies: 0,
            owed: Vec::new(),
            asked: Vec::new(),
            sayings: Vec::new(),
            mapped: Vec::new(),
            written: Vec::new(),
            read: 0,
        };
        scenario.people.iter().for_each(|person| stage.learn(person));
        scenario.members.iter().for_each(|members| stage.learn_members(members));
        stage
    }

    fn topology(&self) -> &'g Topology {
        self.rules.last().expect("a scenario starts by some rules")
    }

    fn learn(&mut self, person: &Person) {
        let value = person::encode(Name::Person.local_id(), person);
        let key = person_key(&person.tenant, &person.user_id);
        let offset = self.known.0;
        self.known.0 += 1;
        self.apply(Topic::Directory, offset, key, value);
    }

    fn learn_members(&mut self, members: &Members) {
        let value = person::encode_members(Name::Members.local_id(), members);
        let offset = self.known.1;
        self.known.1 += 1;
        self.apply(Topic::Members, offset, members_key(members), value);
    }

    fn apply(&self, topic: Topic, offset: i64, key: String, value: Vec<u8>) {
        let (key, value) = (Some(key.into()), Some(value.into()));
        let input = Input { topic, partition: 0 };
        let record = Incoming { input, offset, timestamp: self.now, key, value, headers: Vec::new() };
        if let Ok(decoded) = Decoded::read(self.codec, &record) {
            self.directory.apply([(&record, decoded)]);
        }
    }

    /// Shows the lanes the world as it is, and takes down what they say.
    fn look(&mut self, moment: &mut Moment, run: impl FnOnce(&mut Line, &World<'_>) -> Heard) {
        self.directory.pass(self.now);
        let people = self.directory.view();
        let directory = people.position();
        let muted = self.mutes.view();
        let world = World {
            topology: self.topology(),
            codec: self.codec,
            people: &people,
            directory: &directory,
            muted: &muted,
            plan: &self.plan,
        };
        let heard = run(&mut self.line, &world);
        drop(muted);
        heard.mutes.iter().for_each(|record| self.mutes.wrote(record));
        let by = self.rules.len() - 1;
        self.sayings.extend(heard.sayings.iter().map(|(notice, saying)| (*notice, (by, *saying))));
        for parcel in &heard.batches {
            let told = phones::told(self.now, parcel);
            self.asked.extend(told.iter().cloned());
            moment.told.extend(told);
        }
        moment.write_backs.extend(heard.write_backs.iter().filter_map(|record| self.read(record)));
        moment.dead_letters.extend(heard.dead_letters.iter().map(code));
        moment.stuck.extend(heard.stuck.iter().map(|stuck| format!("a lane cannot go on: {stuck:?}")));
        moment.verdicts.extend(heard.verdicts);
        moment.verdicts.extend(heard.receipts.iter().flat_map(phones::exceptions));
        self.written.extend(heard.receipts.into_iter().chain(heard.waiting).chain(heard.write_backs.clone()));
        self.owed.extend(heard.write_backs);
    }

    /// Time passes, and what is due happens, each thing at its time.
    fn until(&mut self, end: Timestamp, moment: &mut Moment) {
        while let Some(due) = self.line.due().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let now = self.now;
            self.look(moment, |line, world| line.pass(now, world));
            if self.line.due().is_some_and(|next| next <= due) {
                moment.stuck.push(format!("what is due at {due} stays due"));
                return;
            }
        }
        self.now = self.now.max(end);
    }

    fn act(&mut self, act: &'g Act, moment: &mut Moment) {
        let now = self.now;
        match act {
            Act::Event(source, sent) => {
                self.mapped.extend(payload::taken_by(self.topology(), self.codec, (*source, sent)));
                let record = (*source, sent.clone());
                self.read += 1;
                self.look(moment, |line, world| line.feed(now, vec![record], world));
            }
            Act::Answer(reply) => self.answer(reply, moment),
            Act::Person(person) => self.learn(person),
            Act::Members(members) => self.learn_members(members),
            Act::Rules(rules) => self.rules.push(rules),
            Act::Silence(silence) => self.mutes.silence(silence.clone()),
            Act::Service(service) => *self.service.borrow_mut() = service.clone(),
            Act::Office(office) => self.office = *office,
        }
    }

    fn answer(&mut self, reply: &Reply, moment: &mut Moment) {
        let of_rule = |told: &&Told| reply.rule.as_ref().is_none_or(|rule| *rule == told.rule);
        let mut pushes = self.asked.iter().filter(|told| told.who == reply.token_of).filter(of_rule);
        let push = match reply.push {
            Some(number) => pushes.nth(number as usize - 1),
            None => pushes.next_back(),
        };
        let Some(push) = push.cloned() else {
            moment.stuck.push(format!("{} was told nothing that could be answered", reply.token_of.user_id));
            return;
        };
        self.replies += 1;
        let response_id = format!("r{}", self.replies);
        let answer = Answer {
            response_id: &response_id,
            tenant: &reply.by.tenant,
            conversation: push.conversation,
            occasion: push.occasion,
            person: &reply.by.user_id,
            verb: reply.verb,
            comment: reply.comment.as_deref(),
            received_at: self.now,
        };
        let (now, seen) = (self.now, moment.verdicts.len());
        self.look(moment, |line, world| line.answer(now, &answer, (&push.subject, &push.rule), world));
        moment.refused = moment.verdicts[seen..].iter().find_map(|verdict| match &verdict.ending {
            Ending::AnswerRefused(why) => Some(why.clone()),
            _ => None,
        });
        self.carry(moment);
    }

    /// What is owed to the source systems comes there, and they do with it what they do now.
    fn carry(&mut self, moment: &mut Moment) {
        let now = self.now;
        for record in std::mem::take(&mut self.owed) {
            let Ok(answer) = write_back::read(record.value.as_deref().unwrap_or_default()) else { continue };
            let carried = match self.office {
                Office::Takes => Carried::Confirmed,
                Office::Refuses(word) if refusals_of(answer.source).contains(&word) => {
                    Carried::Refused(word.to_owned())
                }
                Office::Refuses(word) => {
                    let title = answer.source.title();
                    moment.stuck.push(format!("{title} refuses an answer for other reasons than `{word}`"));
                    continue;
                }
            };
            self.look(moment, |line, world| line.carried(now, (&answer, carried), world));
        }
    }

    fn read(&self, record: &Outgoing) -> Option<Json> {
        let value = record.value.as_deref()?;
        public::show(self.codec.schemas(), Name::WriteBack, value).ok()
    }
}

fn plan(scenario: &Scenario) -> Plan {
    let zone = scenario.clock.zone().to_owned();
    Plan {
        horizon: Span::from_secs(7 * 86_400),
        tenants: scenario.tenants.iter().cloned().collect(),
        defaults: TenantDefaults { zone, ..TenantDefaults::default() },
        ..Plan::default()
    }
}

/// The code a dead letter says.
fn code(record: &Outgoing) -> String {
    let named = record.headers.iter().find(|(name, _)| name.ends_with("code"));
    let value = named.and_then(|(_, value)| value.as_deref()).unwrap_or_default();
    String::from_utf8_lossy(value).into_owned()
}
