//! Piles: the tellings that leave with the next cut, those of one request in one pile.
//!
//! A stronger telling of the same news may still take another's place here; what has left may not be taken
//! back any more.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::directory::Entry;
use crate::event::{Ending, Reason, Timestamp, Verdict, hash128};

use super::super::batch::{Group, Grouped, Pile};
use super::super::merge::{self, Claim, Met, OnItsWay, Told};
use super::super::telling::{Look, Telling};
use super::super::{Outbox, Plan};
use super::digest::Digest;

/// What leaves with the next cut, and what was told before.
#[derive(Debug)]
pub(super) struct Piles {
    pub(super) told: Told,
    piles: Vec<(Group, Pile)>,
    by_group: HashMap<Group, usize, foldhash::fast::RandomState>,
    /// Tellings that a stronger one may still replace: pile, member, and whose they were.
    replaceable: Vec<(usize, usize, Arc<Verdict>)>,
    /// Of what replaces something on a phone, by person and key: the pile of the newest.
    newest: HashMap<u128, usize, foldhash::fast::RandomState>,
    gathered: usize,
}

// === impl Piles ===

impl Piles {
    pub(super) fn new(told: Told) -> Self {
        Self {
            told,
            piles: Vec::new(),
            by_group: HashMap::default(),
            replaceable: Vec::new(),
            newest: HashMap::default(),
            gathered: 0,
        }
    }

    /// How many tellings leave with the next cut.
    pub(super) fn len(&self) -> usize {
        self.gathered
    }

    /// One telling for one person; `since` it could be told.
    pub(super) fn add<'t>(
        &mut self,
        telling: &mut Telling<'t>,
        (entry, since): (&Entry<'t>, Timestamp),
        plan: &'t Plan,
        out: &mut Outbox,
    ) -> Result<(), Reason> {
        let (notice, user_id) = (telling.notice, entry.user_id());
        let (mut pile, mut letter) = self.letter(telling, entry, (plan, false))?;
        let replaced =
            notice.collapse_key.map(|key| hash128([notice.tenant, user_id, key].map(str::as_bytes)));
        // Piles leave in the order they were begun: what replaces must not lie in one before what it replaces.
        if replaced.and_then(|key| self.newest.get(&key)).is_some_and(|newest| *newest > pile) {
            (pile, letter) = self.letter(telling, entry, (plan, true))?;
        }
        if let Some(if_merged) = &telling.if_merged {
            let key = merge::key(notice.tenant, user_id, notice.news, notice.occasion);
            let (claim, number) = (telling.claim, self.replaceable.len());
            let (is_grave, within) = (telling.is_grave(), telling.rule.plan.within);
            let told = OnItsWay { claim, is_grave, number, since: notice.appended_at, within };
            match self.told.meet(key, told) {
                Met::First => {}
                Met::Knew => return Err(Reason::Merged(telling.rival.to_owned())),
                Met::Loses(stronger) => return Err(Reason::Merged(self.rule(stronger))),
                Met::Wins(weaker) => self.take_back(weaker, &telling.rule.id, out),
            }
            let member = self.piles[pile].1.next_member();
            self.replaceable.push((pile, member, Arc::clone(if_merged)));
        }
        self.piles[pile].1.add(user_id, letter, since);
        self.newest.extend(replaced.map(|key| (key, pile)));
        self.gathered += 1;
        Ok(())
    }

    /// Several tellings for one person in one push, told in the name of `lead`.
    pub(super) fn add_digest<'t>(
        &mut self,
        lead: &Telling<'t>,
        digest: &Digest<'_, '_>,
        entry: &Entry<'t>,
        plan: &'t Plan,
    ) -> Result<(), Reason> {
        let group = Grouped {
            listed: true,
            counted: false,
            answers: 0,
            ttl_seconds: digest.ttl_seconds(lead.now),
            locale: lead.locale(entry, plan),
            zone: lead.zone(entry, plan),
            ..lead.group(entry, plan)
        };
        let pile = self.pile(lead, &group, (plan, false));
        let waiting = &mut self.piles[pile].1;
        let letter = match waiting.letter_of(digest.id()) {
            Some(letter) => letter,
            None => digest.write(lead, &group, waiting).map_err(|code| Reason::Refused(code.to_owned()))?,
        };
        let member = self.piles[pile].1.next_member();
        for (key, within, if_merged) in digest.keys() {
            let number = self.replaceable.len();
            let (claim, is_grave, since) = (Claim::MOST, false, lead.now);
            self.told.meet(key, OnItsWay { claim, is_grave, number, since, within });
            // Nothing is stronger than a list; it is here for its rule's name.
            self.replaceable.push((pile, member, Arc::clone(if_merged)));
        }
        self.piles[pile].1.add(entry.user_id(), letter, lead.now);
        self.gathered += 1;
        Ok(())
    }

    /// The pile and the letter for a person who reads as `entry` says; the pile is a new one where it has to lie
    /// behind all others.
    fn letter<'t>(
        &mut self,
        telling: &mut Telling<'t>,
        entry: &Entry<'t>,
        (plan, behind): (&'t Plan, bool),
    ) -> Result<(usize, u32), Reason> {
        let look = Look { external: entry.party().is_some(), locale: entry.locale(), zone: entry.zone() };
        if behind {
            telling.found.retain(|(other, ..)| *other != look);
        }
        if let Some((_, pile, letter)) = telling.found.iter().find(|(other, ..)| *other == look) {
            return Ok((*pile, *letter));
        }
        let group = telling.group(entry, plan);
        let pile = self.pile(telling, &group, (plan, behind));
        let (notice, waiting) = (telling.notice.id, &mut self.piles[pile].1);
        let letter = match waiting.letter_of(notice) {
            Some(letter) => letter,
            None => {
                let letter = telling.write_letter(&group, plan, waiting);
                letter.map_err(|code| Reason::Refused(code.to_owned()))?
            }
        };
        telling.found.push((look, pile, letter));
        Ok((pile, letter))
    }

    fn pile(&mut self, telling: &Telling<'_>, group: &Grouped<'_>, (plan, behind): (&Plan, bool)) -> usize {
        match self.by_group.get(group).filter(|_| !behind) {
            Some(pile) => *pile,
            None => {
                let owned = Group::from(group);
                self.piles.push((owned.clone(), Pile::new(telling.template(group, plan))));
                self.by_group.insert(owned, self.piles.len() - 1);
                self.piles.len() - 1
            }
        }
    }

    /// A stronger telling of the same news goes in place of one that waits for the cut.
    fn take_back(&mut self, weaker: usize, winner: &str, out: &mut Outbox) {
        let Some((pile, member, verdict)) = self.replaceable.get(weaker) else { return };
        let pile = &mut self.piles[*pile].1;
        if pile.take(*member) {
            let people = pile.name(*member).map(str::to_owned).into_iter().collect();
            let ending = Ending::Not(Reason::Merged(winner.to_owned()));
            out.verdicts.push(Verdict { count: 1, people, ending, ..Verdict::clone(verdict) });
        }
    }

    /// The rule of a telling that is on its way.
    fn rule(&self, number: usize) -> String {
        let verdict = self.replaceable.get(number).map(|(_, _, verdict)| verdict);
        verdict.and_then(|verdict| verdict.rule.clone()).unwrap_or_default()
    }

    /// Everything that leaves, and nothing is left.
    pub(super) fn take(&mut self) -> Vec<(Group, Pile)> {
        self.by_group.clear();
        self.replaceable.clear();
        self.newest.clear();
        self.gathered = 0;
        std::mem::take(&mut self.piles)
    }
}
