//! Lines: what was decided, in words, each line with those that hang on it.
//!
//! Whoever shows it, on a terminal or on a page, shows the same words.

use std::fmt::Write as _;

use super::matter::{Answered, Matter};
use super::telling::Pushed;
use super::{Fate, Recalled, Telling};

/// A line and what hangs on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// The words.
    pub text: String,
    /// What it tells of.
    pub tone: Tone,
    /// What hangs on it.
    pub under: Vec<Self>,
}

/// What a line tells of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// How it came about.
    #[default]
    Plain,
    /// People heard of it.
    Told,
    /// People did not.
    NotTold,
    /// Somebody answered, and it was carried into the source system.
    Done,
}

/// A control, or a mark that changes the direction of what follows.
fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

// === impl Line ===

impl Line {
    /// A line alone. What an event says may not move the reader's cursor or turn the line around.
    #[must_use]
    pub fn of(text: impl Into<String>) -> Self {
        let text = text.into();
        let text = if text.contains(is_unprintable) {
            let shown = |c: char| match is_unprintable(c) {
                true => c.escape_unicode().to_string(),
                false => c.to_string(),
            };
            text.chars().map(shown).collect()
        } else {
            text
        };
        Self { text, ..Self::default() }
    }

    /// With these under it.
    #[must_use]
    pub fn with(mut self, under: impl IntoIterator<Item = Self>) -> Self {
        self.under.extend(under);
        self
    }

    /// Telling of this.
    #[must_use]
    pub fn tells(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    /// Draws it and what hangs on it, with branches.
    pub fn draw(&self, out: &mut String) {
        self.draw_behind("", out);
    }

    fn draw_behind(&self, before: &str, out: &mut String) {
        let _ = writeln!(out, "{}", self.text);
        for (index, line) in self.under.iter().enumerate() {
            let last = index + 1 == self.under.len();
            let _ = write!(out, "{before}{}", if last { "└─ " } else { "├─ " });
            line.draw_behind(&format!("{before}{}", if last { "   " } else { "│  " }), out);
        }
    }
}

// === impl Matter ===

impl Matter {
    /// What became of it: each change, what each rule said of it and to whom, what the push service took, who answered,
    /// and what was carried into the source system.
    #[must_use]
    pub fn lines(&self) -> Line {
        let changes = self.changes.iter().map(|change| {
            let tellings = change.tellings.iter().map(|telling| {
                let answered = |answer: &&Answered| answer.to.as_ref() == Some(&telling.place_in(change));
                let answers = self.answers.iter().filter(answered).map(Answered::line);
                telling.lines(&|_| None).with(answers)
            });
            change.head().with(tellings)
        });
        let others = self.answers.iter().filter(|answer| answer.to.is_none()).map(Answered::line);
        Line::of(&self.subject).with(changes).with(others)
    }
}

// === impl Recalled ===

impl Recalled {
    /// The change, by which rules it was decided, and how it ended where no rule came into it.
    #[must_use]
    pub fn head(&self) -> Line {
        let (partition, offset) = self.place;
        let rules = self.topologies.iter().map(|hash| Line::of(format!("decided by rules {hash}")));
        let ended = self.ended.iter().map(|ended| Line::of(format!("ended as {ended}")));
        let head = format!("{} of {}: {} {partition}-{offset}", self.event_id, self.tenant, self.source);
        Line::of(head).with(rules).with(ended)
    }
}

// === impl Telling ===

impl Telling {
    /// Told how many of how many.
    #[must_use]
    pub fn reached(&self) -> String {
        format!("told {} of {}", self.told_count(), self.candidates())
    }

    /// What became of it, in a line.
    #[must_use]
    pub fn heading(&self) -> String {
        let ended = match self.ended.as_deref() {
            Some("waits") => {
                let until = self.until.map(|until| format!(", {until}")).unwrap_or_default();
                Some(format!("says nothing yet: it waits for its time{until}"))
            }
            Some("grouped") if self.owed > 0 => Some("gathered with what came in its window".to_owned()),
            Some("grouped") => {
                Some("ended as grouped: it counts with others, and is not told by itself".to_owned())
            }
            Some("closes") => Some("what was open is over".to_owned()),
            Some(reason) => Some(format!("ended as {reason}")),
            None => None,
        };
        let reached = (self.candidates() > 0).then(|| self.reached());
        let facts: Vec<String> = reached.into_iter().chain(ended).collect();
        format!("{} {} at {}: {}", self.rule, self.occasion, self.at, facts.join(", "))
    }

