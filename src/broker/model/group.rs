//! Group: who reads which partition, and how far the group has come.
//!
//! Partitions move one by one as under Kafka's cooperative protocol: a member keeps what it has, is asked
//! for what another shall have, and the other gets it once it was released. Nothing here knows records.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use hashbrown::HashMap;

use super::super::{Input, Position, Topic};
use crate::clock::Tick;

/// How long a static member may be away before it is missed.
const SESSION: Duration = Duration::from_secs(15);

/// A member's number, never used twice.
pub(super) type MemberId = u64;

/// What a member is told the next time it polls.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It has this partition now.
    Assigned(Input),
    /// It shall release these.
    Revoking(Vec<Input>),
}

/// One live link.
#[derive(Debug, Default)]
pub(super) struct Member {
    topics: Vec<Topic>,
    instance: Option<String>,
    held: BTreeSet<Input>,
    revoking: BTreeSet<Input>,
    news: VecDeque<News>,
    /// A static member that has gone, and may come back.
    away: Option<Tick>,
}

/// A member the group gave up, until it knows.
#[derive(Debug, Default)]
struct Evicted {
    /// What it was asked to release before, and whether it knows that.
    asked: BTreeSet<Input>,
    told: bool,
    /// What else it held.
    rest: BTreeSet<Input>,
}

/// One consumer group.
#[derive(Debug, Default)]
pub(super) struct Group {
    members: BTreeMap<MemberId, Member>,
    committed: HashMap<Input, Position>,
    /// Members the group gave up, which do not know it yet.
    evicted: BTreeMap<MemberId, Evicted>,
}

/// What a member that was given up hears next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parting {
    /// It shall release these, as it was to be asked before.
    Asked(Vec<Input>),
    /// Nothing, until it has released them.
    Waits,
    /// These are gone, and it is a member no more.
    Lost(Vec<Input>),
}

fn list(inputs: &BTreeSet<Input>) -> Vec<Input> {
    inputs.iter().copied().collect()
}

// === impl Group ===

impl Group {
    /// Lets a member in. One with the same instance id is replaced by it, and what it held passes over.
    pub(super) fn join(&mut self, id: MemberId, topics: &[Topic], instance: Option<&str>) {
        let mut member =
            Member { topics: topics.to_vec(), instance: instance.map(str::to_owned), ..Member::default() };
        let before = self.members.iter().find(|(_, m)| m.instance.is_some() && m.instance == member.instance);
        if let Some((&before, _)) = before {
            let held = self.members.remove(&before).map(|m| m.held).unwrap_or_default();
            member.news.extend(held.iter().map(|input| News::Assigned(*input)));
            member.held = held;
        }
        self.members.insert(id, member);
    }

    /// A member is gone; what it held is free, unless it is a static one: that may come back for it.
    pub(super) fn leave(&mut self, id: MemberId) {
        self.evicted.remove(&id);
        match self.members.get_mut(&id) {
            Some(member) if member.instance.is_some() => member.away = Some(Tick::now()),
            _ => drop(self.members.remove(&id)),
        }
    }

    /// Gives up static members that have been away for too long; whether there were any.
    pub(super) fn miss(&mut self) -> bool {
        let before = self.members.len();
        self.members.retain(|_, member| member.away.is_none_or(|since| since.elapsed() < SESSION));
        self.members.len() < before
    }

    /// How many members there are, those included that do not know yet that they are none.
    pub(super) fn len(&self) -> usize {
        self.members.len() + self.evicted.len()
    }

    /// Whether nobody is a member.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The group gives a member up that was not heard of for too long; what it held is free.
    pub(super) fn evict(&mut self, id: MemberId) {
        if let Some(Member { held, revoking, news, .. }) = self.members.remove(&id) {
            let told = !news.iter().any(|news| matches!(news, News::Revoking(_)));
            let rest = held.difference(&revoking).copied().collect();
            self.evicted.insert(id, Evicted { asked: revoking, told, rest });
        }
    }

    /// Whether the member was given up.
    pub(super) fn is_evicted(&self, id: MemberId) -> bool {
        self.evicted.contains_key(&id)
    }

