//! Reading: from a tree to typed values, noting every wrong one and going on.
//!
//! Nothing here knows what a rule is; it knows texts, spans, lists, words out of a closed list, and
//! maps whose unknown names are faults with a suggestion.

use std::sync::Arc;

use crate::event::{DayTime, NotAnHour, Span};

use super::fault::{Faults, Place, Sheet, Spot, listed, suggest};
use super::tree::{Branch, Node};

/// The file being read and what was found wrong.
pub(crate) struct Reading<'f> {
    /// The file.
    pub(crate) sheet: Arc<Sheet>,
    /// Every fault so far.
    pub(crate) faults: &'f mut Faults,
    /// Names of what may stand in it, each with an example.
    pub(crate) forms: &'static [(&'static str, &'static str)],
}

/// A map whose entries are asked for by name. What was never asked for is unknown.
pub(crate) struct Fields<'n> {
    entries: &'n [(Spot<String>, Node)],
    defaults: Option<&'n Fields<'n>>,
    asked: Vec<&'static str>,
    what: &'static str,
    /// Where the map stands.
    pub(crate) at: Place,
}

// === impl Reading ===

impl Reading<'_> {
    /// Notes a fault; `told` is the fact and what to do.
    pub(crate) fn fault(
        &mut self,
        at: Place,
        code: &'static str,
        told: (impl Into<String>, impl Into<String>),
    ) {
        self.faults.add(&self.sheet, at, code, told);
    }

    /// Notes that something else stands where `wanted` should.
    pub(crate) fn wrong(&mut self, node: &Node, wanted: &str) {
        let found = match &node.value {
            Branch::Whole(number) => format!("`{number}`"),
            other => other.name().to_owned(),
        };
        let fact = format!("{found} stands where {wanted} should");
        self.fault(node.at, "wrong-type", (fact, self.form(node, wanted)));
    }

    /// What to write here: an example, where there is one.
    fn form(&self, node: &Node, wanted: &str) -> String {
        let known = |name: &str| self.forms.iter().find(|(known, _)| *known == name);
        match known(wanted.trim_matches('`')).or_else(|| known(&node.key)) {
            Some((_, example)) => format!("write it as `{example}`"),
            None => format!("write {wanted}"),
        }
    }

    /// A text that says something; numbers and truth values are taken as they are written.
    pub(crate) fn text(&mut self, node: &Node) -> Option<Spot<String>> {
        self.text_as(node, "a text")
    }

    /// The same, where the text is to be something of its own.
    pub(crate) fn text_as(&mut self, node: &Node, wanted: &str) -> Option<Spot<String>> {
        let text = self.any_text(node, wanted)?;
        if text.value.trim().is_empty() {
            let hint = format!("{}, or take it out", self.form(node, wanted));
            self.fault(node.at, "empty-text", ("an empty text says nothing", hint));
            return None;
        }
        Some(text)
    }

    /// A text that may well be empty.
    pub(crate) fn any_text(&mut self, node: &Node, wanted: &str) -> Option<Spot<String>> {
        let value = match &node.value {
            Branch::Text(text) => text.clone(),
            Branch::Whole(number) => number.to_string(),
            Branch::Fraction(number) => number.to_string(),
            Branch::Flag(flag) => flag.to_string(),
            _ => {
                self.wrong(node, wanted);
                return None;
            }
        };
        Some(Spot { value, at: node.at })
    }

    /// A truth value.
    pub(crate) fn flag(&mut self, node: &Node) -> Option<bool> {
        match node.value {
            Branch::Flag(flag) => Some(flag),
            _ => {
                self.wrong(node, "`true` or `false`");
                None
            }
        }
    }

    /// A whole number from 1.
    pub(crate) fn count(&mut self, node: &Node) -> Option<u32> {
        match node.value {
            Branch::Whole(number) if number >= 1 => {
                let count = u32::try_from(number).ok();
                if count.is_none() {
                    self.wrong(node, "a whole number below 4294967296");
                }
                count
            }
            _ => {
                self.wrong(node, "a whole number from 1");
                None
            }
        }
    }

    /// A span such as `15m`; zero is one too.
    pub(crate) fn span(&mut self, node: &Node) -> Option<Span> {
        let text = self.text_as(node, "a span such as 30s, 15m, 4h or 2d")?;
        self.span_in(&text, 0)
    }

    /// The span that a text ends with, from this byte on.
    pub(crate) fn span_in(&mut self, text: &Spot<String>, from: usize) -> Option<Span> {
        let rest = text.value.get(from..).unwrap_or_default();
        let written = rest.trim();
        let at = match written.is_empty() {
            true => text.at,
            false => self.sheet.inside(text, from + rest.len() - rest.trim_start().len(), written.len()),
        };
        let told = match written.parse::<Span>() {
            Ok(span) if span >= Span::ZERO => return Some(span),
            Ok(_) => (format!("`{written}` is shorter than nothing"), SPANS.to_owned()),
            Err(error) => (error.to_string(), span_hint(written)),
        };
        self.fault(at, "bad-span", told);
        None
    }

    /// A span of a second or more, by which timers go; `told` is what is wrong with a shorter one.
    pub(crate) fn lasting(&mut self, node: &Node, told: (&str, &str)) -> Option<Span> {
        let span = self.span(node)?;
        self.at_least_a_second(span, node.at, told);
        Some(span)
    }

    /// Notes a span shorter than timers can tell.
    pub(crate) fn at_least_a_second(&mut self, span: Span, at: Place, told: (&str, &str)) {
        if span < Span::from_secs(1) {
            self.fault(at, "short-span", told);
        }
    }

    /// An hour such as `"09:00"`.
    pub(crate) fn day_time(&mut self, node: &Node) -> Option<DayTime> {
        let text = self.text_as(node, "an hour such as \"09:00\"")?;
        match text.value.parse() {
            Ok(hour) => Some(hour),
            Err(NotAnHour(_)) => {
                let told = (format!("`{}` is no hour of the day", text.value), "write it as `\"09:00\"`");
                self.fault(node.at, "bad-hour", told);
                None
            }
        }
    }

    /// One of `words`, with what it stands for.
    pub(crate) fn word<T: Copy>(&mut self, node: &Node, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let text = self.any_text(node, &format!("one of {}", listed(&names)))?;
        let found = words.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            let fact = format!("`{}` is none of {}", text.value, listed(&names));
            self.fault(node.at, "unknown-word", (fact, suggest(&text.value, &names)));
        }
        found.map(|(_, value)| *value)
    }

    /// A list of what `read` reads; one thing alone is a list of one.
    pub(crate) fn list<T>(
        &mut self,
        node: &Node,
        mut read: impl FnMut(&mut Self, &Node) -> Option<T>,
    ) -> Vec<T> {
        match &node.value {
            Branch::List(items) => items.iter().filter_map(|item| read(self, item)).collect(),
            Branch::Nothing => Vec::new(),
            _ => read(self, node).into_iter().collect(),
        }
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, node: &Node) -> Vec<Spot<String>> {
        self.list(node, Self::text)
    }

    /// A list of names: there are some, and each stands once.
    pub(crate) fn names(&mut self, node: &Node) -> Vec<Spot<String>> {
        self.some(node, Self::text)
    }

    /// A list of what `read` reads that says something: it is not empty, and says nothing twice.
    pub(crate) fn some<T>(&mut self, node: &Node, read: impl FnMut(&mut Self, &Node) -> Option<T>) -> Vec<T> {
        if node.is_empty() && !matches!(node.value, Branch::Map(_)) {
            let hint = format!("{}, or take it out", self.form(node, "what it should name"));
            self.fault(node.at, "empty-list", ("an empty list says nothing", hint));
        }
        self.once(node);
        self.list(node, read)
    }

    /// Notes what stands twice in a list.
    pub(crate) fn once(&mut self, node: &Node) {
        let Branch::List(items) = &node.value else { return };
        for (index, item) in items.iter().enumerate() {
            let is_text = !matches!(item.value, Branch::List(_) | Branch::Map(_) | Branch::Nothing);
            if is_text && items[..index].iter().any(|earlier| earlier.value == item.value) {
                let fact = format!("`{}` stands twice in this list", item.plain_text());
                self.fault(item.at, "stands-twice", (fact, "keep one of the two"));
            }
        }
    }

    /// A map that has something in it.
    pub(crate) fn fields_of<'n>(&mut self, node: &'n Node, what: &'static str) -> Option<Fields<'n>> {
        if matches!(node.value, Branch::Map(_)) && node.is_empty() {
            let hint = format!("{}, or take it out", self.form(node, what));
            self.fault(node.at, "empty-map", (format!("an empty {what} says nothing"), hint));
            return None;
        }
        self.fields(node, what)
    }

    /// A map called `what` in faults.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, what: &'static str) -> Option<Fields<'n>> {
        let Branch::Map(entries) = &node.value else {
            self.wrong(node, what);
            return None;
        };
        for (index, (key, _)) in entries.iter().enumerate() {
            if entries[..index].iter().any(|(earlier, _)| earlier.value == key.value) {
                let fact = format!("`{}` stands twice in {what}", key.value);
                self.fault(key.at, "duplicate-field", (fact, "keep one of the two"));
            }
        }
        Some(Fields { entries, defaults: None, asked: Vec::new(), what, at: node.at })
    }
}

