//! Batch: tellings become requests whose members never change.
//!
//! Tellings share a request when their template is the same: rule, locale, priority, answers, life.
//! What differs between events and people travels as inserts, so that different events share a
//! request. A batch never holds two tenants, nor staff beside externals.

use std::hash::{Hash, Hasher};
use std::ops::Range;

use hashbrown::{Equivalent, HashMap, HashSet};

use crate::event::frame::append;
use crate::event::push::{self, MOST_BATCH_BYTES, MOST_MEMBERS};
use crate::event::{Batch, BatchHead, Letter, Member, NoticeId, Parcel, Template, Timestamp, message_id};

use super::Plan;
use super::accounts::Holds;

/// What the tellings of one batch share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Whose data.
    pub tenant: String,
    /// Staff or externals.
    pub external: bool,
    /// The rule's place in the topology.
    pub rule: usize,
    /// Which topology.
    pub generation: u64,
    /// Which of the rule's sayings.
    pub saying: u16,
    /// Whether it stands for several changes, and says for how many.
    pub counted: bool,
    /// Whether it lists several tellings.
    pub listed: bool,
    /// The message's locale.
    pub locale: String,
    /// The reader's zone, where the text shows times; empty otherwise.
    pub zone: String,
    /// The answers offered, as bits.
    pub answers: u8,
    /// Seconds the push service may keep trying.
    pub ttl_seconds: u32,
}

/// A group by names that lie elsewhere: most tellings have one whose pile is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grouped<'g> {
    /// Whose data.
    pub tenant: &'g str,
    /// Staff or externals.
    pub external: bool,
    /// The rule's place in the topology.
    pub rule: usize,
    /// Which topology.
    pub generation: u64,
    /// Which of the rule's sayings.
    pub saying: u16,
    /// Whether it stands for several changes, and says for how many.
    pub counted: bool,
    /// Whether it lists several tellings.
    pub listed: bool,
    /// The message's locale.
    pub locale: &'g str,
    /// The reader's zone, where the text shows times; empty otherwise.
    pub zone: &'g str,
    /// The answers offered, as bits.
    pub answers: u8,
    /// Seconds the push service may keep trying.
    pub ttl_seconds: u32,
}

/// The tellings of one group, in the order they came.
#[derive(Debug)]
pub struct Pile {
    template: Template,
    /// The letters as they will lie in a batch, one after the other.
    written: Vec<u8>,
    letters: Vec<Written>,
    by_content: HashMap<NoticeId, u32, foldhash::fast::RandomState>,
    /// The user ids, one after the other.
    names: String,
    members: Vec<Named>,
    oldest: Timestamp,
}

/// A letter in a pile.
#[derive(Debug)]
struct Written {
    notice: NoticeId,
    expires_at: Option<Timestamp>,
    lies: Range<usize>,
}

/// A person in a pile.
#[derive(Debug)]
struct Named {
    name: Range<usize>,
    letter: u32,
    /// Another telling won.
    taken: bool,
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

// === impl Group ===

impl From<&Grouped<'_>> for Group {
    fn from(group: &Grouped<'_>) -> Self {
        let Grouped { tenant, external, rule, generation, saying, counted, listed, locale, zone, .. } =
            *group;
        let Grouped { answers, ttl_seconds, .. } = *group;
        let [tenant, locale, zone] = [tenant, locale, zone].map(str::to_owned);
        Self {
            tenant,
            external,
            rule,
            generation,
            saying,
            counted,
            listed,
            locale,
            zone,
            answers,
            ttl_seconds,
        }
    }
}

impl Equivalent<Group> for Grouped<'_> {
    fn equivalent(&self, group: &Group) -> bool {
        *self == group.borrowed()
    }
}

impl Group {
    fn borrowed(&self) -> Grouped<'_> {
        Grouped {
            tenant: &self.tenant,
            external: self.external,
            rule: self.rule,
            generation: self.generation,
            saying: self.saying,
            counted: self.counted,
            listed: self.listed,
            locale: &self.locale,
            zone: &self.zone,
            answers: self.answers,
            ttl_seconds: self.ttl_seconds,
        }
    }
}

impl Hash for Group {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrowed().hash(state);
    }
}

// === impl Pile ===

