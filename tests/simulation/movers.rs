//! Movers: people who leave their roles and take them again while what concerns these is under way, and the
//! copies of the directory that the instances have.

use std::sync::Arc;

use bugle::clock;
use bugle::directory::Directory;
use bugle::event::{Person, Span, Timestamp, Topic};
use bugle::flow::Mutes;

use super::town::{Town, hear_of};

/// How long after a removal was committed somebody may still be told.
const GRACE: Span = Span::from_secs(10);

/// How many of them there are.
pub(crate) const MOVERS: usize = 3;

/// What was written to the directory since the beginning.
#[derive(Default)]
pub(crate) struct Movers {
    /// When, which of them, and whether they have their roles since.
    changes: Vec<(Timestamp, usize, bool)>,
}

/// One instance's copy of the directory.
pub(crate) struct Copied {
    pub(crate) directory: Arc<Directory>,
    /// Nobody silences anything here.
    pub(crate) mutes: Arc<Mutes>,
    /// How many of the changes it has heard of.
    read: usize,
}

/// The user id of one of them.
fn user(number: usize) -> String {
    format!("mover-{number}")
}

/// All of them with their roles, which others have, too, at the place of `like`.
pub(crate) fn movers(like: &Person) -> Vec<Person> {
    let roles = vec!["legal".to_owned(), "field-service".to_owned()];
    (0..MOVERS).map(|number| Person { user_id: user(number), roles: roles.clone(), ..like.clone() }).collect()
}

// === impl Movers ===

impl Movers {
    /// One of them leaves, or takes the roles again; whether they have them then.
    pub(crate) fn moves(&mut self, number: usize) -> bool {
        let holds = !self.holds(number);
        self.changes.push((clock::now(), number, holds));
        holds
    }

    fn holds(&self, number: usize) -> bool {
        self.changes.iter().rev().find(|change| change.1 == number).is_none_or(|change| change.2)
    }

    /// When this person left and came back.
    pub(crate) fn said(&self, user_id: &str) -> String {
        let own = self.changes.iter().filter(|change| user(change.1) == user_id);
        own.map(|(at, _, holds)| format!("{} {at}", if *holds { "joined" } else { "left" }))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Whether this person ever moved.
    pub(crate) fn moved(&self, user_id: &str) -> bool {
        self.changes.iter().any(|change| user(change.1) == user_id)
    }

    /// Whether this person may first be told at `at`: they have their roles, or left them just now.
    pub(crate) fn may_be_told(&self, user_id: &str, at: Timestamp) -> bool {
        let is_last = |change: &&(Timestamp, usize, bool)| user(change.1) == user_id && change.0 <= at;
        let last = self.changes.iter().rev().find(is_last);
        last.is_none_or(|(since, _, holds)| *holds || at.since(*since) <= GRACE)
    }
}

// === impl Copied ===

impl Copied {
    /// A copy that was read to the end, as an instance has it when it starts.
    pub(crate) fn read(town: &Town, people: &[Person], movers: &Movers) -> Self {
        let mut copied = Self { directory: Arc::default(), mutes: Arc::default(), read: 0 };
        for (offset, person) in (0..).zip(people) {
            hear_of(&copied.directory, &town.codec, offset, person);
        }
        copied.follow(town, people, movers);
        copied
    }

    /// It hears of everything that was written, and that this is all.
    pub(crate) fn follow(&mut self, town: &Town, people: &[Person], movers: &Movers) {
        for (at, (_, number, holds)) in movers.changes.iter().enumerate().skip(self.read) {
            let whole = people.iter().find(|person| person.user_id == user(*number)).unwrap();
            let roles = if *holds { whole.roles.clone() } else { Vec::new() };
            let offset = i64::try_from(people.len() + at).unwrap();
            hear_of(&self.directory, &town.codec, offset, &Person { roles, ..whole.clone() });
        }
        self.read = movers.changes.len();
        self.believe();
    }

    /// It is taken for whole, whether or not it is.
    pub(crate) fn believe(&self) {
        for topic in [Topic::Directory, Topic::Members] {
            self.directory.confirm(topic, &[], clock::now());
        }
        self.mutes.confirm(0, clock::now());
    }
}