    /// It and everybody it came near; `known` says more of a person.
    #[must_use]
    pub fn lines(&self, known: &dyn Fn(&str) -> Option<String>) -> Line {
        let audience = (!self.audience.is_empty()).then(|| Line::of(format!("asked for {}", self.audience)));
        let fates =
            |fates: &[Fate]| -> Vec<Line> { fates.iter().flat_map(|fate| fate.lines(known)).collect() };
        let told =
            (!self.told.is_empty()).then(|| Line::of("told").with(fates(&self.told)).tells(Tone::Told));
        let not_told = (!self.not_told.is_empty())
            .then(|| Line::of("not told").with(fates(&self.not_told)).tells(Tone::NotTold));
        let accepted: u32 = self.pushes.iter().map(|pushed| pushed.count).sum();
        let open = self.told_count().saturating_sub(accepted);
        let open = (open > 0 && accepted > 0)
            .then(|| Line::of(format!("{open} of them not accepted so far")).tells(Tone::NotTold));
        let pushes = self.pushes.iter().map(Pushed::line);
        Line::of(self.heading()).with(audience).with(told).with(not_told).with(pushes).with(open)
    }
}

// === impl Pushed ===

impl Pushed {
    fn line(&self) -> Line {
        let Self { at, count, batch, .. } = self;
        let pushes = if *count == 1 { "1 push".to_owned() } else { format!("{count} pushes") };
        let job = self.job_id.as_ref().map(|job| format!(" as job {job}")).unwrap_or_default();
        let head = format!("{pushes} accepted at {at}{job}, batch {batch}");
        let reached = (self.delivered > 0).then(|| {
            let of_all = if self.of_batch == *count {
                String::new()
            } else {
                format!(" of the batch's {}", self.of_batch)
            };
            Line::of(format!("{}{of_all} reached a device", self.delivered))
        });
        let lost = self.undelivered.iter().map(|push| {
            let code = if push.code.is_empty() { String::new() } else { format!(" ({})", push.code) };
            Line::of(format!("{}: {}{code}", push.user_id, push.mark.as_str())).tells(Tone::NotTold)
        });
        Line::of(head).tells(Tone::Told).with(reached).with(lost)
    }
}

// === impl Answered ===

impl Answered {
    fn line(&self) -> Line {
        let Self { at, person, response_id, .. } = self;
        let text = match &self.refused {
            None => format!("answered at {at} by {person}: {}", self.verb.as_deref().unwrap_or_default()),
            Some(why) => format!("an answer of {person} at {at} does not count: {why}"),
        };
        let carried = self.carried.iter().map(|carried| {
            let why = carried.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            let tone = if carried.ended == "confirmed" { Tone::Done } else { Tone::NotTold };
            Line::of(format!("carried into the source system at {}: {}{why}", carried.at, carried.ended))
                .tells(tone)
        });
        let tone = if self.refused.is_none() { Tone::Done } else { Tone::NotTold };
        Line::of(format!("{text}, as {response_id}")).tells(tone).with(carried)
    }
}

// === impl Fate ===

impl Fate {
    /// Each of its people, or how many they are.
    #[must_use]
    pub fn lines(&self, known: &dyn Fn(&str) -> Option<String>) -> Vec<Line> {
        let why = match (self.word.as_str(), self.why.as_str()) {
            ("told" | "never" | "away" | "inactive" | "outside" | "barred" | "lacks", "") => {
                self.word.clone()
            }
            ("told" | "never" | "away" | "inactive" | "outside" | "barred" | "lacks", why) => why.to_owned(),
            (word, "") => word.to_owned(),
            (word, why) => format!("{word} ({why})"),
        };
        if self.people.is_empty() {
            return vec![Line::of(format!("{} people: {why}", self.count))];
        }
        let when = self.at.map(|at| match self.word.as_str() {
            "told" => format!(", at {at}"),
            _ => format!(", until {at}"),
        });
        let when = when.unwrap_or_default();
        let one = |id: &String| {
            let row = known(id).map(|row| format!("   [{row}]")).unwrap_or_default();
            Line::of(format!("{id}: {why}{when}{row}"))
        };
        self.people.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_event_says_moves_no_cursor() {
        let text = Line::of("of \u{1b}[31mred\u{7} \u{202e}dlrow Grüße").text;
        assert_eq!(text, "of \\u{1b}[31mred\\u{7} \\u{202e}dlrow Grüße");
    }
}