    /// What a member that was given up held, as far as it knows.
    pub(super) fn held_before(&self, id: MemberId) -> BTreeSet<Input> {
        self.evicted.get(&id).map(|member| &member.asked | &member.rest).unwrap_or_default()
    }

    /// A member that was given up is told: what it had been asked for it is still asked for, once; when it
    /// has released that, the rest is lost, and it is nobody.
    pub(super) fn tell_evicted(&mut self, id: MemberId) -> Option<Parting> {
        let member = self.evicted.get_mut(&id)?;
        if !member.asked.is_empty() {
            let told = std::mem::replace(&mut member.told, true);
            return Some(if told { Parting::Waits } else { Parting::Asked(list(&member.asked)) });
        }
        self.evicted.remove(&id).map(|member| Parting::Lost(list(&member.rest)))
    }

    /// Whether the member is still one: a newer one with its instance id may have replaced it.
    pub(super) fn has(&self, id: MemberId) -> bool {
        self.members.contains_key(&id)
    }

    /// Whether the member holds the partition, also while it is asked to release it.
    pub(super) fn holds(&self, id: MemberId, input: Input) -> bool {
        self.members.get(&id).is_some_and(|member| member.held.contains(&input))
    }

    /// What the member holds.
    pub(super) fn held(&self, id: MemberId) -> Vec<Input> {
        self.members.get(&id).map(|member| member.held.iter().copied().collect()).unwrap_or_default()
    }

    /// Whether the member has been asked to release the partition.
    pub(super) fn is_revoking(&self, id: MemberId, input: Input) -> bool {
        self.members.get(&id).is_some_and(|member| member.revoking.contains(&input))
    }

    /// The next thing to tell the member. A partition whose position is not decided is waited for.
    pub(super) fn news(&mut self, id: MemberId, undecided: &BTreeSet<Input>) -> Option<News> {
        let waits = |news: &mut News| matches!(news, News::Assigned(input) if undecided.contains(input));
        self.members.get_mut(&id)?.news.pop_front_if(|news| !waits(news))
    }

    /// The member lets go of partitions.
    pub(super) fn release(&mut self, id: MemberId, inputs: &[Input]) {
        if let Some(evicted) = self.evicted.get_mut(&id) {
            evicted.asked.retain(|input| !inputs.contains(input));
            evicted.rest.retain(|input| !inputs.contains(input));
        }
        if let Some(member) = self.members.get_mut(&id) {
            for input in inputs {
                member.held.remove(input);
                member.revoking.remove(input);
            }
        }
    }

    /// How far the group has come in a partition.
    pub(super) fn committed(&self, input: Input) -> Option<&Position> {
        self.committed.get(&input)
    }

    /// Moves the group's position.
    pub(super) fn commit(&mut self, input: Input, position: Position) {
        self.committed.insert(input, position);
    }

    /// Whether this group reads, or ever read, the topic's partition.
    pub(super) fn reads(&self, input: Input) -> bool {
        self.committed.contains_key(&input) || self.members.values().any(|m| m.topics.contains(&input.topic))
    }

    /// Brings what members hold nearer to an even share of `all`: asks for what must move and hands out
    /// what nobody holds.
    pub(super) fn settle(&mut self, all: &[Input]) {
        let share = self.share(all);
        for (id, member) in &mut self.members {
            let away: Vec<Input> = member
                .held
                .iter()
                .filter(|input| share.get(input) != Some(id) && !member.revoking.contains(input))
                .copied()
                .collect();
            if !away.is_empty() {
                member.revoking.extend(&away);
                member.news.push_back(News::Revoking(away));
            }
        }
        for (input, id) in share {
            let free = !self.members.values().any(|member| member.held.contains(&input));
            if let (true, Some(member)) = (free, self.members.get_mut(&id)) {
                member.held.insert(input);
                member.news.push_back(News::Assigned(input));
            }
        }
    }

