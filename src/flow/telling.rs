//! Telling: a notice on its way to a person's phone: in which words, with whom in one request.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::directory::Entry;
use crate::event::notice::Verb;
use crate::event::push::Letter;
use crate::event::{BoundAudience, Ending, Notice, Priority, Reason, Template, Timestamp, Verdict};
use crate::topology::{Cut, Message, Rule};

use super::Plan;
use super::batch::{self, Grouped, Pile};
use super::merge::Claim;

/// A notice being told, with what is the same for all its people.
pub(super) struct Telling<'t> {
    pub(super) now: Timestamp,
    pub(super) notice: &'t Notice<'t>,
    pub(super) rule: &'t Rule,
    pub(super) priority: Priority,
    pub(super) message: &'t Message,
    pub(super) place: usize,
    /// The rules it was decided by.
    pub(super) generation: u64,
    pub(super) claim: Claim,
    /// The partition of `bugle.subjects` that spoke.
    pub(super) from: i32,
    /// Whom to ask the directory for again, when it has moved since the audience was resolved.
    pub(super) moved: Option<BoundAudience>,
    /// What a stronger telling says of this one; only where one can come.
    pub(super) if_merged: Option<Arc<Verdict>>,
    /// Piles and letters of this notice already found: most of its people share one.
    pub(super) found: SmallVec<[(Look<'t>, usize, u32); 4]>,
}

/// What decides how a person's text looks.
#[derive(PartialEq, Eq)]
pub(super) struct Look<'t> {
    pub(super) external: bool,
    pub(super) locale: Option<&'t str>,
    pub(super) zone: Option<&'t str>,
}

// === impl Telling ===

impl<'t> Telling<'t> {
    pub(super) fn group(&self, entry: &Entry<'t>, plan: &'t Plan) -> Grouped<'t> {
        let defaults = plan.tenant(self.notice.tenant);
        let cut = self.cut(entry.locale().unwrap_or(&defaults.locale));
        Grouped {
            tenant: self.notice.tenant,
            external: entry.party().is_some(),
            rule: self.place,
            generation: self.generation,
            saying: self.notice.saying,
            counted: self.notice.count > 1,
            locale: &cut.locale,
            zone: if cut.zone_matters { entry.zone().unwrap_or(&defaults.zone) } else { "" },
            answers: self.notice.answers.iter().fold(0, |bits, verb| bits | bit(*verb)),
            ttl_seconds: batch::ttl_seconds(self.now, self.notice.expires_at),
        }
    }

    fn cut(&self, locale: &str) -> &'t Cut {
        self.message.cut(locale)
    }

    pub(super) fn template(&self, group: &Grouped<'_>, plan: &Plan) -> Template {
        let cut = self.cut(group.locale);
        let mut data = vec![
            ("source".to_owned(), self.notice.at.source.to_string()),
            ("rule".to_owned(), self.notice.rule.to_owned()),
        ];
        if let Some(link) = &cut.link {
            data.push(("link".to_owned(), link.clone()));
        }
        Template {
            rule: self.notice.rule.to_owned(),
            locale: group.locale.to_owned(),
            title: if group.counted {
                format!("{} (+{{{{{}}}}})", cut.title, cut.count() + 1)
            } else {
                cut.title.clone()
            },
            summary: cut.summary.clone(),
            target: self.rule.plan.app.clone().unwrap_or_else(|| plan.target.clone()),
            collapse_key: (self.notice.collapse_key)
                .map(|_| format!("{{{{{}}}}}", cut.count() + 1 + usize::from(group.counted))),
            ttl_seconds: group.ttl_seconds,
            priority: self.priority,
            answers: self.notice.answers.clone(),
            data,
        }
    }

    pub(super) fn write_letter(&self, group: &Grouped<'_>, pile: &mut Pile) -> Result<u32, &'static str> {
        let notice = self.notice;
        let texts =
            self.cut(group.locale).inserts(&notice.values, group.zone).map_err(|_| "message-failed")?;
        let more = (notice.count > 1).then(|| (notice.count - 1).to_string());
        Ok(pile.write(&Letter {
            notice: notice.id,
            subject: notice.subject,
            subject_partition: self.from,
            conversation: notice.conversation,
            occasion: notice.occasion,
            expires_at: notice.expires_at,
            audience: notice.audience,
            inserts: texts
                .iter()
                .map(|text| &**text)
                .chain(more.as_deref())
                .chain(notice.collapse_key)
                .collect(),
        }))
    }
}

fn bit(verb: Verb) -> u8 {
    1 << Verb::ALL.iter().position(|other| *other == verb).unwrap_or(0)
}

/// How a telling ended for these people.
pub(super) fn ended(now: Timestamp, notice: &Notice<'_>, reason: Reason, people: &[&str]) -> Verdict {
    Verdict {
        at: now,
        tenant: notice.tenant.to_owned(),
        event_id: notice.event_id.to_owned(),
        change: notice.at,
        subject: Some(notice.subject.to_owned()),
        rule: Some(notice.rule.to_owned()),
        occasion: Some(notice.occasion),
        ending: Ending::Not(reason),
        count: u32::try_from(people.len()).unwrap_or(u32::MAX),
        people: people.iter().map(|person| (*person).to_owned()).collect(),
        asked: None,
    }
}
