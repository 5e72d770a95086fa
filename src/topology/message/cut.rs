//! Cut: one message in one locale, parted into what all pushes share and what differs.
//!
//! `Approval needed: {{ event.node.name }}` becomes the template `Approval needed: {{1}}` and one
//! insert. Plain fields are filled in without the template engine.

use std::borrow::Cow;
use std::sync::Arc;

use minijinja::Environment;

use crate::event::Value;

use super::super::fault::Spot;
use super::filters::{READER, Show, to_template};
use super::habits::language;
use super::{ANSWER, Links, MessageFault, Reader, text};

/// The most characters of a title, inserts included.
pub const MOST_TITLE: usize = 120;
/// The most characters of a summary, inserts included.
pub const MOST_SUMMARY: usize = 240;
/// The most bytes of a link that is one insert. With the longest texts and the tokens beside it a push stays
/// below 4096 bytes; a link cannot be shortened, and is left out.
const MOST_LINK: usize = 1_024;

/// One message in one locale.
#[derive(Debug, Clone)]
pub struct Cut {
    /// BCP 47.
    pub locale: String,
    /// The title, with `{{1}}` where inserts go.
    pub title: String,
    /// The body, likewise.
    pub summary: String,
    /// The address a tap opens, likewise; empty after inserts when the event has none.
    pub link: Option<String>,
    /// Whether readers in different zones see different texts.
    pub zone_matters: bool,
    /// Whether readers of different countries see different texts, in one language.
    pub(super) locale_matters: bool,
    /// What is said instead of several changes.
    pub(super) several: Option<Box<Cut>>,
    pub(super) message: String,
    pub(super) lines: Vec<Line>,
    pub(super) inserts: Vec<Insert>,
    pub(super) variables: Arc<[String]>,
    pub(super) environment: Arc<Environment<'static>>,
}

/// A title, body or link as it was written.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) part: Part,
    pub(super) source: Spot<String>,
    /// Characters that stand in every push.
    pub(super) fixed: usize,
    /// Which inserts, and how often.
    pub(super) used: Vec<(usize, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Title,
    Body,
    Link,
}

/// What fills one `{{n}}`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Insert {
    /// The expression, or a whole text with statements, as it was written.
    pub(super) source: String,
    /// Where in its line it starts.
    pub(super) offset: usize,
    pub(super) part: Part,
    pub(super) fill: Fill,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fill {
    /// One field.
    Field { path: String, show: Show, default: Option<String> },
    /// A template of the environment, named by its source.
    Template,
}

/// A line's text cut into what is fixed and what is filled in.
pub(super) enum Piece<'t> {
    Fixed(&'t str),
    /// The source with its braces, the expression inside, and where the source starts.
    Insert(&'t str, &'t str, usize),
}

// === impl Part ===

impl Part {
    /// The most characters it may have.
    pub(super) const fn most(self) -> Option<usize> {
        match self {
            Self::Title => Some(MOST_TITLE),
            Self::Body => Some(MOST_SUMMARY),
            Self::Link => None,
        }
    }
}

/// Cuts a text at its `{{ … }}`; one with statements is a single insert.
pub(super) fn pieces(source: &str) -> Vec<Piece<'_>> {
    if source.contains("{%") || source.contains("{#") {
        return vec![Piece::Insert(source, source, 0)];
    }
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(start) = source[at..].find("{{").map(|start| at + start) {
        // A brace inside a quoted text of the expression does not close it.
        let Some(end) = closing(&source[start + 2..]).map(|end| start + 2 + end) else { break };
        if start > at {
            pieces.push(Piece::Fixed(&source[at..start]));
        }
        pieces.push(Piece::Insert(&source[start..end + 2], source[start + 2..end].trim(), start));
        at = end + 2;
    }
    if at < source.len() {
        pieces.push(Piece::Fixed(&source[at..]));
    }
    pieces
}

