//! Whom: audiences that nobody can ever be in, whatever the directory holds, and those asked for what is not theirs
//! to give.

use super::super::decision::are_assignees;
use super::super::fault::Spot;
use super::super::plan::RulePlan;
use super::super::rule::{KindRule, Rule};
use super::super::schedule::To;
use super::Noting;
use crate::event::notice::Verb;
use crate::event::{Audience, Shape, Source};

// === impl Noting ===

impl Noting<'_> {
    /// People beside the assignees of a workflow task who are later asked to send it on: Content Server takes that
    /// from an assignee alone.
    pub(super) fn not_theirs(&mut self, rule: &Rule, forms: &[(&KindRule, &Shape)]) {
        let is_task = |shape: &Shape| shape.field("process_id").is_some() && shape.field("task_id").is_some();
        if !matches!(rule.source, Source::Xecm | Source::Bws)
            || !forms.iter().any(|(_, shape)| is_task(shape))
        {
            return;
        }
        let later: Vec<&Spot<String>> = self.plan.others().collect();
        let others = rule.sayings.iter().filter_map(|saying| match &saying.to {
            To::Other(to) => Some((to, saying.answers.as_slice())),
            To::Audience | To::Told => None,
        });
        let hint = "add `answers: [acknowledge]` here, or write `to: assignees`";
        let others = later.into_iter().zip(others).map(|asked| (asked, hint));
        // A fallback that is told the same is asked the same.
        let same = self.plan.fallback.as_ref().zip(rule.fallback.as_ref());
        let same = same.filter(|_| self.plan.instead.is_none());
        let hint = "say something else to them: `fallback: { to: …, message: …, answers: [] }`";
        let same = same.map(|(text, to)| ((text, (to, rule.first().answers.as_slice())), hint));
        for ((text, (to, answers)), hint) in others.chain(same).collect::<Vec<_>>() {
            let theirs = [Verb::Acknowledge, Verb::FollowUp];
            if let Some(verb) = answers.iter().find(|verb| !theirs.contains(verb))
                && !are_assignees(to)
            {
                let fact = format!(
                    "these are asked for `{}`, and Content Server takes that from the assignees alone",
                    verb.as_str()
                );
                self.fault(text.at, "not-theirs", (fact, hint));
            }
        }
    }

    /// Whom the rule speaks to and never speaks to at once.
    pub(super) fn nobody_left(&mut self, rule: &Rule) {
        let fallback = self.plan.fallback.iter().filter(|_| self.plan.instead.is_none()).zip(&rule.fallback);
        let first = self.plan.audience.iter().map(|text| (text, &rule.audience)).chain(fallback);
        let others = rule.sayings.iter().filter_map(|saying| match &saying.to {
            To::Other(audience) => Some(audience),
            To::Audience | To::Told => None,
        });
        let later: Vec<&Spot<String>> = self.plan.others().collect();
        for (text, audience) in first.chain(later.into_iter().zip(others)) {
            if is_nobody(audience) {
                let told = (
                    "nobody can be in this: it asks for somebody and takes the same away",
                    "take one of the two out, or join them with `||`",
                );
                self.fault(text.at, "nobody", told);
            } else if let Some(never) = rule.never.as_ref().filter(|never| is_part(audience, never)) {
                let fact = format!("nobody of these is ever told: `never` takes away `{never}`");
                self.fault(text.at, "nobody", (fact, "name others here, or fewer in `never`"));
            }
        }
    }
}

// === impl RulePlan ===

impl RulePlan {
    /// The texts of other audiences than the rule's own, in the order of its sayings.
    fn others(&self) -> impl Iterator<Item = &Spot<String>> {
        let ladders = self.remind.iter().flat_map(|ladder| {
            let sayings = ladder.rungs.len() + usize::from(ladder.every.is_some());
            std::iter::repeat_n(ladder.to.as_ref(), sayings)
        });
        let repeat = self.repeat.iter().map(|repeat| repeat.to.as_ref());
        let steps = self.escalate.iter().map(|step| step.to.as_ref());
        let instead = self.instead.iter().map(|_| self.fallback.as_ref());
        let closed = self.closed.iter().map(|closed| closed.to.as_ref());
        let all = ladders.chain(repeat).chain(steps).chain(instead).chain(closed).flatten();
        all.filter(|text| !["told", "unanswered"].contains(&text.value.as_str()))
    }
}

/// Whether certainly nobody is in it: it asks for somebody and, beside, for who is not that.
fn is_nobody(audience: &Audience) -> bool {
    match audience {
        Audience::All(parts) => {
            let excluded = |part: &Audience| {
                parts.iter().any(|not| matches!(not, Audience::Not(of) if is_part(part, of)))
            };
            parts.iter().any(|part| is_nobody(part) || excluded(part))
        }
        Audience::Any(parts) => !parts.is_empty() && parts.iter().all(is_nobody),
        _ => false,
    }
}

/// Whether certainly everybody of `part` is also in `whole`.
fn is_part(part: &Audience, whole: &Audience) -> bool {
    part == whole
        || matches!(whole, Audience::Any(wholes) if wholes.iter().any(|whole| is_part(part, whole)))
        || matches!(part, Audience::Any(parts) if !parts.is_empty() && parts.iter().all(|part| is_part(part, whole)))
        || matches!(part, Audience::All(parts) if parts.iter().any(|part| is_part(part, whole)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::parse;

    fn said(audience: &str) -> Audience {
        parse(audience).unwrap()
    }

    #[test]
    fn who_is_part_of_others_is_known_by_the_terms() {
        let part = |part: &str, whole: &str| is_part(&said(part), &said(whole));
        assert!(part("owner", "owner") && part("owner", "requester || owner"));
        assert!(
            part("owner && role:qa", "role:qa") && part("owner || role:qa", "role:qa || owner || role:x")
        );
        assert!(!part("owner || role:qa", "owner") && !part("owner", "owner && role:qa"));
        assert!(!part("supervisor(owner)", "owner"), "somebody else");
    }

    #[test]
    fn assignees_are_no_others_than_those_it_is_assigned_to() {
        let theirs = |audience: &str| are_assignees(&said(audience));
        assert!(theirs("assignees") && theirs("assignees && role:qa"));
        assert!(!theirs("supervisor(assignees)") && !theirs("assignees || owner") && !theirs("!owner"));
    }

    #[test]
    fn nobody_is_somebody_and_not_them() {
        for (audience, nobody) in [
            ("owner && !owner", true),
            ("owner && role:qa && !(owner || role:x)", true),
            ("(owner && !owner) || (role:qa && !role:qa)", true),
            ("owner && !requester", false),
            ("(owner && !owner) || role:qa", false),
        ] {
            assert_eq!(is_nobody(&said(audience)), nobody, "{audience}");
        }
    }
}