const SPANS: &str = "write a span such as 30s, 15m, 4h or 2d";

fn span_hint(text: &str) -> String {
    let number: String = text.chars().take_while(char::is_ascii_digit).collect();
    let unit = text[number.len()..].trim().chars().next().map(|unit| unit.to_ascii_lowercase());
    match unit {
        Some(unit @ ('w' | 'd' | 'h' | 'm' | 's')) if format!("{number}{unit}").parse::<Span>().is_ok() => {
            format!("write `{number}{unit}`")
        }
        Some('d') if !number.is_empty() => "write `36525d` or less".to_owned(),
        _ => SPANS.to_owned(),
    }
}

// === impl Fields ===

impl<'n> Fields<'n> {
    /// The same, with `defaults` asked where an entry may be inherited.
    pub(crate) fn over(mut self, defaults: Option<&'n Fields<'n>>) -> Self {
        self.defaults = defaults;
        self
    }

    /// The entry called `name`.
    pub(crate) fn get(&mut self, name: &'static str) -> Option<&'n Node> {
        self.asked.push(name);
        self.peek(name)
    }

    /// The entry called `name`, else the default of that name.
    pub(crate) fn inherit(&mut self, name: &'static str) -> Option<&'n Node> {
        self.get(name).or_else(|| self.defaults.and_then(|defaults| defaults.peek(name)))
    }

    /// Whether it takes the place of a default of that name.
    pub(crate) fn overrides(&self, name: &str) -> bool {
        self.peek(name).is_some() && self.defaults.is_some_and(|defaults| defaults.peek(name).is_some())
    }

    fn peek(&self, name: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(key, _)| key.value == name).map(|(_, node)| node)
    }

    /// The entry called `name`, which must be there.
    pub(crate) fn need(&mut self, name: &'static str, cx: &mut Reading<'_>) -> Option<&'n Node> {
        let found = self.get(name);
        if found.is_none() {
            let fact = format!("{} lacks `{name}`", self.what);
            cx.fault(self.at, "missing-field", (fact, format!("add `{name}:`")));
        }
        found
    }

    /// Every entry, with its name.
    pub(crate) fn own(&self) -> impl Iterator<Item = &'n (Spot<String>, Node)> {
        self.entries.iter()
    }

    /// What was not asked for, with its name.
    pub(crate) fn rest(&self) -> impl Iterator<Item = &'n (Spot<String>, Node)> + '_ {
        self.entries.iter().filter(|(key, _)| !self.asked.contains(&key.value.as_str()))
    }

    /// Notes every entry nobody asked for.
    pub(crate) fn done(&self, cx: &mut Reading<'_>) {
        for (key, _) in self.rest() {
            let fact = format!("unknown field `{}` in {}", key.value, self.what);
            cx.fault(key.at, "unknown-field", (fact, suggest(&key.value, &self.asked)));
        }
    }
}
