//! Rehearsal: the scenarios of the rules with everything around the lanes, all at once, each among people of
//! its own.
//!
//! `bugle test` plays them through the lanes alone. Here they pass a broker, the push service, the door for
//! answers and the source systems, over HTTP; what arrived there and what the topics hold is compared with the
//! same expectations. The wall clock of this process stands still while anything is under way. Then it is moved
//! to what is due or happens next, so that days pass in a minute and no timer is late.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Runtime;

use super::config::{AccountSettings, Config, TenantSettings};
use super::{App, Unready, demo, wiring};
use crate::broker::Broker;
use crate::clock::{self, Tick};
use crate::codec::{Codec, Name, person, public};
use crate::directory::key::{members_key, person_key};
use crate::event::mute::{Matcher, Mute, Silence};
use crate::event::{Members, Outgoing, Person, Source, Span, Timestamp, Topic};
use crate::flow::TenantDefaults;
use crate::push::KeyRing;
use crate::scenario::{Act, Finding, Ground, Played, Scenario, compare, load_apart};
use crate::serve;
use crate::stand_in::{Given, Options, StandIn};
use crate::topology::Topology;

mod player;
mod record;
mod roles;

use player::{Cue, Player};
use record::Record;
use roles::{faults, refused_unasked, troubles};

/// Scenarios being played.
pub struct Rehearsal {
    broker: Arc<dyn Broker>,
    codec: Arc<Codec>,
    keys: KeyRing,
    app: App,
    runtime: Arc<Runtime>,
    /// The first is everybody's, with the source systems; the others are those of scenarios in which the
    /// push service itself plays a part.
    stand_ins: Vec<StandIn>,
    players: Vec<Player>,
    record: Record,
    /// How many people and groups of members were published.
    known: (i64, i64),
    now: Timestamp,
}

/// How far it has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Steps that are over, and all of them.
    pub steps: (usize, usize),
    /// What the clock shows.
    pub now: Timestamp,
}

/// What came of one scenario.
#[derive(Debug)]
pub struct Outcome {
    /// The scenario.
    pub scenario: Scenario,
    /// What came of it.
    pub played: Played,
    /// What came out otherwise than written.
    pub findings: Vec<Finding>,
}

/// What came of all.
#[derive(Debug)]
pub struct Performance {
    /// In the order of the files.
    pub outcomes: Vec<Outcome>,
    /// Pushes that somebody got twice.
    pub repeated: u64,
    /// From when to when it was in the scenarios.
    pub lasted: (Timestamp, Timestamp),
    /// How long that took.
    pub took: Duration,
}

/// How long anything may be under way.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks whether it is.
const LOOK: Duration = Duration::from_micros(500);

// === impl Rehearsal ===

impl Rehearsal {
    /// Reads the scenarios and starts everything they are played on.
    ///
    /// # Errors
    /// [`Unready`].
    pub fn start(mut config: Config, brokers: Option<&str>) -> Result<Self, Unready> {
        let runtime = Arc::new(tokio::runtime::Builder::new_multi_thread().enable_all().build()?);
        let mut stand_ins = vec![stand_in(&runtime)?];
        demo::stand_beside(&mut config, &stand_ins[0].url());
        config.lanes.dedupe_horizon = Span::from_secs(7 * 86_400);
        let codec = wiring::codec(&config)?;
        let mut players = Vec::new();
        for scenario in scenarios(&config, &codec)? {
            let of_its_own = scenario.steps.iter().flat_map(|step| &step.acts);
            let service = of_its_own.clone().any(|(_, act)| matches!(act, Act::Service(_)));
            if service {
                stand_ins.push(stand_in(&runtime)?);
            }
            let place = if service { stand_ins.len() - 1 } else { 0 };
            settle_in(&mut config, &scenario, (place, &stand_ins[place].url()));
            players.push(Player::new(scenario, place));
        }
        let broker = demo::broker(&mut config, brokers)?;
        broker.create(&wiring::specs(&config)?)?;
        let now = players.iter().map(|player| player.scenario.start).min().unwrap_or_default();
        clock::hold(now);
        let record = Record::open(broker.as_ref(), &players)?;
        let known = publish_people(broker.as_ref(), &players)?;
        let app = App::start(&config, Arc::clone(&broker), Arc::clone(&runtime))?;
        stand_ins[0].answer_to(format!("http://{}", app.answers));
        let keys = wiring::keys(&config)?;
        Ok(Self { broker, codec, keys, app, runtime, stand_ins, players, record, known, now })
    }

