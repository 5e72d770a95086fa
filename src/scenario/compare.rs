//! Compare: what a scenario expects beside what came of it.
//!
//! What is told is compared completely: a push that no step expects is a finding like one that did not come.

use serde_json::Value as Json;

use crate::event::{Ending, Timestamp, Verdict};

use super::play::{Moment, Played, Told};
use super::script::{Ended, Scenario, Step, Telling, is_occasion};

/// Something that came out otherwise than written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The line of the scenario's file.
    pub line: usize,
    /// When, in the scenario's zone.
    pub at: String,
    /// `- ` what was expected, `+ ` what came, else what it is about.
    pub lines: Vec<String>,
}

/// Everything that came out otherwise; nothing when all is as written.
#[must_use]
pub fn compare(scenario: &Scenario, played: &Played) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (step, moment) in scenario.steps.iter().zip(&played.steps) {
        let mut sheet = Sheet { scenario, step, findings: &mut findings };
        sheet.told(moment);
        sheet.silent(moment);
        sheet.verdicts(moment);
        sheet.answer(moment);
        sheet.write_backs(moment);
        sheet.dead_letters(moment);
        for stuck in &moment.stuck {
            sheet.note(step.line, step.at, vec![stuck.clone()]);
        }
    }
    findings
}

/// One step beside what came of it.
struct Sheet<'s> {
    scenario: &'s Scenario,
    step: &'s Step,
    findings: &'s mut Vec<Finding>,
}

// === impl Sheet ===

