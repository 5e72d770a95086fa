//! Telling: a notice on its way to a person's phone: in which words, with whom in one request.

use std::cmp::Reverse;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::directory::{Entry, People, Wishes};
use crate::event::notice::Verb;
use crate::event::push::{Letter, fill};
use crate::event::{
    BoundAudience, Ending, Notice, Occasion, Priority, Reason, Span, Template, Timestamp, Verdict,
};
use crate::topology::message::{Links, Reader};
use crate::topology::plan::WindowPlan;
use crate::topology::{Cut, Message, Rule, why};

use super::batch::{self, Grouped, Pile};
use super::merge::Claim;
use super::{Plan, World};

/// A notice being told, with what is the same for all its people.
pub(super) struct Telling<'t> {
    pub(super) now: Timestamp,
    pub(super) notice: &'t Notice<'t>,
    pub(super) rule: &'t Rule,
    pub(super) priority: Priority,
    /// The window in which the person has it gathered.
    pub(super) window: Option<&'t WindowPlan>,
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
    /// The rule that told the news where another did; empty where several could have.
    pub(super) rival: &'t str,
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
        let locale = self.locale(entry, plan);
        let cut = self.cut(locale);
        Grouped {
            tenant: self.notice.tenant,
            external: entry.party().is_some(),
            rule: self.place,
            generation: self.generation,
            saying: self.notice.saying,
            counted: self.notice.count > 1,
            listed: false,
            locale: cut.habits_for(locale),
            zone: if cut.zone_matters { self.zone(entry, plan) } else { "" },
            answers: self.notice.answers.iter().fold(0, |bits, verb| bits | bit(*verb)),
            ttl_seconds: batch::ttl_seconds(self.now, self.notice.expires_at),
        }
    }

    /// A notice of a partition of `bugle.subjects`, in the words of the rules it was decided by, as long as there
    /// is such a rule; why it is told to nobody.
    pub(super) fn new(
        now: Timestamp,
        notice: &'t Notice<'t>,
        (from, generation): (i32, u64),
        world: &'t World<'_>,
    ) -> Result<Self, Reason> {
        let decided_by = world.topology.at(generation);
        let placed = decided_by.placed(notice.rule).filter(|_| world.topology.rule(notice.rule).is_some());
        // Where it was decided by rules that nobody has any more, a rule may say less than it did then.
        let (place, rule) = placed.ok_or(Reason::RuleRemoved)?;
        let saying = rule.sayings.get(usize::from(notice.saying)).ok_or(Reason::RuleRemoved)?;
        let message = saying.message.as_deref().ok_or(Reason::RuleRemoved)?;
        if notice.expires_at.is_some_and(|end| end <= now) {
            return Err(Reason::Expired);
        }
        let (answers, priority) = (notice.answers.len(), saying.priority);
        let meets = decided_by.shares_news(place);
        Ok(Self {
            now,
            notice,
            rule,
            priority,
            window: saying.window.as_ref(),
            message,
            place,
            generation: decided_by.generation,
            claim: Claim { answers, priority, standing: Reverse(place) },
            from,
            moved: None,
            if_merged: meets.then(|| Arc::new(ended(now, notice, Reason::Merged(String::new()), &[]))),
            rival: decided_by.only_rival(place).map_or("", |rival| rival.id.as_str()),
            found: SmallVec::new(),
        })
    }

    /// The locale of a reader.
    pub(super) fn locale(&self, entry: &Entry<'t>, plan: &'t Plan) -> &'t str {
        entry.locale().unwrap_or(&plan.tenant(self.notice.tenant).locale)
    }

    /// The zone of a reader.
    pub(super) fn zone(&self, entry: &Entry<'t>, plan: &'t Plan) -> &'t str {
        entry.zone().unwrap_or(&plan.tenant(self.notice.tenant).zone)
    }

    /// Whether its rule asks that it waits: for others like it, or for the person's day to have room.
    pub(super) fn asks(&self) -> bool {
        let asks = self.window.is_some() || self.within().is_some() || self.rule.plan.cap.is_some();
        asks && self.priority < Priority::Critical
    }

    /// Whether it must be heard though its news is known: an alarm, or what asks for a yes or a no.
    pub(super) fn is_grave(&self) -> bool {
        self.priority == Priority::Critical || self.notice.answers.iter().any(|verb| verb.decides())
    }

    /// Whether a person does not want it. What is mandatory nobody can mute.
    pub(super) fn is_muted(&self, wishes: &Wishes) -> bool {
        let plan = &self.rule.plan;
        let category = plan.category.as_ref().filter(|_| !plan.mandatory);
        category.is_some_and(|category| wishes.mute(category, &plan.channels))
    }

    /// How long it waits for other tellings of the same news.
    pub(super) fn within(&self) -> Option<Span> {
        let meets = self.if_merged.is_some() && self.notice.occasion != Occasion::Closed;
        self.rule.plan.within.filter(|_| meets)
    }

    /// Whether what waits for a person may change what becomes of it.
    pub(super) fn may_meet(&self) -> bool {
        self.if_merged.is_some() || self.notice.occasion == Occasion::Closed
    }

    /// Whether somebody may be told now who was named when it was decided.
    pub(super) fn may_hear(&self, people: &People, entry: &Entry<'_>) -> Result<(), Reason> {
        let left = |audience| !people.belongs(self.notice.tenant, audience, entry.user_id());
        if self.moved.as_ref().is_some_and(left) {
            return Err(Reason::LeftAudience);
        }
        match entry.wishes() {
            Some(wishes) if self.is_muted(wishes) => Err(Reason::Preference),
            _ => Ok(()),
        }
    }

    /// Whom it is for is asked for again. When in doubt nobody is told.
    pub(super) fn ask_again(&mut self) -> Result<(), Reason> {
        let audience = self.notice.audience.open();
        self.moved = Some(audience.map_err(|_| Reason::Refused("internal".to_owned()))?);
        Ok(())
    }

    /// What is said in a locale, of as many changes as it stands for.
    fn cut(&self, locale: &str) -> &'t Cut {
        self.message.cut(locale).of(self.notice.count)
    }

    /// Whether how many more there are is added to the title: the message has no words for several.
    fn adds_count(&self, group: &Grouped<'_>) -> bool {
        group.counted && !self.message.cut(group.locale).has_several()
    }

    pub(super) fn template(&self, group: &Grouped<'_>, plan: &Plan) -> Template {
        let cut = self.cut(group.locale);
        let adds_count = self.adds_count(group);
        Template {
            rule: self.notice.rule.to_owned(),
            locale: cut.locale.clone(),
            title: if group.listed {
                "{{1}}".to_owned()
            } else if adds_count {
                format!("{} (+{{{{{}}}}})", cut.title, cut.count() + 1)
            } else {
                cut.title.clone()
            },
            summary: if group.listed { "{{2}}".to_owned() } else { cut.summary.clone() },
            target: self.rule.plan.app.clone().unwrap_or_else(|| plan.target.clone()),
            collapse_key: (self.notice.collapse_key)
                .filter(|_| !group.listed)
                .map(|_| format!("{{{{{}}}}}", cut.count() + 1 + usize::from(adds_count))),
            ttl_seconds: group.ttl_seconds,
            priority: self.priority,
            answers: if group.listed { Vec::new() } else { self.notice.answers.clone() },
            data: self.data(group, cut, &plan.links),
        }
    }

    /// What the app gets with it: where it comes from, why the person hears it, what they may mute.
    fn data(&self, group: &Grouped<'_>, cut: &Cut, links: &Links) -> Vec<(String, String)> {
        let plan = &self.rule.plan;
        let saying = self.rule.sayings.get(usize::from(self.notice.saying));
        // What its inserts fill is looked at one by one; a host in writing is the same for all.
        let leads = cut.written_link().is_none_or(|link| links.allow(link));
        let link = cut.link.clone().filter(|_| !group.listed && leads);
        let data = [
            ("source", Some(self.notice.at.source.to_string())),
            // Of several kinds a batch may hold more than one.
            (
                "kind",
                Some(self.rule.kinds.as_slice())
                    .filter(|kinds| kinds.len() == 1)
                    .map(|kinds| kinds[0].clone()),
            ),
            ("rule", Some(self.notice.rule.to_owned())),
            ("why", saying.map(|saying| why(self.rule, saying))),
            ("locale", Some(cut.locale.clone())),
            ("category", plan.category.clone()),
            ("mandatory", plan.mandatory.then(|| "true".to_owned())),
            ("link", link),
        ];
        data.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }

    pub(super) fn write_letter(
        &self,
        group: &Grouped<'_>,
        plan: &Plan,
        pile: &mut Pile,
    ) -> Result<u32, &'static str> {
        let notice = self.notice;
        let reader = Reader { locale: group.locale, zone: group.zone, now: self.now, count: notice.count };
        let texts = self.cut(group.locale).inserts(&notice.values, reader, &plan.links);
        let texts = texts.map_err(|_| "message-failed")?;
        let more = self.adds_count(group).then(|| (notice.count - 1).to_string());
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

    /// One of its lines as it reads in a list: by itself, or the words for so many.
    pub(super) fn title(&self, group: &Grouped<'_>, count: Option<u32>) -> Result<String, &'static str> {
        let count = count.unwrap_or(self.notice.count);
        let cut = self.message.cut(group.locale).of(count);
        let reader = Reader { locale: group.locale, zone: group.zone, now: self.now, count };
        let inserts = cut.inserts(&self.notice.values, reader, &Links::default());
        let inserts = inserts.map_err(|_| "message-failed")?;
        let inserts: Vec<&str> = inserts.iter().map(|insert| &**insert).collect();
        Ok(fill(&cut.title, &inserts))
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