    /// Plays all of them to their ends; `on_step` sees how far it has come.
    ///
    /// # Errors
    /// What the broker said, or that something does not come to rest.
    pub fn play(mut self, mut on_step: impl FnMut(Progress)) -> Result<Performance, Unready> {
        let (began, from) = (Tick::now(), self.now);
        let all = self.players.iter().map(|player| player.scenario.steps.len()).sum();
        loop {
            let due = self.come_to_rest()?;
            if self.end_steps()? {
                let over = self.players.iter().map(Player::steps_over).sum();
                on_step(Progress { steps: (over, all), now: self.now });
            } else if !self.act()? {
                let Some(next) = self.players.iter().filter_map(Player::next_at).min() else { break };
                self.now = due.map_or(next, |due| due.min(next));
                // Who is away or back by then is so before anybody is told anything.
                self.app.directory.pass(self.now);
                clock::hold(self.now);
            }
        }
        let repeated = self.stand_ins.iter().map(|stand_in| stand_in.totals().repeated).sum();
        let Self { app, runtime, stand_ins, players, now, .. } = self;
        app.stop();
        stand_ins.into_iter().for_each(|stand_in| runtime.block_on(stand_in.stop()));
        let outcomes = players.into_iter().map(|player| {
            let (scenario, mut played) = player.end();
            played.steps.iter_mut().for_each(|moment| refused_unasked(&scenario, moment));
            let findings = compare(&scenario, &played);
            Outcome { scenario, played, findings }
        });
        Ok(Performance { outcomes: outcomes.collect(), repeated, lasted: (from, now), took: began.elapsed() })
    }

    /// Waits until nothing is under way; when something is due next.
    fn come_to_rest(&self) -> Result<Option<Timestamp>, Unready> {
        let began = Tick::now();
        loop {
            if let Some(rest) = self.app.board.traffic.rest(self.now) {
                return Ok(rest.due);
            }
            if began.elapsed() > PATIENCE {
                return Err(Unready::Restless { at: self.now, waited: PATIENCE.as_secs() });
            }
            clock::sleep(LOOK);
        }
    }

    /// Ends the steps whose time is over; whether there were any.
    fn end_steps(&mut self) -> Result<bool, Unready> {
        let now = self.now;
        let is_over = |player: &Player| matches!(player.next(), Some(Cue::End(at)) if at <= now);
        if !self.players.iter().any(is_over) {
            return Ok(false);
        }
        self.record.read(&self.codec, &mut self.players)?;
        self.take_in();
        self.players.iter_mut().filter(|player| is_over(player)).for_each(Player::end_step);
        Ok(true)
    }

    /// Lets the next thing happen in each scenario where it is time for one; whether there were any.
    fn act(&mut self) -> Result<bool, Unready> {
        let mut acted = false;
        for place in 0..self.players.len() {
            let Some(act) = self.players[place].act(self.now) else { continue };
            acted = true;
            match act {
                Act::Event(source, sent) => self.publish(place, (source, sent.value))?,
                Act::Answer(reply) => {
                    self.come_to_rest()?;
                    self.take_in();
                    // It is carried into its own systems before another house's stand there.
                    self.stand_ins[0].enter(&self.players[place].scenario.tenant);
                    self.answer(place, &reply);
                    self.come_to_rest()?;
                }
                Act::Person(person) => self.learn(&[*person], &[])?,
                Act::Members(members) => self.learn(&[], &[members])?,
                Act::Silence(silence) => self.silence(place, silence)?,
                // They are left out: they would be in force in every house.
                Act::Rules(_) => {}
                Act::Service(service) => {
                    let stand_in = self.players[place].stand_in;
                    match faults(&service) {
                        Ok(faults) => self.stand_ins[stand_in].set_faults(faults),
                        Err(why) => self.players[place].open.stuck.push(why.to_owned()),
                    }
                }
                Act::Office(office) => {
                    self.stand_ins[0].enter(&self.players[place].scenario.tenant);
                    match troubles(office) {
                        Ok(troubles) => self.stand_ins[0].trouble(troubles),
                        Err(why) => self.players[place].open.stuck.push(why.to_owned()),
                    }
                }
            }
        }
        Ok(acted)
    }