impl Sheet<'_> {
    fn note(&mut self, line: usize, at: Timestamp, lines: Vec<String>) {
        self.findings.push(Finding { line, at: self.scenario.clock.show(at), lines });
    }

    fn told(&mut self, moment: &Moment) {
        // What is told within a second of a step is told by it; windows and timers count in seconds.
        let (from, to) = (self.step.at, self.step.end);
        let mut left: Vec<&Told> = moment.told.iter().collect();
        let mut missing = Vec::new();
        for telling in &self.step.expected.told {
            for who in &telling.to {
                let is_it = |told: &&Told| {
                    told.at >= from && told.at <= to && told.who == *who && telling.differs(told).is_empty()
                };
                match left.iter().position(is_it) {
                    Some(at) => drop(left.remove(at)),
                    None => missing.push((telling, who)),
                }
            }
        }
        for (telling, who) in missing {
            let name = format!("{} -> {}", telling.rule, who.show(&self.scenario.tenant));
            let near = left.iter().position(|told| told.rule == telling.rule && told.who == *who);
            let Some(told) = near.map(|at| left.remove(at)) else {
                self.note(telling.line, self.step.at, vec![format!("- {name}{}", telling.asks())]);
                continue;
            };
            let mut lines = vec![name];
            if told.at < from || told.at > to {
                lines.push(format!("- at {}", self.scenario.clock.show(from)));
                lines.push(format!("+ at {}", self.scenario.clock.show(told.at)));
            }
            for (asked, came) in telling.differs(told) {
                lines.extend([format!("- {asked}"), format!("+ {came}")]);
            }
            self.note(telling.line, self.step.at, lines);
        }
        self.unexpected(&left);
    }

    /// What nobody expected, the people of one text in one line.
    fn unexpected(&mut self, left: &[&Told]) {
        let mut lines: Vec<(Timestamp, String, Vec<String>)> = Vec::new();
        for told in left {
            let (what, who) = (told.show(), told.who.show(&self.scenario.tenant));
            match lines.iter_mut().find(|(at, text, _)| *at == told.at && *text == what) {
                Some((.., people)) => people.push(who),
                None => lines.push((told.at, what, vec![who])),
            }
        }
        for (at, what, people) in lines {
            let rule = what.split(' ').next().unwrap_or_default().to_owned();
            let rest = what.strip_prefix(rule.as_str()).unwrap_or_default();
            self.note(self.step.line, at, vec![format!("+ {rule} -> {}{rest}", people.join(", "))]);
        }
    }

    fn silent(&mut self, moment: &Moment) {
        for (who, rule) in &self.step.expected.not_told {
            let heard =
                |told: &&Told| told.who == *who && rule.as_ref().is_none_or(|rule| *rule == told.rule);
            for told in moment.told.iter().filter(heard) {
                let name = who.show(&self.scenario.tenant);
                self.note(
                    self.step.line,
                    told.at,
                    vec![format!("{name} is told, and must not be: {}", told.show())],
                );
            }
        }
    }

    fn verdicts(&mut self, moment: &Moment) {
        for ended in &self.step.expected.verdicts {
            if ended.is_among(&moment.verdicts) {
                continue;
            }
            let mut lines = vec![format!("- verdict {}", ended.show())];
            let of_rule = |verdict: &&Verdict| ended.rule.is_some() && verdict.rule == ended.rule;
            lines.extend(
                moment.verdicts.iter().filter(of_rule).map(|verdict| format!("+ verdict {}", shown(verdict))),
            );
            self.note(ended.line, self.step.at, lines);
        }
    }

    fn answer(&mut self, moment: &Moment) {
        let reply = self.step.acts.iter().find_map(|(_, act)| match act {
            super::Act::Answer(reply) => Some(reply),
            _ => None,
        });
        let Some(reply) = reply.filter(|_| moment.stuck.is_empty()) else { return };
        if reply.refused != moment.refused {
            let word = |refused: &Option<String>| match refused {
                Some(why) => format!("refused: {why}"),
                None => "counts".to_owned(),
            };
            let lines = vec![
                format!("{} answers {}", reply.by.show(&self.scenario.tenant), reply.verb.as_str()),
                format!("- {}", word(&reply.refused)),
                format!("+ {}", word(&moment.refused)),
            ];
            self.note(self.step.line, self.step.at, lines);
        }
    }

    fn write_backs(&mut self, moment: &Moment) {
        let Some(expected) = &self.step.expected.write_back else { return };
        let mut left: Vec<&Json> = moment.write_backs.iter().collect();
        for (line, wanted) in expected {
            match left.iter().position(|came| holds(came, wanted)) {
                Some(at) => drop(left.remove(at)),
                None => {
                    let mut lines = vec![format!("- written back {wanted}")];
                    lines.extend(left.iter().map(|came| format!("+ written back {came}")));
                    self.note(*line, self.step.at, lines);
                    return;
                }
            }
        }
        for came in left {
            self.note(self.step.line, self.step.at, vec![format!("+ written back {came}")]);
        }
    }

    fn dead_letters(&mut self, moment: &Moment) {
        let expected = &self.step.expected.dead_letters;
        if *expected != moment.dead_letters {
            let lines = expected.iter().map(|code| format!("- dead letter {code}"));
            let came = moment.dead_letters.iter().map(|code| format!("+ dead letter {code}"));
            self.note(self.step.line, self.step.at, lines.chain(came).collect());
        }
    }
}

/// Whether `came` holds everything that `wanted` says.
fn holds(came: &Json, wanted: &Json) -> bool {
    match (came, wanted) {
        (Json::Object(came), Json::Object(wanted)) => {
            wanted.iter().all(|(name, value)| came.get(name).is_some_and(|came| holds(came, value)))
        }
        (came, wanted) => came == wanted,
    }
}

// === impl Telling ===

