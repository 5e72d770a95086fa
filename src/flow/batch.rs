//! Batch: tellings become requests whose members never change.
//!
//! Tellings share a request when their template is the same: rule, locale, priority, answers, life.
//! What differs between events and people travels as inserts, so that different events share a
//! request. A batch never holds two tenants, nor staff beside externals.

use std::collections::BTreeMap;

use crate::event::push::{Letter, MOST_BATCH_BYTES, MOST_MEMBERS};
use crate::event::{Batch, Member, NoticeId, Template, Timestamp};

use super::Plan;
use crate::event::message_id;

/// What the tellings of one batch share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// Whose data.
    pub tenant: String,
    /// Staff or externals.
    pub external: bool,
    /// The rule's place in the topology.
    pub rule: usize,
    /// The message's locale.
    pub locale: String,
    /// The reader's zone, where the text shows times; empty otherwise.
    pub zone: String,
    /// The answers offered, as bits.
    pub answers: u8,
    /// Seconds the push service may keep trying.
    pub ttl_seconds: u32,
}

/// The tellings of one group.
#[derive(Debug)]
pub struct Pile {
    template: Template,
    letters: Vec<Letter>,
    by_notice: BTreeMap<NoticeId, u32>,
    members: Vec<Option<Member>>,
    oldest: Timestamp,
}

/// Seconds a push may live: a few classes, so that events with different deadlines share a request.
const LIVES: &[u32] = &[3_600, 14_400, 43_200, 86_400, 259_200, 604_800, 2_419_200];
/// How long a push without a deadline may live: a week, a phone's holiday drawer.
const USUAL_LIFE: u32 = 604_800;

/// The class of a push that is noise after `expires_at`.
#[must_use]
pub fn ttl_seconds(now: Timestamp, expires_at: Option<Timestamp>) -> u32 {
    let Some(expires_at) = expires_at else { return USUAL_LIFE };
    let left = expires_at.since(now).millis() / 1_000;
    // The longest class that ends before the deadline; the shortest when even that is too long.
    LIVES.iter().copied().rfind(|life| i64::from(*life) <= left).unwrap_or(LIVES[0])
}

// === impl Pile ===

impl Pile {
    /// An empty pile.
    #[must_use]
    pub fn new(template: Template) -> Self {
        Self {
            template,
            letters: Vec::new(),
            by_notice: BTreeMap::new(),
            members: Vec::new(),
            oldest: Timestamp::from_millis(i64::MAX),
        }
    }

    /// The number of the notice's letter, which `write` makes when it is not there yet.
    pub fn letter<E>(
        &mut self,
        notice: NoticeId,
        write: impl FnOnce() -> Result<Letter, E>,
    ) -> Result<u32, E> {
        if let Some(letter) = self.by_notice.get(&notice) {
            return Ok(*letter);
        }
        let number = u32::try_from(self.letters.len()).unwrap_or(u32::MAX);
        self.letters.push(write()?);
        self.by_notice.insert(notice, number);
        Ok(number)
    }

    /// The number the next person added will have.
    #[must_use]
    pub fn next_member(&self) -> usize {
        self.members.len()
    }

    /// Adds a person.
    pub fn add(&mut self, user_id: &str, letter: u32, appended_at: Timestamp) {
        self.oldest = self.oldest.min(appended_at);
        self.members.push(Some(Member { user_id: user_id.to_owned(), letter }));
    }

    /// Takes a person out again, for another telling won; `false` when they were out already.
    pub fn take(&mut self, number: usize) -> bool {
        self.members.get_mut(number).is_some_and(|member| member.take().is_some())
    }

    /// Cuts the pile into batches of at most 500 people and 768 KiB.
    #[must_use]
    pub fn cut(self, group: &Group, now: Timestamp, plan: &Plan) -> Vec<Batch> {
        let mut members: Vec<Member> = self.members.into_iter().flatten().collect();
        members.sort_unstable();
        let sizes: Vec<usize> = self.letters.iter().map(weight).collect();
        let mut batches = Vec::new();
        let mut rest = members.as_slice();
        while !rest.is_empty() {
            let (part, after) = rest.split_at(fitting(rest, &sizes));
            let (letters, members) = only_used(&self.letters, part);
            let message_id = message_id::of_batch(&group.tenant, &self.template, &letters, &members);
            let ends = letters.iter().map(|letter| letter.expires_at).collect::<Option<Vec<_>>>();
            batches.push(Batch {
                message_id,
                tenant: group.tenant.clone(),
                account: plan.account.clone(),
                template: self.template.clone(),
                cut_at: now,
                oldest: self.oldest,
                expires_at: ends.and_then(|ends| ends.into_iter().max()),
                signing_key: plan.signing_key.clone(),
                letters,
                members,
            });
            rest = after;
        }
        batches
    }
}

/// How many of `members` fit one batch; at least one.
fn fitting(members: &[Member], sizes: &[usize]) -> usize {
    let mut used = std::collections::HashSet::new();
    let mut bytes = 4_096;
    for (index, member) in members.iter().take(MOST_MEMBERS).enumerate() {
        bytes += member.user_id.len() + 8;
        if used.insert(member.letter) {
            bytes += sizes.get(member.letter as usize).copied().unwrap_or(0);
        }
        if bytes > MOST_BATCH_BYTES && index > 0 {
            return index;
        }
    }
    members.len().min(MOST_MEMBERS)
}

/// The letters that these members need, numbered anew.
fn only_used(letters: &[Letter], members: &[Member]) -> (Vec<Letter>, Vec<Member>) {
    let mut numbers = BTreeMap::new();
    let mut kept = Vec::new();
    let members = members
        .iter()
        .filter_map(|member| {
            let letter = letters.get(member.letter as usize)?;
            let number = *numbers.entry(member.letter).or_insert_with(|| {
                kept.push(letter.clone());
                u32::try_from(kept.len() - 1).unwrap_or(u32::MAX)
            });
            Some(Member { user_id: member.user_id.clone(), letter: number })
        })
        .collect();
    (kept, members)
}

/// How many bytes a letter takes in a batch, its audience included: one that lists people may be long.
fn weight(letter: &Letter) -> usize {
    postcard::experimental::serialized_size(letter).expect("a letter has nothing postcard refuses")
}

/// A batch made of some members of another: what a split or a second look leaves.
#[must_use]
pub fn child(parent: &Batch, members: &[Member]) -> Batch {
    let (letters, members) = only_used(&parent.letters, members);
    let message_id = message_id::of_part(&parent.message_id, &letters, &members);
    Batch { message_id, letters, members, ..parent.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_never_lives_beyond_its_deadline_unless_the_deadline_is_within_the_hour() {
        let now = Timestamp::from_millis(0);
        let after = |secs: i64| Some(Timestamp::from_millis(secs * 1_000));
        assert_eq!(ttl_seconds(now, None), USUAL_LIFE);
        assert_eq!(ttl_seconds(now, after(86_400)), 86_400);
        assert_eq!(ttl_seconds(now, after(86_399)), 43_200);
        assert_eq!(ttl_seconds(now, after(60)), 3_600);
        assert_eq!(ttl_seconds(now, after(i64::MAX / 10_000)), 2_419_200);
    }
}