    /// Who shall have what: everybody keeps what he has as far as the counts allow.
    fn share(&self, all: &[Input]) -> BTreeMap<Input, MemberId> {
        let mut share: BTreeMap<Input, MemberId> = BTreeMap::new();
        let mut counts: BTreeMap<MemberId, usize> = self.members.keys().map(|id| (*id, 0)).collect();
        for (id, member) in &self.members {
            for input in member.held.iter().filter(|input| all.contains(input)) {
                share.insert(*input, *id);
                *counts.entry(*id).or_default() += 1;
            }
        }
        for input in all {
            if !share.contains_key(input)
                && let Some(id) = self.idlest(&counts, input.topic)
            {
                share.insert(*input, id);
                *counts.entry(id).or_default() += 1;
            }
        }
        while let Some((input, to)) = self.overdue_move(&share, &counts) {
            if let Some(from) = share.insert(input, to) {
                *counts.entry(from).or_default() -= 1;
            }
            *counts.entry(to).or_default() += 1;
        }
        share
    }

    /// A partition that would make two members' counts more even by moving, and where to. One that is
    /// being revoked already goes first, lest a second one is asked for in its place.
    fn overdue_move(
        &self,
        share: &BTreeMap<Input, MemberId>,
        counts: &BTreeMap<MemberId, usize>,
    ) -> Option<(Input, MemberId)> {
        share
            .iter()
            .filter_map(|(input, from)| {
                let to = self.idlest(counts, input.topic)?;
                (counts[&to] + 1 < counts[from]).then_some((*input, *from, to))
            })
            .max_by_key(|(input, from, _)| (self.is_revoking(*from, *input), counts[from], *input))
            .map(|(input, _, to)| (input, to))
    }

    /// The member with the least to read among those that read `topic`.
    fn idlest(&self, counts: &BTreeMap<MemberId, usize>, topic: Topic) -> Option<MemberId> {
        self.members
            .iter()
            .filter(|(_, member)| member.topics.contains(&topic))
            .map(|(id, _)| *id)
            .min_by_key(|id| (counts[id], *id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(count: i32) -> Vec<Input> {
        (0..count).map(|partition| Input { topic: Topic::People, partition }).collect()
    }

    fn told(group: &mut Group, id: MemberId) -> Vec<News> {
        std::iter::from_fn(|| group.news(id, &BTreeSet::new())).collect()
    }

    #[test]
    fn a_second_member_gets_half_and_nothing_else_moves() {
        let (all, mut group) = (inputs(4), Group::default());
        group.join(1, &[Topic::People], None);
        group.settle(&all);
        assert_eq!(told(&mut group, 1).len(), 4);
        group.join(2, &[Topic::People], None);
        group.settle(&all);
        assert_eq!(told(&mut group, 2), []);
        let [News::Revoking(away)] = &told(&mut group, 1)[..] else { panic!("asked once") };
        assert_eq!(away.len(), 2);
        group.release(1, away);
        group.settle(&all);
        let expected: Vec<News> = away.iter().map(|input| News::Assigned(*input)).collect();
        assert_eq!(told(&mut group, 2), expected);
        assert_eq!(told(&mut group, 1), []);
    }

    #[test]
    fn what_a_member_held_is_handed_out_when_it_leaves() {
        let (all, mut group) = (inputs(3), Group::default());
        group.join(1, &[Topic::People], None);
        group.settle(&all);
        group.join(2, &[Topic::People], None);
        group.leave(1);
        group.settle(&all);
        assert_eq!(group.held(2), all);
    }

    #[test]
    fn a_third_member_does_not_change_what_is_being_revoked_for_the_second() {
        let (all, mut group) = (inputs(4), Group::default());
        group.join(1, &[Topic::People], None);
        group.settle(&all);
        told(&mut group, 1);
        group.join(2, &[Topic::People], None);
        group.settle(&all);
        group.join(3, &[Topic::People], None);
        group.settle(&all);
        let asked: usize = told(&mut group, 1)
            .iter()
            .map(|news| if let News::Revoking(away) = news { away.len() } else { 0 })
            .sum();
        assert_eq!(asked, 2);
    }

    #[test]
    fn a_member_that_comes_back_under_its_instance_id_gets_what_it_had() {
        let (all, mut group) = (inputs(4), Group::default());
        group.join(1, &[Topic::People], Some("slot-1"));
        group.join(2, &[Topic::People], Some("slot-2"));
        group.settle(&all);
        let had = group.held(1);
        group.join(3, &[Topic::People], Some("slot-1"));
        group.settle(&all);
        assert!(!group.has(1));
        assert_eq!(group.held(3), had);
        assert_eq!(told(&mut group, 3).len(), 2);
    }
}
