//! Player: one scenario being played: what happens in it next, and what has come of it so far.

use std::collections::VecDeque;

use crate::event::{Carried, Ending, Timestamp};
use crate::push::KeyRing;
use crate::scenario::{Act, Moment, Played, Reply, Scenario, Told};

/// One scenario.
pub(super) struct Player {
    pub(super) scenario: Scenario,
    /// Which stand-in its people are told by.
    pub(super) stand_in: usize,
    /// What was heard since the last step that is over.
    pub(super) open: Moment,
    over: Vec<Moment>,
    cues: VecDeque<Cue>,
    /// Every push that could be answered, with its reply token.
    asked: Vec<(Told, String)>,
    replies: u32,
}

/// What is to happen.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cue {
    /// An act of a step: which step, and which of its acts.
    Act(Timestamp, usize, usize),
    /// The end of a step.
    End(Timestamp),
}

// === impl Player ===

impl Player {
    pub(super) fn new(scenario: Scenario, stand_in: usize) -> Self {
        let mut cues = VecDeque::new();
        for (number, step) in scenario.steps.iter().enumerate() {
            cues.extend(step.acts.iter().enumerate().map(|(act, (at, _))| Cue::Act(*at, number, act)));
            cues.push_back(Cue::End(step.end));
        }
        let (open, over, asked) = (Moment::default(), Vec::new(), Vec::new());
        Self { scenario, stand_in, open, over, cues, asked, replies: 0 }
    }

    pub(super) fn next(&self) -> Option<Cue> {
        self.cues.front().copied()
    }

    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.next().map(|cue| match cue {
            Cue::Act(at, ..) | Cue::End(at) => at,
        })
    }

    /// The act that it is time for.
    pub(super) fn act(&mut self, now: Timestamp) -> Option<Act> {
        let Some(Cue::Act(at, step, act)) = self.next() else { return None };
        if at > now {
            return None;
        }
        self.cues.pop_front();
        Some(self.scenario.steps.get(step)?.acts.get(act)?.1.clone())
    }

    /// The step is over.
    pub(super) fn end_step(&mut self) {
        self.cues.pop_front();
        let mut moment = std::mem::take(&mut self.open);
        let refused = moment.verdicts.iter().find_map(|verdict| match &verdict.ending {
            Ending::AnswerRefused(why) => Some(why.clone()),
            _ => None,
        });
        moment.refused = moment.refused.or(refused);
        for verdict in &moment.verdicts {
            // A refusal is the source system's own say; what cannot be carried is a fault.
            if let Ending::Carried(Carried::Dead(why)) = &verdict.ending {
                moment.stuck.push(format!("an answer cannot be carried into the source system: {why}"));
            }
        }
        self.over.push(moment);
    }

    pub(super) fn steps_over(&self) -> usize {
        self.over.len()
    }

    /// Somebody was told.
    pub(super) fn told(&mut self, told: Told, token: String) {
        self.asked.push((told.clone(), token));
        self.open.told.push(told);
    }

    /// The reply token that this answer is given with, and its id; why there is none.
    pub(super) fn token_for(
        &mut self,
        reply: &Reply,
        (keys, now): (&KeyRing, Timestamp),
    ) -> Result<(String, String), String> {
        let of_rule = |told: &Told| reply.rule.as_ref().is_none_or(|rule| *rule == told.rule);
        let mut pushes = self.asked.iter().filter(|(told, _)| told.who == reply.token_of && of_rule(told));
        let push = match reply.push {
            Some(number) => pushes.nth(number as usize - 1),
            None => pushes.next_back(),
        };
        let nothing = || format!("{} was told nothing that could be answered", reply.token_of.user_id);
        let (_, token) = push.ok_or_else(nothing)?;
        self.replies += 1;
        let response_id = format!("{}-r{}", self.scenario.tenant, self.replies);
        if reply.by == reply.token_of {
            return Ok((token.clone(), response_id));
        }
        // Somebody else asks to be heard in the same matter.
        let mut claims = keys.verify(token, now).map_err(|refusal| refusal.to_string())?;
        claims.person.clone_from(&reply.by.user_id);
        let token = keys.sign(keys.current(), &claims).ok_or("there is no key to sign with")?;
        Ok((token, response_id))
    }

    /// What came of it.
    pub(super) fn end(self) -> (Scenario, Played) {
        let mut steps = self.over;
        let owed: usize = steps.iter().map(|moment| moment.write_backs.len()).sum();
        let verdicts = steps.iter().flat_map(|moment| &moment.verdicts);
        let carried = verdicts.filter(|verdict| matches!(verdict.ending, Ending::Carried(_))).count();
        if let Some(last) = steps.last_mut().filter(|_| carried < owed) {
            let left = owed - carried;
            last.stuck.push(format!("{left} answers were not carried into the source system"));
        }
        (self.scenario, Played { steps, ..Played::default() })
    }
}