impl Pile {
    /// An empty pile.
    #[must_use]
    pub fn new(template: Template) -> Self {
        Self {
            template,
            written: Vec::new(),
            letters: Vec::new(),
            by_content: HashMap::default(),
            names: String::new(),
            members: Vec::new(),
            oldest: Timestamp::from_millis(i64::MAX),
        }
    }

    /// The number of the letter with this content, when it is there: a notice, or the list of a digest.
    #[must_use]
    pub fn letter_of(&self, content: NoticeId) -> Option<u32> {
        self.by_content.get(&content).copied()
    }

    /// Writes a letter that is not there yet; its number.
    pub fn write(&mut self, letter: &Letter<'_>) -> u32 {
        self.write_as(letter.notice, letter)
    }

    /// Writes a letter whose content is known by another number than the notice it goes out for.
    pub fn write_as(&mut self, content: NoticeId, letter: &Letter<'_>) -> u32 {
        let number = u32::try_from(self.letters.len()).unwrap_or(u32::MAX);
        let start = self.written.len();
        self.written = append(letter, std::mem::take(&mut self.written));
        let lies = start..self.written.len();
        self.letters.push(Written { notice: letter.notice, expires_at: letter.expires_at, lies });
        self.by_content.insert(content, number);
        number
    }

    /// The number the next person added will have.
    #[must_use]
    pub fn next_member(&self) -> usize {
        self.members.len()
    }

    /// Adds a person.
    pub fn add(&mut self, user_id: &str, letter: u32, appended_at: Timestamp) {
        self.oldest = self.oldest.min(appended_at);
        let start = self.names.len();
        self.names.push_str(user_id);
        self.members.push(Named { name: start..self.names.len(), letter, taken: false });
    }

    /// The person with this number.
    #[must_use]
    pub fn name(&self, number: usize) -> Option<&str> {
        self.names.get(self.members.get(number)?.name.clone())
    }

    /// Takes a person out again, for another telling won; `false` when they were out already.
    pub fn take(&mut self, number: usize) -> bool {
        self.members.get_mut(number).is_some_and(|member| !std::mem::replace(&mut member.taken, true))
    }

    /// Cuts the pile into batches of at most 500 people and 768 KiB, or less where the account takes less:
    /// of each the number of its people and the bytes.
    #[must_use]
    pub fn cut(&self, group: &Group, now: Timestamp, plan: &Plan) -> Vec<(u32, Vec<u8>)> {
        let mut members: Vec<&Named> = self.members.iter().filter(|member| !member.taken).collect();
        let holds = plan.accounts.terms(plan.accounts.of(&group.tenant)).holds;
        if holds == Holds::OneText {
            members.sort_by_key(|member| member.letter);
        }
        let mut rest = members.as_slice();
        let mut packed = Vec::new();
        while !rest.is_empty() {
            let (part, after) = rest.split_at(self.fitting(rest).min(self.alike(rest, holds)));
            let count = u32::try_from(part.len()).unwrap_or(u32::MAX);
            packed.push((count, self.packed(part, group, (now, plan))));
            rest = after;
        }
        packed
    }

    /// How many of `members` fit one batch; at least one.
    fn fitting(&self, members: &[&Named]) -> usize {
        let mut bytes = 4_096;
        let mut counted = HashSet::<u32, foldhash::fast::RandomState>::default();
        for (index, member) in members.iter().take(MOST_MEMBERS).enumerate() {
            bytes += member.name.len() + 8;
            if counted.insert(member.letter) {
                bytes += self.letters.get(member.letter as usize).map_or(0, |letter| letter.lies.len());
            }
            if bytes > MOST_BATCH_BYTES && index > 0 {
                return index;
            }
        }
        members.len().min(MOST_MEMBERS)
    }

    /// How many of `members` an account takes in one request; at least one.
    fn alike(&self, members: &[&Named], holds: Holds) -> usize {
        let same = |member: &&&Named| Some(member.letter) == members.first().map(|first| first.letter);
        match holds {
            Holds::Differing => members.len(),
            Holds::OneText if self.template.answers.is_empty() => members.iter().take_while(same).count(),
            Holds::OneText => 1,
        }
    }