    /// What arrived is what can be answered.
    fn take_in(&mut self) {
        for (place, stand_in) in self.stand_ins.iter().enumerate() {
            for arrived in stand_in.take_arrivals() {
                self.record.arrived(&arrived, (&self.keys, place), &mut self.players);
            }
        }
    }

    fn publish(&self, place: usize, (source, value): (Source, Bytes)) -> Result<(), Unready> {
        if let Ok(json) = public::show(self.codec.schemas(), Name::Events(source), &value) {
            self.stand_ins[0].enter(&self.players[place].scenario.tenant);
            self.stand_ins[0].learn(&json);
        }
        self.app.board.traffic.written(Topic::Events(source), 1);
        Ok(self.broker.publish(vec![outgoing(Topic::Events(source), None, value)])?)
    }

    fn answer(&mut self, place: usize, reply: &crate::scenario::Reply) {
        let player = &mut self.players[place];
        let (token, response_id) = match player.token_for(reply, (&self.keys, self.now)) {
            Ok(found) => found,
            Err(why) => return player.open.stuck.push(why),
        };
        let given = Given {
            reply_token: &token,
            answer: reply.verb.as_str(),
            comment: reply.comment.as_deref(),
            response_id: &response_id,
        };
        match self.runtime.block_on(self.stand_ins[0].answer(&given)) {
            Ok(None) => {}
            Ok(refused) => player.open.refused = refused,
            Err(why) => player.open.stuck.push(format!("an answer could not be sent: {why}")),
        }
    }

    /// An operator silences something in this scenario's house, and the lanes know of it.
    fn silence(&self, place: usize, mut silence: Silence) -> Result<(), Unready> {
        let tenant = &self.players[place].scenario.tenant;
        let house = tenant.split_inclusive('.').next().unwrap_or_default();
        let of_tenants = silence.matchers.iter_mut().filter(|matcher| matcher.name == "tenant");
        of_tenants.for_each(|matcher| matcher.value.insert_str(0, house));
        let (name, value) = ("tenant".to_owned(), format!("{house}*"));
        silence.matchers.push(Matcher { name, negated: false, value });
        silence.id.insert_str(0, house);
        let (key, value) = (format!("silence|{}", silence.id), Mute::Silence(silence.clone()).write());
        let record = Outgoing { partition: Some(0), ..outgoing(Topic::Mutes, Some(key), value) };
        self.broker.publish(vec![record])?;
        let began = Tick::now();
        while !self.app.mutes.view().active(self.now).any(|known| known.id == silence.id) {
            if began.elapsed() > PATIENCE {
                return Err(Unready::Restless { at: self.now, waited: PATIENCE.as_secs() });
            }
            clock::sleep(LOOK);
        }
        Ok(())
    }

    /// The directory hears of people, and the lanes know of it.
    fn learn(&mut self, people: &[Person], members: &[Members]) -> Result<(), Unready> {
        let records = people.iter().map(of_person).chain(members.iter().map(of_members)).collect();
        self.broker.publish(records)?;
        self.known.0 += i64::try_from(people.len()).unwrap_or_default();
        self.known.1 += i64::try_from(members.len()).unwrap_or_default();
        let began = Tick::now();
        // The number of the directory's partitions, and how far each was read; then of the members.
        while !matches!(*self.app.directory.view().position(), [1, people, members]
            if people >= self.known.0 && members >= self.known.1)
        {
            if began.elapsed() > PATIENCE {
                return Err(Unready::Restless { at: self.now, waited: PATIENCE.as_secs() });
            }
            clock::sleep(LOOK);
        }
        Ok(())
    }
}

