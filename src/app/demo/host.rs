//! Host: what stands behind the inboxes of the demo: the directory, the trails, and the clock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::app::trails::Trails;
use crate::broker::{Broker, BrokerError, Outgoing};
use crate::clock::{self, Tick};
use crate::codec::person;
use crate::directory::Directory;
use crate::directory::key::person_key;
use crate::event::{DayTime, Person, Span, Timestamp, Topic};
use crate::explain::{Line, Tone};
use crate::push::KeyRing;
use crate::stand_in::{Entry, Host, Trail, Wish, Wishes};
use crate::store::view::Board;

/// The demo's own.
pub(super) struct DemoHost {
    broker: Arc<dyn Broker>,
    /// The schema id of people.
    id: u32,
    keys: KeyRing,
    board: Arc<Board>,
    directory: Arc<Directory>,
    /// Everybody, as published last.
    people: Mutex<HashMap<(String, String), Person>>,
    trails: Mutex<Trails>,
    /// One hand at a time puts the clock forward.
    hand: Mutex<()>,
}

/// How long the clock is put forward step by step, before it is put there all at once.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks whether anything is.
const LOOK: Duration = Duration::from_millis(5);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl DemoHost ===

impl DemoHost {
    pub(super) fn new(
        broker: &Arc<dyn Broker>,
        (id, people): (u32, Vec<Person>),
        (keys, board, directory): (KeyRing, &Arc<Board>, &Arc<Directory>),
    ) -> Result<Self, BrokerError> {
        let key = |person: Person| ((person.tenant.clone(), person.user_id.clone()), person);
        Ok(Self {
            broker: Arc::clone(broker),
            id,
            keys,
            board: Arc::clone(board),
            directory: Arc::clone(directory),
            people: Mutex::new(people.into_iter().map(key).collect()),
            trails: Mutex::new(Trails::open(broker.as_ref())?),
            hand: Mutex::default(),
        })
    }

    /// Reads what was decided since.
    pub(super) fn read(&self) -> Result<(), BrokerError> {
        lock(&self.trails).read()
    }

    /// Whose push a token belongs to, and its subject.
    fn claims(&self, token: &str) -> Option<((String, String), String)> {
        // What has expired can still be looked at.
        let claims = self.keys.verify(token, Timestamp::default()).ok()?;
        Some(((claims.tenant, claims.person), claims.subject))
    }
}

impl Host for DemoHost {
    fn wishes(&self, token: &str) -> Option<Wishes> {
        let (whose, _) = self.claims(token)?;
        let people = lock(&self.people);
        let person = people.get(&whose)?;
        let quiet = person.quiet_from.clone().zip(person.quiet_to.clone());
        Some(Wishes { muted: person.muted.clone(), quiet })
    }

    fn wish(&self, token: &str, wish: Wish) -> Result<(), String> {
        let (whose, _) = self.claims(token).ok_or("nobody knows whose push this is")?;
        let mut people = lock(&self.people);
        let person = people.get(&whose).ok_or("the directory does not know this person")?;
        let mut person = person.clone();
        match wish {
            Wish::Mute(category) => {
                person.muted.retain(|muted| *muted != category);
                person.muted.push(category);
            }
            Wish::Hear(category) => person.muted.retain(|muted| *muted != category),
            Wish::Quiet(None) => (person.quiet_from, person.quiet_to) = (None, None),
            Wish::Quiet(Some((from, to))) => {
                let hour = |text: &str| text.parse::<DayTime>().map_err(|error| error.to_string());
                let (from, to) = (hour(&from)?.to_string(), hour(&to)?.to_string());
                (person.quiet_from, person.quiet_to) = (Some(from), Some(to));
            }
        }
        let record = Outgoing {
            topic: Topic::Directory,
            partition: None,
            key: Some(person_key(&person.tenant, &person.user_id).into()),
            value: Some(person::encode(self.id, &person).into()),
            headers: Vec::new(),
        };
        self.broker.publish(vec![record]).map_err(|error| error.to_string())?;
        people.insert(whose, person);
        Ok(())
    }

    fn decided(&self, token: &str, response_id: &str) -> Option<Result<(), String>> {
        let claims = self.keys.verify(token, Timestamp::default()).ok()?;
        let decision = self.board.answers.of(&claims.tenant, response_id, &claims.person)?;
        let Some(word) = decision.refused else { return Some(Ok(())) };
        let about = (claims.tenant.as_str(), claims.subject.as_str(), claims.rule.as_str());
        let first = self.board.answers.counted(about, ["approve", "reject"]);
        Some(Err(match first.filter(|_| word == "already_answered") {
            Some((first, verb)) => format!("{} was first: {verb}", first.person),
            None => word.replace('_', " "),
        }))
    }

    fn trail(&self, token: &str) -> Option<Trail> {
        let (_, subject) = self.claims(token)?;
        let matter = lock(&self.trails).of(&subject);
        let lines = matter.map(|matter| matter.lines().under).unwrap_or_default();
        Some(Trail { subject, entries: lines.into_iter().map(entry).collect() })
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn put_forward(&self, by: Span) {
        let _one = lock(&self.hand);
        put_forward((&self.board, &self.directory), clock::now() + by);
    }
}

/// A line as the pages show it.
fn entry(line: Line) -> Entry {
    let tone = match line.tone {
        Tone::Plain => "",
        Tone::Told => "told",
        Tone::NotTold => "not",
        Tone::Done => "done",
    };
    Entry { what: line.text, tone, under: line.under.into_iter().map(entry).collect() }
}

/// From one thing that is due to the next; all at once when that takes too long.
fn put_forward((board, directory): (&Board, &Directory), to: Timestamp) {
    let began = Tick::now();
    loop {
        let due = come_to_rest(board, began).filter(|due| *due < to);
        let next = due.unwrap_or(to);
        // Who is away or back by then is so before anybody is told anything.
        directory.pass(next);
        clock::skip(next.since(clock::now()).to_duration());
        if next == to {
            // What is due then is done before the page looks.
            let _ = come_to_rest(board, began);
            return;
        }
    }
}

/// When something is due next, once nothing is under way.
fn come_to_rest(board: &Board, began: Tick) -> Option<Timestamp> {
    // Every lane is to have looked at this time; the clock goes on meanwhile.
    let now = clock::now();
    while began.elapsed() < PATIENCE {
        if let Some(rest) = board.traffic.rest(now) {
            return rest.due;
        }
        clock::sleep(LOOK);
    }
    None
}