    fn packed(&self, members: &[&Named], group: &Group, when: (Timestamp, &Plan)) -> Vec<u8> {
        let (now, plan) = when;
        let mut used: Vec<u32> = members.iter().map(|member| member.letter).collect();
        used.sort_unstable();
        used.dedup();
        let letters = || used.iter().filter_map(|letter| self.letters.get(*letter as usize));
        let mut written = Vec::with_capacity(letters().map(|letter| letter.lies.len()).sum());
        letters().for_each(|letter| written.extend_from_slice(&self.written[letter.lies.clone()]));
        let ends = letters().map(|letter| letter.expires_at).collect::<Option<Vec<_>>>();
        let members = members.iter().map(|member| {
            let letter = used.binary_search(&member.letter).unwrap_or_default();
            Member {
                user_id: &self.names[member.name.clone()],
                letter: u32::try_from(letter).unwrap_or(u32::MAX),
            }
        });
        let reference = |member: Member<'_>| {
            let letter = self.letters.get(*used.get(member.letter as usize)? as usize)?;
            Some(letter.notice.delivery(member.user_id))
        };
        let references = members.clone().filter_map(reference).collect();
        let head = BatchHead {
            message_id: message_id::of_batch(&group.tenant, &self.template, references),
            tenant: group.tenant.clone(),
            account: plan.accounts.of(&group.tenant).to_owned(),
            template: self.template.clone(),
            cut_at: now,
            oldest: self.oldest,
            expires_at: ends.and_then(|ends| ends.into_iter().max()),
            signing_key: plan.signing_key.clone(),
        };
        push::pack(&head, (used.len(), &written), members)
    }
}

/// A batch made of some members of another: what a split or a second look leaves.
#[must_use]
pub fn child(parent: &Batch<'_>, members: &[Member<'_>]) -> Parcel {
    let mut used: Vec<u32> = members.iter().map(|member| member.letter).collect();
    used.sort_unstable();
    used.dedup();
    let letter = |number: u32| parent.letters.get(number as usize);
    let references =
        members.iter().filter_map(|member| Some(letter(member.letter)?.notice.delivery(member.user_id)));
    let message_id = message_id::of_part(&parent.head.message_id, references.collect());
    let members = members.iter().map(|member| {
        let letter = used.binary_search(&member.letter).unwrap_or_default();
        Member { letter: u32::try_from(letter).unwrap_or(u32::MAX), ..*member }
    });
    let head = BatchHead { message_id, ..parent.head.clone() };
    let letters = used.iter().filter_map(|number| letter(*number)).cloned().collect();
    Batch { head: &head, letters, members: members.collect() }.pack()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::notice::Verb;
    use crate::event::push::example;
    use crate::flow::accounts::{Accounts, Terms};

    /// Who shares a request: three letters for five people.
    fn cut(holds: Holds, answers: Vec<Verb>) -> Vec<String> {
        let accounts = Accounts::one("main").with_terms("main", Terms { holds, ..Terms::default() });
        let plan = Plan { accounts, ..Plan::default() };
        let head = example::head();
        let mut pile = Pile::new(Template { answers, ..head.template.clone() });
        let letters = [1, 2, 3].map(|notice| {
            let letter = &example::batch(&head).letters[0];
            pile.write(&Letter { notice: NoticeId(notice), ..letter.clone() })
        });
        for (name, letter) in [("amy", 0), ("bob", 1), ("cem", 0), ("dan", 2), ("eve", 1)] {
            pile.add(name, letters[letter], Timestamp::default());
        }
        let group = Group {
            tenant: "acme".into(),
            external: false,
            rule: 0,
            generation: 0,
            saying: 0,
            counted: false,
            listed: false,
            locale: "en".into(),
            zone: String::new(),
            answers: 0,
            ttl_seconds: 3_600,
        };
        let batches = pile.cut(&group, Timestamp::default(), &plan);
        let names = |bytes: Vec<u8>| {
            let parcel = Parcel::read(bytes.into()).unwrap();
            parcel.open().members.iter().map(|member| member.user_id).collect::<Vec<_>>().join(" ")
        };
        batches.into_iter().map(|(_, bytes)| names(bytes)).collect()
    }

    #[test]
    fn an_account_without_inserts_gets_one_text_a_request_and_who_can_answer_alone() {
        assert_eq!(cut(Holds::Differing, vec![Verb::Approve]), ["amy bob cem dan eve"]);
        assert_eq!(cut(Holds::OneText, vec![]), ["amy cem", "bob eve", "dan"]);
        assert_eq!(cut(Holds::OneText, vec![Verb::Approve]), ["amy", "cem", "bob", "eve", "dan"]);
    }

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