fn closing(rest: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in rest.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if rest[at..].starts_with("}}") => return Some(at),
            None => {}
        }
    }
    None
}

/// The field an expression is, when it is no more than that: `event.a.b | date | default("-")`.
pub(super) fn plain(expression: &str) -> Option<Fill> {
    let mut parts = expression.split('|').map(str::trim);
    let path = parts.next()?.strip_prefix("event.")?;
    if path.is_empty() || !path.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.') {
        return None;
    }
    let (mut show, mut default) = (Show::Plain, None);
    for part in parts {
        let filter = Show::FILTERS.iter().find(|(name, _)| *name == part);
        match (filter, part.strip_prefix("default(").and_then(|rest| rest.strip_suffix(')'))) {
            (Some((_, filter)), _) if show == Show::Plain && default.is_none() => show = *filter,
            (None, Some(text)) if default.is_none() => default = Some(quoted(text.trim())?.to_owned()),
            _ => return None,
        }
    }
    Some(Fill::Field { path: path.to_owned(), show, default })
}

fn quoted(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let inner = inner.or_else(|| text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')));
    inner.filter(|inner| !inner.contains(['"', '\'', '\\']))
}

// === impl Cut ===

impl Cut {
    /// What is said of so many changes, where the message has other words for several of them.
    #[must_use]
    pub fn of(&self, count: u32) -> &Self {
        self.several.as_deref().filter(|_| count > 1).unwrap_or(self)
    }

    /// Whether it has words for several changes.
    #[must_use]
    pub const fn has_several(&self) -> bool {
        self.several.is_some()
    }

    /// The locale by whose habits a reader sees days and numbers: their own, where it is of the text's language.
    /// Two readers with the same see the same text.
    #[must_use]
    pub fn habits_for<'r>(&'r self, reader: &'r str) -> &'r str {
        let own = self.locale_matters && language(reader).eq_ignore_ascii_case(language(&self.locale));
        if own { reader } else { &self.locale }
    }

    /// Where the link leads that has its host in writing.
    #[must_use]
    pub fn written_link(&self) -> Option<&str> {
        self.link.as_deref().filter(|link| !is_insert(link))
    }

    /// The texts of `{{1}}`, `{{2}}` … for one event and a reader. `values` are the message's variables as a
    /// notice carries them. Title and summary fit their limits with them, and a link that is all of the event
    /// leads where `links` allow, or is empty.
    ///
    /// # Errors
    /// A value the text needs is absent, or cannot be shown.
    pub fn inserts<'v>(
        &'v self,
        values: &'v [(&str, Value<'_>)],
        reader: Reader<'_>,
        links: &Links,
    ) -> Result<Vec<Cow<'v, str>>, MessageFault> {
        let reader = Reader { locale: self.habits_for(reader.locale), ..reader };
        let mut context = None;
        let mut texts = Vec::with_capacity(self.inserts.len());
        for insert in &self.inserts {
            let text = match &insert.fill {
                Fill::Field { path, show, default } => {
                    self.field(insert, (path, *show, default.as_deref()), (values, reader))?
                }
                Fill::Template => {
                    let context = context.get_or_insert_with(|| self.context(values, reader));
                    self.template(insert, context)?.into()
                }
            };
            texts.push(match insert.part {
                Part::Link => self.address(text, links),
                Part::Title | Part::Body => text::clean(text),
            });
        }
        for line in &self.lines {
            if let Some(most) = line.part.most() {
                text::share(&mut texts, &line.used, most.saturating_sub(line.fixed));
            }
        }
        Ok(texts)
    }

    /// Whether a text of it is more than fields that are shown.
    pub(super) fn computes(&self) -> bool {
        let own = self.inserts.iter().any(|insert| insert.fill == Fill::Template);
        own || self.several.as_ref().is_some_and(|several| several.computes())
    }

    /// How many inserts there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.inserts.len()
    }

    fn fault(&self, fault: impl Into<String>) -> MessageFault {
        MessageFault { message: self.message.clone(), locale: self.locale.clone(), fault: fault.into() }
    }

    fn field<'v>(
        &self,
        insert: &Insert,
        (path, show, default): (&str, Show, Option<&'v str>),
        (values, reader): (&'v [(&str, Value<'_>)], Reader<'_>),
    ) -> Result<Cow<'v, str>, MessageFault> {
        let value = values.iter().find(|(name, _)| *name == path).map_or(&Value::Null, |(_, value)| value);
        match (value, default) {
            (Value::Null, Some(default)) => Ok(Cow::Borrowed(default)),
            (Value::Null, None) if insert.part == Part::Link => Ok(Cow::Borrowed("")),
            (Value::Null, None) => Err(self.fault(format!("`event.{path}` is absent"))),
            _ => show
                .text(value, reader)
                .ok_or_else(|| self.fault(format!("`event.{path}` cannot be shown so"))),
        }
    }

    fn template(&self, insert: &Insert, context: &minijinja::Value) -> Result<String, MessageFault> {
        self.environment
            .get_template(&insert.source)
            .and_then(|template| template.render(context.clone()))
            .map_err(|error| {
                self.fault(error.detail().map_or_else(|| error.kind().to_string(), str::to_owned))
            })
    }

    /// The values as templates see them: `event.a.b` by nested names.
    pub(super) fn context(&self, values: &[(&str, Value<'_>)], reader: Reader<'_>) -> minijinja::Value {
        let value_of = |path: &str| values.iter().find(|(name, _)| *name == path).map(|(_, value)| value);
        let leaves: Vec<(&str, minijinja::Value)> = self
            .variables
            .iter()
            .filter(|path| !ANSWER.contains(&path.as_str()))
            .map(|path| (path.as_str(), value_of(path).map_or(minijinja::Value::UNDEFINED, to_template)))
            .collect();
        let answer: Vec<_> = ANSWER
            .iter()
            .filter_map(|path| Some((path.strip_prefix("answer.")?, to_template(value_of(path)?))))
            .collect();
        let answer = if answer.is_empty() { ().into() } else { nested(&answer) };
        minijinja::Value::from_pairs([
            ("event", nested(&leaves)),
            ("answer", answer),
            ("count", reader.count.into()),
            (READER[0], reader.locale.into()),
            (READER[1], reader.zone.into()),
            (READER[2], reader.now.millis().into()),
        ])
    }

    /// A link that is one insert must be a web address that is allowed; a field inside one is escaped.
    fn address<'v>(&self, text: Cow<'v, str>, links: &Links) -> Cow<'v, str> {
        match self.link.as_deref().is_some_and(is_insert) {
            true if text.len() <= MOST_LINK && text::is_web(&text) && links.allow(&text) => text,
            true => Cow::Borrowed(""),
            false => text::percent(text),
        }
    }
}

/// Whether a template is one insert and nothing else.
pub(super) fn is_insert(template: &str) -> bool {
    let number = template.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn nested(leaves: &[(&str, minijinja::Value)]) -> minijinja::Value {
    let mut entries: Vec<(String, minijinja::Value)> = Vec::new();
    for (path, value) in leaves {
        let (head, is_leaf) = path.split_once('.').map_or((*path, true), |(head, _)| (head, false));
        if entries.iter().any(|(name, _)| name == head) {
            continue;
        }
        if is_leaf {
            entries.push((head.to_owned(), value.clone()));
            continue;
        }
        let under: Vec<(&str, minijinja::Value)> = leaves
            .iter()
            .filter_map(|(path, value)| {
                let (first, rest) = path.split_once('.')?;
                (first == head).then(|| (rest, value.clone()))
            })
            .collect();
        entries.push((head.to_owned(), nested(&under)));
    }
    minijinja::Value::from_pairs(entries)
}
