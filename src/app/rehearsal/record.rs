//! Record: what came of all scenarios, as the topics and the push service hold it, each thing where it belongs.

use std::collections::HashMap;
use std::time::Duration;

use super::super::letters::Letter;
use super::player::Player;
use crate::broker::{Broker, BrokerError, Follow};
use crate::codec::{Codec, Name, outputs, public};
use crate::event::notice::Verb;
use crate::event::{Incoming, NoticeId, Priority, Topic};
use crate::push::KeyRing;
use crate::scenario::{Act, Told, Who, untold};
use crate::stand_in::Arrived;

/// The topics that say what came of it, and whose tenants are whose.
pub(super) struct Record {
    follows: Vec<(Topic, Box<dyn Follow>)>,
    houses: HashMap<String, usize>,
}

/// How long one look for what was written may take.
const WAIT: Duration = Duration::from_millis(20);

// === impl Record ===

impl Record {
    pub(super) fn open(broker: &dyn Broker, players: &[Player]) -> Result<Self, BrokerError> {
        let mut follows = Vec::new();
        for topic in [Topic::Audit, Topic::Receipts, Topic::Writebacks, Topic::DeadLetters] {
            follows.push((topic, broker.follow(topic)?));
        }
        let houses = players.iter().enumerate().flat_map(|(place, player)| {
            let scenario = &player.scenario;
            let tenants = scenario.people.iter().map(|person| &person.tenant).chain([&scenario.tenant]);
            tenants.map(move |tenant| (tenant.clone(), place))
        });
        Ok(Self { follows, houses: houses.collect() })
    }

    /// Reads everything that was written since.
    pub(super) fn read(&mut self, codec: &Codec, players: &mut [Player]) -> Result<(), BrokerError> {
        let mut records = Vec::new();
        for (topic, follow) in &mut self.follows {
            let ends = follow.ends()?;
            while follow.positions().iter().zip(&ends).any(|(read, end)| read < end) {
                follow.poll(WAIT, &mut records)?;
            }
            for record in records.drain(..) {
                file(*topic, record, (codec, &self.houses), players);
            }
        }
        Ok(())
    }

    /// A push that the stand-in in this place took.
    pub(super) fn arrived(
        &self,
        arrived: &Arrived,
        (keys, place): (&KeyRing, usize),
        players: &mut [Player],
    ) {
        let heard = told(arrived, keys);
        let player = heard.as_ref().and_then(|(told, _)| self.houses.get(&told.who.tenant));
        match (heard, player.and_then(|player| players.get_mut(*player))) {
            (Some((told, token)), Some(player)) if player.stand_in == place => player.told(told, token),
            // It says not whose it is, or came where it does not belong: everybody should hear of that.
            _ => players.iter_mut().for_each(|player| {
                player.open.stuck.push(format!("a push that is nobody's: {}", arrived.title));
            }),
        }
    }
}

/// Puts a record to the scenario it belongs to.
fn file(
    topic: Topic,
    record: Incoming,
    (codec, houses): (&Codec, &HashMap<String, usize>),
    players: &mut [Player],
) {
    let value = record.value.clone().unwrap_or_default();
    let of = |tenant: &str| houses.get(tenant).copied();
    match topic {
        Topic::Audit => {
            for verdict in outputs::decode_verdicts(&value).map(|(_, verdicts)| verdicts).unwrap_or_default()
            {
                if let Some(player) = of(&verdict.tenant).and_then(|place| players.get_mut(place)) {
                    player.open.verdicts.push(verdict);
                }
            }
        }
        Topic::Receipts => {
            let Ok(receipt) = outputs::decode_receipt(&value) else { return };
            if let Some(player) = of(&receipt.tenant).and_then(|place| players.get_mut(place)) {
                player.open.verdicts.extend(untold(receipt));
            }
        }
        Topic::Writebacks => {
            let Ok(json) = public::show(codec.schemas(), Name::WriteBack, &value) else { return };
            let tenant = json["tenant"].as_str().unwrap_or_default();
            if let Some(player) = of(tenant).and_then(|place| players.get_mut(place)) {
                player.open.write_backs.push(json);
            }
        }
        _ => {
            let letter = Letter::read(record);
            // A batch lies there as JSON.
            let batch: serde_json::Value = serde_json::from_slice(&value).unwrap_or_default();
            let of_batch = batch["tenant"].as_str().map(str::to_owned);
            let of_subject = || letter.word("subject").split('|').next().unwrap_or_default().to_owned();
            let tenant = of_batch.unwrap_or_else(of_subject);
            let says_so = |player: &&mut Player| {
                let acts = player.scenario.steps.iter().flat_map(|step| &step.acts);
                acts.into_iter().any(|(_, act)| matches!(act, Act::Event(_, sent) if sent.value == value))
            };
            let code = letter.word("code").to_owned();
            if let Some(place) = of(&tenant) {
                players[place].open.dead_letters.push(code);
            } else if let Some(player) = players.iter_mut().find(says_so) {
                player.open.dead_letters.push(code);
            }
        }
    }
}

/// A push as the scenarios speak of it, and what an answer to it must bring along.
fn told(arrived: &Arrived, keys: &KeyRing) -> Option<(Told, String)> {
    let data = |key: &str| arrived.data.get(key).cloned();
    let token = data("reply_token")?;
    let claims = keys.verify(&token, arrived.at).ok()?;
    let notice = data("notification_id")?;
    let notice = u128::from_str_radix(notice.strip_prefix("n-")?, 16).ok()?;
    let priorities = [Priority::Low, Priority::Normal, Priority::High, Priority::Critical];
    let actions = data("actions").unwrap_or_default();
    let verb = |action: &str| Verb::ALL.into_iter().find(|verb| verb.as_str() == action);
    let told = Told {
        at: arrived.at,
        who: Who { tenant: claims.tenant, user_id: claims.person },
        rule: claims.rule,
        occasion: claims.occasion,
        title: arrived.title.clone(),
        summary: arrived.summary.clone(),
        locale: data("locale")?,
        priority: priorities.into_iter().find(|priority| priority.as_str() == arrived.priority)?,
        answers: actions.split(',').filter_map(verb).collect(),
        link: data("link"),
        app: arrived.target.clone(),
        notice: NoticeId(notice),
        subject: claims.subject,
        conversation: claims.conversation,
    };
    (told.who.user_id == arrived.person).then_some((told, token))
}
