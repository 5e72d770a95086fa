//! Plan: what `topology/*.yaml` may say, loaded whole or not at all.
//!
//! [`Topology::load`] reads every file, says all that is wrong at once, and answers with rules whose
//! names are slots. It carries nothing out: rooms ask a rule, and act.

mod against;
mod amend;
mod audience;
pub mod calendar;
mod check;
mod compile;
pub mod condition;
mod decision;
pub mod editor;
pub mod fault;
mod files;
mod forms;
mod in_force;
mod key;
pub mod kinds;
mod load;
pub mod mapping;
pub mod message;
mod muting;
pub mod plan;
mod reach;
pub(crate) mod reading;
pub mod rule;
mod rules_file;
pub mod schedule;
mod sense;
mod timing;
pub(crate) mod tree;
mod tried;
mod why;

use std::sync::Arc;

use hashbrown::HashMap;

pub(crate) use amend::Otherwise;
pub use condition::RuleFault;
pub use fault::{Fault, Paint};
pub use files::{BrokenFiles, Files, NO_RULES};
pub use in_force::InForce;
pub use key::text_of;
pub use kinds::Kinds;
pub(crate) use load::sheets;
pub use mapping::{Arrival, Mapping, Mappings};
pub use message::{Cut, Message, MessageFault};
pub use rule::{Closer, KindRule, Rule};
pub use schedule::Saying;
pub use tried::{Test, Tried};
pub use why::why;

/// All rules of a folder, ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct Topology {
    /// What it was read from.
    pub files: Files,
    /// A hash of every file's name and content.
    pub hash: u128,
    /// Which version of the rules this is: the offset they were published at, 0 where they were not; more by
    /// `lifted`.
    pub generation: u64,
    /// By how much generations are lifted above their offsets, where `bugle.topology` was made anew.
    pub lifted: u64,
    /// The rules in the order of their files' names, and in each in the order written.
    pub rules: Vec<Arc<Rule>>,
    by_kind: HashMap<String, Vec<KindRule>>,
    closers: HashMap<String, Vec<Closer>>,
    by_id: HashMap<String, usize>,
    /// For each rule, whether another one may tell a person the same news.
    shared: Vec<bool>,
    /// For each rule the only other one that may tell the same news.
    rivals: Vec<Option<usize>>,
    messages: usize,
    /// What payloads that others shaped become.
    pub mappings: Mappings,
    /// The versions before, oldest first.
    earlier: Vec<Arc<Self>>,
}

// === impl Topology ===

impl Topology {
    /// The rules that hear `kind`, in order; one look-up.
    #[must_use]
    pub fn rules_for(&self, kind: &str) -> &[KindRule] {
        self.by_kind.get(kind).map_or(&[], Vec::as_slice)
    }

    /// The rule with this id, in the form it has for `kind`.
    #[must_use]
    pub fn rule_for(&self, id: &str, kind: &str) -> Option<&KindRule> {
        self.rules_for(kind).iter().find(|rule| rule.rule.id == id)
    }

    /// What `kind` may close, in order.
    #[must_use]
    pub fn closers_for(&self, kind: &str) -> &[Closer] {
        self.closers.get(kind).map_or(&[], Vec::as_slice)
    }

    /// The rule with this id.
    #[must_use]
    pub fn rule(&self, id: &str) -> Option<&Arc<Rule>> {
        self.placed(id).map(|(_, rule)| rule)
    }

    /// The rule with this id and its place in the order of the files.
    #[must_use]
    pub fn placed(&self, id: &str) -> Option<(usize, &Arc<Rule>)> {
        let place = *self.by_id.get(id)?;
        self.rules.get(place).map(|rule| (place, rule))
    }

    /// Whether another rule may tell a person the same news as the rule at this place. Where none may,
    /// nothing needs to be remembered of what was told.
    #[must_use]
    pub fn shares_news(&self, place: usize) -> bool {
        self.shared.get(place).copied().unwrap_or(true)
    }

    /// The only other rule that may tell a person the news of the rule at this place; `None` where there are
    /// several, or none.
    #[must_use]
    pub fn only_rival(&self, place: usize) -> Option<&Rule> {
        self.rules.get((*self.rivals.get(place)?)?).map(|rule| &**rule)
    }

    /// The first half of the hash, as verdicts carry it; `bugle topology show` finds the rules by it.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
    pub const fn short_hash(&self) -> u64 {
        (self.hash >> 64) as u64
    }

    /// How many messages were read.
    #[must_use]
    pub const fn messages(&self) -> usize {
        self.messages
    }
}