impl Telling {
    /// What this asks that a push does not have, and what it has.
    fn differs(&self, told: &Told) -> Vec<(String, String)> {
        let mut found = Vec::new();
        if self.rule != told.rule {
            found.push((format!("rule {}", self.rule), format!("rule {}", told.rule)));
        }
        let text = told.text();
        let lacks = |wanted: &&String| !told.title.contains(*wanted) && !told.summary.contains(*wanted);
        found.extend(
            self.text
                .iter()
                .filter(lacks)
                .map(|wanted| (format!("text {wanted:?}"), format!("text {text:?}"))),
        );
        if let Some(wanted) = self.locale.as_ref().filter(|wanted| **wanted != told.locale) {
            found.push((format!("locale {wanted}"), format!("locale {}", told.locale)));
        }
        if let Some(wanted) = self.answers.as_ref().filter(|wanted| **wanted != told.answers) {
            let word = |verbs: &[crate::event::notice::Verb]| {
                verbs.iter().map(|verb| verb.as_str()).collect::<Vec<_>>().join(", ")
            };
            found.push((format!("answers [{}]", word(wanted)), format!("answers [{}]", word(&told.answers))));
        }
        if let Some(wanted) = self.priority.filter(|wanted| *wanted != told.priority) {
            found.push((format!("priority {wanted}"), format!("priority {}", told.priority)));
        }
        if let Some(wanted) = self.occasion.as_ref().filter(|wanted| !is_occasion(told.occasion, wanted)) {
            found.push((format!("occasion {wanted}"), format!("occasion {}", told.occasion)));
        }
        let link = told.link.as_deref().unwrap_or_default();
        if let Some(wanted) = self.link.as_ref().filter(|wanted| !link.contains(wanted.as_str())) {
            found.push((format!("link {wanted}"), format!("link {link}")));
        }
        if let Some(wanted) = self.app.as_ref().filter(|wanted| **wanted != told.app) {
            found.push((format!("app {wanted}"), format!("app {}", told.app)));
        }
        found
    }

    /// What it asks beside the rule, for people.
    fn asks(&self) -> String {
        let texts: String = self.text.iter().map(|text| format!(" {text:?}")).collect();
        let occasion = self.occasion.as_ref().map_or(String::new(), |occasion| format!(" ({occasion})"));
        format!("{texts}{occasion}")
    }
}

// === impl Told ===

impl Told {
    fn text(&self) -> String {
        format!("{} · {}", self.title, self.summary)
    }

    fn show(&self) -> String {
        let Self { rule, occasion, locale, priority, .. } = self;
        format!("{rule} {:?} ({occasion}, {locale}, {priority})", self.text())
    }
}

// === impl Ended ===

impl Ended {
    /// Whether there are such verdicts, and all its people are named by one or another of them: people of
    /// several partitions have one each.
    fn is_among(&self, verdicts: &[Verdict]) -> bool {
        let mut alike = verdicts.iter().filter(|verdict| self.is(verdict)).peekable();
        let mut left = self.people.clone();
        let any = alike.peek().is_some();
        alike.for_each(|verdict| left.retain(|person| !verdict.people.contains(person)));
        any && left.is_empty()
    }

    fn is(&self, verdict: &Verdict) -> bool {
        (self.rule.is_none() || self.rule == verdict.rule)
            && self.word_is(&verdict.ending)
            && self
                .occasion
                .as_ref()
                .is_none_or(|word| verdict.occasion.is_some_and(|occasion| is_occasion(occasion, word)))
    }

    fn word_is(&self, ending: &Ending) -> bool {
        match ending {
            Ending::Told => self.word == "told",
            Ending::Routed => self.word == "routed",
            Ending::Not(reason) => self.word == reason.to_string() || self.word == reason.as_str(),
            Ending::Answered(_) | Ending::AnswerRefused(_) | Ending::Carried(_) => false,
        }
    }

    fn show(&self) -> String {
        let rule = self.rule.as_deref().unwrap_or("of no rule");
        let occasion = self.occasion.as_ref().map_or(String::new(), |occasion| format!(" {occasion}"));
        format!("{rule}{occasion}: {} {}", self.word, self.people.join(" ")).trim_end().to_owned()
    }
}

fn shown(verdict: &Verdict) -> String {
    let rule = verdict.rule.as_deref().unwrap_or("of no rule");
    let occasion = verdict.occasion.map_or(String::new(), |occasion| format!(" {occasion}"));
    let word = match &verdict.ending {
        Ending::Told => "told".to_owned(),
        Ending::Routed => "routed".to_owned(),
        Ending::Not(reason) => reason.to_string(),
        Ending::Answered(verb) => format!("answered {verb}"),
        Ending::AnswerRefused(why) => format!("answer refused: {why}"),
        Ending::Carried(carried) => format!("carried: {}", carried.as_str()),
    };
    format!("{rule}{occasion}: {word} {}", verdict.people.join(" ")).trim_end().to_owned()
}