fn stand_in(runtime: &Runtime) -> Result<StandIn, Unready> {
    runtime.block_on(async {
        let listener = serve::listen(([127, 0, 0, 1], 0).into(), "the stand-in").await?;
        Ok(crate::stand_in::serve(listener, Options { keep_arrivals: true, ..Options::default() })?)
    })
}

/// The scenarios beside the rules, each in a house of its own. Left out are those with somebody else's payloads,
/// for whose they are is said by their mapping, and those with other rules, which are the same in all houses.
fn scenarios(config: &Config, codec: &Codec) -> Result<Vec<Scenario>, Unready> {
    let lines = |faults: Vec<crate::topology::Fault>| faults.iter().map(ToString::to_string).collect();
    let folder = &config.topology.folder;
    let topology =
        Topology::load(folder, &wiring::kinds(codec.schemas())).map_err(lines).map_err(Unready::Topology)?;
    let ground = Ground { schemas: codec.schemas(), codec, topology: &topology };
    let mut scenarios =
        load_apart(&folder.join("scenarios"), ground).map_err(lines).map_err(Unready::Scenarios)?;
    scenarios.retain(|scenario| {
        let mut acts = scenario.steps.iter().flat_map(|step| &step.acts);
        acts.all(|(_, act)| match act {
            Act::Event(source, sent) => {
                let house = scenario.tenant.split_inclusive('.').next().unwrap_or_default();
                let event = public::show(codec.schemas(), Name::Events(*source), &sent.value);
                event.is_ok_and(|event| {
                    event["tenant"].as_str().is_some_and(|tenant| tenant.starts_with(house))
                })
            }
            Act::Rules(_) => false,
            _ => true,
        })
    });
    Ok(scenarios)
}

/// Its tenants get the hours and languages the scenario says, and its own push service where it has one.
fn settle_in(config: &mut Config, scenario: &Scenario, (place, url): (usize, &str)) {
    let account = (place > 0).then(|| format!("its-own-{place}"));
    if let Some(name) = &account {
        let settings = AccountSettings { url: url.to_owned(), ..AccountSettings::default() };
        config.push.accounts.insert(name.clone(), settings);
    }
    let tenants = scenario.people.iter().map(|person| &person.tenant).chain([&scenario.tenant]);
    for tenant in tenants {
        let said = scenario.tenants.iter().find(|(name, _)| name == tenant).map(|(_, said)| said.clone());
        let (locale, zone, places) = match said {
            Some(TenantDefaults { locale, zone, places }) => (locale, zone, places),
            None => ("en".to_owned(), scenario.clock.zone().to_owned(), BTreeMap::new()),
        };
        let (locale, zone, account) = (Some(locale), Some(zone), account.clone());
        config.tenants.each.insert(tenant.clone(), TenantSettings { locale, zone, account, places });
    }
}

fn publish_people(broker: &dyn Broker, players: &[Player]) -> Result<(i64, i64), Unready> {
    let people: Vec<Outgoing> =
        players.iter().flat_map(|player| &player.scenario.people).map(of_person).collect();
    let members: Vec<Outgoing> =
        players.iter().flat_map(|player| &player.scenario.members).map(of_members).collect();
    let known = (people.len(), members.len());
    broker.publish(people.into_iter().chain(members).collect())?;
    Ok((i64::try_from(known.0).unwrap_or_default(), i64::try_from(known.1).unwrap_or_default()))
}

fn of_person(entry: &Person) -> Outgoing {
    let value = person::encode(Name::Person.local_id(), entry);
    outgoing(Topic::Directory, Some(person_key(&entry.tenant, &entry.user_id)), value)
}

fn of_members(members: &Members) -> Outgoing {
    let value = person::encode_members(Name::Members.local_id(), members);
    outgoing(Topic::Members, Some(members_key(members)), value)
}

fn outgoing(topic: Topic, key: Option<String>, value: impl Into<Bytes>) -> Outgoing {
    let (key, value) = (key.map(Into::into), Some(value.into()));
    Outgoing { topic, partition: None, key, value, headers: Vec::new() }
}
