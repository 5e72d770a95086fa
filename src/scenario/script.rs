//! Script: a scenario, read: who is there, what happens when, and what is to come of it.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::event::mute::Silence;
use crate::event::notice::Verb;
use crate::event::record::Sent;
use crate::event::{Members, Occasion, Person, Priority, Source, Timestamp};

use super::moment::Clock;
use crate::flow::TenantDefaults;
use crate::topology::Topology;

/// One scenario of a file.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Which use case of README.md's table it proves.
    pub use_case: Option<String>,
    /// A clause that is true of the rules.
    pub name: String,
    /// The file it stands in.
    pub file: String,
    /// The line it starts at.
    pub line: usize,
    /// Its zone.
    pub clock: Clock,
    /// When it starts.
    pub start: Timestamp,
    /// Whose events it is about.
    pub tenant: String,
    /// What a tenant's people have who say nothing themselves, and its places.
    pub tenants: Vec<(String, TenantDefaults)>,
    /// Everybody, at the start.
    pub people: Vec<Person>,
    /// Who belongs to what, at the start.
    pub members: Vec<Members>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    /// The line it starts at.
    pub line: usize,
    /// When.
    pub at: Timestamp,
    /// Until when what is told belongs to it.
    pub end: Timestamp,
    /// What happens.
    pub acts: Vec<(Timestamp, Act)>,
    /// What comes of it.
    pub expected: Expected,
}

/// Something that happens.
#[derive(Debug, Clone)]
pub enum Act {
    /// A source system publishes an event.
    Event(Source, Sent),
    /// A person answers.
    Answer(Reply),
    /// The directory hears of a person.
    Person(Box<Person>),
    /// The directory hears who belongs to something.
    Members(Members),
    /// An operator silences something.
    Silence(Silence),
    /// Other rules are in force from now on.
    Rules(Arc<Topology>),
    /// The push service is another from now on.
    Service(Service),
    /// The source systems are others from now on.
    Office(Office),
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Who answers.
    pub by: Who,
    /// With whose reply token.
    pub token_of: Who,
    /// What.
    pub verb: Verb,
    /// What they write.
    pub comment: Option<String>,
    /// To the pushes of this rule.
    pub rule: Option<String>,
    /// To which of them, from 1; the last one.
    pub push: Option<u32>,
    /// The word of the refusal; `None`: it counts.
    pub refused: Option<String>,
}

/// How the push service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// It takes everything.
    Takes,
    /// It takes nothing for the moment.
    Unavailable,
    /// It refuses everything, or what is for this person, with this code.
    Refuses(String, Option<String>),
    /// It lets the account send nothing.
    Blocks,
    /// It does not say whether it took it.
    Unclear,
}

/// How the source systems are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Office {
    /// They carry out what was answered.
    #[default]
    Takes,
    /// They have no room for it: one of the words of [`crate::event::write_back::REFUSALS`].
    Refuses(&'static str),
}

/// A person of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    /// Whose person.
    pub tenant: String,
    /// The person.
    pub user_id: String,
}

/// What a step expects.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// What is told, and nothing else is.
    pub told: Vec<Telling>,
    /// Who hears nothing, and of which rule.
    pub not_told: Vec<(Who, Option<String>)>,
    /// Verdicts that are given.
    pub verdicts: Vec<Ended>,
    /// What is written back, among other things; `None`: nothing is said about it.
    pub write_back: Option<Vec<(usize, Json)>>,
    /// Codes of dead letters.
    pub dead_letters: Vec<String>,
}

/// A telling that is expected. What it leaves open is not asked.
#[derive(Debug, Clone)]
pub struct Telling {
    /// The line it starts at.
    pub line: usize,
    /// The rule.
    pub rule: String,
    /// Everybody who hears it.
    pub to: Vec<Who>,
    /// Texts that title or summary hold.
    pub text: Vec<String>,
    /// BCP 47.
    pub locale: Option<String>,
    /// The answers offered, in their order.
    pub answers: Option<Vec<Verb>>,
    /// How urgent.
    pub priority: Option<Priority>,
    /// Which telling.
    pub occasion: Option<String>,
    /// A text the link holds.
    pub link: Option<String>,
    /// The app it is for.
    pub app: Option<String>,
}

/// A verdict that is expected.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The line it starts at.
    pub line: usize,
    /// The rule; `None` where none had a say.
    pub rule: Option<String>,
    /// `told` or a reason.
    pub word: String,
    /// Which telling.
    pub occasion: Option<String>,
    /// People it names.
    pub people: Vec<String>,
}

// === impl Who ===

impl Who {
    /// As people write them where `tenant` goes without saying.
    #[must_use]
    pub fn show(&self, tenant: &str) -> String {
        if self.tenant == tenant { self.user_id.clone() } else { format!("{}/{}", self.tenant, self.user_id) }
    }
}

/// Whether a word names this occasion.
pub(super) fn is_occasion(occasion: Occasion, word: &str) -> bool {
    occasion.to_string() == word
}
